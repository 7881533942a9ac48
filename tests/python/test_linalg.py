"""Linear algebra beside NumPy, SciPy and closed forms, in every layout, at the edges of its domain."""

import itertools

import numpy as np
import pytest
import samplers as ops
import scipy.linalg
import tidu as td

la = td.linalg
REALS = [td.float32, td.float64]
TOLERANCE = {td.float32: 2e-5, td.float64: 1e-12}
SHAPES = [(1, 1), (2, 2), (7, 7), (3, 5, 5), (2, 3, 4, 4), (0, 0), (0, 3, 3), (2, 0, 0)]


def array_of(x):
    return x.detach().cpu().numpy()


def close(got, want, dtype=td.float64, factor=1.0):
    got, want = array_of(got), np.asarray(want)
    assert got.shape == want.shape
    size = max(np.abs(want[np.isfinite(want)]).max(initial=0), 1)
    np.testing.assert_allclose(got, want, rtol=0, atol=factor * TOLERANCE[dtype] * size)


def draw(shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def definite(shape, seed=0):
    x = draw(shape, seed)
    return x @ np.swapaxes(x, -1, -2) + np.eye(shape[-1])


def laid_out(array, dtype):
    """The array in each of several layouts."""
    for storage in ops.STORAGES[:4]:
        yield ops.with_storage(array, dtype, storage)[0]
    if array.ndim > 2:  # the batch last
        turned = np.moveaxis(array, 0, -1)
        yield td.moveaxis(ops.to_tensor(turned, dtype), -1, 0)


def difference(f, x, v, h=1e-5):
    """The directional derivative in float64."""
    at = lambda t: array_of(f(td.tensor(x + t * v)))
    return (8 * (at(h) - at(-h)) - (at(2 * h) - at(-2 * h))) / (12 * h)


# --- Products over named axes

EINSUMS = [
    ("ij,jk", [(3, 4), (4, 2)]),
    ("ij,jk->ki", [(3, 4), (4, 2)]),
    ("i,i", [(5,), (5,)]),
    ("i,i->i", [(5,), (5,)]),
    ("i,j,k->kij", [(2,), (3,), (4,)]),
    ("ii", [(4, 4)]),
    ("ii->i", [(4, 4)]),
    ("iii->i", [(3, 3, 3)]),
    ("iji->j", [(3, 4, 3)]),
    ("ij->ji", [(3, 4)]),
    ("ij->", [(3, 4)]),
    ("ij->j", [(3, 4)]),
    ("...ij,...jk->...ik", [(5, 1, 3, 4), (6, 4, 2)]),
    ("...ij,jk", [(5, 3, 4), (4, 2)]),
    ("...,...", [(2, 3), (3,)]),
    ("...i->...", [(2, 3, 4)]),
    ("...", [(2, 3)]),
    ("i...,i...->...", [(3, 2), (3, 5, 2)]),
    ("bij,bjk,bkl->bil", [(2, 3, 4), (2, 4, 5), (2, 5, 2)]),
    ("abc,cd,def->abef", [(2, 3, 4), (4, 5), (5, 2, 3)]),
    ("ij,ij,ij->i", [(3, 4)] * 3),
    ("ij,j->i", [(3, 1), (4,)]),
    ("Ba,ab", [(2, 3), (3, 4)]),
    (",ij->ij", [(), (2, 3)]),
    ("ij,jk->ik", [(3, 0), (0, 2)]),
    ("ij,jk->ik", [(0, 3), (3, 2)]),
    (" i j , j k -> i k ", [(2, 3), (3, 4)]),
]


@pytest.mark.parametrize("subscripts,shapes", EINSUMS, ids=str)
def test_einsum(subscripts, shapes):
    arrays = [draw(shape, i) for i, shape in enumerate(shapes)]
    want = np.einsum(subscripts, *arrays)
    close(td.einsum(subscripts, *map(td.tensor, arrays)), want)
    for layouts in zip(*(laid_out(a, td.float64) for a in arrays if a.ndim <= 2), strict=False):
        if len(layouts) == len(arrays):
            close(td.einsum(subscripts, *layouts), want)
    integers = [np.random.default_rng(i).integers(-4, 5, shape) for i, shape in enumerate(shapes)]
    got = td.einsum(subscripts, *map(td.tensor, integers))
    assert got.dtype == td.int64
    np.testing.assert_array_equal(array_of(got), np.einsum(subscripts, *integers))


def test_einsum_sums_over_dots_that_the_result_lacks():
    a, b = draw((5, 2, 3)), draw((4, 1, 6))
    close(td.einsum("...i->i", td.tensor(a)), a.sum((0, 1)))
    close(td.einsum("...i->", td.tensor(a)), a.sum())
    close(td.einsum("...i,...j->ij", td.tensor(a), td.tensor(b[:1])), np.einsum("xyi,zj->ij", a, b[0, :1]))


@pytest.mark.parametrize(
    "subscripts,shapes,why",
    [
        ("ij,jk", [(2, 3)], "operands"),
        ("ij", [(2, 3, 4)], "name the axes"),
        ("ij->k", [(2, 3)], "result alone"),
        ("ij->ii", [(2, 3)], "twice"),
        ("ij,jk", [(2, 3), (4, 5)], "extents 3 and 4"),
        ("ii", [(2, 3)], "diagonal"),
        ("i1", [(2, 3)], "letters"),
        ("abcdefghijklm", [(2, 3)], "at most 12 axes"),
    ],
    ids=str,
)
def test_einsum_refuses(subscripts, shapes, why):
    with pytest.raises(td.ShapeError, match=why):
        td.einsum(subscripts, *(td.zeros(s) for s in shapes))


@pytest.mark.parametrize(
    "shapes", [((3,), (3,)), ((2, 3), (4, 3)), ((2, 1, 3), (3,)), ((), (2, 3)), ((2, 0), (3, 0))]
)
def test_inner(shapes):
    a, b = map(draw, shapes)
    close(td.inner(td.tensor(a), td.tensor(b)), np.inner(a, b))


def test_diagonals_and_traces():
    for shape in [(3, 3), (2, 5), (5, 2), (4, 3, 5), (0, 0), (0, 3), (2, 0, 3), (1, 1)]:
        a = draw(shape)
        for offset in range(-6, 7):
            want = np.diagonal(a, offset, -2, -1)
            for x in laid_out(a, td.float64):
                np.testing.assert_array_equal(array_of(la.diagonal(x, offset=offset)), want)
                close(la.trace(x, offset=offset), np.trace(a, offset, -2, -1))
    a = draw((2, 3, 4, 5))
    for axes in ((0, 1), (-1, 0), (2, 1)):
        for offset in (-1, 0, 2):
            want = np.diagonal(a, offset, *axes)
            np.testing.assert_array_equal(array_of(la.diagonal(td.tensor(a), offset, *axes)), want)
            got = la.trace(td.tensor(a), offset=offset, axis1=axes[0], axis2=axes[1])
            close(got, np.trace(a, offset, *axes))
    with pytest.raises(ValueError, match="are one"):
        la.diagonal(td.ones((2, 2)), axis1=1)
    assert la.trace(td.ones((2, 2), dtype=td.int8)).dtype == td.int64
    assert la.trace(td.ones((2, 2)), dtype=td.float64).dtype == td.float64
    with pytest.raises(td.ShapeError, match="trace"):
        la.trace(td.ones(3))


@pytest.mark.parametrize("shape", [(3, 5), (5, 3), (2, 4, 4), (0, 3), (1, 1)], ids=str)
def test_triangles(shape):
    for k in (-9, -2, 0, 1, 9):
        a = draw(shape)
        close(td.tril(td.tensor(a), k), np.tril(a, k))
        close(td.triu(td.tensor(a), k), np.triu(a, k))
        for part, name in ((td.tril, "tril"), (td.triu, "triu")):
            for array in (a > 0, (9 * a).astype(np.int32)):
                got = part(td.tensor(array), k=k)
                assert got.dtype == td.tensor(array).dtype
                np.testing.assert_array_equal(array_of(got), getattr(np, name)(array, k))
            gradient = td.grad(lambda x, part=part, k=k, a=a: (part(x, k=k) * td.tensor(a)).sum())(
                td.tensor(a)
            )
            close(gradient, getattr(np, name)(a, k))
    with pytest.raises(td.ShapeError, match="tril"):
        td.tril(td.ones(3))


def test_vecdot_along_every_axis():
    a, b = draw((4, 3, 2)), draw((3, 2), 1)
    for axis in (-1, -2):
        close(la.vecdot(td.tensor(a), td.tensor(b), axis=axis), (a * b).sum(axis))
    close(td.vecdot(td.tensor(a), td.tensor(b), axis=1), (a * b).sum(1))
    close(td.vecdot(td.tensor(a), td.tensor(a), axis=0), (a * a).sum(0))
    assert td.vecdot(td.ones(2, dtype=td.uint8), td.ones(2, dtype=td.int8)).dtype == td.int16
    with pytest.raises(td.ShapeError, match="vecdot"):
        td.vecdot(td.tensor(a), td.tensor(b), axis=0)
    with pytest.raises(td.ShapeError, match="vecdot"):
        td.vecdot(td.tensor(a), td.ones((4, 1, 2), dtype=td.float64), axis=1)


def test_kron_cross_tensordot_and_powers():
    for a, b in [((2, 3), (4, 5)), ((3,), (2, 2)), ((2, 2, 2), (3, 1)), ((), (2, 3)), ((0, 2), (3, 3))]:
        x, y = draw(a, 1), draw(b, 2)
        close(la.kron(td.tensor(x), td.tensor(y)), np.kron(x, y))
    for a, b, axis in [((3,), (3,), -1), ((4, 3), (3,), -1), ((3, 4), (3, 4), 0), ((2, 3, 5), (1, 3, 5), 1)]:
        x, y = draw(a, 1), draw(b, 2)
        close(la.cross(td.tensor(x), td.tensor(y), axis=axis), np.cross(x, y, axis=axis))
    with pytest.raises(td.ShapeError, match="extent 3"):
        la.cross(td.ones(2), td.ones(2))
    x, y = draw((2, 3, 4), 1), draw((4, 3, 5), 2)
    close(
        td.tensordot(td.tensor(x), td.tensor(y), axes=((1, 2), (1, 0))), np.tensordot(x, y, ((1, 2), (1, 0)))
    )
    close(td.tensordot(td.tensor(x), td.tensor(y), axes=1), np.tensordot(x, y, 1))
    close(td.tensordot(td.tensor(x), td.tensor(y), axes=0), np.tensordot(x, y, 0))
    close(td.tensordot(td.tensor(x), td.tensor(y), axes=(-1, 0)), np.tensordot(x, y, (-1, 0)))
    for axes, why in [(1.5, None), (4, "axes"), (((0,), (0,)), "differ"), (((0, 1), (0,)), "as many")]:
        with pytest.raises((td.ShapeError, TypeError, RuntimeError, ValueError), match=why):
            td.tensordot(td.tensor(x), td.tensor(y), axes=axes)
    a = draw((3, 4, 4)) / 2
    for n in range(-5, 8):
        close(la.matrix_power(td.tensor(a), n), np.linalg.matrix_power(a, n), factor=100)
    whole = np.array([[1, 1], [1, 0]])
    np.testing.assert_array_equal(
        array_of(la.matrix_power(td.tensor(whole), 40)), np.linalg.matrix_power(whole, 40)
    )
    with pytest.raises(td.DTypeError, match="inverse"):
        la.matrix_power(td.tensor(whole), -1)
    matrices = [draw(s, i) for i, s in enumerate([(10, 3), (3, 40), (40, 2), (2, 7)])]
    tensors = list(map(td.tensor, matrices))
    close(la.multi_dot(tensors), np.linalg.multi_dot(matrices))
    close(
        la.multi_dot([tensors[0][0], *tensors[1:3], tensors[3][:, 0]]),
        np.linalg.multi_dot([matrices[0][0], *matrices[1:3], matrices[3][:, 0]]),
    )
    with pytest.raises(td.ShapeError, match="do not fit"):
        la.multi_dot([tensors[0], tensors[2]])


# --- Norms


@pytest.mark.parametrize("order", [2, 1, 0, 3, 1.5, 0.5, -1, -2.5, np.inf, -np.inf], ids=str)
def test_vector_norms(order):
    x = draw((2, 3, 4))
    x[0, 0, 1] = 0
    for axis in (0, 1, -1):
        with np.errstate(all="ignore"):
            want = np.linalg.norm(x, order, axis=axis)
        for t in laid_out(x, td.float64):
            close(la.vector_norm(t, axis=axis, ord=order), want)
            close(la.vector_norm(t, axis=axis, ord=order, keepdims=True), np.expand_dims(want, axis))
    with np.errstate(all="ignore"):
        close(la.vector_norm(td.tensor(x), ord=order), np.linalg.norm(x.ravel(), order))
        want = np.linalg.norm(x.transpose(1, 0, 2).reshape(3, 8), order, axis=-1)
    close(la.vector_norm(td.tensor(x), axis=(0, 2), ord=order), want)
    if order > 0:
        assert la.vector_norm(td.zeros((0, 3)), axis=0, ord=order).tolist() == [0, 0, 0]
        assert float(la.vector_norm(td.tensor([1e-200, 1e-200], dtype=td.float64), ord=order)) > 0
        if order >= 1:
            assert np.isfinite(float(la.vector_norm(td.tensor([1e30, 1e30]), ord=order)))
    assert np.isnan(float(la.vector_norm(td.tensor([1.0, np.nan]), ord=order))) or order == 0
    if order == 2:
        assert float(la.vector_norm(td.tensor([1.0, -np.inf]), ord=order)) == np.inf


@pytest.mark.parametrize("dtype", [td.float32, td.float64], ids=str)
def test_norms_of_all_sizes_have_the_bits_that_derivatives_see(dtype):
    rng = np.random.default_rng(0)
    info = np.finfo(str(dtype).split(".")[-1])
    exponents = np.concatenate([np.arange(info.minexp - 20, info.maxexp - 5, 7), [0, 0, 0]])
    for columns in (1, 5, 100, 70000):
        sizes = np.ldexp(1.0, exponents if columns < 1000 else exponents[::9])[:, None]
        x = (rng.standard_normal((len(sizes), columns)) * sizes).astype(info.dtype)
        t = td.tensor(x)
        norm = array_of(la.vector_norm(t, axis=-1))
        want = np.sqrt(np.sum(np.square(x.astype(np.longdouble)), -1))
        assert (abs(norm - want) <= 4 * np.spacing(want.astype(info.dtype)) + info.smallest_subnormal).all()
        seen, _ = td.vjp(lambda t: la.vector_norm(t, axis=-1), t)
        assert array_of(seen).tobytes() == norm.tobytes()
        alone = np.array([array_of(la.vector_norm(row)) for row in t])
        assert (abs(alone - want) <= 4 * np.spacing(want.astype(info.dtype)) + info.smallest_subnormal).all()


@pytest.mark.parametrize("order", [2, 1, 3, 1.5, np.inf, -1], ids=str)
def test_vector_norms_at_zero(order):
    """At the tip the first and the second derivative are 0; of a row beside others, too."""
    x = td.tensor([[0.0, 0.0, 0.0], [3.0, -4.0, 1.0]], dtype=td.float64)
    f = lambda x: la.vector_norm(x, axis=-1, ord=order).sum()
    alone = lambda x: la.vector_norm(x, ord=order)
    for gradient in (td.grad(f), td.jacfwd(f)):
        got = array_of(gradient(x))
        np.testing.assert_array_equal(got[0], 0)
        np.testing.assert_allclose(got[1], array_of(td.grad(alone)(x[1])), rtol=1e-14)
    h = array_of(td.hessian(f)(x))
    assert np.isfinite(h).all()
    np.testing.assert_array_equal(h[0], 0)


def test_gradient_of_the_norm():
    x = draw(5)
    close(td.grad(la.vector_norm)(td.tensor(x)), x / np.linalg.norm(x))
    h = (np.eye(5) - np.outer(x, x) / (x @ x)) / np.linalg.norm(x)
    close(td.hessian(la.vector_norm)(td.tensor(x)), h)


@pytest.mark.parametrize("dtype", [td.float32, td.float64], ids=str)
def test_derivatives_of_norms_of_any_size(dtype):
    """Along tangents of size 1: those of second order where their squares are in range."""
    x, t = np.array([1.0, 2.0]), np.array([1.0, -1.0])
    size = np.linalg.norm(x)
    h = (np.eye(2) - np.outer(x, x) / (x @ x)) / size
    most = 1000 if dtype == td.float64 else 120
    tangent, tolerance = td.tensor(t, dtype=dtype), 50 * ops.EPSILON[dtype]
    for exponent in range(-most, most + 1, most // 40):
        scale = 2.0**exponent
        point = td.tensor(x * scale, dtype=dtype)
        for f in (
            la.vector_norm,
            lambda x: la.matrix_norm(x[None]),
            lambda x: td.cdist(x[None], 0 * x[None]),
        ):
            got = td.jvp(lambda x, f=f: f(x).sum(), (point,), (tangent,))[1]
            np.testing.assert_allclose(float(got), x @ t / size, tolerance)
        np.testing.assert_allclose(array_of(td.grad(la.vector_norm)(point)), x / size, tolerance)
        if abs(exponent) < most // 2:
            for second in (td.jacfwd(td.jacfwd(la.vector_norm)), td.hessian(la.vector_norm)):
                np.testing.assert_allclose(array_of(second(point)) * scale, h, 0, tolerance)


@pytest.mark.parametrize("order", ["fro", 1, -1, np.inf, -np.inf], ids=str)
def test_matrix_norms(order):
    for shape in [(3, 4), (2, 4, 3), (1, 1)]:
        a = draw(shape)
        want = np.linalg.norm(a, order, axis=(-2, -1))
        close(la.matrix_norm(td.tensor(a), ord=order), want)
        close(la.matrix_norm(td.tensor(a), ord=order, keepdims=True), want[..., None, None])
    if order in ("fro", 1, np.inf):
        assert la.matrix_norm(td.zeros((2, 0, 3)), ord=order).tolist() == [0, 0]
        assert la.matrix_norm(td.zeros((2, 3, 0)), ord=order).tolist() == [0, 0]


def test_norms_refuse():
    with pytest.raises(ValueError, match="ord"):
        la.matrix_norm(td.ones((2, 2)), ord=3)
    with pytest.raises(td.ShapeError, match="matrices"):
        la.matrix_norm(td.ones(2))
    with pytest.raises(td.ShapeError, match="no elements"):
        la.vector_norm(td.ones(0), ord=-1)


# --- Factors and solutions


@pytest.mark.parametrize("dtype", REALS, ids=str)
@pytest.mark.parametrize("shape", [*SHAPES, (70, 70)], ids=str)
def test_cholesky(shape, dtype):
    a = definite(shape)
    want = np.linalg.cholesky(a) if a.size else a
    for x in laid_out(a, dtype):
        close(la.cholesky(x), want, dtype, 10)
        close(la.cholesky(x, upper=True), np.swapaxes(want, -1, -2), dtype, 10)
    # The other triangle is not read.
    rest = np.where(np.tri(shape[-1], dtype=bool), a, np.nan)
    close(la.cholesky(td.tensor(rest, dtype=dtype)), want, dtype, 10)
    close(la.cholesky(td.tensor(rest, dtype=dtype).mT, upper=True), np.swapaxes(want, -1, -2), dtype, 10)
    b = draw((*shape[:-1], 2), 3)
    close(
        la.cholesky_solve(td.tensor(b, dtype=dtype), td.tensor(want, dtype=dtype)),
        np.linalg.solve(a, b),
        dtype,
        100,
    )
    close(
        la.cholesky_solve(td.tensor(b, dtype=dtype), td.tensor(want, dtype=dtype).mT, upper=True),
        np.linalg.solve(a, b),
        dtype,
        100,
    )


@pytest.mark.parametrize("dtype", REALS, ids=str)
@pytest.mark.parametrize("shape", [*SHAPES, (150, 150)], ids=str)
def test_solutions(shape, dtype):
    n = shape[-1]
    a = draw(shape) + 3 * np.roll(np.eye(n), 1, 0) * np.sqrt(n)
    for columns in (1, 3, 130):
        b = draw((*shape[:-1], columns), 1)
        want = np.linalg.solve(a, b)
        for x, y in zip(laid_out(a, dtype), laid_out(b, dtype), strict=False):
            close(la.solve(x, y), want, dtype, 100)
            lu, pivots = la.lu_factor(x)
            close(la.lu_solve(lu, pivots, y), want, dtype, 100)
            close(
                la.lu_solve(lu, pivots, y, transposed=True),
                np.linalg.solve(np.swapaxes(a, -1, -2), b),
                dtype,
                100,
            )
    for x in laid_out(a, dtype):
        close(la.inv(x), np.linalg.inv(a), dtype, 100)
        if n < 100:
            close(la.det(x), np.linalg.det(a), dtype, 100)
        sign, logarithm = np.linalg.slogdet(a)
        got = la.slogdet(x)
        close(got.sign, sign, dtype)
        close(got.logabsdet, logarithm, dtype, 10)
    lower, upper = np.tril(a) + 4 * np.eye(n) * n, np.triu(a) + 4 * np.eye(n) * n
    b = draw((*shape[:-1], 130), 2)
    unit = np.tril(a, -1) / max(n, 1) + np.eye(n)
    for x, y, z, t in zip(*(laid_out(v, dtype) for v in (lower, upper, b, unit)), strict=True):
        rest = td.where(td.tensor(np.tri(n, dtype=bool)), x, np.nan)
        close(la.solve_triangular(rest, z), np.linalg.solve(lower, b), dtype, 10)
        close(
            la.solve_triangular(rest.mT, z, upper=True),
            np.linalg.solve(np.swapaxes(lower, -1, -2), b),
            dtype,
            10,
        )
        close(la.solve_triangular(y, z, upper=True), np.linalg.solve(upper, b), dtype, 10)
        diagonal = td.where(td.eye(n, dtype=td.bool), np.nan, t)
        close(la.solve_triangular(diagonal, z, unit_diagonal=True), np.linalg.solve(unit, b), dtype, 100)


def test_lu_factors():
    for shape in SHAPES:
        a = draw(shape, 4)
        lu, pivots = la.lu_factor(td.tensor(a))
        assert pivots.dtype == td.int64
        for i in np.ndindex(shape[:-2]):
            want, exchanged = scipy.linalg.lu_factor(a[i]) if a[i].size else (a[i], np.zeros(0, int))
            close(lu[i], want)
            np.testing.assert_array_equal(array_of(pivots[i]), exchanged)
    lu, pivots = la.lu_factor(td.zeros((3, 3)))
    assert not array_of(lu).any()


@pytest.mark.parametrize("shape", [(3, 5), (5, 3), (2, 4, 1), (2, 1, 4), (0, 3), (3, 0), (0, 2, 3)], ids=str)
def test_lu_factors_of_rectangles(shape):
    a, k = draw(shape), min(shape[-2:])
    lu, pivots = la.lu_factor(td.tensor(a))
    assert lu.shape == shape and pivots.shape == (*shape[:-2], k)
    for i in np.ndindex(shape[:-2]):
        factors, exchanged = array_of(lu)[i], a[i].copy()
        for row, other in enumerate(array_of(pivots)[i]):
            exchanged[[row, other]] = exchanged[[other, row]]
        left = np.tril(factors, -1)[:, :k] + np.eye(shape[-2], k)
        np.testing.assert_allclose(left @ np.triu(factors)[:k], exchanged, rtol=0, atol=1e-13)
        assert np.abs(left).max(initial=0) <= 1
    w, v, z = (draw(shape, i) for i in (1, 2, 3))
    f = lambda x: (la.lu_factor(x).lu ** 2 * td.tensor(w)).sum()
    x = td.tensor(a)
    slope = difference(f, a, v)
    assert float(td.jvp(f, (x,), (td.tensor(v),))[1]) == pytest.approx(float(slope), rel=1e-7, abs=1e-7)
    assert (array_of(td.grad(f)(x)) * v).sum() == pytest.approx(float(slope), rel=1e-7, abs=1e-7)
    second = difference(td.grad(f), a, z)
    for product in (td.hvp, td.vhp):
        np.testing.assert_allclose(array_of(product(f, x, td.tensor(z))), second, rtol=1e-6, atol=1e-6)


def test_right_hand_sides_broadcast():
    a, b, v = draw((2, 1, 4, 4)), draw((3, 4, 2)), draw(4)
    close(la.solve(td.tensor(a), td.tensor(b)), np.linalg.solve(a, b), factor=100)
    close(
        la.solve(td.tensor(a), td.tensor(v)),
        np.linalg.solve(a, np.broadcast_to(v, (2, 1, 4))[..., None])[..., 0],
        factor=100,
    )
    close(la.solve(td.tensor(a[0, 0]), td.tensor(b)), np.linalg.solve(a[0, 0], b), factor=100)
    gradients = td.grad(lambda a, b: la.solve(a, b).sum(), argnums=(0, 1))(td.tensor(a), td.tensor(b))
    assert [g.shape for g in gradients] == [a.shape, b.shape]
    whole = td.grad(lambda a, b: la.solve(a, b).sum(), argnums=(0, 1))(
        td.tensor(np.broadcast_to(a, (2, 3, 4, 4)).copy()), td.tensor(np.broadcast_to(b, (2, 3, 4, 2)).copy())
    )
    close(gradients[0], array_of(whole[0]).sum(1, keepdims=True), factor=1000)
    close(gradients[1], array_of(whole[1]).sum(0), factor=1000)
    assert la.solve(td.tensor([[2, 0], [0, 4]]), td.tensor([2, 4])).dtype == td.float32


@pytest.mark.parametrize("dtype", REALS, ids=str)
def test_faults_are_named(dtype, settle):
    def raises(f, *words):
        with pytest.raises(ValueError) as caught:
            f()
            settle()
        for word in words:
            assert word in str(caught.value)

    good = np.eye(3)
    singular = np.array([[1.0, 2, 3], [2, 4, 6], [1, 1, 1]])
    indefinite = np.diag([1.0, -1, 1])
    t = lambda *arrays: td.tensor(np.array(arrays[0] if len(arrays) == 1 else arrays), dtype=dtype)
    raises(lambda: la.solve(t(singular), td.ones(3, dtype=dtype)), "the matrix is singular: pivot 3 is zero")
    raises(lambda: la.inv(t(good, singular, good)), "matrix 1 is singular: pivot 3 is zero")
    batch = td.tensor(np.array([[good, good], [good, singular]]), dtype=dtype)
    raises(lambda: la.inv(batch), "matrix (1, 1) is singular")
    raises(lambda: la.solve(td.zeros((2, 2), dtype=dtype), td.ones(2, dtype=dtype)), "pivot 1 is zero")
    raises(
        lambda: la.cholesky(t(indefinite)),
        "[cholesky]",
        "the matrix is not positive definite",
        "minor of order 2",
    )
    raises(lambda: la.cholesky(t(good, indefinite)), "matrix 1", "minor of order 2")
    raises(lambda: la.cholesky(td.zeros((1, 1), dtype=dtype)), "minor of order 1")
    triangular = np.tril(np.ones((3, 3)))
    triangular[1, 1] = 0
    raises(
        lambda: la.solve_triangular(t(good, triangular), td.ones((3, 1), dtype=dtype)),
        "matrix 1",
        "element 2 of its diagonal is zero",
    )
    # And what was not wrong still works.
    np.testing.assert_array_equal(array_of(la.inv(t(good, 2 * good))), [good, good / 2])
    settle()


def test_shapes_and_dtypes_are_checked():
    for f in (
        la.cholesky,
        la.inv,
        la.det,
        la.slogdet,
        la.logdet,
        la.adjugate,
        lambda x: la.matrix_power(x, 2),
    ):
        for shape in [(3,), (2, 3), ()]:
            with pytest.raises(td.ShapeError, match="square"):
                f(td.ones(shape))
    with pytest.raises(td.ShapeError, match="matrices"):
        la.lu_factor(td.ones(3))
    for f in (la.cholesky, la.inv, la.det, la.slogdet, la.lu_factor):
        for dtype in (td.float16, td.bfloat16):
            with pytest.raises(td.DTypeError, match="astype"):
                f(td.eye(2, dtype=dtype))
    for b in [(2,), (2, 3), (4, 2, 1)]:
        with pytest.raises(td.ShapeError, match="right-hand side"):
            la.solve(td.eye(3), td.ones(b))
    with pytest.raises(td.ShapeError, match="square"):
        la.lu_solve(*la.lu_factor(td.ones((3, 2))), td.ones(3))
    with pytest.raises(td.ShapeError, match="pivots"):
        la.lu_solve(td.eye(3), td.zeros(2, dtype=td.int64), td.ones(3))


def test_pivots_out_of_range(settle):
    with pytest.raises(IndexError):
        la.lu_solve(td.eye(3), td.tensor([0, 5, 2]), td.ones((3, 1)))
        settle()


@pytest.mark.parametrize("dtype", REALS, ids=str)
def test_nan_goes_on(dtype):
    a = np.array([np.eye(3), np.eye(3)])
    a[0, 1, 1] = np.nan
    x = td.tensor(a, dtype=dtype)
    for f in (la.cholesky, la.inv, lambda x: la.solve(x, td.ones((3, 1), dtype=dtype)), la.adjugate):
        y = array_of(f(x))
        assert np.isnan(y[0]).any()
        assert np.isfinite(y[1]).all()
    for f in (la.det, la.logdet):
        y = array_of(f(x))
        assert np.isnan(y[0])
        assert np.isfinite(y[1])
    a[0] = np.nan
    assert np.isnan(array_of(la.cholesky(td.tensor(a, dtype=dtype)))[0][np.tri(3, dtype=bool)]).all()


# --- Orthogonal factors


def symmetric(shape, seed=0):
    x = draw(shape, seed)
    return x + np.swapaxes(x, -1, -2)


RECTANGLES = [(1, 1), (4, 4), (5, 3), (3, 5), (2, 4, 3), (2, 3, 3, 4), (0, 3), (3, 0), (0, 4, 3), (0, 0)]


@pytest.mark.parametrize("dtype", REALS, ids=str)
@pytest.mark.parametrize("shape", RECTANGLES, ids=str)
def test_orthogonal_factors(shape, dtype):
    a = draw(shape)
    m, n = shape[-2:]
    for x in laid_out(a, dtype):
        for mode in ("reduced", "complete"):
            q, r = la.qr(x, mode=mode)
            k = m if mode == "complete" else min(m, n)
            assert (q.shape, r.shape) == ((*shape[:-1], k), (*shape[:-2], k, n))
            close(q @ r, a, dtype, 10)
            close(q.mT @ q, np.broadcast_to(np.eye(k), (*shape[:-2], k, k)), dtype, 10)
            np.testing.assert_array_equal(array_of(r), np.triu(array_of(r)))
        for full in (False, True):
            u, s, vh = la.svd(x, full_matrices=full)
            want = np.linalg.svd(a, full_matrices=full)
            assert [u.shape, s.shape, vh.shape] == [w.shape for w in want]
            close(s, want[1], dtype, 10)
            k = min(m, n)
            close((u[..., :k] * s[..., None, :]) @ vh[..., :k, :], a, dtype, 10)
            close(
                u.mT @ u, np.broadcast_to(np.eye(u.shape[-1]), (*shape[:-2], *(u.shape[-1:] * 2))), dtype, 10
            )
            close(
                vh @ vh.mT,
                np.broadcast_to(np.eye(vh.shape[-2]), (*shape[:-2], *(vh.shape[-2:-1] * 2))),
                dtype,
                10,
            )
        close(la.svdvals(x), np.linalg.svd(a, compute_uv=False), dtype, 10)
        close(la.pinv(x), np.linalg.pinv(a), dtype, 100)
        np.testing.assert_array_equal(
            array_of(la.matrix_rank(x)), np.linalg.matrix_rank(a) if a.size else np.zeros(shape[:-2])
        )


def test_derivatives_of_whole_orthogonal_factors():
    """Of tall matrices: projections onto the further columns do not depend on how these turn."""
    x, b = td.tensor(draw((6, 4))), td.tensor(draw((6, 3)))

    def beyond(a):
        q, r = la.qr(a, mode="complete")
        rest = q[:, 4:]
        return td.sum(b * (rest @ (rest.mT @ b))) + td.sum(td.sin(r)) + td.sum(q[:, :4] ** 3)

    def by_hand(a):
        q, r = la.qr(a)
        return td.sum(b * (b - q @ (q.mT @ b))) + td.sum(td.sin(r)) + td.sum(q**3)

    close(td.grad(beyond)(x), array_of(td.grad(by_hand)(x)))
    close(td.jacrev(td.grad(beyond))(x), array_of(td.jacfwd(td.grad(by_hand))(x)), td.float64, 100)
    whole_r = lambda a: la.qr(a, mode="complete").R
    close(td.jvp(whole_r, (x,), (x,))[1][:4], array_of(td.jvp(lambda a: la.qr(a).R, (x,), (x,))[1]))
    with pytest.raises(td.GradientError, match=r"\[qr\].*further columns"):
        array_of(td.grad(lambda a: td.sum(la.qr(a, mode="complete").Q[:, 4:] ** 3))(x))


@pytest.mark.parametrize("dtype", REALS, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_eigenvalues(shape, dtype):
    a = symmetric(shape)
    want = np.linalg.eigvalsh(a)
    for x in laid_out(a, dtype):
        w, v = la.eigh(x)
        close(w, want, dtype, 10)
        close(la.eigvalsh(x), want, dtype, 10)
        close((v * w[..., None, :]) @ v.mT, a, dtype, 20)
    rest = np.where(np.tri(shape[-1], dtype=bool), a, np.nan)
    close(la.eigvalsh(td.tensor(rest, dtype=dtype)), want, dtype, 10)


def test_repeated_eigenvalues():
    q = np.linalg.qr(draw((4, 4)))[0]
    a = (q * [1.0, 1.0, 1.0, 3.0]) @ q.T
    x, v = td.tensor(a), symmetric((4, 4), 3)
    # tr f(A) has the gradient f'(A).
    close(td.grad(lambda x: (la.eigvalsh(x) ** 3).sum())(x), 3 * a @ a, factor=10)
    assert float(td.jvp(lambda x: (la.eigvalsh(x) ** 3).sum(), (x,), (td.tensor(v),))[1]) == pytest.approx(
        (3 * a @ a * v).sum()
    )
    # The largest is alone; the projector on its vector is smooth.
    top = np.outer(q[:, 3], q[:, 3])
    close(td.grad(lambda x: la.eigvalsh(x)[3])(x), top, factor=10)

    weights = symmetric((4, 4), 5)

    def projector(x):
        v = la.eigh(x).eigenvectors
        return (v[:, 3:] @ v[:, 3:].mT * td.tensor(weights)).sum()

    rest = q[:, :3] @ q[:, :3].T
    want = (rest @ weights @ top + top @ weights @ rest) / 2
    close(td.grad(projector)(x), want, factor=100)


SINGULAR = {
    "solve": lambda x, b: la.solve(x, b),
    "inv": lambda x, b: la.inv(x),
    "matrix_power": lambda x, b: la.matrix_power(x, -2),
    "tensorsolve": lambda x, b: la.tensorsolve(x, b),
    "tensorinv": lambda x, b: la.tensorinv(x, 1),
    "solve_triangular": lambda x, b: la.solve_triangular(x, b, upper=True),
    "lu_solve": lambda x, b: la.lu_solve(*la.lu_factor(x), b),
    "cholesky_solve": lambda x, b: la.cholesky_solve(b, td.zeros_like(x)),
}


@pytest.mark.parametrize("name", SINGULAR)
@pytest.mark.parametrize("way", ["value", "grad", "program"])
def test_errors_name_what_was_called(name, way, settle):
    x, b = td.tensor([[1.0, 1.0], [0.0, 0.0]]), td.tensor([1.0, 2.0])
    f = SINGULAR[name]
    with pytest.raises(ValueError, match=rf"^\[{name}\].* is singular"):
        if way == "value":
            f(x, b)
        elif way == "grad":
            td.grad(lambda x: f(x, b).sum())(x)
        else:
            td.program(f, td.eye(2), b)(x, b)
        settle()


RESIDUALS = {
    "solve": lambda x: la.solve(x, td.arange(3, dtype=x.dtype)),
    "solve many": lambda x: la.solve(x, td.arange(15, dtype=x.dtype).reshape((3, 5))),
    "inv": la.inv,
    "det": la.det,
    "slogdet": lambda x: la.slogdet(x).logabsdet,
    "cholesky": la.cholesky,
    "solve_triangular": lambda x: la.solve_triangular(x, td.arange(3, dtype=x.dtype)),
    "triangle of many": lambda x: la.solve_triangular(x, td.arange(15, dtype=x.dtype).reshape((3, 5))),
    "unit triangle": lambda x: la.solve_triangular(x, x, upper=True, unit_diagonal=True),
    "cholesky_solve": lambda x: la.cholesky_solve(td.ones((3, 1), dtype=x.dtype), x),
    "lu_factor": lambda x: la.lu_factor(x).lu,
    "lu_solve": lambda x: la.lu_solve(*la.lu_factor(x), x.mT),
    "adjugate": la.adjugate,
    "matrix_power": lambda x: la.matrix_power(x, -2),
    "matrix_exp": lambda x: la.matrix_exp(x / 4),
    "qr": lambda x: la.qr(x).Q,
    "R": lambda x: la.qr(x).R,
    "eigvalsh": la.eigvalsh,
    "eigh": lambda x: la.eigh(x).eigenvectors,
    "svdvals": la.svdvals,
    "U": lambda x: la.svd(x).U,
    "Vh": lambda x: la.svd(x).Vh,
    "pinv": la.pinv,
    "lstsq": lambda x: la.lstsq(x[:, :2], td.arange(3, dtype=x.dtype)).x,
    "nuc": lambda x: la.matrix_norm(x, ord="nuc"),
    "cond": la.cond,
}


@pytest.mark.parametrize("name", RESIDUALS)
def test_second_derivatives_where_the_cotangent_is_zero(name):
    f, x, v = RESIDUALS[name], td.tensor(definite((3, 3))), td.tensor(draw((3, 3), 1))
    goal = td.stop_gradient(f(x))
    loss = lambda x: ((f(x) - goal) ** 2).sum() / 2
    _, slope = td.jvp(f, (x,), (v,))
    (want,) = td.vjp(f, x)[1](slope)  # J^T J v: Gauss's and Newton's steps are one
    for product in (td.hvp, td.vhp):
        close(product(loss, x, v), array_of(want), factor=100)
    close(td.linalg.tensordot(td.hessian(loss)(x), v), array_of(want), factor=100)
    # Forward mode where the tangent happens to be zero.
    slope_along = lambda t: (td.jvp(f, (x,), (t,))[1] * slope).sum()
    close(td.grad(slope_along)(td.zeros_like(x)), array_of(want), factor=100)


@pytest.mark.parametrize("dtype", REALS, ids=str)
@pytest.mark.parametrize("name", ["identity", "zero", "block", "orthogonal"])
def test_what_equal_values_determine_does_not_depend_on_the_axes(name, dtype, settle):
    a = {
        "identity": np.eye(3),
        "zero": np.zeros((3, 3)),
        "block": np.diag([2.0, 2.0, 1.0]),
        "orthogonal": np.linalg.qr(draw((3, 3)))[0],
    }[name]
    x, ones = td.tensor(a, dtype=dtype), td.ones((3, 3), dtype=dtype)

    def of_eigenvalues(x, weights):
        w, v = la.eigh(x)
        return (((v * td.exp(w)) @ v.mT) * weights).sum()

    def of_singular_values(x, weights):
        u, s, vh = la.svd(x)
        return (((u * td.exp(s)) @ vh) * weights).sum()

    # The sum of all elements of f(A) has the gradient f' of the block, not of its diagonal.
    for f in (of_eigenvalues, of_singular_values):
        if f is of_eigenvalues and name == "orthogonal":
            continue
        with pytest.raises(td.GradientError, match="equal"):
            td.grad(lambda x, f=f: f(x, ones))(x)
            settle()
    for values in (la.eigvalsh, la.svdvals):
        if name == "zero" and values is la.svdvals:
            continue  # counts as the tip of a cone
        if values is la.eigvalsh and name == "orthogonal":
            continue
        of_values = lambda x, values=values: (values(x) ** 3 + values(x) ** 2).sum()
        close(td.vhp(of_values, x, ones), td.hvp(of_values, x, ones).cpu().numpy(), dtype, 100)
    # The trace of f(A) sees no turn, neither do the values' sum nor vectors without values.
    if name != "orthogonal":
        trace = td.grad(lambda x: of_eigenvalues(x, td.eye(3, dtype=dtype)))(x)
        close(trace, scipy.linalg.expm(a), dtype, 10)
        for product in (td.hvp, td.vhp):
            close(product(lambda x: la.eigvalsh(x).sum(), x, ones), np.zeros((3, 3)), dtype)
    direction = draw((3, 3), 7)
    if name in ("identity", "orthogonal"):
        turn = (direction - a @ direction.T @ a) / 2
        for product in (td.hvp, td.vhp):
            got = product(lambda x: la.matrix_norm(x, ord="nuc"), x, td.tensor(direction, dtype=dtype))
            close(got, turn, dtype, 10)

        def polar(x):
            u, _, vh = la.svd(x)
            return ((u @ vh) * td.tensor(direction, dtype=dtype)).sum()

        close(td.grad(polar)(x), turn, dtype, 10)


@pytest.mark.parametrize("values", [la.eigvalsh, la.svdvals])
def test_equal_values_of_a_batch_split_as_each_does(values):
    turn = np.linalg.qr(draw((4, 4)))[0]
    several = [np.diag(d) for d in ([1.0, 2, 2, 2], [3, 3, 1, 1], [5, 1, 4, 4], [2, 2, 2, 2])]
    a = td.tensor(np.stack([turn @ d @ turn.T for d in several]))
    v = td.tensor(draw((4, 4, 4), 1) + draw((4, 4, 4), 1).swapaxes(-1, -2))

    def pushed(a, v):
        moves = lambda a: td.jvp(values, (a,), (v,))[1]
        return td.stack([moves(a), td.jvp(moves, (a,), (v,))[1]])

    got = array_of(pushed(a, v))
    for i in range(4):
        np.testing.assert_allclose(got[:, i], array_of(pushed(a[i], v[i])), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (2, 4, 1)], ids=str)
def test_gradients_of_full_singular_vectors(shape, settle):
    a, k = draw(shape), min(shape[-2:])
    x, weights = td.tensor(a), [td.tensor(draw((n, n), n)) for n in shape[-2:]]

    def first(x, full):
        u, s, vh = la.svd(x, full_matrices=full)
        of_left = (u[..., :k] @ u[..., :k].mT) ** 2 * weights[0]
        return of_left.sum() + (vh[..., :k, :].mT @ vh[..., :k, :] * weights[1]).sum() + (s**3).sum()

    full, economic = (lambda x, full=full: first(x, full) for full in (True, False))
    close(td.grad(full)(x), array_of(td.grad(economic)(x)), factor=100)
    v = td.tensor(draw(shape, 4))
    for product in (td.hvp, td.vhp):
        close(product(full, x, v), array_of(product(economic, x, v)), factor=1000)

    def rest(x):  # the projectors on what is left
        u, _, vh = la.svd(x)
        left, right = u[..., k:], vh[..., k:, :]
        return (left @ left.mT * weights[0]).sum() + (right.mT @ right * weights[1]).sum()

    def others(x):
        u, _, vh = la.svd(x, full_matrices=False)
        one = [td.eye(n, dtype=td.float64) for n in shape[-2:]]
        return ((one[0] - u @ u.mT) * weights[0]).sum() + ((one[1] - vh.mT @ vh) * weights[1]).sum()

    close(td.grad(rest)(x), array_of(td.grad(others)(x)), factor=100)
    assert np.isnan(float(td.jvp(rest, (x,), (v,))[1]))
    if abs(shape[-1] - shape[-2]) > 1:  # else but for the sign it cannot turn
        with pytest.raises(td.GradientError):
            wide = shape[-1] > shape[-2]
            td.grad(lambda x: (la.svd(x).Vh[..., -1, 0] if wide else la.svd(x).U[..., 0, -1]).sum())(x)
            settle()


@pytest.mark.parametrize("dtype", [td.float64, td.complex128], ids=str)
@pytest.mark.parametrize("rank", [1, 2])
@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (4, 4)], ids=str)
def test_singular_values_beside_those_that_are_nothing(shape, rank, dtype):
    """Functions of those that are something are smooth, and see no move of the rest."""
    turned = 1 if dtype is td.float64 else 1 + 0.5j
    a = draw((shape[0], rank)) @ draw((rank, shape[1]), 1) * turned / 2
    x, v = td.tensor(a, dtype=dtype), td.tensor(draw(shape, 2) * turned**2, dtype=dtype)

    def of_values(x):
        return td.exp(la.svdvals(x)[:rank]).sum()

    def of_eigenvalues(x):
        return td.exp(td.sqrt(la.eigvalsh(td.conj(x.mT) @ x)[-rank:])).sum()

    close(td.grad(of_values)(x), array_of(td.grad(of_eigenvalues)(x)), factor=100)
    for product in (td.hvp, td.vhp):
        close(product(of_values, x, v), array_of(product(of_eigenvalues, x, v)), factor=1000)


def test_programs_of_singular_values_are_differentiated():
    x = td.tensor(draw((4, 2)))
    values = td.program(lambda x: la.svd(x).S.sum(), x)
    close(td.grad(values)(x), array_of(td.grad(lambda x: la.svdvals(x).sum())(x)))


def test_the_tip_of_the_cone_of_spectral_norms():
    x, v = td.zeros((2, 2), dtype=td.float64), td.tensor(draw((2, 2)))
    for order in ("nuc", 2, -2):
        norm = lambda x, order=order: la.matrix_norm(x, ord=order)
        for got in (td.grad(norm)(x), td.hvp(norm, x, v), td.vhp(norm, x, v)):
            close(got, np.zeros((2, 2)))


def test_vectors_of_small_singular_values_that_differ():
    a, c = np.diag([1.0, 3e-9, 1e-9]), symmetric((3, 3), 2)
    s, want = np.diag(a), np.zeros((3, 3))
    for i in (0, 2):  # U' = U (F * (P S + S P^T)) of <C, u u^T> for u the second of the vectors
        want[i, 1] = 2 * c[1, i] * s[1] / (s[1] ** 2 - s[i] ** 2)
        want[1, i] = 2 * c[1, i] * s[i] / (s[1] ** 2 - s[i] ** 2)

    def projector(x):
        u = la.svd(x).U[:, 1:2]
        return (u @ u.mT * td.tensor(c)).sum()

    got = array_of(td.grad(projector)(td.tensor(a)))
    np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(
    "shape", [(0, 0), (2, 0, 0), (0, 3), (3, 0), (2, 3, 0), (0, 2, 3), (0, 2, 2)], ids=str
)
def test_derivatives_of_matrices_without_elements(shape):
    functions = [
        la.svdvals,
        lambda x: la.svd(x, full_matrices=False).U,
        lambda x: la.svd(x, full_matrices=False).Vh,
        la.pinv,
        lambda x: la.lstsq(x, x).x,
        lambda x: la.lstsq(x, x).singular_values,
        lambda x: la.matrix_norm(x, ord="nuc"),
        lambda x: la.qr(x).Q,
    ]
    if shape[-1] == shape[-2]:
        functions += [
            la.eigvalsh,
            lambda x: la.eigh(x).eigenvectors,
            la.inv,
            la.det,
            la.cholesky,
            la.matrix_exp,
        ]
    x = td.zeros(shape, dtype=td.float64)
    for f in functions:
        g = lambda x, f=f: f(x).sum() + (f(x) ** 2).sum()
        for got in (td.grad(g)(x), td.hvp(g, x, x), td.vhp(g, x, x)):
            assert got.shape == shape
        _, derivatives = td.jet(g, (x,), [[x, None, None]])
        assert [float(d) for d in derivatives] == [0, 0, 0]


def test_what_repeated_eigenvalues_do_not_determine(settle):
    x = td.eye(3, dtype=td.float64)
    for f in (
        lambda x: la.eigh(x).eigenvectors[0, 1],
        lambda x: la.eigvalsh(x)[0],
        lambda x: la.svdvals(x)[0],
        lambda x: la.svd(x).U[0, 1],
    ):
        with pytest.raises(td.GradientError, match=r"^\[(eigh|svd)\].*equal"):
            td.grad(f)(x)
            settle()
    for f in (la.eigvalsh, la.svdvals):
        cubes = lambda x, f=f: td.vhp(lambda x: (f(x) ** 3).sum(), x, td.tensor(draw((3, 3))))
        with pytest.raises(td.GradientError, match="equal"):
            td.jacrev(cubes)(x)
            settle()


def test_repeated_singular_values():
    u, v = (np.linalg.qr(draw((3, 3), i))[0] for i in range(2))
    a = (u * [2.0, 2.0, 1.0]) @ v
    x = td.tensor(a)
    close(td.grad(lambda x: (la.svdvals(x) ** 2).sum())(x), 2 * a, factor=10)
    close(td.grad(lambda x: la.matrix_norm(x, ord="nuc"))(x), u @ v, factor=10)
    close(td.grad(lambda x: la.matrix_norm(x, ord=2))(x), u[:, :2] @ v[:2] / 2, factor=10)
    # The orthogonal factor is smooth.
    weights, h = draw((3, 3), 4), draw((3, 3), 5)

    def polar(x):
        u, _, vh = la.svd(x)
        return ((u @ vh) * td.tensor(weights)).sum()

    g = array_of(td.grad(polar)(x))
    assert (g * h).sum() == pytest.approx(float(difference(polar, a, h)), rel=1e-7)


@pytest.mark.parametrize("shape", [(4, 4), (5, 3), (3, 5)], ids=str)
@pytest.mark.parametrize("rank", [0, 1, 2, 3])
def test_pseudo_inverses_of_every_rank(shape, rank):
    m, n = shape
    left, right = draw((m, rank), 1), draw((rank, n), 2)
    a = left @ right
    x = td.tensor(a)
    close(la.pinv(x), np.linalg.pinv(a), factor=100)
    assert int(la.matrix_rank(x)) == rank
    b = draw((m, 2), 3)
    got, want = la.lstsq(x, td.tensor(b)), np.linalg.lstsq(a, b, rcond=None)
    close(got.x, want[0], factor=100)
    assert int(got.rank) == want[2]
    close(got.residuals, ((a @ want[0] - b) ** 2).sum(0), factor=100)
    close(la.lstsq(x, td.tensor(b[:, 0])).x, want[0][:, 0], factor=100)
    # Along matrices of the same rank.
    d = draw((m, rank), 4) @ right + left @ draw((rank, n), 5)
    e = draw((m, rank), 4), draw((rank, n), 5)
    along = lambda t: np.linalg.pinv((left + t * e[0]) @ (right + t * e[1]), rcond=1e-10)
    h = 1e-5
    slope = (8 * (along(h) - along(-h)) - (along(2 * h) - along(-2 * h))) / (12 * h)
    np.testing.assert_allclose(
        array_of(td.jvp(la.pinv, (x,), (td.tensor(d),))[1]), slope, atol=1e-6 * max(1, np.abs(slope).max())
    )
    w = draw((n, m), 6)
    g = array_of(td.grad(lambda x: (la.pinv(x) * td.tensor(w)).sum())(x))
    assert (g * d).sum() == pytest.approx((w * slope).sum(), rel=1e-6, abs=1e-6)


def test_spectral_norms_and_conditions():
    for shape in [(3, 4), (2, 4, 3), (1, 1)]:
        a = draw(shape)
        for order in ("nuc", 2, -2):
            want = np.linalg.norm(a, order, axis=(-2, -1))
            close(la.matrix_norm(td.tensor(a), ord=order), want, factor=10)
            close(la.matrix_norm(td.tensor(a), ord=order, keepdims=True), want[..., None, None], factor=10)
    a = draw((2, 4, 4)) + 3 * np.eye(4)
    for p in (None, 2, -2, 1, np.inf, "fro"):
        close(la.cond(td.tensor(a), p=p), np.linalg.cond(a, p), factor=100)


def test_conditions_of_singular_matrices_are_infinite():
    a = np.array([[[2.0, 1.0], [1.0, 2.0]], [[1.0, 0.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 0.0]]])
    for p, of_regular in [(None, 3), (2, 3), ("fro", 10 / 3), ("nuc", 16 / 3), (1, 3), (-1, 3), (np.inf, 3)]:
        np.testing.assert_allclose(array_of(la.cond(td.tensor(a), p=p)), [of_regular, np.inf, np.inf])
    np.testing.assert_allclose(array_of(la.cond(td.tensor(a), p=-2)), [1 / 3, 0, np.inf])
    for p in (2, -2):
        gradient = td.grad(lambda x, p=p: la.cond(x, p))(td.tensor([[np.nan, 1.0], [1.0, 2.0]]))
        assert np.isnan(array_of(gradient)).all()
    with pytest.raises(td.ShapeError, match="cond"):
        la.cond(td.ones((3, 2)), 1)
    with pytest.raises(ValueError, match="cond"):
        la.cond(td.ones((2, 2)), 3)


def test_tolerances_of_each_matrix():
    a = np.stack([np.diag([1.0, 0.3, 0.01]), np.diag([1.0, 0.3, 0.2])])
    x, rtol = td.tensor(a), td.tensor([0.1, 0.25])
    assert la.matrix_rank(x, rtol=rtol).tolist() == [2, 2]
    assert la.matrix_rank(x, rtol=td.tensor(0.5)).tolist() == [1, 1]
    close(
        la.pinv(x, rtol=rtol), np.stack([np.linalg.pinv(m, r) for m, r in zip(a, [0.1, 0.25], strict=True)])
    )
    each = td.grad(lambda x: (la.pinv(x, rtol=rtol) ** 2).sum())(x)
    for i, r in enumerate([0.1, 0.25]):
        close(each[i], array_of(td.grad(lambda x, r=r: (la.pinv(x, rtol=r) ** 2).sum())(x[i])))
    for f in (la.pinv, la.matrix_rank):
        with pytest.raises(td.ShapeError, match="rtol"):
            f(x, rtol=td.ones(3))
        with pytest.raises(TypeError, match="rtol"):
            f(x, rtol="small")
    for axes in ("ab", ((0,), (0,), (1,)), (0, "a"), 1.5, None):
        with pytest.raises((TypeError, ValueError), match="axes"):
            la.tensordot(x, x, axes=axes)


@pytest.mark.parametrize("dtype", REALS, ids=str)
def test_matrix_exp(dtype):
    for shape, size in [
        ((3, 3), 1),
        ((2, 4, 4), 5),
        ((1, 1), 2),
        ((5, 5), 1e-3),
        ((3, 3), 0),
        ((0, 2, 2), 1),
        ((0, 0), 1),
    ]:
        a = draw(shape) * size
        close(la.matrix_exp(td.tensor(a, dtype=dtype)), scipy.linalg.expm(a) if a.size else a, dtype, 100)
    a, v = draw((4, 4)), draw((4, 4), 1)
    close(
        td.jvp(la.matrix_exp, (td.tensor(a),), (td.tensor(v),))[1],
        scipy.linalg.expm_frechet(a, v)[1],
        factor=10,
    )
    close(
        td.grad(lambda x: (la.matrix_exp(x) * td.tensor(v)).sum())(td.tensor(a)),
        scipy.linalg.expm_frechet(a.T, v)[1],
        factor=10,
    )


def test_tensor_systems():
    a, b = draw((2, 3, 6)), draw((2, 3), 1)
    close(la.tensorsolve(td.tensor(a), td.tensor(b)), np.linalg.tensorsolve(a, b), factor=100)
    a = draw((2, 6, 3))
    close(
        la.tensorsolve(td.tensor(a), td.tensor(b), axes=(1,)),
        np.linalg.tensorsolve(a, b, axes=(1,)),
        factor=100,
    )
    a = draw((2, 3, 6))  # b counts in the order of its elements, whatever its shape
    close(
        la.tensorsolve(td.tensor(a), td.tensor(b), axes=(0, 2)),
        np.linalg.tensorsolve(a, b, axes=(0, 2)),
        factor=100,
    )
    a = draw((4, 6, 8, 3))
    close(la.tensorinv(td.tensor(a)), np.linalg.tensorinv(a), factor=1000)
    with pytest.raises(td.ShapeError, match="square"):
        la.tensorinv(td.ones((2, 3)), ind=1)
    with pytest.raises(td.ShapeError, match="square"):
        la.tensorsolve(td.ones((2, 3)), td.ones(2))


# --- Closed forms of derivatives


def test_gradients_of_inverses_and_solutions():
    a, x, y = draw((5, 5)) + 3 * np.eye(5), draw(5, 1), draw(5, 2)
    inverse = np.linalg.inv(a)
    f = lambda a: (td.tensor(x) * la.solve(a, td.tensor(y))).sum()
    g = lambda a: (td.tensor(x) @ la.inv(a) @ td.tensor(y)).sum()
    for h in (f, g):
        close(td.grad(h)(td.tensor(a)), -inverse.T @ np.outer(x, y) @ inverse.T, factor=10)
    v = draw((5, 5), 3)
    close(td.jvp(la.inv, (td.tensor(a),), (td.tensor(v),))[1], -inverse @ v @ inverse, factor=10)
    second = td.jvp(lambda a: td.jvp(la.inv, (a,), (td.tensor(v),))[1], (td.tensor(a),), (td.tensor(v),))[1]
    close(second, 2 * inverse @ v @ inverse @ v @ inverse, factor=10)


def test_gradients_of_determinants():
    a = draw((5, 5)) + 2 * np.eye(5)
    inverse = np.linalg.inv(a)
    close(td.grad(la.det)(td.tensor(a)), np.linalg.det(a) * inverse.T, factor=10)
    for f in (la.logdet, lambda a: la.slogdet(a).logabsdet):
        b = definite((5, 5))
        close(td.grad(f)(td.tensor(b)), np.linalg.inv(b).T, factor=10)
    h = array_of(td.hessian(lambda a: la.slogdet(a).logabsdet)(td.tensor(a)))
    want = -np.einsum("jk,li->ijkl", inverse, inverse)
    np.testing.assert_allclose(h, want, atol=1e-11)


def cofactor(a, rows, columns):
    """d det / d a[rows[0], columns[0]] d a[rows[1], columns[1]] ..: a minor and its sign."""
    n = a.shape[0]
    if len(set(rows)) < len(rows) or len(set(columns)) < len(columns):
        return 0.0
    rest = np.delete(np.delete(a, rows, 0), columns, 1)
    order = lambda taken: [*taken, *(i for i in range(n) if i not in taken)]
    sign = np.linalg.det(np.eye(n)[order(rows)]) * np.linalg.det(np.eye(n)[order(columns)])
    return round(sign) * (np.linalg.det(rest) if rest.size else 1.0)


@pytest.mark.parametrize("n", [1, 2, 3, 5, 6])
@pytest.mark.parametrize("equal", [False, True], ids=["distinct", "equal"])
def test_determinants_of_every_rank(n, equal):
    """The adjugate, to second order, in every pairing of modes; also where singular values are equal."""
    rng = np.random.default_rng(n)
    left, right = (np.linalg.qr(rng.standard_normal((n, n)))[0] for _ in range(2))
    for rank in range(n + 1):
        values = np.where(np.arange(n) < rank, 1.5 if equal else 1 + np.arange(n), 0)
        a = (left * values) @ right
        x = td.tensor(a)
        want = np.array([[cofactor(a, [i], [j]) for j in range(n)] for i in range(n)])
        size = max(values.prod(), values.max() ** (n - 1), 1)
        np.testing.assert_allclose(array_of(td.grad(la.det)(x)), want, atol=1e-13 * size * n)
        np.testing.assert_allclose(array_of(la.adjugate(x)), want.T, atol=1e-13 * size * n)
        indices = itertools.product(range(n), repeat=4)
        second = np.array([cofactor(a, [i, k], [j, m]) for i, j, k, m in indices]).reshape((n,) * 4)
        u, v = (td.tensor(rng.standard_normal((n, n))) for _ in range(2))
        forward = lambda x, u=u: td.jvp(la.det, (x,), (u,))[1]
        inner = lambda x, u=u: (td.grad(la.det)(x) * u).sum()
        for f in (forward, inner):
            by_hand = np.einsum("ijkl,ij->kl", second, array_of(u))
            np.testing.assert_allclose(array_of(td.grad(f)(x)), by_hand, atol=1e-12 * size * n)
            got = float(td.jvp(f, (x,), (v,))[1])
            assert got == pytest.approx((by_hand * array_of(v)).sum(), abs=1e-12 * size * n * n)
        assert float(forward(x)) == pytest.approx((want * array_of(u)).sum(), abs=1e-13 * size * n * n)


def test_adjugates_of_far_too_low_rank_are_flat():
    """adj(t a) is t^5 adj(a) of 6 x 6 matrices, which has no derivatives at 0 up to the fourth."""
    f, t = (lambda t: la.adjugate(t * td.tensor(draw((6, 6))))), td.tensor(0.0, dtype=td.float64)
    for _ in range(4):
        np.testing.assert_array_equal(array_of(f(t)), 0)
        f = td.jacfwd(f)


def test_third_derivatives_of_singular_determinants():
    n = 5
    for rank in range(n + 1):
        a = np.diag(np.where(np.arange(n) < rank, 2.0, 0.0))
        d = [draw((n, n), i) for i in range(3)]
        f = la.det
        for direction in d:
            f = lambda x, f=f, v=direction: td.jvp(f, (x,), (td.tensor(v),))[1]
        want = sum(
            cofactor(a, list(rows), list(columns))
            * np.prod([v[i, j] for v, i, j in zip(d, rows, columns, strict=True)])
            for rows in itertools.permutations(range(n), 3)
            for columns in itertools.permutations(range(n), 3)
        )
        assert float(f(td.tensor(a))) == pytest.approx(want, rel=1e-11, abs=1e-10)


def test_slogdet_of_singular_matrices():
    x = td.tensor([[1.0, 2], [2, 4]])
    sign, logarithm = la.slogdet(x)
    assert (float(sign), float(logarithm)) == (0, -np.inf)
    assert float(la.logdet(x)) == -np.inf
    assert np.isnan(float(la.logdet(td.tensor([[0.0, 1], [1, 0]]))))
    assert float(la.det(x)) == 0


def test_the_gradient_of_cholesky_is_symmetric():
    a = definite((4, 4))
    weights = draw((4, 4), 5)
    f = lambda x: (la.cholesky(x) * td.tensor(weights)).sum()
    g = array_of(td.grad(f)(td.tensor(a)))
    np.testing.assert_array_equal(g, g.T)
    v = draw((4, 4), 6)
    v = v + v.T
    assert (g * v).sum() == pytest.approx(float(difference(f, a, v)), rel=1e-8)
    # ln det through the factor has the inverse as gradient.
    h = lambda x: 2 * td.log(la.diagonal(la.cholesky(x))).sum()
    close(td.grad(h)(td.tensor(a)), np.linalg.inv(a), factor=10)


def test_gaussian_likelihood_is_stationary_at_the_sample_covariance():
    x = draw((40, 3))
    x = x - x.mean(0)
    covariance = x.T @ x / len(x)

    def loss(s):
        factor = la.cholesky(s)
        return 2 * td.log(la.diagonal(factor)).sum() + (
            td.tensor(x.T) * la.cholesky_solve(td.tensor(x.T), factor)
        ).sum() / len(x)

    assert np.abs(array_of(td.grad(loss)(td.tensor(covariance)))).max() < 1e-12


def test_factors_are_computed_once():
    """A gradient of solve factorises nothing again."""
    a, b = td.tensor(draw((6, 6))), td.tensor(draw((6, 2)))
    program = td.program(lambda a, b: td.grad(lambda a: (la.solve(a, b) ** 2).sum())(a), a, b)
    text = str(program)
    assert text.count("lu_factor") == 1, text


# --- What is not taken counts for nothing


@pytest.mark.parametrize(
    "name",
    [
        *("solve", "inv", "det", "logdet", "cholesky", "solve_triangular", "lu_factor"),
        *("eigh", "eigvalsh", "svd", "svdvals", "qr", "pinv", "matrix_exp"),
    ],
)
def test_matrices_that_are_not_taken(name):
    f = {
        "solve": lambda x: la.solve(x, td.ones((2, 1), dtype=x.dtype)).sum(axis=(-1, -2)),
        "inv": lambda x: la.inv(x).sum(axis=(-1, -2)),
        "det": la.det,
        "logdet": la.logdet,
        "cholesky": lambda x: la.cholesky(x).sum(axis=(-1, -2)),
        "solve_triangular": lambda x: la.solve_triangular(x, td.ones((2, 1), dtype=x.dtype)).sum(
            axis=(-1, -2)
        ),
        "lu_factor": lambda x: la.lu_factor(x).lu.sum(axis=(-1, -2)),
        "eigh": lambda x: (la.eigh(x).eigenvectors ** 2 * td.arange(2)).sum(axis=(-1, -2)),
        "eigvalsh": lambda x: (la.eigvalsh(x) * td.arange(2)).sum(axis=-1),
        "svd": lambda x: (la.svd(x).U ** 2 * td.arange(2)).sum(axis=(-1, -2)),
        "svdvals": lambda x: (la.svdvals(x) * td.arange(2)).sum(axis=-1),
        "qr": lambda x: la.qr(x).Q.sum(axis=(-1, -2)),
        "pinv": lambda x: la.pinv(x).sum(axis=(-1, -2)),
        "matrix_exp": lambda x: la.matrix_exp(x / 4).sum(axis=(-1, -2)),
    }[name]
    good = definite((2, 2))
    taken = td.tensor([True, False])
    g = lambda x: td.where(taken, f(x), 0.0).sum()
    want = td.grad(g)(td.tensor(np.array([good, good])))
    hessian = td.hessian(g)(td.tensor(np.array([good, good])))
    x = td.tensor(np.array([good, np.full((2, 2), np.nan)]))
    for gradient in (td.grad(g), td.jacfwd(g)):
        np.testing.assert_allclose(array_of(gradient(x)), array_of(want), rtol=1e-13, atol=1e-15)
    for second in (td.hessian(g), td.jacfwd(td.jacfwd(g)), td.jacrev(td.jacrev(g)), td.jacrev(td.jacfwd(g))):
        np.testing.assert_allclose(array_of(second(x)), array_of(hessian), rtol=1e-11, atol=1e-12)


WITHOUT_A_WAY_OUT = {
    "det": td.linalg.det,
    "logdet": td.linalg.logdet,
    "slogdet": lambda a: td.linalg.slogdet(a)[1],
    "adjugate": lambda a: td.sum(td.linalg.adjugate(a)),
    "inv": lambda a: td.sum(td.linalg.inv(a)),
    "solve": lambda a: td.sum(td.linalg.solve(a, td.ones(3, dtype=a.dtype))),
    "cholesky": lambda a: td.sum(td.linalg.cholesky(a)),
    "eigvalsh": lambda a: td.sum(td.linalg.eigvalsh(a) ** 2),
    "svdvals": lambda a: td.sum(td.linalg.svdvals(a)),
    "pinv": lambda a: td.sum(td.linalg.pinv(a)),
    "qr": lambda a: td.sum(td.linalg.qr(a)[1]),
    "matrix_exp": lambda a: td.sum(td.linalg.matrix_exp(a)),
    "matrix_power": lambda a: td.sum(td.linalg.matrix_power(a, -2)),
    "nuclear norm": lambda a: td.linalg.matrix_norm(a, ord="nuc"),
}


@pytest.mark.parametrize("dtype", [td.float32, td.float64, td.complex64, td.complex128], ids=str)
@pytest.mark.parametrize("n", [3, 40, 200])
def test_what_is_eliminated_by_a_nan_is_nan(n, dtype, device):
    for place in ((0, 0), (n // 2, n // 2), (n // 2, 0), (0, n // 2), (n - 1, n - 1)):
        a = np.eye(n) + 0.1
        a[place] = np.nan
        a = td.tensor(a, dtype=dtype, device=device)
        assert np.isnan(ops.to_array(td.linalg.det(a)))
        assert np.isnan(ops.to_array(td.linalg.inv(a))).all()


@pytest.mark.parametrize("name", WITHOUT_A_WAY_OUT)
def test_a_nan_stays_nan_in_every_derivative(name, device):
    f = WITHOUT_A_WAY_OUT[name]
    a = np.eye(3) + 0.1
    a[1, 1] = np.nan
    a = td.tensor(a, device=device)
    assert td.isnan(td.grad(f)(a)).all()
    assert td.isnan(td.hessian(f)(a)).all()
    assert td.isnan(td.jacfwd(td.jacfwd(f))(a)).all()
    # A matrix beside it in the batch is not concerned.
    good = td.tensor(np.eye(3) + 0.1, device=device)
    batch = td.vmap(td.grad(f))(td.stack([good, a]))
    np.testing.assert_allclose(array_of(batch[0]), array_of(td.grad(f)(good)), rtol=1e-10, atol=1e-12)


def test_logdet_of_a_negative_determinant_has_the_derivative_of_log():
    a = td.tensor([[0.0, 1.0], [2.0, 3.0]], dtype=td.float64)
    assert td.isnan(td.linalg.logdet(a))
    np.testing.assert_allclose(array_of(td.grad(la.logdet)(a)), np.linalg.inv(array_of(a)).T, rtol=1e-12)


@pytest.mark.parametrize("unit", [False, True])
@pytest.mark.parametrize("upper", [False, True])
@pytest.mark.parametrize("n", [63, 64, 67])
def test_gradients_by_triangles_of_two_halves(n, upper, unit):
    rng = np.random.default_rng(n)
    a = np.eye(n) + 0.1 * rng.standard_normal((2, n, n)) / n**0.5
    b, c, t = (
        rng.standard_normal((2, n, n + 5)),
        rng.standard_normal((2, n, n + 5)),
        rng.standard_normal(a.shape),
    )
    triangle = td.triu if upper else td.tril

    def general(x):
        if unit:
            x = triangle(x, 1 if upper else -1) + td.eye(n, dtype=x.dtype, device=x.device)
        return la.solve(triangle(x), td.tensor(b))

    mine = lambda x: la.solve_triangular(x, td.tensor(b), upper=upper, unit_diagonal=unit)
    loss = lambda f: lambda x: (td.sin(f(x)) * td.tensor(c)).sum()
    x, v = td.tensor(a), td.tensor(t)
    for of in (
        lambda f: td.grad(loss(f))(x),
        lambda f: td.vhp(loss(f), x, v),
        lambda f: td.hvp(loss(f), x, v),
    ):
        want = of(general).cpu().numpy()
        np.testing.assert_allclose(of(mine).cpu().numpy(), want, atol=1e-11 * np.abs(want).max())
    # A column that is not finite counts for nothing where nothing comes of it.
    with_nan = b.copy()
    with_nan[..., 2] = np.nan
    others = np.ones(n + 5)
    others[2] = 0
    got = td.grad(
        lambda x: (
            td.where(
                td.tensor(others) > 0,
                la.solve_triangular(x, td.tensor(with_nan), upper=upper, unit_diagonal=unit),
                0,
            )
            * td.tensor(c)
        ).sum()
    )(x)
    want = td.grad(lambda x: (general(x) * td.tensor(c * others)).sum())(x)
    np.testing.assert_allclose(
        got.cpu().numpy(), want.cpu().numpy(), atol=1e-11 * np.abs(want.cpu().numpy()).max()
    )
