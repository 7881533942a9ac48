"""The same bits for every number of threads and on every run."""

import numpy as np
import pytest
import tidu as td

rng = np.random.default_rng(51)


def normal(*shape, dtype=np.float32):
    return td.tensor(rng.standard_normal(shape).astype(dtype))


VECTOR, LONG, TALL, MATRIX = normal(1_000_003), normal(3, 300_007), normal(300_007, 3), normal(700, 513)
INDICES = td.tensor(rng.integers(0, 100, 200_000))
UPDATES = normal(200_000, 3)
KEY = td.random.key(7)


def train():
    w = td.copy(MATRIX)
    w.requires_grad = True
    x = td.sigmoid(w @ w.T)
    td.softmax_cross_entropy(x, td.arange(700)).sum().backward()
    return w.grad


WORK = {
    "sum": lambda: td.sum(VECTOR),
    "sum of rows": lambda: td.sum(LONG, axis=1),
    "sum of columns": lambda: td.sum(TALL, axis=0),
    "sum of a transpose": lambda: td.sum(MATRIX.T, axis=0),
    "sum in float16": lambda: td.sum(VECTOR.astype(td.float16)),
    "sum in float64": lambda: td.sum(VECTOR.astype(td.float64)),
    "mean": lambda: td.mean(LONG),
    "var": lambda: td.var(TALL, axis=0),
    "prod": lambda: td.prod(td.exp(VECTOR * 1e-3)),
    "sum_of_squares": lambda: td.sum_of_squares(VECTOR),
    "max": lambda: td.max(VECTOR),
    "argmax": lambda: td.argmax(TALL, axis=0),
    "std of rows": lambda: td.std(LONG, axis=1),
    "cumulative_sum": lambda: td.cumulative_sum(VECTOR),
    "cumulative_sum of columns": lambda: td.cumulative_sum(TALL, axis=0),
    "logcumsumexp": lambda: td.logcumsumexp(LONG, axis=1),
    "logsumexp": lambda: td.logsumexp(VECTOR),
    "logsumexp of columns": lambda: td.logsumexp(TALL, axis=0),
    "softmax": lambda: td.softmax(MATRIX),
    "softmax of columns": lambda: td.softmax(TALL, axis=0),
    "log_softmax": lambda: td.log_softmax(LONG),
    "matmul": lambda: MATRIX @ MATRIX.T,
    "matmul transposed": lambda: MATRIX.T @ MATRIX,
    "matmul in float64": lambda: MATRIX.astype(td.float64) @ MATRIX.T.astype(td.float64),
    "matmul by a vector": lambda: MATRIX @ MATRIX[0],
    "dot": lambda: VECTOR @ VECTOR,
    "batched matmul": lambda: (
        LONG[:, :30_000].reshape(3, 100, 100 * 3) @ LONG[:, :30_000].reshape(3, 300, 100)
    ),
    "exp": lambda: td.exp(VECTOR),
    "gelu of a transpose": lambda: td.gelu(TALL.T),
    "scatter_add": lambda: td.scatter_add(td.zeros((100, 3)), INDICES, UPDATES, axis=0),
    "gradient of take": lambda: td.grad(lambda x: td.sum(td.take(x, INDICES, axis=0) * UPDATES))(
        UPDATES[:100]
    ),
    "random bits": lambda: td.random.bits(KEY, (300_007,)),
    "uniform": lambda: td.random.uniform(KEY, (300_007,)),
    "normal": lambda: td.random.normal(KEY, (300_007,)),
    "permutation": lambda: td.random.permutation(KEY, 100_003),
    "training": train,
}


@pytest.mark.parametrize("name", WORK)
def test_same_bits(name):
    before = td.get_num_threads()
    try:
        bits = []
        for threads in (1, 2, 4, 2):
            td.set_num_threads(threads)
            assert td.get_num_threads() == threads
            bits.append(WORK[name]().cpu().numpy().tobytes())
    finally:
        td.set_num_threads(before)
    assert len(set(bits)) == 1


def test_a_number_of_threads_that_makes_no_sense():
    for count in (0, -1):
        with pytest.raises(ValueError):
            td.set_num_threads(count)
