"""Module: a function with parameters, buffers and submodules, each under a name."""

import tidu as td


def Parameter(tensor):
    """A leaf that shares `tensor`'s memory and requires grad: assigned to a module it is a parameter."""
    leaf = tensor.detach()
    leaf.requires_grad = True
    return leaf


class Module:
    """Subclasses assign parameters (`Parameter`, or any tensor that requires grad) and modules to attributes,
    and define `forward`. `super().__init__()` need not be called.

        class Affine(td.nn.Module):
            def __init__(self, size):
                self.scale = td.nn.Parameter(td.ones((size,)))

            def forward(self, x):
                return x * self.scale

    A module is used in either of two ways: its parameters collect `.grad` on `.backward()`, or
    `functional_call` evaluates it at other values, which `grad` and its kin may differentiate by.
    """

    def __new__(cls, *args, **kwargs):
        self = super().__new__(cls)
        self.__dict__.update(_roles={}, training=True)  # _roles: name -> "parameter", "buffer" or "module"
        return self

    def __setattr__(self, name, value):
        role = self._roles.get(name)
        if isinstance(value, Module):
            role = "module"
        elif not isinstance(value, td.Tensor):
            role = None
        elif role not in ("parameter", "buffer"):
            role = "parameter" if value.requires_grad and value.is_leaf else None
        if role:
            self._roles[name] = role
        else:
            self._roles.pop(name, None)
        self.__dict__[name] = value

    def __delattr__(self, name):
        super().__delattr__(name)
        self._roles.pop(name, None)

    def register_buffer(self, name, tensor):
        """A tensor that is saved and moved with the module but not trained."""
        if not isinstance(tensor, td.Tensor):
            raise TypeError(f"[register_buffer] {name!r} must be a tensor, not {type(tensor).__name__}")
        self.__dict__[name] = tensor
        self._roles[name] = "buffer"

    def forward(self, *args, **kwargs):
        raise NotImplementedError(f"{type(self).__name__} defines no forward")

    def __call__(self, *args, **kwargs):
        return self.forward(*args, **kwargs)

    # ---- What is inside

    def children(self):
        """(name, module) of the direct submodules, in order of assignment."""
        return [(name, self.__dict__[name]) for name, role in self._roles.items() if role == "module"]

    def modules(self):
        """This module and all inside it, each once."""
        seen, stack = {}, [self]
        while stack:
            module = stack.pop()
            if id(module) not in seen:
                seen[id(module)] = module
                stack.extend(child for _, child in reversed(module.children()))
        return list(seen.values())

    def _places(self, role, prefix=""):
        """(dotted name, module, attribute) of every tensor of a role, in order of assignment."""
        for name, its_role in self._roles.items():
            if its_role == "module":
                yield from self.__dict__[name]._places(role, f"{prefix}{name}.")
            elif its_role == role:
                yield prefix + name, self, name

    def _named(self, role):
        seen = set()
        for name, owner, attribute in self._places(role):
            tensor = owner.__dict__[attribute]
            if id(tensor) not in seen:
                seen.add(id(tensor))
                yield name, tensor

    def named_parameters(self):
        """(dotted name, parameter) in order of assignment; a shared parameter comes once."""
        return list(self._named("parameter"))

    def parameters(self):
        """The parameters, in order of assignment."""
        return [tensor for _, tensor in self._named("parameter")]

    def named_buffers(self):
        """(dotted name, buffer) in order of assignment."""
        return list(self._named("buffer"))

    def params(self):
        """The parameters' values as a dictionary for `functional_call` and the transforms. They share the
        parameters' memory, so take it anew after an update."""
        return {name: tensor.detach() for name, tensor in self._named("parameter")}

    # ---- State

    def state_dict(self):
        """Dotted name -> value of all parameters and buffers; the values share the module's memory."""
        return {
            name: tensor.detach() for role in ("parameter", "buffer") for name, tensor in self._named(role)
        }

    def load_state_dict(self, state):
        """Copies values into the parameters and buffers. Names, shapes and dtypes must all fit, which is
        checked before anything is changed."""
        own = {name: tensor for role in ("parameter", "buffer") for name, tensor in self._named(role)}
        missing = [name for name in own if name not in state]
        unexpected = [name for name in state if name not in own]
        if missing or unexpected:
            parts = [
                f"{what} {', '.join(names)}"
                for what, names in (("lacks", missing), ("has unknown", unexpected))
                if names
            ]
            raise ValueError(f"[load_state_dict] the state of {type(self).__name__} {' and '.join(parts)}")
        for name, tensor in own.items():
            value = state[name]
            if value.shape != tensor.shape:
                raise td.ShapeError(
                    f"[load_state_dict] {name} has shape {tensor.shape}, the state's {value.shape}"
                )
            if value.dtype != tensor.dtype:
                raise td.DTypeError(
                    f"[load_state_dict] {name} is {tensor.dtype}, the state's {value.dtype} (use astype)"
                )
        with td.no_grad():
            for name, tensor in own.items():
                tensor[...] = state[name].to(tensor.device)

    def train(self, mode=True):
        """Switches layers such as Dropout to training (or, with False, to evaluation); returns self."""
        for module in self.modules():
            module.training = bool(mode)
        return self

    def eval(self):
        """The same as train(False)."""
        return self.train(False)

    def requires_grad_(self, value=True):
        """Freezes (False) or thaws all parameters; returns self."""
        for parameter in self.parameters():
            parameter.requires_grad = value
        return self

    def zero_grad(self):
        """Drops the parameters' gradients."""
        for parameter in self.parameters():
            if parameter.requires_grad:
                parameter.grad = None

    def to(self, target=None, dtype=None, *, device=None):
        """Moves parameters and buffers, as `Tensor.to` does, and converts those of a floating-point dtype;
        returns self. What is not yet as wanted becomes a new tensor: make the optimiser afterwards."""
        moved = {}
        for role in ("parameter", "buffer"):
            for _, owner, name in list(self._places(role)):
                tensor = owner.__dict__[name]
                if id(tensor) not in moved:
                    moved[id(tensor)] = (tensor, _moved(tensor, target, dtype, device))
                owner.__dict__[name] = moved[id(tensor)][1]
        return self

    def cuda(self, device=None):
        """Moves parameters and buffers to a cuda device; returns self."""
        return self.to(td.cuda._device(device))

    def cpu(self):
        """Moves parameters and buffers to the cpu; returns self."""
        return self.to("cpu")

    def float(self):
        """Converts floating-point parameters and buffers to float32; returns self."""
        return self.to(td.float32)

    def double(self):
        """Converts floating-point parameters and buffers to float64; returns self."""
        return self.to(td.float64)

    def __repr__(self):
        lines = [f"({name}): {child!r}".replace("\n", "\n  ") for name, child in self.children()]
        inside = "".join(f"\n  {line}" for line in lines) + "\n" if lines else self.extra_repr()
        return f"{type(self).__name__}({inside})"

    def extra_repr(self):
        """What repr shows of a module without submodules."""
        return ""


def _moved(tensor, target, dtype, device):
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


def functional_call(module, params, *args, **kwargs):
    """module(*args, **kwargs) with the parameters (or buffers) named in `params`, a dictionary as
    `module.params()` gives it, at those values; the others keep their own.

        loss, grads = td.value_and_grad(lambda p: loss_of(td.nn.functional_call(net, p, x), y))(net.params())
    """
    places = {}
    own = {}  # a shared tensor is replaced under all its names
    for role in ("parameter", "buffer"):
        for name, owner, attribute in module._places(role):
            tensor = owner.__dict__[attribute]
            first = own.setdefault(id(tensor), name)
            places.setdefault(first, (tensor, []))[1].append((owner, attribute))
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
            for owner, attribute in places[name][1]:
                owner.__dict__[attribute] = value
        return module(*args, **kwargs)
    finally:
        for name in params:
            tensor, where = places[name]
            for owner, attribute in where:
                owner.__dict__[attribute] = tensor
