# ruff: noqa
"""Types of the extension module; written by scripts/make_stubs.py."""

import builtins
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeAlias, overload

import numpy as _np

_TensorLike: TypeAlias = Any  # a tensor, a number, a nested sequence or an array
_Shape: TypeAlias = builtins.int | Sequence[builtins.int]

class dtype:
    """The type of a tensor's elements: tidu.float32, tidu.int64, ..."""
    def __init__(self, dtype: _DTypeLike) -> None: ...
    @property
    def name(self) -> builtins.str: ...
    @property
    def itemsize(self) -> builtins.int: ...
    @property
    def is_floating_point(self) -> builtins.bool: ...

class device:
    """Where a tensor lives: device('cpu'), device('cuda'), device('cuda', 1). In a with statement tensors are
    made there where no device is named."""
    @overload
    def __init__(self, device: _DeviceLike) -> None: ...
    @overload
    def __init__(self, type: builtins.str, index: builtins.int) -> None: ...
    @property
    def type(self) -> builtins.str: ...
    @property
    def index(self) -> builtins.int: ...
    def __enter__(self) -> device: ...
    def __exit__(self, *args: Any) -> None: ...

_DType: TypeAlias = dtype
_Device: TypeAlias = device
_DTypeLike: TypeAlias = dtype | builtins.str | builtins.type | _np.dtype[Any]
_DeviceLike: TypeAlias = device | builtins.str | builtins.int  # a number is that of a cuda device

class Tensor:
    """An n-dimensional array of elements of one dtype on one device, that can be differentiated.

    Made by tidu.tensor, tidu.zeros, tidu.from_numpy ... Views (slices, transposes, broadcasts) share memory."""
    def __lt__(self, other: _TensorLike, /) -> Tensor: ...
    def __le__(self, other: _TensorLike, /) -> Tensor: ...
    def __eq__(self, other: _TensorLike, /) -> Tensor: ...  # type: ignore[override]
    def __ne__(self, other: _TensorLike, /) -> Tensor: ...  # type: ignore[override]
    def __gt__(self, other: _TensorLike, /) -> Tensor: ...
    def __ge__(self, other: _TensorLike, /) -> Tensor: ...
    def __iter__(self) -> Iterator[Tensor]: ...
    def __add__(self, other: _TensorLike, /) -> Tensor: ...
    def __radd__(self, other: _TensorLike, /) -> Tensor: ...
    def __sub__(self, other: _TensorLike, /) -> Tensor: ...
    def __rsub__(self, other: _TensorLike, /) -> Tensor: ...
    def __mul__(self, other: _TensorLike, /) -> Tensor: ...
    def __rmul__(self, other: _TensorLike, /) -> Tensor: ...
    def __mod__(self, other: _TensorLike, /) -> Tensor: ...
    def __rmod__(self, other: _TensorLike, /) -> Tensor: ...
    def __pow__(self, other: _TensorLike, modulus: None = ..., /) -> Tensor: ...
    def __rpow__(self, other: _TensorLike, modulus: None = ..., /) -> Tensor: ...
    def __neg__(self) -> Tensor: ...
    def __pos__(self) -> Tensor: ...
    def __abs__(self) -> Tensor: ...
    def __bool__(self) -> builtins.bool: ...
    def __invert__(self) -> Tensor: ...
    def __lshift__(self, other: _TensorLike, /) -> Tensor: ...
    def __rlshift__(self, other: _TensorLike, /) -> Tensor: ...
    def __rshift__(self, other: _TensorLike, /) -> Tensor: ...
    def __rrshift__(self, other: _TensorLike, /) -> Tensor: ...
    def __and__(self, other: _TensorLike, /) -> Tensor: ...
    def __rand__(self, other: _TensorLike, /) -> Tensor: ...
    def __xor__(self, other: _TensorLike, /) -> Tensor: ...
    def __rxor__(self, other: _TensorLike, /) -> Tensor: ...
    def __or__(self, other: _TensorLike, /) -> Tensor: ...
    def __ror__(self, other: _TensorLike, /) -> Tensor: ...
    def __int__(self) -> builtins.int: ...
    def __float__(self) -> builtins.float: ...
    def __iadd__(self, other: _TensorLike, /) -> Tensor: ...
    def __isub__(self, other: _TensorLike, /) -> Tensor: ...
    def __imul__(self, other: _TensorLike, /) -> Tensor: ...
    def __imod__(self, other: _TensorLike, /) -> Tensor: ...
    def __ipow__(self, other: _TensorLike, modulus: None = ..., /) -> Tensor: ...
    def __ilshift__(self, other: _TensorLike, /) -> Tensor: ...
    def __irshift__(self, other: _TensorLike, /) -> Tensor: ...
    def __iand__(self, other: _TensorLike, /) -> Tensor: ...
    def __ixor__(self, other: _TensorLike, /) -> Tensor: ...
    def __ior__(self, other: _TensorLike, /) -> Tensor: ...
    def __floordiv__(self, other: _TensorLike, /) -> Tensor: ...
    def __rfloordiv__(self, other: _TensorLike, /) -> Tensor: ...
    def __truediv__(self, other: _TensorLike, /) -> Tensor: ...
    def __rtruediv__(self, other: _TensorLike, /) -> Tensor: ...
    def __ifloordiv__(self, other: _TensorLike, /) -> Tensor: ...
    def __itruediv__(self, other: _TensorLike, /) -> Tensor: ...
    def __index__(self) -> builtins.int: ...
    def __matmul__(self, other: _TensorLike, /) -> Tensor: ...
    def __rmatmul__(self, other: _TensorLike, /) -> Tensor: ...
    def __imatmul__(self, other: _TensorLike, /) -> Tensor: ...
    def __len__(self) -> builtins.int: ...
    def __getitem__(self, key: Any, /) -> Tensor: ...
    def __setitem__(self, key: Any, value: Any, /) -> None: ...
    def __contains__(self, key: _TensorLike, /) -> builtins.bool: ...
    @property
    def shape(self) -> tuple[builtins.int, ...]:
        """The extents, a tuple of ints."""
    @property
    def strides(self) -> tuple[builtins.int, ...]:
        """The distance in elements between neighbours along each axis."""
    @property
    def dtype(self) -> _DType:
        """The type of the elements."""
    @property
    def device(self) -> _Device:
        """Where the elements lie."""
    @property
    def is_cuda(self) -> builtins.bool:
        """Whether the elements lie on a cuda device."""
    @property
    def ndim(self) -> builtins.int:
        """The number of axes."""
    @property
    def size(self) -> builtins.int:
        """The number of elements."""
    @property
    def itemsize(self) -> builtins.int:
        """Bytes an element."""
    @property
    def nbytes(self) -> builtins.int:
        """Bytes of all elements."""
    @property
    def T(self) -> Tensor:
        """The transpose of a matrix; a view."""
    @property
    def mT(self) -> Tensor:
        """The last two axes swapped; a view."""
    @property
    def requires_grad(self) -> builtins.bool:
        """Whether backward() carries gradients to or through this tensor. Can be set on floating-point leaves."""
    @requires_grad.setter
    def requires_grad(self, value: builtins.bool) -> None: ...
    @property
    def is_leaf(self) -> builtins.bool:
        """Whether this tensor was made by the user rather than by a recorded operation."""
    @property
    def grad(self) -> Tensor | None:
        """What backward() has accumulated for this leaf, or None."""
    @grad.setter
    def grad(self, value: Tensor | None) -> None: ...
    def negative(self, /) -> Tensor:
        """-x."""
    def abs(self, /) -> Tensor:
        """|x|; the derivative at 0 is 0."""
    def sign(self, /) -> Tensor:
        """-1, 0 or 1; NaN for NaN."""
    def floor(self, /) -> Tensor:
        """Largest integer not above x."""
    def ceil(self, /) -> Tensor:
        """Smallest integer not below x."""
    def trunc(self, /) -> Tensor:
        """x rounded towards zero."""
    def round(self, /) -> Tensor:
        """x rounded to the nearest integer, halves to even."""
    def square(self, /) -> Tensor:
        """x * x."""
    def reciprocal(self, /) -> Tensor:
        """1 / x."""
    def sqrt(self, /) -> Tensor:
        """Square root; NaN below 0."""
    def rsqrt(self, /) -> Tensor:
        """1 / sqrt(x)."""
    def exp(self, /) -> Tensor:
        """e to the power of x."""
    def exp2(self, /) -> Tensor:
        """2 to the power of x."""
    def expm1(self, /) -> Tensor:
        """exp(x) - 1, accurate near 0."""
    def log(self, /) -> Tensor:
        """Natural logarithm."""
    def log2(self, /) -> Tensor:
        """Logarithm to base 2."""
    def log10(self, /) -> Tensor:
        """Logarithm to base 10."""
    def log1p(self, /) -> Tensor:
        """log(1 + x), accurate near 0."""
    def sin(self, /) -> Tensor:
        """Sine of x in radians."""
    def cos(self, /) -> Tensor:
        """Cosine of x in radians."""
    def tan(self, /) -> Tensor:
        """Tangent of x in radians."""
    def asin(self, /) -> Tensor:
        """Inverse sine, in [-pi/2, pi/2]."""
    def acos(self, /) -> Tensor:
        """Inverse cosine, in [0, pi]."""
    def atan(self, /) -> Tensor:
        """Inverse tangent, in [-pi/2, pi/2]."""
    def sinh(self, /) -> Tensor:
        """Hyperbolic sine."""
    def cosh(self, /) -> Tensor:
        """Hyperbolic cosine."""
    def tanh(self, /) -> Tensor:
        """Hyperbolic tangent."""
    def asinh(self, /) -> Tensor:
        """Inverse hyperbolic sine."""
    def acosh(self, /) -> Tensor:
        """Inverse hyperbolic cosine; NaN below 1."""
    def atanh(self, /) -> Tensor:
        """Inverse hyperbolic tangent."""
    def sigmoid(self, /) -> Tensor:
        """1 / (1 + exp(-x)), without overflow."""
    def log_sigmoid(self, /) -> Tensor:
        """log(sigmoid(x)), without overflow."""
    def softplus(self, /) -> Tensor:
        """log(1 + exp(x)), without overflow."""
    def relu(self, /) -> Tensor:
        """max(x, 0); the derivative at 0 is 0."""
    def silu(self, /) -> Tensor:
        """x * sigmoid(x)."""
    def gelu(self, /) -> Tensor:
        """x * Phi(x), Phi being the normal distribution function (exact form)."""
    def erf(self, /) -> Tensor:
        """Error function."""
    def erfc(self, /) -> Tensor:
        """1 - erf(x), accurate for large x."""
    def isnan(self, /) -> Tensor:
        """True where x is NaN."""
    def isinf(self, /) -> Tensor:
        """True where x is an infinity."""
    def isfinite(self, /) -> Tensor:
        """True where x is neither NaN nor an infinity."""
    def logical_not(self, /) -> Tensor:
        """not x."""
    def bitwise_invert(self, /) -> Tensor:
        """~x."""
    def add(self, b: _TensorLike, /) -> Tensor:
        """a + b."""
    def subtract(self, b: _TensorLike, /) -> Tensor:
        """a - b."""
    def multiply(self, b: _TensorLike, /) -> Tensor:
        """a * b."""
    def multiply_no_nan(self, b: _TensorLike, /) -> Tensor:
        """a * b, and 0 where either is 0 even if the other is infinite or NaN."""
    def divide(self, b: _TensorLike, /) -> Tensor:
        """a / b; true division."""
    def floor_divide(self, b: _TensorLike, /) -> Tensor:
        """floor(a / b); integers: rounded towards minus infinity, 0 for division by 0."""
    def remainder(self, b: _TensorLike, /) -> Tensor:
        """a - floor(a / b) * b, with the sign of b; integers: 0 for b = 0."""
    def pow(self, b: _TensorLike, /) -> Tensor:
        """a to the power of b."""
    def maximum(self, b: _TensorLike, /) -> Tensor:
        """The larger of a and b, NaN if either is; ties share the gradient."""
    def minimum(self, b: _TensorLike, /) -> Tensor:
        """The smaller of a and b, NaN if either is; ties share the gradient."""
    def atan2(self, b: _TensorLike, /) -> Tensor:
        """Angle of the point (b, a)."""
    def hypot(self, b: _TensorLike, /) -> Tensor:
        """sqrt(a^2 + b^2), without overflow."""
    def logaddexp(self, b: _TensorLike, /) -> Tensor:
        """log(exp(a) + exp(b)), without overflow."""
    def equal(self, b: _TensorLike, /) -> Tensor:
        """a == b."""
    def not_equal(self, b: _TensorLike, /) -> Tensor:
        """a != b."""
    def less(self, b: _TensorLike, /) -> Tensor:
        """a < b."""
    def less_equal(self, b: _TensorLike, /) -> Tensor:
        """a <= b."""
    def greater(self, b: _TensorLike, /) -> Tensor:
        """a > b."""
    def greater_equal(self, b: _TensorLike, /) -> Tensor:
        """a >= b."""
    def logical_and(self, b: _TensorLike, /) -> Tensor:
        """a and b."""
    def logical_or(self, b: _TensorLike, /) -> Tensor:
        """a or b."""
    def logical_xor(self, b: _TensorLike, /) -> Tensor:
        """a xor b."""
    def bitwise_and(self, b: _TensorLike, /) -> Tensor:
        """a & b."""
    def bitwise_or(self, b: _TensorLike, /) -> Tensor:
        """a | b."""
    def bitwise_xor(self, b: _TensorLike, /) -> Tensor:
        """a ^ b."""
    def bitwise_left_shift(self, b: _TensorLike, /) -> Tensor:
        """a << b; 0 where b is not below the width of the type."""
    def bitwise_right_shift(self, b: _TensorLike, /) -> Tensor:
        """a >> b, arithmetic for signed types."""
    def where(self, a: _TensorLike, b: _TensorLike, /) -> Tensor:
        """a where c holds, else b; the branch not taken gets gradient exactly 0."""
    def sum(
        self, axis: _Shape | None = ..., keepdims: builtins.bool = ..., dtype: _DTypeLike | None = ...
    ) -> Tensor:
        """The sum over the axes (all by default), of x converted to `dtype` and in it. Without one the sum of bool and
        small integers is int64, of unsigned ones uint64.
        """
    def prod(
        self, axis: _Shape | None = ..., keepdims: builtins.bool = ..., dtype: _DTypeLike | None = ...
    ) -> Tensor:
        """The product over the axes (all by default), with dtypes as in `sum`."""
    def mean(self, axis: _Shape | None = ..., keepdims: builtins.bool = ...) -> Tensor:
        """The mean over the axes (all by default)."""
    def var(
        self, axis: _Shape | None = ..., correction: builtins.float = ..., keepdims: builtins.bool = ...
    ) -> Tensor:
        """The mean squared deviation over the axes, divided by n - correction."""
    def std(
        self, axis: _Shape | None = ..., correction: builtins.float = ..., keepdims: builtins.bool = ...
    ) -> Tensor:
        """The square root of var."""
    def max(self, axis: _Shape | None = ..., keepdims: builtins.bool = ...) -> Tensor:
        """The largest element, NaN where any is; equal elements share the gradient."""
    def min(self, axis: _Shape | None = ..., keepdims: builtins.bool = ...) -> Tensor:
        """The smallest element, NaN where any is; equal elements share the gradient."""
    def any(self, axis: _Shape | None = ..., keepdims: builtins.bool = ...) -> Tensor:
        """Whether any element is true (not 0)."""
    def all(self, axis: _Shape | None = ..., keepdims: builtins.bool = ...) -> Tensor:
        """Whether all elements are true (not 0)."""
    def logsumexp(self, axis: _Shape | None = ..., keepdims: builtins.bool = ...) -> Tensor:
        """log(sum(exp(x))), without overflow."""
    def argmax(self, axis: builtins.int | None = ..., keepdims: builtins.bool = ...) -> Tensor:
        """The int64 index of the first largest element along the axis, or of the flattened tensor."""
    def argmin(self, axis: builtins.int | None = ..., keepdims: builtins.bool = ...) -> Tensor:
        """The int64 index of the first smallest element along the axis, or of the flattened tensor."""
    def softmax(self, axis: builtins.int = ...) -> Tensor:
        """exp(x) / sum(exp(x)) along the axis."""
    def log_softmax(self, axis: builtins.int = ...) -> Tensor:
        """x - logsumexp(x) along the axis."""
    def matmul(self, other: _TensorLike) -> Tensor:
        """The matrix product by NumPy's rule: vectors, matrices, batches."""
    def outer(self, other: _TensorLike) -> Tensor:
        """The outer product (m, n) of vectors (m) and (n)."""
    def vecdot(self, other: _TensorLike) -> Tensor:
        """The sum of the products along the last axis."""
    def reshape(self, *args: Any) -> Tensor:
        """The same values in another shape: reshape(2, -1) or reshape((2, -1))."""
    def permute_dims(self, *args: Any) -> Tensor:
        """A view with axis i taken from axes[i]."""
    def flatten(self) -> Tensor:
        """All elements as a vector; a view where the layout allows."""
    def swapaxes(self, axis1: builtins.int, axis2: builtins.int) -> Tensor:
        """A view with two axes swapped."""
    def moveaxis(self, source: builtins.int, destination: builtins.int) -> Tensor:
        """A view with one axis moved."""
    def matrix_transpose(self) -> Tensor:
        """A view with the last two axes swapped."""
    def broadcast_to(self, shape: _Shape) -> Tensor:
        """A view in which extents of 1 and missing leading ones are repeated."""
    def expand_dims(self, axis: builtins.int) -> Tensor:
        """A view with a new axis of extent 1."""
    def squeeze(self, axis: _Shape | None = ...) -> Tensor:
        """A view without the axes (by default all) of extent 1."""
    def flip(self, axis: _Shape | None = ...) -> Tensor:
        """A view in reverse order along the axes (by default all)."""
    def split(self, sizes: Any, axis: builtins.int = ...) -> builtins.list[Tensor]:
        """Parts along an axis: `sizes` of them equal, or of the sizes given. Views."""
    def pad(self, pad_width: Any) -> Tensor:
        """Zeros around x: n on every side, or a (before, after) pair for each axis."""
    def astype(self, dtype: _DTypeLike) -> Tensor:
        """x converted. To bool: x != 0; to an integer: towards zero, saturating, NaN to 0."""
    def to(
        self,
        target: Any = ...,
        dtype: _DTypeLike | None = ...,
        *,
        device: _DeviceLike | None = ...,
        copy: builtins.bool = ...,
        non_blocking: builtins.bool = ...,
    ) -> Tensor:
        """x on a device, of a dtype, or of both; of another tensor, its. Unless `copy` x itself where it is so already.
        `non_blocking` makes no difference: no copy to a device waits for the computation there.
        """
    def contiguous(self) -> Tensor:
        """x in row-major layout; x itself where it is."""
    def copy(self) -> Tensor:
        """The same values in new memory; differentiable."""
    def stop_gradient(self) -> Tensor:
        """The same values as a constant; a view."""
    def detach(self) -> Tensor:
        """The same values as a constant; a view."""
    def is_contiguous(self) -> builtins.bool:
        """Whether the layout is row-major."""
    def requires_grad_(self, requires_grad: builtins.bool = ...) -> Any:
        """Sets requires_grad and returns this tensor."""
    def backward(
        self,
        gradient: _TensorLike | None = ...,
        retain_graph: builtins.bool = ...,
        create_graph: builtins.bool = ...,
    ) -> None:
        """Adds the derivative of this tensor to `grad` of every leaf that requires one. `gradient`, of this tensor's
        shape, may be left out for one element. The graph is freed unless retain_graph; with create_graph the
        gradients can be differentiated again.
        """
    def take(self, indices: _TensorLike, axis: builtins.int = ...) -> Tensor:
        """The slices at integer indices along an axis, which is replaced by the indices' shape."""
    def take_along_axis(self, indices: _TensorLike, axis: builtins.int = ...) -> Tensor:
        """The elements that indices, of x's rank, name along an axis."""
    def scatter_add(self, indices: _TensorLike, updates: _TensorLike, axis: builtins.int = ...) -> Tensor:
        """x with updates, shaped like take(x, indices, axis), added at the indices; repeated indices add up."""
    def nonzero(self) -> builtins.tuple:
        """The coordinates of the elements that are not 0: one int64 vector an axis."""
    def item(self) -> Any:
        """The one element as a Python number."""
    def tolist(self) -> Any:
        """The elements as Python numbers in nested lists."""
    def __dlpack__(
        self,
        *,
        stream: Any = ...,
        max_version: builtins.tuple[builtins.int, builtins.int] | None = ...,
        dl_device: builtins.tuple[builtins.int, builtins.int] | None = ...,
        copy: builtins.bool | None = ...,
    ) -> Any:
        """A DLPack capsule of this tensor's memory: versioned where max_version allows, else the old one."""
    def __dlpack_device__(self) -> builtins.tuple[builtins.int, builtins.int]: ...
    def numpy(self, *args: Any, **kwargs: Any) -> _np.ndarray[Any, Any]:
        """The elements as a NumPy array, in the same memory where possible (see tidu._numpy.to_numpy)."""
    def __array__(self, *args: Any, **kwargs: Any) -> _np.ndarray[Any, Any]: ...
    def __array_namespace__(self, *args: Any, **kwargs: Any) -> Any: ...
    def to_device(self, *args: Any, **kwargs: Any) -> Tensor:
        """This tensor on another device."""
    def cpu(self, *args: Any, **kwargs: Any) -> Tensor:
        """This tensor on the cpu."""
    def cuda(self, *args: Any, **kwargs: Any) -> Tensor:
        """This tensor on a cuda device, by default the one that `tidu.cuda.current_device` says."""

class ShapeError(ValueError):
    """Shapes do not fit each other or the operation."""

class DTypeError(TypeError):
    """A dtype that the operation does not take."""

class DeviceError(RuntimeError):
    """A device is not available, or tensors are on different ones."""

class GradientError(RuntimeError):
    """A derivative that cannot be computed."""

class TraceError(RuntimeError):
    """A value was read that is not known while a program is recorded."""

class FileError(OSError):
    """A file that cannot be read, or is damaged."""

class MissingFileError(FileError, FileNotFoundError):
    """A file that is not there; the message says how to get it."""

bool: _DType
int8: _DType
int16: _DType
int32: _DType
int64: _DType
uint8: _DType
uint16: _DType
uint32: _DType
uint64: _DType
float16: _DType
bfloat16: _DType
float32: _DType
float64: _DType

def set_default_device(device: _DeviceLike) -> None:
    """Lets tensors be made on `device` where none is named; it is cpu at first."""

def get_default_device() -> _Device:
    """Where tensors are made if no device is named."""

def negative(x: _TensorLike, /) -> Tensor:
    """-x."""

def abs(x: _TensorLike, /) -> Tensor:
    """|x|; the derivative at 0 is 0."""

def sign(x: _TensorLike, /) -> Tensor:
    """-1, 0 or 1; NaN for NaN."""

def floor(x: _TensorLike, /) -> Tensor:
    """Largest integer not above x."""

def ceil(x: _TensorLike, /) -> Tensor:
    """Smallest integer not below x."""

def trunc(x: _TensorLike, /) -> Tensor:
    """x rounded towards zero."""

def round(x: _TensorLike, /) -> Tensor:
    """x rounded to the nearest integer, halves to even."""

def square(x: _TensorLike, /) -> Tensor:
    """x * x."""

def reciprocal(x: _TensorLike, /) -> Tensor:
    """1 / x."""

def sqrt(x: _TensorLike, /) -> Tensor:
    """Square root; NaN below 0."""

def rsqrt(x: _TensorLike, /) -> Tensor:
    """1 / sqrt(x)."""

def exp(x: _TensorLike, /) -> Tensor:
    """e to the power of x."""

def exp2(x: _TensorLike, /) -> Tensor:
    """2 to the power of x."""

def expm1(x: _TensorLike, /) -> Tensor:
    """exp(x) - 1, accurate near 0."""

def log(x: _TensorLike, /) -> Tensor:
    """Natural logarithm."""

def log2(x: _TensorLike, /) -> Tensor:
    """Logarithm to base 2."""

def log10(x: _TensorLike, /) -> Tensor:
    """Logarithm to base 10."""

def log1p(x: _TensorLike, /) -> Tensor:
    """log(1 + x), accurate near 0."""

def sin(x: _TensorLike, /) -> Tensor:
    """Sine of x in radians."""

def cos(x: _TensorLike, /) -> Tensor:
    """Cosine of x in radians."""

def tan(x: _TensorLike, /) -> Tensor:
    """Tangent of x in radians."""

def asin(x: _TensorLike, /) -> Tensor:
    """Inverse sine, in [-pi/2, pi/2]."""

def acos(x: _TensorLike, /) -> Tensor:
    """Inverse cosine, in [0, pi]."""

def atan(x: _TensorLike, /) -> Tensor:
    """Inverse tangent, in [-pi/2, pi/2]."""

def sinh(x: _TensorLike, /) -> Tensor:
    """Hyperbolic sine."""

def cosh(x: _TensorLike, /) -> Tensor:
    """Hyperbolic cosine."""

def tanh(x: _TensorLike, /) -> Tensor:
    """Hyperbolic tangent."""

def asinh(x: _TensorLike, /) -> Tensor:
    """Inverse hyperbolic sine."""

def acosh(x: _TensorLike, /) -> Tensor:
    """Inverse hyperbolic cosine; NaN below 1."""

def atanh(x: _TensorLike, /) -> Tensor:
    """Inverse hyperbolic tangent."""

def sigmoid(x: _TensorLike, /) -> Tensor:
    """1 / (1 + exp(-x)), without overflow."""

def log_sigmoid(x: _TensorLike, /) -> Tensor:
    """log(sigmoid(x)), without overflow."""

def softplus(x: _TensorLike, /) -> Tensor:
    """log(1 + exp(x)), without overflow."""

def relu(x: _TensorLike, /) -> Tensor:
    """max(x, 0); the derivative at 0 is 0."""

def silu(x: _TensorLike, /) -> Tensor:
    """x * sigmoid(x)."""

def gelu(x: _TensorLike, /) -> Tensor:
    """x * Phi(x), Phi being the normal distribution function (exact form)."""

def erf(x: _TensorLike, /) -> Tensor:
    """Error function."""

def erfc(x: _TensorLike, /) -> Tensor:
    """1 - erf(x), accurate for large x."""

def isnan(x: _TensorLike, /) -> Tensor:
    """True where x is NaN."""

def isinf(x: _TensorLike, /) -> Tensor:
    """True where x is an infinity."""

def isfinite(x: _TensorLike, /) -> Tensor:
    """True where x is neither NaN nor an infinity."""

def logical_not(x: _TensorLike, /) -> Tensor:
    """not x."""

def bitwise_invert(x: _TensorLike, /) -> Tensor:
    """~x."""

def add(a: _TensorLike, b: _TensorLike, /) -> Tensor:
    """a + b."""

def subtract(a: _TensorLike, b: _TensorLike, /) -> Tensor:
    """a - b."""

def multiply(a: _TensorLike, b: _TensorLike, /) -> Tensor:
    """a * b."""

def multiply_no_nan(a: _TensorLike, b: _TensorLike, /) -> Tensor:
    """a * b, and 0 where either is 0 even if the other is infinite or NaN."""

def divide(a: _TensorLike, b: _TensorLike, /) -> Tensor:
    """a / b; true division."""

def floor_divide(a: _TensorLike, b: _TensorLike, /) -> Tensor:
    """floor(a / b); integers: rounded towards minus infinity, 0 for division by 0."""

def remainder(a: _TensorLike, b: _TensorLike, /) -> Tensor:
    """a - floor(a / b) * b, with the sign of b; integers: 0 for b = 0."""

def pow(a: _TensorLike, b: _TensorLike, /) -> Tensor:
    """a to the power of b."""

def maximum(a: _TensorLike, b: _TensorLike, /) -> Tensor:
    """The larger of a and b, NaN if either is; ties share the gradient."""

def minimum(a: _TensorLike, b: _TensorLike, /) -> Tensor:
    """The smaller of a and b, NaN if either is; ties share the gradient."""

def atan2(a: _TensorLike, b: _TensorLike, /) -> Tensor:
    """Angle of the point (b, a)."""

def hypot(a: _TensorLike, b: _TensorLike, /) -> Tensor:
    """sqrt(a^2 + b^2), without overflow."""

def logaddexp(a: _TensorLike, b: _TensorLike, /) -> Tensor:
    """log(exp(a) + exp(b)), without overflow."""

def equal(a: _TensorLike, b: _TensorLike, /) -> Tensor:
    """a == b."""

def not_equal(a: _TensorLike, b: _TensorLike, /) -> Tensor:
    """a != b."""

def less(a: _TensorLike, b: _TensorLike, /) -> Tensor:
    """a < b."""

def less_equal(a: _TensorLike, b: _TensorLike, /) -> Tensor:
    """a <= b."""

def greater(a: _TensorLike, b: _TensorLike, /) -> Tensor:
    """a > b."""

def greater_equal(a: _TensorLike, b: _TensorLike, /) -> Tensor:
    """a >= b."""

def logical_and(a: _TensorLike, b: _TensorLike, /) -> Tensor:
    """a and b."""

def logical_or(a: _TensorLike, b: _TensorLike, /) -> Tensor:
    """a or b."""

def logical_xor(a: _TensorLike, b: _TensorLike, /) -> Tensor:
    """a xor b."""

def bitwise_and(a: _TensorLike, b: _TensorLike, /) -> Tensor:
    """a & b."""

def bitwise_or(a: _TensorLike, b: _TensorLike, /) -> Tensor:
    """a | b."""

def bitwise_xor(a: _TensorLike, b: _TensorLike, /) -> Tensor:
    """a ^ b."""

def bitwise_left_shift(a: _TensorLike, b: _TensorLike, /) -> Tensor:
    """a << b; 0 where b is not below the width of the type."""

def bitwise_right_shift(a: _TensorLike, b: _TensorLike, /) -> Tensor:
    """a >> b, arithmetic for signed types."""

def where(c: _TensorLike, a: _TensorLike, b: _TensorLike, /) -> Tensor:
    """a where c holds, else b; the branch not taken gets gradient exactly 0."""

def sum(
    x: _TensorLike, axis: _Shape | None = ..., keepdims: builtins.bool = ..., dtype: _DTypeLike | None = ...
) -> Tensor:
    """The sum over the axes (all by default), of x converted to `dtype` and in it. Without one the sum of bool and
    small integers is int64, of unsigned ones uint64.
    """

def prod(
    x: _TensorLike, axis: _Shape | None = ..., keepdims: builtins.bool = ..., dtype: _DTypeLike | None = ...
) -> Tensor:
    """The product over the axes (all by default), with dtypes as in `sum`."""

def mean(x: _TensorLike, axis: _Shape | None = ..., keepdims: builtins.bool = ...) -> Tensor:
    """The mean over the axes (all by default)."""

def var(
    x: _TensorLike, axis: _Shape | None = ..., correction: builtins.float = ..., keepdims: builtins.bool = ...
) -> Tensor:
    """The mean squared deviation over the axes, divided by n - correction."""

def std(
    x: _TensorLike, axis: _Shape | None = ..., correction: builtins.float = ..., keepdims: builtins.bool = ...
) -> Tensor:
    """The square root of var."""

def max(x: _TensorLike, axis: _Shape | None = ..., keepdims: builtins.bool = ...) -> Tensor:
    """The largest element, NaN where any is; equal elements share the gradient."""

def min(x: _TensorLike, axis: _Shape | None = ..., keepdims: builtins.bool = ...) -> Tensor:
    """The smallest element, NaN where any is; equal elements share the gradient."""

def any(x: _TensorLike, axis: _Shape | None = ..., keepdims: builtins.bool = ...) -> Tensor:
    """Whether any element is true (not 0)."""

def all(x: _TensorLike, axis: _Shape | None = ..., keepdims: builtins.bool = ...) -> Tensor:
    """Whether all elements are true (not 0)."""

def logsumexp(x: _TensorLike, axis: _Shape | None = ..., keepdims: builtins.bool = ...) -> Tensor:
    """log(sum(exp(x))), without overflow."""

def argmax(x: _TensorLike, axis: builtins.int | None = ..., keepdims: builtins.bool = ...) -> Tensor:
    """The int64 index of the first largest element along the axis, or of the flattened tensor."""

def argmin(x: _TensorLike, axis: builtins.int | None = ..., keepdims: builtins.bool = ...) -> Tensor:
    """The int64 index of the first smallest element along the axis, or of the flattened tensor."""

def softmax(x: _TensorLike, axis: builtins.int = ...) -> Tensor:
    """exp(x) / sum(exp(x)) along the axis."""

def log_softmax(x: _TensorLike, axis: builtins.int = ...) -> Tensor:
    """x - logsumexp(x) along the axis."""

def softmax_cross_entropy(logits: _TensorLike, labels: _TensorLike) -> Tensor:
    """-log_softmax(logits)[label] along the last axis: logits (.., classes), integer labels (..) give losses (..)."""

def matmul(x: _TensorLike, other: _TensorLike) -> Tensor:
    """The matrix product by NumPy's rule: vectors, matrices, batches."""

def outer(x: _TensorLike, other: _TensorLike) -> Tensor:
    """The outer product (m, n) of vectors (m) and (n)."""

def vecdot(x: _TensorLike, other: _TensorLike) -> Tensor:
    """The sum of the products along the last axis."""

def reshape(x: _TensorLike, shape: _Shape) -> Tensor:
    """The same values in another shape, of which one extent may be -1; a view where the layout allows."""

def permute_dims(x: _TensorLike, axes: _Shape) -> Tensor:
    """A view with axis i taken from axes[i]."""

def flatten(x: _TensorLike) -> Tensor:
    """All elements as a vector; a view where the layout allows."""

def swapaxes(x: _TensorLike, axis1: builtins.int, axis2: builtins.int) -> Tensor:
    """A view with two axes swapped."""

def moveaxis(x: _TensorLike, source: builtins.int, destination: builtins.int) -> Tensor:
    """A view with one axis moved."""

def matrix_transpose(x: _TensorLike) -> Tensor:
    """A view with the last two axes swapped."""

def broadcast_to(x: _TensorLike, shape: _Shape) -> Tensor:
    """A view in which extents of 1 and missing leading ones are repeated."""

def broadcast_arrays(*args: Any) -> builtins.list[Tensor]:
    """Views of the tensors broadcast against each other."""

def expand_dims(x: _TensorLike, axis: builtins.int) -> Tensor:
    """A view with a new axis of extent 1."""

def squeeze(x: _TensorLike, axis: _Shape | None = ...) -> Tensor:
    """A view without the axes (by default all) of extent 1."""

def flip(x: _TensorLike, axis: _Shape | None = ...) -> Tensor:
    """A view in reverse order along the axes (by default all)."""

def concat(tensors: Sequence[_TensorLike], axis: builtins.int | None = ...) -> Tensor:
    """The tensors one after another along an axis; with None all of them flattened."""

def stack(tensors: Sequence[_TensorLike], axis: builtins.int = ...) -> Tensor:
    """The tensors along a new axis."""

def split(x: _TensorLike, sizes: Any, axis: builtins.int = ...) -> builtins.list[Tensor]:
    """Parts along an axis: `sizes` of them equal, or of the sizes given. Views."""

def pad(x: _TensorLike, pad_width: Any) -> Tensor:
    """Zeros around x: n on every side, or a (before, after) pair for each axis."""

def astype(x: _TensorLike, dtype: _DTypeLike) -> Tensor:
    """x converted. To bool: x != 0; to an integer: towards zero, saturating, NaN to 0."""

def to(
    x: _TensorLike,
    target: Any = ...,
    dtype: _DTypeLike | None = ...,
    *,
    device: _DeviceLike | None = ...,
    copy: builtins.bool = ...,
    non_blocking: builtins.bool = ...,
) -> Tensor:
    """x on a device, of a dtype, or of both; of another tensor, its. Unless `copy` x itself where it is so already.
    `non_blocking` makes no difference: no copy to a device waits for the computation there.
    """

def contiguous(x: _TensorLike) -> Tensor:
    """x in row-major layout; x itself where it is."""

def copy(x: _TensorLike) -> Tensor:
    """The same values in new memory; differentiable."""

def stop_gradient(x: _TensorLike) -> Tensor:
    """The same values as a constant; a view."""

def take(x: _TensorLike, indices: _TensorLike, axis: builtins.int = ...) -> Tensor:
    """The slices at integer indices along an axis, which is replaced by the indices' shape."""

def take_along_axis(x: _TensorLike, indices: _TensorLike, axis: builtins.int = ...) -> Tensor:
    """The elements that indices, of x's rank, name along an axis."""

def scatter_add(
    x: _TensorLike, indices: _TensorLike, updates: _TensorLike, axis: builtins.int = ...
) -> Tensor:
    """x with updates, shaped like take(x, indices, axis), added at the indices; repeated indices add up."""

def nonzero(x: _TensorLike) -> builtins.tuple:
    """The coordinates of the elements that are not 0: one int64 vector an axis."""

def result_type(*args: Any) -> _DType:
    """The dtype in which tensors, numbers and dtypes meet."""

def tensor(
    data: Any,
    dtype: _DTypeLike | None = ...,
    device: _DeviceLike | None = ...,
    requires_grad: builtins.bool = ...,
) -> Tensor:
    """A new tensor with the values of numbers, nested sequences, a NumPy array or another tensor.

    Python floats give float32, integers int64, booleans bool, arrays their own dtype.
    """

def asarray(
    obj: Any,
    *,
    dtype: _DTypeLike | None = ...,
    device: _DeviceLike | None = ...,
    copy: builtins.bool | None = ...,
) -> Tensor:
    """A tensor of what `obj` holds, in the same memory where possible (copy=None), always in new memory (True), or
    else a ValueError (False).
    """

def full(
    shape: _Shape,
    fill_value: builtins.float,
    *,
    dtype: _DTypeLike | None = ...,
    device: _DeviceLike | None = ...,
    requires_grad: builtins.bool = ...,
) -> Tensor:
    """A tensor filled with one number."""

def zeros(
    shape: _Shape,
    *,
    dtype: _DTypeLike | None = ...,
    device: _DeviceLike | None = ...,
    requires_grad: builtins.bool = ...,
) -> Tensor:
    """A tensor of zeros."""

def ones(
    shape: _Shape,
    *,
    dtype: _DTypeLike | None = ...,
    device: _DeviceLike | None = ...,
    requires_grad: builtins.bool = ...,
) -> Tensor:
    """A tensor of ones."""

def empty(
    shape: _Shape,
    *,
    dtype: _DTypeLike | None = ...,
    device: _DeviceLike | None = ...,
    requires_grad: builtins.bool = ...,
) -> Tensor:
    """A tensor of any values."""

def zeros_like(
    x: _TensorLike,
    *,
    dtype: _DTypeLike | None = ...,
    device: _DeviceLike | None = ...,
    requires_grad: builtins.bool = ...,
) -> Tensor:
    """Zeros of x's shape, dtype and device."""

def ones_like(
    x: _TensorLike,
    *,
    dtype: _DTypeLike | None = ...,
    device: _DeviceLike | None = ...,
    requires_grad: builtins.bool = ...,
) -> Tensor:
    """Ones of x's shape, dtype and device."""

def full_like(
    x: _TensorLike,
    fill_value: builtins.float,
    *,
    dtype: _DTypeLike | None = ...,
    device: _DeviceLike | None = ...,
    requires_grad: builtins.bool = ...,
) -> Tensor:
    """One number in x's shape, dtype and device."""

def empty_like(
    x: _TensorLike,
    *,
    dtype: _DTypeLike | None = ...,
    device: _DeviceLike | None = ...,
    requires_grad: builtins.bool = ...,
) -> Tensor:
    """Any values in x's shape, dtype and device."""

def arange(
    start: builtins.float,
    stop: builtins.float | None = ...,
    step: builtins.float = ...,
    *,
    dtype: _DTypeLike | None = ...,
    device: _DeviceLike | None = ...,
    requires_grad: builtins.bool = ...,
) -> Tensor:
    """start, start + step .. below stop; arange(stop) starts at 0."""

def linspace(
    start: builtins.float,
    stop: builtins.float,
    num: builtins.int,
    endpoint: builtins.bool = ...,
    *,
    dtype: _DTypeLike | None = ...,
    device: _DeviceLike | None = ...,
    requires_grad: builtins.bool = ...,
) -> Tensor:
    """`num` evenly spaced values from start to stop, which is included unless endpoint is False."""

def eye(
    n_rows: builtins.int,
    n_cols: builtins.int | None = ...,
    k: builtins.int = ...,
    *,
    dtype: _DTypeLike | None = ...,
    device: _DeviceLike | None = ...,
    requires_grad: builtins.bool = ...,
) -> Tensor:
    """Ones on the k-th diagonal, zeros elsewhere."""

def one_hot(indices: _TensorLike, num_classes: builtins.int, *, dtype: _DTypeLike | None = ...) -> Tensor:
    """1 where the new last axis equals the index, else 0: shape indices.shape + (num_classes,)."""

def from_numpy(array: Any) -> Tensor:
    """A tensor in the memory of a NumPy array (or anything with the buffer protocol), which both then see."""

def from_dlpack(x: Any, *, device: _DeviceLike | None = ..., copy: builtins.bool | None = ...) -> Tensor:
    """A tensor in the memory of another library's array, through its __dlpack__ or a capsule."""

def _to_bytes(x: _TensorLike) -> builtins.bytes:
    """The elements in row-major order."""

def _from_bytes(data: builtins.bytes, shape: _Shape, dtype: _DTypeLike, device: _DeviceLike = ...) -> Tensor:
    """A tensor of row-major elements."""

def _is_abstract(arg0: _TensorLike) -> builtins.bool:
    """Whether x has a shape but no value."""

def vjp(arg0: Callable, arg1: Any) -> builtins.tuple[builtins.list, Callable]: ...
def jvp(arg0: Callable, arg1: Any, arg2: Any) -> builtins.tuple[builtins.list, builtins.list]: ...
def value_and_grad(arg0: Callable, arg1: Any) -> builtins.tuple[Tensor, builtins.list]: ...
def jacrev(arg0: Callable, arg1: Any) -> builtins.list: ...
def jacfwd(arg0: Callable, arg1: Any) -> builtins.list: ...
def jacobian(arg0: Callable, arg1: Any) -> builtins.list: ...
def hessian(arg0: Callable, arg1: Any) -> builtins.list: ...
def custom_vjp(arg0: Callable, arg1: Callable, arg2: Any) -> builtins.list: ...
def custom_jvp(arg0: Callable, arg1: Callable, arg2: Any) -> builtins.list: ...
def is_grad_enabled() -> builtins.bool:
    """Whether operations are recorded for derivatives here."""

def is_tracked(arg0: _TensorLike) -> builtins.bool:
    """Whether some transform that is live here differentiates by the tensor."""

class GradScope:
    def __init__(self, enabled: builtins.bool) -> None: ...
    def leave(self) -> builtins.bool: ...

def memory_stats(device: _DeviceLike = ...) -> builtins.dict:
    """Bytes in use by tensors, the most there were since the last reset, bytes held from the system, and the number
    of allocations.
    """

def reset_peak_memory(device: _DeviceLike = ...) -> None:
    """Lets peak_bytes begin again at live_bytes."""

def empty_cache(device: _DeviceLike = ...) -> None:
    """Gives memory that no tensor uses back to the system."""

def set_memory_limit(bytes: builtins.int, device: _DeviceLike = ...) -> None:
    """The most that may be held from the system; beyond it allocations raise MemoryError."""

def set_num_threads(count: builtins.int) -> None:
    """How many threads the cpu's kernels use. Results do not depend on it."""

def get_num_threads() -> builtins.int:
    """How many threads the cpu's kernels use."""

def describe_device(device: _DeviceLike) -> builtins.str:
    """One line on a device: what it is and what of it is used."""

def primitives() -> builtins.list:
    """Every primitive: name, form of derivative, devices that have a kernel; of the op table's rows also arity, types,
    domain and doc.
    """

__version__: builtins.str
__all__ = [
    "ShapeError",
    "DTypeError",
    "DeviceError",
    "GradientError",
    "TraceError",
    "FileError",
    "MissingFileError",
    "dtype",
    "bool",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "float16",
    "bfloat16",
    "float32",
    "float64",
    "device",
    "set_default_device",
    "get_default_device",
    "Tensor",
    "negative",
    "abs",
    "sign",
    "floor",
    "ceil",
    "trunc",
    "round",
    "square",
    "reciprocal",
    "sqrt",
    "rsqrt",
    "exp",
    "exp2",
    "expm1",
    "log",
    "log2",
    "log10",
    "log1p",
    "sin",
    "cos",
    "tan",
    "asin",
    "acos",
    "atan",
    "sinh",
    "cosh",
    "tanh",
    "asinh",
    "acosh",
    "atanh",
    "sigmoid",
    "log_sigmoid",
    "softplus",
    "relu",
    "silu",
    "gelu",
    "erf",
    "erfc",
    "isnan",
    "isinf",
    "isfinite",
    "logical_not",
    "bitwise_invert",
    "add",
    "subtract",
    "multiply",
    "multiply_no_nan",
    "divide",
    "floor_divide",
    "remainder",
    "pow",
    "maximum",
    "minimum",
    "atan2",
    "hypot",
    "logaddexp",
    "equal",
    "not_equal",
    "less",
    "less_equal",
    "greater",
    "greater_equal",
    "logical_and",
    "logical_or",
    "logical_xor",
    "bitwise_and",
    "bitwise_or",
    "bitwise_xor",
    "bitwise_left_shift",
    "bitwise_right_shift",
    "where",
    "sum",
    "prod",
    "mean",
    "var",
    "std",
    "max",
    "min",
    "any",
    "all",
    "logsumexp",
    "argmax",
    "argmin",
    "softmax",
    "log_softmax",
    "softmax_cross_entropy",
    "matmul",
    "outer",
    "vecdot",
    "reshape",
    "permute_dims",
    "flatten",
    "swapaxes",
    "moveaxis",
    "matrix_transpose",
    "broadcast_to",
    "broadcast_arrays",
    "expand_dims",
    "squeeze",
    "flip",
    "concat",
    "stack",
    "split",
    "pad",
    "astype",
    "to",
    "contiguous",
    "copy",
    "stop_gradient",
    "take",
    "take_along_axis",
    "scatter_add",
    "nonzero",
    "result_type",
    "tensor",
    "asarray",
    "full",
    "zeros",
    "ones",
    "empty",
    "zeros_like",
    "ones_like",
    "full_like",
    "empty_like",
    "arange",
    "linspace",
    "eye",
    "one_hot",
    "from_numpy",
    "from_dlpack",
]
