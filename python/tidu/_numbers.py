"""Python's numbers beside tensors, as exact as these, and numbers of 16 bits to compute with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tidu import _core
from tidu._core import Tensor
from tidu.typing import TensorLike


def is_inexact(x: Tensor) -> bool:
    return x.dtype.is_floating_point or x.dtype.is_complex


def beside(x: TensorLike | Sequence[Any], like: Tensor) -> Tensor:
    """x as a tensor on the device of another one; a float, or a list of such, in the dtype of that one, if it
    is of floats or complex."""
    value = _core.asarray(x, device=like.device)
    is_weak = isinstance(x, (float, list, tuple)) and is_inexact(value)
    if not is_weak or not is_inexact(like) or (value.dtype.is_complex and not like.dtype.is_complex):
        return value
    return _core.asarray(x, dtype=like.dtype, device=like.device)


def widened(x: Tensor) -> Tensor:
    """Floats of 16 bits in float32, for what has several steps; others as they are."""
    return x.astype(_core.float32) if x.dtype in (_core.float16, _core.bfloat16) else x
