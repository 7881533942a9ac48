"""Derivatives along directions: directional and total derivative, linearize, products of the Hessian.

A point x is one argument of the function, any pytree; a tuple is the tuple of all its arguments. A direction
is like the point; None in it stands for zero.
"""

from tidu import _core
from tidu._pytree import unflatten
from tidu._transforms import Flat, inputs_of, match_tree


class Point:
    """A function at a point, over flat lists of tensors."""

    def __init__(self, function, x, op, has_aux=False):
        self.is_tuple = type(x) is tuple
        self.inputs, self.structure = inputs_of(x if self.is_tuple else (x,), op, "the point")
        self.flat = Flat(function, tuple, {}, self.structure, has_aux, op)
        self.op, self.has_aux = op, has_aux

    def direction(self, v):
        """The leaves of a direction, None where zero."""
        if not self.is_tuple:
            v = (v,)
        elif not isinstance(v, tuple | list) or len(v) != len(self.structure.children):
            raise ValueError(
                f"[{self.op}] the point is a tuple of {len(self.structure.children)} arguments, so the "
                "direction must be one as well"
            )
        return match_tree(tuple(v), self.structure, self.inputs, self.op, "direction")

    def tree(self, tensors):
        """Tensors like the inputs, as a tree like the point."""
        tree = unflatten(self.structure, tensors)
        return tree if self.is_tuple else tree[0]

    def result(self, tensors):
        """Tensors like the outputs, as a tree like the function's result."""
        return unflatten(self.flat.output_structure, tensors)

    def with_aux(self, result):
        return (result, self.flat.aux) if self.has_aux else result


def directional_derivative(function, x, v, has_aux=False):
    """The derivative of `function` at x in the direction v: the slope of t -> function(x + t v) at t = 0.

    Like the function's result. v is like x and need not be of norm 1: the derivative is linear in it. For a
    scalar function it is <gradient, v>. With has_aux the function returns (value, aux), and the result is
    (derivative, aux).
    """
    point = Point(function, x, "directional_derivative", has_aux)
    _, tangents = _core.jvp(point.flat, point.inputs, point.direction(v))
    return point.with_aux(point.result(tangents))


def steepest_direction(function, x, has_aux=False):
    """The direction in which a scalar function rises fastest at x: its gradient divided by the norm of that.

    Like x; the norm is the Euclidean one over all leaves. The directional derivative along it is the norm of
    the gradient, and no other direction of norm 1 has a larger one. A ValueError where the gradient is zero.
    """
    point = Point(function, x, "steepest_direction", has_aux)
    return point.with_aux(point.tree(_core.steepest_direction(point.flat.scalar, point.inputs)))


class TotalDerivative:
    """The total derivative of a function at x: the linear map L with f(x + p) = f(x) + L(p) + o(norm p).

    L(p) is like the function's result, f(x); `value` is f(x), and `model(p)` the linear model f(x) + L(p).
    """

    def __init__(self, point):
        outputs, self._derivative = _core.linearize(point.flat, point.inputs)
        self._point, self._outputs = point, outputs

    @property
    def value(self):
        return self._point.result(self._outputs)

    def __call__(self, p):
        return self._point.result(self._derivative(self._point.direction(p)))

    def model(self, p):
        changes = self._derivative(self._point.direction(p))
        return self._point.result([y + dy for y, dy in zip(self._outputs, changes, strict=True)])


def total_derivative(function, x, has_aux=False):
    """The total derivative of `function` at x, a TotalDerivative: called with p, like x, it gives J p.

    The function is evaluated once, here; each call costs the linear part of it. A tuple x is the tuple of
    arguments, as p is then.
    """
    point = Point(function, x, "total_derivative", has_aux)
    return point.with_aux(TotalDerivative(point))


def linearize(function, *primals, has_aux=False):
    """function(*primals), and its derivative there: a function of tangents, like the primals.

    The function is evaluated once, and derivative(*tangents) is like its result. With has_aux it returns
    (value, aux), and the result is (value, derivative, aux).
    """
    point = Point(function, primals, "linearize", has_aux)
    outputs, linear = _core.linearize(point.flat, point.inputs)

    def derivative(*tangents):
        return point.result(linear(point.direction(tangents)))

    value = point.result(outputs)
    return (value, derivative, point.flat.aux) if has_aux else (value, derivative)


def hvp(function, x, v, has_aux=False):
    """H v, the Hessian of a scalar function at x times a vector: like x.

    x is the argument and v is like it; a tuple is the tuple of arguments, and gives a tuple. Forward over
    reverse or, where a rule of custom_vjp cannot be transposed, reverse over reverse.
    """
    point = Point(function, x, "hvp", has_aux)
    return point.with_aux(point.tree(_core.hvp(point.flat.scalar, point.inputs, point.direction(v))))


def vhp(function, x, v, has_aux=False):
    """v^T H, a vector times the Hessian of a scalar function at x: like x. By reverse over reverse.

    The same as hvp where the function is twice continuously differentiable, so that H is symmetric.
    """
    point = Point(function, x, "vhp", has_aux)
    return point.with_aux(point.tree(_core.vhp(point.flat.scalar, point.inputs, point.direction(v))))
