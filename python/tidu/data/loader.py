"""DataLoader: batches in an order that a key and the epoch decide, made ahead by a thread or by processes."""

from __future__ import annotations

import collections
import dataclasses
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import tidu as td
from tidu._arguments import in_words

from .._core import _training as training
from .batches import EndOfItems, Source, collate, has_items_of, is_iterable, packed, unpacked
from .datasets import TensorDataset
from .samplers import RandomSampler, SequentialSampler, order_of
from .workers import Workers, WorkersAhead

_MOST_WORKERS = 1024
_ENDLESS = 2**40  # batches of a data set that does not say how many there are


@dataclasses.dataclass
class _Position:
    """How many batches of an epoch were given out, and whether a pass that began there gave any."""

    epoch: int = 0
    batch: int = 0
    begun: bool = False


def _whole(value: Any, name: str) -> int:
    try:
        return operator.index(value)
    except TypeError:
        raise TypeError(f"[DataLoader] {name} must be a whole number, not {value!r}") from None


def _checked_key(key: Any) -> td.Tensor:
    if not isinstance(key, td.Tensor):
        raise TypeError(f"[DataLoader] key must be one of td.random.key(seed), not {key!r}")
    td.random.split(key)  # an error where it is none
    return key


class _Pass:
    """One iteration over a loader: the batches from a position to the end of its epoch."""

    def __init__(self, native: Any, rebuild: Callable[[Any], Any], position: _Position) -> None:
        native.seek(position.epoch, position.batch)
        self._native, self._rebuild, self._position = native, rebuild, position

    def __iter__(self) -> _Pass:
        return self

    def __reduce__(self) -> str:
        raise TypeError("[DataLoader] an iteration cannot be copied or pickled (copy the loader)")

    def __next__(self) -> Any:
        at = self._position
        try:
            leaves = self._native.next() if self._native else None
        except EndOfItems:
            leaves = None
        if leaves is None:
            if self._native:
                self._native, at.epoch, at.batch, at.begun = None, at.epoch + 1, 0, False
            raise StopIteration
        at.batch, at.begun = at.batch + 1, True
        return self._rebuild(leaves)


class DataLoader:
    """Each iteration over it is one epoch, whose batches are made ahead by a thread.

    Iterations do not disturb each other: one begins the epoch after that of the iteration begun before it,
    also where that was left early, and the same epoch where that has given no batch yet, as in
    zip(loader, loader).

    `state_dict` holds the exact position of the iteration begun last, also in the middle of an epoch: the one
    begun after `load_state_dict` goes on with the batch that would have come next.

    Parameters
    ----------
    dataset : TensorDataset, sequence or iterable
        A TensorDataset, whose batches are tuples of tensors gathered without Python; any sequence with `len`
        and integer indices; or an IterableDataset, or what else has no indices but can be iterated over.
    batch_size : int
        How many items a batch has.
    shuffle : bool
        A new order each epoch, which `key` and the epoch's number decide.
    key : Tensor, optional
        By default that of seed 0.
    drop_last : bool
        Leaves out a last batch that is not full.
    prefetch : int
        How many batches are made ahead; with 0 there is no thread.
    collate_fn : callable
        Joins a list of items to a batch: tensors in tuples, lists, dictionaries or dataclasses.
    num_workers : int
        How many processes make batches, `prefetch` ahead each, for data sets whose items Python computes; the
        batches and their order are the same for any number, but for an iterable data set, of which each
        process iterates over a copy (see `get_worker_info`). They are forked, so data sets are not copied,
        but cannot use device cuda; tensors are handed over in shared memory. What a worker raises is a
        RuntimeError with its traceback, and so is its death.
    worker_init_fn : callable, optional
        Is called in each worker with its number when it begins.
    persistent_workers : bool
        Workers stay from epoch to epoch, and go with the loader; what the data set keeps then stays as it
        was.
    sampler : Sampler or iterable of int, optional
        The indices of each epoch's items, in place of `shuffle`.
    batch_sampler : BatchSampler or iterable of lists of int, optional
        The indices of each batch, in place of batch_size, shuffle, sampler and drop_last.
    transform : callable, optional
        transform(batch, key) gives what takes the place of each batch, where it is made: key, epoch and
        number of the batch decide the key that it gets.

    Raises
    ------
    ValueError
        For options that are out of range, or that exclude each other.

    Examples
    --------
    >>> data = td.data.TensorDataset(td.arange(5), 10 * td.arange(5))
    >>> for x, y in td.data.DataLoader(data, batch_size=3):
    ...     print(x, y)
    tensor([0, 1, 2], dtype=int64) tensor([0, 10, 20], dtype=int64)
    tensor([3, 4], dtype=int64) tensor([30, 40], dtype=int64)
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int = 1,
        shuffle: bool = False,
        key: td.Tensor | None = None,
        drop_last: bool = False,
        prefetch: int = 2,
        collate_fn: Callable[[list[Any]], Any] = collate,
        num_workers: int = 0,
        worker_init_fn: Callable[[int], Any] | None = None,
        persistent_workers: bool = False,
        sampler: Iterable[int] | None = None,
        batch_sampler: Iterable[Iterable[int]] | None = None,
        transform: Callable[[Any, td.Tensor], Any] | None = None,
    ) -> None:
        for name, value, least in [
            ("batch_size", batch_size, 1),
            ("prefetch", prefetch, 0),
            ("num_workers", num_workers, 0),
        ]:
            if _whole(value, name) < least:
                raise ValueError(f"[DataLoader] {name} is {in_words(value)}, but must be at least {least}")
            if value >= 1 << 63:
                raise ValueError(f"[DataLoader] {name} is {in_words(value)}, which does not fit int64")
        if num_workers > _MOST_WORKERS:
            number = in_words(num_workers)
            raise ValueError(
                f"[DataLoader] 'num_workers' is {number}, but at most {_MOST_WORKERS} (one a core is many)"
            )
        key = td.random.key(0) if key is None else _checked_key(key)
        if is_iterable(dataset) and (shuffle or sampler is not None or batch_sampler is not None):
            raise ValueError(
                f"[DataLoader] the items of a {type(dataset).__name__} have no indices: shuffle, sampler and "
                "batch_sampler are for other data sets"
            )
        if sampler is not None and shuffle:
            raise ValueError("[DataLoader] sampler takes the place of shuffle: give one of them")
        if batch_sampler is not None and (sampler is not None or shuffle or drop_last or batch_size != 1):
            raise ValueError(
                "[DataLoader] batch_sampler takes the place of batch_size, shuffle, sampler and drop_last: "
                "give none of these"
            )
        self.dataset = dataset
        self.key = key
        self.sampler, self.batch_sampler = sampler, batch_sampler
        self.batch_size, self.drop_last = int(batch_size), bool(drop_last)
        self._shuffle, self._prefetch = bool(shuffle), int(prefetch)
        self._collate, self._transform = collate_fn, transform
        self._num_workers, self._worker_init = int(num_workers), worker_init_fn
        self._keeps_workers = persistent_workers
        self._workers: Workers | None = None
        self._position = _Position()

    def _source(self) -> Source:
        return Source(self.dataset, self._collate, self._transform, self.batch_size, self.drop_last)

    def _indices(self, epoch: int) -> tuple[int, Callable[[int], Any]]:
        """How many batches an epoch has, and a function of their number that gives the indices of one."""
        if is_iterable(self.dataset):
            return _ENDLESS, lambda number: None
        if self.batch_sampler is not None:
            batches = [list(batch) for batch in order_of(self.batch_sampler, epoch)]
            return len(batches), batches.__getitem__
        sampler: Any = self.sampler
        if sampler is None:
            sampler = (
                RandomSampler(self.dataset, key=self.key)
                if self._shuffle
                else SequentialSampler(self.dataset)
            )
        order, size = order_of(sampler, epoch), self.batch_size
        return self._count(len(order)), lambda number: order[number * size : (number + 1) * size]

    def _count(self, items: int) -> int:
        return (items + (0 if self.drop_last else self.batch_size - 1)) // self.batch_size

    def _begin(self, position: _Position) -> _Pass:
        epoch = position.epoch
        key = None if self._transform is None else td.random.split(self.key)[1]
        if self._num_workers > 0:
            workers = self._workers
            if workers is None or not workers.is_free():
                workers = Workers(
                    self._num_workers, self._source(), self._worker_init, max(self._prefetch, 1)
                )
            if self._keeps_workers:
                self._workers = workers
            count, indices = self._indices(epoch)
            ahead = WorkersAhead(workers, count, indices, key, self._keeps_workers)
            return _Pass(ahead, lambda batch: batch[0], position)
        own_order = self.sampler is None and self.batch_sampler is None and self._transform is None
        if own_order and self._collate is collate and has_items_of(self.dataset, TensorDataset):
            native = training.DataLoader(
                training.TensorDataset(list(self.dataset.tensors)),
                self.key,
                self.batch_size,
                self._shuffle,
                self.drop_last,
                self._prefetch,
            )
            return _Pass(native, tuple, position)
        count, indices = self._indices(epoch)
        source = self._source()
        rests: collections.deque[Any] = collections.deque()
        source.begin(epoch, key, position.batch)

        def gather(numbers: td.Tensor) -> list[td.Tensor]:
            number = numbers.item()
            tensors, rest = unpacked(source.batch(number, indices(number)))
            rests.append(rest)
            return tensors

        native = training.DataLoader(count, gather, self.key, 1, False, False, self._prefetch)
        return _Pass(native, lambda tensors: packed(tensors, rests.popleft()), position)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_workers": None}  # processes go with the loader that began them

    def __len__(self) -> int:
        """The number of batches of an epoch."""
        if self.batch_sampler is not None:
            return len(self.batch_sampler)  # type: ignore[arg-type]  # a TypeError where it has no len
        sized: Any = self.dataset if self.sampler is None else self.sampler
        return self._count(len(sized))

    @property
    def epoch(self) -> int:
        """The number of the current epoch, from 0; it goes up when an iteration ends."""
        return self._position.epoch

    @property
    def batch(self) -> int:
        """How many batches of the current epoch were given out."""
        return self._position.batch

    def __iter__(self) -> Iterator[Any]:
        last = self._position
        self._position = _Position(last.epoch + 1) if last.begun else _Position(last.epoch, last.batch)
        return self._begin(self._position)

    def state_dict(self) -> dict[str, Any]:
        """Key and position."""
        return {"key": self.key, "epoch": self.epoch, "batch": self.batch}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes over what `state_dict` gave."""
        missing = [name for name in ("key", "epoch", "batch") if name not in state]
        if missing:
            raise ValueError(f"[DataLoader] the state lacks {', '.join(missing)}")
        position = _Position(_whole(state["epoch"], "epoch"), _whole(state["batch"], "batch"))
        key = _checked_key(state["key"])
        try:
            count = len(self)
        except TypeError:  # nobody knows how many there are
            count = _ENDLESS
        if position.epoch < 0 or not 0 <= position.batch <= count:
            raise ValueError(
                f"[DataLoader] there is no batch {position.batch} of epoch {position.epoch} among {count} "
                "batches"
            )
        self.key, self._position = key, position
