"""Sparse derivatives: patterns against what is known of a function, matrices against dense ones and SciPy."""

import pickle

import numpy as np
import pytest
import samplers as ops
import scipy.sparse
import tidu as td

RANDOM = np.random.default_rng(7)


def points(*shape, dtype=td.float64):
    return td.asarray(RANDOM.uniform(0.5, 1.5, shape), dtype=dtype)


def host(x):
    return x.cpu().numpy()


MATRIX, SQUARE = points(3, 2), points(2, 2) + 2 * td.eye(2, dtype=td.float64)


# --- Functions whose patterns are known


def banded(width):
    def f(x):
        terms = [td.sin(x[k : x.shape[0] - width + 1 + k]) * (k + 1) for k in range(width)]
        total = terms[0]
        for term in terms[1:]:
            total = total * term
        return total

    return f


def broyden(x):
    before, after = td.pad(x[:-1], [(1, 0)]), td.pad(x[1:], [(0, 1)])
    return (3 - 2 * x) * x - before - 2 * after + 1


def rosenbrock(x):
    return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()


def arrow(x):
    return (x[0] * x[1:] ** 2).sum() + td.exp(x[0])


def roll(x, by):
    return td.concat([x[-by:], x[:-by]])


def laplacian_of(u):
    return roll(u, 1) + roll(u, -1) + roll(u.T, 1).T + roll(u.T, -1).T - 4 * u


def brusselator(state):
    u, v = state[0], state[1]
    return td.stack(
        [1 + u**2 * v - 4.4 * u + 0.1 * laplacian_of(u), 3.4 * u - u**2 * v + 0.1 * laplacian_of(v)], axis=0
    )


def brusselator_pattern(n):
    pattern = np.zeros((2, n, n, 2, n, n), dtype=bool)
    for i in range(n):
        for j in range(n):
            for a in range(2):
                pattern[a, i, j, 1 - a, i, j] = True
                for p, q in ((i, j), (i + 1, j), (i - 1, j), (i, j + 1), (i, j - 1)):
                    pattern[a, i, j, a, p % n, q % n] = True
    return pattern.reshape(2 * n * n, 2 * n * n)


def blocks(x):
    return td.matmul(x.reshape(4, 3, 1), td.sin(x).reshape(4, 1, 3)).sum(axis=2).reshape(-1)


def separable(x):
    return (td.exp(x) * x**3).sum()


def band_pattern(rows, columns, low, high):
    i, j = np.arange(rows)[:, None], np.arange(columns)
    return (j - i >= low) & (j - i <= high)


def arrow_pattern(n):
    pattern = np.eye(n, dtype=bool)
    pattern[0] = pattern[:, 0] = True
    return pattern


@td.custom_vjp
def straight_through(x):
    return td.round(x)


straight_through.defvjp(lambda x: (td.round(x), None), lambda _, cotangent: (cotangent,))


@td.custom_vjp
def reversed_backward(x):
    return x * 2


reversed_backward.defvjp(lambda x: (x * 2, x), lambda x, cotangent: (cotangent[::-1] * x,))


JACOBIANS = {
    "banded": (banded(3), (12,), band_pattern(10, 12, 0, 2), 3),
    "tridiagonal": (broyden, (9,), band_pattern(9, 9, -1, 1), 3),
    "elementwise": (lambda x: td.exp(x) * x, (2, 3), np.eye(6), 1),
    "blocks": (blocks, (12,), np.kron(np.eye(4), np.ones((3, 3))), 3),
    "gather": (lambda x: x[td.tensor([3, 1, 1])] ** 2, (4,), np.eye(4)[[3, 1, 1]], 1),
    "transpose": (lambda x: (x.T * 2)[::-1], (2, 2), np.eye(4)[[1, 3, 0, 2]], 1),
    "row sums": (lambda x: td.sin(x).sum(axis=1), (3, 4), np.kron(np.eye(3), np.ones((1, 4))), 1),
    "cumulative": (lambda x: td.cumulative_sum(x * x), (4,), np.tri(4), 4),
    "products": (lambda x: td.cumulative_prod(x), (4,), np.tri(4), 4),
    "softmax of rows": (lambda x: td.softmax(x, axis=1), (2, 3), np.kron(np.eye(2), np.ones((3, 3))), 3),
    "layer norm": (
        lambda x: td.nn.functional.layer_norm(x, (3,)),
        (2, 3),
        np.kron(np.eye(2), np.ones((3, 3))),
        3,
    ),
    "random mask": (lambda x: x * (td.random.uniform(td.random.key(0), (4,)) > 0.5), (4,), np.eye(4), 1),
    "printed": (lambda x: (td.debug.print("{}", td.ones(())), x * 2)[1], (2,), np.eye(2), 1),
    "straight through": (lambda x: straight_through(x)[::-1], (3,), np.eye(3)[::-1], 1),
    "rule of a user": (lambda x: reversed_backward(x), (3,), np.eye(3)[::-1], 1),
    "shifts of a loop": (
        lambda x: td.while_loop(
            lambda c: c[0] < 2,
            lambda c: (c[0] + 1, td.pad(c[1][:-1], [(1, 0)])),
            (td.tensor(0), x),
        )[1],
        (3,),
        np.tri(3),
        3,
    ),
    "batched exponential": (td.linalg.matrix_exp, (2, 2, 2), np.kron(np.eye(2), np.ones((4, 4))), 4),
    "batched eigenvalues": (
        lambda x: td.linalg.eigvalsh(x + x.mT),
        (2, 2, 2),
        np.kron(np.eye(2), np.ones((2, 4))),
        2,
    ),
    "batched triangle": (lambda x: td.linalg.qr(x)[1], (2, 2, 2), np.kron(np.eye(2), np.ones((4, 4))), 4),
    "vmap": (td.vmap(lambda row: td.cumulative_sum(row)), (2, 2), np.kron(np.eye(2), np.tri(2)), 2),
    "grad": (
        td.grad(lambda x: (x[1:] * x[:-1] ** 2).sum()),
        (5,),
        band_pattern(5, 5, -1, 1) & (np.arange(25).reshape(5, 5) != 24),
        3,
    ),
    "matrix times": (lambda x: td.matmul(x, MATRIX), (4, 3), np.kron(np.eye(4), np.ones((2, 3))), 2),
    "constant matrix": (
        lambda x: td.matmul(td.asarray(np.diag([1.0, 2.0, 0.0]) + np.eye(3, k=1)), x),
        (3,),
        np.array([[1, 1, 0], [0, 1, 1], [0, 0, 0]]),
        2,
    ),
    "mask": (lambda x: x * td.tensor([1.0, 0.0, 1.0]), (3,), np.diag([1, 0, 1]), 1),
    "where known": (
        lambda x: td.where(td.tensor([True, False, True]), x, x[::-1] ** 2),
        (3,),
        np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1]]),
        1,
    ),
    "where of values": (lambda x: td.where(x > 1, x, x[::-1]), (2,), np.ones((2, 2)), 2),
    "nothing": (lambda x: td.round(x) + td.ones((3,)), (3,), np.zeros((3, 3)), 0),
    "one row": (
        lambda x: td.concat([x.sum().reshape(1), x[1:]]),
        (8,),
        np.vstack([np.ones(8), np.eye(8)[1:]]),
        2,
    ),
    "written": (
        lambda x: _written(x),
        (4,),
        np.array([[0, 0, 0, 1], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]),
        1,
    ),
    "0-d": (lambda x: td.sin(x), (), np.ones((1, 1)), 1),
    "no elements": (lambda x: x * 2, (0,), np.zeros((0, 0)), 0),
    "scan": (
        lambda x: td.scan(lambda carry, each: (carry * each, carry * each), td.ones((), dtype=x.dtype), x)[1],
        (4,),
        np.tri(4),
        4,
    ),
    "cond": (
        lambda x: td.cond(x[0] > 9, lambda y: y * y, lambda y: y[::-1] * 1, x),
        (3,),
        np.eye(3) + np.eye(3)[::-1] > 0,
        2,
    ),
    "while": (
        lambda x: td.while_loop(lambda c: c[0] < 3, lambda c: (c[0] + 1, td.sin(c[1])), (td.tensor(0), x))[1],
        (3,),
        np.eye(3),
        1,
    ),
    "checkpoint": (lambda x: td.checkpoint(lambda y: td.sin(y) * y)(x), (3,), np.eye(3), 1),
    "solve": (
        lambda x: td.linalg.solve(SQUARE, x),
        (2, 3),
        np.kron(np.ones((2, 2)), np.eye(3)),
        2,
    ),
    "batched inverse": (
        lambda x: td.linalg.inv(x + 3 * td.eye(2, dtype=x.dtype)),
        (3, 2, 2),
        np.kron(np.eye(3), np.ones((4, 4))),
        4,
    ),
}


def _written(x):
    y = x * 1
    y[0] = x[3] ** 2
    return y


HESSIANS = {
    "tridiagonal": (rosenbrock, (10,), band_pattern(10, 10, -1, 1), 3),
    "arrow": (arrow, (12,), arrow_pattern(12), 2),
    "separable": (separable, (7,), np.eye(7), 1),
    "linear": (lambda x: (3 * x).sum(), (5,), np.zeros((5, 5)), 0),
    "pairs": (lambda x: (x[:3] * x[3:]).sum(), (6,), np.kron(np.eye(2)[::-1], np.eye(3)), 1),
    "quotient": (lambda x: x[0] / x[1], (2,), np.array([[0, 1], [1, 1]]), 2),
    "blocks": (
        lambda x: (x.reshape(3, 2).sum(axis=1) ** 3).sum(),
        (6,),
        np.kron(np.eye(3), np.ones((2, 2))),
        2,
    ),
    "maximum": (lambda x: td.max(x) + td.abs(x).sum(), (4,), np.zeros((4, 4)), 0),
    "constant matrix": (
        lambda x: td.matmul(x, td.matmul(td.asarray(np.diag([1.0, 2, 3]) + np.eye(3, k=1)), x)),
        (3,),
        band_pattern(3, 3, -1, 1),
        2,
    ),
}


@pytest.mark.parametrize("name", JACOBIANS)
def test_jacobian_has_the_known_pattern_and_the_dense_values(name):
    f, shape, pattern, colors = JACOBIANS[name]
    x = points(*shape)
    found = td.sparsity(f, x)
    np.testing.assert_array_equal(found.to_scipy().toarray(), np.asarray(pattern, dtype=bool))
    assert found.num_colors == colors
    dense = host(td.jacobian(f, mode="fwd")(x)).reshape(found.shape)
    for mode in ("auto", "fwd") if name in ("while", "shifts of a loop") else ("auto", "fwd", "rev"):
        sparse = td.jacobian(f, sparse=True, mode=mode)(x)
        assert isinstance(sparse, scipy.sparse.csr_array)
        assert sparse.has_sorted_indices and sparse.nnz == np.count_nonzero(pattern)
        np.testing.assert_allclose(sparse.toarray(), dense, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", HESSIANS)
def test_hessian_has_the_known_pattern_and_the_dense_values(name):
    f, shape, pattern, colors = HESSIANS[name]
    x = points(*shape)
    found = td.hessian_sparsity(f, x)
    np.testing.assert_array_equal(found.to_scipy().toarray(), np.asarray(pattern, dtype=bool))
    assert found.num_colors <= colors
    sparse = td.hessian(f, sparse=True)(x).toarray()
    np.testing.assert_allclose(sparse, td.hessian(f)(x).cpu().numpy(), rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(sparse, sparse.T)


def test_brusselator():
    state = points(2, 6, 6)
    found = td.sparsity(brusselator, state)
    np.testing.assert_array_equal(found.to_scipy().toarray(), brusselator_pattern(6))
    assert 6 <= found.num_colors <= 12
    dense = td.jacobian(brusselator)(state).cpu().numpy().reshape(72, 72)
    np.testing.assert_allclose(td.jacobian(brusselator, sparse=found)(state).toarray(), dense, atol=1e-14)


def test_lagrangian_over_a_tuple_of_arguments():
    """H of (x, multipliers): [[f'' + sum l c'', c'^T], [c', 0]]."""

    def lagrangian(point):
        x, multipliers = point
        return (x**4).sum() + (multipliers * (x[1:] * x[:-1] - 1)).sum()

    point = points(6), points(5)
    found = td.hessian_sparsity(lagrangian, point)
    expected = np.zeros((11, 11), dtype=bool)
    expected[:6, :6] = band_pattern(6, 6, -1, 1)
    expected[6:, :6] = band_pattern(5, 6, 0, 1)
    expected[:6, 6:] = expected[6:, :6].T
    np.testing.assert_array_equal(found.to_scipy().toarray(), expected)
    (xx, xl), (lx, ll) = td.hessian(lagrangian)(point)
    dense = np.block([[xx.cpu().numpy(), xl.cpu().numpy()], [lx.cpu().numpy(), ll.cpu().numpy()]])
    np.testing.assert_allclose(td.hessian(lagrangian, sparse=found)(point).toarray(), dense, atol=1e-14)


def test_network_of_examples():
    """The Jacobian of each example's outputs by the inputs of all: blocks."""
    weights, more = points(4, 5), points(5, 3)

    def network(x):
        return td.matmul(td.tanh(td.matmul(x, weights)), more)

    x = points(6, 4)
    found = td.sparsity(network, x)
    np.testing.assert_array_equal(found.to_scipy().toarray(), np.kron(np.eye(6), np.ones((3, 4))) > 0)
    assert found.num_colors == 3 and found.mode == "rev"
    dense = td.jacobian(network)(x).cpu().numpy().reshape(18, 24)
    np.testing.assert_allclose(td.jacobian(network, sparse=found)(x).toarray(), dense, atol=1e-14)


# --- Any function: what is not 0 is in the pattern


def random_function(seed):
    random = np.random.default_rng(seed)
    index = td.tensor(random.integers(0, 12, 12))
    matrix = td.asarray(random.uniform(-1, 1, (3, 3)) * (random.uniform(size=(3, 3)) < 0.6))
    mask = td.tensor(random.uniform(size=12) < 0.5)
    steps = [
        lambda x, y: td.sin(x) * y,
        lambda x, y: x + 0.5 * y[::-1],
        lambda x, y: x / (2 + y * y),
        lambda x, y: x[index],
        lambda x, y: roll(x, 2) * 0.7,
        lambda x, y: td.where(mask, x, y),
        lambda x, y: td.where(x > y, x, td.tanh(y)),
        lambda x, y: td.matmul(x.reshape(4, 3), matrix).reshape(-1),
        lambda x, y: td.matmul(x.reshape(4, 3), y.reshape(3, 4)).T.reshape(-1)[:12] * 0.3,
        lambda x, y: td.concat([x[3:], y[:3]]),
        lambda x, y: td.cumulative_sum(x.reshape(3, 4), axis=1).reshape(-1) * 0.3,
        lambda x, y: (x.reshape(3, 4) - y.reshape(3, 4).mean(axis=1, keepdims=True)).reshape(-1),
        lambda x, y: td.softmax(x.reshape(4, 3), axis=0).reshape(-1),
        lambda x, y: td.scatter_add(x, index, y, 0),
        lambda x, y: td.scatter_set(x, index, y, 0),
        lambda x, y: td.maximum(x, y),
        lambda x, y: x.reshape(2, 6).T.reshape(-1),
        lambda x, y: td.stop_gradient(x) * y,
        lambda x, y: td.logsumexp(x.reshape(6, 2), axis=1)[td.tensor([0, 1, 2, 3, 4, 5] * 2)],
        lambda x, y: td.pad(x[2:10], [(1, 3)]),
        lambda x, y: td.einsum("ij,kj->ik", x.reshape(3, 4), y.reshape(4, 3).T.reshape(3, 4)).reshape(-1)[
            index % 9
        ],
        lambda x, y: td.max(x.reshape(3, 4), axis=0)[index % 4],
        lambda x, y: td.checkpoint(lambda z: z * z)(x) - y,
    ]
    chosen = [(steps[k], *random.integers(0, 3, 2)) for k in random.integers(0, len(steps), 5)]

    def f(x):
        values = [x, x * x, x]
        for number, (step, a, b) in enumerate(chosen):
            values[number % 3] = step(values[a], values[b])
        return values[len(chosen) % 3 - 1]

    return f


@pytest.mark.parametrize("seed", range(60))
def test_matrices_of_random_functions_are_the_dense_ones(seed):
    f, x = random_function(seed), points(12)
    pattern = td.sparsity(f, x)
    dense = td.jacobian(f)(x).cpu().numpy()
    assert not np.any((dense != 0) & ~pattern.to_scipy().toarray())
    for mode in ("fwd", "rev"):
        np.testing.assert_allclose(td.jacobian(f, sparse=True, mode=mode)(x).toarray(), dense, atol=1e-10)

    def scalar(x):
        return td.sin(f(x)).sum()

    dense = td.hessian(scalar)(x).cpu().numpy()
    assert not np.any((dense != 0) & ~td.hessian_sparsity(scalar, x).to_scipy().toarray())
    np.testing.assert_allclose(td.hessian(scalar, sparse=True)(x).toarray(), dense, atol=1e-9)


# --- How it is used


def counting():
    """The identity, with a rule that looks at the tangents and writes down the largest element of each."""
    calls = []

    @td.custom_jvp
    def same(x):
        return x * 1

    @same.defjvp
    def rule(primals, tangents):
        largest = td.max(tangents[0]).item()
        calls.append(largest)
        return primals[0] * 1, tangents[0] * 1

    return same, calls


def test_a_band_takes_as_many_products_as_it_is_wide():
    """Counted: a function that looks at values is pushed one colour after the other."""
    for n, width in ((50, 2), (50, 4), (1000, 5)):
        found = td.sparsity(banded(width), points(n))
        assert found.num_colors == width and found.mode == "fwd"
        counted, calls = counting()
        f = banded(width)
        td.jacobian(lambda x, f=f, same=counted: f(same(x)), sparse=found)(points(n))
        assert calls == [1.0] * width
    assert td.hessian_sparsity(arrow, points(1000)).num_colors == 2


def grid(x):
    y = x.reshape(8, 8)
    return td.sum(td.sin(y[1:] * y[:-1])) + td.sum(td.exp(y[:, 1:] - y[:, :-1]))


def star_of(count):
    """Arrows of their own, of four elements each."""
    return lambda x: td.sum(td.sin(x.reshape(count, 4)[:, :1] * x.reshape(count, 4)[:, 1:]))


def wide(x):
    return sum(td.sum(td.sin(x[k:] * x[: x.shape[0] - k])) for k in (1, 2, 3))


@pytest.mark.parametrize(
    ("f", "n", "star", "acyclic"),
    [
        (rosenbrock, 200, 3, 2),  # tridiagonal
        (wide, 100, 7, 4),  # three diagonals on each side
        (grid, 64, 5, 4),
        (arrow, 50, 2, 2),
        (star_of(6), 24, 2, 2),
        (separable, 9, 1, 1),
    ],
)
def test_hessians_by_substitution(f, n, star, acyclic):
    x = points(n)
    dense = td.hessian(f)(x).cpu().numpy()
    scale = np.abs(dense).max()
    for mode, colors in (("star", star), ("acyclic", acyclic)):
        found = td.hessian_sparsity(f, x, mode=mode)
        assert found.num_colors == colors
        assert (found.mode == "acyclic") == (mode == "acyclic" and acyclic < star)
        for pattern in (found, pickle.loads(pickle.dumps(found))):
            got = td.hessian(f, sparse=pattern)(x).toarray()
            np.testing.assert_allclose(got, dense, atol=1e-13 * scale)
            np.testing.assert_array_equal(got, got.T)
        narrow = td.sparse.hessian(f, found, chunk_size=1)(x).to_dense()
        np.testing.assert_array_equal(narrow.cpu().numpy(), got)


def test_substitution_is_taken_where_few_elements_are_subtracted():
    short, long = points(12), points(200)
    assert td.hessian_sparsity(rosenbrock, short).mode == "acyclic"
    assert td.hessian_sparsity(rosenbrock, short).num_colors == 2
    assert td.hessian_sparsity(rosenbrock, long).mode == "symmetric"
    mine = band_pattern(200, 200, -1, 1)
    assert td.sparse.Sparsity(mine, mode="acyclic").num_colors == 2
    assert td.sparse.Sparsity(mine, mode="star").num_colors == 3
    with pytest.raises(ValueError, match="acyclic"):
        td.hessian_sparsity(rosenbrock, short, mode="fwd")


@pytest.mark.parametrize("mode", ["star", "acyclic"])
def test_hessians_by_substitution_nest_in_transforms(mode):
    x = points(12)
    pattern = td.hessian_sparsity(rosenbrock, x, mode=mode)
    sparse = lambda x: td.sum(td.sin(td.sparse.hessian(rosenbrock, pattern)(x).data))
    dense = lambda x: td.sum(td.sin(td.hessian(rosenbrock)(x)))
    for transform in (
        lambda f: td.grad(f)(x),
        lambda f: td.jvp(f, (x,), (x,))[1],
        lambda f: td.vmap(f)(td.stack([x, x / 2])),
        lambda f: td.program(f, x)(x / 2),
    ):
        got, want = (transform(f).cpu().numpy() for f in (sparse, dense))
        np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-9)


def test_pattern_is_data():
    x = points(20)
    found = td.sparsity(broyden, x)
    assert repr(found) == "Sparsity(20 x 20, 58 nonzeros, 3 colors, mode='fwd')"
    again = pickle.loads(pickle.dumps(found))
    assert again == found and again.num_colors == 3
    dense = td.jacobian(broyden)(x).cpu().numpy()
    mine = band_pattern(20, 20, -1, 1)
    for pattern in (
        found,
        again,
        mine,
        td.tensor(mine),
        mine.tolist(),
        scipy.sparse.csr_array(mine),
        scipy.sparse.coo_matrix(mine),
    ):
        sparse = td.jacobian(broyden, sparse=pattern)(x)
        assert sparse.nnz == 58
        np.testing.assert_allclose(sparse.toarray(), dense, atol=1e-14)
    hessian = td.hessian(rosenbrock)(x).cpu().numpy()
    for pattern in (td.hessian_sparsity(rosenbrock, x), mine, scipy.sparse.csc_matrix(mine)):
        sparse = td.hessian(rosenbrock, sparse=pattern)(x)
        np.testing.assert_allclose(sparse.toarray(), hessian, atol=1e-11)
    assert found.colors.shape == (20,) and set(found.colors.tolist()) == {0, 1, 2}
    assert td.sparsity(broyden, x, mode="rev").mode == "rev"
    assert (found.to_dense().numpy() == mine).all()


def test_arguments_beside_the_differentiated_one():
    """Floating-point ones count as unknown, so that a pattern holds for others; integers do not."""

    def f(x, scale, index, *, power):
        return scale * x[index] ** power

    x, index = points(4), td.tensor([2, 0])
    found = td.sparsity(f, x, td.tensor([0.0, 0.0], dtype=td.float64), index, power=2)
    assert found.indices.tolist() == [2, 0]
    scale = td.tensor([3.0, 4.0], dtype=td.float64)
    np.testing.assert_allclose(
        td.jacobian(f, sparse=found)(x, scale, index, power=2).toarray(),
        td.jacobian(f)(x, scale, index, power=2).cpu().numpy(),
    )
    by_scale = td.jacobian(f, argnums=1, sparse=True)(x, scale, index, power=2)
    assert by_scale.nnz == 2
    both, aux = td.jacobian(lambda a, b: ((a * b, a[:1]), "aux"), argnums=(1, 0), sparse=True, has_aux=True)(
        points(2), points(2)
    )
    assert aux == "aux" and both.shape == (3, 4) and both.nnz == 5


@pytest.mark.parametrize("dtype", [td.float32, td.float64, td.float16, td.bfloat16])
def test_dtypes(dtype):
    x = points(5, dtype=dtype)
    matrix = td.sparse.jacobian(broyden)(x)
    assert matrix.dtype == dtype
    wide = td.float32 if dtype in (td.float16, td.bfloat16) else dtype
    assert matrix.to_scipy().dtype == td.ones((1,), dtype=wide).cpu().numpy().dtype
    dense = td.jacobian(broyden, mode="fwd")(x)
    np.testing.assert_array_equal(matrix.to_dense().tolist(), dense.tolist())


@pytest.mark.parametrize("chunk_size", [1, 2, None])
def test_chunks_change_nothing(chunk_size):
    x = points(9)
    np.testing.assert_array_equal(
        td.jacobian(broyden, sparse=True, chunk_size=chunk_size)(x).toarray(),
        td.jacobian(broyden, mode="fwd")(x).cpu().numpy(),
    )


def test_patterns_hold_where_a_closed_over_zero_is_differentiated():
    """A zero of what is differentiated has a derivative, though a product with it has none."""
    x = points(3)

    def by_weights(weights):
        return td.sparse.jacobian(lambda x: weights * x)(x).data.sum()

    np.testing.assert_array_equal(
        td.grad(by_weights)(td.zeros((3,), dtype=td.float64)).cpu().numpy(), np.ones(3)
    )
    weights = td.zeros((3,), dtype=td.float64, requires_grad=True)
    td.sparse.jacobian(lambda x: weights * x)(x).data.sum().backward()
    np.testing.assert_array_equal(weights.grad.cpu().numpy(), np.ones(3))


def test_sparse_matrices_nest_in_transforms():
    x, v = points(6), points(6)

    def product(x):
        return (td.sparse.jacobian(broyden)(x) @ v).sum()

    def dense(x):
        return (td.jacobian(broyden)(x) @ v).sum()

    np.testing.assert_allclose(td.grad(product)(x).cpu().numpy(), td.grad(dense)(x).cpu().numpy(), atol=1e-13)
    np.testing.assert_allclose(
        td.hessian(product)(x).cpu().numpy(), td.hessian(dense)(x).cpu().numpy(), atol=1e-13
    )
    xs = points(4, 6)
    np.testing.assert_allclose(
        td.vmap(lambda x: td.sparse.hessian(rosenbrock)(x) @ v)(xs).cpu().numpy(),
        td.vmap(lambda x: td.hessian(rosenbrock)(x) @ v)(xs).cpu().numpy(),
        rtol=1e-12,
    )
    found = td.sparsity(broyden, x)
    recorded = td.program(lambda x: td.sparse.jacobian(broyden, found)(x).data, x)
    np.testing.assert_allclose(recorded(v).cpu().numpy(), td.sparse.jacobian(broyden)(v).data.cpu().numpy())


@pytest.mark.parametrize("columns", [None, 3])
def test_products_with_dense(columns):
    matrix = scipy.sparse.random_array((5, 4), density=0.5, rng=np.random.default_rng(3), format="csr")
    a = td.sparse.CSR.from_scipy(matrix)
    x, y = (RANDOM.uniform(-1, 1, (n,) if columns is None else (n, columns)) for n in (4, 5))
    np.testing.assert_allclose((a @ td.asarray(x)).cpu().numpy(), matrix @ x, atol=1e-14)
    np.testing.assert_allclose((a.T @ td.asarray(y)).cpu().numpy(), matrix.T @ y, atol=1e-14)
    np.testing.assert_allclose((td.asarray(y.T) @ a).cpu().numpy(), y.T @ matrix, atol=1e-14)
    np.testing.assert_allclose((y.T @ a).cpu().numpy(), y.T @ matrix, atol=1e-14)
    np.testing.assert_array_equal(a.to_dense().cpu().numpy(), matrix.toarray())
    np.testing.assert_array_equal(a.T.to_scipy().toarray(), matrix.toarray().T)

    def product(data, x):
        return td.sparse.CSR(data, a.indices, a.indptr, a.shape) @ x

    td.check_grads(product, (a.data, td.asarray(x)), order=2)
    td.check_grads(
        lambda data, y: td.sparse.CSR(data, a.indices, a.indptr, a.shape).T @ y,
        (a.data, td.asarray(y)),
        order=2,
    )
    data = points(3, a.nnz)
    many = td.vmap(lambda d: td.sparse.CSR(d, a.indices, a.indptr, a.shape) @ td.asarray(x))(data)
    for k in range(3):
        one = scipy.sparse.csr_array(
            (data[k].cpu().numpy(), matrix.indices, matrix.indptr), shape=matrix.shape
        )
        np.testing.assert_allclose(many[k].cpu().numpy(), one @ x, atol=1e-14)


def test_matrices_without_elements():
    for shape in ((0, 3), (3, 0), (2, 2)):
        empty = td.sparse.CSR.from_scipy(scipy.sparse.csr_array(shape))
        assert (empty @ td.ones((shape[1],))).shape == (shape[0],)
        assert (empty.T @ td.ones((shape[0], 2))).shape == (shape[1], 2)
        assert empty.to_dense().shape == shape and empty.nnz == 0


def test_rules_that_look_at_values_with_a_pattern_of_the_users():
    @td.custom_vjp
    def cube(x):
        return x**3

    def backward(x, cotangent):
        return (cotangent * 3 * x * x if cotangent.sum() > -9 else cotangent,)

    cube.defvjp(lambda x: (x**3, x), backward)

    def f(x):
        return (cube(x)[1:] * x[:-1]).sum()

    x = points(6)
    sparse = td.hessian(f, sparse=band_pattern(6, 6, -1, 1))(x)
    np.testing.assert_allclose(sparse.toarray(), host(td.hessian(f)(x)), atol=1e-13)
    sparse = td.jacobian(cube, sparse=np.eye(6))(x)
    np.testing.assert_allclose(sparse.toarray(), host(td.jacobian(cube)(x)), atol=1e-13)


def test_errors_say_what_to_do():
    x = points(3)

    def looks(x):
        return x * 2 if x.sum() > 0 else x

    with pytest.raises(td.TraceError, match="give the pattern yourself"):
        td.jacobian(looks, sparse=True)(x)
    np.testing.assert_array_equal(td.jacobian(looks, sparse=np.eye(3))(x).toarray(), 2 * np.eye(3))
    with pytest.raises(td.ShapeError, match="the pattern has 4 columns but the arguments have 3"):
        td.jacobian(broyden, sparse=np.eye(4))(x)
    with pytest.raises(td.ShapeError, match="the pattern has 4 rows"):
        td.jacobian(broyden, sparse=np.ones((4, 3)))(x)
    with pytest.raises(ValueError, match="symmetric"):
        td.hessian(rosenbrock, sparse=np.tri(3))(x)
    with pytest.raises(td.ShapeError, match="two axes"):
        td.jacobian(broyden, sparse=np.ones(3))
    with pytest.raises(td.DTypeError, match="floating-point"):
        td.jacobian(broyden, sparse=True)(td.tensor([1, 2, 3]))
    with pytest.raises(td.DTypeError, match="floating-point"):
        td.jacobian(lambda x: td.argmax(x), sparse=True)(x)
    with pytest.raises(td.ShapeError, match="one element"):
        td.hessian(broyden, sparse=True)(x)
    with pytest.raises(ValueError, match="modes"):
        td.sparsity(broyden, x, mode="sideways")
    with pytest.raises(td.GradientError, match=r"td\.sparse\.jacobian"):
        td.grad(lambda x: td.asarray(td.jacobian(broyden, sparse=True)(x).data).sum())(x)
    with pytest.raises(TypeError, match="to_scipy"):
        td.sparse.jacobian(broyden)(x) @ td.sparse.jacobian(broyden)(x)
    with pytest.raises(td.DTypeError, match="output 1"):
        td.sparsity(lambda x: (x, td.argmax(x)), x)
    with pytest.raises(td.ShapeError, match="does not fit"):
        td.sparse.jacobian(broyden)(x) @ td.ones((4,))
    with pytest.raises(td.ShapeError, match="do not make a matrix"):
        td.sparse.CSR(td.ones((2,)), td.tensor([0]), td.tensor([0, 1]), (1, 1))
    with pytest.raises(ValueError, match="indices must be in"):
        td.sparse.CSR(td.ones((1,)), td.tensor([4]), td.tensor([0, 1]), (1, 1))


def test_without_scipy(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "scipy.sparse", None)
    with pytest.raises(ImportError, match="install scipy"):
        td.jacobian(broyden, sparse=True)
    assert td.sparse.jacobian(broyden)(points(4)).nnz == 10


def test_a_pattern_is_for_the_arguments_that_it_was_found_for():
    one, two = td.tensor([1.0]), td.tensor([1.0, 2.0])
    f = lambda d: td.concat([d["a"], 10 * d["b"]])
    pattern = td.sparsity(f, {"a": one, "b": two})
    assert td.jacobian(f, sparse=pattern)({"a": one, "b": two}).shape == (3, 3)
    with pytest.raises(ValueError, match="find it for these"):
        td.jacobian(f, sparse=pattern)({"b": two, "a": one})
    g = lambda x, y: td.concat([x, y[:1]])
    with pytest.raises(ValueError, match=r"argument 0.*argument 1"):
        td.jacobian(g, argnums=1, sparse=td.sparsity(g, two, two))(two, two)
    h = lambda x: td.sum(x**3)
    with pytest.raises(ValueError, match="shapes"):
        td.hessian(h, sparse=td.hessian_sparsity(h, two))(td.ones(3))


# --- CSR as a tree of its elements


def some_matrix(data=(4.0, 1.0, 3.0)):
    return td.sparse.CSR(td.tensor(list(data), dtype=td.float64), [0, 1, 1], [0, 2, 3], (2, 2))


def test_a_csr_is_a_tree_of_its_elements(tmp_path):
    matrix, x = some_matrix(), td.tensor([1.0, 2.0], dtype=td.float64)
    doubled = td.tree_map(lambda leaf: 2 * leaf, {"A": matrix})["A"]
    assert isinstance(doubled, td.sparse.CSR) and doubled.to_dense().tolist() == [[8, 2], [0, 6]]
    assert [leaf is matrix.data for leaf in td.tree_leaves(matrix)] == [True]

    loss = lambda a: ((a @ x) ** 2).sum()
    dense = td.grad(lambda a: ((a @ x) ** 2).sum())(matrix.to_dense()).tolist()
    gradient = td.grad(loss)(matrix)
    assert isinstance(gradient, td.sparse.CSR) and gradient.to_dense().tolist() == [
        dense[0],
        [0, dense[1][1]],
    ]
    value, tangent = td.jvp(lambda a: a @ x, (matrix,), (doubled,))
    assert tangent.tolist() == (2 * value).tolist()

    scaled = td.vmap(lambda s: td.tree_map(lambda leaf: s * leaf, matrix))(td.tensor([1.0, 3.0]))
    products = td.vmap(lambda a: a @ x)(scaled)
    np.testing.assert_array_equal(products.cpu().numpy(), np.outer([1, 3], (matrix @ x).cpu().numpy()))
    carried, _ = td.scan(lambda a, _: (td.tree_map(lambda leaf: leaf + 1, a), None), matrix, length=2)
    assert carried.to_dense().tolist() == [[6, 3], [0, 5]]

    program = td.program(lambda a, x: a @ x, matrix, x)
    program.save(tmp_path / "product.tidu")
    loaded = td.load_program(tmp_path / "product.tidu")
    assert loaded(doubled, x).tolist() == (doubled @ x).tolist() and loaded == program
    other = td.sparse.CSR(matrix.data, [1, 0, 1], [0, 2, 3], (2, 2))
    for run in (program, loaded):
        with pytest.raises(ValueError, match=r"CSR\(\*, 2 x 2, indices="):
            run(other, x)
    with pytest.raises(ValueError, match="structure"):
        td.tree_map(lambda a, b: a + b, matrix, other)


@pytest.mark.parametrize("bad", [[0.5, 1.0, 1.0], [0.0, 1.0, 1.0], [True, False, True]])
def test_places_of_a_csr_are_integers(bad):
    with pytest.raises(td.DTypeError, match=r"\[CSR\] indices must be integers"):
        td.sparse.CSR([1.0, 2.0, 3.0], bad, [0, 2, 3], (2, 2))
    with pytest.raises(td.DTypeError, match=r"\[CSR\] indptr must be integers"):
        td.sparse.CSR([1.0, 2.0, 3.0], [0, 1, 1], bad, (2, 2))
    empty = td.sparse.CSR([], [], [0, 0], (1, 3))
    assert empty.to_dense().tolist() == [[0, 0, 0]]


@pytest.mark.parametrize(
    ("indices", "indptr"),
    [([0, 2, 1], [0, 2, 3]), ([0, -1, 1], [0, 2, 3]), ([0, 1, 1], [0, 4, 3]), ([0, 1, 1], [1, 2, 3])],
)
def test_places_of_a_csr_are_in_range(indices, indptr):
    with pytest.raises(ValueError, match=r"\[CSR\] ind"):
        td.sparse.CSR([1.0, 2.0, 3.0], indices, indptr, (2, 2))


# Where values choose the elements that count.
CHOOSE = (
    "max",
    "min",
    "cummax",
    "cummin",
    "vector_norm(ord=inf",
    "vector_norm(ord=-inf",
    "scatter_m",
    "sort",
    "var(axis=()",
)

OPERATIONS = [case for case in ops.OTHERS if case.differentiable and td.float64 in case.dtypes]


@pytest.mark.parametrize("case", OPERATIONS, ids=str)
def test_patterns_of_every_operation(case):
    """They have what is not 0 in the Jacobian at some point, and mostly nothing else."""
    for argument in case.differentiable:
        seen = False
        for seed in range(3):
            tensors = [
                ops.to_tensor(array, case.dtype_of_input(i, td.float64))
                for i, array in enumerate(case.arrays(seed, td.float64))
            ]

            def f(x, tensors=tensors, argument=argument):
                leaves = td.tree_leaves(case.function(*tensors[:argument], x, *tensors[argument + 1 :]))
                return td.concat([y.reshape(-1) for y in leaves if y.dtype.is_floating_point])

            x = tensors[argument]
            pattern = td.sparsity(f, x).to_scipy().toarray()
            dense = host(td.jacobian(f)(x)).reshape(pattern.shape) != 0
            assert not (dense & ~pattern).any(), (argument, seed)
            seen = seen | dense
        if not case.whole_lanes and not case.name.startswith(CHOOSE):
            np.testing.assert_array_equal(pattern, seen, err_msg=str(argument))


def test_patterns_through_complex_numbers():
    x = td.tensor(np.random.default_rng(0).normal(size=5), dtype=td.float64)
    square = lambda x: td.complex(x, x * x) * td.complex(x, td.ones_like(x))
    elementwise = (
        lambda x: td.real(square(x)),
        lambda x: td.imag(td.conj(square(x))),
        lambda x: td.abs(square(x)),
        lambda x: td.angle(td.exp(square(x))),
    )
    for f in elementwise:
        assert td.sparsity(f, x).nnz == 5
    for f in (
        *elementwise,
        lambda x: td.fft.irfft(td.fft.rfft(x) * td.fft.rfft(x), 5),
        lambda x: td.view_as_real(square(x))[:, 1],
        lambda x: td.real(td.view_as_complex(td.stack([x, x[::-1]], axis=-1)) ** 2),
        lambda x: td.abs(td.linalg.solve(td.outer(square(x), square(x)) + 9 * td.eye(5), square(x))),
    ):
        total = lambda x, f=f: td.sum(td.sin(f(x)))
        for mode in ("fwd", "rev"):
            np.testing.assert_allclose(
                td.sparse.jacobian(f, mode=mode)(x).to_dense().cpu().numpy(),
                td.jacobian(f)(x).cpu().numpy(),
                rtol=1e-9,
                atol=1e-9,
            )
        np.testing.assert_allclose(
            td.sparse.hessian(total)(x).to_dense().cpu().numpy(),
            td.hessian(total)(x).cpu().numpy(),
            rtol=1e-8,
            atol=1e-8,
        )
