"""Times training steps, matrix products and a small call in tidu, NumPy, PyTorch and JAX, side by side.

    python bench/compare.py [--only models|float32|float64|calls ..] [--grid] [--threads N] [--rounds N]
                            [--peers PYTHON] [--markdown] [--json FILE]

Each library runs in a process of its own with as many threads on as many processors, round by round in
turn, after all have been found to compute the same. A ratio is tidu's time over another's, the median over
rounds of the ratio in each round; the best library is the one of least median time. PyTorch and JAX run in
the environment that `make bench-peers` makes. The bare matrix products of a step run through oneDNN.
"""

import argparse
import functools
import itertools
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import tidu as td

ROOT = Path(__file__).resolve().parent.parent
PIXELS, CLASSES = 784, 10
PEERS = ("NumPy", "PyTorch", "JAX")
BARE = "bare products"


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--only", nargs="+", choices=SUBJECTS, default=list(SUBJECTS), help="what to time (default: all)"
    )
    parser.add_argument("--grid", action="store_true", help="all sizes, which takes most of an hour")
    processors = len(os.sched_getaffinity(0))
    parser.add_argument(
        "--threads", type=int, default=processors, choices=range(1, processors + 1), metavar="N"
    )
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--peers", help="the interpreter that has PyTorch and JAX (default: .venv-peers')")
    parser.add_argument("--markdown", action="store_true", help="end with the README's table in Markdown")
    parser.add_argument("--json", help="also write the figures to this file")
    return parser.parse_args()


class Library:
    """A library in a process of its own."""

    program = "libraries.py"

    def __init__(self, name, python, threads):
        self.name = name
        environment = os.environ | {
            f"{runtime}_NUM_THREADS": str(threads) for runtime in ("OMP", "OPENBLAS", "MKL")
        }
        if name in PEERS:  # what an old OpenBLAS may need holds a new one back
            environment.pop("OPENBLAS_CORETYPE", None)
        self.pipe, theirs = multiprocessing.Pipe()
        program = [python, Path(__file__).with_name(self.program), name, str(theirs.fileno())]
        self.process = subprocess.Popen(program, pass_fds=[theirs.fileno()], env=environment)
        theirs.close()
        try:
            self.version = self.pipe.recv()
        except EOFError:
            self.version = ImportError("its process ended")

    def ask(self, *question):
        self.pipe.send(question)
        return self.pipe.recv()

    def time(self, part):
        time.sleep(0.03)  # until the threads of the library before have stopped waiting for more work
        return self.ask("time", part)


def start(arguments, names, kind=Library):
    """{name: library}."""
    environment = ROOT / ".venv-peers"
    python = arguments.peers or (
        environment / "bin/python" if (environment / "ready").exists() else sys.executable
    )
    libraries = {}
    for name in names:
        library = kind(name, python if name in ("PyTorch", "JAX") else sys.executable, arguments.threads)
        if isinstance(library.version, ImportError):
            remedy = " (make bench-peers installs it)" if name in PEERS else ""
            print(f"{name} is left out: {library.version}{remedy}")
        else:
            libraries[name] = library
    return libraries


def agree(mine, theirs, tolerance):
    """Within `tolerance` of the largest element of each array."""
    if isinstance(mine, list):
        for pair in zip(mine, theirs, strict=True):
            agree(*pair, tolerance)
    else:
        np.testing.assert_allclose(mine, theirs, rtol=0, atol=tolerance * abs(theirs).max(initial=0))


class Case:
    """Something that every library does with the same operands, in parts that are timed one by one."""

    def __init__(self, title, what, operands, parts, tolerance=1e-4):
        self.title, self.what, self.operands, self.parts = title, what, operands, parts
        self.tolerance = tolerance

    def times(self, libraries, rounds):
        """(title, {name: [seconds]}) of each part, once all libraries agree on all of them."""
        asked = [library for name, library in libraries.items() if name != BARE or self.what == "model"]
        for library in asked:
            library.ask("prepare", self.what, *self.operands)
        ours, *peers = (library for library in asked if library.name != BARE)
        for part in self.parts:
            result = ours.ask("result", part)
            for peer in peers:
                agree(result, peer.ask("result", part), self.tolerance)
        for part in self.parts:
            timed = [library for library in asked if library.name != BARE or part == "step"]
            times = {library.name: [] for library in timed}
            for turn in range(rounds + 1):
                for library in timed:
                    seconds = library.time(part)
                    if turn > 0:  # the first warms up
                        times[library.name].append(seconds)
            yield self.title + (f", {part}" if len(self.parts) > 1 else ""), times


def models(grid):
    sizes = [(batch, hidden) for hidden in (16, 256, 2048) for batch in (1, 16, 128, 1024, 4096)]
    for batch, hidden in [(128, None), *(sizes if grid else [(128, 256)])]:
        widths = [PIXELS, CLASSES] if hidden is None else [PIXELS, hidden, CLASSES]
        rng = np.random.default_rng(0)
        weights = []
        for inputs, outputs in itertools.pairwise(widths):
            weights.append(rng.normal(0, inputs**-0.5, (outputs, inputs)).astype(np.float32))
            weights.append(np.zeros(outputs, np.float32))
        x, labels = rng.random((batch, PIXELS), np.float32), rng.integers(0, CLASSES, batch)
        title = f"{'-'.join(map(str, widths))}, batch {batch}"
        yield Case(title, "model", (weights, x, labels), ("forward", "value_and_grad", "step"))


# Rows, columns and depth of products: squares, some with no power of two, and skinny ones.
SQUARES = [(n, n, n) for n in (8, 16, 24, 32, 64, 100, 128, 256, 512, 1000, 1024, 2048, 4096)]
SKINNY = [
    (128, 256, 784),
    (256, 784, 128),
    (128, 10, 256),
    (128, 256, 10),
    (512, 512, 1024),
    (1, 1024, 1024),
    (1024, 1, 1024),
    (16, 4096, 1024),
    (4096, 16, 1024),
    (64, 64, 4096),
    (2048, 2048, 16),
]


def products(dtype, tolerance, grid):
    shapes = [*SQUARES, *SKINNY] if grid else [(64, 64, 64), (512, 512, 512), (128, 256, 784)]
    rng = np.random.default_rng(0)
    for (m, n, k), layout in itertools.product(shapes, ("NN", "NT", "TN", "TT") if grid else ("NN", "NT")):
        a_transposed, b_transposed = (letter == "T" for letter in layout)
        a = rng.standard_normal((k, m) if a_transposed else (m, k)).astype(dtype)
        b = rng.standard_normal((n, k) if b_transposed else (k, n)).astype(dtype)
        title = f"{dtype} product {m}x{n}x{k} {layout}"
        yield Case(title, "product", (a, b, a_transposed, b_transposed), ("product",), tolerance)


def calls(grid):
    yield Case("a + b on 8 floats, from Python", "addition", (np.ones(8, np.float32),), ("sum",))


SUBJECTS = {
    "models": models,
    "float32": functools.partial(products, "float32", 1e-4),
    "float64": functools.partial(products, "float64", 1e-12),
    "calls": calls,
}


class Figure:
    """The times of one part of a case, and what they say about tidu."""

    def __init__(self, title, times):
        self.title = title
        self.seconds = {name: statistics.median(rounds) for name, rounds in times.items()}
        self.ratios = {
            name: statistics.median(ours / theirs for ours, theirs in zip(times["tidu"], rounds, strict=True))
            for name, rounds in times.items()
        }
        peers = [name for name in PEERS if name in times]
        self.best = min(peers, key=self.seconds.get)

    @property
    def best_ratio(self):
        return self.ratios[self.best]


def duration(seconds):
    """With three digits or more."""
    if seconds < 9.5e-6:
        return f"{seconds * 1e9:,.0f} ns"
    if seconds < 9.5e-3:
        return f"{seconds * 1e6:,.{int(seconds < 99.5e-6)}f} us"
    return f"{seconds * 1e3:,.1f} ms"


def text_row(figure, names):
    cells = (
        f"{duration(figure.seconds[name])} {figure.ratios[name]:5.2f}" if name in figure.seconds else ""
        for name in names
    )
    row = f"{figure.title:42}" + "".join(f"{cell:>17}" for cell in cells)
    return f"{row}   {figure.best_ratio:.2f} x {figure.best}"


def summary(subject, figures):
    """tidu against the best library in all figures."""
    mean = statistics.geometric_mean(figure.best_ratio for figure in figures)
    worst = max(figures, key=lambda figure: figure.best_ratio)
    return (
        f"{subject}: {mean:.2f} times the best library's time in the geometric mean of {len(figures)}, "
        f"at most {worst.best_ratio:.2f} ({worst.title}, {worst.best})"
    )


def markdown_table(figures, versions):
    yield "| | " + " | ".join(map(" ".join, versions.items())) + " | tidu / best |"
    yield "|---" * (len(versions) + 2) + "|"
    for figure in figures:
        cells = (duration(figure.seconds[name]) if name in figure.seconds else "" for name in versions)
        yield f"| {figure.title} | {' | '.join(cells)} | {figure.best_ratio:.2f} |"


def main():
    arguments = parse()
    # No library has more processors than this, whatever it takes as the number of its threads.
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: arguments.threads])
    td.set_num_threads(arguments.threads)
    libraries = start(arguments, ("tidu", *PEERS, BARE))
    machine = f"{td._core.describe_device('cpu')}, {os.cpu_count()} processors"
    versions = {name: library.version for name, library in libraries.items()}
    print(f"{machine}; {', '.join(map(' '.join, versions.items()))}; {arguments.rounds} rounds")
    print(f"{'':42}" + "".join(f"{name:>17}" for name in libraries) + "   tidu / best")

    figures = {subject: [] for subject in arguments.only}
    for subject, found in figures.items():
        for case in SUBJECTS[subject](arguments.grid):
            for title, times in case.times(libraries, arguments.rounds):
                found.append(Figure(title, times))
                print(text_row(found[-1], libraries), flush=True)
    summaries = [summary(subject, found) for subject, found in figures.items() if len(found) > 1]
    print("", *summaries, sep="\n")
    if arguments.markdown:  # products are too many for a table
        rows = [figure for subject in ("models", "calls") for figure in figures.get(subject, [])]
        print("", f"{machine}:", "", *markdown_table(rows, versions), "", sep="\n")
        print(*(f"- {line}" for line in summaries), sep="\n")
    if arguments.json:
        report = {
            "machine": machine,
            "versions": versions,
            "rounds": arguments.rounds,
            "figures": {subject: [vars(figure) for figure in found] for subject, found in figures.items()},
        }
        with open(arguments.json, "w") as file:
            json.dump(report, file, indent=1)


if __name__ == "__main__":
    main()
