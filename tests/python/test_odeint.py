"""td.odeint against closed forms, SciPy and differences."""

import numpy as np
import pytest
import scipy.integrate
import tidu as td
from test_implicit import close, normal, number

MODES = ["checkpoint", "adjoint"]
both = pytest.mark.parametrize("mode", MODES)
SHARP = {"rtol": 1e-11, "atol": 1e-12}


def times(*values):
    return td.asarray(values, dtype=td.float64)


def decay(y, t, rate):
    return -rate * y


def oscillator(y, t, omega):
    return td.stack([y[1], -omega * omega * y[0]])


def lotka_volterra(y, t, p):
    x, z = y[0], y[1]
    return td.stack([p[0] * x - p[1] * x * z, p[2] * x * z - p[3] * z])


P = td.asarray([1.1, 0.4, 0.1, 0.4], dtype=td.float64)


# --- Values


@pytest.mark.parametrize(
    "ts", [(0.0, 1.0), (0.0, 0.1, 0.15, 2.0, 2.0, 7.0), (3.0, 2.0, -1.0), (1.0,), (2.0, 2.0)]
)
@both
def test_the_exponential(ts, mode):
    ts = times(*ts)
    ys = td.odeint(decay, number(2.0), ts, number(0.7), mode=mode)
    close(ys, 2 * td.exp(-0.7 * (ts - ts[0])), 2e-7)
    assert ys.shape == ts.shape


def test_tolerances_are_kept():
    errors = []
    for tol in (1e-4, 1e-6, 1e-8, 1e-10):
        ts = td.linspace(0.0, 10.0, 23, dtype=td.float64)
        ys = td.odeint(oscillator, times(1.0, 0.0), ts, 1.5, rtol=tol, atol=tol)
        errors.append(td.max(td.abs(ys[:, 0] - td.cos(1.5 * ts))).item())
        assert errors[-1] < 100 * tol
    assert errors[0] > 100 * errors[2] > 0


def test_lotka_volterra_is_scipys():
    ts = np.linspace(0, 12, 25)
    want = scipy.integrate.solve_ivp(
        lambda t, y: lotka_volterra(td.asarray(y), t, P).cpu().numpy(),
        (0, 12),
        [10.0, 5.0],
        "DOP853",
        ts,
        rtol=1e-12,
        atol=1e-12,
    ).y.T
    got = td.odeint(lotka_volterra, times(10.0, 5.0), ts, P, **SHARP)
    close(got, td.asarray(want), 1e-9)


def test_time_and_trees():
    # u' = cos t, v' = 2 t v backward from 1
    f = lambda y, t: {"u": td.cos(t) * td.ones(2, dtype=td.float64), "v": 2 * t * y["v"]}
    ts = times(1.0, 0.3, -0.5)
    ys = td.odeint(f, {"u": times(0.0, 1.0), "v": number(1.0)}, ts, **SHARP)
    close(ys["u"], (td.sin(ts) - td.sin(ts[0]))[:, None] + times(0.0, 1.0), 1e-9)
    close(ys["v"], td.exp(ts * ts - 1), 1e-9)


def test_dtypes():
    ys = td.odeint(decay, td.tensor(1.0), td.tensor([0.0, 1.0, 2.0]), td.tensor(1.0))
    assert ys.dtype is td.float32
    np.testing.assert_allclose(ys.cpu().numpy(), np.exp([0, -1, -2]), rtol=1e-4)
    ys = td.odeint(lambda y, t: -y * td.astype(t, y.dtype) / 2, td.ones(2, dtype=td.float16), [0, 1, 2])
    assert ys.dtype is td.float16 and ys.shape == (3, 2)
    np.testing.assert_allclose(
        td.astype(ys[:, 0], td.float32).cpu().numpy(), np.exp([0, -0.25, -1]), rtol=1e-2
    )
    assert td.odeint(decay, td.zeros((0, 3)), td.tensor([0.0, 1.0]), 1.0).shape == (2, 0, 3)
    close(td.odeint(decay, number(1.0), [0, 1], 1.0), td.exp(-times(0.0, 1.0)), 1e-7)


def test_times_of_other_dtypes():
    for ts in ([0, 1, 3], td.asarray([0, 1, 3]), td.asarray([0.0, 1.0, 3.0]), times(0.0, 1.0, 3.0)):
        for dtype, rtol in ((td.float32, 1e-4), (td.float64, 1e-6)):
            y0 = td.ones(2, dtype=dtype)
            seen = []

            def f(y, t, seen=seen):
                seen.append(t.dtype)
                return -t * y

            ys = td.odeint(f, y0, ts)
            assert ys.dtype is dtype and set(seen) == {dtype}
            np.testing.assert_allclose(ys[:, 1].cpu().numpy(), np.exp([0, -0.5, -4.5]), rtol=rtol, atol=rtol)


def test_slopes_that_are_nothing_or_numbers():
    for mode in MODES:
        close(td.odeint(lambda y, t: 0 * y, number(2.0), [0.0, 1.0, 2.0], mode=mode), times(2.0, 2.0, 2.0))
        close(
            td.odeint(lambda y, t: 3.0, number(2.0), [0.0, 1.0, 2.0], mode=mode), times(2.0, 5.0, 8.0), 1e-12
        )
        for ts in ([0.0], [1.0, 1.0], [0.0, 0.0, 1.0]):
            f = lambda y0, ts=ts, mode=mode: td.sum(td.odeint(lambda y, t: -y, y0, ts, mode=mode, **SHARP))
            close(td.grad(f)(number(2.0)), td.sum(td.exp(-times(*ts) + ts[0])), 1e-9)


def test_taylor_mode():
    # y' = -y^2 from a: a / (1 + a t)
    f = lambda a: td.odeint(lambda y, t: -y * y, a, times(0.0, 0.5, 1.0), **SHARP)
    want = lambda a: a / (1 + a * times(0.0, 0.5, 1.0))
    series = (number(1.0), number(0.0), number(2.0))
    close(td.jet(f, (number(1.0),), (series,)), td.jet(want, (number(1.0),), (series,)), 1e-7)
    close(td.laplacian(f)(number(1.0)), td.laplacian(want)(number(1.0)), 1e-7)


def test_the_polynomial_between_steps_is_of_order_four():
    coarse = {"rtol": 1e-3, "atol": 1e-3}
    ts = td.linspace(0.0, 3.0, 400, dtype=td.float64)
    ys = td.odeint(oscillator, times(1.0, 0.0), ts, 1.0, **coarse)
    slopes = (ys[1:, 0] - ys[:-1, 0]) / (ts[1] - ts[0])
    middle = (ts[1:] + ts[:-1]) / 2
    assert td.max(td.abs(slopes + td.sin(middle))).item() < 1e-2
    assert td.max(td.abs(ys[:, 0] - td.cos(ts))).item() < 3e-3


# --- Derivatives


@both
def test_derivatives_of_the_exponential(mode):
    def f(y0, rate, ts):
        return td.odeint(decay, y0, ts, rate, mode=mode, **SHARP)

    def want(y0, rate, ts):
        return y0 * td.exp(-rate * (ts - ts[0]))

    args = (number(2.0), number(0.7), times(0.5, 1.0, 1.2, 3.0))
    v = (number(0.3), number(-1.0), times(0.1, 0.2, -0.3, 0.5))
    loss = lambda g: lambda *p: td.sum(td.sin(g(*p)))
    close(td.jvp(f, args, v)[1], td.jvp(want, args, v)[1], 1e-7)
    close(td.grad(loss(f), (0, 1, 2))(*args), td.grad(loss(want), (0, 1, 2))(*args), 1e-7)
    w = v[:2]
    at = lambda g: lambda y0, rate: loss(g)(y0, rate, args[2])
    close(td.hvp(at(f), args[:2], w), td.hvp(at(want), args[:2], w), 1e-6)
    close(td.vhp(at(f), args[:2], w), td.vhp(at(want), args[:2], w), 1e-6)
    twice = lambda g: td.jvp(lambda *p: td.jvp(g, p, v)[1], args, v)[1]
    close(twice(f), twice(want), 1e-5)


@both
@pytest.mark.parametrize("ts", [(0.0, 2.0), (0.0, 0.5, 0.7, 2.0), (2.0, 1.0, 0.0)])
def test_gradients_of_lotka_volterra_are_differences(mode, ts):
    ts, y0 = times(*ts), times(10.0, 5.0)
    weights = normal(len(ts), 2)

    def loss(y0, p, ts):
        return td.sum(weights * td.odeint(lotka_volterra, y0, ts, p, mode=mode, rtol=1e-10, atol=1e-10))

    got = td.grad(loss, (0, 1, 2))(y0, P, ts)
    for seed in range(3):
        v = [normal(*x.shape, seed=10 * seed + i) for i, x in enumerate((y0, P, ts))]
        h = 1e-5
        ends = [loss(y0 + s * v[0], P + s * v[1], ts + s * v[2]) for s in (h, -h)]
        along = sum(td.sum(g * d) for g, d in zip(got, v, strict=True))
        assert along.item() == pytest.approx(((ends[0] - ends[1]) / (2 * h)).item(), rel=2e-5)


def test_checkpoints_give_the_derivative_of_the_steps():
    # Coarse steps are far from the solution, but their derivative is exact: both modes agree to rounding.
    y0, ts, v = times(10.0, 5.0), times(0.0, 1.0, 2.5), (normal(2), normal(4, seed=1))
    f = lambda y0, p: td.odeint(lotka_volterra, y0, ts, p, rtol=1e-2, atol=1e-2)
    w = normal(3, 2, seed=2)
    forward = td.sum(w * td.jvp(f, (y0, P), v)[1]).item()
    back = td.grad(lambda *p: td.sum(w * f(*p)), (0, 1))(y0, P)
    assert sum(td.sum(a * b) for a, b in zip(back, v, strict=True)).item() == pytest.approx(
        forward, rel=1e-13
    )
    adjoint = td.grad(
        lambda *p: td.sum(
            w * td.odeint(lotka_volterra, p[0], ts, p[1], rtol=1e-2, atol=1e-2, mode="adjoint")
        ),
        (0, 1),
    )(y0, P)
    assert max(td.max(td.abs(a - b)).item() for a, b in zip(back, adjoint, strict=True)) > 1e-9


@both
def test_what_f_closes_over_and_modules(mode):
    w = normal(3, 3) * 0.5
    y0 = normal(3, seed=1)

    def loss(w):
        return td.sum(
            td.odeint(lambda y, t: td.tanh(w @ y), y0, times(0.0, 1.0), mode=mode, **SHARP)[-1] ** 2
        )

    leaf = td.copy(w).requires_grad_()
    loss(leaf).backward()
    close(leaf.grad, td.grad(loss)(w), 1e-10)
    v = normal(3, 3, seed=2)
    difference = (loss(w + 1e-5 * v) - loss(w - 1e-5 * v)) / 2e-5
    assert td.sum(leaf.grad * v).item() == pytest.approx(difference.item(), rel=1e-7)


# --- Programs and lanes


@both
def test_programs(mode):
    y0, ts = times(10.0, 5.0), times(0.0, 0.5, 2.0)
    f = lambda y0, ts, p: td.odeint(lotka_volterra, y0, ts, p, mode=mode, max_steps=60)
    loss = lambda *a: td.sum(td.sin(f(*a)))
    other = (y0 * 0.7, ts * 1.3 + 0.1, P * 1.1)
    close(td.program(f, y0, ts, P)(*other), f(*other), 1e-12)
    gradient = td.grad(loss, (0, 1, 2))
    close(td.program(gradient, y0, ts, P)(*other), gradient(*other), 1e-6)
    close(td.grad(td.program(loss, y0, ts, P), (0, 2))(*other), td.grad(loss, (0, 2))(*other), 1e-6)


@both
def test_lanes(mode):
    y0, ts = times(10.0, 5.0), times(0.0, 0.5, 2.0)
    f = lambda y0, ts, p: td.odeint(lotka_volterra, y0, ts, p, mode=mode, max_steps=60, rtol=1e-9, atol=1e-9)
    loss = lambda *a: td.sum(td.sin(f(*a)))
    full = [td.stack([x, x * 1.1]) for x in (y0, ts, P)]
    for axes in [(0, None, None), (None, None, 0), (0, None, 0), (None, 0, None), (0, 0, 0)]:
        args = [b if a == 0 else x for a, x, b in zip(axes, (y0, ts, P), full, strict=True)]
        for g in (f, td.grad(loss, (0, 2))):
            each = [g(*[x[i] if a == 0 else x for a, x in zip(axes, args, strict=True)]) for i in range(2)]
            want = td.tree_map(lambda *xs: td.stack(list(xs)), *each)
            close(td.vmap(g, in_axes=axes)(*args), want, 1e-6)
    nested = td.vmap(td.vmap(lambda y: f(y, ts, P)))(td.stack([full[0], full[0] * 0.9]))
    close(nested[1, 0], f(y0 * 0.9, ts, P), 1e-7)
    outside = td.grad(lambda p: td.sum(td.vmap(lambda y: loss(y, ts, p))(full[0])))(P)
    close(outside, td.grad(lambda p: loss(full[0][0], ts, p) + loss(full[0][1], ts, p))(P), 1e-6)
    close(td.jacfwd(lambda p: f(y0, ts, p))(P), td.jacrev(lambda p: f(y0, ts, p))(P), 1e-6)


def test_costs_are_counted():
    loss = lambda y, p: td.sum(td.odeint(lotka_volterra, y, times(0.0, 1.0), p, max_steps=10))
    report = td.cost(loss, times(10.0, 5.0), P, matrix=False)
    assert 0 < report["f"]["flops"]["total"] < report["gradient"]["flops"]["total"]


# --- Equations that are unstable backward


def fading(y, t, rate):
    return -rate * y + td.sin(y)


def lorenz(y, t, p):
    return td.stack([p[0] * (y[1] - y[0]), y[0] * (p[1] - y[2]) - y[1], y[0] * y[1] - p[2] * y[2]])


UNSTABLE = {
    "rate 5": (fading, [1.0], [5.0], (0.0, 4.0)),
    "rate 20": (fading, [1.0, 2.0], [20.0], (0.0, 2.0)),
    "rate 60": (fading, [1.0], [60.0], (0.0, 0.3, 1.0)),
    "backward in time": (lambda y, t, p: p * y + td.sin(y), [1.0], [20.0], (1.0, -1.0)),
    "chaos": (lorenz, [1.0, 1.0, 20.0], [10.0, 28.0, 8 / 3], (0.0, 2.0)),
}


@pytest.mark.parametrize(("f", "y0", "p", "ts"), UNSTABLE.values(), ids=UNSTABLE)
def test_the_adjoint_of_what_is_unstable_backward(f, y0, p, ts):
    """Of the last time alone, in units of itself, so that no other part hides what is lost."""
    y0, p, ts = times(*y0), times(*p), times(*ts)
    weights = normal(y0.size, seed=3)
    control = {"rtol": 1e-9, "atol": 1e-9 if y0.size == 3 else 1e-40, "max_steps": 4000}

    def loss(mode, unit=1.0):
        return lambda y, p: td.sum(weights / unit * td.odeint(f, y, ts, p, mode=mode, **control)[-1])

    want = td.grad(loss("checkpoint"), (0, 1))(y0, p)
    unit = float(td.max(td.abs(td.concat(list(want)))))
    found = td.grad(loss("adjoint", unit), (0, 1))(y0, p)
    close(found, td.tree_map(lambda g: g / unit, want), 1e-5)
    # Where no value is known: right, NaN, or an error of the way back.
    in_lanes = td.vmap(td.grad(loss("adjoint", unit), (0, 1)), in_axes=(0, None))
    try:
        lanes = in_lanes(td.stack([y0, y0]), p)
    except ValueError as error:
        assert "[odeint]" in str(error)
        return
    for lane, reference in zip(lanes, want, strict=True):
        numbers = lane[0].cpu().numpy()
        assert np.isnan(numbers).all() or np.allclose(numbers, reference.cpu().numpy() / unit, atol=1e-5)


def test_second_derivatives_of_what_is_unstable_backward():
    y0, p = times(1.0), number(20.0)
    loss = lambda mode: (
        lambda y: td.sum(td.odeint(fading, y, times(0.0, 1.0), p, mode=mode, rtol=1e-9, atol=1e-12))
    )
    want, found = (td.hvp(loss(mode), y0, td.ones_like(y0)) for mode in MODES)
    close(found, want, 1e-4 * abs(float(want[0])))


def test_what_cannot_be_solved_backward_names_the_other_mode():
    burst = lambda y, t: td.where(t < 0.01, -1e5 * y, 0 * y)
    loss = lambda mode: lambda y: td.odeint(burst, y, times(0.0, 1000.0), mode=mode, max_steps=1200)[1]
    assert abs(float(td.grad(loss("checkpoint"))(number(1.0)))) < 1e-6
    with pytest.raises(td.GradientError, match=r"cannot be solved backward.*\(use mode=\"checkpoint\"\)"):
        td.grad(loss("adjoint"))(number(1.0))


@both
def test_stable_equations_are_solved_backward_in_one_piece(mode):
    """Many turns, in which errors add up: no reason to refuse, nor to begin again."""
    ts = times(0.0, 60.0)
    loss = lambda omega: td.odeint(oscillator, times(1.0, 0.0), ts, omega, mode=mode)[1, 0]
    close(td.grad(loss)(number(1.0)), number(-60 * np.sin(60.0)), 1e-3)
    lanes = td.vmap(td.grad(loss))(times(1.0, 1.0))
    close(lanes, times(*[-60 * np.sin(60.0)] * 2), 1e-3)


def test_memory_is_that_of_the_steps_taken():
    solve = lambda **more: td.odeint(decay, number(1.0), times(0.0, 1.0, 2.0), number(1.0), **more)
    many = solve(max_steps=10**11)
    assert many.tolist() == solve().tolist()
    gradient = td.grad(lambda rate: td.odeint(decay, number(1.0), times(0.0, 1.0), rate, max_steps=10**11)[1])
    close(gradient(number(1.0)), number(-np.exp(-1.0)), 1e-7)


# --- What goes wrong


@both
def test_errors(mode):
    go = lambda f, y0, ts, **k: td.odeint(f, y0, ts, mode=mode, **k)
    one, ts = number(1.0), times(0.0, 1.0)
    for wrong in ((0.0, 2.0, 1.0), (1.0, 0.0, 0.5)):
        with pytest.raises(ValueError, match="rise or fall"):
            go(lambda y, t: y, one, times(*wrong))
    with pytest.raises(ValueError, match="time 1 is nan"):
        go(lambda y, t: y, one, times(0.0, float("nan")))
    with pytest.raises(ValueError, match="max_steps = 5"):
        go(lambda y, t: td.cos(50 * t) + 0 * y, one, ts, max_steps=5)
    with pytest.raises(ValueError, match="too small"):
        go(lambda y, t: y * y, one, times(0.0, 2.0))  # ends at 1
    with pytest.raises(ValueError, match="not finite at the first time"):
        go(lambda y, t: td.log(y - 2), one, ts)
    with pytest.raises(ValueError, match="not finite"):
        go(lambda y, t: td.where(t > 0.5, float("nan"), y), one, ts)
    for shape in ((), (2, 2), (0,)):
        with pytest.raises(td.ShapeError, match="vector"):
            go(lambda y, t: y, one, td.zeros(shape))
    with pytest.raises(td.ShapeError, match="what f returns"):
        go(lambda y, t: y[None], one, ts)
    with pytest.raises(ValueError, match="structure"):
        go(lambda y, t: (y, y), one, ts)
    with pytest.raises(td.DTypeError, match="int64"):
        go(lambda y, t: y, td.asarray([1, 2]), ts)
    with pytest.raises(td.TraceError, match="looks at values"):
        go(lambda y, t: y if float(y) > 0 else -y, one, ts)
    for key, value in {"rtol": -1.0, "atol": -1.0, "max_steps": 0}.items():
        with pytest.raises(ValueError, match=key):
            go(lambda y, t: y, one, ts, **{key: value})
    with pytest.raises(ValueError, match="one must be positive"):
        go(lambda y, t: y, one, ts, rtol=0.0, atol=0.0)
    with pytest.raises(ValueError, match="modes are"):
        td.odeint(lambda y, t: y, one, ts, mode="magic")
    with pytest.raises(ValueError, match="dopri5"):
        td.odeint(lambda y, t: y, one, ts, method="euler")


STEPPED = {
    "oscillator": (lambda y, t: td.stack([y[1], -4 * y[0]]), (1.0, 0.0), (0.0, 3.0)),
    "lotka_volterra": (lambda y, t: lotka_volterra(y, t, P), (10.0, 5.0), (0.0, 12.0)),
    "backward": (lambda y, t: -t * y, (1.0, -2.0), (2.0, -1.5)),
    "from zero": (lambda y, t: td.stack([td.cos(t), 1e-3 * t]), (0.0, 0.0), (0.0, 5.0)),
    "nothing at first": (lambda y, t: td.stack([t**3, 0 * t]), (0.0, 1.0), (0.0, 2.0)),
    "nothing at all": (lambda y, t: 0 * y, (1.0, 2.0), (0.0, 2.0)),
    "refused steps": (
        lambda y, t: td.stack([y[1], 8 * (1 - y[0] ** 2) * y[1] - y[0]]),
        (2.0, 0.0),
        (0.0, 15.0),
    ),
    "a short time": (lambda y, t: -y, (1.0, 2.0), (0.0, 1e-4)),
}


@pytest.mark.parametrize("name", STEPPED)
@pytest.mark.parametrize("rtol", [1e-3, 1e-6])
def test_steps_are_those_of_scipys_rk45(name, rtol):
    """The error of coarse steps is that of each of them: where one differs, so does the end."""
    f, y0, (begin, end) = STEPPED[name]
    field = lambda t, y: f(td.asarray(y), td.asarray(t)).cpu().numpy()
    want = scipy.integrate.solve_ivp(field, (begin, end), y0, "RK45", rtol=rtol, atol=1e-4 * rtol).y[:, -1]
    got = td.odeint(f, times(*y0), times(begin, end), rtol=rtol, atol=1e-4 * rtol)[-1].cpu().numpy()
    np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-12)
