"""Data sets, readers and batches."""

from .._arguments import explain as _explain
from . import images
from .batches import collate
from .datasets import (
    ChainDataset,
    ConcatDataset,
    Dataset,
    FashionMNIST,
    IterableDataset,
    Map,
    StackDataset,
    Subset,
    TensorDataset,
    random_split,
    read_csv,
    read_idx,
)
from .loader import DataLoader
from .samplers import (
    BatchSampler,
    DistributedSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)
from .workers import WorkerInfo, get_worker_info

__all__ = [
    "BatchSampler",
    "ChainDataset",
    "ConcatDataset",
    "DataLoader",
    "Dataset",
    "DistributedSampler",
    "FashionMNIST",
    "IterableDataset",
    "Map",
    "RandomSampler",
    "Sampler",
    "SequentialSampler",
    "StackDataset",
    "Subset",
    "SubsetRandomSampler",
    "TensorDataset",
    "WeightedRandomSampler",
    "WorkerInfo",
    "collate",
    "get_worker_info",
    "images",
    "random_split",
    "read_csv",
    "read_idx",
]

_explain(globals(), __all__)
