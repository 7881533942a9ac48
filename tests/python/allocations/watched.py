"""Runs calls of every kernel of the cpu with dtypes and layouts of all kinds, and says what they took that
was not foreseen."""

# ruff: noqa: B023 (each call is made before the loop goes on)

import ctypes
import sys

import numpy as np
import tidu as td
from samplers import CASES, FLOATS, PRIMITIVES, STORAGES, UNNAMED, with_storage
from test_kernel_memory import COMPILED

preloaded = ctypes.CDLL(None)
preloaded.findings.restype = preloaded.seen.restype = ctypes.c_char_p
preloaded.taken_so_far.restype = preloaded.taken_by_library_so_far.restype = ctypes.c_long

# In one thread, what a kernel keeps for later calls it has after the first.
td.cpu.set_num_threads(1)


def first_of(result):
    return result if isinstance(result, td.Tensor) else td.tree_leaves(result)[0]


def gradient(function, tensors, wanted):
    def f(*primals):
        everything = list(tensors)
        for i, primal in zip(wanted, primals, strict=True):
            everything[i] = primal
        y = first_of(function(*everything))
        return (y * y if y.dtype.is_complex else y).abs().sum()

    return lambda: td.grad(f, argnums=tuple(range(len(wanted))))(*(tensors[i] for i in wanted))


def of_case(case, dtype, storage):
    tensors = []
    for i, array in enumerate(case.arrays(7, dtype)):
        tensors.append(with_storage(array, case.dtype_of_input(i, dtype), storage)[0])
    yield lambda: case.function(*tensors)
    if case.differentiable and dtype in FLOATS:
        yield gradient(case.function, tensors, case.differentiable)


def of_large():
    """Of sizes and layouts for which kernels take other ways."""
    rng = np.random.default_rng(3)

    def draw(*shape, dtype=td.float32):
        return td.tensor(rng.standard_normal(shape).astype(np.float32)).astype(dtype)

    key = td.random.key(0)
    for dtype in (td.float32, td.float64, td.bfloat16, td.float16):
        wide, tall, long = (
            draw(40, 3000, dtype=dtype),
            draw(3000, 40, dtype=dtype),
            draw(2, 300000, dtype=dtype),
        )
        for x in (wide, tall.mT, td.moveaxis(draw(5, 30, 7, 11, dtype=dtype), 1, -1), long, td.flip(long, 1)):
            for axis in (0, -1):
                for f in (td.softmax, td.log_softmax, td.argmax, td.argmin, td.sort, td.argsort, td.cumsum):
                    yield (lambda f=f, x=x, axis=axis: f(x, axis=axis)), (x,)
                for f in (td.logsumexp, td.sum, td.std, td.prod):
                    yield (lambda f=f, x=x, axis=axis: f(x, axis=axis)), (x,)
            yield (lambda x=x: td.topk(x, 3, axis=-1)), (x,)
            yield (lambda x=x: td.argmax(x)), (x,)
            yield (lambda x=x: td.logsumexp(x)), (x,)
        square = draw(3, 64, 100, dtype=dtype)
        for a, b in (
            (square, square.mT),
            (square.mT, square),
            (tall, wide),
            (wide.mT, tall.mT),
            (wide[::2], tall[:, ::2]),
        ):
            yield (lambda a=a, b=b: td.matmul(a, b)), (a, b)
        yield (lambda: td.matmul(wide[::2], tall[:, ::2])), (wide, tall)
        layer, rows = (wide[:10], draw(10, dtype=dtype)), draw(20, 3000, dtype=dtype)
        yield (lambda: td.nn.functional.linear(rows, *layer)), (rows, *layer)
        for shape, kernel, options in (
            ((2, 3, 50), (4, 3, 5), {}),
            ((2, 32, 50), (32, 32, 5), {"padding": 2}),
            ((1, 600, 9), (20, 600, 9), {"padding": 3}),
            ((2, 4, 12, 11), (6, 4, 3, 3), {"stride": 2, "padding": 1, "dilation": 2}),
            ((2, 32, 30, 30), (48, 16, 3, 3), {"padding": 1, "groups": 2}),
            ((1, 2, 6, 7, 8), (4, 2, 2, 3, 3), {"padding": 1}),
        ):
            x, w, b = draw(*shape, dtype=dtype), draw(*kernel, dtype=dtype), draw(kernel[0], dtype=dtype)
            convolve = getattr(td.nn.functional, f"conv{len(shape) - 2}d")
            yield (lambda f=convolve, x=x, w=w, b=b, o=options: f(x, w, b, **o)), (x, w, b)
            turned = td.moveaxis(td.copy(td.moveaxis(x, 1, -1)), -1, 1)
            yield (lambda f=convolve, x=turned, w=w, b=b, o=options: f(x, w, b, **o)), (turned, w, b)
        q, k, v = (draw(2, 3, n, 16, dtype=dtype) for n in (100, 300, 300))
        attend = td.nn.functional.scaled_dot_product_attention
        mask = draw(100, 300, dtype=dtype)
        yield (lambda: attend(q, k, v)), (q, k, v)
        yield (lambda: attend(q, k, v, mask)), (q, k, v)
        yield (lambda: attend(k.mT.mT, k, v, is_causal=True)), (k, v)
        images = draw(4, 5, 6, 7, dtype=dtype)
        for x in (images, td.moveaxis(images, 0, 1)):
            channels = draw(x.shape[1], dtype=dtype)
            yield (
                (lambda x=x, c=channels: td.nn.functional.batch_norm(x, None, None, c, c, training=True)),
                (x, channels),
            )
            yield (lambda x=x: td.nn.functional.max_pool2d(x, 2)), (x,)
        index = td.tensor(rng.integers(0, 40, (30, 9)))
        for place in (index, index.mT):
            yield (lambda x=wide, i=place: x[i]), (wide,)
            yield (lambda x=wide, i=place: x[:, i]), (wide,)
        updates = draw(30, 9, 3000, dtype=dtype)
        yield (lambda: td.scatter_add(wide, index, updates, axis=0)), (wide, updates)
        labels = td.tensor(rng.integers(0, 40, 3000))
        yield (lambda: td.nn.functional.cross_entropy(tall, labels)), (tall,)
    for n in (1, 8, 97, 1000, 1 << 17, 100003):
        x = draw(3, n)
        yield (lambda x=x: td.fft.fft(x)), ()
        yield (lambda x=x, n=n: td.fft.irfft(td.fft.rfft(x), n)), (x,)
        yield (lambda x=x: td.fft.fft(x.astype(td.complex128).mT, axis=0)), ()
    for dtype in (td.float32, td.float64, td.complex64, td.complex128):
        a = draw(7, 20, 12).astype(dtype)
        for x in (a, a.mT, td.copy(a.mT).mT):
            yield (lambda x=x: td.linalg.svd(x)), ()
            yield (lambda x=x: td.linalg.svd(x, full_matrices=False)), ()
            yield (lambda x=x: td.linalg.qr(x)), ()
            yield (lambda x=x: td.linalg.qr(x, mode="complete")), ()
        good = a[:, :12] @ td.conj(a[:, :12]).mT + 30 * td.eye(12, dtype=dtype)
        for x in (good, td.copy(good.mT).mT):
            for f in (td.linalg.cholesky, td.linalg.eigh, td.linalg.inv, td.linalg.det, td.linalg.slogdet):
                yield (lambda f=f, x=x: f(x)), () if f is td.linalg.eigh else (x,)
            yield (lambda x=x: td.linalg.solve(x, a[:, :12])), (x,)
        yield (lambda x=good: td.jvp(td.linalg.eigvalsh, (x,), (x,))), ()
    yield (lambda: td.random.permutation(key, 1000)), ()
    yield (lambda: (td.random.normal(key, (9,)), td.random.uniform(key, (9,)), td.random.bits(key, (9,)))), ()
    for dtype in (td.float32, td.bfloat16):
        w = td.ones((300, 70), dtype=dtype, requires_grad=True)
        w.grad = td.ones((300, 70), dtype=dtype)
        for optimizer in (td.optim.SGD([w], lr=0.1, momentum=0.9), td.optim.Adam([w]), td.optim.RMSprop([w])):
            yield optimizer.step, ()
    yield (lambda: td.nonzero(draw(300, 300) > 0)), ()


def gradient_by_tape(function, primals):
    def run():
        for x in primals:
            x.requires_grad = True
        try:
            y = first_of(function())
            if y.requires_grad:
                y.abs().sum().backward()
        finally:
            for x in primals:
                x.requires_grad = False

    return run


def calls():
    for case in CASES.values():
        for dtype in case.dtypes:
            for storage in STORAGES:
                for number, call in enumerate(of_case(case, dtype, storage)):
                    yield f"{'gradient of ' * number}{case} {dtype} {storage}", call
    for number, (function, primals) in enumerate(of_large()):
        yield f"large {number}", function
        if primals:
            yield f"gradient of large {number}", gradient_by_tape(function, primals)


preloaded.watch(False)
for name, call in calls():
    print(name, file=sys.stderr, flush=True)
    for warm in (False, True):
        preloaded.watch(warm)
        call()
preloaded.stop_watching()
print(preloaded.findings().decode())
# Whole eager calls take nothing but results, of which threads keep what went, and:
LISTS = {"nonzero": "the list of its results"}
TRANSFORMS = {"alias": "a pullback", "vjp of x[1:]": "a pullback"}
TRANSFORMS |= {name: "a pullback" for name in UNNAMED if name.startswith("slope_of_")}


def whole_calls():
    for case in CASES.values():
        for dtype in {td.float32, td.float16, td.bfloat16} & set(case.dtypes) or case.dtypes[:1]:
            yield case, dtype, next(of_case(case, dtype, STORAGES[0]))


for case, dtype, call in whole_calls():
    for _ in range(3):
        call()
    before = preloaded.taken_by_library_so_far()
    call()
    taken = preloaded.taken_by_library_so_far() - before
    name, _, _parameters = case.name.partition(", ")
    if taken > (name in LISTS) and name not in TRANSFORMS:
        print(f"{case} of {dtype} took memory from the heap {taken} times")
# Of compiled functions lists of arguments and results, however many calls they make.
for name, make in COMPILED.items():
    function, *arguments = make()
    compiled = td.compile(function)
    for _ in range(2):
        compiled(*arguments)
    before = preloaded.taken_so_far()
    compiled(*arguments)
    taken = preloaded.taken_so_far() - before
    if taken > 12:
        print(f"compiled, {name} took memory from the heap {taken} times")
# These are made by the compiler, or concern another device.
ELSEWHERE = {"log_softmax_with_softmax", "softmax_cross_entropy_with_grad", "to"}
called = set(preloaded.seen().decode().split()) | ELSEWHERE
for name in sorted(
    name for name, row in PRIMITIVES.items() if "cpu" in row["kernels"] and name not in called
):
    print(f"{name} was not called")
