"""Standard errors of maximum likelihood estimates."""

import tidu as td
from tidu._directional import Point


def _name(point, i):
    """Element i of all elements of a point."""
    number = 0
    while i >= point.inputs[number].size:
        i -= point.inputs[number].size
        number += 1
    index = []
    for extent in reversed(point.inputs[number].shape):
        index.insert(0, i % extent)
        i //= extent
    place = f"x[{', '.join(map(str, index))}]" if index else "x"
    return place if len(point.inputs) == 1 else f"{place} of leaf {number}"


def _names(point, elements):
    names = [_name(point, i) for i in elements[:4]]
    return ", ".join(names) + (f" and {len(elements) - 4} more" if len(elements) > 4 else "")


def standard_errors(function, x):
    """The standard errors of the estimate x, where `function` is a negative log-likelihood, the sum over all
    observations (not their mean), and x its minimum: like x.

    They are the roots of the diagonal of the inverse of the exact Hessian at x, the observed information
    (Efron and Hinkley, Biometrika 65, 1978). x is the argument, any pytree; a tuple is the tuple of
    arguments. A ValueError where the Hessian is not positive definite, so that the likelihood does not
    determine x: it names the elements concerned.
    """
    point = Point(function, x, "standard_errors")
    hessian = point.hessian()
    if hessian.size == 0:
        raise td.ShapeError("[standard_errors] the point has no elements")
    if not td.isfinite(hessian).all().item():
        raise ValueError("[standard_errors] the Hessian is not finite")
    diagonal = td.linalg.diagonal(hessian)
    wrong = [i for i, value in enumerate(diagonal.tolist()) if value <= 0]
    if wrong:
        raise ValueError(
            f"[standard_errors] the second derivative by {_names(point, wrong)} is not positive: f does not "
            "depend on it, or x is not a minimum"
        )
    # By elements in units of their own curvature, what is singular does not depend on scales.
    units = 1 / td.sqrt(diagonal)
    scaled = hessian * units * units.reshape((-1, 1))
    values, vectors = td.linalg.eigh((scaled + scaled.mT) / 2)
    epsilon = 2.0**-52 if all(leaf.dtype == td.float64 for leaf in point.inputs) else 2.0**-23
    least, limit = values[0].item(), 64 * epsilon * values.size
    if least <= limit:
        weights = td.abs(vectors[:, 0]).tolist()
        concerned = [i for i, weight in enumerate(weights) if weight >= 0.1 * max(weights)]
        kind = "not positive, so x is not a minimum" if least < -limit else "singular"
        raise ValueError(
            f"[standard_errors] the Hessian is {kind}: its least eigenvalue, scaled to a diagonal of 1, is "
            f"{least:.3g}, along {_names(point, concerned)} (collinear or redundant parameters?)"
        )
    variances = (vectors * vectors / values).sum(axis=1) * units * units
    return point.split(td.sqrt(variances))
