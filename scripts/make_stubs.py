"""Writes the types of the extension module, a folder _core of stubs, from its docs and signatures.

The build does it, with the package that it made on PYTHONPATH.
"""

import inspect
import re
import sys
import types
from pathlib import Path

HEAD = '''# ruff: noqa
"""Types of {name}; written by scripts/make_stubs.py."""

import builtins
import types
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple, final, overload

import numpy as np
from typing_extensions import disjoint_base

from tidu.typing import DeviceLike, DTypeLike, Shape, TensorLike
'''

CLASSES = '''
class dtype:
    """The type of a tensor's elements: tidu.float32, tidu.int64, ..."""
    def __init__(self, dtype: DTypeLike) -> None: ...
    @property
    def name(self) -> builtins.str: ...
    @property
    def itemsize(self) -> builtins.int: ...
    @property
    def is_floating_point(self) -> builtins.bool: ...
    @property
    def is_complex(self) -> builtins.bool: ...
    def __hash__(self) -> builtins.int: ...
    def __eq__(self, other: object, /) -> builtins.bool: ...

class device:
    """Where a tensor lives: device('cpu'), device('cuda'), device('cuda', 1). In a with statement tensors are
    made there where no device is named."""
    @overload
    def __init__(self, device: DeviceLike) -> None: ...
    @overload
    def __init__(self, type: builtins.str, index: builtins.int) -> None: ...
    @property
    def type(self) -> builtins.str: ...
    @property
    def index(self) -> builtins.int: ...
    def __hash__(self) -> builtins.int: ...
    def __eq__(self, other: object, /) -> builtins.bool: ...
    def __enter__(self) -> device: ...
    def __exit__(self, *args: Any) -> None: ...

_DType = dtype
_Device = device
'''

# What signatures do not say, by the last name of a function.
RESULTS = {
    "chunk": "builtins.tuple[Tensor, ...]",
    "eigh": "Eigh",
    "lstsq": "Lstsq",
    "lu_factor": "LuFactor",
    "memory_stats": "builtins.dict[builtins.str, builtins.int]",
    "nonzero": "builtins.tuple[Tensor, ...]",
    "qr": "Qr",
    "requires_grad_": "Tensor",
    "slogdet": "Slogdet",
    "svd": "Svd",
    "tril_indices": "builtins.tuple[Tensor, Tensor]",
    "triu_indices": "builtins.tuple[Tensor, Tensor]",
    "unravel_index": "builtins.tuple[Tensor, ...]",
    "unstack": "builtins.tuple[Tensor, ...]",
}
ATTRIBUTES = {
    "shape": "builtins.tuple[builtins.int, ...]",
    "strides": "builtins.tuple[builtins.int, ...]",
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
    "__complex__": "builtins.complex",
    "__len__": "builtins.int",
    "__contains__": "builtins.bool",
    "__hash__": "builtins.int",
    "__iter__": "Iterator[Tensor]",
    "__neg__": "Tensor",
    "__pos__": "Tensor",
    "__abs__": "Tensor",
    "__invert__": "Tensor",
}
NAMES = {
    "collections.abc.Sequence": "Sequence",
    "collections.abc.Iterable": "Iterable",
    "collections.abc.Callable": "Callable",
    "collections.abc.Mapping": "Mapping",
    "object": "Any",
    "handle": "Any",
    "args": "Any",
    "numpy.ndarray": "np.ndarray[Any, Any]",
    "os.PathLike": "Any",
    "pathlib.Path": "Any",
    "types.CapsuleType": "Any",
    "typing_extensions.Buffer": "Any",  # which is no name before Python 3.12
    "capsule": "Any",
}
LIKE = {"Tensor": "TensorLike", "dtype": "DTypeLike", "device": "DeviceLike"}
BUILTINS = ("int", "float", "complex", "bool", "str", "bytes", "list", "tuple", "dict", "set", "type")


def type_of(text, parameter):
    """A type as pybind11 or Python writes it, as a stub names it."""
    if parameter:
        text = text.replace("int | tuple[int, ...]", "Shape")
    for number in ("int", "float"):
        text = text.replace(f"typing.Supports{number.capitalize()} | typing.SupportsIndex", number)
    text = re.sub(r"\w+(::\w+)+", lambda match: match[0].rpartition("::")[2], text)  # classes bound later

    def renamed(match):
        name = re.sub(r"^tidu\._core\.(_?[a-z]+\.)?", "", match[0])
        if parameter and name in LIKE:
            return LIKE[name]
        if name in ("dtype", "device"):
            return {"dtype": "_DType", "device": "_Device"}[name]
        return f"builtins.{name}" if name in BUILTINS else NAMES.get(name, name)

    text = re.sub(r"[A-Za-z_][\w.]*", renamed, text)
    for bare, full in (
        ("builtins.list", "builtins.list[Any]"),
        ("builtins.tuple", "builtins.tuple[Any, ...]"),
        ("builtins.dict", "builtins.dict[Any, Any]"),
        ("builtins.type", "builtins.type[Any]"),
        ("Callable", "Callable[..., Any]"),
    ):
        text = re.sub(rf"(?<![\w.]){re.escape(bare)}(?![\w\[.])", full, text)
    return text


def split_parameters(text):
    """The parameters of a signature, split at the commas outside brackets and strings."""
    parts, depth, start, quoted = [], 0, 0, False
    for i, character in enumerate(text):
        quoted ^= character == "'"
        if quoted:
            continue
        depth += (character in "[({<") - (character in "])}>")
        if character == "," and depth == 0:
            parts.append(text[start:i].strip())
            start = i + 1
    return [part for part in [*parts, text[start:].strip()] if part]


def bound_function(name, signature, doc, is_method):
    """A function of a signature with types: name(x: type = value, ..) -> type."""
    parameters, result = re.fullmatch(r"\w*\((.*)\) -> (.*)", signature).groups()
    written = []
    for i, parameter in enumerate(split_parameters(parameters)):
        if parameter in ("*", "/"):
            written.append(parameter)
        elif parameter.startswith("*"):
            written.append(parameter.split(":")[0] + ": Any")
        elif is_method and i == 0:
            written.append("self")
        else:
            kind, _, default = parameter.partition(" = ")
            argument, _, type_ = kind.partition(": ")
            type_ = "object" if name in ("__eq__", "__ne__") else type_of(type_.replace("->", "|"), True)
            written.append(f"{argument}: {type_}" + (" = ..." if default else ""))
    result = RESULTS.get(name) or type_of(result, False)
    if written[-1:] == ["return_indices: builtins.bool = ..."] and result == "Any":
        return with_indices(name, written[:-1], doc)
    return definition(name, written, result, doc)


def with_indices(name, written, doc):
    """A function that gives a tensor, or with return_indices that and its places."""
    kinds = (
        (["return_indices: Literal[False] = ..."], "Tensor"),
        (["*", "return_indices: Literal[True]"], "builtins.tuple[Tensor, Tensor]"),
        (["return_indices: builtins.bool = ..."], "Any"),
    )
    for last, result in kinds:
        yield "@overload"
        yield from definition(name, [*written, *last], result, doc)


def python_function(name, function):
    """One that is written in Python, with its own types."""
    signature = inspect.signature(function)
    written, by_name = [], False
    for parameter in signature.parameters.values():
        star = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}.get(parameter.kind, "")
        if parameter.kind == parameter.KEYWORD_ONLY and not by_name:
            written.append("*")
            by_name = True
        if parameter.name == "self":
            written.append("self")
            continue
        default = "" if parameter.default is parameter.empty else " = ..."
        written.append(f"{star}{parameter.name}: {type_of(parameter.annotation, False)}{default}")
        by_name |= parameter.kind == parameter.VAR_POSITIONAL
    positional = [p for p in signature.parameters.values() if p.kind == p.POSITIONAL_ONLY]
    if positional:
        written.insert(len(positional), "/")
    return definition(name, written, type_of(signature.return_annotation, False), function.__doc__)


def table_function(name, function, is_method):
    """A function of the op table."""
    names = [part for part in function.__text_signature__.strip("()$").split(", ") if part != "/"]
    written = [
        "self" if is_method and i == 0 else f"{argument}: TensorLike" for i, argument in enumerate(names)
    ]
    return definition(name, [*written, "/"], "Tensor", function.__doc__)


def definition(name, parameters, result, doc=""):
    head = f"def {name}({', '.join(parameters)}) -> {result}:"
    doc_lines = (doc or "").strip().splitlines()
    if not doc_lines:
        return [f"{head} ..."]
    quotes = 'r"""' if any("\\" in line for line in doc_lines) else '"""'
    if len(doc_lines) == 1:
        return [head, f'    {quotes}{doc_lines[0]}"""']
    body = (f"    {line}".rstrip() for line in doc_lines[1:])
    return [head, f"    {quotes}{doc_lines[0]}", *body, '    """']


def functions(core, name, place, value, is_method):
    """The definitions of a bound function: one, or those of its overloads."""
    doc = value.__doc__ or ""
    if place in core._signatures:
        yield from bound_function(name, core._signatures[place], doc, is_method)
        return
    overloads = re.findall(r"^\d+\. (\w+\(.*\) -> .*)$", doc, re.MULTILINE)
    for signature in overloads:
        yield "@overload"
        yield from bound_function(name, signature, "", is_method)
    if not overloads and getattr(value, "__text_signature__", None):
        yield from table_function(name, value, is_method)
    elif not overloads:
        yield from bound_function(name, doc.partition("\n")[0], "", is_method)


def tensor_class(core):
    yield "@final\n@disjoint_base\nclass Tensor:"
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
        if isinstance(value, types.FunctionType):
            # A stub with __getattr__ would take any name for an attribute.
            lines = python_function(name, value) if name != "__getattr__" else []
        elif f"Tensor.{name}" in core._signatures or kind == "method_descriptor":
            lines = functions(core, name, f"Tensor.{name}", value, True)
        elif kind != "wrapper_descriptor":
            continue
        elif name in SLOTS:
            extra = ["key: TensorLike", "/"] if name == "__contains__" else []
            lines = definition(name, ["self", *extra], SLOTS[name])
        elif name == "__getitem__":
            lines = definition(name, ["self", "key: Any", "/"], "Tensor")
        elif name == "__setitem__":
            lines = definition(name, ["self", "key: Any", "value: Any", "/"], "None")
        elif name in ("__pow__", "__rpow__"):
            lines = definition(name, ["self", "other: TensorLike", "modulus: None = ...", "/"], "Tensor")
        elif name == "__ipow__" or (
            value.__text_signature__ == "($self, value, /)" and name != "__getattribute__"
        ):
            lines = definition(name, ["self", "other: TensorLike", "/"], "Tensor")
            if name in ("__eq__", "__ne__"):
                lines[0] += "  # type: ignore[override]"
            elif name == "__ipow__":
                lines[0] += "  # type: ignore[misc]"  # __pow__ has a third parameter
        else:
            continue
        yield from ("    " + line if line else "" for line in lines)


def bound_class(core, name, place, value):
    yield f"class {name}:"
    yield f'    """{value.__doc__ or name}"""'
    if type(value.__init__).__name__ == "wrapper_descriptor":  # which is an error to call
        yield "    def __init__(self, *args: Any, **kwargs: Any) -> None: ..."
    for key, member in vars(value).items():
        if key.startswith("_pybind11"):
            continue
        if isinstance(member, property):
            getter = core._signatures.get(f"{place}.{key}.fget", " -> object")
            yield "    @property"
            yield f"    def {key}(self) -> {type_of(getter.rpartition(' -> ')[2], False)}: ..."
            if member.fset:
                yield f"    @{key}.setter"
                yield f"    def {key}(self, value: Any) -> None: ..."
        elif isinstance(member, staticmethod):
            yield "    @staticmethod"
            lines = functions(core, key, f"{place}.{key}", member.__func__, False)
            yield from ("    " + line for line in lines)
        elif type(member).__name__ == "instancemethod":
            lines = functions(core, key, f"{place}.{key}", member, True)
            yield from ("    " + line for line in lines)


def module_stub(core, module, place):
    """The lines of one module's stub; `place` is its name inside of the extension module, and a dot."""
    yield HEAD.format(name=module.__name__)
    if module is core:
        yield CLASSES
        yield from tensor_class(core)
        yield ""
    else:
        yield "from tidu._core import Tensor"
        yield "from tidu._core import device as _Device, dtype as _DType\n"
    for name, value in vars(module).items():
        where = place + name
        if (name.startswith("__") and name != "__version__") or isinstance(value, types.ModuleType):
            continue
        if isinstance(value, type) and issubclass(value, Exception):
            bases = ", ".join(base.__name__ for base in value.__bases__)
            yield f'class {name}({bases}):\n    """{value.__doc__}"""\n'
        elif isinstance(value, type) and hasattr(value, "_fields"):
            yield f"class {name}(NamedTuple):"
            yield from (f"    {field}: Tensor" for field in value._fields)
        elif isinstance(value, type):
            if module is not core or name not in WRITTEN:
                yield from bound_class(core, name, where, value)
        elif inspect.isbuiltin(value):
            yield from functions(core, name, where, value, False)
        else:
            kind = "_DType" if type(value).__name__ == "dtype" else f"builtins.{type(value).__name__}"
            yield f"{name}: {type_of(kind.removeprefix('builtins.'), False) if kind != '_DType' else kind}"
    if hasattr(module, "__all__"):
        yield f"\n__all__ = {module.__all__!r}"


def stubs(core):
    """The text of each file, by its name in the folder."""
    modules = {"__init__": core} | {n: m for n, m in vars(core).items() if isinstance(m, types.ModuleType)}
    for name, module in modules.items():
        lines = module_stub(core, module, "" if module is core else f"{name}.")
        yield f"{name}.pyi", "\n".join(lines) + "\n"


if __name__ == "__main__":
    from tidu import _core

    folder = Path(sys.argv[1])
    folder.mkdir(exist_ok=True)
    for name, text in stubs(_core):
        (folder / name).write_text(text)
