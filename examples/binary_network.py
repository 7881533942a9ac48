"""Binary classification by a network: two spirals, told apart by 2-16-16-1 units and cross-entropy.

The network gives a logit z, and the loss of a label y in {0, 1} is softplus(z) - y z, which is the
cross-entropy -y log p - (1 - y) log(1 - p) of p = sigmoid(z), but finite wherever z is: at z = 1e4, p is 1
and log(1 - p) is lost. Its derivative by z is p - y, from which backpropagation takes the other gradients.
"""

from __future__ import annotations

import math
from typing import Any

import tidu as td
from common import BLUE, ORANGE, arguments, array, axes, check, pictures
from tidu import Tensor
from tidu.nn import functional as F


def spirals(count: int) -> tuple[Tensor, Tensor]:
    """Points of two spirals with some noise, and which of them each is on."""
    first, second = td.random.split(td.random.key(4))
    turn = td.sqrt(td.random.uniform(first, (count,), dtype=td.float64)) * 1.5 * math.pi + 0.5
    label = (td.arange(count) % 2).astype(td.float64)
    angle = turn + math.pi * label
    points = td.stack([turn * td.cos(angle), turn * td.sin(angle)], axis=1) / 3
    return points + 0.04 * td.random.normal(second, points.shape, dtype=td.float64), label


def check_large_logits() -> None:
    """Where probabilities of 0 and 1 would give infinities and NaN."""
    z, y = td.tensor([1e4, 1e4, -1e4, -1e4], dtype=td.float32), td.tensor([1.0, 0.0, 1.0, 0.0])

    def loss(z: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(z, y, reduction="none")

    check("cross-entropy at logits of 1e4", loss(z), [0, 1e4, 1e4, 0], 0)
    check("its gradient", td.grad(lambda z: loss(z).sum())(z), [0, 1, -1, 0], 0)
    check("its second derivative", td.hessian_diagonal(lambda z: loss(z).sum())(z), [0] * 4, 0)


def backpropagated(model: Any, x: Tensor, y: Tensor) -> list[Tensor]:
    """The gradients of the mean loss by the chain rule, layer by layer, in the parameters' order."""
    weights = [model[i].weight.detach() for i in (0, 2, 4)]
    with td.no_grad():
        a = td.tanh(model[0](x))
        b = td.tanh(model[2](a))
        dz = (td.sigmoid(model[4](b)) - y.reshape((-1, 1))) / len(y)
        db = (dz @ weights[2]) * (1 - b * b)
        da = (db @ weights[1]) * (1 - a * a)
        return [g for d, below in ((da, x), (db, a), (dz, b)) for g in (d.mT @ below, d.sum(axis=0))]


def main() -> None:
    args = arguments(__doc__)
    check_large_logits()
    x, y = spirals(60 if args.quick else 400)
    keys = td.random.split(td.random.key(0), 3)
    layers = [
        td.nn.Linear(n, m, key=key, dtype=td.float64)
        for n, m, key in zip((2, 16, 16), (16, 16, 1), keys, strict=True)
    ]
    model = td.nn.Sequential(layers[0], td.nn.Tanh(), layers[1], td.nn.Tanh(), layers[2])

    def loss() -> Tensor:
        return F.binary_cross_entropy_with_logits(model(x)[:, 0], y)

    loss().backward()
    for i, (p, expected) in enumerate(zip(model.parameters(), backpropagated(model, x, y), strict=True)):
        check(f"gradient of parameter {i} beside backpropagation by hand", p.grad, expected, 1e-12)

    optimizer = td.optim.Adam(model.parameters(), lr=0.01)
    losses = []
    for _ in range(200 if args.quick else 1000):
        optimizer.zero_grad()
        value = loss()
        value.backward()
        optimizer.step()
        losses.append(value.item())
    with td.no_grad():
        right = ((model(x)[:, 0] > 0).astype(td.float64) == y).astype(td.float64).mean()
    print(f"loss {losses[0]:.3f} at first, {losses[-1]:.5f} in the end")
    check("share of right predictions", right, 1, 0.05)

    def boundary() -> Any:
        def probability(point: Tensor) -> Tensor:
            with td.no_grad():
                return td.sigmoid(model(point.reshape((1, 2))))

        limits = (-2.2, 2.2)
        levels = [i / 10 for i in range(11)]
        figure = td.viz.contour(probability, limits, limits, levels, points=9 if args.quick else 81)
        for label, colour in ((0, BLUE), (1, ORANGE)):
            chosen = array(x)[array(y) == label]
            figure.axes[0].plot(*chosen.T, "o", color=colour, markeredgecolor="white", markersize=4)
        figure.axes[0].set_title("The probability of the second spiral", loc="left")
        return figure

    def learning() -> Any:
        picture = axes("Learning", "step of Adam", "mean cross-entropy")
        picture.semilogy(losses, color=BLUE)
        return picture.figure

    pictures(args, boundary=boundary, learning=learning)


if __name__ == "__main__":
    main()
