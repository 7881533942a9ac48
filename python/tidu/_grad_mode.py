"""Switching differentiation off and on: no_grad, enable_grad."""

import functools
import inspect
import types

from tidu import _core


def _steps(mode, inner):
    """Runs a generator or coroutine, each step in a scope that is left where it is suspended."""
    resume = functools.partial(inner.send, None)
    while True:
        try:
            with mode():
                value = resume()
        except StopIteration as end:
            return end.value
        try:
            resume = functools.partial(inner.send, (yield value))
        except GeneratorExit:
            with mode():
                inner.close()
            raise
        except BaseException as error:
            resume = functools.partial(inner.throw, error)


_awaitable_steps = types.coroutine(_steps)


async def _coroutine(mode, inner):
    return await _awaitable_steps(mode, inner)


async def _asynchronous_steps(mode, inner):
    resume = functools.partial(inner.asend, None)
    while True:
        try:
            value = await _awaitable_steps(mode, resume())
        except StopAsyncIteration:
            return
        try:
            resume = functools.partial(inner.asend, (yield value))
        except GeneratorExit:
            await _awaitable_steps(mode, inner.aclose())
            raise
        except BaseException as error:
            resume = functools.partial(inner.athrow, error)


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
        mode, function = type(self), self._function
        if function is None:
            return mode(*args)
        with mode():
            result = function(*args, **kwargs)
        if inspect.isgeneratorfunction(function):
            return _steps(mode, result)
        if inspect.iscoroutinefunction(function):
            return _coroutine(mode, result)
        if inspect.isasyncgenfunction(function):
            return _asynchronous_steps(mode, result)
        return result

    def __get__(self, instance, owner=None):
        return self if instance is None else functools.partial(self, instance)


class no_grad(_GradMode):
    """A scope (with no_grad():) or decorator in which operations are not recorded for derivatives.

    A decorated generator or coroutine is outside of the scope while it is suspended.

    It holds for the transforms that are live around it, not for those begun inside.
    """


class enable_grad(_GradMode):
    """A scope or decorator inside no_grad in which operations are recorded again."""

    _enabled = True
