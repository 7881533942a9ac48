"""compile of every operation, its derivatives and lanes, and of random programs: the bits of the function."""

import itertools
import os

import numpy as np
import pytest
import samplers as ops
import tidu as td

# How many elements it gives depends on values, so it is in no program.
CASES = [case for case in ops.CASES.values() if case.name != "nonzero"]
SEED = int(os.environ.get("TIDU_TEST_SEED", "0"))
NUMBER_OF_PROGRAMS = 200


def bits(tree):
    """The bytes of each tensor of a tree; which of its many forms a NaN has is left open."""

    def of(leaf):
        array = ops.to_array(leaf.detach())
        if array.dtype.kind == "f":
            array = np.where(np.isnan(array), array.dtype.type(np.nan), array)
        return array.tobytes()

    return [(leaf.dtype, leaf.shape, of(leaf)) for leaf in td.tree_leaves(tree)]


def check(function, *arguments, what=""):
    """That calls of what is compiled are calls of the function, twice, and change no argument."""
    before = bits(list(arguments))
    want = bits(function(*arguments))
    compiled = td.compile(function)
    for _ in range(2):
        assert bits(compiled(*arguments)) == want, what
    assert bits(list(arguments)) == before


def tensors_of(case, dtype, seed=5):
    return [ops.to_tensor(x, case.dtype_of_input(i, dtype)) for i, x in enumerate(case.arrays(seed, dtype))]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_values(case):
    for dtype in case.dtypes:
        check(case.function, *tensors_of(case, dtype), what=str(dtype))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_values_of_other_layouts(case):
    dtype = td.float64 if td.float64 in case.dtypes else case.dtypes[0]
    for storage in ops.STORAGES:
        tensors = [
            ops.with_storage(x, case.dtype_of_input(i, dtype), storage)[0]
            for i, x in enumerate(case.arrays(6, dtype))
        ]
        check(case.function, *tensors, what=storage)


def weighted(case):
    """A number that every element of the results is in, each with a weight of its own."""

    def function(*inputs):
        total = 0.0
        for k, y in enumerate(td.tree_leaves(case.function(*inputs))):
            if y.dtype.is_floating_point:
                weights = np.random.default_rng(k).normal(size=y.shape)
                total = total + td.sum(y * td.asarray(weights, dtype=y.dtype, device=y.device))
        return total

    return function


@pytest.mark.parametrize("case", [c for c in CASES if c.differentiable], ids=str)
def test_derivatives(case):
    tensors = tensors_of(case, td.float64)
    places = tuple(case.differentiable)
    gradient = td.grad(weighted(case), argnums=places)
    check(gradient, *tensors, what="grad")

    def along(*inputs):
        tangents = [inputs[i] * 0.5 + 1 if i in places else None for i in range(len(inputs))]

        def of_moved(*primals):
            everything = list(inputs)
            for i, primal in zip(places, primals, strict=True):
                everything[i] = primal
            return case.function(*everything)

        return td.jvp(of_moved, [inputs[i] for i in places], [tangents[i] for i in places])

    check(along, *tensors, what="jvp")

    def second(*inputs):
        return td.grad(
            lambda *at: sum(td.sum(td.sin(g)) for g in td.tree_leaves(gradient(*at))), argnums=places
        )(*inputs)

    check(second, *tensors, what="grad of grad")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_lanes(case):
    tensors = [
        td.stack([x, x])
        for x in tensors_of(case, td.float64 if td.float64 in case.dtypes else case.dtypes[0])
    ]
    check(td.vmap(case.function), *tensors)


# --- Random programs

UNARY = [td.sin, td.exp, td.tanh, td.sigmoid, td.abs, td.relu, td.square, td.negative, td.floor, td.sqrt]
BINARY = [td.add, td.subtract, td.multiply, td.maximum, td.minimum, td.divide, td.less, td.equal, td.hypot]


class Random:
    """A function of three matrices that is drawn as it is called, the same at each call."""

    def __init__(self, seed):
        self.seed = seed

    def __call__(self, a, b, c):
        rng = np.random.default_rng([SEED, self.seed])
        values = [a, b, c]
        floating = a.dtype if a.dtype.is_floating_point else td.float32

        def pick(*shape):
            fitting = [v for v in values if not shape or v.shape == shape]
            return fitting[rng.integers(len(fitting))]

        for _ in range(rng.integers(3, 25)):
            x = pick()
            kind = rng.integers(11)
            if kind < 3:
                y = UNARY[rng.integers(len(UNARY))](x.astype(floating))
            elif kind < 6:
                other = pick(*x.shape)
                y = BINARY[rng.integers(len(BINARY))](x.astype(floating), other.astype(floating))
            elif kind == 6:
                y = td.where(x > 0, x.astype(floating), float(rng.integers(-2, 3)))
            elif kind == 7 and x.ndim and x.size:
                reduce = (td.sum, td.max, td.mean, td.var)[rng.integers(4)]
                axis = None if rng.random() < 0.3 else int(rng.integers(x.ndim))
                y = reduce(x.astype(floating), axis=axis, keepdims=bool(rng.integers(2)))
            elif kind == 8 and x.ndim == 2:
                y = (x.T, x[::-1], x[1:], x[:, :1], x.reshape(-1), td.softmax(x.astype(floating), -1))[
                    rng.integers(6)
                ]
            elif kind == 9 and x.ndim == 2:
                y = td.matmul(x.astype(floating), x.T.astype(floating)) * 0.1
            else:
                y = x.astype(floating) * float(rng.normal()) + 1
                if x.ndim and rng.random() < 0.3 and y.size:
                    with td.no_grad():
                        y = y * 1
                    y[0] = 2.0
            values.append(y)
        chosen = rng.permutation(len(values))[:4]
        return [values[i] for i in chosen]


@pytest.mark.parametrize("seed", range(NUMBER_OF_PROGRAMS))
def test_random_programs(seed):
    rng = np.random.default_rng([SEED, 1, seed])
    shape = tuple(int(rng.choice([1, 2, 3, 7, 16, 65])) for _ in range(2))
    dtype = [td.float32, td.float64, td.float16, td.bfloat16, td.int32][rng.integers(5)]
    arguments = [td.asarray(rng.normal(size=shape) * 2).astype(dtype) for _ in range(3)]
    if rng.random() < 0.2:
        arguments[1] = td.asarray(rng.normal(size=shape[::-1])).astype(dtype).T
    function = Random(seed)
    check(function, *arguments, what=f"TIDU_TEST_SEED={SEED}")
    if dtype in (td.float32, td.float64):

        def total(a, b, c):
            return sum(td.sum(y) for y in function(a, b, c) if y.dtype.is_floating_point) + 0 * td.sum(a)

        check(td.grad(total, argnums=(0, 1, 2)), *arguments, what="grad")


def test_large_arrays_on_several_threads():
    x = td.asarray(np.random.default_rng(0).normal(size=(300, 1000)).astype(np.float32))
    threads = td.get_num_threads()
    try:
        for count in (1, 2, 3):
            td.set_num_threads(count)
            check(
                lambda x: (td.tanh(x * 2 + 1).sum(axis=0), (td.exp(x) / (1 + td.exp(x))).sum(axis=1), x * x),
                x,
            )
    finally:
        td.set_num_threads(threads)


def test_empty_and_single_elements():
    for shape in itertools.product((0, 1, 3), repeat=2):
        x = td.ones(shape)
        check(lambda x: (td.sin(x) + x.sum(), x.reshape(-1) * 2, td.concat([x, x]).sum(axis=0), x @ x.T), x)
