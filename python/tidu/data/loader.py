"""DataLoader: batches in an order that a key and the epoch decide, made ahead by a thread."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tidu as td
from tidu._core import Tensor
from tidu._pytree import Node

from .._core import _training as training
from .._pytree import flatten, unflatten
from .datasets import Subset, TensorDataset
from .workers import Ahead, Workers


def collate(items: Sequence[Any]) -> Any:
    """Joins data set items into a batch: tensors, arrays and numbers are stacked; tuples, lists, dictionaries
    and dataclasses are joined part by part.

    Examples
    --------
    >>> td.data.collate([(1.0, 2), (3.0, 4)])
    (tensor([1., 3.], dtype=float32), tensor([2, 4], dtype=int64))
    """
    first = items[0]
    if isinstance(first, dict):
        return {key: collate([item[key] for item in items]) for key in first}
    if isinstance(first, tuple) and hasattr(first, "_fields"):
        return type(first)(*(collate(list(parts)) for parts in zip(*items, strict=True)))
    if isinstance(first, (tuple, list)):
        return type(first)(collate(list(parts)) for parts in zip(*items, strict=True))
    if dataclasses.is_dataclass(first):
        names = [field.name for field in dataclasses.fields(first)]
        kind: Any = type(first)
        return kind(**{name: collate([getattr(item, name) for item in items]) for name in names})
    return td.stack([td.asarray(item) for item in items])


@dataclasses.dataclass
class _Position:
    """How many batches of an epoch were given out, and whether a pass that began there gave any."""

    epoch: int = 0
    batch: int = 0
    begun: bool = False


class _Pass:
    """One iteration over a loader: the batches from a position to the end of its epoch."""

    def __init__(self, native: Any, rebuild: Callable[[Any], Any], position: _Position) -> None:
        native.seek(position.epoch, position.batch)
        self._native, self._rebuild, self._position = native, rebuild, position

    def __iter__(self) -> _Pass:
        return self

    def __next__(self) -> Any:
        leaves = self._native.next() if self._native else None
        at = self._position
        if leaves is None:
            if self._native:
                self._native, at.epoch, at.batch, at.begun = None, at.epoch + 1, 0, False
            raise StopIteration
        at.batch, at.begun = at.batch + 1, True
        return self._rebuild(leaves)


class DataLoader:
    """Each iteration over it is one epoch, whose batches are made ahead by a thread.

    dataset: a TensorDataset, whose batches are tuples of tensors gathered without Python; or any sequence
        with `len` and integer indices, whose items `collate`, a function of a list of items, joins to a
        batch of tensors in tuples, lists, dictionaries or dataclasses.
    shuffle: a new order each epoch, which `key` (by default that of seed 0) and the epoch's number decide.
    drop_last: leaves out a last batch that is not full.
    prefetch: how many batches are made ahead; with 0 there is no thread.
    num_workers: how many processes make batches, `prefetch` ahead each, for data sets whose items Python
        computes; the batches and their order are the same for any number. They are forked, so data sets are
        not copied, but cannot use device cuda, and give what can be pickled. worker_init_fn(number) is
        called in each when it begins. With persistent_workers they stay from epoch to epoch, and go with the
        loader; what the data set keeps then stays as it was. What a worker raises is a RuntimeError with its
        traceback, and so is its death.

    Iterations do not disturb each other: one begins the epoch after that of the iteration begun before it,
    also where that was left early, and the same epoch where that has given no batch yet, as in
    zip(loader, loader).

    `state_dict` holds the exact position of the iteration begun last, also in the middle of an epoch: the one
    begun after `load_state_dict` goes on with the batch that would have come next.

    Examples
    --------
    >>> data = td.data.TensorDataset(td.arange(4))
    >>> [batch.tolist() for (batch,) in td.data.DataLoader(data, 2)]
    [[0, 1], [2, 3]]
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int = 1,
        shuffle: bool = False,
        key: Tensor | None = None,
        drop_last: bool = False,
        prefetch: int = 2,
        collate: Callable[[list[Any]], Any] = collate,
        num_workers: int = 0,
        worker_init_fn: Callable[[int], object] | None = None,
        persistent_workers: bool = False,
    ) -> None:
        if num_workers < 0:
            raise ValueError(f"[DataLoader] num_workers is {num_workers}, but must not be negative")
        self.dataset = dataset
        self.key = td.random.key(0) if key is None else key
        self._options = (batch_size, shuffle, drop_last, prefetch)
        self._collate = collate
        self._num_workers, self._worker_init = num_workers, worker_init_fn
        self._keeps_workers = persistent_workers
        self._workers: Workers | None = None
        self._position = _Position()
        self._check(self._position)  # unfit options are an error here

    def _check(self, position: _Position) -> None:
        native, rebuild = _source(self.dataset, self._collate, self.key, self._options)
        _Pass(native, rebuild, position)

    def _begin(self, position: _Position) -> _Pass:
        if self._num_workers == 0:
            native, rebuild = _source(self.dataset, self._collate, self.key, self._options)
            return _Pass(native, rebuild, position)
        workers = self._workers
        if workers is None or not workers.is_free():
            workers = Workers(self._num_workers, self.dataset, self._collate, self._worker_init)
        if self._keeps_workers:
            self._workers = workers
        batch_size, shuffle, drop_last, ahead = self._options
        indices = training.DataLoader(
            len(self.dataset), lambda indices: [indices], self.key, batch_size, shuffle, drop_last, 0
        )
        batches = Ahead(indices, workers, max(ahead, 1), self._keeps_workers)
        return _Pass(batches, lambda batch: batch, position)

    def __len__(self) -> int:
        """The number of batches of an epoch."""
        batch_size, _, drop_last, _ = self._options
        return (len(self.dataset) + (0 if drop_last else batch_size - 1)) // batch_size

    @property
    def epoch(self) -> int:
        """The number of the current epoch, from 0; it goes up when an iteration ends."""
        return self._position.epoch

    @property
    def batch(self) -> int:
        """How many batches of the current epoch were given out."""
        return self._position.batch

    def __iter__(self) -> _Pass:
        last = self._position
        self._position = _Position(last.epoch + 1) if last.begun else _Position(last.epoch, last.batch)
        return self._begin(self._position)

    def state_dict(self) -> dict[str, Any]:
        """Key and position."""
        return {"key": self.key, "epoch": self.epoch, "batch": self.batch}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes over what `state_dict` gave."""
        position = _Position(state["epoch"], state["batch"])
        self._check(position)  # says whether there is such a position
        self.key, self._position = state["key"], position


def _source(
    dataset: Any, collate: Callable[[list[Any]], Any], key: Tensor, options: tuple[Any, ...]
) -> tuple[Any, Callable[[Any], Any]]:
    """The native loader of a data set, and what makes a batch of a list of tensors that it gives."""
    if _has_items_of(dataset, TensorDataset):
        return training.DataLoader(training.TensorDataset(list(dataset.tensors)), key, *options), tuple
    if inner := _gather_of(dataset):
        return training.DataLoader(len(dataset), inner, key, *options), tuple
    structures: collections.deque[Node] = collections.deque()

    def gather(indices: Tensor) -> list[Tensor]:
        leaves, structure = flatten(collate([dataset[i] for i in indices.tolist()]))
        leaves = [td.asarray(leaf) for leaf in leaves]
        structures.append(structure)
        return leaves

    native = training.DataLoader(len(dataset), gather, key, *options)
    return native, lambda leaves: unflatten(structures.popleft(), leaves)


def _has_items_of(dataset: Any, class_: type[TensorDataset | Subset]) -> bool:
    # What a subclass does to the items must not be passed by.
    return getattr(type(dataset), "__getitem__", None) is class_.__getitem__


def _gather_of(dataset: Any) -> Callable[[Tensor], list[Tensor]] | None:
    """What gathers the items of a TensorDataset, or of Subsets of one, at a tensor of indices."""
    if _has_items_of(dataset, TensorDataset):
        return lambda indices: [td.take(x, indices.to(x.device)) for x in dataset.tensors]
    inner = _gather_of(dataset.dataset) if _has_items_of(dataset, Subset) else None
    if inner is None:
        return None
    size, chosen = len(dataset.dataset), td.tensor(dataset.indices, dtype=td.int64, device="cpu")
    return lambda indices: inner(td.take(td.where(chosen < 0, chosen + size, chosen), indices.to("cpu")))
