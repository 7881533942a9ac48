"""profile: what ran, and how long it took."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from tidu import _core
from tidu.typing import PathLike


class profile:
    """A scope in which every kernel that runs, on any thread, is noted with its time and memory.

        with td.profile() as p:
            train_step(x, y)
        print(p)                  # a table, the longest first
        p.save("trace.json")      # for chrome://tracing or ui.perfetto.dev

    Calls on device cuda are waited for one by one, so that each has its own time: the whole takes longer than
    without. `calls` has a dictionary for each: name, operands, source (the line that made it), device, begin
    and duration in nanoseconds, bytes (read and written), operations (on numbers), live_bytes (in use on the
    device when it was over), allocations (of memory of the device while it ran, which no plan knows of),
    thread. Steps of compiled functions are noted with what they stand for.

    Examples
    --------
    >>> with td.profile() as p:
    ...     y = td.ones(3) + 1
    >>> len(p.calls) > 0
    True
    """

    def __init__(self) -> None:
        self._session: _core.ProfileSession | None = None
        self.calls: list[dict[str, Any]] = []

    def __enter__(self) -> profile:
        self._session = _core.ProfileSession()
        self._session.begin()
        return self

    def __exit__(self, *error: object) -> None:
        assert self._session is not None
        self.calls = self._session.end()
        self._session = None

    def table(self, by: str = "name", limit: int = 20) -> str:
        """The calls summed by "name", "operands" (name and operands) or "source", as text, the longest
        first."""
        keys: dict[str, Callable[[dict[str, Any]], str]] = {
            "name": lambda call: call["name"],
            "operands": lambda call: f"{call['name']} {call['operands']}",
            "source": lambda call: f"{call['source'] or '?'} {call['name']}",
        }
        if by not in keys:
            raise ValueError(f"[profile] by is {by!r}, but must be one of {', '.join(map(repr, keys))}")
        sums: dict[str, list[float]] = {}
        for call in self.calls:
            row = sums.setdefault(keys[by](call), [0, 0, 0, 0])
            for i, value in enumerate((1, call["duration"], call["bytes"], call["operations"])):
                row[i] += value
        total = sum(row[1] for row in sums.values()) or 1
        ordered = sorted(sums.items(), key=lambda item: -item[1][1])
        width = max([len(by), *(min(len(key), 60) for key, _ in ordered[:limit])])
        lines = [f"{by:{width}}   calls       us      %    GB/s  Gop/s"]
        for key, (count, time, size, operations) in ordered[:limit]:
            rates = (size / time, operations / time) if time else (0.0, 0.0)
            share = 100 * time / total
            lines.append(
                f"{key[:60]:{width}} {count:7} {time / 1e3:8.1f} {share:6.1f} {rates[0]:7.2f} {rates[1]:6.1f}"
            )
        if len(ordered) > limit:
            lines.append(f"and {len(ordered) - limit} more")
        peak = max((call["live_bytes"] for call in self.calls), default=0)
        lines.append(
            f"{len(self.calls)} calls, {total / 1e3:.1f} us in kernels, at most {peak / 1e6:.2f} MB in use"
        )
        return "\n".join(lines)

    __str__ = table

    def save(self, path: PathLike) -> None:
        """Writes the calls as a Chrome trace."""
        threads: dict[Any, int] = {}
        events = []
        for call in self.calls:
            arguments = {
                key: call[key] for key in ("operands", "source", "bytes", "operations", "live_bytes")
            }
            place = {"pid": str(call["device"]), "tid": threads.setdefault(call["thread"], len(threads))}
            events.append(
                {
                    "name": call["name"],
                    "ph": "X",
                    "ts": call["begin"] / 1e3,
                    "dur": call["duration"] / 1e3,
                    "args": arguments,
                    **place,
                }
            )
            end = (call["begin"] + call["duration"]) / 1e3
            memory = {"bytes": call["live_bytes"]}
            events.append({"name": "memory", "ph": "C", "ts": end, "pid": place["pid"], "args": memory})
        with open(path, "w", encoding="utf-8") as file:
            json.dump({"traceEvents": events, "displayTimeUnit": "ns"}, file)
