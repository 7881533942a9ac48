"""Other Python threads run while tidu computes or copies much, and not while it computes little."""

import ctypes
import math
import pickle
import re
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

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


def test_a_loop_gives_each_turn_that_another_thread_asks_for():
    """One that wants the lock again and again, as the thread does that raises Ctrl-C."""
    turns = []

    def take_turns():
        for _ in range(30):
            time.sleep(0.001)
            turns.append(time.monotonic())
        signal.raise_signal(signal.SIGINT)

    other = threading.Thread(target=take_turns)
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)  # in the background it is ignored
    try:
        begin = time.monotonic()
        other.start()
        with pytest.raises(KeyboardInterrupt):
            td.while_loop(lambda x: x < 1e15, lambda x: x + 1, td.tensor(0.0, dtype=td.float64))
        assert len(turns) == 30 and time.monotonic() - begin < 5
        other.join()
    finally:
        signal.signal(signal.SIGINT, handler)


LONG = {  # loops over a number that is given, which would take ages
    "orthogonalize": lambda: td.optim.orthogonalize(td.ones((2, 3)), steps=2**63 - 1),
    "unstack": lambda: td.unstack(td.broadcast_to(td.zeros(1), (2**27,))),
    "split": lambda: td.split(td.broadcast_to(td.zeros(1), (2**27,)), 2**27),
    "tensor_split": lambda: td.tensor_split(td.zeros(3), 10**7),
    "diff": lambda: td.diff(td.zeros(10**6), 10**6),
    "vander": lambda: td.vander(td.zeros(1), 2**26),
    "avg_pool1d": lambda: td.nn.functional.avg_pool1d(td.zeros((1, 1, 2**20)), 2**19, 1),
    "adaptive_avg_pool1d": lambda: td.nn.functional.adaptive_avg_pool1d(td.zeros((1, 1, 2**22)), 2**21 + 1),
    "RNN": lambda: td.nn.RNN(2, 3, num_layers=10**6),
    "TransformerEncoder": lambda: td.nn.TransformerEncoder(td.nn.TransformerEncoderLayer(2, 1, 2), 10**6),
    "scan": lambda: td.scan(lambda c, _: (c + 1, None), td.tensor(0.0), length=2**62),
    "fori_loop": lambda: td.fori_loop(0, 2**62, lambda i, x: x + i, td.tensor(0)),
    "fori_loop of jvp": lambda: td.jvp(
        lambda x: td.fori_loop(0, 2**62, lambda i, c: c + x, x), (td.tensor(0.0),), (td.tensor(1.0),)
    ),
    "jet": lambda: td.jet(td.tanh, (td.tensor(0.0),), ([td.tensor(1.0)] * 10_000,)),
}


@pytest.mark.parametrize("name", LONG)
def test_long_loops_answer_signals(name):
    def interrupt():
        time.sleep(0.1)
        signal.raise_signal(signal.SIGINT)

    other = threading.Thread(target=interrupt)
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        other.start()
        with pytest.raises(KeyboardInterrupt):
            LONG[name]()
            other.join()
    finally:
        other.join()
        signal.signal(signal.SIGINT, handler)


@pytest.mark.parametrize(
    "absurd",
    [
        *[lambda count=count: td.tensor_split(td.zeros(3), count) for count in (2**40, 2**62, 2**64)],
        *[lambda n=n: td.unstack(td.broadcast_to(td.zeros(1), (n,))) for n in (2**45, 2**62)],
        lambda: td.nn.LSTM(2, 3, num_layers=2**62),
        lambda: td.nn.LSTM(2, 2**62),
        lambda: td.chunk(td.broadcast_to(td.zeros(1), (2**62,)), 2**62),
        lambda: td.random.split(td.random.key(0), 2**62),
    ],
)
def test_numbers_for_which_there_is_no_room(absurd):
    with pytest.raises((ValueError, MemoryError)):
        absurd()


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


# --- What threads may share (docs/architecture.md)


def results_of_threads(function, count=4):
    """function(0), function(1) .. from as many threads, which change as often as can be."""
    results = [None] * count
    numbers = iter(range(count))

    def run():
        number = next(numbers)
        results[number] = function(number)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        errors = run_together(run, count)
    finally:
        sys.setswitchinterval(interval)
    assert not errors, errors
    return results


def shared_network():
    net = td.nn.Sequential(
        td.nn.Linear(17, 33, key=td.random.key(1)), td.nn.Tanh(), td.nn.Linear(33, 5, key=td.random.key(2))
    )
    x = td.random.normal(td.random.key(3), (29, 17))
    return net, x, lambda n=net: (td.log_softmax(n(x)) ** 2).mean()


def test_a_graph_that_several_threads_recorded_goes_back_in_order():
    """A thread that recorded little goes on with the graph of one that recorded much, and the reverse."""

    def on_another_thread(function, *args):
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(function, *args).result()

    x = td.tensor([0.5, 2.0], dtype=td.float64, requires_grad=True)
    much = x
    for _ in range(500):
        much = much + 0.0
    little = on_another_thread(lambda: much * x)  # leads to the last of 500 calls, as does the next
    both = on_another_thread(lambda: little * much) + little
    on_another_thread(lambda: (both * both + much).sum()).backward()
    # (x^3 + x^2)^2 + x
    expected = [2 * (v**3 + v**2) * (3 * v**2 + 2 * v) + 1 for v in (0.5, 2.0)]
    assert x.grad.tolist() == pytest.approx(expected, rel=1e-15)


def test_threads_read_and_differentiate_shared_tensors():
    net, x, loss = shared_network()
    params = net.params()

    def f(p, x):
        hidden = td.tanh(x @ p["0.weight"].mT + p["0.bias"])
        return (td.softmax(hidden @ p["2.weight"].mT + p["2.bias"]) ** 2).sum()

    program = td.program(f, params, x)
    views = x[::2], x.T, x[:, 3]

    def everything(_):
        gradient = td.grad(f)(params, x)
        value, tangent = td.jvp(lambda x: f(params, x), (x,), (td.ones_like(x),))
        product = td.hvp(lambda x: f(params, x), (x,), (x,))[0]
        return [
            *(gradient[name].tolist() for name in gradient),
            value.item(),
            tangent.item(),
            product.tolist(),
            program(params, x).item(),
            loss().item(),
            [v.sum().item() for v in views],
        ]

    alone = everything(0)
    for _ in range(5):
        assert all(result == alone for result in results_of_threads(everything))


def test_threads_train_one_module_by_its_grads():
    net, _, loss = shared_network()
    loss().backward()
    alone = [p.grad.tolist() for p in net.parameters()]
    net.zero_grad()
    results_of_threads(lambda _: [loss().backward() for _ in range(25)])
    for parameter, gradient in zip(net.parameters(), alone, strict=True):
        difference = (parameter.grad - 100 * td.tensor(gradient)).abs().max().item()
        assert difference <= 1e-4 * max(1, td.tensor(gradient).abs().max().item() * 100)


def test_modes_and_devices_belong_to_their_thread():
    x = td.ones(3, requires_grad=True)
    barrier = threading.Barrier(4)

    def of_thread(number):
        if number % 2:
            with td.no_grad():
                barrier.wait()
                return [(x * 2).requires_grad for _ in range(200)]
        barrier.wait()
        return [(x * 2).requires_grad for _ in range(200)]

    assert results_of_threads(of_thread) == [[True] * 200, [False] * 200] * 2
    with td.no_grad():
        assert results_of_threads(lambda _: (x * 2).requires_grad) == [True] * 4
    assert td.is_grad_enabled()


def test_transforms_of_threads_do_not_meet():
    shared = td.tensor(2.0, dtype=td.float64)

    def of_thread(number):
        f = lambda x: shared * x ** (number + 1) + shared
        derivatives = set()
        for _ in range(100):
            first = td.grad(f)
            derivatives.add((first(shared).item(), td.grad(first)(shared).item()))
        return derivatives

    # 2 (n + 1) 2^n and 2 (n + 1) n 2^(n - 1)
    assert results_of_threads(of_thread) == [
        {(2.0 * (n + 1) * 2**n, 2.0 * (n + 1) * n * 2 ** (n - 1))} for n in range(4)
    ]


def test_an_optimiser_under_a_lock():
    parameter = td.zeros(5, dtype=td.float64, requires_grad=True)
    optimiser = td.optim.SGD([parameter], lr=1.0)
    lock = threading.Lock()

    def of_thread(_):
        for _ in range(100):
            with lock:
                optimiser.zero_grad()
                (parameter * 2).sum().backward()
                optimiser.step()

    results_of_threads(of_thread)
    assert parameter.tolist() == [-800.0] * 5
    assert optimiser.param_groups[0]["steps"] == [400]


def test_an_optimiser_a_thread():
    def of_thread(number):
        parameter = td.full((33,), 1.0 + number, dtype=td.float64, requires_grad=True)
        optimiser = td.optim.Adam([parameter], lr=0.1)
        for _ in range(50):
            optimiser.zero_grad()
            (parameter**3).sum().backward()
            optimiser.step()
        return parameter.tolist()

    assert results_of_threads(of_thread) == [of_thread(number) for number in range(4)]


def test_layers_of_threads_have_keys_of_their_own():
    td.nn.manual_seed(5)
    of_threads = results_of_threads(lambda _: [str(td.nn.next_key().tolist()) for _ in range(50)])
    keys = [key for of_thread in of_threads for key in of_thread]
    assert len(set(keys)) == 200
    td.nn.manual_seed(5)
    assert sorted(keys) == sorted(str(td.nn.next_key().tolist()) for _ in range(200))


def test_iterations_of_threads_over_one_loader():
    data = td.data.TensorDataset(td.arange(40))
    loader = td.data.DataLoader(data, 3, shuffle=True, key=td.random.key(1))

    def of_thread(_):
        return [sorted(i for (batch,) in loader for i in batch.tolist()) for _ in range(5)]

    for passes in results_of_threads(of_thread):
        assert passes == [list(range(40))] * 5


@pytest.mark.cpu_only("a library of the host's")
def test_openblas_has_no_threads_of_its_own():
    """They would be as many again as tidu's, and cut sums by their number."""
    with open("/proc/self/maps") as maps:  # those of NumPy and SciPy have numbers in their names
        found = [re.search(r"(/\S*/lib(scipy_)?openblas(?(2)|[^/]*)\.so\S*)$", line) for line in maps]
    libraries = {match.groups() for match in found if match}
    assert libraries
    for path, prefix in libraries:
        assert getattr(ctypes.CDLL(path), f"{prefix or ''}openblas_get_num_threads")() == 1
