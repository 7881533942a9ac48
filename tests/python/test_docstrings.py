"""What users have of the package: each function and class has a signature and, in its docs, an example that
shows what Python shows."""

import builtins
import doctest
import importlib
import inspect
import math
import re
import sys
from pathlib import Path

import pytest
import tidu as td
from numpydoc.validate import Validator, get_doc_object
from tidu import _core
from tidu._meanings import _GROUPS, ERRORS, KINDS

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))
import rules_table  # noqa: E402
from make_site import MODULES, public_names  # noqa: E402

PACKAGE = Path(td.__file__).parent
SOURCES = [
    ".".join(("tidu", *path.relative_to(PACKAGE).with_suffix("").parts))
    for path in sorted(PACKAGE.rglob("*.py"))
    if ">>>" in path.read_text(encoding="utf-8") and path.name != "cuda.py"
]
NUMBER = re.compile(r"(?<![\w.])-?\d+\.\d*(?:e[+-]\d+)?")
NO_EXAMPLE = {  # and why
    "tidu.typing.Array": "a protocol",
}


class Near(doctest.OutputChecker):
    """Takes a number for another that float32 hardly tells from it: processors differ in the last bits."""

    def check_output(self, want, got, optionflags):
        if super().check_output(want, got, optionflags):
            return True
        shape = lambda text: "".join(NUMBER.sub("#", text).split())
        return shape(want) == shape(got) and all(
            math.isclose(float(a), float(b), rel_tol=2e-6, abs_tol=2e-7)
            for a, b in zip(NUMBER.findall(want), NUMBER.findall(got), strict=True)
        )


def run(tests):
    complaints = []
    runner = doctest.DocTestRunner(Near(), optionflags=doctest.ELLIPSIS)
    for test in tests:
        runner.run(test, out=complaints.append)
    assert runner.tries and not complaints, "".join(complaints)


def of_docs(values):
    parser = doctest.DocTestParser()
    return [
        parser.get_doctest(inspect.getdoc(value) or "", {"td": td}, name, None, 0)
        for name, value in values.items()
    ]


def of_the_extension():
    """The functions of the extension module, those of its modules and the methods of Tensor."""
    return {
        f"{place}.{name}": value
        for place, owner in {"_core": _core, "Tensor": _core.Tensor, **_modules()}.items()
        for name, value in vars(owner).items()
        if (inspect.isroutine(value) or inspect.isclass(value)) and ">>>" in (value.__doc__ or "")
    }


def _modules():
    return {name: getattr(_core, name) for name in ("linalg", "random", "_training")}


@pytest.mark.cpu_only("shows tensors as they are on device cpu")
@pytest.mark.parametrize("name", SOURCES)
def test_examples(name):
    run(doctest.DocTestFinder().find(importlib.import_module(name), globs={"td": td}))


@pytest.mark.cpu_only("shows tensors as they are on device cpu")
def test_examples_of_the_extension():
    values = of_the_extension()
    assert len(values) > 500
    run(of_docs(values))


@pytest.mark.cpu_only("begins an emulation of device cuda")
def test_examples_of_cuda(cuda_beside_cpu):
    values = dict(public_names(td.cuda))
    del values["traffic"]  # which only the checked emulation has
    run(of_docs(values))


@pytest.mark.cpu_only("looks at docs")
@pytest.mark.parametrize("module", MODULES)
def test_whatever_is_public_has_an_example(module):
    lacking = [
        name
        for name, value in public_names(importlib.import_module(module))
        if ">>>" not in (inspect.getdoc(value) or "")
        and not (inspect.isclass(value) and issubclass(value, (BaseException, tuple)))
        and f"{module}.{name}" not in NO_EXAMPLE
    ]
    assert lacking == []


@pytest.mark.cpu_only("looks at signatures")
@pytest.mark.parametrize("module", MODULES)
def test_whatever_is_public_has_a_signature(module):
    """With the names by which parameters are given and the defaults that they have."""
    for name, value in documented(module):
        if value is not td.device:  # which is made in two ways
            for parameter in inspect.signature(value).parameters.values():
                assert parameter.name.isidentifier() and not re.fullmatch(r"arg\d+", parameter.name), name
                assert parameter.default is not ..., (name, parameter)


def documented(module):
    """The functions, classes and methods of a module whose docs users read, by name."""
    for name, value in public_names(importlib.import_module(module)):
        if not inspect.isclass(value):
            yield f"{module}.{name}", value
        elif not issubclass(value, (BaseException, tuple)) and f"{module}.{name}" not in NO_EXAMPLE:
            yield f"{module}.{name}", value
            for key in dir(value):
                member = getattr(value, key, None)  # of Tensor, some names say what something is called
                if not key.startswith("_") and inspect.isroutine(member) and callable(member):
                    yield f"{module}.{name}.{key}", member


def gives_nothing(value):
    """Whether a function has no result, as its hints or, where C++ binds it, its signature says."""
    try:
        told = inspect.signature(value).return_annotation
    except ValueError:
        return True
    owners = ("", "Tensor.", "linalg.", "random.", "_training.", "_cuda.Event.", "_cuda.Stream.")
    signatures = [
        _core._signatures[f"{owner}{value.__name__}"]
        for owner in owners
        if f"{owner}{value.__name__}" in _core._signatures
    ]
    return told in (None, "None", "NoReturn") or (
        told is inspect.Signature.empty and any(signature.endswith(" -> None") for signature in signatures)
    )


def faults_of(value):
    """What a doc does not say of parameters and results, as numpydoc reads it."""
    doc = Validator(get_doc_object(value))
    if not doc.raw_doc:
        return [] if inspect.getdoc(value) else ["no doc"]  # that of what it overrides
    faults = [message for _, message in doc.parameter_mismatches]
    faults += [f"nothing is said of {name}" for name, (_, text) in doc.doc_all_parameters.items() if not text]
    if not (inspect.isclass(value) or doc.returns or doc.yields or gives_nothing(value)):
        faults.append("no section Returns")
    return faults


@pytest.mark.cpu_only("looks at docs")
@pytest.mark.parametrize("module", MODULES)
def test_docs_say_what_parameters_and_results_are(module):
    faults = {name: found for name, value in documented(module) if (found := faults_of(value))}
    faults.pop("tidu.tree.register", None)  # whose first parameter, cls, numpydoc takes for a classmethod's
    assert faults == {}


@pytest.mark.cpu_only("looks at docs")
def test_nothing_is_said_of_what_there_is_not():
    parameters = {}
    for module in MODULES:
        place = module.replace("nn.functional", "nn").removeprefix("tidu").removeprefix(".")
        for name, value in documented(module):
            own = name.removeprefix(f"{module}.")
            try:
                names = set(inspect.signature(value).parameters)
            except ValueError:
                continue
            for key in (f"{place}.{own}".strip("."), f"{place}.*"):
                parameters[key] = parameters.get(key, set()) | names
    for places, meanings in _GROUPS.items():
        assert [place for place in places.split() if place not in parameters] == []
        known = set().union(*(parameters[place] for place in places.split()))
        assert [name for name in meanings if name.strip("*") not in known | {"returns"}] == [], places


# --- The dtypes that docs name

BOOL, COMPLEX = {td.bool}, {td.complex64, td.complex128}
INTEGERS = {td.uint8, td.uint16, td.uint32, td.uint64, td.int8, td.int16, td.int32, td.int64}
WIDE, NARROW = {td.float32, td.float64}, {td.float16, td.bfloat16}
REAL = BOOL | INTEGERS | WIDE | NARROW
SAID = {  # in the text of the first parameter, the first that fits
    "float32, float64 or complex; integers are first converted": WIDE | COMPLEX | INTEGERS,
    "floating-point or complex; integers": WIDE | NARROW | COMPLEX | INTEGERS,
    "floating-point; integers and bool are first converted": REAL,
    "floating-point; integers are first converted": REAL - BOOL,
    "integers and bool are first cast to float32; complex64": REAL | COMPLEX,
    "integers and bool are first cast to float32": REAL,
    "every real dtype but bool; complex64": (REAL - BOOL) | COMPLEX,
    "every real dtype; complex64": REAL | COMPLEX,
    "real dtype but bool": REAL - BOOL,
    "any dtype but bool": (REAL - BOOL) | COMPLEX,
    "real dtype": REAL,
    "bool and the integer dtypes": BOOL | INTEGERS,
    "bool; others are first cast": REAL | COMPLEX,
    "any shape and dtype": REAL | COMPLEX,
    "any dtype": REAL | COMPLEX,
    "floating-point.": WIDE | NARROW,
}
GIVEN = {  # in the text of the result: what comes of a dtype
    "of the shape and dtype of x; float32": lambda dtype: (
        dtype if dtype in WIDE | NARROW | COMPLEX else td.float32
    ),
    "of the shape and dtype of x.": lambda dtype: dtype,
    "in the dtype of x, float32 of integers": lambda dtype: (
        dtype if dtype in WIDE | NARROW | COMPLEX else td.float32
    ),
    "in the dtype of x, of the shape": lambda dtype: dtype,
    "promoted, float32 of integers": lambda dtype: dtype if dtype in WIDE | NARROW | COMPLEX else td.float32,
    "promoted, of the shape": lambda dtype: dtype,
    "bool, of the shape": lambda dtype: td.bool,
    "int64, of the shape": lambda dtype: td.int64,
    "a view": lambda dtype: dtype,
}


def said_by(table, text):
    text = " ".join(text).lower()
    return next((value for key, value in table.items() if key in text), None)


def of_tensors_alone(module):
    """Functions that one tensor is enough for, or two, or one and an axis, with what is said of them."""
    for name, value in public_names(importlib.import_module(module)):
        if inspect.isclass(value):
            continue
        parameters = inspect.signature(value).parameters.values()
        needed = [p.name for p in parameters if p.default is p.empty and p.kind != p.VAR_POSITIONAL]
        if needed in (["x"], ["x", "axis"], ["a", "b"]):
            doc = Validator(get_doc_object(value))
            taken = said_by(SAID, doc.doc_all_parameters[needed[0]][1])
            is_alike = needed[-1] != "b" or doc.doc_all_parameters["b"][1][0].startswith("As a")
            if taken is not None and is_alike:
                call = {"b": lambda x, f=value: f(x, x), "axis": lambda x, f=value: f(x, 0)}.get(
                    needed[-1], value
                )
                yield name, call, taken, said_by(GIVEN, doc.returns[0].desc if doc.returns else [])


@pytest.mark.cpu_only("asks for what does not depend on the device")
@pytest.mark.parametrize(
    ("module", "least"),
    [("tidu", 150), ("tidu.linalg", 10), ("tidu.special", 20), ("tidu.nn.functional", 10)],
)
def test_docs_name_the_dtypes(module, least):
    functions = list(of_tensors_alone(module))
    assert len(functions) >= least
    for name, call, taken, given in functions:
        for dtype in REAL | COMPLEX:
            x = td.ones(2, dtype=dtype) if module != "tidu.linalg" else td.eye(2, dtype=dtype)
            try:
                result = call(x)
            except (td.DTypeError, TypeError):
                assert dtype not in taken, (name, dtype)
            except (td.ShapeError, IndexError):  # of what takes no vector
                continue
            else:
                assert dtype in taken or dtype in BOOL, (name, dtype)
                if given is not None:
                    assert result.dtype == given(dtype), (name, dtype)


# --- The errors that docs name

X, ROW = td.ones((2, 3)), td.ones(2)
IMAGE = lambda rank, channels=1: td.ones((1, channels, *(2,) * rank))
RAISING = [  # names, the error, a call
    ("reshape", "ShapeError", lambda f: f(X, (4,))),
    ("permute_dims", "ValueError", lambda f: f(X, (0, 0))),
    ("broadcast_to", "ShapeError", lambda f: f(X, (4,))),
    ("squeeze", "ShapeError", lambda f: f(X, 0)),
    ("concat stack", "ShapeError", lambda f: f([X, td.ones((3, 2))])),
    ("split", "ShapeError", lambda f: f(X, 2, 1)),
    ("take", "IndexError", lambda f: f(X, td.tensor([5])).sum().item()),
    ("take_along_axis", "IndexError", lambda f: f(X, td.tensor([[5]])).sum().item()),
    ("gather", "IndexError", lambda f: f(X, 0, td.tensor([[5]])).sum().item()),
    ("index_add", "IndexError", lambda f: f(X, 0, td.tensor([5]), 1.0).sum().item()),
    (
        "scatter_add scatter_set scatter_multiply scatter_min scatter_max",
        "IndexError",
        lambda f: f(X, td.tensor([5]), 1.0).sum().item(),
    ),
    (
        "sum prod mean var std sum_of_squares any all count_nonzero median",
        "IndexError",
        lambda f: f(X, axis=2),
    ),
    ("max min argmax argmin aminmax", "ValueError", lambda f: f(td.zeros(0))),
    ("matmul", "ShapeError", lambda f: f(X, X)),
    ("einsum", "ShapeError", lambda f: f("ij,jk", X, X)),
    ("trace", "ShapeError", lambda f: f(ROW)),
    ("cross", "ShapeError", lambda f: f(ROW, ROW)),
    ("moveaxis", "ValueError", lambda f: f(X, (0, 1), (0,))),
    ("topk kthvalue", "ValueError", lambda f: f(X, 5)),
    ("bincount", "ValueError", lambda f: f(td.tensor([-1]))),
    ("quantile nanquantile", "ValueError", lambda f: f(X, 2.0)),
    ("cumulative_sum cumulative_prod cummax cummin logcumsumexp", "ValueError", lambda f: f(X)),
    ("arange", "ValueError", lambda f: f(0, 5, 0)),
    ("tensor", "ShapeError", lambda f: f([[1], [1, 2]])),
    ("linalg.inv", "ValueError", lambda f: f(td.zeros((2, 2))).sum().item()),
    ("linalg.inv", "ShapeError", lambda f: f(X)),
    ("linalg.solve", "ValueError", lambda f: f(td.zeros((2, 2)), ROW).sum().item()),
    ("linalg.solve", "ShapeError", lambda f: f(X, ROW)),
    ("linalg.cholesky", "ValueError", lambda f: f(-td.eye(2)).sum().item()),
    ("linalg.eigh linalg.eigvalsh linalg.det linalg.slogdet", "ShapeError", lambda f: f(X)),
    ("linalg.svd linalg.svdvals linalg.qr", "ShapeError", lambda f: f(ROW)),
    ("linalg.lstsq", "ShapeError", lambda f: f(X, td.ones(3))),
    ("nn.cross_entropy nn.nll_loss", "ShapeError", lambda f: f(X, td.tensor([0]))),
    ("nn.cross_entropy nn.nll_loss", "IndexError", lambda f: f(X, td.tensor([5, 0])).item()),
    ("nn.mse_loss nn.l1_loss nn.huber_loss nn.smooth_l1_loss", "ShapeError", lambda f: f(X, td.ones((2, 2)))),
    (
        "nn.mse_loss nn.l1_loss nn.huber_loss nn.smooth_l1_loss",
        "ValueError",
        lambda f: f(X, X, reduction="no"),
    ),
    ("nn.gaussian_nll_loss", "ValueError", lambda f: f(X, X, -X)),
    *(
        (
            f"nn.conv{rank}d",
            error,
            lambda f, rank=rank, outputs=outputs, size=size, groups=groups: f(
                IMAGE(rank, 3), td.ones((outputs, 3 // groups, *(size,) * rank)), groups=groups
            ),
        )
        for rank in (1, 2, 3)
        for error, outputs, size, groups in (("ShapeError", 1, 3, 1), ("ValueError", 2, 1, 2))
    ),
    *((f"nn.max_pool{rank}d", "ShapeError", lambda f, rank=rank: f(IMAGE(rank), 3)) for rank in (1, 2, 3)),
    ("nn.linear", "ShapeError", lambda f: f(X, td.ones((2, 2)))),
    ("nn.embedding", "IndexError", lambda f: f(td.tensor([5]), X).sum().item()),
    ("nn.dropout", "ValueError", lambda f: f(X, 2.0, td.random.key(0))),
    ("nn.layer_norm nn.rms_norm", "ShapeError", lambda f: f(X, (2,))),
    ("nn.glu", "ShapeError", lambda f: f(X)),
    ("nn.group_norm", "ValueError", lambda f: f(td.ones((1, 3, 2)), 2)),
    ("random.key", "ValueError", lambda f: f(-1)),
    ("random.randint", "ValueError", lambda f: f(td.random.key(0), (2,), 3, 3)),
    ("Tensor.reshape", "ShapeError", lambda f: f(X, 4)),
    ("Tensor.permute_dims", "ValueError", lambda f: f(X, 0, 0)),
    ("Tensor.backward", "ShapeError", lambda f: f(td.ones(2, requires_grad=True))),
    ("Tensor.item", "ShapeError", lambda f: f(ROW)),
    ("Tensor.numpy", "GradientError", lambda f: f(td.ones(2, requires_grad=True))),
    ("astype", "DTypeError", lambda f: f(td.tensor([1j]), td.float32)),
    ("masked_select", "DTypeError", lambda f: f(X, td.ones(3))),
    ("index_put", "ShapeError", lambda f: f(X, 0, td.ones(5))),
]


@pytest.mark.cpu_only("has tensors of device cpu")
def test_docs_name_the_errors():
    tried = set()
    for names, error, call in RAISING:
        for name in names.split():
            function = td
            for part in name.replace("nn.", "nn.functional.").split("."):
                function = getattr(function, part)
            with pytest.raises(getattr(td, error, None) or getattr(builtins, error)):
                call(function)
            assert "\nRaises\n------\n" in function.__doc__ and f"\n{error}\n" in function.__doc__, name
            tried.add((name, error))
    assert tried == {(name, error) for name, errors in ERRORS.items() for error in errors}


@pytest.mark.cpu_only("looks at signatures")
def test_methods_of_tensors_have_signatures():
    for name in dir(td.ones(())):
        value = getattr(td.Tensor, name)
        if inspect.isroutine(value) and not name.startswith("__"):
            assert "self" in inspect.signature(value).parameters, name


@pytest.mark.cpu_only("compares texts")
def test_examples_are_compared():
    check = lambda want, got: Near().check_output(want, got, 0)
    assert check("tensor([0.84147096, 1.])\n", "tensor([0.84147102, 1.])\n")
    assert not check("tensor([0.8414, 1.])\n", "tensor([0.8415, 1.])\n")
    assert not check("tensor([1.])\n", "tensor([1., 2.])\n")
    assert not check("(2, 3)\n", "(2, 4)\n")


@pytest.mark.cpu_only("reads files of the repository")
def test_the_site_can_say_the_dtypes_of_every_row():
    assert {row.types for row in rules_table.rows().values()} <= KINDS.keys()
