"""Saving and loading in the safetensors format."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from typing import Any

from tidu.typing import DeviceLike, PathLike

from ._arguments import explain as _explain
from ._core import FileError, Tensor, get_default_device
from ._core import _training as training

__all__ = ["load", "load_metadata", "save"]

_STRUCTURE = "tidu.structure"
_MARKS = {"$tensor", "$float"}


def save(path: PathLike, obj: Any, metadata: Mapping[str, str] | None = None) -> None:
    """Writes tensors to a safetensors file, atomically: after a crash there is the old file or the new one.

    `obj` is a dictionary of tensors, which any safetensors reader understands, or any nesting of dictionaries
    (with strings as keys), lists, tuples, tensors, numbers, strings, booleans and None, as the state_dict()
    of modules, optimisers and loaders are. Tensors get dotted names; what is not a tensor is kept as JSON
    among the file's metadata, to which `metadata`, a dictionary of strings, is added. Tuples come back as
    lists.

    Examples
    --------
    >>> import tempfile, os
    >>> path = os.path.join(tempfile.mkdtemp(), "state")
    >>> td.save(path, {"w": td.ones(2), "step": 3})
    >>> td.load(path)
    {'w': tensor([1., 1.], dtype=float32), 'step': 3}
    """
    if not isinstance(path, (str, bytes, os.PathLike)):
        raise TypeError(f"[save] the path comes first: save(path, obj), not {type(path).__name__}")
    metadata = dict(metadata or {})
    for name, text in metadata.items():
        if not (isinstance(name, str) and isinstance(text, str)):
            raise TypeError(f"[save] metadata are strings under names, not {text!r} under {name!r}")
    if _STRUCTURE in metadata:
        raise ValueError(f"[save] the metadata name {_STRUCTURE} is taken")
    tensors = {}

    def strip(value: Any, name: str) -> Any:
        if isinstance(value, Tensor):
            if name in tensors:
                raise ValueError(f"[save] two tensors have the dotted name {name!r}")
            tensors[name] = value
            return {"$tensor": name}
        if isinstance(value, dict):
            if not all(isinstance(key, str) and key not in _MARKS for key in value):
                place = name or "the object"
                raise ValueError(f"[save] the keys of {place} must be strings other than '$tensor', '$float'")
            return {key: strip(item, f"{name}.{key}" if name else key) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [strip(item, f"{name}.{i}" if name else str(i)) for i, item in enumerate(value)]
        if isinstance(value, float) and not math.isfinite(value):  # which JSON has not
            return {"$float": str(float(value))}
        if value is None or isinstance(value, (bool, int, float, str)):
            return value
        raise TypeError(f"[save] {name or 'the object'} is a {type(value).__name__}, which cannot be saved")

    structure = strip(obj, "")
    flat = isinstance(obj, dict) and all(isinstance(value, Tensor) for value in obj.values())
    if not flat:
        metadata[_STRUCTURE] = json.dumps(structure, separators=(",", ":"))
    training.save_safetensors(os.fspath(path), tensors, metadata)


def load(path: PathLike, device: DeviceLike | None = None) -> Any:
    """What `save` wrote, on `device` (None: the default device) wherever it was when saved; of another
    program's file, a dictionary of its tensors. A damaged file is an OSError that says what is wrong with it.
    Loading runs no code.

    Examples
    --------
    >>> import tempfile, os
    >>> path = os.path.join(tempfile.mkdtemp(), "state")
    >>> td.save(path, [td.ones(2), 0.5])
    >>> td.load(path)
    [tensor([1., 1.], dtype=float32), 0.5]
    """
    tensors, metadata = training.load_safetensors(os.fspath(path), device or get_default_device())
    if _STRUCTURE not in metadata:
        return tensors

    def restore(value: Any) -> Any:
        if isinstance(value, dict):
            if value.keys() == {"$tensor"}:
                return tensors[value["$tensor"]]
            if value.keys() == {"$float"}:
                return float(value["$float"])
            return {key: restore(item) for key, item in value.items()}
        return [restore(item) for item in value] if isinstance(value, list) else value

    try:
        return restore(json.loads(metadata[_STRUCTURE]))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise FileError(
            f"[load] {path}: the metadata {_STRUCTURE} does not fit the tensors ({error!r})"
        ) from None


def load_metadata(path: PathLike) -> dict[str, str]:
    """The metadata of a safetensors file, a dictionary of strings.

    Examples
    --------
    >>> import tempfile, os
    >>> path = os.path.join(tempfile.mkdtemp(), "state")
    >>> td.save(path, {"w": td.ones(2)}, {"made": "today"})
    >>> td.io.load_metadata(path)
    {'made': 'today'}
    """
    found: dict[str, str] = training.load_safetensors(os.fspath(path), "cpu")[1]
    return found


_explain(globals(), __all__)
