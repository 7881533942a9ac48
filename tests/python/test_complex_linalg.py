"""Linear algebra of complex matrices: values by NumPy and SciPy, derivatives by differences of the parts."""

import numpy as np
import pytest
import scipy.linalg
import tidu as td

la = td.linalg
DTYPES = [td.complex64, td.complex128]
SHAPES = [(1, 1), (5, 5), (2, 3, 4, 4), (0, 0), (0, 3, 3), (2, 0, 0)]


def draw(shape, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal(shape) + 1j * rng.standard_normal(shape)


def adjoint(x):
    return np.conj(np.swapaxes(x, -1, -2))


def hermitian(shape, seed=0):
    x = draw(shape, seed)
    return (x + adjoint(x)) / 2


def definite(shape, seed=0):
    x = draw(shape, seed)
    return x @ adjoint(x) + np.eye(shape[-1])


def unitary(n, seed=0):
    return np.linalg.qr(draw((n, n), seed))[0]


def tensor(array, dtype=td.complex128):
    return td.tensor(np.asarray(array)).astype(dtype)


def array_of(x):
    return x.detach().cpu().numpy()


def close(got, want, dtype=td.complex128, factor=10.0):
    got, want = array_of(got), np.asarray(want)
    assert got.shape == want.shape
    assert got.dtype.itemsize == (8 if dtype is td.complex64 else 16) // (1 if np.iscomplexobj(got) else 2)
    size = max(np.abs(want).max(initial=0), 1)
    eps = 2e-5 if dtype is td.complex64 else 1e-13
    np.testing.assert_allclose(got, want, rtol=0, atol=factor * eps * size)


def laid_out(array, dtype):
    """The same matrices row-major, column-major and as the conjugates of conjugates."""
    x = tensor(array, dtype)
    yield x
    yield td.matrix_transpose(tensor(np.swapaxes(array, -1, -2), dtype))
    yield td.conj(tensor(array.conj(), dtype))


# --- Values


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_solutions(shape, dtype):
    n = shape[-1]
    a, b = draw(shape) + 3 * np.eye(n), draw((*shape[:-1], 2), 1)
    for x in laid_out(a, dtype):
        y = tensor(b, dtype)
        close(la.solve(x, y), np.linalg.solve(a, b), dtype)
        close(la.inv(x), np.linalg.inv(a), dtype)
        close(la.det(x), np.linalg.det(a), dtype, 100)
        sign, logarithm = np.linalg.slogdet(a)
        got = la.slogdet(x)
        close(got.sign, sign, dtype)
        close(got.logabsdet, logarithm, dtype)
        close(td.exp(la.logdet(x)), np.linalg.det(a), dtype, 100)
        lu, pivots = la.lu_factor(x)
        close(la.lu_solve(lu, pivots, y), np.linalg.solve(a, b), dtype)
        transposed = np.linalg.solve(np.swapaxes(a, -1, -2), b)
        close(la.lu_solve(lu, pivots, y, transposed=True), transposed, dtype)
        close(la.matrix_power(x, 3), a @ a @ a, dtype, 100)
        close(la.matrix_power(x, -2), np.linalg.inv(a) @ np.linalg.inv(a), dtype)
        lower, upper, unit = np.tril(a), np.triu(a), np.tril(a, -1) + np.eye(n)
        close(la.solve_triangular(x, y), np.linalg.solve(lower, b), dtype, 100)
        close(la.solve_triangular(x, y, upper=True), np.linalg.solve(upper, b), dtype, 100)
        close(la.solve_triangular(x, y, unit_diagonal=True), np.linalg.solve(unit, b), dtype, 1000)
    real = np.eye(n) * 2 + np.tri(n)
    close(la.solve(tensor(a, dtype), td.real(tensor(b, dtype))), np.linalg.solve(a, b.real), dtype)
    close(
        la.solve(td.real(tensor(real, dtype)), tensor(b, dtype)),
        np.linalg.solve(np.broadcast_to(real, shape), b),
        dtype,
    )


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_hermitian_matrices(shape, dtype):
    a, b = definite(shape), draw((*shape[:-1], 2), 1)
    triangle = np.tri(shape[-1], dtype=bool)
    for x in laid_out(a, dtype):
        factor = np.linalg.cholesky(a)
        close(la.cholesky(x), factor, dtype)
        close(la.cholesky(x, upper=True), adjoint(factor), dtype)
        close(la.cholesky_solve(tensor(b, dtype), tensor(factor, dtype)), np.linalg.solve(a, b), dtype)
        upper = tensor(adjoint(factor), dtype)
        close(la.cholesky_solve(tensor(b, dtype), upper, upper=True), np.linalg.solve(a, b), dtype)
        w, v = la.eigh(x)
        close(w, np.linalg.eigvalsh(a), dtype)
        close(la.eigvalsh(x), np.linalg.eigvalsh(a), dtype)
        close((v * w[..., None, :]) @ td.conj(v).mT, a, dtype)
        close(td.conj(v).mT @ v, np.broadcast_to(np.eye(shape[-1]), shape), dtype)
    # The lower triangle alone is read, or with `upper` the other.
    rest = tensor(np.where(triangle, a, np.nan), dtype)
    close(la.cholesky(rest), np.linalg.cholesky(a), dtype)
    close(la.cholesky(td.conj(rest).mT, upper=True), adjoint(np.linalg.cholesky(a)), dtype)
    close(la.eigvalsh(rest), np.linalg.eigvalsh(a), dtype)


RECTANGLES = [(4, 4), (5, 3), (3, 5), (2, 4, 2), (2, 2, 4), (0, 3), (3, 0), (0, 2, 3)]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", RECTANGLES, ids=str)
def test_orthogonal_factors(shape, dtype):
    a, k = draw(shape), min(shape[-2:])
    b = draw((*shape[:-1], 2), 1)
    for x in laid_out(a, dtype):
        for mode in ("reduced", "complete"):
            q, r = la.qr(x, mode=mode)
            assert np.triu(array_of(r)).tolist() == array_of(r).tolist()
            close(q @ r, a, dtype)
            close(td.imag(la.diagonal(r)), np.zeros((*shape[:-2], k)), dtype)
            n = q.shape[-1]
            close(td.conj(q).mT @ q, np.broadcast_to(np.eye(n), (*shape[:-2], n, n)), dtype)
        for full in (False, True):
            u, s, vh = la.svd(x, full_matrices=full)
            want = np.linalg.svd(a, full_matrices=full)
            assert (u.shape, vh.shape) == (want[0].shape, want[2].shape)
            close(s, want[1], dtype)
            close((u[..., :k] * s[..., None, :]) @ vh[..., :k, :], a, dtype)
            n = u.shape[-1]
            close(td.conj(u).mT @ u, np.broadcast_to(np.eye(n), (*shape[:-2], n, n)), dtype)
        close(la.svdvals(x), np.linalg.svd(a, compute_uv=False), dtype)
        close(la.pinv(x), np.linalg.pinv(a), dtype)
        np.testing.assert_array_equal(array_of(la.matrix_rank(x)), np.full(shape[:-2], k))
        for order in ("fro", "nuc", 1, np.inf, 2):
            if 0 not in shape:
                close(la.matrix_norm(x, ord=order), np.linalg.norm(a, order, axis=(-2, -1)), dtype)
        if k > 0 and len(shape) == 2:
            got = la.lstsq(x, tensor(b, dtype))
            want = np.linalg.lstsq(a, b)[0]
            close(got.x, want, dtype)
            close(got.residuals, (np.abs(a @ want - b) ** 2).sum(-2), dtype)
            close(la.cond(x), np.linalg.cond(a), dtype, 100)
            if shape[-1] == shape[-2]:
                close(la.cond(x, 1), np.linalg.cond(a, 1), dtype, 100)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_other_functions(dtype):
    a, b = draw((3, 3)), draw((3, 3), 1)
    x, y = tensor(a, dtype), tensor(b, dtype)
    close(la.matrix_exp(x), scipy.linalg.expm(a), dtype, 100)
    close(la.cross(x, y), np.cross(a, b), dtype)
    close(la.kron(x, y), np.kron(a, b), dtype)
    close(la.outer(x[0], y[0]), np.outer(a[0], b[0]), dtype)
    close(la.vecdot(x, y), np.vecdot(a, b), dtype)
    close(td.inner(x, y), np.inner(a, b), dtype)
    close(la.trace(x), np.trace(a), dtype)
    close(la.multi_dot([x, y, x]), a @ b @ a, dtype, 100)
    close(la.tensorsolve(x, y[0]), np.linalg.solve(a, b[0]), dtype, 100)
    cofactors = np.linalg.inv(a) * np.linalg.det(a)
    close(la.adjugate(x), cofactors, dtype, 100)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_faults(dtype, settle):
    def raises(function, match):
        with pytest.raises(ValueError, match=match):
            function()
            settle()

    singular = tensor([[1j, 2], [1j, 2]], dtype)
    raises(lambda: la.inv(singular), "matrix is singular: pivot 2 is zero")
    raises(lambda: la.solve(singular, singular), "matrix is singular")
    raises(
        lambda: la.cholesky(-td.eye(2, dtype=dtype)), "not positive definite: its leading minor of order 1"
    )
    triangular = tensor([[1j, 0], [1j, 0]], dtype)
    raises(lambda: la.solve_triangular(triangular, triangular), "element 2 of its diagonal is zero")
    assert la.det(singular).item() == 0 and la.slogdet(singular).sign.item() == 0
    bad = tensor([[np.nan, 0], [0, 1j]], dtype)
    for function in (la.cholesky, la.eigvalsh, la.svdvals, la.det, la.inv, la.pinv):
        assert np.isnan(array_of(td.abs(function(bad)))).any()


# --- Derivatives


A = draw((3, 3)) + 2 * np.eye(3)
TALL, WIDE, B = draw((4, 3), 2), draw((3, 4), 3), draw((3, 2), 4)
H = hermitian((3, 3), 5) + np.diag([0, 4, 8])

DERIVATIVES = {
    "solve": (la.solve, A, B),
    "solve_triangular": (la.solve_triangular, A, B),
    "solve_triangular unit": (lambda a, b: la.solve_triangular(a, b, upper=True, unit_diagonal=True), A, B),
    "inv": (la.inv, A),
    "det": (la.det, A),
    "slogdet": (lambda a: tuple(la.slogdet(a)), A),
    "logdet": (la.logdet, A),
    "cholesky": (lambda a: la.cholesky(a @ td.conj(a).mT), A),
    "cholesky upper": (lambda a: la.cholesky(a @ td.conj(a).mT, upper=True), A),
    "cholesky_solve": (la.cholesky_solve, B, np.linalg.cholesky(definite((3, 3)))),
    "lu_factor": (lambda a: la.lu_factor(a).lu, A),
    "lu_factor tall": (lambda a: la.lu_factor(a).lu, TALL),
    "lu_factor wide": (lambda a: la.lu_factor(a).lu, WIDE),
    "lu_solve": (lambda a, b: la.lu_solve(*la.lu_factor(a), b), A, B),
    "lu_solve transposed": (lambda a, b: la.lu_solve(*la.lu_factor(a), b, transposed=True), A, B),
    "qr": (lambda a: tuple(la.qr(a)), A),
    "qr tall": (lambda a: tuple(la.qr(a)), TALL),
    "qr wide": (lambda a: tuple(la.qr(a)), WIDE),
    "eigvalsh": (lambda a: la.eigvalsh(a + td.conj(a).mT), H),
    "eigh": (lambda a: td.abs(la.eigh(a + td.conj(a).mT).eigenvectors), H),
    "projector": (lambda a: (v := la.eigh(a + td.conj(a).mT).eigenvectors[:, :1]) @ td.conj(v).mT, H),
    "svdvals": (la.svdvals, A),
    "svdvals wide": (la.svdvals, WIDE),
    "svd": (lambda a: td.abs(la.svd(a).U) + td.abs(la.svd(a).Vh), A),
    "svd tall": (lambda a: (f := la.svd(a, full_matrices=False)).U @ f.Vh, TALL),
    "svd wide": (lambda a: (f := la.svd(a, full_matrices=False)).U @ f.Vh, WIDE),
    "pinv": (la.pinv, A),
    "pinv tall": (la.pinv, TALL),
    "pinv wide": (la.pinv, WIDE),
    "lstsq": (lambda a, b: tuple(la.lstsq(a, b))[:2], TALL, draw((4, 2), 6)),
    "matrix_power": (lambda a: la.matrix_power(a, -2), A),
    "matrix_exp": (la.matrix_exp, A / 2),
    "cond": (la.cond, A),
    "nuc": (lambda a: la.matrix_norm(a, ord="nuc"), TALL),
    "spectral": (lambda a: la.matrix_norm(a, ord=2), TALL),
    "frobenius": (la.matrix_norm, TALL),
    "cross": (la.cross, A, draw((3, 3), 7)),
    "kron": (la.kron, A, B),
    "tensordot": (lambda a, b: la.tensordot(a, b, axes=1), A, B),
    "trace": (la.trace, A),
}


@pytest.mark.parametrize("name", DERIVATIVES)
def test_derivatives(name):
    """In both modes and every mix of two."""
    function, *arrays = DERIVATIVES[name]
    td.check_grads(function, tuple(tensor(a) for a in arrays), order=2, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", [td.float64, td.complex128], ids=str)
@pytest.mark.parametrize("name", ["qr", "svd", "svd wide"])
def test_what_is_added_to_factors_is_seen_by_its_span(name, dtype):
    """The projection onto what a whole factor has more is what the others leave, and so are gradients."""
    a = TALL if name != "svd wide" else WIDE
    x = tensor(a) if dtype == td.complex128 else td.tensor(a.real)
    w = hermitian((4, 4), 8)
    weights = tensor(w) if dtype == td.complex128 else td.tensor(w.real)
    thin = lambda x: la.qr(x if name != "svd wide" else td.conj(x).mT).Q
    whole = {
        "qr": lambda x: la.qr(x, mode="complete").Q,
        "svd": lambda x: la.svd(x).U,
        "svd wide": lambda x: td.conj(la.svd(x).Vh).mT,
    }[name]
    onto = lambda q: q @ td.conj(q).mT
    loss = lambda p: td.real(td.sum(weights * p @ weights @ p))
    of_whole = lambda x: loss(onto(whole(x)[:, 3:]))
    of_thin = lambda x: loss(td.eye(4, dtype=dtype) - onto(thin(x)))
    assert of_whole(x).item() == pytest.approx(of_thin(x).item(), rel=1e-12)
    close(td.grad(of_whole)(x), array_of(td.grad(of_thin)(x)), dtype, 100)
    curvature = lambda f: td.grad(lambda x: td.real(td.sum(td.grad(f)(x) * td.conj(x * x))))(x)
    close(curvature(of_whole), array_of(curvature(of_thin)), dtype, 1000)


def test_real_factors_with_complex_ones():
    b = td.tensor(draw((3, 2), 8).real)
    td.check_grads(la.solve, (tensor(A), b), order=2, rtol=1e-5)
    td.check_grads(la.solve, (td.tensor(A.real), tensor(B)), order=2, rtol=1e-5)


@pytest.mark.parametrize("rank", [0, 1, 2])
def test_determinants_of_every_rank(rank):
    """The adjugate, and its derivative: both by polynomials in the elements."""
    a = draw((3, rank)) @ draw((rank, 3), 1)
    leibniz = lambda x: sum(
        s * x[0, i] * x[1, j] * x[2, k]
        for i, j, k, s in [
            (0, 1, 2, 1),
            (1, 2, 0, 1),
            (2, 0, 1, 1),
            (2, 1, 0, -1),
            (1, 0, 2, -1),
            (0, 2, 1, -1),
        ]
    )
    loss = lambda det: lambda x: td.real(det(x) * (1 + 2j))
    x, t = tensor(a), tensor(draw((3, 3), 2))
    close(td.grad(loss(la.det))(x), array_of(td.grad(loss(leibniz))(x)))
    close(td.hvp(loss(la.det), x, t), array_of(td.hvp(loss(leibniz), x, t)))


def test_gradients_are_hermitian():
    weights = tensor(draw((3, 3), 3))
    for function in (la.cholesky, la.eigvalsh, lambda x: td.abs(la.eigh(x).eigenvectors)):
        shape = (3,) if function is la.eigvalsh else (3, 3)
        loss = lambda x, f=function, shape=shape: td.real(f(x) * weights[0 if shape == (3,) else ...]).sum()
        g = array_of(td.grad(loss)(tensor(definite((3, 3)))))
        close(tensor(g), adjoint(g))


# --- Phases, and equal values


def test_phases_are_not_determined(settle):
    weights = tensor(draw((3, 3), 3))
    for function in (
        lambda x: la.eigh(x).eigenvectors,
        lambda x: la.svd(x).U,
        lambda x: la.svd(x).Vh,
    ):
        with pytest.raises(td.GradientError, match="complex vectors, of which no phase is determined"):
            td.grad(lambda x, f=function: td.real(f(x) * weights).sum())(tensor(H))
            settle()


@pytest.mark.parametrize("values", [[1.0, 1.0, 3.0], [2.0, 2.0, 2.0], [0.5, 2.0, 2.0]], ids=str)
def test_equal_eigenvalues(values):
    u = unitary(3)
    a, t = (u * values) @ adjoint(u), hermitian((3, 3), 9)
    x, v = tensor(a), tensor(t)
    cubes = lambda x: (la.eigvalsh(x) ** 3).sum()
    close(td.grad(cubes)(x), 3 * a @ a, factor=100)
    want = 3 * (a @ t + t @ a)
    for second in (td.hvp, td.vhp):
        close(second(cubes, x, v), want, factor=100)
    # One-sided derivatives of the sorted values.
    step = 1e-7
    slopes = (np.linalg.eigvalsh(a + step * t) - np.linalg.eigvalsh(a)) / step
    np.testing.assert_allclose(array_of(td.jvp(la.eigvalsh, (x,), (v,))[1]), slopes, atol=1e-5)


@pytest.mark.parametrize("shape", [(3, 3), (4, 3), (3, 4)], ids=str)
def test_equal_singular_values(shape):
    u, v = unitary(shape[0])[:, :3], unitary(shape[1], 1)[:, :3]
    a, t = (u * [2.0, 2.0, 1.0]) @ adjoint(v), draw(shape, 9)
    x, along = tensor(a), tensor(t)
    fourth = lambda x: (la.svdvals(x) ** 4).sum()
    close(td.grad(fourth)(x), 4 * a @ adjoint(a) @ a, factor=100)
    want = 4 * (t @ adjoint(a) @ a + a @ adjoint(t) @ a + a @ adjoint(a) @ t)
    for second in (td.hvp, td.vhp):
        close(second(fourth, x, along), want, factor=100)
    step = 1e-7
    slopes = (np.linalg.svd(a + step * t)[1] - np.linalg.svd(a)[1]) / step
    np.testing.assert_allclose(array_of(td.jvp(la.svdvals, (x,), (along,))[1]), slopes, atol=1e-5)


def test_what_equal_eigenvalues_do_not_determine(settle):
    with pytest.raises(td.GradientError, match="equal eigenvalues"):
        td.grad(lambda x: la.eigvalsh(x)[0])(td.eye(3, dtype=td.complex128))
        settle()


# --- Transforms


def test_lanes_and_programs():
    a, b = draw((4, 3, 3)) + 2 * np.eye(3), draw((4, 3), 1)
    x, y = tensor(a), tensor(b)
    close(td.vmap(la.solve)(x, y), np.linalg.solve(a, b[..., None])[..., 0])
    close(td.vmap(la.eigvalsh)(tensor(definite((4, 3, 3)))), np.linalg.eigvalsh(definite((4, 3, 3))))
    close(td.vmap(lambda b: la.solve(x[0], b))(y), np.linalg.solve(a[0], b.T).T)
    loss = lambda x: td.real(td.conj(s := la.solve(x, y[0])) @ s) + la.slogdet(x).logabsdet
    want = array_of(td.grad(loss)(x[0]))
    close(td.program(td.grad(loss), x[0])(x[0]), want)
    close(td.compile(td.grad(loss))(x[0]), want)


# --- Distinct numbers


def test_unique():
    values = np.array([1 + 2j, 1 - 1j, 1 + 2j, 0.0 - 0j, -0.0 + 0j, 5, 1 - 1j])
    x = tensor(values)
    want = np.unique(values, return_index=True, return_inverse=True, return_counts=True)
    got = td.unique(x, return_index=True, return_inverse=True, return_counts=True)
    for g, w in zip(got, want, strict=True):
        np.testing.assert_array_equal(array_of(g), w)
    rows = np.stack([values, values[::-1]])
    np.testing.assert_array_equal(array_of(td.unique(tensor(rows), axis=1)), np.unique(rows, axis=1))
    nans = tensor([complex(np.nan, 1), complex(1, np.nan), 1j, complex(np.nan, 2)])
    assert td.unique(nans).shape == (2,) and td.unique_values(nans).shape == (4,)
