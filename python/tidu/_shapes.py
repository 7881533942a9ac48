"""Tensors that there are not yet: ShapeDtypeStruct."""

from __future__ import annotations

import math
from typing import Any

from tidu import _core
from tidu._core import Tensor
from tidu.typing import DeviceLike, DTypeLike, Shape


class ShapeDtypeStruct:
    """The shape and dtype of a tensor that there is not yet, and its device (None: the default one).

    td.program, td.eval_shape and td.pure_callback take one where they need no values.

    Examples
    --------
    >>> td.ShapeDtypeStruct((2, 3), td.float32)
    ShapeDtypeStruct((2, 3), tidu.float32)
    """

    __slots__ = ("device", "dtype", "shape")

    def __init__(self, shape: Shape, dtype: DTypeLike, device: DeviceLike | None = None) -> None:
        self.shape = (shape,) if isinstance(shape, int) else tuple(shape)
        self.dtype = _core.dtype(dtype)
        self.device = None if device is None else _core.device(device)

    @property
    def ndim(self) -> int:
        """How many axes there are."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """How many elements there are."""
        return math.prod(self.shape)

    def _key(self) -> tuple[Any, ...]:
        return self.shape, self.dtype, self.device

    def __eq__(self, other: object) -> bool:
        return self._key() == other._key() if isinstance(other, ShapeDtypeStruct) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._key())

    def __repr__(self) -> str:
        device = "" if self.device is None else f", device={str(self.device)!r}"
        return f"ShapeDtypeStruct({self.shape}, {self.dtype!r}{device})"


def spec_of(tensor: Tensor | ShapeDtypeStruct) -> tuple[tuple[int, ...], _core.dtype, _core.device]:
    """(shape, dtype, device) of a tensor or a ShapeDtypeStruct."""
    return tuple(tensor.shape), tensor.dtype, tensor.device or _core.get_default_device()
