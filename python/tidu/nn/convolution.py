"""Layers over the last axes of images: convolutions, poolings, paddings, changes of size."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import index
from typing import Any

import tidu as td
from tidu._arguments import in_words
from tidu._core import Tensor
from tidu.typing import DeviceLike, DTypeLike, Shape

from . import functional as F
from . import init
from .layers import _key_on, _Shown
from .module import Module, Parameter


def _each(name: str, what: str, value: Any, rank: int) -> tuple[Any, ...]:
    """A number for each axis."""
    each = (value,) * rank if hasattr(value, "__index__") else tuple(value)
    if len(each) != rank:
        raise ValueError(f"[{name}] {what} is a number or {rank} of them, not {value}")
    return each


class _Convolution(Module):
    """What all have: weight and bias, which begin uniform in +-1 / sqrt(C / groups * kernel)."""

    _rank: int
    _options: tuple[str, ...]
    _function: Callable[..., Tensor]

    def _make(
        self,
        channels: int,
        outputs: int,
        kernel_size: int | Sequence[int],
        groups: int,
        bias: bool,
        transposed: bool,
        key: Tensor | None,
        dtype: DTypeLike,
        device: DeviceLike | None,
    ) -> None:
        name = type(self).__name__
        if groups < 1 or channels % groups or outputs % groups:
            raise ValueError(
                f"[{name}] {groups} groups do not divide {channels} channels and {outputs} outputs"
            )
        self.in_channels, self.out_channels, self.groups = channels, outputs, groups
        self.kernel_size = _each(name, "kernel_size", kernel_size, self._rank)
        ahead = (channels, outputs // groups) if transposed else (outputs, channels // groups)
        shape = ahead + self.kernel_size
        fan = 1
        for extent in shape[1:]:
            fan *= extent
        bound = max(fan, 1) ** -0.5
        keys = td.random.split(_key_on(device, key))
        self.weight = Parameter(init.uniform(keys[0], shape, -bound, bound, dtype=dtype))
        self.bias = Parameter(init.uniform(keys[1], (outputs,), -bound, bound, dtype=dtype)) if bias else None

    def extra_repr(self) -> str:
        options = ", ".join(f"{name}={getattr(self, name)}" for name in ("kernel_size", *self._options))
        return f"{self.in_channels}, {self.out_channels}, {options}, bias={self.bias is not None}"


_MODES = {"zeros": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}


class _Conv(_Convolution):
    _options = ("stride", "padding", "dilation", "groups", "padding_mode")

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] = 1,
        padding: int | str | Sequence[int] = 0,
        dilation: int | Sequence[int] = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        *,
        key: Tensor | None = None,
        dtype: DTypeLike = td.float32,
        device: DeviceLike | None = None,
    ) -> None:
        name, rank = type(self).__name__, self._rank
        if padding_mode not in _MODES:
            raise ValueError(f"[{name}] padding_mode is one of {', '.join(_MODES)}, not {padding_mode!r}")
        if isinstance(padding, str):
            if padding not in ("same", "valid"):
                raise ValueError(f"[{name}] padding is 'same', 'valid' or numbers, not {padding!r}")
            if padding == "same" and _each(name, "stride", stride, rank) != (1,) * rank:
                raise ValueError(f"[{name}] padding 'same' takes stride 1, not {stride}")
        self._make(in_channels, out_channels, kernel_size, groups, bias, False, key, dtype, device)
        self.stride = _each(name, "stride", stride, rank)
        self.padding = padding if isinstance(padding, str) else _each(name, "padding", padding, rank)
        self.dilation = _each(name, "dilation", dilation, rank)
        self.padding_mode = padding_mode

    def _widths(self) -> list[tuple[int, int]]:
        """How much there is before and behind each axis."""
        if self.padding == "same":
            reach = [d * (k - 1) for d, k in zip(self.dilation, self.kernel_size, strict=True)]
            return [(r // 2, r - r // 2) for r in reach]
        return [(int(p), int(p)) for p in self.padding] if self.padding != "valid" else [(0, 0)] * self._rank

    def forward(self, x: Tensor) -> Tensor:
        padding: Any = self.padding
        if self.padding_mode != "zeros":
            widths = [(0, 0)] * (x.ndim - self._rank) + self._widths()
            x, padding = td.pad(x, widths, _MODES[self.padding_mode]), 0
        return self._function(x, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)


class Conv1d(_Conv):
    """functional.conv1d: (N, C, l) -> (N, outputs, l'), or without N. weight (outputs, C / groups, kernel)
    and bias (outputs) begin uniform in +-1 / sqrt(C / groups * kernel). padding: numbers, 'same' or 'valid';
    padding_mode says what stands there: 'zeros', 'reflect', 'replicate' or 'circular'.

    Examples
    --------
    >>> td.nn.Conv1d(3, 8, 3)(td.ones((2, 3, 10))).shape
    (2, 8, 8)
    """

    _rank = 1
    _function = staticmethod(F.conv1d)


class Conv2d(_Conv):
    """functional.conv2d: (N, C, h, w) -> (N, outputs, h', w'); the rest as Conv1d.

    Examples
    --------
    >>> td.nn.Conv2d(3, 8, 3, padding=1)(td.ones((2, 3, 10, 10))).shape
    (2, 8, 10, 10)
    """

    _rank = 2
    _function = staticmethod(F.conv2d)


class Conv3d(_Conv):
    """functional.conv3d: (N, C, d, h, w) -> (N, outputs, d', h', w'); the rest as Conv1d.

    Examples
    --------
    >>> td.nn.Conv3d(3, 8, 3)(td.ones((2, 3, 4, 4, 4))).shape
    (2, 8, 2, 2, 2)
    """

    _rank = 3
    _function = staticmethod(F.conv3d)


class _ConvTranspose(_Convolution):
    _options = ("stride", "padding", "output_padding", "dilation", "groups")

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] = 1,
        padding: int | Sequence[int] = 0,
        output_padding: int | Sequence[int] = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: int | Sequence[int] = 1,
        padding_mode: str = "zeros",
        *,
        key: Tensor | None = None,
        dtype: DTypeLike = td.float32,
        device: DeviceLike | None = None,
    ) -> None:
        name, rank = type(self).__name__, self._rank
        if padding_mode != "zeros":
            raise ValueError(f"[{name}] padding_mode is 'zeros', not {padding_mode!r}")
        self._make(in_channels, out_channels, kernel_size, groups, bias, True, key, dtype, device)
        self.stride = _each(name, "stride", stride, rank)
        self.padding = _each(name, "padding", padding, rank)
        self.output_padding = _each(name, "output_padding", output_padding, rank)
        self.dilation = _each(name, "dilation", dilation, rank)

    def forward(self, x: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        """`output_size`, the last extents of the result, stands for output_padding."""
        more = self.output_padding
        if output_size is not None:
            wanted = tuple(output_size)[-self._rank :]
            least = [
                (s - 1) * t - 2 * p + d * (k - 1) + 1
                for s, t, p, d, k in zip(
                    x.shape[-self._rank :],
                    self.stride,
                    self.padding,
                    self.dilation,
                    self.kernel_size,
                    strict=True,
                )
            ]
            more = tuple(w - m for w, m in zip(wanted, least, strict=True))
            if any(not 0 <= m < t for m, t in zip(more, self.stride, strict=True)):
                most = tuple(m + t - 1 for m, t in zip(least, self.stride, strict=True))
                raise ValueError(
                    f"[{type(self).__name__}] output_size is from {tuple(least)} to {most}, not {wanted}"
                )
        return self._function(
            x, self.weight, self.bias, self.stride, self.padding, more, self.groups, self.dilation
        )


class ConvTranspose1d(_ConvTranspose):
    """functional.conv_transpose1d: (N, C, l) -> (N, outputs, l'), or without N. weight (C, outputs / groups,
    kernel) and bias (outputs) begin uniform in +-1 / sqrt(outputs / groups * kernel).

    Examples
    --------
    >>> td.nn.ConvTranspose1d(3, 8, 2, stride=2)(td.ones((2, 3, 5))).shape
    (2, 8, 10)
    """

    _rank = 1
    _function = staticmethod(F.conv_transpose1d)


class ConvTranspose2d(_ConvTranspose):
    """functional.conv_transpose2d: (N, C, h, w) -> (N, outputs, h', w'); the rest as ConvTranspose1d.

    Examples
    --------
    >>> td.nn.ConvTranspose2d(3, 8, 2, stride=2)(td.ones((2, 3, 5, 5))).shape
    (2, 8, 10, 10)
    """

    _rank = 2
    _function = staticmethod(F.conv_transpose2d)


class ConvTranspose3d(_ConvTranspose):
    """functional.conv_transpose3d: (N, C, d, h, w) -> (N, outputs, d', h', w'); the rest as
    ConvTranspose1d.

    Examples
    --------
    >>> td.nn.ConvTranspose3d(3, 8, 2, stride=2)(td.ones((2, 3, 2, 2, 2))).shape
    (2, 8, 4, 4, 4)
    """

    _rank = 3
    _function = staticmethod(F.conv_transpose3d)


# --- Poolings


class _MaxPool(_Shown):
    _function: Callable[..., Any]

    def __init__(
        self,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] | None = None,
        padding: int | Sequence[int] = 0,
        dilation: int | Sequence[int] = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        self.kernel_size, self.stride, self.padding, self.dilation = kernel_size, stride, padding, dilation
        self.return_indices, self.ceil_mode = return_indices, ceil_mode

    def forward(self, x: Tensor) -> Any:
        return self._function(
            x,
            self.kernel_size,
            self.stride,
            self.padding,
            self.dilation,
            self.ceil_mode,
            self.return_indices,
        )


class MaxPool1d(_MaxPool):
    """functional.max_pool1d.

    Examples
    --------
    >>> td.nn.MaxPool1d(2)(td.tensor([[1.0, 3.0, 5.0, 7.0]]))
    tensor([[3., 7.]], dtype=float32)
    """

    _function = staticmethod(F.max_pool1d)


class MaxPool2d(_MaxPool):
    """functional.max_pool2d.

    Examples
    --------
    >>> td.nn.MaxPool2d(2)(td.ones((1, 3, 6, 6))).shape
    (1, 3, 3, 3)
    """

    _function = staticmethod(F.max_pool2d)


class MaxPool3d(_MaxPool):
    """functional.max_pool3d.

    Examples
    --------
    >>> td.nn.MaxPool3d(2)(td.ones((1, 3, 4, 4, 4))).shape
    (1, 3, 2, 2, 2)
    """

    _function = staticmethod(F.max_pool3d)


class _AvgPool(_Shown):
    _function: Callable[..., Tensor]

    def __init__(
        self,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] | None = None,
        padding: int | Sequence[int] = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        self.kernel_size, self.stride, self.padding, self.ceil_mode = kernel_size, stride, padding, ceil_mode
        self.count_include_pad, self.divisor_override = count_include_pad, divisor_override

    def forward(self, x: Tensor) -> Tensor:
        return self._function(
            x,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
            self.divisor_override,
        )


class AvgPool1d(_AvgPool):
    """functional.avg_pool1d.

    Examples
    --------
    >>> td.nn.AvgPool1d(2)(td.tensor([[1.0, 3.0, 5.0, 7.0]]))
    tensor([[2., 6.]], dtype=float32)
    """

    _function = staticmethod(F.avg_pool1d)


class AvgPool2d(_AvgPool):
    """functional.avg_pool2d.

    Examples
    --------
    >>> td.nn.AvgPool2d(2)(td.ones((1, 3, 6, 6))).shape
    (1, 3, 3, 3)
    """

    _function = staticmethod(F.avg_pool2d)


class AvgPool3d(_AvgPool):
    """functional.avg_pool3d.

    Examples
    --------
    >>> td.nn.AvgPool3d(2)(td.ones((1, 3, 4, 4, 4))).shape
    (1, 3, 2, 2, 2)
    """

    _function = staticmethod(F.avg_pool3d)


class _LPPool(_Shown):
    _function: Callable[..., Tensor]

    def __init__(
        self,
        norm_type: float,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] | None = None,
        ceil_mode: bool = False,
    ) -> None:
        self.norm_type, self.kernel_size = norm_type, kernel_size
        self.stride, self.ceil_mode = stride, ceil_mode

    def forward(self, x: Tensor) -> Tensor:
        return self._function(x, self.norm_type, self.kernel_size, self.stride, self.ceil_mode)


class LPPool1d(_LPPool):
    """functional.lp_pool1d.

    Examples
    --------
    >>> td.nn.LPPool1d(2, 2)(td.tensor([[3.0, 4.0]]))
    tensor([[5.]], dtype=float32)
    """

    _function = staticmethod(F.lp_pool1d)


class LPPool2d(_LPPool):
    """functional.lp_pool2d.

    Examples
    --------
    >>> td.nn.LPPool2d(2, 2)(td.ones((1, 1, 4, 4)))
    tensor([[[[2., 2.],
              [2., 2.]]]], dtype=float32)
    """

    _function = staticmethod(F.lp_pool2d)


class LPPool3d(_LPPool):
    """functional.lp_pool3d.

    Examples
    --------
    >>> td.nn.LPPool3d(1, 2)(td.ones((1, 1, 2, 2, 2)))
    tensor([[[[[8.]]]]], dtype=float32)
    """

    _function = staticmethod(F.lp_pool3d)


class _AdaptiveAvgPool(_Shown):
    _function: Callable[..., Tensor]

    def __init__(self, output_size: Any) -> None:
        self.output_size = output_size

    def forward(self, x: Tensor) -> Tensor:
        return self._function(x, self.output_size)


class AdaptiveAvgPool1d(_AdaptiveAvgPool):
    """functional.adaptive_avg_pool1d.

    Examples
    --------
    >>> td.nn.AdaptiveAvgPool1d(2)(td.tensor([[1.0, 3.0, 5.0, 7.0]]))
    tensor([[2., 6.]], dtype=float32)
    """

    _function = staticmethod(F.adaptive_avg_pool1d)


class AdaptiveAvgPool2d(_AdaptiveAvgPool):
    """functional.adaptive_avg_pool2d.

    Examples
    --------
    >>> td.nn.AdaptiveAvgPool2d(2)(td.ones((1, 3, 6, 6))).shape
    (1, 3, 2, 2)
    """

    _function = staticmethod(F.adaptive_avg_pool2d)


class AdaptiveAvgPool3d(_AdaptiveAvgPool):
    """functional.adaptive_avg_pool3d.

    Examples
    --------
    >>> td.nn.AdaptiveAvgPool3d(2)(td.ones((1, 3, 4, 4, 4))).shape
    (1, 3, 2, 2, 2)
    """

    _function = staticmethod(F.adaptive_avg_pool3d)


class _AdaptiveMaxPool(_Shown):
    _function: Callable[..., Any]

    def __init__(self, output_size: Any, return_indices: bool = False) -> None:
        self.output_size, self.return_indices = output_size, return_indices

    def forward(self, x: Tensor) -> Any:
        return self._function(x, self.output_size, self.return_indices)


class AdaptiveMaxPool1d(_AdaptiveMaxPool):
    """functional.adaptive_max_pool1d.

    Examples
    --------
    >>> td.nn.AdaptiveMaxPool1d(2)(td.tensor([[1.0, 3.0, 5.0, 7.0]]))
    tensor([[3., 7.]], dtype=float32)
    """

    _function = staticmethod(F.adaptive_max_pool1d)


class AdaptiveMaxPool2d(_AdaptiveMaxPool):
    """functional.adaptive_max_pool2d.

    Examples
    --------
    >>> td.nn.AdaptiveMaxPool2d(2)(td.ones((1, 3, 6, 6))).shape
    (1, 3, 2, 2)
    """

    _function = staticmethod(F.adaptive_max_pool2d)


class AdaptiveMaxPool3d(_AdaptiveMaxPool):
    """functional.adaptive_max_pool3d.

    Examples
    --------
    >>> td.nn.AdaptiveMaxPool3d(2)(td.ones((1, 3, 4, 4, 4))).shape
    (1, 3, 2, 2, 2)
    """

    _function = staticmethod(F.adaptive_max_pool3d)


# --- Paddings: one width, or pairs of them, before and behind, from the last axis on.


class _Pad(_Shown):
    _rank: int
    _mode: str

    def __init__(self, padding: int | Sequence[int]) -> None:
        self.padding = _each(type(self).__name__, "padding", padding, 2 * self._rank)

    def forward(self, x: Tensor, **how: Any) -> Tensor:
        if x.ndim not in (self._rank + 1, self._rank + 2):
            raise td.ShapeError(
                f"[{type(self).__name__}] takes x of {self._rank + 1} or {self._rank + 2} axes, not of shape "
                f"{x.shape}"
            )
        pairs = list(zip(self.padding[::2], self.padding[1::2], strict=True))
        return td.pad(x, [(0, 0)] * (x.ndim - self._rank) + pairs[::-1], self._mode, **how)


class _ConstantPad(_Pad):
    _mode = "constant"

    def __init__(self, padding: int | Sequence[int], value: float) -> None:
        super().__init__(padding)
        self.value = value

    def forward(self, x: Tensor, **how: Any) -> Tensor:
        return super().forward(x, constant_values=self.value, **how)


class ConstantPad1d(_ConstantPad):
    """One number around the last axis of x.

    Examples
    --------
    >>> td.nn.ConstantPad1d(1, 9.0)(td.tensor([[1.0, 2.0]]))
    tensor([[9., 1., 2., 9.]], dtype=float32)
    """

    _rank = 1


class ConstantPad2d(_ConstantPad):
    """One number around the last two axes of x.

    Examples
    --------
    >>> td.nn.ConstantPad2d(1, 9.0)(td.ones((1, 2, 2))).shape
    (1, 4, 4)
    """

    _rank = 2


class ConstantPad3d(_ConstantPad):
    """One number around the last three axes of x.

    Examples
    --------
    >>> td.nn.ConstantPad3d(1, 9.0)(td.ones((1, 2, 2, 2))).shape
    (1, 4, 4, 4)
    """

    _rank = 3


class ReflectionPad1d(_Pad):
    """Its mirror image, without its ends around the last axis of x.

    Examples
    --------
    >>> td.nn.ReflectionPad1d(1)(td.tensor([[1.0, 2.0, 3.0]]))
    tensor([[2., 1., 2., 3., 2.]], dtype=float32)
    """

    _rank, _mode = 1, "reflect"


class ReflectionPad2d(_Pad):
    """Its mirror image, without its ends around the last two axes of x.

    Examples
    --------
    >>> td.nn.ReflectionPad2d(1)(td.ones((1, 2, 2))).shape
    (1, 4, 4)
    """

    _rank, _mode = 2, "reflect"


class ReflectionPad3d(_Pad):
    """Its mirror image, without its ends around the last three axes of x.

    Examples
    --------
    >>> td.nn.ReflectionPad3d(1)(td.ones((1, 2, 2, 2))).shape
    (1, 4, 4, 4)
    """

    _rank, _mode = 3, "reflect"


class ReplicationPad1d(_Pad):
    """Its ends around the last axis of x.

    Examples
    --------
    >>> td.nn.ReplicationPad1d(1)(td.tensor([[1.0, 2.0, 3.0]]))
    tensor([[1., 1., 2., 3., 3.]], dtype=float32)
    """

    _rank, _mode = 1, "edge"


class ReplicationPad2d(_Pad):
    """Its ends around the last two axes of x.

    Examples
    --------
    >>> td.nn.ReplicationPad2d(1)(td.ones((1, 2, 2))).shape
    (1, 4, 4)
    """

    _rank, _mode = 2, "edge"


class ReplicationPad3d(_Pad):
    """Its ends around the last three axes of x.

    Examples
    --------
    >>> td.nn.ReplicationPad3d(1)(td.ones((1, 2, 2, 2))).shape
    (1, 4, 4, 4)
    """

    _rank, _mode = 3, "edge"


class CircularPad1d(_Pad):
    """What lies at its other end around the last axis of x.

    Examples
    --------
    >>> td.nn.CircularPad1d(1)(td.tensor([[1.0, 2.0, 3.0]]))
    tensor([[3., 1., 2., 3., 1.]], dtype=float32)
    """

    _rank, _mode = 1, "wrap"


class CircularPad2d(_Pad):
    """What lies at its other end around the last two axes of x.

    Examples
    --------
    >>> td.nn.CircularPad2d(1)(td.ones((1, 2, 2))).shape
    (1, 4, 4)
    """

    _rank, _mode = 2, "wrap"


class CircularPad3d(_Pad):
    """What lies at its other end around the last three axes of x.

    Examples
    --------
    >>> td.nn.CircularPad3d(1)(td.ones((1, 2, 2, 2))).shape
    (1, 4, 4, 4)
    """

    _rank, _mode = 3, "wrap"


class ZeroPad1d(_Pad):
    """Zeros around the last axis of x.

    Examples
    --------
    >>> td.nn.ZeroPad1d(1)(td.tensor([[1.0, 2.0]]))
    tensor([[0., 1., 2., 0.]], dtype=float32)
    """

    _rank, _mode = 1, "constant"


class ZeroPad2d(_Pad):
    """Zeros around the last two axes of x.

    Examples
    --------
    >>> td.nn.ZeroPad2d(1)(td.ones((1, 2, 2))).shape
    (1, 4, 4)
    """

    _rank, _mode = 2, "constant"


class ZeroPad3d(_Pad):
    """Zeros around the last three axes of x.

    Examples
    --------
    >>> td.nn.ZeroPad3d(1)(td.ones((1, 2, 2, 2))).shape
    (1, 4, 4, 4)
    """

    _rank, _mode = 3, "constant"


# --- Changes of size and shape


class Upsample(_Shown):
    """functional.interpolate.

    Examples
    --------
    >>> td.nn.Upsample(scale_factor=2)(td.tensor([[[1.0, 2.0]]]))
    tensor([[[1., 1., 2., 2.]]], dtype=float32)
    """

    def __init__(
        self,
        size: int | Sequence[int] | None = None,
        scale_factor: float | Sequence[float] | None = None,
        mode: str = "nearest",
        align_corners: bool | None = None,
        recompute_scale_factor: bool | None = None,
    ) -> None:
        self.size, self.scale_factor, self.mode = size, scale_factor, mode
        self.align_corners, self.recompute_scale_factor = align_corners, recompute_scale_factor

    def forward(self, x: Tensor) -> Tensor:
        return F.interpolate(
            x, self.size, self.scale_factor, self.mode, self.align_corners, self.recompute_scale_factor
        )


class PixelShuffle(_Shown):
    """functional.pixel_shuffle.

    Examples
    --------
    >>> td.nn.PixelShuffle(2)(td.ones((1, 4, 3, 3))).shape
    (1, 1, 6, 6)
    """

    def __init__(self, upscale_factor: int) -> None:
        self.upscale_factor = upscale_factor

    def forward(self, x: Tensor) -> Tensor:
        return F.pixel_shuffle(x, self.upscale_factor)


class PixelUnshuffle(_Shown):
    """functional.pixel_unshuffle.

    Examples
    --------
    >>> td.nn.PixelUnshuffle(2)(td.ones((1, 1, 6, 6))).shape
    (1, 4, 3, 3)
    """

    def __init__(self, downscale_factor: int) -> None:
        self.downscale_factor = downscale_factor

    def forward(self, x: Tensor) -> Tensor:
        return F.pixel_unshuffle(x, self.downscale_factor)


class ChannelShuffle(_Shown):
    """functional.channel_shuffle.

    Examples
    --------
    >>> td.nn.ChannelShuffle(2)(td.arange(4).reshape(1, 4, 1)).reshape(-1)
    tensor([0, 2, 1, 3], dtype=int64)
    """

    def __init__(self, groups: int) -> None:
        self.groups = groups

    def forward(self, x: Tensor) -> Tensor:
        return F.channel_shuffle(x, self.groups)


class Unfold(_Shown):
    """functional.unfold: windows of images as columns.

    Examples
    --------
    >>> td.nn.Unfold(2)(td.zeros((1, 3, 4, 4))).shape
    (1, 12, 9)
    """

    def __init__(
        self, kernel_size: Shape, dilation: Shape = 1, padding: Shape = 0, stride: Shape = 1
    ) -> None:
        self.kernel_size, self.dilation = _each("Unfold", "kernel_size", kernel_size, 2), dilation
        self.padding, self.stride = padding, stride

    def forward(self, x: Tensor) -> Tensor:
        return F.unfold(x, self.kernel_size, self.dilation, self.padding, self.stride)


class Fold(_Shown):
    """functional.fold: columns added up where Unfold took them from.

    Examples
    --------
    >>> td.nn.Fold(4, 2)(td.zeros((1, 12, 9))).shape
    (1, 3, 4, 4)
    """

    def __init__(
        self,
        output_size: Shape,
        kernel_size: Shape,
        dilation: Shape = 1,
        padding: Shape = 0,
        stride: Shape = 1,
    ) -> None:
        self.output_size = _each("Fold", "output_size", output_size, 2)
        self.kernel_size, self.dilation = _each("Fold", "kernel_size", kernel_size, 2), dilation
        self.padding, self.stride = padding, stride

    def forward(self, x: Tensor) -> Tensor:
        return F.fold(x, self.output_size, self.kernel_size, self.dilation, self.padding, self.stride)


class Unflatten(_Shown):
    """Cuts an axis into axes of these extents; one may be -1, what is left.

    Examples
    --------
    >>> td.nn.Unflatten(1, (2, 3))(td.ones((4, 6))).shape
    (4, 2, 3)
    """

    def __init__(self, axis: int, sizes: Sequence[int]) -> None:
        self.axis, self.sizes = index(axis), tuple(sizes)

    def forward(self, x: Tensor) -> Tensor:
        axis = self.axis + x.ndim if self.axis < 0 else self.axis
        if not 0 <= axis < x.ndim:
            raise IndexError(f"[Unflatten] {in_words(self.axis)} is no axis of the shape {x.shape}")
        return x.reshape((*x.shape[:axis], *self.sizes, *x.shape[axis + 1 :]))
