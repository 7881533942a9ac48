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
    (lambda: D.ContinuousBernoulli(t(0.3)), lambda: D.ContinuousBernoulli(t(0.8)), (0, 1)),
    (lambda: D.VonMises(t(0.3), t(1.7)), lambda: D.VonMises(t(-1.0), t(0.9)), (-math.pi, math.pi)),
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


@pytest.mark.parametrize(
    ("p", "q", "support"),
    [
        (lambda: D.Exponential(t(0.7)), lambda: D.Gamma(t(2.3), t(1.9)), (0, 60)),
        (lambda: D.Gamma(t(2.3), t(1.9)), lambda: D.Exponential(t(0.7)), (0, 60)),
        (lambda: D.Uniform(t(-1.0), t(2.0)), lambda: D.Normal(t(0.3), t(1.7)), (-1, 2)),
        (lambda: D.Laplace(t(0.3), t(0.7)), lambda: D.Normal(t(-1.0), t(0.9)), (-30, 30)),
        (lambda: D.Gumbel(t(0.3), t(0.7)), lambda: D.Normal(t(-1.0), t(0.9)), (-4, 40)),
        (lambda: D.Normal(t(0.3), t(0.7)), lambda: D.Laplace(t(-1.0), t(0.9)), (-20, 20)),
    ],
    ids=lambda v: "",
)
def test_divergences_between_families(p, q, support):
    p, q = p(), q()
    inner = lambda x: (p.prob(x) * (p.log_prob(x) - q.log_prob(x))).item()
    want = integrate.quad(inner, *support, limit=200)[0]
    assert D.kl_divergence(p, q).item() == pytest.approx(want, rel=1e-7)


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
    with pytest.raises(NotImplementedError, match="none of Normal and Cauchy"):
        D.kl_divergence(D.Normal(), D.Cauchy())
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


def test_values_whose_squares_leave_the_range():
    for make in (D.Cauchy, D.HalfCauchy, lambda: D.StudentT(1.0)):
        half = math.log(2) if make is D.HalfCauchy else 0.0
        for dtype, x in ((td.float32, 1e30), (F64, 1e300), (td.bfloat16, 1e30)):
            far = td.tensor(x, dtype=dtype)
            want = half - math.log(math.pi) - 2 * math.log(far.item())
            got = type(make())(*(each.astype(dtype) for each in td.tree.leaves(make()))).log_prob(far)
            assert got.item() == pytest.approx(want, rel=2 * td.finfo(dtype).eps)
            slope = td.grad(type(make())(*map(t, map(float, td.tree.leaves(make())))).log_prob)(t(x))
            assert slope.item() == pytest.approx(-2 / x, rel=1e-12)
    far = t([-math.inf, -1e300, -1e200, 1e200, 1e300, math.inf])
    np.testing.assert_array_equal(array(D.StudentT(t(3.0)).cdf(far)), [0, 0, 0, 1, 1, 1])


def test_tails_of_quantiles_in_float32():
    p = np.array([1e-30, 1e-3, 0.5, 0.9, 1 - 2**-12, 1 - 2**-23], np.float32)
    got = array(D.HalfCauchy().icdf(td.tensor(p)))
    rest = 1 - p.astype(np.longdouble)
    want = np.where(p < 0.5, np.tan(np.pi / 2 * p), 1 / np.tan(np.pi / 2 * rest))
    np.testing.assert_allclose(got, want, rtol=1e-6)
    for p in (1e-300, 0.75, 1 - 2.0**-53):
        want = math.tan(math.pi / 2 * p) if p < 0.5 else 1 / math.tan(math.pi / 2 * (1 - p))
        assert D.HalfCauchy(t(1.0)).icdf(p).item() == pytest.approx(want, rel=1e-14)


def test_moments_that_cancel_in_narrow_dtypes():
    a, b = 89.125, 45.09375
    want = D.Kumaraswamy(t(a), t(b)).variance.item()
    for dtype in (td.float16, td.bfloat16, td.float32):
        ours = D.Kumaraswamy(td.tensor(a, dtype=dtype), td.tensor(b, dtype=dtype))
        exact = D.Kumaraswamy(ours.a.astype(F64), ours.b.astype(F64)).variance.item()
        assert ours.variance.item() == pytest.approx(exact, rel=td.finfo(dtype).eps, abs=1e-7)
    assert want == pytest.approx(
        integrate.quad(lambda x: (x - 0.954) ** 2 * a * b * x ** (a - 1) * (1 - x**a) ** (b - 1), 0, 1)[0]
        - (D.Kumaraswamy(t(a), t(b)).mean.item() - 0.954) ** 2,
        rel=1e-6,
    )


WITH_QUANTILES = [name for name, (make, *_) in REAL.items() if hasattr(make(), "_icdf")]


@pytest.mark.parametrize("name", [*WITH_QUANTILES, "GeneralizedPareto", "ContinuousBernoulli", "Kumaraswamy"])
def test_quantiles_of_no_probabilities_are_nan(name):
    makes = {
        "GeneralizedPareto": lambda: D.GeneralizedPareto(t(0.3), t(1.7), t(0.0)),
        "ContinuousBernoulli": lambda: D.ContinuousBernoulli(t(0.3)),
        "Kumaraswamy": lambda: D.Kumaraswamy(t(2.3), t(0.7)),
    }
    ours = makes.get(name, REAL.get(name, (None,))[0])()
    for p in (-1e-9, -0.1, 1 + 1e-9, 1.1, 2.0, -math.inf, math.inf, math.nan):
        assert math.isnan(ours.icdf(p).item()), p
    assert not td.any(td.isnan(ours.icdf(t([0.0, 1e-9, 0.5, 1.0]))))


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
    ],
)
def test_mistakes_are_named(make, error, message):
    with pytest.raises(error, match=message):
        make()


# ---- Further ones, and transforms


def lower(n):
    return np.tril(rng.normal(size=(n, n)), -1) + np.diag(rng.uniform(0.5, 2, size=n))


def test_normal_vectors_of_low_rank():
    loc, factor, diag = rng.normal(size=4), rng.normal(size=(4, 2)), rng.uniform(0.5, 2, size=4)
    ours = D.LowRankMultivariateNormal(t(loc), t(factor), t(diag))
    cov = factor @ factor.T + np.diag(diag)
    exact, x = stats.multivariate_normal(loc, cov), rng.normal(size=(5, 4))
    np.testing.assert_allclose(array(ours.log_prob(t(x))), exact.logpdf(x), **CLOSE)
    np.testing.assert_allclose(array(ours.covariance_matrix), cov, **CLOSE)
    np.testing.assert_allclose(array(ours.variance), np.diag(cov), **CLOSE)
    assert ours.entropy().item() == pytest.approx(exact.entropy())
    drawn = array(ours.rsample(td.random.key(0), (20_000,)))
    whitened = np.linalg.solve(np.linalg.cholesky(cov), (drawn - loc).T)
    np.testing.assert_allclose(np.cov(whitened), np.eye(4), atol=0.04)
    assert stats.kstest(whitened[3], stats.norm.cdf).pvalue > 1e-3
    td.check_grads(lambda d: td.sum(d.log_prob(t(x))) + td.sum(d.rsample(td.random.key(1), (2,))), (ours,))
    batch = D.LowRankMultivariateNormal(td.zeros((3, 1, 4)), td.ones((2, 4, 1)), td.ones(4))
    assert batch.batch_shape == (3, 2) and batch.sample(td.random.key(0), (5,)).shape == (5, 3, 2, 4)
    dense = D.MultivariateNormal(t(loc), t(cov))
    other = D.LowRankMultivariateNormal(t(np.zeros(4)), t(rng.normal(size=(4, 1))), t(diag + 1))
    whole = D.MultivariateNormal(other.loc, other.covariance_matrix)
    want = D.kl_divergence(dense, whole).item()
    for p, q in [(ours, other), (ours, whole), (dense, other)]:
        assert D.kl_divergence(p, q).item() == pytest.approx(want, rel=1e-11)
    with pytest.raises(td.ShapeError, match=r"loc \(3,\) needs cov_factor"):
        D.LowRankMultivariateNormal(td.zeros(3), td.ones((4, 1)), td.ones(4))


def test_wishart_matrices():
    root = lower(3)
    ours, other = D.Wishart(t(4.5), scale_tril=t(root)), D.Wishart(t(6.0), t(np.eye(3) + 0.3))
    exact = stats.wishart(4.5, root @ root.T)
    x = exact.rvs(5, random_state=1)
    np.testing.assert_allclose(array(ours.log_prob(t(x))), exact.logpdf(np.moveaxis(x, 0, -1)), **CLOSE)
    np.testing.assert_allclose(array(ours.mean), exact.mean(), **CLOSE)
    np.testing.assert_allclose(array(ours.variance), exact.var(), **CLOSE)
    assert ours.entropy().item() == pytest.approx(exact.entropy())
    assert ours.log_prob(t(-np.eye(3))).item() == -math.inf
    drawn = ours.rsample(td.random.key(0), (20_000,))
    np.testing.assert_allclose(array(drawn).mean(0), exact.mean(), rtol=0.05, atol=0.1)
    # By the first of Bartlett's factors: x_00 / V_00 is chi-squared of df degrees.
    assert stats.kstest(array(drawn)[:, 0, 0] / root[0, 0] ** 2, stats.chi2(4.5).cdf).pvalue > 1e-3
    terms = array(ours.log_prob(drawn) - other.log_prob(drawn))
    assert abs(D.kl_divergence(ours, other).item() - terms.mean()) < 5 * terms.std() / len(terms) ** 0.5
    assert D.kl_divergence(ours, ours).item() == pytest.approx(0, abs=1e-13)
    slope = td.grad(lambda d: td.sum(d.rsample(td.random.key(2), (4000,))[:, 0, 0]))(ours).df.item() / 4000
    assert slope == pytest.approx(root[0, 0] ** 2, rel=0.1)  # of the mean, df V
    td.check_grads(lambda d: td.sum(d.log_prob(t(x))), (ours,))
    with pytest.raises(ValueError, match="above 2"):
        D.Wishart(2.0, td.eye(3))


@pytest.mark.parametrize("concentration", [0.7, 2.5])
def test_factors_of_correlations(concentration):
    """Against the integral of the density, and the beta distribution of each correlation."""
    ours = D.LKJCholesky(2, t(concentration))
    r = np.linspace(-1, 1, 20_003)[1:-1]
    pairs = np.stack([[np.ones_like(r), 0 * r], [r, np.sqrt(1 - r * r)]]).transpose(2, 0, 1)
    want = stats.beta(concentration, concentration, loc=-1, scale=2)
    np.testing.assert_allclose(array(ours.prob(t(pairs))), want.pdf(r), rtol=1e-10)
    wide = D.LKJCholesky(4, t(concentration))
    drawn = array(wide.rsample(td.random.key(3), (8000,)))
    correlations = drawn @ np.swapaxes(drawn, -1, -2)
    np.testing.assert_allclose(np.diagonal(correlations, axis1=1, axis2=2), 1)
    marginal = stats.beta(concentration + 1, concentration + 1, loc=-1, scale=2)
    for i, j in [(1, 0), (3, 1), (3, 2)]:
        assert stats.kstest(correlations[:, i, j], marginal.cdf).pvalue > 1e-3
    # In proportion to det^(concentration - 1) of the correlations and the Jacobian of their factor.
    got = array(wide.log_prob(t(drawn[:5])))
    sizes = np.diagonal(drawn[:5], axis1=1, axis2=2)
    want = (2 * (concentration - 1) * np.log(sizes) + np.log(sizes) * [0, 2, 1, 0]).sum(-1)
    np.testing.assert_allclose(np.diff(got), np.diff(want), rtol=1e-9)
    assert wide.log_prob(t(2 * drawn[0])).item() == -math.inf
    td.check_grads(lambda d: td.sum(d.log_prob(t(drawn[:2]))), (wide,))


@pytest.mark.parametrize("logits", [-900.0, -3.0, -0.15, 0.0, 1e-9, 0.3, 0.9, 40.0])
def test_continuous_bernoulli(logits):
    ours, x = D.ContinuousBernoulli(logits=t(logits)), np.linspace(0, 1, 100_001)
    density = array(ours.prob(t(x)))
    if abs(logits) < 100:
        for what, values in [
            (1, 1),
            (ours.mean.item(), x),
            (ours.variance.item(), (x - ours.mean.item()) ** 2),
        ]:
            assert integrate.simpson(density * values, x=x) == pytest.approx(what, rel=1e-9)
        terms = np.where(density > 0, -density * array(ours.log_prob(t(x))), 0)
        assert ours.entropy().item() == pytest.approx(integrate.simpson(terms, x=x), rel=1e-9, abs=1e-12)
        below = integrate.cumulative_simpson(density, x=x, initial=0)[::1000]
        np.testing.assert_allclose(array(ours.cdf(t(x[::1000]))), below, rtol=1e-9, atol=1e-12)
    p = np.array([1e-12, 0.1, 0.5, 0.99])
    np.testing.assert_allclose(array(ours.cdf(ours.icdf(t(p)))), p, rtol=1e-9)
    assert (
        stats.kstest(array(ours.rsample(td.random.key(0), (4000,))), lambda v: array(ours.cdf(t(v)))).pvalue
        > 1e-3
    )
    if abs(logits) < 100:
        td.check_grads(lambda l: D.ContinuousBernoulli(logits=l).icdf(t(0.3)), (t(logits),))
        td.check_grads(lambda l: D.ContinuousBernoulli(logits=l).log_prob(t(0.3)), (t(logits),))


@pytest.mark.parametrize("concentration", [-1.5, -1.0, -0.4, 0.0, 1e-7, 0.3, 0.9])
def test_excesses(concentration):
    ours = D.GeneralizedPareto(t(0.3), t(1.7), t(concentration))
    exact = stats.genpareto(concentration, 0.3, 1.7)
    x = np.linspace(-1, 1.3, 9)
    np.testing.assert_allclose(array(ours.log_prob(t(x))), exact.logpdf(x), **CLOSE)
    np.testing.assert_allclose(array(ours.cdf(t(x))), exact.cdf(x), **CLOSE)
    p = np.linspace(0, 1, 6)
    np.testing.assert_allclose(array(ours.icdf(t(p))), exact.ppf(p), rtol=1e-9)
    assert ours.entropy().item() == pytest.approx(float(exact.entropy()))
    assert ours.mean.item() == pytest.approx(exact.mean())
    want = math.inf if concentration >= 0.5 else exact.var()
    assert ours.variance.item() == pytest.approx(want, rel=1e-6)
    assert stats.kstest(array(ours.rsample(td.random.key(0), (4000,))), exact.cdf).pvalue > 1e-3
    td.check_grads(lambda c: D.GeneralizedPareto(t(0.3), t(1.7), c).log_prob(t(0.7)), (t(concentration),))
    td.check_grads(lambda c: D.GeneralizedPareto(t(0.3), t(1.7), c).icdf(t(0.7)), (t(concentration),))
    if concentration >= 0:
        assert ours.cdf(math.inf).item() == 1


def test_choices_that_pass_derivatives():
    p = td.tensor([0.2, 0.8], dtype=F64)
    ours = D.OneHotCategoricalStraightThrough(p)
    assert array(ours.rsample(td.random.key(0))).sum() == 1 and ours.has_rsample
    weights = t([1.0, 3.0])
    slope = td.grad(
        lambda p: td.sum(weights * D.OneHotCategoricalStraightThrough(p).rsample(td.random.key(0)))
    )(p)
    want = td.grad(lambda p: td.sum(weights * p / td.sum(p)))(p)
    np.testing.assert_allclose(array(slope), array(want), atol=1e-14)


TRANSFORMS = {
    "Affine": (lambda: D.AffineTransform(t(0.3), t(-1.7)), 2),
    "Exp": (lambda: D.ExpTransform(), 2),
    "Power": (lambda: D.PowerTransform(t(-1.4)), 2),
    "Sigmoid": (lambda: D.SigmoidTransform(), 2),
    "Softplus": (lambda: D.SoftplusTransform(), 2),
    "Tanh": (lambda: D.TanhTransform(), 2),
    "CumulativeDistribution": (lambda: D.CumulativeDistributionTransform(D.Normal(t(0.3), t(1.7))), 2),
    "StickBreaking": (lambda: D.StickBreakingTransform(), 3),
    "CorrCholesky": (lambda: D.CorrCholeskyTransform(), 6),
    "Compose": (
        lambda: D.ComposeTransform([D.AffineTransform(t(0.3), t(0.7)), D.StickBreakingTransform()]),
        3,
    ),
}


@pytest.mark.parametrize("name", TRANSFORMS)
def test_transforms_know_their_jacobians(name):
    make, size = TRANSFORMS[name]
    transform, x = make(), np.abs(rng.normal(size=(2, size)))
    y = transform(t(x))
    np.testing.assert_allclose(array(transform.inv(y)), x, rtol=1e-9, atol=1e-12)
    for row in range(2):
        # In the coordinates of y that say the others.
        def free(v):
            out = transform(v)
            if name == "CorrCholesky":
                return td.stack([out[i, j] for i in range(4) for j in range(i)])
            return out[:size]

        volume = np.linalg.slogdet(array(td.jacobian(free)(t(x[row]))))[1]
        got = array(transform.log_abs_det_jacobian(t(x[row]), transform(t(x[row])))).sum()
        assert got == pytest.approx(volume, rel=1e-9)
    distribution = D.TransformedDistribution(D.LogNormal(t(np.zeros((2, size)))), transform)
    drawn = distribution.rsample(td.random.key(0), (7,))
    assert drawn.shape == (7, *distribution.batch_shape, *distribution.event_shape)
    assert distribution.log_prob(drawn).shape == (7, *distribution.batch_shape)
    assert bool(td.all(td.isfinite(distribution.log_prob(drawn))))


def test_values_that_no_transform_gives_have_no_density():
    ours = D.TransformedDistribution(D.Normal(t(0.3), t(0.6)), D.ExpTransform())
    np.testing.assert_allclose(
        array(ours.log_prob(t([-1.0, 1.5]))), [-math.inf, stats.lognorm(0.6, scale=math.exp(0.3)).logpdf(1.5)]
    )
    assert math.isnan(ours.log_prob(t(math.nan)).item())
    with pytest.raises(TypeError, match="needs its inverse"):
        D.TransformedDistribution(D.Normal(), td.exp)
    with pytest.raises(td.ShapeError, match="not of 4"):
        D.CorrCholeskyTransform()(td.zeros(4))


def test_logistic_normal_vectors():
    ours = D.LogisticNormal(t([0.3, -0.2]), t([0.5, 1.5]))
    assert ours.event_shape == (3,) and ours.batch_shape == ()
    drawn = ours.rsample(td.random.key(0), (4000,))
    np.testing.assert_allclose(array(drawn).sum(-1), 1)
    first = array(drawn)[:, 0]  # sigmoid(x - log 2)
    assert stats.kstest(np.log(first / (1 - first)) + math.log(2), stats.norm(0.3, 0.5).cdf).pvalue > 1e-3
    grid = np.linspace(0, 1, 402)[1:-1]
    a, b = np.meshgrid(grid, grid)
    fits = a + b < 1 - 1e-9
    points = np.stack([a, b, np.where(fits, 1 - a - b, 0.1)], -1)
    density = np.where(fits, array(ours.prob(t(points))), 0)
    assert density.sum() * (grid[1] - grid[0]) ** 2 == pytest.approx(1, rel=5e-3)


def test_quantiles_of_students_distribution_far_out():
    """Of one degree of freedom cot(pi p), of two (2 p - 1) / sqrt(2 p (1 - p)), whatever the squares are."""
    p = np.array([1e-300, 1e-250, 1e-160, 1e-150, 1e-100, 1e-20, 1e-5])
    for df, exact in ((1.0, -1 / np.tan(np.pi * p)), (2.0, (2 * p - 1) / np.sqrt(2 * p * (1 - p)))):
        distribution = D.StudentT(t(df))
        quantiles = array(distribution.icdf(t(p)))
        np.testing.assert_allclose(quantiles, exact, rtol=1e-12)
        np.testing.assert_allclose(array(distribution.cdf(t(quantiles))), p, rtol=1e-12)
    slopes = array(td.grad(lambda p: td.sum(D.StudentT(t(1.0)).icdf(p)))(t(p[3:])))
    np.testing.assert_allclose(slopes, (1 / np.sin(np.pi * p[3:])) ** 2 * np.pi, rtol=1e-11)
