"""Pictures of training: curves, confusion matrices, weights as images, predictions.

Every function returns a matplotlib Figure; arrays may be tensors, also such as are being differentiated.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tidu._transforms import stop_gradient
from tidu.viz._style import BLUE, INK, ORANGE, RED, diverging, floats, new_figure, plain

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def curves(steps: Any, epochs: Any, title: str | None = None) -> Figure:
    """Loss and accuracy of a run.

    steps: (epoch, loss, accuracy) of the training batches, epoch a number such as 0.25.
    epochs: (test loss, test accuracy) after each epoch. Accuracies are fractions.

    Examples
    --------
    >>> figure = td.viz.curves([(0.5, 2.0, 0.3), (1.0, 1.0, 0.6)], [(1.2, 0.5)])
    """
    at, losses, accuracies = floats(steps).reshape(-1, 3).T
    test_at = np.arange(1, len(epochs) + 1)
    test_losses, test_accuracies = floats(epochs).reshape(-1, 2).T
    figure = new_figure(10, 4)
    panels = figure.subplots(1, 2)
    rows = (
        (losses, test_losses, "loss", "{:.3f}", 9),
        (100 * accuracies, 100 * test_accuracies, "accuracy, %", "{:.1f} %", -16),
    )
    for axes, (train, test, name, form, offset) in zip(panels, rows, strict=True):
        plain(axes)
        axes.plot(at, train, color=BLUE, linewidth=1.1, alpha=0.75, label="training batches")
        axes.plot(test_at, test, color=ORANGE, linewidth=2, marker="o", markersize=4.5, label="test set")
        if len(test):
            axes.annotate(
                form.format(test[-1]),
                (test_at[-1], test[-1]),
                xytext=(0, offset),
                textcoords="offset points",
                ha="center",
                fontsize=9,
                fontweight="bold",
                color=ORANGE,
            )
        low, high = np.percentile(np.concatenate([train, test]), [1, 98]) if len(train) else (0, 1)
        margin = 0.12 * (high - low) or 0.5
        axes.set_ylim(low - margin, high + margin)
        axes.set_xlim(0, max(len(epochs), at[-1] if len(at) else 1) * 1.04)
        axes.set_xlabel("epoch", fontsize=9, color=INK)
        axes.set_ylabel(name, fontsize=9, color=INK)
        axes.xaxis.get_major_locator().set_params(integer=True)
    panels[0].legend(frameon=False, fontsize=9, labelcolor=INK)
    if title:
        figure.suptitle(title, fontsize=12, color=INK)
    return figure


def _root_scale() -> Any:
    """From 0 to 100 %, small shares being told apart, and the largest still bright enough for a grid."""
    from matplotlib.colors import PowerNorm

    return PowerNorm(0.5, vmin=0, vmax=110)


def _bar(figure: Figure, drawn: Any, axes: Any, label: str, **kwargs: Any) -> Any:
    bar = figure.colorbar(drawn, ax=axes, aspect=30, pad=0.02, **kwargs)
    bar.outline.set_visible(False)
    bar.ax.tick_params(colors=INK, length=0, labelsize=8)
    bar.set_label(label, fontsize=9, color=INK)
    return bar


def confusion_matrix(counts: Any, names: Sequence[str], title: str | None = None) -> Figure:
    """counts[i, j]: how many samples of class i were taken for class j.

    Examples
    --------
    >>> figure = td.viz.confusion_matrix([[8, 2], [1, 9]], ["cat", "dog"])
    """
    counts = floats(counts)
    shares = 100 * counts / np.maximum(counts.sum(1, keepdims=True), 1)
    n = len(counts)
    figure = new_figure(2.7 + 0.62 * n, 1.3 + 0.58 * n)
    axes = figure.subplots()
    drawn = axes.imshow(shares, cmap="Blues", norm=_root_scale(), aspect="auto")
    for i in range(n):
        for j in range(n):
            if shares[i, j] >= 0.05:
                axes.text(
                    j,
                    i,
                    f"{shares[i, j]:.1f}" if shares[i, j] < 99.95 else "100",
                    ha="center",
                    va="center",
                    fontsize=9,
                    color="white" if shares[i, j] > 35 else INK,
                    fontweight="bold" if i == j else "normal",
                )
    axes.set_xticks(range(n), names, rotation=35, ha="right", rotation_mode="anchor", fontsize=9, color=INK)
    axes.set_yticks(range(n), names, fontsize=9, color=INK)
    axes.set_xticks(np.arange(n + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(n + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=1.5)
    axes.tick_params(which="both", length=0)
    axes.spines[:].set_visible(False)
    axes.set_xlabel("predicted", fontsize=10, color=INK)
    axes.set_ylabel("true", fontsize=10, color=INK)
    bar = _bar(figure, drawn, axes, "% of the true class")
    bar.ax.set_ylim(0, 100)
    bar.set_ticks([0, 1, 5, 10, 25, 50, 75, 100])
    axes.set_title(
        title or "Confusion matrix, % of each true class",
        loc="left",
        fontsize=11,
        fontweight="bold",
        color=INK,
    )
    return figure


def _tiles(count: int, columns: int, size: float, extra: float) -> tuple[Figure, Any]:
    rows = max(-(-count // columns), 1)
    figure = new_figure(columns * size + 1.1, rows * (size + extra) + 0.7)
    engine: Any = figure.get_layout_engine()
    engine.set(w_pad=0.025, h_pad=0.025, wspace=0, hspace=0)
    tiles = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in tiles:
        axes.set_axis_off()
    figure.supxlabel("column of pixels in each image", fontsize=9, color=INK)
    figure.supylabel("row of pixels", fontsize=9, color=INK)
    return figure, tiles


def weights(
    images: Any, names: Sequence[str] | None = None, columns: int | None = None, title: str | None = None
) -> Figure:
    """Weights as images, (count, height, width): blue is negative, red positive, white zero. Each image has a
    scale of its own, from the 99.5th percentile of its absolute values.

    Examples
    --------
    >>> figure = td.viz.weights(td.ones((2, 4, 4)))
    """
    images = floats(images)
    columns = columns or min(len(images), 5 if names else 16)
    figure, tiles = _tiles(len(images), columns, 1.75 if names else 0.7, 0.3 if names else 0)
    for i, (axes, image) in enumerate(zip(tiles, images, strict=False)):
        limit = np.percentile(np.abs(image), 99.5) or 1.0
        drawn = axes.imshow(image / limit, cmap=diverging(), vmin=-1, vmax=1, interpolation="nearest")
        if names:
            axes.set_title(names[i], fontsize=10, color=INK, pad=4)
    _bar(figure, drawn, tiles, "weight / scale of its image: blue negative, red positive", extend="both")
    figure.suptitle(title or "Weights", fontsize=12, fontweight="bold", color=INK)
    return figure


def predictions(
    images: Any,
    truths: Any,
    guesses: Any,
    probabilities: Any,
    names: Sequence[str],
    columns: int = 6,
    title: str | None = None,
) -> Figure:
    """Images (count, height, width) with what they are, what they were taken for, and how surely.

    Examples
    --------
    >>> figure = td.viz.predictions(td.ones((1, 4, 4)), [0], [1], [0.7], ["cat", "dog"], columns=1)
    """
    images, probabilities = floats(images), stop_gradient(probabilities)
    figure, tiles = _tiles(len(images), columns, 1.7, 0.5)
    meanings = {INK: "black: what it is"}
    range_ = {"vmin": images.min(initial=0), "vmax": images.max(initial=0)}
    for axes, image, truth, guess, probability in zip(
        tiles, images, truths, guesses, probabilities, strict=False
    ):
        drawn = axes.imshow(image, cmap="gray_r", interpolation="nearest", **range_)
        right = int(truth) == int(guess)
        colour = BLUE if right else RED
        meanings[colour] = (
            "blue: taken for that, rightly" if right else "red: taken for that, wrongly"
        ) + ", and how surely"
        axes.set_title(
            f"{names[int(truth)]}\n", fontsize=9, color=INK, pad=4
        )  # the second line is drawn in colour
        axes.text(
            0.5,
            1.035,
            f"{names[int(guess)]} {100 * float(probability):.0f} %",
            transform=axes.transAxes,
            ha="center",
            fontsize=9,
            fontweight="bold",
            color=colour,
        )
    if len(images):
        _bar(figure, drawn, tiles, "pixel")
    _explain(figure, meanings)
    lines = (title or "Predictions") + "\n" * (len(meanings) - 1)  # as high as the legend beside it
    figure.suptitle(lines, fontsize=12, fontweight="bold", color=INK)
    return figure


def _explain(figure: Figure, meanings: dict[str, str]) -> None:
    """A legend {colour: what it means}, beside the title."""
    from matplotlib.patches import Patch

    figure.legend(
        handles=[Patch(color=colour, label=text) for colour, text in meanings.items()],
        loc="upper right",
        frameon=False,
        fontsize=9,
        labelcolor="linecolor",
    )
