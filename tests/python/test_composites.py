"""Operations made of others: against NumPy, with their derivatives at the special points."""

import numpy as np
import pytest
import tidu as td
from samplers import to_array

rng = np.random.default_rng(9)


@pytest.mark.parametrize("dtype", [td.int32, td.float16, td.float64])
def test_clip(dtype):
    x = rng.integers(-9, 9, (3, 4))
    t = td.tensor(x, dtype=dtype)
    for low, high in ((-3, 4), (None, 2), (-1, None), (5, 1), (None, None)):
        want = x if low is None and high is None else np.clip(x, low, high)
        assert (to_array(td.clip(t, low, high)) == want).all()
        assert t.clip(low, high).dtype == dtype
    lows = td.tensor([-1, 0, 1, 2], dtype=dtype)
    assert (to_array(t.clip(lows, max=lows + 2)) == np.clip(x, to_array(lows), to_array(lows) + 2)).all()


def test_clip_at_its_bounds():
    x = td.tensor([-2.0, -1.0, 0.0, 1.0, 2.0, td.nan, td.inf, -td.inf])
    f = lambda x, low, high: td.sum(td.clip(x, low, high))
    grads = [g.tolist() for g in td.grad(f, argnums=(0, 1, 2))(x[:5], td.tensor(-1.0), td.tensor(1.0))]
    assert grads == [[0, 1, 1, 1, 0], 1, 1]
    assert (
        td.hessian(lambda x: td.sum(td.clip(x, -1, 1) ** 2))(x[:5]).tolist()
        == np.diag([0.0, 2, 2, 2, 0]).tolist()
    )
    np.testing.assert_array_equal(to_array(td.clip(x, -1, 1)), np.clip(to_array(x), -1, 1))
    assert td.isnan(td.clip(x, td.nan, 1)).all()
    assert to_array(td.isnan(td.clip(x[:2], td.tensor([td.nan, 0.0]), 1))).tolist() == [True, False]
    assert td.clip(x[:0], 0, 1).shape == (0,)
    with pytest.raises(TypeError, match=r"\[clip\]"):
        td.clip(x, "a")


@pytest.mark.parametrize("dtype", [td.float16, td.bfloat16, td.float32, td.float64, td.int64])
def test_nan_to_num(dtype):
    if dtype == td.int64:
        assert td.nan_to_num(td.tensor([1, 2])).tolist() == [1, 2]
        return
    x = td.tensor([td.nan, td.inf, -td.inf, 1.5], dtype=dtype)
    largest = {"float16": 65504.0, "bfloat16": 2.0**127 * (2 - 2**-7)}.get(dtype.name) or np.finfo(
        dtype.name
    ).max
    assert td.nan_to_num(x).astype(td.float64).tolist() == [0, float(largest), -float(largest), 1.5]
    assert td.nan_to_num(x, 1, 2, 3).tolist() == [1, 2, 3, 1.5]
    assert td.grad(lambda x: td.sum(td.nan_to_num(x)))(x).tolist() == [0, 0, 0, 1]


def test_comparisons():
    a = np.array([1.0, 1 + 1e-6, 1.1, np.nan, np.inf, np.inf, -np.inf, 0, 1e-9])
    b = np.array([1.0, 1.0, 1.0, np.nan, np.inf, -np.inf, 1.0, 1e-9, 0])
    x, y = td.tensor(a), td.tensor(b)
    for options in ({}, {"rtol": 0.2}, {"atol": 0.0, "rtol": 1e-8}, {"equal_nan": True}):
        assert (to_array(td.isclose(x, y, **options)) == np.isclose(a, b, **options)).all()
    assert td.allclose(x[:2], y[:2]) is True
    assert td.allclose(x, y) is False
    assert td.allclose(td.ones((2, 3)), 1.0)
    assert td.isclose(td.tensor([2**60 + 1]), td.tensor([2**60])).tolist() == [True]
    assert td.array_equal(x, y) is False
    assert td.array_equal(x[3:4], y[3:4]) is False
    assert td.array_equal(x[3:4], y[3:4], equal_nan=True) is True
    assert td.array_equal(td.ones(2), td.ones(3)) is False
    assert td.array_equal(td.ones(0), td.ones(0)) is True
    assert (to_array(td.isposinf(x)) == np.isposinf(a)).all()
    assert (to_array(td.isneginf(x)) == np.isneginf(a)).all()
    assert td.isposinf(td.tensor([1])).tolist() == [False]


def test_diff():
    x = rng.integers(0, 99, (4, 5))
    for dtype in (td.bool, td.int16, td.uint8, td.float64):
        t = td.tensor(x, dtype=dtype)
        for n, axis in ((0, 0), (1, -1), (2, 0), (3, 1), (9, 0)):
            want = np.diff(to_array(t), n, axis)
            got = td.diff(t, n, axis)
            assert got.dtype == dtype
            np.testing.assert_array_equal(to_array(got), want)
            ends = {"prepend": x[:1] if axis == 0 else x[:, :2], "append": x[:2] if axis == 0 else x[:, :1]}
            for names in (["prepend"], ["append"], ["append", "prepend"]):
                given = {name: to_array(td.tensor(ends[name], dtype=dtype)) for name in names}
                want = np.diff(to_array(t), n, axis, **given)
                got = td.diff(t, n, axis, **{name: td.tensor(value) for name, value in given.items()})
                np.testing.assert_array_equal(to_array(got), want)
    jacobian = td.jacobian(lambda x: td.diff(x, 2))(td.ones(4))
    assert jacobian.tolist() == [[1, -2, 1, 0], [0, 1, -2, 1]]
    with pytest.raises(ValueError, match=r"\[diff\]"):
        td.diff(td.ones(3), -1)


def test_trapezoid():
    y, x = rng.normal(size=(3, 6)), np.sort(rng.normal(size=6))
    trapezoid = getattr(np, "trapezoid", None) or np.trapz
    for given, points, axis in (
        (y, None, -1),
        (y, x, -1),
        (y.T, x, 0),
        (y, np.sort(rng.normal(size=(3, 6))), 1),
    ):
        want = trapezoid(given, points, axis=axis)
        got = td.trapezoid(td.tensor(given), None if points is None else td.tensor(points), axis=axis)
        np.testing.assert_allclose(to_array(got), want, rtol=1e-12)
    np.testing.assert_allclose(
        float(td.trapezoid(td.tensor(y[0]), dx=0.1)), trapezoid(y[0], dx=0.1), rtol=1e-12
    )
    td.check_grads(lambda y, x: td.trapezoid(y, x), (td.tensor(y[0]), td.tensor(x)), order=2)
    with pytest.raises(td.ShapeError, match=r"\[trapezoid\]"):
        td.trapezoid(td.ones(3), td.ones(4))


def test_bounds_of_clip_that_no_element_can_be_name_clip():
    x = td.tensor([1, 200], dtype=td.uint8)
    for bounds in ((-1, 300), (0, 300), (-1, 5), (None, 2**40)):
        with pytest.raises(ValueError, match=r"\[clip\] the number -?\d+ does not fit uint8"):
            td.clip(x, *bounds)
    assert td.clip(x, 2, 150).tolist() == [2, 150] and td.clip(x, 2, 150).dtype is td.uint8
    assert td.clip(x, 0.5, 300.5).tolist() == [1, 200]
    assert td.clip(td.tensor([True, False]), 0, 1).tolist() == [1, 0]
