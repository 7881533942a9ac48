"""Losses as modules: the functions of the same names, with the options that they are made with.

`reduction` is "mean", "sum" or "none".
"""

from . import functional as F
from .module import Module, options_of


class _Loss(Module):
    def _hold(self, name, tensor):
        if tensor is None:
            setattr(self, name, None)
        else:
            self.register_buffer(name, tensor)


class L1Loss(_Loss):
    """|p - t|."""

    def __init__(self, reduction="mean"):
        self.reduction = reduction

    def forward(self, prediction, target):
        return F.l1_loss(prediction, target, **options_of(self))


class MSELoss(_Loss):
    """(p - t)^2."""

    def __init__(self, reduction="mean"):
        self.reduction = reduction

    def forward(self, prediction, target):
        return F.mse_loss(prediction, target, **options_of(self))


class SmoothL1Loss(_Loss):
    """d^2 / (2 beta) where d = |p - t| is below beta, else d - beta / 2."""

    def __init__(self, reduction="mean", beta=1.0):
        self.reduction = reduction
        self.beta = beta

    def forward(self, prediction, target):
        return F.smooth_l1_loss(prediction, target, **options_of(self))


class HuberLoss(_Loss):
    """d^2 / 2 where d = |p - t| is at most delta, else delta (d - delta / 2)."""

    def __init__(self, reduction="mean", delta=1.0):
        self.reduction = reduction
        self.delta = delta

    def forward(self, prediction, target):
        return F.huber_loss(prediction, target, **options_of(self))


class KLDivLoss(_Loss):
    """t (log(t) - x) of log-probabilities x; the reduction may also be "batchmean"."""

    def __init__(self, reduction="mean", log_target=False):
        self.reduction = reduction
        self.log_target = log_target

    def forward(self, x, target):
        return F.kl_div(x, target, **options_of(self))


class GaussianNLLLoss(_Loss):
    """(log(var) + (p - t)^2 / var) / 2."""

    def __init__(self, full=False, eps=1e-6, reduction="mean"):
        self.full = full
        self.eps = eps
        self.reduction = reduction

    def forward(self, prediction, target, var):
        return F.gaussian_nll_loss(prediction, target, var, **options_of(self))


class PoissonNLLLoss(_Loss):
    """exp(x) - t x, or without log_input x - t log(x + eps)."""

    def __init__(self, log_input=True, full=False, eps=1e-8, reduction="mean"):
        self.log_input = log_input
        self.full = full
        self.eps = eps
        self.reduction = reduction

    def forward(self, x, target):
        return F.poisson_nll_loss(x, target, **options_of(self))


class BCELoss(_Loss):
    """-(t log(p) + (1 - t) log(1 - p)) of probabilities."""

    def __init__(self, weight=None, reduction="mean"):
        self._hold("weight", weight)
        self.reduction = reduction

    def forward(self, probabilities, targets):
        return F.binary_cross_entropy(probabilities, targets, **options_of(self))


class BCEWithLogitsLoss(_Loss):
    """BCELoss of sigmoid(logits), without overflow or cancellation."""

    def __init__(self, weight=None, reduction="mean", pos_weight=None):
        self._hold("weight", weight)
        self.reduction = reduction
        self._hold("pos_weight", pos_weight)

    def forward(self, logits, targets):
        return F.binary_cross_entropy_with_logits(logits, targets, **options_of(self))


class NLLLoss(_Loss):
    """-weight[t] x[t] of log-probabilities x and class indices t."""

    def __init__(self, weight=None, ignore_index=-100, reduction="mean"):
        self._hold("weight", weight)
        self.ignore_index = ignore_index
        self.reduction = reduction

    def forward(self, log_probabilities, targets):
        return F.nll_loss(log_probabilities, targets, **options_of(self))


class CrossEntropyLoss(_Loss):
    """The cross-entropy of softmax(logits) with class indices or probabilities."""

    def __init__(self, weight=None, ignore_index=-100, reduction="mean", label_smoothing=0.0):
        self._hold("weight", weight)
        self.ignore_index = ignore_index
        self.reduction = reduction
        self.label_smoothing = label_smoothing

    def forward(self, logits, targets):
        return F.cross_entropy(logits, targets, **options_of(self))


class HingeEmbeddingLoss(_Loss):
    """x where the target is 1, max(0, margin - x) where it is -1."""

    def __init__(self, margin=1.0, reduction="mean"):
        self.margin = margin
        self.reduction = reduction

    def forward(self, x, target):
        return F.hinge_embedding_loss(x, target, **options_of(self))


class MarginRankingLoss(_Loss):
    """max(0, margin - t (x1 - x2)) of targets t, 1 or -1."""

    def __init__(self, margin=0.0, reduction="mean"):
        self.margin = margin
        self.reduction = reduction

    def forward(self, x1, x2, target):
        return F.margin_ranking_loss(x1, x2, target, **options_of(self))


class SoftMarginLoss(_Loss):
    """log(1 + exp(-t x)) of targets t, 1 or -1."""

    def __init__(self, reduction="mean"):
        self.reduction = reduction

    def forward(self, x, target):
        return F.soft_margin_loss(x, target, **options_of(self))


class MultiMarginLoss(_Loss):
    """The sum over the other classes c of weight[t] max(0, margin - x[t] + x[c])^p / C."""

    def __init__(self, p=1, margin=1.0, weight=None, reduction="mean"):
        self.p = p
        self.margin = margin
        self._hold("weight", weight)
        self.reduction = reduction

    def forward(self, scores, targets):
        return F.multi_margin_loss(scores, targets, **options_of(self))


class MultiLabelMarginLoss(_Loss):
    """The sum over target classes t and others c of max(0, 1 - x[t] + x[c]) / C."""

    def __init__(self, reduction="mean"):
        self.reduction = reduction

    def forward(self, x, target):
        return F.multilabel_margin_loss(x, target, **options_of(self))


class MultiLabelSoftMarginLoss(_Loss):
    """The mean of BCEWithLogitsLoss over the last axis."""

    def __init__(self, weight=None, reduction="mean"):
        self._hold("weight", weight)
        self.reduction = reduction

    def forward(self, logits, targets):
        return F.multilabel_soft_margin_loss(logits, targets, **options_of(self))


class CosineEmbeddingLoss(_Loss):
    """1 - cosine where the target is 1, max(0, cosine - margin) where it is -1."""

    def __init__(self, margin=0.0, reduction="mean"):
        self.margin = margin
        self.reduction = reduction

    def forward(self, x1, x2, target):
        return F.cosine_embedding_loss(x1, x2, target, **options_of(self))


class TripletMarginLoss(_Loss):
    """max(0, margin + d(anchor, positive) - d(anchor, negative)), d being a p-norm."""

    def __init__(self, margin=1.0, p=2.0, eps=1e-6, swap=False, reduction="mean"):
        self.margin = margin
        self.p = p
        self.eps = eps
        self.swap = swap
        self.reduction = reduction

    def forward(self, anchor, positive, negative):
        return F.triplet_margin_loss(anchor, positive, negative, **options_of(self))


class CosineSimilarity(_Loss):
    """The cosine of the angle between x1 and x2 along the axis."""

    def __init__(self, axis=1, eps=1e-8):
        self.axis = axis
        self.eps = eps

    def forward(self, x1, x2):
        return F.cosine_similarity(x1, x2, **options_of(self))


class PairwiseDistance(_Loss):
    """The p-norm along the last axis of x1 - x2 + eps."""

    def __init__(self, p=2.0, eps=1e-6, keepdims=False):
        self.p = p
        self.eps = eps
        self.keepdims = keepdims

    def forward(self, x1, x2):
        return F.pairwise_distance(x1, x2, **options_of(self))
