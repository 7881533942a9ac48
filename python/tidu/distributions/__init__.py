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

from .._arguments import explain as _explain
from .._arguments import explain_methods as _explain_methods
from .composed import (
    Independent,
    MixtureSameFamily,
    TransformedDistribution,
)
from .distribution import (
    Distribution,
)
from .divergences import (
    kl_divergence,
    register_kl,
)
from .integers import (
    Bernoulli,
    Binomial,
    Categorical,
    Geometric,
    Multinomial,
    NegativeBinomial,
    OneHotCategorical,
    OneHotCategoricalStraightThrough,
    Poisson,
)
from .matrices import (
    LKJCholesky,
    Wishart,
)
from .real import (
    Beta,
    Cauchy,
    Chi2,
    ContinuousBernoulli,
    Exponential,
    FisherSnedecor,
    Gamma,
    GeneralizedPareto,
    Gumbel,
    HalfCauchy,
    HalfNormal,
    InverseGamma,
    Kumaraswamy,
    Laplace,
    LogNormal,
    Normal,
    Pareto,
    RelaxedBernoulli,
    StudentT,
    Uniform,
    VonMises,
    Weibull,
)
from .transforms import (
    AffineTransform,
    ComposeTransform,
    CorrCholeskyTransform,
    CumulativeDistributionTransform,
    ExpTransform,
    PowerTransform,
    SigmoidTransform,
    SoftplusTransform,
    StickBreakingTransform,
    TanhTransform,
    Transform,
)
from .vectors import (
    Dirichlet,
    LogisticNormal,
    LowRankMultivariateNormal,
    MultivariateNormal,
    RelaxedOneHotCategorical,
)

__all__ = [
    "AffineTransform",
    "Bernoulli",
    "Beta",
    "Binomial",
    "Categorical",
    "Cauchy",
    "Chi2",
    "ComposeTransform",
    "ContinuousBernoulli",
    "CorrCholeskyTransform",
    "CumulativeDistributionTransform",
    "Dirichlet",
    "Distribution",
    "ExpTransform",
    "Exponential",
    "FisherSnedecor",
    "Gamma",
    "GeneralizedPareto",
    "Geometric",
    "Gumbel",
    "HalfCauchy",
    "HalfNormal",
    "Independent",
    "InverseGamma",
    "Kumaraswamy",
    "LKJCholesky",
    "Laplace",
    "LogNormal",
    "LogisticNormal",
    "LowRankMultivariateNormal",
    "MixtureSameFamily",
    "Multinomial",
    "MultivariateNormal",
    "NegativeBinomial",
    "Normal",
    "OneHotCategorical",
    "OneHotCategoricalStraightThrough",
    "Pareto",
    "Poisson",
    "PowerTransform",
    "RelaxedBernoulli",
    "RelaxedOneHotCategorical",
    "SigmoidTransform",
    "SoftplusTransform",
    "StickBreakingTransform",
    "StudentT",
    "TanhTransform",
    "Transform",
    "TransformedDistribution",
    "Uniform",
    "VonMises",
    "Weibull",
    "Wishart",
    "kl_divergence",
    "register_kl",
]

_explain(globals(), __all__)
_explain_methods(Distribution, ("sample", "rsample", "log_prob", "prob", "cdf", "icdf"))
