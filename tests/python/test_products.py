"""Products of matrices that are not like others: by the own transpose, of bfloat16, of many small ones."""

import itertools

import numpy as np
import pytest
import samplers as ops
import tidu as td
from tidu.nn import functional as F

WIDE = [np.float32, np.float64]
SHAPES = [
    (20, 35),
    (25, 20),
    (31, 60),
    (33, 700),
    (64, 64),
    (100, 100),
    (130, 300),
    (450, 40),
    (700, 33),
    (1040, 20),
]


def bits(x):
    return x.cpu().numpy().tobytes()


def bound_of(a, b, unit):
    """Of a sum of products in any order."""
    a, b = (np.abs(x.astype(np.float64)) for x in (a, b))
    return (2 * np.sqrt(a.shape[-1]) + 2) * unit * (a @ b)


# --- A matrix by its own transpose


def meetings(x):
    """x @ x.T and x.T @ x of x lying by rows, by columns, and by reversed rows of every second element."""
    scattered = td.tensor(np.repeat(x[::-1], 2, axis=1))[::-1, ::2]
    for y in (td.tensor(x), td.tensor(np.ascontiguousarray(x.T)).T, scattered):
        yield x, y, y.T
        yield x.T, y.T, y


@pytest.mark.parametrize("dtype", WIDE)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_matrix_by_its_transpose(shape, dtype, rng, device):
    x = rng.standard_normal(shape).astype(dtype)
    for values, left, right in meetings(x):
        got = (left @ right).cpu().numpy()
        wide = values.astype(np.float64)
        assert (np.abs(got - wide @ wide.T) <= bound_of(values, values.T, np.finfo(dtype).eps)).all()
        if device.type == "cpu" and len(got) > 16:
            np.testing.assert_array_equal(got, got.T)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_whose_memory_it_is_changes_nothing(shape, rng):
    """The bits are the same for a copy, so they are where a compiled function makes one of two values."""
    x = td.tensor(rng.standard_normal(shape).astype(np.float32))
    room = td.zeros((shape[0], shape[1] + 3))
    room[:, : shape[1]] = x
    assert bits(x.T @ x) == bits(x.T @ td.copy(x)) == bits(x.T @ room[:, : shape[1]])

    def f(x):
        return (x - td.mean(x, axis=0)).T @ (x - td.mean(x, axis=0))

    def g(x, y):
        return y + x.T @ x

    y = td.tensor(rng.standard_normal((shape[1], shape[1])).astype(np.float32))
    assert bits(td.compile(f)(x)) == bits(f(x))
    assert bits(td.compile(g)(x, y)) == bits(g(x, y)) == bits(y + x.T @ td.copy(x))


def test_each_of_a_batch_is_taken_by_itself(rng):
    x = rng.standard_normal((5, 300, 90)).astype(np.float32)
    y = x.copy()
    y[1] += 1
    y[3, -1, -1] = 2
    a, b = td.tensor(x), td.tensor(y)
    want = [bits(a[i].T @ b[i]) for i in range(5)]
    assert [bits(each) for each in a.mT @ b] == want
    assert [bits(each) for each in td.vmap(lambda x, y: x.T @ y)(a, b)] == want
    assert [bits(each) for each in td.vmap(lambda x: x.T @ x)(a)] == [bits(each.T @ each) for each in a]
    sums = td.compile(lambda a, b, c: c + a.mT @ b)(a, b, a.mT @ a)
    assert bits(sums) == bits(a.mT @ a + a.mT @ b)


@pytest.mark.cpu_only("threads of the host")
@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
def test_threads_change_no_bits_of_it(dtype, rng):
    x = td.tensor(rng.standard_normal((210, 190))).astype(getattr(td, dtype))
    y = td.copy(x)
    before = td.get_num_threads()
    try:
        found = set()
        for threads in (1, 2, 4):
            td.set_num_threads(threads)
            found.add(bits((x.T @ x).astype(td.float64)) + bits((x.T @ y).astype(td.float64)))
    finally:
        td.set_num_threads(before)
    assert len(found) == 1


@pytest.mark.cpu_only("threads of the host")
@pytest.mark.parametrize("dtype", WIDE)
@pytest.mark.parametrize(
    "shape", [(128, 128, 128), (300, 200, 520), (16, 1100, 300), (2100, 24, 30)], ids=str
)
def test_threads_change_no_bits_of_large_products(shape, dtype, rng):
    """In each layout, with a bias, in a batch, and added to what is there by a compiled function."""
    m, n, k = shape
    a, b = (rng.standard_normal(each).astype(dtype) for each in ((2, m, k), (2, k, n)))
    bias = td.tensor(rng.standard_normal(n).astype(dtype))
    onto = td.tensor(rng.standard_normal((m, n)).astype(dtype))
    added = td.compile(lambda x, a, b: x + a @ b)
    lefts = td.tensor(a), td.tensor(np.ascontiguousarray(a.swapaxes(-1, -2))).mT
    rights = td.tensor(b), td.tensor(np.ascontiguousarray(b.swapaxes(-1, -2))).mT
    before = td.get_num_threads()
    try:
        for left, right in itertools.product(lefts, rights):
            found = set()
            for threads in (1, 2, 3, 5):
                td.set_num_threads(threads)
                batch = left @ right
                values = batch, F.linear(left[1], right[1].T, bias), added(onto, left[0], right[0])
                found.add(b"".join(map(bits, values)))
            assert len(found) == 1
            unit = np.finfo(dtype).eps
            assert (np.abs(batch.numpy() - a.astype(np.float64) @ b) <= bound_of(a, b, unit)).all()
            assert bits(values[2]) == bits(onto + batch[0])
    finally:
        td.set_num_threads(before)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e30])
def test_what_is_not_finite_stays_in_its_row(value, rng):
    x = rng.standard_normal((100, 200)).astype(np.float32)
    x[40, 3] = value
    got = (td.tensor(x) @ td.tensor(x).T).cpu().numpy()
    with np.errstate(over="ignore", invalid="ignore"):
        want = x @ x.T
    others = np.arange(100) != 40
    assert np.isfinite(got[others][:, others]).all()
    np.testing.assert_array_equal(np.isfinite(got), np.isfinite(want))
    np.testing.assert_array_equal(np.isnan(got), np.isnan(want))


def test_gradients_of_it(rng):
    x = rng.standard_normal((40, 90))
    w = rng.standard_normal((90, 90))
    got = td.grad(lambda x: td.sum(x.T @ x * td.tensor(w)))(td.tensor(x)).cpu().numpy()
    np.testing.assert_allclose(got, x @ (w + w.T), rtol=1e-12, atol=1e-12)


# --- bfloat16


def narrow(values):
    x = td.tensor(values).astype(td.bfloat16)
    return x, x.astype(td.float64).cpu().numpy()


@pytest.mark.parametrize(
    "m,n,k",
    [(1, 1, 9000), (1, 300, 70), (300, 1, 70), (17, 65, 33), (130, 700, 90), (40, 40, 3000), (600, 600, 8)],
)
def test_bfloat16_is_rounded_once(m, n, k, rng):
    """Sums are float32's; their bits depend neither on the batch nor on what maps or compiles it."""
    for a_transposed, b_transposed in itertools.product((False, True), repeat=2):
        a, x = narrow(rng.standard_normal((k, m) if a_transposed else (m, k)))
        b, y = narrow(rng.standard_normal((n, k) if b_transposed else (k, n)))
        if a_transposed:
            a, x = a.T, x.T
        if b_transposed:
            b, y = b.T, y.T
        got = (a @ b).astype(td.float64).cpu().numpy()
        want = x @ y
        rounding = np.abs(want) * 2.0**-8 + bound_of(x, y, 2.0**-23)
        assert (np.abs(got - want) <= rounding).all()
        assert (td.compile(lambda a, b: a @ b)(a, b).astype(td.float64).cpu().numpy() == got).all()


@pytest.mark.parametrize("dtype", [td.bfloat16, td.float16], ids=str)
def test_16_bits_of_any_layout(dtype, rng):
    x = td.tensor(rng.integers(-3, 4, (60, 80)).astype(np.float32)).astype(dtype)
    y = td.tensor(rng.integers(-3, 4, (80, 50)).astype(np.float32)).astype(dtype)
    for a, b in ((x[:, ::2], y[::2]), (x[::-1], y), (x, y[:, ::-1]), (x[5:], y[:, 3:]), (x[:, :0], y[:0])):
        want = a.astype(td.float64) @ b.astype(td.float64)
        np.testing.assert_array_equal(exact(a @ b), exact(want.astype(dtype)))


def exact(x):
    return ops.to_array(x).astype(np.float64)


def test_bfloat16_in_batches_and_layers(rng):
    a = td.tensor(rng.standard_normal((4, 30, 40))).astype(td.bfloat16)
    b = td.tensor(rng.standard_normal((4, 40, 20))).astype(td.bfloat16)
    want = [exact(a[i] @ b[i]) for i in range(4)]
    np.testing.assert_array_equal(exact(a @ b), want)
    np.testing.assert_array_equal(exact(td.vmap(td.matmul)(a, b)), want)
    bias = td.tensor(rng.standard_normal(30)).astype(td.bfloat16)
    y = td.nn.functional.linear(b[0].T, a[0], bias)
    wide = exact(b[0]).T @ exact(a[0]).T
    assert (np.abs(exact(y) - wide - exact(bias)) <= np.abs(wide + exact(bias)) * 2.0**-8 + 1e-4).all()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_bfloat16_that_is_not_finite(value, rng):
    x = rng.integers(1, 3, (30, 40)).astype(np.float32)
    x[7, 5] = value
    y = np.ones((40, 20), np.float32)
    y[5, 3] = 0
    got = exact(td.tensor(x).astype(td.bfloat16) @ td.tensor(y).astype(td.bfloat16))
    with np.errstate(invalid="ignore"):
        np.testing.assert_array_equal(got, x @ y)


# --- Many small ones


@pytest.mark.parametrize("dtype", WIDE)
@pytest.mark.parametrize("n", [1, 2, 3, 4, 5])
def test_batches_of_small_matrices(n, dtype, rng):
    for a_transposed, b_transposed in itertools.product((False, True), repeat=2):
        x, y = rng.standard_normal((2, 7, 3, n, n)).astype(dtype)
        a, b = td.tensor(x), td.tensor(y)
        if a_transposed:
            a, x = a.mT, x.swapaxes(-1, -2)
        if b_transposed:
            b, y = b.mT, y.swapaxes(-1, -2)
        want = x.astype(np.float64) @ y.astype(np.float64)
        bound = bound_of(x, y, np.finfo(dtype).eps)
        for left, right, expected, most in (
            (a, b, want, bound),
            (a[::2, 1:], b[::2, 1:], want[::2, 1:], bound[::2, 1:]),
            (
                td.permute_dims(a, (1, 0, 2, 3)),
                td.permute_dims(b, (1, 0, 2, 3)),
                want.swapaxes(0, 1),
                bound.swapaxes(0, 1),
            ),
        ):
            assert (np.abs((left @ right).cpu().numpy() - expected) <= most).all()
        assert (np.abs((a @ b[0, 0]).cpu().numpy() - x @ y[0, 0]) <= 2 * bound.max()).all()
