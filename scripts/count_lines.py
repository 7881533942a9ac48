"""Prints lines per folder: all, and those with code (neither blank nor only a comment)."""

import re
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TOPS = ("kernels", "csrc", "python", "tests", "bench", "examples", "scripts")
SUFFIXES = {".h", ".cpp", ".cu", ".cuh", ".def", ".py"}
ONE_SITTING = {"csrc/core", "csrc/autodiff"}
AIM = 1600
COMMENT = re.compile(r"\s*(//|#(?!\s*(include|define|if|ifdef|ifndef|else|elif|endif|undef|pragma|error))|$)")


def main():
    lines, code = Counter(), Counter()
    for top in TOPS:
        for path in (ROOT / top).rglob("*"):
            if path.suffix in SUFFIXES and not path.is_symlink() and "__pycache__" not in path.parts:
                folder = path.parent.relative_to(ROOT).as_posix()
                text = path.read_text().splitlines()
                lines[folder] += len(text)
                code[folder] += sum(not COMMENT.match(line) for line in text)
    print(f"{'folder':<28}{'lines':>8}{'code':>8}")
    for folder in sorted(lines):
        print(f"{folder:<28}{lines[folder]:>8}{code[folder]:>8}")
    print(f"{'all':<28}{lines.total():>8}{code.total():>8}")
    sitting = [sum(counter[folder] for folder in ONE_SITTING) for counter in (lines, code)]
    print(f"{'core + autodiff':<28}{sitting[0]:>8}{sitting[1]:>8}   aim: about {AIM} lines")


if __name__ == "__main__":
    main()
