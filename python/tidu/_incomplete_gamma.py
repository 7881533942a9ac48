"""The incomplete gamma functions and how quantiles of gamma distributions change with the shape."""

from __future__ import annotations

import math

from tidu import _core as td
from tidu._control import scan
from tidu._core import Tensor
from tidu.typing import TensorLike


def rule(nodes: int) -> tuple[list[float], list[float]]:
    """Points v and weights for the integral from 0 of functions that decay like exp(-v): the trapezoidal rule
    after v = exp(t - exp(-t)). (H. Takahasi and M. Mori, 1974)"""
    low, high = -3.6, 3.8
    step = (high - low) / (nodes - 1)
    ts = [low + step * i for i in range(nodes)]
    points = [math.exp(t - math.exp(-t)) for t in ts]
    return points, [v * (1 + math.exp(-t)) * step for t, v in zip(ts, points, strict=True)]


_NODES = rule(64)


def tail(a: Tensor, x: Tensor, excess: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Of the gamma distribution of shape a: whether x <= a, and the smaller part of the distribution, that
    below x where x <= a, else that above, divided by x times the density at x.

    With `excess` that part's integrand is multiplied by (log(t / x) - excess). All are float64 of one shape.
    Errors are mostly below 1e-13, and grow with the root of a; as points and weights are constant, every
    derivative of the sum is that of the integral.
    """
    is_below = td.less_equal(x, a)
    fixed_a, fixed_x = td.stop_gradient(a), td.stop_gradient(x)
    distance = td.abs(fixed_a - fixed_x)
    # The integrands decay at v = width: below t = x exp(-v), above t = x (1 + v).
    width = td.maximum(
        2 / (distance + td.sqrt(distance * distance + 2 * fixed_x)),
        td.reciprocal(td.where(is_below, fixed_a, fixed_x)),
    )

    def add(total: Tensor, node: tuple[Tensor, Tensor]) -> tuple[Tensor, None]:
        point, weight = node
        v = point * width
        shift = td.where(is_below, -v, td.log1p(v))
        exponent = td.where(is_below, -a * v - x * td.expm1(-v), (a - 1) * shift - x * v)
        term = weight * width * td.exp(exponent)
        return total + (term if excess is None else term * (shift - excess)), None

    points, weights = (td.asarray(values, dtype=td.float64, device=a.device) for values in _NODES)
    return is_below, scan(add, td.zeros_like(x), (points, weights))[0]


def log_quantile_slope(a: Tensor, y: Tensor) -> Tensor:
    """By how much the logarithm y of a gamma variate of shape a changes with a, its quantile held: with P the
    distribution function of the logarithm, -(dP/da) / (dP/dy). Like y; of float32 computed in float64."""
    wide_a, wide_y = a.astype(td.float64), y.astype(td.float64)
    is_below, moment = tail(wide_a, td.exp(wide_y), td.digamma(wide_a) - wide_y)
    return td.where(is_below, -moment, moment).astype(y.dtype)


def stirling_rest(a: Tensor) -> Tensor:
    """lgamma(a) without the first terms of Stirling's series, (a - 1/2) log(a) - a + log(2 pi) / 2."""
    large, small = td.maximum(a, 10.0), td.minimum(a, 10.0)
    z = 1 / (large * large)
    series = 1 / 12 - z * (1 / 360 - z * (1 / 1260 - z * (1 / 1680 - z * (1 / 1188 - z * 691 / 360360))))
    by_definition = td.lgamma(small) - (small - 0.5) * td.log(small) + small - 0.5 * math.log(2 * math.pi)
    return td.where(a > 10, series / large, by_definition)


def _log_scaled_density(a: Tensor, x: Tensor) -> Tensor:
    """log(x^a exp(-x) / gamma(a)), without the cancellation of large terms where a is large."""
    large, small = td.maximum(a, 10.0), td.minimum(a, 10.0)
    relative = (x - large) / large
    by_stirling = (
        large * (td.log1p(relative) - relative) + 0.5 * td.log(large / (2 * math.pi)) - stirling_rest(large)
    )
    return td.where(a > 10, by_stirling, small * td.log(x) - x - td.lgamma(small))


def in_float64(*values: TensorLike) -> tuple[td.dtype, list[Tensor]]:
    """The floating dtype in which they meet, and they in float64, as tensors of one shape."""
    values = tuple(x if isinstance(x, (int, float)) else td.asarray(x) for x in values)
    dtype = td.result_type(*values)
    wide = [
        x.astype(td.float64) if isinstance(x, Tensor) else td.asarray(x, dtype=td.float64) for x in values
    ]
    return dtype if dtype.is_floating_point else td.float32, td.broadcast_arrays(*wide)


def _parts(a: TensorLike, x: TensorLike) -> tuple[Tensor, Tensor]:
    """The parts of the gamma distribution of shape a below and above x."""
    dtype, (a, x) = in_float64(a, x)
    is_inside = td.logical_and(td.logical_and(a > 0, x > 0), td.logical_and(td.isfinite(a), td.isfinite(x)))
    inner_a, inner_x = td.where(is_inside, a, 1.0), td.where(is_inside, x, 1.0)
    is_below, part = tail(inner_a, inner_x)
    part = part * td.exp(_log_scaled_density(inner_a, inner_x))
    # Where one of them is 0 or infinite all lies on one side of x, but where both are.
    is_known = td.logical_and(td.logical_and(a >= 0, x >= 0), a != x)
    outside = td.where(is_known, td.astype(x > a, x.dtype), math.nan)
    below = td.where(is_inside, td.where(is_below, part, 1 - part), outside)
    above = td.where(is_inside, td.where(is_below, 1 - part, part), 1 - outside)
    return below.astype(dtype), above.astype(dtype)


def gammainc(a: TensorLike, x: TensorLike) -> Tensor:
    """The regularised lower incomplete gamma function, the integral of t^(a-1) exp(-t) from 0 to x divided by
    gamma(a): the part below x of the gamma distribution of shape a. NaN unless a >= 0 and x >= 0; where one
    of them is 0 or infinite the limit, NaN where both are. It has derivatives by both; of any floating dtype,
    computed in float64.

    Examples
    --------
    >>> td.special.gammainc(td.tensor([1.0]), td.tensor([1.0]))
    tensor([0.63212055], dtype=float32)
    """
    return _parts(a, x)[0]


def gammaincc(a: TensorLike, x: TensorLike) -> Tensor:
    """1 - gammainc(a, x), accurate where that is near 1.

    Examples
    --------
    >>> td.special.gammaincc(td.tensor([1.0]), td.tensor([1.0]))
    tensor([0.36787945], dtype=float32)
    """
    return _parts(a, x)[1]
