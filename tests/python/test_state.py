"""What Python objects hold from step to step: modules, optimisers, schedules and loaders, moved, saved,
loaded and left."""

import asyncio
import inspect
import pickle

import numpy as np
import pytest
import tidu as td
from tidu import nn

F = nn.functional


class Tied(nn.Module):
    """Encodes and decodes by one weight, under two names."""

    def __init__(self):
        self.encoder = nn.Linear(3, 3, bias=False, key=td.random.key(1), dtype=td.float64)
        self.decoder = nn.Linear(3, 3, bias=False, key=td.random.key(2), dtype=td.float64)
        self.decoder.weight = self.encoder.weight

    def forward(self, x):
        return self.decoder(td.tanh(self.encoder(x)))


def batch():
    return td.tensor(np.linspace(-1, 1, 12).reshape(4, 3))


def loss(net, x):
    return (net(x) ** 2).sum()


def steps(net, optimiser, count):
    for _ in range(count):
        net.zero_grad()
        loss(net, batch()).backward()
        optimiser.step()


def values(net):
    return [p.detach().cpu().numpy() for p in net.parameters()]


# --- Tied weights


def test_tied_weights_are_one_parameter():
    net = Tied()
    assert [name for name, _ in net.named_parameters()] == ["encoder.weight"]
    assert list(net.state_dict()) == ["encoder.weight"] and list(net.params()) == ["encoder.weight"]

    def of_weight(w):
        return ((td.tanh(batch() @ w.T) @ w.T) ** 2).sum()

    weight = net.encoder.weight.detach()
    expected = td.grad(of_weight)(weight).cpu().numpy()
    loss(net, batch()).backward()
    np.testing.assert_allclose(net.encoder.weight.grad.cpu().numpy(), expected, rtol=1e-12)
    by_params = td.grad(lambda p: (nn.functional_call(net, p, batch()) ** 2).sum())(net.params())
    np.testing.assert_allclose(by_params["encoder.weight"].cpu().numpy(), expected, rtol=1e-12)

    before = weight.cpu().numpy().copy()
    td.optim.SGD(net.parameters(), lr=0.1).step()  # once, not once a name
    np.testing.assert_allclose(values(net)[0], before - 0.1 * expected, rtol=1e-12)
    assert net.decoder.weight is net.encoder.weight


def test_tied_weights_stay_tied():
    net = Tied()
    for change in (
        lambda: net.to(td.float32),
        lambda: net.double(),
        lambda: net.load_state_dict(Tied().state_dict()),
        lambda: net.requires_grad_(False).requires_grad_(True),
        lambda: nn.functional_call(net, {"encoder.weight": td.zeros((3, 3), dtype=td.float64)}, batch()),
    ):
        change()
        assert net.decoder.weight is net.encoder.weight
        assert len(net.parameters()) == 1
    replaced = nn.functional_call(net, {"encoder.weight": td.zeros((3, 3), dtype=td.float64)}, batch())
    assert (replaced.cpu().numpy() == 0).all()  # under both names


# --- States that are loaded, then used

OPTIMISERS = [
    lambda p: td.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True),
    lambda p: td.optim.Adam(p, lr=0.1),
    lambda p: td.optim.AdamW(p, lr=0.1),
    lambda p: td.optim.RMSprop(p, lr=0.1, momentum=0.5),
]


@pytest.mark.parametrize("make", OPTIMISERS)
def test_loading_a_state_then_stepping(make, tmp_path):
    """The run that was saved, and the one that loads it, go on alike, and neither moves the other."""
    net = Tied()
    optimiser = make(net.parameters())
    steps(net, optimiser, 3)
    td.save(tmp_path / "state", {"net": net.state_dict(), "optimiser": optimiser.state_dict()})
    in_memory = optimiser.state_dict()
    at_save = values(net)[0].copy()

    other = Tied()
    resumed = make(other.parameters())
    steps(other, resumed, 1)  # what it has of its own must go
    saved = td.load(tmp_path / "state")
    other.load_state_dict(saved["net"])
    resumed.load_state_dict(saved["optimiser"])
    other.zero_grad()
    steps(other, resumed, 2)
    np.testing.assert_array_equal(values(net)[0], at_save)
    steps(net, optimiser, 2)
    np.testing.assert_array_equal(values(other)[0], values(net)[0])
    assert not np.array_equal(values(net)[0], at_save)

    again = make(Tied().parameters())
    again.load_state_dict(in_memory)  # a copy: steps of one leave the other's buffers
    before = [
        b.tolist() for name in again._buffers(again.param_groups[0]) for b in again.param_groups[0][name]
    ]
    steps(net, optimiser, 1)
    after = [
        b.tolist() for name in again._buffers(again.param_groups[0]) for b in again.param_groups[0][name]
    ]
    assert before == after


@pytest.mark.parametrize("make", OPTIMISERS)
def test_two_optimisers_that_load_one_state(make):
    """The steps of one move neither the other nor the state."""
    net = Tied()
    optimiser = make(net.parameters())
    steps(net, optimiser, 2)
    state = optimiser.state_dict()
    nets = Tied(), Tied()
    both = [make(each.parameters()) for each in nets]
    for each, own in zip(nets, both, strict=True):
        each.load_state_dict(net.state_dict())
        own.load_state_dict(state)
    steps(nets[0], both[0], 3)
    assert [group["steps"] for group in state["groups"]] == [[2]]
    assert [group["steps"] for group in both[1].param_groups] == [[2]]
    steps(nets[1], both[1], 3)
    np.testing.assert_array_equal(values(nets[1])[0], values(nets[0])[0])


def test_loading_keeps_the_parameters_themselves():
    net = Tied()
    weight, optimiser = net.encoder.weight, td.optim.SGD(net.parameters(), lr=1.0)
    state = {"encoder.weight": td.ones((3, 3), dtype=td.float64)}
    loss(net, batch()).backward()
    gradient = weight.grad
    net.load_state_dict(state)
    assert net.encoder.weight is weight and weight.requires_grad and weight.is_leaf
    assert weight.grad is not None and weight.grad.tolist() == gradient.tolist()
    weight.grad = td.ones((3, 3), dtype=td.float64)
    optimiser.step()
    assert (values(net)[0] == 0).all()
    assert (state["encoder.weight"].cpu().numpy() == 1).all()


def test_a_state_shares_the_modules_memory_and_a_loaded_one_does_not():
    net, other = Tied(), Tied()
    state = net.state_dict()
    other.load_state_dict(state)
    steps(net, td.optim.SGD(net.parameters(), lr=0.1), 1)
    np.testing.assert_array_equal(state["encoder.weight"].cpu().numpy(), values(net)[0])
    assert not np.array_equal(values(other)[0], values(net)[0])


# --- Module.to


def test_to_takes_gradients_along():
    net = nn.Linear(2, 2, key=td.random.key(0))
    loss(net, td.ones((1, 2))).backward()
    gradients = [p.grad.cpu().numpy() for p in net.parameters()]
    net.to(td.float64)
    for parameter, gradient in zip(net.parameters(), gradients, strict=True):
        assert parameter.dtype == td.float64 and parameter.requires_grad and parameter.is_leaf
        assert parameter.grad.dtype == td.float64
        np.testing.assert_array_equal(parameter.grad.cpu().numpy(), gradient)
    loss(net, td.ones((1, 2), dtype=td.float64)).backward()  # and adds to them
    for parameter, gradient in zip(net.parameters(), gradients, strict=True):
        np.testing.assert_allclose(parameter.grad.cpu().numpy(), 2 * gradient, rtol=1e-6)


def test_to_what_it_is_keeps_the_parameters():
    net = nn.Linear(2, 2, key=td.random.key(0))
    before = net.parameters()
    loss(net, td.ones((1, 2))).backward()
    gradients = [p.grad.tolist() for p in before]
    net.to(td.float32)
    net.float()
    for own, old, gradient in zip(net.parameters(), before, gradients, strict=True):
        assert own is old and own.grad.tolist() == gradient


def test_to_keeps_what_is_frozen_frozen_and_integers_integers():
    net = nn.Linear(2, 2, key=td.random.key(0))
    net.register_buffer("count", td.tensor(3))
    net.weight.requires_grad = False
    net.to(td.float16)
    assert not net.weight.requires_grad and net.bias.requires_grad
    assert net.weight.dtype == td.float16 and net.count.dtype == td.int64
    assert net.weight.grad is None and net.bias.grad is None


# --- Gradients' dtypes


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
@pytest.mark.parametrize("other", ["float16", "bfloat16", "float32", "float64", "int32", "bool"])
def test_a_gradient_has_its_leafs_dtype(dtype, other):
    dtype, other = getattr(td, dtype), getattr(td, other)
    factor = td.tensor([1, 0, 1], dtype=other)

    def f(x):
        return ((x * factor + factor).astype(td.float64) * x.astype(td.float32)).sum()

    x = td.tensor([1.0, 2.0, 4.0], dtype=dtype)
    for gradient in (td.grad(f)(x), td.vjp(f, x)[1](td.tensor(1.0, dtype=td.float64))[0]):
        assert gradient.dtype == dtype
        assert gradient.tolist() == [3, 0, 9]
    leaf = td.copy(x)
    leaf.requires_grad = True
    for times in (1, 2):
        f(leaf).backward()
        assert leaf.grad.dtype == dtype
        assert leaf.grad.tolist() == [3 * times, 0, 9 * times]
    value, tangent = td.jvp(f, (x,), (td.ones_like(x),))
    assert value.dtype == tangent.dtype == td.float64 and tangent.item() == 12
    assert td.hvp(f, (x,), (td.ones_like(x),))[0].dtype == dtype


def test_a_cotangent_of_another_dtype_is_refused():
    x = td.ones(2, dtype=td.float16, requires_grad=True)
    with pytest.raises(td.ShapeError, match="float32"):
        (x * 2).backward(td.ones(2))
    with pytest.raises(td.ShapeError, match="float64"):
        x.grad = td.ones(2, dtype=td.float64)
    assert x.grad is None


# --- Modes of differentiation around methods


class Counter:
    def __init__(self, scale):
        self.scale = scale

    @td.no_grad
    def value(self, x, offset=0.0):
        assert not td.is_grad_enabled()
        return x * self.scale + offset

    @td.enable_grad
    def tracked(self, x):
        assert td.is_grad_enabled()
        return x * self.scale

    @classmethod
    @td.no_grad
    def of_class(cls, x):
        return cls, x * 2

    @staticmethod
    @td.no_grad
    def of_none(x):
        return x * 3

    @property
    @td.no_grad
    def doubled(self):
        return self.scale * 2


def test_modes_on_methods():
    scale = td.tensor(2.0, requires_grad=True)
    counter, x = Counter(scale), td.tensor(3.0, requires_grad=True)
    assert counter.value(x, offset=1.0).item() == 7 and not counter.value(x).requires_grad
    assert counter.tracked(x).requires_grad
    with td.no_grad():
        counter.tracked(x).backward()
        assert not (x * 2).requires_grad
    assert x.grad.item() == 2 and scale.grad.item() == 3
    assert Counter.of_class(x)[0] is Counter and not counter.of_class(x)[1].requires_grad
    assert not Counter.of_none(x).requires_grad and counter.of_none(x).item() == 9
    assert not counter.doubled.requires_grad
    assert Counter.value(counter, x).item() == 6
    assert counter.value.__name__ == "value" if hasattr(counter.value, "__name__") else True
    assert td.is_grad_enabled()


def test_modes_decorate_every_kind_of_function():
    class Other:
        @td.no_grad()
        @staticmethod
        def of_none():
            return td.is_grad_enabled()

        @td.no_grad
        @classmethod
        def of_class(cls):
            return cls, td.is_grad_enabled()

    assert not Other().of_none() and not Other.of_none()
    assert Other.of_class() == Other().of_class() == (Other, False)

    @td.no_grad
    def numbers(n):
        for i in range(n):
            yield i, td.is_grad_enabled()
        return "end"

    @td.no_grad()
    async def later(n):
        return n, td.is_grad_enabled()

    @td.no_grad
    async def several(n):
        for i in range(n):
            yield i, td.is_grad_enabled()

    assert inspect.isgeneratorfunction(numbers) and numbers.__name__ == "numbers"
    assert inspect.iscoroutinefunction(later) and inspect.isasyncgenfunction(several)
    assert list(numbers(2)) == [(0, False), (1, False)] and asyncio.run(later(1)) == (1, False)
    assert pickle.loads(pickle.dumps(at_the_top)) is at_the_top and not at_the_top()
    for unfit in (3, Other, "f"):
        with pytest.raises(TypeError, match="decorates functions"):
            td.no_grad(unfit)
        with pytest.raises(TypeError, match="decorates functions"):
            td.enable_grad()(unfit)


@td.no_grad
def at_the_top():
    return td.is_grad_enabled()


def test_scopes_that_are_left_out_of_order():
    first, second = td.no_grad(), td.enable_grad()
    first.__enter__()
    second.__enter__()
    with pytest.raises(RuntimeError, match="reverse order"):
        first.__exit__(None, None, None)
    assert td.is_grad_enabled()  # as the second says
    second.__exit__(None, None, None)
    assert td.is_grad_enabled()

    def suspended():
        with td.no_grad():
            yield

    steps = suspended()
    next(steps)

    def f(x):
        with pytest.raises(RuntimeError, match="reverse order"):
            steps.close()
        return x * x

    assert not td.is_grad_enabled() and td.grad(f)(td.tensor(3.0)).item() == 6
    with td.no_grad():
        pass
    assert td.is_grad_enabled()

    async def holds(seconds):
        with td.no_grad():
            await asyncio.sleep(seconds)

    async def both():
        await asyncio.gather(holds(0.01), holds(0.02), return_exceptions=True)

    asyncio.run(both())
    assert td.is_grad_enabled()


def test_a_method_that_raises_or_recurses_leaves_the_mode():
    class Recursive:
        @td.no_grad
        def down(self, x, depth):
            assert not td.is_grad_enabled()
            if depth == 0:
                raise KeyError("bottom")
            with td.enable_grad():
                assert (x * 2).requires_grad
                return self.down(x, depth - 1)

    x = td.tensor(1.0, requires_grad=True)
    with pytest.raises(KeyError):
        Recursive().down(x, 5)
    assert td.is_grad_enabled() and (x * 2).requires_grad


def test_modes_around_closures_of_nested_transforms():
    """no_grad hides from the transforms around it, not from those begun inside."""
    outer = td.tensor(3.0, dtype=td.float64)

    def f(x):
        with td.no_grad():
            inner = td.grad(lambda y: (x * y) ** 3)(td.ones_like(x))  # 3 x^3
        tracked = td.grad(lambda y: (x * y) ** 3)(td.ones_like(x))
        return inner * x + tracked

    assert td.grad(f)(outer).item() == 3 * 27 + 9 * 9
    assert td.jvp(f, (outer,), (td.ones_like(outer),))[1].item() == 3 * 27 + 9 * 9

    def g(x):
        with td.no_grad(), td.enable_grad():
            return x * x

    assert td.grad(g)(outer).item() == 6
    x = td.tensor(3.0, dtype=td.float64, requires_grad=True)
    f(x).backward()
    assert x.grad.item() == 3 * 27 + 9 * 9


# --- Schedules right after a load


SCHEDULES = {
    "StepLR": (lambda o: td.optim.StepLR(o, 2, 0.5), lambda n: 0.5 ** (n // 2)),
    "CosineLR": (
        lambda o: td.optim.CosineLR(o, 5, 0.1),
        lambda n: 0.1 + 0.9 * (1 + np.cos(np.pi * min(n / 5, 1))) / 2,
    ),
    "WarmupLR": (lambda o: td.optim.WarmupLR(o, 4, 0.2), lambda n: 0.2 + 0.8 * min(n / 4, 1)),
    "SequentialLR": (
        lambda o: td.optim.SequentialLR(o, [td.optim.WarmupLR(o, 2), td.optim.StepLR(o, 1, 0.5)], [2]),
        lambda n: n / 2 if n < 2 else 0.5 ** (n - 2),
    ),
}


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("done", [0, 1, 2, 3, 6])
def test_a_schedule_is_right_at_once_after_a_load(name, done, tmp_path):
    make, factor = SCHEDULES[name]
    parameter = td.zeros(1, requires_grad=True)
    groups = [{"params": [parameter], "lr": 0.8}, {"params": [td.zeros(1, requires_grad=True)]}]
    optimiser = td.optim.SGD(groups, lr=0.2)
    schedule = make(optimiser)
    for _ in range(done):
        schedule.step()
    td.save(tmp_path / "state", {"optimiser": optimiser.state_dict(), "schedule": schedule.state_dict()})

    saved = td.load(tmp_path / "state")
    resumed = td.optim.SGD(
        [{"params": [td.zeros(1, requires_grad=True)]}, {"params": [td.zeros(1, requires_grad=True)]}], lr=5.0
    )
    resumed_schedule = make(resumed)
    resumed.load_state_dict(saved["optimiser"])
    resumed_schedule.load_state_dict(saved["schedule"])
    for more in range(4):
        for group, own, initial in zip(resumed.param_groups, optimiser.param_groups, (0.8, 0.2), strict=True):
            assert group["lr"] == pytest.approx(initial * factor(done + more), rel=1e-12)
            assert group["lr"] == own["lr"]
        moved = resumed.param_groups[0]["params"][0]
        before = moved.item()
        moved.grad = td.ones(1)
        resumed.step()  # takes the rate that the schedule shows
        assert before - moved.item() == pytest.approx(0.8 * factor(done + more), rel=1e-5)
        schedule.step()
        resumed_schedule.step()


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_alone_is_loaded(name):
    """Into an optimiser that was made like the one before: the rates are those of the steps at once."""
    make, factor = SCHEDULES[name]
    groups = lambda: [
        {"params": [td.zeros(1, requires_grad=True)], "lr": 0.8},
        {"params": [td.zeros(1, requires_grad=True)]},
    ]
    schedule = make(td.optim.SGD(groups(), lr=0.2))
    for _ in range(3):
        schedule.step()
    resumed = td.optim.SGD(groups(), lr=0.2)
    make(resumed).load_state_dict(schedule.state_dict())
    for group, initial in zip(resumed.param_groups, (0.8, 0.2), strict=True):
        assert group["lr"] == pytest.approx(initial * factor(3), rel=1e-12)


# --- Loaders that are restored, then left


def ids(batches):
    return [b[0].tolist() for b in batches]


@pytest.mark.parametrize("prefetch", [0, 2])
@pytest.mark.parametrize("plain", [True, False])
def test_a_loader_restored_then_broken_off(prefetch, plain):
    data = td.data.TensorDataset(td.arange(10)) if plain else [(td.tensor(i),) for i in range(10)]

    def make():
        return td.data.DataLoader(data, 2, shuffle=True, key=td.random.key(3), prefetch=prefetch)

    epochs = [ids(whole) for whole in (lambda loader: [list(loader) for _ in range(4)])(make())]
    assert len({str(epoch) for epoch in epochs}) == 4

    first = make()
    iterator = iter(first)
    begun = [next(iterator) for _ in range(2)]
    assert ids(begun) == epochs[0][:2]
    state = first.state_dict()

    second = make()
    second.load_state_dict(state)
    assert (second.epoch, second.batch) == (0, 2)
    iterator = iter(second)
    assert ids([next(iterator)]) == epochs[0][2:3]  # goes on,
    again = second.state_dict()
    del iterator  # is broken off,
    assert ids(second) == epochs[1]  # and begins a new epoch, whole
    assert ids(second) == epochs[2]

    third = make()
    third.load_state_dict(again)
    assert ids(third) == epochs[0][3:]
    assert ids(third) == epochs[1]

    # Restored twice, and restored while an epoch runs.
    third.load_state_dict(state)
    third.load_state_dict(again)
    assert ids(third) == epochs[0][3:]
    next(iter(third))
    third.load_state_dict(state)
    assert ids(third) == epochs[0][2:]


def test_a_state_at_the_end_of_an_epoch():
    loader = td.data.DataLoader(td.data.TensorDataset(td.arange(4)), 2, shuffle=True)
    epochs = [ids(loader), ids(loader)]
    restored = td.data.DataLoader(td.data.TensorDataset(td.arange(4)), 2, shuffle=True)
    iterator = iter(restored)
    next(iterator), next(iterator)
    state = restored.state_dict()  # all batches are out, the end was not seen
    other = td.data.DataLoader(td.data.TensorDataset(td.arange(4)), 2, shuffle=True)
    other.load_state_dict(state)
    assert ids(other) in ([], epochs[1])
