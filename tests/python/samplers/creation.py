"""Tensors from nothing."""

from __future__ import annotations

import numpy as np
import tidu as td

from .case import Draw, case
from .tensors import FLOATS, NUMBERS


def cases():
    yield case(
        "full",
        "full",
        lambda x: x + td.full((3, 4), 2, dtype=x.dtype),
        lambda x: x + 2,
        Draw((3, 4)),
        dtypes=FLOATS,
    )
    yield case(
        "arange",
        "arange",
        lambda x: x + td.arange(1, 9, 2, dtype=x.dtype),
        lambda x: x + np.arange(1, 9, 2, dtype=x.dtype),
        Draw((3, 4)),
        dtypes=NUMBERS,
    )
