"""LevenbergMarquardt and GaussNewton over parameters, by residuals that a closure returns."""

from .._core import _training as training
from .._transforms import outputs_from
from .least_squares import LeastSquaresReport
from .minimizers import Minimizer


class Fitter(Minimizer):
    """What they share: `step(closure)` for a closure that returns residuals."""

    _kind, _report = training.Fitter, LeastSquaresReport

    def step(self, closure):
        """Runs at most max_iter iterations on the residuals that `closure()` returns for the present values
        of the parameters, a tensor or a tree of them. Returns the cost at the start, half the sum of squares;
        `report` says what came of it, and its x holds the values of the parameters that require grad.
        Whatever ends a step early, an error in the closure or Ctrl-C, leaves the parameters at the best point
        so far."""

        def residuals():
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
    """

    _method = "lm"

    def __init__(self, params, radius=4.0, max_iter=20, ftol=None, xtol=None, gtol=None):
        super().__init__(params, radius=radius, max_iter=max_iter, ftol=ftol, xtol=xtol, gtol=gtol)


class GaussNewton(Fitter):
    """The steps that make the sum of squares of the linear model of the residuals least, halved until they
    lower that of the residuals. Closure and tolerances: as in LevenbergMarquardt."""

    _method = "gauss-newton"

    def __init__(self, params, max_iter=20, ftol=None, xtol=None, gtol=None):
        super().__init__(params, max_iter=max_iter, ftol=ftol, xtol=xtol, gtol=gtol)
