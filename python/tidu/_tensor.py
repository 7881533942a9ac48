"""The methods of Tensor that are written in Python."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tidu import _core
from tidu import cuda as _cuda
from tidu._core import Tensor
from tidu._spellings import OtherName, add_other_methods
from tidu.typing import DeviceLike, DTypeLike

if TYPE_CHECKING:
    import numpy as np


def numpy(self: Tensor) -> np.ndarray[Any, Any]:
    from tidu._numpy import to_numpy

    return to_numpy(self)


def __array__(self: Tensor, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
    from tidu._numpy import __array__

    return __array__(self, dtype, copy)


def __array_ufunc__(self: Tensor, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
    from tidu._numpy_calls import call_ufunc

    return call_ufunc(ufunc, method, inputs, kwargs)


def __array_function__(
    self: Tensor, function: Callable[..., Any], types: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    from tidu._numpy_calls import call_function

    return call_function(function, args, kwargs)


def __array_namespace__(self: Tensor, *, api_version: str | None = None) -> Any:
    import tidu

    return tidu


def to_device(self: Tensor, device: DeviceLike, /, *, stream: None = None) -> Tensor:
    if stream is not None:
        raise ValueError("[to_device] streams are not supported: pass None")
    return _core.to(self, device)


def cpu(self: Tensor) -> Tensor:
    return _core.to(self, "cpu")


def cuda(self: Tensor, device: DeviceLike | None = None, non_blocking: bool = False) -> Tensor:
    return _core.to(self, _cuda._device(device), non_blocking=non_blocking)


def __copy__(self: Tensor) -> Tensor:
    _core._check_escape(self, "copy", leaves=True)
    return _core.copy(self.detach()).requires_grad_(self.requires_grad and self.is_leaf)


def __deepcopy__(self: Tensor, memo: dict[Any, Any]) -> Tensor:
    """Copies of tensors that share memory do so, too, and leaves keep their gradients."""
    _core._check_escape(self, "copy", leaves=True)
    found = _core._storage(self.detach())
    if found is None:
        return __copy__(self)
    key, whole, offset = found
    key = ("tidu.storage", key)
    if key not in memo:
        memo[key] = whole, _core.copy(whole)  # the first so that no other memory comes to be under its key
    copied = memo[key][1]
    twin = _core._view(copied, self.shape, self.strides, offset)
    if self.requires_grad and self.is_leaf:
        twin.requires_grad = True
        twin.grad = None if self.grad is None else __deepcopy__(self.grad.detach(), memo)
    return twin


def __reduce__(self: Tensor) -> tuple[Any, ...]:
    _core._check_escape(self, "pickle", leaves=True)
    values, requires_grad = _core._to_bytes(self), self.requires_grad and self.is_leaf
    return _restore, (values, self.shape, self.dtype, requires_grad, self.device)


def _restore(
    values: bytes, shape: tuple[int, ...], dtype: DTypeLike, requires_grad: bool, device: DeviceLike = "cpu"
) -> Tensor:
    return _core._from_bytes(values, shape, dtype, device).requires_grad_(requires_grad)


def __round__(self: Tensor, ndigits: int | None = None) -> float:
    return round(float(self) if self.dtype.is_floating_point else int(self), ndigits)


def __format__(self: Tensor, spec: str) -> str:
    if not spec:
        return str(self)
    if self.size != 1:
        raise TypeError(f"[format] a format such as {spec!r} needs one element, not shape {self.shape}")
    return format(self.item(), spec)


numpy.__doc__ = "The elements as a NumPy array, in the same memory where possible (see tidu._numpy.to_numpy)."
to_device.__doc__ = "This tensor on another device."
cpu.__doc__ = "This tensor on the cpu."
cuda.__doc__ = "This tensor on a cuda device, by default the one that `tidu.cuda.current_device` says."


def _dir(self: Tensor) -> list[str]:
    return [name for name in object.__dir__(self) if not isinstance(vars(Tensor).get(name), OtherName)]


for method in (
    numpy,
    __array__,
    __array_ufunc__,
    __array_function__,
    __array_namespace__,
    to_device,
    cpu,
    cuda,
    __copy__,
    __deepcopy__,
    __reduce__,
    __round__,
    __format__,
):
    setattr(Tensor, method.__name__, method)

# Not of this name above, where it would be the module's own.
setattr(Tensor, "__dir__", _dir)  # noqa: B010

add_other_methods(Tensor)
