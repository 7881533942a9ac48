"""Programs: functions recorded as a list of primitive calls."""

from __future__ import annotations

import functools
import inspect
import json
import keyword
import os
import tempfile
from collections.abc import Callable
from typing import Any, overload

from tidu import _core
from tidu._arguments import misplaced
from tidu._core import FileError, Tensor
from tidu._pytree import (
    LEAF,
    Node,
    flatten,
    structure_from_data,
    structure_to_data,
    tree_paths,
    unflatten,
)
from tidu._shapes import ShapeDtypeStruct, spec_of
from tidu._transforms import OfTensors, align_tree
from tidu.typing import DeviceLike, PathLike


class Program:
    """A function of tensors as it was recorded for arguments of certain shapes, dtypes and devices.

    It is called like the function, also with the function's names, and all transforms apply to it. print()
    shows one line a primitive call, with the line of the function that made it; `writes` has the numbers of
    the tensors among the arguments' leaves that it overwrites. Programs are equal where they do the same
    calls with the same constants. `save` and `Program.load` keep one in a file, which C++ reads as well;
    pickle keeps what such a file holds. It never changes, so its copies are the program itself.

    Examples
    --------
    >>> program = td.program(lambda x: x + 1, td.ones(2))
    >>> program(td.zeros(2))
    tensor([1., 1.], dtype=float32)
    """

    def __init__(
        self,
        recorded: _core.RecordedProgram,
        structure: Node,
        leaves: list[Any],
        output_structure: Node,
        parameters: list[str],
        keywords: int = 0,
    ) -> None:
        self._recorded = recorded
        self._structure = structure  # of the tuple of all arguments
        self._leaves = leaves  # None where a tensor goes
        self._output_structure = output_structure
        self._parameters = parameters
        self._keywords = keywords  # how many of them, the last, are given by name
        self.__signature__ = _signature(parameters, keywords)

    @property
    def writes(self) -> Any:
        return self._recorded.writes

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if kwargs or self._keywords:
            if wrong := misplaced("program", self.__signature__, args, kwargs):
                raise TypeError(wrong)
            args = tuple(self.__signature__.bind(*args, **kwargs).arguments.values())
        tensors = []
        for i, (leaf, fixed) in enumerate(
            zip(align_tree(args, self._structure, "program", "arguments"), self._leaves, strict=True)
        ):
            if fixed is None:
                tensors.append(leaf if isinstance(leaf, Tensor) else _core.asarray(leaf))
            elif type(leaf) is not type(fixed) or (leaf != fixed and leaf is not fixed):
                raise ValueError(
                    f"[program] leaf {i} of the arguments is {leaf!r} but was {fixed!r} when the program was "
                    "recorded (only tensors may change)"
                )
        return unflatten(self._output_structure, self._recorded(tensors))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Program):
            return NotImplemented
        return (
            self._recorded == other._recorded
            and self._structure.is_same(other._structure)
            and self._output_structure.is_same(other._output_structure)
            and self._keywords == other._keywords
            and _fixed_to_data(self._leaves) == _fixed_to_data(other._leaves)
        )

    def __hash__(self) -> int:
        return hash(self._recorded)

    def __str__(self) -> str:
        return str(self._recorded)

    __repr__ = __str__

    def __copy__(self) -> Program:
        return self

    def __deepcopy__(self, memo: dict[Any, Any]) -> Program:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "program")
            self.save(path)
            with open(path, "rb") as file:
                return _unpickled, (file.read(),)

    def verify(self) -> None:
        """A ValueError that names the call and the reason where this is no program that runs.

        Loaded programs are verified already.
        """
        self._recorded.verify()

    def save(self, path: PathLike) -> None:
        """Writes the program with its constants to one file, atomically: docs/program-format.md.

        Tensors that require grad are saved as constants. A ValueError names what no file can hold.
        """
        trees = {
            "parameters": self._parameters,
            "keywords": self._keywords,
            "arguments": structure_to_data(self._structure),
            "fixed": _fixed_to_data(self._leaves, tree_paths(self._structure, "arguments")),
            "results": structure_to_data(self._output_structure),
        }
        self._recorded.trees = json.dumps(trees)
        name: Any = os.fsencode(path)  # any bytes, as names of files are
        self._recorded.save(name)

    @staticmethod
    def load(path: PathLike, device: DeviceLike | None = None) -> Program:
        """See load_program."""
        return load_program(path, device)


def _unpickled(data: bytes) -> Program:
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "program")
        with open(path, "wb") as file:
            file.write(data)
        return load_program(path)


_FIXED = {"int": int, "bool": bool, "str": str}


def _fixed_to_data(leaves: list[Any], paths: list[str] | None = None) -> list[Any]:
    """None for tensors; for the other leaves of arguments the type's name and the value."""
    data: list[Any] = []
    for i, leaf in enumerate(leaves):
        kind = type(leaf)
        if leaf is None:
            data.append(None)
        elif kind is float:
            data.append(["float", leaf.hex()])
        elif kind in (int, bool, str):
            data.append([kind.__name__, leaf])
        elif isinstance(leaf, (_core.dtype, _core.device)):
            data.append([kind.__name__, str(leaf)])
        elif paths:
            raise ValueError(f"[save] {paths[i]} is {leaf!r}, of a type that no file holds")
        else:
            data.append(["object", leaf])
    return data


def _fixed_from_data(data: Any) -> Any:
    if data is None:
        return None
    kind, value = data
    if kind == "float":
        return float.fromhex(value)
    if kind in ("dtype", "device"):
        return getattr(_core, kind)(value)
    if type(value) is not _FIXED[kind]:
        raise ValueError(f"{value!r} is no {kind}")
    return value


def _parameters_of(function: Callable[..., Any], count: int) -> list[str]:
    """What `function` calls its first `count` positional arguments."""
    names: list[str] = []
    try:
        # A module is called like its `forward`.
        parameters = list(inspect.signature(getattr(function, "forward", function)).parameters.values())
    except (TypeError, ValueError):
        parameters = []
    for parameter in parameters:
        if parameter.kind == parameter.VAR_POSITIONAL:
            names += [f"{parameter.name}[{i}]" for i in range(count - len(names))]
        elif parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            names.append(parameter.name)
    return names[:count] + [f"arg{i}" for i in range(len(names), count)]


def _signature(parameters: list[str], keywords: int) -> inspect.Signature:
    kind: Any = inspect.Parameter.POSITIONAL_OR_KEYWORD
    split = len(parameters) - keywords
    names, by_name = parameters[:split], parameters[split:]
    if not all(name.isidentifier() and not keyword.iskeyword(name) for name in names):  # of *args
        kind, names = inspect.Parameter.POSITIONAL_ONLY, [f"arg{i}" for i in range(split)]
    return inspect.Signature(
        [inspect.Parameter(name, kind) for name in names]
        + [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY) for name in by_name]
    )


def _names(
    structure: Node, leaves: list[Any], parameters: list[str], output_structure: Node
) -> list[list[str]]:
    """What the tensors among the leaves of arguments, and those of results, are called."""
    paths = []
    for name, child in zip(parameters, structure.children, strict=True):
        paths += tree_paths(child, name)
    inputs = [path for path, fixed in zip(paths, leaves, strict=True) if fixed is None]
    # Keys of dictionaries may be anything, and read alike.
    return [
        names if len(set(names)) == len(names) else []
        for names in (inputs, tree_paths(output_structure, "result"))
    ]


def _bound(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments by place and by name, as the function itself tells them apart."""
    if not kwargs:
        return args, kwargs
    try:
        bound = inspect.signature(getattr(function, "forward", function)).bind(*args, **kwargs)
    except (TypeError, ValueError):  # which the call will say better
        return args, kwargs
    return bound.args, bound.kwargs


def _takes_nothing(function: Callable[..., Any]) -> bool:
    try:
        inspect.signature(getattr(function, "forward", function)).bind()
    except TypeError:
        return False
    except ValueError:
        pass
    return True


def _is_spec(leaf: object) -> bool:
    return isinstance(leaf, Tensor | ShapeDtypeStruct)


@overload
def program(function: Callable[..., Any], first: Any, /, *args: Any, **kwargs: Any) -> Program: ...
@overload
def program(function: Callable[..., Any], /) -> Callable[..., Any]: ...
@overload
def program(function: Callable[..., Any], /, **kwargs: Any) -> Program: ...
def program(function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    """Records `function` for arguments like `args` and `kwargs` as a Program.

    The tensors among the leaves of the arguments are what the program is a function of: their values are not
    looked at, so a td.ShapeDtypeStruct may stand for one, and reading one inside is an error (TraceError).
    Other leaves are fixed. Tensors from outside that the function makes use of are read whenever the program
    runs: what was written into them in place counts, as in the function, and what was put in their place does
    not. A file has their values as of when it was saved, and the function must not overwrite them. Random
    numbers drawn from a key from outside are the same at every call.

    Without arguments, of a function that takes some, it is what records them: td.program(f)(x) is
    td.program(f, x).

    Examples
    --------
    >>> td.program(lambda x: 2 * x, td.ones(2))(td.tensor([3.0, 4.0]))
    tensor([6., 8.], dtype=float32)
    """
    if not args and not kwargs and not _takes_nothing(function):
        return functools.partial(program, function)
    args, kwargs = _bound(function, args, kwargs)
    leaves, structure = flatten((args, kwargs))
    places = [i for i, leaf in enumerate(leaves) if _is_spec(leaf)]
    flat = OfTensors(function, leaves, structure, places, "program")
    recorded = _core.record(flat, [spec_of(leaves[i]) for i in places])
    fixed = [None if i in set(places) else leaf for i, leaf in enumerate(leaves)]
    by_place, by_name = structure.children
    arguments = Node("tuple", tuple, None, by_place.children + by_name.children)
    parameters = _parameters_of(function, len(args)) + list(kwargs)
    recorded.set_names(*_names(arguments, fixed, parameters, flat.output_structure))
    return Program(recorded, arguments, fixed, flat.output_structure, parameters, len(kwargs))


def eval_shape(function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    """What `function(*args, **kwargs)` returns, with a td.ShapeDtypeStruct in place of each tensor.

    Nothing is computed of the arguments, which may be td.ShapeDtypeStruct themselves: the function is
    recorded, as td.program does it. A device is said where it is not the default one.

    Examples
    --------
    >>> td.eval_shape(lambda x: x @ x, td.ones((3, 3)))
    ShapeDtypeStruct((3, 3), tidu.float32)
    """
    leaves, structure = flatten((args, kwargs))
    places = [i for i, leaf in enumerate(leaves) if _is_spec(leaf)]
    flat = OfTensors(function, leaves, structure, places, "eval_shape")
    recorded = _core.record(flat, [spec_of(leaves[i]) for i in places])
    results = [
        ShapeDtypeStruct(shape, dtype, None if device == _core.get_default_device() else device)
        for shape, dtype, device in recorded.output_specs
    ]
    return unflatten(flat.output_structure, results)


def load_program(path: PathLike, device: DeviceLike | None = None) -> Program:
    """The Program that `Program.save` wrote, in Python or in C++, verified.

    It is called as the recorded one was: with the same names and structure. It runs on the device that it
    was recorded on, or, where `device` is given, on that one. A file that is damaged, of a newer version or
    no program is an OSError that says so. Loading runs no code; classes in the arguments' structure must have
    been imported.

    Examples
    --------
    >>> import tempfile, os
    >>> path = os.path.join(tempfile.mkdtemp(), "double.tidu")
    >>> td.program(lambda x: 2 * x, td.ones(2)).save(path)
    >>> td.load_program(path)(td.ones(2))
    tensor([2., 2.], dtype=float32)
    """
    name: Any = os.fsencode(path)  # any bytes, as names of files are
    recorded = _core.RecordedProgram.load(name, None if device is None else _core.device(device))
    if not recorded.trees:  # which C++ recorded: tensors in order
        inputs, outputs = (
            Node("tuple", tuple, None, (LEAF,) * len(variables))
            for variables in (recorded.inputs, recorded.outputs)
        )
        parameters = recorded.input_names or [f"arg{i}" for i in range(len(recorded.inputs))]
        return Program(recorded, inputs, [None] * len(parameters), outputs, parameters)
    try:
        trees = json.loads(recorded.trees)
        arguments, results = (structure_from_data(trees[key]) for key in ("arguments", "results"))
        fixed = [_fixed_from_data(data) for data in trees["fixed"]]
        parameters = [str(name) for name in trees["parameters"]]
        keywords = range(len(parameters) + 1)[trees.get("keywords", 0)]
        counts = (fixed.count(None), len(fixed), results.count, len(parameters))
        if counts != (len(recorded.inputs), arguments.count, len(recorded.outputs), len(arguments.children)):
            raise ValueError("it does not fit the program")
        return Program(recorded, arguments, fixed, results, parameters, keywords)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise FileError(f"{os.fsdecode(path)}: the structure of arguments and results: {error}") from None
