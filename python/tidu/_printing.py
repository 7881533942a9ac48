"""How tensors are printed."""

from __future__ import annotations

import operator
from typing import Any

options: dict[str, Any] = {}  # those of NumPy's that were set for tensors alone


def set_printoptions(
    *,
    precision: int | None = None,
    threshold: int | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    suppress: bool | None = None,
) -> None:
    """How tensors are printed from here on; what is None stays as it is, at first as NumPy prints its arrays.

    precision: digits behind the point. threshold: of more elements only the edges are printed, `edgeitems` at
    each. linewidth: characters of a line. suppress: with True no number is written with an exponent. A
    ValueError for a count below 0, a TypeError for what is none; the options are as before then.

    Examples
    --------
    >>> td.set_printoptions(precision=2)
    >>> td.tensor([td.pi])
    tensor([3.14], dtype=float32)
    >>> td.set_printoptions(precision=8)
    """
    given = {"precision": precision, "threshold": threshold, "edgeitems": edgeitems, "linewidth": linewidth}
    chosen = {name: operator.index(value) for name, value in given.items() if value is not None}
    for name, value in chosen.items():
        if value < 0:
            raise ValueError(f"[set_printoptions] {name} is {value}, but must be at least 0")
    if suppress is not None:
        chosen["suppress"] = bool(suppress)
    options.update(chosen)
