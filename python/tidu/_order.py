"""What gives the elements of a tensor by their order, and several tensors of them."""

from typing import NamedTuple

from tidu import _core
from tidu._core import Tensor


class TopK(NamedTuple):
    values: Tensor
    indices: Tensor


class KthValue(NamedTuple):
    values: Tensor
    indices: Tensor


class Histogram(NamedTuple):
    hist: Tensor
    bin_edges: Tensor


class UniqueAll(NamedTuple):
    values: Tensor
    indices: Tensor
    inverse_indices: Tensor
    counts: Tensor


class UniqueCounts(NamedTuple):
    values: Tensor
    counts: Tensor


class UniqueInverse(NamedTuple):
    values: Tensor
    inverse_indices: Tensor


def topk(x, k, axis=-1, largest=True, sorted=True):
    """The k largest elements along an axis (or the smallest) and their places: (values, indices).

    They are sorted whether that is asked for or not; NaN comes last.
    """
    return TopK(*_core._topk(x, k, axis, largest))


def kthvalue(x, k, axis=-1, keepdims=False):
    """The k-th smallest element along an axis, k from 1 on, and its place: (values, indices)."""
    return KthValue(*_core._kthvalue(x, k, axis, keepdims))


def _inside(q):
    return all(map(_inside, q)) if hasattr(q, "__iter__") else 0 <= q <= 1


def _quantiles(op, x, q, axis, keepdims, method, ignore_nan):
    x = _core.asarray(x)
    if not isinstance(q, Tensor):
        if not _inside(q):
            raise ValueError(f"[{op}] q is in [0, 1], not {q}")
        q = _core.asarray(q, dtype=_core.float64, device=x.device)
    return _core._quantile(x, q, axis, keepdims, method, ignore_nan)


def quantile(x, q, axis=None, keepdims=False, method="linear"):
    """The quantiles q in [0, 1] over the axes (all by default): shape q.shape + that of the other axes.

    Between two elements `method` says what counts: 'linear', 'lower', 'higher', 'nearest', 'midpoint', or
    one of NumPy's other names, 'hazen' .. . NaN where an element is NaN. Differentiable by x and by q; a q
    that is a tensor is not looked at, and what is outside of [0, 1] gives NaN.
    """
    return _quantiles("quantile", x, q, axis, keepdims, method, False)


def nanquantile(x, q, axis=None, keepdims=False, method="linear"):
    """The quantiles of what is not NaN (see quantile); NaN where there is nothing else."""
    return _quantiles("nanquantile", x, q, axis, keepdims, method, True)


def unique(
    x,
    return_index=False,
    return_inverse=False,
    return_counts=False,
    axis=None,
    *,
    sorted=True,
    equal_nan=True,
):
    """The distinct elements, or the distinct slices along an axis, sorted.

    A tuple with, as asked for, the place of the first of each, which one each element is (in x's shape), and
    how many there are of each. All NaN are one unless equal_nan is False. How many there are is read back. A
    gradient goes to the first of equal elements.
    """
    values, indices, inverse, counts = _core._unique(x, axis, equal_nan)
    asked = [
        extra
        for extra, wanted in ((indices, return_index), (inverse, return_inverse), (counts, return_counts))
        if wanted
    ]
    return (values, *asked) if asked else values


def unique_all(x):
    """The distinct elements, sorted, the place of the first of each, which one each element is, and how many
    there are of each. Each NaN is one of its own."""
    return UniqueAll(*_core._unique(x, None, False))


def unique_counts(x):
    """The distinct elements, sorted, and how many there are of each. Each NaN is one of its own."""
    values, _, _, counts = _core._unique(x, None, False)
    return UniqueCounts(values, counts)


def unique_inverse(x):
    """The distinct elements, sorted, and which one each element is. Each NaN is one of its own."""
    values, _, inverse, _ = _core._unique(x, None, False)
    return UniqueInverse(values, inverse)


def unique_values(x):
    """The distinct elements, sorted. Each NaN is one of its own."""
    return _core._unique(x, None, False)[0]


def histogram_bin_edges(x, bins=10, range=None):
    """The edges of `bins` even bins from the smallest to the largest element, or over range=(low, high)."""
    return _core._histogram_edges(x, bins, range)


def histogram(x, bins=10, range=None, density=False, weights=None):
    """(hist, bin_edges): how many elements there are between edges, the last one included.

    bins: how many even ones (see histogram_bin_edges), or the sorted edges. With weights, which are
    differentiated, the sum of these in each; as a density the integral is 1.
    """
    x = _core.asarray(x)
    if isinstance(bins, int):
        edges = histogram_bin_edges(x, bins, range)
    else:
        dtype = None if isinstance(bins, Tensor) or not x.dtype.is_floating_point else x.dtype
        edges = _core.asarray(bins, dtype=dtype, device=x.device)
    return Histogram(_core._histogram(x, edges, weights, density), edges)
