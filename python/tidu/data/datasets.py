"""Data sets held as tensors or put together of others, and readers of their files."""

from __future__ import annotations

import bisect
import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import tidu as td
from tidu.typing import PathLike

from .._core import _training as training

read_csv = training.read_csv
read_idx = training.read_idx


class Dataset:
    """A base of data sets for those who want one: any object with `len` and integer indices is a data set.

    `a + b` are the items of both, as a ConcatDataset.

    Examples
    --------
    >>> class Squares(td.data.Dataset):
    ...     def __len__(self):
    ...         return 3
    ...     def __getitem__(self, i):
    ...         return i * i
    >>> list(td.data.DataLoader(Squares() + Squares(), 6))
    [tensor([0, 1, 4, 0, 1, 4], dtype=int64)]
    """

    def __getitem__(self, i: int) -> Any:
        raise NotImplementedError(f"[{type(self).__name__}] a data set has the method __getitem__(i)")

    def __add__(self, other: Any) -> ConcatDataset:
        return ConcatDataset([self, other])


class IterableDataset:
    """A data set whose items come one after another, from a file, a stream or a generator: `__iter__` gives
    them, and there need be no indices.

    A loader begins an iteration for each epoch; a method `set_epoch(epoch)`, where there is one, is called
    before. Each worker process iterates over a copy of its own: which items it has to give, `get_worker_info`
    tells.

    Examples
    --------
    >>> class Count(td.data.IterableDataset):
    ...     def __iter__(self):
    ...         info = td.data.get_worker_info()
    ...         first, step = (0, 1) if info is None else (info.id, info.num_workers)
    ...         return iter(range(first, 5, step))
    >>> list(td.data.DataLoader(Count(), batch_size=2))
    [tensor([0, 1], dtype=int64), tensor([2, 3], dtype=int64), tensor([4], dtype=int64)]
    """

    def __iter__(self) -> Iterator[Any]:
        raise NotImplementedError(f"[{type(self).__name__}] an iterable data set has the method __iter__()")

    def __add__(self, other: Iterable[Any]) -> ChainDataset:
        return ChainDataset([self, other])


class TensorDataset(Dataset):
    """Tensors whose first axis counts the samples; item i is the tuple of their i-th parts.

    Examples
    --------
    >>> len(td.data.TensorDataset(td.zeros((5, 2)), td.zeros(5)))
    5
    """

    def __init__(self, *tensors: td.Tensor) -> None:
        training.TensorDataset(list(tensors))  # an error where they do not fit each other
        self.tensors = tensors

    def __len__(self) -> int:
        return len(self.tensors[0])

    def __getitem__(self, i: int) -> tuple[td.Tensor, ...]:
        return tuple(tensor[i] for tensor in self.tensors)


class Subset(Dataset):
    """The items of a data set at integer `indices`, in their order.

    Examples
    --------
    >>> td.data.Subset([10, 20, 30], [2, 0])[0]
    30
    """

    def __init__(self, dataset: Any, indices: Iterable[int]) -> None:
        self.dataset, self.indices = dataset, [int(i) for i in indices]

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, i: int) -> Any:
        return self.dataset[self.indices[i]]


class Map(Dataset):
    """The items of a data set as `function` makes them. What is to be random, or faster for many at once, is
    better the `transform` of a loader.

    Examples
    --------
    >>> td.data.Map([1, 2, 3], lambda item: 10 * item)[1]
    20
    """

    def __init__(self, dataset: Any, function: Callable[[Any], Any]) -> None:
        self.dataset, self.function = dataset, function

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, i: int) -> Any:
        return self.function(self.dataset[i])


class ConcatDataset(Dataset):
    """The items of several data sets, one after another.

    Examples
    --------
    >>> td.data.ConcatDataset([[1, 2], [3]])[2]
    3
    """

    def __init__(self, datasets: Iterable[Any]) -> None:
        self.datasets = list(datasets)
        if not self.datasets:
            raise ValueError("[ConcatDataset] needs at least one data set")
        for dataset in self.datasets:
            if not hasattr(dataset, "__len__") or not hasattr(dataset, "__getitem__"):
                raise TypeError(
                    f"[ConcatDataset] a {type(dataset).__name__} has no len or no indices (of iterable data "
                    "sets make a ChainDataset)"
                )

    def __len__(self) -> int:
        return sum(map(len, self.datasets))

    def __getitem__(self, i: int) -> Any:
        ends = list(itertools.accumulate(map(len, self.datasets)))
        place = i + ends[-1] if i < 0 else i
        if not 0 <= place < ends[-1]:
            raise IndexError(f"[ConcatDataset] there is no item {i} among {ends[-1]}")
        which = bisect.bisect_right(ends, place)
        return self.datasets[which][place - (ends[which - 1] if which else 0)]


class ChainDataset(IterableDataset):
    """What several iterable data sets give, one after another.

    Examples
    --------
    >>> list(td.data.ChainDataset([[1, 2], [3]]))
    [1, 2, 3]
    """

    def __init__(self, datasets: Iterable[Iterable[Any]]) -> None:
        self.datasets = list(datasets)

    def set_epoch(self, epoch: int) -> None:
        """Tells those that want to know the number of the epoch."""
        for dataset in self.datasets:
            if hasattr(dataset, "set_epoch"):
                dataset.set_epoch(epoch)

    def __iter__(self) -> Iterator[Any]:
        return itertools.chain.from_iterable(self.datasets)


class StackDataset(Dataset):
    """Items of several data sets of one length side by side: tuples, or dictionaries where the data sets are
    given by name.

    Examples
    --------
    >>> td.data.StackDataset(image=[1, 2], label=[3, 4])[1]
    {'image': 2, 'label': 4}
    """

    def __init__(self, *datasets: Any, **named: Any) -> None:
        if bool(datasets) == bool(named):
            raise ValueError("[StackDataset] takes data sets either by place or by name, and at least one")
        self.datasets: Any = named or datasets
        parts = list(named.values()) if named else list(datasets)
        for part in parts:
            if not hasattr(part, "__len__"):
                raise TypeError(f"[StackDataset] a {type(part).__name__} is no data set with a len")
        if len({len(part) for part in parts}) != 1:
            raise ValueError(f"[StackDataset] the lengths {[len(part) for part in parts]} are not one")

    def __len__(self) -> int:
        return len(
            next(iter(self.datasets.values())) if isinstance(self.datasets, dict) else self.datasets[0]
        )

    def __getitem__(self, i: int) -> Any:
        if isinstance(self.datasets, dict):
            return {name: dataset[i] for name, dataset in self.datasets.items()}
        return tuple(dataset[i] for dataset in self.datasets)


def random_split(dataset: Any, lengths: Sequence[float], key: td.Tensor | None = None) -> list[Subset]:
    """Subsets of a data set in random order, which `key` (by default that of seed 0) decides, without common
    items. `lengths` are numbers of items, or fractions that add up to 1: of the items that fractions leave
    over, the first subsets get one each.

    Examples
    --------
    >>> [len(part) for part in td.data.random_split(list(range(10)), [0.8, 0.2])]
    [8, 2]
    """
    size = len(dataset)
    if any(length < 0 for length in lengths):
        raise ValueError(f"[random_split] lengths {lengths} must not be negative")
    if any(isinstance(length, float) for length in lengths) and abs(sum(lengths) - 1) < 1e-6:
        counts = [int(size * fraction) for fraction in lengths]
        for i in range(size - sum(counts)):
            counts[i % len(counts)] += 1
    elif sum(lengths) == size:
        counts = [int(length) for length in lengths]
    else:
        raise ValueError(
            f"[random_split] lengths {lengths} must add up to 1 or to the data set's {size} items"
        )
    order = td.random.permutation(td.random.key(0) if key is None else key, size).tolist()
    ends = [sum(counts[: i + 1]) for i in range(len(counts))]
    return [Subset(dataset, order[end - count : end]) for count, end in zip(counts, ends, strict=True)]


class FashionMNIST(TensorDataset):
    """Fashion-MNIST (Xiao, Rasul, Vollgraf 2017): pictures of clothes in ten classes, 60,000 to learn from
    and with train=False 10,000 to test with. `images` is uint8 (n, 28, 28), `labels` int64 (n); items are
    (image, label).

    `root` is the folder of the four files, gzipped or not; where they are missing, FileNotFoundError says
    how to get them, and a file with a wrong checksum is an OSError that names it.

    Examples
    --------
    >>> td.data.FashionMNIST.CLASSES[0]
    'T-shirt/top'
    """

    ROOT = training.FASHION_MNIST_ROOT
    CLASSES = tuple(training.FASHION_MNIST_CLASSES)

    def __init__(self, root: PathLike = ROOT, train: bool = True) -> None:
        self.images, self.labels = training.fashion_mnist(train, os.fspath(root))
        super().__init__(self.images, self.labels)
