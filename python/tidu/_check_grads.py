"""Checking derivatives against differences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tidu import _core
from tidu._core import Tensor
from tidu._pytree import unflatten
from tidu._transforms import inputs_of, name_of, outputs_from


def check_grads(
    function: Callable[..., Any],
    args: Sequence[Any],
    order: int = 2,
    modes: str | Sequence[str] = ("fwd", "rev"),
    atol: float | None = None,
    rtol: float | None = None,
    eps: float | None = None,
    seed: int = 0,
) -> None:
    """Checks the derivatives of a function against differences, in random directions.

    args: a tuple of pytrees. With order > 1 the derivatives' own derivatives are checked too, in every mix
    of the modes ("fwd": jvp, "rev": vjp). Use float64: differences in float32 are good for two digits. eps is
    the step, by default 1e-4, or 1e-2 where an argument is not float64; numbers above 1024 move by steps
    between eps and eps in proportion to their size, and each result is compared with the longest that agrees
    with shorter ones. rtol is by default 1e-6, or 2e-2; so is atol, but no more than 8 times how far the
    differences of two lengths are apart, so that elements of any size are compared; and how the results are
    rounded adds to them.
    Where they differ, an AssertionError says which derivative, and of its worst element (the one furthest
    beyond its tolerance) the index, both values and how many ulps lie between them.

    Examples
    --------
    >>> td.check_grads(lambda x: td.sin(x), (td.tensor([1.0], dtype=td.float64),))
    """
    if not isinstance(args, tuple | list):
        raise TypeError(f"[check_grads] args must be a tuple, not {type(args).__name__}")
    modes = (modes,) if isinstance(modes, str) else tuple(modes)
    for mode in modes:
        if mode not in ("fwd", "rev"):
            raise ValueError(f"[check_grads] modes are 'fwd' and 'rev', not {mode!r}")
    inputs, structure = inputs_of(tuple(args), "check_grads", "args")

    def flat(tensors: list[Tensor]) -> list[Tensor]:
        return outputs_from(function(*unflatten(structure, tensors)), "check_grads")[0]

    forward, reverse = "fwd" in modes, "rev" in modes
    fault = _core.check_grads(flat, inputs, order, forward, reverse, atol, rtol, eps, seed, name_of(function))
    if fault:
        raise AssertionError(f"[check_grads] {fault}")
