"""Numbers at equal steps or ratios, and derivatives and integrals of what is known at points."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from tidu import _core
from tidu._core import ShapeError, Tensor
from tidu._numbers import beside, is_inexact, widened


def logspace(
    start: float, stop: float, num: int = 50, endpoint: bool = True, base: float = 10.0, **options: Any
) -> Tensor:
    """base^start to base^stop, each the same factor times the one before.

    Parameters
    ----------
    start, stop : float
        The first and the last exponent.
    num : int
        How many numbers.
    endpoint : bool
        Whether base^stop is one of them.
    base : float
        Positive.
    **options
        `dtype` and `device`, as linspace takes them.

    Returns
    -------
    Tensor
        A vector.

    Examples
    --------
    >>> td.logspace(0, 2, 3)
    tensor([  1.,  10., 100.], dtype=float32)
    """
    dtype = options.pop("dtype", None) or _core.float32
    exponents = _core.linspace(start, stop, num, endpoint, dtype=_core.float64, **options)
    return _core.pow(base, exponents).astype(dtype)


def geomspace(start: float, stop: float, num: int = 50, endpoint: bool = True, **options: Any) -> Tensor:
    """start to stop, each the same factor times the one before; both are positive or both negative.

    Examples
    --------
    >>> td.geomspace(1, 8, 4)
    tensor([1., 2., 4., 8.], dtype=float32)
    """
    if not (start > 0 and stop > 0) and not (start < 0 and stop < 0):
        raise ValueError(f"[geomspace] start {start} and stop {stop} must be both positive or both negative")
    dtype = options.pop("dtype", None) or _core.float32
    low, high = math.log10(abs(start)), math.log10(abs(stop))
    logarithms = _core.linspace(low, high, num, endpoint, dtype=_core.float64, **options)
    places = _core.arange(num, device=logarithms.device)
    numbers = math.copysign(1.0, start) * 10.0**logarithms
    numbers = _core.where(places == (num - 1 if endpoint else num), stop, numbers)
    return _core.where(places == 0, start, numbers).astype(dtype)


def cumulative_trapezoid(y: Tensor, x: Tensor | None = None, dx: float = 1.0, axis: int = -1) -> Tensor:
    """Integrals from the first point of an axis to each following one by the trapezoidal rule, one fewer than
    there are points; these are x, or dx apart.

    Examples
    --------
    >>> td.cumulative_trapezoid(td.tensor([0.0, 1.0, 2.0]))
    tensor([0.5, 2. ], dtype=float32)
    """
    y = _core.asarray(y)
    points = None if x is None else beside(x, y)
    dtype = _core.result_type(y, *([] if points is None else [points]), 1.0)
    y = _core.moveaxis(widened(y.astype(dtype, copy=False)), axis, -1)
    steps: Any = dx
    if points is not None:
        steps = _steps(points if points.ndim == 1 else _core.moveaxis(points, axis, -1)).astype(y.dtype)
    areas = 0.5 * (y[..., 1:] + y[..., :-1]) * steps
    return _core.moveaxis(_core.cumulative_sum(areas, -1).astype(dtype, copy=False), -1, axis)


def _steps(points: Tensor) -> Tensor:
    """The differences of neighbours along the last axis; those of unsigned integers may be negative."""
    return _core.diff(widened(points) if is_inexact(points) else points.astype(_core.int64))


def gradient(
    y: Tensor,
    spacing: float | Tensor | Sequence[float | Tensor] = 1.0,
    axis: int | Sequence[int] | None = None,
    edge_order: int = 1,
) -> Tensor | tuple[Tensor, ...]:
    """Derivatives of values at points of a grid, of second order inside and of edge_order at its ends.

    Parameters
    ----------
    y : Tensor
        Floating-point values, along each axis at least edge_order + 1.
    spacing : number, Tensor or sequence of these
        How far points are apart, or a vector of where they are; one for all axes, or one for each.
    axis : int or sequence of int, optional
        Which ones, by default all.
    edge_order : int
        1 or 2.

    Returns
    -------
    Tensor or tuple of Tensor
        The derivative along the axis, or one for each of several, of the shape of y.

    Raises
    ------
    ShapeError
        For too few points.

    Examples
    --------
    >>> td.gradient(td.tensor([0.0, 1.0, 4.0, 9.0]))
    tensor([1., 2., 4., 5.], dtype=float32)
    """
    y = _core.asarray(y)
    if not y.dtype.is_floating_point:
        raise _core.DTypeError(f"[gradient] y must be floating-point, not {y.dtype} (use astype)")
    if edge_order not in (1, 2):
        raise ValueError(f"[gradient] edge_order is 1 or 2, not {edge_order}")
    axes = range(y.ndim) if axis is None else (axis,) if isinstance(axis, int) else tuple(axis)
    each = list(spacing) if isinstance(spacing, (tuple, list)) else [spacing] * len(axes)
    if len(each) != len(axes):
        raise ShapeError(f"[gradient] {len(each)} spacings are not one for each of {len(axes)} axes")
    results = [_gradient(y, h, a, edge_order) for h, a in zip(each, axes, strict=True)]
    return results[0] if len(results) == 1 else tuple(results)


def _gradient(y: Tensor, spacing: Any, axis: int, edge_order: int) -> Tensor:
    dtype = _core.result_type(y, spacing) if isinstance(spacing, Tensor) and spacing.ndim else y.dtype
    y = _core.moveaxis(widened(y.astype(dtype, copy=False)), axis, -1)
    spacing = beside(spacing, y)
    size = y.shape[-1]
    if size < edge_order + 1:
        raise ShapeError(
            f"[gradient] {size} points along axis {axis} are too few for edge_order {edge_order}"
        )
    if spacing.ndim:
        if spacing.shape != (size,):
            raise ShapeError(f"[gradient] {spacing.shape} coordinates are not the {size} along axis {axis}")
        steps = _steps(spacing).astype(y.dtype, copy=False)
        slopes = _core.diff(y) / steps
        left, right = steps[:-1], steps[1:]
        inner = (right * slopes[..., :-1] + left * slopes[..., 1:]) / (left + right)
        head, tail = slopes[..., :2], slopes[..., -2:]
    else:
        step = spacing.astype(y.dtype, copy=False)
        steps = _core.broadcast_to(step, (size - 1,))
        inner = (y[..., 2:] - y[..., :-2]) / (2 * step)
        head, tail = _core.diff(y[..., :3]) / step, _core.diff(y[..., -3:]) / step
    first, last = head[..., :1], tail[..., -1:]
    if edge_order == 2:
        first = first + (first - head[..., 1:]) * steps[:1] / (steps[:1] + steps[1:2])
        last = last + (last - tail[..., :1]) * steps[-1:] / (steps[-1:] + steps[-2:-1])
    return _core.moveaxis(_core.concat([first, inner, last], axis=-1).astype(dtype, copy=False), -1, axis)


class VarMean(NamedTuple):
    """What var_mean gives."""

    var: Tensor
    mean: Tensor


class StdMean(NamedTuple):
    """What std_mean gives."""

    std: Tensor
    mean: Tensor


def var_mean(
    x: Tensor, axis: int | Sequence[int] | None = None, correction: float = 0.0, keepdims: bool = False
) -> VarMean:
    """The variance and the mean over the axes (all by default), as var and mean give them.

    Examples
    --------
    >>> td.var_mean(td.tensor([1.0, 3.0]))
    VarMean(var=tensor(1., dtype=float32), mean=tensor(2., dtype=float32))
    """
    return VarMean(_core.var(x, axis, correction, keepdims), _core.mean(x, axis, keepdims))


def std_mean(
    x: Tensor, axis: int | Sequence[int] | None = None, correction: float = 0.0, keepdims: bool = False
) -> StdMean:
    """The standard deviation and the mean over the axes (all by default), as std and mean give them.

    Examples
    --------
    >>> td.std_mean(td.tensor([1.0, 3.0]))
    StdMean(std=tensor(1., dtype=float32), mean=tensor(2., dtype=float32))
    """
    return StdMean(_core.std(x, axis, correction, keepdims), _core.mean(x, axis, keepdims))
