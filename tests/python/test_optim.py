"""Optimisers against PyTorch's documented formulas in NumPy; schedules; clipping."""

import itertools
import math

import numpy as np
import pytest
import tidu as td

rng = np.random.default_rng(11)


def sgd(p, g, s, t, lr=0.1, momentum=0.0, weight_decay=0.0, nesterov=False):
    g = g + weight_decay * p
    if momentum:
        s["b"] = g if t == 1 else momentum * s["b"] + g
        g = g + momentum * s["b"] if nesterov else s["b"]
    return p - lr * g


def adam(p, g, s, t, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, decoupled=False):
    p, g = (p - lr * weight_decay * p, g) if decoupled else (p, g + weight_decay * p)
    s["m"] = betas[0] * s.get("m", 0) + (1 - betas[0]) * g
    s["v"] = betas[1] * s.get("v", 0) + (1 - betas[1]) * g * g
    return p - lr * s["m"] / (1 - betas[0] ** t) / (np.sqrt(s["v"] / (1 - betas[1] ** t)) + eps)


def rmsprop(p, g, s, t, lr=1e-2, alpha=0.99, eps=1e-8, weight_decay=0.0, momentum=0.0):
    g = g + weight_decay * p
    s["v"] = alpha * s.get("v", 0) + (1 - alpha) * g * g
    d = g / (np.sqrt(s["v"]) + eps)
    if momentum:
        d = s["b"] = momentum * s.get("b", 0) + d
    return p - lr * d


CASES = [
    (td.optim.SGD, sgd, {"lr": 0.1}),
    (td.optim.SGD, sgd, {"lr": 0.1, "weight_decay": 0.3}),
    (td.optim.SGD, sgd, {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01}),
    (td.optim.SGD, sgd, {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    (td.optim.Adam, adam, {}),
    (td.optim.Adam, adam, {"lr": 0.1, "betas": (0.5, 0.7), "eps": 1e-3, "weight_decay": 0.2}),
    (td.optim.AdamW, lambda *a, **k: adam(*a, **{"weight_decay": 1e-2, **k}, decoupled=True), {}),
    (td.optim.AdamW, lambda *a, **k: adam(*a, **k, decoupled=True), {"lr": 0.1, "weight_decay": 0.2}),
    (td.optim.RMSprop, rmsprop, {}),
    (td.optim.RMSprop, rmsprop, {"alpha": 0.8, "momentum": 0.7, "weight_decay": 0.1, "eps": 1e-4}),
]
EACH = pytest.mark.parametrize(("optimizer", "formula", "options"), CASES)


def leaves(dtype=td.float64):
    return [
        td.tensor(rng.normal(size=shape), dtype=dtype, requires_grad=True) for shape in [(3, 4), (5,), ()]
    ]


@EACH
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_steps_follow_the_formula(optimizer, formula, options, dtype):
    params = leaves(getattr(td, dtype))
    expected = [p.detach().cpu().numpy().astype(np.float64) for p in params]
    states = [{} for _ in params]
    opt = optimizer(params, **options)
    rtol, atol = (1e-12, 1e-14) if dtype == "float64" else (2e-5, 2e-6)
    for step in range(1, 6):
        gradients = [rng.normal(size=p.shape) for p in params]
        for p, g in zip(params, gradients, strict=True):
            p.grad = td.tensor(g, dtype=p.dtype)
        opt.step()
        expected = [
            formula(p, g, s, step, **options) for p, g, s in zip(expected, gradients, states, strict=True)
        ]
        for p, value in zip(params, expected, strict=True):
            np.testing.assert_allclose(p.detach().cpu().numpy(), value, rtol=rtol, atol=atol)
    opt.zero_grad()
    assert all(p.grad is None for p in params)


@EACH
def test_update_is_step_with_given_gradients(optimizer, formula, options):
    params = leaves()
    twins = [td.tensor(p.detach().cpu().numpy(), requires_grad=True) for p in params]
    one, two = optimizer(params, **options), optimizer(twins, **options)
    for _ in range(3):
        gradients = [td.tensor(rng.normal(size=p.shape)) for p in params]
        for p, g in zip(params, gradients, strict=True):
            p.grad = g
        one.step()
        two.update({str(i): g for i, g in enumerate(gradients)})
    for a, b in zip(params, twins, strict=True):
        np.testing.assert_array_equal(a.detach().cpu().numpy(), b.detach().cpu().numpy())


@EACH
def test_saved_state_goes_on_with_the_same_bits(optimizer, formula, options, tmp_path):
    params, gradients = (
        leaves(td.float32),
        [[rng.normal(size=(3, 4)), rng.normal(size=5), rng.normal()] for _ in range(6)],
    )

    def steps(opt, rows):
        for row in rows:
            opt.update([td.tensor(g, dtype=td.float32) for g in row])

    whole = optimizer(params, **options)
    steps(whole, gradients[:3])
    td.save(tmp_path / "state", {"params": [p.detach() for p in params], "optimizer": whole.state_dict()})
    steps(whole, gradients[3:])

    saved = td.load(tmp_path / "state")
    twins = [td.nn.Parameter(p) for p in saved["params"]]
    resumed = optimizer(twins)
    resumed.load_state_dict(saved["optimizer"])
    steps(resumed, gradients[3:])
    for a, b in zip(params, twins, strict=True):
        assert a.detach().cpu().numpy().tobytes() == b.detach().cpu().numpy().tobytes()


def test_a_parameter_without_gradient_keeps_its_own_count():
    a, b = (td.tensor([1.0], dtype=td.float64, requires_grad=True) for _ in range(2))
    opt = td.optim.Adam([a, b], lr=0.1)
    for gradients in ([1.0, None], [1.0, 1.0], [2.0, 1.0]):
        opt.update([None if g is None else td.tensor([g], dtype=td.float64) for g in gradients])
    expected, state = np.ones(1), {}
    for step in (1, 2):
        expected = adam(expected, np.ones(1), state, step, lr=0.1)
    np.testing.assert_allclose(b.detach().cpu().numpy(), expected, rtol=1e-14)


def test_groups_have_options_of_their_own():
    a, b = (td.tensor([1.0], requires_grad=True) for _ in range(2))
    opt = td.optim.SGD([{"params": [a]}, {"params": [b], "lr": 0.5}], lr=0.25)
    opt.update([td.ones((1,)), td.ones((1,))])
    assert (a.item(), b.item()) == (0.75, 0.5)
    opt.param_groups[0]["lr"] = 0.0
    opt.update([td.ones((1,)), None])
    assert (a.item(), b.item()) == (0.75, 0.5)


def test_an_update_makes_an_older_graph_an_error():
    w = td.tensor([2.0], requires_grad=True)
    loss = td.sum(w * w)
    td.optim.SGD([w], lr=0.1).update([td.ones((1,))])
    with pytest.raises(td.GradientError):
        loss.backward()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: td.optim.SGD([]), "no parameters"),
        (lambda p: td.optim.SGD([p], lr=-1), "lr is -1"),
        (lambda p: td.optim.SGD([p], nesterov=True), "nesterov needs"),
        (lambda p: td.optim.SGD([p, p]), "given twice"),
        (lambda p: td.optim.SGD([td.ones((1,))]), "no parameter is a leaf"),
        (lambda p: td.optim.SGD([p, p * 2]), "parameter 1 is not a leaf"),
        (lambda p: td.optim.SGD([p, 2.0]), "parameter 1 is not a leaf"),
        (lambda p: td.optim.SGD([{"params": [p], "rate": 1}]), "unknown option rate"),
        (lambda p: td.optim.Adam([p], betas=(0.9, 1.0)), "betas"),
        (lambda p: td.optim.RMSprop([p], alpha=1.0), "alpha"),
        (lambda p: td.optim.Adam([p]).update([]), "0 gradients for 1"),
        (lambda p: td.optim.Adam([p]).load_state_dict(td.optim.SGD([p]).state_dict()), "the state is of SGD"),
    ],
)
def test_mistakes_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make(td.tensor([1.0], requires_grad=True))


def test_a_gradient_of_another_shape_changes_nothing():
    a, b = (td.tensor([1.0], requires_grad=True) for _ in range(2))
    opt = td.optim.SGD([a, b], lr=1.0)
    with pytest.raises(td.ShapeError, match="does not fit"):
        opt.update([td.ones((1,)), td.ones((2,))])
    assert (a.item(), b.item()) == (1.0, 1.0)


OTHERS = ("Adagrad", "Adadelta", "Adamax", "NAdam", "RAdam", "Lion", "Muon")


@pytest.mark.parametrize("name", ("SGD", "Adam", "AdamW", "RMSprop", *OTHERS))
def test_an_unfit_gradient_of_a_later_group_or_step_changes_nothing(name):
    a, b = (td.tensor([[1.0]], requires_grad=True) for _ in range(2))
    opt = getattr(td.optim, name)([{"params": [a]}, {"params": [b]}], lr=1.0)
    good, value = td.ones((1, 1)), a.item()
    unfit = (td.ones((2, 1)), good.astype(td.float64), np.ones((1, 1), np.float32), 1.0)
    for gradient in unfit:
        with pytest.raises((td.ShapeError, TypeError), match="gradient 1 is"):
            opt.update([good, gradient])
        assert (a.item(), b.item()) == (value, 1.0)
    together = getattr(td.optim, name)([a, b], lr=1.0)
    together.update([good, None])  # the parameters stand at other steps from here on
    value = a.item()
    for gradient in unfit:
        with pytest.raises((td.ShapeError, TypeError), match="gradient 1 is"):
            together.update([good, gradient])
        assert (a.item(), b.item()) == (value, 1.0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: td.optim.SGD([p], lr="x"), "lr must be a number, not 'x'"),
        (lambda p: td.optim.SGD([p], lr=None), "lr must be a number"),
        (lambda p: td.optim.SGD([{"lr": 1}]), "a group is a dictionary with"),
        (lambda p: td.optim.SGD([{"params": [p]}, p]), "a group is a dictionary .* not Tensor"),
        (lambda p: td.optim.SGD(td.nn.Linear(1, 1).named_parameters()), r"is a tuple \(give model"),
        (lambda p: td.optim.SGD([p]).load_state_dict(None), "the state is a dictionary"),
    ],
)
def test_what_is_of_another_type_is_named(make, message):
    with pytest.raises(TypeError, match=message):
        make(td.tensor([1.0], requires_grad=True))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lr": -1}, "lr is -1"),
        ({"betas": None}, "betas are None"),
        ({"params": [3]}, "unknown params"),
        ({"momentum": 0.5}, "unknown momentum"),
        ({"steps": [-3]}, "steps are"),
        ({"steps": ["x"]}, "steps are"),
        ({"steps": []}, "other numbers of parameters"),
        ({"exp_avg": []}, "has 0 exp_avg"),
        ({"exp_avg": [None]}, "no tensor but NoneType"),
        ({"exp_avg": [td.zeros(2)]}, "exp_avg 0 of the state"),
    ],
)
def test_an_unfit_state_changes_nothing(change, message):
    p = td.tensor([1.0], requires_grad=True)
    opt = td.optim.Adam([p])
    state = opt.state_dict()
    state["groups"][0] |= change
    before = repr(opt)
    with pytest.raises((ValueError, TypeError, td.ShapeError), match=message):
        opt.load_state_dict(state)
    assert repr(opt) == before and opt.param_groups[0]["params"][0] is p
    opt.update([td.ones(1)])


# ---- Schedules


def rates(make, steps, lr=0.5):
    opt = td.optim.SGD([td.tensor([1.0], requires_grad=True)], lr=lr)
    schedule = make(opt)
    result = []
    for _ in range(steps):
        result.append(opt.param_groups[0]["lr"])
        schedule.step()
    return result


def test_schedules_follow_their_formulas():
    np.testing.assert_allclose(
        rates(lambda o: td.optim.StepLR(o, 3, 0.5), 9), np.repeat([0.5, 0.25, 0.125], 3)
    )
    expected = [0.5 * (0.1 + 0.9 * (1 + math.cos(math.pi * min(t / 8, 1))) / 2) for t in range(12)]
    np.testing.assert_allclose(rates(lambda o: td.optim.CosineLR(o, 8, 0.1), 12), expected)
    np.testing.assert_allclose(
        rates(lambda o: td.optim.WarmupLR(o, 4, 0.2), 6), 0.5 * np.array([0.2, 0.4, 0.6, 0.8, 1, 1])
    )
    np.testing.assert_allclose(
        rates(lambda o: td.optim.Schedule(o, lambda t: 1 / (1 + t)), 4), 0.5 / np.arange(1, 5)
    )


def test_schedules_in_sequence():
    def make(opt):
        return td.optim.SequentialLR(opt, [td.optim.WarmupLR(opt, 4), td.optim.CosineLR(opt, 6)], [4])

    warm = [t / 4 for t in range(4)]
    cosine = [(1 + math.cos(math.pi * min(t / 6, 1))) / 2 for t in range(8)]
    np.testing.assert_allclose(rates(make, 12, 1.0), warm + cosine)
    with pytest.raises(ValueError, match="milestone"):
        rates(lambda o: td.optim.SequentialLR(o, [td.optim.WarmupLR(o, 4)], [4]), 1)


def test_a_schedule_goes_on_from_its_state():
    opt = td.optim.SGD([td.tensor([1.0], requires_grad=True)], lr=1.0)
    schedule = td.optim.StepLR(opt, 2)
    for _ in range(3):
        schedule.step()
    other = td.optim.SGD([td.tensor([1.0], requires_grad=True)], lr=7.0)
    resumed = td.optim.StepLR(other, 2)
    other.load_state_dict(opt.state_dict())
    resumed.load_state_dict(schedule.state_dict())
    resumed.step()
    assert math.isclose(other.param_groups[0]["lr"], 0.01)


def test_schedules_of_one_optimiser_do_not_take_turns():
    """Each would set the rates as if the other were not there."""

    def make():
        return td.optim.SGD([td.tensor([1.0], requires_grad=True)], lr=1.0)

    def several(opt):
        return [
            td.optim.WarmupLR(opt, 2),
            td.optim.StepLR(opt, 1, 0.5),
            td.optim.ReduceLROnPlateau(opt, decay=0.5, patience=0),
        ]

    def step(schedule):
        schedule.step(*([1.0] if isinstance(schedule, td.optim.ReduceLROnPlateau) else []))

    for a, b in itertools.permutations(range(3), 2):
        schedules = several(make())
        step(schedules[a]), step(schedules[b])
        with pytest.raises(ValueError, match=f"another schedule, {type(schedules[b]).__name__}"):
            step(schedules[a])
        assert schedules[a].steps == 1
        step(schedules[b])
    opt = make()
    warm, steps, _ = several(opt)
    both = td.optim.Schedule(opt, lambda n: warm.factor(n) * steps.factor(n))
    both.step()
    assert opt.param_groups[0]["lr"] == 0.25
    after = td.optim.CosineLR(opt, 2)  # one after the other
    for _ in range(2):
        after.step()
    assert opt.param_groups[0]["lr"] == 0
    step(several(make())[0])  # of another optimiser
    after.step()


# ---- Clipping


def test_clipping():
    params = leaves()
    gradients = [rng.normal(size=p.shape) for p in params]
    norm = math.sqrt(sum((g**2).sum() for g in gradients))

    def put():
        for p, g in zip(params, gradients, strict=True):
            p.grad = td.tensor(g)

    put()
    assert math.isclose(td.optim.clip_grad_norm_(params, 1.0).item(), norm, rel_tol=1e-6)
    for p, g in zip(params, gradients, strict=True):
        np.testing.assert_allclose(p.grad.cpu().numpy(), g / (norm + 1e-6), rtol=1e-6)
    td.optim.clip_grad_norm_(params, 10.0)
    assert math.isclose(
        math.sqrt(sum((p.grad.cpu().numpy() ** 2).sum() for p in params)), norm / (norm + 1e-6), rel_tol=1e-6
    )

    put()
    td.optim.clip_grad_value_(params, 0.25)
    for p, g in zip(params, gradients, strict=True):
        np.testing.assert_array_equal(p.grad.cpu().numpy(), np.clip(g, -0.25, 0.25))

    params[0].grad = td.full((3, 4), math.nan, dtype=td.float64)
    params[2].grad = None
    before = params[1].grad.cpu().numpy().copy()
    with pytest.raises(ValueError, match="max_norm"):
        td.optim.clip_grad_norm_(params, -1.0)
    np.testing.assert_array_equal(params[1].grad.cpu().numpy(), before)
    assert math.isnan(td.optim.clip_grad_norm_(iter(params), 0.1).item())


def test_frozen_parameters_stay_as_they_are():
    model = td.nn.Sequential(td.nn.Linear(2, 3), td.nn.Linear(3, 1))
    model[0].requires_grad_(False)
    before = [p.tolist() for p in model.parameters()]
    opt = td.optim.Adam(model.parameters(), lr=0.1)

    def step():
        opt.zero_grad()
        model(td.ones((4, 2))).sum().backward()
        opt.step()
        return [p.tolist() != old for p, old in zip(model.parameters(), before, strict=True)]

    assert step() == [False, False, True, True]
    opt.update([td.ones_like(p.detach()) for p in model.parameters()])
    assert [p.tolist() == old for p, old in zip(model.parameters(), before, strict=True)][:2] == [True, True]
    model.requires_grad_()
    assert step() == [True] * 4
    twin = td.optim.Adam(model.parameters())
    twin.load_state_dict(opt.state_dict())
    assert twin.param_groups[0]["steps"] == [1, 1, 3, 3]


def test_optimisers_print_themselves():
    p, q = (td.tensor([1.0], requires_grad=True) for _ in range(2))
    assert repr(td.optim.SGD([p], lr=0.5)) == (
        "SGD(1 parameter, lr=0.5, momentum=0.0, weight_decay=0.0, nesterov=False)"
    )
    assert repr(td.optim.RMSprop([{"params": [p]}, {"params": [q], "lr": 1.0}])) == (
        "RMSprop(\n"
        "  1 parameter, lr=0.01, alpha=0.99, eps=1e-08, weight_decay=0.0, momentum=0.0\n"
        "  1 parameter, lr=1.0, alpha=0.99, eps=1e-08, weight_decay=0.0, momentum=0.0\n"
        ")"
    )


@pytest.mark.parametrize("kind", ["SGD", "Adam", "AdamW", "RMSprop"])
@pytest.mark.parametrize("layout", ["transposed", "sliced", "backwards"])
def test_parameters_of_any_layout(kind, layout):
    """All of them, the first as the last, are what dense ones become."""
    change = {
        "transposed": lambda x: x.T,
        "sliced": lambda x: x[1:, ::2],
        "backwards": lambda x: td.flip(x, axis=0)[::-1],
    }[layout]

    def steps(laid_out):
        base = [td.reshape(td.arange(24.0), (4, 6)) / k for k in (10, 20, 30)]
        leaves = [change(x) if laid_out else td.copy(change(x)) for x in base]
        for x in leaves:
            x.requires_grad = True
        optimizer = getattr(td.optim, kind)(leaves, lr=0.1)
        for _ in range(3):
            optimizer.zero_grad()
            sum((x**3).sum() for x in leaves).backward()
            optimizer.step()
        return [x.detach().tolist() for x in leaves]

    assert steps(True) == steps(False)
