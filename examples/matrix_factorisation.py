"""Matrix factorisation: 100 pictures of ankle boots as mixtures of a few.

f(X, Y) = 1/2 |X Y - A|_F^2 with X of few columns has the gradients

    (X Y - A) Y^T  by X    and    X^T (X Y - A)  by Y.

f is not convex, but all its minima are global: X Y is then the sum of the largest terms of the singular value
decomposition of A, and f is half the sum of the squares of the other singular values (Eckart and Young 1936).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tidu as td
from common import BLUE, ORANGE, arguments, array, axes, check, fashion, pictures
from tidu import Tensor

BOOT, RANK = 9, 6


def main() -> None:
    args = arguments(__doc__)
    images, _ = fashion([BOOT], 12 if args.quick else 100)
    if args.quick:  # every fourth pixel
        images = images[:, ::4, ::4]
    side = images.shape[1]
    a = images.reshape((len(images), side * side))

    def f(x: Tensor, y: Tensor) -> Tensor:
        return ((x @ y - a) ** 2).sum() / 2

    keys = td.random.split(td.random.key(0))
    x = 0.1 * td.random.normal(keys[0], (len(a), RANK), dtype=td.float64)
    y = 0.1 * td.random.normal(keys[1], (RANK, side * side), dtype=td.float64)
    by_x, by_y = td.grad(f, argnums=(0, 1))(x, y)
    check("gradient by X", by_x, (x @ y - a) @ y.mT, 1e-10)
    check("gradient by Y", by_y, x.mT @ (x @ y - a), 1e-10)
    _, slope = td.jvp(f, (x, y), (by_x, by_y))
    check("slope along the gradient, its square", slope / ((by_x**2).sum() + (by_y**2).sum()), 1, 1e-12)

    singular = td.linalg.svdvals(a)
    least = (singular[RANK:] ** 2).sum().item() / 2
    losses = [td.optim.minimize(f, (x, y), max_iter=limit).value for limit in (0, 5, 10, 20, 40)]
    report = td.optim.minimize(f, (x, y), gtol=1e-5)
    print(f"L-BFGS: {report}")
    check("f at the minimum, relative to Eckart and Young's", report.value / least, 1, 1e-8)
    u, s, vh = td.linalg.svd(a, full_matrices=False)
    truncated = (u[:, :RANK] * s[:RANK]) @ vh[:RANK]
    found = report.x[0] @ report.x[1]
    check("X Y beside the truncated decomposition", found, truncated, 1e-5)
    check("gradient by X at the minimum", td.grad(f)(*report.x), 0 * x, 1e-4)

    def reconstructions() -> Any:
        figure = axes("", "", "").figure
        figure.clear()
        panels = figure.subplots(2, 6)
        for row, matrix, name in ((0, a, "A"), (1, found, "X Y")):
            for column in range(6):
                picture = array(matrix)[column].reshape(side, side)
                panels[row, column].imshow(picture, cmap="gray_r", vmin=0, vmax=1)
                panels[row, column].set_xticks([], [])
                panels[row, column].set_yticks([], [])
            panels[row, 0].set_ylabel(name)
        figure.suptitle(f"Boots, and what {RANK} patterns make of them")
        return figure

    def values() -> Any:
        picture = axes("What is left", "singular value of A", "")
        count = min(30, len(singular))
        colours = [BLUE] * RANK + [ORANGE] * (count - RANK)
        picture.bar(np.arange(1, count + 1), array(singular)[:count], color=colours)
        return picture.figure

    def descent() -> Any:
        picture = axes("L-BFGS", "iterations", "f above its minimum")
        picture.semilogy((0, 5, 10, 20, 40), [loss - least for loss in losses], "o-", color=BLUE)
        return picture.figure

    pictures(args, reconstructions=reconstructions, values=values, descent=descent)


if __name__ == "__main__":
    main()
