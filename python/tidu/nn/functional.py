"""Losses and the functions behind the layers."""

from .. import (
    elu,
    gelu,
    leaky_relu,
    log_sigmoid,
    log_softmax,
    one_hot,
    relu,
    sigmoid,
    silu,
    softmax,
    softplus,
    tanh,
)
from .._core import _training

__all__ = [
    "bilinear",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "cross_entropy",
    "dropout",
    "elu",
    "embedding",
    "fold",
    "gelu",
    "huber_loss",
    "l1_loss",
    "layer_norm",
    "leaky_relu",
    "linear",
    "log_sigmoid",
    "log_softmax",
    "mse_loss",
    "nll_loss",
    "one_hot",
    "relu",
    "rms_norm",
    "sigmoid",
    "silu",
    "softmax",
    "softplus",
    "tanh",
    "unfold",
]

bilinear = _training.bilinear
binary_cross_entropy = _training.binary_cross_entropy
binary_cross_entropy_with_logits = _training.binary_cross_entropy_with_logits
cross_entropy = _training.cross_entropy
dropout = _training.dropout
embedding = _training.embedding
fold = _training.fold
huber_loss = _training.huber_loss
l1_loss = _training.l1_loss
layer_norm = _training.layer_norm
linear = _training.linear
mse_loss = _training.mse_loss
nll_loss = _training.nll_loss
rms_norm = _training.rms_norm
unfold = _training.unfold
