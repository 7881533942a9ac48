"""Checks that every C++ file includes only its own and lower layers (docs/architecture.md)."""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# Folder -> layer. Folders of one layer do not include each other, but for those of layer 6.
LAYERS = {
    "kernels": 0,
    "kernels/cpu": 0.5,
    "kernels/cuda": 0.5,
    "csrc/base": 1,
    "csrc/tensor": 2,
    "csrc/core": 3,
    "csrc/backend": 3.2,
    "csrc/program": 3.5,
    "csrc/cuda": 4,
    "csrc/ops": 4,
    "csrc/diagnostics": 4.5,
    "csrc/autodiff": 5,
    "csrc/compile": 5,
    "csrc/backend/cpu": 5,
    "csrc/backend/cuda": 5,
    "csrc/grads": 5.5,
    "csrc/simt": 0,
    "csrc/simt/machine": 0.1,
    "csrc/simt/host": 0.2,
    "csrc/simt/check": 0.2,
    "csrc/simt/libraries": 0.6,
    "csrc/transforms": 6,
    "csrc/nn": 6,
    "csrc/optim": 6,
    "csrc/data": 6,
    "csrc/io": 6,
    "csrc": 6,
    "python/csrc": 7,
}
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.MULTILINE)
SUFFIXES = {".h", ".cpp", ".cu", ".cuh", ".def"}


def folder_of(path):
    """The longest folder of LAYERS that holds path (relative to the root), or None."""
    return next((str(p) for p in path.parents if str(p) in LAYERS), None)


def resolve(name, includer):
    """What an include names: a path relative to the root, or None when there is no such file."""
    candidates = (ROOT / "csrc" / name, ROOT / name, ROOT / "python/csrc" / name, includer.parent / name)
    return next((c.resolve().relative_to(ROOT) for c in candidates if c.is_file()), None)


def faults_of(path):
    relative = path.relative_to(ROOT)
    folder = folder_of(relative)
    if folder is None:
        yield f"{relative}: its folder is in no layer (scripts/check_layers.py lists them)"
        return
    for name in INCLUDE.findall(path.read_text()):
        target = resolve(name, path)
        # Another project's file, or a table of rows, which has no code of its layer and which any may read.
        if target is None or target.suffix == ".def":
            continue
        other = folder_of(target)
        allowed = other == folder or LAYERS[other] < LAYERS[folder] or LAYERS[other] == LAYERS[folder] == 6
        if not allowed:
            yield f'{relative}: layer {LAYERS[folder]} includes "{name}" of layer {LAYERS[other]} ({other})'


def check():
    """The faults of all C++ files, as printable lines."""
    files = [p for top in ("kernels", "csrc", "python/csrc") for p in sorted((ROOT / top).rglob("*"))]
    return [fault for p in files if p.suffix in SUFFIXES for fault in faults_of(p)]


if __name__ == "__main__":
    faults = check()
    print("\n".join(faults) or "layers: every include points down")
    sys.exit(bool(faults))
