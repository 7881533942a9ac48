"""Pictures of functions of one and two numbers: contours, surfaces, models, gradients, descent.

A function of two numbers takes a tensor of shape (2,), or two numbers where it has two parameters; it is
evaluated in float64. Ranges are pairs (low, high). Every function returns a matplotlib Figure, whose first
axes hold the picture; with `axes` it draws there instead.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from tidu import _core
from tidu._core import ShapeError, Tensor
from tidu._directional import total_derivative
from tidu._taylor import taylor
from tidu._transforms import grad, name_of
from tidu.viz._style import BLUE, INK, ORANGE, RED, floats, new_figure, plain

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from tidu.viz._style import NDArray

COLOURS = "viridis"


class Plane:
    """A function of two numbers, as one of a tensor of shape (2,)."""

    def __init__(self, function: Callable[..., Any], op: str) -> None:
        if not callable(function):
            raise TypeError(f"[{op}] takes a function, not {type(function).__name__}")
        count = _parameters(function)
        if count > 2:
            raise TypeError(
                f"[{op}] {name_of(function)} takes {count} numbers: the picture is of a function of two, or "
                "of a tensor of shape (2,)"
            )
        self._function, self._op, self._takes_two = function, op, count == 2

    def __call__(self, x: Tensor) -> Tensor:
        value = self._function(x[0], x[1]) if self._takes_two else self._function(x)
        return _one_number(value, self._function, self._op)

    def on_grid(self, x: NDArray, y: NDArray) -> NDArray:
        """The values at all points (x[i], y[k]), as an array of shape (len(y), len(x))."""
        return np.array([[self(_point([a, b])).item() for a in x] for b in y])

    def gradients(self, x: NDArray, y: NDArray) -> NDArray:
        """Gradients on such a grid, of shape (2, len(y), len(x))."""
        slope = grad(self)
        rows = [[slope(_point([a, b])).tolist() for a in x] for b in y]
        return np.moveaxis(np.array(rows), 2, 0)


def _parameters(function: Callable[..., Any]) -> int:
    """How many numbers a function takes one by one: those that it must be given by position."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return 1
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(p.kind in positional and p.default is p.empty for p in parameters)


def _one_number(value: Any, function: Callable[..., Any], op: str) -> Tensor:
    value = value if isinstance(value, Tensor) else _core.asarray(value)
    if value.size != 1:
        raise ShapeError(
            f"[{op}] {name_of(function)} must return one element, not shape {value.shape} (the picture is of "
            "a scalar function)"
        )
    found: Tensor = value.reshape(())
    return found


def _point(numbers: Any) -> Tensor:
    return _core.asarray(numbers, dtype=_core.float64)


def _numbers(value: Any, op: str, what: str, count: int) -> NDArray:
    array = floats(value)
    if array.shape != (count,):
        raise ShapeError(f"[{op}] {what} must be {count} numbers, not of shape {array.shape}")
    return array


def _range(limits: Any, op: str, what: str, points: int) -> NDArray:
    low, high = _numbers(limits, op, what, 2)
    if not (np.isfinite([low, high]).all() and low < high):
        raise ValueError(f"[{op}] {what} must be (low, high) with low < high, not ({low:g}, {high:g})")
    if points < 2:
        raise ValueError(f"[{op}] needs at least 2 points along each axis, not {points}")
    return np.linspace(low, high, points)


def _axes(axes: Any, width: float = 6.2, height: float = 4.8, **kwargs: Any) -> tuple[Figure, Any]:
    """Axes to draw into, and their figure."""
    figure = axes.figure if axes is not None else new_figure(width, height)
    return figure, figure.add_subplot(**kwargs) if axes is None else axes


def _label(axes: Any, title: str | None) -> None:
    axes.set_xlabel("x1", color=INK)
    axes.set_ylabel("x2", color=INK)
    if title:
        axes.set_title(title, loc="left", fontsize=11, fontweight="bold", color=INK)


def _bar(figure: Figure, drawn: Any, axes: Any, label: str = "f(x1, x2)") -> None:
    if len(getattr(drawn, "levels", (0, 1))) > 1:
        figure.colorbar(drawn, ax=axes).set_label(label, color=INK)


def _filled(
    axes: Any, x: NDArray, y: NDArray, values: NDArray, levels: int | Iterable[float], extend: str = "neither"
) -> Any:
    """Filled contours with lines; where the function is not finite nothing is drawn."""
    values = np.ma.masked_invalid(values)
    if not isinstance(levels, int):
        levels = sorted({float(level) for level in levels})
        if not levels or not np.isfinite(levels).all():
            raise ValueError("[viz] levels must be a number of lines, or finite values of the function")
        if len(levels) == 1:  # a line has no area, and no scale of colours
            line = axes.contour(x, y, values, levels=levels, colors=INK)
            axes.clabel(line)
            return line
    drawn = axes.contourf(x, y, values, levels=levels, cmap=COLOURS, extend=extend)
    axes.contour(x, y, values, levels=drawn.levels, colors="white", linewidths=0.5, alpha=0.7)
    return drawn


def contour(
    function: Callable[..., Any],
    xlim: tuple[float, float] = (-2, 2),
    ylim: tuple[float, float] = (-2, 2),
    levels: int | Iterable[float] = 14,
    points: int = 81,
    title: str | None = None,
    axes: Any = None,
) -> Figure:
    """Lines of equal value of a function of two numbers. levels: how many, or their values (one: a line).

    Examples
    --------
    >>> figure = td.viz.contour(lambda x: x[0] ** 2 + x[1] ** 2, points=5)
    """
    plane = Plane(function, "contour")
    x, y = _range(xlim, "contour", "xlim", points), _range(ylim, "contour", "ylim", points)
    values = plane.on_grid(x, y)
    figure, axes = _axes(axes)
    _bar(figure, _filled(axes, x, y, values, levels), axes)
    _label(axes, title)
    return figure


def surface(
    function: Callable[..., Any],
    xlim: tuple[float, float] = (-2, 2),
    ylim: tuple[float, float] = (-2, 2),
    at: Any = None,
    points: int = 41,
    title: str | None = None,
    axes: Any = None,
) -> Figure:
    """The graph of a function of two numbers in space. at: a point, at which the tangent plane is drawn,
    z = f(at) + f'(at) (x - at), over a quarter of either range. `axes` must be of projection "3d".

    Examples
    --------
    >>> figure = td.viz.surface(lambda x: x[0] * x[1], at=(0.5, 0.5), points=5)
    """
    plane = Plane(function, "surface")
    x, y = _range(xlim, "surface", "xlim", points), _range(ylim, "surface", "ylim", points)
    values = plane.on_grid(x, y)
    if at is not None:
        at = _numbers(at, "surface", "at", 2)
        linear = total_derivative(plane, _point(at))
        reach = np.array([x[-1] - x[0], y[-1] - y[0]]) / 4
        steps = np.linspace(-reach, reach, 7).T
        tangent = np.array([[linear.model(_point([dx, dy])).item() for dx in steps[0]] for dy in steps[1]])
    figure, axes = _axes(axes, 7, 5.4, projection="3d")
    drawn = axes.plot_surface(
        *np.meshgrid(x, y), np.ma.masked_invalid(values), cmap=COLOURS, alpha=0.8, linewidth=0
    )
    if at is not None:
        axes.plot_surface(*np.meshgrid(at[0] + steps[0], at[1] + steps[1]), tangent, color=ORANGE, alpha=0.6)
        axes.scatter(*at, linear.value.item(), color=RED, s=30, depthshade=False)
    _label(axes, title)
    axes.set_zlabel("f(x1, x2)", color=INK)
    figure.colorbar(drawn, ax=axes, shrink=0.7, pad=0.12).set_label("f(x1, x2)", color=INK)
    return figure


def quadratic_model(
    function: Callable[..., Any],
    x: Any,
    reach: float = 1.0,
    levels: int | Iterable[float] = 14,
    points: int = 81,
    title: str | None = None,
) -> Figure:
    """A function beside its quadratic model at x, f(x) + f'(x) p + 1/2 f''(x)(p, p), for steps p up to
    `reach` along each axis. x: one number (two curves in one picture) or two (contours side by side).

    Examples
    --------
    >>> figure = td.viz.quadratic_model(td.cos, 0.0, points=5)
    """
    at = floats(x)
    if at.shape not in ((), (1,), (2,)):
        raise ShapeError(f"[quadratic_model] x must be one number or two, not of shape {at.shape}")
    if not reach > 0:
        raise ValueError(f"[quadratic_model] reach must be positive, not {reach!r}")
    draw = _model_of_two if at.shape == (2,) else _model_of_one
    return draw(function, at, reach, levels, points, title)


def _model_of_one(
    function: Callable[..., Any],
    at: NDArray,
    reach: float,
    levels: int | Iterable[float],
    points: int,
    title: str | None,
) -> Figure:
    op = "quadratic_model"

    def f(x: Tensor) -> Tensor:
        return _one_number(function(x), function, op)

    model = taylor(f, _point(at), 2)
    steps = _range((-reach, reach), op, "steps", points)
    x = at.item() + steps
    values = [f(_point(np.full(at.shape, a))).item() for a in x]
    figure = new_figure(6.2, 4.2)
    axes = figure.subplots()
    plain(axes, title)
    axes.plot(x, values, color=BLUE, linewidth=2, label="f(x)")
    axes.plot(
        x,
        [model(_point(np.full(at.shape, p))).item() for p in steps],
        color=ORANGE,
        linestyle="--",
        label="quadratic model",
    )
    axes.plot([at.item()], [model.value.item()], "o", color=RED, label=f"x = {at.item():.4g}")
    axes.set_xlabel("x", color=INK)
    axes.set_ylabel("f(x)", color=INK)
    axes.legend(frameon=False, labelcolor=INK)
    return figure


def _model_of_two(
    function: Callable[..., Any],
    at: NDArray,
    reach: float,
    levels: int | Iterable[float],
    points: int,
    title: str | None,
) -> Figure:
    plane = Plane(function, "quadratic_model")
    model = taylor(plane, _point(at), 2)
    steps = _range((-reach, reach), "quadratic_model", "steps", points)
    x, y = at[0] + steps, at[1] + steps
    pairs = (
        ("f(x1, x2)", plane.on_grid(x, y)),
        ("quadratic model", np.array([[model(_point([p, q])).item() for p in steps] for q in steps])),
    )
    figure = new_figure(10, 4.4)
    panels = figure.subplots(1, 2, sharey=True)
    for axes, (name, values) in zip(panels, pairs, strict=True):
        drawn = _filled(axes, x, y, values, levels, extend="both")
        levels = drawn.levels  # of the function, for both
        axes.plot(*at, "o", color=RED)
        _label(axes, name)
    panels[1].set_ylabel("")
    _bar(figure, drawn, panels)
    if title:
        figure.suptitle(title, fontsize=12, color=INK)
    return figure


def gradient_field(
    function: Callable[..., Any],
    xlim: tuple[float, float] = (-2, 2),
    ylim: tuple[float, float] = (-2, 2),
    points: int = 17,
    title: str | None = None,
    axes: Any = None,
) -> Figure:
    """The gradient of a function of two numbers as arrows, in the colour of its norm, over lines of equal
    value, to which it is at right angles.

    Examples
    --------
    >>> figure = td.viz.gradient_field(lambda x: x[0] ** 2 - x[1] ** 2, points=5)
    """
    plane = Plane(function, "gradient_field")
    x, y = _range(xlim, "gradient_field", "xlim", points), _range(ylim, "gradient_field", "ylim", points)
    gradients = np.ma.masked_invalid(plane.gradients(x, y))
    fine = [np.linspace(line[0], line[-1], 61) for line in (x, y)]
    values = np.ma.masked_invalid(plane.on_grid(*fine))
    figure, axes = _axes(axes)
    axes.contour(*fine, values, levels=14, colors=INK, linewidths=0.5, alpha=0.5)
    norms = np.ma.hypot(*gradients)
    scale = None if norms.max() > 0 else 1  # matplotlib's own divides by the mean length
    drawn = axes.quiver(*np.meshgrid(x, y), *gradients, norms, cmap=COLOURS, pivot="mid", scale=scale)
    axes.set_aspect("equal")  # or they would not look like right angles
    _bar(figure, drawn, axes, "norm of the gradient")
    _label(axes, title)
    return figure


def descent_path(
    function: Callable[..., Any],
    path: Any,
    lr: float = 0.1,
    steps: int = 50,
    xlim: tuple[float, float] | None = None,
    ylim: tuple[float, float] | None = None,
    levels: int | Iterable[float] = 14,
    points: int = 81,
    title: str | None = None,
    axes: Any = None,
) -> Figure:
    """The points that a minimisation passed, over contours of the function of two numbers.

    path: points, (n, 2), of any optimiser; or one point, from which gradient descent makes `steps` steps
    -lr * gradient. The limits are by default those of the path with a margin.

    Examples
    --------
    >>> figure = td.viz.descent_path(lambda x: x[0] ** 2 + 4 * x[1] ** 2, (1.0, 1.0), steps=3, points=5)
    """
    op = "descent_path"
    plane = Plane(function, op)
    path = floats(path)
    if path.shape == (2,):
        path = _descent(plane, path, lr, steps)
    if path.ndim != 2 or path.shape[1] != 2 or not len(path):
        raise ShapeError(f"[{op}] path must be points (n, 2) or one point (2,), not of shape {path.shape}")
    if not np.isfinite(path).all():
        raise ValueError(f"[{op}] the path has points that are not finite (a smaller lr may help)")
    low, high = path.min(0), path.max(0)
    margin = 0.25 * max((high - low).max(), 1e-3) * np.ones(2)
    limits = [limit or (a - m, b + m) for limit, a, b, m in zip((xlim, ylim), low, high, margin, strict=True)]
    x, y = _range(limits[0], op, "xlim", points), _range(limits[1], op, "ylim", points)
    values = plane.on_grid(x, y)
    figure, axes = _axes(axes)
    _bar(figure, _filled(axes, x, y, values, levels), axes)
    axes.plot(*path.T, "o-", color=ORANGE, markersize=3.5, linewidth=1.3, label=f"{len(path) - 1} steps")
    axes.plot(*path[0], "s", color="white", markeredgecolor=INK, label="start")
    axes.plot(*path[-1], "*", color=RED, markersize=12, label="end")
    axes.legend(fontsize=9, labelcolor=INK)
    _label(axes, title)
    return figure


def _descent(plane: Plane, start: NDArray, lr: float, steps: int) -> NDArray:
    slope, path = grad(plane), [start]
    for _ in range(steps):
        with np.errstate(all="ignore"):  # a path that diverges is an error of its own
            path.append(path[-1] - lr * np.array(slope(_point(path[-1])).tolist()))
    return np.array(path)
