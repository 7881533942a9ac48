"""compile: loops and branches run bodies that are prepared once."""

import threading

import numpy as np
import pytest
import tidu as td
from samplers import assert_trees_close

STEPS, BATCH, INPUTS, HIDDEN = 20, 3, 5, 4


def bits(tree):
    return [np.asarray(leaf.detach().cpu()).tobytes() for leaf in td.tree_leaves(tree)]


def problem(gates, device, dtype=np.float32):
    rng = np.random.default_rng(0)

    def normal(*shape):
        return td.asarray(rng.standard_normal(shape).astype(dtype) / 2, device=device)

    weights = {
        "x": normal(gates * HIDDEN, INPUTS),
        "h": normal(HIDDEN, gates * HIDDEN),
        "b": normal(gates * HIDDEN),
    }
    return weights, normal(BATCH, STEPS, INPUTS)


def rnn(weights, h, x):
    h = td.tanh(x @ weights["x"].T + h @ weights["h"] + weights["b"])
    return h, h


def lstm(weights, carry, x):
    h, c = carry
    gates = x @ weights["x"].T + h @ weights["h"] + weights["b"]
    i, f, o, g = (gates[:, k * HIDDEN : (k + 1) * HIDDEN] for k in range(4))
    c = td.sigmoid(f) * c + td.sigmoid(i) * td.tanh(g)
    h = td.sigmoid(o) * td.tanh(c)
    return (h, c), h


CELLS = {"rnn": (rnn, 1), "lstm": (lstm, 4)}


def begin(cell, xs):
    zeros = td.zeros((BATCH, HIDDEN), dtype=xs.dtype, device=xs.device)
    return zeros if cell is rnn else (zeros, zeros)


def by_scan(cell, reverse=False, **options):
    def loss(weights, xs):
        steps = xs.swapaxes(0, 1)  # read where they lie, as views
        _, ys = td.scan(
            lambda carry, x: cell(weights, carry, x), begin(cell, xs), steps, reverse=reverse, **options
        )
        return (ys * ys).mean()

    return loss


def by_loop(cell, reverse=False):
    def loss(weights, xs):
        carry, ys = begin(cell, xs), [None] * STEPS
        for t in reversed(range(STEPS)) if reverse else range(STEPS):
            carry, ys[t] = cell(weights, carry, xs[:, t])
        ys = td.stack(ys)
        return (ys * ys).mean()

    return loss


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("name", CELLS)
def test_recurrent_networks(name, reverse, device):
    cell, gates = CELLS[name]
    weights, xs = problem(gates, device)
    scanned, looped = by_scan(cell, reverse), by_loop(cell, reverse)
    assert bits(scanned(weights, xs)) == bits(looped(weights, xs))
    compiled = td.compile(scanned)
    gradient = td.compile(td.value_and_grad(scanned))
    for k in (1.0, 0.5):  # what a step closes over is read at each call
        weights["h"][...] = weights["h"] * k
        assert bits(compiled(weights, xs)) == bits(scanned(weights, xs))
        eager = td.value_and_grad(scanned)(weights, xs)
        assert bits(gradient(weights, xs)) == bits(eager)
        assert_trees_close(td.value_and_grad(compiled)(weights, xs), eager, 1e-5)
    double = problem(gates, device, np.float64)
    assert_trees_close(td.compile(td.grad(scanned))(*double), td.grad(looped)(*double), 1e-12)


def test_derivatives_of_derivatives_and_lanes(device):
    weights, xs = problem(1, device, np.float64)
    scanned = by_scan(rnn)

    def curvature(weights, xs):
        return td.grad(lambda w: td.jvp(lambda v: scanned(v, xs), (w,), (w,))[1])(weights)

    assert_trees_close(td.compile(curvature)(weights, xs), curvature(weights, xs), 1e-13)
    lanes = td.stack([xs, 2 * xs])
    of_lanes = td.vmap(td.grad(scanned), in_axes=(None, 0))
    assert_trees_close(td.compile(of_lanes)(weights, lanes), of_lanes(weights, lanes), 1e-13)
    sparing = by_scan(rnn, checkpoint_every=6)
    assert_trees_close(td.compile(td.grad(sparing))(weights, xs), td.grad(scanned)(weights, xs), 1e-12)


def test_loops_in_loops(device):
    def f(x, n):
        def outer(carry, k):
            def keeps_on(state):
                return state[1] < n

            def halved(state):
                return td.cond(
                    state[0].sum() > 0, lambda s: (s[0] * 0.5, s[1] + 1), lambda s: (-s[0], s[1] + 1), state
                )

            inner, count = td.while_loop(keeps_on, halved, (carry + k, n * 0))
            return inner, (count, inner.T)

        return td.scan(outer, x, td.arange(17, dtype=td.float32, device=x.device))

    x = td.asarray(np.arange(6, dtype=np.float32).reshape(2, 3) - 2, device=device)
    compiled = td.compile(f)
    for n in (0, 1, 2, 5):
        count = td.asarray(n, device=device)
        want, counts, inners = x, [], []
        for k in range(17):
            want = want + float(k)
            for _ in range(n):
                want = want * 0.5 if want.sum().item() > 0 else -want
            counts.append(n)
            inners.append(want.T)
        got, (got_counts, got_inners) = compiled(x, count)
        assert bits(got) == bits(want)
        assert got_counts.tolist() == counts
        assert bits(got_inners) == bits(td.stack(inners))


def test_callbacks_and_errors_in_steps(device):
    seen = []

    def f(table, indices):
        def step(total, i):
            td.debug.callback(lambda value: seen.append(value.item()), total)
            return total + td.take(table, i), None

        return td.scan(step, td.zeros((), device=table.device), indices)[0]

    table = td.arange(10, device=device).astype(td.float32)
    compiled = td.compile(f)
    good = td.asarray(np.arange(20) % 10, device=device)
    for _ in range(2):
        seen.clear()
        assert compiled(table, good).item() == 90
        assert seen == np.concatenate([[0], np.cumsum(np.arange(20) % 10)[:-1]]).tolist()
    bad = td.asarray(np.arange(20), device=device)
    with pytest.raises(IndexError):
        compiled(table, bad).item()
    assert compiled(table, good).item() == 90


def test_threads_have_loops_of_their_own(device):
    weights, xs = problem(4, device)
    gradient = td.compile(td.grad(by_scan(lstm)))
    want = [bits(gradient(weights, xs * k)) for k in range(4)]
    got = [None] * 4

    def work(k):
        got[k] = [bits(gradient(weights, xs * k)) for _ in range(3)]

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == [[w] * 3 for w in want]


def test_what_is_run_is_explained(device):
    weights, xs = problem(1, device)
    text = td.compile(td.grad(by_scan(rnn))).explain(weights, xs)
    assert text.count(f"{STEPS} steps, of each of which are run") == 2


def test_numbers_of_the_code_are_computed_once(device):
    def f(x):
        mask = td.arange(4, device=x.device) < td.tensor([1, 5, 2, 7], device=x.device)
        return x * td.where(mask, td.sqrt(td.tensor([1.0, 4.0, 9.0, 16.0], device=x.device)), 0.0)

    compiled = td.compile(f)
    x = td.asarray([1.0, -2.0, 3.0, 0.5], dtype=td.float32, device=device)
    for k in range(3):
        assert bits(compiled(x * k)) == bits(f(x * k))
    run = compiled.explain(x).split("\nrun, ")[1]
    assert [name for name in ("arange", "sqrt", "where", "less") if f"{name} " in run] == []
    assert "multiply" in run


def test_a_result_that_is_a_number_of_the_code_may_be_written_to(device):
    compiled = td.compile(lambda x: (x * 2, td.tensor([1.0, 2.0], device=x.device)))
    x = td.ones((2,), device=device)
    for run in (compiled, lambda x: [leaf[0] for leaf in td.vmap(compiled)(x[None])]):
        for _ in range(2):
            number = run(x)[1]
            assert number.tolist() == [1, 2]
            number[...] = 7


def test_steps_share_constants_with_each_other_and_what_is_around(device):
    """What steps would compute again of a constant is computed once, wherever else the constant is read."""
    table = td.asarray([0.5, -1.0, 2.0], dtype=td.float64, device=device)
    other = td.asarray([0.25, 0.75, -0.5], dtype=td.float64, device=device)
    grown = lambda h, _: (h * td.exp(table) + td.sin(other), None)
    shrunk = lambda h, x: (h * td.exp(-td.abs(table)) + td.exp(other) * x, td.sin(other) * h)

    def f(x, xs):
        h = td.scan(grown, x + other, length=3)[0]
        h, ys = td.scan(shrunk, h * td.cos(table), xs)
        return td.scan(grown, h, length=2)[0] + table, ys

    def expected(x, xs):
        t, o = table.cpu().numpy(), other.cpu().numpy()
        h, ys = x + o, []
        for _ in range(3):
            h = h * np.exp(t) + np.sin(o)
        h = h * np.cos(t)
        for step in xs:
            ys.append(np.sin(o) * h)
            h = h * np.exp(-np.abs(t)) + np.exp(o) * step
        for _ in range(2):
            h = h * np.exp(t) + np.sin(o)
        return td.asarray(h + t, device=device), td.asarray(np.stack(ys), device=device)

    x, xs = np.array([1.0, -2.0, 0.5]), np.arange(12.0).reshape(4, 3) / 7
    given = [td.asarray(a, device=device) for a in (x, xs)]
    compiled = td.compile(f)
    for scale in (1.0, -0.5):  # constants are read anew at each call
        table[...] = table * scale
        assert_trees_close(compiled(*given), expected(x, xs), 1e-13)
