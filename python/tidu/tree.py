"""Trees of tensors, which every transform takes and gives: td.tree.map, leaves, structure, register ..

A tree is a tensor, a number, or a dict, list, tuple, named tuple, dataclass or object of a registered class
whose parts are trees. None has no leaves.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any

from tidu._arguments import explain as _explain
from tidu._pytree import Node
from tidu._pytree import flatten as _flatten
from tidu._pytree import register as register
from tidu._pytree import tree_leaves as leaves
from tidu._pytree import tree_map as map
from tidu._pytree import unflatten as _unflatten

__all__ = ["flatten", "leaves", "map", "reduce", "register", "structure", "unflatten"]

_NOTHING = object()


def flatten(tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> tuple[list[Any], Node]:
    """(leaves, structure) of a tree, of which unflatten(structure, leaves) makes the tree again.

    What `is_leaf(subtree)` says is one, is a leaf.

    Examples
    --------
    >>> leaves, structure = td.tree.flatten({"a": 1, "b": [2, 3]})
    >>> leaves
    [1, 2, 3]
    """
    return _flatten(tree, is_leaf)


def structure(tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> Node:
    """The structure of a tree: equal to that of another where map takes both.

    Dicts of the same keys have one structure, in whatever order; the leaves come in the order of the tree
    that it is of.

    Examples
    --------
    >>> td.tree.structure({"a": 1, "b": [2, 3]})
    {'a': *, 'b': [*, *]}
    """
    return _flatten(tree, is_leaf)[1]


def unflatten(structure: Node, leaves: Iterable[Any]) -> Any:
    """The tree of a structure with the given leaves, in the order in which flatten gives them.

    Examples
    --------
    >>> structure = td.tree.structure({"a": 1, "b": [2, 3]})
    >>> td.tree.unflatten(structure, [4, 5, 6])
    {'a': 4, 'b': [5, 6]}
    """
    return _unflatten(structure, leaves)


def reduce(
    function: Callable[[Any, Any], Any],
    tree: Any,
    initial: Any = _NOTHING,
    is_leaf: Callable[[Any], bool] | None = None,
) -> Any:
    """function(.. function(function(initial, leaf 0), leaf 1) .., the last leaf), as functools.reduce.

    Examples
    --------
    >>> td.tree.reduce(lambda a, b: a + b, {"a": 1, "b": [2, 3]})
    6
    """
    start = () if initial is _NOTHING else (initial,)
    return functools.reduce(function, leaves(tree, is_leaf), *start)


_explain(globals(), __all__)
