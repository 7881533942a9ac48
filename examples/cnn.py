"""A convolutional network learns Fashion-MNIST: two convolutions of 5 x 5 and 3 x 3 with batch norms and max
pools, and two linear layers."""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import Any

import tidu as td
import training
from tidu import Tensor

CHANNELS = 32


def make_model(key: Tensor) -> td.nn.Sequential:
    keys = td.random.split(key, 4)
    return td.nn.Sequential(
        td.nn.Unflatten(1, (1, 28, 28)),
        td.nn.Conv2d(1, CHANNELS, 5, padding=2, bias=False, key=keys[0]),
        td.nn.BatchNorm2d(CHANNELS),
        td.nn.MaxPool2d(2),
        td.nn.ReLU(),
        td.nn.Conv2d(CHANNELS, 2 * CHANNELS, 3, padding=1, bias=False, key=keys[1]),
        td.nn.BatchNorm2d(2 * CHANNELS),
        td.nn.MaxPool2d(2),
        td.nn.ReLU(),
        td.nn.Flatten(),
        td.nn.Linear(2 * CHANNELS * 7 * 7, 128, key=keys[2]),
        td.nn.ReLU(),
        td.nn.Linear(128, 10, key=keys[3]),
    )


def picture_weights(model: Any, viz: ModuleType, names: Sequence[str]) -> Any:
    """The kernels of the first convolution."""
    kernels = model[1].weight.detach().cpu().numpy()[:, 0]
    return viz.weights(kernels, title=f"What {CHANNELS} kernels look for")


if __name__ == "__main__":
    parser = training.options(__doc__, lr=2e-3)
    parser.set_defaults(epochs=4, decay=0.4)
    args = parser.parse_args()
    training.main(
        args,
        "Convolutional network",
        make_model,
        lambda params: td.optim.Adam(params, args.lr),
        picture_weights,
    )
