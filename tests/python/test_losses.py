"""Losses with all options: against their definitions in NumPy, their derivatives, what they refuse."""

import numpy as np
import pytest
import samplers as ops
import tidu as td
from scipy import special
from tidu import nn
from tidu.nn import functional as F

INF = np.inf

rng = np.random.default_rng(41)
N, C = 6, 5


def normal(*shape):
    return rng.normal(size=shape)


def probabilities(*shape):
    return special.softmax(normal(*shape), -1)


def signs(*shape):
    return rng.choice([-1.0, 1.0], size=shape)


P, T = normal(N, C), normal(N, C)
LABELS = rng.integers(0, C, N)
LISTS = np.array(
    [
        [3, 0, -1, 1, 2],
        [1, -1, -1, -1, -1],
        [-1, 2, 2, 2, 2],
        [0, 1, 2, 3, 4],
        [4, 4, 2, -1, 0],
        [2, 3, -1, -1, -1],
    ]
)
WEIGHT, EACH = rng.uniform(0.3, 2, C), rng.uniform(0.3, 2, (N, C))


def huberlike(d, beta=1.0):
    return np.where(d < beta, d**2 / (2 * beta), d - beta / 2) if beta else d


def gaussian(p, t, var, full=False, eps=1e-6):
    var = np.maximum(var, eps)
    return (np.log(var) + (p - t) ** 2 / var) / 2 + (np.log(2 * np.pi) / 2 if full else 0)


def poisson(x, t, log_input=True, full=False, eps=1e-8):
    losses = np.exp(x) - t * x if log_input else x - t * np.log(x + eps)
    large = np.maximum(t, 1)
    stirling = large * np.log(large) - large + np.log(2 * np.pi * large) / 2
    return losses + (np.where(t > 1, stirling, 0) if full else 0)


def multi_margin(x, t, p=1, margin=1.0, weight=None):
    at = x[np.arange(len(x)), t][:, None]
    lacking = np.maximum(margin - at + x, 0) ** p
    lacking[np.arange(len(x)), t] = 0
    return lacking.sum(1) / x.shape[1] * (1 if weight is None else weight[t])


def multilabel_margin(x, t):
    losses = []
    for row, listed in zip(x, t, strict=True):
        stop = np.argmax(listed < 0) if (listed < 0).any() else len(listed)
        targets = listed[:stop]
        others = [c for c in range(len(row)) if c not in targets]
        losses.append(sum(max(0, 1 - row[j] + row[i]) for j in targets for i in others) / len(row))
    return np.array(losses)


def bce_with_logits(x, t, weight=1.0, pos_weight=1.0):
    return weight * -(pos_weight * t * special.log_expit(x) + (1 - t) * special.log_expit(-x))


def distance(a, b, p=2.0, eps=1e-6):
    return (np.abs(a - b + eps) ** p).sum(-1) ** (1 / p)


def triplet(anchor, near, far, margin=1.0, swap=False, **norm):
    to_far = distance(anchor, far, **norm)
    if swap:
        to_far = np.minimum(to_far, distance(near, far, **norm))
    return np.maximum(margin + distance(anchor, near, **norm) - to_far, 0)


def cosine(a, b):
    return (a * b).sum(-1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1)


def cosine_embedding(a, b, t, margin=0.0):
    return np.where(t == 1, 1 - cosine(a, b), np.maximum(cosine(a, b) - margin, 0))


# (function, module, definition of the loss of an element, arguments, options, how many are differentiated)
CASES = [
    ("l1_loss", nn.L1Loss, lambda p, t: np.abs(p - t), (P, T), {}, 2),
    ("mse_loss", nn.MSELoss, lambda p, t: (p - t) ** 2, (P, T), {}, 2),
    (
        "smooth_l1_loss",
        nn.SmoothL1Loss,
        lambda p, t, beta=1.0: huberlike(np.abs(p - t), beta),
        (P, T),
        {"beta": 0.4},
        2,
    ),
    (
        "smooth_l1_loss",
        nn.SmoothL1Loss,
        lambda p, t, beta=1.0: huberlike(np.abs(p - t), beta),
        (P, T),
        {"beta": 0.0},
        2,
    ),
    (
        "huber_loss",
        nn.HuberLoss,
        lambda p, t, delta=1.0: delta * huberlike(np.abs(p - t), delta),
        (P, T),
        {"delta": 0.4},
        2,
    ),
    ("kl_div", nn.KLDivLoss, lambda x, t: t * (np.log(t) - x), (P, probabilities(N, C)), {}, 2),
    ("kl_div", nn.KLDivLoss, lambda x, t, log_target: np.exp(t) * (t - x), (P, T), {"log_target": True}, 2),
    ("gaussian_nll_loss", nn.GaussianNLLLoss, gaussian, (P, T, EACH), {"full": True}, 3),
    ("gaussian_nll_loss", nn.GaussianNLLLoss, gaussian, (P, T, EACH[:, :1]), {"eps": 0.01}, 3),
    ("poisson_nll_loss", nn.PoissonNLLLoss, poisson, (P, EACH * 3), {"full": True}, 1),
    ("poisson_nll_loss", nn.PoissonNLLLoss, poisson, (EACH, EACH * 3), {"log_input": False, "eps": 0.1}, 1),
    (
        "binary_cross_entropy",
        nn.BCELoss,
        lambda p, t, weight=1.0: -weight * (t * np.log(p) + (1 - t) * np.log(1 - p)),
        (rng.uniform(0.1, 0.9, (N, C)), rng.uniform(0, 1, (N, C))),
        {"weight": WEIGHT},
        2,
    ),
    (
        "binary_cross_entropy_with_logits",
        nn.BCEWithLogitsLoss,
        bce_with_logits,
        (P, rng.uniform(0, 1, (N, C))),
        {"weight": EACH, "pos_weight": WEIGHT},
        2,
    ),
    (
        "hinge_embedding_loss",
        nn.HingeEmbeddingLoss,
        lambda x, t, margin=1.0: np.where(t == 1, x, np.maximum(margin - x, 0)),
        (P, signs(N, C)),
        {"margin": 0.3},
        1,
    ),
    (
        "margin_ranking_loss",
        nn.MarginRankingLoss,
        lambda a, b, t, margin=0.0: np.maximum(margin - t * (a - b), 0),
        (P, T, signs(N, C)),
        {"margin": 0.3},
        2,
    ),
    ("soft_margin_loss", nn.SoftMarginLoss, lambda x, t: np.log1p(np.exp(-x * t)), (P, signs(N, C)), {}, 1),
    (
        "multi_margin_loss",
        nn.MultiMarginLoss,
        multi_margin,
        (P, LABELS),
        {"weight": WEIGHT, "margin": 0.7},
        1,
    ),
    ("multi_margin_loss", nn.MultiMarginLoss, multi_margin, (P, LABELS), {"p": 2}, 1),
    ("multilabel_margin_loss", nn.MultiLabelMarginLoss, multilabel_margin, (P, LISTS), {}, 1),
    (
        "multilabel_soft_margin_loss",
        nn.MultiLabelSoftMarginLoss,
        lambda x, t, weight=1.0: bce_with_logits(x, t, weight).mean(-1),
        (P, (T > 0) * 1.0),
        {"weight": WEIGHT},
        1,
    ),
    ("cosine_embedding_loss", nn.CosineEmbeddingLoss, cosine_embedding, (P, T, signs(N)), {"margin": 0.1}, 2),
    (
        "triplet_margin_loss",
        nn.TripletMarginLoss,
        triplet,
        (P, T, normal(N, C)),
        {"margin": 2.0, "p": 3.0, "swap": True},
        3,
    ),
    ("triplet_margin_loss", nn.TripletMarginLoss, triplet, (P, T, normal(N, C)), {"eps": 0.01}, 3),
]
IDS = [f"{case[0]}{i}" for i, case in enumerate(CASES)]
REDUCED = {"none": lambda x: x, "sum": np.sum, "mean": np.mean}


def given(values):
    return {key: td.tensor(v) if isinstance(v, np.ndarray) else v for key, v in values.items()}


def close(got, want, rtol=1e-11):
    np.testing.assert_allclose(ops.to_array(got.detach()), want, rtol=rtol, atol=1e-13)


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_values(case):
    name, module, definition, arguments, options, _ = case
    tensors = [td.tensor(a) for a in arguments]
    for reduction, reduced in REDUCED.items():
        want = reduced(definition(*arguments, **options))
        close(getattr(F, name)(*tensors, reduction=reduction, **given(options)), want)
        close(module(reduction=reduction, **given(options))(*tensors), want)
    with pytest.raises(ValueError, match="not a reduction: 'average'"):
        getattr(F, name)(*tensors, reduction="average")


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_derivatives(case):
    name, _, _, arguments, options, smooth = case
    tensors = [td.tensor(a) for a in arguments]

    def f(*xs):
        losses = getattr(F, name)(*xs, *tensors[smooth:], reduction="none", **given(options))
        return (losses * td.arange(1, losses.size + 1).reshape(losses.shape)).sum()

    td.check_grads(f, tuple(tensors[:smooth]), order=2)


@pytest.mark.parametrize("dtype", [td.float16, td.bfloat16], ids=str)
@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_sixteen_bits_are_rounded_once(case, dtype):
    name, _, definition, arguments, options, _ = case
    tensors = [td.tensor(a) if a.dtype.kind == "i" else ops.to_tensor(a, dtype) for a in arguments]
    arrays = [
        ops.to_array(x).astype(np.float64) if x.dtype is dtype else a
        for x, a in zip(tensors, arguments, strict=True)
    ]
    narrow = {k: ops.to_tensor(v, dtype) if isinstance(v, np.ndarray) else v for k, v in options.items()}
    wide = {
        k: ops.to_array(v).astype(np.float64) if isinstance(v, td.Tensor) else v for k, v in narrow.items()
    }
    want = definition(*arrays, **wide)
    got = getattr(F, name)(*tensors, reduction="none", **narrow)
    ops.assert_close(got, want, dtype, ulps=64, scale=np.abs(want) + 1)


# --- Classification


def logs(x):
    return special.log_softmax(x, -1)


def cross_entropy(x, t, weight=None, ignore_index=-100, label_smoothing=0.0, reduction="mean"):
    """As PyTorch's documentation has it, a row at a time."""
    weight = np.ones(x.shape[-1]) if weight is None else weight
    losses, weights = [], []
    for row, target in zip(logs(x), t, strict=True):
        counts = target != ignore_index
        hard = -weight[target] * row[target] if counts else 0
        soft = -(weight * row).mean() if counts else 0
        losses.append((1 - label_smoothing) * hard + label_smoothing * soft)
        weights.append(weight[target] if counts else 0)
    losses = np.array(losses)
    return {"none": losses, "sum": losses.sum(), "mean": losses.sum() / np.sum(weights)}[reduction]


@pytest.mark.parametrize("reduction", REDUCED)
@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["equal", "weighted"])
@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_cross_entropy(reduction, weight, smoothing):
    options = {"weight": weight, "reduction": reduction, "label_smoothing": smoothing, "ignore_index": 2}
    labels = np.concatenate([LABELS[:-1], [2]])
    want = cross_entropy(P, labels, **options)
    close(F.cross_entropy(td.tensor(P), td.tensor(labels), **given(options)), want)
    close(nn.CrossEntropyLoss(**given(options))(td.tensor(P), td.tensor(labels)), want)
    td.check_grads(
        lambda x: F.cross_entropy(x, td.tensor(labels), **given(options)).sum(), (td.tensor(P),), order=2
    )
    if smoothing == 0:
        close(F.nll_loss(td.tensor(logs(P)), td.tensor(labels), reduction, 2, given(options)["weight"]), want)
        module = nn.NLLLoss(given(options)["weight"], ignore_index=2, reduction=reduction)
        close(module(td.tensor(logs(P)), td.tensor(labels)), want)


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_cross_entropy_with_weighted_probabilities(smoothing):
    t = probabilities(N, C)
    mixed = t * (1 - smoothing) + smoothing / C
    want = -(WEIGHT * mixed * logs(P)).sum(-1)
    options = {"weight": td.tensor(WEIGHT), "label_smoothing": smoothing}
    close(F.cross_entropy(td.tensor(P), td.tensor(t), reduction="none", **options), want)
    close(F.cross_entropy(td.tensor(P), td.tensor(t), **options), want.mean())


def test_classes_on_the_second_axis():
    x, labels = normal(2, C, 3, 4), rng.integers(0, C, (2, 3, 4))
    rows, flat = np.moveaxis(x, 1, -1).reshape(-1, C), labels.reshape(-1)
    for smoothing in (0.0, 0.2):
        want = cross_entropy(rows, flat, WEIGHT, label_smoothing=smoothing)
        got = F.cross_entropy(
            td.tensor(x), td.tensor(labels), weight=td.tensor(WEIGHT), label_smoothing=smoothing
        )
        close(got, want)


def test_a_weight_of_zero_hides_its_class():
    """Even where its log-probability is -inf."""
    x = np.array([[0.0, -np.inf, 1.0], [0.5, 0.2, -0.1]])
    weight, labels = td.tensor([1.0, 0.0, 1.0]), td.tensor([1, 0])
    value, gradient = td.value_and_grad(lambda x: F.cross_entropy(x, labels, weight=weight))(td.tensor(x))
    close(value, -logs(x[1])[0], rtol=1e-6)
    assert np.isfinite(ops.to_array(gradient)).all()


# --- Distances


def test_distances():
    a, b = td.tensor(P), td.tensor(T)
    close(F.pairwise_distance(a, b), distance(P, T))
    close(F.pairwise_distance(a, b, p=1, eps=0, keepdims=True), np.abs(P - T).sum(-1, keepdims=True))
    close(nn.PairwiseDistance(3.0)(a, b), distance(P, T, 3))
    close(F.cosine_similarity(a, b), cosine(P, T))
    close(nn.CosineSimilarity(axis=0)(a, b), cosine(P.T, T.T))
    close(F.cosine_similarity(a, b[0], axis=-1), cosine(P, T[:1]))
    close(F.normalize(a, axis=0), P / np.linalg.norm(P, axis=0))
    close(F.normalize(a, p=1.0), P / np.abs(P).sum(1, keepdims=True))
    td.check_grads(lambda a, b: F.cosine_similarity(a, b).sum(), (a, b), order=2)
    zero = td.zeros((2, 3))
    assert F.cosine_similarity(zero, zero).tolist() == [0, 0]


def test_squares_out_of_range():
    """Of which a part is in it."""
    for dtype, far, scale in (
        (td.float32, 1e25, 1e30),
        (td.bfloat16, 1e25, 1e30),
        (td.float64, 1e200, 1e210),
    ):
        x, zero = td.tensor([far], dtype=dtype), td.tensor([0.0], dtype=dtype)
        for loss in (
            lambda x, zero=zero, scale=scale: F.smooth_l1_loss(x, zero, beta=scale),
            lambda x, zero=zero, scale=scale: F.gaussian_nll_loss(x, zero, zero + scale),
        ):
            want, slope = 0.5 * x.item() * (x.item() / scale), x.item() / scale
            assert loss(x).item() == pytest.approx(want, rel=2 * td.finfo(dtype).eps)
            assert td.grad(loss)(x).item() == pytest.approx(slope, rel=2 * td.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", [td.float32, td.float64, td.bfloat16], ids=str)
def test_cross_entropies_at_the_ends_of_their_arguments(dtype):
    """Derivatives where squares of probabilities leave the range, and by infinite targets."""
    p = td.tensor([1e-25, 1e-20, 0.5], dtype=dtype)
    loss = lambda p: F.binary_cross_entropy(p, td.zeros(3, dtype=dtype), reduction="sum")
    slope = lambda p: td.grad(loss)(p).sum()
    second = lambda p: td.grad(slope)(p).sum()
    close = lambda got, want: np.testing.assert_allclose(ops.to_array(got).astype(float), want, rtol=1e-2)
    close(td.grad(slope)(p), [1, 1, 4])
    close(td.grad(second)(p), [2, 2, 16])
    for x, target in ((200.0, INF), (-200.0, -INF), (1000.0, INF), (0.5, INF)):
        logits = td.tensor([x], dtype=dtype)
        of = lambda x, t=target: F.binary_cross_entropy_with_logits(
            x, td.tensor([t], dtype=dtype), reduction="sum"
        )
        assert td.grad(of)(logits).tolist() == [-target]


@pytest.mark.parametrize("dtype", [td.float32, td.float64, td.float16], ids=str)
def test_parameters_of_hubers_loss_at_their_ends(dtype):
    x = td.tensor([1.0, 0.0, -2.0], dtype=dtype)
    zeros = td.zeros(3, dtype=dtype)
    assert F.smooth_l1_loss(x, zeros, beta=1e-50, reduction="none").tolist() == [1, 0, 2]
    assert F.huber_loss(x, zeros, delta=INF, reduction="none").tolist() == [0.5, 0, 2]
    assert F.huber_loss(td.tensor([INF, -INF], dtype=dtype), zeros[:2], delta=INF).item() == INF


def test_kl_div_batchmean_and_zeros():
    t = probabilities(N, C)
    want = (t * (np.log(t) - P)).sum() / N
    close(F.kl_div(td.tensor(P), td.tensor(t), reduction="batchmean"), want)
    close(nn.KLDivLoss("batchmean")(td.tensor(P), td.tensor(t)), want)
    target = td.tensor([0.0, 1.0])
    assert F.kl_div(td.tensor([-np.inf, 0.0]), target, reduction="none").tolist() == [0, 0]


@pytest.mark.parametrize("log_target", [False, True])
def test_kl_div_hides_no_nan(log_target):
    """Also beside a target of 0, which hides infinities."""
    zero = -np.inf if log_target else 0.0
    target = td.tensor([zero, zero, 0.5])
    losses = F.kl_div(td.tensor([np.nan, -np.inf, np.nan]), target, reduction="none", log_target=log_target)
    np.testing.assert_array_equal(np.isnan(losses.tolist()), [True, False, True])
    assert losses[1].item() == 0
    for reduction in ("sum", "mean", "batchmean"):
        loss = F.kl_div(
            td.tensor([[np.nan, 0.0]]), td.tensor([[zero, 0.0]]), reduction, log_target=log_target
        )
        assert np.isnan(loss.item())


def test_gaussian_variances_of_rows():
    var = rng.uniform(0.5, 2, N)
    close(
        F.gaussian_nll_loss(td.tensor(P), td.tensor(T), td.tensor(var)), gaussian(P, T, var[:, None]).mean()
    )
    close(
        F.gaussian_nll_loss(td.tensor(P), td.tensor(T), td.tensor(0.5)), gaussian(P, T, 0.5).mean(), rtol=1e-6
    )


X, Y = td.tensor(P), td.tensor(T)
REFUSED = {
    "shapes": (lambda: F.smooth_l1_loss(X, Y[0]), td.ShapeError, r"\[smooth_l1_loss\].*differ in shape"),
    "beta": (lambda: F.smooth_l1_loss(X, Y, beta=-1), ValueError, r"\[smooth_l1_loss\] beta .* not -1"),
    "variance": (
        lambda: F.gaussian_nll_loss(X, Y, Y),
        ValueError,
        r"\[gaussian_nll_loss\] .*a variance is negative",
    ),
    "eps": (lambda: F.gaussian_nll_loss(X, Y, abs(Y), eps=0), ValueError, r"\[gaussian_nll_loss\] eps"),
    "variances": (lambda: F.gaussian_nll_loss(X, Y, td.ones((3,))), ValueError, r"\[gaussian_nll_loss\]"),
    "p": (
        lambda: F.multi_margin_loss(X, td.tensor(LABELS), p=3),
        ValueError,
        r"\[multi_margin_loss\] p must be 1 or 2",
    ),
    "class": (
        lambda: F.multi_margin_loss(X, td.tensor(LABELS + 9)),
        IndexError,
        r"\[multi_margin_loss\] class index",
    ),
    "classes": (
        lambda: F.multilabel_margin_loss(X, td.tensor(LISTS + 9)),
        IndexError,
        r"\[multilabel_margin_loss\]",
    ),
    "weight": (
        lambda: F.cross_entropy(X, td.tensor(LABELS), weight=td.ones((3,))),
        td.ShapeError,
        r"\[cross_entropy\] the weight .* a vector of 5",
    ),
    "weights": (
        lambda: F.binary_cross_entropy(abs(X), abs(X), weight=td.ones((2, 6, 5))),
        td.ShapeError,
        r"\[binary_cross_entropy\] the weight",
    ),
    "target": (
        lambda: F.cosine_embedding_loss(X, Y, Y),
        td.ShapeError,
        r"\[cosine_embedding_loss\] the target",
    ),
    "integers": (
        lambda: F.kl_div(X, td.tensor(LISTS)),
        td.DTypeError,
        r"\[kl_div\] the target must be floating",
    ),
    "anchor": (lambda: F.triplet_margin_loss(X, Y, Y[0]), td.ShapeError, r"\[triplet_margin_loss\]"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_arguments_that_do_not_fit(name):
    call, error, message = REFUSED[name]
    with pytest.raises(error, match=message):
        call().cpu()  # device cuda reports values when it is waited for


def test_weights_go_with_their_module():
    module = nn.CrossEntropyLoss(td.tensor(WEIGHT))
    assert list(module.state_dict()) == ["weight"] and module.parameters() == []
    assert nn.BCEWithLogitsLoss().state_dict() == {}
