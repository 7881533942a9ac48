"""The stream of keys for layers that are made without one."""

import itertools

from .. import random

_seed = 0
_count = itertools.count()


def manual_seed(seed):
    """Starts the stream of keys anew: the layers made from here on are the same for the same seed."""
    global _seed, _count
    random.key(seed)  # an unfit seed is an error here, not at the next layer
    _seed, _count = seed, itertools.count()


def next_key():
    """The next key of the stream, which begins with seed 0 when the program starts."""
    return random.fold_in(random.key(_seed), next(_count))
