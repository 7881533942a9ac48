"""Recurrent layers beside their equations in NumPy."""

import pickle

import numpy as np
import pytest
import tidu as td
from tidu import nn

rng = np.random.default_rng(5)


def normal(*shape):
    return rng.standard_normal(shape)


def array(x):
    return x.detach().cpu().numpy()


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def parts(layer, end):
    """The weights and biases of a layer, the latter 0 where there are none."""
    names = (f"{kind}{end}" for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr"))
    return [array(getattr(layer, name)) if hasattr(layer, name) else 0 for name in names]


def step(kind, x, state, wi, wh, bi, bh, wr=0):
    """The next state, whose first part is the output."""
    a, b = x @ wi.T + bi, state[0] @ wh.T + bh
    if kind == "RNN":
        return (np.tanh(a + b),)
    if kind == "LSTM":
        i, f, g, o = np.split(a + b, 4, -1)
        c = sigmoid(f) * state[1] + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        return (h if np.ndim(wr) == 0 else h @ wr.T), c
    (ar, az, an), (br, bz, bn) = np.split(a, 3, -1), np.split(b, 3, -1)
    r, z = sigmoid(ar + br), sigmoid(az + bz)
    return ((1 - z) * np.tanh(an + r * bn) + z * state[0],)


def run(kind, layer, x, first):
    """x (L, N, size) through all layers: outputs and last states."""
    last = []
    ends = ("", "_reverse") if layer.bidirectional else ("",)
    for level in range(layer.num_layers):
        outputs = []
        for k, end in enumerate(ends):
            state, hs = tuple(part[level * len(ends) + k] for part in first), []
            for xt in x[::-1] if k else x:
                state = step(kind, xt, state, *parts(layer, f"_l{level}{end}"))
                hs.append(state[0])
            outputs.append(np.stack(hs[::-1] if k else hs))
            last.append(state)
        x = np.concatenate(outputs, -1)
    return x, [np.stack(part) for part in zip(*last, strict=True)]


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"num_layers": 2, "bidirectional": True},
        {"bias": False, "num_layers": 2},
        {"proj_size": 2, "num_layers": 2},
    ],
    ids=str,
)
def test_layers(kind, options):
    if "proj_size" in options and kind != "LSTM":
        with pytest.raises(TypeError, match="proj_size"):
            getattr(nn, kind)(3, 4, **options)
        return
    layer = getattr(nn, kind)(3, 4, **options, dtype=td.float64, key=td.random.key(1))
    count = layer.num_layers * (1 + layer.bidirectional)
    first = [normal(count, 2, layer.proj_size or 4), normal(count, 2, 4)][: 1 + (kind == "LSTM")]
    x = normal(5, 2, 3)
    state = tuple(map(td.tensor, first))
    y, last = layer(td.tensor(x), state if kind == "LSTM" else state[0])
    right, states = run(kind, layer, x, first)
    np.testing.assert_allclose(array(y), right, rtol=1e-11, atol=1e-13)
    for found, expected in zip(last if kind == "LSTM" else [last], states, strict=True):
        np.testing.assert_allclose(array(found), expected, rtol=1e-11, atol=1e-13)
    # Without a state, without a batch, and batch first.
    zero = layer(td.tensor(x))[0]
    np.testing.assert_allclose(array(layer(td.tensor(x[:, 0]))[0]), array(zero)[:, 0], rtol=1e-11, atol=1e-13)
    layer.batch_first = True
    turned = layer(td.tensor(np.swapaxes(x, 0, 1)))[0]
    np.testing.assert_allclose(np.swapaxes(array(turned), 0, 1), array(zero), rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_cells(kind):
    cell = getattr(nn, f"{kind}Cell")(3, 4, dtype=td.float64)
    x, state = normal(2, 3), [normal(2, 4), normal(2, 4)][: 1 + (kind == "LSTM")]
    given = tuple(map(td.tensor, state))
    found = cell(td.tensor(x), given if kind == "LSTM" else given[0])
    expected = step(kind, x, state, *parts(cell, "")[:4])
    for a, b in zip(found if kind == "LSTM" else [found], expected, strict=True):
        np.testing.assert_allclose(array(a), b, rtol=1e-12, atol=1e-14)
    alone = cell(td.tensor(x[0]))
    assert (alone[0] if kind == "LSTM" else alone).shape == (4,)


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_gradients(kind):
    layer = getattr(nn, kind)(2, 2, bidirectional=True, dtype=td.float64, key=td.random.key(2))
    x = td.tensor(normal(3, 1, 2))
    names = list(layer.params())

    def loss(*values):
        return td.sum(td.sin(nn.functional_call(layer, dict(zip(names, values, strict=True)), x)[0]))

    td.check_grads(loss, tuple(layer.params().values()), order=2)


def test_names_are_those_of_pytorch_and_dropout_acts_between_layers():
    layer = nn.LSTM(3, 4, 2, bidirectional=True, proj_size=2)
    ends = [f"_l{level}{end}" for level in (0, 1) for end in ("", "_reverse")]
    kinds = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr")
    assert list(layer.state_dict()) == [kind + end for end in ends for kind in kinds]
    layer = nn.GRU(3, 4, 2, dropout=0.5)
    x = td.tensor(normal(5, 2, 3).astype(np.float32))
    assert not np.array_equal(array(layer(x)[0]), array(layer(x)[0]))
    layer.eval()
    np.testing.assert_array_equal(array(layer(x)[0]), array(layer(x)[0]))


def test_what_does_not_fit_is_refused():
    layer = nn.LSTM(3, 4)
    with pytest.raises(td.ShapeError, match=r"\[LSTM\] the input"):
        layer(td.ones((5, 2, 4)))
    with pytest.raises(td.ShapeError, match=r"\[LSTM\] the state must have the shapes h_0 \(1, 2, 4\), c_0"):
        layer(td.ones((5, 2, 3)), (td.ones((1, 2, 4)), td.ones((1, 3, 4))))
    with pytest.raises(ValueError, match="nonlinearity"):
        nn.RNN(3, 4, nonlinearity="gelu")
    with pytest.raises(ValueError, match="proj_size"):
        nn.LSTM(3, 4, proj_size=4)


@pytest.mark.parametrize("kind", ["RNN", "RNNCell", "LSTM", "GRU"])
def test_layers_are_pickled(kind):
    layer, x = getattr(nn, kind)(3, 4), td.ones((2, 3))
    again = pickle.loads(pickle.dumps(layer))
    for ours, want in zip(td.tree.leaves(again(x)), td.tree.leaves(layer(x)), strict=True):
        np.testing.assert_array_equal(array(ours), array(want))


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_states_keep_their_dtype(kind):
    """Under autocast, whose products are of 16 bits, and where input and parameters differ."""
    layer, x = getattr(nn, kind)(3, 4), td.tensor(normal(5, 2, 3))
    with td.autocast():
        assert layer(x.astype(td.float32))[0].dtype is td.float32
    assert layer(x)[0].dtype is td.float64
    assert layer(x.astype(td.bfloat16))[0].dtype is td.float32
