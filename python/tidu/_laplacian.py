"""Sums of derivatives over all directions: laplacian, biharmonic."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, ParamSpec, TypeVar

from tidu import _core
from tidu._core import Tensor
from tidu._pytree import unflatten
from tidu._transforms import _flatten_call

P = ParamSpec("P")
R = TypeVar("R")


def _summed(
    transform: Callable[..., Any],
    op: str,
    function: Callable[P, R],
    argnums: int | Sequence[int],
    samples: int | None,
    key: Tensor | None,
    chunk_size: int | None,
) -> Callable[P, R]:
    if (samples is None) != (key is None):
        raise ValueError(f"[{op}] samples and key go together: the key says which directions are drawn")

    @functools.wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        flat, inputs = _flatten_call(function, argnums, args, kwargs, False, op)
        if len(inputs) != 1:
            raise ValueError(f"[{op}] the differentiated argument must be one tensor, not {len(inputs)}")
        sums = transform(flat, inputs[0], samples, key, chunk_size)
        found: R = unflatten(flat.output_structure, sums)
        return found

    return wrapped


def laplacian(
    function: Callable[P, R],
    argnums: int | Sequence[int] = 0,
    *,
    samples: int | None = None,
    key: Tensor | None = None,
    chunk_size: int | None = None,
) -> Callable[P, R]:
    """A function that returns the Laplacian of `function`: the sum of its second derivatives by each element.

    Like the function's result, for each element of it. argnums: the positional argument to differentiate by,
    one tensor. With samples and a random key the mean over so many random directions, which is right on
    average (Hutchinson's estimate). chunk_size: how many directions at once (by default as many as fit into
    512 MB). By collapsed Taylor mode, which computes a first derivative for each direction and one second
    derivative for all. The function is recorded, and may not look at values.

    Examples
    --------
    >>> td.laplacian(lambda x: (x**3).sum())(td.tensor([1.0, 2.0]))
    tensor(18., dtype=float32)
    """
    return _summed(_core.laplacian, "laplacian", function, argnums, samples, key, chunk_size)


def biharmonic(
    function: Callable[P, R],
    argnums: int | Sequence[int] = 0,
    *,
    samples: int | None = None,
    key: Tensor | None = None,
    chunk_size: int | None = None,
) -> Callable[P, R]:
    """A function that returns the Laplacian of the Laplacian of `function`, as `laplacian` does.

    Exactly from fourth derivatives along n^2 directions for n elements; with samples along so many.

    Examples
    --------
    >>> td.biharmonic(lambda x: (x**4).sum())(td.tensor([1.0, 2.0]))
    tensor(48., dtype=float32)
    """
    return _summed(_core.biharmonic, "biharmonic", function, argnums, samples, key, chunk_size)
