"""Layered layout of an acyclic graph: layers by longest path, few crossings, straight edges where they fit.

Rows run from the top down. An edge that passes a row has a place of its own in it, of no width, which all
edges of its source share. Rows are ordered by barycentres (Sugiyama, Tagawa and Toda 1981) and then placed:
each where its neighbours are on average, as nearly as widths and order allow in least squares.
"""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Sequence

SWEEPS = 24


class Layout:
    """Where things go. `boxes[i]` is (left, top) of node i; `routes` has a list of points for each edge."""

    def __init__(
        self,
        sizes: Sequence[tuple[float, float]],
        edges: Sequence[tuple[int, int]],
        gap: tuple[float, float] = (22, 44),
    ) -> None:
        """sizes: (width, height) of each node. edges: pairs (i, k), i < k, each once."""
        self._edges = edges
        self._x: list[float] = []
        self._layers = _layers(len(sizes), edges)
        self._widths: list[float] = [width for width, _ in sizes]
        self._gap = gap[0]
        self._add_places()
        rows = _ordered(self._rows(), self._above, self._below)
        self._place(rows)
        heights = [max((sizes[i][1] for i in row if i < len(sizes)), default=0) for row in rows]
        tops = [sum(heights[:k]) + k * gap[1] for k in range(len(rows))]
        left = min((x - width / 2 for x, width in zip(self._x, self._widths, strict=True)), default=0)
        self._x = [x - left for x in self._x]
        self.width = max((x + width / 2 for x, width in zip(self._x, self._widths, strict=True)), default=0)
        self.height = tops[-1] + heights[-1] if rows else 0
        self.boxes = [(self._x[i] - sizes[i][0] / 2, tops[self._layers[i]]) for i in range(len(sizes))]
        self.routes = [self._route(i, k, sizes, tops, heights) for i, k in edges]

    def _add_places(self) -> None:
        """Chains of places for edges that pass rows, and who is whose neighbour in the next row."""
        self._chains: dict[tuple[int, int], int] = {}
        pairs = set()
        for i, k in self._edges:
            at = i
            for layer in range(self._layers[i] + 1, self._layers[k]):
                if (i, layer) not in self._chains:
                    self._chains[i, layer] = len(self._layers)
                    self._layers.append(layer)
                    self._widths.append(0)
                pairs.add((at, self._chains[i, layer]))
                at = self._chains[i, layer]
            pairs.add((at, k))
        self._above: list[list[int]] = [[] for _ in self._layers]
        self._below: list[list[int]] = [[] for _ in self._layers]
        for i, k in sorted(pairs):
            self._below[i].append(k)
            self._above[k].append(i)

    def _rows(self) -> list[list[int]]:
        rows: list[list[int]] = [[] for _ in range(max(self._layers, default=-1) + 1)]
        for i, layer in enumerate(self._layers):
            rows[layer].append(i)
        return rows

    def _place(self, rows: list[list[int]]) -> None:
        self._x = [0.0] * len(self._layers)
        for row in rows:
            self._align(row, [0.0] * len(row))
        for sweep in range(SWEEPS):
            for row in rows if sweep % 2 == 0 else reversed(rows):
                self._align(row, [self._middle_of_neighbours(i) for i in row])

    def _middle_of_neighbours(self, i: int) -> float:
        neighbours = self._above[i] + self._below[i]
        return sum(self._x[k] for k in neighbours) / len(neighbours) if neighbours else self._x[i]

    def _align(self, row: list[int], wanted: list[float]) -> None:
        """The places next to the wanted ones, in the row's order and without overlap: isotonic regression."""
        offsets, end = [], 0.0
        for i in row:
            offsets.append(end + self._widths[i] / 2)
            end += self._widths[i] + self._gap
        blocks: list[tuple[float, int]] = []  # (sum, count) of wanted - offset, means ascending
        for target, offset in zip(wanted, offsets, strict=True):
            total, count = target - offset, 1
            while blocks and blocks[-1][0] / blocks[-1][1] >= total / count:
                before = blocks.pop()
                total, count = total + before[0], count + before[1]
            blocks.append((total, count))
        starts = [total / count for total, count in blocks for _ in range(count)]
        for i, start, offset in zip(row, starts, offsets, strict=True):
            self._x[i] = start + offset

    def _route(
        self, i: int, k: int, sizes: Sequence[tuple[float, float]], tops: list[float], heights: list[float]
    ) -> list[tuple[float, float]]:
        points = [(self._x[i], tops[self._layers[i]] + sizes[i][1])]
        for layer in range(self._layers[i] + 1, self._layers[k]):
            x = self._x[self._chains[i, layer]]
            points += [(x, tops[layer]), (x, tops[layer] + heights[layer])]
        return [*points, (self._x[k], tops[self._layers[k]])]


def _layers(count: int, edges: Sequence[tuple[int, int]]) -> list[int]:
    """The longest path to each node; what has no input stands next to its first consumer."""
    inputs: list[list[int]] = [[] for _ in range(count)]
    outputs: list[list[int]] = [[] for _ in range(count)]
    for i, k in edges:
        inputs[k].append(i)
        outputs[i].append(k)
    layers = [0] * count
    for k in range(count):
        layers[k] = max((layers[i] + 1 for i in inputs[k]), default=0)
    for i in range(count):
        if not inputs[i] and outputs[i]:
            layers[i] = min(layers[k] for k in outputs[i]) - 1
    return layers


def _crossings(rows: list[list[int]], below: list[list[int]]) -> int:
    total = 0
    for row, next_row in itertools.pairwise(rows):
        place = {node: i for i, node in enumerate(next_row)}
        seen: list[int] = []
        for node in row:
            ends = sorted(place[other] for other in below[node])
            total += sum(len(seen) - bisect.bisect_right(seen, end) for end in ends)
            for end in ends:
                bisect.insort(seen, end)
    return total


def _ordered(rows: list[list[int]], above: list[list[int]], below: list[list[int]]) -> list[list[int]]:
    """The best of the orders that sweeps down and up by barycentres come to."""
    best, fewest = [list(row) for row in rows], _crossings(rows, below)
    for sweep in range(SWEEPS):
        if fewest == 0:
            break
        down = sweep % 2 == 0
        neighbours = above if down else below
        for k in range(1, len(rows)) if down else range(len(rows) - 2, -1, -1):
            place = {node: i for i, node in enumerate(rows[k - 1 if down else k + 1])}
            own = {node: i for i, node in enumerate(rows[k])}

            def barycentre(
                node: int,
                place: dict[int, int] = place,
                own: dict[int, int] = own,
                neighbours: list[list[int]] = neighbours,
            ) -> float:
                near = neighbours[node]
                return sum(place[other] for other in near) / len(near) if near else own[node]

            rows[k].sort(key=barycentre)
        crossings = _crossings(rows, below)
        if crossings < fewest:
            best, fewest = [list(row) for row in rows], crossings
    return best
