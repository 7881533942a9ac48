"""Linear algebra: products over named axes, norms, factors, solutions, determinants."""

from __future__ import annotations

import functools

import numpy as np
import scipy.linalg
import tidu as td

from .case import Draw, Fixed, case
from .tensors import NUMBERS

la = td.linalg
REALS = (td.float32, td.float64)
MATRICES = Draw((3, 4, 4))


def in_doubles(function):
    """NumPy's linear algebra knows no wider type."""
    return lambda *arrays: function(
        *(a.astype(np.float64) if a.dtype == np.longdouble else a for a in arrays)
    )


def largest(reference):
    """Errors are measured against the largest element of each result."""
    return lambda *arrays: np.full_like(reference(*arrays), max(np.abs(reference(*arrays)).max(initial=0), 1))


def each(function):
    """A function of matrices over a batch."""

    def of_batch(*arrays):
        shape = np.broadcast_shapes(*(a.shape[:-2] for a in arrays))
        arrays = [np.broadcast_to(a, shape + a.shape[-2:]) for a in arrays]
        return np.array([function(*(a[i] for a in arrays)) for i in np.ndindex(shape)]).reshape(
            shape + np.shape(function(*(a[(0,) * len(shape)] for a in arrays)))
        )

    return of_batch


def shifted(x):
    """A matrix that is well conditioned, and whose rows are exchanged when it is factorised."""
    n = x.shape[-1]
    identity = np.roll(np.eye(n), 1, axis=0) * 12
    return x + (td.tensor(identity, dtype=x.dtype) if isinstance(x, td.Tensor) else identity)


def definite(x):
    n = x.shape[-1]
    if isinstance(x, td.Tensor):
        return 0.5 * (x + x.mT) + 4 * n * td.eye(n, dtype=x.dtype)
    return 0.5 * (x + np.swapaxes(x, -1, -2)) + 4 * n * np.eye(n)


def lu_of(x):
    lower, upper = scipy.linalg.lu(x, permute_l=False)[1:]
    return np.tril(lower, -1) + upper


def exchanged(x, pivots):
    x = x.copy()
    for i in np.ndindex(pivots.shape[:-1]):
        for row, other in enumerate(pivots[i]):
            x[i][[row, other]] = x[i][[other, row]]
    return x


def solved_by_lu(lu, b, pivots):
    lower, upper = np.tril(lu, -1) + np.eye(lu.shape[-1]), np.triu(lu)
    return np.linalg.solve(upper, np.linalg.solve(lower, exchanged(b, pivots)))


def real_case(name, covers, function, reference, *inputs, **kwargs):
    reference = in_doubles(reference)
    kwargs.setdefault("ulps", 64)
    return case(name, covers, function, reference, *inputs, dtypes=REALS, scale=largest(reference), **kwargs)


def cofactors(x):
    n = x.shape[-1]
    minor = lambda i, j: np.linalg.det(np.delete(np.delete(x, i, 0), j, 1))
    return np.array([[(-1) ** (i + j) * minor(j, i) for j in range(n)] for i in range(n)])


def products():
    integers = {"integers": (-9, 9)}
    for subscripts, *shapes in [
        ("ij,jk->ik", (3, 4), (4, 2)),
        ("ij,jk,kl", (3, 4), (4, 2), (2, 5)),
        ("bij,bj->bi", (2, 3, 4), (2, 4)),
        ("ii->i", (4, 4)),
        ("...ii", (2, 3, 3)),
        ("...ij,...jk->...ik", (2, 1, 3, 4), (5, 4, 2)),
        ("i,j->ij", (3,), (4,)),
        ("ijk->", (2, 3, 4)),
        ("ba", (3, 4)),
        ("iij,jk->k", (3, 3, 2), (2, 4)),
    ]:
        reference = functools.partial(np.einsum, subscripts)
        yield case(
            f"einsum({subscripts})",
            "matmul",
            functools.partial(td.einsum, subscripts),
            reference,
            *(Draw(shape, **integers) for shape in shapes),
            dtypes=NUMBERS,
            differentiable=tuple(range(len(shapes))),
            ulps=16,
            scale=lambda *arrays, r=reference: r(*(np.abs(a) for a in arrays)) + 1,
            rounded_between=True,
        )
    for name, function, reference, *shapes in [
        ("kron", td.kron, np.kron, (2, 3), (3, 2)),
        ("cross", td.cross, np.cross, (4, 3), (4, 3)),
        ("tensordot", td.tensordot, np.tensordot, (2, 3, 4), (3, 4, 5)),
    ]:
        yield case(
            name,
            "multiply",
            function,
            reference,
            *(Draw(shape) for shape in shapes),
            dtypes=REALS,
            differentiable=(0, 1),
            ulps=16,
            scale=lambda *arrays, r=reference: np.full_like(r(*arrays), np.abs(r(*arrays)).max()) + 1,
        )


def norms():
    for order in (2, 1, 3, 1.5, 0.5, -1, -2, np.inf, -np.inf):
        yield case(
            f"vector_norm(ord={order})",
            "sum",
            lambda x, order=order: la.vector_norm(x, axis=-1, ord=order),
            lambda x, order=order: np.linalg.norm(x, order, axis=-1),
            Draw((3, 5), 0.25, 3.0, apart=True),
            dtypes=REALS,
            ulps=16,
        )


def spread(x):
    """Symmetric, with eigenvalues that lie apart."""
    n = x.shape[-1]
    far = np.diag(np.arange(n) * 20.0)
    if isinstance(x, td.Tensor):
        return 0.5 * (x + x.mT) + td.tensor(far, dtype=x.dtype)
    return 0.5 * (x + np.swapaxes(x, -1, -2)) + far


def long(x):
    """With singular values that lie apart."""
    m, n = x.shape[-2:]
    far = np.eye(m, n) * (10.0 + 20 * np.arange(n))
    return x + (td.tensor(far, dtype=x.dtype) if isinstance(x, td.Tensor) else far)


def projectors(vectors):
    """What does not depend on the vectors' signs."""
    return vectors[..., :, None, :] * vectors[..., None, :, :]


def polar(x, linear_algebra):
    """The orthogonal factor, from singular vectors of all columns."""
    u, _, vh = linear_algebra.svd(x)
    k = min(x.shape[-2:])
    return u[..., :k] @ vh[..., :k, :]


def orthogonal_cases():
    yield real_case(
        "eigvalsh",
        ("eigenvalues", "eigh", "spectrum", "motion", "split_vectors"),
        lambda x: la.eigvalsh(spread(x)),
        lambda x: np.linalg.eigvalsh(spread(x)),
        MATRICES,
    )
    yield real_case(
        "eigh",
        ("eigenvectors", "determined", "vanishing"),
        lambda x: projectors(la.eigh(spread(x)).eigenvectors),
        lambda x: projectors(np.linalg.eigh(spread(x))[1]),
        MATRICES,
    )
    for shape in [(2, 4, 4), (2, 5, 3), (2, 3, 5)]:
        yield real_case(
            f"svdvals{shape}",
            ("singular_values", "singular_spectrum"),
            lambda x: la.svdvals(long(x)),
            lambda x: np.linalg.svd(long(x), compute_uv=False),
            Draw(shape),
        )
        yield real_case(
            f"svd{shape}",
            "singular_vectors",
            lambda x: la.svd(long(x), full_matrices=False).U @ (la.svd(long(x), full_matrices=False).Vh),
            lambda x: (lambda u, s, vh: u @ vh)(*np.linalg.svd(long(x), full_matrices=False)),
            Draw(shape),
            ulps=256,
        )
        yield real_case(
            f"full svd{shape}",
            "singular_vectors" if shape[-1] == shape[-2] else ("singular_vectors", "null_vectors"),
            lambda x: polar(long(x), la),
            lambda x: polar(long(x), np.linalg),
            Draw(shape),
            ulps=256,
        )
        yield real_case(
            f"qr{shape}",
            "qr",
            lambda x: (lambda q, r: q @ (r + r * r))(*la.qr(long(x))),
            lambda x: (lambda q, r: q @ (r + r * r))(*map(np.array, np.linalg.qr(long(x)))),
            Draw(shape),
            ulps=256,
            whole_lanes=True,
        )
        yield real_case(
            f"pinv{shape}",
            "pinv",
            lambda x: la.pinv(long(x)),
            lambda x: np.linalg.pinv(long(x)),
            Draw(shape),
            ulps=256,
        )
    yield real_case(
        "matrix_exp", "matrix_exp", la.matrix_exp, each(scipy.linalg.expm), Draw((2, 3, 3), -1, 1), ulps=256
    )


def cases():
    yield from products()
    yield from norms()
    yield real_case(
        "cholesky",
        "cholesky",
        lambda x: la.cholesky(definite(x)),
        lambda x: np.linalg.cholesky(definite(x)),
        MATRICES,
        whole_lanes=True,
    )
    yield real_case(
        "cholesky(upper)",
        "cholesky",
        lambda x: la.cholesky(definite(x), upper=True),
        lambda x: np.swapaxes(np.linalg.cholesky(definite(x)), -1, -2),
        MATRICES,
        whole_lanes=True,
    )
    for upper in (False, True):
        for unit in (False, True):

            def solve(a, b, upper=upper, unit=unit):
                return scipy.linalg.solve_triangular(a, b, lower=not upper, unit_diagonal=unit)

            yield real_case(
                f"solve_triangular(upper={upper}, unit_diagonal={unit})",
                "solve_triangular",
                functools.partial(la.solve_triangular, upper=upper, unit_diagonal=unit),
                each(solve),
                Draw((3, 4, 4), 0.5, 1.5),
                Draw((3, 4, 2)),
                differentiable=(0, 1),
                whole_lanes=True,
            )
    yield real_case(
        "lu_factor",
        "lu_factor",
        lambda x: la.lu_factor(shifted(x)).lu,
        each(lambda x: lu_of(shifted(x))),
        MATRICES,
        whole_lanes=True,
    )
    yield real_case(
        "lu_solve",
        "exchange_rows",
        lambda lu, b, pivots: la.lu_solve(shifted(lu) + 8 * td.eye(4, dtype=lu.dtype), pivots, b),
        lambda lu, b, pivots: solved_by_lu(shifted(lu) + 8 * np.eye(4), b, pivots),
        Draw((2, 4, 4), -1, 1),
        Draw((2, 4, 3)),
        Fixed(((3, 1, 2, 3), (0, 3, 3, 3))),
        differentiable=(0, 1),
        ulps=512,
        whole_lanes=True,
    )
    yield real_case(
        "solve",
        "solve",
        lambda a, b: la.solve(shifted(a), b),
        lambda a, b: np.linalg.solve(shifted(a), b),
        MATRICES,
        Draw((3, 4, 2)),
        differentiable=(0, 1),
    )
    yield real_case(
        "inv", "solve", lambda a: la.inv(shifted(a)), lambda a: np.linalg.inv(shifted(a)), MATRICES
    )
    for n in (1, 2, 4, 6):
        yield real_case(f"det({n})", "det", la.det, np.linalg.det, Draw((3, n, n)), ulps=256)
    yield real_case(
        "slogdet",
        "slogdet",
        lambda x: la.slogdet(shifted(x)).logabsdet,
        lambda x: np.linalg.slogdet(shifted(x))[1],
        MATRICES,
    )
    yield real_case(
        "adjugate", "svd", la.adjugate, each(cofactors), Draw((3, 5, 5)), ulps=512, whole_lanes=True
    )
    yield from orthogonal_cases()
