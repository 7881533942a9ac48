"""Functions with derivatives of their own: custom_jvp, custom_vjp."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Generic, ParamSpec, TypeVar

from tidu import _core
from tidu._core import GradientError, ShapeError, Tensor
from tidu._pytree import Node, flatten, unflatten
from tidu._transforms import align_tree, match_tree, name_of, outputs_from

P = ParamSpec("P")
R = TypeVar("R")


def _is_differentiable(leaf: object) -> bool:
    return isinstance(leaf, Tensor) and (leaf.dtype.is_floating_point or leaf.dtype.is_complex)


class _Custom(Generic[P, R]):
    """What custom_jvp and custom_vjp share: calls over the floating-point leaves of the arguments."""

    def __init__(self, function: Callable[P, R]) -> None:
        functools.update_wrapper(self, function)  # type: ignore[arg-type]  # of an object that is callable
        self.function = function

    def _call(self, args: tuple[Any, ...], kwargs: dict[str, Any], differentiate: Callable[..., Any]) -> Any:
        leaves, structure = flatten(args)
        moving = [i for i, leaf in enumerate(leaves) if _is_differentiable(leaf)]

        def tree(tensors: list[Tensor], others: list[Any]) -> Any:
            filled = list(others)
            for i, tensor in zip(moving, tensors, strict=True):
                filled[i] = tensor
            return unflatten(structure, filled)

        output_structure: Any = None

        def outputs_of(result: Any) -> tuple[list[Tensor], Node]:
            nonlocal output_structure
            op, before = type(self).__name__, output_structure
            outputs, output_structure = outputs_from(result, op, before)
            if before is not None and output_structure is not before:
                raise ValueError(
                    f"[{op}] {name_of(self.function)} and its rule return results of different structures: "
                    f"{before!r} and {output_structure!r}"
                )
            return outputs, output_structure

        def plain(tensors: list[Tensor]) -> list[Tensor]:
            return outputs_of(self.function(*tree(tensors, leaves), **kwargs))[0]

        inputs = [leaves[i] for i in moving]
        result = differentiate(plain, inputs, tree, leaves, moving, structure, outputs_of)
        return unflatten(output_structure, result)


class custom_jvp(_Custom[P, R]):
    """Decorates a function that has a derivative rule of its own, given by defjvp. Both modes use it.

    rule(primals, tangents) returns (result, tangent of the result), the latter linear in the tangents; both
    arguments are tuples like the function's arguments. The tangent of what is no floating-point tensor is
    None.

    Examples
    --------
    >>> @td.custom_jvp
    ... def clipped(x):
    ...     return td.clip(x, -1.0, 1.0)
    >>> @clipped.defjvp
    ... def _(primals, tangents):
    ...     return clipped(*primals), tangents[0]
    >>> td.grad(clipped)(td.tensor(3.0))
    tensor(1., dtype=float32)
    """

    def __init__(self, function: Callable[P, R]) -> None:
        super().__init__(function)
        self.rule: Any = None

    def defjvp(self, rule: Callable[..., Any]) -> Callable[..., Any]:
        """Sets the rule; returns it, so that it can be used as a decorator."""
        self.rule = rule
        return rule

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        if self.rule is None:
            raise GradientError(f"[custom_jvp] {name_of(self.function)} has no rule: call defjvp first")

        def differentiate(
            plain: Callable[[list[Tensor]], list[Tensor]],
            inputs: list[Tensor],
            tree: Callable[..., Any],
            leaves: list[Any],
            moving: list[int],
            structure: Node,
            outputs_of: Callable[[Any], tuple[list[Tensor], Node]],
        ) -> list[Tensor]:
            def rule(primals: list[Tensor], tangents: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
                result = self.rule(tree(primals, leaves), tree(tangents, [None] * len(leaves)), **kwargs)
                if not isinstance(result, tuple) or len(result) != 2:
                    raise TypeError(
                        f"[custom_jvp] the rule of {name_of(self.function)} must return (result, tangent)"
                    )
                outputs, output_structure = outputs_of(result[0])
                tangents_out = match_tree(
                    result[1], output_structure, outputs, "custom_jvp", "tangent of the result"
                )
                return outputs, [
                    _core.zeros_like(y) if t is None else t
                    for t, y in zip(tangents_out, outputs, strict=True)
                ]

            return _core.custom_jvp(plain, rule, inputs)

        found: R = self._call(args, kwargs, differentiate)
        return found


class custom_vjp(_Custom[P, R]):
    """Decorates a function that has a pullback of its own, given by defvjp. Both modes use it.

    forward(*args) returns (result, residuals); backward(residuals, cotangent) returns a tuple of
    cotangents, one an argument (None: zero).

    Examples
    --------
    >>> @td.custom_vjp
    ... def halved(x):
    ...     return x
    >>> halved.defvjp(lambda x: (x, None), lambda residuals, cotangent: (cotangent / 2,))
    >>> td.grad(lambda x: halved(x).sum())(td.tensor([3.0]))
    tensor([0.5], dtype=float32)
    """

    def __init__(self, function: Callable[P, R]) -> None:
        super().__init__(function)
        self.forward: Any = None
        self.backward: Any = None

    def defvjp(self, forward: Callable[..., Any], backward: Callable[..., Any]) -> None:
        """Sets the two halves of the rule."""
        self.forward, self.backward = forward, backward

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        if self.forward is None:
            raise GradientError(f"[custom_vjp] {name_of(self.function)} has no rule: call defvjp first")

        def differentiate(
            plain: Callable[[list[Tensor]], list[Tensor]],
            inputs: list[Tensor],
            tree: Callable[..., Any],
            leaves: list[Any],
            moving: list[int],
            structure: Node,
            outputs_of: Callable[[Any], tuple[list[Tensor], Node]],
        ) -> list[Tensor]:
            # What a graph keeps must not hold the arguments, whose grads may hold the graph.
            count, shapes = len(args), [x.shape for x in inputs]

            def forward(primals: list[Tensor]) -> tuple[list[Tensor], Callable[..., Any]]:
                result = self.forward(*tree(primals, leaves), **kwargs)
                if not isinstance(result, tuple) or len(result) != 2:
                    raise TypeError(
                        f"[custom_vjp] the forward rule of {name_of(self.function)} must return "
                        "(result, residuals)"
                    )
                value, residuals = result
                outputs, output_structure = outputs_of(value)
                kept = [leaf for leaf in flatten(residuals)[0] if isinstance(leaf, Tensor)]
                versions = _core.storage_versions(kept)

                def pullback(cotangents: list[Tensor]) -> list[Tensor | None]:
                    if _core.storage_versions(kept) != versions:
                        raise GradientError(
                            f"[custom_vjp] a residual of {name_of(self.function)} was overwritten in place "
                            "after the call, but its derivative needs the value (write to a copy instead)"
                        )
                    returned = self.backward(residuals, unflatten(output_structure, cotangents))
                    if not isinstance(returned, tuple | list) or len(returned) != count:
                        raise TypeError(
                            f"[custom_vjp] the backward rule of {name_of(self.function)} must return a tuple "
                            f"of {count} cotangents, one an argument"
                        )
                    flat = align_tree(tuple(returned), structure, "custom_vjp", "tuple of cotangents")
                    chosen = [flat[i] for i in moving]
                    for cotangent, shape in zip(chosen, shapes, strict=True):
                        if cotangent is not None and cotangent.shape != shape:
                            raise ShapeError(
                                f"[custom_vjp] the backward rule of {name_of(self.function)} returned a "
                                f"cotangent of shape {cotangent.shape} for an argument of shape {shape}"
                            )
                    return chosen

                return outputs, pullback

            return _core.custom_vjp(plain, forward, inputs)

        found: R = self._call(args, kwargs, differentiate)
        return found
