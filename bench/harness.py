"""Times libraries in processes of their own, round by round in turn, once they agree on what they compute."""

import contextlib
import ctypes
import itertools
import math
import multiprocessing
import os
import signal
import statistics
import subprocess
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
OURS = ("tidu", "tidu compiled")
PEERS = ("NumPy", "PyTorch", "PyTorch compiled", "JAX", "autograd", "MLX")
REFERENCES = ("bare products", "hand-written", "copy")
UNCOMPARED = ("bare products", "copy")  # which are work without a meaning
IN_OUR_PYTHON = (*OURS, "NumPy", *REFERENCES)

# --- In the process of a library


def repeat(run):
    """loop(iterator): a call of `run` for each item, and the last result."""

    def loop(items):
        result = None
        for _ in items:
            result = run()
        return result

    return getattr(run, "loop", loop)


class Timer:
    """Seconds a call, over as many calls as take `at_least` seconds, which it finds out once."""

    def __init__(self, run, wait):
        self.loop, self.wait, self.calls = repeat(run), wait, 1

    def seconds(self, at_least):
        while True:
            start = time.perf_counter()
            self.wait(self.loop(itertools.repeat(None, self.calls)))
            elapsed = time.perf_counter() - start
            if elapsed >= 0.7 * at_least:
                return elapsed / self.calls
            self.calls = max(self.calls + 1, int(self.calls * min(10, 1.1 * at_least / max(elapsed, 1e-9))))


def arrays(library, result):
    """NumPy's arrays in place of a library's, in any nesting."""
    if isinstance(result, (list, tuple)):
        return [arrays(library, item) for item in result]
    return library.numpy(result)


def serve(descriptor, library_of):
    """Answers a Process until its pipe is closed."""
    PR_SET_PDEATHSIG = 1  # a stopped process would not see that nobody asks any more
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    pipe = Connection(descriptor)
    try:
        library = library_of()
    except ImportError as error:
        pipe.send(str(error))
        return
    pipe.send((str(library.version),))
    runs, timers = {}, {}

    def answer(question, *operands):
        if question == "prepare":
            kind, *operands = operands
            timers.clear()
            runs.clear()
            runs.update(getattr(library, kind)(*operands))
            return list(runs)
        part, *operands = operands
        run = runs[part]
        if question == "result":
            return arrays(library, run())
        if question == "peak":
            return library.peak(run) if hasattr(library, "peak") else None
        if part not in timers:
            timers[part] = Timer(run, library.wait)
        return timers[part].seconds(*operands)

    with contextlib.suppress(EOFError, KeyboardInterrupt):
        while True:
            question = pipe.recv()
            try:
                pipe.send((answer(*question),))
            except Exception as error:  # whatever a library cannot do, the report says
                pipe.send(f"{type(error).__name__}: {error}")


# --- In the process that asks


class Failure(Exception):
    """What a library said instead of answering."""


class Process:
    """A library in a process of its own, which runs only while it answers: the threads of some libraries look
    for work long after theirs is done, on the processors of the one whose turn it is."""

    def __init__(self, name, python, threads):
        self.name = name
        environment = os.environ | {
            f"{runtime}_NUM_THREADS": str(threads) for runtime in ("OMP", "OPENBLAS", "MKL")
        }
        if name in PEERS:  # what an old OpenBLAS may need holds a new one back
            environment.pop("OPENBLAS_CORETYPE", None)
        self.pipe, theirs = multiprocessing.Pipe()
        program = [python, Path(__file__).with_name("libraries.py"), name, str(theirs.fileno())]
        self.process = subprocess.Popen(program, pass_fds=[theirs.fileno()], env=environment)
        theirs.close()
        self.version = self.answer()

    def answer(self):
        try:
            answer = self.pipe.recv()
        except EOFError:
            raise Failure("its process ended") from None
        self.process.send_signal(signal.SIGSTOP)
        if isinstance(answer, str):
            raise Failure(answer.splitlines()[0] if answer else "")
        return answer[0]

    def ask(self, *question):
        self.process.send_signal(signal.SIGCONT)
        try:
            self.pipe.send(question)
        except BrokenPipeError:
            raise Failure("its process ended") from None
        return self.answer()

    def stop(self):
        self.process.send_signal(signal.SIGCONT)
        self.pipe.close()
        self.process.wait()


def peers_python(given):
    environment = ROOT / ".venv-peers"
    return given or (environment / "bin/python" if (environment / "ready").exists() else sys.executable)


def start(names, python, threads):
    """({name: process}, {name: why it is left out})."""
    processes, missing = {}, {}
    for name in names:
        try:
            processes[name] = Process(name, sys.executable if name in IN_OUR_PYTHON else python, threads)
        except Failure as failure:
            missing[name] = str(failure) + (" (make bench-peers installs it)" if name in PEERS else "")
    return processes, missing


def agree(mine, theirs, tolerance):
    """Within `tolerance` of the largest element of each array."""
    if isinstance(mine, list):
        for pair in zip(mine, theirs, strict=True):
            agree(*pair, tolerance)
    else:
        mine, theirs = np.asarray(mine, float), np.asarray(theirs, float)
        np.testing.assert_allclose(mine, theirs, rtol=0, atol=tolerance * abs(theirs).max(initial=0))


def relative_times(times, others):
    """The median over rounds of the ratio in each round."""
    return statistics.median(a / b for a, b in zip(times, others, strict=False))


class Figure:
    """What was measured of one thing: {library: a value of each round}, and what the values are held against.

    `limits` are the most that tidu may take (compiled, where it was compiled) as a multiple of a library, of
    "best peer", or in "seconds"; `growth` is (a line in the plot, a size)."""

    def __init__(self, subject, title, rounds, unit="s", limits=None, growth=None, peaks=None, tags=()):
        self.subject, self.title, self.rounds, self.unit = subject, title, rounds, unit
        self.limits, self.growth, self.peaks, self.tags = limits or {}, growth, peaks or {}, tuple(tags)
        self.values = {
            name: {
                "median": statistics.median(values),
                "low": float(np.quantile(values, 0.25)),
                "high": float(np.quantile(values, 0.75)),
            }
            for name, values in rounds.items()
        }
        peers = [name for name in PEERS if name in rounds]
        self.best_peer = min(peers, key=self.median) if peers else None
        self.ratios = {
            ours: {name: relative_times(rounds[ours], rounds[name]) for name in rounds if name not in OURS}
            for ours in OURS
            if ours in rounds
        }

    def median(self, name):
        return self.values[name]["median"]

    @property
    def judged(self):
        """Which of tidu's ways is held against the limits."""
        return next((name for name in reversed(OURS) if name in self.rounds), None)

    def held(self):
        """(what tidu is held against, its multiple or seconds, the limit)."""
        for against, limit in self.limits.items():
            if self.judged is None:
                continue
            if against == "seconds":
                yield against, self.median(self.judged), limit
            else:
                name = self.best_peer if against == "best peer" else against
                if name in self.ratios[self.judged]:
                    yield against, self.ratios[self.judged][name], limit

    def report(self):
        return vars(self) | {
            "held": [
                {"against": against, "value": value, "limit": limit, "kept": value <= limit}
                for against, value, limit in self.held()
            ]
        }


class Case:
    """Something that every library does with the same operands, in parts that are timed one by one: those of
    `timed`, or all. Results of `agreeing` parts (or all) are compared, `calls` in a row."""

    def __init__(
        self,
        title,
        kind,
        operands,
        timed=None,
        tolerance=1e-4,
        agreeing=None,
        calls=1,
        peaks=False,
        **of_figure,
    ):
        self.title, self.kind, self.operands, self.timed = title, kind, operands, timed
        self.tolerance, self.agreeing, self.calls, self.peaks = tolerance, agreeing, calls, peaks
        self.of_figure = of_figure

    def prepared(self, processes, faults):
        """{part: names of those that do it}, where all agree."""
        does = {}

        def note(name, part, why):
            faults.append({"library": name, "case": f"{self.title}, {part}", "why": why})

        for name, process in processes.items():
            try:
                parts = process.ask("prepare", self.kind, *self.operands)
            except Failure as failure:
                note(name, self.kind, str(failure))
                continue
            for part in parts:
                does.setdefault(part, []).append(name)
        for part, names in does.items():
            if self.agreeing is not None and part not in self.agreeing:
                continue
            known, alone = None, False
            for name in [name for name in names if name not in UNCOMPARED]:
                try:
                    result = [processes[name].ask("result", part) for _ in range(self.calls)]
                    if not isinstance(result[0], list):  # losses go to 0: the largest is the measure of all
                        result = np.stack(result)
                    known = result if known is None else known
                    agree(known, result, self.tolerance)
                except (Failure, AssertionError) as error:
                    differs = not isinstance(error, Failure)
                    note(name, part, "differs: " * differs + " ".join(str(error).split()))
                    names.remove(name)
                    alone |= differs
            if alone and not set(names) & {*PEERS, *REFERENCES} - set(UNCOMPARED):
                note(names[0], part, "no other library agrees with it")
        return does

    def figures(self, subject, processes, pace, faults):
        """The figures of all parts that are timed."""
        for part, names in self.prepared(processes, faults).items():
            if self.timed is not None and part not in self.timed:
                continue
            timed = {name: processes[name] for name in names}
            rounds = pace.rounds_of(timed, part, self.title, faults)
            peaks = {}
            for name, process in timed.items() if self.peaks and pace.peaks else ():
                with contextlib.suppress(Failure):
                    peak = process.ask("peak", part)
                    if peak is not None:
                        peaks[name] = peak
            title = self.title + (f", {part}" if part != "run" else "")
            yield Figure(subject, title, rounds, peaks=peaks, **self.of_figure)


class Pace:
    """How many rounds, and how long: at least `at_least` seconds a round, and no further round after `most`
    seconds on one figure or `in_all` seconds after the start, but three rounds at all events. A library that
    takes SLOW times as long as the fastest has one round: more would take long, and say no more."""

    SLOW = 20

    def __init__(self, rounds, at_least=0.02, most=3, in_all=600, peaks=True):
        self.rounds, self.at_least, self.most, self.peaks = rounds, at_least, most, peaks
        self.deadline = time.monotonic() + in_all

    def rounds_of(self, processes, part, title, faults):
        times = {name: [] for name in processes}
        started = time.monotonic()
        for turn in range(self.rounds + (self.rounds > 1)):
            now = time.monotonic()
            if turn > 3 and (now - started > self.most or now > self.deadline):
                break
            fastest = min((taken[-1] for taken in times.values() if taken), default=math.inf)
            for name in [name for name in times if not times[name] or times[name][-1] < self.SLOW * fastest]:
                try:
                    seconds = processes[name].ask("time", part, self.at_least)
                except Failure as failure:
                    faults.append({"library": name, "case": f"{title}, {part}", "why": str(failure)})
                    del times[name]
                    continue
                if turn > 0 or self.rounds == 1:  # the first warms up
                    times[name].append(seconds)
        return times


def geometric_mean(values):
    return math.exp(statistics.fmean(map(math.log, values)))
