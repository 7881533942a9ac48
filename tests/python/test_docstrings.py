"""What users have of the package: each function and class has a signature and, in its docs, an example that
shows what Python shows."""

import doctest
import importlib
import inspect
import math
import re
import sys
from pathlib import Path

import pytest
import tidu as td
from tidu import _core

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))
import rules_table  # noqa: E402
from make_site import DTYPES, MODULES, public_names  # noqa: E402

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
    for name, value in public_names(importlib.import_module(module)):
        if inspect.isroutine(value):
            parameters = inspect.signature(value).parameters
            assert all(parameter.name.isidentifier() for parameter in parameters.values()), name


# Modules whose functions say of each of several parameters what it is.
DOCUMENTED = [
    "tidu._control",
    "tidu._directional",
    "tidu._krylov",
    "tidu._matrix_functions",
    "tidu._transforms",
    "tidu._vmap",
]


@pytest.mark.cpu_only("looks at docs")
@pytest.mark.parametrize("module", DOCUMENTED)
def test_parameters_and_results_have_sections(module):
    own = vars(importlib.import_module(module))
    functions = {
        name: value
        for name, value in (*public_names(td), *public_names(td.linalg))
        if inspect.isfunction(own.get(name))
        and own[name].__module__ == module
        and inspect.unwrap(value) is inspect.unwrap(own[name])
    }
    assert functions
    for name, value in functions.items():
        parameters = list(inspect.signature(value).parameters)
        if len(parameters) < 2:
            continue
        doc = inspect.getdoc(value)
        section = re.search(r"\nParameters\n-+\n(.*?)\n\n\w+\n-+\n", doc, re.DOTALL)
        assert section and "\nReturns\n---" in doc, name
        told = re.findall(r"^([*\w][*\w, ]*?)(?: : .*)?$", section[1], re.MULTILINE)
        names = [part.strip("* ") for line in told for part in line.split(",")]
        assert sorted(names) == sorted(parameters), name


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
    assert {row.types for row in rules_table.rows().values()} <= DTYPES.keys()
