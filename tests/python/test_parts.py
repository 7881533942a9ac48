"""Reductions of what is made of each element: part by part, in the memory of a part."""

import warnings

import numpy as np
import pytest
import tidu as td

pytestmark = pytest.mark.cpu_only("parts of device cuda have 2^20 elements, which take the emulation minutes")

la = td.linalg
N = 2**21
LAYOUTS = {
    "row-major": lambda x: x,
    "reversed": lambda x: x[::-1],
    "transposed": lambda x: x.reshape(2048, -1).mT,
    "broadcast": lambda x: td.broadcast_to(x[:2048], (1024, 2048)),
}
REDUCTIONS = {
    "nansum": td.nansum,
    "nanprod": td.nanprod,
    "nanmean": td.nanmean,
    "nanvar": td.nanvar,
    "nanstd": td.nanstd,
    "nanmax": td.nanmax,
    "nanmin": td.nanmin,
    **{f"norm {p}": lambda x, p=p: la.vector_norm(x, ord=p) for p in (0, 1, 2, 3, 0.5, -1, np.inf, -np.inf)},
    "vecdot": lambda x: la.vecdot(x, x, axis=0),
    "allclose": lambda x: td.allclose(x, x),
    "array_equal": lambda x: td.array_equal(x, x),
    "prod": td.prod,
    "count_nonzero": td.count_nonzero,
    "trace": lambda x: la.trace(x) if x.ndim == 2 else td.sum(x),
    "matrix_norm": lambda x: la.matrix_norm(x) if x.ndim == 2 else td.sum(x),
    "matrix_norm 1": lambda x: la.matrix_norm(x, ord=1) if x.ndim == 2 else td.sum(x),
}
NOT_COMPLEX = {"nanmax", "nanmin"}


CASES = [
    (name, dtype)
    for name in REDUCTIONS
    for dtype in (td.float32, td.bfloat16, td.int8, td.complex64)
    if name not in NOT_COMPLEX or dtype != td.complex64
]


@pytest.mark.parametrize("name, dtype", CASES)
def test_memory_is_that_of_a_part(peak_bytes, name, dtype):
    stored = td.ones(N, dtype=dtype)
    for layout, view in LAYOUTS.items():
        assert peak_bytes(REDUCTIONS[name], view(stored)) < 2 * N, layout  # of 3 to 60 N for the whole


def with_nan(rng, shape, dtype=np.float64):
    x = rng.normal(size=shape).astype(dtype)
    if np.issubdtype(dtype, np.complexfloating):
        x += 1j * rng.normal(size=shape)
    x[(rng.random(shape) < 0.1) & (np.arange(shape[0]) > 1).reshape(-1, *[1] * (len(shape) - 1))] = np.nan
    return x


NUMPY = {
    "nansum": np.nansum,
    "nanprod": lambda x, **how: np.nanprod(x, **how),
    "nanmean": np.nanmean,
    "nanvar": np.nanvar,
    "nanstd": np.nanstd,
    "nanmax": np.nanmax,
    "nanmin": np.nanmin,
}
SHAPES = {
    (200_003,): (None, 0),
    (700, 300): (None, 0, 1, (0, 1)),
    (2, 100_000): (0, 1),
    (3,) * 11: (None, (0, 5), 10),
}


@pytest.mark.parametrize("name", NUMPY)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_nan_reductions_in_parts(rng, name, shape):
    x = with_nan(rng, shape)
    for axis in SHAPES[shape]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of nothing but NaN
            want = NUMPY[name](x, axis=axis)
        got = getattr(td, name)(td.tensor(x), axis=axis)
        np.testing.assert_allclose(got.numpy(), want, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_norms_and_products_in_parts(rng, shape):
    x = rng.normal(size=shape)
    z = np.exp(1j * x) * (1 + 1e-6 * x)
    for axis in SHAPES[shape]:
        over = axis if isinstance(axis, tuple) else tuple(range(x.ndim)) if axis is None else (axis,)
        for p in (1, 2, 3, 0.5, -1, np.inf, -np.inf):
            powers = np.abs(x) ** (p if np.isfinite(p) else 1)
            extreme = np.max if p > 0 else np.min
            want = powers.sum(over) ** (1 / p) if np.isfinite(p) else extreme(powers, over)
            got = la.vector_norm(td.tensor(x), axis=axis, ord=p)
            np.testing.assert_allclose(got.numpy(), want, rtol=1e-11)
        numbers = td.tensor(z)
        np.testing.assert_allclose(
            la.vector_norm(numbers, axis=axis).numpy(), np.sqrt((abs(z) ** 2).sum(over))
        )
        np.testing.assert_allclose(td.prod(numbers, axis=axis).numpy(), z.prod(over), rtol=1e-9)
        assert td.count_nonzero(numbers, axis=axis).numpy().tolist() == np.count_nonzero(z, over).tolist()


def test_vecdot_and_comparisons_in_parts(rng):
    x, y = rng.normal(size=(3, 300, 400)), rng.normal(size=(300, 400))
    for axis in (-1, -2):
        got = la.vecdot(td.tensor(x), td.tensor(y), axis=axis).numpy()
        np.testing.assert_allclose(got, (x * y).sum(axis), rtol=1e-11, atol=1e-11)
    other = x.copy()
    assert td.array_equal(td.tensor(x), td.tensor(other)) and td.allclose(td.tensor(x), td.tensor(other))
    other[2, 299, 399] += 1
    assert not td.array_equal(td.tensor(x), td.tensor(other)) and not td.allclose(
        td.tensor(x), td.tensor(other)
    )
    assert not td.allclose(td.tensor(x), td.tensor(y)) and td.allclose(td.zeros((300, 400)), td.zeros(400))
    with pytest.raises(td.ShapeError, match=r"\[allclose\]"):
        td.allclose(td.zeros((2, 3)), td.zeros(2))


def test_derivatives_where_a_part_is_zero(rng):
    """The norm of all is no tip where that of a part is one."""
    x = np.zeros(200_000)
    x[:1000] = rng.normal(size=1000)
    v = rng.normal(size=x.size)
    norm = np.linalg.norm(x)
    gradient = td.grad(la.vector_norm)(td.tensor(x)).numpy()
    np.testing.assert_allclose(gradient, x / norm, rtol=1e-12, atol=1e-15)
    want = (v - x / norm * (x @ v) / norm) / norm
    np.testing.assert_allclose(
        td.hvp(la.vector_norm, td.tensor(x), td.tensor(v)).numpy(), want, rtol=1e-9, atol=1e-12
    )


def test_ties_in_several_parts_share_a_gradient():
    x = td.zeros(200_000)
    x[td.tensor([5, 70_000, 199_999])] = td.tensor([3.0, -3.0, 3.0])
    share = td.grad(lambda y: la.vector_norm(y, ord=np.inf))(x)
    assert share[td.tensor([5, 70_000, 199_999])].tolist() == pytest.approx([1 / 3, -1 / 3, 1 / 3])
    largest = td.grad(td.nanmax)(x)
    assert largest[td.tensor([5, 70_000, 199_999])].tolist() == [0.5, 0.0, 0.5]


@pytest.mark.parametrize(
    "name", ["norm 2", "norm 3", "norm inf", "nansum", "nanvar", "nanstd", "nanmax", "vecdot"]
)
def test_compiled_parts_have_the_bits_of_eager(rng, name):
    function = REDUCTIONS[name]
    x = td.tensor(rng.normal(size=150_000).astype(np.float32))
    assert td.compile(function)(x).item() == function(x).item()
    eager, compiled = td.grad(function)(x), td.compile(td.grad(function))(x)
    assert td.array_equal(eager, compiled)


@pytest.mark.parametrize("scale", [1e-300, 1e-30, 1.0, 1e30, 1e300])
def test_nanstd_stays_in_the_range(scale):
    for dtype in (td.float32, td.float64, td.bfloat16):
        if dtype != td.float64 and not 1e-37 < scale < 1e37:
            continue
        x = td.tensor([1.0 * scale, td.nan, 2.0 * scale, 4.0 * scale], dtype=dtype)
        numbers = x[td.tensor([0, 2, 3])]
        assert td.nanstd(x).item() == pytest.approx(
            td.std(numbers).item(), rel=1e-2 if dtype == td.bfloat16 else 1e-6
        )
        slope = td.grad(td.nanstd)(x)[td.tensor([0, 2, 3])]
        assert slope.tolist() == pytest.approx(td.grad(td.std)(numbers).tolist(), rel=2e-2)


def test_diagonals_of_views(rng, peak_bytes):
    x = rng.normal(size=(5, 7))
    for view in (
        lambda a: a[::-1],
        lambda a: a[:, ::-2],
        lambda a: a.swapaxes(0, 1),
        lambda a: a[1:2] + 0 * a,
    ):
        for offset in (-2, 0, 1, 3):
            got = la.diagonal(view(td.tensor(x)), offset=offset)
            assert got.tolist() == np.diagonal(view(x), offset).tolist()
            slope = td.grad(lambda a, view=view, k=offset: la.trace(view(a) ** 2, offset=k))(td.tensor(x))
            want = td.grad(lambda a, view=view, k=offset: la.trace(td.copy(view(a)) ** 2, offset=k))(
                td.tensor(x)
            )
            assert slope.tolist() == want.tolist()
    square = td.ones((1000, 1000))
    for view in (lambda a: a.mT, lambda a: a[::-1, :], lambda a: td.broadcast_to(a[0], (1000, 1000))):
        assert peak_bytes(la.diagonal, view(square)) < 100_000
