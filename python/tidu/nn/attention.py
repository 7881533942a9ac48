"""Attention and the Transformer's layers."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import tidu as td
from tidu._core import Tensor
from tidu.typing import DeviceLike, DTypeLike

from .._core import _training
from . import functional as F
from . import init
from .layers import Dropout, LayerNorm, Linear, ModuleList, _key_on
from .module import Module, Parameter


class MultiheadAttention(Module):
    """Attention of `num_heads` heads: forward(query, key, value) of shapes (L, N, embed_dim), (S, N, kdim),
    (S, N, vdim), or with `batch_first` (N, L, embed_dim) .., or without N, gives (output, weights). Masks are
    as PyTorch's: where a boolean key_padding_mask (N, S) or attn_mask (L, S) or (N num_heads, L, S) is true,
    nothing is looked at; those of numbers are added to the scores. weights (N, L, S) are means over heads, or
    (N, num_heads, L, S) unless average_attn_weights, or None unless need_weights: then no (L, S) matrix is
    needed where there is no dropout. is_causal looks at no later position, with or without an attn_mask.

    in_proj_weight (3 embed_dim, embed_dim), or q_proj_weight, k_proj_weight and v_proj_weight where kdim or
    vdim differ, begin Glorot-uniform, in_proj_bias 0, bias_k and bias_v (1, 1, embed_dim) normal.

    Examples
    --------
    >>> x = td.ones((7, 2, 8))
    >>> y, weights = td.nn.MultiheadAttention(8, 2)(x, x, x)
    >>> y.shape, weights.shape
    ((7, 2, 8), (2, 7, 7))
    """

    q_proj_weight: Tensor
    k_proj_weight: Tensor
    v_proj_weight: Tensor

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        *,
        key: Tensor | None = None,
        dtype: DTypeLike = td.float32,
        device: DeviceLike | None = None,
    ) -> None:
        if num_heads <= 0 or embed_dim <= 0 or embed_dim % num_heads:
            raise ValueError(
                f"[MultiheadAttention] embed_dim {embed_dim} is not a multiple of num_heads {num_heads}"
            )
        self.embed_dim, self.num_heads, self.batch_first = embed_dim, num_heads, batch_first
        self.add_zero_attn = add_zero_attn
        kdim, vdim = kdim or embed_dim, vdim or embed_dim
        keys = td.random.split(_key_on(device, key), 7)
        drawn: dict[str, Any] = {"dtype": dtype}
        if kdim == vdim == embed_dim:
            self.in_proj_weight: Tensor | None = Parameter(
                init.xavier_uniform(keys[0], (3 * embed_dim, embed_dim), **drawn)
            )
        else:
            self.in_proj_weight = None
            for i, (name, size) in enumerate(zip("qkv", (embed_dim, kdim, vdim), strict=True)):
                weight = init.xavier_uniform(keys[i], (embed_dim, size), **drawn)
                setattr(self, f"{name}_proj_weight", Parameter(weight))
        place: dict[str, Any] = {"dtype": dtype, "device": keys.device}
        self.in_proj_bias = Parameter(td.zeros((3 * embed_dim,), **place)) if bias else None
        self.bias_k: Tensor | None = None
        self.bias_v: Tensor | None = None
        if add_bias_kv:
            std = embed_dim**-0.5
            self.bias_k = Parameter(init.normal(keys[3], (1, 1, embed_dim), **drawn) * std)
            self.bias_v = Parameter(init.normal(keys[4], (1, 1, embed_dim), **drawn) * std)
        self.out_proj = Linear(embed_dim, embed_dim, bias, key=keys[5], dtype=dtype)
        self.dropout = Dropout(dropout, key=keys[6]) if dropout else None

    def _projected(self, inputs: tuple[Tensor, Tensor, Tensor]) -> list[Tensor]:
        if self.in_proj_weight is None:
            weights = [self.q_proj_weight, self.k_proj_weight, self.v_proj_weight]
        elif inputs[0] is inputs[1] is inputs[2]:
            return td.split(F.linear(inputs[0], self.in_proj_weight, self.in_proj_bias), 3, axis=-1)
        else:
            weights = td.split(self.in_proj_weight, 3, axis=0)
        biases = [None] * 3 if self.in_proj_bias is None else td.split(self.in_proj_bias, 3, axis=0)
        return [F.linear(x, weight, bias) for x, weight, bias in zip(inputs, weights, biases, strict=True)]

    def _heads(self, x: Tensor) -> Tensor:
        """(N, S, embed_dim) as (N, num_heads, S, embed_dim / num_heads)."""
        return td.swapaxes(x.reshape((*x.shape[:2], self.num_heads, -1)), 1, 2)

    def _mask(
        self, attn_mask: Tensor | None, padding: Tensor | None, lanes: int, extra: int, dtype: td.dtype
    ) -> Tensor | None:
        """Both masks as scaled_dot_product_attention takes them, (N or 1, heads or 1, L or 1, S + extra)."""

        def wider(mask: Tensor) -> Tensor:
            shape = (*mask.shape[:-1], extra)
            return td.concat([mask, td.zeros(shape, dtype=mask.dtype, device=mask.device)], axis=-1)

        masks = []
        if padding is not None:
            masks.append(wider(padding.reshape((-1, 1, 1, padding.shape[-1]))))
        if attn_mask is not None:
            groups = (1, 1) if attn_mask.ndim == 2 else (lanes, self.num_heads)
            masks.append(wider(attn_mask.reshape((*groups, *attn_mask.shape[-2:]))))
        if not masks:
            return None
        if all(mask.dtype == td.bool for mask in masks):
            return td.logical_not(masks[0] if len(masks) == 1 else td.logical_or(*masks))
        numbers = [
            td.where(mask, float("-inf"), 0.0).astype(dtype) if mask.dtype == td.bool else mask
            for mask in masks
        ]
        return numbers[0] if len(numbers) == 1 else numbers[0] + numbers[1]

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        inputs = (query, key, value)
        if query.ndim not in (2, 3) or {x.ndim for x in inputs} != {query.ndim}:
            shapes = ", ".join(str(x.shape) for x in inputs)
            raise td.ShapeError(
                f"[MultiheadAttention] query, key and value must have 3 axes, or 2 (no batch), not {shapes}"
            )
        alone = query.ndim == 2
        q, k, v = self._projected(inputs)
        if alone:
            q, k, v = (td.expand_dims(x, 0) for x in (q, k, v))
        elif not self.batch_first:
            q, k, v = (td.swapaxes(x, 0, 1) for x in (q, k, v))
        if is_causal:
            later = td.triu(td.ones((q.shape[1], k.shape[1]), dtype=td.bool, device=q.device), k=1)
            if attn_mask is None:
                attn_mask = later
            elif attn_mask.dtype == td.bool:
                attn_mask = td.logical_or(attn_mask, later)
            else:
                attn_mask = td.where(later, float("-inf"), attn_mask)
        lanes, length = q.shape[0], k.shape[1]
        for given, extra in (
            (self.bias_k is not None, (self.bias_k, self.bias_v)),
            (self.add_zero_attn, None),
        ):
            if given:
                row = (lanes, 1, self.embed_dim)
                ends: Any = [td.zeros(row, dtype=k.dtype, device=k.device)] * 2 if extra is None else extra
                k, v = (
                    td.concat([x, td.broadcast_to(end, row)], axis=1)
                    for x, end in zip((k, v), ends, strict=True)
                )
        mask = self._mask(attn_mask, key_padding_mask, lanes, k.shape[1] - length, q.dtype)
        q, k, v = (self._heads(x) for x in (q, k, v))
        weights: Any = None
        if need_weights or (self.dropout is not None and self.training):
            weights = _training.attention_weights(q, k, mask).astype(v.dtype)
            if self.dropout is not None:
                weights = self.dropout(weights)
            y = td.matmul(weights, v)
        else:
            y = F.scaled_dot_product_attention(q, k, v, mask)
        y = td.swapaxes(y, 1, 2)
        y = self.out_proj(y.reshape((*y.shape[:2], self.embed_dim)))
        if not need_weights:
            weights = None
        elif average_attn_weights:
            weights = td.mean(weights, axis=1)
        if alone:
            return y[0], None if weights is None else weights[0]
        return y if self.batch_first else td.swapaxes(y, 0, 1), weights


def _no_bias(norm: LayerNorm, bias: bool) -> LayerNorm:
    if not bias:
        norm.bias = None  # type: ignore[assignment]  # functional.layer_norm takes None
    return norm


class _TransformerLayer(Module):
    """What encoder and decoder layers share: attentions, a network of two layers, norms and dropouts."""

    _attentions: tuple[str, ...] = ("self_attn",)
    self_attn: MultiheadAttention

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: str | Callable[[Tensor], Tensor] = "relu",
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        *,
        key: Tensor | None = None,
        dtype: DTypeLike = td.float32,
        device: DeviceLike | None = None,
    ) -> None:
        if not callable(activation) and activation not in ("relu", "gelu"):
            raise ValueError(
                f"[{type(self).__name__}] activation must be 'relu', 'gelu' or a function, not {activation!r}"
            )
        self.norm_first = norm_first
        self.activation = activation if callable(activation) else getattr(F, activation)
        keys = iter(td.random.split(_key_on(device, key), 8))
        for name in self._attentions:
            attention = MultiheadAttention(
                d_model, nhead, dropout, bias, batch_first=batch_first, key=next(keys), dtype=dtype
            )
            setattr(self, name, attention)
        self.linear1 = Linear(d_model, dim_feedforward, bias, key=next(keys), dtype=dtype)
        self.linear2 = Linear(dim_feedforward, d_model, bias, key=next(keys), dtype=dtype)
        device = self.linear1.weight.device
        self.dropout = Dropout(dropout, key=next(keys)) if dropout else None
        for i in range(1, len(self._attentions) + 2):
            norm = _no_bias(LayerNorm(d_model, layer_norm_eps, dtype=dtype, device=device), bias)
            setattr(self, f"norm{i}", norm)
            setattr(self, f"dropout{i}", Dropout(dropout, key=next(keys)) if dropout else None)

    def _add(self, i: int, x: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
        """x + dropout(function(x)), normalised behind or, with norm_first, before the function."""
        norm, dropout = getattr(self, f"norm{i}"), getattr(self, f"dropout{i}")
        y = function(norm(x) if self.norm_first else x)
        y = x + (y if dropout is None else dropout(y))
        return y if self.norm_first else norm(y)

    def _feed_forward(self, x: Tensor) -> Tensor:
        x = self.activation(self.linear1(x))
        return self.linear2(x if self.dropout is None else self.dropout(x))


class TransformerEncoderLayer(_TransformerLayer):
    """Self-attention and a network of two layers, each added to its input and normalised (Vaswani et al.
    2017): (S, N, d_model), or with batch_first (N, S, d_model). Masks are as MultiheadAttention's.

    Examples
    --------
    >>> td.nn.TransformerEncoderLayer(8, 2, 16)(td.ones((5, 1, 8))).shape
    (5, 1, 8)
    """

    def forward(
        self,
        src: Tensor,
        src_mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool = False,
    ) -> Tensor:
        def attend(x: Tensor) -> Tensor:
            return self.self_attn(x, x, x, src_key_padding_mask, False, src_mask, is_causal=is_causal)[0]

        return self._add(2, self._add(1, src, attend), self._feed_forward)


class TransformerDecoderLayer(_TransformerLayer):
    """Self-attention, attention to `memory`, the encoder's output, and a network of two layers, each added to
    its input and normalised (Vaswani et al. 2017): forward(tgt, memory) has the shape of tgt.

    Examples
    --------
    >>> td.nn.TransformerDecoderLayer(8, 2, 16)(td.ones((3, 1, 8)), td.ones((5, 1, 8))).shape
    (3, 1, 8)
    """

    _attentions = ("self_attn", "multihead_attn")
    multihead_attn: MultiheadAttention

    def forward(
        self,
        tgt: Tensor,
        memory: Tensor,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
    ) -> Tensor:
        def attend(x: Tensor) -> Tensor:
            return self.self_attn(x, x, x, tgt_key_padding_mask, False, tgt_mask, is_causal=tgt_is_causal)[0]

        def look(x: Tensor) -> Tensor:
            padding, causal = memory_key_padding_mask, memory_is_causal
            return self.multihead_attn(x, memory, memory, padding, False, memory_mask, is_causal=causal)[0]

        x = self._add(2, self._add(1, tgt, attend), look)
        return self._add(3, x, self._feed_forward)


class _Stack(Module):
    def __init__(self, layer: Module, num_layers: int, norm: Module | None = None) -> None:
        if num_layers < 0:
            raise ValueError(f"[{type(self).__name__}] num_layers is {num_layers}, but must not be negative")
        bytes_of_layer = 1024 + sum(x.nbytes for x in [*layer.parameters(), *layer.buffers()])
        td.empty((num_layers, bytes_of_layer), dtype=td.uint8, device="cpu")  # fails where there is no room
        self.layers = ModuleList([copy.deepcopy(layer) for _ in range(num_layers)])
        self.norm = norm
        for i, copied in enumerate(self.layers):
            for module in copied.modules():
                if isinstance(module, Dropout):
                    module.key = td.random.fold_in(module.key, i)

    def _through(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        for layer in self.layers:
            x = layer(x, *args, **kwargs)
        return x if self.norm is None else self.norm(x)


class TransformerEncoder(_Stack):
    """num_layers copies of an encoder layer, one after the other, and perhaps a norm. The copies begin
    with the same parameters; each drops out elements of its own.

    Examples
    --------
    >>> layer = td.nn.TransformerEncoderLayer(8, 2, 16)
    >>> td.nn.TransformerEncoder(layer, 2)(td.ones((5, 1, 8))).shape
    (5, 1, 8)
    """

    def __init__(self, encoder_layer: Module, num_layers: int, norm: Module | None = None) -> None:
        super().__init__(encoder_layer, num_layers, norm)

    def forward(
        self,
        src: Tensor,
        mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool = False,
    ) -> Tensor:
        return self._through(src, mask, src_key_padding_mask, is_causal)


class TransformerDecoder(_Stack):
    """The same of a decoder layer: forward(tgt, memory).

    Examples
    --------
    >>> layer = td.nn.TransformerDecoderLayer(8, 2, 16)
    >>> td.nn.TransformerDecoder(layer, 2)(td.ones((3, 1, 8)), td.ones((5, 1, 8))).shape
    (3, 1, 8)
    """

    def __init__(self, decoder_layer: Module, num_layers: int, norm: Module | None = None) -> None:
        super().__init__(decoder_layer, num_layers, norm)

    def forward(self, tgt: Tensor, memory: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        return self._through(tgt, memory, *args, **kwargs)
