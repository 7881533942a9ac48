"""A two-layer network learns Fashion-MNIST: 784 inputs, 256 sigmoid units, softmax cross-entropy over 10
classes."""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import Any

import tidu as td
import training
from tidu import Tensor

HIDDEN = 256


def make_model(key: Tensor) -> td.nn.Sequential:
    first, second = td.random.split(key)
    return td.nn.Sequential(
        td.nn.Linear(784, HIDDEN, key=first), td.nn.Sigmoid(), td.nn.Linear(HIDDEN, 10, key=second)
    )


def picture_weights(model: Any, viz: ModuleType, names: Sequence[str]) -> Any:
    """The first layer's weights of the 64 units that matter most to the outputs."""
    weights, outgoing = model[0].weight.detach().cpu().numpy(), model[2].weight.detach().cpu().numpy()
    strongest = (-(outgoing**2).sum(0)).argsort(kind="stable")[:64]
    return viz.weights(weights[strongest].reshape(-1, 28, 28), title="What 64 hidden units look for")


if __name__ == "__main__":
    args = training.options(__doc__, lr=3e-3).parse_args()
    training.main(
        args, "Two-layer network", make_model, lambda params: td.optim.Adam(params, args.lr), picture_weights
    )
