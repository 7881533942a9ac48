"""Tensors with some elements replaced, and the most frequent ones, by PyTorch's names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from tidu import _core
from tidu._core import DTypeError, ShapeError, Tensor
from tidu._numbers import beside
from tidu.typing import TensorLike


class Mode(NamedTuple):
    """What `mode` gives."""

    values: Tensor
    indices: Tensor


def mode(x: TensorLike, axis: int = -1, keepdims: bool = False) -> Mode:
    """The most frequent element along an axis, of several the smallest, and the int64 index of its last
    place.

    Differentiable: the derivative goes to that place. ShapeError where the axis has no elements.

    Examples
    --------
    >>> td.mode(td.tensor([3, 1, 3, 1, 2]))
    Mode(values=tensor(1, dtype=int64), indices=tensor(3, dtype=int64))
    """
    x = _core.asarray(x)
    if x.ndim == 0:
        return Mode(_core.copy(x), _core.zeros((), dtype=_core.int64, device=x.device))
    order = _core.moveaxis(_core.argsort(x, axis=axis, stable=True), axis, -1)
    size = order.shape[-1]
    if size == 0:
        raise ShapeError(f"[mode] {x.dtype}{x.shape} has no elements along axis {axis}")
    ordered = _core.take_along_axis(_core.moveaxis(x, axis, -1), order, axis=-1)
    places = _core.arange(size, device=x.device)
    begins = _core.not_equal(ordered[..., 1:], ordered[..., :-1]).astype(_core.int64) * places[1:]
    first = _core.zeros((*ordered.shape[:-1], 1), dtype=_core.int64, device=x.device)
    # How many of the same lie up to each place: the largest stands at the end of the longest run.
    longest = _core.argmax(
        places - _core.cummax(_core.concat([first, begins], axis=-1), axis=-1), axis=-1, keepdims=True
    )
    results = [_core.take_along_axis(each, longest, axis=-1) for each in (ordered, order)]
    results = [_core.moveaxis(each, -1, axis) for each in results]
    return Mode(*(each if keepdims else _core.squeeze(each, axis) for each in results))


def _put(
    op: str, x: TensorLike, key: Any, values: TensorLike, put: Callable[..., Tensor] = _core.scatter_set
) -> Tensor:
    """x with values, broadcast to x[key], put there."""
    x = _core.asarray(x)
    values = _core.astype(beside(values, x), x.dtype, copy=False)
    places = _core.arange(x.size, device=x.device).reshape(x.shape)
    places = key(places) if callable(key) else places[key]
    values = _for_places(op, x, values, places.shape)
    return put(x.reshape(-1), places.reshape(-1), values.reshape(-1)).reshape(x.shape)


def _for_places(op: str, x: Tensor, values: Tensor, shape: tuple[int, ...]) -> Tensor:
    try:
        return _core.broadcast_to(values, shape)
    except ShapeError:
        raise ShapeError(
            f"[{op}] values of shape {values.shape} do not broadcast to {shape}, "
            f"the shape of the elements of {x.dtype}{x.shape} that they replace"
        ) from None


def _put_slices(op: str, x: TensorLike, axis: int, indices: Tensor, values: TensorLike) -> Tensor:
    """x with values put at indices along an axis, whole slices for a vector of them."""
    key = _key(x, axis, indices)
    if not isinstance(indices, Tensor) or indices.ndim != 1 or indices.dtype == _core.bool:
        return _put(op, x, key, values)
    x = _core.asarray(x)
    shape = (*x.shape[: len(key) - 1], *indices.shape, *x.shape[len(key) :])
    values = _for_places(op, x, _core.astype(beside(values, x), x.dtype, copy=False), shape)
    return _core.scatter_set(x, indices, values, axis=len(key) - 1)


def index_put(x: TensorLike, indices: Any, values: TensorLike, accumulate: bool = False) -> Tensor:
    """x with values, broadcast to x[indices], put there; x stays as it is. `indices` is a key or a tuple, as
    x[..] takes it.

    Of a repeated index the last value stays; with `accumulate` all are added to what was there. Values are
    converted to the dtype of x. Differentiable by x and by values.

    Examples
    --------
    >>> td.index_put(td.zeros(4), (td.tensor([1, 3]),), td.tensor([5.0, 6.0]))
    tensor([0., 5., 0., 6.], dtype=float32)
    """
    key = tuple(indices) if isinstance(indices, list) else indices
    return _put("index_put", x, key, values, _core.scatter_add if accumulate else _core.scatter_set)


def _key(x: TensorLike, axis: int, part: int | slice | Tensor) -> tuple[Any, ...]:
    """The key of `part` along an axis."""
    tensor = _core.asarray(x)
    ndim = tensor.ndim
    if not -ndim <= axis < ndim:
        raise IndexError(f"axis {axis} is out of range for {tensor.dtype}{tensor.shape}")
    return (*(slice(None) for _ in range(axis % ndim)), part)


def select_scatter(x: TensorLike, updates: TensorLike, axis: int, index: int) -> Tensor:
    """x with updates in place of x[.., index, ..], the slice at an index of an axis; x stays as it is.

    Examples
    --------
    >>> td.select_scatter(td.zeros((2, 2)), td.tensor([1.0, 2.0]), 1, 0)
    tensor([[1., 0.],
            [2., 0.]], dtype=float32)
    """
    return _put("select_scatter", x, _key(x, axis, index), updates)


def slice_scatter(
    x: TensorLike,
    updates: TensorLike,
    axis: int = 0,
    start: int | None = None,
    stop: int | None = None,
    step: int = 1,
) -> Tensor:
    """x with updates in place of x[.., start:stop:step, ..] along an axis; x stays as it is.

    Examples
    --------
    >>> td.slice_scatter(td.zeros(5), td.tensor([1.0, 2.0]), start=1, step=2)
    tensor([0., 1., 0., 2., 0.], dtype=float32)
    """
    return _put("slice_scatter", x, _key(x, axis, slice(start, stop, step)), updates)


def index_copy(x: Tensor, axis: int, indices: Tensor, updates: Tensor) -> Tensor:
    """x with the slices of updates along an axis put at a vector of indices there; x stays as it is.

    Examples
    --------
    >>> td.index_copy(td.zeros((3, 1)), 0, td.tensor([2, 0]), td.tensor([[1.0], [2.0]])).reshape(-1)
    tensor([2., 0., 1.], dtype=float32)
    """
    return _put_slices("index_copy", x, axis, indices, updates)


def index_fill(x: Tensor, axis: int, indices: Tensor, value: float) -> Tensor:
    """x with the slices at a vector of indices along an axis filled with a number; x stays as it is.

    Examples
    --------
    >>> td.index_fill(td.zeros(3), 0, td.tensor([2, 0]), 5.0)
    tensor([5., 0., 5.], dtype=float32)
    """
    return _put_slices("index_fill", x, axis, indices, value)


def masked_scatter(x: Tensor, mask: Tensor, updates: Tensor) -> Tensor:
    """x with the first elements of updates, row by row, where mask, broadcast to x, holds; x stays as it is.

    ShapeError where there are not enough, for which the mask is looked at unless updates are as many as x.
    DTypeError for a mask that is not bool.

    Examples
    --------
    >>> td.masked_scatter(td.zeros(3), td.tensor([True, False, True]), td.tensor([1.0, 2.0]))
    tensor([1., 0., 2.], dtype=float32)
    """
    x, mask = _core.asarray(x), _core.asarray(mask)
    if mask.dtype != _core.bool:
        raise DTypeError(f"[masked_scatter] the mask is bool, not {mask.dtype}{mask.shape} (write mask != 0)")
    mask = _core.broadcast_to(mask, x.shape).reshape(-1)
    updates = _core.astype(beside(updates, x), x.dtype, copy=False).reshape(-1)
    if updates.size < x.size:
        count = int(_core.count_nonzero(mask))
        if updates.size < count:
            raise ShapeError(
                f"[masked_scatter] {updates.size} updates are not enough for the {count} elements of "
                f"{x.dtype}{x.shape} that the mask chooses"
            )
    if updates.size == 0:
        return _core.copy(x)
    places = _core.clip(_core.cumulative_sum(mask.astype(_core.int64), 0) - 1, 0, updates.size - 1)
    return _core.where(mask, _core.take(updates, places), x.reshape(-1)).reshape(x.shape)


def diagonal_scatter(
    x: TensorLike, updates: TensorLike, offset: int = 0, axis1: int = 0, axis2: int = 1
) -> Tensor:
    """x with updates in place of diagonal(x, offset, axis1, axis2); x stays as it is.

    Examples
    --------
    >>> td.diagonal_scatter(td.zeros((2, 2)), td.tensor([1.0, 2.0]))
    tensor([[1., 0.],
            [0., 2.]], dtype=float32)
    """
    return _put("diagonal_scatter", x, lambda places: _core.diagonal(places, offset, axis1, axis2), updates)
