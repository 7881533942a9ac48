"""Sums of derivatives over all directions: laplacian, biharmonic."""

import functools

from tidu import _core
from tidu._pytree import unflatten
from tidu._transforms import _flatten_call


def _summed(transform, op, function, argnums, samples, key, chunk_size):
    if (samples is None) != (key is None):
        raise ValueError(f"[{op}] samples and key go together: the key says which directions are drawn")

    @functools.wraps(function)
    def wrapped(*args, **kwargs):
        flat, inputs = _flatten_call(function, argnums, args, kwargs, False, op)
        if len(inputs) != 1:
            raise ValueError(f"[{op}] the differentiated argument must be one tensor, not {len(inputs)}")
        sums = transform(flat, inputs[0], samples, key, chunk_size)
        return unflatten(flat.output_structure, sums)

    return wrapped


def laplacian(function, argnums=0, *, samples=None, key=None, chunk_size=None):
    """A function that returns the Laplacian of `function`: the sum of its second derivatives by each element.

    Like the function's result, for each element of it. argnums: the positional argument to differentiate by,
    one tensor. With samples and a random key the mean over so many random directions, which is right on
    average (Hutchinson's estimate). chunk_size: how many directions at once (by default as many as fit into
    512 MB). By collapsed Taylor mode, which computes a first derivative for each direction and one second
    derivative for all. The function is recorded, and may not look at values.
    """
    return _summed(_core.laplacian, "laplacian", function, argnums, samples, key, chunk_size)


def biharmonic(function, argnums=0, *, samples=None, key=None, chunk_size=None):
    """A function that returns the Laplacian of the Laplacian of `function`, as `laplacian` does.

    Exactly from fourth derivatives along n^2 directions for n elements; with samples along so many.
    """
    return _summed(_core.biharmonic, "biharmonic", function, argnums, samples, key, chunk_size)
