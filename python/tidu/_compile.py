"""compile: functions that are recorded once for arguments of their kind, and then run as one program."""

import functools
import itertools
import numbers
import threading

from tidu import _core
from tidu._core import Tensor
from tidu._grad_mode import no_grad
from tidu._pytree import flatten, unflatten

# --- Numbers that are arguments


class Number(numbers.Number):
    """A Python number that is an argument of a function while that is recorded.

    In operations with tensors and with numbers it stays an argument, and takes on dtypes like a number.
    Whatever needs its value (a shape, an axis, a comparison, `range`, `math.sqrt`) makes the argument static:
    the function is then recorded for each of its values.
    """

    __slots__ = ("known", "recording", "sources", "tensor")

    def __init__(self, tensor, known, sources, recording):
        self.tensor, self.known = tensor, known
        self.sources, self.recording = sources, recording

    @property
    def kind(self):
        return type(self.known).__name__

    def fix(self):
        """The value; the argument is static from here on."""
        self.recording.update(self.sources)
        return self.known

    def __repr__(self):
        return repr(self.fix())

    def __hash__(self):
        return hash(self.fix())

    def __format__(self, spec):
        return format(self.fix(), spec)

    def __getattr__(self, name):
        return getattr(self.fix(), name)


def _arithmetic(name):
    def method(self, *others):
        if len(others) == 1 and type(others[0]) in (Number, int, float):
            (other,) = others
            is_number = type(other) is Number
            known = getattr(self.known, name)(other.known if is_number else other)
            if known is NotImplemented:  # int and float
                known = getattr(float(self.known), name)(other.known if is_number else other)
            if type(known) in (int, float):
                a = self.tensor.astype(_core.float64) if type(known) is float else self.tensor
                b = other.tensor.astype(a.dtype) if is_number else other
                sources = self.sources | (other.sources if is_number else frozenset())
                return Number(getattr(a, name)(b), known, sources, self.recording)
        elif not others:
            return Number(
                getattr(self.tensor, name)(), getattr(self.known, name)(), self.sources, self.recording
            )
        if len(others) == 1 and isinstance(others[0], Tensor):
            return NotImplemented
        return getattr(self.fix(), name)(*others)

    return method


def _by_value(name):
    def method(self, *others):
        if len(others) == 1 and isinstance(others[0], Tensor):
            return NotImplemented
        others = [other.fix() if type(other) is Number else other for other in others]
        return getattr(self.fix(), name)(*others)

    return method


for _name in ("add", "radd", "sub", "rsub", "mul", "rmul", "truediv", "rtruediv", "neg", "abs"):
    setattr(Number, f"__{_name}__", _arithmetic(f"__{_name}__"))
_BY_VALUE = (
    "floordiv rfloordiv mod rmod divmod rdivmod pow rpow pos bool int float index round trunc floor ceil "
    "eq ne lt le gt ge and rand or ror xor rxor lshift rlshift rshift rrshift invert"
)
for _name in _BY_VALUE.split():
    setattr(Number, f"__{_name}__", _by_value(f"__{_name}__"))
_core.set_number_type(Number)

# --- Recordings

module_epoch = [0]  # how often an attribute of some module was set


def _is_array(leaf):
    kind = type(leaf)
    return kind.__name__ == "ndarray" and kind.__module__ == "numpy"


class _Watched(threading.local):
    """What a recording on this thread has met that a change makes stale."""

    modules = None


_watched = _Watched()


def watch_module(module):
    """Notes a module that is called while a function is recorded: its mode, its hooks and tensors are part of
    what is recorded."""
    if _watched.modules is not None:
        _watched.modules.append((module, module.training, _hooks_of(module), _tensors_of(module)))


def _hooks_of(module):
    return [*module._hooks[0], *module._hooks[1]] if module._hooks else []


def _tensors_of(module):
    return {name: value for name, value in module.__dict__.items() if isinstance(value, Tensor)}


class _Entry:
    """One recording of a function: for arguments of one kind, and values of those that are static."""

    def __init__(self, function, args, kwargs, tensors, values, static):
        self.constants = {}  # of the results' leaves: what is no tensor
        self.static = static
        used = set()  # numbers of which a value was needed

        def flat(inputs):
            arguments, later = iter(inputs[: len(tensors)]), iter(inputs[len(tensors) :])
            count = itertools.count()

            def replaced(leaf):
                if isinstance(leaf, Tensor) or _is_array(leaf):
                    return next(arguments)
                if type(leaf) not in (int, float) or (i := next(count)) in static:
                    return leaf
                return Number(next(later), leaf, frozenset({i}), used)

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

        outer, _watched.modules = _watched.modules, []
        try:
            self.epoch = module_epoch[0]
            self.recording = _core.Recording(flat, tensors, self.later(values))
        finally:
            self.modules, _watched.modules = _watched.modules, outer
        self.newly_static = frozenset(used)
        self.is_plain = self.structure.kind == "leaf" and not self.constants

    def later(self, values):
        """The numbers that are arguments of the recording."""
        if not self.static:
            return values
        return [value for i, value in enumerate(values) if i not in self.static]

    def why_stale(self):
        """None where the modules that the function called are as they were."""
        if self.epoch == module_epoch[0]:
            return None
        epoch = module_epoch[0]
        for module, training, hooks, tensors in self.modules:
            name = type(module).__name__
            if module.training != training:
                return f"a {name} is in {'training' if module.training else 'evaluation'} now"
            if _hooks_of(module) != hooks:
                return f"a {name} has other hooks"
            for key, value in _tensors_of(module).items():
                if tensors.get(key) is not value:
                    return f"a {name} has another tensor as its {key}"
        self.epoch = epoch
        return None

    def results(self, tensors):
        if self.constants:
            tensors = iter(tensors)
            tensors = [
                self.constants[i] if i in self.constants else next(tensors)
                for i in range(self.structure.count)
            ]
        return unflatten(self.structure, tensors)


class CompiledFunction:
    """What `compile` returns: it is called like the function."""

    def __init__(self, function, check):
        functools.update_wrapper(self, function, updated=())
        self._function = function
        self._to_check = check
        self._entries = {}  # by kind of arguments and values of static ones: the last used first
        self._plain = {}  # by kind alone: the last used, where nothing is fixed or static
        self._static = {}  # by kind of arguments: numbers of the numbers whose values are static
        self._reasons = []  # of each recording
        self._lock = threading.RLock()

    def __call__(self, *args, **kwargs):
        flat = _core.flatten_call(args, kwargs)
        if flat is None:  # inside of another recording
            return self._function(*args, **kwargs)
        kind, tensors, numbers_, fixed = flat
        entry = None if fixed or self._to_check else self._plain.get(kind)
        if entry is None or entry.epoch != module_epoch[0]:
            entry = self._find(flat, args, kwargs)
            if self._to_check > 0:
                return self._checked(entry, tensors, numbers_, args, kwargs)
        results = entry.recording(tensors, entry.later(numbers_) if entry.static else numbers_)
        if results is None:  # it does not hold any more
            entry = self._find(flat, args, kwargs)
            results = entry.recording(tensors, entry.later(numbers_))
        return results[0] if entry.is_plain else entry.results(results)

    def __getattr__(self, name):
        """What the function has, such as a module's `parameters`."""
        if name == "_function":
            raise AttributeError(name)
        return getattr(self._function, name)

    def __get__(self, instance, owner=None):
        return self if instance is None else functools.partial(self, instance)

    def explain(self, *args, **kwargs):
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

    def _find(self, flat, args, kwargs):
        """The recording for a call, made where there is none."""
        kind, tensors, values, fixed = flat
        try:
            static = self._static.get((kind, fixed))
        except TypeError as error:
            raise TypeError(
                f"[compile] an argument of {self.__name__} is neither a tensor, a number nor hashable "
                f"({error}): what is no tensor tells recordings apart"
            ) from None
        key = (kind, fixed, *(values[i] for i in static)) if static else (kind, fixed)
        reason = None
        entries = self._entries.get(key, ())
        for i, entry in enumerate(entries):
            why = entry.why_stale() or entry.recording.why_stale()
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

    def _record(self, kind, fixed, args, kwargs, tensors, values, reason):
        static = frozenset(self._static.get((kind, fixed), ()))
        while (entry := _Entry(self._function, args, kwargs, tensors, values, static)).newly_static:
            static |= entry.newly_static
        if static:
            self._static[kind, fixed] = sorted(static)
        key = (kind, fixed, *(values[i] for i in sorted(static)))
        self._entries[key] = [entry, *self._entries.get(key, [])[: MOST_OF_A_KIND - 1]]
        self._reasons.append(reason)
        return entry

    def _checked(self, entry, tensors, values, args, kwargs):
        """The function's own results, after those of the recording were found to have the same bits."""
        self._to_check -= 1
        written = entry.recording.written(tensors)
        with no_grad():
            before = [_core.copy(tensor) for tensor in written]
            results = entry.recording(tensors, entry.later(values), False)
            after = [_core.copy(tensor) for tensor in written]
            for tensor, value in zip(written, before, strict=True):
                tensor[...] = value
        wanted = self._function(*args, **kwargs)
        leaves = [leaf for leaf in flatten(wanted)[0] if isinstance(leaf, Tensor)]
        for what, got, want in (("result", results, leaves), ("written tensor", after, written)):
            for i, (a, b) in enumerate(zip(got, want, strict=True)):
                if not _core.same_bits(a, b.detach()):
                    raise RuntimeError(
                        f"[compile] {what} {i} of {self.__name__} differs from the function's: {_spec(a)}"
                    )
        return wanted


MOST_OF_A_KIND = 8  # recordings that are kept for arguments of one kind: of modules in several states


def _spec(tensor):
    return f"{tensor.dtype}{tensor.shape}"


def compile(function=None, *, check=0):
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

    >>> @td.compile
    ... def step(w, x, rate):
    ...     return w - rate * td.grad(lambda w: ((x * w) ** 2).sum())(w)
    >>> step(td.tensor([1.0, 2.0]), td.tensor([1.0, 1.0]), 0.25)
    tensor([0.5, 1. ], dtype=float32)
    """
    if function is None:
        return functools.partial(compile, check=check)
    if not callable(function):
        raise TypeError(f"[compile] takes a function, not {type(function).__name__}")
    return CompiledFunction(function, check)
