"""Checks that CUDA sources keep to what both nvcc and the SIMT runtime (csrc/simt) take."""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SUFFIXES = {".cu", ".cuh", ".h"}
OWNER = ROOT / "kernels/cuda/portable.h"  # where the two compilers may differ

ELEMENTS = r"(?:u?(?:char|short|int|long|longlong)|float|double)[1-4]\b|__half2|__nv_bfloat162|Vec\s*<"
VECTOR = rf"(?:const\s+)?(?:{ELEMENTS})"
FLOATING = r"\b(?:float|double|float16|bfloat16|__half2?|__nv_bfloat162?)\b|\b\d+\.\d*f?\b|\b\d+f\b"
RULES = [
    (r"<<<", "launch with launch<kernel>({grid, block, shared_bytes, stream}, ...)"),
    (r"\b__shared__\b", "declare shared memory with TIDU_SHARED or TIDU_DYNAMIC_SHARED"),
    (
        rf"reinterpret_cast\s*<\s*{VECTOR}[^()]*\*\s*>|\(\s*{VECTOR}[^()]*\*\s*\)",
        "move several elements with load_vec and store_vec",
    ),
    (r"\bcudaMallocManaged\b|\b__managed__\b", "no managed memory: allocate, copy and order explicitly"),
    (
        rf"\batomic(?:Add|Sub)(?:_block|_system)?\s*(?:<[^>]*>)?\([^;]*(?:{FLOATING})",
        "a floating-point atomic makes sums depend on timing: reduce in a fixed tree",
    ),
    (
        r"\b__(?:shfl(?:_up|_down|_xor)?|ballot|any|all)\s*\(",
        "lanes are not in lock step: use the _sync form",
    ),
    (r"\bvolatile\b", "lanes are not in lock step: __syncwarp() orders shared memory, not volatile"),
    (r"\b__activemask\b", "which lanes run together is chance: compute the mask"),
    (r"\bcooperative_groups\b", "the SIMT runtime has no cooperative groups"),
    (
        r"\b__(?:expf|exp10f|logf|log2f|log10f|sinf|cosf|sincosf|tanf|powf|fdividef)\s*\(",
        "an approximate function: use the accurate one",
    ),
]
RULES = [(re.compile(pattern), message) for pattern, message in RULES]
ASM = re.compile(r"\basm\b")
PREPROCESSOR = re.compile(r"^\s*#\s*(if|ifdef|ifndef|elif|else|endif)\b")
COMMENT_OR_STRING = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"', re.DOTALL)


def code_of(text):
    """The text with comments and strings blanked, line for line."""
    return COMMENT_OR_STRING.sub(lambda m: re.sub(r"[^\n]", " ", m[0]), text)


def lines_with_twin(lines):
    """Numbers of lines in a conditional that has an #else: they are for one of the compilers."""
    found, stack = set(), []
    for number, line in enumerate(lines, 1):
        match = PREPROCESSOR.match(line)
        if not match:
            continue
        if match[1].startswith("if"):
            stack.append((number, False))
        elif match[1] in ("else", "elif") and stack:
            stack[-1] = (stack[-1][0], True)
        elif match[1] == "endif" and stack:
            begin, twin = stack.pop()
            if twin:
                found.update(range(begin, number))
    return found


def faults_of(path, text):
    lines = code_of(text).splitlines()
    twins = lines_with_twin(lines)
    for number, line in enumerate(lines, 1):
        faults = [message for pattern, message in RULES if pattern.search(line)]
        if ASM.search(line) and number not in twins:
            faults.append("assembly needs a twin in #else, which the host compiler takes")
        for fault in faults:
            yield f"{path}:{number}: {fault}"


def check():
    """The faults of all CUDA sources, as printable lines."""
    paths = [
        *sorted((ROOT / "kernels/cuda").rglob("*")),
        *(path for folder in ("csrc", "tests") for path in sorted((ROOT / folder).rglob("*.cu"))),
    ]
    return [
        fault
        for path in paths
        if path.suffix in SUFFIXES and path != OWNER
        for fault in faults_of(path.relative_to(ROOT), path.read_text())
    ]


if __name__ == "__main__":
    faults = check()
    print("\n".join(faults) or "cuda: every source keeps to the portable subset")
    sys.exit(bool(faults))
