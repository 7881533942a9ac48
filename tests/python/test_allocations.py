"""Memory that runs out at any allocation of any call is a MemoryError, and kernels take no memory beside
results and the workspace that they say they need."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import tidu  # noqa: F401 (the library is looked for where it lies in memory)

HERE = Path(__file__).parent


def run(script, tmp_path, source, *options):
    library = tmp_path / "preloaded.so"
    subprocess.run(
        [
            "c++",
            "-std=c++20",
            "-O1",
            "-shared",
            "-fPIC",
            "-o",
            library,
            HERE / "allocations" / source,
            *options,
        ],
        check=True,
    )
    paths = os.pathsep.join([str(HERE), *sys.path])
    result = subprocess.run(
        [sys.executable, HERE / "allocations" / script],
        env={**os.environ, "LD_PRELOAD": str(library), "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-2000:]
    return result.stdout


@pytest.mark.cpu_only("it preloads an operator new")
def test_each_allocation_may_fail(tmp_path):
    assert int(run("sweep.py", tmp_path, "failing_new.cpp").split()[0]) > 5000


@pytest.mark.cpu_only("kernels of the cpu")
def test_kernels_take_no_memory_beside_their_workspaces(tmp_path):
    lines = Path("/proc/self/maps").read_text().splitlines()
    library = next(Path(line.split()[-1]) for line in lines if "/libtidu.so" in line)
    root = HERE.parents[1]
    options = ["-I", root / "csrc", "-I", root, library, f"-Wl,-rpath,{library.parent}"]
    assert not run("watched.py", tmp_path, "watching.cpp", *options).strip()
