"""The rows of csrc/ops/reduce.def, over axes: each row has its reference here."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import tidu as td

from .case import CUBE, Draw, case, on_magnitudes
from .primitives import REDUCTIONS
from .tensors import DTYPES, FLOATS, INTEGERS, is_float


def accumulated(function):
    """Sums and products of integers are taken in 64 bits."""

    def reference(x, **how):
        if x.dtype.kind in "bui":
            return function(x, dtype=np.uint64 if x.dtype.kind == "u" else np.int64, **how)
        return function(x, **how)

    return reference


def accumulated_dtype(dtype):
    if is_float(dtype):
        return dtype
    return td.uint64 if dtype in INTEGERS[4:] else td.int64


def logsumexp(x, axis=None, keepdims=False):
    if x.dtype.kind != "f":
        x = x.astype(np.float64)
    highest = np.max(x, axis=axis, keepdims=True)
    total = np.log(np.sum(np.exp(x - highest), axis=axis, keepdims=True)) + highest
    return total if keepdims else np.squeeze(total, axis=axis)


@dataclass(frozen=True)
class Row:
    """What the tests know of a row."""

    reference: Callable
    draw: Draw = CUBE
    dtypes: tuple = tuple(DTYPES)
    result: Callable = lambda dtype: dtype  # the dtype that comes out
    ulps: float = 4.0
    scale: Callable | None = None


def always(dtype):
    return lambda _: dtype


total, apart = accumulated(np.sum), Draw((3, 4, 5), apart=True)

REDUCTION_REFERENCES = {
    "sum": Row(total, result=accumulated_dtype, ulps=8, scale=on_magnitudes(total)),
    "sum_of_squares": Row(lambda x, **how: np.sum(np.square(x), **how), dtypes=FLOATS, ulps=8),
    "prod": Row(accumulated(np.prod), Draw((3, 4, 5), 0.5, 1.5, (-2, 3)), result=accumulated_dtype, ulps=64),
    "count_nonzero": Row(np.count_nonzero, Draw((3, 4, 5), integers=(-1, 1)), result=always(td.int64)),
    "mean": Row(np.mean, dtypes=FLOATS, ulps=8, scale=on_magnitudes(np.mean)),
    "var": Row(np.var, dtypes=FLOATS, ulps=8),
    "std": Row(np.std, dtypes=FLOATS, ulps=8),
    "max": Row(np.max, apart),
    "min": Row(np.min, apart),
    "any": Row(np.any, result=always(td.bool)),
    "all": Row(np.all, result=always(td.bool)),
    "logsumexp": Row(logsumexp, dtypes=FLOATS, scale=lambda x, **how: np.abs(logsumexp(x, **how)) + 3),
    "argmax": Row(np.argmax, result=always(td.int64)),
    "argmin": Row(np.argmin, result=always(td.int64)),
}


def how_it_is_called(name):
    sort = REDUCTIONS[name]["reduction"]
    for axis in (None, 0, 1, -1) if sort == "index" else (None, 0, 1, -1, (0, 2), (0, 1, 2), ()):
        for keepdims in (False, True):
            yield {"axis": axis, "keepdims": keepdims}
        if sort == "moment" and axis != ():
            yield {"axis": axis, "correction": 1}


def cases():
    for name, primitive in REDUCTIONS.items():
        row = REDUCTION_REFERENCES[name]
        for how in how_it_is_called(name):
            of_numpy = {"ddof" if key == "correction" else key: value for key, value in how.items()}
            # Single elements deviate by 0, where the root has a kink.
            smooth = primitive["derivative"] != "zero" and (name, how["axis"]) != ("std", ())
            yield case(
                f"{name}({', '.join(f'{key}={value}' for key, value in how.items())})",
                name,
                functools.partial(getattr(td, name), **how),
                functools.partial(row.reference, **of_numpy),
                row.draw,
                dtypes=row.dtypes,
                differentiable=(0,) if smooth else (),
                result=row.result,
                ulps=row.ulps,
                scale=row.scale and functools.partial(row.scale, **of_numpy),
            )
