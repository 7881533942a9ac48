"""Taylor mode: jet and taylor."""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

from tidu import _core
from tidu._arguments import in_words
from tidu._directional import Point
from tidu._pytree import tree_map, unflatten
from tidu._transforms import Flat, inputs_of, jacobian, match_tree


def jet(
    function: Callable[..., Any],
    primals: Sequence[Any],
    series: Sequence[Sequence[Any]],
    has_aux: bool = False,
) -> Any:
    """(function(*primals), its derivatives [d/dt, d^2/dt^2 ..] at t = 0) along a curve x(t) of the arguments.

    primals: the tuple x(0). series: for each primal the list of its derivatives x'(0), x''(0) .., each like
    it (None: zero), all of one length, which is the order. The derivatives are those by t, not divided by k!,
    and each is like the function's result. With has_aux the function returns (value, aux), and the result is
    (value, derivatives, aux).

    All orders together cost one evaluation with power series in the place of numbers: sums of products of
    coefficients, where k nested directional derivatives cost 2^k evaluations. Every operation and rule of
    custom_jvp and custom_vjp is advanced by its one derivative, y'(t) = jvp(x(t)) x'(t), as in Griewank and
    Walther, Evaluating Derivatives, chapter 13.

    Examples
    --------
    >>> td.jet(td.exp, (td.tensor(0.0),), ([td.tensor(1.0), None],))
    (tensor(1., dtype=float32), [tensor(1., dtype=float32), tensor(1., dtype=float32)])
    """
    for name, value in (("primals", primals), ("series", series)):
        if not isinstance(value, tuple | list):
            raise TypeError(f"[jet] {name} must be a tuple or a list, not {type(value).__name__}")
    primals = tuple(primals)
    if len(series) != len(primals):
        raise ValueError(f"[jet] takes one series a primal: {len(primals)}, not {len(series)}")
    for i, terms in enumerate(series):
        if not isinstance(terms, tuple | list):
            raise TypeError(
                f"[jet] series {i} must be a tuple or a list of terms, not {type(terms).__name__}"
            )
        if len(terms) != len(series[0]):
            raise ValueError(
                f"[jet] series {i} has {len(terms)} terms, but series 0 has {len(series[0])} (a zero term is "
                "None)"
            )
    inputs, structure = inputs_of(primals, "jet", "the primals")
    orders = [match_tree(terms, structure, inputs, "jet", "term") for terms in zip(*series, strict=True)]
    flat = Flat(function, tuple, {}, structure, has_aux, "jet")
    of_inputs = [[terms[i] for terms in orders] for i in range(len(inputs))]
    outputs, of_outputs = _core.jet(flat, inputs, of_inputs)
    value = unflatten(flat.output_structure, outputs)
    derivatives = [
        unflatten(flat.output_structure, [terms[k] for terms in of_outputs]) for k in range(len(orders))
    ]
    return (value, derivatives, flat.aux) if has_aux else (value, derivatives)


class Taylor:
    """The Taylor polynomial of a function at x: f(x) + f'(x) p + 1/2 f''(x)(p, p) + .. to an order.

    Called with the step p, like x, it gives the model's value, like the function's result, by one evaluation
    in Taylor mode along p. `value` is f(x), and `coefficients` the list of the polynomial's coefficients.

    Examples
    --------
    >>> td.taylor(td.exp, td.tensor(0.0), 2).coefficients
    [tensor(1., dtype=float32), tensor(1., dtype=float32), tensor(0.5, dtype=float32)]
    """

    def __init__(self, function: Callable[..., Any], x: Any, order: int) -> None:
        self.function, self.order = function, order
        self._point = Point(function, x, "taylor")
        # The point stays where it is, whatever is written to x afterwards.
        self._point.inputs = [_core.copy(x) for x in self._point.inputs]
        self.x = self._point.tree(self._point.inputs)

    def __call__(self, p: Any) -> Any:
        point = self._point
        return point.result(_core.taylor_polynomial(point.flat, point.inputs, point.direction(p), self.order))

    @functools.cached_property
    def value(self) -> Any:
        outputs = self._point.flat(self._point.inputs)
        return self._point.result(outputs)

    @functools.cached_property
    def coefficients(self) -> list[Any]:
        """Coefficient k is the k-th derivative divided by k!, for k = 0 .. order.

        For tensors x and f(x) it has the shape of f(x) followed k times by that of x, for trees it is what
        jacobian gives, nested k times. Where x is one number, all are found by one evaluation in Taylor mode;
        else by Jacobians of Jacobians, which grow as the k-th power of the size of x.
        """
        point = self._point
        if not point.is_tuple and len(point.inputs) == 1 and point.inputs[0].size == 1:
            return self._coefficients_of_one_number()
        result, derivative = [self.value], self.function
        for k in range(1, self.order + 1):
            argnums: Any = tuple(range(len(self.x))) if point.is_tuple else 0
            derivative = jacobian(derivative, argnums)
            tree = derivative(*self.x) if point.is_tuple else derivative(self.x)
            result.append(tree_map(lambda leaf, k=k: leaf / math.factorial(k), tree))
        return result

    def _coefficients_of_one_number(self) -> list[Any]:
        point = self._point
        (x,) = point.inputs
        terms = [_core.ones_like(x), *[None] * (self.order - 1)][: self.order]
        outputs, series = _core.power_series(point.flat, point.inputs, [terms])
        shaped = [
            [term.reshape(y.shape + x.shape * (k + 1)) for k, term in enumerate(terms)]
            for y, terms in zip(outputs, series, strict=True)
        ]

        def nested(term: Any, k: int) -> Any:
            """A tree like x, in whose leaf is a tree like x .., k of them."""
            for _ in range(k):
                (term,) = unflatten(point.structure, [term])
            return term

        return [point.result(outputs)] + [
            point.result([nested(terms[k], k + 1) for terms in shaped]) for k in range(self.order)
        ]


def taylor(function: Callable[..., Any], x: Any, order: int) -> Taylor:
    """The Taylor polynomial of `function` at x to `order`, a callable Taylor.

    x is the argument, any pytree of floating-point tensors; a tuple is the tuple of arguments. Order 1 is the
    linear model, order 2 the quadratic one.

    Examples
    --------
    >>> td.taylor(td.cos, td.tensor(0.0), 2)(td.tensor(0.1))
    tensor(0.995, dtype=float32)
    """
    if isinstance(order, bool) or not hasattr(order, "__index__"):
        raise TypeError(f"[taylor] the order must be an int, not {type(order).__name__}")
    order = operator.index(order)
    if order < 0:
        raise ValueError(f"[taylor] the order must not be negative: {in_words(order)}")
    if order >= 1 << 16:
        raise ValueError(f"[taylor] the argument 'order' is {in_words(order)}, which is beyond all memory")
    return Taylor(function, x, order)
