"""Python functions inside recorded code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tidu import _core
from tidu._core import Tensor
from tidu._pytree import flatten, unflatten
from tidu._transforms import align_tree, name_of


class _Call:
    """The arguments of a callback: which of their leaves are tensors, and how to call it with those."""

    def __init__(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.function = function
        self.leaves, self.structure = flatten((args, kwargs))
        self.places = [i for i, leaf in enumerate(self.leaves) if isinstance(leaf, Tensor)]
        self.tensors = [self.leaves[i] for i in self.places]

    def __call__(self, tensors: list[Tensor]) -> Any:
        filled = list(self.leaves)
        for i, tensor in zip(self.places, tensors, strict=True):
            filled[i] = tensor
        args, kwargs = unflatten(self.structure, filled)
        return self.function(*args, **kwargs)


_LANES = {"sequential": False, "broadcast_all": True}


def pure_callback(
    function: Callable[..., Any], results: Any, *args: Any, vmap_method: str = "sequential", **kwargs: Any
) -> Any:
    """function(*args, **kwargs), any Python function of tensors, inside of recorded code.

    results: a tree of what the function returns, of anything with a shape and a dtype (tensors, arrays,
    td.ShapeDtypeStruct). The function is called whenever the values of the tensors are known: now, or each
    time that a program, a loop or a batch runs; so it must depend on its arguments alone, and must not write
    to them (on the host their memory is read-only). It may return NumPy arrays, of exactly those shapes and
    dtypes, and Python numbers. Under vmap it is called for one example after the other or, with
    vmap_method="broadcast_all", once, with an axis of examples in front of every tensor, for results that
    have it too. It has no derivative: td.custom_vjp or td.custom_jvp around it gives one.

    Examples
    --------
    >>> import numpy as np
    >>> like = td.ShapeDtypeStruct((2,), td.float32)
    >>> td.pure_callback(lambda x: np.sort(x.numpy()), like, td.tensor([2.0, 1.0]))
    tensor([1., 2.], dtype=float32)
    """
    if vmap_method not in _LANES:
        raise ValueError(f"[pure_callback] vmap_method is {vmap_method!r}, not one of {', '.join(_LANES)}")
    expected, structure = flatten(results)
    for i, leaf in enumerate(expected):
        if not hasattr(leaf, "shape") or not hasattr(leaf, "dtype"):
            raise TypeError(
                f"[pure_callback] leaf {i} of the results is {leaf!r}, which has no shape and dtype (use "
                "td.ShapeDtypeStruct)"
            )
    call = _Call(function, args, kwargs)
    device = call.tensors[0].device if call.tensors else _core.get_default_device()

    def values(tensors: list[Tensor]) -> list[Tensor]:
        leaves = align_tree(call(tensors), structure, "pure_callback", f"result of {name_of(function)}")
        return [
            _core.asarray(leaf, dtype=like.dtype)
            if isinstance(leaf, bool | int | float)
            else leaf
            if isinstance(leaf, Tensor)
            else _core.asarray(leaf, copy=True)
            for leaf, like in zip(leaves, expected, strict=True)
        ]

    specs = [(tuple(leaf.shape), leaf.dtype, device) for leaf in expected]
    return unflatten(structure, _core.pure_callback(values, specs, call.tensors, _LANES[vmap_method]))
