"""The law that a primitive is total over layouts: what a transform binds again may be laid out in any way."""

import numpy as np
import pytest
import samplers as ops
import tidu as td

# Beside the storages of the samplers: strides of axes of extent 1 say nothing, and may be anything.
STORAGES = [*ops.STORAGES, "odd strides"]
DIFFERENTIABLE = [case for case in ops.CASES.values() if case.differentiable]

# How many elements it gives depends on values, so it is in no program.
READS_VALUES = {"nonzero"}

# Of these every bit must be right: they move elements, or treat each by itself.
EXACT_FORMS = {"elementwise"}
EXACT = {
    "reshape",
    "permute_dims",
    "broadcast_to",
    "slice",
    "alias",
    "stop_gradient",
    "astype",
    "copy",
    "concat",
    "to",
}


def with_layout(array, dtype, storage):
    if storage == "odd strides":
        if not array.ndim:
            return ops.with_storage(array, dtype, "contiguous")[0]
        # Every other element of an axis that then has extent 1 in front, of strides that are no use.
        wide = np.zeros((3, *array.shape), array.dtype)
        wide[1] = array
        tensor = ops.to_tensor(wide, dtype)[1:2]
        return td.permute_dims(tensor, (*range(1, tensor.ndim), 0)).squeeze(-1)
    return ops.with_storage(array, dtype, storage)[0]


def is_exact(case):
    rows = [ops.PRIMITIVES[name] for name in case.covers]
    return all(row["derivative"] in EXACT_FORMS or row["name"] in EXACT or row["view"] for row in rows)


def check_same(case, got, want, what, exact=None):
    got, want = np.asarray(got.detach().cpu().numpy()), np.asarray(want.detach().cpu().numpy())
    assert got.shape == want.shape, what
    if is_exact(case) if exact is None else exact:
        np.testing.assert_array_equal(got, want, err_msg=what)
    else:
        np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-13, err_msg=what)


def outputs_of(result):
    return list(result) if isinstance(result, tuple | list) else [result]


def of_differentiable(case, tensors):
    def f(*primals):
        everything = list(tensors)
        for i, primal in zip(case.differentiable, primals, strict=True):
            everything[i] = primal
        return case.function(*everything)

    return f, tuple(tensors[i] for i in case.differentiable)


def plain(tensor):
    return td.copy(tensor).detach()


@pytest.mark.parametrize("case", DIFFERENTIABLE, ids=str)
def test_tangents_and_cotangents_of_any_layout(case):
    rng = np.random.default_rng(31)
    arrays = case.arrays(31, td.float64)
    tensors = [ops.to_tensor(a, case.dtype_of_input(i, td.float64)) for i, a in enumerate(arrays)]
    f, primals = of_differentiable(case, tensors)
    y, pullback = td.vjp(f, *primals)
    for storage in STORAGES[1:]:
        tangents = tuple(with_layout(rng.normal(size=x.shape), td.float64, storage) for x in primals)
        for got, want in zip(
            outputs_of(td.jvp(f, primals, tangents)[1]),
            outputs_of(td.jvp(f, primals, tuple(map(plain, tangents)))[1]),
            strict=True,
        ):
            check_same(case, got, want, f"jvp, {storage}")
        cotangents = [with_layout(rng.normal(size=o.shape), o.dtype, storage) for o in outputs_of(y)]

        def pulled(cts):
            return pullback(type(y)(cts) if isinstance(y, tuple | list) else cts[0])

        for got, want in zip(pulled(cotangents), pulled([plain(c) for c in cotangents]), strict=True):
            check_same(
                case, got, want, f"vjp, {storage}", is_exact(case) and "broadcast_to" not in case.covers
            )


@pytest.mark.parametrize("case", [c for c in ops.CASES.values() if c.name not in READS_VALUES], ids=str)
def test_programs_replay_arguments_of_any_layout(case):
    dtype = td.float64 if td.float64 in case.dtypes else case.dtypes[0]
    arrays = case.arrays(32, dtype)
    tensors = [ops.to_tensor(a, case.dtype_of_input(i, dtype)) for i, a in enumerate(arrays)]
    program = td.program(case.function, *tensors)
    for storage in STORAGES:
        laid_out = [
            with_layout(
                a,
                case.dtype_of_input(i, dtype),
                storage if not isinstance(case.inputs[i], ops.Fixed) else "contiguous",
            )
            for i, a in enumerate(arrays)
        ]
        copies = [plain(x) for x in laid_out]
        for got, want in zip(outputs_of(program(*laid_out)), outputs_of(case.function(*copies)), strict=True):
            assert got.dtype is want.dtype
            if got.dtype.is_floating_point:
                check_same(case, got, want, storage)
            else:
                np.testing.assert_array_equal(got.cpu().numpy(), want.cpu().numpy())


# --- Calls that went wrong where a view's layout was taken for granted


def test_reshape_of_tangents():
    x, b = td.zeros((3, 4)), td.zeros(4)
    t = td.arange(12, dtype=td.float32).reshape(4, 3)
    np.testing.assert_array_equal(
        td.jvp(td.flatten, (x,), (t.T,))[1].cpu().numpy(), t.T.cpu().numpy().reshape(-1)
    )
    direction = td.tensor([1.0, 2.0, 3.0, 4.0])
    got = td.jvp(lambda b: (x + b).reshape(-1), (b,), (direction,))[1]
    np.testing.assert_array_equal(got.cpu().numpy(), np.tile([1, 2, 3, 4], 3))


def test_a_bias_then_flatten():
    w, b = td.ones((5, 4)), td.zeros(4)
    x = td.arange(15, dtype=td.float32).reshape(3, 5)

    def f(b):
        return td.flatten(x @ w + b)

    np.testing.assert_array_equal(td.jacfwd(f)(b).cpu().numpy(), td.jacrev(f)(b).cpu().numpy())
    x = td.arange(12, dtype=td.float64).reshape(3, 4)
    b = td.zeros(4, dtype=td.float64)
    h = td.hessian(lambda b: (td.sin((x + b).reshape(-1)) ** 2).sum())(b)
    want = np.diag((2 * np.cos(2 * np.arange(12.0).reshape(3, 4))).sum(axis=0))
    np.testing.assert_allclose(h.cpu().numpy(), want, atol=1e-12)
