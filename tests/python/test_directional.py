"""Derivatives along directions, and Jacobian and Hessian as they are asked for, against closed forms."""

import numpy as np
import pytest
import tidu as td

DTYPES = [td.float32, td.float64]
RTOL = {td.float32: 2e-5, td.float64: 1e-12}


@pytest.fixture(params=DTYPES, ids=str)
def dtype(request):
    return request.param


def tensors(rng, dtype, *shapes):
    return [td.tensor(rng.normal(size=shape), dtype=dtype) for shape in shapes]


def close(tensor, array, dtype):
    assert tensor.dtype == dtype
    array = array.cpu().numpy() if isinstance(array, td.Tensor) else np.asarray(array)
    np.testing.assert_allclose(tensor.cpu().numpy(), array, rtol=RTOL[dtype], atol=RTOL[dtype])


def quadratic(rng, dtype, n=4):
    """x'Ax/2 + exp(b.x) with its Hessian at x."""
    a, b, x = rng.normal(size=(n, n)), rng.normal(size=n), rng.normal(size=n)
    hessian = (a + a.T) / 2 + np.outer(b, b) * np.exp(b @ x)
    gradient = (a + a.T) @ x / 2 + b * np.exp(b @ x)
    A, B, X = (td.tensor(array, dtype=dtype) for array in (a, b, x))
    return lambda x: x @ (A @ x) / 2 + td.exp(B @ x), X, gradient, hessian


# --- Products of the Hessian


def test_hessian_products(rng, dtype):
    f, x, _, hessian = quadratic(rng, dtype)
    (v,) = tensors(rng, dtype, 4)
    want = hessian @ v.cpu().numpy()
    for product in (td.hvp, td.vhp):
        close(product(f, x, v), want, dtype)
        (of_tuple,) = product(f, (x,), (v,))
        close(of_tuple, want, dtype)
        result, aux = product(lambda x: (f(x), "aux"), x, v, has_aux=True)
        assert aux == "aux"
        close(result, want, dtype)
        close(product(f, x, None), np.zeros(4), dtype)
    close(td.hessian_diagonal(f)(x), np.diag(hessian), dtype)


def test_hessian_products_of_trees(rng, dtype):
    x, y, v, w = tensors(rng, dtype, (2, 3), 3, (2, 3), 3)
    f = lambda p, y: ((p["x"] ** 2) @ (y**3)).sum()  # sum of x_ij^2 y_j^3
    X, Y, V, W = (t.cpu().numpy() for t in (x, y, v, w))
    by_x = 2 * V * Y**3 + 6 * X * Y**2 * W
    by_y = (6 * X * Y**2 * V).sum(0) + 6 * (X**2).sum(0) * Y * W
    for product in (td.hvp, td.vhp):
        tree, last = product(f, ({"x": x}, y), ({"x": v}, w))
        close(tree["x"], by_x, dtype)
        close(last, by_y, dtype)
        tree, last = product(f, ({"x": x}, y), (None, w))
        close(tree["x"], 6 * X * Y**2 * W, dtype)
        # A list or a dict is one argument.
        alone = product(lambda p: f({"x": p["x"]}, y), {"x": x}, {"x": v})
        close(alone["x"], 2 * V * Y**3, dtype)
        _, second = product(lambda p: f({"x": p[0]}, p[1]), [x, y], [v, w])
        close(second, by_y, dtype)
    diagonals = td.hessian_diagonal(f, argnums=(0, 1))({"x": x}, y)
    close(diagonals[0]["x"], np.broadcast_to(2 * Y**3, (2, 3)), dtype)
    close(diagonals[1], 6 * (X**2).sum(0) * Y, dtype)
    diagonal, aux = td.hessian_diagonal(lambda x: ((x**4).sum(), 7), has_aux=True)(x)
    assert aux == 7
    close(diagonal, 12 * X**2, dtype)
    assert td.hessian_diagonal(lambda x: x.sum())(x[:0]).shape == (0, 3)


def test_hessian_products_where_a_rule_cannot_be_transposed():
    @td.custom_vjp
    def cube(x):
        return x**3

    cube.defvjp(lambda x: (x**3, x), lambda x, g: (3 * x * x * td.where(g == 0, 0.0, g),))
    x, v = td.tensor([1.0, 2.0], dtype=td.float64), td.tensor([1.0, -1.0], dtype=td.float64)
    f = lambda x: cube(x).sum()
    close(td.hvp(f, x, v), [6, -12], td.float64)
    close(td.vhp(f, x, v), [6, -12], td.float64)
    close(td.hessian_diagonal(f)(x), [6, 12], td.float64)


# --- Directional and total derivative


def test_directional_derivative(rng, dtype):
    f, x, gradient, _ = quadratic(rng, dtype)
    (v,) = tensors(rng, dtype, 4)
    close(td.directional_derivative(f, x, v), gradient @ v.cpu().numpy(), dtype)
    close(td.directional_derivative(f, x, 3 * v), 3 * gradient @ v.cpu().numpy(), dtype)
    g = lambda x, y: {"product": x * y, "sum": [x.sum()]}
    tree, aux = td.directional_derivative(lambda x, y: (g(x, y), 1), (x, v), (v, None), has_aux=True)
    assert aux == 1
    close(tree["product"], v * v, dtype)
    close(tree["sum"][0], v.sum(), dtype)
    with pytest.raises(td.ShapeError, match=r"\[directional_derivative\] direction is .*\(3,\).*\(4,\)"):
        td.directional_derivative(f, x, v[:3])
    with pytest.raises(ValueError, match="tuple of 2 arguments"):
        td.directional_derivative(g, (x, v), (v,))


def test_steepest_direction(rng, dtype):
    f, x, gradient, _ = quadratic(rng, dtype)
    direction = td.steepest_direction(f, x)
    close(direction, gradient / np.linalg.norm(gradient), dtype)
    close(td.directional_derivative(f, x, direction), np.linalg.norm(gradient), dtype)
    tree, aux = td.steepest_direction(
        lambda p: (p["a"] * 3 + p["b"] * 4, "aux"), {"a": 1.0, "b": 2.0}, has_aux=True
    )
    assert aux == "aux"
    np.testing.assert_allclose([tree["a"].item(), tree["b"].item()], [0.6, 0.8], rtol=1e-7)
    for size in (1e-30, 1e30):  # whose square is none of float32
        close(td.steepest_direction(lambda x, size=size: (size * x).sum(), x), np.full(4, 0.5), dtype)
    with pytest.raises(ValueError, match=r"\[steepest_direction\] the gradient is zero"):
        td.steepest_direction(lambda x: (x * 0).sum(), x)


def test_total_derivative_is_the_linear_model(rng, dtype):
    a, x, p = tensors(rng, dtype, (3, 4), 4, 4)
    calls = []

    def f(x):
        calls.append(1)
        return td.tanh(a @ x)

    total = td.total_derivative(f, x)
    value = np.tanh(a.cpu().numpy() @ x.cpu().numpy())
    want = (1 - value**2) * (a.cpu().numpy() @ p.cpu().numpy())
    close(total.value, value, dtype)
    close(total(p), want, dtype)
    close(total(2 * p), 2 * want, dtype)
    close(total.model(p), value + want, dtype)
    assert len(calls) == 1
    of_two, aux = td.total_derivative(lambda x, y: ([x * y], "aux"), (x, p), has_aux=True)
    assert aux == "aux"
    close(of_two((p, None))[0], p * p, dtype)
    close(of_two.model((None, x))[0], x * p + x * x, dtype)
    # The error of the model is of second order.
    x, p = x.astype(td.float64), p.astype(td.float64)
    smooth = lambda x: td.exp(td.sin(x)).sum()
    errors = [
        abs((smooth(x + h * p) - td.total_derivative(smooth, x).model(h * p)).item()) for h in (1e-2, 1e-3)
    ]
    assert 80 < errors[0] / errors[1] < 125


def test_linearize(rng, dtype):
    x, y, v, w = tensors(rng, dtype, 3, 3, 3, 3)
    f = lambda x, y: (td.sin(x) * y, {"n": x @ y})
    value, derivative = td.linearize(f, x, y)
    close(value[1]["n"], x @ y, dtype)
    for tangents in ((v, w), (w, v), (v, None)):
        want = td.jvp(f, (x, y), tangents)[1]
        got = derivative(*tangents)
        assert got[0].tolist() == want[0].tolist()
        assert got[1]["n"].item() == want[1]["n"].item()
    value, derivative, aux = td.linearize(lambda x: (x * x, "aux"), x, has_aux=True)
    assert aux == "aux"
    close(derivative(v), 2 * x * v, dtype)
    by_value = td.linearize(lambda x: x * x if x.sum().item() > -100 else x, x)[1]
    close(by_value(v), 2 * x * v, dtype)
    with pytest.raises(td.ShapeError, match=r"\[linearize\] direction"):
        derivative(v[:2])
    # Differentiable, by the point and by the direction.
    along = lambda x: td.linearize(lambda x: (x**3).sum(), x)[1](v)
    close(td.grad(along)(x), 6 * x * v, dtype)
    close(td.grad(lambda v: td.linearize(lambda x: (x**3).sum(), x)[1](v))(v), 3 * x * x, dtype)


# --- Jacobians as they are asked for


def test_jacobian_modes(rng, dtype):
    a, x = tensors(rng, dtype, (5, 3), 3)
    tall, wide = lambda x: a @ x, lambda x: a[:2] @ x
    assert td.jacobian(tall).mode(x) == "fwd" and td.jacobian(wide).mode(x) == "rev"
    assert td.jacobian(lambda x: x * x).mode(x) == "rev"
    assert td.jacobian(lambda s, x: {"a": x, "b": [x]}, argnums=1).mode(2.0, x) == "fwd"
    for mode in ("auto", "fwd", "rev"):
        jacobian = td.jacobian(tall, mode=mode)
        close(jacobian(x), a, dtype)
        assert jacobian.mode(x) == ("fwd" if mode == "auto" else mode)
    runs = []
    counted = lambda x: runs.append(1) or tall(x)
    td.jacobian(counted, mode="rev")(x)
    assert len(runs) == 1
    runs.clear()
    td.jacobian(counted, mode="fwd")(x)
    assert len(runs) == 1
    with pytest.raises(ValueError, match=r"\[jacobian\] modes are 'auto', 'fwd' and 'rev', not 'sideways'"):
        td.jacobian(tall, mode="sideways")
