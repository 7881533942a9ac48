"""What the suite measures, subject by subject: at the sizes of `make bench`, of `make bench-full`, and at the
smallest, at which the tests run everything once."""

import contextlib
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import problems
import tidu as td
from harness import IN_OUR_PYTHON, ROOT, Case, Failure, Figure

PIXELS, CLASSES = 784, 10
BIN = Path(td.__file__).resolve().parents[2] / "bin"

# --- Operations


def operations(size):
    """Elementwise operations, reductions and softmax of square matrices."""
    rng = np.random.default_rng(0)
    sides = {"small": [8], "usual": [64, 1024], "full": [8, 64, 256, 1024, 4096]}[size]
    dtypes = {"float32": 1e-5, "float64": 1e-12, "bfloat16": 2e-2}
    for name, (dtype, tolerance) in itertools.product(problems.OPERATIONS, dtypes.items()):
        for n in sides:
            if size == "usual" and dtype != "float32" and (n < 1024 or name in ("exp", "sums of columns")):
                continue
            a, b = (
                rng.standard_normal((n, n)).astype("float64" if dtype == "float64" else "float32")
                for _ in "ab"
            )
            if name.startswith("sum"):
                a = abs(a)  # no digits are lost
            growth = (f"{name}, {dtype}", n * n)
            yield Case(
                f"{name}, {dtype} {n} x {n}",
                "operation",
                (name, dtype, a, b),
                tolerance=tolerance,
                growth=growth,
            )


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


def products(size):
    """Matrix products, transposed or not."""
    rng = np.random.default_rng(0)
    usual = [(64, 64, 64), (512, 512, 512), (128, 256, 784), (256, 784, 128)]
    shapes = {"small": [(8, 8, 8)], "usual": usual, "full": [*SQUARES, *SKINNY]}[size]
    layouts = ("NN", "NT", "TN", "TT") if size == "full" else ("NN", "NT")
    for dtype, tolerance in {"float32": 1e-4, "float64": 1e-12, "bfloat16": 3e-2}.items():
        for (m, n, k), layout in itertools.product(shapes, layouts):
            if size == "usual" and dtype != "float32" and ((m, n, k) != (512, 512, 512) or layout != "NN"):
                continue
            transposed = [letter == "T" for letter in layout]
            kind = "float64" if dtype == "float64" else "float32"
            a = rng.standard_normal((k, m) if transposed[0] else (m, k)).astype(kind)
            b = rng.standard_normal((n, k) if transposed[1] else (k, n)).astype(kind)
            growth = (f"product {layout}, {dtype}", n) if m == n == k else None
            title = f"{dtype} {m} x {n} x {k} {layout}"
            yield Case(title, "product", (dtype, a, b, *transposed), tolerance=tolerance, growth=growth)


# --- Overhead

# The same on few elements in each library's words (x of 8 x 8, a and b of 8 float32), and the limits.
CALLS = {
    "a + b": ("a + b", "a + b", "a + b", {"NumPy": 0.5}),
    "sin": ("lib.sin(a)", "np.sin(a)", "lib.sin(a)", {}),
    "x[0]": ("x[0]", "x[0]", "x[0]", {"NumPy": 1.2}),
    "x[1:3]": ("x[1:3]", "x[1:3]", "x[1:3]", {}),
    "x[:, None, 1:3]": ("x[:, None, 1:3]", "x[:, None, 1:3]", "x[:, None, 1:3]", {}),
    "reshape": ("x.reshape(64)", "x.reshape(64)", "x.reshape(64)", {"NumPy": 1.0}),
    "x.T": ("x.T", "x.T", "x.T", {}),
    "other axes": ("x.permute_dims(1, 0)", "x.transpose(1, 0)", "x.permute(1, 0)", {}),
    "to float64": ("x.astype(lib.float64)", "x.astype(np.float64)", "x.to(lib.float64)", {}),
    "x.sum()": ("x.sum()", "x.sum()", "x.sum()", {}),
    "x @ x": ("x @ x", "x @ x", "x @ x", {}),
    "x.shape": ("x.shape", "x.shape", "x.shape", {}),
    "w * w, tracked": ("w * w", None, "w * w", {}),
    "detach": ("w.detach()", None, "w.detach()", {}),
}
COMPILED_CALL = 5e-6  # seconds


def calls(size):
    """What a call costs from Python on so few elements that only the overhead shows."""
    for title, (ours, numpy, torch, limits) in CALLS.items():
        statements = {"tidu": ours, "NumPy": numpy, "PyTorch": torch}
        statements = {name: statement for name, statement in statements.items() if statement}
        if title == "a + b":
            statements["JAX"] = ours
        yield Case(title, "call", (statements,), agreeing=(), limits=limits)
    compiled = {"tidu": "a + b", "tidu compiled": "add(a, b)", "JAX": "add(a, b)"}
    yield Case("a + b, compiled", "call", (compiled,), limits={"seconds": COMPILED_CALL})


CPP_UNITS = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0}


def cpp(size, settings, faults):
    """The C++ programs: what a call costs there, and in full whatever they measure."""
    for program in sorted(BIN.glob("bench_*" if size == "full" else "bench_eager")):
        done = subprocess.run(
            [
                program,
                "--benchmark_format=json",
                f"--benchmark_min_time={0.05 if size == 'full' else 0.01}",
                f"--benchmark_repetitions={settings.rounds}",
            ],
            capture_output=True,
            text=True,
        )
        if done.returncode != 0:
            faults.append({"library": "tidu", "case": program.name, "why": done.stderr.strip()[-200:]})
            continue
        rounds = {}
        for run in json.loads(done.stdout)["benchmarks"]:
            if run["run_type"] == "iteration":
                length = 1000 if run["name"].startswith("chain") else 1
                seconds = run["real_time"] * CPP_UNITS[run["time_unit"]] / length
                rounds.setdefault(run["name"], []).append(seconds)
        for name, seconds in rounds.items():
            title = f"{program.name.removeprefix('bench_')}: {name.replace('_', ' ')}"
            yield Figure("cpp", title, {"tidu": seconds})


# --- Chains


def chains(size):
    """Many small operations, one after another, and chains that a compiler makes one loop."""
    x = np.linspace(0.1, 1, 8, dtype=np.float32)
    lengths = {"small": [10], "usual": [1000, 10_000, 100_000], "full": [1000, 10_000, 100_000, 1_000_000]}[
        size
    ]
    for length in lengths:
        limits = {"seconds": 45e-6} if length == 1000 else {}
        for gradient in (False, True):
            what = "gradient of a chain of sin" if gradient else "chain of sin"
            yield Case(
                f"{what}, {length:,} on 8 floats",
                "chain",
                (length, x, gradient),
                tolerance=max(1e-4, length * 2**-24),  # a product of as many factors, each rounded
                growth=(what, length),
                limits={} if gradient else limits,
            )
    rng = np.random.default_rng(0)
    for count in {"small": [64], "usual": [1 << 14, 1 << 22], "full": [1 << 10, 1 << 14, 1 << 18, 1 << 24]}[
        size
    ]:
        operands = [rng.standard_normal(count).astype(np.float32) for _ in "abc"]
        for name in problems.FUSIONS:
            limits = {}
            if name == "9 cheap operations":
                limits = {"hand-written": 2.2} if count <= 1 << 14 else {"copy": 1.25}
            yield Case(
                f"{name}, {count:,} floats", "fusion", (name, *operands), limits=limits, growth=(name, count)
            )


# --- Training


def network(batch, hidden):
    widths = [PIXELS, CLASSES] if hidden is None else [PIXELS, hidden, CLASSES]
    rng = np.random.default_rng(0)
    weights = []
    for inputs, outputs in itertools.pairwise(widths):
        weights.append(rng.normal(0, inputs**-0.5, (outputs, inputs)).astype(np.float32))
        weights.append(np.zeros(outputs, np.float32))
    return weights, rng.random((batch, PIXELS), np.float32), rng.integers(0, CLASSES, batch)


BATCHES, HIDDEN = (1, 16, 128, 1024, 4096), (16, 256, 2048)
STEP_LIMITS = {"all": 0.7, "batch up to 128": 0.65}  # of the best peer, in the geometric mean


def models(size):
    """The examples' models at batch 128: the loss, its gradient, and the whole step."""
    batch = 4 if size == "small" else 128
    for hidden in (None, 16 if size == "small" else 256):
        name = f"784-{'' if hidden is None else f'{hidden}-'}10, batch {batch}"
        operands = (*network(batch, hidden), "SGD")
        yield Case(name, "model", operands, calls=3, timed=("forward", "value_and_grad"))


def steps(size):
    """Training steps of 784-hidden-10 with SGD and Adam: loss, gradient and update."""
    grid = [(4, 16)] if size == "small" else itertools.product(BATCHES, HIDDEN)
    for (batch, hidden), optimizer in itertools.product(grid, ("SGD", "Adam")):
        limits = {"best peer": 1.02}
        if batch >= 128 and hidden >= 256:
            limits["bare products"] = 1.15
        yield Case(
            f"784-{hidden}-10, batch {batch}, {optimizer}",
            "model",
            (*network(batch, hidden), optimizer),
            timed=("step",),
            agreeing=("value_and_grad", "step"),
            calls=3,
            limits=limits,
            growth=(f"{optimizer} step, {hidden} hidden units", batch),
            tags=["step", *(["batch up to 128"] if batch <= 128 else []), f"{optimizer}/{batch}/{hidden}"],
        )


def compiling(size):
    """Making, compiling and calling a training step."""
    operands = (*network(*((4, 16) if size == "small" else (128, 256))), "Adam")
    yield Case("compiling a training step", "compiling", operands, limits={"seconds": 0.05})


PATIENCE = 10  # times what the fastest library takes, where each runs for seconds or minutes
TRAINING = ("tidu", "tidu compiled", "NumPy", "PyTorch", "JAX", "MLX")


def printed(script, name, arguments, case, settings, faults, most=None):
    """What a script of this folder prints for a library, or None; `most` seconds are waited for it."""
    python = sys.executable if name in IN_OUR_PYTHON else settings.python
    program = [python, Path(__file__).with_name(script), name, *arguments]
    try:
        done = subprocess.run(program, capture_output=True, text=True, timeout=most)
        if done.returncode == 0:
            return done.stdout
        why = (done.stderr.strip().splitlines() or ["it ended"])[-1]
    except subprocess.TimeoutExpired:
        why = f"not done after {most:.0f} s, {PATIENCE} times what the fastest took"
    faults.append({"library": name, "case": case, "why": why})
    return None


def memory(size, settings, faults):
    """The most memory that training steps take, over what was resident before."""
    for batch in (4,) if size == "small" else (128, 4096):
        found = {}
        for name in [name for name in TRAINING if name in settings.names]:
            for _ in range(1 if size == "small" else min(3, settings.rounds)):
                text = printed("memory.py", name, [str(batch)], "memory", settings, faults)
                if text is None:
                    break
                found.setdefault(name, []).append(int(text))
        yield Figure("memory", f"a step, 784-256-10, batch {batch}", found, "B", limits={"PyTorch": 1.0})


def learning(size, settings, faults):
    """From the start of a process to 84 and 88 % on Fashion-MNIST, with the memory that it takes at most."""
    found, fastest = {}, None
    names = [name for name in TRAINING if name in settings.names]
    for _ in range(1 if size == "small" else min(3, settings.rounds)):
        for name in list(names):
            start = time.monotonic()
            arguments = ["--from", str(start), "--data-root", td.data.FashionMNIST.ROOT]
            if size == "small":
                arguments += ["--samples", "640", "--goals", "0.1", "0.2"]
            most = fastest and PATIENCE * fastest
            text = printed("learning.py", name, arguments, "learning", settings, faults, most)
            if text is None:
                names.remove(name)
                continue
            took = time.monotonic() - start
            fastest = min(took, fastest or took)
            for goal, value in json.loads(text).items():
                found.setdefault(goal, {}).setdefault(name, []).append(value)
    for goal, rounds in found.items():
        limits = {"PyTorch": 1.0} if goal == "peak memory" else {}
        yield Figure("learning", goal, rounds, "B" if goal == "peak memory" else "s", limits=limits)


# --- Derivatives

GRADBENCH = ("gmm", "lstm", "lse", "llsq", "kmeans", "ode")
SMALL = {
    "linear regression": (8, 3),
    "logistic regression": (8, 3),
    "multinomial regression": (8, 3, 2),
    "two-layer network": (4, 3, 3, 2),
    "Gaussian likelihood": (8, 3),
    "matrix factorisation": (4, 4, 2),
    "gmm": (5, 2, 2),
    "lstm": (3, 1, 4),
    "lse": (10,),
    "llsq": (10, 3),
    "kmeans": (10, 2, 3),
    "ode": (4, 2),
    "det": (4,),
    "Hessian of a logistic loss": (8, 3),
    "Hessian of x^T A x": (4,),
    "gradient of each example": (4, 6, 5, 3),
    "Laplacian of a tanh network": (3, 4, 1),
    "gradient of recurrent steps": (3, 4),
}
# At the full size a peer takes a minute for each call.
SOONER = {"Hessian of x^T A x": (512,)}
# Sizes at which growth shows, beside the usual ones.
GROWING = {
    "lse": [(1000,), (10_000,)],
    "llsq": [(5000, 12), (5000, 25)],
    "gmm": [(125, 16, 10), (250, 16, 10)],
}


def derivatives(size):
    """f, its gradient, its Hessian times a vector and its Hessian, and transforms that make many derivatives
    at once."""
    for name, (_, _, usual, _) in problems.PROBLEMS.items():
        if size == "usual" and name not in GRADBENCH:
            continue
        sizes = (
            [SMALL[name]] if size == "small" else [*(GROWING.get(name, []) if size == "full" else []), usual]
        )
        for each in sizes:
            title = f"{name} {' x '.join(map(str, each))}"
            yield Case(
                title, "derivative", (name, each), tolerance=2e-3, peaks=True, tags=[f"problem {name}"]
            )
    for name, (_, _, usual) in problems.TRANSFORMS.items():
        each = SMALL[name] if size == "small" else SOONER.get(name, usual) if size == "usual" else usual
        yield Case(f"{name}, {' x '.join(map(str, each))}", "transform", (name, each), tolerance=2e-3)


# --- What a library costs before it computes

IMPORTS = {
    "tidu": "tidu",
    "NumPy": "numpy",
    "PyTorch": "torch",
    "JAX": "jax.numpy",
    "autograd": "autograd",
    "MLX": "mlx.core",
}
IMPORTING = """
import time
start = time.perf_counter()
import {module}
seconds = time.perf_counter() - start
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(seconds, 1024 * int(peak.split()[1]))
"""
INSTALLED = """
import importlib.metadata, sys
from pip._vendor.packaging.requirements import Requirement
known = {}
def add(name):
    try:
        known[name] = importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return
    for needed in map(Requirement, known[name].requires or ()):
        if needed.name not in known and (needed.marker is None or needed.marker.evaluate({"extra": ""})):
            add(needed.name)
for name in sys.argv[1:]:
    add(name)
files = {file.locate().resolve() for each in known.values() for file in each.files or ()}
print(sum(path.stat().st_size for path in files if path.is_file()))
"""
DISTRIBUTIONS = {"PyTorch": ["torch"], "JAX": ["jax"], "MLX": ["mlx", "mlx-cpu"], "autograd": ["autograd"]}


def output(python, program, *arguments):
    done = subprocess.run([python, "-c", program, *arguments], capture_output=True, text=True)
    if done.returncode != 0:
        raise Failure((done.stderr.strip().splitlines() or ["it ended"])[-1])
    return done.stdout.split()


def footprint(size, settings, faults):
    """Import: time and memory; size on disk with all that is needed; in full, building tidu."""
    seconds, memory, disk = {}, {}, {}
    for _ in range(1 if size == "small" else settings.rounds):
        for name in [name for name in IMPORTS if name in settings.names]:
            python = sys.executable if name in IN_OUR_PYTHON else settings.python
            try:
                took, peak = output(python, IMPORTING.format(module=IMPORTS[name]))
            except Failure as failure:
                faults.append({"library": name, "case": "import", "why": str(failure)})
                continue
            seconds.setdefault(name, []).append(float(took))
            memory.setdefault(name, []).append(int(peak))
    for name in [name for name in IMPORTS if name in seconds]:
        with contextlib.suppress(Failure):
            python = sys.executable if name in IN_OUR_PYTHON else settings.python
            needed = int(output(python, INSTALLED, *DISTRIBUTIONS.get(name, ["numpy"]))[0])
            disk[name] = [needed + (installed_bytes() if name == "tidu" else 0)]
    yield Figure("footprint", "import", seconds)
    yield Figure("footprint", "memory after import", memory, "B")
    yield Figure("footprint", "size on disk, with all that it needs", disk, "B")
    if size == "full":
        yield Figure("footprint", "building tidu from nothing", {"tidu": [build_seconds(settings.threads)]})


def installed_bytes():
    """The package and its library."""
    package = Path(td.__file__).resolve().parent
    with open("/proc/self/maps") as maps:
        libraries = set(re.findall(r"/\S*/libtidu\.so\S*", maps.read()))
    files = [path for path in package.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    return sum(path.stat().st_size for path in {*files, *map(Path, libraries)})


def build_seconds(threads):
    """Of the library and its binding, without a cache."""
    folder = tempfile.mkdtemp(prefix="tidu-build-")
    try:
        start = time.monotonic()
        environment = os.environ | {"CCACHE_DISABLE": "1"}
        for command in (
            ["cmake", "--preset", "release", f"-DPython_EXECUTABLE={sys.executable}", "-B", folder],
            ["cmake", "--build", folder, "--target", "_core", "-j", str(threads)],
        ):
            subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True)
        return time.monotonic() - start
    finally:
        shutil.rmtree(folder)


CASES = {
    "calls": calls,
    "operations": operations,
    "products": products,
    "chains": chains,
    "models": models,
    "steps": steps,
    "compiling": compiling,
    "derivatives": derivatives,
}
MEASURED = {"cpp": cpp, "learning": learning, "memory": memory, "footprint": footprint}
