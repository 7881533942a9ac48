"""Transforms: closed forms, pytrees, nesting, custom rules, errors."""

import gc
import itertools
import re
import threading
from collections import OrderedDict, namedtuple
from dataclasses import dataclass

import numpy as np
import pytest
import samplers as ops
import tidu as td
from tidu import _core

Point = namedtuple("Point", ["x", "y"])


@dataclass
class Model:
    weight: object
    bias: object


@dataclass(frozen=True)
class Frozen:
    value: object


def f64(values):
    return td.tensor(values, dtype=td.float64)


def close(tensor, array, rtol=1e-12, atol=0):
    np.testing.assert_allclose(tensor.cpu().numpy(), array, rtol=rtol, atol=atol)


# --- grad


def test_grad_of_a_tensor():
    x = f64([1.0, 2.0, 3.0])
    close(td.grad(lambda x: (x**3).sum())(x), [3, 12, 27])
    value, gradient = td.value_and_grad(lambda x: (x * x).sum())(x)
    assert value.item() == 14 and value.is_leaf and not value.requires_grad
    close(gradient, [2, 4, 6])


def test_argnums_aux_and_keywords():
    def f(a, b, scale=1.0, *, extra=0.0):
        return scale * (a * b).sum() + extra, {"product": a * b, "note": "text"}

    a, b = f64([1.0, 2.0]), f64([3.0, 4.0])
    (value, aux), gradient = td.value_and_grad(f, argnums=1, has_aux=True)(a, b, scale=2.0, extra=5)
    assert value.item() == 27 and aux["note"] == "text"
    close(aux["product"], [3, 8])
    close(gradient, [2, 4])
    gradients, aux = td.grad(f, argnums=(1, 0), has_aux=True)(a, b)
    assert isinstance(gradients, tuple)
    close(gradients[0], [1, 2])
    close(gradients[1], [3, 4])
    close(td.grad(lambda a, b: (a - b).sum(), argnums=-1)(a, b), [-1, -1])
    assert td.grad(f).__name__ == "f"


def test_numbers_are_inputs_too():
    assert td.grad(lambda x: x * x)(3.0).item() == 6
    gradient = td.grad(lambda p: p["a"] * p["b"])({"a": 2.0, "b": f64(5.0)})
    assert gradient["a"].item() == 5 and gradient["b"].item() == 2
    assert gradient["a"].dtype is td.float32 and gradient["b"].dtype is td.float64


@pytest.mark.parametrize(
    "make",
    [
        lambda a, b: [a, b],
        lambda a, b: (a, (b,)),
        lambda a, b: {"z": a, "a": [b, None]},
        lambda a, b: OrderedDict(z=a, a=b),
        lambda a, b: Point(a, b),
        lambda a, b: Model(a, Frozen(b)),
    ],
)
def test_pytrees_keep_their_structure(make):
    a, b = f64([1.0, 2.0]), f64(3.0)

    def f(tree):
        x, y = td.tree_leaves(tree)
        return (x * x).sum() * y

    tree = make(a, b)
    gradient = td.grad(f)(tree)
    assert type(gradient) is type(tree)
    x, y = td.tree_leaves(gradient)
    close(x, [6, 12])
    close(y, 5)
    doubled = td.tree_map(lambda p, g: p + g, tree, gradient)
    assert type(doubled) is type(tree)
    if isinstance(tree, dict):
        assert list(gradient) == ["z", "a"]
    value, pullback = td.vjp(lambda t: td.tree_map(lambda x: x * 2, t), tree)
    (cotangent,) = pullback(td.tree_map(td.ones_like, value))
    assert type(cotangent) is type(tree)
    close(td.tree_leaves(cotangent)[0], [2, 2])


def test_empty_structures():
    assert td.grad(lambda tree, x: x * x, argnums=(0, 1))({}, f64(2.0))[0] == {}
    value, pullback = td.vjp(lambda x: {}, f64(2.0))
    assert value == {} and pullback({})[0].item() == 0
    assert td.grad(lambda x: x.sum())(td.zeros((0, 3))).shape == (0, 3)


def test_gradient_of_what_does_not_depend_is_zero():
    close(td.grad(lambda x: td.ones(()))(td.ones(3)), [0, 0, 0])
    close(td.grad(lambda x: td.stop_gradient(x * x).sum() + x.sum())(td.ones(3)), [1, 1, 1])
    tree = td.stop_gradient({"a": td.ones(2), "n": 3})
    assert tree["n"] == 3


# --- vjp, jvp, hvp


def test_vjp():
    def f(a, b):
        return {"sum": a + b, "product": a * b}

    a, b = f64([1.0, 2.0]), f64([3.0, 4.0])
    value, pullback = td.vjp(f, a, b)
    close(value["product"], [3, 8])
    da, db = pullback({"sum": f64([1.0, 0.0]), "product": f64([0.0, 1.0])})
    close(da, [1, 4])
    close(db, [1, 2])
    da, db = pullback({"sum": None, "product": f64([1.0, 1.0])})
    close(da, [3, 4])
    value, pullback, aux = td.vjp(lambda x: (x * x, "aux"), a, has_aux=True)
    assert aux == "aux"
    close(pullback(f64([1.0, 1.0]))[0], [2, 4])


def test_jvp():
    x, t = f64([1.0, 2.0]), f64([1.0, -1.0])
    value, tangent = td.jvp(lambda x: (x.sum(), [x * x]), (x,), (t,))
    assert value[0].item() == 3 and tangent[0].item() == 0
    close(tangent[1][0], [2, -4])
    value, tangent, aux = td.jvp(lambda a, b: (a * b, "aux"), (x, x), (None, t), has_aux=True)
    assert aux == "aux"
    close(tangent, [1, -2])


def test_hvp_and_hessian(rng):
    h = rng.normal(size=(3, 3))
    h = h + h.T
    matrix, x, v = td.tensor(h), td.tensor(rng.normal(size=3)), td.tensor(rng.normal(size=3))
    f = lambda x: 0.5 * (x @ (matrix @ x))
    close(td.hvp(f, (x,), (v,))[0], h @ v.cpu().numpy())
    close(td.hessian(f)(x), h)
    close(td.jacrev(td.grad(f))(x), h)
    close(td.jacrev(td.jacrev(f))(x), h)
    close(td.jacfwd(td.jacfwd(f))(x), h)


def test_jacobians(rng):
    a = td.tensor(rng.normal(size=(4, 3)))
    x = td.tensor(rng.normal(size=3))
    f = lambda x: td.tanh(a @ x)
    want = (1 - np.tanh(a.cpu().numpy() @ x.cpu().numpy()) ** 2)[:, None] * a.cpu().numpy()
    for jacobian in (td.jacrev, td.jacfwd, td.jacobian):
        close(jacobian(f)(x), want)
        blocks = jacobian(lambda p, s: {"y": f(p["x"]) * s, "z": p["x"].sum()}, argnums=(0, 1))(
            {"x": x}, f64(2.0)
        )
        close(blocks["y"][0]["x"], 2 * want)
        close(blocks["y"][1], np.tanh(a.cpu().numpy() @ x.cpu().numpy()))
        close(blocks["z"][0]["x"], [1, 1, 1])
        close(blocks["z"][1], 0)
        result, aux = jacobian(lambda x: (f(x), 5), has_aux=True)(x)
        assert aux == 5 and result.shape == (4, 3)
        assert jacobian(lambda x: x[:0] * 2)(x).shape == (0, 3)
        assert jacobian(lambda x: td.ones(2, dtype=td.float64) * x.sum())(x[:0]).shape == (2, 0)
        assert jacobian(lambda x: (x, x[:0]))(x)[1].shape == (0, 3)
        with pytest.raises(td.DTypeError, match=r"output 1 is int64\(3,\).*floating-point"):
            jacobian(lambda x: (x, td.arange(3)))(x)
        with pytest.raises(td.DTypeError, match="differentiated argument is int64"):
            jacobian(f)(td.arange(3))
    signs = td.tensor([-1.0, 2.0], dtype=td.float64)
    by_branch = lambda x: td.stack([v * v if v.item() > 0 else -v for v in x])
    for jacobian in (td.jacrev, td.jacfwd, td.jacobian):
        close(jacobian(by_branch)(signs), [[-1, 0], [0, 4]])
    h = td.hessian(lambda p: p["a"] ** 2 * p["b"])({"a": f64(3.0), "b": f64(5.0)})
    assert h["a"]["a"].item() == 10 and h["a"]["b"].item() == 6 and h["b"]["b"].item() == 0
    (column,), aux = td.hessian(lambda s, x: ((x**3).sum() * s, "aux"), argnums=(1,), has_aux=True)(2.0, x)
    assert aux == "aux"
    close(column[0], np.diag(12 * x.cpu().numpy()))
    assert td.hessian(lambda x: x.sum())(x[:0]).shape == (0, 0)
    with pytest.raises(td.ShapeError, match="must return one element"):
        td.hessian(lambda x: x)(x)


# --- Nesting


def forward(f):
    return lambda x: td.jvp(f, (x,), (td.ones_like(x),))[1]


@pytest.mark.parametrize("modes", list(itertools.product([td.grad, forward], repeat=3)))
def test_third_derivative_in_every_mix(modes):
    f = lambda x: td.sin(x) * x
    for mode in modes:
        f = mode(f)
    x = 0.7
    close(f(f64(x)), -3 * np.sin(x) - x * np.cos(x))


@pytest.mark.parametrize(("outer", "inner"), list(itertools.product([td.grad, forward], repeat=2)))
def test_perturbations_are_not_confused(outer, inner):
    # d/dx x * d/dy (x + y) = 1, and with the same variable inside d/dx x * d/dx x = 1.
    assert outer(lambda x: x * inner(lambda y: x + y)(x))(f64(3.0)).item() == 1
    assert outer(lambda x: x * inner(lambda y: y * x)(x))(f64(3.0)).item() == 6
    assert outer(lambda x: inner(lambda y: x * x)(x) + x)(f64(3.0)).item() == 1


def test_transforms_and_backward_mix():
    x = f64(2.0).requires_grad_()
    y = td.grad(lambda v: v**3 * x)(f64(3.0))  # 3 v^2 x
    y.backward()
    assert x.grad.item() == 27
    with pytest.raises(td.GradientError, match="backward"):
        td.grad(lambda v: (v * x).backward() or v)(f64(1.0))


# --- backward


def test_backward_accumulates():
    x = td.ones(3, requires_grad=True)
    assert x.grad is None and x.is_leaf
    (2 * x).sum().backward()
    (x * x).backward(td.tensor([1.0, 0.0, 2.0]))
    close(x.grad, [4, 2, 6])
    x.grad = None
    assert x.grad is None
    x.grad = td.zeros(3)
    with pytest.raises(td.ShapeError):
        x.grad = td.zeros(2)
    with pytest.raises(td.ShapeError, match="more than one element"):
        (x * x).backward()
    with pytest.raises(td.GradientError, match="requires grad"):
        td.ones(()).backward()
    with pytest.raises(td.DTypeError, match="floating"):
        td.ones(3, dtype=td.int64).requires_grad = True
    with pytest.raises(td.DTypeError, match="floating"):
        td.ones(3, dtype=td.int64, requires_grad=True)


def test_backward_frees_or_retains_the_graph():
    x = f64(3.0).requires_grad_()
    y = x * x
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.item() == 12
    with pytest.raises(td.GradientError, match="retain_graph"):
        y.backward()
    x.grad = None
    (x**3).backward(create_graph=True)
    x.grad.backward()
    assert x.grad.item() == 27 + 18


def test_no_grad_and_enable_grad():
    x = td.ones(2, requires_grad=True)
    assert td.is_grad_enabled()
    with td.no_grad():
        assert not td.is_grad_enabled()
        assert (x * 2).is_leaf
        with td.enable_grad():
            assert not (x * 2).is_leaf
    assert td.is_grad_enabled()

    @td.no_grad
    def plain(x):
        return x * 2

    @td.no_grad()
    def called(x):
        return x * 2

    assert plain(x).is_leaf and called(x).is_leaf and plain.__name__ == "plain"
    assert not x.detach().requires_grad and x.detach().is_leaf

    # The scope hides transforms around it, not those begun inside.
    with td.no_grad():
        close(td.grad(lambda v: (v * v).sum())(td.ones(2)), [2, 2])

    def hidden(v):
        with td.no_grad():
            w = v * v
        return (w * v).sum()

    close(td.grad(hidden)(td.ones(2)), [1, 1])


def test_grad_scopes_left_out_of_order():
    def generator():
        with td.no_grad():
            yield

    def f(x):
        held.append(generator())
        next(held[0])
        return x * x

    held = []
    assert td.grad(f)(2.0).item() == 0
    with pytest.raises(RuntimeError, match="reverse order"):
        next(held[0])
    assert td.is_grad_enabled()
    assert td.grad(lambda x: x * x)(3.0).item() == 6


def test_in_place_on_leaves_needs_no_grad():
    x = td.ones(2, requires_grad=True)
    with pytest.raises(td.GradientError, match="leaf"):
        x += 1
    assert x.tolist() == [1, 1]
    with td.no_grad():
        x -= 0.5
    assert x.tolist() == [0.5, 0.5] and x.requires_grad
    y = x * 2
    z = y * y
    y += 1
    with pytest.raises(td.GradientError, match="overwritten"):
        z.sum().backward()


def test_memory_goes_with_the_graph(live_bytes):
    before = live_bytes()
    x = td.ones(1000, requires_grad=True)
    y = x
    for _ in range(100):
        y = td.sin(y)
    y.sum().backward()
    del x, y
    assert live_bytes() == before

    def fails(x):
        td.exp(x)
        raise KeyError("inside")

    for transform in (td.grad, lambda f: lambda x: td.jvp(f, (x,), (x,))):
        with pytest.raises(KeyError, match="inside"):
            transform(fails)(td.ones(1000))
    assert live_bytes() == before
    td.vjp(lambda x: td.sin(x) * x, td.ones(1000))
    gc.collect()
    assert live_bytes() == before


def test_long_chain():
    x = td.ones((), dtype=td.float64, requires_grad=True)
    y = x
    for _ in range(100_000):
        y = y + x
    y.backward()
    assert x.grad.item() == 100_001


def test_threads_have_their_own_transforms():
    results = {}

    def work(i):
        with td.no_grad() if i % 2 else td.enable_grad():
            results[i] = [td.grad(lambda x: x**3)(float(i)).item() for _ in range(50)]

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(set(values) == {3.0 * i * i} for i, values in results.items())


# --- Custom rules


def test_custom_jvp():
    calls = []

    @td.custom_jvp
    def f(x, power):
        calls.append("plain")
        return x**power

    @f.defjvp
    def rule(primals, tangents):
        calls.append("rule")
        (x, power), (t, none) = primals, tangents
        assert none is None
        return x**power, 10 * x * t  # deliberately not the derivative

    x = f64(3.0)
    assert f(x, 2).item() == 9 and calls == ["plain"]
    assert td.grad(f)(x, 2).item() == 30
    assert td.jvp(lambda x: f(x, 2), (x,), (f64(2.0),))[1].item() == 60
    assert td.grad(td.grad(f))(x, 2).item() == 10
    assert td.jvp(td.grad(lambda x: f(x, 2)), (x,), (f64(1.0),))[1].item() == 10
    y = f64(3.0).requires_grad_()
    f(y, 2).backward()
    assert y.grad.item() == 30
    assert f.__name__ == "f"


def test_custom_vjp():
    @td.custom_vjp
    def f(tree, y):
        return {"out": tree["x"] * y}

    def forward_rule(tree, y):
        return f(tree, y), (tree["x"], y)

    def backward_rule(residuals, cotangent):
        _, y = residuals
        return {"x": 7 * cotangent["out"] * y}, None

    f.defvjp(forward_rule, backward_rule)
    x, y = f64([1.0, 2.0]), f64([3.0, 4.0])
    run = lambda x, y: f({"x": x}, y)["out"].sum()
    close(run(x, y), 11)
    close(td.grad(run)(x, y), [21, 28])
    close(td.grad(run, argnums=1)(x, y), [0, 0])
    assert td.jvp(run, (x, y), (f64([1.0, 0.0]), None))[1].item() == 21
    close(td.grad(lambda y: td.grad(run)(x, y).sum())(y), [7, 7])


def test_custom_rules_are_released(live_bytes):
    before = live_bytes()

    @td.custom_vjp
    def f(x):
        return td.sin(x)

    f.defvjp(lambda x: (td.sin(x), x), lambda x, g: (g * td.cos(x),))
    x = td.ones(1000, requires_grad=True)
    y = f(x)
    y.sum().backward()
    close(x.grad, np.cos(np.ones(1000)), rtol=1e-6)
    del x, y, f
    assert live_bytes() == before


@pytest.mark.parametrize("count", [3, 29, 30, 31, 40])
def test_a_sum_of_many_parts_is_told_from_an_affine_one(count):
    """Inputs beyond the 29th share what is known of them."""
    x = td.tensor([1.0, 2.0], dtype=td.float64)

    def ruled(parts):
        f = td.custom_vjp(lambda x: 2 * x)
        f.defvjp(lambda x: (2 * x, None), lambda _, g: (td.concat(parts(g))[-2:],))
        return f

    linear = ruled(lambda g: [g[:1]] * (count - 2) + [0 * g[:1], 3 * g[1:]])
    close(td.jvp(linear, (x,), (x,))[1], [0.0, 6.0])
    affine = ruled(lambda g: [g[:1]] * (count - 1) + [td.tensor([3.0], dtype=td.float64)])
    close(td.grad(lambda x: affine(x).sum())(x), [1.0, 3.0])
    with pytest.raises(td.GradientError, match="linear"):
        td.jvp(affine, (x,), (x,))


def test_custom_rule_errors():
    @td.custom_jvp
    def f(x):
        return x

    with pytest.raises(td.GradientError, match="defjvp"):
        f(td.ones(2))
    f.defjvp(lambda primals, tangents: primals[0])
    with pytest.raises(TypeError, match="must return"):
        td.grad(lambda x: f(x).sum())(td.ones(2))
    f.defjvp(lambda primals, tangents: (primals[0], tangents[0].sum()))
    with pytest.raises(td.ShapeError, match="tangent"):
        td.grad(lambda x: f(x).sum())(td.ones(2))

    @td.custom_vjp
    def g(x, y):
        return x * y

    with pytest.raises(td.GradientError, match="defvjp"):
        g(td.ones(2), 1.0)
    g.defvjp(lambda x, y: (x * y, None), lambda residuals, c: (c,))
    with pytest.raises(TypeError, match="2 cotangents"):
        td.grad(lambda x: g(x, 1.0).sum())(td.ones(2))
    g.defvjp(lambda x, y: (x * y, None), lambda residuals, c: (c.sum(), None))
    with pytest.raises(td.ShapeError, match="cotangent of shape"):
        td.grad(lambda x: g(x, 1.0).sum())(td.ones(2))


# --- check_grads and the op table


ROWS = [p for p in _core.primitives() if "arity" in p and p["derivative"] != "zero"]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["name"])
def test_every_differentiable_row_to_order_two(row, rng):
    args = tuple(td.tensor(rng.uniform(row["low"], row["high"], (2, 3))) for _ in range(row["arity"]))
    function = ops.row_function(row["name"])
    if row["types"] == "choice":
        condition, *args = args
        td.check_grads(lambda a, b: function(condition > 0, a, b), tuple(args), order=2)
    else:
        td.check_grads(function, args, order=2, atol=1e-5, rtol=1e-5, eps=1e-3)


def test_check_grads_finds_faults():
    @td.custom_jvp
    def wrong(x):
        return td.sin(x)

    wrong.defjvp(lambda primals, tangents: (td.sin(primals[0]), 1.01 * td.cos(primals[0]) * tangents[0]))
    for mode in ("fwd", "rev"):
        with pytest.raises(AssertionError, match="wrong"):
            td.check_grads(wrong, (f64([0.3, 0.4]),), order=1, modes=mode)

    @td.custom_jvp
    def worse(x):
        return td.sin(x)

    # Element (1, 0) is off by 2^-8 of itself: 2^45 ulps, where there are 53 digits and it lies below 1.
    factors = f64([[1.0, 1.0 + 2.0**-12], [1.0 + 2.0**-8, 1.0]])
    worse.defjvp(lambda primals, tangents: (td.sin(primals[0]), factors * td.cos(primals[0]) * tangents[0]))
    for mode in ("fwd", "rev"):
        with pytest.raises(AssertionError) as info:
            td.check_grads(worse, (f64([[0.3, 0.4], [0.5, 0.6]]),), order=1, modes=mode)
        found = re.search(
            r"element \(1, 0\) is (\S+) but (\S+) by differences, (\S+) ulps away", str(info.value)
        )
        got, want, ulps = map(float, found.groups())
        assert abs(got / want - 1 - 2.0**-8) < 1e-7
        assert abs(ulps / (abs(got - want) / np.spacing(abs(want))) - 1) < 1e-2
    with pytest.raises(AssertionError, match="nan by differences, nan ulps"):
        td.check_grads(lambda x: td.sqrt(x), (f64(0.0),), order=1)
    td.check_grads(td.sin, (td.ones(3),), order=1)
    with pytest.raises(ValueError, match="modes"):
        td.check_grads(td.sin, (f64(1.0),), modes=("sideways",))


LARGE = {
    "sin": (td.sin, 1e8),
    "sin of -1e10": (td.sin, -1e10),
    "square": (lambda x: x * x, 1e8),
    "cube": (lambda x: x**3, 1e6),
    "log": (td.log, 1e12),
    "sqrt": (td.sqrt, 1e30),
    "each": (lambda x: x * td.stack([td.sin(x[0]), x[1] ** 2]), [1e8, 1e8]),
    "small beside large": (lambda x: td.exp(x[1]) * 1e8 + x[0], [1e8, 0.5]),
    # Which change neither in proportion to x nor with x alone.
    "sin of a hundredth": (lambda x: td.sin(x / 100), 1e8),
    "sin of a thousandth": (lambda x: td.sin(x * 1e-3), 1e8),
    "slow sin": (lambda x: td.sin(x * 1e-5), 1e8),
    "logsumexp": (lambda x: td.logsumexp(x, axis=0), [1e8, 1e8 + 1, 1e8 - 1]),
    "exp of a hundred-millionth": (lambda x: td.exp(x * -1e-8), 1e8),
}
FAST = {"sin", "sin of -1e10", "each", "sin of a hundredth", "sin of a thousandth", "slow sin", "logsumexp"}


@pytest.mark.parametrize("dtype", [td.float32, td.float64], ids=str)
@pytest.mark.parametrize("name", LARGE)
def test_check_grads_at_large_numbers(name, dtype):
    f, at = LARGE[name]
    if dtype == td.float32 and name in FAST:
        f, at = td.sin, 1e4  # whose neighbours are still less than a period away
    x = td.tensor(at, dtype=dtype)
    for seed in range(3):
        td.check_grads(f, (x,), order=1 if dtype == td.float32 else 2, seed=seed)
    if dtype == td.float32:
        return
    wrong = td.custom_jvp(f)
    wrong.defjvp(lambda primals, tangents: (f(*primals), 1.1 * td.jvp(f, primals, tangents)[1]))
    for seed in range(3):
        for mode in ("fwd", "rev"):
            with pytest.raises(AssertionError, match="by differences"):
                td.check_grads(wrong, (x,), order=1, modes=mode, seed=seed)


@pytest.mark.parametrize("name", ["sin", "sin of a hundredth", "square", "log", "exp of a hundred-millionth"])
def test_small_faults_at_large_numbers(name):
    f, at = LARGE[name]
    wrong = td.custom_jvp(f)
    wrong.defjvp(lambda primals, tangents: (f(*primals), 1.001 * td.jvp(f, primals, tangents)[1]))
    for mode in ("fwd", "rev"):
        with pytest.raises(AssertionError, match="by differences"):
            td.check_grads(wrong, (f64(at),), order=1, modes=mode)


def off_by(f, factor):
    """f with a derivative that is off by a factor."""
    wrong = td.custom_jvp(f)
    wrong.defjvp(lambda primals, tangents: (f(*primals), factor * td.jvp(f, primals, tangents)[1]))
    return wrong


@pytest.mark.parametrize("scale", [1e-300, 1e-100, 1e-20, 1e-12, 1e-7, 1.0, 1e20, 1e200])
def test_check_grads_sees_faults_of_any_size(scale):
    f = lambda x: scale * td.sin(x)
    x = f64([0.3, -1.2, 2.5])
    td.check_grads(f, (x,))
    for mode in ("fwd", "rev"):
        with pytest.raises(AssertionError, match="by differences"):
            td.check_grads(off_by(f, 1.1), (x,), order=1, modes=mode)
    # An atol that is given counts as it is, and so does an rtol.
    td.check_grads(off_by(f, 1.1), (x,), order=1, atol=scale)
    td.check_grads(off_by(f, 1.1), (x,), order=1, rtol=0.2)


@pytest.mark.parametrize("scale", [1e-4, 1e-5])
def test_check_grads_sees_small_faults_beside_large_gradients(scale):
    scales = f64([1.0, scale, 1.0, 0.0])
    x = f64([0.3, -1.2, 2.5, 0.7])
    each, total = (lambda x: scales * td.exp(x)), (lambda x: (scales * td.exp(x)).sum())
    for f in (each, total):
        td.check_grads(f, (x,))
    factors = f64([1.0, 1.1, 1.0, 1.0])
    for f in (each, total):
        wrong = td.custom_vjp(f)
        wrong.defvjp(lambda x, f=f: (f(x), x), lambda x, g, f=f: (factors * td.vjp(f, x)[1](g)[0],))
        with pytest.raises(AssertionError, match=r"element \(1,\)"):
            td.check_grads(wrong, (x,), order=1, modes="rev")
    with pytest.raises(AssertionError, match="by differences"):
        td.check_grads(off_by(each, factors), (x,), order=1, modes="fwd")


def test_check_grads_takes_no_rounding_for_a_fault():
    """Of what is lost in sums of large numbers, and of derivatives that are 0."""
    x = f64([0.3, -1.2, 2.5])
    for f in (
        lambda x: (x + 1e4) - 1e4,
        lambda x: td.sin(x) ** 2 + td.cos(x) ** 2,
        lambda x: td.nn.functional.softmax(x, 0).sum(),
        lambda x: 1 - td.cos(1e-3 * x),
        lambda x: td.relu(x) * 1e-8,
        lambda x: 0 * x,
        lambda x: td.exp(-40 * abs(x)),
    ):
        for seed in range(5):
            td.check_grads(f, (x,), seed=seed)


# --- Errors name what is wrong


def test_transform_errors():
    x = td.ones(3)
    with pytest.raises(td.DTypeError, match=r"int64\(3,\).*floating-point"):
        td.grad(lambda x: x.sum())(td.arange(3))
    with pytest.raises(td.DTypeError, match="leaf 1"):
        td.grad(lambda p: p["a"].sum())({"a": x, "b": 3})
    with pytest.raises(td.ShapeError, match=r"square must return one element, not shape \(3,\)"):

        def square(x):
            return x * x

        td.grad(square)(x)
    with pytest.raises(TypeError, match="None"):
        td.grad(lambda x: None)(x)
    with pytest.raises(td.DTypeError, match="floating"):
        td.grad(lambda x: (x > 0).sum())(x)
    with pytest.raises(ValueError, match="argnums"):
        td.grad(lambda x: x.sum(), argnums=1)(x)
    with pytest.raises(ValueError, match="twice"):
        td.grad(lambda x, y: x.sum(), argnums=(0, -2))(x, x)
    with pytest.raises(TypeError, match="pair"):
        td.grad(lambda x: x.sum(), has_aux=True)(x)
    with pytest.raises(TypeError, match="str"):
        td.grad(lambda x: x)("text")
    with pytest.raises(ValueError, match="tangent"):
        td.jvp(lambda x: x, (x,), ())
    with pytest.raises(TypeError, match="primals must be a tuple"):
        td.jvp(lambda x: x, x, x)
    with pytest.raises(td.ShapeError, match=r"float32\(2,\).*float32\(3,\)"):
        td.jvp(lambda x: x, (x,), (td.ones(2),))
    with pytest.raises(ValueError, match="structure"):
        td.jvp(lambda t: t["a"], ({"a": x},), ([x],))
    _, pullback = td.vjp(lambda x: {"a": x}, x)
    with pytest.raises(ValueError, match="structure"):
        pullback({"b": x})
    with pytest.raises(td.ShapeError, match="cotangent"):
        pullback({"a": td.ones(2)})
    with pytest.raises(ValueError, match="one tensor"):
        td.vjp(lambda x: x, x)[1]((x,))
    with pytest.raises(ValueError, match="structures differ"):
        td.tree_map(lambda a, b: a, [x], {"a": x})
    with pytest.raises(td.GradientError, match="stack"):
        td.grad(lambda x: td.tensor([x, x]).sum())(1.0)
