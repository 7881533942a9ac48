"""Random numbers from explicit keys: the same on every device, for any number of threads.

A number depends on its key, its position and its parameters alone, not on the shape that it is part of. Those
of distributions that are drawn by other functions of uniform ones (log, lgamma ..) may differ between devices
and processors in their last bits.

Parameters are numbers or tensors that broadcast to `shape`, which is by default their own. A number out of
range is a ValueError; of a tensor, whose values are not read for it, such elements are NaN, or -1 where
integers are drawn. Samples of real numbers have derivatives by their parameters, at fixed randomness.
"""

from tidu._core.random import bits, fold_in, key, normal, permutation, randint, split, uniform
from tidu._samplers import (
    bernoulli,
    beta,
    binomial,
    categorical,
    cauchy,
    chisquare,
    choice,
    dirichlet,
    exponential,
    gamma,
    geometric,
    gumbel,
    laplace,
    loggamma,
    logistic,
    multivariate_normal,
    pareto,
    poisson,
    rademacher,
    t,
    truncated_normal,
    weibull,
)
from tidu._spellings import add_other_names as _add_other_names

__all__ = [
    "bernoulli",
    "beta",
    "binomial",
    "bits",
    "categorical",
    "cauchy",
    "chisquare",
    "choice",
    "dirichlet",
    "exponential",
    "fold_in",
    "gamma",
    "geometric",
    "gumbel",
    "key",
    "laplace",
    "loggamma",
    "logistic",
    "multivariate_normal",
    "normal",
    "pareto",
    "permutation",
    "poisson",
    "rademacher",
    "randint",
    "split",
    "t",
    "truncated_normal",
    "uniform",
    "weibull",
]

_add_other_names(globals())
