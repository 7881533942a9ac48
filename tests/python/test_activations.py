"""Activations as functions and modules: against their definitions, with derivatives at kinks and ends."""

import math

import mpmath
import numpy as np
import pytest
import samplers as ops
import tidu as td
from scipy import special
from tidu import nn
from tidu.nn import functional as F

INF, NAN = np.inf, np.nan
X = np.concatenate([np.linspace(-8, 8, 33), [0.5, -0.5, 1e-5, -1e-5, 40, -40, 1e4]])


def relu6(x):
    return np.clip(x, 0, 6)


def halves(x):
    return np.split(x, 2, -1)


# name: (definition, options, the module)
CASES = {
    "relu": (lambda x: np.maximum(x, 0), {}, nn.ReLU),
    "relu6": (relu6, {}, nn.ReLU6),
    "leaky_relu": (
        lambda x, negative_slope=0.01: np.where(x > 0, x, negative_slope * x),
        {"negative_slope": 0.2},
        nn.LeakyReLU,
    ),
    "elu": (lambda x, alpha=1.0: np.where(x > 0, x, alpha * np.expm1(x)), {"alpha": 0.7}, nn.ELU),
    "selu": (
        lambda x: 1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * np.expm1(x)),
        {},
        nn.SELU,
    ),
    "celu": (lambda x, alpha=1.0: np.where(x > 0, x, alpha * np.expm1(x / alpha)), {"alpha": 0.7}, nn.CELU),
    "gelu": (
        lambda x, approximate="none": (
            x * special.ndtr(x)
            if approximate == "none"
            else x * special.expit(2 * np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))
        ),
        {"approximate": "tanh"},
        nn.GELU,
    ),
    "silu": (lambda x: x * special.expit(x), {}, nn.SiLU),
    "mish": (lambda x: x * np.tanh(np.logaddexp(0, x)), {}, nn.Mish),
    "softplus": (
        lambda x, beta=1.0, threshold=INF: np.where(
            beta * x > threshold, x, np.logaddexp(0, beta * x) / beta
        ),
        {"beta": 2.0, "threshold": 3.0},
        nn.Softplus,
    ),
    "hardtanh": (
        lambda x, min_val=-1.0, max_val=1.0: np.clip(x, min_val, max_val),
        {"min_val": -0.3, "max_val": 2.0},
        nn.Hardtanh,
    ),
    "hardsigmoid": (lambda x: relu6(x + 3) / 6, {}, nn.Hardsigmoid),
    "hardswish": (lambda x: x * relu6(x + 3) / 6, {}, nn.Hardswish),
    "softsign": (lambda x: x / (1 + np.abs(x)), {}, nn.Softsign),
    "tanhshrink": (lambda x: x - np.tanh(x), {}, nn.Tanhshrink),
    "softshrink": (
        lambda x, lambd=0.5: np.sign(x) * np.maximum(np.abs(x) - lambd, 0),
        {"lambd": 0.2},
        nn.Softshrink,
    ),
    "hardshrink": (lambda x, lambd=0.5: np.where(np.abs(x) <= lambd, 0, x), {"lambd": 0.2}, nn.Hardshrink),
    "sigmoid": (special.expit, {}, nn.Sigmoid),
    "logsigmoid": (special.log_expit, {}, nn.LogSigmoid),
    "tanh": (np.tanh, {}, nn.Tanh),
    "softmin": (lambda x, axis=-1: special.softmax(-x, axis), {"axis": 0}, nn.Softmin),
    "glu": (lambda x, axis=-1: halves(x)[0] * special.expit(halves(x)[1]), {}, nn.GLU),
}


def defined(name, x, **options):
    with np.errstate(all="ignore"):
        return CASES[name][0](x, **options)


@pytest.mark.parametrize("name", CASES)
def test_values(name):
    _, options, module = CASES[name]
    function, x = getattr(F, name), td.tensor(X)
    for given in ({}, options):
        want = defined(name, X, **given)
        np.testing.assert_allclose(ops.to_array(function(x, **given)), want, rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(ops.to_array(module(**given)(x)), want, rtol=1e-12, atol=1e-14)
    if options:
        assert all(f"{key}={value}" in repr(module(**options)) for key, value in options.items())


@pytest.mark.parametrize("name", CASES)
def test_derivatives(name):
    function = getattr(F, name)
    x = td.tensor([-7.3, -2.2, -0.7, -0.31, 0.13, 0.8, 2.4, 6.7])
    for options in ({}, CASES[name][1]):
        td.check_grads(
            lambda x, o=options: (function(x, **o) * td.arange(1, len(function(x, **o)) + 1)).sum(),
            (x.astype(td.float64),),
            order=2,
        )


@pytest.mark.parametrize("dtype", [td.float16, td.bfloat16], ids=str)
@pytest.mark.parametrize("name", [name for name in CASES if name not in ("gelu",)])
def test_sixteen_bits_are_rounded_once(name, dtype):
    x = ops.to_array(ops.to_tensor(X[:33], dtype)).astype(np.float64)[:32]
    want = defined(name, x)
    got = getattr(F, name)(ops.to_tensor(x, dtype))
    ops.assert_close(got, want, dtype, ulps=64, scale=np.abs(want) + 1e-3)


SLOPES = {  # at kinks and where the function is flat or straight
    "relu6": {-1: 0, 0: 0, 3: 1, 6: 0, INF: 0},
    "hardtanh": {-1: 0, 0: 1, 1: 0, -INF: 0},
    "hardsigmoid": {-3: 0, 0: 1 / 6, 3: 0},
    "hardswish": {-3: 0, 0: 0.5, 3: 1, -INF: 0, INF: 1},
    "softshrink": {0.5: 0, -0.5: 0, 0: 0, 2: 1},
    "hardshrink": {0.5: 0, -0.5: 0, 0: 0, 2: 1},
    "softsign": {0: 1},
    "celu": {0: 1, -INF: 0, INF: 1},
    "selu": {-INF: 0, INF: 1.0507009873554805},
    "tanhshrink": {0: 0, INF: 1},
}


@pytest.mark.parametrize("name", SLOPES)
def test_slopes_at_special_points(name):
    f = getattr(F, name)
    for point, slope in SLOPES[name].items():
        x = td.tensor(float(point), dtype=td.float64)
        for got in (td.grad(f)(x), td.jvp(f, (x,), (td.ones_like(x),))[1]):
            np.testing.assert_allclose(got.item(), slope, rtol=1e-14)


# name: (definition in many digits, the derivatives of order 1, 2, 3 at -inf, those at inf)
SMOOTH = {
    "silu": (lambda x: x / (1 + mpmath.exp(-x)), (0, 0, 0), (1, 0, 0)),
    "gelu": (lambda x: x * mpmath.ncdf(x), (0, 0, 0), (1, 0, 0)),
    "gelu_tanh": (
        lambda x: x / (1 + mpmath.exp(-mpmath.sqrt(8 / mpmath.pi) * (x + mpmath.mpf(0.044715) * x**3))),
        (0, 0, 0),
        (1, 0, 0),
    ),
    "mish": (lambda x: x * mpmath.tanh(mpmath.log1p(mpmath.exp(x))), (0, 0, 0), (1, 0, 0)),
    "tanhshrink": (lambda x: x - mpmath.tanh(x), (1, 0, 0), (1, 0, 0)),
    "softsign": (lambda x: x / (1 + abs(x)), (0, 0, 0), (0, 0, 0)),
    "celu": (lambda x: x if x > 0 else mpmath.expm1(x), (0, 0, 0), (1, 0, 0)),
    "selu": (
        lambda x: SELU[0] * (x if x > 0 else SELU[1] * mpmath.expm1(x)),
        (0, 0, 0),
        (1.0507009873554805, 0, 0),
    ),
    "hardswish": (lambda x: x * min(max(x + 3, 0), 6) / 6, (0, 0, 0), (1, 0, 0)),
    "softshrink": (lambda x: x - 0.5 * mpmath.sign(x) if abs(x) > 0.5 else 0 * x, (1, 0, 0), (1, 0, 0)),
}
SELU = (1.0507009873554804934, 1.6732632423543772848)
ORDINARY = [-7, -2.5, -1.25, -0.75, -0.03125, 0.25, 1, 1.5, 2.75, 6]


def iterated(transform, function, times):
    for _ in range(times):
        function = transform(function)
    return function


def forward(function):
    return lambda x: td.jvp(function, (x,), (td.ones_like(x),))[1]


def from_jet(function, order):
    return lambda x: td.taylor(function, x, order).coefficients[order] * math.factorial(order)


# Derivatives of a function of one element, of many.
MODES = {
    "reverse": lambda f, order: td.vmap(iterated(td.grad, f, order)),
    "forward": lambda f, order: iterated(forward, f, order),
    "sums": lambda f, order: iterated(lambda g: td.grad(lambda x: td.sum(g(x))), f, order),
    "compiled": lambda f, order: td.compile(iterated(lambda g: td.grad(lambda x: td.sum(g(x))), f, order)),
    "jets": lambda f, order: td.vmap(from_jet(f, order)),
}


@pytest.mark.parametrize("dtype", ops.FLOATS, ids=str)
@pytest.mark.parametrize("name", SMOOTH)
def test_derivatives_to_order_three(name, dtype):
    definition, at_minus_infinity, at_infinity = SMOOTH[name]
    function = getattr(td, name, None) or getattr(F, name)
    with mpmath.workdps(40):
        points = [mpmath.mpf(x) for x in ORDINARY]
        want = [[float(mpmath.diff(definition, x, order)) for x in points] for order in (1, 2, 3)]
    x = ops.to_tensor([*ORDINARY, -INF, INF, NAN], dtype)
    for order in (1, 2, 3):
        exact = np.array([*want[order - 1], at_minus_infinity[order - 1], at_infinity[order - 1]])
        for mode, derivative in MODES.items():
            got = ops.to_array(derivative(function, order)(x)).astype(np.float64)
            # Rounded at each order, and from sums of terms of this size.
            rounding = order * ops.EPSILON[dtype] * 2 + 16 * max(2.0**-52, min(2.0**-23, ops.EPSILON[dtype]))
            bound = rounding * np.maximum(np.abs(exact), 0.5)
            assert (np.abs(got[:-1] - exact) <= bound).all(), (mode, order, got[:-1], exact)
            if order == 1 and name != "softshrink":
                assert np.isnan(got[-1]), mode


@pytest.mark.parametrize("name", [name for name in CASES if name not in ("softmin", "glu")])
def test_nan_and_infinities(name):
    f = getattr(F, name)
    assert np.isnan(f(td.tensor([NAN])).item())
    low, high = f(td.tensor([-INF, INF], dtype=td.float64)).tolist()
    want = defined(name, np.array([-1e300, 1e300]))
    unbounded = np.where(np.abs(want) > 1e290, np.copysign(INF, want), want)
    if name not in ("softsign", "gelu"):
        np.testing.assert_allclose([low, high], unbounded, atol=1e-14)


def test_softplus_is_exact_without_a_threshold():
    x = td.tensor([25.0, 700.0], dtype=td.float64)
    assert F.softplus(x).tolist() == np.logaddexp(0, [25.0, 700.0]).tolist()
    assert F.softplus(x, threshold=20).tolist() == [25.0, 700.0]
    with pytest.raises(ValueError, match=r"\[softplus\] beta must not be 0"):
        F.softplus(x, 0)


def test_prelu():
    x = np.random.default_rng(2).normal(size=(2, 3, 4))
    w = np.array([0.1, 0.2, -0.3])
    want = np.where(x > 0, x, w[None, :, None] * x)
    np.testing.assert_allclose(ops.to_array(F.prelu(td.tensor(x), td.tensor(w))), want)
    np.testing.assert_allclose(
        ops.to_array(F.prelu(td.tensor(x), td.tensor([0.5]))), np.where(x > 0, x, 0.5 * x)
    )
    assert F.prelu(td.tensor(-2.0), td.tensor(0.5)).item() == -1
    td.check_grads(lambda x, w: F.prelu(x, w).sum(), (td.tensor(x), td.tensor(w)), order=2)
    layer = nn.PReLU(3, init=0.1)
    assert [name for name, _ in layer.named_parameters()] == ["weight"] and repr(layer) == "PReLU(3)"
    layer(td.tensor(x, dtype=td.float32)).sum().backward()
    np.testing.assert_allclose(ops.to_array(layer.weight.grad), np.minimum(x, 0).sum((0, 2)), rtol=1e-5)
    with pytest.raises(td.ShapeError, match=r"\[prelu\] the weight .* a vector of 3"):
        F.prelu(td.tensor(x), td.tensor([0.1, 0.2]))


def test_threshold():
    x = td.tensor([-1.0, 0.1, 0.5, 2.0, NAN])
    np.testing.assert_array_equal(ops.to_array(F.threshold(x, 0.1, 20.0)), np.float32([20, 20, 0.5, 2, NAN]))
    assert td.grad(lambda x: F.threshold(x, 0.1, 20.0).sum())(x[:4]).tolist() == [0, 0, 1, 1]
    assert repr(nn.Threshold(0.1, 20.0)) == "Threshold(threshold=0.1, value=20.0)"
    assert nn.Threshold(0.1, 20.0)(x).tolist()[:2] == [20, 20]


def test_arguments_that_do_not_fit():
    x = td.ones((2, 3))
    with pytest.raises(td.ShapeError, match=r"\[glu\] axis 1 of .* even size"):
        F.glu(x, 1)
    with pytest.raises(ValueError, match=r"\[softshrink\] lambd must be at least 0, not -1"):
        F.softshrink(x, -1)
    with pytest.raises(ValueError, match=r"\[celu\] alpha must not be 0"):
        F.celu(x, 0)
    with pytest.raises(ValueError, match=r"\[gelu\] approximate must be 'none' or 'tanh', not 'erf'"):
        F.gelu(x, "erf")


def test_hardswish_of_large_numbers():
    assert F.hardswish(td.tensor([3e38, -3e38])).tolist() == td.tensor([3e38, 0.0]).tolist()
