"""Averages of the parameters that training goes through."""

from __future__ import annotations

import copy
from typing import Any

import tidu as td
from tidu._core import Tensor

from ..nn.module import Module
from .optimizers import _state_dtype


class AveragedModel(Module):
    """A module whose parameters are averages of those of `model` over the steps of training, which often do
    better than the last ones: call `update(model)` after `optimizer.step()`, and evaluate this module.

    decay: of the exponential moving average, a = decay a + (1 - decay) p; None: the mean of all (Izmailov et
        al. 2018). The first update takes the parameters as they are.

    Averages of 16-bit parameters are kept in float32, and rounded to the parameters of this module. Buffers
    are taken over as they are. `update` may be a part of a compiled function; `state_dict` holds it all.

    Examples
    --------
    >>> model = td.nn.Linear(2, 1)
    >>> average = td.optim.AveragedModel(model)
    >>> average.update(model)
    >>> average(td.ones((3, 2))).shape
    (3, 1)
    """

    updates: Tensor

    def __init__(self, model: Module, decay: float | None = 0.999) -> None:
        if decay is not None and not 0 <= decay <= 1:
            raise ValueError(f"[AveragedModel] decay is {decay}, but must be in [0, 1], or None")
        self.decay = decay
        self.module = copy.deepcopy(model).requires_grad_(False)
        self.register_buffer("updates", td.zeros((), dtype=td.int64, device=model.parameters()[0].device))
        for i, parameter in enumerate(self.module.parameters()):
            if parameter.dtype != _state_dtype(parameter):
                self.register_buffer(f"wide_{i}", parameter.detach().astype(_state_dtype(parameter)))

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.module(*args, **kwargs)

    def update(self, model: Module) -> None:
        """Takes the parameters of `model` into the averages."""
        pairs = list(zip(self.module.parameters(), model.parameters(), strict=True))
        for i, (own, new) in enumerate(pairs):
            if own.shape != new.shape:
                raise td.ShapeError(
                    f"[AveragedModel] parameter {i} is of shape {tuple(new.shape)}, its average of "
                    f"{tuple(own.shape)}"
                )
        with td.no_grad():
            count = self.updates.astype(td.float64)
            weight = 1 / (count + 1)
            if self.decay is not None:
                weight = td.where(count == 0, weight, 1 - self.decay)  # 1 at the first
            for i, (own, new) in enumerate(pairs):
                average = getattr(self, f"wide_{i}", own)
                new = new.detach().to(average.device).astype(average.dtype)
                average[...] = average + weight.to(average.device).astype(average.dtype) * (new - average)
                if average is not own:
                    own[...] = average.astype(own.dtype)
            for own, new in zip(self.module.buffers(), model.buffers(), strict=True):
                own[...] = new.detach().to(own.device)
            self.updates[...] = self.updates + 1
