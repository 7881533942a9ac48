"""Data sets, readers and batches."""

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
