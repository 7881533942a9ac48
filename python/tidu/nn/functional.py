"""Losses and the functions behind the layers."""

from .. import (
    elu,
    hardtanh,
    leaky_relu,
    log_sigmoid,
    log_softmax,
    mish,
    one_hot,
    relu,
    sigmoid,
    silu,
    softmax,
    tanh,
)
from .._core import _training

__all__ = [
    "bilinear",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "celu",
    "cosine_embedding_loss",
    "cosine_similarity",
    "cross_entropy",
    "dropout",
    "elu",
    "embedding",
    "fold",
    "gaussian_nll_loss",
    "gelu",
    "glu",
    "hardshrink",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "hinge_embedding_loss",
    "huber_loss",
    "kl_div",
    "l1_loss",
    "layer_norm",
    "leaky_relu",
    "linear",
    "log_sigmoid",
    "log_softmax",
    "logsigmoid",
    "margin_ranking_loss",
    "mish",
    "mse_loss",
    "multi_margin_loss",
    "multilabel_margin_loss",
    "multilabel_soft_margin_loss",
    "nll_loss",
    "normalize",
    "one_hot",
    "pairwise_distance",
    "poisson_nll_loss",
    "prelu",
    "relu",
    "relu6",
    "rms_norm",
    "selu",
    "sigmoid",
    "silu",
    "smooth_l1_loss",
    "soft_margin_loss",
    "softmax",
    "softmin",
    "softplus",
    "softshrink",
    "softsign",
    "tanh",
    "tanhshrink",
    "threshold",
    "triplet_margin_loss",
    "unfold",
]

bilinear = _training.bilinear
binary_cross_entropy = _training.binary_cross_entropy
binary_cross_entropy_with_logits = _training.binary_cross_entropy_with_logits
celu = _training.celu
cosine_embedding_loss = _training.cosine_embedding_loss
cosine_similarity = _training.cosine_similarity
cross_entropy = _training.cross_entropy
dropout = _training.dropout
embedding = _training.embedding
fold = _training.fold
gaussian_nll_loss = _training.gaussian_nll_loss
gelu = _training.gelu
glu = _training.glu
hardshrink = _training.hardshrink
hardsigmoid = _training.hardsigmoid
hardswish = _training.hardswish
hinge_embedding_loss = _training.hinge_embedding_loss
huber_loss = _training.huber_loss
kl_div = _training.kl_div
l1_loss = _training.l1_loss
layer_norm = _training.layer_norm
linear = _training.linear
logsigmoid = _training.logsigmoid
margin_ranking_loss = _training.margin_ranking_loss
mse_loss = _training.mse_loss
multi_margin_loss = _training.multi_margin_loss
multilabel_margin_loss = _training.multilabel_margin_loss
multilabel_soft_margin_loss = _training.multilabel_soft_margin_loss
nll_loss = _training.nll_loss
normalize = _training.normalize
pairwise_distance = _training.pairwise_distance
poisson_nll_loss = _training.poisson_nll_loss
prelu = _training.prelu
relu6 = _training.relu6
rms_norm = _training.rms_norm
selu = _training.selu
smooth_l1_loss = _training.smooth_l1_loss
soft_margin_loss = _training.soft_margin_loss
softmin = _training.softmin
softplus = _training.softplus
softshrink = _training.softshrink
softsign = _training.softsign
tanhshrink = _training.tanhshrink
threshold = _training.threshold
triplet_margin_loss = _training.triplet_margin_loss
unfold = _training.unfold
