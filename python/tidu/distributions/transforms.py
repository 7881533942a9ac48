"""Smooth invertible functions that know their Jacobian determinants, for TransformedDistribution."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import tidu as td
from tidu._core import Tensor

from .distribution import Distribution, Parts, tensors


class Transform(Parts):
    """A smooth invertible function y of x: `transform(x)`, `transform.inv(y)` and
    `transform.log_abs_det_jacobian(x, y)`.

    A subclass has these three as `__call__`, `inv` and `log_abs_det_jacobian`, and says in `_event_dims` how
    many axes one x and one y have. Like a distribution it is a tree of the tensors that `_parts` names.

    Examples
    --------
    >>> issubclass(td.distributions.ExpTransform, td.distributions.Transform)
    True
    """

    _event_dims = (0, 0)

    def __call__(self, x: Tensor, /) -> Tensor:
        raise NotImplementedError(f"[{type(self).__name__}] a transform has the method __call__(x)")

    def inv(self, y: Tensor, /) -> Tensor:
        """The x of a y."""
        raise NotImplementedError(f"[{type(self).__name__}] a transform has the method inv(y)")

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor, /) -> Tensor:
        """log |det dy/dx|, of the shape of x without the axes of one."""
        raise NotImplementedError(
            f"[{type(self).__name__}] a transform has the method log_abs_det_jacobian(x, y)"
        )

    def _shape_of(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of the y of an x."""
        return shape


class Functions(Transform):
    """A function of each element, differentiated for its slope, and its inverse."""

    _static = ("forward", "inverse")

    def __init__(self, forward: Callable[[Tensor], Tensor], inverse: Callable[[Tensor], Tensor]) -> None:
        self.forward, self.inverse = forward, inverse

    def __call__(self, x: Tensor, /) -> Tensor:
        return self.forward(x)

    def inv(self, y: Tensor, /) -> Tensor:
        return self.inverse(y)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor, /) -> Tensor:
        return td.log(td.abs(td.jvp(self.forward, (x,), (td.ones_like(x),))[1]))


class AffineTransform(Transform):
    """loc + scale x, with a scale that is not 0.

    Examples
    --------
    >>> td.distributions.AffineTransform(1.0, 2.0)(td.tensor(3.0))
    tensor(7., dtype=float32)
    """

    _parts = ("loc", "scale")

    def __init__(self, loc: float | Tensor, scale: float | Tensor) -> None:
        self.loc, self.scale = tensors(loc, scale)

    def __call__(self, x: Tensor, /) -> Tensor:
        return self.loc + self.scale * x

    def inv(self, y: Tensor, /) -> Tensor:
        return (y - self.loc) / self.scale

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor, /) -> Tensor:
        return td.broadcast_arrays(td.log(td.abs(self.scale)), x)[0]


class ExpTransform(Transform):
    """exp(x).

    Examples
    --------
    >>> td.distributions.ExpTransform().inv(td.tensor(1.0))
    tensor(0., dtype=float32)
    """

    def __call__(self, x: Tensor, /) -> Tensor:
        return td.exp(x)

    def inv(self, y: Tensor, /) -> Tensor:
        return td.log(y)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor, /) -> Tensor:
        return x


class PowerTransform(Transform):
    """x^exponent of positive x, with an exponent that is not 0.

    Examples
    --------
    >>> td.distributions.PowerTransform(2.0)(td.tensor(3.0))
    tensor(9., dtype=float32)
    """

    _parts = ("exponent",)

    def __init__(self, exponent: float | Tensor) -> None:
        (self.exponent,) = tensors(exponent)

    def __call__(self, x: Tensor, /) -> Tensor:
        return x**self.exponent

    def inv(self, y: Tensor, /) -> Tensor:
        return y ** (1 / self.exponent)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor, /) -> Tensor:
        return td.log(td.abs(self.exponent * y / x))


class SigmoidTransform(Transform):
    """sigmoid(x), in (0, 1).

    Examples
    --------
    >>> td.distributions.SigmoidTransform()(td.tensor(0.0))
    tensor(0.5, dtype=float32)
    """

    def __call__(self, x: Tensor, /) -> Tensor:
        return td.sigmoid(x)

    def inv(self, y: Tensor, /) -> Tensor:
        return td.logit(y)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor, /) -> Tensor:
        return td.log_sigmoid(x) + td.log_sigmoid(-x)


class SoftplusTransform(Transform):
    """log(1 + exp(x)), which is positive.

    Examples
    --------
    >>> td.distributions.SoftplusTransform()(td.tensor(0.0))
    tensor(0.6931472, dtype=float32)
    """

    def __call__(self, x: Tensor, /) -> Tensor:
        return td.softplus(x)

    def inv(self, y: Tensor, /) -> Tensor:
        return y + td.log(-td.expm1(-y))

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor, /) -> Tensor:
        return td.log_sigmoid(x)


class TanhTransform(Transform):
    """tanh(x), in (-1, 1).

    Examples
    --------
    >>> td.distributions.TanhTransform().inv(td.tensor(0.0))
    tensor(0., dtype=float32)
    """

    def __call__(self, x: Tensor, /) -> Tensor:
        return td.tanh(x)

    def inv(self, y: Tensor, /) -> Tensor:
        return td.atanh(y)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor, /) -> Tensor:
        return 2 * math.log(2) + td.log_sigmoid(2 * x) + td.log_sigmoid(-2 * x)


class CumulativeDistributionTransform(Transform):
    """The distribution function of a distribution of numbers, which makes its samples uniform in [0, 1].

    Examples
    --------
    >>> td.distributions.CumulativeDistributionTransform(td.distributions.Normal())(td.tensor(0.0))
    tensor(0.5, dtype=float32)
    """

    _parts = ("distribution",)

    def __init__(self, distribution: Distribution) -> None:
        self.distribution = distribution

    def __call__(self, x: Tensor, /) -> Tensor:
        return self.distribution.cdf(x)

    def inv(self, y: Tensor, /) -> Tensor:
        return self.distribution.icdf(y)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor, /) -> Tensor:
        return self.distribution.log_prob(x)


class StickBreakingTransform(Transform):
    """Vectors (n) of any numbers to vectors (n + 1) of positive ones of sum 1: each takes a part of what
    those before it left, sigmoid(x - log k) where k come after it, so that zeros give equal parts.

    Examples
    --------
    >>> td.distributions.StickBreakingTransform()(td.zeros(3))
    tensor([0.25, 0.25, 0.25, 0.25], dtype=float32)
    """

    _event_dims = (1, 1)

    @staticmethod
    def _logits(x: Tensor) -> Tensor:
        return x - td.log(td.arange(x.shape[-1], 0, -1, dtype=x.dtype, device=x.device))

    def __call__(self, x: Tensor, /) -> Tensor:
        logits = self._logits(x)
        nothing = td.zeros((*x.shape[:-1], 1), dtype=x.dtype, device=x.device)
        taken = td.concat([td.log_sigmoid(logits), nothing], axis=-1)
        left = td.concat([nothing, td.cumulative_sum(td.log_sigmoid(-logits), axis=-1)], axis=-1)
        return td.exp(taken + left)

    def inv(self, y: Tensor, /) -> Tensor:
        # What comes after an element, summed from the end, where the parts may be small.
        left = td.flip(td.cumulative_sum(td.flip(y[..., 1:], axis=-1), axis=-1), axis=-1)
        x = td.log(y[..., :-1]) - td.log(left)
        return x - self._logits(td.zeros_like(x))

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor, /) -> Tensor:
        return td.sum(td.log_sigmoid(-self._logits(x)) + td.log(y[..., :-1]), axis=-1)

    def _shape_of(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return (*shape[:-1], shape[-1] + 1)


class CorrCholeskyTransform(Transform):
    """Vectors (n (n - 1) / 2) of any numbers to the lower triangular factors (n, n) of correlation matrices:
    tanh of the numbers, row by row, are partial correlations.

    Examples
    --------
    >>> td.distributions.CorrCholeskyTransform()(td.zeros(1))
    tensor([[1., 0.],
            [0., 1.]], dtype=float32)
    """

    _event_dims = (1, 2)

    @staticmethod
    def _size(count: int) -> int:
        n = (1 + math.isqrt(1 + 8 * count)) // 2
        if n * (n - 1) // 2 != count:
            raise td.ShapeError(
                f"[CorrCholeskyTransform] takes vectors of n (n - 1) / 2 numbers, not of {count}"
            )
        return n

    def _rows(self, x: Tensor) -> Tensor:
        """The numbers below the diagonal of matrices, of zeros otherwise."""
        n = self._size(x.shape[-1])
        places = [i * (i - 1) // 2 + j if j < i else 0 for i in range(n) for j in range(n)]
        taken = td.take(x, td.asarray(places, device=x.device), axis=-1) if n > 1 else td.zeros_like(x)
        return td.tril(taken.reshape((*x.shape[:-1], n, n)), -1)

    @staticmethod
    def _log_left(rows: Tensor) -> Tensor:
        """Of numbers whose tanh are partial correlations r, log of the sums of squares that those before each
        leave: sums of log(1 - r^2)."""
        each = 2 * math.log(2) + td.log_sigmoid(2 * rows) + td.log_sigmoid(-2 * rows)
        return td.cumulative_sum(each, axis=-1) - each

    def __call__(self, x: Tensor, /) -> Tensor:
        rows = self._rows(x)
        one = td.eye(rows.shape[-1], dtype=x.dtype, device=x.device)
        return (td.tanh(rows) + one) * td.exp(0.5 * self._log_left(rows))

    def inv(self, y: Tensor, /) -> Tensor:
        n = y.shape[-1]
        left = td.flip(td.cumulative_sum(td.flip(y * y, axis=-1), axis=-1), axis=-1)
        below = [i * n + j for i in range(n) for j in range(i)]
        index = td.asarray(below, dtype=td.int64, device=y.device)
        flat = (*y.shape[:-2], n * n)
        rest = td.take(left.reshape(flat), index + 1, axis=-1)  # of the squares that come after each
        return td.asinh(td.take(y.reshape(flat), index, axis=-1) / td.sqrt(rest))

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor, /) -> Tensor:
        rows = self._rows(x)
        slopes = 2 * math.log(2) + td.log_sigmoid(2 * rows) + td.log_sigmoid(-2 * rows)
        return td.sum(td.tril(slopes + 0.5 * self._log_left(rows), -1), axis=(-2, -1))

    def _shape_of(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        n = self._size(shape[-1])
        return (*shape[:-1], n, n)


class ComposeTransform(Transform):
    """Transforms one after another, of which the first is applied first.

    Examples
    --------
    >>> D = td.distributions
    >>> D.ComposeTransform([D.AffineTransform(1.0, 2.0), D.ExpTransform()]).inv(td.tensor(1.0))
    tensor(-0.5, dtype=float32)
    """

    _parts = ("parts",)

    def __init__(self, parts: Sequence[Transform]) -> None:
        self.parts = list(parts)

    @property
    def _event_dims(self) -> tuple[int, int]:  # type: ignore[override]  # which classes know
        """Of the whole: axes that a part takes more than came to it belong to its x all the way back."""
        first = last = 0
        for part in self.parts:
            into, out = part._event_dims
            first, last = first + max(into - last, 0), out + max(last - into, 0)
        return first, last

    def __call__(self, x: Tensor, /) -> Tensor:
        for part in self.parts:
            x = part(x)
        return x

    def inv(self, y: Tensor, /) -> Tensor:
        for part in reversed(self.parts):
            y = part.inv(y)
        return y

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor, /) -> Tensor:
        dims, total = self._event_dims[0], td.zeros((), dtype=x.dtype, device=x.device)
        for part in self.parts:
            into, out = part._event_dims
            after = part(x)
            total = total + summed(part.log_abs_det_jacobian(x, after), dims - into)
            x, dims = after, dims + out - into
        return total

    def _shape_of(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        for part in self.parts:
            shape = part._shape_of(shape)
        return shape


def summed(x: Tensor, count: int) -> Tensor:
    """The sums over the last `count` axes."""
    return td.sum(x, axis=tuple(range(-count, 0))) if count else x
