"""Modules that are loaded when something of them is first used."""

import importlib.util
import sys
import threading
from types import ModuleType
from typing import Any

# Whoever loads holds it; one for all, since they import each other.
_lock = threading.RLock()
_loading: set[str] = set()
# What a module has from the start. The import system asks for it with locks of its own.
_GIVEN = frozenset(("__file__", "__loader__", "__name__", "__package__", "__path__", "__spec__"))


class _Waiting(ModuleType):
    """A module before it is loaded: as importlib.util.LazyLoader's, but that one, before Python 3.12.2, loads
    twice where two threads ask at once."""

    def __getattribute__(self, name: str) -> Any:
        get = super().__getattribute__
        if name in _GIVEN:
            return get(name)
        with _lock:
            spec = get("__spec__")
            if type(self) is _Waiting and spec.name not in _loading:
                _loading.add(spec.name)
                try:
                    spec.loader.exec_module(self)
                    self.__class__ = ModuleType  # type: ignore[assignment]
                finally:
                    _loading.remove(spec.name)
            return get(name)


def at_first_use(name: str) -> ModuleType:
    """The module of that full name, which `import` gives from now on, too."""
    if name not in sys.modules:
        spec = importlib.util.find_spec(name)
        assert spec is not None, name
        sys.modules[name] = importlib.util.module_from_spec(spec)
        sys.modules[name].__class__ = _Waiting
    return sys.modules[name]
