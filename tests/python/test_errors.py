"""Errors: classes, messages, and that nothing is changed by what fails."""

import builtins

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
    for free in ((4, -1), (0, -1), (-1, -1)):
        with pytest.raises(td.ShapeError, match=r"\[reshape\].*\(2, 3\)"):
            a.reshape(free)
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
    with pytest.raises(ValueError, match="fits neither int64 nor uint64"):
        td.ones(2) + 10**30
    with pytest.raises(td.ShapeError, match="one element"):
        a.item()


def test_tensor_of_nonsense():
    for bad in ([[1, 2], [3]], [1, [2]], [[1], 2], [[], [1]], [[1, 2], 3]):
        with pytest.raises(td.ShapeError, match=r"nested sequences|side by side"):
            td.tensor(bad)
    for bad in ("text", ["text"], [None], None, {"a": 1}, object()):
        with pytest.raises(TypeError):
            td.tensor(bad)
    with pytest.raises(ValueError, match="does not fit uint8"):
        td.tensor([256], dtype=td.uint8)
    with pytest.raises(ValueError, match="does not fit"):
        td.tensor([-1], dtype=td.uint64)
    with pytest.raises(TypeError):
        td.zeros((2, 3), dtype=5)
    with pytest.raises(td.DTypeError, match="complex256"):
        td.zeros(2, dtype="complex256")
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


@pytest.mark.parametrize("kind", ["while_loop", "scan", "program"])
def test_interrupts_come_between_the_rounds_of_loops(kind):
    import os
    import signal
    import subprocess
    import sys

    loop = {
        "while_loop": "td.while_loop(lambda c: c > -1, lambda c: td.sin(c) ** 2, x)",
        "scan": "td.scan(lambda c, _: (td.sin(c), None), x, length=10**9)",
        "program": "td.program(lambda x: td.while_loop(lambda c: c > -1, td.sin, x), x)(x)",
    }[kind]
    code = f"""
import signal, tidu as td
signal.signal(signal.SIGINT, signal.default_int_handler)
x = td.tensor(1.0)
try:
    print("ready", flush=True)
    {loop}
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "ready\n"
        os.kill(process.pid, signal.SIGINT)
        assert process.stdout.readline() == "interrupted\n"
        assert process.wait(60) == 0


def test_unknown_devices_are_named():
    with pytest.raises(ValueError, match="unknown device 'gpu'"):
        td.ones(3, device="gpu")
    if not td.cuda.is_available():
        with pytest.raises(td.DeviceError, match="cuda:0 is not available"):
            td.ones(3, device="cuda")


def test_integers_that_do_not_fit():
    largest = 2**64 - 1
    assert td.full((2,), largest, dtype=td.uint64).tolist() == [largest] * 2
    assert td.tensor([largest], dtype=td.uint64).tolist() == [largest]
    naturals = td.tensor([0, 5], dtype=td.uint64)
    assert (naturals + (largest - 5)).tolist() == [largest - 5, largest]
    assert (naturals < largest).tolist() == [True, True]
    assert (td.full((), largest, dtype=td.uint64) == largest).item() is True
    assert td.where(naturals == 0, largest, naturals).tolist() == [largest, 5]
    assert (td.zeros(1) + 2**63).tolist() == [
        2.0**63
    ]  # as every integer in arithmetic of floating-point numbers
    for call in (
        lambda: naturals + 2**64,
        lambda: naturals + -1,
        lambda: naturals < 2**64,
        lambda: td.tensor([1]) + 2**63,
        lambda: td.tensor([1]) == 2**63,
        lambda: td.tensor(2**63),
        lambda: td.full((1,), 2**63),
        lambda: td.full((1,), 2**64, dtype=td.uint64),
        lambda: td.full((1,), 300.0, dtype=td.uint8),
        lambda: td.full((1,), float("nan"), dtype=td.int32),
        lambda: td.full_like(td.zeros(1, dtype=td.int8), -129),
        lambda: td.arange(300, dtype=td.int8),
        lambda: td.arange(-1, 3, dtype=td.uint8),
        lambda: td.linspace(0, 300, 3, dtype=td.int8),
        lambda: td.random.randint(td.random.key(0), (4,), 0, 300, dtype=td.int8),
        lambda: td.random.randint(td.random.key(0), (4,), -1, 3, dtype=td.uint8),
    ):
        with pytest.raises(ValueError, match="fit"):
            call()
    with pytest.raises(ValueError, match=r"\[add\] the number 300 does not fit int8"):
        td.tensor([1], dtype=td.int8) + 300


@pytest.mark.parametrize("base", [td.int8, td.int32, td.int64])
def test_negative_powers_of_integers(base):
    two = td.tensor([2, 3], dtype=base)
    for exponent in (-1, td.tensor(-1, dtype=base), td.tensor([1, -2], dtype=base)):
        with pytest.raises(ValueError, match=r"\[pow\] .*integers have no negative powers"):
            (two**exponent).cpu()
    with pytest.raises(ValueError, match="negative powers"):
        (2 ** td.tensor([-1], dtype=base)).cpu()
    assert (two ** td.tensor([0, 3], dtype=base)).tolist() == [1, 27]
    assert (two ** td.tensor([], dtype=base)[:, None]).shape == (0, 2)
    assert (two**-1.0).tolist() == pytest.approx([0.5, 1 / 3])
    assert (td.tensor([2.0]) ** td.tensor([-1], dtype=base)).tolist() == [0.5]


def test_bounds_of_random_numbers():
    key, shape = td.random.key(3), (4000,)
    for dtype, low, high in [
        (td.float32, -3e38, 3e38),
        (td.float64, -1.7e308, 1.7e308),
        (td.float16, -65504.0, 65504.0),
        (td.bfloat16, -3e38, 3e38),
    ]:
        x = td.random.uniform(key, shape, low, high, dtype=dtype).astype(td.float64).cpu().numpy() / high
        assert (x >= -1).all() and (x < 1).all()
        assert abs(x.mean()) < 0.05 and abs(x.std() - 3**-0.5) < 0.05
        with pytest.raises(ValueError, match="exceeds"):
            td.random.uniform(key, shape, low, 1.2 * high, dtype=dtype)
    for std in (-1, float("nan")):
        with pytest.raises(ValueError, match="standard deviation"):
            td.random.normal(key, shape, std=std)
    for dtype, low, high in [(td.int8, -128, 128), (td.uint8, 0, 256), (td.int64, -(2**62), 2**62 - 1)]:
        x = td.random.randint(key, shape, low, high, dtype=dtype).astype(td.float64).cpu().numpy()
        assert x.min() < low + (high - low) / 100 and x.max() > high - (high - low) / 100


def test_sums_of_extents():
    wide = td.broadcast_to(td.zeros(1), (2**62,))
    for call in (
        lambda: td.concat([wide] * 4),
        lambda: td.stack([wide] * 4),
        lambda: td.split(td.zeros(4), [-1, 5]),
        lambda: td.split(td.zeros(4), [2**63 - 1, 2**63 - 1, 6]),
        lambda: td.pad(td.zeros(4), ((2**62, 2**62),)),
        lambda: td.broadcast_to(wide, (2, 2**62)),
        lambda: td.zeros((2**40, 2**40)),
    ):
        with pytest.raises(td.ShapeError):
            call()
    assert td.zeros(3)[0 : 3 : 2**63 - 1].shape == (1,)
    assert wide[-1].item() == 0
    with pytest.raises(IndexError):
        wide[2**62]


def test_other_libraries_names_are_told_apart():
    from tidu._spellings import FUNCTIONS

    x = td.ones((2, 3))
    with pytest.raises(AttributeError, match=r"module 'tidu' has no attribute 'cat' \(it is called concat\)"):
        td.cat([x, x])
    with pytest.raises(AttributeError, match=r"'tidu.Tensor' object has no attribute 'view' \(.*reshape\)"):
        x.view(3, 2)
    assert not hasattr(x, "view") and not hasattr(td.Tensor, "view") and "view" not in dir(x)
    assert "reshape" in dir(x)
    with pytest.raises(AttributeError, match=r"no attribute 'nonsense'$"):
        x.nonsense  # noqa: B018
    for call in (lambda: td.sum(x, dim=1), lambda: x.mean(dim=1), lambda: td.nn.functional.softmax(x, dim=1)):
        with pytest.raises(TypeError, match=r"no argument 'dim' \(it is called axis\)"):
            call()
    with pytest.raises(TypeError, match=r"no argument 'keepdim' \(it is called keepdims\)"):
        td.max(x, keepdim=True)
    for foreign, own in FUNCTIONS.items():
        assert not hasattr(x, foreign), foreign
        if foreign != "data":  # a module
            assert foreign not in dir(td) and foreign not in td.__all__
            with pytest.raises(AttributeError, match=rf"no attribute '{foreign}' \(it is called "):
                getattr(td, foreign)(x)
        where, name = td, own.split("(")[0].split(",")[0].split()[0]
        if name == "x" or name.startswith("x[") or hasattr(builtins, name):  # what Python has
            continue
        for part in name.split("."):
            assert hasattr(where, part) or hasattr(x, part), own
            where = getattr(where, part, x)


X = "td.ones((2, 3))"


@pytest.mark.parametrize(
    ("call", "name"),
    [
        ("td.full((-1,), 0)", "full"),
        ("td.ones(-1)", "ones"),
        ("td.empty((2, -3))", "empty"),
        ("td.full_like(td.zeros(1, dtype=td.int8), 300)", "full_like"),
        ("td.broadcast_to(td.zeros(1), (-1,))", "broadcast_to"),
        ("td.random.uniform(td.random.key(0), (-1,))", "uniform"),
        ("td.random.uniform(td.zeros(3), (2,))", "uniform"),
        ("td.random.bits(td.zeros(3))", "bits"),
        ("td.add(td.tensor([1]), 2**64)", "add"),
        (f"td.sum({X}, axis=2**64)", "sum"),
        (f"{X}.sum(axis=2**64)", "sum"),
        (f"td.std_mean({X}, axis=9)", "std_mean"),
        (f"td.cumsum({X}, axis=9)", "cumsum"),
        (f"td.take({X}, td.ones(2))", "take"),
        (f"td.isclose({X}, td.ones((4, 5)))", "isclose"),
        (f"td.allclose({X}, td.ones((4, 5)))", "allclose"),
        (f"td.heaviside({X}, td.ones((4, 5)))", "heaviside"),
        ("td.fmod(td.tensor([1j]), 1)", "fmod"),
        (f"td.trace({X}, axis2=-99)", "trace"),
        ("td.linalg.logdet(td.ones(3))", "logdet"),
        ("td.segment_sum(td.ones(3), td.ones((2, 2)))", "segment_sum"),
        (f"td.topk({X}, td.ones(2))", "topk"),
        (f"td.unflatten({X}, 0, 3.0)", "unflatten"),
        (f"td.fft.fftn({X}, s=4)", "fftn"),
        (f"td.fft.fft({X}, norm={X})", "fft"),
        (f"td.geomspace(1, 2, num={X})", "geomspace"),
        (f"td.nn.functional.normalize({X}, p=td.nan)", "normalize"),
        (f"td.nn.functional.softmin({X}, axis=-99)", "softmin"),
        ("td.nn.functional.relu6(td.tensor([1j]))", "relu6"),
        (f"td.nn.functional.l1_loss({X}, {X}, reduction='abc')", "l1_loss"),
        (f"td.nn.functional.embedding(td.ones(3), {X})", "embedding"),
        ("td.nn.functional.channel_shuffle(td.ones((1, 4, 2)), td.ones(2))", "channel_shuffle"),
        ("td.nn.Linear(3, -1)", "Linear"),
        (f"td.nn.GELU(approximate={X})", "GELU"),
        (f"td.sin({X}, out={X})", "sin"),
        (f"{X}.sin(1)", "sin"),
        ("td.add(1)", "add"),
        *[
            (f"td.tensor([1, 2]) {operator} 2**64", name)
            for operator, name in {
                "+": "add",
                "-": "subtract",
                "*": "multiply",
                "/": "divide",
                "//": "floor_divide",
                "%": "remainder",
                "**": "pow",
                "&": "bitwise_and",
                "|": "bitwise_or",
                "^": "bitwise_xor",
                "<<": "bitwise_left_shift",
                ">>": "bitwise_right_shift",
                "<": "less",
                "<=": "less_equal",
                ">": "greater",
                ">=": "greater_equal",
                "==": "equal",
                "!=": "not_equal",
                "@": "matmul",
            }.items()
        ],
        ("-(2**63) - 1 - td.tensor([1])", "subtract"),
        ("td.tensor([1]).__iadd__(2**64)", "add"),
        ("td.tensor([1]).__ipow__(2**64)", "pow"),
        (f"{X}.__imul__(td.ones((4, 2, 3)))", "multiply"),
        (f"{X}.__setitem__(0, 2**64)", "assign"),
        (f"{X}.__setitem__(0, ['a'])", "assign"),
        (f"{X}[['a']]", "index"),
        (f"{X}[[1, [2]]]", "index"),
        (f"{X}[[2**64]]", "index"),
        (f"{X}[2**64]", "index"),
        (f"{X}[1.0:]", "index"),
        (f"td.where({X} > 0, 2**64, {X})", "where"),
        ("td.full(2, 2**64)", "full"),
        (f"td.full_like({X}, 2**64)", "full_like"),
        ("td.clip(td.tensor([1]), 0, 2**64)", "clip"),
        ("td.tensor([1]).clip(2**64)", "clip"),
        ("td.tensor([2**64])", "tensor"),
        ("td.asarray(2**64)", "asarray"),
        ("td.arange(2**64)", "arange"),
        (f"td.masked_fill({X}, {X} > 0, 2**64)", "masked_fill"),
        (f"td.isclose({X}, 2**64)", "isclose"),
        ("td.pad(td.tensor([1]), ((1, 1),), value=2**64)", "pad"),
        (f"td.lerp({X}, 2**64, 2**64)", "lerp"),
        ("td.random.randint(td.random.key(0), (2,), 0, 2**65)", "randint"),
    ],
)
def test_errors_name_the_function_that_was_called(call, name):
    with pytest.raises((ValueError, TypeError, IndexError)) as caught:
        eval(call)
    text = str(caught.value)
    assert text.startswith(f"[{name}] ") and "\n" not in text and len(text) < 300, text
    assert caught.type is not OverflowError


def test_indices_out_of_range_name_the_function_that_was_called(device):
    far, table = td.tensor([0, 7]), td.ones((3, 2))
    for call, name in [
        (lambda: td.take(table, far, axis=0), "take"),
        (lambda: td.nn.functional.embedding(far, table), "embedding"),
    ]:
        with pytest.raises(IndexError, match="7") as caught:
            call()
            if device.type == "cuda":
                td.cuda.synchronize()  # which knows the calls that were issued, and not what made them
        assert device.type == "cuda" or str(caught.value).startswith(f"[{name}] ")


def test_errors_of_functions_of_the_user_are_left_alone():
    x = td.ones((2, 3))

    def own(x):
        raise TypeError("mine")

    for call in (
        lambda: td.jvp(own, (x,), (x,)),
        lambda: td.scan(lambda c, _: (own(c), None), x, length=2),
        lambda: td.tree_map(own, [x]),
    ):
        with pytest.raises(TypeError, match=r"^mine$"):
            call()
    for call in (
        lambda: td.jvp(lambda x: x @ x, (x,), (x,)),
        lambda: td.scan(lambda c, _: (c @ c, None), x, length=2),
        lambda: td.tree_map(lambda x: x @ x, [x]),
    ):
        with pytest.raises(td.ShapeError, match=r"^\[matmul\]"):
            call()


def test_masks_of_numbers_are_refused():
    x = td.zeros(3)
    with pytest.raises(td.DTypeError, match=r"\[masked_scatter\] the mask is bool, not uint8"):
        td.masked_scatter(x, td.tensor([2, 0, 1], dtype=td.uint8), td.ones(2))


def test_extents_that_do_not_fit_where_there_are_no_elements():
    empty = td.zeros((0, 2**40, 2**40))
    for call in (
        lambda: td.flatten(empty, 1, 2),
        lambda: td.tile(td.zeros((0, 2**40)), (1, 2**40)),
        lambda: td.repeat(empty, 2**40, axis=1),
        lambda: td.kron(td.zeros((0, 2**40)), td.zeros((0, 2**40))),
        lambda: td.repeat(td.zeros(2), td.tensor([2**62, 2**62])),
        lambda: td.block_diag(td.zeros((0, 2**62)), td.zeros((0, 2**62))),
    ):
        with pytest.raises(td.ShapeError):
            call()


def test_what_is_too_large_is_refused_before_it_is_made():
    for call in (
        lambda: td.pad(td.zeros(4), ((2**62, 1),), mode="reflect"),
        lambda: td.repeat(td.zeros(2), td.tensor([2**50, 1])),
        lambda: td.tril_indices(2**62),
    ):
        with pytest.raises((MemoryError, td.ShapeError)):
            call()
    for k, below in ((2**63 - 1, 6), (-(2**63), 0)):
        assert td.tril_indices(2, k=k, m=3)[0].shape == (below,)
        assert td.triu_indices(2, k=k, m=3)[0].shape == (6 - below,)


def test_more_parts_than_axes():
    x = td.arange(30)
    assert [part.tolist() for part in td.split(x, 15)] == [[2 * i, 2 * i + 1] for i in range(15)]
    assert [part.tolist() for part in td.split(x, [1] * 30)] == [[i] for i in range(30)]
    assert [part.tolist() for part in td.chunk(x, 20)] == [[2 * i, 2 * i + 1] for i in range(15)]
    with pytest.raises(td.ShapeError, match=r"\[split\] the sizes 1, 1, .* \.\. do not add up to extent 30"):
        td.split(x, [1] * 31)


def in_modes(function):
    def scanned(*args):
        return td.scan(lambda c, _: (c, function(*args)), td.tensor(0.0), length=1)[1]

    def in_lanes(*args):
        return td.vmap(function)(*(td.stack([x, x]) for x in args))

    return [
        function,
        td.compile(function),
        lambda *args: td.program(function, *args)(*args),
        in_lanes,
        td.compile(in_lanes),
        scanned,
    ]


def test_what_values_must_be_holds_in_recorded_code(settle):
    one, two = td.ones(2), td.tensor([1.0, 2.0])
    negative, natural = td.tensor([1, -2]), td.tensor([1, 2])
    loss = td.nn.functional.gaussian_nll_loss
    for function, bad, good, match in [
        (lambda a, b: a**b, (natural, negative), (natural, natural), r"\[pow\].* no negative powers"),
        (lambda b: 0**b, (negative,), (natural,), r"\[pow\].* no negative powers"),
        (loss, (one, two, td.tensor([1.0, -1.0])), (one, two, one), r"\[gaussian_nll_loss\].* is negative"),
        (
            lambda x, w: td.cov(x, fweights=w),
            (td.ones((2, 2)), negative),
            (td.ones((2, 2)), natural),
            r"\[cov\].*weight is negative",
        ),
    ]:
        expected = function(*good).cpu().numpy()
        for mode in in_modes(function):
            np.testing.assert_allclose(
                np.broadcast_to(expected, mode(*good).shape), mode(*good).cpu().numpy(), rtol=1e-6
            )
            with pytest.raises(ValueError, match=match):
                mode(*bad)
                settle()
    x = td.tensor([0.5, 2.0])
    slope = td.grad(td.compile(lambda v: td.sum(loss(one, two, v))))(x)
    np.testing.assert_allclose(
        slope.cpu().numpy(),
        td.grad(lambda v: td.sum(loss(one, two, v)))(x).cpu().numpy(),
        rtol=1e-6,
    )


def test_arguments_that_make_no_sense_are_refused():
    x, functional = td.ones((2, 3)), td.nn.functional
    for call, match in [
        (lambda: td.hardtanh(x, 0.5, -0.5), r"\[hardtanh\] min_val 0.5 exceeds max_val -0.5"),
        (lambda: td.isclose(x, x, rtol=-0.1), r"\[isclose\] tolerances"),
        (lambda: td.allclose(x, x, atol=-0.1), r"\[allclose\] tolerances"),
        (lambda: functional.triplet_margin_loss(x, x, x, margin=-1.0), r"\[triplet_margin_loss\] the margin"),
        (lambda: td.cov(x, aweights=td.tensor([1.0, -1.0, 1.0])), r"\[cov\] .*a weight is negative"),
    ]:
        with pytest.raises(ValueError, match=match):
            call().cpu()  # device cuda reports values when it is waited for


def test_linspace_over_all_numbers():
    for count in (2, 3, 4, 5):
        x = td.linspace(-1.7e308, 1.7e308, count, dtype=td.float64).cpu().numpy()
        np.testing.assert_allclose(x, 1.7e308 * np.linspace(-1, 1, count), rtol=1e-15, atol=1e293)


def test_python_objects_that_there_is_no_memory_for():
    with pytest.raises(MemoryError):
        td.broadcast_to(td.tensor(1.0, device="cpu"), (2**40,)).tolist()
