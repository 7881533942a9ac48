"""What derivatives are, rules and closed forms of vector and matrix calculus, in float32 and float64."""

import mpmath
import numpy as np
import pytest
import tidu as td
from tidu.nn import functional as F

TOLERANCE = {np.float32: 2e-5, np.float64: 1e-13}
DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])


def vector_forms(rng, n):
    x, y, a = (rng.standard_normal(n) for _ in range(3))
    A, B = rng.standard_normal((n, n)), rng.standard_normal((n, n))
    B = B + B.T
    W, Z = rng.standard_normal((n, n)), rng.standard_normal((n, n))
    t = lambda array, like: td.tensor(array).astype(like.dtype)

    yield "a.x", x, lambda x: t(a, x) @ x, a
    yield "x.a", x, lambda x: x @ t(a, x), a
    yield "x'Ay by x", x, lambda x: x @ t(A, x) @ t(y, x), A @ y
    yield "y'Ax by x", x, lambda x: t(y, x) @ t(A, x) @ x, A.T @ y
    yield "x'Ax", x, lambda x: x @ t(A, x) @ x, (A + A.T) @ x

    def weighted(x):
        r = t(a, x) - t(A, x) @ x
        return r @ t(B, x) @ r

    yield "(a-Ax)'B(a-Ax)", x, weighted, -2 * A.T @ B @ (a - A @ x)

    inner = lambda x: td.tanh(t(W, x) @ x)
    J = (1 - np.tanh(W @ x) ** 2)[:, None] * W
    second = lambda x: td.sin(t(Z, x) @ x)
    K = np.cos(Z @ x)[:, None] * Z
    yield "a.y(x)", x, lambda x: t(a, x) @ inner(x), J.T @ a
    yield "y(x)'Ay(x)", x, lambda x: inner(x) @ t(A, x) @ inner(x), J.T @ (A + A.T) @ np.tanh(W @ x)
    yield (
        "y(x)'Az(x)",
        x,
        lambda x: inner(x) @ t(A, x) @ second(x),
        J.T @ A @ np.sin(Z @ x) + K.T @ A.T @ np.tanh(W @ x),
    )
    f, df = lambda x: t(a, x) @ x, a
    g, dg = lambda x: td.exp(t(y, x) @ x * 0.1), 0.1 * y * np.exp(y @ x * 0.1)
    fx, gx = a @ x, np.exp(y @ x * 0.1)
    yield "2f+3g", x, lambda x: 2 * f(x) + 3 * g(x), 2 * df + 3 * dg
    yield "fg", x, lambda x: f(x) * g(x), df * gx + fx * dg
    yield "f/g", x, lambda x: f(x) / g(x), (df * gx - fx * dg) / gx**2
    yield "norm(Aw-y)^2", x, lambda x: td.sum((t(A, x) @ x - t(y, x)) ** 2), 2 * A.T @ (A @ x - y)
    yield (
        "sin(x1)+x1x2",
        x,
        lambda x: td.sin(x[0]) + x[0] * x[1],
        np.concatenate([[np.cos(x[0]) + x[1], x[0]], np.zeros(n - 2)]),
    )


def cofactors(X):
    n = len(X)
    minor = lambda i, k: np.linalg.det(np.delete(np.delete(X, i, 0), k, 1))
    return np.array([[(-1) ** (i + k) * minor(i, k) for k in range(n)] for i in range(n)])


def matrix_forms(rng, n):
    m = n + 1
    x, y = rng.standard_normal(n), rng.standard_normal(m)
    v = rng.standard_normal(m)
    A = 0.3 * rng.standard_normal((n, m))
    S, B = rng.standard_normal((n, n)), rng.standard_normal((m, n))
    u, w = rng.standard_normal(n), rng.standard_normal(n)
    X, Y, target = rng.standard_normal((n, m)), rng.standard_normal((m, 3)), rng.standard_normal((n, 3))
    C, D = rng.standard_normal((4, m)), rng.standard_normal((n, 4))
    H = rng.standard_normal((n, n))
    regular = 2 * np.eye(n) + 0.3 * rng.standard_normal((n, n))
    inverse = np.linalg.inv(regular)
    positive = regular @ regular.T
    t = lambda array, like: td.tensor(array).astype(like.dtype)
    trace = td.linalg.trace

    residual = X @ Y - target
    yield "|XY-A|^2/2 by Y", Y, lambda Y: td.sum((t(X, Y) @ Y - t(target, Y)) ** 2) / 2, X.T @ residual
    yield "|XY-A|^2/2 by X", X, lambda X: td.sum((X @ t(Y, X) - t(target, X)) ** 2) / 2, residual @ Y.T
    yield "x'Ay by A", A, lambda A: t(x, A) @ A @ t(y, A), np.outer(x, y)
    yield (
        "x'A'Ay by A",
        S,
        lambda A: t(u, A) @ A.T @ A @ t(w, A),
        S @ (np.outer(u, w) + np.outer(w, u)),
    )
    yield (
        "x'AA'y by A",
        S,
        lambda A: t(u, A) @ A @ A.T @ t(w, A),
        (np.outer(u, w) + np.outer(w, u)) @ S,
    )
    yield (
        "exp(x'Ay) by A",
        A,
        lambda A: td.exp(t(x, A) @ A @ t(y, A)),
        np.outer(x, y) * np.exp(x @ A @ y),
    )
    yield (
        "x'A^-1 y by A",
        regular,
        lambda A: t(u, A) @ td.linalg.inv(A) @ t(w, A),
        -inverse.T @ np.outer(u, w) @ inverse.T,
    )
    yield "det X", regular, td.linalg.det, np.linalg.det(regular) * inverse.T
    yield "ln det X", positive, td.linalg.logdet, np.linalg.inv(positive)
    yield "det X, singular", np.outer(u, w), td.linalg.det, cofactors(np.outer(u, w))
    yield "tr A", S, trace, np.eye(n)
    yield "tr(AB) by A", A, lambda A: trace(A @ t(B, A)), B.T
    yield "tr(BA) by A", A, lambda A: trace(t(B, A) @ A), B.T
    yield "tr(xy') by x", x, lambda x: trace(td.outer(x, t(u, x))), u
    # A X' B: (4, m) (m, n) (n, 4)
    yield "tr(AX'B) by X", X, lambda X: trace(t(C, X) @ X.T @ t(D, X)), D @ C
    yield "tr(X'HX) by X", X, lambda X: trace(X.T @ t(H, X) @ X), (H + H.T) @ X
    yield "w'Xv by X", X, lambda X: (t(w, X) @ X) @ t(v, X), np.outer(w, v)


@DTYPES
@pytest.mark.parametrize("n", [2, 3, 8])
def test_closed_forms(n, dtype):
    rng = np.random.default_rng([n, 41])
    direction_rng = np.random.default_rng([n, 42])
    for name, at, f, want in [*vector_forms(rng, n), *matrix_forms(rng, n)]:
        x = td.tensor(at.astype(dtype))
        scale = np.abs(want).max() + 1
        close = {"rtol": TOLERANCE[dtype] * 10, "atol": TOLERANCE[dtype] * scale * n, "err_msg": name}
        np.testing.assert_allclose(td.grad(f)(x).cpu().numpy(), want, **close)
        direction = direction_rng.standard_normal(at.shape)
        _, slope = td.jvp(f, (x,), (td.tensor(direction.astype(dtype)),))
        close["atol"] *= np.sqrt(at.size)
        np.testing.assert_allclose(slope.cpu().numpy(), (want * direction).sum(), **close)
        if dtype == np.float64:
            td.check_grads(f, (x,), order=2)
        else:
            twice = lambda x, f=f, v=direction: td.hvp(f, x, td.tensor(v).astype(x.dtype)).cpu().numpy()
            exact = twice(td.tensor(at))
            close["atol"] = TOLERANCE[dtype] * (np.abs(exact).max() + 1) * n * n
            np.testing.assert_allclose(twice(x), exact, **close)


# --- What a derivative is


def smooth(x):
    return td.sin(x[0]) * td.exp(0.3 * x[1]) + x[0] * x[1] * x[2] + td.tanh(x[2])


POINT, STEP = np.array([0.5, -0.4, 0.8]), np.array([0.6, 0.3, -0.5])


@DTYPES
def test_models_of_a_function(dtype):
    """f(x + p) to first order by the gradient, to second by the Hessian; -gradient leads down."""
    x, p = td.tensor(POINT.astype(dtype)), td.tensor(STEP.astype(dtype))
    exact = lambda h: smooth(td.tensor(POINT + h * STEP)).item() - smooth(td.tensor(POINT)).item()
    gradient, hessian = td.grad(smooth)(x), td.hessian(smooth)(x)
    slope, bend = (gradient * p).sum().item(), (p @ hessian @ p).item()
    errors = np.array([[exact(h) - h * slope, exact(h) - h * slope - h * h * bend / 2] for h in (0.1, 0.01)])
    falls = np.abs(errors[0] / errors[1])
    assert falls[0] > 60 and falls[1] > (600 if dtype == np.float64 else 60)
    assert smooth(x - 0.05 * gradient).item() < smooth(x).item()
    np.testing.assert_allclose(
        [td.taylor(smooth, x, k)(0.2 * p).item() - smooth(x).item() for k in (1, 2)],
        [0.2 * slope, 0.2 * slope + 0.02 * bend],
        rtol=TOLERANCE[dtype] * 10,
    )


@DTYPES
def test_gradients_by_several_and_nested_arguments(dtype):
    rng = np.random.default_rng(47)
    w, b, s = rng.standard_normal((3, 2)), rng.standard_normal(2), 0.7
    f = lambda tree, s: td.sum(td.tanh(tree["w"].T @ tree["rest"][0]) * tree["rest"][1]) * s
    given = [td.tensor(np.asarray(a, dtype)) for a in (w, POINT, b, s)]
    tree, by_s = td.grad(f, argnums=(0, 1))({"w": given[0], "rest": [given[1], given[2]]}, given[3])
    y = np.tanh(w.T @ POINT)
    back = s * b * (1 - y * y)
    close = {"rtol": TOLERANCE[dtype] * 10, "atol": TOLERANCE[dtype]}
    np.testing.assert_allclose(tree["w"].cpu().numpy(), np.outer(POINT, back), **close)
    np.testing.assert_allclose(tree["rest"][0].cpu().numpy(), w @ back, **close)
    np.testing.assert_allclose(tree["rest"][1].cpu().numpy(), s * y, **close)
    np.testing.assert_allclose(by_s.item(), y @ b, **close)


@DTYPES
def test_directions_curves_and_chains(dtype):
    x, v = td.tensor(POINT.astype(dtype)), td.tensor(STEP.astype(dtype))
    close = {"rtol": TOLERANCE[dtype] * 10, "atol": TOLERANCE[dtype]}
    gradient = td.grad(smooth)(x).cpu().numpy()
    norm = np.linalg.norm(gradient)
    slope = lambda v: td.directional_derivative(smooth, x, td.tensor(v.astype(dtype))).item()
    np.testing.assert_allclose(slope(STEP), gradient @ STEP, **close)
    np.testing.assert_allclose(slope(gradient / norm), norm, **close)
    assert slope(STEP / np.linalg.norm(STEP)) < norm

    curve = lambda t: td.stack([td.cos(t), td.sin(t), t * t])
    t = td.tensor(np.asarray(0.3, dtype))
    velocity = np.array([-np.sin(0.3), np.cos(0.3), 0.6])
    for got in (td.jvp(curve, (t,), (td.ones_like(t),))[1], td.jacfwd(curve)(t)):
        np.testing.assert_allclose(got.cpu().numpy(), velocity, **close)
    along = td.grad(lambda t: smooth(curve(t)))(t).item()
    np.testing.assert_allclose(along, td.grad(smooth)(curve(t)).cpu().numpy() @ velocity, **close)

    inner, outer = lambda x: td.tanh(x * x + 0.1), lambda y: td.stack([y[0] * y[1], td.exp(y[2])])
    for jacobian in (td.jacobian, td.jacfwd, td.jacrev):
        whole = jacobian(lambda x: outer(inner(x)))(x)
        parts = jacobian(outer)(inner(x)) @ jacobian(inner)(x)
        np.testing.assert_allclose(whole.cpu().numpy(), parts.cpu().numpy(), **close)
        np.testing.assert_array_equal(jacobian(lambda x: x)(x).cpu().numpy(), np.eye(3))

    hessian = td.hessian(smooth)(td.tensor(POINT)).cpu().numpy()
    np.testing.assert_array_equal(hessian, hessian.T)
    gradient_of = td.grad(smooth)
    for way in (
        td.hessian(smooth),
        td.jacfwd(gradient_of),
        td.jacrev(td.jacfwd(smooth)),
        td.jacrev(gradient_of),
    ):
        np.testing.assert_allclose(way(x).cpu().numpy(), hessian, **close)
    np.testing.assert_allclose(td.hvp(smooth, x, v).cpu().numpy(), hessian @ STEP, **close)


ORDERS = {
    "sin": (td.sin, mpmath.sin),
    "exp": (td.exp, mpmath.exp),
    "x^7": (lambda x: x**7, lambda x: x**7),
    "sigmoid": (td.sigmoid, lambda x: 1 / (1 + mpmath.exp(-x))),
    "tanh": (td.tanh, mpmath.tanh),
}


@DTYPES
@pytest.mark.parametrize("name", ORDERS)
def test_five_derivatives(name, dtype):
    function, exact = ORDERS[name]
    x, by_grad = td.tensor(np.asarray(0.6, dtype)), function
    _, by_jet = td.jet(function, (x,), ([td.ones_like(x), None, None, None, None],))
    for k in range(1, 6):
        by_grad = td.grad(by_grad)
        with mpmath.workdps(40):
            want = float(mpmath.diff(exact, mpmath.mpf(float(x)), k))
        np.testing.assert_allclose(by_grad(x).item(), want, rtol=20 * TOLERANCE[dtype])
        np.testing.assert_allclose(by_jet[k - 1].item(), want, rtol=20 * TOLERANCE[dtype])


# --- The rules of the matrix differential


@DTYPES
@pytest.mark.parametrize("n", [1, 3, 6])
def test_matrix_differentials(n, dtype):
    rng = np.random.default_rng([n, 46])
    X, Y, A = (2 * np.eye(n) + 0.3 * rng.standard_normal((n, n)) for _ in range(3))
    dX, dY = rng.standard_normal((2, n, n))
    inverse, S = np.linalg.inv(X), X @ X.T
    trace, la = np.trace, td.linalg
    lift = lambda array: td.tensor(array).astype(td.float32 if dtype == np.float32 else td.float64)
    rules = {
        "dC": (lambda X, Y: lift(A) + 0 * X, 0 * dX),
        "d(aX + bY)": (lambda X, Y: 2 * X - 3 * Y, 2 * dX - 3 * dY),
        "d(XY)": (lambda X, Y: X @ Y, dX @ Y + X @ dY),
        "d(X')": (lambda X, Y: X.T, dX.T),
        "d(X^-1)": (lambda X, Y: la.inv(X), -inverse @ dX @ inverse),
        "d tr X": (lambda X, Y: la.trace(X), trace(dX)),
        "d det X": (lambda X, Y: la.det(X), np.linalg.det(X) * trace(inverse @ dX)),
        "d det X, singular": (lambda X, Y: la.det(X - X[:1]), trace(cofactors(X - X[:1]).T @ (dX - dX[:1]))),
        "d ln det S": (lambda X, Y: la.logdet(X @ X.T), trace(np.linalg.inv(S) @ (dX @ X.T + X @ dX.T))),
        "d(X * Y)": (lambda X, Y: X * Y, dX * Y + X * dY),
        "d s(X)": (lambda X, Y: td.sin(X), np.cos(X) * dX),
        "d(g o f)": (lambda X, Y: td.exp(la.trace(X @ Y)), np.exp(trace(X @ Y)) * trace(dX @ Y + X @ dY)),
        "d |X|^2 / 2": (lambda X, Y: td.sum(X * X) / 2, (X * dX).sum()),
    }
    for name, (function, want) in rules.items():
        y, got = td.jvp(function, (lift(X), lift(Y)), (lift(dX), lift(dY)))
        close = {"rtol": TOLERANCE[dtype] * 10, "atol": TOLERANCE[dtype] * n * (np.abs(want).max() + 1)}
        np.testing.assert_allclose(got.cpu().numpy(), want, **close, err_msg=name)
        w = rng.standard_normal(y.shape)
        back = td.vjp(function, lift(X), lift(Y))[1](lift(w))
        pairing = sum((g.cpu().numpy() * d).sum() for g, d in zip(back, (dX, dY), strict=True))
        close["atol"] *= np.abs(w).sum() + 1
        np.testing.assert_allclose(pairing, (w * want).sum(), **close, err_msg=name)


@DTYPES
def test_traces(dtype):
    A, B, C = (td.tensor(m.astype(dtype)) for m in np.random.default_rng(48).standard_normal((3, 4, 4)))
    trace = td.linalg.trace
    for one, other in (
        (trace(A), trace(A.T)),
        (trace(A @ B), trace(B @ A)),
        (trace(A.T @ (B * C)), trace((A * B).T @ C)),
    ):
        np.testing.assert_allclose(one.item(), other.item(), rtol=TOLERANCE[dtype] * 10)
    # w'X as a vector, contracted with the cotangent v.
    w, v = A[0], B[0]
    _, pullback = td.vjp(lambda X: w @ X, C)
    np.testing.assert_array_equal(pullback(v)[0].cpu().numpy(), np.outer(w.cpu().numpy(), v.cpu().numpy()))


# --- Hessians and models


@DTYPES
def test_hessians(dtype):
    rng = np.random.default_rng(43)
    A, B = rng.standard_normal((4, 4)), rng.standard_normal((4, 4))
    B = B + B.T
    x, a = rng.standard_normal(4), rng.standard_normal(4)
    A_, B_, x_, a_ = (td.tensor(array.astype(dtype)) for array in (A, B, x, a))
    close = {"rtol": TOLERANCE[dtype] * 10, "atol": TOLERANCE[dtype] * 20}
    np.testing.assert_allclose(td.hessian(lambda x: x @ A_ @ x)(x_).cpu().numpy(), A + A.T, **close)

    def weighted(x):
        r = a_ - A_ @ x
        return r @ B_ @ r

    np.testing.assert_allclose(td.hessian(weighted)(x_).cpu().numpy(), 2 * A.T @ B @ A, **close)


@DTYPES
def test_linear_regression(dtype):
    """The solution of the normal equations is stationary."""
    rng = np.random.default_rng(49)
    X, y = rng.standard_normal((20, 4)), rng.standard_normal(20)
    X_, y_ = td.tensor(X.astype(dtype)), td.tensor(y.astype(dtype))
    w = td.linalg.solve(X_.T @ X_, X_.T @ y_)
    np.testing.assert_allclose(
        w.cpu().numpy(), np.linalg.lstsq(X, y, rcond=None)[0], rtol=TOLERANCE[dtype] * 50
    )
    loss = lambda w: td.sum((X_ @ w - y_) ** 2)
    assert np.abs(td.grad(loss)(w).cpu().numpy()).max() < TOLERANCE[dtype] * 100
    np.testing.assert_allclose(td.hessian(loss)(w).cpu().numpy(), 2 * X.T @ X, rtol=TOLERANCE[dtype] * 50)


@DTYPES
def test_gaussian_likelihood(dtype):
    """ln det S + the mean of (x - m)' S^-1 (x - m) is stationary at the sample covariance."""
    rng = np.random.default_rng(50)
    x = rng.standard_normal((60, 3))
    x = x - x.mean(0)
    rows, S = td.tensor(x.astype(dtype)), x.T @ x / len(x)

    def likelihood(S):
        return td.linalg.logdet(S) + td.mean(td.sum(rows * td.linalg.solve(S, rows.T).T, axis=1))

    at = lambda S: td.grad(likelihood)(td.tensor(S.astype(dtype))).cpu().numpy()
    assert np.abs(at(S)).max() < TOLERANCE[dtype] * 20
    other = S + 0.5 * np.eye(3)
    inverse = np.linalg.inv(other)
    want = inverse - inverse @ S @ inverse
    np.testing.assert_allclose(at(other), want, rtol=TOLERANCE[dtype] * 20, atol=TOLERANCE[dtype] * 5)


@DTYPES
def test_binary_classification(dtype):
    """The cross-entropy of a sigmoid: derivative sigmoid(z) - y, also of logits of 1e4."""
    z = np.array([-1e4, -30, -1, 0, 2, 30, 1e4])
    for label in (0.0, 1.0):
        loss = lambda z, label=label: F.binary_cross_entropy_with_logits(
            z, td.full_like(z, label), reduction="sum"
        )
        value, slope = td.value_and_grad(loss)(td.tensor(z.astype(dtype)))
        sigmoid = lambda z: np.exp(-np.logaddexp(0, -z))
        want = sigmoid(z) if label == 0 else -sigmoid(-z)  # without a difference that cancels
        np.testing.assert_allclose(slope.cpu().numpy(), want, rtol=TOLERANCE[dtype], atol=1e-30)
        want = (np.logaddexp(0, z) - label * z).sum()
        np.testing.assert_allclose(value.item(), want, rtol=TOLERANCE[dtype])


@DTYPES
def test_logistic_regression(dtype):
    """l = -y' log softmax(Wx): gradient (p - y) x', Hessian positive semidefinite."""
    rng = np.random.default_rng(44)
    W, x, y = rng.standard_normal((3, 5)), rng.standard_normal(5), np.eye(3)[1]
    p = np.exp(W @ x) / np.exp(W @ x).sum()
    X, Y = td.tensor(x.astype(dtype)), td.tensor(y.astype(dtype))
    loss = lambda W: -(Y * td.log_softmax(W @ X)).sum()
    got = td.grad(loss)(td.tensor(W.astype(dtype))).cpu().numpy()
    np.testing.assert_allclose(got, np.outer(p - y, x), rtol=TOLERANCE[dtype] * 10, atol=TOLERANCE[dtype] * 5)
    hessian = td.hessian(loss)(td.tensor(W.astype(dtype))).cpu().numpy().reshape(15, 15)
    expected = np.kron(np.diag(p) - np.outer(p, p), np.outer(x, x))
    np.testing.assert_allclose(hessian, expected, rtol=TOLERANCE[dtype] * 20, atol=TOLERANCE[dtype] * 10)


@DTYPES
def test_two_layer_network(dtype):
    """grad_W2 = (p - y) h', grad_W1 = ((W2'(p - y)) * h * (1 - h)) x'."""
    rng = np.random.default_rng(45)
    W1, W2 = rng.standard_normal((6, 5)), rng.standard_normal((3, 6))
    x, label = rng.standard_normal(5), 2
    h = 1 / (1 + np.exp(-W1 @ x))
    p = np.exp(W2 @ h) / np.exp(W2 @ h).sum()
    error = p - np.eye(3)[label]
    X = td.tensor(x.astype(dtype))

    def loss(W1, W2):
        return td.softmax_cross_entropy(W2 @ td.sigmoid(W1 @ X), td.tensor(label))

    g1, g2 = td.grad(loss, argnums=(0, 1))(td.tensor(W1.astype(dtype)), td.tensor(W2.astype(dtype)))
    close = {"rtol": TOLERANCE[dtype] * 10, "atol": TOLERANCE[dtype] * 5}
    np.testing.assert_allclose(g2.cpu().numpy(), np.outer(error, h), **close)
    np.testing.assert_allclose(g1.cpu().numpy(), np.outer((W2.T @ error) * h * (1 - h), x), **close)
