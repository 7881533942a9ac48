"""The stream of keys for layers that are made without one."""

from __future__ import annotations

import itertools

from tidu._core import Tensor

from .. import random
from .._core import TraceError, is_compiling

_seed = 0
_count = itertools.count()


def manual_seed(seed: int) -> None:
    """Starts the stream of keys anew: the layers made from here on are the same for the same seed.

    Examples
    --------
    >>> td.nn.manual_seed(0)
    """
    global _seed, _count
    random.key(seed)  # an unfit seed is an error here, not at the next layer
    _seed, _count = seed, itertools.count()


def next_key() -> Tensor:
    """The next key of the stream, which begins with seed 0 when the program starts.

    Examples
    --------
    >>> td.nn.next_key().shape
    (2,)
    """
    if is_compiling():
        raise TraceError(
            "[next_key] the key would be the same at each call of a compiled function (make layers outside, "
            "or pass a key)"
        )
    return random.fold_in(random.key(_seed), next(_count))
