"""What gives the elements of a tensor by their order, and several tensors of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple, overload

from tidu import _core
from tidu._core import Tensor
from tidu._inspection import isdtype
from tidu._numbers import beside
from tidu.typing import Shape, TensorLike


class TopK(NamedTuple):
    values: Tensor
    indices: Tensor


class KthValue(NamedTuple):
    values: Tensor
    indices: Tensor


class CumulativeExtreme(NamedTuple):
    """What cummax and cummin give with indices."""

    values: Tensor
    indices: Tensor


class MinMax(NamedTuple):
    """What aminmax gives."""

    min: Tensor
    max: Tensor


class UniqueConsecutive(NamedTuple):
    """What unique_consecutive gives."""

    values: Tensor
    inverse_indices: Tensor
    counts: Tensor


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


@overload
def where(c: TensorLike, a: None = None, b: None = None, /) -> tuple[Tensor, ...]: ...


@overload
def where(c: TensorLike, a: TensorLike, b: TensorLike, /) -> Tensor: ...


def where(
    c: TensorLike, a: TensorLike | None = None, b: TensorLike | None = None, /
) -> Tensor | tuple[Tensor, ...]:
    """a where c holds, else b; the branch not taken gets gradient exactly 0. Of c alone, what nonzero gives.

    Examples
    --------
    >>> td.where(td.tensor([True, False]), 1.0, 2.0)
    tensor([1., 2.], dtype=float32)
    >>> td.where(td.tensor([True, False, True]))
    (tensor([0, 2], dtype=int64),)
    """
    if a is None and b is None:
        return _core.nonzero(c)
    if a is None or b is None:
        raise TypeError("[where] takes a condition alone, or with what it chooses from: where(c, a, b)")
    return _core.where(c, a, b)


def _cumulative(
    op: Callable[..., Tensor],
    is_new: Callable[..., Tensor],
    x: TensorLike,
    axis: int | None,
    return_indices: bool,
) -> Tensor | CumulativeExtreme:
    values = op(x, axis)
    if not return_indices:
        return values
    x = _core.reshape(x, values.shape)
    places = _core.arange(x.size if axis is None else x.shape[axis], device=x.device)
    places = places.reshape(x.shape if axis is None else (-1,) + (1,) * (x.ndim - 1 - axis % x.ndim))
    news = is_new(x, values)
    if x.dtype.is_floating_point:
        news = _core.logical_or(news, _core.isnan(x))
    return CumulativeExtreme(values, _core.cummax(_core.where(news, places, 0), axis))


@overload
def cummax(x: TensorLike, axis: int | None = None, *, return_indices: Literal[False] = False) -> Tensor: ...


@overload
def cummax(x: TensorLike, axis: int | None = None, *, return_indices: Literal[True]) -> CumulativeExtreme: ...


@overload
def cummax(x: TensorLike, axis: int | None = None, *, return_indices: bool) -> Tensor | CumulativeExtreme: ...


def cummax(
    x: TensorLike, axis: int | None = None, *, return_indices: bool = False
) -> Tensor | CumulativeExtreme:
    """The largest elements up to each one along the axis, NaN from the first NaN on;
    of equal ones the first has the gradient.

    With return_indices a named tuple (values, indices), in which
    of equal ones, and of NaN, the last counts, as in PyTorch.

    Examples
    --------
    >>> td.cummax(td.tensor([3, 1, 3, 5]), return_indices=True).indices
    tensor([0, 0, 2, 3], dtype=int64)
    """
    return _cumulative(_core.cummax, _core.greater_equal, x, axis, return_indices)


@overload
def cummin(x: TensorLike, axis: int | None = None, *, return_indices: Literal[False] = False) -> Tensor: ...


@overload
def cummin(x: TensorLike, axis: int | None = None, *, return_indices: Literal[True]) -> CumulativeExtreme: ...


@overload
def cummin(x: TensorLike, axis: int | None = None, *, return_indices: bool) -> Tensor | CumulativeExtreme: ...


def cummin(
    x: TensorLike, axis: int | None = None, *, return_indices: bool = False
) -> Tensor | CumulativeExtreme:
    """The smallest elements up to each one along the axis, NaN from the first NaN on;
    of equal ones the first has the gradient.

    The rest is as in `cummax`.

    Examples
    --------
    >>> td.cummin(td.tensor([3, 1, 3, 1]), return_indices=True).indices
    tensor([0, 1, 1, 3], dtype=int64)
    """
    return _cumulative(_core.cummin, _core.less_equal, x, axis, return_indices)


def aminmax(x: Tensor, axis: int | Sequence[int] | None = None, keepdims: bool = False) -> MinMax:
    """The smallest and the largest element over the axes (all by default), NaN where any is: (min, max).

    Examples
    --------
    >>> td.aminmax(td.tensor([3, 1, 2]))
    MinMax(min=tensor(1, dtype=int64), max=tensor(3, dtype=int64))
    """
    return MinMax(_core.min(x, axis=axis, keepdims=keepdims), _core.max(x, axis=axis, keepdims=keepdims))


def _found_in_table(x: Tensor, values: Tensor) -> Tensor | None:
    """Which integers x are among values that lie close to each other, of which a table says it; None of
    others, and where somebody looks or there are few."""
    few = 1 << 10
    if x.size < few or x.dtype == _core.uint64 or not isdtype(x.dtype, "integral"):
        return None
    if x.device.type != "cpu" or any(_core._is_seen(v) or _core._is_abstract(v) for v in (x, values)):
        return None
    low, high = int(_core.min(values)), int(_core.max(values))
    if high - low > x.size + values.size or low == -(2**63) or high == 2**63 - 1:
        return None
    x, values = x.astype(_core.int64), values.astype(_core.int64)
    table = _core.zeros(high - low + 3, dtype=_core.bool, device="cpu")
    table = _core.scatter_set(table, values - (low - 1), _core.ones_like(values, dtype=_core.bool))
    places = _core.clip(x, low - 1, high + 1) - (low - 1)  # what lies outside is beside the ends
    return _core.take(table, places.reshape(-1)).reshape(x.shape)


def isin(x: Tensor, values: Tensor | Sequence[float], *, invert: bool = False) -> Tensor:
    """Which elements of x are among `values`, whatever the shape of these; with `invert` which are not. NaN
    is like nothing.

    Examples
    --------
    >>> td.isin(td.tensor([1, 2, 3]), [3, 1])
    tensor([ True, False,  True], dtype=bool)
    """
    x = _core.asarray(x)
    values = beside(values, x)
    common = _core.result_type(x, values)
    if common == _core.bool:
        common = _core.uint8
    x, values = x.astype(common), values.astype(common).reshape(-1)
    found: Tensor | None
    if values.size == 0:
        found = _core.zeros_like(x, dtype=_core.bool)
    else:
        found = _found_in_table(x, values)
        if found is None:
            ordered = _core.sort(values)
            # What is beyond all of them is at the place behind, where the last stands again.
            places, ordered = _core.searchsorted(ordered, x), _core.concat([ordered, ordered[-1:]], axis=0)
            found = _core.equal(_core.take(ordered, places.reshape(-1)).reshape(x.shape), x)
    return _core.logical_not(found) if invert else found


@overload
def unique_consecutive(
    x: TensorLike,
    return_inverse: Literal[False] = False,
    return_counts: Literal[False] = False,
    axis: int | None = None,
) -> Tensor: ...


@overload
def unique_consecutive(
    x: TensorLike, return_inverse: bool = False, return_counts: bool = False, axis: int | None = None
) -> Tensor | UniqueConsecutive: ...


def unique_consecutive(
    x: TensorLike, return_inverse: bool = False, return_counts: bool = False, axis: int | None = None
) -> Tensor | UniqueConsecutive:
    """x without the elements, or the slices along an axis, that are equal to the one before.

    How many are left is read back. With return_inverse or return_counts a named tuple (values,
    inverse_indices, counts): also which one each is, in x's shape or along the axis, and how many it is for.

    Examples
    --------
    >>> td.unique_consecutive(td.tensor([1, 1, 2, 1]))
    tensor([1, 2, 1], dtype=int64)
    """
    x = _core.asarray(x)
    lined, along = (x.reshape(-1), 0) if axis is None else (x, axis)
    rows = _core.moveaxis(lined, along, 0)
    begins = _begins(rows)
    places = _core.flatnonzero(begins)
    values = _core.take(lined, places, axis=along)
    if not (return_inverse or return_counts):
        return values
    inverse = _core.cumulative_sum(begins.astype(_core.int64), 0) - 1
    counts = _counts_of(places, rows.shape[0])
    return UniqueConsecutive(values, inverse.reshape(x.shape) if axis is None else inverse, counts)


def _begins(rows: Tensor) -> Tensor:
    """Which rows are not equal to the one before."""
    first = _core.ones((min(rows.shape[0], 1),), dtype=_core.bool, device=rows.device)
    differs = _core.not_equal(rows[1:], rows[:-1])
    if rows.ndim > 1:
        differs = _core.any(differs.reshape(differs.shape[0], math.prod(rows.shape[1:])), axis=1)
    return _core.concat([first, differs], axis=0)


def _counts_of(places: Tensor, n: int) -> Tensor:
    """How many of n elements there are from each place to the next."""
    return _core.diff(places, append=_core.asarray([n], dtype=_core.int64, device=places.device))


def _inside(q: Any) -> bool:
    return all(map(_inside, q)) if hasattr(q, "__iter__") and not isinstance(q, str) else 0 <= q <= 1


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


def _distinct(x: TensorLike, equal_nan: bool) -> Tensor:
    """The distinct elements alone, for which their places are not looked for."""
    x = _core.asarray(x)
    if x.dtype.is_complex:
        return _core._unique(x, None, equal_nan)[0]
    values = unique_consecutive(_core.sort(x.reshape(-1)))
    if not equal_nan or not x.dtype.is_floating_point:
        return values
    nans = int(_core.count_nonzero(_core.isnan(values)))  # they come last
    return values[: values.shape[0] - max(nans - 1, 0)]


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
    """The distinct elements, or the distinct slices along an axis, sorted: complex numbers by the real part,
    then by the imaginary one.

    A tuple with, as asked for, the place of the first of each, which one each element is (in x's shape), and
    how many there are of each. All NaN are one unless equal_nan is False. How many there are is read back. A
    gradient goes to the first of equal elements.

    Examples
    --------
    >>> td.unique(td.tensor([2, 1, 2]))
    tensor([1, 2], dtype=int64)
    """
    if axis is None and not (return_index or return_inverse or return_counts):
        return _distinct(x, equal_nan)
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
    x = _core.asarray(x)
    if x.dtype.is_complex:
        values, _, _, counts = _core._unique(x, None, False)
        return UniqueCounts(values, counts)
    ordered = _core.sort(x.reshape(-1))
    places = _core.flatnonzero(_begins(ordered))
    return UniqueCounts(_core.take(ordered, places), _counts_of(places, x.size))


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
    return _distinct(x, False)


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
