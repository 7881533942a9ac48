"""Times the same training steps in tidu, NumPy (by hand) and PyTorch, side by side.

    python bench/compare.py [--threads N] [--rounds N] [--json FILE]

All run in one process with as many threads each, interleaved round by round; first their losses and
gradients are compared. A ratio is tidu's time over the peer's, the median over rounds of the ratio in
each round. The bare matrix products of a step run through oneDNN, the fastest library here.
"""

import argparse
import ctypes
import ctypes.util
import json
import os
import statistics
import time

PIXELS, HIDDEN, CLASSES, BATCH = 784, 256, 10, 128


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", help="also write the figures to this file")
    return parser.parse_args()


def seconds_per_call(run, at_least=0.05):
    """The time of one call, over as many calls as take `at_least` seconds."""
    calls = 1
    while True:
        start = time.perf_counter()
        for _ in range(calls):
            run()
        elapsed = time.perf_counter() - start
        if elapsed >= at_least:
            return elapsed / calls
        calls = max(calls + 1, int(calls * min(10, 1.2 * at_least / max(elapsed, 1e-9))))


class NumpyModel:
    """Forward, backward and SGD written out, the way one would without a framework."""

    name = "NumPy"

    def __init__(self, np, weights, x, labels):
        self.np, self.w, self.x, self.labels = np, [w.copy() for w in weights], x, labels

    def value_and_grad(self):
        np, x, w = self.np, self.x, self.w
        two_layers = len(w) == 4
        if two_layers:
            h = 1 / (1 + np.exp(-(x @ w[0].T + w[1])))
        else:
            h = x
        z = h @ w[-2].T + w[-1]
        z -= z.max(axis=1, keepdims=True)
        p = np.exp(z)
        total = p.sum(axis=1, keepdims=True)
        rows = np.arange(len(x))
        loss = (np.log(total[:, 0]) - z[rows, self.labels]).mean()
        p /= total
        p[rows, self.labels] -= 1
        p /= len(x)
        grads = [p.T @ h, p.sum(axis=0)]
        if two_layers:
            back = (p @ w[2]) * h * (1 - h)
            grads = [back.T @ x, back.sum(axis=0), *grads]
        return loss, grads

    def forward(self):
        np, x, w = self.np, self.x, self.w
        h = 1 / (1 + np.exp(-(x @ w[0].T + w[1]))) if len(w) == 4 else x
        z = h @ w[-2].T + w[-1]
        z -= z.max(axis=1, keepdims=True)
        return (np.log(np.exp(z).sum(axis=1)) - z[np.arange(len(x)), self.labels]).mean()

    def step(self):
        _, grads = self.value_and_grad()
        for w, g in zip(self.w, grads, strict=True):
            w -= 1e-3 * g


class TorchModel:
    name = "PyTorch"

    def __init__(self, torch, weights, x, labels):
        self.torch, self.x, self.labels = torch, torch.tensor(x), torch.tensor(labels)
        self.w = [torch.tensor(w, requires_grad=True) for w in weights]
        self.optimizer = torch.optim.SGD(self.w, lr=1e-3)

    def loss(self):
        functional, w = self.torch.nn.functional, self.w
        h = self.torch.sigmoid(functional.linear(self.x, w[0], w[1])) if len(w) == 4 else self.x
        return functional.cross_entropy(functional.linear(h, w[-2], w[-1]), self.labels)

    def forward(self):
        with self.torch.no_grad():
            return self.loss().item()

    def value_and_grad(self):
        self.optimizer.zero_grad()
        loss = self.loss()
        loss.backward()
        return loss.item(), [w.grad.numpy() for w in self.w]

    def step(self):
        self.optimizer.zero_grad()
        self.loss().backward()
        self.optimizer.step()


class TiduModel:
    name = "tidu"

    def __init__(self, td, weights, x, labels):
        self.td, self.x, self.labels = td, td.tensor(x), td.tensor(labels)
        self.w = [td.tensor(w, requires_grad=True) for w in weights]
        self.optimizer = td.optim.SGD(self.w, lr=1e-3)

    def loss(self):
        functional, w = self.td.nn.functional, self.w
        h = self.td.sigmoid(functional.linear(self.x, w[0], w[1])) if len(w) == 4 else self.x
        return functional.cross_entropy(functional.linear(h, w[-2], w[-1]), self.labels)

    def forward(self):
        with self.td.no_grad():
            return self.loss().item()

    def value_and_grad(self):
        self.optimizer.zero_grad()
        loss = self.loss()
        loss.backward()
        return loss.item(), [w.grad.numpy() for w in self.w]

    def step(self):
        self.optimizer.zero_grad()
        self.loss().backward()
        self.optimizer.step()


class BareProducts:
    """The matrix products that a step cannot do without, through oneDNN and nothing else."""

    name = "bare GEMMs"

    def __init__(self, np, weights, x, threads):
        library = ctypes.CDLL(ctypes.util.find_library("dnnl"))
        ctypes.CDLL(ctypes.util.find_library("gomp")).omp_set_num_threads(threads)
        size, real, address = ctypes.c_int64, ctypes.c_float, ctypes.c_void_p
        self.sgemm = library.dnnl_sgemm
        factors = [address, size, address, size]
        self.sgemm.argtypes = [
            ctypes.c_char,
            ctypes.c_char,
            size,
            size,
            size,
            real,
            *factors,
            real,
            address,
            size,
        ]
        self.keep, self.calls = [], []
        layers = weights[::2]
        for i, w in enumerate(layers):
            outputs, inputs = w.shape
            h = np.ones((len(x), inputs), np.float32)
            y, dw, dh = np.ones((len(x), outputs), np.float32), np.ones_like(w), np.ones_like(h)
            self.add(b"N", b"T", h, w, y)
            self.add(b"T", b"N", y, h, dw)
            if i > 0:
                self.add(b"N", b"N", y, w, dh)

    def add(self, ta, tb, a, b, c):
        (m, n), k = c.shape, a.shape[0] if ta == b"T" else a.shape[1]
        self.keep += [a, b, c]
        factors = (a.ctypes.data, a.shape[1], b.ctypes.data, b.shape[1])
        self.calls.append((ta, tb, m, n, k, 1.0, *factors, 0.0, c.ctypes.data, n))

    def step(self):
        for call in self.calls:
            self.sgemm(*call)


def check(np, models):
    """Every model must agree before any is timed."""
    loss, grads = models[0].value_and_grad()
    for model in models[1:]:
        other_loss, other_grads = model.value_and_grad()
        np.testing.assert_allclose(other_loss, loss, rtol=1e-5)
        for mine, theirs in zip(other_grads, grads, strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-7)


def interleave(runs, rounds):
    """Times each of the named functions once a round; {name: [seconds]}."""
    times = {name: [] for name in runs}
    for run in runs.values():
        seconds_per_call(run)
    for _ in range(rounds):
        for name, run in runs.items():
            times[name].append(seconds_per_call(run))
    return times


def report(title, times, unit, scale, figures):
    ours = times["tidu"]
    print(f"\n{title}")
    for name, seconds in times.items():
        ratio = statistics.median(a / b for a, b in zip(ours, seconds, strict=True))
        note = "" if name == "tidu" else f"   tidu / {name} = {ratio:.2f}"
        print(f"  {name:12s} {statistics.median(seconds) * scale:10.2f} {unit}{note}")
        figures[title][name] = {"seconds": statistics.median(seconds), "ratio": ratio}


def main():
    arguments = parse()
    # Read by the libraries when they are loaded.
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = str(arguments.threads)

    import numpy as np
    import tidu as td

    td.set_num_threads(arguments.threads)
    peers = [(NumpyModel, np)]
    try:
        import torch

        torch.set_num_threads(arguments.threads)
        peers.append((TorchModel, torch))
    except ImportError as error:
        print(f"PyTorch is not compared: {error}")
    modules = (td, *(library for _, library in peers))
    versions = ", ".join(f"{module.__name__} {module.__version__}" for module in modules)
    print(f"{versions}; {arguments.threads} threads, {arguments.rounds} rounds")

    figures = {}
    rng = np.random.default_rng(0)
    x = rng.random((BATCH, PIXELS), np.float32)
    labels = rng.integers(0, CLASSES, BATCH)
    shapes = {
        "logistic regression": [(CLASSES, PIXELS)],
        "two-layer network": [(HIDDEN, PIXELS), (CLASSES, HIDDEN)],
    }
    for title, layers in shapes.items():
        weights = []
        for outputs, inputs in layers:
            weights.append(rng.normal(0, inputs**-0.5, (outputs, inputs)).astype(np.float32))
            weights.append(np.zeros(outputs, np.float32))
        models = [TiduModel(td, weights, x, labels)]
        models += [make(library, weights, x, labels) for make, library in peers]
        check(np, models)
        for part in ("forward", "value_and_grad", "step"):
            key = f"{title}, batch {BATCH}: {part}"
            figures[key] = {}
            runs = {model.name: getattr(model, part) for model in models}
            if part == "step":
                bare = BareProducts(np, weights, x, arguments.threads)
                runs[bare.name] = bare.step
            report(key, interleave(runs, arguments.rounds), "us", 1e6, figures)

    arrays = {"tidu": td.ones(8), "NumPy": np.ones(8, np.float32)}
    if len(peers) > 1:
        arrays["PyTorch"] = torch.ones(8)
    adds = {name: (lambda a=array, b=array + array: a + b) for name, array in arrays.items()}
    key = "a + b on 8 floats (with the call of a Python function)"
    figures[key] = {}
    report(key, interleave(adds, arguments.rounds), "ns", 1e9, figures)
    if arguments.json:
        with open(arguments.json, "w") as file:
            json.dump(
                {"versions": versions, "threads": arguments.threads, "figures": figures}, file, indent=1
            )


if __name__ == "__main__":
    main()
