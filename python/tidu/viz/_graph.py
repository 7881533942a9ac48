"""Graphs of computations with the value, tangent and adjoint of every node, as SVG and DOT."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from tidu import _core
from tidu._core import DTypeError, ShapeError, Tensor, TraceError
from tidu._grad_mode import enable_grad
from tidu._program import program
from tidu._pytree import Node as TreeNode
from tidu._pytree import flatten, unflatten
from tidu._transforms import align_tree
from tidu.typing import PathLike
from tidu.viz._svg import svg

ARGUMENT, CONSTANT = "argument", "constant"
SIGNS = {
    "add": "{} + {}",
    "subtract": "{} - {}",
    "multiply": "{} {}",
    "divide": "{} / {}",
    "matmul": "{} @ {}",
    "pow": "{} ^ {}",
    "negative": "-{}",
    "square": "{}^2",
    "abs": "|{}|",
}
MOST_ELEMENTS = 6  # of a tensor whose elements are written out


@dataclasses.dataclass(frozen=True)
class Node:
    """A value of a computation: w3 = w1 w2.

    `operation` is the name of the primitive that gave it, "argument" or "constant"; `inputs` are the nodes
    that it was computed from, by name, and `text` the computation. Numbers in the function are in the text
    and no nodes. `value` is None where it was not kept (graphs of tensors); `tangent` is its derivative in
    the direction asked for, and `adjoint` that of the sum of all results by it: None where there is none.
    """

    name: str
    text: str
    operation: str
    inputs: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: object
    value: Tensor | None
    tangent: Tensor | None = None
    adjoint: Tensor | None = None
    is_result: bool = False

    @property
    def title(self) -> str:
        return f"{self.name} = {self.text}"

    @property
    def type(self) -> str:
        return f"{self.dtype}{self.shape}"

    def rows(self) -> Iterator[tuple[str, str]]:
        """(what, its numbers) for the value and the derivatives that there are."""
        yield "value", _numbers(self.value)
        for what in ("tangent", "adjoint"):
            tensor = getattr(self, what)
            if tensor is not None:
                yield what, _numbers(tensor)


class Graph:
    """The graph of a computation: `nodes`, in the order in which they were computed.

    graph["w3"] is a node by its name. svg() and dot() are the picture as text; save(path) writes one of them;
    notebooks show it. str() is a table.

    Examples
    --------
    >>> [node.text for node in td.viz.graph(lambda x: 2 * x, td.tensor(3.0)).nodes]
    ['x', '2 w1']
    """

    def __init__(self, nodes: Iterable[Node]) -> None:
        self.nodes = tuple(nodes)

    def __getitem__(self, name: str) -> Node:
        for node in self.nodes:
            if node.name == name:
                return node
        raise KeyError(f"the graph has no node {name!r}: there are {', '.join(n.name for n in self.nodes)}")

    @property
    def edges(self) -> list[tuple[str, str]]:
        """(from, to) by name, each pair once."""
        return [(name, node.name) for node in self.nodes for name in dict.fromkeys(node.inputs)]

    def __str__(self) -> str:
        rows = (
            "  ".join([f"{n.title}: {n.type}", *(f"{what} {x}" for what, x in n.rows())]) for n in self.nodes
        )
        return "\n".join(rows)

    __repr__ = __str__

    def dot(self) -> str:
        """The graph in Graphviz's language."""
        lines = ["digraph {", '  node [shape=box, fontname="Helvetica", fontsize=11];']
        for node in self.nodes:
            label = "\\n".join(
                _quoted(line) for line in (node.title, node.type, *(f"{what} {x}" for what, x in node.rows()))
            )
            style = (
                ", style=dashed" if node.operation == CONSTANT else ", penwidth=2" if node.is_result else ""
            )
            lines.append(f'  {node.name} [label="{label}"{style}];')
        lines += [f"  {start} -> {end};" for start, end in self.edges]
        return "\n".join([*lines, "}", ""])

    def svg(self) -> str:
        """The graph as a picture, an SVG document."""
        return svg(self)

    def save(self, path: PathLike) -> None:
        """Writes the graph to a file, whose name ends in .svg or .dot."""
        kinds = {".svg": self.svg, ".dot": self.dot}
        kind = next((kind for kind in kinds if str(path).endswith(kind)), None)
        if kind is None:
            raise ValueError(f"[graph] graphs are saved as .svg or .dot, not as {str(path)!r}")
        with open(path, "w", encoding="utf-8") as file:
            file.write(kinds[kind]())

    def _repr_svg_(self) -> str:
        return self.svg()

    def _repr_html_(self) -> str:
        return f'<div style="overflow: auto">{self.svg()}</div>'


def graph(function: Callable[..., Any] | Tensor, *args: Any, direction: Any = None) -> Graph:
    """The graph of what `function` computes for `args`, or of the tensor `function`: a Graph.

    The nodes are the arguments and the primitive calls of td.program(function, *args), with values and
    shapes. Beside the value stands the adjoint, the derivative of the result by the node (of the sum of all
    elements of all results), and with a direction the tangent: the derivative of the node in that direction
    of the arguments. direction: the tuple of the arguments' tangents, like them, None where zero; for one
    argument also its tangent itself. Tensors from outside are constants, and those that require grad, such as
    a model's parameters, have adjoints, too.

    Of a tensor that requires grad, it is the graph that its backward() would go through, with the values
    that were kept for that.

    Examples
    --------
    >>> print(td.viz.graph(lambda x: x * x, td.tensor(3.0)))
    w1 = x: float32()  value 3  adjoint 6
    w2 = w1 w1: float32()  value 9  adjoint 1
    """
    if isinstance(function, Tensor):
        if args or direction is not None:
            raise TypeError("[graph] of a tensor takes nothing else (pass a function for tangents)")
        recorded, arguments = _core.graph_of(function)
        names = [f"x{i + 1}" for i in range(len(arguments))]
        return Graph(_nodes(recorded, arguments, names, None, function))
    if not callable(function):
        raise TypeError(f"[graph] takes a function or a tensor, not {type(function).__name__}")
    leaves, structure = flatten(args)
    leaves = [
        _core.asarray(x) if _is_number(x) else _core.stop_gradient(x) if isinstance(x, Tensor) else x
        for x in leaves
    ]
    places = [i for i, leaf in enumerate(leaves) if isinstance(leaf, Tensor)]
    tangents = None if direction is None else _direction(direction, structure, leaves)
    recorded = program(function, *unflatten(structure, leaves))._recorded
    names = _leaf_names(function, structure)
    return Graph(
        _nodes(
            recorded,
            [leaves[i] for i in places],
            [names[i] for i in places],
            tangents and [tangents[i] for i in places],
        )
    )


def _is_number(leaf: object) -> bool:
    """Whether a leaf is made a tensor: whole numbers are exponents and extents more often than arguments."""
    return isinstance(leaf, float) or (hasattr(leaf, "__array__") and not isinstance(leaf, Tensor))


def _direction(direction: Any, structure: TreeNode, leaves: list[Any]) -> list[Tensor | None]:
    if not isinstance(direction, tuple | list) and len(structure.children) == 1:
        direction = (direction,)
    if not isinstance(direction, tuple | list) or len(direction) != len(structure.children):
        raise ValueError(f"[graph] takes one direction an argument: a tuple of {len(structure.children)}")
    tangents = align_tree(tuple(direction), structure, "graph", "direction")
    for i, (leaf, tangent) in enumerate(zip(leaves, tangents, strict=True)):
        if tangent is None:
            continue
        if not isinstance(leaf, Tensor) or not leaf.dtype.is_floating_point:
            kind = f"{leaf.dtype}{leaf.shape}" if isinstance(leaf, Tensor) else type(leaf).__name__
            raise DTypeError(f"[graph] leaf {i} of the arguments is {kind}: it has no direction (pass None)")
        if not isinstance(tangent, Tensor):
            tangent = _core.asarray(tangent, dtype=leaf.dtype, device=leaf.device)
        if tangent.shape != leaf.shape or tangent.dtype != leaf.dtype:
            raise ShapeError(
                f"[graph] direction {i} is {tangent.dtype}{tangent.shape} but must be "
                f"{leaf.dtype}{leaf.shape}"
            )
        tangents[i] = _core.stop_gradient(tangent)
    return tangents


def _leaf_names(function: Callable[..., Any], structure: TreeNode) -> list[str]:
    """What the leaves of the arguments are called: by the function's parameters, or x1, x2 .."""
    count = len(structure.children)
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        parameters = []
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    names = [p.name for p in parameters if p.kind in positional]
    if len(names) < count:
        names = [f"x{i + 1}" for i in range(count)]
    result = []

    def visit(name: str, node: TreeNode) -> None:
        if node.kind == "leaf":
            result.append(name)
        for i, child in enumerate(node.children):
            part = (
                f"[{i}]"
                if node.keys is None
                else f"[{node.keys[i]!r}]"
                if node.kind == "dict"
                else f".{node.keys[i]}"
            )
            visit(name + part, child)

    for name, child in zip(names, structure.children, strict=False):
        visit(name, child)
    return result


# --- Values and derivatives


def _nodes(
    recorded: _core.RecordedProgram,
    arguments: list[Tensor],
    names: list[str],
    tangents: list[Tensor | None] | None,
    result: Tensor | None = None,
) -> list[Node]:
    """The nodes of a program at `arguments`; `result` is the value of its output where that is known."""
    constants = [value for _, value in recorded.constants]
    given = [*arguments, *(_core.stop_gradient(value) for value in constants)]
    varied = [x.dtype.is_floating_point for x in arguments] + [value.requires_grad for value in constants]
    values, adjoints = _pulled_back(recorded, given, varied)
    pushed = None if tangents is None else _pushed_forward(recorded, given, tangents)
    if result is not None:
        for variable in recorded.outputs:
            values[variable] = _core.stop_gradient(result)

    inlined = {}  # numbers in the function, as text
    labels = {}
    nodes = []

    def add(name: str, variable: int, text: str, operation: str, inputs: tuple[str, ...] = ()) -> None:
        labels[variable] = name
        value = values[variable]
        adjoint = adjoints[variable]
        depends = adjoint is not None
        nodes.append(
            Node(
                name,
                text,
                operation,
                inputs,
                tuple(value.shape),
                value.dtype,
                value if _is_known(value) else None,
                pushed[variable] if pushed and depends else None,
                adjoint if adjoint is not None and _is_known(adjoint) else None,
                variable in recorded.outputs,
            )
        )

    for i, variable in enumerate(recorded.inputs):
        add(f"w{i + 1}", variable, names[i], ARGUMENT)
    for variable, value in recorded.constants:
        number = None if value.requires_grad or variable in recorded.outputs else _as_number(value)
        if number is None:
            count = len(nodes) - len(recorded.inputs)
            add(f"c{count + 1}", variable, CONSTANT, CONSTANT)
        else:
            inlined[variable] = number
    count = len(recorded.inputs)
    for operation, attributes, inputs, outputs in recorded.calls:
        operands = [inlined.get(variable) or labels[variable] for variable in inputs]
        text = _text(operation, attributes, operands, [v in inlined for v in inputs])
        sources = tuple(labels[variable] for variable in inputs if variable not in inlined)
        for i, variable in enumerate(outputs):
            count += 1
            add(f"w{count}", variable, text if len(outputs) == 1 else f"({text})[{i}]", operation, sources)
    return nodes


def _pulled_back(
    recorded: _core.RecordedProgram, given: list[Tensor], varied: list[bool]
) -> tuple[list[Tensor], list[Tensor | None]]:
    """All values, and for each the derivative of the sum of the results by it, None where it has none."""
    with enable_grad():
        leaves = [x.requires_grad_() if is_varied else x for x, is_varied in zip(given, varied, strict=True)]
        values = recorded.values(leaves)
        tracked = [value.requires_grad for value in values]
        for value, is_tracked in zip(values, tracked, strict=True):
            if is_tracked:
                value.retain_grad()
        for variable in recorded.outputs:
            if tracked[variable]:
                values[variable].backward(_core.ones_like(values[variable].detach()), retain_graph=True)
    adjoints = [
        (_core.zeros_like(value.detach()) if value.grad is None else value.grad) if is_tracked else None
        for value, is_tracked in zip(values, tracked, strict=True)
    ]
    return [value.detach() for value in values], adjoints


def _pushed_forward(
    recorded: _core.RecordedProgram, given: list[Tensor], tangents: list[Tensor | None]
) -> list[Tensor]:
    moved = [i for i, tangent in enumerate(tangents) if tangent is not None]

    def values(inputs: list[Tensor]) -> Any:
        filled = [x.detach() for x in given]
        for i, x in zip(moved, inputs, strict=True):
            filled[i] = x
        return recorded.values(filled)

    _, pushed = _core.jvp(values, [given[i].detach() for i in moved], [tangents[i] for i in moved])
    return pushed


# --- Text


def _is_known(tensor: Tensor) -> bool:
    try:
        tensor.reshape(-1)[:1].tolist()
    except TraceError:
        return False
    return True


def _as_number(tensor: Tensor) -> str | None:
    """A constant whose elements are all one number, as text; else None."""
    if tensor.size == 0 or not _is_known(tensor):
        return None
    flat = tensor.detach().reshape(-1)
    return _number(flat[0].item()) if (flat == flat[0]).all().item() else None


def _number(x: object) -> str:
    return f"{x:.5g}" if isinstance(x, float) else str(x)


def _numbers(tensor: Tensor | None) -> str:
    if tensor is None:
        return "not kept"
    if tensor.size == 1:
        return _number(tensor.item())
    if tensor.size <= MOST_ELEMENTS:
        return _list(tensor.tolist())
    wide = tensor.astype(_core.float64, copy=False)
    return f"{_number(wide.min().item())} .. {_number(wide.max().item())}"


def _list(x: Any) -> str:
    return f"[{', '.join(map(_list, x))}]" if isinstance(x, list) else _number(x)


def _text(operation: str, attributes: str, operands: list[str], are_numbers: list[bool]) -> str:
    if operation in SIGNS and len(operands) == SIGNS[operation].count("{}"):
        if operation == "multiply" and are_numbers == [False, True]:
            operands = operands[::-1]
        return SIGNS[operation].format(*operands)
    shown = f"[{attributes}]" if attributes else ""
    return " ".join([operation + " ".join(shown.split()), *operands])


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
