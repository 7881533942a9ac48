"""Layers that normalise channels, or drop some."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tidu as td
from tidu._core import Tensor
from tidu.typing import DeviceLike, DTypeLike

from . import functional as F
from .layers import Dropout, _Shown
from .module import Module, Parameter


class _Channels(Module):
    """weight and bias of (channels), one and zero at first, or None."""

    def _make(
        self, channels: int, affine: bool, bias: bool, dtype: DTypeLike, device: DeviceLike | None
    ) -> None:
        self.weight = Parameter(td.ones((channels,), dtype=dtype, device=device)) if affine else None
        self.bias = Parameter(td.zeros((channels,), dtype=dtype, device=device)) if affine and bias else None


class _Running(_Channels):
    """Running means and variances, as buffers, and how many calls there were in training."""

    running_mean: Any  # tensors, or None where they are not tracked
    running_var: Any
    num_batches_tracked: Any

    def _make_running(
        self,
        num_features: int,
        eps: float,
        momentum: float | None,
        affine: bool,
        tracks: bool,
        bias: bool,
        dtype: DTypeLike,
        device: DeviceLike | None,
    ) -> None:
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self._make(num_features, affine, bias, dtype, device)
        self.track_running_stats = tracks
        if not tracks:
            self.running_mean = self.running_var = self.num_batches_tracked = None
            return
        self.register_buffer("running_mean", td.zeros((self.num_features,), dtype=dtype, device=device))
        self.register_buffer("running_var", td.ones((self.num_features,), dtype=dtype, device=device))
        self.register_buffer("num_batches_tracked", td.zeros((), dtype=td.int64, device=device))

    def reset_running_stats(self) -> None:
        """Sets means to 0, variances to 1 and the number of calls to 0."""
        if self.track_running_stats:
            with td.no_grad():
                self.running_mean[...], self.running_var[...], self.num_batches_tracked[...] = 0, 1, 0

    def _normalised(self, function: Callable[..., Tensor], x: Tensor, from_x: bool) -> Tensor:
        """function(x, running mean, running variance, .., from_x, momentum, eps); those of x are
        taken in only in training."""
        how = (self.weight, self.bias, from_x)
        if not (self.training and self.track_running_stats):
            mean, var = (None, None) if from_x else (self.running_mean, self.running_var)
            return function(x, mean, var, *how, 0.0, self.eps)
        with td.no_grad():
            self.num_batches_tracked[...] = self.num_batches_tracked + 1
        if self.momentum is not None:
            return function(x, self.running_mean, self.running_var, *how, self.momentum, self.eps)
        # The mean over all calls.
        mean, var = td.zeros_like(self.running_mean), td.zeros_like(self.running_var)
        y = function(x, mean, var, *how, 1.0, self.eps)
        with td.no_grad():
            for running, now in ((self.running_mean, mean), (self.running_var, var)):
                running[...] = running + (now - running) / self.num_batches_tracked
        return y

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, "
            f"affine={self.weight is not None}, track_running_stats={self.track_running_stats}"
        )


class _BatchNorm(_Running):
    _ranks: tuple[int, ...]

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        *,
        bias: bool = True,
        dtype: DTypeLike = td.float32,
        device: DeviceLike | None = None,
    ) -> None:
        self._make_running(num_features, eps, momentum, affine, track_running_stats, bias, dtype, device)

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim not in self._ranks:
            axes = " or ".join(map(str, self._ranks))
            raise td.ShapeError(
                f"[{type(self).__name__}] takes x (N, C, ..) of {axes} axes, not of shape {x.shape}"
            )
        return self._normalised(F.batch_norm, x, self.training or not self.track_running_stats)


class BatchNorm1d(_BatchNorm):
    """functional.batch_norm of x (N, C) or (N, C, l). weight and bias (C) begin one and zero, the buffers
    running_mean and running_var zero and one; they follow x in training, by `momentum`, or as means over all
    calls where that is None, and are used in evaluation.

    Examples
    --------
    >>> td.nn.BatchNorm1d(1)(td.tensor([[1.0], [3.0]]))
    tensor([[-0.999995],
            [ 0.999995]], dtype=float32, requires_grad=True)
    """

    _ranks = (2, 3)


class BatchNorm2d(_BatchNorm):
    """functional.batch_norm of x (N, C, h, w); the rest as BatchNorm1d.

    Examples
    --------
    >>> td.nn.BatchNorm2d(3)(td.ones((2, 3, 4, 4))).shape
    (2, 3, 4, 4)
    """

    _ranks = (4,)


class BatchNorm3d(_BatchNorm):
    """functional.batch_norm of x (N, C, d, h, w); the rest as BatchNorm1d.

    Examples
    --------
    >>> td.nn.BatchNorm3d(3)(td.ones((2, 3, 2, 2, 2))).shape
    (2, 3, 2, 2, 2)
    """

    _ranks = (5,)


class _InstanceNorm(_Running):
    _rank: int

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        *,
        bias: bool = True,
        dtype: DTypeLike = td.float32,
        device: DeviceLike | None = None,
    ) -> None:
        self._make_running(num_features, eps, momentum, affine, track_running_stats, bias, dtype, device)

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim not in (self._rank + 1, self._rank + 2):
            raise td.ShapeError(
                f"[{type(self).__name__}] takes x of {self._rank + 1} or {self._rank + 2} axes, not of shape "
                f"{x.shape}"
            )
        images = x if x.ndim == self._rank + 2 else x[None]
        y = self._normalised(F.instance_norm, images, self.training or not self.track_running_stats)
        return y if y.ndim == x.ndim else y[0]


class InstanceNorm1d(_InstanceNorm):
    """functional.instance_norm of x (N, C, l) or (C, l). With `affine` weight and bias (C) begin one and
    zero, with `track_running_stats` there are running values as in BatchNorm1d.

    Examples
    --------
    >>> td.nn.InstanceNorm1d(1)(td.tensor([[[1.0, 3.0]]]))
    tensor([[[-0.999995,  0.999995]]], dtype=float32)
    """

    _rank = 1


class InstanceNorm2d(_InstanceNorm):
    """functional.instance_norm of x (N, C, h, w) or (C, h, w); the rest as InstanceNorm1d.

    Examples
    --------
    >>> td.nn.InstanceNorm2d(3)(td.ones((2, 3, 4, 4))).shape
    (2, 3, 4, 4)
    """

    _rank = 2


class InstanceNorm3d(_InstanceNorm):
    """functional.instance_norm of x (N, C, d, h, w) or (C, d, h, w); the rest as InstanceNorm1d.

    Examples
    --------
    >>> td.nn.InstanceNorm3d(3)(td.ones((2, 3, 2, 2, 2))).shape
    (2, 3, 2, 2, 2)
    """

    _rank = 3


class GroupNorm(_Channels):
    """functional.group_norm of x (N, C, ..). weight and bias (C) begin one and zero.

    Examples
    --------
    >>> td.nn.GroupNorm(2, 4)(td.tensor([[1.0, 3.0, 5.0, 9.0]]))
    tensor([[-0.999995 ,  0.999995 , -0.9999988,  0.9999988]], dtype=float32, requires_grad=True)
    """

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        *,
        bias: bool = True,
        dtype: DTypeLike = td.float32,
        device: DeviceLike | None = None,
    ) -> None:
        if num_groups < 1 or num_channels % num_groups:
            raise ValueError(f"[GroupNorm] {num_groups} groups do not divide {num_channels} channels")
        self.num_groups, self.num_channels, self.eps = num_groups, num_channels, eps
        self._make(num_channels, affine, bias, dtype, device)

    def forward(self, x: Tensor) -> Tensor:
        return F.group_norm(x, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.weight is not None}"


class LocalResponseNorm(_Shown):
    """functional.local_response_norm.

    Examples
    --------
    >>> td.nn.LocalResponseNorm(2)(td.ones((1, 4, 3))).shape
    (1, 4, 3)
    """

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def forward(self, x: Tensor) -> Tensor:
        return F.local_response_norm(x, self.size, self.alpha, self.beta, self.k)


class Dropout1d(Dropout):
    """functional.dropout1d, which drops whole channels of (N, C, l); the rest as Dropout.

    Examples
    --------
    >>> td.nn.Dropout1d(0.5).eval()(td.ones((1, 2)))
    tensor([[1., 1.]], dtype=float32)
    """

    _function = staticmethod(F.dropout1d)


class Dropout2d(Dropout):
    """functional.dropout2d, which drops whole channels of (N, C, h, w); the rest as Dropout.

    Examples
    --------
    >>> td.nn.Dropout2d(0.5).eval()(td.ones((1, 1, 2)))
    tensor([[[1., 1.]]], dtype=float32)
    """

    _function = staticmethod(F.dropout2d)


class Dropout3d(Dropout):
    """functional.dropout3d, which drops whole channels of (N, C, d, h, w); the rest as Dropout.

    Examples
    --------
    >>> td.nn.Dropout3d(0.5).eval()(td.ones((1, 1, 1, 2)))
    tensor([[[[1., 1.]]]], dtype=float32)
    """

    _function = staticmethod(F.dropout3d)


class AlphaDropout(Dropout):
    """functional.alpha_dropout, which keeps mean and variance of what SELU gives; the rest as Dropout.

    Examples
    --------
    >>> td.nn.AlphaDropout(0.5).eval()(td.ones(2))
    tensor([1., 1.], dtype=float32)
    """

    _function = staticmethod(F.alpha_dropout)


class FeatureAlphaDropout(Dropout):
    """functional.feature_alpha_dropout, alpha_dropout of whole channels; the rest as Dropout.

    Examples
    --------
    >>> td.nn.FeatureAlphaDropout(0.5).eval()(td.ones((1, 2)))
    tensor([[1., 1.]], dtype=float32)
    """

    _function = staticmethod(F.feature_alpha_dropout)
