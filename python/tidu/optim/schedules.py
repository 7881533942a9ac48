"""Learning rate schedules: lr = initial lr * factor(number of steps so far)."""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Iterable, Mapping
from operator import index
from typing import Any, ClassVar

from tidu._arguments import in_words
from tidu._core import Tensor

from .._core import TraceError, is_compiling
from .optimizers import Optimizer

# Which schedule went on last, of each optimiser.
_last: weakref.WeakKeyDictionary[Optimizer, weakref.ref[Schedule]] = weakref.WeakKeyDictionary()


def _check_not_recorded() -> None:
    if is_compiling():
        raise TraceError(
            "[schedule] step() would be done once, when a function is recorded (call it outside)"
        )


def _check_at_least(least: float, **values: float) -> None:
    for name, value in values.items():
        if not value >= least:
            raise ValueError(f"[schedule] {name} is {value}, but must be at least {least}")


def _check_steps(least: int, **values: int) -> None:
    for name, value in values.items():
        number = index(value)
        if not least <= number < 1 << 63:
            words = f"be at least {least}" if number < least else "fit int64"
            raise ValueError(f"[schedule] {name} is {in_words(number)}, but must {words}")


class Schedule:
    """Sets the learning rate of every group of `optimizer` to its initial one times `factor(steps)`. Call
    `step()` after `optimizer.step()`. Subclasses define `factor`, or it is given. Of two schedules of one
    optimiser each would undo what the other does: taking turns is a ValueError, and what both say is one
    schedule, of the product of their factors.

    Examples
    --------
    >>> optimizer = td.optim.SGD([td.zeros(1, requires_grad=True)], lr=1.0)
    >>> schedule = td.optim.Schedule(optimizer, lambda steps: 1 / (1 + steps))
    >>> schedule.step()
    >>> optimizer.param_groups[0]["lr"]
    0.5
    """

    _state: ClassVar[tuple[str, ...]] = ("steps",)  # attributes that are saved

    def __init__(self, optimizer: Optimizer, factor: Callable[[int], float] | None = None) -> None:
        if factor is not None:
            self.factor = factor  # type: ignore[method-assign,assignment]  # one of the object's own
        self.optimizer = optimizer
        self.steps = 0
        self._apply()

    def factor(self, steps: int) -> float:
        """By what the initial learning rate is multiplied after so many steps."""
        raise NotImplementedError(f"{type(self).__name__} defines no factor")

    def _apply(self) -> None:
        factor: float = self.factor(self.steps)
        for group in self.optimizer.param_groups:
            group.setdefault("initial_lr", group["lr"])
            group["lr"] = group["initial_lr"] * factor

    def _take_turn(self) -> None:
        """A ValueError where another schedule of the optimiser has gone on since this one began."""
        last = _last.get(self.optimizer)
        other = last and last()
        if self.steps > 0 and other is not None and other is not self:
            raise ValueError(
                f"[{type(self).__name__}] another schedule, {type(other).__name__}, has set the optimiser's "
                "learning rates since the last step (one Schedule of the product of their factors does what "
                "both say, and SequentialLR one after the other)"
            )
        _last[self.optimizer] = weakref.ref(self)

    def step(self) -> None:
        """Goes on by one step."""
        _check_not_recorded()
        self._take_turn()
        self.steps += 1
        self._apply()

    def state_dict(self) -> dict[str, Any]:
        """The number of steps; the initial learning rates are in the optimiser's state."""
        return {name: getattr(self, name) for name in self._state}

    def _load(self, state: Mapping[str, Any]) -> None:
        for name in self._state:
            if name not in state:
                raise ValueError(f"[{type(self).__name__}] the state lacks {name}")
            value = state[name]
            is_count = isinstance(value, int) and value >= 0
            if not (is_count or (name == "best" and isinstance(value, int | float))):
                raise ValueError(f"[{type(self).__name__}] the state's {name} is {value!r}")
        for name in self._state:
            setattr(self, name, state[name])
        _last[self.optimizer] = weakref.ref(self)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes over what `state_dict` gave; load the optimiser's state first. A ValueError, with nothing
        changed, for what is no such state."""
        self._load(state)
        self._apply()


class StepLR(Schedule):
    """gamma ^ (steps // step_size).

    Examples
    --------
    >>> optimizer = td.optim.SGD([td.zeros(1, requires_grad=True)], lr=1.0)
    >>> td.optim.StepLR(optimizer, 2, 0.5).factor(4)
    0.25
    """

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1) -> None:
        _check_steps(1, step_size=step_size)
        self.step_size, self.gamma = step_size, gamma
        super().__init__(optimizer)

    def factor(self, steps: int) -> float:
        return self.gamma ** (steps // self.step_size)


class MultiStepLR(Schedule):
    """gamma ^ (how many of the milestones, in rising order, the steps have reached).

    Examples
    --------
    >>> optimizer = td.optim.SGD([td.zeros(1, requires_grad=True)], lr=1.0)
    >>> td.optim.MultiStepLR(optimizer, [2, 4], 0.5).factor(3)
    0.5
    """

    def __init__(self, optimizer: Optimizer, milestones: Iterable[int], gamma: float = 0.1) -> None:
        self.milestones, self.gamma = sorted(milestones), gamma
        super().__init__(optimizer)

    def factor(self, steps: int) -> float:
        return self.gamma ** sum(steps >= milestone for milestone in self.milestones)


class ExponentialLR(Schedule):
    """gamma ^ steps.

    Examples
    --------
    >>> optimizer = td.optim.SGD([td.zeros(1, requires_grad=True)], lr=1.0)
    >>> td.optim.ExponentialLR(optimizer, 0.5).factor(3)
    0.125
    """

    def __init__(self, optimizer: Optimizer, gamma: float) -> None:
        self.gamma = gamma
        super().__init__(optimizer)

    def factor(self, steps: int) -> float:
        return self.gamma**steps


class LinearLR(Schedule):
    """From `start` in a straight line to `end` after `total_steps`, and `end` from there on.

    Examples
    --------
    >>> optimizer = td.optim.SGD([td.zeros(1, requires_grad=True)], lr=1.0)
    >>> td.optim.LinearLR(optimizer, 4, 0.0).factor(1)
    0.25
    """

    def __init__(
        self, optimizer: Optimizer, total_steps: int, start: float = 1 / 3, end: float = 1.0
    ) -> None:
        _check_steps(1, total_steps=total_steps)
        self.total_steps, self.start, self.end = total_steps, start, end
        super().__init__(optimizer)

    def factor(self, steps: int) -> float:
        return self.start + (self.end - self.start) * min(steps / self.total_steps, 1.0)


class PolynomialLR(Schedule):
    """(1 - steps / total_steps) ^ power, and 0 from `total_steps` on.

    Examples
    --------
    >>> optimizer = td.optim.SGD([td.zeros(1, requires_grad=True)], lr=1.0)
    >>> td.optim.PolynomialLR(optimizer, 4, 2.0).factor(2)
    0.25
    """

    def __init__(self, optimizer: Optimizer, total_steps: int, power: float = 1.0) -> None:
        _check_steps(1, total_steps=total_steps)
        self.total_steps, self.power = total_steps, power
        super().__init__(optimizer)

    def factor(self, steps: int) -> float:
        found: float = (1 - min(steps / self.total_steps, 1.0)) ** self.power
        return found


class CosineLR(Schedule):
    """From 1 along half a cosine to `minimum` after `total_steps`, and `minimum` from there on.

    Examples
    --------
    >>> optimizer = td.optim.SGD([td.zeros(1, requires_grad=True)], lr=1.0)
    >>> td.optim.CosineLR(optimizer, 4).factor(4)
    0.0
    """

    def __init__(self, optimizer: Optimizer, total_steps: int, minimum: float = 0.0) -> None:
        _check_steps(1, total_steps=total_steps)
        self.total_steps, self.minimum = total_steps, minimum
        super().__init__(optimizer)

    def factor(self, steps: int) -> float:
        progress = min(steps / self.total_steps, 1.0)
        return self.minimum + (1 - self.minimum) * (1 + math.cos(math.pi * progress)) / 2


class CosineWarmRestartsLR(Schedule):
    """From 1 along half a cosine to `minimum`, again and again: at first in `period` steps, then each time in
    `multiplier` times as many (Loshchilov and Hutter 2017).

    Examples
    --------
    >>> optimizer = td.optim.SGD([td.zeros(1, requires_grad=True)], lr=1.0)
    >>> td.optim.CosineWarmRestartsLR(optimizer, 4).factor(4)
    1.0
    """

    def __init__(self, optimizer: Optimizer, period: int, multiplier: int = 1, minimum: float = 0.0) -> None:
        _check_steps(1, period=period, multiplier=multiplier)
        self.period, self.multiplier, self.minimum = period, multiplier, minimum
        super().__init__(optimizer)

    def factor(self, steps: int) -> float:
        period = self.period
        if self.multiplier == 1:
            steps %= period
        while steps >= period:
            steps -= period
            period *= self.multiplier
        return self.minimum + (1 - self.minimum) * (1 + math.cos(math.pi * steps / period)) / 2


class OneCycleLR(Schedule):
    """The optimiser's learning rate is the highest: from 1 / div_factor of it up to it in the first
    `pct_start` of `total_steps`, and then down to 1 / (div_factor final_div_factor) at the last of them, and
    so from there on, each time along half a cosine or, with anneal="linear", in a straight line (Smith and
    Topin 2017).

    Examples
    --------
    >>> optimizer = td.optim.SGD([td.zeros(1, requires_grad=True)], lr=1.0)
    >>> td.optim.OneCycleLR(optimizer, 10).factor(2)
    1.0
    """

    def __init__(
        self,
        optimizer: Optimizer,
        total_steps: int,
        pct_start: float = 0.3,
        anneal: str = "cos",
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
    ) -> None:
        _check_steps(2, total_steps=total_steps)
        if not 0 < pct_start < 1 or not pct_start * total_steps > 1:
            raise ValueError(
                f"[OneCycleLR] pct_start is {pct_start}, but must be in (0, 1), and {total_steps} times it "
                "above 1"
            )
        if anneal not in ("cos", "linear"):
            raise ValueError(f"[OneCycleLR] anneal is {anneal!r}, but must be 'cos' or 'linear'")
        self.total_steps, self.pct_start, self.anneal = total_steps, pct_start, anneal
        self.div_factor, self.final_div_factor = div_factor, final_div_factor
        super().__init__(optimizer)

    def factor(self, steps: int) -> float:
        top, last = self.pct_start * self.total_steps - 1, self.total_steps - 1
        low, lowest = 1 / self.div_factor, 1 / (self.div_factor * self.final_div_factor)
        if steps <= top:
            return self._between(low, 1.0, steps / top)
        return self._between(1.0, lowest, min((steps - top) / (last - top), 1.0))

    def _between(self, start: float, end: float, progress: float) -> float:
        if self.anneal == "cos":
            progress = (1 - math.cos(math.pi * progress)) / 2
        return start + (end - start) * progress


class WarmupLR(Schedule):
    """From `start` in a straight line to 1 after `warmup_steps`, and 1 from there on.

    Examples
    --------
    >>> optimizer = td.optim.SGD([td.zeros(1, requires_grad=True)], lr=1.0)
    >>> td.optim.WarmupLR(optimizer, 4).factor(1)
    0.25
    """

    def __init__(self, optimizer: Optimizer, warmup_steps: int, start: float = 0.0) -> None:
        _check_steps(1, warmup_steps=warmup_steps)
        self.warmup_steps, self.start = warmup_steps, start
        super().__init__(optimizer)

    def factor(self, steps: int) -> float:
        return self.start + (1 - self.start) * min(steps / self.warmup_steps, 1.0)


class SequentialLR(Schedule):
    """`schedules` one after another: number i + 1 begins, from its own step 0, at `milestones[i]`.

    SequentialLR(opt, [WarmupLR(opt, 500), CosineLR(opt, 4500)], milestones=[500])

    Examples
    --------
    >>> optimizer = td.optim.SGD([td.zeros(1, requires_grad=True)], lr=1.0)
    >>> parts = [td.optim.WarmupLR(optimizer, 2), td.optim.ExponentialLR(optimizer, 0.5)]
    >>> td.optim.SequentialLR(optimizer, parts, [2]).factor(3)
    0.5
    """

    def __init__(
        self, optimizer: Optimizer, schedules: Iterable[Schedule], milestones: Iterable[int]
    ) -> None:
        schedules, milestones = list(schedules), list(milestones)
        for schedule in schedules:
            if isinstance(schedule, ReduceLROnPlateau):
                raise TypeError("[SequentialLR] ReduceLROnPlateau is no function of the number of steps")
        if len(milestones) != len(schedules) - 1 or sorted(set(milestones)) != milestones:
            raise ValueError("[SequentialLR] needs one milestone between each two schedules, in rising order")
        self.schedules, self.milestones = schedules, milestones
        super().__init__(optimizer)

    def factor(self, steps: int) -> float:
        current = sum(steps >= milestone for milestone in self.milestones)
        return self.schedules[current].factor(steps - ([0, *self.milestones])[current])


class ReduceLROnPlateau(Schedule):
    """Multiplies the learning rate by `decay` where the metric that `step(metric)` is given was no better
    than the best so far for more than `patience` steps one after another; after that `cooldown` steps do not
    count. Better is less, or with mode="max" more, by `threshold` times the best's absolute value or, with
    threshold_mode="abs", by `threshold` itself. No rate falls below `minimum`, and none changes by less than
    `eps`.

    A metric that is a tensor is read, for which device cuda is waited for.

    Examples
    --------
    >>> optimizer = td.optim.SGD([td.zeros(1, requires_grad=True)], lr=1.0)
    >>> schedule = td.optim.ReduceLROnPlateau(optimizer, decay=0.5, patience=0)
    >>> for metric in (1.0, 2.0):
    ...     schedule.step(metric)
    >>> optimizer.param_groups[0]["lr"]
    0.5
    """

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        decay: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        minimum: float = 0.0,
        eps: float = 1e-8,
    ) -> None:
        if mode not in ("min", "max"):
            raise ValueError(f"[ReduceLROnPlateau] mode is {mode!r}, but must be 'min' or 'max'")
        if threshold_mode not in ("rel", "abs"):
            raise ValueError(
                f"[ReduceLROnPlateau] threshold_mode is {threshold_mode!r}, but must be 'rel' or 'abs'"
            )
        if not 0 <= decay < 1:
            raise ValueError(f"[ReduceLROnPlateau] decay is {decay}, but must be in [0, 1)")
        _check_steps(0, patience=patience, cooldown=cooldown)
        _check_at_least(0, minimum=minimum, eps=eps)
        self.mode, self.decay, self.patience, self.cooldown = mode, decay, patience, cooldown
        self.threshold, self.threshold_mode, self.minimum, self.eps = threshold, threshold_mode, minimum, eps
        self.optimizer = optimizer
        self.steps = self.bad_steps = self.cooling = 0
        self.best = math.inf if mode == "min" else -math.inf

    def _is_better(self, metric: float) -> bool:
        if math.isinf(self.best):
            return metric > self.best if self.mode == "max" else metric < self.best
        by = self.threshold * (1 if self.threshold_mode == "abs" else abs(self.best))
        return metric > self.best + by if self.mode == "max" else metric < self.best - by

    def step(self, metric: float | Tensor) -> None:  # type: ignore[override]  # which needs a metric
        """Goes on by one step, which ended with this metric: a number or a tensor of one element."""
        _check_not_recorded()
        metric = float(metric)
        self._take_turn()
        self.steps += 1
        if self._is_better(metric):
            self.best, self.bad_steps = metric, 0
        else:
            self.bad_steps += 1
        if self.cooling > 0:
            self.cooling, self.bad_steps = self.cooling - 1, 0
        if self.bad_steps > self.patience:
            self.cooling, self.bad_steps = self.cooldown, 0
            for group in self.optimizer.param_groups:
                lr = max(group["lr"] * self.decay, self.minimum)
                if group["lr"] - lr > self.eps:
                    group["lr"] = lr

    _state = ("steps", "bad_steps", "cooling", "best")

    def state_dict(self) -> dict[str, Any]:
        """What `step` has seen; the learning rates are in the optimiser's state."""
        return super().state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes over what `state_dict` gave. A ValueError, with nothing changed, for what is no such
        state."""
        self._load(state)
