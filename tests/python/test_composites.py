"""Operations made of others: against NumPy, with their derivatives at the special points."""

import itertools
import warnings

import numpy as np
import pytest
import tidu as td
from samplers import to_array

rng = np.random.default_rng(9)


@pytest.mark.parametrize("dtype", [td.int32, td.float16, td.float64])
def test_clip(dtype):
    x = rng.integers(-9, 9, (3, 4))
    t = td.tensor(x, dtype=dtype)
    for low, high in ((-3, 4), (None, 2), (-1, None), (5, 1), (None, None)):
        want = x if low is None and high is None else np.clip(x, low, high)
        assert (to_array(td.clip(t, low, high)) == want).all()
        assert t.clip(low, high).dtype == dtype
    lows = td.tensor([-1, 0, 1, 2], dtype=dtype)
    assert (to_array(t.clip(lows, max=lows + 2)) == np.clip(x, to_array(lows), to_array(lows) + 2)).all()


def test_clip_at_its_bounds():
    x = td.tensor([-2.0, -1.0, 0.0, 1.0, 2.0, td.nan, td.inf, -td.inf])
    f = lambda x, low, high: td.sum(td.clip(x, low, high))
    grads = [g.tolist() for g in td.grad(f, argnums=(0, 1, 2))(x[:5], td.tensor(-1.0), td.tensor(1.0))]
    assert grads == [[0, 1, 1, 1, 0], 1, 1]
    assert (
        td.hessian(lambda x: td.sum(td.clip(x, -1, 1) ** 2))(x[:5]).tolist()
        == np.diag([0.0, 2, 2, 2, 0]).tolist()
    )
    np.testing.assert_array_equal(to_array(td.clip(x, -1, 1)), np.clip(to_array(x), -1, 1))
    assert td.isnan(td.clip(x, td.nan, 1)).all()
    assert to_array(td.isnan(td.clip(x[:2], td.tensor([td.nan, 0.0]), 1))).tolist() == [True, False]
    assert td.clip(x[:0], 0, 1).shape == (0,)
    with pytest.raises(TypeError, match=r"\[clip\]"):
        td.clip(x, "a")


@pytest.mark.parametrize("dtype", [td.float16, td.bfloat16, td.float32, td.float64], ids=str)
def test_clip_is_one_function_whether_or_not_it_is_differentiated(dtype):
    values = [-0.0, 0.0, 1.0, -1.0, td.nan, td.inf, -td.inf, 0.5]
    x = td.tensor(values * 5, dtype=dtype)
    bounds = [None, *values, td.tensor(values * 5, dtype=dtype)]
    for low, high in itertools.product(bounds, bounds):
        if low is None and high is None:
            continue
        plain = td.clip(x, low, high)
        seen, _ = td.vjp(lambda x, low=low, high=high: td.clip(x, low, high), x)
        assert plain.dtype == seen.dtype == dtype
        np.testing.assert_array_equal(to_array(plain), to_array(seen))
        np.testing.assert_array_equal(np.signbit(to_array(plain)), np.signbit(to_array(seen)))


@pytest.mark.parametrize("dtype", [td.float16, td.bfloat16, td.float32, td.float64, td.int64])
def test_nan_to_num(dtype):
    if dtype == td.int64:
        assert td.nan_to_num(td.tensor([1, 2])).tolist() == [1, 2]
        return
    x = td.tensor([td.nan, td.inf, -td.inf, 1.5], dtype=dtype)
    largest = {"float16": 65504.0, "bfloat16": 2.0**127 * (2 - 2**-7)}.get(dtype.name) or np.finfo(
        dtype.name
    ).max
    assert td.nan_to_num(x).astype(td.float64).tolist() == [0, float(largest), -float(largest), 1.5]
    assert td.nan_to_num(x, 1, 2, 3).tolist() == [1, 2, 3, 1.5]
    assert td.grad(lambda x: td.sum(td.nan_to_num(x)))(x).tolist() == [0, 0, 0, 1]


def test_comparisons():
    a = np.array([1.0, 1 + 1e-6, 1.1, np.nan, np.inf, np.inf, -np.inf, 0, 1e-9])
    b = np.array([1.0, 1.0, 1.0, np.nan, np.inf, -np.inf, 1.0, 1e-9, 0])
    x, y = td.tensor(a), td.tensor(b)
    for options in ({}, {"rtol": 0.2}, {"atol": 0.0, "rtol": 1e-8}, {"equal_nan": True}):
        assert (to_array(td.isclose(x, y, **options)) == np.isclose(a, b, **options)).all()
    assert td.allclose(x[:2], y[:2]) is True
    assert td.allclose(x, y) is False
    assert td.allclose(td.ones((2, 3)), 1.0)
    assert td.isclose(td.tensor([2**60 + 1]), td.tensor([2**60])).tolist() == [True]
    assert td.array_equal(x, y) is False
    assert td.array_equal(x[3:4], y[3:4]) is False
    assert td.array_equal(x[3:4], y[3:4], equal_nan=True) is True
    assert td.array_equal(td.ones(2), td.ones(3)) is False
    assert td.array_equal(td.ones(0), td.ones(0)) is True
    assert (to_array(td.isposinf(x)) == np.isposinf(a)).all()
    assert (to_array(td.isneginf(x)) == np.isneginf(a)).all()
    assert td.isposinf(td.tensor([1])).tolist() == [False]


def test_diff():
    x = rng.integers(0, 99, (4, 5))
    for dtype in (td.bool, td.int16, td.uint8, td.float64):
        t = td.tensor(x, dtype=dtype)
        for n, axis in ((0, 0), (1, -1), (2, 0), (3, 1), (9, 0)):
            want = np.diff(to_array(t), n, axis)
            got = td.diff(t, n, axis)
            assert got.dtype == dtype
            np.testing.assert_array_equal(to_array(got), want)
            ends = {"prepend": x[:1] if axis == 0 else x[:, :2], "append": x[:2] if axis == 0 else x[:, :1]}
            for names in (["prepend"], ["append"], ["append", "prepend"]):
                given = {name: to_array(td.tensor(ends[name], dtype=dtype)) for name in names}
                want = np.diff(to_array(t), n, axis, **given)
                got = td.diff(t, n, axis, **{name: td.tensor(value) for name, value in given.items()})
                np.testing.assert_array_equal(to_array(got), want)
    jacobian = td.jacobian(lambda x: td.diff(x, 2))(td.ones(4))
    assert jacobian.tolist() == [[1, -2, 1, 0], [0, 1, -2, 1]]
    with pytest.raises(ValueError, match=r"\[diff\]"):
        td.diff(td.ones(3), -1)


def test_trapezoid():
    y, x = rng.normal(size=(3, 6)), np.sort(rng.normal(size=6))
    trapezoid = getattr(np, "trapezoid", None) or np.trapz
    for given, points, axis in (
        (y, None, -1),
        (y, x, -1),
        (y.T, x, 0),
        (y, np.sort(rng.normal(size=(3, 6))), 1),
    ):
        want = trapezoid(given, points, axis=axis)
        got = td.trapezoid(td.tensor(given), None if points is None else td.tensor(points), axis=axis)
        np.testing.assert_allclose(to_array(got), want, rtol=1e-12)
    np.testing.assert_allclose(
        float(td.trapezoid(td.tensor(y[0]), dx=0.1)), trapezoid(y[0], dx=0.1), rtol=1e-12
    )
    td.check_grads(lambda y, x: td.trapezoid(y, x), (td.tensor(y[0]), td.tensor(x)), order=2)
    with pytest.raises(td.ShapeError, match=r"\[trapezoid\]"):
        td.trapezoid(td.ones(3), td.ones(4))


def test_bounds_of_clip_that_no_element_can_be_name_clip():
    x = td.tensor([1, 200], dtype=td.uint8)
    for bounds in ((-1, 300), (0, 300), (-1, 5), (None, 2**40)):
        with pytest.raises(ValueError, match=r"\[clip\] the number -?\d+ does not fit uint8"):
            td.clip(x, *bounds)
    assert td.clip(x, 2, 150).tolist() == [2, 150] and td.clip(x, 2, 150).dtype is td.uint8
    assert td.clip(x, 0.5, 300.5).tolist() == [1, 200]
    assert td.clip(td.tensor([True, False]), 0, 1).tolist() == [1, 0]


# --- Functions of one element each

INF, NAN = np.inf, np.nan
SPECIALS = np.array([0.0, -0.0, 1.0, -1.0, 2.5, -2.5, 7.0, 1e-310, -3e300, INF, -INF, NAN])
PAIRS = tuple(grid.ravel() for grid in np.meshgrid(SPECIALS, SPECIALS))
INTEGERS = (td.int8, td.int32, td.int64, td.uint8)


@pytest.mark.parametrize(
    "name", ["fmax", "fmin", "fmod", "heaviside", "float_power", "logaddexp2", "nextafter"]
)
def test_pairs_of_specials(name):
    with np.errstate(all="ignore"):
        want = getattr(np, name)(*PAIRS)
    got = to_array(getattr(td, name)(*map(td.tensor, PAIRS)))
    np.testing.assert_allclose(
        got, want, rtol=4e-16 if name != "logaddexp2" else 1e-15, atol=1e-15 * (name == "logaddexp2")
    )


@pytest.mark.parametrize("name", ["fmax", "fmin", "fmod", "gcd", "lcm"])
@pytest.mark.parametrize("dtype", INTEGERS, ids=str)
def test_pairs_of_integers(name, dtype):
    info = np.iinfo(dtype.name)
    values = [0, 1, 2, 6, 9, 30, info.max] + ([-1, -4, -6, info.min + 1] if info.min else [])
    a, b = (grid.ravel().astype(dtype.name) for grid in np.meshgrid(values, values))
    with np.errstate(all="ignore"):
        want = getattr(np, name)(a, b)
    got = getattr(td, name)(td.tensor(a), td.tensor(b))
    assert got.dtype is dtype
    np.testing.assert_array_equal(to_array(got), want)


def test_numbers_meet_tensors():
    x = td.tensor([1.0, 3.0], dtype=td.float16)
    for name in ("fmax", "fmin", "fmod", "heaviside", "logaddexp2", "nextafter"):
        assert getattr(td, name)(x, 2.0).dtype is td.float16
        assert getattr(td, name)(2.0, x).dtype is td.float16
    assert td.fmax(x, 2).tolist() == [2, 3] and x.fmin(2).tolist() == [1, 2]
    assert td.lcm(td.tensor([4, 6]), 10).tolist() == [20, 30]
    assert td.float_power(td.tensor([2, 3]), 0.5).dtype is td.float64
    turned = td.float_power(td.tensor([1 + 2j], dtype=td.complex64), 2)
    assert turned.dtype is td.complex128
    np.testing.assert_allclose(to_array(turned), [-3 + 4j], rtol=1e-14)


@pytest.mark.parametrize("dtype", [td.float16, td.float32, td.float64], ids=str)
def test_nextafter_everywhere(dtype):
    kind = np.dtype(dtype.name)
    info = np.finfo(kind)
    bits = rng.integers(0, 2 ** (8 * kind.itemsize), 300, dtype=np.uint64)
    x = bits.astype(f"u{kind.itemsize}").view(kind)
    edges = [0, -0.0, info.tiny, -info.tiny, info.smallest_subnormal, info.max, -info.max, 1, 2, INF, -INF]
    x = np.concatenate([x, np.array(edges, kind)])
    for towards in (-INF, 0.0, INF):
        with np.errstate(all="ignore"):
            want = np.nextafter(x, kind.type(towards))
        np.testing.assert_array_equal(to_array(td.nextafter(td.tensor(x), towards)), want)
    assert td.grad(td.nextafter)(td.tensor(1.5, dtype=dtype), td.tensor(2.0, dtype=dtype)).item() == 1


def test_nextafter_of_bfloat16_is_the_next_pattern():
    bits = rng.integers(1, 0x7F80, 200).astype(np.uint32)
    x, above = ((b << 16).view(np.float32) for b in (bits, bits + 1))
    got = td.nextafter(td.tensor(x).astype(td.bfloat16), td.inf)
    np.testing.assert_array_equal(to_array(got), above)


@pytest.mark.parametrize("dtype", [td.float16, td.float32, td.float64], ids=str)
def test_ldexp(dtype):
    kind = np.dtype(dtype.name)
    with np.errstate(all="ignore"):
        x = np.concatenate([rng.normal(size=40), SPECIALS, [5e-324, 1.7e308]]).astype(kind)
    for n in (0, 1, -3, 30, -140, 900, -1074, 1030, -2000, 2090):
        with np.errstate(all="ignore"):
            want = np.ldexp(x, n)
        np.testing.assert_array_equal(to_array(td.ldexp(td.tensor(x), td.tensor(n))), want)
    for large in (0, 2090, -2000):  # of many exponents those that are few go another way
        y, n = np.resize(x, 2000), np.resize(np.arange(-100, 101), 2000)
        n[77] += large
        with np.errstate(all="ignore"):
            want = np.ldexp(y, n)
        np.testing.assert_array_equal(to_array(td.ldexp(td.tensor(y), td.tensor(n))), want)
    assert td.grad(lambda x: td.ldexp(x, 3))(td.tensor(1.5)).item() == 8
    with pytest.raises(td.DTypeError, match=r"\[ldexp\] the exponents must be integers"):
        td.ldexp(td.tensor(x), 0.5)


def test_signs_and_parts():
    x = td.tensor(SPECIALS)
    np.testing.assert_array_equal(to_array(td.signbit(x)), np.signbit(SPECIALS))
    signs = td.copysign(td.tensor(PAIRS[0]), td.tensor(PAIRS[1]))
    np.testing.assert_array_equal(np.signbit(to_array(signs)), np.signbit(PAIRS[1]))
    np.testing.assert_array_equal(to_array(td.real(x)), SPECIALS)
    np.testing.assert_array_equal(to_array(td.conj(x)), SPECIALS)
    assert not to_array(td.imag(x)).any()
    np.testing.assert_array_equal(to_array(td.positive(x)), SPECIALS)
    assert td.positive(x) is not x
    with pytest.raises(td.DTypeError, match=r"\[positive\]"):
        td.positive(td.tensor([True]))
    y = td.tensor([1.75, -1.75, 3.0, 1e30])
    assert td.frac(y).tolist() == [0.75, -0.75, 0, 0]
    assert td.grad(lambda y: td.frac(y).sum())(y).tolist() == [1, 1, 1, 1]
    degrees = td.tensor([0.0, 90.0, -180.0, 360.0], dtype=td.float64)
    np.testing.assert_allclose(to_array(td.deg2rad(degrees)), np.deg2rad(to_array(degrees)), rtol=4e-16)
    np.testing.assert_allclose(to_array(td.rad2deg(degrees)), np.rad2deg(to_array(degrees)), rtol=4e-16)
    assert td.deg2rad(td.tensor([180])).dtype is td.float32


def test_interpolation_and_products():
    a, b = (rng.normal(size=(3, 4)) for _ in range(2))
    c = rng.uniform(0.4, 1.9, (3, 4)) * rng.choice([-1, 1], (3, 4))  # a divisor, far from 0
    x, y, z = map(td.tensor, (a, b, c))
    np.testing.assert_allclose(to_array(td.lerp(x, y, z)), a + c * (b - a), rtol=1e-13)
    assert td.lerp(x, y, 0).tolist() == a.tolist() and x.lerp(y, 1.0).tolist() == b.tolist()
    np.testing.assert_allclose(to_array(td.addcmul(x, y, z, value=0.5)), a + 0.5 * b * c, rtol=1e-14)
    np.testing.assert_allclose(to_array(x.addcdiv(y, z, value=-2)), a - 2 * b / c, rtol=1e-14)
    assert td.addcmul(td.tensor([1]), td.tensor([2]), td.tensor([3]), value=2).tolist() == [13]
    turned = td.tensor([1 + 2j])
    assert td.addcmul(turned, turned, turned, value=0.5).tolist() == [1 + 2j + 0.5 * (1 + 2j) ** 2]
    assert td.addcdiv(turned, turned, turned, value=0.5).tolist() == [1.5 + 2j]
    assert td.lerp(turned, td.tensor([3 - 2j]), 0.25).tolist() == [1.5 + 1j]
    assert td.lerp(turned, 2 * turned, td.tensor([1j])).tolist() == [-1 + 3j]
    td.check_grads(lambda z, w: td.real(td.lerp(z, z * z, w)).sum(), (turned, td.tensor([0.3])), order=2)
    with pytest.raises(ValueError, match=r"\[addcmul\] the value 0.5 does not fit int64"):
        td.addcmul(td.tensor([1]), td.tensor([2]), td.tensor([3]), value=0.5)
    for f in (td.lerp, td.addcmul, td.addcdiv):
        td.check_grads(lambda x, y, z, f=f: f(x, y, z).sum(), (x, y, z), order=2)
    halves = [td.tensor(v, dtype=td.float16) for v in (a, b, c)]
    want = [to_array(h).astype(np.float64) for h in halves]
    got = to_array(td.addcmul(*halves)).astype(np.float64)
    exact = want[0] + want[1] * want[2]
    assert (np.abs(got - exact) <= 2.0**-10 * np.abs(exact)).all()


@pytest.mark.parametrize("name", ["xlogy", "xlog1py", "fmax", "fmin", "fmod", "logaddexp2", "copysign"])
def test_derivatives_of_pairs(name):
    a, b = (td.tensor(rng.uniform(0.4, 2.9, 5)) for _ in range(2))
    td.check_grads(lambda a, b: getattr(td, name)(a, b).sum(), (a, b), order=2)


# --- Reductions of what is not NaN, scans, statistics


@pytest.mark.parametrize("name", ["nansum", "nanprod", "nanmean", "nanvar", "nanstd", "nanmax", "nanmin"])
@pytest.mark.parametrize("axis", [None, 0, (0, 2), -1])
def test_reductions_of_numbers(name, axis):
    x = rng.normal(size=(3, 4, 5))
    x[rng.random(x.shape) < 0.3] = NAN
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of slices of nothing but NaN
        want = getattr(np, name)(x, axis=axis)
    f = getattr(td, name)
    np.testing.assert_allclose(to_array(f(td.tensor(x), axis)), want, rtol=1e-13)
    kept = f(td.tensor(x), axis, keepdims=True)
    assert kept.ndim == 3 and np.size(want) == kept.size


def test_reductions_of_nothing_but_nan():
    x = td.tensor([[NAN, NAN], [1.0, NAN]])
    assert td.nansum(x, 1).tolist() == [0, 1] and td.nanprod(x, 1).tolist() == [1, 1]
    for f in (td.nanmean, td.nanmax, td.nanmin, td.nanvar, td.nanstd):
        assert np.isnan(f(x, 1).tolist()[0])
    assert np.isnan(td.nanvar(x, 1, correction=1).tolist()).all()
    assert td.nanmax(td.tensor([1, 3]), 0).tolist() == 3
    gradient = td.grad(lambda x: td.nanmean(x) + td.nanmax(x) + td.nanstd(x) + td.nansum(x * x))(x)
    assert to_array(gradient).tolist() == [[0, 0], [4, 0]]
    tens = td.full((4000,), 10.0, dtype=td.float16)
    assert td.nanmean(tens).item() == 10
    y = td.tensor([0.5, NAN, -1.5, 2.0], dtype=td.float64)
    numbers = td.tensor([0.5, -1.5, 2.0], dtype=td.float64)
    for f, of_numbers in ((td.nanvar, td.var), (td.nanstd, td.std), (td.nanprod, td.prod)):
        got, want = to_array(td.hessian(f)(y)), to_array(td.hessian(of_numbers)(numbers))
        np.testing.assert_allclose(np.delete(np.delete(got, 1, 0), 1, 1), want, rtol=1e-12, atol=1e-15)


def test_cumulative_spellings():
    x = rng.integers(-3, 4, (3, 4))
    for dtype in (td.int8, td.float32, td.float64):
        t = td.tensor(x, dtype=dtype)
        for axis in (None, 0, 1):
            np.testing.assert_array_equal(to_array(td.cumsum(t, axis)), np.cumsum(x, axis))
            np.testing.assert_array_equal(to_array(t.cumprod(axis)), np.cumprod(x, axis))
    assert td.cumsum(td.tensor([1, 2]), dtype=td.float32).dtype is td.float32


@pytest.mark.parametrize("shape", [(1, 3000), (3, 1024), (8, 7), (9, 1025), (17, 100), (2, 5, 2048)])
def test_scans_of_lines_side_by_side(shape):
    x = rng.integers(-5, 6, shape)
    for dtype in (td.int64, td.int8, td.float32, td.bool):
        t = td.tensor(x).astype(dtype)
        a = to_array(t).astype(np.int64)
        np.testing.assert_array_equal(to_array(td.cumulative_sum(t, axis=-1)), a.cumsum(-1))
        np.testing.assert_array_equal(to_array(td.cummax(t, axis=-1)), np.maximum.accumulate(a, -1))
    y = rng.standard_normal(shape)
    np.testing.assert_allclose(
        to_array(td.logcumsumexp(td.tensor(y), axis=-1)),
        np.logaddexp.accumulate(y, -1),
        rtol=1e-13,
        atol=1e-13,
    )


@pytest.mark.parametrize("n", [1, 15, 16, 33, 255, 300, 5000])
def test_the_first_extreme_of_equal_ones_and_nan(n):
    x = rng.integers(-3, 4, (20, n)).astype(np.float32)
    np.testing.assert_array_equal(to_array(td.argmax(td.tensor(x), axis=1)), x.argmax(1))
    np.testing.assert_array_equal(to_array(td.argmin(td.tensor(x), axis=1)), x.argmin(1))
    x[np.arange(20), rng.integers(0, n, 20)] = np.nan
    np.testing.assert_array_equal(to_array(td.argmax(td.tensor(x), axis=1)), x.argmax(1))


def test_gradients_of_cumprod_with_zeros():
    """Of each result by each element: the product of the others."""
    for values in ([2.0, 0.0, 3.0, 4.0], [0.0, 0.0, 3.0], [1.0, 2.0, 0.0]):
        x = np.array(values)
        want = [
            [np.prod(np.delete(x[: i + 1], j)) if j <= i else 0 for j in range(len(x))] for i in range(len(x))
        ]
        t = td.tensor(x)
        for jacobian in (td.jacrev, td.jacfwd):
            np.testing.assert_array_equal(to_array(jacobian(td.cumprod)(t)), want)


@pytest.mark.parametrize("dtype", [td.int32, td.float32], ids=str)
def test_indices_of_running_extremes(dtype):
    x = rng.integers(-4, 5, (6, 9))
    for ours, values, argument in (
        (td.cumargmax, td.cummax, np.argmax),
        (td.cumargmin, td.cummin, np.argmin),
    ):
        t = td.tensor(x, dtype=dtype)
        got = ours(t, 1)
        want = np.stack([argument(x[:, : i + 1], 1) for i in range(9)], 1)
        assert got.dtype is td.int64
        np.testing.assert_array_equal(to_array(got), want)
        np.testing.assert_array_equal(to_array(td.take_along_axis(t, got, 1)), to_array(values(t, 1)))
    assert td.cumargmax(td.tensor([1.0, NAN, 5.0, NAN])).tolist() == [0, 1, 1, 1]
    assert td.cumargmax(td.tensor([INF, INF])).tolist() == [0, 0]
    assert td.cumargmin(td.zeros((0,))).shape == (0,)


def test_covariances():
    x, counts, weights = rng.normal(size=(3, 7)), rng.integers(1, 4, 7), rng.uniform(0.2, 2, 7)
    t = td.tensor(x)
    for correction in (0, 1):
        np.testing.assert_allclose(to_array(td.cov(t, correction)), np.cov(x, ddof=correction), rtol=1e-12)
        for options in (
            {"fweights": counts},
            {"aweights": weights},
            {"fweights": counts, "aweights": weights},
        ):
            got = td.cov(t, correction, **{key: td.tensor(value) for key, value in options.items()})
            np.testing.assert_allclose(to_array(got), np.cov(x, ddof=correction, **options), rtol=1e-12)
    np.testing.assert_allclose(to_array(td.corrcoef(t)), np.corrcoef(x), rtol=1e-12)
    assert td.cov(t[0]).shape == () and td.corrcoef(t[0]).item() == 1
    td.check_grads(lambda t: td.cov(t, aweights=td.tensor(weights)).sum(), (t,), order=2)
    with pytest.raises(td.ShapeError, match=r"\[cov\] the weights"):
        td.cov(t, fweights=td.tensor([1, 2]))
    with pytest.raises(td.DTypeError, match=r"\[cov\] fweights are counts"):
        td.cov(t, fweights=td.tensor(weights))


@pytest.mark.parametrize("p", [0.0, 1.0, 1.5, 2.0, 3.0, INF])
def test_distances_of_rows(p):
    a, b = rng.normal(size=(2, 3, 4)), rng.normal(size=(5, 4))
    difference = np.abs(a[:, :, None] - b[None, None])
    want = (
        (difference != 0).sum(-1)
        if p == 0
        else difference.max(-1)
        if p == INF
        else (difference**p).sum(-1) ** (1 / p)
    )
    np.testing.assert_allclose(to_array(td.cdist(td.tensor(a), td.tensor(b), p)), want, rtol=1e-12)


@pytest.mark.parametrize("p", [1.0, 2.0, INF])
@pytest.mark.parametrize("dtype", [td.float16, td.float32, td.float64], ids=str)
@pytest.mark.parametrize("far", [0.0, 1e3, 1e30])
def test_distances_of_many_rows(p, dtype, far):
    """Near ones, equal ones and those of a row with an infinity or NaN among far ones."""
    if dtype == td.float16:
        far = min(far, 1e3)
    a = td.tensor(rng.normal(size=(301, 17)) + far, dtype=dtype)
    b = td.concat([a[:40], a[:40] * 1.002, td.tensor(rng.normal(size=(250, 17)) - far, dtype=dtype)], axis=0)
    a, b = td.copy(a), td.copy(b)
    a[7, 3], b[50, 0], b[51] = INF, NAN, 0
    with np.errstate(all="ignore"):
        x, y = (to_array(v).astype(np.longdouble) for v in (a, b))
        differences = np.abs(x[:, None] - y[None])
        want = differences.max(-1) if p == INF else (differences**p).sum(-1) ** (1 / p)
    got = td.cdist(a, b, p)
    assert got.dtype == dtype
    eps = td.finfo(dtype).eps
    np.testing.assert_allclose(to_array(got).astype(np.longdouble), want, rtol=4 * eps, atol=0)
    assert got[0, 0] == 0


@pytest.mark.parametrize("dtype", [td.float32, td.float64], ids=str)
@pytest.mark.parametrize("power", [-0.99, -0.55, -0.45, 0, 0.45, 0.55, 0.99])
def test_distances_whose_squares_leave_the_range(dtype, power):
    """Among numbers of all sizes up to these."""
    unit = 10.0 ** (power * np.log10(td.finfo(dtype).max))
    a, b = (rng.normal(size=(n, 23)) * np.logspace(-3, 0, n)[:, None] / 40 for n in (190, 130))
    x, y = td.tensor(a * unit, dtype=dtype), td.tensor(b * unit, dtype=dtype)
    wide = [to_array(v).astype(np.longdouble) for v in (x, y)]
    want = np.sqrt(((wide[0][:, None] - wide[1][None]) ** 2).sum(-1))
    eps = td.finfo(dtype).eps
    least = np.finfo(str(dtype).removeprefix("tidu.")).smallest_subnormal
    got = to_array(td.cdist(x, y)).astype(np.longdouble)
    np.testing.assert_allclose(got, want, rtol=8 * eps, atol=float(least))


@pytest.mark.parametrize("scale", [1e30, 1e-30])
def test_correlations_do_not_depend_on_units(scale):
    x = rng.normal(size=(3, 7))
    t = td.tensor(x, dtype=td.float32) * td.tensor([[1.0], [scale], [1.0]])
    np.testing.assert_allclose(to_array(td.corrcoef(t)), np.corrcoef(x), rtol=1e-5)
    with pytest.raises(td.ShapeError, match=r"\[corrcoef\] takes a vector"):
        td.corrcoef(td.ones((2, 2, 2)))


@pytest.mark.parametrize("dtype", [td.bool, td.uint8, td.uint64, td.int8], ids=str)
def test_integers_are_subtracted_as_numbers(dtype):
    """Those without a sign, too, and sums that their type does not hold."""
    a, b = td.tensor([[0], [1]], dtype=dtype), td.tensor([[1]], dtype=dtype)
    assert td.cdist(a, b).tolist() == [[1], [0]]
    if dtype is td.bool:
        return
    y, falling = td.tensor([100, 120, 127], dtype=dtype), td.tensor([9, 5, 2], dtype=dtype)
    want = np.cumsum([-440.0, -370.5])
    assert td.trapezoid(y, falling).item() == want[-1]
    assert td.trapezoid(y).item() == 110 + 123.5
    assert td.cumulative_trapezoid(y, falling).tolist() == want.tolist()
    slopes = td.gradient(td.tensor([1.0, 2.0, 4.0]), falling)
    np.testing.assert_allclose(to_array(slopes), np.gradient([1.0, 2.0, 4.0], [9.0, 5.0, 2.0]), rtol=1e-6)


def test_numbers_far_from_zero_deviate_from_their_mean():
    """Which float32 does not hold."""
    x = td.tensor([1e8, 1e8 + 8, 1e8 + 16, 1e8 + 24], dtype=td.float32)
    variance = np.var([0, 8, 16, 24])
    np.testing.assert_allclose(td.cov(x, 0).item(), variance, rtol=1e-6)
    np.testing.assert_allclose(td.cov(x, 0, aweights=td.ones(4)).item(), variance, rtol=1e-6)
    np.testing.assert_allclose(td.nanvar(td.concat([x, td.tensor([NAN])])).item(), variance, rtol=1e-6)
    pair = td.stack([x, td.tensor([3.0, 2.0, 5.0, 1.0])])
    want = np.corrcoef([0, 8, 16, 24], [3, 2, 5, 1])
    np.testing.assert_allclose(to_array(td.corrcoef(pair)), want, rtol=1e-5)


def test_close_complex_numbers():
    x = td.tensor([1 + 2j, 3, complex(NAN, 0), complex(INF, 1)])
    y = td.tensor([1 + 2.000001j, 3 + 1j, complex(NAN, 0), complex(INF, 1)])
    assert td.isclose(x, y).tolist() == [True, False, False, True]
    assert td.isclose(x, y, equal_nan=True).tolist() == [True, False, True, True]


def test_distances_at_zero_have_no_gradient():
    x = td.tensor(rng.normal(size=(3, 2)))
    gradient = td.grad(lambda x: td.cdist(x, x).sum())(x)
    assert np.isfinite(to_array(gradient)).all()
    with pytest.raises(td.ShapeError, match=r"\[cdist\]"):
        td.cdist(x, td.ones((3, 3)))


POINTWISE = {
    "addcdiv": lambda x, y, p: td.addcdiv(x, y, p, value=0.7),
    "addcmul": lambda x, y, p: td.addcmul(x, y, p, value=-2.5),
    "celu": lambda x, y, p: td.nn.functional.celu(x, 0.8),
    "clip": lambda x, y, p: td.clip(x, -1, 1.5),
    "fmax": lambda x, y, p: td.fmax(x, y),
    "fmin of a number": lambda x, y, p: td.fmin(x, 0.25),
    "fmod": lambda x, y, p: td.fmod(x, p),
    "frac": lambda x, y, p: td.frac(x),
    "hardshrink": lambda x, y, p: td.nn.functional.hardshrink(x),
    "hardsigmoid": lambda x, y, p: td.nn.functional.hardsigmoid(x),
    "hardswish": lambda x, y, p: td.nn.functional.hardswish(x),
    "heaviside": lambda x, y, p: td.heaviside(x, y),
    "huber_loss": lambda x, y, p: td.nn.functional.huber_loss(x, y, reduction="none"),
    "isclose": lambda x, y, p: td.isclose(x, y, equal_nan=True),
    "ldexp": lambda x, y, p: td.ldexp(x, td.astype(td.clip(td.nan_to_num(y), -99, 99), td.int32)),
    "lerp": lambda x, y, p: td.lerp(x, y, p),
    "lerp by a number": lambda x, y, p: td.lerp(x, y, 0.8),
    "logaddexp2": lambda x, y, p: td.logaddexp2(x, y),
    "nan_to_num": lambda x, y, p: td.nan_to_num(x, 7),
    "nextafter": lambda x, y, p: td.nextafter(x, y),
    "selu": lambda x, y, p: td.nn.functional.selu(x),
    "smooth_l1_loss": lambda x, y, p: td.nn.functional.smooth_l1_loss(x, y, beta=0.3, reduction="none"),
    "softplus": lambda x, y, p: td.nn.functional.softplus(x, 2.0),
    "softshrink": lambda x, y, p: td.nn.functional.softshrink(x),
    "softsign": lambda x, y, p: td.nn.functional.softsign(x),
    "tanhshrink": lambda x, y, p: td.nn.functional.tanhshrink(x),
    "threshold": lambda x, y, p: td.nn.functional.threshold(x, 0.1, -3.0),
    "with logits": lambda x, y, p: td.nn.functional.binary_cross_entropy_with_logits(x, p, reduction="none"),
    "with logits and weights": lambda x, y, p: td.nn.functional.binary_cross_entropy_with_logits(
        x, p, reduction="none", pos_weight=p
    ),
}


@pytest.mark.parametrize("dtype", [td.float32, td.float64], ids=str)
@pytest.mark.parametrize("name", POINTWISE)
def test_composites_that_nobody_sees_have_the_bits_of_calls(name, dtype):
    """They are computed a handful at a time; under a profile, which shows every call, by tensors."""
    f = POINTWISE[name]
    x, y = (rng.standard_normal((40, 1000)) * 3 for _ in range(2))
    x[0, :8] = [0, -0.0, np.inf, -np.inf, np.nan, 1, 5e-324, 1e-45]
    y[0, 3:9], y[0, 0] = [np.nan, 1, np.inf, -np.inf, 2, 3], np.nan
    x, y, p = (td.tensor(a, dtype=dtype) for a in (x, y, rng.uniform(0.1, 1, (40, 1000))))
    with td.profile():
        want = f(x, y, p)
    for part in ((), (slice(0, 1), slice(0, 9)), (0, 3), (slice(3, 5), slice(1, 400))):  # the last is no row
        got = f(x[part], y[part], p[part])
        assert got.dtype == want.dtype
        assert to_array(got).tobytes() == to_array(want[part]).tobytes()
    broadcast = f(td.broadcast_to(x[0, 5], (300,)), y[0, :300], p[0, :300])
    with td.profile():
        want = f(td.full((300,), 1, dtype=dtype), y[0, :300], p[0, :300])
    assert to_array(broadcast).tobytes() == to_array(want).tobytes()


TWO_OPERANDS = (
    "addcmul",
    "fmax",
    "fmod",
    "heaviside",
    "isclose",
    "lerp",
    "lerp by a number",
    "logaddexp2",
    "nextafter",
)


@pytest.mark.parametrize("name", TWO_OPERANDS)
def test_numbers_expanded_to_another_shape_broadcast(name):
    f = POINTWISE[name]
    number, row = td.tensor(2.5), td.tensor([1.0, 2.5, 3.0, 4.0])
    column = td.broadcast_to(number, (3, 1))
    for x, y in ((column, row), (column, row.reshape(1, 4)), (row, column), (row.reshape(1, 4), column)):
        got, want = f(x, y, y), f(td.copy(x), td.copy(y), td.copy(y))
        assert got.shape == (3, 4)
        np.testing.assert_array_equal(to_array(got), to_array(want))
    x = td.broadcast_to(number, (2,))
    with pytest.raises(td.ShapeError):
        f(x, row, row)


def test_lerp_between_numbers_whose_distance_leaves_the_range():
    for largest, dtype in ((3e38, td.float32), (1.7e308, td.float64)):
        a, b = td.tensor([-largest, largest], dtype=dtype), td.tensor([largest, -largest], dtype=dtype)
        for weight in (0.0, 0.25, 0.5, 0.75, 1.0):
            want = np.array([-1, 1]) * (1 - 2 * weight) * largest
            np.testing.assert_allclose(to_array(td.lerp(a, b, weight)), want, rtol=1e-6)
            np.testing.assert_allclose(
                to_array(td.lerp(a, b, td.tensor([weight], dtype=dtype))), want, rtol=1e-6
            )
