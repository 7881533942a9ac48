"""Connectionist temporal classification, beside the sum over all paths."""

import itertools

import numpy as np
import pytest
import tidu as td
from tidu.nn import functional as F

rng = np.random.default_rng(4)


def t(x, dtype=td.float64):
    return td.tensor(x, dtype=dtype)


def spelt(path, blank):
    return [c for c, before in zip(path, (None, *path), strict=False) if c not in (before, blank)]


def by_paths(log_probs, target, blank=0):
    """Of one sequence (T, C)."""
    steps, classes = log_probs.shape
    total = sum(
        np.exp(sum(log_probs[i, c] for i, c in enumerate(path)))
        for path in itertools.product(range(classes), repeat=steps)
        if spelt(path, blank) == list(target)
    )
    return -np.log(total) if total > 0 else np.inf


def drawn(steps=5, sequences=3, classes=3):
    logits = rng.normal(size=(steps, sequences, classes))
    return logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))


def test_losses_are_sums_over_paths():
    x, inputs = drawn(sequences=5), [5, 4, 5, 3, 0]
    targets = [[1, 2], [1, 1], [2], [], []]
    want = [by_paths(x[:n, i], target) for i, (n, target) in enumerate(zip(inputs, targets, strict=True))]
    padded = np.full((5, 3), -1)  # what is behind a target does not matter
    for row, target in zip(padded, targets, strict=True):
        row[: len(target)] = target
    lengths = [len(target) for target in targets]
    for given in (t(padded, td.int64), t([c for target in targets for c in target], td.int64)):
        for kind in (lambda n: n, lambda n: t(n, td.int64)):
            got = F.ctc_loss(t(x), given, kind(inputs), kind(lengths), reduction="none")
            np.testing.assert_allclose(got.cpu().numpy(), want, rtol=1e-12, atol=1e-14)
    args = (t(x), t(padded, td.int64), inputs, lengths)
    assert F.ctc_loss(*args, reduction="sum").item() == pytest.approx(sum(want))
    assert F.ctc_loss(*args).item() == pytest.approx(np.mean(np.array(want) / np.maximum(lengths, 1)))
    one = F.ctc_loss(t(x[:, 0]), t([1, 2], td.int64), 5, 2, reduction="none")
    assert one.shape == () and one.item() == pytest.approx(want[0])


def test_blanks_and_targets_that_no_path_spells():
    x = drawn(3, 2)
    args = (t(x), t([[0, 1], [1, 1]], td.int64), [3, 2], [2, 2], 2)
    got = F.ctc_loss(*args, reduction="none").cpu().numpy()
    np.testing.assert_allclose(got, [by_paths(x[:, 0], [0, 1], 2), np.inf])
    loss = td.nn.CTCLoss(blank=2, reduction="sum", zero_infinity=True)

    def total(x):
        return loss(x, *args[1:4])

    assert total(t(x)).item() == pytest.approx(got[0])
    slope = td.grad(total)(t(x)).cpu().numpy()
    assert np.isfinite(slope).all() and not slope[:, 1].any() and slope[:, 0].any()


def test_derivatives():
    logits = t(rng.normal(size=(4, 2, 3)))
    targets = t([[1, 1], [2, 0]], td.int64)

    def loss(logits):
        return F.ctc_loss(td.log_softmax(logits, axis=-1), targets, [4, 3], [2, 1])

    td.check_grads(loss, (logits,))


def test_halves_are_computed_in_float32():
    x = t(drawn(), td.float16)
    args = (t([[1, 2], [1, 0], [2, 0]], td.int64), [5, 4, 5], [2, 1, 1])
    got, want = F.ctc_loss(x, *args), F.ctc_loss(x.astype(td.float64), *args)
    assert got.dtype == td.float16 and got.item() == pytest.approx(want.item(), rel=1e-3)


def test_what_is_refused():
    x, targets = t(drawn()), t([[1], [1], [1]], td.int64)
    for error, message, args in [
        (td.ShapeError, "takes log_probs", (x[0, 0], targets, 5, 1)),
        (td.ShapeError, "one for each of 3 sequences", (x, targets, [5, 5], [1, 1, 1])),
        (td.ShapeError, r"takes targets \(3, S\)", (x, targets[:2], [5, 5, 5], [1, 1, 1])),
        (td.DTypeError, "targets must be integers", (x, targets.astype(td.float32), [5, 5, 5], [1, 1, 1])),
        (ValueError, "blank 3 is none of 3 classes", (x, targets, [5, 5, 5], [1, 1, 1], 3)),
    ]:
        with pytest.raises(error, match=message):
            F.ctc_loss(*args)
