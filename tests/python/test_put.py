"""index_put and its kin beside NumPy's writes to a copy; mode beside scipy.stats."""

import numpy as np
import pytest
import scipy.stats
import tidu as td

rng = np.random.default_rng(5)


def written(x, key, values):
    x = x.copy()
    x[key] = values
    return x


def to_array(x):
    return x.cpu().numpy()


def test_parts_are_replaced_as_numpy_writes_them():
    x, row, cols = rng.normal(size=(4, 5)), rng.normal(size=5), rng.normal(size=(4, 2))
    t = td.tensor(x)
    same = lambda got, want: np.testing.assert_array_equal(to_array(got), want)
    same(td.select_scatter(t, td.tensor(row), 0, -1), written(x, -1, row))
    same(td.select_scatter(t, td.tensor(row[:4]), -1, 2), written(x, (slice(None), 2), row[:4]))
    same(
        td.slice_scatter(t, td.tensor(cols), 1, 1, None, 2),
        written(x, (slice(None), slice(1, None, 2)), cols),
    )
    same(td.slice_scatter(t, 7.0, stop=2), written(x, slice(None, 2), 7.0))
    diagonal = x.copy()
    diagonal[range(4), range(1, 5)] = row[:4]
    same(td.diagonal_scatter(t, td.tensor(row[:4]), 1), diagonal)
    same(td.diagonal_scatter(t.mT, td.tensor(row[:4]), -1), diagonal.T)
    same(td.index_put(t, (td.tensor([0, 2]), td.tensor([1, 1])), 9.0), written(x, ([0, 2], [1, 1]), 9.0))
    same(td.index_put(t, t > 0, 0.0), np.where(x > 0, 0.0, x))
    repeated = x.copy()
    np.add.at(repeated, [1, 1, 3], row)
    np.testing.assert_allclose(
        to_array(td.index_put(t, [td.tensor([1, 1, 3])], td.tensor(row), accumulate=True)), repeated
    )
    same(t, x)


def test_derivatives_go_to_what_stayed_and_to_what_was_put():
    x, values = td.tensor(rng.normal(size=(3, 3))), td.tensor(rng.normal(size=3))
    for put in (
        lambda x, v: td.select_scatter(x, v, 1, 0),
        lambda x, v: td.diagonal_scatter(x, v),
        lambda x, v: td.index_put(x, (td.tensor([0, 2]),), v, accumulate=True),
        lambda x, v: td.slice_scatter(x, v, 0, 0, 2),
    ):
        assert not td.check_grads(lambda x, v, put=put: td.sin(put(x, v)).sum(), (x, values))
        lanes = td.vmap(put, (0, None))(td.stack([x, 2 * x]), values)
        np.testing.assert_array_equal(to_array(lanes[1]), to_array(put(2 * x, values)))


def test_what_does_not_fit_is_said():
    with pytest.raises(td.ShapeError, match=r"\[select_scatter\].*\(4,\).*\(3,\)"):
        td.select_scatter(td.zeros((2, 3)), td.zeros(4), 0, 0)
    with pytest.raises(IndexError, match="axis 2 is out of range"):
        td.slice_scatter(td.zeros((2, 3)), 0.0, 2)
    with pytest.raises(td.ShapeError, match=r"\[mode\].*no elements"):
        td.mode(td.zeros((2, 0)))


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_mode_is_the_most_frequent(axis):
    x = rng.integers(0, 4, size=(6, 9))
    got = td.mode(td.tensor(x), axis)
    want = scipy.stats.mode(x, axis=axis).mode
    np.testing.assert_array_equal(to_array(got.values), want)
    found = np.take_along_axis(x, np.expand_dims(to_array(got.indices), axis), axis)
    np.testing.assert_array_equal(found.squeeze(axis), want)
    last = x.shape[axis] - 1 - np.argmax(np.flip(x == np.expand_dims(want, axis), axis), axis)
    np.testing.assert_array_equal(to_array(got.indices), last)
    kept = td.mode(td.tensor(x), axis, keepdims=True)
    np.testing.assert_array_equal(to_array(kept.values), np.expand_dims(want, axis))
    assert td.mode(td.tensor(3.5)).values.item() == 3.5


def test_mode_has_the_derivative_of_its_place():
    x = td.tensor([2.0, 1.0, 2.0, 3.0])
    assert td.grad(lambda x: td.mode(x).values)(x).tolist() == [0, 0, 1, 0]
