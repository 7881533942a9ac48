"""The incomplete beta function, its inverse and the distributions that have it, against SciPy and mpmath."""

import math

import mpmath
import numpy as np
import pytest
import tidu as td
from scipy import special, stats

D = td.distributions
rng = np.random.default_rng(8)
NAN = math.nan


def t(x):
    return td.tensor(x, dtype=td.float64)


def array(x):
    return x.cpu().numpy()


def points(count, low, high):
    """Shapes over many scales, and x where the distribution has its parts."""
    a, b = 10 ** rng.uniform(low, high, (2, count))
    logit = np.log(a / b) + 1.5 * rng.normal(size=count) * np.sqrt(1 / a + 1 / b)
    return a, b, special.expit(logit)


@pytest.mark.parametrize(("low", "high", "tolerance"), [(-1, 1.5, 1e-13), (-3, 4, 1e-11)])
def test_values(low, high, tolerance):
    a, b, x = points(400, low, high)
    for ours, exact in [(td.special.betainc, special.betainc), (td.special.betaincc, special.betaincc)]:
        want = exact(a, b, x)
        fits = want > 1e-280
        np.testing.assert_allclose(array(ours(t(a), t(b), t(x)))[fits], want[fits], rtol=tolerance)
    single = td.special.betainc(*(td.tensor(each, dtype=td.float32) for each in (a, b, x)))
    assert single.dtype == td.float32
    want = special.betainc(*(each.astype(np.float32).astype(float) for each in (a, b, x)))
    np.testing.assert_allclose(array(single), want, rtol=1e-6, atol=1e-37)


def test_at_and_beyond_the_ends():
    a, b = t([1.0, 2, 0, 1, 1, 1, NAN, math.inf]), t([2.0, 3, 1, -1, 1, 1, 1, 1])
    x = t([0.0, 1, 0.5, 0.5, -0.1, 1.1, 0.5, 0.5])
    np.testing.assert_array_equal(array(td.special.betainc(a, b, x)), [0, 1, *[NAN] * 6])
    np.testing.assert_array_equal(array(td.special.betaincc(a, b, x)), [1, 0, *[NAN] * 6])
    np.testing.assert_array_equal(array(td.special.betaincinv(a, b, x)), [0, 1, *[NAN] * 6])
    assert td.special.betainc(2, 3, 1).dtype == td.float32
    assert td.special.betainc(td.ones((3, 1)), td.ones(2), 0.5).shape == (3, 2)


@pytest.mark.parametrize("order", [(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 0, 1), (2, 0, 0)])
def test_derivatives(order):
    cases = [(1.5, 2.0, 0.3), (4.0, 0.7, 0.95), (0.2, 30.0, 0.02)]
    with mpmath.workdps(30):
        exact = lambda a, b, x: mpmath.betainc(a, b, 0, x, regularized=True)
        want = [float(mpmath.diff(exact, case, order)) for case in cases]
    f = td.special.betainc
    for argnum, times in enumerate(order):
        for _ in range(times):
            f = td.grad(f, argnums=argnum)
    got = [f(*map(t, case)).item() for case in cases]
    np.testing.assert_allclose(got, want, rtol=1e-10)


def test_inverse():
    a, b, _ = points(300, -1, 3)
    p = rng.uniform(size=300) ** 3
    x = td.special.betaincinv(t(a), t(b), t(p))
    want = special.betaincinv(a, b, p)
    np.testing.assert_allclose(array(x), want, rtol=1e-12)
    np.testing.assert_allclose(
        array(td.special.betaincinv(t(a), t(b), t(1 - 2.0**-50))),
        special.betaincinv(a, b, 1 - 2.0**-50),
        rtol=1e-12,
    )


def test_derivatives_of_the_inverse():
    """q(a, b, p) by differences in 40 digits, and by the density."""
    a, b, p = 1.7, 2.6, 0.3
    with mpmath.workdps(40):
        cdf = lambda a, b, x: mpmath.betainc(a, b, 0, x, regularized=True)
        quantile = lambda a, b, p: mpmath.findroot(lambda x: cdf(a, b, x) - p, mpmath.mpf(0.3))
        want = [float(mpmath.diff(quantile, (a, b, p), order)) for order in [(1, 0, 0), (0, 1, 0), (0, 0, 1)]]
        second = float(mpmath.diff(quantile, (a, b, p), (0, 0, 2)))
    f = td.special.betaincinv
    got = [g.item() for g in td.grad(f, argnums=(0, 1, 2))(t(a), t(b), t(p))]
    np.testing.assert_allclose(got, want, rtol=1e-11)
    assert td.grad(td.grad(f, argnums=2), argnums=2)(t(a), t(b), t(p)).item() == pytest.approx(
        second, rel=1e-10
    )
    lanes = td.vmap(td.grad(f, argnums=2), (None, None, 0))(t(a), t(b), t([p, 0.9]))
    assert lanes[0].item() == pytest.approx(want[2], rel=1e-11)
    assert td.program(f, t(a), t(b), t(p))(t(a), t(b), t(0.5)).item() == pytest.approx(
        special.betaincinv(a, b, 0.5)
    )


# ---- Distributions


@pytest.mark.parametrize("df", [0.3, 1.0, 4.5, 200.0, 1e7])
def test_students_distribution(df):
    ours, exact = D.StudentT(t(df), t(0.5), t(2.0)), stats.t(df, 0.5, 2.0)
    x = np.array([-400.0, -9, -1.6, -1.5, 0.4, 0.5, 1.3, 2.5, 2.6, 30])
    np.testing.assert_allclose(array(ours.cdf(t(x))), exact.cdf(x), rtol=5e-12)
    p = np.array([1e-12, 1e-3, 0.2, 0.499, 0.5, 0.8, 1 - 1e-9])
    np.testing.assert_allclose(array(ours.icdf(t(p))), exact.ppf(p), rtol=5e-12)
    np.testing.assert_array_equal(array(ours.icdf(t([0.0, 1.0, 1.5]))), [-math.inf, math.inf, NAN])
    # The derivatives of both are the density and 1 over it, also where the branches meet.
    slope = array(td.grad(lambda x: td.sum(ours.cdf(x)))(t(x)))
    np.testing.assert_allclose(slope, exact.pdf(x), rtol=1e-9)
    slope = array(td.grad(lambda p: td.sum(ours.icdf(p)))(t(p)))
    np.testing.assert_allclose(slope, 1 / exact.pdf(exact.ppf(p)), rtol=1e-8)


def test_students_distribution_changes_with_its_freedom():
    for df, z in [(4.5, 0.4), (4.5, -2.0), (4.5, 0.0)]:
        step = 1e-5
        want = (stats.t.cdf(z, df + step) - stats.t.cdf(z, df - step)) / (2 * step)
        got = td.grad(lambda df, z=z: D.StudentT(df).cdf(t(z)))(t(df)).item()
        assert got == pytest.approx(want, rel=1e-6, abs=1e-11)


@pytest.mark.parametrize(("a", "b"), [(2.3, 0.7), (0.1, 40.0), (300.0, 2.0)])
def test_beta_distribution(a, b):
    ours, exact = D.Beta(t(a), t(b)), stats.beta(a, b)
    p = np.array([0.0, 0.01, 0.3, 0.8, 1.0])
    x = exact.ppf(p)
    np.testing.assert_allclose(array(ours.cdf(t([-1.0, *x, 2.0]))), [0, *exact.cdf(x), 1], rtol=1e-11)
    np.testing.assert_allclose(array(ours.icdf(t(p))), x, rtol=1e-11)


@pytest.mark.parametrize(("df1", "df2"), [(3.0, 7.0), (0.5, 30.0), (40.0, 4.2)])
def test_f_distribution(df1, df2):
    ours, exact = D.FisherSnedecor(t(df1), t(df2)), stats.f(df1, df2)
    p = np.array([1e-9, 0.01, 0.3, 0.8, 0.999])
    x = exact.ppf(p)
    np.testing.assert_allclose(array(ours.log_prob(t(x))), exact.logpdf(x), rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(array(ours.cdf(t([-1.0, 0.0, *x]))), [0, 0, *exact.cdf(x)], rtol=1e-11)
    np.testing.assert_allclose(array(ours.icdf(t(p))), x, rtol=1e-11)
    assert ours.log_prob(-1.0).item() == -math.inf
    assert ours.mean.item() == pytest.approx(exact.mean()) and ours.entropy().item() == pytest.approx(
        exact.entropy()
    )
    assert ours.variance.item() == pytest.approx(exact.var(), nan_ok=True)
    slope = array(td.grad(lambda p: td.sum(ours.icdf(p)))(t(p)))
    np.testing.assert_allclose(slope, 1 / exact.pdf(x), rtol=1e-9)
    drawn = array(ours.rsample(td.random.key(1), (4000,)))
    assert stats.kstest(drawn, exact.cdf).pvalue > 1e-3


@pytest.mark.parametrize(("n", "p"), [(7, 0.3), (1000, 0.02), (0, 0.5), (5, 1.0)])
def test_binomial_distribution(n, p):
    ours, exact = D.Binomial(t(n), t(p)), stats.binom(n, p)
    k = np.arange(-1, min(n, 40) + 2)
    np.testing.assert_allclose(array(ours.cdf(td.tensor(k))), exact.cdf(k), rtol=1e-12)
    np.testing.assert_allclose(array(ours.cdf(t(k + 0.7))), exact.cdf(k), rtol=1e-12)
    q = np.array([1e-7, 0.2, 0.5, 0.93, 1.0])
    np.testing.assert_array_equal(array(ours.icdf(t(q))), exact.ppf(q))
    assert math.isnan(ours.icdf(t(1.1)).item())
