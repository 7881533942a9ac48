"""Looking at values inside of recorded code, where they are not known yet."""

from __future__ import annotations

import builtins
from collections.abc import Callable
from typing import Any

from tidu import _core
from tidu._callback import _Call
from tidu._core import Tensor
from tidu._documents import complete as _complete

__all__ = ["callback", "print"]


def callback(function: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
    """Calls function(*args, **kwargs) for what it does: now or, inside of recorded code, whenever that runs.

    Calls are kept in their order, also where nothing uses their arguments. Under vmap the function is called
    for one example after the other, under derivatives with the values of the function, not of the derivative.

    Examples
    --------
    >>> td.debug.callback(lambda x: print(x.tolist()), td.tensor([1.0, 2.0]))
    [1.0, 2.0]
    """
    call = _Call(function, args, kwargs)

    def run(tensors: list[Tensor]) -> list[Tensor]:
        call(tensors)
        return []

    _core.debug_callback(run, call.tensors)


def print(text: str, *args: Any, **kwargs: Any) -> None:
    """Prints text.format(*args, **kwargs), as `callback` calls.

    td.vmap(lambda x: td.debug.print("x is {:.3f}, its square {y}", x, y=x * x))(xs)

    Examples
    --------
    >>> td.debug.print("x is {}", td.tensor(2.0).item())
    x is 2.0
    """
    callback(lambda *args, **kwargs: builtins.print(text.format(*args, **kwargs)), *args, **kwargs)


for _name in __all__:
    _complete(globals(), _name)
