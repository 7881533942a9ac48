"""Taylor mode: jets of every primitive against nesting, of scalar functions against mpmath; Taylor models."""

import math

import mpmath
import numpy as np
import pytest
import samplers as ops
import tidu as td
from test_derivatives import DIFFERENTIABLE, Problem, magnitude
from tidu.nn import functional as F

RTOL = {td.float32: 2e-5, td.float64: 1e-12}


@pytest.fixture(params=[td.float32, td.float64], ids=str)
def dtype(request):
    return request.param


def close(tensor, array, dtype, scale=1.0):
    assert tensor.dtype == dtype
    array = array.cpu().numpy() if isinstance(array, td.Tensor) else np.asarray(array)
    assert tensor.shape == array.shape
    np.testing.assert_allclose(
        tensor.cpu().numpy(),
        array,
        rtol=RTOL[dtype] * scale,
        atol=RTOL[dtype] * scale * (np.abs(array).max(initial=0)),
    )


def nested(function, order):
    """[function(0), its first derivative, ..] of a function of one number, by forward mode of itself."""
    result = []
    for _ in range(order + 1):
        result.append(function(td.tensor(0.0, dtype=td.float64)))
        function = (lambda f: lambda t: td.jvp(f, (t,), (td.ones_like(t),))[1])(function)
    return result


# --- Every primitive


@pytest.mark.parametrize("case", DIFFERENTIABLE, ids=str)
def test_jets_of_primitives_are_nested_derivatives(case):
    p = Problem(case, 21)
    curve = lambda t: p(*(x + t * u + t * t * v / 2 for x, u, v in zip(p.x, p.u, p.v, strict=True)))
    want = nested(curve, 3)
    value, derivatives = td.jet(p, p.x, [(u, v, None) for u, v in zip(p.u, p.v, strict=True)])
    assert value.tolist() == p(*p.x).tolist()
    for got, expected in zip(derivatives, want[1:], strict=True):
        np.testing.assert_allclose(
            got.cpu().numpy(), expected.cpu().numpy(), rtol=1e-9, atol=1e-10 * magnitude(expected)
        )
    # The first one is forward mode, to the bit.
    assert derivatives[0].tolist() == td.jvp(p, p.x, p.u)[1].tolist()


@pytest.mark.parametrize("name", ["tanh", "softmax", "logsumexp", "matmul", "prod", "divide"])
def test_jets_of_other_dtypes(name):
    case = ops.CASES.get(name) or next(c for c in DIFFERENTIABLE if c.name.startswith(name))
    p = Problem(case, 22)
    _, want = td.jet(p, p.x, [(u, v, None) for u, v in zip(p.u, p.v, strict=True)])
    for other, rtol in ((td.float32, 1e-4), (td.float16, 3e-2), (td.bfloat16, 2e-1)):
        cast = lambda ts, other=other: tuple(t.astype(other) for t in ts)
        _, got = td.jet(p, cast(p.x), [(u, v, None) for u, v in zip(cast(p.u), cast(p.v), strict=True)])
        for a, b in zip(got, want, strict=True):
            assert a.dtype == other
            np.testing.assert_allclose(
                a.astype(td.float64).cpu().numpy(),
                b.cpu().numpy(),
                rtol=rtol,
                atol=rtol * b.abs().max().item(),
            )


# --- Scalar functions

mp = mpmath.mp


def of_gelu_tanh(x):
    return x / (1 + mpmath.exp(-mpmath.sqrt(8 / mpmath.pi) * (x + mpmath.mpf(0.044715) * x**3)))


SCALARS = {
    "exp": (td.exp, mpmath.exp, 0.7),
    "exp2": (td.exp2, lambda x: mpmath.mpf(2) ** x, 0.7),
    "expm1": (td.expm1, mpmath.expm1, 0.3),
    "log": (td.log, mpmath.log, 1.7),
    "log2": (td.log2, lambda x: mpmath.log(x, 2), 1.7),
    "log10": (td.log10, mpmath.log10, 1.7),
    "log1p": (td.log1p, mpmath.log1p, 0.4),
    "sin": (td.sin, mpmath.sin, 0.9),
    "cos": (td.cos, mpmath.cos, 0.9),
    "tan": (td.tan, mpmath.tan, 0.6),
    "asin": (td.asin, mpmath.asin, 0.3),
    "acos": (td.acos, mpmath.acos, 0.3),
    "atan": (td.atan, mpmath.atan, 0.8),
    "sinh": (td.sinh, mpmath.sinh, 0.9),
    "cosh": (td.cosh, mpmath.cosh, 0.9),
    "tanh": (td.tanh, mpmath.tanh, 0.5),
    "asinh": (td.asinh, mpmath.asinh, 0.8),
    "acosh": (td.acosh, mpmath.acosh, 2.3),
    "atanh": (td.atanh, mpmath.atanh, 0.3),
    "sqrt": (td.sqrt, mpmath.sqrt, 1.9),
    "rsqrt": (td.rsqrt, lambda x: 1 / mpmath.sqrt(x), 1.9),
    "reciprocal": (td.reciprocal, lambda x: 1 / x, 1.9),
    "square": (td.square, lambda x: x * x, -1.3),
    "sigmoid": (td.sigmoid, lambda x: 1 / (1 + mpmath.exp(-x)), 0.8),
    "log_sigmoid": (td.log_sigmoid, lambda x: -mpmath.log1p(mpmath.exp(-x)), 0.8),
    "softplus": (td.softplus, lambda x: mpmath.log1p(mpmath.exp(x)), 0.8),
    "silu": (td.silu, lambda x: x / (1 + mpmath.exp(-x)), 0.8),
    "gelu": (td.gelu, lambda x: x * mpmath.ncdf(x), 0.8),
    "gelu_tanh": (td.gelu_tanh, of_gelu_tanh, 0.8),
    "mish": (td.mish, lambda x: x * mpmath.tanh(mpmath.log1p(mpmath.exp(x))), 0.8),
    "selu": (
        F.selu,
        lambda x: mpmath.mpf(1.0507009873554805) * mpmath.mpf(1.6732632423543772) * mpmath.expm1(x),
        -0.8,
    ),
    "celu": (lambda x: F.celu(x, 0.7), lambda x: mpmath.mpf(0.7) * mpmath.expm1(x / mpmath.mpf(0.7)), -0.8),
    "softsign": (F.softsign, lambda x: x / (1 - x), -0.8),
    "tanhshrink": (F.tanhshrink, lambda x: x - mpmath.tanh(x), 0.8),
    "hardswish": (F.hardswish, lambda x: x * (x + 3) / 6, 0.8),
    "huber": (lambda x: F.huber_loss(x, 0 * x), lambda x: x * x / 2, 0.8),
    "logistic loss": (
        lambda x: F.binary_cross_entropy_with_logits(x, 0 * x + 0.25),
        lambda x: mpmath.log1p(mpmath.exp(x)) - x / 4,
        0.8,
    ),
    "Bernoulli loss": (
        lambda x: F.binary_cross_entropy(x, x * x),
        lambda x: -x * x * mpmath.log(x) - (1 - x * x) * mpmath.log1p(-x),
        0.4,
    ),
    "divergence": (lambda x: F.kl_div(x * x, x), lambda x: x * (mpmath.log(x) - x * x), 0.8),
    "erf": (td.erf, mpmath.erf, 0.4),
    "erfc": (td.erfc, mpmath.erfc, 0.4),
    "x^7": (lambda x: x**7, lambda x: x**7, 1.2),
    "x^3 at 0": (lambda x: x**3, lambda x: x**3, 0.0),
    "x^-2.5": (lambda x: x**-2.5, lambda x: x ** mpmath.mpf(-2.5), 1.6),
    "x^x": (lambda x: td.pow(x, x), lambda x: x**x, 1.4),
    "1/(1+x^2)": (lambda x: 1 / (1 + x * x), lambda x: 1 / (1 + x * x), 0.3),
    "sin(x)/x": (lambda x: td.sin(x) / x, lambda x: mpmath.sin(x) / x, 1.1),
    "atan2(x, 1+x)": (lambda x: td.atan2(x, 1 + x), lambda x: mpmath.atan(x / (1 + x)), 0.7),
    "hypot(x, 2)": (lambda x: td.hypot(x, 2), lambda x: mpmath.sqrt(x * x + 4), 0.7),
    "logaddexp(x, 2x)": (
        lambda x: td.logaddexp(x, 2 * x),
        lambda x: mpmath.log(mpmath.exp(x) + mpmath.exp(2 * x)),
        0.3,
    ),
    "exp(sin(x^2))": (lambda x: td.exp(td.sin(x * x)), lambda x: mpmath.exp(mpmath.sin(x * x)), 0.6),
    "relu": (td.relu, lambda x: x, 0.6),
    "x |x|": (lambda x: x * td.abs(x), lambda x: -x * x, -0.6),
    "where": (lambda x: td.where(x > 0, td.sin(x), td.log(x)), mpmath.sin, 0.6),
}


@pytest.mark.parametrize("name", SCALARS)
def test_scalar_functions_to_order_ten(name, dtype):
    f, reference, x = SCALARS[name]
    x = td.tensor(x, dtype=dtype)
    with mpmath.workdps(60):
        at = mpmath.mpf(x.item())
        want = [float(c) for c in mpmath.taylor(reference, at, 10)]
    got = td.taylor(f, x, 10).coefficients
    # Relative to what a coefficient of its order may be, by those up to it.
    growth = max([1.0, *((abs(c) / abs(want[0] or 1)) ** (1 / k) for k, c in enumerate(want) if k and c)])
    for k, (a, b) in enumerate(zip(got, want, strict=True)):
        assert a.dtype == dtype and a.shape == ()
        bound = max(abs(c) * growth ** (k - j) for j, c in enumerate(want[: k + 1]))
        assert abs(a.item() - b) <= (100 if dtype == td.float64 else 40) * ops.EPSILON[dtype] * bound, k
    value, derivatives = td.jet(f, (x,), ([1.0] + [None] * 9,))
    assert value.item() == got[0].item()
    np.testing.assert_allclose(
        [d.item() for d in derivatives],
        [math.factorial(k) * got[k].item() for k in range(1, 11)],
        rtol=4 * ops.EPSILON[dtype],
    )


# --- Composites


def network(x, w1, w2):
    hidden = td.sigmoid(x @ w1)
    return td.softmax(hidden @ w2) @ x


def test_a_composite_against_nesting(rng):
    x, w1, w2, u, v = (td.tensor(rng.normal(size=(5, 5)) / 2) for _ in range(5))
    f = lambda x: network(x, w1, w2)
    want = nested(lambda t: f(x + t * u + t**3 * v), 6)
    _, got = td.jet(f, (x,), [(u, None, 6 * v, None, None, None)])
    for k, (a, b) in enumerate(zip(got, want[1:], strict=True)):
        close(a, b, td.float64, 10.0 ** min(k, 2))
    of_two = lambda x, w: td.log_softmax(x @ w, axis=0).std(axis=0) / (1 + (x * w).sum() ** 2)
    want = nested(lambda t: of_two(x + t * u, w1 + t * v), 5)
    _, got = td.jet(of_two, (x, w1), [[u] + [None] * 4, [v] + [None] * 4])
    for a, b in zip(got, want[1:], strict=True):
        close(a, b, td.float64, 100)


def test_jets_nest_with_everything(rng):
    x, v = td.tensor(rng.normal(size=4)), td.tensor(rng.normal(size=4))
    f = lambda x: (td.exp(td.sin(x)) * x).sum()
    third = lambda x: td.jet(f, (x,), ((v, None, None),))[1][2]
    by_nesting = lambda x: nested(lambda t: f(x + t * v), 3)[3]
    close(third(x), by_nesting(x), td.float64)
    close(td.grad(third)(x), td.grad(by_nesting)(x), td.float64, 10)
    close(td.hessian(third)(x), td.hessian(by_nesting)(x), td.float64, 100)
    close(td.jvp(third, (x,), (v,))[1], nested(lambda t: f(x + t * v), 4)[4], td.float64, 10)
    # A jet of a gradient, and of a jet.
    _, of_gradient = td.jet(td.grad(f), (x,), ((v, None),))
    close(of_gradient[1], td.grad(lambda x: td.jet(f, (x,), ((v, None),))[1][1])(x), td.float64, 10)
    second = lambda x: td.jet(f, (x,), ((v, None),))[1][1]
    _, of_jet = td.jet(second, (x,), ((v, None),))
    close(of_jet[1], nested(lambda t: f(x + t * v), 4)[4], td.float64, 10)
    # One variable in two jets is not taken for the other.
    inner = lambda a: td.jet(lambda b: a * b, (td.ones_like(a),), ((1.0,),))[1][0]
    assert td.jet(lambda a: a * inner(a), (td.tensor(3.0),), ((1.0, None),))[1][1].item() == 2
    program = td.program(third, x)
    assert program(x).item() == third(x).item()
    recorded = td.program(f, x)
    close(td.jet(recorded, (x,), ((v, None, None),))[1][2], third(x), td.float64)
    loss = x.requires_grad_()
    third(loss).backward()
    close(x.grad, td.grad(by_nesting)(x.detach()), td.float64, 10)


def test_custom_rules():
    runs = []

    @td.custom_jvp
    def cube(x):
        return x * x * x

    @cube.defjvp
    def rule(primals, tangents):
        runs.append(1)
        return cube(primals[0]), 3 * primals[0] ** 2 * tangents[0]

    x = td.tensor([0.5, 2.0], dtype=td.float64)
    _, got = td.jet(lambda x: td.sin(cube(x)), (x,), ((1.0 + 0 * x, None, None, None),))
    want = nested(lambda t: td.sin((x + t) ** 3), 4)
    for a, b in zip(got, want[1:], strict=True):
        close(a, b, td.float64, 10)
    assert len(runs) == 4  # the rule calls the function, whose rule is asked for one order less

    wrong = td.custom_jvp(lambda x: td.sin(x))
    wrong.defjvp(lambda p, t: (td.sin(p[0]), 2 * td.cos(p[0]) * t[0]))
    _, got = td.jet(wrong, (x,), ((td.ones_like(x), None, None),))
    for d, factor in zip(got, (td.cos, lambda x: -td.sin(x), lambda x: -td.cos(x)), strict=True):
        close(d, 2 * factor(x), td.float64)

    @td.custom_vjp
    def product(tree, y):
        return {"out": td.exp(tree["x"] * y)}

    def forward(tree, y):
        out = td.exp(tree["x"] * y)
        return {"out": out}, (tree["x"], y, out)

    def backward(residuals, cotangent):
        x, y, out = residuals
        g = cotangent["out"] * out
        return {"x": g * y}, g * x

    product.defvjp(forward, backward)
    y = td.tensor([0.3, -0.7], dtype=td.float64)
    _, got = td.jet(
        lambda x, y: product({"x": x}, y)["out"], (x, y), [(y, None, None, None), (x, None, None, None)]
    )
    want = nested(lambda t: td.exp((x + t * y) * (y + t * x)), 4)
    for a, b in zip(got, want[1:], strict=True):
        close(a, b, td.float64, 10)
    closing = td.custom_jvp(lambda a: a * 1)
    x = td.tensor(2.0, dtype=td.float64)

    def leaks(z):
        closing.defjvp(lambda p, t: (p[0] * 1, t[0] * z))
        return closing(z)

    with pytest.raises(td.GradientError, match="no argument of it"):
        td.jet(leaks, (x,), ((1.0, None),))


def test_custom_rules_in_programs():
    cube = td.custom_jvp(lambda x: x**3)
    cube.defjvp(lambda p, t: (p[0] ** 3, 3 * p[0] ** 2 * t[0]))
    x = td.tensor(0.7, dtype=td.float64)
    program = td.program(lambda x: td.sin(cube(x)), x)
    _, got = td.jet(program, (x,), ((1.0, None, None),))
    _, want = td.jet(lambda x: td.sin(x * x * x), (x,), ((1.0, None, None),))
    for a, b in zip(got, want, strict=True):
        close(a, b, td.float64, 10)


def test_a_long_rule_is_no_deep_recursion():
    @td.custom_jvp
    def many(x):
        for _ in range(30_000):
            x = x + 1
        return x * x

    @many.defjvp
    def rule(primals, tangents):
        (x,) = primals
        for _ in range(30_000):
            x = x + 1
        return x * x, 2 * x * tangents[0]

    _, got = td.jet(many, (td.tensor(1.0, dtype=td.float64),), ((1.0, None),))
    assert [d.item() for d in got] == [2 * 30_001, 2]


def test_writes_switches_and_what_has_no_derivative():
    x = td.tensor([1.0, 2.0], dtype=td.float64)

    def written(x):
        y = td.zeros_like(x)
        y[0] = x[1] ** 3
        y += x
        return y

    _, got = td.jet(written, (x,), ((td.ones_like(x), None),))
    assert got[0].tolist() == [13, 1] and got[1].tolist() == [12, 0]

    def switched(x):
        with td.no_grad():
            y = x * x
        return y * x

    _, got = td.jet(switched, (x,), ((td.ones_like(x), None),))
    assert got[0].tolist() == [1, 4] and got[1].tolist() == [0, 0]
    value, got = td.jet(lambda x: (td.argmax(x), td.round(x) * x, x.detach()), (x,), ((x, None),))
    assert value[0].item() == 1 and got[0][0].item() == 0
    assert got[0][1].tolist() == [1, 4] and got[1][1].tolist() == [0, 0]
    assert got[0][2].tolist() == [0, 0]
    # A branch that was not taken does no harm, at any order.
    safe = lambda x: td.where(x > 1.5, td.sqrt(x - 1.5), 0.0)
    _, got = td.jet(safe, (x,), ((td.ones_like(x), None, None),))
    assert [d[0].item() for d in got] == [0, 0, 0]
    close(got[2][1], 0.375 * 0.5**-2.5, td.float64)


def test_jets_of_trees_and_several_arguments():
    x = td.tensor([1.0, 2.0], dtype=td.float64)
    f = lambda p, y: {"product": p["x"] * y, "sum": [p["x"].sum()]}
    value, (first, second) = td.jet(f, ({"x": x}, 3.0), [({"x": x}, None), (td.tensor(1.0), td.tensor(4.0))])
    assert value["product"].tolist() == [3, 6]
    assert first["product"].tolist() == [4, 8] and first["sum"][0].item() == 3
    assert second["product"].tolist() == [2 + 4, 4 + 8] and second["sum"][0].item() == 0
    value, derivatives, aux = td.jet(lambda x: (x * x, "aux"), (x,), ((x, x),), has_aux=True)
    assert aux == "aux" and derivatives[1].tolist() == [2 * 1 + 2 * 1, 2 * 4 + 2 * 4]
    assert td.jet(lambda x: x * x, (x,), ((),))[1] == []


def test_jet_errors():
    x = td.ones(3)
    with pytest.raises(TypeError, match=r"\[jet\] primals must be a tuple or a list, not Tensor"):
        td.jet(td.sin, x, ((x,),))
    with pytest.raises(ValueError, match=r"\[jet\] takes one series a primal: 1, not 2"):
        td.jet(td.sin, (x,), ((x,), (x,)))
    with pytest.raises(TypeError, match=r"series 0 must be a tuple or a list of terms, not Tensor"):
        td.jet(td.sin, (x,), (x,))
    with pytest.raises(ValueError, match=r"series 1 has 1 terms, but series 0 has 2"):
        td.jet(td.add, (x, x), ((x, x), (x,)))
    with pytest.raises(td.ShapeError, match=r"\[jet\] term is float32\(2,\) but must be float32\(3,\)"):
        td.jet(td.sin, (x,), ((x[:2],),))
    with pytest.raises(td.DTypeError, match="floating-point"):
        td.jet(td.sin, (td.arange(3),), ((None,),))
    assert td.taylor(td.sin, x, np.int64(2)).order == 2
    with pytest.raises(TypeError, match=r"\[taylor\] the order must be an int, not float"):
        td.taylor(td.sin, x, 2.0)
    with pytest.raises(ValueError, match=r"\[taylor\] the order must not be negative: -1"):
        td.taylor(td.sin, x, -1)
    with pytest.raises(td.ShapeError, match=r"\[taylor\] direction"):
        td.taylor(td.sin, x, 1)(x[:2])


# --- Taylor models


def test_models_of_vectors_and_matrices(rng, dtype):
    a, x, p = (td.tensor(rng.normal(size=s), dtype=dtype) for s in ((3, 2), (2, 3), (2, 3)))
    f = lambda x: td.sin(x @ a) * x.sum()
    model = td.taylor(f, x, 3)
    c0, c1, c2, c3 = model.coefficients
    assert [c.shape for c in (c0, c1, c2, c3)] == [(2, 2) + (2, 3) * k for k in range(4)]
    close(model.value, f(x), dtype)
    close(c1, td.jacobian(f)(x), dtype)
    close(c2, td.jacobian(td.jacobian(f))(x) / 2, dtype)
    P = p.cpu().numpy()
    want = c0.cpu().numpy().astype(np.float64)
    for k, c in enumerate((c1, c2, c3), 1):
        term = c.cpu().numpy().astype(np.float64)
        for _ in range(k):
            term = np.tensordot(term, P, 2)
        want = want + term
    close(model(p), want, dtype, 10)
    close(td.taylor(f, x, 0)(p), f(x), dtype)
    assert len(td.taylor(f, x, 0).coefficients) == 1
    close(td.taylor(f, x, 1)(p), td.total_derivative(f, x).model(p), dtype)
    g = lambda x: td.exp(x).sum()
    quadratic = g(x) + (td.grad(g)(x) * p).sum() + (p * td.hvp(g, x, p)).sum() / 2
    close(td.taylor(g, x, 2)(p), quadratic, dtype)
    close(model(None), f(x), dtype)


@pytest.mark.parametrize("order", [0, 1, 2, 3, 5])
def test_the_error_falls_with_the_power_of_the_step(order, rng):
    x, p = td.tensor(rng.normal(size=3)), td.tensor(rng.normal(size=3))
    f = lambda x: td.exp(td.sin(x).sum()) * td.cos(x[0])
    model = td.taylor(f, x, order)
    errors = [abs((f(x + h * p) - model(h * p)).item()) for h in (0.1, 0.05)]
    assert 2**order < errors[0] / errors[1] < 2 ** (order + 2)


def test_models_of_one_number_and_of_trees(dtype):
    x = td.tensor([[2.0]], dtype=dtype)
    c = td.taylor(lambda x: {"y": x[0] ** 4, "n": [x.sum()]}, x, 5).coefficients
    assert [t["y"].shape for t in c] == [(1,) + (1, 1) * k for k in range(6)]
    for t, want in zip(c, (16, 32, 24, 8, 1, 0), strict=True):
        close(t["y"].reshape(()), want, dtype)
    assert [t["n"][0].item() for t in c] == [2, 1, 0, 0, 0, 0]
    inside = td.taylor(lambda p: p["s"] ** 2, {"s": td.tensor(3.0, dtype=dtype)}, 2)
    assert [inside.coefficients[k]["s"].item() for k in (1,)] == [6]
    close(inside({"s": td.tensor(1.0, dtype=dtype)}), 16, dtype)
    assert inside.coefficients[2]["s"]["s"].item() == 1
    s, t = td.tensor(2.0, dtype=dtype), td.tensor([1.0, 3.0], dtype=dtype)
    model = td.taylor(lambda s, t: s * s * (t * t).sum(), (s, t), 2)
    close(model((td.tensor(1.0, dtype=dtype), t)), 40 + 40 + 80 + 10 + 40 + 80, dtype)
    second = model.coefficients[2]
    close(second[0][0], 10, dtype)
    close(second[0][1], 4 * t, dtype)
    close(second[1][1], np.diag([4, 4]), dtype)
    # Differentiable by the step: the gradient of the quadratic model is g + H p.
    f = lambda x: td.exp(x).sum()
    p = td.tensor([0.3, -0.2], dtype=dtype)
    close(td.grad(td.taylor(f, t, 2))(p), td.grad(f)(t) + td.hvp(f, t, p), dtype)


# --- Cost and memory


def test_the_sixth_derivative_costs_at_most_four_times_the_third(rng):
    x, w1, w2 = (td.tensor(rng.normal(size=(8, 8)) / 3) for _ in range(3))
    f = lambda x: network(x, w1, w2)

    def calls(order):
        program = td.program(lambda x, u: td.jet(f, (x,), ([u] + [None] * (order - 1),))[1][-1], x, x)
        names = [
            line.split(" = ")[1].split()[0].split("[")[0]
            for line in str(program).splitlines()
            if " = " in line
        ]
        return {name: names.count(name) for name in ("matmul", "multiply_no_nan", "multiply")}, len(names)

    (third, all_third), (sixth, all_sixth) = calls(3), calls(6)
    assert sixth["matmul"] <= 4 * third["matmul"]
    assert sixth["multiply_no_nan"] <= 4 * third["multiply_no_nan"]
    assert all_sixth <= 4 * all_third


def test_a_rule_that_does_not_read_the_result_is_run_once():
    x = td.tensor(0.7, dtype=td.float64)
    program = td.program(lambda x: td.jet(td.sin, (x,), ([1.0 + 0 * x] + [None] * 7,))[1][-1], x)
    text = str(program)
    assert text.count(" = sin") <= 2 and text.count(" = cos") <= 1


def test_memory_goes_with_the_jet(live_bytes):
    before = live_bytes()
    x = td.ones((20, 20))
    derivatives = td.jet(lambda x: td.softmax(td.exp(x) / (1 + x @ x)), (x,), ((x, None, None, None),))[1]
    assert len(derivatives) == 4

    def fails(x):
        td.exp(x)
        raise KeyError("inside")

    with pytest.raises(KeyError, match="inside"):
        td.jet(fails, (x,), ((x, None),))
    del x, derivatives
    assert live_bytes() == before
