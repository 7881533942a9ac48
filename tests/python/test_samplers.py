"""Distributions of random numbers against SciPy's, their derivatives, and the numbers of stream version 1."""

import itertools
import math

import mpmath
import numpy as np
import pytest
import tidu as td
from scipy import integrate, stats
from scipy import special as scipy_special

N = 40_000
random = td.random
NAN = math.nan


def key(seed=11):
    return random.key(seed)


def array(x):
    return x.cpu().numpy()


# name: (draws of a shape and dtype, the distribution)
CONTINUOUS = {
    "exponential": (lambda k, s, d: random.exponential(k, s, d), stats.expon),
    "gumbel": (lambda k, s, d: random.gumbel(k, s, d), stats.gumbel_r),
    "laplace": (lambda k, s, d: random.laplace(k, s, d), stats.laplace),
    "logistic": (lambda k, s, d: random.logistic(k, s, d), stats.logistic),
    "cauchy": (lambda k, s, d: random.cauchy(k, s, d), stats.cauchy),
    "truncated_normal": (
        lambda k, s, d: random.truncated_normal(k, -1.0, 2.0, s, d),
        stats.truncnorm(-1, 2),
    ),
    "truncated_normal far": (
        lambda k, s, d: random.truncated_normal(k, 5.0, math.inf, s, d),
        stats.truncnorm(5, math.inf),
    ),
    "weibull": (lambda k, s, d: random.weibull(k, 1.7, 2.0, s, d), stats.weibull_min(1.7, scale=2)),
    "pareto": (lambda k, s, d: random.pareto(k, 2.5, s, d), stats.pareto(2.5)),
    "gamma 0.3": (lambda k, s, d: random.gamma(k, 0.3, s, d), stats.gamma(0.3)),
    "gamma 1": (lambda k, s, d: random.gamma(k, 1, s, d), stats.gamma(1)),
    "gamma 4e4": (lambda k, s, d: random.gamma(k, 4e4, s, d), stats.gamma(4e4)),
    "loggamma": (lambda k, s, d: random.loggamma(k, 0.01, s, d), stats.loggamma(0.01)),
    "beta": (lambda k, s, d: random.beta(k, 0.4, 2.0, s, d), stats.beta(0.4, 2)),
    "chisquare": (lambda k, s, d: random.chisquare(k, 3.0, s, d), stats.chi2(3)),
    "t": (lambda k, s, d: random.t(k, 3.0, s, d), stats.t(3)),
}
DISCRETE = {
    "poisson 0.3": (lambda k, s: random.poisson(k, 0.3, s), stats.poisson(0.3)),
    "poisson 9.9": (lambda k, s: random.poisson(k, 9.9, s), stats.poisson(9.9)),
    "poisson 10": (lambda k, s: random.poisson(k, 10, s), stats.poisson(10)),
    "poisson 300": (lambda k, s: random.poisson(k, 300.0, s), stats.poisson(300)),
    "binomial 10": (lambda k, s: random.binomial(k, 10, 0.3, s), stats.binom(10, 0.3)),
    "binomial 100": (lambda k, s: random.binomial(k, 100, 0.5, s), stats.binom(100, 0.5)),
    "binomial 1000": (lambda k, s: random.binomial(k, 1000, 0.97, s), stats.binom(1000, 0.97)),
    "geometric": (lambda k, s: random.geometric(k, 0.3, s), stats.geom(0.3)),
    "categorical": (
        lambda k, s: random.categorical(k, td.log(td.tensor([0.1, 0.2, 0.7])), shape=s),
        stats.rv_discrete(values=([0, 1, 2], [0.1, 0.2, 0.7])),
    ),
    "choice": (
        lambda k, s: random.choice(k, 3, s, p=[1, 2, 7]),
        stats.rv_discrete(values=([0, 1, 2], [0.1, 0.2, 0.7])),
    ),
    "bernoulli": (
        lambda k, s: random.bernoulli(k, td.tensor(0.3), s).astype(td.int64),
        stats.bernoulli(0.3),
    ),
}


@pytest.mark.parametrize("dtype", [td.float32, td.float64], ids=str)
@pytest.mark.parametrize("name", CONTINUOUS)
def test_continuous_distributions(name, dtype):
    draw, distribution = CONTINUOUS[name]
    x = draw(key(), (N,), dtype)
    assert x.dtype == dtype and x.shape == (N,)
    assert stats.kstest(array(x).astype(float), distribution.cdf).pvalue > 1e-3


@pytest.mark.parametrize("name", DISCRETE)
def test_discrete_distributions(name):
    draw, distribution = DISCRETE[name]
    x = draw(key(), (N,))
    assert x.dtype == td.int64
    counts = np.bincount(array(x))
    expected = N * distribution.pmf(np.arange(len(counts)))
    often = expected > 10
    seen = np.append(counts[often], N - counts[often].sum())
    wanted = np.append(expected[often], N - expected[often].sum())
    keep = wanted > 1
    assert seen[~keep].sum() <= 5
    seen, wanted = seen[keep], wanted[keep]
    assert stats.chisquare(seen, wanted * seen.sum() / wanted.sum()).pvalue > 1e-3


def test_certain_outcomes():
    assert array(random.binomial(key(), 5, 1.0, (9,))).tolist() == [5] * 9
    assert array(random.binomial(key(), 10**6, td.tensor([0.0, 1.0]))).tolist() == [0, 10**6]
    assert array(random.poisson(key(), 0.0, (9,))).tolist() == [0] * 9
    assert random.poisson(key(), 3).shape == random.binomial(key(), 4, 0.5).shape == ()
    assert array(random.geometric(key(), 1.0, (9,))).tolist() == [1] * 9
    assert set(array(random.rademacher(key(), (99,))).tolist()) == {-1, 1}
    assert random.categorical(key(), td.tensor([[0.0, -math.inf], [-math.inf, 0.0]])).tolist() == [0, 1]
    x = array(random.truncated_normal(key(), td.tensor([-40.0, 39.0]), td.tensor([-39.0, 40.0])))
    assert (abs(x) >= 39).all() and (abs(x) <= 40).all()


@pytest.mark.parametrize("u", [1 - 2.0**-53, 1 - 2.0**-50])
def test_ends_of_counts(monkeypatch, u):
    """What rounded probabilities leave of 1 falls to the last count that has one, not beyond."""
    always = lambda k, shape, dtype: td.full(shape, u, dtype=dtype, device=k.device)
    monkeypatch.setattr("tidu._samplers._open_uniform", always)
    for trials, p in ((10, 0.3), (3, 0.49), (20, 0.2), (7, 0.9)):
        got = {
            random.binomial(key(), trials, p).item(),
            random.binomial(key(), td.tensor(trials), td.tensor(p, dtype=td.float64)).item(),
        }
        exact = stats.binom(trials, p).ppf(u)
        assert max(got) <= trials and (max(got) - exact <= 1), (trials, p, got)
    for rate in (0.001, 0.3, 2.0, 9.9):
        rates = (rate, td.tensor(rate, dtype=td.float64))
        got = {random.poisson(key(), each).item() for each in rates}
        low, high = stats.poisson(rate).ppf([u - 2.0**-49, u])
        assert low <= min(got) and max(got) <= high + 3, (rate, got)


def test_vectors():
    alpha = np.array([0.5, 1.0, 3.5])
    x = array(random.dirichlet(key(), td.tensor(alpha), (N,)))
    assert x.dtype == np.float64
    np.testing.assert_allclose(x.sum(axis=1), 1)
    exact = stats.dirichlet(alpha)
    np.testing.assert_allclose(x.mean(axis=0), exact.mean(), atol=0.01)
    np.testing.assert_allclose(np.cov(x.T), exact.cov(), atol=0.01)
    for i in range(3):
        assert stats.kstest(x[:, i], stats.beta(alpha[i], alpha.sum() - alpha[i]).cdf).pvalue > 1e-3
    mean, cov = np.array([1.0, -2.0]), np.array([[2.0, 1.2], [1.2, 1.0]])
    y = array(random.multivariate_normal(key(), td.tensor(mean), td.tensor(cov), (N,)))
    np.testing.assert_allclose(y.mean(axis=0), mean, atol=0.03)
    np.testing.assert_allclose(np.cov(y.T), cov, atol=0.05)
    white = np.linalg.solve(np.linalg.cholesky(cov), (y - mean).T)
    assert stats.kstest(white.ravel(), stats.norm.cdf).pvalue > 1e-3
    assert random.multivariate_normal(key(), td.zeros((4, 1, 2)), td.eye(2), (4, 3)).shape == (4, 3, 2)


def test_few_of_many_without_replacement():
    """No index twice, each place of the result like any other, whatever the number of indices."""
    keys = random.split(key(), 4000)
    drawn = array(td.vmap(lambda k: random.choice(k, 64, (4,), replace=False))(keys))
    assert (np.diff(np.sort(drawn, axis=1), axis=1) > 0).all()
    for place in drawn.T:
        counts = np.bincount(place, minlength=64)
        assert counts.shape == (64,)
        assert stats.chisquare(counts).pvalue > 1e-4
    many = array(random.choice(key(), 2**40, (1000,), replace=False))
    assert len(set(many.tolist())) == 1000
    assert 0 <= many.min() < 2**32 < many.max() < 2**40


def test_choice_without_replacement():
    x = td.tensor(np.arange(12).reshape(6, 2))
    rows = array(random.choice(key(), x, (3, 2), replace=False))
    assert rows.shape == (3, 2, 2)
    assert sorted(rows.reshape(6, 2)[:, 0].tolist()) == [0, 2, 4, 6, 8, 10]
    columns = array(random.choice(key(), x, (3,), axis=1))
    assert columns.shape == (6, 3) and set(columns[0].tolist()) <= {0, 1}
    assert random.choice(key(), 5, ()).shape == ()
    keys = random.split(key(), 4000)
    p = np.array([0.5, 0.3, 0.2])
    pairs = array(td.vmap(lambda k: random.choice(k, 3, (2,), replace=False, p=td.tensor(p)))(keys))
    assert (pairs[:, 0] != pairs[:, 1]).all()
    orders = [(i, j) for i in range(3) for j in range(3) if i != j]
    expected = [4000 * p[i] * p[j] / (1 - p[i]) for i, j in orders]
    seen = [((pairs == order).all(axis=1)).sum() for order in orders]
    assert stats.chisquare(seen, expected).pvalue > 1e-3


# ---- One number, one position


DRAWS = {name: (lambda s, draw=draw: draw(key(), s, td.float32)) for name, (draw, _) in CONTINUOUS.items()}
DRAWS |= {name: (lambda s, draw=draw: draw(key(), s)) for name, (draw, _) in DISCRETE.items()}


@pytest.mark.parametrize("name", DRAWS)
def test_a_number_does_not_depend_on_the_shape(name):
    long = array(DRAWS[name]((60,)))
    np.testing.assert_array_equal(array(DRAWS[name]((7,))), long[:7])
    np.testing.assert_array_equal(array(DRAWS[name]((3, 20))), long.reshape(3, 20))
    assert DRAWS[name]((0, 2)).shape == (0, 2)


def test_a_number_does_not_depend_on_the_parameters_of_others():
    for draw, a, b in [
        (random.gamma, 0.5, 30.0),
        (random.poisson, 0.5, 300.0),
        (lambda k, p: random.binomial(k, 100, p), 0.01, 0.4),
    ]:
        mixed = array(draw(key(), td.tensor([a, b] * 20)))
        np.testing.assert_array_equal(mixed[::2], array(draw(key(), td.tensor([a] * 40)))[::2])
        np.testing.assert_array_equal(mixed[1::2], array(draw(key(), td.tensor([b] * 40)))[1::2])


# Stream version 1: what a key gives must not change.
GOLDEN = {
    "exponential": [0.1097613, 0.04208668, 1.039265, 1.094368, 0.9273363, 0.3661416, 2.126981, 0.8700032],
    "gumbel": [2.209447, 3.168024, -0.03851365, -0.09017701, 0.07543902, 1.004735, -0.7547038, 0.1392584],
    "laplace": [1.570678, 2.495846, -0.3461178, -0.4012207, -0.2341891, 0.4890792, -1.433834, -0.176856],
    "logistic": [2.154064, 3.146907, -0.6027509, -0.6867738, -0.4238071, 0.8160847, -2.000061, -0.3270844],
    "cauchy": [2.952444, 7.680266, -0.4949123, -0.5714266, -0.3402506, 0.6953503, -2.544457, -0.2602748],
    "truncated_normal": [
        1.238072,
        1.584964,
        -0.1302,
        -0.1695533,
        -0.04388946,
        0.601578,
        -0.6550155,
        0.004024728,
    ],
    "truncated_normal far": [5.021121, 5.008108, 5.196766, 5.207004, 5.17591, 5.070137, 5.395493, 5.165197],
    "weibull": [0.545241, 0.310244, 2.045827, 2.108955, 1.913189, 1.107524, 3.117685, 1.842698],
    "pareto": [1.044883, 1.016977, 1.51544, 1.549213, 1.449088, 1.157725, 2.341502, 1.416234],
    "gamma 0.3": [
        0.0001029045,
        0.1483266,
        0.07550091,
        0.1634712,
        0.07251681,
        0.6528571,
        0.0001718866,
        0.8128245,
    ],
    "gamma 1": [0.108096, 0.1897039, 1.704542, 1.291935, 0.6335182, 0.7941396, 0.402673, 2.193696],
    "gamma 4e4": [39777.32, 39832.24, 39533.09, 40120.66, 39991.42, 40029.09, 39923.94, 40238.91],
    "loggamma": [-233.9487, -27.77335, -99.91562, -69.82631, -76.87347, -16.37213, -247.5589, -34.99425],
    "beta": [0.2443581, 0.2419358, 0.4116403, 0.0697449, 0.7157398, 0.3377697, 0.3240128, 0.2275722],
    "chisquare": [0.6595366, 0.9504282, 0.04971154, 3.897652, 2.245267, 2.665773, 1.606765, 5.979172],
    "t": [-0.03252155, 3.194377, 1.543646, 1.7363, -0.2746899, 1.11859, 1.03296, 0.1769541],
    "poisson 0.3": [0, 0, 0, 0, 1, 1, 2, 0],
    "poisson 9.9": [8, 9, 8, 5, 12, 13, 18, 8],
    "poisson 10": [13, 15, 15, 11, 8, 12, 15, 15],
    "poisson 300": [300, 327, 329, 306, 291, 312, 329, 330],
    "binomial 10": [2, 3, 2, 1, 4, 4, 7, 2],
    "binomial 100": [50, 58, 58, 52, 47, 54, 58, 46],
    "binomial 1000": [970, 962, 961, 968, 973, 966, 961, 961],
    "geometric": [1, 4, 2, 3, 10, 1, 1, 2],
    "categorical": [1, 2, 2, 2, 2, 2, 2, 1],
    "choice": [1, 2, 2, 2, 2, 2, 2, 1],
    "bernoulli": [0, 0, 0, 0, 0, 0, 1, 0],
}


@pytest.mark.parametrize("name", DRAWS)
def test_stream_version_1(name):
    np.testing.assert_allclose(array(DRAWS[name]((8,))), GOLDEN[name], rtol=2e-5, atol=1e-6)


# ---- Transforms and dtypes


@pytest.mark.parametrize("name", DRAWS)
def test_samplers_are_recorded_and_mapped(name):
    draw = {**CONTINUOUS, **DISCRETE}[name][0]
    kind = (td.float32,) if name in CONTINUOUS else ()
    keys = random.split(key(), 3)
    rows = np.stack([array(draw(k, (5,), *kind)) for k in keys])
    close = {"rtol": 1e-6} if kind else {"rtol": 0}
    np.testing.assert_allclose(array(td.vmap(lambda k: draw(k, (5,), *kind))(keys)), rows, **close)
    np.testing.assert_allclose(array(td.compile(lambda k: draw(k, (5,), *kind))(keys[1])), rows[1], **close)
    scanned = td.scan(lambda carry, k: (carry, draw(k, (5,), *kind)), None, keys)[1]
    np.testing.assert_allclose(array(scanned), rows, **close)


@pytest.mark.parametrize("dtype", [td.float16, td.bfloat16], ids=str)
@pytest.mark.parametrize("name", CONTINUOUS)
def test_sixteen_bits_are_drawn_in_float32_and_rounded(name, dtype):
    draw = CONTINUOUS[name][0]
    x = draw(key(), (50,), dtype)
    assert x.dtype == dtype
    np.testing.assert_array_equal(
        array(x.astype(td.float32)), array(draw(key(), (50,), td.float32).astype(dtype).astype(td.float32))
    )


# ---- Derivatives


def log_quantile_slope(a, y):
    """dy/da at fixed probability of the logarithm y of a gamma variate, by differences at 40 digits."""
    with mpmath.workdps(40):
        a, z = mpmath.mpf(a), mpmath.exp(mpmath.mpf(float(y)))
        step = a * mpmath.mpf(10) ** -12
        part = [mpmath.gammainc(s, 0, z, regularized=True) for s in (a + step, a - step)]
        return float(-(part[0] - part[1]) / (2 * step) / (z**a * mpmath.exp(-z) / mpmath.gamma(a)))


@pytest.mark.parametrize("a", [1e-3, 0.2, 1.0, 3.7, 60.0, 2e4])
def test_gamma_variates_change_as_their_quantiles(a):
    shape = td.tensor(a, dtype=td.float64)
    z, slope = td.jvp(lambda a: random.loggamma(key(), a, (5,)), (shape,), (td.ones_like(shape),))
    want = [log_quantile_slope(a, y) for y in array(z)]
    np.testing.assert_allclose(array(slope), want, rtol=1e-9)
    grad = td.grad(lambda a: td.sum(random.loggamma(key(), a, (5,))))(shape)
    assert grad.item() == pytest.approx(sum(want), rel=1e-9)
    single = td.jvp(
        lambda a: random.loggamma(key(), a, (5,)), (td.tensor(a),), (td.ones(()),)
    )  # other numbers, drawn in float32
    want = [log_quantile_slope(float(np.float32(a)), y) for y in array(single[0])]
    np.testing.assert_allclose(array(single[1]), want, rtol=1e-6)


def test_second_derivatives_of_gamma_variates():
    """Of the quantile q(a): q'' by differences of q'."""
    a, z = 1.7, 2.3
    with mpmath.workdps(40):
        cdf = lambda a, z: mpmath.gammainc(a, 0, z, regularized=True)
        u = cdf(mpmath.mpf(a), mpmath.mpf(z))
        quantile = lambda s: mpmath.findroot(lambda x: cdf(s, x) - u, mpmath.mpf(z))
        want = float(mpmath.diff(lambda s: mpmath.log(quantile(s)), mpmath.mpf(a), 2))
    # The sample has the slope s(a, y), of which the second derivative is ds/da + ds/dy s.
    from tidu._incomplete_gamma import log_quantile_slope

    shape, y = td.tensor(a, dtype=td.float64), td.tensor(math.log(z), dtype=td.float64)
    by_a, by_y = td.grad(log_quantile_slope, argnums=(0, 1))(shape, y)
    assert (by_a + by_y * log_quantile_slope(shape, y)).item() == pytest.approx(want, rel=1e-9)
    f = lambda a: random.loggamma(key(), a)
    y = f(shape)
    by_a, by_y = td.grad(log_quantile_slope, argnums=(0, 1))(shape, y)
    second = td.grad(td.grad(f))(shape).item()
    assert second == pytest.approx((by_a + by_y * log_quantile_slope(shape, y)).item(), rel=1e-12)


def expectation_slope(f, density, low, high, a, step=1e-4):
    """The derivative by a of the expectation of f, by differences of integrals."""
    at = lambda a: integrate.quad(lambda x: f(x) * density(x, a), low, high, limit=200)[0]
    return (at(a + step) - at(a - step)) / (2 * step)


@pytest.mark.parametrize(
    ("draw", "f", "density", "interval", "a"),
    [
        (lambda k, a, s: random.gamma(k, a, s), np.sqrt, lambda x, a: stats.gamma.pdf(x, a), (0, 60), 2.3),
        (
            lambda k, a, s: random.beta(k, a, 1.5, s),
            np.sqrt,
            lambda x, a: stats.beta.pdf(x, a, 1.5),
            (0, 1),
            2.3,
        ),
        (
            lambda k, a, s: random.dirichlet(k, td.stack([a, a * 0 + 1.0, a * 0 + 0.5]), s)[..., 0],
            np.sqrt,
            lambda x, a: stats.beta.pdf(x, a, 1.5),
            (0, 1),
            2.3,
        ),
        (lambda k, a, s: random.t(k, a, s), np.cos, lambda x, a: stats.t.pdf(x, a), (-200, 200), 3.0),
        (
            lambda k, a, s: random.weibull(k, a, 1.0, s),
            np.sqrt,
            lambda x, a: stats.weibull_min.pdf(x, a),
            (0, 60),
            1.5,
        ),
        (
            lambda k, a, s: random.truncated_normal(k, a, 2.0, s),
            np.cos,
            lambda x, a: stats.truncnorm.pdf(x, a, 2) if x >= a else 0.0,
            (-1.5, 2),
            -1.0,
        ),
    ],
    ids=["gamma", "beta", "dirichlet", "t", "weibull", "truncated_normal"],
)
def test_gradients_of_expectations(draw, f, density, interval, a):
    name = {np.sqrt: td.sqrt, np.cos: td.cos}[f]
    point = td.tensor(a, dtype=td.float64)
    slopes = array(td.jvp(lambda a: name(draw(key(), a, (N,))), (point,), (td.ones_like(point),))[1])
    want = expectation_slope(f, density, *interval, a)
    assert abs(slopes.mean() - want) < 5 * slopes.std() / math.sqrt(N) + 1e-5
    assert slopes.std() > 0


def test_integers_have_no_derivative():
    for draw in (random.poisson, lambda k, p: random.binomial(k, 10, p), random.geometric):
        grad = td.grad(lambda p, draw=draw: draw(key(), p).astype(td.float32) * p)(td.tensor(0.5))
        assert grad.item() == draw(key(), td.tensor(0.5)).item()


# ---- The incomplete gamma functions


def test_incomplete_gamma_functions():
    rng = np.random.default_rng(5)
    a = 10 ** rng.uniform(-3, 5, 300)
    x = a * np.exp(rng.normal(size=300) / np.sqrt(a))
    for ours, exact in [
        (td.special.gammainc, scipy_special.gammainc),
        (td.special.gammaincc, scipy_special.gammaincc),
    ]:
        want = exact(a, x)
        fits = want > 1e-280
        np.testing.assert_allclose(array(ours(td.tensor(a), td.tensor(x)))[fits], want[fits], rtol=2e-12)
    got = td.special.gammainc(td.tensor([1.0, -1, 1, 0, NAN, 2]), td.tensor([0.0, 1, math.inf, 1, 1, -1]))
    np.testing.assert_array_equal(array(got), [0, NAN, 1, 1, NAN, NAN])
    assert td.special.gammaincc(1.0, 0.0).item() == 1.0
    assert td.special.gammainc(2, 3).dtype == td.float32


def test_incomplete_gamma_functions_at_their_bounds():
    ends = [0.0, -0.0, 0.3, 40.0, math.inf, -1.0, -math.inf, NAN]
    a, x = (np.array(v) for v in zip(*itertools.product(ends, ends), strict=True))
    outside = ~((a > 0) & (x > 0) & np.isfinite(a) & np.isfinite(x)) & ~(np.isinf(a) & np.isinf(x))
    for ours, exact in [
        (td.special.gammainc, scipy_special.gammainc),
        (td.special.gammaincc, scipy_special.gammaincc),
    ]:
        got = array(ours(td.tensor(a), td.tensor(x)))
        np.testing.assert_array_equal(got[outside], exact(a, x)[outside])
        assert math.isnan(ours(math.inf, math.inf).item())


@pytest.mark.parametrize(("a", "ulps"), [(1e6, 1e3), (1e8, 1e4), (1e10, 1e5)])
def test_incomplete_gamma_functions_of_large_shapes(a, ulps):
    """Errors grow with the root of a, not with a: x goes through no logarithm."""
    for deviations in (-2, 0, 1.5):
        x = a + deviations * math.sqrt(a)
        want = scipy_special.gammainc(a, x)
        got = td.special.gammainc(td.tensor(a, dtype=td.float64), td.tensor(x, dtype=td.float64)).item()
        assert abs(got - want) < ulps * 2.0**-53 * 2


def test_derivatives_of_incomplete_gamma_functions():
    with mpmath.workdps(30):
        exact = lambda a, x: mpmath.gammainc(a, 0, x, regularized=True)
        for a, x in [(1.5, 2.0), (4.0, 1.0), (0.3, 0.2)]:
            point = td.tensor(a, dtype=td.float64), td.tensor(x, dtype=td.float64)
            for order in [(1, 0), (0, 1), (2, 0), (1, 1)]:
                f = td.special.gammainc
                for argnum, times in enumerate(order):
                    for _ in range(times):
                        f = td.grad(f, argnums=argnum)
                want = float(mpmath.diff(exact, (a, x), order))
                assert f(*point).item() == pytest.approx(want, rel=1e-10, abs=1e-12)


# ---- Mistakes


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda k: random.gamma(k, -1.0), ValueError, r"\[gamma\] a is -1.0, but must be positive"),
        (lambda k: random.gamma(k, td.ones((2,)), (3,)), td.ShapeError, r"shapes \(2,\) do not broadcast to"),
        (lambda k: random.beta(k, td.ones((2,)), td.ones((3,))), td.ShapeError, "do not broadcast"),
        (lambda k: random.gamma(k, 1.0, dtype=td.int64), td.DTypeError, r"\[gamma\] yields floating-point"),
        (lambda k: random.poisson(k, -0.5), ValueError, "lam is -0.5"),
        (lambda k: random.binomial(k, 2.5, 0.5), ValueError, "n is 2.5"),
        (lambda k: random.binomial(k, 2, 1.5), ValueError, r"p is 1.5, but must be in \[0, 1\]"),
        (lambda k: random.bernoulli(k, -0.1), ValueError, "p is -0.1"),
        (lambda k: random.geometric(k, 0.0), ValueError, "p is 0.0"),
        (lambda k: random.truncated_normal(k, 1.0, 1.0), ValueError, r"\[1.0, 1.0\] is empty"),
        (lambda k: random.choice(k, 3, (4,), replace=False), ValueError, "cannot draw 4 of 3 without"),
        (lambda k: random.choice(k, 3, (4,), p=[0.5, 0.5]), td.ShapeError, r"must be \(3,\)"),
        (lambda k: random.categorical(k, td.ones((2, 0))), td.ShapeError, "no categories"),
        (
            lambda k: random.multivariate_normal(k, td.ones((2,)), td.eye(3)),
            td.ShapeError,
            "need covariances",
        ),
        (lambda k: random.dirichlet(k, 1.0), td.ShapeError, "not a number"),
        (lambda k: random.exponential(td.ones((2,)), (3,)), td.ShapeError, "the key"),
    ],
)
def test_mistakes_are_named(make, error, message):
    with pytest.raises(error, match=message):
        make(key())


def test_elements_out_of_range_are_nan():
    bad = td.tensor([2.0, -1.0, NAN])
    for draw in (random.gamma, random.chisquare, random.t, random.pareto, random.weibull):
        np.testing.assert_array_equal(np.isnan(array(draw(key(), bad))), [False, True, True])
    np.testing.assert_array_equal(array(random.poisson(key(), bad))[1:], [-1, -1])
    np.testing.assert_array_equal(array(random.geometric(key(), bad)), [-1, -1, -1])
    np.testing.assert_array_equal(array(random.binomial(key(), 3, bad)), [-1, -1, -1])
    assert math.isnan(random.truncated_normal(key(), td.tensor(1.0), td.tensor(0.0)).item())
