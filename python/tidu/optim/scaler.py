"""Scaling the loss, so that gradients of 16 bits do not vanish."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import tidu as td
from tidu._core import Tensor
from tidu.typing import DeviceLike

from .._core import is_compiling
from .optimizers import Optimizer

T = TypeVar("T")


class GradScaler:
    """Multiplies the loss by a factor that follows the gradients: smaller by `backoff_factor` after a step
    whose gradients overflow, which leaves the parameters as they are, larger by `growth_factor` after
    `growth_interval` steps without (Micikevicius et al. 2018). For float16; bfloat16 needs none.

        with td.autocast(td.float16):
            loss = loss_of(model(x), y)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()

    The factor is a tensor and changes without being read. `step` reads one boolean to skip the optimiser's
    step; in a compiled function, where nothing can be read, it puts parameters and buffers back instead, and
    the step counts.

    Examples
    --------
    >>> scaler = td.optim.GradScaler(init_scale=8.0)
    >>> scaler.scale(td.tensor([1.0]))
    tensor([8.], dtype=float32)
    """

    def __init__(
        self,
        init_scale: float = 65536.0,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
        device: DeviceLike | None = None,
    ) -> None:
        for name, value, fits, range_ in [
            ("init_scale", init_scale, init_scale > 0, "positive"),
            ("growth_factor", growth_factor, growth_factor > 1, "above 1"),
            ("backoff_factor", backoff_factor, 0 < backoff_factor < 1, "in (0, 1)"),
            ("growth_interval", growth_interval, growth_interval >= 1, "at least 1"),
        ]:
            if not fits:
                raise ValueError(f"[GradScaler] {name} is {value}, but must be {range_}")
        self.growth_factor, self.backoff_factor = growth_factor, backoff_factor
        self.growth_interval, self.enabled = growth_interval, enabled
        self._scale = td.tensor(init_scale, dtype=td.float32, device=device)
        self._good_steps = td.tensor(0, dtype=td.int64, device=device)
        self._found = td.tensor(False, device=device)  # since the last update
        self._unscaled: list[Optimizer] = []  # optimisers, since the last update

    def scale(self, loss: T) -> T:
        """The loss, a tensor or a tree of tensors, times the factor, in its dtype."""
        if not self.enabled:
            return loss
        found: T = td.tree.map(lambda x: x * self._scale.to(x.device).astype(x.dtype), loss)
        return found

    def get_scale(self) -> float:
        """The factor as a number."""
        return self._scale.item() if self.enabled else 1.0

    def unscale_(self, optimizer: Optimizer) -> None:
        """Divides the gradients of an optimiser's parameters by the factor, so that they can be clipped, and
        finds out whether they are finite. `step` does it where it was not done."""
        if not self.enabled:
            return
        if any(own is optimizer for own in self._unscaled):
            raise RuntimeError("[GradScaler] the gradients were unscaled already (call update after step)")
        with td.no_grad():
            inverse = 1 / self._scale
            for group in optimizer.param_groups:
                for parameter in group["params"]:
                    if parameter.grad is None:
                        continue
                    g = parameter.grad.astype(td.float32 if parameter.grad.itemsize < 8 else td.float64)
                    g = g * inverse.to(g.device).astype(g.dtype)
                    overflows = td.logical_not(td.all(td.isfinite(g))).to(self._found.device)
                    self._found[...] = td.logical_or(self._found, overflows)
                    parameter.grad = g.astype(parameter.grad.dtype)
        self._unscaled.append(optimizer)

    def step(self, optimizer: Optimizer) -> Any:
        """optimizer.step() with unscaled gradients, unless some are not finite."""
        if not self.enabled:
            return optimizer.step()
        if not any(own is optimizer for own in self._unscaled):
            self.unscale_(optimizer)
        if not is_compiling():
            if not self._found.item():
                optimizer.step()
            return None
        state = [
            tensor
            for group in optimizer.param_groups
            for name in ("params", *optimizer._buffers(group))
            for tensor in group[name]
        ]
        with td.no_grad():
            before = [td.copy(tensor) for tensor in state]
        optimizer.step()
        with td.no_grad():
            for tensor, old in zip(state, before, strict=True):
                tensor[...] = td.where(self._found.to(tensor.device), old, tensor)
        return None

    def update(self) -> None:
        """Changes the factor after the steps of all optimisers."""
        if not self.enabled:
            return
        with td.no_grad():
            good = td.where(self._found, 0, self._good_steps + 1)
            grows = good >= self.growth_interval
            larger = self._scale * self.growth_factor
            grown = td.where(td.logical_and(grows, td.isfinite(larger)), larger, self._scale)
            self._scale[...] = td.where(self._found, self._scale * self.backoff_factor, grown)
            self._good_steps[...] = td.where(grows, 0, good)
            self._found[...] = td.zeros_like(self._found)
        self._unscaled.clear()

    def state_dict(self) -> dict[str, Tensor]:
        """The factor and the number of steps since it changed."""
        return {"scale": td.copy(self._scale), "good_steps": td.copy(self._good_steps)}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Takes over what `state_dict` gave."""
        with td.no_grad():
            self._scale[...] = state["scale"].to(self._scale.device)
            self._good_steps[...] = state["good_steps"].to(self._good_steps.device)
