"""is_differentiable_at and classify_stationary_point on functions whose answers are known."""

import re

import numpy as np
import pytest
import tidu as td

DTYPES = [td.float32, td.float64]


def on_axes(x):
    return td.where((x[0] == 0).logical_or(x[1] == 0), 1.0, 0.0) + 0 * x.sum()


def cubic_over_quartic(x):
    """Every directional derivative at 0 is 0, but along x2 = x1^2 it is x1 / 2."""
    origin = (x == 0).all()
    return td.where(origin, 0.0, x[0] ** 3 * x[1] / td.where(origin, 1.0, x[0] ** 4 + x[1] ** 2))


def oscillating(power):
    return lambda x: x**power * td.sin(1 / x) if x.item() != 0 else 0 * x


root = lambda x: x[0] * td.sqrt(td.abs(x[1]))
PARTIALS, NO = "partials only", "no"
OBJECTIONS = {
    "sqrt(|x1 x2|)": (lambda x: td.sqrt(td.abs(x[0] * x[1])), [0.0, 0.0], PARTIALS, "random direction"),
    "1 on the axes": (on_axes, [0.0, 0.0], PARTIALS, "random direction"),
    "x1^3 x2 / (x1^4 + x2^2)": (cubic_over_quartic, [0.0, 0.0], PARTIALS, "along axis 0"),
    "x1 sqrt(|x2|)": (root, [1.0, 0.0], NO, "by element 1 does not exist"),
    "abs": (
        lambda x: td.abs(x),
        [3.0, 0.0],
        NO,
        "result 1 by element 1 does not exist.*1 above and -1 below",
    ),
    "relu": (lambda x: td.relu(x).sum(), [0.0], NO, "1 above and 0 below"),
    "max of equal ones": (lambda x: td.max(x), [2.0, 2.0], NO, "does not exist"),
    "norm": (lambda x: td.sqrt((x * x).sum()), [0.0, 0.0], NO, "by element 0"),
    "round": (lambda x: td.round(x), [0.5], NO, "by element 0"),
    "x sin(1/x)": (oscillating(1), 0.0, NO, "does not exist"),
    "sqrt at its end": (lambda x: td.sqrt(x), 0.0, NO, "does not exist|forward mode gives"),
    "largest of equal eigenvalues": (
        lambda x: td.linalg.eigvalsh(x)[1],
        [[2.0, 0.0], [0.0, 2.0]],
        NO,
        "equal eigenvalues",
    ),
    "log(0)": (lambda x: td.log(x), 0.0, NO, "the value is not finite"),
    "1 on the axes, in float32": (
        lambda x: td.where(x[0] * x[1] == 0, 1.0, 0.0),
        [0.0, 0.0],
        PARTIALS,
        "random direction",
    ),
    "step": (lambda x: td.where(x >= 1, x + 1e-6, x), 1.0, NO, "does not exist"),
    "root beside 1": (lambda x: 1 + td.sqrt(td.abs(x - 1)), 1.0, NO, "does not exist|forward mode gives"),
    "sign(x) |x|^0.9": (lambda x: td.sign(x) * td.abs(x) ** 0.9, 0.0, NO, "does not exist|forward mode"),
}
NO_OBJECTIONS = {
    "x1 sqrt(|x2|)": (root, [0.0, 0.0]),
    "x^2 sin(1/x)": (oscillating(2), 0.0),
    "abs beside its kink": (lambda x: td.abs(x).sum(), [1e-3, -5.0]),
    "norm": (lambda x: td.sqrt((x * x).sum()), [3.0, 4.0]),
    "tiny": (lambda x: td.log(x).sum(), [1e-9, 1.0, 1e9]),
    "wavy": (lambda x: td.sin(1000 * x), [0.3, 0.1]),
    "constant": (lambda x: 0 * x + 5, [1.0, 2.0]),
    "huge": (lambda x: 1e20 * td.exp(x), [1.0, 2.0]),
    "matrix": (lambda x: td.softmax(x @ x.T), [[1.0, 2.0], [0.5, -1.0]]),
    "round inside": (lambda x: td.round(x), [0.3, 1.2]),
    "|x|^1.1": (lambda x: td.abs(x) ** 1.1, 0.0),
    "|x|^1.05": (lambda x: td.abs(x) ** 1.05, [0.0, 1.0]),
    "|x - 1|^1.2 + 1": (lambda x: td.abs(x - 1) ** 1.2 + 1, 1.0),
    "norm^1.1": (lambda x: (x * x).sum() ** 0.55, [0.0, 0.0]),
    "x^2 log|x|": (lambda x: x * x * td.log(td.abs(x)) if x.item() != 0 else 0 * x, 0.0),
    "cancellation": (lambda x: (1 - td.cos(x)) / (x * x), [1e-2, 3.0]),
    "large terms": (lambda x: (1e6 + td.cos(x)) - 1e6, [0.0, 0.5]),
    "beside a step": (lambda x: td.where(x > 1.001, x + 1, x), 1.0),
}
# What only float64 shows.
SMALL_KINKS = {
    "beside sin": lambda x: td.sin(x) + 1e-6 * td.abs(x - 1),
    "beside exp": lambda x: td.exp(x) + 1e-6 * td.relu(x - 1),
    "alone": lambda x: 1e-6 * td.abs(x - 1),
    "of a maximum": lambda x: td.maximum(x * x, x * x + 1e-6 * (x - 1)),
}


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", OBJECTIONS)
def test_objections(name, dtype):
    f, x, verdict, text = OBJECTIONS[name]
    report = td.is_differentiable_at(f, td.tensor(x, dtype=dtype))
    assert not report and report.verdict == verdict
    assert re.search(text, report.objections[0]), report
    assert str(report).startswith(verdict)
    for seed in (1, 2, 3):
        assert td.is_differentiable_at(f, td.tensor(x, dtype=dtype), seed=seed).verdict == verdict


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", NO_OBJECTIONS)
def test_no_objection(name, dtype):
    f, x = NO_OBJECTIONS[name]
    for seed in range(4):
        report = td.is_differentiable_at(f, td.tensor(x, dtype=dtype), seed=seed)
        assert report, report
        assert report.verdict == "no objection found" and report.objections == ()


@pytest.mark.parametrize("name", SMALL_KINKS)
def test_small_kinks(name):
    for seed in range(4):
        report = td.is_differentiable_at(SMALL_KINKS[name], td.tensor(1.0, dtype=td.float64), seed=seed)
        assert report.verdict == "no" and "does not exist" in report.objections[0], report
        assert td.is_differentiable_at(SMALL_KINKS[name], td.tensor(1.5, dtype=td.float64), seed=seed)


def test_differentiability_of_trees():
    x = td.tensor([1.0, 2.0])
    f = lambda p, y: {"a": p["x"] * y, "index": td.argmax(p["x"])}
    assert td.is_differentiable_at(f, ({"x": x}, 3.0))
    assert td.is_differentiable_at(lambda p, y: p["x"] * td.abs(y), ({"x": x}, 0.0)).verdict == "no"
    assert td.is_differentiable_at(lambda x: td.tanh(x) @ td.ones((200, 2), dtype=x.dtype), td.zeros(200))
    with pytest.raises(td.DTypeError, match=r"\[is_differentiable_at\]"):
        td.is_differentiable_at(td.argmax, x)


def test_rules_that_are_wrong_are_found():
    wrong = td.custom_jvp(lambda x: td.sin(x))
    wrong.defjvp(lambda p, t: (td.sin(p[0]), 1.01 * td.cos(p[0]) * t[0]))
    report = td.is_differentiable_at(wrong, td.tensor([0.0, 1.0]))
    assert report.verdict == "no" and "by element 0 is 1 by differences but 1.01 by the modes" in str(report)
    doubled = td.custom_vjp(lambda x: td.sin(x))
    doubled.defvjp(lambda x: (td.sin(x), x), lambda x, g: (2 * td.cos(x) * g,))
    assert td.is_differentiable_at(doubled, td.tensor([0.0, 1.0])).verdict == "no"
    assert td.is_differentiable_at(doubled, td.tensor(np.pi / 2, dtype=td.float64))


# --- Stationary points

POINTS = {
    "minimum": (lambda x: (x * x).sum() + x[0] * x[1], [1.0, 3.0]),
    "maximum": (lambda x: td.cos(x).sum(), [-1.0, -1.0]),
    "saddle": (lambda x: x[0] ** 2 - x[1] ** 2, [-2.0, 2.0]),
    "undecided": (lambda x: x[0] ** 2 + x[1] ** 4, [0.0, 2.0]),
}


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("kind", POINTS)
def test_kinds(kind, dtype):
    f, eigenvalues = POINTS[kind]
    x = td.zeros(2, dtype=dtype)
    point = td.classify_stationary_point(f, x)
    assert point.kind == kind and point.gradient_norm == 0
    assert point.eigenvalues.dtype == td.float64
    np.testing.assert_allclose(point.eigenvalues.tolist(), eigenvalues, atol=1e-6)
    assert str(point).startswith(f"{kind}: the Hessian has eigenvalues ")
    signs = np.sign(eigenvalues)
    assert [len(point.down), len(point.flat), len(point.up)] == [(signs == s).sum() for s in (-1, 0, 1)]
    directions = point.down + point.flat + point.up
    for value, direction in zip(eigenvalues, directions, strict=True):
        assert direction.dtype == dtype
        np.testing.assert_allclose(
            td.hvp(f, x, direction).tolist(), value * direction.cpu().numpy(), atol=1e-6
        )
        assert abs((direction * direction).sum().item() - 1) < 1e-6


def test_a_monkey_saddle_and_a_constant_are_undecided():
    x = td.zeros(2, dtype=td.float64)
    assert td.classify_stationary_point(lambda x: x[0] ** 3 - 3 * x[0] * x[1] ** 2, x).kind == "undecided"
    assert td.classify_stationary_point(lambda x: 0 * x.sum(), x).kind == "undecided"
    # Both signs decide, whatever else is zero.
    f = lambda x: x[0] ** 2 - x[1] ** 2 + 0 * x[2]
    point = td.classify_stationary_point(f, td.zeros(3, dtype=td.float64))
    assert point.kind == "saddle" and [len(d) for d in (point.down, point.flat, point.up)] == [1, 1, 1]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_what_is_not_stationary(dtype):
    f = lambda x: x[0] ** 2 + 3 * x[1]
    point = td.classify_stationary_point(f, td.tensor([2.0, 1.0], dtype=dtype))
    assert point.kind == "not stationary" and point.eigenvalues is None and point.up is None
    assert abs(point.gradient_norm - 5) < 1e-6 and str(point) == "not stationary: the gradient has norm 5"
    # By the Newton step, not by the size of the gradient.
    small = lambda x: 1e-12 * (x * x).sum()
    assert td.classify_stationary_point(small, td.tensor([1.0], dtype=dtype)).kind == "not stationary"
    assert td.classify_stationary_point(small, td.tensor([0.0], dtype=dtype)).kind == "minimum"
    near = td.tensor([1e-3], dtype=dtype)
    assert td.classify_stationary_point(lambda x: (x * x).sum(), near).kind == "not stationary"
    assert td.classify_stationary_point(lambda x: (x * x).sum(), near, rtol=1e-2).kind == "minimum"


def test_what_is_not_finite_is_no_stationary_point():
    for f, x in ((lambda x: td.log(x).sum(), [0.0, 1.0]), (lambda x: (x - x / 0).sum(), [1.0])):
        with pytest.raises(
            ValueError, match=r"\[classify_stationary_point\] the gradient or the Hessian is not"
        ):
            td.classify_stationary_point(f, td.tensor(x))


def test_stationary_points_of_trees():
    f = lambda p, q: (p["a"] ** 2).sum() - (q - 1) ** 2
    point = td.classify_stationary_point(f, ({"a": td.zeros(2, dtype=td.float64)}, 1.0))
    assert point.kind == "saddle"
    (down,) = point.down
    assert abs(down[1].item()) == 1 and down[0]["a"].tolist() == [0, 0]
    assert len(point.up) == 2
    # A logistic regression has one minimum, and Newton's method goes there.
    rng = np.random.default_rng(3)
    x, y = td.tensor(rng.normal(size=(50, 3))), td.tensor((rng.random(50) < 0.5) * 1.0)
    loss = lambda w: (td.softplus(x @ w) - y * (x @ w)).sum()
    w = np.zeros(3)
    assert td.classify_stationary_point(loss, td.tensor(w)).kind == "not stationary"
    for _ in range(8):
        at = td.tensor(w)
        w = w - np.linalg.solve(td.hessian(loss)(at).cpu().numpy(), td.grad(loss)(at).cpu().numpy())
    assert td.classify_stationary_point(loss, td.tensor(w)).kind == "minimum"
    with pytest.raises(td.ShapeError, match="must return one element"):
        td.classify_stationary_point(lambda x: x, td.ones(3))
