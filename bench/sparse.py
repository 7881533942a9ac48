"""Times a banded Jacobian and a Hessian on their patterns, beside dense ones and SciPy's finite differences.

    python bench/sparse.py [--size N] [--rounds N] [--threads N]

Broyden's tridiagonal function in float64. SciPy evaluates the same function in NumPy once for each group of
columns of the same pattern. All results are compared before they are timed; a figure is the median over
rounds, in milliseconds, and that of the dense matrix is of one round.
"""

import argparse
import statistics
import time

import numpy as np
import scipy.sparse
import tidu as td
from scipy.optimize._numdiff import approx_derivative, group_columns


def broyden(x):
    return (3 - 2 * x) * x - td.pad(x[:-1], [(1, 0)]) - 2 * td.pad(x[1:], [(0, 1)]) + 1


def broyden_numpy(x):
    before, after = np.concatenate([[0], x[:-1]]), np.concatenate([x[1:], [0]])
    return (3 - 2 * x) * x - before - 2 * after + 1


def rosenbrock(x):
    return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()


def milliseconds(function, rounds):
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        function()
        times.append(1e3 * (time.perf_counter() - start))
    return statistics.median(times)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--size", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    td.set_num_threads(options.threads)
    values = np.random.default_rng(0).uniform(size=options.size)
    x = td.asarray(values)

    pattern = td.sparsity(broyden, x)
    of_hessian = td.hessian_sparsity(rosenbrock, x)
    jacobian, hessian = td.jacobian(broyden, sparse=pattern), td.hessian(rosenbrock, sparse=of_hessian)
    matrix = td.sparse.jacobian(broyden, pattern)(x)
    known = scipy.sparse.csr_matrix(pattern.to_scipy())
    groups = group_columns(known)

    def differences():
        return approx_derivative(broyden_numpy, values, method="2-point", sparsity=(known, groups))

    difference = abs(jacobian(x) - differences()).max()
    if difference > 1e-5:
        raise SystemExit(f"the Jacobians differ by {difference}")
    print(f"Jacobian: {pattern}\nHessian: {of_hessian}")
    rows = {
        "pattern and colours of the Jacobian": lambda: td.sparsity(broyden, x),
        "pattern and colours of the Hessian": lambda: td.hessian_sparsity(rosenbrock, x),
        "sparse Jacobian": lambda: jacobian(x),
        "sparse Hessian": lambda: hessian(x),
        "sparse Jacobian times a vector": lambda: matrix @ x,
        "SciPy's differences on the same pattern": differences,
    }
    for name, function in rows.items():
        print(f"{name:42} {milliseconds(function, options.rounds):10.3f}")
    print(f"{'dense Jacobian':42} {milliseconds(lambda: td.jacobian(broyden)(x), 1):10.3f}")


if __name__ == "__main__":
    main()
