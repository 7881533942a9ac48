"""Derivatives that are kept while what they need is overwritten: refused, or as if it had not been."""

import numpy as np
import pytest
import tidu as td

POINT = [1.0, 10.0, 100.0]


def values(tensor):
    return tensor.detach().cpu().numpy()


def tensor(numbers):
    return td.tensor(numbers, dtype=td.float64)


def writes_after_it_was_read(x):
    weights = td.copy(td.stop_gradient(x))
    y = x * weights
    weights[0:1] = weights[1:2]
    return y


def writes_a_number_after_it_was_read(x):
    weights = td.copy(td.stop_gradient(x))
    y = x * weights
    weights[:] = 5.0
    return y + weights


def writes_a_number(x):
    y = td.copy(x)
    y[1] = 2.0
    return td.sin(y) * x


def writes_a_number_through_a_view(x):
    y = td.copy(x)
    part = y[::-1][:2]
    part[0] = 2.0
    return part * x[0]


def writes_what_was_made_inside(x):
    y = td.copy(x)
    y[1:] = td.zeros(2, dtype=td.float64) + 1.5
    y[td.tensor([0])] += 1.0
    return y * x


def writes_into_what_was_made_inside(x):
    y = td.zeros(3, dtype=td.float64)
    before = x * y
    y[0] = x[1]
    y[1:] = td.stop_gradient(x[:2])
    return before + x * y


FUNCTIONS = [
    writes_after_it_was_read,
    writes_a_number_after_it_was_read,
    writes_a_number,
    writes_a_number_through_a_view,
    writes_what_was_made_inside,
    writes_into_what_was_made_inside,
]


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
def test_functions_that_write_are_linearized(function):
    x, v = tensor(POINT), tensor([0.5, -1.0, 2.0])
    # Forward mode, which knows of no program.
    y, expected = td.jvp(function, (x,), (v,))
    value, derivative = td.linearize(function, x)
    np.testing.assert_array_equal(values(value), values(y))
    np.testing.assert_allclose(values(derivative(v)), values(expected), rtol=1e-14)
    np.testing.assert_allclose(values(derivative(2 * v)), 2 * values(expected), rtol=1e-14)
    compiled = td.compile(lambda x, v: td.linearize(function, x)[1](v))
    np.testing.assert_allclose(values(compiled(x, v)), values(expected), rtol=1e-14)


def test_rules_that_write_are_transposed():
    @td.custom_jvp
    def scaled(x):
        return x * x

    @scaled.defjvp
    def _(primals, tangents):
        (x,), (t,) = primals, tangents
        weights = td.copy(x)
        tangent = t * weights
        weights[0:1] = weights[1:2]
        weights[2] = 7.0
        return x * x, tangent + t * weights

    x = tensor(POINT)
    expected = [1.0 + 10.0, 10.0 + 10.0, 100.0 + 7.0]
    np.testing.assert_array_equal(values(td.jvp(scaled, (x,), (td.ones_like(x),))[1]), expected)
    np.testing.assert_array_equal(values(td.grad(lambda x: scaled(x).sum())(x)), expected)
    np.testing.assert_array_equal(values(td.jacrev(scaled)(x)), np.diag(expected))

    @td.custom_vjp
    def pulled(x):
        return x * x

    def backward(x, cotangent):
        weights = td.copy(x)
        pulled = cotangent * weights
        weights[0:1] = weights[1:2]
        weights[2] = 7.0
        return (pulled + cotangent * weights,)

    pulled.defvjp(lambda x: (x * x, x), backward)
    np.testing.assert_array_equal(values(td.grad(lambda x: pulled(x).sum())(x)), expected)
    np.testing.assert_array_equal(values(td.jvp(pulled, (x,), (td.ones_like(x),))[1]), expected)


KEPT = {
    "product": lambda x: x * x,
    "matmul": lambda x: td.outer(x, x) @ x,
    "checkpoint": td.checkpoint(lambda x: x * x),
    "compiled": td.compile(lambda x: x * x),
    "scan": lambda x: td.scan(lambda c, t: (c * t, c), td.tensor(1.0, dtype=td.float64), x)[1],
    "solve": lambda x: td.linalg.solve(td.eye(3, dtype=td.float64) + td.outer(x, x), x),
}


@pytest.mark.parametrize("name", KEPT)
def test_the_point_of_a_linear_function_is_overwritten(name):
    x, v = tensor(POINT), tensor([0.5, -1.0, 2.0])
    _, derivative = td.linearize(KEPT[name], x)
    expected = values(derivative(v))
    x[0] = 7.0
    with pytest.raises(td.GradientError, match="overwritten in place after the call"):
        derivative(v)
    _, derivative = td.linearize(KEPT[name], td.copy(tensor(POINT)))  # one that nobody else has
    np.testing.assert_array_equal(values(derivative(v)), expected)


def test_the_point_of_a_total_derivative_is_overwritten():
    x = tensor(POINT)
    total = td.total_derivative(lambda x: x * x, x)
    x += 1.0
    with pytest.raises(td.GradientError, match="overwritten in place after the call"):
        total(td.ones_like(x))


def test_a_taylor_polynomial_stays_at_its_point():
    x, step = tensor([1.0, 10.0]), tensor([0.5, 0.25])
    model = td.taylor(lambda x: (x**3).sum(), x, 2)
    x[0] = 7.0
    at, p = np.array([1.0, 10.0]), np.array([0.5, 0.25])
    np.testing.assert_allclose(values(model(step)), (at**3 + 3 * at**2 * p + 3 * at * p**2).sum(), rtol=1e-14)
    np.testing.assert_allclose(values(model.value), 1001.0)
    np.testing.assert_allclose(values(model.coefficients[1]), 3 * at**2)
    number = td.tensor(2.0, dtype=td.float64)
    model = td.taylor(lambda x: x**3, number, 2)
    number += 1.0
    assert [c.item() for c in model.coefficients] == [8.0, 12.0, 6.0]


def test_residuals_of_a_rule_are_overwritten():
    square = td.custom_vjp(lambda x: x * x)
    square.defvjp(lambda x: (x * x, {"x": x}), lambda kept, cotangent: (2 * kept["x"] * cotangent,))
    x = tensor(POINT)
    x.requires_grad = True
    y = square(x).sum()
    with td.no_grad():
        x[0] = 7.0
    with pytest.raises(td.GradientError, match=r"residual .* was overwritten in place after the call"):
        y.backward()
    assert x.grad is None
    square(x).sum().backward()
    np.testing.assert_array_equal(values(x.grad), [14.0, 20.0, 200.0])


def test_the_arguments_of_a_transposed_rule_are_overwritten():
    square = td.custom_jvp(lambda x: x * x)
    square.defjvp(lambda primals, tangents: (primals[0] * primals[0], primals[0] * tangents[0] * 2))
    x = tensor(POINT)
    y, pull = td.vjp(square, x)
    np.testing.assert_array_equal(values(pull(td.ones_like(y))[0]), [2.0, 20.0, 200.0])
    x[0] = 7.0
    with pytest.raises(td.GradientError, match="overwritten in place after the call"):
        pull(td.ones_like(y))
