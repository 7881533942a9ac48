"""Learning rate schedules: lr = initial lr * factor(number of steps so far)."""

import math

from .._core import TraceError, is_compiling


class Schedule:
    """Sets the learning rate of every group of `optimizer` to its initial one times `factor(steps)`. Call
    `step()` after `optimizer.step()`. Subclasses define `factor`, or it is given."""

    def __init__(self, optimizer, factor=None):
        if factor is not None:
            self.factor = factor
        self.optimizer = optimizer
        self.steps = 0
        for group in optimizer.param_groups:
            group.setdefault("initial_lr", group["lr"])
        self._apply()

    def factor(self, steps):
        """By what the initial learning rate is multiplied after so many steps."""
        raise NotImplementedError(f"{type(self).__name__} defines no factor")

    def _apply(self):
        factor = self.factor(self.steps)
        for group in self.optimizer.param_groups:
            group["lr"] = group["initial_lr"] * factor

    def step(self):
        """Goes on by one step."""
        if is_compiling():
            raise TraceError(
                "[schedule] step() would be done once, when a function is recorded (call it outside)"
            )
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
        if len(milestones) != len(schedules) - 1 or sorted(set(milestones)) != milestones:
            raise ValueError("[SequentialLR] needs one milestone between each two schedules, in rising order")
        self.schedules, self.milestones = schedules, milestones
        super().__init__(optimizer)

    def factor(self, steps):
        current = sum(steps >= milestone for milestone in self.milestones)
        return self.schedules[current].factor(steps - ([0, *self.milestones])[current])
