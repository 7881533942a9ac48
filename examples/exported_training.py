"""A training step leaves Python: programs in files, which examples/cpp/exported_training.cpp runs.

Writes to --out
  step.tidu     (params, momentum, x, y) -> new params, new momentum, loss: the gradient and the update
  predict.tidu  (params, x) -> probabilities
  start.safetensors, end.safetensors   the step's arguments, and what they are after --steps steps in Python
"""

from __future__ import annotations

import argparse
from pathlib import Path

import tidu as td
from binary_network import spirals
from tidu import Tensor
from tidu.nn import functional as F


def logits(params: dict[str, Tensor], x: Tensor) -> Tensor:
    return (td.tanh(td.tanh(x @ params["w1"] + params["b1"]) @ params["w2"] + params["b2"]) @ params["w3"])[
        :, 0
    ]


def step(
    params: dict[str, Tensor], momentum: dict[str, Tensor], x: Tensor, y: Tensor
) -> tuple[dict[str, Tensor], dict[str, Tensor], Tensor]:
    """Gradient descent with momentum."""
    loss = lambda params: F.binary_cross_entropy_with_logits(logits(params, x), y)
    value, gradient = td.value_and_grad(loss)(params)
    momentum = td.tree_map(lambda m, g: 0.9 * m + g, momentum, gradient)
    return td.tree_map(lambda p, m: p - 0.2 * m, params, momentum), momentum, value


def predict(params: dict[str, Tensor], x: Tensor) -> Tensor:
    return td.sigmoid(logits(params, x))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, default=Path("out"))
    parser.add_argument("--quick", action="store_true", help="fewer steps, as for an emulated device")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    td.set_default_device(args.device)

    x, y = spirals(60 if args.quick else 400)
    keys = td.random.split(td.random.key(0), 3)
    shapes = {"w1": (2, 16), "w2": (16, 16), "w3": (16, 1)}
    params = {
        name: td.random.normal(key, shape, std=shape[0] ** -0.5, dtype=td.float64)
        for (name, shape), key in zip(shapes.items(), keys, strict=True)
    }
    params |= {name: td.zeros(16, dtype=td.float64) for name in ("b1", "b2")}
    momentum = td.tree_map(td.zeros_like, params)

    trained = td.program(step, params, momentum, x, y)
    print(trained)
    trained.save(args.out / "step.tidu")
    td.program(predict, params, x).save(args.out / "predict.tidu")

    td.save(args.out / "start.safetensors", by_name(params, momentum, x, y))
    losses = []
    for _ in range(20 if args.quick else 600):
        params, momentum, loss = trained(params, momentum, x, y)
        losses.append(loss.item())
    td.save(args.out / "end.safetensors", by_name(params, momentum, x, y), {"steps": str(len(losses))})
    right = ((predict(params, x) > 0.5) == (y > 0.5)).astype(td.float64).mean().item()
    print(f"loss {losses[0]:.4f} -> {losses[-1]:.4f}, {right:.1%} right")


def by_name(
    params: dict[str, Tensor], momentum: dict[str, Tensor], x: Tensor, y: Tensor
) -> dict[str, Tensor]:
    """What the step's arguments are called in its file."""
    named = {f"params['{name}']": value for name, value in params.items()}
    return named | {f"momentum['{name}']": value for name, value in momentum.items()} | {"x": x, "y": y}


if __name__ == "__main__":
    main()
