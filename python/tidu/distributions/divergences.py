"""Divergences of distributions from each other."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import tidu as td
from tidu._core import Tensor

from .. import _samplers as samplers
from .._core import linalg
from .composed import Independent
from .distribution import EULER, HALF_LOG_2PI, Distribution, F, log_beta, rounded_once
from .integers import (
    Bernoulli,
    Binomial,
    Categorical,
    Geometric,
    Multinomial,
    NegativeBinomial,
    OneHotCategorical,
    Poisson,
)
from .matrices import Wishart, log_multigamma, multidigamma
from .real import (
    Beta,
    Cauchy,
    ContinuousBernoulli,
    Exponential,
    Gamma,
    Gumbel,
    HalfNormal,
    InverseGamma,
    Laplace,
    LogNormal,
    Normal,
    Pareto,
    Uniform,
    VonMises,
    Weibull,
)
from .vectors import Dirichlet, LowRankMultivariateNormal, MultivariateNormal

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
                return rounded_once(_DIVERGENCES[of_p, of_q])(p, q)
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
        + EULER * (other / k - 1)
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
        log_beta(q.a, q.b)
        - log_beta(p.a, p.b)
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
        + EULER * (ratio - 1)
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


@register_kl(ContinuousBernoulli, ContinuousBernoulli)
def _(p: ContinuousBernoulli, q: ContinuousBernoulli) -> Tensor:
    return q._log_size(q.logits) - p._log_size(p.logits) + (p.logits - q.logits) * p.mean


@register_kl(VonMises, VonMises)
def _(p: VonMises, q: VonMises) -> Tensor:
    a, b = p.concentration, q.concentration
    # 1 - cos without cancellation.
    versine = 2 * td.sin(0.5 * (p.loc - q.loc)) ** 2
    scaled = td.log(td.special.i0e(b) / td.special.i0e(a)) + b - a
    return scaled + td.special.i1e(a) / td.special.i0e(a) * (a - b + b * versine)


@register_kl(Wishart, Wishart)
def _(p: Wishart, q: Wishart) -> Tensor:
    n = p.scale_tril.shape[-1]
    batch = samplers._shape_of("kl_divergence", None, p.batch_shape, q.batch_shape)
    of_p, of_q = (td.broadcast_to(x.scale_tril, (*batch, n, n)) for x in (p, q))
    ratio = linalg.solve_triangular(of_q, of_p, upper=False)
    return (
        log_multigamma(0.5 * q.df, n)
        - log_multigamma(0.5 * p.df, n)
        + 0.5 * (p.df - q.df) * multidigamma(0.5 * p.df, n)
        + 0.5 * q.df * (q._log_scale() - p._log_scale())
        + 0.5 * p.df * (td.sum(ratio**2, axis=(-2, -1)) - n)
    )


@register_kl(LowRankMultivariateNormal, LowRankMultivariateNormal)
def _(p: LowRankMultivariateNormal, q: LowRankMultivariateNormal) -> Tensor:
    low, log_scale = q._inverse()
    size = p.loc.shape[-1]

    def squares(columns: Tensor) -> Tensor:
        """The sum over columns of their squares by the inverse covariance of q."""
        return td.sum(columns**2 / q.cov_diag[..., None], axis=(-2, -1)) - td.sum(
            (low @ columns) ** 2, axis=(-2, -1)
        )

    of_diag = td.sum(p.cov_diag * (1 / q.cov_diag - td.sum(low**2, axis=-2)), axis=-1)
    distance = squares((p.loc - q.loc)[..., None])
    return 0.5 * (squares(p.cov_factor) + of_diag + distance - size) + log_scale - p._inverse()[1]


@register_kl(LowRankMultivariateNormal, MultivariateNormal)
def _(p: LowRankMultivariateNormal, q: MultivariateNormal) -> Tensor:
    return kl_divergence(MultivariateNormal(p.loc, p.covariance_matrix), q)


@register_kl(MultivariateNormal, LowRankMultivariateNormal)
def _(p: MultivariateNormal, q: LowRankMultivariateNormal) -> Tensor:
    return kl_divergence(p, MultivariateNormal(q.loc, q.covariance_matrix))


@register_kl(Exponential, Gamma)
def _(p: Exponential, q: Gamma) -> Tensor:
    return kl_divergence(Gamma(td.ones_like(p.rate), p.rate), q)


@register_kl(Gamma, Exponential)
def _(p: Gamma, q: Exponential) -> Tensor:
    return kl_divergence(p, Gamma(td.ones_like(q.rate), q.rate))


@register_kl(Uniform, Normal)
def _(p: Uniform, q: Normal) -> Tensor:
    return _from_moments(p, q)


@register_kl(Laplace, Normal)
def _(p: Laplace, q: Normal) -> Tensor:
    return _from_moments(p, q)


@register_kl(Gumbel, Normal)
def _(p: Gumbel, q: Normal) -> Tensor:
    return _from_moments(p, q)


def _from_moments(p: Distribution, q: Normal) -> Tensor:
    squares = (p.variance + (p.mean - q.loc) ** 2) / q.scale**2
    return 0.5 * squares + td.log(q.scale) + HALF_LOG_2PI - p.entropy()


@register_kl(Normal, Laplace)
def _(p: Normal, q: Laplace) -> Tensor:
    z = (p.loc - q.loc) / p.scale
    distance = p.scale * (2 * td.exp(-0.5 * z * z - HALF_LOG_2PI) + z * td.erf(z / math.sqrt(2)))
    return distance / q.scale + td.log(2 * q.scale) - p.entropy()
