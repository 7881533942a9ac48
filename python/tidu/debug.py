"""Looking at values inside of recorded code, where they are not known yet."""

import builtins

from tidu import _core
from tidu._callback import _Call

__all__ = ["callback", "print"]


def callback(function, *args, **kwargs):
    """Calls function(*args, **kwargs) for what it does: now or, inside of recorded code, whenever that runs.

    Calls are kept in their order, also where nothing uses their arguments. Under vmap the function is called
    for one example after the other, under derivatives with the values of the function, not of the derivative.
    """
    call = _Call(function, args, kwargs)

    def run(tensors):
        call(tensors)
        return []

    _core.debug_callback(run, call.tensors)


def print(text, *args, **kwargs):
    """Prints text.format(*args, **kwargs), as `callback` calls.

    td.vmap(lambda x: td.debug.print("x is {:.3f}, its square {y}", x, y=x * x))(xs)
    """
    callback(lambda *args, **kwargs: builtins.print(text.format(*args, **kwargs)), *args, **kwargs)
