"""Sorting, searching and quantiles."""

from __future__ import annotations

import numpy as np
import tidu as td

from .case import Draw, case
from .tensors import DTYPES, FLOATS

TIES = Draw((3, 4, 5), integers=(-2, 2))
APART = Draw((3, 4, 5), integers=(-9, 9), apart=True)


def descending(x, axis):
    """The order from the largest element on, equal ones as they are."""
    _, rank = np.unique(x, return_inverse=True)
    return np.argsort(-rank.reshape(x.shape), axis=axis, kind="stable")


def sought(rows, values):
    pairs = zip(np.sort(rows).reshape(-1, rows.shape[-1]), values.reshape(-1, values.shape[-1]), strict=True)
    return np.stack([np.searchsorted(row, value) for row, value in pairs]).reshape(values.shape)


def cases():
    for axis in (0, 2, -1):
        yield case(
            f"argsort(axis={axis})",
            "argsort",
            lambda x, axis=axis: td.argsort(x, axis=axis),
            lambda x, axis=axis: np.argsort(x, axis=axis, kind="stable"),
            TIES,
            differentiable=(),
            result=lambda dtype: td.int64,
        )
    yield case(
        "argsort(descending)",
        "argsort",
        lambda x: td.argsort(x, axis=1, descending=True),
        lambda x: descending(x, 1),
        TIES,
        differentiable=(),
        result=lambda dtype: td.int64,
    )
    yield case(
        "argsort(the first)",
        "argsort",
        lambda x: td.topk(x, 2, axis=1).indices,
        lambda x: descending(x, 1)[:, :2],
        TIES,
        differentiable=(),
        result=lambda dtype: td.int64,
    )
    for axis in (0, 1):
        yield case(
            f"sort(axis={axis})",
            ("sort", "argsort", "gather"),
            lambda x, axis=axis: td.sort(x, axis=axis),
            lambda x, axis=axis: np.sort(x, axis=axis),
            APART,
        )
    yield case(
        "searchsorted",
        "searchsorted",
        lambda rows, values: td.searchsorted(td.sort(rows), values),
        sought,
        Draw((3, 5), integers=(-4, 4)),
        Draw((3, 4), integers=(-4, 4)),
        dtypes=[dtype for dtype in DTYPES if dtype != td.bool],
        differentiable=(),
        result=lambda dtype: td.int64,
    )
    yield case(
        "quantile",
        ("argsort", "gather"),
        lambda x: td.quantile(x, [0.1, 0.5, 1.0], axis=(0, 2)),
        lambda x: np.quantile(x, [0.1, 0.5, 1.0], axis=(0, 2)),
        APART,
        dtypes=FLOATS,
        whole_lanes=True,
    )
