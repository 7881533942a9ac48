"""Sums, products, extremes and the like over axes."""

from __future__ import annotations

import functools

import numpy as np
import tidu as td

from .case import CUBE, Draw, case, on_magnitudes
from .tensors import FLOATS, INTEGERS, is_float


def accumulated(dtype):
    """The type in which sums and products of a type come out."""
    if is_float(dtype):
        return dtype
    return td.uint64 if dtype in INTEGERS[4:] else td.int64


def reduced(function, **kwargs):
    def reference(x):
        if x.dtype.kind in "bui" and function in (np.sum, np.prod):
            return function(x, dtype=np.uint64 if x.dtype.kind == "u" else np.int64, **kwargs)
        return function(x, **kwargs)

    return reference


def logsumexp(x, axis=None, keepdims=False):
    if x.dtype.kind != "f":
        x = x.astype(np.float64)
    highest = np.max(x, axis=axis, keepdims=True)
    total = np.log(np.sum(np.exp(x - highest), axis=axis, keepdims=True)) + highest
    return total if keepdims else np.squeeze(total, axis=axis)


def cases():
    small = Draw((3, 4, 5), 0.5, 1.5, (-2, 3))
    for axis in (None, 0, 1, -1, (0, 2), (0, 1, 2), ()):
        for keepdims in (False, True):
            how = {"axis": axis, "keepdims": keepdims}
            text = f"(axis={axis}, keepdims={keepdims})"
            for name in ("sum", "prod"):
                numpy = reduced(getattr(np, name), **how)
                yield case(
                    name + text,
                    name,
                    functools.partial(getattr(td, name), **how),
                    numpy,
                    CUBE if name == "sum" else small,
                    result=accumulated,
                    ulps=8 if name == "sum" else 64,
                    scale=on_magnitudes(numpy),
                )
            for name in ("max", "min", "any", "all"):
                yield case(
                    name + text,
                    name,
                    functools.partial(getattr(td, name), **how),
                    functools.partial(getattr(np, name), **how),
                    Draw((3, 4, 5), apart=True),
                    differentiable=(0,) if name in ("max", "min") else (),
                    result=(lambda dtype: dtype) if name in ("max", "min") else (lambda dtype: td.bool),
                )
            yield case(
                "logsumexp" + text,
                "logsumexp",
                functools.partial(td.logsumexp, **how),
                lambda x, how=how: logsumexp(x, **how),
                CUBE,
                dtypes=FLOATS,
                scale=lambda x, how=how: np.abs(logsumexp(x, **how)) + 3,
            )
    for axis in (None, 0, -1):
        for name in ("argmax", "argmin"):
            yield case(
                f"{name}(axis={axis})",
                name,
                functools.partial(getattr(td, name), axis=axis),
                functools.partial(getattr(np, name), axis=axis),
                CUBE,
                differentiable=(),
                result=lambda dtype: td.int64,
            )
