"""Losses as modules: the functions of the same names, with the options that they are made with.

`reduction` is "mean", "sum" or "none".
"""

from __future__ import annotations

from collections.abc import Sequence

from tidu._core import Tensor

from . import functional as F
from .module import Module, options_of


class _Loss(Module):
    def _hold(self, name: str, tensor: Tensor | None) -> None:
        if tensor is None:
            setattr(self, name, None)
        else:
            self.register_buffer(name, tensor)


class L1Loss(_Loss):
    """|p - t|.

    Examples
    --------
    >>> td.nn.L1Loss()(td.tensor([1.0, 2.0]), td.tensor([1.5, 2.0]))
    tensor(0.25, dtype=float32)
    """

    def __init__(self, reduction: str = "mean") -> None:
        self.reduction = reduction

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        return F.l1_loss(prediction, target, **options_of(self))


class MSELoss(_Loss):
    """(p - t)^2.

    Examples
    --------
    >>> td.nn.MSELoss()(td.tensor([1.0, 2.0]), td.tensor([1.0, 4.0]))
    tensor(2., dtype=float32)
    """

    def __init__(self, reduction: str = "mean") -> None:
        self.reduction = reduction

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        return F.mse_loss(prediction, target, **options_of(self))


class SmoothL1Loss(_Loss):
    """d^2 / (2 beta) where d = |p - t| is below beta, else d - beta / 2.

    Examples
    --------
    >>> td.nn.SmoothL1Loss()(td.tensor([0.0, 3.0]), td.tensor([1.0, 0.0]))
    tensor(1.5, dtype=float32)
    """

    def __init__(self, reduction: str = "mean", beta: float = 1.0) -> None:
        self.reduction = reduction
        self.beta = beta

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        return F.smooth_l1_loss(prediction, target, **options_of(self))


class HuberLoss(_Loss):
    """d^2 / 2 where d = |p - t| is at most delta, else delta (d - delta / 2).

    Examples
    --------
    >>> td.nn.HuberLoss()(td.tensor([0.0, 3.0]), td.tensor([1.0, 0.0]))
    tensor(1.5, dtype=float32)
    """

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        self.reduction = reduction
        self.delta = delta

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        return F.huber_loss(prediction, target, **options_of(self))


class KLDivLoss(_Loss):
    """t (log(t) - x) of log-probabilities x; the reduction may also be "batchmean".

    Examples
    --------
    >>> td.nn.KLDivLoss("sum")(td.log(td.tensor([0.5, 0.5])), td.tensor([0.25, 0.75]))
    tensor(0.13081202, dtype=float32)
    """

    def __init__(self, reduction: str = "mean", log_target: bool = False) -> None:
        self.reduction = reduction
        self.log_target = log_target

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        return F.kl_div(x, target, **options_of(self))


class GaussianNLLLoss(_Loss):
    """(log(var) + (p - t)^2 / var) / 2.

    Examples
    --------
    >>> td.nn.GaussianNLLLoss()(td.tensor([0.0]), td.tensor([1.0]), td.tensor([1.0]))
    tensor(0.5, dtype=float32)
    """

    def __init__(self, full: bool = False, eps: float = 1e-6, reduction: str = "mean") -> None:
        self.full = full
        self.eps = eps
        self.reduction = reduction

    def forward(self, prediction: Tensor, target: Tensor, var: Tensor) -> Tensor:
        return F.gaussian_nll_loss(prediction, target, var, **options_of(self))


class PoissonNLLLoss(_Loss):
    """exp(x) - t x, or without log_input x - t log(x + eps).

    Examples
    --------
    >>> td.nn.PoissonNLLLoss()(td.tensor([0.0]), td.tensor([2.0]))
    tensor(1., dtype=float32)
    """

    def __init__(
        self, log_input: bool = True, full: bool = False, eps: float = 1e-8, reduction: str = "mean"
    ) -> None:
        self.log_input = log_input
        self.full = full
        self.eps = eps
        self.reduction = reduction

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        return F.poisson_nll_loss(x, target, **options_of(self))


class BCELoss(_Loss):
    """-(t log(p) + (1 - t) log(1 - p)) of probabilities.

    Examples
    --------
    >>> td.nn.BCELoss()(td.tensor([0.5, 0.5]), td.tensor([1.0, 0.0]))
    tensor(0.6931472, dtype=float32)
    """

    def __init__(self, weight: Tensor | None = None, reduction: str = "mean") -> None:
        self._hold("weight", weight)
        self.reduction = reduction

    def forward(self, probabilities: Tensor, targets: Tensor) -> Tensor:
        return F.binary_cross_entropy(probabilities, targets, **options_of(self))


class BCEWithLogitsLoss(_Loss):
    """BCELoss of sigmoid(logits), without overflow or cancellation.

    Examples
    --------
    >>> td.nn.BCEWithLogitsLoss()(td.tensor([0.0, 0.0]), td.tensor([1.0, 0.0]))
    tensor(0.6931472, dtype=float32)
    """

    def __init__(
        self, weight: Tensor | None = None, reduction: str = "mean", pos_weight: Tensor | None = None
    ) -> None:
        self._hold("weight", weight)
        self.reduction = reduction
        self._hold("pos_weight", pos_weight)

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(logits, targets, **options_of(self))


class NLLLoss(_Loss):
    """-weight[t] x[t] of log-probabilities x and class indices t.

    Examples
    --------
    >>> td.nn.NLLLoss()(td.log(td.tensor([[0.5, 0.5]])), td.tensor([1]))
    tensor(0.6931472, dtype=float32)
    """

    def __init__(
        self, weight: Tensor | None = None, ignore_index: int = -100, reduction: str = "mean"
    ) -> None:
        self._hold("weight", weight)
        self.ignore_index = ignore_index
        self.reduction = reduction

    def forward(self, log_probabilities: Tensor, targets: Tensor) -> Tensor:
        return F.nll_loss(log_probabilities, targets, **options_of(self))


class CrossEntropyLoss(_Loss):
    """The cross-entropy of softmax(logits) with class indices or probabilities.

    Examples
    --------
    >>> td.nn.CrossEntropyLoss()(td.tensor([[2.0, 0.0], [0.0, 1.0]]), td.tensor([0, 1]))
    tensor(0.22009486, dtype=float32)
    """

    def __init__(
        self,
        weight: Tensor | None = None,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        self._hold("weight", weight)
        self.ignore_index = ignore_index
        self.reduction = reduction
        self.label_smoothing = label_smoothing

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(logits, targets, **options_of(self))


class CTCLoss(_Loss):
    """functional.ctc_loss of (log_probs, targets, input_lengths, target_lengths).

    Examples
    --------
    >>> log_probs = td.log_softmax(td.zeros((2, 1, 2)), axis=-1)
    >>> td.nn.CTCLoss()(log_probs, td.tensor([[1]]), td.tensor([2]), td.tensor([1]))
    tensor(0.28768212, dtype=float32)
    """

    def __init__(self, blank: int = 0, reduction: str = "mean", zero_infinity: bool = False) -> None:
        self.blank = blank
        self.reduction = reduction
        self.zero_infinity = zero_infinity

    def forward(
        self,
        log_probs: Tensor,
        targets: Tensor,
        input_lengths: Tensor | Sequence[int] | int,
        target_lengths: Tensor | Sequence[int] | int,
    ) -> Tensor:
        return F.ctc_loss(log_probs, targets, input_lengths, target_lengths, **options_of(self))


class HingeEmbeddingLoss(_Loss):
    """x where the target is 1, max(0, margin - x) where it is -1.

    Examples
    --------
    >>> td.nn.HingeEmbeddingLoss()(td.tensor([0.5, 0.5]), td.tensor([1, -1]))
    tensor(0.5, dtype=float32)
    """

    def __init__(self, margin: float = 1.0, reduction: str = "mean") -> None:
        self.margin = margin
        self.reduction = reduction

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        return F.hinge_embedding_loss(x, target, **options_of(self))


class MarginRankingLoss(_Loss):
    """max(0, margin - t (x1 - x2)) of targets t, 1 or -1.

    Examples
    --------
    >>> td.nn.MarginRankingLoss()(td.tensor([1.0]), td.tensor([2.0]), td.tensor([1]))
    tensor(1., dtype=float32)
    """

    def __init__(self, margin: float = 0.0, reduction: str = "mean") -> None:
        self.margin = margin
        self.reduction = reduction

    def forward(self, x1: Tensor, x2: Tensor, target: Tensor) -> Tensor:
        return F.margin_ranking_loss(x1, x2, target, **options_of(self))


class SoftMarginLoss(_Loss):
    """log(1 + exp(-t x)) of targets t, 1 or -1.

    Examples
    --------
    >>> td.nn.SoftMarginLoss()(td.tensor([0.0]), td.tensor([1]))
    tensor(0.6931472, dtype=float32)
    """

    def __init__(self, reduction: str = "mean") -> None:
        self.reduction = reduction

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        return F.soft_margin_loss(x, target, **options_of(self))


class MultiMarginLoss(_Loss):
    """The sum over the other classes c of weight[t] max(0, margin - x[t] + x[c])^p / C.

    Examples
    --------
    >>> td.nn.MultiMarginLoss()(td.tensor([[1.0, 0.5]]), td.tensor([0]))
    tensor(0.25, dtype=float32)
    """

    def __init__(
        self, p: int = 1, margin: float = 1.0, weight: Tensor | None = None, reduction: str = "mean"
    ) -> None:
        self.p = p
        self.margin = margin
        self._hold("weight", weight)
        self.reduction = reduction

    def forward(self, scores: Tensor, targets: Tensor) -> Tensor:
        return F.multi_margin_loss(scores, targets, **options_of(self))


class MultiLabelMarginLoss(_Loss):
    """The sum over target classes t and others c of max(0, 1 - x[t] + x[c]) / C.

    Examples
    --------
    >>> td.nn.MultiLabelMarginLoss()(td.tensor([[0.5, 0.0, 1.0]]), td.tensor([[2, -1, 0]]))
    tensor(0.16666667, dtype=float32)
    """

    def __init__(self, reduction: str = "mean") -> None:
        self.reduction = reduction

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        return F.multilabel_margin_loss(x, target, **options_of(self))


class MultiLabelSoftMarginLoss(_Loss):
    """The mean of BCEWithLogitsLoss over the last axis.

    Examples
    --------
    >>> td.nn.MultiLabelSoftMarginLoss()(td.tensor([[0.0, 0.0]]), td.tensor([[1.0, 0.0]]))
    tensor(0.6931472, dtype=float32)
    """

    def __init__(self, weight: Tensor | None = None, reduction: str = "mean") -> None:
        self._hold("weight", weight)
        self.reduction = reduction

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        return F.multilabel_soft_margin_loss(logits, targets, **options_of(self))


class CosineEmbeddingLoss(_Loss):
    """1 - cosine where the target is 1, max(0, cosine - margin) where it is -1.

    Examples
    --------
    >>> td.nn.CosineEmbeddingLoss()(td.tensor([[1.0, 0.0]]), td.tensor([[0.0, 1.0]]), td.tensor([1]))
    tensor(1., dtype=float32)
    """

    def __init__(self, margin: float = 0.0, reduction: str = "mean") -> None:
        self.margin = margin
        self.reduction = reduction

    def forward(self, x1: Tensor, x2: Tensor, target: Tensor) -> Tensor:
        return F.cosine_embedding_loss(x1, x2, target, **options_of(self))


class TripletMarginLoss(_Loss):
    """max(0, margin + d(anchor, positive) - d(anchor, negative)), d being a p-norm.

    Examples
    --------
    >>> td.nn.TripletMarginLoss()(td.tensor([[0.0]]), td.tensor([[1.0]]), td.tensor([[3.0]]))
    tensor(0., dtype=float32)
    """

    def __init__(
        self,
        margin: float = 1.0,
        p: float = 2.0,
        eps: float = 1e-6,
        swap: bool = False,
        reduction: str = "mean",
    ) -> None:
        self.margin = margin
        self.p = p
        self.eps = eps
        self.swap = swap
        self.reduction = reduction

    def forward(self, anchor: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        return F.triplet_margin_loss(anchor, positive, negative, **options_of(self))


class CosineSimilarity(_Loss):
    """The cosine of the angle between x1 and x2 along the axis.

    Examples
    --------
    >>> td.nn.CosineSimilarity()(td.tensor([[1.0, 0.0]]), td.tensor([[1.0, 1.0]]))
    tensor([0.70710677], dtype=float32)
    """

    def __init__(self, axis: int = 1, eps: float = 1e-8) -> None:
        self.axis = axis
        self.eps = eps

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        return F.cosine_similarity(x1, x2, **options_of(self))


class PairwiseDistance(_Loss):
    """The p-norm along the last axis of x1 - x2 + eps.

    Examples
    --------
    >>> td.nn.PairwiseDistance()(td.tensor([[0.0, 0.0]]), td.tensor([[3.0, 4.0]]))
    tensor([4.999999], dtype=float32)
    """

    def __init__(self, p: float = 2.0, eps: float = 1e-6, keepdims: bool = False) -> None:
        self.p = p
        self.eps = eps
        self.keepdims = keepdims

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        return F.pairwise_distance(x1, x2, **options_of(self))
