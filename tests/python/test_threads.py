"""Other Python threads run while tidu computes or copies much, and not while it computes little."""

import pickle
import sys
import threading
import time

import pytest
import tidu as td

pytestmark = pytest.mark.cpu_only("sizes that an emulated device would take too long for")


class OtherThread:
    """Runs, and counts, whenever this thread lets go of the interpreter's lock: it is never made to."""

    def __enter__(self):
        self.interval = sys.getswitchinterval()
        sys.setswitchinterval(1e3)
        self.count, self.over = 0, False
        self.thread = threading.Thread(target=self.run)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over = True
        self.thread.join()
        sys.setswitchinterval(self.interval)

    def run(self):
        while not self.over:
            self.count += 1
            time.sleep(0)

    def runs_during(self, call):
        before = self.count
        call()
        return self.count > before


def large_calls():
    side = 1024
    square, vector = td.ones((side, side)), td.ones(4 * side)
    wide = td.broadcast_to(td.ones(side * side), (8, side * side))
    rows, lines = td.arange(8), td.arange(side) % 7
    written = td.copy(wide)
    return {
        "exp": lambda: td.exp(wide),
        "+": lambda: wide + 1,
        "+=": lambda: written.__iadd__(1),
        "x[...] = v": lambda: written.__setitem__(..., 2),
        "@": lambda: square @ square,
        "matmul": lambda: td.matmul(square, square),
        "outer": lambda: td.outer(vector, vector),
        "sum": lambda: td.sum(wide, axis=0),
        "softmax": lambda: td.softmax(wide),
        "take": lambda: td.take(wide, rows),
        "x[indices]": lambda: wide[rows],
        "scatter_add": lambda: td.scatter_add(square, lines, square),
        "concat": lambda: td.concat([wide, wide]),
        "pad": lambda: td.pad(wide, 1),
        "astype": lambda: wide.astype(td.float64),
        "copy": lambda: td.copy(wide),
        "zeros": lambda: td.zeros((8 * side, side)),
        "a sort": lambda: td.random.permutation(td.random.key(0), side * side),
        "normal": lambda: td.random.normal(td.random.key(0), (side, side)),
        "pickle": lambda: pickle.dumps(wide),
        "gradient": lambda: td.grad(lambda x: td.exp(x).sum())(wide),
    }


@pytest.mark.parametrize("name", list(large_calls()))
def test_other_threads_run_during(name):
    """A call that keeps the lock never lets them; from one that does not they may be too slow to profit."""
    call = large_calls()[name]
    with OtherThread() as other:
        assert any(other.runs_during(call) for _ in range(50)), f"{name} keeps the lock"


def test_small_calls_keep_the_lock():
    """To change hands would take it longer than the call."""
    x = td.ones((10, 10))
    with OtherThread() as other:
        for call in (
            lambda: x + x,
            lambda: x @ x,
            lambda: x[0],
            lambda: td.softmax(x),
            lambda: td.take(x, [0, 1]),
            lambda: x.sum().item(),
            lambda: x.tolist(),
        ):
            assert not any(other.runs_during(call) for _ in range(100))
