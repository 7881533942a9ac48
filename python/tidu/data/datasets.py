"""Data sets held as tensors, and readers of their files."""

import os

import tidu as td

from .._core import _training as training

read_csv = training.read_csv
read_idx = training.read_idx


class TensorDataset:
    """Tensors whose first axis counts the samples; item i is the tuple of their i-th parts."""

    def __init__(self, *tensors):
        training.TensorDataset(list(tensors))  # an error where they do not fit each other
        self.tensors = tensors

    def __len__(self):
        return len(self.tensors[0])

    def __getitem__(self, i):
        return tuple(tensor[i] for tensor in self.tensors)


class Subset:
    """The items of a data set at integer `indices`, in their order."""

    def __init__(self, dataset, indices):
        self.dataset, self.indices = dataset, [int(i) for i in indices]

    def __len__(self):
        return len(self.indices)

    def __getitem__(self, i):
        return self.dataset[self.indices[i]]


def random_split(dataset, lengths, key=None):
    """Subsets of a data set in random order, which `key` (by default that of seed 0) decides, without common
    items. `lengths` are numbers of items, or fractions that add up to 1: of the items that fractions leave
    over, the first subsets get one each."""
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
    """

    ROOT = training.FASHION_MNIST_ROOT
    CLASSES = tuple(training.FASHION_MNIST_CLASSES)

    def __init__(self, root=ROOT, train=True):
        self.images, self.labels = training.fashion_mnist(train, os.fspath(root))
        super().__init__(self.images, self.labels)
