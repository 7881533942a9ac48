"""Writing in place: what a derivative still needs may not be overwritten, and what is recorded is right."""

import numpy as np
import pytest
import tidu as td


def leaf(*values):
    x = td.tensor([float(v) for v in values], dtype=td.float64)
    x.requires_grad = True
    return x


OPERATORS = {
    "+=": lambda x, y: x.__iadd__(y),
    "-=": lambda x, y: x.__isub__(y),
    "*=": lambda x, y: x.__imul__(y),
    "/=": lambda x, y: x.__itruediv__(y),
    "//=": lambda x, y: x.__ifloordiv__(y),
    "%=": lambda x, y: x.__imod__(y),
    "**=": lambda x, y: x.__ipow__(y),
}


@pytest.mark.parametrize("name", OPERATORS)
def test_operators_keep_memory_and_dtype(name):
    a, b = np.array([5.0, 7.0, -3.0]), np.array([2.0, 3.0, 2.0])
    x, want = td.tensor(a), a.copy()
    view = x[::-1]
    same = OPERATORS[name](x, td.tensor(b))
    OPERATORS[name](want, b)
    assert same is x
    np.testing.assert_allclose(x.cpu().numpy(), want, rtol=1e-15)
    np.testing.assert_allclose(view.cpu().numpy(), want[::-1], rtol=1e-15)
    half = td.tensor([1.0, 2.0], dtype=td.float16)
    half += td.tensor([1.0, 1.0], dtype=td.float16)
    half *= 2.5
    assert half.dtype == td.float16
    assert half.tolist() == [5, 7.5]


def test_what_does_not_fit_is_refused():
    x = td.ones((2, 3))
    with pytest.raises(ValueError):
        x += td.ones((4, 2, 3))
    with pytest.raises(ValueError):
        x[0] = td.ones((4,))
    integers = td.ones((3,), dtype=td.int32)
    with pytest.raises(TypeError):
        integers += 0.5
    with pytest.raises(TypeError):
        integers[0] = 0.5
    with pytest.raises(IndexError):
        x[2] = 1
    with pytest.raises(ValueError):
        td.broadcast_to(td.ones((1, 3)), (2, 3))[0] = 5
    np.testing.assert_array_equal(x.cpu().numpy(), np.ones((2, 3)))
    np.testing.assert_array_equal(integers.cpu().numpy(), np.ones(3))


def test_overwriting_what_backward_needs():
    for use in (lambda x: x * x, lambda x: td.exp(x), lambda x: td.sin(x), lambda x: x @ x):
        w = leaf(1, 2)
        x = w * 1
        y = use(x).sum()
        value = use(x)  # exp keeps its output, the others their input
        y = y + value.sum()
        x += 1
        if use(w).tolist() != td.exp(w).tolist():
            with pytest.raises(td.GradientError, match="overwritten"):
                y.backward()
    w = leaf(1, 2)
    y = td.exp(w)
    total = y.sum()
    z = y.detach()
    z += 1
    with pytest.raises(td.GradientError):
        total.backward()


def test_overwriting_what_backward_does_not_need():
    w = leaf(1, 2)
    x = w * 3
    y = (x + 1).sum()
    x += 5
    y.backward()
    assert w.grad.tolist() == [3, 3]


def test_a_leaf_that_requires_grad_is_not_overwritten():
    w = leaf(1, 2)
    with pytest.raises((td.GradientError, RuntimeError)):
        w += 1
    with pytest.raises((td.GradientError, RuntimeError)):
        w[0] = 5
    assert w.tolist() == [1, 2]
    with td.no_grad():
        w -= 0.5
        w[0] = 7
    assert w.tolist() == [7, 1.5]
    assert w.requires_grad
    (w * w).sum().backward()
    assert w.grad.tolist() == [14, 3]


def test_assignment_is_recorded():
    w = leaf(1, 2, 3)
    y = w * 2
    y[1] = w[0] * w[2]
    (y * y).sum().backward()
    # y = (2a, a c, 2c): d/da = 8a + 2 a c^2, d/db = 0, d/dc = 2 a^2 c + 8c
    assert w.grad.tolist() == [8 + 18, 0, 6 + 24]


def test_assignment_in_transforms():
    def f(x):
        y = td.zeros((4,), dtype=x.dtype)
        y[1:3] = x * x
        y[::-2] = x[:1] * 3
        y += x[1]
        return (y * y).sum()

    def same(x):
        a, b = x[0], x[1]
        y = td.stack([0 * a, 3 * a, b * b, 3 * a], axis=0) + b
        return (y * y).sum()

    x = td.tensor([1.5, -2.0], dtype=td.float64)
    assert float(f(x)) == float(same(x))
    np.testing.assert_allclose(td.grad(f)(x).cpu().numpy(), td.grad(same)(x).cpu().numpy(), rtol=1e-14)
    np.testing.assert_allclose(td.hessian(f)(x).cpu().numpy(), td.hessian(same)(x).cpu().numpy(), rtol=1e-13)
    v = td.tensor([0.3, 0.7], dtype=td.float64)
    np.testing.assert_allclose(
        td.jvp(f, (x,), (v,))[1].cpu().numpy(), td.jvp(same, (x,), (v,))[1].cpu().numpy(), rtol=1e-14
    )


def test_views_taken_before_a_recorded_write():
    w = leaf(1, 2, 3)
    y = w * 2
    view = y[:2]
    y[0] = w[1]
    assert view.tolist() == [2, 4]
    with pytest.raises(td.GradientError):
        (view * view).sum().backward()
    (y[:2] * 1).sum().backward()
    assert w.grad.tolist() == [0, 3, 0]


def test_masks_and_index_arrays():
    w = leaf(1, 2, 3, 4)
    y = w * 1
    y[y > 2] = 0.0
    y[td.tensor([0])] = w[3:] * 5
    (y * td.tensor([1.0, 10.0, 100.0, 1000.0], dtype=td.float64)).sum().backward()
    assert y.tolist() == [20, 2, 0, 0]
    assert w.grad.tolist() == [0, 10, 0, 5]


def test_self_overlap():
    x = td.arange(6, dtype=td.float64)
    x[1:] = x[:-1]
    assert x.tolist() == [0, 0, 1, 2, 3, 4]
    x = td.arange(6, dtype=td.float64)
    x[:] = x[::-1]
    assert x.tolist() == [5, 4, 3, 2, 1, 0]
    x = td.tensor(np.arange(9.0).reshape(3, 3))
    x += x.T
    np.testing.assert_array_equal(
        x.cpu().numpy(), np.arange(9.0).reshape(3, 3) + np.arange(9.0).reshape(3, 3).T
    )


CLOSURES = {
    "cg": lambda a, b: td.linalg.cg(a, b)[0],
    "scan": lambda a, b: td.scan(lambda c, _: (a @ c, None), b, length=2)[0],
    "fori_loop": lambda a, b: td.fori_loop(0, 2, lambda i, c: a @ c, b),
    "checkpoint": lambda a, b: td.checkpoint(lambda b: a @ (b * b))(b),
    "root": lambda a, b: td.implicit.root(lambda x, b: a @ x - b, td.zeros_like(b), b),
    "fixed_point": lambda a, b: td.implicit.fixed_point(lambda x, b: a @ x / 8 + b, td.zeros_like(b), b),
    "odeint": lambda a, b: td.odeint(lambda y, t: a @ y, b, td.tensor([0.0, 1.0]), mode="adjoint")[-1],
}


@pytest.mark.parametrize("name", CLOSURES)
def test_what_held_functions_close_over_is_not_overwritten_in_silence(name):
    a, b = td.tensor([[2.0, 0.0], [0.0, 4.0]]), td.ones(2, requires_grad=True)
    y = td.sum(CLOSURES[name](a, b))
    a[0, 0] = 100.0
    with pytest.raises(td.GradientError, match="overwritten in place"):
        y.backward()
