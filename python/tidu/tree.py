"""Trees of tensors, which every transform takes and gives: td.tree.map, leaves, structure, register ..

A tree is a tensor, a number, or a dict, list, tuple, named tuple, dataclass or object of a registered class
whose parts are trees. None has no leaves.
"""

import functools

from tidu._arguments import explain as _explain
from tidu._pytree import flatten as _flatten
from tidu._pytree import register as register
from tidu._pytree import tree_leaves as leaves
from tidu._pytree import tree_map as map
from tidu._pytree import unflatten as _unflatten

__all__ = ["flatten", "leaves", "map", "reduce", "register", "structure", "unflatten"]

_NOTHING = object()


def flatten(tree, is_leaf=None):
    """(leaves, structure) of a tree, of which unflatten(structure, leaves) makes the tree again.

    What `is_leaf(subtree)` says is one, is a leaf.
    """
    return _flatten(tree, is_leaf)


def structure(tree, is_leaf=None):
    """The structure of a tree: equal to that of another where map takes both.

    Dicts of the same keys have one structure, in whatever order; the leaves come in the order of the tree
    that it is of.
    """
    return _flatten(tree, is_leaf)[1]


def unflatten(structure, leaves):
    """The tree of a structure with the given leaves, in the order in which flatten gives them."""
    return _unflatten(structure, leaves)


def reduce(function, tree, initial=_NOTHING, is_leaf=None):
    """function(.. function(function(initial, leaf 0), leaf 1) .., the last leaf), as functools.reduce."""
    start = () if initial is _NOTHING else (initial,)
    return functools.reduce(function, leaves(tree, is_leaf), *start)


_explain(globals(), __all__)
