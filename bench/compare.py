"""Times the same training steps in tidu, NumPy (by hand) and PyTorch, side by side.

    python bench/compare.py [--threads N] [--rounds N] [--json FILE]

Each library runs in a process of its own with as many threads (two OpenMP runtimes in one process take
the cores from each other), round by round in turn; first their losses and gradients are compared. A ratio
is tidu's time over the peer's, the median over rounds of the ratio in each round. The bare matrix products
of a step run through oneDNN, the fastest library here.
"""

import argparse
import ctypes
import ctypes.util
import json
import multiprocessing
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


def weights_of(np, layers):
    rng = np.random.default_rng(1)
    weights = []
    for outputs, inputs in layers:
        weights += [
            rng.normal(0, inputs**-0.5, (outputs, inputs)).astype(np.float32),
            np.zeros(outputs, np.float32),
        ]
    return weights


MODELS = {
    "logistic regression": [(CLASSES, PIXELS)],
    "two-layer network": [(HIDDEN, PIXELS), (CLASSES, HIDDEN)],
}
ADD = "a + b on 8 floats (with the call of a Python function)"


def serve(pipe, name, threads):
    """A library's process: makes its models, then answers each question with a result or a time."""
    import numpy as np

    try:
        if name == "tidu":
            import tidu as library

            library.set_num_threads(threads)
            make, array = TiduModel, library.ones(8)
        elif name == "PyTorch":
            import torch as library

            library.set_num_threads(threads)
            make, array = TorchModel, library.ones(8)
        else:
            library, make, array = np, NumpyModel, np.ones(8, np.float32)
    except ImportError as error:
        pipe.send(error)
        return
    rng = np.random.default_rng(0)
    x, labels = rng.random((BATCH, PIXELS), np.float32), rng.integers(0, CLASSES, BATCH)
    runs, models = {(ADD, "call"): lambda: array + array}, {}
    for title, layers in MODELS.items():
        weights = weights_of(np, layers)
        if name == BareProducts.name:
            runs[title, "step"] = BareProducts(np, weights, x, threads).step
            continue
        models[title] = make(library, weights, x, labels)
        for part in ("forward", "value_and_grad", "step"):
            runs[title, part] = getattr(models[title], part)
    pipe.send(f"{library.__name__} {library.__version__}")
    while (question := pipe.recv()) is not None:
        title, part = question
        pipe.send(models[title].value_and_grad() if part == "result" else seconds_per_call(runs[title, part]))


class Peer:
    """A library in a process of its own."""

    def __init__(self, name, threads):
        self.name = name
        self.pipe, theirs = multiprocessing.Pipe()
        self.process = multiprocessing.Process(target=serve, args=(theirs, name, threads), daemon=True)
        self.process.start()
        self.version = self.pipe.recv()

    def ask(self, title, part):
        self.pipe.send((title, part))
        return self.pipe.recv()


def check(np, peers, title):
    """Every library must agree before any is timed."""
    loss, grads = peers[0].ask(title, "result")
    for peer in peers[1:]:
        other_loss, other_grads = peer.ask(title, "result")
        np.testing.assert_allclose(other_loss, loss, rtol=1e-5)
        for mine, theirs in zip(other_grads, grads, strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-7)


def interleave(peers, title, part, rounds):
    """Times each library once a round; {name: [seconds]}."""
    times = {peer.name: [] for peer in peers}
    for turn in range(rounds + 1):
        for peer in peers:
            seconds = peer.ask(title, part)
            if turn > 0:  # the first warms up
                times[peer.name].append(seconds)
    return times


def report(title, times, unit, scale):
    ours = times["tidu"]
    figures = {}
    print(f"\n{title}")
    for name, seconds in times.items():
        ratio = statistics.median(a / b for a, b in zip(ours, seconds, strict=True))
        note = "" if name == "tidu" else f"   tidu / {name} = {ratio:.2f}"
        print(f"  {name:12s} {statistics.median(seconds) * scale:10.2f} {unit}{note}")
        figures[name] = {"seconds": statistics.median(seconds), "ratio": ratio}
    return figures


def main():
    arguments = parse()
    # Read by the libraries when they are loaded.
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = str(arguments.threads)
    multiprocessing.set_start_method("spawn")
    import numpy as np

    peers = []
    for name in ("tidu", "NumPy", "PyTorch"):
        peer = Peer(name, arguments.threads)
        if isinstance(peer.version, ImportError):
            print(f"{name} is not compared: {peer.version}")
        else:
            peers.append(peer)
    bare = Peer(BareProducts.name, arguments.threads)
    versions = ", ".join(peer.version for peer in peers)
    print(f"{versions}; {arguments.threads} threads, {arguments.rounds} rounds")

    figures = {}
    for title in MODELS:
        check(np, peers, title)
        for part in ("forward", "value_and_grad", "step"):
            timed = [*peers, bare] if part == "step" else peers
            key = f"{title}, batch {BATCH}: {part}"
            figures[key] = report(key, interleave(timed, title, part, arguments.rounds), "us", 1e6)
    figures[ADD] = report(ADD, interleave(peers, ADD, "call", arguments.rounds), "ns", 1e9)
    for peer in (*peers, bare):
        peer.pipe.send(None)
    if arguments.json:
        with open(arguments.json, "w") as file:
            json.dump(
                {"versions": versions, "threads": arguments.threads, "figures": figures}, file, indent=1
            )


if __name__ == "__main__":
    main()
