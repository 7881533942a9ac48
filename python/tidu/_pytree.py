"""Pytrees: nested dicts, lists, tuples, named tuples and dataclasses, whose leaves are tensors or numbers.

None is a tree without leaves. The keys of a dict are taken in its own order.
"""

import sys

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


def tree_paths(structure, root):
    """What Python calls each leaf of a tree that it calls `root`: "params['w'][0]", "state.step"."""
    if structure.kind == "leaf":
        return [root]
    paths = []
    by_index = structure.kind == "list" or (structure.kind == "tuple" and not structure.keys)
    for i, child in enumerate(structure.children):
        step = f"[{i}]" if by_index else f"[{structure.keys[i]!r}]"
        if not by_index and structure.kind != "dict":
            step = f".{structure.keys[i]}"
        paths += tree_paths(child, root + step)
    return paths


# --- Structures as data of JSON


def _name_of_type(kind):
    name = f"{kind.__module__}:{kind.__qualname__}"
    if _type_of_name(name) is not kind:
        raise ValueError(f"[save] {name} is no class that can be found by its name (define it in a module)")
    return name


def _type_of_name(name):
    """A class of a module that is imported already: files import nothing."""
    module, _, path = name.partition(":")
    found = sys.modules.get(module)
    for part in path.split("."):
        found = getattr(found, part, None)
    return found


def structure_to_data(structure):
    """Lists, dictionaries, strings and None from which structure_from_data makes the structure again."""
    kind = structure.kind
    if kind == "leaf":
        return "*"
    if kind == "none":
        return None
    parts = [structure_to_data(child) for child in structure.children]
    if kind == "list":
        return parts
    data = {"kind": kind, "parts": parts}
    if structure.keys is not None:
        if not all(type(key) in (str, int) for key in structure.keys):
            raise ValueError(f"[save] the keys of {structure!r} must be strings or integers")
        data["keys"] = list(structure.keys)
    if structure.type not in (tuple, dict):
        data["type"] = _name_of_type(structure.type)
    return data


def structure_from_data(data):
    if data == "*":
        return LEAF
    if data is None:
        return NONE
    if isinstance(data, list):
        return Node("list", list, None, tuple(structure_from_data(part) for part in data))
    kind, keys = data["kind"], data.get("keys")
    base = {"tuple": tuple, "dict": dict, "dataclass": object}[kind]
    type_ = base
    if "type" in data:
        type_ = _type_of_name(data["type"])
        if not isinstance(type_, type) or not issubclass(type_, base):
            raise ValueError(f"it needs the class {data['type']} (import its module first)")
        fields = {"tuple": "_fields", "dataclass": "__dataclass_fields__"}.get(kind)
        if fields and tuple(getattr(type_, fields, ())) != tuple(keys):
            raise ValueError(f"the class {data['type']} has other fields than when it was saved")
    parts = tuple(structure_from_data(part) for part in data["parts"])
    if (kind == "dataclass" and "type" not in data) or (keys is not None and len(keys) != len(parts)):
        raise ValueError(f"{data} is no structure")
    return Node(kind, type_, None if keys is None else tuple(keys), parts)
