"""Complex numbers: dtypes, what takes them, what refuses them, and derivatives by their parts."""

import operator

import mpmath
import numpy as np
import pytest
import tidu as td
from samplers import REFERENCES

DTYPES = [td.complex64, td.complex128]
EPSILON = {td.complex64: 2.0**-23, td.complex128: 2.0**-52}
CIRCULAR = ["sin", "cos", "tan", "asin", "acos", "atan"]
TRIGONOMETRIC = [*CIRCULAR, "sinh", "cosh", "tanh", "asinh", "acosh", "atanh"]
EXPONENTIAL = ["exp", "expm1", "log", "log2", "log10", "log1p", *TRIGONOMETRIC]
HOLOMORPHIC = ["negative", "square", "reciprocal", "sqrt", "rsqrt", *EXPONENTIAL]
UNARY = {name: REFERENCES[name] for name in [*HOLOMORPHIC, "sign"]} | {"conj": np.conj, "round": np.round}
REAL = {"abs": np.abs, "real": np.real, "imag": np.imag, "angle": np.angle}
BINARY = {name: REFERENCES[name] for name in ("add", "subtract", "multiply", "divide")} | {"pow": np.power}


def draw(*shape, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=shape) + 1j * rng.normal(size=shape)


def tensor(array, dtype=td.complex128):
    return td.tensor(np.asarray(array)).astype(dtype)


def array(x):
    return x.detach().cpu().numpy()


def close(got, want, dtype, ulps=8):
    assert got.dtype is dtype
    size = np.abs(want).max(initial=1)
    np.testing.assert_allclose(
        array(got),
        want,
        rtol=ulps * EPSILON.get(dtype, 2.0**-52),
        atol=ulps * EPSILON.get(dtype, 2.0**-52) * size,
    )


# --- Dtypes, creation, exchange


def test_dtypes():
    assert td.isdtype(td.complex64, "complex floating") and td.isdtype(td.complex128, "numeric")
    assert not td.isdtype(td.complex64, "real floating") and not td.complex64.is_floating_point
    assert td.finfo(td.complex64).eps == 2.0**-23 and td.finfo(td.complex128).dtype is td.float64
    assert td.dtype(complex) == td.complex64 and td.dtype(np.complex128) == td.complex128
    assert td.can_cast(td.float32, td.complex64) and not td.can_cast(td.float64, td.complex64)


@pytest.mark.parametrize("a", DTYPES, ids=str)
@pytest.mark.parametrize(
    "b", ["bool", "int32", "uint64", "float16", "float32", "float64", "complex64", "complex128"]
)
def test_promotion(a, b):
    wide = td.complex128 in (a, td.dtype(b)) or b == "float64"
    want = td.complex128 if wide else td.complex64
    assert td.result_type(a, td.dtype(b)) is want
    assert (td.ones(2, dtype=a) * td.ones(2, dtype=b)).dtype is want


def test_python_numbers_are_weak():
    for dtype, want in [
        (td.int32, td.complex64),
        (td.float32, td.complex64),
        (td.float64, td.complex128),
        (td.complex64, td.complex64),
    ]:
        x = td.ones(2, dtype=dtype)
        y = x + 2j
        assert y.dtype is want and y.tolist() == [1 + 2j, 1 + 2j]
        assert td.result_type(dtype, 1j) is want
    z = td.tensor([1 + 2j])
    assert (z * 2).dtype is td.complex64 and (2.5 * z).tolist() == [2.5 + 5j]
    assert (1 / td.tensor([2j])).tolist() == [-0.5j]


def test_creation_and_numbers():
    assert td.tensor([1 + 2j, 3]).dtype is td.complex64
    assert td.tensor([[1, 2j]], dtype=td.complex128).tolist() == [[1, 2j]]
    assert td.full((2,), 1 - 1j).tolist() == [1 - 1j] * 2
    assert td.zeros((2,), dtype=td.complex64).tolist() == [0j, 0j]
    assert td.ones_like(tensor([2j])).tolist() == [1]
    assert td.eye(2, dtype=td.complex64).tolist() == [[1, 0], [0, 1]]
    assert td.arange(3, dtype=td.complex64).tolist() == [0, 1, 2]
    z = td.tensor(3 - 4j)
    assert z.item() == complex(z) == 3 - 4j and complex(td.tensor(2.0)) == 2
    with pytest.raises(TypeError):
        float(z)
    with pytest.raises(td.DTypeError, match="float32"):
        td.full((2,), 1j, dtype=td.float32)
    with pytest.raises(td.DTypeError, match="float32"):
        td.tensor([1j], dtype=td.float32)


def test_printing():
    assert repr(td.tensor([1 + 2j, -0.5j]).cpu()) == "tensor([ 1.+2.j , -0.-0.5j], dtype=complex64)"
    assert str(td.program(lambda z: z * (1 - 2j))(td.tensor([1j]))).count("complex64") >= 2


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_numpy_and_dlpack(dtype):
    values = draw(2, 3).astype(str(dtype))
    x = td.tensor(values)
    assert x.dtype is dtype
    np.testing.assert_array_equal(array(x), values)
    np.testing.assert_array_equal(array(x.T), values.T)
    shared = td.from_numpy(values)
    values[0, 0] = 5j
    assert shared[0, 0].item() == 5j
    np.testing.assert_array_equal(np.from_dlpack(shared), values)
    np.testing.assert_array_equal(array(td.from_dlpack(values)), values)


def test_astype():
    z = tensor([1 + 2j, 0])
    assert z.astype(td.complex64).dtype is td.complex64 and z.astype(td.bool).tolist() == [True, False]
    assert td.tensor([1, 0]).astype(td.complex128).tolist() == [1, 0]
    with pytest.raises(td.DTypeError, match=r"astype.*complex128.*imaginary part \(take real, imag or abs"):
        z.astype(td.float64)


def test_files(tmp_path):
    values = {"a": tensor(draw(3), td.complex64)}
    td.io.save(tmp_path / "x.safetensors", values)
    np.testing.assert_array_equal(array(td.io.load(tmp_path / "x.safetensors")["a"]), array(values["a"]))
    with pytest.raises(td.DTypeError, match="complex128"):
        td.io.save(tmp_path / "y.safetensors", {"a": tensor(draw(3))})


# --- Parts


def test_views_of_parts():
    z = tensor(draw(2, 3))
    parts = td.view_as_real(z)
    assert parts.shape == (2, 3, 2) and td.view_as_complex(parts).tolist() == z.tolist()
    with td.no_grad():
        parts[0, 0, 1] = 7.0
    assert td.imag(z)[0, 0].item() == 7
    # Pairs that do not lie side by side are copied.
    swapped = td.tensor(np.arange(8.0).reshape(2, 4))
    assert td.view_as_complex(td.permute_dims(swapped, (1, 0))).tolist() == [0 + 4j, 1 + 5j, 2 + 6j, 3 + 7j]
    assert td.complex(td.tensor([1.0, 2.0]), td.tensor(3.0)).tolist() == [1 + 3j, 2 + 3j]
    with pytest.raises(td.DTypeError, match="view_as_real"):
        td.view_as_real(td.ones(2))
    with pytest.raises(td.ShapeError, match="view_as_complex"):
        td.view_as_complex(td.ones(3))


# --- Values


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", [*UNARY, *REAL])
def test_unary(name, dtype):
    for scale in (0.1, 1, 5):
        values = (scale * draw(5, 7)).astype(str(dtype))
        want = {**UNARY, **REAL}[name](values.astype(np.complex128))
        result = dtype if name in UNARY else td.finfo(dtype).dtype
        allowed = 40 * EPSILON[dtype] * (np.abs(want) + 0.1 * np.abs(want).max())
        got = getattr(td, name)(td.tensor(values))
        assert got.dtype is result
        assert (np.abs(array(got) - want) <= allowed).all()
        np.testing.assert_array_equal(array(getattr(td, name)(td.tensor(values.T).T)), array(got))


EXACT = {name: getattr(mpmath, name) for name in ["sqrt", "exp", "log", "expm1", "log1p", *TRIGONOMETRIC]}


@pytest.mark.parametrize("name", EXACT)
def test_accuracy(name):
    """Against 40 digits, as a whole number, also where the parts differ much in size."""
    rng = np.random.default_rng(1)
    sizes = 10.0 ** rng.uniform(-12, 1, (2, 60)) * rng.choice([-1, 1], (2, 60))
    values = np.concatenate([sizes[0] + 1j * sizes[1], np.exp(1j * rng.uniform(-3, 3, 20)), draw(40)])
    with mpmath.workdps(40):
        want = np.array([complex(EXACT[name](mpmath.mpc(z))) for z in values])
    got = array(getattr(td, name)(tensor(values)))
    error = np.abs(got - want) / np.maximum(np.abs(want), 1e-300)
    assert error.max() < 2e-15, (values[error.argmax()], error.max())


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_signs_of_zero(dtype):
    """The array API's: expm1 keeps the sign of the imaginary part alone, sign none."""
    zeros = td.tensor(np.array([complex(x, y) for x in (0.0, -0.0) for y in (0.0, -0.0)]).astype(str(dtype)))
    for name, negative in (("expm1", [False, True] * 2), ("sign", [False] * 4)):
        got = array(getattr(td, name)(zeros))
        assert (got == 0).all() and not np.signbit(got.real).any(), name
        assert np.signbit(got.imag).tolist() == negative, name
    assert td.grad(lambda z: td.real(td.sign(z)).sum())(zeros).tolist() == [0] * 4


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", ["exp", "sinh", "cosh", "sin", "cos"])
def test_where_exp_alone_is_too_large(name, dtype):
    """exp(x) is infinite, exp(x) sin(y) not."""
    x, y = (89.0, 1e-30) if dtype is td.complex64 else (710.0, 1e-300)
    z = np.array([complex(x, y), complex(x, -y)]).astype(str(dtype))
    z = z * np.array(1j).astype(z.dtype) if name in ("sin", "cos") else z
    small = {"exp": np.imag, "sinh": np.imag, "cosh": np.imag, "sin": np.real, "cos": np.imag}[name]
    with mpmath.workdps(40):
        want = [small(complex(EXACT[name](mpmath.mpc(v)))) for v in z.astype(np.complex128)]
    np.testing.assert_allclose(small(array(getattr(td, name)(td.tensor(z)))), want, rtol=4 * EPSILON[dtype])


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", BINARY)
def test_binary(name, dtype):
    a, b = draw(4, 5).astype(str(dtype)), draw(5, seed=1).astype(str(dtype))
    want = BINARY[name](a.astype(np.complex128), b.astype(np.complex128))
    got = getattr(td, name)(td.tensor(a), td.tensor(b))
    assert got.dtype is dtype
    np.testing.assert_allclose(array(got), want, rtol=40 * EPSILON[dtype])
    real = b.real.copy()
    np.testing.assert_allclose(
        array(getattr(td, name)(td.tensor(a), td.tensor(real))),
        BINARY[name](a.astype(np.complex128), real.astype(np.float64)),
        rtol=40 * EPSILON[dtype],
    )


def test_powers():
    z = tensor(draw(5))
    for n in (0, 1, 2, 3, -1, -2, 0.5, 2.5, 1j):
        np.testing.assert_allclose(array(z**n), array(z) ** n, rtol=1e-14)
    assert (td.zeros(1, dtype=td.complex64) ** td.tensor([2.0 + 1j])).tolist() == [0]


@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        *((name, name) for name in ("exp", "log", "sqrt", "sinh", "cosh", "tanh", "sin", "cos", "tan")),
        *((f"a{name}", f"arc{name}") for name in ("sinh", "cosh", "tanh", "sin", "cos", "tan")),
    ],
)
@pytest.mark.parametrize("dtype", [td.complex64, td.complex128], ids=str)
def test_zeros_infinities_and_nan(name, theirs, dtype):
    """As C's Annex G has them, and NumPy from it; signs of zeros and infinities where it says them."""
    ends = [0.0, -0.0, 0.7, -0.7, 2.0, -2.0, np.inf, -np.inf, np.nan]
    z = np.array([complex(x, y) for x in ends for y in ends])
    with np.errstate(all="ignore"):
        want = getattr(np, theirs)(z.astype("complex64" if dtype is td.complex64 else "complex128"))

    got = getattr(td, name)(td.tensor(z).astype(dtype)).cpu().numpy()
    # It leaves signs open where an angle is not finite and the size not either, or 0.
    angle, size = (z.real, z.imag) if name in ("sin", "cos", "tan") else (z.imag, z.real)
    open_ = ~np.isfinite(angle) & (~np.isfinite(size) | (size == 0))
    for part in ("real", "imag"):
        ours, theirs_ = getattr(got, part), getattr(want, part)
        np.testing.assert_allclose(np.abs(ours), np.abs(theirs_), rtol=40 * np.finfo(ours.dtype).eps)
        known = ~np.isnan(ours) & ~(open_ & (name in ("exp", "sinh", "cosh", "tanh", "sin", "cos", "tan")))
        np.testing.assert_array_equal(np.signbit(ours)[known], np.signbit(theirs_)[known])


def test_predicates_and_choice():
    special = [complex(x, y) for x in (1.0, np.inf, np.nan) for y in (2.0, -np.inf, np.nan)]
    z, values = td.tensor(np.array(special)), np.array(special)
    for name in ("isnan", "isinf", "isfinite"):
        np.testing.assert_array_equal(array(getattr(td, name)(z)), getattr(np, name)(values))
    a, b = tensor([1 + 1j, 2]), tensor([1 - 1j, 2])
    assert (a == b).tolist() == [False, True] and (a != b).tolist() == [True, False]
    assert td.where(td.tensor([True, False]), a, b).tolist() == [1 + 1j, 2]
    assert td.where(td.tensor([True, False]), a, 0).tolist() == [1 + 1j, 0]
    assert td.logical_not(tensor([0, 1j])).tolist() == [True, False]


def test_statistics_of_complex_numbers():
    values, holes = draw(3, 7), draw(3, 7)
    holes[0, 2] = holes[2, 5] = complex(np.nan, 1)
    weights = np.arange(1, 8)
    for dtype, rtol in ((td.complex128, 1e-12), (td.complex64, 1e-5)):
        x, z = td.tensor(values).astype(dtype), td.tensor(holes).astype(dtype)
        for got, want in [
            (td.cov(x), np.cov(values)),
            (
                td.cov(x, fweights=td.tensor(weights), aweights=td.tensor(1 / weights)),
                np.cov(values, fweights=weights, aweights=1 / weights),
            ),
            (td.corrcoef(x), np.corrcoef(values)),
            (td.nanmean(z, axis=1), np.nanmean(holes, axis=1)),
            (td.nanvar(z, axis=1), np.nanvar(holes, axis=1)),
            (td.nanstd(z), np.nanstd(holes)),
        ]:
            np.testing.assert_allclose(array(got), want, rtol=rtol, atol=rtol)
    td.check_grads(td.cov, (td.tensor(values),), order=2)
    for refused in (td.median, td.nanmedian, lambda x: td.quantile(x, 0.5)):
        with pytest.raises(
            td.DTypeError, match=r"\[(quantile|median|nanmedian)\] is not defined for complex numbers"
        ):
            refused(td.tensor(values))


REFUSING = {
    "less": lambda z: z < z,
    "maximum": lambda z: td.maximum(z, z),
    "floor": td.floor,
    "floor_divide": lambda z: z // z,
    "max": td.max,
    "argmax": td.argmax,
    "sort": td.sort,
    "cummax": lambda z: td.cummax(z, 0),
    "logsumexp": td.logsumexp,
    "sigmoid": td.sigmoid,
    "erf": td.erf,
    "softmax": lambda z: td.softmax(z, 0),
    "atan2": lambda z: td.atan2(z, z),
}


@pytest.mark.parametrize("name", REFUSING)
def test_refused(name):
    with pytest.raises(td.DTypeError, match=rf"\[{name}\].*complex64.*real"):
        REFUSING[name](td.tensor([1 + 1j, 2]))


# --- Reductions, products, indexing


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_reductions(dtype):
    values = draw(3, 4, 5).astype(str(dtype))
    z, wide = td.tensor(values), values.astype(np.complex128)
    for axis in (None, 1, (0, 2)):
        for keepdims in (False, True):
            how = {"axis": axis, "keepdims": keepdims}
            close(td.sum(z, **how), wide.sum(**how), dtype)
            close(td.mean(z, **how), wide.mean(**how), dtype)
            close(td.prod(z, **how), wide.prod(**how), dtype, 100)
            np.testing.assert_array_equal(array(td.any(z, **how)), wide.any(**how))
    close(td.cumulative_sum(z, axis=1), wide.cumsum(1), dtype)
    close(td.cumulative_prod(z, axis=2), wide.cumprod(2), dtype, 30)
    np.testing.assert_allclose(array(td.var(z, axis=0)), wide.var(axis=0), rtol=50 * EPSILON[dtype])
    np.testing.assert_allclose(array(td.std(z, axis=0)), wide.std(axis=0), rtol=50 * EPSILON[dtype])
    squares = (np.abs(wide) ** 2).sum(0)
    np.testing.assert_allclose(array(td.sum_of_squares(z, axis=0)), squares, rtol=50 * EPSILON[dtype])
    assert td.count_nonzero(tensor([0, 1j, 2])).item() == 2
    for order in (0, 1, 2, 3, np.inf, -np.inf):
        np.testing.assert_allclose(
            array(td.linalg.vector_norm(z, ord=order, axis=1)),
            np.linalg.norm(wide, order, axis=1),
            rtol=50 * EPSILON[dtype],
        )


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_products(dtype):
    a, b = draw(2, 3, 4).astype(str(dtype)), draw(2, 4, 5, seed=1).astype(str(dtype))
    x, y = td.tensor(a), td.tensor(b)
    close(x @ y, a.astype(np.complex128) @ b, dtype)
    close(x @ td.real(y), a.astype(np.complex128) @ b.real, dtype)
    close(td.vecdot(x[0], x[1]), np.vecdot(a[0].astype(np.complex128), a[1]), dtype)
    close(
        td.tensordot(x, y, axes=([0, 2], [0, 1])),
        np.tensordot(a.astype(np.complex128), b, axes=([0, 2], [0, 1])),
        dtype,
    )
    close(td.outer(x[0, 0], y[0, 0]), np.outer(a[0, 0].astype(np.complex128), b[0, 0]), dtype)
    close(td.einsum("bij,bjk->ik", x, y), np.einsum("bij,bjk->ik", a.astype(np.complex128), b), dtype)
    np.testing.assert_array_equal(array(td.matrix_transpose(x)), a.swapaxes(1, 2))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_indexing_and_arranging(dtype):
    values = draw(4, 5).astype(str(dtype))
    z = td.tensor(values)
    np.testing.assert_array_equal(array(z[1:, ::-2]), values[1:, ::-2])
    np.testing.assert_array_equal(array(z[td.tensor([2, 0])]), values[[2, 0]])
    np.testing.assert_array_equal(array(z[td.tensor([1, 3]), td.tensor([0, 4])]), values[[1, 3], [0, 4]])
    np.testing.assert_array_equal(array(td.concat([z, z], axis=1)), np.concatenate([values, values], 1))
    np.testing.assert_array_equal(array(td.stack([z, z])), np.stack([values, values]))
    np.testing.assert_array_equal(array(td.roll(z, 2, 0)), np.roll(values, 2, 0))
    np.testing.assert_array_equal(
        array(td.take_along_axis(z, td.zeros((4, 1), dtype=td.int64), axis=1)), values[:, :1]
    )
    with td.no_grad():
        z[0] = 1j
        z[td.tensor([1, 2])] = td.zeros(5, dtype=dtype)
        z[3, 3] = 2.0
    values[0], values[1:3], values[3, 3] = 1j, 0, 2
    np.testing.assert_array_equal(array(z), values)


# --- Derivatives


@pytest.mark.parametrize("name", [*HOLOMORPHIC, "conj", "sign", *REAL])
def test_derivatives_of_unary(name):
    z = tensor(0.6 * draw(3) + (0.3 + 0.2j))
    td.check_grads(getattr(td, name), (z,), order=2)


@pytest.mark.parametrize("name", BINARY)
def test_derivatives_of_binary(name):
    td.check_grads(getattr(td, name), (tensor(draw(3) + 1), tensor(draw(3, seed=1))), order=2)
    td.check_grads(getattr(td, name), (tensor(draw(3) + 1), td.tensor(np.array([0.5, 1.5, 2.5]))), order=2)


@pytest.mark.parametrize(
    "function",
    [
        td.sum,
        td.mean,
        td.prod,
        lambda z: td.cumulative_sum(z, axis=0),
        lambda z: td.cumulative_prod(z, axis=1),
        lambda z: td.var(z, axis=0),
        lambda z: td.sum_of_squares(z, axis=0),
        lambda z: z @ td.conj(z).T,
        lambda z: td.vecdot(z, z * 2j),
        lambda z: td.linalg.vector_norm(z),
        lambda z: z[td.tensor([0, 0, 1])] * z[:1],
        lambda z: td.concat([z, td.real(z) * 2], axis=0),
        lambda z: td.where(td.real(z) > 0, z, td.imag(z)),
        lambda z: td.einsum("ij,ij->j", z, td.exp(z)),
    ],
)
def test_derivatives_of_others(function):
    td.check_grads(function, (tensor(draw(2, 3)),), order=2)


def test_conventions():
    """dL/dRe + i dL/dIm: of |z|^2 it is 2 z; a holomorphic f pulls with conj(f')."""
    z = tensor([1 + 2j, -3j])
    gradient = td.grad(lambda z: td.real(z * td.conj(z)).sum())(z)
    assert gradient.dtype is td.complex128 and gradient.tolist() == [2 + 4j, -6j]
    w = tensor([0.5 - 1j, 2j])
    pulled = td.tree_leaves(td.vjp(td.exp, z)[1](w))[0]
    np.testing.assert_allclose(array(pulled), np.conj(np.exp(array(z))) * array(w), rtol=1e-15)
    pushed = td.jvp(td.exp, (z,), (w,))[1]
    np.testing.assert_allclose(array(pushed), np.exp(array(z)) * array(w), rtol=1e-15)
    # By a real number the gradient is real.
    x = td.tensor([1.0, 2.0])
    slope = td.grad(lambda x: td.imag(td.exp(1j * x)).sum())(x)
    assert slope.dtype is td.float32
    np.testing.assert_allclose(array(slope), np.cos([1, 2]), rtol=1e-6)


def test_backward():
    z = tensor([3 + 4j])
    z.requires_grad = True
    td.abs(z).sum().backward()
    np.testing.assert_allclose(array(z.grad), [0.6 + 0.8j], rtol=1e-15)
    with pytest.raises(td.DTypeError, match=r"\[backward\].*complex"):
        (z * z).sum().backward()


def test_grad_of_a_complex_result():
    with pytest.raises(td.DTypeError, match=r"\[grad\].*real number.*take real, imag or abs"):
        td.grad(lambda z: z.sum())(tensor([1j]))


def test_gradient_of_abs_at_zero_is_zero():
    assert td.grad(lambda z: td.abs(z).sum())(tensor([0j])).tolist() == [0]


# --- Transforms


def energy(z):
    w = td.exp(z) * (2 - 1j) + td.sin(z @ z) / (z + 3)
    return td.real(w * td.conj(w)).sum() + td.abs(td.where(td.real(z) > 0, w, z)).mean()


def test_compile():
    z = tensor(draw(3, 3))
    for function in (energy, td.grad(energy), td.fft.fft):
        compiled = td.compile(function)
        for _ in range(3):
            np.testing.assert_allclose(array(compiled(z)), array(function(z)), rtol=1e-13)


def parts_of_products(z):
    """The real parts of one product go into a tensor of their own, and the product itself is read as well."""
    product = z * (1 + 1j)
    parts = td.zeros((*z.shape, 2), dtype=td.real(z).dtype)
    parts[..., 1] = td.real(product)
    return td.cumulative_sum(td.view_as_complex(parts), axis=-1), td.sum(product, axis=0)


def moved_parts(z):
    product = td.view_as_real(td.conj(z) * (2 - 1j))
    return td.concat([product[..., 1:], product[..., :1]], axis=-1), td.sum(td.conj(z) * z)


def sum_of_parts(z, shift):
    return td.real(td.conj(z) * (td.imag(td.cumulative_sum(z, axis=-1)) + 1j * shift)).sum()


@pytest.mark.parametrize("dtype", [td.complex64, td.complex128], ids=str)
@pytest.mark.parametrize("size", [1, 2, 5])
def test_compiled_parts_of_complex_numbers(dtype, size):
    z, shift = (td.astype(tensor(draw(*shape, seed=size)), dtype) for shape in ((size, 1), ()))
    w = td.astype(tensor(draw(1, size, seed=7)), dtype)

    def weighted(z, shift):
        return td.real(td.conj(w) * (td.imag(td.cumulative_sum(z, axis=1)) + 1j * shift)).sum()

    functions = [
        (parts_of_products, (z,)),
        (parts_of_products, (w,)),
        (moved_parts, (z,)),
        (sum_of_parts, (z, shift)),
        (td.grad(sum_of_parts, argnums=(0, 1)), (w, shift)),
        (td.grad(weighted, argnums=(0, 1)), (w, shift)),
        (td.grad(weighted, argnums=(0, 1)), (z, shift)),
    ]
    for function, arguments in functions:
        compiled = td.compile(function)
        for scale in (1, 0.5 - 2j):
            given = [scale * x for x in arguments]
            got, want = compiled(*given), function(*given)
            for a, b in zip(td.tree_leaves(got), td.tree_leaves(want), strict=True):
                np.testing.assert_array_equal(array(a), array(b))


@pytest.mark.parametrize("statistic", [td.std, td.sum, td.max])
def test_compiled_masks_of_complex_numbers(statistic):
    """A mask of complex numbers is cheap, but no loop makes it again where its statistic is computed."""
    z = tensor(draw(3))
    for function in (
        lambda z: td.astype(statistic(td.astype(z == z, td.float32)), td.uint8),
        lambda z: (td.astype(statistic(td.astype(td.isnan(z), td.float64)), td.int64), z != 0),
        lambda z: td.astype(statistic(td.real(td.conj(z))), td.uint8),
    ):
        for got, want in zip(
            td.tree_leaves(td.compile(function)(z)), td.tree_leaves(function(z)), strict=True
        ):
            np.testing.assert_array_equal(array(got), array(want))


@pytest.mark.parametrize("dtype", [td.complex64, td.complex128], ids=str)
@pytest.mark.parametrize("name", ["multiply", "multiply_no_nan", "divide", "square", "reciprocal"])
def test_an_element_has_its_bits_wherever_it_lies(name, dtype):
    x, y = (td.astype(tensor(draw(67, seed=seed)), dtype) for seed in (1, 2))
    function = getattr(td, name)
    operands = (x,) if name in ("square", "reciprocal") else (x, y)
    whole = array(function(*operands))
    for key in [slice(i, i + n) for i in (0, 1, 3) for n in (1, 2, 3, 5, 7, 15, 33)] + [
        slice(None, None, -2)
    ]:
        np.testing.assert_array_equal(array(function(*(v[key] for v in operands))), whole[key])


def test_vmap():
    z = tensor(draw(4, 3, 3))
    for function in (energy, td.grad(energy), td.fft.fft, td.prod, lambda z: z[td.tensor([2, 0])]):
        want = np.stack([array(function(lane)) for lane in z])
        np.testing.assert_allclose(array(td.vmap(function)(z)), want, rtol=1e-12)


def test_operators():
    a, b = tensor(draw(3)), tensor(draw(3, seed=2))
    for op in (operator.add, operator.sub, operator.mul, operator.truediv):
        np.testing.assert_allclose(array(op(a, b)), op(array(a), array(b)), rtol=1e-15)
        np.testing.assert_allclose(array(op(2j, b)), op(2j, array(b)), rtol=1e-15)


@pytest.mark.parametrize("dtype", [td.complex64, td.complex128], ids=str)
def test_logarithms_beside_their_poles(dtype):
    """atanh at 1 + iy and atan at i + y, down to the least y."""
    tiny = 1e-40 if dtype == td.complex64 else 1e-310
    for y in (tiny, tiny * 1e3, 1e-30, 1e-20, 1e-6):
        for z, f, exact in ((1 + 1j * y, td.atanh, mpmath.atanh), (y + 1j, td.atan, mpmath.atan)):
            got = f(td.tensor([z], dtype=dtype)).item()
            part = np.float32 if dtype == td.complex64 else float
            with mpmath.workdps(400):
                want = complex(exact(mpmath.mpc(float(part(z.real)), float(part(z.imag)))))
            assert got == pytest.approx(want, rel=4 * td.finfo(dtype).eps)
