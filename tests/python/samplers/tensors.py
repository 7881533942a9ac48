"""Tensors of every dtype and layout from arrays, and how results are compared with references."""

from __future__ import annotations

import numpy as np
import tidu as td

FLOATS = [td.float16, td.bfloat16, td.float32, td.float64]
INTEGERS = [td.int8, td.int16, td.int32, td.int64, td.uint8, td.uint16, td.uint32, td.uint64]
DTYPES = [td.bool, *INTEGERS, *FLOATS]
NUMBERS = [*INTEGERS, *FLOATS]

# The spacing of the numbers at 1, and the smallest positive number.
EPSILON = {td.float16: 2.0**-10, td.bfloat16: 2.0**-7, td.float32: 2.0**-23, td.float64: 2.0**-52}
TINY = {td.float16: 2.0**-24, td.bfloat16: 2.0**-133, td.float32: 2.0**-149, td.float64: 2.0**-1074}


def computing_epsilon(dtype):
    """That of the type in which `dtype` is computed: float32 for the half types."""
    return min(EPSILON[dtype], EPSILON[td.float32])


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


def assert_trees_close(got, want, rtol=1e-9):
    """That trees of tensors have equal structure, shapes and dtypes, and close elements."""
    got, want = td.tree_leaves(got), td.tree_leaves(want)
    assert len(got) == len(want)
    for a, b in zip(got, want, strict=True):
        assert a.dtype is b.dtype and a.shape == b.shape
        b = b.detach().cpu().numpy()
        np.testing.assert_allclose(
            a.detach().cpu().numpy(), b, rtol=rtol, atol=rtol * np.abs(b).max(initial=1)
        )
