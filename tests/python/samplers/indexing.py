"""Slices, and reading and writing at indices."""

from __future__ import annotations

import numpy as np
import tidu as td

from .case import CUBE, Draw, Fixed, case, on_magnitudes
from .tensors import FLOATS, NUMBERS


def scattered(x, indices, updates, axis):
    result = np.moveaxis(np.array(x), axis, 0)
    np.add.at(result, indices, np.moveaxis(updates, axis, 0))
    return np.moveaxis(result, 0, axis)


def replaced(x, key, value):
    result = np.array(x)
    result[key] = value
    return result


def replace(x, key, value):
    result = td.copy(x)
    result[key] = value
    return result


def cases():
    rows = Fixed((2, 0, -1, 2))
    for key in (
        (slice(1, 3),),
        (slice(None, None, -1), slice(None, None, 2)),
        (Ellipsis, slice(4, 0, -3)),
        (slice(2, 2),),
        (1,),
        (0, -1, 2),
        (None, slice(None), 1, None),
    ):
        yield case(
            f"x[{key}]",
            ("slice", "reshape"),
            lambda x, key=key: x[key],
            lambda x, key=key: x[key],
            CUBE,
        )
        yield case(
            f"x[{key}] = v",
            ("slice_update", "assign", "copy"),
            lambda x, v, key=key: replace(x, key, v),
            lambda x, v, key=key: replaced(x, key, v),
            CUBE,
            Draw(()),
            differentiable=(0, 1),
        )
    yield case(
        "vjp of x[1:]",
        "slice_update",
        lambda x, v: td.vjp(lambda y: y[1:, ::2], x)[1](v)[0],
        lambda x, v: replaced(np.zeros_like(x), (slice(1, None), slice(None, None, 2)), v),
        CUBE,
        Draw((2, 2, 5)),
        dtypes=FLOATS,
        differentiable=(1,),
    )
    for axis in (0, 1, 2):
        yield case(
            f"take(axis={axis})",
            "take",
            lambda x, i, axis=axis: td.take(x, i, axis=axis),
            lambda x, i, axis=axis: np.take(x, i, axis),
            CUBE,
            rows,
        )
        shape = tuple(4 if i == axis else n for i, n in enumerate(CUBE.shape))
        yield case(
            f"scatter_add(axis={axis})",
            "scatter",
            lambda x, i, v, axis=axis: td.scatter_add(x, i, v, axis=axis),
            lambda x, i, v, axis=axis: scattered(x, i, v, axis),
            Draw((3, 4, 5), integers=(-9, 9)),
            rows,
            Draw(shape, integers=(-9, 9)),
            dtypes=NUMBERS,
            differentiable=(0, 2),
            ulps=8,
            rounded_between=True,
            scale=on_magnitudes(lambda x, i, v, axis=axis: scattered(x, i, v, axis)),
        )
    yield case(
        "take of a matrix of indices",
        "take",
        lambda x, i: td.take(x, i, axis=1),
        lambda x, i: np.take(x, i, 1),
        CUBE,
        Fixed(((0, 3), (-1, 3), (2, 2))),
    )
    yield case(
        "take_along_axis",
        "take",
        lambda x, i: td.take_along_axis(x, i, axis=1),
        lambda x, i: np.take_along_axis(x, i, 1),
        Draw((3, 4)),
        Fixed(((0, 3), (1, 1), (2, 0))),
    )
    yield case(
        "x[indices, :, indices]",
        "take",
        lambda x, i, j: x[i, :, j],
        lambda x, i, j: x[i, :, j],
        CUBE,
        Fixed((0, 2, -1)),
        Fixed((4, 0, 1)),
    )
    yield case(
        "x[indices] = v",
        ("take", "slice_update"),
        lambda x, i, v: replace(x, i, v),
        lambda x, i, v: replaced(x, i, v),
        CUBE,
        Fixed((2, 0)),
        Draw((2, 4, 5)),
        differentiable=(0, 2),
    )
