"""Products of matrices that are not like others: of bfloat16, of many small ones."""

import itertools

import numpy as np
import pytest
import samplers as ops
import tidu as td

WIDE = [np.float32, np.float64]


def bound_of(a, b, unit):
    """Of a sum of products in any order."""
    a, b = (np.abs(x.astype(np.float64)) for x in (a, b))
    return (2 * np.sqrt(a.shape[-1]) + 2) * unit * (a @ b)


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
