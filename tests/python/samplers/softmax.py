"""Softmax and what is made of it."""

from __future__ import annotations

import functools

import numpy as np
import tidu as td

from .case import CUBE, Draw, Fixed, case
from .reductions import logsumexp
from .tensors import FLOATS


def softmax(x, axis=-1):
    return np.exp(x - logsumexp(x, axis, True))


def log_softmax(x, axis=-1):
    return x - logsumexp(x, axis, True)


def cross_entropy(x, labels):
    return -np.take_along_axis(log_softmax(x), labels[..., None], -1)[..., 0]


def along(function, axis):
    return functools.partial(function, axis=axis)


def cases():
    for axis in (0, 1, -1):
        yield case(
            f"softmax(axis={axis})",
            "softmax",
            along(td.softmax, axis),
            along(softmax, axis),
            CUBE,
            dtypes=FLOATS,
            ulps=24,
        )
        yield case(
            f"log_softmax(axis={axis})",
            "log_softmax",
            along(td.log_softmax, axis),
            along(log_softmax, axis),
            CUBE,
            dtypes=FLOATS,
            scale=lambda x, axis=axis: np.abs(log_softmax(x, axis)) + 6,
        )
    yield case(
        "softmax_cross_entropy",
        ("softmax_cross_entropy", "softmax_cross_entropy_grad"),
        td.softmax_cross_entropy,
        cross_entropy,
        Draw((4, 6)),
        Fixed((0, 5, 2, 2)),
        dtypes=FLOATS,
        scale=lambda x, labels: np.abs(cross_entropy(x, labels)) + 6,
    )
