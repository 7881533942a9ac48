"""scan, cond, while_loop, fori_loop and checkpoint against the same written out, in every mode."""

import numpy as np
import pytest
import tidu as td
from samplers import assert_trees_close as close


def normal(*shape, seed=0):
    return td.asarray(np.random.default_rng(seed).normal(size=shape))


W = normal(3, 3, seed=9) * 0.5


def rnn_step(w, h, x):
    h = td.tanh(w @ h + x)
    return h, (td.sum(h * h), h[0] * x)


def by_scan(w, h, xs, **how):
    return td.scan(lambda c, x: rnn_step(w, c, x), h, xs, **how)


def unrolled(w, h, xs, reverse=False, **_):
    n = xs.shape[0]
    ys = [None] * n
    for i in reversed(range(n)) if reverse else range(n):
        h, ys[i] = rnn_step(w, h, xs[i])
    return h, tuple(td.stack(list(column)) for column in zip(*ys, strict=True))


def total(run, **how):
    def f(w, h, xs):
        last, (a, b) = run(w, h, xs, **how)
        return td.sum(last * td.arange(3.0, dtype=td.float64)) + td.sum(td.sin(a)) + td.sum(b * b)

    return f


WAYS = [
    {},
    {"reverse": True},
    {"checkpoint_every": 2},
    {"checkpoint_every": 3},
    {"checkpoint_every": 3, "reverse": True},
]


def problem():
    return normal(3, 3, seed=9) * 0.5, normal(3, seed=1), normal(7, 3, seed=2)


def both(transform, way):
    return transform(total(by_scan, **way)), transform(total(unrolled, **way))


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_scan_is_its_loop(way):
    w, h, xs = problem()
    close(by_scan(w, h, xs, **way), unrolled(w, h, xs, **way))
    every = (0, 1, 2)
    direction = tuple(normal(*x.shape, seed=5 + i) for i, x in enumerate((w, h, xs)))
    modes = {
        "grad": lambda f: td.grad(f, argnums=every)(w, h, xs),
        "jvp": lambda f: td.jvp(f, (w, h, xs), direction)[1],
        "jvp of one": lambda f: td.jvp(f, (w, h, xs), (None, None, direction[2]))[1],
        "hvp": lambda f: td.hvp(f, (w, h, xs), direction),
        "vhp": lambda f: td.vhp(f, (w, h, xs), direction),
        "grad of jvp": lambda f: td.grad(lambda v: td.jvp(f, (w, v, xs), direction)[1])(h),
        "hessian": lambda f: td.hessian(f, argnums=1)(w, h, xs),
        "jet": lambda f: td.jet(lambda v: f(w, v, xs), (h,), ((direction[1], h, h),)),
        "program": lambda f: td.program(f, w, h, xs)(*direction),
        "grad of program": lambda f: td.grad(td.program(f, w, h, xs), argnums=every)(*direction),
        "program of grad": lambda f: td.program(td.grad(f, argnums=every), w, h, xs)(*direction),
    }
    for mode in modes.values():
        close(*both(mode, way), rtol=1e-9)


@pytest.mark.parametrize("way", [WAYS[0], WAYS[4]], ids=str)
@pytest.mark.parametrize("axes", [(None, 0, None), (0, None, None), (None, None, 1), (0, 0, 0), (None, 0, 2)])
def test_vmap_of_scan(way, axes):
    shapes = ((3, 3), (3,), (7, 3))
    arguments = [
        normal(*shape, seed=i) if a is None else normal(*shape[:a], 4, *shape[a:], seed=i)
        for i, (shape, a) in enumerate(zip(shapes, axes, strict=True))
    ]
    close(
        td.vmap(by_scan_with(way), in_axes=axes)(*arguments),
        td.vmap(unrolled_with(way), in_axes=axes)(*arguments),
    )
    gradients = [
        td.vmap(td.grad(total(run, **way), argnums=(0, 1, 2)), in_axes=axes)(*arguments)
        for run in (by_scan, unrolled)
    ]
    close(*gradients, rtol=1e-9)
    outside = [
        td.grad(lambda *p, run=run: td.sum(td.vmap(total(run, **way), in_axes=axes)(*p)), argnums=(0, 1, 2))(
            *arguments
        )
        for run in (by_scan, unrolled)
    ]
    close(*outside, rtol=1e-9)


def by_scan_with(way):
    return lambda *arguments: by_scan(*arguments, **way)


def unrolled_with(way):
    return lambda *arguments: unrolled(*arguments, **way)


def test_scan_closes_over_what_is_differentiated():
    w, h, xs = problem()

    def f(v):
        return td.sum(td.scan(lambda c, x: (td.tanh(v @ c) + x, c * v[0]), h, xs)[1])

    def loop(v):
        c, out = h, 0.0
        for i in range(7):
            c, y = td.tanh(v @ c) + xs[i], c * v[0]
            out = out + td.sum(y)
        return out

    close(td.grad(f)(w), td.grad(loop)(w))
    close(td.hvp(f, w, w), td.hvp(loop, w, w))
    leaf = td.copy(w).requires_grad_()
    f(leaf).backward()
    close(leaf.grad, td.grad(loop)(w))


def test_scan_of_trees_integers_and_no_slices():
    carry, ys = td.scan(
        lambda c, _: ({"n": c["n"] + 1, "x": c["x"] * 2}, c["n"]),
        {"n": td.asarray(0), "x": td.ones(2)},
        length=5,
    )
    assert int(carry["n"]) == 5 and carry["x"].tolist() == [32, 32] and ys.tolist() == [0, 1, 2, 3, 4]
    slope = td.grad(lambda x: td.sum(td.scan(lambda c, i: (c * (i + 1), i), x, td.arange(4))[0]))(td.ones(2))
    assert slope.tolist() == [24, 24]
    x = td.ones(2)
    last, nothing = td.scan(lambda c, x: (c + x, x), x, td.ones((0, 2)))
    assert last.tolist() == [1, 1] and nothing.shape == (0, 2)
    assert td.grad(lambda v: td.sum(td.scan(lambda c, x: (c + x, x), v, td.ones((0, 2)))[0]))(x).tolist() == [
        1,
        1,
    ]


def test_scan_calls_its_function_once():
    calls = []
    td.scan(lambda c, x: (calls.append(1) or c + x, None), td.zeros(()), td.ones(100))
    assert len(calls) == 1


@pytest.mark.parametrize("how", ["reverse", "forward", "while"])
def test_what_no_derivative_reaches_is_not_differentiated(how):
    """The second carry depends on nothing that is differentiated: its slope 1 / (1 + t * t) is not there."""
    one, t0 = td.ones((), dtype=td.float64), td.tensor(0.7, dtype=td.float64)

    def loss(w):
        def step(carry, _=None):
            c, t = carry
            return (c * w + t, td.atan(t)), c

        if how == "while":
            grow = lambda carry: (carry[0] + 1, *step(carry[1:])[0])
            return td.while_loop(lambda carry: carry[0] < 3, grow, (0, one, t0))[1]
        (c, _), ys = td.scan(step, (one, t0), None, length=3)
        return c + ys.sum()

    def by_hand(w):
        c, t, total = 1.0, 0.7, 0.0
        for _ in range(3):
            total, c, t = total + c, c * w + t, np.arctan(t)
        return c + (0 if how == "while" else total)

    want = (by_hand(0.5 + 1e-6) - by_hand(0.5 - 1e-6)) / 2e-6
    derivative = td.grad(loss) if how == "reverse" else lambda w: td.jvp(loss, (w,), (one,))[1]
    w = td.tensor(0.5, dtype=td.float64)
    assert derivative(w).item() == pytest.approx(want, abs=1e-8)
    assert "reciprocal" not in str(td.program(derivative, w))


@pytest.mark.parametrize("how", ["checkpoint", "scan", "cond"])
def test_of_many_inputs_those_that_are_asked_for_are_told_apart(how):
    """A weight more costs as many products beyond the number of inputs that share a bit as below it."""

    def products(count):
        weights = [td.eye(2) * (i + 1) / count for i in range(count)]

        def chain(x, *weights):
            for weight in weights:
                x = x @ weight
            return x

        def f(last):
            x = td.ones((2, 2))
            if how == "checkpoint":
                return td.checkpoint(chain)(x, *weights[:-1], last).sum()
            if how == "scan":
                step = lambda x, _: (chain(x, *weights[:-1], last), ())
                return td.scan(step, x, None, length=1)[0].sum()
            return td.cond(x[0, 0] > 0, chain, lambda x, *weights: x, x, *weights[:-1], last).sum()

        _, pull = td.vjp(f, weights[-1])
        with td.profile() as profile:
            pull(td.ones(()))
        return sum(call["name"] == "matmul" for call in profile.calls)

    few, more, many = products(10), products(20), products(60)
    assert many - more == 4 * (more - few)


def test_checkpointing_a_scan_keeps_less(live_bytes):
    xs = td.ones((400, 2000), dtype=td.float32)

    def peak(every):
        leaf = td.zeros(2000, dtype=td.float32).requires_grad_()
        before = live_bytes()
        y = td.sum(td.scan(lambda c, x: (td.sin(c + x), None), leaf, xs, checkpoint_every=every)[0])
        held = live_bytes() - before
        y.backward()
        return held

    assert peak(20) < peak(None) / 10


# --- cond


def branchy(p, x):
    return td.cond(p, lambda v: td.sin(v) * v, lambda v: td.exp(v), x)


def in_where(p, x):
    return td.where(p, td.sin(x) * x, td.exp(x))


@pytest.mark.parametrize("taken", [True, False])
def test_cond(taken):
    x = normal(3)
    for p in (taken, td.asarray(taken)):
        close(branchy(p, x), in_where(td.asarray(taken), x))
        close(
            td.grad(lambda v, p=p: td.sum(branchy(p, v)))(x),
            td.grad(lambda v: td.sum(in_where(td.asarray(taken), v)))(x),
        )
    program = td.program(lambda v, q: branchy(q, v), x, td.asarray(not taken))
    assert "cond" in str(program)
    p = td.asarray(taken)
    want = lambda v: in_where(p, v)
    got = lambda v: program(v, p)
    close(got(x), want(x))
    for transform in (
        lambda f: td.grad(lambda v: td.sum(f(v)))(x),
        lambda f: td.jvp(f, (x,), (x,)),
        lambda f: td.hessian(lambda v: td.sum(f(v)))(x),
        lambda f: td.jet(f, (x,), ((x, x, x),)),
        lambda f: td.vhp(lambda v: td.sum(f(v)), x, x),
    ):
        close(transform(got), transform(want))


def test_vmap_of_cond():
    p, x = td.asarray([True, False, True]), normal(3, 4)
    close(td.vmap(branchy)(p, x), in_where(p.reshape((3, 1)), x))
    close(td.vmap(lambda v: branchy(v[0] > 0, v))(x), in_where(x[:, :1] > 0, x))
    close(
        td.vmap(td.grad(lambda v: td.sum(branchy(v[0] > 0, v))))(x),
        td.grad(lambda v: td.sum(in_where(v[:, :1] > 0, v)))(x),
    )
    one = td.program(lambda q, v: td.vmap(lambda r: branchy(q, r))(v), td.asarray(True), x)
    assert "where" not in str(one)
    close(one(td.asarray(False), x), td.exp(x))


def test_cond_closes_over_what_is_differentiated():
    x, w = normal(3), normal(3, seed=1)
    f = td.program(lambda p, v, u: td.sum(td.cond(p, lambda: v * u, lambda: u)), td.asarray(True), x, w)
    close(td.grad(f, argnums=(1, 2))(td.asarray(True), x, w), (w, x))
    close(td.grad(f, argnums=(1, 2))(td.asarray(False), x, w), (0 * w, 0 * x + 1))


# --- while_loop, fori_loop


def newton(a, **how):
    """The square root of a."""
    return td.while_loop(lambda x: td.abs(x * x - a) > 1e-12 * a, lambda x: 0.5 * (x + a / x), a, **how)


def test_while_loop():
    a = td.asarray(7.0, dtype=td.float64)
    close(newton(a), td.sqrt(a))
    close(td.jvp(newton, (a,), (a,))[1], 0.5 * td.sqrt(a), rtol=1e-6)
    close(td.program(newton, a)(a * 2), td.sqrt(a * 2))
    with pytest.raises(td.GradientError, match="give max_steps"):
        td.grad(newton)(a)
    bounded = lambda v: newton(v, max_steps=30)
    close(bounded(a), td.sqrt(a))
    close(td.grad(bounded)(a), 0.5 / td.sqrt(a), rtol=1e-6)
    many = td.asarray([2.0, 1e-6, 1e6, 0.5], dtype=td.float64)
    for f in (newton, bounded):
        close(td.vmap(f)(many), td.sqrt(many))
    close(td.vmap(td.grad(bounded))(many), 0.5 / td.sqrt(many), rtol=1e-6)


def test_lanes_of_while_loop_end_by_themselves():
    counts = td.asarray([0, 3, 1, 7])
    state = td.vmap(lambda n: td.while_loop(lambda s: s[0] < n, lambda s: (s[0] + 1, s[1] * 2), (0, 1.0)))(
        counts
    )
    assert state[0].tolist() == [0, 3, 1, 7] and state[1].tolist() == [1, 8, 2, 128]
    shared = td.vmap(lambda x: td.while_loop(lambda s: s[0] < 3, lambda s: (s[0] + 1, s[1] * x), (0, 1.0)))(
        td.asarray([1.0, 2.0])
    )
    assert shared[0].tolist() == [3, 3] and shared[1].tolist() == [1, 8]


def test_fori_loop():
    x = normal(3)
    power = lambda v, n: td.fori_loop(0, n, lambda i, c: c * v + i, v)

    def loop(v):
        c = v
        for i in range(4):
            c = c * v + i
        return c

    close(power(x, 4), loop(x))
    close(power(x, td.asarray(4)), loop(x))
    close(td.grad(lambda v: td.sum(power(v, 4)))(x), td.grad(lambda v: td.sum(loop(v)))(x))
    close(td.jvp(lambda v: power(v, td.asarray(4)), (x,), (x,))[1], td.jvp(loop, (x,), (x,))[1])
    close(td.fori_loop(5, 2, lambda i, c: c + 1, x), x)


@pytest.mark.cpu_only("counts the memory of the host")
def test_a_loop_over_a_count_takes_no_memory_for_it(peak_bytes):
    loops = {
        "fori_loop": lambda n, x: td.fori_loop(0, n, lambda i, c: c * 0.5 + i, x),
        "scan": lambda n, x: td.scan(lambda c, _: (c * 0.5 + 1, None), x, length=n)[0],
        "while_loop": lambda n, x: td.while_loop(lambda c: c < 1e9, lambda c: c + 0.5, x, max_steps=n),
    }
    modes = {
        "values": lambda f, x: f(x),
        "jvp": lambda f, x: td.jvp(f, (x,), (x,)),
        "jet": lambda f, x: td.jet(f, (x,), ([x, None],)),
        "vmap": lambda f, x: td.vmap(f)(td.stack([x, x])),
        "compile": lambda f, x: td.compile(f)(x),
    }
    x = td.tensor(1.0, dtype=td.float64, device="cpu")
    for name, loop in loops.items():
        for mode, of in modes.items():
            taken = peak_bytes(lambda: of(lambda x: loop(20_000, x), x))  # noqa: B023
            assert taken < 20_000, (name, mode)


def test_counts_that_cannot_be():
    x = td.tensor(1.0)
    for lower, upper in ((0, 2**64), (-(2**63), 2**63 - 1)):
        with pytest.raises(ValueError, match=r"\[fori_loop\] upper - lower"):
            td.fori_loop(lower, upper, lambda i, c: c, x)
    with pytest.raises(MemoryError):
        td.scan(lambda c, _: (c, c), x, length=2**50)
    with pytest.raises(MemoryError):
        td.grad(lambda x: td.fori_loop(0, 2**50, lambda i, c: c * x, x))(x)
    assert td.fori_loop(2**63 - 3, 2**63 - 1, lambda i, c: c + i, td.tensor(0)).item() == -5
    assert td.fori_loop(-(2**63), 2 - 2**63, lambda i, c: c + i, td.tensor(0)).item() == 1


# --- checkpoint


def layers(w, x):
    for _ in range(3):
        x = td.tanh(w @ x) + x
    return x


def test_checkpoint():
    w, x = normal(3, 3), normal(3, seed=1)
    held = td.checkpoint(layers)
    close(held(w, x), layers(w, x))
    for transform in (
        lambda f: td.grad(lambda *p: td.sum(td.sin(f(*p))), argnums=(0, 1))(w, x),
        lambda f: td.jvp(f, (w, x), (w, x)),
        lambda f: td.hessian(lambda v: td.sum(f(w, v)))(x),
        lambda f: td.vhp(lambda v: td.sum(f(w, v)), x, x),
        lambda f: td.jet(lambda v: f(w, v), (x,), ((x, x),)),
        lambda f: td.vmap(f, in_axes=(None, 0))(w, td.stack([x, 2 * x])),
        lambda f: td.vmap(td.grad(lambda v: td.sum(f(w, v))))(td.stack([x, 2 * x])),
    ):
        close(transform(held), transform(layers))


def test_checkpoint_keeps_only_arguments(live_bytes):
    def big(x):
        for _ in range(20):
            x = td.sin(x)
        return td.sum(x)

    leaf = td.zeros(100_000, dtype=td.float32).requires_grad_()
    before = live_bytes()
    y = td.checkpoint(big)(leaf)
    assert live_bytes() - before < 10_000
    y.backward()
    assert leaf.grad.tolist()[0] == 1.0


def test_checkpoint_of_parameters_that_it_closes_over():
    w = normal(3, 3).requires_grad_()
    x = normal(3, seed=1)
    td.sum(td.checkpoint(lambda v: td.sin(w @ v))(x)).backward()
    close(w.grad, td.grad(lambda u: td.sum(td.sin(u @ x)))(w.detach()))


# --- What is refused


def test_errors():
    x = td.ones(3)
    with pytest.raises(ValueError, match="nothing says how many steps"):
        td.scan(lambda c, _: (c, None), x)
    with pytest.raises(td.ShapeError, match="steps but there are"):
        td.scan(lambda c, _: (c, None), x, (td.ones((3, 2)), td.ones(4)))
    with pytest.raises(td.ShapeError, match=r"\[scan\] carry 0 is"):
        td.scan(lambda c, v: (c[:2], None), x, td.ones(4))
    with pytest.raises(TypeError, match="must return a pair"):
        td.scan(lambda c, v: c, x, td.ones(4))
    with pytest.raises(ValueError, match="has structure"):
        td.scan(lambda c, v: ((c, c), None), x, td.ones(4))
    with pytest.raises(td.TraceError):
        td.scan(lambda c, v: (c if v > 0 else -c, None), x, td.ones(4))
    with pytest.raises(td.ShapeError, match="the predicate is a bool"):
        td.cond(x > 0, lambda: x, lambda: x)
    with pytest.raises(td.ShapeError, match="the result if false"):
        td.program(lambda p: td.cond(p, lambda: x, lambda: x[:2]), td.asarray(True))
    with pytest.raises(td.ShapeError, match="the condition"):
        td.while_loop(lambda c: c, lambda c: c, x)
    with pytest.raises(ValueError, match="checkpoint_every"):
        td.scan(lambda c, v: (c, None), x, td.ones(4), checkpoint_every=0)

    def overwrites(c, v):
        c += v
        return c, None

    with pytest.raises(ValueError, match="overwrites an argument"):
        td.scan(overwrites, x, td.ones(4))


def test_counts_are_integers_that_fit():
    count = td.tensor(0.0)
    loops = {
        "max_steps": lambda n: td.while_loop(lambda x: x < 3, lambda x: x + 1, count, max_steps=n),
        "length": lambda n: td.scan(lambda x, _: (x, None), count, length=n),
        "checkpoint_every": lambda n: td.scan(lambda x, _: (x, None), count, length=4, checkpoint_every=n),
        "budget": lambda n: td.checkpoint(lambda x: x * 2, budget=n)(count),
    }
    for name, loop in loops.items():
        with pytest.raises(TypeError, match=rf"\[\w+\] {name} must be an int, not float"):
            loop(1.5)
        with pytest.raises(ValueError, match=rf"\[\w+\] {name} is {2**70}, but must be less than 2\*\*63"):
            loop(2**70)
    with pytest.raises(ValueError, match=r"\[while_loop\] max_steps is -1 but must not be negative"):
        loops["max_steps"](-1)
    assert loops["max_steps"](0).item() == 0 and loops["max_steps"](np.int32(5)).item() == 3


# --- checkpoint with a budget


def _deep(weights, x):
    for w in weights:
        x = td.tanh(x @ w)
    return td.sum(x * x)


def _deep_arguments(layers, size=64, rows=128):
    key = td.random.key(3)
    weights = [td.random.normal(td.random.fold_in(key, i), (size, size)) * 0.2 for i in range(layers)]
    return weights, td.random.normal(key, (rows, size))


@pytest.mark.cpu_only("reads the allocator of the cpu")
def test_a_budget_bounds_what_reverse_mode_keeps(peak_bytes):
    weights, x = _deep_arguments(40)
    activation, gradients = 128 * 64 * 4, 40 * 64 * 64 * 4
    want = td.grad(_deep)(weights, x)
    whole = peak_bytes(lambda: td.grad(_deep)(weights, x))
    assert whole > 40 * activation
    for kept in (20, 14, 11):
        gradient = td.grad(td.checkpoint(_deep, budget=kept * activation))
        for a, b in zip(gradient(weights, x), want, strict=True):
            assert (a == b).all()
        assert peak_bytes(lambda: gradient(weights, x)) <= gradients + kept * activation  # noqa: B023


def test_what_is_computed_again_grows_as_the_budget_shrinks():
    weights, x = _deep_arguments(24, 16, 32)
    calls = []
    for budget in (10**9, 60_000, 30_000, 20_000):
        gradient = td.grad(td.checkpoint(_deep, budget=budget), argnums=1)
        calls.append(str(td.program(gradient, weights, x)).count("= tanh "))
    assert calls[0] == 24
    assert calls == sorted(calls)
    assert calls[-1] > 24


def test_budgets_nest_in_every_transform():
    weights, x = _deep_arguments(6, 4, 3)
    weights = [w.astype(td.float64) for w in weights]
    x = x.astype(td.float64)
    loss = lambda x: _deep(weights, x)
    saving = lambda x: td.checkpoint(_deep, budget=4 * 3 * 8 * 8)(weights, x)
    v = td.ones_like(x)
    pairs = [
        (lambda f: f(x)),
        (lambda f: td.grad(f)(x)),
        (lambda f: td.jvp(f, (x,), (v,))[1]),
        (lambda f: td.hessian(f)(x)),
        (lambda f: td.grad(lambda y: td.sum(td.grad(f)(y) ** 2))(x)),
        (lambda f: td.vmap(td.grad(f))(td.stack([x, 2 * x]))),
        (lambda f: td.program(td.grad(f), x)(x)),
        (lambda f: td.jet(f, (x,), ([v, v, v],))[1][2]),
    ]
    for of in pairs:
        np.testing.assert_allclose(of(saving).cpu().numpy(), of(loss).cpu().numpy(), rtol=1e-10, atol=1e-12)


def test_a_budget_that_nothing_fits_names_one_that_does():
    weights, x = _deep_arguments(8)
    with pytest.raises(ValueError, match=r"\[checkpoint\] .* a budget of 1000 bytes: it needs \d+") as error:
        td.checkpoint(_deep, budget=1000)(weights, x)
    least = int(str(error.value).split()[-1])
    td.checkpoint(_deep, budget=least)(weights, x)
    with pytest.raises(ValueError, match="checkpoint"):
        td.checkpoint(_deep, budget=int(least * 0.99) - 1)(weights, x)
    assert float(td.checkpoint(lambda x: x, budget=0)(td.tensor(2.0))) == 2
    tree = td.checkpoint(lambda p: {"a": p["x"] * 2, "b": p["x"], "c": 3}, budget=10**6)({"x": td.ones(2)})
    assert tree["a"].tolist() == [2, 2]
    assert tree["b"].tolist() == [1, 1]


def _long(w, h, xs):
    last, ys = td.scan(lambda c, x: (td.tanh(c @ w + x), td.sum(c)), h, xs)
    return td.sum(last * last) + td.sum(ys)


def _long_arguments(steps, size=16, rows=256):
    key = td.random.key(3)
    w = td.random.normal(key, (size, size), dtype=td.float64) * 0.2
    return w, td.ones((rows, size), dtype=td.float64), td.linspace(0, 1, steps, dtype=td.float64)


@pytest.mark.cpu_only("reads the allocator of the cpu")
@pytest.mark.parametrize("reverse", [False, True])
def test_the_steps_of_a_scan_are_stages_of_a_budget(peak_bytes, reverse):
    def f(w, h, xs):
        return _long(w, h, xs[::-1] if reverse else xs)

    arguments = _long_arguments(500)
    carry = 256 * 16 * 8
    want = td.grad(f, argnums=(0, 1, 2))(*arguments)
    assert peak_bytes(lambda: td.grad(f, argnums=(0, 1, 2))(*arguments)) > 500 * carry
    for kept in (120, 60, 30):
        gradient = td.grad(td.checkpoint(f, budget=kept * carry), argnums=(0, 1, 2))
        close(gradient(*arguments), want, rtol=1e-12)
        assert peak_bytes(lambda: gradient(*arguments)) < (kept + 4) * carry  # noqa: B023


@pytest.mark.parametrize("reverse", [False, True])
def test_the_parts_of_a_scan_keep_its_order(reverse):
    def f(w, h, xs):
        last, ys = td.scan(lambda c, x: (td.tanh(c @ w + x), td.sum(c) * x), h, xs, reverse=reverse)
        return td.sum(last * last) + td.sum(ys * td.arange(len(xs)))

    for steps in (120, 133):
        arguments = _long_arguments(steps, 8, 32)
        value, gradients = td.value_and_grad(f, argnums=(0, 1, 2))(*arguments)
        for kept in (steps // 2, steps // 4):
            saving = td.checkpoint(f, budget=kept * 32 * 8 * 8)
            again, gradients_again = td.value_and_grad(saving, argnums=(0, 1, 2))(*arguments)
            close(again, value, rtol=1e-12)
            close(gradients_again, gradients, rtol=1e-11)


def test_a_scan_within_a_budget_in_every_transform():
    w, h, xs = _long_arguments(23, 3, 2)
    saving = lambda h: td.checkpoint(_long, budget=1500)(w, h, xs)
    loss = lambda h: _long(w, h, xs)
    with pytest.raises(ValueError, match="it needs"):
        td.checkpoint(_long, budget=300)(w, h, xs)
    for of in (
        lambda f: f(h),
        lambda f: td.grad(f)(h),
        lambda f: td.jvp(f, (h,), (h,))[1],
        lambda f: td.hessian(f)(h),
        lambda f: td.vmap(td.grad(f))(td.stack([h, 2 * h])),
        lambda f: td.program(td.grad(f), h)(h),
        lambda f: td.jet(f, (h,), ([h, h, h],))[1][2],
    ):
        close(of(saving), of(loss), rtol=1e-10)


@pytest.mark.cpu_only("reads the allocator of the cpu")
def test_what_skips_stages_counts_once_in_a_budget(peak_bytes):
    weights, x = td.tree.map(lambda a: a.astype(td.float64), _deep_arguments(24))
    activation, gradients = 128 * 64 * 8, 24 * 64 * 64 * 8

    def f(weights, x):
        start = [td.tanh(x * k) for k in (1.0, 2.0, 3.0, 4.0)]
        for w in weights:
            x = td.tanh(x @ w)
        return td.sum(x * x) + sum(td.sum(s * x) for s in start)

    want = td.grad(f)(weights, x)
    for kept in (24, 18):  # 4 of them skip all stages, as do their cotangents
        gradient = td.grad(td.checkpoint(f, budget=kept * activation))
        close(gradient(weights, x), want)
        assert peak_bytes(lambda: gradient(weights, x)) <= gradients + kept * activation  # noqa: B023


@pytest.mark.parametrize("order", ["dear first", "dear between"])
def test_what_costs_little_is_computed_again(order):
    """Within a budget that the inputs of products fit into, none of them is computed twice."""
    size = 64
    cheap, dear = ["sin"] * 8, ["product"] * 8
    stages = {"dear first": dear + cheap, "dear between": cheap[:4] + dear + cheap[4:]}
    w, x = td.eye(size) * 0.5, td.ones((size, size))

    def f(x):
        for stage in stages[order]:
            x = td.sin(x) if stage == "sin" else x @ w
        return td.sum(x)

    def calls(budget):
        text = str(td.program(td.grad(td.checkpoint(f, budget=budget)), x))
        return text.count("= matmul "), text.count("= sin ")

    products, sines = calls(10**9)
    assert products == 2 * len(dear)
    for kept in (17, 16, 15):
        again = calls(kept * x.nbytes)
        assert again[0] == products and again[1] > sines, kept


# --- vmap(control=)


def test_lanes_may_branch_one_by_one(device):
    taken = []

    def f(x, y):
        yes = lambda x: (td.debug.callback(lambda x: taken.append(float(x)), x), x * y)[1]
        return td.cond(x > 0, yes, lambda x: -x, x)

    x, y = td.tensor([1.0, -2.0, 3.0], device=device), td.tensor(2.0, device=device)
    for control, seen in (("select", [1, -2, 3]), ("loop", [1, 3])):
        taken.clear()
        lanes = td.vmap(f, in_axes=(0, None), control=control)
        assert lanes(x, y).tolist() == [2, 2, 6]
        assert taken == seen
        assert td.grad(lambda x: td.sum(lanes(x, y)))(x).tolist() == [2, -1, 2]  # noqa: B023
        assert td.grad(lambda y: td.sum(lanes(x, y)))(y).tolist() == 4  # noqa: B023


def test_lanes_may_loop_one_by_one(device):
    def halvings(x):
        return td.while_loop(lambda c: c[0] > 1, lambda c: (c[0] / 2, c[1] + 1), (x, 0))[1]

    x = td.tensor([0.5, 9.0, 3.0, 100.0], device=device)
    for control in ("select", "loop"):
        assert td.vmap(halvings, control=control)(x).tolist() == [0, 4, 2, 7]
        nested = td.vmap(td.vmap(halvings, control=control), control="loop")
        assert nested(x.reshape(2, 2)).tolist() == [[0, 4], [2, 7]]
        empty = td.vmap(halvings, control=control)(x[:0])
        assert empty.shape == (0,)


def test_lanes_may_look_at_values_one_by_one(device):
    def f(x, y):
        return x * y if float(x) > 0 else (x - y)

    x, y = td.tensor([1.0, -2.0], device=device), td.tensor([3.0, 4.0], device=device)
    with pytest.raises(td.TraceError):
        td.vmap(f)(x, y)
    lanes = td.vmap(f, in_axes=(0, None), control="loop")
    assert lanes(x, y).tolist() == [[3, 4], [-5, -6]]
    assert td.grad(lambda y: td.sum(lanes(x, y)))(y).tolist() == [0, 0]
    with pytest.raises(ValueError, match="control"):
        td.vmap(f, control="both")


@pytest.mark.cpu_only("reads the allocator of the cpu")
def test_a_budget_has_no_room_for_what_no_rule_keeps(peak_bytes):
    """A product that tanh alone reads, in any layout, is there while tanh runs."""
    activation, layers = 128 * 64 * 4, 24
    weights, x = _deep_arguments(layers)

    def f(weights, x):
        for w in weights:
            x = td.tanh((x @ w).reshape(-1).reshape(x.shape))
        return td.sum(x * x)

    for g in (_deep, f):
        want = td.grad(g)(weights, x)
        budget = (layers + 4) * activation
        gradient = td.grad(td.checkpoint(g, budget=budget))
        close(gradient(weights, x), want)
        assert str(td.program(gradient, weights, x)).count("= tanh ") == layers
        assert peak_bytes(lambda: gradient(weights, x)) <= layers * 64 * 64 * 4 + budget  # noqa: B023
