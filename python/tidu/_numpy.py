"""What needs NumPy: arrays from tensors, printing. NumPy is imported when one of these is first called."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tidu import _core, _printing
from tidu._core import Tensor

if TYPE_CHECKING:
    import numpy as np


def _bfloat16() -> Any:
    try:
        import ml_dtypes
    except ImportError:
        return None
    return ml_dtypes.bfloat16


def to_numpy(x: Tensor, copy: bool = False) -> np.ndarray[Any, Any]:
    """The elements as a NumPy array, in the same memory where the tensor is on the cpu.

    Such an array is read-only where writing to it would be wrong: the tensor is broadcast, read-only or being
    differentiated. NumPy has no bfloat16: it becomes ml_dtypes.bfloat16 where that package is installed, else
    float32, in new memory.
    """
    import numpy as np

    _core._check_escape(x, "numpy")
    if x.device.type != "cpu":
        raise _core.DeviceError(
            f"[numpy] the tensor is on {x.device}: copy it to the host first, x.cpu().numpy()"
        )
    if x.dtype is _core.bfloat16:
        narrow = _bfloat16()
        wide = np.array(_core.astype(x, _core.float32))
        return wide if narrow is None else wide.astype(narrow)
    array = np.asarray(memoryview(x))  # type: ignore[arg-type]  # it has the buffer protocol in C
    return array.copy() if copy else array


def __array__(x: Tensor, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
    array = to_numpy(x)
    result = array if dtype is None else array.astype(dtype, copy=False)
    if copy is False and result is not array:
        raise ValueError(f"[__array__] {x.dtype} cannot become {dtype} without a copy")
    return result.copy() if copy and result is array else result


def format_tensor(x: Tensor) -> str:
    """repr: the values as NumPy prints them, then the dtype and what else differs from a plain tensor."""
    if _core._is_abstract(x) and not _core.is_compiling():
        return f"tensor(shape={x.shape}, dtype={x.dtype}, no value while a program is recorded)"
    import numpy as np

    host = _core.to(x.detach(), "cpu")
    values = to_numpy(_core.astype(host, _core.float32) if x.dtype is _core.bfloat16 else host)
    with np.printoptions(**_printing.options):
        text = np.array2string(values, separator=", ", prefix="tensor(") if x.size or x.ndim == 1 else "[]"
    parts = [text]
    if not x.size and x.ndim != 1:
        parts.append(f"shape={x.shape}")
    parts.append(f"dtype={x.dtype}")
    if x.device != "cpu":
        parts.append(f"device='{x.device}'")
    if x.requires_grad:
        parts.append("requires_grad=True")
    return f"tensor({', '.join(parts)})"
