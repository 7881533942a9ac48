"""What dtypes hold and what there is, asked as the array API standard asks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tidu import _core
from tidu._core import Tensor
from tidu.typing import DeviceLike, DTypeLike

_SIGNED = (_core.int8, _core.int16, _core.int32, _core.int64)
_UNSIGNED = (_core.uint8, _core.uint16, _core.uint32, _core.uint64)
_FLOATS = (_core.float16, _core.bfloat16, _core.float32, _core.float64)
_COMPLEX = {_core.complex64: _core.float32, _core.complex128: _core.float64}  # and the dtypes of their parts
_KINDS = {
    "bool": (_core.bool,),
    "signed integer": _SIGNED,
    "unsigned integer": _UNSIGNED,
    "integral": _SIGNED + _UNSIGNED,
    "real floating": _FLOATS,
    "complex floating": tuple(_COMPLEX),
    "numeric": _SIGNED + _UNSIGNED + _FLOATS + tuple(_COMPLEX),
}
# Of each: the digits behind the leading one, and the largest exponent.
_FORMATS = {
    _core.float16: (10, 15),
    _core.bfloat16: (7, 127),
    _core.float32: (23, 127),
    _core.float64: (52, 1023),
}


@dataclass(frozen=True)
class FloatInfo:
    """The numbers of a floating-point dtype."""

    bits: int
    eps: float
    max: float
    min: float
    smallest_normal: float
    dtype: _core.dtype


@dataclass(frozen=True)
class IntegerInfo:
    """The numbers of an integer dtype."""

    bits: int
    max: int
    min: int
    dtype: _core.dtype


def _dtype_of(type: DTypeLike | Tensor) -> _core.dtype:
    return type.dtype if isinstance(type, _core.Tensor) else _core.dtype(type)


def finfo(type: DTypeLike | Tensor) -> FloatInfo:
    """bits, eps, max, min and smallest_normal of a floating-point dtype, or of a tensor's; of complex
    ones those of their parts.

    Examples
    --------
    >>> td.finfo(td.float32).bits
    32
    """
    dtype = _dtype_of(type)
    dtype = _COMPLEX.get(dtype, dtype)
    if dtype not in _FORMATS:
        raise TypeError(f"[finfo] {dtype} is no floating-point dtype (see iinfo)")
    digits, exponent = _FORMATS[dtype]
    eps, smallest = 2.0**-digits, 2.0 ** (1 - exponent)
    largest = (2 - eps) * 2.0**exponent
    return FloatInfo(8 * dtype.itemsize, eps, largest, -largest, smallest, dtype)


def iinfo(type: DTypeLike | Tensor) -> IntegerInfo:
    """bits, max and min of an integer dtype, or of a tensor's.

    Examples
    --------
    >>> td.iinfo(td.int8).max
    127
    """
    dtype = _dtype_of(type)
    if dtype not in _KINDS["integral"]:
        raise TypeError(f"[iinfo] {dtype} is no integer dtype (see finfo)")
    bits = 8 * dtype.itemsize
    if dtype in _UNSIGNED:
        return IntegerInfo(bits, 2**bits - 1, 0, dtype)
    return IntegerInfo(bits, 2 ** (bits - 1) - 1, -(2 ** (bits - 1)), dtype)


def isdtype(dtype: _core.dtype, kind: _core.dtype | str | tuple[_core.dtype | str, ...]) -> bool:
    """Whether a dtype is of a kind: another dtype, 'bool', 'signed integer', 'unsigned integer', 'integral',
    'real floating', 'complex floating', 'numeric', or a tuple of these.

    Examples
    --------
    >>> td.isdtype(td.int32, "integral")
    True
    """
    if isinstance(kind, tuple):
        return any(isdtype(dtype, one) for one in kind)
    if isinstance(kind, _core.dtype):
        return dtype == kind
    if kind not in _KINDS:
        raise ValueError(f"[isdtype] kind is a dtype or one of {', '.join(map(repr, _KINDS))}, not {kind!r}")
    return dtype in _KINDS[kind]


def can_cast(from_: DTypeLike | Tensor, to: DTypeLike) -> bool:
    """Whether the dtype (of a tensor) becomes `to` by promotion.

    Examples
    --------
    >>> td.can_cast(td.int32, td.int64)
    True
    """
    return _core.result_type(_dtype_of(from_), to) == to


class _Namespace:
    """What `__array_namespace_info__` gives."""

    def capabilities(self) -> dict[str, Any]:
        return {"boolean indexing": True, "data-dependent shapes": True, "max dimensions": _core._max_rank}

    def default_device(self) -> _core.device:
        return _core.get_default_device()

    def devices(self) -> list[_core.device]:
        from tidu import cuda

        count = cuda.device_count() if cuda.is_available() else 0
        return [_core.device("cpu"), *(_core.device("cuda", i) for i in range(count))]

    def default_dtypes(self, *, device: DeviceLike | None = None) -> dict[str, _core.dtype]:
        return {
            "real floating": _core.float32,
            "complex floating": _core.complex64,
            "integral": _core.int64,
            "indexing": _core.int64,
        }

    def dtypes(
        self, *, device: DeviceLike | None = None, kind: str | tuple[str, ...] | None = None
    ) -> dict[str, _core.dtype]:
        every = (
            _KINDS["bool"] + _KINDS["integral"] + (_core.float32, _core.float64) + tuple(_COMPLEX)
        )  # those of the standard
        return {dtype.name: dtype for dtype in every if kind is None or isdtype(dtype, kind)}


def __array_namespace_info__() -> _Namespace:
    """Devices, dtypes and defaults, as the array API standard names them.

    Examples
    --------
    >>> td.__array_namespace_info__().default_dtypes()["integral"]
    tidu.int64
    """
    return _Namespace()
