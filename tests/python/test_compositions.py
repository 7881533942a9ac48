"""Random compositions of operations: in float64 against NumPy, their derivatives against differences, and
every mode against every other.

Extents are over a kernel's block and no multiple of it in some programs, so that what a block leaves over and
where it begins anew is seen together with two broadcasts, transposes and cotangents of stride 0.
"""

import numpy as np
import pytest
import tidu as td

SMALL = [(2, 3), (5, 4), (7, 7), (1, 6), (6, 1), (3, 17)]
LARGE = [(100, 100), (67, 130), (9, 1100), (1030, 5)]


class InNumpy:
    """What NumPy lacks or spells otherwise, from the definition."""

    def __getattr__(self, name):
        return getattr(np, name)

    asarray = staticmethod(np.asarray)

    @staticmethod
    def softmax(x, axis):
        e = np.exp(x - x.max(axis, keepdims=True))
        return e / e.sum(axis, keepdims=True)

    @staticmethod
    def log_softmax(x, axis):
        return x - InNumpy.logsumexp(x, axis, True)

    @staticmethod
    def logsumexp(x, axis, keepdims=False):
        top = x.max(axis, keepdims=True)
        result = np.log(np.exp(x - top).sum(axis, keepdims=True)) + top
        return result if keepdims else result.squeeze(axis)

    @staticmethod
    def cumulative_sum(x, axis):
        return np.cumsum(x, axis)

    @staticmethod
    def cumulative_prod(x, axis):
        return np.cumprod(x, axis)

    @staticmethod
    def logcumsumexp(x, axis):
        return np.logaddexp.accumulate(x, axis)

    @staticmethod
    def cummax(x, axis):
        return np.maximum.accumulate(x, axis)

    @staticmethod
    def sigmoid(x):
        return 1 / (1 + np.exp(-x))

    @staticmethod
    def softplus(x):
        return np.logaddexp(x, 0)

    @staticmethod
    def silu(x):
        return x / (1 + np.exp(-x))

    @staticmethod
    def reciprocal(x):
        return 1 / x

    @staticmethod
    def var(x, axis, correction, keepdims=False):
        return np.var(x, axis, ddof=correction, keepdims=keepdims)

    @staticmethod
    def std(x, axis, correction):
        return np.std(x, axis, ddof=correction)

    @staticmethod
    def concat(arrays, axis):
        return np.concatenate(arrays, axis)

    @staticmethod
    def scatter_add(x, indices, values):
        result = x.copy()
        np.add.at(result, indices, values)
        return result

    @staticmethod
    def flip(x, axis):
        return np.flip(x, axis)

    @staticmethod
    def cross_entropy(x, targets):
        return -np.take_along_axis(InNumpy.log_softmax(x, 1), targets[:, None], 1).mean()

    @staticmethod
    def layer_norm(x, weight, bias):
        centred = x - x.mean(1, keepdims=True)
        return centred / np.sqrt((centred**2).mean(1, keepdims=True) + 1e-5) * weight + bias


class InTidu:
    def __getattr__(self, name):
        return getattr(td, name)

    @staticmethod
    def asarray(values):
        return td.tensor(values)

    @staticmethod
    def cross_entropy(x, targets):
        return td.nn.functional.cross_entropy(x, targets)

    @staticmethod
    def layer_norm(x, weight, bias):
        return td.nn.functional.layer_norm(x, (x.shape[1],), weight, bias)


# Steps keep values of about unit size, so that any order of them is as smooth as the next.

UNARY = [
    lambda xp, a: xp.sin(a),
    lambda xp, a: xp.tanh(a),
    lambda xp, a: xp.sigmoid(2 * a),
    lambda xp, a: xp.exp(-(a * a)),
    lambda xp, a: xp.softplus(a),
    lambda xp, a: xp.silu(a),
    lambda xp, a: xp.log(1.5 + a * a),
    lambda xp, a: xp.sqrt(1 + a * a),
    lambda xp, a: xp.reciprocal(1.5 + xp.cos(a)),
    lambda xp, a: (1.2 + xp.sin(a)) ** 2.5,
    lambda xp, a: xp.atan(a),
]
BINARY = [
    lambda xp, a, b: a + b,
    lambda xp, a, b: a * b,
    lambda xp, a, b: a - 0.5 * b,
    lambda xp, a, b: a / (1.5 + b * b),
    lambda xp, a, b: xp.logaddexp(a, b),
    lambda xp, a, b: xp.hypot(a, 1 + b * b),
    lambda xp, a, b: (1.1 + xp.tanh(a)) ** b,
    lambda xp, a, b: xp.atan2(a, 2 + b * b),
]
NUMPY, TIDU = InNumpy(), InTidu()


KINDS = [
    "unary",
    "two_broadcasts",
    "two_broadcasts",
    "outer",
    "reduce",
    "reduce_back",
    "rows",
    "rows",
    "matmul",
    "view",
    "gather",
    "pick",
    "where",
    "where_of_comparison",
    "mask",
    "scan",
    "write",
    "loss",
]


class Program:
    """A function of a matrix (m, n), a row (n) and a column (m), drawn by a seed."""

    def __init__(self, seed, shapes, steps):
        rng = np.random.default_rng(seed)
        self.shape = self.m, self.n = shapes[seed % len(shapes)]
        self.steps = [(str(rng.choice(KINDS)), int(rng.integers(2**31))) for _ in range(steps)]
        self.arguments = [rng.normal(size=s) * 0.7 for s in (self.shape, self.n, self.m)]
        self.direction = [rng.normal(size=s) for s in (self.shape, self.n, self.m)]
        self.seed = seed

    def __call__(self, xp, x, row, column):
        m, n = self.shape
        pools = {"matrix": [x], "row": [row], "column": [column], "scalar": []}
        for kind, seed in self.steps:
            rng = np.random.default_rng(seed)

            def draw(name, rng=rng):
                pool = pools[name]
                # The newest half of the time, so that steps are composed.
                return pool[-1] if rng.integers(2) else pool[rng.integers(len(pool))]

            def any_as_matrix(rng=rng, draw=draw):
                """One of (m, n) by way of a broadcast or a transpose that was not copied."""
                way = rng.integers(6)
                if way == 0:
                    return draw("row")[None, :]
                if way == 1:
                    return draw("column")[:, None]
                if way == 2:
                    return xp.broadcast_to(draw("row"), (m, n))
                if way == 3:
                    return xp.broadcast_to(draw("column")[:, None], (m, n))
                if m == n and way == 4:
                    return draw("matrix").T
                return draw("matrix")

            name, value = self._step(xp, kind, rng, draw, any_as_matrix)
            pools[name].append(value)
        total = 0.0
        rng = np.random.default_rng(self.seed + 1)
        for name in ("matrix", "row", "column"):
            for value in pools[name]:
                weights = rng.normal(size=value.shape)
                total = total + (xp.asarray(weights) * value).sum() / np.sqrt(weights.size)
        for value in pools["scalar"]:
            total = total + rng.normal() * value
        return xp.sin(0.3 * total) + 0.1 * total * total

    def _step(self, xp, kind, rng, draw, any_as_matrix):
        m, n = self.shape
        axis = int(rng.integers(2))
        vector = "column" if axis == 1 else "row"  # what a reduction of a matrix over the axis leaves
        if kind == "unary":
            name = str(rng.choice(["matrix", "row", "column"]))
            return name, UNARY[rng.integers(len(UNARY))](xp, draw(name))
        if kind == "two_broadcasts":
            a = draw("matrix") if rng.integers(2) else draw("matrix")[:, ::-1]
            b = any_as_matrix()
            if rng.integers(2):
                a, b = b, a
            return "matrix", BINARY[rng.integers(len(BINARY))](xp, a, b) + xp.zeros((m, n), dtype=xp.float64)
        if kind == "outer":
            return "matrix", BINARY[rng.integers(len(BINARY))](xp, draw("row"), draw("column")[:, None])
        if kind == "reduce":
            a = any_as_matrix() + draw("matrix")
            way = rng.integers(8)
            count = a.shape[axis]
            if way == 0:
                return vector, a.sum(axis) / np.sqrt(count)
            if way == 1:
                return vector, xp.mean(a, axis)
            if way == 2:
                return vector, xp.var(a, axis, correction=int(count > 1 and rng.integers(2)))
            if way == 3:
                return vector, xp.logsumexp(a, axis)
            if way == 4:
                return vector, xp.prod(1 + a / count, axis)
            if way == 5 and count > 2:
                return vector, xp.std(a, axis, correction=1)
            # Differences of a maximum are right where another element does not become it.
            peak = np.zeros((m, n))
            if way == 6:
                peak[rng.integers(m), rng.integers(n)] = 9.0
                return "scalar", xp.max(a + xp.asarray(peak)) - 9 + xp.mean(a)
            at = rng.integers(0, count, (1, n) if axis == 0 else (m, 1))
            np.put_along_axis(peak, at, 9.0, axis)
            return vector, xp.max(a + xp.asarray(peak), axis) - 9
        if kind == "reduce_back":  # a cotangent that is broadcast along one axis
            a = draw("matrix")
            centred = a - xp.mean(a, axis, keepdims=True)
            return "matrix", centred / xp.sqrt(0.1 + xp.var(a, axis, correction=0, keepdims=True))
        if kind == "rows":
            a = draw("matrix") if rng.integers(2) else any_as_matrix() * draw("matrix")
            way = rng.integers(4)
            if way == 0:
                return "matrix", xp.softmax(a, axis)
            if way == 1:
                return "matrix", xp.log_softmax(a, axis) / 3
            if way == 2:
                return vector, (xp.softmax(a, axis=axis) * any_as_matrix()).sum(axis)
            return "matrix", xp.layer_norm(a, draw("row"), draw("row"))
        if kind == "matmul":
            a, b = draw("matrix"), draw("matrix")
            way = rng.integers(5)
            if way == 0:
                return "column", a @ draw("row") / np.sqrt(n)
            if way == 1:
                return "row", draw("column") @ b / np.sqrt(m)
            if way == 2:
                return "matrix", (a @ b.T / n) @ draw("matrix")
            if way == 3:
                return "scalar", draw("row") @ draw("row") / n
            return "matrix", a @ xp.tanh(b.T @ xp.broadcast_to(any_as_matrix(), (m, n))) / np.sqrt(n)
        if kind == "view":
            a = draw("matrix")
            way = rng.integers(5)
            if way == 0:
                return "matrix", a[::-1, ::-1]
            if way == 1:
                return "matrix", a.reshape((n, m)).T
            if way == 2:
                k = int(rng.integers(m + 1))
                return "matrix", xp.concat([a[k:], draw("matrix")[:k]], axis=0)
            if way == 3:
                return "matrix", xp.flip(a, axis=axis)
            return "matrix", xp.concat([a[:, 1::2], a[:, ::2]], axis=1)
        if kind == "gather":
            a = draw("matrix")
            if axis:
                return "matrix", a[:, xp.asarray(rng.integers(-n, n, n))]
            return "matrix", a[xp.asarray(rng.integers(-m, m, m))]
        if kind == "pick":
            a = draw("matrix")
            if axis:
                return "column", a[:, int(rng.integers(-n, n))]
            return "row", a[int(rng.integers(-m, m))]
        if kind == "where":
            mask = xp.asarray(rng.integers(0, 2, [(m, n), (m, 1), (n,)][rng.integers(3)]).astype(bool))
            return "matrix", xp.where(mask, draw("matrix"), any_as_matrix())
        if kind == "where_of_comparison":  # whose untaken branch has no derivative
            a = draw("matrix")
            return "matrix", xp.where(a > 0.3, xp.tanh(xp.sqrt(a - 0.3) ** 9), 0.0) + 0.1 * a
        if kind == "mask":
            mask = rng.integers(0, 2, (m, n)).astype(bool)
            mask[0, 0] = True
            return "scalar", xp.mean(draw("matrix")[xp.asarray(mask)])
        if kind == "scan":
            a, count = draw("matrix"), self.shape[axis]
            way = rng.integers(4)
            if way == 0:
                return "matrix", xp.cumulative_sum(a, axis=axis) / np.sqrt(count)
            if way == 1:
                return "matrix", xp.cumulative_prod(1 + a / count, axis=axis)
            if way == 2:
                return "matrix", xp.logcumsumexp(a, axis=axis) / 3
            steps = 6.0 * rng.permuted(
                np.broadcast_to(np.arange(count), (self.shape[1 - axis], count)), axis=1
            )
            steps = steps if axis else steps.T
            return "matrix", xp.cummax(xp.asarray(steps) + a, axis=axis) - xp.asarray(
                NUMPY.cummax(steps, axis)
            )
        if kind == "write":
            written = xp.copy(draw("matrix"))
            way = rng.integers(3)
            if way == 0:
                written[int(rng.integers(m))] = xp.sin(draw("row"))
            elif way == 1:
                written[:, ::2] += draw("column")[:, None]
            else:
                rows = xp.asarray(rng.integers(0, m, 3))
                written = xp.scatter_add(written, rows, draw("matrix")[rows] * 0.5)
            return "matrix", written
        assert kind == "loss"
        return "scalar", xp.cross_entropy(draw("matrix"), xp.asarray(rng.integers(0, n, m)))


def dot(xs, ys):
    return sum((x * y).sum() for x, y in zip(xs, ys, strict=True))


def numbers(tensors):
    return [t.cpu().numpy() for t in tensors]


def close(found, expected, rtol, what, scale=0.0):
    for f, e in zip(found, expected, strict=True):
        e = np.asarray(e)
        atol = rtol * max(np.abs(e).max(initial=0.0), scale)
        np.testing.assert_allclose(f, e, rtol=rtol, atol=atol, err_msg=what)


class Checked:
    """A program, its arguments and a direction, as arrays and as tensors."""

    def __init__(self, seed, shapes, steps):
        self.program = Program(seed, shapes, steps)
        self.what = f"seed {seed}, {self.program.shape}, {[kind for kind, _ in self.program.steps]}"
        self.arrays, self.direction = self.program.arguments, self.program.direction
        self.inputs = tuple(td.tensor(a) for a in self.arrays)
        self.tangents = tuple(td.tensor(d) for d in self.direction)

    def f(self, *inputs):
        return self.program(TIDU, *inputs)

    def moved(self, h):
        return [a + h * d for a, d in zip(self.arrays, self.direction, strict=True)]

    def in_numpy(self, h):
        with np.errstate(invalid="ignore"):  # in the branch that `where` does not take
            return self.program(NUMPY, *self.moved(h))

    def leaves(self):
        leaves = [td.tensor(a) for a in self.arrays]
        for leaf in leaves:
            leaf.requires_grad = True
        return leaves

    def difference(self, of, h):
        """The derivative of a function of the step, by the five-point formula."""
        near, far = of(h) - of(-h), of(2 * h) - of(-2 * h)
        return (8 * near - far) / (12 * h)

    def by_directions(self, f):
        """The derivative of a function of all inputs in the direction, by forward mode."""
        return lambda *inputs: td.jvp(f, inputs, self.tangents)[1]

    def by_gradient(self, f):
        return lambda *inputs: dot(td.grad(f, (0, 1, 2))(*inputs), self.tangents)


def check_first_order(c):
    value = c.f(*c.inputs).item()
    assert value == pytest.approx(c.in_numpy(0), rel=1e-11), c.what
    gradient = td.grad(c.f, (0, 1, 2))(*c.inputs)
    slope = dot(numbers(gradient), c.direction)
    by_differences = c.difference(c.in_numpy, 1e-5)
    scale = np.sqrt(sum((g * g).sum().item() for g in gradient))
    assert slope == pytest.approx(by_differences, rel=1e-6, abs=1e-6 * max(scale, 1)), c.what

    derived, tangent = td.jvp(c.f, c.inputs, c.tangents)
    assert derived.item() == value
    assert tangent.item() == pytest.approx(slope, rel=1e-9, abs=1e-10 * scale), c.what

    of_pair, pull = td.vjp(c.f, *c.inputs)
    assert of_pair.item() == value
    for weight in (1.0, -2.5):  # a pullback may be used again
        close(
            numbers(pull(td.tensor(weight, dtype=td.float64))),
            [weight * g for g in numbers(gradient)],
            1e-12,
            c.what,
        )

    leaves = c.leaves()
    c.f(*leaves).backward()
    close([leaf.grad.cpu().numpy() for leaf in leaves], numbers(gradient), 1e-12, c.what)
    return gradient, slope, scale


def check_second_order(c, gradient):
    product = numbers(td.hvp(c.f, c.inputs, c.tangents))  # forward over reverse
    scale = max(np.abs(p).max() for p in product)

    def slope(*inputs):
        return c.by_gradient(c.f)(*inputs)

    def gradients_at(h):
        return np.concatenate(
            [g.cpu().numpy().ravel() for g in td.grad(c.f, (0, 1, 2))(*map(td.tensor, c.moved(h)))]
        )

    flat = np.concatenate([p.ravel() for p in product])
    np.testing.assert_allclose(
        flat, c.difference(gradients_at, 2e-5), rtol=2e-6, atol=2e-6 * max(scale, 1), err_msg=c.what
    )
    of_gradients = td.jvp(td.grad(c.f, (0, 1, 2)), c.inputs, c.tangents)[1]
    by_pullback = td.vjp(td.grad(c.f, (0, 1, 2)), *c.inputs)[1](c.tangents)  # the Hessian is symmetric
    reverse_over_reverse = td.grad(slope, (0, 1, 2))(*c.inputs)
    reverse_over_forward = td.grad(c.by_directions(c.f), (0, 1, 2))(*c.inputs)
    for other in (of_gradients, by_pullback, reverse_over_reverse, reverse_over_forward):
        close(numbers(other), product, 1e-9, c.what, scale)
    curvature = dot(product, c.direction)
    forward_over_forward = c.by_directions(c.by_directions(c.f))(*c.inputs)
    assert forward_over_forward.item() == pytest.approx(curvature, rel=1e-8, abs=1e-9 * scale), c.what

    # The derivatives by what closures hold: of the step along the direction, and of leaves from outside.
    def along(h):
        def shifted(*inputs):
            return c.f(*(x + h * d for x, d in zip(inputs, c.tangents, strict=True)))

        return c.by_gradient(shifted)(*c.inputs)

    zero = td.tensor(0.0, dtype=td.float64)
    for derivative in (td.grad(along)(zero), td.jvp(along, (zero,), (td.ones_like(zero),))[1]):
        assert derivative.item() == pytest.approx(curvature, rel=1e-8, abs=1e-9 * scale), c.what

    leaves = c.leaves()
    with td.no_grad():
        assert not slope(*leaves).requires_grad
    slope(*leaves).backward()
    close([leaf.grad.cpu().numpy() for leaf in leaves], product, 1e-9, c.what, scale)

    leaves = c.leaves()
    c.f(*leaves).backward(create_graph=True)
    close([leaf.grad.detach().cpu().numpy() for leaf in leaves], numbers(gradient), 1e-12, c.what)
    firsts = [leaf.grad for leaf in leaves]
    for leaf in leaves:
        leaf.grad = None
    dot(firsts, c.tangents).backward()
    close(
        [np.zeros(leaf.shape) if leaf.grad is None else leaf.grad.cpu().numpy() for leaf in leaves],
        product,
        1e-9,
        c.what,
        scale,
    )
    return curvature, scale


def check_third_order(c, scale):
    def curvature(*inputs):
        return dot(td.hvp(c.f, inputs, c.tangents), c.tangents)

    def curvature_at(h):
        return curvature(*map(td.tensor, c.moved(h))).item()

    third = td.jvp(curvature, c.inputs, c.tangents)[1].item()
    by_differences = c.difference(curvature_at, 3e-5)
    size = max(scale, abs(third), abs(curvature_at(0)), 1)
    assert third == pytest.approx(by_differences, rel=1e-5, abs=2e-6 * size), c.what
    for modes in (
        (c.by_gradient, c.by_gradient, c.by_gradient),
        (c.by_directions, c.by_directions, c.by_directions),
        (c.by_gradient, c.by_directions, c.by_gradient),
        (c.by_directions, c.by_gradient, c.by_gradient),
    ):
        derivative = c.f
        for mode in modes:
            derivative = mode(derivative)
        assert derivative(*c.inputs).item() == pytest.approx(third, rel=1e-7, abs=1e-8 * size), c.what
    _, jet = td.jet(c.f, c.inputs, [(tangent, None, None) for tangent in c.tangents])
    assert jet[1].item() == pytest.approx(curvature(*c.inputs).item(), rel=1e-7, abs=1e-8 * size), c.what
    assert jet[2].item() == pytest.approx(third, rel=1e-7, abs=1e-8 * size), c.what


def check_replay(c):
    """Programs of the function and of its derivatives, replayed elsewhere."""
    there = [td.tensor(a) for a in c.moved(0.125)]
    # Laid out otherwise, which a program must not notice.
    there[0] = td.tensor(np.asfortranarray(there[0].cpu().numpy()).T).T
    for function in (
        c.f,
        td.grad(c.f, (0, 1, 2)),
        c.by_directions(c.f),
        lambda *inputs: td.hvp(c.f, inputs, c.tangents),
        lambda *inputs: td.jet(c.f, inputs, [(tangent, None) for tangent in c.tangents])[1],
    ):
        expected = td.tree_leaves(function(*there))
        scale = max(np.abs(e.cpu().numpy()).max() for e in expected)
        found = td.tree_leaves(td.program(function, *c.inputs)(*there))
        close(numbers(found), numbers(expected), 1e-10, c.what, scale)
    program = td.program(c.f, *c.inputs)
    gradient = td.grad(c.f, (0, 1, 2))(*there)
    scale = max(np.abs(g).max() for g in numbers(gradient))
    close(numbers(td.grad(program, (0, 1, 2))(*there)), numbers(gradient), 1e-10, c.what, scale)


@pytest.mark.parametrize("block", range(8))
def test_small_programs_in_every_mode(block):
    for seed in range(10 * block, 10 * block + 10):
        c = Checked(seed, SMALL, steps=4 + seed % 5)
        gradient, _, _ = check_first_order(c)
        _, scale = check_second_order(c, gradient)
        check_third_order(c, scale)
        check_replay(c)


@pytest.mark.cpu_only("sizes that an emulated device would take too long for")
@pytest.mark.parametrize("block", range(6))
def test_programs_over_a_block(block):
    for seed in range(1000 + 5 * block, 1005 + 5 * block):
        c = Checked(seed, LARGE, steps=5)
        gradient, _, _ = check_first_order(c)
        check_second_order(c, gradient)
        check_replay(c)
