"""Linear regression: how far cars of the 1920s ran until they stood, by their speed (Ezekiel 1930).

The line w0 + w1 x that is nearest to the measured y minimises L(w) = 1/2 |X w - y|^2, whose rows of X are
(1, x). Its gradient X^T (X w - y) is zero where X^T X w = X^T y: the normal equations. Descent comes to the
same place, and for a quadratic L it is known how: each step multiplies the error by I - lr X^T X.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tidu as td
from common import BLUE, INK, RED, arguments, array, axes, check, pictures, table
from tidu import Tensor

UNIT = 10  # miles an hour: with speeds in tens, both columns of X are of one size


def main() -> None:
    args = arguments(__doc__)
    cars = table("cars")
    x, y = cars["speed"] / UNIT, cars["distance"]
    design = td.stack([td.ones_like(x), x], axis=1)

    def loss(w: Tensor) -> Tensor:
        return ((design @ w - y) ** 2).sum() / 2

    # The normal equations. R prints -17.5791 and 3.9324 for these data.
    gram = design.mT @ design
    best = td.linalg.solve(gram, design.mT @ y)
    intercept, slope = best.tolist()
    print(f"distance = {intercept:.4f} + {slope / UNIT:.4f} speed")
    check("coefficients", best, [-17.57909489, 39.32408759], 1e-7)
    check("gradient at the solution of the normal equations", td.grad(loss)(best), [0, 0], 1e-9)
    check("lstsq, by singular values", td.linalg.lstsq(design, y).x, best, 1e-9)
    check("Hessian", td.hessian(loss)(best), gram, 1e-9)

    # How sure are they? With normal errors of variance s^2, L / s^2 is a negative log-likelihood.
    variance = 2 * loss(best).item() / (len(y) - 2)
    errors = td.optim.standard_errors(lambda w: loss(w) / variance, best)
    closed = td.sqrt(variance * td.linalg.diagonal(td.linalg.inv(gram)))
    print(f"standard errors {errors[0].item():.4f} and {errors[1].item() / UNIT:.4f}")
    check("standard errors", errors, closed, 1e-9)
    check("standard errors as R prints them", errors, [6.7584, 4.155], 5.1e-4)

    # Descent with the steps that shrink the larger of both errors fastest.
    curvatures = td.linalg.eigvalsh(gram)
    lr = 2 / (curvatures[0] + curvatures[-1]).item()
    slope_of, w, path = td.grad(loss), td.zeros(2, dtype=td.float64), []
    for _ in range(20 if args.quick else 500):
        path.append(array(w))
        w = w - lr * slope_of(w)
    shrink = td.linalg.matrix_power(td.eye(2, dtype=td.float64) - lr * gram, len(path))
    check(f"{len(path)} steps of descent", w, best - shrink @ best, 1e-9)
    check("L-BFGS", td.optim.minimize(loss, w).x, best, 1e-6)

    def line() -> Any:
        picture = axes("The line of least squares", "speed, miles an hour", "distance, feet")
        speeds, distances, fitted = array(cars["speed"]), array(y), array(design @ best)
        picture.vlines(speeds, distances, fitted, color=RED, linewidth=0.8, label="what L squares")
        picture.plot(speeds, distances, "o", color=BLUE, markersize=4)
        picture.plot(speeds, fitted, color=INK)
        picture.legend(frameon=False)
        return picture.figure

    def descent() -> Any:
        return td.viz.descent_path(
            loss, np.array(path), points=9 if args.quick else 61, title=f"{len(path)} steps of descent on L"
        )

    pictures(args, line=line, descent=descent)


if __name__ == "__main__":
    main()
