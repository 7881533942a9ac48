"""What nn.functional has for images beside what is compiled: whole channels dropped, pixels regrouped."""

from __future__ import annotations

import tidu as td
from tidu._core import Tensor

from .._arguments import explain as _explain
from .._core import _training
from .._numbers import widened

__all__ = [
    "alpha_dropout",
    "channel_shuffle",
    "dropout1d",
    "dropout2d",
    "dropout3d",
    "feature_alpha_dropout",
    "local_response_norm",
    "pixel_shuffle",
    "pixel_unshuffle",
]


def _channels(name: str, x: Tensor, rank: int) -> tuple[int, ...]:
    """The shape of a mask of channels: x is (N, C, ..) or (C, ..)."""
    if x.ndim not in (rank + 1, rank + 2):
        raise td.ShapeError(f"[{name}] takes x of {rank + 1} or {rank + 2} axes, not of shape {x.shape}")
    return x.shape[:-rank] + (1,) * rank


def _kept(name: str, x: Tensor, p: float, key: Tensor, shape: tuple[int, ...]) -> Tensor:
    if not 0 <= p <= 1:
        raise ValueError(f"[{name}] the probability p must be in [0, 1], not {p}")
    if not x.dtype.is_floating_point:
        raise td.DTypeError(f"[{name}] the input must be floating-point, not {x.dtype} (use astype)")
    return td.random.bernoulli(key, 1 - p, shape)


def _dropout(name: str, x: Tensor, p: float, key: Tensor, training: bool, rank: int) -> Tensor:
    kept = _kept(name, x, p, key, _channels(name, x, rank))
    if not training or p == 0:
        return x
    return td.where(kept, x if p == 1 else (widened(x) / (1 - p)).astype(x.dtype, copy=False), 0)


def dropout1d(x: Tensor, p: float, key: Tensor, training: bool = True) -> Tensor:
    """In training, each channel of x (N, C, l) or (C, l) is 0 with probability p, else x / (1 - p).

    Examples
    --------
    >>> td.nn.functional.dropout1d(td.ones((1, 2)), 0.5, td.random.key(0), training=False)
    tensor([[1., 1.]], dtype=float32)
    """
    return _dropout("dropout1d", x, p, key, training, 1)


def dropout2d(x: Tensor, p: float, key: Tensor, training: bool = True) -> Tensor:
    """In training, each channel of x (N, C, h, w) or (C, h, w) is 0 with probability p, else x / (1 - p).

    Examples
    --------
    >>> td.nn.functional.dropout2d(td.ones((1, 1, 2)), 0.5, td.random.key(0), training=False)
    tensor([[[1., 1.]]], dtype=float32)
    """
    return _dropout("dropout2d", x, p, key, training, 2)


def dropout3d(x: Tensor, p: float, key: Tensor, training: bool = True) -> Tensor:
    """In training, each channel of x (N, C, d, h, w) or (C, d, h, w) is 0 with probability p, else
    x / (1 - p).

    Examples
    --------
    >>> td.nn.functional.dropout3d(td.ones((1, 1, 1, 2)), 0.5, td.random.key(0), training=False)
    tensor([[[[1., 1.]]]], dtype=float32)
    """
    return _dropout("dropout3d", x, p, key, training, 3)


_LEAST = -1.7580993408473766  # of SELU


def _alpha_dropout(
    name: str, x: Tensor, p: float, key: Tensor, training: bool, shape: tuple[int, ...]
) -> Tensor:
    kept = _kept(name, x, p, key, shape)
    if not training or p == 0:
        return x
    if p == 1:
        return td.where(kept, x, 0)
    scale = ((1 - p) * (1 + p * _LEAST**2)) ** -0.5
    found: Tensor = td.where(kept, widened(x), _LEAST) * scale - scale * _LEAST * p
    return found.astype(x.dtype, copy=False)


def alpha_dropout(x: Tensor, p: float, key: Tensor, training: bool = False) -> Tensor:
    """In training, each element is SELU's least value with probability p, and all are scaled and moved so
    that mean 0 and variance 1 stay.

    Examples
    --------
    >>> td.nn.functional.alpha_dropout(td.ones(2), 0.5, td.random.key(0))
    tensor([1., 1.], dtype=float32)
    """
    return _alpha_dropout("alpha_dropout", x, p, key, training, x.shape)


def feature_alpha_dropout(x: Tensor, p: float, key: Tensor, training: bool = False) -> Tensor:
    """alpha_dropout of whole channels of x (N, C, ..).

    Examples
    --------
    >>> td.nn.functional.feature_alpha_dropout(td.ones((1, 2)), 0.5, td.random.key(0))
    tensor([[1., 1.]], dtype=float32)
    """
    if x.ndim < 2:
        raise td.ShapeError(f"[feature_alpha_dropout] takes x (N, C, ..), not of shape {x.shape}")
    return _alpha_dropout("feature_alpha_dropout", x, p, key, training, x.shape[:2] + (1,) * (x.ndim - 2))


def pixel_shuffle(x: Tensor, upscale_factor: int) -> Tensor:
    """(.., C r^2, h, w) -> (.., C, h r, w r), r = upscale_factor: the r^2 channels of each become a block.

    Examples
    --------
    >>> td.nn.functional.pixel_shuffle(td.ones((1, 4, 3, 3)), 2).shape
    (1, 1, 6, 6)
    """
    r = upscale_factor
    if x.ndim < 3 or r < 1 or x.shape[-3] % r**2:
        raise td.ShapeError(f"[pixel_shuffle] takes x (.., C {r}^2, h, w), not of shape {x.shape}")
    *ahead, channels, h, w = x.shape
    n = len(ahead)
    parts = x.reshape((*ahead, channels // r**2, r, r, h, w))
    order = (*range(n + 1), n + 3, n + 1, n + 4, n + 2)
    return td.permute_dims(parts, order).reshape((*ahead, channels // r**2, h * r, w * r))


def pixel_unshuffle(x: Tensor, downscale_factor: int) -> Tensor:
    """(.., C, h r, w r) -> (.., C r^2, h, w), r = downscale_factor: what pixel_shuffle undoes.

    Examples
    --------
    >>> td.nn.functional.pixel_unshuffle(td.ones((1, 1, 6, 6)), 2).shape
    (1, 4, 3, 3)
    """
    r = downscale_factor
    if x.ndim < 3 or r < 1 or x.shape[-1] % r or x.shape[-2] % r:
        raise td.ShapeError(f"[pixel_unshuffle] takes x (.., C, h {r}, w {r}), not of shape {x.shape}")
    *ahead, channels, h, w = x.shape
    n = len(ahead)
    parts = x.reshape((*ahead, channels, h // r, r, w // r, r))
    order = (*range(n + 1), n + 2, n + 4, n + 1, n + 3)
    return td.permute_dims(parts, order).reshape((*ahead, channels * r**2, h // r, w // r))


def channel_shuffle(x: td.Tensor, groups: int) -> td.Tensor:
    """x (N, C, ..) with the channels of its groups in turn: the first of each, the second of each ..

    Examples
    --------
    >>> F = td.nn.functional
    >>> F.channel_shuffle(td.arange(6).reshape(1, 6, 1), 2).reshape(-1)
    tensor([0, 3, 1, 4, 2, 5], dtype=int64)
    """
    if x.ndim < 2 or groups < 1 or x.shape[1] % groups:
        raise td.ShapeError(f"[channel_shuffle] takes x (N, {groups} C, ..), not of shape {x.shape}")
    batch, channels, *rest = x.shape
    parts = x.reshape((batch, groups, channels // groups, *rest))
    return td.swapaxes(parts, 1, 2).reshape(x.shape)


def local_response_norm(
    x: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Tensor:
    """x / (k + alpha mean(x^2))^beta of x (N, C, ..), the mean over `size` channels around each, those beyond
    counting as 0.

    Examples
    --------
    >>> td.nn.functional.local_response_norm(td.ones((1, 4, 3)), 2).shape
    (1, 4, 3)
    """
    if x.ndim < 3:
        raise td.ShapeError(
            f"[local_response_norm] takes x (N, C, ..) of 3 axes or more, not of shape {x.shape}"
        )
    wide = x.astype(td.float64, copy=False)  # whose squares hold those of narrower dtypes
    squares = td.square(wide).reshape((x.shape[0], 1, x.shape[1], -1))
    squares = td.pad(squares, [(0, 0), (0, 0), (size // 2, (size - 1) // 2), (0, 0)])
    means = _training.avg_pool2d(squares, (size, 1), stride=1).reshape(x.shape)
    return (wide / (k + alpha * means) ** beta).astype(x.dtype, copy=False)


_explain(globals(), __all__)
