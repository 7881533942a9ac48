"""Batches: how they are made of items, in a thread or in a worker process, and handed over as tensors."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable
from typing import Any

import tidu as td

from .._pytree import flatten, unflatten
from .datasets import IterableDataset, Subset, TensorDataset


def collate(items: list[Any]) -> Any:
    """Joins data set items into a batch.

    Tensors, arrays and numbers are stacked; tuples, lists, dictionaries and dataclasses are joined part by
    part; strings, bytes and None stay a list.

    Parameters
    ----------
    items : list
        Items of one structure.

    Returns
    -------
    Any
        What has the structure of an item, with tensors that have one axis more, in front.

    Examples
    --------
    >>> td.data.collate([{"x": 1.0, "name": "a"}, {"x": 2.0, "name": "b"}])
    {'x': tensor([1., 2.], dtype=float32), 'name': ['a', 'b']}
    """
    if not isinstance(items, (list, tuple)) or not items:
        raise TypeError(f"[collate] takes a list of at least one item, not {type(items).__name__}")
    first = items[0]
    if first is None or isinstance(first, (str, bytes)):
        return items
    if isinstance(first, dict):
        return {key: collate([item[key] for item in items]) for key in first}
    if isinstance(first, tuple) and hasattr(first, "_fields"):
        return type(first)(*(collate(list(parts)) for parts in zip(*items, strict=True)))
    if isinstance(first, (tuple, list)):
        return type(first)(collate(list(parts)) for parts in zip(*items, strict=True))
    if dataclasses.is_dataclass(first):
        names = [field.name for field in dataclasses.fields(first)]
        of_items: Any = type(first)
        return of_items(**{name: collate([getattr(item, name) for item in items]) for name in names})
    return td.stack([td.asarray(item) for item in items])


def unpacked(batch: Any) -> tuple[list[td.Tensor], Any]:
    """The tensors of a batch, among which arrays and numbers are, and what `packed` makes it of again."""
    leaves, structure = flatten(batch)
    texts = {i: leaf for i, leaf in enumerate(leaves) if isinstance(leaf, (str, bytes))}
    tensors = [td.asarray(leaf) for i, leaf in enumerate(leaves) if i not in texts]
    return tensors, (structure, texts)


def packed(tensors: list[td.Tensor], rest: Any) -> Any:
    structure, texts = rest
    others = iter(tensors)
    count = len(tensors) + len(texts)
    return unflatten(structure, [texts[i] if i in texts else next(others) for i in range(count)])


class EndOfItems(Exception):
    """An iterable data set has no more items."""


class Source:
    """What makes batches of a data set, in a thread or in a worker process."""

    def __init__(
        self,
        dataset: Any,
        collate_fn: Callable[[list[Any]], Any],
        transform: Callable[[Any, td.Tensor], Any] | None,
        batch_size: int,
        drop_last: bool,
    ) -> None:
        self.dataset = dataset
        self._collate, self._transform = collate_fn, transform
        self._batch_size, self._drop_last = batch_size, drop_last
        self._gather = gather_of(dataset) if collate_fn is collate else None

    def begin(self, epoch: int, key: td.Tensor | None, batch: int = 0) -> None:
        """Before the batches of an epoch from number `batch` on, whose transforms' keys come from `key`."""
        self._key = None if key is None else td.random.fold_in(key, epoch)
        if is_iterable(self.dataset):
            if hasattr(self.dataset, "set_epoch"):
                self.dataset.set_epoch(epoch)
            self._items = itertools.islice(self.dataset, batch * self._batch_size, None)

    def batch(self, number: int, indices: Any) -> Any:
        """The batch of this number: of the items at `indices`, or of an iterable data set the next ones."""
        try:
            made = self._following() if indices is None else self._at(indices)
            if self._key is None or self._transform is None:
                return made
            return self._transform(made, td.random.fold_in(self._key, number))
        except StopIteration as error:  # which would end the epoch in silence
            raise RuntimeError(f"[DataLoader] batch {number} raised StopIteration") from error

    def _at(self, indices: Any) -> Any:
        if self._gather is not None:
            return self._gather(td.asarray(indices, dtype=td.int64, device="cpu"))
        indices = indices.tolist() if isinstance(indices, td.Tensor) else indices
        return self._collate([self.dataset[i] for i in indices])

    def _following(self) -> Any:
        items = list(itertools.islice(self._items, self._batch_size))
        if not items or (self._drop_last and len(items) < self._batch_size):
            raise EndOfItems
        return self._collate(items)


def is_iterable(dataset: Any) -> bool:
    """Whether items come one after another, and not by indices."""
    return isinstance(dataset, IterableDataset) or not hasattr(dataset, "__getitem__")


def has_items_of(dataset: Any, class_: Any) -> bool:
    # What a subclass does to the items must not be passed by.
    return getattr(type(dataset), "__getitem__", None) is class_.__getitem__


def gather_of(dataset: Any) -> Callable[[td.Tensor], tuple[td.Tensor, ...]] | None:
    """What gathers the items of a TensorDataset, or of Subsets of one, at a tensor of indices."""
    if has_items_of(dataset, TensorDataset):
        return lambda indices: tuple(td.take(x, indices.to(x.device)) for x in dataset.tensors)
    inner = gather_of(dataset.dataset) if has_items_of(dataset, Subset) else None
    if inner is None:
        return None
    chosen = td.tensor(dataset.indices, dtype=td.int64, device="cpu")
    return lambda indices: inner(td.take(chosen, indices))
