"""Derivatives through equal eigenvalues and singular values, against the matrix functions that they are."""

import numpy as np
import pytest
import scipy.linalg
import tidu as td
from samplers import to_array

la = td.linalg
REALS = [td.float32, td.float64]


def draw(shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def symmetric(shape, seed=0):
    x = draw(shape, seed)
    return (x + np.swapaxes(x, -1, -2)) / 2


def with_eigenvalues(values, seed=0):
    # From the first value on, so that those equal to it are not told apart by how q is rounded.
    q = np.linalg.qr(draw((len(values),) * 2, seed))[0]
    return values[0] * np.eye(len(values)) + (q * np.subtract(values, values[0])) @ q.T


def with_singular_values(shape, values, seed=0):
    u, v = (np.linalg.qr(draw((n, n), seed + n))[0][:, : len(values)] for n in shape)
    return (u * values) @ v.T


def close(got, want, dtype=td.float64, factor=10):
    tolerance = factor * (1e-5 if dtype == td.float32 else 1e-13)
    np.testing.assert_allclose(
        to_array(got), want, rtol=tolerance, atol=tolerance * np.abs(want).max(initial=1)
    )


def motion_of_eigenvalues(a, t, gap=1e-6):
    """The derivatives of the sorted eigenvalues of a + s t at s = 0 from above."""
    w, v = np.linalg.eigh(a)
    moved, begin = [], 0
    for end in range(1, len(w) + 1):
        if end == len(w) or w[end] - w[begin] > gap:
            part = v[:, begin:end]
            moved.extend(np.linalg.eigvalsh(part.T @ t @ part))
            begin = end
    return np.array(moved)


def motion_of_singular_values(a, t):
    u, s, vh = np.linalg.svd(a, full_matrices=False)
    moved, begin = [], 0
    for end in range(1, len(s) + 1):
        if end == len(s) or s[begin] - s[end] > 1e-6:
            inside = u[:, begin:end].T @ t @ vh[begin:end].T
            moved.extend(np.linalg.eigvalsh((inside + inside.T) / 2)[::-1])
            begin = end
    return np.array(moved)


SPECTRA = {
    "identity": [1.0, 1.0, 1.0],
    "zero": [0.0, 0.0, 0.0],
    "pair": [1.0, 1.0, 3.0],
    "upper pair": [0.5, 2.0, 2.0],
    "two pairs": [1.0, 1.0, 2.0, 2.0],
    "triple": [0.5, 2.0, 2.0, 2.0, 4.0],
    "simple": [1.0, 2.0, 4.0],
}
POSITIVE = [name for name in SPECTRA if name != "zero"]


@pytest.mark.parametrize("dtype", REALS, ids=str)
@pytest.mark.parametrize("name", SPECTRA)
def test_eigenvalues_split_along_a_direction(name, dtype):
    a = with_eigenvalues(SPECTRA[name])
    for seed in range(3):
        t = symmetric(a.shape, seed + 5)
        x, v = td.tensor(a, dtype=dtype), td.tensor(t, dtype=dtype)
        want = motion_of_eigenvalues(a, t)
        close(td.jvp(la.eigvalsh, (x,), (v,))[1], want, dtype)
        close(td.linearize(la.eigvalsh, x)[1](v), want, dtype)
        close(td.jet(la.eigvalsh, (x,), [[v]])[1][0], want, dtype)
        if dtype == td.float64:
            step = 1e-7
            slopes = (np.linalg.eigvalsh(a + step * t) - np.linalg.eigvalsh(a)) / step
            np.testing.assert_allclose(want, slopes, atol=1e-5)


@pytest.mark.parametrize("dtype", REALS, ids=str)
@pytest.mark.parametrize("shape", [(4, 4), (5, 3), (3, 5)], ids=str)
def test_singular_values_split_along_a_direction(shape, dtype):
    k = min(shape)
    for values in ([2.0] * k, [2.0, 2.0, 1.0][:k] + [0.5] * (k - 3), [3.0] + [1.5] * (k - 1)):
        a, t = with_singular_values(shape, values), draw(shape, 9)
        x, v = td.tensor(a, dtype=dtype), td.tensor(t, dtype=dtype)
        want = motion_of_singular_values(a, t)
        close(td.jvp(la.svdvals, (x,), (v,))[1], want, dtype)
        step = 1e-7
        slopes = (np.linalg.svd(a + step * t)[1] - np.linalg.svd(a)[1]) / step
        np.testing.assert_allclose(want, slopes, atol=1e-5)


def frechet(f):
    """The derivative of a matrix function along a direction."""
    return lambda a, t: f(np.block([[a, t], [np.zeros_like(a), a]]))[: len(a), len(a) :]


FUNCTIONS = {
    "square": (lambda w: (w**2).sum(-1), lambda a: 2 * a, lambda a, t: 2 * t),
    "cube": (lambda w: (w**3).sum(-1), lambda a: 3 * a @ a, lambda a, t: 3 * (a @ t + t @ a)),
    "trace": (lambda w: w.sum(-1), lambda a: np.eye(len(a)), lambda a, t: 0 * t),
    "exp": (lambda w: td.exp(w).sum(-1), scipy.linalg.expm, scipy.linalg.expm_frechet),
    "log": (
        lambda w: td.log(w).sum(-1),
        np.linalg.inv,
        lambda a, t: -np.linalg.solve(a, t) @ np.linalg.inv(a),
    ),
    "product": (
        lambda w: td.prod(w, axis=-1),
        lambda a: np.linalg.det(a) * np.linalg.inv(a),
        lambda a, t: np.linalg.det(a) * (np.sum((i := np.linalg.inv(a)) * t) * i - i @ t @ i),
    ),
    "square of the trace": (
        lambda w: w.sum(-1) ** 2,
        lambda a: 2 * np.trace(a) * np.eye(len(a)),
        lambda a, t: 2 * np.trace(t) * np.eye(len(a)),
    ),
}


def second(name, a, t):
    got = FUNCTIONS[name][2](a, t)
    return got[1] if isinstance(got, tuple) else got


@pytest.mark.parametrize("dtype", REALS, ids=str)
@pytest.mark.parametrize("spectrum", POSITIVE)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_second_derivatives_of_symmetric_functions(name, spectrum, dtype):
    a = with_eigenvalues(SPECTRA[spectrum])
    of_values, gradient, _ = FUNCTIONS[name]
    f = lambda x: of_values(la.eigvalsh(x))
    x = td.tensor(a, dtype=dtype)
    close(td.grad(f)(x), gradient(a), dtype, 30)
    columns = []
    for i in range(a.size):
        unit = np.zeros(a.size)
        unit[i] = 1
        unit = unit.reshape(a.shape)
        columns.append(second(name, a, (unit + unit.T) / 2))
    close(td.hessian(f)(x), np.moveaxis(np.array(columns).reshape(a.shape * 2), (0, 1), (2, 3)), dtype, 100)
    t = symmetric(a.shape, 7)
    v = td.tensor(t, dtype=dtype)
    want = second(name, a, t)
    close(td.hvp(f, x, v), want, dtype, 100)
    close(td.jvp(td.grad(f), (x,), (v,))[1], want, dtype, 100)
    # Along one direction in forward mode, and in Taylor mode.
    along = lambda x: td.jvp(f, (x,), (v,))[1]
    slope, curvature = td.jvp(along, (x,), (v,))
    close(slope, (gradient(a) * t).sum(), dtype, 100)
    close(curvature, (want * t).sum(), dtype, 100)
    _, (first, twice) = td.jet(f, (x,), [[v, None]])
    close(first, (gradient(a) * t).sum(), dtype, 100)
    close(twice, (want * t).sum(), dtype, 100)
    close(
        td.hessian_diagonal(f)(x),
        np.diag(np.array(columns).reshape(a.size, a.size)).reshape(a.shape),
        dtype,
        100,
    )


def reverse_seconds(f, x, v):
    """The derivative of the gradient along v, by reverse mode over reverse and over forward, and by v."""
    of = lambda second: lambda x: (second(x) * v).sum()
    yield "vhp", td.vhp(f, x, v)
    yield "gradient of gradient", td.grad(of(td.grad(f)))(x)
    yield "by rows", (td.jacrev(td.jacrev(f))(x) * v).sum((-2, -1))
    yield "by columns", (td.jacrev(td.jacfwd(f))(x) * v).sum((-2, -1))
    yield "reverse over forward", td.grad(lambda x: td.jvp(f, (x,), (v,))[1])(x)
    yield "transposed", td.grad(lambda t: (td.hvp(f, x, t) * v).sum())(v)
    yield "transposed twice", td.grad(lambda t: (td.vhp(f, x, t) * v).sum())(v)
    yield "of lanes", td.vmap(lambda v: td.vhp(f, x, v))(td.stack([v, 2 * v]))[1] / 2
    yield "compiled", td.compile(td.grad(of(td.grad(f))))(x)


@pytest.mark.parametrize("dtype", REALS, ids=str)
@pytest.mark.parametrize("spectrum", POSITIVE)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_reverse_over_reverse_of_symmetric_functions(name, spectrum, dtype):
    a = with_eigenvalues(SPECTRA[spectrum])
    of_values = FUNCTIONS[name][0]
    x, t = td.tensor(a, dtype=dtype), symmetric(a.shape, 7)
    want = second(name, a, t)
    modes = dict(reverse_seconds(lambda x: of_values(la.eigvalsh(x)), x, td.tensor(t, dtype=dtype)))
    for mode in list(modes) if dtype == td.float64 else ["vhp", "reverse over forward"]:
        np.testing.assert_allclose(
            to_array(modes[mode]),
            want,
            atol=(1e-3 if dtype == td.float32 else 1e-11) * max(1, np.abs(want).max()),
            err_msg=mode,
        )


@pytest.mark.parametrize("shape", [(4, 4), (5, 3), (3, 5)], ids=str)
def test_reverse_over_reverse_of_singular_values(shape):
    k = min(shape)
    fourth = lambda x: (la.svdvals(x) ** 4).sum()
    for values in ([2.0] * k, [2.0, 2.0, 1.0][:k] + [0.5] * (k - 3)):
        a, t = with_singular_values(shape, values), draw(shape, 9)
        want = 4 * (t @ a.T @ a + a @ t.T @ a + a @ a.T @ t)
        for mode, got in reverse_seconds(fourth, td.tensor(a), td.tensor(t)):
            np.testing.assert_allclose(to_array(got), want, atol=1e-10, err_msg=mode)


def test_reverse_over_reverse_of_one_lane():
    spectra = ([1.0, 1.0, 3.0], [1.0, 2.0, 3.0], [2.0, 2.0, 2.0])
    a = np.array([with_eigenvalues(values, seed) for seed, values in enumerate(spectra)])
    t = symmetric(a.shape, 3)
    cubes = lambda x: (la.eigvalsh(x) ** 3).sum()
    close(td.vhp(cubes, td.tensor(a), td.tensor(t)), 3 * (a @ t + t @ a), factor=100)
    close(
        td.vmap(lambda x, t: td.vhp(cubes, x, t))(td.tensor(a), td.tensor(t)), 3 * (a @ t + t @ a), factor=100
    )


def test_gradients_of_two_calls_do_not_share_their_vectors():
    """Each has vectors of its own, which only sums within one call lose."""
    x = td.eye(3, dtype=td.float64)
    p, q = symmetric((3, 3), 1), symmetric((3, 3), 2)
    square, cube = (lambda x, n=n: (la.eigvalsh(x) ** n).sum() for n in (2, 3))
    f = lambda x: (td.grad(square)(x) * td.tensor(p)).sum() * (td.grad(cube)(x) * td.tensor(q)).sum()
    close(td.grad(f)(x), 2 * p * 3 * np.trace(q) + 2 * np.trace(p) * 6 * q, factor=100)


@pytest.mark.parametrize("spectrum", POSITIVE)
def test_laplacians_of_symmetric_functions(spectrum):
    a = with_eigenvalues(SPECTRA[spectrum])
    for name, (of_values, _, _) in FUNCTIONS.items():
        units = [np.outer(u, v) for u in np.eye(len(a)) for v in np.eye(len(a))]
        want = sum((second(name, a, (unit + unit.T) / 2) * unit).sum() for unit in units)
        got = td.laplacian(lambda x, f=of_values: f(la.eigvalsh(x)))(td.tensor(a))
        np.testing.assert_allclose(to_array(got), want, atol=1e-10 * max(1, abs(want)), err_msg=name)
    got = td.laplacian(lambda x: (la.svdvals(x) ** 4).sum())(td.tensor(a))
    want = 4 * ((2 * len(a)) * (a * a).sum() + (a * a).sum())
    np.testing.assert_allclose(to_array(got), want, rtol=1e-11)


def test_squares_at_zero():
    x, t = td.zeros((3, 3), dtype=td.float64), symmetric((3, 3), 7)
    f = lambda x: (la.eigvalsh(x) ** 2).sum()
    close(td.hvp(f, x, td.tensor(t)), 2 * t)


@pytest.mark.parametrize("dtype", REALS, ids=str)
@pytest.mark.parametrize("shape", [(4, 4), (5, 3), (3, 5)], ids=str)
def test_second_derivatives_of_singular_values(shape, dtype):
    k = min(shape)
    for values in ([2.0] * k, [2.0, 2.0, 1.0][:k] + [0.5] * (k - 3)):
        a, t = with_singular_values(shape, values), draw(shape, 9)
        x, v = td.tensor(a, dtype=dtype), td.tensor(t, dtype=dtype)
        square = lambda x: (la.svdvals(x) ** 2).sum()  # norm_F^2
        fourth = lambda x: (la.svdvals(x) ** 4).sum()  # tr (A^T A)^2
        close(td.hvp(square, x, v), 2 * t, dtype, 30)
        close(td.hessian(square)(x), 2 * np.eye(a.size).reshape(shape * 2), dtype, 30)
        of_fourth = 4 * (t @ a.T @ a + a @ t.T @ a + a @ a.T @ t)
        close(td.hvp(fourth, x, v), of_fourth, dtype, 100)
        for f, want in ((square, 2 * t), (fourth, of_fourth)):
            along = lambda x, f=f, v=v: td.jvp(f, (x,), (v,))[1]
            close(td.jvp(along, (x,), (v,))[1], (want * t).sum(), dtype, 100)
            close(td.jet(f, (x,), [[v, None]])[1][1], (want * t).sum(), dtype, 100)


def test_one_lane_of_a_batch():
    spectra = ([1.0, 1.0, 3.0], [1.0, 2.0, 3.0], [2.0, 2.0, 2.0])
    a = np.array([with_eigenvalues(values, seed) for seed, values in enumerate(spectra)])
    t = symmetric(a.shape, 3)
    x, v = td.tensor(a), td.tensor(t)
    want = np.array([motion_of_eigenvalues(*at) for at in zip(a, t, strict=True)])
    close(td.jvp(la.eigvalsh, (x,), (v,))[1], want)
    want = np.array([3 * (p @ q + q @ p) for p, q in zip(a, t, strict=True)])
    close(td.hvp(lambda x: (la.eigvalsh(x) ** 3).sum(), x, v), want, factor=100)
    each = td.vmap(lambda x, v: td.hvp(lambda x: (la.eigvalsh(x) ** 3).sum(), x, v))
    close(each(x, v), want, factor=100)


@pytest.mark.parametrize("gap", [1e-6, 1e-9, 1e-12, 1e-15])
def test_nearly_equal_values(gap):
    a = np.diag([1.0, 1 + gap, 2.0])
    x, t = td.tensor(a), symmetric((3, 3), 4)
    for name in ("square", "cube"):
        f = lambda x, name=name: FUNCTIONS[name][0](la.eigvalsh(x))
        close(td.grad(f)(x), FUNCTIONS[name][1](a))
        # A difference of gradients over one of values has lost what these have in common, but for 2 w.
        loses = name == "cube" and gap > 1e-14
        got, want = to_array(td.hvp(f, x, td.tensor(t))), second(name, a, t)
        np.testing.assert_allclose(got, want, rtol=0, atol=4e-15 / gap if loses else 1e-13)


def not_determined():
    one = td.eye(3, dtype=td.float64)
    t, other = (td.tensor(symmetric((3, 3), seed)) for seed in (1, 2))
    square = lambda x: (la.eigvalsh(x) ** 2).sum()
    along = lambda t: lambda x: td.jvp(square, (x,), (t,))[1]
    yield "the largest", lambda: td.grad(lambda x: la.eigvalsh(x)[2])(one)
    yield "Hessian of the largest", lambda: td.hessian(lambda x: la.eigvalsh(x)[2])(one)
    yield "weights", lambda: td.hessian(lambda x: (la.eigvalsh(x) * td.arange(3, dtype=x.dtype)).sum())(one)
    yield "several gradients of one call", lambda: td.grad(of_two_gradients)(one)
    yield "values told apart by the second derivative", lambda: td.vhp(told_apart, zero, pair)
    yield "two directions", lambda: td.jvp(along(t), (one,), (other,))
    yield "third derivative", lambda: td.jet(lambda x: (la.eigvalsh(x) ** 3).sum(), (far,), [[t, None, None]])
    yield "third by hvp", lambda: td.jvp(lambda x: td.hvp(square, x, t), (far,), (t,))
    yield "function by vectors", lambda: td.grad(function_by_vectors)(one)
    yield "its motion", lambda: td.jvp(function_by_vectors, (one,), (t,))
    yield "one vector", lambda: td.jvp(lambda x: la.eigh(x).eigenvectors, (one,), (t,))
    yield (
        "values that split in the second order",
        lambda: td.jet(la.eigvalsh, (far,), [[td.tensor(across), None]]),
    )
    yield "a singular value", lambda: td.hessian(lambda x: la.svdvals(x)[0])(one)
    yield (
        "two directions of singular values",
        lambda: td.jvp(
            lambda x: td.jvp(lambda x: (la.svdvals(x) ** 2).sum(), (x,), (t,))[1], (one,), (other,)
        ),
    )


far = td.tensor(np.diag([1.0, 1.0, 3.0]))
zero = td.zeros((3, 3), dtype=td.float64)
pair = td.tensor(np.eye(3) + np.outer([1.0, 2.0, 3.0], [1.0, 2.0, 3.0]))  # which moves two values alike


def told_apart(x):
    """Whose gradient by the eigenvalues is the same for all at 0, but not its derivative."""
    return (la.eigvalsh(x) ** 2 * td.arange(3, dtype=x.dtype)).sum() + la.eigvalsh(x).sum()


def of_two_gradients(x):
    powers = lambda x: td.stack([(w := la.eigvalsh(x), (w**2).sum())[1], (w**3).sum()])
    first, second = td.jacrev(powers)(x)
    return (first * td.tensor(symmetric((3, 3), 1))).sum() + (second * td.tensor(symmetric((3, 3), 2))).sum()


across = np.array([[0.0, 0.0, 1.0], [0.0, 0.0, 2.0], [1.0, 2.0, 0.0]])


def function_by_vectors(x):
    w, v = la.eigh(x)
    return ((v * td.exp(w)) @ v.mT * td.tensor(symmetric((3, 3), 6))).sum()


@pytest.mark.parametrize("name", [name for name, _ in not_determined()])
def test_what_is_not_determined_is_refused(name, settle):
    with pytest.raises(td.GradientError, match=r"^\[(eigh|eigvalsh|svd|svdvals)\].*equal"):
        dict(not_determined())[name]()
        settle()


def test_forward_over_forward_along_directions_that_agree():
    a = with_eigenvalues([1.0, 1.0, 2.0])
    square = lambda x: (la.eigvalsh(x) ** 2).sum()
    x, t = td.tensor(a), symmetric((3, 3), 1)
    for other in (2 * t, a, np.eye(3)):
        along = lambda x: td.jvp(square, (x,), (td.tensor(t),))[1]
        close(td.jvp(along, (x,), (td.tensor(other),))[1], 2 * (t * other).sum(), factor=100)


def test_values_alone_split_in_the_second_order_where_they_did_in_the_first():
    a, t = np.diag([1.0, 1.0, 3.0]), symmetric((3, 3), 8)
    _, (first, twice) = td.jet(la.eigvalsh, (td.tensor(a),), [[td.tensor(t), None]])
    step = 1e-3
    w = lambda s: np.linalg.eigvalsh(a + s * t)
    close(first, motion_of_eigenvalues(a, t))
    curvature = 2 * (8 * w(step / 2) - w(step) - 7 * w(0) - 3 * step * to_array(first)) / step**2
    np.testing.assert_allclose(to_array(twice), curvature, atol=5e-3)


def test_taylor_models_of_the_second_order():
    f = lambda x: td.log(la.eigvalsh(x)).sum()
    model = td.taylor(f, td.eye(3, dtype=td.float64), 2)
    t = symmetric((3, 3), 2)
    close(model(td.tensor(t)), np.trace(t) - (t * t).sum() / 2, factor=100)


def test_spectra_of_tracked_parameters():
    """Derivatives by other arguments, of what was differentiated by the matrix."""
    a, t = with_singular_values((4, 3), [2.0, 2.0, 1.0]), draw((4, 3), 3)
    f = lambda c: (
        td.hvp(lambda x: (c * la.svdvals(x) ** 2).sum(), td.tensor(a), td.tensor(t)) * td.tensor(t)
    ).sum()
    close(td.grad(f)(td.tensor(3.0, dtype=td.float64)), 2 * (t * t).sum(), factor=100)
    b, u = with_eigenvalues([1.0, 1.0, 3.0]), symmetric((3, 3), 3)
    g = lambda c: (
        td.hvp(lambda x: (c * la.eigvalsh(x) ** 2).sum(), td.tensor(b), td.tensor(u)) * td.tensor(u)
    ).sum()
    close(td.grad(g)(td.tensor(3.0, dtype=td.float64)), 2 * (u * u).sum(), factor=100)


# --- V f(w) V^T


def squared(x):
    return x @ x


# f, and the same of matrices by other means.
MATRIX_FUNCTIONS = {
    "exp": (td.exp, la.matrix_exp),
    "cube": (lambda w: w**3, lambda x: x @ x @ x),
    "inverse": (lambda w: 1 / w, la.inv),
    "constant": (td.ones_like, lambda x: td.eye(x.shape[-1], dtype=x.dtype, device=x.device) + 0 * x),
    "rational": (lambda w: w / (1 + w**2), lambda x: x @ la.inv(td.eye(len(x), dtype=x.dtype) + x @ x)),
}
NEAR = {f"gap {gap}": [1.0, 1.0 + gap, 2.0] for gap in (1e-15, 1e-12, 1e-8, 1e-5, 1e-3, 1e-2, 0.1)}


@pytest.mark.parametrize("spectrum", [*POSITIVE, *NEAR])
@pytest.mark.parametrize("name", MATRIX_FUNCTIONS)
def test_functions_of_matrices_to_the_second_order(name, spectrum):
    f, other = MATRIX_FUNCTIONS[name]
    a = with_eigenvalues((SPECTRA | NEAR)[spectrum])
    x, t, u = td.tensor(a), td.tensor(symmetric(a.shape, 3)), td.tensor(symmetric(a.shape, 4))
    mine, others = lambda x: la.funm(x, f), lambda x: other(0.5 * (x + x.mT))
    square = lambda g: lambda x: ((g(x) - 1) ** 2 * u).sum()
    for of in (
        lambda g: g(x),
        lambda g: td.jvp(g, (x,), (t,))[1],
        lambda g: td.grad(lambda x: (g(x) * t).sum())(x),
        lambda g: td.jet(g, (x,), [[t, u]])[1][1],
        lambda g: td.hvp(square(g), x, t),
        lambda g: td.vhp(square(g), x, t),
        lambda g: td.grad(lambda x: td.jvp(square(g), (x,), (t,))[1])(x),
        lambda g: td.jvp(lambda x: td.jvp(square(g), (x,), (t,))[1], (x,), (u,))[1],
        lambda g: td.laplacian(square(g))(x),
    ):
        want = to_array(of(others))
        np.testing.assert_allclose(to_array(of(mine)), want, atol=3e-11 * max(1, np.abs(want).max()))


@pytest.mark.parametrize("spectrum", [*POSITIVE, "gap 1e-12", "gap 1e-05"])
@pytest.mark.parametrize("name", ["exp", "cube", "inverse"])
def test_functions_of_hermitian_matrices(name, spectrum):
    rng = np.random.default_rng(7)
    values = np.array((SPECTRA | NEAR)[spectrum], dtype=float)
    n = len(values)

    def hermitian():
        z = rng.normal(size=(n, n)) + 1j * rng.normal(size=(n, n))
        return td.tensor(z + z.conj().T)

    q = np.linalg.qr(rng.normal(size=(n, n)) + 1j * rng.normal(size=(n, n)))[0]
    x, t, u = td.tensor((q * values) @ q.conj().T), hermitian(), hermitian()
    f, other = MATRIX_FUNCTIONS[name]
    mine, others = lambda x: la.funm(x, f), lambda x: other(0.5 * (x + td.conj(x.mT)))
    loss = lambda g: lambda x: td.real(g(x) @ g(x) @ u).sum()
    for of in (
        lambda g: g(x),
        lambda g: td.jvp(g, (x,), (t,))[1],
        lambda g: td.grad(loss(g))(x),
        lambda g: td.hvp(loss(g), x, t),
        lambda g: td.vhp(loss(g), x, t),
    ):
        want = to_array(of(others))
        np.testing.assert_allclose(to_array(of(mine)), want, atol=3e-11 * max(1, np.abs(want).max()))


def test_functions_of_complex_singular_values():
    rng = np.random.default_rng(7)
    q, p = (np.linalg.qr(rng.normal(size=(k, k)) + 1j * rng.normal(size=(k, k)))[0] for k in (3, 4))
    x = td.tensor((q * [1.0, 1.0, 2.0]) @ p[:3])
    t = td.tensor(rng.normal(size=(3, 4)) + 1j * rng.normal(size=(3, 4)))
    mine, others = lambda x: la.funm_svd(x, lambda s: s**3), lambda x: x @ td.conj(x.mT) @ x
    loss = lambda g: lambda x: td.real(g(x) * td.conj(t)).sum()
    for of in (
        lambda g: g(x),
        lambda g: td.grad(loss(g))(x),
        lambda g: td.hvp(loss(g), x, t),
    ):
        np.testing.assert_allclose(to_array(of(mine)), to_array(of(others)), atol=1e-11)


@pytest.mark.parametrize(
    "values", [[-1.0, 1.0, 2.0], [0.0, 1.0, 2.0, 3.0], [-1.0, 1.2, 3.0], [-1e-3, 1.2e-3, 1.0]], ids=str
)
def test_functions_of_matrices_at_values_that_lie_apart(values):
    """Against V f(w) V^T, which serves there: of functions with kinks between the values, and whose
    differences happen to be the same."""
    a = with_eigenvalues(values)
    x, t, u = td.tensor(a), td.tensor(symmetric(a.shape, 3)), td.tensor(symmetric(a.shape, 4))

    def by_vectors(x, f):
        w, v = la.eigh(x)
        return (v * f(w)) @ v.mT

    for f in (td.abs, td.relu, td.cos, lambda w: w**4, lambda w: (w**2 - 1) ** 2, lambda w: w / (1 + w**2)):
        mine, others = lambda x, f=f: la.funm(x, f), lambda x, f=f: by_vectors(x, f)
        for of in (
            lambda g: td.grad(lambda x: (g(x) * t).sum())(x),
            lambda g: td.hvp(lambda x: (g(x) * u).sum(), x, t),
            lambda g: td.vhp(lambda x: (g(x) ** 2 * u).sum(), x, t),
        ):
            want = to_array(of(others))
            np.testing.assert_allclose(to_array(of(mine)), want, atol=3e-9 * max(1, np.abs(want).max()))


@pytest.mark.parametrize("spectrum", POSITIVE)
def test_roots_and_logarithms_undo_themselves(spectrum):
    a = with_eigenvalues(SPECTRA[spectrum])
    x, t = td.tensor(a), symmetric(a.shape, 3)
    v = td.tensor(t)
    root, log = (lambda x: squared(la.funm(x, td.sqrt))), (lambda x: la.matrix_exp(la.funm(x, td.log)))
    for same in (root, log, lambda x: la.funm(la.funm(x, td.sqrt), td.square)):
        _, (first, twice) = td.jet(same, (x,), [[v, None]])
        close(same(x), a, factor=100)
        close(first, t, factor=100)
        close(twice, 0 * a, factor=1000)
        close(td.grad(lambda x, same=same: (same(x) * v).sum())(x), t, factor=100)
        close(td.vhp(lambda x, same=same: (same(x) ** 2).sum(), x, v), 2 * t, factor=1000)


@pytest.mark.parametrize("exponent", [-300, 300, 500])
@pytest.mark.parametrize("spectrum", POSITIVE)
def test_roots_of_matrices_of_any_scale(spectrum, exponent):
    a, t = with_eigenvalues(SPECTRA[spectrum]), td.tensor(symmetric((len(SPECTRA[spectrum]),) * 2, 3))
    scale = 2.0**exponent
    f = lambda x: (la.funm(x, td.sqrt) * t).sum()
    x, larger = td.tensor(a), td.tensor(a * scale)
    close(td.grad(f)(larger) * scale**0.5, to_array(td.grad(f)(x)))
    for product in (td.hvp, td.vhp):
        close(product(f, larger, t * scale) * scale**0.5, to_array(product(f, x, t)), factor=100)


def test_functions_of_matrices_by_what_they_close_over():
    a = with_eigenvalues([1.0, 1.0, 2.0])
    by = lambda c, x: la.funm(x, lambda w: td.exp(c * w)).sum()
    same = lambda c, x: la.matrix_exp(c * 0.5 * (x + x.mT)).sum()
    c, x = td.tensor(0.7, dtype=td.float64), td.tensor(a)
    for got, want in zip(td.grad(by, (0, 1))(c, x), td.grad(same, (0, 1))(c, x), strict=True):
        close(got, to_array(want), factor=100)
    mixed = lambda f: td.grad(lambda c: td.grad(f, 1)(c, x).sum())(c)
    close(mixed(by), to_array(mixed(same)), factor=100)
    close(td.grad(td.grad(td.grad(by)))(c, x), to_array(td.grad(td.grad(td.grad(same)))(c, x)), factor=100)


@pytest.mark.parametrize("shape", [(0, 3, 3), (2, 0, 0), (0, 0), (1, 1), (2, 1, 3, 3)], ids=str)
def test_shapes_of_functions_of_matrices(shape):
    x = td.tensor(symmetric(shape))
    f = lambda x: la.funm(x, td.sin)
    assert f(x).shape == shape
    assert td.grad(lambda x: f(x).sum())(x).shape == shape
    w, v = np.linalg.eigh(to_array(x))
    close(f(x), (v * np.sin(w)[..., None, :]) @ np.swapaxes(v, -1, -2))
    close(td.compile(f)(x), to_array(f(x)))
    if len(shape) > 2 and shape[0]:
        close(td.vmap(f)(x), to_array(f(x)))


def test_functions_of_matrices_where_there_is_no_derivative():
    root = lambda x: la.funm(x, td.sqrt)
    x = td.tensor(np.diag([0.0, 1.0, 1.0]))
    close(root(x), np.diag([0.0, 1.0, 1.0]))
    assert np.isinf(to_array(td.grad(lambda x: root(x)[0, 0])(x))[0, 0])
    third = td.jvp(lambda x: td.vhp(lambda x: la.funm(x, td.exp).sum(), x, pair), (x,), (pair,))[1]
    assert not np.isfinite(to_array(third)).any()
    # A matrix that is not finite counts for nothing where nothing comes of it.
    both = td.tensor(np.array([np.eye(3), np.full((3, 3), np.nan)]))
    close(
        td.grad(lambda x: la.funm(x, td.exp)[0].sum())(both),
        np.array([np.full((3, 3), np.e), np.zeros((3, 3))]),
    )
    assert np.isnan(to_array(td.grad(lambda x: la.funm(x, td.exp).sum())(both))[1]).all()


def test_errors_of_functions_of_matrices():
    x = td.eye(3)
    with pytest.raises(td.ShapeError, match=r"\[funm\] takes square matrices .*\(2, 3\)"):
        la.funm(td.ones((2, 3)), td.exp)
    with pytest.raises(td.DTypeError, match=r"\[funm\].*float16"):
        la.funm(td.astype(x, td.float16), td.exp)
    with pytest.raises(td.ShapeError, match=r"\[funm\] f of a tensor \(3,\)"):
        la.funm(x, lambda w: w.sum())
    with pytest.raises(TypeError, match=r"\[funm\] f must be a function"):
        la.funm(x, 3)
    with pytest.raises(TypeError, match=r"\[funm\] x must be a tensor, not list"):
        la.funm([[1.0]], td.exp)
    assert la.funm(td.tensor([[2, 1], [1, 2]]), td.exp).dtype == td.float32


# --- U f(S) V^T


def off_diagonal(x, sign):
    """The upper right block of exp [0 x; sign x^T 0]."""
    m, n = x.shape
    nothing = lambda k: td.zeros((k, k), dtype=x.dtype, device=x.device)
    rows = td.concat([nothing(m), x], axis=1), td.concat([sign * x.mT, nothing(n)], axis=1)
    return la.matrix_exp(td.concat(rows, axis=0))[:m, m:]


# f, and the same of matrices by other means.
OF_SINGULAR_VALUES = {
    "cube": (lambda s: s**3, lambda x: x @ x.mT @ x),
    "sine": (td.sin, lambda x: off_diagonal(x, -1)),
    "hyperbolic sine": (td.sinh, lambda x: off_diagonal(x, 1)),
    "rational": (
        lambda s: s / (1 + s**2),
        lambda x: x @ la.inv(td.eye(x.shape[1], dtype=x.dtype, device=x.device) + x.mT @ x),
    ),
}
SINGULAR = {
    "two pairs": ((4, 4), [2.0, 2.0, 1.0, 1.0]),
    "a pair and zeros": ((4, 4), [2.0, 2.0, 0.0, 0.0]),
    "zero": ((2, 3), [0.0, 0.0]),
    "tall": ((5, 3), [1.5, 1.5, 1.5]),
    "wide": ((3, 5), [1.0, 1.0, 0.5]),
    "gap 1e-9": ((3, 3), [1.0 + 1e-9, 1.0, 0.5]),
    "simple": ((3, 4), [3.0, 2.0, 1.0]),
}


@pytest.mark.parametrize("spectrum", SINGULAR)
@pytest.mark.parametrize("name", OF_SINGULAR_VALUES)
def test_functions_of_singular_values_to_the_second_order(name, spectrum):
    f, other = OF_SINGULAR_VALUES[name]
    a = with_singular_values(*SINGULAR[spectrum])
    x, t, u = td.tensor(a), td.tensor(draw(a.shape, 3)), td.tensor(draw(a.shape, 4))
    mine = lambda x: la.funm_svd(x, f)
    square = lambda g: lambda x: ((g(x) - 1) ** 2 * u).sum()
    for of in (
        lambda g: g(x),
        lambda g: td.jvp(g, (x,), (t,))[1],
        lambda g: td.grad(lambda x: (g(x) * t).sum())(x),
        lambda g: td.jet(g, (x,), [[t, u]])[1][1],
        lambda g: td.hvp(square(g), x, t),
        lambda g: td.vhp(square(g), x, t),
        lambda g: td.jvp(lambda x: td.jvp(square(g), (x,), (t,))[1], (x,), (u,))[1],
    ):
        want = to_array(of(other))
        np.testing.assert_allclose(to_array(of(mine)), want, atol=3e-11 * max(1, np.abs(want).max()))


@pytest.mark.parametrize("shape", [(3, 3), (5, 3), (3, 5)], ids=str)
def test_nearest_orthogonal_matrix(shape):
    """U V^T, whose f(0) is not 0: against the rules of svd, which serve where values differ."""
    a = with_singular_values(shape, [3.0, 2.0, 1.0])
    x, t = td.tensor(a), td.tensor(draw(shape, 3))

    def by_svd(x):
        u, _, vh = la.svd(x, full_matrices=False)
        return u @ vh

    mine = lambda x: la.funm_svd(x, td.ones_like)
    for of in (
        lambda g: g(x),
        lambda g: td.jvp(g, (x,), (t,))[1],
        lambda g: td.vhp(lambda x: (g(x) ** 2 * t).sum(), x, t),
    ):
        close(of(mine), to_array(of(by_svd)), factor=100)
    orthogonal = np.linalg.qr(draw(shape, 5).T if shape[0] < shape[1] else draw(shape, 5))[0]
    orthogonal = orthogonal.T if shape[0] < shape[1] else orthogonal
    _, (first, twice) = td.jet(mine, (td.tensor(orthogonal),), [[td.tensor(orthogonal), None]])
    close(first, 0 * orthogonal, factor=100)
    close(twice, 0 * orthogonal, factor=100)


@pytest.mark.parametrize("shape", [(0, 3, 2), (2, 0, 3), (3, 0), (1, 1), (2, 1, 3, 4)], ids=str)
def test_shapes_of_functions_of_singular_values(shape):
    x = td.tensor(draw(shape))
    f = lambda x: la.funm_svd(x, td.tanh)
    assert td.grad(lambda x: f(x).sum())(x).shape == shape
    u, s, vh = np.linalg.svd(to_array(x), full_matrices=False)
    close(f(x), (u * np.tanh(s)[..., None, :]) @ vh)
    close(td.compile(f)(x), to_array(f(x)))
    if len(shape) > 2 and shape[0]:
        close(td.vmap(f)(x), to_array(f(x)))


def test_errors_of_functions_of_singular_values():
    with pytest.raises(td.ShapeError, match=r"\[funm_svd\] takes matrices .*\(3,\)"):
        la.funm_svd(td.ones(3), td.exp)
    with pytest.raises(td.DTypeError, match=r"\[funm_svd\].*bfloat16"):
        la.funm_svd(td.ones((2, 3), dtype=td.bfloat16), td.exp)
    with pytest.raises(td.ShapeError, match=r"\[funm_svd\] f of a tensor \(5,\)"):
        la.funm_svd(td.ones((2, 3)), lambda s: s.sum())
    with pytest.raises(TypeError, match=r"\[funm_svd\] f must be a function"):
        la.funm_svd(td.ones((2, 3)), 3)


def test_error_names_functions_of_matrices(settle):
    def cube(x):
        u, s, vh = la.svd(x)
        return ((u * s**3) @ vh)[0, 1]

    with pytest.raises(td.GradientError, match=r"td\.linalg\.funm\(x, f\).*td\.linalg\.funm_svd\(x, f\)"):
        td.grad(cube)(td.eye(3))
        settle()
