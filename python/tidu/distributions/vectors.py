"""Distributions of vectors."""

from __future__ import annotations

import math

import tidu as td
from tidu._core import Tensor
from tidu.typing import TensorLike

from .. import _samplers as samplers
from .._core import linalg
from .._core import random as uniform_samplers
from .._numbers import beside
from .composed import TransformedDistribution
from .distribution import HALF_LOG_2PI, Distribution, log_weights, tensors, within
from .real import Normal
from .transforms import StickBreakingTransform


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
        self.logits = log_weights("RelaxedOneHotCategorical", probs, logits)
        self.temperature = td.asarray(temperature, device=self.logits.device).astype(self.logits.dtype)

    def _log_prob(self, x: Tensor) -> Tensor:
        count, t = self.logits.shape[-1], self.temperature[..., None]
        fits = td.logical_and(td.all(x > 0, axis=-1), td.abs(td.sum(x, axis=-1) - 1) < 1e-3)
        log_x = td.log(td.where(x > 0, x, 1.0))
        scores = self.logits - t * log_x
        value = td.sum(scores - log_x, axis=-1) - count * td.logsumexp(scores, axis=-1)
        return within(fits, value + math.lgamma(count) + (count - 1) * td.log(self.temperature))

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
        (self.concentration,) = tensors(concentration)
        if self.concentration.ndim < 1:
            raise td.ShapeError("[Dirichlet] the concentration must be a vector or a batch of such")

    def _log_prob(self, x: Tensor) -> Tensor:
        a = self.concentration
        fits = td.all(x >= 0, axis=-1)
        y = td.where(x >= 0, x, 1.0)
        return within(
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
        log_volume = td.sum(td.lgamma(a), axis=-1) - td.lgamma(total)
        spread = (total - a.shape[-1]) * td.digamma(total) - td.sum((a - 1) * td.digamma(a), axis=-1)
        return log_volume + spread


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
        return -0.5 * td.sum(z * z, axis=-1) - self._log_scale() - self.loc.shape[-1] * HALF_LOG_2PI

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
        return self._log_scale() + self.loc.shape[-1] * (0.5 + HALF_LOG_2PI)


class LogisticNormal(TransformedDistribution):
    """Vectors (n + 1) of positive numbers of sum 1 that StickBreakingTransform makes of n normal ones with
    means `loc` (.., n) and standard deviations `scale`.

    Examples
    --------
    >>> td.distributions.LogisticNormal(td.zeros(2), 1.0).sample(td.random.key(0)).shape
    (3,)
    """

    def __init__(self, loc: TensorLike, scale: TensorLike) -> None:
        super().__init__(Normal(*tensors(loc, scale)), StickBreakingTransform())


class LowRankMultivariateNormal(Distribution):
    """Normal vectors with means `loc` (.., n) and covariance matrices W W^T + diag(d) of `cov_factor` W
    (.., n, r) and `cov_diag` d (.., n). No such matrix is made: n r^2 operations take the place of n^3.

    Examples
    --------
    >>> normal = td.distributions.LowRankMultivariateNormal(td.zeros(2), td.ones((2, 1)), td.ones(2))
    >>> normal.covariance_matrix
    tensor([[2., 1.],
            [1., 2.]], dtype=float32)
    """

    _parts = ("loc", "cov_factor", "cov_diag")
    _event_dims = 1

    def __init__(self, loc: TensorLike, cov_factor: TensorLike, cov_diag: TensorLike) -> None:
        given = [x if isinstance(x, (list, tuple)) else td.asarray(x) for x in (loc, cov_factor, cov_diag)]
        like = next((x for x in given if isinstance(x, Tensor)), td.ones(()))
        loc, factor, diag = (beside(x, like) for x in given)
        if min(loc.ndim, factor.ndim - 1, diag.ndim) < 1 or not (
            loc.shape[-1] == factor.shape[-2] == diag.shape[-1]
        ):
            raise td.ShapeError(
                f"[LowRankMultivariateNormal] loc {tuple(loc.shape)} needs cov_factor (.., n, r) and "
                f"cov_diag (.., n), not {tuple(factor.shape)} and {tuple(diag.shape)}"
            )
        dtype = td.result_type(loc, factor, diag)
        dtype = dtype if dtype.is_floating_point else td.float32
        batch = samplers._shape_of(
            "LowRankMultivariateNormal", None, loc.shape[:-1], factor.shape[:-2], diag.shape[:-1]
        )
        self.loc, self.cov_diag = (
            td.broadcast_to(x.astype(dtype), (*batch, x.shape[-1])) for x in (loc, diag)
        )
        self.cov_factor = td.broadcast_to(factor.astype(dtype), (*batch, *factor.shape[-2:]))

    @property
    def covariance_matrix(self) -> Tensor:
        """The covariance matrices (.., n, n)."""
        return self.cov_factor @ self.cov_factor.mT + td.diag_embed(self.cov_diag)

    def _inverse(self) -> tuple[Tensor, Tensor]:
        """A (.., r, n) such that the inverse of the covariance is diag(1 / d) - A^T A, and the logarithm of
        its root's determinant (Woodbury)."""
        scaled = self.cov_factor.mT / self.cov_diag[..., None, :]
        inner = scaled @ self.cov_factor + td.eye(scaled.shape[-2], dtype=scaled.dtype, device=scaled.device)
        factor = linalg.cholesky(inner)
        log_scale = td.sum(td.log(td.diagonal(factor)), axis=-1) + 0.5 * td.sum(
            td.log(self.cov_diag), axis=-1
        )
        return linalg.solve_triangular(factor, scaled, upper=False), log_scale

    def _log_prob(self, x: Tensor) -> Tensor:
        (low, log_scale), y = self._inverse(), x - self.loc
        squares = td.sum(y * y / self.cov_diag, axis=-1) - td.sum((low @ y[..., None]) ** 2, axis=(-2, -1))
        return -0.5 * squares - log_scale - y.shape[-1] * HALF_LOG_2PI

    def _rsample(self, key: Tensor, shape: tuple[int, ...]) -> Tensor:
        of_factor, of_each = td.random.split(key)
        n, rank = self.cov_factor.shape[-2:]
        common = uniform_samplers.normal(of_factor, (*shape, rank, 1), dtype=self.loc.dtype)
        own = uniform_samplers.normal(of_each, (*shape, n), dtype=self.loc.dtype)
        return self.loc + (self.cov_factor @ common)[..., 0] + td.sqrt(self.cov_diag) * own

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        return td.sum(self.cov_factor**2, axis=-1) + self.cov_diag

    def entropy(self) -> Tensor:
        return self._inverse()[1] + self.loc.shape[-1] * (0.5 + HALF_LOG_2PI)
