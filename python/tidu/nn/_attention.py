"""Scaled dot-product attention."""

from __future__ import annotations

import tidu as td
from tidu._core import Tensor

from .._core import _training


def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
    *,
    dropout_key: Tensor | None = None,
) -> Tensor:
    """softmax(scale query key^T + attn_mask) value: (.., L, D), (.., S, D) and (.., S, E), leading axes
    broadcast, give (.., L, E). scale is 1 / sqrt(D) by default. Of a boolean attn_mask, broadcast to
    (.., L, S), true elements take part; one of numbers is added. is_causal: query i looks at keys up to i. A
    row that looks at nothing is 0. Weights are dropped with probability dropout_p, drawn with dropout_key.
    enable_gqa: each head of key and value, axis -3, serves a group of neighbouring heads of query.

    Examples
    --------
    >>> query, key, value = td.ones((1, 3, 8)), td.ones((1, 5, 8)), td.ones((1, 5, 2))
    >>> td.nn.functional.scaled_dot_product_attention(query, key, value).shape
    (1, 3, 2)
    """
    op = "[scaled_dot_product_attention]"
    shapes = f"query {query.shape}, key {key.shape}, value {value.shape}"
    if is_causal and attn_mask is not None:
        raise ValueError(f"{op} is_causal and attn_mask exclude each other (put both into attn_mask)")
    if not 0 <= dropout_p <= 1 or (dropout_p and dropout_key is None):
        raise ValueError(f"{op} dropout_p {dropout_p} must be in [0, 1], and needs a dropout_key unless 0")
    groups = None
    if enable_gqa:
        if (
            min(query.ndim, key.ndim, value.ndim) < 3
            or key.shape[-3] != value.shape[-3]
            or (key.shape[-3] == 0 or query.shape[-3] % key.shape[-3])
        ):
            raise td.ShapeError(
                f"{op} the heads of query must be a multiple of those of key and value, not {shapes}"
            )
        heads, groups = query.shape[-3], (key.shape[-3], query.shape[-3] // key.shape[-3])
        query = query.reshape((*query.shape[:-3], *groups, *query.shape[-2:]))
        key, value = (td.expand_dims(x, -3) for x in (key, value))
        if attn_mask is not None and attn_mask.ndim > 2:
            each = (1, 1) if attn_mask.shape[-3] == 1 else groups
            attn_mask = attn_mask.reshape((*attn_mask.shape[:-3], *each, *attn_mask.shape[-2:]))
    if dropout_p:
        weights = _training.attention_weights(query, key, attn_mask, is_causal, scale)
        assert dropout_key is not None
        weights = _training.dropout(weights, dropout_p, dropout_key)
        y = td.matmul(weights, value.astype(weights.dtype)).astype(value.dtype)
    else:
        y = _training.attention(query, key, value, attn_mask, is_causal, scale)
    return y if groups is None else y.reshape((*y.shape[:-4], heads, *y.shape[-2:]))
