"""Functions and layers that scripts for PyTorch and NumPy reach for, against NumPy and their definitions."""

import numpy as np
import pytest
import tidu as td

rng = np.random.default_rng(12)
F = td.nn.functional


def array(x):
    return x.cpu().numpy()


def same(got, want):
    if isinstance(want, (tuple, list)):
        assert len(got) == len(want)
        for a, b in zip(got, want, strict=True):
            same(a, b)
    else:
        np.testing.assert_array_equal(array(got), want)


# ---- Joining and cutting

SHAPES = {"hstack": (2, 3), "vstack": (2, 3), "dstack": (2, 3, 4), "column_stack": (2, 3)}


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("rank", [0, 1, 2, 3])
def test_stacks(name, rank):
    arrays = [rng.normal(size=(2, 3, 4)[:rank]) for _ in range(3)]
    same(getattr(td, name)([td.tensor(a) for a in arrays]), getattr(np, name)(arrays))
    with pytest.raises(TypeError, match=f"{name}.*sequence of at least one"):
        getattr(td, name)(td.ones((2, 2)))


@pytest.mark.parametrize("parts", [1, 3, 4, 9, [2, 5], [5, 2], [-2], [], [0, 20]])
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_tensor_split(parts, axis):
    x = rng.normal(size=(7, 6, 5))
    same(td.tensor_split(td.tensor(x), parts, axis), np.array_split(x, parts, axis))


@pytest.mark.parametrize(
    ("name", "shape"), [("hsplit", (6,)), ("hsplit", (5, 6)), ("vsplit", (6, 2)), ("dsplit", (1, 2, 6))]
)
def test_named_splits(name, shape):
    x = rng.normal(size=shape)
    for parts in (3, [1, 4]):
        same(getattr(td, name)(td.tensor(x), parts), getattr(np, name)(x, parts))
    with pytest.raises(td.ShapeError, match="are not 4 equal parts"):
        getattr(td, name)(td.tensor(x), 4)
    with pytest.raises(td.ShapeError, match="takes a tensor of at least"):
        getattr(td, name)(td.tensor(1.0), 1)


def test_flips_and_shapes():
    x = rng.normal(size=(2, 6, 3))
    same(td.flatten(td.tensor(x), 1), x.reshape(2, 18))
    same(td.tensor(x).flatten(end_axis=-2), x.reshape(12, 3))
    same(td.flatten(td.tensor(x), 1, 1), x)
    same(td.flatten(td.tensor(2.0)), np.array([2.0]))
    same(td.flatten(td.ones((2, 0, 3)), 1), np.ones((2, 0)))
    with pytest.raises(ValueError, match=r"\[flatten\] start_axis 2 lies behind end_axis 1"):
        td.flatten(td.tensor(x), 2, 1)
    same(td.fliplr(td.tensor(x)), np.fliplr(x))
    same(td.flipud(td.tensor(x)), np.flipud(x))
    same(td.unflatten(td.tensor(x), 1, (2, -1)), x.reshape(2, 2, 3, 3))
    same(td.unflatten(td.tensor(x), -1, (3, 1)), x.reshape(2, 6, 3, 1))
    for bad in [(4, -1), (-1, -1), (2, 2), (0, -1)]:
        with pytest.raises(td.ShapeError, match="is not of the extents"):
            td.unflatten(td.tensor(x), 1, bad)
    for shapes in [((3, 1), (2,)), ((), (4, 0), 1), (5,), ()]:
        assert td.broadcast_shapes(*shapes) == np.broadcast_shapes(*shapes)
    with pytest.raises(td.ShapeError, match=r"\(2,\), \(3,\) do not broadcast"):
        td.broadcast_shapes((2,), (3,))
    places = rng.integers(0, 60, (4, 2))
    same(td.unravel_index(td.tensor(places), (3, 4, 5)), np.unravel_index(places, (3, 4, 5)))
    few = td.tensor([5, 200], dtype=td.uint8)
    same(td.unravel_index(few, (300, 7)), np.unravel_index([5, 200], (300, 7)))


# ---- By order


def test_where_of_a_condition():
    x = rng.integers(0, 2, (4, 5))
    same(td.where(td.tensor(x)), np.where(x))
    same(td.where(td.tensor(x) > 0, 1.0, 2.0), np.where(x > 0, np.float32(1), np.float32(2)))
    with pytest.raises(TypeError, match="takes a condition alone"):
        td.where(td.tensor(x), 1.0)


@pytest.mark.parametrize("name", ["cummax", "cummin"])
@pytest.mark.parametrize("kind", [np.int64, np.float64, np.uint8])
def test_running_extremes_have_places(name, kind):
    x = rng.integers(0, 5, (3, 8, 2)).astype(kind)
    if kind is np.float64:
        x[0, 3, 1] = x[1, 0, 0] = x[1, 4, 0] = np.nan
    for axis in (0, 1, -1):
        got = getattr(td, name)(td.tensor(x), axis, return_indices=True)
        want = np.zeros(x.shape, np.int64)
        rows, places = np.moveaxis(x, axis, -1), np.moveaxis(want, axis, -1)
        for at in np.ndindex(rows.shape[:-1]):
            best = 0
            for i, value in enumerate(rows[at]):
                held = rows[at][best]
                better = value >= held if name == "cummax" else value <= held
                if np.isnan(value) or (better and not np.isnan(held)):
                    best = i
                places[at][i] = best
        same(got.indices, want)
        same(got.values, np.take_along_axis(x, want, axis))
        same(getattr(td, name)(td.tensor(x), axis), array(got.values))
    line = getattr(td, name)(td.tensor([2, 1, 2]), return_indices=True)
    assert line.indices.tolist() == ([0, 0, 2] if name == "cummax" else [0, 1, 1])


@pytest.mark.parametrize("kinds", [("f8", "f8"), ("i4", "f4"), ("u1", "i2"), ("?", "?")])
def test_membership(kinds):
    x, values = (rng.integers(0, 6, n).astype(k) for n, k in zip((20, 3), kinds, strict=True))
    x = x.reshape(4, 5)
    same(td.isin(td.tensor(x), td.tensor(values)), np.isin(x, values))
    same(td.isin(td.tensor(x), td.tensor(values), invert=True), np.isin(x, values, invert=True))
    assert not td.any(td.isin(td.tensor(x), td.zeros((0,))))
    assert td.isin(td.tensor([np.nan, 1.0]), td.tensor([np.nan, 1.0])).tolist() == [False, True]


def test_runs():
    x = rng.integers(0, 2, 30)
    got = td.unique_consecutive(td.tensor(x), True, True)
    begins = np.flatnonzero(np.r_[True, x[1:] != x[:-1]])
    same(got.values, x[begins])
    same(got.counts, np.diff(np.r_[begins, 30]))
    same(td.take(got.values, got.inverse_indices), x)
    rows = np.array([[1, 2], [1, 2], [1, 3], [1, 2]])
    same(td.unique_consecutive(td.tensor(rows), axis=0), rows[[0, 2, 3]])
    same(td.unique_consecutive(td.tensor(rows), axis=1), rows)
    square = td.unique_consecutive(td.tensor(rows), return_inverse=True)
    assert square.inverse_indices.shape == (4, 2)
    assert td.unique_consecutive(td.zeros((0,)), return_counts=True).counts.tolist() == []


def test_extremes_and_moments():
    x = rng.normal(size=(3, 4, 5))
    for axis in (None, 1, (0, 2)):
        got = td.aminmax(td.tensor(x), axis=axis, keepdims=True)
        same(got.min, x.min(axis, keepdims=True))
        same(got.max, x.max(axis, keepdims=True))
        for name, op in (("var_mean", np.var), ("std_mean", np.std)):
            spread, mean = getattr(td, name)(td.tensor(x), axis, correction=1)
            np.testing.assert_allclose(array(spread), op(x, axis, ddof=1), rtol=1e-12)
            np.testing.assert_allclose(array(mean), x.mean(axis), atol=1e-14)


# ---- Elements put elsewhere


def test_what_is_put_at_indices():
    x, updates = rng.normal(size=(4, 5)), rng.normal(size=(4, 2))
    want = x.copy()
    want[:, [3, 0]] = updates
    same(td.index_copy(td.tensor(x), 1, td.tensor([3, 0]), td.tensor(updates)), want)
    want[:, [3, 0]] = 7
    same(td.index_fill(td.tensor(x), -1, td.tensor([3, 0]), 7.0), want)
    slope = td.grad(lambda u: td.sum(td.index_copy(td.tensor(x), 1, td.tensor([3, 0]), u) ** 2))(
        td.tensor(updates)
    )
    np.testing.assert_allclose(array(slope), 2 * updates)
    mask = rng.random((4, 5)) < 0.5
    for source in (rng.normal(size=(4, 5)), rng.normal(size=mask.sum())):
        want = x.copy()
        want[mask] = source.reshape(-1)[: mask.sum()]
        same(td.masked_scatter(td.tensor(x), td.tensor(mask), td.tensor(source)), want)
    with pytest.raises(td.ShapeError, match="1 updates are not enough for the 20 elements"):
        td.masked_scatter(td.tensor(x), td.tensor(True), td.ones(1))
    same(td.masked_scatter(td.tensor(x), td.tensor(False), td.ones(0)), x)


# ---- Grids


def test_spaced_numbers():
    for name, args in [("logspace", (-2, 3)), ("geomspace", (0.5, 300.0)), ("geomspace", (-8.0, -1.0))]:
        for options in ({}, {"num": 7}, {"num": 7, "endpoint": False}):
            got = getattr(td, name)(*args, **options, dtype=td.float64)
            np.testing.assert_allclose(array(got), getattr(np, name)(*args, **options), rtol=1e-13)
    np.testing.assert_allclose(array(td.logspace(0, 3, 4, base=2.0)), [1, 2, 4, 8], rtol=1e-6)
    assert td.geomspace(1, 1000, 4, dtype=td.float64).tolist() == [1, 10, 100, 1000]
    assert td.geomspace(3e-200, 7e-190, 2, dtype=td.float64).tolist() == [3e-200, 7e-190]
    with pytest.raises(ValueError, match="both positive or both negative"):
        td.geomspace(-1, 1)


@pytest.mark.parametrize("order", [1, 2])
def test_gradients_of_grids(order):
    y, places = rng.normal(size=(5, 6)), np.sort(rng.normal(size=6))
    got = td.gradient(td.tensor(y), 0.5, edge_order=order)
    for a, b in zip(got, np.gradient(y, 0.5, edge_order=order), strict=True):
        np.testing.assert_allclose(array(a), b, rtol=1e-12, atol=1e-13)
    got = td.gradient(td.tensor(y), td.tensor(places), axis=1, edge_order=order)
    np.testing.assert_allclose(array(got), np.gradient(y, places, axis=1, edge_order=order), rtol=1e-9)
    got = td.gradient(td.tensor(y), [2.0, td.tensor(places)], edge_order=order)
    for a, b in zip(got, np.gradient(y, 2.0, places, edge_order=order), strict=True):
        np.testing.assert_allclose(array(a), b, rtol=1e-9)
    for call, message in [
        (lambda: td.gradient(td.ones(order), edge_order=order), "too few for edge_order"),
        (lambda: td.gradient(td.tensor(y), [1.0]), "1 spacings are not one for each of 2 axes"),
        (lambda: td.gradient(td.tensor(y), td.ones(4), axis=1), "are not the 6 along axis 1"),
    ]:
        with pytest.raises(td.ShapeError, match=message):
            call()


def test_integrals_to_each_point():
    y, x = rng.normal(size=(3, 6)), np.sort(rng.normal(size=6))
    pieces = 0.5 * (y[:, 1:] + y[:, :-1])
    got = td.cumulative_trapezoid(td.tensor(y), td.tensor(x), axis=1)
    np.testing.assert_allclose(array(got), np.cumsum(pieces * np.diff(x), 1), atol=1e-14)
    got = td.cumulative_trapezoid(td.tensor(y), dx=0.5, axis=0)
    np.testing.assert_allclose(array(got), np.cumsum(0.25 * (y[1:] + y[:-1]), 0), atol=1e-14)


# ---- Layers


def test_layers():
    x = td.tensor(rng.normal(size=(2, 6, 4, 5)).astype(np.float32))
    assert td.nn.Identity(3, bias=False)(x) is x
    same(td.nn.LogSoftmax(axis=1)(x), array(td.log_softmax(x, axis=1)))
    same(td.nn.Softmax2d()(x), array(td.softmax(x, axis=1)))
    shuffled = array(td.nn.ChannelShuffle(3)(x))
    for group in range(3):
        for i in range(2):
            np.testing.assert_array_equal(shuffled[:, i * 3 + group], array(x)[:, group * 2 + i])
    columns = td.nn.Unfold((2, 3), padding=1, stride=2)(x)
    same(columns, array(F.unfold(x, (2, 3), padding=1, stride=2)))
    same(
        td.nn.Fold((4, 5), (2, 3), padding=1, stride=2)(columns),
        array(F.fold(columns, (4, 5), (2, 3), padding=1, stride=2)),
    )
    with pytest.raises(td.ShapeError, match="4 C"):
        td.nn.ChannelShuffle(4)(x)


def test_parameter_dict():
    held = td.nn.ParameterDict({"w": td.ones(2), "b": td.nn.Parameter(td.zeros(1))})
    assert list(held) == held.keys() == ["w", "b"] and len(held) == 2 and "w" in held
    assert held["w"].requires_grad and [p.shape for p in held.parameters()] == [(2,), (1,)]
    assert [name for name, _ in held.items()] == ["w", "b"] and set(held.state_dict()) == {"w", "b"}
    del held["w"]
    assert list(held) == ["b"]
    with pytest.raises(KeyError, match="taken"):
        held["keys"] = td.ones(1)


@pytest.mark.parametrize("axis", [0, 1])
def test_relaxed_categories(axis):
    logits = td.tensor(rng.normal(size=(4, 5)))
    key = td.random.key(3)
    soft = F.gumbel_softmax(logits, key, tau=0.7, axis=axis)
    noise = td.random.gumbel(key, (4, 5), dtype=td.float64)
    want = array(td.softmax((logits + noise) / 0.7, axis=axis))
    np.testing.assert_allclose(array(soft), want, rtol=1e-12)
    hard = array(F.gumbel_softmax(logits, key, tau=0.7, hard=True, axis=axis))
    np.testing.assert_allclose(hard, (want == want.max(axis, keepdims=True)).astype(float), atol=1e-15)
    w = td.tensor(rng.normal(size=(4, 5)))
    slopes = [
        array(td.grad(lambda x, h=h: td.sum(w * F.gumbel_softmax(x, key, 0.7, h, axis)))(logits))
        for h in (False, True)
    ]
    np.testing.assert_allclose(slopes[0], slopes[1], rtol=1e-12)
    # Of the samples without noise each category comes as often as its probability says.
    draws = F.gumbel_softmax(td.broadcast_to(td.log(td.tensor([0.2, 0.8])), (2000, 2)), key, hard=True)
    assert abs(array(draws)[:, 1].mean() - 0.8) < 0.04
    with pytest.raises(ValueError, match=r"tau is 0\.0"):
        F.gumbel_softmax(logits, key, tau=0.0)
