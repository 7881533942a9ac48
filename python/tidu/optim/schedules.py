"""Learning rate schedules: lr = initial lr * factor(number of steps so far)."""

import math

from .._core import TraceError, is_compiling


def _check_not_recorded():
    if is_compiling():
        raise TraceError(
            "[schedule] step() would be done once, when a function is recorded (call it outside)"
        )


def _check_at_least(least, **values):
    for name, value in values.items():
        if not value >= least:
            raise ValueError(f"[schedule] {name} is {value}, but must be at least {least}")


class Schedule:
    """Sets the learning rate of every group of `optimizer` to its initial one times `factor(steps)`. Call
    `step()` after `optimizer.step()`. Subclasses define `factor`, or it is given."""

    def __init__(self, optimizer, factor=None):
        if factor is not None:
            self.factor = factor
        self.optimizer = optimizer
        self.steps = 0
        self._apply()

    def factor(self, steps):
        """By what the initial learning rate is multiplied after so many steps."""
        raise NotImplementedError(f"{type(self).__name__} defines no factor")

    def _apply(self):
        factor = self.factor(self.steps)
        for group in self.optimizer.param_groups:
            group["lr"] = group.setdefault("initial_lr", group["lr"]) * factor

    def step(self):
        """Goes on by one step."""
        _check_not_recorded()
        self.steps += 1
        self._apply()

    def state_dict(self):
        """The number of steps; the initial learning rates are in the optimiser's state."""
        return {"steps": self.steps}

    def load_state_dict(self, state):
        """Takes over what `state_dict` gave; load the optimiser's state first."""
        self.steps = state["steps"]
        self._apply()


class StepLR(Schedule):
    """gamma ^ (steps // step_size)."""

    def __init__(self, optimizer, step_size, gamma=0.1):
        if step_size < 1:
            raise ValueError(f"[StepLR] step_size is {step_size}, but must be at least 1")
        self.step_size, self.gamma = step_size, gamma
        super().__init__(optimizer)

    def factor(self, steps):
        return self.gamma ** (steps // self.step_size)


class MultiStepLR(Schedule):
    """gamma ^ (how many of the milestones, in rising order, the steps have reached)."""

    def __init__(self, optimizer, milestones, gamma=0.1):
        self.milestones, self.gamma = sorted(milestones), gamma
        super().__init__(optimizer)

    def factor(self, steps):
        return self.gamma ** sum(steps >= milestone for milestone in self.milestones)


class ExponentialLR(Schedule):
    """gamma ^ steps."""

    def __init__(self, optimizer, gamma):
        self.gamma = gamma
        super().__init__(optimizer)

    def factor(self, steps):
        return self.gamma**steps


class LinearLR(Schedule):
    """From `start` in a straight line to `end` after `total_steps`, and `end` from there on."""

    def __init__(self, optimizer, total_steps, start=1 / 3, end=1.0):
        _check_at_least(1, total_steps=total_steps)
        self.total_steps, self.start, self.end = total_steps, start, end
        super().__init__(optimizer)

    def factor(self, steps):
        return self.start + (self.end - self.start) * min(steps / self.total_steps, 1.0)


class PolynomialLR(Schedule):
    """(1 - steps / total_steps) ^ power, and 0 from `total_steps` on."""

    def __init__(self, optimizer, total_steps, power=1.0):
        _check_at_least(1, total_steps=total_steps)
        self.total_steps, self.power = total_steps, power
        super().__init__(optimizer)

    def factor(self, steps):
        return (1 - min(steps / self.total_steps, 1.0)) ** self.power


class CosineLR(Schedule):
    """From 1 along half a cosine to `minimum` after `total_steps`, and `minimum` from there on."""

    def __init__(self, optimizer, total_steps, minimum=0.0):
        if total_steps < 1:
            raise ValueError(f"[CosineLR] total_steps is {total_steps}, but must be at least 1")
        self.total_steps, self.minimum = total_steps, minimum
        super().__init__(optimizer)

    def factor(self, steps):
        progress = min(steps / self.total_steps, 1.0)
        return self.minimum + (1 - self.minimum) * (1 + math.cos(math.pi * progress)) / 2


class CosineWarmRestartsLR(Schedule):
    """From 1 along half a cosine to `minimum`, again and again: at first in `period` steps, then each time in
    `multiplier` times as many (Loshchilov and Hutter 2017)."""

    def __init__(self, optimizer, period, multiplier=1, minimum=0.0):
        _check_at_least(1, period=period, multiplier=multiplier)
        self.period, self.multiplier, self.minimum = period, multiplier, minimum
        super().__init__(optimizer)

    def factor(self, steps):
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
    Topin 2017)."""

    def __init__(
        self, optimizer, total_steps, pct_start=0.3, anneal="cos", div_factor=25.0, final_div_factor=1e4
    ):
        _check_at_least(2, total_steps=total_steps)
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

    def factor(self, steps):
        top, last = self.pct_start * self.total_steps - 1, self.total_steps - 1
        low, lowest = 1 / self.div_factor, 1 / (self.div_factor * self.final_div_factor)
        if steps <= top:
            return self._between(low, 1.0, steps / top)
        return self._between(1.0, lowest, min((steps - top) / (last - top), 1.0))

    def _between(self, start, end, progress):
        if self.anneal == "cos":
            progress = (1 - math.cos(math.pi * progress)) / 2
        return start + (end - start) * progress


class WarmupLR(Schedule):
    """From `start` in a straight line to 1 after `warmup_steps`, and 1 from there on."""

    def __init__(self, optimizer, warmup_steps, start=0.0):
        if warmup_steps < 1:
            raise ValueError(f"[WarmupLR] warmup_steps is {warmup_steps}, but must be at least 1")
        self.warmup_steps, self.start = warmup_steps, start
        super().__init__(optimizer)

    def factor(self, steps):
        return self.start + (1 - self.start) * min(steps / self.warmup_steps, 1.0)


class SequentialLR(Schedule):
    """`schedules` one after another: number i + 1 begins, from its own step 0, at `milestones[i]`.

    SequentialLR(opt, [WarmupLR(opt, 500), CosineLR(opt, 4500)], milestones=[500])
    """

    def __init__(self, optimizer, schedules, milestones):
        schedules, milestones = list(schedules), list(milestones)
        for schedule in schedules:
            if isinstance(schedule, ReduceLROnPlateau):
                raise TypeError("[SequentialLR] ReduceLROnPlateau is no function of the number of steps")
        if len(milestones) != len(schedules) - 1 or sorted(set(milestones)) != milestones:
            raise ValueError("[SequentialLR] needs one milestone between each two schedules, in rising order")
        self.schedules, self.milestones = schedules, milestones
        super().__init__(optimizer)

    def factor(self, steps):
        current = sum(steps >= milestone for milestone in self.milestones)
        return self.schedules[current].factor(steps - ([0, *self.milestones])[current])


class ReduceLROnPlateau(Schedule):
    """Multiplies the learning rate by `decay` where the metric that `step(metric)` is given was no better
    than the best so far for more than `patience` steps one after another; after that `cooldown` steps do not
    count. Better is less, or with mode="max" more, by `threshold` times the best or, with
    threshold_mode="abs", by `threshold` itself. No rate falls below `minimum`, and none changes by less than
    `eps`.

    A metric that is a tensor is read, for which device cuda is waited for.
    """

    def __init__(
        self,
        optimizer,
        mode="min",
        decay=0.1,
        patience=10,
        threshold=1e-4,
        threshold_mode="rel",
        cooldown=0,
        minimum=0.0,
        eps=1e-8,
    ):
        if mode not in ("min", "max"):
            raise ValueError(f"[ReduceLROnPlateau] mode is {mode!r}, but must be 'min' or 'max'")
        if threshold_mode not in ("rel", "abs"):
            raise ValueError(
                f"[ReduceLROnPlateau] threshold_mode is {threshold_mode!r}, but must be 'rel' or 'abs'"
            )
        if not 0 <= decay < 1:
            raise ValueError(f"[ReduceLROnPlateau] decay is {decay}, but must be in [0, 1)")
        _check_at_least(0, patience=patience, cooldown=cooldown, minimum=minimum, eps=eps)
        self.mode, self.decay, self.patience, self.cooldown = mode, decay, patience, cooldown
        self.threshold, self.threshold_mode, self.minimum, self.eps = threshold, threshold_mode, minimum, eps
        self.optimizer = optimizer
        self.steps = self.bad_steps = self.cooling = 0
        self.best = math.inf if mode == "min" else -math.inf

    def _is_better(self, metric):
        sign = 1 if self.mode == "max" else -1
        if self.threshold_mode == "abs" or math.isinf(self.best):
            return sign * metric > sign * self.best + (self.threshold if math.isfinite(self.best) else 0)
        return sign * metric > sign * self.best * (1 + sign * self.threshold)

    def step(self, metric):
        """Goes on by one step, which ended with this metric: a number or a tensor of one element."""
        _check_not_recorded()
        metric = float(metric)
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

    _STATE = ("steps", "bad_steps", "cooling", "best")

    def state_dict(self):
        """What `step` has seen; the learning rates are in the optimiser's state."""
        return {name: getattr(self, name) for name in self._STATE}

    def load_state_dict(self, state):
        """Takes over what `state_dict` gave."""
        for name in self._STATE:
            setattr(self, name, state[name])
