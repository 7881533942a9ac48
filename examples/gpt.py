"""A small GPT learns to write licences, character by character, by a compiled step of AdamW."""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tidu as td
from tidu import Tensor, nn
from tidu.nn import functional as F

LICENSES = Path("/usr/share/common-licenses")
NAMES = ("GPL-2", "GPL-3", "LGPL-2", "LGPL-2.1", "LGPL-3", "GFDL-1.3", "Apache-2.0", "MPL-2.0", "Artistic")


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    add = parser.add_argument
    add("--device", default="cpu", help="where to compute")
    add("--text", type=Path, nargs="*", help="what to learn; Debian's licences if left out")
    add("--steps", type=int, default=1500, help="of AdamW")
    add("--batch-size", type=int, default=16, help="pieces of text a step")
    add("--length", type=int, default=128, help="characters of a piece")
    add("--width", type=int, default=128, help="of the model")
    add("--layers", type=int, default=3, help="of the model")
    add("--heads", type=int, default=4, help="of each attention")
    add("--lr", type=float, default=2e-3, help="highest learning rate")
    add("--seed", type=int, default=0, help="of the first weights, the pieces and the sample")
    add("--sample", type=int, default=300, help="characters to write at the end")
    add("--quick", action="store_true", help="a tiny model and few steps")
    args = parser.parse_args()
    if args.quick:
        args.steps, args.batch_size, args.length = 20, 4, 32
        args.width, args.layers, args.heads, args.sample = 32, 1, 2, 40
    return args


def read_text(paths: Sequence[Path] | None) -> str:
    found = [path for path in paths or (LICENSES / name for name in NAMES) if path.is_file()]
    if not found:
        sys.exit(
            f"there is no text at {', '.join(map(str, paths)) if paths else LICENSES} (Debian's package "
            "base-files has the licences; or name files with --text)"
        )
    return "\n".join(path.read_text(errors="replace") for path in found)


class Block(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.inputs, self.output = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.network = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU("tanh"), nn.Linear(4 * width, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        split = (*x.shape[:2], self.heads, -1)
        q, k, v = (
            td.swapaxes(part.reshape(split), 1, 2)
            for part in td.split(self.inputs(self.norm1(x)), 3, axis=-1)
        )
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.output(td.swapaxes(y, 1, 2).reshape(x.shape))
        return x + self.network(self.norm2(x))


class GPT(nn.Module):
    """Characters (N, L) to logits of the next ones (N, L, count)."""

    def __init__(self, count: int, length: int, width: int, layers: int, heads: int) -> None:
        self.characters, self.places = nn.Embedding(count, width), nn.Embedding(length, width)
        with td.no_grad():
            self.characters.weight *= 0.1
            self.places.weight *= 0.1
        self.blocks = nn.Sequential(*[Block(width, heads) for _ in range(layers)])
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, count)

    def forward(self, x: Tensor) -> Tensor:
        x = self.characters(x) + self.places(td.arange(x.shape[1], device=x.device))
        return self.head(self.norm(self.blocks(x)))


def write(model: GPT, start: list[int], count: int, length: int, rng: np.random.Generator) -> list[int]:
    """`count` characters drawn one after the other, each given those before it."""

    @td.compile
    def probabilities(x: Tensor, last: Tensor) -> Tensor:
        return td.softmax(model(x)[0, last])

    characters = list(start)
    with td.no_grad():
        for _ in range(count):
            seen = characters[-length:]
            x = np.zeros((1, length), np.int64)  # what comes later is not looked at
            x[0, : len(seen)] = seen
            place = td.tensor(len(seen) - 1, dtype=td.int64)
            p = probabilities(td.tensor(x), place).cpu().numpy().astype(np.float64)
            characters.append(int(rng.choice(len(p), p=p / p.sum())))
    return characters[len(start) :]


def main() -> None:
    args = options()
    td.set_default_device(args.device)
    nn.manual_seed(args.seed)
    rng = np.random.default_rng(args.seed)
    text = read_text(args.text)
    alphabet = sorted(set(text))
    number = {character: i for i, character in enumerate(alphabet)}
    data = np.array([number[character] for character in text], np.int64)
    cut = len(data) * 9 // 10
    training, held_out = data[:cut], data[cut:]
    model = GPT(len(alphabet), args.length, args.width, args.layers, args.heads)
    size = sum(parameter.size for parameter in model.parameters())
    print(f"{len(data)} characters, {len(alphabet)} different ones; {size} parameters", flush=True)
    optimizer = td.optim.AdamW(model.parameters(), lr=args.lr, weight_decay=0.01)

    def pieces(source: np.ndarray[Any, Any]) -> tuple[Tensor, Tensor]:
        starts = rng.integers(0, len(source) - args.length - 1, args.batch_size)
        both = np.stack([source[start : start + args.length + 1] for start in starts])
        return td.tensor(both[:, :-1]), td.tensor(both[:, 1:])

    def bits(x: Tensor, y: Tensor) -> Tensor:
        logits = model(x)
        return F.cross_entropy(logits.reshape((-1, logits.shape[-1])), y.reshape((-1,))) / math.log(2)

    @td.compile
    def step(x: Tensor, y: Tensor) -> Tensor:
        optimizer.zero_grad()
        loss = bits(x, y)
        loss.backward()
        optimizer.step()
        return loss.detach()

    begun, recent = time.perf_counter(), []
    for i in range(1, args.steps + 1):
        warm, rest = min(1, i / (args.steps / 20)), max(0, 1 - i / args.steps)
        optimizer.param_groups[0]["lr"] = args.lr * warm * (0.1 + 0.9 * rest)
        recent.append(step(*pieces(training)))
        if i % max(1, args.steps // 10) == 0:
            loss = np.mean([float(value) for value in recent])
            print(f"step {i:5}: {loss:.3f} bits/char, {time.perf_counter() - begun:.0f} s", flush=True)
            recent = []
    with td.no_grad():
        loss = np.mean([float(bits(*pieces(held_out))) for _ in range(2 if args.quick else 20)])
    print(f"text that was held out: {loss:.3f} bits/char")
    start = [number[character] for character in text[:16]]
    print("sample:\n" + "".join(alphabet[i] for i in write(model, start, args.sample, args.length, rng)))


if __name__ == "__main__":
    main()
