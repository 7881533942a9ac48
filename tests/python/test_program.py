"""Recorded programs: replay, writes in place, creation, derivatives of programs, custom rules in them."""

import copy
import inspect
import pickle

import numpy as np
import pytest
import tidu as td
from samplers import to_array
from tidu import GradientError, TraceError


def values(x):
    return np.asarray(x.detach().cpu().numpy())


def replays(f, *arguments):
    """What f gives and what its program gives for copies of the arguments, and the arguments after both."""
    eager = [td.copy(a) for a in arguments]
    want = f(*eager)
    program = td.program(f, *arguments)
    given = [td.copy(a) for a in arguments]
    got = program(*given)
    np.testing.assert_array_equal(values(got), values(want))
    for a, b in zip(given, eager, strict=True):
        np.testing.assert_array_equal(values(a), values(b))
    return program


def here():
    """The line of the caller, as programs show it."""
    return f"test_program.py:{inspect.currentframe().f_back.f_lineno}"


def test_prints_one_line_a_call(device):
    w = td.tensor([1.0, 2.0])
    program, line = td.program(lambda x: (td.sin(x) * w * 3).sum(), td.ones(2)), here()
    text = str(program)
    if device.type == "cuda":
        assert text.count("@cuda:0") == 7
    assert text.replace("@cuda:0", "") == (
        "program(x:float32(2,))\n"
        "  b:float32(2,) = [1, 2]\n"
        "  c:float32(2,) = 3\n"
        f"  d:float32(2,) = sin x  # {line}\n"
        f"  e:float32(2,) = multiply d b  # {line}\n"
        f"  f:float32(2,) = multiply e c  # {line}\n"
        f"  g:float32() = sum[axes=(0,), correction=0] f  # {line}\n"
        "  return g\n"
    )


def test_prints_the_users_names_and_lines():
    lines = {}

    def helper(h):
        result, lines["helper"] = td.exp(h) + 1, here()
        return result

    def f(params, x, *more, b=2.0):
        y, lines["y"] = td.sin(x @ params["w"]), here()
        more[0][1][0] = 0.0
        return {"y": helper(y), "parts": (y * b, more[0][0])}

    text = str(td.program(f, {"w": td.ones((3, 2))}, td.ones((4, 3)), [td.ones(2), td.ones(2)]))
    text = text.replace("@cuda:0", "")
    head, body = " ".join(text.split()).replace("( ", "("), text.splitlines()
    inputs = [
        "params['w']:float32(3, 2)",
        "x:float32(4, 3)",
        "more[0][0]:float32(2,)",
        "more[0][1]:float32(2,)",
    ]
    assert head.startswith(f"program({', '.join(inputs)}) ")
    calls = {line.split(" = ")[1].split()[0].split("[")[0]: line for line in body if "  # " in line}
    assert calls["matmul"].endswith(f" = matmul x params['w']  # {lines['y']}")
    assert calls["sin"].endswith(lines["y"]) and calls["exp"].endswith(lines["helper"])
    assert any(line.startswith("  write more[0][1] = ") for line in body)
    names = [part.split(":")[0].strip() for part in body[-1].removeprefix("  return").split(",")]
    assert names == ["result['y']", "result['parts'][0]", "result['parts'][1]"]


def test_a_module_has_the_names_of_its_forward():
    text = str(td.program(td.nn.Linear(3, 2, key=td.random.key(0)), td.ones((4, 3))))
    assert text.startswith("program(x:float32(4, 3)")
    assert text.count("test_program.py:") == 2  # the line of the call: the module's own are tidu's


def test_names_of_variables_are_no_arguments_names():
    text = str(td.program(lambda c, b: (td.sin(b) * td.cos(c), b, c), td.ones(2), td.ones(2)))
    defined = [line.split(":")[0].strip() for line in text.splitlines() if " = " in line]
    assert len(set(defined)) == len(defined) and not {"b", "c"} & set(defined)


def test_prints_held_programs_below_their_call():
    def f(x, xs):
        return td.scan(lambda h, v: (td.tanh(h + v), td.checkpoint(lambda h: td.sin(h))(h)), x, xs)

    text = str(td.program(f, td.ones(2), td.ones((5, 2)))).replace("@cuda:0", "")
    assert "    body = program(a:float32(2,), b:float32(2,))\n      c:float32(2,) = add a b  # " in text
    assert "        program = program(a:float32(2,))\n          b:float32(2,) = sin a  # " in text
    assert "\n          return b\n      return d, e\n  return " in text


def test_few_constants_are_shown():
    few, many = td.tensor([[1, 2], [3, 4]]), td.arange(100)
    mask, half = td.tensor([True, False]), td.tensor([0.1, 1e-3], dtype=td.float16)
    text = str(td.program(lambda x: (few + x, many + x, td.where(mask, x, x + 1), half * 2), td.tensor(1)))
    for value in ("= [[1, 2], [3, 4]]\n", "(100,) = constant", "= [true, false]\n", "= [0.09998, 0.001]\n"):
        assert value in text.replace("@cuda:0", "")


def test_lines_and_names_are_no_part_of_equality():
    def g(x):
        return td.sin(x) * 2

    f = lambda y: td.sin(y) * 2
    a, b = td.program(f, td.ones(2)), td.program(g, td.ones(2))
    assert a == b and hash(a) == hash(b) and str(a) != str(b)
    others = td.program(lambda x: td.sin(x) * 3, td.ones(2)), td.program(g, td.ones(3)), g
    assert all(a != other for other in others)
    assert a != td.program(lambda x: {"y": td.sin(x) * 2}, td.ones(2))


def test_a_program_that_calls_one_that_writes():
    def add(x):
        x += 1
        return x * 2

    inner = td.program(add, td.ones(3))
    replays(lambda x: inner(x) + x, td.tensor([1.0, 2.0, 3.0]))
    outer = td.program(lambda x: inner(x) + x, td.ones(3))
    outer.verify()
    x = td.zeros(3)
    assert outer(x).tolist() == [3, 3, 3] and x.tolist() == [1, 1, 1]


def test_trees_in_and_out_and_fixed_leaves():
    def f(p, n):
        return {"y": p["x"] * n, "z": [p["b"] + 1]}

    p = {"x": td.ones(2), "b": td.zeros(3)}
    program = td.program(f, p, 3)
    out = program({"x": td.tensor([1.0, 2.0]), "b": td.ones(3)}, 3)
    assert out["y"].tolist() == [3, 6] and out["z"][0].tolist() == [2, 2, 2]
    with pytest.raises(ValueError, match="only tensors may change"):
        program(p, 4)
    with pytest.raises(td.ShapeError, match="recorded for"):
        program({"x": td.ones(3), "b": td.zeros(3)}, 3)


def test_reading_a_value_is_an_error():
    with pytest.raises(TraceError):
        td.program(lambda x: x * float(x.sum()), td.ones(2))


# --- Writes in place


def through_a_view(y):
    y = y * 1
    v = y.reshape(2)
    v[0] = 5
    return y.sum()


def test_a_write_into_a_view_reaches_its_base():
    x = td.tensor([[1.0, 1.0]])
    assert through_a_view(x).item() == 6
    replays(through_a_view, x)


def test_a_write_into_a_base_reaches_its_views():
    def f(x):
        y = x * 2
        rows, columns = y[0], y.T
        y[0, 1] = 7
        return rows.sum() + columns[1].sum()

    replays(f, td.tensor([[1.0, 2.0], [3.0, 4.0]]))


def test_writes_through_chains_of_views():
    def f(x):
        y = x + 0
        v = y.T.reshape(2, 3, 1)[:, 1:, 0][::-1]  # of views where the layout allows
        v *= 10
        w = y[1:]
        w[0] = y[0]
        return y * 1 + v.sum()

    replays(f, td.arange(6, dtype=td.float32).reshape(3, 2))


def test_a_write_to_an_argument_is_an_effect():
    def f(x):
        x[0] = x[0] + 10
        return x.sum() + x[0]

    program = replays(f, td.tensor([1.0, 2.0]))
    assert program.writes == [0]
    assert "write x = " in str(program)
    x = td.tensor([1.0, 2.0])
    program(x)
    program(x)
    assert x.tolist() == [21, 2]


def test_a_write_to_a_view_of_an_argument():
    def f(x, y):
        v = x.reshape(2)
        v[1] = y[0]
        y += 1
        return x.sum() * 1

    program = replays(f, td.tensor([[1.0, 2.0]]), td.tensor([3.0, 4.0]))
    assert program.writes == [0, 1]


def test_a_written_argument_of_another_layout():
    def f(x):
        v = x.reshape(4)
        v[1] = 9
        return v * 2

    program = td.program(f, td.zeros((2, 2)))
    x = td.arange(4, dtype=td.float32).reshape(2, 2).T
    # Of row-major memory the reshape is a view: the program fixes that, whatever the argument is.
    assert program(x).tolist() == [0, 18, 2, 6]
    assert x.tolist() == [[0, 9], [1, 3]]


def test_results_do_not_change_with_a_later_write():
    def f(x):
        y = x * 1
        before = y * 1
        y[0] = 3
        return before + y

    replays(f, td.tensor([1.0, 2.0]))


def test_tensors_that_the_function_makes_are_written_to():
    def f(x):
        c = td.zeros(3)
        view = c[1:]
        c[1] = x[0]
        c[2] = 4
        return c * 2 + view.sum()

    replays(f, td.tensor([3.0]))


def test_tensors_from_outside_must_not_be_overwritten():
    outside = td.zeros(3)

    def f(x):
        outside[0] = x[0]
        return outside * 1

    with pytest.raises(TraceError, match="pass it as an argument"):
        td.program(f, td.ones(1))
    assert outside.tolist() == [0, 0, 0]

    def g(x):
        outside[0] = 5
        return x * 1

    with pytest.raises(TraceError, match="pass it as an argument"):
        td.program(g, td.ones(1))
    assert outside.tolist() == [0, 0, 0]


def test_writes_are_differentiated():
    def f(x):
        y = x * x
        v = y[1:]
        v[0] = x[0] * 10
        return (y * td.tensor([1.0, 2.0, 3.0])).sum()

    x = td.tensor([2.0, 3.0, 4.0])
    program = td.program(lambda x: f(x), x)
    np.testing.assert_allclose(values(td.grad(program)(x)), [4 + 20, 0, 24])
    np.testing.assert_allclose(values(td.jvp(program, (x,), (td.ones(3),))[1]), 48)


# --- Creation


def test_creation_is_recorded_and_still_concrete():
    seen = []

    def f(x):
        n = td.arange(3, dtype=td.float32)
        seen.append(n.tolist())  # is known while the program is recorded
        return x + n * td.ones(3) + td.eye(3)[0]

    program = replays(f, td.zeros(3))
    assert seen[0] == [0, 1, 2]
    assert "arange" in str(program) and "constant" not in str(program)


def test_random_numbers_from_a_key_argument():
    def f(key, x):
        a, b = td.random.split(key)
        return td.random.normal(a, (2,)) + td.random.uniform(b, (2,)) * x

    program = td.program(f, td.random.key(0), td.ones(2))
    for seed in (0, 7):
        key = td.random.key(seed)
        np.testing.assert_array_equal(values(program(key, td.ones(2))), values(f(key, td.ones(2))))


# --- Derivatives of and in programs


def test_derivatives_of_programs_and_programs_of_derivatives():
    x = td.tensor([0.3, 0.7], dtype=td.float64)

    def f(x):
        return (td.sin(x) * td.exp(x)).sum()

    program = td.program(f, x)
    np.testing.assert_array_equal(values(td.grad(program)(x)), values(td.grad(f)(x)))
    np.testing.assert_array_equal(values(td.hessian(program)(x)), values(td.hessian(f)(x)))
    of_gradient = td.program(td.grad(f), x)
    np.testing.assert_array_equal(values(of_gradient(x)), values(td.grad(f)(x)))
    twice = td.program(td.grad(lambda x: of_gradient(x).sum()), x)
    np.testing.assert_array_equal(values(twice(x)), values(td.grad(lambda x: td.grad(f)(x).sum())(x)))


def test_no_grad_is_remembered():
    def f(x):
        with td.no_grad():
            y = x * x
        return (y + x).sum()

    x = td.tensor([3.0])
    assert td.grad(td.program(f, x))(x).tolist() == [1]


# --- Rules of the user's own


@td.custom_vjp
def ste(x):
    return td.round(x)


ste.defvjp(lambda x: (td.round(x), None), lambda residuals, g: (g,))


@td.custom_vjp
def cubed(x):
    return x * x * x


cubed.defvjp(lambda x: (x * x * x, x), lambda x, g: (3 * x * x * g,))


@td.custom_vjp
def exp(x):
    return td.exp(x)


def exp_forward(x):
    y = td.exp(x)
    return y, y


exp.defvjp(exp_forward, lambda y, g: (g * y,))


@td.custom_jvp
def scaled(x):
    return td.sin(x)


@scaled.defjvp
def scaled_rule(primals, tangents):
    return td.sin(primals[0]), 5 * tangents[0]


def scalar(x):
    return td.tensor(x, dtype=td.float64)


def test_every_trace_uses_the_rule():
    x = scalar(1.2)
    assert td.grad(ste)(x).item() == 1
    assert td.grad(lambda x: td.value_and_grad(ste)(x)[0])(x).item() == 1
    assert td.grad(lambda x: td.jvp(ste, (x,), (scalar(1.0),))[0])(x).item() == 1
    assert td.jvp(lambda x: td.value_and_grad(ste)(x)[0], (x,), (scalar(1.0),))[1].item() == 1
    assert td.jvp(lambda x: td.jvp(scaled, (x,), (scalar(1.0),))[0], (x,), (scalar(1.0),))[1].item() == 5
    assert td.grad(lambda x: td.value_and_grad(scaled)(x)[0])(x).item() == 5
    for f, derivatives in (
        (cubed, [x.item() ** 3, 3 * x.item() ** 2, 6 * x.item(), 6]),
        (exp, [np.exp(1.2)] * 4),
    ):
        g = f
        for k, want in enumerate(derivatives):
            np.testing.assert_allclose(g(x).item(), want, rtol=1e-14, err_msg=f"order {k}")
            g = td.grad(g)
        # The value that the inner transform passes on has the derivative of the rule, too.
        np.testing.assert_allclose(
            td.grad(lambda x, f=f: td.value_and_grad(f)(x)[0])(x).item(), derivatives[1], rtol=1e-14
        )
        np.testing.assert_allclose(
            td.grad(lambda x, f=f: td.value_and_grad(f)(x)[1])(x).item(), derivatives[2], rtol=1e-14
        )


@pytest.mark.parametrize(
    "f,want", [(ste, 1), (cubed, 3 * 1.2**2), (scaled, 5)], ids=["vjp", "residual", "jvp"]
)
def test_programs_hold_the_rule(f, want):
    x = scalar(1.2)
    program = td.program(lambda x: f(x) * 2, x)
    assert "custom_" in str(program)
    inner = td.program(lambda x: program(x) + 1, x)  # a program of a program
    for p in (program, inner):
        np.testing.assert_allclose(td.grad(p)(x).item(), 2 * want)
        np.testing.assert_allclose(td.jvp(p, (x,), (scalar(1.0),))[1].item(), 2 * want)
        np.testing.assert_allclose(td.program(td.grad(p), x)(x).item(), 2 * want)
        np.testing.assert_allclose(p(x).item(), (f(x) * 2).item() + (p is inner))


def test_what_a_recorded_rule_closes_over_becomes_an_input():
    def f(x, w):
        @td.custom_vjp
        def g(x):
            return x * w

        g.defvjp(lambda x: (x * w, None), lambda _, ct: (ct * w * 10,))
        return g(x)

    x, w = scalar(2.0), scalar(3.0)
    program = td.program(f, x, w)
    assert program(x, scalar(4.0)).item() == 8
    assert td.grad(program)(x, scalar(4.0)).item() == 40
    for g in (program, f):
        assert td.grad(g, 1)(x, w).item() == 2  # the rule is not needed
        with pytest.raises(GradientError, match="no argument"):
            td.grad(g, (0, 1))(x, w)


def test_what_a_recorded_custom_jvp_closes_over_becomes_an_input():
    def f(x, w, scale):
        @td.custom_jvp
        def g(x):
            return x * w * scale

        @g.defjvp
        def rule(primals, tangents):
            return primals[0] * w * scale, tangents[0] * w * scale * 10

        return g(x) * x

    x, w, scale = scalar(2.0), scalar(3.0), scalar(5.0)
    program = td.program(f, x, w, scale)
    at = scalar(2.0), scalar(4.0), scalar(7.0)
    for g in (f, program):
        assert g(*at).item() == 4 * 28
        assert td.grad(g)(*at).item() == 2 * 28 + 2 * 280
        assert td.jvp(lambda x, g=g: g(x, *at[1:]), at[:1], (scalar(1.0),))[1].item() == 2 * 28 + 2 * 280
    assert td.program(td.grad(program), x, w, scale)(*at).item() == 2 * 28 + 2 * 280


def test_what_a_program_returns_shares_memory_as_it_was_recorded():
    """A copy of a row-major argument is one of every other, also where reshape would make a view of it."""
    values = td.arange(6, dtype=td.float64).reshape(2, 3)
    for flat in (lambda x: x.T.reshape(-1), lambda x: x.T.reshape(-1)[:4]):
        program = td.program(flat, values)
        for argument in (td.copy(values), td.copy(values.T).T):
            result = program(argument)
            assert result.tolist() == flat(values).tolist()
            result[0] = 9.0
            assert argument.tolist() == values.tolist()


def test_forward_mode_of_a_rule_that_is_not_linear():
    @td.custom_vjp
    def f(x):
        return x * 1

    f.defvjp(lambda x: (x * 1, None), lambda _, g: (td.maximum(td.minimum(g, 1), -1),))
    x = scalar(2.0)
    assert td.grad(lambda x: f(x) * 5)(x).item() == 1
    with pytest.raises(GradientError, match="custom_jvp"):
        td.jvp(lambda x: f(x) * 5, (x,), (scalar(1.0),))

    @td.custom_vjp
    def affine(x):
        return x * 1

    affine.defvjp(lambda x: (x * 1, None), lambda _, g: (g + 1,))
    with pytest.raises(GradientError, match="'add' of them is not linear"):
        td.jvp(affine, (x,), (scalar(1.0),))


def test_what_a_rule_creates_is_computed_once():
    """Also where it is transposed: forward mode of a custom_vjp, reverse mode of a custom_jvp."""
    x = td.tensor([0.5, 1.0, 2.0])

    def slopes():
        return td.exp(td.astype(td.arange(3), td.float32) - 1)

    @td.custom_vjp
    def by_vjp(x):
        return x * 1

    by_vjp.defvjp(lambda x: (x * 1, None), lambda _, g: (g * slopes(),))

    @td.custom_jvp
    def by_jvp(x):
        return x * 1

    by_jvp.defjvp(lambda xs, ts: (xs[0] * 1, ts[0] * slopes()))
    for derivative in (
        lambda: td.jvp(by_vjp, (x,), (td.ones(3),))[1],
        lambda: td.grad(lambda x: by_jvp(x).sum())(x),
    ):
        with td.profile() as profile:
            found = derivative()
        np.testing.assert_allclose(values(found), np.exp([-1, 0, 1]), rtol=1e-6)
        ran = [call["name"] for call in profile.calls]
        assert ran.count("arange") == ran.count("exp") == 1, ran


def test_a_transposed_rule_may_write_to_what_it_creates():
    x = td.tensor([0.5, 1.0, 2.0])

    @td.custom_vjp
    def f(x):
        return x * 1

    def backward(_, g):
        weights = td.arange(3).astype(td.float32)
        first = weights * 1
        weights[0] = 5.0
        moved = td.zeros(3)
        moved[1] = g[0]
        moved[2:] = g[2:] * weights[2:]
        return (g * weights + moved * first,)

    f.defvjp(lambda x: (x * 1, None), backward)
    matrix = np.array([[5, 0, 0], [1, 1, 0], [0, 0, 6]], np.float32)
    np.testing.assert_array_equal(values(td.jacrev(f)(x)), matrix.T)
    np.testing.assert_array_equal(values(td.jacfwd(f)(x)), matrix.T)
    np.testing.assert_array_equal(values(td.jvp(f, (x,), (td.ones(3),))[1]), matrix.T @ np.ones(3))


def test_second_derivatives_of_a_rule_that_is_not_linear():
    """hvp and hessian fall back to reverse over reverse."""

    @td.custom_vjp
    def f(x):
        return td.sin(x)

    f.defvjp(lambda x: (td.sin(x), x), lambda x, g: (td.cos(x) * td.maximum(g, -100),))
    x = td.tensor([0.5, 1.5], dtype=td.float64)

    def loss(x):
        return (f(x) * x).sum()

    want = -np.sin(values(x)) * values(x) + 2 * np.cos(values(x))
    np.testing.assert_allclose(values(td.hvp(loss, (x,), (td.ones_like(x),))[0]), want, rtol=1e-14)
    np.testing.assert_allclose(values(td.hessian(loss)(x)), np.diag(want), rtol=1e-14, atol=1e-15)


def test_a_rule_may_call_numpy_unless_it_is_recorded():
    @td.custom_vjp
    def f(x):
        return td.sin(x)

    def backward(x, g):
        with td.no_grad():
            slope = np.cos(x.detach().cpu().numpy())
        return (g * td.tensor(slope, dtype=g.dtype),)

    f.defvjp(lambda x: (td.sin(x), x), backward)
    x = scalar(0.5)
    np.testing.assert_allclose(td.grad(f)(x).item(), np.cos(0.5))
    with pytest.raises((TraceError, BufferError)):
        td.program(f, x)


def test_rules_of_two_outputs_and_integer_arguments():
    @td.custom_vjp
    def f(x, n):
        return x * n, x + 1

    f.defvjp(lambda x, n: ((x * n, x + 1), n), lambda n, cts: (cts[0] * n * 2 + cts[1], None))
    x, n = td.tensor([1.0, 2.0]), td.tensor([3, 4])
    program = td.program(lambda x, n: f(x, n)[0] + f(x, n)[1], x, n)
    assert program(x, n).tolist() == [5, 11]
    assert td.grad(lambda x: program(x, n).sum())(x).tolist() == [7, 9]
    assert td.grad(lambda x: program(x, td.tensor([5, 5])).sum())(x).tolist() == [11, 11]
    assert td.jvp(lambda x: program(x, n), (x,), (td.ones(2),))[1].tolist() == [7, 9]


# --- Random functions of views, writes and copies


def random_function(seed):
    """A function that takes views of its arguments and its results at random, and writes to them."""
    rng = np.random.default_rng(seed)
    kinds = ["view"] * 3 + ["write"] * 3 + ["in place", "compute", "copy", "create", "points"]
    steps = [(rng.choice(kinds), *rng.random(3)) for _ in range(rng.integers(3, 13))]
    views = [
        lambda x, _: x.reshape(-1),
        lambda x, _: x.mT if x.ndim > 1 else x[None],
        lambda x, _: x[1:],
        lambda x, _: x[::-1],
        lambda x, at: x[int(at * x.shape[0])],
        lambda x, _: td.expand_dims(x, 0),
    ]

    def f(*arguments):
        pool = list(arguments)
        for kind, which, how, at in steps:
            x = pool[int(which * len(pool))]
            if not x.ndim or not x.size:
                continue
            if kind == "view":
                pool.append(views[int(how * len(views))](x, at))
            elif kind == "write" and how < 0.4:
                x[int(at * x.shape[0])] = float(int(at * 100))
            elif kind == "write" and how < 0.7:
                x[int(at * x.shape[0]) :] = x[int(at * x.shape[0]) :] * 2
            elif kind == "write":
                x[::-1] = x * 1
            elif kind == "in place":
                x += 1
            elif kind == "compute":
                pool.append(td.sin(x) + x)
            elif kind == "copy":
                pool.append(td.copy(x))
            elif kind == "create":
                pool.append(td.zeros(x.shape, dtype=td.float64))
                pool[-1][...] = x
            else:
                x[td.tensor([0, -1])] = 7.0
        return [x * 1 for x in pool]

    return f


@pytest.mark.parametrize("seed", range(100))
def test_random_functions_replay_as_they_run(seed):
    rng = np.random.default_rng(seed)
    f = random_function(seed)
    arrays = [rng.normal(size=shape) for shape in [(3, 4), (4,), (2, 3, 2)][: 1 + seed % 3]]

    def tensors():
        return [td.tensor(array) for array in arrays]

    eager = tensors()
    want = f(*eager)
    program = td.program(f, *tensors())
    for given in (tensors(), [td.tensor(np.repeat(array, 2, axis=0))[::2] for array in arrays]):
        for x, y in zip(program(*given), want, strict=True):
            np.testing.assert_array_equal(values(x), values(y))
        for x, y in zip(given, eager, strict=True):
            np.testing.assert_array_equal(values(x), values(y))

    def loss(*arguments):
        return sum((x * x).sum() for x in f(*[x * 1 for x in arguments]))

    numbers = tuple(range(len(arrays)))
    try:
        gradients = td.grad(loss, numbers)(*tensors())
    except GradientError:  # a view of what was overwritten since
        return
    for x, y in zip(td.grad(td.program(loss, *tensors()), numbers)(*tensors()), gradients, strict=True):
        np.testing.assert_allclose(values(x), values(y), rtol=1e-12)


def _ruled(kind):
    """exp, whose rule says that it grows three times as fast, by a call of itself."""
    if kind == "custom_jvp":

        @td.custom_jvp
        def f(x):
            return td.exp(x)

        @f.defjvp
        def _(primals, tangents):
            y = f(*primals)
            return y, 3 * y * tangents[0]

        return f
    f = td.custom_vjp(lambda x: td.exp(x))
    f.defvjp(lambda x: (y := f(x), y), lambda y, cotangent: (3 * y * cotangent,))
    return f


@pytest.mark.parametrize("kind", ["custom_jvp", "custom_vjp"])
def test_rules_may_call_their_own_function(kind):
    f, x = _ruled(kind), td.tensor(0.5, dtype=td.float64)
    functions = {
        "now": f,
        "recorded": td.program(f, x),
        "in lanes": lambda x: td.vmap(f)(x * td.ones(2, dtype=td.float64))[1],
        "in a loop": lambda x: td.scan(lambda c, _: (c, f(x)), 0.0, length=2)[1][1],
    }
    for name, derivative in functions.items():
        for order in range(5):
            np.testing.assert_allclose(
                float(derivative(x)), 3.0**order * np.exp(0.5), rtol=1e-12, err_msg=f"{name}, order {order}"
            )
            derivative = td.grad(derivative)
    derivative = f
    for order in range(4):
        lanes = td.vmap(derivative)(td.stack([x, 2 * x]))
        np.testing.assert_allclose(lanes.cpu().numpy(), 3.0**order * np.exp([0.5, 1.0]), rtol=1e-12)
        derivative = td.grad(derivative)
    assert float(td.jvp(f, (x,), (x,))[1]) == pytest.approx(1.5 * np.exp(0.5), rel=1e-12)
    assert kind in str(td.program(f, x))


# --- Arguments by name, without values, and copies


def test_arguments_by_name():
    def f(x, y, *, scale, options=None):
        return (x - y) * scale + (options or {}).get("shift", 0)

    x, y, s = td.tensor([1.0, 2.0]), td.tensor([0.5, 3.0]), td.tensor(2.0)
    program = td.program(f, x, y=y, scale=s, options={"shift": 1})
    want = f(x, y, scale=s, options={"shift": 1})
    for got in (
        program(x, y, scale=s, options={"shift": 1}),
        program(x, y=y, options={"shift": 1}, scale=s),
        program(y=y, x=x, scale=s, options={"shift": 1}),
    ):
        np.testing.assert_array_equal(to_array(got), to_array(want))
    other = program(y, x, scale=3 * s, options={"shift": 1})
    np.testing.assert_array_equal(to_array(other), to_array(f(y, x, scale=3 * s, options={"shift": 1})))
    assert str(inspect.signature(program)) == "(x, y, *, scale, options)"
    assert "scale:float32()" in str(program)
    gradient = td.grad(lambda s: td.sum(program(x, y, scale=s, options={"shift": 1})))(s)
    np.testing.assert_allclose(to_array(gradient), to_array(td.sum(x - y)))
    for wrong in (lambda: program(x, y, s, {"shift": 1}), lambda: program(x, y, scale=s)):
        with pytest.raises(TypeError, match="program"):
            wrong()
    with pytest.raises(ValueError, match="was 1 when"):
        program(x, y, scale=s, options={"shift": 2})


def test_arguments_by_name_are_saved(tmp_path):
    program = td.program(lambda x, *, k: x * k["a"], td.ones(2), k={"a": td.ones(())})
    program.save(tmp_path / "program")
    loaded = td.load_program(tmp_path / "program")
    assert loaded == program and str(inspect.signature(loaded)) == "(x, *, k)"
    np.testing.assert_array_equal(to_array(loaded(td.ones(2), k={"a": td.tensor(3.0)})), [3, 3])


def test_arguments_without_values():
    spec = td.ShapeDtypeStruct((3, 2), td.float64)
    f = lambda t, n: {"y": td.sin(t["x"]) * n, "s": t["x"].sum(axis=0)}
    program = td.program(f, {"x": spec}, 2)
    x = td.ones((3, 2), dtype=td.float64)
    assert program == td.program(f, {"x": x}, 2) and hash(program) == hash(td.program(f, {"x": x}, 2))
    np.testing.assert_array_equal(to_array(program({"x": x}, 2)["y"]), to_array(td.sin(x) * 2))
    assert td.eval_shape(f, {"x": spec}, 2) == {"y": spec, "s": td.ShapeDtypeStruct(2, "float64")}
    huge = td.eval_shape(lambda a, *, b: a @ b, td.ShapeDtypeStruct((10**6, 10**6), "float32"),
                         b=td.ShapeDtypeStruct((10**6, 3), np.float32))  # fmt: skip
    assert huge.shape == (10**6, 3) and huge.dtype == td.float32 and huge.ndim == 2 and huge.size == 3 * 10**6
    assert td.eval_shape(lambda x: (1.5, None, x > 0), spec)[2].dtype == td.bool
    with pytest.raises(td.TraceError):
        td.eval_shape(lambda x: x if float(x.sum()) > 0 else -x, spec)
    recorder = td.program(f)
    assert recorder({"x": spec}, 2) == program
    assert td.program(lambda: td.ones(2))().shape == (2,)


def test_shapes_without_values_compare():
    spec = td.ShapeDtypeStruct(3, "float32")
    assert (
        spec == td.ShapeDtypeStruct((3,), td.float32)
        and len({spec, td.ShapeDtypeStruct([3], td.float32)}) == 1
    )
    assert spec != td.ShapeDtypeStruct((3,), td.float64) and spec != td.ShapeDtypeStruct((), td.float32)
    assert spec != td.ShapeDtypeStruct(3, "float32", "cpu") and spec != 3
    assert repr(td.ShapeDtypeStruct(3, "int64", "cpu")) == "ShapeDtypeStruct((3,), tidu.int64, device='cpu')"


def weighted(x):
    return {"y": x * td.tensor([1.0, 2.0]), "n": None}


def test_copies_and_pickles():
    program = td.program(weighted, td.ones(2))
    assert copy.copy(program) is program
    assert copy.deepcopy({"p": [program]})["p"][0] == program
    loaded = pickle.loads(pickle.dumps(program))
    assert loaded == program and hash(loaded) == hash(program) and loaded is not program
    np.testing.assert_array_equal(to_array(loaded(td.tensor([3.0, 4.0]))["y"]), [3, 8])
    assert {program: 1}[loaded] == 1
    assert program == td.program(weighted, td.zeros(2)) and program != td.program(weighted, td.ones((1, 2)))
    assert program != td.program(lambda x: {"y": x * 2.0, "n": None}, td.ones(2))
    with pytest.raises(ValueError, match="host"):
        pickle.dumps(td.program(lambda x: td.pure_callback(lambda x: x, x, x), td.ones(2)))


def test_tensors_from_outside_are_read_when_the_program_runs(tmp_path):
    """What was written to them in place counts as where the function is called, in held programs, too."""
    w, ids = td.tensor([1.0, 2.0]), td.tensor([0, 1])

    @td.custom_vjp
    def own(x):
        return x * w

    own.defvjp(lambda x: (x * w, None), lambda _, g: (g * w,))
    functions = {
        "calls": lambda x: (w * 2)[ids] * x,
        "grad": td.grad(lambda x: ((w * w) * x * x).sum()),
        "vmap": td.vmap(lambda x: x * (w * w).sum()),
        "scan": lambda x: td.scan(lambda c, _: (c * w, None), x, length=3)[0],
        "cond": lambda x: td.cond(x[0] > 0, lambda x: x * w, lambda x: x - w, x),
        "hessian": td.hessian(lambda x: (w * x * x * x).sum()),
        "linearize": lambda x: td.linearize(lambda x: x * x * (w * w), x)[1](x),
        "custom": td.grad(lambda x: own(x).sum()),
        "checkpoint": td.checkpoint(lambda x: x * (w * w)),
        "compile": td.compile(lambda x: x * (w * w)),
    }
    x = td.tensor([3.0, 5.0])
    for name, function in functions.items():
        w[:], ids[:] = td.tensor([1.0, 2.0]), td.tensor([0, 1])
        program = td.program(function, x)
        program.save(tmp_path / "program")
        before = function(x).tolist()
        assert program(x).tolist() == before, name
        w[0], ids[:] = 7.0, td.tensor([1, 0])
        after = function(x).tolist()
        assert program(x).tolist() == after != before, name
        assert td.load_program(tmp_path / "program")(x).tolist() == before, name


@pytest.mark.parametrize("sort", ["custom_jvp", "custom_vjp"])
def test_rules_of_rules_that_are_recorded_when_they_are_needed(sort):
    """From the second rule inside of a rule on; its function takes what it closes over, too."""

    def ruled(function):
        """A function whose derivative is itself."""
        wrapped = getattr(td, sort)(function)
        if sort == "custom_jvp":
            wrapped.defjvp(lambda primals, tangents: (function(*primals), function(*primals) * tangents[0]))
        else:
            wrapped.defvjp(lambda x: (function(x), function(x)), lambda y, g: (g * y,))
        return wrapped

    def f(x, w, v):
        def closing_over(x):
            return td.exp(x) + 0 * w * v

        third = getattr(td, sort)(closing_over)
        if sort == "custom_jvp":
            third.defjvp(lambda xs, ts: (td.exp(xs[0]), td.exp(xs[0]) * ts[0]))
        else:
            third.defvjp(lambda x: (td.exp(x), td.exp(x)), lambda y, g: (g * y,))
        return ruled(ruled(third))(x)

    x, w, v = scalar(0.5), scalar(3.0), scalar(4.0)
    program = td.program(f, x, w, v)
    derivative = program
    for order in range(4):
        assert derivative(x, w, v).item() == pytest.approx(np.exp(0.5), rel=1e-12), order
        derivative = td.grad(derivative)
    along = lambda g: lambda x, w, v: td.jvp(lambda x: g(x, w, v), (x,), (scalar(1.0),))[1]
    third = along(along(along(program)))
    assert third(x, w, v).item() == pytest.approx(np.exp(0.5), rel=1e-12)
