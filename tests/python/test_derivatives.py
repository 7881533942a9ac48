"""The derivatives of every differentiable primitive, of order 1 and 2, in both modes and all pairings."""

import numpy as np
import pytest
import samplers as ops
import tidu as td
from scipy import special

DIFFERENTIABLE = [case for case in ops.CASES.values() if case.differentiable]


class Problem:
    """A case in float64 as a function of its differentiable inputs, at a point, with directions."""

    def __init__(self, case, seed):
        self.case = case
        arrays = case.arrays(seed, td.float64)
        self.all = [ops.to_tensor(a, case.dtype_of_input(i, td.float64)) for i, a in enumerate(arrays)]
        self.x = self.pick(self.all)
        rng = np.random.default_rng(seed)
        self.u = self.directions(rng)
        self.v = self.directions(rng)
        self.w = td.tensor(rng.standard_normal(self(*self.x).shape))

    def pick(self, values):
        return tuple(values[i] for i in self.case.differentiable)

    def directions(self, rng):
        return tuple(td.tensor(rng.standard_normal(x.shape)) for x in self.x)

    def __call__(self, *primals):
        inputs = list(self.all)
        for i, primal in zip(self.case.differentiable, primals, strict=True):
            inputs[i] = primal
        return self.case.function(*inputs)

    def along(self, t, direction):
        return tuple(x + t * d for x, d in zip(self.x, direction, strict=True))


def dot(a, b):
    if isinstance(a, tuple):
        return sum((dot(x, y) for x, y in zip(a, b, strict=True)), 0.0)
    return float((a * b).sum())


def difference(function, h=1e-3):
    """df/dt at 0, of fourth order in h."""
    return (8 * (function(h) - function(-h)) - (function(2 * h) - function(-2 * h))) / (12 * h)


def magnitude(tensor):
    return float(np.abs(tensor.cpu().numpy()).sum()) + 1


@pytest.mark.parametrize("case", DIFFERENTIABLE, ids=str)
def test_first_order(case):
    p = Problem(case, 11)
    y, jv = td.jvp(p, p.x, p.v)
    np.testing.assert_array_equal(y.cpu().numpy(), p(*p.x).cpu().numpy())
    differences = difference(lambda t: p(*p.along(t, p.v)).cpu().numpy())
    np.testing.assert_allclose(jv.cpu().numpy(), differences, rtol=1e-7, atol=1e-8 * magnitude(jv))

    y, pullback = td.vjp(p, *p.x)
    np.testing.assert_array_equal(y.cpu().numpy(), p(*p.x).cpu().numpy())
    gradients = pullback(p.w)
    for x, g in zip(p.x, gradients, strict=True):
        assert g.shape == x.shape
        assert g.dtype == x.dtype
    assert dot(gradients, p.v) == pytest.approx(dot(p.w, jv), rel=1e-11, abs=1e-12 * magnitude(jv))


@pytest.mark.parametrize("dtype", (td.float32, td.float64), ids=str)
@pytest.mark.parametrize("case", [case for case in ops.ELEMENTWISE if case.differentiable], ids=str)
def test_gradients_that_nobody_sees_have_the_bits_of_calls(case, dtype):
    """They are computed a handful at a time; under a profile, which shows every call, by tensors."""
    many = 1000
    arrays = case.arrays(13, dtype, (many,))
    for array in arrays:
        if array.dtype.kind == "f":
            array[1:7] = [0, -0.0, 1, np.inf, -np.inf, np.nan]
    weights = ops.to_array(td.tensor(np.random.default_rng(13).standard_normal(many), dtype=dtype))
    weights[[2, 5, 9]] = [0, np.inf, np.nan]

    def gradients(part):
        """Of a cotangent that nobody else has, which may be overwritten, and of one that is kept."""
        inputs = [td.tensor(array[part]) for array in arrays]
        w = td.tensor(weights[part])

        def function(*primals):
            for i, primal in zip(case.differentiable, primals, strict=True):
                inputs[i] = primal
            return case.function(*inputs)

        primals = [inputs[i] for i in case.differentiable]
        summed = td.vjp(lambda *x: (function(*x) * w).sum(), *primals)[1](td.ones((), dtype=dtype))
        given = td.vjp(function, *primals)[1](w)
        np.testing.assert_array_equal(w.cpu().numpy(), weights[part])
        return [gradient.cpu().numpy() for gradient in (*summed, *given)]

    def bits(array):
        """Which of two NaN a product takes, and its sign, compilers choose: for device cuda at each place."""
        nan = np.isnan(array) & (td.get_default_device().type == "cuda")
        return np.where(nan, np.array(np.nan, array.dtype), array).tobytes()

    with td.profile():
        whole = gradients(slice(None))
    for part in (slice(0, 1), slice(1, 12), slice(100, 356), slice(100, 357), slice(None)):
        for few, all_of_them in zip(gradients(part), whole, strict=True):
            assert bits(few) == bits(all_of_them[part])


@pytest.mark.parametrize("case", DIFFERENTIABLE, ids=str)
def test_second_order(case):
    """w . D2f[u, v] by all four pairings of the modes, beside differences."""
    p = Problem(case, 12)

    def forward(*x):
        return td.jvp(p, x, p.v)[1]

    def reverse(*x):
        return td.vjp(p, *x)[1](p.w)

    by_difference = dot(p.w, td.tensor(difference(lambda t: forward(*p.along(t, p.u)).cpu().numpy())))
    by_mode = {
        "forward over forward": dot(p.w, td.jvp(forward, p.x, p.u)[1]),
        "reverse over forward": dot(td.vjp(forward, *p.x)[1](p.w), p.u),
        "forward over reverse": dot(td.jvp(reverse, p.x, p.u)[1], p.v),
        "reverse over reverse": dot(td.vjp(reverse, *p.x)[1](p.v), p.u),
    }
    scale = magnitude(td.jvp(forward, p.x, p.u)[1])
    for mode, value in by_mode.items():
        assert value == pytest.approx(by_difference, rel=1e-6, abs=1e-7 * scale), mode
        assert value == pytest.approx(by_mode["forward over forward"], rel=1e-10, abs=1e-11 * scale), mode


@pytest.mark.parametrize("case", DIFFERENTIABLE, ids=str)
def test_third_order(case):
    """w . D3f[u, u, u] by nested modes, beside Taylor mode."""
    p = Problem(case, 16)

    def forward(*x):
        return td.jvp(lambda *x: td.jvp(p, x, p.u)[1], x, p.u)[1]

    def reverse(*x):
        return td.vjp(p, *x)[1](p.w)

    def reverse_twice(*x):
        return td.vjp(reverse, *x)[1](p.u)

    by_jet = td.jet(p, p.x, [(u, None, None) for u in p.u])[1][2]
    by_mode = {
        "reverse over forward over forward": dot(td.vjp(forward, *p.x)[1](p.w), p.u),
        "forward over forward over reverse": dot(
            td.jvp(lambda *x: td.jvp(reverse, x, p.u)[1], p.x, p.u)[1], p.u
        ),
        "reverse over reverse over reverse": dot(td.vjp(reverse_twice, *p.x)[1](p.u), p.u),
    }
    for mode, value in by_mode.items():
        assert value == pytest.approx(dot(p.w, by_jet), rel=1e-9, abs=1e-10 * magnitude(by_jet)), mode


@pytest.mark.parametrize("case", [case for case in DIFFERENTIABLE if len(case.differentiable) > 1], ids=str)
def test_one_argument_at_a_time(case):
    """A rule that is given tangents of some inputs alone says what it says with zeros for the others."""
    p = Problem(case, 17)

    def reverse(*x):
        return td.vjp(p, *x)[1](p.w)

    nothing = tuple(td.zeros_like(x) for x in p.x)
    for i, (x, v) in enumerate(zip(p.x, p.v, strict=True)):
        with_zeros = (*nothing[:i], v, *nothing[i + 1 :])
        at = lambda x, i=i: (*p.x[:i], x, *p.x[i + 1 :])
        for function in (lambda *x: (p(*x),), reverse):
            alone = td.jvp(lambda x, f=function, at=at: f(*at(x)), (x,), (v,))[1]
            together = td.jvp(function, p.x, with_zeros)[1]
            for got, want in zip(alone, together, strict=True):
                np.testing.assert_allclose(
                    got.cpu().numpy(), want.cpu().numpy(), rtol=1e-11, atol=1e-12 * magnitude(want)
                )


@pytest.mark.parametrize("case", DIFFERENTIABLE, ids=str)
def test_backward_twice(case):
    """The same through .backward(), whose gradients can be differentiated again."""
    p = Problem(case, 13)
    expected = td.vjp(p, *p.x)[1](p.w)
    second = td.vjp(lambda *x: td.vjp(p, *x)[1](p.w), *p.x)[1](p.v)

    x = tuple(td.copy(x) for x in p.x)
    for leaf in x:
        leaf.requires_grad = True
    p(*x).backward(p.w, create_graph=True)
    gradients = tuple(leaf.grad for leaf in x)
    for gradient, want in zip(gradients, expected, strict=True):
        np.testing.assert_array_equal(gradient.detach().cpu().numpy(), want.cpu().numpy())
    total = sum((g * v).sum() for g, v in zip(gradients, p.v, strict=True))
    for leaf in x:
        leaf.grad = None
    if total.requires_grad:
        total.backward()
    for leaf, want in zip(x, second, strict=True):
        got = np.zeros(leaf.shape) if leaf.grad is None else leaf.grad.cpu().numpy()
        np.testing.assert_allclose(got, want.cpu().numpy(), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("dtype", [td.float16, td.bfloat16, td.float32], ids=str)
@pytest.mark.parametrize("case", DIFFERENTIABLE, ids=str)
def test_derivatives_keep_the_dtype(case, dtype):
    if dtype not in case.dtypes:
        return
    arrays = case.arrays(14, dtype)
    tensors = [ops.to_tensor(a, case.dtype_of_input(i, dtype)) for i, a in enumerate(arrays)]

    def f(*primals):
        inputs = list(tensors)
        for i, primal in zip(case.differentiable, primals, strict=True):
            inputs[i] = primal
        return case.function(*inputs)

    x = tuple(tensors[i] for i in case.differentiable)
    y, pullback = td.vjp(f, *x)
    assert [g.dtype for g in pullback(td.ones_like(y))] == [dtype] * len(x)
    assert td.jvp(f, x, x)[1].dtype == y.dtype


def test_gradients_through_casts():
    x = td.tensor([1.0, 3.0], dtype=td.float64)
    for dtype in (td.float32, td.float16, td.bfloat16):
        gradient = td.grad(lambda x, dtype=dtype: (x.astype(dtype) * x.astype(dtype)).sum())(x)
        assert gradient.dtype == td.float64
        assert gradient.tolist() == [2, 6]
    half, single = td.tensor([2.0], dtype=td.float16), td.tensor([5.0], dtype=td.float32)
    gradients = td.grad(lambda a, b: (a * b).sum(), argnums=(0, 1))(half, single)
    assert [g.dtype for g in gradients] == [td.float16, td.float32]
    assert [g.tolist() for g in gradients] == [[5], [2]]
    assert not td.grad(lambda x: x.astype(td.int32).astype(td.float64).sum())(x).cpu().numpy().any()


# --- What has no derivative


@pytest.mark.parametrize("case", [c for c in ops.ELEMENTWISE if not c.differentiable], ids=str)
def test_derivative_zero(case):
    if td.float64 not in case.dtypes:
        return
    x = tuple(ops.to_tensor(a, td.float64) for a in case.arrays(15, td.float64))

    def f(*x):
        return case.function(*x).astype(td.float64)

    assert not td.jvp(f, x, x)[1].cpu().numpy().any()
    y, pullback = td.vjp(f, *x)
    assert not any(g.cpu().numpy().any() for g in pullback(td.ones_like(y)))


@pytest.mark.parametrize("dtype", [d for d in ops.DTYPES if not ops.is_float(d)], ids=str)
def test_integers_are_refused(dtype):
    x = td.ones((3,), dtype=dtype)
    for transform in (
        lambda: td.grad(lambda x: (x * 1.0).sum())(x),
        lambda: td.vjp(lambda x: x * 1.0, x),
        lambda: td.jvp(lambda x: x * 1.0, (x,), (x,)),
        lambda: td.jacobian(lambda x: x * 1.0)(x),
        lambda: td.hessian(lambda x: (x * 1.0).sum())(x),
        lambda: x.requires_grad_(),
    ):
        with pytest.raises(TypeError, match="floating-point") as caught:
            transform()
        assert str(dtype) in str(caught.value)


# --- Kinks, ties and branches


def gradient(f, *values):
    x = td.tensor([float(v) for v in values], dtype=td.float64)
    reverse = td.grad(lambda x: f(x).sum())(x).tolist()
    columns = [td.jvp(lambda x: f(x).sum(), (x,), (td.tensor(e),))[1].tolist() for e in np.eye(len(values))]
    assert reverse == columns
    return reverse


def test_kinks():
    assert gradient(td.relu, 0, -0.0, -1, 2) == [0, 0, 0, 1]
    assert gradient(td.abs, 0, -0.0, -1, 2) == [0, 0, -1, 1]
    assert gradient(td.sign, 0, 3) == [0, 0]
    assert td.hessian(lambda x: td.relu(x).sum())(td.tensor([0.0, 1.0])).tolist() == [[0, 0], [0, 0]]


def test_ties_share_the_gradient():
    assert gradient(lambda x: td.max(x), 1, 3, 3, 2) == [0, 0.5, 0.5, 0]
    assert gradient(lambda x: td.min(x), 1, 3, 1, 1) == pytest.approx([1 / 3, 0, 1 / 3, 1 / 3])
    assert gradient(lambda x: td.maximum(x[:1], x[1:]), 2, 2) == [0.5, 0.5]
    assert gradient(lambda x: td.minimum(x[:1], x[1:]), 2, 2) == [0.5, 0.5]
    assert gradient(lambda x: td.maximum(x, x), 2) == [1]
    matrix = td.tensor([[1.0, 1.0], [2.0, 1.0]])
    assert td.grad(lambda x: td.max(x, axis=1).sum())(matrix).tolist() == [[0.5, 0.5], [1, 0]]


BAD = [
    ("log", lambda x: td.log(x), -1.0),
    ("log at 0", lambda x: td.log(x), 0.0),
    ("sqrt", lambda x: td.sqrt(x), 0.0),
    ("sqrt of negative", lambda x: td.sqrt(x), -1.0),
    ("reciprocal", lambda x: 1 / x, 0.0),
    ("rsqrt", lambda x: td.rsqrt(x), 0.0),
    ("exp", lambda x: td.exp(x), 1000.0),
    ("pow", lambda x: x**0.5, 0.0),
    ("norm", lambda x: td.sqrt((x * x).sum()) + 0 * x, 0.0),
    ("asin", lambda x: td.asin(x), 1.0),
    ("acosh", lambda x: td.acosh(x), 1.0),
    ("atanh", lambda x: td.atanh(x), 1.0),
    ("nan", lambda x: x * float("nan"), 1.0),
    ("inf", lambda x: x * float("inf"), 1.0),
]


@pytest.mark.parametrize("name,branch,at", BAD, ids=[b[0] for b in BAD])
def test_the_branch_not_taken_gets_zero(name, branch, at):
    assert gradient(lambda x: td.where(x == at, 3 * x, branch(x)), at) == [3]
    assert gradient(lambda x: td.where(x == at, 0.0, branch(x)), at) == [0]
    assert gradient(lambda x: td.where(x != at, branch(x), 3 * x), at) == [3]
    x = td.tensor([at])
    second = td.hessian(lambda x: td.where(x == at, x * x, branch(x)).sum())(x)
    assert second.tolist() == [[2]]


def test_prod_at_zeros():
    for values in ([2, 3, 4], [0, 3, 4], [0, 0, 4], [0, 0, 0]):
        others = [float(np.prod(values[:i] + values[i + 1 :])) for i in range(3)]
        assert gradient(td.prod, *values) == others
        hessian = td.hessian(td.prod)(td.tensor(values, dtype=td.float64)).tolist()
        a, b, c = values
        assert hessian == [[0, c, b], [c, 0, a], [b, a, 0]]


@pytest.mark.parametrize("values", [[2, 3, 4, 5], [2, 0, 4, 5], [0, 3, 0, 5], [0, 0, 0, 0]], ids=str)
def test_cumulative_prod_at_zeros(values):
    x = td.tensor(values, dtype=td.float64)
    weights = td.tensor([1.0, -2.0, 3.0, 0.5], dtype=td.float64)

    def by_scan(x):
        return (td.cumulative_prod(x) * weights).sum()

    def by_products(x):
        return (td.stack([td.prod(x[: i + 1]) for i in range(4)]) * weights).sum()

    assert gradient(by_scan, *values) == pytest.approx(gradient(by_products, *values))
    want = td.hessian(by_products)(x).cpu().numpy()
    for hessian in (
        td.hessian(by_scan),
        td.jacfwd(td.grad(by_scan)),
        td.jacrev(td.grad(by_scan)),
        td.jacfwd(td.jacfwd(by_scan)),
    ):
        np.testing.assert_allclose(hessian(x).cpu().numpy(), want, atol=1e-13)


def test_running_extremes():
    assert td.cummax(td.tensor([1.0, 3.0, 2.0, float("nan"), 5.0])).tolist()[:3] == [1, 3, 3]
    assert np.isnan(td.cummax(td.tensor([1.0, float("nan"), 5.0])).tolist()[1:]).all()
    # The first of equal elements has the gradient.
    assert gradient(td.cummax, 1, 3, 3, 2, 4) == [1, 3, 0, 0, 1]
    assert gradient(td.cummin, 4, 4, 2, 3, 2) == [2, 0, 3, 0, 0]
    inf = float("inf")
    assert gradient(td.cummax, -inf, -inf, 1) == [2, 0, 1]
    assert gradient(td.logcumsumexp, -inf, 0.0) == [1, 1]
    assert td.logcumsumexp(td.tensor([-inf, 1e4, 1e4])).tolist() == pytest.approx(
        [-inf, 1e4, 1e4 + np.log(2)]
    )


def test_scans_of_an_axis():
    x = td.tensor([[1, 2], [3, 4]], dtype=td.int8)
    assert td.cumulative_sum(x, axis=1, include_initial=True).tolist() == [[0, 1, 3], [0, 3, 7]]
    assert td.cumulative_prod(x, 0, include_initial=True).tolist() == [[1, 1], [1, 2], [3, 8]]
    assert td.cumulative_sum(x, axis=0, dtype=td.float16).dtype == td.float16
    assert td.cumulative_sum(x[0]).dtype == td.int64
    for scan in (td.cumulative_sum, td.cummax):
        with pytest.raises(ValueError, match="axis"):
            scan(x)
        with pytest.raises(ValueError, match="axis"):
            scan(td.tensor(1.0))


def test_powers():
    def power_slope(x, n):
        return gradient(lambda x: x**n, x)[0]

    assert power_slope(0, 2) == 0
    assert power_slope(0, 1) == 1
    assert power_slope(0, 0) == 0
    assert power_slope(-2, 3) == 12
    assert power_slope(-2, -1) == -0.25
    assert gradient(lambda x: td.tensor([0.0], dtype=td.float64) ** x, 2) == [0]
    for k in range(1, 6):
        f = lambda x: x**5
        for _ in range(k):
            f = td.grad(f)
        expected = {1: 5, 2: 20, 3: 60, 4: 120, 5: 120}[k] * 2.0 ** (5 - k)
        assert float(f(td.tensor(2.0, dtype=td.float64))) == pytest.approx(expected, rel=1e-13)
    # At 0, where powers of x vanish or would divide by zero.
    f = lambda x: x**3
    assert [float(f(td.tensor(0.0)))] + [
        float(g(td.tensor(0.0))) for g in (td.grad(f), td.grad(td.grad(f)), td.grad(td.grad(td.grad(f))))
    ] == [0, 0, 0, 6]


def test_softmax_of_large_logits():
    for big in (1e4, -1e4):
        x = td.tensor([big, 0.0, 0.0], dtype=td.float64)
        for f in (td.softmax, td.log_softmax, lambda x: td.logsumexp(x)):
            assert np.isfinite(td.jacobian(f)(x).cpu().numpy()).all()
            assert np.isfinite(td.hessian(lambda x, f=f: f(x).sum())(x).cpu().numpy()).all()
    logits = td.tensor([[1e4, -1e4, 0.0]], dtype=td.float64)
    loss = lambda x: td.softmax_cross_entropy(x, td.tensor([1])).sum()
    assert td.grad(loss)(logits).tolist() == [[1, -1, 0]]


@pytest.mark.parametrize("at", [1e4, -1e4, 0.0], ids=str)
def test_saturated_activations(at):
    for f in (td.sigmoid, td.log_sigmoid, td.softplus, td.tanh, td.silu, td.gelu, td.erf):
        x = td.tensor(at, dtype=td.float64)
        for _ in range(3):
            assert np.isfinite(float(f(x)))
            f = td.grad(f)


# --- Accuracy where a formula that is right on paper would cancel or overflow

EDGES = {
    "asin": (lambda x: 1 / np.sqrt((1 - x) * (1 + x)), [1 - 1e-12, -1 + 1e-10, 1e-20]),
    "acos": (lambda x: -1 / np.sqrt((1 - x) * (1 + x)), [1 - 1e-12, -1 + 1e-10]),
    "atan": (lambda x: 1 / (1 + x * x), [1e10, 1e-5]),
    "asinh": (lambda x: 1 / np.hypot(x, 1), [1e200, -1e200, 1e-10]),
    "acosh": (lambda x: 1 / np.sqrt((x - 1) * (x + 1)), [1 + 1e-10, 1e200]),
    "atanh": (lambda x: 1 / ((1 - x) * (1 + x)), [1 - 1e-12, -1 + 1e-10]),
    "log1p": (lambda x: 1 / (1 + x), [1e-20, -1 + 1e-12]),
    "expm1": (np.exp, [1e-20, -700.0]),
    "rsqrt": (lambda x: -0.5 / (x * np.sqrt(x)), [1e-200, 1e200]),
    "sigmoid": (lambda x: np.exp(x) / (1 + np.exp(x)) ** 2, [-30.0, -700.0]),
    "softplus": (lambda x: np.exp(x) / (1 + np.exp(x)), [-700.0, 30.0]),
    "erfc": (lambda x: -2 / np.sqrt(np.pi) * np.exp(-x * x), [5.0, 20.0]),
    "gelu": (
        lambda x: 0.5 * special.erfc(-x / np.sqrt(2)) + x * np.exp(-x * x / 2) / np.sqrt(2 * np.pi),
        [-20.0],
    ),
}


@pytest.mark.parametrize("name", EDGES)
def test_accuracy_at_the_edges(name):
    closed_form, points = EDGES[name]
    for x in points:
        want = float(closed_form(np.float64(x) if name == "gelu" else np.longdouble(x)))
        assert gradient(getattr(td, name), x) == [pytest.approx(want, rel=1e-12, abs=0)], x


def test_infinite_arguments():
    inf = float("inf")
    for f, slopes in (
        (td.relu, [0, 1]),
        (td.silu, [0, 1]),
        (td.gelu, [0, 1]),
        (td.softplus, [0, 1]),
        (td.log_sigmoid, [1, 0]),
        (td.tanh, [0, 0]),
        (td.sigmoid, [0, 0]),
        (td.atan, [0, 0]),
        (td.asinh, [0, 0]),
    ):
        assert gradient(f, -inf, inf) == slopes


def test_angle_of_far_and_near_points():
    for r in (1e-200, 1.0, 1e200):
        a, b = (td.tensor(r, dtype=td.float64) for _ in range(2))
        slopes = td.grad(td.atan2, argnums=(0, 1))(a, b)
        assert [float(s) * r for s in slopes] == pytest.approx([0.5, -0.5], rel=1e-14)
        slopes = td.grad(td.hypot, argnums=(0, 1))(a, b)
        assert [float(s) for s in slopes] == pytest.approx([0.5**0.5] * 2, rel=1e-14)
