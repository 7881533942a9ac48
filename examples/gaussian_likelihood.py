"""Maximum likelihood of a Gaussian, over its mean m and a Cholesky factor L of its covariance S = L L^T.

Any L with a diagonal that is not zero gives a covariance, so nothing constrains the search. The negative
log-likelihood of n observations x in d dimensions is

    f(m, L) = n d/2 log(2 pi) + n sum of log |L_ii| + 1/2 sum of |L^-1 (x - m)|^2.

Its gradient is zero at the sample's mean and covariance (that with n, not n - 1, in the denominator), where
f is n/2 (d log(2 pi) + log det S + d).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import tidu as td
from common import BLUE, INK, ORANGE, RED, arguments, array, axes, check, pictures
from tidu import Tensor

D = 3
LOWER = np.tril_indices(D)


def factor(packed: Tensor) -> Tensor:
    """The lower triangular matrix whose elements, row by row, are `packed`."""
    places = np.zeros((len(packed), D, D))
    places[(np.arange(len(packed)), *LOWER)] = 1
    return td.tensordot(packed, td.tensor(places), 1)


def sample(count: int) -> Tensor:
    """Seeded draws of a Gaussian."""
    mixing = td.tensor([[1.5, 0.0, 0.0], [-0.8, 0.6, 0.0], [0.5, 0.3, 0.9]], dtype=td.float64)
    normal = td.random.normal(td.random.key(3), (count, D), dtype=td.float64)
    return td.tensor([1.0, -2.0, 0.5], dtype=td.float64) + normal @ mixing.mT


def main() -> None:
    args = arguments(__doc__)
    x = sample(40 if args.quick else 500)
    n = len(x)

    def f(mean: Tensor, packed: Tensor) -> Tensor:
        lower = factor(packed)
        standard = td.linalg.solve_triangular(lower, (x - mean).mT, upper=False)
        logdet = td.log(td.abs(td.linalg.diagonal(lower))).sum()
        return n * D / 2 * math.log(2 * math.pi) + n * logdet + (standard**2).sum() / 2

    # At the sample's own mean and covariance the gradient is zero.
    mean = x.mean(axis=0)
    covariance = (x - mean).mT @ (x - mean) / n
    best = (mean, td.tensor(array(td.linalg.cholesky(covariance))[LOWER]))
    for name, gradient in zip(("mean", "factor"), td.grad(f, argnums=(0, 1))(*best), strict=True):
        check(f"gradient by the {name}", gradient, 0 * gradient, 1e-10 * n)
    least = n / 2 * (D * math.log(2 * math.pi) + td.linalg.logdet(covariance).item() + D)
    check("f there", f(*best), least, 1e-9 * n)
    print(td.classify_stationary_point(f, best))

    # From zero and the identity, minimisation comes there by itself.
    start = (td.zeros(D, dtype=td.float64), td.tensor(np.eye(D)[LOWER]))
    stages = [td.optim.minimize(f, start, max_iter=limit).x for limit in (0, 2, 5)]
    report = td.optim.minimize(f, start, gtol=1e-6)
    print(f"L-BFGS: {report}")
    lower = factor(report.x[1])
    check("the mean that L-BFGS finds", report.x[0], mean, 1e-8)
    check("the covariance that L-BFGS finds", lower @ lower.mT, covariance, 1e-8)

    # The information about the mean is n S^-1, so its errors are the roots of S_ii / n.
    errors = td.optim.standard_errors(f, report.x)[0]
    check("standard errors of the mean", errors, td.sqrt(td.linalg.diagonal(covariance) / n), 1e-8)

    def ellipses() -> Any:
        picture = axes("Two standard deviations, from the start to the estimate", "x1", "x2")
        picture.plot(*array(x)[:, :2].T, "o", color=BLUE, markersize=2.5, alpha=0.5)
        angles = np.linspace(0, 2 * np.pi, 100)
        circle = 2 * np.stack([np.cos(angles), np.sin(angles)])
        for (m, packed), colour in zip([*stages, report.x], (INK, ORANGE, ORANGE, RED), strict=True):
            outline = array(m)[:2, None] + array(factor(packed))[:2, :2] @ circle
            picture.plot(*outline, color=colour, linewidth=1.5)
        picture.set_aspect("equal")
        return picture.figure

    pictures(args, ellipses=ellipses)


if __name__ == "__main__":
    main()
