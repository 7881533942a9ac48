"""Times operations and training steps on device cuda, beside PyTorch, JAX and CuPy where they are installed.

    python bench/gpu.py [--quick] [--json FILE]

Times are taken with events on the stream (of JAX, which has none, by the clock), over calls queued one after
another, and are given as microseconds a call, with the rate of memory or arithmetic that they mean, that of
memory also as a share of what a copy reaches, and the ratio to the peers' times. Products are cuBLAS's in
PyTorch and CuPy.
On the emulated device nothing is timed: the program says so and ends.
"""

import argparse
import json
import statistics
import sys
import time
from functools import partial

import tidu as td

PIXELS, HIDDEN, CLASSES, BATCH = 784, 256, 10, 128


def training_step(functional, model, optimizer, x, labels):
    """A function of no arguments; tidu's and PyTorch's names are the same."""

    def run():
        loss = functional.cross_entropy(model(x), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return run


def elapsed(start, end, run, calls):
    """Milliseconds between two events around the calls."""
    start.record()
    for _ in range(calls):
        run()
    end.record()
    end.synchronize()
    return start.elapsed_time(end)


class Tidu:
    name = "tidu"

    def array(self, shape, dtype):
        return td.random.normal(td.random.key(0, device="cuda"), shape).astype(getattr(td, dtype))

    def labels(self, count, classes):
        return td.random.randint(td.random.key(1, device="cuda"), (count,), 0, classes)

    copy = staticmethod(lambda a: td.copy(a))
    add = staticmethod(lambda a, b: a + b)
    exp = staticmethod(lambda a: td.exp(a))
    transpose = staticmethod(lambda a: td.copy(a.permute_dims((1, 0))))
    sum_all = staticmethod(lambda a: td.sum(a))
    sum_columns = staticmethod(lambda a: td.sum(a, axis=0))
    softmax = staticmethod(lambda a: td.nn.functional.softmax(a, -1))
    matmul = staticmethod(lambda a, b: a @ b)

    def step(self):
        x, labels = self.array((BATCH, PIXELS), "float32"), self.labels(BATCH, CLASSES)
        model = td.nn.Sequential(
            td.nn.Linear(PIXELS, HIDDEN), td.nn.Sigmoid(), td.nn.Linear(HIDDEN, CLASSES)
        ).to("cuda")
        optimizer = td.optim.SGD(model.parameters(), lr=0.1)

        return training_step(td.nn.functional, model, optimizer, x, labels)

    def milliseconds(self, run, calls):
        return elapsed(td.cuda.Event(enable_timing=True), td.cuda.Event(enable_timing=True), run, calls)


class Torch:
    name = "PyTorch"

    def __init__(self):
        import torch

        if not torch.cuda.is_available():
            raise ImportError("PyTorch sees no GPU")
        self.torch = torch
        self.copy = torch.clone
        self.add = torch.add
        self.exp = torch.exp
        self.transpose = lambda a: a.t().contiguous()
        self.sum_all = torch.sum
        self.sum_columns = lambda a: a.sum(0)
        self.softmax = lambda a: torch.softmax(a, -1)
        self.matmul = torch.matmul

    def array(self, shape, dtype):
        return self.torch.randn(shape, device="cuda").to(getattr(self.torch, dtype))

    def step(self):
        torch = self.torch
        x = self.array((BATCH, PIXELS), "float32")
        labels = torch.randint(0, CLASSES, (BATCH,), device="cuda")
        model = torch.nn.Sequential(
            torch.nn.Linear(PIXELS, HIDDEN), torch.nn.Sigmoid(), torch.nn.Linear(HIDDEN, CLASSES)
        ).cuda()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

        return training_step(torch.nn.functional, model, optimizer, x, labels)

    def milliseconds(self, run, calls):
        return elapsed(*(self.torch.cuda.Event(enable_timing=True) for _ in range(2)), run, calls)


class Jax:
    name = "JAX"

    def __init__(self):
        import jax

        if jax.default_backend() != "gpu":
            raise ImportError("JAX sees no GPU")
        self.jax, self.key = jax, jax.random.key(0)
        jnp = jax.numpy
        self.copy = jax.jit(jnp.copy)
        self.add, self.exp, self.sum_all = jax.jit(jnp.add), jax.jit(jnp.exp), jax.jit(jnp.sum)
        self.transpose = jax.jit(lambda a: a.T.copy())
        self.sum_columns = jax.jit(lambda a: a.sum(0))
        self.softmax = jax.jit(jax.nn.softmax)
        self.matmul = jax.jit(lambda a, b: jnp.matmul(a, b, precision="highest"))

    def array(self, shape, dtype):
        return self.jax.random.normal(self.key, shape).astype(dtype)

    def step(self):
        jax, jnp = self.jax, self.jax.numpy
        x = self.array((BATCH, PIXELS), "float32")
        labels = jax.random.randint(self.key, (BATCH,), 0, CLASSES)
        sizes = ((HIDDEN, PIXELS), (HIDDEN,), (CLASSES, HIDDEN), (CLASSES,))
        parameters = [self.array(size, "float32") * 0.05 for size in sizes]

        def loss(p):
            logits = jax.nn.sigmoid(x @ p[0].T + p[1]) @ p[2].T + p[3]
            return -jnp.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], 1).mean()

        @partial(jax.jit, donate_argnums=0)
        def update(p):
            return [w - 0.1 * g for w, g in zip(p, jax.grad(loss)(p), strict=True)]

        state = [parameters]

        def run():
            state[0] = update(state[0])
            return state[0]

        return run

    def milliseconds(self, run, calls):
        self.jax.block_until_ready(run())
        start = time.perf_counter()
        for _ in range(calls):
            last = run()
        self.jax.block_until_ready(last)
        return 1e3 * (time.perf_counter() - start)


class CuPy:
    name = "CuPy"

    def __init__(self):
        import cupy

        self.cupy = cupy
        self.copy, self.add, self.exp = cupy.copy, cupy.add, cupy.exp
        self.sum_all, self.matmul = cupy.sum, cupy.matmul
        self.transpose = lambda a: cupy.ascontiguousarray(a.T)
        self.sum_columns = lambda a: a.sum(0)

    def array(self, shape, dtype):
        if dtype == "bfloat16":
            raise NotImplementedError("CuPy has no bfloat16")
        return self.cupy.random.standard_normal(shape, dtype="float32").astype(dtype)

    def milliseconds(self, run, calls):
        start, end = self.cupy.cuda.Event(), self.cupy.cuda.Event()
        start.record()
        for _ in range(calls):
            run()
        end.record()
        end.synchronize()
        return self.cupy.cuda.get_elapsed_time(start, end)


def cases(quick):
    """(name, function of a library giving what to time, bytes moved, floating-point operations)"""
    n = 1 << (22 if quick else 26)
    size = {"float32": 4, "float16": 2, "bfloat16": 2}

    def operation(name, dtype, *shapes):
        def prepare(library):
            function = getattr(library, name)
            operands = [library.array(shape, dtype) for shape in shapes]
            return lambda: function(*operands)

        return prepare

    for dtype in ("float32", "bfloat16"):
        b = size[dtype]
        yield f"copy {n} {dtype}", operation("copy", dtype, (n,)), 2 * n * b, 0
        yield f"add {n} {dtype}", operation("add", dtype, (n,), (n,)), 3 * n * b, n
        yield f"exp {n} {dtype}", operation("exp", dtype, (n,)), 2 * n * b, n
        yield f"sum {n} {dtype}", operation("sum_all", dtype, (n,)), n * b, n
        side = int(n**0.5)
        yield f"sum of columns {side}x{side} {dtype}", operation("sum_columns", dtype, (side, side)), n * b, n
        yield f"transpose {side}x{side} {dtype}", operation("transpose", dtype, (side, side)), 2 * n * b, 0
        for columns in (128, 1024, 8192):
            shape = (n // columns, columns)
            yield (
                f"softmax {shape[0]}x{columns} {dtype}",
                operation("softmax", dtype, shape),
                2 * n * b,
                5 * n,
            )
    for side in (512, 1024, 2048) if quick else (512, 1024, 2048, 4096, 8192):
        for dtype in ("float32", "bfloat16"):
            bytes_moved = 3 * side * side * size[dtype]
            yield (
                f"matmul {side} {dtype}",
                operation("matmul", dtype, (side, side), (side, side)),
                bytes_moved,
                2 * side**3,
            )
    flops = 6 * BATCH * (PIXELS * HIDDEN + HIDDEN * CLASSES)
    yield f"two-layer SGD step, batch {BATCH}", lambda library: library.step(), 0, flops


def microseconds(library, prepare, rounds):
    run = prepare(library)
    library.milliseconds(run, 3)
    calls = max(3, min(1000, int(20 / max(library.milliseconds(run, 3) / 3, 1e-3))))
    return statistics.median(1e3 * library.milliseconds(run, calls) / calls for _ in range(rounds))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="smaller sizes and fewer rounds")
    parser.add_argument("--json", help="also write the figures to this file")
    arguments = parser.parse_args()
    if not td.cuda.is_available() or td.cuda.is_emulated():
        print(f"nothing timed: {td.cuda.why_not() or 'device cuda is emulated'}")
        return 0
    libraries = [Tidu()]
    for make in (Torch, Jax, CuPy):
        try:
            libraries.append(make())
        except ImportError as error:
            print(f"{make.name} is left out: {error}")
    print(f"{td.cuda.get_device_name()}; microseconds a call, and tidu's time over each peer's")
    rows, copy_rate = [], 0
    for name, prepare, bytes_moved, flops in cases(arguments.quick):
        row = {"case": name}
        for library in libraries:
            try:
                row[library.name] = microseconds(library, prepare, 3 if arguments.quick else 7)
            except (AttributeError, NotImplementedError):  # CuPy trains no networks and has no bfloat16
                continue
        rows.append(row)
        own = row["tidu"]
        row["bytes_per_second"], row["flops_per_second"] = bytes_moved / own * 1e6, flops / own * 1e6
        if name.startswith("copy"):
            copy_rate = row["bytes_per_second"]
        row["share_of_copy_rate"] = row["bytes_per_second"] / copy_rate
        text = (
            f"{name:42} {own:10.1f} us {row['bytes_per_second'] / 1e9:8.1f} GB/s"
            f" {100 * row['share_of_copy_rate']:4.0f} % of a copy"
            f" {row['flops_per_second'] / 1e12:8.2f} TFLOP/s"
        )
        for library in libraries[1:]:
            if library.name in row:
                text += f"   {own / row[library.name]:.2f} x {library.name}"
        print(text, flush=True)
    if arguments.json:
        with open(arguments.json, "w") as file:
            json.dump({"device": td.cuda.get_device_name(), "rows": rows}, file, indent=1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
