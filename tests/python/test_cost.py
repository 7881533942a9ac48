"""What functions and their derivatives cost, as counted: against hand counts and what a replay allocates."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import samplers as ops
import tidu as td

sys.path.append(str(Path(__file__).parents[2] / "bench"))
from libraries import Tidu
from problems import PROBLEMS, problem

pytestmark = pytest.mark.cpu_only(reason="counts of programs, which are the same, and the cpu's allocator")

# Sizes at which counts are taken: large enough that what is left out of a hand count is small.
SIZES = {
    "linear regression": (200, 16),
    "logistic regression": (200, 16),
    "multinomial regression": (200, 16, 5),
    "two-layer network": (64, 48, 32, 10),
    "Gaussian likelihood": (2000, 32),
    "matrix factorisation": (40, 48, 12),
    "gmm": (300, 8, 5),
    "lstm": (6, 2, 14),
    "lse": (1000,),
    "llsq": (400, 32),
    "kmeans": (200, 4, 5),
    "ode": (12, 10),
    "det": (8,),
}


def counted(name, matrix=False):
    x, _, data, f = problem(Tidu(), name, SIZES[name])
    return td.cost(f, x, *data, matrix=matrix)


def flops(report, name="f"):
    counts = report[name]["flops"]
    return counts["multiply_adds"], counts["arithmetic"], counts["transcendental"]


# --- Operations


def test_operations_by_class():
    a, b = td.ones((3, 4)), td.ones((4, 5))
    report = td.cost(lambda a: (td.exp(a @ b) * 2).sum(), a)
    assert flops(report) == (3 * 5 * 4, 15 + 15, 15)
    assert report["f"]["flops"]["total"] == 2 * 60 + 30 + 15
    # (2 exp(..)) b^T: the derivative of exp is exp, and the sum is not used.
    assert flops(report, "gradient") == (60 + 60, 15, 15)
    assert report.ratio("gradient") == 270 / 165


@pytest.mark.parametrize(("rank", "groups", "stride"), [(1, 1, 1), (2, 1, 2), (2, 3, 1), (3, 2, 1)])
def test_convolutions_count_a_window_for_each_element(rank, groups, stride):
    channels, kernels, extent, reach = 2 * groups, 5 * groups, 7, 3
    x = td.ones((4, channels, *[extent] * rank))
    w = td.ones((kernels, channels // groups, *[reach] * rank))
    convolution = getattr(td.nn.functional, f"conv{rank}d")
    f = lambda x, w: convolution(x, w, stride=stride, groups=groups)
    elements = 4 * kernels * ((extent - reach) // stride + 1) ** rank
    assert flops(td.cost(f, x, w)) == (elements * channels // groups * reach**rank, 0, 0)


attention = td.nn.functional.scaled_dot_product_attention


@pytest.mark.parametrize(
    ("f", "shapes", "expected"),
    [
        (td.linalg.cholesky, [(4, 4)], (10, 10, 0)),
        (td.linalg.solve_triangular, [(4, 4), (4, 3)], (18, 12, 0)),
        (lambda a: td.linalg.lu_factor(a)[0], [(2, 4, 4)], (28, 24, 0)),
        # Golub and Van Loan, "Matrix Computations", 4th edition: n^2 (m - n / 3) each for R and for Q; half
        # of 6 m n^2 + 20 n^3 and of 4 m^2 n + 22 n^3 for singular values with some and with all vectors
        (td.linalg.qr, [(6, 4)], (74 + 74, 0, 0)),
        (lambda a: td.linalg.svd(a, full_matrices=False), [(6, 4)], (288 + 640, 0, 0)),
        (lambda a: td.linalg.svd(a, full_matrices=True), [(6, 4)], (288 + 704, 0, 0)),
        (td.linalg.eigh, [(4, 4)], (9 * 32, 0, 0)),
        (td.linalg.solve, [(4, 4), (4, 3)], (14 + 18 + 18, 12 + 12, 0)),
        (lambda a: td.nn.functional.softmax(a), [(3, 5)], (0, 60, 15)),
        (lambda a: td.logsumexp(a, axis=1), [(3, 5)], (0, 45, 15)),
        (lambda a: a[1:].T.reshape(2, 6)[:, ::2], [(4, 4)], (0, 0, 0)),
        (lambda a, w, b: td.nn.functional.linear(a, w, b), [(3, 4), (5, 4), (5,)], (60, 15, 0)),
        (lambda a: td.argsort(a), [(3, 5)], (0, 15 * 3, 0)),  # n log2(n)
        (lambda a: td.sort(a), [(3, 5)], (0, 15 * 3, 0)),
        (lambda a: td.argsort(a), [(2, 16)], (0, 32 * 5, 0)),
        (attention, [(2, 3, 4), (2, 5, 4), (2, 5, 6)], (30 * (4 + 6), 30 * 4, 30)),
        (
            lambda q, k, v: td.grad(lambda *a: td.sum(attention(*a)), argnums=(0, 1, 2))(q, k, v),
            [(2, 3, 4), (2, 5, 4), (2, 5, 6)],
            (30 * (4 + 6) + 30 * (3 * 4 + 2 * 6), 2 * 30 * 4, 2 * 30),
        ),
        (td.linalg.cholesky, [(2, 4, 4)], (20, 20, 0)),
        (lambda a, b: td.linalg.solve_triangular(a, b, unit_diagonal=True), [(4, 4), (4, 3)], (18, 0, 0)),
        (lambda a: td.fft.rfft(a), [(3, 8)], (0, 180, 0)),
        (lambda a: td.fft.rfft(a), [(2, 9)], (0, 180, 0)),
        (lambda a: td.fft.rfft(a), [(2, 1)], (0, 0, 0)),
        (lambda a: td.fft.fft(td.view_as_complex(a), axis=0), [(8, 3, 2)], (0, 5 * 3 * 8 * 3, 0)),
    ],
)
def test_operations_of_primitives(f, shapes, expected):
    assert flops(td.cost(f, *(td.ones(shape) for shape in shapes), matrix=False)) == expected


@pytest.mark.parametrize("name", ops.PRIMITIVES)
def test_every_primitive_with_kernels_says_what_it_costs(name):
    primitive = ops.PRIMITIVES[name]
    unknown = ("cond", "while_loop", "ode_steps")  # which way these go is not known
    by_parts = primitive["evaluate"] and name not in unknown
    assert primitive["flops"] != (primitive["view"] or by_parts)


def test_equal_calls_count_once_and_unused_ones_not():
    x = td.ones(8)
    once = td.cost(lambda x: (td.exp(x) * td.exp(x)).sum(), x)
    twice = td.cost(
        lambda x: (td.exp(x) * td.exp(td.permute_dims(x.reshape(4, 2).T, (1, 0)).reshape(8))).sum(), x
    )
    assert flops(once) == flops(twice) == (0, 8 + 8, 8)

    def with_unused(x):
        td.sin(x)
        return td.exp(x).sum()

    assert flops(td.cost(with_unused, x)) == (0, 8, 8)
    assert flops(td.cost(lambda x: (1 * x * td.ones(8)).sum(), x)) == (0, 8, 0)
    # Numbers are equal, however often they are written.
    assert flops(td.cost(lambda x: ((2.5 * x) * (2.5 * x)).sum(), x)) == (0, 8 + 8 + 8, 0)


def test_a_simplified_program_gives_the_same_bits():
    x = td.asarray(np.random.default_rng(0).standard_normal((4, 4)).astype(np.float32))

    def f(x):
        y = td.linalg.solve(x @ x.T + td.eye(4), td.sin(x)) + td.sin(x)
        return y.sum(), td.linalg.slogdet(x)[1], td.linalg.matrix_exp(x)

    program = td.program(f, x)._recorded
    for given in (x, x.T):
        for a, b in zip(program([given]), program.simplified()([given]), strict=True):
            np.testing.assert_array_equal(a.numpy(), b.numpy())
    assert all(call[0] not in ("solve", "slogdet", "matrix_exp") for call in program.simplified().calls)


def left_of(f, dtype):
    """The calls of a function of two matrices that simplifying leaves."""
    x = td.ones((2, 3), dtype=dtype)
    return [call[0] for call in td.program(f, x, x)._recorded.simplified().calls]


def put(x, y, key):
    x = td.copy(x)
    x[key] = y
    return x


@pytest.mark.parametrize(
    ("f", "dtype", "calls"),
    [
        (lambda x, y: x * 1, td.float32, []),
        (lambda x, y: 1 * x, td.float32, []),
        (lambda x, y: x * td.ones((2, 3)), td.float32, []),
        (lambda x, y: x / 1, td.float32, []),
        (lambda x, y: x - 0.0, td.float32, []),
        (lambda x, y: x + -0.0, td.float32, []),
        (lambda x, y: -0.0 + x, td.float32, []),
        (lambda x, y: x + 0, td.int32, []),
        (lambda x, y: -td.negative(x), td.float32, []),
        # not where a bit may change: of -0 + 0, of -0 - -0, of what is rounded or divided
        (lambda x, y: x + 0.0, td.float32, ["add"]),
        (lambda x, y: x - -0.0, td.float32, ["subtract"]),
        (lambda x, y: 0.0 - x, td.float32, ["subtract"]),
        (lambda x, y: 1 / x, td.float32, ["divide"]),
        (lambda x, y: x * -1, td.float32, ["multiply"]),
        (lambda x, y: x * 1.0000001, td.float32, ["multiply"]),
        (lambda x, y: x / 2, td.float32, ["divide"]),
        (lambda x, y: x * y, td.float32, ["multiply"]),
        (lambda x, y: -td.abs(x), td.float32, ["abs", "negative"]),
        # what is written whole, and what is not
        (lambda x, y: put(x, y * 2, slice(None)), td.float32, ["multiply"]),
        (lambda x, y: put(x, y * 2, slice(None, None, -1)), td.float32, ["multiply", "slice_update"]),
        (lambda x, y: put(x, y[:1] * 2, slice(1)), td.float32, ["slice", "multiply", "slice_update"]),
    ],
)
def test_calls_that_change_no_bit_are_left_out(f, dtype, calls):
    left = [
        name for name in left_of(f, dtype) if name not in ("full", "broadcast_to", "reshape", "expand_dims")
    ]
    assert left == calls


def test_functions_with_rules_of_their_own_are_what_they_compute():
    @td.custom_vjp
    def cube(x):
        return x * x * x

    cube.defvjp(lambda x: (x * x * x, x), lambda x, g: (3 * x * x * g,))
    report = td.cost(lambda x: cube(x).sum(), td.ones(10))
    assert flops(report) == (0, 30, 0)
    assert flops(report, "gradient") == (0, 20, 0)


def test_control_flow_is_unrolled_where_its_way_is_known():
    def by_scan(x, xs):
        return td.scan(lambda carry, s: (td.sin(carry) * s, carry.sum()), x, xs)

    def by_loop(x, xs):
        carries = [x]
        for i in range(5):
            carries.append(td.sin(carries[-1]) * xs[i])
        return carries[-1], td.stack([carry.sum() for carry in carries[:-1]])

    x, xs = td.ones(8), td.ones((5, 8))
    for f in (by_scan, td.checkpoint(by_scan)):
        assert (
            td.cost(f, x, xs, matrix=False)["f"]["flops"]
            == td.cost(by_loop, x, xs, matrix=False)["f"]["flops"]
        )
    recorded = td.program(by_scan, x, xs)._recorded
    for a, b in zip(recorded([x, xs]), recorded.simplified()([x, xs]), strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


# --- Aims

# What a hand-written product of Hessian and vector takes at those sizes. Products of matrices of m x k and
# k x n are 2 m k n, the rest is counted an array at a time.
HAND = {
    # 2 X^T (X v)
    "linear regression": lambda n, d: 4 * n * d + n,
    # With s = sigmoid(X w): X^T (s (1 - s) X v).
    "logistic regression": lambda n, d: 6 * n * d + 4 * n,
    # With P = softmax(X W), which is 5 an element, and U = X V: X^T (P U - P sum(P U)).
    "multinomial regression": lambda n, d, k: 6 * n * d * k + 9 * n * k,
    # Three products with X. Forward once and along the direction by both factors; the same backward. Of
    # hidden units 12 operations each, of scores 14.
    "two-layer network": lambda n, d, h, k: 6 * n * d * h + 16 * n * h * k + 12 * n * h + 14 * n * k,
    # W = L^-1 X, A = L^-1 V, dW = -A W, W W^T, dW W^T + W dW^T; L^-T of both, and V^T L^-T W W^T.
    "Gaussian likelihood": lambda n, d: 9 * d * d * n + 5 * d**3,
    # R and its tangent by both factors; the same of both gradients.
    "matrix factorisation": lambda m, n, r: 14 * m * n * r + 2 * m * n,
    # The products Q (x - m), of Q^T and of (x - m)^T, each along the direction by both factors; 13 operations
    # for each element of Q (x - m), and 10 for each score.
    "gmm": lambda n, d, k: 16 * n * k * d * d + 13 * n * k * d + 10 * n * k,
    # With p = softmax(x): p (v - <p, v>).
    "lse": lambda n: 9 * n,
    # P^T (P v)
    "llsq": lambda n, m: 4 * n * m,
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_gradients_and_products_of_hessians_cost_little(name):
    report = counted(name)
    # Of det the rule is right for singular matrices too: it is made of singular values, at some 60 times det.
    # A scan's gradient computes each step anew: unrolled, lstm's would be at most 3 too.
    if name != "det":
        assert report.ratio("gradient") <= (5 if name == "lstm" else 3)
    assert report.ratio("hvp", to="gradient") <= 3
    if name in HAND:
        assert report["hvp"]["flops"]["total"] <= 1.05 * HAND[name](*SIZES[name])


def test_gradients_by_triangles_leave_out_a_quarter_of_the_product():
    n, k = 64, 4096
    b = td.ones((n, k))
    solve = lambda a: td.linalg.solve_triangular(a, b).sum()
    counts = td.cost(solve, td.eye(n), matrix=False)
    assert flops(counts)[0] == k * n * (n - 1) // 2
    products = flops(counts, "gradient")[0] - flops(counts)[0]
    assert 0.75 * n * n * k <= products <= 0.8 * n * n * k
    x, _, data, f = problem(Tidu(), "Gaussian likelihood", (1000, 64))
    report = td.cost(f, x, *data, matrix=False)
    assert report.ratio("gradient") <= 3
    assert report.ratio("hvp", to="gradient") <= 3


def test_slices_of_one_tensor_do_not_cost_a_tensor_each():
    def rows(x):
        return sum((x[i] * (i + 2.0)).sum() for i in range(64))

    gradient = td.cost(rows, td.ones((64, 100)), matrix=False)["gradient"]
    # Each row is a number, spread; together they are one copy.
    assert gradient["bytes"] < 4 * (2 * 6400 + 64 * 10)
    assert gradient["flops"]["total"] <= 64


# --- Bytes


def test_bytes_of_calls_and_of_groups():
    n = 1000

    def f(x, y):
        return td.exp(x * y + x).sum()

    x = td.ones(n)
    counts = td.cost(f, x, x, matrix=False)["f"]
    # multiply, add and exp read 2, 2 and 1 vectors and write one each; the sum reads one.
    assert counts["bytes"] == 4 * (9 * n + 1)
    assert counts["bytes_in_groups"] == 4 * (2 * n + n + n + 1)
    # A broadcast operand is as large as what it repeats.
    assert td.cost(lambda x, row: x + row, td.ones((10, 20)), td.ones(20))["f"]["bytes"] == 4 * (
        200 + 20 + 200
    )


def test_a_group_does_not_wait_for_itself():
    # exp and the product cannot be one pass: the sum between them needs all of exp.
    def f(x):
        y = td.exp(x)
        return y * y.sum()

    counts = td.cost(f, td.ones(100), matrix=False)["f"]
    assert counts["bytes_in_groups"] == counts["bytes"] == 4 * (200 + 101 + 201)


# --- Memory


def peak_of(run, *args):
    """What the allocator gives out at most while a call runs, its results included."""
    before = td.cpu.memory_stats()["live_bytes"]
    td.cpu.reset_peak_memory()
    result = run(*args)
    peak = td.cpu.memory_stats()["peak_bytes"] - before
    del result
    return peak


def programs_of(name):
    x, v, data, f = problem(Tidu(), name, SIZES[name])
    yield "f", td.program(f, x, *data)._recorded, (x, *data)
    yield "gradient", td.program(td.grad(f), x, *data)._recorded, (x, *data)
    hvp = td.program(lambda x, v, *data: td.hvp(lambda x: f(x, *data), x, v), x, v, *data)
    yield "hvp", hvp._recorded, (x, v, *data)


@pytest.mark.parametrize("name", PROBLEMS)
def test_predicted_peak_is_what_a_replay_allocates(name):
    report = counted(name)
    for part, recorded, arguments in programs_of(name):
        program, leaves = recorded.simplified(), td.tree_leaves(arguments)
        assert program.cost().items() < report[part].items()
        assert peak_of(program, leaves) == report[part]["peak_bytes"], part


@pytest.mark.parametrize("name", PROBLEMS)
def test_a_compiled_call_allocates_what_was_predicted(name):
    x, _, data, f = problem(Tidu(), name, SIZES[name])
    report = td.cost(f, x, *data, matrix=False)
    for part, function in (("f", f), ("gradient", td.grad(f))):
        compiled = td.compile(function)
        compiled.explain(x, *data)  # makes it ready
        assert peak_of(compiled, x, *data) == report[part]["compiled_bytes"], part


def test_predicted_peak_of_a_hessian_and_of_writes():
    x, _, data, f = problem(Tidu(), "llsq", SIZES["llsq"])
    program = td.program(td.hessian(f), x, *data)._recorded.simplified()
    predicted = counted("llsq", matrix=True)["hessian"]["peak_bytes"]
    assert peak_of(program, [x, *data]) == predicted

    def write(x):
        x[2:5] = td.exp(x[:3])
        return x.sum()

    y = td.ones(100)
    program = td.program(write, y)._recorded.simplified()
    assert peak_of(program, [y]) == program.cost()["peak_bytes"]


def test_values_go_after_their_last_use():
    n = 10000

    def chain(x):
        for _ in range(20):
            x = td.sin(x)
        return x

    x = td.ones(n)
    assert td.cost(chain, x, matrix=False)["f"]["peak_bytes"] == 2 * 4 * n
    assert peak_of(td.program(chain, x), x) == 2 * 4 * n


@pytest.mark.parametrize("name", PROBLEMS)
def test_an_arena_holds_what_is_alive_and_little_more(name):
    report = counted(name)
    for part in ("f", "gradient", "hvp"):
        alive, arena = report[part]["peak_bytes"], report[part]["arena_bytes"]
        assert alive <= arena <= 1.25 * alive + 64 * report[part]["calls"]


# --- The report


def test_report_as_text_html_and_json():
    report = td.cost(lambda x: (x * x).sum(), td.ones(3))
    assert list(report.counts) == ["f", "gradient", "hvp", "hessian"]
    lines = str(report).splitlines()
    assert lines[0].split() == ["f", "gradient", "/", "f", "hvp", "/", "f", "hessian", "/", "f"]
    assert lines[1].split()[:2] == ["flops", "6"]
    assert report._repr_html_().count("<tr>") == len(lines)
    parsed = json.loads(report.json())
    assert parsed["version"] == 1
    assert parsed["counts"]["f"]["flops"] == {
        "multiply_adds": 0,
        "arithmetic": 6,
        "transcendental": 0,
        "total": 6,
    }
    assert parsed["ratios"]["gradient"]["flops"] == report.ratio("gradient")


def test_other_functions_have_jvp_and_vjp():
    x = td.ones(4)
    report = td.cost(lambda x, a: a @ td.sin(x), x, td.ones((3, 4)))
    assert list(report.counts) == ["f", "jvp", "vjp", "jacobian"]
    assert report["jvp"]["flops"]["multiply_adds"] == report["vjp"]["flops"]["multiply_adds"] == 12
    assert list(td.cost(lambda x: td.argmax(x), x).counts) == ["f"]


def test_arguments():
    x, y = td.ones(3), {"a": td.ones((2, 3)), "b": [2.0, None]}
    report = td.cost(lambda x, y: (y["a"] @ x).sum() * y["b"][0], x, y)
    assert report["f"]["argument_bytes"] == 4 * (3 + 6 + 1)
    assert report["gradient"]["flops"]["multiply_adds"] == 6
    by_both = td.cost(lambda x, a: (a @ x).sum(), x, y["a"], argnums=(0, -1))
    assert by_both["gradient"]["flops"]["multiply_adds"] == 12
    assert "hessian" not in td.cost(lambda x: x.sum(), td.ones(1025)).counts
    with pytest.raises(td.DTypeError, match="cost"):
        td.cost(lambda x: x.sum(), td.arange(3))
    with pytest.raises(td.TraceError):
        td.cost(lambda x: x.sum() * x.sum().item(), x)


def test_nothing_is_run():
    n = 1_000_000
    x = td.zeros(n)
    assert peak_of(lambda: td.cost(lambda x: td.exp(td.sin(x)).sum(), x, matrix=False)) < 1000


def test_branches_count_the_dearer_and_loops_one_round():
    x = td.ones(100)
    cheap, dear = lambda x: td.sum(x), lambda x: td.sum(td.exp(x) * x)
    both = lambda x: td.cond(td.sum(x) > 0, cheap, dear, x)
    counts, of_dear, of_test = (td.cost(f, x)["f"]["flops"] for f in (both, dear, lambda x: td.sum(x) > 0))
    assert counts["transcendental"] == 100
    assert counts["total"] == of_dear["total"] + of_test["total"]
    rounds = lambda x: td.sum(td.while_loop(lambda c: td.sum(c) < 1000, lambda c: td.exp(c), x))
    loop = lambda x: td.while_loop(lambda c: td.sum(c) < 1000, td.exp, x)
    assert td.cost(loop, x, argnums=())["f"]["flops"] == {
        "multiply_adds": 0,
        "arithmetic": 101,
        "transcendental": 100,
        "total": 201,
    }
    with pytest.raises(td.GradientError, match="max_steps"):
        td.cost(rounds, x)
    assert td.cost(td.checkpoint(rounds, budget=10**6), x, argnums=())["f"]["calls"] > 0
