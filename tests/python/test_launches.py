"""What compiled training steps launch on device cuda, and that their bits are those of their calls."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tidu as td

BATCH, PIXELS, HIDDEN, CLASSES = 128, 784, 128, 10


@pytest.fixture(autouse=True)
def own_kernels(device, request):
    if request.node.get_closest_marker("cpu_only"):
        yield
        return
    if device.type != "cuda" or os.environ.get("TIDU_SIMT_COMPILER") == "":
        pytest.skip("launches are of device cuda, with a compiler")
    td.cuda.set_matmul("tidu")  # what a library launches is not the same everywhere
    yield
    td.cuda.set_matmul("auto")


def data(dtype, batch=BATCH, pixels=PIXELS):
    rng = np.random.default_rng(5)
    x = td.tensor(rng.standard_normal((batch, pixels)).astype(np.float32)).to(dtype).to("cuda")
    return x, td.tensor(rng.integers(0, CLASSES, batch)).to("cuda")


def training(activation, dtype, optimizer=td.optim.SGD, pixels=PIXELS, hidden=HIDDEN, **options):
    """A step, and the parameters that it trains."""
    rng = np.random.default_rng(3)
    model = td.nn.Sequential(td.nn.Linear(pixels, hidden), activation(), td.nn.Linear(hidden, CLASSES))
    model = model.to(dtype).to("cuda")
    with td.no_grad():
        for parameter in model.parameters():
            values = rng.uniform(-0.1, 0.1, parameter.shape).astype(np.float32)
            parameter[...] = td.tensor(values).to(dtype).to("cuda")
    update = optimizer(model.parameters(), lr=0.1, **options)

    def step(x, labels):
        update.zero_grad()
        loss = td.nn.functional.cross_entropy(model(x), labels)
        loss.backward()
        update.step()
        return loss

    return step, list(model.parameters())


def launches_of(compiled, *arguments):
    text = compiled.explain(*arguments)
    line = next(line for line in text.splitlines() if "launches as graphs take them up" in line)
    return int(line.split()[0]), text


def bits(tensor):
    return tensor.detach().to(td.float64).cpu().numpy().tobytes()


@pytest.mark.parametrize(
    ("optimizer", "options"),
    [(td.optim.SGD, {}), (td.optim.SGD, {"momentum": 0.9}), (td.optim.Adam, {})],
    ids=str,
)
def test_a_step_is_few_launches(optimizer, options):
    td.cuda.set_matmul("auto")
    x, labels = data(td.float32)
    step, _ = training(td.nn.Sigmoid, td.float32, optimizer, hidden=256, **options)
    compiled = td.compile(step)
    for _ in range(3):
        compiled(x, labels)
    count, text = launches_of(compiled, x, labels)
    assert count <= 6, text
    # Each weight is stepped by the product that makes its gradient.
    assert len(re.findall(r"matmul\+\w+_update: ", text)) == 2, text


@pytest.mark.parametrize(
    ("activation", "dtype"),
    [
        (td.nn.Sigmoid, td.float32),
        (td.nn.ReLU, td.float64),
        (td.nn.Tanh, td.bfloat16),
        (td.nn.GELU, td.float16),
    ],
)
def test_a_step_has_the_bits_of_its_calls(activation, dtype):
    x, labels = data(dtype, pixels=100)
    options = {"weight_decay": 0.01} if dtype == td.float32 else {}
    eager, want = training(activation, dtype, pixels=100, **options)
    step, got = training(activation, dtype, pixels=100, **options)
    compiled = td.compile(step)
    for i in range(5):
        assert bits(compiled(x, labels)) == bits(eager(x, labels)), i
    for a, b in zip(got, want, strict=True):
        assert bits(a) == bits(b)


@pytest.mark.parametrize(
    ("optimizer", "dtype", "options"),
    [
        (td.optim.SGD, td.float32, {"momentum": 0.9, "nesterov": True, "weight_decay": 0.01}),
        (td.optim.SGD, td.float16, {"momentum": 0.9}),
        (td.optim.Adam, td.float32, {}),
        (td.optim.AdamW, td.bfloat16, {}),
        (td.optim.RMSprop, td.float64, {"momentum": 0.5}),
    ],
    ids=str,
)
def test_other_optimisers_have_the_bits_of_their_calls(optimizer, dtype, options):
    x, labels = data(dtype, batch=33, pixels=50)  # no vectors anywhere
    eager, want = training(td.nn.Sigmoid, dtype, optimizer, 50, **options)
    step, got = training(td.nn.Sigmoid, dtype, optimizer, 50, **options)
    compiled = td.compile(step)
    for i in range(5):
        assert bits(compiled(x, labels)) == bits(eager(x, labels)), i
    for a, b in zip(got, want, strict=True):
        assert bits(a) == bits(b)


def test_a_product_is_computed_as_it_is_set_to_be_now():
    rng = np.random.default_rng(7)
    a, b = (
        td.tensor(rng.standard_normal(shape).astype(np.float32)).to("cuda")
        for shape in ((64, 300), (300, 40))
    )
    function = td.compile(lambda a, b: td.sigmoid(a @ b) * 2)
    for library in ("tidu", "cublas", "tidu", "auto"):
        td.cuda.set_matmul(library)
        for _ in range(4):
            assert bits(function(a, b)) == bits(td.sigmoid(a @ b) * 2), library


def test_joined_work_follows_memory_that_lies_elsewhere():
    function = td.compile(lambda x: (td.sum(x), td.sum(x * x, axis=0), td.logsumexp(x * 2)))
    rng = np.random.default_rng(8)
    kept = []
    for i in range(6):
        x = td.tensor(rng.standard_normal((20 if i % 2 else 21, 8)).astype(np.float32)).to("cuda")
        kept.append(x)
        got, want = function(x), (td.sum(x), td.sum(x * x, axis=0), td.logsumexp(x * 2))
        assert [bits(t) for t in got] == [bits(t) for t in want], i


def test_a_label_that_is_none_is_found_in_joined_work():
    x, labels = data(td.float32)
    step, _ = training(td.nn.Sigmoid, td.float32)
    compiled = td.compile(step)
    for _ in range(4):
        compiled(x, labels)
    td.cuda.synchronize()
    compiled(x, td.full(labels.shape, 10, dtype=td.int64, device="cuda"))
    with pytest.raises(IndexError, match=r"\[softmax_cross_entropy.*index 10"):
        td.cuda.synchronize()


@pytest.mark.cpu_only("starts a process of its own, with a compiler of kernels")
def test_launches_where_kernels_are_made():
    if not (Path(td.__file__).parents[2] / "libtidu_cuda_emulated.so").exists():
        pytest.skip("no emulated device was built beside tidu")
    environment = os.environ | {"TIDU_CUDA": "emulated", "TIDU_SIMT_COMPILER": "c++"}
    command = [sys.executable, "-m", "pytest", "-q", __file__, "--device", "cuda"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0 and "skipped" not in done.stdout, done.stdout + done.stderr
