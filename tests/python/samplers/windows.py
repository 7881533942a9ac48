"""Convolutions and poolings."""

from __future__ import annotations

import itertools

import numpy as np
import tidu as td
from tidu.nn import functional as F

from .case import Draw, case, on_magnitudes
from .tensors import FLOATS


def convolution(x, weight, bias=None, *, stride=1, padding=0, dilation=1, groups=1):
    """By the definition, place after place."""
    rank = x.ndim - 2
    x = np.pad(x, [(0, 0)] * 2 + [(padding, padding)] * rank)
    outputs, channels, *kernel = weight.shape
    extents = [(s - dilation * (k - 1) - 1) // stride + 1 for s, k in zip(x.shape[2:], kernel, strict=True)]
    y = np.zeros((len(x), outputs, *extents), weight.dtype)
    for k, place in itertools.product(range(outputs), np.ndindex(*extents)):
        first = k // (outputs // groups) * channels
        window = [
            slice(i * stride, i * stride + dilation * (n - 1) + 1, dilation)
            for i, n in zip(place, kernel, strict=True)
        ]
        y[(slice(None), k, *place)] = (
            x[(slice(None), slice(first, first + channels), *window)] * weight[k]
        ).sum(tuple(range(1, rank + 2)))
    return y if bias is None else y + bias.reshape(-1, *[1] * rank)


def transposed(x, weight, bias=None, *, stride=1, padding=0, output_padding=0, dilation=1, groups=1):
    """What each element of x adds."""
    rank = x.ndim - 2
    channels, each, *kernel = weight.shape
    full = [
        (s - 1) * stride + dilation * (k - 1) + 1 + output_padding
        for s, k in zip(x.shape[2:], kernel, strict=True)
    ]
    y = np.zeros((len(x), each * groups, *full), weight.dtype)
    for c, place, j in itertools.product(range(channels), np.ndindex(*x.shape[2:]), np.ndindex(*kernel)):
        first = c // (channels // groups) * each
        at = [i * stride + k * dilation for i, k in zip(place, j, strict=True)]
        y[(slice(None), slice(first, first + each), *at)] += np.multiply.outer(
            x[(slice(None), c, *place)], weight[(c, slice(None), *j)]
        )
    y = y[(..., *[slice(padding, n - padding) for n in full])]
    return y if bias is None else y + bias.reshape(-1, *[1] * rank)


def max_pool(x, kernel, stride, padding, rank):
    padded = np.pad(x, [(0, 0)] * (x.ndim - rank) + [(padding, padding)] * rank, constant_values=-np.inf)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (kernel,) * rank, tuple(range(-rank, 0)))
    return windows[(..., *[slice(None, None, stride)] * rank, *[slice(None)] * rank)].max(
        tuple(range(-rank, 0))
    )


def cases():
    for x, weight, how in (
        ((2, 3, 6), (4, 3, 3), {}),
        ((1, 4, 7), (2, 2, 2), {"stride": 2, "padding": 1, "groups": 2}),
        ((2, 2, 5, 4), (3, 2, 3, 2), {"stride": 2, "padding": 1}),
        ((2, 2, 3, 3), (4, 2, 1, 1), {}),
        ((1, 2, 5, 6), (2, 1, 2, 3), {"dilation": 2, "padding": 2, "groups": 2}),
        ((0, 2, 4, 4), (3, 2, 2, 2), {}),
        ((1, 2, 3, 4, 3), (2, 2, 2, 2, 2), {"padding": 1, "stride": 2}),
    ):
        function, rank = getattr(F, f"conv{len(x) - 2}d"), len(x) - 2
        definition = lambda *arrays, how=how: convolution(*arrays, **how)
        for bias in (False, True):
            yield case(
                f"conv{rank}d{x}{weight}{' with bias' * bias}",
                "convolution",
                lambda *tensors, function=function, how=how: function(*tensors, **how),
                definition,
                Draw(x),
                Draw(weight),
                *[Draw(weight[:1])] * bias,
                dtypes=FLOATS,
                differentiable=tuple(range(2 + bias)),
                ulps=8,
                scale=on_magnitudes(definition),
                whole_lanes=True,
            )
    for x, weight, how in (
        ((2, 2, 4), (2, 3, 3), {"stride": 2, "output_padding": 1}),
        ((1, 4, 3, 2), (4, 1, 2, 3), {"stride": 3, "padding": 1, "groups": 2}),
        ((1, 2, 3, 4), (2, 2, 3, 2), {"stride": 2, "dilation": 3}),
    ):
        rank = len(x) - 2
        definition = lambda *arrays, how=how: transposed(*arrays, **how)
        function = getattr(F, f"conv_transpose{rank}d")
        yield case(
            f"conv_transpose{rank}d{x}{weight}",
            "convolution",
            lambda *tensors, function=function, how=how: function(*tensors, **how),
            definition,
            Draw(x),
            Draw(weight),
            dtypes=FLOATS,
            differentiable=(0, 1),
            ulps=8,
            scale=on_magnitudes(definition),
            whole_lanes=True,
        )
    for x, (kernel, stride, padding) in (
        ((2, 3, 9), (3, 2, 1)),
        ((1, 2, 6, 5), (2, 2, 0)),
        ((1, 2, 4, 3, 5), (2, 1, 1)),
    ):
        rank = len(x) - 2
        function = getattr(F, f"max_pool{rank}d")
        yield case(
            f"max_pool{rank}d{x}",
            "argmax_of_windows",
            lambda x, function=function, how=(kernel, stride, padding): function(x, *how),
            lambda x, how=(kernel, stride, padding, rank): max_pool(x, *how),
            Draw(x, apart=True),
            dtypes=FLOATS,
            ulps=0,
        )
    yield case(
        "places of the largest in windows",
        "argmax_of_windows",
        lambda x: F.max_pool1d(x, 2, return_indices=True)[1],
        lambda x: x.reshape(2, 3, 4, 2).argmax(-1) + 2 * np.arange(4),
        Draw((2, 3, 8)),
        differentiable=(),
        result=lambda dtype: td.int64,
        ulps=0,
    )
