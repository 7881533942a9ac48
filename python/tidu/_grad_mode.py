"""Switching differentiation off and on: no_grad, enable_grad."""

import functools

from tidu import _core


class _GradMode:
    _enabled = False

    def __init__(self, function=None):
        self._scopes = []
        self._function = function
        if function is not None:
            functools.update_wrapper(self, function)

    def __enter__(self):
        self._scopes.append(_core.GradScope(self._enabled))
        return self

    def __exit__(self, *exception):
        if not self._scopes.pop().leave():
            raise RuntimeError(
                f"[{type(self).__name__}] scopes must be left in the reverse order of their beginning "
                "(a generator that was suspended inside one?)"
            )
        return False

    def __call__(self, *args, **kwargs):
        if self._function is None:
            return type(self)(*args)
        with type(self)():
            return self._function(*args, **kwargs)

    def __get__(self, instance, owner=None):
        return self if instance is None else functools.partial(self, instance)


class no_grad(_GradMode):
    """A scope (with no_grad():) or decorator in which operations are not recorded for derivatives.

    It holds for the transforms that are live around it, not for those begun inside.
    """


class enable_grad(_GradMode):
    """A scope or decorator inside no_grad in which operations are recorded again."""

    _enabled = True
