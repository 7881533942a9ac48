"""Dtypes of arguments: each is taken, or refused by the function that was called.

Of a first argument the docs are tried (test_docstrings.py); here are those of others, and of several."""

import pytest
import tidu as td
import tidu.nn.functional as F

KINDS = {
    "bool": {td.bool},
    "integers": {td.int8, td.int16, td.int32, td.int64, td.uint8, td.uint16, td.uint32, td.uint64},
    "halves": {td.float16, td.bfloat16},
    "floats": {td.float32, td.float64},
    "complex": {td.complex64, td.complex128},
}
FLOATING = "halves floats"
REAL = "bool integers halves floats"


def x(*shape):
    return td.ones(shape)


def key():
    return td.random.key(3)


def ctc(scores=None, targets=None, lengths=None, target_lengths=None):
    def or_one(given, *shape):
        return td.ones(shape, dtype=td.int64) if given is None else given

    scores = x(4, 1, 3) if scores is None else scores
    return F.ctc_loss(scores, or_one(targets, 1, 2), or_one(lengths, 1), or_one(target_lengths, 1))


# name: what is called with ones of a dtype, of any shape, and the kinds that it takes
CASES = {
    "complex": (lambda t: td.complex(t(2), t(2)), FLOATING),
    "complex's imaginary part": (lambda t: td.complex(x(2), t(2)), REAL),
    "complex's real part": (lambda t: td.complex(t(2), x(2)), REAL),
    "view_as_complex": (lambda t: td.view_as_complex(t(2, 2)), "floats"),
    "view_as_real": (lambda t: td.view_as_real(t(2)), "complex"),
    # Indices and counts
    "take": (lambda t: td.take(x(2, 2), t(1)), "integers"),
    "take_along_axis": (lambda t: td.take_along_axis(x(2, 2), t(1, 2), 0), "integers"),
    "gather": (lambda t: td.gather(x(2, 2), 0, t(1, 2)), "integers"),
    "scatter_add": (lambda t: td.scatter_add(x(2), t(1), 1.0), "integers"),
    "index_add": (lambda t: td.index_add(x(2), 0, t(1), 1.0), "integers"),
    "segment_sum": (lambda t: td.segment_sum(x(2), t(2), 3), "integers"),
    "repeat": (lambda t: td.repeat(x(2), t(2)), "integers"),
    "cov": (lambda t: td.cov(x(2, 2), fweights=t(2)), "bool integers"),
    "ldexp": (lambda t: td.ldexp(x(2), t(2)), "bool integers"),
    "quantile": (lambda t: td.quantile(x(2), t()), REAL),
    "masked_fill": (lambda t: td.masked_fill(x(2), t(2), 0.0), "bool"),
    "masked_select": (lambda t: td.masked_select(x(2), t(2)), "bool"),
    # Two operands
    "bitwise_and": (lambda t: td.bitwise_and(td.tensor(True), t(2)), "bool integers"),
    "bitwise_right_shift": (lambda t: td.bitwise_right_shift(t(2), t(2)), "bool integers"),
    "gcd": (lambda t: td.gcd(t(2), t(2)), "bool integers"),
    "subtract": (lambda t: td.subtract(t(2), t(2)), "integers halves floats complex"),
    "maximum": (lambda t: td.maximum(x(2), t(2)), REAL),
    "less": (lambda t: td.less(x(2), t(2)), REAL),
    "atan2": (lambda t: td.atan2(x(2), t(2)), REAL),
    "remainder": (lambda t: td.remainder(x(2), t(2)), REAL),
    "floor_divide": (lambda t: td.floor_divide(t(2), t(2)), "integers halves floats"),
    "searchsorted": (lambda t: td.searchsorted(x(2), t(2)), REAL),
    "clip": (lambda t: td.clip(x(2), t(2), t(2)), REAL),
    "linalg.solve": (lambda t: td.linalg.solve(td.eye(2), t(2)), "bool integers floats complex"),
    # Layers and losses
    "one_hot": (lambda t: F.one_hot(t(2), 3), "integers"),
    "embedding": (lambda t: F.embedding(t(2), x(3, 2)), "integers"),
    "cross_entropy": (lambda t: F.cross_entropy(t(2, 3), td.tensor([0, 1])), FLOATING),
    "nll_loss": (lambda t: F.nll_loss(x(2, 3), t(2)), "integers"),
    "multilabel_margin_loss": (lambda t: F.multilabel_margin_loss(x(2, 3), t(2, 3)), "integers"),
    "multi_margin_loss": (lambda t: F.multi_margin_loss(x(2, 3), t(2)), "integers"),
    "ctc_loss": (lambda t: ctc(scores=t(4, 1, 3)), FLOATING),
    "ctc_loss of targets": (lambda t: ctc(targets=t(1, 2)), "integers"),
    "ctc_loss of lengths": (lambda t: ctc(lengths=t(1)), "integers"),
    "ctc_loss of targets' lengths": (lambda t: ctc(target_lengths=t(1)), "integers"),
    "mse_loss": (lambda t: F.mse_loss(t(2), t(2)), FLOATING),
    "scaled_dot_product_attention": (
        lambda t: F.scaled_dot_product_attention(x(2, 2), x(2, 2), x(2, 2), attn_mask=t(2, 2)),
        "bool halves floats",
    ),
    "scaled_dot_product_attention of values": (
        lambda t: F.scaled_dot_product_attention(x(2, 2), x(2, 2), t(2, 2)),
        FLOATING,
    ),
    "conv1d": (lambda t: F.conv1d(t(1, 1, 3), t(1, 1, 2)), FLOATING),
    "conv1d's weight": (lambda t: F.conv1d(x(1, 1, 3), t(1, 1, 2)), REAL),
    "conv_transpose1d": (lambda t: F.conv_transpose1d(t(1, 1, 3), t(1, 1, 2)), FLOATING),
    "grid_sample": (lambda t: F.grid_sample(t(1, 1, 2, 2), t(1, 1, 1, 2)), FLOATING),
    "grid_sample's grid": (lambda t: F.grid_sample(x(1, 1, 2, 2), t(1, 1, 1, 2)), FLOATING),
    "affine_grid": (lambda t: F.affine_grid(t(1, 2, 3), (1, 1, 2, 2)), FLOATING),
    "lp_pool1d": (lambda t: F.lp_pool1d(t(1, 1, 4), 2.0, 2), FLOATING),
    "batch_norm": (lambda t: F.batch_norm(x(2, 2), t(2), t(2)), FLOATING),
    "layer_norm": (lambda t: F.layer_norm(t(2, 2), (2,)), FLOATING),
    "dropout": (lambda t: F.dropout(t(2), 0.5, key()), FLOATING),
    # The dtype that is asked for
    "uniform": (lambda t: td.random.uniform(key(), (2,), dtype=t().dtype), FLOATING),
    "normal": (lambda t: td.random.normal(key(), (2,), dtype=t().dtype), FLOATING),
    "randint": (lambda t: td.random.randint(key(), (2,), 0, 5, dtype=t().dtype), "integers"),
    "bernoulli": (lambda t: td.random.bernoulli(key(), t(2)), REAL),
    "autocast": (lambda t: td.autocast(t().dtype), "halves"),
    # Of what derivatives are taken
    "jacobian": (lambda t: td.jacobian(td.sin)(t(2)), FLOATING),
    "grad": (lambda t: td.grad(td.sum)(t(2)), FLOATING),
    "laplacian": (lambda t: td.laplacian(lambda v: td.sum(v * v))(t(2)), FLOATING),
    "jvp": (lambda t: td.jvp(td.sin, (t(2),), (t(2),)), FLOATING + " complex"),
}


@pytest.mark.parametrize("name", CASES)
def test_a_dtype_is_taken_or_refused(name):
    call, taken = CASES[name]
    for kind, dtypes in KINDS.items():
        for dtype in dtypes:

            def ones(*shape, dtype=dtype):
                return td.ones(shape, dtype=dtype)

            if kind in taken.split():
                call(ones)
            else:
                with pytest.raises(td.DTypeError) as caught:
                    call(ones)
                function = name.split()[0].split("'")[0].removeprefix("linalg.")
                told = str(caught.value)
                assert told.startswith(f"[{function}] ") and len(told) > 20, dtype
