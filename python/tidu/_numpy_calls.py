"""NumPy's functions, called with tensors: those that tidu has give tensors, with their derivatives; with all
others NumPy computes on arrays of the elements."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

import tidu as td
from tidu._arguments import keyword_hint
from tidu._core import Tensor
from tidu._spellings import FUNCTIONS

_UFUNCS = {
    **{name: own for name, own in FUNCTIONS.items() if own.isidentifier()},
    "invert": "bitwise_invert",
    "left_shift": "bitwise_left_shift",
    "right_shift": "bitwise_right_shift",
    "rint": "round",
}

# Of each function tidu's, and the names of its further arguments by those of NumPy's, in their order; None is
# one that tidu's does not have.
_AXIS: dict[str, str | None] = {"axis": "axis"}
_EXTREME: dict[str, str | None] = {"axis": "axis", "out": None, "keepdims": "keepdims"}
_SUM: dict[str, str | None] = {"axis": "axis", "dtype": "dtype", "out": None, "keepdims": "keepdims"}
_SPREAD: dict[str, str | None] = {
    "axis": "axis",
    "dtype": None,
    "out": None,
    "ddof": "correction",
    "keepdims": "keepdims",
}
_LIKE: dict[str, str | None] = {"dtype": "dtype"}
_SORT: dict[str, str | None] = {"axis": "axis", "kind": None, "order": None}
_MEDIAN: dict[str, str | None] = {
    "axis": "axis",
    "out": None,
    "overwrite_input": None,
    "keepdims": "keepdims",
}
_QUANTILE: dict[str, str | None] = {
    "q": "q",
    "axis": "axis",
    "out": None,
    "overwrite_input": None,
    "method": "method",
    "keepdims": "keepdims",
}
_FUNCTIONS: dict[str, tuple[Any, Mapping[str, str | None]]] = {
    "all": (td.all, _EXTREME),
    "amax": (td.max, _EXTREME),
    "amin": (td.min, _EXTREME),
    "any": (td.any, _EXTREME),
    "argmax": (td.argmax, _EXTREME),
    "argmin": (td.argmin, _EXTREME),
    "argsort": (td.argsort, _SORT),
    "around": (td.round, {"decimals": None, "out": None}),
    "broadcast_to": (td.broadcast_to, {"shape": "shape"}),
    "concatenate": (td.concat, {"axis": "axis", "out": None}),
    "copy": (td.copy, {}),
    "count_nonzero": (td.count_nonzero, {"axis": "axis", "keepdims": "keepdims"}),
    "expand_dims": (td.expand_dims, _AXIS),
    "flip": (td.flip, _AXIS),
    "full_like": (td.full_like, {"fill_value": "fill_value", "dtype": "dtype"}),
    "max": (td.max, _EXTREME),
    "median": (td.median, _MEDIAN),
    "mean": (td.mean, {"axis": "axis", "dtype": None, "out": None, "keepdims": "keepdims"}),
    "min": (td.min, _EXTREME),
    "moveaxis": (td.moveaxis, {"source": "source", "destination": "destination"}),
    "nanmedian": (td.nanmedian, _MEDIAN),
    "nanquantile": (td.nanquantile, _QUANTILE),
    "ones_like": (td.ones_like, _LIKE),
    "outer": (td.outer, {"b": "other"}),
    "prod": (td.prod, _SUM),
    "quantile": (td.quantile, _QUANTILE),
    "ravel": (td.flatten, {}),
    "reshape": (td.reshape, {"shape": "shape"}),
    "round": (td.round, {"decimals": None, "out": None}),
    "searchsorted": (td.searchsorted, {"v": "x2", "side": "side", "sorter": "sorter"}),
    "sort": (td.sort, _SORT),
    "squeeze": (td.squeeze, _AXIS),
    "stack": (td.stack, {"axis": "axis", "out": None}),
    "std": (td.std, _SPREAD),
    "sum": (td.sum, _SUM),
    "swapaxes": (td.swapaxes, {"axis1": "axis1", "axis2": "axis2"}),
    "tensordot": (td.tensordot, {"b": "x2", "axes": "axes"}),
    "var": (td.var, _SPREAD),
    "zeros_like": (td.zeros_like, _LIKE),
}


def _transpose(x: Tensor, axes: Sequence[int] | None = None) -> Tensor:
    return td.permute_dims(x, tuple(range(x.ndim))[::-1] if axes is None else axes)


def _clip(x: Tensor, a_min: Any = None, a_max: Any = None) -> Tensor:
    x = x if a_min is None else td.maximum(x, a_min)
    return x if a_max is None else td.minimum(x, a_max)


_OWN: dict[str, Any] = {"clip": _clip, "einsum": td.einsum, "transpose": _transpose}


def call_ufunc(ufunc: Any, method: str, inputs: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """What np.add(..), np.add.reduce(..) and operators of arrays with tensors give."""
    name = _UFUNCS.get(ufunc.__name__, ufunc.__name__)
    function = getattr(td, name, None) if name in td.__dict__ else None
    if method != "__call__" or function is None:
        what = f"np.{ufunc.__name__}" + ("" if method == "__call__" else f".{method}")
        own = {"add": "sum", "multiply": "prod", "maximum": "max", "minimum": "min"}.get(ufunc.__name__)
        hint = f"td.{own}(x), or " if method == "reduce" and own else ""
        raise TypeError(f"[{what}] does not take tensors (call {hint}{what} of x.numpy())")
    out, dtype = kwargs.pop("out", None), kwargs.pop("dtype", None)
    if kwargs:
        raise TypeError(f"[np.{ufunc.__name__}] takes no {', '.join(kwargs)} for tensors (call td.{name})")
    if dtype is not None:
        inputs = [td.asarray(x, dtype=dtype) for x in inputs]
    result = function(*inputs)
    if out is None:
        return result
    if isinstance(out[0], td.Tensor):
        out[0][...] = result
    else:
        np.copyto(out[0], np.asarray(result), casting="same_kind")
    return out[0]


def call_function(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What np.sum(x) and the like give."""
    name = function.__name__
    if name in _OWN and function.__module__ == "numpy":
        return _OWN[name](*args, **kwargs)
    if name == "where" and len(args) == 3:
        return td.where(*args)
    if name not in _FUNCTIONS or function.__module__ != "numpy" or not args:
        return function(*_as_arrays(args), **_as_arrays(kwargs))
    own, names = _FUNCTIONS[name]
    given = dict(zip(names, args[1:], strict=False)) | kwargs
    translated: dict[str, Any] = {}
    for key, value in given.items():
        own_name = names.get(key)
        if own_name is not None:
            translated[own_name] = value
        elif value is not None and value is not np._NoValue and not (key == "decimals" and value == 0):
            hint = keyword_hint(key, [word for word in names.values() if word])
            raise TypeError(f"[np.{name}] takes no {key!r} for tensors{hint}")
    return own(args[0], **translated)


def _as_arrays(tree: Any) -> Any:
    if isinstance(tree, td.Tensor):
        return np.asarray(tree)
    if isinstance(tree, dict):
        return {key: _as_arrays(value) for key, value in tree.items()}
    if isinstance(tree, tuple | list) and not hasattr(tree, "_fields"):
        return type(tree)(_as_arrays(item) for item in tree)
    return tree
