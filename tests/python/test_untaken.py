"""The branch that `where` did not take has derivatives of exactly 0, whatever it holds."""

import math

import numpy as np
import pytest
import samplers as ops
import tidu as td
from tidu.nn import functional as F

INF, NAN = math.inf, math.nan
LABELS = [1, 0]

# Functions of the rows of a matrix, with as many rows of results.
ROWWISE = {
    "softmax": lambda x: td.softmax(x, axis=1),
    "log_softmax": lambda x: td.log_softmax(x, axis=1),
    "logsumexp": lambda x: td.logsumexp(x, axis=1, keepdims=True),
    "logcumsumexp": lambda x: td.logcumsumexp(x, axis=1),
    "sum": lambda x: td.sum(x, axis=1, keepdims=True),
    "mean": lambda x: td.mean(x, axis=1, keepdims=True),
    "prod": lambda x: td.prod(x, axis=1, keepdims=True),
    "var": lambda x: td.var(x, axis=1, keepdims=True),
    "std": lambda x: td.std(x, axis=1, keepdims=True),
    "max": lambda x: td.max(x, axis=1, keepdims=True),
    "min": lambda x: td.min(x, axis=1, keepdims=True),
    "cumulative_sum": lambda x: td.cumulative_sum(x, axis=1),
    "cumulative_prod": lambda x: td.cumulative_prod(x, axis=1),
    "cummax": lambda x: td.cummax(x, axis=1),
    "cummin": lambda x: td.cummin(x, axis=1),
    "softmax_cross_entropy": lambda x: td.softmax_cross_entropy(x, td.tensor(LABELS))[:, None],
    "cross_entropy": lambda x: F.cross_entropy(x, td.tensor(LABELS), reduction="none")[:, None],
    "smoothed": lambda x: F.cross_entropy(x, td.tensor(LABELS), reduction="none", label_smoothing=0.1)[
        :, None
    ],
    "probabilities": lambda x: F.cross_entropy(x, td.full((2, 3), 1 / 3, dtype=x.dtype), reduction="none")[
        :, None
    ],
    "nll_loss": lambda x: F.nll_loss(td.log_softmax(x, axis=1), td.tensor(LABELS), reduction="none")[:, None],
    "layer_norm": lambda x: F.layer_norm(x, (3,)),
    "rms_norm": lambda x: F.rms_norm(x, (3,)),
    "scatter_multiply": lambda x: td.scatter_multiply(
        td.ones_like(x[:, :1]), td.tensor([0, 0, 0]), x, axis=1
    ),
    "scatter_multiply to": lambda x: td.scatter_multiply(x, td.tensor([0, 0, 0]), x, axis=1),
    "scatter_max": lambda x: td.scatter_max(td.zeros_like(x[:, :1]), td.tensor([0, 0, 0]), x, axis=1),
    "scatter_min": lambda x: td.scatter_min(x, td.tensor([2, 0, 0]), x, axis=1),
    "take": lambda x: td.take(x, td.tensor([2, 2, 0]), axis=1),
    "pow": lambda x: x[:, :1] ** x[:, 1:],
    "hypot": lambda x: td.hypot(x[:, :1], x[:, 1:]),
    "atan2": lambda x: td.atan2(x[:, :1], x[:, 1:]),
    "logaddexp": lambda x: td.logaddexp(x[:, :1], x[:, 1:]),
    "divide": lambda x: x[:, :1] / x[:, 1:],
    "remainder": lambda x: td.remainder(x[:, :1], x[:, 1:]),
    "entropy": lambda x: td.sum(td.softmax(x, axis=1) * td.log_softmax(x, axis=1), axis=1, keepdims=True),
    "normalised": lambda x: (x - td.mean(x, axis=1, keepdims=True)) / td.std(x, axis=1, keepdims=True),
}
GOOD = [0.5, 1.25, 2.0]
BAD = {
    "inf": [INF] * 3,
    "-inf": [-INF] * 3,
    "nan": [NAN] * 3,
    "zeros": [0.0] * 3,
    "one inf": [1.0, INF, 0.0],
    "one nan": [NAN, 1.0, 0.0],
    "both infs": [INF, -INF, 1.0],
    "huge": [6e4, -6e4, 6e4],
}


def jacobians(f, x):
    """Of order 1 and 2, in every pairing of the modes."""
    modes = (td.jacrev, td.jacfwd)
    return [mode(f)(x) for mode in modes], [outer(inner(f))(x) for outer in modes for inner in modes]


@pytest.mark.parametrize("dtype", [td.float16, td.float32, td.float64], ids=str)
@pytest.mark.parametrize("name", ROWWISE)
def test_untaken_rows(name, dtype):
    f = ROWWISE[name]

    def chosen(x):
        mask = td.tensor([[True], [False]])
        return td.where(mask, f(x), 0)

    good = ops.to_tensor([GOOD, GOOD], dtype)
    size = f(good).shape[1]
    w = td.tensor(np.linspace(1, 2, size)[None], dtype=dtype)
    first, second = jacobians(lambda x: (chosen(x) * w).sum(), good)
    for row in BAD.values():
        x = ops.to_tensor([GOOD, row], dtype)
        gradients, hessians = jacobians(lambda x: (chosen(x) * w).sum(), x)
        for got, want in zip(gradients + hessians, first + second, strict=True):
            got, want = ops.to_array(got), ops.to_array(want)
            np.testing.assert_array_equal(got, want, err_msg=str(row))
        # A product of the cotangents by hand, as backward sends them.
        x = ops.to_tensor([GOOD, row], dtype).detach()
        x.requires_grad = True
        (chosen(x) * w).sum().backward()
        np.testing.assert_array_equal(ops.to_array(x.grad), ops.to_array(first[0]))


@pytest.mark.parametrize("dtype", [td.float32, td.float64], ids=str)
def test_gradients_of_cross_entropy_in_rows_that_are_not_taken(dtype):
    """The fused gradient where its factors are 0, and its own derivatives."""
    logits = ops.to_tensor([GOOD, [INF, 1, NAN]], dtype)
    labels, mask = td.tensor(LABELS), td.tensor([True, False])
    loss = lambda x: td.where(mask, td.softmax_cross_entropy(x, labels), 0).sum()
    p = np.exp(GOOD) / np.exp(GOOD).sum()
    rtol = 8 * ops.EPSILON[dtype]
    for gradient in (td.grad(loss), td.jacfwd(loss)):
        got = ops.to_array(gradient(logits))
        np.testing.assert_allclose(got[0], p - [0, 1, 0], rtol=rtol)
        assert not got[1].any()
    hessian = ops.to_array(td.hessian(loss)(logits))
    np.testing.assert_allclose(hessian[0, :, 0], np.diag(p) - np.outer(p, p), rtol=8 * rtol)
    assert not hessian[1].any()
    assert not hessian[0, :, 1].any()


def test_the_price():
    """0 times an infinity is 0 in derivatives, so also where a limit would be another number."""
    at_0 = td.tensor(0.0)
    assert float(td.grad(lambda x: td.sqrt(x) * td.sqrt(x))(at_0)) == 0
    assert float(td.jvp(lambda x: td.sqrt(x) * td.sqrt(x), (at_0,), (td.tensor(1.0),))[1]) == 0
    assert float(td.grad(lambda x: td.exp(-td.reciprocal(x * x)))(at_0)) == 0
