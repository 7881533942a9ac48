"""Measures what derivatives cost as multiples of their function, in tidu, PyTorch and JAX.

    python bench/derivatives.py [--only PROBLEM ..] [--threads N] [--rounds N] [--peers PYTHON]
                                [--markdown] [--json FILE]

For each problem of derivative_problems.py: the gradient as a multiple of f, the product of Hessian and vector
as one of the gradient, and the Hessian, where there is room for it, as one of f. Of tidu's program the
operations are counted and the bytes of elementwise groups in one pass (td.cost). Each library is timed in a
process of its own, in turn, after all have been found to compute the same; a ratio is the median over rounds
of the ratio in each round. Memory is what a call allocates at its peak: by the allocator in tidu, by the
profiler in PyTorch, by the compiler's report in JAX.
"""

import argparse
import json
import os
import statistics

import tidu as td
from compare import Library, agree, start
from derivative_problems import PROBLEMS, Tidu, problem

# What is compared with what.
RATIOS = {
    "gradient / f": ("gradient", "f"),
    "hvp / gradient": ("hvp", "gradient"),
    "Hessian / f": ("hessian", "f"),
}


class Process(Library):
    program = "derivative_problems.py"


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=PROBLEMS, default=list(PROBLEMS), metavar="PROBLEM")
    processors = len(os.sched_getaffinity(0))
    parser.add_argument(
        "--threads", type=int, default=processors, choices=range(1, processors + 1), metavar="N"
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--peers", help="the interpreter that has PyTorch and JAX (default: .venv-peers')")
    parser.add_argument("--markdown", action="store_true", help="end with the table in Markdown")
    parser.add_argument("--json", help="also write the figures to this file")
    return parser.parse_args()


def count(name):
    """td.cost of a problem."""
    x, _, data, f = problem(Tidu(), name)
    return td.cost(f, x, *data, matrix=PROBLEMS[name][3])


def measure(libraries, name, rounds):
    """({part: {library: [seconds]}}, {part: {library: bytes}}) once all libraries agree."""
    parts = ["f", "gradient", "hvp"] + ["hessian"] * PROBLEMS[name][3]
    for library in libraries.values():
        library.ask("prepare", name)
    ours, *peers = libraries.values()
    for part in parts:
        result = ours.ask("result", part)
        for peer in peers:
            agree(result, peer.ask("result", part), 2e-3)
    times = {part: {library: [] for library in libraries} for part in parts}
    for turn in range(rounds + 1):
        for library in libraries.values():
            for part in parts:
                seconds = library.time(part)
                if turn > 0:  # the first warms up
                    times[part][library.name].append(seconds)
    peaks = {
        part: {library.name: library.ask("peak", part) for library in libraries.values()} for part in parts
    }
    return times, peaks


class Figure:
    """One ratio of one problem."""

    def __init__(self, problem, title, counted, times, peaks):
        part, base = RATIOS[title]
        self.problem, self.title = problem, title
        self.flops, self.bytes, self.counted_peak = (
            counted.ratio(part, figure, to=base) for figure in ("flops", "bytes_in_groups", "peak_bytes")
        )
        self.time = {
            name: statistics.median(a / b for a, b in zip(times[part][name], times[base][name], strict=True))
            for name in times[part]
        }
        self.seconds = {name: statistics.median(times[part][name]) for name in times[part]}
        self.peak = {name: peaks[part][name] / max(peaks[base][name], 1) for name in peaks[part]}

    def cells(self, names):
        yield from (f"{value:.2f}" for value in (self.flops, self.bytes))
        yield from (f"{self.time[name]:.2f}" for name in names)
        yield f"{self.counted_peak:.2f}"
        yield from (f"{self.peak[name]:.2f}" for name in names)


def main():
    arguments = parse()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: arguments.threads])
    libraries = start(arguments, ("tidu", "PyTorch", "JAX"), Process)
    machine = f"{td._core.describe_device('cpu')}, {os.cpu_count()} processors"
    versions = {name: library.version for name, library in libraries.items()}
    print(f"{machine}; {', '.join(map(' '.join, versions.items()))}; {arguments.rounds} rounds")
    head = ["flops", "bytes", *(f"time {name}" for name in libraries), "counted peak"]
    head += [f"peak {name}" for name in libraries]
    print(f"{'':40}" + "".join(f"{title:>14}" for title in head))
    figures = []
    for name in arguments.only:
        counted = count(name)
        times, peaks = measure(libraries, name, arguments.rounds)
        for title, (part, _) in RATIOS.items():
            if part not in times:
                continue
            figure = Figure(name, title, counted, times, peaks)
            figures.append(figure)
            row = "".join(f"{cell:>14}" for cell in figure.cells(libraries))
            print(f"{name + ', ' + title:40}{row}", flush=True)
    if arguments.markdown:
        print("", f"{machine}:", "", f"| | {' | '.join(head)} |", "|---" * (len(head) + 1) + "|", sep="\n")
        for figure in figures:
            print(f"| {figure.problem}, {figure.title} | {' | '.join(figure.cells(libraries))} |")
    if arguments.json:
        report = {"machine": machine, "versions": versions, "rounds": arguments.rounds}
        with open(arguments.json, "w") as file:
            json.dump(report | {"figures": [vars(figure) for figure in figures]}, file, indent=1)


if __name__ == "__main__":
    main()
