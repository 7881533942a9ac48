"""Sparse derivatives: patterns, Jacobians and Hessians by few products, and matrices by rows.

x = td.linspace(0.0, 1.0, 6)
f = lambda x: x[1:] ** 2 - x[:-1]
pattern = td.sparsity(f, x)            # found once: Sparsity(5 x 6, 10 nonzeros, 2 colors, mode='fwd')
td.jacobian(f, sparse=pattern)(x)      # a scipy.sparse.csr_array, by two jvps
td.sparse.jacobian(f, pattern)(x) @ x  # the same of tensors, which can be differentiated
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Sequence
from typing import Any, ParamSpec

from tidu import _core
from tidu._arguments import explain as _explain
from tidu._core import DTypeError, GradientError, ShapeError, Tensor, TraceError
from tidu._pytree import flatten as _flatten
from tidu._pytree import register as _register
from tidu._pytree import unflatten as _unflatten
from tidu._transforms import (
    _flatten_call,
    _scalar,
    _split_arguments,
    _split_aux,
    inputs_of,
    outputs_from,
)
from tidu.typing import DeviceLike, DTypeLike, TensorLike

P = ParamSpec("P")

__all__ = ["CSR", "Sparsity", "hessian", "hessian_sparsity", "jacobian", "sparsity"]

_MODES = ("auto", "fwd", "rev")
_HESSIAN_MODES = ("symmetric", "star", "acyclic")


def _scipy_sparse(op: str) -> Any:
    try:
        import scipy.sparse
    except ImportError as error:
        raise ImportError(
            f"[{op}] needs SciPy (pip install scipy); td.sparse.jacobian and td.sparse.hessian do without it"
        ) from error
    return scipy.sparse


def _is_scipy(value: object) -> bool:
    return type(value).__module__.startswith("scipy.sparse")


# --- Patterns


class Sparsity:
    """Where a matrix of derivatives can be other than 0, and which columns or rows are computed together.

    td.sparsity and td.hessian_sparsity find one on the function; Sparsity(pattern) takes it from a
    scipy.sparse matrix (its stored elements), a CSR, or a dense matrix (what is not 0).
    mode: "fwd" (groups of columns, a jvp each), "rev" (groups of rows, a vjp each), "auto", the one of fewer
    groups, or, of a Hessian, "symmetric", "star" or "acyclic": see hessian_sparsity.

    shape, nnz; indptr and indices, the pattern by rows, and colors, the group of each column or row (-1: it
    has no elements), all int64 vectors; num_colors, which is the number of products; mode, which of
    "symmetric" and "star" is "symmetric".

    Examples
    --------
    >>> td.sparse.Sparsity(td.eye(3))
    Sparsity(3 x 3, 3 nonzeros, 1 colors, mode='fwd')
    """

    __slots__ = ("_arguments", "_coloring")
    _arguments: str | None

    def __init__(self, pattern: Any, mode: str = "auto") -> None:
        if mode not in _MODES + _HESSIAN_MODES:
            raise ValueError(f"[Sparsity] modes are {', '.join(_MODES + _HESSIAN_MODES)}, not {mode!r}")
        if isinstance(pattern, CSR | Sparsity):
            shape, rows, columns = pattern.shape, _rows_of(pattern.indptr), pattern.indices
        elif _is_scipy(pattern):
            coordinates = pattern.tocoo()
            shape, rows, columns = pattern.shape, coordinates.row, coordinates.col
        else:
            dense = _as_dense(pattern)
            shape = dense.shape[0], dense.shape[1]
            rows, columns = _core.nonzero(dense)
        rows, columns = (_core.asarray(each, dtype=_core.int64) for each in (rows, columns))
        self._coloring = _core.Coloring(int(shape[0]), int(shape[1]), rows, columns, mode)
        self._arguments = None

    @classmethod
    def _of(cls, coloring: _core.Coloring, arguments: str | None = None) -> Sparsity:
        self = object.__new__(cls)
        self._coloring, self._arguments = coloring, arguments
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (
            self.shape,
            self.indptr.tolist(),
            self.indices.tolist(),
            "star" if self.mode == "symmetric" else self.mode,
            self._arguments,
        )

    def _check(self, argnums: int | Sequence[int], args: Sequence[Any], op: str) -> None:
        """That a pattern found for other arguments is not used for these."""
        given = _described(argnums, args, op)
        if self._arguments not in (None, given):
            raise ValueError(
                f"[{op}] the pattern was found for {self._arguments}, not for {given} (find it for these)"
            )

    def __repr__(self) -> str:
        rows, columns = self.shape
        return (
            f"Sparsity({rows} x {columns}, {self.nnz} nonzeros, {self.num_colors} colors, mode={self.mode!r})"
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sparsity):
            return NotImplemented
        return bool(self.__reduce__()[1][:4] == other.__reduce__()[1][:4])

    __hash__ = None  # type: ignore[assignment]  # equal ones are not the same for long

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns)"""
        return self._coloring.shape

    @property
    def nnz(self) -> int:
        """How many elements can be other than 0."""
        return self._coloring.nnz

    @property
    def mode(self) -> str:
        """ "fwd", "rev", "symmetric" or "acyclic"."""
        return self._coloring.mode

    @property
    def num_colors(self) -> int:
        """How many products the matrix takes."""
        return self._coloring.num_colors

    @property
    def colors(self) -> Tensor:
        """The group of each column, or row."""
        return self._coloring.colors

    @property
    def indptr(self) -> Tensor:
        """Where each row begins in indices."""
        return self._coloring.indptr

    @property
    def indices(self) -> Tensor:
        """The columns of the elements, by rows."""
        return self._coloring.indices

    def to_scipy(self) -> Any:
        """The pattern as a scipy.sparse.csr_array of True."""
        ones = _core.ones((self.nnz,), dtype=_core.bool, device="cpu")
        return _to_scipy(ones, self.indices, self.indptr, self.shape, "to_scipy")

    def to_dense(self) -> Tensor:
        """The pattern as a bool tensor."""
        return (
            CSR._of(_core.ones((self.nnz,), device="cpu"), self.indices, self.indptr, self.shape).to_dense()
            != 0
        )


def _as_dense(pattern: Any) -> Tensor:
    dense = pattern if isinstance(pattern, Tensor) else _core.asarray(pattern)
    if dense.ndim != 2:
        raise ShapeError(
            f"[Sparsity] a pattern has two axes, not shape {dense.shape} (give a matrix, what td.sparsity "
            "found, or True)"
        )
    return dense


def _restored(
    shape: Sequence[int], indptr: Any, indices: Any, mode: str, arguments: str | None = None
) -> Sparsity:
    rows = _core.asarray(
        [i for i in range(shape[0]) for _ in range(indptr[i + 1] - indptr[i])], dtype=_core.int64
    )
    coloring = _core.Coloring(shape[0], shape[1], rows, _core.asarray(indices, dtype=_core.int64), mode)
    return Sparsity._of(coloring, arguments)


def _rows_of(indptr: Any) -> Any:
    import numpy as np

    ends = np.asarray(indptr.tolist() if isinstance(indptr, Tensor) else indptr)
    return np.repeat(np.arange(len(ends) - 1), np.diff(ends))


def _described(argnums: int | Sequence[int], args: Sequence[Any], op: str) -> str:
    """Which arguments a matrix is by: their numbers, structure and shapes."""
    leaves, structure = _flatten(_split_arguments(argnums, args, op)[0])
    shapes = ", ".join(str(getattr(leaf, "shape", ())) for leaf in leaves)
    return f"argument {argnums}, {structure!r} of shapes {shapes}"


def _recorded(
    function: Callable[..., Any],
    argnums: int | Sequence[int],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    has_aux: bool,
    scalar: bool,
    op: str,
) -> tuple[Callable[..., Any], list[Tensor], list[Tensor]]:
    """The function of its differentiated and its other floating-point tensors, and both of these."""
    leaves, structure = _flatten((args, kwargs))
    _split_arguments(argnums, args, op)
    places, begin = [], 0
    for arg in args:
        count = len(_flatten(arg)[0])
        places.append(range(begin, begin + count))
        begin += count
    numbers = (argnums,) if isinstance(argnums, int) else tuple(argnums)
    moving = [place for number in numbers for place in places[number]]
    others = [
        place
        for place, leaf in enumerate(leaves)
        if place not in set(moving) and isinstance(leaf, Tensor) and leaf.dtype.is_floating_point
    ]
    primals, _ = inputs_of([leaves[place] for place in moving], op, "the differentiated argument")

    def flat(tensors: list[Tensor]) -> Any:
        filled = list(leaves)
        for place, tensor in zip(moving + others, tensors, strict=True):
            filled[place] = tensor
        args, kwargs = _unflatten(structure, filled)
        result = function(*args, **kwargs)
        if has_aux:
            result = _split_aux(result, op)[0]
        return _scalar(result, function, op) if scalar else outputs_from(result, op)[0]

    return flat, primals, [leaves[place] for place in others]


def sparsity(
    function: Callable[..., Any],
    *args: Any,
    argnums: int | Sequence[int] = 0,
    mode: str = "auto",
    **kwargs: Any,
) -> Sparsity:
    """Where the Jacobian of `function` can be other than 0, at arguments like `args`: a Sparsity.

    A row for each element of the results, a column for each of the argument `argnums`: the elements of each
    leaf in row-major order, one leaf after the other. The pattern holds for all values of the floating-point
    tensors among the arguments, and for all random numbers. Other arguments (Python numbers, index tensors)
    and what the function closes over are taken as they are, and a product with a zero of theirs as 0: where
    they change, so may the pattern.

    The derivative is recorded, as td.program does it, and sets of columns go through its calls: exactly
    through those that move elements (views, slices, concatenation, known indices), that are elementwise,
    that reduce or accumulate along axes, and through products of matrices. Of other calls (inverses,
    eigenvalues) each result depends on all elements of its matrix; of a branch both ways count. The function
    may not look at values: a TraceError; give the pattern yourself then, Sparsity(pattern).

    mode: "fwd", "rev", or "auto", the one of fewer products. Many orders of the columns are tried, and the
    fewest colours kept.

    Examples
    --------
    >>> td.sparsity(lambda x: x[1:] - x[:-1], td.ones(4))
    Sparsity(3 x 4, 6 nonzeros, 2 colors, mode='fwd')
    """
    if mode not in _MODES:
        raise ValueError(f"[sparsity] modes are 'auto', 'fwd' and 'rev', not {mode!r}")
    flat, primals, others = _recorded(function, argnums, args, kwargs, False, False, "sparsity")
    arguments = _described(argnums, args, "sparsity")
    return Sparsity._of(_core.jacobian_sparsity(flat, primals, others, mode), arguments)


def hessian_sparsity(
    function: Callable[..., Any],
    *args: Any,
    argnums: int | Sequence[int] = 0,
    mode: str = "symmetric",
    **kwargs: Any,
) -> Sparsity:
    """Where the Hessian of the scalar `function` can be other than 0, and how it is computed: a Sparsity.

    As `sparsity`, found on the derivative of the gradient: a linear operation adds nothing, a product the
    pairs of its factors.

    mode: "star", by products from which each element is read, at its row or at its column (star colouring; or
    "fwd", where that takes fewer); "acyclic", by fewer where there are any, from which elements are found one
    from the other, by subtraction (acyclic colouring; Gebremedhin, Manne and Pothen, SIAM Review 47, 2005).
    A tridiagonal matrix takes 2 products then and not 3, but the rounding errors of all that is taken from an
    element add up: "symmetric" is "acyclic" where those are at most 8, else "star".

    Examples
    --------
    >>> td.hessian_sparsity(lambda x: (x[1:] * x[:-1]).sum(), td.ones(4))
    Sparsity(4 x 4, 6 nonzeros, 2 colors, mode='fwd')
    """
    if mode not in _HESSIAN_MODES:
        raise ValueError(f"[hessian_sparsity] modes are 'symmetric', 'star' and 'acyclic', not {mode!r}")
    flat, primals, others = _recorded(function, argnums, args, kwargs, False, True, "hessian_sparsity")
    arguments = _described(argnums, args, "hessian_sparsity")
    return Sparsity._of(_core.hessian_sparsity(flat, primals, others, mode), arguments)


# --- Matrices


class _Places:
    """Where the elements of a CSR are: what is no leaf of it."""

    __slots__ = ("indices", "indptr", "shape")

    def __init__(self, indices: Any, indptr: Any, shape: Sequence[int]) -> None:
        self.indices, self.indptr, self.shape = indices, indptr, tuple(shape)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, tuple):  # from a file
            return self.plain() == other
        if not isinstance(other, _Places):
            return NotImplemented
        pairs = ((self.indices, other.indices), (self.indptr, other.indptr))
        try:
            return self.shape == other.shape and all(a is b or a.tolist() == b.tolist() for a, b in pairs)
        except TraceError:  # not known while a program is recorded
            return False

    __hash__ = None  # type: ignore[assignment]  # equal ones are not the same for long

    def __repr__(self) -> str:
        return f"{self.shape[0]} x {self.shape[1]}, indices={str(self.indices)[:60]}"

    def plain(self) -> tuple[Any, ...]:
        return self.indices.tolist(), self.indptr.tolist(), self.shape


def _integers(values: Any, name: str, device: DeviceLike | None) -> Tensor:
    tensor = values if isinstance(values, Tensor) else _core.asarray(values, device=device)
    if tensor.dtype == _core.bool or (tensor.dtype.is_floating_point and tensor.size > 0):
        raise DTypeError(f"[CSR] {name} must be integers, not {tensor.dtype}{tensor.shape} (use astype)")
    return _core.astype(tensor, _core.int64, copy=False)


class CSR:
    """A sparse matrix by rows: row i has data[k] in column indices[k] for k from indptr[i] to indptr[i + 1].

    Of tensors on one device: data, indices and indptr (int64). A @ x and x @ A for vectors and matrices x,
    and A.T, are differentiable by data and by x, to any order and under vmap; the elements of a row are
    added in their order. Elements that stand twice are added.

    In pytrees it has one leaf, data: transforms differentiate and map that, and results have the same places.

    Examples
    --------
    >>> td.sparse.CSR([1.0, 2.0], [1, 0], [0, 1, 2], (2, 2)).to_dense()
    tensor([[0., 1.],
            [2., 0.]], dtype=float32)
    """

    __slots__ = ("data", "indices", "indptr", "shape")
    __array_ufunc__ = None  # array @ A comes here
    ndim = 2
    data: Tensor
    indices: Tensor
    indptr: Tensor
    shape: tuple[int, int]

    def __init__(self, data: Any, indices: Any, indptr: Any, shape: Sequence[int]) -> None:
        data = data if isinstance(data, Tensor) else _core.asarray(data)
        indices, indptr = (
            _integers(x, name, data.device) for x, name in ((indices, "indices"), (indptr, "indptr"))
        )
        extents: Any = tuple(map(operator.index, shape))
        lengths = (extents[0] + 1,) if len(extents) == 2 else None
        if data.ndim != 1 or indices.shape != data.shape or indptr.shape != lengths:
            raise ShapeError(
                f"[CSR] data {data.shape}, indices {indices.shape} and indptr {indptr.shape} do not make a "
                f"matrix of shape {extents}: data and indices have one length, indptr an element more than "
                "rows"
            )
        _check_places(indices, indptr, extents)
        self.data, self.indices, self.indptr, self.shape = data, indices, indptr, extents

    @classmethod
    def _of(cls, data: Tensor, indices: Tensor, indptr: Tensor, shape: tuple[int, int]) -> CSR:
        self = object.__new__(cls)
        self.data, self.indices, self.indptr, self.shape = data, indices, indptr, shape
        return self

    def tree_flatten(self) -> tuple[list[Tensor], _Places]:
        """What td.tree.register asks for: the parts, and what else there is."""
        return [self.data], _Places(self.indices, self.indptr, self.shape)

    @classmethod
    def tree_unflatten(cls, places: Any, parts: Sequence[Any]) -> CSR:
        """The matrix of the parts and places that tree_flatten gave."""
        if isinstance(places, tuple):  # from a file
            indices, indptr, shape = places
            indices, indptr = (_core.asarray(x, dtype=_core.int64) for x in (indices, indptr))
            places = _Places(indices, indptr, shape)
        (data,) = parts
        return cls._of(data, places.indices, places.indptr, places.shape)

    @classmethod
    def from_scipy(cls, matrix: Any, dtype: DTypeLike | None = None, device: DeviceLike | None = None) -> CSR:
        """A scipy.sparse matrix of any format; a copy."""
        rows = matrix.tocsr()
        data = _core.asarray(rows.data, dtype=dtype, device=device)
        return cls(_core.copy(data), rows.indices, rows.indptr, rows.shape)

    def to_scipy(self) -> Any:
        """A scipy.sparse.csr_array on the host, with indices as SciPy chooses them: int32 where they fit.

        float16 and bfloat16, which SciPy lacks, become float32.
        """
        return _to_scipy(self.data, self.indices, self.indptr, self.shape, "to_scipy")

    def to_dense(self) -> Tensor:
        """A tensor of the matrix's shape."""
        return _core.csr_to_dense(*self._parts())

    @property
    def nnz(self) -> int:
        """How many elements are stored."""
        return self.data.size

    @property
    def dtype(self) -> _core.dtype:
        """The dtype of the elements."""
        return self.data.dtype

    @property
    def device(self) -> _core.device:
        """The device of all parts."""
        return self.data.device

    @property
    def T(self) -> CSR:
        """The transposed matrix, by rows again."""
        data, indices, indptr = _core.csr_transposed(*self._parts())
        return CSR._of(data, indices, indptr, self.shape[::-1])

    def __matmul__(self, other: TensorLike) -> Tensor:
        if isinstance(other, CSR) or _is_scipy(other):
            raise TypeError(
                "[matmul] a CSR takes vectors and dense matrices (use to_scipy() for a sparse product)"
            )
        dense = other if isinstance(other, Tensor) else _core.asarray(other, device=self.device)
        data, indices, indptr, shape = self._parts()
        return _core.csr_matmul(data, indices, indptr, shape, dense)

    def __rmatmul__(self, other: TensorLike) -> Tensor:
        dense = other if isinstance(other, Tensor) else _core.asarray(other, device=self.device)
        if dense.ndim not in (1, 2) or dense.shape[-1] != self.shape[0]:
            raise ShapeError(f"[matmul] {dense.dtype}{dense.shape} does not fit a sparse matrix {self.shape}")
        product = self.T @ (dense if dense.ndim == 1 else dense.T)
        return product if dense.ndim == 1 else product.T

    def __repr__(self) -> str:
        rows, columns = self.shape
        return f"CSR({rows} x {columns}, {self.nnz} nonzeros, {self.dtype}, {self.device})"

    def _parts(self) -> tuple[Tensor, Tensor, Tensor, tuple[int, int]]:
        return self.data, self.indices, self.indptr, self.shape


_register(CSR)


def _check_places(indices: Tensor, indptr: Tensor, shape: Sequence[int]) -> None:
    try:
        ends, columns = indptr.tolist(), indices.tolist()
    except TraceError:  # a program is recorded
        return
    if ends[0] != 0 or ends[-1] != len(columns) or ends != sorted(ends):
        raise ValueError(f"[CSR] indptr must rise from 0 to the number of elements, {len(columns)}")
    if columns and not 0 <= min(columns) <= max(columns) < shape[1]:
        raise ValueError(f"[CSR] indices must be in [0, {shape[1]})")


def _to_scipy(data: Tensor, indices: Tensor, indptr: Tensor, shape: Sequence[int], op: str) -> Any:
    scipy_sparse = _scipy_sparse(op)
    if data.dtype in (_core.float16, _core.bfloat16):
        data = _core.astype(data, _core.float32, copy=False)
    try:
        values = data.cpu().numpy()
    except (GradientError, TraceError) as error:
        raise type(error)(
            f"[{op}] a SciPy matrix cannot be differentiated or recorded further: {error} "
            "(td.sparse.jacobian and td.sparse.hessian give matrices of tensors)"
        ) from error
    return scipy_sparse.csr_array((values, indices.cpu().numpy(), indptr.cpu().numpy()), shape=shape)


# --- Derivatives


def _pattern_for(pattern: Any, mode: str) -> Sparsity | None:
    """What `sparse` of a transform says: None where the pattern is to be found."""
    if pattern is None or pattern is True:
        return None
    if isinstance(pattern, Sparsity) and mode in ("auto", "symmetric", pattern.mode):
        return pattern
    return Sparsity(pattern, mode)


def _by_colors(
    function: Callable[P, Any],
    given: Sparsity | None,
    find: Callable[..., Any],
    is_hessian: bool,
    argnums: int | Sequence[int],
    has_aux: bool,
    strict: bool,
    chunk_size: int | None,
) -> Callable[P, Any]:
    """A function that gives the matrix of the pattern `given` or, if None, of what `find` finds each time."""
    op = "hessian" if is_hessian else "jacobian"
    compute = _core.sparse_hessian if is_hessian else _core.sparse_jacobian

    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        pattern = given
        if pattern is None:
            pattern = Sparsity._of(find(*_recorded(function, argnums, args, kwargs, has_aux, is_hessian, op)))
        pattern._check(argnums, args, op)
        flat, inputs = _flatten_call(function, argnums, args, kwargs, has_aux, op)
        checked = flat.checked_scalar(strict) if is_hessian else flat.checked(strict)
        data, indices, indptr = compute(checked, inputs, pattern._coloring, chunk_size)
        matrix = CSR._of(data, indices, indptr, pattern.shape)
        return (matrix, flat.aux) if has_aux else matrix

    return wrapped


def jacobian(
    function: Callable[P, Any],
    pattern: Any = None,
    argnums: int | Sequence[int] = 0,
    has_aux: bool = False,
    mode: str = "auto",
    strict: bool = False,
    chunk_size: int | None = None,
) -> Callable[P, Any]:
    """A function that returns the Jacobian as a CSR of tensors, by a product for each colour of its pattern.

    A row for each element of the results, a column for each of the argument: the elements of each leaf in
    row-major order, one leaf after the other. pattern: what td.sparsity gave, or anything that Sparsity
    takes; without one it is found at each call. Elements that it lacks are taken as 0: of a wrong pattern
    the result is wrong. The products are computed at once, as by vmap, or chunk_size of them at a time.
    Other parameters are as in td.jacobian. The result can be differentiated again, by its data.

    Examples
    --------
    >>> td.sparse.jacobian(lambda x: x * x)(td.tensor([1.0, 2.0])).to_dense()
    tensor([[2., 0.],
            [0., 4.]], dtype=float32)
    """
    if mode not in _MODES:
        raise ValueError(f"[jacobian] modes are 'auto', 'fwd' and 'rev', not {mode!r}")
    find = lambda flat, primals, others: _core.jacobian_sparsity(flat, primals, others, mode)
    return _by_colors(
        function, _pattern_for(pattern, mode), find, False, argnums, has_aux, strict, chunk_size
    )


def hessian(
    function: Callable[P, Any],
    pattern: Any = None,
    argnums: int | Sequence[int] = 0,
    has_aux: bool = False,
    strict: bool = False,
    chunk_size: int | None = None,
) -> Callable[P, Any]:
    """A function that returns the Hessian of a scalar function as a CSR of tensors, as `jacobian` does.

    By a product of the Hessian for each colour of its pattern, which td.hessian_sparsity gives.

    Examples
    --------
    >>> td.sparse.hessian(lambda x: (x**3).sum())(td.tensor([1.0, 2.0])).to_dense()
    tensor([[ 6.,  0.],
            [ 0., 12.]], dtype=float32)
    """
    given = _pattern_for(pattern, "symmetric")

    find = lambda flat, primals, others: _core.hessian_sparsity(flat, primals, others, "symmetric")

    return _by_colors(function, given, find, True, argnums, has_aux, strict, chunk_size)


def as_scipy(of_tensors: Callable[P, Any], has_aux: bool, op: str) -> Callable[P, Any]:
    """A function that gives a CSR as one that gives a scipy.sparse.csr_array."""
    _scipy_sparse(op)

    @functools.wraps(of_tensors)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        matrix, *aux = of_tensors(*args, **kwargs) if has_aux else (of_tensors(*args, **kwargs),)
        data, indices, indptr, shape = matrix._parts()
        result = _to_scipy(data, indices, indptr, shape, op)
        return (result, *aux) if has_aux else result

    return wrapped


_explain(globals(), __all__)
