"""Layers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import tidu as td
from tidu._core import Tensor
from tidu.typing import DeviceLike, DTypeLike

from .._core import is_compiling
from . import functional as F
from . import init
from .module import _OWN, Module, Parameter, options_of
from .random import next_key

T = TypeVar("T")

if TYPE_CHECKING:
    from typing_extensions import Self


def _key_on(device: DeviceLike | None, key: Tensor | None) -> Tensor:
    """The key that a layer draws its first values with, on the device where it wants them."""
    key = next_key() if key is None else key
    return key if device is None else key.to(device)


class Linear(Module):
    """x @ weight^T + bias: (.., inputs) -> (.., outputs). weight (outputs, inputs) begins Glorot-uniform,
    bias (outputs) zero. Without `key` the next one of the stream that `manual_seed` starts is taken, without
    `device` parameters lie where the key does.

    Examples
    --------
    >>> td.nn.Linear(3, 5)(td.ones((2, 3))).shape
    (2, 5)
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        bias: bool = True,
        *,
        key: Tensor | None = None,
        dtype: DTypeLike = td.float32,
        device: DeviceLike | None = None,
    ) -> None:
        self.weight = Parameter(init.xavier_uniform(_key_on(device, key), (outputs, inputs), dtype=dtype))
        self.bias = Parameter(td.zeros((outputs,), dtype=dtype, device=self.weight.device)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight, self.bias)

    def extra_repr(self) -> str:
        outputs, inputs = self.weight.shape
        return f"{inputs}, {outputs}" + ("" if self.bias is not None else ", bias=False")


class Bilinear(Module):
    """x1 (.., inputs1) and x2 (.., inputs2) -> functional.bilinear (.., outputs). weight (outputs, inputs1,
    inputs2) and bias (outputs) begin uniform in +-1 / sqrt(inputs1).

    Examples
    --------
    >>> td.nn.Bilinear(2, 3, 4)(td.ones((5, 2)), td.ones((5, 3))).shape
    (5, 4)
    """

    def __init__(
        self,
        inputs1: int,
        inputs2: int,
        outputs: int,
        bias: bool = True,
        *,
        key: Tensor | None = None,
        dtype: DTypeLike = td.float32,
        device: DeviceLike | None = None,
    ) -> None:
        bound = 1 / max(inputs1, 1) ** 0.5
        keys = td.random.split(_key_on(device, key))
        self.weight = Parameter(
            init.uniform(keys[0], (outputs, inputs1, inputs2), -bound, bound, dtype=dtype)
        )
        self.bias = Parameter(init.uniform(keys[1], (outputs,), -bound, bound, dtype=dtype)) if bias else None

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        return F.bilinear(x1, x2, self.weight, self.bias)

    def extra_repr(self) -> str:
        outputs, inputs1, inputs2 = self.weight.shape
        return f"{inputs1}, {inputs2}, {outputs}" + ("" if self.bias is not None else ", bias=False")


class Embedding(Module):
    """Row `index` of weight (count, size) for integer indices: (..) -> (.., size). weight begins standard
    normal.

    Examples
    --------
    >>> td.nn.Embedding(10, 4)(td.tensor([2, 0, 2])).shape
    (3, 4)
    """

    def __init__(
        self,
        count: int,
        size: int,
        *,
        key: Tensor | None = None,
        dtype: DTypeLike = td.float32,
        device: DeviceLike | None = None,
    ) -> None:
        self.weight = Parameter(init.normal(_key_on(device, key), (count, size), dtype=dtype))

    def forward(self, indices: Tensor) -> Tensor:
        return F.embedding(indices, self.weight)

    def extra_repr(self) -> str:
        return "{}, {}".format(*self.weight.shape)


class LayerNorm(Module):
    """(x - mean) / sqrt(variance + eps) * weight + bias over the trailing axes of `shape`.

    Examples
    --------
    >>> td.nn.LayerNorm(2)(td.tensor([[1.0, 3.0]]))
    tensor([[-0.999995,  0.999995]], dtype=float32, requires_grad=True)
    """

    def __init__(
        self,
        shape: int | Sequence[int],
        eps: float = 1e-5,
        *,
        dtype: DTypeLike = td.float32,
        device: DeviceLike | None = None,
    ) -> None:
        shape = (shape,) if isinstance(shape, int) else tuple(shape)
        self.shape, self.eps = shape, eps
        self.weight = Parameter(td.ones(shape, dtype=dtype, device=device))
        self.bias = Parameter(td.zeros(shape, dtype=dtype, device=device))

    def forward(self, x: Tensor) -> Tensor:
        return F.layer_norm(x, self.shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return f"{self.shape}, eps={self.eps}"


class RMSNorm(Module):
    """x / sqrt(mean(x^2) + eps) * weight over the trailing axes of `shape`.

    Examples
    --------
    >>> td.nn.RMSNorm(2)(td.tensor([[3.0, 4.0]]))
    tensor([[0.8485278, 1.1313704]], dtype=float32, requires_grad=True)
    """

    def __init__(
        self,
        shape: int | Sequence[int],
        eps: float = 1e-5,
        *,
        dtype: DTypeLike = td.float32,
        device: DeviceLike | None = None,
    ) -> None:
        shape = (shape,) if isinstance(shape, int) else tuple(shape)
        self.shape, self.eps = shape, eps
        self.weight = Parameter(td.ones(shape, dtype=dtype, device=device))

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x, self.shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        return f"{self.shape}, eps={self.eps}"


class Dropout(Module):
    """In training, zero with probability p, else x / (1 - p); in evaluation x. Its key is a buffer, replaced
    at each call, so it is saved with the module, and goes to the device of x; a key given to the call is used
    instead.

    Examples
    --------
    >>> td.nn.Dropout(0.5).eval()(td.ones(2))
    tensor([1., 1.], dtype=float32)
    """

    _function: Callable[..., Tensor] = staticmethod(F.dropout)
    key: Tensor

    def __init__(self, p: float = 0.5, *, key: Tensor | None = None) -> None:
        if not 0 <= p <= 1:
            raise ValueError(f"[{type(self).__name__}] the probability p is {p}")
        self.p = p
        self.register_buffer("key", next_key() if key is None else key)

    def forward(self, x: Tensor, key: Tensor | None = None) -> Tensor:
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

    def extra_repr(self) -> str:
        return f"p={self.p}"


class Flatten(Module):
    """Joins the axes from `start_axis` to `end_axis`: (n, a, b ..) -> (n, a b ..).

    Examples
    --------
    >>> td.nn.Flatten()(td.ones((2, 3, 4))).shape
    (2, 12)
    """

    def __init__(self, start_axis: int = 1, end_axis: int = -1) -> None:
        self.start_axis, self.end_axis = start_axis, end_axis

    def forward(self, x: Tensor) -> Tensor:
        return td.flatten(x, self.start_axis, self.end_axis)


class Softmax(Module):
    """exp(x) / sum(exp(x)) along an axis.

    Examples
    --------
    >>> td.nn.Softmax()(td.tensor([0.0, 0.0]))
    tensor([0.5, 0.5], dtype=float32)
    """

    def __init__(self, axis: int = -1) -> None:
        self.axis = axis

    def forward(self, x: Tensor) -> Tensor:
        return F.softmax(x, axis=self.axis)

    def extra_repr(self) -> str:
        return f"axis={self.axis}"


class LogSoftmax(Softmax):
    """log(softmax(x)) along an axis.

    Examples
    --------
    >>> td.nn.LogSoftmax()(td.zeros(1))
    tensor([0.], dtype=float32)
    """

    def forward(self, x: Tensor) -> Tensor:
        return F.log_softmax(x, axis=self.axis)


class Softmax2d(Module):
    """softmax over the channels of images (.., C, H, W).

    Examples
    --------
    >>> td.nn.Softmax2d()(td.zeros((2, 1, 1))).reshape(-1)
    tensor([0.5, 0.5], dtype=float32)
    """

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim < 3:
            raise td.ShapeError(f"[Softmax2d] takes x (.., C, H, W), not of shape {x.shape}")
        return F.softmax(x, axis=-3)


class Identity(Module):
    """Its input, whatever it is made with: takes the place of a layer that is left out.

    Examples
    --------
    >>> td.nn.Identity(5)(td.ones(2))
    tensor([1., 1.], dtype=float32)
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def forward(self, x: Tensor) -> Tensor:
        return x


class _Shown(Module):
    """A module whose repr shows what it was made with."""

    def extra_repr(self) -> str:
        return ", ".join(f"{name}={value}" for name, value in options_of(self).items())


class Sigmoid(Module):
    """1 / (1 + exp(-x)).

    Examples
    --------
    >>> td.nn.Sigmoid()(td.tensor([0.0, 2.0]))
    tensor([0.5     , 0.880797], dtype=float32)
    """

    def forward(self, x: Tensor) -> Tensor:
        return F.sigmoid(x)


class LogSigmoid(Module):
    """log(sigmoid(x)), without overflow.

    Examples
    --------
    >>> td.nn.LogSigmoid()(td.tensor([0.0, -200.0]))
    tensor([  -0.6931472, -200.       ], dtype=float32)
    """

    def forward(self, x: Tensor) -> Tensor:
        return F.log_sigmoid(x)


class Tanh(Module):
    """The hyperbolic tangent.

    Examples
    --------
    >>> td.nn.Tanh()(td.tensor([0.0, 1.0]))
    tensor([0.        , 0.76159424], dtype=float32)
    """

    def forward(self, x: Tensor) -> Tensor:
        return F.tanh(x)


class ReLU(Module):
    """max(x, 0).

    Examples
    --------
    >>> td.nn.ReLU()(td.tensor([-1.0, 2.0]))
    tensor([0., 2.], dtype=float32)
    """

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x)


class ReLU6(Module):
    """x held in [0, 6].

    Examples
    --------
    >>> td.nn.ReLU6()(td.tensor([-1.0, 3.0, 8.0]))
    tensor([0., 3., 6.], dtype=float32)
    """

    def forward(self, x: Tensor) -> Tensor:
        return F.relu6(x)


class LeakyReLU(_Shown):
    """x where it is positive, else negative_slope x.

    Examples
    --------
    >>> td.nn.LeakyReLU(0.1)(td.tensor([-1.0, 2.0]))
    tensor([-0.1,  2. ], dtype=float32)
    """

    def __init__(self, negative_slope: float = 0.01) -> None:
        self.negative_slope = negative_slope

    def forward(self, x: Tensor) -> Tensor:
        return F.leaky_relu(x, self.negative_slope)


class ELU(_Shown):
    """x where it is positive, else alpha (exp(x) - 1).

    Examples
    --------
    >>> td.nn.ELU()(td.tensor([-1.0, 2.0]))
    tensor([-0.63212055,  2.        ], dtype=float32)
    """

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = alpha

    def forward(self, x: Tensor) -> Tensor:
        return F.elu(x, self.alpha)


class SELU(Module):
    """1.0507 ELU of alpha 1.6733, which keeps mean 0 and variance 1.

    Examples
    --------
    >>> td.nn.SELU()(td.tensor([-1.0, 2.0]))
    tensor([-1.1113307,  2.101402 ], dtype=float32)
    """

    def forward(self, x: Tensor) -> Tensor:
        return F.selu(x)


class CELU(_Shown):
    """x where it is positive, else alpha (exp(x / alpha) - 1).

    Examples
    --------
    >>> td.nn.CELU()(td.tensor([-1.0, 2.0]))
    tensor([-0.63212055,  2.        ], dtype=float32)
    """

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = alpha

    def forward(self, x: Tensor) -> Tensor:
        return F.celu(x, self.alpha)


class GELU(_Shown):
    """x times the standard normal distribution function of x, or approximated by tanh.

    Examples
    --------
    >>> td.nn.GELU()(td.tensor([-1.0, 2.0]))
    tensor([-0.15865526,  1.9544997 ], dtype=float32)
    """

    def __init__(self, approximate: str = "none") -> None:
        if approximate not in ("none", "tanh"):
            raise ValueError(f"[GELU] approximate must be 'none' or 'tanh', not {approximate!r}")
        self.approximate = approximate

    def forward(self, x: Tensor) -> Tensor:
        return F.gelu(x, self.approximate)


class SiLU(Module):
    """x sigmoid(x).

    Examples
    --------
    >>> td.nn.SiLU()(td.tensor([-1.0, 2.0]))
    tensor([-0.26894143,  1.761594  ], dtype=float32)
    """

    def forward(self, x: Tensor) -> Tensor:
        return F.silu(x)


class Mish(Module):
    """x tanh(softplus(x)).

    Examples
    --------
    >>> td.nn.Mish()(td.tensor([-1.0, 2.0]))
    tensor([-0.30340147,  1.943959  ], dtype=float32)
    """

    def forward(self, x: Tensor) -> Tensor:
        return F.mish(x)


class Softplus(_Shown):
    """log(1 + exp(beta x)) / beta; x itself where beta x exceeds a threshold.

    Examples
    --------
    >>> td.nn.Softplus()(td.tensor([0.0, 200.0]))
    tensor([  0.6931472, 200.       ], dtype=float32)
    """

    def __init__(self, beta: float = 1.0, threshold: float | None = None) -> None:
        self.beta = beta
        self.threshold = threshold

    def forward(self, x: Tensor) -> Tensor:
        return F.softplus(x, self.beta, self.threshold)


class Hardtanh(_Shown):
    """x held in [min_val, max_val]; the derivative at both is 0.

    Examples
    --------
    >>> td.nn.Hardtanh()(td.tensor([-3.0, 0.5]))
    tensor([-1. ,  0.5], dtype=float32)
    """

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0) -> None:
        self.min_val = min_val
        self.max_val = max_val

    def forward(self, x: Tensor) -> Tensor:
        return F.hardtanh(x, self.min_val, self.max_val)


class Hardsigmoid(Module):
    """ReLU6(x + 3) / 6.

    Examples
    --------
    >>> td.nn.Hardsigmoid()(td.tensor([-4.0, 0.0, 1.5]))
    tensor([0.  , 0.5 , 0.75], dtype=float32)
    """

    def forward(self, x: Tensor) -> Tensor:
        return F.hardsigmoid(x)


class Hardswish(Module):
    """x ReLU6(x + 3) / 6.

    Examples
    --------
    >>> td.nn.Hardswish()(td.tensor([-4.0, 0.0, 3.0]))
    tensor([0., 0., 3.], dtype=float32)
    """

    def forward(self, x: Tensor) -> Tensor:
        return F.hardswish(x)


class Softsign(Module):
    """x / (1 + |x|).

    Examples
    --------
    >>> td.nn.Softsign()(td.tensor([-1.0, 3.0]))
    tensor([-0.5 ,  0.75], dtype=float32)
    """

    def forward(self, x: Tensor) -> Tensor:
        return F.softsign(x)


class Tanhshrink(Module):
    """x - tanh(x).

    Examples
    --------
    >>> td.nn.Tanhshrink()(td.tensor([0.0, 1.0]))
    tensor([0.        , 0.23840576], dtype=float32)
    """

    def forward(self, x: Tensor) -> Tensor:
        return F.tanhshrink(x)


class Softshrink(_Shown):
    """x moved by lambd towards 0, and 0 where |x| <= lambd.

    Examples
    --------
    >>> td.nn.Softshrink()(td.tensor([-1.0, 0.3]))
    tensor([-0.5,  0. ], dtype=float32)
    """

    def __init__(self, lambd: float = 0.5) -> None:
        self.lambd = lambd

    def forward(self, x: Tensor) -> Tensor:
        return F.softshrink(x, self.lambd)


class Hardshrink(_Shown):
    """x, and 0 where |x| <= lambd.

    Examples
    --------
    >>> td.nn.Hardshrink()(td.tensor([-1.0, 0.3]))
    tensor([-1.,  0.], dtype=float32)
    """

    def __init__(self, lambd: float = 0.5) -> None:
        self.lambd = lambd

    def forward(self, x: Tensor) -> Tensor:
        return F.hardshrink(x, self.lambd)


class Threshold(_Shown):
    """x where it exceeds the threshold, else the value.

    Examples
    --------
    >>> td.nn.Threshold(1.0, -1.0)(td.tensor([0.5, 2.0]))
    tensor([-1.,  2.], dtype=float32)
    """

    def __init__(self, threshold: float, value: float) -> None:
        self.threshold = threshold
        self.value = value

    def forward(self, x: Tensor) -> Tensor:
        return F.threshold(x, self.threshold, self.value)


class GLU(_Shown):
    """The first half along the axis times the sigmoid of the second.

    Examples
    --------
    >>> td.nn.GLU()(td.tensor([1.0, 2.0, 0.0, 0.0]))
    tensor([0.5, 1. ], dtype=float32)
    """

    def __init__(self, axis: int = -1) -> None:
        self.axis = axis

    def forward(self, x: Tensor) -> Tensor:
        return F.glu(x, self.axis)


class Softmin(_Shown):
    """softmax(-x) along the axis.

    Examples
    --------
    >>> td.nn.Softmin()(td.tensor([0.0, 0.0]))
    tensor([0.5, 0.5], dtype=float32)
    """

    def __init__(self, axis: int = -1) -> None:
        self.axis = axis

    def forward(self, x: Tensor) -> Tensor:
        return F.softmin(x, self.axis)


class PReLU(Module):
    """x where it is positive, else weight x; weight, one number or (count), one for each channel, axis 1,
    begins `init`.

    Examples
    --------
    >>> td.nn.PReLU()(td.tensor([-1.0, 2.0]))
    tensor([-0.25,  2.  ], dtype=float32, requires_grad=True)
    """

    def __init__(
        self,
        count: int = 1,
        init: float = 0.25,
        *,
        dtype: DTypeLike = td.float32,
        device: DeviceLike | None = None,
    ) -> None:
        self.weight = Parameter(td.full((count,), init, dtype=dtype, device=device))

    def forward(self, x: Tensor) -> Tensor:
        return F.prelu(x, self.weight)

    def extra_repr(self) -> str:
        return f"{self.weight.shape[0]}"


class _Numbered(Module):
    """Modules named "0", "1" .."""

    def __init__(self, *modules: Module) -> None:
        for module in modules:
            self.append(module)

    if TYPE_CHECKING:

        @classmethod
        def _of(cls, modules: Sequence[Module]) -> Self: ...

    def append(self, module: Module) -> Self:
        """Adds a module at the end; returns self."""
        if not isinstance(module, Module):
            name, i = type(self).__name__, len(self)
            raise TypeError(f"[{name}] number {i} is no Module but {type(module).__name__}")
        setattr(self, str(len(self)), module)
        return self

    def extend(self, modules: Iterable[Module]) -> Self:
        """Adds modules at the end; returns self."""
        for module in modules:
            self.append(module)
        return self

    __iadd__ = extend

    def __len__(self) -> int:
        return len(self.children())

    def __getitem__(self, i: int | slice) -> Any:
        return type(self)._of(self.children()[i]) if isinstance(i, slice) else self.children()[i]

    def __setitem__(self, i: int, module: Module) -> None:
        setattr(self, str(range(len(self))[i]), module)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.children())


class Sequential(_Numbered):
    """Each module on the result of the one before. Modules are named "0", "1" ..

    Examples
    --------
    >>> td.nn.Sequential(td.nn.Linear(3, 4), td.nn.ReLU(), td.nn.Linear(4, 1))(td.ones((2, 3))).shape
    (2, 1)
    """

    @classmethod
    def _of(cls, modules: Sequence[Module]) -> Self:
        return cls(*modules)

    def forward(self, x: Tensor) -> Tensor:
        for module in self.__dict__.values():
            if isinstance(module, Module):
                x = module(x)
        return x


class ModuleList(_Numbered):
    """A list of modules, named "0", "1" .. A plain list as an attribute of a module does as well.

    Examples
    --------
    >>> len(td.nn.ModuleList([td.nn.Linear(2, 3), td.nn.Linear(3, 1)]).parameters())
    4
    """

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        super().__init__(*modules)

    @classmethod
    def _of(cls, modules: Sequence[Module]) -> Self:
        return cls(modules)


class _Named(Module, Generic[T]):
    """Modules or parameters by names: `items` says which, and `_admitted` makes one of what is given."""

    if TYPE_CHECKING:

        def _admitted(self, name: str, value: Any) -> T: ...

    def items(self) -> list[tuple[str, T]]:
        """(name, value) pairs, in order."""
        raise NotImplementedError

    def update(self, given: Mapping[str, T] | Iterable[tuple[str, T]]) -> None:
        """Adds those of a dictionary, or of (name, value) pairs."""
        for name, value in dict(given).items():
            self[name] = value

    def __setitem__(self, name: str, value: T) -> None:
        admitted = self._admitted(name, value)
        if hasattr(type(self), name) or name in _OWN:
            raise KeyError(f"[{type(self).__name__}] the name {name!r} is taken")
        setattr(self, name, admitted)

    def __getitem__(self, name: str) -> T:
        return dict(self.items())[name]

    def __delitem__(self, name: str) -> None:
        if name not in self:
            raise KeyError(name)
        delattr(self, name)

    def __contains__(self, name: object) -> bool:
        return name in self.keys()

    def __len__(self) -> int:
        return len(self.items())

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def keys(self) -> list[str]:
        """The names, in order."""
        return [name for name, _ in self.items()]

    def values(self) -> list[T]:
        """What the names stand for, in order."""
        return [value for _, value in self.items()]


class ModuleDict(_Named[Any]):
    """A dictionary of modules by names. A plain dictionary as an attribute of a module does as well.

    Examples
    --------
    >>> sorted(td.nn.ModuleDict({"in": td.nn.Linear(2, 3), "out": td.nn.Linear(3, 1)}).keys())
    ['in', 'out']
    """

    def __init__(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]] = ()) -> None:
        self.update(modules)

    def _admitted(self, name: str, value: Any) -> Module:
        if not isinstance(value, Module):
            raise TypeError(f"[ModuleDict] {name!r} is no Module but {type(value).__name__}")
        return value

    def items(self) -> list[tuple[str, Any]]:
        """(name, module) pairs, in order."""
        return self.named_children()


def _parameter(value: Tensor) -> Tensor:
    return value if value.requires_grad else Parameter(value)


def _held(module: Module) -> list[tuple[str, Tensor]]:
    """All parameters of a list or dictionary of them; one may be there under several names."""
    return [(name, holder[key]) for name, holder, key in module._places("parameter")]


class ParameterList(Module):
    """A list of parameters, named "0", "1" .. A plain list as an attribute of a module does as well.

    Examples
    --------
    >>> len(td.nn.ParameterList([td.ones(2), td.zeros(3)]))
    2
    """

    def __init__(self, parameters: Iterable[Tensor] = ()) -> None:
        for parameter in parameters:
            self.append(parameter)

    def append(self, parameter: Tensor) -> Self:
        """Adds a parameter at the end; returns self."""
        setattr(self, str(len(self)), _parameter(parameter))
        return self

    def __len__(self) -> int:
        return len(_held(self))

    def __getitem__(self, i: int) -> Tensor:
        return _held(self)[i][1]

    def __iter__(self) -> Iterator[Tensor]:
        return iter([parameter for _, parameter in _held(self)])


class ParameterDict(_Named[Tensor]):
    """A dictionary of parameters by names. A plain dictionary as an attribute of a module does as well.

    Examples
    --------
    >>> list(td.nn.ParameterDict({"w": td.ones(2)}))
    ['w']
    """

    def __init__(self, parameters: Mapping[str, Tensor] | Iterable[tuple[str, Tensor]] = ()) -> None:
        self.update(parameters)

    def _admitted(self, name: str, value: Any) -> Tensor:
        return _parameter(value)

    def items(self) -> list[tuple[str, Tensor]]:
        """(name, parameter) pairs, in order."""
        return _held(self)
