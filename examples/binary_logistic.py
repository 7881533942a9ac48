"""Binary logistic regression: did a new method of teaching economics improve grades? 32 students (Spector
and Mazzeo 1980; the estimates are in Greene's Econometric Analysis).

The probability of an improvement is p = sigmoid(x w), so its negative log-likelihood is

    f(w) = sum of softplus(x w) - y x w,    f'(w) = X^T (p - y),    f''(w) = X^T diag(p (1 - p)) X,

which is convex. Stochastic gradient descent comes near the minimum; L-BFGS and Newton's method come to it,
and there the inverse of the Hessian says how sure the estimates are.
"""

from __future__ import annotations

from typing import Any

import tidu as td
from common import BLUE, INK, ORANGE, arguments, array, axes, check, pictures, table
from tidu import Tensor
from tidu.nn import functional as F

NAMES = ("constant", "grade point average", "test score", "new method")


def descend(rows: Tensor, y: Tensor, epochs: int) -> Tensor:
    """The mean loss of a layer that has learnt by stochastic gradient descent, from batches of 8 students."""
    rows = (rows - rows.mean(axis=0)) / td.std(rows, axis=0)  # of one size, or one step cannot fit all
    model = td.nn.Linear(rows.shape[1], 1, dtype=td.float64, key=td.random.key(0))
    optimizer = td.optim.SGD(model.parameters(), lr=0.3)
    schedule = td.optim.CosineLR(optimizer, 4 * epochs)
    loader = td.data.DataLoader(td.data.TensorDataset(rows, y), 8, shuffle=True, key=td.random.key(1))
    for _ in range(epochs):
        for batch, improved in loader:
            optimizer.zero_grad()
            F.binary_cross_entropy_with_logits(model(batch)[:, 0], improved).backward()
            optimizer.step()
            schedule.step()
    return F.binary_cross_entropy_with_logits(model(rows)[:, 0], y)


def main() -> None:
    args = arguments(__doc__)
    students = table("spector")
    y = students.pop("improved")
    rows = td.stack(list(students.values()), axis=1)
    x = td.concat([td.ones((len(y), 1), dtype=td.float64), rows], axis=1)

    def f(w: Tensor) -> Tensor:
        return (td.softplus(x @ w) - y * (x @ w)).sum()

    newton = td.optim.minimize(f, td.zeros(4, dtype=td.float64), "newton-cg")
    print(f"Newton's method: {newton}")
    lbfgs = td.optim.minimize(f, td.zeros(4, dtype=td.float64), "lbfgs")
    print(f"L-BFGS: {lbfgs}")
    w, p = newton.x, td.sigmoid(x @ newton.x)
    check("gradient X^T (p - y) at zero", td.grad(f)(td.zeros_like(w)), x.mT @ (0.5 - y), 1e-9)
    check("gradient at the minimum", x.mT @ (p - y), [0] * 4, 1e-6)
    check("L-BFGS beside Newton's method", lbfgs.x, w, 1e-6)
    check("mean probability, which is the share of ones", p.mean(), y.mean(), 1e-8)

    errors = td.optim.standard_errors(f, w)
    information = x.mT @ (x * (p * (1 - p)).reshape((-1, 1)))
    check("Hessian", td.hessian(f)(w), information, 1e-9)
    check("standard errors", errors, td.sqrt(td.linalg.diagonal(td.linalg.inv(information))), 1e-9)
    check("coefficients as Greene prints them", w, [-13.0213, 2.8261, 0.0952, 2.3787], 5.1e-5)
    check("standard errors as Greene prints them", errors, [4.931, 1.263, 0.142, 1.065], 5.1e-4)
    for name, value, error in zip(NAMES, w.tolist(), errors.tolist(), strict=True):
        print(f"{name:<20}{value:9.4f} +- {error:.4f}   z = {value / error:.2f}")

    loss = descend(rows, y, 50)
    check("mean loss by stochastic gradient descent", loss, newton.value / len(y), 1e-3)

    def curves() -> Any:
        grades = td.linspace(2, 4, 50, dtype=td.float64)
        picture = axes("Did the grade improve?", NAMES[1], "probability (test score at its mean)")
        for method, colour in ((0, BLUE), (1, ORANGE)):
            z = w[0] + w[1] * grades + w[2] * students["test"].mean() + w[3] * method
            chosen = array(students["method"]) == method
            picture.plot(array(grades), array(td.sigmoid(z)), color=colour, label=("old", "new")[method])
            picture.plot(array(students["gpa"])[chosen], array(y)[chosen], "o", color=colour, alpha=0.6)
        picture.legend(frameon=False, title="method")
        return picture.figure

    def intervals() -> Any:
        picture = axes("Estimates and 95 % intervals", "estimate / standard error", "")
        picture.errorbar(array(w / errors), range(4), xerr=1.96, fmt="o", color=BLUE, capsize=4)
        picture.axvline(0, color=INK, linewidth=0.8)
        picture.set_yticks(range(4), NAMES)
        return picture.figure

    pictures(args, curves=curves, intervals=intervals)


if __name__ == "__main__":
    main()
