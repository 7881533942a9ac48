"""Probability distributions: log_prob, samples by keys, moments, entropies and divergences.

A distribution has a batch of independent members, whose shape (`batch_shape`) is that to which its parameters
broadcast, and values of shape `event_shape`: () of numbers, (n,) of vectors. Parameters are numbers or
tensors; a number out of range is a ValueError, while tensors are not read. Distributions are trees of their
parameters: they pass through vmap, grad, compile and scan.

Of values outside the support the density is 0, of NaN it is NaN. What has no closed form is a
NotImplementedError. Of 16 bits everything is computed in float32, and what cancels (differences of lgamma) or
leaves the range of float32 in float64 always; the result is rounded once.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import tidu as td
from tidu._core import Tensor
from tidu.typing import Shape, TensorLike

from . import _samplers as samplers
from ._arguments import explain as _explain
from ._arguments import explain_methods as _explain_methods
from ._control import while_loop
from ._core import linalg
from ._core import random as uniform_samplers
from ._incomplete_beta import (
    betainc,
    betaincc,
    betaincinv,
    inverse_of,
    quantile_logit,
    student_cdf,
)
from ._incomplete_gamma import gammainc, gammaincc
from ._numbers import beside, widened

F = TypeVar("F", bound=Callable[..., Tensor])

__all__ = [
    "Bernoulli",
    "Beta",
    "Binomial",
    "Categorical",
    "Cauchy",
    "Chi2",
    "Dirichlet",
    "Distribution",
    "Exponential",
    "FisherSnedecor",
    "Gamma",
    "Geometric",
    "Gumbel",
    "HalfCauchy",
    "HalfNormal",
    "Independent",
    "InverseGamma",
    "Kumaraswamy",
    "Laplace",
    "LogNormal",
    "MixtureSameFamily",
    "Multinomial",
    "MultivariateNormal",
    "NegativeBinomial",
    "Normal",
    "OneHotCategorical",
    "Pareto",
    "Poisson",
    "RelaxedBernoulli",
    "RelaxedOneHotCategorical",
    "StudentT",
    "TransformedDistribution",
    "Uniform",
    "VonMises",
    "Weibull",
    "kl_divergence",
    "register_kl",
]

_HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)
_EULER = 0.57721566490153286


def _dtype_of(x: Any) -> Any:
    return x._dtype() if isinstance(x, Distribution) else x.dtype


def _rounded_once(method: F) -> F:
    """A function of a distribution, and of values or another one, that is computed in the dtype that its
    class names at least. Integers become such numbers, too."""

    @functools.wraps(method)
    def call(self: Any, *others: Any) -> Tensor:
        own = self._dtype()
        wide = td.result_type(own, self._computed_in)

        def converted(x: Tensor) -> Tensor:
            return x.astype(td.result_type(x, wide) if x.dtype.is_floating_point else wide, copy=False)

        floating = [x for x in map(_dtype_of, others) if x.is_floating_point]
        result = method(*td.tree.map(converted, (self, *others)))
        return result.astype(td.result_type(own, *floating), copy=False)

    return call  # type: ignore[return-value]


class Distribution:
    """What distributions share.

    A subclass names the tensors and distributions that it is made of in `_parts`, and other attributes in
    `_static`. It has `_log_prob` of values, and `_rsample(key, shape)` or, where samples have no derivatives,
    `_sample`, of samples that fill a shape of batches. It computes in `_computed_in` at least.

    Examples
    --------
    >>> isinstance(td.distributions.Normal(), td.distributions.Distribution)
    True
    """

    _parts: tuple[str, ...] = ()
    _static: tuple[str, ...] = ()
    _event_dims = 0  # axes of the first part that belong to an event
    _computed_in = td.float32

    def __init_subclass__(cls) -> None:
        for name in ("_log_prob", "_cdf", "_icdf", "mean", "variance", "entropy", "probs"):
            own = cls.__dict__.get(name)
            if isinstance(own, property):
                setattr(cls, name, property(_rounded_once(own.fget)))  # type: ignore[type-var]
            elif own is not None:
                setattr(cls, name, _rounded_once(own))

        def opened(distribution: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
            names = (*cls._parts, *cls._static)
            values = [getattr(distribution, name) for name in names]
            return tuple(values[: len(cls._parts)]), tuple(values[len(cls._parts) :])

        def closed(static: Any, parts: Any) -> Any:
            distribution = cls.__new__(cls)
            for name, value in zip((*cls._parts, *cls._static), (*parts, *static), strict=True):
                setattr(distribution, name, value)
            return distribution

        td.tree.register(cls, opened, closed)

    def __repr__(self) -> str:
        parts = ", ".join(f"{name}={getattr(self, name)!r}" for name in (*self._parts, *self._static))
        return f"{type(self).__name__}({parts})"

    def _dtype(self) -> Any:
        return td.result_type(*(x.dtype for x in td.tree.leaves(self)))

    def _shape(self) -> tuple[int, ...]:
        return tuple(getattr(self, self._parts[0]).shape)

    @property
    def batch_shape(self) -> tuple[int, ...]:
        """The shape of the batch of independent members."""
        shape = self._shape()
        return shape[: len(shape) - self._event_dims]

    @property
    def event_shape(self) -> tuple[int, ...]:
        """The shape of one value of one member."""
        shape = self._shape()
        return shape[len(shape) - self._event_dims :]

    @property
    def has_rsample(self) -> bool:
        """Whether samples have derivatives by the parameters."""
        return hasattr(self, "_rsample")

    def _missing(self, what: str) -> NoReturn:
        raise NotImplementedError(f"[{type(self).__name__}] {what} has no closed form here")

    def log_prob(self, x: TensorLike) -> Tensor:
        """The logarithm of the density, or of the probability, at x, which broadcasts with batch_shape +
        event_shape: of the shape of both without the axes of events."""
        return self._of(self._log_prob, x)

    if TYPE_CHECKING:  # what subclasses may define

        def _log_prob(self, x: Tensor, /) -> Tensor: ...
        def _rsample(self, key: Tensor, shape: tuple[int, ...], /) -> Tensor: ...
        def _sample(self, key: Tensor, shape: tuple[int, ...], /) -> Tensor: ...
        def _cdf(self, x: Tensor, /) -> Tensor: ...
        def _icdf(self, p: Tensor, /) -> Tensor: ...

    def _value(self, x: TensorLike) -> Tensor:
        # Numbers are as exact as the parameters, and integers exact.
        return x if isinstance(x, Tensor) else beside(x, td.tree.leaves(self)[0])

    def _of(self, function: Callable[[Tensor], Tensor], x: TensorLike) -> Tensor:
        """function(x), and NaN where x is."""
        x = self._value(x)
        is_unknown = td.isnan(x)
        if self.event_shape:
            is_unknown = td.any(is_unknown, axis=tuple(range(-len(self.event_shape), 0)))
        return td.where(is_unknown, math.nan, function(x))

    def prob(self, x: TensorLike) -> Tensor:
        """exp(log_prob(x))."""
        return self._of(self._prob, x)

    @_rounded_once
    def _prob(self, x: Tensor) -> Tensor:
        return td.exp(self._log_prob(x))

    def rsample(self, key: Tensor, shape: Shape = ()) -> Tensor:
        """Samples of shape `shape` + batch_shape + event_shape that have derivatives by the parameters."""
        if not self.has_rsample:
            raise NotImplementedError(
                f"[{type(self).__name__}] samples have no derivatives by the parameters (call sample)"
            )
        return self._rsample(key, self._extended(shape))

    def sample(self, key: Tensor, shape: Shape = ()) -> Tensor:
        """Samples of shape `shape` + batch_shape + event_shape, as constants."""
        if self.has_rsample:
            return td.stop_gradient(self._rsample(key, self._extended(shape)))
        return self._sample(key, self._extended(shape))

    def _extended(self, shape: Shape) -> tuple[int, ...]:
        return (*((shape,) if isinstance(shape, int) else shape), *self.batch_shape)

    @property
    def mean(self) -> Tensor:
        """The mean, of shape batch_shape + event_shape."""
        return self._missing("the mean")

    @property
    def variance(self) -> Tensor:
        """The variance of each element, of shape batch_shape + event_shape."""
        return self._missing("the variance")

    @property
    @_rounded_once
    def stddev(self) -> Tensor:
        """The standard deviation of each element."""
        return td.sqrt(self.variance)

    def entropy(self) -> Tensor:
        """The expectation of -log_prob, of shape batch_shape."""
        return self._missing("the entropy")

    def cdf(self, x: TensorLike) -> Tensor:
        """The probability of values up to x."""
        return self._of(self._cdf, x) if hasattr(self, "_cdf") else self._missing("the distribution function")

    def icdf(self, p: TensorLike) -> Tensor:
        """The value up to which the probability is p."""
        return self._icdf(self._value(p)) if hasattr(self, "_icdf") else self._missing("the quantile")


def _tensors(*values: Any) -> list[Tensor]:
    """Parameters as floating-point tensors of one shape and dtype; numbers are as exact as tensors."""
    values = tuple(x if isinstance(x, (int, float, list, tuple)) else td.asarray(x) for x in values)
    given = [x for x in values if isinstance(x, td.Tensor)]
    floating = [x for x in given if x.dtype.is_floating_point]
    dtype = td.result_type(*floating) if floating else td.float32
    device = given[0].device if given else None
    return td.broadcast_arrays(
        *(
            x.astype(dtype, copy=False)
            if isinstance(x, td.Tensor)
            else td.asarray(x, dtype=dtype, device=device)
            for x in values
        )
    )


def _within(fits: Tensor, value: Tensor) -> Tensor:
    """`value` where x is in the support, else -inf."""
    return td.where(fits, value, -math.inf)


def _is_natural(x: Tensor) -> Tensor:
    """Whether x is in [0, inf)."""
    return td.logical_and(x >= 0, x < math.inf)


def _whole(x: Tensor, least: int = 0) -> Tensor:
    return td.logical_and(td.logical_and(x >= least, x < math.inf), x == td.floor(x))


# --- Real numbers


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
        self.loc, self.scale = _tensors(loc, scale)

    def _log_prob(self, x: Tensor) -> Tensor:
        z = (x - self.loc) / self.scale
        return -0.5 * z * z - td.log(self.scale) - _HALF_LOG_2PI

    def _rsample(self, key: Tensor, shape: tuple[int, ...]) -> Tensor:
        return self.loc + self.scale * uniform_samplers.normal(key, shape, dtype=self.loc.dtype)

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        return self.scale * self.scale

    def entropy(self) -> Tensor:
        return 0.5 + _HALF_LOG_2PI + td.log(self.scale)

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
        self.loc, self.scale = _tensors(loc, scale)

    def _normal(self) -> Normal:
        return Normal(self.loc, self.scale)

    def _log_prob(self, x: Tensor) -> Tensor:
        y = td.log(td.where(x > 0, x, 1.0))
        return _within(x > 0, self._normal().log_prob(y) - y)

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
        (self.scale,) = _tensors(scale)

    def _log_prob(self, x: Tensor) -> Tensor:
        return _within(x >= 0, Normal(0.0, self.scale).log_prob(x) + math.log(2))

    def _rsample(self, key: Tensor, shape: tuple[int, ...]) -> Tensor:
        return self.scale * td.abs(uniform_samplers.normal(key, shape, dtype=self.scale.dtype))

    @property
    def mean(self) -> Tensor:
        return self.scale * math.sqrt(2 / math.pi)

    @property
    def variance(self) -> Tensor:
        return self.scale**2 * (1 - 2 / math.pi)

    def entropy(self) -> Tensor:
        return 0.5 + _HALF_LOG_2PI - math.log(2) + td.log(self.scale)

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
        self.low, self.high = _tensors(low, high)

    def _log_prob(self, x: Tensor) -> Tensor:
        return _within(td.logical_and(x >= self.low, x <= self.high), -td.log(self.high - self.low))

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
        (self.rate,) = _tensors(rate)

    def _log_prob(self, x: Tensor) -> Tensor:
        return _within(x >= 0, td.log(self.rate) - self.rate * x)

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
        self.concentration, self.rate = _tensors(concentration, rate)

    def _log_prob(self, x: Tensor) -> Tensor:
        a, y = self.concentration, x * self.rate
        return _within(
            _is_natural(x), td.xlogy(a - 1, td.where(x >= 0, y, 1.0)) - y - td.lgamma(a) + td.log(self.rate)
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

    def __init__(self, concentration: float | Tensor, rate: float | Tensor = 1.0) -> None:
        samplers._positive("InverseGamma", concentration=concentration, rate=rate)
        self.concentration, self.rate = _tensors(concentration, rate)

    def _log_prob(self, x: Tensor) -> Tensor:
        a, y = self.concentration, td.where(x > 0, x, 1.0)
        scale = a * td.log(self.rate) - td.lgamma(a)
        return _within(x > 0, scale - (a + 1) * td.log(y) - self.rate / y)

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
        self.a, self.b = _tensors(a, b)

    def _log_prob(self, x: Tensor) -> Tensor:
        fits = td.logical_and(x >= 0, x <= 1)
        y = td.where(fits, x, 0.5)
        return _within(fits, td.xlogy(self.a - 1, y) + td.xlog1py(self.b - 1, -y) - _log_beta(self.a, self.b))

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
            _log_beta(a, b)
            - (a - 1) * td.digamma(a)
            - (b - 1) * td.digamma(b)
            + (a + b - 2) * td.digamma(a + b)
        )

    def _cdf(self, x: Tensor) -> Tensor:
        return betainc(self.a, self.b, td.clip(x, 0.0, 1.0))

    def _icdf(self, p: Tensor) -> Tensor:
        return betaincinv(self.a, self.b, p)


def _log_beta(a: Tensor, b: Tensor) -> Tensor:
    return td.lgamma(a) + td.lgamma(b) - td.lgamma(a + b)


class Kumaraswamy(Distribution):
    """The distribution on [0, 1] of distribution function 1 - (1 - x^a)^b.

    Examples
    --------
    >>> td.distributions.Kumaraswamy(1.0, 2.0).cdf(0.5)
    tensor(0.75, dtype=float32)
    """

    _parts = ("a", "b")

    def __init__(self, a: float | Tensor, b: float | Tensor) -> None:
        samplers._positive("Kumaraswamy", a=a, b=b)
        self.a, self.b = _tensors(a, b)

    def _log_prob(self, x: Tensor) -> Tensor:
        fits = td.logical_and(x >= 0, x <= 1)
        y = td.where(fits, x, 0.5)
        rest = td.xlogy(self.a - 1, y) + td.xlog1py(self.b - 1, -(y**self.a))
        return _within(fits, td.log(self.a) + td.log(self.b) + rest)

    def _rsample(self, key: Tensor, shape: tuple[int, ...]) -> Tensor:
        # 1 - u^(1 / b), exactly also where u is near 1.
        rest = -td.expm1(td.log(samplers._open_uniform(key, shape, self.a.dtype)) / self.b)
        return rest ** (1 / self.a)

    def _moment(self, n: int) -> Tensor:
        return self.b * td.exp(_log_beta(1 + n / self.a, self.b))

    @property
    def mean(self) -> Tensor:
        return self._moment(1)

    @property
    def variance(self) -> Tensor:
        return self._moment(2) - self._moment(1) ** 2

    def entropy(self) -> Tensor:
        harmonic = td.digamma(self.b + 1) + _EULER
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
        self.loc, self.scale = _tensors(loc, scale)

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
        self.loc, self.scale = _tensors(loc, scale)

    def _log_prob(self, x: Tensor) -> Tensor:
        z = (x - self.loc) / self.scale
        return -math.log(math.pi) - td.log(self.scale) - td.log1p(z * z)

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

    def __init__(self, scale: float | Tensor = 1.0) -> None:
        samplers._positive("HalfCauchy", scale=scale)
        (self.scale,) = _tensors(scale)

    def _log_prob(self, x: Tensor) -> Tensor:
        z = x / self.scale
        return _within(x >= 0, math.log(2 / math.pi) - td.log(self.scale) - td.log1p(z * z))

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
        return self.scale * td.tan(0.5 * math.pi * p)


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
        self.df, self.loc, self.scale = _tensors(df, loc, scale)

    def _log_prob(self, x: Tensor) -> Tensor:
        z, half = (x - self.loc) / self.scale, 0.5 * self.df
        return (
            td.lgamma(half + 0.5)
            - td.lgamma(half)
            - 0.5 * td.log(math.pi * self.df)
            - td.log(self.scale)
            - (half + 0.5) * td.log1p(z * z / self.df)
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
            + _log_beta(half, td.full_like(half, 0.5))
            + td.log(self.scale)
        )

    def _cdf(self, x: Tensor) -> Tensor:
        return student_cdf(self.df, (x - self.loc) / self.scale)

    def _icdf(self, p: Tensor) -> Tensor:
        def start(p: Tensor, df: Tensor) -> Tensor:
            # The part beyond |z| on both sides, and z^2 from the quantile of df / (df + z^2).
            half = 0.5 * df
            logit = quantile_logit(half, td.full_like(half, 0.5), 2 * td.minimum(p, 1 - p))
            return td.sign(p - 0.5) * td.where(p == 0.5, 0.0, td.sqrt(df) * td.exp(-0.5 * logit))

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
        self.df1, self.df2 = _tensors(df1, df2)

    def _log_prob(self, x: Tensor) -> Tensor:
        a, b, ratio = 0.5 * self.df1, 0.5 * self.df2, self.df1 / self.df2
        y = td.where(x >= 0, x, 1.0)
        scale = a * td.log(ratio) - _log_beta(a, b)
        return _within(_is_natural(x), scale + td.xlogy(a - 1, y) - (a + b) * td.log1p(ratio * y))

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
            _log_beta(a, b)
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
        self.loc, self.scale = _tensors(loc, scale)

    def _log_prob(self, x: Tensor) -> Tensor:
        z = (x - self.loc) / self.scale
        return _within(td.isfinite(x), -z - td.exp(-z) - td.log(self.scale))

    def _rsample(self, key: Tensor, shape: tuple[int, ...]) -> Tensor:
        return self.loc + self.scale * samplers.gumbel(key, shape, self.loc.dtype)

    @property
    def mean(self) -> Tensor:
        return self.loc + _EULER * self.scale

    @property
    def variance(self) -> Tensor:
        return (math.pi * self.scale) ** 2 / 6

    def entropy(self) -> Tensor:
        return 1 + _EULER + td.log(self.scale)

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
        self.scale, self.concentration = _tensors(scale, concentration)

    def _log_prob(self, x: Tensor) -> Tensor:
        fits, k = _is_natural(x), self.concentration
        z = td.where(fits, x, 1.0) / self.scale
        return _within(fits, td.log(k / self.scale) + td.xlogy(k - 1, z) - z**k)

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
        return _EULER * (1 - 1 / k) + td.log(self.scale / k) + 1

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
        self.scale, self.alpha = _tensors(scale, alpha)

    def _log_prob(self, x: Tensor) -> Tensor:
        fits = x >= self.scale
        log_ratio = td.log(td.where(fits, x, self.scale) / self.scale)
        return _within(fits, td.log(self.alpha / self.scale) - (self.alpha + 1) * log_ratio)

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

    def __init__(self, loc: float | Tensor, concentration: float | Tensor) -> None:
        samplers._positive("VonMises", concentration=concentration)
        self.loc, self.concentration = _tensors(loc, concentration)

    def _log_prob(self, x: Tensor) -> Tensor:
        k = self.concentration
        # cos(x - loc) - 1 without cancellation, and I0 without its growth.
        return -2 * k * td.sin(0.5 * (x - self.loc)) ** 2 - td.log(td.special.i0e(k)) - 2 * _HALF_LOG_2PI

    def _sample(self, key: Tensor, shape: tuple[int, ...]) -> Tensor:
        loc, k = (
            td.broadcast_to(td.stop_gradient(x).astype(td.float64), shape)
            for x in (self.loc, self.concentration)
        )
        # Rejection from a wrapped Cauchy distribution. (D. J. Best and N. I. Fisher, 1979)
        tau = 1 + td.sqrt(1 + 4 * k * k)
        rho = (tau - td.sqrt(2 * tau)) / (2 * td.maximum(k, 1e-9))
        r = td.where(k < 1e-5, 1 / td.maximum(k, 1e-300), (1 + rho * rho) / (2 * td.maximum(rho, 1e-300)))

        def propose(key: Tensor, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
            turns, level, side = (
                samplers._open_uniform(each, shape, td.float64) for each in td.random.split(key, 3)
            )
            z = td.cos(math.pi * turns)
            f = (1 + r * z) / (r + z)
            c = k * (r - f)
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
        self.temperature, self.logits = _tensors(temperature, _log_odds("RelaxedBernoulli", probs, logits))

    def _log_prob(self, x: Tensor) -> Tensor:
        fits = td.logical_and(x > 0, x < 1)
        y = td.where(fits, x, 0.5)
        distance = self.logits - self.temperature * td.logit(y)
        value = td.log(self.temperature) + distance - 2 * td.softplus(distance) - td.log(y) - td.log1p(-y)
        return _within(fits, value)

    def _rsample(self, key: Tensor, shape: tuple[int, ...]) -> Tensor:
        noise = td.logit(samplers._open_uniform(key, shape, self.logits.dtype))
        return td.sigmoid((self.logits + noise) / self.temperature)


# --- Vectors


class RelaxedOneHotCategorical(Distribution):
    """OneHotCategorical made continuous: of softmax((logits + Gumbel noise) / temperature) (Maddison et al.
    2017, Jang et al. 2017).

    Examples
    --------
    >>> relaxed = td.distributions.RelaxedOneHotCategorical(0.5, td.ones(3))
    >>> relaxed.rsample(td.random.key(0)).shape
    (3,)
    """

    _parts = ("logits", "temperature")
    _event_dims = 1

    def __init__(
        self,
        temperature: float | Tensor,
        probs: TensorLike | None = None,
        *,
        logits: TensorLike | None = None,
    ) -> None:
        samplers._positive("RelaxedOneHotCategorical", temperature=temperature)
        self.logits = _log_weights("RelaxedOneHotCategorical", probs, logits)
        self.temperature = td.asarray(temperature, device=self.logits.device).astype(self.logits.dtype)

    def _log_prob(self, x: Tensor) -> Tensor:
        count, t = self.logits.shape[-1], self.temperature[..., None]
        fits = td.logical_and(td.all(x > 0, axis=-1), td.abs(td.sum(x, axis=-1) - 1) < 1e-3)
        log_x = td.log(td.where(x > 0, x, 1.0))
        scores = self.logits - t * log_x
        value = td.sum(scores - log_x, axis=-1) - count * td.logsumexp(scores, axis=-1)
        return _within(fits, value + math.lgamma(count) + (count - 1) * td.log(self.temperature))

    def _rsample(self, key: Tensor, shape: tuple[int, ...]) -> Tensor:
        noise = samplers.gumbel(key, (*shape, self.logits.shape[-1]), self.logits.dtype)
        return td.softmax((self.logits + noise) / self.temperature[..., None], axis=-1)


class Dirichlet(Distribution):
    """The Dirichlet distribution of vectors of sum 1, with concentrations (.., n).

    Examples
    --------
    >>> td.distributions.Dirichlet(td.tensor([1.0, 3.0])).mean
    tensor([0.25, 0.75], dtype=float32)
    """

    _parts = ("concentration",)
    _computed_in = td.float64
    _event_dims = 1

    def __init__(self, concentration: TensorLike) -> None:
        (self.concentration,) = _tensors(concentration)
        if self.concentration.ndim < 1:
            raise td.ShapeError("[Dirichlet] the concentration must be a vector or a batch of such")

    def _log_prob(self, x: Tensor) -> Tensor:
        a = self.concentration
        fits = td.all(x >= 0, axis=-1)
        y = td.where(x >= 0, x, 1.0)
        return _within(
            fits, td.sum(td.xlogy(a - 1, y) - td.lgamma(a), axis=-1) + td.lgamma(td.sum(a, axis=-1))
        )

    def _rsample(self, key: Tensor, shape: tuple[int, ...]) -> Tensor:
        return samplers.dirichlet(key, self.concentration, shape)

    @property
    def mean(self) -> Tensor:
        return self.concentration / td.sum(self.concentration, axis=-1, keepdims=True)

    @property
    def variance(self) -> Tensor:
        mean = self.mean
        return mean * (1 - mean) / (td.sum(self.concentration, axis=-1, keepdims=True) + 1)

    def entropy(self) -> Tensor:
        a, total = self.concentration, td.sum(self.concentration, axis=-1)
        log_beta = td.sum(td.lgamma(a), axis=-1) - td.lgamma(total)
        spread = (total - a.shape[-1]) * td.digamma(total) - td.sum((a - 1) * td.digamma(a), axis=-1)
        return log_beta + spread


class MultivariateNormal(Distribution):
    """Normal vectors with means `loc` (.., n) and covariance matrices (.., n, n), or lower triangular factors
    `scale_tril` of these. A covariance that is not positive definite is an error.

    Examples
    --------
    >>> td.distributions.MultivariateNormal(td.zeros(2), td.eye(2)).entropy()
    tensor(2.837877, dtype=float32)
    """

    _parts = ("loc", "scale_tril")
    _event_dims = 1

    def __init__(
        self,
        loc: TensorLike,
        covariance_matrix: TensorLike | None = None,
        *,
        scale_tril: TensorLike | None = None,
    ) -> None:
        if (covariance_matrix is None) == (scale_tril is None):
            raise ValueError("[MultivariateNormal] needs either covariance_matrix or scale_tril")
        given = covariance_matrix if scale_tril is None else scale_tril
        tensors = [x if isinstance(x, (list, tuple)) else td.asarray(x) for x in (loc, given)]
        like = next((x for x in tensors if isinstance(x, Tensor)), td.ones(()))
        loc, matrix = (beside(x, like) for x in tensors)
        if loc.ndim < 1 or matrix.ndim < 2 or matrix.shape[-2:] != (loc.shape[-1],) * 2:
            raise td.ShapeError(
                f"[MultivariateNormal] loc {tuple(loc.shape)} needs matrices of shape (.., n, n), not "
                f"{tuple(matrix.shape)}"
            )
        dtype = td.result_type(loc, matrix)
        dtype = dtype if dtype.is_floating_point else td.float32
        matrix = matrix.astype(dtype)
        batch = samplers._shape_of("MultivariateNormal", None, loc.shape[:-1], matrix.shape[:-2])
        size = loc.shape[-1]
        factor = linalg.cholesky(matrix) if scale_tril is None else td.tril(matrix)
        self.loc = td.broadcast_to(loc.astype(dtype), (*batch, size))
        self.scale_tril = td.broadcast_to(factor, (*batch, size, size))

    @property
    def covariance_matrix(self) -> Tensor:
        """The covariance matrices (.., n, n)."""
        return self.scale_tril @ td.matrix_transpose(self.scale_tril)

    def _log_scale(self) -> Tensor:
        return td.sum(td.log(td.diagonal(self.scale_tril)), axis=-1)

    def _log_prob(self, x: Tensor) -> Tensor:
        y = (x - self.loc)[..., None]
        factor = td.broadcast_to(self.scale_tril, (*y.shape[:-2], *self.scale_tril.shape[-2:]))
        z = linalg.solve_triangular(factor, y, upper=False)[..., 0]
        return -0.5 * td.sum(z * z, axis=-1) - self._log_scale() - self.loc.shape[-1] * _HALF_LOG_2PI

    def _rsample(self, key: Tensor, shape: tuple[int, ...]) -> Tensor:
        z = uniform_samplers.normal(key, (*shape, self.loc.shape[-1]), dtype=self.loc.dtype)
        return self.loc + (self.scale_tril @ z[..., None])[..., 0]

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        return td.sum(self.scale_tril**2, axis=-1)

    def entropy(self) -> Tensor:
        return self._log_scale() + self.loc.shape[-1] * (0.5 + _HALF_LOG_2PI)


# --- Integers


def _log_odds(op: str, probs: Any, logits: Any, *others: Tensor) -> Any:
    """Logits from either, at least as exact as other parameters."""
    if (probs is None) == (logits is None):
        raise ValueError(f"[{op}] needs either probs or logits")
    if probs is None:
        return logits
    samplers._probability(op, "probs", probs)
    return td.logit(_tensors(probs, *others)[0])


class _ByLogits(Distribution):
    logits: Tensor

    @property
    def probs(self) -> Tensor:
        """The probabilities."""
        return td.sigmoid(self.logits)


class Bernoulli(_ByLogits):
    """1 with probability `probs`, or sigmoid(logits), else 0. Samples are int64.

    Examples
    --------
    >>> td.distributions.Bernoulli(0.25).mean
    tensor(0.25, dtype=float32)
    """

    _parts = ("logits",)

    def __init__(self, probs: TensorLike | None = None, *, logits: TensorLike | None = None) -> None:
        (self.logits,) = _tensors(_log_odds("Bernoulli", probs, logits))

    def _log_prob(self, x: Tensor) -> Tensor:
        value = td.where(x == 1, td.log_sigmoid(self.logits), td.log_sigmoid(-self.logits))
        return _within(td.logical_or(x == 0, x == 1), value)

    def _sample(self, key: Tensor, shape: tuple[int, ...]) -> Tensor:
        return samplers.bernoulli(key, self.probs, shape).astype(td.int64)

    @property
    def mean(self) -> Tensor:
        return self.probs

    @property
    def variance(self) -> Tensor:
        return self.probs * td.sigmoid(-self.logits)

    def entropy(self) -> Tensor:
        return td.entr(self.probs) + td.entr(td.sigmoid(-self.logits))


class Binomial(_ByLogits):
    """How many of n trials succeed, each with probability `probs`, or sigmoid(logits). Samples are int64.

    Examples
    --------
    >>> td.distributions.Binomial(4, 0.25).mean
    tensor(1., dtype=float32)
    """

    _parts = ("n", "logits")
    _computed_in = td.float64

    def __init__(
        self, n: int | Tensor, probs: TensorLike | None = None, *, logits: TensorLike | None = None
    ) -> None:
        samplers._check("Binomial", "n", n, lambda x: x >= 0 and x == int(x), "an integer of at least 0")
        others = [n] if isinstance(n, td.Tensor) and n.dtype.is_floating_point else []
        odds, *_ = _tensors(_log_odds("Binomial", probs, logits, *others), *others)
        # Sixteen bits do not hold every count.
        self.n, wide = _tensors(n, widened(odds))
        self.logits = wide.astype(odds.dtype, copy=False)

    def _dtype(self) -> Any:
        return self.logits.dtype

    def _log_prob(self, x: Tensor) -> Tensor:
        fits = td.logical_and(_whole(x), x <= self.n)
        k = td.where(fits, x, 0.0)
        ways = td.lgamma(self.n + 1) - td.lgamma(k + 1) - td.lgamma(self.n - k + 1)
        # 0 of an impossible outcome has probability 1.
        successes = td.where(k == 0, 0.0, k * td.log_sigmoid(self.logits))
        failures = td.where(k == self.n, 0.0, (self.n - k) * td.log_sigmoid(-self.logits))
        return _within(fits, ways + successes + failures)

    def _sample(self, key: Tensor, shape: tuple[int, ...]) -> Tensor:
        return samplers.binomial(key, self.n, self.probs, shape)

    @property
    def mean(self) -> Tensor:
        return self.n * self.probs

    @property
    def variance(self) -> Tensor:
        return self.n * self.probs * td.sigmoid(-self.logits)

    @staticmethod
    def _below(n: Tensor, probs: Tensor, x: Tensor) -> Tensor:
        k = td.floor(x)
        is_inside = td.logical_and(k >= 0, k < n)
        inner = td.where(is_inside, k, 0.0)
        part = betaincc(inner + 1, td.where(is_inside, n - k, 1.0), probs)
        return td.where(is_inside, part, (k >= 0).astype(part.dtype))

    def _cdf(self, x: Tensor) -> Tensor:
        return self._below(self.n, self.probs, x)

    def _icdf(self, p: Tensor) -> Tensor:
        """The smallest number up to which the probability is at least p, found by halving."""
        p, n, probs = td.broadcast_arrays(p, self.n, self.probs)

        def is_wide(carry: tuple[Tensor, Tensor]) -> Tensor:
            low, high = carry
            return td.any(high - low > 1)

        def halve(carry: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
            low, high = carry
            middle = td.floor(0.5 * (low + high))
            is_enough = self._below(n, probs, middle) >= p
            return td.where(is_enough, low, middle), td.where(is_enough, middle, high)

        p, n, probs = (td.stop_gradient(x) for x in (p, n, probs))
        _, least = while_loop(is_wide, halve, (td.full_like(n, -1.0), n))
        fits = td.logical_and(p >= 0, p <= 1)
        return td.where(p == 1, n, td.where(fits, least, math.nan))


class Geometric(_ByLogits):
    """How many trials there are to the first success, 1, 2 .., each of probability `probs`, or
    sigmoid(logits). Samples are int64.

    Examples
    --------
    >>> td.distributions.Geometric(0.25).mean
    tensor(4., dtype=float32)
    """

    _parts = ("logits",)

    def __init__(self, probs: TensorLike | None = None, *, logits: TensorLike | None = None) -> None:
        (self.logits,) = _tensors(_log_odds("Geometric", probs, logits))

    def _log_prob(self, x: Tensor) -> Tensor:
        failures = td.where(x == 1, 0.0, (x - 1) * td.log_sigmoid(-self.logits))
        return _within(_whole(x, 1), failures + td.log_sigmoid(self.logits))

    def _sample(self, key: Tensor, shape: tuple[int, ...]) -> Tensor:
        return samplers.geometric(key, self.probs, shape)

    @property
    def mean(self) -> Tensor:
        return 1 / self.probs

    @property
    def variance(self) -> Tensor:
        return td.sigmoid(-self.logits) / self.probs**2

    def entropy(self) -> Tensor:
        return (td.entr(self.probs) + td.entr(td.sigmoid(-self.logits))) / self.probs

    def _cdf(self, x: Tensor) -> Tensor:
        return -td.expm1(td.floor(td.maximum(x, 0.0)) * td.log_sigmoid(-self.logits))


class NegativeBinomial(_ByLogits):
    """How many trials succeed before n fail, each trial with probability `probs`, or sigmoid(logits). n need
    not be whole. Samples are int64.

    Examples
    --------
    >>> td.distributions.NegativeBinomial(3, 0.5).mean
    tensor(3., dtype=float32)
    """

    _parts = ("n", "logits")
    _computed_in = td.float64

    def __init__(
        self, n: float | Tensor, probs: TensorLike | None = None, *, logits: TensorLike | None = None
    ) -> None:
        samplers._positive("NegativeBinomial", n=n)
        others = [n] if isinstance(n, td.Tensor) else []
        self.n, self.logits = _tensors(n, _log_odds("NegativeBinomial", probs, logits, *others))

    def _log_prob(self, x: Tensor) -> Tensor:
        k = td.where(_whole(x), x, 0.0)
        ways = td.lgamma(self.n + k) - td.lgamma(self.n) - td.lgamma(k + 1)
        successes = td.where(k == 0, 0.0, k * td.log_sigmoid(self.logits))
        return _within(_whole(x), ways + successes + self.n * td.log_sigmoid(-self.logits))

    def _sample(self, key: Tensor, shape: tuple[int, ...]) -> Tensor:
        keys = td.random.split(key)
        rate = samplers.gamma(keys[0], td.stop_gradient(self.n), shape, td.float64)
        return samplers.poisson(
            keys[1], rate * td.exp(td.stop_gradient(self.logits).astype(td.float64)), shape
        )

    @property
    def mean(self) -> Tensor:
        return self.n * td.exp(self.logits)

    @property
    def variance(self) -> Tensor:
        return self.mean / td.sigmoid(-self.logits)

    def _cdf(self, x: Tensor) -> Tensor:
        k = td.floor(x)
        part = betainc(self.n, td.where(_is_natural(k), k, 0.0) + 1, td.sigmoid(-self.logits))
        return td.where(k == math.inf, 1.0, td.where(k >= 0, part, 0.0))


class Poisson(Distribution):
    """How many events there are where `rate` are expected. Samples are int64.

    Examples
    --------
    >>> td.distributions.Poisson(2.0).log_prob(0)
    tensor(-2., dtype=float32)
    """

    _parts = ("rate",)
    _computed_in = td.float64

    def __init__(self, rate: float | Tensor) -> None:
        samplers._positive("Poisson", rate=rate)
        (self.rate,) = _tensors(rate)

    def _log_prob(self, x: Tensor) -> Tensor:
        k = td.where(_whole(x), x, 0.0)
        return _within(_whole(x), td.xlogy(k, self.rate) - self.rate - td.lgamma(k + 1))

    def _sample(self, key: Tensor, shape: tuple[int, ...]) -> Tensor:
        return samplers.poisson(key, self.rate, shape)

    @property
    def mean(self) -> Tensor:
        return self.rate

    @property
    def variance(self) -> Tensor:
        return self.rate

    def _cdf(self, x: Tensor) -> Tensor:
        k = td.floor(x)
        below = gammaincc(td.where(_is_natural(k), k, 0.0) + 1, self.rate)
        return td.where(k == math.inf, 1.0, td.where(k >= 0, below, 0.0))


def _log_weights(op: str, probs: Any, logits: Any) -> Tensor:
    """Logarithms of probabilities along the last axis, from weights or logits."""
    if (probs is None) == (logits is None):
        raise ValueError(f"[{op}] needs either probs or logits")
    (weights,) = _tensors(logits if probs is None else probs)
    if weights.ndim < 1 or weights.shape[-1] == 0:
        raise td.ShapeError(f"[{op}] has no categories along the last axis of {tuple(weights.shape)}")
    wide = widened(weights)
    return td.log_softmax(wide if probs is None else td.log(wide), axis=-1).astype(weights.dtype, copy=False)


class Categorical(Distribution):
    """0 .. n-1 with probabilities in proportion to `probs` (.., n), or exp(logits). Samples are int64.

    Examples
    --------
    >>> td.distributions.Categorical(td.tensor([1.0, 3.0])).probs
    tensor([0.25, 0.75], dtype=float32)
    """

    _parts = ("logits",)

    def __init__(self, probs: TensorLike | None = None, *, logits: TensorLike | None = None) -> None:
        self.logits = _log_weights("Categorical", probs, logits)

    def _shape(self) -> tuple[int, ...]:
        return tuple(self.logits.shape[:-1])

    @property
    def probs(self) -> Tensor:
        """The probabilities."""
        return td.exp(self.logits)

    def _log_prob(self, x: Tensor) -> Tensor:
        shape = td.broadcast_to(td.empty((), dtype=td.bool), self.batch_shape)
        x = td.broadcast_arrays(x, shape)[0]
        fits = td.logical_and(_whole(x), x < self.logits.shape[-1])
        indices = td.where(fits, x, 0).astype(td.int64)
        logits = td.broadcast_to(self.logits, (*indices.shape, self.logits.shape[-1]))
        taken = td.take_along_axis(logits, indices[..., None], axis=-1)[..., 0]
        return _within(fits, taken)

    def _sample(self, key: Tensor, shape: tuple[int, ...]) -> Tensor:
        return samplers.categorical(key, self.logits, shape=shape)

    def entropy(self) -> Tensor:
        return td.sum(td.entr(self.probs), axis=-1)


class OneHotCategorical(Distribution):
    """Vectors (n,) of zeros with a 1 at the place of a category, as Categorical draws it.

    Examples
    --------
    >>> td.distributions.OneHotCategorical(td.tensor([0.0, 1.0])).sample(td.random.key(0))
    tensor([0., 1.], dtype=float32)
    """

    _parts = ("logits",)
    _event_dims = 1

    def __init__(self, probs: TensorLike | None = None, *, logits: TensorLike | None = None) -> None:
        self.logits = _log_weights("OneHotCategorical", probs, logits)

    @property
    def probs(self) -> Tensor:
        """The probabilities."""
        return td.exp(self.logits)

    def _log_prob(self, x: Tensor) -> Tensor:
        is_one = x == 1
        fits = td.logical_and(
            td.all(td.logical_or(is_one, x == 0), axis=-1), td.count_nonzero(is_one, axis=-1) == 1
        )
        return _within(fits, td.sum(td.where(is_one, self.logits, 0.0), axis=-1))

    def _sample(self, key: Tensor, shape: tuple[int, ...]) -> Tensor:
        indices = samplers.categorical(key, self.logits, shape=shape)
        return td.one_hot(indices, self.logits.shape[-1]).astype(self.logits.dtype)

    @property
    def mean(self) -> Tensor:
        return self.probs

    @property
    def variance(self) -> Tensor:
        return self.probs * (1 - self.probs)

    def entropy(self) -> Tensor:
        return td.sum(td.entr(self.probs), axis=-1)


class Multinomial(Distribution):
    """How often each category comes in n draws, as vectors of sum n, with probabilities in proportion to
    `probs` (.., k), or exp(logits). Samples are in the dtype of the parameters.

    Examples
    --------
    >>> td.distributions.Multinomial(4, td.tensor([1.0, 3.0])).mean
    tensor([1., 3.], dtype=float32)
    """

    _parts = ("logits",)
    _static = ("n",)
    _event_dims = 1
    _computed_in = td.float64

    def __init__(self, n: int, probs: TensorLike | None = None, *, logits: TensorLike | None = None) -> None:
        samplers._check("Multinomial", "n", n, lambda x: x >= 0 and x == int(x), "an integer of at least 0")
        self.n, self.logits = int(n), _log_weights("Multinomial", probs, logits)

    @property
    def probs(self) -> Tensor:
        """The probabilities."""
        return td.exp(self.logits)

    def _log_prob(self, x: Tensor) -> Tensor:
        fits = td.logical_and(td.all(_whole(x), axis=-1), td.sum(x, axis=-1) == self.n)
        k = td.where(_whole(x), x, 0.0)
        each = td.where(k == 0, 0.0, k * self.logits) - td.lgamma(k + 1)
        return _within(fits, td.sum(each, axis=-1) + math.lgamma(self.n + 1))

    def _sample(self, key: Tensor, shape: tuple[int, ...]) -> Tensor:
        drawn = samplers.categorical(key, self.logits, shape=(self.n, *shape))
        return td.sum(td.one_hot(drawn, self.logits.shape[-1]).astype(self.logits.dtype), axis=0)

    @property
    def mean(self) -> Tensor:
        return self.n * self.probs

    @property
    def variance(self) -> Tensor:
        return self.n * self.probs * (1 - self.probs)


# --- Of other distributions


class MixtureSameFamily(Distribution):
    """One of the members along the last axis of the batch of `components`, as `mixture`, a Categorical,
    draws it.

    Examples
    --------
    >>> mixture = td.distributions.Categorical(td.tensor([1.0, 3.0]))
    >>> components = td.distributions.Normal(td.tensor([-1.0, 1.0]))
    >>> td.distributions.MixtureSameFamily(mixture, components).mean
    tensor(0.5, dtype=float32)
    """

    _parts = ("mixture", "components")

    def __init__(self, mixture: Categorical, components: Distribution) -> None:
        count = mixture.logits.shape[-1]
        if components.batch_shape[-1:] != (count,):
            raise td.ShapeError(
                f"[MixtureSameFamily] {count} weights need components of batch shape (.., {count}), not "
                f"{components.batch_shape}"
            )
        self.mixture, self.components = mixture, components

    @property
    def batch_shape(self) -> tuple[int, ...]:
        return samplers._shape_of(
            "MixtureSameFamily", None, self.mixture.batch_shape, self.components.batch_shape[:-1]
        )

    @property
    def event_shape(self) -> tuple[int, ...]:
        return self.components.event_shape

    def _log_prob(self, x: Tensor) -> Tensor:
        each = self.components.log_prob(td.expand_dims(x, x.ndim - len(self.event_shape)))
        return td.logsumexp(self.mixture.logits + each, axis=-1)

    def _sample(self, key: Tensor, shape: tuple[int, ...]) -> Tensor:
        keys = td.random.split(key)
        chosen = self.mixture._sample(keys[0], shape)
        of_all = self.components
        draw = of_all._rsample if of_all.has_rsample else of_all._sample
        of_one = of_all._extended(())[len(of_all.batch_shape) - 1 :]  # its axes of events too, if Independent
        drawn = td.stop_gradient(draw(keys[1], (*shape, *of_one)))
        events = len(self.event_shape)
        index = chosen.reshape((*chosen.shape, 1, *(1,) * events))
        axis = -1 - events
        wide = td.broadcast_to(index, (*drawn.shape[:axis], 1, *self.event_shape))
        return td.squeeze(td.take_along_axis(drawn, wide, axis=axis), axis=axis)

    def _weighted(self, x: Tensor) -> Tensor:
        """The mean over the components of what is of each, (.., k) + event_shape."""
        events = len(self.event_shape)
        probs = self.mixture.probs
        return td.sum(probs.reshape((*probs.shape, *(1,) * events)) * x, axis=-1 - events)

    @property
    def mean(self) -> Tensor:
        return self._weighted(self.components.mean)

    @property
    def variance(self) -> Tensor:
        mean = td.expand_dims(self.mean, -1 - len(self.event_shape))
        return self._weighted(self.components.variance + (self.components.mean - mean) ** 2)

    def _cdf(self, x: Tensor) -> Tensor:
        return self._weighted(self.components.cdf(td.expand_dims(x, -1)))


class Independent(Distribution):
    """`base` with the last `count` axes of its batch as axes of one event, over which log_prob is summed.

    Examples
    --------
    >>> td.distributions.Independent(td.distributions.Normal(td.zeros(3))).event_shape
    (3,)
    """

    _parts = ("base",)
    _static = ("count",)

    def __init__(self, base: Distribution, count: int = 1) -> None:
        if not 0 <= count <= len(base.batch_shape):
            raise ValueError(f"[Independent] {base.batch_shape} has no {count} axes")
        self.base, self.count = base, count

    @property
    def batch_shape(self) -> tuple[int, ...]:
        shape = self.base.batch_shape
        return shape[: len(shape) - self.count]

    @property
    def event_shape(self) -> tuple[int, ...]:
        shape = self.base.batch_shape
        return (*shape[len(shape) - self.count :], *self.base.event_shape)

    @property
    def has_rsample(self) -> bool:
        return self.base.has_rsample

    def _summed(self, x: Tensor) -> Tensor:
        return td.sum(x, axis=tuple(range(-self.count, 0))) if self.count else x

    def _log_prob(self, x: Tensor) -> Tensor:
        return self._summed(self.base.log_prob(x))

    def _extended(self, shape: Shape) -> tuple[int, ...]:
        return self.base._extended(shape)

    def _rsample(self, key: Tensor, shape: tuple[int, ...]) -> Tensor:
        return self.base._rsample(key, shape)

    def _sample(self, key: Tensor, shape: tuple[int, ...]) -> Tensor:
        return self.base._sample(key, shape)

    @property
    def mean(self) -> Tensor:
        return self.base.mean

    @property
    def variance(self) -> Tensor:
        return self.base.variance

    def entropy(self) -> Tensor:
        return self._summed(self.base.entropy())


class TransformedDistribution(Distribution):
    """The distribution of forward(x) of x of `base`, a smooth function of each element with an `inverse`.

    The derivative is that of forward, by which log_prob is divided.

    Examples
    --------
    >>> td.distributions.TransformedDistribution(td.distributions.Normal(), td.exp, td.log).log_prob(1.0)
    tensor(-0.9189385, dtype=float32)
    """

    _parts = ("base",)
    _static = ("forward", "inverse")

    def __init__(
        self, base: Distribution, forward: Callable[[Tensor], Tensor], inverse: Callable[[Tensor], Tensor]
    ) -> None:
        if base.event_shape:
            raise ValueError(f"[TransformedDistribution] takes distributions of numbers, not {base!r}")
        self.base, self.forward, self.inverse = base, forward, inverse

    @property
    def batch_shape(self) -> tuple[int, ...]:
        return self.base.batch_shape

    event_shape = ()

    @property
    def has_rsample(self) -> bool:
        return self.base.has_rsample

    def _log_prob(self, y: Tensor) -> Tensor:
        x = self.inverse(y)
        _, slope = td.jvp(self.forward, (x,), (td.ones_like(x),))
        return self.base.log_prob(x) - td.log(td.abs(slope))

    def _rsample(self, key: Tensor, shape: tuple[int, ...]) -> Tensor:
        return self.forward(self.base._rsample(key, shape))

    def _sample(self, key: Tensor, shape: tuple[int, ...]) -> Tensor:
        return self.forward(self.base._sample(key, shape))


# --- Divergences


_DIVERGENCES: dict[tuple[type, type], Callable[[Any, Any], Tensor]] = {}


def register_kl(p: type, q: type) -> Callable[[F], F]:
    """Decorates a function of a distribution of class p and one of class q as their kl_divergence.

    Examples
    --------
    >>> callable(td.distributions.register_kl(td.distributions.Normal, td.distributions.Cauchy))
    True
    """

    def register(function: F) -> F:
        _DIVERGENCES[p, q] = function
        return function

    return register


def kl_divergence(p: Distribution, q: Distribution) -> Tensor:
    """Kullback and Leibler's divergence of p from q, the expectation under p of p.log_prob - q.log_prob, of
    the shape of their batches. NotImplementedError where there is none for the classes (register_kl).

    Examples
    --------
    >>> td.distributions.kl_divergence(td.distributions.Normal(1.0), td.distributions.Normal())
    tensor(0.5, dtype=float32)
    """
    for of_p in type(p).__mro__:
        for of_q in type(q).__mro__:
            if (of_p, of_q) in _DIVERGENCES:
                return _rounded_once(_DIVERGENCES[of_p, of_q])(p, q)
    raise NotImplementedError(
        f"[kl_divergence] there is none of {type(p).__name__} and {type(q).__name__} (see register_kl)"
    )


@register_kl(Normal, Normal)
def _(p: Normal, q: Normal) -> Tensor:
    ratio = (p.scale / q.scale) ** 2
    return 0.5 * (ratio + ((p.loc - q.loc) / q.scale) ** 2 - 1 - td.log(ratio))


@register_kl(LogNormal, LogNormal)
def _(p: LogNormal, q: LogNormal) -> Tensor:
    return kl_divergence(p._normal(), q._normal())


@register_kl(HalfNormal, HalfNormal)
def _(p: HalfNormal, q: HalfNormal) -> Tensor:
    return kl_divergence(Normal(0.0, p.scale), Normal(0.0, q.scale))


@register_kl(Uniform, Uniform)
def _(p: Uniform, q: Uniform) -> Tensor:
    is_inside = td.logical_and(q.low <= p.low, p.high <= q.high)
    return td.where(is_inside, td.log((q.high - q.low) / (p.high - p.low)), math.inf)


@register_kl(Exponential, Exponential)
def _(p: Exponential, q: Exponential) -> Tensor:
    return q.rate / p.rate - 1 - td.log(q.rate / p.rate)


@register_kl(Gamma, Gamma)
def _(p: Gamma, q: Gamma) -> Tensor:
    a, b = p.concentration, q.concentration
    return (
        b * td.log(p.rate / q.rate)
        + td.lgamma(b)
        - td.lgamma(a)
        + (a - b) * td.digamma(a)
        + a * (q.rate / p.rate - 1)
    )


@register_kl(InverseGamma, InverseGamma)
def _(p: InverseGamma, q: InverseGamma) -> Tensor:
    return kl_divergence(Gamma(p.concentration, p.rate), Gamma(q.concentration, q.rate))


@register_kl(Weibull, Weibull)
def _(p: Weibull, q: Weibull) -> Tensor:
    k, other, ratio = p.concentration, q.concentration, p.scale / q.scale
    return (
        td.log(k / other)
        - other * td.log(ratio)
        + _EULER * (other / k - 1)
        + td.exp(other * td.log(ratio) + td.lgamma(1 + other / k))
        - 1
    )


@register_kl(Pareto, Pareto)
def _(p: Pareto, q: Pareto) -> Tensor:
    ratio = q.alpha / p.alpha
    value = q.alpha * td.log(p.scale / q.scale) - td.log(ratio) + ratio - 1
    return td.where(p.scale >= q.scale, value, math.inf)


@register_kl(Beta, Beta)
def _(p: Beta, q: Beta) -> Tensor:
    total = p.a + p.b
    return (
        _log_beta(q.a, q.b)
        - _log_beta(p.a, p.b)
        + (p.a - q.a) * td.digamma(p.a)
        + (p.b - q.b) * td.digamma(p.b)
        + (q.a + q.b - total) * td.digamma(total)
    )


@register_kl(Dirichlet, Dirichlet)
def _(p: Dirichlet, q: Dirichlet) -> Tensor:
    a, b = p.concentration, q.concentration
    total = td.sum(a, axis=-1)
    each = td.lgamma(b) - td.lgamma(a) + (a - b) * (td.digamma(a) - td.digamma(total)[..., None])
    return td.lgamma(total) - td.lgamma(td.sum(b, axis=-1)) + td.sum(each, axis=-1)


@register_kl(Laplace, Laplace)
def _(p: Laplace, q: Laplace) -> Tensor:
    distance = td.abs(p.loc - q.loc)
    mean = (p.scale * td.exp(-distance / p.scale) + distance) / q.scale
    return mean - 1 + td.log(q.scale / p.scale)


@register_kl(Cauchy, Cauchy)
def _(p: Cauchy, q: Cauchy) -> Tensor:
    return td.log(((p.scale + q.scale) ** 2 + (p.loc - q.loc) ** 2) / (4 * p.scale * q.scale))


@register_kl(Gumbel, Gumbel)
def _(p: Gumbel, q: Gumbel) -> Tensor:
    ratio = p.scale / q.scale
    return (
        td.log(q.scale / p.scale)
        + _EULER * (ratio - 1)
        + td.exp((q.loc - p.loc) / q.scale + td.lgamma(1 + ratio))
        - 1
        + (p.loc - q.loc) / q.scale
    )


@register_kl(Bernoulli, Bernoulli)
def _(p: Bernoulli, q: Bernoulli) -> Tensor:
    return _binary_kl(p, q)


def _binary_kl(p: Any, q: Any) -> Tensor:
    def part(sign: int) -> Tensor:
        probability = td.sigmoid(sign * p.logits)
        difference = td.log_sigmoid(sign * p.logits) - td.log_sigmoid(sign * q.logits)
        return td.where(probability == 0, 0.0, probability * difference)

    return part(1) + part(-1)


@register_kl(Binomial, Binomial)
def _(p: Binomial, q: Binomial) -> Tensor:
    return td.where(p.n > q.n, math.inf, td.where(p.n == q.n, p.n * _binary_kl(p, q), math.nan))


@register_kl(Geometric, Geometric)
def _(p: Geometric, q: Geometric) -> Tensor:
    return _binary_kl(p, q) / p.probs


@register_kl(NegativeBinomial, NegativeBinomial)
def _(p: NegativeBinomial, q: NegativeBinomial) -> Tensor:
    return td.where(p.n == q.n, p.n * _binary_kl(p, q) / td.sigmoid(-p.logits), math.nan)


@register_kl(Multinomial, Multinomial)
def _(p: Multinomial, q: Multinomial) -> Tensor:
    if p.n != q.n:
        raise ValueError(f"[kl_divergence] {p.n} and {q.n} draws")
    return p.n * td.sum(td.where(p.probs == 0, 0.0, p.probs * (p.logits - q.logits)), axis=-1)


@register_kl(Poisson, Poisson)
def _(p: Poisson, q: Poisson) -> Tensor:
    return p.rate * td.log(p.rate / q.rate) - p.rate + q.rate


@register_kl(Categorical, Categorical)
@register_kl(OneHotCategorical, OneHotCategorical)
def _(p: OneHotCategorical, q: OneHotCategorical) -> Tensor:
    return td.sum(td.where(p.probs == 0, 0.0, p.probs * (p.logits - q.logits)), axis=-1)


@register_kl(MultivariateNormal, MultivariateNormal)
def _(p: MultivariateNormal, q: MultivariateNormal) -> Tensor:
    size = p.loc.shape[-1]
    batch = samplers._shape_of("kl_divergence", None, p.batch_shape, q.batch_shape)
    factor = td.broadcast_to(q.scale_tril, (*batch, size, size))
    parts = td.concat(
        [
            td.broadcast_to(p.scale_tril, (*batch, size, size)),
            td.broadcast_to((p.loc - q.loc)[..., None], (*batch, size, 1)),
        ],
        axis=-1,
    )
    ratio = linalg.solve_triangular(factor, parts, upper=False)
    return 0.5 * (td.sum(ratio**2, axis=(-2, -1)) - size) + q._log_scale() - p._log_scale()


@register_kl(Independent, Independent)
def _(p: Independent, q: Independent) -> Tensor:
    if p.count != q.count:
        raise ValueError(f"[kl_divergence] events of {p.count} and {q.count} axes")
    return p._summed(kl_divergence(p.base, q.base))


_explain(globals(), __all__)
_explain_methods(Distribution, ("sample", "rsample", "log_prob", "prob", "cdf", "icdf"))
