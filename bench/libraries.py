"""The libraries that the benchmarks time, and the process of one of them, which harness.py starts:

    PYTHON bench/libraries.py NAME DESCRIPTOR_OF_A_PIPE

A library answers for each kind of work (operation, product, call, fusion, chain, model, compiling,
derivative, transform) with its parts, functions without arguments by name; none of what it does not do. A
compiled library is the same with another `compiled`. The number of threads is that of the processors that the
process may use.
"""

import ctypes
import ctypes.util
import functools
import importlib
import importlib.metadata
import importlib.util
import itertools
import os
import sys
from pathlib import Path

import numpy as np
import problems
from harness import serve

RATE, BETA1, BETA2, EPSILON = 1e-3, 0.9, 0.999, 1e-8
THREADS = len(os.sched_getaffinity(0))


def adopt_names(library, module, names):
    for name in names.split():
        setattr(library, name, getattr(module, name))


def looped(statement, scope):
    """A statement as a run that knows how to repeat itself at no cost of Python's but a loop's."""
    scope = dict(scope)
    exec(f"def once():\n    return {statement}\ndef loop(n):\n    for _ in n:\n        {statement}\n", scope)
    scope["once"].loop = scope["loop"]
    return scope["once"]


class Library:
    """The work in terms of the functions that a library names."""

    transforms = True  # whether it has derivatives

    def wait(self, result):
        """Until `result` is there; on the cpu most libraries have it when a call returns."""

    def cast(self, x, dtype):
        return x

    def numpy(self, x):
        """The values of a tensor, those of 16 bits as float32."""
        return np.asarray(self.cast(x, "float32") if "bfloat16" in str(getattr(x, "dtype", "")) else x)

    def compiled(self, function, *args):
        return functools.partial(function, *args)

    def repeats(self, length):
        """Whether a chain of `length` calls is within its reach."""
        return True

    def operation(self, name, dtype, a, b):
        a, b = (self.cast(self.array(x), dtype) for x in (a, b))
        return {"run": self.compiled(functools.partial(problems.OPERATIONS[name], self), a, b)}

    def product(self, dtype, a, b, a_transposed, b_transposed):
        def multiply(a, b):
            return (a.T if a_transposed else a) @ (b.T if b_transposed else b)

        return {"run": self.compiled(multiply, *(self.cast(self.array(x), dtype) for x in (a, b)))}

    def fusion(self, name, *operands):
        function = functools.partial(problems.FUSIONS[name], self)
        return {"run": self.compiled(function, *map(self.array, operands))}

    def call(self, statements):
        if self.name not in statements:
            return {}
        return {"run": looped(statements[self.name], self.scope())}

    def chain(self, length, x, gradient):
        if not self.repeats(length) or (gradient and not self.transforms):
            return {}
        f = problems.chain(self, length)
        return {"run": self.compiled(self.grad(f) if gradient else f, self.array(x))}

    def model(self, weights, x, labels, optimizer):
        if not hasattr(self, "Model"):
            return {}
        model = self.Model(
            self, [self.array(w) for w in weights], self.array(x), self.array(labels), optimizer
        )
        return {part: getattr(model, part) for part in ("forward", "value_and_grad", "step")}

    def compiling(self, weights, x, labels, optimizer):
        """Makes and compiles a training step, and calls it once."""
        if not hasattr(self, "fresh_caches"):
            return {}

        def run():
            self.fresh_caches()
            return self.model(weights, x, labels, optimizer)["step"]()

        return {"run": run}

    def derivative(self, name, sizes):
        if not self.transforms:
            return {}
        x, v, data, f = problems.problem(self, name, sizes)
        runs = {
            "f": self.compiled(f, x, *data),
            "gradient": self.compiled(self.grad(f), x, *data),
            "hvp": self.compiled(self.hvp(f), x, v, *data),
        }
        if problems.PROBLEMS[name][3]:
            runs["hessian"] = self.compiled(lambda x, *data: self.hessian(lambda x: f(x, *data))(x), x, *data)
        return runs

    def transform(self, name, sizes):
        if not self.transforms:
            return {}
        build, operands, _ = problems.TRANSFORMS[name]
        return {"run": self.compiled(build(self), *(problems.adopt(self, x) for x in operands(*sizes)))}

    def hvp(self, f):
        def product(x, v, *data):
            return self.jvp(lambda x: self.grad(f)(x, *data), (x,), (v,))[1]

        return product

    def laplacian(self, f, x):
        def second(v):
            return self.jvp(lambda y: self.jvp(f, (y,), (v,))[1], (x,), (v,))[1]

        return self.sum(self.vmap(second)(self.eye(len(x))))

    def fold(self, step, carry, *rows):
        """The last of carry = step(carry, row of each of `rows`)."""
        for i in range(rows[0].shape[0]):
            carry = step(carry, *(each[i] for each in rows))
        return carry

    def repeat(self, step, carry, times):
        for _ in range(times):
            carry = step(carry)
        return carry


def affine(x, w, b):
    return x @ w.T + b


# --- NumPy, and what is written by hand


class HandWrittenModel:
    """Forward, backward and the update written out, the way one would without a framework."""

    def __init__(self, _, weights, x, labels, optimizer, rate=RATE):
        self.w, self.x, self.labels, self.rate = weights, x, labels, rate
        self.moments = (
            [(np.zeros_like(w), np.zeros_like(w)) for w in weights] if optimizer == "Adam" else None
        )
        self.count = 0

    def layers(self, x):
        """The last layer's input, and its output less the largest of each row."""
        w, h = self.w, x
        if len(w) == 4:
            h = 1 / (1 + np.exp(-affine(h, w[0], w[1])))
        z = affine(h, w[-2], w[-1])
        z -= z.max(axis=1, keepdims=True)
        return h, z

    def logits(self, x):
        return self.layers(x)[1]

    def forward(self):
        z = self.logits(self.x)
        return (np.log(np.exp(z).sum(axis=1)) - z[np.arange(len(z)), self.labels]).mean()

    def value_and_grad(self):
        h, z = self.layers(self.x)
        p, rows = np.exp(z), np.arange(len(z))
        total = p.sum(axis=1, keepdims=True)
        loss = (np.log(total[:, 0]) - z[rows, self.labels]).mean()
        p /= total
        p[rows, self.labels] -= 1
        p /= len(p)
        grads = [p.T @ h, p.sum(axis=0)]
        if len(self.w) == 4:
            back = (p @ self.w[2]) * h * (1 - h)
            grads = [back.T @ self.x, back.sum(axis=0), *grads]
        return loss, grads

    def step(self):
        loss, grads = self.value_and_grad()
        self.count += 1
        for i, (w, g) in enumerate(zip(self.w, grads, strict=True)):
            if self.moments:
                m, v = self.moments[i]
                m += (1 - BETA1) * (g - m)
                v += (1 - BETA2) * (g * g - v)
                g = (m / (1 - BETA1**self.count)) / (np.sqrt(v / (1 - BETA2**self.count)) + EPSILON)
            w -= self.rate * g
        return loss


class NumPy(Library):
    name, transforms, Model = "NumPy", False, HandWrittenModel

    def __init__(self):
        self.version, self.array = np.__version__, np.array
        adopt_names(self, np, "exp sin tanh sum")

    def cast(self, x, dtype):
        return x.astype(dtype)

    def operation(self, name, dtype, a, b):
        return {} if dtype == "bfloat16" else super().operation(name, dtype, a, b)

    def product(self, dtype, *operands):
        return {} if dtype == "bfloat16" else super().product(dtype, *operands)

    def softmax(self, x):
        e = np.exp(x - x.max(axis=1, keepdims=True))
        return e / e.sum(axis=1, keepdims=True)

    def scope(self):
        p, n = np.ones(8, np.float32), np.ones((8, 8), np.float32)
        return {"np": np, "a": p, "b": p.copy(), "x": n}

    def transform(self, name, sizes):
        """Closed forms, where there are some."""
        closed = {
            "Hessian of a logistic loss": self.hessian_of_logistic,
            "Hessian of x^T A x": lambda x, a: a + a.T,
        }
        if name not in closed:
            return {}
        return {"run": functools.partial(closed[name], *problems.TRANSFORMS[name][1](*sizes))}

    @staticmethod
    def hessian_of_logistic(w, x, y):
        s = 1 / (1 + np.exp(y * (x @ w)))
        return (x * (s * (1 - s))[:, None]).T @ x / np.float32(len(y))


class Reference:
    """What no library offers, but bounds them all: it answers only for what it is a bound of."""

    def __getattr__(self, kind):
        if kind.startswith("__"):
            raise AttributeError(kind)
        return lambda *operands: {}

    def wait(self, result):
        """It is there."""

    def numpy(self, x):
        return np.asarray(x)


class BareProducts(Reference):
    """The matrix products that a step cannot do without, through oneDNN and nothing else."""

    name = "bare products"

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

    def model(self, weights, x, labels, optimizer):
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


class Step(ctypes.Structure):
    """hand_written/loops.cpp's."""

    POINTERS = "x labels w1 b1 w2 b2 h z dh g1 gb1 g2 gb2 moments"
    _fields_ = (
        *((name, ctypes.c_int64) for name in ("batch", "inputs", "hidden", "classes", "count")),
        ("rate", ctypes.c_float),
        *((name, ctypes.c_void_p) for name in POINTERS.split()),
    )


def hand_written_loops():
    # Unresolved: the package beside the programs is made of links into the sources.
    path = Path(importlib.util.find_spec("tidu").origin).parents[2] / "bin/libbench_hand_written.so"
    if not path.exists():
        raise ImportError(f"there is no {path.name} beside tidu's programs")
    return ctypes.CDLL(path)


class HandWritten(Reference):
    """A training step and an elementwise loop in C++, written for this machine and nothing else."""

    name = "hand-written"

    def __init__(self):
        self.loops = hand_written_loops()
        self.loops.training_step.restype = ctypes.c_float
        self.version = "C++"

    def model(self, weights, x, labels, optimizer):
        if len(weights) != 4:
            return {}
        (hidden, inputs), classes, batch = weights[0].shape, len(weights[2]), len(x)
        arrays = [x.copy(), labels.astype(np.int64), *(w.copy() for w in weights)]
        arrays += [
            np.zeros(shape, np.float32) for shape in ((batch, hidden), (batch, classes), (batch, hidden))
        ]
        arrays += [np.zeros_like(w) for w in weights]
        parameters = sum(w.size for w in weights)
        arrays.append(np.zeros(2 * parameters, np.float32))
        pointers = [array.ctypes.data for array in arrays]
        if optimizer != "Adam":
            pointers[-1] = None
        step = Step(batch, inputs, hidden, classes, 0, RATE, *pointers)

        def run():
            return self.loops.training_step(ctypes.byref(step)), arrays  # kept alive as `step` points to them

        return {"step": lambda: run()[0]}

    def fusion(self, name, *operands):
        if name != "9 cheap operations":
            return {}
        arrays = [*operands, np.empty_like(operands[0])]

        def run():
            addresses = [ctypes.c_void_p(array.ctypes.data) for array in arrays]
            self.loops.nine_operations(*addresses, ctypes.c_int64(arrays[-1].size))
            return arrays[-1]

        return {"run": run}


class Copy(Reference):
    """As many bytes as a fusion reads and writes, copied."""

    name, version = "copy", "memcpy"

    def __init__(self):
        self.loops = hand_written_loops()

    def fusion(self, name, a, b, c):
        """Three operands and a result are two copies."""
        pairs = [(a, np.empty_like(a)), (b, np.empty_like(b))]

        def run():
            for source, target in pairs:
                self.loops.copy(
                    ctypes.c_void_p(source.ctypes.data),
                    ctypes.c_void_p(target.ctypes.data),
                    ctypes.c_int64(a.size),
                )

        return {"run": run}


# --- tidu and PyTorch, whose names are mostly the same


class EagerModel:
    def __init__(self, library, weights, x, labels, optimizer, rate=RATE):
        self.module, self.x, self.labels = library.module, x, labels
        self.w = [w.requires_grad_() for w in weights]
        self.optimizer = getattr(library.module.optim, optimizer)(self.w, lr=rate)
        self.prepare(library)

    def prepare(self, library):
        self.loss, self.take_step = self.written_loss, self.written_step

    def written_logits(self, x):
        linear, w = self.module.nn.functional.linear, self.w
        h = self.module.sigmoid(linear(x, w[0], w[1])) if len(w) == 4 else x
        return linear(h, w[-2], w[-1])

    def written_loss(self, x, labels):
        return self.module.nn.functional.cross_entropy(self.written_logits(x), labels)

    def written_step(self, x, labels):
        self.optimizer.zero_grad()
        loss = self.loss(x, labels)
        loss.backward()
        self.optimizer.step()
        return loss.detach()

    def logits(self, x):
        with self.module.no_grad():
            return self.written_logits(x)

    def forward(self):
        with self.module.no_grad():
            return self.loss(self.x, self.labels)

    def value_and_grad(self):
        self.optimizer.zero_grad()
        loss = self.loss(self.x, self.labels)
        loss.backward()
        return loss.detach(), [w.grad for w in self.w]

    def step(self):
        return self.take_step(self.x, self.labels)


class Eager(Library):
    Model = EagerModel

    def __init__(self):
        module = self.module = importlib.import_module(self.package)
        module.set_num_threads(THREADS)
        self.version, self.array = module.__version__, module.tensor
        adopt_names(self, module, "exp log sin sigmoid tanh logsumexp sum mean eye")

    def cast(self, x, dtype):
        return self.to(x, getattr(self.module, dtype))

    def numpy(self, x):
        return super().numpy(x.detach())

    def scope(self):
        module = self.module
        p, n = np.ones(8, np.float32), np.ones((8, 8), np.float32)
        return {
            "lib": module,
            "a": module.tensor(p),
            "b": module.tensor(p),
            "x": module.tensor(n),
            "w": module.tensor(p).requires_grad_(),
        }


class Tidu(Eager):
    name = package = "tidu"

    def __init__(self):
        super().__init__()
        td = self.module
        adopt_names(self, td, "softmax log_softmax softplus min concat grad hessian vmap jvp")
        adopt_names(self, td.linalg, "diagonal det")
        self.solve_lower = td.linalg.solve_triangular

    def to(self, x, dtype):
        return x.astype(dtype)

    def hvp(self, f):
        return lambda x, v, *data: self.module.hvp(lambda x: f(x, *data), x, v)

    def laplacian(self, f, x):
        return self.module.laplacian(f)(x)

    def fold(self, step, carry, *rows):
        return self.module.scan(lambda carry, row: (step(carry, *row), None), carry, rows)[0]

    def repeat(self, step, carry, times):
        return self.module.scan(lambda carry, _: (step(carry), None), carry, None, length=times)[0]

    def peak(self, run):
        memory = self.module.cpu
        run()  # what is kept between calls is there then
        memory.reset_peak_memory()
        before = memory.memory_stats()["live_bytes"]
        result = run()
        del result
        return memory.memory_stats()["peak_bytes"] - before


class CompiledTiduModel(EagerModel):
    def prepare(self, library):
        compiled = library.module.compile
        self.loss, self.take_step = self.written_loss, compiled(self.written_step)
        self.forward_compiled = compiled(self.written_loss)
        self.gradient_compiled = compiled(self.written_gradient)

    def written_gradient(self, x, labels):
        self.optimizer.zero_grad()
        loss = self.written_loss(x, labels)
        loss.backward()
        return loss, [w.grad for w in self.w]

    def forward(self):
        with self.module.no_grad():
            return self.forward_compiled(self.x, self.labels)

    def value_and_grad(self):
        return self.gradient_compiled(self.x, self.labels)


class CompiledTidu(Tidu):
    name, Model = "tidu compiled", CompiledTiduModel

    def compiled(self, function, *args):
        return functools.partial(self.module.compile(lambda *args: function(*args)), *args)

    def repeats(self, length):
        return length <= 10_000

    def fresh_caches(self):
        """A compiled function keeps what it recorded: a new one has nothing."""

    def scope(self):
        return super().scope() | {"add": self.module.compile(lambda a, b: a + b)}


class PyTorch(Eager):
    name, package = "PyTorch", "torch"

    def __init__(self):
        super().__init__()
        torch = self.module
        adopt_names(self, torch, "diagonal concat det")
        adopt_names(self, torch.func, "grad hessian vmap jvp")
        self.softplus, self.min = torch.nn.functional.softplus, torch.amin

    def to(self, x, dtype):
        return x.to(dtype)

    def softmax(self, x):
        return self.module.softmax(x, -1)

    def log_softmax(self, x):
        return self.module.log_softmax(x, -1)

    def solve_lower(self, a, b):
        return self.module.linalg.solve_triangular(a, b, upper=False)

    def peak(self, run):
        with self.module.profiler.profile(profile_memory=True) as profile:
            result = run()
        del result
        events = profile.profiler.kineto_results.events()
        changes = [(event.start_ns(), event.nbytes()) for event in events if event.name() == "[memory]"]
        return max(itertools.accumulate((change for _, change in sorted(changes)), initial=0))


class CompiledTorchModel(EagerModel):
    def prepare(self, library):
        compiled = library.module.compile
        self.loss, self.take_step = compiled(self.written_loss), self.written_step
        self.optimizer.step = compiled(self.optimizer.step)


class CompiledTorch(PyTorch):
    name, Model = "PyTorch compiled", CompiledTorchModel

    def __init__(self):
        os.environ["TORCHINDUCTOR_FORCE_DISABLE_CACHES"] = "1"  # compiling is timed
        super().__init__()

    def compiled(self, function, *args):
        return functools.partial(self.module.compile(lambda *args: function(*args)), *args)

    def repeats(self, length):
        return length <= 1000

    def fresh_caches(self):
        self.module.compiler.reset()


# --- JAX, MLX and autograd, whose training steps are functions of the parameters


class FunctionalModel:
    """Each part is one function, compiled where the library compiles; the step takes its state and returns
    the next."""

    def __init__(self, library, weights, x, labels, optimizer, rate=RATE):
        def logits(w, x):
            h = library.sigmoid(affine(x, w[0], w[1])) if len(w) == 4 else x
            return affine(h, w[-2], w[-1])

        def loss(w, x, labels):
            return -library.mean(library.pick(library.log_softmax(logits(w, x)), labels))

        def sgd(state, x, labels):
            value, grads = library.value_and_grad(loss)(state[0], x, labels)
            return value, ([p - rate * g for p, g in zip(state[0], grads, strict=True)],)

        def adam(state, x, labels):
            w, m, v, count = state
            value, grads = library.value_and_grad(loss)(w, x, labels)
            count = count + 1
            m = [BETA1 * a + (1 - BETA1) * g for a, g in zip(m, grads, strict=True)]
            v = [BETA2 * a + (1 - BETA2) * g * g for a, g in zip(v, grads, strict=True)]
            c1, c2 = 1 - BETA1**count, 1 - BETA2**count
            w = [
                p - rate * (a / c1) / (library.sqrt(b / c2) + EPSILON)
                for p, a, b in zip(w, m, v, strict=True)
            ]
            return value, (w, m, v, count)

        zeros = [[library.array(np.zeros(w.shape, np.float32)) for w in weights] for _ in range(2)]
        adams = (*zeros, library.array(np.float32(0)))
        self.state = (weights, *(adams if optimizer == "Adam" else ()))
        self.x, self.labels = x, labels
        self.compiled_logits, self.loss = library.jit(logits), library.jit(loss)
        self.gradient = library.jit(library.value_and_grad(loss))
        self.next = library.jit(adam if optimizer == "Adam" else sgd, donate=True)

    def logits(self, x):
        return self.compiled_logits(self.state[0], x)

    def forward(self):
        return self.loss(self.state[0], self.x, self.labels)

    def value_and_grad(self):
        return self.gradient(self.state[0], self.x, self.labels)

    def step(self):
        loss, self.state = self.next(self.state, self.x, self.labels)
        return loss


class Jax(Library):
    name, Model = "JAX", FunctionalModel

    def __init__(self):
        os.environ["JAX_PLATFORMS"] = "cpu"
        jax = self.module = importlib.import_module("jax")
        jax.config.update("jax_enable_x64", True)
        self.version, self.array, self.wait = jax.__version__, jax.numpy.array, jax.block_until_ready
        adopt_names(self, jax, "grad value_and_grad hessian vmap jvp")
        adopt_names(self, jax.nn, "sigmoid softplus softmax log_softmax logsumexp")
        adopt_names(self, jax.numpy, "exp log sin tanh sum mean min diagonal concat sqrt")
        self.det = jax.numpy.linalg.det

    def cast(self, x, dtype):
        return x.astype(dtype)

    def eye(self, n):
        return self.module.numpy.eye(n, dtype="float32")

    def pick(self, rows, labels):
        return self.module.numpy.take_along_axis(rows, labels[:, None], axis=1)

    def solve_lower(self, a, b):
        return self.module.scipy.linalg.solve_triangular(a, b, lower=True)

    def fold(self, step, carry, *rows):
        return self.module.lax.scan(lambda carry, row: (step(carry, *row), None), carry, rows)[0]

    def repeat(self, step, carry, times):
        return self.module.lax.scan(lambda carry, _: (step(carry), None), carry, None, length=times)[0]

    def jit(self, function, donate=False):
        return self.module.jit(function, donate_argnums=0 if donate else ())

    def compiled(self, function, *args):
        return functools.partial(self.module.jit(lambda *args: function(*args)), *args)

    def repeats(self, length):
        return length <= 1000  # compiling takes minutes beyond

    def fresh_caches(self):
        self.module.clear_caches()

    def scope(self):
        numpy = self.module.numpy
        return {
            "lib": numpy,
            "a": numpy.ones(8, "float32"),
            "b": numpy.ones(8, "float32"),
            "x": numpy.ones((8, 8), "float32"),
            "add": self.module.jit(lambda a, b: a + b),
        }

    def peak(self, run):
        report = run.func.lower(*run.args).compile().memory_analysis()
        return report.temp_size_in_bytes + report.output_size_in_bytes


class Mlx(Library):
    """Its arrays are computed when they are asked for: each call is one that asks."""

    name, Model = "MLX", FunctionalModel

    def __init__(self):
        mx = self.module = importlib.import_module("mlx.core")
        self.version, self.wait = mx.__version__, mx.eval
        mx.set_default_device(mx.cpu)
        adopt_names(self, mx, "exp log sin sigmoid tanh sum mean min logsumexp sqrt grad")
        adopt_names(self, mx, "value_and_grad vmap diagonal eye")
        self.concat = mx.concatenate

    def array(self, x):
        return self.module.array(np.asarray(x), getattr(self.module, str(np.asarray(x).dtype)))

    def cast(self, x, dtype):
        return x.astype(getattr(self.module, dtype))

    def softmax(self, x):
        return self.module.softmax(x, -1)

    def log_softmax(self, x):
        return x - self.module.logsumexp(x, -1, keepdims=True)

    def softplus(self, x):
        return self.module.logaddexp(x, 0)

    def solve_lower(self, a, b):
        return self.module.linalg.solve_triangular(a, b, upper=False, stream=self.module.cpu)

    def pick(self, rows, labels):
        return self.module.take_along_axis(rows, labels[:, None], axis=1)

    def jvp(self, f, primals, tangents):
        (x,), (v,) = primals, tangents
        if isinstance(x, list):
            return self.module.jvp(lambda *x: f(list(x)), x, v)
        out, tangent = self.module.jvp(f, [x], [v])
        return out[0], tangent[0]

    def hessian(self, f):
        gradient = self.grad(f)

        def matrix(x):
            directions = self.eye(x.size).reshape(x.size, *x.shape)
            rows = self.vmap(lambda v: self.jvp(gradient, (x,), (v,))[1])(directions)
            return rows.reshape(*x.shape, *x.shape)

        return matrix

    def jit(self, function, donate=False):
        function = self.module.compile(function)

        def run(*args):
            result = function(*args)
            self.wait(result)
            return result

        return run

    def compiled(self, function, *args):
        return functools.partial(self.jit(lambda *args: function(*args)), *args)

    def repeats(self, length):
        return length <= 1000

    def fresh_caches(self):
        """A compiled function keeps what it recorded: a new one has nothing."""


class Autograd(Library):
    name, Model = "autograd", FunctionalModel

    def __init__(self):
        autograd = self.module = importlib.import_module("autograd")
        numpy = importlib.import_module("autograd.numpy")
        self.version, self.array = importlib.metadata.version("autograd"), np.array
        self.functions = numpy
        adopt_names(self, autograd, "grad value_and_grad hessian")
        adopt_names(self, numpy, "exp log sin tanh sum mean min diagonal sqrt eye")
        self.logsumexp = importlib.import_module("autograd.scipy.special").logsumexp
        self.concat, self.det = numpy.concatenate, numpy.linalg.det
        self.solve_triangular = importlib.import_module("autograd.scipy.linalg").solve_triangular

    def operation(self, name, dtype, a, b):
        return {}  # NumPy's

    def product(self, *operands):
        return {}

    def call(self, statements):
        return {}

    def fusion(self, name, *operands):
        return {}

    def chain(self, length, x, gradient):
        return super().chain(length, x, gradient) if gradient and length <= 10_000 else {}

    def transform(self, name, sizes):
        return {} if "each example" in name or "Laplacian" in name else super().transform(name, sizes)

    def sigmoid(self, x):
        return 1 / (1 + self.exp(-x))

    def softplus(self, x):
        return self.functions.logaddexp(x, 0)

    def log_softmax(self, x):
        return x - self.logsumexp(x, axis=-1, keepdims=True)

    def pick(self, rows, labels):
        return rows[np.arange(len(labels)), labels]

    def solve_lower(self, a, b):
        return self.solve_triangular(a, b, lower=True)

    def hvp(self, f):
        return lambda x, v, *data: self.module.make_hvp(lambda x: f(x, *data))(x)[0](v)

    def jit(self, function, donate=False):
        return function


KINDS = (
    Tidu,
    CompiledTidu,
    NumPy,
    PyTorch,
    CompiledTorch,
    Jax,
    Autograd,
    Mlx,
    BareProducts,
    HandWritten,
    Copy,
)

if __name__ == "__main__":
    serve(int(sys.argv[2]), next(kind for kind in KINDS if kind.name == sys.argv[1]))
