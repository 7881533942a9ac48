"""float16 and bfloat16: what has several steps is computed in float32 at least and rounded once."""

import math

import numpy as np
import pytest
import samplers as ops
import tidu as td
from tidu.nn import functional as F

HALVES = [td.float16, td.bfloat16]
EACH = pytest.mark.parametrize("dtype", HALVES, ids=str)
LARGE = {td.float16: 6e4, td.bfloat16: 3e38}


def half(values, dtype):
    return ops.to_tensor(values, dtype)


def exact(tensor):
    return ops.to_array(tensor).astype(np.float64)


def wide(tensor):
    return tensor.astype(td.float64) if tensor.dtype in HALVES else tensor


def rounded_once(got, want, dtype, message="", ulps=64.0, scale=None):
    ops.assert_close(got, exact(want), dtype, ulps=ulps, scale=scale, message=message)


def check(f, arguments, dtype, scale=None):
    """Value and the derivatives of both modes, beside those of the same numbers in float64."""
    widened = [wide(x) for x in arguments]
    rng = np.random.default_rng(3)
    y = f(*arguments)
    rounded_once(y, f(*widened), dtype, "value", scale=scale)
    w = half(rng.uniform(0.5, 2, y.shape), dtype)
    floats = tuple(i for i, x in enumerate(arguments) if x.dtype in HALVES)
    gradients = lambda *xs: td.vjp(f, *xs)[1](w.astype(f(*xs).dtype))
    for i in floats:
        want = gradients(*widened)[i]
        size = np.abs(exact(want)).max()
        rounded_once(
            gradients(*arguments)[i],
            want,
            dtype,
            f"gradient by {i}",
            ulps=16,
            scale=np.full(want.shape, size),
        )
        direction = [
            half(rng.uniform(-1, 1, x.shape), dtype) if j == i else None for j, x in enumerate(arguments)
        ]
        along = lambda x, i=i: lambda z: f(*[z if j == i else other for j, other in enumerate(x)])
        got = td.jvp(along(arguments), (arguments[i],), (direction[i],))[1]
        want = td.jvp(along(widened), (widened[i],), (wide(direction[i]),))[1]
        largest = max(np.abs(exact(want)).max(), np.abs(exact(gradients(*widened)[i])).max())
        rounded_once(got, want, dtype, f"tangent by {i}", ulps=64, scale=np.full(want.shape, largest))


# --- Losses

RNG = np.random.default_rng(17)
LABELS = td.tensor([1, 0, 3, 3, 2, 1])


def spread(dtype, low, high, shape=(6, 4)):
    return half(RNG.uniform(low, high, shape), dtype)


LOSSES = {
    "mse_loss": lambda d, r: (lambda p, t: F.mse_loss(p, t, reduction=r), spread(d, -9, 9), spread(d, -9, 9)),
    "l1_loss": lambda d, r: (lambda p, t: F.l1_loss(p, t, reduction=r), spread(d, -9, 9), spread(d, -9, 9)),
    "huber_loss": lambda d, r: (
        lambda p, t: F.huber_loss(p, t, 2.0, reduction=r),
        spread(d, -9, 9),
        spread(d, -9, 9),
    ),
    "binary_cross_entropy": lambda d, r: (
        lambda p, t: F.binary_cross_entropy(p, t, reduction=r),
        spread(d, 0.01, 0.99),
        spread(d, 0.1, 0.9),
    ),
    "binary_cross_entropy_with_logits": lambda d, r: (
        lambda x, t, w: F.binary_cross_entropy_with_logits(x, t, reduction=r, pos_weight=w),
        spread(d, -20, 20),
        spread(d, 0.1, 0.9),
        spread(d, 0.5, 3, (4,)),
    ),
    "cross_entropy": lambda d, r: (lambda x: F.cross_entropy(x, LABELS, reduction=r), spread(d, -9, 9)),
    "smoothed cross_entropy": lambda d, r: (
        lambda x: F.cross_entropy(x, LABELS, reduction=r, label_smoothing=0.3),
        spread(d, -9, 9),
    ),
    "cross_entropy that ignores": lambda d, r: (
        lambda x: F.cross_entropy(x, LABELS, reduction=r, ignore_index=3),
        spread(d, -9, 9),
    ),
    "cross_entropy of probabilities": lambda d, r: (
        lambda x, t: F.cross_entropy(x, t, reduction=r),
        spread(d, -9, 9),
        spread(d, 0.1, 0.9),
    ),
    "nll_loss": lambda d, r: (
        lambda x: F.nll_loss(x, LABELS, reduction=r, ignore_index=3),
        spread(d, -9, -1),
    ),
}


@EACH
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("name", LOSSES)
def test_losses(name, reduction, dtype):
    f, *arguments = LOSSES[name](dtype, reduction)
    scale = None
    if name == "binary_cross_entropy":
        scale = np.full(f(*arguments).shape, 10.0)
    check(f, arguments, dtype, scale)


def test_means_of_losses_beyond_the_type():
    """Squares that float16 does not hold, in a mean that it does; more rows than it counts to."""
    p = half(np.r_[np.full(99, 1.0), 1000.0], td.float16)
    zeros = td.zeros_like(p)
    assert float(F.mse_loss(p, zeros)) == float(half(10000.99, td.float16))
    assert float(F.huber_loss(p, zeros, 300.0)) == float(half(0.01 * (99 * 0.5 + 300 * 850), td.float16))
    np.testing.assert_array_equal(
        exact(td.grad(F.mse_loss)(p, zeros)), exact(half(exact(p) * 2 / 100, td.float16))
    )
    n = 1 << 17
    logits, labels = td.zeros((n, 2), dtype=td.float16), td.zeros((n,), dtype=td.int64)
    for ignore in (-100, 1):
        loss = lambda x, ignore=ignore: F.cross_entropy(x, labels, ignore_index=ignore)
        assert float(loss(logits)) == float(half(math.log(2), td.float16))
        np.testing.assert_array_equal(exact(td.grad(loss)(logits))[0], [-0.5 / n, 0.5 / n])
    scores = td.full((n, 2), -1.5, dtype=td.float16)
    assert float(F.nll_loss(scores, labels, ignore_index=1)) == 1.5
    assert float(td.grad(lambda x: F.nll_loss(x, labels))(scores)[0, 0]) == -1 / n
    p = td.full((n,), 0.5, dtype=td.float16)
    assert float(F.binary_cross_entropy(p, td.ones_like(p))) == float(half(math.log(2), td.float16))


@EACH
def test_cross_entropy_of_sure_rows(dtype):
    """1 - p is not lost where p rounds to 1."""
    x = half([[9.0, 0, 0, 0]], dtype)
    p = np.exp(exact(x)[0]) / np.exp(exact(x)).sum()
    labels = td.tensor([0])
    want = p - [1, 0, 0, 0]
    for loss in (F.cross_entropy, lambda x, labels: td.softmax_cross_entropy(x, labels).sum()):
        f = lambda x, loss=loss: loss(x, labels)
        for got in (td.grad(f)(x), td.jacfwd(f)(x)):
            ops.assert_close(got, want[None], dtype, ulps=4, scale=np.ones((1, 4)))
    hessian = td.hessian(lambda x: F.cross_entropy(x, labels))(x)
    ops.assert_close(hessian[0, :, 0], np.diag(p) - np.outer(p, p), dtype, ulps=8, scale=np.ones((4, 4)))


# --- Layers and functions

FUNCTIONS = {
    "layer_norm": lambda d: (
        lambda x, w, b: F.layer_norm(x, (16,), w, b),
        spread(d, -3, 3, (4, 16)),
        spread(d, -1, 1, (16,)),
        spread(d, -1, 1, (16,)),
    ),
    "layer_norm of large numbers": lambda d: (
        lambda x: F.layer_norm(x, (4,)),
        half([[-300, 300, 299, -290]], d),
    ),
    "softmax": lambda d: (lambda x: td.softmax(x, axis=0), spread(d, -6, 6, (8, 3))),
    "log_softmax": lambda d: (lambda x: td.log_softmax(x, axis=1), spread(d, -6, 6, (3, 8))),
    "logsumexp": lambda d: (lambda x: td.logsumexp(x, axis=(0, 2)), spread(d, -6, 6, (2, 3, 8))),
    "logcumsumexp": lambda d: (lambda x: td.logcumsumexp(x, axis=1), spread(d, -6, 6, (3, 8))),
    "mean": lambda d: (lambda x: td.mean(x, axis=1), spread(d, -3, 3, (3, 257))),
    "var": lambda d: (lambda x: td.var(x, axis=1), spread(d, -3, 3, (3, 257))),
    "std": lambda d: (lambda x: td.std(x, axis=1), spread(d, -3, 3, (3, 257))),
    "sum_of_squares": lambda d: (lambda x: td.sum_of_squares(x, axis=1), spread(d, -3, 3, (3, 257))),
    "prod": lambda d: (lambda x: td.prod(x, axis=1), spread(d, 0.5, 1.5, (3, 9))),
    "cumulative_prod": lambda d: (lambda x: td.cumulative_prod(x, axis=1), spread(d, 0.5, 1.5, (3, 9))),
    "scatter_multiply": lambda d: (
        lambda x, u: td.scatter_multiply(x, td.tensor([0, 0, 1, 0, 1]), u),
        spread(d, 0.5, 1.5, (3,)),
        spread(d, 0.5, 1.5, (5,)),
    ),
    "vecdot": lambda d: (td.vecdot, spread(d, 0.5, 3, (3, 257)), spread(d, 0.5, 3, (3, 257))),
    "dropout": lambda d: (lambda x: F.dropout(x, 0.1, td.random.key(3)), spread(d, -3, 3)),
    "sigmoid": lambda d: (td.sigmoid, half([-9, -4, 0.5, 3, 5, 8], d)),
    "tanh": lambda d: (td.tanh, half([-4, -3, 0.25, 2, 3, 5], d)),
}


@EACH
@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions(name, dtype):
    f, *arguments = FUNCTIONS[name](dtype)
    scale = None
    if name.startswith(("layer_norm", "log_softmax")):
        scale = np.full(f(*arguments).shape, 8.0)
    check(f, arguments, dtype, scale)


@EACH
@pytest.mark.parametrize("name", ["sigmoid", "tanh"])
def test_saturating_functions(name, dtype):
    """Their slopes are those at x, not those that the rounded result would have."""
    f = getattr(td, name)
    for at in (-8, -5, -2.5, 2.5, 4, 5, 7):
        x = half(at, dtype)
        y = float(f(wide(x)))
        first, second = (
            (y * (1 - y), y * (1 - y) * (1 - 2 * y))
            if name == "sigmoid"
            else (1 - y * y, -2 * y * (1 - y * y))
        )
        for got in (td.grad(f)(x), td.jvp(f, (x,), (td.ones_like(x),))[1]):
            assert float(got) == pytest.approx(first, rel=ops.EPSILON[dtype], abs=2.0**-23)
        assert float(td.grad(td.grad(f))(x)) == pytest.approx(
            second, rel=4 * ops.EPSILON[dtype], abs=2.0**-22
        )


# Functions whose rules take several steps.
SLOPES = {
    **{
        name: getattr(td, name)
        for name in [
            "reciprocal",
            "cbrt",
            "exp2",
            "tan",
            "atan",
            "atanh",
            "acosh",
            "silu",
            "gelu",
            "gelu_tanh",
            "mish",
            "erf",
            "erfc",
            "ndtr",
            "log_ndtr",
            "logit",
            "entr",
            "i0",
            "i1",
        ]
    },
    "atan2": lambda x: td.atan2(x, 1.5),
    "divide": lambda x: 3.0 / x,
    "pow": lambda x: td.abs(x) ** 2.5,
    "logaddexp": lambda x: td.logaddexp(x, 1.5),
    "xlogy": lambda x: td.xlogy(3.0, x),
    "xlog1py": lambda x: td.xlog1py(3.0, x),
}


@EACH
@pytest.mark.parametrize("name", SLOPES)
def test_slopes_at_every_number(name, dtype):
    """Within one unit in the last place of those in float64, where float32 holds what they are made of."""
    f = SLOPES[name]
    words = np.arange(2**16, dtype=np.uint32)
    kinds = {
        td.float16: words.astype(np.uint16).view(np.float16),
        td.bfloat16: (words << 16).view(np.float32),
    }
    numbers = kinds[dtype][np.isfinite(kinds[dtype])].astype(np.float64)
    numbers = numbers[np.abs(numbers) < 1e18]
    slope = td.grad(lambda x: td.sum(f(x)))
    want, got = slope(td.tensor(numbers)), exact(slope(td.tensor(numbers).astype(dtype)))
    want, rounded = exact(want), exact(want.astype(dtype))
    digits, least, most = (10, -24, 6e4) if dtype == td.float16 else (7, -133, 1e36)
    held = (np.abs(want) < most) & ((np.abs(want) > 1e-36) | (want == 0))
    unit = 2.0 ** np.maximum(np.frexp(want[held])[1] - 1 - digits, least)
    apart = np.abs(got[held] - rounded[held])
    assert (apart <= unit).all(), (numbers[held][np.argmax(apart / unit)], np.max(apart / unit))
    np.testing.assert_array_equal(np.isnan(got), np.isnan(rounded))


def test_products_that_the_type_does_not_hold():
    a = half([300, 300, 1], td.float16)
    assert float(td.vecdot(a, half([300, -300, 2], td.float16))) == 2
    assert td.vecdot(a, a.astype(td.float32)).dtype == td.float32
    assert td.vecdot(td.tensor([1, 2]), td.tensor([3, 4])).tolist() == 11
    x = half([300, 300, 0.001], td.float16)
    np.testing.assert_allclose(
        exact(td.grad(lambda x: td.cumulative_prod(x)[2])(x))[:2], 300 * exact(x)[2], rtol=2**-10
    )
    np.testing.assert_allclose(exact(td.grad(td.prod)(x))[:2], 300 * exact(x)[2], rtol=2**-10)


def test_small_deviations():
    """Of numbers that lie closer than float16 can say of their deviation."""
    x = half([0.0, 2.0**-24], td.float16)
    np.testing.assert_array_equal(exact(td.grad(td.std)(x)), [-0.5, 0.5])


def test_ties_are_counted_exactly():
    n = 3001
    places = td.zeros((n,), dtype=td.int64)
    for dtype in HALVES:
        u = td.ones((n,), dtype=dtype)
        for f in (lambda u: td.scatter_max(td.zeros_like(u[:1]), places, u).sum(), td.max):
            assert set(exact(td.grad(f)(u)).tolist()) == {float(half(1 / n, dtype))}


# --- Clipping


def parameters(*gradients, dtype=td.float32):
    result = []
    for g in gradients:
        p = td.zeros_like(ops.to_tensor(g, dtype))
        p.requires_grad = True
        p.grad = ops.to_tensor(g, dtype)
        result.append(p)
    return result


@pytest.mark.parametrize(
    ("dtype", "size"),
    [(td.float32, s) for s in (1e30, 3e38, 1e-30, 1e-40, 1.0)]
    + [(td.float64, s) for s in (1e200, 1e307, 1e-200, 1e-310, 1.0)]
    + [(td.float16, s) for s in (6e4, 1.0, 6e-8)]
    + [(td.bfloat16, s) for s in (3e38, 1.0, 1e-38)],
    ids=str,
)
def test_clipping_to_a_norm(dtype, size):
    units = [np.array([3.0, 0.0]) / 4, np.array([[-4.0], [0.0]]) / 4]
    ps = parameters(*[size * u for u in units], dtype=dtype)
    total = math.hypot(*(float(p.grad.astype(td.float64).abs().max()) for p in ps))
    norm = td.optim.clip_grad_norm_(ps, 0.5)
    assert norm.dtype == (td.float64 if dtype == td.float64 else td.float32)
    if total < (1e308 if dtype == td.float64 else 3.4e38):
        assert float(norm) == pytest.approx(total, rel=1e-6)
    factor = min(0.5 / (total + 1e-6), 1)
    rtol = 2 * ops.EPSILON[dtype] + (0 if dtype == td.float64 else 2.0**-149 / factor)  # a float32
    for p, u in zip(ps, units, strict=True):
        want = u * size * factor
        assert p.grad.dtype == dtype
        np.testing.assert_allclose(exact(p.grad), want, rtol=rtol, atol=2 * ops.TINY[dtype])


def test_clipping_many_large_halves():
    """The factor is smaller than any float16."""
    ps = parameters(np.full(1 << 20, 6e4), dtype=td.float16)
    assert float(td.optim.clip_grad_norm_(ps, 1024.0)) == pytest.approx(6e4 * 1024, rel=1e-6)
    np.testing.assert_array_equal(exact(ps[0].grad), 1.0)


def test_clipping_what_is_0_or_not_finite():
    ps = parameters(np.zeros(3), np.zeros((0, 2)))
    assert float(td.optim.clip_grad_norm_(ps, 1.0)) == 0
    assert ps[0].grad.tolist() == [0, 0, 0]
    ps = parameters([math.inf, 1.0])
    assert float(td.optim.clip_grad_norm_(ps, 1.0)) == math.inf
    ps = parameters([math.nan, 1.0], [2.0])
    assert math.isnan(float(td.optim.clip_grad_norm_(ps, 1.0)))


# --- Optimisers


@EACH
@pytest.mark.parametrize(
    ("optimizer", "options"),
    [
        (td.optim.SGD, {"lr": 0.1, "weight_decay": 0.1}),
        (td.optim.SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
        (td.optim.Adam, {"lr": 0.1}),
        (td.optim.AdamW, {"lr": 0.1}),
        (td.optim.RMSprop, {"lr": 0.1, "momentum": 0.5}),
    ],
    ids=str,
)
@pytest.mark.parametrize("size", [1.0, 2e-4])
def test_optimisers(optimizer, options, size, dtype):
    """A step is that of the same numbers in float32, rounded; the state is not rounded at all."""
    rng = np.random.default_rng(5)
    p = half(rng.normal(size=(7, 5)), dtype)
    p.requires_grad = True
    run = optimizer([p], **options)
    q = p.detach().astype(td.float32)
    q.requires_grad = True
    peer = optimizer([q], **options)
    for _ in range(6):
        g = half(size * rng.normal(size=(7, 5)), dtype)
        before = exact(p.detach())
        p.grad, q.grad = g, g.astype(td.float32)
        with td.no_grad():
            q[:] = p.detach().astype(td.float32)
        run.step()
        peer.step()
        assert p.dtype == dtype
        assert (exact(p.detach()) != before).any() or (optimizer is td.optim.SGD and size < 1)
        ops.assert_close(p.detach(), exact(q.detach()), dtype, ulps=0)


# --- Every rule


@EACH
@pytest.mark.parametrize("case", [c for c in ops.CASES.values() if c.differentiable], ids=str)
def test_derivatives_of_every_case(case, dtype):
    """Of the dtype of what is differentiated, and near those of the same numbers in float64."""
    if dtype not in case.dtypes:
        return
    arrays = case.arrays(7, dtype)
    rng = np.random.default_rng(8)

    def problem(of):
        inputs = [ops.to_tensor(a, case.dtype_of_input(i, of)) for i, a in enumerate(arrays)]
        moved = [inputs[i] for i in case.differentiable]

        def f(*xs):
            all_ = list(inputs)
            for i, x in zip(case.differentiable, xs, strict=True):
                all_[i] = x
            return case.function(*all_)

        return f, moved

    f, xs = problem(dtype)
    reference, wides = problem(td.float64)
    y, kept = f(*xs), reference(*wides)
    w = half(rng.uniform(0.5, 2, y.shape), dtype)
    directions = [half(rng.uniform(-1, 1, x.shape), dtype) for x in xs]

    def close(got, want, ulps, message, of=dtype):
        got_, want_ = exact(got), exact(want)
        assert got.dtype == of, message
        allowed = ulps * ops.EPSILON[dtype] * (np.abs(want_).max(initial=0) + 1)
        assert (np.abs(got_ - want_) <= allowed).all(), message

    gradients = td.vjp(f, *xs)[1](w.astype(y.dtype))
    wanted = td.vjp(reference, *wides)[1](w.astype(kept.dtype))
    for got, want in zip(gradients, wanted, strict=True):
        close(got, want, 4, "gradient")
    got = td.jvp(f, xs, directions)[1]
    close(got, td.jvp(reference, wides, [wide(d) for d in directions])[1], 8, "tangent", y.dtype)
    # f's gradient moves as that of float64 does.
    of_gradient = lambda f, w: lambda *xs: td.vjp(f, *xs)[1](w)
    moved = td.jvp(of_gradient(f, w.astype(y.dtype)), xs, directions)[1]
    wanted = td.jvp(of_gradient(reference, w.astype(kept.dtype)), wides, [wide(d) for d in directions])[1]
    for got, want in zip(moved, wanted, strict=True):
        close(got, want, 24, "second derivative")


@pytest.mark.parametrize("other", [td.float32, td.float64, td.int32], ids=str)
@EACH
def test_gradients_have_the_dtypes_of_what_they_are_of(dtype, other):
    x = half([1.5, 2.0, 3.0], dtype)
    y = td.tensor([2, 3, 1], dtype=other)
    for f in (
        td.multiply,
        td.add,
        td.divide,
        td.pow,
        td.hypot,
        td.maximum,
        td.logaddexp,
        td.vecdot,
        td.matmul,
        F.mse_loss,
    ):
        out = f(x, y)
        for i, of in enumerate((x, y)):
            if not ops.is_float(of.dtype):
                continue
            assert td.grad(lambda *xs, f=f: f(*xs).sum(), argnums=i)(x, y).dtype == of.dtype, f
            tangents = [td.ones_like(z) if j == i else td.zeros_like(z) for j, z in enumerate((x, y))]
            if ops.is_float(other):
                assert td.jvp(f, (x, y), tangents)[1].dtype == out.dtype, f
    leaf = half([1.0, 2.0], dtype)
    leaf.requires_grad = True
    (leaf.astype(td.float32) * td.tensor([2.0, 3.0])).sum().backward()
    assert leaf.grad.dtype == dtype
    assert leaf.grad.tolist() == [2, 3]


# --- Statistics, distributions, recurrent steps


def beside_float64(f, arguments, dtype, ulps=64.0):
    """f of 16-bit numbers is f of the same numbers in float64, rounded once."""
    given = [half(x, dtype) for x in arguments]
    rounded_once(f(*given), f(*map(wide, given)), dtype, ulps=ulps)


STATISTICS = {
    "cov": (td.cov, RNG.uniform(10, 11, (3, 50))),
    "corrcoef": (td.corrcoef, RNG.uniform(10, 11, (3, 50))),
    "cdist": (td.cdist, 100 * RNG.normal(size=(5, 30)), 100 * RNG.normal(size=(4, 30))),
    "trapezoid": (td.trapezoid, RNG.uniform(1, 2, (3, 900))),
    "trapezoid of large numbers": (lambda y: td.trapezoid(y, dx=0.001), np.full(5, 6e4)),
    "trapezoid over points": (td.trapezoid, RNG.uniform(1, 2, 90), np.sort(RNG.uniform(0, 1, 90))),
    "cumulative_trapezoid": (td.cumulative_trapezoid, RNG.uniform(1, 2, (3, 900))),
    "gradient": (lambda y: td.gradient(y, 1000.0), RNG.uniform(-6e4, 6e4, 9)),
    "gradient over points": (td.gradient, RNG.uniform(-6, 6, 9), np.sort(RNG.uniform(0, 99, 9))),
    "bincount": (lambda w: td.bincount(td.zeros((5000,), dtype=td.int64), w), np.ones(5000)),
    "histogram": (
        lambda x: td.histogram(x, 4, (0.0, 1.0), density=True).hist,
        RNG.uniform(0, 1, 1 << 17),
    ),
    "differences of differences": (lambda x: td.diff(x, 3), RNG.uniform(-6, 6, 9)),
    "cross": (td.linalg.cross, 100 * RNG.normal(size=(4, 3)), 100 * RNG.normal(size=(4, 3))),
    "einsum": (
        lambda *x: td.einsum("ij,jk,k->i", *x),
        RNG.uniform(200, 300, (4, 30)),
        RNG.uniform(200, 300, (30, 20)),
        RNG.uniform(0, 1e-6, 20),
    ),
    "local_response_norm": (lambda x: F.local_response_norm(x, 3), RNG.uniform(-300, 300, (2, 6, 5))),
    "alpha_dropout": (
        lambda x: F.alpha_dropout(x, 0.3, td.random.key(1), training=True),
        RNG.normal(size=(8, 9)),
    ),
    "dropout2d": (lambda x: F.dropout2d(x, 0.1, td.random.key(1)), RNG.normal(size=(8, 9, 2, 2))),
    "quantile": (lambda x: td.quantile(x, 0.37, 0), RNG.uniform(-6e4, 6e4, (7, 3))),
    "nanstd": (lambda x: td.nanstd(x, 1), np.where(RNG.random((6, 40)) < 0.3, math.nan, 99.5)),
    "orthogonalize": (td.optim.orthogonalize, 300 * RNG.normal(size=(3, 5))),
}


@EACH
@pytest.mark.parametrize("name", STATISTICS)
def test_statistics(name, dtype):
    f, *arguments = STATISTICS[name]
    beside_float64(f, arguments, dtype)


D = td.distributions
DISTRIBUTIONS = {  # a distribution of parameters, and values; probabilities are for quantiles
    "Normal": (D.Normal, (0.3, 0.9), (-300.0, 0.25, 3.0)),
    "LogNormal": (D.LogNormal, (0.3, 0.9), (0.1, 1.0, 30.0)),
    "HalfNormal": (D.HalfNormal, (0.9,), (0.1, 1.0, 30.0)),
    "Uniform": (D.Uniform, (100.0, 101.3), (100.5, 101.0)),
    "Exponential": (D.Exponential, (0.9,), (0.1, 1.0, 30.0)),
    "Gamma": (D.Gamma, (50.0, 0.9), (50.0, 57.0, 60.0)),
    "Beta": (D.Beta, (50.0, 60.0), (0.25, 0.5, 0.7)),
    "Laplace": (D.Laplace, (0.3, 0.9), (-30.0, 0.25, 3.0)),
    "Cauchy": (D.Cauchy, (0.3, 0.9), (-300.0, 0.25, 3.0)),
    "StudentT": (D.StudentT, (30.0, 0.3, 0.9), (-8.0, 0.25, 3.0)),
    "FisherSnedecor": (D.FisherSnedecor, (30.0, 40.0), (0.1, 1.0, 3.0)),
    "Gumbel": (D.Gumbel, (0.3, 0.9), (-1.0, 1.0, 9.0)),
    "GeneralizedPareto": (D.GeneralizedPareto, (0.3, 0.9, 0.2), (0.4, 3.0, 30.0)),
    "ContinuousBernoulli": (lambda x: D.ContinuousBernoulli(logits=x), (3.0,), (0.1, 0.5, 0.9)),
    "Bernoulli": (lambda x: D.Bernoulli(logits=x), (0.3,), (0.0, 1.0)),
    "Binomial": (lambda x: D.Binomial(300, logits=x), (0.3,), (100.0, 177.0)),
    "Geometric": (lambda x: D.Geometric(logits=x), (-3.0,), (1.0, 200.0)),
    "Poisson": (D.Poisson, (130.0,), (100.0, 200.0)),
}


@EACH
@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_distributions(name, dtype):
    make, parameters, values = DISTRIBUTIONS[name]
    ours = type(make(*parameters))
    for method in ("log_prob", "prob", "cdf", "icdf"):
        if method in ("cdf", "icdf") and not hasattr(ours, f"_{method}"):
            continue
        at = (0.1, 0.5, 0.9) if method == "icdf" else values
        beside_float64(lambda x, *p, m=method: getattr(make(*p), m)(x), (at, *parameters), dtype)
    for moment in ("mean", "variance", "stddev"):
        if ours.variance is not D.Distribution.variance and name != "Cauchy":
            beside_float64(lambda *p, m=moment: getattr(make(*p), m), parameters, dtype)
    if ours.entropy is not D.Distribution.entropy:
        beside_float64(lambda *p: make(*p).entropy(), parameters, dtype)


@EACH
def test_distributions_of_vectors(dtype):
    loc, x = RNG.normal(size=400), RNG.normal(size=400)
    of_normals = lambda x, loc: D.Independent(D.Normal(loc, td.ones_like(loc)), 1).log_prob(x)
    beside_float64(of_normals, (x, loc), dtype)
    log_prob = lambda x, a: D.Dirichlet(a).log_prob(x)
    beside_float64(log_prob, ([0.25, 0.25, 0.5], [20.0, 30.0, 40.0]), dtype)
    divergence = lambda a, b: D.kl_divergence(D.Gamma(a, b), D.Gamma(td.full_like(a, 50.0), td.ones_like(a)))
    beside_float64(divergence, (RNG.uniform(50, 60, 9), RNG.uniform(0.9, 1.1, 9)), dtype)
    factor = np.tril(RNG.normal(size=(3, 3))) + 3 * np.eye(3)
    of_factor = lambda x, l: D.MultivariateNormal(td.zeros(3, dtype=l.dtype), scale_tril=l).log_prob(x)
    beside_float64(of_factor, (100 * RNG.normal(size=(5, 3)), factor), dtype)


@EACH
@pytest.mark.parametrize("kind", ["RNNCell", "GRUCell", "LSTMCell"])
def test_recurrent_steps(kind, dtype):
    """But for the products, whose results are kept in 16 bits, a step rounds once: weights of zeros and ones
    make these exact."""
    cell = getattr(td.nn, kind)(1, 4, dtype=dtype)
    rows = cell.weight_ih.shape[0]
    values = RNG.uniform(-2, 2, (2, rows))
    sixteen = half(values, dtype)
    with td.no_grad():
        cell.weight_ih[...] = 0.0
        cell.weight_hh[...] = 0.0
        cell.bias_ih[...] = sixteen[0]
        cell.bias_hh[...] = sixteen[1]
    twin = getattr(td.nn, kind)(1, 4, dtype=td.float64)
    twin.load_state_dict({name: wide(x.detach()) for name, x in cell.named_parameters()})
    h = half(RNG.uniform(-1, 1, (3, 4)), dtype)
    x = td.ones((3, 1), dtype=dtype)
    state = (h, 2 * h) if kind == "LSTMCell" else h
    wide_state = (wide(h), 2 * wide(h)) if kind == "LSTMCell" else wide(h)
    got, want = cell(x, state), twin(wide(x), wide_state)
    # A state is a sum of terms of up to 2, which may cancel.
    for ours, exactly in zip(td.tree.leaves(got), td.tree.leaves(want), strict=True):
        rounded_once(ours.detach(), exactly.detach(), dtype, ulps=1, scale=2.0)


@pytest.mark.parametrize("dtype", [td.float16, td.bfloat16, td.int32], ids=str)
@pytest.mark.parametrize("axes", [(0, 2, 4), (1, 3), (0, 2), (2, 4)], ids=str)
def test_reductions_over_every_second_axis(axes, dtype):
    """In several steps, of which the later ones read wider numbers than the elements are."""
    x = td.reshape(td.arange(3 * 4 * 5 * 6 * 7) % 11, (3, 4, 5, 6, 7)).astype(dtype)
    wide = x.astype(td.float64).cpu().numpy()
    for name in ("sum", "mean", "var", "max", "min"):
        got = getattr(td, name)(x, axis=axes).astype(td.float64).cpu().numpy()
        np.testing.assert_allclose(got, getattr(np, name)(wide, axis=axes), rtol=2e-2)
