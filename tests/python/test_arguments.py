"""What is said of arguments that do not fit: one line, which names the function and what would be right."""

import inspect
import pickle

import numpy as np
import pytest
import tidu as td
import tidu.cpu
import tidu.cuda
import tidu.data
import tidu.io
import tidu.nn
import tidu.nn.functional
import tidu.nn.init
import tidu.optim
import tidu.viz
from tidu._spellings import NO_METHODS

MODULES = [
    td,
    td.random,
    td.linalg,
    td.nn,
    td.nn.functional,
    td.nn.init,
    td.optim,
    td.data,
    td.io,
    td.viz,
    td.cpu,
]
# What takes anything: classes of errors and tuples, containers of anything, functions that call a function.
ANY = {
    "GradientError",
    "result_type",
    "broadcast_arrays",
    "program",
    "tree_map",
    "functional_call",
    "Identity",
}


def public():
    for module in MODULES:
        names = getattr(module, "__all__", None) or [name for name in dir(module) if not name.startswith("_")]
        for name in names:
            value = getattr(module, name)
            is_error = isinstance(value, type) and issubclass(value, BaseException | tuple)
            if callable(value) and not is_error and name not in ANY:
                yield f"{module.__name__}.{name}", value
    for name in dir(td.Tensor):
        value = getattr(td.Tensor, name, None)
        if not name.startswith("_") and callable(value):
            yield f"Tensor.{name}", getattr(td.ones((2, 2)), name)


PUBLIC = dict(public())


class Foreign:
    """What is no argument of any function."""


def check(error, name):
    text = str(error)
    short = name.rpartition(".")[2]
    assert "\n" not in text and len(text) < 300, text
    assert short in text and "incompatible" not in text and "Foreign object" not in text, text


def takes_any_number(function):
    try:
        kinds = {p.kind for p in inspect.signature(function).parameters.values()}
    except (TypeError, ValueError):
        return "*args" in (function.__doc__ or "").split("\n")[0]
    return inspect.Parameter.VAR_POSITIONAL in kinds


@pytest.mark.parametrize("name", PUBLIC)
def test_unknown_keywords(name):
    function = PUBLIC[name]
    if "metadata" in name:
        return
    try:
        keywords = {p.kind for p in inspect.signature(function).parameters.values()}
    except (TypeError, ValueError):
        keywords = set()
    if inspect.Parameter.VAR_KEYWORD in keywords and not isinstance(function, type):
        return
    with pytest.raises(TypeError) as caught:
        function(no_such_argument=1)
    check(caught.value, name)


@pytest.mark.parametrize("name", [name for name in PUBLIC if not takes_any_number(PUBLIC[name])])
def test_too_many_arguments(name):
    with pytest.raises(TypeError) as caught:
        PUBLIC[name](*[1] * 30)
    check(caught.value, name)


def count_of_needed(function):
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        head = (function.__doc__ or "").split("\n")[0]
        from tidu._arguments import _parse

        parameters = [p for p in _parse(head).parameters.values() if p.name != "self"] if "(" in head else []
    return sum(
        p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in parameters
    )


BOUND = [
    name
    for name, value in PUBLIC.items()
    if (inspect.isbuiltin(value) or inspect.ismethod(value)) and name != "Tensor.to_device"  # which is `to`
]


@pytest.mark.parametrize("name", [name for name in BOUND if count_of_needed(PUBLIC[name])])
def test_wrong_types(name):
    function = PUBLIC[name]
    with pytest.raises(TypeError) as caught:
        function(*[Foreign()] * count_of_needed(function))
    check(caught.value, name)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: td.ones(2, 3), r"\[ones\] .*ones\(\(2, 3\)\)"),
        (lambda x: td.zeros(2, 3), r"\[zeros\] .*zeros\(\(2, 3\)\)"),
        (lambda x: td.random.normal(()), r"key, .*random.key\(seed\).*, comes first"),
        (lambda x: td.random.normal((2, 3)), "comes first"),
        (lambda x: td.random.key(1.5), r"\[key\] takes integers .*, not float"),
        (lambda x: td.random.normal(size=3), r"\(it is called shape\)"),
        (lambda x: td.concat([x, x], dim=1), r"\[concat\] .*'dim' \(it is called axis\)"),
        (lambda x: td.concat([x, x], axis=1.0), r"\[concat\] .*'axis' must be int or None, not float"),
        (lambda x: td.linalg.vector_norm(x, dim=0), r"\(it is called axis\)"),
        (lambda x: td.linalg.vector_norm(x, 1), r"by name: axis, keepdims, ord"),
        (lambda x: td.nn.Linear(in_features=3, out_features=4), r"\[Linear\] .*'in_features' \(.* inputs\)"),
        (lambda x: td.nn.Linear(3), r"\[Linear\] needs the argument 'outputs'"),
        (lambda x: td.nn.LayerNorm(normalized_shape=3), r"\(it is called shape\)"),
        (lambda x: td.nn.Embedding(num_embeddings=3, embedding_dim=4), r"\(it is called count\)"),
        (lambda x: td.nn.Softmax(dim=1), r"\(it is called axis\)"),
        (lambda x: td.nn.Flatten(start_dim=1), r"\(it is called start_axis\)"),
        (lambda x: td.nn.SiLU(3), r"\[SiLU\] takes no arguments"),
        (lambda x: td.nn.GELU(3), r"\[GELU\] approximate must be 'none' or 'tanh', not 3"),
        (lambda x: td.nn.functional.cross_entropy(input=x, target=x), r"\(it is called logits\)"),
        (lambda x: td.optim.SGD([x], learning_rate=0.1), r"\[SGD\] .*\(it is called lr\)"),
        (lambda x: td.optim.SGD(x), r"\[SGD\] params must be a sequence"),
        (lambda x: td.data.DataLoader([1], batchsize=2), r"\(it is called batch_size\)"),
        (lambda x: td.data.read_csv("a.csv", sep=";"), r"\(it is called delimiter\)"),
        (lambda x: td.grad(td.sum, has_auxx=True), r"\[grad\] .*\(it is called has_aux\)"),
        (lambda x: td.value_and_grad(lambda x: (x.sum(), 3))(x), "pass has_aux=True"),
        (lambda x: td.hessian(lambda x: (x.sum(), x))(x), "pass has_aux=True"),
        (lambda x: td.einsum("ij,jk", x, "a"), r"\[einsum\] takes subscripts and tensors"),
        (lambda x: td.tensordot(x, x, "ab"), r"\[tensordot\] takes a number of axes"),
        (lambda x: td.pad(x, "a"), r"\[pad\] takes a width"),
        (lambda x: td.split(x, "a"), r"\[split\] takes a number of parts"),
        (lambda x: x.backward("a"), r"\[backward\] .*'gradient' must be Tensor or None"),
        (lambda x: td.device(3.5), r"\[device\] takes \(device\) or \(type, index\)"),
        (lambda x: td.eye(2.5), r"\[eye\] the argument 'n_rows' must be int, not float"),
        (lambda x: setattr(x, "grad", "a"), r"\[grad\] takes a tensor or None"),
        (lambda x: setattr(x, "requires_grad", Foreign), r"\[requires_grad\] takes True or False"),
    ],
)
def test_remedies(call, message):
    with pytest.raises((TypeError, ValueError), match=message) as caught:
        call(td.ones((2, 2)))
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 300


def test_errors_from_inside_pass():
    def fails(x):
        raise TypeError("mine() takes 1 positional argument but 2 were given")

    with pytest.raises(TypeError, match="mine"):
        td.grad(fails)(td.ones(2))
    with pytest.raises(TypeError, match="mine"):
        td.optim.minimize(fails, td.ones(2))


def test_functions_are_pickled():
    assert pickle.loads(pickle.dumps(td.grad)) is td.grad
    assert str(inspect.signature(td.nn.Linear)).startswith(
        "(inputs: 'int', outputs: 'int', bias: 'bool' = True"
    )


# --- NumPy's functions

UFUNCS = [
    "sin",
    "exp",
    "sqrt",
    "arctan",
    "absolute",
    "negative",
    "square",
    "isfinite",
    "floor",
    "log1p",
    "rint",
]
BINARY = ["add", "multiply", "true_divide", "maximum", "power", "arctan2", "hypot", "less", "equal"]


@pytest.mark.parametrize("name", UFUNCS + BINARY)
def test_ufuncs_give_tensors(name, device):
    ufunc = getattr(np, name)
    rows = np.random.default_rng(0).uniform(0.1, 2, (2, 3, 4)).astype(np.float32)[: ufunc.nin]
    got = ufunc(*[td.tensor(row) for row in rows])
    assert isinstance(got, td.Tensor) and got.device == device
    np.testing.assert_allclose(got.cpu().numpy(), ufunc(*rows), rtol=1e-6)


def test_ufuncs_are_differentiated():
    x = td.tensor([0.5, 1.5])
    got = td.grad(lambda x: np.sum(np.sin(x) * np.array([2.0, 3.0], np.float32)))(x)
    np.testing.assert_allclose(got.cpu().numpy(), np.cos([0.5, 1.5]) * [2, 3], rtol=1e-6)
    assert td.grad(lambda x: np.sum(np.stack([x, 2 * x])))(x).tolist() == [3, 3]
    assert td.grad(lambda x: np.where([True, False], x, 0.0).sum())(x).tolist() == [1, 0]
    assert td.jvp(np.exp, (td.zeros(2),), (td.ones(2),))[1].tolist() == [1, 1]
    x.requires_grad = True
    np.concatenate([x, x**2]).sum().backward()
    assert x.grad.tolist() == [2, 4]


def test_operators_of_arrays_give_tensors():
    array, x = np.array([1.0, 2.0], np.float32), td.tensor([3.0, 4.0])
    for got, want in (
        (array + x, [4, 6]),
        (array @ x, 11),
        (array < x, [True, True]),
        (np.float64(2) * x, [6, 8]),
        (array**x, [1, 16]),
    ):
        assert isinstance(got, td.Tensor) and got.tolist() == want
    assert (np.float64(2) * x).dtype is td.float32
    if x.device.type == "cpu":
        array += x
        assert isinstance(array, np.ndarray) and array.tolist() == [4, 6]
        with pytest.raises(td.GradientError):
            td.grad(lambda x: np.add(array, x, out=array).sum())(x)


@pytest.mark.parametrize(
    "call",
    [
        lambda x: np.sum(x, axis=1),
        lambda x: np.mean(x, 0, keepdims=True),
        lambda x: np.std(x, ddof=1),
        lambda x: np.var(x),
        lambda x: np.max(x, axis=0),
        lambda x: np.amin(x),
        lambda x: np.argmax(x, axis=1),
        lambda x: np.concatenate([x, x], axis=1),
        lambda x: np.stack((x, x)),
        lambda x: np.reshape(x, (3, 2)),
        lambda x: np.transpose(x),
        lambda x: np.transpose(x, (1, 0)),
        lambda x: np.expand_dims(x, 0),
        lambda x: np.swapaxes(x, 0, 1),
        lambda x: np.clip(x, 1, 3),
        lambda x: np.where(x > 2, x, 0.0),
        lambda x: np.einsum("ij,kj->ik", x, x),
        lambda x: np.tensordot(x, x.T, 1),
        lambda x: np.outer(x[0], x[1]),
        lambda x: np.zeros_like(x),
        lambda x: np.full_like(x, 3.0),
        lambda x: np.prod(x, axis=1),
        lambda x: np.ravel(x),
        lambda x: np.flip(x, 1),
        lambda x: np.round(x),
        lambda x: np.sort(x, 0),
        lambda x: np.argsort(-x, axis=1),
        lambda x: np.median(x, 1),
        lambda x: np.quantile(x, [0.2, 0.7], axis=0, method="hazen"),
        lambda x: np.searchsorted(x[0], x, "right"),
        lambda x: np.sqrt(x, dtype=np.float64),
    ],
)
def test_numpy_functions_give_tensors(call):
    array = np.arange(6, dtype=np.float32).reshape(2, 3) * 0.9
    got, want = call(td.tensor(array)), call(array)
    assert isinstance(got, td.Tensor) and got.shape == want.shape
    np.testing.assert_allclose(got.cpu().numpy(), want, rtol=1e-6)


def test_numpy_functions_of_arrays_alone():
    x = td.tensor([3.0, 1.0, 2.0]).cpu()
    assert np.allclose(x, x) is True and np.array_equal(x, [3, 1, 2])
    assert isinstance(np.partition(x, 1), np.ndarray) and np.partition(x, 1)[0] == 1
    with pytest.raises(td.GradientError, match="detach"):
        td.grad(lambda x: td.sum(td.asarray(np.partition(x, 1))))(x)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: np.add.reduce(x), r"\[np.add.reduce\] .*call td.sum\(x\)"),
        (lambda x: np.frexp(x), r"\[np.frexp\] does not take tensors .*x.numpy\(\)"),
        (lambda x: np.sin(x, where=x > 0), r"\[np.sin\] takes no where .*call td.sin"),
        (lambda x: np.round(x, 2), r"\[np.round\] takes no 'decimals'"),
        (lambda x: np.sum(x, initial=3), r"\[np.sum\] takes no 'initial'"),
    ],
)
def test_what_numpy_cannot_do_says_what_to_call(call, message):
    with pytest.raises(TypeError, match=message):
        call(td.tensor([1.0, 2.0]))


@pytest.mark.parametrize(
    ("use", "own"),
    [
        (lambda x: td.ones(2, dtype=td.long), "int64"),
        (lambda x: td.bernoulli(x), "random.bernoulli"),
        (lambda x: td.jit(td.sin), "compile"),
        (lambda x: x.float, r"float32, as in x.astype\(td.float32\)"),
        (lambda x: x.add_, r"x \+= y"),
        (lambda x: x.data, r"detach\(\)"),
        (lambda x: td.nn.utils.clip_grad_norm_(x, 1), "td.optim, as in td.optim.clip_grad_norm_"),
        (lambda x: td.nn.functional.pad(x, (1, 1)), "td.pad"),
        (lambda x: td.nn.init.xavier_uniform_(x), "xavier_uniform"),
        (lambda x: td.optim.lr_scheduler.StepLR, "td.optim itself, as in td.optim.StepLR"),
        (lambda x: td.optim.CosineAnnealingLR(x), "CosineLR"),
        (lambda x: td.optim.clip_grad_norm([x], 1), "clip_grad_norm_"),
        (lambda x: td.linalg.norm(x), "vector_norm or matrix_norm"),
        (lambda x: td.random.PRNGKey(0), "key"),
        (lambda x: td.lax.scan, "scan, cond"),
        (lambda x: x.astype(td.half), "float16"),
        (lambda x: x.to(td.double), "float64"),
        (lambda x: x + td.permute, "permute_dims"),
    ],
)
def test_names_of_other_libraries(use, own):
    with pytest.raises((AttributeError, TypeError), match=rf"\(it is called {own}"):
        use(td.ones(2))


def test_functions_that_are_no_methods():
    for name in NO_METHODS:
        assert callable(getattr(td, name))
        with pytest.raises(AttributeError, match=rf"\(it is a function: td.{name}\(x, ..\)\)"):
            getattr(td.ones(2), name)
        assert name not in dir(td.ones(2))
    with pytest.raises(AttributeError, match=r"module 'tidu.optim' has no attribute 'SparseAdam'$"):
        td.optim.SparseAdam  # noqa: B018
