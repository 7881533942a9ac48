"""Copies, other dtypes and other identities of the same values."""

from __future__ import annotations

import numpy as np
import tidu as td

from .case import CUBE, case
from .tensors import FLOATS


def cases():
    yield case("copy", "copy", td.copy, np.array, CUBE)
    yield case("copy of a transpose", "copy", lambda x: td.copy(x.mT), lambda x: np.swapaxes(x, 1, 2), CUBE)
    yield case("stop_gradient", "stop_gradient", td.stop_gradient, np.array, CUBE, differentiable=())
    yield case("to", "to", lambda x: x.to(td.get_default_device()), np.array, CUBE)
    yield case(
        "alias",
        "alias",
        lambda x: td.vjp(lambda y: y, x)[0],
        np.array,
        CUBE,
        dtypes=FLOATS,
    )
    for target in (td.float64, td.float32):
        yield case(
            f"astype({target})",
            "astype",
            lambda x, target=target: x.astype(target),
            np.array,
            CUBE,
            differentiable=(0,) if target == td.float64 else (),
            result=lambda dtype, target=target: target,
        )
