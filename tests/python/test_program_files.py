"""Programs in files: the same program, bit for bit the same results, and no damage goes unseen."""

import collections
import contextlib
import dataclasses
import hashlib
import inspect
import json
import math
import os
import random
import re
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import samplers as ops
import tidu as td

# How many elements it gives depends on values, so it is in no program.
READS_VALUES = {"nonzero"}
CASES = [case for case in ops.CASES.values() if not READS_VALUES & set(case.covers)]


def bits(tree):
    return [
        (str(x.dtype), x.shape, x.detach().cpu().numpy().tobytes())
        if x.dtype != td.bfloat16
        else (str(x.dtype), x.shape, td.astype(x.detach().cpu(), td.float32).numpy().tobytes())
        for x in td.tree_leaves(tree)
        if isinstance(x, td.Tensor)
    ]


def copies(tree):
    return td.tree_map(lambda x: td.copy(x) if isinstance(x, td.Tensor) else x, tree)


def reloaded(program, path):
    path = path / "program.tidu"
    program.save(path)
    loaded = td.load_program(path)
    assert loaded == program and hash(loaded) == hash(program) and str(loaded) == str(program)
    assert loaded.writes == program.writes
    program.verify()
    loaded.verify()
    return loaded


def check_reload(function, path, *args):
    program = td.program(function, *args)
    loaded = reloaded(program, path)
    given, also = copies(args), copies(args)
    assert bits(loaded(*given)) == bits(program(*also))
    assert bits(given) == bits(also)  # what they wrote
    return loaded


def total(tree):
    return sum(td.sum(td.sin(y)) for y in td.tree_leaves(tree) if y.dtype.is_floating_point)


def gradient(function, case):
    return td.grad(lambda *tensors: total(function(*tensors)), argnums=case.differentiable)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_sampler_and_its_gradient(case, tmp_path):
    for dtype in case.dtypes:
        tensors = [
            ops.to_tensor(array, case.dtype_of_input(i, dtype))
            for i, array in enumerate(case.arrays(3, dtype))
        ]
        loaded = check_reload(case.function, tmp_path, *tensors)
        if dtype != td.float64 or not case.differentiable:
            continue
        check_reload(gradient(case.function, case), tmp_path, *tensors)
        program = td.program(case.function, *tensors)
        assert bits(gradient(loaded, case)(*tensors)) == bits(gradient(program, case)(*tensors))


def primitives_of(program):
    """The names in a saved program and in those that it holds."""
    for call in program["instructions"]:
        yield call["primitive"]
        for value in call.get("attrs", {}).values():
            if isinstance(value, dict):
                yield from primitives_of(value)


# Writes are recorded as what gives the same value without writing; pairs are made of what was recorded.
PAIRS = {"log_softmax_with_softmax", "softmax_cross_entropy_with_grad"}
NEVER_RECORDED = {"assign", "assign_points"} | PAIRS | READS_VALUES
OF_TWO_DEVICES = {"to"}  # test_devices
OF_THE_HOST = {"pure_callback", "debug_callback"}  # test_functions_of_the_host_are_not_saved


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Header and tensors of files that together hold every primitive that files do."""
    path, files = tmp_path_factory.mktemp("saved") / "p.tidu", []

    def keep(function, *args):
        td.program(function, *args).save(path)
        files.append(parts(path))

    for case in CASES:
        dtype = td.float64 if td.float64 in case.dtypes else case.dtypes[0]
        tensors = [
            ops.to_tensor(array, case.dtype_of_input(i, dtype))
            for i, array in enumerate(case.arrays(3, dtype))
        ]
        keep(case.function, *tensors)
        if case.differentiable and dtype == td.float64:
            keep(gradient(case.function, case), *tensors)
    for function, args in (*HELD.values(), *ROOTS.values()):
        keep(function, *args)
    for optimizer in OPTIMIZERS:
        keep(one_step(optimizer), *parameters().values())
    return files


def test_every_primitive_is_in_some_file(saved):
    programs = (json.loads(header["__metadata__"]["tidu.program"]) for header, _ in saved)
    seen = {name for program in programs for name in primitives_of(program)}
    assert set(ops.PRIMITIVES) - seen <= NEVER_RECORDED | OF_TWO_DEVICES | OF_THE_HOST


# --- Programs that hold programs, writes, keys


@td.custom_vjp
def clipped(x, w):
    return td.sin(x) * w


clipped.defvjp(lambda x, w: (td.sin(x) * w, (x, w)), lambda r, g: (g * td.cos(r[0]) * r[1], None))


@td.custom_jvp
def bent(x, n):
    return td.exp(x) * n


bent.defjvp(lambda primals, tangents: (td.exp(primals[0]) * primals[1], 3 * tangents[0] + tangents[1]))


def rnn(params, xs):
    def step(h, x):
        h = td.tanh(params["w"] @ h + x)
        return h, td.checkpoint(lambda h: td.sum(h * h))(h)

    h, ys = td.scan(step, td.zeros(3), xs)
    return {"last": h, "losses": ys}


def branches(x):
    y = td.cond(td.sum(x) > 0, lambda x: td.exp(-x), lambda x: x * x, x)
    return td.while_loop(lambda y: td.max(y) < 10, lambda y: y * 2 + 1, y)


def noisy(key, x):
    k1, k2 = td.random.split(key)
    return td.random.normal(k1, x.shape) * x + td.random.uniform(k2, x.shape), td.random.permutation(k1, 5)


def sgd_step(params, momentum, batch):
    x, t = batch
    loss, g = td.value_and_grad(lambda p: td.mean((td.tanh(x @ p["w"]) @ p["v"] - t) ** 2))(params)
    momentum = td.tree_map(lambda m, g: 0.9 * m + g, momentum, g)
    return td.tree_map(lambda p, m: p - 0.1 * m, params, momentum), momentum, loss


def step_in_place(params, batch):
    new, _, loss = sgd_step(params, td.tree_map(td.zeros_like, params), batch)
    for name in params:
        params[name][...] = new[name]
    return loss


def normal(*shape, seed=0):
    return td.asarray(np.random.default_rng(seed).normal(size=shape).astype(np.float32))


PARAMS = {"w": (4, 3), "v": (3, 1)}


def parameters(scale=1.0):
    return {name: normal(*shape, seed=i) * scale for i, (name, shape) in enumerate(PARAMS.items())}


BATCH = (normal(8, 4, seed=5), normal(8, 1, seed=6))
TIMES = td.tensor([0.0, 0.5, 1.0], dtype=td.float64)


def fixed_point(p):
    return td.implicit.fixed_point(lambda x, p: 0.3 * td.cos(x) * p, td.ones(3, dtype=td.float64), p)


HELD = {
    "spectrum": (
        lambda x: td.sum(td.abs(td.fft.fft(td.conj(td.fft.rfft(td.fft.irfft(td.fft.rfft(x)))))) ** 2),
        (normal(6),),
    ),
    "parts": (lambda x: td.view_as_real(td.view_as_complex(x) * 2j), (normal(3, 2),)),
    "rnn": (rnn, ({"w": normal(3, 3)}, normal(5, 3, seed=1))),
    "branches": (branches, (normal(4),)),
    "powers": (lambda a, b: a**b, (td.tensor([2, 3]), td.tensor([1, 2]))),
    "custom": (lambda x: td.sum(clipped(x, td.ones(3) * 2) + bent(x, td.cos(x))), (normal(3),)),
    "noisy": (noisy, (td.random.key(7), normal(2, 3))),
    "training": (sgd_step, (parameters(), parameters(0.0), BATCH)),
    "in place": (step_in_place, (parameters(), BATCH)),
    # Closing over a number, which is of another shape than the vectors.
    "solver": (lambda c, d: td.linalg.cg(lambda v: c * v + d * d * v, d)[0], (normal() ** 2, normal(3))),
    "steps": (lambda c, y: td.odeint(lambda y, t: -c * t * y, y, TIMES), (normal(), normal(3))),
    "splitting": (
        lambda x: td.jvp(lambda x: td.jvp(td.linalg.eigvalsh, (x,), (x,))[1], (x,), (x,)),
        (normal(3, 3),),
    ),
    "adjoint": (
        td.grad(lambda y: td.sum(td.odeint(lambda y, t: -t * y, y, TIMES, mode="adjoint"))),
        (normal(3),),
    ),
}


@pytest.mark.parametrize("name", HELD)
def test_programs_that_hold_programs(name, tmp_path):
    function, args = HELD[name]
    check_reload(function, tmp_path, *args)


ROOTS = {
    "root": (fixed_point, (normal(3),)),
    "slope": (td.grad(lambda p: td.sum(fixed_point(p))), (normal(3),)),
    "root of a number": (fixed_point, (normal(),)),
}


@pytest.mark.parametrize("name", ROOTS)
def test_roots_are_saved_with_the_solvers_of_their_derivatives(name, tmp_path):
    function, args = ROOTS[name]
    program = td.program(function, *args)
    program.save(tmp_path / "p.tidu")
    loaded = td.load_program(tmp_path / "p.tidu")
    assert reloaded(loaded, tmp_path) == loaded
    assert bits(loaded(*args)) == bits(program(*args))
    assert bits(td.jacobian(loaded)(*args)) == bits(td.jacobian(program)(*args))


def test_solvers_that_look_at_values_are_not_saved(tmp_path):
    def newton(f, x):
        while float(td.sum(td.abs(f(x)))) > 1e-12:
            x = x - td.linalg.solve(td.jacobian(f)(x), f(x))
        return x

    f = lambda p: td.custom_root(lambda x: x * x - p, td.ones_like(p), newton)
    with pytest.raises(td.TraceError, match="looks at values"):
        td.program(f, normal(3) ** 2)


def test_transforms_of_a_loaded_program(tmp_path):
    x, w = normal(5, 3), {"w": normal(3, 3)}
    f = lambda w, x: td.sum(rnn(w, x)["losses"])
    program = td.program(f, w, x)
    loaded = reloaded(program, tmp_path)
    for transform in (
        td.grad,
        lambda f: td.grad(lambda w, x: td.sum(td.grad(f, argnums=1)(w, x) ** 2)),
        lambda f: lambda w, x: td.jvp(f, (w, x), (w, x)),
        lambda f: lambda w, x: td.vmap(f, in_axes=(None, 0))(w, td.stack([x, 2 * x])),
        lambda f: lambda w, x: td.hessian(f, argnums=1)(w, x),
    ):
        assert bits(transform(loaded)(w, x)) == bits(transform(program)(w, x))
    assert td.cost(loaded, w, x)["f"] == td.cost(program, w, x)["f"]
    check_reload(td.grad(f), tmp_path, w, x)
    check_reload(td.vmap(f, in_axes=(None, 0)), tmp_path, w, td.stack([x, 2 * x]))


OPTIMIZERS = (
    lambda params: td.optim.SGD(params, lr=0.1, momentum=0.9, nesterov=True),
    lambda params: td.optim.SGD(params, lr=0.1),
    lambda params: td.optim.AdamW(params, lr=0.1),
    lambda params: td.optim.RMSprop(params, lr=0.1, momentum=0.5),
)


def one_step(optimizer):
    """What a step of an optimiser, which overwrites its parameters, makes of arguments."""

    def step(*params):
        leaves = [td.copy(p) for p in params]
        for leaf in leaves:
            leaf.requires_grad = True
        optimizer(leaves).update([td.cos(p) for p in params])
        return [leaf.detach() for leaf in leaves]

    return step


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_steps_of_optimizers(optimizer, tmp_path):
    loaded = check_reload(one_step(optimizer), tmp_path, *parameters().values())
    assert "_update[" in str(loaded)


def test_a_step_runs_without_python(tmp_path, device):
    """examples/exported_training.py, and its twin in C++, which compares the bits."""
    build, examples = Path(td.__file__).parents[2], Path(__file__).parents[2] / "examples"
    twin = build / "bin/example_exported_training"
    if not twin.exists():
        pytest.skip("tidu is not in a build folder with the examples")
    options = ["--device", str(device), "--out", str(tmp_path)]
    for command in (
        [sys.executable, examples / "exported_training.py", "--quick", *options],
        [twin, *options],
    ):
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stdout + done.stderr
    assert "12 tensors have the bits that they have in Python" in done.stdout


@pytest.mark.cpu_only("moves programs to device cuda itself")
def test_devices(tmp_path, cuda_beside_cpu):
    cuda = "cuda"
    w = normal(3, 3)
    f = lambda x: (td.scan(lambda h, _: (td.tanh(w @ h), None), x * 2, length=3)[0], td.ones(2), x[0])
    x = normal(3)
    loaded = reloaded(td.program(f, x), tmp_path)
    moved = td.load_program(tmp_path / "program.tidu", device=cuda)
    assert moved != loaded and "@cuda:0" in str(moved) and "@cuda:0" not in str(loaded)
    for result, want in zip(moved(x.to(cuda)), loaded(x), strict=True):
        assert result.device == td.device("cuda:0")
        np.testing.assert_allclose(result.cpu().numpy(), want.numpy(), rtol=1e-6)
    with pytest.raises(td.ShapeError, match="recorded for"):
        moved(x)
    # From cuda and back, and of both devices.
    on_both = reloaded(td.program(lambda x: td.sin(x.to(cuda)).cpu() + w, x), tmp_path)
    assert "to[device=cuda:0]" in str(on_both)
    on_one = td.load_program(tmp_path / "program.tidu", device="cpu")
    np.testing.assert_allclose(on_one(x).numpy(), on_both(x).numpy(), rtol=1e-6)
    constant = w.to(cuda)
    reloaded(td.program(lambda x: x @ constant + 1.5, constant), tmp_path)
    back = td.load_program(tmp_path / "program.tidu", "cpu")
    np.testing.assert_allclose(back(w).numpy(), (w @ w + 1.5).numpy(), rtol=1e-5)


# --- Structures and names

Point = collections.namedtuple("Point", "x y")


@dataclasses.dataclass
class State:
    weight: td.Tensor
    step: int


def test_arguments_and_results_have_their_structure(tmp_path):
    def f(params, point, *more, scale=2.0):
        first, (second,) = more
        return Point(params["a"] * point.x * scale, [State(first.weight + second, 0), None])

    args = ({"a": normal(3), "n": 2}, Point(normal(3), 1.5), State(normal(3), 3), (normal(3),))
    loaded = check_reload(f, tmp_path, *args)
    result = loaded(*args)
    assert isinstance(result, Point) and isinstance(result.y[0], State) and result.y[1] is None
    text = str(loaded)
    for name in (
        "params['a']:float32(3,)",
        "point.x:",
        "more[0].weight:",
        "more[1][0]:",
        "result.y[0].weight: ",
    ):
        assert name in text
    with pytest.raises(ValueError, match="only tensors may change"):
        loaded({"a": normal(3), "n": 3}, *args[1:])
    with pytest.raises(ValueError, match="structure"):
        loaded({"b": normal(3), "n": 2}, *args[1:])


def test_arguments_by_name(tmp_path):
    program = td.program(lambda x, w: x - w, normal(3), normal(3, seed=1))
    loaded = reloaded(program, tmp_path)
    x, w = normal(3, seed=2), normal(3, seed=3)
    for p in (program, loaded):
        assert bits(p(w=w, x=x)) == bits(p(x, w=w)) == bits(x - w)
        with pytest.raises(TypeError, match=r"\[program\] has no argument 'v'"):
            p(x, v=w)
        with pytest.raises(TypeError, match=r"\[program\] needs the argument 'x'"):
            p(w=w)


def test_names_of_a_program_that_cpp_recorded(tmp_path):
    path = tmp_path / "p.tidu"
    td.program(lambda x, w: (x - w, x), normal(3), normal(3)).save(path)
    header, tensors = parts(path)
    header["__metadata__"]["tidu.trees"] = ""
    names = header["__metadata__"]["tidu.program"]
    header["__metadata__"]["tidu.program"] = names.replace("result[0]", "difference")
    write(path, header, tensors)
    for _ in range(2):
        loaded = td.load_program(path)
        x, w = normal(3, seed=2), normal(3, seed=3)
        assert bits(loaded(w=w, x=x)) == bits((x - w, x)) and "return difference: " in str(loaded)
        loaded.save(path)


def test_keys_that_read_alike_have_no_names(tmp_path):
    class Key:
        def __repr__(self):
            return "key"

    program = td.program(lambda p: sum(p.values()), {Key(): normal(3), Key(): normal(3)})
    program.verify()
    assert "program(a:float32(3,), b:float32(3,))" in str(program).replace("@cuda:0", "")
    with pytest.raises(ValueError, match="must be strings or integers"):
        program.save(tmp_path / "p.tidu")


@pytest.mark.parametrize("value", [0.1, -0.0, math.inf, -math.inf, 5e-324, True, 3, "mean", td.float16])
def test_other_arguments_are_kept_exactly(value, tmp_path):
    program = td.program(lambda x, how: x * 2, normal(2), value)
    loaded = reloaded(program, tmp_path)
    assert bits(loaded(normal(2), value)) == bits(normal(2) * 2)
    with pytest.raises(ValueError, match="only tensors may change"):
        loaded(normal(2), "something else")


@pytest.mark.parametrize("eps", [1e-300, 5e-324, 0.1, math.inf, -0.0])
def test_attributes_are_kept_exactly(eps, tmp_path):
    check_reload(lambda x: td.nn.functional.rms_norm(x, (3,), eps=eps), tmp_path, normal(2, 3))


@pytest.mark.parametrize("number", [math.nan, -math.nan, math.inf, -0.0, 0.1, 1e300])
def test_numbers_are_kept_exactly(number, tmp_path):
    f = lambda x: (
        td.full((2,), number, dtype=td.float64),
        x * number,
        td.leaky_relu(x, negative_slope=number),
    )
    check_reload(f, tmp_path, normal(2).astype(td.float64))


@pytest.mark.parametrize("shape", [(0,), (3, 0), (0, 2, 1)], ids=str)
def test_numbers_beside_nothing_are_kept(shape, tmp_path):
    check_reload(lambda x: x * 1.5 - td.full(shape, 2.0), tmp_path, normal(*shape))


@pytest.mark.parametrize("dtype", ops.DTYPES, ids=str)
def test_constants_of_every_dtype_and_layout(dtype, tmp_path):
    array = ops.Draw((4, 6)).array(np.random.default_rng(3), dtype)
    base = ops.to_tensor(array, dtype)
    layouts = (base, base.T, base[1], base[:, ::2], base[::-1], td.broadcast_to(base[:1], (4, 6)), base[:0])
    for constant in (*layouts, td.broadcast_to(base[0, 0], (3, 2)), base[0, 0]):
        check_reload(lambda x, constant=constant: (constant.reshape(-1), x + 1), tmp_path, normal(2))


@pytest.mark.parametrize("dtype", [td.complex64, td.complex128], ids=str)
def test_complex_constants(dtype, tmp_path):
    base = td.astype(td.complex(normal(4, 6), normal(4, 6)), dtype)
    layouts = (base, base.T, base[1], base[:, ::2], base[::-1], td.broadcast_to(base[:1], (4, 6)), base[:0])
    x = td.astype(normal(2), dtype)
    for constant in (*layouts, td.broadcast_to(base[0, 0], (3, 2)), base[0, 0], td.real(base), x[:0]):
        check_reload(lambda x, constant=constant: (constant.reshape(-1), x + 1), tmp_path, x)
    check_reload(lambda z: (z**2 + (1 - 2j) * z, td.where(td.real(z) > 0, 2j, z)), tmp_path, x)
    check_reload(td.grad(lambda z: td.abs(z**3 + 1j).sum()), tmp_path, x)


def test_constants_are_saved_once(tmp_path):
    big = normal(100, 100)
    program = td.program(
        lambda x: td.scan(lambda h, _: (h @ big, None), x @ big, length=3)[0], normal(2, 100)
    )
    reloaded(program, tmp_path)
    assert (tmp_path / "program.tidu").stat().st_size < 2 * 40_000
    wide = td.broadcast_to(normal(1, 1), (1000, 1000))
    reloaded(td.program(lambda x: x * wide, normal(1000, 1000)), tmp_path)
    assert (tmp_path / "program.tidu").stat().st_size < 4_000


def test_other_readers_see_the_constants(tmp_path):
    w = normal(3, 2)
    td.program(lambda x: x @ w, normal(4, 3)).save(tmp_path / "p.tidu")
    assert bits(td.load(tmp_path / "p.tidu")) == bits([w])


# --- What cannot be saved


def test_what_cannot_be_saved_says_so(tmp_path):
    path = tmp_path / "p.tidu"

    class Local(collections.namedtuple("Local", "x")):
        pass

    with pytest.raises(ValueError, match="no class that can be found"):
        td.program(lambda p: p.x * 2, Local(normal(2))).save(path)
    with pytest.raises(ValueError, match=r"arguments\[1\] is .* of a type that no file holds"):
        td.program(lambda x, f: x * 2, normal(2), object()).save(path)
    with pytest.raises(ValueError, match="keys"):
        td.program(lambda p: p[(1, 2)] * 2, {(1, 2): normal(2)}).save(path)
    assert not path.exists()
    with pytest.raises(td.FileError):
        td.program(lambda x: x, normal(2)).save(tmp_path / "none" / "p.tidu")


def test_functions_of_the_host_are_not_saved(tmp_path):
    def f(x):
        y = td.sin(x)
        td.debug.print("{}", y)
        return y

    program = td.program(f, normal(2))
    program.verify()
    line = inspect.getsourcelines(f)[1] + 2
    with pytest.raises(ValueError) as raised:
        program.save(tmp_path / "p.tidu")
    assert str(raised.value) == (
        f"[save] instruction 1 (debug_callback, test_program_files.py:{line}) cannot be saved: "
        "it calls a function of the host"
    )


def test_a_rule_that_calls_its_own_function(tmp_path):
    @td.custom_jvp
    def f(x):
        return td.exp(x)

    f.defjvp(lambda primals, tangents: (f(*primals), f(*primals) * tangents[0]))
    x = normal(3)
    path = tmp_path / "p.tidu"
    td.program(lambda x: td.sum(f(x)), x).save(path)
    loaded = td.load_program(path)
    second = lambda g: td.grad(lambda x: td.sum(td.grad(g)(x) ** 2))
    assert bits(second(loaded)(x)) == bits(second(lambda x: td.sum(f(x)))(x))
    third = lambda g: td.grad(lambda x: td.sum(second(g)(x) ** 2))
    with pytest.raises(td.GradientError, match="was not saved for derivatives of this order"):
        third(third(loaded))(x)


def test_a_program_inside_of_another_is_not_saved(tmp_path):
    def f(x):
        inner = td.program(lambda y: y + x, x)
        with pytest.raises(ValueError, match="has no value"):
            inner.save(tmp_path / "p.tidu")
        return x

    td.program(f, normal(2))


# --- Damage


def parts(path):
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def write(path, header, tensors, digest=True):
    metadata = header["__metadata__"]
    if digest:
        sha = hashlib.sha256()
        for key in ("tidu.version", "tidu.program", "tidu.trees"):
            sha.update(metadata[key].encode() + b" ")
        for name in sorted(key for key in header if key != "__metadata__"):
            begin, end = header[name]["data_offsets"]
            sha.update(tensors[begin:end])
        metadata["tidu.digest"] = sha.hexdigest()
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + tensors)


def test_every_damaged_byte_is_found(tmp_path):
    path = tmp_path / "p.tidu"
    w = normal(2, 2)
    program = td.program(lambda x: td.sum(td.tanh(x @ w), axis=0), normal(3, 2))
    program.save(path)
    data = path.read_bytes()
    for i in range(len(data)):
        for flip in (1, 0x20):
            damaged = bytearray(data)
            damaged[i] ^= flip
            path.write_bytes(damaged)
            try:
                loaded = td.load_program(path)
            except OSError as error:
                assert str(path) in str(error)
            else:  # of a key that says nothing more, or blanks
                assert loaded == program, (i, flip, data[max(i - 20, 0) : i + 20])


def test_truncated_files(tmp_path):
    path = tmp_path / "p.tidu"
    td.program(lambda x: x * 2, normal(3)).save(path)
    data = path.read_bytes()
    for length in range(0, len(data), 7):
        path.write_bytes(data[:length])
        with pytest.raises(td.FileError):
            td.load_program(path)
    with pytest.raises(FileNotFoundError):
        td.load_program(tmp_path / "none.tidu")


def test_other_files_and_versions(tmp_path):
    path = tmp_path / "p.tidu"
    td.save(path, {"w": normal(2)})
    with pytest.raises(td.FileError, match="no program"):
        td.load_program(path)
    td.program(lambda x: td.sin(x), normal(3)).save(path)
    header, tensors = parts(path)
    saved = dict(header["__metadata__"])
    for key, value, message in (
        ("tidu.version", "2", "format 2, but this tidu reads formats up to 1"),
        ("tidu.version", "one", "version"),
        ("tidu.program", saved["tidu.program"].replace('"sin"', '"sine"'), "no primitive 'sine'"),
        ("tidu.program", saved["tidu.program"].replace('"inputs":[0]', '"inputs":[1]', 1), "no value yet"),
        ("tidu.program", saved["tidu.program"].replace("[3]", "[4]", 1), "instruction 0 (sin"),
        ("tidu.trees", "[", "structure"),
        ("tidu.trees", saved["tidu.trees"].replace('"fixed": [null]', '"fixed": []'), "structure"),
    ):
        header["__metadata__"] = saved | {key: value}
        write(path, header, tensors)
        with pytest.raises(td.FileError) as raised:
            td.load_program(path)
        assert message in str(raised.value), str(raised.value)
    header["__metadata__"] = dict(saved)
    write(path, header, tensors)
    td.load_program(path)


def nodes(tree, path=()):
    yield path
    if isinstance(tree, dict):
        for key in tree:
            yield from nodes(tree[key], (*path, key))
    if isinstance(tree, list):
        for i, item in enumerate(tree):
            yield from nodes(item, (*path, i))


NAMES = sorted(ops.PRIMITIVES)


def damage(tree, rng):
    """Changes one thing somewhere in the JSON of a program."""
    path = rng.choice([path for path in nodes(tree) if path])
    place = tree
    for key in path[:-1]:
        place = place[key]
    key, value = path[-1], place[path[-1]]
    choice = rng.random()
    if choice < 0.1:
        place.pop(key) if isinstance(place, list) else place.pop(key, None)
    elif choice < 0.2 and isinstance(place, list):
        place.insert(key, json.loads(json.dumps(rng.choice(place))))
    elif choice < 0.3 and isinstance(place, list):
        rng.shuffle(place)
    elif isinstance(value, bool):
        place[key] = not value
    elif isinstance(value, int):
        place[key] = rng.choice([-1, 0, 1, 2, 3, value + 1, value - 1, 13, 2**31, 2**62, -(2**63), 2**63])
    elif isinstance(value, float):
        place[key] = rng.choice(["nan", "inf", 0, -1.5, 1e308])
    elif isinstance(value, str):
        place[key] = rng.choice(
            [*rng.sample(NAMES, 3), "float64", "int32", "bool", "cuda:7", "", "nan", "-1", "\x00é", "f.py:9"]
        )
    else:
        place[key] = rng.choice([None, [], {}, [0], [1, 2], 7, "x", True])
    return path


def held_of(program):
    """(primitive, attribute, program) of each program that is held in the JSON of one."""
    for call in program["instructions"]:
        for name, value in call.get("attrs", {}).items():
            if isinstance(value, dict) and "instructions" in value:
                yield call["primitive"], name, value
                yield from held_of(value)


def with_an_input_more(program):
    program["variables"].append({"dtype": "int32", "shape": [7]})
    program["inputs"].append(len(program["variables"]) - 1)


def with_a_result_more(program):
    program["outputs"].append(program["outputs"][0])


def with_another_result(program):
    program["variables"].append({"dtype": "int32", "shape": [7]})
    program["constants"].append({"variable": len(program["variables"]) - 1, "tensor": "int32(7)"})
    program["outputs"][-1] = len(program["variables"]) - 1


# What a solver is given may be anything.
FREE = {("root", "given")}
HOLD_NONE = {"spectrum", "parts", "noisy", "training", "in place", "splitting", "powers"}


@pytest.mark.parametrize("misfit", [with_an_input_more, with_a_result_more, with_another_result])
@pytest.mark.parametrize("name", [name for name in HELD | ROOTS if name not in HOLD_NONE])
def test_what_a_call_holds_must_fit_it(name, misfit, tmp_path):
    """Each held program in turn is one that is sound by itself, but of other inputs or results."""
    function, args = (HELD | ROOTS)[name]
    path = tmp_path / "p.tidu"
    td.program(function, *args).save(path)
    header, tensors = parts(path)
    saved = header["__metadata__"]["tidu.program"]
    if misfit is with_another_result:
        header["int32(7)"] = {"dtype": "I32", "shape": [7], "data_offsets": [len(tensors), len(tensors) + 28]}
        tensors += bytes(28)
    refused = 0
    for i, (primitive, field, _) in enumerate(held_of(json.loads(saved))):
        if misfit is not with_an_input_more and (primitive, field) in FREE:
            continue
        tree = json.loads(saved)
        misfit(list(held_of(tree))[i][2])
        header["__metadata__"]["tidu.program"] = json.dumps(tree)
        write(path, header, tensors)
        with pytest.raises(td.FileError) as raised:
            td.load_program(path)
        assert primitive in str(raised.value), (field, str(raised.value))
        refused += 1
    assert refused > 0


def many_operations(x, i):
    a = td.asarray(np.arange(6.0, dtype=np.float32).reshape(2, 3))
    y = td.concat([x, a.T @ a], axis=0)[1:, ::2]
    y = td.softmax(y, axis=0) + td.layer_norm(y, (2,)) if hasattr(td, "layer_norm") else td.softmax(y, axis=0)
    y = td.take(y, i, axis=0) * td.arange(2, dtype=td.float32) + td.full((2,), 3.0)
    s = td.linalg.solve(y[:2, :2] @ y[:2, :2].T + td.eye(2), y[:2].T)
    q = td.linalg.qr(s)[0]
    return td.var(y, axis=(0, 1)), td.cumulative_sum(s, axis=1), td.argmax(y, axis=1), q.astype(td.int32), y.T


DAMAGED = HELD | {"many": (many_operations, (normal(3, 3), td.asarray([0, 2, 1])))}


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_programs_are_refused_or_run(name, tmp_path, settle):
    """Also where the digest was put right: what is loaded is safe to run."""
    function, args = DAMAGED[name]
    path = tmp_path / "p.tidu"
    td.program(function, *args).save(path)
    header, tensors = parts(path)
    saved = dict(header["__metadata__"])
    refused = ran = 0
    for seed in range(400):
        rng = random.Random(seed)
        tree = json.loads(saved["tidu.program"])
        damage(tree, rng)
        text = json.dumps(tree)
        header["__metadata__"] = saved | {"tidu.program": text}
        write(path, header, tensors)
        if "while_loop" in text and "while_loop" not in saved["tidu.program"]:
            continue
        try:
            loaded = td.load_program(path)
            loaded.verify()
            str(loaded)
        except OSError as error:
            assert str(path) in str(error)
            refused += 1
            continue
        if name == "branches":  # a loop may run for ever
            continue
        faults = (ValueError, TypeError, IndexError, RuntimeError, MemoryError)
        with contextlib.suppress(*faults):
            loaded(*copies(args))
        with contextlib.suppress(*faults):
            settle()  # what a device finds, it reports later
        ran += 1
    assert refused > 100 and (ran > 10 or name == "branches")


@td.custom_jvp
def recursive(x):
    return td.log(1 + td.exp(x))


recursive.defjvp(lambda p, t: (recursive(*p), td.sigmoid(p[0]) * t[0]))


def test_a_saved_rule_that_calls_its_own_function(tmp_path):
    x = normal(2)
    td.program(recursive, x[0]).save(tmp_path / "p.tidu")
    loaded = td.load_program(tmp_path / "p.tidu")
    slope = td.sigmoid(x)
    np.testing.assert_allclose(td.vmap(td.grad(loaded))(x).cpu().numpy(), slope.cpu().numpy(), rtol=1e-6)
    assert float(td.program(td.grad(loaded), x[0])(x[0])) == pytest.approx(float(slope[0]), rel=1e-6)
    assert float(td.hessian(loaded)(x[0])) == pytest.approx(float(slope[0] * (1 - slope[0])), rel=1e-6)
    assert td.cost(loaded, x[0])["gradient"]["calls"] > 0


# --- What calls are given must be what they take

STORED = {"bool": "BOOL", "bfloat16": "BF16", "complex64": "C64", "complex128": "C128"}
BYTES = {"bool": 1, "bfloat16": 2, "complex64": 8, "complex128": 16}
for kind, widths in {"int": (8, 16, 32, 64), "uint": (8, 16, 32, 64), "float": (16, 32, 64)}.items():
    for width in widths:
        STORED[f"{kind}{width}"], BYTES[f"{kind}{width}"] = f"{kind[0].upper()}{width}", width // 8


# What calls take that give the same result of it.
PREDICATES = {"signbit", "isnan", "isinf", "isfinite"}
EXTREMES = {"argmax", "argmin", "argmax_of_windows"}
NORMS = {f"{name}_norm{grad}" for name in ("batch", "layer", "rms") for grad in ("", "_grad")}
TAKEN = {
    "extent of input 0": {
        *(set(ops.REDUCTIONS) - {"softmax", "log_softmax"}),
        *EXTREMES,
        *("slice", "gather", "convolution", "argsort", "searchsorted", "softmax_cross_entropy"),
        *("real_fourier", "determined", "checked"),
    },
    "extent of input 1": {"convolution"},
    "dtype of input 0": PREDICATES | EXTREMES | {"astype", "count_nonzero", "argsort"},
    "rank of input 0": {"reshape", "determined", "checked"},
    "an input less": NORMS | {"matmul", "convolution", "attention", "attention_grad"},
}


def other_specs(spec):
    """What is wrong, and a variable of another dtype, rank or extent than one has."""
    dtype, shape = spec["dtype"], spec["shape"]
    yield "dtype", {**spec, "dtype": "float32" if "int" in dtype else "int16"}
    yield "rank", {**spec, "shape": [1, *shape]}
    for axis in range(len(shape)):
        yield f"axis {axis}", {**spec, "shape": [n + (i == axis) for i, n in enumerate(shape)]}


def misfits(program, number):
    """What is wrong, and a program one of whose calls is given what it does not take."""

    def changed():
        tree = json.loads(json.dumps(program))
        return tree, tree["instructions"][number]

    call = program["instructions"][number]
    composed = ops.PRIMITIVES[call["primitive"]]["evaluate"]  # of calls that say what they take
    for i, variable in enumerate([] if composed else call["inputs"]):
        for what, spec in other_specs(program["variables"][variable]):
            tree, call = changed()
            tree["variables"].append(spec)
            tree["constants"].append({"variable": len(tree["variables"]) - 1, "tensor": "other"})
            call["inputs"][i] = len(tree["variables"]) - 1
            yield f"{what} of input {i}", tree
    if call["inputs"]:
        for what, inputs in (("more", [*call["inputs"], call["inputs"][-1]]), ("less", call["inputs"][:-1])):
            tree, changed_call = changed()
            changed_call["inputs"] = inputs
            yield f"an input {what}", tree
    for i, variable in enumerate(call["outputs"]):
        for what, spec in other_specs(program["variables"][variable]):
            tree, _ = changed()
            tree["variables"][variable] = spec
            yield f"{what} of result {i}", tree
    tree, changed_call = changed()
    tree["variables"].append(tree["variables"][call["outputs"][-1]])
    changed_call["outputs"].append(len(tree["variables"]) - 1)
    yield "a result more", tree
    for name, value in call.get("attrs", {}).items():
        if name in ("axis", "axes") and value != []:
            for axis in (-1, 64):
                tree, changed_call = changed()
                changed_call["attrs"][name] = [axis, *value[1:]] if isinstance(value, list) else axis
                yield f"{name} {axis}", tree


@pytest.mark.cpu_only("what is refused does not depend on the device")
def test_what_a_call_is_given_must_fit_it(saved, tmp_path):
    """One call of each primitive, with inputs, results and axes that are none of it."""
    path, seen, accepted = tmp_path / "p.tidu", set(), set()
    for header, tensors in saved:
        metadata = header["__metadata__"]
        program = json.loads(metadata["tidu.program"])
        for number, call in enumerate(program["instructions"]):
            kind = call["primitive"], len(call["inputs"])
            if kind in seen:
                continue
            seen.add(kind)
            for what, tree in misfits(program, number):
                spec = tree["variables"][-1]
                size = math.prod(spec["shape"]) * BYTES[spec["dtype"]]
                other = {
                    "dtype": STORED[spec["dtype"]],
                    "shape": spec["shape"],
                    "data_offsets": [len(tensors), len(tensors) + size],
                }
                more = {"other": other} if " of input " in what else {}
                changed = {**header, **more, "__metadata__": {**metadata, "tidu.program": json.dumps(tree)}}
                write(path, changed, tensors + bytes(size if more else 0))
                try:
                    td.load_program(path)
                except td.FileError as error:
                    assert call["primitive"] in str(error), (kind, what, str(error))
                else:
                    accepted.add((call["primitive"], re.sub("axis \\d+", "extent", what)))
    assert accepted == {(name, what) for what, names in TAKEN.items() for name in names}


@pytest.mark.cpu_only("files of the host")
def test_names_of_files_are_bytes(tmp_path):
    """Any but zero, up to which the system would read a name."""
    program = td.program(lambda x: 2 * x, td.ones(2))
    for name in (b"\xff\xfe", "\udcff", "\u00e4"):
        path = os.path.join(os.fsencode(tmp_path), os.fsencode(name))
        for same in (path, os.fsdecode(path)):
            program.save(same)
            assert td.load_program(same) == program
            td.save(same, {"a": td.ones(2)})
            assert td.load(same)["a"].tolist() == [1, 1]
    before = os.listdir(tmp_path)
    for name in (tmp_path / "a\0b", os.path.join(os.fsencode(tmp_path), b"a\0b")):
        for call in (program.save, td.load_program):
            with pytest.raises(td.FileError, match="zero byte"):
                call(name)
        for call in (
            lambda path: td.save(path, {"a": td.ones(2)}),
            td.load,
            td.data.read_csv,
            td.data.read_idx,
        ):
            with pytest.raises((td.FileError, TypeError)):
                call(name)
    assert os.listdir(tmp_path) == before
