"""No derivative is lost in silence: what turns a differentiated tensor into plain numbers raises, is
differentiated right, or was asked for."""

import array
import copy
import functools
import io
import json
import math
import operator
import pickle
import subprocess
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tidu as td

VALUES = [0.5, 2.0]

# --- Where a tensor is, by who would miss its derivative

NOBODY, LEAF, BACKWARD, TRANSFORM = range(4)


def inside(transform):
    """A context: `use` of a vector that the transform tracks, and of its sum."""

    def context(use):
        seen = []

        def function(v):
            seen.append(use(v, v.sum()))
            return (v * v).sum()

        transform(function, td.tensor(VALUES))
        return seen[0]

    return context


def direct(make):
    def context(use):
        v = make()
        with td.enable_grad():
            is_leaf = v.requires_grad and v.is_leaf
            s = td.tensor(2.5, requires_grad=True) if is_leaf else v.sum()
        return use(v, s)

    return context


def result_on_tape():
    return td.tensor(VALUES, requires_grad=True) * 1


def without_grad(context):
    def wrapped(use):
        def quietly(v, s):
            with td.no_grad():
                return use(v, s)

        return context(quietly)

    return wrapped


def on_thread(context):
    def wrapped(use):
        with ThreadPoolExecutor(1) as pool:
            return context(lambda v, s: pool.submit(use, v, s).result())

    return wrapped


def leaked(use):
    kept = []
    td.grad(lambda v: (kept.append((v * 1, v.sum())), v.sum())[1])(td.tensor(VALUES))
    return use(*kept[0])


def in_vjp_rule(use, differentiate=td.grad):
    seen = []

    @td.custom_vjp
    def f(v):
        return v.sum()

    def forward(v):
        seen.append(use(v, v.sum()))
        return v.sum(), v.shape

    f.defvjp(forward, lambda shape, ct: (td.ones(shape) * ct,))
    differentiate(f)(td.tensor(VALUES))
    return seen[0]


def in_jvp_rule(use, differentiate=lambda f: lambda x: td.jvp(f, (x,), (x,))):
    seen = []

    @td.custom_jvp
    def f(v):
        return v.sum()

    @f.defjvp
    def rule(primals, tangents):
        seen.append(use(primals[0], primals[0].sum()))
        return primals[0].sum(), tangents[0].sum()

    differentiate(f)(td.tensor(VALUES))
    return seen[0]


in_grad = inside(lambda f, x: td.grad(f)(x))


def outside_rule(use):
    """In a rule, of what a transform outside of the rule's own tracks."""
    return in_grad(lambda w, total: in_vjp_rule(lambda v, s: use(w, total)))


def nested(use):
    """Inside an inner transform of something else."""
    return in_grad(lambda w, total: in_grad(lambda v, s: use(w, total)))


def begun_without_grad(use):
    with td.no_grad():
        return in_grad(use)


def other_thread_under_no_grad(use):
    return on_thread(in_grad)(td.no_grad()(use))


def with_requires_grad(f, x):
    td.value_and_grad(f)(x.requires_grad_())


CONTEXTS = {
    "plain": (NOBODY, direct(lambda: td.tensor(VALUES))),
    "leaf": (LEAF, direct(lambda: td.tensor(VALUES, requires_grad=True))),
    "result": (BACKWARD, direct(result_on_tape)),
    "leaf_under_no_grad": (NOBODY, without_grad(direct(lambda: td.tensor(VALUES, requires_grad=True)))),
    "result_under_no_grad": (NOBODY, without_grad(direct(result_on_tape))),
    "result_on_other_thread": (BACKWARD, on_thread(direct(result_on_tape))),
    "grad": (TRANSFORM, in_grad),
    "grad_of_leaf": (TRANSFORM, inside(with_requires_grad)),
    "vjp": (TRANSFORM, inside(lambda f, x: td.vjp(f, x))),
    "jvp": (TRANSFORM, inside(lambda f, x: td.jvp(f, (x,), (x,)))),
    "jet": (TRANSFORM, inside(lambda f, x: td.jet(f, (x,), ((x, None),)))),
    "linearize": (TRANSFORM, inside(lambda f, x: td.linearize(f, x))),
    "strict": (TRANSFORM, inside(lambda f, x: td.grad(f, strict=True)(x))),
    "hvp": (TRANSFORM, inside(lambda f, x: td.hvp(f, (x,), (x,)))),
    "jacfwd": (TRANSFORM, inside(lambda f, x: td.jacfwd(f)(x))),
    "hessian": (TRANSFORM, inside(lambda f, x: td.hessian(f)(x))),
    "nested": (TRANSFORM, nested),
    "begun_without_grad": (TRANSFORM, begun_without_grad),
    "under_no_grad": (NOBODY, without_grad(in_grad)),
    "leaked": (NOBODY, leaked),
    "leaked_on_other_thread": (NOBODY, on_thread(leaked)),
    "vjp_rule": (NOBODY, in_vjp_rule),
    "jvp_rule": (NOBODY, in_jvp_rule),
    "jvp_rule_in_reverse": (NOBODY, functools.partial(in_jvp_rule, differentiate=td.grad)),
    "rule_with_outer": (TRANSFORM, outside_rule),
    "other_thread": (TRANSFORM, on_thread(in_grad)),
    "other_thread_jvp": (TRANSFORM, on_thread(inside(lambda f, x: td.jvp(f, (x,), (x,))))),
    "other_thread_under_no_grad": (NOBODY, other_thread_under_no_grad),
}

# --- What turns a vector v and its sum s into numbers, and up to where it is free


def into_buffer(v):
    buffer = np.zeros(2, dtype=np.float32)
    buffer[:] = v.cpu()
    return buffer


def saved(v):
    file = io.BytesIO()
    np.save(file, v.cpu())
    file.seek(0)
    return np.load(file)


CONVERSIONS = {
    "np_dot": (NOBODY, lambda v, s: np.dot(v.cpu(), v.cpu())),
    "np_asarray": (NOBODY, lambda v, s: np.asarray(v.cpu())),
    "np_array_list": (NOBODY, lambda v, s: np.array([v.cpu(), v.cpu()])),
    "np_array_scalars": (NOBODY, lambda v, s: np.array([s.cpu(), s.cpu()])),
    "np_norm": (NOBODY, lambda v, s: np.linalg.norm(v.cpu())),
    "np_float32": (NOBODY, lambda v, s: np.float32(s.cpu())),
    "np_dot_method": (NOBODY, lambda v, s: np.eye(2).dot(v.cpu())),
    "np_save": (NOBODY, lambda v, s: saved(v)),
    "np_from_dlpack": (NOBODY, lambda v, s: np.from_dlpack(v.cpu())),
    "assign_to_array": (NOBODY, lambda v, s: into_buffer(v)),
    "numpy": (NOBODY, lambda v, s: v.cpu().numpy()),
    "array": (NOBODY, lambda v, s: v.cpu().__array__()),
    "dlpack": (NOBODY, lambda v, s: td.from_dlpack(v.cpu())),
    "dlpack_copy": (NOBODY, lambda v, s: td.from_dlpack(v.cpu(), copy=True)),
    "from_numpy": (NOBODY, lambda v, s: td.from_numpy(v.cpu())),
    "memoryview": (NOBODY, lambda v, s: memoryview(v.cpu()).tolist()),
    "bytes": (NOBODY, lambda v, s: bytes(v.cpu())),
    "bytes_io": (NOBODY, lambda v, s: io.BytesIO().write(v.cpu())),
    "tensor": (NOBODY, lambda v, s: td.tensor(v)),
    "tensor_of_list": (NOBODY, lambda v, s: td.tensor([s, s])),
    "tensor_of_mixed_list": (NOBODY, lambda v, s: td.tensor([np.float32(1), s.cpu()])),
    "list_operand": (NOBODY, lambda v, s: td.ones(2) * [s, s]),
    "pickle": (LEAF, lambda v, s: pickle.loads(pickle.dumps(v))),
    "copy": (LEAF, lambda v, s: copy.copy(v)),
    "deepcopy": (LEAF, lambda v, s: copy.deepcopy({"v": [v]})["v"][0]),
    "float": (BACKWARD, lambda v, s: float(s)),
    "int": (BACKWARD, lambda v, s: int(s)),
    "round": (BACKWARD, lambda v, s: round(s)),
    "round_to_digits": (BACKWARD, lambda v, s: round(s, 1)),
    "complex": (BACKWARD, lambda v, s: complex(s)),
    "math_sin": (BACKWARD, lambda v, s: math.sin(s)),
    "math_floor": (BACKWARD, lambda v, s: math.floor(s)),
    "math_fsum": (BACKWARD, lambda v, s: math.fsum([s, s])),
    "percent": (BACKWARD, lambda v, s: f"{'%.3f' % s}"),  # noqa: UP031
    "array_array": (BACKWARD, lambda v, s: array.array("d", [s])[0]),
    "json_of_float": (BACKWARD, lambda v, s: json.dumps({"loss": float(s)})),
    "item": (TRANSFORM, lambda v, s: s.item()),
    "tolist": (TRANSFORM, lambda v, s: v.tolist()),
    "bool_of_comparison": (TRANSFORM, lambda v, s: bool(s > 1)),
    "all_of_comparison": (TRANSFORM, lambda v, s: bool((v > 1).all())),
    "truth": (TRANSFORM, lambda v, s: 1 if s else 0),
    "in_list": (TRANSFORM, lambda v, s: s in [s, s]),
    "in_tensor": (TRANSFORM, lambda v, s: 2.0 in v),
    "sorted": (TRANSFORM, lambda v, s: sorted([s, s])[0].item()),
    "max": (TRANSFORM, lambda v, s: max([s, s]).item()),
    "str": (TRANSFORM, lambda v, s: str(v).partition(", dtype")[0]),
    "repr": (TRANSFORM, lambda v, s: repr(s).partition(", dtype")[0]),
    "format": (TRANSFORM, lambda v, s: f"{s:.3f}"),
    "detach": (TRANSFORM, lambda v, s: float(s.detach()) + v.detach().cpu().numpy().sum()),
    "stop_gradient": (TRANSFORM, lambda v, s: np.dot(*[td.stop_gradient(v).cpu()] * 2)),
}


def plain(value):
    return value.tolist() if isinstance(value, td.Tensor | np.ndarray | np.generic) else value


@pytest.fixture(autouse=True)
def numbers_of_the_tape_are_free():
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*requires grad has no derivative")
        yield


@pytest.mark.parametrize("conversion", CONVERSIONS)
@pytest.mark.parametrize("context", CONTEXTS)
def test_raises_or_is_free(context, conversion):
    missed_by, run = CONTEXTS[context]
    free, convert = CONVERSIONS[conversion]
    if missed_by > free:
        with pytest.raises(td.GradientError, match=r"detach\(\) or stop_gradient\(x\)"):
            run(convert)
        return
    expected = plain(convert(td.tensor(VALUES), td.tensor(2.5)))
    assert plain(run(convert)) == expected


def test_index_of_a_differentiated_tensor():
    """Only integers are indices, and what is differentiated is floating-point."""
    for context in ("plain", "grad"):
        with pytest.raises(td.DTypeError):
            CONTEXTS[context][1](lambda v, s: operator.index(s))


def test_element_of_an_array():
    """NumPy puts an error of its own before that of float()."""
    buffer = np.zeros(2)

    def put(v, s):
        buffer[0] = s

    with pytest.raises(ValueError) as error:
        CONTEXTS["grad"][1](put)
    assert isinstance(error.value.__cause__, td.GradientError)
    assert buffer[0] == 0
    CONTEXTS["result"][1](put)
    assert buffer[0] == 2.5


@pytest.mark.parametrize("context", CONTEXTS)
def test_save(context, tmp_path):
    missed_by, run = CONTEXTS[context]
    path = tmp_path / "x.safetensors"
    if missed_by > LEAF:
        with pytest.raises(td.GradientError, match=r"\[save\].*detach"):
            run(lambda v, s: td.save(path, {"v": v}))
        assert not path.exists()
    else:
        run(lambda v, s: td.save(path, {"v": v}))
        assert td.load(path)["v"].tolist() == VALUES


@pytest.mark.parametrize("conversion", CONVERSIONS)
def test_values_are_not_known_while_a_program_is_recorded(conversion):
    """A copy without derivative would be recorded as one, and the derivatives of the program be wrong."""
    convert = CONVERSIONS[conversion][1]

    def function(v):
        convert(v, v.sum())
        return v

    if conversion in ("str", "repr", "in_list"):  # which compares by identity first
        td.program(function, td.tensor(VALUES))
        return
    with pytest.raises(td.TraceError):
        td.program(function, td.tensor(VALUES))


# --- What is differentiated right


@pytest.mark.parametrize(
    ("function", "gradient"),
    [
        (lambda v: td.asarray(v).sum(), [1, 1]),
        (lambda v: td.asarray(v, copy=True).sum(), [1, 1]),
        (lambda v: td.copy(v).sum(), [1, 1]),
        (lambda v: td.stack([v[0], v[1]]).sum(), [1, 1]),
        (lambda v: sum(v), [1, 1]),
        (lambda v: math.prod(v), [2, 0.5]),
        (lambda v: max(v), [0, 1]),
        (lambda v: sorted(v, key=td.Tensor.item)[0], [1, 0]),
        (lambda v: pow(v[0], 2), [1, 0]),
        (lambda v: (np.float64(3) * v).sum() + (np.array([1.0, 2.0], dtype=np.float32) * v).sum(), [4, 5]),
        (lambda v: v[0] * v[1].item(), [2, 0]),
        (lambda v: v[0] * (3 if v[1] > 1 else 4), [3, 0]),
        (lambda v: v.to("cpu").sum(), [1, 1]),
    ],
)
def test_is_differentiated(function, gradient):
    x = td.tensor(VALUES)
    assert td.grad(function)(x).tolist() == gradient
    leaf = td.tensor(VALUES, requires_grad=True)
    function(leaf).backward()
    assert leaf.grad.tolist() == gradient


# --- Copies


def test_copies_of_leaves_are_leaves():
    leaf = td.tensor(VALUES, requires_grad=True)
    for other in (copy.copy(leaf), copy.deepcopy(leaf), pickle.loads(pickle.dumps(leaf))):
        assert other.requires_grad and other.is_leaf and other.tolist() == VALUES
        (other * other).sum().backward()
        assert other.grad.tolist() == [1, 4] and leaf.grad is None
    with td.no_grad():
        assert not copy.copy(result_on_tape()).requires_grad
        assert not pickle.loads(pickle.dumps(result_on_tape())).requires_grad


def test_modules_and_optimisers_are_copied():
    model = td.nn.Sequential(td.nn.Linear(2, 3), td.nn.Linear(3, 1))
    optimiser = td.optim.Adam(model.parameters(), lr=0.1)
    model(td.ones((4, 2))).sum().backward()
    optimiser.step()
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert [p.tolist() for p in other.parameters()] == [p.tolist() for p in model.parameters()]
        assert all(p.requires_grad for p in other.parameters())
    state = pickle.loads(pickle.dumps(optimiser.state_dict()))
    copy.deepcopy(optimiser).load_state_dict(state)


# --- The warning of float


def test_float_of_a_loss_warns_once():
    program = """
import warnings, tidu as td
x = td.tensor(2.0, requires_grad=True)
with warnings.catch_warnings(record=True) as seen:
    warnings.simplefilter("always")
    float(td.tensor(1.0)), x.item(), f"{x:.1f}", bool(x)
    assert not seen, seen
    assert [float(x), int(x * 2), round(x, 1), float(x)] == [2.0, 4, 2.0, 2.0]
    assert len(seen) == 1 and seen[0].category is UserWarning and "item()" in str(seen[0].message), seen
"""
    subprocess.run([sys.executable, "-c", program], check=True)


# --- Other threads


NUMBERS = {  # functions that take a number
    "a row's parameter": lambda v: td.hardtanh(td.ones(3), max_val=v),
    "a method": lambda v: td.ones(3).leaky_relu(negative_slope=v),
    "by place": lambda v: td.random.uniform(td.random.key(0), (3,), v),
    "by name": lambda v: td.trapezoid(td.ones(3), dx=v),
    "of a loss": lambda v: td.nn.functional.huber_loss(td.ones(3), td.zeros(3), delta=v),
    "or None": lambda v: td.nan_to_num(td.ones(3), posinf=v),
    "in ops": lambda v: td.addcmul(td.ones(3), td.ones(3), td.ones(3), value=v),
}


@pytest.mark.parametrize("function", NUMBERS.values(), ids=NUMBERS)
def test_a_parameter_that_is_a_number(function):
    """What is told where types are tried is not taken for an error of types."""
    x = td.tensor(0.5)
    with pytest.raises(td.GradientError, match=r"detach\(\).*stop_gradient"):
        td.grad(lambda v: function(v).sum())(x)
    with pytest.raises(td.TraceError, match="is not known while a program is recorded"):
        td.program(function, x)
    want = function(0.5).tolist()
    td.grad(lambda v: v * td.allclose(function(v.detach()), td.tensor(want)))(x)
    with td.no_grad():
        assert function(x).tolist() == want


def test_a_call_on_another_thread_raises():
    def function(x):
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(lambda: td.sin(x).sum()).result()

    with pytest.raises(td.GradientError, match=r"\[sin\].*another thread.*stop_gradient"):
        td.grad(function)(td.ones(2))
    with pytest.raises(td.GradientError, match="another thread"):
        td.jvp(function, (td.ones(2),), (td.ones(2),))


@pytest.mark.parametrize(
    "use",
    [
        lambda x: td.grad(lambda y: (x * y).sum())(td.ones(2)),
        lambda x: td.jvp(lambda y: y * y, (x,), (td.ones(2),)),
        lambda x: td.jvp(lambda y: y * y, (td.ones(2),), (x,)),
        lambda x: td.vjp(lambda y: y * y, td.ones(2))[1](x),
        lambda x: (td.ones(2, requires_grad=True) * 2).backward(x),
        lambda x: td.zeros(2).__setitem__(slice(None), x),
        lambda x: td.zeros(2).__iadd__(x),
        lambda x: td.zeros(2)[0:1].__setitem__(0, x[0]),
    ],
)
def test_other_uses_on_another_thread_raise(use):
    with pytest.raises(td.GradientError):
        CONTEXTS["other_thread"][1](lambda v, s: use(v))


def test_constants_go_to_other_threads():
    def function(x):
        y = td.arange(2.0)
        with ThreadPoolExecutor(1) as pool:
            factor = pool.submit(lambda: td.sin(y) + x.detach() + (x > 1)).result()
        return (x * factor).sum()

    expected = np.sin([0, 1]) + VALUES + np.array([0, 1])
    np.testing.assert_allclose(td.grad(function)(td.tensor(VALUES)).cpu(), expected, rtol=1e-6)


def test_backward_and_transforms_on_many_threads():
    """The tape of backward() is one for all threads, and transforms of different threads do not meet."""
    x = td.tensor(VALUES, requires_grad=True)
    with ThreadPoolExecutor(4) as pool:
        parts = list(pool.map(lambda k: (x * k).sum(), range(1, 5)))
        gradients = list(
            pool.map(lambda k: td.grad(lambda v: (k * v * v).sum())(td.ones(2)).tolist(), range(40))
        )
    sum(parts).backward()
    assert x.grad.tolist() == [10, 10]
    assert gradients == [[2.0 * k] * 2 for k in range(40)]


def test_a_value_that_leaked_from_a_live_transform_is_free_when_it_ended():
    begun, end = threading.Event(), threading.Event()
    kept = []

    def function(v):
        kept.append(v * 2)
        begun.set()
        assert end.wait(10)
        return v.sum()

    thread = threading.Thread(target=lambda: td.grad(function)(td.tensor(VALUES)))
    thread.start()
    assert begun.wait(10)
    with pytest.raises(td.GradientError, match="another thread"):
        kept[0] + 1
    with pytest.raises(td.GradientError, match="detach"):
        np.asarray(kept[0].cpu())
    assert kept[0].tolist() == [1, 4]
    end.set()
    thread.join()
    assert (kept[0] + 1).tolist() == [2, 5]
    assert np.asarray(kept[0].cpu()).tolist() == [1, 4]


# --- What a search finds, of functions that close over what is differentiated

F64 = td.float64
SEARCHES = {
    "minimize": lambda a: td.optim.minimize(lambda x: (x - a) ** 2, td.tensor(0.0, dtype=F64)).x,
    "newton-cg": lambda a: (
        td.optim.minimize(lambda x: (x - a) ** 2, td.tensor(0.0, dtype=F64), "newton-cg").x
    ),
    "gradient-flow": lambda a: (
        td.optim.minimize(lambda x: (x - a) ** 2, td.tensor(0.0, dtype=F64), "gradient-flow").x
    ),
    "of x0": lambda a: td.optim.minimize(lambda x: (x - 2) ** 2, a).x,
    "least_squares": lambda a: td.optim.least_squares(lambda x: x - a, td.zeros(1, dtype=F64)).x[0],
    "gauss-newton": lambda a: td.optim.least_squares(
        lambda x: x - a, td.zeros(1, dtype=F64), method="gauss-newton"
    ).x[0],
    "root": lambda a: td.optim.root(lambda x: x - a, td.zeros(1, dtype=F64)).x[0],
    "standard_errors": lambda a: td.optim.standard_errors(
        lambda x: (a * x * x).sum() / 16, td.zeros((), dtype=F64)
    ),
    "of residuals": lambda a: td.optim.standard_errors(
        lambda x: a * x * td.ones(2, dtype=F64) + td.tensor([4.0, -4.0], dtype=F64),
        td.zeros((), dtype=F64),
        residuals=True,
    ),
}
FITTERS = {
    "LBFGS": (td.optim.LBFGS, lambda p, a: (p - a) ** 2),
    "NewtonCG": (td.optim.NewtonCG, lambda p, a: (p - a) ** 2),
    "GradientDescent": (td.optim.GradientDescent, lambda p, a: (p - a) ** 2),
    "GradientFlow": (td.optim.GradientFlow, lambda p, a: (p - a) ** 2),
    "LevenbergMarquardt": (td.optim.LevenbergMarquardt, lambda p, a: p - a),
    "GaussNewton": (td.optim.GaussNewton, lambda p, a: p - a),
}
TRANSFORMS = {
    "grad": lambda f, a: td.grad(f)(a),
    "jvp": lambda f, a: td.jvp(f, (a,), (td.ones_like(a),)),
    "vjp": lambda f, a: td.vjp(f, a),
    "jet": lambda f, a: td.jet(f, (a,), ((td.ones_like(a), td.zeros_like(a)),)),
    "nested": lambda f, a: td.grad(td.grad(f))(a),
}


@pytest.mark.parametrize("transform", TRANSFORMS.values(), ids=TRANSFORMS)
@pytest.mark.parametrize("search", SEARCHES.values(), ids=SEARCHES)
def test_searches_refuse_what_a_transform_differentiates(search, transform):
    a = td.tensor(2.0, dtype=F64)
    with pytest.raises(td.GradientError, match=r"implicit\.argmin and implicit\.root"):
        transform(search, a)
    expected = pytest.approx(2.0, abs=1e-5)
    assert search(a).item() == expected
    assert search(td.tensor(2.0, dtype=F64, requires_grad=True)).item() == expected

    def quietly(a):
        with td.no_grad():
            x = search(a)
        return a * x + a * search(td.stop_gradient(a))

    assert td.grad(quietly)(a).item() == pytest.approx(4.0, abs=1e-5)


@pytest.mark.parametrize("search", SEARCHES.values(), ids=SEARCHES)
def test_searches_say_that_they_look_at_values(search):
    xs = td.full((3,), 2.0, dtype=F64)
    with pytest.raises(td.TraceError, match=r"control=\"loop\", or implicit\.root"):
        td.vmap(search)(xs)
    with pytest.raises(td.TraceError, match=r"looks at values"):
        td.program(search, xs[0])
    found = td.vmap(search, control="loop")(xs)
    np.testing.assert_allclose(found.cpu().numpy(), np.full(3, 2.0), atol=1e-5)


@pytest.mark.parametrize(("kind", "loss"), FITTERS.values(), ids=FITTERS)
def test_fits_of_parameters_refuse_what_a_transform_differentiates(kind, loss):
    parameter = td.tensor(0.0, dtype=F64, requires_grad=True)

    def fitted(a):
        kind([parameter]).step(lambda: loss(parameter, a))
        return parameter * a

    a = td.tensor(2.0, dtype=F64)
    with pytest.raises(td.GradientError, match=r"implicit\.argmin and implicit\.root"):
        td.grad(fitted)(a)
    assert parameter.item() == 0
    fitted(a)
    assert parameter.item() == pytest.approx(2.0, abs=1e-6)


@pytest.mark.parametrize("kind", [td.optim.SGD, td.optim.Adam, td.optim.AdamW, td.optim.RMSprop])
def test_updates_refuse_gradients_that_a_transform_differentiates(kind):
    parameter = td.tensor([1.0], requires_grad=True)
    optimizer = kind([parameter], lr=0.1)

    def updated(a):
        optimizer.update([a * td.ones(1)])
        return (parameter * parameter).sum() * a

    with pytest.raises(td.GradientError, match=r"\[update\] the gradient .*stop_gradient"):
        td.grad(updated)(td.tensor(2.0))
    assert parameter.item() == 1
    optimizer.update([td.ones(1)])
    assert parameter.item() != 1
