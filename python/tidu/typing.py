"""Types for the annotations of code that uses tidu.

from tidu.typing import DTypeLike, TensorLike

def scaled(x: TensorLike, dtype: DTypeLike = td.float32) -> td.Tensor: ...
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from tidu._core import Tensor, device, dtype

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Array", "DTypeLike", "DeviceLike", "PathLike", "Shape", "TensorLike"]


class Array(Protocol):
    """What becomes an array of NumPy's by itself."""

    def __array__(self, *args: Any, **kwargs: Any) -> Any: ...


TensorLike: TypeAlias = Tensor | float | list[Any] | tuple[Any, ...] | Array
DTypeLike: TypeAlias = "dtype | str | type[Any] | np.dtype[Any]"
DeviceLike: TypeAlias = device | str | int  # a number is that of a cuda device
Shape: TypeAlias = int | Sequence[int]
PathLike: TypeAlias = str | os.PathLike[str]
