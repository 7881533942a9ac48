"""Minimisation with reports, LBFGS and NewtonCG over parameters, standard errors: against closed forms,
SciPy and the digits that statsmodels 0.15 prints."""

import dataclasses
import math
import signal
import time

import numpy as np
import pytest
import scipy.optimize
import tidu as td

METHODS = ["lbfgs", "newton-cg", "gradient-descent", "gradient-flow"]
EACH = pytest.mark.parametrize("method", METHODS)
DTYPES = pytest.mark.parametrize("dtype", [td.float64, td.float32])
minimize = td.optim.minimize


def numpy_of(x):
    return x.detach().cpu().numpy()


def rosenbrock(x):
    return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()


def quadratic(eigenvalues, dtype=td.float64, seed=0):
    """f = <x, A x> / 2 - <b, x>, and its minimum by NumPy."""
    draw = np.random.default_rng(seed)
    n = len(eigenvalues)
    q = np.linalg.qr(draw.normal(size=(n, n)))[0]
    a, b = (q * eigenvalues) @ q.T, draw.normal(size=n)
    at, bt = td.tensor(a, dtype=dtype), td.tensor(b, dtype=dtype)
    return lambda x: (x * (at @ x)).sum() / 2 - (bt * x).sum(), np.linalg.solve(a, b), a, b


# --- minimize


@DTYPES
@pytest.mark.parametrize("n", [2, 100])
@pytest.mark.parametrize("method", METHODS[:2])
def test_rosenbrock(method, n, dtype):
    start = td.tensor(np.resize([-1.2, 1.0], n) if n == 2 else np.full(n, 0.3), dtype=dtype)
    report = minimize(rosenbrock, start, method)
    assert report.converged and report.x.dtype == dtype
    tolerance = 1e-7 if dtype == td.float64 else 2e-3
    np.testing.assert_allclose(numpy_of(report.x), 1, atol=tolerance)
    assert report.value == rosenbrock(report.x).item()
    gradient = numpy_of(td.grad(rosenbrock)(report.x)).astype(np.float64)
    assert math.isclose(report.gradient_norm, np.linalg.norm(gradient), rel_tol=1e-12)
    assert report.gradient_norm <= math.sqrt(np.finfo(str(dtype).removeprefix("tidu.")).eps)
    assert report.iterations < (60 if n == 2 else 600)


@EACH
@DTYPES
def test_quadratics(method, dtype):
    f, expected, *_ = quadratic(np.linspace(1, 10, 8), dtype)
    report = minimize(f, td.zeros(8, dtype=dtype), method)
    assert report.converged
    np.testing.assert_allclose(numpy_of(report.x), expected, atol=1e-7 if dtype == td.float64 else 1e-3)


def test_newton_on_a_quadratic_takes_one_pass_inside_a_wide_region():
    f, expected, *_ = quadratic(np.full(6, 2.0))
    report = minimize(f, td.zeros(6, dtype=td.float64), "newton-cg", radius=1e3)
    assert (report.iterations, report.hvp_evaluations, report.f_evaluations) == (1, 1, 2)
    np.testing.assert_allclose(numpy_of(report.x), expected, rtol=1e-12)


@pytest.mark.parametrize("method", METHODS)
def test_logistic_regression_has_the_minimum_that_scipy_finds(method):
    draw = np.random.default_rng(2)
    x, w = draw.normal(size=(200, 3)), np.array([1.0, -2.0, 0.5])
    y = (draw.uniform(size=200) < 1 / (1 + np.exp(-x @ w))).astype(float)
    loss = lambda w, z=None: np.logaddexp(0, x @ w).sum() - y @ (x @ w) + 0.5 * w @ w
    slope = lambda w: x.T @ (1 / (1 + np.exp(-x @ w)) - y) + w
    expected = scipy.optimize.root(slope, w, tol=1e-14).x
    xt, yt = td.tensor(x), td.tensor(y)

    def f(w):
        z = xt @ w
        return td.logaddexp(td.zeros_like(z), z).sum() - (yt * z).sum() + 0.5 * (w * w).sum()

    report = minimize(f, td.zeros(3, dtype=td.float64), method, gtol=1e-6)
    assert report.converged
    np.testing.assert_allclose(numpy_of(report.x), expected, atol=1e-7)
    assert math.isclose(report.value, loss(expected), rel_tol=1e-12)


@dataclasses.dataclass
class Line:
    slope: object
    offset: object


@EACH
def test_points_are_trees(method):
    def f(p):
        return (p["line"].slope - 2) ** 2 + (p["line"].offset + 1) ** 2 + ((p["rest"][0] - 3) ** 2).sum()

    start = {"line": Line(td.tensor(0.0), 0.5), "rest": [td.zeros((2, 2), dtype=td.float64)]}
    report = minimize(f, start, method)
    assert report.converged and isinstance(report.x["line"], Line)
    assert report.x["line"].slope.dtype == td.float32 and report.x["rest"][0].dtype == td.float64
    assert math.isclose(report.x["line"].slope.item(), 2, abs_tol=1e-3)
    assert math.isclose(report.x["line"].offset.item(), -1, abs_tol=1e-3)
    np.testing.assert_allclose(numpy_of(report.x["rest"][0]), np.full((2, 2), 3), atol=1e-3)
    pair = minimize(lambda a, b: (a - 1) ** 2 + (b - a) ** 2, (0.0, 0.0), method).x
    assert isinstance(pair, tuple) and math.isclose(pair[1].item(), 1, abs_tol=2e-3)


@EACH
def test_a_stationary_start_is_left_as_it_is(method):
    report = minimize(lambda x: (x * x).sum(), td.zeros(3), method)
    assert report.converged and (report.iterations, report.f_evaluations) == (0, 1)
    assert numpy_of(report.x).tolist() == [0, 0, 0]
    assert "at most gtol" in report.reason
    empty = minimize(lambda x: x.sum(), td.zeros((0,)), method)
    assert empty.converged and empty.x.shape == (0,)


@EACH
@pytest.mark.parametrize("scale", [1.0, 1e3])
def test_steps_back_off_where_f_is_not_finite(method, scale):
    """-log x + x has its minimum at 1; left of 0 it is NaN."""
    f = lambda x: (scale * (x - td.log(x))).sum()
    report = minimize(f, td.tensor([0.05, 3.0], dtype=td.float64), method, gtol=1e-6 * scale)
    assert report.converged
    np.testing.assert_allclose(numpy_of(report.x), 1, atol=1e-5)


@EACH
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_walls_all_around_are_reported(method, bad):
    """Finite at the start alone: no step can be taken."""
    f = lambda x: td.where((x == 1).all(), (x * x).sum(), bad + 0 * x.sum())
    report = minimize(f, td.ones(2), method)
    assert not report.converged and "no step lowers f" in report.reason
    assert numpy_of(report.x).tolist() == [1, 1] and report.value == 2


@EACH
def test_what_is_not_finite_at_the_start_is_reported(method):
    for f, reason in (
        (lambda x: td.log(x).sum(), "f is nan at the start"),
        (lambda x: (1 / (x + 1)).sum(), "f is inf at the start"),
        (lambda x: td.sqrt(x + 1).sum(), "the gradient is not finite at the start"),
    ):
        report = minimize(f, td.full((2,), -1.0), method)
        assert not report.converged and report.reason == reason and report.iterations == 0
        assert numpy_of(report.x).tolist() == [-1, -1]


@pytest.mark.parametrize("method", ["lbfgs", "gradient-descent"])
def test_a_function_without_minimum_is_reported(method):
    report = minimize(lambda x: -(x**3).sum(), td.ones(2), method)
    assert not report.converged and "no minimum" in report.reason
    assert -math.inf < report.value < -100 and np.isfinite(numpy_of(report.x)).all()
    report = minimize(lambda x: -(x**3).sum(), td.ones(2), "newton-cg")
    assert not report.converged and report.reason == "products of the Hessian are not finite"


def test_newton_leaves_saddles_by_negative_curvature():
    f = lambda x: x[0] ** 2 - x[1] ** 2 + x[1] ** 4 / 2
    report = minimize(f, td.tensor([1.0, 1e-6], dtype=td.float64), "newton-cg")
    assert report.converged
    np.testing.assert_allclose(np.abs(numpy_of(report.x)), [0, 1], atol=1e-8)
    assert td.classify_stationary_point(f, report.x).kind == "minimum"


@EACH
def test_functions_that_are_not_convex(method):
    f = lambda x: (td.sin(3 * x) + x * x / 10).sum()
    report = minimize(f, td.tensor([0.3, 2.0, -4.0], dtype=td.float64), method, gtol=1e-6)
    assert report.converged and report.value < f(td.tensor([0.3, 2.0, -4.0])).item()
    assert td.classify_stationary_point(f, report.x).kind == "minimum"


def test_newton_reaches_minima_that_early_steps_of_conjugate_gradients_hide():
    """Meyer's function: curvatures from 0.02 to 2e14, where rounding of f hides the steepest steps."""
    t = td.tensor(45.0 + 5 * np.arange(1, 17))
    y = "34780 28610 23650 19630 16370 13720 11540 9744 8261 7030 6005 5147 4427 3820 3307 2872"
    y = td.tensor(np.array(y.split(), float))
    f = lambda x: ((x[0] * td.exp(x[1] / (t + x[2])) - y) ** 2).sum()
    report = minimize(f, td.tensor([0.02, 4000.0, 250.0], dtype=td.float64), "newton-cg")
    assert math.isclose(report.value, 87.94585517, rel_tol=1e-9), str(report)
    np.testing.assert_allclose(numpy_of(report.x), [5.6096364710e-3, 6181.3463463, 345.22363462], rtol=1e-5)


def test_flow_follows_the_path():
    eigenvalues = td.tensor([1.0, 5.0], dtype=td.float64)
    f = lambda x: (eigenvalues * x * x).sum() / 2
    for rtol in (1e-3, 1e-6):
        report = minimize(
            f, td.ones(2, dtype=td.float64), "gradient-flow", time=0.7, rtol=rtol, atol=rtol / 100
        )
        assert report.reason == "the path has come to time 0.7" and not report.converged
        expected = np.exp([-0.7, -3.5])
        np.testing.assert_allclose(numpy_of(report.x), expected, rtol=30 * rtol)


def test_descent_never_rises():
    for method in METHODS:
        values = []
        for limit in range(12):
            report = minimize(rosenbrock, td.tensor([-1.2, 1.0]), method, max_iter=limit)
            assert report.iterations == limit and "max_iter" in report.reason
            values.append(report.value)
        assert values == sorted(values, reverse=True) and values[-1] < values[0] / 2


def test_evaluations_are_counted():
    for method in METHODS:
        calls = [0]

        def f(x, calls=calls):
            calls[0] += 1
            return rosenbrock(x)

        report = minimize(f, td.tensor([0.5, 0.5]), method, max_iter=7)
        assert report.f_evaluations == report.gradient_evaluations
        assert calls[0] == report.f_evaluations + report.hvp_evaluations
        assert (report.hvp_evaluations > 0) == (method == "newton-cg")
        with pytest.raises(dataclasses.FrozenInstanceError):
            report.value = 0.0


@EACH
@pytest.mark.parametrize("ending", ["returns True", "raises StopIteration"])
def test_callbacks_see_each_iteration_and_may_end_it(method, ending):
    f, start = lambda p: rosenbrock(p["x"]), {"x": td.tensor([-1.2, 1.0], dtype=td.float64)}
    seen = []

    def record(x, report):
        assert report.x is x and not report.converged
        seen.append((report.iterations, report.value, numpy_of(x["x"]).tolist()))

    whole = minimize(f, start, method, max_iter=8, callback=record)
    assert [i for i, *_ in seen] == list(range(1, 9)) and seen[-1][1] == whole.value
    assert seen[2][2] == numpy_of(minimize(f, start, method, max_iter=3).x["x"]).tolist()

    def end(x, report):
        if report.iterations == 3 and ending == "raises StopIteration":
            raise StopIteration
        return report.iterations == 3

    ended = minimize(f, start, method, callback=end)
    assert not ended.converged and ended.iterations == 3 and ended.reason == "the callback ended it"
    assert numpy_of(ended.x["x"]).tolist() == seen[2][2]
    with pytest.raises(ZeroDivisionError):
        minimize(f, start, method, callback=lambda x, report: 1 / 0)
    with pytest.raises(TypeError, match=r"\[minimize\] callback must be a function"):
        minimize(f, start, method, callback=3)


@EACH
def test_callbacks_may_be_those_of_scipy(method):
    f, start = rosenbrock, td.tensor([-1.2, 1.0], dtype=td.float64)
    points, reports, pairs, anything = [], [], [], []

    def of_the_report(intermediate_result):
        reports.append(intermediate_result)

    def with_a_default(x, report=None):
        pairs.append((x, report))

    minimize(f, start, method, max_iter=3, callback=lambda xk: points.append(numpy_of(xk)))
    minimize(f, start, method, max_iter=3, callback=of_the_report)
    minimize(f, start, method, max_iter=3, callback=with_a_default)
    minimize(f, start, method, max_iter=3, callback=lambda *args: anything.append(args))
    assert [r.iterations for r in reports] == [r.iterations for _, r in pairs] == [1, 2, 3]
    np.testing.assert_array_equal(points, [numpy_of(r.x) for r in reports])
    assert [len(args) for args in anything] == [2, 2, 2]
    ended = minimize(f, start, method, callback=lambda xk: True)
    assert ended.iterations == 1 and ended.reason == "the callback ended it"
    collected = []
    minimize(f, start, method, max_iter=2, callback=collected.append)
    assert [type(x) for x in collected] == [td.Tensor, td.Tensor]
    with pytest.raises(TypeError, match="takes 0 positional arguments"):
        minimize(f, start, method, callback=lambda: None)


@pytest.mark.parametrize("search", [td.optim.least_squares, td.optim.root])
def test_callbacks_of_least_squares_and_root_may_be_those_of_scipy(search):
    f = lambda x: td.stack([10 * (x[1] - x[0] ** 2), 1 - x[0]])
    start = td.tensor([-1.2, 1.0], dtype=td.float64)
    points, reports = [], []

    def of_the_report(intermediate_result):
        reports.append(intermediate_result)

    search(f, start, max_iter=2, callback=points.append)
    search(f, start, max_iter=2, callback=of_the_report)
    assert [r.iterations for r in reports] == [1, 2]
    np.testing.assert_array_equal([numpy_of(x) for x in points], [numpy_of(r.x) for r in reports])


def test_a_report_prints_as_a_sentence():
    text = str(minimize(lambda x: x * x, td.tensor(0.0)))
    assert text == (
        "converged: the gradient's norm, 0, is at most gtol = 0.000345; f = 0, iterations 0, evaluations of "
        "f 1, of its gradient 1, products of its Hessian 0"
    )


def test_a_large_value_does_not_hide_the_descent():
    """Near the minimum of 1e6 + x^2 differences of float64 values are rounding; slopes are not."""
    for method in METHODS:
        report = minimize(lambda x: 1e6 + ((x - 1) ** 2).sum(), td.zeros(3, dtype=td.float64), method)
        assert report.converged
        np.testing.assert_allclose(numpy_of(report.x), 1, atol=1e-7)


@EACH
def test_the_same_call_gives_the_same_bits(method):
    runs = [minimize(rosenbrock, td.tensor(np.full(10, 0.3)), method, max_iter=15).x for _ in range(2)]
    assert numpy_of(runs[0]).tobytes() == numpy_of(runs[1]).tobytes()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda f, x: minimize(f, x, "bfgs"), ValueError, r"\[minimize\] methods are 'lbfgs', .*not 'bfgs'"),
        (lambda f, x: minimize(f, x, radius=1.0), ValueError, "unknown option radius of 'lbfgs'"),
        (lambda f, x: minimize(f, x, history_size=0), ValueError, "history_size is 0"),
        (lambda f, x: minimize(f, x, "newton-cg", radius=-1), ValueError, "radius is -1"),
        (lambda f, x: minimize(f, x, "gradient-flow", time=0), ValueError, "time is 0"),
        (lambda f, x: minimize(f, x, gtol=-1), ValueError, "gtol is -1"),
        (lambda f, x: minimize(f, x, max_iter=-1), ValueError, "max_iter is -1"),
        (lambda f, x: minimize(f, x, max_iter=2.5), ValueError, "max_iter is 2.5, .* an integer"),
        (lambda f, x: minimize(f, x, gtol="small"), ValueError, "could not convert string"),
        (lambda f, x: minimize(lambda x: x, x), td.ShapeError, "must return one element"),
        (lambda f, x: minimize(lambda x: None, x), TypeError, "returned None"),
        (lambda f, x: minimize(f, td.arange(3)), td.DTypeError, "only floating-point"),
        (
            lambda f, x: td.grad(lambda y: minimize(f, y).x.sum())(x),
            td.GradientError,
            r"\[minimize\].*is being differentiated",
        ),
    ],
)
def test_mistakes_are_named(call, error, message):
    with pytest.raises(error, match=message):
        call(lambda x: (x * x).sum(), td.ones(3))


# --- LBFGS and NewtonCG over parameters

CLASSES = pytest.mark.parametrize("kind", [td.optim.LBFGS, td.optim.NewtonCG])
ALL_CLASSES = dict(
    zip(
        METHODS,
        (td.optim.LBFGS, td.optim.NewtonCG, td.optim.GradientDescent, td.optim.GradientFlow),
        strict=True,
    )
)


def problem(dtype=td.float64):
    """A small network's parameters, and the closure of its regularised loss."""
    draw = np.random.default_rng(5)
    x, y = (td.tensor(draw.normal(size=size), dtype=dtype) for size in ((20, 3), (20, 2)))
    net = td.nn.Sequential(
        td.nn.Linear(3, 4, key=td.random.key(0), dtype=dtype),
        td.nn.Tanh(),
        td.nn.Linear(4, 2, key=td.random.key(1), dtype=dtype),
    )
    loss = lambda: ((net(x) - y) ** 2).mean() + 0.01 * sum((p * p).sum() for p in net.parameters())
    return net, loss


@CLASSES
@DTYPES
def test_parameters_come_to_a_minimum(kind, dtype):
    net, loss = problem(dtype)
    optimizer = kind(net.parameters(), max_iter=500)
    before = loss().item()
    assert optimizer.step(loss).item() == before
    assert optimizer.report.converged and optimizer.report.value < before
    assert optimizer.report.value == loss().item()
    for p, part in zip(net.parameters(), optimizer.report.x, strict=True):
        assert numpy_of(p).tobytes() == numpy_of(part).tobytes()
        assert p.grad is None and p.requires_grad and p.is_leaf


@EACH
def test_classes_and_minimize_agree(method):
    w = td.tensor([-1.2, 1.0], dtype=td.float64, requires_grad=True)
    optimizer = ALL_CLASSES[method]([w], max_iter=12)
    optimizer.step(lambda: rosenbrock(w))
    report = minimize(rosenbrock, td.tensor([-1.2, 1.0], dtype=td.float64), method, max_iter=12)
    np.testing.assert_allclose(numpy_of(w), numpy_of(report.x), rtol=1e-6)
    assert optimizer.report.iterations == report.iterations == 12


def test_steps_follow_the_flow_to_its_time():
    """Of x^2 / 2 it is exp(-t); the steps together take as long as one."""
    w = td.ones(1, dtype=td.float64).requires_grad_(True)
    optimizer = td.optim.GradientFlow([w], time=0.7, rtol=1e-6, atol=1e-9, max_iter=3)
    for _ in range(40):
        optimizer.step(lambda: (w * w).sum() / 2)
    assert optimizer.report.reason == "the path has come to time 0.7"
    assert math.isclose(w.item(), math.exp(-0.7), rel_tol=1e-5)


def test_products_of_the_hessian_need_no_mode():
    """Under no_grad as without it."""
    values = []
    for scope in (td.enable_grad, td.no_grad):
        net, loss = problem()
        with scope():
            optimizer = td.optim.NewtonCG(net.parameters())
            optimizer.step(loss)
        values.append((optimizer.report.value, optimizer.report.hvp_evaluations))
    assert values[0] == values[1] and values[0][1] > 0


def test_ctrl_c_ends_a_step_that_runs_no_python():
    """Thousands of products of the Hessian by the graph of the gradient, in one iteration."""
    w = td.zeros(4000, dtype=td.float64).requires_grad_(True)
    scale = td.tensor(np.geomspace(1, 1e12, 4000))
    seconds = []

    def step():
        optimizer = td.optim.NewtonCG([w], radius=1e9, gtol=0, max_iter=1)
        begin = time.perf_counter()
        try:
            optimizer.step(lambda: (scale * w * w).sum() / 2 - w.sum())
        finally:
            seconds.append(time.perf_counter() - begin)

    def interrupt(number, frame):
        raise KeyboardInterrupt

    step()
    with td.no_grad():
        w[...] = 0
    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, seconds[0] / 10)
    try:
        with pytest.raises(KeyboardInterrupt):
            step()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert seconds[1] < seconds[0] / 2
    assert numpy_of(w).tolist() == [0] * 4000 and w.grad is None


def test_a_closure_may_call_backward():
    runs = []
    for calls in (False, True):
        net, loss = problem()
        optimizer = td.optim.LBFGS(net.parameters())

        def closure(calls=calls, optimizer=optimizer, loss=loss):
            value = loss()
            if calls:
                optimizer.zero_grad()
                value.backward()
            return value

        with td.no_grad():
            optimizer.step(closure)
        runs.append([numpy_of(p).tobytes() for p in net.parameters()])
    assert runs[0] == runs[1]


@EACH
@DTYPES
def test_saved_state_goes_on_with_the_same_bits(method, dtype, tmp_path):
    kind = ALL_CLASSES[method]
    net, loss = problem(dtype)
    whole = kind(net.parameters(), max_iter=4)
    for _ in range(3):
        whole.step(loss)
    td.save(tmp_path / "state", {"net": net.state_dict(), "optimizer": whole.state_dict()})
    for _ in range(3):
        whole.step(loss)

    twin, twin_loss = problem(dtype)
    saved = td.load(tmp_path / "state")
    twin.load_state_dict(saved["net"])
    resumed = kind(twin.parameters())
    resumed.load_state_dict(saved["optimizer"])
    assert resumed.param_groups[0]["max_iter"] == 4
    for _ in range(3):
        resumed.step(twin_loss)
    for a, b in zip(net.parameters(), twin.parameters(), strict=True):
        assert numpy_of(a).tobytes() == numpy_of(b).tobytes()
    assert resumed.param_groups[0]["steps"] == [6] * 4


def test_what_was_learnt_is_used_in_the_next_step():
    counts = []
    for size in (1, 20):
        net, loss = problem()
        optimizer = td.optim.LBFGS(net.parameters(), max_iter=size)
        iterations = 0
        while optimizer.report is None or not optimizer.report.converged:
            optimizer.step(loss)
            iterations += optimizer.report.iterations
        counts.append(iterations)
    assert counts[0] == counts[1]


@EACH
def test_an_interruption_leaves_the_best_point(method):
    kind = ALL_CLASSES[method]
    for at in range(1, 9):
        w = td.tensor([-1.2, 1.0], dtype=td.float64, requires_grad=True)
        seen = []

        def closure(w=w, seen=seen, at=at):
            value = rosenbrock(w)
            seen.append((value.item(), numpy_of(w).tolist()))
            if len(seen) == at:
                raise KeyboardInterrupt
            return value

        with pytest.raises(KeyboardInterrupt):
            kind([w]).step(closure)
        finished = seen[: at - 1] or seen
        assert numpy_of(w).tolist() == min(finished)[1]
        assert w.requires_grad and w.grad is None


@CLASSES
def test_frozen_parameters_stay_as_they_are(kind):
    net, loss = problem()
    optimizer = kind(net.parameters(), max_iter=5)
    optimizer.step(loss)
    net[0].requires_grad_(False)
    before = [numpy_of(p).copy() for p in net.parameters()]
    optimizer.step(loss)
    same = [(numpy_of(p) == old).all() for p, old in zip(net.parameters(), before, strict=True)]
    assert same == [True, True, False, False]
    assert optimizer.param_groups[0]["steps"] == [1, 1, 2, 2]
    net.requires_grad_()
    optimizer.step(loss)
    assert optimizer.param_groups[0]["steps"] == [2, 2, 3, 3]


@CLASSES
def test_a_parameter_that_the_loss_does_not_see_stays(kind):
    w, idle = (td.ones(2, dtype=td.float64).requires_grad_(True) for _ in range(2))
    optimizer = kind([w, idle], max_iter=50)
    optimizer.step(lambda: ((w - 3) ** 2).sum())
    np.testing.assert_allclose(numpy_of(w), 3, rtol=1e-7)
    assert numpy_of(idle).tolist() == [1, 1] and optimizer.report.converged


@CLASSES
def test_a_loss_that_becomes_nan_leaves_finite_parameters(kind):
    w = td.tensor([0.01], dtype=td.float64, requires_grad=True)
    optimizer = kind([w], max_iter=100)
    optimizer.step(lambda: (w - td.log(w)).sum())
    assert optimizer.report.converged and math.isclose(w.item(), 1, rel_tol=1e-7)
    optimizer.step(lambda: (w * math.nan).sum())
    assert optimizer.report.reason == "f is nan at the start" and math.isclose(w.item(), 1, rel_tol=1e-7)


@CLASSES
def test_mistakes_with_parameters_are_named(kind):
    name = kind.__name__
    w = td.ones(2).requires_grad_(True)
    for call, error, message in (
        (
            lambda: kind([{"params": [w]}, {"params": [td.ones(1).requires_grad_(True)]}]),
            ValueError,
            "one group",
        ),
        (lambda: kind([w], max_iter=-1), ValueError, "max_iter is -1"),
        (lambda: kind([w], gtol=math.nan), ValueError, "gtol is nan"),
        (lambda: kind([w]).step(lambda: None), TypeError, "closure must return the loss.*NoneType"),
        (lambda: kind([w]).step(lambda: w * 2), TypeError, "closure must return the loss"),
        (lambda: kind([w]).update([td.ones(2)]), TypeError, "call step"),
        (
            lambda: kind([w]).load_state_dict(td.optim.SGD([w]).state_dict()),
            ValueError,
            "the state is of SGD",
        ),
    ):
        with pytest.raises(error, match=rf"\[{name}\].*{message}"):
            call()
    assert numpy_of(w).tolist() == [1, 1]


def test_newton_wants_the_graph():
    w = td.ones(2).requires_grad_(True)

    def closure():
        loss = (w * w).sum()
        loss.backward()
        return loss

    with pytest.raises(ValueError, match=r"\[NewtonCG\] the closure must leave backward"):
        td.optim.NewtonCG([w]).step(closure)


def test_a_state_of_other_sizes_changes_nothing():
    a, b = td.ones(2).requires_grad_(True), td.ones(3).requires_grad_(True)
    one, other = td.optim.LBFGS([a], max_iter=3), td.optim.LBFGS([b], max_iter=7)
    one.step(lambda: ((a - 3) ** 4).sum())
    with pytest.raises(td.ShapeError, match=r"\[LBFGS\] a vector of the state"):
        other.load_state_dict(one.state_dict())
    assert other.param_groups[0]["max_iter"] == 7


def test_they_print_themselves():
    w = td.ones(2).requires_grad_(True)
    assert repr(td.optim.LBFGS([w])) == "LBFGS(1 parameter, history_size=10, max_iter=20, gtol=None)"
    assert repr(td.optim.NewtonCG([w])) == "NewtonCG(1 parameter, radius=1.0, max_iter=20, gtol=None)"
    assert repr(td.optim.GradientDescent([w])) == "GradientDescent(1 parameter, max_iter=20, gtol=None)"


# --- Standard errors

# Students of economics: grade point average, test score, method of teaching, and whether the grade improved
# (Spector and Mazzeo 1980).
SPECTOR = """
2.66 20 0 0  2.89 22 0 0  3.28 24 0 0  2.92 12 0 0  4.00 21 0 1  2.86 17 0 0  2.76 17 0 0  2.87 21 0 0
3.03 25 0 0  3.92 29 0 1  2.63 20 0 0  3.32 23 0 0  3.57 23 0 0  3.26 25 0 1  3.53 26 0 0  2.74 19 0 0
2.75 25 0 0  2.83 19 0 0  3.12 23 1 0  3.16 25 1 1  2.06 22 1 0  3.62 28 1 1  2.89 14 1 0  3.51 26 1 0
3.54 24 1 1  2.83 27 1 1  3.39 17 1 1  2.67 24 1 0  3.65 21 1 1  4.00 23 1 1  3.10 21 1 0  2.39 19 1 1
"""
# Two covariates, a class of three, and a count.
DRAWN = """
2.04 -2.56 1 9   0.42 -0.57 1 3  -0.45 -0.22 1 1  -2.02 -0.23 2 1  -0.87 3.32 2 0   0.23 -0.35 2 2
-0.28 -0.67 0 2  -1.06 -0.39 2 2  0.48 -0.24 1 6   0.96 -0.20 1 2   0.02 1.55 2 1   0.55 -0.51 1 2
-0.18 0.54 2 1   1.94 -0.27 0 2  -0.24 1.00 1 1  -0.89 -0.29 0 1   0.88 0.58 0 2    0.09 0.67 0 0
-2.83 1.02 2 0  -0.96 -1.67 0 1   0.28 0.70 1 2  -0.44 -1.08 1 4   0.03 -0.05 2 2   1.41 0.75 2 2
0.19 1.11 2 2   -0.21 -0.93 0 0   0.58 0.58 1 2  -0.21 -0.78 1 2   0.23 -2.49 0 6   0.69 0.49 1 1
"""


def table(text, columns):
    return np.array(text.split(), dtype=np.float64).reshape(-1, columns)


def logistic(dtype):
    rows = table(SPECTOR, 4)
    x = td.tensor(np.c_[rows[:, :3], np.ones(len(rows))], dtype=dtype)
    y = td.tensor(rows[:, 3], dtype=dtype)
    return lambda w: (td.softplus(x @ w) - y * (x @ w)).sum(), (4,)


def with_constant(dtype):
    rows = table(DRAWN, 4)
    return rows, td.tensor(np.c_[np.ones(len(rows)), rows[:, :2]], dtype=dtype)


def multinomial(dtype):
    rows, x = with_constant(dtype)
    chosen = td.tensor(np.eye(3)[rows[:, 2].astype(int)], dtype=dtype)

    def f(w):
        z = td.concat([td.zeros((len(rows), 1), dtype=dtype), x @ w], axis=1)
        return -(chosen * td.log_softmax(z, axis=1)).sum()

    return f, (3, 2)


def poisson(dtype):
    rows, x = with_constant(dtype)
    k = td.tensor(rows[:, 3], dtype=dtype)
    constant = sum(math.lgamma(n + 1) for n in rows[:, 3])
    return lambda w: (td.exp(x @ w) - k * (x @ w)).sum() + constant, (3,)


# coefficients, standard errors and log-likelihood as statsmodels prints them
PRINTED = {
    logistic: (["2.8261", "0.0952", "2.3787", "-13.0213"], ["1.263", "0.142", "1.065", "4.931"], "-12.890"),
    multinomial: (
        ["0.4845", "0.0511", "0.4197", "-0.9329", "0.3984", "1.8308"],
        ["0.540", "0.611", "0.557", "0.750", "0.494", "0.815"],
        "-25.768",
    ),
    poisson: (["0.4994", "0.3412", "-0.4129"], ["0.151", "0.134", "0.112"], "-43.184"),
}
# the same standard errors to all digits
ERRORS = {
    logistic: [1.262941075629098, 0.14155420567369487, 1.064564254497134, 4.931324213602806],
    multinomial: [
        [0.5398739832801248, 0.611325251553057],
        [0.5569772562793561, 0.7500623493988771],
        [0.4938756553804816, 0.8149449049605062],
    ],
    poisson: [0.15075575512205625, 0.13367836401528801, 0.11150377836233716],
}


@pytest.mark.parametrize("model", PRINTED)
@pytest.mark.parametrize("method", METHODS[:2])
def test_standard_errors_are_those_that_statsmodels_prints(model, method):
    f, shape = model(td.float64)
    report = minimize(f, td.zeros(shape, dtype=td.float64), method)
    assert report.converged
    errors = td.optim.standard_errors(f, report.x)
    coefficients, printed, likelihood = PRINTED[model]
    assert [f"{w:.4f}" for w in numpy_of(report.x).ravel()] == coefficients
    assert [f"{e:.3f}" for e in numpy_of(errors).ravel()] == printed
    assert f"{-report.value:.3f}" == likelihood
    np.testing.assert_allclose(numpy_of(errors), ERRORS[model], rtol=1e-7)


@pytest.mark.parametrize("model", PRINTED)
def test_standard_errors_in_float32(model):
    exact, shape = model(td.float64)
    x = minimize(exact, td.zeros(shape, dtype=td.float64), "newton-cg").x
    errors = td.optim.standard_errors(model(td.float32)[0], x.astype(td.float32))
    assert errors.dtype == td.float32
    np.testing.assert_allclose(numpy_of(errors), ERRORS[model], rtol=2e-3)


def test_standard_errors_of_trees():
    """The mean and log of the deviation of normal data: s / sqrt(n) and 1 / sqrt(2 n)."""
    data = td.tensor(np.random.default_rng(8).normal(3, 2, size=50))
    f = lambda p: (((data - p["mean"]) / td.exp(p["log"])) ** 2 / 2 + p["log"]).sum()
    x = {"mean": data.mean(), "log": td.log(td.std(data))}
    errors = td.optim.standard_errors(f, x)
    assert math.isclose(errors["mean"].item(), td.std(data).item() / math.sqrt(50), rel_tol=1e-12)
    assert math.isclose(errors["log"].item(), 0.1, rel_tol=1e-12)
    one, two = td.optim.standard_errors(lambda a, b: f({"mean": a, "log": b}), (x["mean"], x["log"]))
    assert (one.item(), two.item()) == (errors["mean"].item(), errors["log"].item())


def test_standard_errors_do_not_depend_on_units():
    f, expected, a, _ = quadratic(np.linspace(1, 5, 4))
    units = td.tensor([1e-9, 1.0, 1e6, 1e12], dtype=td.float64)
    errors = td.optim.standard_errors(lambda x: f(x * units), td.tensor(expected) / units)
    np.testing.assert_allclose(numpy_of(errors * units), np.sqrt(np.diag(np.linalg.inv(a))), rtol=1e-10)


@DTYPES
def test_what_the_likelihood_does_not_determine_is_named(dtype):
    errors = td.optim.standard_errors
    x = td.ones(3, dtype=dtype)
    collinear = lambda w: ((w[0] + w[2] - 1) ** 2 + (w[1] - 2) ** 2).sum()
    with pytest.raises(
        ValueError, match=r"\[standard_errors\] the Hessian is singular: .* along x\[0\], x\[2\] "
    ):
        errors(collinear, x)
    with pytest.raises(ValueError, match=r"by x\[1\] is not positive"):
        errors(lambda w: w[0] ** 2 + w[2] ** 2, x)
    with pytest.raises(ValueError, match=r"by x of leaf 1 is not positive"):
        errors(lambda a, b: (a * a).sum() - b * b, (x, td.ones((), dtype=dtype)))
    with pytest.raises(ValueError, match=r"x is not a minimum"):
        errors(lambda w: (w * w).sum() - 4 * w[0] * w[1], x)
    with pytest.raises(ValueError, match=r"not finite"):
        errors(lambda w: (w * math.nan * w).sum(), x)
    with pytest.raises(td.ShapeError, match=r"no elements"):
        errors(lambda w: w.sum(), td.zeros((0,), dtype=dtype))


@pytest.mark.parametrize("name", ["exponentials", "quartic", "logistic", "ill-conditioned"])
def test_newton_takes_the_steps_of_scipys_trust_region(name):
    """Steihaug's steps and the radius of one and the same book, where f is convex."""
    draw = np.random.default_rng(5)
    a = draw.normal(size=(30, 6)) * np.logspace(0, 2 if name == "ill-conditioned" else 0.5, 6)
    t, start = td.tensor(a), td.tensor(draw.normal(size=6) * 3)
    f = {
        "exponentials": lambda x: td.sum(td.exp(t @ x / 10)) + td.sum(x * x) / 2,
        "quartic": lambda x: td.sum((t @ x - 1) ** 4) / 100,
        "logistic": lambda x: td.sum(td.softplus(t @ x)) - td.sum(t[:15] @ x) + td.sum(x * x) / 20,
        "ill-conditioned": lambda x: td.sum(td.sqrt(1 + (t @ x - 2) ** 2)),
    }[name]
    gradient = lambda x: numpy_of(td.grad(f)(td.tensor(x)))
    product = lambda x, p: numpy_of(td.hvp(f, td.tensor(x), td.tensor(p)))
    options = {"initial_trust_radius": 1.0, "max_trust_radius": 1e9, "eta": 1e-4, "gtol": 1e-9}
    for count in range(1, 8):
        got = minimize(f, start, "newton-cg", gtol=1e-9, max_iter=count)
        want = scipy.optimize.minimize(
            lambda x: f(td.tensor(x)).item(),
            numpy_of(start),
            method="trust-ncg",
            jac=gradient,
            hessp=product,
            options={**options, "maxiter": got.f_evaluations - 1},  # which counts refused steps
        )
        np.testing.assert_allclose(numpy_of(got.x), want.x, rtol=1e-6, atol=1e-9, err_msg=str(count))


@pytest.mark.cpu_only("thousands of iterations, which are counted on the host")
@pytest.mark.parametrize(("method", "most"), [("lbfgs", 1000), ("gradient-descent", 10_000)])
def test_iterations_end_at_a_number_that_the_docs_say(method, most):
    start = td.full((2000 if most == 1000 else 20,), 0.3, dtype=td.float64)
    report = minimize(rosenbrock, start, method, gtol=0.0)
    assert report.iterations == most and not report.converged
    assert f"max_iter = {most}" in report.reason
