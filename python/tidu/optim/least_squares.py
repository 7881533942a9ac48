"""least_squares: the least sum of squares of a function of a pytree; root: where its values are zero."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from tidu._directional import Point

from .._core import Tensor
from .._core import _training as training
from .._pytree import flatten, unflatten
from .minimize import Report, known_method, watched

T = TypeVar("T")

METHODS: dict[str, set[str]] = {
    "lm": {"radius", "acceleration"},
    "gauss-newton": set(),
}  # and the options of each


@dataclass(frozen=True)
class LeastSquaresReport(Report[T]):
    """What a least squares search came to.

    x: the point, like the one at the start; value, or cost: half the sum of squares; gradient_norm: of that,
    over all leaves. iterations, and how often the residuals (f_evaluations), their Jacobian
    (gradient_evaluations) and second derivatives along a step (hvp_evaluations) were computed. converged:
    whether x is a minimum as far as the tolerances ask or rounding lets; reason: a sentence that says why it
    ended. residuals: a vector (m), the elements of all results; jacobian: a matrix (m, n), by the elements of
    all leaves of x.

    Examples
    --------
    >>> td.optim.least_squares(lambda x: x - td.tensor([2.0, 4.0]), td.zeros(1)).x
    tensor([3.], dtype=float32)
    """

    residuals: Tensor
    jacobian: Tensor

    @property
    def cost(self) -> float:
        """Half the sum of squares."""
        return self.value

    @functools.cached_property
    def covariance(self) -> Tensor:
        """s^2 (J^T J)^-1 with s^2 the sum of squares divided by m - n, a float64 matrix (n, n): the
        covariance of the estimate x where the residuals' errors are independent and of equal variance.
        ValueError where m = n, or where the residuals do not determine x: it names the elements concerned."""
        return training.covariance_of(self.residuals, self.jacobian, flatten(self.x)[0])

    @functools.cached_property
    def standard_errors(self) -> Any:
        """The roots of the covariance's diagonal, like x."""
        leaves, structure = flatten(self.x)
        return unflatten(structure, training.standard_errors_of(self.residuals, self.jacobian, leaves))

    def __str__(self) -> str:
        return (
            f"{'converged' if self.converged else 'not converged'}: {self.reason}; cost = {self.value:.9g}, "
            f"iterations {self.iterations}, evaluations of the residuals {self.f_evaluations}, of their "
            f"Jacobian {self.gradient_evaluations}, of second derivatives along a step "
            f"{self.hvp_evaluations}"
        )


def least_squares(
    residuals: Callable[..., Any],
    x: T,
    *,
    method: str = "lm",
    ftol: float | None = None,
    xtol: float | None = None,
    gtol: float | None = None,
    max_iter: int | None = None,
    callback: Callable[..., Any] | None = None,
    **options: Any,
) -> LeastSquaresReport[T]:
    """A point near x where the sum of squares of `residuals(x)` is least: a LeastSquaresReport.

    x is the argument, any pytree; a tuple is the tuple of arguments. Residuals are all elements of all
    tensors that the function returns, of any shapes; there must be as many of them as elements of x, or more.
    Where they or a derivative are not finite, steps become shorter. Derivatives are exact. Methods and their
    options:

    - "lm": the steps of Levenberg and Marquardt in a trust region of scaled length (Moré, The
      Levenberg-Marquardt algorithm: implementation and theory, 1978), by singular values of the Jacobian and
      not of its square. radius=4.0: of the region at first, in lengths of the scaled point;
      at the origin there is none.
      acceleration=True: steps are bent by the exact second derivative along them (Transtrum and Sethna
      2012), and where residuals are large and curved, the model takes their exact Hessians in.
    - "gauss-newton": the steps that solve the linear problem, the shortest where it has many solutions,
      halved until they lower the sum of squares.

    It ends where a step promises to lower the sum of squares by at most ftol of it (by default 0); after a
    step of at most xtol of the length of x, in units of the norms of the Jacobian's columns (epsilon^(3/4) of
    the dtype); where the cosine of the angle between the residuals and each column is at most gtol (epsilon);
    where rounding hides what a step would change; or after max_iter iterations (1000). The report says which,
    and gives residuals, Jacobian, covariance and standard errors.

    `callback(x, report)` is called after each iteration with the point and the report so far; it ends the
    search where it returns True or raises StopIteration. It may be one of SciPy's, and what is found has no
    derivative, as in `minimize`.

    Examples
    --------
    >>> t = td.arange(5).astype(td.float64)
    >>> y = 2 * td.exp(-0.5 * t)
    >>> fit = td.optim.least_squares(lambda a, b: a * td.exp(-b * t) - y, (td.tensor(1.0), td.tensor(0.1)))
    >>> [round(v.item(), 4) for v in fit.x]
    [2.0, 0.5]
    """
    name = known_method(method, METHODS, "least_squares")
    unknown = options.keys() - METHODS[name]
    if unknown:
        raise ValueError(
            f"[least_squares] unknown option {', '.join(sorted(unknown))} of {name!r} "
            f"(it has {', '.join(sorted(METHODS[name] | {'ftol', 'xtol', 'gtol', 'max_iter', 'callback'}))})"
        )
    point = Point(residuals, x, "least_squares")

    def report_of(fields: Sequence[Any]) -> LeastSquaresReport[T]:
        best, *rest = fields
        return LeastSquaresReport(point.tree(best), *rest)

    tolerances: dict[str, Any] = {"ftol": ftol, "xtol": xtol, "gtol": gtol, "max_iter": max_iter}
    options |= {**tolerances, "callback": watched(callback, report_of, "least_squares")}
    return report_of(training.least_squares(point.flat, point.inputs, name, options))


@dataclass(frozen=True)
class RootReport(Generic[T]):
    """What a search for a root came to.

    x: the point, like the one at the start; values: the function's elements there, a vector (n); jacobian: a
    matrix (n, n); norm: of the values. iterations, and how often the values, their Jacobian and second
    derivatives along a step were computed. converged: whether x is a root; reason: a sentence that says why
    it ended.

    Examples
    --------
    >>> td.optim.root(lambda x: x - 2, td.tensor(0.0)).x
    tensor(2., dtype=float32)
    """

    x: T
    values: Tensor
    jacobian: Tensor
    norm: float
    iterations: int
    f_evaluations: int
    jacobian_evaluations: int
    curvature_evaluations: int
    converged: bool
    reason: str

    def __str__(self) -> str:
        return (
            f"{'converged' if self.converged else 'not converged'}: {self.reason}; norm = {self.norm:.9g}, "
            f"iterations {self.iterations}, evaluations of the values {self.f_evaluations}, of their "
            f"Jacobian {self.jacobian_evaluations}, of second derivatives along a step "
            f"{self.curvature_evaluations}"
        )


def root(
    function: Callable[..., Any],
    x: T,
    *,
    tol: float | None = None,
    max_iter: int | None = None,
    radius: float = 4.0,
    callback: Callable[..., Any] | None = None,
) -> RootReport[T]:
    """A point near x where `function(x)` is zero, all elements of all tensors that it returns: a RootReport.

    x is the argument, any pytree; a tuple is the tuple of arguments. There must be as many equations as
    elements of x. By the steps of `least_squares`, which are Newton's near a root where the Jacobian is
    regular. It ends where the norm of the values is at most tol, without one where rounding hides what is
    left of them, or after max_iter iterations (1000). Where it ends at a point at which the norm is least,
    but not zero, `converged` is False and the report says so: try another start. radius and callback: as in
    `least_squares`. What is found has no derivative (td.implicit.root has one).

    Examples
    --------
    >>> report = td.optim.root(lambda x, y: (x * y - 2, x - y - 1), (td.tensor(3.0), td.tensor(3.0)))
    >>> report.converged, [round(v.item(), 4) for v in report.x]
    (True, [2.0, 1.0])
    """
    point = Point(function, x, "root")

    def report_of(fields: Sequence[Any]) -> RootReport[T]:
        best, *rest = fields
        return RootReport(point.tree(best), *rest)

    options: dict[str, Any] = {"tol": tol, "max_iter": max_iter, "radius": radius}
    options["callback"] = watched(callback, report_of, "root")
    return report_of(training.root(point.flat, point.inputs, options))
