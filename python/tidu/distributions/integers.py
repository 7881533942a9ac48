"""Distributions of integers, and of counts and choices among categories."""

from __future__ import annotations

import math
from typing import Any

import tidu as td
from tidu._core import Tensor
from tidu.typing import TensorLike

from .. import _samplers as samplers
from .._control import while_loop
from .._incomplete_beta import betainc, betaincc
from .._incomplete_gamma import gammaincc
from .._numbers import widened
from .distribution import ByLogits, Distribution, is_natural, log_odds, log_weights, tensors, whole, within


class Bernoulli(ByLogits):
    """1 with probability `probs`, or sigmoid(logits), else 0. Samples are int64.

    Examples
    --------
    >>> td.distributions.Bernoulli(0.25).mean
    tensor(0.25, dtype=float32)
    """

    _parts = ("logits",)

    def __init__(self, probs: TensorLike | None = None, *, logits: TensorLike | None = None) -> None:
        (self.logits,) = tensors(log_odds("Bernoulli", probs, logits))

    def _log_prob(self, x: Tensor) -> Tensor:
        value = td.where(x == 1, td.log_sigmoid(self.logits), td.log_sigmoid(-self.logits))
        return within(td.logical_or(x == 0, x == 1), value)

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


class Binomial(ByLogits):
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
        odds, *_ = tensors(log_odds("Binomial", probs, logits, *others), *others)
        # Sixteen bits do not hold every count.
        self.n, wide = tensors(n, widened(odds))
        self.logits = wide.astype(odds.dtype, copy=False)

    def _dtype(self) -> Any:
        return self.logits.dtype

    def _log_prob(self, x: Tensor) -> Tensor:
        fits = td.logical_and(whole(x), x <= self.n)
        k = td.where(fits, x, 0.0)
        ways = td.lgamma(self.n + 1) - td.lgamma(k + 1) - td.lgamma(self.n - k + 1)
        # 0 of an impossible outcome has probability 1.
        successes = td.where(k == 0, 0.0, k * td.log_sigmoid(self.logits))
        failures = td.where(k == self.n, 0.0, (self.n - k) * td.log_sigmoid(-self.logits))
        return within(fits, ways + successes + failures)

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


class Geometric(ByLogits):
    """How many trials there are to the first success, 1, 2 .., each of probability `probs`, or
    sigmoid(logits). Samples are int64.

    Examples
    --------
    >>> td.distributions.Geometric(0.25).mean
    tensor(4., dtype=float32)
    """

    _parts = ("logits",)

    def __init__(self, probs: TensorLike | None = None, *, logits: TensorLike | None = None) -> None:
        (self.logits,) = tensors(log_odds("Geometric", probs, logits))

    def _log_prob(self, x: Tensor) -> Tensor:
        failures = td.where(x == 1, 0.0, (x - 1) * td.log_sigmoid(-self.logits))
        return within(whole(x, 1), failures + td.log_sigmoid(self.logits))

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


class NegativeBinomial(ByLogits):
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
        self.n, self.logits = tensors(n, log_odds("NegativeBinomial", probs, logits, *others))

    def _log_prob(self, x: Tensor) -> Tensor:
        k = td.where(whole(x), x, 0.0)
        ways = td.lgamma(self.n + k) - td.lgamma(self.n) - td.lgamma(k + 1)
        successes = td.where(k == 0, 0.0, k * td.log_sigmoid(self.logits))
        return within(whole(x), ways + successes + self.n * td.log_sigmoid(-self.logits))

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
        part = betainc(self.n, td.where(is_natural(k), k, 0.0) + 1, td.sigmoid(-self.logits))
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
        (self.rate,) = tensors(rate)

    def _log_prob(self, x: Tensor) -> Tensor:
        k = td.where(whole(x), x, 0.0)
        return within(whole(x), td.xlogy(k, self.rate) - self.rate - td.lgamma(k + 1))

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
        below = gammaincc(td.where(is_natural(k), k, 0.0) + 1, self.rate)
        return td.where(k == math.inf, 1.0, td.where(k >= 0, below, 0.0))


class Categorical(Distribution):
    """0 .. n-1 with probabilities in proportion to `probs` (.., n), or exp(logits). Samples are int64.

    Examples
    --------
    >>> td.distributions.Categorical(td.tensor([1.0, 3.0])).probs
    tensor([0.25, 0.75], dtype=float32)
    """

    _parts = ("logits",)

    def __init__(self, probs: TensorLike | None = None, *, logits: TensorLike | None = None) -> None:
        self.logits = log_weights("Categorical", probs, logits)

    def _shape(self) -> tuple[int, ...]:
        return tuple(self.logits.shape[:-1])

    @property
    def probs(self) -> Tensor:
        """The probabilities."""
        return td.exp(self.logits)

    def _log_prob(self, x: Tensor) -> Tensor:
        shape = td.broadcast_to(td.empty((), dtype=td.bool), self.batch_shape)
        x = td.broadcast_arrays(x, shape)[0]
        fits = td.logical_and(whole(x), x < self.logits.shape[-1])
        indices = td.where(fits, x, 0).astype(td.int64)
        logits = td.broadcast_to(self.logits, (*indices.shape, self.logits.shape[-1]))
        taken = td.take_along_axis(logits, indices[..., None], axis=-1)[..., 0]
        return within(fits, taken)

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
        self.logits = log_weights("OneHotCategorical", probs, logits)

    @property
    def probs(self) -> Tensor:
        """The probabilities."""
        return td.exp(self.logits)

    def _log_prob(self, x: Tensor) -> Tensor:
        is_one = x == 1
        fits = td.logical_and(
            td.all(td.logical_or(is_one, x == 0), axis=-1), td.count_nonzero(is_one, axis=-1) == 1
        )
        return within(fits, td.sum(td.where(is_one, self.logits, 0.0), axis=-1))

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


class OneHotCategoricalStraightThrough(OneHotCategorical):
    """OneHotCategorical whose samples have the derivatives of the probabilities (Bengio et al. 2013).

    Examples
    --------
    >>> categories = td.distributions.OneHotCategoricalStraightThrough(td.tensor([0.0, 1.0]))
    >>> categories.rsample(td.random.key(0))
    tensor([0., 1.], dtype=float32)
    """

    def _rsample(self, key: Tensor, shape: tuple[int, ...]) -> Tensor:
        return self._sample(key, shape) + (self.probs - td.stop_gradient(self.probs))


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
        self.n, self.logits = int(n), log_weights("Multinomial", probs, logits)

    @property
    def probs(self) -> Tensor:
        """The probabilities."""
        return td.exp(self.logits)

    def _log_prob(self, x: Tensor) -> Tensor:
        fits = td.logical_and(td.all(whole(x), axis=-1), td.sum(x, axis=-1) == self.n)
        k = td.where(whole(x), x, 0.0)
        each = td.where(k == 0, 0.0, k * self.logits) - td.lgamma(k + 1)
        return within(fits, td.sum(each, axis=-1) + math.lgamma(self.n + 1))

    def _sample(self, key: Tensor, shape: tuple[int, ...]) -> Tensor:
        drawn = samplers.categorical(key, self.logits, shape=(self.n, *shape))
        return td.sum(td.one_hot(drawn, self.logits.shape[-1]).astype(self.logits.dtype), axis=0)

    @property
    def mean(self) -> Tensor:
        return self.n * self.probs

    @property
    def variance(self) -> Tensor:
        return self.n * self.probs * (1 - self.probs)
