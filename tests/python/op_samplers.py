"""What the tests know of each primitive: a tidu call, its reference in NumPy or SciPy, and inputs."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import tidu as td
from scipy import special
from tidu import _core

FLOATS = [td.float16, td.bfloat16, td.float32, td.float64]
INTEGERS = [td.int8, td.int16, td.int32, td.int64, td.uint8, td.uint16, td.uint32, td.uint64]
DTYPES = [td.bool, *INTEGERS, *FLOATS]

# The spacing of the numbers at 1, and the smallest positive number.
EPSILON = {td.float16: 2.0**-10, td.bfloat16: 2.0**-7, td.float32: 2.0**-23, td.float64: 2.0**-52}
TINY = {td.float16: 2.0**-24, td.bfloat16: 2.0**-133, td.float32: 2.0**-149, td.float64: 2.0**-1074}

PRIMITIVES = {primitive["name"]: primitive for primitive in _core.primitives()}
# The rows of the table of elementwise operations, which are called by their names.
ROWS = {name: primitive for name, primitive in PRIMITIVES.items() if "types" in primitive}


def computing_epsilon(dtype):
    """That of the type in which `dtype` is computed: float32 for the half types."""
    return min(EPSILON[dtype], EPSILON[td.float32])


# --- Tensors and arrays


def is_float(dtype):
    return dtype in FLOATS


def array_dtype(dtype):
    """The NumPy type in which values of `dtype` are handed over."""
    return np.dtype("float32" if dtype == td.bfloat16 else str(dtype))


def to_tensor(array, dtype):
    return td.tensor(np.asarray(array, array_dtype(dtype))).astype(dtype)


def to_array(tensor):
    """The exact values of a tensor."""
    return (tensor.astype(td.float32) if tensor.dtype == td.bfloat16 else tensor).cpu().numpy()


def widen(array):
    """Floats in the type in which references are computed, one wider than what is tested."""
    if array.dtype == np.float64:
        return array.astype(np.longdouble)
    return array.astype(np.float64) if array.dtype.kind == "f" else array


def with_storage(array, dtype, storage):
    """A tensor that lies in memory as `storage` says, and the array of its values."""
    ndim = array.ndim
    if storage == "permuted":
        return to_tensor(array.transpose(), dtype).permute_dims(tuple(reversed(range(ndim)))), array
    if storage == "negative steps":
        base = np.ones([2 * extent for extent in array.shape], array.dtype)
        everywhere = (slice(None, None, -2),) * ndim
        base[everywhere] = array
        return to_tensor(base, dtype)[everywhere], array
    if storage == "offset":
        base = np.ones([extent + 1 for extent in array.shape], array.dtype)
        inside = (slice(1, None),) * ndim
        base[inside] = array
        return to_tensor(base, dtype)[inside], array
    if storage == "broadcast" and ndim:
        first = array[:1]
        array = np.ascontiguousarray(np.broadcast_to(first, array.shape))
        return td.broadcast_to(to_tensor(first if array.size else array, dtype), array.shape), array
    return to_tensor(array, dtype), array


STORAGES = ["contiguous", "permuted", "negative steps", "offset", "broadcast"]


def assert_close(got, want, dtype, ulps=4.0, scale=None, message=""):
    """`got` is `want` rounded to `dtype`, after an error of `ulps` in the type it is computed in."""
    assert got.dtype == dtype, f"{message}: {got.dtype}, not {dtype}"
    assert got.shape == np.shape(want), f"{message}: {got.shape}, not {np.shape(want)}"
    got, want = to_array(got), np.asarray(want)
    if not is_float(dtype):
        np.testing.assert_array_equal(got, want.astype(got.dtype), err_msg=message)
        return
    with np.errstate(all="ignore"):
        scale = np.abs(want if scale is None else scale)
        allowed = (
            0.5001 * EPSILON[dtype] * np.abs(want) + ulps * computing_epsilon(dtype) * scale + TINY[dtype]
        )
        wrong = ~(np.abs(got - want) <= allowed)
        wrong &= ~(np.isnan(got) & np.isnan(want))
        wrong &= ~(np.isinf(got) & (got == want.astype(got.dtype)))
    if wrong.any():
        worst = np.argwhere(wrong)[0]
        at = tuple(int(i) for i in worst)
        raise AssertionError(
            f"{message}: {wrong.sum()} of {wrong.size} wrong; at {at} {got[at]!r} instead of {want[at]!r}, "
            f"off by {abs(got[at] - want[at]):.3g}, allowed {allowed[at]:.3g}"
        )


# --- Inputs


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


# --- Elementwise references


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
    "numeric": INTEGERS + FLOATS,
    "any": DTYPES,
    "integral": [td.bool, *INTEGERS],
    "boolean": DTYPES,
    "choice": DTYPES,
}


def elementwise_case(name, row):
    inside = (int(np.ceil(row["low"])), int(np.floor(row["high"])))
    draw = Draw(
        (3, 4), row["low"], row["high"], inside if row["types"] == "floating" else INTEGER_RANGES.get(name)
    )
    inputs = [draw] * row["arity"]
    if row["types"] == "choice":
        inputs[0] = Draw((3, 4), dtype=td.bool)
    boolean = row["boolean_result"]
    differentiable = range(len(inputs)) if row["derivative"] != "zero" else ()
    return Case(
        name=name,
        covers=(name,),
        function=getattr(td, name),
        reference=REFERENCES[name],
        inputs=tuple(inputs),
        dtypes=tuple(TYPES[row["types"]]),
        differentiable=tuple(i for i in differentiable if inputs[i].dtype is None),
        result=lambda dtype: td.bool if boolean else dtype,
        ulps=ULPS.get(name, 4.0),
        scale=SCALES.get(name),
    )


ELEMENTWISE = [elementwise_case(name, row) for name, row in ROWS.items() if name in REFERENCES]


# --- The other primitives


def on_magnitudes(reference):
    """The error of a sum of products is measured against the sum of their absolute values."""
    return lambda *arrays: reference(
        *(np.abs(array) if array.dtype.kind == "f" else array for array in arrays)
    )


def accumulated(dtype):
    """The type in which sums and products of a type come out."""
    if is_float(dtype):
        return dtype
    return td.uint64 if dtype in INTEGERS[4:] else td.int64


def reduced(function, **kwargs):
    def reference(x):
        if x.dtype.kind in "bui" and function in (np.sum, np.prod):
            return function(x, dtype=np.uint64 if x.dtype.kind == "u" else np.int64, **kwargs)
        return function(x, **kwargs)

    return reference


def logsumexp(x, axis=None, keepdims=False):
    if x.dtype.kind != "f":
        x = x.astype(np.float64)
    highest = np.max(x, axis=axis, keepdims=True)
    total = np.log(np.sum(np.exp(x - highest), axis=axis, keepdims=True)) + highest
    return total if keepdims else np.squeeze(total, axis=axis)


def softmax(x, axis=-1):
    return np.exp(x - logsumexp(x, axis, True))


def log_softmax(x, axis=-1):
    return x - logsumexp(x, axis, True)


def cross_entropy(x, labels):
    return -np.take_along_axis(log_softmax(x), labels[..., None], -1)[..., 0]


def along(function, axis):
    return functools.partial(function, axis=axis)


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
    floats, numbers, everything = tuple(FLOATS), tuple(INTEGERS + FLOATS), tuple(DTYPES)

    def case(name, covers, function, reference, *inputs, dtypes=everything, differentiable=(0,), **kwargs):
        covers = (covers,) if isinstance(covers, str) else covers
        return Case(name, covers, function, reference, inputs, dtypes, differentiable, **kwargs)

    cube, matrix = Draw((3, 4, 5)), Draw((4, 6))
    small = Draw((3, 4, 5), 0.5, 1.5, (-2, 3))
    rows = Fixed((2, 0, -1, 2))

    for axis in (None, 0, 1, -1, (0, 2), (0, 1, 2), ()):
        for keepdims in (False, True):
            how = {"axis": axis, "keepdims": keepdims}
            text = f"(axis={axis}, keepdims={keepdims})"
            for name in ("sum", "prod"):
                numpy = reduced(getattr(np, name), **how)
                yield case(
                    name + text,
                    name,
                    functools.partial(getattr(td, name), **how),
                    numpy,
                    cube if name == "sum" else small,
                    result=accumulated,
                    ulps=8 if name == "sum" else 64,
                    scale=on_magnitudes(numpy),
                )
            for name in ("max", "min", "any", "all"):
                yield case(
                    name + text,
                    name,
                    functools.partial(getattr(td, name), **how),
                    functools.partial(getattr(np, name), **how),
                    Draw((3, 4, 5), apart=True),
                    differentiable=(0,) if name in ("max", "min") else (),
                    result=(lambda dtype: dtype) if name in ("max", "min") else (lambda dtype: td.bool),
                )
            yield case(
                "logsumexp" + text,
                "logsumexp",
                functools.partial(td.logsumexp, **how),
                lambda x, how=how: logsumexp(x, **how),
                cube,
                dtypes=floats,
                scale=lambda x, how=how: np.abs(logsumexp(x, **how)) + 3,
            )
    for axis in (None, 0, -1):
        for name in ("argmax", "argmin"):
            yield case(
                f"{name}(axis={axis})",
                name,
                functools.partial(getattr(td, name), axis=axis),
                functools.partial(getattr(np, name), axis=axis),
                cube,
                differentiable=(),
                result=lambda dtype: td.int64,
            )
    for axis in (0, 1, -1):
        yield case(
            f"softmax(axis={axis})",
            "softmax",
            along(td.softmax, axis),
            along(softmax, axis),
            cube,
            dtypes=floats,
            ulps=24,
        )
        yield case(
            f"log_softmax(axis={axis})",
            "log_softmax",
            along(td.log_softmax, axis),
            along(log_softmax, axis),
            cube,
            dtypes=floats,
            scale=lambda x, axis=axis: np.abs(log_softmax(x, axis)) + 6,
        )
    yield case(
        "softmax_cross_entropy",
        ("softmax_cross_entropy", "softmax_cross_entropy_grad"),
        td.softmax_cross_entropy,
        cross_entropy,
        Draw((4, 6)),
        Fixed((0, 5, 2, 2)),
        dtypes=floats,
        scale=lambda x, labels: np.abs(cross_entropy(x, labels)) + 6,
    )

    for a, b in [
        ((5,), (5,)),
        ((4, 5), (5,)),
        ((5,), (5, 3)),
        ((4, 5), (5, 3)),
        ((1, 1), (1, 1)),
        ((17, 33), (33, 9)),
        ((2, 4, 5), (2, 5, 3)),
        ((2, 1, 4, 5), (3, 5, 3)),
        ((4, 5), (3, 5, 2)),
        ((2, 4, 5), (5,)),
        ((3, 0), (0, 2)),
        ((0, 3), (3, 2)),
    ]:
        yield case(
            f"matmul{a}{b}",
            "matmul",
            td.matmul,
            np.matmul,
            Draw(a, integers=(-9, 9)),
            Draw(b, integers=(-9, 9)),
            dtypes=numbers,
            differentiable=(0, 1),
            ulps=8,
            scale=on_magnitudes(np.matmul),
        )

    def linear(x, weight, bias):
        return x @ weight.T + bias

    for x, outputs in [((7,), 5), ((6, 7), 5), ((4, 1, 7), 3), ((33, 130), 70), ((3, 0), 4), ((0, 3), 2)]:
        yield case(
            f"linear{x}{outputs}",
            "matmul",
            td.nn.functional.linear,
            linear,
            Draw(x, integers=(-9, 9)),
            Draw((outputs, x[-1]), integers=(-9, 9)),
            Draw((outputs,), integers=(-9, 9)),
            dtypes=numbers,
            differentiable=(0, 1, 2),
            ulps=8,
            scale=on_magnitudes(linear),
        )

    yield case("reshape", "reshape", lambda x: td.reshape(x, (5, -1)), lambda x: x.reshape(5, -1), cube)
    yield case(
        "reshape to 0-d", "reshape", lambda x: td.reshape(x, ()), lambda x: x.reshape(()), Draw((1, 1))
    )
    yield case(
        "permute_dims",
        "permute_dims",
        lambda x: td.permute_dims(x, (2, 0, 1)),
        lambda x: np.transpose(x, (2, 0, 1)),
        cube,
    )
    yield case("mT", "permute_dims", lambda x: x.mT, lambda x: np.swapaxes(x, -1, -2), cube)
    yield case(
        "broadcast_to",
        "broadcast_to",
        lambda x: td.broadcast_to(x, (2, 3, 4)),
        lambda x: np.broadcast_to(x, (2, 3, 4)),
        Draw((3, 1)),
    )
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
            cube,
        )
        yield case(
            f"x[{key}] = v",
            ("slice_update", "assign", "copy"),
            lambda x, v, key=key: replace(x, key, v),
            lambda x, v, key=key: replaced(x, key, v),
            cube,
            Draw(()),
            differentiable=(0, 1),
        )
    yield case(
        "vjp of x[1:]",
        "slice_update",
        lambda x, v: td.vjp(lambda y: y[1:, ::2], x)[1](v)[0],
        lambda x, v: replaced(np.zeros_like(x), (slice(1, None), slice(None, None, 2)), v),
        cube,
        Draw((2, 2, 5)),
        dtypes=floats,
        differentiable=(1,),
    )
    yield case("copy", "copy", td.copy, np.array, cube)
    yield case("copy of a transpose", "copy", lambda x: td.copy(x.mT), lambda x: np.swapaxes(x, 1, 2), cube)
    yield case("stop_gradient", "stop_gradient", td.stop_gradient, np.array, cube, differentiable=())
    yield case("to", "to", lambda x: x.to(td.get_default_device()), np.array, cube)
    yield case(
        "alias",
        "alias",
        lambda x: td.vjp(lambda y: y, x)[0],
        np.array,
        cube,
        dtypes=floats,
    )
    for target in (td.float64, td.float32):
        yield case(
            f"astype({target})",
            "astype",
            lambda x, target=target: x.astype(target),
            np.array,
            cube,
            differentiable=(0,) if target == td.float64 else (),
            result=lambda dtype, target=target: target,
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
    for axis in (0, 1, 2):
        yield case(
            f"take(axis={axis})",
            "take",
            lambda x, i, axis=axis: td.take(x, i, axis=axis),
            lambda x, i, axis=axis: np.take(x, i, axis),
            cube,
            rows,
        )
        shape = tuple(4 if i == axis else n for i, n in enumerate(cube.shape))
        yield case(
            f"scatter_add(axis={axis})",
            "scatter",
            lambda x, i, v, axis=axis: td.scatter_add(x, i, v, axis=axis),
            lambda x, i, v, axis=axis: scattered(x, i, v, axis),
            Draw((3, 4, 5), integers=(-9, 9)),
            rows,
            Draw(shape, integers=(-9, 9)),
            dtypes=numbers,
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
        cube,
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
        cube,
        Fixed((0, 2, -1)),
        Fixed((4, 0, 1)),
    )
    yield case(
        "x[indices] = v",
        ("take", "slice_update"),
        lambda x, i, v: replace(x, i, v),
        lambda x, i, v: replaced(x, i, v),
        cube,
        Fixed((2, 0)),
        Draw((2, 4, 5)),
        differentiable=(0, 2),
    )
    yield case(
        "full",
        "full",
        lambda x: x + td.full((3, 4), 2, dtype=x.dtype),
        lambda x: x + 2,
        Draw((3, 4)),
        dtypes=floats,
    )
    yield case(
        "arange",
        "arange",
        lambda x: x + td.arange(1, 9, 2, dtype=x.dtype),
        lambda x: x + np.arange(1, 9, 2, dtype=x.dtype),
        Draw((3, 4)),
        dtypes=numbers,
    )


OTHERS = list(cases())
CASES = {case.name: case for case in ELEMENTWISE + OTHERS}

# Random numbers and fused optimiser steps have no such reference: which file tests them, by what name.
ELSEWHERE = {
    "random_bits": ("python/test_random.py", "random.bits"),
    "random_uniform": ("python/test_random.py", "random.uniform"),
    "random_normal": ("python/test_random.py", "random.normal"),
    "random_permutation": ("python/test_random.py", "random.permutation"),
    "custom_vjp": ("python/test_program.py", "custom_vjp"),
    "custom_jvp": ("python/test_program.py", "custom_jvp"),
    "sgd_update": ("cpp/kernels_update_test.cpp", "sgd"),
    "adam_update": ("cpp/kernels_update_test.cpp", "adam"),
    "rmsprop_update": ("cpp/kernels_update_test.cpp", "rmsprop"),
}
