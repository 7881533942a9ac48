"""Products of vectors, matrices and batches."""

from __future__ import annotations

import numpy as np
import tidu as td

from .case import Draw, case, on_magnitudes
from .tensors import NUMBERS


def linear(x, weight, bias):
    return x @ weight.T + bias


def cases():
    for a, b in [
        ((5,), (5,)),
        ((4, 5), (5,)),
        ((5,), (5, 3)),
        ((4, 5), (5, 3)),
        ((1, 1), (1, 1)),
        ((17, 33), (33, 9)),
        ((2, 4, 5), (2, 5, 3)),
        ((2, 1, 4, 5), (3, 5, 3)),
        ((4, 5), (3, 5, 2)),
        ((2, 4, 5), (5,)),
        ((3, 0), (0, 2)),
        ((0, 3), (3, 2)),
    ]:
        yield case(
            f"matmul{a}{b}",
            "matmul",
            td.matmul,
            np.matmul,
            Draw(a, integers=(-9, 9)),
            Draw(b, integers=(-9, 9)),
            dtypes=NUMBERS,
            differentiable=(0, 1),
            ulps=8,
            scale=on_magnitudes(np.matmul),
        )

    for x, outputs in [((7,), 5), ((6, 7), 5), ((4, 1, 7), 3), ((33, 130), 70), ((3, 0), 4), ((0, 3), 2)]:
        yield case(
            f"linear{x}{outputs}",
            "matmul",
            td.nn.functional.linear,
            linear,
            Draw(x, integers=(-9, 9)),
            Draw((outputs, x[-1]), integers=(-9, 9)),
            Draw((outputs,), integers=(-9, 9)),
            dtypes=NUMBERS,
            differentiable=(0, 1, 2),
            ulps=8,
            scale=on_magnitudes(linear),
        )
