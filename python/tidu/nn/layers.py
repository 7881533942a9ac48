"""Layers."""

import tidu as td

from .._core import is_compiling
from . import functional as F
from . import init
from .module import Module, Parameter, options_of
from .random import next_key


def _key_on(device, key):
    """The key that a layer draws its first values with, on the device where it wants them."""
    key = next_key() if key is None else key
    return key if device is None else key.to(device)


class Linear(Module):
    """x @ weight^T + bias: (.., inputs) -> (.., outputs). weight (outputs, inputs) begins Glorot-uniform,
    bias (outputs) zero. Without `key` the next one of the stream that `manual_seed` starts is taken, without
    `device` parameters lie where the key does."""

    def __init__(self, inputs, outputs, bias=True, *, key=None, dtype=td.float32, device=None):
        self.weight = Parameter(init.xavier_uniform(_key_on(device, key), (outputs, inputs), dtype=dtype))
        self.bias = Parameter(td.zeros((outputs,), dtype=dtype, device=self.weight.device)) if bias else None

    def forward(self, x):
        return F.linear(x, self.weight, self.bias)

    def extra_repr(self):
        outputs, inputs = self.weight.shape
        return f"{inputs}, {outputs}" + ("" if self.bias is not None else ", bias=False")


class Bilinear(Module):
    """x1 (.., inputs1) and x2 (.., inputs2) -> functional.bilinear (.., outputs). weight (outputs, inputs1,
    inputs2) and bias (outputs) begin uniform in +-1 / sqrt(inputs1)."""

    def __init__(self, inputs1, inputs2, outputs, bias=True, *, key=None, dtype=td.float32, device=None):
        bound = 1 / max(inputs1, 1) ** 0.5
        keys = td.random.split(_key_on(device, key))
        self.weight = Parameter(
            init.uniform(keys[0], (outputs, inputs1, inputs2), -bound, bound, dtype=dtype)
        )
        self.bias = Parameter(init.uniform(keys[1], (outputs,), -bound, bound, dtype=dtype)) if bias else None

    def forward(self, x1, x2):
        return F.bilinear(x1, x2, self.weight, self.bias)

    def extra_repr(self):
        outputs, inputs1, inputs2 = self.weight.shape
        return f"{inputs1}, {inputs2}, {outputs}" + ("" if self.bias is not None else ", bias=False")


class Embedding(Module):
    """Row `index` of weight (count, size) for integer indices: (..) -> (.., size). weight begins standard
    normal."""

    def __init__(self, count, size, *, key=None, dtype=td.float32, device=None):
        self.weight = Parameter(init.normal(_key_on(device, key), (count, size), dtype=dtype))

    def forward(self, indices):
        return F.embedding(indices, self.weight)

    def extra_repr(self):
        return "{}, {}".format(*self.weight.shape)


class LayerNorm(Module):
    """(x - mean) / sqrt(variance + eps) * weight + bias over the trailing axes of `shape`."""

    def __init__(self, shape, eps=1e-5, *, dtype=td.float32, device=None):
        shape = (shape,) if isinstance(shape, int) else tuple(shape)
        self.shape, self.eps = shape, eps
        self.weight = Parameter(td.ones(shape, dtype=dtype, device=device))
        self.bias = Parameter(td.zeros(shape, dtype=dtype, device=device))

    def forward(self, x):
        return F.layer_norm(x, self.shape, self.weight, self.bias, self.eps)

    def extra_repr(self):
        return f"{self.shape}, eps={self.eps}"


class RMSNorm(Module):
    """x / sqrt(mean(x^2) + eps) * weight over the trailing axes of `shape`."""

    def __init__(self, shape, eps=1e-5, *, dtype=td.float32, device=None):
        shape = (shape,) if isinstance(shape, int) else tuple(shape)
        self.shape, self.eps = shape, eps
        self.weight = Parameter(td.ones(shape, dtype=dtype, device=device))

    def forward(self, x):
        return F.rms_norm(x, self.shape, self.weight, self.eps)

    def extra_repr(self):
        return f"{self.shape}, eps={self.eps}"


class Dropout(Module):
    """In training, zero with probability p, else x / (1 - p); in evaluation x. Its key is a buffer, replaced
    at each call, so it is saved with the module, and goes to the device of x; a key given to the call is used
    instead."""

    _function = staticmethod(F.dropout)

    def __init__(self, p=0.5, *, key=None):
        if not 0 <= p <= 1:
            raise ValueError(f"[{type(self).__name__}] the probability p is {p}")
        self.p = p
        self.register_buffer("key", next_key() if key is None else key)

    def forward(self, x, key=None):
        if not self.training:
            return x
        if key is None:
            keys = td.random.split(self.key.to(x.device))
            if is_compiling():
                self.key[...] = keys[0].to(self.key.device)
                key = keys[1]
            else:
                self.key, key = keys[0], keys[1]
        return self._function(x, self.p, key, True)

    def extra_repr(self):
        return f"p={self.p}"


class Flatten(Module):
    """Joins the axes from `start_axis` to `end_axis`: (n, a, b ..) -> (n, a b ..)."""

    def __init__(self, start_axis=1, end_axis=-1):
        self.start_axis, self.end_axis = start_axis, end_axis

    def forward(self, x):
        start, end = (axis + x.ndim if axis < 0 else axis for axis in (self.start_axis, self.end_axis))
        if not 0 <= start <= end < x.ndim:
            raise td.ShapeError(
                f"[Flatten] there are no axes {self.start_axis} to {self.end_axis} in the shape {x.shape}"
            )
        joined = 1
        for extent in x.shape[start : end + 1]:
            joined *= extent
        return x.reshape((*x.shape[:start], joined, *x.shape[end + 1 :]))


class Softmax(Module):
    """exp(x) / sum(exp(x)) along an axis."""

    def __init__(self, axis=-1):
        self.axis = axis

    def forward(self, x):
        return F.softmax(x, axis=self.axis)

    def extra_repr(self):
        return f"axis={self.axis}"


class _Shown(Module):
    """A module whose repr shows what it was made with."""

    def extra_repr(self):
        return ", ".join(f"{name}={value}" for name, value in options_of(self).items())


class Sigmoid(Module):
    """1 / (1 + exp(-x))."""

    def forward(self, x):
        return F.sigmoid(x)


class LogSigmoid(Module):
    """log(sigmoid(x)), without overflow."""

    def forward(self, x):
        return F.log_sigmoid(x)


class Tanh(Module):
    """The hyperbolic tangent."""

    def forward(self, x):
        return F.tanh(x)


class ReLU(Module):
    """max(x, 0)."""

    def forward(self, x):
        return F.relu(x)


class ReLU6(Module):
    """x held in [0, 6]."""

    def forward(self, x):
        return F.relu6(x)


class LeakyReLU(_Shown):
    """x where it is positive, else negative_slope x."""

    def __init__(self, negative_slope=0.01):
        self.negative_slope = negative_slope

    def forward(self, x):
        return F.leaky_relu(x, self.negative_slope)


class ELU(_Shown):
    """x where it is positive, else alpha (exp(x) - 1)."""

    def __init__(self, alpha=1.0):
        self.alpha = alpha

    def forward(self, x):
        return F.elu(x, self.alpha)


class SELU(Module):
    """1.0507 ELU of alpha 1.6733, which keeps mean 0 and variance 1."""

    def forward(self, x):
        return F.selu(x)


class CELU(_Shown):
    """x where it is positive, else alpha (exp(x / alpha) - 1)."""

    def __init__(self, alpha=1.0):
        self.alpha = alpha

    def forward(self, x):
        return F.celu(x, self.alpha)


class GELU(_Shown):
    """x times the standard normal distribution function of x, or approximated by tanh."""

    def __init__(self, approximate="none"):
        if approximate not in ("none", "tanh"):
            raise ValueError(f"[GELU] approximate must be 'none' or 'tanh', not {approximate!r}")
        self.approximate = approximate

    def forward(self, x):
        return F.gelu(x, self.approximate)


class SiLU(Module):
    """x sigmoid(x)."""

    def forward(self, x):
        return F.silu(x)


class Mish(Module):
    """x tanh(softplus(x))."""

    def forward(self, x):
        return F.mish(x)


class Softplus(_Shown):
    """log(1 + exp(beta x)) / beta; x itself where beta x exceeds a threshold."""

    def __init__(self, beta=1.0, threshold=None):
        self.beta = beta
        self.threshold = threshold

    def forward(self, x):
        return F.softplus(x, self.beta, self.threshold)


class Hardtanh(_Shown):
    """x held in [min_val, max_val]; the derivative at both is 0."""

    def __init__(self, min_val=-1.0, max_val=1.0):
        self.min_val = min_val
        self.max_val = max_val

    def forward(self, x):
        return F.hardtanh(x, self.min_val, self.max_val)


class Hardsigmoid(Module):
    """ReLU6(x + 3) / 6."""

    def forward(self, x):
        return F.hardsigmoid(x)


class Hardswish(Module):
    """x ReLU6(x + 3) / 6."""

    def forward(self, x):
        return F.hardswish(x)


class Softsign(Module):
    """x / (1 + |x|)."""

    def forward(self, x):
        return F.softsign(x)


class Tanhshrink(Module):
    """x - tanh(x)."""

    def forward(self, x):
        return F.tanhshrink(x)


class Softshrink(_Shown):
    """x moved by lambd towards 0, and 0 where |x| <= lambd."""

    def __init__(self, lambd=0.5):
        self.lambd = lambd

    def forward(self, x):
        return F.softshrink(x, self.lambd)


class Hardshrink(_Shown):
    """x, and 0 where |x| <= lambd."""

    def __init__(self, lambd=0.5):
        self.lambd = lambd

    def forward(self, x):
        return F.hardshrink(x, self.lambd)


class Threshold(_Shown):
    """x where it exceeds the threshold, else the value."""

    def __init__(self, threshold, value):
        self.threshold = threshold
        self.value = value

    def forward(self, x):
        return F.threshold(x, self.threshold, self.value)


class GLU(_Shown):
    """The first half along the axis times the sigmoid of the second."""

    def __init__(self, axis=-1):
        self.axis = axis

    def forward(self, x):
        return F.glu(x, self.axis)


class Softmin(_Shown):
    """softmax(-x) along the axis."""

    def __init__(self, axis=-1):
        self.axis = axis

    def forward(self, x):
        return F.softmin(x, self.axis)


class PReLU(Module):
    """x where it is positive, else weight x; weight, one number or (count), one for each channel, axis 1,
    begins `init`."""

    def __init__(self, count=1, init=0.25, *, dtype=td.float32, device=None):
        self.weight = Parameter(td.full((count,), init, dtype=dtype, device=device))

    def forward(self, x):
        return F.prelu(x, self.weight)

    def extra_repr(self):
        return f"{self.weight.shape[0]}"


class _Numbered(Module):
    """Modules named "0", "1" .."""

    def __init__(self, *modules):
        for module in modules:
            self.append(module)

    def append(self, module):
        """Adds a module at the end; returns self."""
        if not isinstance(module, Module):
            name, i = type(self).__name__, len(self)
            raise TypeError(f"[{name}] number {i} is no Module but {type(module).__name__}")
        setattr(self, str(len(self)), module)
        return self

    def extend(self, modules):
        """Adds modules at the end; returns self."""
        for module in modules:
            self.append(module)
        return self

    def __len__(self):
        return len(self.children())

    def __getitem__(self, i):
        return type(self)._of(self.children()[i]) if isinstance(i, slice) else self.children()[i]

    def __setitem__(self, i, module):
        setattr(self, str(range(len(self))[i]), module)

    def __iter__(self):
        return iter(self.children())


class Sequential(_Numbered):
    """Each module on the result of the one before. Modules are named "0", "1" .."""

    @classmethod
    def _of(cls, modules):
        return cls(*modules)

    def forward(self, x):
        for module in self.__dict__.values():
            if isinstance(module, Module):
                x = module(x)
        return x


class ModuleList(_Numbered):
    """A list of modules, named "0", "1" .. A plain list as an attribute of a module does as well."""

    def __init__(self, modules=()):
        super().__init__(*modules)

    @classmethod
    def _of(cls, modules):
        return cls(modules)


class ModuleDict(Module):
    """A dictionary of modules by names. A plain dictionary as an attribute of a module does as well."""

    def __init__(self, modules=()):
        self.update(modules)

    def update(self, modules):
        """Adds the modules of a dictionary, or of (name, module) pairs."""
        for name, module in dict(modules).items():
            self[name] = module

    def __setitem__(self, name, module):
        if not isinstance(module, Module):
            raise TypeError(f"[ModuleDict] {name!r} is no Module but {type(module).__name__}")
        if hasattr(type(self), name):
            raise KeyError(f"[ModuleDict] the name {name!r} is taken")
        setattr(self, name, module)

    def __getitem__(self, name):
        return dict(self.named_children())[name]

    def __delitem__(self, name):
        delattr(self, self.keys()[self.keys().index(name)])

    def __contains__(self, name):
        return name in self.keys()

    def __len__(self):
        return len(self.children())

    def __iter__(self):
        return iter(self.keys())

    def keys(self):
        """The names, in order."""
        return [name for name, _ in self.named_children()]

    def values(self):
        """The modules, in order."""
        return self.children()

    def items(self):
        """(name, module) pairs, in order."""
        return self.named_children()


class ParameterList(Module):
    """A list of parameters, named "0", "1" .. A plain list as an attribute of a module does as well."""

    def __init__(self, parameters=()):
        for parameter in parameters:
            self.append(parameter)

    def append(self, parameter):
        """Adds a parameter at the end; returns self."""
        setattr(self, str(len(self)), parameter if parameter.requires_grad else Parameter(parameter))
        return self

    def __len__(self):
        return len(self.parameters())

    def __getitem__(self, i):
        return self.parameters()[i]

    def __iter__(self):
        return iter(self.parameters())
