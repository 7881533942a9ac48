"""Least squares and roots: against NIST's certified values, the minima of Moré, Garbow and Hillstrom, closed
forms, NumPy and SciPy."""

import dataclasses
import math

import mgh
import nist
import numpy as np
import pytest
import scipy.optimize
import tidu as td

METHODS = ["lm", "gauss-newton"]
EACH = pytest.mark.parametrize("method", METHODS)
DTYPES = pytest.mark.parametrize("dtype", [td.float64, td.float32])
CLASSES = {"lm": td.optim.LevenbergMarquardt, "gauss-newton": td.optim.GaussNewton}
KINDS = pytest.mark.parametrize("kind", CLASSES.values())
least_squares, root = td.optim.least_squares, td.optim.root


def numpy_of(x):
    return x.detach().cpu().numpy()


def f64(values):
    return td.tensor(np.asarray(values, dtype=np.float64))


def line_problem(dtype=td.float64, m=20, seed=0):
    """A x - b, and what NumPy says of it: solution, standard errors, covariance."""
    draw = np.random.default_rng(seed)
    a, b = draw.normal(size=(m, 3)), draw.normal(size=m)
    x = np.linalg.lstsq(a, b, rcond=None)[0]
    rest = a @ x - b
    covariance = rest @ rest / (m - 3) * np.linalg.inv(a.T @ a)
    at, bt = td.tensor(a, dtype=dtype), td.tensor(b, dtype=dtype)
    return lambda p: at @ p - bt, x, np.sqrt(np.diag(covariance)), covariance


# --- NIST


@pytest.fixture(scope="module")
def certified():
    """The digits of values and of standard deviations of all regressions from both starts."""
    found = {}
    for name in nist.MODELS:
        problem = nist.problem(name)
        for k, start in enumerate(problem.starts):
            report = least_squares(problem.residuals, f64(start))
            assert report.converged, (name, k, str(report))
            errors = numpy_of(report.standard_errors)
            found[name, k] = (
                nist.digits(numpy_of(report.x), problem.values),
                nist.digits(errors, problem.deviations),
                nist.digits(2 * report.cost, problem.sum_of_squares),
            )
    return found


def test_all_of_nists_regressions_are_solved_from_both_starts(certified):
    assert len(certified) == 54
    assert {key: digits for key, digits in certified.items() if digits[0] < 4} == {}
    assert min(digits[0] for digits in certified.values()) > 8


def test_the_digits_that_nist_certifies(certified):
    assert np.mean([values for values, _, _ in certified.values()]) > 10.5
    # NIST's data of Lanczos1 have residuals of 1e-13, of which rounding leaves few digits.
    rest = [digits for (name, _), digits in certified.items() if name != "Lanczos1"]
    assert min(deviations for _, deviations, _ in rest) > 6
    assert np.mean([deviations for _, deviations, _ in rest]) > 9.4
    assert min(sums for _, _, sums in rest) > 8


# --- Moré, Garbow and Hillstrom


@pytest.mark.parametrize("problem", mgh.PROBLEMS, ids=lambda problem: problem.name)
def test_the_minima_of_more_garbow_and_hillstrom(problem):
    report = least_squares(problem.residuals, f64(problem.start))
    assert report.converged, str(report)
    least = 2 * report.cost
    assert any(math.isclose(least, known, rel_tol=1e-5, abs_tol=1e-14) for known in problem.sums), least


def test_more_garbow_and_hillstroms_equations():
    """Those of as many equations as unknowns that have a root near the start, or where a minimum is met."""
    met = {}
    for problem in mgh.PROBLEMS:
        start = f64(problem.start)
        if problem.residuals(start).shape != start.shape or problem.name.startswith("Linear"):
            continue
        report = root(problem.residuals, start)
        met[problem.name] = report.converged
        assert report.norm == pytest.approx(math.sqrt(sum(v * v for v in numpy_of(report.values))))
        assert report.converged == (report.norm < 1e-10), (problem.name, str(report))
        assert report.converged == ("no root" not in report.reason)
    assert len(met) == 16
    assert [name for name, converged in met.items() if not converged] == [
        "Freudenstein and Roth",
        "Chebyquad 8",
        "Chebyquad 10",
    ]


# --- least_squares


@EACH
@DTYPES
def test_linear_problems_are_those_of_numpy(method, dtype):
    f, x, errors, covariance = line_problem(dtype)
    report = least_squares(f, td.zeros(3, dtype=dtype), method=method)
    tolerance = 1e-12 if dtype == td.float64 else 1e-5
    assert report.converged and report.x.dtype == dtype and report.iterations <= 4
    np.testing.assert_allclose(numpy_of(report.x), x, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(numpy_of(report.standard_errors), errors, rtol=tolerance)
    np.testing.assert_allclose(numpy_of(report.covariance), covariance, rtol=10 * tolerance, atol=tolerance)
    assert report.standard_errors.dtype == dtype and report.covariance.dtype == td.float64
    residuals, jacobian = f(report.x), td.jacobian(f)(report.x)
    assert numpy_of(report.residuals).tobytes() == numpy_of(residuals).tobytes()
    np.testing.assert_allclose(numpy_of(report.jacobian), numpy_of(jacobian), rtol=tolerance)
    assert report.residuals.dtype == report.jacobian.dtype == dtype
    assert report.value == report.cost == pytest.approx((numpy_of(residuals).astype(float) ** 2).sum() / 2)
    again = td.optim.standard_errors(f, report.x, residuals=True)
    np.testing.assert_allclose(numpy_of(again), errors, rtol=tolerance)


@EACH
def test_the_same_minimum_as_scipys(method):
    draw = np.random.default_rng(3)
    t = np.linspace(0, 4, 40)
    y = 2.5 * np.exp(-1.3 * t) + 0.5 + 0.05 * draw.normal(size=40)
    model = lambda p, t, exp: p[0] * exp(-p[1] * t) + p[2]
    expected = scipy.optimize.least_squares(
        lambda p: model(p, t, np.exp) - y, [1, 1, 0], xtol=1e-15, ftol=1e-15, gtol=1e-15
    )
    tt, yt = f64(t), f64(y)
    report = least_squares(lambda p: model(p, tt, td.exp) - yt, f64([1, 1, 0]), method=method)
    assert report.converged
    np.testing.assert_allclose(numpy_of(report.x), expected.x, rtol=1e-7)
    assert report.cost == pytest.approx(expected.cost, rel=1e-12)
    inverse = np.linalg.inv(expected.jac.T @ expected.jac)
    errors = np.sqrt(np.diag(inverse) * 2 * expected.cost / 37)
    np.testing.assert_allclose(numpy_of(report.standard_errors), errors, rtol=1e-5)


@dataclasses.dataclass
class Line:
    slope: object
    offset: object


@EACH
def test_points_and_residuals_are_trees(method):
    t = f64(np.arange(6.0))

    def f(p):
        line = p["line"].slope * t + p["line"].offset - (2 * t - 1)
        return {"line": td.reshape(line, (2, 3)), "rest": [p["rest"] - 3, td.zeros(())]}

    start = {"line": Line(td.tensor(0.0), 0.5), "rest": td.zeros((2, 2), dtype=td.float64)}
    report = least_squares(f, start, method=method)
    assert report.converged and isinstance(report.x["line"], Line)
    assert report.x["line"].slope.dtype == td.float32 and report.x["rest"].dtype == td.float64
    assert report.x["line"].slope.item() == pytest.approx(2, abs=1e-5)
    np.testing.assert_allclose(numpy_of(report.x["rest"]), np.full((2, 2), 3.0), atol=1e-5)
    assert report.residuals.shape == (11,) and report.jacobian.shape == (11, 6)
    assert report.covariance.shape == (6, 6)
    assert report.standard_errors["rest"].shape == (2, 2)
    pair = least_squares(lambda a, b: (a - 1, b - a), (0.0, 0.0), method=method).x
    assert isinstance(pair, tuple) and pair[1].item() == pytest.approx(1, abs=1e-6)


@DTYPES
def test_tolerances_end_it(dtype):
    f = mgh.brown_dennis
    start = td.tensor([25.0, 5.0, -5.0, -1.0], dtype=td.float64)
    whole = least_squares(f, start)
    for name, words in (("ftol", "at most ftol = 0.001"), ("xtol", "at most xtol"), ("gtol", "at most gtol")):
        report = least_squares(f, start, **{name: 1e-3})
        assert report.converged and words in report.reason
        assert report.iterations < whole.iterations
    report = least_squares(f, start, max_iter=2)
    assert not report.converged and report.iterations == 2 and "max_iter = 2" in report.reason
    assert "max_iter = 0" in least_squares(f, start, max_iter=0).reason


def test_the_cost_never_rises():
    for method in METHODS:
        costs = [
            least_squares(mgh.beale, f64([1, 0.2]), method=method, max_iter=limit).cost for limit in range(8)
        ]
        assert costs == sorted(costs, reverse=True) and costs[-1] < costs[0] / 2


@pytest.mark.parametrize("acceleration", [True, False])
def test_evaluations_are_counted(acceleration):
    calls = [0]

    def f(x):
        calls[0] += 1
        return mgh.rosenbrock(x)

    report = least_squares(f, f64([-1.2, 1]), max_iter=5, acceleration=acceleration)
    assert report.iterations == 5 and report.gradient_evaluations >= 6
    assert report.f_evaluations >= 6 and calls[0] >= report.f_evaluations + report.gradient_evaluations
    assert (report.hvp_evaluations > 0) == acceleration
    with pytest.raises(dataclasses.FrozenInstanceError):
        report.value = 0.0


def test_second_derivatives_save_iterations():
    counts = [least_squares(mgh.meyer, f64([0.02, 4000, 250]), acceleration=a).iterations for a in (1, 0)]
    assert counts[0] < counts[1] / 2


def test_a_report_prints_as_a_sentence():
    text = str(least_squares(lambda x: x, td.tensor([0.0])))
    assert text == (
        "converged: the norm of the residuals is 0; cost = 0, iterations 0, evaluations of the residuals 1, "
        "of their Jacobian 1, of second derivatives along a step 0"
    )


@EACH
def test_steps_back_off_where_residuals_are_not_finite(method):
    f = lambda x: td.concat([td.log(x) - 1, 0.1 * (x - 2)], axis=0)
    report = least_squares(f, f64([0.05, 3000.0]), method=method)
    assert report.converged
    expected = scipy.optimize.least_squares(lambda x: [math.log(x[0]) - 1, 0.1 * (x[0] - 2)], [2.5]).x
    np.testing.assert_allclose(numpy_of(report.x), np.repeat(expected, 2), rtol=1e-6)


@EACH
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_walls_all_around_are_reported(method, bad):
    f = lambda x: td.where((x == 1).all(), x * x, bad + 0 * x)
    report = least_squares(f, td.ones(2), method=method)
    assert not report.converged and "not finite" in report.reason
    assert numpy_of(report.x).tolist() == [1, 1] and report.cost == 1


@EACH
def test_what_is_not_finite_at_the_start_is_reported(method):
    for f, reason in (
        (lambda x: td.log(x), "residual 0 of 2 is nan at the start"),
        (lambda x: td.stack([x[0], 1 / (x[1] + 1)]), "residual 1 of 2 is inf at the start"),
        (lambda x: td.sqrt(x + 1), "the Jacobian is not finite at the start"),
    ):
        report = least_squares(f, td.full((2,), -1.0), method=method)
        assert not report.converged and report.reason == reason and report.iterations == 0
        assert numpy_of(report.x).tolist() == [-1, -1]


@EACH
def test_a_singular_jacobian_is_no_obstacle_but_leaves_no_standard_errors(method):
    """Two elements of which only the sum counts."""
    t = f64([0.0, 1, 2, 3])
    f = lambda x: (x[0] + x[1]) * t + x[2] - (3 * t + 1 + f64([0.1, -0.1, 0.1, -0.1]))
    report = least_squares(f, f64([1, 0, 0]), method=method)
    assert report.converged
    np.testing.assert_allclose(numpy_of(report.x[0] + report.x[1]), 2.96, rtol=1e-9)
    for ask in (
        lambda: report.standard_errors,
        lambda: report.covariance,
        lambda: td.optim.standard_errors(f, report.x, residuals=True),
    ):
        with pytest.raises(
            ValueError, match=r"columns of the Jacobian are dependent: .* along x\[0\], x\[1\] "
        ):
            ask()
    idle = least_squares(lambda a, b: a * t - 1, (1.0, f64([1, 2])), method=method)
    assert idle.converged and numpy_of(idle.x[1]).tolist() == [1, 2]
    with pytest.raises(ValueError, match=r"do not depend on x\[0\] of leaf 1, x\[1\] of leaf 1"):
        idle.standard_errors  # noqa: B018


def test_exact_fits_leave_no_variance_to_tell():
    report = least_squares(lambda x: x - 1, td.zeros(2))
    with pytest.raises(ValueError, match=r"\[standard_errors\] 2 residuals of 2 elements leave none over"):
        report.standard_errors  # noqa: B018


def test_units_of_elements_and_of_residuals_do_not_matter():
    """Powers of two: the same path, scaled."""
    start = np.array([0.02, 4000, 250])
    plain = least_squares(mgh.meyer, f64(start))
    units = f64([2.0**-300, 2.0**400, 2.0**40])
    for scale in (2.0**-400, 2.0**300):
        report = least_squares(lambda x, scale=scale: scale * mgh.meyer(x * units), f64(start) / units)
        assert report.converged and report.iterations == plain.iterations
        np.testing.assert_allclose(numpy_of(report.x * units), numpy_of(plain.x), rtol=1e-13)


@EACH
def test_a_start_at_the_origin_says_nothing_of_scales(method):
    for scale in (1e-200, 1.0, 1e200):
        for far in (1e-100, 1.0, 1e100):
            values = f64([1.0, 2.0])
            f = lambda x, scale=scale, far=far, values=values: scale * (x / far - values)
            report = least_squares(f, f64(0.0), method=method)
            assert report.converged and report.iterations <= 3, str(report)
            assert report.x.item() == pytest.approx(1.5 * far)


def test_minima_at_zero_and_singular_roots_end():
    for f in (lambda x: td.stack([x, td.cos(x)]), lambda x: x**2, lambda x: td.stack([x**3, x**2])):
        report = least_squares(f, f64(0.7))
        assert report.converged and abs(report.x.item()) < 1e-5 and report.iterations < 100, str(report)


def test_half_precision_parameters():
    f, x, *_ = line_problem(td.float32)
    report = least_squares(lambda p: f(p.astype(td.float32)), td.zeros(3, dtype=td.float16))
    assert report.converged and report.x.dtype == td.float16
    np.testing.assert_allclose(numpy_of(report.x).astype(float), x, atol=5e-3)


@DTYPES
def test_nist_in_single_precision(dtype):
    for name in ("Misra1a", "Chwirut2", "Gauss1", "DanWood", "Rat42", "Thurber"):
        problem = nist.problem(name)
        report = least_squares(problem.residuals, td.tensor(problem.starts[1], dtype=dtype))
        assert report.converged and report.x.dtype == dtype
        assert nist.digits(numpy_of(report.x), problem.values) > (3 if dtype == td.float32 else 9)


def test_a_rule_of_the_users_own_is_used():
    @td.custom_vjp
    def cube(x):
        return x**3

    cube.defvjp(lambda x: (x**3, x), lambda x, g: (3 * x * x * g,))
    report = least_squares(lambda x: td.concat([cube(x) - 8, x - 2], axis=0), f64([3.0, 1.0]))
    assert report.converged
    np.testing.assert_allclose(numpy_of(report.x), 2, rtol=1e-10)


def test_residuals_that_branch_on_values():
    f = lambda x: td.concat([x - 1 if x[0].item() > 0 else 2 * x - 1, x * 0.5 - 0.5], axis=0)
    report = least_squares(f, f64([3.0, 1.0]))
    assert report.converged
    np.testing.assert_allclose(numpy_of(report.x), 1, rtol=1e-12)


@EACH
def test_the_same_call_gives_the_same_bits(method):
    runs = [
        least_squares(mgh.osborne_1, f64([0.5, 1.5, -1, 0.01, 0.02]), method=method, max_iter=6) for _ in "ab"
    ]
    assert numpy_of(runs[0].x).tobytes() == numpy_of(runs[1].x).tobytes()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda f, x: least_squares(f, x, method="trf"), ValueError, r"methods are 'lm', .*not 'trf'"),
        (
            lambda f, x: least_squares(f, x, method="gauss-newton", radius=1.0),
            ValueError,
            "unknown option radius",
        ),
        (lambda f, x: least_squares(f, x, bounds=(0, 1)), ValueError, "unknown option bounds of 'lm'"),
        (lambda f, x: least_squares(f, x, ftol=-1), ValueError, "ftol is -1"),
        (lambda f, x: least_squares(f, x, xtol=math.nan), ValueError, "xtol is nan"),
        (lambda f, x: least_squares(f, x, gtol=-1e-3), ValueError, "gtol is -0.001"),
        (lambda f, x: least_squares(f, x, radius=0), ValueError, "radius is 0"),
        (lambda f, x: least_squares(f, x, max_iter=-1), ValueError, "max_iter is -1"),
        (lambda f, x: least_squares(f, x, max_iter=2.5), ValueError, "max_iter is 2.5, .* an integer"),
        (lambda f, x: least_squares(f, x, callback=3), TypeError, "callback must be a function"),
        (lambda f, x: least_squares(lambda x: None, x), ValueError, "no residuals"),
        (
            lambda f, x: least_squares(lambda x: x[:2], x),
            ValueError,
            "2 residuals do not determine 3 elements",
        ),
        (lambda f, x: least_squares(lambda x: (x * x).sum(), x), ValueError, "1 residual does not determine"),
        (lambda f, x: least_squares(lambda x: [], x), ValueError, "no residuals"),
        (lambda f, x: least_squares(lambda x: td.argmax(x), x), td.DTypeError, "floating-point"),
        (lambda f, x: least_squares(f, td.arange(3)), td.DTypeError, "only floating-point"),
        (
            lambda f, x: td.grad(lambda y: least_squares(f, y).x.sum())(x),
            td.GradientError,
            r"\[least_squares\].*is being differentiated",
        ),
    ],
)
def test_mistakes_are_named(call, error, message):
    with pytest.raises(error, match=message):
        call(lambda x: x * x - 2, td.ones(3))


def test_the_number_of_residuals_must_stay():
    seen = []

    def f(x):
        seen.append(0)
        return td.concat([x - 1] * (2 + len(seen) // 4), axis=0)

    with pytest.raises(td.ShapeError, match=r"\[least_squares\] the function gave 6 residuals at first"):
        least_squares(f, td.zeros(3))


# --- Callbacks


@pytest.mark.parametrize("ending", ["returns True", "raises StopIteration"])
@pytest.mark.parametrize("name", ["minimize", "least_squares", "root"])
def test_callbacks_see_each_iteration_and_may_end_it(name, ending):
    def run(callback=None, **options):
        f = mgh.rosenbrock if name != "minimize" else lambda x: (mgh.rosenbrock(x) ** 2).sum()
        return getattr(td.optim, name)(
            lambda p: f(p["x"]), {"x": f64([-1.2, 1])}, callback=callback, **options
        )

    seen = []

    def record(x, report):
        assert report.x is x and not report.converged
        seen.append((report.iterations, numpy_of(x["x"]).tolist()))

    whole = run(record)
    assert [i for i, _ in seen] == list(range(1, whole.iterations + 1))
    assert seen[-1][1] == numpy_of(whole.x["x"]).tolist() and whole.converged
    assert seen[2][1] == numpy_of(run(max_iter=3).x["x"]).tolist()

    def end(x, report):
        if report.iterations == 3:
            if ending == "returns True":
                return True
            raise StopIteration
        return None

    ended = run(end)
    assert not ended.converged and ended.iterations == 3 and ended.reason == "the callback ended it"
    assert numpy_of(ended.x["x"]).tolist() == seen[2][1]
    with pytest.raises(ZeroDivisionError):
        run(lambda x, report: 1 / 0)


# --- root


def test_roots_of_trees():
    def f(p):
        return {"a": p["x"] ** 2 - f64([2, 3]), "b": [p["y"] - p["x"].sum()]}

    report = root(f, {"x": f64([1, 1]), "y": td.tensor(0.0, dtype=td.float64)})
    assert report.converged and "zero as far as rounding shows" in report.reason
    np.testing.assert_allclose(numpy_of(report.x["x"]), np.sqrt([2, 3]), rtol=1e-15)
    assert report.x["y"].item() == pytest.approx(math.sqrt(2) + math.sqrt(3), rel=1e-15)
    assert report.values.shape == (3,) and report.jacobian.shape == (3, 3)


@DTYPES
def test_roots_are_exact_to_the_dtype(dtype):
    report = root(lambda x: td.cos(x) - x, td.tensor(0.5, dtype=dtype))
    assert report.converged and report.x.dtype == dtype
    assert report.x.item() == pytest.approx(0.7390851332151607, rel=1e-15 if dtype == td.float64 else 1e-6)


def test_a_minimum_that_is_no_root_is_said_to_be_none():
    for scale in (1.0, 1e-13, 1e13):
        report = root(lambda x, scale=scale: scale * (x * x + 1), f64(1.5))
        assert not report.converged and "a minimum of it that is no root" in report.reason, str(report)
        assert abs(report.x.item()) < 1e-3 and report.norm == pytest.approx(scale)


def test_roots_of_any_scale_and_multiplicity():
    for scale in (1e-200, 1.0, 1e200):
        report = root(lambda x, scale=scale: scale * (x - td.flip(x, 0) ** 2 - 0.1), f64([0.3, 0.2]))
        assert report.converged and report.iterations < 10
        x = numpy_of(report.x)
        np.testing.assert_allclose(x, x[::-1] ** 2 + 0.1, rtol=1e-14)
    report = root(lambda x: x**2, f64(1.0))
    assert report.converged and report.iterations < 60 and abs(report.x.item()) < 1e-7
    report = root(lambda x: (x - 1) ** 3, f64(3.0), tol=1e-12)
    assert report.converged and report.norm <= 1e-12 and "at most tol = 1e-12" in report.reason


def test_scipys_root_agrees():
    f = lambda x, sin, cos: [x[0] + 0.5 * (x[0] - x[1]) ** 3 - 1, 0.5 * (x[1] - x[0]) ** 3 + x[1]]
    expected = scipy.optimize.root(lambda x: f(x, np.sin, np.cos), [0, 0]).x
    report = root(lambda x: f(x, td.sin, td.cos), td.zeros(2, dtype=td.float64))
    assert report.converged
    np.testing.assert_allclose(numpy_of(report.x), expected, rtol=1e-7)


def test_mistakes_with_roots_are_named():
    with pytest.raises(ValueError, match=r"\[root\] there are 2 equations, but 3 unknowns"):
        root(lambda x: x[:2], td.ones(3))
    with pytest.raises(ValueError, match=r"\[root\] there are 6 equations, but 3 unknowns"):
        root(lambda x: (x, x), td.ones(3))
    with pytest.raises(ValueError, match=r"\[root\] tol is -1"):
        root(lambda x: x, td.ones(3), tol=-1)
    with pytest.raises(td.DTypeError, match="only floating-point"):
        root(lambda x: x, td.arange(3))
    report = root(lambda x: td.log(x), td.tensor(-1.0))
    assert not report.converged and report.reason == "residual 0 of 1 is nan at the start"
    assert not root(mgh.rosenbrock, f64([-1.2, 1]), max_iter=2).converged


# --- Over parameters


def problem(dtype=td.float64):
    """A small network's parameters, and the closure of its residuals."""
    draw = np.random.default_rng(5)
    x, y = (td.tensor(draw.normal(size=size), dtype=dtype) for size in ((30, 3), (30, 2)))
    net = td.nn.Sequential(
        td.nn.Linear(3, 4, key=td.random.key(0), dtype=dtype),
        td.nn.Tanh(),
        td.nn.Linear(4, 2, key=td.random.key(1), dtype=dtype),
    )
    return net, lambda: [net(x) - y, *(0.1 * p for p in net.parameters())]


def cost_of(residuals):
    return sum((numpy_of(r).astype(float) ** 2).sum() for r in residuals()) / 2


@KINDS
@DTYPES
def test_parameters_come_to_a_minimum(kind, dtype):
    net, residuals = problem(dtype)
    optimizer = kind(net.parameters(), max_iter=500)
    before = cost_of(residuals)
    assert optimizer.step(residuals).item() == pytest.approx(before, rel=1e-6)
    assert optimizer.report.converged and optimizer.report.cost < before
    assert optimizer.report.cost == pytest.approx(cost_of(residuals), rel=1e-6)
    for p, part in zip(net.parameters(), optimizer.report.x, strict=True):
        assert numpy_of(p).tobytes() == numpy_of(part).tobytes()
        assert p.grad is None and p.requires_grad and p.is_leaf
    assert len(optimizer.report.standard_errors) == 4


@EACH
def test_classes_and_least_squares_agree(method):
    start = [0.5, 1.5, -1, 0.01, 0.02]
    w = td.tensor(start, dtype=td.float64, requires_grad=True)
    optimizer = CLASSES[method]([w], max_iter=8)
    optimizer.step(lambda: mgh.osborne_1(w))
    options = {"acceleration": False} if method == "lm" else {}
    report = least_squares(mgh.osborne_1, f64(start), method=method, max_iter=8, **options)
    np.testing.assert_allclose(numpy_of(w), numpy_of(report.x), rtol=1e-6)
    np.testing.assert_allclose(numpy_of(optimizer.report.jacobian), numpy_of(report.jacobian), rtol=1e-6)
    assert optimizer.report.iterations == report.iterations == 8


@KINDS
@DTYPES
def test_saved_state_goes_on_with_the_same_bits(kind, dtype, tmp_path):
    net, residuals = problem(dtype)
    whole = kind(net.parameters(), max_iter=2)
    for _ in range(2):
        whole.step(residuals)
    td.save(tmp_path / "state", {"net": net.state_dict(), "optimizer": whole.state_dict()})
    for _ in range(2):
        whole.step(residuals)
    twin, twin_residuals = problem(dtype)
    saved = td.load(tmp_path / "state")
    twin.load_state_dict(saved["net"])
    resumed = kind(twin.parameters())
    resumed.load_state_dict(saved["optimizer"])
    assert resumed.param_groups[0]["max_iter"] == 2
    for _ in range(2):
        resumed.step(twin_residuals)
    for a, b in zip(net.parameters(), twin.parameters(), strict=True):
        assert numpy_of(a).tobytes() == numpy_of(b).tobytes()
    assert resumed.param_groups[0]["steps"] == [4] * 4


@KINDS
def test_an_interruption_leaves_the_best_point(kind):
    for at in range(1, 8):
        w = td.tensor([-1.2, 1.0], dtype=td.float64, requires_grad=True)
        seen = []

        def closure(w=w, seen=seen, at=at):
            if len(seen) == at:
                raise KeyboardInterrupt
            value = mgh.rosenbrock(w)
            seen.append(((numpy_of(value) ** 2).sum(), numpy_of(w).tolist()))
            return value

        with pytest.raises(KeyboardInterrupt):
            kind([w]).step(closure)
        assert numpy_of(w).tolist() == min(seen)[1] and w.requires_grad and w.grad is None


@KINDS
def test_frozen_and_unused_parameters_stay(kind):
    net, residuals = problem()
    net[0].requires_grad_(False)
    before = [numpy_of(p).copy() for p in net.parameters()]
    optimizer = kind(net.parameters(), max_iter=5)
    optimizer.step(residuals)
    same = [(numpy_of(p) == old).all() for p, old in zip(net.parameters(), before, strict=True)]
    assert same == [True, True, False, False]
    assert optimizer.param_groups[0]["steps"] == [0, 0, 1, 1] and len(optimizer.report.x) == 2
    w, idle = (td.ones(2, dtype=td.float64).requires_grad_(True) for _ in range(2))
    optimizer = kind([w, idle])
    optimizer.step(lambda: (w - 3, w * 0))
    np.testing.assert_allclose(numpy_of(w), 3, rtol=1e-12)
    assert numpy_of(idle).tolist() == [1, 1] and optimizer.report.converged


@KINDS
def test_no_mode_is_needed(kind):
    costs = []
    for scope in (td.enable_grad, td.no_grad):
        net, residuals = problem()
        with scope():
            optimizer = kind(net.parameters(), max_iter=5)
            optimizer.step(residuals)
        costs.append(optimizer.report.cost)
    assert costs[0] == costs[1]


@KINDS
def test_mistakes_with_parameters_are_named(kind):
    name = kind.__name__
    w = td.ones(2).requires_grad_(True)
    for call, error, message in (
        (lambda: kind([w], max_iter=-1), ValueError, "max_iter is -1"),
        (lambda: kind([w], xtol=math.nan), ValueError, "xtol is nan"),
        (lambda: kind([w]).step(lambda: None), TypeError, "closure must return the residuals, not None"),
        (lambda: kind([w]).step(lambda: w.sum()), ValueError, "1 residual does not determine 2 elements"),
        (lambda: kind([w]).step(lambda: td.argmax(w)), td.DTypeError, "floating-point"),
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


def test_they_print_themselves():
    w = td.ones(2).requires_grad_(True)
    assert repr(td.optim.GaussNewton([w])) == (
        "GaussNewton(1 parameter, max_iter=20, ftol=None, xtol=None, gtol=None)"
    )
    assert "radius=4.0" in repr(td.optim.LevenbergMarquardt([w]))


def test_a_callback_cannot_move_the_search():
    f = lambda x: td.sum((x - 3) ** 2 * td.tensor([1.0, 5.0]))
    for method in ("lbfgs", "newton-cg", "gradient-descent"):
        found = td.optim.minimize(f, td.zeros(2), method, callback=lambda x, report: x.__setitem__(0, 100.0))
        np.testing.assert_allclose(found.x.cpu().numpy(), [3, 3], rtol=1e-3)
    residuals = lambda x: td.concat([x - 3, x[:1] * 0])
    found = td.optim.least_squares(residuals, td.zeros(2), callback=lambda x, report: x.__setitem__(0, 100.0))
    np.testing.assert_allclose(found.x.cpu().numpy(), [3, 3], rtol=1e-5)


def test_a_part_of_a_step_says_nothing_of_the_end():
    """Gauss and Newton's steps, halved until they are tiny, far from where the gradient is 0."""
    q = np.random.default_rng(10)
    t, y, x0 = (td.tensor(v) for v in (np.linspace(0, 1, 12), q.normal(size=12), q.normal(size=4)))
    f = lambda p: p[0] * td.exp(-(p[1] ** 2) * t) + p[2] * td.sin(3 * p[3] * t) - y
    found = td.optim.least_squares(f, x0, method="gauss-newton")
    assert not found.converged or found.gradient_norm < 1e-4


def test_a_refused_step_shortens_the_next():
    """To half its length, but for the tenth that it may miss, also in a region far wider than the step."""
    tried = []

    def f(x):
        tried.append(x.item())
        return td.atan(x)

    begin = 3.0
    report = td.optim.least_squares(f, td.tensor([begin], dtype=td.float64), radius=100.0)
    assert report.converged and abs(report.x.item()) < 1e-8
    trials = [x for x in tried if x != begin]
    newton = (1 + begin**2) * np.arctan(begin)
    assert begin - trials[0] == pytest.approx(newton, rel=1e-12)  # to where the cost is greater
    assert 0.45 * newton <= begin - trials[1] <= 0.55 * newton
