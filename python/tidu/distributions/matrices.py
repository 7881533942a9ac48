"""Distributions of matrices."""

from __future__ import annotations

import math

import tidu as td
from tidu._core import Tensor
from tidu.typing import TensorLike

from .. import _samplers as samplers
from .._core import linalg
from .._core import random as uniform_samplers
from .distribution import Distribution, tensors, within


def _halves(a: Tensor, n: int) -> Tensor:
    """a, a - 1/2 .. a - (n - 1) / 2 along a last axis."""
    return a[..., None] - 0.5 * td.arange(n, dtype=a.dtype, device=a.device)


def log_multigamma(a: Tensor, n: int) -> Tensor:
    """The logarithm of the gamma function of n x n matrices."""
    return n * (n - 1) / 4 * math.log(math.pi) + td.sum(td.lgamma(_halves(a, n)), axis=-1)


def multidigamma(a: Tensor, n: int) -> Tensor:
    """Its derivative."""
    return td.sum(td.digamma(_halves(a, n)), axis=-1)


class Wishart(Distribution):
    """Sums of x x^T of df normal vectors of mean 0 with covariance matrices (.., n, n), or lower triangular
    factors `scale_tril` of these: positive definite matrices. df may be any number above n - 1.

    Examples
    --------
    >>> td.distributions.Wishart(3.0, td.eye(2)).mean
    tensor([[3., 0.],
            [0., 3.]], dtype=float32)
    """

    _parts = ("scale_tril", "df")
    _event_dims = 2
    _computed_in = td.float64

    def __init__(
        self,
        df: float | Tensor,
        covariance_matrix: TensorLike | None = None,
        *,
        scale_tril: TensorLike | None = None,
    ) -> None:
        if (covariance_matrix is None) == (scale_tril is None):
            raise ValueError("[Wishart] needs either covariance_matrix or scale_tril")
        (matrix,) = tensors(covariance_matrix if scale_tril is None else scale_tril)
        if matrix.ndim < 2 or matrix.shape[-1] != matrix.shape[-2]:
            raise td.ShapeError(f"[Wishart] takes matrices (.., n, n), not {tuple(matrix.shape)}")
        factor = linalg.cholesky(matrix) if scale_tril is None else td.tril(matrix)
        n = factor.shape[-1]
        samplers._check("Wishart", "df", df, lambda value: value > n - 1, f"above {n - 1}")
        self.df, *_ = tensors(df, td.zeros(factor.shape[:-2], dtype=factor.dtype, device=factor.device))
        self.scale_tril = td.broadcast_to(factor.astype(self.df.dtype), (*self.df.shape, n, n))

    @property
    def covariance_matrix(self) -> Tensor:
        """The covariance matrices (.., n, n) of the vectors."""
        return self.scale_tril @ self.scale_tril.mT

    def _log_scale(self) -> Tensor:
        """log of the determinants of the covariance matrices."""
        return 2 * td.sum(td.log(td.diagonal(self.scale_tril)), axis=-1)

    def _log_prob(self, x: Tensor) -> Tensor:
        n = x.shape[-1]
        finite = td.all(td.isfinite(x), axis=(-2, -1), keepdims=True)
        known = td.where(finite, x, td.eye(n, dtype=x.dtype, device=x.device))
        definite = td.all(linalg.eigvalsh(td.stop_gradient(known)) > 0, axis=-1)
        inside = linalg.solve_triangular(self.scale_tril, known, upper=False)
        trace = td.sum(td.diagonal(linalg.solve_triangular(self.scale_tril, inside.mT, upper=False)), axis=-1)
        value = (
            0.5 * (self.df - n - 1) * linalg.slogdet(known)[1]
            - 0.5 * trace
            - 0.5 * self.df * (n * math.log(2) + self._log_scale())
            - log_multigamma(0.5 * self.df, n)
        )
        return within(td.logical_and(definite, finite[..., 0, 0]), value)

    def _rsample(self, key: Tensor, shape: tuple[int, ...]) -> Tensor:
        # The triangular factor of a standard one has independent elements. (M. S. Bartlett, 1934)
        of_diagonal, of_rest = td.random.split(key)
        n = self.scale_tril.shape[-1]
        squares = 2 * samplers.gamma(of_diagonal, _halves(0.5 * self.df, n), (*shape, n))
        rest = uniform_samplers.normal(of_rest, (*shape, n, n), dtype=self.df.dtype)
        factor = self.scale_tril @ (td.tril(rest, -1) + td.diag_embed(td.sqrt(squares)))
        return factor @ factor.mT

    @property
    def mean(self) -> Tensor:
        return self.df[..., None, None] * self.covariance_matrix

    @property
    def variance(self) -> Tensor:
        matrix = self.covariance_matrix
        sizes = td.diagonal(matrix)
        return self.df[..., None, None] * (matrix**2 + sizes[..., :, None] * sizes[..., None, :])

    def entropy(self) -> Tensor:
        n, half = self.scale_tril.shape[-1], 0.5 * self.df
        return (
            0.5 * (n + 1) * (self._log_scale() + n * math.log(2))
            + log_multigamma(half, n)
            - (half - 0.5 * (n + 1)) * multidigamma(half, n)
            + n * half
        )


class LKJCholesky(Distribution):
    """Lower triangular factors (dim, dim) of correlation matrices, whose density is in proportion to
    det^(concentration - 1) (Lewandowski, Kurowicka and Joe 2009): with concentration 1 all are alike.

    Examples
    --------
    >>> td.distributions.LKJCholesky(2, 1.0).log_prob(td.eye(2))
    tensor(-0.6931472, dtype=float32)
    """

    _parts = ("concentration",)
    _static = ("dim",)
    _computed_in = td.float64

    def __init__(self, dim: int, concentration: float | Tensor = 1.0) -> None:
        samplers._check("LKJCholesky", "dim", dim, lambda x: x >= 2 and x == int(x), "an integer above 1")
        samplers._positive("LKJCholesky", concentration=concentration)
        self.dim = int(dim)
        (self.concentration,) = tensors(concentration)

    @property
    def event_shape(self) -> tuple[int, ...]:
        return (self.dim, self.dim)

    def _of_rows(self) -> tuple[Tensor, Tensor]:
        """Of each row but the first, half the number of its elements below the diagonal, and the second
        parameter of the beta distribution of their sum of squares."""
        a = self.concentration
        half = 0.5 * td.arange(1, self.dim, dtype=a.dtype, device=a.device)
        return half, a[..., None] + 0.5 * (self.dim - 1) - half

    def _log_prob(self, x: Tensor) -> Tensor:
        half, rest = self._of_rows()
        sizes = td.diagonal(x)
        fits = td.logical_and(
            td.all(sizes > 0, axis=-1), td.all(td.abs(td.sum(x * x, axis=-1) - 1) < 1e-4, axis=-1)
        )
        inner = td.log(td.where(sizes > 0, sizes, 1.0))[..., 1:]
        volume = td.lgamma(rest + half) - td.lgamma(rest) - half * math.log(math.pi)
        return within(fits, td.sum(2 * (rest - 1) * inner + volume, axis=-1))

    def _rsample(self, key: Tensor, shape: tuple[int, ...]) -> Tensor:
        # Row by row, a point of a sphere and how far it is from the diagonal.
        of_squares, of_points = td.random.split(key)
        half, rest = self._of_rows()
        count = self.dim - 1
        squares = samplers.beta(of_squares, half, rest, (*shape, count))
        drawn = td.tril(uniform_samplers.normal(of_points, (*shape, count, count), dtype=rest.dtype))
        below = drawn * td.sqrt(squares / td.sum(drawn * drawn, axis=-1))[..., None]
        below = td.pad(below, [(0, 0)] * len(shape) + [(1, 0), (0, 1)])
        sizes = td.sqrt(td.pad(1 - squares, [(0, 0)] * len(shape) + [(1, 0)], constant_values=1.0))
        return below + td.diag_embed(sizes)
