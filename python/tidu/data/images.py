"""What is usually done to images (.., height, width) before they are learnt from.

Random functions take a key first. They draw anew for each image along the first axis of a batch, which has at
least three axes: they are made for the `transform` of a DataLoader, and for one image pass `image[None]`.
"""

from __future__ import annotations

from collections.abc import Sequence

import tidu as td

from .._arguments import explain as _explain

__all__ = [
    "center_crop",
    "crop",
    "hflip",
    "normalize",
    "pad",
    "random_crop",
    "random_hflip",
    "random_vflip",
    "to_float",
    "vflip",
]


def _check(op: str, x: td.Tensor, least: int = 2) -> None:
    if x.ndim < least:
        what = "an image has at least 2 axes" if least == 2 else "a batch of images has at least 3 axes"
        raise td.ShapeError(f"[{op}] {what}, (.., height, width), but x is {x.dtype}{x.shape}")


def _pair(size: int | Sequence[int]) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else (int(size[0]), int(size[1]))


def to_float(x: td.Tensor, dtype: td.dtype = td.float32) -> td.Tensor:
    """Integers up to the largest of their dtype as numbers up to 1; floating-point numbers as they are.

    Parameters
    ----------
    x : Tensor
        Pixels.
    dtype : dtype
        Of the result.

    Returns
    -------
    Tensor
        x / iinfo(x.dtype).max, of x's shape.

    Examples
    --------
    >>> td.data.images.to_float(td.tensor([[0, 51, 255]], dtype=td.uint8))
    tensor([[0.0, 0.2, 1.0]], dtype=float32)
    """
    return x.astype(dtype) if x.dtype.is_floating_point else x.astype(dtype) / td.iinfo(x.dtype).max


def normalize(
    x: td.Tensor, mean: float | Sequence[float] | td.Tensor, std: float | Sequence[float] | td.Tensor
) -> td.Tensor:
    """(x - mean) / std.

    Parameters
    ----------
    x : Tensor
        Floating-point images (.., height, width), or (.., channels, height, width).
    mean, std : number, sequence or Tensor
        A number, or one for each channel.

    Returns
    -------
    Tensor
        Of x's shape.

    Raises
    ------
    DTypeError
        Where x is of integers (see `to_float`).
    ShapeError
        Where there are not as many means or deviations as channels.

    Examples
    --------
    >>> td.data.images.normalize(td.tensor([[[1.0]], [[5.0]]]), [1.0, 3.0], 2.0)
    tensor([[[0.]],
            [[1.]]], dtype=float32)
    """
    _check("normalize", x)
    if not x.dtype.is_floating_point:
        raise td.DTypeError(f"[normalize] x must be floating-point, not {x.dtype} (use to_float)")

    def of_channels(name: str, value: float | Sequence[float] | td.Tensor) -> td.Tensor:
        value = td.asarray(value, dtype=x.dtype, device=x.device)
        if value.ndim == 0:
            return value
        if x.ndim < 3 or value.shape != x.shape[-3:-2]:
            raise td.ShapeError(
                f"[normalize] {name} of shape {value.shape} is not a number a channel of {x.dtype}{x.shape}"
            )
        return value[:, None, None]

    return (x - of_channels("mean", mean)) / of_channels("std", std)


def pad(x: td.Tensor, padding: int | Sequence[int], mode: str = "constant", value: float = 0.0) -> td.Tensor:
    """x with rows and columns around it.

    Parameters
    ----------
    x : Tensor
        Images (.., height, width).
    padding : int or sequence of int
        On all sides, or (vertical, horizontal), or (left, top, right, bottom).
    mode : str
        How td.pad fills them: 'constant', 'reflect', 'edge' ..
    value : float
        What stands there in mode 'constant'.

    Returns
    -------
    Tensor
        (.., height + top + bottom, width + left + right).

    Examples
    --------
    >>> td.data.images.pad(td.ones((1, 1)), (0, 1, 2, 0))
    tensor([[0., 0., 0.],
            [1., 0., 0.]], dtype=float32)
    """
    _check("pad", x)
    if isinstance(padding, int) or len(padding) == 2:
        vertical, horizontal = _pair(padding)
        left, top, right, bottom = horizontal, vertical, horizontal, vertical
    else:
        left, top, right, bottom = padding
    widths = [(0, 0)] * (x.ndim - 2) + [(top, bottom), (left, right)]
    return td.pad(x, widths, mode=mode, **({"constant_values": value} if mode == "constant" else {}))


def crop(x: td.Tensor, top: int, left: int, height: int, width: int) -> td.Tensor:
    """The part of images that begins at row `top` and column `left`.

    Parameters
    ----------
    x : Tensor
        Images (.., rows, columns).
    top, left, height, width : int
        Where the part begins, and its size.

    Returns
    -------
    Tensor
        (.., height, width), a view of x.

    Raises
    ------
    ShapeError
        Where it is not inside.

    Examples
    --------
    >>> td.data.images.crop(td.arange(9).reshape(3, 3), 1, 0, 2, 2)
    tensor([[3, 4],
            [6, 7]], dtype=int64)
    """
    _check("crop", x)
    rows, columns = x.shape[-2:]
    if not (top >= 0 and left >= 0 and top + height <= rows and left + width <= columns):
        raise td.ShapeError(
            f"[crop] {height} x {width} from ({top}, {left}) on are not inside of {x.dtype}{x.shape}"
        )
    return x[..., top : top + height, left : left + width]


def center_crop(x: td.Tensor, size: int | Sequence[int]) -> td.Tensor:
    """The middle of images.

    Parameters
    ----------
    x : Tensor
        Images (.., rows, columns).
    size : int or sequence of int
        Height and width of the part; one number is both.

    Returns
    -------
    Tensor
        (.., height, width), a view of x.

    Raises
    ------
    ShapeError
        Where images are smaller.

    Examples
    --------
    >>> td.data.images.center_crop(td.arange(9).reshape(3, 3), 1)
    tensor([[4]], dtype=int64)
    """
    _check("center_crop", x)
    height, width = _pair(size)
    return crop(x, (x.shape[-2] - height) // 2, (x.shape[-1] - width) // 2, height, width)


def hflip(x: td.Tensor) -> td.Tensor:
    """Images with left and right exchanged.

    Examples
    --------
    >>> td.data.images.hflip(td.tensor([[1, 2], [3, 4]]))
    tensor([[2, 1],
            [4, 3]], dtype=int64)
    """
    _check("hflip", x)
    return td.flip(x, axis=-1)


def vflip(x: td.Tensor) -> td.Tensor:
    """Images upside down.

    Examples
    --------
    >>> td.data.images.vflip(td.tensor([[1, 2], [3, 4]]))
    tensor([[3, 4],
            [1, 2]], dtype=int64)
    """
    _check("vflip", x)
    return td.flip(x, axis=-2)


def _sometimes(op: str, key: td.Tensor, x: td.Tensor, p: float, axis: int) -> td.Tensor:
    _check(op, x, least=3)
    chosen = td.random.bernoulli(key, p, x.shape[:1] + (1,) * (x.ndim - 1))
    return td.where(chosen, td.flip(x, axis=axis), x)


def random_hflip(key: td.Tensor, x: td.Tensor, p: float = 0.5) -> td.Tensor:
    """Each image with left and right exchanged, with probability p.

    Parameters
    ----------
    key : Tensor
        Decides which ones.
    x : Tensor
        A batch of images (n, .., height, width).
    p : float
        In [0, 1].

    Returns
    -------
    Tensor
        Of x's shape.

    Examples
    --------
    >>> td.data.images.random_hflip(td.random.key(0), td.tensor([[[1, 2]]]), p=1.0)
    tensor([[[2, 1]]], dtype=int64)
    """
    return _sometimes("random_hflip", key, x, p, -1)


def random_vflip(key: td.Tensor, x: td.Tensor, p: float = 0.5) -> td.Tensor:
    """As `random_hflip`, of images upside down.

    Examples
    --------
    >>> td.data.images.random_vflip(td.random.key(0), td.tensor([[[1], [2]]]), p=1.0).tolist()
    [[[2], [1]]]
    """
    return _sometimes("random_vflip", key, x, p, -2)


def random_crop(
    key: td.Tensor,
    x: td.Tensor,
    size: int | Sequence[int],
    padding: int | Sequence[int] = 0,
    mode: str = "constant",
    value: float = 0.0,
) -> td.Tensor:
    """Of each image another part, any as likely as any other.

    Parameters
    ----------
    key : Tensor
        Decides which ones.
    x : Tensor
        A batch of images (n, .., rows, columns).
    size : int or sequence of int
        Height and width of the parts; one number is both.
    padding, mode, value
        What is put around images before, as `pad` does.

    Returns
    -------
    Tensor
        (n, .., height, width).

    Raises
    ------
    ShapeError
        Where padded images are smaller.

    Examples
    --------
    >>> td.data.images.random_crop(td.random.key(0), td.ones((8, 3, 32, 32)), 32, padding=4).shape
    (8, 3, 32, 32)
    """
    _check("random_crop", x, least=3)
    x = pad(x, padding, mode, value)
    height, width = _pair(size)
    rows, columns = x.shape[-2:]
    if height > rows or width > columns:
        raise td.ShapeError(f"[random_crop] {height} x {width} are not inside of {x.dtype}{x.shape}")
    inner = (1,) * (x.ndim - 3)

    def places(key: td.Tensor, count: int, part: int) -> td.Tensor:
        begins = td.random.randint(key, x.shape[:1], 0, count - part + 1).to(x.device)
        return begins[:, None] + td.arange(part, device=x.device)

    keys = td.random.split(key)
    down = places(keys[0], rows, height).reshape(-1, *inner, height, 1)
    along = places(keys[1], columns, width).reshape(-1, *inner, 1, width)
    x = td.take_along_axis(x, td.broadcast_to(down, (*x.shape[:-2], height, columns)), axis=-2)
    return td.take_along_axis(x, td.broadcast_to(along, (*x.shape[:-2], height, width)), axis=-1)


_explain(globals(), __all__)
