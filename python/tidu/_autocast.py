"""Mixed precision: autocast."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, Literal, ParamSpec, TypeVar

from tidu import _core
from tidu.typing import DTypeLike

P = ParamSpec("P")
R = TypeVar("R")

_DEVICES: dict[str | None, int] = {"cpu": 0, "cuda": 1}


class autocast:
    """A scope (with autocast():) or decorator in which products take their operands in 16 bits, and what sums
    or exponentiates gives float32, while parameters and their gradients keep their dtypes.

    In `dtype`, bfloat16 or float16: matmul (@), linear and what is made of them, of operands in float32 or 16
    bits. In float32, of 16-bit inputs: softmax, log_softmax, sum, prod, mean, var, std, sum_of_squares,
    layer_norm, rms_norm and losses. Other operations have the dtypes of their inputs; float64 stays as it is.

    device: "cpu" or "cuda", where only tensors there are concerned. Scopes nest, also with enabled=False. A
    scope belongs to its thread; derivatives have the dtypes of the calls that they are of, wherever they are
    computed. A compiled function is recorded for each mode.

    Examples
    --------
    >>> a = td.ones((2, 2))
    >>> with td.autocast(td.bfloat16):
    ...     print((a @ a).dtype, td.softmax(a @ a).dtype)
    bfloat16 float32
    """

    def __init__(
        self, dtype: DTypeLike = _core.bfloat16, *, device: str | None = None, enabled: bool = True
    ) -> None:
        if device is not None and device not in _DEVICES:
            raise ValueError(f"[autocast] device is {device!r}, but must be 'cpu' or 'cuda'")
        dtype = _core.dtype(dtype)
        if dtype not in (_core.bfloat16, _core.float16):
            raise _core.DTypeError(f"[autocast] products are computed in bfloat16 or float16, not {dtype}")
        self._mode = (bool(enabled), dtype, _DEVICES.get(device))
        self._before: list[tuple[bool, _core.dtype, Any]] = []

    def __enter__(self) -> autocast:
        self._before.append(_core.autocasting())
        _core.set_autocasting(*self._mode)
        return self

    def __exit__(self, *exception: object) -> Literal[False]:
        _core.set_autocasting(*self._before.pop())
        return False

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        if (
            inspect.isgeneratorfunction(function)
            or inspect.iscoroutinefunction(function)
            or inspect.isasyncgenfunction(function)
        ):
            raise TypeError(f"[autocast] {function.__name__} runs in parts (use the scope inside of it)")
        enabled, dtype, number = self._mode
        device = next((name for name, of in _DEVICES.items() if of == number), None)

        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            with autocast(dtype, device=device, enabled=enabled):
                return function(*args, **kwargs)

        return call
