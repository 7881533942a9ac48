"""Loops and branches that programs hold: scan, cond, while_loop, fori_loop; and checkpoint.

Their functions are called once, for tensors without values, and recorded. So they may be long loops of small
programs, depend on values inside vmap and td.program, and be differentiated in every mode.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from tidu import _core
from tidu._core import Tensor
from tidu._pytree import Node, flatten, unflatten
from tidu._transforms import OfTensors, name_of, outputs_from

if TYPE_CHECKING:
    from typing_extensions import TypeVarTuple, Unpack

    Ts = TypeVarTuple("Ts")

P = ParamSpec("P")
R = TypeVar("R")
C = TypeVar("C")
X = TypeVar("X")
Y = TypeVar("Y")


def _tensors_of(tree: Any, op: str, what: str) -> tuple[list[Tensor], Node]:
    leaves, structure = flatten(tree)
    tensors = []
    for leaf in leaves:
        try:
            tensors.append(leaf if isinstance(leaf, Tensor) else _core.asarray(leaf))
        except (TypeError, ValueError) as error:
            text = f"[{op}] {what} must be tensors or numbers, not {type(leaf).__name__}"
            raise TypeError(text) from error
    return tensors, structure


def _count(value: Any, op: str, name: str) -> int | None:
    """An integer that int64 holds, or None."""
    if value is None:
        return None
    try:
        count = operator.index(value)
    except TypeError:
        raise TypeError(f"[{op}] {name} must be an int, not {type(value).__name__}") from None
    if not -(2**63) <= count < 2**63:
        raise ValueError(f"[{op}] {name} is {count}, but must be less than 2**63")
    return count


def _outputs_like(tree: Any, structure: Node, op: str, what: str) -> list[Tensor]:
    outputs, got = outputs_from(tree, op, structure)
    if got is not structure:
        raise ValueError(f"[{op}] {what} has structure {got!r} but must have {structure!r}")
    return outputs


def scan(
    f: Callable[[C, X], tuple[C, Y]],
    init: C,
    xs: X | None = None,
    length: int | None = None,
    reverse: bool = False,
    *,
    checkpoint_every: int | None = None,
) -> tuple[C, Y]:
    """Runs carry, y = f(carry, x) for each slice x of xs along axis 0: (the last carry, the ys stacked).

    Parameters
    ----------
    f : callable
        Takes (carry, x) to (carry, y), pytrees; the carry keeps the shapes and dtypes of init.
    init : pytree
        The first carry.
    xs : pytree, optional
        The slices, along axis 0. Without them x is None.
    length : int, optional
        How many steps there are, where xs does not say it.
    reverse : bool
        Whether to go from the last slice to the first; ys stay in the places of their slices.
    checkpoint_every : int, optional
        Reverse mode keeps the carry of every step or, with n, of every nth, and computes the steps between
        once more: n near the square root of the length needs least memory.

    Returns
    -------
    tuple
        (the last carry, the ys stacked). All modes of differentiation.

    Examples
    --------
    >>> td.scan(lambda total, x: (total + x, total + x), td.tensor(0), td.tensor([1, 2, 3]))
    (tensor(6, dtype=int64), tensor([1, 3, 6], dtype=int64))
    """
    carry, structure = _tensors_of(init, "scan", "the initial carry")
    slices, slice_structure = _tensors_of(xs, "scan", "xs")
    result_structure: Any = None

    def step(tensors: list[Tensor]) -> list[Tensor]:
        nonlocal result_structure
        x = unflatten(slice_structure, tensors[len(carry) :])
        result = f(unflatten(structure, tensors[: len(carry)]), x)
        if not isinstance(result, tuple) or len(result) != 2:
            raise TypeError(f"[scan] {name_of(f)} must return a pair (carry, y)")
        after = _outputs_like(result[0], structure, "scan", "the carry that the function returns")
        results, result_structure = outputs_from(result[1], "scan")
        return after + results

    last, results = _core.scan(
        step,
        carry,
        slices,
        _count(length, "scan", "length"),
        reverse,
        _count(checkpoint_every, "scan", "checkpoint_every"),
    )
    return unflatten(structure, last), unflatten(result_structure, results)


def cond(
    pred: bool | Tensor,
    true_fun: Callable[[Unpack[Ts]], R],
    false_fun: Callable[[Unpack[Ts]], R],
    *operands: Unpack[Ts],
) -> R:
    """true_fun(*operands) where pred, a bool or a tensor of one, holds, else false_fun(*operands).

    Parameters
    ----------
    pred : bool or tensor
        Under vmap, where it differs between lanes, both functions are computed for all.
    true_fun, false_fun : callable
        Both must return trees of the same structure, shapes and dtypes.
    *operands
        What they are called with.

    Returns
    -------
    pytree
        As the functions give it.

    Examples
    --------
    >>> td.cond(td.tensor(2.0) > 1, lambda x: 2 * x, lambda x: -x, td.tensor(3.0))
    tensor(6., dtype=float32)
    """
    if not isinstance(pred, Tensor):
        return (true_fun if pred else false_fun)(*operands)
    tensors, structure = _tensors_of(operands, "cond", "the operands")
    result_structure: Any = None

    def branch(function: Callable[..., Any]) -> Callable[[list[Tensor]], list[Tensor]]:
        def flat(tensors: list[Tensor]) -> list[Tensor]:
            nonlocal result_structure
            result = function(*unflatten(structure, tensors))
            if result_structure is not None:
                return _outputs_like(result, result_structure, "cond", "the result if false")
            outputs, result_structure = outputs_from(result, "cond")
            return outputs

        return flat

    outputs = _core.cond(
        pred.reshape(()) if pred.size == 1 else pred, branch(true_fun), branch(false_fun), tensors
    )
    found: R = unflatten(result_structure, outputs)
    return found


def while_loop(
    cond_fun: Callable[[C], Any], body_fun: Callable[[C], C], init: C, *, max_steps: int | None = None
) -> C:
    """Applies carry = body_fun(carry) for as long as cond_fun(carry) holds.

    Parameters
    ----------
    cond_fun : callable
        Takes the carry to a bool.
    body_fun : callable
        Takes the carry to the next one.
    init : pytree
        The first carry, whose shapes and dtypes stay.
    max_steps : int, optional
        After which the loop ends in any case. Reverse mode needs it; forward and Taylor mode do not.

    Returns
    -------
    pytree
        The last carry.

    Examples
    --------
    >>> td.while_loop(lambda x: x < 100, lambda x: 2 * x, td.tensor(3))
    tensor(192, dtype=int64)
    """
    carry, structure = _tensors_of(init, "while_loop", "the initial carry")
    max_steps = _count(max_steps, "while_loop", "max_steps")

    def condition(tensors: list[Tensor]) -> list[Tensor]:
        outputs, _ = outputs_from(cond_fun(unflatten(structure, tensors)), "while_loop")
        return [x.reshape(()) if x.size == 1 else x for x in outputs]

    def body(tensors: list[Tensor]) -> list[Tensor]:
        after = body_fun(unflatten(structure, tensors))
        return _outputs_like(after, structure, "while_loop", "the carry that the function returns")

    found: C = unflatten(structure, _core.while_loop(condition, body, carry, max_steps))
    return found


def fori_loop(lower: int | Tensor, upper: int | Tensor, body_fun: Callable[[Tensor, C], C], init: C) -> C:
    """Applies carry = body_fun(i, carry) for i from lower up to upper - 1.

    Parameters
    ----------
    lower, upper : int or Tensor
        Between ints it is a scan, with every mode of differentiation; tensors make it a while_loop.
    body_fun : callable
        Takes i, an int64 tensor of shape (), and the carry to the next one.
    init : pytree
        The first carry, whose shapes and dtypes stay.

    Returns
    -------
    pytree
        The last carry.

    Examples
    --------
    >>> td.fori_loop(0, 5, lambda i, total: total + i, td.tensor(0))
    tensor(10, dtype=int64)
    """
    first: Tensor = _core.astype(
        _core.asarray(lower, device=upper.device if isinstance(upper, Tensor) else None),
        _core.int64,
        copy=False,
    )

    def step(state: tuple[Tensor, C]) -> tuple[Tensor, C]:
        i, carry = state
        return i + 1, body_fun(i, carry)

    if not isinstance(lower, Tensor) and not isinstance(upper, Tensor):
        steps = _count(max(upper - lower, 0), "fori_loop", "upper - lower")
        return scan(lambda state, _: (step(state), None), (first, init), length=steps)[0][1]
    return while_loop(lambda state: state[0] < upper, step, (first, init))[1]


def checkpoint(function: Callable[P, R], *, budget: int | None = None) -> Callable[P, R]:
    """A function like `function`, of which reverse mode keeps the arguments and computes the rest twice.

    Parameters
    ----------
    function : callable
        Of pytrees; leaves that are no tensors are passed as they are.
    budget : int, optional
        In bytes: reverse mode holds what fits, beside arguments, results and their gradients, such that it
        has least to compute again. The function is recorded and taken for a chain of up to 48 stages, parts
        of a long scan among them, for which that is found by dynamic programming. A ValueError names the
        least possible budget if nothing fits.

    Returns
    -------
    callable
        Called like the function.

    Examples
    --------
    >>> f = td.checkpoint(lambda x: td.sin(td.exp(x)).sum())
    >>> td.grad(f)(td.tensor([0.0]))
    tensor([0.5403023], dtype=float32)
    """
    budget = _count(budget, "checkpoint", "budget")

    @functools.wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        leaves, structure = flatten((args, kwargs))
        places = [i for i, leaf in enumerate(leaves) if isinstance(leaf, Tensor)]
        flat = OfTensors(function, leaves, structure, places, "checkpoint")
        outputs = _core.checkpoint(flat, [leaves[i] for i in places], budget)
        found: R = unflatten(flat.output_structure, outputs)
        return found

    return wrapped
