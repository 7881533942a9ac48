"""Memory shared with NumPy, the buffer protocol and DLPack, both ways."""

import ctypes
import gc
import sys
import weakref

import numpy as np
import pytest
import tidu as td

DTYPES = [d for d in vars(td).values() if isinstance(d, td.dtype) and d is not td.bfloat16]


def address(array):
    return array.__array_interface__["data"][0]


# --- NumPy


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_numpy_shares_memory_of_every_dtype(dtype):
    x = td.ones((2, 3), dtype=dtype)
    a = x.numpy()
    assert a.dtype == np.dtype(str(dtype)) and a.shape == (2, 3)
    a[0, 1] = 0
    assert not x[0, 1] and x[1, 2]
    y = td.from_numpy(a)
    assert y.dtype is dtype
    y[1, 2] = 0
    assert not x[1, 2]


@pytest.mark.parametrize(
    "view",
    [
        lambda a: a[::-1],
        lambda a: a[:, 1:4:2],
        lambda a: a[2, ::-2],
        lambda a: a[1:1],
        lambda a: a[0, 0],
        lambda a: a[:, None],
    ],
)
def test_views_keep_their_layout_both_ways(view):
    a = np.arange(20.0).reshape(4, 5)
    shared = td.from_numpy(np.asarray(view(a)))
    np.testing.assert_array_equal(shared.numpy(), view(a))
    x = td.tensor(a)
    out = view(x).numpy()
    np.testing.assert_array_equal(out, view(a))
    if out.size:
        out[...] = -1
        expected = a.copy()
        expected_view = view(expected)
        if isinstance(expected_view, np.ndarray):
            expected_view[...] = -1
        else:
            expected[0, 0] = -1
        np.testing.assert_array_equal(x.numpy(), expected)


def test_transposed_and_fortran_arrays():
    a = np.asfortranarray(np.arange(6.0).reshape(2, 3))
    x = td.from_numpy(a)
    assert x.strides == (1, 2) and not x.is_contiguous()
    np.testing.assert_array_equal((x + 0).numpy(), a)
    np.testing.assert_array_equal(td.tensor(a).numpy(), a)
    np.testing.assert_array_equal(x.mT.numpy(), a.T)
    assert address(x.mT.numpy()) == address(a)


def test_read_only_both_ways():
    a = np.arange(3.0)
    a.flags.writeable = False
    x = td.from_numpy(a)
    with pytest.raises(ValueError, match="read-only"):
        x += 1
    with pytest.raises(ValueError, match="read-only"):
        x[0] = 1
    assert not x.numpy().flags.writeable
    assert not td.broadcast_to(td.ones(1), (3,)).numpy().flags.writeable
    with td.no_grad():
        assert not td.ones(2, requires_grad=True).numpy().flags.writeable
    assert td.ones(2).numpy().flags.writeable
    copied = td.tensor(a)
    copied += 1


def test_memory_lives_as_long_as_its_views(live_bytes):
    before = live_bytes()
    a = td.full(1000, 3.0).numpy()
    assert a.sum() == 3000 and live_bytes() > before
    del a
    assert live_bytes() == before

    class Watched(np.ndarray):
        pass

    source = np.arange(5.0).view(Watched)
    reference = weakref.ref(source)
    x = td.from_numpy(source)[1:]
    del source
    gc.collect()
    assert reference() is not None and x.tolist() == [1, 2, 3, 4]
    del x
    gc.collect()
    assert reference() is None


def test_numpy_functions_on_tensors():
    x = td.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert np.asarray(x).dtype == np.float32 and np.asarray(x, dtype=np.float64).dtype == np.float64
    assert address(np.asarray(x)) == address(x.numpy())
    assert address(np.array(x)) != address(x.numpy())
    assert x.__array__(np.float64).dtype == np.float64 and x.__array__(copy=True).flags.owndata
    with pytest.raises(ValueError, match="without a copy"):
        x.__array__(np.float64, copy=False)
    np.testing.assert_array_equal(np.stack([x, x]).shape, (2, 2, 2))
    np.testing.assert_array_equal(np.arange(3)[td.tensor([2, 0])], [2, 0])
    assert x.__array_namespace__() is td


def test_bfloat16():
    x = td.tensor([1.0, 3.140625, -2.0], dtype=td.bfloat16)
    a = x.numpy()
    np.testing.assert_array_equal(a.astype(np.float32), [1, 3.140625, -2])
    with pytest.raises(BufferError, match="bfloat16"):
        memoryview(x)
    assert x.tolist() == [1, 3.140625, -2]
    ml_dtypes = pytest.importorskip("ml_dtypes")
    b = np.array([0.5, 2.0], dtype=ml_dtypes.bfloat16)
    assert td.from_numpy(b).dtype is td.bfloat16 and td.tensor(b).tolist() == [0.5, 2.0]
    assert a.dtype == ml_dtypes.bfloat16


def test_unusual_arrays():
    swapped = np.arange(3, dtype=">f4")
    np.testing.assert_array_equal(td.tensor(swapped).numpy(), [0, 1, 2])
    raw = np.frombuffer(bytes(13), np.uint8)[1:].view(np.float32)
    with pytest.raises(ValueError, match="aligned"):
        td.from_numpy(raw)
    np.testing.assert_array_equal(td.tensor(raw).numpy(), [0, 0, 0])
    text, date = np.array(["text"]), np.array(["2024-01-01"], "M8[D]")
    for bad in (text, np.array([1], np.longdouble), np.array([object()]), date):
        with pytest.raises((TypeError, ValueError)):
            td.tensor(bad)
    field = np.zeros(3, dtype=[("a", "f4"), ("b", "i1")])["a"]
    with pytest.raises(ValueError, match="aligned"):
        td.from_numpy(field)
    np.testing.assert_array_equal(td.tensor(field).numpy(), [0, 0, 0])
    np.testing.assert_array_equal(td.tensor(np.array(5)).numpy(), 5)
    assert td.tensor(np.zeros((0, 3))).shape == (0, 3) and td.from_numpy(np.zeros((2, 0))).shape == (2, 0)


def test_buffer_protocol():
    view = memoryview(td.arange(6).reshape(2, 3).mT)
    assert view.shape == (3, 2) and view.strides == (8, 24) and view.format == "q" and not view.readonly
    assert view.tolist() == [[0, 3], [1, 4], [2, 5]]
    assert bytes(td.tensor([1, 2], dtype=td.uint8)) == b"\x01\x02"
    assert td.asarray(bytearray(b"\x05\x06")).tolist() == [5, 6]
    import array

    shared = array.array("d", [1.0, 2.0])
    x = td.from_numpy(shared)
    shared[0] = 7
    assert x.tolist() == [7, 2]


# --- DLPack


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_numpy_reads_and_writes_dlpack(dtype):
    x = td.ones((3, 4), dtype=dtype)[::2, 1:]
    a = np.from_dlpack(x)
    assert address(a) == address(x.numpy()) and a.strides == x.numpy().strides and a.dtype == x.numpy().dtype
    y = td.from_dlpack(a)
    assert y.dtype is dtype and y.shape == x.shape and y.strides == x.strides
    y[0, 0] = 0
    assert not x[0, 0] and not a[0, 0]


def test_dlpack_between_tensors():
    x = td.arange(5, dtype=td.bfloat16)
    y = td.from_dlpack(x)
    assert y.dtype is td.bfloat16 and y.tolist() == [0, 1, 2, 3, 4]
    y += 1
    assert x.tolist() == [1, 2, 3, 4, 5]
    z = td.from_dlpack(x, copy=True)
    z += 1
    assert x.tolist() == [1, 2, 3, 4, 5]
    assert x.__dlpack_device__() == (1, 0)
    assert td.from_dlpack(td.zeros((0, 2))).shape == (0, 2) and td.from_dlpack(td.tensor(2.5)).item() == 2.5


def name_of(capsule):
    api = ctypes.pythonapi
    api.PyCapsule_GetName.restype = ctypes.c_char_p
    api.PyCapsule_GetName.argtypes = [ctypes.py_object]
    return api.PyCapsule_GetName(capsule)


@pytest.mark.parametrize("version", [None, (0, 8), (1, 0), (1, 7), (2, 0)])
def test_capsules_are_taken_over_once(version, live_bytes):
    before = live_bytes()
    x = td.ones(1000)
    capsule = x.__dlpack__(max_version=version)
    versioned = version is not None and version >= (1, 0)
    assert name_of(capsule) == (b"dltensor_versioned" if versioned else b"dltensor")
    y = td.from_dlpack(capsule)
    assert name_of(capsule) == (b"used_dltensor_versioned" if versioned else b"used_dltensor")
    with pytest.raises(ValueError, match="used already"):
        td.from_dlpack(capsule)
    del x, capsule
    assert live_bytes() == before + 4000 and y.sum().item() == 1000
    del y
    assert live_bytes() == before
    td.ones(1000).__dlpack__(max_version=version)  # never taken over: the capsule frees it
    assert live_bytes() == before


def test_read_only_through_dlpack():
    x = td.broadcast_to(td.ones(1), (4,))
    y = td.from_dlpack(x.__dlpack__(max_version=(1, 0)))
    with pytest.raises(ValueError):
        y += 1
    with pytest.raises(BufferError, match="read-only"):
        x.__dlpack__(copy=False)
    z = td.from_dlpack(x.__dlpack__())  # an old capsule cannot say read-only, so it has a copy
    z += 1
    assert x.tolist() == [1, 1, 1, 1]
    frozen = np.arange(3.0)
    frozen.flags.writeable = False
    shared = td.from_dlpack(frozen)
    with pytest.raises(ValueError, match="read-only"):
        shared += 1
    w = td.ones(3, requires_grad=True)
    with td.no_grad():
        shared = td.from_dlpack(w)
    with pytest.raises(ValueError, match="read-only"):
        shared[:] = 5
    assert w.tolist() == [1, 1, 1]


class Array(ctypes.Structure):
    _fields_ = [
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_index", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    ]


class Managed(ctypes.Structure):
    pass


class Versioned(ctypes.Structure):
    pass


DELETER = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
Managed._fields_ = [("array", Array), ("context", ctypes.c_void_p), ("deleter", DELETER)]
Versioned._fields_ = [
    ("major", ctypes.c_uint32),
    ("minor", ctypes.c_uint32),
    ("context", ctypes.c_void_p),
    ("deleter", DELETER),
    ("flags", ctypes.c_uint64),
    ("array", Array),
]


class Exporter:
    """A capsule made by hand, with any content, that counts the calls of its deleter."""

    def __init__(self, versioned=False, major=1, flags=0, **changes):
        self.deleted = 0
        self.memory = (ctypes.c_float * 6)(*range(6))
        self.shape = (ctypes.c_int64 * 2)(2, 3)
        self.managed = Versioned() if versioned else Managed()
        self.name = b"dltensor_versioned" if versioned else b"dltensor"
        if versioned:
            self.managed.major, self.managed.flags = major, flags
        self.managed.deleter = DELETER(self._delete)
        array = self.managed.array
        array.data, array.device_type, array.ndim = ctypes.addressof(self.memory), 1, 2
        array.code, array.bits, array.lanes = 2, 32, 1
        array.shape = ctypes.cast(self.shape, ctypes.POINTER(ctypes.c_int64))
        for field, value in changes.items():
            setattr(array, field, value)

    def _delete(self, _):
        self.deleted += 1

    def capsule(self, name=None):
        api = ctypes.pythonapi
        api.PyCapsule_New.restype = ctypes.py_object
        api.PyCapsule_New.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
        self.name = name or self.name
        return api.PyCapsule_New(ctypes.addressof(self.managed), self.name, None)


@pytest.mark.parametrize("versioned", [False, True])
def test_foreign_capsules(versioned):
    exporter = Exporter(versioned, byte_offset=0)
    x = td.from_dlpack(exporter.capsule())
    assert x.tolist() == [[0, 1, 2], [3, 4, 5]]
    x[0, 0] = 9
    assert exporter.memory[0] == 9
    view = x[1]
    del x
    assert exporter.deleted == 0 and view.tolist() == [3, 4, 5]
    del view
    assert exporter.deleted == 1
    shifted = Exporter(versioned, byte_offset=4)
    shifted.shape[0] = 1
    assert td.from_dlpack(shifted.capsule()).tolist() == [[1, 2, 3]]
    read_only = Exporter(True, flags=1)
    with pytest.raises(ValueError, match="read-only"):
        td.from_dlpack(read_only.capsule())[0] = 1


@pytest.mark.parametrize(
    ("changes", "error", "match"),
    [
        ({"device_type": 2}, td.DeviceError, "device type 2"),
        ({"code": 5, "bits": 32}, td.DTypeError, "code 5"),
        ({"lanes": 4}, td.DTypeError, "4 lanes"),
        ({"bits": 4}, td.DTypeError, "4 bits"),
        ({"ndim": -1}, ValueError, "no shape"),
        ({"ndim": 50}, ValueError, "dimensions"),
        ({"data": None}, ValueError, "no memory"),
        ({"byte_offset": 1}, ValueError, "aligned"),
    ],
)
@pytest.mark.parametrize("versioned", [False, True])
def test_bad_capsules_are_errors_and_are_freed(changes, error, match, versioned):
    exporter = Exporter(versioned, **changes)
    with pytest.raises(error, match=match):
        td.from_dlpack(exporter.capsule())
    assert exporter.deleted == 1


def test_bad_exporters():
    exporter = Exporter()
    exporter.shape[1] = -3
    with pytest.raises(ValueError, match="negative"):
        td.from_dlpack(exporter.capsule())
    with pytest.raises(BufferError, match="version 2"):
        td.from_dlpack(Exporter(True, major=2).capsule())
    with pytest.raises(ValueError, match="not a DLPack capsule"):
        td.from_dlpack(Exporter().capsule(b"something"))
    with pytest.raises(TypeError, match="__dlpack__"):
        td.from_dlpack([1, 2])

    class Bad:
        def __dlpack__(self, **kwargs):
            return 5

    with pytest.raises(TypeError, match="capsule"):
        td.from_dlpack(Bad())
    x = td.ones(2)
    with pytest.raises(ValueError, match="stream"):
        x.__dlpack__(stream=1)
    with pytest.raises(BufferError, match="cpu"):
        x.__dlpack__(dl_device=(2, 0))
    assert sys.getrefcount(x) == 2


def test_exporters_from_before_versions():
    exporter = Exporter()

    class Old:
        def __dlpack__(self, stream=None):
            return exporter.capsule()

    assert td.from_dlpack(Old()).shape == (2, 3)
    assert exporter.deleted == 1
