"""Sizes beside those at which the kernels cut their work: vectors, tiles, blocks, tasks of threads."""

import itertools

import numpy as np
import pytest
import tidu as td
from scipy import special

VECTORS = (1, 2, 3, 4, 8, 16, 32, 64)
BLOCKS = (128, 256, 512, 1024, 4096)
TASKS = (16384, 32768)
ROWS = sorted({n + d for n in (*VECTORS, *BLOCKS) for d in (-1, 0, 1)})
LONG = sorted({n + d for n in (*BLOCKS, *TASKS) for d in (-1, 0, 1)})
UNITS = {td.float32: 2.0**-24, td.float64: 2.0**-53}


# name: (function of a tensor and an axis, NumPy's, roundings that it may be off by, None: the same bits)
ALONG = {
    "sum": (td.sum, np.sum, 40),
    "mean": (td.mean, np.mean, 40),
    "max": (td.max, np.max, None),
    "argmin": (td.argmin, np.argmin, None),
    "var": (td.var, np.var, 60),
    "logsumexp": (td.logsumexp, special.logsumexp, 40),
    "norm": (
        lambda x, axis: td.linalg.vector_norm(x, axis=axis),
        lambda x, axis: np.sqrt((x * x).sum(axis)),
        40,
    ),
    "cumulative_sum": (lambda x, axis: td.cumulative_sum(x, axis=axis), np.cumsum, 300),
    "cummax": (td.cummax, np.maximum.accumulate, None),
    "softmax": (td.softmax, special.softmax, 60),
    "log_softmax": (td.log_softmax, special.log_softmax, 60),
    "sort": (td.sort, np.sort, None),
    "argsort": (td.argsort, lambda x, axis: np.argsort(x, axis, kind="stable"), None),
}


def close(got, want, unit, steps, what):
    got = got.cpu().numpy()
    if steps is None:
        np.testing.assert_array_equal(got, want, err_msg=what)
        return
    scale = np.maximum(np.abs(want), 1) if np.size(want) else 1
    assert (np.abs(got - want) <= steps * unit * scale).all(), what


@pytest.mark.parametrize("dtype", UNITS, ids=str)
@pytest.mark.parametrize("name", ALONG)
def test_along_rows_and_columns(name, dtype, rng):
    f, reference, steps = ALONG[name]
    for n in ROWS:
        if n == 0 and name not in ("sum", "norm", "cumulative_sum", "sort"):
            continue
        x = rng.uniform(0.5, 1.5, (3, n)).astype(str(dtype).split(".")[-1])
        want = reference(x.astype(np.float64), axis=1)
        close(f(td.tensor(x), axis=1), want, UNITS[dtype], steps, f"rows of {n}")
        tall = td.tensor(np.ascontiguousarray(x.T))
        close(f(tall, axis=0), want.T, UNITS[dtype], steps, f"columns of {n}")
        close(f(tall.T, axis=1), want, UNITS[dtype], steps, f"rows of a transpose of {n}")


@pytest.mark.parametrize("name", ALONG)
def test_many_columns_and_long_rows(name, rng):
    f, reference, steps = ALONG[name]
    for n in LONG:
        x = rng.uniform(0.5, 1.5, (2, n)).astype(np.float32)
        for axis in (0, 1):
            want = reference(x.astype(np.float64), axis=axis)
            close(f(td.tensor(x), axis=axis), want, UNITS[td.float32], steps, f"{x.shape} along {axis}")


@pytest.mark.parametrize(
    "name", [n for n, (_, _, steps) in ALONG.items() if steps or n in ("max", "sort", "cummax")]
)
def test_derivatives_are_adjoint(name, rng):
    """<v, J u> = <J' v, u>, whatever the sizes."""
    f = ALONG[name][0]
    for shape, axis in (
        [((2, n), 1) for n in ROWS[1::3]] + [((n, 2), 0) for n in ROWS[2::3]] + [((3, 16385), 0)]
    ):
        x, u = (td.tensor(rng.normal(size=shape)) for _ in range(2))
        y, ju = td.jvp(lambda x, axis=axis: f(x, axis=axis), (x,), (u,))
        _, pullback = td.vjp(lambda x, axis=axis: f(x, axis=axis), x)
        v = td.tensor(rng.normal(size=y.shape))
        (back,) = pullback(v)
        left, right = td.sum(v * ju).item(), td.sum(back * u).item()
        assert abs(left - right) <= 1e-11 * (1 + td.sum(td.abs(back * u)).item()), shape


@pytest.mark.parametrize("name", ["one", "two", "chain", "broadcast", "compiled"])
def test_elements(name, rng):
    f, reference = {
        "one": (lambda a, b: td.exp(a), lambda a, b: np.exp(a)),
        "two": (lambda a, b: a * b, lambda a, b: a * b),
        "chain": (lambda a, b: td.tanh(a * b) + a, lambda a, b: np.tanh(a * b) + a),
        "broadcast": (lambda a, b: a[:, None] - b[None, :3], lambda a, b: a[:, None] - b[None, :3]),
        "compiled": (
            td.compile(lambda a, b: td.sqrt(td.exp(a) + b * b)),
            lambda a, b: np.sqrt(np.exp(a) + b * b),
        ),
    }[name]
    for n in sorted({*ROWS, *LONG}) if name != "compiled" else (0, 1, 1023, 1025, 4097, 16385):
        a, b = rng.uniform(-1, 1, (2, n))
        want = reference(a, b)
        close(f(td.tensor(a), td.tensor(b)), want, UNITS[td.float64], 8, f"{n}")
        apart = td.tensor(np.stack([b, b], 1).reshape(-1))[::2]
        close(f(td.tensor(a[::-1].copy())[::-1], apart), want, UNITS[td.float64], 8, f"views of {n}")


@pytest.mark.parametrize("share", [0, 0.02, 0.5, 1])
def test_nonzero(share, rng):
    for shape in ((1,), (16385,), (3, 17001), (40000, 2), (33, 1, 1025), (9000, 1), (5, 0, 3)):
        mask = rng.random(shape) < share
        for got, want in zip(td.nonzero(td.tensor(mask)), np.nonzero(mask), strict=True):
            close(got, want, 0, None, f"{shape}")


@pytest.mark.parametrize("dtype", ["int8", "float16", "int32", "float64", "complex128"])
def test_elements_of_vectors(dtype, rng):
    x = rng.integers(0, 100, 1000).astype(dtype)
    for n in LONG:
        at = rng.integers(-500, 500, n)
        close(td.tensor(x)[td.tensor(at)], x[at], 0, None, f"{n}")
        close(td.tensor(x)[::-2][td.tensor(at)], x[::-2][at], 0, None, f"every second, {n}")


@pytest.mark.cpu_only("device cuda finds them when its work is waited for")
def test_indices_out_of_range(rng):
    x = td.arange(1000)[::-2]
    for n in LONG:
        for wrong in (500, -501, 2**62, -(2**63)):
            at = rng.integers(-500, 500, n)
            at[n // 2] = wrong
            with pytest.raises(IndexError, match=f"index {wrong} at position {n // 2} "):
                x[td.tensor(at)]


@pytest.mark.cpu_only("device cuda finds them when its work is waited for")
def test_updates_of_vectors_out_of_range():
    for n in LONG:
        for wrong in (500, -501, 2**62, -(2**63)):
            at = np.full(n, 3)
            at[n // 2] = wrong
            with pytest.raises(IndexError, match=f"index {wrong} at position {n // 2} "):
                td.scatter_add(td.zeros(500), td.tensor(at), td.ones(n))


@pytest.mark.parametrize("dtype", ["int8", "uint16", "int64", "float16", "float32", "complex128"])
def test_updates_of_vectors(dtype, rng):
    """From every layout; and counts."""
    for n in LONG:
        at, updates = rng.integers(-50, 50, n), rng.integers(0, 3, 3 * n).astype(dtype)
        for given, array in (
            (td.tensor(updates[:n]), updates[:n]),
            (td.tensor(updates)[::-3], updates[::-3]),
            (td.tensor(updates[0]), updates[:1]),
        ):
            want = np.zeros(50, dtype)
            np.add.at(want, at, array)
            got = td.scatter_add(td.zeros(50, dtype=given.dtype), td.tensor(at), given).cpu().numpy()
            np.testing.assert_array_equal(got, want)
        np.testing.assert_array_equal(td.bincount(td.tensor(at + 50)).cpu().numpy(), np.bincount(at + 50))
    assert td.bincount(td.zeros(0, dtype=td.int64)).shape == (0,)


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint32", "int64"])
@pytest.mark.parametrize("name", ["cumsum", "cumprod"])
def test_scans_of_integers(name, dtype, rng):
    """Of long lines for each thread one part."""
    f = {"cumsum": td.cumulative_sum, "cumprod": td.cumulative_prod}[name]
    for n in (*LONG, 100_003):
        for shape in ((n,), (3, n), (n, 2)):
            x = rng.integers(0, 100, shape).astype(dtype)
            axis = 0 if shape[-1] == 2 else -1
            with np.errstate(over="ignore"):
                want = getattr(np, name)(x, axis=axis)
            got = f(td.tensor(x), axis=axis).cpu().numpy()
            np.testing.assert_array_equal(got, want, err_msg=f"{shape}")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_variances_of_columns(dtype, rng):
    """Beside blocks of rows and of columns, also where the first row is far from the others, or squares leave
    the range of the dtype in one column."""
    largest = float(np.finfo(dtype).max)
    for rows in (1, 2, 63, 64, 65, 129, 1000):
        for columns in (1, 2, 15, 16, 17, 31, 32, 33, 70, 1030):
            x = rng.normal(size=(rows, columns)).astype(dtype)
            x[0] *= 1000
            x[:, columns // 2] *= dtype_of(x)(largest / 8e3)
            x[:, -1] = 7
            for given, array in ((td.tensor(x), x), (td.tensor(x)[::-1, ::-1], x[::-1, ::-1])):
                want = array.astype(np.longdouble).std(0)
                got = td.std(given, axis=0).cpu().numpy()
                np.testing.assert_allclose(got, want, rtol=30 * np.finfo(dtype).eps, atol=0)


def dtype_of(x):
    return x.dtype.type


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint8", "uint16", "int32", "int64", "uint64", "float32"])
def test_elements_among_others(dtype, rng):
    """Of integers that lie close by a table, which knows the ends of their dtype."""
    least, most = (0, 1) if dtype == "bool" else (0, 99) if dtype[0] == "f" else bounds(dtype)
    for shape in ((3,), (1023,), (1024,), (70, 30), (40, 3, 20)):
        x = rng.integers(max(least, -50), min(most, 50), shape, endpoint=True)
        x.flat[0], x.flat[-1] = max(least, -(2**62)), min(most, 2**62)
        for low, high in ((20, 30), (-(2**40), 2**40), (least, least + 1), (most - 1, most)):
            ends = (min(max(end, least), most, 2**63 - 1) for end in (low, high))
            values = rng.integers(*ends, 7, endpoint=True)
            given, among = x.astype(dtype), values.astype(dtype)
            for invert in (False, True):
                want = np.isin(given, among, invert=invert)
                got = td.isin(td.tensor(given), td.tensor(among), invert=invert).cpu().numpy()
                np.testing.assert_array_equal(got, want, err_msg=f"{shape} among {among}")
                turned = td.isin(
                    td.tensor(given).mT if given.ndim > 1 else td.tensor(given), td.tensor(among)
                )
            if given.ndim > 1:
                np.testing.assert_array_equal(turned.mT.cpu().numpy(), np.isin(given, among))
    x = td.tensor(np.array([[-(2**63), 2**63 - 1, 0]] * 400))
    for value in (-(2**63), 2**63 - 1):
        want = (x == value).cpu().numpy()
        np.testing.assert_array_equal(td.isin(x, td.tensor([value])).cpu().numpy(), want)


def bounds(dtype):
    return int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)


@pytest.mark.parametrize("dtype", ["uint8", "float16", "float32", "float64", "complex128"])
def test_a_column_beside_a_matrix(dtype, rng):
    for rows in (1, 2, 3, 100, 1025):
        column = rng.integers(0, 9, (rows, 1)).astype(dtype)
        for columns in (1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 63, 65, 129, 1030):
            x = rng.integers(0, 9, (rows, columns)).astype(dtype)
            np.testing.assert_array_equal((td.tensor(x) * td.tensor(column)).cpu().numpy(), x * column)
            np.testing.assert_array_equal(
                td.copy(td.broadcast_to(td.tensor(column), x.shape)).cpu().numpy(),
                np.broadcast_to(column, x.shape),
            )


def test_products_of_vectors(rng):
    """Beside the length at which they are products, and that beyond which they are several."""
    for n in (31, 32, 33, 65535, 65536, 65537, 150_001):
        for dtype in ("float16", "float32", "float64", "complex64"):
            x, y = (rng.uniform(0.1, 0.2, (2, n)) + (1j if dtype[0] == "c" else 0) for _ in range(2))
            x, y = td.tensor(x).astype(dtype), td.tensor(y).astype(dtype)
            wide = [v.cpu().numpy().astype(np.complex128) for v in (x, y)]
            want = (wide[0].conj() * wide[1]).sum(-1)
            eps = td.finfo(dtype).eps
            np.testing.assert_allclose(td.vecdot(x, y).cpu().numpy(), want, rtol=4 * eps)
            np.testing.assert_allclose(td.vecdot(x[:1], y).cpu().numpy()[:1], want[:1], rtol=4 * eps)
            turned = td.vecdot(x[:, ::-1].mT, y.mT[::-1], axis=0).cpu().numpy()
            np.testing.assert_allclose(turned, want, rtol=4 * eps)


@pytest.mark.parametrize("dtype", ["int8", "uint16", "int64", "uint64", "float16", "float32", "float64"])
def test_clip(dtype, rng):
    for n in LONG:
        x = (rng.integers(0, 100, n) - (20 if dtype[0] != "u" else 0)).astype(dtype)
        for low, high in ((20, 60), (60, 20), (0, 100)):
            close(td.clip(td.tensor(x), low, high), np.clip(x, low, high), 0, None, f"{n}")
            close(td.clip(td.tensor(x)[::2], low, high), np.clip(x[::2], low, high), 0, None, f"{n}")


PERMUTED = [(33, 65), (129, 130), (1, 257, 3), (3, 37, 67), (130, 5, 9), (700, 3, 3), (9, 20, 150), (5, 0, 7)]
PERMUTED += [(17, 3, 65, 2), (2, 33, 4, 35)]


@pytest.mark.cpu_only("the cuts of device cpu; test_layouts.py has the layouts of both")
@pytest.mark.parametrize(
    "dtype", ["bool", "int8", "float16", "float32", "float64", "complex64", "complex128"]
)
def test_permuted_axes(dtype, rng):
    """Copies of elements of every size, and operands all or some of which lie across the result."""
    for shape in PERMUTED:
        for axes in itertools.permutations(range(len(shape))):
            x = rng.integers(0, 100, shape).astype(dtype)
            other = rng.integers(0, 100, [shape[i] for i in axes]).astype(dtype)
            want, what = np.transpose(x, axes), f"{shape} by {axes}"
            a, b = td.permute_dims(td.tensor(x), axes), td.tensor(other)
            close(td.copy(a), want, 0, None, what)
            close(td.copy(td.flip(a)), np.flip(want), 0, None, what)
            close(a == b, want == other, 0, None, what)
            close(td.where(a == a, a, b), want, 0, None, what)
            close(td.where(td.permute_dims(td.tensor(x != 3), axes), a, a), want, 0, None, what)
            target = td.zeros(shape, dtype=a.dtype)
            td.permute_dims(target, axes)[...] = b
            close(target, np.transpose(other, np.argsort(axes)), 0, None, what)
            if dtype in ("bool", "int8"):
                continue
            close(a + a, want + want, 0, None, what)
            close(a - b, want - other, 0, None, what)
            close(b * 2 - a, other * 2 - want, 0, None, what)
            if x.ndim == 3:  # one broadcast, one across
                close(a + b[:, :1], want + other[:, :1], 0, None, what)


@pytest.mark.cpu_only("test_cuda_matmul.py has those of device cuda")
@pytest.mark.parametrize("dtype", UNITS, ids=str)
def test_products_beside_blocks(dtype, rng):
    for sides in (
        (1, 2, 3),
        (4, 5, 7),
        (8, 9, 15),
        (16, 17, 31),
        (32, 33, 63),
        (64, 65, 127),
        (255, 256, 257),
    ):
        for m in sides:
            k, n = rng.choice(sides, 2)
            a, b = (rng.uniform(-1, 1, s).astype(str(dtype).split(".")[-1]) for s in ((m, k), (k, n)))
            want = a.astype(np.float64) @ b.astype(np.float64)
            for left in (td.tensor(a), td.tensor(np.ascontiguousarray(a.T)).T):
                for right in (td.tensor(b), td.tensor(np.ascontiguousarray(b.T)).T):
                    close(left @ right, want, UNITS[dtype], 2 * k, f"{m} {k} {n}")
                    close(td.stack([left, left]) @ right, np.stack([want] * 2), UNITS[dtype], 2 * k, "stack")
            close(td.tensor(a) @ td.tensor(b[:, 0].copy()), want[:, 0], UNITS[dtype], 2 * k, "vector")


def test_places_along_an_axis(rng):
    for n in (1, 15, 16, 17, 255, 257, 4097, 16385):
        x, at = rng.normal(size=(n, 3)), rng.integers(-n, n, n + 1)
        t, places = td.tensor(x), td.tensor(at)
        np.testing.assert_array_equal(td.take(t, places, axis=0).cpu().numpy(), x[at])
        np.testing.assert_array_equal(t[places, 1].cpu().numpy(), x[at, 1])
        np.testing.assert_array_equal(td.flip(t, 0).cpu().numpy(), x[::-1])
        np.testing.assert_array_equal(td.roll(t, 1, 0).cpu().numpy(), np.roll(x, 1, 0))
        want = np.zeros((n, 3))
        np.add.at(want, at, x[at])
        got = td.scatter_add(td.zeros((n, 3), dtype=td.float64), td.tensor(at % n), t[places], axis=0)
        np.testing.assert_allclose(got.cpu().numpy(), want, rtol=1e-12, atol=1e-12)
        np.testing.assert_array_equal(
            td.searchsorted(td.sort(t[:, 0]), t[:, 1]).cpu().numpy(),
            np.searchsorted(np.sort(x[:, 0]), x[:, 1]),
        )


def test_drawn_numbers_do_not_depend_on_how_many_there_are():
    key = td.random.key(5)
    for draw in (td.random.bits, td.random.uniform, td.random.normal):
        most = draw(key, (33000,)).cpu().numpy()
        for n in (1, 3, 4, 5, 127, 129, 255, 257, 1023, 1025, 16383, 16385):
            np.testing.assert_array_equal(draw(key, (n,)).cpu().numpy(), most[:n])


@pytest.mark.parametrize("columns", [1, 2, 3, 4, 64, 65])
def test_compiled_reductions_of_few_columns(columns, rng):
    """What special cases of one column leave to the others."""
    f = td.compile(lambda x: (td.sum(td.exp(x), -2), td.max(x * 2, -2), td.mean(td.sqrt(x), -2)))
    for shape in ((255, columns), (1025, columns), (4097, columns), (3, 257, columns)):
        x = rng.uniform(0.5, 1.5, shape)
        wide = x.astype(np.longdouble)  # NumPy adds columns one element after another
        want = np.exp(wide).sum(-2), (x * 2).max(-2), np.sqrt(wide).mean(-2)
        for got, value in zip(f(td.tensor(x)), want, strict=True):
            close(got, value, UNITS[td.float64], 40, str(shape))


@pytest.mark.parametrize("f", ["any", "all", "max", "min"])
def test_truth_is_settled_by_any_element(f):
    """Where one part says it, the others are not read."""
    for n in (1, 4095, 4097, 16385, 32769, 131073):
        for shape in ((1, n), (3, n), (2, 1, n)):
            one = f in ("any", "max")  # what settles it
            x = np.full(shape, not one)
            for place in (0, n // 2, n - 1):
                x[..., place] = one
                want = getattr(np, f)(x, axis=-1)
                np.testing.assert_array_equal(getattr(td, f)(td.tensor(x), axis=-1).cpu().numpy(), want)
                x[1:, ..., place] = not one  # of the first row alone
                for axis in (-1, None):
                    want = getattr(np, f)(x, axis=axis)
                    got = getattr(td, f)(td.tensor(x), axis=axis).cpu().numpy()
                    np.testing.assert_array_equal(got, want, err_msg=f"{shape} at {place}")
                x[..., place] = not one


@pytest.mark.parametrize("dtype", ["int8", "float16", "float32", "complex128"])
@pytest.mark.parametrize(
    "shape", [(300, 3, 4), (3, 300, 2, 2), (2, 2, 341, 3), (1025, 1, 3, 5), (2, 129, 3, 1, 2)]
)
def test_few_elements_in_the_last_axes(shape, dtype, rng):
    """Blocks that lie along another axis, of copies and of operations."""
    x = rng.integers(-9, 9, shape).astype(dtype)
    t = td.tensor(x)
    rank = len(shape)
    for axis in range(rank):
        np.testing.assert_array_equal(td.repeat(t, 3, axis=axis).cpu().numpy(), np.repeat(x, 3, axis))
        moved = np.moveaxis(x, axis, -1)
        np.testing.assert_array_equal(td.copy(td.moveaxis(t, axis, -1)).cpu().numpy(), moved)
        line = x[tuple(slice(None) if i == axis else slice(1) for i in range(rank))]
        np.testing.assert_array_equal((t + td.tensor(line)).cpu().numpy(), x + line)
        np.testing.assert_array_equal(
            (td.moveaxis(t, axis, -1) + td.moveaxis(t, axis, -1)).cpu().numpy(), moved + moved
        )
        np.testing.assert_array_equal((td.flip(t, axis) * t).cpu().numpy(), np.flip(x, axis) * x)
    np.testing.assert_array_equal(td.tile(t, (2,) * rank).cpu().numpy(), np.tile(x, (2,) * rank))
    if dtype != "complex128":
        turned = td.permute_dims(t, tuple(range(rank))[::-1])
        np.testing.assert_array_equal(td.astype(turned, td.float64).cpu().numpy(), x.T.astype(np.float64))
