"""vmap against a loop: every primitive for all in_axes, every transform inside and outside of it."""

import itertools

import numpy as np
import pytest
import samplers as ops
import tidu as td

LANES = 3
# How many elements it gives depends on values, so it is in no program.
READS_VALUES = {"nonzero"}
CASES = [case for case in ops.CASES.values() if case.name not in READS_VALUES]


def leaves(result):
    return td.tree_leaves(result)


def looped(function, in_axes, arguments):
    """What vmap is to give, along axis 0 of each result."""
    count = next(x.shape[a] for x, a in zip(arguments, in_axes, strict=True) if a is not None)

    def lane(x, axis, i):
        return x if axis is None else td.moveaxis(x, axis, 0)[i]

    lanes = [
        leaves(function(*(lane(x, a, i) for x, a in zip(arguments, in_axes, strict=True))))
        for i in range(count)
    ]
    return [td.stack(list(column), axis=0) for column in zip(*lanes, strict=True)]


def check(function, in_axes, arguments, rtol=1e-11, what=""):
    got = leaves(td.vmap(function, in_axes=tuple(in_axes))(*arguments))
    want = looped(function, in_axes, arguments)
    assert len(got) == len(want)
    for a, b in zip(got, want, strict=True):
        assert a.dtype is b.dtype and a.shape == b.shape, what
        a, b = a.detach().cpu().numpy(), b.detach().cpu().numpy()
        if a.dtype.kind == "f":
            scale = np.abs(b[np.isfinite(b)]).max(initial=0)
            np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol * scale, err_msg=what)
        else:
            np.testing.assert_array_equal(a, b, err_msg=what)


def lanes_of(case, dtype, seed=77):
    """For each input an array with the lanes of LANES draws along axis 0."""
    draws = [case.arrays(seed + i, dtype) for i in range(LANES)]
    return [np.stack(column) for column in zip(*draws, strict=True)]


def some_in_axes(ranks, rng):
    """All inputs along axis 0, each alone, each left out, and other axes."""
    n = len(ranks)
    choices = [(0,) * n]
    choices += [tuple(0 if k == i else None for k in range(n)) for i in range(n)]
    choices += [tuple(None if k == i else 0 for k in range(n)) for i in range(n)]
    choices.append(tuple(int(rng.integers(-r - 1, r + 1)) for r in ranks))
    return [c for c in dict.fromkeys(choices) if any(axis is not None for axis in c)]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_is_a_loop(case):
    dtype = td.float64 if td.float64 in case.dtypes else case.dtypes[0]
    stacked = lanes_of(case, dtype)
    rng = np.random.default_rng(5)
    for in_axes in some_in_axes([x.ndim - 1 for x in stacked], rng):
        arguments = [
            ops.to_tensor(x[0] if axis is None else np.moveaxis(x, 0, axis), case.dtype_of_input(i, dtype))
            for i, (x, axis) in enumerate(zip(stacked, in_axes, strict=True))
        ]
        check(case.function, in_axes, arguments, what=str(in_axes))


@pytest.mark.parametrize("case", [c for c in CASES if c.differentiable], ids=str)
def test_derivatives_inside_and_outside(case):
    stacked = lanes_of(case, td.float64)
    tensors = [ops.to_tensor(x, case.dtype_of_input(i, td.float64)) for i, x in enumerate(stacked)]
    rng = np.random.default_rng(6)
    places = case.differentiable

    def weighted(*inputs):
        """A number that every element of the results is in, each with a weight of its own."""
        total = 0.0
        for k, y in enumerate(leaves(case.function(*inputs))):
            if y.dtype.is_floating_point:
                weights = np.random.default_rng(k).normal(size=y.shape)
                total = total + td.sum(y * td.asarray(weights, device=y.device))
        return total

    gradient = td.grad(weighted, argnums=tuple(places))
    in_axes = (0,) * len(tensors)
    check(gradient, in_axes, tensors, rtol=1e-9, what="vmap of grad")

    want = looped(gradient, in_axes, tensors)
    outside = td.grad(lambda *inputs: td.sum(td.vmap(weighted)(*inputs)), argnums=tuple(places))(*tensors)
    tangents = [td.asarray(rng.normal(size=tensors[i].shape), device=tensors[i].device) for i in places]

    def of_places(*primals):
        everything = list(tensors)
        for i, primal in zip(places, primals, strict=True):
            everything[i] = primal
        return td.vmap(weighted)(*everything)

    pushed = td.jvp(of_places, [tensors[i] for i in places], tangents)[1]
    along = sum(td.sum(td.reshape(g * t, (LANES, -1)), axis=1) for g, t in zip(want, tangents, strict=True))
    for got, expected in [*zip(outside, want, strict=True), (pushed, along)]:
        a, b = got.cpu().numpy(), expected.cpu().numpy()
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9 * np.abs(b).max(initial=1))


def normal(*shape, seed=0):
    return td.asarray(np.random.default_rng(seed).normal(size=shape))


# --- in_axes, out_axes, sizes


def test_axes_of_pytrees():
    point = {"a": normal(4, 3), "b": (normal(3, 4), 2.0)}

    def f(p, k):
        return {"s": p["a"] * k, "t": (p["b"][0] + p["b"][1],)}

    axes = ({"a": 0, "b": (1, None)}, None)
    result = td.vmap(f, in_axes=axes, out_axes={"s": 1, "t": 0})(point, 3.0)
    np.testing.assert_allclose(result["s"].cpu().numpy(), 3 * point["a"].cpu().numpy().T)
    np.testing.assert_allclose(result["t"][0].cpu().numpy(), point["b"][0].cpu().numpy().T + 2)


@pytest.mark.parametrize("in_axis", [0, 1, 2, -1, -3])
@pytest.mark.parametrize("out_axis", [0, 1, 2, -1])
def test_any_axis_goes_to_any(in_axis, out_axis):
    x = normal(3, 4, 5)
    got = td.vmap(lambda v: v * 2, in_axes=in_axis, out_axes=out_axis)(x).cpu().numpy()
    np.testing.assert_array_equal(got, 2 * np.moveaxis(x.cpu().numpy(), in_axis, out_axis))


def test_keyword_arguments_are_mapped_along_axis_0():
    x = normal(4, 3)
    got = td.vmap(lambda a, scale: a * scale)(x, scale=td.arange(4.0, dtype=td.float64))
    np.testing.assert_allclose(got.cpu().numpy(), x.cpu().numpy() * np.arange(4.0)[:, None])


def test_results_that_are_the_same_for_all():
    x, w = normal(4, 3), normal(3, seed=1)
    both = td.vmap(lambda a, b: (a * b, b + 1), in_axes=(0, None), out_axes=(0, None))(x, w)
    assert both[1].shape == (3,)
    repeated = td.vmap(lambda a, b: b + 1, in_axes=(0, None))(x, w)
    np.testing.assert_allclose(repeated.cpu().numpy(), np.tile(w.cpu().numpy() + 1, (4, 1)))
    repeated[0] = 0.0  # no two lanes share memory
    np.testing.assert_allclose(repeated[1].cpu().numpy(), w.cpu().numpy() + 1)
    numbers = td.vmap(lambda a: 1.0)(x)
    np.testing.assert_array_equal(numbers.cpu().numpy(), np.ones(4))


def test_the_number_of_lanes_alone():
    assert td.vmap(lambda: td.ones(2), axis_size=3)().shape == (3, 2)
    w = normal(2)
    assert td.vmap(lambda v: v * 2, in_axes=None, axis_size=3)(w).shape == (3, 2)


@pytest.mark.parametrize("count", [0, 1])
def test_few_lanes(count):
    x, a = normal(count, 3), normal(3, 3, seed=1)
    f = lambda v: (td.softmax(a @ v), td.linalg.solve(a, v), td.sum(v), td.argmax(v))
    shapes = [y.shape for y in td.vmap(f)(x)]
    assert shapes == [(count, 3), (count, 3), (count,), (count,)]
    assert td.vmap(td.grad(lambda v: td.sum(td.sin(a @ v))))(x).shape == (count, 3)


@pytest.mark.parametrize("chunk_size", [1, 2, 3, 5, 100])
def test_chunks(chunk_size):
    x, w = normal(3, 5), normal(3, seed=1)
    f = lambda v, u: (v * u, td.sum(v), u)
    arguments = {"in_axes": (1, None), "out_axes": (1, 0, None)}
    for got, want in zip(
        td.vmap(f, chunk_size=chunk_size, **arguments)(x, w), td.vmap(f, **arguments)(x, w), strict=True
    ):
        np.testing.assert_allclose(got.cpu().numpy(), want.cpu().numpy(), rtol=1e-14)


@pytest.mark.parametrize("shape", [(0,), (4, 0), (2, 4, 0), (1, 2, 4, 0), (2, 0, 3)], ids=str)
def test_linear_of_nothing(shape):
    """Sums of no products, and rows of none: what is left is the bias."""
    x, w, b = normal(LANES, *shape), normal(LANES, 5, shape[-1], seed=1), normal(LANES, 5, seed=2)
    linear = td.nn.functional.linear
    want = np.broadcast_to(b.cpu().numpy()[1], (*shape[:-1], 5))
    if shape[-1] == 0:
        np.testing.assert_array_equal(linear(x[1], w[1], b[1]).cpu().numpy(), want)
    for in_axes in itertools.product([0, None], repeat=3):
        if in_axes != (None, None, None):
            arguments = [v if axis == 0 else v[1] for v, axis in zip((x, w, b), in_axes, strict=True)]
            check(linear, in_axes, arguments, what=f"{in_axes}")
            check(td.grad(lambda *v: td.sum(linear(*v) ** 2), argnums=2), in_axes, arguments, what="slope")


# --- nesting


def test_nested_with_equal_sizes():
    # Both levels have 3 lanes, so that a lane of one taken for one of the other would go unseen by shape.
    x, y = normal(3, 3), normal(3, 3, seed=1)
    inner = lambda a, b: td.sum(a * b) + a[0]
    pairs = td.vmap(lambda a: td.vmap(lambda b: inner(a, b))(y))(x).cpu().numpy()
    u, v = x.cpu().numpy(), y.cpu().numpy()
    np.testing.assert_allclose(pairs, u @ v.T + u[:, :1])
    other = td.vmap(td.vmap(inner, in_axes=(None, 0)), in_axes=(0, None))(x, y).cpu().numpy()
    np.testing.assert_allclose(other, pairs)
    crossed = td.vmap(td.vmap(lambda p, q: p * q, in_axes=(0, None)), in_axes=(None, 0))(x[0], y[0])
    np.testing.assert_allclose(crossed.cpu().numpy(), np.outer(v[0], u[0]))


def test_three_levels_of_all_axes():
    x = normal(2, 2, 2)
    for a, b, c in itertools.product(range(3), range(2), range(1)):
        f = td.vmap(td.vmap(td.vmap(lambda s: td.sin(s), in_axes=c), in_axes=b), in_axes=a)
        want = np.moveaxis(x.cpu().numpy(), a, 0)
        want = np.stack([np.moveaxis(part, b, 0) for part in want])
        np.testing.assert_allclose(f(x).cpu().numpy(), np.sin(want))


def network(w, x):
    return td.sum(td.log_softmax(w["v"] @ td.sigmoid(w["u"] @ x))[0])


WEIGHTS = {"u": normal(4, 3, seed=11), "v": normal(2, 4, seed=12)}


def hessian_by_loops(f, x):
    unit = np.eye(x.size)
    return np.stack([td.hvp(f, x, td.asarray(e, device=x.device)).cpu().numpy() for e in unit])


TRANSFORMS = {
    "grad": lambda f, x: td.grad(f)(x),
    "jvp": lambda f, x: td.jvp(f, (x,), (td.cos(x),))[1],
    "vjp": lambda f, x: td.vjp(f, x)[1](td.tensor(2.0, dtype=td.float64, device=x.device))[0],
    "hvp": lambda f, x: td.hvp(f, x, td.cos(x)),
    "hessian": lambda f, x: td.hessian(f)(x),
    "jacrev of grad": lambda f, x: td.jacrev(td.grad(f))(x),
    "jacfwd": lambda f, x: td.jacfwd(lambda v: td.sin(v) * f(v))(x),
    "jet": lambda f, x: td.jet(f, (x,), ((td.cos(x), x, x),))[1],
    "taylor": lambda f, x: td.taylor(f, x, 3)(0.1 * x),
    "linearize": lambda f, x: td.linearize(f, x)[1](x),
    "hessian_diagonal": lambda f, x: td.hessian_diagonal(f)(x),
    "program": lambda f, x: td.program(f, x)(x),
}


@pytest.mark.parametrize("name", TRANSFORMS)
def test_transforms_inside(name):
    x = normal(5, 3)
    check(lambda v: TRANSFORMS[name](lambda p: network(WEIGHTS_ON(v), p), v), (0,), (x,), rtol=1e-9)


@pytest.mark.parametrize("name", TRANSFORMS)
def test_transforms_outside(name):
    xs, p = normal(5, 3, seed=1), normal(3)

    def batched(v):
        return td.sum(td.vmap(lambda x: network(WEIGHTS_ON(v), x * v))(xs))

    def one_by_one(v):
        return sum(network(WEIGHTS_ON(v), xs[i] * v) for i in range(5))

    for got, want in zip(
        leaves(TRANSFORMS[name](batched, p)), leaves(TRANSFORMS[name](one_by_one, p)), strict=True
    ):
        np.testing.assert_allclose(got.cpu().numpy(), want.cpu().numpy(), rtol=1e-9, atol=1e-12)


def WEIGHTS_ON(like):
    return td.tree_map(lambda w: w.to(like.device), WEIGHTS)


def test_gradients_of_each_example():
    xs = normal(6, 3)
    grads = td.vmap(td.grad(network), in_axes=(None, 0))(WEIGHTS_ON(xs), xs)
    for i in range(6):
        want = td.grad(network)(WEIGHTS_ON(xs), xs[i])
        for k in want:
            np.testing.assert_allclose(grads[k][i].cpu().numpy(), want[k].cpu().numpy(), rtol=1e-12)


def test_backward_through_vmap():
    x = normal(4, 3).requires_grad_()
    w = normal(3, seed=2).requires_grad_()
    td.sum(td.vmap(lambda v: td.sin(v * w))(x)).backward()
    c = np.cos(x.detach().cpu().numpy() * w.detach().cpu().numpy())
    np.testing.assert_allclose(x.grad.cpu().numpy(), c * w.detach().cpu().numpy())
    np.testing.assert_allclose(w.grad.cpu().numpy(), (c * x.detach().cpu().numpy()).sum(0))


# --- Rules of the user's own, writes, random numbers


def summed(function):
    return lambda *arguments: td.sum(function(*arguments))


@td.custom_vjp
def cubed(x, w):
    return x**3 * w


cubed.defvjp(
    lambda x, w: (x**3 * w, (x, w)),
    lambda kept, g: (g * 3 * kept[0] ** 2 * kept[1], g * kept[0] ** 3),
)


def test_custom_vjp():
    x, w = normal(4, 3), normal(3, seed=1)
    for axes in [(0, None), (0, 0), (None, 0)]:
        a = x if axes[0] == 0 else w
        b = x if axes[1] == 0 else w
        check(cubed, axes, (a, b))
        check(td.grad(lambda p, q: td.sum(cubed(p, q)), argnums=(0, 1)), axes, (a, b))
        total = td.grad(summed(td.vmap(cubed, in_axes=axes)), argnums=(0, 1))(a, b)
        want = td.grad(lambda p, q: td.sum(p**3 * q), argnums=(0, 1))(a, b)
        for g, h in zip(total, want, strict=True):
            np.testing.assert_allclose(g.cpu().numpy(), h.cpu().numpy(), rtol=1e-12)
        pushed = td.jvp(td.vmap(cubed, in_axes=axes), (a, b), (a, b))[1]
        np.testing.assert_allclose(pushed.cpu().numpy(), (4 * a**3 * b).cpu().numpy(), rtol=1e-12)


@td.custom_jvp
def tripled(x, w):
    return td.sin(x) * w


@tripled.defjvp
def _tripled_rule(primals, tangents):
    (x, w), (t, u) = primals, tangents
    return td.sin(x) * w, td.cos(x) * w * t + td.sin(x) * u


def test_custom_jvp():
    x, w = normal(4, 3), normal(3, seed=1)
    for axes in [(0, None), (0, 0), (None, 0)]:
        a = x if axes[0] == 0 else w
        b = x if axes[1] == 0 else w
        check(tripled, axes, (a, b))
        check(td.grad(lambda p, q: td.sum(tripled(p, q)), argnums=(0, 1)), axes, (a, b))
        total = td.grad(summed(td.vmap(tripled, in_axes=axes)), argnums=(0, 1))(a, b)
        want = td.grad(lambda p, q: td.sum(td.sin(p) * q), argnums=(0, 1))(a, b)
        for g, h in zip(total, want, strict=True):
            np.testing.assert_allclose(g.cpu().numpy(), h.cpu().numpy(), rtol=1e-12)


def test_writes_inside():
    def f(x):
        y = td.copy(x)
        y[0] = 5.0
        y[1:] += x[:-1] * 2
        return y

    check(f, (0,), (normal(4, 3),))
    check(td.grad(lambda x: td.sum(f(x) ** 2)), (0,), (normal(4, 3),))


def test_writes_to_arguments():
    x, total = normal(4, 3), td.zeros(4, dtype=td.float64)

    def f(v, t):
        t += td.sum(v)
        return t * 2

    got = td.vmap(f)(x, total)
    np.testing.assert_allclose(total.cpu().numpy(), x.cpu().numpy().sum(1))
    np.testing.assert_allclose(got.cpu().numpy(), 2 * x.cpu().numpy().sum(1))
    with pytest.raises(ValueError, match="overwritten but is the same for all lanes"):
        td.vmap(f, in_axes=(0, None))(x, td.zeros((), dtype=td.float64))


DRAWS = {
    "uniform": lambda k: td.random.uniform(k, (5,)),
    "normal": lambda k: td.random.normal(k, (5,), dtype=td.float64),
    "half": lambda k: td.random.normal(k, (7,), dtype=td.float16),
    "randint": lambda k: td.random.randint(k, (3, 2), 0, 100),
    "permutation": lambda k: td.random.permutation(k, 9),
    "split": lambda k: td.random.split(k, 3),
    "fold_in": lambda k: td.random.fold_in(k, 7),
    "bernoulli": lambda k: td.random.bernoulli(k, 0.4, (11,)),
}


@pytest.mark.parametrize("name", DRAWS)
def test_keys_with_lanes_give_each_its_own_numbers(name):
    keys = td.random.split(td.random.key(3), 4)
    check(DRAWS[name], (0,), (keys,))
    nested = td.vmap(td.vmap(DRAWS[name]))(td.stack([keys[:2], keys[2:]])).cpu().numpy()
    flat = td.vmap(DRAWS[name])(keys).cpu().numpy()
    np.testing.assert_array_equal(nested.reshape(flat.shape), flat)
    assert len({row.tobytes() for row in flat}) > 1


def test_keys_without_lanes_give_all_the_same():
    key = td.random.key(3)
    noise = td.vmap(lambda x: x + td.random.normal(key, (3,), dtype=td.float64))(
        td.zeros((4, 3), dtype=td.float64)
    )
    assert len({row.tobytes() for row in noise.cpu().numpy()}) == 1


# --- What is refused


def test_errors():
    x = normal(4, 3)
    f = lambda a, b: a + b
    with pytest.raises(ValueError, match="no argument has an axis of lanes"):
        td.vmap(f, in_axes=None)(x, x)
    with pytest.raises(ValueError, match=r"in_axes names 3 arguments, but the call has 2"):
        td.vmap(f, in_axes=(0, 0, 0))(x, x)
    with pytest.raises(ValueError, match=r"number of lanes, 4 and 3"):
        td.vmap(f, in_axes=(0, 1))(x, x)
    with pytest.raises(ValueError, match="which has no axis 0"):
        td.vmap(f)(x, 2.0)
    with pytest.raises(IndexError):
        td.vmap(f, in_axes=(2, 0))(x, x)
    with pytest.raises(ValueError, match="out_axes is None for result 0"):
        td.vmap(f, out_axes=None)(x, x)
    with pytest.raises(ValueError, match="out_axes has structure"):
        td.vmap(f, out_axes=(0, 0))(x, x)
    with pytest.raises(td.TraceError, match="use where instead of if"):
        td.vmap(lambda v: v if v[0] > 0 else -v)(x)
    with pytest.raises(td.TraceError):
        td.vmap(td.nonzero)(x)
    assert td.vmap(lambda v: None)(x) is None


# --- Matrices of derivatives run on it


def branching(x):
    return td.sum(x**3) if x[0] > 0 else td.sum(td.sin(x))


def test_functions_that_branch_have_jacobians():
    for x in (td.tensor([1.0, 2.0], dtype=td.float64), td.tensor([-1.0, 2.0], dtype=td.float64)):
        want = 6 * x if float(x[0]) > 0 else -td.sin(x)
        np.testing.assert_allclose(td.hessian(branching)(x).cpu().numpy(), np.diag(want.cpu().numpy()))


def test_rules_that_look_at_cotangents_are_looped():
    @td.custom_vjp
    def f(x):
        return x**2

    f.defvjp(lambda x: (x**2, x), lambda x, g: (g * 2 * x if float(td.sum(g)) > 0 else 2 * x * g,))

    x = normal(3)
    np.testing.assert_allclose(td.jacrev(f)(x).cpu().numpy(), np.diag(2 * x.cpu().numpy()))


@pytest.mark.parametrize("chunk_size", [None, 1, 2, 7])
def test_chunks_of_matrices(chunk_size):
    a = normal(5, 5)
    x = normal(5, seed=1)
    f = lambda v: td.sum(td.sin(a @ v) * v)
    want = hessian_by_loops(f, x)
    np.testing.assert_allclose(
        td.hessian(f, chunk_size=chunk_size)(x).cpu().numpy(), want, rtol=1e-10, atol=1e-12
    )
    g = lambda v: td.sin(a @ v) * v
    rev, fwd = (t(g, chunk_size=chunk_size)(x).cpu().numpy() for t in (td.jacrev, td.jacfwd))
    np.testing.assert_allclose(rev, fwd, rtol=1e-10, atol=1e-12)


def test_diagonal_parts():
    # Products with unit vectors are not computed; what stays a diagonal matrix is none until the end.
    x, c = normal(4), normal(4, seed=1)
    a, b = normal(4, 4, seed=2), normal(3, 4, seed=3)
    functions = [
        lambda v: td.sum(v**4) + v @ (a @ v),
        lambda v: td.sum(td.exp(-v) * c + td.reshape(v, (2, 2)).mT.reshape(4) ** 3 * c),
        lambda v: td.sum(td.tanh(b @ v)) + td.sum((-v) ** 3),
        lambda v: td.sum((td.expand_dims(v, 0) @ a) ** 2),
        lambda v: td.sum(td.where(v > 0, v**2, v**3)),
        lambda v: td.sum(v[::-1] * v**2 + v[1] * v),
    ]
    for f in functions:
        np.testing.assert_allclose(
            td.hessian(f)(x).cpu().numpy(), hessian_by_loops(f, x), rtol=1e-10, atol=1e-12
        )
        np.testing.assert_allclose(
            td.hessian_diagonal(f)(x).cpu().numpy(), np.diag(hessian_by_loops(f, x)), rtol=1e-10, atol=1e-12
        )


def test_matrices_of_matrices():
    x = normal(3, 3)
    j = td.jacobian(lambda m: td.linalg.inv(m))(x).cpu().numpy()
    inv = np.linalg.inv(x.cpu().numpy())
    np.testing.assert_allclose(j, -np.einsum("ik,lj->ijkl", inv, inv), rtol=1e-9, atol=1e-11)
    h = td.hessian(lambda m: td.linalg.logdet(m @ m.mT))(x).cpu().numpy()
    want = -2 * np.einsum("li,jk->ijkl", inv, inv)
    np.testing.assert_allclose(h, want, rtol=1e-8, atol=1e-9)


# --- Factors that are 1 at the point, but are being differentiated


@pytest.mark.parametrize("value", [0.0, 1.0, 2.0])
def test_factors_that_happen_to_be_one_are_differentiated(value, device):
    v = td.tensor([2.0, 3.0], device=device)
    a = td.tensor(value, device=device)
    for f in (lambda a: td.vmap(lambda v: a * v)(v), lambda a: td.vmap(lambda a, v: v * a, (None, 0))(a, v)):
        assert float(td.grad(lambda a: td.sum(f(a)))(a)) == 5  # noqa: B023
        assert td.jvp(f, (a,), (td.ones_like(a),))[1].tolist() == [2, 3]
    leaf = td.tensor(value, device=device, requires_grad=True)
    td.sum(td.vmap(lambda v: leaf * v)(v)).backward()
    assert float(leaf.grad) == 5
    x = td.tensor([value, 2.0], device=device)
    product = lambda y: y[0] * y[1]
    assert td.jacfwd(td.jacfwd(product))(x).tolist() == [[0, 1], [1, 0]]
    assert td.jacrev(td.jacfwd(product))(x).tolist() == [[0, 1], [1, 0]]
    third = td.jacfwd(td.hessian(lambda y: y[0] * y[1] ** 3))(x)
    assert third[1, 1].tolist() == [12, 6 * value]
    assert td.grad(td.laplacian(lambda y: y[0] * y[1] ** 3))(x).tolist() == [12, 6 * value]


def test_an_index_of_a_lane(device):
    x = td.arange(12.0, device=device).reshape(3, 4)
    i = td.tensor([2, 0], device=device)
    assert td.vmap(lambda i: x[i])(i).tolist() == x[[2, 0]].tolist()
    assert td.vmap(lambda i: x[1:, i])(i).tolist() == x[1:][:, [2, 0]].mT.tolist()
    assert td.vmap(lambda i: x[i, i])(i).tolist() == [10, 0]
    assert td.grad(lambda x: td.sum(td.vmap(lambda i: x[i, 0])(i)))(x)[:, 0].tolist() == [1, 0, 1]
    total = td.fori_loop(0, 3, lambda i, c: c + x[i, 0], td.tensor(0.0, device=device))
    assert float(total) == 12
    assert td.program(lambda x, i: x[i], x, i[0])(x, i[1]).tolist() == x[0].tolist()


def test_a_value_that_was_overwritten_is_missed_under_vmap_too():
    def f(x):
        y = x * 1.5
        total = td.sum(td.sin(y))
        y[...] = 0.0
        return total

    for function in (td.grad(f), td.vmap(td.grad(f)), td.compile(td.vmap(td.grad(f)))):
        with pytest.raises(td.GradientError, match="overwritten"):
            function(td.ones((2, 2)))
