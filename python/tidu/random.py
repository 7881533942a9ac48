"""Random numbers from explicit keys: the same key gives the same numbers on every device and any number of threads."""

from tidu._core.random import bernoulli, bits, fold_in, key, normal, permutation, randint, split, uniform

__all__ = ["bernoulli", "bits", "fold_in", "key", "normal", "permutation", "randint", "split", "uniform"]
