"""Pytrees: nested dicts, lists, tuples, named tuples and dataclasses, whose leaves are tensors or numbers.

None is a tree without leaves. The keys of a dict are taken in its own order.
"""

from tidu._core import Tensor


class Node:
    """The structure of a tree without its leaves: what to rebuild, and the structures of the parts."""

    __slots__ = ("children", "count", "keys", "kind", "type")

    def __init__(self, kind, type_, keys, children):
        self.kind = kind
        self.type = type_
        self.keys = keys
        self.children = children
        self.count = sum(child.count for child in children) if kind != "leaf" else 1

    def __eq__(self, other):
        return (
            isinstance(other, Node)
            and self.kind == other.kind
            and self.type is other.type
            and self.keys == other.keys
            and self.children == other.children
        )

    __hash__ = None

    def __repr__(self):
        parts = [repr(child) for child in self.children]
        if self.kind == "leaf":
            return "*"
        if self.kind == "none":
            return "None"
        if self.kind == "list":
            return "[" + ", ".join(parts) + "]"
        if self.kind == "tuple" and self.type is tuple:
            return "(" + ", ".join(parts) + ("," if len(parts) == 1 else "") + ")"
        if self.kind == "dict":
            return "{" + ", ".join(f"{k!r}: {p}" for k, p in zip(self.keys, parts, strict=True)) + "}"
        names = self.keys or range(len(parts))
        return f"{self.type.__name__}({', '.join(f'{k}={p}' for k, p in zip(names, parts, strict=True))})"


LEAF = Node("leaf", None, None, ())
NONE = Node("none", None, None, ())


def flatten(tree):
    """The leaves of a tree, in order, and its structure."""
    leaves = []
    return leaves, _flatten(tree, leaves)


def _flatten(tree, leaves):
    kind = type(tree)
    if kind is Tensor or kind is float or kind is int:
        leaves.append(tree)
        return LEAF
    if tree is None:
        return NONE
    if isinstance(tree, dict):
        return Node("dict", kind, tuple(tree), tuple(_flatten(value, leaves) for value in tree.values()))
    if isinstance(tree, list):
        return Node("list", list, None, tuple(_flatten(value, leaves) for value in tree))
    if isinstance(tree, tuple):
        keys = getattr(kind, "_fields", None)
        return Node("tuple", kind if keys else tuple, keys, tuple(_flatten(value, leaves) for value in tree))
    fields = getattr(kind, "__dataclass_fields__", None)
    if fields is not None:
        keys = tuple(fields)
        return Node("dataclass", kind, keys, tuple(_flatten(getattr(tree, key), leaves) for key in keys))
    leaves.append(tree)
    return LEAF


def unflatten(structure, leaves):
    """The tree of a structure with the given leaves."""
    leaves = iter(leaves)
    tree = _unflatten(structure, leaves)
    if next(leaves, leaves) is not leaves:
        raise ValueError(f"[pytree] more leaves than the structure {structure!r} has")
    return tree


def _unflatten(structure, leaves):
    kind = structure.kind
    if kind == "leaf":
        return next(leaves)
    if kind == "none":
        return None
    parts = [_unflatten(child, leaves) for child in structure.children]
    if kind == "list":
        return parts
    if kind == "tuple":
        return structure.type(*parts) if structure.keys else tuple(parts)
    if kind == "dict":
        items = zip(structure.keys, parts, strict=True)
        if structure.type is dict:
            return dict(items)
        tree = structure.type.__new__(structure.type)
        tree.update(items)
        return tree
    tree = object.__new__(structure.type)
    for key, part in zip(structure.keys, parts, strict=True):
        object.__setattr__(tree, key, part)
    return tree


def tree_map(function, tree, *rest):
    """`function` of each leaf (and of the leaves in the same place of trees of the same structure)."""
    leaves, structure = flatten(tree)
    others = []
    for other in rest:
        other_leaves, other_structure = flatten(other)
        if other_structure != structure:
            raise ValueError(f"[tree_map] structures differ: {structure!r} and {other_structure!r}")
        others.append(other_leaves)
    return unflatten(structure, [function(*all_) for all_ in zip(leaves, *others, strict=True)])


def tree_leaves(tree):
    """The leaves of a tree, in order."""
    return flatten(tree)[0]
