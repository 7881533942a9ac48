"""Tensors: creation, operators, indexing, methods, printing."""

import copy
import operator
import pickle
import subprocess
import sys
import weakref

import numpy as np
import pytest
import samplers as ops
import tidu as td
from tidu import _core

DTYPES = [d for d in vars(td).values() if isinstance(d, td.dtype)]
NUMPY_DTYPES = [d for d in DTYPES if d is not td.bfloat16]
TABLE = [p for p in _core.primitives() if "arity" in p and p["name"] not in ops.UNNAMED]


def same(tensor, array, **tolerance):
    array = np.asarray(array)
    assert isinstance(tensor, td.Tensor)
    assert tensor.shape == array.shape
    got = tensor.cpu().numpy()
    if tolerance:
        np.testing.assert_allclose(got, array, **tolerance)
    else:
        np.testing.assert_array_equal(got, array)


# --- Creation


def test_ranges_are_sequences():
    same(td.tensor(range(3, 9, 2)), np.array([3, 5, 7]))
    same(td.asarray(range(3), dtype=td.float32) + range(3), np.arange(3, dtype=np.float32) * 2)
    assert td.tensor(range(0)).shape == (0,)


def test_fifteen_dtypes():
    assert len(DTYPES) == 15
    assert repr(td.float32) == "tidu.float32"
    assert str(td.bool) == "bool"
    assert td.float64.itemsize == 8 and td.bfloat16.itemsize == 2 and td.bool.itemsize == 1
    assert td.float32 == np.float32 and td.float32 == "float32" and td.float32 == np.dtype("f4")
    assert td.float32 != td.float64 and td.float32 != "nonsense"
    assert len({td.float32, td.dtype("float32"), td.int8}) == 2
    assert pickle.loads(pickle.dumps(td.int16)) is td.int16
    assert td.zeros(1).dtype is td.float32


@pytest.mark.parametrize(
    ("data", "dtype"),
    [
        (1.5, td.float32),
        (3, td.int64),
        (True, td.bool),
        ([1, 2.5], td.float32),
        ([True, 2], td.int64),
        ([[1, 2], [3, 4]], td.int64),
        ([], td.float32),
        ([[], []], td.float32),
        ((1.0, (2,)[0]), td.float32),
        (np.arange(3, dtype=np.int16), td.int16),
        ([np.float64(1), np.float64(2)], td.float64),
    ],
)
def test_tensor_infers_its_dtype(data, dtype):
    x = td.tensor(data)
    assert x.dtype is dtype
    assert x.shape == np.shape(data)
    np.testing.assert_array_equal(x.cpu().numpy(), np.asarray(data))


@pytest.mark.parametrize("dtype", NUMPY_DTYPES, ids=str)
def test_tensor_of_every_dtype(dtype):
    values = [[0, 1, 2], [3, 100, 1]]
    want = np.array(values, dtype=str(dtype))
    same(td.tensor(values, dtype=dtype), want)
    same(td.tensor(want), want)
    same(td.asarray(want, dtype=str(dtype)), want)
    assert td.tensor(want).cpu().numpy().dtype == want.dtype
    assert td.tensor(want).tolist() == want.tolist()
    assert td.tensor(values, dtype=dtype)[1, 1].item() == want[1, 1].item()


def test_float_lists_round_once():
    x = td.tensor([0.1, 1e-300, 1 / 3], dtype=td.float64)
    assert x.tolist() == [0.1, 1e-300, 1 / 3]
    assert td.tensor([0.1], dtype=td.float16).item() == float(np.float16(0.1))
    assert td.tensor([2**64 - 1], dtype=td.uint64).item() == 2**64 - 1


def test_creation_against_numpy():
    same(td.zeros((2, 3)), np.zeros((2, 3), np.float32))
    same(td.ones(4, dtype="int8"), np.ones(4, np.int8))
    same(td.full((2,), 7), np.full((2,), 7))
    assert td.full((2,), 7).dtype is td.int64 and td.full((), 1.0).dtype is td.float32
    same(td.arange(5), np.arange(5))
    same(td.arange(2, 11, 3), np.arange(2, 11, 3))
    same(td.arange(5, 0, -2), np.arange(5, 0, -2))
    same(td.arange(0.0, 1.0, 0.25), np.arange(0, 1, 0.25, np.float32))
    same(td.linspace(0, 1, 5), np.linspace(0, 1, 5, dtype=np.float32))
    same(td.linspace(0, 1, 4, endpoint=False), np.linspace(0, 1, 4, endpoint=False, dtype=np.float32))
    same(td.eye(3), np.eye(3, dtype=np.float32))
    same(td.eye(2, 4, k=1, dtype=td.float64), np.eye(2, 4, 1))
    for rows, columns in ((-1, None), (0, -3)):
        with pytest.raises(td.ShapeError, match=r"\[eye\]"):
            td.eye(rows, columns)
    same(td.one_hot(td.tensor([2, 0]), 3), np.eye(3, dtype=np.float32)[[2, 0]])
    x = td.zeros((2, 3), dtype=td.float64)
    assert td.ones_like(x).dtype is td.float64 and td.zeros_like(x, dtype=td.int8).dtype is td.int8
    assert td.full_like(x, 2).tolist() == [[2.0] * 3] * 2
    assert td.empty((0, 5)).shape == (0, 5) and td.empty_like(x).shape == (2, 3)
    assert td.zeros(3, requires_grad=True).requires_grad


@pytest.mark.cpu_only("memory shared with NumPy")
def test_tensor_copies_and_asarray_shares():
    a = np.arange(4.0)
    copied, shared = td.tensor(a), td.asarray(a)
    a[0] = 9
    assert copied[0].item() == 0 and shared[0].item() == 9
    assert td.asarray(a, copy=True)[0].item() == 9
    with pytest.raises(ValueError, match="without a copy"):
        td.asarray(a, dtype=td.float32, copy=False)
    x = td.ones(3)
    assert td.asarray(x).cpu().numpy().ctypes.data == x.cpu().numpy().ctypes.data
    assert td.tensor(x).cpu().numpy().ctypes.data != x.cpu().numpy().ctypes.data


def test_tensor_of_a_tensor_is_a_constant_in_new_memory():
    x = td.ones(3, requires_grad=True)
    y = td.tensor((x * 2).detach())
    assert y.is_leaf and not y.requires_grad
    y += 1
    assert x.tolist() == [1, 1, 1]


# --- Operators

BINARY = [
    operator.add,
    operator.sub,
    operator.mul,
    operator.truediv,
    operator.floordiv,
    operator.mod,
    operator.pow,
    operator.lt,
    operator.le,
    operator.eq,
    operator.ne,
    operator.gt,
    operator.ge,
]


@pytest.mark.parametrize("op", BINARY)
@pytest.mark.parametrize("other", [2, 2.5, [1.0, 2.0, 4.0], "array", "column", "tensor"], ids=str)
def test_operators_both_ways(op, other, rng):
    a = rng.uniform(1, 3, (2, 3))
    b = (
        {
            "array": np.array([1.0, 2.0, 4.0]),
            "column": np.array([[1.0], [2.0]]),
            "tensor": np.array([2.0, 1.0, 0.5]),
        }.get(other, other)
        if isinstance(other, str)
        else other
    )
    x = td.tensor(a)
    y = td.tensor(b) if other == "tensor" else b
    b = np.asarray(b)
    same(op(x, y), op(a, b), rtol=1e-14)
    if not isinstance(y, list) or op not in (operator.lt, operator.le, operator.gt, operator.ge):
        same(op(y, x), op(b, a), rtol=1e-14)


@pytest.mark.parametrize("op", [operator.and_, operator.or_, operator.xor, operator.lshift, operator.rshift])
def test_integer_operators(op):
    a, b = np.array([1, 6, 12]), np.array([3, 1, 2])
    same(op(td.tensor(a), td.tensor(b)), op(a, b))
    same(op(td.tensor(a), 2), op(a, 2))
    same(op(2, td.tensor(b)), op(2, b))
    if op not in (operator.lshift, operator.rshift):
        same(op(td.tensor(a > 2), td.tensor(b > 1)), op(a > 2, b > 1))


def test_unary_operators():
    a = np.array([-1.5, 0.0, 2.0])
    x = td.tensor(a)
    same(-x, -a)
    same(+x, a)
    same(abs(x), abs(a))
    same(~td.tensor([True, False]), [False, True])
    same(~td.tensor([1, 2]), ~np.array([1, 2]))


def test_matmul(rng):
    a, b, v = rng.normal(size=(2, 3, 4)), rng.normal(size=(4, 5)), rng.normal(size=4)
    same(td.tensor(a) @ td.tensor(b), a @ b, rtol=1e-12)
    same(td.tensor(a) @ v, a @ v, rtol=1e-12)
    same(a @ td.tensor(v), a @ v, rtol=1e-12)
    with pytest.raises(td.ShapeError):
        td.tensor(v) @ 2


def test_numbers_are_weak():
    x = td.ones(2, dtype=td.float16)
    assert (x + 1).dtype is td.float16 and (2.5 * x).dtype is td.float16
    assert (x + np.float64(1)).dtype is td.float16 and (np.float32(2) * x).dtype is td.float16
    i = td.ones(2, dtype=td.int8)
    assert (i + 1).dtype is td.int8 and (i + 1.5).dtype is td.float32 and (i / 2).dtype is td.float32
    assert (td.tensor([True]) + 1).dtype is td.int64
    assert td.result_type(x, td.float64, 3) is td.float64


def test_numpy_left_operand_gives_a_tensor(rng):
    a = rng.normal(size=3)
    assert isinstance(a * td.tensor(a), td.Tensor)
    assert isinstance(a < td.tensor(a), td.Tensor)
    assert isinstance(np.float64(2) - td.tensor(a), td.Tensor)


def test_unknown_operands_are_type_errors():
    x = td.ones(2)
    for other in (None, "text", object(), {1: 2}):
        with pytest.raises(TypeError):
            x + other
        assert (x == other) is False


def test_in_place_operators_keep_dtype_and_memory():
    x = td.ones(3, dtype=td.float32)
    view = x[1:]
    name = x
    x += td.tensor([1.0, 2.0, 3.0], dtype=td.float64)
    assert x is name and x.dtype is td.float32
    assert x.tolist() == [2, 3, 4] and view.tolist() == [3, 4]
    x -= 1
    x *= 2
    x /= 4
    x **= 2
    assert x.tolist() == [0.25, 1, 2.25]
    i = td.tensor([7, 8])
    i //= 2
    i %= 3
    i <<= 2
    i |= 1
    assert i.tolist() == [1, 5]
    with pytest.raises(td.DTypeError):
        i += 1.5
    with pytest.raises(td.ShapeError):
        i += td.ones((2, 2), dtype=td.int64)
    assert i.tolist() == [1, 5]


def test_conversions():
    assert float(td.tensor(2.5)) == 2.5 and int(td.tensor([3])) == 3 and int(td.tensor(2.9)) == 2
    assert bool(td.tensor([[1]])) is True and not td.tensor(0.0)
    assert [10, 20, 30][td.tensor(1)] == 20
    with pytest.raises(TypeError):
        operator.index(td.tensor(1.0))
    with pytest.raises(ValueError, match="ambiguous"):
        bool(td.ones(2))
    assert td.tensor(1.5).item() == 1.5 and f"{td.tensor(1.5):.3f}" == "1.500"
    assert len(td.ones((4, 2))) == 4
    with pytest.raises(TypeError):
        len(td.tensor(1))
    assert [row.tolist() for row in td.tensor([[1, 2], [3, 4]])] == [[1, 2], [3, 4]]
    with pytest.raises(TypeError):
        iter(td.tensor(1))
    x = td.tensor([[1.0, 2.0], [3.0, float("nan")]])
    assert 3 in x and 2.0 in x and td.tensor(1.0) in x and 4 not in x and td.nan not in x and "a" not in x


def test_identity_hash_and_weak_references():
    x = td.ones(2)
    assert {x: 1}[x] == 1 and hash(x) != hash(td.ones(2))
    reference = weakref.ref(x)
    assert reference() is x
    del x
    assert reference() is None
    with pytest.raises(TypeError):
        td.Tensor()


# --- The op table


def test_rows_without_a_function_of_their_name():
    assert ops.UNNAMED.keys() <= ops.ROWS.keys()
    assert not any(hasattr(owner, name) for name in ops.UNNAMED for owner in (td, td.Tensor))


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row["name"])
def test_every_row_is_a_function_and_a_method(row):
    name, arity = row["name"], row["arity"]
    function, method = ops.row_function(name), getattr(td.Tensor, name)
    assert row["doc"] in getattr(td, name).__doc__ and row["doc"] in method.__doc__
    value = {"integral": 1, "boolean": True}.get(row["types"], (row["low"] + row["high"]) / 2)
    args = [td.tensor([value, value])] * arity
    if name == "where":
        args[0] = td.tensor([True, False])
    result = function(*args)
    assert result.shape == (2,) and getattr(args[0], name)(*args[1:]).tolist() == result.tolist()
    assert (result.dtype is td.bool) == (row["boolean_result"] or args[-1].dtype is td.bool)
    assert "cpu" in row["kernels"]
    with pytest.raises(ValueError if name == "logit" else TypeError):  # whose eps is one number
        function(*args, args[0])
    with pytest.raises(TypeError):
        function(*[object()] * arity)


@pytest.mark.parametrize(
    "name",
    [
        "sqrt",
        "exp",
        "expm1",
        "log",
        "log1p",
        "sin",
        "cos",
        "tan",
        "sinh",
        "cosh",
        "tanh",
        "floor",
        "ceil",
        "trunc",
        "sign",
        "square",
        "reciprocal",
        "log2",
        "log10",
        "exp2",
    ],
)
def test_unary_values_against_numpy(name, rng):
    a = rng.uniform(0.2, 2, 33)
    same(getattr(td, name)(td.tensor(a)), getattr(np, name)(a), rtol=1e-14)


def test_functions_take_array_likes():
    same(td.add([1, 2], np.array([3, 4])), [4, 6])
    same(td.maximum(2, td.tensor([1, 3])), [2, 3])
    assert td.exp(0.0).item() == 1
    same(td.sum([1, 2, 3]), 6)


# --- Other operations


@pytest.mark.parametrize("name", ["sum", "prod", "mean", "max", "min", "var", "std", "any", "all"])
@pytest.mark.parametrize("axis", [None, 0, -1, (0, 2), (1,)])
@pytest.mark.parametrize("keepdims", [False, True])
def test_reductions_against_numpy(name, axis, keepdims, rng):
    a = rng.normal(size=(2, 3, 4))
    want = getattr(np, name)(a, axis=axis, keepdims=keepdims)
    same(getattr(td, name)(td.tensor(a), axis=axis, keepdims=keepdims), want, rtol=1e-12)
    same(getattr(td.tensor(a), name)(axis=axis, keepdims=keepdims), want, rtol=1e-12)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int32", "int64", "uint64", "float16", "float64"])
@pytest.mark.parametrize("source", ["uint8", "int16", "int64", "float32"])
def test_sum_and_prod_in_a_dtype(source, dtype):
    values = np.array([[3, 100, 90], [1, 7, 120]], source)
    x = td.tensor(values)
    for axis in (None, 0):
        for got, want in (
            (x.sum(axis, dtype=dtype), values.astype(dtype).sum(axis, dtype=dtype)),
            (td.prod(x[:, :2], axis, dtype=dtype), values[:, :2].astype(dtype).prod(axis, dtype=dtype)),
        ):
            assert got.dtype == dtype and got.tolist() == want.tolist()


def test_argmax_softmax_logsumexp(rng):
    a = rng.normal(size=(3, 4))
    x = td.tensor(a)
    same(x.argmax(), a.argmax())
    same(x.argmin(axis=1), a.argmin(1))
    same(td.argmax(x, axis=0, keepdims=True), a.argmax(0, keepdims=True))
    e = np.exp(a)
    same(x.softmax(0), e / e.sum(0), rtol=1e-12)
    same(td.log_softmax(x), np.log(e / e.sum(1, keepdims=True)), rtol=1e-12)
    same(td.logsumexp(x, axis=1), np.log(e.sum(1)), rtol=1e-12)
    same(
        td.softmax_cross_entropy(x, td.tensor([0, 3, 1])),
        -np.log(e / e.sum(1, keepdims=True))[[0, 1, 2], [0, 3, 1]],
        rtol=1e-12,
    )
    assert td.sum(td.ones(3, dtype=td.int8)).dtype is td.int64
    assert td.sum(td.ones(3), dtype=td.float64).dtype is td.float64


def test_shapes_against_numpy(rng):
    a = rng.normal(size=(2, 3, 4))
    x = td.tensor(a)
    same(x.reshape(4, -1), a.reshape(4, -1))
    same(x.reshape((6, 4)), a.reshape(6, 4))
    same(td.reshape(x, (24,)), a.reshape(24))
    same(x.permute_dims(2, 0, 1), a.transpose(2, 0, 1))
    same(td.permute_dims(x, (1, 0, 2)), a.transpose(1, 0, 2))
    same(x.mT, a.swapaxes(1, 2))
    same(x[0].T, a[0].T)
    same(x.swapaxes(0, 2), a.swapaxes(0, 2))
    same(td.moveaxis(x, 0, -1), np.moveaxis(a, 0, -1))
    for source, destination in [((0, 1), (2, 0)), ((-1, 0), (0, 1)), ((2, 0, 1), (0, 1, 2)), ((), ())]:
        same(td.moveaxis(x, source, destination), np.moveaxis(a, source, destination))
    for source, destination in [((0, 0), (1, 2)), ((0, 1), (2, 2)), ((0, 1), (0,))]:
        with pytest.raises(ValueError, match="moveaxis"):
            td.moveaxis(x, source, destination)
    same(x.flatten(), a.ravel())
    same(td.expand_dims(x, 1), a[:, None])
    same(td.squeeze(td.expand_dims(x, 1)), a)
    same(td.squeeze(x[:1], 0), a[0])
    same(x.flip(), a[::-1, ::-1, ::-1])
    same(td.flip(x, axis=1), a[:, ::-1])
    same(td.concat([x, x[:1]]), np.concatenate([a, a[:1]]))
    same(td.stack([x, x], axis=1), np.stack([a, a], axis=1))
    same(td.split(x, 2, axis=2)[1], np.split(a, 2, axis=2)[1])
    same(td.split(x, [1, 2], axis=1)[1], a[:, 1:])
    same(td.pad(x, 1), np.pad(a, 1))
    same(td.pad(x, ((0, 1), (2, 0), (0, 0))), np.pad(a, ((0, 1), (2, 0), (0, 0))))
    same(td.broadcast_to(x[:, :1], (2, 5, 4)), np.broadcast_to(a[:, :1], (2, 5, 4)))
    both = td.broadcast_arrays(td.ones((3, 1)), td.ones(4))
    assert [b.shape for b in both] == [(3, 4)] * 2
    same(td.outer(x[0, 0], x[1, 1]), np.outer(a[0, 0], a[1, 1]))
    same(td.vecdot(x, x), (a * a).sum(-1), rtol=1e-12)
    assert x.strides == (12, 4, 1) and x.mT.strides == (12, 1, 4)
    assert x.size == 24 and x.ndim == 3 and x.nbytes == 192 and x.itemsize == 8
    assert x.is_contiguous() and not x.mT.is_contiguous() and x.mT.contiguous().is_contiguous()
    with pytest.raises(td.ShapeError, match="mT"):
        _ = x.T


def test_concat_of_everything():
    x = td.tensor([[1.0, 2.0], [3.0, 4.0]])
    y = td.concat([x.T, td.tensor(5.0), td.zeros((0, 3))], axis=None)
    assert y.tolist() == [1.0, 3.0, 2.0, 4.0, 5.0]
    assert td.grad(lambda x: (td.concat([x.T, x[0]], axis=None) ** 2).sum())(x).tolist() == [[4, 8], [6, 8]]


@pytest.mark.cpu_only("test_cuda.py has the like")
def test_astype_and_to():
    x = td.tensor([1.7, -2.5])
    assert x.astype(int).tolist() == [1, -2] and x.to(td.float64).dtype is td.float64
    assert x.to("cpu") is not None and x.to(td.device("cpu")).device == "cpu" and x.cpu().device == "cpu"
    assert x.to_device("cpu").tolist() == x.tolist()
    assert repr(x.device) == "device('cpu')" and str(x.device) == "cpu" and x.device.type == "cpu"
    with pytest.raises(td.DeviceError, match="cuda:99"):
        x.to("cuda:99")
    with pytest.raises(ValueError, match="unknown device"):
        td.device("tpu")


# --- Indexing

KEYS = [
    0,
    -1,
    (1, 2),
    (slice(None), 1),
    slice(1, None),
    slice(None, None, -1),
    (slice(3, 0, -2), slice(None, None, 2)),
    (Ellipsis, 0),
    (0, Ellipsis),
    Ellipsis,
    None,
    (None, 0, None, slice(None)),
    (slice(None), None, slice(1, 2)),
    slice(2, 2),
    slice(-100, 100),
    (),
    [0, 2],
    np.array([[0, 1], [3, 3]]),
    np.array([-1, 0]),
    (np.array([0, 1]), np.array([1, 2])),
    (np.array([[0], [1]]), np.array([0, 2])),
    (slice(None), np.array([0, 2])),
    (slice(None), np.array([0, 2]), slice(1, 3)),
    (slice(None), slice(None), np.array([[1, 0], [2, 2]])),
    (np.array([0, 1]), slice(None), np.array([1, 2])),
    (0, slice(None), np.array([1, 2])),
    (slice(None), 0, np.array([1, 2])),
    (slice(None), np.array([1, 2]), 0),
    (slice(1, None), None, np.array([1, 2])),
    (np.array([0, 1]), None, np.array([1, 2])),
    (Ellipsis, np.array([0, 3])),
    np.arange(4) % 2 == 0,
    np.arange(12).reshape(4, 3) % 5 < 2,
    (slice(None), np.array([True, False, True])),
    (np.array([True, False, True, True]), 0),
    np.zeros(4, bool),
    True,
    False,
    (0, True),
    [],
]


def tensor_key(key):
    if isinstance(key, tuple):
        return tuple(tensor_key(k) for k in key)
    return td.tensor(key) if isinstance(key, np.ndarray) else key


@pytest.mark.parametrize("key", KEYS, ids=str)
def test_get_item_against_numpy(key, rng):
    a = rng.normal(size=(4, 3, 5))
    numpy_key = np.array(key, int) if isinstance(key, list) else key
    want = a[numpy_key]
    for k in (key, tensor_key(key)):
        same(td.tensor(a)[k], want)
    same(td.tensor(a.transpose(2, 1, 0).copy()).permute_dims(2, 1, 0)[key], want)


@pytest.mark.parametrize("key", KEYS, ids=str)
@pytest.mark.parametrize("scalar", [True, False])
def test_set_item_against_numpy(key, scalar, rng):
    a = rng.normal(size=(4, 3, 5))
    numpy_key = np.array(key, int) if isinstance(key, list) else key
    x = td.tensor(a)
    value = 7.0 if scalar else rng.normal(size=a[numpy_key].shape)
    a[numpy_key] = value
    x[tensor_key(key)] = value
    same(x, a)


def test_set_item_broadcasts_and_converts():
    x = td.zeros((2, 3))
    x[:] = td.tensor([1, 2, 3])
    x[:, None, 1] = td.tensor([[5.0], [6.0]])
    assert x.tolist() == [[1, 5, 3], [1, 6, 3]]
    x[x > 4] = 0
    assert x.tolist() == [[1, 0, 3], [1, 0, 3]]
    x[0] += 10
    x[:, 2:3] *= 2
    assert x.tolist() == [[11, 10, 26], [1, 0, 6]]
    with pytest.raises(td.ShapeError):
        x[0] = td.ones(4)
    with pytest.raises(TypeError):
        x[0] = "text"
    i = td.zeros(3, dtype=td.int64)
    with pytest.raises(td.DTypeError):
        i[0] = 1.5
    with pytest.raises(TypeError):
        del x[0]


def test_slices_are_views_and_arrays_copy():
    x = td.arange(6)
    view, picked = x[::-2], x[td.tensor([0, 1])]
    x[:] = 0
    assert view.tolist() == [0, 0, 0] and picked.tolist() == [0, 1]


@pytest.mark.parametrize(
    "key",
    [
        4,
        -5,
        (0, 3),
        (0, 0, 0, 0),
        "a",
        1.0,
        (Ellipsis, Ellipsis),
        np.zeros(3, bool),
        np.array([4]),
        np.array([-5]),
        np.array([1.0]),
    ],
    ids=str,
)
def test_bad_indices(key, settle):
    x = td.zeros((4, 3, 5))
    for k in (key, tensor_key(key)):
        with pytest.raises(IndexError):
            x[k]
            settle()
        with pytest.raises(IndexError):
            x[k] = 1
            settle()
    assert not x.any()


def test_indexing_is_differentiable(rng):
    a = rng.normal(size=(4, 3))
    rows = td.tensor([0, 2, 0])
    g = td.grad(lambda x: (x[rows] * x[1:, None, -1:].sum()).sum())
    x = td.tensor(a)
    total = a[1:, -1].sum()
    want = np.zeros((4, 3))
    np.add.at(want, [0, 2, 0], total)
    want[1:, -1] += a[[0, 2, 0]].sum()
    same(g(x), want, rtol=1e-12)


def test_assignment_is_differentiable(rng):
    a, v = rng.normal(size=(3, 4)), rng.normal(size=4)

    def f(x, v):
        y = x * 1
        y[1] = v * v
        y[:, 2] += 3 * x[:, 0]
        y[td.tensor([0, 2]), td.tensor([1, 1])] = v[:2]
        y[y > 100] = 0
        return (y * y).sum()

    td.check_grads(f, (td.tensor(a), td.tensor(v)), order=2)


# --- Objects


def test_copies_and_pickles():
    x = td.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    for y in (copy.copy(x), copy.deepcopy(x), pickle.loads(pickle.dumps(x))):
        assert (
            y is not x and y.requires_grad and y.is_leaf and y.tolist() == x.tolist() and y.dtype is x.dtype
        )
        with td.no_grad():
            y += 1
    assert x.tolist() == [[1, 2], [3, 4]]
    for dtype in DTYPES:
        y = td.ones((2, 0, 3), dtype=dtype)
        assert pickle.loads(pickle.dumps(y)).shape == (2, 0, 3)
        assert pickle.loads(pickle.dumps(td.ones(3, dtype=dtype).flip())).tolist() == [1, 1, 1]


@pytest.mark.cpu_only("the device is part of the text elsewhere")
def test_repr():
    assert repr(td.tensor([1.0, 2.5])) == "tensor([1. , 2.5], dtype=float32)"
    assert repr(td.tensor([[1, 2], [3, 4]])) == "tensor([[1, 2],\n        [3, 4]], dtype=int64)"
    assert repr(td.tensor(3.0, requires_grad=True)) == "tensor(3., dtype=float32, requires_grad=True)"
    assert repr(td.zeros((0, 3))) == "tensor([], shape=(0, 3), dtype=float32)"
    assert repr(td.ones(2, dtype=td.bfloat16)) == "tensor([1., 1.], dtype=bfloat16)"


def test_random_from_keys():
    key = td.random.key(7)
    assert key.shape == (2,) and key.dtype is td.uint32
    a, b = td.random.split(key)
    assert td.random.normal(a, (3, 2)).tolist() == td.random.normal(a, (3, 2)).tolist()
    assert td.random.normal(a, 3).tolist() != td.random.normal(b, 3).tolist()
    u = td.random.uniform(a, (10000,), low=2, high=4)
    assert u.min().item() >= 2 and u.max().item() < 4 and abs(u.mean().item() - 3) < 0.03
    assert abs(td.random.bernoulli(b, 0.25, (10000,)).astype(td.float32).mean().item() - 0.25) < 0.02
    r = td.random.randint(a, (1000,), low=-2, high=3)
    assert sorted(set(r.tolist())) == [-2, -1, 0, 1, 2]
    assert sorted(td.random.permutation(a, 50).tolist()) == list(range(50))
    assert sorted(td.random.permutation(a, td.tensor([5, 6, 7])).tolist()) == [5, 6, 7]
    assert td.random.fold_in(a, 3).tolist() != td.random.fold_in(a, 4).tolist()


def test_memory_and_threads(live_bytes, device):
    before = live_bytes()
    x = td.zeros(1 << 20)
    assert live_bytes() - before == 4 << 20
    del x
    assert live_bytes() == before
    memory = td.cuda if device.type == "cuda" else td.cpu
    memory.reset_peak_memory()
    memory.empty_cache()
    assert memory.memory_stats()["peak_bytes"] == before
    count = td.get_num_threads()
    td.set_num_threads(1)
    assert td.get_num_threads() == 1
    td.set_num_threads(count)
    with pytest.raises(ValueError):
        td.set_num_threads(0)


def python(code):
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_import_is_light():
    python(
        "import sys, tidu\n"
        "loaded = sorted(sys.modules)\n"
        "assert not {'numpy', 'tidu.nn.layers', 'tidu.viz._graph'} & {*loaded}, loaded\n"
        "assert tidu.nn.Linear(2, 3)(tidu.ones(2)).shape == (3,) and 'tidu.nn.layers' in sys.modules\n"
        "assert 'libcuda' not in open('/proc/self/maps').read()"
    )


def test_threads_that_use_a_module_first_get_the_same():
    python(
        "import sys, threading, tidu as td\n"
        "sys.setswitchinterval(1e-6)\n"
        "got = []\n"
        "use = lambda: got.append((td.nn.Linear, td.optim.SGD, td.data.DataLoader))\n"
        "threads = [threading.Thread(target=use) for _ in range(8)]\n"
        "for t in threads: t.start()\n"
        "for t in threads: t.join()\n"
        "import tidu.nn.layers\n"
        "assert len(got) == 8 and len({*got}) == 1 and got[0][0] is tidu.nn.layers.Linear\n"
        "assert sys.modules['tidu.nn'] is td.nn and type(td.nn) is type(sys)\n"
    )


def test_names_that_are_imported_all_at_once():
    python(
        "from tidu import *\n"
        "assert float is type(1.0) and sin(ones(2)).shape == (2,)\n"
        "assert nn.Linear(2, 3)(ones(2)).shape == (3,)\n"
        "from tidu.nn.functional import *\n"
        "assert relu(-ones(2)).sum().item() == 0\n"
    )


def test_doctor_runs():
    result = subprocess.run(
        [sys.executable, "-m", "tidu.doctor"], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert "device cpu" in result.stdout and "passed" in result.stdout
    assert td.cuda.is_available() is not bool(td.cuda.why_not())


def test_the_default_device_is_where_tensors_are_made(device):
    assert td.get_default_device() == device
    made = [td.zeros(2), td.tensor([1.0]), td.asarray(np.ones(2)), td.arange(3), td.eye(2), td.random.key(0)]
    assert {x.device for x in made} == {device}
    with pytest.raises(ValueError, match="unknown device 'gpu'"):
        td.set_default_device("gpu")
    with pytest.raises(td.DeviceError, match="cuda:99"):
        td.set_default_device("cuda:99")
    assert td.get_default_device() == device


def test_copies_that_are_asked_for():
    x = td.arange(6, dtype=td.float32)
    for wanted, shared in ((None, True), (False, True), (True, False)):
        y = td.reshape(x, (2, 3), copy=wanted)
        y[0, 0] = 1 + x[0]
        assert (y.tolist()[0][0] == x.tolist()[0]) == shared
    with pytest.raises(ValueError, match="leave out copy=False"):
        td.reshape(x.reshape(2, 3).mT, (6,), copy=False)
    assert td.reshape(x.reshape(2, 3).mT, (6,), copy=True).shape == (6,)
    for wanted, shared in ((False, True), (True, False)):
        y = td.astype(x, td.float32, copy=wanted)
        y[0] = 1 + x[0]
        assert (y.tolist()[0] == x.tolist()[0]) == shared
    assert td.astype(x, td.int32, device="cpu").device == "cpu"
    assert x.astype(td.float64, device=x.device).dtype == td.float64


def test_what_the_array_api_asks_of_dtypes():
    for dtype in ("float16", "float32", "float64"):
        ours, numpys = td.finfo(dtype), np.finfo(dtype)
        for name in ("bits", "eps", "max", "min", "smallest_normal"):
            assert getattr(ours, name) == getattr(numpys, name), (dtype, name)
        assert ours.dtype == dtype
    assert td.finfo(td.bfloat16).max == float.fromhex("0x1.fep127") and td.finfo(td.bfloat16).bits == 16
    for dtype in ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"):
        ours, numpys = td.iinfo(td.zeros(2, dtype=dtype)), np.iinfo(dtype)
        assert (ours.bits, ours.max, ours.min) == (numpys.bits, numpys.max, numpys.min)
    for call, dtype in ((td.finfo, td.int32), (td.iinfo, td.float32), (td.iinfo, td.bool)):
        with pytest.raises(TypeError, match="is no"):
            call(dtype)
    assert td.isdtype(td.int8, "integral") and td.isdtype(td.bfloat16, ("bool", "real floating"))
    assert not td.isdtype(td.bool, "numeric") and td.isdtype(td.bool, td.bool)
    with pytest.raises(ValueError, match="kind is"):
        td.isdtype(td.bool, "number")
    assert td.can_cast(td.int8, td.int16) and not td.can_cast(td.ones(1), td.int32)
    about = td.ones(1).__array_namespace__().__array_namespace_info__()
    assert about.default_device() in about.devices() and about.capabilities()["max dimensions"] == 12
    assert about.default_dtypes(device="cpu")["integral"] == td.int64
    assert set(about.dtypes(kind="real floating")) == {"float32", "float64"}
