"""DataLoader: batches in an order that a key and the epoch decide, made ahead by a thread."""

import atexit
import dataclasses
import weakref

import tidu as td

from .._core import _training as training
from .._pytree import flatten, unflatten
from .datasets import TensorDataset


def collate(items):
    """Joins data set items into a batch: tensors, arrays and numbers are stacked; tuples, lists, dictionaries
    and dataclasses are joined part by part."""
    first = items[0]
    if isinstance(first, dict):
        return {key: collate([item[key] for item in items]) for key in first}
    if isinstance(first, tuple) and hasattr(first, "_fields"):
        return type(first)(*(collate(list(parts)) for parts in zip(*items, strict=True)))
    if isinstance(first, (tuple, list)):
        return type(first)(collate(list(parts)) for parts in zip(*items, strict=True))
    if dataclasses.is_dataclass(first):
        names = [field.name for field in dataclasses.fields(first)]
        return type(first)(**{name: collate([getattr(item, name) for item in items]) for name in names})
    return td.stack([td.asarray(item) for item in items])


# A loader's thread may be inside Python when the interpreter ends, which it would not survive.
_live = weakref.WeakSet()


@atexit.register
def _stop_threads():
    for loader in list(_live):
        loader._native.stop()


class DataLoader:
    """Each iteration over it is one epoch, whose batches are made ahead by a thread.

    dataset: a TensorDataset, whose batches are tuples of tensors gathered without Python; or any sequence
        with `len` and integer indices, whose items `collate`, a function of a list of items, joins to a
        batch of tensors in tuples, lists, dictionaries or dataclasses.
    shuffle: a new order each epoch, which `key` (by default that of seed 0) and the epoch's number decide.
    drop_last: leaves out a last batch that is not full.
    prefetch: how many batches are made ahead; with 0 there is no thread.

    `state_dict` holds the exact position, also in the middle of an epoch: the iteration after
    `load_state_dict` goes on with the batch that would have come next. Otherwise an iteration begins a new
    epoch, also where the one before was left early.
    """

    def __init__(
        self, dataset, batch_size=1, shuffle=False, key=None, drop_last=False, prefetch=2, collate=collate
    ):
        self.dataset = dataset
        self.key = td.random.key(0) if key is None else key
        self._options = (batch_size, shuffle, drop_last, prefetch)
        self._collate = collate
        # What a subclass does to the items must not be passed by.
        self._plain = getattr(type(dataset), "__getitem__", None) is TensorDataset.__getitem__
        self._restored = False
        self._start()

    def _start(self):
        if self._plain:
            self._native = training.DataLoader(self.dataset._native, self.key, *self._options)
            return
        # The thread must not hold the loader, whose end stops it.
        dataset, collate, structure = self.dataset, self._collate, [None]

        def gather(indices):
            leaves, structure[0] = flatten(collate([dataset[i] for i in indices.tolist()]))
            return leaves

        self._structure = structure
        self._native = training.DataLoader(len(dataset), gather, self.key, *self._options)
        _live.add(self)

    def __len__(self):
        """The number of batches of an epoch."""
        return len(self._native)

    @property
    def epoch(self):
        """The number of the current epoch, from 0; it goes up when an iteration ends."""
        return self._native.position[0]

    @property
    def batch(self):
        """How many batches of the current epoch were given out."""
        return self._native.position[1]

    def __iter__(self):
        native = self._native
        epoch, batch = native.position
        if batch and not self._restored:
            native.seek(epoch + 1, 0)
        self._restored = False
        while (leaves := native.next()) is not None:
            yield tuple(leaves) if self._plain else unflatten(self._structure[0], leaves)

    def state_dict(self):
        """Key and position."""
        return {"key": self.key, "epoch": self.epoch, "batch": self.batch}

    def load_state_dict(self, state):
        """Takes over what `state_dict` gave."""
        self._native.seek(state["epoch"], state["batch"])  # also says whether there is such a position
        self.key = state["key"]
        self._start()
        self._native.seek(state["epoch"], state["batch"])
        self._restored = True
