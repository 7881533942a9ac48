"""Breaks the C++ sources in thousands of places, and counts the breaks that the C++ and Python tests notice.

    python tests/mutants/mutants.py build FOLDER [--jobs N] [--sample N [--each N]] [--seed N] [--files ..]
                                    [--units N]                  # once, and after each change of the sources
    python tests/mutants/mutants.py record FOLDER [--jobs N] [--part K/N]
                                                                 # and after each change of the tests
    python tests/mutants/mutants.py try FOLDER [--sample N] [--seed N] [--jobs N] [--seconds N]
                                    [--only N,N] [--files csrc/nn,kernels] [--at-least SHARE]

`build` makes FOLDER/lib, a library below the programs and the binding of build/release, which stay as they
are. In it each place becomes a condition on one number (switch.h), so that one library holds every mutant,
or a sample of all places. Compiled is only what the sample breaks: its files and, of those that include a
broken header, some (--units), and the rest are the objects of build/release. With --each less is compiled:
so many mutants of each file that is drawn, by how many it has. Which are no C++ the compiler says, and they
are left out. Nor is there one where any change is the same program by rule (SAME).

`record` runs the tests, a program or some files of them at a time, and notes which places each reaches; what
it knows of a file stays until the file changes. `try` takes a sample, gives each mutant its turn by the
environment variable TIDU_MUTANT, and runs the tests that reach it until one fails: of each function of tests
some before the rest, those that reach least before others, up to SECONDS of what they take unbroken. What is
missed must be read: some mutants change nothing that can be seen.
"""

import argparse
import bisect
import json
import os
import random
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatch
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
BINARY = ROOT / "build/release"  # what is not broken
MOST = 1 << 16  # as in switch.h
SOURCES = ("csrc", "kernels")
TABLES = (".def", ".inc")  # which are left as they are
TOGETHER = 8  # files of Python tests that one process records
MOST_SECONDS = 7200  # that it takes, or one C++ test
FIRST = 25  # Python tests that run by themselves, since most mutants fall at one of the first
ALIKE = 2  # of a function's tests, those that come before the rest
# The C++ tests: of the library, and of the kernels inside of it.
name_of = lambda path: f"{'kernels_' * (path.parent.name == 'kernels')}{path.stem}"
PROGRAMS = {
    name_of(path): path
    for inside in ("cpp", "kernels")
    for path in sorted((ROOT / "tests" / inside).glob("*_test.cpp"))
}
# Of device cuda, or of what is not built here.
TESTS_LEFT_OUT = ("test_cuda", "test_check_cuda", "test_examples", "test_stubs")

# Text in which every change gives a program of the same results, by what it is and not by where it stands:
SAME = (
    # how much memory a container takes before it grows,
    r"\breserve\([^;\n]*\);|\bshrink_to_fit\(\);",
    # how many items a task has, and from how many on there are several: no result depends on it,
    r"(?<=std::max<int64_t>\()1, kGrain / [\w.]+|\b(?:work|total) < 2 \* kGrain\b",
    # which hash a value has: unequal ones may share it.
    r"\buint64_t hash_value\([^;\n]*;|\bmix\(hash, [^;\n]*;",
)

# --- Places: spans of a text, what they become, and for a reader the broken text.

OPERATORS = {
    "<": ("<", "less", ">", "<="),
    "<=": ("<", "less_equal", ">", "<"),
    ">": ("<", "greater", ">", ">="),
    ">=": ("<", "greater_equal", ">", ">"),
    "==": ("==", "equal", "==", "!="),
    "!=": ("==", "unequal", "==", "=="),
    "+": ("+", "plus", "+", "-"),
    "-": ("+", "minus", "+", "+"),
    "*": ("*", "times", "*", "+"),
    "/": ("*", "over", "*", "*"),
    "%": ("*", "modulo", "*", "first of"),
}
STATEMENT = re.compile(
    r"(?<=[;{}):])\n\s+(?!return\b|if\b|for\b|while\b|switch\b|case\b|default\b|else\b|do\b|using\b|throw\b"
    r"|template\b|static\b|const\b|public\b|private\b|explicit\b|operator\b|catch\b|try\b|delete\b|typename\b"
    r"|static_assert\b|namespace\b|struct\b|class\b|friend\b|virtual\b|auto\b)"
    r"(?=[a-z_*(+:-][\w:.>\[\]*()+-]*(?:<[\w:]+>)?(?:\(| [-+*/|&]?= |;))"
)


def blank(match):
    return re.sub(r"[^\n]", " ", match[0])


def without_comments(text):
    """The text with comments, literals and preprocessor lines blanked: places keep their positions."""
    text = re.sub(r'R"\((?s:.*?)\)"|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])\'|//[^\n]*', blank, text)
    return re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", blank, text, flags=re.M)


def closing(code, opening):
    depth = 0
    for i in range(opening, len(code)):
        depth += {"(": 1, ")": -1}.get(code[i], 0)
        if depth == 0:
            return i
    return None


def places(code):
    """(kind, [(start, end, new text with {})], what a reader is told) of each place."""
    for m in re.finditer(r" ([<>]=?|[!=]=|[-+*/%]) (?=\S)", code):
        before, name, after, broken = OPERATORS[m[1]]
        new = f" {before} mutants::{name}{{{{{{}}}}}} {after} "
        yield "operator", [(m.start(), m.end(), new)], f"{m[1]} becomes {broken}"
    for m in re.finditer(r" (&&|\|\|) ", code):
        yield (
            "condition",
            [(m.end(), m.end(), f"{'!' if m[1] == '&&' else ''}mutants::on({{}}) {m[1]} ")],
            f"{m[1]} is {'false' if m[1] == '&&' else 'true'}",
        )
    for m in re.finditer(r"\bif \(", code):
        end = closing(code, m.end() - 1)
        inside = code[m.end() : end]
        if end and not re.search(r"(?<![=!<>+*/|&^-])=(?!=)|;", inside):
            yield (
                "condition",
                [(m.end(), m.end(), "mutants::flip({}, static_cast<bool>("), (end, end, "))")],
                "if not",
            )
    for m in STATEMENT.finditer(code):
        yield "statement", [(m.end(), m.end(), "if (!mutants::on({})) ")], "is left out"
    for m in re.finditer(r"(?<=[\w)]) [-+]= ", code):
        yield "operator", [(m.end(), m.end(), "mutants::sign({}) * ")], "the other sign"
    for m in re.finditer(r"(?<![\w.<'])\d+(?:\.\d+)?(?![\w.>'])", code):
        yield "constant", [(m.start(), m.end(), f"({m[0]} + mutants::one({{}}))")], f"{m[0]} + 1"
    for m in re.finditer(r"(?<![\w<])(?:true|false)(?![\w>])", code):
        yield "constant", [(m.start(), m.end(), f"({m[0]} != mutants::on({{}}))")], f"not {m[0]}"
    for m in re.finditer(r"\bstd::(min|max)(<[\w:]+>)?\(", code):
        new = f"mutants::{m[1]}{m[2] or ''}({{}}, "
        yield "operator", [(m.start(), m.end(), new)], f"the other than {m[1]}"


def same_spans(code):
    """Where each change is the same program."""
    return [m.span() for pattern in SAME for m in re.finditer(pattern, code)]


def is_constant_expression(line):
    return re.search(r"\bconstexpr\b|\bstatic_assert\b|\btemplate\b|\bcase\b|\benum\b", line) is not None


def initialises_constant(code, line):
    """What a member begins with, in a file with variables that must be constants at first."""
    return "constinit" in code and re.fullmatch(r"\s+[\w:<>*]+ \w+ = (?:\w|::)+;.*", line) is not None


def chosen_of(mutants, files, sample, seed, each=1):
    """The numbers of the mutants of files, or of a sample: `each` of a file drawn by how many it has."""
    patterns = [f"{pattern}*" for pattern in files.split(",")]
    numbers = [n for n, (name, *_) in mutants.items() if any(fnmatch(name, p) for p in patterns)]
    if not sample:
        return numbers
    random.Random(seed).shuffle(numbers)
    of_file = {}
    for number in numbers:
        of_file.setdefault(mutants[number][0], []).append(number)
    chosen = []
    for number in numbers:
        own = of_file[mutants[number][0]]
        chosen += own[:each]
        del own[:each]
    return chosen[:sample]


class Sources:
    """The mutants of what is inside the library, numbered; a copy of the tree with those that are C++."""

    def __init__(self, tree, inside, options):
        self.tree = tree
        self.mutants = {}  # number -> (file, numbers of lines, line, spans, kind, told)
        self.texts = {}
        for path in sorted(path for folder in SOURCES for path in (ROOT / folder).rglob("*")):
            if path.suffix not in (".cpp", ".h", *TABLES):
                continue
            name = str(path.relative_to(ROOT))
            text = self.texts[name] = path.read_text()
            if path.suffix in TABLES or name not in inside:
                continue
            code = without_comments(text)
            starts = [0, *(m.end() for m in re.finditer("\n", text))]
            lines = text.splitlines()
            same = same_spans(code)
            for kind, spans, told in places(code):
                if any(all(begin <= s and e <= stop for s, e, _ in spans) for begin, stop in same):
                    continue
                touched = {bisect.bisect(starts, at) for start, end, _ in spans for at in (start, end)}
                if not any(
                    is_constant_expression(line) or initialises_constant(code, line)
                    for line in (lines[number - 1] for number in touched)
                ):
                    number = len(self.mutants)
                    first = lines[min(touched) - 1].strip()
                    self.mutants[number] = (name, sorted(touched), first, spans, kind, told)
        assert len(self.mutants) < MOST
        chosen = chosen_of(self.mutants, options.files, options.sample, options.seed, options.each)
        self.mutants = {number: self.mutants[number] for number in sorted(chosen)}

    def files(self):
        return {name for name, *_ in self.mutants.values()}

    def write(self, files):
        """Those of the files that change: what is compiled is newer than what it includes."""
        spans_of = {}
        for number, (name, _, _, spans, _, _) in self.mutants.items():
            for i, (start, end, new) in enumerate(spans):
                # An inner pair of parentheses closes first.
                order = (start, 0, -number) if i else (start, 1, number)
                spans_of.setdefault(name, []).append((order, start, end, new.format(number)))
        for name in files:
            text, parts, at = self.texts[name], [], 0
            for _, start, end, new in sorted(spans_of.get(name, [])):
                parts += [text[at:start], new]
                at = end
            mutated = "".join([*parts, text[at:]])
            if parts:
                assert mutated.startswith("// ")  # a caption, whose place the switch takes
                mutated = '#include "switch.h"' + mutated[mutated.index("\n") :]
            path = self.tree / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.exists() or path.read_text() != mutated:
                path.write_text(mutated)

    def drop(self, errors):
        """Leaves out the mutants on lines of a compiler's errors, or else near them; whether some are."""
        told = r"((?:csrc|kernels)/[\w/.-]+):(\d+):\d+: (?:error|  required from|  in .constexpr. expansion)"
        places = re.findall(told, errors)
        for reach in (0, 8):  # an error may be told at the other end of what does not fit
            bad = [
                number
                for number, (file, lines, *_) in self.mutants.items()
                if any(file == name and abs(line - int(at)) <= reach for name, at in places for line in lines)
            ]
            if bad:
                self.write({self.mutants.pop(number)[0] for number in bad})
                return True
        return False


def linking(target):
    """The command that links a target of build/release."""
    asked = ["ninja", "-C", BINARY, "-t", "commands", "-s", target]
    listed = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
    return [word for word in shlex.split(listed.splitlines()[-1]) if word not in (":", "&&")]


class Library:
    """The library of build/release: of each of its objects how it is made and of what."""

    def __init__(self):
        self.name = (BINARY / "libtidu.so").readlink().name
        objects = [word for word in linking(self.name) if word.endswith(".cpp.o")]
        commands = [
            shlex.split(unit["command"])
            for unit in json.loads((BINARY / "compile_commands.json").read_text())
        ]
        outputs = {command[command.index("-o") + 1]: command for command in commands}
        self.commands = {name: outputs[name] for name in objects}
        asked = ["ninja", "-C", BINARY, "-t", "deps", *objects]
        listed = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
        inside = {}  # path -> the file of this tree that it is, or nothing
        self.includes = {}
        for line in listed.splitlines():
            if m := re.match(r"(\S+): #deps", line):
                names = self.includes[m[1]] = []
            elif line.strip():
                path = line.strip()
                if path not in inside:
                    real = (BINARY / path).resolve()
                    inside[path] = str(real.relative_to(ROOT)) if real.is_relative_to(ROOT) else None
                if inside[path]:
                    names.append(inside[path])

    def units(self, files, most, draw):
        """The objects to make of broken files; of a header's so many: of its name, made anyhow, or drawn."""
        chosen = set()
        including = {name: [o for o, names in self.includes.items() if name in names] for name in files}
        for name in sorted(files, key=lambda name: (len(including[name]), name)):
            stem = Path(name).stem
            near = lambda unit: (Path(unit).name != f"{stem}.cpp.o", unit not in chosen)  # noqa: B023
            chosen.update(sorted(draw.sample(including[name], len(including[name])), key=near)[:most])
        return sorted(chosen)


def build(folder, options):
    command = ["cmake", "--build", BINARY, "-j", str(options.jobs), "--target", "tidu", "_core", *PROGRAMS]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    tree, objects, saved = folder / "tree", folder / "objects", folder / "mutants.json"
    library = Library()
    sources = Sources(tree, {name for names in library.includes.values() for name in names}, options)
    sources.write(sources.texts)
    shutil.copy2(HERE / "switch.h", tree)
    # What the compiler is told to find in build/release: the broken sources, and the precompiled header.
    for name, real in (("include/tidu", tree / "csrc"), ("CMakeFiles", BINARY / "CMakeFiles")):
        found = tree / BINARY.relative_to(ROOT) / name
        if not found.exists():
            found.parent.mkdir(parents=True, exist_ok=True)
            found.symlink_to(real)
    units = library.units(sources.files(), options.units, random.Random(options.seed))
    print(
        f"{len(sources.mutants)} mutants of {len(sources.files())} files in {len(units)} objects", flush=True
    )

    def is_stale(unit):
        parts = [
            tree / "switch.h",
            *(tree / name for name in library.includes[unit] if name in sources.texts),
        ]
        made = objects / unit
        return not made.exists() or made.stat().st_mtime <= max(part.stat().st_mtime for part in parts)

    def errors_of(unit):
        (objects / unit).parent.mkdir(parents=True, exist_ok=True)
        command = [word.replace(str(ROOT), str(tree)) for word in library.commands[unit]]
        done = subprocess.run(command, cwd=objects, capture_output=True, text=True)
        return done.stderr if done.returncode else ""

    while stale := [unit for unit in units if is_stale(unit)]:
        with ThreadPoolExecutor(options.jobs) as pool:
            errors = "\n".join(pool.map(errors_of, stale))
        if errors.strip() and not sources.drop(errors):
            sys.exit("\n".join(line for line in errors.splitlines() if "error" in line))
        print(f"{len(sources.mutants)} of them C++ so far", flush=True)
    # Broken objects come first, so that of an inline function, which many objects have, theirs is taken.
    inner = [f"bin/{name}" for name in PROGRAMS if name.startswith("kernels_")]
    for target, made in [(library.name, folder / "lib"), *((name, folder / "bin") for name in inner)]:
        made.mkdir(exist_ok=True)
        words = linking(target)
        broken = [str(objects / unit) for unit in units if unit in words]
        compiler, *words = [word for word in words if word not in units]
        words[words.index("-o") + 1] = str(made / Path(target).name)
        subprocess.run([compiler, *broken, *words], cwd=BINARY, check=True)
    mutants = json.dumps(sources.mutants)
    if not saved.exists() or saved.read_text() != mutants:
        saved.write_text(mutants)
        (folder / "tests.json").unlink(missing_ok=True)


# --- Tests, under the names "program:test" and pytest's


def environment(folder, **more):
    paths = {"LD_LIBRARY_PATH": str(folder / "lib"), "PYTHONPATH": f"{BINARY / 'python'}:{HERE}"}
    return os.environ | paths | more


def program(folder, name):
    own = folder / "bin" / name  # of what is inside the library
    return own if own.exists() else BINARY / "bin" / name


PYTEST = [sys.executable, "-m", "pytest", "-q", "-p", "plugin", "-p", "no:cacheprovider", "--tb=line"]


def run_program(folder, name, variables, reached):
    """test -> (seconds, mutants) of those of a C++ program that pass, each in a process of its own."""
    tests, suite = {}, ""
    listing = subprocess.run(
        [program(folder, name), "--gtest_list_tests"], capture_output=True, text=True, check=True
    ).stdout
    for line in listing.splitlines():
        if not line.startswith(" "):
            suite = line.split()[0]
            continue
        test = suite + line.split()[0]
        reached.write_bytes(bytes(MOST))
        start = time.monotonic()
        command = [program(folder, name), f"--gtest_filter={test}"]
        done = subprocess.run(command, env=variables, capture_output=True, timeout=MOST_SECONDS)
        if done.returncode == 0:
            numbers = [m.start() for m in re.finditer(b"\1", reached.read_bytes())]
            tests[f"{name}:{test}"] = (time.monotonic() - start, numbers)
    return tests


def run_files(paths, part, variables, noted):
    """path -> test -> (seconds, mutants) of those of files of Python tests that pass."""
    files = [str(path.relative_to(ROOT)) for path in paths]
    command = [*PYTEST, "--part", part, *files]
    subprocess.run(command, env=variables, cwd=ROOT, stdout=subprocess.DEVNULL, timeout=MOST_SECONDS)
    tests = {path: {} for path in paths}
    for line in noted.read_text().splitlines():
        name, passed, seconds, numbers = json.loads(line)
        if passed:
            tests[ROOT / name.split("::")[0]][name] = (seconds, numbers)
    return tests


def record(folder, options):
    """FOLDER/tests.json: file and part -> (the file's time, test -> (seconds, mutants that it reaches))."""
    saved = folder / "tests.json"
    known = json.loads(saved.read_text()) if saved.exists() else {}
    key = lambda path: f"{path.name} {options.part}" if path.suffix == ".py" else name_of(path)
    is_new = lambda path: known.get(key(path), (0,))[0] != path.stat().st_mtime
    programs = [[path] for path in PROGRAMS.values() if is_new(path)]
    files = [
        path
        for path in sorted((ROOT / "tests/python").glob("test_*.py"))
        if not path.name.startswith(TESTS_LEFT_OUT) and is_new(path)
    ]

    def recorded(paths):
        with tempfile.TemporaryDirectory() as work:
            reached, noted = Path(work) / "reached", Path(work) / "noted"
            reached.write_bytes(bytes(MOST))
            noted.touch()
            variables = environment(folder, TIDU_MUTANTS_REACHED=str(reached), TIDU_MUTANTS_RECORD=str(noted))
            if paths[0].suffix == ".py":
                return run_files(paths, options.part, variables, noted)
            return {paths[0]: run_program(folder, name_of(paths[0]), variables, reached)}

    groups = programs + [files[i : i + TOGETHER] for i in range(0, len(files), TOGETHER)]
    with ThreadPoolExecutor(options.jobs) as pool:
        for tests in pool.map(recorded, groups):
            for path, passed in tests.items():
                known[key(path)] = (path.stat().st_mtime, passed)
                print(f"{key(path)}: {len(passed)} tests", flush=True)
            saved.write_text(json.dumps(known))  # so that what ends early goes on from here
    print(f"{sum(len(tests) for _, tests in known.values())} tests")


def failure(folder, number, tests):
    """What of these tests, (name, seconds unbroken) in their order, fails with this mutant; None where they
    pass."""
    chosen = {"TIDU_MUTANT": str(number)}
    cpp = {}
    for test, seconds in tests:
        if not test.startswith("tests/"):
            name, filter = test.split(":", 1)
            cpp.setdefault(name, []).append((filter, seconds))
    with tempfile.TemporaryDirectory() as work:
        runs = []
        for name, filters in cpp.items():
            those = ":".join(filter for filter, _ in filters)
            command = [program(folder, name), "--gtest_fail_fast", f"--gtest_filter={those}"]
            runs.append((command, {}, sum(seconds for _, seconds in filters)))
        python = [test for test in tests if test[0].startswith("tests/")]
        for part in (python[:FIRST], python[FIRST:]):
            names = Path(work) / f"{len(runs)}.json"
            names.write_text(json.dumps([name for name, _ in part]))
            files = dict.fromkeys(name.split("::")[0] for name, _ in part)
            if part:
                command = [*PYTEST, "-x", *files]
                runs.append(
                    (command, {"TIDU_MUTANTS_TESTS": str(names)}, sum(seconds for _, seconds in part))
                )
        for command, more, seconds in runs:
            try:
                done = subprocess.run(
                    command,
                    env=environment(folder, **chosen, **more),
                    cwd=ROOT,
                    capture_output=True,
                    text=True,
                    errors="replace",
                    timeout=60 + 10 * seconds,
                )
            except subprocess.TimeoutExpired:
                return f"{Path(command[0]).name} hangs"
            if done.returncode != 0:
                lines = done.stdout.splitlines()
                told = [line for line in lines if line.startswith(("FAILED", "ERROR", "[  FAILED"))]
                return told[0] if told else f"{Path(command[0]).name} ends with {done.returncode}"
    return None


def attempt(folder, options):
    mutants = {int(n): m for n, m in json.loads((folder / "mutants.json").read_text()).items()}
    files = json.loads((folder / "tests.json").read_text())
    tests = {name: test for _, of_file in files.values() for name, test in of_file.items()}
    reaching = {}
    for name, (_, numbers) in tests.items():
        for number in numbers:
            reaching.setdefault(number, []).append(name)
    numbers = chosen_of(mutants, options.files, options.sample, options.seed)
    if options.only:
        numbers = [int(number) for number in options.only.split(",")]
    verdicts = Counter()

    def judge(number):
        # Those that reach least are about what they reach; long ones come late, and so do those like others.
        order = sorted(reaching.get(number, []), key=lambda name: len(tests[name][1]) * (1 + tests[name][0]))
        before = Counter()
        rank = {}
        for name in order:
            function = re.split(r"[\[/]", name.removeprefix("tests/python/"))[0]
            rank[name] = before[function] // ALIKE
            before[function] += 1
        order.sort(key=rank.__getitem__)
        chosen, total = [], 0.0
        for name in order:
            if total + tests[name][0] <= options.seconds:
                total += tests[name][0]
                chosen.append(name)
        if not order:
            return "unreached", ""
        found = failure(folder, number, [(name, tests[name][0]) for name in chosen])
        return ("noticed", found) if found else ("missed", f"by {len(chosen)} of {len(order)} tests")

    with ThreadPoolExecutor(options.jobs) as pool:
        for number, (verdict, text) in zip(numbers, pool.map(judge, numbers), strict=True):
            verdicts[verdict] += 1
            name, lines, line, _, kind, told = mutants[number]
            print(f"{verdict:9} {number:6} {kind:9} {name}:{lines[0]}: {line}\n{'':10}{told}; {text[:160]}")
            sys.stdout.flush()
    print(", ".join(f"{count} {verdict}" for verdict, count in sorted(verdicts.items())))
    share = verdicts["noticed"] / max(1, verdicts.total())
    return bool(options.at_least and share < options.at_least)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("action", choices=("build", "record", "try"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--sample", type=int, help="only so many mutants, chosen by the seed")
    parser.add_argument(
        "--each", type=int, default=1, help="of build's sample: so many mutants of each file drawn"
    )
    parser.add_argument(
        "--units",
        type=int,
        default=4,
        help="of build: at most so many objects of those that include a header",
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=600, help="of tests for a mutant")
    parser.add_argument(
        "--part", default="0/1", help="K/N: of the Python tests only part K of N, beside others"
    )
    parser.add_argument("--only", default="", help="only mutants of these numbers")
    parser.add_argument(
        "--files", default="csrc,kernels", help="only files whose path starts with one of these patterns"
    )
    parser.add_argument("--at-least", type=float, help="fail if a smaller share is noticed")
    options = parser.parse_args()
    folder = options.folder.resolve()
    if options.action == "build":
        return build(folder, options)
    return record(folder, options) if options.action == "record" else attempt(folder, options)


if __name__ == "__main__":
    sys.exit(main())
