"""Functions of matrices by their eigenvalues and singular values: funm, funm_svd."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tidu import _core
from tidu._core import DTypeError, ShapeError, Tensor, isfinite, stop_gradient, where
from tidu._inspection import finfo
from tidu._numbers import is_inexact
from tidu._transforms import jvp

if TYPE_CHECKING:
    import numpy as np


@functools.cache
def _gauss(count: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Gauss's points between 0 and 1, and their weights."""
    import numpy as np

    points, weights = np.polynomial.legendre.leggauss(count)
    return (points + 1) / 2, weights / 2


def _averages(f: Callable[[Tensor], Tensor], first: Tensor, gap: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The differences [w_i, w_j] and [w_i, w_i, w_j] of f: averages of f' and of f'' between w_i and w_j."""
    points, weights = (
        _core.asarray(x, dtype=gap.dtype, device=gap.device).reshape((count,) + (1,) * gap.ndim)
        for x in _gauss(count)
    )
    between = first + points * gap
    ones = _core.ones_like(between)
    slope, curvature = jvp(lambda x: jvp(f, (x,), (ones,))[1], (between,), (ones,))
    return (weights * slope).sum(0), (weights * (1 - points) * curvature).sum(0)


def _moved(f: Callable[[Tensor], Tensor], w: Tensor, values: Tensor, e: Tensor) -> Tensor:
    """f(diag(w) + e) - f(diag(w)) for e, which is 0 and differentiated: exact to the second order."""
    first, last = w[..., :, None], w[..., None, :]
    gap, scale = last - first, abs(w).max(-1, keepdims=True)[..., None]
    divisor, rounding = where(gap == 0, 1, gap), 4 * finfo(w.dtype).eps

    def quotient(numerator: Tensor, size: Tensor, average: Tensor, error: Tensor) -> Tensor:
        """numerator / gap, or where it lost more in rounding than the error of the average, that.

        Averages do not see a kink of f, nor a jump, but the quotient does: they must be much the same.
        """
        lost = rounding * size
        same = abs(numerator - average * gap) <= 256 * lost
        return where((gap == 0) | (same & (error * abs(gap) <= lost)), average, numerator / divisor)

    (slope, curve), (rough_slope, rough_curve) = (_averages(f, first, gap, count) for count in (8, 4))
    of_first, of_last = values[..., :, None], values[..., None, :]
    size = abs(of_first) + abs(of_last)
    once = quotient(of_last - of_first, size, slope, abs(slope - rough_slope))
    slopes = _core.diagonal(slope)[..., :, None]
    # Where f turns, its slope is rounded as what it is made of is.
    size = abs(once) + abs(slopes) + size / where(scale == 0, 1, scale)
    twice = quotient(once - slopes, size, curve, abs(curve - rough_curve))

    finite, curved = isfinite(once), isfinite(twice)
    bend = where(curved, twice, 0)
    by_first = where(finite, once * e, e**0.5)  # whose derivative is infinite, as that of f is
    # Sums over j of [w_i, w_j, w_k] e_ij e_jk: the commutator over w_k - w_i, or by [w_i, w_i, w_j], whose
    # error is of the second order in the gap and may happen not to show in that of the two values alone: so
    # they must be closer than where it meets the rounding of the commutator.
    close = (bend * e @ e + e @ (bend.mT * e)) / 2
    apart, size = abs(bend - bend.mT), abs(bend) + abs(bend.mT)
    error = apart * (apart / where(size == 0, 1, size))
    near, largest = abs(gap) <= rounding ** (1 / 3) * scale, abs(once).max(-1, keepdims=True)
    exact = error * abs(gap) <= rounding * (largest + largest.mT)
    by_second = where(near & (exact | (gap == 0)), close, (e @ by_first - by_first @ e) / divisor)
    # Orders that are not known are infinite.
    return by_first + by_second + where(curved, 0, e**1.5) + e**2.5


def _check(op: str, x: Tensor, f: Callable[[Tensor], Tensor]) -> None:
    if not callable(f):
        raise TypeError(f"[{op}] f must be a function, not {type(f).__name__}")
    if not isinstance(x, Tensor):
        raise TypeError(f"[{op}] x must be a tensor, not {type(x).__name__} (use td.tensor)")
    if x.dtype in (_core.float16, _core.bfloat16):
        raise DTypeError(f"[{op}] takes 32 bits and more, not {x.dtype}{x.shape} (use astype)")


def _adjoint(x: Tensor) -> Tensor:
    return _core.conj(x.mT)


def _values(op: str, f: Callable[[Tensor], Tensor], w: Tensor) -> Tensor:
    values = f(w)
    if not isinstance(values, Tensor) or values.shape != w.shape:
        what = values.shape if isinstance(values, Tensor) else type(values).__name__
        raise ShapeError(f"[{op}] f of a tensor {w.shape} must have its shape, not {what}")
    return values


def _of_hermitian(op: str, x: Tensor, f: Callable[[Tensor], Tensor]) -> Tensor:
    x = x if is_inexact(x) else _core.astype(x, _core.float32)
    finite = isfinite(x).all((-2, -1), keepdims=True)
    known = where(finite, x, _core.eye(x.shape[-1], dtype=x.dtype, device=x.device))
    w, v = _core.linalg.eigh(stop_gradient(known))
    values = _values(op, f, w)
    if x.shape[-1] == 0:
        return x
    inside = _adjoint(v) @ (0.5 * (known + _adjoint(known))) @ v
    moved = _moved(f, w, values, inside - stop_gradient(inside))
    whole = (v * values[..., None, :]) @ _adjoint(v) + v @ moved @ _adjoint(v)
    return where(finite, whole, x * math.nan)


def funm(x: Tensor, f: Callable[[Tensor], Tensor]) -> Tensor:
    """f(x) = V diag(f(w)) V^H of symmetric or Hermitian matrices x (.., n, n) = V diag(w) V^H.

    First and second derivatives are exact at any eigenvalues, equal and nearly equal ones too, where those
    of V and w by themselves are not: by differences of f, in every mode, and to any order by what f closes
    over. Where f has an infinite slope (a root at 0), and from the third order on, they are infinite or NaN.

    Parameters
    ----------
    x : Tensor
        (.., n, n), of 32 bits or more, read as by eigh; the gradient is the symmetric (Hermitian) one.
    f : callable
        Takes a tensor of any shape to one of its shape, element by element, with operations of tidu: td.log,
        say, or lambda w: w**0.5.

    Returns
    -------
    Tensor
        (.., n, n), like x.

    Examples
    --------
    >>> td.linalg.diagonal(td.linalg.funm(4 * td.eye(3), td.sqrt))
    tensor([2., 2., 2.], dtype=float32)
    """
    _check("funm", x, f)
    if x.ndim < 2 or x.shape[-1] != x.shape[-2]:
        raise ShapeError(f"[funm] takes square matrices (.., n, n), not {x.dtype}{x.shape}")
    return _of_hermitian("funm", x, f)


def funm_svd(x: Tensor, f: Callable[[Tensor], Tensor]) -> Tensor:
    """U diag(f(S)) V^H of matrices x (.., m, n) = U diag(S) V^H.

    First and second derivatives are exact at any singular values, equal ones too, where those of U, S and Vh
    by themselves are not. Where one is 0, U and V turn without each other: f counts as odd there,
    f(-s) = -f(s), so f(0) must be 0.

    Parameters
    ----------
    x : Tensor
        (.., m, n), of 32 bits or more.
    f : callable
        As `funm` takes it.

    Returns
    -------
    Tensor
        (.., m, n), like x.

    Examples
    --------
    >>> td.linalg.funm_svd(td.tensor([[0.0, 2.0], [-2.0, 0.0]]), lambda s: s**3)
    tensor([[ 0.,  8.],
            [-8.,  0.]], dtype=float32)
    """
    _check("funm_svd", x, f)
    if x.ndim < 2:
        raise ShapeError(f"[funm_svd] takes matrices (.., m, n), not {x.dtype}{x.shape}")
    (m, n), batch = x.shape[-2:], x.shape[:-2]

    def nothing(extent: int) -> Tensor:
        return _core.zeros((*batch, extent, extent), dtype=x.dtype, device=x.device)

    def odd(w: Tensor) -> Tensor:
        sign = where(w < 0, -1, 1)
        return sign * _values("funm_svd", f, sign * w)

    # Whose eigenvalues are the singular values, their negatives and zeros, with the vectors of both sides.
    rows = _core.concat([nothing(m), x], axis=-1), _core.concat([_adjoint(x), nothing(n)], axis=-1)
    return _of_hermitian("funm_svd", _core.concat(rows, axis=-2), odd)[..., :m, m:]
