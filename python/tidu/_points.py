"""What a function is like at a point: is_differentiable_at, classify_stationary_point."""

from dataclasses import dataclass

import numpy as np

from tidu import _core
from tidu._core import DTypeError, ShapeError
from tidu._directional import Point

# --- Tensors as one vector on the host


def _vector(tensors):
    parts = [tensor.detach().astype(_core.float64).cpu().numpy().ravel() for tensor in tensors]
    return np.concatenate(parts) if parts else np.zeros(0)


def _tensors(vector, like):
    ends = np.cumsum([tensor.size for tensor in like])[:-1]
    return [
        _core.asarray(part.reshape(tensor.shape)).to(tensor.device).astype(tensor.dtype)
        for part, tensor in zip(np.split(vector, ends), like, strict=True)
    ]


# --- Differentiability

NO_OBJECTION, PARTIALS_ONLY, NO = "no objection found", "partials only", "no"
_MOST_AXES = 64


@dataclass(frozen=True)
class Differentiability:
    """What is_differentiable_at found; true where it found no objection.

    verdict: "no objection found"; "partials only", where both modes give the partial derivatives but these do
    not make a linear model of the function; or "no". objections: what was found, a line each.
    """

    verdict: str
    objections: tuple

    def __bool__(self):
        return self.verdict == NO_OBJECTION

    def __str__(self):
        return "\n".join((self.verdict, *self.objections))


def is_differentiable_at(function, x, directions=8, seed=0):
    """Whether a function seems differentiable at x: f(x + p) = f(x) + J p + o(norm p). A Differentiability.

    x is the argument, any pytree; a tuple is the tuple of arguments. J is what both modes give, computed in
    float64. It is compared with differences of ever shorter steps along both sides of each axis (64 of them,
    if there are more), in random directions, and along axes on paths that bend: what is left, divided by the
    length of the step, must vanish with it. Differences cannot prove anything, so the best verdict is that
    there was no objection; a DTypeError where nothing in the result is floating-point.
    """
    point = Point(function, x, "is_differentiable_at")
    inputs = [tensor.detach().astype(_core.float64) for tensor in point.inputs]
    outputs = point.flat(inputs)
    kept = [i for i, y in enumerate(outputs) if y.dtype.is_floating_point]
    if not kept:
        raise DTypeError("[is_differentiable_at] the function must return a floating-point tensor")
    check = _Check(lambda tensors: [point.flat(tensors)[i] for i in kept], inputs)
    rng = np.random.default_rng(seed)
    size = check.x.size
    axes = np.arange(size) if size <= _MOST_AXES else np.sort(rng.choice(size, _MOST_AXES, replace=False))
    units = [(int(axis), np.eye(1, size, axis)[0]) for axis in axes]

    objections = check.values() or check.modes([rng.standard_normal(size) for _ in range(2)])
    for axis, unit in units if not objections else ():
        objections += check.partial(axis, unit)
    if objections:
        return Differentiability(NO, tuple(objections))
    for _ in range(directions):
        objections += check.path(rng.standard_normal(size), None, "in a random direction")
    for axis, unit in units:
        objections += check.path(unit, rng.standard_normal(size), f"on a path that leaves along axis {axis}")
    return Differentiability(PARTIALS_ONLY if objections else NO_OBJECTION, tuple(objections))


class _Check:
    """A function of tensors as one of vectors on the host, and its differences.

    The unit of length along an axis is the size of x there, or 1 where x is 0.
    """

    def __init__(self, function, inputs):
        self.function, self.inputs = function, inputs
        self.x = _vector(inputs)
        self.unit = np.where(self.x == 0, 1, np.abs(self.x))
        outputs = function(inputs)
        self.y = _vector(outputs)
        narrow = any(y.dtype != "float64" for y in outputs)
        self.epsilon = 2.0**-23 if narrow else 2.0**-52
        self.steps = 2.0 ** -(np.arange(2, 11) if narrow else np.arange(4, 26, 2))

    def at(self, step):
        return _vector(self.function(_tensors(self.x + step, self.inputs)))

    def slope(self, direction):
        """J v by forward mode."""
        return _vector(_core.jvp(self.function, self.inputs, _tensors(direction, self.inputs))[1])

    def values(self):
        return [] if np.isfinite(self.y).all() else ["the value is not finite"]

    def modes(self, directions):
        outputs, pull = _core.vjp(self.function, self.inputs)
        for direction in directions:
            v, w = direction * self.unit, np.cos(np.arange(self.y.size))
            forward = self.slope(v)
            reverse = _vector(pull(_tensors(w, outputs)))
            scale = np.abs(w * forward).sum() + np.abs(reverse * v).sum()
            if not np.isfinite(scale) or abs(w @ forward - reverse @ v) > 2.0**16 * self.epsilon * scale:
                return [f"forward mode gives {w @ forward:.9g} where reverse mode gives {reverse @ v:.9g}"]
        return []

    def vanishes(self, left, noise, slopes):
        """Of each result, whether what is left of its differences goes to 0 with the steps."""
        few = 3
        with np.errstate(invalid="ignore"):
            long, short = np.nanmax(left[:-few], axis=0, initial=0), left[-few:].max(axis=0)
            small = noise[-few:].max(axis=0) + 1e-5 * slopes
            return (short <= small) | (short <= long / 4)

    def quotients(self, direction, bend):
        """The steps, (f(x + step) - f(x)) / h, and how far rounding alone may have moved these."""
        scaled = direction * self.unit
        steps = [h * scaled + (0 if bend is None else h * h * bend * self.unit) for h in self.steps]
        moved = np.stack([self.at(step) for step in steps])
        h = self.steps[:, None]
        with np.errstate(invalid="ignore"):
            quotients = (moved - self.y) / h
            noise = 64 * self.epsilon * (np.abs(moved) + np.abs(self.y) + np.abs(quotients)) / h
        return quotients, noise

    def fits(self, direction, bend, model):
        """Whether these slopes, along the direction and the bend, are a linear model of each result."""
        quotients, noise = self.quotients(direction, bend)
        linear = model[0] + self.steps[:, None] * model[1]
        with np.errstate(invalid="ignore"):
            slopes = np.abs(model[0]) + np.abs(quotients[-1])
            return self.vanishes(np.abs(quotients - linear), noise, slopes), quotients

    def partial(self, axis, unit):
        slope = self.slope(unit * self.unit)
        (up, ups), (down, downs) = (self.fits(s * unit, None, (s * slope, 0)) for s in (1, -1))
        wrong = np.flatnonzero(~(up & down))
        if not wrong.size:
            return []
        # Perhaps there is another derivative than that of the modes.
        middle = (ups[-1] - downs[-1]) / 2
        exists = [self.fits(s * unit, None, (s * middle, 0))[0] for s in (1, -1)]
        at = wrong[np.argmin((exists[0] & exists[1])[wrong])]
        name = f"the partial derivative of result {at} by element {axis}"
        if (exists[0] & exists[1])[at]:
            by = self.unit[axis]
            return [f"{name} is {middle[at] / by:.9g} by differences but {slope[at] / by:.9g} by the modes"]
        above, below = ups[-1][at] / self.unit[axis], 0.0 - downs[-1][at] / self.unit[axis]
        return [f"{name} does not exist: differences give {above:.9g} above and {below:.9g} below"]

    def path(self, direction, bend, name):
        model = (self.slope(direction * self.unit), 0 if bend is None else self.slope(bend * self.unit))
        fits, quotients = self.fits(direction, bend, model)
        if fits.all():
            return []
        at = np.flatnonzero(~fits)[0]
        return [
            f"{name} result {at} changes by {quotients[-1][at]:.9g} a step, where its partial derivatives "
            f"give {model[0][at]:.9g}"
        ]


# --- Stationary points


@dataclass(frozen=True)
class StationaryPoint:
    """What classify_stationary_point found.

    kind: "minimum", "maximum", "saddle", "undecided" or "not stationary". gradient_norm: over all leaves of
    the point. eigenvalues: of the Hessian, ascending, a NumPy array. up, down, flat: the eigenvectors of norm
    1, like the point, along which the second derivative is positive, negative, or cannot be told from 0, in
    the order of their eigenvalues. Of a point that is not stationary these are None.
    """

    kind: str
    gradient_norm: float
    eigenvalues: object = None
    up: list = None
    down: list = None
    flat: list = None

    def __str__(self):
        if self.kind == "not stationary":
            return f"not stationary: the gradient has norm {self.gradient_norm:.6g}"
        values = ", ".join(f"{value:.6g}" for value in self.eigenvalues)
        return f"{self.kind}: the Hessian has eigenvalues {values}"


def _symmetric_eigen(matrix):
    """Eigenvalues, ascending, and eigenvectors, in columns, of a symmetric matrix on the host."""
    return np.linalg.eigh(matrix)


def classify_stationary_point(function, x, rtol=None):
    """The kind of a stationary point of a scalar function by its Hessian's eigenvalues: a StationaryPoint.

    x is the argument, any pytree; a tuple is the tuple of arguments. All eigenvalues positive: a minimum; all
    negative: a maximum; of both signs: a saddle; else the Hessian does not decide, and terms of higher order
    do. rtol, by default the square root of the dtype's epsilon: the point is stationary where
    norm(gradient) <= rtol * norm(Hessian) * max(1, norm(x)), and an eigenvalue counts as 0 where it is at
    most rtol times the largest.
    """
    point = Point(function, x, "classify_stationary_point")
    if not point.inputs:
        raise ShapeError("[classify_stationary_point] the point has no elements")
    narrow = any(tensor.dtype != "float64" for tensor in point.inputs)
    rtol = rtol if rtol is not None else (2.0**-23 if narrow else 2.0**-52) ** 0.5
    _, gradients = _core.value_and_grad(point.flat.scalar, point.inputs)
    gradient_norm = float(np.linalg.norm(_vector(gradients)))
    blocks = _core.hessian(point.flat.scalar, point.inputs)
    sizes = [tensor.size for tensor in point.inputs]
    hessian = np.block(
        [
            [_vector([block]).reshape(rows, columns) for block, columns in zip(row, sizes, strict=True)]
            for row, rows in zip(blocks, sizes, strict=True)
        ]
    )
    if not (np.isfinite(gradient_norm) and np.isfinite(hessian).all()):
        raise ValueError("[classify_stationary_point] the gradient or the Hessian is not finite")
    scale = np.linalg.norm(hessian) * max(1.0, np.linalg.norm(_vector(point.inputs)))
    if not gradient_norm <= rtol * scale:
        return StationaryPoint("not stationary", gradient_norm)
    eigenvalues, vectors = _symmetric_eigen((hessian + hessian.T) / 2)
    zero = rtol * np.abs(eigenvalues).max(initial=0)
    up, down = eigenvalues > zero, eigenvalues < -zero
    kinds = {(True, False): "minimum", (False, True): "maximum"}
    kind = "saddle" if up.any() and down.any() else kinds.get((bool(up.all()), bool(down.all())), "undecided")

    def directions(chosen):
        return [point.tree(_tensors(vector, point.inputs)) for vector in vectors.T[chosen]]

    return StationaryPoint(
        kind, gradient_norm, eigenvalues, directions(up), directions(down), directions(~(up | down))
    )
