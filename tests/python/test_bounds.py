"""Bounds of arguments: the last value that is taken on each side, and the first that is refused."""

import math
import re

import pytest
import tidu as td

BELOW_0, ABOVE_1 = math.nextafter(0.0, -1.0), math.nextafter(1.0, 2.0)
UNIT = (0.0, 1.0), (BELOW_0, ABOVE_1, math.nan)
NOT_NEGATIVE = (0.0,), (BELOW_0, math.nan)
COUNT = (0, 1), (-1,)


def x(*shape):
    return td.reshape(td.arange(math.prod(shape), dtype=td.float32), shape) / 8


def key():
    return td.random.key(3)


def leaf():
    return td.ones(2, requires_grad=True)


def of_rank(rank):
    return x(*(2,) * rank)


def scores():
    return x(2, 3), td.tensor([0, 2])


# name: what is called with the value, (values that are taken), (values that are refused)
CASES = {
    # Axes and places along them
    "softmax's axis": (lambda v: td.softmax(x(2, 3), axis=v), (-2, 1), (-3, 2)),
    "sum's axes": (lambda v: td.sum(x(2, 3), axis=(0, v)), (1, -1), (0, -2, 2, -3)),
    "expand_dims' axis": (lambda v: td.expand_dims(x(2, 3), v), (-3, 2), (-4, 3)),
    "stack's axis": (lambda v: td.stack([x(2, 3)] * 2, axis=v), (-3, 2), (-4, 3)),
    "concat's axis": (lambda v: td.concat([x(2, 3)] * 2, axis=v), (-2, 1), (-3, 2)),
    "squeeze's axis": (lambda v: td.squeeze(x(1, 3), axis=v), (0, -2), (1, -1, 2, -3)),
    "a number's axis": (lambda v: td.sort(x(3)[: v + 1].reshape((v + 1,)), axis=v), (0,), (1, 2)),
    "index": (lambda v: x(3, 2)[v], (-3, 2), (-4, 3)),
    "index's second axis": (lambda v: x(2, 3)[:, v], (-3, 2), (-4, 3)),
    "take's places": (lambda v: td.take(x(2, 3), td.tensor([0, v]), axis=1).cpu(), (-3, 2), (-4, 3)),
    "gathered rows": (lambda v: x(3, 2)[td.tensor([0, v])].cpu(), (-3, 2), (-4, 3)),
    "split's sizes": (lambda v: td.split(x(4), [v, 4 - v]), (0, 4), (-1, 5)),
    "sizes of parts": (lambda v: td.split(x(5), [2, v]), (3,), (2, 4)),
    "chunk": (lambda v: td.chunk(x(4), v), (1, 4, 5), (0,)),
    "topk": (lambda v: td.topk(x(2, 3), v), (0, 3), (-1, 4)),
    "kthvalue": (lambda v: td.kthvalue(x(2, 3), v), (1, 3), (0, 4)),
    "partition": (lambda v: td.partition(x(3), v), (-3, 2), (-4, 3)),
    "kind of reshape": (lambda v: td.reshape(x(2, 3), (v, 2)), (3, -1), (-2, 2, 4)),
    "broadcast": (lambda v: td.broadcast_to(x(2, 1), (2, v)), (0, 1, 5), (-1,)),
    "tensordot": (lambda v: td.tensordot(x(2, 2), x(2, 2), axes=v), (0, 2), (-1, 3)),
    "vander": (lambda v: td.vander(x(3), v), *COUNT),
    "diff": (lambda v: td.diff(x(3), v), (0, 1, 3, 4), (-1,)),
    "tile": (lambda v: td.tile(x(3), (v,)), *COUNT),
    "repeat": (lambda v: td.repeat(x(3), v), *COUNT),
    "repeat of each": (lambda v: td.repeat(x(2), td.tensor([1, v])), *COUNT),
    "pad before": (lambda v: td.pad(x(3), ((v, 0),)), *COUNT),
    "pad behind": (lambda v: td.pad(x(3), ((0, v),)), *COUNT),
    "reflect": (lambda v: td.pad(x(3), ((v, 0),), mode="reflect"), (0, 2), (-1,)),
    "eye's rows": (lambda v: td.eye(v, 2), *COUNT),
    "eye's columns": (lambda v: td.eye(2, v), *COUNT),
    "linspace": (lambda v: td.linspace(0.0, 1.0, v), *COUNT),
    "arange's step": (lambda v: td.arange(0, 3, v), (1, -1, 5), (0,)),
    "one_hot": (lambda v: td.one_hot(td.tensor([0, 1]), v), (2, 3), (-1,)),
    "bincount's least": (lambda v: td.bincount(td.tensor([0, 1]), minlength=v), *COUNT),
    "bincount": (lambda v: td.bincount(td.tensor([1, v])).cpu(), (0, 4), (-1,)),
    "histogram": (lambda v: td.histogram(x(4), bins=v), (1,), (0, -1)),
    "quantile": (lambda v: td.quantile(x(5), v), *UNIT),
    "segments": (lambda v: td.segment_sum(x(2), td.tensor([0, 0]), v), (1, 2), (-1,)),
    "cdist": (lambda v: td.cdist(x(2, 3), x(2, 3), p=v), *NOT_NEGATIVE),
    "tensorinv": (lambda v: td.linalg.tensorinv(td.reshape(td.eye(4), (2, 2, 2, 2)), v), (2,), (0, 5)),
    "ranks": (lambda v: td.ones((1,) * v), (0, 12), (13,)),
    "extents": (lambda v: td.ones((v, 2)), *COUNT),
    # Random numbers
    "split keys": (lambda v: td.random.split(key(), v), *COUNT),
    "probability": (lambda v: td.random.bernoulli(key(), v, (3,)), *UNIT),
    "deviation": (lambda v: td.random.normal(key(), (3,), std=v), *NOT_NEGATIVE),
    "interval": (
        lambda v: td.random.uniform(key(), (3,), 1.0, v),
        (1.0, 2.0),
        (math.nextafter(1.0, 0.0), math.nan),
    ),
    "range": (lambda v: td.random.randint(key(), (3,), 2, v), (3,), (2, 1)),
    "range of int8": (lambda v: td.random.randint(key(), (3,), 0, v, dtype=td.int8), (1, 128), (0, 129)),
    "low of int8": (lambda v: td.random.randint(key(), (3,), v, 0, dtype=td.int8), (-1, -128), (0, -129)),
    "dropout": (lambda v: td.nn.functional.dropout(x(3), v, key()), *UNIT),
    # Layers and losses
    "smoothing": (lambda v: td.nn.functional.cross_entropy(*scores(), label_smoothing=v), *UNIT),
    "class": (lambda v: td.nn.functional.cross_entropy(x(2, 3), td.tensor([0, v])).cpu(), (0, 2), (-1, 3)),
    "class of nll": (lambda v: td.nn.functional.nll_loss(x(2, 3), td.tensor([0, v])).cpu(), (0, 2), (-1, 3)),
    "huber": (lambda v: td.nn.functional.huber_loss(x(3), -x(3), delta=v), (5e-324, 1.0), (0.0, math.nan)),
    "smooth_l1": (lambda v: td.nn.functional.smooth_l1_loss(x(3), -x(3), beta=v), *NOT_NEGATIVE),
    "variances": (
        lambda v: td.nn.functional.gaussian_nll_loss(x(2), x(2), td.tensor([1.0, v])),
        (0.0,),
        (-1.0,),
    ),
    "softshrink": (lambda v: td.nn.functional.softshrink(x(3), v), *NOT_NEGATIVE),
    "group_norm": (lambda v: td.nn.functional.group_norm(x(2, 4, 3), v), (1, 2, 4), (0, -1, 3, 8)),
    "groups": (
        lambda v: td.nn.functional.conv1d(x(1, 4, 5), x(4, 4 // v or 1, 2), groups=v),
        (1, 2, 4),
        (3, 5, 8),
    ),
    "stride": (lambda v: td.nn.functional.conv1d(x(1, 1, 5), x(1, 1, 2), stride=v), (1, 5), (0, -1)),
    "dilation": (lambda v: td.nn.functional.conv1d(x(1, 1, 5), x(1, 1, 2), dilation=v), (1, 4), (0, 5)),
    "window": (lambda v: td.nn.functional.conv1d(x(1, 1, 5), x(1, 1, v)), (1, 5), (6,)),
    "window of padded": (lambda v: td.nn.functional.conv1d(x(1, 1, 3), x(1, 1, v), padding=1), (5,), (6,)),
    "output_padding": (
        lambda v: td.nn.functional.conv_transpose1d(x(1, 1, 3), x(1, 1, 2), stride=3, output_padding=v),
        (0, 2),
        (-1, 3),
    ),
    "padding of a pool": (lambda v: td.nn.functional.max_pool1d(x(1, 1, 5), 3, padding=v), (0, 1), (-1, 2)),
    "padding of an average": (
        lambda v: td.nn.functional.avg_pool1d(x(1, 1, 5), 4, padding=v),
        (0, 2),
        (-1, 3),
    ),
    "window of a pool": (lambda v: td.nn.functional.avg_pool1d(x(1, 1, 5), v), (1, 5), (0, 6)),
    "adaptive": (lambda v: td.nn.functional.adaptive_avg_pool1d(x(1, 1, 5), v), (0, 1, 9), (-1,)),
    "lp_pool": (lambda v: td.nn.functional.lp_pool1d(x(1, 1, 5), v, 2), (1.0, 0.5), (0.0, -1.0)),
    "size": (lambda v: td.nn.functional.interpolate(x(1, 1, 5), size=(v,)), (1, 9), (0,)),
    "scale": (
        lambda v: td.nn.functional.interpolate(x(1, 1, 5), scale_factor=v),
        (0.2, 2.0),
        (0.0, 0.19, -1.0),
    ),
    "heads": (lambda v: td.nn.MultiheadAttention(4, v, key=key()), (1, 2, 4), (0, 3, 8, -1)),
    "layers": (lambda v: td.nn.LSTM(2, 3, num_layers=v, key=key()), (1, 2), (0, -1)),
    "hidden": (lambda v: td.nn.GRU(2, v, key=key()), (1,), (0, -1)),
    "glu": (lambda v: td.nn.functional.glu(x(2, v)), (0, 2, 4), (1, 3)),
    "blank": (
        lambda v: td.nn.functional.ctc_loss(
            td.log_softmax(x(3, 1, 4)), td.tensor([[1]]), td.tensor([3]), td.tensor([1]), blank=v
        ),
        (0, 3),
        (-1, 4),
    ),
    # Transforms
    "taylor": (lambda v: td.taylor(td.exp, 0.5, v), *COUNT),
    "scan": (lambda v: td.scan(lambda c, _: (c + 1, c), x(), None, length=v), *COUNT),
    "stretch": (
        lambda v: td.scan(lambda c, _: (c + 1, c), x(), None, length=3, checkpoint_every=v),
        (1, 3, 4),
        (0, -1),
    ),
    "chunk of a jacobian": (lambda v: td.jacrev(td.sin, chunk_size=v)(x(3)), (1, 3, 4), (0, -1)),
    "argnums": (lambda v: td.grad(lambda a, b: td.sum(a * b), argnums=v)(x(2), x(2)), (0, 1), (2, -3)),
    "tolerance of an integral": (
        lambda v: td.odeint(lambda y, t: -y, td.ones(1), td.tensor([0.0, 0.1]), rtol=v, atol=0.1),
        *NOT_NEGATIVE,
    ),
    "descending times": (
        lambda v: td.odeint(lambda y, t: -y, td.ones(1), td.tensor([0.0, 0.1, v])),
        (0.1, 0.2),
        (0.05, math.nan),
    ),
    # Optimisers
    "lr": (lambda v: td.optim.SGD([leaf()], lr=v), (0.0, 2.0), (BELOW_0, math.nan)),
    "momentum": (lambda v: td.optim.SGD([leaf()], momentum=v), (0.0, 1.0), (BELOW_0, math.nan)),
    "decay": (lambda v: td.optim.SGD([leaf()], weight_decay=v), *NOT_NEGATIVE),
    "first beta": (
        lambda v: td.optim.Adam([leaf()], betas=(v, 0.9)),
        (0.0, math.nextafter(1, 0)),
        (BELOW_0, 1.0),
    ),
    "second beta": (
        lambda v: td.optim.Adam([leaf()], betas=(0.9, v)),
        (0.0, math.nextafter(1, 0)),
        (BELOW_0, 1.0),
    ),
    "alpha": (lambda v: td.optim.RMSprop([leaf()], alpha=v), (0.0, math.nextafter(1, 0)), (BELOW_0, 1.0)),
    "clipping": (lambda v: td.optim.clip_grad_norm_([leaf()], v), *NOT_NEGATIVE),
    "clipping of values": (lambda v: td.optim.clip_grad_value_([leaf()], v), *NOT_NEGATIVE),
    "average": (lambda v: td.optim.AveragedModel(td.nn.Linear(1, 1, key=key()), decay=v), *UNIT),
    "iterations": (lambda v: td.optim.minimize(lambda a: td.sum(a * a), x(2), max_iter=v), *COUNT),
    "gtol": (lambda v: td.optim.minimize(lambda a: td.sum(a * a), x(2), gtol=v), *NOT_NEGATIVE),
    "history": (
        lambda v: td.optim.minimize(lambda a: td.sum(a * a), x(2), method="lbfgs", history_size=v),
        (1, 2),
        (0, -1),
    ),
    "iterations of fits": (lambda v: td.optim.least_squares(lambda a: a - 1, x(2), max_iter=v), *COUNT),
    "xtol": (lambda v: td.optim.least_squares(lambda a: a - 1, x(2), xtol=v), *NOT_NEGATIVE),
    # Numbers of axes
    "matrix_transpose": (lambda v: td.matrix_transpose(of_rank(v)), (2, 3), (0, 1)),
    "block_diag": (lambda v: td.block_diag(of_rank(v)), (0, 1, 2), (3,)),
    "diag": (lambda v: td.diag(of_rank(v)), (1, 2), (0, 3)),
    "vander's vector": (lambda v: td.vander(of_rank(v)), (1, 2), (0,)),
    "concat": (lambda v: td.concat([of_rank(v)] * 2), (1, 2), (0,)),
    "searchsorted": (lambda v: td.searchsorted(of_rank(v), x(2)), (1,), (0,)),
    "cov": (lambda v: td.cov(of_rank(v)), (1, 2), (3,)),
    "cdist's rows": (lambda v: td.cdist(of_rank(v), of_rank(v)), (2, 3), (1,)),
    "cholesky": (lambda v: td.linalg.cholesky(td.eye(2)[(None,) * (v - 2) or (0,) * (2 - v)]), (2, 3), (1,)),
    "multi_dot": (lambda v: td.linalg.multi_dot([x(2, 2)] * v), (2, 3), (0, 1)),
    "meshgrid": (lambda v: td.meshgrid(of_rank(v)), (0, 1), (2,)),
    "batch_norm": (lambda v: td.nn.BatchNorm1d(2)(of_rank(v)), (2, 3), (1, 4)),
    "BatchNorm2d": (lambda v: td.nn.BatchNorm2d(2)(of_rank(v)), (4,), (3, 5)),
    "group_norm's x": (lambda v: td.nn.functional.group_norm(of_rank(v), 1), (2, 3), (0, 1)),
    "instance_norm": (lambda v: td.nn.InstanceNorm1d(2)(of_rank(v)), (2, 3), (1, 4)),
    "unfold": (lambda v: td.nn.functional.unfold(of_rank(v), 2), (3, 4), (2,)),
    "flatten": (lambda v: td.nn.Flatten()(of_rank(v)), (0, 2, 3), (1,)),
    "multi_margin's scores": (
        lambda v: td.nn.functional.multi_margin_loss(of_rank(v), td.zeros((2,) * (v - 1), dtype=td.int64)),
        (1, 2),
        (3,),
    ),
    "lstm": (lambda v: td.nn.LSTM(2, 3, key=key())(of_rank(v)), (2, 3), (1, 4)),
    "lstm_cell": (lambda v: td.nn.LSTMCell(2, 3, key=key())(of_rank(v)), (1, 2), (0, 3)),
    "attention": (lambda v: td.nn.MultiheadAttention(2, 1, key=key())(*[of_rank(v)] * 3), (2, 3), (1, 4)),
    "orthogonal": (lambda v: td.nn.init.xavier_uniform(key(), (2,) * v), (2, 3), (0, 1)),
    "rows of embedding": (
        lambda v: td.nn.functional.embedding(td.tensor([0, 1]), of_rank(v)),
        (2,),
        (1, 3),
    ),
    "conv1d": (lambda v: td.nn.functional.conv1d(of_rank(v), x(2, 2, 2)), (2, 3), (1, 4)),
    "interpolate": (lambda v: td.nn.functional.interpolate(of_rank(v), size=3), (3, 4, 5), (2, 6)),
    "max_pool2d": (lambda v: td.nn.functional.max_pool2d(of_rank(v), 2), (3, 4), (2, 5)),
    "vecdot": (lambda v: td.vecdot(of_rank(v), of_rank(v)), (1, 2), (0,)),
    # Numbers of functions
    "isclose": (lambda v: td.isclose(x(2), x(2), rtol=v), *NOT_NEGATIVE),
    "isclose's atol": (lambda v: td.isclose(x(2), x(2), atol=v), *NOT_NEGATIVE),
    "rtol of pinv": (lambda v: td.linalg.pinv(td.eye(2), rtol=v), *NOT_NEGATIVE),
    "permutation": (lambda v: td.random.permutation(key(), v), *COUNT),
    "rfft": (lambda v: td.fft.rfft(x(3), n=v), (1, 2, 5), (0, -1)),
    "irfft": (lambda v: td.fft.irfft(td.fft.rfft(x(3)), n=v), (1, 2, 5), (0, -1)),
    "softplus": (lambda v: td.nn.functional.softplus(x(3), v), (1.0, -1.0), (0.0,)),
    "celu": (lambda v: td.nn.functional.celu(x(3), v), (1.0, -1.0), (0.0,)),
    "divisor": (
        lambda v: td.nn.functional.avg_pool2d(x(1, 4, 4), 2, divisor_override=v),
        (1, 3, -1),
        (0,),
    ),
    "triplets": (
        lambda v: td.nn.functional.triplet_margin_loss(x(2, 3), x(2, 3), -x(2, 3), margin=v),
        (5e-324, 1.0),
        (0.0, -1.0, math.nan),
    ),
    "multi_margin": (
        lambda v: td.nn.functional.multi_margin_loss(*scores(), p=v),
        (1, 2),
        (0, 3),
    ),
    "eps of variances": (
        lambda v: td.nn.functional.gaussian_nll_loss(x(2), x(2), td.ones(2), eps=v),
        (5e-324, 1.0),
        (0.0, -1.0, math.nan),
    ),
    "projections": (lambda v: td.nn.LSTM(2, 3, proj_size=v, key=key()), (0, 1, 2), (-1, 3, 4)),
    "alpha_dropout": (lambda v: td.nn.functional.alpha_dropout(x(3), v, key()), *UNIT),
    "step of schedules": (lambda v: td.optim.StepLR(td.optim.SGD([leaf()]), v), (1, 2), (0, -1)),
    "cycle": (
        lambda v: td.optim.OneCycleLR(td.optim.SGD([leaf()]), v, pct_start=0.6),
        (2, 3),
        (0, 1),
    ),
    "start of a cycle": (
        lambda v: td.optim.OneCycleLR(td.optim.SGD([leaf()]), 9, pct_start=v),
        (0.3, 0.9),
        (1.0,),
    ),
    "iterations to a root": (lambda v: td.optim.root(lambda a: a, x(2), max_iter=v), *COUNT),
    "tolerance of a root": (lambda v: td.optim.root(lambda a: a, x(2), tol=v), *NOT_NEGATIVE),
    "radius of a root": (
        lambda v: td.optim.root(lambda a: a, x(2), radius=v),
        (5e-324, 1.0),
        (0.0, -1.0, math.inf, math.nan),
    ),
    # Data
    "batch": (lambda v: td.data.DataLoader(td.data.TensorDataset(x(4)), batch_size=v), (1, 9), (0, -1)),
    "prefetch": (lambda v: td.data.DataLoader(td.data.TensorDataset(x(4)), batch_size=2, prefetch=v), *COUNT),
    "threads": (td.set_num_threads, (1, 2), (0, -1)),
}


# What else than the function's name a refusal may begin with: what looks at indices on a device names its
# kernel.
ALSO = {
    "index": ("index",),
    "index's second axis": ("index",),
    "gathered rows": ("index", "gather"),
    "take's places": ("gather",),
    "class": ("softmax_cross_entropy",),
    "flatten": ("flatten",),
    "chunk of a jacobian": ("jacobian",),
}
OF_OTHER_NUMBERS = ("variances", "scale", "descending times")  # than the value


def names_of(name):
    """That the user has called: not those of functions which these call."""
    call = CASES[name][0]
    code = getattr(call, "__code__", None)
    return {*(code.co_names if code else (call.__name__,)), *ALSO.get(name, ())}


def tells(message, value):
    numbers = map(float, re.findall(r"-?(?:\d+(?:\.\d+)?(?:e-?\d+)?|inf|nan)\b", message))
    return any(one == pytest.approx(value, rel=1e-5, abs=0, nan_ok=True) for one in numbers)


@pytest.mark.parametrize("name", CASES)
def test_the_last_value_taken_and_the_first_refused(name, settle):
    call, taken, refused = CASES[name]
    threads = td.get_num_threads()
    try:
        for value in taken:
            call(value)
            settle()
        for value in refused:
            with pytest.raises((ValueError, IndexError)) as caught:
                call(value)
                settle()
            told = str(caught.value)
            assert told.startswith(tuple(f"[{one}] " for one in names_of(name))) and len(told) > 20
            if isinstance(value, float) and name not in OF_OTHER_NUMBERS:
                assert tells(told, value), told
    finally:
        td.set_num_threads(threads)
