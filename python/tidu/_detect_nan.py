"""detect_nan: where NaN and infinities come from."""

from __future__ import annotations

from typing import Any

from tidu import _core


class detect_nan:
    """A scope in which the first operation that makes a NaN or an infinity is an error that says which.

        with td.detect_nan():
            loss = td.log(x).sum()     # NonFiniteError: net.py:2: log made inf of finite values: ..

    The NonFiniteError names the operation, the line of your code that called it, and the shapes and values
    of what went in and came out. A NaN is made where no input has one, an infinity where all inputs are
    finite; what passes on those of its inputs is no error. Derivatives are looked at as well, those of
    `backward` and `grad` as those of `jvp`: "the derivative of sqrt", with the line of the call that is
    differentiated if that was made inside of the scope. Tensors made of no tensors, such as
    full(shape, inf), are what you asked for.

    infinities: with False only NaN counts.
    stop: with False nothing is raised.
    found: after the scope a dictionary for each call that gave some, in order: operation, source, gave
    ("NaN", "inf" or "NaN and inf"), made (False for those that passed them on), inputs and outputs as text.

    Only calls of this thread are looked at, one by one: compiled functions run as they are written, and all
    is slower. Without a scope nothing is looked at.

    Examples
    --------
    >>> with td.detect_nan(stop=False) as seen:
    ...     y = td.sqrt(td.tensor([-1.0, 4.0])) + 1
    >>> [(call["operation"], call["made"]) for call in seen.found]
    [('sqrt', True), ('add', False)]
    """

    def __init__(self, *, infinities: bool = True, stop: bool = True) -> None:
        self._options = infinities, stop
        self._session: _core.DetectNan | None = None
        self.found: list[dict[str, Any]] = []

    def __enter__(self) -> detect_nan:
        self._session = _core.DetectNan()
        self._session.begin(*self._options)
        return self

    def __exit__(self, *error: object) -> None:
        assert self._session is not None
        self.found = self._session.end()
        self._session = None
