"""docs/rules.md: it is current, and its formulas are the derivatives that are computed."""

import ast
import importlib.util
import types
from pathlib import Path

import numpy as np
import pytest
import samplers as ops
import tidu as td
from scipy import linalg
from tidu.nn import functional as F

ROOT = Path(__file__).resolve().parents[2]
spec = importlib.util.spec_from_file_location("rules_table", ROOT / "scripts/rules_table.py")
rules_table = importlib.util.module_from_spec(spec)
spec.loader.exec_module(rules_table)
ROWS = rules_table.rows()


@pytest.mark.cpu_only("reads a file of the repository")
def test_the_table_is_current_and_whole():
    text = (ROOT / "docs/rules.md").read_text()
    assert rules_table.document(text, ops.PRIMITIVES) == text, "run scripts/rules_table.py"
    with pytest.raises(
        SystemExit, match=r"no rule of brand_new: write its row, // \| `brand_new` \| .*, above it"
    ):
        rules_table.document(text, [*ops.PRIMITIVES, "brand_new"])
    with pytest.raises(SystemExit, match=r"a rule of copy, which is no primitive, in csrc/ops/convert\.cpp"):
        rules_table.document(text, [name for name in ops.PRIMITIVES if name != "copy"])
    for rows, fault in (
        ({"copy": ["`copy`", "", "", ""]}, "a second rule of copy in csrc/ops/new.cpp"),
        ({"exp": ["`exp`", "", "", ""]}, "a second rule of exp in csrc/ops/new.cpp"),
        ({"brand_new": ["`brand_new`", ""]}, "2 cells, not 4, in the row of brand_new"),
        ({"brand_new": ["`brand_new`", "", "", ""]}, "no place for the rules of csrc/ops/new.cpp"),
    ):
        written = {**rules_table.written_rows(), "csrc/ops/new.cpp": rows}
        with pytest.raises(SystemExit, match=fault):
            rules_table.document(text, [*ops.PRIMITIVES, "brand_new"], written)


# --- Elementwise: the expressions of the table, computed by NumPy


def evaluated(expression, names):
    code = compile(ast.fix_missing_locations(ast.Expression(rules_table.parsed(expression))), "rule", "eval")
    return eval(code, {**ops.REFERENCES, "INFINITY": np.inf, "where": np.where, **names})


@pytest.mark.parametrize("name", ROWS)
def test_partial_derivatives(name):
    row, primitive = ROWS[name], ops.PRIMITIVES[name]
    assert bool(row.partials) == (primitive["derivative"] != "zero")
    assert len(row.inputs) == primitive["arity"]
    assert list(row.parameters) == list(primitive["parameters"])
    if not row.partials:
        return
    case = ops.CASES[name]
    arrays = case.arrays(31, td.float64)
    tensors = [ops.to_tensor(a, case.dtype_of_input(i, td.float64)) for i, a in enumerate(arrays)]

    def f(*smooth):
        inputs = list(tensors)
        for i, x in zip(case.differentiable, smooth, strict=True):
            inputs[i] = x
        return case.function(*inputs)

    y, pullback = td.vjp(f, *(tensors[i] for i in case.differentiable))
    slopes = iter(pullback(td.ones_like(y)))
    names = dict(zip(row.inputs, arrays, strict=True), y=y.cpu().numpy())
    names["p"] = types.SimpleNamespace(**primitive["parameters"])
    for partial, array in zip(row.partials, arrays, strict=True):
        if partial is not None:
            want = np.broadcast_to(evaluated(partial, names), array.shape)
            np.testing.assert_allclose(
                next(slopes).cpu().numpy(), want, rtol=1e-12, atol=1e-14, err_msg=partial
            )


def test_formulas_are_written_well():
    latex = lambda text: rules_table.mathematics(text)
    assert latex("0.5 * y / x") == r"$\frac{y}{2 x}$"
    assert latex("-1.12837916709551257390 * exp(-square(x))") == r"$-\frac{2 e^{-x^2}}{\sqrt{\pi}}$"
    assert latex("b / hypot(a, b) / hypot(a, b)") == r"$\frac{b}{a^2 + b^2}$"
    assert latex("where(x > 0, 1, p.alpha * exp(x))") == r"$1$ where $x \gt 0$, else $\alpha e^{x}$"
    assert latex("astype(a > b, a.dtype())") == r"$[a \gt b]$"
    assert latex("y * (1 - y)") == "$y (1 - y)$"
    assert latex("-brand_new(x, p.width)") == r"$-\mathrm{brandnew}(x, \mathrm{width})$"


# --- The rules that are programs: their column "reverse", in NumPy


def inv(x):
    return np.linalg.inv(x)


def low(x):
    return np.tril(x, -1)


def half_low(x):
    return np.tril(x) - np.diag(np.diag(x)) / 2


def sym(x):
    return (x + x.T) / 2


def reciprocal_gaps(values):
    gaps = values[None, :] - values[:, None]
    return np.where(gaps == 0, 0, 1 / np.where(gaps == 0, 1, gaps))


def of_svd(A, Y, G):
    (U, s, Vh), (gU, gs, gVh) = Y, G
    V, gV, F = Vh.T, gVh.T, reciprocal_gaps(s**2)
    turn = lambda X, g: X.T @ g - g.T @ X
    moved = (F * turn(U, gU)) * s + s[:, None] * (F * turn(V, gV))
    left, right = np.eye(len(U)) - U @ U.T, np.eye(len(V)) - V @ V.T
    return U @ (moved + np.diag(gs)) @ V.T + left @ gU / s @ V.T + U / s @ gV.T @ right


def of_qr(A, Y, G):
    (Q, R), (gQ, gR) = Y, (G[0], np.triu(G[1]))
    M = R @ gR.T - gQ.T @ Q
    return (gQ + Q @ (np.tril(M) + low(M).T)) @ inv(R).T


def of_lu(A, lu, G):
    L, U, P = low(lu) + np.eye(len(A)), np.triu(lu), linalg.lu(A)[0].T
    return P.T @ inv(L).T @ (low(L.T @ low(G)) + np.triu(np.triu(G) @ U.T)) @ inv(U).T


def of_pinv(A, P, G):
    first = (np.eye(len(A)) - A @ P) @ G.T @ P @ P.T
    return -P.T @ G @ P.T + first + P.T @ P @ G.T @ (np.eye(A.shape[1]) - P @ A)


def of_exponential(A, Y, G):
    points, weights = np.polynomial.legendre.leggauss(12)
    points, weights = (points + 1) / 2, weights / 2
    return sum(
        w * linalg.expm(s * A.T) @ G @ linalg.expm((1 - s) * A.T)
        for s, w in zip(points, weights, strict=True)
    )


def slope_of_norm(x, centred):
    mean = x.mean() if centred else 0.0
    r = 1 / np.sqrt(((x - mean) ** 2).mean() + 1e-5)
    h = r * (x - mean)
    return h, r, lambda u: r * (u - (u.mean() if centred else 0) - h * (h * u).mean())


def of_norm(centred):
    return lambda x, y, g: slope_of_norm(x, centred)[2](g)


def of_norm_twice(centred):
    """Of x -> J u, u = x[1]: what the second derivative of the norm is made of."""

    def rule(x, y, g):
        h, r, J = slope_of_norm(x[0], centred)
        u = x[1]
        by_x = -r * ((h * g).mean() * J(u) + (h * u).mean() * J(g) + (g * J(u)).mean() * h)
        return np.stack([by_x, J(g)])

    return rule


def pulled(norm):
    return lambda x: td.vjp(norm, x[0])[1](x[1])[0]


def share(x, y):
    return (x == y) / np.sum(x == y)


def others(x):
    return np.array([np.prod(np.delete(x, i)) for i in range(len(x))])


def of_cumulative_prod(x, y, g):
    z = np.zeros(len(x) + 1)
    for i in reversed(range(len(x))):
        z[i] = g[i] + (x[i + 1] * z[i + 1] if i + 1 < len(x) else 0)
    return np.concatenate([[1.0], y[:-1]]) * z[:-1]


def of_cummax(x, y, g):
    return np.array(
        [sum(g[i] for i in range(j, len(x)) if np.argmax(x[: i + 1]) == j) for j in range(len(x))]
    )


def attend(A):
    return F.scaled_dot_product_attention(A, A, A, scale=1.0)


def of_attention(A, Y, G):
    """Of the matrix that is query, key and value in one, and whose P is softmax(A A^T)."""
    P = np.exp(A @ A.T)
    P /= P.sum(1, keepdims=True)
    D = G @ A.T
    S = P * (D - (P * D).sum(1, keepdims=True))
    return S @ A + S.T @ A + P.T @ G


def of_attention_twice(A, Y, G):
    """Of A -> the gradient of the sum of Y, by differences of that gradient along G."""
    h = 1e-5
    one = np.ones_like(A)
    return (of_attention(A + h * G, None, one) - of_attention(A - h * G, None, one)) / (2 * h)


LABEL = 2
ROW, PAIR, BLOCK, TALL, WIDE, SYMMETRIC, POSITIVE = range(7)
# primitive: (what is drawn, function, its rule: cotangent of the input from input, output and cotangent)
REVERSE = {
    "sum": (ROW, td.sum, lambda x, y, g: g + 0 * x),
    "mean": (ROW, td.mean, lambda x, y, g: g / len(x) + 0 * x),
    "prod": (ROW, td.prod, lambda x, y, g: g * others(x)),
    "sum_of_squares": (ROW, td.sum_of_squares, lambda x, y, g: 2 * x * g),
    "var": (ROW, lambda x: td.var(x, correction=1), lambda x, y, g: 2 / (len(x) - 1) * (x - x.mean()) * g),
    "std": (
        ROW,
        lambda x: td.std(x, correction=1),
        lambda x, y, g: (x - x.mean()) / ((len(x) - 1) * y) * g,
    ),
    "max": (ROW, td.max, lambda x, y, g: share(x, y) * g),
    "min": (ROW, td.min, lambda x, y, g: share(x, y) * g),
    "logsumexp": (ROW, td.logsumexp, lambda x, y, g: np.exp(x - y) * g),
    "cumulative_sum": (ROW, td.cumulative_sum, lambda x, y, g: np.cumsum(g[::-1])[::-1]),
    "cumulative_prod": (ROW, td.cumulative_prod, of_cumulative_prod),
    "cummax": (ROW, td.cummax, of_cummax),
    "cummin": (ROW, td.cummin, lambda x, y, g: of_cummax(-x, y, g)),
    "logcumsumexp": (ROW, td.logcumsumexp, lambda x, y, g: np.triu(np.exp(x[:, None] - y)) @ g),
    "softmax": (ROW, td.softmax, lambda x, y, g: y * g - y * (y @ g)),
    "log_softmax": (ROW, td.log_softmax, lambda x, y, g: g - np.exp(y) * g.sum()),
    "softmax_cross_entropy": (
        ROW,
        lambda x: td.softmax_cross_entropy(x, td.tensor(LABEL)),
        lambda x, y, g: (np.exp(x) / np.exp(x).sum() - np.eye(len(x))[LABEL]) * g,
    ),
    "softmax_cross_entropy_grad": (
        ROW,
        lambda x: td.grad(lambda x: td.softmax_cross_entropy(x, td.tensor(LABEL)))(x),
        lambda x, y, g: (lambda p: p * g - p * (p @ g))(np.exp(x) / np.exp(x).sum()),
    ),
    "layer_norm": (ROW, lambda x: F.layer_norm(x, x.shape), of_norm(True)),
    "rms_norm": (ROW, lambda x: F.rms_norm(x, x.shape, eps=1e-5), of_norm(False)),
    "batch_norm": (
        ROW,
        lambda x: F.batch_norm(x[:, None], None, None, training=True)[:, 0],
        of_norm(True),
    ),
    "batch_norm_grad": (
        PAIR,
        pulled(lambda x: F.batch_norm(x[:, None], None, None, training=True)[:, 0]),
        of_norm_twice(True),
    ),
    "layer_norm_grad": (PAIR, pulled(lambda x: F.layer_norm(x, x.shape)), of_norm_twice(True)),
    "rms_norm_grad": (PAIR, pulled(lambda x: F.rms_norm(x, x.shape, eps=1e-5)), of_norm_twice(False)),
    "attention": (BLOCK, attend, of_attention),
    "attention_grad": (BLOCK, td.grad(lambda A: attend(A).sum()), of_attention_twice),
    "matmul": (BLOCK, lambda A: A @ A, lambda A, Y, G: G @ A.T + A.T @ G),
    "solve": (BLOCK, lambda A: td.linalg.solve(A, A[0]), lambda A, X, G: of_solve(A, X, G)),
    "solve_triangular": (
        BLOCK,
        lambda A: td.linalg.solve_triangular(A, td.ones_like(A), upper=True),
        lambda A, X, G: np.triu(-inv(np.triu(A)).T @ G @ X.T),
    ),
    "det": (BLOCK, td.linalg.det, lambda A, y, g: g * np.linalg.det(A) * inv(A).T),
    "slogdet": (BLOCK, lambda A: td.linalg.slogdet(A)[1], lambda A, y, g: g * inv(A).T),
    "lu_factor": (BLOCK, lambda A: td.linalg.lu_factor(A)[0], of_lu),
    "cholesky": (
        POSITIVE,
        td.linalg.cholesky,
        lambda A, L, G: sym(inv(L).T @ half_low(L.T @ G) @ inv(L)),
    ),
    "qr": (TALL, lambda A: tuple(td.linalg.qr(A)), of_qr),
    "eigenvalues": (
        SYMMETRIC,
        td.linalg.eigvalsh,
        lambda A, y, g: (lambda V: V @ np.diag(g) @ V.T)(np.linalg.eigh(A)[1]),
    ),
    "eigenvectors": (
        SYMMETRIC,
        lambda A: td.linalg.eigh(A)[1],
        lambda A, V, G: sym(V @ (reciprocal_gaps(np.linalg.eigh(A)[0]) * (V.T @ G)) @ V.T),
    ),
    "spectrum": (
        SYMMETRIC,
        lambda A: td.grad(lambda A: (td.linalg.eigvalsh(A) ** 3).sum())(A),  # 3 A^2
        lambda A, Y, G: 3 * (A @ sym(G) + sym(G) @ A),
    ),
    "singular_values": (TALL, lambda A: tuple(td.linalg.svd(A, full_matrices=False)), of_svd),
    "singular_vectors": (WIDE, lambda A: tuple(td.linalg.svd(A, full_matrices=False)), of_svd),
    "null_vectors": (
        TALL,
        lambda A: (lambda N: N @ N.mT)(td.linalg.svd(A).U[:, 3:]),
        lambda A, Y, G: -Y @ (G + G.T) @ np.linalg.pinv(A).T,
    ),
    "singular_spectrum": (
        TALL,
        lambda A: td.grad(lambda A: (td.linalg.svdvals(A) ** 4).sum())(A),  # 4 A A^T A
        lambda A, Y, G: 4 * (G @ A.T @ A + A @ G.T @ A + A @ A.T @ G),
    ),
    "pinv": (TALL, td.linalg.pinv, of_pinv),
    "matrix_exp": (BLOCK, td.linalg.matrix_exp, of_exponential),
}


def of_solve(A, x, g):
    b = inv(A).T @ g
    by_a = -np.outer(b, x)
    by_a[0] += b
    return by_a


@pytest.mark.parametrize("name", REVERSE)
def test_reverse(name, rng):
    kind, function, rule = REVERSE[name]
    shapes = {ROW: (5,), PAIR: (2, 5), TALL: (5, 3), WIDE: (3, 5)}
    x = rng.standard_normal(shapes.get(kind, (4, 4)))
    if kind == SYMMETRIC:
        x = sym(x)
    if kind == POSITIVE:
        x = x @ x.T + np.eye(4)
    y, pullback = td.vjp(function, td.tensor(x))
    several = isinstance(y, tuple)
    outputs = [part.cpu().numpy() for part in (y if several else (y,))]
    cotangents = [rng.standard_normal(part.shape) for part in outputs]
    if name == "qr":
        cotangents[1] = np.triu(cotangents[1])
    given = tuple(map(td.tensor, cotangents))
    got = pullback(given if several else given[0])[0].cpu().numpy()
    want = rule(x, *((outputs, cotangents) if several else (outputs[0], cotangents[0])))
    np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-10)
    assert f"= {name}" in str(td.program(function, td.tensor(x)))
