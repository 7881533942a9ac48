"""What a function and its derivatives cost: cost."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tidu import _core
from tidu._core import Tensor
from tidu._pytree import flatten, unflatten
from tidu._transforms import inputs_of, outputs_from

# What the table shows: a figure's title, and where it is in the counts of a function.
_FIGURES = {
    "flops": ("flops", "total"),
    "  multiply-adds": ("flops", "multiply_adds"),
    "  other arithmetic": ("flops", "arithmetic"),
    "  transcendental": ("flops", "transcendental"),
    "bytes moved": ("bytes",),
    "  elementwise in groups": ("bytes_in_groups",),
    "peak bytes alive": ("peak_bytes",),
    "peak bytes in an arena": ("arena_bytes",),
    "peak bytes, compiled": ("compiled_bytes",),
    "bytes of arguments": ("argument_bytes",),
    "calls of kernels": ("calls",),
}
_LARGEST_MATRIX = 1024  # elements that a Hessian or Jacobian is counted for unless told


def _figure(counts: Any, path: Sequence[str]) -> Any:
    for key in path:
        counts = counts[key]
    return counts


class Cost:
    """What cost() counted: report["gradient"]["flops"]["total"], report.ratio("gradient").

    str() and notebooks show a table, with ratios to f; json() gives all of it.

    Examples
    --------
    >>> td.cost(lambda x: (x * x).sum(), td.ones(8)).ratio("gradient", "calls") > 0
    True
    """

    VERSION = 1

    def __init__(self, counts: dict[str, Any]) -> None:
        self.counts = counts

    def __getitem__(self, name: str) -> Any:
        return self.counts[name]

    def ratio(self, name: str, figure: str = "flops", to: str = "f") -> float:
        """A figure of one function as a multiple of that of another, inf where the other's is 0.

        figure: "flops", "bytes", "bytes_in_groups", "peak_bytes", "arena_bytes", "compiled_bytes",
        "argument_bytes", "calls".
        """
        path = ("flops", "total") if figure == "flops" else (figure,)
        return _ratio(_figure(self.counts[name], path), _figure(self.counts[to], path))

    def json(self) -> str:
        """A JSON object of `version`, `counts` by function, and `ratios` of each other function to f.

        A ratio to 0 is null.
        """
        ratios = {}
        for name in list(self.counts)[1:]:
            figures = ("flops", *(path[0] for path in _FIGURES.values() if path[0] != "flops"))
            known = {figure: self.ratio(name, figure) for figure in figures}
            ratios[name] = {figure: None if x == float("inf") else x for figure, x in known.items()}
        return json.dumps({"version": self.VERSION, "counts": self.counts, "ratios": ratios})

    def _rows(self) -> Iterator[tuple[str, ...]]:
        """The table as text: titles, and for each function a figure and its ratio to f."""
        yield "", *(cell for name in self.counts for cell in (name, "/ f" if name != "f" else ""))
        for title, path in _FIGURES.items():
            base = _figure(self.counts["f"], path)
            row = [title]
            for name, counts in self.counts.items():
                value = _figure(counts, path)
                row += [f"{value:,}", "" if name == "f" else f"{_ratio(value, base):.2f}"]
            yield tuple(row)

    def __str__(self) -> str:
        rows = list(self._rows())
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        lines = []
        for title, *cells in rows:
            aligned = (f"{cell:>{width}}" for cell, width in zip(cells, widths[1:], strict=True) if width)
            lines.append(f"{title:{widths[0]}}  {'  '.join(aligned)}".rstrip())
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        (_, *names), *rows = self._rows()
        head = "".join(f"<th>{name}</th>" for name in names)
        body = "".join(
            f'<tr><th style="text-align: left; white-space: pre">{title}</th>'
            + "".join(f"<td>{cell}</td>" for cell in cells)
            + "</tr>"
            for title, *cells in rows
        )
        return f"<table><tr><th></th>{head}</tr>{body}</table>"


def _ratio(value: float, base: float) -> float:
    return value / base if base else float("inf") if value else 1.0


def cost(
    function: Callable[..., Any], *args: Any, argnums: int | Sequence[int] = 0, matrix: bool | None = None
) -> Cost:
    """What `function` and its derivatives by argument `argnums` cost at arguments like `args`: a Cost.

    Of a scalar function "f", "gradient", "hvp" (forward over reverse) and "hessian" are counted, of another
    one "f", "jvp", "vjp" and "jacobian": operations by class (a multiply-add is two in their sum; a
    transcendental function is one, whatever it takes), the bytes that must be moved when each call of a
    kernel reads its inputs and writes its outputs once, the same where elementwise calls of one shape that
    make and use a value are one pass, and the memory beside the arguments: the most bytes that are alive at
    once when values go after their last use, the size of an arena in which all have fixed places, and what a
    call of the compiled function takes.

    Equal calls count once, and those whose results are not used not at all. Nothing is run: the function is
    recorded for the shapes of its tensors as td.program does it, so it must not read their values. What
    recording computes are tensors that are made without an argument (zeros, arange, random numbers from a
    known key) and calls on tensors from outside alone.

    scan and checkpoint are unrolled; of cond, whose way a value decides, the dearer branch counts, and of
    while_loop one round.

    matrix: whether the Hessian or Jacobian is counted, by default where the argument has at most 1024
    elements.

    Examples
    --------
    >>> report = td.cost(lambda x: (x * x).sum(), td.ones(8))
    >>> report["f"]["flops"]["total"]
    16
    """
    numbers = {range(len(args))[i] for i in ((argnums,) if isinstance(argnums, int) else argnums)}
    leaves, structure = flatten(args)
    owners = [i for i, arg in enumerate(args) for _ in flatten(arg)[0]]
    moving = [place for place, owner in enumerate(owners) if owner in numbers]
    fixed = [
        place
        for place, owner in enumerate(owners)
        if owner not in numbers and isinstance(leaves[place], Tensor)
    ]
    primals, _ = inputs_of([leaves[place] for place in moving], "cost", "the differentiated argument")

    def flat(tensors: list[Tensor]) -> list[Tensor]:
        filled = list(leaves)
        for place, tensor in zip(moving + fixed, tensors, strict=True):
            filled[place] = tensor
        return outputs_from(function(*unflatten(structure, filled)), "cost")[0]

    if matrix is None:
        matrix = sum(tensor.size for tensor in primals) <= _LARGEST_MATRIX
    return Cost(_core.cost(flat, primals, [leaves[place] for place in fixed], matrix))
