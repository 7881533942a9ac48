"""What the benchmarks compute, written once in terms of the functions of a library `lib` (libraries.py), and
the operands, from fixed seeds. The derivative problems take what is differentiated as their first argument;
the second half of them are those of GradBench (https://github.com/gradbench/gradbench).
"""

import itertools

import numpy as np

# --- Single operations


OPERATIONS = {
    "a + b": lambda lib, a, b: a + b,
    "exp": lambda lib, a, b: lib.exp(a),
    "tanh": lambda lib, a, b: lib.tanh(a),
    "sum": lambda lib, a, b: lib.sum(a),
    "sums of rows": lambda lib, a, b: lib.sum(a, 1),
    "sums of columns": lambda lib, a, b: lib.sum(a, 0),
    "softmax of rows": lambda lib, a, b: lib.softmax(a),
}


def tanh_chain(lib, a, b, c):
    return lib.tanh(a * b + c) * a - b


def nine_operations(lib, a, b, c):
    t = ((a + b) * c - a) * 0.5 + b
    t = t * t - c
    return t * a + 1.0


FUSIONS = {"tanh(a * b + c) * a - b": tanh_chain, "9 cheap operations": nine_operations}


def chain(lib, length):
    """The sum of `length` times sin, one after another."""

    def f(x):
        for _ in range(length):
            x = lib.sin(x)
        return lib.sum(x)

    return f


# --- Formulas that are differentiated


def linear_regression(lib, w, x, y):
    r = x @ w - y
    return lib.sum(r * r)


def logistic_regression(lib, w, x, y):
    z = x @ w
    return lib.sum(lib.softplus(z) - y * z)


def multinomial_regression(lib, w, x, y):
    return -lib.sum(y * lib.log_softmax(x @ w))


def two_layer_network(lib, parameters, x, y):
    w1, b1, w2, b2 = parameters
    return -lib.sum(y * lib.log_softmax(lib.sigmoid(x @ w1 + b1) @ w2 + b2))


def gaussian(lib, factor, x, mean, lower):
    """-2 / n times the logarithm of the likelihood of a covariance L L^T, for columns x."""
    factor = factor * lower
    whitened = lib.solve_lower(factor, x - mean[:, None])
    return 2 * lib.sum(lib.log(lib.diagonal(factor))) + lib.sum(whitened * whitened) / x.shape[1]


def matrix_factorisation(lib, factors, a):
    x, y = factors
    r = x @ y - a
    return lib.sum(r * r) / 2


def gmm(lib, parameters, x, below, identity):
    """The likelihood of a mixture of Gaussians with a Wishart prior, whose precisions are Q Q^T."""
    weights, means, log_diagonals, rest = parameters
    q = lib.exp(log_diagonals)[:, :, None] * identity + rest * below
    moved = q @ (x[None, :, :] - means[:, :, None])
    scores = weights[:, None] + lib.sum(log_diagonals, 1)[:, None] - lib.sum(moved * moved, 1) / 2
    likelihood = lib.sum(lib.logsumexp(scores, 0)) - x.shape[1] * lib.logsumexp(weights, 0)
    prior = (lib.sum(lib.exp(2 * log_diagonals)) + lib.sum(rest * rest * below)) / 2 - lib.sum(log_diagonals)
    return likelihood - prior


def lstm(lib, parameters, state, sequence):
    """A stack of recurrent cells whose gates act on each unit alone, and what it predicts of a sequence."""
    gates, ends = parameters
    layers = gates.shape[0]

    def step(carry, now, after):
        hidden, cell, loss = carry
        x = now * ends[0]
        outputs, cells = [], []
        for layer in range(layers):
            w = gates[layer]
            forget, let_in = lib.sigmoid(x * w[0] + w[1]), lib.sigmoid(hidden[layer] * w[2] + w[3])
            let_out, change = lib.sigmoid(x * w[4] + w[5]), lib.tanh(hidden[layer] * w[6] + w[7])
            cells.append(cell[layer] * forget + let_in * change)
            x = let_out * lib.tanh(cells[layer])
            outputs.append(x)
        predicted = x * ends[1] + ends[2]
        loss = loss - lib.sum(after * (predicted - lib.log(2 + lib.sum(lib.exp(predicted)))))
        return outputs, cells, loss

    hidden, cell = ([state[i, layer] for layer in range(layers)] for i in range(2))
    carry = hidden, cell, 0 * lib.sum(sequence[0])
    return lib.fold(step, carry, sequence[:-1], sequence[1:])[2] / (sequence.shape[0] - 1)


def lse(lib, x):
    return lib.logsumexp(x, 0)


def llsq(lib, x, powers, signs):
    r = signs - powers @ x
    return lib.sum(r * r) / 2


def kmeans(lib, centres, points):
    difference = points[:, None, :] - centres[None, :, :]
    return lib.sum(lib.min(lib.sum(difference * difference, 2), 1))


def ode(lib, x, start, steps):
    """The last unknown of y1' = x1, yi' = xi y(i-1) at time 2, by Runge and Kutta's method."""
    h = 2 / steps

    def slope(y):
        return x * lib.concat([start[:1] + 1, y[:-1]])

    def step(y):
        k1 = slope(y)
        k2 = slope(y + h / 2 * k1)
        k3 = slope(y + h / 2 * k2)
        k4 = slope(y + h * k3)
        return y + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)

    return lib.repeat(step, start, steps)[-1]


def det(lib, x):
    return lib.det(x)


# --- Operands, of sizes that are arguments


def normal(rng, *shape, scale=1.0):
    return (scale * rng.standard_normal(shape)).astype(np.float32)


def one_hot(rng, rows, classes):
    return np.eye(classes, dtype=np.float32)[rng.integers(0, classes, rows)]


def regression(n, d, k=None):
    rng = np.random.default_rng(0)
    x = normal(rng, n, d, scale=d**-0.5)
    if k is None:
        return normal(rng, d), x, (rng.random(n) < 0.5).astype(np.float32)
    return normal(rng, d, k), x, one_hot(rng, n, k)


def network(n, d, h, k):
    rng = np.random.default_rng(0)
    weights = [
        normal(rng, d, h, scale=d**-0.5),
        normal(rng, h),
        normal(rng, h, k, scale=h**-0.5),
        normal(rng, k),
    ]
    return weights, normal(rng, n, d), one_hot(rng, n, k)


def gaussian_data(n, d):
    rng = np.random.default_rng(0)
    factor, x = np.eye(d, dtype=np.float32) + normal(rng, d, d, scale=0.1 / d), normal(rng, d, n)
    return factor, x, x.mean(1), np.tril(np.ones_like(factor))


def factors(m, n, rank):
    rng = np.random.default_rng(0)
    return [normal(rng, m, rank), normal(rng, rank, n)], normal(rng, m, n)


def mixture(n, d, k):
    rng = np.random.default_rng(0)
    parameters = [
        normal(rng, k),
        normal(rng, k, d),
        normal(rng, k, d, scale=0.1),
        normal(rng, k, d, d, scale=0.1),
    ]
    return (
        parameters,
        normal(rng, d, n),
        np.tril(np.ones((d, d), np.float32), -1),
        np.eye(d, dtype=np.float32),
    )


def characters(length, layers, d):
    rng = np.random.default_rng(0)
    parameters = [normal(rng, layers, 8, d, scale=0.5), normal(rng, 3, d, scale=0.5)]
    return parameters, normal(rng, 2, layers, d), one_hot(rng, length, d)


def polynomial(n, m):
    t = np.linspace(-1, 1, n)
    powers = t[:, None] ** np.arange(m)
    return np.zeros(m, np.float32), powers.astype(np.float32), np.sign(t).astype(np.float32)


def clusters(n, d, k):
    rng = np.random.default_rng(0)
    return normal(rng, k, d), normal(rng, n, d)


def unknowns(n, steps):
    rng = np.random.default_rng(0)
    return 1 + normal(rng, n, scale=0.1), np.zeros(n, np.float32), steps


def vector(n):
    return (normal(np.random.default_rng(0), n),)


def matrix(n):
    return (np.eye(n, dtype=np.float32) + normal(np.random.default_rng(0), n, n, scale=0.3 * n**-0.5),)


# name: (formula, operands, sizes at which it is timed, whether there is room for its Hessian)
PROBLEMS = {
    "linear regression": (linear_regression, regression, (2000, 100), True),
    "logistic regression": (logistic_regression, regression, (2000, 100), True),
    "multinomial regression": (multinomial_regression, regression, (1000, 20, 10), True),
    "two-layer network": (two_layer_network, network, (256, 256, 128, 10), False),
    "Gaussian likelihood": (gaussian, gaussian_data, (1000, 64), False),
    "matrix factorisation": (matrix_factorisation, factors, (256, 256, 32), False),
    "gmm": (gmm, mixture, (500, 16, 10), False),
    "lstm": (lstm, characters, (20, 2, 64), False),
    "lse": (lse, vector, (100000,), False),
    "llsq": (llsq, polynomial, (5000, 50), True),
    "kmeans": (kmeans, clusters, (1000, 8, 16), True),
    "ode": (ode, unknowns, (100, 50), True),
    "det": (det, matrix, (64,), False),
}


def direction_like(tree):
    rng = np.random.default_rng(1)
    if isinstance(tree, list):
        return [normal(rng, *leaf.shape) for leaf in tree]
    return normal(rng, *tree.shape)


def adopt(lib, tree):
    if isinstance(tree, list):
        return [lib.array(leaf) for leaf in tree]
    return lib.array(tree)


def problem(lib, name, sizes=None):
    """What is differentiated, a direction, the arrays of data, and the function of both."""
    formula, operands, usual, _ = PROBLEMS[name]
    x, *data = operands(*(sizes or usual))
    numbers = [operand for operand in data if not isinstance(operand, np.ndarray)]

    def f(x, *data):
        return formula(lib, x, *data, *numbers)

    given = [lib.array(operand) for operand in data if isinstance(operand, np.ndarray)]
    return adopt(lib, x), adopt(lib, direction_like(x)), given, f


# --- Many derivatives at once


def hessian_of_logistic(lib):
    def loss(w, x, y):
        return lib.mean(lib.softplus(-y * (x @ w)))

    return lambda w, x, y: lib.hessian(lambda w: loss(w, x, y))(w)


def hessian_of_quadratic(lib):
    return lambda x, a: lib.hessian(lambda x: x @ (a @ x))(x)


def gradients_of_examples(lib):
    def loss(weights, x, y):
        w1, w2 = weights
        return -lib.sum(y * lib.log_softmax(w2 @ lib.sigmoid(w1 @ x)))

    return lambda weights, xs, ys: lib.vmap(lib.grad(loss), (None, 0, 0))(weights, xs, ys)


def laplacian_of_network(lib):
    def run(x, weights):
        def f(x):
            for w in weights[:-1]:
                x = lib.tanh(w @ x)
            return lib.sum(weights[-1] @ x)

        return lib.laplacian(f, x)

    return run


def recurrence(lib, w, xs):
    return lib.fold(lambda h, x: lib.tanh(w @ h + x), 0 * xs[0], xs)


def gradient_of_recurrence(lib):
    return lambda w, xs: lib.grad(lambda w: lib.sum(recurrence(lib, w, xs)))(w)


def logistic_operands(n, d):
    rng = np.random.default_rng(0)
    return normal(rng, d, scale=0.1), normal(rng, n, d), np.sign(normal(rng, n))


def quadratic_operands(n):
    rng = np.random.default_rng(0)
    return normal(rng, n), normal(rng, n, n)


def layers(rng, sizes):
    return [normal(rng, b, a, scale=a**-0.5) for a, b in itertools.pairwise(sizes)]


def example_operands(count, *sizes):
    rng = np.random.default_rng(0)
    return layers(rng, sizes), normal(rng, count, sizes[0]), one_hot(rng, count, sizes[-1])


def network_operands(*sizes):
    rng = np.random.default_rng(0)
    return normal(rng, sizes[0]), layers(rng, sizes)


def recurrent_operands(steps, units):
    rng = np.random.default_rng(0)
    return normal(rng, units, units, scale=0.1), normal(rng, steps, units)


# name: (what a library computes, operands, sizes)
TRANSFORMS = {
    "Hessian of a logistic loss": (hessian_of_logistic, logistic_operands, (2000, 200)),
    "Hessian of x^T A x": (hessian_of_quadratic, quadratic_operands, (2048,)),
    "gradient of each example": (gradients_of_examples, example_operands, (256, 64, 128, 10)),
    "Laplacian of a tanh network": (laplacian_of_network, network_operands, (50, 768, 768, 512, 512, 1)),
    "gradient of recurrent steps": (gradient_of_recurrence, recurrent_operands, (200, 64)),
}
