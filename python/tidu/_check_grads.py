"""Checking derivatives against differences."""

import math

from tidu import _core
from tidu._pytree import unflatten
from tidu._transforms import inputs_of, name_of, outputs_from


def check_grads(function, args, order=2, modes=("fwd", "rev"), atol=None, rtol=None, eps=None, seed=0):
    """Checks the derivatives of a function against differences, in random directions.

    args: a tuple of pytrees. With order > 1 the derivatives' own derivatives are checked too, in every mix
    of the modes ("fwd": jvp, "rev": vjp). Use float64: differences in float32 are good for two digits.
    Where they differ, an AssertionError says which derivative, and of its worst element (the one furthest
    beyond its tolerance) the index, both values and how many ulps lie between them.
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

    expected = _differences(flat, inputs, tangents, eps)

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
        pulled = pull(cotangents)
        got, want = _dot(pulled, tangents), _dot(cotangents, expected)
        scale = sum(_dot([y.abs()], [c.abs()]) for y, c in zip(expected, cotangents, strict=True))
        if not abs(got - want) <= atol + rtol * scale:
            raise AssertionError(
                f"[check_grads] vjp of {name}: <cotangent, J tangent> is {got:.9g} by reverse mode but "
                f"{want:.9g} by differences (tolerance {atol + rtol * scale:.2g})"
                + _worst_pulled(flat, inputs, cotangents, pulled, tolerances)
            )
    if order > 1:
        if "fwd" in modes:
            forward = lambda tensors: _core.jvp(flat, tensors, tangents)[1]
            _check(forward, inputs, order - 1, modes, tolerances, directions, f"jvp({name})")
        if "rev" in modes:
            reverse = lambda tensors: _core.vjp(flat, tensors)[1](cotangents)
            _check(reverse, inputs, order - 1, modes, tolerances, directions, f"vjp({name})")


def _differences(flat, inputs, direction, eps):
    """The derivative in a direction by the five-point formula, whose error is of fourth order in eps."""

    def moved(step):
        return flat([x + step * t for x, t in zip(inputs, direction, strict=True)])

    near = [(a - b) / (2 * eps) for a, b in zip(moved(eps), moved(-eps), strict=True)]
    far = [(a - b) / (4 * eps) for a, b in zip(moved(2 * eps), moved(-2 * eps), strict=True)]
    return [(4 * n - f) / 3 for n, f in zip(near, far, strict=True)]


def _compare(got, want, atol, rtol, what):
    if got.shape != want.shape:
        raise AssertionError(f"[check_grads] {what}: shape {got.shape} but must be {want.shape}")
    excess = _excess(got, want, atol, rtol)
    fault = excess > 1
    if fault.any().item():
        raise AssertionError(
            f"[check_grads] {what}: {_worst(got, want, excess)} (atol {atol:g}, rtol {rtol:g}; "
            f"{fault.sum().item()} of {got.size} differ)"
        )


def _excess(got, want, atol, rtol):
    """How far elements differ, in tolerances: infinitely where only one is NaN or infinite."""
    got, want = got.astype(_core.float64), want.astype(_core.float64)
    excess = (got - want).abs() / (atol + rtol * want.abs())
    excess = _core.where((got == want).logical_or(got.isnan().logical_and(want.isnan())), 0.0, excess)
    return _core.where(excess.isnan(), math.inf, excess)


def _worst(got, want, excess):
    """The element with the largest excess, in words."""
    at = ()
    for extent, stride in zip(excess.shape, _row_major(excess.shape), strict=True):
        at += (excess.argmax().item() // stride % extent,)
    a, b = got[at].item(), want[at].item()
    digits = {"float64": 53, "float32": 24, "float16": 11, "bfloat16": 8}[str(got.dtype).split(".")[-1]]
    finite = math.isfinite(a) and math.isfinite(b)
    ulp = 2.0 ** ((math.frexp(b)[1] if finite and b else -1021) - digits) if finite else math.nan
    return f"element {at} is {a:.12g} but {b:.12g} by differences, {abs(a - b) / ulp:.3g} ulps away"


def _row_major(shape):
    return [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]


_MOST_ELEMENTS = 4096  # that are looked at one by one


def _worst_pulled(flat, inputs, cotangents, pulled, tolerances):
    """The worst element of what reverse mode gives, found by differences along each axis."""
    if sum(x.size for x in inputs) > _MOST_ELEMENTS:
        return ""
    atol, rtol, eps = tolerances
    found = []
    for i, x in enumerate(inputs):
        slopes = []
        for k in range(x.size):
            unit = (_core.arange(x.size, device=x.device) == k).astype(x.dtype).reshape(x.shape)
            direction = [unit if j == i else _core.zeros_like(y) for j, y in enumerate(inputs)]
            slopes.append(_dot(cotangents, _differences(flat, inputs, direction, eps)))
        if slopes:
            want = _core.asarray(slopes, dtype=_core.float64, device=x.device).reshape(x.shape)
            excess = _excess(pulled[i], want, atol, rtol)
            found.append((excess.max().item(), i, _worst(pulled[i], want, excess)))
    _, i, text = max(found)
    return f"; of input {i}, {text}"
