"""Special functions where they are hard: tails, poles, large arguments and high orders, against 60 digits."""

import math

import mpmath
import numpy as np
import pytest
import samplers as ops
import tidu as td

INF, NAN = math.inf, math.nan
rng = np.random.default_rng(23)


def around(*points, width=1e-3):
    return np.concatenate([point + rng.uniform(-width, width, 8) for point in points])


def exact(name):
    return ops.EXACT.get(name, ops.REFERENCES[name])


def powers(low, high, count=40):
    return 10 ** rng.uniform(low, high, count)


# name: (options, arguments, ulps)
HARD = [
    ("erfcx", {}, np.concatenate([rng.uniform(-5, 5, 40), powers(-6, 6)]), 6),
    ("erfcx", {"order": 1}, np.concatenate([rng.uniform(-5, 5, 40), powers(-6, 4)]), 12),
    ("erfinv", {}, np.concatenate([rng.uniform(-1, 1, 40), 1 - powers(-6, -1), powers(-20, -1)]), 4),
    ("ndtr", {}, np.concatenate([rng.uniform(-12, 6, 60), powers(-8, 1)]), 4),
    ("log_ndtr", {}, np.concatenate([rng.uniform(-30, 5, 60), -powers(0, 6)]), 4),
    ("ndtri", {}, np.concatenate([rng.uniform(0, 1, 40), powers(-37, -1)]), 4),
    ("logit", {}, np.concatenate([rng.uniform(0, 1, 40), powers(-20, -1), around(0.5)]), 3),
    (
        "polygamma",
        {"n": 1},
        np.concatenate([rng.uniform(0, 20, 40), powers(-3, 6), -rng.uniform(0, 5, 40)]),
        12,
    ),
    ("polygamma", {"n": 3}, np.concatenate([rng.uniform(0.5, 20, 40), powers(-3, 3)]), 12),
    ("bessel_i", {"order": 1}, np.concatenate([rng.uniform(-80, 80, 60), powers(-6, 1)]), 16),
    ("bessel_ie", {"order": 2}, np.concatenate([rng.uniform(-80, 80, 60), powers(-6, 4)]), 16),
    # Differences of neighbours below 28, with 2 x times the error of the function, which is 13 units.
    (
        "bessel_ie",
        {"order": 0, "derivative": 1},
        np.concatenate([rng.uniform(-80, 80, 60), powers(-6, 4)]),
        728,
    ),
    (
        "bessel_ie",
        {"order": 3, "derivative": 1},
        np.concatenate([rng.uniform(-80, 80, 60), powers(0, 4)]),
        728,
    ),
    ("sinc", {}, np.concatenate([rng.uniform(-9, 9, 60), powers(-12, 3), around(1, -2, 7)]), 4),
]


@pytest.mark.parametrize("dtype", [td.float32, td.float64], ids=str)
@pytest.mark.parametrize(
    ("name", "options", "x", "ulps"), HARD, ids=lambda v: v if isinstance(v, str) else ""
)
def test_relative_errors(name, options, x, ulps, dtype):
    x = ops.to_array(ops.to_tensor(x, dtype))
    want = exact(name)(x.astype(np.float64), **options)
    got = ops.row_function(name)(ops.to_tensor(x, dtype), **options)
    ops.assert_close(got, want, dtype, ulps, message=name)


@pytest.mark.parametrize("dtype", [td.float32, td.float64], ids=str)
@pytest.mark.parametrize("name", ["lgamma", "digamma"])
def test_gamma_functions_of_negative_and_large_numbers(name, dtype):
    """Close to their zeros the error is one of numbers of size 1."""
    x = np.concatenate([rng.uniform(-9, 0, 60), rng.uniform(0, 20, 60), powers(-6, 6)])
    x = ops.to_array(ops.to_tensor(x, dtype))
    want = exact(name)(x.astype(np.float64))
    slope = ops.EXACT["polygamma"](x.astype(np.float64)) if name == "digamma" else 0
    scale = np.abs(want) + 1 + np.sqrt(np.abs(slope))
    ops.assert_close(getattr(td, name)(ops.to_tensor(x, dtype)), want, dtype, 6, scale, name)


@pytest.mark.parametrize("dtype", [td.float32, td.float64], ids=str)
def test_digamma_beside_its_zero(dtype):
    with mpmath.workdps(40):
        zero = float(mpmath.findroot(mpmath.digamma, 1.4616))
    near = [zero + sign * 2.0**-k for k in range(3, 24 if dtype is td.float32 else 53) for sign in (-1, 1)]
    x = ops.to_array(ops.to_tensor(np.array([*near, zero, 1.22, 1.3, 1.6, 1.7]), dtype))
    want = exact("digamma")(x.astype(np.float64))
    ops.assert_close(td.digamma(ops.to_tensor(x, dtype)), want, dtype, 4, message="digamma")


@pytest.mark.parametrize("dtype", [td.float16, td.bfloat16], ids=str)
@pytest.mark.parametrize(
    "name", ["erfinv", "ndtr", "ndtri", "log_ndtr", "lgamma", "digamma", "bessel_ie", "mish", "gelu_tanh"]
)
def test_sixteen_bits_are_rounded_once(name, dtype):
    low, high = {
        "erfinv": (0.01, 0.99),
        "ndtri": (0.01, 0.99),
        "lgamma": (2.5, 20),
        "digamma": (1.4, 1.5),
    }.get(name, (-3, 3))
    x = ops.to_array(ops.to_tensor(rng.uniform(low, high, 300), dtype))
    want = np.asarray(exact(name)(x.astype(np.float64)), np.float64)
    got = ops.to_array(getattr(td, name)(ops.to_tensor(x, dtype))).astype(np.float64)
    unit = ops.EPSILON[dtype] * 2.0 ** np.floor(np.log2(np.maximum(np.abs(want), ops.TINY[dtype])))
    assert (np.abs(got - want) <= 0.51 * unit + ops.TINY[dtype]).all()


SMOOTH = {
    "erfcx": (mpmath.mpf("0.7"), lambda x: mpmath.exp(x * x) * mpmath.erfc(x)),
    "erfinv": (mpmath.mpf("0.4"), mpmath.erfinv),
    "ndtr": (mpmath.mpf("-1.3"), mpmath.ncdf),
    "log_ndtr": (mpmath.mpf("-2.5"), lambda x: mpmath.log(mpmath.ncdf(x))),
    "ndtri": (mpmath.mpf("0.3"), lambda p: mpmath.sqrt(2) * mpmath.erfinv(2 * p - 1)),
    "lgamma": (mpmath.mpf("2.6"), mpmath.loggamma),
    "digamma": (mpmath.mpf("1.8"), mpmath.digamma),
    "i0": (mpmath.mpf("1.1"), lambda x: mpmath.besseli(0, x)),
    "i0e": (mpmath.mpf("1.1"), lambda x: mpmath.exp(-x) * mpmath.besseli(0, x)),
    "i1": (mpmath.mpf("1.1"), lambda x: mpmath.besseli(1, x)),
    "i1e": (mpmath.mpf("1.1"), lambda x: mpmath.exp(-x) * mpmath.besseli(1, x)),
    "sinc": (mpmath.mpf("0.3"), lambda x: mpmath.sinpi(x) / (mpmath.pi * x)),
    "logit": (mpmath.mpf("0.3"), lambda x: mpmath.log(x / (1 - x))),
    "entr": (mpmath.mpf("0.3"), lambda x: -x * mpmath.log(x)),
    "mish": (mpmath.mpf("0.4"), lambda x: x * mpmath.tanh(mpmath.log1p(mpmath.exp(x)))),
    "gelu_tanh": (
        mpmath.mpf("0.4"),
        lambda x: x / 2 * (1 + mpmath.tanh(mpmath.sqrt(2 / mpmath.pi) * (x + mpmath.mpf("0.044715") * x**3))),
    ),
    "cbrt": (mpmath.mpf("0.4"), mpmath.cbrt),
}


@pytest.mark.parametrize("name", SMOOTH)
def test_derivatives_to_order_4(name):
    """By nested reverse mode, and as a Taylor series."""
    point, exact = SMOOTH[name]
    with mpmath.workdps(50):
        want = [float(mpmath.diff(exact, point, n)) for n in range(5)]
    f, x = getattr(td, name), td.tensor(float(point), dtype=td.float64)
    got, g = [], f
    for _ in range(5):
        got.append(float(g(x)))
        g = td.grad(g)
    np.testing.assert_allclose(got, want, rtol=1e-11)
    polynomial = td.taylor(f, x, 4)
    np.testing.assert_allclose(
        [float(c) * math.factorial(n) for n, c in enumerate(polynomial.coefficients)], want, rtol=1e-11
    )


@pytest.mark.parametrize("name", ["sinc", "i0", "i1"])
def test_every_derivative_at_zero(name):
    """Closed forms: pi^n cos(n pi / 2) / (n + 1), and binomials of I_n(0)."""
    f, got = getattr(td, name), []
    for _ in range(7):
        got.append(float(f(td.tensor(0.0, dtype=td.float64))))
        f = td.grad(f)
    n = np.arange(7)
    want = {
        "sinc": np.where(n % 2 == 0, (-1.0) ** (n // 2) * math.pi**n / (n + 1), 0),
        "i0": [math.comb(k, k // 2) / 2**k if k % 2 == 0 else 0 for k in n],
        "i1": [math.comb(k, (k - 1) // 2) / 2**k if k % 2 else 0 for k in n],
    }[name]
    np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-15)


def test_poles_and_ends():
    def values(f, *x):
        return f(td.tensor(x, dtype=td.float64)).tolist()

    assert values(td.digamma, 0.0, -0.0)[:2] == [-INF, INF]
    assert np.isnan(values(td.digamma, -1.0, -7.0, NAN, -INF)).all()
    assert values(td.lgamma, 0.0, -3.0, INF, 1.0, 2.0) == [INF, INF, INF, 0, 0]
    assert values(td.erfinv, 1.0, -1.0) == [INF, -INF]
    assert values(td.ndtri, 0.0, 1.0, 0.5) == [-INF, INF, 0]
    assert np.isnan(values(td.ndtri, -0.1, 1.1, NAN)).all()
    assert np.isnan(values(td.erfinv, 1.1, -2.0)).all()
    assert values(td.sinc, 0.0, 1.0, -3.0, 1e300) == [1, 0, 0, 0]
    assert values(td.ndtr, -INF, INF, 0.0) == [0, 1, 0.5]
    assert values(td.entr, -1.0, 0.0, 1.0) == [-INF, 0, 0]
    assert values(td.i0, 0.0, INF, -INF) == [1, INF, INF]
    assert values(td.i1, INF, -INF) == [INF, -INF]
    for f in (td.erfinv, td.cbrt, td.i1, td.i1e):
        assert math.copysign(1, values(f, -0.0)[0]) == -1
    assert td.xlogy(td.tensor([0.0, 0.0, 1.0]), td.tensor([0.0, -1.0, 0.0])).tolist() == [0, 0, -INF]
    assert np.isnan(td.xlogy(0.0, td.tensor([NAN])).tolist()).all()
    assert td.logit(td.tensor([0.0, 1.0, 0.5]), eps=0.25).tolist() == pytest.approx(
        [-math.log(3), math.log(3), 0], rel=1e-6
    )
    assert td.lgamma(td.tensor([3, 4])).tolist() == pytest.approx([math.log(2), math.log(6)], rel=1e-6)


def test_orders():
    x = td.tensor([0.5, 2.0], dtype=td.float64)
    assert td.polygamma(0, x).tolist() == td.digamma(x).tolist()
    assert x.polygamma(2).tolist() == td.polygamma(2, x).tolist()
    assert td.bessel_i(x, -2).tolist() == td.bessel_i(x, 2).tolist()
    for f in (td.bessel_i, td.sinc, td.erfcx):
        assert np.isnan(f(x, 0.5).tolist()).all()
    with pytest.raises(ValueError, match=r"\[polygamma\] the order n must be at least 0, not -1"):
        td.polygamma(-1, x)


@pytest.mark.parametrize("dtype", [td.float32, td.float64], ids=str)
def test_polygamma_at_its_poles(dtype):
    """-inf of even orders and inf of odd ones at every integer below 1, large ones too."""
    x = td.tensor([0.0, -1.0, -7.0, -(2.0**23), -(2.0**24) - 2, -(2.0**54), -(2.0**70)], dtype=dtype)
    for n, pole in ((1, math.inf), (2, -math.inf), (3, math.inf), (4, -math.inf)):
        assert td.polygamma(n, x).tolist() == [pole] * 7


def test_names_of_scipy():
    special = td.special
    x = td.tensor([0.25, 0.75])
    for ours, name in (("sigmoid", "expit"), ("lgamma", "gammaln"), ("digamma", "psi")):
        assert getattr(special, name)(x).tolist() == getattr(td, ours)(x).tolist()
    assert all(callable(getattr(special, name)) for name in special.__all__)
