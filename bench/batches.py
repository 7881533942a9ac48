"""Times transforms that compute many derivatives at once, beside PyTorch, JAX and closed forms.

    python bench/batches.py [--only PROBLEM ..] [--threads N] [--rounds N] [--peers PYTHON] [--json FILE]

tidu runs as it is, PyTorch by torch.func, JAX under jit (compiled before it is timed); NumPy computes the
closed form where there is one. Each library is timed in a process of its own, in turn, after all have been
found to compute the same. A figure is the median over rounds; a ratio is tidu's time over the other's, the
median of the ratios of the rounds.
"""

import argparse
import importlib
import itertools
import json
import os
import statistics
import sys

import libraries
import numpy as np


def normal(rng, *shape, scale=1.0):
    return (scale * rng.normal(size=shape)).astype(np.float32)


def logistic_operands(rng):
    return normal(rng, 200, scale=0.1), normal(rng, 2000, 200), np.sign(normal(rng, 2000))


def quadratic_operands(rng):
    return normal(rng, 2048), normal(rng, 2048, 2048)


def network_operands(rng, sizes=(64, 128, 10), examples=256):
    weights = [normal(rng, b, a, scale=a**-0.5) for a, b in itertools.pairwise(sizes)]
    return (
        normal(rng, examples, sizes[0]),
        np.eye(10, dtype=np.float32)[rng.integers(10, size=examples)],
        weights,
    )


def tanh_operands(rng, sizes=(50, 768, 768, 512, 512, 1)):
    weights = [normal(rng, b, a, scale=a**-0.5) for a, b in itertools.pairwise(sizes)]
    return normal(rng, 50), weights


def recurrent_operands(rng):
    return normal(rng, 64, 64, scale=0.1), normal(rng, 200, 64)


PROBLEMS = {
    "Hessian of a logistic loss, 2000 x 200": ("logistic", logistic_operands),
    "Hessian of x^T A x, n = 2048": ("quadratic", quadratic_operands),
    "gradient of each of 256 examples, network 64-128-10": ("examples", network_operands),
    "Laplacian of a tanh network 50-768-768-512-512-1": ("laplacian", tanh_operands),
    "gradient of 200 recurrent steps, 64 units": ("recurrent", recurrent_operands),
}


class Runs:
    def compiled(self, build, operands):
        return build(*operands)

    def wait(self, result):
        """The cpu's work is done when a call returns."""


class Peer(Runs):
    """The problems in terms of a library's functions, which subclasses name."""

    def logistic(self, w, x, y):
        return lambda: self.hessian(lambda w: self.mean(self.softplus(-y * (x @ w))))(w)

    def quadratic(self, x, a):
        return lambda: self.hessian(lambda x: x @ (a @ x))(x)

    def examples(self, xs, ys, weights):
        def loss(weights, x, y):
            w1, w2 = weights
            return -self.sum(y * self.log_softmax(w2 @ self.sigmoid(w1 @ x)))

        return lambda: self.vmap(self.grad(loss), (None, 0, 0))(weights, xs, ys)

    def laplacian(self, x, weights):
        def f(x):
            for w in weights[:-1]:
                x = self.tanh(w @ x)
            return self.sum(weights[-1] @ x)

        return lambda: self.laplacian_of(f, x)

    def recurrent(self, w, xs):
        return lambda: self.grad(lambda w: self.steps(w, xs))(w)

    def laplacian_of(self, f, x):
        def second(v):
            return self.jvp(lambda y: self.jvp(f, (y,), (v,))[1], (x,), (v,))[1]

        return self.sum(self.vmap(second)(self.eye(50)))


class Tidu(Peer):
    def __init__(self):
        td = self.td = importlib.import_module("tidu")
        td.set_num_threads(len(os.sched_getaffinity(0)))
        self.version, self.array = td.__version__, td.tensor
        for name in ("hessian", "grad", "vmap", "mean", "sum", "softplus", "sigmoid", "tanh", "log_softmax"):
            setattr(self, name, getattr(td, name))

    def laplacian_of(self, f, x):
        return self.td.laplacian(f)(x)

    def steps(self, w, xs):
        td = self.td
        return td.sum(td.scan(lambda h, x: (td.tanh(w @ h + x), None), td.zeros(64), xs)[0])


class Closed(Runs):
    def __init__(self):
        self.version, self.array = np.__version__, np.asarray

    def logistic(self, w, x, y):
        def hessian():
            s = 1 / (1 + np.exp(y * (x @ w)))
            return (x * (s * (1 - s))[:, None]).T @ x / np.float32(len(y))

        return hessian

    def quadratic(self, x, a):
        return lambda: a + a.T


class PyTorch(Peer):
    def __init__(self):
        torch = self.torch = importlib.import_module("torch")
        torch.set_num_threads(len(os.sched_getaffinity(0)))
        self.version, self.array = torch.__version__, torch.tensor
        for name in ("hessian", "grad", "vmap", "jvp"):
            setattr(self, name, getattr(torch.func, name))
        for name in ("mean", "sum", "sigmoid", "tanh", "eye"):
            setattr(self, name, getattr(torch, name))
        self.softplus = torch.nn.functional.softplus

    def log_softmax(self, x):
        return self.torch.log_softmax(x, -1)

    def steps(self, w, xs):
        h = self.torch.zeros(64)
        for x in xs:
            h = self.tanh(w @ h + x)
        return self.sum(h)


class Jax(Peer):
    def __init__(self):
        os.environ["JAX_PLATFORMS"] = "cpu"
        jax = self.jax = importlib.import_module("jax")
        self.version, self.array, self.wait = jax.__version__, jax.numpy.array, jax.block_until_ready
        for name in ("hessian", "grad", "vmap", "jvp"):
            setattr(self, name, getattr(jax, name))
        for name in ("mean", "sum", "tanh", "eye"):
            setattr(self, name, getattr(jax.numpy, name))
        for name in ("softplus", "sigmoid", "log_softmax"):
            setattr(self, name, getattr(jax.nn, name))

    def steps(self, w, xs):
        jax = self.jax
        return jax.numpy.sum(
            jax.lax.scan(lambda h, x: (jax.numpy.tanh(w @ h + x), None), jax.numpy.zeros(64), xs)[0]
        )

    def compiled(self, build, operands):
        """`build` of the library's arrays as one compiled function of all of them: none is a constant."""
        run = self.jax.jit(lambda operands: build(*operands)())
        return lambda: run(operands)


LIBRARIES = {"tidu": Tidu, "NumPy": Closed, "PyTorch": PyTorch, "JAX": Jax}


def adopt(lib, operand):
    return [lib.array(part) for part in operand] if isinstance(operand, list) else lib.array(operand)


def prepare(lib, problem):
    method, operands = PROBLEMS[problem]
    build = getattr(lib, method, None)
    if not build:
        return {}
    return {problem: lib.compiled(build, [adopt(lib, x) for x in operands(np.random.default_rng(0))])}


def main():
    from compare import Library, agree, start  # which imports tidu: the peers' interpreter has none

    class Process(Library):
        program = "batches.py"

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=PROBLEMS, default=list(PROBLEMS), metavar="PROBLEM")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), metavar="N")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--peers", help="the interpreter that has PyTorch and JAX (default: .venv-peers')")
    parser.add_argument("--json", help="also write the figures to this file")
    arguments = parser.parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: arguments.threads])
    started = start(arguments, tuple(LIBRARIES), Process)
    print(", ".join(f"{name} {library.version}" for name, library in started.items()))
    report = []
    for problem in arguments.only:
        asked = {name: library for name, library in started.items() if library.ask("prepare", problem)}
        result = asked["tidu"].ask("result", problem)
        for name, peer in asked.items():
            if name != "tidu":
                agree(result, peer.ask("result", problem), 2e-3)
        times = {name: [] for name in asked}
        for turn in range(arguments.rounds + 1):
            for name, library in asked.items():
                seconds = library.time(problem)
                if turn > 0:  # the first warms up
                    times[name].append(seconds)
        ratios = {
            name: statistics.median(a / b for a, b in zip(times["tidu"], times[name], strict=True))
            for name in asked
            if name != "tidu"
        }
        ours = 1e3 * statistics.median(times["tidu"])
        print(
            f"{problem:58}{ours:9.2f} ms" + "".join(f"  {r:6.2f} x {name}" for name, r in ratios.items()),
            flush=True,
        )
        report.append({"problem": problem, "milliseconds": ours, "ratios": ratios})
    if arguments.json:
        with open(arguments.json, "w") as file:
            json.dump(report, file, indent=1)


if __name__ == "__main__":
    if len(sys.argv) == 3 and sys.argv[1] in LIBRARIES:
        libraries.main(LIBRARIES, prepare)
    else:
        main()
