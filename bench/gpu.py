"""Times operations and training steps on device cuda, beside PyTorch, JAX and CuPy where they are installed.

    python bench/gpu.py [--quick] [--only WORD ..] [--json FILE]

Times are taken with events on the stream (of JAX, which has none, by the clock), over calls queued one after
another, and are given as microseconds a call, with the rate of memory or arithmetic that they mean, that of
memory also as a share of what a copy reaches, and the ratio to the peers' times. Products are cuBLAS's in
PyTorch and CuPy.
On the emulated device nothing is timed: the program says so and ends.
"""

import argparse
import json
import math
import os
import statistics
import sys
import time
from functools import partial

import tidu as td

PIXELS, CLASSES = 784, 10
NETWORKS = ((128, 256), (1024, 4096))  # samples and hidden units
PRODUCT_SIDES = (512, 1024, 2048, 4096, 8192)


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

    def __init__(self):
        F = td.nn.functional
        self.copy, self.add, self.exp, self.sum_all, self.matmul = td.copy, td.add, td.exp, td.sum, td.matmul
        self.transpose = lambda a: td.copy(a.mT)
        self.sum_columns = lambda a: td.sum(a, axis=0)
        self.argmax = lambda a: td.argmax(a, axis=-1)
        self.variance = lambda a: td.var(a, axis=-1)
        self.scan = lambda a: td.cumulative_sum(a, axis=-1)
        self.softmax = lambda a: F.softmax(a, -1)
        self.layer_norm = lambda a, w: F.layer_norm(a, (a.shape[-1],), w)
        self.take = lambda a, i: td.take(a, i, axis=0)

    def normal(self, n):
        key = td.random.key(0, device="cuda")
        return lambda: td.random.normal(key, (n,))

    def cross_entropy(self, rows, classes):
        logits, labels = self.array((rows, classes), "float32").requires_grad_(), self.labels(rows, classes)

        def run():
            logits.grad = None
            td.nn.functional.cross_entropy(logits, labels).backward()

        return run

    def adam(self, n):
        p = self.array((n,), "float32").requires_grad_()
        p.grad = self.array((n,), "float32")
        return td.optim.Adam([p], lr=1e-3).step

    def step(self, batch, hidden):
        x, labels = self.array((batch, PIXELS), "float32"), self.labels(batch, CLASSES)
        model = td.nn.Sequential(
            td.nn.Linear(PIXELS, hidden), td.nn.Sigmoid(), td.nn.Linear(hidden, CLASSES)
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
        self.argmax = lambda a: torch.argmax(a, -1)
        self.variance = lambda a: torch.var(a, -1)
        self.scan = lambda a: torch.cumsum(a, -1)
        self.softmax = lambda a: torch.softmax(a, -1)
        self.layer_norm = lambda a, w: torch.nn.functional.layer_norm(a, (a.shape[-1],), w)
        self.take = lambda a, i: torch.index_select(a, 0, i)
        self.matmul = torch.matmul

    def array(self, shape, dtype):
        return self.torch.randn(shape, device="cuda").to(getattr(self.torch, dtype))

    def labels(self, count, classes):
        return self.torch.randint(0, classes, (count,), device="cuda")

    def normal(self, n):
        return lambda: self.torch.randn(n, device="cuda")

    def cross_entropy(self, rows, classes):
        logits, labels = self.array((rows, classes), "float32").requires_grad_(), self.labels(rows, classes)

        def run():
            logits.grad = None
            self.torch.nn.functional.cross_entropy(logits, labels).backward()

        return run

    def adam(self, n):
        p = self.array((n,), "float32").requires_grad_()
        p.grad = self.array((n,), "float32")
        return self.torch.optim.Adam([p], lr=1e-3, fused=True).step

    def step(self, batch, hidden):
        torch = self.torch
        x, labels = self.array((batch, PIXELS), "float32"), self.labels(batch, CLASSES)
        model = torch.nn.Sequential(
            torch.nn.Linear(PIXELS, hidden), torch.nn.Sigmoid(), torch.nn.Linear(hidden, CLASSES)
        ).cuda()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

        return training_step(torch.nn.functional, model, optimizer, x, labels)

    def milliseconds(self, run, calls):
        return elapsed(*(self.torch.cuda.Event(enable_timing=True) for _ in range(2)), run, calls)


class Jax:
    name = "JAX"

    def __init__(self):
        os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"  # leaves memory to the others
        import jax

        if jax.default_backend() != "gpu":
            raise ImportError("JAX sees no GPU")
        self.jax, self.key = jax, jax.random.key(0)
        jax.config.update("jax_default_matmul_precision", "highest")  # float32, as the others
        jnp = jax.numpy
        self.copy = jax.jit(jnp.copy)
        self.add, self.exp, self.sum_all = jax.jit(jnp.add), jax.jit(jnp.exp), jax.jit(jnp.sum)
        self.transpose = jax.jit(lambda a: a.T.copy())
        self.sum_columns = jax.jit(lambda a: a.sum(0))
        self.argmax = jax.jit(lambda a: jnp.argmax(a, -1))
        self.variance = jax.jit(lambda a: jnp.var(a, -1))
        self.scan = jax.jit(lambda a: jnp.cumsum(a, -1))
        self.softmax = jax.jit(jax.nn.softmax)
        self.take = jax.jit(lambda a, i: jnp.take(a, i, axis=0, mode="clip"))
        self.matmul = jax.jit(lambda a, b: jnp.matmul(a, b))

    def array(self, shape, dtype):
        return self.jax.random.normal(self.key, shape).astype(dtype)

    def labels(self, count, classes):
        return self.jax.random.randint(self.key, (count,), 0, classes)

    def normal(self, n):
        draw = self.jax.jit(lambda key: self.jax.random.normal(key, (n,)))
        return lambda: draw(self.key)

    def loss(self, logits, labels):
        logs = self.jax.nn.log_softmax(logits)
        return -self.jax.numpy.take_along_axis(logs, labels[:, None], 1).mean()

    def cross_entropy(self, rows, classes):
        logits, labels = self.array((rows, classes), "float32"), self.labels(rows, classes)
        gradient = self.jax.jit(self.jax.value_and_grad(self.loss))
        return lambda: gradient(logits, labels)

    def step(self, batch, hidden):
        jax = self.jax
        x, labels = self.array((batch, PIXELS), "float32"), self.labels(batch, CLASSES)
        sizes = ((hidden, PIXELS), (hidden,), (CLASSES, hidden), (CLASSES,))
        parameters = [self.array(size, "float32") * 0.05 for size in sizes]

        def loss(p):
            return self.loss(jax.nn.sigmoid(x @ p[0].T + p[1]) @ p[2].T + p[3], labels)

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
        self.argmax = lambda a: a.argmax(-1)
        self.variance = lambda a: a.var(-1)
        self.scan = lambda a: cupy.cumsum(a, -1)

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


def cases(n, product_sides):
    """(name, function of a library giving what to time, bytes moved, floating-point operations)"""
    side = int(n**0.5)

    def operation(name, dtype, *shapes):
        def prepare(library):
            function = getattr(library, name)
            operands = [library.array(shape, dtype) for shape in shapes]
            return lambda: function(*operands)

        return prepare

    def call(name, *numbers):
        return lambda library: getattr(library, name)(*numbers)

    yield "add 8 float32", operation("add", "float32", (8,), (8,)), 0, 0
    for dtype, b in (("float32", 4), ("bfloat16", 2)):
        yield f"copy {n} {dtype}", operation("copy", dtype, (n,)), 2 * n * b, 0
        yield f"add {n} {dtype}", operation("add", dtype, (n,), (n,)), 3 * n * b, n
        yield f"exp {n} {dtype}", operation("exp", dtype, (n,)), 2 * n * b, n
        yield f"sum {n} {dtype}", operation("sum_all", dtype, (n,)), n * b, n
        square = f"{side}x{side} {dtype}"
        yield f"sum of columns {square}", operation("sum_columns", dtype, (side, side)), n * b, n
        yield f"transpose {square}", operation("transpose", dtype, (side, side)), 2 * n * b, 0
        yield f"argmax of rows {square}", operation("argmax", dtype, (side, side)), n * b, n
        yield f"variance of rows {square}", operation("variance", dtype, (side, side)), n * b, 3 * n
        yield f"scan of rows {square}", operation("scan", dtype, (side, side)), 2 * n * b, n
        for columns in (10, 128, 1024, 8192, 65536):
            shape = (n // columns, columns)
            name = f"softmax {shape[0]}x{columns} {dtype}"
            yield name, operation("softmax", dtype, shape), 2 * shape[0] * columns * b, 5 * n
        for columns in (1024, 8192):
            shape = (n // columns, columns)
            name = f"layer norm {shape[0]}x{columns} {dtype}"
            yield name, operation("layer_norm", dtype, shape, (columns,)), 2 * n * b, 8 * n
    yield f"scan {n} float32", operation("scan", "float32", (n,)), 2 * n * 4, n

    def rows_taken(library):
        table, rows = library.array((n // 256, 256), "float32"), library.labels(n // 256, n // 256)
        return lambda: library.take(table, rows)

    yield f"take {n // 256} rows of 256 float32", rows_taken, 2 * n * 4, 0
    yield f"normal {n} float32", call("normal", n), n * 4, 0
    yield f"Adam step {n} float32", call("adam", n), 7 * n * 4, 10 * n
    for classes in (10, 1024):
        rows = n // 8 // classes
        name = f"cross-entropy and its gradient {rows}x{classes}"
        yield name, call("cross_entropy", rows, classes), 12 * rows * classes, 0
    for side in product_sides:
        for dtype, b in (("float32", 4), ("bfloat16", 2)):
            product = operation("matmul", dtype, (side, side), (side, side))
            yield f"matmul {side} {dtype}", product, 3 * side * side * b, 2 * side**3
    for batch, hidden in NETWORKS:
        flops = 6 * batch * (PIXELS * hidden + hidden * CLASSES)
        yield f"SGD step {PIXELS}-{hidden}-{CLASSES}, batch {batch}", call("step", batch, hidden), 0, flops


def microseconds(library, prepare, rounds):
    run = prepare(library)
    library.milliseconds(run, 3)
    calls = max(3, min(1000, int(20 / max(library.milliseconds(run, 3) / 3, 1e-3))))
    return statistics.median(1e3 * library.milliseconds(run, calls) / calls for _ in range(rounds))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="smaller sizes and fewer rounds")
    parser.add_argument(
        "--only",
        nargs="+",
        default=[""],
        metavar="WORD",
        help="only the cases whose names contain one of these",
    )
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
    n, sides, rounds = (1 << 22, (512, 1024, 2048), 3) if arguments.quick else (1 << 26, PRODUCT_SIDES, 7)
    rows, copy_rate = [], 0
    for name, prepare, bytes_moved, flops in cases(n, sides):
        if not any(word in name for word in arguments.only):
            continue
        row = {"case": name, "errors": {}}
        for library in libraries:
            try:
                row[library.name] = microseconds(library, prepare, rounds)
            except (AttributeError, NotImplementedError):  # not every library has everything
                continue
            except Exception as error:  # of whatever kind: the others are timed all the same
                row["errors"][library.name] = f"{type(error).__name__}: {error}"
        rows.append(row)
        own = row.get("tidu", math.nan)
        row["bytes_per_second"], row["flops_per_second"] = bytes_moved / own * 1e6, flops / own * 1e6
        if name == f"copy {n} float32":
            copy_rate = row["bytes_per_second"]
        row["share_of_copy_rate"] = row["bytes_per_second"] / copy_rate if copy_rate else math.nan
        text = (
            f"{name:46} {own:9.1f} us {row['bytes_per_second'] / 1e9:7.1f} GB/s"
            f" {100 * row['share_of_copy_rate']:4.0f} % of a copy"
            f" {row['flops_per_second'] / 1e12:7.2f} TFLOP/s"
        )
        for library in libraries[1:]:
            if library.name in row:
                text += f"   {own / row[library.name]:.2f} x {library.name}"
        for name, error in row["errors"].items():
            text += f"   {name}: {error.splitlines()[0]}"
        print(text, flush=True)
        if arguments.json:  # row by row, lest one that hangs takes the others with it
            with open(arguments.json, "w") as file:
                json.dump({"device": td.cuda.get_device_name(), "rows": rows}, file, indent=1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
