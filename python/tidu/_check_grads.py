"""Checking derivatives against differences."""

from tidu import _core
from tidu._pytree import unflatten
from tidu._transforms import inputs_of, name_of, outputs_from


def check_grads(function, args, order=2, modes=("fwd", "rev"), atol=None, rtol=None, eps=None, seed=0):
    """Checks the derivatives of a function against differences, in random directions.

    args: a tuple of pytrees. With order > 1 the derivatives' own derivatives are checked too, in every mix
    of the modes ("fwd": jvp, "rev": vjp). Use float64: differences in float32 are good for two digits.
    Where they differ, an AssertionError says which derivative, which element and by how much.
    """
    if not isinstance(args, tuple | list):
        raise TypeError(f"[check_grads] args must be a tuple, not {type(args).__name__}")
    modes = (modes,) if isinstance(modes, str) else tuple(modes)
    for mode in modes:
        if mode not in ("fwd", "rev"):
            raise ValueError(f"[check_grads] modes are 'fwd' and 'rev', not {mode!r}")
    inputs, structure = inputs_of(tuple(args), "check_grads", "args")

    def flat(tensors):
        return outputs_from(function(*unflatten(structure, tensors)), "check_grads")[0]

    narrow = any(x.dtype != "float64" for x in inputs)
    tolerances = (
        atol if atol is not None else 2e-2 if narrow else 1e-6,
        rtol if rtol is not None else 2e-2 if narrow else 1e-6,
        eps if eps is not None else 1e-2 if narrow else 1e-4,
    )
    _check(flat, inputs, order, modes, tolerances, _Directions(seed), name_of(function))


class _Directions:
    def __init__(self, seed):
        self.key = _core.random.key(seed)

    def like(self, tensors):
        result = []
        for x in tensors:
            self.key, key = _core.random.split(self.key)
            direction = _core.random.normal(key.to(x.device), x.shape, dtype=_core.float64)
            result.append(direction.astype(x.dtype))
        return result


def _dot(xs, ys):
    products = (
        (x.astype(_core.float64) * y.astype(_core.float64)).sum().item() for x, y in zip(xs, ys, strict=True)
    )
    return sum(products)


def _check(flat, inputs, order, modes, tolerances, directions, name):
    atol, rtol, eps = tolerances
    outputs = flat(inputs)
    differentiable = [i for i, y in enumerate(outputs) if y.dtype.is_floating_point]
    if len(differentiable) < len(outputs):
        whole = flat
        flat = lambda tensors: (lambda ys: [ys[i] for i in differentiable])(whole(tensors))
        outputs = flat(inputs)
    tangents, cotangents = directions.like(inputs), directions.like(outputs)

    def moved(step):
        return flat([x + step * t for x, t in zip(inputs, tangents, strict=True)])

    # The five-point formula, whose error is of fourth order in eps.
    near = [(a - b) / (2 * eps) for a, b in zip(moved(eps), moved(-eps), strict=True)]
    far = [(a - b) / (4 * eps) for a, b in zip(moved(2 * eps), moved(-2 * eps), strict=True)]
    expected = [(4 * n - f) / 3 for n, f in zip(near, far, strict=True)]

    if "fwd" in modes:
        values, derivative = _core.jvp(flat, inputs, tangents)
        for o, (got, want) in enumerate(zip(derivative, expected, strict=True)):
            _compare(got, want, atol, rtol, f"jvp of {name}, output {o}")
        for o, (got, want) in enumerate(zip(values, outputs, strict=True)):
            _compare(got, want, atol, rtol, f"value of {name} under jvp, output {o}")
    if "rev" in modes:
        values, pull = _core.vjp(flat, inputs)
        for o, (got, want) in enumerate(zip(values, outputs, strict=True)):
            _compare(got, want, atol, rtol, f"value of {name} under vjp, output {o}")
        got, want = _dot(pull(cotangents), tangents), _dot(cotangents, expected)
        scale = sum(_dot([y.abs()], [c.abs()]) for y, c in zip(expected, cotangents, strict=True))
        if not abs(got - want) <= atol + rtol * scale:
            raise AssertionError(
                f"[check_grads] vjp of {name}: <cotangent, J tangent> is {got:.9g} by reverse mode but "
                f"{want:.9g} by differences (tolerance {atol + rtol * scale:.2g})"
            )
    if order > 1:
        if "fwd" in modes:
            forward = lambda tensors: _core.jvp(flat, tensors, tangents)[1]
            _check(forward, inputs, order - 1, modes, tolerances, directions, f"jvp({name})")
        if "rev" in modes:
            reverse = lambda tensors: _core.vjp(flat, tensors)[1](cotangents)
            _check(reverse, inputs, order - 1, modes, tolerances, directions, f"vjp({name})")


def _compare(got, want, atol, rtol, what):
    got, want = got.astype(_core.float64), want.astype(_core.float64)
    if got.shape != want.shape:
        raise AssertionError(f"[check_grads] {what}: shape {got.shape} but must be {want.shape}")
    fault = ((got - want).abs() > atol + rtol * want.abs()).logical_or(got.isnan() != want.isnan())
    if fault.any().item():
        at = tuple(int(i[0].item()) for i in fault.nonzero())
        raise AssertionError(
            f"[check_grads] {what}: element {at} is {got[at].item():.9g} but {want[at].item():.9g} "
            f"by differences (atol {atol:g}, rtol {rtol:g}; {fault.sum().item()} of {got.size} differ)"
        )
