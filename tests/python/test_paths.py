"""strict=True: gradients that are zero because the path was cut, named with operation and line."""

import inspect
import re

import pytest
import tidu as td


def rounded(x):
    return (td.round(x) * 2).sum()


def counted(x):
    return x.astype(td.int32).sum() * 1.0


def indexed(x):
    return x.detach()[td.argmax(x)]


def compared(x):
    return td.where(x > 0, 1.0, 0.0).sum()


def in_a_layer(x):
    return td.nn.functional.relu(td.floor(x)).sum()


CUT = {
    rounded: "'round' at",
    counted: "'astype' to int32 at",
    compared: "'greater' to bool at",
    in_a_layer: "'floor' at",
    indexed: "'stop_gradient' at",
}
x = td.tensor([0.4, 1.7, -2.0], dtype=td.float64)


def fails_at(function, text):
    line = inspect.getsourcelines(function)[1] + 1
    return pytest.raises(td.GradientError, match=re.escape(f"{text} {__file__}:{line}"))


@pytest.mark.parametrize("function", CUT, ids=lambda f: f.__name__)
def test_the_error_names_operation_and_line(function):
    assert td.grad(function)(x).tolist() == [0, 0, 0]
    for transform in (td.grad, td.value_and_grad, td.jacrev, td.jacfwd, td.jacobian, td.hessian):
        with fails_at(function, CUT[function]):
            transform(function, strict=True)(x)
    with fails_at(function, CUT[function]):
        td.vjp(function, x, strict=True)
    with fails_at(function, CUT[function]):
        td.jvp(function, (x,), (x,), strict=True)


def test_a_path_beside_the_cut_is_enough():
    straight_through = lambda x: (x + (td.round(x) - x).detach()).sum()
    assert td.grad(straight_through, strict=True)(x).tolist() == [1, 1, 1]
    assert td.grad(lambda x: (x * (x > 0)).sum(), strict=True)(x).tolist() == [1, 1, 0]
    assert td.grad(lambda x: td.relu(x).sum() + rounded(x), strict=True)(x).tolist() == [1, 1, 0]
    assert td.grad(lambda x: x[td.argmax(x)], strict=True)(x).tolist() == [0, 1, 0]
    assert td.grad(lambda x: x[int(td.argmax(x))], strict=True)(x).tolist() == [0, 1, 0]

    def written(x):
        y = td.zeros_like(x)
        y[0] = x[1]
        return y.sum()

    assert td.grad(written, strict=True)(x).tolist() == [0, 1, 0]
    cube = td.custom_jvp(lambda x: x**3)
    cube.defjvp(lambda p, t: (p[0] ** 3, 3 * p[0] ** 2 * t[0]))
    assert td.grad(lambda x: cube(x).sum(), strict=True)(td.ones(2)).tolist() == [3, 3]
    assert td.hessian(lambda x: x.sum(), strict=True)(td.ones(2)).tolist() == [[0, 0], [0, 0]]
    (_, aux), gradient = td.value_and_grad(lambda x: ((x * x).sum(), "aux"), has_aux=True, strict=True)(x)
    assert aux == "aux" and gradient.tolist() == (2 * x).tolist()


def test_each_argument_has_its_own_path():
    f = lambda p, y: (p["a"] * td.sign(p["b"])).sum() + (y * y).sum()
    tree = {"a": x, "b": x}
    assert td.grad(f)(tree, x)["b"].tolist() == [0, 0, 0]
    with pytest.raises(td.GradientError, match=r"\[grad\] the derivative by argument 1, .*'sign'"):
        td.grad(f, strict=True)(tree, x)
    td.grad(f, argnums=1, strict=True)(tree, x)
    with pytest.raises(td.GradientError, match=r"argument 1.*does not depend on it"):
        td.grad(lambda x, y: x.sum(), argnums=(0, 1), strict=True)(x, x)

    def hidden(x):
        with td.no_grad():
            return (x * x).sum()

    with pytest.raises(td.GradientError, match="no_grad"):
        td.grad(hidden, strict=True)(x)
    # The first cut is named, wherever its result went on to.
    with pytest.raises(td.GradientError, match="'ceil'"):
        td.grad(lambda x: td.round(td.sin(td.ceil(x)) * 2).sum(), strict=True)(x)


def test_strict_nests():
    inner = lambda x: td.grad(lambda y: (y * y * x).sum(), strict=True)(x).sum()
    assert td.grad(inner, strict=True)(td.ones(2)).tolist() == td.grad(inner)(td.ones(2)).tolist() == [4, 4]
    with pytest.raises(td.GradientError, match="'round'"):
        td.grad(lambda x: td.grad(lambda y: (y * td.round(x)).sum())(x).sum(), strict=True)(x)
