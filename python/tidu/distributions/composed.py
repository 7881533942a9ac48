"""Distributions made of others."""

from __future__ import annotations

from collections.abc import Callable

import tidu as td
from tidu._core import Tensor
from tidu.typing import Shape

from .. import _samplers as samplers
from .distribution import Distribution, within
from .integers import Categorical
from .transforms import Functions, Transform, summed


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
    """The distribution of y = transform(x) of x of `base`, for a Transform, or for a smooth function of each
    element with its inverse, which is differentiated then.

    Where the transform takes more axes of an event than `base` has, the last ones of its batch become such.

    Examples
    --------
    >>> td.distributions.TransformedDistribution(td.distributions.Normal(), td.exp, td.log).log_prob(1.0)
    tensor(-0.9189385, dtype=float32)
    """

    _parts = ("base", "transform")

    def __init__(
        self,
        base: Distribution,
        transform: Transform | Callable[[Tensor], Tensor],
        inverse: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        if not isinstance(transform, Transform):
            if inverse is None:
                raise TypeError(
                    "[TransformedDistribution] a function needs its inverse (or give a Transform)"
                )
            transform = Functions(transform, inverse)
        missing = transform._event_dims[0] - len(base.event_shape)
        self.base = Independent(base, missing) if missing > 0 else base
        self.transform = transform

    @property
    def batch_shape(self) -> tuple[int, ...]:
        return self.base.batch_shape

    @property
    def event_shape(self) -> tuple[int, ...]:
        return self.transform._shape_of(self.base.event_shape)

    @property
    def has_rsample(self) -> bool:
        return self.base.has_rsample

    def _extended(self, shape: Shape) -> tuple[int, ...]:
        return self.base._extended(shape)

    def _log_prob(self, y: Tensor) -> Tensor:
        x, into = self.transform.inv(y), self.transform._event_dims[0]
        volume = self.transform.log_abs_det_jacobian(x, y)
        volume = summed(volume, len(self.base.event_shape) - into)
        outside = td.isnan(x)  # what no x is taken to
        if self.base.event_shape:
            outside = td.any(outside, axis=tuple(range(-len(self.base.event_shape), 0)))
        return within(td.logical_not(outside), self.base.log_prob(x) - volume)

    def _rsample(self, key: Tensor, shape: tuple[int, ...]) -> Tensor:
        return self.transform(self.base._rsample(key, shape))

    def _sample(self, key: Tensor, shape: tuple[int, ...]) -> Tensor:
        return self.transform(self.base._sample(key, shape))
