"""Every primitive on every memory layout and on shapes that are hard for vector code."""

import itertools
from functools import partial

import numpy as np
import pytest
import samplers as ops
import tidu as td
from scipy import special

SHAPES = [(), (1,), (7,), (1023,), (0,), (3, 0, 2), (4, 6, 5), (1, 9, 1), (2, 3, 2, 3, 2)]


def laid_out(case, arrays, dtype, storage):
    tensors, values = [], []
    for i, array in enumerate(arrays):
        fixed = isinstance(case.inputs[i], ops.Fixed)
        tensor, value = ops.with_storage(
            array, case.dtype_of_input(i, dtype), "contiguous" if fixed else storage[i % len(storage)]
        )
        tensors.append(tensor)
        values.append(value)
    return tensors, values


MIXED = [[storage] for storage in ops.STORAGES] + [
    ["contiguous", "permuted", "broadcast"],
    ["broadcast", "contiguous", "negative steps"],
]


@pytest.mark.parametrize("storage", MIXED, ids=",".join)
@pytest.mark.parametrize("case", ops.ELEMENTWISE, ids=str)
def test_elementwise(case, storage):
    for dtype in case.dtypes:
        for shape in SHAPES:
            tensors, values = laid_out(case, case.arrays(21, dtype, shape), dtype, storage)
            case.check(tensors, values, dtype, f"{dtype}{shape}")


@pytest.mark.parametrize("storage", MIXED[1:], ids=",".join)
@pytest.mark.parametrize("case", ops.OTHERS, ids=str)
def test_others(case, storage):
    for dtype in case.dtypes:
        tensors, values = laid_out(case, case.arrays(22, dtype), dtype, storage)
        case.check(tensors, values, dtype, str(dtype))


@pytest.mark.parametrize("case", ops.ELEMENTWISE, ids=str)
def test_threaded(case):
    """Arrays large enough to be shared among threads, in order and transposed."""
    for dtype in (td.float32, td.bfloat16, td.int32):
        if dtype not in case.dtypes:
            continue
        for shape, storage in (
            ((100_003,), "contiguous"),
            ((301, 401), "permuted"),
            ((401, 301), "broadcast"),
        ):
            tensors, values = laid_out(case, case.arrays(23, dtype, shape), dtype, [storage, "contiguous"])
            case.check(tensors, values, dtype, f"{dtype}{shape}")


@pytest.mark.parametrize("storage", MIXED[1:], ids=",".join)
@pytest.mark.parametrize("case", [c for c in ops.CASES.values() if c.differentiable], ids=str)
def test_gradients(case, storage):
    """Layout changes nothing: the gradient is that of a contiguous copy."""
    tensors, values = laid_out(case, case.arrays(24, td.float64), td.float64, storage)
    plain = [ops.to_tensor(v, case.dtype_of_input(i, td.float64)) for i, v in enumerate(values)]

    def gradients(inputs):
        def f(*primals):
            everything = list(inputs)
            for i, primal in zip(case.differentiable, primals, strict=True):
                everything[i] = primal
            return case.function(*everything)

        y, pullback = td.vjp(f, *(inputs[i] for i in case.differentiable))
        return pullback(td.broadcast_to(td.tensor(0.5, dtype=td.float64), y.shape))

    for got, want in zip(gradients(tensors), gradients(plain), strict=True):
        np.testing.assert_allclose(got.cpu().numpy(), want.cpu().numpy(), rtol=1e-13, atol=1e-14)


# --- Reductions and products at sizes that are cut into blocks


REDUCTIONS = list(ops.REDUCTION_REFERENCES)


@pytest.mark.parametrize("name", REDUCTIONS)
@pytest.mark.parametrize(
    "shape,axis",
    [
        ((100_003,), None),
        ((100_003,), 0),
        ((1023, 129), 0),
        ((129, 1023), 1),
        ((7, 1001, 33), 1),
        ((3, 2, 70_001), -1),
        ((70_001, 3), 0),
        ((40, 30, 50), (0, 2)),
        ((40, 30, 50), (1,)),
        ((1, 5, 1), (0, 2)),
    ],
    ids=str,
)
def test_large_reductions(name, shape, axis):
    if name in ("argmax", "argmin") and isinstance(axis, tuple):
        return
    rng = np.random.default_rng(25)
    x = rng.uniform(0.99, 1.01, shape).astype(np.float32)
    wide = x.astype(np.float64)
    want = ops.REDUCTION_REFERENCES[name].reference(wide, axis=axis)
    exact = ops.PRIMITIVES[name]["derivative"] == "zero" or name in ("max", "min")
    for array in (x, np.asfortranarray(x)):
        got = getattr(td, name)(td.from_numpy(array), axis=axis).cpu().numpy()
        if exact:
            np.testing.assert_array_equal(got, want)
        else:
            # Of a tree of sums the error grows with the logarithm of the count, of a product with its root.
            count = x.size / max(want.size, 1)
            steps = np.sqrt(count) * 4 if name == "prod" else np.log2(count + 1) + 8
            np.testing.assert_allclose(got, want, rtol=steps * 2.0**-23)


@pytest.mark.parametrize("name", ops.SCAN_REFERENCES)
@pytest.mark.parametrize(
    "shape,axis",
    [
        ((100_003,), 0),
        ((3, 5000), 1),
        ((5000, 3), 0),
        ((2, 3000, 5), 1),
        ((300, 700), 0),
        ((4, 0, 3), 1),
        ((0, 4), 1),
    ],
    ids=str,
)
def test_large_scans(name, shape, axis):
    rng = np.random.default_rng(27)
    x = rng.uniform(0.99, 1.01, shape).astype(np.float32)
    wide = x.astype(np.float64)
    if name == "logcumsumexp":
        want = np.log(np.exp(wide).cumsum(axis))
    else:
        want = ops.SCAN_REFERENCES[name].reference(wide, axis=axis)
    # Inside a block one element after another is added, so roundings are as many as its elements.
    steps = {"cumulative_prod": 4 * np.sqrt(shape[axis]), "cummax": 0, "cummin": 0}.get(name, 128)
    for array in (x, np.asfortranarray(x)):
        got = getattr(td, name)(td.from_numpy(array), axis=axis).cpu().numpy()
        np.testing.assert_allclose(got, want, rtol=steps * 2.0**-23)


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0)], ids=str)
def test_reductions_of_nothing(shape):
    x = td.zeros(shape)
    assert td.sum(x).tolist() == 0
    assert td.prod(x).tolist() == 1
    assert td.any(x).tolist() is False
    assert td.all(x).tolist() is True
    assert td.logsumexp(x).tolist() == -np.inf
    assert td.count_nonzero(x).tolist() == 0
    for f in (td.mean, td.var, td.std):
        assert np.isnan(f(x).tolist())
    for f in (td.max, td.min, td.argmax, td.argmin):
        with pytest.raises(ValueError, match="no elements"):
            f(x)
    if shape == (0, 3):
        assert td.sum(x, axis=0).tolist() == [0, 0, 0]
        assert td.max(x, axis=1).shape == (0,)
    assert td.grad(lambda x: td.sum(x * x))(x).shape == shape


@pytest.mark.parametrize("m,k,n", [(1, 1000, 1), (129, 65, 257), (300, 1, 300), (1, 513, 700), (700, 513, 1)])
def test_matmul_sizes(m, k, n):
    rng = np.random.default_rng(26)
    a, b = rng.standard_normal((m, k)), rng.standard_normal((k, n))
    for dtype, unit in ((np.float32, 2.0**-24), (np.float64, 2.0**-53)):
        x, y = a.astype(dtype), b.astype(dtype)
        want = x.astype(np.float64) @ y.astype(np.float64)
        bound = 2 * np.sqrt(k) * unit * (np.abs(x).astype(np.float64) @ np.abs(y)) + unit * np.abs(want) * 2
        for left in (
            td.tensor(x),
            td.tensor(np.ascontiguousarray(x.T)).T,
            td.tensor(np.repeat(x, 2, 1))[:, ::2],
        ):
            for right in (
                td.tensor(y),
                td.tensor(np.ascontiguousarray(y.T)).T,
                td.tensor(y[::-1].copy())[::-1],
            ):
                assert (np.abs((left @ right).cpu().numpy() - want) <= bound).all()


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint16", "int32", "int64", "float16", "bfloat16"])
@pytest.mark.parametrize("shape", [(5, 7, 3), (70, 130, 40), (1, 33, 65), (33, 1, 65)])
def test_matmul_of_other_dtypes(shape, dtype):
    m, n, k = shape
    generator = np.random.default_rng(m + n + k)
    for a_transposed, b_transposed in itertools.product((False, True), repeat=2):
        # Whole numbers whose products and sums 16 bits hold.
        a = generator.integers(0, 2, (k, m) if a_transposed else (m, k))
        b = generator.integers(0, 3, (n, k) if b_transposed else (k, n))
        x, y = (td.tensor(values).astype(getattr(td, dtype)) for values in (a, b))
        product = (x.T if a_transposed else x) @ (y.T if b_transposed else y)
        want = (a.T if a_transposed else a) @ (b.T if b_transposed else b)
        assert product.dtype == x.dtype
        np.testing.assert_array_equal(
            ops.to_array(product.astype(td.int64)),
            want if "float" in dtype else want.astype(dtype).astype(int),
        )


@pytest.mark.parametrize("storage", ops.STORAGES)
def test_views_share_memory_and_copies_do_not(storage):
    x, values = ops.with_storage(np.arange(12.0).reshape(3, 4), td.float64, storage)
    if storage == "broadcast":
        with pytest.raises(ValueError):
            x[0] = 1
        return
    for view in (x[1:], x.T, x[:, ::-1], x[0], x[..., None]):
        before = td.copy(view)
        view += 100
        np.testing.assert_array_equal(view.cpu().numpy(), before.cpu().numpy() + 100)
        view -= 100
    np.testing.assert_array_equal(x.cpu().numpy(), values)
    y = td.copy(x)
    y += 1
    np.testing.assert_array_equal(x.cpu().numpy(), values)


# ---- Strides that say nothing: those of axes of extent 1, and of views without elements


def views(shape, rng):
    """Views of that shape, each with NumPy's of the same elements: any order of axes, any steps."""
    for _ in range(20):
        order = rng.permutation(len(shape))
        steps = rng.choice([1, 2, -1, -3], len(shape))
        base = [abs(step) * max(shape[i], 1) for i, step in zip(order, steps, strict=True)]
        array = np.arange(np.prod(base)).reshape(base)
        take = tuple(slice(None, None, int(step)) for step in steps)
        cut = tuple(slice(0, extent) for extent in shape)
        axes = tuple(int(axis) for axis in np.argsort(order))
        yield td.permute_dims(td.asarray(array)[take], axes)[cut], array[take].transpose(axes)[cut]


@pytest.mark.parametrize(
    ("shape", "others"),
    [
        ((2, 1, 2), [(4,), (2, 2), (1, 4), (1, 2, 1, 2, 1), (4, 1)]),
        ((3, 1, 4, 1, 2), [(24,), (3, 8), (12, 2), (6, 4), (3, 2, 1, 2, 2), (1, 24)]),
        ((1, 6, 1), [(6,), (2, 3), (6, 1), (3, 1, 2)]),
        ((0, 3), [(0,), (3, 0), (2, 0, 5), (0, 1, 3)]),
        ((5, 0, 2), [(0, 10), (0,), (1, 0)]),
    ],
    ids=str,
)
def test_reshape_of_views(shape, others, rng):
    for view, array in views(shape, rng):
        for other in others:
            np.testing.assert_array_equal(td.reshape(view, other).cpu().numpy(), array.reshape(other))


@pytest.mark.parametrize("shape", [(1, 3), (3, 1, 4), (2, 3, 1, 2)], ids=str)
def test_argmax_of_views(shape, rng):
    for view, array in views(shape, rng):
        for axis in range(len(shape)):
            np.testing.assert_array_equal(td.argmax(view, axis).cpu().numpy(), array.argmax(axis))
            np.testing.assert_array_equal(td.argmin(-view, axis).cpu().numpy(), array.argmax(axis))


@pytest.mark.parametrize("shape", [(5, 2, 0, 2), (2, 0), (0, 2, 3), (2, 3, 4, 0)], ids=str)
def test_broadcasting_nothing(shape):
    for axis in range(len(shape)):
        one = tuple(1 if i == axis else extent for i, extent in enumerate(shape))
        y = td.ones(shape) + td.ones(one)
        assert y.shape == shape and y.tolist() == np.ones(shape).tolist()
        y += 1
        assert td.where(y > 0, y, td.ones(one)).sum().item() == 0


@pytest.mark.cpu_only("reads the statistics of cpu's allocator")
@pytest.mark.parametrize(
    "name", ["sum", "mean", "std", "max", "count_nonzero", "logsumexp", "argmax", "any", "all"]
)
@pytest.mark.parametrize(
    "view", ["dense", "reversed", "broadcast", "strided", "permuted", "bool", "float16", "int8"]
)
def test_reductions_copy_no_view(name, view):
    if view in {"bool", "int8"} and name in {"std", "logsumexp"}:
        return  # computed of a float32 copy
    x = td.full((1024, 1024), 1 / 64).astype(getattr(td, view, td.float32))
    x = {
        "reversed": lambda: x[::-1, ::-1],
        "broadcast": lambda: td.broadcast_to(x[0], (1024, 1024)),
        "strided": lambda: x[:, ::2],
        "permuted": lambda: x.mT,
    }.get(view, lambda: x)()
    for axis in (0, 1, None):
        reduce = partial(getattr(td, name), x, axis=axis)
        expected = getattr(np, name, special.logsumexp)(x.numpy().astype(np.float32), axis=axis)
        np.testing.assert_allclose(reduce().astype(td.float64).numpy(), expected, rtol=2e-3)
        if name == "argmax" and axis is None:
            continue  # of the flattened tensor
        before = td.cpu.memory_stats()["live_bytes"]
        td.cpu.reset_peak_memory()
        reduce()
        taken = td.cpu.memory_stats()["peak_bytes"] - before
        assert taken < x.nbytes / 2, f"axis {axis}"


@pytest.mark.cpu_only("counts the allocations of the cpu")
def test_products_copy_no_matrix_of_whole_rows_or_columns(peak_bytes):
    x, wide, right = td.ones((48, 32)), td.ones((48, 80)), td.ones((32, 24))
    in_order = {
        "rows": x,
        "columns": td.ones((32, 48)).T,
        "part of rows": wide[:, 8:40],
        "part of columns": td.ones((80, 48))[8:40].T,
        "every other row": td.ones((96, 32))[::2],
        "one row": wide[::-1][:1, :32],
        "one column": td.ones((32, 80)).T[3:4],
        "column of one": wide[:, 3:4],
        "backwards in one row": td.ones((48, 32))[:1][::-1],
    }
    across = {
        "every other column": wide[:, ::2][:, :32],
        "rows backwards": x[::-1],
        "columns backwards": x[:, ::-1],
        "one row for all": td.broadcast_to(x[:1], (48, 32)),
        "one column for all": td.broadcast_to(x[:, :1], (48, 32)),
    }
    for copies, layouts in enumerate((in_order, across)):
        for name, a in layouts.items():
            b = right if a.shape[1] == 32 else td.ones((a.shape[1], 24))
            y = a @ b
            taken = y.nbytes + copies * a.nbytes
            assert peak_bytes(td.matmul, a, b) == taken, name
            assert peak_bytes(td.matmul, b.T, a.T) == taken, f"{name}, on the right"
    # Of integers the right one lies by rows.
    a, b = td.ones((48, 32), dtype=td.int32), td.ones((24, 32), dtype=td.int32)
    assert peak_bytes(td.matmul, a, b.T) == 48 * 24 * 4 + b.nbytes
    assert peak_bytes(td.matmul, a, td.copy(b.T)) == 48 * 24 * 4
