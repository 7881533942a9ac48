"""Functions that transforms hold, wrapped in one another at random: whatever computes the same function has
the same derivatives of every kind."""

import numpy as np
import pytest
import tidu as td
from samplers import to_array

A = td.tensor([[0.5, -0.3, 0.2], [0.1, 0.4, -0.6], [-0.2, 0.3, 0.7]], dtype=td.float64)


def base(x):
    return td.tanh(A @ x) + 0.3 * td.sin(x) * x[0]


def ruled_forward(f):
    g = td.custom_jvp(lambda x: f(x))
    g.defjvp(lambda primals, tangents: (g(*primals), td.jvp(f, primals, tangents)[1]))
    return g


def ruled_backward(f):
    g = td.custom_vjp(lambda x: f(x))
    g.defvjp(lambda x: (g(x), x), lambda x, c: (td.vjp(f, x)[1](c)[0],))
    return g


def counted(f):
    step = lambda state: (f(state[0]), state[1] + 1)
    return lambda x: td.while_loop(lambda state: state[1] < 1, step, (x, 0), max_steps=2)[0]


# Each gives a function with the values of f, computed by another way.
WRAPPERS = {
    "program": lambda f: lambda x: td.program(f, x)(x),
    "checkpoint": td.checkpoint,
    "budget": lambda f: td.checkpoint(f, budget=20_000),
    "scan": lambda f: lambda x: td.scan(lambda c, _: (f(c), None), x, length=1)[0],
    "scan of slices": lambda f: lambda x: td.scan(lambda c, s: (c, f(s)), 0.0, td.stack([x, 2 * x]))[1][0],
    "fori_loop": lambda f: lambda x: td.fori_loop(0, 1, lambda i, c: f(c), x),
    "while_loop": counted,
    "cond": lambda f: lambda x: td.cond(td.sum(x) < 1e9, f, lambda x: x * td.nan, x),
    "other branch": lambda f: lambda x: td.cond(td.sum(x) > 1e9, td.zeros_like, f, x),
    "vmap": lambda f: lambda x: td.vmap(f)(td.stack([2 * x, x]))[1],
    "vmap of columns": lambda f: lambda x: td.vmap(f, 1, 1)(td.stack([x, x * x], axis=1))[:, 0],
    "vmap by loops": lambda f: lambda x: td.vmap(f, control="loop")(td.stack([x, x]))[0],
    "closure": lambda f: lambda x: td.vmap(lambda s: f(x) * s)(td.ones(2, dtype=td.float64))[1],
    "custom_jvp": ruled_forward,
    "custom_vjp": ruled_backward,
    "fixed point": lambda f: lambda x: td.implicit.fixed_point(lambda y, x: f(x), td.zeros_like(x), x),
    "root": lambda f: lambda x: td.implicit.root(lambda y, x: y - f(x), td.zeros_like(x), x),
    "linear solve": lambda f: lambda x: td.linalg.cg(lambda v: 2 * v, 2 * f(x), tol=1e-14)[0],
    "value of a jvp": lambda f: lambda x: td.jvp(f, (x,), (td.ones_like(x),))[0],
    "value of a jet": lambda f: lambda x: td.jet(f, (x,), ([td.ones_like(x)],))[0],
    "value of a linearization": lambda f: lambda x: td.linearize(f, x)[0],
    "integral of a slope": lambda f: lambda x: f(0 * x) + td.jvp(lambda t: f(0 * x) * (1 - t) + f(x) * t,
                                                              (td.tensor(0.5, dtype=td.float64),),
                                                              (td.tensor(1.0, dtype=td.float64),))[1],
}  # fmt: skip

V = td.tensor([0.3, -0.7, 0.4], dtype=td.float64)
W = td.tensor([1.0, 0.5, -2.0], dtype=td.float64)
KINDS = {
    "value": lambda f, x: f(x),
    "gradient": lambda f, x: td.grad(lambda x: td.sum(W * f(x)))(x),
    "forward": lambda f, x: td.jvp(f, (x,), (V,))[1],
    "jacobian by rows": lambda f, x: td.jacrev(f)(x),
    "jacobian by columns": lambda f, x: td.jacfwd(f)(x),
    "hessian": lambda f, x: td.hessian(lambda x: td.sum(W * f(x)))(x),
    "reverse over reverse": lambda f, x: td.grad(
        lambda x: td.sum(V * td.grad(lambda x: td.sum(W * f(x)))(x))
    )(x),
    "reverse over forward": lambda f, x: td.grad(lambda x: td.sum(W * td.jvp(f, (x,), (V,))[1]))(x),
    "gradients of lanes": lambda f, x: td.vmap(td.grad(lambda x: td.sum(W * f(x))))(td.stack([x, -x, x * x])),
    "backward": lambda f, x: _backward(f, x),
    "laplacian": lambda f, x: td.laplacian(f)(x),
    "third coefficient": lambda f, x: td.jet(f, (x,), ([V, W, V],))[1][2],
    "program of a gradient": lambda f, x: td.program(td.grad(lambda x: td.sum(W * f(x))), x)(x),
}


def _backward(f, x):
    leaf = td.tensor(to_array(x), requires_grad=True)
    td.sum(W * f(leaf)).backward()
    return leaf.grad


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", WRAPPERS)
def test_each_way(name, kind):
    x = td.tensor([0.2, -0.5, 0.8], dtype=td.float64)
    got, want = KINDS[kind](WRAPPERS[name](base), x), KINDS[kind](base, x)
    np.testing.assert_allclose(to_array(got), to_array(want), rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("seed", range(60))
def test_ways_inside_of_ways(seed):
    rng = np.random.default_rng(seed)
    names = list(rng.choice(list(WRAPPERS), 3))
    f = base
    for name in names:
        f = WRAPPERS[name](f)
    kind = str(rng.choice(list(KINDS)))
    x = td.tensor(rng.normal(size=3) * 0.7)
    got, want = KINDS[kind](f, x), KINDS[kind](base, x)
    np.testing.assert_allclose(
        to_array(got), to_array(want), rtol=1e-8, atol=1e-10, err_msg=f"{kind} of {names}"
    )


# --- Rules of the user's own around branches, loops and solvers, which are transposed as calls

SYSTEM = td.tensor([[2.0, 0.3, 0.0], [0.3, 3.0, 0.1], [0.0, 0.1, 4.0]], dtype=td.float64)
INSIDE = {
    "branch": lambda x: td.cond(td.sum(x) < 0.5, lambda x: td.sin(x) * x, lambda x: x * x[0], x),
    "branch of zero": lambda x: td.cond(td.sum(x) < 0.5, lambda x: td.sin(x) * x, td.zeros_like, x),
    "masked loop": lambda x: td.while_loop(
        lambda s: s[1] < 2, lambda s: (td.sin(s[0]) + x, s[1] + 1), (x, 0), max_steps=4
    )[0],
    "loop until a value": lambda x: td.while_loop(
        lambda s: td.sum(td.abs(s)) > 0.3, lambda s: s * td.cos(x) * 0.5, x, max_steps=9
    ),
    "scan": lambda x: td.sum(td.scan(lambda c, s: (td.sin(c) * s, c * s), x, x)[1], axis=0),
    "reverse scan that counts": lambda x: td.scan(
        lambda c, s: ((c[0] * s + x, c[1] + 1), c[1] * s), (x, 0), x, reverse=True
    )[1],
    "checkpoint": td.checkpoint(lambda x: td.sin(x) * x[1]),
    "cg": lambda x: td.linalg.cg(lambda v: SYSTEM @ v, x * x, tol=1e-14)[0],
    "gmres": lambda x: td.linalg.gmres(lambda v: SYSTEM @ v + x * v, x, tol=1e-14)[0],
}


def ruled_by_jvp(f):
    g = td.custom_jvp(lambda x: f(x))
    g.defjvp(lambda primals, tangents: td.jvp(f, primals, tangents))
    return g


def ruled_by_vjp(f):
    g = td.custom_vjp(lambda x: f(x))
    g.defvjp(lambda x: (f(x), x), lambda x, c: td.vjp(f, x)[1](c))
    return g


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("inside", INSIDE)
def test_rules_around_control(inside, kind):
    f, x = INSIDE[inside], td.tensor([0.2, -0.5, 0.6], dtype=td.float64)
    for lanes in (lambda g: g, lambda g: lambda x: td.vmap(g)(td.stack([2 * x, x]))[1]):
        want = to_array(KINDS[kind](lanes(f), x))
        for ruled in (ruled_by_jvp, ruled_by_vjp):
            got = to_array(KINDS[kind](lanes(ruled(f)), x))
            np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-11, err_msg=ruled.__name__)


@pytest.mark.parametrize(
    "tangent",
    [
        lambda x, t: td.cond(td.sum(t) > 0, lambda t: t, lambda t: 2 * t, t),
        lambda x, t: td.cond(td.sum(x) < 0, lambda t: t * t, lambda t: t, t),
        lambda x, t: td.scan(lambda c, _: (c + t, None), td.ones_like(t), length=3)[0],
        lambda x, t: td.scan(lambda c, _: (c * c, None), t, length=3)[0],
        lambda x, t: td.checkpoint(lambda t: t + 1.0)(t),
    ],
)
def test_rules_around_control_that_are_not_linear(tangent):
    g = td.custom_jvp(lambda x: x * x)
    g.defjvp(lambda primals, tangents: (primals[0] ** 2, tangent(primals[0], tangents[0])))
    x = td.tensor([0.2, -0.5], dtype=td.float64)
    for f in (lambda x: td.sum(g(x)), lambda x: td.sum(td.vmap(g)(td.stack([x, x])))):
        with pytest.raises(td.GradientError, match="of them is not linear"):
            td.grad(f)(x)
