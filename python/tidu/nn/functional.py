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
from .._arguments import explain as _explain
from .._core import _training
from .._spellings import add_other_names as _add_other_names
from ._attention import scaled_dot_product_attention
from .ctc import ctc_loss
from .gumbel import gumbel_softmax
from .spatial import (
    alpha_dropout,
    channel_shuffle,
    dropout1d,
    dropout2d,
    dropout3d,
    feature_alpha_dropout,
    local_response_norm,
    pixel_shuffle,
    pixel_unshuffle,
)

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool3d",
    "adaptive_max_pool1d",
    "adaptive_max_pool2d",
    "adaptive_max_pool3d",
    "affine_grid",
    "alpha_dropout",
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
    "batch_norm",
    "bilinear",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "celu",
    "channel_shuffle",
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "cosine_embedding_loss",
    "cosine_similarity",
    "cross_entropy",
    "ctc_loss",
    "dropout",
    "dropout1d",
    "dropout2d",
    "dropout3d",
    "elu",
    "embedding",
    "feature_alpha_dropout",
    "fold",
    "gaussian_nll_loss",
    "gelu",
    "glu",
    "grid_sample",
    "group_norm",
    "gumbel_softmax",
    "hardshrink",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "hinge_embedding_loss",
    "huber_loss",
    "instance_norm",
    "interpolate",
    "kl_div",
    "l1_loss",
    "layer_norm",
    "leaky_relu",
    "linear",
    "local_response_norm",
    "log_sigmoid",
    "log_softmax",
    "logsigmoid",
    "lp_pool1d",
    "lp_pool2d",
    "lp_pool3d",
    "margin_ranking_loss",
    "max_pool1d",
    "max_pool2d",
    "max_pool3d",
    "mish",
    "mse_loss",
    "multi_margin_loss",
    "multilabel_margin_loss",
    "multilabel_soft_margin_loss",
    "nll_loss",
    "normalize",
    "one_hot",
    "pairwise_distance",
    "pixel_shuffle",
    "pixel_unshuffle",
    "poisson_nll_loss",
    "prelu",
    "relu",
    "relu6",
    "rms_norm",
    "scaled_dot_product_attention",
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

adaptive_avg_pool1d = _training.adaptive_avg_pool1d
adaptive_avg_pool2d = _training.adaptive_avg_pool2d
adaptive_avg_pool3d = _training.adaptive_avg_pool3d
adaptive_max_pool1d = _training.adaptive_max_pool1d
adaptive_max_pool2d = _training.adaptive_max_pool2d
adaptive_max_pool3d = _training.adaptive_max_pool3d
affine_grid = _training.affine_grid
avg_pool1d = _training.avg_pool1d
avg_pool2d = _training.avg_pool2d
avg_pool3d = _training.avg_pool3d
batch_norm = _training.batch_norm
bilinear = _training.bilinear
binary_cross_entropy = _training.binary_cross_entropy
binary_cross_entropy_with_logits = _training.binary_cross_entropy_with_logits
celu = _training.celu
conv1d = _training.conv1d
conv2d = _training.conv2d
conv3d = _training.conv3d
conv_transpose1d = _training.conv_transpose1d
conv_transpose2d = _training.conv_transpose2d
conv_transpose3d = _training.conv_transpose3d
cosine_embedding_loss = _training.cosine_embedding_loss
cosine_similarity = _training.cosine_similarity
cross_entropy = _training.cross_entropy
dropout = _training.dropout
embedding = _training.embedding
fold = _training.fold
gaussian_nll_loss = _training.gaussian_nll_loss
gelu = _training.gelu
glu = _training.glu
grid_sample = _training.grid_sample
group_norm = _training.group_norm
hardshrink = _training.hardshrink
hardsigmoid = _training.hardsigmoid
hardswish = _training.hardswish
hinge_embedding_loss = _training.hinge_embedding_loss
huber_loss = _training.huber_loss
instance_norm = _training.instance_norm
interpolate = _training.interpolate
kl_div = _training.kl_div
l1_loss = _training.l1_loss
layer_norm = _training.layer_norm
linear = _training.linear
logsigmoid = _training.logsigmoid
lp_pool1d = _training.lp_pool1d
lp_pool2d = _training.lp_pool2d
lp_pool3d = _training.lp_pool3d
margin_ranking_loss = _training.margin_ranking_loss
max_pool1d = _training.max_pool1d
max_pool2d = _training.max_pool2d
max_pool3d = _training.max_pool3d
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

_explain(globals(), ("ctc_loss", "gumbel_softmax", "scaled_dot_product_attention"))

_add_other_names(globals())
