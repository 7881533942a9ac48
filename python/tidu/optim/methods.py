"""Methods of minimisation, an iteration at a time, and the loop around them.

`advance(objective, at)` of a method gives the next sample, None where no step lowers f, or a sentence that
says why else there is none. The numbers in brackets are those of Nocedal and Wright, Numerical Optimization,
2nd edition (2006).
"""

import math
from dataclasses import dataclass

import tidu as td

from .objective import Sample, dot, norm

# --- The line search


@dataclass(frozen=True)
class _Trial:
    """A sample at some step along a line, and the slope there."""

    step: float
    sample: Sample
    slope: float


def _cubic_minimum(a, b):
    """The minimum of the cubic with the values and slopes of two trials (3.59), NaN where there is none."""
    d1 = a.slope + b.slope - 3 * (a.sample.value - b.sample.value) / (a.step - b.step)
    root = d1 * d1 - a.slope * b.slope
    if not root >= 0:
        return math.nan
    d2 = math.copysign(math.sqrt(root), b.step - a.step)
    divisor = b.slope - a.slope + 2 * d2
    return b.step - (b.step - a.step) * (b.slope + d2 - d1) / divisor if divisor else math.nan


def _next_step(low, high, number):
    """Within a bracket the cubic's minimum, kept off its ends; without one farther out, ever faster."""
    if high is None:
        return low.step * 2.0 ** (number + 1)
    width = high.step - low.step
    if high.sample.is_finite:
        step = _cubic_minimum(low, high)
        if 0.1 <= (step - low.step) / width <= 0.9:
            return step
    return low.step + width / 2


def line_search(objective, at, direction, step, curvature=0.9, decrease=1e-4, evaluations=60):
    """A sample along a direction that meets the strong Wolfe conditions (3.7), by algorithms 3.5 and 3.6.

    They are one loop here: `low` is the best trial that lowers f sufficiently, and between it and `high`,
    once there is one, lies a step that meets both conditions. Where f or its gradient is not finite, the step
    was too long. If none is found, the best trial that lowers f sufficiently; None without even that.
    """
    start = low = _Trial(0.0, at, dot(at.gradient, direction))
    high = None

    def change(a, b):
        length = b.step - a.step
        return objective.change(a.sample, b.sample, (a.slope * length, b.slope * length))

    for number in range(1, evaluations + 1):
        x = at.x + step * direction
        if (x == low.sample.x).all().item():  # as near as the dtype comes
            break
        sample = objective.evaluate(x)
        if sample.value == -math.inf:
            return sample
        trial = _Trial(step, sample, dot(sample.gradient, direction) if sample.is_finite else math.nan)
        too_long = (
            not sample.is_finite
            or change(start, trial) > decrease * step * start.slope
            or (low is not start and change(low, trial) >= 0)
        )
        if too_long:
            high = trial
        elif abs(trial.slope) <= -curvature * start.slope:
            return sample
        else:
            if trial.slope * (math.inf if high is None else high.step - low.step) >= 0:
                high = low
            low = trial
        step = _next_step(low, high, number)
    return None if low is start else low.sample


# --- L-BFGS


class Lbfgs:
    """Limited-memory BFGS: the direction by algorithm 7.4 from the last `history_size` pairs of step and
    change of the gradient, the iteration by algorithm 7.5."""

    def __init__(self, history_size=10):
        if not (isinstance(history_size, int) and history_size >= 1):
            raise ValueError(f"[LBFGS] history_size is {history_size}, but must be an integer of at least 1")
        self.history_size = history_size
        self.pairs = []

    def state(self):
        return {"pairs": [list(pair) for pair in self.pairs]}

    def restore(self, state, like):
        for vector in (vector for pair in state["pairs"] for vector in pair):
            if vector.shape != like.shape or vector.dtype != like.dtype:
                raise td.ShapeError(
                    f"[LBFGS] a vector of the state is {vector.dtype}{vector.shape}, the parameters together "
                    f"{like.dtype}{like.shape}"
                )
        pairs = [tuple(vector.to(like.device) for vector in pair) for pair in state["pairs"]]
        self.pairs = pairs[-self.history_size :]

    def direction(self, gradient):
        r = -gradient
        alphas = []
        for s, y in reversed(self.pairs):
            alpha = dot(s, r) / dot(s, y)
            alphas.append(alpha)
            r = r - alpha * y
        if self.pairs:
            s, y = self.pairs[-1]
            r = (dot(s, y) / dot(y, y)) * r  # (7.20)
        for (s, y), alpha in zip(self.pairs, reversed(alphas), strict=True):
            r = r + (alpha - dot(y, r) / dot(s, y)) * s
        return r

    def advance(self, objective, at):
        after = None
        if self.pairs:
            direction = self.direction(at.gradient)
            slope = dot(direction, at.gradient)
            if slope < 0 and math.isfinite(slope):
                after = line_search(objective, at, direction, 1.0)
            if after is None:
                self.pairs = []
        if after is None:
            after = line_search(objective, at, -at.gradient, min(1.0, 1 / at.gradient_norm))
        if after is not None and after.is_finite:
            s, y = after.x - at.x, after.gradient - at.gradient
            if dot(y, y) > 0 and dot(s, y) > objective.epsilon * norm(s) * norm(y):
                self.pairs = [*self.pairs, (s, y)][-self.history_size :]
        return after


# --- Newton's method


def steihaug(product, gradient, radius, tolerance):
    """A step p that lowers <g, p> + <p, B p> / 2 within norm(p) <= radius, and B p: conjugate gradients,
    truncated at the radius or where the curvature is not positive (algorithm 7.2, Steihaug 1983)."""
    z, bz = td.zeros_like(gradient), td.zeros_like(gradient)
    r, d = gradient, -gradient
    rr = dot(r, r)
    if rr == 0:  # squares underflow
        return z, bz
    for _ in range(2 * gradient.size):  # n in exact arithmetic; rounding may ask for more
        bd = product(d)
        curvature = dot(d, bd)
        zd, dd, zz = dot(z, d), dot(d, d), dot(z, z)
        # the step to the boundary: the positive root of norm(z + t d) = radius, without cancellation
        gap = max(radius * radius - zz, 0.0)
        boundary = gap / (zd + math.sqrt(zd * zd + dd * gap)) if gap else 0.0
        alpha = rr / curvature if curvature > 0 else math.inf
        if not alpha < boundary:
            return z + boundary * d, bz + boundary * bd
        z, bz, r = z + alpha * d, bz + alpha * bd, r + alpha * bd
        previous, rr = rr, dot(r, r)
        if math.sqrt(rr) <= tolerance:
            break
        d = -r + (rr / previous) * d
    return z, bz


class NewtonCg:
    """Newton's method in a trust region (algorithm 4.1), its steps by truncated conjugate gradients, which
    take the Hessian's products alone and follow directions of negative curvature to the boundary."""

    def __init__(self, radius=1.0):
        if not 0 < radius < math.inf:
            raise ValueError(f"[NewtonCG] radius is {radius}, but must be positive")
        self.radius = float(radius)

    def state(self):
        return {"radius": self.radius}

    def restore(self, state, like):
        self.radius = float(state["radius"])

    def advance(self, objective, at):
        tolerance = min(0.5, math.sqrt(at.gradient_norm)) * at.gradient_norm
        radius = self.radius
        while True:
            p, bp = steihaug(lambda d: objective.hvp(at, d), at.gradient, self.radius, tolerance)
            length = norm(p)
            if not math.isfinite(dot(p, bp)):
                return "products of the Hessian are not finite"
            predicted = -(dot(at.gradient, p) + dot(p, bp) / 2)
            if not (length > 0 and predicted > 0):
                return None
            after = objective.evaluate(at.x + p)
            if after.value == -math.inf:
                return after
            ratio = -objective.change(at, after) / predicted if after.is_finite else -math.inf
            if ratio < 0.25:
                self.radius = length / 4
            elif ratio > 0.75 and length >= 0.99 * self.radius:
                self.radius = 2 * self.radius
            if ratio > 1e-4:
                return after
            if self.radius <= objective.epsilon * max(objective.epsilon, norm(at.x)):
                self.radius = radius
                return None


# --- Descent and flow


class GradientDescent:
    """Steepest descent, with the line search's first step from the last change: <s, s> / <s, y> (Barzilai and
    Borwein 1988)."""

    def __init__(self):
        self._step = None

    def advance(self, objective, at):
        step = self._step or min(1.0, 1 / at.gradient_norm)
        after = line_search(objective, at, -at.gradient, step)
        if after is not None and after.is_finite:
            s, y = after.x - at.x, after.gradient - at.gradient
            sy = dot(s, y)
            self._step = dot(s, s) / sy if sy > 0 else None
        return after


class GradientFlow:
    """The path x' = -grad f(x) until `time`, by the pair of Bogacki and Shampine (A 3(2) pair of Runge-Kutta
    formulas, 1989), whose difference in each step is kept to atol + rtol abs(x). f falls along the path, so a
    step that raises it is taken again, shorter."""

    def __init__(self, time=math.inf, rtol=1e-3, atol=1e-6):
        for name, value in (("time", time), ("rtol", rtol), ("atol", atol)):
            if not value >= 0 or (value == 0 and name != "rtol"):
                raise ValueError(f"[minimize] {name} is {value}, but must be positive")
        self._left, self._time, self._rtol, self._atol = time, time, rtol, atol
        self._step = None

    def advance(self, objective, at):
        if self._left <= 0:
            return f"the path has come to time {self._time:g}"
        h = self._step or 0.01 * max(1.0, norm(at.x)) / at.gradient_norm
        smallest = objective.epsilon * max(objective.epsilon, norm(at.x)) / at.gradient_norm
        if not math.isfinite(h):
            return None
        longest = 2.0  # by which the step grows, not at once after it was too long
        while True:
            h = min(h, self._left)
            after, error = self._attempt(objective, at, h)
            if after is not None and after.value == -math.inf:
                return after
            factor = 0.25
            if error is not None:
                factor = min(longest, max(0.25, 0.9 * error ** (-1 / 3))) if error > 0 else longest
                if error <= 1:
                    if objective.change(at, after) <= 0:
                        self._left -= h
                        self._step = h * factor
                        return after
                    factor = 0.5
            h, longest = h * factor, 1.0
            if h <= smallest:
                return None

    def _attempt(self, objective, at, h):
        """The sample after a step, and its error in units of what is allowed; None where not finite."""
        k1 = -at.gradient
        second = objective.evaluate(at.x + (h / 2) * k1)
        if not second.is_finite:
            return second, None
        k2 = -second.gradient
        third = objective.evaluate(at.x + (3 * h / 4) * k2)
        if not third.is_finite:
            return third, None
        k3 = -third.gradient
        after = objective.evaluate(at.x + h * (2 / 9 * k1 + 1 / 3 * k2 + 4 / 9 * k3))
        if not after.is_finite:
            return after, None
        difference = h * (-5 / 72 * k1 + 1 / 12 * k2 + 1 / 9 * k3 + 1 / 8 * after.gradient)
        allowed = self._atol + self._rtol * td.maximum(td.abs(at.x), td.abs(after.x))
        return after, norm(difference / allowed) / math.sqrt(at.x.size)


# --- The loop


@dataclass(frozen=True)
class Report:
    """What a minimisation came to.

    x: the point, like the one at the start; value: f there; gradient_norm: over all leaves. iterations, and
    how often f, its gradient and products of its Hessian were computed. converged: whether the gradient's
    norm came down to gtol; reason: a sentence that says why it ended.
    """

    x: object
    value: float
    gradient_norm: float
    iterations: int
    f_evaluations: int
    gradient_evaluations: int
    hvp_evaluations: int
    converged: bool
    reason: str

    def __str__(self):
        return (
            f"{'converged' if self.converged else 'not converged'}: {self.reason}; f = {self.value:.9g}, "
            f"iterations {self.iterations}, evaluations of f {self.f_evaluations}, of its gradient "
            f"{self.gradient_evaluations}, products of its Hessian {self.hvp_evaluations}"
        )


def check_limits(op, gtol, max_iter):
    if gtol is not None and not gtol >= 0:
        raise ValueError(f"[{op}] gtol is {gtol}, but must not be negative")
    if not (isinstance(max_iter, int) and max_iter >= 0):
        raise ValueError(f"[{op}] max_iter is {max_iter}, but must be an integer that is not negative")


def descend(method, objective, gtol, max_iter, tree):
    """Advances until the gradient's norm is at most gtol (None: the square root of epsilon): a Report."""
    at, iterations = objective.evaluate(objective.start()), 0
    converged, ended = False, None
    while True:
        limit = math.sqrt(objective.epsilon) if gtol is None else gtol
        if not math.isfinite(at.value):
            reason = f"f is {at.value} at the start"
        elif not at.is_finite:
            reason = "the gradient is not finite at the start"
        elif at.gradient_norm <= limit:
            converged = True
            reason = f"the gradient's norm, {at.gradient_norm:.3g}, is at most gtol = {limit:.3g}"
        elif ended:
            reason = ended
        elif iterations == max_iter:
            reason = (
                f"max_iter = {max_iter} iterations did not bring the gradient's norm down to gtol = "
                f"{limit:.3g}: it is {at.gradient_norm:.3g}"
            )
        else:
            after = method.advance(objective, at)
            if isinstance(after, str):
                ended = after
            elif after is None:
                at = objective.best if objective.change(at, objective.best) < 0 else at
                ended = (
                    f"no step lowers f: the gradient's norm is {at.gradient_norm:.3g}, but steps lead to "
                    "where f is not finite, or lower it by less than rounding shows (epsilon "
                    f"{objective.epsilon:.2g})"
                )
            elif after.value == -math.inf:
                at, ended = objective.best, "f falls to -inf: it has no minimum"
            else:
                at, iterations = after, iterations + 1
            continue
        return at, Report(
            tree(at.x),
            at.value,
            at.gradient_norm,
            iterations,
            objective.f_evaluations,
            objective.f_evaluations,
            objective.hvp_evaluations,
            converged,
            reason,
        )
