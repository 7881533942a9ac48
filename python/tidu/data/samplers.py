"""Samplers: which items of a data set an epoch has, and in what order, decided by a key and its number."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Sized
from operator import index
from typing import Any

import tidu as td


class Sampler:
    """Indices of items, in the order of an epoch.

    A subclass has `order(epoch)`, the indices of an epoch, as an int64 tensor, and `__len__`. Iteration gives
    those of one epoch as ints, by default of epoch 0; a loader asks for each of its epochs. Any other
    iterable of indices may take the place of a sampler.

    Examples
    --------
    >>> list(td.data.SequentialSampler([7, 8, 9]))
    [0, 1, 2]
    """

    epoch: int = 0

    def set_epoch(self, epoch: int) -> None:
        """Lets iteration give the indices of this epoch from now on."""
        self.epoch = int(epoch)

    def order(self, epoch: int) -> Any:
        """The indices of an epoch."""
        raise NotImplementedError(f"[{type(self).__name__}] a sampler has the method order(epoch)")

    def __iter__(self) -> Iterator[Any]:
        return iter(self.order(self.epoch).tolist())

    def __len__(self) -> int:
        raise TypeError(f"[{type(self).__name__}] this sampler has no len")


def _key_of(key: td.Tensor | None) -> td.Tensor:
    return td.random.key(0) if key is None else key


def _of_epoch(key: td.Tensor, epoch: int) -> td.Tensor:
    return td.random.fold_in(key, epoch)


def _number(op: str, name: str, value: int, least: int) -> int:
    number = index(value)
    if number < least:
        raise ValueError(f"[{op}] {name} is {value}, but must be at least {least}")
    return number


class SequentialSampler(Sampler):
    """All items one after another.

    Parameters
    ----------
    dataset : Sized
        What has the items.

    Examples
    --------
    >>> list(td.data.SequentialSampler("abc"))
    [0, 1, 2]
    """

    def __init__(self, dataset: Sized) -> None:
        self._dataset = dataset

    def order(self, epoch: int) -> td.Tensor:
        return td.arange(len(self), device="cpu")

    def __len__(self) -> int:
        return len(self._dataset)


class RandomSampler(Sampler):
    """Items in random order, which the key and the epoch's number decide; a loader with `shuffle` has it.

    Parameters
    ----------
    dataset : Sized
        What has the items.
    replacement : bool
        Whether each index is drawn from all, so that some come several times and others never.
    num_samples : int, optional
        How many are drawn in an epoch, by default as many as there are. Without replacement all come once
        before any comes again.
    key : Tensor, optional
        By default that of seed 0.

    Raises
    ------
    ValueError
        For a negative num_samples, and where there is nothing to draw from.

    Examples
    --------
    >>> sampler = td.data.RandomSampler(range(5), key=td.random.key(1))
    >>> sorted(sampler), list(sampler) == list(sampler)
    ([0, 1, 2, 3, 4], True)
    """

    def __init__(
        self,
        dataset: Sized,
        replacement: bool = False,
        num_samples: int | None = None,
        key: td.Tensor | None = None,
    ) -> None:
        self._dataset, self.replacement = dataset, replacement
        self.key = _key_of(key)
        self._asked = None if num_samples is None else _number("RandomSampler", "num_samples", num_samples, 0)

    def order(self, epoch: int) -> td.Tensor:
        size, count, key = len(self._dataset), len(self), _of_epoch(self.key, epoch)
        if count and not size:
            raise ValueError(f"[RandomSampler] cannot draw {count} samples of a data set without items")
        if self.replacement:
            return td.random.choice(key, size, (count,)).to("cpu")
        if count <= size:
            return td.random.permutation(key, size)[:count].to("cpu")
        rounds = [td.random.permutation(k, size) for k in td.random.split(key, -(-count // size))]
        return td.concat(rounds)[:count].to("cpu")

    def __len__(self) -> int:
        return len(self._dataset) if self._asked is None else self._asked


class WeightedRandomSampler(Sampler):
    """Items drawn with probabilities in proportion to weights.

    Parameters
    ----------
    weights : Tensor or sequence
        One number for each item, none of them negative.
    num_samples : int
        How many are drawn in an epoch.
    replacement : bool
        Whether an item may come more than once. Without, at least num_samples weights must be positive.
    key : Tensor, optional
        By default that of seed 0.

    Raises
    ------
    ValueError
        For weights that are negative, not finite or too few, and for a negative num_samples.

    Examples
    --------
    >>> set(td.data.WeightedRandomSampler([0.0, 1.0, 0.0, 3.0], 100))
    {1, 3}
    """

    def __init__(
        self,
        weights: td.Tensor | Sequence[float],
        num_samples: int,
        replacement: bool = True,
        key: td.Tensor | None = None,
    ) -> None:
        self.weights = td.asarray(weights, device="cpu").astype(td.float64)
        self.num_samples = _number("WeightedRandomSampler", "num_samples", num_samples, 0)
        self.replacement, self.key = replacement, _key_of(key)
        if self.weights.ndim != 1:
            raise td.ShapeError(
                f"[WeightedRandomSampler] weights of shape {self.weights.shape} must be a vector"
            )
        fits = td.logical_and(self.weights >= 0, td.isfinite(self.weights))
        if not td.all(fits):
            raise ValueError("[WeightedRandomSampler] weights must be finite and not negative")
        positive = int(td.count_nonzero(self.weights))
        if self.num_samples > (0 if positive == 0 else positive if not replacement else self.num_samples):
            how = "" if replacement else " without replacement"
            raise ValueError(
                f"[WeightedRandomSampler] cannot draw {num_samples} samples{how} where {positive} of "
                f"{len(self.weights)} weights are positive"
            )

    def order(self, epoch: int) -> td.Tensor:
        key = _of_epoch(self.key, epoch)
        if not self.replacement:
            chosen = td.random.choice(key, len(self.weights), (self.num_samples,), False, p=self.weights)
            return chosen.to("cpu")
        ends = td.cumulative_sum(self.weights)
        points = td.random.uniform(key, (self.num_samples,), dtype=td.float64).to("cpu") * ends[-1]
        # An end that rounding moves up to the sum is that of the last item of positive weight.
        return td.minimum(td.searchsorted(ends, points, side="right"), td.flatnonzero(self.weights)[-1])

    def __len__(self) -> int:
        return self.num_samples


class SubsetRandomSampler(Sampler):
    """The items at some indices, in random order.

    Parameters
    ----------
    indices : sequence of int
        Which ones.
    key : Tensor, optional
        By default that of seed 0.

    Examples
    --------
    >>> sorted(td.data.SubsetRandomSampler([2, 5, 11]))
    [2, 5, 11]
    """

    def __init__(self, indices: Iterable[int], key: td.Tensor | None = None) -> None:
        self.indices = td.asarray([int(i) for i in indices], dtype=td.int64, device="cpu")
        self.key = _key_of(key)

    def order(self, epoch: int) -> td.Tensor:
        order = td.random.permutation(_of_epoch(self.key, epoch), len(self))
        return td.take(self.indices, order.to("cpu"))

    def __len__(self) -> int:
        return len(self.indices)


class DistributedSampler(Sampler):
    """The part of one of several processes that train together: every num_replicas-th item from its rank on.

    All parts have the same length: items from the beginning are given again at the end, or with `drop_last`
    the last ones are left out. All processes must have the same key.

    Parameters
    ----------
    dataset : Sized
        What has the items.
    num_replicas : int
        How many processes there are.
    rank : int
        The number of this one, from 0.
    shuffle : bool
        Whether all items are put into random order first, which the key and the epoch's number decide.
    key : Tensor, optional
        By default that of seed 0.
    drop_last : bool
        Whether items are left out rather than given twice.

    Raises
    ------
    ValueError
        For a rank that is not from 0 to num_replicas - 1.

    Examples
    --------
    >>> [list(td.data.DistributedSampler(range(5), 2, rank, shuffle=False)) for rank in (0, 1)]
    [[0, 2, 4], [1, 3, 0]]
    """

    def __init__(
        self,
        dataset: Sized,
        num_replicas: int,
        rank: int,
        shuffle: bool = True,
        key: td.Tensor | None = None,
        drop_last: bool = False,
    ) -> None:
        self._dataset, self.shuffle, self.drop_last = dataset, shuffle, drop_last
        self.num_replicas = _number("DistributedSampler", "num_replicas", num_replicas, 1)
        self.rank, self.key = index(rank), _key_of(key)
        if not 0 <= rank < num_replicas:
            raise ValueError(f"[DistributedSampler] rank is {rank}, but must be from 0 to {num_replicas - 1}")

    def order(self, epoch: int) -> td.Tensor:
        size = len(self._dataset)
        places = self.rank + self.num_replicas * td.arange(len(self), device="cpu")
        places = places % size if size else places
        return (
            td.take(RandomSampler(self._dataset, key=self.key).order(epoch), places)
            if self.shuffle
            else places
        )

    def __len__(self) -> int:
        size = len(self._dataset)
        return (size if self.drop_last else size + self.num_replicas - 1) // self.num_replicas


class BatchSampler(Sampler):
    """Lists of batch_size indices that a sampler gives.

    Parameters
    ----------
    sampler : Sampler or iterable of int
        What gives the indices.
    batch_size : int
        How many are in a list.
    drop_last : bool
        Whether a last list that is not full is left out.

    Raises
    ------
    ValueError
        For a batch_size below 1.

    Examples
    --------
    >>> list(td.data.BatchSampler(range(5), 2))
    [[0, 1], [2, 3], [4]]
    """

    def __init__(self, sampler: Iterable[int], batch_size: int, drop_last: bool = False) -> None:
        self.sampler, self.drop_last = sampler, drop_last
        self.batch_size = _number("BatchSampler", "batch_size", batch_size, 1)

    def order(self, epoch: int) -> list[list[int]]:
        order = order_of(self.sampler, epoch)
        indices = order.tolist() if isinstance(order, td.Tensor) else order
        batches = [indices[i : i + self.batch_size] for i in range(0, len(indices), self.batch_size)]
        return batches[:-1] if self.drop_last and batches and len(batches[-1]) < self.batch_size else batches

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self.order(self.epoch))

    def __len__(self) -> int:
        items = len(self.sampler)  # type: ignore[arg-type]  # a TypeError where it has no len
        return (items + (0 if self.drop_last else self.batch_size - 1)) // self.batch_size


def order_of(sampler: Iterable[Any], epoch: int) -> Any:
    """What a sampler, or any iterable in the place of one, gives in an epoch: a tensor or a list."""
    if isinstance(sampler, Sampler):
        return sampler.order(epoch)
    if hasattr(sampler, "set_epoch"):
        sampler.set_epoch(epoch)
    return list(sampler)
