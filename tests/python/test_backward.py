"""backward(): accumulation, freeing, long chains, errors on the way."""

import time

import numpy as np
import pytest
import tidu as td


def leaf(*values):
    x = td.tensor([float(v) for v in values], dtype=td.float64)
    x.requires_grad = True
    return x


def test_accumulation():
    x = leaf(1, 2)
    (x * x).sum().backward()
    (x * x).sum().backward()
    assert x.grad.tolist() == [4, 8]
    x.grad = None
    assert x.grad is None
    y = x * 3
    y.backward(td.tensor([1.0, 10.0], dtype=td.float64))
    assert x.grad.tolist() == [3, 30]


def test_gradient_argument():
    x = leaf(1, 2)
    with pytest.raises((ValueError, td.GradientError), match="backward"):
        (x * x).backward()
    with pytest.raises(ValueError):
        (x * x).backward(td.ones((3,), dtype=td.float64))
    with pytest.raises(td.GradientError):
        td.ones((1,)).backward()
    assert x.grad is None


def test_a_graph_is_freed_once():
    x = leaf(1, 2)
    y = (x * x).sum()
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.tolist() == [4, 8]
    with pytest.raises(td.GradientError, match="retain_graph"):
        y.backward()
    assert x.grad.tolist() == [4, 8]


def test_diamonds_and_fan_out():
    x = leaf(2)
    y = x
    for _ in range(20):
        y = y + y
    y.backward()
    assert x.grad.tolist() == [2.0**20]


def test_a_leaf_used_by_two_graphs_and_one_unused():
    x, unused = leaf(3), leaf(1)
    first, second = x * x, x * x * x
    (first + second).backward()
    assert x.grad.tolist() == [6 + 27]
    assert unused.grad is None
    assert td.grad(lambda x: (unused * 1).sum())(td.tensor([1.0])).tolist() == [0]


def chain(n, live_bytes):
    """Processor seconds and peak bytes of a chain of n operations and its derivative, and bytes left over."""
    before = live_bytes()
    td.cpu.reset_peak_memory()
    start = time.process_time()
    x = td.tensor(1.0, dtype=td.float64)
    x.requires_grad = True
    y = x
    for _ in range(n // 2):
        y = y * 0.5
        y = y * 2.0
    y.backward()
    assert x.grad.tolist() == 1
    del x, y
    seconds = time.process_time() - start
    peak = td.cpu.memory_stats()["peak_bytes"] - before
    return seconds, peak, live_bytes() - before


@pytest.mark.cpu_only("tests the engine, with more launches than an emulation makes in a minute")
def test_a_chain_of_a_million_operations(live_bytes):
    short_seconds, short_peak, _ = chain(100_000, live_bytes)
    seconds, peak, left = chain(1_000_000, live_bytes)
    assert left == 0
    assert peak < 12 * short_peak
    assert seconds < 25 * short_seconds


@pytest.mark.cpu_only("tests the engine, with more launches than an emulation makes in a minute")
def test_a_long_chain_is_released_unused(live_bytes):
    before = live_bytes()
    x = leaf(1)
    y = x
    for _ in range(300_000):
        y = y + 1.0
    del y
    assert live_bytes() - before <= 8
    tangent = td.jvp(lambda x: repeat(x, 20_000), (x.detach(),), (x.detach(),))[1]
    assert tangent.tolist() == [1]
    assert td.grad(lambda x: repeat(x, 300_000).sum())(x.detach()).tolist() == [1]


def repeat(x, n):
    for _ in range(n):
        x = x + 1.0
    return x


@pytest.mark.parametrize("create_graph", [False, True])
def test_an_exception_in_backward_leaves_nothing(create_graph, live_bytes):
    @td.custom_vjp
    def fails(x):
        return x * 1

    def forward(x):
        return x * 1, None

    def backward(residuals, cotangent):
        raise ArithmeticError("in the middle")

    fails.defvjp(forward, backward)

    def attempt():
        x = td.tensor(np.ones(10_000))
        x.requires_grad = True
        y = td.exp(td.sin(x))
        for _ in range(5):
            y = td.exp(td.sin(y))
        y = fails(y)
        for _ in range(5):
            y = td.exp(td.sin(y))
        with pytest.raises(ArithmeticError, match="in the middle"):
            y.sum().backward(create_graph=create_graph)
        with pytest.raises(ArithmeticError, match="in the middle"):
            td.grad(lambda x: fails(td.exp(x)).sum())(x.detach())
        assert x.grad is None

    attempt()
    before = live_bytes()
    attempt()
    assert live_bytes() == before
    assert td.grad(lambda x: (x * x).sum())(td.tensor([3.0])).tolist() == [6]


def test_overwritten_value_leaves_nothing(live_bytes):
    def attempt():
        x = td.tensor(np.ones(10_000))
        x.requires_grad = True
        y = x * 1
        z = td.exp(y * y)
        y += 1
        with pytest.raises(td.GradientError):
            z.sum().backward()

    attempt()
    before = live_bytes()
    attempt()
    assert live_bytes() == before


def test_gradients_free_their_graphs(live_bytes):
    x = td.tensor(np.ones(10_000))

    def work():
        td.grad(lambda x: td.exp(td.sin(x)).sum())(x)
        td.hvp(lambda x: td.exp(td.sin(x)).sum(), (x,), (x,))
        y, pullback = td.vjp(td.exp, x)
        pullback(y)
        leaf = td.copy(x)
        leaf.requires_grad = True
        td.exp(leaf).sum().backward()
        (td.exp(leaf) * leaf).sum()

    work()
    before = live_bytes()
    for _ in range(3):
        work()
    assert live_bytes() == before


def cube_of_leaf():
    x = td.tensor(np.ones(10_000))
    x.requires_grad = True
    (x**3).sum().backward(create_graph=True)
    x.grad.sum().backward(create_graph=True)
    return x, x.grad


def cube_of_result():
    x = td.tensor(np.ones(10_000))
    x.requires_grad = True
    y = td.sin(x)
    y.retain_grad()
    (y**3).sum().backward(create_graph=True)
    return x, y, y.grad


def cube_of_written():
    x = td.tensor(np.ones(10_000))
    x.requires_grad = True
    y = td.copy(x)
    y[0] = x[1] * x[2]
    y.retain_grad()
    (y**3).sum().backward(create_graph=True)
    return x, y.grad


def used_before_it_was_watched():
    x = td.tensor(np.ones(10_000))
    x.requires_grad = True
    y = td.sin(x)
    z = y * y
    y.retain_grad()
    (z * y).sum().backward(create_graph=True)
    assert y.grad.requires_grad and y.grad.sum().item() == pytest.approx(3e4 * np.sin(1) ** 2)
    return x, y, z


def watched_by_its_own_hook():
    x = td.tensor(np.ones(10_000))
    x.requires_grad = True
    y = td.sin(x)
    y.register_hook(lambda g: g * y)
    (y * y).sum().backward(create_graph=True)
    assert x.grad.sum().item() == pytest.approx(2e4 * np.sin(1) ** 2 * np.cos(1))
    return x, y


def leaf_watched_by_its_own_hook():
    x = td.tensor(np.ones(10_000))
    x.requires_grad = True
    x.register_hook(lambda g: g * x)
    (x * x).sum().backward()
    return x


def leaves_of_each_other():
    x, w = td.tensor(np.ones(10_000)), td.tensor(np.ones(10_000))
    x.requires_grad = w.requires_grad = True
    td.logsumexp(td.softmax(x * w) * w).backward(create_graph=True)
    (x.grad * w.grad).sum().backward(create_graph=True)
    return x, w


def gradient_penalty():
    model = td.nn.Linear(100, 100)
    model(td.ones((4, 100))).sigmoid().sum().backward(create_graph=True)
    sum((p.grad**2).sum() for p in model.parameters()).backward()
    return model


def rule_of_own():
    @td.custom_vjp
    def square(x):
        return x * x

    square.defvjp(lambda x: (x * x, x), lambda x, cotangent: (2 * x * cotangent,))
    x = td.tensor(np.ones(10_000))
    x.requires_grad = True
    td.sin(square(x)).sum().backward(create_graph=True)
    return x


@pytest.mark.parametrize(
    "work",
    [
        cube_of_leaf,
        cube_of_result,
        cube_of_written,
        used_before_it_was_watched,
        watched_by_its_own_hook,
        leaf_watched_by_its_own_hook,
        leaves_of_each_other,
        gradient_penalty,
        rule_of_own,
    ],
)
def test_gradients_with_graphs_go_with_their_tensors(work, live_bytes):
    work()
    before = live_bytes()
    for _ in range(3):
        kept = work()
        assert live_bytes() > before
        del kept
    assert live_bytes() == before


def test_hooks_stay_while_a_graph_may_call_them(live_bytes):
    x = td.tensor([1.0, 2.0], requires_grad=True)
    seen = []

    def loss():
        y = x * x

        def hook(g):
            seen.append(y.tolist())
            return g * y

        y.register_hook(hook)
        return y.sum()

    result = loss()
    live_bytes()  # collects
    result.backward()
    assert seen == [[1, 4]] and x.grad.tolist() == [2, 16]
    y = x * 1
    y.register_hook(lambda g: seen.append(y.tolist()))
    held = [y]
    live_bytes()
    y.sum().backward()
    assert len(seen) == 2 and held[0] is y


def test_a_tensor_may_be_written_to_after_it_is_watched():
    x = td.tensor([1.0, 2.0], requires_grad=True)
    y = x * 3
    kept = [td.sin(y)]
    y[0] = x[1] * 5
    y.retain_grad()
    (y * y).sum().backward()
    assert y.grad.tolist() == [20, 12] and x.grad.tolist() == [0, 136] and kept[0].requires_grad


def test_a_gradient_stays_while_some_tensor_has_the_leaf(live_bytes):
    x = td.tensor([1.0, 2.0], requires_grad=True)
    loss = (x**3).sum()
    held = [x]
    loss.backward(create_graph=True)
    del x
    live_bytes()
    assert held[0].grad.tolist() == [3, 12] and held[0].grad.requires_grad
    held[0].grad.sum().backward()
    assert held[0].grad.tolist() == [9, 24]
    lost = (td.tensor([1.0], requires_grad=True) * held[0]).sum()
    held[0].grad = None
    lost.backward()
    assert held[0].grad.tolist() == [1, 1]


def test_out_of_memory(live_bytes, device):
    memory = td.cuda if device.type == "cuda" else td.cpu
    before = live_bytes()
    x = td.ones((1000,))
    memory.empty_cache()
    memory.set_memory_limit(64 << 20)
    try:
        with pytest.raises(MemoryError, match=r"\d") as caught:
            td.ones((100 << 20,))
        assert "400" in str(caught.value) or str(400 << 20) in str(caught.value)
        with pytest.raises(MemoryError):
            td.broadcast_to(x, (100_000, 1000)) + x
        big = td.ones((4 << 20,))
        leaf = td.copy(big)
        leaf.requires_grad = True
        with pytest.raises(MemoryError):
            y = leaf
            for _ in range(10):
                y = td.sin(y)
            y.sum().backward()
        del big, leaf, y
        assert td.sum(x + x).tolist() == 2000
    finally:
        memory.set_memory_limit(1 << 40)
    del caught, x
    assert live_bytes() == before
    assert td.sum(td.ones((20 << 20,))).tolist() == 20 << 20


# --- Watching gradients


def test_hooks_see_and_replace_gradients():
    x = td.tensor([1.0, 2.0], requires_grad=True)
    y = x * 3
    seen = []
    first = y.register_hook(lambda g: seen.append(g.tolist()))
    second = y.register_hook(lambda g: g * 10)
    third = x.register_hook(lambda g: seen.append(g.tolist()))
    (y * y + y).sum().backward(retain_graph=True)  # y's gradient is 2 y + 1, of two uses
    assert seen == [[7, 13], [210, 390]] and x.grad.tolist() == [210, 390]
    x.grad = None
    second.remove(), third.remove()
    (y * y + y).sum().backward(retain_graph=True)
    assert seen[2:] == [[7, 13]] and x.grad.tolist() == [21, 39]
    first.remove()
    third = x.register_hook(lambda g: td.zeros_like(g))
    (y * y).sum().backward()
    assert x.grad.tolist() == [21, 39] and len(seen) == 3


def test_hooks_may_go_backward_themselves():
    """Through a graph of their own or another one; what they compute is recorded on demand."""
    w = td.tensor([1.0, 2.0], requires_grad=True)
    other = (w * w).sum()
    seen = []

    def own_graph(g):
        seen.append((td.is_grad_enabled(), (w * g).requires_grad))
        with td.enable_grad():
            (w * g.detach()).sum().backward()

    x = td.tensor([3.0, 4.0], requires_grad=True)
    y = x * x
    first = y.register_hook(own_graph)
    y.sum().backward(retain_graph=True)
    assert x.grad.tolist() == [6, 8] and w.grad.tolist() == [1, 1] and seen == [(False, False)]
    first.remove()
    x.grad = w.grad = None
    y.register_hook(lambda g: other.backward())
    y.sum().backward()
    assert x.grad.tolist() == [6, 8] and w.grad.tolist() == [2, 4]

    x.grad = w.grad = None
    x.register_hook(own_graph)  # of a leaf, whose sum is known last
    (x * x).sum().backward()
    assert x.grad.tolist() == [6, 8] and w.grad.tolist() == [6, 8]
    assert td.is_grad_enabled() and (w * 2).requires_grad


def test_hooks_that_fail_leave_gradients_as_they_were():
    x = td.tensor([1.0, 2.0], requires_grad=True)
    x.register_hook(lambda g: g[:1])
    with pytest.raises(td.ShapeError, match="register_hook"):
        (x * 2).sum().backward()
    y = td.tensor(1.0, requires_grad=True)
    y.register_hook(lambda g: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        (y * 2).backward()
    assert x.grad is None and y.grad is None
    for method in ("retain_grad", "register_hook"):
        with pytest.raises(td.GradientError, match=method):
            getattr(td.ones(2), method)(*([print] * (method == "register_hook")))


def test_results_retain_gradients_when_told():
    x = td.tensor([1.0, 2.0], requires_grad=True)
    y = x * 3
    z = y + 1
    y.retain_grad(), x.retain_grad()
    (z * z).sum().backward(retain_graph=True)
    assert y.grad.tolist() == [8, 14] and z.grad is None and x.grad.tolist() == [24, 42]
    (z * z).sum().backward()
    assert y.grad.tolist() == [16, 28]
    u = x * 2
    u.retain_grad()
    (u**3).sum().backward(create_graph=True)
    (u.grad.sum()).backward()
    np.testing.assert_allclose(x.grad.tolist(), [48 + 24 + 24, 84 + 96 + 48])


# --- Scopes around what is suspended


def test_no_grad_on_generators():
    @td.no_grad()
    def steps(x):
        sent = []
        for _ in range(3):
            try:
                assert not td.is_grad_enabled()
                sent.append((yield x * 2))
            except KeyError:
                sent.append("caught")
        assert not td.is_grad_enabled()
        return sent

    x = td.tensor(1.0, requires_grad=True)
    walk = steps(x)
    assert not next(walk).requires_grad and td.is_grad_enabled() and (x * 2).requires_grad
    assert not walk.send("a").requires_grad and td.is_grad_enabled()
    walk.throw(KeyError())
    with pytest.raises(StopIteration) as end:
        walk.send("b")
    assert end.value.value == ["a", "caught", "b"] and td.is_grad_enabled()
    closing = steps(x)
    next(closing)
    closing.close()
    assert list(closing) == [] and td.is_grad_enabled()


def test_no_grad_on_coroutines():
    import asyncio

    @td.no_grad()
    async def double(x, gate):
        await gate
        assert not td.is_grad_enabled()
        return x * 2

    @td.no_grad()
    async def count(n):
        for i in range(n):
            await asyncio.sleep(0)
            assert not td.is_grad_enabled()
            yield td.tensor(float(i))

    async def main():
        x = td.tensor(1.0, requires_grad=True)
        results = await asyncio.gather(*(double(x, asyncio.sleep(0.001 * (3 - i))) for i in range(3)))
        assert td.is_grad_enabled() and not any(y.requires_grad for y in results)
        values = []
        async for y in count(3):
            assert td.is_grad_enabled()
            values.append(y.item())
        return values

    assert asyncio.run(main()) == [0, 1, 2]
    assert td.is_grad_enabled()


@pytest.mark.cpu_only("kernels of the cpu read an element before they write it")
def test_terms_of_a_gradient_are_added_up_in_place(peak_bytes):
    w = td.ones((512, 512), dtype=td.float32).requires_grad_()
    x = td.full((1, 512), 1e-3, dtype=td.float32)

    def step():
        (x @ w @ w).sum().backward()
        np.testing.assert_allclose(w.grad.numpy(), 2 * 512 * 1e-3, rtol=1e-5)
        w.grad = None

    assert peak_bytes(step) < 2.1 * 4 * 512**2
