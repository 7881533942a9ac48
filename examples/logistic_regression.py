"""Multinomial logistic regression on Fashion-MNIST: softmax cross-entropy of one affine map of the pixels."""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import Any

import tidu as td
import training
from tidu import Tensor

LEARNING_RATE = {"sgd": 0.05, "adam": 2e-3}


def make_model(key: Tensor) -> td.nn.Linear:
    return td.nn.Linear(784, 10, key=key)


def picture_weights(model: Any, viz: ModuleType, names: Sequence[str]) -> Any:
    """What each class looks for."""
    return viz.weights(
        model.weight.detach().cpu().numpy().reshape(-1, 28, 28), names, title="What each class looks for"
    )


if __name__ == "__main__":
    parser = training.options(__doc__, lr=None)
    parser.add_argument("--optimizer", choices=LEARNING_RATE, default="adam", help="sgd has momentum 0.9")
    args = parser.parse_args()
    if args.lr is None:
        args.lr = LEARNING_RATE[args.optimizer]

    def make_optimizer(params: list[Tensor]) -> td.optim.Optimizer:
        if args.optimizer == "adam":
            return td.optim.Adam(params, args.lr)
        return td.optim.SGD(params, args.lr, momentum=0.9)

    training.main(args, "Logistic regression", make_model, make_optimizer, picture_weights)
