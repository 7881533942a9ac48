"""Breaks the cuda kernels one place at a time, and counts the breaks that the checked emulation reports.

    python tests/simt/mutants.py BUILD_DIR [--kinds barrier,syncwarp,bound,index] [--files copy,softmax]
                                 [--sample N] [--seed N] [--at-least SHARE]

BUILD_DIR holds a build with the plug-in tidu_cuda_checked and the Python package. A mutant is a copy of
kernels/ with one line changed: a barrier removed, a bound one too far, an index into shared memory one too
far. Its sources are compiled, linked in place of the good ones, and run over the operations below in two
orders of threads; "caught" is a report of the checker, "seen" a wrong value with none, "missed" neither. Some
mutants change nothing that can be seen, for instance a barrier that another makes superfluous.
"""

import argparse
import json
import os
import random
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

DRIVER = """
import sys
import numpy as np
import tidu as td

rng = np.random.default_rng(0)

def cases():
    F = td.nn.functional
    def a(*shape): return td.tensor(rng.standard_normal(shape).astype(np.float32))
    def i(n, *shape): return td.tensor(rng.integers(0, n, shape))
    yield "elementwise", lambda x, y: td.exp(x) + y, a(70, 41), a(41)
    yield "elementwise", lambda x, y: x * y.mT, a(70, 41), a(41, 70)
    yield "cast", lambda x: x.astype(td.float16), a(1003)
    yield "copy", lambda x: td.copy(x.mT), a(70, 41)
    yield "copy", lambda x: td.copy(x.permute_dims((2, 0, 1))), a(9, 33, 40)
    yield "copy", lambda x: td.copy(x.astype(td.float16).mT), a(64, 70)
    yield "copy", lambda x: td.copy(x.astype(td.float64).mT), a(64, 70)
    yield "copy", lambda x, y: td.concat((x, y), axis=1), a(17, 5), a(17, 9)
    for shape, axis in (((30000,), None), ((37, 2500), 1), ((2500, 37), 0), ((300, 7), 1), ((5, 700, 9), 1)):
        yield "reduce", lambda x, axis=axis: td.sum(x, axis=axis), a(*shape)
        yield "reduce", lambda x, axis=axis: td.max(x, axis=axis), a(*shape)
        yield "reduce", lambda x, axis=axis: td.argmax(x, axis=axis or 0), a(*shape)
        yield "reduce", lambda x, axis=axis: td.sum(x.astype(td.float64), axis=axis), a(*shape)
    for shape in ((100, 10), (70, 300), (9, 3000), (3, 20000)):
        yield "softmax", lambda x: F.softmax(x, -1), a(*shape)
        yield "softmax", lambda x: F.log_softmax(x, -1), a(*shape)
        yield "softmax", lambda x, y: F.cross_entropy(x, y), a(*shape), i(shape[1], shape[0])
    yield "softmax", lambda x: F.softmax(x, 0), a(300, 40)
    yield "softmax", lambda x: F.softmax(x, 0), a(64, 4096)
    for m, k, n in ((70, 33, 50), (128, 256, 128), (1, 300, 70), (130, 20, 1), (33, 1000, 10)):
        yield "matmul", lambda x, y: x @ y, a(m, k), a(k, n)
        yield "matmul", lambda x, y: x @ y.mT, a(m, k), a(n, k)
        yield "matmul", lambda x, y: x.astype(td.float16) @ y.astype(td.float16), a(m, k), a(k, n)
        yield "matmul", lambda x, y: x.astype(td.float64) @ y.astype(td.float64), a(m, k), a(k, n)
    yield "indexing", lambda x, y: td.take(x, y, axis=0), a(50, 30), i(50, 70)
    def scattered(x, y):
        return td.grad(lambda x: (td.take(x, y, axis=0) ** 2).sum())(x)
    yield "indexing", scattered, a(50, 30), i(50, 700)
    yield "sort", scattered, a(5000, 3), i(5000, 9000)

def relative(x, y):
    x, y = np.asarray(x.cpu()).astype(np.float64), np.asarray(y).astype(np.float64)
    return np.abs(x - y).max(initial=0) / max(1.0, np.abs(y).max(initial=0))

wrong = 0
for family, f, *arrays in cases():
    try:
        expected = f(*arrays)
        found = f(*(x.to("cuda") for x in arrays))
        td.cuda.synchronize()
    except (RuntimeError, NotImplementedError) as error:
        if "no kernel for" in str(error): continue
        print("REPORT", str(error).splitlines()[0] if "kernels/" not in str(error) else
              next(line for line in str(error).splitlines() if "kernels/" in line))
        sys.exit(1)
    if not relative(found, expected) < 3e-3:
        wrong += 1
sys.exit(2 if wrong else 0)
"""

BARRIER = re.compile(r"^\s*(?:if (?:constexpr )?\([^;]*\) )?__syncthreads\(\);")
SYNCWARP = re.compile(r"^\s*(?:if (?:constexpr )?\([^;]*\) )?__syncwarp\([^;]*\);")
BOUND = re.compile(r"(?<=[\w)] )<(?= [\w.]+(?:\)|;| &&))")
DECLARED = re.compile(r"TIDU_(?:DYNAMIC_)?SHARED\((\w+),")


def mutants_of(path):
    """(kind, line number, broken line) of each break of a file."""
    text = path.read_text()
    shared = "|".join(sorted(set(DECLARED.findall(text))))
    kernel = False
    for number, line in enumerate(text.splitlines(), 1):
        code = line.split("//")[0]
        # Bounds of kernels, not of the host's launchers or of templates.
        kernel = ("__global__" in code or "__device__" in code or kernel) and not code.startswith("}")
        if BARRIER.match(code):
            yield "barrier", number, line.replace("__syncthreads();", ";")
        if SYNCWARP.match(code):
            yield "syncwarp", number, re.sub(r"__syncwarp\([^;]*\);", ";", line)
        if (
            kernel
            and re.search(r"\b(if|for|while)\b", code)
            and "constexpr" not in code
            and (m := BOUND.search(code))
        ):
            yield "bound", number, line[: m.start()] + "<=" + line[m.end() :]
        if shared and "SHARED" not in code and (m := re.search(rf"\b(?:{shared})\[([^\[\]]+)\]", code)):
            yield "index", number, line[: m.end() - 1] + " + 1" + line[m.end() - 1 :]


def users_of(path, sources):
    """The .cu files to compile for a change of this file: of those that differ in dtype the float one."""
    if path.suffix == ".cu":
        return [path]
    reached, names = set(), {path.name}
    while True:
        more = {
            p for p in sources if p not in reached and any(f'cuda/{name}"' in p.read_text() for name in names)
        }
        if not more:
            users = sorted(p for p in reached if p.suffix == ".cu")
            return [p for p in users if "float32" in p.name] or users
        reached |= more
        names |= {p.name for p in more}


class Build:
    def __init__(self, folder):
        self.folder = Path(folder).resolve()
        commands = json.loads((self.folder / "compile_commands.json").read_text())
        self.compile = {
            Path(c["file"]).name: shlex.split(c["command"])
            for c in commands
            if "tidu_cuda_checked_kernels" in c["command"]
        }
        listing = subprocess.run(
            ["ninja", "-C", self.folder, "-t", "commands", "libtidu_cuda_checked.so"],
            capture_output=True,
            text=True,
        ).stdout
        # ": && LINK && :"
        self.link = shlex.split(listing.splitlines()[-1].split(" && ")[1])

    def mutant(self, work, tree, sources):
        """Compiles these sources of the tree and links a plug-in in `work`; whether that succeeded."""
        link = list(self.link)
        link[link.index("-o") + 1] = str(work / "libtidu_cuda_checked.so")
        for source in sources:
            command = list(self.compile[source.name])
            object_file = command[command.index("-o") + 1]
            new = str(work / f"{source.stem}.o")
            command[command.index("-o") + 1] = new
            command[-1] = str(tree / source.relative_to(ROOT))
            at = command.index(f"-I{ROOT}")
            command.insert(at, f"-I{tree}")
            command += ["-Wno-error", "-w"]
            if subprocess.run(command, cwd=self.folder, capture_output=True).returncode != 0:
                return False
            link[link.index(object_file)] = new
        return subprocess.run(link, cwd=self.folder, capture_output=True).returncode == 0

    def run(self, plugins):
        """("caught", report), ("seen", "") or ("missed", "")."""
        worst = ("missed", "")
        for schedule in ("ascending", "random:1"):
            environment = os.environ | {
                "TIDU_CUDA": "checked",
                "TIDU_CUDA_PLUGIN_DIR": str(plugins),
                "TIDU_SIMT_SCHEDULE": schedule,
                "PYTHONPATH": str(self.folder / "python"),
            }
            try:
                done = subprocess.run(
                    [sys.executable, "-c", DRIVER],
                    env=environment,
                    capture_output=True,
                    text=True,
                    timeout=120,
                )
            except subprocess.TimeoutExpired:
                return "caught", "hangs"
            if done.returncode == 1:
                return "caught", (done.stdout or done.stderr).strip().splitlines()[-1]
            if done.returncode != 0:
                worst = ("seen", "")
        return worst


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build")
    parser.add_argument("--kinds", default="barrier,syncwarp,bound,index")
    parser.add_argument("--files", help="only files whose name contains one of these")
    parser.add_argument("--sample", type=int, help="only so many mutants, chosen by the seed")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--at-least", type=float, help="fail if a smaller share is caught or seen")
    options = parser.parse_args()

    build = Build(options.build)
    verdict, text = build.run(build.folder)
    if verdict != "missed":
        sys.exit(f"the good kernels fail: {verdict} {text}")
    sources = sorted(p for p in (ROOT / "kernels/cuda").iterdir() if p.suffix in (".cu", ".cuh"))
    mutants = [
        (path, *mutant)
        for path in sources
        if not options.files or any(name in path.name for name in options.files.split(","))
        for mutant in mutants_of(path)
        if mutant[0] in options.kinds.split(",")
    ]
    if options.sample is not None:
        mutants = random.Random(options.seed).sample(mutants, min(options.sample, len(mutants)))
    counts = {}
    for path, kind, number, broken in mutants:
        with tempfile.TemporaryDirectory() as folder:
            work = Path(folder)
            shutil.copytree(ROOT / "kernels", work / "kernels")
            copy = work / path.relative_to(ROOT)
            lines = path.read_text().splitlines()
            lines[number - 1] = broken
            copy.write_text("\n".join(lines) + "\n")
            if not build.mutant(work, work, users_of(path, sources)):
                verdict, text = "does not compile", ""
            else:
                verdict, text = build.run(work)
        counts.setdefault(kind, {}).setdefault(verdict, 0)
        counts[kind][verdict] += 1
        print(
            f"{verdict:8} {kind:8} {path.relative_to(ROOT)}:{number}: {broken.strip()}\n{'':9}{text[:200]}",
            flush=True,
        )
    found = total = 0
    for kind, verdicts in counts.items():
        print(f"{kind}: " + ", ".join(f"{count} {verdict}" for verdict, count in sorted(verdicts.items())))
        found += verdicts.get("caught", 0) + verdicts.get("seen", 0)
        total += sum(count for verdict, count in verdicts.items() if verdict != "does not compile")
    return bool(options.at_least and total and found / total < options.at_least)


if __name__ == "__main__":
    sys.exit(main())
