"""compile: functions that are recorded once for arguments of their kind, and then run as one program."""

from __future__ import annotations

import functools
import inspect
import itertools
import numbers
import operator
import threading
import weakref
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Generic, ParamSpec, TypeVar, overload

from tidu import _core
from tidu._core import Tensor, TraceError
from tidu._grad_mode import no_grad
from tidu._pytree import flatten, unflatten

P = ParamSpec("P")
R = TypeVar("R")
Donated = int | str | Sequence[int | str]  # positions and names of arguments

# --- Numbers that are arguments


class Number(numbers.Number):
    """A Python number that is an argument of a function while that is recorded, or is computed of such.

    In operations with tensors it stays an argument, and takes on dtypes like a number. What is computed of it
    with other numbers is computed by Python at each call. Whatever needs its value (a shape, an axis, a
    comparison, `range`, `math.sqrt`) makes the argument static: the function is then recorded for each of its
    values.
    """

    __slots__ = ("expression", "known", "recorded")

    def __init__(self, expression: Any, known: int | float, recorded: _Recorded) -> None:
        self.expression, self.known, self.recorded = expression, known, recorded

    @property
    def kind(self) -> str:
        return type(self.known).__name__

    @property
    def tensor(self) -> Tensor:
        return self.recorded.tensor_of(self)

    def fix(self) -> Any:
        """The value; what it is computed of is static from here on."""
        self.recorded.static.update(_sources(self.expression))
        return self.known

    def __repr__(self) -> str:
        return repr(self.fix())

    def __hash__(self) -> int:
        return hash(self.fix())

    def __format__(self, spec: str) -> str:
        return format(self.fix(), spec)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.fix(), name)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        import numpy as np

        return np.asarray(self.fix(), dtype)


class _Recorded:
    """The numbers of one recording: its arguments, and `missing` ones, which it needs as well."""

    def __init__(self, expressions: list[Any], tensors: list[Tensor]) -> None:
        self.tensors: dict[Any, Tensor] = dict(zip(expressions, tensors, strict=True))
        self.static: set[int] = set()
        self.missing: list[Any] = []

    def tensor_of(self, number: Number) -> Tensor:
        if number.expression not in self.tensors:
            # It stands for an argument of the next attempt.
            self.missing.append(number.expression)
            dtype = _core.float64 if type(number.known) is float else _core.int64
            self.tensors[number.expression] = _core.zeros((), dtype=dtype, device="cpu")
        return self.tensors[number.expression]


def _sources(expression: Any) -> set[int]:
    """The arguments, by number, of which an expression is computed."""
    if type(expression) is int:
        return {expression}
    return set().union(*(_sources(part) for part in expression[1:] if type(part) is not _Literal))


def _value(expression: Any, values: Sequence[Any]) -> Any:
    if type(expression) is int:
        return values[expression]
    if type(expression) is _Literal:
        return expression.value
    return getattr(operator, expression[0])(*(_value(part, values) for part in expression[1:]))


class _Literal:
    """A number in the code, equal to others of its type and bits alone."""

    __slots__ = ("key", "value")

    def __init__(self, value: int | float) -> None:
        self.key, self.value = _identity(value), value

    def __eq__(self, other: object) -> bool:
        return type(other) is _Literal and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)


def _identity(value: int | float) -> int | float | str:
    """Equal for numbers of one type and the same bits."""
    return value.hex() if type(value) is float else value


def _is_argument(value: object) -> bool:
    return type(value) is float or (type(value) is int and -(2**63) <= value < 2**63)


def _computed(name: str, reflected: bool = False) -> Callable[..., Any]:
    def method(self: Any, *others: Any) -> Any:
        if not others:
            return _number(name, self)
        (other,) = others
        if type(other) not in (Number, int, float):
            return NotImplemented
        return _number(name, other, self) if reflected else _number(name, self, other)

    return method


def _number(name: str, *operands: Any) -> Any:
    of = next(operand for operand in operands if type(operand) is Number)
    known = getattr(operator, name)(
        *(operand.known if type(operand) is Number else operand for operand in operands)
    )
    if not _is_argument(known):
        return getattr(operator, name)(
            *(operand.fix() if type(operand) is Number else operand for operand in operands)
        )
    parts = [operand.expression if type(operand) is Number else _Literal(operand) for operand in operands]
    return Number((name, *parts), known, of.recorded)


def _by_value(name: str) -> Callable[..., Any]:
    def method(self: Any, *others: Any) -> Any:
        if len(others) == 1 and isinstance(others[0], Tensor):
            return NotImplemented
        function = getattr(operator, name, None)
        others = tuple(other.fix() if type(other) is Number else other for other in others)
        if function is not None and others:
            return function(self.fix(), *others)
        return getattr(self.fix(), f"__{name}__")(*others)

    return method


for _name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow"):
    setattr(Number, f"__{_name}__", _computed(_name))
    setattr(Number, f"__r{_name}__", _computed(_name, reflected=True))
for _name in ("neg", "abs", "pos"):
    setattr(Number, f"__{_name}__", _computed(_name))
_BY_VALUE = (
    "divmod rdivmod bool int float index round trunc floor ceil eq ne lt le gt ge and rand or ror xor rxor "
    "lshift rlshift rshift rrshift invert"
)
for _name in _BY_VALUE.split():
    setattr(Number, f"__{_name}__", _by_value(_name))
_core.set_number_type(Number)

# --- Recordings

module_epoch = [0]  # how often an attribute of some module was set


def _is_array(leaf: object) -> bool:
    kind = type(leaf)
    return kind.__name__ == "ndarray" and kind.__module__ == "numpy"


class _Watched(threading.local):
    """What a recording on this thread has met that a change makes stale."""

    modules: dict[int, tuple[Any, dict[str, Any]]] | None = None


_watched = _Watched()


def watch_module(module: Any) -> None:
    """Notes a module that is called while a function is recorded, and those inside it, whose tensors it may
    read: their attributes and hooks are a part of that."""
    watched = _watched.modules
    if watched is not None and id(module) not in watched:
        for inside in module.modules():
            watched.setdefault(id(inside), (inside, dict(inside.__dict__)))


def _state_of(module: Any) -> dict[str, Any]:
    """The attributes of a module, and its hooks."""
    hooks = [*module._hooks[0], *module._hooks[1]] if module._hooks else []
    return {**module.__dict__, "_hooks": hooks}


def _is_same(old: Any, new: Any) -> bool:
    if old is new or type(old) is not type(new):
        return old is new
    if isinstance(old, (list, tuple)):
        return len(old) == len(new) and all(map(_is_same, old, new))
    return isinstance(old, (bool, int, float, str)) and old == new


def _changed(before: dict[str, Any], now: dict[str, Any]) -> str | None:
    """An attribute that is another one now, or None."""
    for name in before.keys() | now.keys():
        if name == "_roles":
            continue
        if name not in before or name not in now:
            return name
        if not _is_same(before[name], now[name]):
            return name
    return None


def _refuse_leaks(modules: Iterable[tuple[Any, dict[str, Any]]]) -> None:
    """Puts back what a module had where it was given a tensor of the recording, and says so."""
    leaked = None
    for module, before in modules:
        for name, value in list(module.__dict__.items()):
            if isinstance(value, Tensor) and _core._is_abstract(value) and value is not before.get(name):
                leaked = leaked or f"{type(module).__name__}.{name}"
                if name in before:
                    module.__dict__[name] = before[name]
                else:
                    del module.__dict__[name]
    if leaked:
        raise TraceError(
            f"[compile] {leaked} was set to a tensor of the function, which is recorded once (write into the "
            "one that it has: buffer[...] = value)"
        )


class _Entry:
    """One recording of a function: for arguments of one kind, and values of those that are static.

    `expressions` says which numbers are its arguments: by number among the call's, or as what is computed.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        tensors: list[Tensor],
        values: list[Any],
        static: frozenset[int],
        expressions: list[Any],
        donated: list[int],
    ) -> None:
        self.constants: dict[int, Any] = {}  # of the results' leaves: what is no tensor
        self.static = static
        self.expressions = expressions
        self.kinds = (
            None
            if all(type(e) is int for e in expressions)
            else [type(_value(e, values)) for e in expressions]
        )

        def flat(inputs: list[Tensor]) -> list[Tensor]:
            self.recorded = _Recorded(expressions, inputs[len(tensors) :])
            arguments, count = iter(inputs[: len(tensors)]), itertools.count()

            def replaced(leaf: Any) -> Any:
                if isinstance(leaf, Tensor) or _is_array(leaf):
                    return next(arguments)
                if type(leaf) not in (int, float) or (i := next(count)) in static:
                    return leaf
                return Number(i, leaf, self.recorded)

            given, structure = flatten((args, kwargs))
            new_args, new_kwargs = unflatten(structure, [replaced(leaf) for leaf in given])
            leaves, self.structure = flatten(function(*new_args, **new_kwargs))
            results = []
            for i, leaf in enumerate(leaves):
                if isinstance(leaf, Tensor):
                    results.append(leaf)
                elif type(leaf) is Number:
                    results.append(leaf.tensor)
                else:
                    self.constants[i] = leaf
            return results

        outer, _watched.modules = _watched.modules, {}
        try:
            later = self.later(values)
            assert later is not None  # these are the values whose kinds it holds
            self.recording = _core.Recording(flat, tensors, later, donated)
        finally:
            modules, _watched.modules = list(_watched.modules.values()), outer
            _refuse_leaks(modules)
        self.epoch = module_epoch[0]
        self.modules = [(weakref.ref(module), _state_of(module)) for module, _ in modules]
        self.is_plain = self.structure.kind == "leaf" and not self.constants

    def later(self, values: list[Any]) -> list[Any] | None:
        """The numbers that are arguments of the recording; None where one is of another type than it was."""
        if self.kinds is None:
            return [values[i] for i in self.expressions] if self.static else values
        later = [_value(expression, values) for expression in self.expressions]
        fits = all(type(v) is kind and _is_argument(v) for v, kind in zip(later, self.kinds, strict=True))
        return later if fits else None

    def why_stale(self) -> str | None:
        """None where the modules that the function called are as they were."""
        if self.epoch == module_epoch[0]:
            return None
        epoch = module_epoch[0]
        for reference, state in self.modules:
            module = reference()
            if module is None:
                continue
            name = _changed(state, _state_of(module))
            if name == "training":
                return (
                    f"a {type(module).__name__} is in {'training' if module.training else 'evaluation'} now"
                )
            if name is not None:
                return f"a {type(module).__name__} has other {name}"
        self.epoch = epoch
        return None

    def results(self, tensors: list[Tensor]) -> Any:
        if self.constants:
            given = iter(tensors)
            tensors = [
                self.constants[i] if i in self.constants else next(given) for i in range(self.structure.count)
            ]
        return unflatten(self.structure, tensors)


class CompiledFunction(Generic[P, R]):
    """What `compile` returns: it is called like the function."""

    def __init__(self, function: Callable[P, R], check: int, donate: tuple[int | str, ...]) -> None:
        functools.update_wrapper(self, function, updated=())
        self._function = function
        self._to_check = check
        self._donate = donate
        self._entries: dict[
            Any, list[_Entry]
        ] = {}  # by kind of arguments and values of static ones: the last used first
        self._plain: dict[Any, _Entry] = {}  # by kind alone: the last used, where nothing is fixed or static
        self._static: dict[
            Any, list[int]
        ] = {}  # by kind of arguments: numbers of the numbers whose values are static
        self._reasons: list[str] = []  # of each recording
        self._ends: dict[
            int, Any
        ] = {}  # of objects among the arguments, by weak reference: what forgets their recordings
        self._lock = threading.RLock()

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        flat = _core.flatten_call(args, kwargs)
        if flat is None:  # inside of another recording
            return self._function(*args, **kwargs)
        kind, tensors, numbers_, fixed = flat
        entry = None if fixed or self._to_check else self._plain.get(kind)
        if entry is None or entry.epoch != module_epoch[0]:
            entry = self._find(flat, args, kwargs)
            if self._to_check > 0:
                checked: R = self._checked(entry, tensors, numbers_, args, kwargs)
                return checked
        later = numbers_ if entry.kinds is None and not entry.static else entry.later(numbers_)
        results = entry.recording(tensors, later)
        if results is None:  # it does not hold any more
            entry = self._find(flat, args, kwargs)
            results = entry.recording(tensors, entry.later(numbers_))
        found: R = results[0] if entry.is_plain else entry.results(results)
        return found

    def __getattr__(self, name: str) -> Any:
        """What the function has, such as a module's `parameters`."""
        if name == "_function":
            raise AttributeError(name)
        return getattr(self._function, name)

    def __get__(self, instance: object, owner: object | None = None) -> Any:
        bound: Any = self
        return self if instance is None else functools.partial(bound, instance)

    def explain(self, *args: P.args, **kwargs: P.kwargs) -> str:
        """What a call with these arguments runs, as text: the program as recorded and as it is run, what is
        fixed in it, memory, and why the last recording was made."""
        flat = _core.flatten_call(args, kwargs)
        entry, values = self._find(flat, args, kwargs), flat[2]
        lines = [f"{self.__name__}: recorded {len(self._reasons)} times, last because {self._reasons[-1]}"]
        lines += [
            f"static: {values[i]!r}, whose value was needed (recorded for each value)"
            for i in sorted(entry.static)
        ]
        lines += [f"frozen in the result: {value!r}" for value in entry.constants.values()]
        closed = entry.recording.closed_over
        if closed:
            lines.append("read from outside at each call: " + ", ".join(_spec(tensor) for tensor in closed))
        return "\n".join([*lines, entry.recording.explain()])

    def _find(self, flat: tuple[Any, ...], args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Entry:
        """The recording for a call, made where there is none."""
        kind, tensors, values, fixed = flat
        try:
            static = self._static.get((kind, fixed))
        except TypeError as error:
            raise TypeError(
                f"[compile] an argument of {self.__name__} is neither a tensor, a number nor hashable "
                f"({error}): what is no tensor tells recordings apart"
            ) from None
        key = self._key(kind, fixed, static or (), values)
        reason = None
        entries = self._entries.get(key, ())
        for i, entry in enumerate(entries):
            why = entry.why_stale() or entry.recording.why_stale()
            if why is None and entry.later(values) is None:
                why = "what is computed of its numbers is of another type"
            if why is None:
                if i > 0:
                    self._entries[key] = [entry, *entries[:i], *entries[i + 1 :]]
                break
            reason = reason or why
        else:
            if reason is None:
                reason = "it met arguments of this kind for the first time"
            with self._lock:
                entry = self._record(kind, fixed, args, kwargs, tensors, values, reason)
        if not fixed and not entry.static:
            self._plain[kind] = entry
        return entry

    def _forget_with(self, reference: Any) -> None:
        """Lets the recordings for an object, known by `reference`, go when it goes."""
        if type(reference) is not weakref.ref or id(reference) in self._ends:
            return
        own = weakref.ref(self)

        def forget(_: object) -> None:
            compiled = own()
            if compiled is None:
                return
            for table in (compiled._entries, compiled._static):
                for key in list(table):
                    if any(part is reference for part in key[1]):
                        table.pop(key, None)
            compiled._ends.pop(id(reference), None)

        if (thing := reference()) is not None:
            self._ends[id(reference)] = weakref.ref(thing, forget)

    @staticmethod
    def _key(kind: Any, fixed: tuple[Any, ...], static: Iterable[int], values: list[Any]) -> tuple[Any, ...]:
        return (kind, fixed, *(_identity(values[i]) for i in static))

    def _record(
        self,
        kind: Any,
        fixed: tuple[Any, ...],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        tensors: list[Tensor],
        values: list[Any],
        reason: str,
    ) -> _Entry:
        static = frozenset(self._static.get((kind, fixed), ()))
        derived: list[Any] = []
        donated = _donated(self._donate, self._function, args, kwargs) if self._donate else []
        while True:
            expressions = [i for i, value in enumerate(values) if i not in static and _is_argument(value)]
            static |= {i for i in range(len(values)) if i not in expressions}
            derived = [e for e in derived if not _sources(e) & static]
            entry = _Entry(
                self._function, args, kwargs, tensors, values, static, [*expressions, *derived], donated
            )
            recorded = entry.recorded
            if not recorded.static and not recorded.missing:
                break
            static |= recorded.static
            derived += recorded.missing
        if static:
            self._static[kind, fixed] = sorted(static)
        key = self._key(kind, fixed, sorted(static), values)
        self._entries[key] = [entry, *self._entries.get(key, [])[: MOST_OF_A_KIND - 1]]
        self._reasons.append(reason)
        for part in fixed:
            self._forget_with(part)
        return entry

    def __reduce__(self) -> tuple[Any, ...]:
        return CompiledFunction, (self._function, self._to_check, self._donate)

    def _checked(
        self,
        entry: _Entry,
        tensors: list[Tensor],
        values: list[Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        """The function's own results, after those of the recording were found to have the same bits."""
        self._to_check -= 1
        written = entry.recording.written(tensors)
        with no_grad():
            before = [_core.copy(tensor) for tensor in written]
            if self._donate:  # the function itself is to have them yet
                tensors = [_core.copy(tensor) for tensor in tensors]
            results = entry.recording(tensors, entry.later(values), False)
            after = [_core.copy(tensor) for tensor in written]
            for tensor, value in zip(written, before, strict=True):
                tensor[...] = value
        wanted = self._function(*args, **kwargs)
        leaves = [leaf for leaf in flatten(wanted)[0] if isinstance(leaf, Tensor)]
        for what, got, want in (("result", results, leaves), ("written tensor", after, written)):
            for i, (a, b) in enumerate(zip(got, want, strict=True)):
                with no_grad():
                    is_same = _core.same_bits(a, b.detach())
                if not is_same:
                    raise RuntimeError(
                        f"[compile] {what} {i} of {self.__name__} differs from the function's: {_spec(a)}"
                    )
        return wanted


MOST_OF_A_KIND = 8  # recordings that are kept for arguments of one kind: of modules in several states


def _spec(tensor: Tensor) -> str:
    return f"{tensor.dtype}{tensor.shape}"


def _names_of(function: Callable[..., Any]) -> list[str] | None:
    """The names of a function's positional parameters, or None where it does not say."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return None
    return [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]


def _donated(
    donate: tuple[int | str, ...],
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> list[int]:
    """The numbers, among the tensors of a call, of those in donated arguments."""
    names = _names_of(function) or []
    numbers: list[int] = []
    count = 0
    for key, argument in [*enumerate(args), *kwargs.items()]:
        names_it = {key, names[key] if type(key) is int and key < len(names) else key}
        if key in names:
            names_it.add(names.index(key))
        size = sum(isinstance(leaf, Tensor) or _is_array(leaf) for leaf in flatten(argument)[0])
        if names_it & set(donate):
            numbers.extend(range(count, count + size))
        count += size
    return numbers


def _checked_donate(donate: Donated, function: Callable[..., Any]) -> tuple[int | str, ...]:
    """The positions and names of arguments to donate; a ValueError where there are none such."""
    chosen: tuple[Any, ...] = tuple(donate) if isinstance(donate, (tuple, list)) else (donate,)
    names = _names_of(function)
    takes_more = names is None or any(
        p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD, p.KEYWORD_ONLY)
        for p in inspect.signature(function).parameters.values()
    )
    for one in chosen:
        if type(one) not in (int, str):
            raise TypeError(f"[compile] donate takes positions and names of arguments, not {one!r}")
        if type(one) is int and one < 0:
            raise ValueError(f"[compile] donate takes positions from 0 on, not {one}")
        if names is not None and not takes_more and one not in names and one not in range(len(names)):
            raise ValueError(
                f"[compile] there is no argument {one!r} to donate (the function takes {', '.join(names)})"
            )
    return chosen


@overload
def compile(
    function: Callable[P, R], *, check: int = ..., donate: Donated = ...
) -> CompiledFunction[P, R]: ...
@overload
def compile(
    function: None = None, *, check: int = ...
) -> Callable[[Callable[P, R]], CompiledFunction[P, R]]: ...
def compile(function: Callable[..., Any] | None = None, *, check: int = 0, donate: Donated = ()) -> Any:
    """`function` as one prepared program for each kind of arguments (structure, shapes, dtypes, devices,
    layouts) that it is called with.

    At the first call of a kind the function runs once with arguments of unknown value, and its operations are
    recorded; from then on calls run what was recorded, without Python. Tensors that it closes over, such as a
    model's parameters, are read at each call, and written where the function writes to them: so a training
    step with `backward` or `value_and_grad` and `optimizer.step` can be compiled as it is. Learning rates and
    step counts of optimisers are read at each call. Numbers among the arguments may change from call to
    call; where a value is needed, as for a shape, the function is recorded for each value. Other arguments
    (strings, bools, objects) tell recordings apart, and so do the modes and tensors of modules. What the
    function does to other Python objects happens when it is recorded, and not at calls.

    Reading a value inside (item(), print, if) is a TraceError that names the operation. `.grad` is left as it
    is: return gradients where they are needed. Results are new tensors, with the bits that the function
    gives; the first `check` calls are compared with it, a RuntimeError where they differ. `explain(*args)`
    of the result says what calls do.

    `donate` names arguments, by position or name, whose tensors the caller has no more use for, such as the
    parameters and state that a step returns anew: results may be made in their memory, and using such a
    tensor afterwards is a ValueError. So it is, before anything runs, where a donated tensor is being
    differentiated, read-only or repeated, given twice, closed over, or has views. Inside of transforms and of
    other compiled functions nothing is donated.

    Examples
    --------
    >>> @td.compile
    ... def step(w, x, rate):
    ...     return w - rate * td.grad(lambda w: ((x * w) ** 2).sum())(w)
    >>> step(td.tensor([1.0, 2.0]), td.tensor([1.0, 1.0]), 0.25)
    tensor([0.5, 1. ], dtype=float32)
    """
    if function is None:
        return functools.partial(compile, check=check, donate=donate)
    if not callable(function):
        raise TypeError(f"[compile] takes a function, not {type(function).__name__}")
    of_call = getattr(function, "forward", function)
    if inspect.isgeneratorfunction(of_call) or inspect.iscoroutinefunction(of_call):
        raise TypeError(
            f"[compile] {getattr(function, '__name__', function)} runs in parts, which is not recorded"
        )
    return CompiledFunction(function, check, _checked_donate(donate, of_call))
