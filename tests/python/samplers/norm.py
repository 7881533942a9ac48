"""Normalisation over trailing axes, and of channels."""

from __future__ import annotations

import numpy as np
from tidu.nn import functional as F

from .case import Draw, case
from .tensors import FLOATS


def layer_norm(x, *parameters, axes=1, eps=1e-5):
    over = tuple(range(-axes, 0))
    y = (x - x.mean(over, keepdims=True)) / np.sqrt(x.var(over, keepdims=True) + eps)
    return affine(y, *parameters)


def rms_norm(x, *parameters, axes=1, eps=1e-5):
    mean = np.square(x).mean(tuple(range(-axes, 0)), keepdims=True)
    return affine(x / np.sqrt(mean + eps), *parameters)


def affine(y, weight=1, bias=0):
    return y * weight + bias


def batch_norm(x, *parameters, eps=1e-5):
    over = (0, *range(2, x.ndim))
    y = (x - x.mean(over, keepdims=True)) / np.sqrt(x.var(over, keepdims=True) + eps)
    return affine(y, *(p.reshape((-1, *(1,) * (x.ndim - 2))) for p in parameters))


def cases():
    for parameters in range(3):
        yield case(
            f"batch_norm of {parameters} parameters",
            ("batch_norm", "batch_norm_grad"),
            lambda x, *more: F.batch_norm(x, None, None, *more, training=True),
            batch_norm,
            Draw((4, 3, 5)),
            *[Draw((3,))] * parameters,
            dtypes=FLOATS,
            ulps=32,
            scale=lambda x, *more: 4 + np.abs(batch_norm(x, *more)),
            whole_lanes=True,
        )
    for name, function, reference in (
        ("layer_norm", F.layer_norm, layer_norm),
        ("rms_norm", F.rms_norm, rms_norm),
    ):
        for parameters in range(3 if name == "layer_norm" else 2):
            yield case(
                f"{name} of {parameters} parameters",
                (name, f"{name}_grad"),
                lambda x, *more, function=function: function(x, x.shape[-1:], *more),
                reference,
                Draw((4, 6)),
                *[Draw((6,))] * parameters,
                dtypes=FLOATS,
                ulps=32,
                scale=lambda x, *more, reference=reference: 4 + np.abs(reference(x, *more)),
            )
        yield case(
            f"{name} over 2 axes",
            (name, f"{name}_grad"),
            lambda x, function=function: function(x, x.shape[-2:]),
            lambda x, reference=reference: reference(x, axes=2),
            Draw((3, 4, 5)),
            dtypes=FLOATS,
            ulps=32,
            scale=lambda x: 4 + 0 * x,
        )
