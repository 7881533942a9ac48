"""Errors: classes, messages, and that nothing is changed by what fails."""

import numpy as np
import pytest
import tidu as td


def test_classes_derive_from_the_built_in_that_fits():
    assert issubclass(td.ShapeError, ValueError)
    assert issubclass(td.DTypeError, TypeError)
    for error in (td.DeviceError, td.GradientError, td.TraceError):
        assert issubclass(error, RuntimeError)
    assert issubclass(td.FileError, OSError)
    assert issubclass(td.MissingFileError, FileNotFoundError) and issubclass(
        td.MissingFileError, td.FileError
    )
    assert td.ShapeError.__module__ == "tidu" and td.ShapeError.__doc__


def test_messages_name_operation_and_shapes():
    a, b = td.ones((2, 3)), td.ones((4, 5))
    with pytest.raises(td.ShapeError, match=r"\[matmul\].*\(2, 3\).*\(4, 5\)"):
        a @ b
    with pytest.raises(td.ShapeError, match=r"\[add\].*\(2, 3\).*\(4, 5\)"):
        a + b
    with pytest.raises(td.ShapeError, match=r"\[reshape\].*\(2, 3\).*\(4, 2\)"):
        a.reshape(4, 2)
    with pytest.raises(td.ShapeError, match=r"\[broadcast_to\]"):
        a.broadcast_to((2, 4))
    with pytest.raises(td.ShapeError, match=r"\[concat\]"):
        td.concat([a, b])
    with pytest.raises(td.ShapeError, match=r"\[stack\]"):
        td.stack([a, b])
    with pytest.raises(IndexError, match=r"\[sum\].*5"):
        a.sum(axis=5)
    with pytest.raises(IndexError, match=r"\[index\] 2 is out of range for axis 0 of float32\(2, 3\)"):
        a[2]
    with pytest.raises(IndexError, match="too many indices"):
        a[0, 0, 0]
    with pytest.raises(td.DTypeError, match="bool"):
        td.tensor([True]) - td.tensor([True])
    with pytest.raises(td.DTypeError, match="bitwise_and"):
        a & a
    with pytest.raises(ValueError, match="does not fit"):
        td.ones(2, dtype=td.int8) + 300
    with pytest.raises(ValueError, match="does not fit int64"):
        td.ones(2) + 10**30
    with pytest.raises(td.ShapeError, match="one element"):
        a.item()


def test_tensor_of_nonsense():
    for bad in ([[1, 2], [3]], [1, [2]], [[1], 2], [[], [1]], [[1, 2], 3]):
        with pytest.raises(td.ShapeError, match=r"nested sequences|side by side"):
            td.tensor(bad)
    for bad in ("text", ["text"], [None], None, {"a": 1}, object(), [1j]):
        with pytest.raises(TypeError):
            td.tensor(bad)
    with pytest.raises(ValueError, match="does not fit uint8"):
        td.tensor([256], dtype=td.uint8)
    with pytest.raises(ValueError, match="does not fit"):
        td.tensor([-1], dtype=td.uint64)
    with pytest.raises(TypeError):
        td.zeros((2, 3), dtype=5)
    with pytest.raises(td.DTypeError, match="complex"):
        td.zeros(2, dtype="complex64")
    with pytest.raises(ValueError):
        td.zeros(-1)
    with pytest.raises(TypeError):
        td.zeros(2.5)
    with pytest.raises(td.ShapeError, match="12 dimensions"):
        td.zeros((1,) * 13)
    with pytest.raises(td.ShapeError):
        td.zeros((2**40, 2**40))
    with pytest.raises(ValueError, match="step"):
        td.arange(0, 5, 0)
    with pytest.raises(td.DeviceError, match="cuda:99"):
        td.zeros(2, device="cuda:99")


def test_out_of_memory_is_a_memory_error_and_work_goes_on(live_bytes):
    before = live_bytes()
    with pytest.raises(MemoryError, match="bytes"):
        td.zeros(2**50)
    assert live_bytes() == before
    assert (td.ones(3) + 1).tolist() == [2, 2, 2]


def test_memory_limit():
    import subprocess
    import sys

    code = (
        "import tidu as td\n"
        "td.cpu.set_memory_limit(10_000_000)\n"
        "x = td.ones(1_000_000)\n"
        "try:\n"
        "    y = [x + 1 for _ in range(5)]\n"
        "except MemoryError as error:\n"
        "    assert 'bytes' in str(error), error\n"
        "else:\n"
        "    raise SystemExit('no error')\n"
        "assert (x + 1).sum().item() == 2_000_000\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr + result.stdout


def test_failing_writes_change_nothing(device):
    x = td.arange(4, dtype=td.float32)
    for failing in (
        lambda: x.__setitem__(td.tensor([0, 9]), 1.0),
        lambda: x.__setitem__(slice(0, 2), td.ones(3)),
        lambda: x.__setitem__(0, "text"),
        lambda: x.__iadd__(td.ones(5)),
        lambda: x.__iadd__(td.ones((2, 4))),
    ):
        with pytest.raises((IndexError, ValueError, TypeError)):
            failing()
            if device.type == "cuda":
                td.cuda.synchronize()  # where an index out of range shows
    assert x.tolist() == [0, 1, 2, 3]


def test_nan_and_infinity_stay_what_they_are():
    x = td.tensor([np.nan, np.inf, -np.inf, 0.0])
    assert td.isnan(x).tolist() == [True, False, False, False]
    assert np.isnan(td.max(x).item()) and np.isnan(td.maximum(x, 1.0)[0].item())
    gradient = td.grad(lambda x: td.where(x > 1, td.log(x), 0.0).sum())(td.tensor([0.0, 2.0]))
    assert gradient.tolist() == [0, 0.5]
    assert td.grad(lambda x: td.relu(x) + td.abs(x))(0.0).item() == 0


def test_empty_tensors():
    x = td.zeros((0, 3))
    assert (x + 1).shape == (0, 3) and x.sum().item() == 0 and x.sum(axis=0).tolist() == [0, 0, 0]
    assert (x @ td.ones((3, 2))).shape == (0, 2) and (td.ones((2, 0)) @ td.ones((0, 2))).tolist() == [
        [0, 0],
        [0, 0],
    ]
    assert x.tolist() == [] and x.cpu().numpy().shape == (0, 3) and td.softmax(x).shape == (0, 3)
    with pytest.raises(ValueError, match="max"):
        x.max()
    with pytest.raises(ValueError, match="argmax"):
        x.argmax()


def test_interrupts_come_between_operations():
    import _thread
    import signal
    import threading

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job ignores it
    try:
        with pytest.raises(KeyboardInterrupt):
            threading.Timer(0.2, _thread.interrupt_main).start()
            x = td.ones(1000)
            for _ in range(10_000_000):
                x = x * 1
    finally:
        signal.signal(signal.SIGINT, before)


def test_unknown_devices_are_named():
    with pytest.raises(ValueError, match="unknown device 'gpu'"):
        td.ones(3, device="gpu")
    if not td.cuda.is_available():
        with pytest.raises(td.DeviceError, match="cuda:0 is not available"):
            td.ones(3, device="cuda")
