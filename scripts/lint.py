"""Checks format, layers, CUDA subset and style of every tracked file, and the types of the Python ones; with
--fix it formats them first."""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

import check_cuda
import check_layers

ROOT = check_layers.ROOT
BIN = Path(sys.executable).parent

# Spelt in pieces, so that this file passes its own check.
RULES = [
    (re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK)\b(?!\(\S)"), "needs its reason: NAME(why)"),
    (re.compile(r"(?<![\w.])/(home|Users|root)" r"/\w"), "names a path of one machine"),
    (re.compile(r"[ \t]+$"), "ends in blanks"),
]
TAB = "\t"
# What only raises and says what the right name is, is in no stub.
OTHER_NAMES = """
from tidu import Tensor, _spellings
print("tidu.__all__")  # which is made as the package is loaded
for name, value in vars(Tensor).items():
    if isinstance(value, _spellings.OtherName):
        print(f"tidu._core.Tensor.{name}")
"""


def tracked(*suffixes):
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    paths = [ROOT / name for name in listing.split("\0") if name]
    return sorted(p for p in paths if p.is_file() and (not suffixes or p.suffix in suffixes))


def style_faults():
    for path in tracked():
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue
        name = path.relative_to(ROOT)
        if text and not text.endswith("\n"):
            yield f"{name}: does not end in a newline"
        if name.name != "LICENSE":
            for number, line in enumerate(text.splitlines(), 1):
                for pattern, fault in RULES:
                    if pattern.search(line):
                        yield f"{name}:{number}: {fault}"
                if TAB in line and name.name != "Makefile":
                    yield f"{name}:{number}: has a tab"


def tool(*command):
    return subprocess.run([BIN / command[0], *command[1:]], cwd=ROOT, capture_output=True, text=True)


def format_faults():
    for path in tracked(".h", ".cpp", ".cu", ".cuh"):
        if tool("clang-format", path).stdout != path.read_text():
            yield f"{path.relative_to(ROOT)}: not formatted (make format)"
    for line in tool("ruff", "format", "--check", ".").stdout.splitlines():
        if line.startswith("Would reformat: "):
            yield f"{line.removeprefix('Would reformat: ')}: not formatted (make format)"
    yield from tool("ruff", "check", "-q", "--output-format", "concise", ".").stdout.splitlines()


def type_faults():
    """What mypy says of the package, the examples and code of users, and where stubs are not the package."""
    if not (ROOT / "python/tidu/_core/__init__.pyi").exists():
        print("lint: no types are checked before there is a build, which writes the stubs")
        return
    result = tool("mypy", "--no-error-summary")
    yield from (result.stdout + result.stderr).splitlines()
    if result.returncode == 0:
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as other_names:
            other_names.write(tool("python", "-c", OTHER_NAMES).stdout)
            other_names.flush()
            allowed = ("--allowlist", "scripts/stubtest_allowed.txt", "--allowlist", other_names.name)
            result = tool("stubtest", "tidu", "--concise", "--mypy-config-file", "pyproject.toml", *allowed)
        if result.returncode:
            yield from (result.stdout + result.stderr).splitlines()


def main():
    if "--fix" in sys.argv[1:]:
        tool("clang-format", "-i", *tracked(".h", ".cpp", ".cu", ".cuh"))
        tool("ruff", "check", "--fix", ".")
        tool("ruff", "format", ".")
    faults = [*format_faults(), *check_layers.check(), *check_cuda.check(), *style_faults(), *type_faults()]
    print("\n".join(faults) or "lint: clean")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
