"""Values and derivatives at the ends of the range and in tails, against mpmath and long double."""

import functools
import math

import mpmath
import numpy as np
import pytest
import samplers as ops
import tidu as td

F = td.nn.functional
INF, NAN = math.inf, math.nan
rng = np.random.default_rng(31)


def array(x):
    return x.cpu().numpy()


# --- Moments. The squares of these leave the range, or all but the last bits of it.

SCALES = {
    td.float32: [1e-44, 1e-38, 1e-30, 1e-25, 1e-18, 1.0, 1e14, 1e19, 1e25, 1e34],
    td.float64: [1e-320, 1e-300, 1e-200, 1e-160, 1.0, 1e140, 1e160, 1e200, 6e303],
}
NUMPY = {td.float32: np.float32, td.float64: np.float64}


def moments(x, axis):
    wide = x.astype(np.longdouble)
    mean = wide.mean(axis=axis, keepdims=True)
    return mean, wide - mean, np.sqrt(((wide - mean) ** 2).mean(axis=axis, keepdims=True))


@pytest.mark.parametrize("dtype", NUMPY, ids=str)
@pytest.mark.parametrize("axis", [0, 1, None])
def test_moments_of_numbers_of_any_size(dtype, axis):
    z = rng.standard_normal((9, 300)).clip(-2.5, 2.5)
    for scale in SCALES[dtype]:
        for spread in (z, 0.5 * (z + 3), np.where(np.arange(300) % 2, z, 1e-20 * z)):
            x = (spread * scale).astype(NUMPY[dtype])
            mean, deviations, std = moments(x, axis)
            t, rtol = td.tensor(x), 16 * ops.EPSILON[dtype]
            tiny = np.finfo(NUMPY[dtype]).smallest_subnormal
            size = np.abs(x).max().astype(np.longdouble)
            got = array(td.mean(t, axis=axis, keepdims=True))
            np.testing.assert_allclose(got / size, mean / size, 0, rtol + tiny / size)
            np.testing.assert_allclose(array(td.std(t, axis=axis, keepdims=True)), std, rtol, tiny)
            with np.errstate(over="ignore", under="ignore"):
                want = (std * std).astype(NUMPY[dtype])
            np.testing.assert_allclose(array(td.var(t, axis=axis, keepdims=True)), want, rtol, tiny)
            count = x.size / std.size
            got = array(td.grad(lambda x: td.sum(td.std(x, axis=axis)))(t))
            unit = np.where(std == 0, 1, std)
            assert (np.abs(got * count - deviations / unit) <= 2 * rtol + 3 * tiny / unit).all()


@pytest.mark.parametrize("dtype", NUMPY, ids=str)
def test_moments_where_few_elements_differ(dtype):
    """Runs of zeros, a run of one huge number, and ends that are not finite."""
    small, large = (1e-30, 1e30) if dtype == td.float32 else (1e-200, 1e200)
    x = np.zeros((4, 4099), NUMPY[dtype])
    x[0, 77], x[1, 4000], x[2, 0], x[3] = small, large, 1, large
    x[2, 1] = small
    for y, axis in ((x, 1), (np.ascontiguousarray(x.T), 0)):
        want = moments(y, axis)[2].reshape(-1)
        np.testing.assert_allclose(array(td.std(td.tensor(y), axis=axis)), want, 1e-6)
    for value in (INF, -INF, NAN):
        x[:, 5] = value
        assert np.isnan(array(td.std(td.tensor(x), axis=1))).all()
    z = td.tensor(np.array([3e25 + 4e25j, 0, 0, 0], np.complex64))
    assert td.std(z).tolist() == pytest.approx(5e25 * math.sqrt(3) / 4, rel=1e-6)


# --- Normalisations


def normalised(x, eps, centred=True):
    mean, deviations, std = moments(x, 1)
    if not centred:
        deviations, std = x.astype(np.longdouble), np.hypot(std, mean)
    r = 1 / np.hypot(std, np.sqrt(np.longdouble(eps)))
    return deviations * r, r


NORMS = {
    "layer_norm": lambda x, eps: F.layer_norm(x, x.shape[1:], eps=eps),
    "rms_norm": lambda x, eps: F.rms_norm(x, x.shape[1:], eps=eps),
    "batch_norm": lambda x, eps: F.batch_norm(x.T, None, None, training=True, eps=eps).T,
    "group_norm": lambda x, eps: F.group_norm(x, 1, eps=eps),
}


@pytest.mark.parametrize("dtype", NUMPY, ids=str)
@pytest.mark.parametrize("name", NORMS)
def test_norms_of_rows_of_any_size(name, dtype):
    low, high, small = (1e-25, 1e25, 1e-18) if dtype == td.float32 else (1e-200, 1e200, 1e-150)
    top = 0.9 * float(np.finfo(NUMPY[dtype]).max)
    z = rng.standard_normal((2, 37))
    sign = np.where(z < 0, -1, 1)
    rows = [(high * z, 1e-5), (low * z, 0), (small * z, small**2), (top * sign, 1e-5), (1e4 + 0 * z, 0.1)]
    rows += [
        (100.1 + 0 * z, 1e-5),
        (high / 3 + 0 * z, 1e-5),
        (top + 0 * z, 1e-5),
        (0 * z, 1e-5),
        (z + 1e4, 1e-5),
    ]
    for values, eps in rows:
        x = values.astype(NUMPY[dtype])
        h, r = normalised(x, eps, name != "rms_norm")
        tolerance = 300 * ops.EPSILON[dtype]
        got = array(NORMS[name](td.tensor(x), eps))
        np.testing.assert_allclose(got, h.astype(np.float64), tolerance, tolerance)
        u = rng.standard_normal(x.shape)
        centre = 0 if name == "rms_norm" else u.mean(1, keepdims=True)
        want = (u - centre - h * (u * h).mean(1, keepdims=True)) * r
        g = td.tensor(u, dtype=dtype)
        norm = functools.partial(NORMS[name], eps=eps)
        got = array(td.vjp(norm, td.tensor(x))[1](g)[0])
        np.testing.assert_allclose(got / r, (want / r).astype(np.float64), 0, 2 * tolerance)


def test_curvature_of_norms_of_large_rows():
    """Scaling the rows by 2^k divides second derivatives by 2^(2 k)."""
    z = rng.standard_normal((2, 16))
    t, u = (td.tensor(rng.standard_normal((2, 16)), dtype=td.float32) for _ in range(2))
    for name, norm in NORMS.items():

        def curvature(scale, norm=norm):
            x = td.tensor(z * scale, dtype=td.float32)
            return array(td.hvp(lambda x: td.sum(u * norm(x, 0.0)), x, t * scale)).astype(np.float64)

        want, got = curvature(1.0), curvature(2.0**66)
        np.testing.assert_allclose(got * 2.0**66, want, 1e-3, 1e-4 * np.abs(want).max(), err_msg=name)


@pytest.mark.parametrize("dtype", NUMPY, ids=str)
def test_directions_of_vectors_whose_norm_is_beyond_the_range(dtype):
    top = float(np.finfo(NUMPY[dtype]).max)
    x = td.full((64,), 0.9 * top, dtype=dtype)
    assert array(F.normalize(x, axis=0)) == pytest.approx(0.125, rel=1e-6)
    assert F.cosine_similarity(x, -x, axis=0).item() == pytest.approx(-1, rel=1e-6)
    assert not array(F.normalize(td.zeros(4, dtype=dtype), axis=0)).any()
    slope = array(td.jacobian(lambda x: F.normalize(x, axis=0, eps=0.5))(td.zeros(2, dtype=dtype)))
    np.testing.assert_array_equal(slope, 2 * np.eye(2))


# --- Slopes of rows, and of activations made of them


def sigmoid(x):
    return 1 / (1 + mpmath.exp(-x))


def sech(x):
    return 1 / mpmath.cosh(x)


def slope_of_mish(x):
    s = mpmath.log1p(mpmath.exp(x))
    return mpmath.tanh(s) + x * sigmoid(x) * sech(s) ** 2


def slope_of_ndtri(p):
    q = min(p, 1 - p)
    y = mpmath.findroot(
        lambda y: mpmath.log(mpmath.ncdf(-y)) - mpmath.log(q), mpmath.sqrt(-2 * mpmath.log(q))
    )
    return mpmath.sqrt(2 * mpmath.pi) * mpmath.exp(y * y / 2)


def slope_of_i0e(x):
    return mpmath.exp(-abs(x)) * (mpmath.besseli(1, x) - mpmath.sign(x) * mpmath.besseli(0, x))


def powers(low, high, count=30):
    return 10 ** rng.uniform(low, high, count)


BOTH = np.concatenate([rng.uniform(-30, 30, 60), powers(-6, 2), -powers(-6, 2)])
SLOPES = {  # function, slope, arguments, ulps
    "mish": (td.mish, slope_of_mish, rng.uniform(0, 30, 60), 8),
    "erfinv": (
        td.erfinv,
        lambda x: mpmath.sqrt(mpmath.pi) / 2 * mpmath.exp(mpmath.erfinv(x) ** 2),
        np.concatenate([1 - powers(-7, -1), powers(-5, 0) - 1]),
        8,
    ),
    "ndtri": (td.ndtri, slope_of_ndtri, np.concatenate([powers(-37, -1), 1 - powers(-7, -1)]), 8),
    "i0e": (td.i0e, slope_of_i0e, np.concatenate([powers(-2, 4), -powers(-2, 4)]), 64),
    "softsign": (F.softsign, lambda x: 1 / (1 + abs(x)) ** 2, np.concatenate([BOTH, powers(3, 18)]), 6),
    "tanhshrink": (F.tanhshrink, lambda x: mpmath.tanh(x) ** 2, BOTH, 24),
    "softplus": (lambda x: F.softplus(x, 3.0), lambda x: sigmoid(3 * x), rng.uniform(-20, 20, 40), 40),
}


def close(got, exact, x, dtype, ulps):
    """Within so many units in the last place."""
    with mpmath.workdps(60):
        want = np.array([float(exact(mpmath.mpf(float(v)))) for v in x])
    ops.assert_close(got, want, dtype, ulps)


@pytest.mark.parametrize("dtype", NUMPY, ids=str)
@pytest.mark.parametrize("name", SLOPES)
def test_slopes_in_tails(name, dtype):
    f, slope, points, ulps = SLOPES[name]
    x = ops.to_array(ops.to_tensor(points, dtype))
    close(td.grad(lambda x: td.sum(f(x)))(ops.to_tensor(x, dtype)), slope, x, dtype, ulps)


@pytest.mark.parametrize("dtype", [td.float16, td.bfloat16], ids=str)
@pytest.mark.parametrize("name", ["tanh", "sigmoid", "softsign", "tanhshrink", "mish"])
def test_slopes_of_sixteen_bits_in_tails(name, dtype):
    """The input is kept, and tells of what the result has lost."""
    f = getattr(td, name, None) or getattr(F, name)
    slope = {
        "tanh": lambda x: sech(x) ** 2,
        "sigmoid": lambda x: sigmoid(x) * sigmoid(-x),
        "mish": slope_of_mish,
    }
    exact = slope.get(name) or SLOPES[name][1]
    points = np.concatenate([rng.uniform(1, 9, 40), rng.uniform(-9, -2, 40) * (name != "mish")])
    x = ops.to_array(ops.to_tensor(points, dtype))
    close(td.grad(lambda x: td.sum(f(x)))(ops.to_tensor(x, dtype)), exact, x.astype(np.float64), dtype, 1)


@pytest.mark.parametrize("dtype", NUMPY, ids=str)
def test_small_values_and_ends(dtype):
    x = ops.to_array(ops.to_tensor(np.concatenate([powers(-9, 0), rng.uniform(-1.2, 1.2, 40)]), dtype))
    with mpmath.workdps(60):
        shrunk = [float(v - mpmath.tanh(v)) for v in map(mpmath.mpf, x.astype(np.float64).tolist())]
    ops.assert_close(F.tanhshrink(ops.to_tensor(x, dtype)), np.array(shrunk), dtype, 12)
    top = float(np.finfo(NUMPY[dtype]).max)
    ends = td.tensor([INF, -INF, top, -top], dtype=dtype)
    assert F.softsign(ends).tolist() == [1, -1, 1, -1]
    assert F.softplus(ends, 2.0).tolist() == [INF, 0, top, 0]
    # I_0(x) exp(-x) of numbers whose product with 2 pi is beyond the range
    far = td.tensor([top, -top], dtype=dtype)
    want = 1 / math.sqrt(2 * math.pi) / math.sqrt(top)
    for f, sign in ((td.i0e, 1), (td.i1e, -1)):
        assert f(far).tolist() == pytest.approx([want, sign * want], rel=1e-6, abs=0)
    assert td.i0(far).tolist() == [INF, INF] and td.i1(far).tolist() == [INF, -INF]
