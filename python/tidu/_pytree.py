"""Pytrees: nested dicts, lists, tuples, named tuples, dataclasses and registered classes, whose leaves are
tensors or numbers.

None is a tree without leaves. The leaves of a dict come in its own order, but dicts of the same keys have one
structure in whatever order: two trees are matched key by key. The order of an OrderedDict counts. Fields of
dataclasses with metadata={"static": True} are part of the structure.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

from tidu._core import Tensor

C = TypeVar("C", bound=type)


class Node:
    """The structure of a tree without its leaves: what to rebuild, and the structures of the parts."""

    __slots__ = ("children", "count", "data", "keys", "kind", "type")

    def __init__(
        self,
        kind: str,
        type_: Any,
        keys: Any,
        children: tuple[Node, ...],
        data: Any = None,
    ) -> None:
        self.kind = kind
        self.type = type_
        self.keys = keys
        self.children = children
        self.data = data  # what the class keeps besides its parts
        self.count: int = sum([child.count for child in children]) if kind != "leaf" else 1

    def is_like(self, other: Node) -> bool:
        """Whether this is the same node, whatever is in its parts."""
        return self.kind == other.kind and self.type is other.type and self.has_parts_of(other)

    def has_parts_of(self, other: Node) -> bool:
        """Whether the parts have the same names, also of another class of the kind."""
        if self.kind != other.kind or len(self.children) != len(other.children):
            return False
        if self.kind == "custom" and self.type is not other.type:
            return False
        if self.keys != other.keys and not (
            self.kind == "dict"
            and (self.type is not collections.OrderedDict or self.type is not other.type)
            and set(self.keys) == set(other.keys)
        ):
            return False
        return self.data is other.data or bool(self.data == other.data)

    def places_of(self, other: Node) -> Sequence[int]:
        """Where each part of a node with the same parts is among those of this one."""
        if self.keys == other.keys:
            return range(len(self.children))
        return [self.keys.index(key) for key in other.keys]

    def is_same(self, other: Node) -> bool:
        """Whether the leaves are those of the other structure one by one."""
        return self is other or (
            self.kind == other.kind
            and self.type is other.type
            and self.keys == other.keys
            and len(self.children) == len(other.children)
            and (self.data is other.data or bool(self.data == other.data))
            and all(map(Node.is_same, self.children, other.children))
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Node):
            return NotImplemented
        return self is other or (
            self.is_like(other)
            and all(
                self.children[place] == child
                for place, child in zip(self.places_of(other), other.children, strict=True)
            )
        )

    def __hash__(self) -> int:
        parts: Any = (hash(child) for child in self.children)
        if self.kind == "dict" and self.type is not collections.OrderedDict:
            parts = (frozenset(zip(self.keys, parts, strict=True)),)
        return hash((self.kind, self.type, self.count, *parts))

    def __repr__(self) -> str:
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
        if self.keys is not None:
            parts = [f"{key}={part}" for key, part in zip(self.keys, parts, strict=True)]
        if self.data is not None:
            parts.append(repr(self.data))
        return f"{self.type.__name__}({', '.join(parts)})"


LEAF = Node("leaf", None, None, ())
NONE = Node("none", None, None, ())

_registered: dict[
    type, tuple[Callable[[Any], Any], Callable[[Any, Any], Any]]
] = {}  # the two functions of each class


def register(
    cls: C,
    flatten: Callable[[Any], tuple[Sequence[Any], Any]] | None = None,
    unflatten: Callable[[Any, Any], Any] | None = None,
) -> C:
    """Makes trees of the objects of a class; returns the class, so that it can be used as a decorator.

    flatten(object) gives (parts, data): a sequence of trees, and what else there is to know, which can be
    compared by ==. unflatten(data, parts) is the object again. Without them, those are its methods
    `tree_flatten(self)` and `tree_unflatten(cls, data, parts)`, the latter a classmethod. Subclasses are
    registered on their own.

    Examples
    --------
    >>> class Pair:
    ...     def __init__(self, a, b):
    ...         self.a, self.b = a, b
    >>> Pair = td.tree.register(Pair, lambda p: ((p.a, p.b), None), lambda data, parts: Pair(*parts))
    >>> td.tree.leaves(Pair(1, [2, 3]))
    [1, 2, 3]
    """
    if not isinstance(cls, type):
        raise TypeError(f"[register] takes a class, not {cls!r}")
    if cls in _registered or cls in (Tensor, int, float, bool, dict, list, tuple, type(None)):
        raise ValueError(f"[register] {cls.__name__} is registered already")
    if (flatten is None) != (unflatten is None):
        raise TypeError("[register] takes both functions, flatten and unflatten, or none")
    if flatten is None:
        if not (hasattr(cls, "tree_flatten") and hasattr(cls, "tree_unflatten")):
            raise TypeError(
                f"[register] {cls.__name__} has no methods tree_flatten and tree_unflatten (define them, or "
                "give functions)"
            )
        methods: Any = cls
        flatten, unflatten = methods.tree_flatten, methods.tree_unflatten
    assert flatten is not None and unflatten is not None
    _registered[cls] = flatten, unflatten
    return cls


def flatten(tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> tuple[list[Any], Node]:
    """The leaves of a tree, in order, and its structure."""
    leaves: list[Any] = []
    return leaves, _flatten(tree, leaves) if is_leaf is None else _flatten_until(tree, leaves, is_leaf)


def _flatten(tree: Any, leaves: list[Any]) -> Node:
    kind: Any = type(tree)
    if kind is Tensor or kind is float or kind is int:
        leaves.append(tree)
        return LEAF
    if tree is None:
        return NONE
    if kind is dict:
        return Node("dict", dict, tuple(tree), tuple([_flatten(value, leaves) for value in tree.values()]))
    if kind is list:
        return Node("list", list, None, tuple([_flatten(value, leaves) for value in tree]))
    if kind is tuple:
        return Node("tuple", tuple, None, tuple([_flatten(value, leaves) for value in tree]))
    opened = _open(tree, kind)
    if opened is None:
        leaves.append(tree)
        return LEAF
    kind, type_, keys, parts, data = opened
    return Node(kind, type_, keys, tuple([_flatten(part, leaves) for part in parts]), data)


def _flatten_until(tree: Any, leaves: list[Any], is_leaf: Callable[[Any], bool]) -> Node:
    opened = None if is_leaf(tree) else _open(tree, type(tree))
    if opened is None:
        leaves.append(tree)
        return LEAF
    kind, type_, keys, parts, data = opened
    if kind == "none":
        return NONE
    return Node(kind, type_, keys, tuple([_flatten_until(part, leaves, is_leaf) for part in parts]), data)


def _open(tree: Any, kind: Any) -> tuple[str, Any, tuple[Any, ...] | None, Iterable[Any], Any] | None:
    """The kind, class, names and parts of a tree and its data; None for a leaf."""
    if tree is None:
        return "none", None, None, (), None
    if kind in _registered:
        parts, data = _registered[kind][0](tree)
        return "custom", kind, None, tuple(parts), data
    if isinstance(tree, dict):
        factory = tree.default_factory if isinstance(tree, collections.defaultdict) else None
        return "dict", kind, tuple(tree), tree.values(), factory
    if isinstance(tree, list):
        return "list", list, None, tree, None
    if isinstance(tree, tuple):
        keys = getattr(kind, "_fields", None)
        return "tuple", kind if keys else tuple, keys, tree, None
    if hasattr(kind, "__dataclass_fields__"):
        moving, static = _fields_of(kind)
        data = tuple(getattr(tree, key) for key in static) if static else None
        return "dataclass", kind, moving, [getattr(tree, key) for key in moving], data
    return None


@functools.lru_cache(maxsize=256)
def _fields_of(kind: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The fields of a dataclass that are parts of the tree, and those that are not."""
    fields = dataclasses.fields(kind)
    static = tuple(field.name for field in fields if field.metadata.get("static"))
    return tuple(field.name for field in fields if field.name not in static), static


def unflatten(structure: Node, leaves: Iterable[Any]) -> Any:
    """The tree of a structure with the given leaves."""
    leaves = iter(leaves)
    try:
        tree = _unflatten(structure, leaves)
    except StopIteration:
        raise ValueError(f"[pytree] fewer leaves than the structure {structure!r} has") from None
    if next(leaves, leaves) is not leaves:
        raise ValueError(f"[pytree] more leaves than the structure {structure!r} has")
    return tree


def _unflatten(structure: Node, leaves: Iterator[Any]) -> Any:
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
    if kind == "custom":
        return _registered[structure.type][1](structure.data, tuple(parts))
    if kind == "dict":
        items = dict(zip(structure.keys, parts, strict=True))
        if structure.type is dict:
            return items
        tree = structure.type.__new__(structure.type)
        if structure.data is not None:
            tree.default_factory = structure.data
        tree.update(items)
        return tree
    tree = object.__new__(structure.type)
    moving, static = _fields_of(structure.type)
    for key, part in zip(moving + static, (*parts, *(structure.data or ())), strict=True):
        object.__setattr__(tree, key, part)
    return tree


class MisfitError(ValueError):
    """Two structures, the first of which should have the parts of the second."""


def in_order(leaves: list[Any], structure: Node, like: Node) -> list[Any]:
    """The leaves of a tree in the order of another structure, which its own is like; None where a part is."""
    if structure.is_same(like):
        return leaves
    result: list[Any] = []
    _put_in_order(leaves, 0, structure, like, result)
    return result


def _put_in_order(leaves: list[Any], begin: int, structure: Node, like: Node, result: list[Any]) -> None:
    if structure.kind == "none":
        result += [None] * like.count
        return
    if not structure.has_parts_of(like):
        raise MisfitError(structure, like)
    if structure.kind == "leaf":
        result.append(leaves[begin])
        return
    begins = begins_of(structure, begin)
    for place, child in zip(structure.places_of(like), like.children, strict=True):
        _put_in_order(leaves, begins[place], structure.children[place], child, result)


def begins_of(structure: Node, begin: int) -> list[int]:
    """Where among leaves those of each part begin, if those of the structure begin there."""
    begins = []
    for child in structure.children:
        begins.append(begin)
        begin += child.count
    return begins


def tree_map(
    function: Callable[..., Any], tree: Any, *rest: Any, is_leaf: Callable[[Any], bool] | None = None
) -> Any:
    """`function` of each leaf (and of the leaves in the same place of trees of the same structure).

    What `is_leaf(subtree)` says is one, is a leaf.

    Examples
    --------
    >>> td.tree_map(lambda x: 2 * x, {"a": 1, "b": [2, 3]})
    {'a': 2, 'b': [4, 6]}
    """
    leaves, structure = flatten(tree, is_leaf)
    others = []
    for other in rest:
        other_leaves, other_structure = flatten(other, is_leaf)
        if not other_structure.is_same(structure):
            if other_structure != structure:
                raise ValueError(f"[tree_map] structures differ: {structure!r} and {other_structure!r}")
            other_leaves = in_order(other_leaves, other_structure, structure)
        others.append(other_leaves)
    return unflatten(structure, [function(*all_) for all_ in zip(leaves, *others, strict=True)])


def tree_leaves(tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> list[Any]:
    """The leaves of a tree, in order.

    Examples
    --------
    >>> td.tree_leaves({"a": 1, "b": [2, 3]})
    [1, 2, 3]
    """
    return flatten(tree, is_leaf)[0]


def tree_paths(structure: Node, root: str) -> list[str]:
    """What Python calls each leaf of a tree that it calls `root`: "params['w'][0]", "state.step"."""
    if structure.kind == "leaf":
        return [root]
    paths = []
    for i, child in enumerate(structure.children):
        if structure.keys is None:
            step = f"[{i}]"
        else:
            step = f"[{structure.keys[i]!r}]" if structure.kind == "dict" else f".{structure.keys[i]}"
        paths += tree_paths(child, root + step)
    return paths


# --- Structures as data of JSON


def _name_of_type(kind: Any) -> str:
    name = f"{kind.__module__}:{kind.__qualname__}"
    if _type_of_name(name) is not kind:
        raise ValueError(f"[save] {name} is no class that can be found by its name (define it in a module)")
    return name


def _type_of_name(name: str) -> Any:
    """A class of a module that is imported already: files import nothing."""
    module, _, path = name.partition(":")
    found = sys.modules.get(module)
    for part in path.split("."):
        found = getattr(found, part, None)
    return found


def _static_to_data(value: Any) -> Any:
    """Plain values; tuples are dictionaries, which there are none of else."""
    if value is None or type(value) in (bool, int, float, str):
        return value
    if type(value) in (list, tuple):
        items = [_static_to_data(item) for item in value]
        return {"tuple": items} if type(value) is tuple else items
    if hasattr(value, "plain"):
        return _static_to_data(value.plain())
    raise ValueError(f"[save] {value!r}, part of the arguments' structure, is of a type that no file holds")


def _static_from_data(data: Any) -> Any:
    if isinstance(data, dict):
        return tuple(_static_from_data(item) for item in data["tuple"])
    return [_static_from_data(item) for item in data] if isinstance(data, list) else data


def structure_to_data(structure: Node) -> Any:
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
    if structure.data is not None:
        data["static"] = _static_to_data(structure.data)
    return data


def structure_from_data(data: Any) -> Node:
    if data == "*":
        return LEAF
    if data is None:
        return NONE
    if isinstance(data, list):
        return Node("list", list, None, tuple(structure_from_data(part) for part in data))
    kind, keys, static = data["kind"], data.get("keys"), _static_from_data(data.get("static"))
    base = {"tuple": tuple, "dict": dict, "dataclass": object, "custom": object}[kind]
    type_ = base
    if "type" in data:
        type_ = _type_of_name(data["type"])
        if not isinstance(type_, type) or not issubclass(type_, base):
            raise ValueError(f"it needs the class {data['type']} (import its module first)")
    parts = tuple(structure_from_data(part) for part in data["parts"])
    has_names = kind in ("dict", "dataclass") or (kind == "tuple" and "type" in data)
    if has_names != (keys is not None) or (has_names and len(keys) != len(parts)):
        raise ValueError(f"{data} is no structure")
    if kind == "custom" and type_ not in _registered:
        raise ValueError(f"it needs the class {data.get('type')} (register it by td.tree.register)")
    if has_names and kind != "dict":
        fields, others = _fields_of(type_) if kind == "dataclass" else (getattr(type_, "_fields", ()), ())
        if tuple(fields) != tuple(keys) or len(others) != len(static or ()):
            raise ValueError(f"the class {data['type']} has other fields than when it was saved")
    return Node(kind, type_, None if keys is None else tuple(keys), parts, static)
