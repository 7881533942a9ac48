"""What a function is like at a point: is_differentiable_at, classify_stationary_point."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tidu import _core
from tidu._directional import Point

# --- Differentiability


@dataclass(frozen=True)
class Differentiability:
    """What is_differentiable_at found; true where it found no objection.

    verdict: "no objection found"; "partials only", where both modes give the partial derivatives but these do
    not make a linear model of the function; or "no". objections: what was found, a line each.
    """

    verdict: str
    objections: tuple[str, ...]

    def __bool__(self) -> bool:
        return self.verdict == "no objection found"

    def __str__(self) -> str:
        return "\n".join((self.verdict, *self.objections))


def is_differentiable_at(
    function: Callable[..., Any], x: Any, directions: int = 8, seed: int = 0
) -> Differentiability:
    """Whether a function seems differentiable at x: f(x + p) = f(x) + J p + o(norm p). A Differentiability.

    x is the argument, any pytree; a tuple is the tuple of arguments. J is what both modes give, computed in
    float64. It is compared with differences of ever shorter steps along both sides of each axis (64 of them,
    if there are more), in random directions, and along axes on paths that bend: what is left, divided by the
    length of the step, must fall with it until it meets the error by rounding. That tells |x|**1.04 from a
    kink, and sees a kink whose slopes differ by 1e-7 of the function. Smaller kinks are not seen, nor is what
    happens along other paths only; what vanishes more slowly than a power, as x / log(x) does, may count as
    a kink. Results in float32 are told apart to 1e-2. Differences cannot prove anything, so the best verdict
    is that there was no objection; a DTypeError where nothing in the result is floating-point.

    Examples
    --------
    >>> print(td.is_differentiable_at(lambda x: x * x, td.tensor(0.0)))
    no objection found
    """
    point = Point(function, x, "is_differentiable_at")
    verdict, objections = _core.is_differentiable_at(point.flat, point.inputs, directions, seed)
    return Differentiability(verdict, tuple(objections))


# --- Stationary points


@dataclass(frozen=True)
class StationaryPoint:
    """What classify_stationary_point found.

    kind: "minimum", "maximum", "saddle", "undecided" or "not stationary". gradient_norm: over all leaves of
    the point. eigenvalues: of the Hessian, ascending, a float64 vector. up, down, flat: the eigenvectors of
    norm 1, like the point, along which the second derivative is positive, negative, or cannot be told from 0,
    in the order of their eigenvalues. Of a point that is not stationary these are None.
    """

    kind: str
    gradient_norm: float
    eigenvalues: Any = None
    up: Any = None
    down: Any = None
    flat: Any = None

    def __str__(self) -> str:
        if self.kind == "not stationary":
            return f"not stationary: the gradient has norm {self.gradient_norm:.6g}"
        values = ", ".join(f"{value:.6g}" for value in self.eigenvalues.tolist())
        return f"{self.kind}: the Hessian has eigenvalues {values}"


def classify_stationary_point(
    function: Callable[..., Any], x: Any, rtol: float | None = None
) -> StationaryPoint:
    """The kind of a stationary point of a scalar function by its Hessian's eigenvalues: a StationaryPoint.

    x is the argument, any pytree; a tuple is the tuple of arguments. All eigenvalues positive: a minimum; all
    negative: a maximum; of both signs: a saddle; else the Hessian does not decide, and terms of higher order
    do. rtol, by default the square root of the dtype's epsilon: the point is stationary where
    norm(gradient) <= rtol * norm(Hessian) * max(1, norm(x)), and an eigenvalue counts as 0 where it is at
    most rtol times the largest. A ValueError where gradient or Hessian is not finite.

    Examples
    --------
    >>> td.classify_stationary_point(lambda x: x[0] ** 2 - x[1] ** 2, td.zeros(2)).kind
    'saddle'
    """
    point = Point(function, x, "classify_stationary_point")
    found = _core.classify_stationary_point(point.flat.scalar, point.inputs, rtol)
    kind, gradient_norm, eigenvalues, *directions = found
    if kind == "not stationary":
        return StationaryPoint(kind, gradient_norm)
    return StationaryPoint(
        kind, gradient_norm, eigenvalues, *([*map(point.tree, part)] for part in directions)
    )
