"""Ordinary differential equations: odeint."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from tidu import _core
from tidu._core import Tensor
from tidu._implicit import Unknowns
from tidu._transforms import name_of
from tidu.typing import TensorLike

T = TypeVar("T")

_MODES = {"checkpoint": False, "adjoint": True}


def odeint(
    f: Callable[..., T],
    y0: T,
    ts: TensorLike,
    *params: Any,
    rtol: float | None = None,
    atol: float | None = None,
    method: str = "dopri5",
    mode: str = "checkpoint",
    max_steps: int = 1000,
) -> T:
    """y at the times ts, where y' = f(y, t, *params) and y is y0 at ts[0].

    y0 is a tree of floating-point tensors, and f returns trees like it; params may be any trees. t is of the
    dtype in which the leaves of y0 meet, and at least float32. ts is a
    vector of times in rising or falling order. The result is like y0 with the times along a new axis 0. By
    the pair of order 5(4) of Dormand and Prince, whose steps are as long as the error allowed in each,
    atol + rtol * abs(y), lets them be: by default 1.4e-8 in float64 and 1e-5 in float32. Values between the
    ends of steps come from a polynomial of degree 4. At most max_steps steps are tried. A ValueError where
    they do not suffice, where a step would have to be too small (y or f is not finite there, or the equation
    is stiff), and where ts is not sorted.

    Differentiated in every mode by y0, ts, params and what f closes over, as the steps that were made, whose
    lengths count as constants. mode says what reverse mode does: "checkpoint" keeps y at each step and
    computes the stages again, and gives the exact derivative of these steps; "adjoint" keeps the results
    alone, and solves the adjoint equation backward to the same tolerances, in shorter parts where it is
    unstable backward; a GradientError where that does not help, and NaN where values are not known.

    f is recorded, and may not look at values. Under vmap, lanes with the same ts make the same steps. In
    programs and under vmap, reverse mode and values between times have memory for max_steps steps.

        decay = lambda y, t, rate: -rate * y
        td.odeint(decay, td.tensor(1.0), td.tensor([0.0, 1.0, 2.0]), td.tensor(1.0))  # 1, 0.3679, 0.1353

    Examples
    --------
    >>> td.odeint(lambda y, t: -y, td.tensor(1.0), td.tensor([0.0, 1.0])).shape
    (2,)
    """
    if method != "dopri5":
        raise ValueError(f"[odeint] the method is 'dopri5', not {method!r}")
    if mode not in _MODES:
        raise ValueError(f"[odeint] modes are 'checkpoint' and 'adjoint', not {mode!r}")
    unknowns = Unknowns("odeint", y0, "y0")
    what = f"the result of {name_of(f)}"

    def slope(tensors: list[Tensor], t: Tensor) -> list[Tensor]:
        return unknowns.flat(f(unknowns.tree(tensors), t, *params), what)

    times = ts if isinstance(ts, Tensor) else _core.asarray(ts, dtype=_core.float64)
    ys = _core.odeint(slope, unknowns.tensors, times, rtol, atol, max_steps, _MODES[mode])
    found: T = unknowns.tree(ys)
    return found
