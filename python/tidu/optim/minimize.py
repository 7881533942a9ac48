"""minimize: the least value of a function of a pytree, by one of four methods."""

import re

from tidu._directional import Point

from .methods import GradientDescent, GradientFlow, Lbfgs, NewtonCg, check_limits, descend
from .objective import TreeObjective

_METHODS = {  # name: method, its options, how many iterations at most unless told
    "lbfgs": (Lbfgs, {"history_size"}, 1000),
    "newton-cg": (NewtonCg, {"radius"}, 1000),
    "gradient-descent": (GradientDescent, set(), 10000),
    "gradient-flow": (GradientFlow, {"time", "rtol", "atol"}, 10000),
}


def _plain(name):
    return re.sub("[-_ ]", "", name.lower())


def minimize(function, x, method="lbfgs", *, gtol=None, max_iter=None, **options):
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
    """
    names = {_plain(name): name for name in _METHODS}
    if not isinstance(method, str) or _plain(method) not in names:
        raise ValueError(f"[minimize] methods are {', '.join(map(repr, _METHODS))}, not {method!r}")
    name = names[_plain(method)]
    kind, known, iterations = _METHODS[name]
    unknown = options.keys() - known
    if unknown:
        raise ValueError(
            f"[minimize] unknown option {', '.join(sorted(unknown))} of {name!r} "
            f"(it has {', '.join(sorted(known | {'gtol', 'max_iter'}))})"
        )
    max_iter = iterations if max_iter is None else max_iter
    check_limits("minimize", gtol, max_iter)
    objective = TreeObjective(Point(function, x, "minimize"))
    return descend(kind(**options), objective, gtol, max_iter, objective.tree)[1]
