"""LBFGS and NewtonCG over parameters: optimisers that evaluate the loss themselves, through a closure."""

from .methods import Lbfgs, NewtonCg, check_limits, descend
from .objective import ParameterObjective
from .optimizers import Optimizer


class Minimizer(Optimizer):
    """What they share: `step(closure)`, the `report` on the last one, and the method's state.

    A subclass has `_method(options)`, the method in its first state, and `_twice`, whether it takes products
    of the Hessian. What the method has learnt is of the parameters numbered `_trained`.
    """

    def __init__(self, params, **options):
        super().__init__(params, **options)
        if len(self.param_groups) != 1:
            raise ValueError(f"[{self._name()}] takes one group of parameters, not {len(self.param_groups)}")
        self.report = None
        self._trained, self._learnt = [], None

    def _check(self, group):
        super()._check(group)
        check_limits(self._name(), group["gtol"], group["max_iter"])
        self._method(group)

    def _buffers(self, group):
        return ()  # what is kept is of all parameters together

    def step(self, closure):
        """Runs at most max_iter iterations on the loss that `closure()` returns for the present values of
        the parameters. Returns the loss at the start; `report` says what came of it, and its x holds the
        values of the parameters that require grad. Whatever ends a step early, an error in the closure or
        Ctrl-C, leaves the parameters at the best point so far."""
        (group,) = self.param_groups
        trained = [i for i, parameter in enumerate(group["params"]) if parameter.requires_grad]
        objective, method = self._objective(group, trained, closure), self._method(group)
        if self._learnt is not None and trained == self._trained:
            method.restore(self._learnt, objective.start())
        final = self.report = None
        try:
            final, self.report = descend(method, objective, group["gtol"], group["max_iter"], objective.split)
        finally:
            self._trained, self._learnt = trained, method.state()
            left = final or objective.best
            if left is not None:
                objective.put(left.x)
        for i in trained:
            group["steps"][i] += 1
        return objective.first_loss

    def _objective(self, group, trained, closure=None):
        parameters = [group["params"][i] for i in trained]
        return ParameterObjective(parameters, closure, self._name(), self._twice)

    def update(self, gradients):
        raise TypeError(f"[{self._name()}] needs the loss at other points than this one: call step(closure)")

    def state_dict(self):
        """All options, step counts and what the method has learnt of the loss, for `td.save`."""
        return {**super().state_dict(), "trained": list(self._trained), "learnt": self._learnt}

    def load_state_dict(self, state):
        groups, trained = self._loaded_groups(state), list(state["trained"])
        method = self._method(groups[0])
        if state["learnt"] is not None:
            method.restore(state["learnt"], self._objective(groups[0], trained).start())
        self.param_groups, self._trained, self._learnt = groups, trained, method.state()


class LBFGS(Minimizer):
    """Limited-memory BFGS with a line search that meets the strong Wolfe conditions (Nocedal and Wright,
    Numerical Optimization, algorithms 7.5 and 3.5), from the last `history_size` changes.

        optimizer = td.optim.LBFGS(model.parameters())
        optimizer.step(lambda: loss_of(model(x), y))

    The closure returns the loss; it may call `backward()` on it, after dropping the gradients. It must be the
    same function each time within a step. gtol: as in `minimize`.
    """

    _twice = False

    def __init__(self, params, history_size=10, max_iter=20, gtol=None):
        super().__init__(params, history_size=history_size, max_iter=max_iter, gtol=gtol)

    def _method(self, group):
        return Lbfgs(group["history_size"])


class NewtonCG(Minimizer):
    """Newton's method in a trust region, its steps by truncated conjugate gradients on exact products of the
    Hessian (Nocedal and Wright, Numerical Optimization, algorithms 4.1 and 7.2).

    The closure returns the loss and leaves `backward()` to the optimiser. radius: of the region at first.
    gtol: as in `minimize`.
    """

    _twice = True

    def __init__(self, params, radius=1.0, max_iter=20, gtol=None):
        super().__init__(params, radius=radius, max_iter=max_iter, gtol=gtol)

    def _method(self, group):
        return NewtonCg(group["radius"])
