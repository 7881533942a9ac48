"""Multinomial logistic regression: which of three garments is it, by the brightness of four parts of its
picture? Fashion-MNIST's pullovers, coats and shirts, which are not told apart so easily.

The logarithms of the odds against a pullover are linear: p = softmax(0, x W) for the parameters W of the
other two classes. With the indicators y of the classes, the negative log-likelihood of W has

    gradient  sum over observations of x (p - y)^T,    Hessian  sum of (x x^T) (x) (diag(p) - p p^T).

The first being zero, the probabilities of a class add up to as many as there are of it.
"""

from __future__ import annotations

from typing import Any

import tidu as td
from common import BLUE, INK, ORANGE, arguments, array, axes, check, fashion, pictures
from tidu import Tensor
from tidu.nn import functional as F

CLASSES = {2: "pullover", 4: "coat", 6: "shirt"}
PARTS = ("constant", "shoulders", "chest", "waist", "hem")


def logits(x: Tensor, w: Tensor) -> Tensor:
    """Of all classes; that of the first is 0."""
    return td.concat([td.zeros((len(x), 1), dtype=x.dtype), x @ w], axis=1)


def descend(parts: Any, labels: Tensor, epochs: int) -> Any:
    """Stochastic gradient descent on batches of 50: the mean loss after each epoch."""
    rows = (parts - parts.mean(axis=0)) / td.std(parts, axis=0)  # of one size, or one step cannot fit all
    x = td.concat([td.ones((len(rows), 1), dtype=td.float64), rows], axis=1)
    w = td.zeros((x.shape[1], 2), dtype=td.float64, requires_grad=True)
    optimizer = td.optim.SGD([w], lr=0.2, momentum=0.9)
    loader = td.data.DataLoader(td.data.TensorDataset(x, labels), 50, shuffle=True, key=td.random.key(0))
    schedule = td.optim.CosineLR(optimizer, epochs * len(loader))
    losses = []
    for _ in range(epochs):
        for batch, chosen in loader:
            optimizer.zero_grad()
            F.cross_entropy(logits(batch, w), chosen).backward()
            optimizer.step()
            schedule.step()
        losses.append(F.cross_entropy(logits(x, w.detach()), labels).item())
    return losses


def main() -> None:
    args = arguments(__doc__)
    images, labels = fashion(list(CLASSES), 100 if args.quick else 1000)
    parts = images.reshape((len(images), 4, 7 * 28)).mean(axis=2)
    x = td.concat([td.ones((len(parts), 1), dtype=td.float64), parts], axis=1)
    y = td.one_hot(labels, 3).astype(td.float64)
    shape = (len(PARTS), 2)

    def f(w: Tensor) -> Tensor:
        return -(y * td.log_softmax(logits(x, w), axis=1)).sum()

    newton = td.optim.minimize(f, td.zeros(shape, dtype=td.float64), "newton-cg", gtol=1e-6)
    print(f"Newton's method: {newton}")
    lbfgs = td.optim.minimize(f, td.zeros(shape, dtype=td.float64), "lbfgs", gtol=1e-6)
    print(f"L-BFGS: {lbfgs}")
    w = newton.x
    p = td.softmax(logits(x, w), axis=1)
    check("gradient at the minimum", x.mT @ (p - y), 0 * (x.mT @ y), 1e-5)
    check("expected and observed numbers of each class", p.sum(axis=0), y.sum(axis=0), 1e-5)
    check("L-BFGS beside Newton's method", lbfgs.x, w, 1e-4)
    check("cross_entropy of the layer", F.cross_entropy(logits(x, w), labels), newton.value / len(x), 1e-12)

    # The Hessian of all ten parameters in the order of W's elements, and the standard errors by it.
    q = p[:, 1:]
    spread = q[:, :, None] * (td.eye(2, dtype=td.float64) - q[:, None, :])
    information = td.einsum("na,nb,njk->ajbk", x, x, spread).reshape((w.size, w.size))
    check("Hessian", td.hessian(f)(w).reshape((w.size, w.size)), information, 1e-8)
    errors = td.optim.standard_errors(f, w)
    closed = td.sqrt(td.linalg.diagonal(td.linalg.inv(information))).reshape(shape)
    check("standard errors", errors, closed, 1e-7)
    for i, part in enumerate(PARTS):
        cells = (f"{w[i, k].item():9.3f} +- {errors[i, k].item():.3f}" for k in range(2))
        print(f"{part:<12}" + "".join(cells))

    losses = descend(parts, labels, 60 if args.quick else 15)
    check("mean loss by stochastic gradient descent", losses[-1], newton.value / len(x), 2e-3)
    right = (p.argmax(axis=1) == labels).astype(td.float64).mean().item()
    print(f"right predictions: {100 * right:.1f} %, of which a third would be chance")

    def coefficients() -> Any:
        picture = axes("What speaks against a pullover", "coefficient, 95 % interval", "")
        for k, (name, colour) in enumerate((("coat", BLUE), ("shirt", ORANGE))):
            rows = [i + 0.15 * (2 * k - 1) for i in range(len(PARTS))]
            picture.errorbar(
                array(w[:, k]), rows, xerr=1.96 * array(errors[:, k]), fmt="o", color=colour, label=name
            )
        picture.axvline(0, color=INK, linewidth=0.8)
        picture.set_yticks(range(len(PARTS)), PARTS)
        picture.legend(frameon=False)
        return picture.figure

    def descent() -> Any:
        picture = axes("Stochastic gradient descent", "epoch", "mean loss above the minimum")
        excess = [loss - newton.value / len(x) for loss in losses]
        picture.semilogy(range(1, len(losses) + 1), excess, "o-", color=BLUE)
        return picture.figure

    pictures(args, coefficients=coefficients, descent=descent)


if __name__ == "__main__":
    main()
