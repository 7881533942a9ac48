"""Writes _core.pyi, random.pyi and linalg.pyi, the types of the extension module, from its docs into a
folder.

The build does it, with the package that it made on PYTHONPATH.
"""

import inspect
import re
import sys
from pathlib import Path

HEAD = '''# ruff: noqa
"""Types of the extension module; written by scripts/make_stubs.py."""

import builtins
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeAlias, overload

import numpy as _np

_TensorLike: TypeAlias = Any  # a tensor, a number, a nested sequence or an array
_Shape: TypeAlias = builtins.int | Sequence[builtins.int]

class dtype:
    """The type of a tensor's elements: tidu.float32, tidu.int64, ..."""
    def __init__(self, dtype: _DTypeLike) -> None: ...
    @property
    def name(self) -> builtins.str: ...
    @property
    def itemsize(self) -> builtins.int: ...
    @property
    def is_floating_point(self) -> builtins.bool: ...

class device:
    """Where a tensor lives: device('cpu'), device('cuda'), device('cuda', 1). In a with statement tensors are
    made there where no device is named."""
    @overload
    def __init__(self, device: _DeviceLike) -> None: ...
    @overload
    def __init__(self, type: builtins.str, index: builtins.int) -> None: ...
    @property
    def type(self) -> builtins.str: ...
    @property
    def index(self) -> builtins.int: ...
    def __enter__(self) -> device: ...
    def __exit__(self, *args: Any) -> None: ...

_DType: TypeAlias = dtype
_Device: TypeAlias = device
_DTypeLike: TypeAlias = dtype | builtins.str | builtins.type | _np.dtype[Any]
_DeviceLike: TypeAlias = device | builtins.str | builtins.int  # a number is that of a cuda device
'''

RANDOM_HEAD = '''# ruff: noqa
"""Types of tidu.random; written by scripts/make_stubs.py."""

import builtins
from typing import Any

from tidu._core import Tensor, _DeviceLike, _DTypeLike, _Shape, _TensorLike
from tidu._samplers import bernoulli as bernoulli, beta as beta, binomial as binomial
from tidu._samplers import categorical as categorical, cauchy as cauchy, chisquare as chisquare
from tidu._samplers import choice as choice, dirichlet as dirichlet, exponential as exponential
from tidu._samplers import gamma as gamma, geometric as geometric, gumbel as gumbel
from tidu._samplers import laplace as laplace, loggamma as loggamma, logistic as logistic
from tidu._samplers import multivariate_normal as multivariate_normal, pareto as pareto
from tidu._samplers import poisson as poisson, rademacher as rademacher, t as t
from tidu._samplers import truncated_normal as truncated_normal, weibull as weibull
'''

LINALG_HEAD = '''# ruff: noqa
"""Types of tidu.linalg; written by scripts/make_stubs.py."""

import builtins
from collections.abc import Sequence
from typing import Any, NamedTuple

from tidu._core import Tensor, _DTypeLike, _Shape, _TensorLike
from tidu._core import cross as cross, diagonal as diagonal, einsum as einsum, kron as kron, matmul as matmul
from tidu._core import matrix_transpose as matrix_transpose, outer as outer, tensordot as tensordot
from tidu._core import trace as trace, vecdot as vecdot
'''

ATTRIBUTES = {
    "shape": "tuple[builtins.int, ...]",
    "strides": "tuple[builtins.int, ...]",
    "dtype": "_DType",
    "device": "_Device",
    "grad": "Tensor | None",
    "is_cuda": "builtins.bool",
    "requires_grad": "builtins.bool",
    "is_leaf": "builtins.bool",
    "T": "Tensor",
    "mT": "Tensor",
}
WRITTEN = ("dtype", "device", "Tensor")  # classes whose stubs are not made of their docs alone
SETTABLE = ("grad", "requires_grad")
SLOTS = {
    "__bool__": "builtins.bool",
    "__int__": "builtins.int",
    "__index__": "builtins.int",
    "__float__": "builtins.float",
    "__len__": "builtins.int",
    "__contains__": "builtins.bool",
    "__iter__": "Iterator[Tensor]",
    "__neg__": "Tensor",
    "__pos__": "Tensor",
    "__abs__": "Tensor",
    "__invert__": "Tensor",
}
PYTHON_METHODS = {
    "numpy": "_np.ndarray[Any, Any]",
    "__array__": "_np.ndarray[Any, Any]",
    "__array_namespace__": "Any",
    "to_device": "Tensor",
    "cpu": "Tensor",
    "cuda": "Tensor",
}


def arrow_type(text, parameter):
    """A type as pybind11 writes it, as the stub names it."""
    names = {
        "Tensor": "_TensorLike" if parameter else "Tensor",
        "dtype": "_DTypeLike" if parameter else "_DType",
        "device": "_DeviceLike" if parameter else "_Device",
        "tidu._core.device": "_DeviceLike" if parameter else "_Device",
        "collections.abc.Sequence": "Sequence",
        "collections.abc.Iterable": "Iterable",
        "collections.abc.Callable": "Callable",
        "object": "Any",
        "handle": "Any",
    }
    for name in ("int", "float", "bool", "str", "bytes", "list", "tuple", "dict"):
        names[name] = f"builtins.{name}"
    if parameter:
        text = text.replace("int | tuple[int, ...]", "_Shape")
    for number in ("int", "float"):
        text = text.replace(f"typing.Supports{number.capitalize()} | typing.SupportsIndex", number)
    return re.sub(
        r"[A-Za-z_][\w.]*", lambda match: names.get(match[0], match[0].removeprefix("tidu._core.")), text
    )


def split_parameters(text):
    """The parameters of a signature, split at the commas outside brackets."""
    parts, depth, start = [], 0, 0
    for i, character in enumerate(text):
        depth += (character in "[({<") - (character in "])}>")
        if character == "," and depth == 0:
            parts.append(text[start:i].strip())
            start = i + 1
    return [part for part in [*parts, text[start:].strip()] if part]


def bound_function(name, signature, text, is_method):
    """A function of the signature that the module has apart: name(x: type = value, ..) -> type."""
    parameters, result = re.fullmatch(r"\w+\((.*)\) -> (.*)", signature).groups()
    written = []
    for i, parameter in enumerate(split_parameters(parameters)):
        if parameter in ("*", "/") or parameter.startswith("*"):
            written.append(parameter if parameter in "*/" else parameter.split(":")[0] + ": Any")
            continue
        kind, _, default = parameter.partition(" = ")
        argument, _, type_ = kind.partition(": ")
        if is_method and i == 0:
            written.append("self")
        else:
            written.append(f"{argument}: {arrow_type(type_, True)}" + (" = ..." if default else ""))
    return definition(name, written, arrow_type(result, False), (text or "").strip())


def typed_function(name, place, function, core, is_method):
    """One whose types the module has apart, since a signature as inspect reads it holds none."""
    return bound_function(name, core._signatures[place], function.__doc__, is_method)


def table_function(name, function, is_method):
    """A function of the op table."""
    names = [part for part in function.__text_signature__.strip("()$").split(", ") if part != "/"]
    written = [
        "self" if is_method and i == 0 else f"{argument}: _TensorLike" for i, argument in enumerate(names)
    ]
    return definition(name, [*written, "/"], "Tensor", function.__doc__)


def definition(name, parameters, result, doc=""):
    lines = [f"def {name}({', '.join(parameters)}) -> {result}:"]
    if not doc:
        return [lines[0] + " ..."]
    doc_lines = doc.splitlines()
    closing = '"""'
    if len(doc_lines) == 1:
        return [*lines, f'    """{doc}{closing}']
    return [
        *lines,
        f'    """{doc_lines[0]}',
        *(f"    {line}".rstrip() for line in doc_lines[1:]),
        f"    {closing}",
    ]


def tensor_class(core):
    yield "class Tensor:"
    yield f'    """{core.Tensor.__doc__}"""'.replace("\n", "\n    ").replace("\n    \n", "\n\n")
    for name, value in vars(core.Tensor).items():
        kind = type(value).__name__
        if kind == "getset_descriptor":
            type_ = ATTRIBUTES.get(name, "builtins.int")
            yield from (
                "    @property",
                f"    def {name}(self) -> {type_}:",
                f'        """{value.__doc__}"""',
            )
            if name in SETTABLE:
                yield from (f"    @{name}.setter", f"    def {name}(self, value: {type_}) -> None: ...")
            continue
        if f"Tensor.{name}" in core._signatures:
            lines = typed_function(name, f"Tensor.{name}", value, core, True)
        elif kind == "method_descriptor":
            lines = table_function(name, value, True)
        elif name in PYTHON_METHODS:
            lines = definition(
                name, ["self", "*args: Any", "**kwargs: Any"], PYTHON_METHODS[name], value.__doc__
            )
        elif kind != "wrapper_descriptor":
            continue
        elif name in SLOTS:
            extra = ["key: _TensorLike", "/"] if name == "__contains__" else []
            lines = definition(name, ["self", *extra], SLOTS[name])
        elif name == "__getitem__":
            lines = definition(name, ["self", "key: Any", "/"], "Tensor")
        elif name == "__setitem__":
            lines = definition(name, ["self", "key: Any", "value: Any", "/"], "None")
        elif name in ("__pow__", "__rpow__", "__ipow__"):
            lines = definition(name, ["self", "other: _TensorLike", "modulus: None = ...", "/"], "Tensor")
        elif value.__text_signature__ == "($self, value, /)" and name != "__getattribute__":
            lines = definition(name, ["self", "other: _TensorLike", "/"], "Tensor")
            if name in ("__eq__", "__ne__"):
                lines[0] += "  # type: ignore[override]"
        else:
            continue
        yield from ("    " + line if line else "" for line in lines)


def bound_class(name, value, core):
    yield f"class {name}:"
    if value.__doc__:
        yield f'    """{value.__doc__}"""'
    for key, member in vars(value).items():
        kind = type(member).__name__
        if kind == "instancemethod" and f"{name}.{key}" in core._signatures:
            yield from ("    " + line for line in typed_function(key, f"{name}.{key}", member, core, True))
        elif kind == "property":
            yield from ("    @property", f"    def {key}(self) -> Any: ...")


def stub(core):
    yield HEAD
    yield from tensor_class(core)
    yield ""
    public = [name for name in vars(core) if not name.startswith("__")]
    for name in public:
        value = getattr(core, name)
        kind = type(value).__name__
        if isinstance(value, type) and issubclass(value, Exception):
            bases = ", ".join(base.__name__ for base in value.__bases__)
            yield f'class {name}({bases}):\n    """{value.__doc__}"""\n'
        elif kind == "dtype":
            yield f"{name}: _DType"
        elif isinstance(value, type) and name not in WRITTEN:
            yield from bound_class(name, value, core)
        elif name in core._signatures:
            yield from typed_function(name, name, value, core, False)
        elif inspect.isbuiltin(value):
            yield from table_function(name, value, False)
    yield f"\n__version__: builtins.str\n__all__ = {core.__all__!r}"


def module_stub(head, name_of_module, core):
    yield head
    for name, value in vars(getattr(core, name_of_module)).items():
        if inspect.isbuiltin(value):
            yield from typed_function(name, f"{name_of_module}.{name}", value, core, False)
        elif isinstance(value, type):
            yield f"class {name}(NamedTuple):"
            yield from (f"    {field}: Tensor" for field in value._fields)


def stubs(core):
    """The text of each file."""
    parts = {
        "_core.pyi": stub(core),
        "random.pyi": module_stub(RANDOM_HEAD, "random", core),
        "linalg.pyi": module_stub(LINALG_HEAD, "linalg", core),
    }
    return {name: "\n".join(lines) + "\n" for name, lines in parts.items()}


if __name__ == "__main__":
    from tidu import _core

    for name, text in stubs(_core).items():
        (Path(sys.argv[1]) / name).write_text(text)
