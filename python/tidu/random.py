"""Random numbers from explicit keys: the same on every device, for any number of threads."""

from tidu._core.random import bernoulli, bits, fold_in, key, normal, permutation, randint, split, uniform

__all__ = ["bernoulli", "bits", "fold_in", "key", "normal", "permutation", "randint", "split", "uniform"]
