"""The stream of keys for layers that are made without one."""

import itertools

from .. import random
from .._core import TraceError, is_compiling

_seed = 0
_count = itertools.count()


def manual_seed(seed):
    """Starts the stream of keys anew: the layers made from here on are the same for the same seed."""
    global _seed, _count
    random.key(seed)  # an unfit seed is an error here, not at the next layer
    _seed, _count = seed, itertools.count()


def next_key():
    """The next key of the stream, which begins with seed 0 when the program starts."""
    if is_compiling():
        raise TraceError(
            "[next_key] the key would be the same at each call of a compiled function (make layers outside, "
            "or pass a key)"
        )
    return random.fold_in(random.key(_seed), next(_count))
