"""Optimisers by formulas against the papers' in NumPy, functional ones, averages of parameters."""

import copy
import math

import numpy as np
import pytest
import tidu as td

rng = np.random.default_rng(23)
optim = td.optim


def adagrad(p, g, s, t, lr=1e-2, lr_decay=0.0, weight_decay=0.0, initial_accumulator_value=0.0, eps=1e-10):
    g = g + weight_decay * p
    s["s"] = s.get("s", initial_accumulator_value) + g * g
    return p - lr / (1 + (t - 1) * lr_decay) * g / (np.sqrt(s["s"]) + eps)


def adadelta(p, g, s, t, lr=1.0, rho=0.9, eps=1e-6, weight_decay=0.0):
    g = g + weight_decay * p
    s["v"] = rho * s.get("v", 0) + (1 - rho) * g**2
    d = np.sqrt(s.get("u", 0) + eps) / np.sqrt(s["v"] + eps) * g
    s["u"] = rho * s.get("u", 0) + (1 - rho) * d**2
    return p - lr * d


def moments(g, s, betas):
    s["m"] = betas[0] * s.get("m", 0) + (1 - betas[0]) * g
    s["v"] = betas[1] * s.get("v", 0) + (1 - betas[1]) * g * g
    return s["m"], s["v"]


def decay(p, g, lr, weight_decay, decoupled):
    return (p * (1 - lr * weight_decay), g) if decoupled else (p, g + weight_decay * p)


def adamax(p, g, s, t, lr=2e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0):
    g = g + weight_decay * p
    m, _ = moments(g, s, betas)
    s["u"] = np.maximum(betas[1] * s.get("u", 0), abs(g) + eps)
    return p - lr / (1 - betas[0] ** t) * m / s["u"]


def nadam(
    p,
    g,
    s,
    t,
    lr=2e-3,
    betas=(0.9, 0.999),
    eps=1e-8,
    weight_decay=0.0,
    momentum_decay=4e-3,
    decoupled_weight_decay=False,
):
    p, g = decay(p, g, lr, weight_decay, decoupled_weight_decay)
    m, v = moments(g, s, betas)
    mu = [betas[0] * (1 - 0.5 * 0.96 ** (i * momentum_decay)) for i in range(t + 2)]
    product = math.prod(mu[1 : t + 1])
    root = np.sqrt(v / (1 - betas[1] ** t)) + eps
    return p - lr * ((1 - mu[t]) / (1 - product) * g + mu[t + 1] / (1 - product * mu[t + 1]) * m) / root


def radam(p, g, s, t, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, decoupled_weight_decay=False):
    p, g = decay(p, g, lr, weight_decay, decoupled_weight_decay)
    m, v = moments(g, s, betas)
    last = 2 / (1 - betas[1]) - 1
    rho = last - 2 * t * betas[1] ** t / (1 - betas[1] ** t)
    m = m / (1 - betas[0] ** t)
    if rho <= 5:
        return p - lr * m
    r = math.sqrt((rho - 4) * (rho - 2) * last / ((last - 4) * (last - 2) * rho))
    return p - lr * m * r * math.sqrt(1 - betas[1] ** t) / (np.sqrt(v) + eps)


def lion(p, g, s, t, lr=1e-4, betas=(0.9, 0.99), weight_decay=0.0):
    m = s.get("m", 0)
    s["m"] = betas[1] * m + (1 - betas[1]) * g
    return p - lr * weight_decay * p - lr * np.sign(betas[0] * m + (1 - betas[0]) * g)


def muon(p, g, s, t, lr=1e-3, weight_decay=0.1, momentum=0.95, nesterov=True, adjust_lr_fn=None):
    s["b"] = momentum * s.get("b", 0) + (1 - momentum) * g
    u = (1 - momentum) * g + momentum * s["b"] if nesterov else s["b"]
    # The iteration is a polynomial of the singular values.
    left, values, right = np.linalg.svd(u / np.linalg.norm(u), full_matrices=False)
    for _ in range(5):
        values = 3.4445 * values - 4.775 * values**3 + 2.0315 * values**5
    rows, columns = p.shape
    scale = 0.2 * math.sqrt(max(rows, columns)) if adjust_lr_fn else math.sqrt(max(1, rows / columns))
    return p - lr * weight_decay * p - lr * scale * (left * values) @ right


CASES = [
    (optim.Adagrad, adagrad, {}),
    (optim.Adagrad, adagrad, {"lr_decay": 0.1, "weight_decay": 0.1, "initial_accumulator_value": 0.2}),
    (optim.Adadelta, adadelta, {}),
    (optim.Adadelta, adadelta, {"lr": 0.5, "rho": 0.7, "eps": 1e-3, "weight_decay": 0.1}),
    (optim.Adamax, adamax, {}),
    (optim.Adamax, adamax, {"lr": 0.1, "betas": (0.5, 0.7), "eps": 1e-3, "weight_decay": 0.1}),
    (optim.NAdam, nadam, {}),
    (optim.NAdam, nadam, {"lr": 0.1, "weight_decay": 0.1, "decoupled_weight_decay": True}),
    (optim.RAdam, radam, {"weight_decay": 0.1}),
    (optim.RAdam, radam, {"betas": (0.5, 0.9), "weight_decay": 0.1, "decoupled_weight_decay": True}),
    (optim.RAdam, radam, {"betas": (0.9, 0.5)}),
    (optim.Lion, lion, {}),
    (optim.Lion, lion, {"lr": 0.1, "betas": (0.5, 0.7), "weight_decay": 0.2}),
    (optim.Muon, muon, {}),
    (optim.Muon, muon, {"lr": 0.1, "nesterov": False, "adjust_lr_fn": "match_rms_adamw"}),
]
EACH = pytest.mark.parametrize(("optimizer", "formula", "options"), CASES)
STEPS = 8

FUSED = [
    (optim.SGD, {"lr": 0.1, "weight_decay": 0.1}),
    (optim.SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    (optim.Adam, {"weight_decay": 0.1}),
    (optim.AdamW, {"lr": 0.1}),
    (optim.RMSprop, {}),
    (optim.RMSprop, {"momentum": 0.5, "weight_decay": 0.1}),
]
ALL = pytest.mark.parametrize(
    ("optimizer", "options"), FUSED + [(optimizer, options) for optimizer, _, options in CASES]
)


def drawn(optimizer):
    shapes = [(3, 4), (5, 2)] if optimizer is optim.Muon else [(3, 4), (5,), ()]
    return [rng.normal(size=shape) for shape in shapes]


def leaves(arrays, dtype=td.float64):
    return [td.tensor(x, dtype=dtype, requires_grad=True) for x in arrays]


def tensors(arrays, dtype=td.float64):
    return [td.tensor(x, dtype=dtype) for x in arrays]


def values(params):
    return [p.detach().cpu().numpy() for p in params]


@EACH
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_steps_follow_the_formula(optimizer, formula, options, dtype):
    dtype = getattr(td, dtype)
    expected = drawn(optimizer)
    params, states = leaves(expected, dtype), [{} for _ in expected]
    expected = [p.astype(np.float64) for p in values(params)]
    opt = optimizer(params, **options)
    rtol, atol = (1e-9, 1e-12) if dtype == td.float64 else (5e-5, 5e-6)
    for step in range(1, STEPS + 1):
        gradients = [g.astype(np.float32) for g in drawn(optimizer)]
        opt.update(tensors(gradients, dtype))
        expected = [
            formula(p, g.astype(np.float64), s, step, **options)
            for p, g, s in zip(expected, gradients, states, strict=True)
        ]
        for p, value in zip(values(params), expected, strict=True):
            np.testing.assert_allclose(p, value, rtol=rtol, atol=atol)


@ALL
def test_functional_ones_take_the_same_steps(optimizer, options):
    start = drawn(optimizer)
    params, tree = leaves(start), {"first": td.tensor(start[0]), "rest": tuple(tensors(start[1:]))}
    opt, functional = optimizer(params, **options), optim.functional(optimizer, **options)
    state = functional.init(tree)
    for _ in range(STEPS):
        gradients = tensors(drawn(optimizer))
        opt.update(gradients)
        tree, state = functional.update(
            {"rest": tuple(gradients[1:]), "first": gradients[0]}, state, tree
        )  # in whatever order
    assert state["step"].item() == STEPS
    for a, b in zip(values(params), [tree["first"], *tree["rest"]], strict=True):
        np.testing.assert_allclose(a, b.cpu().numpy(), rtol=1e-12, atol=1e-14)


@ALL
def test_compiled_steps_have_the_same_bits(optimizer, options):
    start = drawn(optimizer)
    params, twins = leaves(start, td.float32), leaves(start, td.float32)
    opt, twin = optimizer(params, **options), optimizer(twins, **options)
    step = td.compile(lambda gradients: twin.update(gradients))
    for i in range(4):
        opt.param_groups[0]["lr"] = twin.param_groups[0]["lr"] = 0.1 / (i + 1)
        gradients = tensors(drawn(optimizer), td.float32)
        opt.update(gradients)
        step(gradients)
    for a, b in zip(values(params), values(twins), strict=True):
        np.testing.assert_array_equal(a, b)


@EACH
def test_saved_state_goes_on_with_the_same_bits(optimizer, formula, options, tmp_path):
    params = leaves(drawn(optimizer), td.float32)
    rows = [tensors(drawn(optimizer), td.float32) for _ in range(5)]
    whole = optimizer(params, **options)
    for row in rows[:3]:
        whole.update(row)
    td.save(tmp_path / "state", {"params": [p.detach() for p in params], "optimizer": whole.state_dict()})
    saved = td.load(tmp_path / "state")
    twins = [td.nn.Parameter(p) for p in saved["params"]]
    resumed = optimizer(twins)
    resumed.load_state_dict(saved["optimizer"])
    for row in rows[3:]:
        whole.update(row)
        resumed.update(row)
    for a, b in zip(values(params), values(twins), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("optimizer", [optim.Adagrad, optim.Lion, optim.NAdam], ids=lambda o: o.__name__)
def test_parameters_of_16_bits_are_stepped_in_float32(optimizer):
    start = rng.normal(size=(7,))
    (narrow,), (wide,) = leaves([start], td.bfloat16), leaves([start], td.bfloat16)
    opt = optimizer([narrow], lr=0.1)
    functional = optim.functional(optimizer, lr=0.1)
    params = wide.detach().astype(td.float32)
    state = functional.init(params)
    for _ in range(3):
        gradient = td.tensor(rng.normal(size=(7,)), dtype=td.bfloat16)
        opt.update([gradient])
        params, state = functional.update(gradient.astype(td.float32), state, params)
        params = params.astype(td.bfloat16).astype(td.float32)
    assert narrow.dtype == td.bfloat16
    np.testing.assert_array_equal(narrow.detach().astype(td.float32).cpu().numpy(), params.cpu().numpy())


def test_singular_values_come_near_one():
    matrix = rng.normal(size=(30, 8)) @ np.diag(np.logspace(-1.5, 0, 8))
    result = optim.orthogonalize(td.tensor(matrix)).cpu().numpy()
    left, _, right = np.linalg.svd(matrix, full_matrices=False)
    inner = left.T @ result @ right.T  # diagonal, for the vectors stay
    np.testing.assert_allclose(inner, np.diag(np.diag(inner)), atol=1e-10)
    assert np.diag(inner).min() > 0.65 and np.diag(inner).max() < 1.25
    np.testing.assert_allclose(
        optim.orthogonalize(td.tensor(matrix.T)).cpu().numpy(), result.T, rtol=1e-9, atol=1e-12
    )
    assert optim.orthogonalize(td.zeros((2, 3))).tolist() == [[0, 0, 0]] * 2
    with pytest.raises(td.ShapeError, match="takes a matrix"):
        optim.orthogonalize(td.ones((3,)))


# ---- Groups


def test_a_group_joins_later():
    a, b, c = (td.tensor([1.0], requires_grad=True) for _ in range(3))
    opt = optim.Adagrad([a], lr=0.5)
    schedule = optim.StepLR(opt, 1, 0.5)
    opt.update([td.ones((1,))])
    opt.add_param_group({"params": [b], "lr": 0.25})
    schedule.step()
    assert [group["lr"] for group in opt.param_groups] == [0.25, 0.125]
    opt.update([None, td.ones((1,))])
    assert (a.item(), b.item()) == (0.5, 0.875)
    for group, message in [
        ({"params": [b]}, "given twice"),
        ({"params": [c], "rate": 1}, "unknown option rate"),
        ({"params": [c * 2]}, "not a leaf"),
        ({"params": [c], "lr": -1}, "lr is -1"),
        ({"params": [c, c]}, "given twice"),
    ]:
        with pytest.raises(ValueError, match=message):
            opt.add_param_group(group)
    assert len(opt.param_groups) == 2
    with pytest.raises(ValueError, match="one group"):
        optim.LBFGS([a]).add_param_group({"params": [b]})


def test_compiled_steps_see_a_group_that_joins():
    a, b = (td.tensor([1.0], requires_grad=True) for _ in range(2))
    opt = optim.SGD([a], lr=0.5)

    @td.compile
    def step():
        opt.zero_grad()
        (a * b).sum().backward()
        opt.step()

    step()
    opt.add_param_group({"params": [b]})
    step()
    assert (a.item(), b.item()) == (0.0, 0.75)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: optim.Adagrad([p], lr_decay=-1), r"\[Adagrad\] lr_decay is -1"),
        (lambda p: optim.Adadelta([p], rho=2), r"\[Adadelta\] rho is 2"),
        (lambda p: optim.NAdam([p], momentum_decay=-1), "momentum_decay is -1"),
        (lambda p: optim.Lion([p], betas=(0.9, 1.0)), "betas"),
        (lambda p: optim.Muon([p]), r"parameter 0 is of shape \(1,\), but must be a matrix .*AdamW"),
        (lambda p: optim.Muon([p[None].detach()], ns_steps=-1), "ns_steps is -1"),
        (lambda p: optim.Muon([p[None].detach()], adjust_lr_fn="x"), "adjust_lr_fn is x"),
        (lambda p: optim.functional(optim.Muon).init(p), "must be a matrix"),
        (lambda p: optim.functional(optim.Adam, betas=(2, 0)), "betas"),
        (lambda p: optim.functional(optim.Adam, lr=-1), "lr is -1"),
        (
            lambda p: optim.functional(optim.SGD).update([p], optim.functional(optim.SGD).init(p), p),
            "structures",
        ),
    ],
)
def test_mistakes_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make(td.tensor([1.0], requires_grad=True))


def test_mistakes_of_other_kinds_are_named():
    with pytest.raises(TypeError, match="that have a formula"):
        optim.functional(optim.LBFGS)
    with pytest.raises(TypeError, match=r"Adam has no option momentum \(it has lr"):
        optim.functional(optim.Adam, momentum=0.9)
    with pytest.raises(TypeError, match="parameter 0 is no floating-point tensor"):
        optim.functional(optim.SGD).init([td.tensor([1])])
    sgd, a = optim.functional(optim.SGD), td.ones((2,))
    with pytest.raises(td.ShapeError, match="does not fit its parameter"):
        sgd.update(td.ones((3,)), sgd.init(a), a)
    p, q = (td.tensor([1.0], requires_grad=True) for _ in range(2))
    with pytest.raises(td.ShapeError, match=r"\[Lion\] gradient 1 is .* does not fit"):
        optim.Lion([p, q], lr=1.0).update([td.ones((1,)), td.ones((2,))])
    assert (p.item(), q.item()) == (1.0, 1.0)
    with pytest.raises(td.GradientError, match="is being differentiated"):
        td.grad(lambda g: (optim.Lion([p]).update([g]), (p * g).sum())[1])(td.ones((1,)))


# ---- Functional ones under transforms


def quadratic(x):
    return ((x - 3.0) ** 2).sum()


@pytest.mark.parametrize(
    "optimizer", [optim.SGD, optim.Adam, optim.RAdam, optim.Lion], ids=lambda o: o.__name__
)
def test_training_is_the_body_of_a_scan_and_of_vmap(optimizer):
    functional = optim.functional(optimizer, lr=0.05)
    start = td.tensor(rng.normal(size=(3, 2)))

    def step(carry, _):
        params, state = carry
        return functional.update(td.grad(quadratic)(params), state, params), quadratic(params)

    def train(params):
        (params, _), losses = td.scan(step, (params, functional.init(params)), length=7)
        return params, losses

    def by_hand(params):
        carry, losses = (params, functional.init(params)), []
        for _ in range(7):
            carry, loss = step(carry, None)
            losses.append(loss)
        return carry[0], td.stack(losses)

    for x in (train, td.compile(train)):
        for ours, expected in zip(x(start), by_hand(start), strict=True):
            np.testing.assert_allclose(ours.cpu().numpy(), expected.cpu().numpy(), rtol=1e-12)
    rows = td.vmap(train)(start)[0].cpu().numpy()
    np.testing.assert_allclose(rows, [by_hand(row)[0].cpu().numpy() for row in start], rtol=1e-12)


def test_the_loss_after_training_has_a_derivative_by_the_learning_rate():
    start = td.tensor([1.0, -2.0], dtype=td.float64)

    def loss(lr):
        functional = optim.functional(optim.SGD, lr=lr, momentum=0.5)
        params, state = start, functional.init(start)
        for _ in range(3):
            params, state = functional.update(td.grad(quadratic)(params), state, params)
        return quadratic(params)

    # Of w = x - 3 and b: b = b / 2 + 2 w, w = w - lr b.
    lr = 0.1
    w, b, dw, db = np.array([-2.0, -5.0]), 0.0, 0.0, 0.0
    for _ in range(3):
        b, db = b / 2 + 2 * w, db / 2 + 2 * dw
        w, dw = w - lr * b, dw - b - lr * db
    slope = td.grad(loss)(td.tensor(lr, dtype=td.float64))
    assert slope.item() == pytest.approx((2 * w * dw).sum(), rel=1e-12)


def test_a_schedule_is_a_function_of_the_steps_so_far():
    functional = optim.functional(optim.SGD, lr=lambda step: 0.5 / (step + 1))
    params = td.tensor([0.0], dtype=td.float64)
    state = functional.init(params)
    for _ in range(3):
        params, state = functional.update(td.ones((1,), dtype=td.float64), state, params)
    assert params.item() == pytest.approx(-0.5 * (1 + 1 / 2 + 1 / 3))


# ---- Schedules


def rates(make, steps, lr=0.5, metrics=None):
    opt = optim.SGD([td.tensor([1.0], requires_grad=True)], lr=lr)
    schedule = make(opt)
    result = []
    for i in range(steps):
        result.append(opt.param_groups[0]["lr"])
        schedule.step(*([] if metrics is None else [metrics[i]]))
    return result


def test_schedules_follow_their_formulas():
    t = np.arange(12)
    np.testing.assert_allclose(
        rates(lambda o: optim.MultiStepLR(o, [5, 3], 0.2), 7), np.repeat([0.5, 0.1, 0.02], [3, 2, 2])
    )
    np.testing.assert_allclose(rates(lambda o: optim.ExponentialLR(o, 0.9), 12), 0.5 * 0.9**t)
    np.testing.assert_allclose(
        rates(lambda o: optim.LinearLR(o, 4, 0.2, 2.0), 6), 0.5 * np.array([0.2, 0.65, 1.1, 1.55, 2, 2])
    )
    np.testing.assert_allclose(
        rates(lambda o: optim.PolynomialLR(o, 8, 2), 12), 0.5 * np.maximum(1 - t / 8, 0) ** 2
    )
    halves = [0.1 + 0.9 * (1 + math.cos(math.pi * i / n)) / 2 for n in (2, 6, 18) for i in range(n)]
    np.testing.assert_allclose(
        rates(lambda o: optim.CosineWarmRestartsLR(o, 2, 3, 0.1), 26), 0.5 * np.array(halves)
    )
    np.testing.assert_allclose(rates(lambda o: optim.CosineWarmRestartsLR(o, 2), 6), [0.5, 0.25] * 3)
    one = rates(lambda o: optim.OneCycleLR(o, 11, 0.4, "linear", 10, 100), 13)
    at = 0.4 * 11 - 1
    np.testing.assert_allclose(one, 0.5 * np.interp(np.arange(13), [0, at, 10], [0.1, 1, 0.001]))
    cosine = rates(lambda o: optim.OneCycleLR(o, 21, 6 / 21, "cos", 10, 100), 21)
    np.testing.assert_allclose(np.array(cosine)[[0, 5, 20]], 0.5 * np.array([0.1, 1, 0.001]))
    middle = (1 + math.cos(math.pi * 5 / 15)) / 2
    assert cosine[10] == pytest.approx(0.5 * (0.001 + 0.999 * middle))


@pytest.mark.parametrize("mode", ["min", "max"])
def test_a_plateau_of_negative_metrics(mode):
    def rate(metrics):
        opt = optim.SGD([td.zeros(1, requires_grad=True)], lr=1.0)
        schedule = optim.ReduceLROnPlateau(opt, mode, decay=0.5, patience=1, threshold=0.1)
        for metric in metrics:
            schedule.step(metric if mode == "min" else -metric)
        return opt.param_groups[0]["lr"]

    for sign in (1, -1):
        start = 10.0 * sign
        assert rate([start] * 3) == 0.5
        assert rate([start, start - 0.9, start - 0.9]) == 0.5  # not by a tenth
        assert rate([start, start + 0.9, start + 0.9]) == 0.5
        assert rate([start, start - 1.1, start - 1.1]) == 1.0


@pytest.mark.parametrize("make", [lambda o: optim.StepLR(o, 2), optim.ReduceLROnPlateau])
def test_an_unfit_state_of_a_schedule_changes_nothing(make):
    schedule = make(optim.SGD([td.zeros(1, requires_grad=True)], lr=1.0))
    before = schedule.state_dict()
    for change in ({"steps": -3}, {"steps": 1.5}, {"steps": "x"}, {"steps": None}):
        with pytest.raises(ValueError, match="steps is"):
            schedule.load_state_dict({**before, **change})
    with pytest.raises(ValueError, match="lacks steps"):
        schedule.load_state_dict({})
    assert schedule.state_dict() == before


def test_a_plateau_lowers_the_rate():
    def rate(metrics, **options):
        return rates(
            lambda o: optim.ReduceLROnPlateau(o, decay=0.5, patience=1, **options), len(metrics), 1.0, metrics
        )

    assert rate([3, 2, 2, 2, 2, 2, 2, 1, 1, 1, 1]) == [1, 1, 1, 1, 0.5, 0.5, 0.25, 0.25, 0.25, 0.25, 0.125]
    assert rate([3, 3, 3, 3, 3, 3, 3, 3], cooldown=2) == [1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.25]
    assert rate([1, 1.05, 1.05, 1.3, 1.3], mode="max", threshold=0.1) == [1, 1, 1, 0.5, 0.5]
    assert rate([-1, -1.05, -1.2, -1.2, -1.2], threshold=0.1, threshold_mode="abs") == [1] * 5
    assert rate([1.0] * 8, minimum=0.3)[-1] == 0.3
    nan = rate([1.0, math.nan, math.nan, math.nan])
    assert nan == [1, 1, 1, 0.5]
    opt = optim.SGD([td.tensor([1.0], requires_grad=True)], lr=1.0)
    schedule = optim.ReduceLROnPlateau(opt, patience=1)
    schedule.step(td.tensor(1.0))
    schedule.step(2.0)
    resumed = optim.ReduceLROnPlateau(opt, patience=1)
    resumed.load_state_dict(schedule.state_dict())
    resumed.step(2.0)
    assert opt.param_groups[0]["lr"] == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda o: optim.LinearLR(o, 0), ValueError, "total_steps is 0"),
        (lambda o: optim.OneCycleLR(o, 10, 1.5), ValueError, "pct_start is 1.5"),
        (lambda o: optim.OneCycleLR(o, 10, anneal="x"), ValueError, "anneal is 'x'"),
        (lambda o: optim.CosineWarmRestartsLR(o, 3, 0), ValueError, "multiplier is 0"),
        (lambda o: optim.ReduceLROnPlateau(o, "low"), ValueError, "mode is 'low'"),
        (lambda o: optim.ReduceLROnPlateau(o, decay=1), ValueError, "decay is 1"),
        (
            lambda o: optim.SequentialLR(o, [optim.ReduceLROnPlateau(o)], []),
            TypeError,
            "no function of the number of steps",
        ),
    ],
)
def test_unfit_schedules_are_named(make, error, message):
    with pytest.raises(error, match=message):
        rates(make, 1)


# ---- Averages of parameters


@pytest.mark.parametrize("saved_at", range(9))
def test_a_plateau_goes_on_from_any_state(saved_at):
    """Within patience, at a reduction and within its cooldown."""
    metrics = [3.0, 2.0, 2.5, 2.5, 2.5, 2.5, 1.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0]

    def begun():
        opt = optim.SGD([td.zeros(1, requires_grad=True)], lr=1.0)
        return opt, optim.ReduceLROnPlateau(opt, decay=0.5, patience=1, cooldown=2)

    def rates(opt, schedule, metrics):
        found = []
        for metric in metrics:
            schedule.step(metric)
            found.append(opt.param_groups[0]["lr"])
        return found

    whole = rates(*begun(), metrics)
    assert whole == [1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.25, 0.125]
    opt, schedule = begun()
    before = rates(opt, schedule, metrics[:saved_at])
    resumed_opt, resumed = begun()
    resumed_opt.load_state_dict(opt.state_dict())
    resumed.load_state_dict(schedule.state_dict())
    assert before + rates(resumed_opt, resumed, metrics[saved_at:]) == whole


def test_averages_follow_their_formulas():
    model = td.nn.Linear(2, 2, dtype=td.float64, key=td.random.key(1))
    moving, mean = optim.AveragedModel(model, 0.9), optim.AveragedModel(model, None)
    seen, expected = [], None
    for _ in range(4):
        with td.no_grad():
            model.weight[...] = td.tensor(rng.normal(size=(2, 2)))
        moving.update(model)
        mean.update(model)
        seen.append(model.weight.detach().cpu().numpy().copy())
        expected = seen[0] if expected is None else 0.9 * expected + 0.1 * seen[-1]
    np.testing.assert_allclose(moving.module.weight.cpu().numpy(), expected, rtol=1e-14)
    np.testing.assert_allclose(mean.module.weight.cpu().numpy(), np.mean(seen, axis=0), rtol=1e-14)
    x = td.ones((1, 2), dtype=td.float64)
    np.testing.assert_allclose(moving(x).cpu().numpy(), moving.module(x).cpu().numpy())
    assert not moving(x).requires_grad

    resumed = optim.AveragedModel(model, 0.9)
    resumed.load_state_dict(moving.state_dict())
    moving.update(model)
    resumed.update(model)
    np.testing.assert_array_equal(resumed.module.weight.cpu().numpy(), moving.module.weight.cpu().numpy())


def test_small_changes_count_in_averages_of_16_bits():
    model = td.nn.Linear(1, 1, bias=False, dtype=td.bfloat16)
    with td.no_grad():
        model.weight[...] = 1.0
    average = optim.AveragedModel(model, 0.999)
    average.update(model)
    with td.no_grad():
        model.weight[...] = 2.0
    for _ in range(100):
        average.update(model)
    assert average.module.weight.dtype == td.bfloat16
    assert average.module.weight.item() == pytest.approx(2 - 0.999**100, abs=2**-8)


def test_averages_take_buffers_as_they_are():
    model = td.nn.Sequential(td.nn.Linear(3, 2, key=td.random.key(4)), td.nn.BatchNorm1d(2))
    average = optim.AveragedModel(model, 0.9)
    own = average.module.buffers()
    for _ in range(2):
        model(td.tensor(rng.normal(size=(8, 3)), dtype=td.float32))
        average.update(model)
        assert model.buffers()
        for buffer, new in zip(average.module.buffers(), model.buffers(), strict=True):
            np.testing.assert_array_equal(buffer.cpu().numpy(), new.cpu().numpy())
    before = [value.copy() for value in values(own)]
    model(td.tensor(rng.normal(size=(8, 3)), dtype=td.float32))
    for a, b in zip(values(own), before, strict=True):  # copies: the model's own go on alone
        np.testing.assert_array_equal(a, b)
    assert any((a != b).any() for a, b in zip(values(model.buffers()), before, strict=True))


def test_averages_are_a_part_of_a_compiled_step():
    model = td.nn.Sequential(td.nn.Linear(3, 2, key=td.random.key(2)), td.nn.Tanh())
    twin = copy.deepcopy(model)
    x = td.tensor(rng.normal(size=(4, 3)), dtype=td.float32)

    def trained(model, wrap):
        opt, average = optim.Adamax(model.parameters(), lr=0.1), optim.AveragedModel(model, 0.5)

        def step():
            opt.zero_grad()
            (model(x) ** 2).sum().backward()
            opt.step()
            average.update(model)

        step = wrap(step)
        for _ in range(4):
            step()
        return values(average.parameters()), average.updates.item()

    (eager, _), (compiled, count) = trained(model, lambda f: f), trained(twin, td.compile)
    assert count == 4
    for a, b in zip(eager, compiled, strict=True):
        np.testing.assert_array_equal(a, b)


def test_gradients_accumulate_over_parts_of_a_batch():
    model = td.nn.Linear(3, 1, dtype=td.float64, key=td.random.key(3))
    x, y = td.tensor(rng.normal(size=(8, 3))), td.tensor(rng.normal(size=(8, 1)))
    td.nn.functional.mse_loss(model(x), y).backward()
    whole = [p.grad.cpu().numpy() for p in model.parameters()]
    model.zero_grad()
    for part, target in zip(td.chunk(x, 4), td.chunk(y, 4), strict=True):
        (td.nn.functional.mse_loss(model(part), target) / 4).backward()
    for p, g in zip(model.parameters(), whole, strict=True):
        np.testing.assert_allclose(p.grad.cpu().numpy(), g, rtol=1e-12)
