"""Views in other shapes, and tensors put together."""

from __future__ import annotations

import numpy as np
import tidu as td

from .case import CUBE, Draw, case


def cases():
    matrix = Draw((4, 6))
    yield case("reshape", "reshape", lambda x: td.reshape(x, (5, -1)), lambda x: x.reshape(5, -1), CUBE)
    yield case(
        "reshape to 0-d", "reshape", lambda x: td.reshape(x, ()), lambda x: x.reshape(()), Draw((1, 1))
    )
    yield case(
        "permute_dims",
        "permute_dims",
        lambda x: td.permute_dims(x, (2, 0, 1)),
        lambda x: np.transpose(x, (2, 0, 1)),
        CUBE,
    )
    yield case("mT", "permute_dims", lambda x: x.mT, lambda x: np.swapaxes(x, -1, -2), CUBE)
    yield case(
        "broadcast_to",
        "broadcast_to",
        lambda x: td.broadcast_to(x, (2, 3, 4)),
        lambda x: np.broadcast_to(x, (2, 3, 4)),
        Draw((3, 1)),
    )
    for axis in (0, 1, -1):
        yield case(
            f"concat(axis={axis})",
            "concat",
            lambda *xs, axis=axis: td.concat(xs, axis=axis),
            lambda *xs, axis=axis: np.concatenate(xs, axis),
            matrix,
            matrix,
            matrix,
            differentiable=(0, 1, 2),
        )
    yield case(
        "concat of different extents",
        "concat",
        lambda *xs: td.concat(xs, axis=1),
        lambda *xs: np.concatenate(xs, 1),
        Draw((3, 2)),
        Draw((3, 0)),
        Draw((3, 5)),
        differentiable=(0, 1, 2),
    )
    yield case(
        "stack",
        ("concat", "reshape"),
        lambda *xs: td.stack(xs, axis=1),
        lambda *xs: np.stack(xs, 1),
        matrix,
        matrix,
        differentiable=(0, 1),
    )
