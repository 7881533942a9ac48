"""Lets each allocation of many calls fail in turn: MemoryError, and nothing else, must come of it."""

import ctypes
import sys
import tempfile

import numpy as np
import tidu as td
from samplers import CASES, is_float, to_tensor
from wholes import wholes

preloaded = ctypes.CDLL(None)


def of_case(case):
    dtype = td.float32 if td.float32 in case.dtypes else case.dtypes[0]
    arrays = enumerate(case.arrays(0, dtype))
    tensors = [to_tensor(array, case.dtype_of_input(i, dtype)) for i, array in arrays]
    yield case.name, lambda: case.function(*tensors)
    if case.differentiable and is_float(dtype):
        i = case.differentiable[0]

        def f(x):
            y = case.function(*tensors[:i], x, *tensors[i + 1 :])
            return (y if isinstance(y, td.Tensor) else y[0]).sum()

        yield f"gradient of {case.name}", lambda: td.grad(f)(tensors[i])


def backward():
    w = td.ones((3,), requires_grad=True)
    handle = w.register_hook(lambda g: g * 2)
    (w**3).sum().backward(create_graph=True)
    w.grad.sum().backward()
    handle.remove()


def step():
    w = td.ones((3,), requires_grad=True)
    optimizer = td.optim.Adam([w])
    (w * w).sum().backward()
    optimizer.step()
    optimizer.state_dict()


def batches(dataset, **options):
    loader = td.data.DataLoader(dataset, batch_size=2, **options)
    return [batch for _ in range(2) for batch in loader]


def refused(call):
    try:
        call()
    except MemoryError:
        raise
    except Exception:
        return
    raise AssertionError("not refused")


def others(folder):
    x, key, array = td.ones((3, 4)), td.random.key(0), np.ones((3, 4), np.float32)
    state = {"a": td.ones(3), "b": [1, "x"]}
    td.save(f"{folder}/there", state)
    with open(f"{folder}/a.csv", "w") as file:
        file.write("a,b,label\n1,2,0\n3,4,1\n")
    pairs = td.data.TensorDataset(td.ones((6, 2)), td.arange(6))
    cell = td.nn.GRUCell(3, 4)
    yield "tensor of a list", lambda: td.tensor([[1.0, 2.0], [3.0, 4.0]])
    yield "tensor of an array", lambda: td.tensor(array)
    yield "numpy", lambda: x.numpy()
    yield "memoryview", lambda: memoryview(x).tolist()
    yield "from_numpy", lambda: td.from_numpy(array)
    yield "dlpack", lambda: np.from_dlpack(x)
    yield "repr", lambda: repr(x)
    yield "key", lambda: x[0, None, ::2]
    yield "assign", lambda: td.copy(x).__setitem__(0, [1, 2, 3, 4])
    yield "device", lambda: td.device("cpu")
    yield "dtype", lambda: td.dtype("float32")
    yield "normal", lambda: td.random.normal(key, (3,))
    yield "einsum", lambda: td.einsum("ij,kj->ik", x, x)
    yield "backward", backward
    yield "jvp", lambda: td.jvp(td.sin, (x,), (x,))
    yield "hessian", lambda: td.hessian(lambda x: (x**3).sum())(td.ones(2))
    yield "program", lambda: td.program(lambda x: td.sin(x) * 2, x)(x)
    yield "compile", lambda: td.compile(lambda x: td.sin(x) * 2)(x)
    yield "vmap", lambda: td.vmap(lambda x: td.sin(x).sum())(x)
    yield "scan", lambda: td.scan(lambda c, row: (c + row, c), td.zeros(4), x)
    yield "while_loop", lambda: td.while_loop(lambda c: c < 2, lambda c: c + 1, td.tensor(0))
    yield "checkpoint", lambda: td.grad(lambda x: td.checkpoint(td.sin)(x).sum())(x)
    yield "jet", lambda: td.jet(td.sin, (x,), ((x,),))
    yield "sparsity", lambda: td.sparsity(lambda x: x * x, td.ones(3))
    yield "quantile", lambda: td.quantile(x, [0.1, 0.5], 1)
    yield "GRUCell", lambda: cell(td.ones((2, 3)))
    yield "log_prob", lambda: td.distributions.Gamma(td.ones(2)).log_prob(td.ones(2))
    yield "LBFGS", lambda: td.optim.LBFGS([td.ones(2, requires_grad=True)])
    yield "LevenbergMarquardt", lambda: td.optim.LevenbergMarquardt([td.ones(2, requires_grad=True)])
    yield "Adam", step
    yield "minimize", lambda: td.optim.minimize(lambda x: ((x - 1) ** 2).sum(), td.zeros(3))
    yield "least_squares", lambda: td.optim.least_squares(lambda x: x**2 - 2, td.ones(2))
    yield "Linear", lambda: td.nn.Linear(3, 4)(td.ones((2, 3)))
    yield "save", lambda: td.save(f"{folder}/new", state, {"m": "n"})
    yield "load", lambda: td.load(f"{folder}/there")
    yield "read_csv", lambda: td.data.read_csv(f"{folder}/a.csv", label_column="label")
    yield "batches", lambda: batches(pairs, shuffle=True, key=key)
    yield "batches of a list", lambda: batches([td.ones(2)] * 4)
    yield "shapes that do not fit", lambda: refused(lambda: td.ones(2) + td.ones(3))
    yield "arguments that do not fit", lambda: refused(lambda: td.ones(2, 3))
    yield "an escape", lambda: refused(lambda: td.grad(lambda x: td.tensor(x).sum())(x))


def sweep(name, call):
    call()
    for number in range(10_000):
        print(name, number, file=sys.stderr, flush=True)
        preloaded.fail_at(number)
        try:
            call()
        except MemoryError:
            pass
        finally:
            failed = preloaded.has_failed()
        if not failed:
            call()  # all is as it was
            return number
    raise AssertionError(f"{name} does not end")


with tempfile.TemporaryDirectory() as folder:
    calls = [*others(folder), *wholes(folder), *(named for case in CASES.values() for named in of_case(case))]
    print(sum(sweep(name, call) for name, call in calls), "allocations of", len(calls), "calls")
