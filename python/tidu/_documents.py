"""Docs made whole: what docstrings do not say of parameters and results, signatures and _meanings do."""

from __future__ import annotations

import functools
import inspect
import re
import types
from collections.abc import Iterator
from typing import Any

from tidu import _core
from tidu._meanings import ERRORS, KINDS, NAMES, OF

_SECTION = re.compile(r"\n\n(?=[A-Z]\w+\n---)")
_ENTRY = r"(?m)^(\S[^\n]*)((?:\n(?: [^\n]*|(?=\n )))*)"
_PLAIN = {
    "TensorLike": "Tensor",
    "DTypeLike": "dtype",
    "DeviceLike": "device",
    "PathLike": "path",
    "Shape": "int or tuple of int",
}
_VAGUE = {"Any", "object", "handle", "args", "None"}

_BRACKETS = (("[", "]"), ("(", ")"))

_Parameters = list[tuple[str, str, str | None]]  # name, type, default


def _split(text: str, separator: str) -> list[str]:
    """The parts that a separator outside of brackets parts."""
    parts: list[str] = []
    for part in text.split(separator):
        if parts and any(
            parts[-1].count(opening) > parts[-1].count(closing) for opening, closing in _BRACKETS
        ):
            parts[-1] += separator + part
        else:
            parts.append(part)
    return parts


@functools.cache
def _in_words(annotation: str) -> str:
    """A type: "int or tuple of int" of "int | tuple[int, ...]", nothing of Any."""
    for kind in ("Float", "Int"):
        annotation = annotation.replace(f"typing.Supports{kind} | typing.SupportsIndex", kind.lower())
    words: list[str] = []
    for kind in _split(annotation, " | "):
        name, _, inside = kind.strip().partition("[")
        name, inside = name.rpartition(".")[2], inside[:-1]
        if name == "Literal":
            words += inside.split(", ")
        elif name in ("Sequence", "Iterable", "list", "tuple") and inside:
            inner = _in_words(inside.removesuffix(", ..."))
            words.append(f"{name.lower()} of {inner}" if inner and ", " not in inner else name.lower())
        elif name not in _VAGUE and len(name) > 1:  # no type variable
            words.append(_PLAIN.get(name) or (name if not inside else name.lower()))
    return " or ".join(dict.fromkeys(words)).replace("Callable", "callable")


def _merged(
    doc: str, parameters: _Parameters, result: str, meanings: dict[str, str], errors: dict[str, str]
) -> str:
    """The doc with sections Parameters, Returns and Raises; what it says of them itself stays."""
    head, *rest = _SECTION.split(doc)
    sections = {section.partition("\n")[0]: section for section in rest}
    written: dict[str, str] = {}
    for names, text in re.findall(_ENTRY, sections.get("Parameters", "").partition("-\n")[2]):
        for name in names.partition(" :")[0].split(","):
            written[name.strip(" *")] = names + text
    entries: list[str] = []
    for name, kind, default in parameters:
        bare = name.lstrip("*")
        entry = written.get(bare)
        if entry is None and (meaning := meanings.get(name) or meanings.get(bare) or NAMES.get(name)):
            is_optional = "optional" if default == "None" else default and f"default {default}"
            told = ", ".join(filter(None, (kind, is_optional)))
            entry = f"{name} : {told}\n    {meaning}" if told else f"{name}\n    {meaning}"
        if entry and entry not in entries:
            entries.append(entry)
    if entries:
        sections["Parameters"] = "\n".join(("Parameters", "-" * 10, *entries))
    if "Returns" not in sections and result != "None" and (meaning := meanings.get("returns", "")):
        kind, _, text = meaning.rpartition(" :: ")
        sections["Returns"] = f"Returns\n-------\n{kind or result or 'object'}\n    {text}"
    if errors and "Raises" not in sections:
        sections["Raises"] = "\n".join(
            ("Raises", "-" * 6, *(f"{name}\n    {errors[name]}" for name in errors))
        )
    first = [sections.pop(name) for name in ("Parameters", "Returns", "Raises") if name in sections]
    return "\n\n".join((head.rstrip(), *first, *sections.values()))


# --- What C++ binds


_ROUTINES = {"builtin_function_or_method", "instancemethod", "method_descriptor"}


def _of_row(name: str, is_binary: bool) -> dict[str, str]:
    """What a row of the elementwise table takes and gives."""
    types, result = _core._rows[name]
    inputs = f"Of any shape. {KINDS[types]}"
    dtype = "In the dtype to which a and b are promoted" if is_binary else "In the dtype of x"
    if types.startswith("floating"):
        dtype += ", float32 of integers and bool"
    shape = "the shape to which a and b broadcast" if is_binary else "the shape of x"
    return {
        "x": inputs,
        "a": inputs,
        "b": "As a. The shapes broadcast, and the dtypes are promoted.",
        "returns": f"{'bool' if result == 'boolean' else dtype}, of {shape}.",
    }


def _bound() -> Iterator[tuple[str, str, Any]]:
    """What the extension has for users: where its signature is, its name for them, itself."""
    owners: dict[str, tuple[Any, tuple[str, ...]]] = {  # and where users have what is theirs
        "": (_core, ("", "cpu.")),
        "linalg.": (_core.linalg, ("linalg.",)),
        "random.": (_core.random, ("random.",)),
        "Tensor.": (_core.Tensor, ("Tensor.",)),
        "_training.": (_core._training, ("nn.", "nn.init.", "optim.", "data.")),
        "_cuda.Event.": (_core._cuda.Event, ("cuda.Event.",)),
        "_cuda.Stream.": (_core._cuda.Stream, ("cuda.Stream.",)),
    }
    for at, (owner, places) in owners.items():
        for name, value in vars(owner).items():
            known = (place + name for place in places if place + name in OF)
            yield at + name, next(known, places[0] + name), value
    yield "dtype.__init__", "dtype", _core.dtype
    yield "_cuda.Event.__init__", "cuda.Event", _core._cuda.Event
    yield "_cuda.Stream.__init__", "cuda.Stream", _core._cuda.Stream


def complete_extension() -> None:
    """The docs of functions and methods that C++ binds."""
    for at, place, value in _bound():
        is_class = isinstance(value, type)
        is_shown = type(value).__name__ in _ROUTINES or (is_class and at.endswith("__init__"))
        if not is_shown or not value.__doc__ or place.rpartition(".")[2].startswith("_"):
            continue
        signature: str | None = _core._signatures.get(at)
        inside, _, result = (signature or f"{value.__text_signature__ or '()'} -> Tensor").rpartition(") -> ")
        parameters: _Parameters = []
        for parameter in _split(inside.partition("(")[2].lstrip("$"), ", "):
            head, _, default = parameter.partition(" = ")
            key, _, kind = head.partition(": ")
            if key not in ("self", "*", "/", ""):
                parameters.append((key, _in_words(kind or "Tensor"), default or None))
        of_function = place.removeprefix("Tensor.")
        meanings = OF.get(of_function, {}) | OF.get(place, {})
        if of_function in _core._rows:
            meanings = _of_row(of_function, any(key == "b" for key, *_ in parameters)) | meanings
        errors = ERRORS.get(of_function) or ERRORS.get(place, {})
        result = result if result == "None" else _in_words(result)
        doc = _merged(value.__doc__, parameters, result, meanings, errors)
        if is_class:
            value.__doc__ = doc
        else:
            _core._set_doc(value, doc)


# --- What is written in Python


def _parameters_of(function: types.FunctionType, skipped: int) -> _Parameters:
    code, types_ = function.__code__, function.__annotations__
    count, only = code.co_argcount, code.co_kwonlyargcount
    names = code.co_varnames
    defaults = dict(zip(names[:count][::-1], (function.__defaults__ or ())[::-1], strict=False))
    defaults |= function.__kwdefaults__ or {}
    at = count + only
    stars = []
    if code.co_flags & inspect.CO_VARARGS:
        stars.append((count, f"*{names[at]}"))
        at += 1
    shown = [*names[:count], *(star for _, star in stars), *names[count : count + only]]
    if code.co_flags & inspect.CO_VARKEYWORDS:
        shown.append(f"**{names[at]}")
    return [
        (
            name,
            _in_words(str(types_.get(name.lstrip("*"), ""))),
            _as_default(defaults[name]) if name in defaults else None,
        )
        for name in shown[skipped:]
    ]


def _as_default(value: Any) -> str | None:
    plain = value is None or isinstance(value, (bool, int, float, str, tuple, _core.dtype))
    return repr(value) if plain else None


def _complete(value: Any, function: Any, place: str, skipped: int) -> None:
    doc = value.__doc__
    function = getattr(function, "__func__", function)
    while hasattr(function, "__wrapped__"):
        function = function.__wrapped__
    if not doc or not isinstance(function, types.FunctionType):
        return
    indent = doc[doc.rfind("\n") + 1 :]  # before the quotes at its end; faster than inspect.cleandoc
    if indent.isspace():
        doc = doc.replace("\n" + indent, "\n").rstrip()
    elif "\n" in doc:
        doc = inspect.cleandoc(doc)
    if place not in OF and "\nParameters\n---" in doc and "\nReturns\n---" in doc:  # which says it all
        value.__doc__ = doc
        return
    meanings: dict[str, str] = {}
    for end in re.finditer(r"\.|$", place):  # of the modules that it is in, and its own
        meanings |= OF.get(place[: end.start()] + ".*" * bool(end[0]), {})
    parameters, given = _parameters_of(function, skipped), str(function.__annotations__.get("return", ""))
    result = "None" if given == "None" or isinstance(value, type) else _in_words(given)
    value.__doc__ = _merged(doc, parameters, result, meanings, ERRORS.get(place, {}))


_MODULES = {"tidu": "", "tidu._samplers": "random.", "tidu.nn.functional": "nn.", "tidu.nn.spatial": "nn."}


def complete(namespace: dict[str, Any], name: str) -> None:
    """The doc of a function, or of a class and its methods, which has this name in a module."""
    module, value = namespace["__name__"], namespace[name]
    place = _MODULES.get(module, module.removeprefix("tidu.") + ".") + name
    if isinstance(value, types.FunctionType):
        _complete(value, value, place, 0)
    elif isinstance(value, type) and not issubclass(value, (tuple, BaseException)):
        _complete(value, value.__init__, place, 1)
        for base in value.__mro__:
            if base is not value and (namespace.get(base.__name__) is base or base.__module__[:4] != "tidu"):
                continue
            for key, member in vars(base).items():
                function = getattr(member, "__func__", member)
                if not key.startswith("_") and isinstance(function, types.FunctionType):
                    _complete(function, function, f"{place}.{key}", not isinstance(member, staticmethod))
