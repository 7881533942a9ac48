"""Switching differentiation off and on: no_grad, enable_grad."""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import AsyncGenerator, Callable, Generator
from typing import TYPE_CHECKING, Any, Generic, Literal, ParamSpec, TypeVar, overload

from tidu import _core

P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R")
S = TypeVar("S")


def _steps(mode: type[_GradMode[..., Any]], inner: Any) -> Generator[Any, Any, Any]:
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


def _decorated(mode: type[_GradMode[..., Any]], function: Any) -> Any:
    """A function of the kind of `function` that does the same in the mode."""
    if isinstance(function, (staticmethod, classmethod)):
        return type(function)(_decorated(mode, function.__func__))
    if isinstance(function, type) or not callable(function):
        raise TypeError(f"[{mode.__name__}] decorates functions and methods, not {type(function).__name__}")

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        with mode():
            return function(*args, **kwargs)

    def generator(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        return (yield from _steps(mode, function(*args, **kwargs)))

    async def coroutine(*args: Any, **kwargs: Any) -> Any:
        return await _awaitable_steps(mode, function(*args, **kwargs))

    async def asynchronous_generator(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        inner = function(*args, **kwargs)
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

    if inspect.isgeneratorfunction(function):
        return functools.update_wrapper(generator, function)
    if inspect.iscoroutinefunction(function):
        return functools.update_wrapper(coroutine, function)
    if inspect.isasyncgenfunction(function):
        return functools.update_wrapper(asynchronous_generator, function)
    return functools.update_wrapper(wrapper, function)


class _GradMode(Generic[P, R]):
    _enabled = False

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        given = (*args, *kwargs.values())
        if len(given) == 1 and given[0] is not None and kwargs.keys() <= {"function"}:
            return _decorated(cls, given[0])
        return super().__new__(cls)

    @overload
    def __init__(self: _GradMode[..., Any], function: None = None) -> None: ...
    @overload
    def __init__(self, function: Callable[P, R]) -> None: ...
    def __init__(self, function: Any = None) -> None:
        self._scopes: list[_core.GradScope] = []

    if TYPE_CHECKING:  # to which a decorated function is an object of the class

        def __get__(self, instance: object, owner: object | None = None) -> Any: ...

    def __enter__(self) -> _GradMode[P, R]:
        scope = _core.GradScope()
        scope.begin(self._enabled)
        self._scopes.append(scope)
        return self

    def __exit__(self, *exception: object) -> Literal[False]:
        if not self._scopes.pop().leave():
            raise RuntimeError(
                f"[{type(self).__name__}] scopes must be left in the reverse order of their beginning "
                "(a generator or coroutine that was suspended inside one? decorate it instead)"
            )
        return False

    @overload
    def __call__(self: _GradMode[..., Any], function: Callable[Q, S], /) -> Callable[Q, S]: ...
    @overload
    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R: ...
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return _decorated(type(self), *args, **kwargs)


class no_grad(_GradMode[P, R]):
    """A scope (with no_grad():) or decorator in which operations are not recorded for derivatives.

    A decorated generator or coroutine is outside of the scope while it is suspended.

    It holds for the transforms that are live around it, not for those begun inside.

    Examples
    --------
    >>> x = td.tensor([1.0], requires_grad=True)
    >>> with td.no_grad():
    ...     print((2 * x).requires_grad)
    False
    """


class enable_grad(_GradMode[P, R]):
    """A scope or decorator inside no_grad in which operations are recorded again.

    Examples
    --------
    >>> with td.no_grad():
    ...     with td.enable_grad():
    ...         print(td.is_grad_enabled())
    True
    """

    _enabled = True
