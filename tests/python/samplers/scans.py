"""The rows of csrc/ops/scan.def, along an axis: each row has its reference here."""

from __future__ import annotations

import functools

import numpy as np
import tidu as td

from .case import Draw, case, on_magnitudes
from .reductions import Row, accumulated, accumulated_dtype, apart, logsumexp
from .tensors import FLOATS


def along_axis(reference):
    """Of reference(x) along axis 0, what it is along any."""
    return lambda x, axis: np.moveaxis(reference(np.moveaxis(x, axis, 0)), 0, axis)


def logcumsumexp(x):
    return np.stack([logsumexp(x[: i + 1], axis=0) for i in range(len(x))]) if len(x) else x


sums = accumulated(np.cumsum)

SCAN_REFERENCES = {
    "cumulative_sum": Row(sums, result=accumulated_dtype, ulps=8, scale=on_magnitudes(sums)),
    "cumulative_prod": Row(
        accumulated(np.cumprod), Draw((3, 4, 5), 0.5, 1.5, (-2, 3)), result=accumulated_dtype, ulps=16
    ),
    "cummax": Row(np.maximum.accumulate, apart),
    "cummin": Row(np.minimum.accumulate, apart),
    "logcumsumexp": Row(
        along_axis(logcumsumexp),
        dtypes=FLOATS,
        scale=along_axis(lambda x: np.abs(logcumsumexp(x)) + 3),
    ),
}


def cases():
    for name, row in SCAN_REFERENCES.items():
        for axis in (0, 1, -1):
            yield case(
                f"{name}(axis={axis})",
                name,
                functools.partial(getattr(td, name), axis=axis),
                functools.partial(row.reference, axis=axis),
                row.draw,
                dtypes=row.dtypes,
                result=row.result,
                ulps=row.ulps,
                scale=row.scale and functools.partial(row.scale, axis=axis),
            )
