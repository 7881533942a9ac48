"""Derivatives of functions of pytrees: grad, vjp, jvp, jacobian, hessian."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, Literal, ParamSpec, Protocol, TypeVar, overload

from tidu import _core
from tidu._core import DTypeError, ShapeError, Tensor
from tidu._pytree import MisfitError, Node, flatten, in_order, tree_map, unflatten

T = TypeVar("T")

P = ParamSpec("P")
A = TypeVar("A")
B = TypeVar("B", contravariant=True)
R = TypeVar("R")
S = TypeVar("S", covariant=True)
X = TypeVar("X")


class OfArgument(Protocol[B, P, S]):
    """A function whose first argument, given by place, is the one that it is differentiated by."""

    def __call__(self, argument: B, /, *args: P.args, **kwargs: P.kwargs) -> S: ...


# --- Arguments and results


def name_of(function: Any) -> str:
    return getattr(function, "__name__", None) or type(function).__name__


def _as_tensor(leaf: Any, op: str, where: str) -> Tensor:
    try:
        return _core.asarray(leaf)
    except TypeError as error:
        raise TypeError(f"[{op}] {where} must be tensors or numbers, not {type(leaf).__name__}") from error


def inputs_of(tree: Any, op: str, where: str) -> tuple[list[Tensor], Node]:
    """The leaves of a tree as floating-point tensors, and its structure."""
    leaves, structure = flatten(tree)
    tensors = []
    for i, leaf in enumerate(leaves):
        tensor = leaf if isinstance(leaf, Tensor) else _as_tensor(leaf, op, where)
        if not (tensor.dtype.is_floating_point or tensor.dtype.is_complex):
            place = where if len(leaves) == 1 else f"leaf {i} of {where}"
            raise DTypeError(
                f"[{op}] {place} is {tensor.dtype}{tensor.shape}: only floating-point tensors can be "
                "differentiated (convert it with astype, or leave it out of the differentiated arguments)"
            )
        tensors.append(tensor)
    return tensors, structure


def outputs_from(tree: Any, op: str, like: Node | None = None) -> tuple[list[Tensor], Node]:
    """The leaves of a function's result as tensors, and its structure: `like`, where it is equal to that."""
    leaves, structure = flatten(tree)
    if like is not None and structure == like:
        leaves, structure = in_order(leaves, structure, like), like
    where = "the function's results"
    return [x if isinstance(x, Tensor) else _as_tensor(x, op, where) for x in leaves], structure


def match_tree(tree: Any, structure: Node, tensors: list[Tensor], op: str, what: str) -> list[Tensor | None]:
    """The leaves of a tree that must have the structure and shapes of `tensors`; None leaves a part out."""
    leaves = align_tree(tree, structure, op, what)
    result: list[Tensor | None] = []
    for i, (leaf, like) in enumerate(zip(leaves, tensors, strict=True)):
        if leaf is None:
            result.append(None)
            continue
        tensor = (
            leaf if isinstance(leaf, Tensor) else _core.asarray(leaf, dtype=like.dtype, device=like.device)
        )
        if tensor.shape != like.shape or tensor.dtype != like.dtype:
            place = what if len(leaves) == 1 else f"{what} {i}"
            raise ShapeError(
                f"[{op}] {place} is {tensor.dtype}{tensor.shape} but must be {like.dtype}{like.shape}"
            )
        result.append(tensor)
    return result


def align_tree(tree: Any, structure: Node, op: str, what: str) -> list[Any]:
    """The leaves of a tree in the order of a structure that it should have; None leaves a part out."""
    leaves, got = flatten(tree)
    try:
        return in_order(leaves, got, structure)
    except MisfitError as misfit:
        got, want = misfit.args
    if want.kind == "leaf":
        raise ValueError(f"[{op}] the {what} must be one tensor, not {got!r}")
    raise ValueError(f"[{op}] the {what} has structure {got!r} but must have {want!r}")


def _split_arguments(
    argnums: int | Sequence[int], args: Sequence[Any], op: str
) -> tuple[Any, Callable[[Any], Sequence[Any]]]:
    """The differentiated arguments, and a function that puts others in their place."""
    numbers = (argnums,) if isinstance(argnums, int) else tuple(argnums)
    places = []
    for number in numbers:
        if not -len(args) <= number < len(args):
            raise ValueError(
                f"[{op}] argnums names argument {number}, but the call has {len(args)} positional arguments"
            )
        places.append(number % len(args))
    if len(set(places)) != len(places):
        raise ValueError(f"[{op}] argnums {argnums} names an argument twice")
    chosen = args[places[0]] if isinstance(argnums, int) else tuple(args[place] for place in places)

    def put(values: Any) -> list[Any]:
        all_args = list(args)
        for place, value in zip(places, (values,) if isinstance(argnums, int) else values, strict=True):
            all_args[place] = value
        return all_args

    return chosen, put


def _split_aux(result: Any, op: str) -> tuple[Any, Any]:
    if not isinstance(result, tuple) or len(result) != 2:
        raise TypeError(f"[{op}] with has_aux=True the function must return a pair (value, aux)")
    return result


def _scalar(value: Any, function: Any, op: str) -> Tensor:
    if value is None:
        raise TypeError(f"[{op}] {name_of(function)} returned None instead of a tensor")
    if isinstance(value, tuple | list | dict):
        hint = (
            "pass has_aux=True where it returns (value, aux)" if isinstance(value, tuple) else "use jacobian"
        )
        raise TypeError(
            f"[{op}] {name_of(function)} must return one tensor, not a {type(value).__name__} ({hint})"
        )
    if not isinstance(value, Tensor):
        value = _as_tensor(value, op, "the function's result")
    if value.size != 1:
        raise ShapeError(
            f"[{op}] {name_of(function)} must return one element, not shape {value.shape} (use jacobian)"
        )
    if value.dtype.is_complex:
        raise DTypeError(
            f"[{op}] the function must return a real number, not {value.dtype}{value.shape} (take real, "
            "imag or abs of it, or use vjp)"
        )
    if not value.dtype.is_floating_point:
        raise DTypeError(f"[{op}] {name_of(function)} must return a floating-point tensor, not {value.dtype}")
    found: Tensor = value
    return found


_PACKAGE = os.path.dirname(os.path.abspath(__file__)) + os.sep


def _line_of_user() -> str:
    """Where the innermost call outside of this package was made."""
    frame = sys._getframe(1)
    while frame.f_back and os.path.abspath(frame.f_code.co_filename).startswith(_PACKAGE):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


class Flat:
    """A call as a function of the leaves of its differentiated arguments.

    Keeps the structure of the last result and its aux.
    """

    __slots__ = ("aux", "function", "has_aux", "kwargs", "op", "output_structure", "put", "structure")

    def __init__(
        self,
        function: Callable[..., Any],
        put: Callable[[Any], Sequence[Any]],
        kwargs: dict[str, Any],
        structure: Node,
        has_aux: bool,
        op: str,
    ) -> None:
        self.function, self.put, self.kwargs = function, put, kwargs
        self.structure, self.has_aux, self.op = structure, has_aux, op
        self.output_structure: Any = None  # a Node after the first call

    def result(self, tensors: list[Tensor]) -> Any:
        result = self.function(*self.put(unflatten(self.structure, tensors)), **self.kwargs)
        if self.has_aux:
            result, self.aux = _split_aux(result, self.op)
        return result

    def scalar(self, tensors: list[Tensor]) -> Tensor:
        return _scalar(self.result(tensors), self.function, self.op)

    def __call__(self, tensors: list[Tensor]) -> list[Tensor]:
        result = self.result(tensors)
        outputs, self.output_structure = outputs_from(result, self.op, self.output_structure)
        return outputs

    def checked(self, strict: bool) -> Callable[[list[Tensor]], list[Tensor]]:
        """This function; with strict an error where no path of derivatives leads to an argument."""
        return _core.require_paths(self, self.op, _line_of_user) if strict else self

    def checked_scalar(self, strict: bool) -> Callable[[list[Tensor]], Tensor]:
        if not strict:
            return self.scalar
        checked = _core.require_paths(lambda tensors: [self.scalar(tensors)], self.op, _line_of_user)
        return lambda tensors: checked(tensors)[0]


class OfTensors:
    """A function of trees as one of the tensors that stand at `places` among the leaves of a call.

    `leaves` and `structure` are those of (args, kwargs). Keeps the structure of the last result.
    """

    __slots__ = ("function", "leaves", "op", "output_structure", "places", "structure")

    def __init__(
        self, function: Callable[..., Any], leaves: list[Any], structure: Node, places: list[int], op: str
    ) -> None:
        self.function, self.leaves, self.structure = function, leaves, structure
        self.places, self.op = places, op
        self.output_structure: Any = None  # a Node after the first call

    def __call__(self, tensors: list[Tensor]) -> list[Tensor]:
        filled = list(self.leaves)
        for i, tensor in zip(self.places, tensors, strict=True):
            filled[i] = tensor
        args, kwargs = unflatten(self.structure, filled)
        result = self.function(*args, **kwargs)
        outputs, self.output_structure = outputs_from(result, self.op, self.output_structure)
        return outputs


def _flatten_call(
    function: Callable[..., Any],
    argnums: int | Sequence[int],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    has_aux: bool,
    op: str,
) -> tuple[Flat, list[Tensor]]:
    chosen, put = _split_arguments(argnums, args, op)
    inputs, structure = inputs_of(chosen, op, "the differentiated argument")
    return Flat(function, put, kwargs, structure, has_aux, op), inputs


# --- grad


@overload
def value_and_grad(
    function: OfArgument[A, P, tuple[R, X]],
    argnums: Literal[0] = ...,
    *,
    has_aux: Literal[True],
    strict: bool = ...,
) -> OfArgument[A, P, tuple[tuple[R, X], A]]: ...
@overload
def value_and_grad(
    function: OfArgument[A, P, R],
    argnums: Literal[0] = ...,
    has_aux: Literal[False] = ...,
    strict: bool = ...,
) -> OfArgument[A, P, tuple[R, A]]: ...
@overload
def value_and_grad(
    function: Callable[P, Any], argnums: int | Sequence[int] = ..., has_aux: bool = ..., strict: bool = ...
) -> Callable[P, tuple[Any, Any]]: ...
def value_and_grad(
    function: Callable[..., Any],
    argnums: int | Sequence[int] = 0,
    has_aux: bool = False,
    strict: bool = False,
) -> Callable[..., Any]:
    """A function that returns (value, gradient) of a scalar function.

    Parameters
    ----------
    function : callable
        Of tensors and pytrees of them, to a scalar.
    argnums : int or sequence of int
        The positional argument to differentiate by, any pytree, or several (then the gradient is a tuple).
        Other arguments, keyword arguments among them, are passed through.
    has_aux : bool
        Whether the function returns (value, aux). The result is ((value, aux), gradient) then.
    strict : bool
        Whether it is a GradientError where the gradient by a tensor is zero because no path of derivatives
        leads to it: the error names the operation that cut the path (argmax, round, a conversion to integers
        ..) and its line.

    Returns
    -------
    callable
        Called like the function.

    Examples
    --------
    >>> td.value_and_grad(lambda x: (x * x).sum())(td.tensor([1.0, 2.0]))
    (tensor(5., dtype=float32), tensor([2., 4.], dtype=float32))
    """

    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        flat, inputs = _flatten_call(function, argnums, args, kwargs, has_aux, "grad")
        value, gradients = _core.value_and_grad(flat.checked_scalar(strict), inputs)
        return (value, flat.aux) if has_aux else value, unflatten(flat.structure, gradients)

    return wrapped


@overload
def grad(
    function: OfArgument[A, P, tuple[Any, X]],
    argnums: Literal[0] = ...,
    *,
    has_aux: Literal[True],
    strict: bool = ...,
) -> OfArgument[A, P, tuple[A, X]]: ...
@overload
def grad(
    function: OfArgument[A, P, R],
    argnums: Literal[0] = ...,
    has_aux: Literal[False] = ...,
    strict: bool = ...,
) -> OfArgument[A, P, A]: ...
@overload
def grad(
    function: Callable[P, Any], argnums: int | Sequence[int] = ..., has_aux: bool = ..., strict: bool = ...
) -> Callable[P, Any]: ...
def grad(
    function: Callable[..., Any],
    argnums: int | Sequence[int] = 0,
    has_aux: bool = False,
    strict: bool = False,
) -> Callable[..., Any]:
    """A function that returns the gradient of a scalar function, like the argument `argnums`.

    Parameters
    ----------
    function : callable
        Of tensors and pytrees of them, to a scalar.
    argnums : int or sequence of int
        As in value_and_grad.
    has_aux : bool
        Whether the function returns (value, aux). The result is (gradient, aux) then.
    strict : bool
        As in value_and_grad.

    Returns
    -------
    callable
        Called like the function.

    Examples
    --------
    >>> td.grad(lambda x: (x**3).sum())(td.tensor([1.0, 2.0]))
    tensor([ 3., 12.], dtype=float32)
    """
    both = value_and_grad(function, argnums, has_aux, strict)

    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        value, gradient = both(*args, **kwargs)
        return (gradient, value[1]) if has_aux else gradient

    return wrapped


# --- vjp, jvp


@overload
def vjp(
    function: Callable[..., tuple[R, X]], *primals: Any, has_aux: Literal[True], strict: bool = ...
) -> tuple[R, Callable[[R], tuple[Any, ...]], X]: ...
@overload
def vjp(
    function: Callable[..., R], *primals: Any, has_aux: Literal[False] = ..., strict: bool = ...
) -> tuple[R, Callable[[R], tuple[Any, ...]]]: ...
def vjp(function: Callable[..., Any], *primals: Any, has_aux: bool = False, strict: bool = False) -> Any:
    """function(*primals), and the pullback, from a cotangent like the result to a tuple of cotangents.

    Parameters
    ----------
    function : callable
        Of tensors and pytrees of them.
    *primals
        Its arguments.
    has_aux : bool
        Whether the function returns (value, aux).
    strict : bool
        As in value_and_grad.

    Returns
    -------
    tuple
        (value, pullback), or with has_aux (value, pullback, aux).

    Examples
    --------
    >>> value, pullback = td.vjp(lambda x: x * x, td.tensor(3.0))
    >>> pullback(td.tensor(1.0))
    (tensor(6., dtype=float32),)
    """
    inputs, structure = inputs_of(primals, "vjp", "the primals")
    flat = Flat(function, tuple, {}, structure, has_aux, "vjp")
    outputs, pull = _core.vjp(flat.checked(strict), inputs)
    output_structure = flat.output_structure

    def pullback(cotangent: Any) -> Any:
        cotangents = match_tree(cotangent, output_structure, outputs, "vjp", "cotangent")
        return unflatten(structure, pull(cotangents))

    value = unflatten(output_structure, outputs)
    return (value, pullback, flat.aux) if has_aux else (value, pullback)


def _primals_and_tangents(
    primals: Sequence[Any], tangents: Sequence[Any], op: str
) -> tuple[list[Tensor], Node, list[Tensor | None]]:
    for name, value in (("primals", primals), ("tangents", tangents)):
        if not isinstance(value, tuple | list):
            raise TypeError(f"[{op}] {name} must be a tuple or a list, not {type(value).__name__}")
    primals, tangents = tuple(primals), tuple(tangents)
    if len(primals) != len(tangents):
        raise ValueError(f"[{op}] takes one tangent a primal: {len(primals)}, not {len(tangents)}")
    inputs, structure = inputs_of(primals, op, "the primals")
    return inputs, structure, match_tree(tangents, structure, inputs, op, "tangent")


@overload
def jvp(
    function: Callable[..., tuple[R, X]],
    primals: Sequence[Any],
    tangents: Sequence[Any],
    *,
    has_aux: Literal[True],
    strict: bool = ...,
) -> tuple[R, R, X]: ...
@overload
def jvp(
    function: Callable[..., R],
    primals: Sequence[Any],
    tangents: Sequence[Any],
    has_aux: Literal[False] = ...,
    strict: bool = ...,
) -> tuple[R, R]: ...
def jvp(
    function: Callable[..., Any],
    primals: Sequence[Any],
    tangents: Sequence[Any],
    has_aux: bool = False,
    strict: bool = False,
) -> Any:
    """(function(*primals), its derivative in the direction `tangents`).

    Parameters
    ----------
    function : callable
        Of tensors and pytrees of them.
    primals, tangents : sequence
        Its arguments and their tangents, of the same structure; None stands for a zero tangent.
    has_aux : bool
        Whether the function returns (value, aux).
    strict : bool
        As in value_and_grad.

    Returns
    -------
    tuple
        (value, tangent), or with has_aux (value, tangent, aux).

    Examples
    --------
    >>> td.jvp(td.sin, (td.tensor(0.0),), (td.tensor(2.0),))
    (tensor(0., dtype=float32), tensor(2., dtype=float32))
    """
    inputs, structure, directions = _primals_and_tangents(primals, tangents, "jvp")
    flat = Flat(function, tuple, {}, structure, has_aux, "jvp")
    outputs, output_tangents = _core.jvp(flat.checked(strict), inputs, directions)
    value = unflatten(flat.output_structure, outputs)
    tangent = unflatten(flat.output_structure, output_tangents)
    return (value, tangent, flat.aux) if has_aux else (value, tangent)


# --- Jacobians


def _matrix(
    blocks_of: Callable[..., Any],
    function: Callable[P, Any],
    argnums: int | Sequence[int],
    has_aux: bool,
    strict: bool,
    chunk_size: int | None,
) -> Callable[P, Any]:
    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        flat, inputs = _flatten_call(function, argnums, args, kwargs, has_aux, "jacobian")
        rows = [unflatten(flat.structure, row) for row in blocks_of(flat.checked(strict), inputs, chunk_size)]
        matrix = unflatten(flat.output_structure, rows)
        return (matrix, flat.aux) if has_aux else matrix

    return wrapped


@overload
def jacrev(
    function: OfArgument[Tensor, P, tuple[Tensor, X]],
    argnums: Literal[0] = ...,
    *,
    has_aux: Literal[True],
    strict: bool = ...,
    chunk_size: int | None = ...,
) -> OfArgument[Tensor, P, tuple[Tensor, X]]: ...
@overload
def jacrev(
    function: OfArgument[Tensor, P, Tensor],
    argnums: Literal[0] = ...,
    has_aux: Literal[False] = ...,
    strict: bool = ...,
    chunk_size: int | None = ...,
) -> OfArgument[Tensor, P, Tensor]: ...
@overload
def jacrev(
    function: Callable[P, Any],
    argnums: int | Sequence[int] = ...,
    has_aux: bool = ...,
    strict: bool = ...,
    chunk_size: int | None = ...,
) -> Callable[P, Any]: ...
def jacrev(
    function: Callable[P, Any],
    argnums: int | Sequence[int] = 0,
    has_aux: bool = False,
    strict: bool = False,
    chunk_size: int | None = None,
) -> Callable[P, Any]:
    """A function that returns the Jacobian by reverse mode: a backward pass for the elements of the result.

    For each leaf of the result and each leaf of the argument a tensor of shape result.shape +
    argument.shape, in the structure of the result with that of the argument in its leaves.

    Parameters
    ----------
    function : callable
        Of tensors and pytrees of them.
    argnums, has_aux, strict
        As in value_and_grad.
    chunk_size : int, optional
        How many rows are computed at once, as by vmap: by default as many as fit into 512 MB; one after the
        other where a rule looks at values.

    Returns
    -------
    callable
        Called like the function.

    Examples
    --------
    >>> td.jacrev(lambda x: x * x)(td.tensor([1.0, 2.0]))
    tensor([[2., 0.],
            [0., 4.]], dtype=float32)
    """
    return _matrix(_core.jacrev, function, argnums, has_aux, strict, chunk_size)


@overload
def jacfwd(
    function: OfArgument[Tensor, P, tuple[Tensor, X]],
    argnums: Literal[0] = ...,
    *,
    has_aux: Literal[True],
    strict: bool = ...,
    chunk_size: int | None = ...,
) -> OfArgument[Tensor, P, tuple[Tensor, X]]: ...
@overload
def jacfwd(
    function: OfArgument[Tensor, P, Tensor],
    argnums: Literal[0] = ...,
    has_aux: Literal[False] = ...,
    strict: bool = ...,
    chunk_size: int | None = ...,
) -> OfArgument[Tensor, P, Tensor]: ...
@overload
def jacfwd(
    function: Callable[P, Any],
    argnums: int | Sequence[int] = ...,
    has_aux: bool = ...,
    strict: bool = ...,
    chunk_size: int | None = ...,
) -> Callable[P, Any]: ...
def jacfwd(
    function: Callable[P, Any],
    argnums: int | Sequence[int] = 0,
    has_aux: bool = False,
    strict: bool = False,
    chunk_size: int | None = None,
) -> Callable[P, Any]:
    """A function that returns the Jacobian by forward mode: tangents for the elements of the argument.

    The result is as for jacrev. The function is evaluated once for each leaf of the argument.

    Parameters
    ----------
    function, argnums, has_aux, strict, chunk_size
        As in jacrev, of columns.

    Returns
    -------
    callable
        Called like the function.

    Examples
    --------
    >>> td.jacfwd(lambda x: x * x)(td.tensor([1.0, 2.0]))
    tensor([[2., 0.],
            [0., 4.]], dtype=float32)
    """
    return _matrix(_core.jacfwd, function, argnums, has_aux, strict, chunk_size)


_JACOBIANS = {"auto": _core.jacobian, "fwd": _core.jacfwd, "rev": _core.jacrev}


@overload
def jacobian(
    function: OfArgument[Tensor, P, tuple[Tensor, X]],
    argnums: Literal[0] = ...,
    *,
    has_aux: Literal[True],
    mode: str = ...,
    strict: bool = ...,
    chunk_size: int | None = ...,
    sparse: Literal[False] = ...,
) -> OfArgument[Tensor, P, tuple[Tensor, X]]: ...
@overload
def jacobian(
    function: OfArgument[Tensor, P, Tensor],
    argnums: Literal[0] = ...,
    has_aux: Literal[False] = ...,
    mode: str = ...,
    strict: bool = ...,
    chunk_size: int | None = ...,
    *,
    sparse: Literal[False] = ...,
) -> OfArgument[Tensor, P, Tensor]: ...
@overload
def jacobian(
    function: Callable[P, Any],
    argnums: int | Sequence[int] = ...,
    has_aux: bool = ...,
    mode: str = ...,
    strict: bool = ...,
    chunk_size: int | None = ...,
    *,
    sparse: Any = ...,
) -> Callable[P, Any]: ...
def jacobian(
    function: Callable[P, Any],
    argnums: int | Sequence[int] = 0,
    has_aux: bool = False,
    mode: str = "auto",
    strict: bool = False,
    chunk_size: int | None = None,
    *,
    sparse: Any = False,
) -> Callable[P, Any]:
    """A function that returns the Jacobian, as jacrev does.

    Parameters
    ----------
    function, argnums, has_aux
        As in jacrev.
    mode : str
        "rev" (a pass for each element of the result), "fwd" (one for each element of the argument), or
        "auto", the one of fewer passes. `jacobian(f).mode(*args)` says which one that is: it evaluates f.
    strict, chunk_size
        As in jacrev.
    sparse : bool or pattern
        With True a scipy.sparse.csr_array, computed by few passes on the pattern that the function shows: a
        row for each element of the results, a column for each of the argument (of leaf after leaf, each in
        row-major order). The pattern may also be given, as td.sparsity found it once, or as a scipy.sparse
        or dense matrix of your own. See td.sparse.jacobian, which gives a matrix of tensors that can be
        differentiated again.

    Returns
    -------
    callable
        Called like the function.

    Examples
    --------
    >>> td.jacobian(lambda x: x * x)(td.tensor([1.0, 2.0]))
    tensor([[2., 0.],
            [0., 4.]], dtype=float32)
    """
    if mode not in _JACOBIANS:
        raise ValueError(f"[jacobian] modes are 'auto', 'fwd' and 'rev', not {mode!r}")
    if sparse is not None and sparse is not False:
        from tidu import sparse as _sparse

        of_tensors = _sparse.jacobian(function, sparse, argnums, has_aux, mode, strict, chunk_size)
        return _sparse.as_scipy(of_tensors, has_aux, "jacobian")
    wrapped = _matrix(_JACOBIANS[mode], function, argnums, has_aux, strict, chunk_size)

    def mode_for(*args: Any, **kwargs: Any) -> str:
        if mode != "auto":
            return mode
        flat, inputs = _flatten_call(function, argnums, args, kwargs, has_aux, "jacobian")
        return _core.jacobian_mode(flat(inputs), inputs)

    wrapped.mode = mode_for  # type: ignore[attr-defined]  # what it has beside a function
    return wrapped


@overload
def hessian(
    function: OfArgument[Tensor, P, tuple[Tensor, X]],
    argnums: Literal[0] = ...,
    *,
    has_aux: Literal[True],
    strict: bool = ...,
    chunk_size: int | None = ...,
    sparse: Literal[False] = ...,
) -> OfArgument[Tensor, P, tuple[Tensor, X]]: ...
@overload
def hessian(
    function: OfArgument[Tensor, P, Tensor],
    argnums: Literal[0] = ...,
    has_aux: Literal[False] = ...,
    strict: bool = ...,
    chunk_size: int | None = ...,
    *,
    sparse: Literal[False] = ...,
) -> OfArgument[Tensor, P, Tensor]: ...
@overload
def hessian(
    function: Callable[P, Any],
    argnums: int | Sequence[int] = ...,
    has_aux: bool = ...,
    strict: bool = ...,
    chunk_size: int | None = ...,
    *,
    sparse: Any = ...,
) -> Callable[P, Any]: ...
def hessian(
    function: Callable[P, Any],
    argnums: int | Sequence[int] = 0,
    has_aux: bool = False,
    strict: bool = False,
    chunk_size: int | None = None,
    *,
    sparse: Any = False,
) -> Callable[P, Any]:
    """A function that returns the matrix of second derivatives of a scalar function, forward over reverse.

    Of shape argument.shape + argument.shape; for a pytree of arguments, the Jacobian of its gradient.

    Parameters
    ----------
    function : callable
        Of tensors and pytrees of them, to a scalar.
    argnums, has_aux, strict
        As in value_and_grad: strict is about the gradient.
    chunk_size : int, optional
        As in jacrev.
    sparse : bool or pattern
        As in jacobian, with a pattern that td.hessian_sparsity gives.

    Returns
    -------
    callable
        Called like the function.

    Examples
    --------
    >>> td.hessian(lambda x: x[0] * x[1])(td.tensor([1.0, 2.0]))
    tensor([[0., 1.],
            [1., 0.]], dtype=float32)
    """
    if sparse is not None and sparse is not False:
        from tidu import sparse as _sparse

        of_tensors = _sparse.hessian(function, sparse, argnums, has_aux, strict, chunk_size)
        return _sparse.as_scipy(of_tensors, has_aux, "hessian")

    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        flat, inputs = _flatten_call(function, argnums, args, kwargs, has_aux, "hessian")
        blocks = _core.hessian(flat.checked_scalar(strict), inputs, chunk_size)
        rows = [unflatten(flat.structure, row) for row in blocks]
        matrix = unflatten(flat.structure, rows)
        return (matrix, flat.aux) if has_aux else matrix

    return wrapped


@overload
def hessian_diagonal(
    function: OfArgument[A, P, tuple[Any, X]], argnums: Literal[0] = ..., *, has_aux: Literal[True]
) -> OfArgument[A, P, tuple[A, X]]: ...
@overload
def hessian_diagonal(
    function: OfArgument[A, P, R], argnums: Literal[0] = ..., has_aux: Literal[False] = ...
) -> OfArgument[A, P, A]: ...
@overload
def hessian_diagonal(
    function: Callable[P, Any], argnums: int | Sequence[int] = ..., has_aux: bool = ...
) -> Callable[P, Any]: ...
def hessian_diagonal(
    function: Callable[..., Any], argnums: int | Sequence[int] = 0, has_aux: bool = False
) -> Callable[..., Any]:
    """A function that returns the diagonal of the Hessian of a scalar function, like the argument `argnums`.

    Element i is the second derivative by element i: one product of the Hessian for each, and no matrix.

    Parameters
    ----------
    function, argnums, has_aux
        As in grad.

    Returns
    -------
    callable
        Called like the function.

    Examples
    --------
    >>> td.hessian_diagonal(lambda x: (x**3).sum())(td.tensor([1.0, 2.0]))
    tensor([ 6., 12.], dtype=float32)
    """

    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        flat, inputs = _flatten_call(function, argnums, args, kwargs, has_aux, "hessian_diagonal")
        diagonal = unflatten(flat.structure, _core.hessian_diagonal(flat.scalar, inputs))
        return (diagonal, flat.aux) if has_aux else diagonal

    return wrapped


def stop_gradient(tree: T) -> T:
    """The same values as constants, for a tensor or a pytree of them.

    Examples
    --------
    >>> td.grad(lambda x: x * td.stop_gradient(x))(td.tensor(3.0))
    tensor(3., dtype=float32)
    """
    found: T = tree_map(lambda leaf: _core.stop_gradient(leaf) if isinstance(leaf, Tensor) else leaf, tree)
    return found
