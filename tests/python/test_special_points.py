"""Derivatives of order 1 and 2 at special points, against limits: zeros, infinities, ends of domains, NaN."""

import math

import numpy as np
import pytest
import samplers as ops
import tidu as td

INF, NAN = math.inf, math.nan


def t(values, dtype=td.float64):
    return ops.to_tensor(values, dtype)


def same(got, want, rtol=1e-12, atol=0.0):
    np.testing.assert_allclose(ops.to_array(got).astype(np.float64), want, rtol=rtol, atol=atol)


def both_modes(f, x):
    """The Jacobian by either mode: rows of what forward mode knows only by columns."""
    return td.jacrev(f)(x), td.jacfwd(f)(x)


def all_pairings(f, x):
    return [outer(inner(f))(x) for outer in (td.jacrev, td.jacfwd) for inner in (td.jacrev, td.jacfwd)]


# --- One argument


@pytest.mark.parametrize("dtype", [td.float32, td.float64], ids=str)
@pytest.mark.parametrize("name", ops.LIMITS)
def test_functions_of_one_argument(name, dtype):
    f, rtol = ops.row_function(name), 8 * ops.EPSILON[dtype]
    for point, (first, second) in ops.LIMITS[name].items():
        x = t(point, dtype)
        for got in both_modes(f, x):
            same(got, first, rtol)
        for got in all_pairings(f, x):
            same(got, second, rtol, atol=1e-300)


def test_every_differentiable_function_of_one_argument_has_its_limits():
    rows = [c for c in ops.ELEMENTWISE if len(c.inputs) == 1 and c.differentiable]
    assert {c.name.split(",")[0] for c in rows} <= ops.LIMITS.keys()


# --- Two arguments. (f_a, f_b), ((f_aa, f_ab), (f_ba, f_bb)); None where there is no limit.

LOG23 = math.log(23)
PAIRS = {
    "pow": {
        (23, 0): ((0, LOG23), ((0, 1 / 23), (1 / 23, LOG23**2))),
        (23, 1): ((1, 23 * LOG23), ((0, LOG23 + 1), (LOG23 + 1, 23 * LOG23**2))),
        (1, 0): ((0, 0), ((0, 1), (1, 0))),
        (0, 1): ((1, 0), ((0, -INF), (-INF, 0))),
        (0, 2): ((0, 0), ((2, 0), (0, 0))),
        (0, 3): ((0, 0), ((0, 0), (0, 0))),
        (-2, 3): ((12, None), ((-12, None), (None, None))),
        (-2, 0): ((0, None), ((0, None), (None, None))),
        (INF, -1): ((0, 0), ((0, 0), (0, 0))),
    },
    "hypot": {
        (0, 0): ((0, 0), ((0, 0), (0, 0))),
        (3, 0): ((1, 0), ((0, 0), (0, 1 / 3))),
        (0, -2): ((0, -1), ((0.5, 0), (0, 0))),
        (NAN, 0): ((NAN, NAN), None),
    },
    "logaddexp": {
        (1e8, 1e8): ((0.5, 0.5), ((0.25, -0.25), (-0.25, 0.25))),
        (INF, 1): ((1, 0), ((0, 0), (0, 0))),
        (100, INF): ((0, 1), ((0, 0), (0, 0))),
        (INF, -INF): ((1, 0), ((0, 0), (0, 0))),
        (-INF, 1): ((0, 1), ((0, 0), (0, 0))),
        (-INF, -INF): ((0, 0), ((0, 0), (0, 0))),
        (INF, INF): ((NAN, NAN), None),
        (NAN, 1): ((NAN, NAN), None),
        (-INF, NAN): ((NAN, NAN), None),
        (NAN, INF): ((NAN, NAN), None),
    },
    "maximum": {(1, 1): ((0.5, 0.5), ((0, 0), (0, 0))), (INF, -INF): ((1, 0), ((0, 0), (0, 0)))},
    "minimum": {(1, 1): ((0.5, 0.5), ((0, 0), (0, 0))), (INF, -INF): ((0, 1), ((0, 0), (0, 0)))},
    "divide": {
        (0, 2): ((0.5, 0), ((0, -0.25), (-0.25, 0))),
        (1, INF): ((0, 0), ((0, 0), (0, 0))),
        (1, 0): ((INF, -INF), ((0, -INF), (-INF, INF))),
    },
    "xlogy": {
        (0, 2): ((math.log(2), 0), ((0, 0.5), (0.5, 0))),
        (0, 0): ((-INF, 0), ((0, INF), (INF, 0))),
    },
    "xlog1py": {
        (0, 1): ((math.log(2), 0), ((0, 0.5), (0.5, 0))),
        (0, -1): ((-INF, 0), ((0, INF), (INF, 0))),
    },
    "multiply": {(0, INF): ((INF, 0), ((0, 1), (1, 0))), (0, 0): ((0, 0), ((0, 1), (1, 0)))},
}


@pytest.mark.parametrize("dtype", [td.float32, td.float64], ids=str)
@pytest.mark.parametrize("name", PAIRS)
def test_functions_of_two_arguments(name, dtype):
    f, rtol = getattr(td, name), 16 * ops.EPSILON[dtype]

    def compare(got, want):
        if want is not None:
            same(got, want, rtol, atol=1e-300)

    for point, (first, second) in PAIRS[name].items():
        x = [t(value, dtype) for value in point]
        for i in range(2):
            compare(td.grad(f, argnums=i)(*x), first[i])
            moved = [td.tensor(float(j == i), dtype=dtype) for j in range(2)]
            if first[i] is not None:
                compare(td.jvp(f, x, moved)[1], first[i])
            for j in range(2) if second else ():
                compare(td.grad(td.grad(f, argnums=i), argnums=j)(*x), second[i][j])
                by_j = [td.tensor(float(k == j), dtype=dtype) for k in range(2)]
                if second[i][j] is not None:
                    compare(td.jvp(td.grad(f, argnums=i), x, by_j)[1], second[i][j])


def test_powers_one_argument_at_a_time():
    """The derivative by the base at exponent 0 is the constant 0, but not one to differentiate as such."""
    x, y = t(23.0), t(0.0)
    by_base = lambda y: td.grad(lambda x: x**y)(x)
    by_exponent = lambda x: td.grad(lambda y: x**y)(y)
    assert float(by_base(y)) == 0
    assert float(td.grad(by_base)(y)) == float(td.grad(by_exponent)(x)) == pytest.approx(1 / 23)
    assert float(td.jvp(by_base, (y,), (t(1.0),))[1]) == pytest.approx(1 / 23)
    assert float(td.grad(td.grad(by_base))(y)) == pytest.approx(2 * LOG23 / 23)


@pytest.mark.parametrize("dtype", ops.FLOATS, ids=str)
def test_remainder_changes_by_the_quotient_that_it_took(dtype):
    """Also where the quotient rounds up to an integer, and at negative ones."""
    below = np.nextafter(np.float64(6), 0) if dtype == td.float64 else 6 - 4 * ops.EPSILON[dtype]
    for a, b, quotient in (
        (below, 2, 2),
        (-below, 2, -3),
        (below, -2, -3),
        (-7, 3, -3),
        (7, -3, -3),
        (7, 3, 2),
    ):
        x, y = t(a, dtype), t(b, dtype)
        assert float(td.floor_divide(x, y)) == quotient
        for i, want in enumerate((1, -quotient)):
            assert float(td.grad(td.remainder, argnums=i)(x, y)) == want


# --- Weights of exponentials

BIG = {td.float16: 6e4, td.bfloat16: 1e8, td.float32: 1e8, td.float64: 1e15}


def weights(values):
    """How log(sum(exp(values))) moves with each, in the limit."""
    x = np.asarray(values, np.float64)
    if np.isnan(x).any():
        return np.full_like(x, NAN)
    if (x == INF).any():
        return np.where(x == INF, 1 if (x == INF).sum() == 1 else NAN, 0)
    if (x == -INF).all():
        return np.zeros_like(x)
    e = np.exp(x - x.max())
    return e / e.sum()


def curvature(values):
    p = weights(values)
    return np.diag(p) - np.outer(p, p)


def rows_of(dtype):
    big = BIG[dtype]
    return [
        [0.5, -1, 2],
        [big, big],
        [-big, -big, -big],
        [big, 0, -big],
        [INF, 1],
        [1, INF, 100],
        [big, INF],
        [INF, -INF],
        [INF, INF, 1],
        [-INF, -INF],
        [-INF, 1, 1],
        [NAN, 1],
        [1, -INF, NAN],
        [NAN, INF],
        [INF, INF],
        [-INF],
        [INF],
        [0] * 100,
    ]


def tolerance(dtype):
    """One rounding to the dtype of what is computed in float32 at least."""
    return {
        "rtol": ops.EPSILON[dtype] / 2 + 8 * min(ops.EPSILON[dtype], ops.EPSILON[td.float32]),
        "atol": 1e-7,
    }


@pytest.mark.parametrize("dtype", ops.FLOATS, ids=str)
def test_weights_of_logsumexp(dtype):
    for row in rows_of(dtype):
        x = t(row, dtype)
        for got in both_modes(td.logsumexp, x):
            assert got.dtype == dtype
            same(got, weights(row), **tolerance(dtype))
        if not np.isnan(weights(row)).any():
            for got in all_pairings(td.logsumexp, x):
                same(got, curvature(row), rtol=4 * ops.EPSILON[dtype], atol=2 * ops.EPSILON[dtype])


@pytest.mark.parametrize("dtype", [td.float32, td.float64], ids=str)
def test_weights_along_any_axes(dtype):
    rows = np.array([[0.5, INF, -1, 2], [-INF] * 4, [1, 2, NAN, 3], [INF, INF, 0, 1], [1e6, 1e6, 1e6, 0]])
    want = np.stack([weights(row) for row in rows])
    both = np.where(np.isnan(rows), 0, np.where(np.isinf(rows), 3, rows))
    for x, axes, total in (
        (t(rows, dtype), 1, want),
        (t(rows.T.copy(), dtype), 0, want.T),
        (t(rows.reshape(5, 2, 1, 2), dtype), (1, 3), want.reshape(5, 2, 1, 2)),
        (
            t(rows.reshape(5, 2, 2).transpose(1, 0, 2).copy(), dtype),
            (0, 2),
            want.reshape(5, 2, 2).transpose(1, 0, 2),
        ),
        (t(both, dtype), None, weights(both.reshape(-1)).reshape(both.shape)),
    ):
        for keepdims in (False, True):
            f = lambda x, axes=axes, keepdims=keepdims: td.logsumexp(x, axis=axes, keepdims=keepdims)
            same(td.grad(lambda x, f=f: f(x).sum())(x), total, **tolerance(dtype))
            moved = td.jvp(f, (x,), (td.ones_like(x),))[1]
            sums = np.nansum(total, axis=axes, keepdims=keepdims)
            broken = np.isnan(total).any(axis=axes, keepdims=keepdims)
            same(moved, np.where(broken, NAN, sums), **tolerance(dtype))


@pytest.mark.parametrize("dtype", ops.FLOATS, ids=str)
def test_weights_of_logcumsumexp(dtype):
    for row in rows_of(dtype):
        want = np.zeros((len(row), len(row)))
        want[0, 0] = NAN if np.isnan(row[0]) else 1  # the first result is the first element
        for k in range(1, len(row)):
            want[k, : k + 1] = weights(row[: k + 1])
            if np.isnan(row[k]):  # which gives none to an element that had none before
                want[k, :k] = np.where(want[k - 1, :k] == 0, 0, NAN)
        for got in both_modes(td.logcumsumexp, t(row, dtype)):
            same(got, want, **tolerance(dtype))


@pytest.mark.parametrize("row", [[0.5, -1, 2, 1], [1e8] * 4, [-1e8, 0, 0, 1e8], [1, INF, 100, 2]], ids=str)
def test_curvature_of_logcumsumexp(row):
    factors = [1.0, -2.0, 3.0, 0.5]
    want = np.zeros((4, 4))
    for k, factor in enumerate(factors):
        want[: k + 1, : k + 1] += factor * curvature(row[: k + 1])
    for dtype in (td.float32, td.float64):
        f = lambda x, dtype=dtype: (td.logcumsumexp(x) * t(factors, dtype)).sum()
        for got in all_pairings(f, t(row, dtype)):
            same(got, want, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", ops.FLOATS, ids=str)
def test_weights_where_a_logarithm_is_rounded_coarsely(dtype):
    """A hundred equal elements: their logarithm of the sum rounds by more than its weights may."""
    x = t(np.full((4, 100), 7.0), dtype)
    w = t(np.linspace(1, 2, 100), dtype)
    for f in (td.logsumexp, lambda x, axis: td.logcumsumexp(x, axis=axis)[:, -1]):
        same(td.grad(lambda x, f=f: f(x, axis=1).sum())(x), np.full((4, 100), 0.01), **tolerance(dtype))
    g = ops.to_array(w).astype(np.float64)
    want = 0.01 * (g - g.mean())
    for got in (
        td.grad(lambda x: (td.softmax(x, axis=1) * w).sum())(x),
        td.jvp(lambda x: td.softmax(x, axis=1), (x,), (td.broadcast_to(w, x.shape),))[1],
    ):
        same(got, np.broadcast_to(want, (4, 100)), rtol=tolerance(dtype)["rtol"], atol=4e-9)
    want = g - 0.01 * g.sum()
    same(
        td.grad(lambda x: (td.log_softmax(x, axis=1) * w).sum())(x),
        np.broadcast_to(want, (4, 100)),
        rtol=tolerance(dtype)["rtol"],
        atol=1e-5,
    )


# --- Tips of cones

NORMS = {
    "abs": lambda x: td.abs(x).sum(),
    "hypot": lambda x: td.hypot(x[0], x[1]),
    "hypot of three": lambda x: td.hypot(td.hypot(x[0], x[1]), x[2]),
    "std": td.std,
    "std, corrected": lambda x: td.std(x, correction=1),
}


@pytest.mark.parametrize("dtype", ops.FLOATS, ids=str)
@pytest.mark.parametrize("name", NORMS)
def test_tips_of_cones(name, dtype):
    """Where a norm is 0, its first and its second derivatives are 0."""
    points = [[0.0] * 3] if not name.startswith("std") else [[0.0] * 3, [0.1] * 3, [-7.0] * 3]
    for point in points:
        x = t(point, dtype)
        for got in both_modes(NORMS[name], x):
            same(got, np.zeros(3))
        for got in all_pairings(NORMS[name], x):
            same(got, np.zeros((3, 3)))
    assert np.isnan(ops.to_array(td.grad(NORMS[name])(t([NAN] * 3, dtype)))).any()


def test_deviations_of_numbers_far_from_zero():
    """The mean of these does not fit float32, the deviations from it do."""
    x = np.array([1e8, 1e8 + 8, 1e8 + 8])
    want = 2 / 3 * (x - x.mean())
    same(td.grad(td.var)(t(x, td.float32)), want, rtol=1e-6)
    same(td.grad(td.std)(t(x, td.float32)), want / (2 * x.std()), rtol=1e-6)
