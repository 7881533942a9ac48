"""Data sets, readers and batches."""

from .._arguments import explain as _explain
from .datasets import FashionMNIST, Subset, TensorDataset, random_split, read_csv, read_idx
from .loader import DataLoader, collate

__all__ = [
    "DataLoader",
    "FashionMNIST",
    "Subset",
    "TensorDataset",
    "collate",
    "random_split",
    "read_csv",
    "read_idx",
]

_explain(globals(), __all__)
