"""Gradient descent on surfaces: where it leads, how fast, and what other methods do.

Of the quadratic f(x) = 1/2 <x - c, A (x - c)> both are known: after k steps of length lr the point is
c + (I - lr A)^k (x - c), and the gradient flow x' = -f'(x) is at c + exp(-t A) (x - c) at time t. Of
Rosenbrock's valley (1 - x1)^2 + 100 (x2 - x1^2)^2 the minimum is known, (1, 1), and a hard way.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tidu as td
from common import BLUE, ORANGE, RED, arguments, array, axes, check, pictures
from tidu import Tensor

METHODS = {"gradient-descent": ORANGE, "lbfgs": RED, "newton-cg": BLUE}


def point(*numbers: float) -> Tensor:
    return td.tensor(numbers, dtype=td.float64)


A, CENTRE = np.array([[3.0, 1.0], [1.0, 1.0]]), (0.5, -0.5)


def rosenbrock(x: Tensor) -> Tensor:
    return (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2


def main() -> None:
    args = arguments(__doc__)
    matrix, centre, start = td.tensor(A), point(*CENTRE), point(-1.5, 1.5)

    def bowl(x: Tensor) -> Tensor:
        return ((x - centre) * (matrix @ (x - centre))).sum() / 2

    slope = td.grad(bowl)
    check("gradient", slope(start), matrix @ (start - centre), 1e-14)
    steepest = td.steepest_direction(bowl, start)
    check(
        "slope along it, its norm",
        td.directional_derivative(bowl, start, steepest) ** 2,
        (slope(start) ** 2).sum(),
        1e-12,
    )

    lr, x, path = 0.5, start, [array(start)]
    for _ in range(30):
        x = x - lr * slope(x)
        path.append(array(x))
    shrink = td.linalg.matrix_power(td.eye(2, dtype=td.float64) - lr * matrix, 30)
    check("30 steps", x, centre + shrink @ (start - centre), 1e-12)

    time = 0.8
    flow = td.optim.minimize(bowl, start, "gradient-flow", time=time, rtol=1e-7, atol=1e-9)
    print(f"flow: {flow}")
    check("flow", flow.x, centre + td.linalg.matrix_exp(-time * matrix) @ (start - centre), 1e-6)
    print(td.classify_stationary_point(bowl, centre))

    # In the valley, the path of each method is that of its first iterations.
    start, limit, gtol = point(-1.2, 1.0), 8 if args.quick else 40, 1e-2 if args.quick else 1e-4
    paths = {}
    for method in METHODS:
        reports = [td.optim.minimize(rosenbrock, start, method, max_iter=i) for i in range(limit + 1)]
        paths[method] = np.array([array(report.x) for report in reports])
        final = td.optim.minimize(rosenbrock, start, method, gtol=gtol)
        print(f"{method}: {final}")
        # Near the minimum the gradient is the Hessian, whose least eigenvalue is 0.4, times the distance.
        check(f"minimum by {method}", final.x, [1, 1], 1.1 * gtol / 0.4)
    points = 9 if args.quick else 81

    def descent() -> Any:
        return td.viz.descent_path(bowl, np.array(path), points=points, title="Steps of descent on a bowl")

    def tangent_plane() -> Any:
        return td.viz.surface(
            bowl, (-2, 2), (-2, 2), at=(-1, 1), points=points // 2, title="A surface and its tangent plane"
        )

    def valley() -> Any:
        rows = lambda x: td.log10(1e-3 + rosenbrock(x))
        figure = td.viz.contour(rows, (-1.6, 1.4), (-0.6, 1.6), points=points)
        picture = figure.axes[0]
        for method, colour in METHODS.items():
            picture.plot(*paths[method].T, "o-", color=colour, markersize=2.5, linewidth=1, label=method)
        picture.legend(fontsize=9)
        picture.set_title(f"Rosenbrock's valley: {limit} iterations from the left", loc="left")
        return figure

    def speed() -> Any:
        picture = axes("How fast", "iterations", "f")
        for method, colour in METHODS.items():
            values = [rosenbrock(point(*x)).item() for x in paths[method]]
            picture.semilogy(values, color=colour, label=method)
        picture.legend(frameon=False)
        return picture.figure

    pictures(args, descent=descent, tangent_plane=tangent_plane, valley=valley, speed=speed)


if __name__ == "__main__":
    main()
