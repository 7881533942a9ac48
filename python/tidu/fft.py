"""Discrete Fourier transforms, as the array API standard and NumPy have them.

`n` and `s` are lengths to which axes are cut or padded with zeros beforehand. `norm` says what is divided:
"backward" the inverse transforms by n, "forward" the others, "ortho" both by sqrt(n). Gradients of complex
numbers are by their parts, dL/dRe + i dL/dIm."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tidu import _core
from tidu._arguments import explain
from tidu._core import Tensor
from tidu.typing import DeviceLike, DTypeLike

__all__ = [
    "fft",
    "fft2",
    "fftfreq",
    "fftn",
    "fftshift",
    "hfft",
    "ifft",
    "ifft2",
    "ifftn",
    "ifftshift",
    "ihfft",
    "irfft",
    "irfft2",
    "irfftn",
    "rfft",
    "rfft2",
    "rfftfreq",
    "rfftn",
]

# The powers of 1 / n of each direction.
_NORMS = {"backward": (0.0, 1.0), "ortho": (0.5, 0.5), "forward": (1.0, 0.0)}
_SWAPPED = {"backward": "forward", "ortho": "ortho", "forward": "backward"}


def _factor(op: str, norm: str, n: int, inverse: bool) -> float:
    if norm not in _NORMS:
        raise ValueError(f"[{op}] norm is 'backward', 'ortho' or 'forward', not {norm!r}")
    return math.pow(n, -_NORMS[norm][inverse])


def _checked(
    op: str, x: Tensor, axes: Sequence[int], lengths: Sequence[int | None] | None
) -> tuple[list[int], list[int | None]]:
    """The axes as numbers from 0 on, all distinct, and the lengths wanted along them."""
    if not isinstance(x, _core.Tensor):
        raise TypeError(f"[{op}] takes a tensor, not {type(x).__name__}")
    if x.ndim == 0:
        raise ValueError(f"[{op}] a 0-d tensor has no axis to transform")
    for axis in axes:
        if not -x.ndim <= axis < x.ndim:
            raise IndexError(f"[{op}] axis {axis} is out of range for {x.ndim} dimensions")
    axes = [axis % x.ndim for axis in axes]
    if len(set(axes)) < len(axes):
        raise ValueError(f"[{op}] an axis is named twice: {tuple(axes)}")
    if lengths is None:
        lengths = [None] * len(axes)
    if len(lengths) != len(axes):
        raise ValueError(f"[{op}] s names {len(lengths)} lengths and axes {len(axes)} axes")
    for length in lengths:
        if length is not None and length < 1:
            raise ValueError(f"[{op}] a length must be at least 1, not {length}")
    return axes, list(lengths)


def _resized(op: str, x: Tensor, axis: int, n: int | None) -> Tensor:
    """x cut or padded with zeros to n elements along an axis."""
    extent = x.shape[axis]
    n = extent if n is None else n
    if n < 1:
        raise ValueError(f"[{op}] axis {axis} has no elements (name a length)")
    if n < extent:
        return x[(slice(None),) * axis + (slice(n),)]
    return _core.pad(x, [(0, n - extent if i == axis else 0) for i in range(x.ndim)]) if n > extent else x


def _floating(op: str, x: Tensor) -> Tensor:
    if x.dtype.is_complex:
        raise TypeError(f"[{op}] takes real numbers, not {x.dtype} (see {op.replace('r', '', 1)})")
    return x if x.dtype in (_core.float32, _core.float64) else x.astype(_core.float32)


def _complex(x: Tensor) -> Tensor:
    return x if x.dtype.is_complex else x.astype(_core.result_type(x, 1j))


def _full(op: str, x: Tensor, axis: int, n: int | None, norm: str, inverse: bool) -> Tensor:
    x = _resized(op, _complex(x), axis, n)
    factor = _factor(op, norm, x.shape[axis], inverse)
    y: Tensor = _core._fourier(x, axis, inverse)
    return y if factor == 1 else y * factor


def _half(op: str, x: Tensor, axis: int, n: int | None, norm: str) -> Tensor:
    """Of real x the first n // 2 + 1."""
    x = _resized(op, _floating(op, x), axis, n)
    factor = _factor(op, norm, x.shape[axis], False)
    y: Tensor = _core._real_fourier(x, axis)
    return y if factor == 1 else y * factor


def _whole(op: str, x: Tensor, axis: int, n: int | None, norm: str) -> Tensor:
    """The n real numbers of which x is the first half of the transform."""
    n = 2 * (x.shape[axis] - 1) if n is None else n
    if n < 1:
        raise ValueError(f"[{op}] the result would have {n} elements (name a length)")
    factor = _factor(op, norm, n, True)
    y: Tensor = _core._fourier_to_real(_resized(op, _complex(x), axis, n // 2 + 1), n, axis)
    return y if factor == 1 else y * factor


def _axes_of(
    op: str, x: Tensor, s: Sequence[int] | None, axes: Sequence[int] | None
) -> tuple[list[int], list[int | None]]:
    for name, given in (("s", s), ("axes", axes)):
        if isinstance(given, int):
            raise TypeError(f"[{op}] {name} has a number for each axis: ({given},), not {given}")
    if axes is None:
        count = getattr(x, "ndim", 0) if s is None else len(s)
        axes = range(-count, 0)
    return _checked(op, x, tuple(axes), s)


def _each(op: str, x: Tensor, axes: list[int], lengths: list[int | None], norm: str, inverse: bool) -> Tensor:
    for axis, n in zip(axes, lengths, strict=True):
        x = _full(op, x, axis, n, norm, inverse)
    return _complex(x)


def fft(x: Tensor, /, n: int | None = None, axis: int = -1, norm: str = "backward") -> Tensor:
    """The sums over j of x_j exp(-2 pi i j k / n) along an axis: complex, of real or complex x.

    Examples
    --------
    >>> td.fft.fft(td.tensor([1.0, 2.0, 3.0, 4.0]))
    tensor([10.+0.j, -2.+2.j, -2.+0.j, -2.-2.j], dtype=complex64)
    """
    (axis,), (n,) = _checked("fft", x, (axis,), (n,))
    return _full("fft", x, axis, n, norm, False)


def ifft(x: Tensor, /, n: int | None = None, axis: int = -1, norm: str = "backward") -> Tensor:
    """The inverse of `fft`.

    Examples
    --------
    >>> td.real(td.fft.ifft(td.fft.fft(td.tensor([1.0, 2.0, 3.0, 4.0]))))
    tensor([1., 2., 3., 4.], dtype=float32)
    """
    (axis,), (n,) = _checked("ifft", x, (axis,), (n,))
    return _full("ifft", x, axis, n, norm, True)


def fftn(
    x: Tensor,
    /,
    s: Sequence[int] | None = None,
    axes: Sequence[int] | None = None,
    norm: str = "backward",
) -> Tensor:
    """`fft` along several axes: all of them, or the last len(s).

    Examples
    --------
    >>> td.real(td.fft.fftn(td.ones((2, 2))))
    tensor([[4., 0.],
            [0., 0.]], dtype=float32)
    """
    return _each("fftn", x, *_axes_of("fftn", x, s, axes), norm, False)


def ifftn(
    x: Tensor,
    /,
    s: Sequence[int] | None = None,
    axes: Sequence[int] | None = None,
    norm: str = "backward",
) -> Tensor:
    """The inverse of `fftn`.

    Examples
    --------
    >>> td.real(td.fft.ifftn(td.ones((2, 2))))
    tensor([[1., 0.],
            [0., 0.]], dtype=float32)
    """
    return _each("ifftn", x, *_axes_of("ifftn", x, s, axes), norm, True)


def fft2(
    x: Tensor,
    /,
    s: Sequence[int] | None = None,
    axes: Sequence[int] = (-2, -1),
    norm: str = "backward",
) -> Tensor:
    """`fft` along two axes.

    Examples
    --------
    >>> td.real(td.fft.fft2(td.ones((2, 2))))
    tensor([[4., 0.],
            [0., 0.]], dtype=float32)
    """
    return _each("fft2", x, *_axes_of("fft2", x, s, axes), norm, False)


def ifft2(
    x: Tensor,
    /,
    s: Sequence[int] | None = None,
    axes: Sequence[int] = (-2, -1),
    norm: str = "backward",
) -> Tensor:
    """The inverse of `fft2`.

    Examples
    --------
    >>> td.real(td.fft.ifft2(td.ones((2, 2))))
    tensor([[1., 0.],
            [0., 0.]], dtype=float32)
    """
    return _each("ifft2", x, *_axes_of("ifft2", x, s, axes), norm, True)


def rfft(x: Tensor, /, n: int | None = None, axis: int = -1, norm: str = "backward") -> Tensor:
    """`fft` of real x: its first n // 2 + 1 elements, whose conjugates the others are.

    Examples
    --------
    >>> td.fft.rfft(td.tensor([1.0, 2.0, 3.0, 4.0]))
    tensor([10.+0.j, -2.+2.j, -2.+0.j], dtype=complex64)
    """
    (axis,), (n,) = _checked("rfft", x, (axis,), (n,))
    return _half("rfft", x, axis, n, norm)


def irfft(x: Tensor, /, n: int | None = None, axis: int = -1, norm: str = "backward") -> Tensor:
    """The inverse of `rfft`: n real numbers, 2 (m - 1) of m if n is left out. Imaginary parts that no
    transform of real numbers has are not looked at.

    Examples
    --------
    >>> td.fft.irfft(td.fft.rfft(td.tensor([1.0, 2.0, 3.0, 4.0])))
    tensor([1., 2., 3., 4.], dtype=float32)
    """
    (axis,), (n,) = _checked("irfft", x, (axis,), (n,))
    return _whole("irfft", x, axis, n, norm)


def _rfftn(op: str, x: Tensor, s: Sequence[int] | None, axes: Sequence[int] | None, norm: str) -> Tensor:
    axes, lengths = _axes_of(op, x, s, axes)
    if not axes:
        raise ValueError(f"[{op}] needs at least one axis")
    return _each(op, _half(op, x, axes[-1], lengths[-1], norm), axes[:-1], lengths[:-1], norm, False)


def _irfftn(op: str, x: Tensor, s: Sequence[int] | None, axes: Sequence[int] | None, norm: str) -> Tensor:
    axes, lengths = _axes_of(op, x, s, axes)
    if not axes:
        raise ValueError(f"[{op}] needs at least one axis")
    return _whole(op, _each(op, x, axes[:-1], lengths[:-1], norm, True), axes[-1], lengths[-1], norm)


def rfftn(
    x: Tensor,
    /,
    s: Sequence[int] | None = None,
    axes: Sequence[int] | None = None,
    norm: str = "backward",
) -> Tensor:
    """`rfft` along the last of the axes, then `fft` along the others.

    Examples
    --------
    >>> td.fft.rfftn(td.ones((2, 4))).shape
    (2, 3)
    """
    return _rfftn("rfftn", x, s, axes, norm)


def irfftn(
    x: Tensor,
    /,
    s: Sequence[int] | None = None,
    axes: Sequence[int] | None = None,
    norm: str = "backward",
) -> Tensor:
    """The inverse of `rfftn`.

    Examples
    --------
    >>> td.fft.irfftn(td.fft.rfftn(td.ones((2, 4)))).shape
    (2, 4)
    """
    return _irfftn("irfftn", x, s, axes, norm)


def rfft2(
    x: Tensor,
    /,
    s: Sequence[int] | None = None,
    axes: Sequence[int] = (-2, -1),
    norm: str = "backward",
) -> Tensor:
    """`rfftn` along two axes.

    Examples
    --------
    >>> td.fft.rfft2(td.ones((2, 4))).shape
    (2, 3)
    """
    return _rfftn("rfft2", x, s, axes, norm)


def irfft2(
    x: Tensor,
    /,
    s: Sequence[int] | None = None,
    axes: Sequence[int] = (-2, -1),
    norm: str = "backward",
) -> Tensor:
    """The inverse of `rfft2`.

    Examples
    --------
    >>> td.fft.irfft2(td.fft.rfft2(td.ones((2, 4)))).shape
    (2, 4)
    """
    return _irfftn("irfft2", x, s, axes, norm)


def hfft(x: Tensor, /, n: int | None = None, axis: int = -1, norm: str = "backward") -> Tensor:
    """`fft` of what has conjugates in its second half, of which x is the first: n real numbers.

    Examples
    --------
    >>> td.fft.hfft(td.tensor([10.0, -2.0, -2.0]))
    tensor([ 4., 12., 12., 12.], dtype=float32)
    """
    (axis,), (n,) = _checked("hfft", x, (axis,), (n,))
    _factor("hfft", norm, 1, False)
    return _whole("hfft", _core.conj(x), axis, n, _SWAPPED[norm])


def ihfft(x: Tensor, /, n: int | None = None, axis: int = -1, norm: str = "backward") -> Tensor:
    """The inverse of `hfft`: of n real numbers the first n // 2 + 1.

    Examples
    --------
    >>> td.real(td.fft.ihfft(td.tensor([6.0, 12.0, 8.0, 12.0])))
    tensor([ 9.5, -0.5, -2.5], dtype=float32)
    """
    (axis,), (n,) = _checked("ihfft", x, (axis,), (n,))
    _factor("ihfft", norm, 1, False)
    return _core.conj(_half("ihfft", x, axis, n, _SWAPPED[norm]))


def _frequencies(
    op: str, n: int, d: float, dtype: DTypeLike | None, device: DeviceLike | None, first: bool
) -> Tensor:
    if n < 1:
        raise ValueError(f"[{op}] n must be at least 1, not {n}")
    dtype = _core.float32 if dtype is None else _core.dtype(dtype)
    if not dtype.is_floating_point:
        raise TypeError(f"[{op}] frequencies are real floating-point numbers, not {dtype}")
    numbers = (
        _core.arange(n // 2 + 1)
        if first
        else _core.concat([_core.arange((n + 1) // 2), _core.arange(-(n // 2), 0)])
    )
    values = (numbers.astype(_core.float64) / (n * d)).astype(dtype)
    return values.to(_core.get_default_device() if device is None else device)


def fftfreq(
    n: int, /, d: float = 1.0, *, dtype: DTypeLike | None = None, device: DeviceLike | None = None
) -> Tensor:
    """The frequencies of the elements of `fft` of n samples d apart: 0, 1 .. -2, -1 divided by n d.

    Examples
    --------
    >>> td.fft.fftfreq(4, d=0.25)
    tensor([ 0.,  1., -2., -1.], dtype=float32)
    """
    return _frequencies("fftfreq", n, d, dtype, device, False)


def rfftfreq(
    n: int, /, d: float = 1.0, *, dtype: DTypeLike | None = None, device: DeviceLike | None = None
) -> Tensor:
    """The frequencies of the elements of `rfft` of n samples d apart: 0, 1 .. n // 2 divided by n d.

    Examples
    --------
    >>> td.fft.rfftfreq(4, d=0.25)
    tensor([0., 1., 2.], dtype=float32)
    """
    return _frequencies("rfftfreq", n, d, dtype, device, True)


def _shifted(op: str, x: Tensor, axes: int | Sequence[int] | None, sign: int) -> Tensor:
    if not isinstance(x, _core.Tensor):
        raise TypeError(f"[{op}] takes a tensor, not {type(x).__name__}")
    chosen = range(x.ndim) if axes is None else (axes,) if isinstance(axes, int) else axes
    for axis in chosen:
        half = x.shape[axis] // 2
        x = _core.roll(x, sign * half, axis)
    return x


def fftshift(x: Tensor, /, axes: int | Sequence[int] | None = None) -> Tensor:
    """The element of frequency 0 in the middle.

    Examples
    --------
    >>> td.fft.fftshift(td.tensor([0.0, 1.0, -2.0, -1.0]))
    tensor([-2., -1.,  0.,  1.], dtype=float32)
    """
    return _shifted("fftshift", x, axes, 1)


def ifftshift(x: Tensor, /, axes: int | Sequence[int] | None = None) -> Tensor:
    """The inverse of `fftshift`.

    Examples
    --------
    >>> td.fft.ifftshift(td.tensor([-2.0, -1.0, 0.0, 1.0]))
    tensor([ 0.,  1., -2., -1.], dtype=float32)
    """
    return _shifted("ifftshift", x, axes, -1)


explain(globals(), __all__)
