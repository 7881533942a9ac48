"""Scaled dot-product attention."""

from __future__ import annotations

import numpy as np
from tidu.nn import functional as F

from .case import Draw, case
from .softmax import softmax
from .tensors import FLOATS


def attention(q, k, v, mask=0.0, causal=False):
    scores = q @ np.swapaxes(k, -1, -2) / np.sqrt(q.shape[-1]) + mask
    if causal:
        scores = np.where(np.tri(*scores.shape[-2:], dtype=bool), scores, -np.inf)
    return softmax(scores) @ v


def cases():
    inputs = (Draw((2, 3, 4)), Draw((2, 5, 4)), Draw((2, 5, 2)))
    yield case(
        "attention with a mask",
        ("attention", "attention_grad"),
        F.scaled_dot_product_attention,
        attention,
        *inputs,
        Draw((3, 5)),
        dtypes=FLOATS,
        ulps=64,
        scale=lambda q, k, v, mask: 4 + np.abs(attention(q, k, v, mask)),
    )
    yield case(
        "causal attention",
        ("attention", "attention_grad"),
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True),
        lambda q, k, v: attention(q, k, v, causal=True),
        *inputs,
        dtypes=FLOATS,
        ulps=64,
        scale=lambda q, k, v: 4 + np.abs(attention(q, k, v, causal=True)),
        whole_lanes=True,
    )
