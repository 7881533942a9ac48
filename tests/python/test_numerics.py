"""Special values: NaN, infinities, signed zeros, overflow, integer corner cases."""

import math

import mpmath
import numpy as np
import pytest
import samplers as ops
import tidu as td
from scipy import special

NAN, INF = math.nan, math.inf
WIDE_FLOATS = [td.float32, td.float64]
SPECIALS = [0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 2.0, -2.0, 3.0, 1e4, -1e4, INF, -INF, NAN, 1e-30, -1e-30, 100.5]

# Where a limit is meant that NumPy's formula does not give.
UNARY_EXPECTED = {
    "silu": lambda x: np.where(x == -INF, 0.0, ops.REFERENCES["silu"](x)),
    "gelu": lambda x: np.where(x == -INF, 0.0, ops.REFERENCES["gelu"](x)),
    "log_sigmoid": lambda x: special.log_expit(x),
    "relu": lambda x: np.maximum(x, 0),
    "gelu_tanh": lambda x: np.where(x == -INF, 0.0, ops.REFERENCES["gelu_tanh"](x)),
    "mish": lambda x: np.where(x == -INF, 0.0, ops.REFERENCES["mish"](x)),
    "polygamma": lambda x: np.where(x == -INF, NAN, ops.REFERENCES["polygamma"](x)),
    "bessel_i": lambda x: np.where(np.isinf(x), INF, ops.REFERENCES["bessel_i"](x)),
    "bessel_ie": lambda x: np.where(np.isinf(x), 0.0, ops.REFERENCES["bessel_ie"](x)),
}


@pytest.mark.parametrize("dtype", WIDE_FLOATS, ids=str)
@pytest.mark.parametrize("case", [c for c in ops.ELEMENTWISE if len(c.inputs) == 1], ids=str)
def test_unary_specials(case, dtype):
    if dtype not in case.dtypes:
        return
    x = ops.to_array(ops.to_tensor(SPECIALS, dtype)).astype(np.float64)
    with np.errstate(all="ignore"):
        want = UNARY_EXPECTED.get(case.name, case.reference)(x)
    ulps = 1e5 if case.name in ("tan", "gelu", "gelu_tanh") else case.ulps
    got = case.function(ops.to_tensor(x, dtype))
    ops.assert_close(got, want, case.result(dtype), ulps, case.error_scale([x]), case.name)


@pytest.mark.parametrize("dtype", WIDE_FLOATS, ids=str)
@pytest.mark.parametrize("case", [c for c in ops.ELEMENTWISE if len(c.inputs) == 2], ids=str)
def test_binary_specials(case, dtype):
    if dtype not in case.dtypes:
        return
    values = ops.to_array(ops.to_tensor(SPECIALS, dtype)).astype(np.float64)
    a, b = (grid.ravel() for grid in np.meshgrid(values, values))
    with np.errstate(all="ignore"):
        want = case.reference(a, b)
    got = case.function(ops.to_tensor(a, dtype), ops.to_tensor(b, dtype))
    if case.name in ("floor_divide", "remainder"):
        divided = b != 0 if case.name == "remainder" else np.isfinite(a) & np.isfinite(b) & (b != 0)
        keep = np.flatnonzero(divided & (np.abs(a) < 1e30))
        want, got = want[keep], got[td.tensor(keep)]
    scale = case.error_scale([a, b]) if case.name in ops.SUMS_OF_TERMS else None
    ops.assert_close(got, want, case.result(dtype), case.ulps, scale, case.name)


def test_signed_zeros():
    def is_negative(x):
        return np.signbit(x.cpu().numpy()).tolist()

    zeros = td.tensor([0.0, -0.0])
    assert is_negative(zeros) == [False, True]
    assert is_negative(-zeros) == [True, False]
    assert is_negative(td.abs(zeros)) == [False, False]
    for f in (
        td.sqrt,
        td.sin,
        td.tan,
        td.tanh,
        td.expm1,
        td.log1p,
        td.asinh,
        td.erf,
        td.floor,
        td.round,
        td.trunc,
    ):
        assert is_negative(f(zeros)) == [False, True], f
    assert td.reciprocal(zeros).tolist() == [INF, -INF]
    assert is_negative(zeros * -1) == [True, False]
    assert is_negative(td.ceil(td.tensor([-0.5]))) == [True]
    assert td.atan2(zeros, td.tensor([-1.0, -1.0])).tolist() == pytest.approx([math.pi, -math.pi])


def test_overflow_and_underflow():
    x = td.tensor([1000.0, -1000.0, 89.0, -104.0], dtype=td.float32)
    assert td.exp(x).tolist() == [INF, 0, INF, 0]
    assert td.exp(td.tensor([1000.0, -1000.0], dtype=td.float64)).tolist() == [INF, 0]
    assert td.log(td.tensor([0.0, -0.0, -1.0])).tolist()[:2] == [-INF, -INF]
    assert math.isnan(td.log(td.tensor(-1.0)).tolist())
    big = td.tensor([1e4, -1e4])
    assert td.sigmoid(big).tolist() == [1, 0]
    assert td.tanh(big).tolist() == [1, -1]
    assert td.softplus(big).tolist() == [1e4, 0]
    assert td.log_sigmoid(big).tolist() == [0, -1e4]
    assert td.hypot(td.tensor(3e38), td.tensor(0.0)).tolist() == pytest.approx(3e38)
    assert td.logaddexp(
        td.tensor([1000.0, -INF, INF]), td.tensor([1000.0, -INF, INF])
    ).tolist() == pytest.approx([1000 + math.log(2), -INF, INF])
    half = td.tensor([60000.0], dtype=td.float16)
    assert (half + half).tolist() == [INF]
    assert td.tensor([3e38]).astype(td.bfloat16).tolist() == pytest.approx([3e38], rel=2**-8)
    # A sum of half numbers is accumulated in float32, so ones above 2048 still count.
    assert td.sum(td.ones((5000,), dtype=td.float16)).tolist() == 5000


def test_halves_are_averaged_in_float32():
    """What follows the accumulation is computed before the one rounding."""
    for dtype in (td.float16, td.bfloat16):
        top = 60000.0 if dtype == td.float16 else 1e36
        x = td.full((100,), top, dtype=dtype)
        assert td.mean(x).tolist() == x[0].tolist()
        assert td.var(x).tolist() == td.std(x).tolist() == 0
    ones = td.ones((65536,), dtype=td.float16)
    assert td.mean(ones).tolist() == 1
    assert set(td.grad(td.mean)(ones).tolist()) == {2.0**-16}
    assert td.jvp(td.mean, (ones,), (ones,))[1].tolist() == 1
    # The squares of these and their sum are beyond float16.
    x = td.tensor([-300.0, 300.0] * 40, dtype=td.float16)
    assert td.std(x).tolist() == 300
    assert td.grad(td.std)(x).tolist() == pytest.approx([-1 / 80, 1 / 80] * 40, rel=2.0**-11)


@pytest.mark.parametrize("dtype", [td.float16, td.bfloat16, td.float32, td.float64], ids=str)
def test_equal_elements_do_not_deviate(dtype):
    for shape in ((1,), (7,), (100_003,), (1003, 77), (5, 70_001)):
        x = td.full(shape, 0.1, dtype=dtype)
        for axis in (None, *range(len(shape))):
            assert not td.var(x, axis=axis).cpu().numpy().any()
            assert not td.std(x, axis=axis).cpu().numpy().any()
        assert not td.grad(td.std)(x).cpu().numpy().any()


@pytest.mark.parametrize("offset", [0.0, 1e3, 1e4])
@pytest.mark.parametrize("first", [None, 0.0])
def test_variance_of_numbers_far_from_zero(offset, first):
    """As accurate as of numbers near zero, also where one element lies apart."""
    rng = np.random.default_rng(9)
    for shape, axis in (((100_003,), 0), ((4099, 33), 0), ((33, 4099), 1), ((40, 50, 60), (0, 2))):
        x = (rng.standard_normal(shape) + offset).astype(np.float32)
        if first is not None:
            x.reshape(-1)[0] = first
        want = np.var(x.astype(np.float64), axis=axis)
        np.testing.assert_allclose(td.var(td.tensor(x), axis=axis).cpu().numpy(), want, rtol=16 * 2.0**-23)
        np.testing.assert_allclose(
            td.std(td.tensor(x), axis=axis).cpu().numpy(), np.sqrt(want), rtol=16 * 2.0**-23
        )


def test_variance_of_what_is_not_finite():
    for values in ([INF, 1], [1, INF], [NAN, 1], [1, NAN], [INF, -INF], [INF]):
        assert math.isnan(td.var(td.tensor([float(v) for v in values])).tolist())
    assert td.var(td.tensor([3.0])).tolist() == 0
    assert math.isnan(td.var(td.tensor([3.0]), correction=1).tolist())
    assert td.var(td.tensor([1.0, 3.0]), correction=2).tolist() == INF


def test_subnormals_are_kept():
    tiny = 2.0**-149
    x = td.tensor([tiny, 3 * tiny, -tiny], dtype=td.float32)
    np.testing.assert_array_equal((x + x).cpu().numpy(), np.array([2, 6, -2]) * np.float32(tiny))
    assert td.sum(x).tolist() == 3 * tiny
    assert (x > 0).tolist() == [True, True, False]


@pytest.mark.parametrize("dtype", WIDE_FLOATS, ids=str)
def test_softmax_family_specials(dtype, settle):
    def tensor(*values):
        return td.tensor([float(v) for v in values], dtype=dtype)

    assert td.softmax(tensor(1e4, 0, -1e4)).tolist() == [1, 0, 0]
    assert td.log_softmax(tensor(1e4, 0, -1e4)).tolist() == [0, -1e4, -2e4]
    assert td.softmax(tensor(-INF, 0)).tolist() == [0, 1]
    assert td.log_softmax(tensor(-INF, 0)).tolist() == [-INF, 0]
    assert np.isnan(td.softmax(tensor(NAN, 0, 1)).cpu().numpy()).all()
    assert td.softmax(tensor(1e30, 1e30)).tolist() == [0.5, 0.5]
    assert td.logsumexp(tensor(-INF, -INF)).tolist() == -INF
    assert td.logsumexp(tensor(INF, 0)).tolist() == INF
    assert math.isnan(td.logsumexp(tensor(NAN, 0)).tolist())
    assert td.logsumexp(tensor(1e4, 1e4)).tolist() == pytest.approx(1e4 + math.log(2))
    assert td.logsumexp(tensor(-1e4, -1e4)).tolist() == pytest.approx(-1e4 + math.log(2))
    gradient = td.grad(td.logsumexp)
    assert gradient(tensor(-INF, -INF)).tolist() == [0, 0]
    assert gradient(tensor(-INF, 1)).tolist() == [0, 1]
    for label, loss in ((0, 0), (1, 1e4), (2, 2e4)):
        assert td.softmax_cross_entropy(tensor(1e4, 0, -1e4)[None], td.tensor([label])).tolist() == [loss]
    with pytest.raises(IndexError, match="softmax_cross_entropy"):
        td.softmax_cross_entropy(tensor(1, 2)[None], td.tensor([2]))
        settle()


@pytest.mark.parametrize("dtype", ops.FLOATS, ids=str)
def test_extremes_and_nan(dtype):
    for n in (3, 40, 1023):
        for at in (0, n // 2, n - 1):
            values = np.arange(n, dtype=np.float32) % 50
            values[at] = NAN
            x = ops.to_tensor(values, dtype)
            assert math.isnan(td.max(x).tolist())
            assert math.isnan(td.min(x).tolist())
            assert td.argmax(x).tolist() == td.argmin(x).tolist() == at
            assert math.isnan(td.sum(x).tolist())
            column = x.reshape(-1, 1)
            assert math.isnan(td.max(column, axis=0).tolist()[0])
            assert td.argmax(column, axis=0).tolist() == [at]
    assert td.maximum(td.tensor([NAN, 1.0]), td.tensor([1.0, NAN])).astype(dtype).tolist() != [1, 1]
    low = ops.to_tensor([-INF, -INF], dtype)
    assert td.max(low).tolist() == -INF
    assert td.argmax(low).tolist() == 0
    assert td.any(ops.to_tensor([0, NAN], dtype)).tolist() is True
    assert td.all(ops.to_tensor([INF, NAN], dtype)).tolist() is True


@pytest.mark.parametrize("dtype", ops.DTYPES, ids=str)
def test_arg_extremes_take_the_first_of_ties(dtype):
    rng = np.random.default_rng(31)
    for shape in ((5,), (1023,), (37, 65), (3, 4, 5)):
        values = rng.integers(0, 2, shape)
        x = ops.to_tensor(values, dtype)
        for axis in (None, *range(len(shape))):
            np.testing.assert_array_equal(td.argmax(x, axis=axis).cpu().numpy(), values.argmax(axis=axis))
            np.testing.assert_array_equal(td.argmin(x, axis=axis).cpu().numpy(), values.argmin(axis=axis))


@pytest.mark.parametrize("dtype", ops.DTYPES, ids=str)
def test_arg_extremes_at_every_place(dtype):
    for n in (2, 5, 33, 70, 300):
        one = np.eye(n)
        places = np.arange(n)
        np.testing.assert_array_equal(td.argmax(ops.to_tensor(one, dtype), axis=1).cpu().numpy(), places)
        np.testing.assert_array_equal(td.argmin(ops.to_tensor(1 - one, dtype), axis=1).cpu().numpy(), places)
        if dtype in ops.FLOATS:
            x = ops.to_tensor(np.where(one != 0, NAN, places), dtype)
            np.testing.assert_array_equal(td.argmax(x, axis=1).cpu().numpy(), places)
            np.testing.assert_array_equal(td.argmin(x, axis=1).cpu().numpy(), places)


# --- Integers


@pytest.mark.parametrize("dtype", ops.INTEGERS, ids=str)
def test_integer_corners(dtype):
    kind = ops.array_dtype(dtype)
    info = np.iinfo(kind)
    low, high = int(info.min), int(info.max)

    def integers(*values):
        return td.tensor(np.array(values, kind))

    x = integers(low, high, 0, 1)
    zero = integers(0, 0, 0, 0)
    assert (x // zero).tolist() == [0] * 4
    assert (x % zero).tolist() == [0] * 4
    assert (x + integers(1, 1, 1, 1)).tolist() == [low + 1, low, 1, 2]
    assert (x - integers(1, 1, 1, 1)).tolist() == [high, high - 1, -1 if low else high, 0]
    assert td.square(integers(2, 3)).tolist() == [4, 9]
    total = 2 * high if kind.itemsize < 8 else -2 if low else 2**64 - 2
    assert td.sum(integers(high, high)).tolist() == total
    if low:
        minus_one = integers(-1, -1, -1, -1)
        assert (x // minus_one).tolist() == [low, -high, 0, -1]
        assert (x % minus_one).tolist() == [0, 0, 0, 0]
        assert td.abs(x).tolist() == [low, high, 0, 1]
        assert (-x).tolist() == [low, -high, 0, -1]
        assert (integers(-7, 7, -7, 7) // integers(2, -2, -2, 2)).tolist() == [-4, -4, 3, 3]
        assert (integers(-7, 7, -7, 7) % integers(2, -2, -2, 2)).tolist() == [1, -1, -1, 1]
        assert (integers(low, -1) >> integers(63, 63)).tolist() == [-1, -1]
        assert (integers(1, -1) << integers(-1, 100)).tolist() == [0, 0]
    assert (x / integers(2, 2, 2, 2)).dtype == td.float32
    assert (integers(1, 1) / integers(0, 1)).tolist() == [INF, 1]
    assert (integers(0, 0) ** integers(0, 1)).tolist() == [1, 0]


@pytest.mark.parametrize("dtype", [td.int32, td.int64, td.uint32, td.uint64], ids=str)
def test_composites_of_integers_that_float32_does_not_hold(dtype):
    """Computed in float64, and rounded to float32 once."""
    values = np.array([[2**24, 2**24 + 1, 2**24 + 3], [2**28 + 1, 2**28, 2**28]])
    x = td.tensor(values, dtype=dtype)
    for axis in (None, 0, 1):
        got = td.median(x, axis=axis)
        assert got.dtype == td.float32
        np.testing.assert_allclose(ops.to_array(got), np.median(values, axis=axis), rtol=1e-7)
        got = td.quantile(x, [0.1, 0.5, 0.9], axis=axis)
        np.testing.assert_allclose(
            ops.to_array(got), np.quantile(values, [0.1, 0.5, 0.9], axis=axis), rtol=1e-7
        )
    np.testing.assert_allclose(ops.to_array(td.cov(x)), np.cov(values), rtol=1e-6)
    np.testing.assert_allclose(ops.to_array(td.corrcoef(x)), np.corrcoef(values), rtol=1e-6)
    means = td.segment_mean(x.T, td.tensor([0, 1, 0]), 2)
    np.testing.assert_allclose(
        ops.to_array(means), [(values[:, 0] + values[:, 2]) / 2, values[:, 1]], rtol=1e-7
    )
    whole = values[0, 0] + np.arange(10)
    for how in ({}, {"range": (2**24, 2**24 + 5)}, {"bins": 3}):
        hist, edges = np.histogram(whole, **how)
        got = td.histogram(td.tensor(whole, dtype=dtype), **how)
        np.testing.assert_array_equal(ops.to_array(got.hist), hist)
        np.testing.assert_allclose(ops.to_array(got.bin_edges), edges, rtol=1e-15)
    if dtype in (td.int32, td.int64):
        assert td.median(td.tensor([2**24 + 1, -(2**24)], dtype=dtype)).item() == 0.5


@pytest.mark.parametrize("dtype", [td.int32, td.int64, td.uint32, td.uint64], ids=str)
def test_statistics_of_integers_that_float32_does_not_hold(dtype):
    """By every path of a reduction computed in float64, and rounded to float32 once."""
    rng = np.random.default_rng(3)
    for shape in ((3,), (3, 5), (2, 700), (700, 3), (40, 50), (9, 5000), (1, 1)):
        values = 2**28 + rng.integers(0, 4, shape)
        x = td.tensor(values, dtype=dtype)
        for at, exact in ((x, values), (x.swapaxes(0, -1), values.T), (x[..., ::2], values[..., ::2])):
            for axis in (None, *range(at.ndim)):
                for run in (lambda f: f, td.compile):
                    for name in ("mean", "var", "std"):
                        got = run(getattr(td, name))(at, axis=axis)
                        assert got.dtype == td.float32
                        want = getattr(np, name)(exact, axis=axis)
                        np.testing.assert_allclose(ops.to_array(got), want, rtol=3e-7, err_msg=name)
                    got = run(lambda x, axis=axis: td.logsumexp(x, axis=axis))(at)
                    want = special.logsumexp(exact.astype(np.float64), axis=axis)
                    np.testing.assert_allclose(ops.to_array(got), want, rtol=1e-7)
    assert td.var(td.tensor([2**24, 2**24 + 1, 2**24 + 3], dtype=dtype)).item() == np.float32(14 / 9)
    if dtype == td.int64:
        assert td.mean(td.tensor([2**40 + 1, -(2**40)])).item() == 0.5


def test_large_integers_are_exact():
    big = 2**53 + 1
    x = td.tensor([big, -big], dtype=td.int64)
    assert (x + 0).tolist() == [big, -big]
    assert (x * 1).tolist() == [big, -big]
    assert td.max(x).tolist() == big
    assert td.sum(x[:1]).tolist() == big
    assert (x == x + 1).tolist() == [False, False]
    assert (x @ td.tensor([1, 0])).tolist() == big
    assert td.tensor([2**64 - 1], dtype=td.uint64).tolist() == [2**64 - 1]


def test_power_corners():
    f64 = lambda x: td.tensor(float(x), dtype=td.float64)
    for a, b, want in [
        (0, 0, 1),
        (NAN, 0, 1),
        (1, NAN, 1),
        (0, -1, INF),
        (-8, 3, -512),
        (-1, INF, 1),
        (0.5, INF, 0),
        (2, -INF, 0),
        (INF, -1, 0),
        (-INF, 3, -INF),
        (2, 1024, INF),
        (2, -1075, 0),
    ]:
        assert (f64(a) ** f64(b)).tolist() == want, (a, b)
    assert math.isnan((f64(-8) ** f64(1 / 3)).tolist())


# --- Domains


def test_powers_of_float32_are_those_of_float64_rounded_once(device):
    """The whole range of a processor's; a GPU's may be some units in the last place away."""
    generator = np.random.default_rng(0)
    for a, b in (
        (np.exp(generator.uniform(-80, 80, 5001)), generator.uniform(-3, 3, 5001)),
        (generator.uniform(0.9, 1.1, 5001), generator.uniform(-900, 900, 5001)),
        (-generator.uniform(0.1, 9, 5001), generator.integers(-50, 50, 5001)),
        (np.array([1e-40, 2e-39, 1e-45, -1e-40]), np.array([-0.9, 1.1, 0.7, 3.0])),
        # Half of the least number, or just above or below.
        (
            np.array([2.0, 4, 8, 32, 0.5, -2, 2.0001, 1.9999]),
            np.array([-150.0, -75, -50, -30, 150, -150, -150, -150]),
        ),
    ):
        a, b = a.astype(np.float32), b.astype(np.float32)
        got = (td.asarray(a) ** td.asarray(b)).cpu().numpy()
        with np.errstate(over="ignore", under="ignore"):
            want = np.power(a.astype(np.float64), b.astype(np.float64)).astype(np.float32)
        if device == td.device("cpu"):
            np.testing.assert_array_equal(got, want)
        else:
            np.testing.assert_allclose(got, want, rtol=1e-6, atol=2e-45)


@pytest.mark.parametrize("dtype", ops.FLOATS, ids=str)
def test_squares_roots_and_reciprocals_are_powers(dtype):
    x = ops.to_tensor([0.0, -0.0, 0.3, 2.5, -1.7, INF, NAN], dtype)
    for exponent, direct in ((2, td.square), (2.0, td.square), (0.5, td.sqrt), (-1, td.reciprocal)):
        got, want = (x**exponent).cpu(), direct(x).cpu()
        assert got.dtype == dtype
        np.testing.assert_array_equal(ops.to_array(got), ops.to_array(want))
    assert (td.tensor([3, -2]) ** 2).tolist() == [9, 4] and (td.tensor([3, -2]) ** 0.5).dtype == td.float32


@pytest.mark.parametrize("dtype", [*ops.FLOATS, td.int8, td.int32, td.int64], ids=str)
def test_quotients_and_remainders_of_every_sign(dtype):
    """As in Python: rounded towards minus infinity, the remainder with the divisor's sign."""
    a, b = (grid.ravel() for grid in np.meshgrid(np.arange(-7, 8), [-3, -2, -1, 1, 2, 3, 5]))
    x, y = ops.to_tensor(a, dtype), ops.to_tensor(b, dtype)
    np.testing.assert_array_equal(ops.to_array(x // y), a // b)
    np.testing.assert_array_equal(ops.to_array(x % y), a % b)
    np.testing.assert_array_equal(ops.to_array(td.floor(x / y)), np.floor(a / b))
    np.testing.assert_array_equal(ops.to_array(td.trunc(x / y)), np.trunc(a / b))
    np.testing.assert_array_equal(ops.to_array(x // y * y + x % y), a)


@pytest.mark.parametrize("dtype", [td.int8, td.uint8, td.int16, td.uint16], ids=str)
def test_all_integers_of_few_bits_by_a_number(dtype):
    """Any number: of 16 bits those beside powers of two, which are the hard ones, and some."""
    info = td.iinfo(dtype)
    a = np.arange(info.min, info.max + 1)
    divisors = set(a[:: 1 if a.size < 1000 else 997].tolist())
    for power in range(17):
        divisors |= {s * 2**power + d for s in (-1, 1) for d in (-1, 0, 1)}
    x = td.tensor(a, dtype=dtype)
    for b in divisors & set(a.tolist()) - {0}:
        quotient, rest = a // b, a % b
        wrapped = quotient.astype(ops.to_array(x).dtype)  # that of the least by -1
        np.testing.assert_array_equal(ops.to_array(x // b), wrapped, err_msg=f"// {b}")
        np.testing.assert_array_equal(ops.to_array(x % b), rest, err_msg=f"% {b}")
    for n in (17, 31, 63, 65, 100):
        np.testing.assert_array_equal(ops.to_array(x[-n:] // 7), a[-n:] // 7)
        np.testing.assert_array_equal(ops.to_array(x[-n:][::-1] % 7), a[-n:][::-1] % 7)
    assert not ops.to_array(x // 0).any() and not ops.to_array(x % 0).any()


def test_logarithms_of_powers():
    """Exact, in every place of a vector."""
    for dtype, most in ((td.float32, 10), (td.float64, 22)):
        powers = np.resize(np.arange(most + 1), 203)
        x = td.tensor([10.0**p for p in powers.tolist()], dtype=dtype)
        np.testing.assert_array_equal(ops.to_array(td.log10(x)), powers)
        exponents = np.arange(*((-149, 128) if dtype == td.float32 else (-1074, 1024)))
        x = td.tensor(np.ldexp(1.0, exponents), dtype=dtype)
        np.testing.assert_array_equal(ops.to_array(td.log2(x)), exponents)


def test_fractional_quotients():
    a = np.array([5.5, -5.5, 5.5, -5.5, 0.75, -0.75, 1e-3, -1e-3])
    b = np.array([2.0, 2.0, -2.0, -2.0, 0.25, 0.25, 7.0, 7.0])
    for dtype in WIDE_FLOATS:
        x, y = ops.to_tensor(a, dtype), ops.to_tensor(b, dtype)
        wide_a = ops.to_array(x).astype(np.float64)
        np.testing.assert_array_equal(ops.to_array(x // y), wide_a // b)
        np.testing.assert_allclose(ops.to_array(x % y), wide_a % b, rtol=ops.EPSILON[dtype])


@pytest.mark.parametrize("dtype", ops.FLOATS, ids=str)
def test_corrections_up_to_the_count_and_above(dtype):
    """n - correction is never negative: at 0 and below, deviations are infinite, and none at all is NaN."""
    x = ops.to_tensor([1.0, 3.0, 8.0], dtype)
    for correction in (0, 1, 1.5, 2, 2.75):
        want = 26 / (3 - correction)
        ops.assert_close(td.var(x, correction=correction), want, dtype)
        ops.assert_close(td.std(x, correction=correction), math.sqrt(want), dtype)
        slopes = (np.array([1.0, 3.0, 8.0]) - 4) * 2 / (3 - correction)
        ops.assert_close(td.grad(lambda x, c=correction: td.var(x, correction=c))(x), slopes, dtype)
    for correction in (3, 3.5, 100):
        assert td.var(x, correction=correction).tolist() == td.std(x, correction=correction).tolist() == INF
        assert math.isnan(td.var(x[:1] * 0, correction=correction).tolist())
    assert math.isnan(td.var(x[:0]).tolist())
    assert math.isnan(td.mean(x[:0]).tolist())
    assert td.grad(lambda x: td.var(x[:0]) * 0 + td.sum(x))(x).tolist() == [1, 1, 1]


@pytest.mark.parametrize("dtype", [*ops.FLOATS, td.int32], ids=str)
def test_products_of_nothing(dtype):
    for a, b in (
        ((0, 0), (0, 0)),
        ((0, 3), (3, 0)),
        ((3, 0), (0, 2)),
        ((0, 3), (3, 2)),
        ((2, 0, 0), (2, 0, 4)),
        ((0,), (0,)),
    ):
        x, y = td.zeros(a, dtype=dtype), td.zeros(b, dtype=dtype)
        product = x @ y
        assert product.shape == (np.zeros(a) @ np.zeros(b)).shape
        assert product.dtype == dtype
        assert not ops.to_array(product).any()
        if ops.is_float(dtype):
            for i, g in enumerate(td.grad(lambda x, y: (x @ y).sum(), argnums=(0, 1))(x, y)):
                assert g.shape == (a, b)[i]
                assert g.dtype == dtype
    assert td.vecdot(td.zeros((2, 0), dtype=dtype), td.zeros((2, 0), dtype=dtype)).tolist() == [0, 0]


@pytest.mark.parametrize(
    ("dtype", "most", "units"), [(td.float32, 3800, 2), (td.float64, 600_000, 2)], ids=str
)
def test_sines_beside_their_zeros(dtype, most, units):
    """The digits that remain of an argument near a multiple of pi / 2 are right, too."""
    n = np.unique(np.geomspace(1, most, 500).astype(int))
    with mpmath.workdps(60):
        x = np.array([float(k * mpmath.pi / 2) for k in n])
        x = td.tensor(x, dtype=dtype)
        values = x.cpu().numpy()
        for f, exact in ((td.sin, mpmath.sin), (td.cos, mpmath.cos)):
            want = np.array([float(exact(mpmath.mpf(float(value)))) for value in values])
            np.testing.assert_allclose(
                f(x).cpu().numpy().astype(float), want, rtol=units * td.finfo(dtype).eps, atol=0
            )


LAYOUTS = {
    "row-major": lambda x: x,
    "transposed": lambda x: x.T,
    "reversed": lambda x: x[::-1, ::-1],
    "part": lambda x: x[1:, ::3],
    "broadcast": lambda x: td.broadcast_to(x[:1], (512, x.shape[1])),
    "one element": lambda x: td.broadcast_to(x[0, 0], (512, 512)),
}


@pytest.mark.cpu_only("reads the allocator of the cpu")
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    "dtype", [td.bool, td.int8, td.uint16, td.int32, td.int64, td.float16, td.float64], ids=str
)
def test_reductions_take_no_memory_for_their_input(peak_bytes, dtype, layout):
    x = LAYOUTS[layout](td.ones((512, 512), dtype=dtype))
    names = ["sum", "prod", "mean", "var", "std", "logsumexp", "max", "min", "any", "all", "count_nonzero"]
    for name in [
        *names,
        "sum_of_squares",
        "argmax",
        "argmin",
        *(["nanmean", "nansum"] if "int" in str(dtype) else []),
    ]:
        if dtype is td.bool and name in ("max", "min", "argmax", "argmin"):
            continue
        for axis in (None, 0, 1):
            taken = peak_bytes(lambda: getattr(td, name)(x, axis=axis))  # noqa: B023
            # States of wide integers are float64's, a few of each column.
            width = 8 if dtype is td.int32 else x.dtype.itemsize
            assert taken < x.size * max(0.5, width / 8) + 40_000, (name, axis, taken / x.size)


@pytest.mark.parametrize(
    "dtype", [td.bool, td.int8, td.uint8, td.int16, td.int32, td.int64, td.uint64], ids=str
)
def test_statistics_of_integers_are_those_of_numbers(dtype):
    """Of every length and layout, in float32, by whatever path."""
    rng = np.random.default_rng(5)
    for shape in ((3, 5), (2, 700), (700, 3), (40, 50), (3, 70, 4), (1, 1)):
        values = rng.integers(0, 2, shape) if dtype is td.bool else rng.integers(0, 100, shape)
        x = td.tensor(values).astype(dtype)
        for view in (lambda a: a, lambda a: a.swapaxes(0, -1), lambda a: a[::-1], lambda a: a[..., ::2]):
            at, exact = view(x), view(values).astype(np.float64)
            for axis in (None, *range(at.ndim)):
                want = {
                    "mean": exact.mean(axis),
                    "var": exact.var(axis),
                    "std": exact.std(axis),
                    "logsumexp": np.log(np.exp(exact - exact.max()).sum(axis)) + exact.max(),
                    "nanmean": exact.mean(axis),
                    "nanvar": exact.var(axis),
                }
                for name, value in want.items():
                    for run in (getattr(td, name), td.compile(getattr(td, name))):
                        got = run(at, axis=axis)
                        assert got.dtype == td.float32
                        np.testing.assert_allclose(got.tolist(), value, rtol=2e-6, atol=2e-6, err_msg=name)
    lanes = td.vmap(td.var)(td.tensor([[0, 2], [3, 9]]).astype(dtype))
    assert lanes.tolist() == ([0.25, 0] if dtype is td.bool else [1, 9])
    assert td.program(td.var, x)(x).item() == 0
    assert math.isnan(td.mean(td.zeros(0, dtype=dtype)).item())


def test_extremes_of_all_elements_in_any_layout():
    """Where the first one is, in the order of the view."""
    rng = np.random.default_rng(6)
    for values in (
        rng.integers(0, 5, (7, 9)),
        rng.integers(0, 3, (4, 5, 6)).astype(np.float32),
        rng.integers(0, 99, (300, 41)).astype(np.float16),
        np.where(rng.random((30, 40)) < 0.01, np.nan, 1.0),
        np.ones((2, 1, 3)),
        np.array(3.0),
    ):
        x = td.tensor(values)
        for view in (
            lambda a: a,
            lambda a: a.swapaxes(0, -1) if a.ndim else a,
            lambda a: a[..., ::-1] if a.ndim else a,
            lambda a: a[1:] if a.ndim else a,
        ):
            for ours, theirs in ((td.argmax, np.argmax), (td.argmin, np.argmin)):
                for run in (ours, td.compile(ours)):
                    assert run(view(x)).item() == theirs(view(values))
                    assert run(view(x), keepdims=True).shape == (1,) * values.ndim
        if values.ndim:
            wide = td.broadcast_to(x[:1], (5, *values.shape[1:]))
            assert td.argmax(wide).item() == np.argmax(values[:1])
            lanes = td.vmap(td.argmax)(td.stack([x, x[::-1]]).swapaxes(1, -1))
            assert lanes.tolist() == [
                np.argmax(values.swapaxes(0, -1)),
                np.argmax(values[::-1].swapaxes(0, -1)),
            ]
