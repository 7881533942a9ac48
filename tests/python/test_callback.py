"""Python functions inside of recorded code: pure_callback, debug.callback, debug.print."""

import numpy as np
import pytest
import tidu as td
from tidu import GradientError, ShapeError

SHAPES = td.ShapeDtypeStruct((3,), td.float32)


def sine(x):
    return np.sin(np.asarray(x.to("cpu")))


def like(x):
    return td.ShapeDtypeStruct(x.shape, x.dtype)


def test_pure_callback_computes_now_and_in_programs(device):
    x = td.tensor([0.1, 0.2, 0.3], device=device)
    f = lambda x: td.pure_callback(sine, SHAPES, x * 2) + 1
    want = np.sin(2 * np.array([0.1, 0.2, 0.3])) + 1
    for result in (f(x), td.program(f, x)(x)):
        assert result.device == x.device
        np.testing.assert_allclose(result.cpu().numpy(), want, rtol=1e-6)
    other = td.tensor([1.0, 2.0, 3.0], device=device)
    np.testing.assert_allclose(td.program(f, x)(other).cpu().numpy(), np.sin([2.0, 4.0, 6.0]) + 1, rtol=1e-6)


def test_trees_and_numbers_pass_through():
    def split(tree, scale, *, shift):
        return {"sum": float(tree["a"].sum()) * scale + shift, "twice": tree["b"] * 2}

    spec = {"sum": td.ShapeDtypeStruct((), td.float64), "twice": td.zeros(2)}
    tree = {"a": td.tensor([1.0, 2.0]), "b": td.tensor([3.0, 4.0])}
    result = td.pure_callback(split, spec, tree, 10, shift=0.5)
    assert result["sum"].dtype == td.float64
    assert float(result["sum"]) == 30.5
    assert result["twice"].tolist() == [6.0, 8.0]


@pytest.mark.parametrize("method", ["sequential", "broadcast_all"])
def test_pure_callback_under_vmap(method, device):
    calls = []

    def scaled(x, y):
        calls.append(x.shape)
        return np.asarray(x.to("cpu")) * np.asarray(y.to("cpu"))

    f = lambda x, y: td.pure_callback(scaled, like(x), x, y, vmap_method=method)
    x = td.arange(6, dtype=td.float32, device=device).reshape(2, 3)
    y = td.tensor([1.0, 2.0, 3.0], device=device)
    want = x.cpu().numpy() * y.cpu().numpy()
    np.testing.assert_array_equal(td.vmap(f, in_axes=(0, None))(x, y).cpu().numpy(), want)
    assert calls == ([(3,), (3,)] if method == "sequential" else [(2, 3)])
    calls.clear()
    nested = td.vmap(td.vmap(f, in_axes=(0, 0)), in_axes=(0, None))
    np.testing.assert_array_equal(nested(x, y).cpu().numpy(), want)
    assert calls == ([()] * 6 if method == "sequential" else [(2, 3)])
    empty = td.vmap(f, in_axes=(0, None))(x[:0], y)
    assert empty.shape == (0, 3)


def test_a_rule_gives_the_derivative(device):
    @td.custom_jvp
    def f(x):
        return td.pure_callback(sine, like(x), x)

    @f.defjvp
    def _(primals, tangents):
        return f(*primals), td.cos(primals[0]) * tangents[0]

    x = td.tensor([0.5, 1.5], device=device)
    np.testing.assert_allclose(
        td.grad(lambda x: f(x).sum())(x).cpu().numpy(), np.cos(x.cpu().numpy()), rtol=1e-6
    )
    np.testing.assert_allclose(
        td.hessian(lambda x: f(x).sum())(x).cpu().numpy(),
        -np.diag(np.sin(x.cpu().numpy())),
        rtol=1e-6,
        atol=1e-7,
    )
    rows = td.vmap(td.grad(lambda x: f(x).sum()))(td.stack([x, 2 * x]))
    np.testing.assert_allclose(rows[1].cpu().numpy(), np.cos(2 * x.cpu().numpy()), rtol=1e-6)


def test_inside_of_loops():
    step = lambda carry, x: (td.pure_callback(lambda c, x: c + x, like(carry), carry, x), carry)
    last, before = td.scan(step, td.tensor(0.0), td.tensor([1.0, 2.0, 3.0]))
    assert float(last) == 6
    assert before.tolist() == [0, 1, 3]


def test_without_a_rule_there_is_no_derivative():
    f = lambda x: td.pure_callback(sine, SHAPES, x).sum()
    with pytest.raises(GradientError, match=r"pure_callback.*custom_vjp"):
        td.grad(f)(td.ones(3))
    with pytest.raises(GradientError, match="pure_callback"):
        td.jvp(f, (td.ones(3),), (td.ones(3),))


def test_what_the_function_gives_is_checked():
    x = td.ones(3)
    with pytest.raises(ShapeError, match=r"\[pure_callback\] result 0 .*float32\(2,\).*float32\(3,\)"):
        td.pure_callback(lambda x: x[:2], SHAPES, x)
    with pytest.raises(ShapeError, match=r"float64.*astype"):
        td.pure_callback(lambda x: np.ones(3), SHAPES, x)
    with pytest.raises(ValueError, match=r"\[pure_callback\] the result of <lambda> must be one tensor"):
        td.pure_callback(lambda x: (x, x), SHAPES, x)
    with pytest.raises(TypeError, match="ShapeDtypeStruct"):
        td.pure_callback(sine, (3,), x)
    with pytest.raises(ValueError, match="vmap_method"):
        td.pure_callback(sine, SHAPES, x, vmap_method="expand")
    with pytest.raises(ZeroDivisionError):
        td.program(lambda x: td.pure_callback(lambda x: 1 / 0, SHAPES, x), x)(x)


def test_print_now_and_in_order(capsys):
    td.debug.print("hello")
    td.debug.print("{} and {y:.2f}", 3, y=td.tensor(0.125))
    assert capsys.readouterr().out == "hello\n3 and 0.12\n"


def test_programs_keep_prints_that_nothing_uses(capsys):
    def f(x):
        td.debug.print("begin")
        y = x * 2
        td.debug.print("y {}", y)
        td.debug.print("y {}", y)
        return x + 1

    x = td.tensor(1.5)
    p = td.program(f, x)
    assert capsys.readouterr().out == ""
    for value in (1.5, 2.0):
        assert float(p(td.tensor(value))) == value + 1
        lines = capsys.readouterr().out.splitlines()
        assert lines[0] == "begin"
        assert [line.split(",")[0] for line in lines[1:]] == [f"y tensor({2 * value:g}."] * 2
    assert td.cost(f, x)["f"]["calls"] >= 1
    assert capsys.readouterr().out == ""


def test_prints_under_transforms(capsys):
    def f(x):
        td.debug.print("{:g}", x)
        return td.sin(x) * x

    def printed(function, *args):
        function(*args)
        return capsys.readouterr().out.split()

    x = td.tensor(2.0)
    assert printed(td.grad(f), x) == ["2"]
    assert printed(td.grad(td.grad(f)), x) == ["2"]
    assert printed(lambda x: td.jvp(f, (x,), (x,)), x) == ["2"]
    assert printed(td.vmap(f), td.tensor([1.0, 2.0, 3.0])) == ["1", "2", "3"]
    assert printed(td.vmap(td.grad(f)), td.tensor([1.0, 2.0])) == ["1", "2"]
    assert printed(td.vmap(td.vmap(f)), td.tensor([[1.0, 2.0], [3.0, 4.0]])) == ["1", "2", "3", "4"]
    loop = lambda x: td.scan(lambda c, i: (f(c), None), x, td.arange(2))[0]
    assert len(printed(loop, x)) == 2
    unused = lambda x: (td.scan(lambda c, i: (f(c), None), x, td.arange(2)), x)[1]
    assert len(printed(td.program(unused, x), x)) == 2
    assert printed(td.jacfwd(f), x) == ["2"]
    assert printed(td.jacrev(f), x) == ["2"]
    branch = lambda x: td.cond(x > 1, lambda x: f(x), lambda x: x, x)
    assert printed(td.program(branch, x), x) == ["2"]
    assert printed(td.program(branch, x), -x) == []


def test_callback_sees_values(device):
    seen = []
    f = lambda x: (td.debug.callback(lambda x, tag: seen.append((x.tolist(), tag)), x, "tag"), x * 2)[1]
    x = td.tensor([1.0, 2.0], device=device)
    assert td.program(f, x)(x).tolist() == [2.0, 4.0]
    assert seen == [([1.0, 2.0], "tag")]
    with pytest.raises(KeyError):
        td.debug.callback(lambda x: {}[x], td.ones(1))


def test_pure_callback_without_tensors():
    assert td.pure_callback(lambda: np.ones(2), td.ShapeDtypeStruct((2,), td.float64)).tolist() == [1, 1]
    assert td.pure_callback(lambda n: n + 1, td.ShapeDtypeStruct((), td.int64), 3).item() == 4


@pytest.mark.cpu_only("arrays of NumPy share memory with tensors of the host alone")
def test_arguments_are_read_only():
    x, kept = td.tensor([1.0, 2.0, 3.0]), []

    def careless(v):
        kept.append(v)
        with pytest.raises(ValueError, match="read-only"):
            v.numpy()[0] = 99
        with pytest.raises(ValueError, match=r"\[add\].*read-only"):
            v += 1
        return v.numpy() * 2

    f = lambda x: td.pure_callback(careless, SHAPES, x)
    assert f(x).tolist() == td.program(f, x)(x).tolist() == [2, 4, 6]
    constant = td.program(lambda: td.pure_callback(careless, SHAPES, td.ones(3) * 2))
    assert constant().tolist() == constant().tolist() == [4, 4, 4]
    assert td.vmap(f)(td.stack([x, x])).tolist() == [[2, 4, 6]] * 2
    td.debug.callback(careless, x)
    assert x.tolist() == [1, 2, 3]
    del x
    assert kept[0].tolist() == [1, 2, 3]
