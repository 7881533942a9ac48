"""Module: a function with parameters, buffers and submodules, each under a name."""

from __future__ import annotations

import collections
import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, ParamSpec, Protocol, TypeVar

import tidu as td
from tidu import _core
from tidu._core import Tensor
from tidu.typing import DeviceLike, DTypeLike

from .._compile import module_epoch, watch_module

if TYPE_CHECKING:
    from typing_extensions import Self

P = ParamSpec("P")
R = TypeVar("R", covariant=True)


class _Forward(Protocol[P, R]):
    """A module, which is called like its `forward`."""

    _hooks: Any

    def forward(self, *args: P.args, **kwargs: P.kwargs) -> R: ...


class _MadeBy:
    """The signature of a class of modules: that of __init__, and not of __new__, which takes anything."""

    def __get__(self, instance: object, owner: type) -> inspect.Signature:
        if instance is not None:
            raise AttributeError("__signature__")
        made: Any = owner.__init__  # type: ignore[misc]
        own = inspect.signature(made).parameters.values() if made is not object.__init__ else ()
        return inspect.Signature(list(own)[1:])


_OWN = {"_roles", "_hooks", "training"}


def Parameter(tensor: Tensor) -> Tensor:
    """A leaf that shares `tensor`'s memory and requires grad: assigned to a module it is a parameter.

    Examples
    --------
    >>> td.nn.Parameter(td.ones(2)).requires_grad
    True
    """
    if not isinstance(tensor, td.Tensor):
        raise TypeError(f"[Parameter] takes a tensor, not {type(tensor).__name__} (td.tensor makes one)")
    leaf = tensor.detach()
    leaf.requires_grad = True
    return leaf


def options_of(module: Module) -> dict[str, Any]:
    """What a module without submodules was made with: its attributes by name."""
    return {name: value for name, value in vars(module).items() if name not in _OWN}


def _is_trained(value: object) -> bool:
    return isinstance(value, Module) or (isinstance(value, td.Tensor) and value.requires_grad)


class Handle:
    """A registered hook; `remove()` ends it."""

    def __init__(self, hooks: list[Handle], hook: Callable[..., Any]) -> None:
        self._hooks, self.hook = hooks, hook
        hooks.append(self)

    def remove(self) -> None:
        if self in self._hooks:
            self._hooks.remove(self)
        module_epoch[0] += 1


class LoadedKeys(NamedTuple):
    """The names for which a state had no value, and those for which the module has no place."""

    missing_keys: list[str]
    unexpected_keys: list[str]


class Module:
    """Subclasses assign parameters (`Parameter`, or any tensor that requires grad) and modules to attributes,
    also in lists, tuples, deques and dictionaries, and define `forward`. `super().__init__()` need not be
    called.

        class Affine(td.nn.Module):
            def __init__(self, size):
                self.scale = td.nn.Parameter(td.ones((size,)))

            def forward(self, x):
                return x * self.scale

    A module is used in either of two ways: its parameters collect `.grad` on `.backward()`, or
    `functional_call` evaluates it at other values, which `grad` and its kin may differentiate by.

    Examples
    --------
    >>> class Affine(td.nn.Module):
    ...     def __init__(self, size):
    ...         self.scale = td.nn.Parameter(td.ones(size))
    ...     def forward(self, x):
    ...         return x * self.scale
    >>> Affine(2)(td.tensor([1.0, 2.0])).detach()
    tensor([1., 2.], dtype=float32)
    """

    _roles: dict[str, str]
    _hooks: Any
    training: bool
    __signature__: ClassVar[inspect.Signature] = _MadeBy()  # type: ignore[assignment]  # which gives one

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        if cls.__init__ is object.__init__ and (args or kwargs):
            raise TypeError(f"[{cls.__name__}] takes no arguments, not {len(args) + len(kwargs)}")
        self = super().__new__(cls)
        # _roles: dotted name -> "parameter" or "buffer", which tensors keep when they no longer require grad
        self.__dict__.update(_roles={}, _hooks=None, training=True)
        return self

    def __setattr__(self, name: str, value: Any) -> None:
        self.__dict__[name] = value
        module_epoch[0] += 1
        if not isinstance(value, td.Tensor) or self._role(name, value) is None:
            self._roles.pop(name, None)

    def __delattr__(self, name: str) -> None:
        module_epoch[0] += 1
        super().__delattr__(name)
        self._roles.pop(name, None)

    def _role(self, name: str, tensor: Tensor) -> str | None:
        if name not in self._roles and tensor.requires_grad and tensor.is_leaf:
            self._roles[name] = "parameter"
        return self._roles.get(name)

    def register_buffer(self, name: str, tensor: Tensor) -> None:
        """A tensor that is saved and moved with the module but not trained."""
        if not isinstance(tensor, td.Tensor):
            raise TypeError(f"[register_buffer] {name!r} must be a tensor, not {type(tensor).__name__}")
        self.__dict__[name] = tensor
        module_epoch[0] += 1
        self._roles[name] = "buffer"

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What a call of the module computes; a subclass defines it."""
        raise NotImplementedError(f"{type(self).__name__} defines no forward")

    def __call__(self: _Forward[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        watch_module(self)
        hooks = self._hooks
        if hooks is None:
            return self.forward(*args, **kwargs)
        before, after = hooks
        inputs: Any = args
        for handle in tuple(before):
            given = handle.hook(self, inputs)
            if given is not None:
                inputs = given if isinstance(given, tuple) else (given,)
        output = self.forward(*inputs, **kwargs)
        for handle in tuple(after):
            given = handle.hook(self, inputs, output)
            output = output if given is None else given
        return output

    def register_forward_pre_hook(self, hook: Callable[..., Any]) -> Handle:
        """Calls hook(module, args) before each call of this module; what it returns, unless None, stands for
        the positional arguments. The result's `remove()` ends that."""
        return self._register(0, hook)

    def register_forward_hook(self, hook: Callable[..., Any]) -> Handle:
        """Calls hook(module, args, output) after each call of this module, with the positional arguments that
        `forward` got; what it returns, unless None, stands for the output. The result's `remove()` ends
        that."""
        return self._register(1, hook)

    def _register(self, when: int, hook: Callable[..., Any]) -> Handle:
        if self._hooks is None:
            self.__dict__["_hooks"] = ([], [])
        module_epoch[0] += 1
        return Handle(self._hooks[when], hook)

    def __getstate__(self) -> dict[str, Any]:
        # Copies, also shallow ones, have roles and hooks of their own.
        hooks = self._hooks and tuple(list(handles) for handles in self._hooks)
        return {**self.__dict__, "_roles": dict(self._roles), "_hooks": hooks}

    # ---- What is inside

    def _members(self) -> Iterator[tuple[str, Any, Any]]:
        """(name, holder, key) of each tensor and module: holder[key], where the holder is this module's
        attributes or a list, tuple or dictionary among them."""
        stack: list[tuple[str, Any, Any]] = [
            (name, self.__dict__, name) for name in reversed(self.__dict__) if name not in _OWN
        ]
        seen = set()
        while stack:
            name, holder, key = stack.pop()
            value = holder[key]
            if isinstance(value, (Module, td.Tensor)):
                yield name, holder, key
            elif isinstance(value, (set, frozenset)) and any(map(_is_trained, value)):
                raise TypeError(f"[{type(self).__name__}] {name} is a set, which has no order (use a list)")
            elif not isinstance(value, (dict, list, tuple, collections.deque)) or id(value) in seen:
                continue
            seen.add(id(value))
            if isinstance(value, dict):
                stack += [(f"{name}.{key}", value, key) for key in reversed(value)]
            elif isinstance(value, (list, tuple, collections.deque)):
                stack += [(f"{name}.{i}", value, i) for i in reversed(range(len(value)))]

    def named_children(self) -> list[tuple[str, Module]]:
        """(name, module) of the direct submodules, in order of assignment."""
        return [
            (name, holder[key]) for name, holder, key in self._members() if isinstance(holder[key], Module)
        ]

    def children(self) -> list[Module]:
        """The direct submodules, in order of assignment."""
        return [child for _, child in self.named_children()]

    def named_modules(self) -> list[tuple[str, Module]]:
        """(dotted name, module) of this module, whose name is "", and of all inside it, each once."""
        seen, stack = {}, [("", self)]
        while stack:
            name, module = stack.pop()
            if id(module) not in seen:
                seen[id(module)] = (name, module)
                inside = [(f"{name}.{own}" if name else own, child) for own, child in module.named_children()]
                stack += reversed(inside)
        return list(seen.values())

    def modules(self) -> list[Module]:
        """This module and all inside it, each once."""
        return [module for _, module in self.named_modules()]

    def apply(self, function: Callable[[Module], object]) -> Self:
        """Calls function(module) for all modules inside this one and then for itself; returns self."""
        for module in reversed(self.modules()):
            function(module)
        return self

    def _places(
        self, role: str, prefix: str = "", above: tuple[Module, ...] = ()
    ) -> Iterator[tuple[str, Any, Any]]:
        """(dotted name, holder, key) of every tensor of a role, in order of assignment."""
        for name, holder, key in self._members():
            value = holder[key]
            if isinstance(value, Module):
                if not any(value is module for module in above):
                    yield from value._places(role, f"{prefix}{name}.", (*above, self))
            elif self._role(name, value) == role:
                yield prefix + name, holder, key

    def _named(self, *roles: str) -> dict[str, Tensor]:
        """By dotted name, in order of assignment. ValueError where two have one name."""
        named: dict[str, Tensor] = {}
        seen = set()
        for role in roles:
            for name, holder, key in self._places(role):
                tensor = holder[key]
                if id(tensor) in seen:
                    continue
                if name in named:
                    raise _same_name(self, name)
                seen.add(id(tensor))
                named[name] = tensor
        return named

    def named_parameters(self) -> list[tuple[str, Tensor]]:
        """(dotted name, parameter) in order of assignment; a shared parameter comes once."""
        return list(self._named("parameter").items())

    def parameters(self) -> list[Tensor]:
        """The parameters, in order of assignment."""
        return list(self._named("parameter").values())

    def named_buffers(self) -> list[tuple[str, Tensor]]:
        """(dotted name, buffer) in order of assignment."""
        return list(self._named("buffer").items())

    def buffers(self) -> list[Tensor]:
        """The buffers, in order of assignment."""
        return list(self._named("buffer").values())

    def params(self) -> dict[str, Tensor]:
        """The parameters' values as a dictionary for `functional_call` and the transforms. They share the
        parameters' memory, so take it anew after an update."""
        return {name: tensor.detach() for name, tensor in self._named("parameter").items()}

    # ---- State

    def state_dict(self) -> dict[str, Tensor]:
        """Dotted name -> value of all parameters and buffers; the values share the module's memory."""
        return {name: tensor.detach() for name, tensor in self._named("parameter", "buffer").items()}

    def load_state_dict(self, state: Mapping[str, Any], strict: bool = True) -> LoadedKeys:
        """Copies values, tensors or NumPy arrays, into the parameters and buffers. Names, shapes and dtypes
        must all fit, which is checked before anything is changed; unless `strict`, only those that both sides
        have. Returns the names that are missing and those that are unexpected. The floating-point numbers of
        an array are converted."""
        if not isinstance(state, Mapping):
            raise TypeError(
                f"[load_state_dict] the state is a dictionary of tensors by names, not {type(state).__name__}"
            )
        own = self._named("parameter", "buffer")
        keys = LoadedKeys(
            [name for name in own if name not in state], [name for name in state if name not in own]
        )
        if strict and any(keys):
            parts = [
                f"{what} {', '.join(map(str, names))}"
                for what, names in (("lacks", keys.missing_keys), ("has unknown", keys.unexpected_keys))
                if names
            ]
            raise ValueError(f"[load_state_dict] the state of {type(self).__name__} {' and '.join(parts)}")
        values = {}
        for name, tensor in own.items():
            if name in keys.missing_keys:
                continue
            try:
                value = state[name] if isinstance(state[name], td.Tensor) else td.asarray(state[name])
            except TypeError as error:
                raise TypeError(f"[load_state_dict] {name}: {error}") from None
            both_float = value.dtype.is_floating_point and tensor.dtype.is_floating_point
            if value is not state[name] and both_float:
                value = value.astype(tensor.dtype, copy=False)
            if value.shape != tensor.shape:
                raise td.ShapeError(
                    f"[load_state_dict] {name} has shape {tensor.shape}, the state's {value.shape}"
                )
            if value.dtype != tensor.dtype:
                raise td.DTypeError(
                    f"[load_state_dict] {name} is {tensor.dtype}, the state's {value.dtype} (use astype)"
                )
            values[name] = value.to(tensor.device)
        with td.no_grad():
            _core._assign_all([own[name] for name in values], list(values.values()))
        return keys

    def train(self, mode: bool = True) -> Self:
        """Switches layers such as Dropout to training (or, with False, to evaluation); returns self."""
        for module in self.modules():
            module.training = bool(mode)
        return self

    def eval(self) -> Self:
        """The same as train(False)."""
        return self.train(False)

    def requires_grad_(self, value: Any = True) -> Self:
        """Freezes (False) or thaws all parameters; returns self."""
        for parameter in self.parameters():
            parameter.requires_grad = value
        return self

    def zero_grad(self) -> None:
        """Drops the parameters' gradients."""
        for parameter in self.parameters():
            if parameter.requires_grad:
                parameter.grad = None

    def to(
        self, target: Any = None, dtype: DTypeLike | None = None, *, device: DeviceLike | None = None
    ) -> Self:
        """Moves parameters and buffers, as `Tensor.to` does, and converts those of a floating-point dtype;
        returns self. What is not yet as wanted becomes a new tensor: make the optimiser afterwards."""
        own = {id(tensor): tensor for tensor in self._named("parameter", "buffer").values()}
        moved = {number: _moved(tensor, target, dtype, device) for number, tensor in own.items()}
        places = [
            (name, holder, key, moved[id(holder[key])])
            for role in ("parameter", "buffer")
            for name, holder, key in self._places(role)
        ]
        for name, holder, key, tensor in places:
            _check_place(holder, key, tensor, name)
        for name, holder, key, tensor in places:
            _put(holder, key, tensor, name)
        module_epoch[0] += 1
        return self

    def cuda(self, device: DeviceLike | None = None) -> Self:
        """Moves parameters and buffers to a cuda device; returns self."""
        return self.to(td.cuda._device(device))

    def cpu(self) -> Self:
        """Moves parameters and buffers to the cpu; returns self."""
        return self.to("cpu")

    def float(self) -> Self:
        """Converts floating-point parameters and buffers to float32; returns self."""
        return self.to(td.float32)

    def double(self) -> Self:
        """Converts floating-point parameters and buffers to float64; returns self."""
        return self.to(td.float64)

    def __repr__(self) -> str:
        lines = [f"({name}): {child!r}".replace("\n", "\n  ") for name, child in self.named_children()]
        inside = "".join(f"\n  {line}" for line in lines) + "\n" if lines else self.extra_repr()
        return f"{type(self).__name__}({inside})"

    def extra_repr(self) -> str:
        """What repr shows of a module without submodules."""
        return ""


def _moved(tensor: Tensor, target: Any, dtype: DTypeLike | None, device: DeviceLike | None) -> Tensor:
    """What `Module.to` puts in the place of a tensor: a leaf with its gradient, or the tensor itself."""
    value = tensor.detach()
    new = value.to(target, dtype, device=device)
    if not (value.dtype.is_floating_point and new.dtype.is_floating_point):
        new = value.to(new.device)
    if (new.device, new.dtype) == (tensor.device, tensor.dtype):
        return tensor
    new.requires_grad = tensor.requires_grad
    if tensor.grad is not None:
        new.grad = tensor.grad.detach().to(new)
    return new


def _spread(module: Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
    """The arguments, which are given as one tuple where `forward` cannot mean that."""
    if len(args) != 1 or type(args[0]) is not tuple:
        return args
    if len(args[0]) == 1:
        return args[0]
    try:
        inspect.signature(module.forward).bind(*args, **kwargs)
    except TypeError:
        return args[0]
    except ValueError:  # of what has none
        pass
    return args


def functional_call(module: Module, params: Mapping[str, Tensor], *args: Any, **kwargs: Any) -> Any:
    """module(*args, **kwargs) with the parameters (or buffers) named in `params`, a dictionary as
    `module.params()` gives it, at those values; the others keep their own. Arguments may be one tuple, as in
    PyTorch, where it has one element or `forward` needs as many: functional_call(module, params, (x, y)).

        loss, grads = td.value_and_grad(lambda p: loss_of(td.nn.functional_call(net, p, x), y))(net.params())

    Examples
    --------
    >>> net = td.nn.Linear(2, 1)
    >>> zero = {name: 0 * value for name, value in net.params().items()}
    >>> td.nn.functional_call(net, zero, td.ones(2))
    tensor([0.], dtype=float32)
    """
    places: dict[str, tuple[Tensor, list[tuple[Any, Any]]]] = {}
    own: dict[int, str] = {}  # a shared tensor is replaced under all its names
    for role in ("parameter", "buffer"):
        for name, holder, key in module._places(role):
            tensor = holder[key]
            first = own.setdefault(id(tensor), name)
            of_name, where = places.setdefault(first, (tensor, []))
            if of_name is not tensor:
                raise _same_name(module, first)
            where.append((holder, key))
    unknown = [name for name in params if name not in places]
    if unknown:
        raise ValueError(f"[functional_call] {type(module).__name__} has no parameter {', '.join(unknown)}")
    for name, value in params.items():
        if value.shape != places[name][0].shape:
            raise td.ShapeError(
                f"[functional_call] {name} has shape {places[name][0].shape}, its replacement {value.shape}"
            )
    try:
        for name, value in params.items():
            for holder, key in places[name][1]:
                _put(holder, key, value, name)
        return module(*_spread(module, args, kwargs), **kwargs)
    finally:
        for name in params:
            tensor, where = places[name]
            for holder, key in where:
                _put(holder, key, tensor, name)


def _same_name(module: Module, name: str) -> ValueError:
    return ValueError(
        f"[{type(module).__name__}] two tensors have the name {name!r} (dots are put between names, and keys "
        "of dictionaries are read as strings: rename one)"
    )


def _check_place(holder: Any, key: Any, tensor: Tensor, name: str) -> None:
    if holder[key] is not tensor and isinstance(holder, tuple):
        raise TypeError(f"[Module] the parameter {name} is in a tuple, where nothing can take its place")


def _put(holder: Any, key: Any, tensor: Tensor, name: str) -> None:
    _check_place(holder, key, tensor, name)
    if holder[key] is not tensor:
        holder[key] = tensor
