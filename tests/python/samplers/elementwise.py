"""The rows of elementwise.def and their references."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import mpmath
import numpy as np
import tidu as td
from scipy import special
from tidu.nn import functional as F

from .case import Case, Draw
from .primitives import ROWS
from .tensors import DTYPES, FLOATS, INTEGERS, NUMBERS


def in_double(function):
    """SciPy's functions are not there for wider types."""
    return lambda *arrays: function(*(np.asarray(array, np.float64) for array in arrays))


def integers_or(for_integers, for_floats):
    return lambda *arrays: (for_floats if arrays[-1].dtype.kind == "f" else for_integers)(*arrays)


def sigmoid(x):
    return np.where(x < 0, np.exp(np.minimum(x, 0)), 1) / (1 + np.exp(-np.abs(x)))


def softplus(x):
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def phi(x):
    return in_double(special.ndtr)(x)


def times(a, b):
    return np.where((a == 0) | (b == 0), 0, a * b)


def terms_of_gelu_tanh(x):
    """Those that its slope is the sum of."""
    c = np.sqrt(8 / np.longdouble(np.pi))
    u, du = c * (x + 0.044715 * x**3), c * (1 + 3 * 0.044715 * x**2)
    return sigmoid(u), times(x, times(du, sigmoid(u) * sigmoid(-u)))


def terms_of_mish(x):
    w = softplus(x)
    return np.tanh(w), times(4 * x, sigmoid(x) * (sigmoid(2 * w) * sigmoid(-2 * w)))


BARELY_POSITIVE = 3.7200759760208361e-44  # exp(-100)


def bounded(y):
    return np.where(y < -100, -100, y)


SUMS_OF_TERMS = {
    "slope_of_silu": lambda x: (sigmoid(x), times(x, sigmoid(x) * sigmoid(-x))),
    "slope_of_gelu": lambda x: (phi(x), times(x, np.exp(-x * x / 2) / np.sqrt(2 * np.longdouble(np.pi)))),
    "slope_of_gelu_tanh": terms_of_gelu_tanh,
    "slope_of_mish": terms_of_mish,
    "slope_of_logistic_loss": lambda a, b: (times(sigmoid(a), 1 - b), -times(sigmoid(-a), b)),
    "logistic_loss": lambda a, b: (times(softplus(-a), b), times(softplus(a), 1 - b)),
    "slope_of_bernoulli_loss": lambda a, b: (
        np.where(a >= 1, 0, (1 - b) / (1 - a)),
        -np.where(a < BARELY_POSITIVE, 0, b / a),
    ),
    "divergence_loss": lambda a, b: (
        np.where(b == 0, 0, b * np.log(b)),
        -np.where(np.isnan(a), a, times(b, a)),
    ),
    "bernoulli_loss": lambda a, b: ((b - 1) * bounded(np.log1p(-a)), -b * bounded(np.log(a))),
}


def sum_of_terms(name):
    return lambda *x: sum(SUMS_OF_TERMS[name](*x))


def tanhshrink(x):
    x = np.asarray(x, np.longdouble)
    one, small = np.longdouble(1), np.where(np.abs(x) < 0.1, x, 0)
    series = np.zeros_like(x)
    for above, below in (
        (6404582, 10854718875),
        (929569, 638512875),
        (21844, 6081075),
        (1382, 155925),
        (62, 2835),
        (17, 315),
        (2, 15),
        (1, 3),
    ):
        series = one * above / below - small**2 * series
    return np.where(np.abs(x) < 0.1, small**3 * series, x - np.tanh(x))


def huber(x, delta=1.0, divisor=1.0):
    return np.where(np.abs(x) <= delta, x * x / 2, delta * (np.abs(x) - delta / 2)) / divisor


def exactly(function):
    """A function of one number and options in 60 digits, of each element."""

    def one(x, *options):
        try:
            with mpmath.workdps(60):
                return float(function(mpmath.mpf(float(x)), *options))
        except (ValueError, ZeroDivisionError, mpmath.libmp.NoConvergence):
            return math.nan

    return lambda x, *options, **named: np.vectorize(one, otypes=[np.float64])(x, *options, *named.values())


def with_limits(at_minus_infinity, at_infinity, function):
    """A function whose limits at infinities mpmath does not know."""
    limits = {-math.inf: at_minus_infinity, math.inf: at_infinity}

    def of(x, *options):
        limit = limits.get(float(x))
        return function(x, *options) if limit is None else limit(*options) if callable(limit) else limit

    return exactly(of)


def erfcx(x, order=0):
    before, y = 2 / mpmath.sqrt(mpmath.pi), mpmath.erfc(x) * mpmath.exp(x * x)
    for n in range(1, int(order) + 1):  # of the n-fold integral of erfc
        before, y = y, (before - 2 * x * y) / (2 * n)
    return (-2) ** int(order) * mpmath.factorial(int(order)) * y


def log_ndtr(x):
    return mpmath.log1p(-mpmath.ncdf(-x)) if x > 0 else mpmath.log(mpmath.ncdf(x))


def ndtri(p):
    if p < 0 or p > 1:
        return math.nan
    return {0: -math.inf, 1: math.inf}.get(float(p)) or mpmath.sqrt(2) * mpmath.erfinv(2 * p - 1)


def erfinv(x):
    return {-1: -math.inf, 1: math.inf}.get(float(x)) or (mpmath.erfinv(x) if abs(x) < 1 else math.nan)


def lgamma(x):
    return math.inf if x <= 0 and x == mpmath.floor(x) else mpmath.log(abs(mpmath.gamma(x)))


def digamma(x):
    if x == 0:
        return -math.inf
    return math.nan if x < 0 and x == mpmath.floor(x) else mpmath.digamma(x)


def polygamma(x, n=1):
    if x <= 0 and x == mpmath.floor(x):
        return (-1) ** int(n + 1) * math.inf
    return mpmath.polygamma(int(n), x)


def bessel_i(x, order=0):
    return mpmath.besseli(abs(int(order)), x)


def bessel_ie(x, order=0, derivative=0):
    """The mean of (cos(u) - 1)^m cos(n u) exp(x (cos(u) - 1)) over a circle, of x > 0."""
    n, m = abs(int(order)), int(derivative)
    if m > 0 and x == 0 and (n + m) % 2:
        return 0
    weights = [(-1) ** k * mpmath.binomial(2 * m, m + k) * mpmath.mpf(-0.5) ** m for k in range(-m, m + 1)]
    y = sum(w * bessel_i(abs(x), n + k) for w, k in zip(weights, range(-m, m + 1), strict=True))
    return (-1 if x < 0 and (n + m) % 2 else 1) * mpmath.exp(-abs(x)) * y


def sinc(x, order=0):
    """The integral of cos(pi x u) over u in [0, 1], derived under the integral sign, as a power series."""
    n, t = int(order), mpmath.pi * x
    if n == 0:
        return mpmath.mpf(1) if x == 0 else mpmath.sinpi(x) / t
    if abs(t) < 20:
        terms = (
            (-1) ** ((k + n) // 2) * t**k / (mpmath.factorial(k) * (k + n + 1)) for k in range(n % 2, 160, 2)
        )
        return mpmath.pi**n * mpmath.fsum(terms)
    s = mpmath.sinpi(x) / t
    for m in range(1, n + 1):
        cycle = (mpmath.sinpi(x), mpmath.cospi(x), -mpmath.sinpi(x), -mpmath.cospi(x))[m % 4]
        s = (cycle - m * s) / t
    return mpmath.pi**n * s


def logical(function):
    return lambda *arrays: function(*(array != 0 for array in arrays))


def integer_power(a, b):
    powers = [int(x) ** int(y) for x, y in zip(a.flat, b.flat, strict=True)]
    width = 8 * a.itemsize
    wrapped = [power % (1 << width) for power in powers]
    return np.array(wrapped, np.uint64).astype(a.dtype).reshape(a.shape)


def shift(function):
    """A bool is one bit wide."""
    return lambda a, b: a & ~b if a.dtype == bool else function(a, b)


# In 60 digits, for few numbers.
EXACT = {
    "erfcx": with_limits(math.inf, 0.0, erfcx),
    "erfinv": exactly(erfinv),
    "ndtr": exactly(mpmath.ncdf),
    "log_ndtr": with_limits(-math.inf, 0.0, log_ndtr),
    "ndtri": exactly(ndtri),
    "lgamma": with_limits(math.inf, math.inf, lgamma),
    "digamma": with_limits(math.nan, math.inf, digamma),
    "polygamma": with_limits(math.nan, 0.0, polygamma),
    "bessel_i": with_limits(lambda order=0: (-1) ** int(order) * math.inf, math.inf, bessel_i),
    "bessel_ie": with_limits(0.0, 0.0, bessel_ie),
    "sinc": with_limits(0.0, 0.0, sinc),
}


def unless_derived(function, name):
    """The exact one has the derivatives too."""
    return lambda x, order=0.0: in_double(function)(x) if order == 0 else EXACT[name](x, order)


def sinc_of(x):
    pi, size = 4 * np.arctan(np.longdouble(1)), np.abs(x)
    r = size - 2 * np.rint(size / 2)  # exact, as 1 - r is
    sine = np.sin(pi * np.where(np.abs(r) > 0.5, np.sign(r) - r, r))
    return np.where(x == 0, 1, np.where(np.isinf(x), 0, sine / np.where(x == 0, 1, pi * size)))


INF = math.inf
SELU_SCALE, SELU_ALPHA = 1.0507009873554804934, 1.6732632423543772848


class Row(NamedTuple):
    """Of a differentiable function of one argument: beside its reference, the first and the second derivative
    where x tends to a point from within the domain; {} where it has no special points."""

    reference: Callable
    limits: dict


ROW_REFERENCES = {
    "negative": Row(np.negative, {}),
    "signbit": integers_or(lambda x: x < 0, np.signbit),
    "copysign": np.copysign,
    "gcd": lambda a, b: a | b if a.dtype == bool else np.gcd(a, b),
    "cbrt": Row(np.cbrt, {0: (INF, -INF), INF: (0, 0), -INF: (0, 0)}),
    "gelu_tanh": Row(
        lambda x: x * sigmoid(np.sqrt(8 / np.longdouble(np.pi)) * (x + 0.044715 * x**3)),
        {0: (0.5, math.sqrt(2 / math.pi)), INF: (1, 0), -INF: (0, 0)},
    ),
    "mish": Row(lambda x: x * np.tanh(softplus(x)), {0: (0.6, 0.64), INF: (1, 0), -INF: (0, 0)}),
    "hardtanh": Row(
        lambda x, min_val=-1.0, max_val=1.0: np.clip(x, min_val, max_val),
        {-1: (0, 0), 0: (1, 0), 1: (0, 0), INF: (0, 0), -INF: (0, 0)},
    ),
    "erfcx": Row(
        unless_derived(special.erfcx, "erfcx"),
        {0: (-2 / math.sqrt(math.pi), 2), INF: (0, 0), -INF: (-INF, INF)},
    ),
    "erfinv": Row(
        in_double(special.erfinv), {0: (math.sqrt(math.pi) / 2, 0), 1: (INF, INF), -1: (INF, -INF)}
    ),
    "ndtr": Row(in_double(special.ndtr), {0: (1 / math.sqrt(2 * math.pi), 0), INF: (0, 0), -INF: (0, 0)}),
    "log_ndtr": Row(in_double(special.log_ndtr), {0: (math.sqrt(2 / math.pi), -2 / math.pi), INF: (0, 0)}),
    "ndtri": Row(in_double(special.ndtri), {0.5: (math.sqrt(2 * math.pi), 0), 0: (INF, -INF), 1: (INF, INF)}),
    "lgamma": Row(in_double(special.gammaln), {0: (-INF, INF), INF: (INF, 0)}),
    "digamma": Row(in_double(special.psi), {0: (INF, -INF), INF: (0, 0)}),
    "polygamma": Row(
        lambda x, n=1.0: in_double(lambda x: special.polygamma(int(n), x))(x), {0: (-INF, INF), INF: (0, 0)}
    ),
    "bessel_i": Row(
        lambda x, order=0.0: in_double(lambda x: special.iv(abs(order), x))(x),
        {0: (0, 0.5), INF: (INF, INF), -INF: (-INF, INF)},
    ),
    "bessel_ie": Row(
        lambda x, order=0.0, derivative=0.0: (
            in_double(lambda x: special.ive(abs(order), x))(x)
            if derivative == 0
            else EXACT["bessel_ie"](x, order, derivative)
        ),
        {0: (0, 1.5), INF: (0, 0), -INF: (0, 0)},
    ),
    "sinc": Row(
        lambda x, order=0.0: sinc_of(x) if order == 0 else EXACT["sinc"](x, order),
        {0: (0, -(math.pi**2) / 3), 1: (-1, 2), INF: (0, 0), -INF: (0, 0)},
    ),
    "logit": Row(in_double(special.logit), {0.5: (4, 0), 0: (INF, -INF), 1: (INF, INF)}),
    "entr": Row(in_double(special.entr), {0: (INF, -INF), 1: (-1, -1), INF: (-INF, 0)}),
    "xlogy": in_double(special.xlogy),
    "xlog1py": in_double(special.xlog1py),
    "abs": Row(np.abs, {0: (0, 0), INF: (1, 0), -INF: (-1, 0)}),
    "sign": np.sign,
    "floor": integers_or(np.array, np.floor),
    "ceil": integers_or(np.array, np.ceil),
    "trunc": integers_or(np.array, np.trunc),
    "round": integers_or(np.array, np.rint),
    "square": Row(lambda x: x * x, {0: (0, 2), INF: (INF, 2)}),
    "reciprocal": Row(lambda x: 1 / x, {0: (-INF, INF), INF: (0, 0), -INF: (0, 0)}),
    "sqrt": Row(np.sqrt, {0: (INF, -INF), INF: (0, 0)}),
    "rsqrt": Row(lambda x: 1 / np.sqrt(x), {0: (-INF, INF), INF: (0, 0)}),
    "exp": Row(np.exp, {-INF: (0, 0), INF: (INF, INF)}),
    "exp2": Row(np.exp2, {-INF: (0, 0), INF: (INF, INF)}),
    "expm1": Row(np.expm1, {-INF: (0, 0), INF: (INF, INF), 0: (1, 1)}),
    "log": Row(np.log, {0: (INF, -INF), INF: (0, 0)}),
    "log2": Row(np.log2, {0: (INF, -INF), INF: (0, 0)}),
    "log10": Row(np.log10, {0: (INF, -INF), INF: (0, 0)}),
    "log1p": Row(np.log1p, {-1: (INF, -INF), INF: (0, 0), 0: (1, -1)}),
    "sin": Row(np.sin, {}),
    "cos": Row(np.cos, {}),
    "tan": Row(np.tan, {}),
    "asin": Row(np.arcsin, {1: (INF, INF), -1: (INF, -INF), 0: (1, 0)}),
    "acos": Row(np.arccos, {1: (-INF, -INF), -1: (-INF, INF), 0: (-1, 0)}),
    "atan": Row(np.arctan, {INF: (0, 0), -INF: (0, 0), 0: (1, 0)}),
    "sinh": Row(np.sinh, {0: (1, 0), INF: (INF, INF), -INF: (INF, -INF)}),
    "cosh": Row(np.cosh, {0: (0, 1), INF: (INF, INF), -INF: (-INF, INF)}),
    "tanh": Row(np.tanh, {0: (1, 0), INF: (0, 0), -INF: (0, 0)}),
    "asinh": Row(np.arcsinh, {INF: (0, 0), -INF: (0, 0), 0: (1, 0)}),
    "acosh": Row(np.arccosh, {1: (INF, -INF), INF: (0, 0)}),
    "atanh": Row(np.arctanh, {1: (INF, INF), -1: (INF, -INF), 0: (1, 0)}),
    "sigmoid": Row(sigmoid, {0: (0.25, 0), INF: (0, 0), -INF: (0, 0)}),
    "log_sigmoid": Row(lambda x: -softplus(-x), {0: (0.5, -0.25), INF: (0, 0), -INF: (1, 0)}),
    "softplus": Row(softplus, {0: (0.5, 0.25), INF: (1, 0), -INF: (0, 0)}),
    "relu": Row(lambda x: np.maximum(x, 0), {0: (0, 0), INF: (1, 0), -INF: (0, 0)}),
    "leaky_relu": Row(
        lambda x, negative_slope=0.01: np.where(x > 0, x, negative_slope * x),
        {0: (0.01, 0), INF: (1, 0), -INF: (0.01, 0)},
    ),
    "slope_of_leaky_relu": lambda x, negative_slope=0.01: np.where(x > 0, np.ones_like(x), negative_slope),
    "slope_of_hardtanh": lambda x, min_val=-1.0, max_val=1.0: np.where(
        (x > min_val) & (x < max_val), np.ones_like(x), 0
    ),
    "elu": Row(
        lambda x, alpha=1.0: np.where(x > 0, x, alpha * np.expm1(x)), {0: (1, 1), INF: (1, 0), -INF: (0, 0)}
    ),
    "silu": Row(lambda x: x * sigmoid(x), {0: (0.5, 0.5), INF: (1, 0), -INF: (0, 0)}),
    "gelu": Row(lambda x: x * phi(x), {0: (0.5, math.sqrt(2 / math.pi)), INF: (1, 0), -INF: (0, 0)}),
    "selu": Row(
        lambda x: SELU_SCALE * np.where(x > 0, x, SELU_ALPHA * np.expm1(x)),
        {0: (SELU_SCALE * SELU_ALPHA, SELU_SCALE * SELU_ALPHA), INF: (SELU_SCALE, 0), -INF: (0, 0)},
    ),
    "celu": Row(
        lambda x, alpha=1.0: np.where(x > 0, x, alpha * np.expm1(x / alpha)),
        {0: (1, 1), INF: (1, 0), -INF: (0, 0)},
    ),
    "hardsigmoid": Row(
        lambda x: np.clip(x + 3, 0, 6) / 6, {-3: (0, 0), 0: (1 / 6, 0), 3: (0, 0), INF: (0, 0), -INF: (0, 0)}
    ),
    "hardswish": Row(
        lambda x: times(x, np.clip(x + 3, 0, 6) / 6),
        {-3: (0, 0), 0: (0.5, 1 / 3), 3: (1, 0), INF: (1, 0), -INF: (0, 0)},
    ),
    "slope_of_hardswish": Row(
        lambda x: np.where(x <= -3, 0, np.where(x >= 3, 1, x / 3 + 0.5)),
        {-3: (0, 0), 0: (1 / 3, 0), 3: (0, 0), INF: (0, 0), -INF: (0, 0)},
    ),
    "softsign": Row(
        lambda x: np.where(np.isinf(x), np.sign(x), x / (1 + np.abs(x))),
        {0: (1, 0), INF: (0, 0), -INF: (0, 0)},
    ),
    "tanhshrink": Row(tanhshrink, {0: (0, 0), INF: (1, 0), -INF: (1, 0)}),
    "softshrink": Row(
        lambda x, lambd=0.5: np.where(x > lambd, x - lambd, np.where(x < -lambd, x + lambd, x * 0)),
        {0.5: (0, 0), 0: (0, 0), -0.5: (0, 0), INF: (1, 0), -INF: (1, 0)},
    ),
    "hardshrink": Row(
        lambda x, lambd=0.5: np.where(np.abs(x) <= lambd, 0, x),
        {0.5: (0, 0), 0: (0, 0), -0.5: (0, 0), INF: (1, 0), -INF: (1, 0)},
    ),
    "threshold": Row(
        lambda x, threshold=0.0, value=0.0: np.where(x <= threshold, value, x),
        {0: (0, 0), INF: (1, 0), -INF: (0, 0)},
    ),
    "huber": Row(huber, {0: (0, 1), 1: (1, 0), -1: (-1, 0), INF: (1, 0), -INF: (-1, 0)}),
    "logistic_loss": sum_of_terms("logistic_loss"),
    "slope_of_logistic_loss": sum_of_terms("slope_of_logistic_loss"),
    "bernoulli_loss": sum_of_terms("bernoulli_loss"),
    "divergence_loss": sum_of_terms("divergence_loss"),
    "slope_of_bernoulli_loss": sum_of_terms("slope_of_bernoulli_loss"),
    "slope_of_silu": Row(sum_of_terms("slope_of_silu"), {0: (0.5, 0), INF: (0, 0), -INF: (0, 0)}),
    "slope_of_gelu": Row(
        sum_of_terms("slope_of_gelu"), {0: (math.sqrt(2 / math.pi), 0), INF: (0, 0), -INF: (0, 0)}
    ),
    "slope_of_gelu_tanh": Row(
        sum_of_terms("slope_of_gelu_tanh"), {0: (math.sqrt(2 / math.pi), 0), INF: (0, 0), -INF: (0, 0)}
    ),
    "slope_of_mish": Row(sum_of_terms("slope_of_mish"), {0: (0.64, -0.096), INF: (0, 0), -INF: (0, 0)}),
    "erf": Row(in_double(special.erf), {0: (2 / math.sqrt(math.pi), 0), INF: (0, 0), -INF: (0, 0)}),
    "erfc": Row(in_double(special.erfc), {0: (-2 / math.sqrt(math.pi), 0), INF: (0, 0), -INF: (0, 0)}),
    "isnan": np.isnan,
    "isinf": np.isinf,
    "isfinite": np.isfinite,
    "logical_not": logical(np.logical_not),
    "bitwise_invert": np.invert,
    "add": np.add,
    "subtract": np.subtract,
    "multiply": np.multiply,
    "multiply_no_nan": times,
    "divide": np.divide,
    "floor_divide": np.floor_divide,
    "remainder": np.remainder,
    "pow": integers_or(integer_power, np.power),
    "maximum": np.maximum,
    "minimum": np.minimum,
    "atan2": np.arctan2,
    "hypot": np.hypot,
    "logaddexp": np.logaddexp,
    "equal": np.equal,
    "not_equal": np.not_equal,
    "less": np.less,
    "less_equal": np.less_equal,
    "greater": np.greater,
    "greater_equal": np.greater_equal,
    "logical_and": logical(np.logical_and),
    "logical_or": logical(np.logical_or),
    "logical_xor": logical(np.logical_xor),
    "bitwise_and": np.bitwise_and,
    "bitwise_or": np.bitwise_or,
    "bitwise_xor": np.bitwise_xor,
    "bitwise_left_shift": shift(np.left_shift),
    "bitwise_right_shift": shift(np.right_shift),
    "where": np.where,
}
REFERENCES = {name: row.reference if isinstance(row, Row) else row for name, row in ROW_REFERENCES.items()}
LIMITS = {name: row.limits for name, row in ROW_REFERENCES.items() if isinstance(row, Row)}


# Integers that are not drawn from their whole type.
INTEGER_RANGES = {
    "pow": (0, 5),
    "bitwise_left_shift": (0, 70),
    "bitwise_right_shift": (0, 70),
    "ndtri": (0, 1),
    "logit": (0, 1),
    "bernoulli_loss": (0, 1),
    "slope_of_bernoulli_loss": (0, 1),
}

# The error of erfc(x) in its tail grows with x^2, and SciPy has its own; that of a sum grows with its terms;
# close to a zero of a function the error of its arguments counts.
ULPS = {
    "ndtr": 24,
    "log_ndtr": 24,
    "digamma": 8,
    "gelu": 24,
    "erfc": 12,
    "gelu_tanh": 24,
    "slope_of_gelu": 24,
    "slope_of_gelu_tanh": 24,
    "erfcx": 12,
    "polygamma": 12,
    "bessel_i": 16,
    "bessel_ie": 16,
}
SCALES = {
    "logaddexp": lambda a, b: np.maximum(np.abs(a), np.abs(b)) + 1,
    "digamma": lambda x: np.abs(REFERENCES["digamma"](x)) + 1,
    "lgamma": lambda x: np.abs(REFERENCES["lgamma"](x)) + 1,
    **{name: lambda *x, f=terms: sum(map(np.abs, f(*x))) for name, terms in SUMS_OF_TERMS.items()},
}
# Rows whose parameter is an integer: tests/python/test_special.py has other orders than the defaults.
OF_ORDERS = {"erfcx", "polygamma", "bessel_i", "bessel_ie", "sinc"}

# The sign of b does not change where it has a derivative.
WITHOUT_DERIVATIVE = {("copysign", 1)}

TYPES = {
    "floating": FLOATS,
    "numeric": NUMBERS,
    "any": DTYPES,
    "integral": [td.bool, *INTEGERS],
    "boolean": DTYPES,
    "choice": DTYPES,
}


def slope_of(function):
    def slope(x, *others):
        y, pullback = td.vjp(lambda x: function(x, *others), x)
        return pullback(td.ones_like(y))[0]

    return slope


def smooth_l1(x, delta=1.0, divisor=1.0):
    assert delta == divisor
    return F.smooth_l1_loss(x, td.zeros_like(x), "none", delta)


def logistic_loss(a, b):
    return F.binary_cross_entropy_with_logits(a, b, "none")


def bernoulli_loss(a, b):
    return F.binary_cross_entropy(a, b, "none")


# Rows that Python reaches by derivatives and losses, of floats alone.
OF_FLOATS_ALONE = {
    "huber": smooth_l1,
    "logistic_loss": logistic_loss,
    "slope_of_logistic_loss": slope_of(logistic_loss),
    "bernoulli_loss": bernoulli_loss,
    "slope_of_bernoulli_loss": slope_of(bernoulli_loss),
    "divergence_loss": lambda a, b: F.kl_div(a, b, "none"),
    "slope_of_hardswish": slope_of(F.hardswish),
    "slope_of_leaky_relu": lambda x, negative_slope=0.01: slope_of(td.leaky_relu)(x, negative_slope),
    "slope_of_hardtanh": lambda x, min_val=-1.0, max_val=1.0: slope_of(td.hardtanh)(x, min_val, max_val),
    **{f"slope_of_{name}": slope_of(getattr(td, name)) for name in ("silu", "gelu", "gelu_tanh", "mish")},
}
# Rows without a function of their name.
UNNAMED = {
    **{name: getattr(F, name) for name in ("selu", "celu", "hardsigmoid", "hardswish", "softsign")},
    **{name: getattr(F, name) for name in ("tanhshrink", "softshrink", "hardshrink")},
    "threshold": lambda x, threshold=0.0, value=0.0: F.threshold(x, threshold, value),
    **OF_FLOATS_ALONE,
}


def row_function(name):
    """A row as a function of tensors: td.polygamma has the order before x, as SciPy's."""
    return UNNAMED.get(name) or getattr(td.Tensor if name == "polygamma" else td, name)


def elementwise_case(name, row, parameters=None):
    inside = (int(np.ceil(row["low"])), int(np.floor(row["high"])))
    integers = INTEGER_RANGES.get(name, inside if row["types"] == "floating" else None)
    draw = Draw((3, 4), row["low"], row["high"], integers)
    inputs = [draw] * row["arity"]
    if row["types"] == "choice":
        inputs[0] = Draw((3, 4), dtype=td.bool)
    boolean = row["boolean_result"]
    differentiable = range(len(inputs)) if row["derivative"] != "zero" else ()
    label = ", ".join(f"{key}={value}" for key, value in (parameters or {}).items())
    case_name = f"{name}, {label}" if label else name
    return Case(
        name=case_name,
        covers=(name,),
        function=functools.partial(row_function(name), **(parameters or {})),
        reference=functools.partial(REFERENCES[name], **(parameters or {})),
        inputs=tuple(inputs),
        dtypes=tuple(TYPES[row["types"]]),
        differentiable=tuple(
            i for i in differentiable if inputs[i].dtype is None and (name, i) not in WITHOUT_DERIVATIVE
        ),
        result=lambda dtype: td.bool if boolean else dtype,
        ulps=ULPS.get(name, 4.0),
        scale=SCALES.get(case_name),
    )


def cases():
    found = [elementwise_case(name, row) for name, row in ROWS.items() if name in REFERENCES]
    return found + [  # with other parameters than the defaults
        elementwise_case(name, row, {key: value + 0.3 for key, value in row["parameters"].items()})
        for name, row in ROWS.items()
        if row["parameters"] and name in REFERENCES and name not in OF_ORDERS
    ]
