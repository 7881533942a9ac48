"""LevenbergMarquardt and GaussNewton over parameters, by residuals that a closure returns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tidu._core import Tensor

from .._core import _training as training
from .._transforms import outputs_from
from .least_squares import LeastSquaresReport
from .minimizers import Minimizer
from .optimizers import Params


class Fitter(Minimizer):
    """What they share: `step(closure)` for a closure that returns residuals."""

    _kind = training.Fitter
    _report = LeastSquaresReport

    def step(self, closure: Callable[[], Any]) -> Tensor:  # type: ignore[override]  # which needs a loss
        """Runs at most max_iter iterations on the residuals that `closure()` returns for the present values
        of the parameters, a tensor or a tree of them. Returns the cost at the start, half the sum of squares;
        `report` says what came of it, and its x holds the values of the parameters that require grad.
        Whatever ends a step early, an error in the closure or Ctrl-C, leaves the parameters at the best point
        so far."""

        def residuals() -> list[Tensor]:
            result = closure()
            if result is None:
                raise TypeError(f"[{self._name()}] the closure must return the residuals, not None")
            return outputs_from(result, self._name())[0]

        return super().step(residuals)


class LevenbergMarquardt(Fitter):
    """The steps of Levenberg and Marquardt in a trust region of scaled length (Moré 1978), for residuals of
    which there are as many as elements of the parameters, or more.

        optimizer = td.optim.LevenbergMarquardt(model.parameters())
        optimizer.step(lambda: model(x) - y)

    The closure returns the residuals and leaves `backward()` to the optimiser; the Jacobian is exact, by
    reverse mode. It must be the same function each time within a step. radius, ftol, xtol and gtol: as in
    `least_squares`.

    Examples
    --------
    >>> x = td.tensor([3.0], requires_grad=True)
    >>> optimizer = td.optim.LevenbergMarquardt([x])
    >>> _ = optimizer.step(lambda: 2 * x - 2)
    >>> x.detach()
    tensor([1.], dtype=float32)
    """

    _method = "lm"

    def __init__(
        self,
        params: Params,
        radius: float = 4.0,
        max_iter: int = 20,
        ftol: float | None = None,
        xtol: float | None = None,
        gtol: float | None = None,
    ) -> None:
        super().__init__(params, radius=radius, max_iter=max_iter, ftol=ftol, xtol=xtol, gtol=gtol)


class GaussNewton(Fitter):
    """The steps that make the sum of squares of the linear model of the residuals least, halved until they
    lower that of the residuals. Closure and tolerances: as in LevenbergMarquardt.

    Examples
    --------
    >>> x = td.tensor([3.0], requires_grad=True)
    >>> optimizer = td.optim.GaussNewton([x])
    >>> _ = optimizer.step(lambda: 2 * x - 2)
    >>> x.detach()
    tensor([1.], dtype=float32)
    """

    _method = "gauss-newton"

    def __init__(
        self,
        params: Params,
        max_iter: int = 20,
        ftol: float | None = None,
        xtol: float | None = None,
        gtol: float | None = None,
    ) -> None:
        super().__init__(params, max_iter=max_iter, ftol=ftol, xtol=xtol, gtol=gtol)
