"""Random functions of views and writes, in every mode, against the same in NumPy and its differences.

What one view writes all others show. A derivative is right, or refused with a GradientError where a tensor
was overwritten through another view of its memory.
"""

import operator
import subprocess
import sys

import numpy as np
import pytest
import tidu as td
from samplers import to_array

SIZE = 6


class Function:
    """A function of a vector: up to ten steps drawn by a seed, run with NumPy's or tidu's arrays."""

    def __init__(self, seed):
        rng = np.random.default_rng(seed)
        self.weights = rng.integers(1, 9, SIZE) / 8.0
        self.steps = [self._draw(rng) for _ in range(rng.integers(2, 10))]

    def _key(self, rng):
        kind = rng.integers(9)
        if kind < 5:
            start, stop = (
                None if rng.integers(3) == 0 else int(rng.integers(-SIZE - 1, SIZE + 2)) for _ in range(2)
            )
            step = int(rng.choice([-3, -2, -1, 1, 2, 3]))
            return slice(start, stop, step)
        if kind == 5:
            return slice(None)
        if kind == 6:
            return int(rng.integers(-SIZE, SIZE))
        if kind == 7:
            return rng.integers(0, 2, SIZE).astype(bool) & (rng.integers(4) > 0)
        return rng.integers(-SIZE, SIZE, rng.integers(0, 4))

    def _draw(self, rng):
        names = int(rng.integers(100)), int(rng.integers(100))
        return (
            rng.choice(["view", "write", "add", "reflect", "compute"], p=[0.3, 0.3, 0.15, 0.1, 0.15]),
            names,
            self._key(rng),
            rng.integers(0, 3),
        )

    def __call__(self, x, copy, array, value):
        """sum(weights * values^2) over every array that the steps made; value(a) is what is written of a."""
        base = copy(x * 2.0)
        arrays = [base, x * 1.0]
        for action, (i, j), key, way in self.steps:
            target, other = arrays[i % len(arrays)], arrays[j % len(arrays)]
            if not isinstance(key, (slice, int)):
                if len(target) != SIZE:
                    continue
                key = array(key)
            elif isinstance(key, int) and not -len(target) <= key < len(target):
                continue
            picked = target[key]
            if action == "view":
                if picked.ndim == 1:
                    arrays.append(picked)
            elif action == "compute":
                arrays.append(0.25 * target * (other if len(target) == len(other) else target))
            elif action == "add":
                target[key] += 0.5 if way else 0.25 * other.sum()
            elif action == "reflect" and picked.ndim == 1:
                target[key] = value(picked[::-1])
            elif action == "write" and len(picked.shape) == 1:
                if way and len(other) >= picked.shape[0]:
                    target[key] = value(other[: picked.shape[0]])
                else:
                    target[key] = 3.0
        total = 0.0
        for a in arrays:
            w = self.weights[: len(a)]
            total = total + (array(w) * a * a).sum()
        return total


def in_numpy(function, x):
    # NumPy 2.4 reads of a[::2] = a[:3] what it has just written.
    return function(np.array(x), np.copy, np.asarray, np.copy)


def in_tidu(function):
    def as_tensor(values):
        return td.tensor(np.asarray(values))

    return lambda x: function(x, td.copy, as_tensor, lambda a: a)


def difference(function, x, direction, h=1e-5):
    return (in_numpy(function, x + h * direction) - in_numpy(function, x - h * direction)) / (2 * h)


def attempt(derivative):
    try:
        return derivative()
    except td.GradientError as error:
        assert "overwritten" in str(error), error
        return None


def check(seed):
    """The number of modes that gave a derivative."""
    function = Function(seed)
    rng = np.random.default_rng(seed)
    point = rng.integers(1, 17, SIZE) / 8.0
    f, x = in_tidu(function), td.tensor(point)
    assert np.isclose(f(x).item(), in_numpy(function, point), rtol=1e-12), seed
    scale = abs(in_numpy(function, point))  # of the rounding errors of differences
    expected = np.array([difference(function, point, e) for e in np.eye(SIZE)])

    def by_backward():
        leaf = td.tensor(point, requires_grad=True)
        result = f(leaf)
        if not result.requires_grad:  # all was overwritten
            return np.zeros(SIZE)
        result.backward()
        return leaf.grad.cpu().numpy()

    def of_directions():
        columns = [td.jvp(f, (x,), (td.tensor(e),))[1].item() for e in np.eye(SIZE)]
        return np.array(columns)

    def of_grad_in_jvp():
        return td.jvp(td.grad(f), (x,), (td.ones(SIZE, dtype=td.float64),))[1].cpu().numpy()

    derived = 0
    for derivative in (lambda: td.grad(f)(x).cpu().numpy(), by_backward, of_directions):
        found = attempt(derivative)
        if found is not None:
            derived += 1
            np.testing.assert_allclose(
                found, expected, rtol=1e-5, atol=1e-6 + 1e-9 * scale, err_msg=f"seed {seed}"
            )
    second = attempt(of_grad_in_jvp)
    if second is not None:
        ones, h = np.ones(SIZE), 1e-3
        gradients = [
            np.array([difference(function, point + sign * h * ones, e, 1e-3) for e in np.eye(SIZE)])
            for sign in (1, -1)
        ]
        by_differences = (gradients[0] - gradients[1]) / (2 * h)
        np.testing.assert_allclose(
            second, by_differences, rtol=1e-3, atol=1e-3 + 1e-6 * scale, err_msg=f"seed {seed}"
        )
    return derived


@pytest.mark.parametrize("block", range(10))
def test_random_functions(block):
    derived = sum(check(seed) for seed in range(40 * block, 40 * block + 40))
    assert derived > 40  # of 120: many views are stale when they are summed


def test_a_reversed_whole_is_not_the_value_itself():
    weights = td.tensor([1.0, 10.0, 100.0])

    def f(x):
        c = td.zeros(3)
        c[::-1] = x
        return (c * weights).sum()

    assert td.grad(f)(td.ones(3)).tolist() == [100, 10, 1]
    assert td.jvp(f, (td.ones(3),), (td.tensor([1.0, 0, 0]),))[1].item() == 100


@pytest.mark.parametrize("nothing", [[False] * 3, np.array([], dtype=np.int64), slice(0, 0), slice(2, 1)])
def test_a_write_to_nothing_changes_nothing(nothing):
    key = td.tensor(nothing) if isinstance(nothing, (list, np.ndarray)) else nothing

    def f(x):
        c = td.copy(x)
        c[key] = x[key]
        c[key] = 0.0
        return (c * c).sum()

    assert td.grad(f)(td.ones(3)).tolist() == [2, 2, 2]


def test_a_view_of_the_same_elements_is_not_its_last_write():
    def f(a):
        base = a * 2
        x = base[:]
        base[1:2] = 5
        x[0:1] = base[0:1]
        return (x * x).sum()

    with pytest.raises(td.GradientError, match="overwritten"):
        td.grad(f)(td.ones(2))


def test_a_view_that_was_written_to_is_put_back():
    def f(x):
        c = x * 1.0
        row = c[1]
        row[0] += x[0, 1]
        c[1] = row
        return (c * c).sum()

    x = td.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert td.grad(f)(x).tolist() == [[2, 14], [10, 8]]


@pytest.mark.cpu_only("arrays are in the host's memory")
def test_empty_tensors_in_arrays_memory_are_written_to():
    x = td.from_numpy(np.zeros((3, 0)))
    x[...] = 1.0
    x[1:] = x[:2]
    np.from_dlpack(x)[:] = 1
    assert x.shape == (3, 0)


IN_PLACE = {
    "+=": (operator.iadd, np.add),
    "-=": (operator.isub, np.subtract),
    "*=": (operator.imul, np.multiply),
    "/=": (operator.itruediv, np.divide),
}


@pytest.mark.parametrize("dtype", [td.float16, td.float32, td.float64, td.int32], ids=str)
@pytest.mark.parametrize("symbol", IN_PLACE)
def test_operators_write_where_they_read(symbol, dtype):
    """Of whole tensors, numbers, the tensor itself and views of it that overlap."""
    operate, numpy = IN_PLACE[symbol]
    if dtype is td.int32 and symbol == "/=":
        with pytest.raises(td.DTypeError):
            operate(td.arange(1, 5, dtype=dtype), td.arange(1, 5, dtype=dtype))
        return
    for n in (1, 5, 40000):
        start = np.arange(1, n + 1) % 7 + 1
        other = td.tensor(start[::-1].copy(), dtype=dtype)
        values = to_array(td.tensor(start, dtype=dtype))

        def check(operand, want_of, start=start, values=values):
            x = td.tensor(start, dtype=dtype)
            view = x[:]
            same = operate(x, operand(x))
            assert same is x
            want = numpy(values, want_of(values)).astype(values.dtype)
            np.testing.assert_array_equal(to_array(x), want)
            np.testing.assert_array_equal(to_array(view), want)

        check(lambda _, other=other: other, lambda _, other=other: to_array(other))
        check(lambda _: 3, lambda v: np.asarray(3, v.dtype))
        check(lambda x: x, lambda v: v)
        check(lambda x: x[::-1], lambda v: v[::-1])
        x = td.tensor(start, dtype=dtype)
        part = x[1:]
        operate(part, x[:-1])
        np.testing.assert_array_equal(to_array(x)[1:], numpy(values[1:], values[:-1]).astype(values.dtype))


def test_operators_in_place_are_seen():
    """What a derivative needs is not overwritten in silence, and a broadcast tensor is refused."""
    x = td.tensor([1.0, 2.0, 3.0])
    a = td.tensor([2.0, 3.0, 4.0], requires_grad=True)
    y = td.sum(a * x)
    x += td.ones(3)
    with pytest.raises(td.GradientError, match="overwritten"):
        y.backward()
    with pytest.raises(ValueError, match="broadcast view"):
        wide = td.broadcast_to(td.tensor([1.0]), (3,))
        wide += td.ones(3)
    with pytest.raises(td.GradientError, match="leaf"):
        a += td.ones(3)
    program = td.program(lambda v: operator.iadd(td.copy(v), td.ones(3)), x)
    assert program(td.zeros(3)).tolist() == [1, 1, 1]
    assert td.grad(lambda v: td.sum(operator.imul(v * 2, v)))(td.ones(3)).tolist() == [4, 4, 4]


def test_operators_in_place_come_first():
    """Before any tensor has memory of the library's own."""
    code = """
import numpy as np, tidu as td
array = np.arange(4.0)
x = td.from_numpy(array)
x += x
x *= 3
assert array.tolist() == [0, 6, 12, 18] and x.tolist() == array.tolist()
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
