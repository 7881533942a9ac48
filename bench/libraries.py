"""What bench/compare.py times in each library, and the process of a library, which it starts:

    PYTHON bench/libraries.py NAME DESCRIPTOR_OF_A_PIPE

Questions are ("prepare", what, *operands), then ("result", part) or ("time", part), until the pipe is closed.
The number of threads is that of the processors that the process may use.
"""

import contextlib
import ctypes
import ctypes.util
import importlib
import os
import sys
import time
from multiprocessing.connection import Connection

import numpy as np

RATE = 1e-3


class Library:
    """What most of them spell alike."""

    def product(self, a, b, a_transposed, b_transposed):
        a, b = self.array(a), self.array(b)
        a, b = a.T if a_transposed else a, b.T if b_transposed else b
        return {"product": lambda: a @ b}

    def addition(self, x):
        x = self.array(x)
        return {"sum": lambda: x + x}

    def model(self, weights, x, labels):
        weights = [self.array(w) for w in weights]
        model = self.Model(self.module, weights, self.array(x), self.array(labels))
        return {part: getattr(model, part) for part in ("forward", "value_and_grad", "step")}

    def wait(self, result):
        """Until `result` is there."""


class HandWrittenModel:
    """Forward, backward and SGD written out, the way one would without a framework."""

    def __init__(self, _, weights, x, labels):
        self.w, self.x, self.labels, self.rows = weights, x, labels, np.arange(len(x))

    def layers(self):
        """The last layer's input, and its output less the largest of each row."""
        w, h = self.w, self.x
        if len(w) == 4:
            h = 1 / (1 + np.exp(-(h @ w[0].T + w[1])))
        z = h @ w[-2].T + w[-1]
        z -= z.max(axis=1, keepdims=True)
        return h, z

    def forward(self):
        _, z = self.layers()
        return (np.log(np.exp(z).sum(axis=1)) - z[self.rows, self.labels]).mean()

    def value_and_grad(self):
        h, z = self.layers()
        p = np.exp(z)
        total = p.sum(axis=1, keepdims=True)
        loss = (np.log(total[:, 0]) - z[self.rows, self.labels]).mean()
        p /= total
        p[self.rows, self.labels] -= 1
        p /= len(p)
        grads = [p.T @ h, p.sum(axis=0)]
        if len(self.w) == 4:
            back = (p @ self.w[2]) * h * (1 - h)
            grads = [back.T @ self.x, back.sum(axis=0), *grads]
        return loss, grads

    def step(self):
        _, grads = self.value_and_grad()
        for w, g in zip(self.w, grads, strict=True):
            w -= RATE * g
        return self.w


class NumPy(Library):
    Model = HandWrittenModel
    module, version, array = np, np.__version__, staticmethod(np.array)


class EagerModel:
    """PyTorch's and tidu's names are the same."""

    def __init__(self, library, weights, x, labels):
        self.library, self.x, self.labels = library, x, labels
        self.w = [w.requires_grad_() for w in weights]
        self.optimizer = library.optim.SGD(self.w, lr=RATE)

    def loss(self):
        functional, w = self.library.nn.functional, self.w
        h = self.library.sigmoid(functional.linear(self.x, w[0], w[1])) if len(w) == 4 else self.x
        return functional.cross_entropy(functional.linear(h, w[-2], w[-1]), self.labels)

    def forward(self):
        with self.library.no_grad():
            return self.loss().item()

    def value_and_grad(self):
        self.optimizer.zero_grad()
        loss = self.loss()
        loss.backward()
        return loss.item(), [w.grad for w in self.w]

    def step(self):
        self.optimizer.zero_grad()
        self.loss().backward()
        self.optimizer.step()
        return self.w


class Eager(Library):
    Model = EagerModel

    def __init__(self):
        self.module = importlib.import_module(self.package)
        self.module.set_num_threads(len(os.sched_getaffinity(0)))
        self.version, self.array = self.module.__version__, self.module.tensor


class Tidu(Eager):
    package = "tidu"


class PyTorch(Eager):
    package = "torch"


class JaxModel:
    """Each part is one compiled function; the step gives its parameters' memory to their successors."""

    def __init__(self, jax, weights, x, labels):
        def loss(w, x, labels):
            h = jax.nn.sigmoid(x @ w[0].T + w[1]) if len(w) == 4 else x
            log_p = jax.nn.log_softmax(h @ w[-2].T + w[-1])
            return -jax.numpy.take_along_axis(log_p, labels[:, None], axis=1).mean()

        def step(w, x, labels):
            return [p - RATE * g for p, g in zip(w, jax.grad(loss)(w, x, labels), strict=True)]

        self.w, self.data = weights, (x, labels)
        self.compiled_loss = jax.jit(loss)
        self.compiled_gradient = jax.jit(jax.value_and_grad(loss))
        self.compiled_step = jax.jit(step, donate_argnums=0)

    def forward(self):
        return self.compiled_loss(self.w, *self.data)

    def value_and_grad(self):
        return self.compiled_gradient(self.w, *self.data)

    def step(self):
        self.w = self.compiled_step(self.w, *self.data)
        return self.w


class Jax(Library):
    Model = JaxModel

    def __init__(self):
        os.environ["JAX_PLATFORMS"] = "cpu"
        self.module = importlib.import_module("jax")
        self.module.config.update("jax_enable_x64", True)
        self.version, self.array = self.module.__version__, self.module.numpy.array
        self.wait = self.module.block_until_ready

    def product(self, a, b, a_transposed, b_transposed):
        a, b = self.array(a), self.array(b)
        multiply = self.module.jit(lambda a, b: (a.T if a_transposed else a) @ (b.T if b_transposed else b))
        return {"product": lambda: multiply(a, b)}

    def addition(self, x):
        x, add = self.array(x), self.module.jit(lambda a, b: a + b)
        return {"sum": lambda: add(x, x)}


class BareProducts(Library):
    """The matrix products that a step cannot do without, through oneDNN and nothing else."""

    def __init__(self):
        path = ctypes.util.find_library("dnnl")
        if path is None:
            raise ImportError("there is no libdnnl")
        library = ctypes.CDLL(path)
        library.dnnl_version.restype = ctypes.POINTER(ctypes.c_int * 3)
        self.version = f"by oneDNN {'.'.join(map(str, library.dnnl_version().contents))}"
        size, real, address = ctypes.c_int64, ctypes.c_float, ctypes.c_void_p
        factor = [address, size]
        self.sgemm = library.dnnl_sgemm
        self.sgemm.argtypes = [*[ctypes.c_char] * 2, *[size] * 3, real, *factor, *factor, real, *factor]

    def model(self, weights, x, labels):
        operands = []
        for layer, w in enumerate(weights[::2]):
            outputs, inputs = w.shape
            h = np.ones((len(x), inputs), np.float32)
            y, dw, dh = np.ones((len(x), outputs), np.float32), np.ones_like(w), np.ones_like(h)
            operands += [(b"N", b"T", h, w, y), (b"T", b"N", y, h, dw)]
            if layer > 0:
                operands.append((b"N", b"N", y, w, dh))

        calls = []
        for ta, tb, a, b, c in operands:
            (m, n), k = c.shape, len(a) if ta == b"T" else a.shape[1]
            factors = (a.ctypes.data, a.shape[1], b.ctypes.data, b.shape[1])
            calls.append((ta, tb, m, n, k, 1.0, *factors, 0.0, c.ctypes.data, n))

        def step():
            for call in calls:
                self.sgemm(*call)
            return operands  # kept alive while their addresses are in use

        return {"step": step}


LIBRARIES = {
    "tidu": Tidu,
    "NumPy": NumPy,
    "PyTorch": PyTorch,
    "JAX": Jax,
    "bare products": BareProducts,
}


def seconds_per_call(run, wait, at_least=0.05):
    """The time of one call, over as many calls as take `at_least` seconds."""
    calls = 1
    while True:
        start = time.perf_counter()
        for _ in range(calls):
            result = run()
        wait(result)
        elapsed = time.perf_counter() - start
        if elapsed >= at_least:
            return elapsed / calls
        calls = max(calls + 1, int(calls * min(10, 1.2 * at_least / max(elapsed, 1e-9))))


def arrays(result):
    """NumPy's arrays in place of a library's, in any nesting."""
    if isinstance(result, (list, tuple)):
        return [arrays(item) for item in result]
    return np.asarray(result.detach() if hasattr(result, "detach") else result)


def serve(pipe, library_of, prepare):
    """Answers what compare.Library asks: prepare(library, *subject) gives runs by name, or none."""
    try:
        library = library_of()
    except ImportError as error:
        pipe.send(error)
        return
    pipe.send(str(library.version))
    runs = {}
    while True:
        question, subject, *operands = pipe.recv()
        if question == "prepare":
            runs = prepare(library, subject, *operands)
            pipe.send(bool(runs))
        elif question == "result":
            pipe.send(arrays(runs[subject]()))
        elif question == "peak":
            pipe.send(library.peak(runs[subject]))
        else:
            pipe.send(seconds_per_call(runs[subject], library.wait))


def main(libraries, prepare):
    """The process of the library that the command line names."""
    name, pipe = sys.argv[1:]
    with contextlib.suppress(EOFError, KeyboardInterrupt):
        serve(Connection(int(pipe)), libraries[name], prepare)


if __name__ == "__main__":
    main(LIBRARIES, lambda library, subject, *operands: getattr(library, subject)(*operands))
