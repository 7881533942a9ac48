"""custom_linear_solve, custom_root, fixed_point, root, argmin against closed forms and explicit solutions."""

import math

import numpy as np
import pytest
import tidu as td
from samplers import assert_trees_close as close


def normal(*shape, seed=0):
    return td.asarray(np.random.default_rng(seed).normal(size=shape))


def number(value):
    return td.asarray(value, dtype=td.float64)


def regular(n, seed=0):
    return normal(n, n, seed=seed) * 0.3 + 2 * td.eye(n, dtype=td.float64)


def modes(f, args, directions):
    """What every mode makes of a function of tensors."""
    every = tuple(range(len(args)))

    def loss(*p):
        return sum(td.sum(td.sin(y)) for y in td.tree_leaves(f(*p)))

    yield "value", f(*args)
    yield "jvp", td.jvp(f, args, directions)[1]
    yield "grad", td.grad(loss, argnums=every)(*args)
    yield "forward over reverse", td.hvp(loss, args, directions)
    yield "reverse over reverse", td.vhp(loss, args, directions)
    yield "jvp of jvp", td.jvp(lambda *p: td.jvp(f, p, directions)[1], args, directions)[1]
    yield (
        "reverse over forward",
        td.grad(lambda *p: td.jvp(loss, p, directions)[1], argnums=every)(*args),
    )
    yield "hessian", td.hessian(loss)(*args)
    series = tuple((d, d) for d in directions)
    yield "jet", td.jet(f, args, series)
    yield "program", td.program(f, *args)(*[a * 1.1 for a in args])
    yield "program of grad", td.program(td.grad(loss, argnums=every), *args)(*[a * 1.1 for a in args])
    yield (
        "grad of program",
        td.grad(
            lambda *p: sum(td.sum(td.sin(y)) for y in td.tree_leaves(td.program(f, *args)(*p))), argnums=every
        )(*args),
    )
    yield "vmap", td.vmap(f)(*[td.stack([a, a * 1.1, a * 0.9]) for a in args])
    yield (
        "vmap of hvp",
        td.vmap(lambda *p: td.hvp(loss, p, directions))(*[td.stack([a, a * 1.1]) for a in args]),
    )
    yield (
        "nested vmap",
        td.vmap(td.vmap(td.grad(loss, argnums=every)))(
            *[td.stack([td.stack([a, a * 1.1]), td.stack([a * 0.9, a])]) for a in args]
        ),
    )
    yield (
        "grad of vmap",
        td.grad(
            lambda *p: sum(
                td.sum(y**2) for y in td.tree_leaves(td.vmap(f, in_axes=(0, *(None,) * (len(p) - 1)))(*p))
            )
        )(td.stack([args[0], args[0] * 1.1]), *args[1:]),
    )


def same_in_all_modes(f, g, args, directions, rtol=1e-9):
    for (name, got), (_, want) in zip(modes(f, args, directions), modes(g, args, directions), strict=True):
        try:
            close(got, want, rtol)
        except AssertionError as error:
            raise AssertionError(f"{name}: {error}") from error


# --- custom_linear_solve


def by_matrix(a):
    return lambda matvec, b: td.linalg.solve(a, b)


def transposed(a):
    return lambda vecmat, b: td.linalg.solve(td.matrix_transpose(a), b)


def general(a, b):
    return td.custom_linear_solve(lambda x: a @ x, b, by_matrix(a), transposed(a))


def symmetric(a, b):
    s = a @ td.matrix_transpose(a)
    return td.custom_linear_solve(lambda x: s @ x, b, by_matrix(s), symmetric=True)


def richardson(matvec, b):
    """A loop that programs hold, for matrices near 2 I."""
    return td.fori_loop(0, 150, lambda _, x: x + 0.4 * (b - matvec(x)), b * 0)


SOLVES = {
    "general": (general, td.linalg.solve),
    "symmetric": (symmetric, lambda a, b: td.linalg.solve(a @ td.matrix_transpose(a), b)),
    "by matvec alone": (
        lambda a, b: td.custom_linear_solve(lambda x: a @ x, b, richardson, richardson),
        td.linalg.solve,
    ),
}


@pytest.mark.parametrize("name", SOLVES)
def test_linear_solve_in_all_modes(name):
    f, g = SOLVES[name]
    args = (regular(3), normal(3, seed=1))
    same_in_all_modes(f, g, args, (normal(3, 3, seed=2), normal(3, seed=3)))


@pytest.mark.parametrize("axes", [(0, None), (None, 0), (1, 0), (2, None), (None, 1)])
def test_vmap_of_linear_solve_along_all_axes(axes):
    f, g = SOLVES["general"]
    args = []
    for x, axis in zip((regular(3), normal(3, seed=1)), axes, strict=True):
        lanes = td.stack([x, x * 1.5, x + 0.1])
        args.append(x if axis is None else td.moveaxis(lanes, 0, axis))

    def with_grads(h):
        return lambda a, b: (h(a, b), td.grad(lambda *p: td.sum(h(*p) ** 3), argnums=(0, 1))(a, b))

    close(td.vmap(with_grads(f), in_axes=axes)(*args), td.vmap(with_grads(g), in_axes=axes)(*args))


def test_linear_solve_over_trees_and_what_it_closes_over():
    a, p = regular(5), normal(seed=4)
    b = {"x": normal(2, seed=1), "y": (normal(3, 1, seed=2), 0.5)}
    leaf = td.asarray(0.5)  # float32 beside float64
    b["y"] = (b["y"][0], leaf)
    full = td.zeros((6, 6), dtype=td.float64)
    full[:5, :5] = a
    full[5, 5] = 2.0

    def vector(tree):
        return td.concat([tree["x"], tree["y"][0][:, 0], td.astype(tree["y"][1], td.float64)[None]])

    def tree(v):
        return {"x": v[:2], "y": (v[2:5, None], td.astype(v[5], td.float32))}

    def f(p):
        m = full * (1 + p * p)
        return td.custom_linear_solve(
            lambda x: tree(m @ vector(x)),
            b,
            lambda matvec, y: tree(td.linalg.solve(m, vector(y))),
            lambda vecmat, y: tree(td.linalg.solve(td.matrix_transpose(m), vector(y))),
        )

    want = td.linalg.solve(full * (1 + p * p), vector(b))
    got = f(p)
    assert got["y"][1].dtype is td.float32 and got["y"][0].shape == (3, 1)
    close(vector(got), want, 1e-7)

    def total(p):
        return td.sum(vector(f(p)))

    scale = 1 + p * p
    close(td.grad(total)(p), -2 * p / scale**2 * td.sum(td.linalg.solve(full, vector(b))), 1e-6)
    leaf = p.detach().requires_grad_()
    total(leaf).backward()
    close(leaf.grad, td.grad(total)(p), 1e-12)


def test_solvers_that_look_at_values():
    a, b = regular(3), normal(3, seed=1)
    seen = []

    def loop(matvec, b):
        x = b * 0
        while float(td.max(td.abs(b - matvec(x)))) > 1e-13:
            x = x + 0.4 * (b - matvec(x))
        seen.append(float(x[0]))
        return x

    def f(a, b):
        return td.custom_linear_solve(lambda x: a @ x, b, loop, loop)

    close(f(a, b), td.linalg.solve(a, b))
    assert len(seen) == 1
    total = lambda h: lambda a, b: td.sum(h(a, b) ** 2)
    close(td.grad(total(f), argnums=(0, 1))(a, b), td.grad(total(td.linalg.solve), argnums=(0, 1))(a, b))
    directions = (normal(3, 3, seed=5), normal(3, seed=6))
    close(td.hvp(total(f), (a, b), directions), td.hvp(total(td.linalg.solve), (a, b), directions))
    close(td.jacrev(f)(a, b), td.jacrev(td.linalg.solve)(a, b))  # one row after the other
    for unknown in (lambda: td.vmap(f, in_axes=(None, 0))(a, td.stack([b, b])), lambda: td.program(f, a, b)):
        with pytest.raises(td.TraceError, match="while_loop"):
            unknown()


def test_solvers_of_other_libraries():
    a, b = regular(3), normal(3, seed=1)

    def f(a, b):
        def solve(matvec, y):
            return td.asarray(np.linalg.solve(a.detach().cpu().numpy(), y.cpu().numpy()))

        def back(vecmat, y):
            return td.asarray(np.linalg.solve(a.detach().cpu().numpy().T, y.cpu().numpy()))

        return td.custom_linear_solve(lambda x: a @ x, b, solve, back)

    directions = (normal(3, 3, seed=5), normal(3, seed=6))
    for transform in (
        lambda h: td.grad(lambda a, b: td.sum(h(a, b) ** 2), (0, 1))(a, b),
        lambda h: td.jvp(h, (a, b), directions),
        lambda h: td.hvp(lambda a, b: td.sum(h(a, b) ** 2), (a, b), directions),
    ):
        close(transform(f), transform(td.linalg.solve))


def test_what_linear_solve_refuses():
    a, b = regular(3), normal(3)
    bare = lambda a, b: td.custom_linear_solve(lambda x: a @ x, b, by_matrix(a))
    close(td.jvp(bare, (a, b), (a, b))[1], td.jvp(td.linalg.solve, (a, b), (a, b))[1])
    with pytest.raises(td.GradientError, match="transpose_solve"):
        td.grad(lambda b: td.sum(bare(a, b)))(b)
    with pytest.raises(td.ShapeError, match="what matvec returns"):
        td.custom_linear_solve(lambda x: a[:2] @ x, b, by_matrix(a))
    with pytest.raises(ValueError, match="structure"):
        td.custom_linear_solve(lambda x: (x, x), b, by_matrix(a))
    with pytest.raises(td.ShapeError, match="the solution"):
        td.custom_linear_solve(lambda x: a @ x, b, lambda m, y: y[:2])
    with pytest.raises(td.ShapeError, match="argument of the function"):
        td.custom_linear_solve(lambda x: a @ x, b, lambda m, y: m(y[:2]))
    with pytest.raises(td.DTypeError, match="int64"):
        td.custom_linear_solve(lambda x: x, td.asarray([1, 2]), lambda m, y: y)
    with pytest.raises(ValueError, match="no tensors"):
        td.custom_linear_solve(lambda x: x, (), lambda m, y: y)
    with pytest.raises(ValueError, match="structure"):
        td.custom_linear_solve(lambda x: None, b, lambda m, y: y)
    with pytest.raises(ValueError, match="None"):
        td.custom_linear_solve(lambda x: x, b, lambda m, y: m(None))
    empty = td.zeros(0, dtype=td.float64)
    close(td.custom_linear_solve(lambda x: 2 * x, empty, lambda m, y: y, symmetric=True), empty)
    half = td.asarray([1.0, 2.0], dtype=td.float16)
    close(td.custom_linear_solve(lambda x: 2 * x, half, lambda m, y: y / 2, symmetric=True), half / 2)


def test_linear_solve_in_a_rule_that_is_transposed():
    a = regular(3)

    @td.custom_jvp
    def f(b):
        return general(a, b)

    @f.defjvp
    def rule(primals, tangents):
        return general(a, primals[0]), general(a, tangents[0])

    b = normal(3, seed=1)
    close(td.grad(lambda b: td.sum(f(b) ** 2))(b), td.grad(lambda b: td.sum(td.linalg.solve(a, b) ** 2))(b))


# --- Roots


def newton(f, x):
    while abs(float(f(x))) > 1e-14:
        x = x - f(x) / td.grad(f)(x)
    return x


def newton_loop(f, x):
    return td.fori_loop(0, 12, lambda _, x: x - f(x) / td.grad(f)(x), x)


def cube_root(a, solve=newton_loop, **more):
    return td.custom_root(lambda x: x**3 - a, number(1.0), solve, **more)


def test_custom_root_in_all_modes():
    same_in_all_modes(cube_root, lambda a: a ** (1 / 3), (number(2.5),), (number(0.7),))


def test_custom_root_to_fourth_order():
    f, want = cube_root, lambda a: a ** (1 / 3)
    for transform in (td.grad, td.jacfwd, td.jacrev):
        for _ in range(2):
            f, want = transform(f), transform(want)
        close(f(number(2.5)), want(number(2.5)), 1e-8)
        f, want = cube_root, lambda a: a ** (1 / 3)
    series = (number(1.0), number(0.0), number(0.0), number(0.0))
    close(td.jet(f, (number(2.5),), (series,)), td.jet(want, (number(2.5),), (series,)))


def test_custom_root_by_loops_that_look_at_values():
    f = lambda a: cube_root(a, newton)
    a = number(2.5)
    close(f(a), a ** (1 / 3))
    close(td.grad(td.grad(f))(a), td.grad(td.grad(lambda a: a ** (1 / 3)))(a))
    with pytest.raises(td.TraceError, match="while_loop"):
        td.vmap(f)(td.stack([a, a]))
    leaf = number(2.5).requires_grad_()
    f(leaf).backward()
    close(leaf.grad, 2.5 ** (-2 / 3) / 3 * number(1.0))


@pytest.mark.parametrize("tangent", [lambda g, y: y / g(1.0), lambda g, y: y / g(td.ones_like(y))])
def test_custom_root_with_a_tangent_solver(tangent):
    f = lambda a: cube_root(a, tangent_solve=tangent)
    same_in_all_modes(f, lambda a: a ** (1 / 3), (number(2.5),), (number(0.7),))


def test_the_guess_has_no_derivative():
    f = lambda guess: td.custom_root(lambda x: x * x - 2.0, guess, newton_loop)
    close(td.grad(f)(number(1.0)), number(0.0))
    close(td.jvp(f, (number(1.0),), (number(1.0),))[1], number(0.0))
    lanes = td.asarray([1.0, -1.0], dtype=td.float64)
    close(td.vmap(f)(lanes), lanes * math.sqrt(2))


def start():
    return {"u": number(0.5), "v": td.asarray([0.1, 0.2], dtype=td.float64)}


def two_equations(a, b):
    system = lambda x, p: {
        "u": x["u"] ** 3 + td.sum(x["v"]) * p["a"] - 1.0,
        "v": td.sin(x["v"]) + x["u"] * p["b"] - 0.2,
    }
    return td.implicit.root(system, start(), {"a": a, "b": b})


def unrolled(a, b):
    """The same by Newton steps that are differentiated themselves: exact once they have converged."""
    x = td.asarray([0.5, 0.1, 0.2], dtype=td.float64)

    def f(x):
        u, v = x[0], x[1:]
        return td.concat([(u**3 + td.sum(v) * a - 1.0)[None], td.sin(v) + u * b - 0.2])

    for _ in range(10):
        x = x - td.linalg.solve(td.jacfwd(f)(x), f(x))
    return {"u": x[0], "v": x[1:]}


def test_root_of_trees_in_all_modes():
    args = (number(0.3), td.asarray([0.2, -0.4], dtype=td.float64))
    directions = (number(1.0), td.asarray([0.5, 0.3], dtype=td.float64))
    same_in_all_modes(two_equations, unrolled, args, directions, 1e-8)


# --- Fixed points and minima


def kepler(e, m):
    return td.implicit.fixed_point(lambda x, e, m: m + e * td.sin(x), number(0.0), e, m)


def kepler_newton(e, m):
    x = m
    for _ in range(8):
        x = x - (x - m - e * td.sin(x)) / (1 - e * td.cos(x))
    return x


def test_fixed_point_in_all_modes():
    args, directions = (number(0.3), number(1.2)), (number(0.5), number(-1.0))
    same_in_all_modes(kepler, kepler_newton, args, directions)


def test_lanes_of_a_fixed_point_end_on_their_own():
    e = td.asarray([0.0, 0.3, 0.9, 1.5], dtype=td.float64)
    m = number(1.2)
    f = lambda e: td.implicit.fixed_point(lambda x: m + e * td.cos(x) / 2, number(0.0), max_iter=60)
    each = [f(e[i]) for i in range(3)]
    close(td.vmap(f)(e)[:3], td.stack(each), 1e-14)
    hard = lambda e: td.implicit.fixed_point(lambda x: m + e * x, number(0.0), max_iter=200)
    got = td.vmap(hard)(e)
    assert bool(td.isnan(got[3])) and not bool(td.any(td.isnan(got[:2])))
    with pytest.raises(ValueError, match="no solution was found in 200 iterations"):
        hard(e[3])


def test_fixed_point_without_parameters_and_of_trees():
    golden = td.implicit.fixed_point(lambda x: 1 + 1 / x, td.asarray(1.0))
    assert golden.item() == pytest.approx((1 + math.sqrt(5)) / 2, rel=1e-6)
    pair = td.implicit.fixed_point(
        lambda x, a: (x[1] / 2 + a, x[0] / 2), (number(0.0), number(0.0)), number(3.0)
    )
    close(pair, (number(4.0), number(2.0)))
    empty = td.zeros((0, 2))
    assert td.implicit.fixed_point(lambda x: x * 2, empty).shape == (0, 2)


@pytest.mark.parametrize("method", ["lbfgs", "newton-cg", "gradient-descent"])
def test_argmin_is_ridge_regression(method):
    x, y = normal(20, 4), normal(20, seed=1)

    def loss(w, penalty, y):
        return td.sum((x @ w - y) ** 2) + penalty * td.sum(w * w)

    def f(penalty, y):
        return td.implicit.argmin(loss, td.zeros(4, dtype=td.float64), penalty, y, method=method, gtol=1e-10)

    def want(penalty, y):
        xt = td.matrix_transpose(x)
        return td.linalg.solve(xt @ x + penalty * td.eye(4, dtype=td.float64), xt @ y)

    penalty, direction = number(0.5), normal(20, seed=2)
    close(f(penalty, y), want(penalty, y), 1e-8)
    scalar = lambda g: lambda p, y: td.sum(g(p, y) ** 3)
    close(td.grad(scalar(f), (0, 1))(penalty, y), td.grad(scalar(want), (0, 1))(penalty, y), 1e-8)
    v = (number(1.0), direction)
    close(td.hvp(scalar(f), (penalty, y), v), td.hvp(scalar(want), (penalty, y), v), 1e-7)
    close(td.jvp(f, (penalty, y), v)[1], td.jvp(want, (penalty, y), v)[1], 1e-8)
    close(td.jacobian(f)(penalty, y), td.jacobian(want)(penalty, y), 1e-8)


def test_argmin_of_what_is_no_square():
    # min exp(x - a) - x is at x = a, min x^4 - p x at (p / 4)^(1/3)
    p = number(3.0)
    f = lambda p: td.implicit.argmin(lambda x: td.sum(x**4) - p * td.sum(x), td.ones(2, dtype=td.float64))
    want = lambda p: td.ones(2, dtype=td.float64) * (p / 4) ** (1 / 3)
    close(f(p), want(p), 1e-7)
    close(td.jacfwd(td.jacfwd(f))(p), td.jacfwd(td.jacfwd(want))(p), 1e-6)


def test_what_implicit_functions_refuse():
    x0 = td.zeros(2)
    with pytest.raises(ValueError, match="no minimum was found"):
        td.implicit.argmin(lambda x: td.sum(x), x0, max_iter=5)
    with pytest.raises(ValueError, match="methods are"):
        td.implicit.argmin(lambda x: td.sum(x * x), x0, method="magic")
    with pytest.raises(ValueError, match="unknown option"):
        td.implicit.argmin(lambda x: td.sum(x * x), x0, radius=2.0)
    with pytest.raises(td.ShapeError, match="one element"):
        td.implicit.argmin(lambda x: x, x0)
    with pytest.raises(td.TraceError, match="looks at values"):
        td.vmap(lambda a: td.implicit.argmin(lambda x: td.sum((x - a) ** 2), x0))(td.ones(3))
    with pytest.raises(td.ShapeError, match="what the function returns"):
        td.implicit.fixed_point(lambda x: x[:1], x0)
    with pytest.raises(td.TraceError, match="looks at values"):
        td.implicit.root(lambda x: x if float(td.sum(x)) > 0 else x - 1, x0)
    with pytest.raises(ValueError, match="tol"):
        td.implicit.fixed_point(lambda x: x / 2, x0, tol=-1.0)
    with pytest.raises(ValueError, match="max_iter"):
        td.implicit.root(lambda x: x / 2, x0, max_iter=-1)
    with pytest.raises(td.DTypeError, match="int64"):
        td.implicit.fixed_point(lambda x: x, td.asarray([1, 2]))
    with pytest.raises(ValueError, match="no solution was found"):
        td.implicit.root(lambda x: x * x + 1, number(0.7))
    with pytest.raises(ValueError, match="no solution was found"):
        td.implicit.fixed_point(lambda x: x * float("nan"), x0)
    with pytest.raises(ValueError, match="singular"):
        td.implicit.root(lambda x: x * 0 + 1, x0)


def rolled(x):
    return td.concat([x[-1:], x[:-1]])


@pytest.mark.parametrize(
    ("dtype", "rtol"), [(td.float16, 5e-3), (td.bfloat16, 4e-2), (td.float32, 1e-5), (td.float64, 1e-11)]
)
def test_dtypes(dtype, rtol):
    a = td.asarray([2.0, 3.0], dtype=dtype)
    for f in (
        lambda a: td.implicit.root(lambda x: x * x - a, td.ones(2, dtype=dtype)),
        lambda a: td.implicit.fixed_point(lambda x: (x + a / x) / 2, td.ones(2, dtype=dtype)),
    ):
        got = (f(a), td.grad(lambda a, f=f: td.sum(f(a)))(a))
        for y, want in zip(got, (np.sqrt([2, 3]), 0.5 / np.sqrt([2, 3])), strict=True):
            assert y.dtype is dtype
            np.testing.assert_allclose(td.astype(y, td.float64).cpu().numpy(), want, rtol=rtol)


def test_numbers_stand_for_tensors():
    a = number(2.0)
    close(td.implicit.fixed_point(lambda x: 3.0, number(0.0)), number(3.0))
    close(td.implicit.root(lambda x: {"u": x["u"] - a, "v": 2.0 * x["v"]}, {"u": a, "v": 1.0})["u"], a)
    pair = td.custom_linear_solve(lambda x: (x[0], 0.0), (a, a), lambda f, b: (b[0], 0.0))
    close(pair, (a, number(0.0)))


def test_one_lane_after_the_other():
    lanes = td.asarray([1.0, 2.0, 3.0], dtype=td.float64)
    f = lambda a: td.implicit.argmin(lambda x: (x - a * a) ** 2, number(0.0), gtol=1e-12)
    close(td.vmap(f, control="loop")(lanes), lanes * lanes)
    close(td.vmap(td.grad(f), control="loop")(lanes), 2 * lanes)
    close(td.vmap(td.grad(lambda a: cube_root(a, newton)), control="loop")(lanes), lanes ** (-2 / 3) / 3)
    close(
        td.vmap(td.grad(lambda a: kepler(a / 4, a)), control="loop")(lanes),
        td.vmap(td.grad(lambda a: kepler(a / 4, a)))(lanes),
    )


def test_inside_loops_branches_and_checkpoints():
    f, want = lambda a: td.implicit.root(lambda x: x**3 - a, number(1.0)), lambda a: a ** (1 / 3)
    a = number(2.0)
    for around in (
        lambda g: lambda a: td.scan(lambda c, _: (g(a * c), c), a, length=3)[0],
        lambda g: lambda a: td.fori_loop(0, 2, lambda _, c: g(c + a), a),
        lambda g: lambda a: td.cond(a > 1, g, lambda a: a, a) + td.cond(a > 9, lambda a: a, g, a),
        lambda g: td.checkpoint(lambda a: g(a) * a),
    ):
        for transform in (td.grad, td.jacfwd, lambda h: td.grad(td.grad(h))):
            close(transform(around(f))(a), transform(around(want))(a), 1e-8)
        lanes = td.stack([a, a / 4])
        close(td.vmap(td.grad(around(f)))(lanes), td.vmap(td.grad(around(want)))(lanes), 1e-8)


def test_costs_are_counted():
    report = td.cost(lambda a: cube_root(a), number(2.0), matrix=False)
    assert 0 < report["f"]["flops"]["total"] < report["gradient"]["flops"]["total"]


def test_large_systems_are_solved_without_their_matrix():
    n = 700
    a = td.linspace(1.0, 2.0, n, dtype=td.float64)
    f = lambda a: td.implicit.root(lambda x: a * x + 0.1 * rolled(x) ** 3 - 1.0, td.ones(n, dtype=td.float64))
    x = f(a)
    close(a * x + 0.1 * rolled(x) ** 3, td.ones(n, dtype=td.float64), 1e-11)
    v = normal(n, seed=3)
    step = 1e-5
    difference = (f(a + step * v) - f(a - step * v)) / (2 * step)
    close(td.jvp(f, (a,), (v,))[1], difference, 1e-8)
    w = normal(n, seed=4)
    assert td.sum(td.grad(lambda a: td.sum(w * f(a)))(a) * v).item() == pytest.approx(
        td.sum(w * difference).item(), rel=1e-7
    )
    g = lambda a: td.implicit.argmin(
        lambda x: td.sum(a * x * x) / 2 + td.sum(x**4) / 4 - td.sum(x),
        td.zeros(n, dtype=td.float64),
        gtol=1e-11,
    )
    y = g(a)
    close(td.grad(lambda a: td.sum(w * g(a)))(a), -w * y / (a + 3 * y * y), 1e-8)


def test_what_is_no_solution_is_none():
    with pytest.raises(ValueError, match="fixed_point"):
        td.implicit.fixed_point(lambda x: x * x, td.tensor(2.0, dtype=td.float64))
    assert td.isnan(
        td.vmap(lambda a: td.implicit.fixed_point(lambda x: a * x * x, a))(td.tensor([2.0, 3.0]))
    ).all()
    with pytest.raises(ValueError, match="root"):
        td.implicit.root(lambda x: td.sqrt(x) + 0.1, td.tensor(1.0, dtype=td.float64))
    small = td.implicit.root(lambda x: td.log(x) + 50, td.tensor(1.0, dtype=td.float64))
    np.testing.assert_allclose(float(small), np.exp(-50), rtol=1e-9)
    double = td.implicit.root(lambda x: x * x, td.tensor(1.0, dtype=td.float64))
    assert abs(float(double)) < 1e-4


# --- Where there is no derivative, or no minimum


def test_lanes_with_singular_derivatives_leave_the_others_alone():
    """a (x - 1) is 0 everywhere at a = 0."""
    factors = td.asarray([0.0, 1.0, 2.0], dtype=td.float64)
    line = lambda a: td.implicit.root(lambda x: a * (x - 1), number(2.0))
    close(td.vmap(line)(factors), td.asarray([2.0, 1.0, 1.0], dtype=td.float64), 1e-12)

    def moved(a, b):
        """2 - b at a = 1; at a = 0 any x is a root for b = 1, and none for another b."""
        return td.implicit.root(lambda x: a * (x - b) + 2 * (b - 1), number(0.5))

    ones = td.ones(2, dtype=td.float64)
    for slope in (
        td.grad(moved, argnums=1),
        lambda a, b: td.jvp(lambda b: moved(a, b), (b,), (number(1.0),))[1],
    ):
        np.testing.assert_allclose(td.vmap(slope)(factors[:2], ones).cpu().numpy(), [np.nan, -1.0], atol=1e-9)
    outside = td.grad(lambda b: td.sum(td.vmap(moved)(factors[:2], b)))(ones)
    np.testing.assert_allclose(outside.cpu().numpy(), [np.nan, -1.0], atol=1e-9)

    def both(a):
        """Two unknowns, of which a = 0 leaves one undetermined."""
        x = td.implicit.root(lambda x: td.stack([x[0] - 2, a * (x[1] - x[0])]), td.ones(2, dtype=td.float64))
        return x[1]

    values = td.vmap(both)(factors).cpu().numpy()
    assert np.isnan(values[0]) and np.allclose(values[1:], 2)


def test_a_solution_that_is_everywhere_singular_is_found_under_vmap():
    still = lambda a: td.implicit.fixed_point(lambda x: x + 0 * a, number(1.0))
    a = td.ones(3, dtype=td.float64)
    assert td.vmap(still)(a).tolist() == [1, 1, 1]
    assert td.program(still, a[0])(a[0]).item() == 1
    flat = lambda a: td.implicit.root(lambda x: 0 * x * a, number(3.0))
    assert flat(a[0]).item() == 3 and td.vmap(flat)(a).tolist() == [3, 3, 3]
    slopes = td.vmap(lambda a: td.jvp(still, (a,), (a,))[1])(a)
    assert td.isnan(slopes).all()


def test_singular_derivatives_name_the_function_and_the_remedy():
    with pytest.raises(
        ValueError, match=r"\[root\] Newton's method .* singular.*begin elsewhere.*tangent_solve"
    ):
        td.implicit.root(lambda x: x * x - 1, number(0.0))
    for op, f in {
        "fixed_point": lambda a: td.implicit.fixed_point(lambda x: x + 0 * a, number(1.0)),
        "root": lambda a: td.implicit.root(lambda x: 0 * x * a, number(1.0)),
        "custom_root": lambda a: td.custom_root(lambda x: 0 * x * a, number(1.0), lambda f, x: x),
        "argmin": lambda a: td.implicit.argmin(lambda x: (x - a) ** 4, a),
    }.items():
        with pytest.raises(
            ValueError, match=rf"\[{op}\] the derivative .* singular at the solution.*tangent_solve"
        ):
            td.grad(f)(number(1.0))


@pytest.mark.parametrize("method", ["lbfgs", "newton-cg", "gradient-descent"])
def test_argmin_refuses_what_is_no_minimum(method):
    argmin = lambda f, x0, **more: td.implicit.argmin(f, x0, method=method, **more)
    for n in (1, 2, 30):
        with pytest.raises(ValueError, match=r"\[argmin\] .* no minimum: the second derivative .* -2"):
            argmin(lambda x: -(x * x).sum(), td.zeros(n, dtype=td.float64))
    start = td.asarray([1.0, 0.0], dtype=td.float64)
    if method != "newton-cg":  # which leaves the ridge
        with pytest.raises(ValueError, match="no minimum"):
            argmin(lambda x: x[0] ** 2 - x[1] ** 2, start)
        with pytest.raises(ValueError, match="no minimum"):
            td.grad(lambda a: argmin(lambda x: (x[0] - a) ** 2 - x[1] ** 2, start).sum())(number(2.0))
    with pytest.raises(ValueError, match=r"\[argmin\] .* not stationary: .* smaller gtol"):
        argmin(lambda x: ((x - 3) ** 2).sum(), td.zeros(2, dtype=td.float64), gtol=100.0)
    with pytest.raises(ValueError, match="not stationary"):  # the default gtol is for values near 1
        argmin(lambda x: 1e-9 * ((x - 3) ** 2).sum(), td.zeros(2, dtype=td.float64))


def test_argmin_takes_flat_and_unequal_minima():
    scales = td.asarray(np.geomspace(1e-3, 1e3, 40))
    x = td.implicit.argmin(
        lambda x: (scales * (x - 1) ** 2).sum(), td.zeros(40, dtype=td.float64), method="newton-cg"
    )
    close(x, td.ones(40, dtype=td.float64), 1e-3)
    valley = td.implicit.argmin(lambda x: (x[0] + x[1] - 2) ** 2, td.zeros(2, dtype=td.float64))
    close(valley, td.ones(2, dtype=td.float64), 1e-6)
    flat = td.implicit.argmin(lambda x: (x**4).sum(), td.ones(3, dtype=td.float64))
    assert float(td.max(td.abs(flat))) < 0.01
    assert td.implicit.argmin(lambda x: (x * 0).sum(), td.ones(2)).tolist() == [1, 1]
    assert td.implicit.argmin(lambda x: (x * 0).sum(), td.ones(0)).shape == (0,)


# --- Systems that are not linear


@pytest.mark.parametrize("solver", ["cg", "gmres", "custom_linear_solve"])
def test_functions_that_are_not_linear_are_refused(solver):
    a, b = td.asarray([[2.0, 1.0], [1.0, 3.0]], dtype=td.float64), td.asarray([1.0, 2.0], dtype=td.float64)

    def solve(matvec, b=b):
        if solver == "custom_linear_solve":
            return td.custom_linear_solve(matvec, b, lambda f, b: td.linalg.solve(a, b), symmetric=True)
        return getattr(td.linalg, solver)(matvec, b, tol=1e-10)[0]

    scale = number(2.0)
    for matvec in (
        lambda x: a @ x + 1,
        lambda x: a @ x + 1e-3 * b,
        lambda x: a @ x + x * x,
        lambda x: td.abs(a @ x),
        lambda x: a @ td.maximum(x, 0.0),
    ):
        with pytest.raises(ValueError, match=rf"\[{solver}\] the function of the system is not linear"):
            solve(matvec)
        scaled = lambda s, matvec=matvec: solve(lambda x: s * matvec(x))
        with pytest.raises(ValueError, match="not linear"):
            td.grad(lambda s, scaled=scaled: scaled(s).sum())(scale)
        assert td.isnan(td.vmap(scaled)(td.stack([scale, scale]))).all()
    want = td.linalg.solve(a, b)
    # Linear, though not each of its calls is.
    again = td.custom_jvp(lambda x: a @ x)
    again.defjvp(lambda primals, tangents: (a @ primals[0], a @ tangents[0]))
    for matvec in (
        lambda x: a @ x + 0,
        lambda x: td.where(x == x, a @ x, 0.0),
        lambda x: td.jvp(lambda p: a @ p + 1, (b,), (x,))[1],
        lambda x: td.while_loop(lambda s: s[0] < 1, lambda s: (s[0] + 1, a @ s[1]), (0, x))[1],
        lambda x: td.pure_callback(lambda v: a @ v, x, x),
        again,
    ):
        close(solve(matvec), want, 1e-9)
    close(solve(lambda x: a @ x, 0 * b), 0 * b, 1e-12)


# --- Results are no views of arguments


def test_results_do_not_share_memory_with_arguments():
    x = td.asarray([1.0, 2.0], dtype=td.float64)
    kept = td.asarray([5.0, 6.0], dtype=td.float64)
    never = lambda v: (v != v).any()
    functions = {
        "custom_root": lambda x: td.custom_root(lambda z: z - z, x, lambda f, guess: guess),
        "fixed_point": lambda x: td.implicit.fixed_point(lambda z: z, x),
        "root": lambda x: td.implicit.root(lambda z: z - z, x),
        "argmin": lambda x: td.implicit.argmin(lambda z: (0 * z).sum(), x),
        "custom_linear_solve": lambda x: td.custom_linear_solve(lambda z: z, x, lambda f, b: b),
        "cg": lambda x: td.linalg.cg(lambda z: z, x)[0],
        "one time": lambda x: td.odeint(lambda y, t: -y, x, td.asarray([0.0]))[0],
        "no time": lambda x: td.odeint(lambda y, t: -y, x, td.asarray([1.0, 1.0]))[1],
        "adjoint": lambda x: td.odeint(lambda y, t: -y, x, td.asarray([0.0]), mode="adjoint")[0],
        "checkpoint": lambda x: td.checkpoint(lambda z: z)(x),
        "checkpoint of a constant": lambda x: td.checkpoint(lambda z: kept)(x),
        "while_loop": lambda x: td.while_loop(never, lambda z: z, x),
        "scan": lambda x: td.scan(lambda c, _: (c, None), x, length=2)[0],
        "pure_callback": lambda x: td.pure_callback(lambda z: z, x, x),
        "pure_callback of an array": lambda x: td.pure_callback(lambda z: z.cpu().numpy(), x, x),
        "pure_callback of a constant": lambda x: td.pure_callback(lambda z: kept.cpu().numpy(), x, x),
    }
    for name, function in functions.items():
        result = function(x)
        result += 10
        assert x.tolist() == [1, 2] and kept.tolist() == [5, 6], name
