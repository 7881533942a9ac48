"""Laplacian and biharmonic against the Hessian, closed forms and nesting."""

import itertools

import numpy as np
import pytest
import tidu as td


def normal(*shape, seed=0):
    return td.asarray(np.random.default_rng(seed).normal(size=shape))


A, B = normal(5, 4, seed=1), normal(3, 5, seed=2)


def network(x):
    return td.tanh(B @ td.tanh(A @ x))


FUNCTIONS = {
    "network": lambda x: td.sum(network(x) * td.arange(3.0, dtype=td.float64)),
    "vector": network,
    "polynomial": lambda x: td.sum(x**4) * x[0] + x[1] * x[2],
    "linear": lambda x: A @ x,
    "constant": lambda x: td.ones(2, dtype=td.float64),
    "rows": lambda x: td.logsumexp(A @ x) + td.sum(td.softmax(x) ** 2),
    "matrix": lambda x: td.linalg.logdet(td.outer(x, x) + 3 * td.eye(4, dtype=td.float64)),
    "tree": lambda x: {"a": td.sin(x), "b": (td.prod(x),)},
    "loop": lambda x: td.scan(lambda c, _: (td.sin(c) * x, None), x, length=3)[0],
    "gradient": td.grad(lambda x: td.sum(network(x) ** 2)),
}  # fmt: skip


def close(got, want, rtol=1e-9):
    for a, b in zip(td.tree_leaves(got), td.tree_leaves(want), strict=True):
        a, b = a.cpu().numpy(), b.cpu().numpy()
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol * np.abs(b).max(initial=1))


def by_hessian(f, x):
    second = td.jacfwd(td.jacfwd(f))(x)
    return td.tree_map(lambda h: td.linalg.trace(h), second)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_laplacian(name):
    f, x = FUNCTIONS[name], normal(4)
    want = by_hessian(f, x)
    for chunk_size in (None, 1, 3):
        close(td.laplacian(f, chunk_size=chunk_size)(x), want)


@pytest.mark.parametrize("name", ["network", "vector", "polynomial", "linear", "tree"])
def test_biharmonic(name):
    f, x = FUNCTIONS[name], normal(4)
    want = by_hessian(lambda v: by_hessian(f, v), x)
    close(td.biharmonic(f)(x), want)
    close(td.biharmonic(f, chunk_size=3)(x), want)


def test_closed_forms():
    x = normal(6)
    r2 = lambda v: td.sum(v * v)
    close(td.laplacian(r2)(x), td.asarray(12.0, dtype=td.float64))
    close(td.laplacian(lambda v: r2(v) ** 2)(x), 4 * (6 + 2) * r2(x))
    close(td.biharmonic(lambda v: r2(v) ** 2)(x), td.asarray(8.0 * 6 * 8, dtype=td.float64))
    wave = normal(6, seed=4)
    close(td.laplacian(lambda v: td.sin(wave @ v))(x), -r2(wave) * td.sin(wave @ x))
    close(td.biharmonic(lambda v: td.sin(wave @ v))(x), r2(wave) ** 2 * td.sin(wave @ x))


def test_nests():
    f, x = FUNCTIONS["network"], normal(4)
    close(td.grad(td.laplacian(f))(x), td.grad(lambda v: by_hessian(f, v))(x))
    close(td.jvp(td.laplacian(f), (x,), (x,))[1], td.jvp(lambda v: by_hessian(f, v), (x,), (x,))[1])
    xs = normal(5, 4)
    close(td.vmap(td.laplacian(f))(xs), td.stack([by_hessian(f, xs[i]) for i in range(5)]))
    close(td.laplacian(lambda v: td.sum(td.vmap(f)(v)))(xs), td.sum(td.vmap(td.laplacian(f))(xs)))
    weights = normal(5, 4, seed=7)
    of_weights = td.grad(lambda w: td.laplacian(lambda v: td.sum(td.tanh(w @ v)))(x))
    close(of_weights(weights), td.grad(lambda w: by_hessian(lambda v: td.sum(td.tanh(w @ v)), x))(weights))


def test_samples_are_right_on_average():
    f, x = FUNCTIONS["network"], normal(4)
    for transform, samples in ((td.laplacian, 20_000), (td.biharmonic, 40_000)):
        got = float(transform(f, samples=samples, key=td.random.key(5))(x))
        want = float(transform(f)(x))
        one = [float(transform(f, samples=200, key=td.random.key(100 + i))(x)) for i in range(20)]
        assert abs(got - want) < 5 * np.std(one) * np.sqrt(200 / samples)
    with pytest.raises(ValueError, match="go together"):
        td.laplacian(f, samples=3)
    with pytest.raises(ValueError, match="samples is 0"):
        td.laplacian(f, samples=0, key=td.random.key(1))(x)


def test_errors():
    with pytest.raises(td.DTypeError):
        td.laplacian(lambda x: x)(td.arange(3))
    with pytest.raises(td.DTypeError, match="must return floating-point"):
        td.laplacian(lambda x: x > 0)(td.ones(3))
    with pytest.raises(td.TraceError):
        td.laplacian(lambda x: x if x[0] > 0 else -x)(td.ones(3))
    with pytest.raises(ValueError, match="one tensor"):
        td.laplacian(lambda p: p[0])((td.ones(3), td.ones(3)))


@pytest.mark.cpu_only("reads the allocator of the cpu")
def test_takes_little_more_memory_than_its_directions(peak_bytes):
    sizes = [50, 768, 768, 512, 512]
    weights = [normal(b, a, seed=i) / a**0.5 for i, (a, b) in enumerate(itertools.pairwise(sizes))]

    def f(x):
        for w in weights:
            x = td.tanh(w @ x)
        return td.sum(x)

    def nested(x):
        second = lambda v: td.jvp(lambda y: td.jvp(f, (y,), (v,))[1], (x,), (v,))[1]
        return td.sum(td.vmap(second)(td.eye(50, dtype=td.float64)))

    x = normal(50)
    close(td.laplacian(f)(x), nested(x))
    assert peak_bytes(td.laplacian(f), x) <= 0.55 * peak_bytes(nested, x)


@pytest.mark.cpu_only("reads the allocator of the cpu")
def test_what_is_separable_takes_no_matrix(peak_bytes):
    x = normal(3000)
    f = lambda x: td.sum(td.sin(x) ** 2 + 3 * x)
    close(td.laplacian(f)(x), td.sum(2 * td.cos(2 * x)))
    close(td.laplacian(f, chunk_size=1000)(x), td.sum(2 * td.cos(2 * x)))
    assert peak_bytes(td.laplacian(f), x) < 30 * x.nbytes
