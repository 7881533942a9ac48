"""Distributions of real numbers."""

from __future__ import annotations

import math
from collections.abc import Callable

import tidu as td
from tidu._core import Tensor
from tidu.typing import TensorLike

from .. import _samplers as samplers
from .._core import random as uniform_samplers
from .._incomplete_beta import (
    betainc,
    betaincc,
    betaincinv,
    inverse_of,
    log_of_tail,
    quantile_logit,
    student_cdf,
)
from .._incomplete_gamma import gammainc, gammaincc
from .distribution import (
    EULER,
    HALF_LOG_2PI,
    ByLogits,
    Distribution,
    is_natural,
    log1p_square,
    log_beta,
    log_odds,
    tensors,
    within,
)


class Normal(Distribution):
    """The normal distribution of a mean and a standard deviation.

    Examples
    --------
    >>> td.distributions.Normal(0.0, 1.0).log_prob(0.0)
    tensor(-0.9189385, dtype=float32)
    """

    _parts = ("loc", "scale")

    def __init__(self, loc: float | Tensor = 0.0, scale: float | Tensor = 1.0) -> None:
        samplers._positive("Normal", scale=scale)
        self.loc, self.scale = tensors(loc, scale)

    def _log_prob(self, x: Tensor) -> Tensor:
        z = (x - self.loc) / self.scale
        return -0.5 * z * z - td.log(self.scale) - HALF_LOG_2PI

    def _rsample(self, key: Tensor, shape: tuple[int, ...]) -> Tensor:
        return self.loc + self.scale * uniform_samplers.normal(key, shape, dtype=self.loc.dtype)

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        return self.scale * self.scale

    def entropy(self) -> Tensor:
        return 0.5 + HALF_LOG_2PI + td.log(self.scale)

    def _cdf(self, x: Tensor) -> Tensor:
        return td.ndtr((x - self.loc) / self.scale)

    def _icdf(self, p: Tensor) -> Tensor:
        return self.loc + self.scale * td.ndtri(p)


class LogNormal(Distribution):
    """The distribution of exp(x) of a normal x with mean `loc` and standard deviation `scale`.

    Examples
    --------
    >>> td.distributions.LogNormal().icdf(0.5)
    tensor(1., dtype=float32)
    """

    _parts = ("loc", "scale")

    def __init__(self, loc: float | Tensor = 0.0, scale: float | Tensor = 1.0) -> None:
        samplers._positive("LogNormal", scale=scale)
        self.loc, self.scale = tensors(loc, scale)

    def _normal(self) -> Normal:
        return Normal(self.loc, self.scale)

    def _log_prob(self, x: Tensor) -> Tensor:
        y = td.log(td.where(x > 0, x, 1.0))
        return within(x > 0, self._normal().log_prob(y) - y)

    def _rsample(self, key: Tensor, shape: tuple[int, ...]) -> Tensor:
        return td.exp(self._normal()._rsample(key, shape))

    @property
    def mean(self) -> Tensor:
        return td.exp(self.loc + 0.5 * self.scale**2)

    @property
    def variance(self) -> Tensor:
        return td.expm1(self.scale**2) * td.exp(2 * self.loc + self.scale**2)

    def entropy(self) -> Tensor:
        return self._normal().entropy() + self.loc

    def _cdf(self, x: Tensor) -> Tensor:
        return td.where(x > 0, self._normal().cdf(td.log(td.where(x > 0, x, 1.0))), 0.0)

    def _icdf(self, p: Tensor) -> Tensor:
        return td.exp(self._normal().icdf(p))


class HalfNormal(Distribution):
    """The distribution of |x| of a normal x with mean 0 and standard deviation `scale`.

    Examples
    --------
    >>> td.distributions.HalfNormal().mean
    tensor(0.7978846, dtype=float32)
    """

    _parts = ("scale",)

    def __init__(self, scale: float | Tensor = 1.0) -> None:
        samplers._positive("HalfNormal", scale=scale)
        (self.scale,) = tensors(scale)

    def _log_prob(self, x: Tensor) -> Tensor:
        return within(x >= 0, Normal(0.0, self.scale).log_prob(x) + math.log(2))

    def _rsample(self, key: Tensor, shape: tuple[int, ...]) -> Tensor:
        return self.scale * td.abs(uniform_samplers.normal(key, shape, dtype=self.scale.dtype))

    @property
    def mean(self) -> Tensor:
        return self.scale * math.sqrt(2 / math.pi)

    @property
    def variance(self) -> Tensor:
        return self.scale**2 * (1 - 2 / math.pi)

    def entropy(self) -> Tensor:
        return 0.5 + HALF_LOG_2PI - math.log(2) + td.log(self.scale)

    def _cdf(self, x: Tensor) -> Tensor:
        return td.where(x >= 0, td.erf(x / (self.scale * math.sqrt(2))), 0.0)

    def _icdf(self, p: Tensor) -> Tensor:
        return self.scale * math.sqrt(2) * td.erfinv(p)


class Uniform(Distribution):
    """The uniform distribution on [low, high].

    Examples
    --------
    >>> td.distributions.Uniform(0.0, 4.0).variance
    tensor(1.3333334, dtype=float32)
    """

    _parts = ("low", "high")

    def __init__(self, low: float | Tensor = 0.0, high: float | Tensor = 1.0) -> None:
        if not (isinstance(low, td.Tensor) or isinstance(high, td.Tensor)) and not low < high:
            raise ValueError(f"[Uniform] the interval [{low}, {high}] is empty")
        self.low, self.high = tensors(low, high)

    def _log_prob(self, x: Tensor) -> Tensor:
        return within(td.logical_and(x >= self.low, x <= self.high), -td.log(self.high - self.low))

    def _rsample(self, key: Tensor, shape: tuple[int, ...]) -> Tensor:
        unit = uniform_samplers.uniform(key, shape, dtype=self.low.dtype)
        return self.low + (self.high - self.low) * unit

    @property
    def mean(self) -> Tensor:
        return 0.5 * (self.low + self.high)

    @property
    def variance(self) -> Tensor:
        return (self.high - self.low) ** 2 / 12

    def entropy(self) -> Tensor:
        return td.log(self.high - self.low)

    def _cdf(self, x: Tensor) -> Tensor:
        return td.clip((x - self.low) / (self.high - self.low), 0.0, 1.0)

    def _icdf(self, p: Tensor) -> Tensor:
        return self.low + (self.high - self.low) * p


class Exponential(Distribution):
    """The exponential distribution of mean 1 / rate.

    Examples
    --------
    >>> td.distributions.Exponential(2.0).mean
    tensor(0.5, dtype=float32)
    """

    _parts = ("rate",)

    def __init__(self, rate: float | Tensor = 1.0) -> None:
        samplers._positive("Exponential", rate=rate)
        (self.rate,) = tensors(rate)

    def _log_prob(self, x: Tensor) -> Tensor:
        return within(x >= 0, td.log(self.rate) - self.rate * x)

    def _rsample(self, key: Tensor, shape: tuple[int, ...]) -> Tensor:
        return samplers.exponential(key, shape, self.rate.dtype) / self.rate

    @property
    def mean(self) -> Tensor:
        return 1 / self.rate

    @property
    def variance(self) -> Tensor:
        return 1 / self.rate**2

    def entropy(self) -> Tensor:
        return 1 - td.log(self.rate)

    def _cdf(self, x: Tensor) -> Tensor:
        return td.where(x >= 0, -td.expm1(-self.rate * td.where(x >= 0, x, 0.0)), 0.0)

    def _icdf(self, p: Tensor) -> Tensor:
        return -td.log1p(-p) / self.rate


class Gamma(Distribution):
    """The gamma distribution, of mean concentration / rate.

    Examples
    --------
    >>> td.distributions.Gamma(3.0, 2.0).mean
    tensor(1.5, dtype=float32)
    """

    _parts = ("concentration", "rate")
    _computed_in = td.float64

    def __init__(self, concentration: float | Tensor, rate: float | Tensor = 1.0) -> None:
        samplers._positive("Gamma", concentration=concentration, rate=rate)
        self.concentration, self.rate = tensors(concentration, rate)

    def _log_prob(self, x: Tensor) -> Tensor:
        a, y = self.concentration, x * self.rate
        return within(
            is_natural(x), td.xlogy(a - 1, td.where(x >= 0, y, 1.0)) - y - td.lgamma(a) + td.log(self.rate)
        )

    def _rsample(self, key: Tensor, shape: tuple[int, ...]) -> Tensor:
        return samplers.gamma(key, self.concentration, shape) / self.rate

    @property
    def mean(self) -> Tensor:
        return self.concentration / self.rate

    @property
    def variance(self) -> Tensor:
        return self.concentration / self.rate**2

    def entropy(self) -> Tensor:
        a = self.concentration
        return a - td.log(self.rate) + td.lgamma(a) + (1 - a) * td.digamma(a)

    def _cdf(self, x: Tensor) -> Tensor:
        return gammainc(self.concentration, td.maximum(x, 0.0) * self.rate)


class Chi2(Gamma):
    """The chi-squared distribution of df degrees of freedom: of the sum of the squares of so many standard
    normal numbers.

    Examples
    --------
    >>> td.distributions.Chi2(3.0).variance
    tensor(6., dtype=float32)
    """

    def __init__(self, df: float | Tensor) -> None:
        samplers._positive("Chi2", df=df)
        super().__init__(0.5 * df, 0.5)

    @property
    def df(self) -> Tensor:
        """The degrees of freedom."""
        return 2 * self.concentration


class InverseGamma(Distribution):
    """The distribution of 1 / x of an x of Gamma(concentration, rate).

    Examples
    --------
    >>> td.distributions.InverseGamma(3.0, 4.0).mean
    tensor(2., dtype=float32)
    """

    _parts = ("concentration", "rate")
    _computed_in = td.float64

    def __init__(self, concentration: float | Tensor, rate: float | Tensor = 1.0) -> None:
        samplers._positive("InverseGamma", concentration=concentration, rate=rate)
        self.concentration, self.rate = tensors(concentration, rate)

    def _log_prob(self, x: Tensor) -> Tensor:
        a, y = self.concentration, td.where(x > 0, x, 1.0)
        scale = a * td.log(self.rate) - td.lgamma(a)
        return within(x > 0, scale - (a + 1) * td.log(y) - self.rate / y)

    def _rsample(self, key: Tensor, shape: tuple[int, ...]) -> Tensor:
        return self.rate * td.exp(-samplers.loggamma(key, self.concentration, shape))

    @property
    def mean(self) -> Tensor:
        a = td.where(self.concentration > 1, self.concentration, 2.0)
        return td.where(self.concentration > 1, self.rate / (a - 1), math.inf)

    @property
    def variance(self) -> Tensor:
        a = td.where(self.concentration > 2, self.concentration, 3.0)
        return td.where(self.concentration > 2, self.rate**2 / ((a - 1) ** 2 * (a - 2)), math.inf)

    def entropy(self) -> Tensor:
        a = self.concentration
        return a + td.log(self.rate) + td.lgamma(a) - (1 + a) * td.digamma(a)

    def _cdf(self, x: Tensor) -> Tensor:
        y = td.where(x > 0, x, 1.0)
        return td.where(x > 0, gammaincc(self.concentration, self.rate / y), 0.0)


class Beta(Distribution):
    """The beta distribution on [0, 1], of mean a / (a + b).

    Examples
    --------
    >>> td.distributions.Beta(1.0, 3.0).mean
    tensor(0.25, dtype=float32)
    """

    _parts = ("a", "b")
    _computed_in = td.float64

    def __init__(self, a: float | Tensor, b: float | Tensor) -> None:
        samplers._positive("Beta", a=a, b=b)
        self.a, self.b = tensors(a, b)

    def _log_prob(self, x: Tensor) -> Tensor:
        fits = td.logical_and(x >= 0, x <= 1)
        y = td.where(fits, x, 0.5)
        return within(fits, td.xlogy(self.a - 1, y) + td.xlog1py(self.b - 1, -y) - log_beta(self.a, self.b))

    def _rsample(self, key: Tensor, shape: tuple[int, ...]) -> Tensor:
        return samplers.beta(key, self.a, self.b, shape)

    @property
    def mean(self) -> Tensor:
        return self.a / (self.a + self.b)

    @property
    def variance(self) -> Tensor:
        total = self.a + self.b
        return self.a * self.b / (total**2 * (total + 1))

    def entropy(self) -> Tensor:
        a, b = self.a, self.b
        return (
            log_beta(a, b)
            - (a - 1) * td.digamma(a)
            - (b - 1) * td.digamma(b)
            + (a + b - 2) * td.digamma(a + b)
        )

    def _cdf(self, x: Tensor) -> Tensor:
        return betainc(self.a, self.b, td.clip(x, 0.0, 1.0))

    def _icdf(self, p: Tensor) -> Tensor:
        return betaincinv(self.a, self.b, p)


class Kumaraswamy(Distribution):
    """The distribution on [0, 1] of distribution function 1 - (1 - x^a)^b.

    Examples
    --------
    >>> td.distributions.Kumaraswamy(1.0, 2.0).cdf(0.5)
    tensor(0.75, dtype=float32)
    """

    _parts = ("a", "b")
    _computed_in = td.float64

    def __init__(self, a: float | Tensor, b: float | Tensor) -> None:
        samplers._positive("Kumaraswamy", a=a, b=b)
        self.a, self.b = tensors(a, b)

    def _log_prob(self, x: Tensor) -> Tensor:
        fits = td.logical_and(x >= 0, x <= 1)
        y = td.where(fits, x, 0.5)
        rest = td.xlogy(self.a - 1, y) + td.xlog1py(self.b - 1, -(y**self.a))
        return within(fits, td.log(self.a) + td.log(self.b) + rest)

    def _rsample(self, key: Tensor, shape: tuple[int, ...]) -> Tensor:
        # 1 - u^(1 / b), exactly also where u is near 1.
        rest = -td.expm1(td.log(samplers._open_uniform(key, shape, self.a.dtype)) / self.b)
        return rest ** (1 / self.a)

    def _moment(self, n: int) -> Tensor:
        return self.b * td.exp(log_beta(1 + n / self.a, self.b))

    @property
    def mean(self) -> Tensor:
        return self._moment(1)

    @property
    def variance(self) -> Tensor:
        return self._moment(2) - self._moment(1) ** 2

    def entropy(self) -> Tensor:
        harmonic = td.digamma(self.b + 1) + EULER
        return (1 - 1 / self.b) + (1 - 1 / self.a) * harmonic - td.log(self.a) - td.log(self.b)

    def _cdf(self, x: Tensor) -> Tensor:
        return -td.expm1(td.xlog1py(self.b, -(td.clip(x, 0.0, 1.0) ** self.a)))

    def _icdf(self, p: Tensor) -> Tensor:
        return (-td.expm1(td.log1p(-p) / self.b)) ** (1 / self.a)


class Laplace(Distribution):
    """Laplace's distribution, of density exp(-|x - loc| / scale) / (2 scale).

    Examples
    --------
    >>> td.distributions.Laplace().variance
    tensor(2., dtype=float32)
    """

    _parts = ("loc", "scale")

    def __init__(self, loc: float | Tensor = 0.0, scale: float | Tensor = 1.0) -> None:
        samplers._positive("Laplace", scale=scale)
        self.loc, self.scale = tensors(loc, scale)

    def _log_prob(self, x: Tensor) -> Tensor:
        return -td.abs(x - self.loc) / self.scale - td.log(2 * self.scale)

    def _rsample(self, key: Tensor, shape: tuple[int, ...]) -> Tensor:
        return self.loc + self.scale * samplers.laplace(key, shape, self.loc.dtype)

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        return 2 * self.scale**2

    def entropy(self) -> Tensor:
        return 1 + td.log(2 * self.scale)

    def _cdf(self, x: Tensor) -> Tensor:
        z = (x - self.loc) / self.scale
        left, right = td.where(z < 0, z, 0.0), td.where(z < 0, 0.0, z)
        return td.where(z < 0, 0.5 * td.exp(left), 1 - 0.5 * td.exp(-right))

    def _icdf(self, p: Tensor) -> Tensor:
        return self.loc + self.scale * samplers._laplace_of(p)


class Cauchy(Distribution):
    """Cauchy's distribution, of median `loc` and quartiles `loc` -+ `scale`. It has no mean: NaN.

    Examples
    --------
    >>> td.distributions.Cauchy().cdf(0.0)
    tensor(0.5, dtype=float32)
    """

    _parts = ("loc", "scale")
    _computed_in = td.float64

    def __init__(self, loc: float | Tensor = 0.0, scale: float | Tensor = 1.0) -> None:
        samplers._positive("Cauchy", scale=scale)
        self.loc, self.scale = tensors(loc, scale)

    def _log_prob(self, x: Tensor) -> Tensor:
        z = (x - self.loc) / self.scale
        return -math.log(math.pi) - td.log(self.scale) - log1p_square(z)

    def _rsample(self, key: Tensor, shape: tuple[int, ...]) -> Tensor:
        return self.loc + self.scale * samplers.cauchy(key, shape, self.loc.dtype)

    @property
    def mean(self) -> Tensor:
        return td.full_like(self.loc, math.nan)

    @property
    def variance(self) -> Tensor:
        return td.full_like(self.loc, math.nan)

    def entropy(self) -> Tensor:
        return td.log(4 * math.pi * self.scale)

    def _cdf(self, x: Tensor) -> Tensor:
        z = (x - self.loc) / self.scale
        return td.atan2(td.ones_like(z), -z) / math.pi

    def _icdf(self, p: Tensor) -> Tensor:
        is_low, is_high = p < 0.25, p > 0.75
        tail = td.where(is_low, p, td.where(is_high, 1 - p, 0.25))
        far = 1 / td.tan(math.pi * tail)
        near = td.tan(math.pi * (td.where(td.logical_or(is_low, is_high), 0.5, p) - 0.5))
        return self.loc + self.scale * td.where(is_low, -far, td.where(is_high, far, near))


class HalfCauchy(Distribution):
    """The distribution of |x| of an x of Cauchy(0, scale). Its mean is infinite.

    Examples
    --------
    >>> td.distributions.HalfCauchy().cdf(1.0)
    tensor(0.5, dtype=float32)
    """

    _parts = ("scale",)
    _computed_in = td.float64

    def __init__(self, scale: float | Tensor = 1.0) -> None:
        samplers._positive("HalfCauchy", scale=scale)
        (self.scale,) = tensors(scale)

    def _log_prob(self, x: Tensor) -> Tensor:
        z = x / self.scale
        return within(x >= 0, math.log(2 / math.pi) - td.log(self.scale) - log1p_square(z))

    def _rsample(self, key: Tensor, shape: tuple[int, ...]) -> Tensor:
        return self.scale * td.abs(samplers.cauchy(key, shape, self.scale.dtype))

    @property
    def mean(self) -> Tensor:
        return td.full_like(self.scale, math.inf)

    @property
    def variance(self) -> Tensor:
        return td.full_like(self.scale, math.inf)

    def entropy(self) -> Tensor:
        return td.log(2 * math.pi * self.scale)

    def _cdf(self, x: Tensor) -> Tensor:
        return td.atan(td.maximum(x, 0.0) / self.scale) * (2 / math.pi)

    def _icdf(self, p: Tensor) -> Tensor:
        is_high = p > 0.5
        slope = td.tan(0.5 * math.pi * td.where(is_high, 1 - p, p))
        return self.scale * td.where(is_high, 1 / slope, slope)


class StudentT(Distribution):
    """Student's t distribution of df degrees of freedom, moved by `loc` and stretched by `scale`.

    Examples
    --------
    >>> td.distributions.StudentT(3.0).variance
    tensor(3., dtype=float32)
    """

    _parts = ("df", "loc", "scale")
    _computed_in = td.float64

    def __init__(self, df: float | Tensor, loc: float | Tensor = 0.0, scale: float | Tensor = 1.0) -> None:
        samplers._positive("StudentT", df=df, scale=scale)
        self.df, self.loc, self.scale = tensors(df, loc, scale)

    def _log_prob(self, x: Tensor) -> Tensor:
        z, half = (x - self.loc) / self.scale, 0.5 * self.df
        return (
            td.lgamma(half + 0.5)
            - td.lgamma(half)
            - 0.5 * td.log(math.pi * self.df)
            - td.log(self.scale)
            - (half + 0.5) * log1p_square(z / td.sqrt(self.df))
        )

    def _rsample(self, key: Tensor, shape: tuple[int, ...]) -> Tensor:
        return self.loc + self.scale * samplers.t(key, self.df, shape)

    @property
    def mean(self) -> Tensor:
        return td.where(self.df > 1, self.loc, math.nan)

    @property
    def variance(self) -> Tensor:
        df = td.where(self.df > 2, self.df, 3.0)
        finite = self.scale**2 * df / (df - 2)
        return td.where(self.df > 2, finite, td.where(self.df > 1, math.inf, math.nan).astype(finite.dtype))

    def entropy(self) -> Tensor:
        half = 0.5 * self.df
        return (
            (half + 0.5) * (td.digamma(half + 0.5) - td.digamma(half))
            + 0.5 * td.log(self.df)
            + log_beta(half, td.full_like(half, 0.5))
            + td.log(self.scale)
        )

    def _cdf(self, x: Tensor) -> Tensor:
        return student_cdf(self.df, (x - self.loc) / self.scale)

    def _icdf(self, p: Tensor) -> Tensor:
        def start(p: Tensor, df: Tensor) -> Tensor:
            # The part beyond |z| on both sides, and z^2 from the quantile of df / (df + z^2).
            half, beyond = 0.5 * df, 2 * td.minimum(p, 1 - p)
            logit = quantile_logit(half, td.full_like(half, 0.5), beyond)
            # Far out by the first term of the tail, which may leave the range of that quantile.
            far = (beyond * td.exp(log_of_tail(half))) ** (-0.5 / half)
            size = td.sqrt(df) * td.where(logit < -40, far, td.exp(-0.5 * logit))
            return td.sign(p - 0.5) * td.where(p == 0.5, 0.0, size)

        return self.loc + self.scale * _quantile(student_cdf, start, p, -math.inf, math.inf, self.df)


class FisherSnedecor(Distribution):
    """The F distribution: of the ratio of two chi-squared numbers, each divided by its degrees of freedom,
    `df1` above and `df2` below.

    Examples
    --------
    >>> td.distributions.FisherSnedecor(2.0, 4.0).cdf(1.0)  # 1 - (1 + x / 2)^-2
    tensor(0.5555556, dtype=float32)
    """

    _parts = ("df1", "df2")
    _computed_in = td.float64

    def __init__(self, df1: float | Tensor, df2: float | Tensor) -> None:
        samplers._positive("FisherSnedecor", df1=df1, df2=df2)
        self.df1, self.df2 = tensors(df1, df2)

    def _log_prob(self, x: Tensor) -> Tensor:
        a, b, ratio = 0.5 * self.df1, 0.5 * self.df2, self.df1 / self.df2
        y = td.where(x >= 0, x, 1.0)
        scale = a * td.log(ratio) - log_beta(a, b)
        return within(is_natural(x), scale + td.xlogy(a - 1, y) - (a + b) * td.log1p(ratio * y))

    def _rsample(self, key: Tensor, shape: tuple[int, ...]) -> Tensor:
        keys = td.random.split(key)
        above = samplers.loggamma(keys[0], 0.5 * self.df1, shape)
        below = samplers.loggamma(keys[1], 0.5 * self.df2, shape)
        return td.exp(above - below) * (self.df2 / self.df1)

    @property
    def mean(self) -> Tensor:
        df2 = td.where(self.df2 > 2, self.df2, 3.0)
        return td.where(self.df2 > 2, df2 / (df2 - 2), math.inf)

    @property
    def variance(self) -> Tensor:
        df2 = td.where(self.df2 > 4, self.df2, 5.0)
        finite = 2 * (df2 / (df2 - 2)) ** 2 * (self.df1 + df2 - 2) / (self.df1 * (df2 - 4))
        return td.where(self.df2 > 4, finite, td.where(self.df2 > 2, math.inf, math.nan).astype(finite.dtype))

    def entropy(self) -> Tensor:
        a, b = 0.5 * self.df1, 0.5 * self.df2
        return (
            log_beta(a, b)
            + (1 - a) * td.digamma(a)
            - (1 + b) * td.digamma(b)
            + (a + b) * td.digamma(a + b)
            - td.log(a / b)
        )

    @staticmethod
    def _below(df1: Tensor, df2: Tensor, x: Tensor) -> Tensor:
        odds = td.maximum(x, 0.0) * (df1 / df2)
        is_small = odds < 1  # the part of 1 that is small is said, since 1 - it is known better
        inner = td.where(is_small, odds, 1.0)
        low = betainc(0.5 * df1, 0.5 * df2, inner / (1 + inner))
        return td.where(is_small, low, betaincc(0.5 * df2, 0.5 * df1, 1 / (1 + td.maximum(odds, 1.0))))

    def _cdf(self, x: Tensor) -> Tensor:
        return self._below(self.df1, self.df2, x)

    def _icdf(self, p: Tensor) -> Tensor:
        def start(p: Tensor, df1: Tensor, df2: Tensor) -> Tensor:
            return td.exp(quantile_logit(0.5 * df1, 0.5 * df2, p)) * (df2 / df1)

        return _quantile(self._below, start, p, 0.0, math.inf, self.df1, self.df2)


def _quantile(
    cdf: Callable[..., Tensor],
    start: Callable[..., Tensor],
    p: Tensor,
    at_0: float,
    at_1: float,
    *parameters: Tensor,
) -> Tensor:
    """The x where cdf(*parameters, x) is p, which start(p, *parameters) is without derivatives: computed in
    float64. NaN where p is not in [0, 1]."""
    dtype = td.result_type(p, *parameters)
    p, *wide = td.broadcast_arrays(*(each.astype(td.float64) for each in (p, *parameters)))
    is_inside = td.logical_and(p > 0, p < 1)
    inner = td.where(is_inside, p, 0.5)
    value = start(*(td.stop_gradient(each) for each in (inner, *wide)))
    x = inverse_of(lambda x: cdf(*wide, x), value, inner)
    outside = td.where(p == 0, at_0, td.where(p == 1, at_1, math.nan))
    return td.where(is_inside, x, outside.astype(td.float64)).astype(dtype)


class Gumbel(Distribution):
    """Gumbel's distribution of maxima, with mode `loc`.

    Examples
    --------
    >>> td.distributions.Gumbel().mean
    tensor(0.5772157, dtype=float32)
    """

    _parts = ("loc", "scale")

    def __init__(self, loc: float | Tensor = 0.0, scale: float | Tensor = 1.0) -> None:
        samplers._positive("Gumbel", scale=scale)
        self.loc, self.scale = tensors(loc, scale)

    def _log_prob(self, x: Tensor) -> Tensor:
        z = (x - self.loc) / self.scale
        return within(td.isfinite(x), -z - td.exp(-z) - td.log(self.scale))

    def _rsample(self, key: Tensor, shape: tuple[int, ...]) -> Tensor:
        return self.loc + self.scale * samplers.gumbel(key, shape, self.loc.dtype)

    @property
    def mean(self) -> Tensor:
        return self.loc + EULER * self.scale

    @property
    def variance(self) -> Tensor:
        return (math.pi * self.scale) ** 2 / 6

    def entropy(self) -> Tensor:
        return 1 + EULER + td.log(self.scale)

    def _cdf(self, x: Tensor) -> Tensor:
        return td.exp(-td.exp(-(x - self.loc) / self.scale))

    def _icdf(self, p: Tensor) -> Tensor:
        return self.loc - self.scale * td.log(-td.log(p))


class Weibull(Distribution):
    """Weibull's distribution, of distribution function 1 - exp(-(x / scale)^concentration).

    Examples
    --------
    >>> td.distributions.Weibull(2.0, 1.0).mean
    tensor(2., dtype=float32)
    """

    _parts = ("scale", "concentration")

    def __init__(self, scale: float | Tensor, concentration: float | Tensor) -> None:
        samplers._positive("Weibull", scale=scale, concentration=concentration)
        self.scale, self.concentration = tensors(scale, concentration)

    def _log_prob(self, x: Tensor) -> Tensor:
        fits, k = is_natural(x), self.concentration
        z = td.where(fits, x, 1.0) / self.scale
        return within(fits, td.log(k / self.scale) + td.xlogy(k - 1, z) - z**k)

    def _rsample(self, key: Tensor, shape: tuple[int, ...]) -> Tensor:
        drawn = samplers.exponential(key, shape, self.scale.dtype)
        return self.scale * drawn ** (1 / self.concentration)

    @property
    def mean(self) -> Tensor:
        return self.scale * td.exp(td.lgamma(1 + 1 / self.concentration))

    @property
    def variance(self) -> Tensor:
        log_mean, log_square = (td.lgamma(1 + n / self.concentration) for n in (1, 2))
        return self.scale**2 * (td.exp(log_square) - td.exp(2 * log_mean))

    def entropy(self) -> Tensor:
        k = self.concentration
        return EULER * (1 - 1 / k) + td.log(self.scale / k) + 1

    def _cdf(self, x: Tensor) -> Tensor:
        return -td.expm1(-((td.maximum(x, 0.0) / self.scale) ** self.concentration))

    def _icdf(self, p: Tensor) -> Tensor:
        return self.scale * (-td.log1p(-p)) ** (1 / self.concentration)


class Pareto(Distribution):
    """Pareto's distribution, of distribution function 1 - (scale / x)^alpha from x = scale on.

    Examples
    --------
    >>> td.distributions.Pareto(1.0, 3.0).mean
    tensor(1.5, dtype=float32)
    """

    _parts = ("scale", "alpha")

    def __init__(self, scale: float | Tensor, alpha: float | Tensor) -> None:
        samplers._positive("Pareto", scale=scale, alpha=alpha)
        self.scale, self.alpha = tensors(scale, alpha)

    def _log_prob(self, x: Tensor) -> Tensor:
        fits = x >= self.scale
        log_ratio = td.log(td.where(fits, x, self.scale) / self.scale)
        return within(fits, td.log(self.alpha / self.scale) - (self.alpha + 1) * log_ratio)

    def _rsample(self, key: Tensor, shape: tuple[int, ...]) -> Tensor:
        return self.scale * td.exp(samplers.exponential(key, shape, self.scale.dtype) / self.alpha)

    @property
    def mean(self) -> Tensor:
        alpha = td.where(self.alpha > 1, self.alpha, 2.0)
        return td.where(self.alpha > 1, self.scale * alpha / (alpha - 1), math.inf)

    @property
    def variance(self) -> Tensor:
        alpha = td.where(self.alpha > 2, self.alpha, 3.0)
        finite = self.scale**2 * alpha / ((alpha - 1) ** 2 * (alpha - 2))
        return td.where(self.alpha > 2, finite, math.inf)

    def entropy(self) -> Tensor:
        return td.log(self.scale / self.alpha) + 1 + 1 / self.alpha

    def _cdf(self, x: Tensor) -> Tensor:
        return -td.expm1(self.alpha * td.log(self.scale / td.maximum(x, self.scale)))

    def _icdf(self, p: Tensor) -> Tensor:
        return self.scale * td.exp(-td.log1p(-p) / self.alpha)


class VonMises(Distribution):
    """The von Mises distribution of angles in [-pi, pi], of density exp(concentration cos(x - loc)) / (2 pi
    I0(concentration)). Its variance is the circular one, 1 - I1 / I0.

    Examples
    --------
    >>> td.distributions.VonMises(0.5, 4.0).mean
    tensor(0.5, dtype=float32)
    """

    _parts = ("loc", "concentration")
    _computed_in = td.float64

    def __init__(self, loc: float | Tensor, concentration: float | Tensor) -> None:
        samplers._positive("VonMises", concentration=concentration)
        self.loc, self.concentration = tensors(loc, concentration)

    def _log_prob(self, x: Tensor) -> Tensor:
        k = self.concentration
        # cos(x - loc) - 1 without cancellation, and I0 without its growth.
        return -2 * k * td.sin(0.5 * (x - self.loc)) ** 2 - td.log(td.special.i0e(k)) - 2 * HALF_LOG_2PI

    def _sample(self, key: Tensor, shape: tuple[int, ...]) -> Tensor:
        loc, k = (
            td.broadcast_to(td.stop_gradient(x).astype(td.float64), shape)
            for x in (self.loc, self.concentration)
        )
        # Rejection from a wrapped Cauchy distribution. (D. J. Best and N. I. Fisher, 1979)
        tau = 1 + td.sqrt(1 + 4 * k * k)
        rho = (tau - td.sqrt(2 * tau)) / (2 * td.maximum(k, 1e-9))
        r = td.where(k < 1e-5, 1 / td.maximum(k, 1e-300), (1 + rho * rho) / (2 * td.maximum(rho, 1e-300)))

        def propose(key: Tensor, shape: tuple[int, ...], at: samplers._At) -> tuple[Tensor, Tensor]:
            turns, level, side = (
                at(samplers._open_uniform(each, shape, td.float64)) for each in td.random.split(key, 3)
            )
            z, centre = td.cos(math.pi * turns), at(r)
            f = (1 + centre * z) / (centre + z)
            c = at(k) * (centre - f)
            fits = td.logical_or(c * (2 - c) > level, td.log(c / level) + 1 >= c)
            return td.sign(side - 0.5) * td.acos(td.clip(f, -1.0, 1.0)), fits

        angle = samplers._accepted(key, td.full_like(k, math.nan), td.logical_not(k > 0), propose)
        return (td.remainder(angle + loc + math.pi, 2 * math.pi) - math.pi).astype(self.loc.dtype)

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        return 1 - td.special.i1e(self.concentration) / td.special.i0e(self.concentration)


class RelaxedBernoulli(Distribution):
    """Bernoulli's distribution made continuous on (0, 1): of sigmoid((logits + logistic noise) / temperature)
    (Maddison et al. 2017, Jang et al. 2017).

    Examples
    --------
    >>> td.distributions.RelaxedBernoulli(1.0, 0.5).log_prob(0.25)
    tensor(0., dtype=float32)
    """

    _parts = ("temperature", "logits")

    def __init__(
        self,
        temperature: float | Tensor,
        probs: TensorLike | None = None,
        *,
        logits: TensorLike | None = None,
    ) -> None:
        samplers._positive("RelaxedBernoulli", temperature=temperature)
        self.temperature, self.logits = tensors(temperature, log_odds("RelaxedBernoulli", probs, logits))

    def _log_prob(self, x: Tensor) -> Tensor:
        fits = td.logical_and(x > 0, x < 1)
        y = td.where(fits, x, 0.5)
        distance = self.logits - self.temperature * td.logit(y)
        value = td.log(self.temperature) + distance - 2 * td.softplus(distance) - td.log(y) - td.log1p(-y)
        return within(fits, value)

    def _rsample(self, key: Tensor, shape: tuple[int, ...]) -> Tensor:
        noise = td.logit(samplers._open_uniform(key, shape, self.logits.dtype))
        return td.sigmoid((self.logits + noise) / self.temperature)


class GeneralizedPareto(Distribution):
    """The generalised Pareto distribution of excesses above `loc`, of distribution function
    1 - (1 + concentration (x - loc) / scale)^(-1 / concentration), exponential where concentration is 0.

    Examples
    --------
    >>> td.distributions.GeneralizedPareto(0.0, 1.0, 0.5).mean
    tensor(2., dtype=float32)
    """

    _parts = ("loc", "scale", "concentration")
    _computed_in = td.float64

    def __init__(self, loc: float | Tensor, scale: float | Tensor, concentration: float | Tensor) -> None:
        samplers._positive("GeneralizedPareto", scale=scale)
        self.loc, self.scale, self.concentration = tensors(loc, scale, concentration)

    def _exponential(self, x: Tensor) -> Tensor:
        """What is exponentially distributed: log(1 + c z) / c of z = (x - loc) / scale, held in the
        support."""
        c = self.concentration
        z = td.maximum((x - self.loc) / self.scale, 0.0)
        product = td.maximum(td.multiply_no_nan(z, c), -1.0)
        is_near = td.abs(product) < 1e-4
        near = z * (1 - product * (1 / 2 - product * (1 / 3 - product / 4)))
        far = td.log1p(td.where(is_near, 1.0, product)) / td.where(is_near, 1.0, c)
        return td.where(is_near, near, far)

    def _excess(self, e: Tensor) -> Tensor:
        """The inverse: x of exponential e."""
        c = self.concentration
        product = td.multiply_no_nan(e, c)
        is_near = td.abs(product) < 1e-4
        near = e * (1 + product * (1 / 2 + product * (1 / 6 + product / 24)))
        far = td.expm1(td.where(is_near, 1.0, product)) / td.where(is_near, 1.0, c)
        return self.loc + self.scale * td.where(is_near, near, far)

    def _log_prob(self, x: Tensor) -> Tensor:
        c, z = self.concentration, (x - self.loc) / self.scale
        e = self._exponential(x)
        power = td.where(td.logical_and(c == -1, td.isinf(e)), 0.0, (1 + c) * e)
        return within(td.logical_and(z >= 0, c * z >= -1), -td.log(self.scale) - power)

    def _rsample(self, key: Tensor, shape: tuple[int, ...]) -> Tensor:
        return self._excess(samplers.exponential(key, shape, self.scale.dtype))

    @property
    def mean(self) -> Tensor:
        c = td.where(self.concentration < 1, self.concentration, 0.0)
        return td.where(self.concentration < 1, self.loc + self.scale / (1 - c), math.inf)

    @property
    def variance(self) -> Tensor:
        c = td.where(self.concentration < 0.5, self.concentration, 0.0)
        finite = self.scale**2 / ((1 - c) ** 2 * (1 - 2 * c))
        return td.where(self.concentration < 0.5, finite, math.inf)

    def entropy(self) -> Tensor:
        return 1 + self.concentration + td.log(self.scale)

    def _cdf(self, x: Tensor) -> Tensor:
        return -td.expm1(-self._exponential(x))

    def _icdf(self, p: Tensor) -> Tensor:
        return self._excess(-td.log1p(-p))


class ContinuousBernoulli(ByLogits):
    """The distribution on [0, 1] of density in proportion to probs^x (1 - probs)^(1 - x), which is
    exp(logits x) (Loaiza-Ganem and Cunningham 2019).

    Examples
    --------
    >>> td.distributions.ContinuousBernoulli(0.5).mean
    tensor(0.5, dtype=float32)
    """

    _parts = ("logits",)
    _computed_in = td.float64

    def __init__(self, probs: TensorLike | None = None, *, logits: TensorLike | None = None) -> None:
        (self.logits,) = tensors(log_odds("ContinuousBernoulli", probs, logits))

    @staticmethod
    def _log_size(logits: Tensor) -> Tensor:
        """log of the integral of exp(logits x), whose derivatives are mean and variance."""
        half = 0.5 * logits
        is_near = td.abs(half) < 0.1
        square = td.where(is_near, half, 0.0) ** 2
        size = td.where(is_near, 1.0, td.abs(half))
        # log(sinh(h) / h), and its series.
        series = 1 / 180 - square * (1 / 2835 - square * (1 / 37800 - square / 467775))
        near = square * (1 / 6 - square * series)
        far = size + td.log(-td.expm1(-2 * size) / (2 * size))
        return half + td.where(is_near, near, far)

    @staticmethod
    def _mean_of(logits: Tensor) -> Tensor:
        return td.jvp(ContinuousBernoulli._log_size, (logits,), (td.ones_like(logits),))[1]

    def _log_prob(self, x: Tensor) -> Tensor:
        fits = td.logical_and(x >= 0, x <= 1)
        return within(fits, self.logits * td.where(fits, x, 0.5) - self._log_size(self.logits))

    def _rsample(self, key: Tensor, shape: tuple[int, ...]) -> Tensor:
        return self._icdf(samplers._open_uniform(key, shape, self.logits.dtype))

    @property
    def mean(self) -> Tensor:
        return self._mean_of(self.logits)

    @property
    def variance(self) -> Tensor:
        return td.jvp(self._mean_of, (self.logits,), (td.ones_like(self.logits),))[1]

    def entropy(self) -> Tensor:
        return self._log_size(self.logits) - self.logits * self.mean

    def _cdf(self, x: Tensor) -> Tensor:
        # Of logits below 0, and of others from the other end.
        y, is_near = td.clip(x, 0.0, 1.0), td.abs(self.logits) < 1e-3
        slope = td.where(is_near, -1.0, -td.abs(self.logits))
        part = td.expm1(slope * y) / td.expm1(slope)
        part = td.where(self.logits > 0, td.exp(slope * (1 - y)) * part, part)
        slope = td.where(is_near, self.logits, 0.0)
        near = 1 + slope * (y - 1) * (1 / 2 + slope * ((2 * y - 1) / 12 + slope * y * (y - 1) / 24))
        return td.where(is_near, y * near, part)

    def _icdf(self, p: Tensor) -> Tensor:
        size = td.abs(self.logits)
        is_near, is_small = size < 1e-3, size <= 1
        small = td.where(td.logical_and(is_small, td.logical_not(is_near)), self.logits, 1.0)
        large = td.where(is_small, 2.0, self.logits)
        of_small = td.log1p(p * td.expm1(small)) / small
        of_large = td.logaddexp(td.log1p(-p), td.log(p) + large) / large
        slope, spread = td.where(is_near, self.logits, 0.0), p * (1 - p)  # and further cumulants
        series = 1 / 2 + slope * ((1 - 2 * p) / 6 + slope * (1 - 6 * spread) / 24)
        near = p + slope * spread * series
        return td.where(is_near, near, td.where(is_small, of_small, of_large))
