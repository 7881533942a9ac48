"""The end of the interpreter and forks, while other threads compute."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.cpu_only("a forked child cannot use a device that its parent used")

ENDLESS = {
    "gradients": "td.grad(lambda x: td.exp(x).sum())(x)",
    "products": "(td.exp(x) @ x).sum().item()",
    "backward": "(td.ones((300, 300), requires_grad=True) ** 2).sum().backward()",
    "hessians": "td.hessian(lambda x: (x**3).sum())(td.ones(5))",
    "pullbacks": "td.vjp(td.exp, x)[1](x)",
    "batches": "list(td.data.DataLoader([td.ones(10)] * 100, 3))",
    "text": "repr(x)",
}


@pytest.mark.parametrize("name", list(ENDLESS))
def test_the_interpreter_may_end_while_threads_compute(name):
    code = f"""
import threading, time
import numpy
import tidu as td

x = td.ones((300, 300))
repr(x), td.data.DataLoader

def work():
    while True:
        {ENDLESS[name]}

for _ in range(3):
    threading.Thread(target=work, daemon=True).start()
time.sleep(0.1)
"""
    for _ in range(3):
        program = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60, check=False)
        assert program.returncode == 0, program.stderr[-2000:]


def test_a_forked_child_computes_while_threads_of_its_parent_do():
    code = """
import os, signal, sys, threading
import tidu as td

stop = []
def work():
    while not stop:
        td.ones((300, 300)) @ td.ones((300, 300))

threads = [threading.Thread(target=work) for _ in range(3)]
for thread in threads:
    thread.start()
for _ in range(20):
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        os._exit(int((td.ones((200, 200)) @ td.ones((200, 200))).sum().item() == 200**3))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1
stop.append(True)
"""
    program = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=120, check=False)
    assert program.returncode == 0, program.stderr[-2000:]


@pytest.mark.parametrize("first", ["", "import tidu"])
def test_other_interpreters_are_refused(first):
    code = f"""
{first}
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
other = interpreters.create()
try:
    failure = interpreters.run_string(other, "import tidu")
except interpreters.RunFailedError as error:
    failure = error
assert "ImportError" in str(failure) and "interpreter" in str(failure), failure
interpreters.destroy(other)
import tidu as td
assert (td.ones(2) + 1).tolist() == [2, 2]
"""
    program = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60, check=False)
    assert program.returncode == 0, program.stderr[-2000:]


@pytest.mark.parametrize("lost", ["name == 'tidu'", "name.split('.')[0] == 'tidu'", "name == 'tidu._core'"])
def test_the_package_may_be_imported_anew(lost):
    """Where something takes modules out of sys.modules, as reloaders and notebooks do."""
    code = f"""
import sys
import tidu as td

x = td.tensor([1.0, 2.0], requires_grad=True)
double = td.compile(lambda x: 2 * x)
double(x), td.nn.Linear, td.data, td.distributions, td.fft
for name in list(sys.modules):
    if {lost}:
        del sys.modules[name]
import tidu as again
from tidu import data, distributions, linalg, nn, optim, random

assert again.Tensor is td.Tensor and again.ShapeError is td.ShapeError and again.float32 is td.float32
layer = nn.Linear(2, 1)
layer(double(x)).sum().backward()
optim.SGD(layer.parameters(), lr=0.1).step()
assert again.grad(lambda x: (x * x).sum())(x).tolist() == [2, 4] == double(x).tolist()
assert again.compile(lambda x: x + 1)(x).tolist() == [2, 3]
assert random.normal(random.key(0), (3,)).shape == (3,) and linalg.inv(again.eye(2)).shape == (2, 2)
for call in (lambda: again.sum(x, dim=0), lambda: x.sum(dim=0), lambda: td.sum(x, dim=0)):
    try:
        call()
    except TypeError as error:
        assert "it is called axis" in str(error), error
    else:
        raise SystemExit("no error")
"""
    program = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60, check=False)
    assert program.returncode == 0, program.stderr.decode()
