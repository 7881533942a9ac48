"""Tensors put together and taken apart by the names that NumPy and PyTorch have for certain axes."""

from __future__ import annotations

from collections.abc import Sequence

from tidu import _core
from tidu._core import ShapeError, Tensor


def _tensors(op: str, tensors: Sequence[Tensor]) -> list[Tensor]:
    if isinstance(tensors, Tensor) or not tensors:
        raise TypeError(f"[{op}] takes a sequence of at least one tensor")
    return [_core.asarray(x) for x in tensors]


def hstack(tensors: Sequence[Tensor]) -> Tensor:
    """Tensors joined along axis 1, vectors and numbers along axis 0.

    Examples
    --------
    >>> td.hstack([td.tensor([1, 2]), td.tensor([3])])
    tensor([1, 2, 3], dtype=int64)
    """
    each = [_core.atleast_1d(x) for x in _tensors("hstack", tensors)]
    return _core.concat(each, axis=0 if each[0].ndim == 1 else 1)


def vstack(tensors: Sequence[Tensor]) -> Tensor:
    """Tensors joined along axis 0, of which vectors (n) are rows (1, n).

    Examples
    --------
    >>> td.vstack([td.tensor([1, 2]), td.tensor([3, 4])])
    tensor([[1, 2],
            [3, 4]], dtype=int64)
    """
    return _core.concat([_core.atleast_2d(x) for x in _tensors("vstack", tensors)], axis=0)


def dstack(tensors: Sequence[Tensor]) -> Tensor:
    """Tensors joined along axis 2, of which vectors (n) are (1, n, 1) and matrices (m, n) are (m, n, 1).

    Examples
    --------
    >>> td.dstack([td.tensor([1, 2]), td.tensor([3, 4])]).shape
    (1, 2, 2)
    """
    return _core.concat([_core.atleast_3d(x) for x in _tensors("dstack", tensors)], axis=2)


def column_stack(tensors: Sequence[Tensor]) -> Tensor:
    """Tensors joined along axis 1, of which vectors (n) are columns (n, 1).

    Examples
    --------
    >>> td.column_stack([td.tensor([1, 2]), td.tensor([3, 4])])
    tensor([[1, 3],
            [2, 4]], dtype=int64)
    """
    each = [x.reshape(-1, 1) if x.ndim < 2 else x for x in _tensors("column_stack", tensors)]
    return _core.concat(each, axis=1)


def tensor_split(x: Tensor, indices_or_sections: int | Sequence[int], axis: int = 0) -> tuple[Tensor, ...]:
    """Views of parts along an axis.

    Parameters
    ----------
    x : Tensor
        Of at least one axis.
    indices_or_sections : int or sequence of int
        How many parts, of which the first are longer by one where there is no equal length; or where parts
        after the first begin, as slices say it.
    axis : int
        Which one.

    Returns
    -------
    tuple of Tensor
        The parts.

    Raises
    ------
    ValueError
        For less than one part.

    Examples
    --------
    >>> td.tensor_split(td.arange(5), 2)
    (tensor([0, 1, 2], dtype=int64), tensor([3, 4], dtype=int64))
    """
    x = _core.asarray(x)
    if not -x.ndim <= axis < x.ndim:
        raise IndexError(f"[tensor_split] axis {axis} is out of range for {x.dtype}{x.shape}")
    size = x.shape[axis]
    if isinstance(indices_or_sections, int):
        count = indices_or_sections
        if count < 1:
            raise ValueError(f"[tensor_split] there are no {count} parts")
        _core.empty(
            (count, 256), dtype=_core.uint8, device="cpu"
        )  # fails where there is no room for the parts
        indices = [i * (size // count) + min(i, size % count) for i in range(1, count)]
    else:
        indices = [int(i) for i in indices_or_sections]
    ahead = (slice(None),) * (axis % x.ndim)
    return tuple(
        x[(*ahead, slice(begin, end))] for begin, end in zip([0, *indices], [*indices, None], strict=True)
    )


def _split(op: str, x: Tensor, parts: int | Sequence[int], axis: int, least: int) -> tuple[Tensor, ...]:
    x = _core.asarray(x)
    if x.ndim < least:
        raise ShapeError(f"[{op}] takes a tensor of at least {least} axes, not {x.dtype}{x.shape}")
    if isinstance(parts, int) and (parts < 1 or x.shape[axis] % parts):
        raise ShapeError(f"[{op}] {x.shape[axis]} elements along axis {axis} are not {parts} equal parts")
    return tensor_split(x, parts, axis)


def hsplit(x: Tensor, indices_or_sections: int | Sequence[int]) -> tuple[Tensor, ...]:
    """tensor_split along axis 1, of a vector along axis 0; a number of parts must be of equal ones.

    Examples
    --------
    >>> td.hsplit(td.arange(4), 2)
    (tensor([0, 1], dtype=int64), tensor([2, 3], dtype=int64))
    """
    x = _core.asarray(x)
    return _split("hsplit", x, indices_or_sections, 0 if x.ndim == 1 else 1, 1)


def vsplit(x: Tensor, indices_or_sections: int | Sequence[int]) -> tuple[Tensor, ...]:
    """tensor_split along axis 0 of at least two; a number of parts must be of equal ones.

    Examples
    --------
    >>> [part.shape for part in td.vsplit(td.zeros((4, 3)), [1])]
    [(1, 3), (3, 3)]
    """
    return _split("vsplit", x, indices_or_sections, 0, 2)


def dsplit(x: Tensor, indices_or_sections: int | Sequence[int]) -> tuple[Tensor, ...]:
    """tensor_split along axis 2; a number of parts must be of equal ones.

    Examples
    --------
    >>> [part.shape for part in td.dsplit(td.zeros((1, 2, 4)), 2)]
    [(1, 2, 2), (1, 2, 2)]
    """
    return _split("dsplit", x, indices_or_sections, 2, 3)


def fliplr(x: Tensor) -> Tensor:
    """x with axis 1 reversed.

    Examples
    --------
    >>> td.fliplr(td.tensor([[1, 2], [3, 4]]))
    tensor([[2, 1],
            [4, 3]], dtype=int64)
    """
    return _core.flip(x, axis=1)


def flipud(x: Tensor) -> Tensor:
    """x with axis 0 reversed.

    Examples
    --------
    >>> td.flipud(td.tensor([1, 2, 3]))
    tensor([3, 2, 1], dtype=int64)
    """
    return _core.flip(x, axis=0)


def unflatten(x: Tensor, axis: int, sizes: Sequence[int]) -> Tensor:
    """x with an axis cut into axes of these extents; one may be -1, what is left.

    Examples
    --------
    >>> td.unflatten(td.zeros((2, 6)), 1, (3, -1)).shape
    (2, 3, 2)
    """
    x = _core.asarray(x)
    if not -x.ndim <= axis < x.ndim:
        raise IndexError(f"[unflatten] axis {axis} is out of range for {x.dtype}{x.shape}")
    axis %= x.ndim
    known = 1
    for extent in sizes:
        known *= extent if extent != -1 else 1
    left = list(sizes).count(-1)
    fits = known > 0 and x.shape[axis] % known == 0 if left else x.shape[axis] == known
    if left > 1 or not fits:
        raise ShapeError(
            f"[unflatten] axis {axis} of {x.dtype}{x.shape} is not of the extents {tuple(sizes)}"
        )
    parts = [x.shape[axis] // known if extent == -1 else extent for extent in sizes]
    return _core.reshape(x, (*x.shape[:axis], *parts, *x.shape[axis + 1 :]))


def broadcast_shapes(*shapes: int | Sequence[int]) -> tuple[int, ...]:
    """The shape to which tensors of these shapes broadcast; a number is the shape of a vector.

    Examples
    --------
    >>> td.broadcast_shapes((3, 1), (2,), ())
    (3, 2)
    """
    each = [(shape,) if isinstance(shape, int) else tuple(shape) for shape in shapes]
    result = [1] * max(map(len, each), default=0)
    for shape in each:
        for i in range(1, len(shape) + 1):
            if shape[-i] != 1:
                if result[-i] not in (1, shape[-i]):
                    raise ShapeError(f"[broadcast_shapes] {', '.join(map(str, each))} do not broadcast")
                result[-i] = shape[-i]
    return tuple(result)
