"""The rows of elementwise.def and their references."""

from __future__ import annotations

import functools

import numpy as np
import tidu as td
from scipy import special

from .case import Case, Draw
from .primitives import ROWS
from .tensors import DTYPES, FLOATS, INTEGERS, NUMBERS


def in_double(function):
    """SciPy's functions are not there for wider types."""
    return lambda *arrays: function(*(np.asarray(array, np.float64) for array in arrays))


def integers_or(for_integers, for_floats):
    return lambda *arrays: (for_floats if arrays[-1].dtype.kind == "f" else for_integers)(*arrays)


def sigmoid(x):
    return np.where(x < 0, np.exp(np.minimum(x, 0)), 1) / (1 + np.exp(-np.abs(x)))


def softplus(x):
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def phi(x):
    return in_double(special.ndtr)(x)


def logical(function):
    return lambda *arrays: function(*(array != 0 for array in arrays))


def integer_power(a, b):
    powers = [int(x) ** int(y) for x, y in zip(a.flat, b.flat, strict=True)]
    width = 8 * a.itemsize
    wrapped = [power % (1 << width) for power in powers]
    return np.array(wrapped, np.uint64).astype(a.dtype).reshape(a.shape)


def shift(function):
    """A bool is one bit wide."""
    return lambda a, b: a & ~b if a.dtype == bool else function(a, b)


REFERENCES = {
    "negative": np.negative,
    "abs": np.abs,
    "sign": np.sign,
    "floor": integers_or(np.array, np.floor),
    "ceil": integers_or(np.array, np.ceil),
    "trunc": integers_or(np.array, np.trunc),
    "round": integers_or(np.array, np.rint),
    "square": lambda x: x * x,
    "reciprocal": lambda x: 1 / x,
    "sqrt": np.sqrt,
    "rsqrt": lambda x: 1 / np.sqrt(x),
    "exp": np.exp,
    "exp2": np.exp2,
    "expm1": np.expm1,
    "log": np.log,
    "log2": np.log2,
    "log10": np.log10,
    "log1p": np.log1p,
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "asin": np.arcsin,
    "acos": np.arccos,
    "atan": np.arctan,
    "sinh": np.sinh,
    "cosh": np.cosh,
    "tanh": np.tanh,
    "asinh": np.arcsinh,
    "acosh": np.arccosh,
    "atanh": np.arctanh,
    "sigmoid": sigmoid,
    "log_sigmoid": lambda x: -softplus(-x),
    "softplus": softplus,
    "relu": lambda x: np.maximum(x, 0),
    "leaky_relu": lambda x, negative_slope=0.01: np.where(x > 0, x, negative_slope * x),
    "elu": lambda x, alpha=1.0: np.where(x > 0, x, alpha * np.expm1(x)),
    "silu": lambda x: x * sigmoid(x),
    "gelu": lambda x: x * phi(x),
    "erf": in_double(special.erf),
    "erfc": in_double(special.erfc),
    "isnan": np.isnan,
    "isinf": np.isinf,
    "isfinite": np.isfinite,
    "logical_not": logical(np.logical_not),
    "bitwise_invert": np.invert,
    "add": np.add,
    "subtract": np.subtract,
    "multiply": np.multiply,
    "multiply_no_nan": lambda a, b: np.where((a == 0) | (b == 0), 0, a * b),
    "divide": np.divide,
    "floor_divide": np.floor_divide,
    "remainder": np.remainder,
    "pow": integers_or(integer_power, np.power),
    "maximum": np.maximum,
    "minimum": np.minimum,
    "atan2": np.arctan2,
    "hypot": np.hypot,
    "logaddexp": np.logaddexp,
    "equal": np.equal,
    "not_equal": np.not_equal,
    "less": np.less,
    "less_equal": np.less_equal,
    "greater": np.greater,
    "greater_equal": np.greater_equal,
    "logical_and": logical(np.logical_and),
    "logical_or": logical(np.logical_or),
    "logical_xor": logical(np.logical_xor),
    "bitwise_and": np.bitwise_and,
    "bitwise_or": np.bitwise_or,
    "bitwise_xor": np.bitwise_xor,
    "bitwise_left_shift": shift(np.left_shift),
    "bitwise_right_shift": shift(np.right_shift),
    "where": np.where,
}

# Integers that are not drawn from their whole type.
INTEGER_RANGES = {"pow": (0, 5), "bitwise_left_shift": (0, 70), "bitwise_right_shift": (0, 70)}

# The error of erfc(x) in its tail grows with x^2, and SciPy has its own; that of a sum grows with its terms.
ULPS = {"gelu": 24, "erfc": 12}
SCALES = {"logaddexp": lambda a, b: np.maximum(np.abs(a), np.abs(b)) + 1}

TYPES = {
    "floating": FLOATS,
    "numeric": NUMBERS,
    "any": DTYPES,
    "integral": [td.bool, *INTEGERS],
    "boolean": DTYPES,
    "choice": DTYPES,
}


def elementwise_case(name, row, parameters=None):
    inside = (int(np.ceil(row["low"])), int(np.floor(row["high"])))
    draw = Draw(
        (3, 4), row["low"], row["high"], inside if row["types"] == "floating" else INTEGER_RANGES.get(name)
    )
    inputs = [draw] * row["arity"]
    if row["types"] == "choice":
        inputs[0] = Draw((3, 4), dtype=td.bool)
    boolean = row["boolean_result"]
    differentiable = range(len(inputs)) if row["derivative"] != "zero" else ()
    label = ", ".join(f"{key}={value}" for key, value in (parameters or {}).items())
    return Case(
        name=f"{name}, {label}" if label else name,
        covers=(name,),
        function=functools.partial(getattr(td, name), **(parameters or {})),
        reference=functools.partial(REFERENCES[name], **(parameters or {})),
        inputs=tuple(inputs),
        dtypes=tuple(TYPES[row["types"]]),
        differentiable=tuple(i for i in differentiable if inputs[i].dtype is None),
        result=lambda dtype: td.bool if boolean else dtype,
        ulps=ULPS.get(name, 4.0),
        scale=SCALES.get(name),
    )


def cases():
    found = [elementwise_case(name, row) for name, row in ROWS.items() if name in REFERENCES]
    return found + [  # with other parameters than the defaults
        elementwise_case(name, row, {key: value + 0.3 for key, value in row["parameters"].items()})
        for name, row in ROWS.items()
        if row["parameters"] and name in REFERENCES
    ]
