"""Draws the pictures of docs/ into docs/images, or into the folder that is named."""

import sys
from pathlib import Path

import numpy as np
import tidu as td
from matplotlib.figure import Figure
from tidu import viz

ROOT = Path(__file__).resolve().parents[1]


def worked(x1, x2):
    return x1 * x2 + td.sin(x1)


def panels(count, width, **kwargs):
    figure = Figure(figsize=(width, 3.6), dpi=100, layout="constrained", facecolor="white")
    return figure, figure.subplots(1, count, **kwargs)


def ridges():
    figure, axes = panels(2, 10, subplot_kw={"projection": "3d"})
    kinds = (
        ("sqrt |x1 x2|: not differentiable at 0", lambda a, b: td.sqrt(td.abs(a * b))),
        ("x1 sqrt |x2|: differentiable at 0", lambda a, b: a * td.sqrt(td.abs(b))),
    )
    for one, (title, function) in zip(axes, kinds, strict=True):
        viz.surface(function, (-1, 1), (-1, 1), points=81, title=title, axes=one)
    return figure


def stationary_points():
    figure, axes = panels(3, 12)
    kinds = (
        ("minimum: x1^2 + x2^2", lambda a, b: a**2 + b**2),
        ("maximum: -x1^2 - x2^2", lambda a, b: -(a**2) - b**2),
        ("saddle: x1 x2", lambda a, b: a * b),
    )
    for one, (title, function) in zip(axes, kinds, strict=True):
        viz.contour(function, (-1, 1), (-1, 1), points=41, title=title, axes=one)
        one.set_aspect("equal")
    return figure


def descent():
    return viz.descent_path(
        lambda a, b: a**2 / 2 + 5 * b**2,
        np.array([3.0, 0.9]),
        lr=0.17,
        steps=30,
        title="Gradient descent on x1^2 / 2 + 5 x2^2",
    )


PICTURES = {
    "graph.svg": lambda: viz.graph(worked, 0.5, 2.0, direction=(1.0, 0.0)),
    "tangent_plane.png": lambda: viz.surface(lambda a, b: -(a**2 + b**2) / 2, at=(0.8, -0.8)),
    "gradient_field.png": lambda: viz.gradient_field(worked),
    "ridges.png": ridges,
    "quadratic_model.png": lambda: viz.quadratic_model(worked, [0.5, 2.0], reach=1.5),
    "stationary_points.png": stationary_points,
    "descent.png": descent,
}


def main():
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs/images"
    for name, draw in PICTURES.items():
        picture = draw()
        if name.endswith(".svg"):
            picture.save(folder / name)
        else:
            picture.savefig(folder / name, dpi=80)


if __name__ == "__main__":
    main()
