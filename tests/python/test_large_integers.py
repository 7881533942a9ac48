"""Numbers that are no such argument: too large, of another kind, or not at all. One line that names it."""

import ast
import copy
import re
import types

import numpy as np
import pytest
import tidu as td
from tidu import _printing

HUGE = 10**5000  # more digits than Python writes
MODULES = [
    td,
    td.nn,
    td.nn.functional,
    td.linalg,
    td.random,
    td.fft,
    td.special,
    td.data,
    td.optim,
    td.distributions,
]
DUMPS = re.compile(
    r"incompatible|Invoked with|std::|too large to|digits\) for integer|cannot fit|\b\d{25}|: float\b|arg0"
)


@pytest.mark.parametrize(
    "call, argument",
    [
        (lambda x, n: td.data.DataLoader([1], num_workers=n), "num_workers"),
        (lambda x, n: td.set_num_threads(n), "count"),
        (lambda x, n: td.topk(x, n), "k"),
        (lambda x, n: td.kthvalue(x, n), "k"),
        (lambda x, n: td.nn.functional.one_hot(td.tensor([0]), n), "num_classes"),
        (lambda x, n: td.random.randint(td.random.key(0), (2,), 0, n), "high"),
        (lambda x, n: td.chunk(x, n), "chunks"),
        (lambda x, n: td.eye(n), "n_rows"),
        (lambda x, n: td.linspace(0, 1, n), "num"),
        (lambda x, n: td.histogram(x, bins=n), "bins"),
        (lambda x, n: td.sum(x, axis=n), "axis"),
        (lambda x, n: x.softmax(n), "axis"),
        (lambda x, n: td.reshape(x, (n,)), "shape"),
        (lambda x, n: td.roll(x, n), "shift"),
        (lambda x, n: td.taylor(td.sin, 0.5, n), "order"),
        (lambda x, n: td.scatter_reduce(x, n, td.tensor([0]), x, "sum"), "axis"),
        (lambda x, n: td.segment_sum(x, td.tensor([0, 0, 1]), n), "num_segments"),
    ],
)
@pytest.mark.parametrize("number", [2**64, -(2**70), HUGE], ids=["2^64", "-2^70", "10^5000"])
def test_integers_that_fit_nowhere(call, argument, number):
    with pytest.raises(ValueError) as error:
        call(td.tensor([1.0, 2.0, 3.0]), number)
    text = str(error.value)
    assert re.fullmatch(rf"\[\w+\] [^\n]*\b{argument}\b[^\n]*", text) and len(text) < 130, text


@pytest.mark.parametrize(
    "call",
    [
        lambda: td.data.DataLoader([1], num_workers=2**31),
        lambda: td.set_num_threads(2**31),
        lambda: td.device("cuda", 2**31),
    ],
)
def test_integers_that_do_not_fit_32_bits(call):
    with pytest.raises(ValueError, match=r"\[\w+\].*2147483648"):
        call()


@pytest.mark.parametrize("number", [10**400, HUGE], ids=["10^400", "10^5000"])
def test_integers_that_are_no_floats(number):
    parameters = [td.tensor([1.0], requires_grad=True)]
    x = td.tensor([1.0, 2.0])
    for call in (
        lambda: td.optim.SGD(parameters, lr=number),
        lambda: td.optim.Adam(parameters, lr=number),
        lambda: x + number,
        lambda: number * x,
        lambda: x < number,
        lambda: td.full((2,), number),
        lambda: td.tensor([1.0, number]),
        lambda: td.tensor([1j, number]),
        lambda: td.tensor(number),
        lambda: td.tensor([number]),
        lambda: x.__setitem__(0, number),
        lambda: td.addcmul(x, x, x, value=number),
        lambda: td.clip(x, 0, number),
        lambda: td.linspace(0, number, 3),
        lambda: td.random.key(number),
        lambda: td.nn.functional.leaky_relu(x, number),
        lambda: td.optim.clip_grad_norm_(parameters, number),
    ):
        with pytest.raises(ValueError, match=r"^\[\w+\]") as error:
            call()
        assert "bits" in str(error.value) and len(str(error.value)) < 130, error.value
    for call in (lambda: x[number], lambda: x[:, number], lambda: x.__setitem__(number, 1.0)):
        with pytest.raises(IndexError, match=r"^\[\w+\][^\n]{0,120}$"):
            call()


def documented():
    """The examples of all public functions and methods."""
    seen = set()
    for module in MODULES:
        for name in dir(module):
            value = getattr(module, name, None)
            if name.startswith("_") or isinstance(value, types.ModuleType):
                continue
            members = (
                [getattr(value, m, None) for m in dir(value) if m[0] != "_"]
                if isinstance(value, type)
                else []
            )
            for member in (value, *filter(callable, members)):
                lines = [line.strip() for line in (getattr(member, "__doc__", None) or "").splitlines()]
                source = "\n".join(line[4:] for line in lines if line.startswith((">>> ", "... ")))
                if source and source not in seen:
                    seen.add(source)
                    yield f"{module.__name__}.{name}", source


def numbers_in(tree):
    """The numbers that are arguments of calls, with these."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        for value in [*node.args, *(keyword.value for keyword in node.keywords)]:
            for item in value.elts if isinstance(value, ast.Tuple) else [value]:
                if isinstance(item, ast.Constant) and isinstance(item.value, int | float):
                    yield ast.unparse(node.func), item


# Functions of the examples, what Python says of its own, and what takes anything.
LEFT_TO_PYTHON = {"range", "round", "factor", "step", "cummax", "cummin", "ShapeDtypeStruct"}


class _Put(ast.NodeTransformer):
    def __init__(self, place):
        self.place = place

    def visit_Constant(self, node):
        return ast.copy_location(ast.Name("BAD", ast.Load()), node) if node is self.place else node


@pytest.mark.parametrize(
    "bad", [HUGE, 2**63, "x", None, 1j], ids=["10^5000", "2^63", "str", "None", "complex"]
)
def test_documented_calls_with_another_number(bad, monkeypatch):
    """Each number in each example in turn: what is refused is told in one line that names the function."""
    monkeypatch.setattr(_printing, "options", {})  # where an example breaks off, what it set stays
    threads, device = td.get_num_threads(), td.get_default_device()
    wrong = []
    for name, source in documented():
        tree = ast.parse(source)
        for called, place in list(numbers_in(tree)):
            if called.rpartition(".")[2] in LEFT_TO_PYTHON:
                continue
            code = compile(
                ast.fix_missing_locations(_Put(place).visit(copy.deepcopy(tree, {id(place): place}))),
                name,
                "exec",
            )
            try:
                exec(code, {"td": td, "np": np, "BAD": bad})
            except (MemoryError, td.NonFiniteError):
                pass
            except Exception as error:
                text = str(error)
                if (
                    not re.match(r"\[\w+[\w.]*\]", text)
                    or "\n" in text
                    or len(text) > 250
                    or DUMPS.search(text)
                ):
                    wrong.append(f"{called} in {name}: {type(error).__name__}: {text[:150]}")
    td.set_num_threads(threads)
    td.set_default_device(device)
    assert not wrong, f"{len(wrong)} texts, as\n" + "\n".join(wrong[:20])
