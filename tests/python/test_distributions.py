"""Distributions against scipy.stats and numerical integrals."""

import math

import numpy as np
import pytest
import tidu as td
from scipy import integrate, stats

D = td.distributions
F64 = td.float64
rng = np.random.default_rng(3)


def t(x):
    return td.tensor(x, dtype=F64)


def array(x):
    return x.cpu().numpy()


# name: (ours, SciPy's, values)
REAL = {
    "Normal": (lambda: D.Normal(t(0.3), t(1.7)), stats.norm(0.3, 1.7), np.linspace(-4, 4, 9)),
    "LogNormal": (
        lambda: D.LogNormal(t(0.3), t(0.6)),
        stats.lognorm(0.6, scale=math.exp(0.3)),
        np.linspace(-1, 4, 9),
    ),
    "HalfNormal": (lambda: D.HalfNormal(t(1.7)), stats.halfnorm(scale=1.7), np.linspace(-1, 4, 9)),
    "Uniform": (lambda: D.Uniform(t(-1.0), t(2.0)), stats.uniform(-1, 3), np.linspace(-2, 3, 9)),
    "Exponential": (lambda: D.Exponential(t(1.7)), stats.expon(scale=1 / 1.7), np.linspace(-1, 4, 9)),
    "Gamma": (lambda: D.Gamma(t(2.3), t(1.7)), stats.gamma(2.3, scale=1 / 1.7), np.linspace(-1, 4, 9)),
    "Beta": (lambda: D.Beta(t(2.3), t(0.7)), stats.beta(2.3, 0.7), np.linspace(-0.5, 1.5, 9)),
    "Laplace": (lambda: D.Laplace(t(0.3), t(1.7)), stats.laplace(0.3, 1.7), np.linspace(-4, 4, 9)),
    "Cauchy": (lambda: D.Cauchy(t(0.3), t(1.7)), stats.cauchy(0.3, 1.7), np.linspace(-4, 4, 9)),
    "StudentT": (lambda: D.StudentT(t(3.5), t(0.3), t(1.7)), stats.t(3.5, 0.3, 1.7), np.linspace(-4, 4, 9)),
    "Gumbel": (lambda: D.Gumbel(t(0.3), t(1.7)), stats.gumbel_r(0.3, 1.7), np.linspace(-4, 4, 9)),
    "Chi2": (lambda: D.Chi2(t(3.5)), stats.chi2(3.5), np.linspace(-1, 6, 9)),
    "InverseGamma": (
        lambda: D.InverseGamma(t(3.3), t(1.7)),
        stats.invgamma(3.3, scale=1.7),
        np.linspace(-1, 4, 9),
    ),
    "HalfCauchy": (lambda: D.HalfCauchy(t(1.7)), stats.halfcauchy(scale=1.7), np.linspace(-1, 4, 9)),
    "Weibull": (
        lambda: D.Weibull(t(1.7), t(1.6)),
        stats.weibull_min(1.6, scale=1.7),
        np.linspace(-1, 4, 9),
    ),
    "Pareto": (lambda: D.Pareto(t(1.2), t(3.3)), stats.pareto(3.3, scale=1.2), np.linspace(0.5, 4, 9)),
}
WHOLE = {
    "Bernoulli": (lambda: D.Bernoulli(t(0.3)), stats.bernoulli(0.3)),
    "Binomial": (lambda: D.Binomial(7, t(0.3)), stats.binom(7, 0.3)),
    "Geometric": (lambda: D.Geometric(t(0.3)), stats.geom(0.3)),
    "Poisson": (lambda: D.Poisson(t(2.3)), stats.poisson(2.3)),
    "NegativeBinomial": (lambda: D.NegativeBinomial(t(2.5), t(0.3)), stats.nbinom(2.5, 0.7)),
    "Categorical": (
        lambda: D.Categorical(t([1.0, 2.0, 0.0, 7.0])),
        stats.rv_discrete(values=([0, 1, 2, 3], [0.1, 0.2, 0.0, 0.7])),
    ),
}
ALL = {**REAL, **WHOLE}
CLOSE = {"rtol": 1e-11, "atol": 1e-13}


@pytest.mark.parametrize("name", REAL)
def test_densities_and_distribution_functions(name):
    make, exact, x = REAL[name]
    ours = make()
    np.testing.assert_allclose(array(ours.log_prob(t(x))), exact.logpdf(x), **CLOSE)
    np.testing.assert_allclose(array(ours.prob(t(x))), exact.pdf(x), **CLOSE)
    for method, at, want in [(ours.cdf, x, exact.cdf), (ours.icdf, np.linspace(0.05, 0.95, 7), exact.ppf)]:
        try:
            got = array(method(t(at)))
        except NotImplementedError as error:
            assert "no closed form" in str(error)
        else:
            np.testing.assert_allclose(got, want(at), **CLOSE)
    assert ours.log_prob(0.3).item() == pytest.approx(exact.logpdf(0.3), rel=1e-13)


@pytest.mark.parametrize("name", WHOLE)
def test_probabilities(name):
    make, exact = WHOLE[name]
    ours, x = make(), np.array([-1, 0, 1, 2, 3, 5, 8])
    with np.errstate(divide="ignore"):
        want = np.log(exact.pmf(x))
    for values in (td.tensor(x), t(x)):
        np.testing.assert_allclose(array(ours.log_prob(values)), want, **CLOSE)
    if name in ("Poisson", "Geometric", "NegativeBinomial"):
        np.testing.assert_allclose(array(ours.cdf(t(x + 0.5))), exact.cdf(x + 0.5), **CLOSE)
    if name != "Categorical":
        assert ours.log_prob(0.5).item() == -math.inf


@pytest.mark.parametrize("name", ALL)
def test_moments_and_entropies(name):
    make, exact = ALL[name][:2]
    ours = make()
    for what, want in [
        (lambda: ours.mean, exact.mean()),
        (lambda: ours.variance, exact.var()),
        (lambda: ours.stddev, exact.std()),
        (lambda: ours.entropy(), exact.entropy()),
    ]:
        try:
            got = what().item()
        except NotImplementedError as error:
            assert "no closed form" in str(error)
            continue
        if name == "Cauchy" and math.isnan(got):
            continue
        assert got == pytest.approx(float(want), rel=1e-10)


@pytest.mark.parametrize("name", ALL)
def test_samples(name):
    make, exact = ALL[name][:2]
    ours = make()
    x = array(ours.sample(td.random.key(5), (20_000,)))
    assert x.shape == (20_000,)
    if name in REAL:
        assert stats.kstest(x, exact.cdf).pvalue > 1e-3
    else:
        counts = np.bincount(x, minlength=4)
        expected = len(x) * exact.pmf(np.arange(len(counts)))
        often = expected > 5
        assert (
            stats.chisquare(
                counts[often], expected[often] * counts[often].sum() / expected[often].sum()
            ).pvalue
            > 1e-3
        )
    assert ours.has_rsample == (name in REAL)
    if name not in REAL:
        with pytest.raises(NotImplementedError, match="call sample"):
            ours.rsample(td.random.key(5))


def test_samples_have_derivatives():
    def total(d):
        return td.sum(d.rsample(td.random.key(1), (100,)))

    grads = td.grad(total)(D.Normal(t(0.3), t(1.7)))
    z = array(td.random.normal(td.random.key(1), (100,), dtype=F64))
    assert isinstance(grads, D.Normal)
    assert grads.loc.item() == pytest.approx(100) and grads.scale.item() == pytest.approx(z.sum())
    assert (
        td.grad(lambda d: td.sum(d.sample(td.random.key(1), (9,))))(D.Normal(t(0.3), t(1.7))).loc.item() == 0
    )


# ---- Vectors


def test_dirichlet():
    a = np.array([0.7, 2.0, 3.3])
    ours, exact = D.Dirichlet(t(a)), stats.dirichlet(a)
    x = rng.dirichlet(a, 5)
    np.testing.assert_allclose(array(ours.log_prob(t(x))), exact.logpdf(x.T), **CLOSE)
    np.testing.assert_allclose(array(ours.mean), exact.mean(), **CLOSE)
    np.testing.assert_allclose(array(ours.variance), exact.var(), **CLOSE)
    assert ours.entropy().item() == pytest.approx(exact.entropy())
    assert ours.batch_shape == () and ours.event_shape == (3,)
    assert ours.sample(td.random.key(0), (4, 2)).shape == (4, 2, 3)
    assert ours.log_prob(t([-1.0, 1.0, 1.0])).item() == -math.inf


def test_multivariate_normal():
    mean, root = rng.normal(size=3), rng.normal(size=(3, 3))
    cov = root @ root.T + np.eye(3)
    exact = stats.multivariate_normal(mean, cov)
    x = rng.normal(size=(5, 3))
    for ours in (
        D.MultivariateNormal(t(mean), t(cov)),
        D.MultivariateNormal(t(mean), scale_tril=t(np.linalg.cholesky(cov))),
    ):
        np.testing.assert_allclose(array(ours.log_prob(t(x))), exact.logpdf(x), **CLOSE)
        np.testing.assert_allclose(array(ours.covariance_matrix), cov, **CLOSE)
        np.testing.assert_allclose(array(ours.variance), np.diag(cov), **CLOSE)
        assert ours.entropy().item() == pytest.approx(exact.entropy())
    batch = D.MultivariateNormal(td.zeros((4, 1, 3)), td.eye(3) * td.ones((2, 1, 1)))
    assert batch.batch_shape == (4, 2) and batch.event_shape == (3,)
    assert batch.sample(td.random.key(0), (5,)).shape == (5, 4, 2, 3)
    assert batch.log_prob(td.zeros((3,))).shape == (4, 2)


def test_one_hot_vectors():
    ours = D.OneHotCategorical(t([1.0, 2.0, 7.0]))
    x = ours.sample(td.random.key(0), (2000,))
    assert x.shape == (2000, 3) and x.dtype == F64
    np.testing.assert_allclose(array(x).mean(axis=0), [0.1, 0.2, 0.7], atol=0.05)
    np.testing.assert_allclose(array(ours.log_prob(t(np.eye(3)))), np.log([0.1, 0.2, 0.7]))
    assert ours.entropy().item() == pytest.approx(stats.entropy([0.1, 0.2, 0.7]))


def test_axes_of_one_event():
    base = D.Normal(td.zeros((4, 3, 2), dtype=F64), t(2.0))
    ours = D.Independent(base, 2)
    assert ours.batch_shape == (4,) and ours.event_shape == (3, 2)
    x = t(rng.normal(size=(5, 4, 3, 2)))
    np.testing.assert_allclose(array(ours.log_prob(x)), stats.norm(0, 2).logpdf(array(x)).sum(axis=(2, 3)))
    assert ours.rsample(td.random.key(0), (7,)).shape == (7, 4, 3, 2)
    np.testing.assert_allclose(array(ours.entropy()), np.full(4, 6 * stats.norm(0, 2).entropy()))
    kl = D.kl_divergence(ours, D.Independent(D.Normal(td.ones((4, 3, 2), dtype=F64), t(1.0)), 2))
    assert kl.shape == (4,)
    with pytest.raises(ValueError, match="has no 4 axes"):
        D.Independent(base, 4)
    with pytest.raises(ValueError, match="events of 2 and 1 axes"):
        D.kl_divergence(ours, D.Independent(base, 1))


def test_kumaraswamy_is_a_power_of_a_beta():
    ours, x = D.Kumaraswamy(t(2.3), t(1.7)), np.linspace(0.05, 0.95, 7)
    beta = stats.beta(1, 1.7)
    np.testing.assert_allclose(
        array(ours.log_prob(t(x))), beta.logpdf(x**2.3) + np.log(2.3 * x**1.3), **CLOSE
    )
    np.testing.assert_allclose(array(ours.cdf(t(x))), beta.cdf(x**2.3), **CLOSE)
    np.testing.assert_allclose(array(ours.icdf(t(x))), beta.ppf(x) ** (1 / 2.3), **CLOSE)
    for what, moment in [(ours.mean, lambda y: y), (ours.variance, lambda y: (y - ours.mean.item()) ** 2)]:
        want = integrate.quad(lambda x, m=moment: m(x) * ours.prob(x).item(), 0, 1, limit=200)[0]
        assert what.item() == pytest.approx(want)
    want = integrate.quad(lambda x: -ours.prob(x).item() * ours.log_prob(x).item(), 0, 1)[0]
    assert ours.entropy().item() == pytest.approx(want)
    drawn = array(ours.rsample(td.random.key(5), (20_000,)))
    assert stats.kstest(drawn**2.3, beta.cdf).pvalue > 1e-3


@pytest.mark.parametrize("concentration", [1e-6, 0.3, 4.0, 1e4])
def test_angles(concentration):
    ours, exact = D.VonMises(t(0.5), t(concentration)), stats.vonmises(concentration, 0.5)
    x = 0.5 + np.linspace(-1, 1, 9) * min(3, 4 / math.sqrt(concentration))
    np.testing.assert_allclose(array(ours.log_prob(t(x))), exact.logpdf(x), rtol=1e-9, atol=1e-9)
    mean = np.exp(1j * 0.5) * (1 - array(ours.variance))
    want = integrate.quad(lambda x: math.cos(x) * exact.pdf(x + 0.5), -3, 3, points=[0])[0]
    assert abs(mean) == pytest.approx(
        want + integrate.quad(lambda x: 2 * math.cos(x) * exact.pdf(x + 0.5), 3, math.pi)[0]
    )
    drawn = array(ours.sample(td.random.key(1), (4000,)))
    assert np.abs(drawn).max() <= math.pi and not ours.has_rsample
    turned = np.angle(np.exp(1j * (drawn - 0.5)))
    assert stats.kstest(turned, stats.vonmises(concentration).cdf).pvalue > 1e-3


def test_relaxed_categories():
    ours, x = D.RelaxedBernoulli(t(0.7), logits=t(0.4)), np.linspace(0.02, 0.98, 7)
    # logit(x) temperature - logits is logistic.
    logit = np.log(x / (1 - x))
    want = stats.logistic.logpdf(0.7 * logit - 0.4) + np.log(0.7 / (x * (1 - x)))
    np.testing.assert_allclose(array(ours.log_prob(t(x))), want, **CLOSE)
    drawn = array(ours.rsample(td.random.key(2), (5000,)))
    assert stats.kstest(0.7 * np.log(drawn / (1 - drawn)) - 0.4, stats.logistic.cdf).pvalue > 1e-3
    both = D.RelaxedOneHotCategorical(t(0.7), logits=t([0.4, 0.0]))
    np.testing.assert_allclose(array(both.log_prob(t(np.stack([x, 1 - x], -1)))), want, **CLOSE)
    drawn = array(both.rsample(td.random.key(2), (5000,)))
    np.testing.assert_allclose(drawn.sum(-1), 1)
    assert stats.kstest(0.7 * np.log(drawn[:, 0] / drawn[:, 1]) - 0.4, stats.logistic.cdf).pvalue > 1e-3
    td.check_grads(lambda d: td.sum(d.log_prob(t([0.2, 0.3]))), (ours,))
    assert ours.log_prob(t(1.5)).item() == -math.inf


def test_multinomial():
    p = np.array([0.1, 0.0, 0.9])
    ours, exact = D.Multinomial(6, t(p)), stats.multinomial(6, p)
    x = np.array([[1, 0, 5], [6, 0, 0], [3, 1, 2], [1, 0, 4]])
    with np.errstate(divide="ignore"):
        want = exact.logpmf(x)
    for values in (td.tensor(x), t(x)):
        np.testing.assert_allclose(array(ours.log_prob(values)), want, **CLOSE)
    np.testing.assert_allclose(array(ours.mean), 6 * p)
    np.testing.assert_allclose(array(ours.variance), np.diag(exact.cov()), atol=1e-15)
    drawn = array(ours.sample(td.random.key(3), (4000,)))
    assert (drawn.sum(-1) == 6).all()
    counts = np.bincount(drawn[:, 0].astype(int), minlength=7)[:3]
    assert (
        stats.chisquare(counts, counts.sum() * (q := stats.binom(6, 0.1).pmf(range(3))) / q.sum()).pvalue
        > 1e-3
    )
    kl = D.kl_divergence(D.Multinomial(6, t([0.3, 0.7])), D.Multinomial(6, t([0.6, 0.4])))
    assert kl.item() == pytest.approx(6 * (0.3 * math.log(0.5) + 0.7 * math.log(1.75)))
    with pytest.raises(ValueError, match="6 and 5 draws"):
        D.kl_divergence(ours, D.Multinomial(5, t(p)))


def test_mixtures():
    weights, locs = np.array([0.2, 0.8]), np.array([-1.0, 2.0])
    ours = D.MixtureSameFamily(D.Categorical(t(weights)), D.Normal(t(locs), t(0.5)))
    x = np.linspace(-3, 4, 9)
    density = (weights * stats.norm(locs, 0.5).pdf(x[:, None])).sum(-1)
    np.testing.assert_allclose(array(ours.prob(t(x))), density, **CLOSE)
    cdf = lambda x: (weights * stats.norm(locs, 0.5).cdf(np.asarray(x)[..., None])).sum(-1)
    np.testing.assert_allclose(array(ours.cdf(t(x))), cdf(x), **CLOSE)
    assert ours.mean.item() == pytest.approx(1.4) and ours.variance.item() == pytest.approx(0.25 + 0.16 * 9)
    assert stats.kstest(array(ours.sample(td.random.key(4), (5000,))), cdf).pvalue > 1e-3
    vectors = D.Independent(D.Normal(t(rng.normal(size=(4, 2, 3)))), 1)
    batch = D.MixtureSameFamily(D.Categorical(t(weights)), vectors)
    assert batch.batch_shape == (4,) and batch.event_shape == (3,) and batch.mean.shape == (4, 3)
    drawn = batch.sample(td.random.key(0), (20_000, 1))
    assert drawn.shape == (20_000, 1, 4, 3)
    np.testing.assert_allclose(array(drawn).mean(axis=(0, 1)), array(batch.mean), atol=0.05)
    np.testing.assert_allclose(array(drawn).var(axis=(0, 1)), array(batch.variance), rtol=0.06)
    each = [D.Normal(vectors.base.loc[:, i]).log_prob(drawn[0, 0]) for i in range(2)]
    want = td.log(sum(w * td.exp(td.sum(e, axis=-1)) for w, e in zip(weights, each, strict=True)))
    np.testing.assert_allclose(array(batch.log_prob(drawn[0, 0])), array(want), **CLOSE)
    td.check_grads(lambda d: d.log_prob(t(0.3)), (ours,))
    with pytest.raises(td.ShapeError, match="2 weights need components"):
        D.MixtureSameFamily(D.Categorical(t(weights)), D.Normal(t([1.0, 2.0, 3.0])))


def test_transformed_distributions():
    ours = D.TransformedDistribution(D.Normal(t(0.3), t(0.6)), td.exp, td.log)
    exact, x = stats.lognorm(0.6, scale=math.exp(0.3)), np.linspace(0.2, 4, 7)
    np.testing.assert_allclose(array(ours.log_prob(t(x))), exact.logpdf(x), **CLOSE)
    assert stats.kstest(array(ours.sample(td.random.key(2), (5000,))), exact.cdf).pvalue > 1e-3
    slope = td.grad(lambda d: td.sum(d.log_prob(t(x))))(ours)
    want = td.grad(lambda d: td.sum(d.log_prob(t(x))))(D.LogNormal(t(0.3), t(0.6)))
    assert slope.base.loc.item() == pytest.approx(want.loc.item())


# ---- Divergences


PAIRS = [
    (lambda: D.Normal(t(0.3), t(1.7)), lambda: D.Normal(t(-1.0), t(0.9)), (-20, 20)),
    (lambda: D.LogNormal(t(0.3), t(0.7)), lambda: D.LogNormal(t(-1.0), t(0.9)), (0, 200)),
    (lambda: D.HalfNormal(t(0.7)), lambda: D.HalfNormal(t(1.9)), (0, 20)),
    (lambda: D.Uniform(t(0.0), t(1.0)), lambda: D.Uniform(t(-1.0), t(3.0)), (0, 1)),
    (lambda: D.Exponential(t(0.7)), lambda: D.Exponential(t(1.9)), (0, 60)),
    (lambda: D.Gamma(t(2.3), t(0.7)), lambda: D.Gamma(t(1.3), t(1.9)), (0, 90)),
    (lambda: D.Beta(t(2.3), t(1.7)), lambda: D.Beta(t(1.3), t(1.9)), (0, 1)),
    (lambda: D.Laplace(t(0.3), t(0.7)), lambda: D.Laplace(t(-1.0), t(0.9)), (-30, 30)),
    (lambda: D.Gumbel(t(0.3), t(0.7)), lambda: D.Gumbel(t(-1.0), t(0.9)), (-3, 40)),
    (lambda: D.Chi2(t(3.5)), lambda: D.Chi2(t(5.0)), (0, 120)),
    (lambda: D.InverseGamma(t(3.3), t(0.7)), lambda: D.InverseGamma(t(2.3), t(1.9)), (0, 200)),
    (lambda: D.Weibull(t(0.7), t(1.6)), lambda: D.Weibull(t(1.2), t(0.9)), (0, 40)),
    (lambda: D.Pareto(t(1.2), t(3.3)), lambda: D.Pareto(t(1.0), t(2.1)), (1.2, 500)),
    (lambda: D.Bernoulli(t(0.3)), lambda: D.Bernoulli(t(0.6)), range(2)),
    (lambda: D.Binomial(5, t(0.3)), lambda: D.Binomial(5, t(0.6)), range(6)),
    (lambda: D.Geometric(t(0.3)), lambda: D.Geometric(t(0.6)), range(1, 200)),
    (lambda: D.Poisson(t(2.3)), lambda: D.Poisson(t(1.6)), range(60)),
    (lambda: D.NegativeBinomial(t(2.5), t(0.3)), lambda: D.NegativeBinomial(t(2.5), t(0.6)), range(80)),
    (lambda: D.Categorical(t([1.0, 2.0, 3.0])), lambda: D.Categorical(t([2.0, 1.0, 1.0])), range(3)),
]


@pytest.mark.parametrize(("p", "q", "support"), PAIRS, ids=lambda v: "")
def test_divergences_are_expectations(p, q, support):
    p, q = p(), q()
    got = D.kl_divergence(p, q).item()
    if isinstance(support, range):
        x = td.tensor(list(support))
        want = td.sum(p.prob(x) * (p.log_prob(x) - q.log_prob(x))).item()
    else:
        x = np.linspace(support[0] + 1e-9, support[1] - 1e-9, 200_001)
        density = array(p.prob(t(x)))
        difference = array(p.log_prob(t(x)) - q.log_prob(t(x)))
        want = integrate.simpson(np.where(density > 0, density * difference, 0), x=x)
    assert got == pytest.approx(want, rel=2e-4)
    assert D.kl_divergence(p, p).item() == pytest.approx(0, abs=1e-14)


def test_divergences_of_vectors():
    """By the definition, on many samples."""
    root = rng.normal(size=(2, 3, 3)) + 2 * np.eye(3)
    for p, q in [
        (
            D.MultivariateNormal(t([0.0, 1, 2]), t(root[0] @ root[0].T)),
            D.MultivariateNormal(t([1.0, 1, 1]), t(root[1] @ root[1].T + np.eye(3))),
        ),
        (D.Dirichlet(t([1.0, 2, 3])), D.Dirichlet(t([2.0, 2, 1]))),
    ]:
        x = p.sample(td.random.key(0), (40_000,))
        terms = array(p.log_prob(x) - q.log_prob(x))
        assert abs(D.kl_divergence(p, q).item() - terms.mean()) < 5 * terms.std() / 200
        assert D.kl_divergence(q, q).item() == pytest.approx(0, abs=1e-13)
    a, b = D.OneHotCategorical(t([1.0, 2.0, 3.0])), D.OneHotCategorical(t([2.0, 1.0, 1.0]))
    p, q = np.array([1, 2, 3]) / 6, np.array([2, 1, 1]) / 4
    assert D.kl_divergence(a, b).item() == pytest.approx((p * np.log(p / q)).sum())
    c, d = D.Cauchy(t(0.3), t(1.7)), D.Cauchy(t(-1.0), t(0.9))
    want, _ = integrate.quad(
        lambda x: (
            stats.cauchy.pdf(x, 0.3, 1.7)
            * (stats.cauchy.logpdf(x, 0.3, 1.7) - stats.cauchy.logpdf(x, -1, 0.9))
        ),
        -math.inf,
        math.inf,
    )
    assert D.kl_divergence(c, d).item() == pytest.approx(want, rel=1e-6)


def test_divergences_of_ones_own():
    with pytest.raises(NotImplementedError, match="none of Normal and Laplace"):
        D.kl_divergence(D.Normal(), D.Laplace())
    assert D.kl_divergence(D.Uniform(0.0, 2.0), D.Uniform(0.0, 1.0)).item() == math.inf


# ---- Trees


def test_distributions_pass_through_transforms():
    locs = t([0.0, 1.0, 2.0])
    batch = td.vmap(lambda loc: D.Normal(loc, t(2.0)))(locs)
    assert isinstance(batch, D.Normal) and batch.batch_shape == (3,)
    x = t([0.5, 0.5, 0.5])
    each = td.vmap(lambda d, x: d.log_prob(x))(batch, x)
    np.testing.assert_allclose(array(each), stats.norm(array(locs), 2).logpdf(0.5))
    np.testing.assert_allclose(array(td.compile(lambda d, x: d.log_prob(x))(batch, x)), array(each))
    slope = td.grad(lambda d: td.sum(d.log_prob(x)))(batch)
    np.testing.assert_allclose(array(slope.loc), (0.5 - array(locs)) / 4)
    params = td.tree.leaves(D.Independent(batch, 1))
    assert [p.shape for p in params] == [(3,), (3,)]


@pytest.mark.parametrize("name", REAL)
def test_gradients_of_log_prob(name):
    make, exact, x = REAL[name]
    distribution = make()
    inside = t(x[exact.pdf(x) > 0][1:-1])

    def total(*leaves):
        return td.sum(td.tree.unflatten(td.tree.structure(distribution), leaves).log_prob(inside))

    td.check_grads(total, tuple(td.tree.leaves(distribution)))


def test_edges():
    assert D.Bernoulli(t(0.0)).log_prob(t([0.0, 1.0])).tolist() == [0, -math.inf]
    assert D.Bernoulli(t(1.0)).entropy().item() == 0
    assert D.Binomial(3, t(1.0)).log_prob(t([3.0, 2.0])).tolist() == [0, -math.inf]
    assert D.Geometric(t(1.0)).log_prob(t([1.0, 2.0])).tolist() == [0, -math.inf]
    np.testing.assert_array_equal(array(D.StudentT(t([1.0, 1.5, 2.5])).variance), [math.nan, math.inf, 5.0])
    np.testing.assert_array_equal(array(D.StudentT(t([0.5, 2.5])).mean), [math.nan, 0.0])
    grads = td.grad(lambda d: d.log_prob(t(-1.0)))(D.Gamma(t(2.0)))
    assert grads.concentration.item() == 0
    one_hot = D.OneHotCategorical(t([0.5, 0.5]))
    assert one_hot.prob(t([[0.0, 0.0], [1.0, 1.0], [0.5, 0.5], [0.0, 1.0]])).tolist() == [0, 0, 0, 0.5]
    assert D.Categorical(t([0.5, 0.5])).prob(t([0.5, -1.0, 2.0, 1.0])).tolist() == [0, 0, 0, 0.5]


@pytest.mark.parametrize("name", REAL)
def test_distribution_functions_have_the_density_as_slope(name):
    """Also at the median, where some are written in two parts, and quantiles its reciprocal."""
    make, exact, _ = REAL[name]
    ours, median = make(), exact.median()
    np.testing.assert_allclose(td.grad(ours.cdf)(t(median)).item(), exact.pdf(median), rtol=1e-9)
    if hasattr(type(ours), "_icdf"):
        np.testing.assert_allclose(td.grad(ours.icdf)(t(0.5)).item(), 1 / exact.pdf(median), rtol=1e-9)


@pytest.mark.parametrize("name", ALL)
def test_values_that_are_not_finite(name):
    ours, ends = ALL[name][0](), t([math.nan, math.inf, -math.inf])
    assert np.isnan(array(ours.log_prob(ends))[0]) and np.isnan(array(ours.prob(ends))[0])
    np.testing.assert_array_equal(array(ours.log_prob(ends))[1:], -math.inf)
    if hasattr(type(ours), "_cdf"):
        np.testing.assert_array_equal(array(ours.cdf(ends)), [math.nan, 1, 0])


def test_slopes_at_the_end_of_the_support():
    """Those of the side that belongs to it."""
    for ours in (D.HalfNormal(t(1.7)), D.Exponential(t(1.7))):
        np.testing.assert_allclose(td.grad(ours.cdf)(t(0.0)).item(), ours.prob(0.0).item(), rtol=1e-12)


def test_tails_of_cauchys_distribution():
    exact, far = stats.cauchy(), np.array([-1e30, -1e10, -3.0, 0.0, 2.0, 1e10])
    x = td.tensor(far, dtype=td.float32)
    np.testing.assert_allclose(array(D.Cauchy().cdf(x)), exact.cdf(far), rtol=1e-6)
    np.testing.assert_allclose(array(D.Cauchy().log_prob(x)), -np.log(np.pi) - np.log1p(far**2), rtol=1e-6)
    p = np.array([1e-30, 1e-9, 0.2, 0.4])
    np.testing.assert_allclose(array(D.Cauchy(t(0.0)).icdf(t(p))), -1 / np.tan(np.pi * p), rtol=1e-12)
    np.testing.assert_allclose(
        array(D.Cauchy(t(0.0)).icdf(t(1 - p[2:]))), 1 / np.tan(np.pi * p[2:]), rtol=1e-12
    )
    assert D.Cauchy().icdf(td.tensor([0.0, 0.5, 1.0])).tolist() == [-math.inf, 0, math.inf]


def test_large_parameters_in_float32():
    """What gamma functions of large numbers differ by is not lost."""
    n = 10**6
    for ours, exact in (
        (D.Beta(float(n), float(n)).log_prob(0.5), stats.beta(n, n).logpdf(0.5)),
        (D.Binomial(n, 0.5).log_prob(n // 2), stats.binom(n, 0.5).logpmf(n // 2)),
        (D.Poisson(float(n)).log_prob(n), stats.poisson(n).logpmf(n)),
        (D.Gamma(float(n)).log_prob(float(n)), stats.gamma(n).logpdf(n)),
        (D.StudentT(float(n)).log_prob(0.0), stats.t(n).logpdf(0)),
        (D.Gamma(float(n)).entropy(), stats.gamma(n).entropy()),
        (D.Dirichlet([1e6, 1e6]).log_prob([0.5, 0.5]), stats.dirichlet([n, n]).logpdf([0.5, 0.5])),
    ):
        assert ours.dtype is td.float32
        np.testing.assert_allclose(ours.item(), exact, rtol=1e-6)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: D.Normal(0.0, -1.0), ValueError, r"\[Normal\] scale is -1.0, but must be positive"),
        (lambda: D.Normal(td.ones((2,)), td.ones((3,))), td.ShapeError, "broadcast"),
        (lambda: D.Uniform(1.0, 1.0), ValueError, "is empty"),
        (lambda: D.Bernoulli(), ValueError, "either probs or logits"),
        (lambda: D.Bernoulli(1.5), ValueError, "probs is 1.5"),
        (lambda: D.Categorical(td.ones((2, 0))), td.ShapeError, "no categories"),
        (lambda: D.Dirichlet(1.0), td.ShapeError, "must be a vector"),
        (lambda: D.MultivariateNormal(td.ones((2,))), ValueError, "either covariance_matrix"),
        (lambda: D.MultivariateNormal(td.ones((2,)), td.eye(3)), td.ShapeError, "needs matrices"),
        (lambda: D.Binomial(2.5, 0.5), ValueError, "n is 2.5"),
        (lambda: D.Normal().sample(), TypeError, r"\[Distribution.sample\] needs the argument 'key'"),
        (lambda: D.Normal().rsample(sample_shape=(3,)), TypeError, r"'sample_shape' \(it is called shape\)"),
        (lambda: D.Normal(mu=0.0), TypeError, r"'mu' \(it is called loc\)"),
        (lambda: td.random.gamma(2.0, (3,)), TypeError, "the key comes first"),
        (lambda: D.Gamma(1.0).icdf(0.5), NotImplementedError, "no closed form"),
        (
            lambda: D.TransformedDistribution(D.Dirichlet(td.ones((2,))), td.exp, td.log),
            ValueError,
            "of numbers",
        ),
    ],
)
def test_mistakes_are_named(make, error, message):
    with pytest.raises(error, match=message):
        make()
