"""Device cuda from Python: its semantics, errors, streams and memory, on an emulation of two devices where no
other form is chosen. The operations themselves are tested by the other files with --device cuda."""

import os
import pickle
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import tidu as td

pytestmark = pytest.mark.usefixtures("cuda_beside_cpu")
IN_BUNDLE = (Path(__file__).parents[2] / "BUNDLE").exists()  # of scripts/gpu_bundle.py
two_devices = pytest.mark.skipif(
    os.environ.get("TIDU_CUDA") == "real" and td.cuda.device_count() == 1, reason="there is only one GPU"
)


def python(code, **environment):
    result = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


# ---- Opening


def test_without_a_plugin_the_reason_is_named(tmp_path):
    out = python(
        "import tidu as td\n"
        "assert not td.cuda.is_available() and td.cuda.device_count() == 0\n"
        "print(td.cuda.why_not())\n"
        "try: td.zeros(3, device='cuda:1')\n"
        "except td.DeviceError as error: print(error)\n"
        "try: td.cuda.synchronize()\n"
        "except RuntimeError as error: print(error)\n"
        "assert td.zeros(3).tolist() == [0, 0, 0]",
        TIDU_CUDA="real",
        TIDU_CUDA_PLUGIN_DIR=str(tmp_path),
    )
    first, second, third = out.splitlines()
    assert "cuda:0 is not available" in first and "cuda:1 is not available" in second
    assert third == f"[synchronize] {first}"
    assert str(tmp_path) in first and "TIDU_CUDA=ON" in first and "emulate()" in first


@pytest.mark.skipif(IN_BUNDLE, reason="the bundle for a GPU has no emulation")
def test_after_a_failure_the_emulation_can_be_chosen():
    out = python(
        "import tidu as td\n"
        "try: td.zeros(3, device='cuda')\n"
        "except td.DeviceError: pass\n"
        "td.cuda.emulate()\n"
        "print(td.zeros(3, device='cuda').device)",
        TIDU_CUDA="",
    )
    assert out == "cuda:0\n"


def test_an_unknown_form_is_an_error():
    out = python(
        "import tidu as td\ntry: td.zeros(3, device='cuda')\nexcept ValueError as error: print(error)",
        TIDU_CUDA="virtual",
    )
    assert "TIDU_CUDA is 'virtual'" in out


@pytest.mark.skipif(IN_BUNDLE, reason="the bundle for a GPU has no emulation")
def test_the_form_is_chosen_once():
    out = python(
        "import tidu as td\n"
        "td.cuda.emulate(); td.cuda.emulate()\n"
        "x = td.zeros(3, device='cuda')\n"
        "td.cuda.emulate()\n"
        "try: td.cuda.emulate(checked=True)\n"
        "except td.DeviceError as error: print(error)",
        TIDU_CUDA="",
    )
    assert "already in use in its form 'emulated'" in out


def test_the_emulation_is_named():
    code = "import tidu as td; print(repr(td.device('cuda')), td.cuda.is_emulated(), td.device('cuda'))"
    assert python(code, TIDU_CUDA="emulated") == "device('cuda:0', emulated) True cuda:0\n"
    assert python(code, TIDU_CUDA="real") == "device('cuda:0') False cuda:0\n"
    doctor = [sys.executable, "-m", "tidu.doctor"]
    out = subprocess.run(
        doctor, capture_output=True, text=True, check=True, env={**os.environ, "TIDU_CUDA": "emulated"}
    ).stdout
    assert "device cuda:0" in out and "emulated" in out
    out = subprocess.run(
        doctor,
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "TIDU_CUDA": "real", "TIDU_CUDA_PLUGIN_DIR": "nowhere"},
    ).stdout
    assert "device cuda" in out and "is not available" in out


def test_properties():
    properties = td.cuda.get_device_properties()
    assert properties.name == td.cuda.get_device_name("cuda:0") and properties.major >= 7
    assert td.cuda.get_device_capability(0) == (properties.major, properties.minor)
    assert properties.total_memory > 2**30 and properties.multi_processor_count > 0
    with pytest.raises(ValueError, match="not a cuda device"):
        td.cuda.get_device_name("cpu")
    with pytest.raises(td.DeviceError, match="cuda:77 does not exist"):
        td.cuda.get_device_name(77)


# ---- Naming a device


@two_devices
def test_devices_by_name_and_number():
    first, second = td.device("cuda:0"), td.device("cuda:1")
    for same in (td.device("cuda"), td.device(0), td.device("cuda", 0), td.device(type="cuda", index=0)):
        assert same == first and hash(same) == hash(first) and same != second
    assert first == "cuda" and first == "cuda:0" and first != "cpu" and first != "cuda:1" and first != "disk"
    assert td.device("cpu:0") == "cpu" and td.device("cpu") != 0
    assert td.ones(2, device=1).device == second and td.ones(2, device=second).is_cuda
    assert not td.ones(2).is_cuda
    for wrong in ("cuda:x", "cuda:-1", "cpu:1", "gpu", -1, 1000):
        with pytest.raises(ValueError, match="unknown device"):
            td.device(wrong)


@two_devices
def test_cuda_stands_for_the_current_device():
    assert td.cuda.current_device() == 0
    with td.cuda.device(1):
        assert td.cuda.current_device() == 1
        assert td.ones(3, device="cuda").device == td.ones(3).cuda().device == "cuda:1"
        assert td.cuda.Stream().device == td.cuda.current_stream().device == "cuda:1"
        assert td.ones(3).device == "cpu" and td.ones(3).cuda(0).device == "cuda:0"
        seen = []
        thread = threading.Thread(target=lambda: seen.append(td.cuda.current_device()))
        thread.start()
        thread.join()
        assert seen == [0]  # each thread has its own
    assert td.cuda.current_device() == 0
    td.cuda.set_device("cuda:1")
    td.cuda.set_device(0)
    with pytest.raises(td.DeviceError, match="cuda:77 does not exist"):
        td.cuda.set_device(77)
    with pytest.raises(ValueError, match="not a cuda device"):
        td.cuda.set_device("cpu")
    assert td.cuda.current_device() == 0


@two_devices
def test_a_device_around_a_block_is_its_default():
    with td.device("cuda") as device:
        assert device == "cuda:0" == td.get_default_device() and td.zeros(2).device == device
        with td.device("cuda:1"):
            assert td.arange(3).device == "cuda:1"
        seen = []
        thread = threading.Thread(target=lambda: seen.append(td.zeros(2).device))
        thread.start()
        thread.join()
        assert seen == ["cpu"]
        with pytest.raises(td.DeviceError, match="does not exist"), td.device(77):
            pass
        assert td.tensor([1.0]).device == "cuda:0"
    assert td.zeros(2).device == "cpu"


# ---- Tensors


@two_devices
def test_tensors_go_anywhere_and_back(rng):
    values = rng.standard_normal((300, 41)).astype(np.float32)
    x = td.tensor(values)
    for y in (td.tensor(values, device="cuda"), x.to("cuda"), x.cuda(), x.to(td.device("cuda:1"))):
        assert y.device.type == "cuda" and y.shape == (300, 41) and y.dtype is td.float32
        assert np.array_equal(y.cpu().numpy(), values)
        assert np.array_equal(y.T[3:, ::2].cpu().numpy(), values.T[3:, ::2])
    first = x.cuda()
    assert np.array_equal(first.T.to("cuda:1").cpu().numpy(), values.T)
    assert td.zeros((0, 3), device="cuda").cpu().shape == (0, 3)


@two_devices
def test_to_takes_device_and_dtype():
    x = td.tensor([1.0, 2.5])
    other = td.zeros((), dtype=td.int32, device="cuda:1")
    for y, device, dtype in (
        (x.to("cuda", td.float16), "cuda:0", td.float16),
        (x.to(td.device("cuda:1"), dtype=td.float64), "cuda:1", td.float64),
        (x.to(device="cuda", dtype="int8"), "cuda:0", td.int8),
        (x.to(1, non_blocking=True), "cuda:1", td.float32),
        (x.to(other), "cuda:1", td.int32),
        (x.to(dtype=td.float64), "cpu", td.float64),
        (x.cuda(), "cuda:0", td.float32),
        (x.cuda("cuda:1", non_blocking=True).cpu(), "cpu", td.float32),
    ):
        assert y.device == device and y.dtype is dtype
        assert y.tolist() == ([1, 2] if dtype in (td.int8, td.int32) else [1.0, 2.5])
    y = x.to("cpu")
    y[0] = 7
    assert x[0].item() == 7  # where nothing changes the memory stays
    y = x.to("cpu", copy=True)
    y[0] = 8
    assert x[0].item() == 7
    with pytest.raises(TypeError, match="given twice"):
        x.to("cuda", device="cpu")
    with pytest.raises(TypeError, match="device, a dtype or a tensor"):
        x.to([1])
    with pytest.raises(ValueError, match="not a cuda device"):
        x.cuda("cpu")


def test_a_copy_to_the_device_is_one():
    with pytest.raises(ValueError, match="without a copy"):
        td.asarray(np.ones(3), device="cuda", copy=False)
    with td.device("cuda"), pytest.raises(ValueError, match="without a copy"):
        td.asarray(np.ones(3), copy=False)
    assert td.asarray(np.ones(3), device="cpu", copy=False).device == "cpu"
    assert td.asarray(np.ones(3), device="cuda", copy=True).device == "cuda"


@two_devices
def test_host_values_go_to_the_tensor_beside_them():
    x = td.tensor([1.0, 2.0, 3.0], device="cuda:1", requires_grad=True)
    host = np.array([4.0, 5.0, 6.0], np.float32)
    y = host * x + [1.0, 1.0, 1.0] - td.maximum(host, x) + td.where(np.array([True, False, True]), x, 0.0)
    assert y.device == "cuda:1" and y.tolist() == [2.0, 6.0, 16.0]
    y -= host
    y.sum().backward()
    assert x.grad.tolist() == [5.0, 5.0, 7.0]


@two_devices
def test_derivatives_cross_devices():
    x = td.tensor([1.0, 2.0, 3.0], requires_grad=True)
    y = (x.to("cuda") * td.tensor([2.0, 3.0, 4.0], device="cuda")).to("cuda:1").to("cpu")
    (y * y).sum().backward()
    assert x.grad.device == "cpu" and x.grad.tolist() == [8.0, 36.0, 96.0]


def test_derivatives_are_checked_where_the_arguments_are():
    a = td.random.normal(td.random.key(1, device="cuda"), (2, 3), dtype=td.float64)
    b = td.tensor([[0.5], [-1.0], [2.0]], dtype=td.float64, device="cuda")
    td.check_grads(lambda a, b: td.sin(a @ b), (a, b), order=2)
    with pytest.raises(AssertionError, match="check_grads"):
        td.check_grads(lambda a: td.stop_gradient(a) * a, (a,), order=1)


def test_values_are_read():
    x = td.tensor([[1.5, -2.0], [0.0, 4.0]], device="cuda")
    assert x[0, 0].item() == 1.5 and float(x[1, 1]) == 4.0 and bool(x[0, 0]) and not x[1, 0]
    assert x.tolist() == [[1.5, -2.0], [0.0, 4.0]] and f"{x[0, 1]:.1f}" == "-2.0"
    assert repr(x).endswith("dtype=float32, device='cuda:0')") and "-2." in repr(x)
    assert repr(td.tensor([1.5], dtype=td.bfloat16, device="cuda")).startswith("tensor([1.5], dtype=bfloat16")
    assert td.tensor(2, device="cuda").item() == 2 and [10, 11, 12][td.tensor(2, device="cuda")] == 12


@pytest.mark.parametrize(
    ("read", "error"),
    [
        (lambda x: x.numpy(), td.DeviceError),
        (lambda x: np.asarray(x), td.DeviceError),
        (lambda x: memoryview(x), BufferError),
    ],
)
def test_other_libraries_are_told_to_copy(read, error):
    with pytest.raises(error, match=r"cpu\(\)"):
        read(td.ones(3, device="cuda"))


@pytest.mark.skipif(os.environ.get("TIDU_CUDA") == "real", reason="of the emulation")
def test_the_emulations_memory_is_not_taken_for_a_gpus():
    x = td.ones((2, 3), device="cuda")
    with pytest.raises(BufferError, match="emulation"):
        x.__dlpack__()
    capsule = x.__dlpack__(dl_device=(1, 0), max_version=(1, 0))
    assert td.from_dlpack(capsule).tolist() == [[1.0] * 3] * 2
    with pytest.raises(BufferError):
        x.__dlpack__(dl_device=(1, 0), copy=False)


@two_devices
def test_devices_do_not_mix_silently():
    x, y = td.ones(3, device="cuda"), td.ones(3)
    with pytest.raises(
        td.DeviceError, match=r"float32\(3,\) cuda:0 float32\(3,\) cpu: inputs are on different"
    ):
        x + y
    with pytest.raises(td.DeviceError, match="different devices"):
        x @ td.ones(3, device="cuda:1")
    with pytest.raises(td.DeviceError, match=r"\[multiply\] float32\(\) cpu float32\(3,\) cuda:0:"):
        td.tensor(2.0) * x  # shapes as they were given
    for key in (td.tensor([0, 1]), td.tensor([True, False, True])):
        with pytest.raises(td.DeviceError, match=r"\[index\] float32\(3,\) cuda:0 (int64|bool)\(.,\) cpu:"):
            x[key]
        with pytest.raises(td.DeviceError, match="cpu"):
            x[key] = 0
    assert (x + 1).tolist() == [2.0, 2.0, 2.0]


def test_host_values_go_where_they_are_written():
    x = td.arange(12, dtype=td.float32, device="cuda").reshape(3, 4)
    x[0] = [1.0, 2.0, 3.0, 4.0]
    x[1] = np.full(4, 5.0, np.float32)
    x[2, 1:3] = 9.0
    assert x.tolist() == [[1, 2, 3, 4], [5, 5, 5, 5], [8, 9, 9, 11]]
    assert x[[2, 0], [1, 3]].tolist() == [9, 4] and x[np.array([1])].tolist() == [[5] * 4]
    x[[0, 1], [0, 0]] = td.tensor([-1.0, -2.0], device="cuda")
    assert x[:, 0].tolist() == [-1, -2, 8] and x[x > 8].tolist() == [9, 9, 11]
    x += 1
    assert x[2].tolist() == [9, 10, 10, 12]


def test_compiled_functions_are_launched_as_graphs_unless_that_is_turned_off():
    x = td.ones((8, 8), device="cuda")
    assert td.cuda.uses_graphs()
    for on in (True, False):
        td.cuda.set_graphs(on)
        try:
            f = td.compile(lambda x: td.sum(x @ x) * 2)
            for _ in range(2):
                assert f(x).item() == 1024
            assert ("in graph 0" in f.explain(x)) == on
        finally:
            td.cuda.set_graphs(True)


def test_index_errors_are_raised_where_values_are_read():
    x = td.ones((5, 3), device="cuda")
    y = td.take(x, td.tensor([0, 7, 2], device="cuda"), axis=0)
    with pytest.raises(
        IndexError, match=r"\[gather\].*index 7 at position 1 is out of range for extent 5 of axis 0"
    ):
        y.tolist()
    assert td.take(x, td.tensor([-5, 4], device="cuda"), axis=0).tolist() == [[1.0] * 3] * 2
    td.take(x, td.tensor([-6], device="cuda"), axis=0)
    with pytest.raises(IndexError, match="index -6 at position 0"):
        td.cuda.synchronize()
    td.cuda.synchronize()
    td.cuda.set_blocking(True)
    try:
        assert td.cuda.is_blocking()
        with pytest.raises(IndexError, match="index 5"):
            td.take(x, td.tensor([5], device="cuda"), axis=0)
    finally:
        td.cuda.set_blocking(False)


def test_either_library_multiplies(rng):
    a, b = (rng.standard_normal(shape).astype(np.float32) for shape in ((33, 70), (70, 21)))
    x, y = td.tensor(a, device="cuda"), td.tensor(b, device="cuda")
    try:
        for library in ("cublas", "tidu", "auto"):
            td.cuda.set_matmul(library)
            assert np.allclose((x @ y).cpu().numpy(), a @ b, rtol=1e-5, atol=1e-5)
    finally:
        td.cuda.set_matmul("auto")
    with pytest.raises(ValueError, match="cublas and tidu"):
        td.cuda.set_matmul("mkl")
    assert not td.cuda.is_tf32_allowed()
    td.cuda.allow_tf32()
    assert td.cuda.is_tf32_allowed()
    td.cuda.allow_tf32(False)


def test_random_numbers_are_the_cpus():
    here, there = td.random.key(3), td.random.key(3, device="cuda")
    for draw in (td.random.normal, td.random.uniform, td.random.bits):
        x, y = draw(here, (1001,)), draw(there, (1001,))
        assert y.device == "cuda:0" and x.tolist() == y.tolist()


# ---- Saving


@two_devices
def test_pickles_go_back_to_their_device():
    x = pickle.loads(pickle.dumps(td.tensor([1.0, 2.0], device="cuda:1", requires_grad=True)))
    assert x.device == "cuda:1" and x.requires_grad and x.tolist() == [1.0, 2.0]


def test_files_hold_values_not_devices(tmp_path):
    path = tmp_path / "x.safetensors"
    td.save(path, {"x": td.arange(6, device="cuda").reshape(2, 3).T, "n": [td.ones(2), 3]})
    assert td.load(path)["x"].device == "cpu" and td.load(path)["x"].tolist() == [[0, 3], [1, 4], [2, 5]]
    back = td.load(path, device="cuda")
    assert back["x"].device == "cuda:0" and back["n"][0].device == "cuda:0" and back["n"][1] == 3


# ---- Training


def test_a_model_learns_the_same_on_both_devices():
    def train(device):
        net = td.nn.Sequential(
            td.nn.Linear(8, 16, key=td.random.key(1)), td.nn.ReLU(), td.nn.Linear(16, 4, key=td.random.key(2))
        ).to(device)
        assert {p.device.type for p in net.parameters()} == {device}
        x = td.random.normal(td.random.key(3), (64, 8)).to(device)
        labels = (td.arange(64) % 4).to(device)
        loader = td.data.DataLoader(
            td.data.TensorDataset(x, labels), batch_size=16, shuffle=True, key=td.random.key(4)
        )
        optimizer = td.optim.Adam(net.parameters(), lr=0.01)
        for _ in range(3):
            for inputs, targets in loader:
                optimizer.zero_grad()
                loss = td.nn.functional.cross_entropy(net(inputs), targets)
                loss.backward()
                optimizer.step()
        return net, optimizer, loss.item()

    net, optimizer, loss = train("cuda")
    host_net, host_optimizer, host_loss = train("cpu")
    assert loss == pytest.approx(host_loss, rel=1e-5)
    for a, b in zip(net.parameters(), host_net.parameters(), strict=True):
        assert np.allclose(a.detach().cpu().numpy(), b.detach().numpy(), rtol=1e-4, atol=1e-6)
    # Each loads what the other saved.
    host_net.load_state_dict(net.state_dict())
    net.load_state_dict(host_net.state_dict())
    optimizer.load_state_dict(host_optimizer.state_dict())
    host_optimizer.load_state_dict(optimizer.state_dict())
    optimizer.step()
    assert net[0].weight.device == "cuda:0" and host_net[0].weight.device == "cpu"


@two_devices
def test_layers_are_made_on_a_device():
    key = td.random.key(7)
    for make in (
        lambda **options: td.nn.Linear(5, 3, key=key, **options),
        lambda **options: td.nn.Embedding(5, 3, key=key, **options),
        lambda **options: td.nn.LayerNorm((5,), **options),
    ):
        here, there = make(dtype=td.float64), make(dtype=td.float64, device="cuda:1")
        for a, b in zip(here.parameters(), there.parameters(), strict=True):
            assert a.device == "cpu" and b.device == "cuda:1" and b.requires_grad and b.is_leaf
            assert a.tolist() == b.tolist()
    by_key = td.nn.Linear(5, 3, key=td.random.key(7, device="cuda"))
    assert {p.device for p in by_key.parameters()} == {td.device("cuda")}
    x = td.ones((4, 5), device="cuda")
    net = td.nn.Sequential(by_key, td.nn.Dropout(0.5))
    assert net(x).device == "cuda:0" and net[1].key.device == "cuda:0"


@two_devices
def test_modules_move_and_convert():
    net = td.nn.Sequential(td.nn.Linear(4, 3), td.nn.Dropout(0.5), td.nn.LayerNorm(3))
    net[0].bias.requires_grad = False
    values = [p.tolist() for p in net.parameters()]
    tied = net[0].weight
    net.tied = tied
    before = net.parameters()
    optimizer = td.optim.SGD([tied], lr=0.5)
    assert net.to("cpu") is net and net.float() is net and net.cpu() is net
    assert all(a is b for a, b in zip(net.parameters(), before, strict=True))  # the optimiser's still
    tied.grad = td.ones_like(tied)
    assert net.cuda() is net and net.double() is net
    assert {p.device for p in net.parameters()} == {td.device("cuda")}
    assert {p.dtype for p in net.parameters()} == {td.float64}
    assert net[1].key.dtype is td.uint32 and net[1].key.is_cuda
    assert net.tied is net[0].weight and net.tied.grad.dtype is td.float64 and net.tied.grad.is_cuda
    assert [p.requires_grad for p in net.parameters()] == [True, False, True, True]
    net.to(1, td.float32)
    assert [p.tolist() for p in net.parameters()] == values and net[1].key.device == "cuda:1"
    net.to(td.zeros(1))
    assert {p.device for p in net.parameters()} == {td.device("cpu")}
    optimizer.step()


# ---- Processes


def test_a_forked_process_is_told_that_it_cannot_use_cuda():
    out = python(
        "import os, sys, tidu as td\n"
        "x = td.ones((40, 40), device='cuda')\n"
        "s, e = td.cuda.Stream(), td.cuda.Event()\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    for use in (lambda: td.ones(3, device='cuda'), lambda: x + 1, x.tolist, s.synchronize,\n"
        "                td.cuda.synchronize):\n"
        "        try: use()\n"
        "        except td.DeviceError as error: print(error)\n"
        "    assert not td.cuda.is_available() and td.ones(3).sum().item() == 3\n"
        "    del x, s, e, use\n"
        "    sys.exit()\n"
        "assert os.waitpid(child, 0)[1] == 0\n"
        "assert x.sum().item() == 1600",
        TIDU_CUDA=os.environ.get("TIDU_CUDA", "emulated"),
    )
    assert out.count("forked") == 5 and out.count("spawn") == 5


# ---- Streams


@two_devices
def test_streams_and_events():
    stream, other = td.cuda.Stream(), td.cuda.Stream("cuda:0", priority=-1)
    assert td.cuda.current_stream() == td.cuda.default_stream() != stream and stream != other
    start, stop = td.cuda.Event(enable_timing=True), td.cuda.Event(enable_timing=True)
    with td.cuda.stream(stream) as current:
        assert td.cuda.current_stream() == current == stream and td.cuda.current_stream("cuda:1") != stream
        start.record()
        x = td.ones(1000, device="cuda")
        with td.cuda.stream(other):
            y = x * 2
        z = y + x
        stop.record()
    with td.cuda.stream(None):
        assert td.cuda.current_stream() == td.cuda.default_stream()
    assert (z + 1).tolist() == [4.0] * 1000
    stop.synchronize()
    assert stop.query() and start.elapsed_time(stop) >= 0
    other.wait_stream(stream)
    other.wait_event(stop)
    other.synchronize()
    assert other.query() and stream.cuda_stream != other.cuda_stream
    with pytest.raises(ValueError, match="timing"):
        start.elapsed_time(td.cuda.Event())


def test_the_current_stream_is_a_threads_own():
    seen = []
    with td.cuda.stream(td.cuda.Stream()):
        thread = threading.Thread(target=lambda: seen.append(td.cuda.current_stream()))
        thread.start()
        thread.join()
    assert seen == [td.cuda.default_stream()]


@two_devices
def test_waits_between_streams_are_not_forgotten():
    """Deferred streams run only when somebody waits for them, so that a missing wait is a wrong value."""
    python(
        "import tidu as td\n"
        "streams = [td.cuda.Stream() for _ in range(3)]\n"
        "x = td.zeros(2000, device='cuda')\n"
        "for i in range(30):\n"
        "    with td.cuda.stream(streams[i % 3]):\n"
        "        y = x + 1\n"
        "        x = y.to('cuda:1').to('cuda:0') if i % 7 == 0 else y\n"
        "        del y\n"
        "assert x.tolist() == [30.0] * 2000\n"
        "x[::2] = td.arange(1000, device='cuda')\n"
        "assert x[::2].tolist() == list(range(1000))",
        TIDU_SIMT_DEFERRED="1",
        TIDU_CUDA_DEVICES="2",
        TIDU_CUDA=os.environ.get("TIDU_CUDA", "emulated"),
    )


# ---- Memory


def test_memory_is_counted_and_given_back():
    td.cuda.empty_cache()
    before = td.cuda.memory_allocated()
    own = td.cuda.memory_reserved() - before  # of the library, such as a stream's counts
    td.cuda.reset_peak_memory()
    x = td.zeros(1001, dtype=td.int8, device="cuda")
    assert td.cuda.memory_allocated() == before + 1001
    del x
    assert td.cuda.memory_allocated() == before and td.cuda.max_memory_allocated() == before + 1001
    td.cuda.empty_cache()
    reserved = td.cuda.memory_reserved(0)
    assert td.cuda.memory_stats("cuda:0")["reserved_bytes"] == reserved
    # The driver takes and keeps whole pages of megabytes.
    assert reserved == before + own if td.cuda.is_emulated() else before <= reserved < before + (64 << 20)
    td.cuda.reset_peak_memory_stats()
    assert td.cuda.max_memory_allocated() == before
    assert td.cuda.memory_stats("cuda:0").keys() == td.cpu.memory_stats().keys()


def test_out_of_memory_is_an_error_after_which_the_program_goes_on():
    total = td.cuda.get_device_properties().total_memory
    with pytest.raises(MemoryError, match=f"out of memory on cuda:0: asked for {2 * total} bytes"):
        td.zeros(2 * total, dtype=td.int8, device="cuda")
    td.cuda.set_memory_limit(td.cuda.memory_allocated() + 1000)
    try:
        with pytest.raises(td.cuda.OutOfMemoryError, match="asked for 1001 bytes"):
            td.zeros(1001, dtype=td.int8, device="cuda")
        assert td.ones(100, device="cuda").sum().item() == 100
    finally:
        td.cuda.set_memory_limit(total)
    assert td.ones(1001, device="cuda").sum().item() == 1001


def test_memory_may_run_out_anywhere():
    """The n-th allocation fails, for each n: an error, nothing left behind, and the next try succeeds."""
    python(
        "import os, sys, subprocess, tidu as td\n"
        "x = td.ones((8, 8), device='cuda')\n"
        "def work():\n"
        "    y = td.tensor([[1.0] * 8] * 8, device='cuda', requires_grad=True)\n"
        "    ((x + y) * y).sum().backward()\n"
        "    return y.grad.tolist()\n"
        "good, live = work(), td.cuda.memory_allocated()\n"
        "failures = 0\n"
        "for room in range(0, 4000, 100):\n"
        "    td.cuda.set_memory_limit(live + room)\n"
        "    try:\n"
        "        assert work() == good\n"
        "        break\n"
        "    except MemoryError: failures += 1\n"
        "    assert td.cuda.memory_allocated() == live, (room, td.cuda.memory_allocated(), live)\n"
        "assert failures > 3 and work() == good",
        TIDU_CUDA=os.environ.get("TIDU_CUDA", "emulated"),
    )
