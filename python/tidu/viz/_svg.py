"""A Graph as a picture: boxes with the numbers of each node, and arrows between them, as SVG."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape, quoteattr

from tidu.viz._layout import Layout
from tidu.viz._style import BLUE, FAINT, INK, ORANGE

if TYPE_CHECKING:
    from tidu.viz._graph import Graph, Node

LONGEST_TEXT = 36  # characters of a node's title; all of it is in its tooltip
WIDTH, LINE, PADDING, MARGIN = 7.4, 18, 10, 14  # of a character, a line, inside and around
COLOURS = {"value": INK, "tangent": ORANGE, "adjoint": BLUE}
FONT = "font-family='DejaVu Sans, Verdana, Helvetica, Arial, sans-serif' font-size='12'"
FILLS = {"argument": "#eaf2fa", "constant": "#f4f4f2"}
GREY = "#6b7780"


def _shortened(text: str) -> str:
    return text if len(text) <= LONGEST_TEXT else text[: LONGEST_TEXT - 2] + ".."


def _size(node: Node) -> tuple[float, float]:
    lines = [_shortened(node.title), node.type, *(f"{what}  {x}" for what, x in node.rows())]
    return max(map(len, lines)) * WIDTH + 2 * PADDING, len(lines) * LINE + 2 * PADDING - 4


def svg(graph: Graph) -> str:
    """The document: groups of class node and edge; in a node, texts of class title, type, value ..."""
    numbers = {node.name: i for i, node in enumerate(graph.nodes)}
    edges = sorted((numbers[start], numbers[end]) for start, end in graph.edges)
    sizes = [_size(node) for node in graph.nodes]
    layout = Layout(sizes, edges)
    width, height = layout.width + 2 * MARGIN, layout.height + 2 * MARGIN
    parts = [
        f"<svg xmlns='http://www.w3.org/2000/svg' width='{width:.0f}' height='{height:.0f}' "
        f"viewBox='{-MARGIN} {-MARGIN} {width:.1f} {height:.1f}' {FONT}>",
        f"<rect x='{-MARGIN}' y='{-MARGIN}' width='{width:.1f}' height='{height:.1f}' fill='white'/>",
    ]
    for (start, end), route in zip(edges, layout.routes, strict=True):
        parts.append(_edge(graph.nodes[start].name, graph.nodes[end].name, route))
    for node, box, size in zip(graph.nodes, layout.boxes, sizes, strict=True):
        parts += _box(node, box, size)
    return "\n".join([*parts, "</svg>", ""])


def _edge(start: str, end: str, route: list[tuple[float, float]]) -> str:
    (x, y), *others = route
    path = f"M {x:.1f} {y:.1f}"
    for next_x, next_y in others:
        middle = (y + next_y) / 2
        path += f" C {x:.1f} {middle:.1f}, {next_x:.1f} {middle:.1f}, {next_x:.1f} {next_y:.1f}"
        x, y = next_x, next_y
    head = f"M {x - 4:.1f} {y - 8:.1f} L {x:.1f} {y:.1f} L {x + 4:.1f} {y - 8:.1f} Z"
    return (
        f"<g class='edge' data-from='{start}' data-to='{end}'>"
        f"<path d='{path}' fill='none' stroke='#8a96a0' stroke-width='1.3'/>"
        f"<path d='{head}' fill='#8a96a0'/></g>"
    )


def _box(node: Node, box: tuple[float, float], size: tuple[float, float]) -> Iterator[str]:
    (left, top), (width, height) = box, size
    border = (
        f"stroke='{INK}' stroke-width='1.8'" if node.is_result else f"stroke='{FAINT}' stroke-width='1.3'"
    )
    dashes = " stroke-dasharray='4 3'" if node.operation == "constant" else ""
    yield f"<g class='node' data-name='{node.name}' data-operation={quoteattr(node.operation)}>"
    yield f"<title>{escape(node.title)}</title>"
    yield (
        f"<rect x='{left:.1f}' y='{top:.1f}' width='{width:.1f}' height='{height:.1f}' rx='6' "
        f"fill='{FILLS.get(node.operation, 'white')}' {border}{dashes}/>"
    )
    y = top + PADDING + 10
    x, right = left + PADDING, left + width - PADDING
    yield (
        f"<text class='title' x='{x:.1f}' y='{y:.1f}' font-weight='bold' fill='{INK}'>"
        f"{escape(_shortened(node.title))}</text>"
    )
    y += LINE
    small = f"fill='{GREY}' font-size='11'"
    yield f"<text class='type' x='{x:.1f}' y='{y:.1f}' {small}>{escape(node.type)}</text>"
    for what, numbers in node.rows():
        y += LINE
        yield f"<text x='{x:.1f}' y='{y:.1f}' {small}>{what}</text>"
        yield (
            f"<text class='{what}' x='{right:.1f}' y='{y:.1f}' text-anchor='end' fill='{COLOURS[what]}'>"
            f"{escape(numbers)}</text>"
        )
    yield "</g>"
