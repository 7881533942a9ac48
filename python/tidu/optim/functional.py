"""Optimisers as functions of trees of tensors, which every transform takes."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, TypeVar

import tidu as td
from tidu._core import Tensor

from .._pytree import flatten, tree_map, unflatten
from .optimizers import Optimizer

T = TypeVar("T")


def functional(optimizer: type[Optimizer], **options: Any) -> Functional:
    """An optimiser as two functions of trees, which change nothing in place: so a training step can be
    differentiated (by the learning rate, say), be the body of a `scan`, or train many models under `vmap`.

    optimizer: a class, SGD, Adam, AdamW, RMSprop, Adagrad, Adadelta, Adamax, NAdam, RAdam, Lion or Muon,
        whose formula it shares. `options` are those of the class. lr may also be a tensor or a function of
        the number of steps so far, a float64 tensor.

        optimizer = td.optim.functional(td.optim.AdamW, lr=1e-3)
        state = optimizer.init(params)
        params, state = optimizer.update(gradients, state, params)

    Trees of params hold floating-point tensors. The state is a dictionary of "step", an int64 tensor, and a
    tree like params for each buffer, float32 where a parameter has 16 bits. TypeError where the class has no
    formula or no such option, ValueError for an option out of range and for trees that differ, ShapeError for
    a gradient of another shape or dtype than its parameter.

    Examples
    --------
    >>> optimizer = td.optim.functional(td.optim.SGD, lr=0.25)
    >>> params = td.tensor([3.0])
    >>> params, state = optimizer.update(2 * params, optimizer.init(params), params)
    >>> params
    tensor([1.5], dtype=float32)
    """
    return Functional(optimizer, options)


class Functional:
    """What `functional` gives: `init` and `update`."""

    def __init__(self, kind: type[Optimizer], options: dict[str, Any]) -> None:
        if not (isinstance(kind, type) and issubclass(kind, Optimizer) and hasattr(kind, "_formula")):
            raise TypeError(f"[functional] takes a class of optimisers that have a formula, not {kind!r}")
        known = dict(list(inspect.signature(kind).parameters.items())[1:])
        for name in options.keys() - known.keys():
            raise TypeError(f"[functional] {kind.__name__} has no option {name} (it has {', '.join(known)})")
        self._optimizer = kind.__new__(kind)
        self._options = {name: parameter.default for name, parameter in known.items()} | options
        lr = self._options["lr"]
        is_number = not (callable(lr) or isinstance(lr, td.Tensor))
        self._optimizer._check({**self._options, "lr": lr if is_number else 0.0, "params": []})

    def __repr__(self) -> str:
        options = ", ".join(f"{name}={value!r}" for name, value in self._options.items())
        return f"functional({type(self._optimizer).__name__}, {options})"

    def init(self, params: Any) -> dict[str, Any]:
        """The state before the first step."""
        leaves, structure = flatten(params)
        for i, leaf in enumerate(leaves):
            if not (isinstance(leaf, td.Tensor) and leaf.dtype.is_floating_point):
                raise TypeError(f"[functional] parameter {i} is no floating-point tensor but {leaf!r}")
        self._optimizer._check({**self._options, "lr": 0.0, "params": leaves})
        state = {"step": td.zeros((), dtype=td.int64, device=leaves[0].device if leaves else None)}
        for name in self._optimizer._buffers(self._options):
            buffers = [self._optimizer._new_buffer(name, self._options, leaf) for leaf in leaves]
            state[name] = unflatten(structure, buffers)
        return state

    def update(self, gradients: Any, state: Mapping[str, Any], params: T) -> tuple[T, dict[str, Any]]:
        """(params, state) after one step; gradients are a tree like params."""
        names = self._optimizer._buffers(self._options)
        step = state["step"] + 1
        lr = self._options["lr"]
        if callable(lr):
            lr = lr(state["step"].astype(td.float64))
        t = step.astype(td.float64)

        def advance(parameter: Tensor, gradient: Tensor, *buffers: Tensor) -> tuple[Tensor, ...]:
            if gradient.shape != parameter.shape or gradient.dtype != parameter.dtype:
                raise td.ShapeError(
                    f"[functional] the gradient {gradient.dtype}{gradient.shape} does not fit its parameter "
                    f"{parameter.dtype}{parameter.shape}"
                )
            rate = td.asarray(lr, dtype=td.float64, device=parameter.device)
            return self._optimizer._advanced(
                self._options, rate, t.to(parameter.device), parameter, gradient, buffers
            )

        leaves, structure = flatten(params)
        rest = [
            flatten(tree_map(lambda _, leaf: leaf, params, tree))[0]
            for tree in (gradients, *(state[n] for n in names))
        ]
        new = [advance(*parts) for parts in zip(leaves, *rest, strict=True)]
        columns: Any = list(zip(*new, strict=True)) if new else [[]] * (1 + len(names))
        params, *buffers = (unflatten(structure, list(column)) for column in columns)
        return params, {"step": step, **dict(zip(names, buffers, strict=True))}
