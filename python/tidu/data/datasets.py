"""Data sets held as tensors, and readers of their files."""

import os

from .._core import _training as training

read_csv = training.read_csv
read_idx = training.read_idx


class TensorDataset:
    """Tensors whose first axis counts the samples; item i is the tuple of their i-th parts."""

    def __init__(self, *tensors):
        self._native = training.TensorDataset(list(tensors))
        self.tensors = tensors

    def __len__(self):
        return len(self._native)

    def __getitem__(self, i):
        return tuple(tensor[i] for tensor in self.tensors)


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
