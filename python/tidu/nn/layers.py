"""Layers."""

import tidu as td

from . import functional as F
from . import init
from .module import Module, Parameter
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

    def __init__(self, p=0.5, *, key=None):
        if not 0 <= p <= 1:
            raise ValueError(f"[Dropout] the probability p is {p}")
        self.p = p
        self.register_buffer("key", next_key() if key is None else key)

    def forward(self, x, key=None):
        if not self.training:
            return x
        if key is None:
            keys = td.random.split(self.key.to(x.device))
            self.key, key = keys[0], keys[1]
        return F.dropout(x, self.p, key)

    def extra_repr(self):
        return f"p={self.p}"


class Flatten(Module):
    """Joins the axes from `start_axis` on: (n, a, b ..) -> (n, a b ..)."""

    def __init__(self, start_axis=1):
        self.start_axis = start_axis

    def forward(self, x):
        return x.reshape((*x.shape[: self.start_axis], -1))


class Softmax(Module):
    """exp(x) / sum(exp(x)) along an axis."""

    def __init__(self, axis=-1):
        self.axis = axis

    def forward(self, x):
        return F.softmax(x, axis=self.axis)

    def extra_repr(self):
        return f"axis={self.axis}"


class Sigmoid(Module):
    """1 / (1 + exp(-x))."""

    def forward(self, x):
        return td.sigmoid(x)


class Tanh(Module):
    """The hyperbolic tangent."""

    def forward(self, x):
        return td.tanh(x)


class ReLU(Module):
    """max(x, 0)."""

    def forward(self, x):
        return td.relu(x)


class LeakyReLU(Module):
    """x where it is positive, else negative_slope x."""

    def __init__(self, negative_slope=0.01):
        self.negative_slope = negative_slope

    def forward(self, x):
        return td.leaky_relu(x, self.negative_slope)


class ELU(Module):
    """x where it is positive, else alpha (exp(x) - 1)."""

    def __init__(self, alpha=1.0):
        self.alpha = alpha

    def forward(self, x):
        return td.elu(x, self.alpha)


class GELU(Module):
    """x times the standard normal distribution function of x."""

    def forward(self, x):
        return td.gelu(x)


class SiLU(Module):
    """x sigmoid(x)."""

    def forward(self, x):
        return td.silu(x)


class Sequential(Module):
    """Each module on the result of the one before. Modules are named "0", "1" .."""

    def __init__(self, *modules):
        for i, module in enumerate(modules):
            if not isinstance(module, Module):
                raise TypeError(f"[Sequential] number {i} is no Module but {type(module).__name__}")
            setattr(self, str(i), module)

    def __len__(self):
        return len(self._roles)

    def __getitem__(self, i):
        return self.children()[i][1]

    def __iter__(self):
        return iter([child for _, child in self.children()])

    def forward(self, x):
        for name in self._roles:
            x = self.__dict__[name](x)
        return x
