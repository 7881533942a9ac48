"""Data sets held as tensors, and readers of their files."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any

import tidu as td
from tidu._core import Tensor
from tidu.typing import PathLike

from .._core import _training as training

read_csv = training.read_csv
read_idx = training.read_idx


class TensorDataset:
    """Tensors whose first axis counts the samples; item i is the tuple of their i-th parts.

    Examples
    --------
    >>> len(td.data.TensorDataset(td.zeros((5, 2)), td.zeros(5)))
    5
    """

    def __init__(self, *tensors: Tensor) -> None:
        training.TensorDataset(list(tensors))  # an error where they do not fit each other
        self.tensors = tensors

    def __len__(self) -> int:
        return len(self.tensors[0])

    def __getitem__(self, i: int) -> tuple[Tensor, ...]:
        return tuple(tensor[i] for tensor in self.tensors)


class Subset:
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


def random_split(dataset: Any, lengths: Sequence[float], key: Tensor | None = None) -> list[Subset]:
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
