"""Products of many small matrices."""

import itertools

import numpy as np
import pytest
import tidu as td

WIDE = [np.float32, np.float64]


def bound_of(a, b, unit):
    """Of a sum of products in any order."""
    a, b = (np.abs(x.astype(np.float64)) for x in (a, b))
    return (2 * np.sqrt(a.shape[-1]) + 2) * unit * (a @ b)


@pytest.mark.parametrize("dtype", WIDE)
@pytest.mark.parametrize("n", [1, 2, 3, 4, 5])
def test_batches_of_small_matrices(n, dtype, rng):
    for a_transposed, b_transposed in itertools.product((False, True), repeat=2):
        x, y = rng.standard_normal((2, 7, 3, n, n)).astype(dtype)
        a, b = td.tensor(x), td.tensor(y)
        if a_transposed:
            a, x = a.mT, x.swapaxes(-1, -2)
        if b_transposed:
            b, y = b.mT, y.swapaxes(-1, -2)
        want = x.astype(np.float64) @ y.astype(np.float64)
        bound = bound_of(x, y, np.finfo(dtype).eps)
        for left, right, expected, most in (
            (a, b, want, bound),
            (a[::2, 1:], b[::2, 1:], want[::2, 1:], bound[::2, 1:]),
            (
                td.permute_dims(a, (1, 0, 2, 3)),
                td.permute_dims(b, (1, 0, 2, 3)),
                want.swapaxes(0, 1),
                bound.swapaxes(0, 1),
            ),
        ):
            assert (np.abs((left @ right).cpu().numpy() - expected) <= most).all()
        assert (np.abs((a @ b[0, 0]).cpu().numpy() - x @ y[0, 0]) <= 2 * bound.max()).all()
