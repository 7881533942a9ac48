"""A kernel takes no memory of its device by itself: what it needs beside its results is known before it runs,
from shapes, dtypes and layouts, so that a plan can hold it."""

import numpy as np
import pytest
import samplers as ops
import tidu as td
from tidu import _core
from tidu.nn import functional as F

DEVICES = ("cuda",)
pytestmark = pytest.mark.usefixtures("cuda_beside_cpu")


@pytest.fixture(params=DEVICES)
def device(request):
    with td.device(request.param):
        yield request.param


def watched(function):
    """The names of the kernels that ran; none of them took memory."""
    with td.profile() as profile:
        function()
    took = {f"{call['name']} {call['operands']}": call["allocations"] for call in profile.calls}
    assert not any(took.values()), {name: count for name, count in took.items() if count}
    return {call["name"] for call in profile.calls}


def dtypes_of(case):
    chosen = [dtype for dtype in (td.float32, td.float16, td.bool, td.int32) if dtype in case.dtypes]
    return chosen[:3] or case.dtypes[:1]


def laid_out(case, storage, dtype):
    """The inputs of a case in memory as `storage` says, and given indices in one of their own."""
    for i, array in enumerate(case.arrays(41, dtype)):
        kind = storage if not isinstance(case.inputs[i], ops.Fixed) else "permuted"
        yield ops.with_storage(array, case.dtype_of_input(i, dtype), kind)[0]


def of_case(case):
    seen = set()
    for storage in ops.STORAGES:
        for dtype in dtypes_of(case):
            tensors = list(laid_out(case, storage, dtype))
            seen |= watched(lambda tensors=tensors: case.function(*tensors))
    if case.differentiable:
        for storage in ("permuted", "negative steps"):
            tensors = list(laid_out(case, storage, td.float32))
            seen |= watched(lambda tensors=tensors: pulled(case, tensors))
    return seen


def pulled(case, tensors):
    primals = [tensors[i] for i in case.differentiable]

    def f(*primals):
        for i, primal in zip(case.differentiable, primals, strict=True):
            tensors[i] = primal
        return case.function(*tensors)

    y, pullback = td.vjp(f, *primals)
    pullback(td.tree.map(lambda x: td.flip(td.ones_like(x)), y))


@pytest.mark.parametrize("case", ops.CASES.values(), ids=str)
def test_cases(case, device):
    of_case(case)


def odd(*shape, dtype=td.float32):
    """Numbers that do not lie one behind the other."""
    size = int(np.prod(shape))
    numbers = td.astype(td.arange(2 * size) % 7 + 1, dtype) / 8
    return (
        td.astype(numbers, dtype)[1::2].reshape(shape[::-1]).permute_dims(tuple(reversed(range(len(shape)))))
    )


def offset(n, dtype):
    return td.ones(n + 1, dtype=dtype)[1:]


def optimized(kind, dtype, **options):
    x = td.ones((4, 5), dtype=dtype)
    x.requires_grad = True
    optimizer = kind([x], lr=0.1, **options)
    x.grad = odd(4, 5, dtype=dtype)
    optimizer.step()


# Two calls in one, which compiled programs have on the cpu alone.
PAIRS = {"log_softmax_with_softmax", "softmax_cross_entropy_with_grad"}

# What the samplers do not have, and what is so large that it is computed in parts.
OTHERS = {
    "bits": lambda: td.random.bits(td.random.key(1), (5,)),
    "uniform": lambda: td.random.uniform(td.random.key(1), (5,)),
    "normal": lambda: td.random.normal(td.random.key(1), (5,)),
    "permutation": lambda: td.random.permutation(td.random.key(1), 3000),
    "fft": lambda: td.fft.fft(odd(4, 6, dtype=td.complex64), axis=0),
    "long fft": lambda: td.fft.fft(td.ones(1009, dtype=td.complex128)),
    "rfft": lambda: td.fft.rfft(odd(3, 6)),
    "rfft of the middle of a pair": lambda: td.fft.rfft(offset(6, td.float32)),
    "irfft": lambda: td.fft.irfft(odd(3, 4, dtype=td.complex64), n=6),
    "real and imaginary": lambda: td.conj(odd(3, 4, dtype=td.complex64)) + 1,
    "checked": lambda: F.gaussian_nll_loss(odd(3), odd(3), odd(3)),
    "sgd": lambda: optimized(td.optim.SGD, td.float32, momentum=0.9),
    "adam": lambda: optimized(td.optim.Adam, td.float16),
    "rmsprop": lambda: optimized(td.optim.RMSprop, td.float32),
    "a long sum": lambda: odd(40_000).sum(),
    "long sums": lambda: odd(3, 30_000).std(axis=1),
    "a long scan": lambda: td.cumulative_sum(odd(30_000)),
    "long softmaxes": lambda: td.softmax(odd(2, 70_000), axis=1),
    "a split product": lambda: odd(4, 9000) @ odd(9000, 4),
    "a split product, odd batches": lambda: odd(2, 3, 4, 5, 300)[::-1] @ odd(2, 3, 4, 300, 6),
    "a product with bias": lambda: F.linear(odd(40, 300), odd(20, 300), odd(20)),
    "many updates": lambda: td.scatter_add(td.zeros(7), td.arange(5000) % 7, odd(5000)),
    "several indices": lambda: odd(5, 6)[td.arange(8)[::2] % 5, td.arange(4)],
    "an assignment": lambda: td.zeros((5, 6)).__setitem__((td.arange(8)[::2] % 5, td.arange(4)), odd(4)),
    "a convolution in parts": lambda: F.conv1d(odd(1, 64, 40), odd(4, 64, 3), odd(4)),
    "vectors of equal values": lambda: td.jvp(
        td.linalg.eigvalsh, (td.eye(3)[::-1, ::-1],), (odd(3, 3) @ odd(3, 3).T,)
    ),
    "a number": lambda: td.concat([td.full((), 2.0)[None], td.ones(2)]),
}


@pytest.mark.parametrize("name", OTHERS)
def test_others(name, device):
    watched(OTHERS[name])


@pytest.mark.parametrize("library", ["cublas", "tidu"])
@pytest.mark.parametrize("dtype", [td.float16, td.float32, td.float64], ids=str)
def test_products_by_either_library(library, dtype, device):
    before = td.cuda.get_matmul()
    td.cuda.set_matmul(library)
    try:
        for a, b, bias in (
            (odd(6, 5, dtype=dtype), odd(5, 4, dtype=dtype), odd(4, dtype=dtype)),
            (odd(3, 6, 500, dtype=dtype)[::-1], odd(500, 4, dtype=dtype), odd(8, dtype=dtype)[::2]),
            (
                td.broadcast_to(odd(6, 5, dtype=dtype), (2, 6, 5)),
                odd(2, 5, 4, dtype=dtype),
                odd(4, dtype=dtype),
            ),
        ):
            watched(lambda a=a, b=b: a @ b)
            watched(lambda a=a, b=b, bias=bias: F.linear(a, b.mT if b.ndim == 2 else b[0].mT, bias))
    finally:
        td.cuda.set_matmul(before)


def pairs(x, labels):
    losses = F.cross_entropy(x, labels)
    return td.softmax(x, axis=1).sum() + td.log_softmax(x, axis=1).sum() + losses


def sums(x):
    y = td.tanh(x * x)
    return y.sum(), (y + 1).std(axis=0), (y - 1).max(axis=1)


def many(x):
    for _ in range(20):
        x = td.tanh(x @ x / td.sqrt((x * x).sum()))
    return x


def training(optimizer):
    """A step whose gradient is computed part by part."""
    w = td.ones((300, 70))
    w.requires_grad = True
    steps = optimizer([w], lr=0.1)

    def step(x):
        steps.zero_grad()
        loss = (x @ w).sum()
        loss.backward()
        steps.step()
        return loss

    return step, odd(64, 300)


# Groups of calls, calls that are given products, and loops of both: functions and what they are called with.
COMPILED = {
    "pairs": lambda: (td.value_and_grad(pairs), odd(6, 9), td.arange(6)),
    "sums of a group": lambda: (sums, odd(3000, 70)),
    "long sums of a group": lambda: (sums, odd(3, 30_000)),
    "sums of nothing": lambda: (lambda x: td.exp(x * x).sum(axis=0), td.ones((0, 5))),
    "an added product": lambda: (lambda x, a, b: x + a @ b, odd(90, 70), odd(90, 300), odd(300, 70)),
    "an added symmetric product": lambda: (lambda x, a: x + a.mT @ a, odd(2, 40, 40), odd(2, 900, 40)),
    "a product of long rows": lambda: (lambda a, b: td.exp(a @ b), odd(4, 9000), odd(9000, 8)),
    "many groups and products": lambda: (many, odd(60, 60)),
    "a step of sgd": lambda: training(td.optim.SGD),
    "a step of adam": lambda: training(td.optim.Adam),
    "a loop": lambda: (lambda x: td.scan(lambda c, row: (sums(c)[1] + row * c, c), x, x)[0], odd(90, 90)),
}
# Each group of the emulated device takes a run of a compiler.
ON_CUDA = ("pairs", "a product of long rows", "a step of adam")


@pytest.mark.parametrize("name", COMPILED)
def test_compiled_calls(name):
    function, *arguments = COMPILED[name]()
    compiled = td.compile(function)
    for _ in range(3):
        watched(lambda: compiled(*arguments))
    before = td.cpu.memory_stats()["allocations"]
    results = td.tree_leaves(compiled(*arguments))
    assert td.cpu.memory_stats()["allocations"] == before + len(results)


@pytest.mark.parametrize("name", ON_CUDA)
def test_compiled_calls_on(name, device):
    function, *arguments = COMPILED[name]()
    compiled = td.compile(function)
    for _ in range(3):
        watched(lambda: compiled(*arguments))


def test_compiled_products_by_a_library_chosen_since(device):
    a, b = odd(60, 90), odd(90, 70)
    compiled, before = td.compile(lambda a, b: td.exp(a @ b)), td.cuda.get_matmul()
    try:
        for library in ("tidu", "tidu", "cublas", "cublas", "tidu"):
            td.cuda.set_matmul(library)
            expected = td.exp(a @ b).tolist()
            assert watched(lambda: compiled(a, b))
            assert compiled(a, b).tolist() == expected
    finally:
        td.cuda.set_matmul(before)


def test_every_primitive_was_tried(device):
    """Of those that have a kernel there."""
    seen = set()
    for case in ops.CASES.values():
        dtype = dtypes_of(case)[0]
        tensors = list(laid_out(case, "permuted", dtype))
        with td.profile() as profile:
            case.function(*tensors)
            if case.differentiable:
                pulled(case, list(laid_out(case, "permuted", td.float32)))
        seen |= {call["name"] for call in profile.calls}
    with td.profile() as profile:
        for function in OTHERS.values():
            function()
        td.compile(td.value_and_grad(pairs))(odd(6, 9), td.arange(6))
    seen |= {call["name"] for call in profile.calls}
    assert {entry["name"] for entry in _core.primitives() if device in entry["kernels"]} - PAIRS <= seen
