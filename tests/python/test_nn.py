"""Modules, layers, losses and initialisers against their formulas in NumPy."""

import collections
import copy
import re

import numpy as np
import pytest
import tidu as td
from scipy import special
from tidu import nn
from tidu.nn import functional as F

rng = np.random.default_rng(7)


def t(array, dtype=None):
    return td.tensor(np.asarray(array, dtype=dtype))


def close(actual, expected, dtype=np.float64):
    rtol, atol = (1e-12, 1e-13) if dtype == np.float64 else (2e-5, 2e-6)
    np.testing.assert_allclose(actual.detach().cpu().numpy(), expected, rtol=rtol, atol=atol)


class Net(nn.Module):
    def __init__(self, key):
        first, second = td.random.split(key)
        self.first = nn.Linear(6, 5, key=first, dtype=td.float64)
        self.second = nn.Linear(5, 3, key=second, dtype=td.float64)

    def forward(self, x):
        return self.second(td.sigmoid(self.first(x)))


@pytest.fixture
def net():
    return Net(td.random.key(3))


# ---- Module


def test_names_and_order(net):
    assert [name for name, _ in net.named_parameters()] == [
        "first.weight",
        "first.bias",
        "second.weight",
        "second.bias",
    ]
    assert [name for name, _ in net.named_children()] == ["first", "second"]
    assert len(net.modules()) == 3
    assert all(p.requires_grad and p.is_leaf for p in net.parameters())


def test_shared_parameters_come_once(net):
    net.again = net.first
    assert len(net.parameters()) == 4
    net.second.weight = net.again.weight
    assert len(net.parameters()) == 3


def test_attributes_change_their_role():
    module = nn.Module()
    module.x = td.ones((2,))
    assert module.named_parameters() == []
    module.x = nn.Parameter(td.ones((2,)))
    assert [name for name, _ in module.named_parameters()] == ["x"]
    module.x.requires_grad = False
    assert [name for name, _ in module.named_parameters()] == ["x"], "a frozen parameter stays one"
    module.x = None
    assert module.named_parameters() == []
    module.x = nn.Linear(2, 2)
    assert len(module.children()) == 1
    del module.x
    assert module.children() == []


def test_gradients_of_a_two_layer_network_are_the_closed_forms(net):
    """With h = sigmoid(W1 x + b1) and p = softmax(W2 h + b2): dL/dW2 = (p - y)^T h / n, and so on."""
    x, labels = rng.normal(size=(8, 6)), rng.integers(0, 3, 8)
    W1, b1, W2, b2 = (p.detach().cpu().numpy().copy() for p in net.parameters())
    h = special.expit(x @ W1.T + b1)
    delta2 = (special.softmax(h @ W2.T + b2, axis=1) - np.eye(3)[labels]) / 8
    delta1 = delta2 @ W2 * h * (1 - h)
    expected = [delta1.T @ x, delta1.sum(0), delta2.T @ h, delta2.sum(0)]

    F.cross_entropy(net(t(x)), t(labels)).backward()
    for parameter, gradient in zip(net.parameters(), expected, strict=True):
        close(parameter.grad, gradient)

    def loss(params):
        return F.cross_entropy(nn.functional_call(net, params, t(x)), t(labels))

    gradients = td.grad(loss)(net.params())
    assert list(gradients) == [name for name, _ in net.named_parameters()]
    for gradient, value in zip(gradients.values(), expected, strict=True):
        close(gradient, value)


def test_functional_call_takes_arguments_as_a_tuple():
    class Takes(nn.Module):
        def __init__(self):
            self.w = nn.Parameter(td.ones(2))

        def forward(self, x, y, scale=1.0):
            return (x + 10 * y) * self.w * scale

    class TakesOne(Takes):
        def forward(self, pair, scale=1.0):
            return super().forward(*pair, scale)

    x, y = td.tensor([1.0, 2.0]), td.tensor([3.0, 4.0])
    for net, args, kwargs in (
        (Takes(), (x, y), {}),
        (Takes(), ((x, y),), {}),
        (Takes(), ((x, y, 1.0),), {}),
        (Takes(), ((x, y),), {"scale": 1.0}),
        (Takes(), ((x,),), {"y": y}),
        (TakesOne(), ((x, y),), {}),
        (TakesOne(), ((x, y), 1.0), {}),
        (TakesOne(), (((x, y),),), {}),
        (TakesOne(), ([x, y],), {}),
    ):
        assert nn.functional_call(net, {"w": 2 * x}, *args, **kwargs).tolist() == [62, 168]
    linear = nn.Linear(2, 1)
    assert nn.functional_call(linear, {}, (x,)).shape == (1,)


def test_functional_call_puts_the_parameters_back(net):
    before = net.parameters()
    zero = {name: td.zeros_like(value) for name, value in net.params().items()}
    close(nn.functional_call(net, zero, t(rng.normal(size=(2, 6)))), np.zeros((2, 3)))
    with pytest.raises(ValueError):
        nn.functional_call(net, zero, t(rng.normal(size=(2, 7))))
    assert all(a is b for a, b in zip(net.parameters(), before, strict=True))
    with pytest.raises(ValueError, match="no parameter third"):
        nn.functional_call(net, {"third": zero["first.bias"]}, None)
    with pytest.raises(td.ShapeError, match=r"first\.bias"):
        nn.functional_call(net, {"first.bias": zero["second.bias"]}, None)


def test_hessian_of_a_module_is_symmetric(net):
    x, labels = t(rng.normal(size=(4, 6))), t([0, 1, 2, 1])

    def loss(bias):
        return F.cross_entropy(nn.functional_call(net, {"first.bias": bias}, x), labels)

    hessian = td.hessian(loss)(net.params()["first.bias"]).detach().cpu().numpy()
    np.testing.assert_allclose(hessian, hessian.T, rtol=1e-12, atol=1e-15)
    assert np.abs(hessian).max() > 1e-4


def test_state_goes_round(net):
    other = Net(td.random.key(4))
    other.load_state_dict(net.state_dict())
    for a, b in zip(net.parameters(), other.parameters(), strict=True):
        np.testing.assert_array_equal(a.detach().cpu().numpy(), b.detach().cpu().numpy())
        assert b.requires_grad and b.is_leaf


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda s: s.pop("first.bias"), ValueError, r"lacks first\.bias"),
        (lambda s: s.update(extra=s["first.bias"]), ValueError, "unknown extra"),
        (
            lambda s: s.update({"first.bias": td.zeros((7,), dtype=td.float64)}),
            td.ShapeError,
            r"first\.bias has shape \(5,\)",
        ),
        (lambda s: s.update({"first.bias": td.zeros((5,))}), td.DTypeError, "float32"),
    ],
)
def test_unfit_state_changes_nothing(net, change, error, message):
    state = {name: td.zeros_like(value) for name, value in net.state_dict().items()}
    change(state)
    before = [p.detach().cpu().numpy().copy() for p in net.parameters()]
    with pytest.raises(error, match=message):
        net.load_state_dict(state)
    for parameter, value in zip(net.parameters(), before, strict=True):
        np.testing.assert_array_equal(parameter.detach().cpu().numpy(), value)


def test_train_eval_zero_grad_freeze_repr_copy(net):
    net.dropout = nn.Dropout(0.5)
    assert not net.eval().dropout.training and net.train().dropout.training
    td.sum(net(t(rng.normal(size=(2, 6))))).backward()
    assert all(p.grad is not None for p in net.parameters())
    net.zero_grad()
    assert all(p.grad is None for p in net.parameters())
    net.requires_grad_(False)
    assert len(net.parameters()) == 4 and not any(p.requires_grad for p in net.parameters())
    net.requires_grad_()
    assert repr(net) == (
        "Net(\n  (first): Linear(6, 5)\n  (second): Linear(5, 3)\n  (dropout): Dropout(p=0.5)\n)"
    )
    twin = copy.deepcopy(net)
    assert [n for n, _ in twin.named_parameters()] == [n for n, _ in net.named_parameters()]
    assert twin.first.weight is not net.first.weight
    assert net.to("cpu").first.weight.requires_grad


class Stack(nn.Module):
    """Modules and parameters in containers."""

    def __init__(self):
        self.layers = []
        for _ in range(2):
            self.layers.append(nn.Linear(3, 3))
        self.heads = {"a": (nn.Linear(3, 1), None), "b": [nn.Linear(3, 2, bias=False)]}
        self.scales = [nn.Parameter(td.ones(()))]
        self.cache = [td.ones(()), 1, "text", [self.layers]]

    def forward(self, x):
        for layer in self.layers:
            x = layer(x) * self.scales[0]
        return self.heads["a"][0](x)


STACK = [
    "layers.0.weight",
    "layers.0.bias",
    "layers.1.weight",
    "layers.1.bias",
    "heads.a.0.weight",
    "heads.a.0.bias",
    "heads.b.0.weight",
    "scales.0",
]


def test_modules_in_containers_are_found():
    net = Stack()
    assert list(net.state_dict()) == [name for name, _ in net.named_parameters()] == STACK
    net.requires_grad_(False)
    assert list(net.state_dict()) == STACK and not any(p.requires_grad for p in net.parameters())
    net.requires_grad_()
    other = Stack()
    other.load_state_dict(net.state_dict())
    x = td.ones((2, 3))
    assert other(x).tolist() == net(x).tolist()
    assert not net.eval().layers[1].training
    zeros = {name: td.zeros_like(value) for name, value in net.params().items()}
    assert nn.functional_call(net, zeros, x).tolist() == [[0], [0]] != net(x).tolist()
    gradients = td.grad(lambda p: nn.functional_call(net, p, x).sum())(net.params())
    assert gradients["scales.0"].item() != 0 and gradients["heads.b.0.weight"].tolist() == [[0] * 3] * 2
    net.double()
    assert all(p.dtype is td.float64 for p in net.parameters()) and net.scales[0].dtype is td.float64
    net.me = net
    assert len(net.parameters()) == 8 and len(net.modules()) == 5


def test_lists_and_dictionaries_of_modules():
    items = nn.ModuleList([nn.ReLU(), nn.Linear(2, 2)])
    items.append(nn.Tanh()).extend([nn.Sigmoid()])
    assert len(items) == 4 and isinstance(items[-1], nn.Sigmoid) and items[1] in list(items)
    assert isinstance(items[1:3], nn.ModuleList) and items[1:3][0] is items[1]
    assert [name for name, _ in items.named_parameters()] == ["1.weight", "1.bias"]
    items[-1] = nn.Linear(2, 1)
    assert [name for name, _ in items.named_children()] == ["0", "1", "2", "3"] and len(
        items.parameters()
    ) == 4
    with pytest.raises(TypeError, match="number 4 is no Module"):
        items.append(3)
    names = nn.ModuleDict({"a": nn.Linear(1, 2)})
    names["b"] = nn.ReLU()
    names.update({"c": nn.Tanh()})
    del names["b"]
    assert names.keys() == list(names) == ["a", "c"] and "a" in names and "b" not in names and len(names) == 2
    assert names["a"] is names.values()[0] is dict(names.items())["a"]
    assert [name for name, _ in names.named_parameters()] == ["a.weight", "a.bias"]
    with pytest.raises(KeyError):
        names["keys"] = nn.ReLU()
    with pytest.raises(TypeError, match="no Module"):
        names["d"] = 1
    numbers = nn.ParameterList([td.ones(2), nn.Parameter(td.ones(1))])
    assert len(numbers) == 2 and numbers[0].requires_grad and [p.size for p in numbers] == [2, 1]
    chain = nn.Sequential(nn.Linear(2, 2)).append(nn.ReLU())
    assert (
        isinstance(chain[:1], nn.Sequential)
        and len(chain[:1]) == 1
        and chain(td.ones((1, 2))).shape == (1, 2)
    )


def test_walking_over_modules(net):
    assert [name for name, _ in net.named_modules()] == ["", "first", "second"]
    seen = []
    assert net.apply(seen.append) is net and seen[-1] is net and len(seen) == 3
    assert net.children() == [net.first, net.second] and net.buffers() == []


def test_state_from_arrays_and_in_part(net):
    state = {name: value.cpu().numpy().astype(np.float32) for name, value in net.state_dict().items()}
    state["first.bias"] = np.arange(5.0)
    assert net.load_state_dict(state) == ([], [])
    assert net.first.bias.tolist() == [0, 1, 2, 3, 4] and net.first.bias.dtype is td.float64
    partial = {"second.bias": np.ones(3), "extra": np.ones(1)}
    keys = net.load_state_dict(partial, strict=False)
    assert keys.missing_keys == ["first.weight", "first.bias", "second.weight"]
    assert keys.unexpected_keys == ["extra"] and net.second.bias.tolist() == [1, 1, 1]
    with pytest.raises(
        ValueError, match=r"lacks first\.weight, first\.bias, second\.weight and has unknown extra"
    ):
        net.load_state_dict(partial)
    with pytest.raises(td.ShapeError, match=r"second\.bias"):
        net.load_state_dict({"second.bias": np.ones(4)}, strict=False)
    with pytest.raises(td.DTypeError, match=r"second\.bias"):
        net.load_state_dict({"second.bias": np.ones(3, dtype=int)}, strict=False)


def test_deep_copies_keep_gradients_and_shared_memory(net):
    net.second.bias = net.first.bias
    net.view = nn.Parameter(net.first.weight.detach()[1:, ::-2])
    td.sum(net.first(t(rng.normal(size=(2, 6))))).backward()
    twin = copy.deepcopy(net)
    assert twin.second.bias is twin.first.bias is not net.first.bias
    close(twin.first.weight.grad, net.first.weight.grad.cpu().numpy())
    assert twin.first.weight.grad is not net.first.weight.grad and twin.second.weight.grad is None
    with td.no_grad():
        twin.first.weight[...] = 0
        assert twin.view.tolist() == [[0] * 3] * 4 and td.max(td.abs(net.view)).item() > 0
        twin.first.weight.grad[...] = 7
    assert td.max(net.first.weight.grad).item() != 7
    assert copy.deepcopy(td.ones(4).broadcast_to((3, 4))).tolist() == [[1] * 4] * 3


def test_hooks_of_modules(net):
    calls = []
    before = net.first.register_forward_pre_hook(lambda module, args: calls.append(("before", module, args)))
    after = net.first.register_forward_hook(lambda module, args, output: output * 0)
    x = t(rng.normal(size=(2, 6)))
    silent = net(x)
    close(
        silent,
        np.broadcast_to((net.second(td.full((5,), 0.5, dtype=td.float64))).detach().cpu().numpy(), (2, 3)),
    )
    assert [name for name, _, _ in calls] == ["before"] and calls[0][1] is net.first and calls[0][2][0] is x
    after.remove()
    doubled = net.first.register_forward_pre_hook(lambda module, args: args[0] * 2)
    close(net(x), net.second(td.sigmoid(x * 2 @ net.first.weight.T + net.first.bias)).detach().cpu().numpy())
    seen = []
    also = net.first.register_forward_hook(lambda module, args, output: seen.append(args))
    net(x)
    assert len(seen) == 1 and seen[0][0].tolist() == (x * 2).tolist()  # what forward got
    also.remove()
    doubled.remove(), before.remove(), before.remove()
    close(net(x), net.second(td.sigmoid(net.first(x))).detach().cpu().numpy())
    assert len(calls) == 3


def test_hooks_whose_handles_nobody_keeps():
    layer, calls = nn.Linear(2, 2), []
    for i in range(5):
        layer.register_forward_pre_hook(lambda *_, i=i: calls.append(i))
        layer.register_forward_hook(lambda *_, i=i: calls.append(-i))
    twin = copy.deepcopy(layer)
    layer(td.ones(2))
    assert calls == [*range(5), *(-i for i in range(5))]
    layer.register_forward_hook(lambda *_: calls.append("own"))
    twin(td.ones(2))
    assert len(calls) == 20 and "own" not in calls


def test_shallow_copies_have_roles_and_hooks_of_their_own():
    layer = nn.Linear(2, 2)
    layer.requires_grad_(False)
    twin = copy.copy(layer)
    del twin.weight
    twin.weight = td.ones((2, 2))
    twin.register_buffer("count", td.zeros(()))
    twin.register_forward_hook(lambda *_: td.ones(1))
    assert [name for name, _ in layer.named_parameters()] == ["weight", "bias"] and layer.buffers() == []
    assert [name for name, _ in twin.named_parameters()] == ["bias"]
    assert layer(td.ones(2)).shape == (2,) and twin.bias is layer.bias
    hooked = copy.copy(twin)
    hooked.register_forward_hook(lambda *_: td.ones(3))
    assert twin(td.ones(2)).shape == (1,) and hooked(td.ones(2)).shape == (3,)


@pytest.mark.parametrize(
    "attributes",
    [
        {"d": {1: nn.Parameter(td.ones(2)), "1": nn.Parameter(td.zeros(3))}},
        {"d": {"a.b": nn.Parameter(td.ones(2)), "a": {"b": nn.Parameter(td.zeros(3))}}},
        {"d": {"a.weight": nn.Parameter(td.ones(2)), "a": nn.Linear(2, 2)}},
    ],
)
def test_two_tensors_of_one_name_are_refused(attributes):
    net = nn.Module()
    vars(net).update(attributes)
    for act in (
        net.state_dict,
        net.params,
        net.parameters,
        lambda: net.load_state_dict({}, strict=False),
        lambda: nn.functional_call(net, {}),
    ):
        with pytest.raises(ValueError, match=r"two tensors have the name 'd\."):
            act()


def test_other_containers_of_modules_are_found_or_refused():
    net = nn.Module()
    net.queue = collections.deque([nn.Linear(2, 2), nn.Parameter(td.ones(2))])
    net.words = {"a", "b"}
    assert [name for name, _ in net.named_parameters()] == ["queue.0.weight", "queue.0.bias", "queue.1"]
    assert net.to(td.float64).queue[1].dtype == td.float64
    for member in (nn.Linear(1, 1), nn.Parameter(td.ones(1))):
        net.several = {member}
        with pytest.raises(TypeError, match="several is a set"):
            net.parameters()


def test_moving_changes_everything_or_nothing():
    net = nn.Module()
    net.first, net.fixed = nn.Parameter(td.ones(2)), (nn.Parameter(td.ones(2)),)
    with pytest.raises(TypeError, match=r"fixed\.0 is in a tuple"):
        net.to(td.float64)
    assert net.first.dtype == td.float32
    del net.fixed
    net.own = net  # a cycle
    assert net.to(td.float64).first.dtype == td.float64


def test_loading_what_is_the_modules_own_memory():
    net = nn.Module()
    net.a, net.b = nn.Parameter(td.ones(2)), nn.Parameter(td.zeros(2))
    net.c = nn.Parameter(td.arange(2.0))
    state = net.state_dict()
    net.load_state_dict({"a": state["b"], "b": state["a"], "c": state["c"][::-1]})
    assert [x.tolist() for x in (net.a, net.b, net.c)] == [[0, 0], [1, 1], [1, 0]]
    arrays = {name: np.asarray(value.cpu()) for name, value in state.items()}  # on cpu the same memory
    net.load_state_dict({"a": arrays["b"], "b": arrays["a"], "c": arrays["a"]})
    assert [x.tolist() for x in (net.a, net.b, net.c)] == [[1, 1], [0, 0], [0, 0]]


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (None, "dictionary of tensors"),
        ([1], "dictionary of tensors"),
        ({1: 2}, "lacks weight, bias and has unknown 1"),
        ({"weight": td.ones((2, 2)), "bias": None}, "bias: .*NoneType"),
        ({"weight": td.ones((2, 2)), "bias": "x"}, "bias: .*str"),
    ],
)
def test_what_is_no_state_is_named(state, message):
    layer = nn.Linear(2, 2)
    before = layer.weight.tolist()
    with pytest.raises((TypeError, ValueError), match=message):
        layer.load_state_dict(state)
    assert layer.weight.tolist() == before


def test_lists_and_dictionaries_with_one_parameter_twice():
    p, q = nn.Parameter(td.ones(2)), nn.Parameter(td.zeros(2))
    given = nn.ParameterList([p, p, q])
    assert len(given) == 3 and given[2] is q and [x is p for x in given] == [True, True, False]
    assert len(given.parameters()) == 2
    named = nn.ParameterDict({"a": p, "b": p})
    assert named["b"] is p and len(named) == 2
    with pytest.raises(KeyError):
        del named["c"]
    with pytest.raises(KeyError, match="taken"):
        nn.ModuleDict({"_roles": nn.Linear(1, 1)})
    layers = nn.ModuleList([nn.Linear(1, 1)])
    layers += [nn.Linear(1, 1)]
    assert len(layers) == 2


def test_a_module_without_forward_says_so():
    with pytest.raises(NotImplementedError, match="defines no forward"):
        nn.Module()(1)


# ---- Layers


def test_sequential_and_activations():
    x = rng.normal(size=(3, 4))
    net = nn.Sequential(nn.Flatten(), nn.Tanh(), nn.ReLU(), nn.Sigmoid(), nn.Softmax(axis=0))
    assert len(net) == 5 and isinstance(net[1], nn.Tanh) and len(list(net)) == 5
    close(net(t(x.reshape(3, 2, 2))), special.softmax(special.expit(np.maximum(np.tanh(x), 0)), axis=0))
    close(nn.GELU()(t(x)), x * special.ndtr(x))
    close(nn.SiLU()(t(x)), x * special.expit(x))
    close(nn.LeakyReLU(0.2)(t(x)), np.where(x > 0, x, 0.2 * x))
    close(nn.ELU(alpha=0.5)(t(x)), np.where(x > 0, x, 0.5 * np.expm1(x)))
    with pytest.raises(TypeError, match="number 1 is no Module"):
        nn.Sequential(nn.Tanh(), td.tanh)


def test_linear():
    layer = nn.Linear(784, 256, key=td.random.key(0))
    bound = np.sqrt(6 / (784 + 256))
    weight = layer.weight.detach().cpu().numpy()
    assert weight.shape == (256, 784) and weight.dtype == np.float32
    assert np.abs(weight).max() <= bound
    assert abs(weight.std() - bound / np.sqrt(3)) < 0.01 * bound
    assert not layer.bias.detach().cpu().numpy().any()
    assert nn.Linear(2, 3, bias=False).bias is None
    x = rng.normal(size=(2, 5, 784)).astype(np.float32)
    close(layer(t(x)), x @ weight.T, np.float32)


def test_default_keys_are_a_stream():
    nn.manual_seed(5)
    first, second = nn.Linear(3, 3), nn.Linear(3, 3)
    nn.manual_seed(5)
    again = nn.Linear(3, 3)
    np.testing.assert_array_equal(first.weight.detach().cpu().numpy(), again.weight.detach().cpu().numpy())
    assert (first.weight.detach().cpu().numpy() != second.weight.detach().cpu().numpy()).any()


def test_embedding(settle):
    layer = nn.Embedding(7, 3, key=td.random.key(1), dtype=td.float64)
    table = layer.weight.detach().cpu().numpy()
    indices = np.array([[0, 6, 2], [2, 2, 1]])
    close(layer(t(indices)), table[indices])
    td.sum(layer(t(indices))).backward()
    close(layer.weight.grad, np.repeat(np.bincount(indices.ravel(), minlength=7)[:, None], 3, 1))
    with pytest.raises(IndexError):
        layer(t([7]))
        settle()


def test_bilinear():
    for bias in (True, False):
        layer = nn.Bilinear(3, 4, 5, bias, key=td.random.key(2), dtype=td.float64)
        x1, x2 = rng.normal(size=(2, 6, 3)), rng.normal(size=(2, 6, 4))
        weight = layer.weight.detach().cpu().numpy()
        assert np.abs(weight).max() < 3**-0.5
        want = np.einsum("nki,oij,nkj->nko", x1, weight, x2)
        close(layer(t(x1), t(x2)), want + (layer.bias.detach().cpu().numpy() if bias else 0))
    assert repr(layer) == "Bilinear(3, 4, 5, bias=False)"
    with pytest.raises(ValueError, match=r"bilinear.*does not fit"):
        layer(t(x1), t(x1))


WINDOWS = [
    {"kernel_size": 2},
    {"kernel_size": (2, 3), "stride": 2},
    {"kernel_size": 3, "padding": (1, 2), "stride": (2, 1)},
    {"kernel_size": (2, 2), "dilation": (2, 1), "padding": 1},
]


@pytest.mark.parametrize("how", WINDOWS)
def test_windows(how):
    """unfold copies windows; fold is its transpose."""
    x = rng.normal(size=(2, 3, 5, 6))

    def two(name, default):
        given = how.get(name, default)
        return (given, given) if isinstance(given, int) else given

    kernel, stride, padding, dilation = (
        two(*pair) for pair in (("kernel_size", 1), ("stride", 1), ("padding", 0), ("dilation", 1))
    )
    around = np.pad(x, [(0, 0), (0, 0), *((p, p) for p in padding)])
    reach = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
    columns = [
        around[:, :, i : i + reach[0] : dilation[0], j : j + reach[1] : dilation[1]].reshape(2, -1)
        for i in range(0, around.shape[2] - reach[0] + 1, stride[0])
        for j in range(0, around.shape[3] - reach[1] + 1, stride[1])
    ]
    want = np.stack(columns, -1)
    np.testing.assert_array_equal(F.unfold(t(x), **how).cpu().numpy(), want)
    np.testing.assert_array_equal(F.unfold(t(x[0]), **how).cpu().numpy(), want[0])
    c = rng.normal(size=want.shape)
    folded = F.fold(t(c), (5, 6), **how)
    assert folded.shape == x.shape
    close((folded * t(x)).sum(), (c * want).sum())
    (pulled,) = td.vjp(lambda x: F.unfold(x, **how), t(x))[1](t(c))
    close(pulled, folded.cpu().numpy())


def test_windows_refuse():
    with pytest.raises(ValueError, match="no windows of kernel 7"):
        F.unfold(td.ones((1, 5, 5)), 7)
    with pytest.raises(ValueError, match="height, width"):
        F.unfold(td.ones((5, 5)), 2)
    with pytest.raises(ValueError, match="does not hold 16 windows of 4"):
        F.fold(td.ones((4, 15)), 5, 2)
    with pytest.raises(ValueError, match="stride is a number or two"):
        F.unfold(td.ones((1, 5, 5)), 2, stride=(1, 1, 1))


def test_layer_norm():
    x, weight, bias = rng.normal(size=(4, 3, 5)), rng.normal(size=(3, 5)), rng.normal(size=(3, 5))
    layer = nn.LayerNorm((3, 5), dtype=td.float64)
    layer.load_state_dict({"weight": t(weight), "bias": t(bias)})
    mean, var = x.mean((1, 2), keepdims=True), x.var((1, 2), keepdims=True)
    close(layer(t(x)), (x - mean) / np.sqrt(var + 1e-5) * weight + bias)
    with pytest.raises(td.ShapeError):
        layer(t(x[:, :, :4]))


def test_rms_norm():
    x, weight = rng.normal(size=(4, 3, 5)), rng.normal(size=(3, 5))
    layer = nn.RMSNorm((3, 5), dtype=td.float64)
    layer.load_state_dict({"weight": t(weight)})
    close(layer(t(x)), x / np.sqrt(np.square(x).mean((1, 2), keepdims=True) + 1e-5) * weight)
    with pytest.raises(td.ShapeError, match="rms_norm"):
        layer(t(x[:, :, :4]))
    with pytest.raises(td.DTypeError, match="rms_norm"):
        F.rms_norm(td.ones((3,), dtype=td.int32), (3,))


NORMS = {"layer_norm": (F.layer_norm, 1), "rms_norm": (F.rms_norm, 0)}


def normalised(x, centred, eps=1e-5):
    """The rows of x in float64, normalised, and the matrix of their derivative."""
    x = np.asarray(x, np.float64)
    n = x.shape[-1]
    centre = x - x.mean(-1, keepdims=True) * centred
    r = 1 / np.sqrt(np.square(centre).mean(-1, keepdims=True) + eps)
    h = centre * r
    slope = np.eye(n) - centred * np.ones((n, n)) / n - h[..., None] * h[..., None, :] / n
    return h, r[..., None] * slope


@pytest.mark.parametrize("name", NORMS)
@pytest.mark.parametrize("dtype", [td.float16, td.bfloat16, td.float32, td.float64])
def test_norms_of_rows_of_every_length(name, dtype):
    function, centred = NORMS[name]
    tolerance = {td.float16: 2e-3, td.bfloat16: 2e-2, td.float32: 2e-5, td.float64: 1e-12}[dtype]
    for n in (1, 2, 7, 32, 128, 255, 520, 1000, 4100):
        x = td.tensor(rng.normal(1, 2, (3, n))).astype(dtype).requires_grad_()
        g, weight = (td.tensor(rng.normal(size=shape)).astype(dtype) for shape in ((3, n), (n,)))
        y, pullback = td.vjp(lambda x, weight, f=function, n=n: f(x, (n,), weight), x, weight)
        h, slope = normalised(to_numpy(x), centred)
        wide_g, wide_weight = to_numpy(g), to_numpy(weight)
        np.testing.assert_allclose(to_numpy(y), h * wide_weight, tolerance, 4 * tolerance)
        by_x, by_weight = pullback(g)
        np.testing.assert_allclose(
            to_numpy(by_x), np.einsum("rij,rj->ri", slope, wide_g * wide_weight), tolerance, 8 * tolerance
        )
        np.testing.assert_allclose(to_numpy(by_weight), (wide_g * h).sum(0), 2 * tolerance, 8 * tolerance)


def to_numpy(x):
    return x.detach().astype(td.float64).cpu().numpy()


@pytest.mark.parametrize("name", NORMS)
@pytest.mark.parametrize("n", [8200, 8193, 20000])
def test_norms_of_long_rows(name, n):
    function, centred = NORMS[name]
    x = rng.normal(1, 2, (2, n))
    y, pullback = td.vjp(lambda x: function(x, (n,)), t(x))
    centre = x - x.mean(-1, keepdims=True) * centred
    r = 1 / np.sqrt(np.square(centre).mean(-1, keepdims=True) + 1e-5)
    h, g = centre * r, rng.normal(size=(2, n))
    close(y, h)
    mean = g.mean(-1, keepdims=True) * centred
    close(pullback(t(g))[0], r * (g - mean - h * (h * g).mean(-1, keepdims=True)))


@pytest.mark.parametrize("name", NORMS)
def test_norms_of_large_and_small_rows(name):
    function = NORMS[name][0]
    half = td.tensor([[-300.0, 300.0, 300.0, -300.0]], dtype=td.float16)
    np.testing.assert_array_equal(to_numpy(function(half, (4,))), [[-1, 1, 1, -1]])
    sides = np.array([[-1.0, 1.0]])
    for dtype, sizes in ((td.float32, (1e-30, 1e30, 1.5e38)), (td.float64, (1e-250, 1e250))):
        for size in sizes:
            x = td.tensor(size * sides, dtype=dtype)
            y, pullback = td.vjp(lambda x: function(x, (2,), eps=0.0), x)
            np.testing.assert_allclose(to_numpy(y), sides, 1e-6)
            assert np.isfinite(to_numpy(pullback(td.ones_like(y))[0])).all()
    np.testing.assert_array_equal(to_numpy(function(td.zeros((1, 3)), (3,))), np.zeros((1, 3)))


@pytest.mark.parametrize("name", NORMS)
def test_rows_of_norms_that_are_not_taken(name):
    function = NORMS[name][0]
    x = td.tensor([[1.0, 2.0, 4.0], [np.inf, 1.0, 2.0], [np.nan, 1.0, 2.0]], requires_grad=True)
    taken = td.tensor([[True], [False], [False]])
    td.sum(td.where(taken, td.square(function(x, (3,))), 0.0)[:, 0]).backward()
    gradient = to_numpy(x.grad)
    assert np.isfinite(gradient[0]).all() and (gradient[1:] == 0).all()
    assert np.isnan(to_numpy(function(x, (3,)))[2]).all()

    def of_weight(weight):
        return td.sum(td.where(taken, function(x.detach(), (3,), weight), 0.0))

    assert np.isfinite(to_numpy(td.grad(of_weight)(td.ones(3)))).all()

    def loss(x):
        return td.sum(td.where(taken, td.square(function(x, (3,))), 0.0)[:, 0])

    bent = to_numpy(td.hvp(loss, (x.detach(),), (td.ones_like(x).detach(),))[0])
    assert np.isfinite(bent[0]).all() and (bent[1:] == 0).all()


@pytest.mark.parametrize("name", NORMS)
def test_norms_are_one_call_each_way(name):
    function = NORMS[name][0]

    def step(x, weight):
        y, pullback = td.vjp(lambda x: function(x, (4,), weight), x)
        return y, pullback(y)[0]

    calls = str(td.program(step, td.ones((3, 4)), td.ones((4,))))
    assert [call for call in re.findall(r"= (\w+)", calls) if call != "alias"] == [name, f"{name}_grad"]


def test_dropout():
    layer = nn.Dropout(0.25, key=td.random.key(2))
    x = td.ones((200, 200))
    first, second = layer(x).cpu().numpy(), layer(x).cpu().numpy()
    assert set(np.unique(first)) == {0, np.float32(1 / 0.75)}
    assert abs((first == 0).mean() - 0.25) < 0.01
    assert (first != second).any()
    assert layer.eval()(x) is x
    layer.train()
    state = {name: value.copy() for name, value in layer.state_dict().items()}
    third = layer(x).cpu().numpy()
    layer.load_state_dict(state)
    np.testing.assert_array_equal(layer(x).cpu().numpy(), third)
    with pytest.raises(ValueError):
        nn.Dropout(1.5)


# ---- Losses, against the formulas that PyTorch documents


def log_softmax(x, axis=1):
    return x - special.logsumexp(x, axis=axis, keepdims=True)


def reduced(losses, reduction):
    return {"mean": np.mean, "sum": np.sum, "none": lambda x: x}[reduction](losses)


REDUCTIONS = pytest.mark.parametrize("reduction", ["mean", "sum", "none"])


@REDUCTIONS
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy_with_indices(reduction, smoothing):
    logits, labels = rng.normal(size=(6, 4)) * 3, np.array([0, 3, -100, 1, 2, 2])
    logp, kept = log_softmax(logits), labels != -100
    picked = np.where(kept, -np.take_along_axis(logp, np.maximum(labels, 0)[:, None], 1)[:, 0], 0)
    losses = (1 - smoothing) * picked + smoothing * np.where(kept, -logp.mean(1), 0)
    expected = losses.sum() / kept.sum() if reduction == "mean" else reduced(losses, reduction)
    close(F.cross_entropy(t(logits), t(labels), reduction=reduction, label_smoothing=smoothing), expected)


@REDUCTIONS
def test_cross_entropy_with_probabilities(reduction):
    logits, target = rng.normal(size=(6, 4)), rng.dirichlet(np.ones(4), 6)
    losses = -(target * log_softmax(logits)).sum(1)
    close(F.cross_entropy(t(logits), t(target), reduction=reduction), reduced(losses, reduction))


def test_cross_entropy_takes_the_second_axis_of_more_than_two():
    logits, labels = rng.normal(size=(2, 4, 3, 5)), rng.integers(0, 4, (2, 3, 5))
    losses = -np.take_along_axis(log_softmax(logits), labels[:, None], 1)[:, 0]
    close(F.cross_entropy(t(logits), t(labels), reduction="none"), losses)
    close(F.nll_loss(t(log_softmax(logits)), t(labels)), losses.mean())


def test_cross_entropy_of_extreme_logits():
    logits = td.tensor([[1e4, -1e4], [-1e4, 1e4]], requires_grad=True)
    loss = F.cross_entropy(logits, t([0, 0]), reduction="none")
    np.testing.assert_array_equal(loss.detach().cpu().numpy(), np.float32([0, 2e4]))
    td.sum(loss).backward()
    np.testing.assert_array_equal(logits.grad.cpu().numpy(), np.float32([[0, 0], [-1, 1]]))


@REDUCTIONS
def test_binary_cross_entropy(reduction):
    logits, target, weight = rng.normal(size=(5, 3)) * 2, rng.uniform(size=(5, 3)), rng.uniform(1, 3, 3)
    p = special.expit(logits)
    losses = -(target * np.log(p) + (1 - target) * np.log(1 - p))
    close(F.binary_cross_entropy(t(p), t(target), reduction=reduction), reduced(losses, reduction))
    close(
        F.binary_cross_entropy_with_logits(t(logits), t(target), reduction=reduction),
        reduced(losses, reduction),
    )
    weighted = -(weight * target * np.log(p) + (1 - target) * np.log(1 - p))
    close(
        F.binary_cross_entropy_with_logits(t(logits), t(target), reduction=reduction, pos_weight=t(weight)),
        reduced(weighted, reduction),
    )


def test_binary_cross_entropy_with_extreme_logits():
    logits = td.tensor([1e4, -1e4, 1e4, -1e4], requires_grad=True)
    loss = F.binary_cross_entropy_with_logits(logits, td.tensor([1.0, 0.0, 0.0, 1.0]), reduction="none")
    np.testing.assert_array_equal(loss.detach().cpu().numpy(), np.float32([0, 0, 1e4, 1e4]))
    td.sum(loss).backward()
    np.testing.assert_array_equal(logits.grad.cpu().numpy(), np.float32([0, 0, 1, -1]))


@REDUCTIONS
def test_regression_losses(reduction):
    a, b = rng.normal(size=(7, 2)) * 2, rng.normal(size=(7, 2))
    d = np.abs(a - b)
    close(F.mse_loss(t(a), t(b), reduction=reduction), reduced(d**2, reduction))
    close(F.l1_loss(t(a), t(b), reduction=reduction), reduced(d, reduction))
    huber = np.where(d <= 1.5, d**2 / 2, 1.5 * (d - 0.75))
    close(F.huber_loss(t(a), t(b), delta=1.5, reduction=reduction), reduced(huber, reduction))


@pytest.mark.parametrize(
    "loss",
    [
        lambda x: F.cross_entropy(x, t([0, 2, 1])),
        lambda x: F.cross_entropy(x, t([0, 2, 1]), label_smoothing=0.2),
        lambda x: F.cross_entropy(x, t(np.full((3, 3), 1 / 3))),
        lambda x: F.binary_cross_entropy_with_logits(x, t(np.full((3, 3), 0.3))),
        lambda x: F.binary_cross_entropy(td.sigmoid(x), t(np.full((3, 3), 0.3))),
        lambda x: F.mse_loss(x, t(np.ones((3, 3)))),
        lambda x: F.huber_loss(x, t(np.full((3, 3), 0.05))),
        lambda x: td.sum(td.square(F.layer_norm(x, (3,), t([1.0, 2.0, 3.0])))[:, 0]),
        lambda x: td.sum(td.square(F.rms_norm(x, (3,), t([1.0, 2.0, 3.0])))[:, 0]),
    ],
)
def test_losses_are_twice_differentiable(loss):
    td.check_grads(loss, (t(rng.normal(size=(3, 3))),), order=2)


def test_losses_name_what_does_not_fit(settle):
    for loss in (F.cross_entropy, F.nll_loss):
        with pytest.raises(td.ShapeError, match=rf"\[{loss.__name__}\].*must have shape \(3,\)"):
            loss(td.zeros((3, 4)), t([0, 1]))
        with pytest.raises(td.DTypeError, match=rf"\[{loss.__name__}\] class indices must be integers"):
            loss(td.zeros((2, 4)), t([True, False]))
    with pytest.raises(IndexError):
        F.cross_entropy(td.zeros((2, 4)), t([0, 4]))
        settle()
    with pytest.raises(ValueError, match="reduction"):
        F.mse_loss(td.zeros((2,)), td.zeros((2,)), reduction="average")
    with pytest.raises(td.ShapeError, match="mse_loss"):
        F.mse_loss(td.zeros((2, 1)), td.zeros((2,)))


# ---- Initialisers


@pytest.mark.parametrize(
    ("name", "std"),
    [
        ("xavier_uniform", np.sqrt(2 / 700)),
        ("xavier_normal", np.sqrt(2 / 700)),
        ("kaiming_uniform", np.sqrt(2 / 400)),
        ("kaiming_normal", np.sqrt(2 / 400)),
    ],
)
def test_initialisers_have_the_right_spread(name, std):
    make = getattr(nn.init, name)
    values = make(td.random.key(9), (300, 400)).cpu().numpy()
    assert abs(values.mean()) < 0.01 * std and abs(values.std() - std) < 0.01 * std
    if name.endswith("uniform"):
        assert np.abs(values).max() <= std * np.sqrt(3) * (1 + 1e-6)
    np.testing.assert_array_equal(values, make(td.random.key(9), (300, 400)).cpu().numpy())


@pytest.mark.parametrize(
    ("layer", "fan"),
    [
        *[
            (lambda key, hidden=hidden, kind=kind: kind(300, hidden, key=key), hidden)
            for hidden in (1, 4)
            for kind in (nn.RNNCell, nn.LSTMCell, nn.GRUCell, nn.RNN, nn.LSTM, nn.GRU)
        ],
        (lambda key: nn.Conv1d(1, 300, 1, key=key), 1),
        (lambda key: nn.Conv2d(4, 300, (3, 2), groups=2, key=key), 12),
        (lambda key: nn.ConvTranspose1d(300, 1, 1, key=key), 1),
        (lambda key: nn.ConvTranspose2d(300, 4, (3, 2), groups=2, key=key), 12),
    ],
)
def test_layers_fill_the_interval_of_their_size(layer, fan):
    bound = 1 / np.sqrt(fan)
    made = layer(td.random.key(4))
    for name, drawn in made.named_parameters():
        values = drawn.detach().cpu().numpy()
        assert np.abs(values).max() <= bound, name
        if values.size >= 200:
            assert values.min() < -0.97 * bound and values.max() > 0.97 * bound, name


def test_plain_initialisers():
    key = td.random.key(1)
    normal = nn.init.normal(key, (100, 100), mean=2, std=3, dtype=td.float64).cpu().numpy()
    assert normal.dtype == np.float64 and abs(normal.mean() - 2) < 0.1 and abs(normal.std() - 3) < 0.1
    uniform = nn.init.uniform(key, (100, 100), low=-1, high=3).cpu().numpy()
    assert uniform.min() >= -1 and uniform.max() < 3 and abs(uniform.mean() - 1) < 0.05
    assert not nn.init.zeros((2, 2)).cpu().numpy().any() and (nn.init.ones((2, 2)).cpu().numpy() == 1).all()
    with pytest.raises(ValueError):
        nn.init.xavier_uniform(key, (5,))
