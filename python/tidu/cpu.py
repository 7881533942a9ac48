"""Device cpu: its memory and threads."""

from tidu._core import (
    empty_cache,
    get_num_threads,
    memory_stats,
    reset_peak_memory,
    set_memory_limit,
    set_num_threads,
)

__all__ = [
    "empty_cache",
    "get_num_threads",
    "memory_stats",
    "reset_peak_memory",
    "set_memory_limit",
    "set_num_threads",
]
