"""A case: one way to call primitives, beside its definition and the inputs that it is tried with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import tidu as td

from .tensors import (
    DTYPES,
    EPSILON,
    array_dtype,
    assert_close,
    computing_epsilon,
    is_float,
    to_array,
    to_tensor,
    widen,
)


@dataclass(frozen=True)
class Draw:
    """Uniform values in [low, high]; integers over their whole type unless `low` and `high` bind them."""

    shape: tuple[int, ...] = (3, 4)
    low: float = -3.0
    high: float = 3.0
    integers: tuple[int, int] | None = None  # instead, for integer types
    dtype: object = None  # always this one
    apart: bool = False  # no two closer than differences reach

    def array(self, rng, dtype, shape=None):
        dtype = self.dtype or dtype
        shape = self.shape if shape is None else shape
        kind = array_dtype(dtype)
        if dtype == td.bool:
            return rng.random(shape) < 0.5
        if is_float(dtype):
            if self.apart:
                count = int(np.prod(shape))
                drawn = rng.permutation(np.linspace(self.low, self.high, count)).reshape(shape)
            else:
                drawn = rng.uniform(self.low, self.high, shape)
            return to_array(to_tensor(drawn, dtype))
        info = np.iinfo(kind)
        low, high = self.integers or (info.min, info.max)
        return rng.integers(max(low, info.min), min(high, info.max), shape, dtype=kind, endpoint=True)


@dataclass(frozen=True)
class Fixed:
    """Indices and the like, the same in every test."""

    values: tuple
    dtype: object = field(default_factory=lambda: td.int64)

    def array(self, rng, dtype, shape=None):
        return np.array(self.values, array_dtype(self.dtype))


@dataclass(frozen=True)
class Case:
    """One way to call primitives, beside its definition."""

    name: str
    covers: tuple[str, ...]  # the primitives that it tests
    function: Callable  # of tensors
    reference: Callable  # of arrays
    inputs: tuple
    dtypes: tuple
    differentiable: tuple[int, ...] = ()  # the inputs that may be differentiated
    result: Callable = lambda dtype: dtype  # the dtype that comes out
    ulps: float = 4.0
    scale: Callable | None = None  # what the error is measured against; left out, the result
    whole_lanes: bool = False  # the pattern of its Jacobian has all of a lane, though less of it counts
    rounded_between: bool = False  # the result is a sum of what was rounded to the dtype itself

    def arrays(self, seed, dtype, shape=None):
        rng = np.random.default_rng([seed, *self.name.encode()])
        return [draw.array(rng, dtype, shape) for draw in self.inputs]

    def dtype_of_input(self, i, dtype):
        return self.inputs[i].dtype or dtype

    def expected(self, arrays):
        with np.errstate(all="ignore"):
            return self.reference(*map(widen, arrays))

    def error_scale(self, arrays):
        with np.errstate(all="ignore"):
            return None if self.scale is None else self.scale(*map(widen, arrays))

    def check(self, tensors, arrays, dtype, message):
        """That the function of the tensors, which have the values of the arrays, is what it should be."""
        scale = self.error_scale(arrays)
        got = self.function(*tensors)
        ulps = self.ulps
        if self.rounded_between and is_float(dtype):
            ulps += EPSILON[dtype] / computing_epsilon(dtype)
        assert_close(got, self.expected(arrays), self.result(dtype), ulps, scale, message)

    def __str__(self):
        return self.name


def case(name, covers, function, reference, *inputs, dtypes=DTYPES, differentiable=None, **kwargs):
    """A case that is differentiated by all numbers that it draws, unless told by which."""
    covers = (covers,) if isinstance(covers, str) else covers
    if differentiable is None:
        drawn = (i for i, of in enumerate(inputs) if isinstance(of, Draw) and of.dtype is None)
        differentiable = tuple(drawn)
    return Case(name, covers, function, reference, inputs, tuple(dtypes), differentiable, **kwargs)


CUBE = Draw((3, 4, 5))


def on_magnitudes(reference):
    """The error of a sum of products is measured against the sum of their absolute values."""
    return lambda *arrays, **how: reference(
        *(np.abs(array) if array.dtype.kind == "f" else array for array in arrays), **how
    )
