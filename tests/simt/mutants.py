"""Breaks the cuda kernels one place at a time, and counts the breaks that the C++ tests notice.

    python tests/simt/mutants.py BUILD_DIR [--kinds barrier,bound] [--files copy,softmax] [--through float32]
                                 [--schedules ascending] [--sample N] [--seed N] [--jobs N] [--at-least SHARE]

BUILD_DIR holds a build with the plug-in tidu_cuda_checked and the tests. A mutant is a copy of kernels/ with
one place changed, of a kind that KINDS lists. What includes it is compiled (--through: only some of that) and
linked in place of the good kernels, and the tests of device cuda run on it, in some orders of threads:
"caught" is a report of the checker, "seen" a test that fails without one, "missed" neither. Some mutants
change nothing that can be seen, for instance the end of a loop whose last steps do nothing.
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
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# The tests of a kernel, by the start of its file's name; a header's are those of all that includes it.
TESTS = {
    "matmul": ["simt_checked_kernels_matmul_test", "cuda_matmul_test"],
    "reduce": ["cuda_reduce_test"],
    "logsumexp": ["cuda_reduce_test", "cuda_softmax_test"],
    "softmax": ["cuda_softmax_test"],
    "cross_entropy": ["cuda_softmax_test"],
    "linalg": ["simt_checked_kernels_linalg_test"],
    "": ["cuda_pointwise_test"],
}

# --- Places to break: functions from a line of a kernel to its broken versions.

SUBSCRIPT = re.compile(r"(?<=[\w)\]])\[([^\[\]]+)\]")
DECLARATION = re.compile(r"^\s*(?:const )?[\w:<>, ]+ [&(]*\w+\)?(?:\[[^\]]*\])+(?:\s*=|;|,|\))")


def replaced(pattern, new):
    def broken(line):
        for m in re.finditer(pattern, line):
            yield line[: m.start()] + m.expand(new) + line[m.end() :]

    return broken


def compared(line):
    """A minimum is the same whichever of two equal numbers it takes."""
    if "if constexpr" in line:
        return
    minimum = re.compile(r"([\w.:<> ()+-]+?) [<>] ([\w.]+) \? (?:\1 : \2|\2 : \1)")
    for m in re.finditer(r" ([<>])(=?) ", line):
        if not any(n.start() <= m.start() < n.end() for n in minimum.finditer(line)):
            yield f"{line[: m.start()]} {m[1]}{'' if m[2] else '='} {line[m.end() :]}"


def first_argument_plus_one(line, call):
    for m in re.finditer(call, line):
        depth, end = 0, m.end()
        while end < len(line) and (depth > 0 or line[end] not in ",)"):
            depth += {"(": 1, "[": 1, ")": -1, "]": -1}.get(line[end], 0)
            end += 1
        if end < len(line):
            yield line[:end] + " + 1" + line[end:]


def indexed(line):
    if DECLARATION.match(line) or "SHARED(" in line:
        return
    for m in SUBSCRIPT.finditer(line):
        yield line[: m.end() - 1] + " + 1" + line[m.end() - 1 :]
    yield from first_argument_plus_one(line, r"\.(?:put|get)\(")


def constants(line):
    if DECLARATION.match(line) or "if constexpr" in line or "__launch_bounds__" in line:
        return
    for m in re.finditer(r"(?<![\w.<\[])\d+(?![\w.>\]])", line):
        yield line[: m.start()] + str(int(m[0]) + 1) + line[m.end() :]


KINDS = {
    "barrier": replaced(r"^(\s*(?:if (?:constexpr )?\([^;]*\) )?)__sync(?:threads|warp)\([^;]*\);", r"\1;"),
    "mask": replaced(r"\bkFullMask\b", "0x7fffffffu"),
    "lane": replaced(r"(__shfl\w*\([^;]*), (\w+)\)(?=[;,)])", r"\1, \2 / 2)"),
    "bound": compared,
    "index": indexed,
    # One element further, or a vector whose address is no multiple of its size.
    "access": lambda line: first_argument_plus_one(line, r"\b(?:load|store)_vec(?:<\w+>)?\("),
    "stride": replaced(
        r" \* (?!\()[\w.:>-]*(?:stride|by_|width|[tT]hreads|extent|\bk[A-Z])[\w.]*(?:\[\w+\])*", ""
    ),
    "constant": constants,
    "sum": lambda line: (
        *replaced(r"(?<= )\+=(?= )", "=")(line),
        *replaced(r"\b(?:Op|\w+<\w+>)::combine\([^,]+, ", "(")(line),
    ),
}


def code_of_kernels(text):
    """(line number, line without its comment) of what runs on the device."""
    inside, depth = False, 0
    for number, line in enumerate(text.splitlines(), 1):
        code = line.split("//")[0].rstrip()
        inside = inside or re.search(r"\b(?:__global__|__device__|TIDU_HD)\b", code) is not None
        if not inside or code.lstrip().startswith("#"):
            continue
        if not re.match(r"\s*(?:template|static_assert|(?:static )?constexpr)\b", code):
            yield number, code
        depth += code.count("{") - code.count("}")
        inside = depth > 0 or not code.endswith((";", "}"))


def mutants_of(path):
    """(kind, line number, broken line) of each break of a file."""
    for number, line in code_of_kernels(path.read_text()):
        for kind, broken in KINDS.items():
            for new in broken(line):
                yield kind, number, new


def users_of(path, sources):
    """The .cu files that a change of this file changes."""
    reached, names = {path}, {path.name}
    while True:
        more = {p for p in sources - reached if any(f'cuda/{name}"' in p.read_text() for name in names)}
        if not more:
            return sorted(p for p in reached if p.suffix == ".cu")
        reached |= more
        names |= {p.name for p in more}


def named(path, names):
    return any(name in path.name for name in names.split(","))


def tests_of(users):
    starts = {next(start for start in TESTS if path.name.startswith(start)) for path in users}
    return [test for start, tests in reversed(TESTS.items()) if start in starts for test in tests]


class Build:
    def __init__(self, folder):
        self.folder = Path(folder).resolve()
        commands = json.loads((self.folder / "compile_commands.json").read_text())
        self.compile = {
            Path(c["file"]).name: shlex.split(c["command"])
            for c in commands
            if "tidu_cuda_checked_kernels" in c["command"]
        }
        programs = {f"bin/{test}" for tests in TESTS.values() for test in tests if test.startswith("simt_")}
        self.link = {target: self.linker(target) for target in ("libtidu_cuda_checked.so", *programs)}

    def linker(self, target):
        listing = subprocess.run(
            ["ninja", "-C", self.folder, "-t", "commands", target], capture_output=True, text=True, check=True
        ).stdout
        return shlex.split(listing.splitlines()[-1].split(" && ")[1])  # ": && LINK && :"

    def mutant(self, work, sources, tests):
        """Compiles these sources of the tree at `work` and links; whether that succeeded."""
        objects = {}
        for source in sources:
            command = list(self.compile[source.name])
            at = command.index("-o") + 1
            objects[command[at]] = command[at] = str(work / f"{source.stem}.o")
            command[-1] = str(work / source.relative_to(ROOT))
            command.insert(command.index(f"-I{ROOT}"), f"-I{work}")
            if subprocess.run([*command, "-w"], cwd=self.folder, capture_output=True).returncode != 0:
                return False
        for target, command in self.link.items():
            if target.startswith("bin/") and Path(target).name not in tests:
                continue
            # The mutant's objects first: of a function that others have as well, the linker takes the first.
            link = [word for word in command if word not in objects]
            first = next(i for i, word in enumerate(link) if word.endswith(".cpp.o"))
            link[first:first] = objects.values()
            link[link.index("-o") + 1] = str(work / Path(target).name)
            if subprocess.run(link, cwd=self.folder, capture_output=True).returncode != 0:
                return False
        return True

    def run(self, work, tests, schedules):
        """("caught", report), ("seen", failure) or ("missed", "")."""
        for schedule in schedules:
            for test in tests:
                own = work / test
                environment = os.environ | {
                    "TIDU_CUDA": "checked",
                    "TIDU_CUDA_PLUGIN_DIR": str(work),
                    "TIDU_SIMT_SCHEDULE": schedule,
                    "TIDU_SIMT_TIMEOUT": "20",
                }
                command = [own if own.exists() else self.folder / "bin" / test, "--gtest_fail_fast"]
                try:
                    done = subprocess.run(
                        command, env=environment, capture_output=True, text=True, timeout=300
                    )
                except subprocess.TimeoutExpired:
                    return "seen", "hangs"
                if done.returncode == 0:
                    continue
                lines = (done.stdout + done.stderr).splitlines()
                if report := next(
                    (line for line in lines if re.search(r"(?:kernels|backend)/cuda/", line)), None
                ):
                    return "caught", report
                return "seen", next((line for line in lines if "Failure" in line), f"{test} dies")
        return "missed", ""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build")
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--files", default="", help="only files whose name contains one of these")
    parser.add_argument("--through", default="", help="compile only files whose name contains one of these")
    parser.add_argument("--schedules", default="ascending,random:1", help="orders of threads (docs/cuda.md)")
    parser.add_argument("--sample", type=int, help="only so many mutants, chosen by the seed")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--at-least", type=float, help="fail if a smaller share is caught or seen")
    options = parser.parse_args()

    build = Build(options.build)
    sources = {p for p in (ROOT / "kernels/cuda").iterdir() if p.suffix in (".cu", ".cuh", ".h")}
    sources |= set((ROOT / "csrc/backend/cuda").glob("*.cu"))
    mutants = [
        (path, *mutant)
        for path in sorted(sources)
        if named(path, options.files)
        for mutant in mutants_of(path)
        if mutant[0] in options.kinds.split(",")
    ]
    if options.sample is not None:
        mutants = random.Random(options.seed).sample(mutants, min(options.sample, len(mutants)))
    users = {path: [p for p in users_of(path, sources) if named(p, options.through)] for path, *_ in mutants}
    if not mutants or not all(users.values()):
        sys.exit("no such mutants")
    schedules = options.schedules.split(",")
    verdict, text = build.run(build.folder, tests_of(p for some in users.values() for p in some), schedules)
    if verdict != "missed":
        sys.exit(f"the good kernels fail: {verdict} {text}")

    def judge(mutant):
        path, _, number, broken = mutant
        with tempfile.TemporaryDirectory() as folder:
            work = Path(folder)
            shutil.copytree(ROOT / "kernels", work / "kernels")
            lines = path.read_text().splitlines()
            lines[number - 1] = broken
            broken_file = work / path.relative_to(ROOT)
            broken_file.parent.mkdir(parents=True, exist_ok=True)
            broken_file.write_text("\n".join(lines) + "\n")
            tests = tests_of(users[path])
            if not build.mutant(work, users[path], tests):
                return "does not compile", ""
            return build.run(work, tests, schedules)

    counts = {}
    with ThreadPoolExecutor(options.jobs) as pool:
        for mutant, (verdict, text) in zip(mutants, pool.map(judge, mutants), strict=True):
            path, kind, number, broken = mutant
            counts.setdefault(kind, Counter())[verdict] += 1
            place = f"{path.relative_to(ROOT)}:{number}: {broken.strip()}"
            print(f"{verdict:8} {kind:8} {place}\n{'':9}{text[:200]}", flush=True)
    for kind, verdicts in counts.items():
        print(f"{kind}: " + ", ".join(f"{count} {verdict}" for verdict, count in sorted(verdicts.items())))
    total = sum(counts.values(), Counter())
    found, tried = total["caught"] + total["seen"], total.total() - total["does not compile"]
    return bool(options.at_least and tried and found / tried < options.at_least)


if __name__ == "__main__":
    sys.exit(main())
