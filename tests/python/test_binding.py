"""How functions and methods take their arguments, and keys as one call."""

import inspect

import numpy as np
import pytest
import tidu as td


def test_signatures_are_shown():
    assert str(inspect.signature(td.sum)) == "(x, axis=None, keepdims=False, dtype=None)"
    assert str(inspect.signature(td.Tensor.sum)) == "(self, /, axis=None, keepdims=False, dtype=None)"
    assert str(inspect.signature(td.reshape)) == "(x, shape, copy=None)"
    assert str(inspect.signature(td.Tensor.reshape)) == "(self, /, *shape)"
    assert str(inspect.signature(td.ones(2).softmax)) == "(axis=-1)"
    assert "largest element" in td.max.__doc__
    assert td.take.__name__ == td.Tensor.take.__name__ == "take"


@pytest.mark.parametrize(
    "call",
    [
        lambda x: td.sum(x, 1, True),
        lambda x: td.sum(x, 1, keepdims=True),
        lambda x: td.sum(x, keepdims=True, axis=1),
        lambda x: td.sum(keepdims=True, axis=(1,), x=x),
        lambda x: x.sum(1, True),
        lambda x: x.sum(axis=[-1], keepdims=1),
        lambda x: x.sum(axis=np.int64(1), keepdims=np.bool_(True)),
        lambda x: x.sum(**{"".join(["ax", "is"]): 1, "keepdims": True}),
    ],
)
def test_arguments_by_place_and_name(call):
    assert call(td.tensor([[1.0, 2.0], [3.0, 4.0]])).tolist() == [[3.0], [7.0]]


@pytest.mark.parametrize(
    "call",
    [
        lambda x: x.reshape(3, 2),
        lambda x: x.reshape((3, 2)),
        lambda x: x.reshape([3, -1]),
        lambda x: x.reshape(shape=(3, 2)),
        lambda x: x.reshape(np.int64(3), td.tensor(2)),
        lambda x: td.reshape(x, (3, 2)),
        lambda x: td.reshape(x, shape=(-1, 2)),
    ],
)
def test_shapes_in_one_or_several_arguments(call):
    assert call(td.arange(6)).tolist() == [[0, 1], [2, 3], [4, 5]]


def test_shapes_of_no_and_of_one_axis():
    assert td.ones(1).reshape().shape == td.ones(1).reshape(()).shape == ()
    assert td.ones((2, 3)).reshape(6).shape == td.ones((2, 3)).reshape(-1).shape == (6,)
    assert td.ones((2, 3)).permute_dims(1, 0).shape == td.ones((2, 3)).permute_dims(axes=(1, 0)).shape


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: td.sum(), r"\[sum\] needs the argument 'x'"),
        (lambda x: td.reshape(x), r"\[reshape\] needs the argument 'shape'"),
        (lambda x: x.softmax(0, 1), r"\[softmax\] takes at most 1 arguments?, not 2"),
        (lambda x: x.flatten(0, 1, 2), r"\[flatten\] takes at most 2 arguments, not 3"),
        (lambda x: x.sum(axes=0), r"\[sum\] has no argument 'axes'"),
        (lambda x: x.sum(0, axis=0), r"\[sum\] the argument 'axis' is given twice"),
        (lambda x: x.sum(x=x), r"\[sum\] has no argument 'x'"),
        (lambda x: x.sum("0"), r"\[sum\] the argument 'axis' must be .*int.*, not str"),
        (lambda x: x.softmax(1.0), r"\[softmax\] the argument 'axis' must be int, not float"),
        (lambda x: x.sum(keepdims="yes"), r"\[sum\] the argument 'keepdims' must be bool"),
        (lambda x: x.astype(3), r"\[astype\] the argument 'dtype' must be dtype, not int"),
        (lambda x: td.sum(None), r"\[sum\] the argument 'x' must be Tensor, not NoneType"),
        (lambda x: x.reshape("ab"), r"\[reshape\] the argument 'shape' must be .*int"),
        (lambda x: x.reshape(2, 1.5), r"\[reshape\] the argument 'shape' must be .*int"),
        (lambda x: x.var(correction="1"), r"\[var\] the argument 'correction' must be float"),
    ],
)
def test_wrong_arguments(call, message):
    with pytest.raises(TypeError, match=message):
        call(td.ones((2, 2)))


def test_what_becomes_a_tensor_lies_beside_the_first():
    x = td.ones((3, 2))
    assert td.take(x, [2, 0]).shape == (2, 2)
    assert td.matmul(x, [[1.0], [2.0]]).tolist() == [[3.0]] * 3


# --- Keys without arrays


def random_key(rng, ndim):
    """Integers, slices, None and one ..., of which the first two take an axis each."""
    taken = int(rng.integers(0, ndim + 1))
    items = []
    for axis in range(taken):
        extent = 3 + axis
        if rng.random() < 0.4:
            items.append(int(rng.integers(-extent, extent)))
        else:
            bounds = [None if rng.random() < 0.3 else int(rng.integers(-7, 8)) for _ in range(2)]
            items.append(slice(*bounds, int(rng.choice([-3, -2, -1, 1, 2, 3]))))
    for _ in range(int(rng.integers(0, 3))):
        items.insert(int(rng.integers(0, len(items) + 1)), None)
    if taken == ndim and rng.random() < 0.3:  # of no extent: what stands behind it keeps its axis
        items.insert(int(rng.integers(0, len(items) + 1)), Ellipsis)
    return tuple(items)


@pytest.mark.parametrize("seed", range(100))
def test_a_key_is_one_view_with_one_derivative(seed):
    rng = np.random.default_rng(seed)
    ndim = int(rng.integers(1, 5))
    array = rng.standard_normal([3 + axis for axis in range(ndim)])
    order = tuple(int(i) for i in rng.permutation(ndim))
    # Values as they are, in a layout of their own.
    x = td.tensor(array.transpose(order)).permute_dims(tuple(int(i) for i in np.argsort(order)))
    key = random_key(rng, ndim)
    want = array[key]

    got = x[key]
    assert got.shape == want.shape
    np.testing.assert_array_equal(got.numpy() if got.device.type == "cpu" else got.cpu().numpy(), want)

    weights = rng.standard_normal(want.shape)
    gradient = td.grad(lambda x: (x[key] * td.tensor(weights)).sum())(x)
    scattered = np.zeros_like(array)
    scattered[key] = weights
    np.testing.assert_array_equal(gradient.cpu().numpy(), scattered)

    tangent = td.tensor(rng.standard_normal(array.shape))
    moved = td.jvp(lambda x: x[key], (x,), (tangent,))[1]
    np.testing.assert_array_equal(moved.cpu().numpy(), tangent.cpu().numpy()[key])


@pytest.mark.parametrize(
    "key", [0, (0, None, slice(1, 3)), (Ellipsis, 1), (None,), slice(None, None, -1)], ids=str
)
def test_a_key_is_one_call(key):
    lines = str(td.program(lambda x: x[key], td.ones((4, 5, 6)))).splitlines()
    assert sum("= " in line for line in lines) == 1
    assert sum("= slice[" in line for line in lines) == 1


def test_a_write_through_a_key_with_other_axes_is_recorded():
    def through_views(x):
        y = td.copy(x)
        row = y[1, None, ::2]
        row[0, 0] = 7
        row += 1
        return y

    def at_keys(x):
        y = td.copy(x)
        y[1, None, ::2] += 1
        y[1, 0] = 8
        return y

    x = td.arange(10, dtype=td.float64).reshape(2, 5)
    want = [[0, 1, 2, 3, 4], [8, 6, 8, 8, 10]]
    for f in (through_views, at_keys):
        assert f(x).tolist() == want
        assert td.program(f, x)(x).tolist() == want
    gradient = td.grad(lambda x: (at_keys(x) * td.arange(10.0).reshape(2, 5)).sum())(x)
    assert gradient.tolist() == [[0, 1, 2, 3, 4], [0, 6, 7, 8, 9]]
