"""What distributions share."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import tidu as td
from tidu._core import Tensor
from tidu.typing import Shape, TensorLike

from .. import _samplers as samplers
from .._numbers import beside, widened

F = TypeVar("F", bound=Callable[..., Tensor])
HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)
EULER = 0.57721566490153286


def _dtype_of(x: Any) -> Any:
    return x._dtype() if isinstance(x, Distribution) else x.dtype


def rounded_once(method: F) -> F:
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


class Parts:
    """A tree of the tensors and trees that a subclass names in `_parts`; `_static` names other attributes."""

    _parts: tuple[str, ...] = ()
    _static: tuple[str, ...] = ()

    def __init_subclass__(cls) -> None:
        def opened(whole: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
            names = (*cls._parts, *cls._static)
            values = [getattr(whole, name) for name in names]
            return tuple(values[: len(cls._parts)]), tuple(values[len(cls._parts) :])

        def closed(static: Any, parts: Any) -> Any:
            whole = cls.__new__(cls)
            for name, value in zip((*cls._parts, *cls._static), (*parts, *static), strict=True):
                setattr(whole, name, value)
            return whole

        td.tree.register(cls, opened, closed)

    def __repr__(self) -> str:
        parts = ", ".join(f"{name}={getattr(self, name)!r}" for name in (*self._parts, *self._static))
        return f"{type(self).__name__}({parts})"


class Distribution(Parts):
    """What distributions share.

    A subclass names the tensors and distributions that it is made of in `_parts`, and other attributes in
    `_static`. It has `_log_prob` of values, and `_rsample(key, shape)` or, where samples have no derivatives,
    `_sample`, of samples that fill a shape of batches. It computes in `_computed_in` at least.

    Examples
    --------
    >>> isinstance(td.distributions.Normal(), td.distributions.Distribution)
    True
    """

    _event_dims = 0  # axes of the first part that belong to an event
    _computed_in = td.float32

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        for name in ("_log_prob", "_cdf", "_icdf", "mean", "variance", "entropy", "probs"):
            own = cls.__dict__.get(name)
            if isinstance(own, property):
                setattr(cls, name, property(rounded_once(own.fget)))  # type: ignore[type-var]
            elif own is not None:
                setattr(cls, name, rounded_once(own))

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

    @rounded_once
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
    @rounded_once
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
        """The value up to which the probability is p; NaN where p is not in [0, 1]."""
        if not hasattr(self, "_icdf"):
            self._missing("the quantile")
        p = self._value(p)
        return td.where(td.logical_and(p >= 0, p <= 1), self._icdf(p), math.nan)


def tensors(*values: Any) -> list[Tensor]:
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


def within(fits: Tensor, value: Tensor) -> Tensor:
    """`value` where x is in the support, else -inf."""
    return td.where(fits, value, -math.inf)


def is_natural(x: Tensor) -> Tensor:
    """Whether x is in [0, inf)."""
    return td.logical_and(x >= 0, x < math.inf)


def whole(x: Tensor, least: int = 0) -> Tensor:
    return td.logical_and(td.logical_and(x >= least, x < math.inf), x == td.floor(x))


def log1p_square(z: Tensor) -> Tensor:
    """log(1 + z^2), where z^2 may be beyond the dtype's range."""
    is_far = td.abs(z) > 1
    far, near = td.where(is_far, td.abs(z), 1.0), td.where(is_far, 0.0, z)
    return td.where(is_far, 2 * td.log(far) + td.log1p(far**-2), td.log1p(near * near))


def log_beta(a: Tensor, b: Tensor) -> Tensor:
    return td.lgamma(a) + td.lgamma(b) - td.lgamma(a + b)


def log_odds(op: str, probs: Any, logits: Any, *others: Tensor) -> Any:
    """Logits from either, at least as exact as other parameters."""
    if (probs is None) == (logits is None):
        raise ValueError(f"[{op}] needs either probs or logits")
    if probs is None:
        return logits
    samplers._probability(op, "probs", probs)
    return td.logit(tensors(probs, *others)[0])


class ByLogits(Distribution):
    logits: Tensor

    @property
    def probs(self) -> Tensor:
        """The probabilities."""
        return td.sigmoid(self.logits)


def log_weights(op: str, probs: Any, logits: Any) -> Tensor:
    """Logarithms of probabilities along the last axis, from weights or logits."""
    if (probs is None) == (logits is None):
        raise ValueError(f"[{op}] needs either probs or logits")
    (weights,) = tensors(logits if probs is None else probs)
    if weights.ndim < 1 or weights.shape[-1] == 0:
        raise td.ShapeError(f"[{op}] has no categories along the last axis of {tuple(weights.shape)}")
    wide = widened(weights)
    return td.log_softmax(wide if probs is None else td.log(wide), axis=-1).astype(weights.dtype, copy=False)
