"""Standard errors of maximum likelihood and least squares estimates."""

from tidu._directional import Point

from .._core import _training as training


def standard_errors(function, x, *, residuals=False):
    """The standard errors of the estimate x, where `function` is a negative log-likelihood, the sum over all
    observations (not their mean), and x its minimum: like x.

    They are the roots of the diagonal of the inverse of the exact Hessian at x, the observed information
    (Efron and Hinkley, Biometrika 65, 1978). x is the argument, any pytree; a tuple is the tuple of
    arguments. A ValueError where the Hessian is not positive definite, so that the likelihood does not
    determine x: it names the elements concerned.

    With residuals=True, `function` gives residuals, any tensors, whose sum of squares is least at x: the
    standard errors are the roots of the diagonal of s^2 (J^T J)^-1, with J their exact Jacobian and s^2 the
    sum of squares divided by the number of residuals less that of elements of x. They hold for independent
    errors of equal variance.
    """
    point = Point(function, x, "standard_errors")
    if residuals:
        return point.tree(training.residual_standard_errors(point.flat, point.inputs))
    return point.tree(training.standard_errors(point.flat.scalar, point.inputs))
