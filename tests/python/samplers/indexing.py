"""Slices, and reading and writing at indices."""

from __future__ import annotations

import functools

import numpy as np
import tidu as td

from .case import CUBE, Draw, Fixed, case, on_magnitudes
from .tensors import DTYPES, FLOATS, NUMBERS


def scattered(combine, x, indices, updates, axis):
    """`combine` is a ufunc, or None to put the updates there."""
    result = np.moveaxis(np.array(x), axis, 0)
    updates = np.moveaxis(updates, axis, 0)
    if combine:
        combine.at(result, indices, updates)
    else:
        for i, update in zip(indices, updates, strict=True):
            result[i] = update
    return np.moveaxis(result, 0, axis)


def put_along(x, indices, values, axis):
    result = np.array(x)
    np.put_along_axis(result, indices, values, axis)
    return result


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
            "gather",
            lambda x, i, axis=axis: td.take(x, i, axis=axis),
            lambda x, i, axis=axis: np.take(x, i, axis),
            CUBE,
            rows,
        )
        shape = tuple(4 if i == axis else n for i, n in enumerate(CUBE.shape))
        for name, combine in (
            ("scatter_add", np.add),
            ("scatter_set", None),
            ("scatter_multiply", np.multiply),
            ("scatter_min", np.minimum),
            ("scatter_max", np.maximum),
        ):
            extreme = name in ("scatter_min", "scatter_max")
            reference = functools.partial(scattered, combine, axis=axis)
            yield case(
                f"{name}(axis={axis})",
                (name, "argsort") if name == "scatter_multiply" else name,
                functools.partial(getattr(td, name), axis=axis),
                reference,
                Draw((3, 4, 5), integers=(-9, 9), apart=extreme),
                rows,
                Draw(shape, high=2.9, integers=(-9, 9), apart=extreme),
                dtypes=NUMBERS if combine else DTYPES,
                differentiable=(0, 2),
                ulps=8,
                rounded_between=name == "scatter_add",
                scale=on_magnitudes(reference) if name == "scatter_add" else None,
            )
    yield case(
        "take of a matrix of indices",
        "gather",
        lambda x, i: td.take(x, i, axis=1),
        lambda x, i: np.take(x, i, 1),
        CUBE,
        Fixed(((0, 3), (-1, 3), (2, 2))),
    )
    for axis, indices in ((0, ((0, 2, -1, 1), (1, 1, 2, 0))), (1, ((0, 3), (1, 1), (2, 0)))):
        yield case(
            f"take_along_axis(axis={axis})",
            "gather",
            lambda x, i, axis=axis: td.take_along_axis(x, i, axis=axis),
            lambda x, i, axis=axis: np.take_along_axis(x, i, axis),
            Draw((3, 4)),
            Fixed(indices),
        )
        yield case(
            f"put_along_axis(axis={axis})",
            "scatter_set",
            lambda x, i, v, axis=axis: td.put_along_axis(x, i, v, axis=axis),
            lambda x, i, v, axis=axis: put_along(x, i, v, axis),
            Draw((3, 4)),
            Fixed(indices),
            Draw(np.shape(indices)),
            differentiable=(0, 2),
        )
    yield case(
        "x[indices, :, indices]",
        "gather",
        lambda x, i, j: x[i, :, j],
        lambda x, i, j: x[i, :, j],
        CUBE,
        Fixed((0, 2, -1)),
        Fixed((4, 0, 1)),
    )
    yield case(
        "x[indices] = v",
        ("assign_points", "scatter_set"),
        lambda x, i, v: replace(x, i, v),
        lambda x, i, v: replaced(x, i, v),
        CUBE,
        Fixed((2, 0)),
        Draw((2, 4, 5)),
        differentiable=(0, 2),
    )
    yield case(
        "x[indices, 1:, indices] = v",
        ("assign_points", "scatter_set", "slice_update"),
        lambda x, i, j, v: replace(x, (i, slice(1, None), j), v),
        lambda x, i, j, v: replaced(x, (i, slice(1, None), j), v),
        CUBE,
        Fixed((0, 2, -1)),
        Fixed((4, 0, 4)),
        Draw((3, 3)),
        differentiable=(0, 3),
    )
    yield case(
        "nonzero",
        "nonzero",
        lambda x: td.stack(td.nonzero(x), axis=0),
        lambda x: np.stack(np.nonzero(x)),
        Draw((3, 4, 5), dtype=td.bool),
        dtypes=(td.bool,),
        differentiable=(),
        result=lambda dtype: td.int64,
    )
