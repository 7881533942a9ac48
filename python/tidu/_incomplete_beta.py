"""The regularised incomplete beta function and its inverse."""

from __future__ import annotations

import math
from collections.abc import Callable

from tidu import _core as td
from tidu._control import scan, while_loop
from tidu._core import Tensor
from tidu._implicit import custom_root
from tidu._incomplete_gamma import in_float64, rule, stirling_rest
from tidu.typing import TensorLike

_NODES = rule(96)


def _tail(a: Tensor, b: Tensor, x: Tensor, rest: Tensor) -> Tensor:
    """The integral of t^(a-1) (1-t)^(b-1) from 0 to x, divided by x^a (1-x)^b, for x <= (a+1) / (a+b+2); rest
    is 1 - x.

    That of a comes from that of a + 1, by parts: its integrand decays at one rate alone, along v where
    t / (1 - t) = x / (1 - x) exp(-v), and is analytic in all arguments, at x = 0 too. As points and weights
    are constant, every derivative of the sum is that of the integral.
    """
    more, total = a + 1, a + b
    fixed_more, fixed_b, fixed_x, fixed_rest = (td.stop_gradient(each) for each in (more, b, x, rest))
    slope = fixed_more * fixed_rest - fixed_b * fixed_x
    curvature = (fixed_more + fixed_b) * fixed_x * fixed_rest
    width = td.maximum(2 / (slope + td.sqrt(slope * slope + 2 * curvature)), td.reciprocal(fixed_more))

    def add(sum_: Tensor, node: tuple[Tensor, Tensor]) -> tuple[Tensor, None]:
        point, weight = node
        v = point * width
        # x / t = 1 + rest (exp(v) - 1) and rest / (1 - t) = 1 - x (1 - exp(-v))
        decay = more * td.log1p(rest * td.expm1(v)) + b * td.log1p(x * td.expm1(-v))
        return sum_ + weight * width * td.exp(-decay), None

    points, weights = (td.asarray(values, dtype=td.float64, device=x.device) for values in _NODES)
    return (1 + x * total * scan(add, td.zeros_like(x), (points, weights))[0]) / a


def _log_power(x: Tensor, share: Tensor, excess: Tensor) -> Tensor:
    """log(x / share), where excess = x / share - 1 is known well near 0."""
    is_near = td.abs(excess) < 0.5
    return td.where(
        is_near, td.log1p(td.where(is_near, excess, 0.0)), td.log(td.where(is_near, 1.0, x / share))
    )


def _log_scale(a: Tensor, b: Tensor, x: Tensor, rest: Tensor) -> Tensor:
    """log(x^a (1-x)^b / beta(a, b)), without the cancellation of large terms where a or b is large."""
    total = a + b
    off = b * x - a * rest  # 0 at x = a / (a + b)
    powers = a * _log_power(x, a / total, off / a) + b * _log_power(rest, b / total, -off / b)
    shape = 0.5 * (td.log(a) + td.log(b / total) - math.log(2 * math.pi))
    return powers + shape + stirling_rest(total) - stirling_rest(a) - stirling_rest(b)


def _split(a: Tensor, b: Tensor, x: Tensor, rest: Tensor) -> tuple[Tensor, Tensor]:
    """Whether x <= (a+1) / (a+b+2), and the logarithm of a part of the distribution: of that below x there,
    else of that above."""
    is_below = (a + 1) * rest >= (b + 1) * x
    a, b = td.where(is_below, a, b), td.where(is_below, b, a)
    x, rest = td.where(is_below, x, rest), td.where(is_below, rest, x)
    return is_below, _log_scale(a, b, x, rest) + td.log(_tail(a, b, x, rest))


def _is_positive(x: Tensor) -> Tensor:
    return td.logical_and(x > 0, td.isfinite(x))


def _parts(a: TensorLike, b: TensorLike, x: TensorLike) -> tuple[Tensor, Tensor]:
    """The parts of the beta distribution of a and b below and above x."""
    dtype, (a, b, x) = in_float64(a, b, x)
    has_shape = td.logical_and(_is_positive(a), _is_positive(b))
    is_inside = td.logical_and(has_shape, td.logical_and(x > 0, x < 1))
    a, b = (td.where(is_inside, each, 1.0) for each in (a, b))
    inner = td.where(is_inside, x, 0.5)
    is_below, log_part = _split(a, b, inner, 1 - inner)
    part, other = td.exp(log_part), -td.expm1(log_part)
    at_bound = td.logical_and(has_shape, td.logical_or(x == 0, x == 1))
    outside = td.where(at_bound, x, math.nan)
    below = td.where(is_inside, td.where(is_below, part, other), outside)
    above = td.where(is_inside, td.where(is_below, other, part), 1 - outside)
    return below.astype(dtype), above.astype(dtype)


def betainc(a: TensorLike, b: TensorLike, x: TensorLike) -> Tensor:
    """The regularised incomplete beta function, the integral of t^(a-1) (1-t)^(b-1) from 0 to x divided by
    beta(a, b): the part below x of the beta distribution of a and b.

    Differentiable by all three, in the interior; computed in float64.

    Parameters
    ----------
    a, b : Tensor or number
        Positive.
    x : Tensor or number
        In [0, 1].

    Returns
    -------
    Tensor
        Of the shape to which the three broadcast; NaN where one is out of range.

    Examples
    --------
    >>> td.special.betainc(1.0, 2.0, td.tensor([0.0, 0.5, 1.0]))  # 1 - (1 - x)^2
    tensor([0.  , 0.75, 1.  ], dtype=float32)
    """
    return _parts(a, b, x)[0]


def betaincc(a: TensorLike, b: TensorLike, x: TensorLike) -> Tensor:
    """1 - betainc(a, b, x), accurate where that is near 1.

    Parameters
    ----------
    a, b, x : Tensor or number
        As betainc takes them.

    Returns
    -------
    Tensor
        The part above x.

    Examples
    --------
    >>> td.special.betaincc(1.0, 2.0, 0.5)
    tensor(0.25, dtype=float32)
    """
    return _parts(a, b, x)[1]


_MOST_STEPS = 100  # more than any element needs
_LARGEST_LOGIT = 708.0


def quantile_logit(a: Tensor, b: Tensor, p: Tensor) -> Tensor:
    """log(x / (1 - x)) for betainc(a, b, x) = p, without derivatives; all float64 of one shape, p in (0, 1).

    The logarithm of the part below is concave in the logit, so from its second value on Newton's iteration
    goes up to the root and never past it.
    """
    is_lower = p <= 0.5
    a, b = td.where(is_lower, a, b), td.where(is_lower, b, a)
    log_p = td.log(td.where(is_lower, p, 1 - p))

    def is_far(carry: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        _, step, count = carry
        return td.logical_and(count < _MOST_STEPS, td.any(td.abs(step) > 1e-15))

    def newton(carry: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        y, _, count = carry
        x, rest = td.sigmoid(y), td.sigmoid(-y)
        is_below, log_part = _split(a, b, x, rest)
        log_below = td.where(is_below, log_part, td.log1p(-td.exp(log_part)))
        new = y + (log_p - log_below) * td.exp(log_below - _log_scale(a, b, x, rest))
        new = td.clip(new, -_LARGEST_LOGIT, _LARGEST_LOGIT)
        # From below steps go up; one that does not is rounding.
        settled = td.logical_and(count > 0, new <= y)
        new = td.where(settled, y, new)
        return new, (new - y) / td.maximum(td.abs(y), 1.0), count + 1

    start = td.log(a) - td.log(b)
    zero = td.zeros((), dtype=td.int64, device=a.device)
    y = while_loop(is_far, newton, (start, td.ones_like(start), zero))[0]
    return td.where(is_lower, y, -y)


def inverse_of(function: Callable[[Tensor], Tensor], value: Tensor, p: Tensor) -> Tensor:
    """`value`, at which `function` is p element by element, with the derivatives that this gives it."""
    return custom_root(
        lambda x: function(x) - p,
        td.stop_gradient(value),
        lambda f, x: x,
        lambda g, y: y / g(td.ones_like(y)),
    )


def betaincinv(a: TensorLike, b: TensorLike, p: TensorLike) -> Tensor:
    """The x at which betainc(a, b, x) is p: a quantile of the beta distribution.

    Differentiable by all three, by the implicit function theorem; computed in float64.

    Parameters
    ----------
    a, b : Tensor or number
        Positive.
    p : Tensor or number
        In [0, 1].

    Returns
    -------
    Tensor
        Of the shape to which the three broadcast; NaN where one is out of range.

    Examples
    --------
    >>> td.special.betaincinv(1.0, 2.0, td.tensor([0.0, 0.75, 1.0]))
    tensor([0. , 0.5, 1. ], dtype=float32)
    """
    dtype, (a, b, p) = in_float64(a, b, p)
    has_shape = td.logical_and(_is_positive(a), _is_positive(b))
    is_inside = td.logical_and(has_shape, td.logical_and(p > 0, p < 1))
    a, b, inner = (td.where(is_inside, each, fixed) for each, fixed in ((a, 1.0), (b, 1.0), (p, 0.5)))
    value = td.sigmoid(quantile_logit(*(td.stop_gradient(each) for each in (a, b, inner))))
    x = inverse_of(lambda x: betainc(a, b, x), value, inner)
    outside = td.where(td.logical_and(has_shape, td.logical_or(p == 0, p == 1)), p, math.nan)
    return td.where(is_inside, x, outside).astype(dtype)


def log_of_tail(a: Tensor) -> Tensor:
    """log(x^a / betainc(a, 1/2, x)) of small x: log(a B(a, 1/2))."""
    return td.lgamma(a + 1) - td.lgamma(a + 0.5) + 0.5 * math.log(math.pi)


def student_cdf(df: Tensor, z: Tensor) -> Tensor:
    """The part of Student's t distribution of df degrees of freedom below z; computed in float64."""
    dtype = td.result_type(df, z)
    df, z = td.broadcast_arrays(df.astype(td.float64), z.astype(td.float64))
    half = 0.5 * df
    is_near = td.abs(z) < 1
    # Near 0 it is 1/2 and z times a function that is analytic in z^2.
    near = td.where(is_near, z, 0.0)
    spread = df + near * near
    density = td.exp(
        half * (td.log1p(0.5 / half) - td.log1p(near * near / df))
        + 0.5 * (td.log(half / (math.pi * spread)) - 1)
        + stirling_rest(half + 0.5)
        - stirling_rest(half)
    )
    center = 0.5 + 0.5 * near * density * _tail(
        td.full_like(half, 0.5), half, near * near / spread, df / spread
    )
    # Far out the first term of the tail is all of it; powers in derivatives may be no numbers there.
    is_end = td.logical_or(td.abs(z) >= 1e154, td.abs(z) >= td.maximum(1e60, 1e10 * td.sqrt(df)))
    is_far = td.logical_not(td.logical_or(is_near, is_end))
    far = td.where(is_far, z, 1.0)
    square = far * far
    is_below, log_part = _split(half, td.full_like(half, 0.5), df / (df + square), square / (df + square))
    outer = 0.5 * td.where(is_below, td.exp(log_part), -td.expm1(log_part))
    beyond = td.where(far > 0, 1 - outer, outer)
    size = td.where(is_end, td.abs(z), 1e60)
    tail = 0.5 * td.exp(half * (td.log(df) - 2 * td.log(size)) - log_of_tail(half))
    at_end = td.where(z > 0, 1 - tail, tail)
    return td.where(is_near, center, td.where(is_far, beyond, at_end)).astype(dtype)
