"""Batches made by worker processes: the same as without, errors, deaths, Ctrl-C, ends."""

import copy
import multiprocessing.util
import os
import pickle
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import tidu as td

pytestmark = pytest.mark.cpu_only("a forked child cannot use a device that its parent used")


class Squares:
    """Items computed by Python."""

    def __init__(self, size=23, fails_at=None):
        self.size, self.fails_at = size, fails_at

    def __len__(self):
        return self.size

    def __getitem__(self, i):
        if i == self.fails_at:
            raise KeyError(f"item {i} is lost")
        return {"x": np.full(3, float(i * i)), "label": i}


class Pids(Squares):
    def __getitem__(self, i):
        return os.getpid()


class Deadly(Squares):
    def __getitem__(self, i):
        if i == 7:
            os.kill(os.getpid(), signal.SIGKILL)
        return i


def batches(loader):
    return [(b["x"].cpu().numpy(), b["label"].tolist()) for b in loader]


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("persistent", [False, True])
def test_any_number_of_workers_gives_the_same_batches(workers, persistent):
    options = {"batch_size": 4, "shuffle": True, "key": td.random.key(5)}
    alone = td.data.DataLoader(Squares(), **options)
    together = td.data.DataLoader(Squares(), **options, num_workers=workers, persistent_workers=persistent)
    for _ in range(2):
        for (a, i), (b, j) in zip(batches(alone), batches(together), strict=True):
            np.testing.assert_array_equal(a, b)
            assert i == j
    assert together.epoch == 2 and len(together) == 6


def test_a_pass_goes_on_from_its_state():
    options = {"batch_size": 4, "shuffle": True, "num_workers": 2}
    loader = td.data.DataLoader(Squares(), **options)
    first = iter(loader)
    next(first), next(first)
    resumed = td.data.DataLoader(Squares(), **options)
    resumed.load_state_dict(loader.state_dict())
    assert [b["label"].tolist() for b in resumed] == [b["label"].tolist() for b in first]


def test_workers_stay_or_go():
    def pids(loader):
        return {pid for batch in loader for pid in batch.tolist()}

    going = td.data.DataLoader(Pids(), 2, num_workers=2)
    staying = td.data.DataLoader(Pids(), 2, num_workers=2, persistent_workers=True)
    first, second = pids(going), pids(going)
    assert len(first) == len(second) == 2 and not first & second and os.getpid() not in first
    kept = pids(staying)
    assert kept == pids(staying)
    del staying
    for pid in first | second | kept:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    left = iter(td.data.DataLoader(Pids(), 1, num_workers=1))
    pid = next(left).item()
    del left
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_persistent_workers_serve_a_pass_after_one_that_was_left():
    loader = td.data.DataLoader(Squares(), 4, num_workers=2, persistent_workers=True)
    next(iter(loader))
    assert [label for _, labels in batches(loader) for label in labels] == list(range(23))


def test_what_a_worker_raises_comes_out_with_its_traceback():
    loader = td.data.DataLoader(Squares(fails_at=9), 4, num_workers=2)
    got = []
    with pytest.raises(RuntimeError, match=r"(?s)worker 0 failed: KeyError: 'item 9 is lost'.*__getitem__"):
        for batch in loader:
            got.append(batch["label"].tolist())
    assert got == [[0, 1, 2, 3], [4, 5, 6, 7]]


def test_a_killed_worker_is_an_error():
    with pytest.raises(RuntimeError, match="worker 1 ended before its batch was done, with exit code -9"):
        list(td.data.DataLoader(Deadly(), 4, num_workers=2))


def test_workers_are_set_up():
    def init(number):
        os.environ["NUMBER"] = str(number)

    class Numbers(Squares):
        def __getitem__(self, i):
            return int(os.environ["NUMBER"])

    loader = td.data.DataLoader(Numbers(8), 2, num_workers=2, worker_init_fn=init)
    assert [batch.tolist() for batch in loader] == [[0, 0], [1, 1], [0, 0], [1, 1]]
    with pytest.raises(ValueError, match="num_workers is -1"):
        td.data.DataLoader(Squares(), num_workers=-1)


@pytest.mark.parametrize("ending", ["interrupt", "exit"])
def test_no_worker_outlives_its_process(ending):
    code = """
import os, signal, sys, time
import tidu as td

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's job in the background ignores it

class Slow:
    def __len__(self):
        return 100
    def __getitem__(self, i):
        if i > 3:
            time.sleep(60)
        return os.getpid()

loader = iter(td.data.DataLoader(Slow(), 1, num_workers=2))
print(next(loader).item(), next(loader).item(), flush=True)
if sys.argv[1] == "interrupt":
    list(loader)
"""
    program = subprocess.Popen(
        [sys.executable, "-c", code, ending], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    pids = [int(pid) for pid in program.stdout.readline().split()]
    if ending == "interrupt":
        time.sleep(0.3)
        program.send_signal(signal.SIGINT)
    _, error = program.communicate(timeout=30)
    assert ("KeyboardInterrupt" in error) == (ending == "interrupt")
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


class Ragged(Squares):
    """Batches of many dtypes and of sizes that go up and down."""

    def __getitem__(self, i):
        n = (i * 7) % 5
        return {
            "half": td.full((n, 300 * n), i, dtype=td.bfloat16),
            "view": td.arange(6 + n).reshape(-1, 1)[::2].mT,
            "truth": np.array([i % 2 == 0]),
            "none": None,
            "name": f"item {i}",
            "nothing": td.zeros((0, 3)),
        }


@pytest.mark.parametrize("prefetch", [0, 3])
def test_tensors_are_handed_over_in_shared_memory(monkeypatch, prefetch):
    def refuse(self):
        raise AssertionError("a tensor was pickled")

    monkeypatch.setattr(td.Tensor, "__reduce__", refuse)
    alone = list(td.data.DataLoader(Ragged(), 1, shuffle=True))
    together = list(td.data.DataLoader(Ragged(), 1, shuffle=True, num_workers=2, prefetch=prefetch))
    for a, b in zip(alone, together, strict=True):
        assert a.keys() == b.keys() and a["name"] == b["name"] and a["none"] == b["none"] == [None]
        for name in ("half", "view", "truth", "nothing"):
            assert a[name].dtype == b[name].dtype and a[name].tolist() == b[name].tolist()


def test_a_worker_without_memory_says_so(monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(RuntimeError, match=r"worker 0 failed: OSError: \[Errno 28\] No space left"):
        next(iter(td.data.DataLoader(Squares(), num_workers=1)))


@pytest.mark.parametrize("persistent", [False, True])
def test_passes_side_by_side_have_workers_of_their_own(persistent):
    loader = td.data.DataLoader(Squares(), 4, num_workers=1, persistent_workers=persistent)
    labels = [list(range(i, min(i + 4, 23))) for i in range(0, 23, 4)]
    pairs = [(a["label"].tolist(), b["label"].tolist()) for a, b in zip(loader, loader, strict=True)]
    assert pairs == [(label, label) for label in labels]
    assert [i for _, i in batches(loader)] == labels


def test_copies_of_a_loader_have_workers_of_their_own():
    loader = td.data.DataLoader(list(range(8)), 2, num_workers=2, persistent_workers=True)
    passing = iter(loader)
    next(passing)
    for twin in (copy.deepcopy(loader), copy.copy(loader), pickle.loads(pickle.dumps(loader))):
        assert [b.tolist() for b in twin] == [[0, 1], [2, 3], [4, 5], [6, 7]]
    assert [b.tolist() for b in passing] == [[2, 3], [4, 5], [6, 7]]


def test_a_forked_child_leaves_the_workers_alone():
    loader = td.data.DataLoader(Squares(), 4, num_workers=2, persistent_workers=True)
    left = iter(loader)
    first = next(left)["label"].tolist()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            next(left)
        except RuntimeError as error:
            status = 0 if "another process's" in str(error) else 2
        del left, loader
        multiprocessing.util._exit_function()  # as sys.exit would
        os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    rest = [i for batch in left for i in batch["label"].tolist()]
    assert first + rest == list(range(23))


class Marked(Squares):
    def __getitem__(self, i):
        time.sleep(0.05)
        return i


def test_workers_end_where_their_parent_does_something_else_at_sigterm(tmp_path):
    mark = tmp_path / "handled"
    former = signal.signal(signal.SIGTERM, lambda *_: mark.write_text("by a worker"))
    try:
        left = iter(td.data.DataLoader(Marked(1000), 20, num_workers=2))
        next(left)
        del left  # ends the workers at work
    finally:
        signal.signal(signal.SIGTERM, former)
    assert not mark.exists()


def test_a_pass_goes_on_after_ctrl_c_in_next():
    code = """
import os, signal, time
import tidu as td

signal.signal(signal.SIGINT, signal.default_int_handler)

class Slow:
    def __len__(self):
        return 6
    def __getitem__(self, i):
        if i == 2:
            time.sleep(0.5)
            os.kill(os.getppid(), signal.SIGINT)
            time.sleep(0.5)
        return i

left, got = iter(td.data.DataLoader(Slow(), 1, num_workers=1, prefetch=1)), []
while len(got) < 6:
    try:
        got.append(next(left).item())
    except KeyboardInterrupt:
        got.append("interrupted")
print(got, [x.item() for x in left])
"""
    program = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert program.stdout.strip() == "[0, 1, 'interrupted', 2, 3, 4] [5]", program.stderr


def test_workers_end_with_a_process_that_is_killed():
    program = """
import os, time
import tidu as td

class Pids:
    def __len__(self):
        return 100

    def __getitem__(self, i):
        return os.getpid()

loaders = [td.data.DataLoader(Pids(), num_workers=2, prefetch=2) for _ in range(2)]
passes = [iter(loader) for loader in loaders]
print(*{int(next(one)[0]) for one in passes for _ in range(2)}, flush=True)
time.sleep(100)
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        pids = [int(pid) for pid in process.stdout.readline().split()]
        process.kill()
    assert len(pids) == 4
    end = time.monotonic() + 20
    while any(os.path.exists(f"/proc/{pid}") for pid in pids) and time.monotonic() < end:
        time.sleep(0.01)
    left = [pid for pid in pids if os.path.exists(f"/proc/{pid}")]
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert not left
