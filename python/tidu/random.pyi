# ruff: noqa
"""Types of tidu.random; written by scripts/make_stubs.py."""

import builtins
from typing import Any

from tidu._core import Tensor, _DeviceLike, _DTypeLike, _Shape, _TensorLike

def key(seed: builtins.int, device: _DeviceLike | None = ...) -> Tensor:
    """A key from a seed: a uint32 tensor of shape (2,). Use each key once. What is drawn lies on its device."""

def split(key: _TensorLike, num: builtins.int = ...) -> Tensor:
    """`num` new keys, of shape (num, 2)."""

def fold_in(key: _TensorLike, data: builtins.int) -> Tensor:
    """A new key from a key and a number."""

def bits(key: _TensorLike, shape: _Shape = ...) -> Tensor:
    """Random uint32."""

def uniform(
    key: _TensorLike,
    shape: _Shape = ...,
    low: builtins.float = ...,
    high: builtins.float = ...,
    dtype: _DTypeLike = ...,
) -> Tensor:
    """Numbers drawn uniformly from [low, high)."""

def normal(
    key: _TensorLike,
    shape: _Shape = ...,
    mean: builtins.float = ...,
    std: builtins.float = ...,
    dtype: _DTypeLike = ...,
) -> Tensor:
    """Normally distributed numbers."""

def bernoulli(key: _TensorLike, p: builtins.float = ..., shape: _Shape = ...) -> Tensor:
    """True with probability p."""

def randint(
    key: _TensorLike, shape: _Shape, low: builtins.int, high: builtins.int, dtype: _DTypeLike = ...
) -> Tensor:
    """Integers drawn uniformly from [low, high)."""

def permutation(key: _TensorLike, x: Any, axis: builtins.int = ...) -> Tensor:
    """0 .. x - 1, or the slices of a tensor along an axis, in random order."""
