"""What the model problems share: options, tables, checks that end the program, and pictures."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tidu as td
from tidu import Tensor


def arguments(description: str | None) -> argparse.Namespace:
    """The options, which every model problem has. What is made from here on is on --device."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    add = parser.add_argument
    add("--device", default="cpu", help="where to compute")
    add("--out", type=Path, default=Path("out"), help="folder of the pictures")
    add("--quick", action="store_true", help="less data and coarser pictures, as for an emulated device")
    add("--no-pictures", action="store_true", help="draw nothing")
    args = parser.parse_args()
    td.set_default_device(args.device)
    return args


def table(name: str) -> dict[str, Tensor]:
    """A table of this folder's data, in float64: a dictionary of columns."""
    read = td.data.read_csv(Path(__file__).parent / "data" / f"{name}.csv", dtype=td.float64)
    values = read.values.to(td.get_default_device())
    return {column: values[:, i] for i, column in enumerate(read.columns)}


def fashion(classes: Sequence[int], count: int) -> tuple[Tensor, Tensor]:
    """The first `count` images of each class of Fashion-MNIST, as float64 in [0, 1] of shape (n, 28, 28),
    and the position of each one's class in `classes`. Sorted by class."""
    data = td.data.FashionMNIST()
    images, labels = data.images.numpy(), data.labels.numpy()
    chosen = [np.flatnonzero(labels == name)[:count] for name in classes]
    return (
        td.tensor(images[np.concatenate(chosen)] / 255.0),
        td.tensor(np.repeat(np.arange(len(classes)), [len(rows) for rows in chosen])),
    )


def array(x: Any) -> np.ndarray[Any, Any]:
    """A tensor of any device, or what NumPy takes, as an array of float64."""
    return np.asarray(x.detach().cpu().numpy() if isinstance(x, td.Tensor) else x, dtype=float)


def check(what: str, found: Any, expected: Any, tolerance: float) -> None:
    """Ends the program where an element of `found` is further from `expected` than the tolerance."""
    found, expected = array(found), array(expected)
    error = np.max(np.abs(found - expected), initial=0.0)
    print(f"{what}: off by {error:.2g}, at most {tolerance:g} allowed", flush=True)
    if not error <= tolerance:
        sys.exit(f"{what} is wrong:\n{found}\ninstead of\n{expected}")


BLUE, ORANGE, RED, INK = "#1f6fb4", "#e07b1a", "#c8372d", "#22303c"


def axes(title: str, xlabel: str, ylabel: str) -> Any:
    """The axes of a new picture."""
    from matplotlib.figure import Figure

    made = Figure(figsize=(6.2, 4.4), dpi=120, layout="constrained").add_subplot()
    made.spines[["top", "right"]].set_visible(False)
    made.set(xlabel=xlabel, ylabel=ylabel)
    made.set_title(title, loc="left", fontsize=11, fontweight="bold", color=INK)
    return made


def pictures(args: argparse.Namespace, **draw: Callable[[], Any]) -> None:
    """Saves the figures that functions return, each under its name."""
    if args.no_pictures:
        return
    args.out.mkdir(parents=True, exist_ok=True)
    for name, make in draw.items():
        figure = make()
        for kind in ("png", "pdf"):
            figure.savefig(args.out / f"{name}.{kind}")
    print(f"pictures in {args.out}, as .png and .pdf: {', '.join(draw)}")
