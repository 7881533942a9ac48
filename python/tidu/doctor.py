"""python -m tidu.doctor: what is installed and what this machine offers."""

from __future__ import annotations

import ctypes.util
import importlib.metadata
import platform
import sys
from collections.abc import Iterator
from pathlib import Path

import tidu
from tidu import _core


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _loaded_libraries() -> dict[str, str]:
    """The numeric libraries that this process has mapped."""
    maps = Path("/proc/self/maps")
    if not maps.exists():
        return {}
    names = {}
    for line in maps.read_text().splitlines():
        path = line.split(maxsplit=5)[-1]
        for part in ("libtidu", "libdnnl", "openblas", "libhwy", "libgomp", "libcuda"):
            if part in path and path.startswith("/"):
                names[part] = path
    return names


def report() -> Iterator[tuple[str, str]]:
    """Lines of (topic, finding)."""
    yield "tidu", f"{tidu.__version__} in {Path(tidu.__file__).parent}"
    yield "python", f"{sys.version.split()[0]} at {sys.executable}"
    yield "system", platform.platform()
    for package in ("numpy", "matplotlib", "tqdm", "safetensors", "ml_dtypes"):
        yield package, _version(package)
    yield "device cpu", _core.describe_device("cpu")
    yield "threads", str(tidu.get_num_threads())
    reason = tidu.cuda.why_not()
    if reason:
        yield "device cuda", reason
    for index in range(tidu.cuda.device_count()):
        yield f"device cuda:{index}", _core.describe_device(f"cuda:{index}")
    yield "cuda driver", ctypes.util.find_library("cuda") or "no libcuda found"
    yield from _loaded_libraries().items()
    x = tidu.tensor([1.0, 2.0, 3.0], dtype=tidu.float64)
    gradient = tidu.grad(lambda v: (v * v).sum())(x).tolist()
    yield "self-test", "passed" if gradient == [2.0, 4.0, 6.0] else f"FAILED: gradient {gradient}"


def main() -> bool:
    lines = list(report())
    width = max(len(topic) for topic, _ in lines)
    for topic, finding in lines:
        print(f"{topic:<{width}}  {finding}")
    return any(finding.startswith("FAILED") for _, finding in lines)


if __name__ == "__main__":
    sys.exit(main())
