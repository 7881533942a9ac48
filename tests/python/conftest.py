"""What the Python tests share."""

import os
import zlib

import numpy as np
import pytest

# What these files test is the host's: exchange of memory with NumPy, files of the package, whole programs.
CPU_ONLY = {"test_numpy_dlpack.py", "test_examples.py", "test_bench.py"}


def pytest_addoption(parser):
    parser.addoption(
        "--device", default="cpu", help="where tensors are made: cpu, or cuda (emulated without TIDU_CUDA)"
    )
    parser.addoption("--part", default="0/1", metavar="K/N", help="part K of N equal ones, drawn at random")
    parser.addoption(
        "--sample",
        default="0/1",
        metavar="K/N",
        help="of each function's cases part K of N, and at least one",
    )


def pytest_configure(config):
    config.addinivalue_line("markers", "cpu_only(reason): tests something of device cpu alone")
    device = config.getoption("--device")
    if device != "cpu":
        os.environ.setdefault("TIDU_CUDA", "emulated")
        os.environ.setdefault("TIDU_CUDA_DEVICES", "2")
        # Kernels of groups take a run of the host's compiler each: the C++ tests have them.
        os.environ.setdefault("TIDU_SIMT_COMPILER", "")
        import tidu as td

        td.set_default_device(device)


def pytest_collection_modifyitems(config, items):
    """On another device, tests of the host alone are left out rather than skipped."""
    part, parts = map(int, config.getoption("--part").split("/"))
    first, step = map(int, config.getoption("--sample").split("/"))
    on_cpu = config.getoption("--device") == "cpu"

    def draw(item):
        return zlib.crc32(item.nodeid.encode())

    cases = {}
    for item in items:
        of_host = item.path.name in CPU_ONLY or item.get_closest_marker("cpu_only")
        if (on_cpu or not of_host) and draw(item) % parts == part:
            cases.setdefault(item.nodeid.partition("[")[0], []).append(item)
    kept = set()
    for of in cases.values():
        sample = [item for item in of if draw(item) % step == first]
        kept.update(map(id, sample or [of[first % len(of)]]))
    config.hook.pytest_deselected(items=[item for item in items if id(item) not in kept])
    items[:] = [item for item in items if id(item) in kept]


@pytest.fixture
def device():
    import tidu as td

    return td.get_default_device()


@pytest.fixture(scope="module")
def cuda_beside_cpu():
    """Device cuda, of no default device: emulated, two of it, where the environment says nothing else."""
    import tidu as td

    os.environ.setdefault("TIDU_CUDA_DEVICES", "2")
    if "TIDU_CUDA" not in os.environ:
        td.cuda.emulate()
    reason = td.cuda.why_not()
    if reason and "there is no" in reason:  # no such plug-in was built
        pytest.skip(reason)
    assert reason is None
    default = td.get_default_device()
    td.set_default_device("cpu")
    yield
    td.set_default_device(default)


@pytest.fixture
def rng():
    return np.random.default_rng(20240229)


@pytest.fixture(autouse=True)
def draws_of_its_own(request, monkeypatch):
    """A file's generator begins anew for each test, whichever ran before on this process."""
    if isinstance(getattr(request.module, "rng", None), np.random.Generator):
        seed = zlib.crc32(request.node.nodeid.encode())
        monkeypatch.setattr(request.module, "rng", np.random.default_rng(seed))


@pytest.fixture
def live_bytes():
    """The bytes that tensors hold, for tests that nothing is left behind."""
    import gc

    import tidu as td
    from tidu import _core

    def measure():
        gc.collect()
        return _core.memory_stats(td.get_default_device())["live_bytes"]

    return measure


@pytest.fixture
def peak_bytes():
    """The most bytes of the cpu's that a second call of a function takes, beside those before it."""
    import tidu as td

    def measure(function, *args):
        function(*args)
        td.cpu.reset_peak_memory()
        before = td.cpu.memory_stats()["live_bytes"]
        function(*args)
        return td.cpu.memory_stats()["peak_bytes"] - before

    return measure


@pytest.fixture
def settle(device):
    """Waits for the device, which is when it reports values that it could not use, such as wrong indices."""
    import tidu as td

    return td.cuda.synchronize if device.type == "cuda" else lambda: None
