"""Closed forms of vector and matrix calculus, in float32 and float64, by both modes."""

import numpy as np
import pytest
import tidu as td

TOLERANCE = {np.float32: 2e-5, np.float64: 1e-13}


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
    t = lambda array, like: td.tensor(array).astype(like.dtype)
    trace = lambda M: td.sum(M * td.eye(M.shape[0], dtype=M.dtype))

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
    yield "tr A", S, trace, np.eye(n)
    yield "tr(AB) by A", A, lambda A: trace(A @ t(B, A)), B.T
    yield "tr(BA) by A", A, lambda A: trace(t(B, A) @ A), B.T
    yield "tr(xy') by x", x, lambda x: trace(td.outer(x, t(u, x))), u
    # A X' B: (4, m) (m, n) (n, 4)
    yield "tr(AX'B) by X", X, lambda X: trace(t(C, X) @ X.T @ t(D, X)), D @ C
    yield "tr(X'HX) by X", X, lambda X: trace(X.T @ t(H, X) @ X), (H + H.T) @ X
    yield "w'Xv by X", X, lambda X: (t(w, X) @ X) @ t(v, X), np.outer(w, v)


@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
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


@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
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


@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
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


@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
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
