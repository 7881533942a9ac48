"""What the tests know of each primitive: a tidu call, its reference in NumPy or SciPy, and inputs.

A family is a file with a function `cases`; a new one is named in FAMILIES.
"""

from . import (
    attention,
    convert,
    creation,
    elementwise,
    indexing,
    linalg,
    matmul,
    norm,
    order,
    reductions,
    scans,
    shape,
    softmax,
    windows,
)
from .case import Case, Draw, Fixed
from .elementwise import EXACT, LIMITS, OF_FLOATS_ALONE, REFERENCES, SUMS_OF_TERMS, UNNAMED, row_function
from .elsewhere import ELSEWHERE
from .primitives import PRIMITIVES, REDUCTIONS, ROWS, SCANS
from .reductions import REDUCTION_REFERENCES
from .scans import SCAN_REFERENCES
from .tensors import (
    DTYPES,
    EPSILON,
    FLOATS,
    INTEGERS,
    STORAGES,
    TINY,
    array_dtype,
    assert_close,
    assert_trees_close,
    is_float,
    to_array,
    to_tensor,
    with_storage,
)

FAMILIES = (
    reductions,
    scans,
    softmax,
    norm,
    matmul,
    windows,
    attention,
    linalg,
    shape,
    indexing,
    order,
    convert,
    creation,
)

ELEMENTWISE = elementwise.cases()
OTHERS = [case for family in FAMILIES for case in family.cases()]
CASES = {case.name: case for case in ELEMENTWISE + OTHERS}

__all__ = [
    "CASES",
    "DTYPES",
    "ELEMENTWISE",
    "ELSEWHERE",
    "EPSILON",
    "EXACT",
    "FLOATS",
    "INTEGERS",
    "LIMITS",
    "OF_FLOATS_ALONE",
    "OTHERS",
    "PRIMITIVES",
    "REDUCTIONS",
    "REDUCTION_REFERENCES",
    "REFERENCES",
    "ROWS",
    "SCANS",
    "SCAN_REFERENCES",
    "STORAGES",
    "SUMS_OF_TERMS",
    "TINY",
    "UNNAMED",
    "Case",
    "Draw",
    "Fixed",
    "array_dtype",
    "assert_close",
    "assert_trees_close",
    "is_float",
    "row_function",
    "to_array",
    "to_tensor",
    "with_storage",
]
