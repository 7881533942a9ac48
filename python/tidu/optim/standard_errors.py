"""Standard errors of maximum likelihood estimates."""

from tidu._directional import Point

from .._core import _training as training


def standard_errors(function, x):
    """The standard errors of the estimate x, where `function` is a negative log-likelihood, the sum over all
    observations (not their mean), and x its minimum: like x.

    They are the roots of the diagonal of the inverse of the exact Hessian at x, the observed information
    (Efron and Hinkley, Biometrika 65, 1978). x is the argument, any pytree; a tuple is the tuple of
    arguments. A ValueError where the Hessian is not positive definite, so that the likelihood does not
    determine x: it names the elements concerned.
    """
    point = Point(function, x, "standard_errors")
    return point.tree(training.standard_errors(point.flat.scalar, point.inputs))
