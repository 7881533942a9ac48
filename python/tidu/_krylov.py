"""Linear systems by products with the matrix alone: cg, gmres."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from tidu import _core
from tidu._core import ShapeError, Tensor
from tidu._implicit import Unknowns
from tidu._pytree import tree_map
from tidu.sparse import CSR

T = TypeVar("T")


def _as_float(leaf: Any) -> Any:
    if isinstance(leaf, CSR):
        return tree_map(_as_float, leaf)
    if type(leaf).__module__.startswith("scipy.sparse"):
        return _as_float(CSR.from_scipy(leaf))
    tensor = leaf if isinstance(leaf, Tensor) else _core.asarray(leaf)
    return tensor if tensor.dtype.is_floating_point else _core.astype(tensor, _core.float32)


def _product(matrix: Any, b: Tensor, op: str, name: str) -> tuple[Callable[[Tensor], Tensor], Tensor]:
    """The product with a matrix, dense or a CSR, as a function, and b in the dtype in which they meet."""
    if matrix.ndim != 2 or b.ndim not in (1, 2) or matrix.shape != (b.shape[0], b.shape[0]):
        raise ShapeError(
            f"[{op}] {name} is {matrix.shape} and b {b.shape}, but a matrix must be (n, n) and b (n) or "
            "(n, k) (use vmap for a batch of systems)"
        )
    dtype = _core.result_type(matrix.data if isinstance(matrix, CSR) else matrix, b)
    matrix = tree_map(lambda elements: _core.astype(elements, dtype, copy=False), matrix)
    return lambda x: matrix @ x, _core.astype(b, dtype, copy=False)


def _solved(
    find: Callable[..., Any],
    op: str,
    a: Any,
    b: Any,
    x0: Any,
    m: Any,
    tol: float | None,
    atol: float,
    maxiter: int | None,
    restart: int,
) -> tuple[Any, Tensor]:
    if callable(a):
        b = tree_map(_as_float, b)
    else:
        if isinstance(b, tuple | dict):
            raise TypeError(f"[{op}] with a matrix A, b must be one tensor, not a {type(b).__name__}")
        a, b = _product(_as_float(a), _as_float(b), op, "A")
        x0 = x0 if x0 is None else _core.astype(_as_float(x0), b.dtype, copy=False)
    if m is not None and not callable(m):
        m, _ = _product(_as_float(m), b, op, "M")
    unknowns = Unknowns(op, b, "b")
    x, info = find(
        unknowns.function(a),
        unknowns.tensors,
        [] if x0 is None else unknowns.like(x0, "x0"),
        tol,
        atol,
        maxiter,
        restart,
        None if m is None else unknowns.function(m),
    )
    return unknowns.tree(x), info


def cg(
    A: Any,
    b: T,
    x0: T | None = None,
    *,
    tol: float | None = None,
    atol: float = 0.0,
    maxiter: int | None = None,
    M: Any = None,
) -> tuple[T, Tensor]:
    """The solution of A x = b for a symmetric positive definite A, by conjugate gradients: (x, info).

    It ends where the norm of b - A x over all leaves is at most max(tol * norm of b, atol). x is NaN where
    b, x0 or A is not finite. Differentiated as the solution of A x = b, by b and by what A holds or closes
    over, in every mode to any order, with the same method and tolerance; NaN where that does not converge.
    x0 and M have no derivative. Under vmap each lane ends on its own.

    Parameters
    ----------
    A : matrix or callable
        (n, n), dense, a td.sparse.CSR or of scipy.sparse, or a linear function of trees like b. A function
        that is seen not to be linear is a ValueError; NaN where values are not known.
    b : Tensor or pytree
        A tree or, with a matrix, of shape (n) or (n, k).
    x0 : like b, optional
        Where to begin.
    tol, atol : float
        Of the end; tol is 1e-5 by default, for 16 bits 8 epsilons of these.
    maxiter : int, optional
        The most steps, ten times the number of unknowns by default.
    M : matrix or callable, optional
        An approximate inverse of A, symmetric and positive definite.

    Returns
    -------
    tuple
        (x, info), x like b. info is an int64 tensor: 0 where it converged, which is told from b - A x itself,
        else the number of steps.

    Examples
    --------
    >>> x, info = td.linalg.cg(td.tensor([[4.0, 0.0], [0.0, 2.0]]), td.tensor([4.0, 4.0]))
    >>> x
    tensor([1., 2.], dtype=float32)
    """
    return _solved(_core.cg, "cg", A, b, x0, M, tol, atol, maxiter, 1)


def gmres(
    A: Any,
    b: T,
    x0: T | None = None,
    *,
    tol: float | None = None,
    atol: float = 0.0,
    restart: int = 20,
    maxiter: int | None = None,
    M: Any = None,
) -> tuple[T, Tensor]:
    """The solution of A x = b for a regular A, by restarted GMRES: (x, info).

    As cg, but A need not be symmetric. A cycle that brings no improvement ends it.

    Parameters
    ----------
    A, b, x0, tol, atol
        As in cg.
    restart : int
        How many vectors are kept: a cycle has so many steps.
    maxiter : int, optional
        The most cycles.
    M : matrix or callable, optional
        An approximate inverse of A, applied from the right.

    Returns
    -------
    tuple
        (x, info), as of cg, but that info counts cycles.

    Examples
    --------
    >>> x, info = td.linalg.gmres(td.tensor([[0.0, 2.0], [4.0, 0.0]]), td.tensor([2.0, 4.0]))
    >>> x
    tensor([1.       , 1.0000002], dtype=float32)
    """
    return _solved(_core.gmres, "gmres", A, b, x0, M, tol, atol, maxiter, restart)
