"""Fixed points, roots and minima as functions of parameters, differentiated by the implicit function theorem.

What leads to a solution is not differentiated and nothing of it is kept: the derivative is that of the
equation that holds there, at any order of forward and reverse mode. The functions are recorded, so they may
not look at values; parameters may be any trees, and what the functions close over counts as well.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from tidu import _core
from tidu._arguments import explain as _explain
from tidu._core import Tensor
from tidu._implicit import Unknowns as _Unknowns
from tidu._transforms import _scalar

T = TypeVar("T")

__all__ = ["argmin", "fixed_point", "root"]


def _found(
    find: Callable[..., Any],
    op: str,
    f: Callable[..., Any],
    x0: Any,
    params: tuple[Any, ...],
    tol: float | None,
    max_iter: int,
    tangent_solve: Callable[..., Any] | None,
) -> Any:
    unknowns = _Unknowns(op, x0, "x0")
    flat = unknowns.function(lambda x: f(x, *params))
    return unknowns.tree(find(flat, unknowns.tensors, tol, max_iter, unknowns.solver(tangent_solve)))


def fixed_point(
    f: Callable[..., T],
    x0: T,
    *params: Any,
    tol: float | None = None,
    max_iter: int = 1000,
    tangent_solve: Callable[..., Any] | None = None,
) -> T:
    """The x = f(x, *params) that repeated application of f comes to from x0, as a function of params.

    x is a tree like x0. It ends when no element changes by more than tol * max(1, max abs(x)), where tol is
    epsilon^(3/4) of the dtype by default; a ValueError after max_iter times or, where values are not known
    (under vmap, in programs), NaN for the lanes that did not come to an end. tangent_solve: as in
    custom_root.

        td.implicit.fixed_point(lambda x, a: td.cos(a * x), 1.0, td.tensor(1.0))    # 0.7391

    Examples
    --------
    >>> td.implicit.fixed_point(lambda x, a: td.cos(a * x), td.tensor(1.0), td.tensor(1.0))
    tensor(0.739087, dtype=float32)
    """
    found: T = _found(_core.fixed_point, "fixed_point", f, x0, params, tol, max_iter, tangent_solve)
    return found


def root(
    f: Callable[..., T],
    x0: T,
    *params: Any,
    tol: float | None = None,
    max_iter: int = 100,
    tangent_solve: Callable[..., Any] | None = None,
) -> T:
    """An x with f(x, *params) = 0 near x0, as a function of params.

    By Newton's method, whose steps are halved for as long as they do not lower the norm of f; tangent_solve,
    as in custom_root, also solves for the steps. It ends when a full step changes no element by more than
    tol * max(1, max abs(x)); else as fixed_point. Where df/dx is singular on the way it is a ValueError, or
    NaN for the lane, unless f is zero there.

        td.implicit.root(lambda x, a: x**3 - a, 1.0, td.tensor(8.0))    # 2

    Examples
    --------
    >>> td.implicit.root(lambda x, a: x**3 - a, td.tensor(1.0), td.tensor(8.0))
    tensor(2., dtype=float32)
    """
    found: T = _found(_core.root, "root", f, x0, params, tol, max_iter, tangent_solve)
    return found


def argmin(
    f: Callable[..., Tensor],
    x0: T,
    *params: Any,
    method: str = "lbfgs",
    gtol: float | None = None,
    max_iter: int | None = None,
    tangent_solve: Callable[..., Any] | None = None,
    **options: Any,
) -> T:
    """The x near x0 at which the scalar f(x, *params) is least, as a function of params.

    Found by td.optim.minimize with its methods and options, from the tree x0 (a tuple is one argument here);
    a ValueError where that does not converge, or to no minimum: where f has negative curvature (a maximum, a
    saddle), or is steep beside its curvature (gtol is too large). Differentiated as the root of the gradient,
    whose derivative, the Hessian, is symmetric: by its matrix up to 512 unknowns, by conjugate gradients
    above, or by tangent_solve. The minimisation looks at values: under vmap and in programs it is a
    TraceError (use root with the gradient, or vmap with control="loop").

        td.implicit.argmin(lambda x, a: td.sum((x - a) ** 2), td.zeros(2), td.tensor([1.0, 2.0]))    # a

    Examples
    --------
    >>> td.implicit.argmin(lambda x, a: ((x - a) ** 2).sum(), td.zeros(2), td.tensor([1.0, 2.0]))
    tensor([1., 2.], dtype=float32)
    """
    from tidu._core import _training as training
    from tidu.optim.minimize import checked_method

    unknowns = _Unknowns("argmin", x0, "x0")

    def objective(tensors: list[Tensor]) -> Tensor:
        return _scalar(f(unknowns.tree(tensors), *params), f, "argmin")

    name = checked_method("argmin", method, options)
    least = training.argmin(
        objective,
        unknowns.tensors,
        name,
        {"gtol": gtol, "max_iter": max_iter, **options},
        unknowns.solver(tangent_solve),
    )
    found: T = unknowns.tree(least)
    return found


_explain(globals(), __all__)
