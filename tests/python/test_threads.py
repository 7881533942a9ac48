"""Other Python threads run while tidu computes or copies much, and not while it computes little."""

import math
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


def run_together(function, count=4):
    errors = []

    def guarded():
        try:
            function()
        except Exception as error:  # the thread would swallow it
            errors.append(error)

    threads = [threading.Thread(target=guarded) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return errors


def test_backward_of_several_threads_loses_no_gradient():
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(5):
            x = td.ones(4, requires_grad=True)
            assert not run_together(lambda x=x: [(x * 2).sum().backward() for _ in range(200)])
            assert x.grad.tolist() == [1600.0] * 4
    finally:
        sys.setswitchinterval(interval)


def test_backward_of_one_graph_in_several_threads():
    x = td.ones(4, dtype=td.float64, requires_grad=True)
    shared = td.sin(x * x)
    for _ in range(200):
        x.grad = None
        y = (td.sin(x * x) * 2).sum()
        errors = run_together(y.backward, 2)
        assert all("freed by an earlier backward" in str(error) for error in errors)
        runs = 2 - len(errors)
        assert runs >= 1
        assert x.grad.tolist() == pytest.approx([runs * 4 * math.cos(1)] * 4)
    x.grad = None
    assert not run_together(lambda: [shared.sum().backward(retain_graph=True) for _ in range(100)])
    assert x.grad.tolist() == pytest.approx([400 * 2 * math.cos(1)] * 4)
