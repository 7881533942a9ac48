"""minimize: the least value of a function of a pytree, by one of four methods."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from tidu._directional import Point

from .. import _core
from .._core import _training as training
from .._pytree import tree_map

T = TypeVar("T")

METHODS: dict[str, set[str]] = {  # and the options of each
    "lbfgs": {"history_size"},
    "newton-cg": {"radius"},
    "gradient-descent": set(),
    "gradient-flow": {"time", "rtol", "atol"},
}


@dataclass(frozen=True)
class Report(Generic[T]):
    """What a minimisation came to.

    x: the point, like the one at the start; value: f there; gradient_norm: over all leaves. iterations, and
    how often f, its gradient and products of its Hessian were computed. converged: whether the gradient's
    norm came down to gtol; reason: a sentence that says why it ended.

    Examples
    --------
    >>> td.optim.minimize(lambda x: ((x - 1) ** 2).sum(), td.zeros(2)).converged
    True
    """

    x: T
    value: float
    gradient_norm: float
    iterations: int
    f_evaluations: int
    gradient_evaluations: int
    hvp_evaluations: int
    converged: bool
    reason: str

    def __str__(self) -> str:
        return (
            f"{'converged' if self.converged else 'not converged'}: {self.reason}; f = {self.value:.9g}, "
            f"iterations {self.iterations}, evaluations of f {self.f_evaluations}, of its gradient "
            f"{self.gradient_evaluations}, products of its Hessian {self.hvp_evaluations}"
        )


def _plain(name: str) -> str:
    return re.sub("[-_ ]", "", name.lower())


def known_method(method: str, methods: Mapping[str, Any], op: str) -> str:
    """The name among `methods` that is meant, whatever its case and hyphens."""
    names = {_plain(name): name for name in methods}
    if not isinstance(method, str) or _plain(method) not in names:
        raise ValueError(f"[{op}] methods are {', '.join(map(repr, methods))}, not {method!r}")
    return names[_plain(method)]


def _caller(callback: Callable[..., Any]) -> Callable[..., Any]:
    """How a callback is called with the point and the report: callback(x, report) or, as SciPy's are,
    callback(x) or callback(intermediate_result=report)."""
    try:
        signature = inspect.signature(callback)
    except ValueError:  # of a builtin
        return callback
    if list(signature.parameters) == ["intermediate_result"]:
        return lambda x, report: callback(intermediate_result=report)
    for arguments in ((None, None), (None,)):
        try:
            signature.bind(*arguments)
        except TypeError:
            continue
        return callback if len(arguments) == 2 else lambda x, report: callback(x)
    return callback


def watched(
    callback: Callable[..., Any] | None, report_of: Callable[[Sequence[Any]], Any], op: str
) -> Callable[[Sequence[Any]], bool] | None:
    """A callback for the fields of a report: whether the search is to end."""
    if callback is None:
        return None
    if not callable(callback):
        raise TypeError(f"[{op}] callback must be a function of x and the report, not {callback!r}")
    called = _caller(callback)

    def call(fields: Sequence[Any]) -> bool:
        report = report_of(fields)
        # The search goes on from its own.
        report = replace(report, x=tree_map(_core.copy, report.x))
        try:
            return bool(called(report.x, report))
        except StopIteration:
            return True

    return call


def checked_method(op: str, method: str, options: Mapping[str, Any]) -> str:
    """The name of a method as METHODS has it, whose options are known ones."""
    name = known_method(method, METHODS, op)
    unknown = options.keys() - METHODS[name]
    if unknown:
        raise ValueError(
            f"[{op}] unknown option {', '.join(sorted(unknown))} of {name!r} "
            f"(it has {', '.join(sorted(METHODS[name] | {'gtol', 'max_iter'}))})"
        )
    return name


def minimize(
    function: Callable[..., Any],
    x: T,
    method: str = "lbfgs",
    *,
    gtol: float | None = None,
    max_iter: int | None = None,
    callback: Callable[..., Any] | None = None,
    **options: Any,
) -> Report[T]:
    """A point near x where a scalar function is least: a Report.

    x is the argument, any pytree; a tuple is the tuple of arguments. It ends where the norm of the gradient
    over all leaves is at most gtol (by default the square root of the dtype's epsilon), after max_iter
    iterations, or where no step lowers f; the report says which. Where f is not finite, steps become shorter.
    Methods and their options:

    - "lbfgs": limited-memory BFGS with a strong Wolfe line search (Nocedal and Wright, Numerical
      Optimization, algorithms 7.5 and 3.5). history_size=10: pairs that are kept.
    - "newton-cg": Newton's method in a trust region with truncated conjugate gradients (algorithms 4.1 and
      7.2), by products of the Hessian; it follows negative curvature. radius=1.0: of the region at first.
    - "gradient-descent": steepest descent with the same line search.
    - "gradient-flow": the path x' = -grad f(x), by Runge-Kutta steps of adaptive length (Bogacki and
      Shampine 1989). time=inf: where the path ends; rtol=1e-3, atol=1e-6: the error allowed in a step.

    `callback(x, report)` is called after each iteration with the point and the Report so far; it ends the
    search where it returns True or raises StopIteration. As SciPy's, it may also be `callback(x)`, or
    `callback(intermediate_result)` with the report.

    What is found has no derivative: a GradientError where `function` closes over what a transform
    differentiates (td.implicit.argmin has the derivative), and under vmap a TraceError (control="loop").

    Examples
    --------
    >>> report = td.optim.minimize(lambda x: ((x - 1) ** 2).sum(), td.zeros(2))
    >>> report.converged, report.x.tolist()
    (True, [1.0, 1.0])
    """
    name = checked_method("minimize", method, options)
    point = Point(function, x, "minimize")

    def report_of(fields: Sequence[Any]) -> Report[T]:
        best, *rest = fields
        return Report(point.tree(best), *rest)

    callback = watched(callback, report_of, "minimize")
    options = {"gtol": gtol, "max_iter": max_iter, "callback": callback, **options}
    return report_of(training.minimize(point.flat.scalar, point.inputs, name, options))
