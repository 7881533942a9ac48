"""LBFGS and its kin over parameters: optimisers that evaluate the loss themselves, through a closure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from .._core import Tensor
from .._core import _training as training
from .minimize import Report
from .optimizers import Group, Optimizer, Params


class Minimizer(Optimizer):
    """What they share: `step(closure)`, the `report` on the last one, and what is learnt of the loss. A
    subclass has `_method`, a name that minimize knows."""

    _kind: Any = training.Minimizer
    _report: Any = Report
    _method: str

    def __init__(self, params: Params, **options: Any) -> None:
        super().__init__(params, **options)
        self.report: Any = None  # a Report, or that of a fitter
        self._learnt: dict[str, Any] = {}

    def add_param_group(self, group: Group) -> None:
        if self.param_groups:
            raise ValueError(f"[{self._name()}] takes one group of parameters, not 2")
        super().add_param_group(group)

    def _minimizer(self, group: Group, learnt: dict[str, Any]) -> Any:
        options = {name: value for name, value in group.items() if name not in ("params", "steps")}
        made = self._kind(group["params"], self._method, options, self._name())
        made.load_state(learnt)
        return made

    def _check(self, group: Group) -> None:
        super()._check(group)
        self._minimizer(group, {})

    def step(self, closure: Callable[[], Any]) -> Tensor:  # type: ignore[override]  # which needs a loss
        """Runs at most max_iter iterations on the loss that `closure()` returns for the present values of
        the parameters. Returns the loss at the start; `report` says what came of it, and its x holds the
        values of the parameters that require grad. Whatever ends a step early, an error in the closure or
        Ctrl-C, leaves the parameters at the best point so far."""
        (group,) = self.param_groups
        trained = [i for i, parameter in enumerate(group["params"]) if parameter.requires_grad]
        self.report = None
        minimizer = self._minimizer(group, self._learnt)
        try:
            first_loss = minimizer.step(closure)
        finally:
            self._learnt = minimizer.state()
        self.report = self._report(*minimizer.report)
        for i in trained:
            group["steps"][i] += 1
        loss: Tensor = first_loss
        return loss

    def update(self, gradients: Any) -> NoReturn:
        raise TypeError(f"[{self._name()}] needs the loss at other points than this one: call step(closure)")

    def state_dict(self) -> dict[str, Any]:
        """All options, step counts and what the method has learnt of the loss, for `td.save`."""
        return {**super().state_dict(), "learnt": dict(self._learnt)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        groups = self._loaded_groups(state)
        self._learnt = self._minimizer(groups[0], state["learnt"]).state()
        self.param_groups = groups


class LBFGS(Minimizer):
    """Limited-memory BFGS with a line search that meets the strong Wolfe conditions (Nocedal and Wright,
    Numerical Optimization, algorithms 7.5 and 3.5), from the last `history_size` changes.

        optimizer = td.optim.LBFGS(model.parameters())
        optimizer.step(lambda: loss_of(model(x), y))

    The closure returns the loss; it may call `backward()` on it, after dropping the gradients. It must be the
    same function each time within a step. gtol: as in `minimize`.

    Examples
    --------
    >>> x = td.tensor([3.0], requires_grad=True)
    >>> optimizer = td.optim.LBFGS([x])
    >>> _ = optimizer.step(lambda: ((x - 1) ** 2).sum())
    >>> x.detach()
    tensor([1.], dtype=float32)
    """

    _method = "lbfgs"

    def __init__(
        self, params: Params, history_size: int = 10, max_iter: int = 20, gtol: float | None = None
    ) -> None:
        super().__init__(params, history_size=history_size, max_iter=max_iter, gtol=gtol)


class NewtonCG(Minimizer):
    """Newton's method in a trust region, its steps by truncated conjugate gradients on exact products of the
    Hessian (Nocedal and Wright, Numerical Optimization, algorithms 4.1 and 7.2).

    The closure returns the loss and leaves `backward()` to the optimiser. radius: of the region at first.
    gtol: as in `minimize`.

    Examples
    --------
    >>> x = td.tensor([3.0], requires_grad=True)
    >>> optimizer = td.optim.NewtonCG([x])
    >>> _ = optimizer.step(lambda: ((x - 1) ** 2).sum())
    >>> x.detach()
    tensor([1.], dtype=float32)
    """

    _method = "newton-cg"

    def __init__(
        self, params: Params, radius: float = 1.0, max_iter: int = 20, gtol: float | None = None
    ) -> None:
        super().__init__(params, radius=radius, max_iter=max_iter, gtol=gtol)


class GradientDescent(Minimizer):
    """Steepest descent with the line search of LBFGS, which begins with the step of Barzilai and Borwein
    (1988). Closure and gtol: as in LBFGS and `minimize`.

    Examples
    --------
    >>> x = td.tensor([3.0], requires_grad=True)
    >>> optimizer = td.optim.GradientDescent([x])
    >>> _ = optimizer.step(lambda: ((x - 1) ** 2).sum())
    >>> optimizer.report.converged
    True
    """

    _method = "gradient-descent"

    def __init__(self, params: Params, max_iter: int = 20, gtol: float | None = None) -> None:
        super().__init__(params, max_iter=max_iter, gtol=gtol)


class GradientFlow(Minimizer):
    """The path x' = -grad f(x) of the parameters until `time`, which steps go along one after another, by
    Runge-Kutta steps of adaptive length (Bogacki and Shampine 1989), whose error is kept to
    atol + rtol abs(x). Closure and gtol: as in LBFGS and `minimize`.

    Examples
    --------
    >>> x = td.tensor([3.0], requires_grad=True)
    >>> optimizer = td.optim.GradientFlow([x])
    >>> optimizer.step(lambda: ((x - 1) ** 2).sum())
    tensor(4., dtype=float32)
    """

    _method = "gradient-flow"

    def __init__(
        self,
        params: Params,
        time: Any = float("inf"),
        rtol: float = 1e-3,
        atol: float = 1e-6,
        max_iter: int = 20,
        gtol: float | None = None,
    ) -> None:
        super().__init__(params, time=time, rtol=rtol, atol=atol, max_iter=max_iter, gtol=gtol)
