"""Derivatives along directions: directional and total derivative, linearize, products of the Hessian.

A point x is one argument of the function, any pytree; a tuple is the tuple of all its arguments. A direction
is like the point; None in it stands for zero.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeVar, overload

from tidu import _core
from tidu._core import Tensor
from tidu._pytree import unflatten
from tidu._transforms import Flat, inputs_of, match_tree

R = TypeVar("R")
T = TypeVar("T")
X = TypeVar("X")


class Point:
    """A function at a point, over flat lists of tensors."""

    def __init__(self, function: Callable[..., Any], x: Any, op: str, has_aux: bool = False) -> None:
        self.is_tuple = type(x) is tuple
        self.inputs, self.structure = inputs_of(x if self.is_tuple else (x,), op, "the point")
        self.flat = Flat(function, tuple, {}, self.structure, has_aux, op)
        self.op, self.has_aux = op, has_aux

    def direction(self, v: Any) -> list[Tensor | None]:
        """The leaves of a direction, None where zero."""
        if not self.is_tuple:
            v = (v,)
        elif not isinstance(v, tuple | list) or len(v) != len(self.structure.children):
            raise ValueError(
                f"[{self.op}] the point is a tuple of {len(self.structure.children)} arguments, so the "
                "direction must be one as well"
            )
        return match_tree(tuple(v), self.structure, self.inputs, self.op, "direction")

    def tree(self, tensors: list[Tensor]) -> Any:
        """Tensors like the inputs, as a tree like the point."""
        tree = unflatten(self.structure, tensors)
        return tree if self.is_tuple else tree[0]

    def result(self, tensors: list[Tensor]) -> Any:
        """Tensors like the outputs, as a tree like the function's result."""
        return unflatten(self.flat.output_structure, tensors)

    def with_aux(self, result: Any) -> Any:
        return (result, self.flat.aux) if self.has_aux else result


@overload
def directional_derivative(
    function: Callable[..., tuple[R, X]], x: Any, v: Any, *, has_aux: Literal[True]
) -> tuple[R, X]: ...
@overload
def directional_derivative(
    function: Callable[..., R], x: Any, v: Any, has_aux: Literal[False] = ...
) -> R: ...
def directional_derivative(function: Callable[..., Any], x: Any, v: Any, has_aux: bool = False) -> Any:
    """The derivative of `function` at x in the direction v: the slope of t -> function(x + t v) at t = 0.

    For a scalar function it is <gradient, v>.

    Parameters
    ----------
    function : callable
        Of tensors and pytrees of them.
    x : tensor or pytree
        The argument; a tuple is the tuple of arguments.
    v : tensor or pytree
        Like x. It need not be of norm 1: the derivative is linear in it.
    has_aux : bool
        Whether the function returns (value, aux). The result is (derivative, aux) then.

    Returns
    -------
    tensor or pytree
        Like the function's result.

    Examples
    --------
    >>> td.directional_derivative(lambda x: (x * x).sum(), td.tensor([1.0, 2.0]), td.tensor([1.0, 0.0]))
    tensor(2., dtype=float32)
    """
    point = Point(function, x, "directional_derivative", has_aux)
    _, tangents = _core.jvp(point.flat, point.inputs, point.direction(v))
    return point.with_aux(point.result(tangents))


@overload
def steepest_direction(
    function: Callable[..., tuple[Any, X]], x: T, *, has_aux: Literal[True]
) -> tuple[T, X]: ...
@overload
def steepest_direction(function: Callable[..., Any], x: T, has_aux: Literal[False] = ...) -> T: ...
def steepest_direction(function: Callable[..., Any], x: Any, has_aux: bool = False) -> Any:
    """The direction in which a scalar function rises fastest at x: its gradient divided by the norm of that.

    The directional derivative along it is the norm of the gradient, and no other direction of norm 1 has a
    larger one. A ValueError where the gradient is zero.

    Parameters
    ----------
    function : callable
        Of tensors and pytrees of them, to a scalar.
    x : tensor or pytree
        The argument; a tuple is the tuple of arguments.
    has_aux : bool
        Whether the function returns (value, aux). The result is (direction, aux) then.

    Returns
    -------
    tensor or pytree
        Like x, of norm 1, the Euclidean one over all leaves.

    Examples
    --------
    >>> td.steepest_direction(lambda x: 3 * x[0] + 4 * x[1], td.tensor([0.0, 0.0]))
    tensor([0.6, 0.8], dtype=float32)
    """
    point = Point(function, x, "steepest_direction", has_aux)
    return point.with_aux(point.tree(_core.steepest_direction(point.flat.scalar, point.inputs)))


class TotalDerivative:
    """The total derivative of a function at x: the linear map L with f(x + p) = f(x) + L(p) + o(norm p).

    L(p) is like the function's result, f(x); `value` is f(x), and `model(p)` the linear model f(x) + L(p).
    """

    def __init__(self, point: Point) -> None:
        outputs, self._derivative = _core.linearize(point.flat, point.inputs)
        self._point, self._outputs = point, outputs

    @property
    def value(self) -> Any:
        return self._point.result(self._outputs)

    def __call__(self, p: Any) -> Any:
        return self._point.result(self._derivative(self._point.direction(p)))

    def model(self, p: Any) -> Any:
        changes = self._derivative(self._point.direction(p))
        return self._point.result([y + dy for y, dy in zip(self._outputs, changes, strict=True)])


@overload
def total_derivative(
    function: Callable[..., tuple[Any, X]], x: Any, *, has_aux: Literal[True]
) -> tuple[TotalDerivative, X]: ...
@overload
def total_derivative(
    function: Callable[..., Any], x: Any, has_aux: Literal[False] = ...
) -> TotalDerivative: ...
def total_derivative(function: Callable[..., Any], x: Any, has_aux: bool = False) -> Any:
    """The total derivative of `function` at x, a TotalDerivative: called with p, like x, it gives J p.

    Parameters
    ----------
    function : callable
        Of tensors and pytrees of them. It is evaluated once, here.
    x : tensor or pytree
        The argument; a tuple is the tuple of arguments, as p is then.
    has_aux : bool
        Whether the function returns (value, aux).

    Returns
    -------
    TotalDerivative
        Each call costs the linear part of the function.

    Examples
    --------
    >>> td.total_derivative(lambda x: x * x, td.tensor(3.0))(td.tensor(1.0))
    tensor(6., dtype=float32)
    """
    point = Point(function, x, "total_derivative", has_aux)
    return point.with_aux(TotalDerivative(point))


@overload
def linearize(
    function: Callable[..., tuple[R, X]], *primals: Any, has_aux: Literal[True]
) -> tuple[R, Callable[..., R], X]: ...
@overload
def linearize(
    function: Callable[..., R], *primals: Any, has_aux: Literal[False] = ...
) -> tuple[R, Callable[..., R]]: ...
def linearize(function: Callable[..., Any], *primals: Any, has_aux: bool = False) -> Any:
    """function(*primals), and its derivative there: a function of tangents, like the primals.

    Parameters
    ----------
    function : callable
        Of tensors and pytrees of them. It is evaluated once.
    *primals
        Its arguments.
    has_aux : bool
        Whether the function returns (value, aux).

    Returns
    -------
    tuple
        (value, derivative), or with has_aux (value, derivative, aux). derivative(*tangents) is like the
        result.

    Examples
    --------
    >>> value, derivative = td.linearize(td.sin, td.tensor(0.0))
    >>> derivative(td.tensor(2.0))
    tensor(2., dtype=float32)
    """
    point = Point(function, primals, "linearize", has_aux)
    outputs, linear = _core.linearize(point.flat, point.inputs)

    def derivative(*tangents: Any) -> Any:
        return point.result(linear(point.direction(tangents)))

    value = point.result(outputs)
    return (value, derivative, point.flat.aux) if has_aux else (value, derivative)


@overload
def hvp(function: Callable[..., tuple[Any, X]], x: T, v: Any, *, has_aux: Literal[True]) -> tuple[T, X]: ...
@overload
def hvp(function: Callable[..., Any], x: T, v: Any, has_aux: Literal[False] = ...) -> T: ...
def hvp(function: Callable[..., Any], x: Any, v: Any, has_aux: bool = False) -> Any:
    """H v, the Hessian of a scalar function at x times a vector: like x.

    Parameters
    ----------
    function : callable
        Of tensors and pytrees of them, to a scalar.
    x : tensor or pytree
        The argument; a tuple is the tuple of arguments, and gives a tuple.
    v : tensor or pytree
        The vector, like x.
    has_aux : bool
        Whether the function returns (value, aux). The result is (H v, aux) then.

    Returns
    -------
    tensor or pytree
        Like x. Forward over reverse or, where a rule of custom_vjp cannot be transposed, reverse over
        reverse.

    Examples
    --------
    >>> td.hvp(lambda x: (x**3).sum(), td.tensor([1.0, 2.0]), td.tensor([1.0, 1.0]))
    tensor([ 6., 12.], dtype=float32)
    """
    point = Point(function, x, "hvp", has_aux)
    return point.with_aux(point.tree(_core.hvp(point.flat.scalar, point.inputs, point.direction(v))))


@overload
def vhp(function: Callable[..., tuple[Any, X]], x: T, v: Any, *, has_aux: Literal[True]) -> tuple[T, X]: ...
@overload
def vhp(function: Callable[..., Any], x: T, v: Any, has_aux: Literal[False] = ...) -> T: ...
def vhp(function: Callable[..., Any], x: Any, v: Any, has_aux: bool = False) -> Any:
    """v^T H, a vector times the Hessian of a scalar function at x: like x. By reverse over reverse.

    The same as hvp where the function is twice continuously differentiable, so that H is symmetric.

    Parameters
    ----------
    function, x, v, has_aux
        As in hvp.

    Returns
    -------
    tensor or pytree
        Like x.

    Examples
    --------
    >>> td.vhp(lambda x: (x**3).sum(), td.tensor([1.0, 2.0]), td.tensor([1.0, 1.0]))
    tensor([ 6., 12.], dtype=float32)
    """
    point = Point(function, x, "vhp", has_aux)
    return point.with_aux(point.tree(_core.vhp(point.flat.scalar, point.inputs, point.direction(v))))
