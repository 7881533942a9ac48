"""Standard errors of maximum likelihood and least squares estimates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from tidu._directional import Point

from .._core import _training as training

T = TypeVar("T")


def standard_errors(function: Callable[..., Any], x: T, *, residuals: bool = False) -> T:
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

    Examples
    --------
    >>> td.optim.standard_errors(lambda x: 2 * (x - 1) ** 2, td.tensor(1.0))
    tensor(0.5, dtype=float32)
    """
    point = Point(function, x, "standard_errors")
    if residuals:
        errors = training.residual_standard_errors(point.flat, point.inputs)
    else:
        errors = training.standard_errors(point.flat.scalar, point.inputs)
    found: T = point.tree(errors)
    return found
