"""vmap: a function of one example as a function of a batch."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from tidu import _core
from tidu._core import Tensor
from tidu._pytree import Node, begins_of, flatten, unflatten
from tidu._transforms import OfTensors

P = ParamSpec("P")
R = TypeVar("R")


def _axes_of_leaves(axes: Any, structure: Node, what: str) -> list[int | None]:
    """An axis or None for each leaf of a structure, from a tree of them that may end above the leaves."""
    leaves, got = flatten(axes)
    result: list[int | None] = []

    def spread(begin: int, got: Node, structure: Node) -> None:
        if got.kind == "none":
            result.extend([None] * structure.count)
        elif got.kind == "leaf" and isinstance(leaves[begin], int) and not isinstance(leaves[begin], bool):
            result.extend([leaves[begin]] * structure.count)
        else:
            are_lists = {got.kind, structure.kind} <= {"list", "tuple"}
            fits = len(got.children) == len(structure.children) if are_lists else got.has_parts_of(structure)
            if got.kind == "leaf" or not fits:
                raise ValueError(
                    f"[vmap] {what} has structure {got!r} but must be an int, None, or a tree of them that "
                    f"fits {structure!r}"
                )
            places = range(len(got.children)) if are_lists else got.places_of(structure)
            begins = begins_of(got, begin)
            for place, child in zip(places, structure.children, strict=True):
                spread(begins[place], got.children[place], child)

    spread(0, got, structure)
    return result


def _mapped_leaf(leaf: Any, axis: int | None, i: int) -> Tensor:
    if isinstance(leaf, Tensor):
        return leaf
    try:
        tensor = _core.asarray(leaf)
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"[vmap] leaf {i} of the arguments is of {type(leaf).__name__}, not a tensor"
        ) from error
    if tensor.ndim == 0:
        raise ValueError(
            f"[vmap] leaf {i} of the arguments is {leaf!r}, which has no axis {axis} (None in in_axes says "
            "that it is the same for all)"
        )
    return tensor


def vmap(
    function: Callable[P, R],
    in_axes: Any = 0,
    out_axes: Any = 0,
    *,
    axis_size: int | None = None,
    chunk_size: int | None = None,
    control: str = "select",
) -> Callable[P, R]:
    """A function of batches that is `function` for each example of them, all at once.

    The function is called once, with tensors that have the shapes of one example and no values: reading one
    (float(x), `if x > 0:`) is a TraceError; use where or cond. With control="loop" such a function is called
    for one example after the other instead. A random key with an axis of examples gives each its own numbers,
    one without gives all the same. Nests in every other transform, and they in it.

    Parameters
    ----------
    function : callable
        Of one example.
    in_axes : int, None or tree of these
        Where the examples lie in the arguments: an axis for all, or a sequence with an axis for each
        positional argument, or a tree of axes where that is a pytree. None: the same for all examples.
        Keyword arguments are mapped along axis 0.
    out_axes : int, None or tree of these
        In the same way for the results; a result that is the same for all is repeated, or given once where
        its axis is None.
    axis_size : int, optional
        The number of examples where no argument says it.
    chunk_size : int, optional
        How many are computed at once, all by default.
    control : str
        What becomes of a cond or while_loop that examples do not take alike. "select": both branches are
        computed for all, and loops go on until the last example ends; "loop": each is computed for one
        example after the other.

    Returns
    -------
    callable
        Called like the function, with batches.

    Examples
    --------
    >>> td.vmap(lambda x: (x * x).sum())(td.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor([ 5., 25.], dtype=float32)
    """

    if control not in ("select", "loop"):
        raise ValueError(f"[vmap] control is {control!r}, not 'select' or 'loop'")

    @functools.wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        leaves, structure = flatten((args, kwargs))
        axes = in_axes
        if isinstance(axes, list):
            axes = tuple(axes)
        if isinstance(axes, tuple) and len(axes) != len(args):
            raise ValueError(f"[vmap] in_axes names {len(axes)} arguments, but the call has {len(args)}")
        axes = _axes_of_leaves((axes, 0), structure, "in_axes")
        places, mapped = [], []
        for i, (leaf, axis) in enumerate(zip(leaves, axes, strict=True)):
            if axis is not None or isinstance(leaf, Tensor):
                places.append(i)
                mapped.append(_mapped_leaf(leaf, axis, i))
        axes = [axes[i] for i in places]
        flat = OfTensors(function, leaves, structure, places, "vmap")
        outputs = _in_chunks(flat, mapped, axes, axis_size, chunk_size, out_axes, control == "loop")
        found: R = unflatten(flat.output_structure, outputs)
        return found

    return wrapped


def _run(
    flat: OfTensors,
    tensors: list[Tensor],
    axes: list[int | None],
    size: int | None,
    out_axes: Any,
    loops: bool,
) -> list[Tensor]:
    outputs, apart = _core.run_batched(flat, tensors, axes, size, loops)
    placed = []
    for i, (output, differs, axis) in enumerate(
        zip(outputs, apart, _axes_of_leaves(out_axes, flat.output_structure, "out_axes"), strict=True)
    ):
        if axis is None:
            if differs:
                raise ValueError(
                    f"[vmap] out_axes is None for result {i}, which differs between examples (give an axis)"
                )
            placed.append(output)
        elif differs:
            placed.append(_core.moveaxis(output, 0, axis))
        else:
            mapped = (x.shape[a] for x, a in zip(tensors, axes, strict=True) if a is not None)
            count: Any = next(mapped, size)
            repeated = _core.copy(_core.broadcast_to(output, (count, *output.shape)))
            placed.append(_core.moveaxis(repeated, 0, axis))
    return placed


def _in_chunks(
    flat: OfTensors,
    tensors: list[Tensor],
    axes: list[int | None],
    size: int | None,
    chunk_size: int | None,
    out_axes: Any,
    loops: bool,
) -> list[Tensor]:
    if chunk_size is None:
        return _run(flat, tensors, axes, size, out_axes, loops)
    if chunk_size < 1:
        raise ValueError(f"[vmap] chunk_size is {chunk_size} but must be positive")
    counts = [
        x.shape[a] for x, a in zip(tensors, axes, strict=True) if a is not None and -x.ndim <= a < x.ndim
    ]
    count = counts[0] if counts else size
    if not count or count <= chunk_size or any(other != count for other in counts):
        return _run(flat, tensors, axes, size, out_axes, loops)
    parts = []
    for begin in range(0, count, chunk_size):
        end = min(begin + chunk_size, count)
        some = [
            x if a is None else _core.moveaxis(_core.moveaxis(x, a, 0)[begin:end], 0, a)
            for x, a in zip(tensors, axes, strict=True)
        ]
        parts.append(_run(flat, some, axes, end - begin, out_axes, loops))
    axes_of_outputs = _axes_of_leaves(out_axes, flat.output_structure, "out_axes")
    return [
        column[0] if axis is None else _core.concat(list(column), axis=axis)
        for axis, column in zip(axes_of_outputs, zip(*parts, strict=True), strict=True)
    ]
