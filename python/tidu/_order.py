"""What gives the elements of a tensor by their order, and several tensors of them."""

from __future__ import annotations

from typing import Any, NamedTuple

from tidu import _core
from tidu._core import Tensor
from tidu.typing import Shape, TensorLike


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


def topk(x: TensorLike, k: int, axis: int = -1, largest: bool = True, sorted: bool = True) -> TopK:
    """The k largest elements along an axis (or the smallest) and their places: (values, indices).

    They are sorted whether that is asked for or not; NaN comes last.

    Examples
    --------
    >>> td.topk(td.tensor([3, 1, 2]), 2)
    TopK(values=tensor([3, 2], dtype=int64), indices=tensor([0, 2], dtype=int64))
    """
    return TopK(*_core._topk(x, k, axis, largest))


def kthvalue(x: TensorLike, k: int, axis: int = -1, keepdims: bool = False) -> KthValue:
    """The k-th smallest element along an axis, k from 1 on, and its place: (values, indices).

    Examples
    --------
    >>> td.kthvalue(td.tensor([3, 1, 2]), 2)
    KthValue(values=tensor(2, dtype=int64), indices=tensor(2, dtype=int64))
    """
    return KthValue(*_core._kthvalue(x, k, axis, keepdims))


def _inside(q: Any) -> bool:
    return all(map(_inside, q)) if hasattr(q, "__iter__") else 0 <= q <= 1


def _quantiles(
    op: str, x: TensorLike, q: Any, axis: Shape | None, keepdims: bool, method: str, ignore_nan: bool
) -> Tensor:
    x = _core.asarray(x)
    if not isinstance(q, Tensor):
        if not _inside(q):
            raise ValueError(f"[{op}] q is in [0, 1], not {q}")
        q = _core.asarray(q, dtype=_core.float64, device=x.device)
    return _core._quantile(x, q, axis, keepdims, method, ignore_nan)


def quantile(
    x: TensorLike, q: TensorLike, axis: Shape | None = None, keepdims: bool = False, method: str = "linear"
) -> Tensor:
    """The quantiles q in [0, 1] over the axes (all by default): shape q.shape + that of the other axes.

    Between two elements `method` says what counts: 'linear', 'lower', 'higher', 'nearest', 'midpoint', or
    one of NumPy's other names, 'hazen' .. . NaN where an element is NaN. Differentiable by x and by q; a q
    that is a tensor is not looked at, and what is outside of [0, 1] gives NaN.

    Examples
    --------
    >>> td.quantile(td.tensor([1.0, 2.0, 3.0]), 0.25)
    tensor(1.5, dtype=float32)
    """
    return _quantiles("quantile", x, q, axis, keepdims, method, False)


def nanquantile(
    x: TensorLike, q: TensorLike, axis: Shape | None = None, keepdims: bool = False, method: str = "linear"
) -> Tensor:
    """The quantiles of what is not NaN (see quantile); NaN where there is nothing else.

    Examples
    --------
    >>> td.nanquantile(td.tensor([1.0, td.nan, 3.0]), 0.5)
    tensor(2., dtype=float32)
    """
    return _quantiles("nanquantile", x, q, axis, keepdims, method, True)


def unique(
    x: TensorLike,
    return_index: bool = False,
    return_inverse: bool = False,
    return_counts: bool = False,
    axis: int | None = None,
    *,
    sorted: bool = True,
    equal_nan: bool = True,
) -> Tensor | tuple[Tensor, ...]:
    """The distinct elements, or the distinct slices along an axis, sorted.

    A tuple with, as asked for, the place of the first of each, which one each element is (in x's shape), and
    how many there are of each. All NaN are one unless equal_nan is False. How many there are is read back. A
    gradient goes to the first of equal elements.

    Examples
    --------
    >>> td.unique(td.tensor([2, 1, 2]))
    tensor([1, 2], dtype=int64)
    """
    values, indices, inverse, counts = _core._unique(x, axis, equal_nan)
    asked = [
        extra
        for extra, wanted in ((indices, return_index), (inverse, return_inverse), (counts, return_counts))
        if wanted
    ]
    return (values, *asked) if asked else values


def unique_all(x: TensorLike) -> UniqueAll:
    """The distinct elements, sorted, the place of the first of each, which one each element is, and how many
    there are of each. Each NaN is one of its own.

    Examples
    --------
    >>> td.unique_all(td.tensor([2, 1, 2])).counts
    tensor([1, 2], dtype=int64)
    """
    return UniqueAll(*_core._unique(x, None, False))


def unique_counts(x: TensorLike) -> UniqueCounts:
    """The distinct elements, sorted, and how many there are of each. Each NaN is one of its own.

    Examples
    --------
    >>> td.unique_counts(td.tensor([2, 1, 2]))
    UniqueCounts(values=tensor([1, 2], dtype=int64), counts=tensor([1, 2], dtype=int64))
    """
    values, _, _, counts = _core._unique(x, None, False)
    return UniqueCounts(values, counts)


def unique_inverse(x: TensorLike) -> UniqueInverse:
    """The distinct elements, sorted, and which one each element is. Each NaN is one of its own.

    Examples
    --------
    >>> td.unique_inverse(td.tensor([2, 1, 2])).inverse_indices
    tensor([1, 0, 1], dtype=int64)
    """
    values, _, inverse, _ = _core._unique(x, None, False)
    return UniqueInverse(values, inverse)


def unique_values(x: TensorLike) -> Tensor:
    """The distinct elements, sorted. Each NaN is one of its own.

    Examples
    --------
    >>> td.unique_values(td.tensor([2, 1, 2]))
    tensor([1, 2], dtype=int64)
    """
    return _core._unique(x, None, False)[0]


def histogram_bin_edges(x: TensorLike, bins: int = 10, range: tuple[float, float] | None = None) -> Tensor:
    """The edges of `bins` even bins from the smallest to the largest element, or over range=(low, high).

    Examples
    --------
    >>> td.histogram_bin_edges(td.tensor([0.0, 1.0]), bins=2)
    tensor([0. , 0.5, 1. ], dtype=float32)
    """
    return _core._histogram_edges(x, bins, range)


def histogram(
    x: TensorLike,
    bins: int | TensorLike = 10,
    range: tuple[float, float] | None = None,
    density: bool = False,
    weights: TensorLike | None = None,
) -> Histogram:
    """(hist, bin_edges): how many elements there are between edges, the last one included.

    bins: how many even ones (see histogram_bin_edges), or the sorted edges. With weights, which are
    differentiated, the sum of these in each; as a density the integral is 1.

    Examples
    --------
    >>> td.histogram(td.tensor([0.0, 0.2, 0.9, 1.0]), bins=2).hist
    tensor([2, 2], dtype=int64)
    """
    x = _core.asarray(x)
    if isinstance(bins, int):
        edges = histogram_bin_edges(x, bins, range)
    else:
        dtype = None if isinstance(bins, Tensor) or not x.dtype.is_floating_point else x.dtype
        edges = _core.asarray(bins, dtype=dtype, device=x.device)
    return Histogram(_core._histogram(x, edges, weights, density), edges)
