"""Python's numbers beside float64 tensors are as exact as these: what functions in Python make of them
is what they make of float64 tensors of the same values."""

import numpy as np
import pytest
import tidu as td

D = td.distributions


def t(x):
    return td.tensor(x, dtype=td.float64)


KEY = td.random.key(3)
X, VECTOR, MATRIX = 0.1, [0.1, 0.7], [[0.3, 0.1], [0.1, 0.7]]
# A function of a number or a list, and that.
CASES = {
    "isclose": (lambda v: td.isclose(t(VECTOR), v, rtol=0, atol=0), X),
    "isclose, of a list": (lambda v: td.isclose(v, t(VECTOR), rtol=0, atol=0), VECTOR),
    "clip": (lambda v: td.clip(v, t(0.0), t(1.0)), X),
    "addcmul": (lambda v: td.addcmul(t(VECTOR), v, v), X),
    "a list in an operator": (lambda v: t(VECTOR) + v, VECTOR),
    "atan2": (lambda v: td.atan2(v, t(VECTOR)), VECTOR),
    "searchsorted": (lambda v: td.searchsorted(t(VECTOR), v), X),
    "broadcast_arrays": (lambda v: td.broadcast_arrays(t(VECTOR), v)[1], X),
    "isin": (lambda v: td.isin(t(VECTOR), v), [0.1]),
    "index_put": (lambda v: td.index_put(t(VECTOR), td.tensor([1]), v), X),
    "index_fill": (lambda v: td.index_fill(t(VECTOR), 0, td.tensor([1]), v), X),
    "select_scatter": (lambda v: td.select_scatter(t(MATRIX), v, 0, 1), VECTOR),
    "masked_scatter": (lambda v: td.masked_scatter(t(VECTOR), td.tensor([True, False]), v), VECTOR),
    "diagonal_scatter": (lambda v: td.diagonal_scatter(t(MATRIX), v), VECTOR),
    "gradient": (lambda v: td.gradient(t(VECTOR), v), X),
    "gradient by each axis": (lambda v: td.gradient(t(MATRIX), [v, v])[1], X),
    "cumulative_trapezoid": (lambda v: td.cumulative_trapezoid(t(VECTOR), v), [0.1, 0.3]),
    "gammainc": (lambda v: td.special.gammainc(t(2.0), v), X),
    "gammainc's shape": (lambda v: td.special.gammaincc(v, t(2.0)), X),
    "betainc": (lambda v: td.special.betainc(v, t(2.0), 0.3), X),
    "betaincinv": (lambda v: td.special.betaincinv(t(2.0), t(3.0), v), X),
    "a parameter": (lambda v: D.Normal(t(0.0), v).scale, X),
    "weights": (lambda v: D.Binomial(t(3.0), v).logits, X),
    "values": (lambda v: D.Cauchy(t(0.0)).log_prob(v), VECTOR),
    "probabilities": (lambda v: D.Gamma(t(2.0)).log_prob(v), X),
    "means": (lambda v: D.MultivariateNormal(v, t(MATRIX)).loc, VECTOR),
    "covariances": (lambda v: D.MultivariateNormal(t(VECTOR), v).scale_tril, MATRIX),
    "weibull": (lambda v: td.random.weibull(KEY, t(2.0), v, (3,)), X),
    "gamma": (lambda v: td.random.gamma(KEY, v, (3,), dtype=td.float64), X),
    "dirichlet": (lambda v: td.random.dirichlet(KEY, v, dtype=td.float64), VECTOR),
    "multivariate_normal": (lambda v: td.random.multivariate_normal(KEY, v, t(MATRIX)), VECTOR),
}


@pytest.mark.parametrize("name", CASES)
def test_numbers_are_as_exact_as_tensors(name):
    f, value = CASES[name]
    got, want = f(value), f(t(value))
    assert got.dtype == want.dtype
    np.testing.assert_array_equal(got.cpu().numpy(), want.cpu().numpy())


def test_numbers_take_the_dtype_of_sixteen_bits():
    x = td.tensor(VECTOR, dtype=td.bfloat16)
    assert td.addcmul(x, 0.5, [1.0, 2.0]).dtype is td.bfloat16
    assert td.add(x, [0.5, 0.25]).dtype is td.bfloat16
    assert (x + np.array(VECTOR)).dtype is td.float64
    assert td.isclose(td.tensor([1j]), 0.5).tolist() == [False]


def test_arrays_of_numpy_keep_their_dtype():
    assert D.Normal(np.zeros(2), 1.0).scale.dtype is td.float64


def test_integers_are_exact_beside_sixteen_bits():
    logits = td.where(td.arange(300) == 257, 0.0, -20.0).astype(td.bfloat16)
    assert D.Categorical(logits=logits).log_prob(257).item() > -1
    assert D.Binomial(257, td.tensor(0.5, dtype=td.bfloat16)).log_prob(257).dtype is td.bfloat16
    assert D.Binomial(257, td.tensor(0.5, dtype=td.bfloat16)).mean.item() == 128  # 128.5, to even
