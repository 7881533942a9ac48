"""What is wrong with the arguments of a call, said in one line with what would be right."""

from __future__ import annotations

import difflib
import functools
import inspect
import os
import re
import types
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from tidu import _core
from tidu._documents import complete
from tidu._spellings import KEYWORDS

_MOST = 100  # characters of what a caller wrote

# The types that pybind11 names, as users say them, and whether a value is one; others are left to it.
_TYPES = {
    "Tensor": (
        "Tensor",
        lambda x: not isinstance(x, (str, bytes, dict, set, type(None), types.FunctionType)),
    ),
    "TensorLike": (
        "Tensor",
        lambda x: not isinstance(x, (str, bytes, dict, set, type(None), types.FunctionType)),
    ),
    "SupportsInt": ("int", lambda x: hasattr(x, "__index__")),
    "SupportsIndex": ("int", lambda x: hasattr(x, "__index__")),
    "SupportsFloat": ("float", lambda x: hasattr(x, "__float__") or hasattr(x, "__index__")),
    "float": ("float", lambda x: hasattr(x, "__float__") or hasattr(x, "__index__")),
    "int": ("int", lambda x: hasattr(x, "__index__")),
    "bool": ("bool", lambda x: isinstance(x, bool)),
    "str": ("str", lambda x: isinstance(x, str)),
    "dtype": ("dtype", lambda x: not isinstance(x, (int, float, list, tuple, dict, type(None)))),
    "device": ("device", lambda x: isinstance(x, (str, int)) or type(x).__name__ == "device"),
    "tuple": (
        "tuple of ints",
        lambda x: isinstance(x, (tuple, list)) and all(hasattr(i, "__index__") for i in x),
    ),
    "Sequence": ("sequence", lambda x: isinstance(x, (tuple, list))),
    "None": ("None", lambda x: x is None),
    "PathLike": ("path", lambda x: hasattr(x, "__fspath__")),
    "bytes": ("bytes", lambda x: isinstance(x, bytes)),
}


def _short(text: str) -> str:
    return text if len(text) <= _MOST else text[: _MOST - 2] + ".."


def keyword_hint(keyword: str, names: Sequence[str]) -> str:
    """What to say for a keyword that is none of a function's `names`: the right one, or all of them."""
    own = [name for name in KEYWORDS.get(keyword, ()) if name in names]
    own = own or difflib.get_close_matches(keyword, names, 1)
    if own:
        return f" (it is called {own[0]})"
    return f" (it takes {_short(', '.join(names))})" if names else " (it takes none)"


def _kinds(annotation: str) -> list[tuple[str, Callable[[Any], bool]]]:
    """The alternatives of "int | tuple[int, ...] | None" and the like, or nothing where one is not known."""
    flat = re.sub(r"\[[^][]*\]", "", re.sub(r"\[[^][]*\]", "", annotation))
    names = [part.strip().rpartition(".")[2] for part in flat.split("|")]
    return [_TYPES[name] for name in names] if all(name in _TYPES for name in names) else []


def _parse(signature: str) -> inspect.Signature:
    """The parameters of a signature that pybind11 wrote."""
    inside = re.sub(r"'[^']*'", "''", signature[signature.index("(") + 1 :])
    parts, depth, start = [], 0, 0
    for i, letter in enumerate(inside):
        if (letter in ")]}" and depth == 0) or (letter == "," and depth == 0):
            parts.append(inside[start:i].strip())
            start = i + 1
        if letter == ")" and depth == 0:
            break
        depth += (letter in "([{") - (letter in ")]}")
    parameters: list[inspect.Parameter] = []
    kind: Any = inspect.Parameter.POSITIONAL_OR_KEYWORD
    for part in filter(None, parts):
        if part in ("*", "/"):
            kind = inspect.Parameter.KEYWORD_ONLY if part == "*" else kind
            continue
        name, _, rest = part.partition(":")
        annotation, equals, _ = rest.partition(" = ")
        variadic = {"**": inspect.Parameter.VAR_KEYWORD, "*": inspect.Parameter.VAR_POSITIONAL}
        stars = name[: len(name) - len(name.lstrip("*"))]
        default = None if equals else inspect.Parameter.empty
        parameters.append(
            inspect.Parameter(name.lstrip("*"), variadic[stars], annotation=annotation.strip())
            if stars
            else inspect.Parameter(name, kind, default=default, annotation=annotation.strip())
        )
    return inspect.Signature(parameters, __validate_parameters__=False)


def misplaced(
    name: str, signature: inspect.Signature, args: Sequence[Any], kwargs: dict[str, Any]
) -> str | None:
    """What is wrong with how many and which arguments are given, or None."""
    parameters = list(signature.parameters.values())
    names = [p.name for p in parameters]
    kinds = {p.kind for p in parameters}
    by_place = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    by_name = [p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    if inspect.Parameter.VAR_KEYWORD not in kinds:
        for keyword in kwargs:
            if keyword not in by_name:
                return f"[{name}] has no argument {_short(keyword)!r}{keyword_hint(keyword, names)}"
    for parameter in by_place[: len(args)]:
        if parameter.name in kwargs and parameter.kind == parameter.POSITIONAL_OR_KEYWORD:
            return f"[{name}] the argument {parameter.name!r} is given twice"
    if len(args) > len(by_place) and inspect.Parameter.VAR_POSITIONAL not in kinds:
        if names[:1] == ["shape"] and all(isinstance(x, int) for x in args):
            hint = f"the shape is one argument: {name}({_short(repr(args))})"
        elif len(by_place) < len(by_name):
            hint = f"by name: {', '.join(by_name[len(by_place) :])}"
        else:
            hint = f"it takes {', '.join(names) or 'none'}"
        plural = "s" * (len(by_place) != 1)
        return f"[{name}] takes at most {len(by_place)} argument{plural} by place, not {len(args)} ({hint})"
    for i, parameter in enumerate(parameters):
        is_given = parameter.name in kwargs or (parameter in by_place and i < len(args))
        is_needed = parameter.default is parameter.empty and parameter.kind not in (
            parameter.VAR_POSITIONAL,
            parameter.VAR_KEYWORD,
        )
        if is_needed and not is_given:
            return f"[{name}] needs the argument {parameter.name!r} (it takes {_short(', '.join(names))})"
    return None


def in_words(number: int) -> str:
    """An integer of any size, in few characters."""
    bits = number.bit_length()
    return str(number) if bits <= 64 else f"an integer of {bits} bits"


def _too_large(wanted: Sequence[str], value: Any, bits: int) -> str | None:
    """What is said of an integer that is larger than what is wanted can be."""
    if isinstance(value, (tuple, list)):
        return next(filter(None, (_too_large(wanted, item, bits) for item in value)), None)
    if not isinstance(value, int):
        return None
    if "float" in wanted:
        try:
            float(value)
        except OverflowError:
            return f"{in_words(value)}, which does not fit float64"
        return None
    is_whole = any(word.endswith(("int", "ints")) for word in wanted)
    if not is_whole or -(1 << (bits - 1)) <= value < 1 << (bits - 1):
        return None
    return f"{in_words(value)}, which does not fit int{bits}"


def _mistyped(
    name: str, signature: inspect.Signature, args: Sequence[Any], kwargs: dict[str, Any], bits: int = 64
) -> Exception | None:
    """Which argument is not of the kind that its annotation says, or an integer of more bits."""
    given = dict(zip(signature.parameters, args, strict=False)) | kwargs
    for key, value in given.items():
        if key not in signature.parameters:
            continue
        kinds = _kinds(str(signature.parameters[key].annotation))
        wanted = list(dict.fromkeys(words for words, _ in kinds))
        if kinds and not any(fits(value) for _, fits in kinds):
            kind = type(value).__name__
            return TypeError(f"[{name}] the argument {key!r} must be {' or '.join(wanted)}, not {kind}")
        too_large = _too_large(wanted, value, bits)
        if too_large:
            return ValueError(f"[{name}] the argument {key!r} is {too_large}")
    return None


def _read_numbers(signature: inspect.Signature, args: Sequence[Any], kwargs: dict[str, Any]) -> None:
    """Raises what a tensor says that stands where a number is asked for and is differentiated or recorded:
    pybind11 asks it, too, and takes the error for one of types."""
    for key, value in (dict(zip(signature.parameters, args, strict=False)) | kwargs).items():
        words = [words for words, _ in _kinds(signature.parameters[key].annotation)]
        if isinstance(value, _core.Tensor) and value.size == 1 and "float" in words and "Tensor" not in words:
            float(value)


def _kinds_of(args: Sequence[Any], kwargs: dict[str, Any]) -> list[str]:
    return [type(x).__name__ for x in args] + [f"{k}: {type(x).__name__}" for k, x in kwargs.items()]


def refusal(text: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Exception:
    """In place of what pybind11 says where arguments fit no signature; `args` are as it was called."""
    name = text[: text.index("(")]
    lines = re.findall(r"^    \d+\. (.*)$", text.partition("\n\nInvoked with")[0], re.MULTILINE)
    signatures = [_parse(line) for line in lines]
    if name.endswith("__init__"):
        name, args = lines[0][: lines[0].index("(")].rpartition(".")[2], args[1:]
    elif signatures and next(iter(signatures[0].parameters), None) == "self":
        signatures = [s.replace(parameters=list(s.parameters.values())[1:]) for s in signatures]
        args = args[1:]
    meant = [s for s in signatures if misplaced(name, s, args, kwargs) is None]
    if len(meant) == 1:
        wrong = _mistyped(name, meant[0], args, kwargs) or _mistyped(name, meant[0], args, kwargs, 32)
        if wrong and (len(signatures) == 1 or isinstance(wrong, ValueError)):
            return wrong
        _read_numbers(meant[0], args, kwargs)
    elif len(signatures) == 1:
        return TypeError(misplaced(name, signatures[0], args, kwargs))
    kinds = _kinds_of(args, kwargs)
    takes = " or ".join(f"({', '.join(signature.parameters)})" for signature in signatures)
    return TypeError(f"[{name}] takes {_short(takes)}, and cannot read ({_short(', '.join(kinds))})")


# Values as text: of tensors and arrays no more than that they are some.
_DUMP = re.compile(r"\b(tensor|array)\(\[[^()]*\)|\[\[[^][]*\][][\s\d.,+e-]*\]")
# Whose errors speak of one argument of the function that was called.
_CONVERSIONS = ("bool", "float", "int")
# An error of an earlier call, which device cuda found only now.
_LATE = re.compile(r" on cuda:\d+: ")


def named(error: BaseException, called: str) -> BaseException:
    """An error that names the function which was called, whatever that is made of: `error` itself, where its
    class says enough."""
    if called.endswith("_of"):  # a part of a function that users call
        return error
    if not isinstance(error, TypeError | ValueError | IndexError | OverflowError | RuntimeError):
        return error
    if len(error.args) != 1 or not isinstance(error.args[0], str) or _LATE.search(error.args[0]):
        return error
    text = _DUMP.sub(lambda found: "a Tensor" if found[1] == "tensor" else "an array", error.args[0])
    within = re.match(r"\[(\w*)\] ?", text)
    if within is None:
        text = f"[{called}] {text}"
    elif within[1] in _CONVERSIONS and within[1] != called:
        text = f"[{called}] a tensor stands where {within[1]} is wanted: {text[within.end() :]}"
    else:
        text = f"[{called}] {text[within.end() :]}"
    if isinstance(error, OverflowError):
        return ValueError(text)
    error.args = (text,)
    return error


# What is said without the name of an argument, or with that of one within.
_VAGUE = re.compile(r"^\[_|cannot read| does not fit |too large to convert")
# What Python says where an integer has too many digits to be written.
_HUGE = "for integer string conversion"
# Of an operation, and not of what an argument is.
_OF_CALL = re.compile(r"\[(?!(?:asarray|bool|float|int|_\w*)\])(\w+)\](?!.*\bnot (?:<class ')?function'?>?$)")
_PACKAGE = str(Path(__file__).parent) + os.sep


def _is_ours(error: BaseException) -> bool:
    """Whether no code of the user's ran where an error was raised."""
    place = error.__traceback__
    while place is not None:
        if not place.tb_frame.f_code.co_filename.startswith(_PACKAGE):
            return False
        place = place.tb_next
    return True


def _is_function(value: Any) -> bool:
    return callable(value) and not isinstance(value, type)


def _explained(function: Callable[..., Any], name: str, is_method: bool = False) -> Callable[..., Any]:
    own = is_method or function.__name__ == "__init__"  # self is not the caller's

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except (TypeError, ValueError, IndexError, AttributeError, OverflowError, RuntimeError) as error:
            place = error.__traceback__
            is_inside = place is not None and place.tb_next is not None
            better = _better(error, function, name, args[own:], kwargs, own) if is_inside else None
            if not is_inside and isinstance(error, TypeError):
                signature = inspect.signature(function)
                signature = signature.replace(parameters=list(signature.parameters.values())[own:])
                wrong = misplaced(name, signature, args[own:], kwargs)
                better = TypeError(wrong) if wrong is not None else None
            if better is None or better is error:
                raise
            raise better from (error if is_inside else None)

    return call


def _better(
    error: Exception,
    function: Callable[..., Any],
    name: str,
    args: Sequence[Any],
    kwargs: dict[str, Any],
    own: bool,
) -> BaseException | None:
    """What is raised in place of an error from within a function, or None where that may be the user's."""
    text = str(error)
    if not _is_ours(error):
        return None
    signature = inspect.signature(function)
    signature = signature.replace(parameters=list(signature.parameters.values())[own:])
    if _HUGE in text:
        values = dict(zip(signature.parameters, args, strict=False)) | kwargs
        wanted = ((key, _too_large(("int",), value, 64)) for key, value in values.items())
        return next(
            (ValueError(f"[{name}] the argument {key!r} is {words}") for key, words in wanted if words), None
        )
    is_of_kind = isinstance(error, TypeError | AttributeError | OverflowError)
    if (is_of_kind and not text.startswith("[")) or _VAGUE.search(text):
        wrong = _mistyped(name, signature, args, kwargs)
        if wrong:
            return wrong
    operation = _OF_CALL.match(text)
    if operation and any(map(_is_function, (*args, *kwargs.values()))):
        return named(error, operation[1])  # which may be one that was given
    is_told = type(error) is not TypeError or (text.startswith("[") and not text.startswith("[_"))
    if is_told and not isinstance(error, AttributeError):
        return named(error, name)
    takes = _short(", ".join(signature.parameters))
    given = _short(", ".join(_kinds_of(args, kwargs)))
    reason = "" if text.startswith("[_") else f": {text}"
    return named(TypeError(f"[{name}] takes ({takes}), and cannot read ({given}){reason}"), name)


def explain(namespace: dict[str, Any], names: Iterable[str]) -> None:
    """Lets the functions and classes of a module that are written in Python say what arguments they take: in
    their docs, and where a call does not fit."""
    for name in names:
        value: Any = namespace[name]
        if isinstance(value, types.FunctionType):
            namespace[name] = _explained(value, name)
            namespace[name].__module__ = namespace["__name__"]  # where pickle looks for it
        elif isinstance(value, type):
            kind: Any = value
            if isinstance(kind.__init__, types.FunctionType):
                kind.__init__ = _explained(getattr(kind.__init__, "__wrapped__", kind.__init__), name)
        complete(namespace, name)


def explain_methods(kind: type, names: Iterable[str]) -> None:
    """The same for methods of a class."""
    for name in names:
        setattr(kind, name, _explained(getattr(kind, name), f"{kind.__name__}.{name}", is_method=True))
