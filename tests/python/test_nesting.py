"""Transforms in transforms: every mix of modes to order 5, closures, Hessians, chain rules."""

import itertools
import math

import numpy as np
import pytest
import tidu as td


def scalar(x):
    return td.tensor(float(x), dtype=td.float64)


def by_grad(f):
    return td.grad(f)


def by_jvp(f):
    return lambda x: td.jvp(f, (x,), (td.ones_like(x),))[1]


def by_vjp(f):
    def derivative(x):
        y, pullback = td.vjp(f, x)
        return pullback(td.ones_like(y))[0]

    return derivative


def by_backward(f):
    """Through a leaf of its own, so that only values leave it: for the outermost place."""

    def derivative(x):
        leaf = td.copy(td.stop_gradient(x))
        leaf.requires_grad = True
        f(leaf).backward()
        return leaf.grad

    return derivative


MODES = {"grad": by_grad, "jvp": by_jvp, "vjp": by_vjp}


def sigmoid_derivative(k, x):
    """As polynomials in s = sigmoid(x), by s' = s - s^2."""
    polynomial = np.polynomial.Polynomial([0, 1])
    for _ in range(k):
        polynomial = polynomial.deriv() * np.polynomial.Polynomial([0, 1, -1])
    return polynomial(1 / (1 + math.exp(-x)))


def tanh_derivative(k, x):
    polynomial = np.polynomial.Polynomial([0, 1])
    for _ in range(k):
        polynomial = polynomial.deriv() * np.polynomial.Polynomial([1, 0, -1])
    return polynomial(math.tanh(x))


FUNCTIONS = {
    "sin": (td.sin, lambda k, x: math.sin(x + k * math.pi / 2)),
    "exp": (td.exp, lambda k, x: math.exp(x)),
    "x^6": (lambda x: x**6, lambda k, x: math.perm(6, k) * x ** (6 - k)),
    "x^6 by products": (lambda x: x * x * x * x * x * x, lambda k, x: math.perm(6, k) * x ** (6 - k)),
    "1/x": (lambda x: 1 / x, lambda k, x: (-1) ** k * math.factorial(k) / x ** (k + 1)),
    "log": (td.log, lambda k, x: math.log(x) if k == 0 else -((-1) ** k) * math.factorial(k - 1) / x**k),
    "sigmoid": (td.sigmoid, sigmoid_derivative),
    "tanh": (td.tanh, tanh_derivative),
}


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("order", range(1, 6))
def test_every_mix_of_modes(name, order):
    f, closed_form = FUNCTIONS[name]
    x = 0.7
    want = closed_form(order, x)
    mixes = [
        *(itertools.product(MODES, repeat=order) if order <= 3 else [("grad",) * order, ("jvp",) * order]),
        ("grad", "jvp", "vjp", "jvp", "grad")[:order],
        ("jvp", "grad", "jvp", "grad", "vjp")[:order],
    ]
    for mix in mixes:
        derivative = f
        for mode in mix:
            derivative = MODES[mode](derivative)
        assert float(derivative(scalar(x))) == pytest.approx(want, rel=1e-10), mix
        assert float(by_backward(derivative)(scalar(x))) == pytest.approx(
            closed_form(order + 1, x), rel=1e-10
        ), mix


@pytest.mark.parametrize("order", range(1, 6))
def test_backward_of_backward(order):
    x = scalar(0.7)
    x.requires_grad = True
    y = td.sin(x) * td.exp(x)
    for _ in range(order):
        x.grad = None
        y.backward(create_graph=True)
        y = x.grad
    # sin(x) exp(x) = Im exp((1+i) x)
    want = ((1 + 1j) ** order * np.exp((1 + 1j) * 0.7)).imag
    assert y.item() == pytest.approx(want, rel=1e-12)


def test_perturbation_confusion():
    d = MODES.values()
    for outer, inner in itertools.product(d, d):
        # d/dx [x * d/dy (x + y)] = 1, where a confusion of x's and y's perturbations gives 2.
        f = lambda x, inner=inner: x * inner(lambda y: x + y)(scalar(1))
        assert float(outer(f)(scalar(1))) == 1
        # The inner variable is the outer one.
        f = lambda x, inner=inner: x * inner(lambda y: x * y)(x)
        assert float(outer(f)(scalar(3))) == 6
        f = lambda x, inner=inner: inner(lambda y: x * y * y)(x)
        assert float(outer(f)(scalar(3))) == 12
        # Nothing of the outer variable reaches the inner function.
        f = lambda x, inner=inner: inner(lambda y: td.stop_gradient(x) * y)(x)
        assert float(outer(f)(scalar(3))) == 0


@pytest.mark.parametrize("modes", list(itertools.product(MODES, repeat=3)), ids=",".join)
def test_one_variable_through_three_levels(modes):
    first, second, third = (MODES[mode] for mode in modes)
    f = lambda x: second(lambda y: third(lambda z: x * x * y * y * z * z)(y))(x)
    # The third gives 2 x^2 y^3, the second 6 x^2 y^2 at y = x, the first 24 x^3.
    assert float(first(f)(scalar(2))) == 192


def test_closures_and_ambient_leaves():
    w = scalar(2)
    w.requires_grad = True
    x = scalar(3)
    y = td.grad(lambda x: w * x * x)(x)  # 2 w x
    y.backward()
    assert float(w.grad) == 6
    w.grad = None
    _, tangent = td.jvp(lambda x: w * w * x, (x,), (scalar(1),))
    tangent.backward()
    assert float(w.grad) == 4
    w.grad = None
    leaf = scalar(5)
    leaf.requires_grad = True
    td.vjp(lambda x: x * leaf, w)[1](scalar(1))[0].backward()
    assert float(leaf.grad) == 1
    assert w.grad is None
    with td.no_grad():
        assert float(td.grad(lambda x: x * x)(x)) == 6
        assert not (w * w).requires_grad


def test_backward_inside_a_transform():
    def f(x):
        leaf = scalar(4)
        leaf.requires_grad = True
        (leaf * leaf * x).backward()
        return leaf.grad  # 8 x, as a value

    assert float(f(scalar(2))) == 16


def test_a_transform_leaves_no_trace_behind():
    x = scalar(1)
    kept = []
    td.grad(lambda x: kept.append(x * x) or kept[0])(x)
    y = kept[0] * 2
    assert not y.requires_grad
    with pytest.raises(ZeroDivisionError):
        td.grad(lambda x: x / (1 // 0))(x)
    with pytest.raises(ZeroDivisionError):
        td.jvp(lambda x: x / (1 // 0), (x,), (x,))
    assert not (x * x).requires_grad
    assert float(td.grad(lambda x: x * x)(x)) == 2


# --- Hessians and Jacobians


def smooth(x):
    """A function with full third derivatives."""
    n = x.shape[0]
    a = td.tensor(np.random.default_rng(n).standard_normal((n, n)))
    return td.sum(td.tanh(a @ x) * td.exp(0.3 * x)) + td.logsumexp(a.T @ x) * td.sum(td.sin(x)) + td.prod(x)


@pytest.mark.parametrize("n", [1, 2, 5])
def test_hessian(n):
    rng = np.random.default_rng(n)
    x = td.tensor(rng.standard_normal(n))
    h = td.hessian(smooth)(x).cpu().numpy()
    np.testing.assert_allclose(h, h.T, rtol=1e-12, atol=1e-13)
    gradient = td.grad(smooth)
    for outer in (td.jacfwd, td.jacrev, td.jacobian):
        np.testing.assert_allclose(outer(gradient)(x).cpu().numpy(), h, rtol=1e-12, atol=1e-13)
        for inner in (td.jacfwd, td.jacrev):
            np.testing.assert_allclose(outer(inner(smooth))(x).cpu().numpy(), h, rtol=1e-12, atol=1e-13)
    step = 1e-5
    for i in range(n):
        e = td.tensor(step * np.eye(n)[i])
        column = (gradient(x + e).cpu().numpy() - gradient(x - e).cpu().numpy()) / (2 * step)
        np.testing.assert_allclose(h[:, i], column, rtol=1e-6, atol=1e-7)


def test_hessian_vector_product_three_ways():
    rng = np.random.default_rng(5)
    x, v = td.tensor(rng.standard_normal(6)), td.tensor(rng.standard_normal(6))
    want = td.hessian(smooth)(x) @ v
    gradient = td.grad(smooth)
    ways = {
        "hvp": td.hvp(smooth, (x,), (v,)),
        "forward over reverse": td.jvp(gradient, (x,), (v,))[1],
        "reverse over forward": td.grad(lambda x: td.jvp(smooth, (x,), (v,))[1])(x),
        "reverse over reverse": td.grad(lambda x: (gradient(x) * v).sum())(x),
    }
    for way, got in ways.items():
        got = got[0] if isinstance(got, tuple | list) else got
        np.testing.assert_allclose(got.cpu().numpy(), want.cpu().numpy(), rtol=1e-12, atol=1e-12, err_msg=way)


def test_third_derivative_tensor_is_symmetric():
    x = td.tensor(np.random.default_rng(6).standard_normal(4))
    third = td.jacfwd(td.hessian(smooth))(x).cpu().numpy()
    for axes in itertools.permutations(range(3)):
        np.testing.assert_allclose(third, third.transpose(axes), rtol=1e-11, atol=1e-11)
    reverse = td.jacrev(td.jacrev(td.grad(smooth)))(x).cpu().numpy()
    np.testing.assert_allclose(third, reverse, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("mode", ["jacobian", "jacfwd", "jacrev"])
def test_jacobian_chain_rule(mode):
    jacobian = getattr(td, mode)
    rng = np.random.default_rng(7)
    a, b = td.tensor(rng.standard_normal((4, 3))), td.tensor(rng.standard_normal((5, 4)))
    x = td.tensor(rng.standard_normal(3))
    g = lambda x: td.tanh(a @ x)
    f = lambda y: td.exp(b @ y) * td.sum(y)
    whole = jacobian(lambda x: f(g(x)))(x).cpu().numpy()
    np.testing.assert_allclose(
        whole, jacobian(f)(g(x)).cpu().numpy() @ jacobian(g)(x).cpu().numpy(), rtol=1e-12
    )
    np.testing.assert_array_equal(jacobian(lambda x: x)(x).cpu().numpy(), np.eye(3))
    matrix = td.tensor(rng.standard_normal((2, 3)))
    assert jacobian(lambda m: m @ a.T)(matrix).shape == (2, 4, 2, 3)
    assert jacobian(lambda x: td.zeros((2,), dtype=td.float64))(x).tolist() == np.zeros((2, 3)).tolist()


def test_directional_derivative():
    rng = np.random.default_rng(8)
    x = td.tensor(rng.standard_normal(5))
    g = td.grad(smooth)(x)
    norm = float(td.sqrt((g * g).sum()))
    for _ in range(5):
        v = rng.standard_normal(5)
        v = td.tensor(v / np.linalg.norm(v))
        slope = float(td.jvp(smooth, (x,), (v,))[1])
        assert slope == pytest.approx(float((g * v).sum()), rel=1e-12)
        assert slope <= norm
    assert float(td.jvp(smooth, (x,), (g / norm,))[1]) == pytest.approx(norm, rel=1e-12)


def test_curve():
    curve = lambda t: td.stack([td.cos(t), td.sin(t), t * t], axis=0)
    t = scalar(0.3)
    velocity = td.jacfwd(curve)(t).cpu().numpy()
    np.testing.assert_allclose(velocity, [-math.sin(0.3), math.cos(0.3), 0.6], rtol=1e-14)
    along = td.grad(lambda t: smooth(curve(t)))(t)
    assert float(along) == pytest.approx(float(td.grad(smooth)(curve(t)).cpu().numpy() @ velocity), rel=1e-12)
