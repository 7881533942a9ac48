"""td.linalg.cg and gmres against SciPy, NumPy and explicit solutions."""

import numpy as np
import pytest
import scipy.linalg
import scipy.sparse
import scipy.sparse.linalg
import tidu as td
from test_implicit import close, normal, same_in_all_modes


def definite(n, condition=10.0, seed=0, dtype=td.float64):
    q, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(n, n)))
    return td.astype(td.asarray(q @ np.diag(np.geomspace(1, condition, n)) @ q.T), dtype)


def crooked(n, seed=0):
    return normal(n, n, seed=seed) / max(3, n**0.5) + 2 * td.eye(n, dtype=td.float64)


SOLVERS = {"cg": td.linalg.cg, "gmres": td.linalg.gmres}
MATRICES = {"cg": definite, "gmres": crooked}
both = pytest.mark.parametrize("name", SOLVERS)


@both
@pytest.mark.parametrize("dtype", [td.float32, td.float64])
@pytest.mark.parametrize("n", [1, 2, 5, 30, 64])
def test_solutions(name, dtype, n):
    a, b = td.astype(MATRICES[name](n), dtype), td.astype(normal(n, seed=1), dtype)
    tol = 1e-5 if dtype is td.float32 else 1e-12
    x, info = SOLVERS[name](a, b, tol=tol)
    assert info.dtype is td.int64 and info.shape == () and info.item() == 0
    assert td.linalg.vector_norm(b - a @ x).item() <= tol * td.linalg.vector_norm(b).item()
    close(x, td.linalg.solve(a, b), 20 * tol)


@both
def test_it_stops_where_scipy_does(name):
    n = 80
    a, b = MATRICES[name](n), normal(n, seed=1)
    counts = []
    reference = getattr(scipy.sparse.linalg, name)
    if name == "cg":
        calls = 0

        def count(_):
            nonlocal calls
            calls += 1

        want, fault = reference(a.cpu().numpy(), b.cpu().numpy(), rtol=1e-6, callback=count)
        for steps in (calls - 1, calls):
            counts.append(td.linalg.cg(a, b, tol=1e-6, maxiter=steps)[1].item())
        assert counts == [calls - 1, 0]
    else:
        want, fault = reference(a.cpu().numpy(), b.cpu().numpy(), rtol=1e-6, restart=20)
    assert fault == 0
    close(SOLVERS[name](a, b, tol=1e-6)[0], td.asarray(want), 1e-4)


@both
def test_functions_of_trees_with_a_preconditioner(name):
    a = MATRICES[name](6)
    flat = lambda t: td.concat([t["x"], td.reshape(t["y"], (4,))])
    tree = lambda v: {"x": v[:2], "y": td.reshape(v[2:], (2, 2))}
    b = tree(normal(6, seed=1))
    inverse = td.linalg.inv(a) + 0.01 * td.eye(6, dtype=td.float64)
    x, info = SOLVERS[name](
        lambda t: tree(a @ flat(t)),
        b,
        tree(normal(6, seed=2)),
        tol=1e-12,
        M=lambda t: tree(inverse @ flat(t)),
    )
    close(flat(x), td.linalg.solve(a, flat(b)), 1e-10)
    assert info.item() == 0
    close(SOLVERS[name](a, flat(b), tol=1e-12, M=inverse)[0], flat(x), 1e-10)


def test_a_preconditioner_saves_steps():
    n = 200
    scale = td.asarray(np.geomspace(1, 1e6, n))
    a = scale[:, None] ** 0.5 * definite(n) * scale**0.5
    b = normal(n, seed=1)
    assert td.linalg.cg(a, b, tol=1e-8, maxiter=60)[1].item() == 60
    assert td.linalg.cg(a, b, tol=1e-8, maxiter=60, M=lambda r: r / scale)[1].item() == 0
    assert td.linalg.gmres(a, b, tol=1e-8, maxiter=3)[1].item() == 3
    assert td.linalg.gmres(a, b, tol=1e-8, maxiter=3, M=lambda r: r / scale)[1].item() == 0


@both
@pytest.mark.parametrize("condition", [1e4, 1e8, 1e12])
def test_info_is_true_of_ill_conditioned_matrices(name, condition):
    a, b = definite(20, condition), normal(20, seed=1)
    for tol in (1e-4, 1e-8, 1e-13):
        x, info = SOLVERS[name](a, b, tol=tol)
        left = np.linalg.norm(b.cpu().numpy() - a.cpu().numpy() @ x.cpu().numpy())
        rounding = 1e-15 * condition * np.linalg.norm(x.cpu().numpy())  # of the residual, in both
        if info.item() == 0:
            assert left <= tol * np.linalg.norm(b.cpu().numpy()) + rounding
        else:
            assert left > 0.99 * tol * np.linalg.norm(b.cpu().numpy()) - rounding
    hilbert = td.asarray(scipy.linalg.hilbert(8))
    x, info = SOLVERS[name](hilbert, hilbert @ td.ones(8, dtype=td.float64), tol=1e-10)
    assert info.item() == 0
    close(hilbert @ x, hilbert @ td.ones(8, dtype=td.float64), 1e-9)


@both
def test_zero_and_empty_right_hand_sides(name):
    a = MATRICES[name](4)
    for start in (None, normal(4)):
        x, info = SOLVERS[name](a, td.zeros(4, dtype=td.float64), start)
        assert info.item() == 0 and not bool(td.any(x != 0))
    x, info = SOLVERS[name](td.zeros((0, 0)), td.zeros(0))
    assert x.shape == (0,) and info.item() == 0
    x, info = SOLVERS[name](lambda x: 4 * x, td.asarray(2.0))
    assert x.item() == pytest.approx(0.5) and info.item() == 0


@both
def test_what_does_not_converge(name):
    a = MATRICES[name](40) if name == "gmres" else definite(40, 1e6)
    b = normal(40, seed=1)
    more = {"restart": 3} if name == "gmres" else {}
    x, info = SOLVERS[name](a, b, tol=1e-12, maxiter=2, **more)
    assert info.item() == 2
    if name == "cg":  # two steps are best in the space of b and A b, by the energy's norm
        space = td.stack([b, a @ b], axis=1)
        across = td.matrix_transpose(space)
        close(x, space @ td.linalg.solve(across @ a @ space, across @ b), 1e-6)
    else:
        assert td.linalg.vector_norm(b - a @ x).item() < td.linalg.vector_norm(b).item()
    x, info = SOLVERS[name](a, b, maxiter=0)
    assert info.item() > 0 and not bool(td.any(x != 0))
    gradient = td.grad(lambda b: td.sum(SOLVERS[name](a, b, tol=1e-12, maxiter=2, **more)[0]))(b)
    assert bool(td.all(td.isnan(gradient)))


@both
def test_singular_matrices(name):
    a = td.asarray(np.diag([1.0, 2.0, 0.0]))
    x, info = SOLVERS[name](a, td.asarray([1.0, 1.0, 0.0], dtype=td.float64), tol=1e-12)
    assert info.item() == 0
    close(x, td.asarray([1.0, 0.5, 0.0], dtype=td.float64), 1e-12)
    x, info = SOLVERS[name](a, td.asarray([1.0, 1.0, 1.0], dtype=td.float64), tol=1e-12)
    assert info.item() > 0 and bool(td.all(td.isfinite(x)))
    x, info = SOLVERS[name](td.zeros((3, 3)), td.ones(3))
    assert info.item() > 0 and not bool(td.any(x != 0))


@both
def test_numbers_that_are_not_finite_or_extreme(name):
    a = MATRICES[name](3)
    for wrong in (float("nan"), float("inf")):
        bad = td.asarray([1.0, wrong, 2.0], dtype=td.float64)
        for given in ((a, bad), (a, bad, bad), (a, td.ones(3, dtype=td.float64), bad), (a * wrong, a[0])):
            x, info = SOLVERS[name](*given)
            assert info.item() > 0 and bool(td.all(td.isnan(x)))
        xs, infos = td.vmap(lambda b: SOLVERS[name](a, b))(td.stack([bad, a[0]]))
        assert (infos > 0).tolist() == [True, False]
        assert td.isnan(xs).tolist() == [[True] * 3, [False] * 3]
    for scale in (1e-300, 1e300):
        b = normal(3, seed=1) * scale
        x, info = SOLVERS[name](a, b, tol=1e-12)
        assert info.item() == 0
        np.testing.assert_allclose(
            x.cpu().numpy(), np.linalg.solve(a.cpu().numpy(), b.cpu().numpy()), rtol=1e-9
        )
    small = td.astype(normal(3, seed=1), td.float32) * 1e-30
    x, info = SOLVERS[name](td.astype(a, td.float32), small)
    assert info.item() == 0
    np.testing.assert_allclose(
        x.cpu().numpy(), np.linalg.solve(a.cpu().numpy(), small.cpu().numpy()), rtol=1e-3
    )


@both
def test_dtypes(name):
    solve = SOLVERS[name]
    x, info = solve(td.asarray([[4, 1], [1, 3]]), td.asarray([1, 2]))
    assert x.dtype is td.float32
    np.testing.assert_allclose(x.cpu().numpy(), [1 / 11, 7 / 11], rtol=1e-5)
    assert solve([[4.0, 1.0], [1.0, 3.0]], [1, 2])[0].dtype is td.float32
    x, _ = solve(td.asarray([[4.0, 1], [1, 3]], dtype=td.float64), td.asarray([1.0, 2.0]))
    assert x.dtype is td.float64
    for dtype in (td.float16, td.bfloat16):
        x, info = solve(td.asarray([[4.0, 1], [1, 3]], dtype=dtype), td.asarray([1.0, 2.0], dtype=dtype))
        assert x.dtype is dtype and info.item() == 0
        np.testing.assert_allclose(td.astype(x, td.float32).cpu().numpy(), [1 / 11, 7 / 11], rtol=2e-2)


@both
@pytest.mark.parametrize("dtype", [td.float16, td.bfloat16])
def test_the_default_tolerance_is_one_that_sixteen_bits_reach(name, dtype):
    for seed in range(5):
        wide = definite(20, 4.0, seed)
        a, b = td.astype(wide, dtype), td.astype(normal(20, seed=seed), dtype)
        x, info = SOLVERS[name](a, b)
        assert x.dtype is dtype and info.item() == 0
        epsilon = 2.0**-10 if dtype is td.float16 else 2.0**-7
        left = td.linalg.vector_norm(td.astype(b, td.float64) - wide @ td.astype(x, td.float64))
        assert float(left) <= 12 * epsilon * float(td.linalg.vector_norm(td.astype(b, td.float64)))
        gradient = td.grad(lambda b, a=a: td.sum(td.astype(SOLVERS[name](a, b)[0], td.float32)))(b)
        want = td.linalg.solve(wide, td.ones(20, dtype=td.float64))
        close(td.astype(gradient, td.float64), want, 12 * epsilon * float(td.max(td.abs(want))) * 4)


@both
def test_sparse_matrices(name):
    dense = MATRICES[name](6) * td.asarray(np.eye(6) + np.eye(6, k=1) + np.eye(6, k=-1))
    b, sparse = normal(6, seed=1), scipy.sparse.csr_array(dense.cpu().numpy())
    matrix = td.sparse.CSR.from_scipy(sparse)
    want = td.linalg.solve(dense, b)
    for a in (matrix, sparse, sparse.tocoo()):
        x, info = SOLVERS[name](a, b, tol=1e-12)
        assert info.item() == 0
        close(x, want, 1e-10)
    close(SOLVERS[name](matrix, b, tol=1e-12, M=matrix)[0], want, 1e-8)
    close(SOLVERS[name](matrix, td.stack([b, 2 * b], 1), tol=1e-12)[0], td.stack([want, 2 * want], 1), 1e-10)

    loss = lambda a, b: td.sum(td.sin(SOLVERS[name](a, b, tol=1e-12)[0]))
    of_sparse, of_b = td.grad(loss, (0, 1))(matrix, b)
    of_dense, same = td.grad(lambda a, b: td.sum(td.sin(td.linalg.solve(a, b))), (0, 1))(dense, b)
    close(of_b, same, 1e-9)
    close(of_sparse.to_dense(), of_dense * (dense != 0), 1e-9)
    integers = td.sparse.CSR([4, 5], [0, 1], [0, 1, 2], (2, 2))
    close(SOLVERS[name](integers, [4, 5])[0], td.ones(2), 1e-5)
    with pytest.raises(td.ShapeError, match=r"A is \(6, 6\) and b \(5,\)"):
        SOLVERS[name](matrix, td.ones(5))


@both
def test_derivatives_are_those_of_the_solution(name):
    a, b = MATRICES[name](4), normal(4, seed=1)
    if name == "cg":
        f = lambda a, b: td.linalg.cg((a + td.matrix_transpose(a)) / 2, b, tol=1e-14)[0]
        g = lambda a, b: td.linalg.solve((a + td.matrix_transpose(a)) / 2, b)
    else:
        f = lambda a, b: td.linalg.gmres(a, b, tol=1e-14)[0]
        g = td.linalg.solve
    directions = (normal(4, 4, seed=2) * 0.1, normal(4, seed=3))
    same_in_all_modes(f, g, (a, b), directions, 1e-8)


@both
def test_lanes_end_on_their_own(name):
    a = td.stack([MATRICES[name](5, seed=i) * (1 + i) for i in range(3)])
    b = td.stack([normal(5, seed=i) * 10.0**i for i in range(3)])
    b[1] = 0.0
    found, info = td.vmap(lambda a, b: SOLVERS[name](a, b, tol=1e-6))(a, b)
    assert info.shape == (3,) and not bool(td.any(info != 0))
    for i in range(3):
        alone, _ = SOLVERS[name](a[i], b[i], tol=1e-6)
        close(found[i], alone, 1e-12)
    steps = td.vmap(
        lambda b: SOLVERS[name](a[0], b, tol=1e-14, maxiter=1, **({} if name == "cg" else {"restart": 1}))[1]
    )(b)
    assert steps.tolist() == [1, 0, 1]


@both
def test_many_right_hand_sides(name):
    a, b = MATRICES[name](5), normal(5, 3, seed=1)
    close(SOLVERS[name](a, b, tol=1e-13)[0], td.linalg.solve(a, b), 1e-10)


@both
def test_what_they_refuse(name):
    solve, a, b = SOLVERS[name], MATRICES[name](3), normal(3)
    for wrong in (a[:2], a[0], normal(4, 4)):
        with pytest.raises(td.ShapeError, match="must be"):
            solve(wrong, b)
    with pytest.raises(td.ShapeError, match="what matvec returns"):
        solve(lambda x: x[:2], b)
    with pytest.raises(td.ShapeError, match="x0"):
        solve(a, b, normal(4))
    with pytest.raises(td.ShapeError, match="M"):
        solve(a, b, M=normal(2, 2))
    for key, value in {"tol": -1.0, "atol": -1.0, "maxiter": -1}.items():
        with pytest.raises(ValueError, match=key):
            solve(a, b, **{key: value})
    with pytest.raises(TypeError, match="one tensor"):
        solve(a, (b, b))
    if name == "gmres":
        with pytest.raises(ValueError, match="restart"):
            solve(a, b, restart=0)


@both
def test_atol_ends_it_sooner(name):
    a, b = MATRICES[name](30), normal(30, seed=1)
    x, info = SOLVERS[name](a, b, tol=0.0, atol=1e-3)
    assert info.item() == 0 and 1e-12 < td.linalg.vector_norm(b - a @ x).item() <= 1e-3


def test_gmres_of_a_rotation_needs_all_its_space():
    a = td.eye(6, dtype=td.float64)[td.asarray([5, 0, 1, 2, 3, 4])]
    b = td.zeros(6, dtype=td.float64)
    b[0] = 1.0
    x, info = td.linalg.gmres(a, b, tol=1e-12)
    assert info.item() == 0
    close(a @ x, b, 1e-12)
    x, info = td.linalg.gmres(a, b, tol=1e-12, restart=3)  # which brings nothing
    assert info.item() > 0
