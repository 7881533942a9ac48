"""Memory that runs out at any allocation of any call is a MemoryError."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.mark.cpu_only("it preloads an operator new")
def test_each_allocation_may_fail(tmp_path):
    library = tmp_path / "failing_new.so"
    source = HERE / "allocations/failing_new.cpp"
    subprocess.run(["c++", "-std=c++20", "-O1", "-shared", "-fPIC", "-o", library, source], check=True)
    paths = os.pathsep.join([str(HERE), *sys.path])
    run = subprocess.run(
        [sys.executable, HERE / "allocations/sweep.py"],
        env={**os.environ, "LD_PRELOAD": str(library), "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-2000:]
    assert int(run.stdout.split()[0]) > 5000
