"""Every primitive against NumPy and SciPy, in every dtype that it takes."""

from pathlib import Path

import numpy as np
import pytest
import samplers as ops
import tidu as td


@pytest.mark.parametrize("case", ops.CASES.values(), ids=str)
def test_values(case):
    for dtype in case.dtypes:
        arrays = case.arrays(1, dtype)
        tensors = [ops.to_tensor(a, case.dtype_of_input(i, dtype)) for i, a in enumerate(arrays)]
        case.check(tensors, arrays, dtype, str(dtype))


# --- The table has no holes


def test_every_primitive_has_a_sampler():
    covered = {name for case in ops.CASES.values() for name in case.covers}
    missing = set(ops.PRIMITIVES) - covered - set(ops.ELSEWHERE)
    assert not missing, f"no sampler in tests/python/samplers for {sorted(missing)}"
    unknown = (covered | set(ops.ELSEWHERE)) - set(ops.PRIMITIVES)
    assert not unknown, f"samplers for what is no primitive: {sorted(unknown)}"
    assert not set(ops.REFERENCES) - set(ops.ROWS)
    assert set(ops.REDUCTION_REFERENCES) == set(ops.REDUCTIONS)
    assert set(ops.SCAN_REFERENCES) == set(ops.SCANS)


@pytest.mark.parametrize("name", ops.ELSEWHERE)
def test_a_primitive_tested_elsewhere_is_tested(name):
    file, word = ops.ELSEWHERE[name]
    assert word in (Path(__file__).parents[1] / file).read_text(), f"{file} does not test {name}"


@pytest.mark.parametrize("name", ops.PRIMITIVES)
def test_every_primitive_has_a_kernel_and_a_derivative(name, device):
    primitive = ops.PRIMITIVES[name]
    by_itself = any(primitive[how] for how in ("view", "evaluate", "dispatch"))
    assert by_itself or device.type in primitive["kernels"], (
        f"neither a view, an evaluation, a dispatch nor a kernel for {device}"
    )
    assert primitive["derivative"] in {"zero", "opaque", "elementwise", "linear", "multilinear", "custom"}


@pytest.mark.parametrize("name", ops.PRIMITIVES)
def test_every_differentiable_primitive_has_its_derivative_tested(name):
    if ops.PRIMITIVES[name]["derivative"] in {"zero", "opaque"} or name in ops.ELSEWHERE:
        return
    assert any(name in case.covers and case.differentiable for case in ops.CASES.values())


@pytest.mark.parametrize(
    "name", [name for name, row in ops.PRIMITIVES.items() if "doc" in row and name not in ops.UNNAMED]
)
def test_rows_are_documented(name):
    doc = " ".join(ops.PRIMITIVES[name]["doc"].split())
    assert doc in " ".join(getattr(td, name).__doc__.split())
    assert doc in " ".join(getattr(td.Tensor, name).__doc__.split())


# --- Parameters of elementwise operations


def test_parameters_of_rows():
    x = td.tensor([-2.0, -0.0, 0.0, 3.0, np.nan, np.inf], dtype=td.float64)
    want = [-0.5, -0.0, 0.0, 3.0, np.nan, np.inf]
    for y in (td.leaky_relu(x, 0.25), td.leaky_relu(x, negative_slope=0.25), x.leaky_relu(0.25)):
        np.testing.assert_array_equal(y.cpu().numpy(), want)
    np.testing.assert_array_equal(td.leaky_relu(x).cpu().numpy()[0], -0.02)
    np.testing.assert_array_equal(td.elu(x, alpha=0).cpu().numpy(), [0, 0, 0, 3, np.nan, np.inf])
    assert td.elu(-np.inf * td.ones(1), 2.5).item() == -2.5
    small = td.elu(td.tensor([-1e-20]), 3.0).item()
    assert small == pytest.approx(-3e-20, rel=1e-6)
    # In float16 the slope is a number of float32, rounded with the product.
    half = td.tensor([-3.0, 7.0], dtype=td.float16)
    assert td.leaky_relu(half, 0.1).tolist() == [float(np.float16(np.float32(-3) * np.float32(0.1))), 7.0]


@pytest.mark.parametrize(
    ("function", "slope"), [(lambda x: td.leaky_relu(x, 0.3), 0.3), (lambda x: td.elu(x, 0.7), 0.7)]
)
def test_derivatives_of_parametric_rows_at_zero(function, slope):
    x = td.tensor([0.0, -0.0, 2.0, 800.0], dtype=td.float64)
    want = [slope, slope, 1, 1]
    assert td.grad(lambda x: function(x).sum())(x).tolist() == want
    assert td.jvp(function, (x,), (td.ones_like(x),))[1].tolist() == want
    second = td.grad(lambda x: td.grad(lambda x: function(x).sum())(x).sum())(x)
    assert second.tolist()[2:] == [0, 0]


def test_parameters_that_a_row_does_not_take():
    with pytest.raises(TypeError):
        td.leaky_relu(td.ones(2), alpha=1.0)
    with pytest.raises(TypeError):
        td.leaky_relu(td.ones(2), 0.1, 0.2)


# --- Which types an elementwise operation takes


@pytest.mark.parametrize(
    "case", [case for case in ops.ELEMENTWISE if case.covers[0] not in ops.OF_FLOATS_ALONE], ids=str
)
def test_refused_and_converted_types(case):
    types = ops.ROWS[case.covers[0]]["types"]
    for dtype in ops.DTYPES:
        arrays = case.arrays(2, dtype)
        tensors = [ops.to_tensor(a, case.dtype_of_input(i, dtype)) for i, a in enumerate(arrays)]
        if dtype in case.dtypes:
            continue
        if types == "floating":
            case.check(tensors, [a.astype(np.float32) for a in arrays], td.float32, str(dtype))
        else:
            with pytest.raises(TypeError, match=rf"\[{case.covers[0]}\]"):
                case.function(*tensors)


# --- Promotion


def promoted(a, b):
    """The array API standard's lattice, with floats above integers."""
    if a == b:
        return a
    if {a, b} == {td.float16, td.bfloat16}:
        return td.float32
    for one, other in ((a, b), (b, a)):
        if one == td.bool:
            return other
        if ops.is_float(one) and not ops.is_float(other):
            return one
    if ops.is_float(a):
        return max(a, b, key=ops.FLOATS.index)
    return getattr(td, np.result_type(str(a), str(b)).name)


@pytest.mark.parametrize("a", ops.DTYPES, ids=str)
@pytest.mark.parametrize("b", ops.DTYPES, ids=str)
def test_promotion_of_tensors(a, b):
    x, y = ops.to_tensor([1, 0, 1], a), ops.to_tensor([1, 1, 0], b)
    total = x + y
    assert total.dtype == promoted(a, b)
    if total.dtype != td.bool:
        assert total.tolist() == [2, 1, 1]
    assert td.where(td.tensor([True, False, True]), x, y).dtype == promoted(a, b)
    assert td.concat([x, y], axis=0).dtype == promoted(a, b)
    assert (x == y).dtype == td.bool


@pytest.mark.parametrize("dtype", ops.DTYPES, ids=str)
def test_python_numbers_adapt_to_tensors(dtype):
    x = ops.to_tensor([1, 0, 1], dtype)
    assert (x + True).dtype == (True + x).dtype == dtype
    assert (x + 1).dtype == (1 + x).dtype == (td.int64 if dtype == td.bool else dtype)
    with_float = dtype if ops.is_float(dtype) else td.float32
    assert (x + 0.5).dtype == (0.5 + x).dtype == with_float
    assert (x * 2).tolist() == [2, 0, 2]
    assert (x + 0.5).tolist() == [1.5, 0.5, 1.5]


def test_a_number_that_does_not_fit_is_an_error():
    with pytest.raises(ValueError, match="300"):
        td.tensor([1], dtype=td.uint8) + 300
    with pytest.raises(ValueError, match="-1"):
        td.tensor([1], dtype=td.uint8) + -1


# --- Broadcasting


@pytest.mark.parametrize(
    "shapes",
    [
        ((3, 1), (4,)),
        ((), (2, 3)),
        ((2, 1, 3), (4, 1)),
        ((0, 1), (1, 5)),
        ((1,), (0,)),
        ((5, 1, 1), (1, 4, 3)),
    ],
    ids=str,
)
def test_broadcasting(shapes):
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal(shape) for shape in shapes)
    x, y = td.tensor(a), td.tensor(b)
    np.testing.assert_array_equal((x + y).cpu().numpy(), a + b)
    np.testing.assert_array_equal((x < y).cpu().numpy(), a < b)
    gradients = td.grad(lambda x, y: (x * y).sum(), argnums=(0, 1))(x, y)
    for gradient, by, other in zip(gradients, (a, b), (b, a), strict=True):
        whole = np.broadcast_to(other, np.broadcast_shapes(*shapes))
        missing = whole.ndim - by.ndim
        axes = tuple(i for i in range(whole.ndim) if i < missing or by.shape[i - missing] == 1)
        np.testing.assert_allclose(
            gradient.cpu().numpy(), whole.sum(axes, keepdims=True).reshape(by.shape), rtol=1e-13
        )


@pytest.mark.parametrize("shapes", [((3,), (4,)), ((2, 3), (3, 2)), ((0,), (2,))], ids=str)
def test_shapes_that_do_not_broadcast(shapes):
    with pytest.raises(td.ShapeError, match=r"\[add\]"):
        td.zeros(shapes[0]) + td.zeros(shapes[1])


# --- Casts


@pytest.mark.parametrize("source", ops.DTYPES, ids=str)
@pytest.mark.parametrize("target", ops.DTYPES, ids=str)
def test_casts(source, target):
    values = [0, 1, 1, 0, 1] if td.bool in (source, target) else [0, 1, 2, 100, 127]
    got = ops.to_tensor(values, source).astype(target)
    assert got.dtype == target
    assert got.tolist() == values


def test_casts_to_integers_saturate_and_truncate():
    x = td.tensor([-1.9, 1.9, 300.0, -300.0, float("nan"), float("inf"), float("-inf")])
    assert x.astype(td.int8).tolist() == [-1, 1, 127, -128, 0, 127, -128]
    assert x.astype(td.uint8).tolist() == [0, 1, 255, 0, 0, 255, 0]
    assert x.astype(td.int64).tolist() == [-1, 1, 300, -300, 0, 2**63 - 1, -(2**63)]
    assert x.astype(td.bool).tolist() == [True] * 7


def test_casts_to_half_types_round_once():
    rng = np.random.default_rng(3)
    # Just above a midpoint between neighbours, by less than float32 can tell: rounding twice would lose it.
    values = (1 + 2.0**-11) * (1 + 2.0**-40) * 2.0 ** rng.integers(-10, 10, 100).astype(float)
    np.testing.assert_array_equal(
        td.tensor(values).astype(td.float16).cpu().numpy(), values.astype(np.float16)
    )


@pytest.mark.parametrize("name", ["int8", "uint8", "int32", "uint64", "float32", "complex64"])
def test_squares_are_products(name):
    """As a power of the number 2, too, which wraps as products do."""
    x = np.arange(-20, 21).astype(name)
    y = td.tensor(x) ** 2
    assert y.dtype == td.tensor(x).dtype
    np.testing.assert_array_equal(ops.to_array(y), x * x)
