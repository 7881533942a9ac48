"""Data sets, readers and batches."""

from .datasets import FashionMNIST, TensorDataset, read_csv, read_idx
from .loader import DataLoader, collate

__all__ = ["DataLoader", "FashionMNIST", "TensorDataset", "collate", "read_csv", "read_idx"]
