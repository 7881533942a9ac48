"""What all pictures share: colours, figures, and matplotlib, imported when it is first needed."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from tidu._core import Tensor
from tidu._pytree import tree_map
from tidu._transforms import stop_gradient

if TYPE_CHECKING:
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

NDArray: TypeAlias = np.ndarray[Any, Any]

INK, FAINT = "#22303c", "#d5dbe0"
BLUE, ORANGE, RED = "#1f6fb4", "#e07b1a", "#c8372d"


def new_figure(width: float, height: float) -> Figure:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("this picture of tidu.viz needs matplotlib: pip install matplotlib") from error
    return Figure(figsize=(width, height), dpi=120, layout="constrained", facecolor="white")


@functools.cache
def diverging() -> Colormap:
    """The colour map from blue, negative, over white to red."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("tidu", ["#1f4e96", "#7fb0dd", "#f7f7f5", "#ee9d7a", "#a91e22"])


def floats(values: Any) -> NDArray:
    """As an array on the host: tensors of any device, also such as are being differentiated."""
    on_host = tree_map(lambda leaf: leaf.cpu() if isinstance(leaf, Tensor) else leaf, stop_gradient(values))
    return np.asarray(on_host, dtype=float)


def plain(axes: Any, title: str | None = None) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(FAINT)
    axes.tick_params(colors=INK, length=0, labelsize=9)
    axes.grid(color=FAINT, linewidth=0.6)
    axes.set_axisbelow(True)
    if title:
        axes.set_title(title, loc="left", fontsize=11, fontweight="bold", color=INK)
