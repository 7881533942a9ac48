"""Mixed precision: dtypes and values under autocast, its scopes, and GradScaler."""

import math
import threading

import numpy as np
import pytest
import tidu as td
from tidu import nn

rng = np.random.default_rng(17)
NARROW = [td.bfloat16, td.float16]
F = nn.functional


def drawn(*shape, dtype=td.float32):
    return td.tensor(rng.normal(size=shape), dtype=dtype)


def array(x):
    return x.detach().astype(td.float64).cpu().numpy()


@pytest.mark.parametrize("dtype", NARROW, ids=str)
def test_products_take_16_bits(dtype):
    a, b, bias = drawn(3, 4), drawn(5, 4), drawn(5)
    narrow = [x.astype(dtype) for x in (a, b, bias)]
    with td.autocast(dtype):
        product, layer, summed = a @ b.T, F.linear(a, b, bias), td.einsum("ij,kj->ik", a, b)
        mixed = narrow[0] @ b.T
    for got, want in [
        (product, narrow[0] @ narrow[1].T),
        (layer, F.linear(*narrow)),
        (summed, narrow[0] @ narrow[1].T),
        (mixed, narrow[0] @ narrow[1].T),
    ]:
        assert got.dtype == dtype
        np.testing.assert_array_equal(array(got), array(want))
    assert (a @ b.T).dtype == td.float32


@pytest.mark.parametrize("dtype", NARROW, ids=str)
def test_sums_and_exponentials_give_float32(dtype):
    x, target = drawn(3, 4, dtype=dtype), drawn(3, 4, dtype=dtype)
    wide, labels = x.astype(td.float32), td.tensor([0, 1, 2])
    calls = {
        "softmax": lambda x: td.softmax(x, axis=-1),
        "log_softmax": lambda x: td.log_softmax(x, axis=-1),
        "sum": td.sum,
        "prod": td.prod,
        "sum_of_squares": td.sum_of_squares,
        "mean": lambda x: td.mean(x, axis=0),
        "var": td.var,
        "std": td.std,
        "layer_norm": lambda x: F.layer_norm(x, (4,)),
        "rms_norm": lambda x: F.rms_norm(x, (4,)),
        "cross_entropy": lambda x: F.cross_entropy(x, labels),
        "softmax_cross_entropy": lambda x: td.softmax_cross_entropy(x, labels),
        "mse_loss": lambda x: F.mse_loss(x, target.astype(x.dtype)),
        "binary_cross_entropy": lambda x: F.binary_cross_entropy_with_logits(x, target.astype(x.dtype)),
    }
    for name, call in calls.items():
        assert call(x).dtype == dtype, name
        with td.autocast(dtype):
            got = call(x)
        assert got.dtype == td.float32, name
        np.testing.assert_allclose(array(got), array(call(wide)), rtol=2e-6, atol=1e-6, err_msg=name)
    with td.autocast(dtype):
        assert td.max(x).dtype == dtype and (x + x).dtype == dtype and td.relu(x).dtype == dtype


def test_float64_and_integers_stay_as_they_are():
    with td.autocast():
        a = td.ones((2, 2), dtype=td.float64)
        assert (a @ a).dtype == td.float64 and (a @ a.astype(td.float32)).dtype == td.float64
        assert (td.ones((2, 2), dtype=td.int32) @ td.ones((2, 2), dtype=td.int32)).dtype == td.int32
        assert td.sum(td.ones((2,), dtype=td.int32)).dtype != td.float32


def test_scopes_nest_and_belong_to_their_thread():
    a = td.ones((2, 2))
    seen = {}
    with td.autocast(td.float16):
        with td.autocast(td.bfloat16):
            assert (a @ a).dtype == td.bfloat16
            with td.autocast(enabled=False):
                assert (a @ a).dtype == td.float32
            assert (a @ a).dtype == td.bfloat16
        assert (a @ a).dtype == td.float16
        thread = threading.Thread(target=lambda: seen.setdefault("dtype", (a @ a).dtype))
        thread.start()
        thread.join()
        with pytest.raises(ValueError, match="of the body"), td.autocast(td.bfloat16):
            raise ValueError("of the body")
        assert (a @ a).dtype == td.float16
    assert seen["dtype"] == td.float32 and (a @ a).dtype == td.float32

    @td.autocast(td.bfloat16)
    def product(a):
        return a @ a

    assert product(a).dtype == td.bfloat16 and (a @ a).dtype == td.float32
    with td.autocast(device="cuda" if a.device.type == "cpu" else "cpu"):
        assert (a @ a).dtype == td.float32
    with td.autocast(device=a.device.type):
        assert (a @ a).dtype == td.bfloat16


@pytest.mark.parametrize("dtype", NARROW, ids=str)
@pytest.mark.parametrize("inside", [True, False])
def test_gradients_have_the_dtype_of_their_parameters(dtype, inside):
    w, x, m = drawn(4, 4), drawn(3, 4), drawn(3, 3)

    def loss(w):
        with td.autocast(dtype):
            h = x @ w
            return F.mse_loss(td.tanh(h), x) + td.sum(td.softmax(h))

    def by_hand(w):
        h = x.astype(dtype) @ w.astype(dtype)
        return F.mse_loss(td.tanh(h).astype(td.float32), x) + td.sum(td.softmax(h.astype(td.float32)))

    grad = td.autocast(dtype)(td.grad(loss)) if inside else td.grad(loss)
    got = grad(w)
    assert got.dtype == td.float32
    np.testing.assert_array_equal(array(got), array(td.grad(by_hand)(w)))
    np.testing.assert_allclose(
        array(td.jvp(loss, (w,), (td.ones_like(w),))[1]), array(td.sum(got)), rtol=0.05, atol=0.05
    )
    # Rules that multiply matrices of float32 are as exact as without.
    square = m @ m.T + td.eye(3)
    want = td.grad(lambda m: td.sum(td.linalg.solve(m, x.T[:3])))(square)
    with td.autocast(dtype):
        np.testing.assert_array_equal(
            array(td.grad(lambda m: td.sum(td.linalg.solve(m, x.T[:3])))(square)), array(want)
        )


def test_backward_inside_and_outside_of_the_scope():
    model = nn.Sequential(
        nn.Linear(4, 8, key=td.random.key(0)), nn.Tanh(), nn.Linear(8, 2, key=td.random.key(1))
    )
    x = drawn(5, 4)
    grads = []
    for inside in (True, False):
        model.zero_grad()
        with td.autocast(td.bfloat16):
            loss = model(x).sum()
            if inside:
                loss.backward()
        if not inside:
            loss.backward()
        grads.append([array(p.grad) for p in model.parameters()])
        assert all(p.grad.dtype == td.float32 for p in model.parameters())
    for a, b in zip(*grads, strict=True):
        np.testing.assert_array_equal(a, b)


def test_compiled_functions_are_recorded_for_each_mode():
    a = drawn(3, 3)
    f = td.compile(lambda a: a @ a)
    assert f(a).dtype == td.float32
    with td.autocast(td.bfloat16):
        assert f(a).dtype == td.bfloat16
        with td.autocast(td.float16):
            assert f(a).dtype == td.float16
    assert f(a).dtype == td.float32

    @td.compile
    def g(a):
        with td.autocast(td.bfloat16):
            return td.grad(lambda a: td.sum(a @ a))(a)

    with td.autocast(td.bfloat16):
        want = td.grad(lambda a: td.sum(a @ a))(a)
    np.testing.assert_array_equal(array(g(a)), array(want))


def test_autocast_under_vmap_and_scan():
    a, xs = drawn(3, 3), drawn(4, 3)
    with td.autocast(td.bfloat16):
        rows = td.vmap(lambda x: a @ x)(xs)
        scanned = td.scan(lambda c, x: (c, a @ x), None, xs)[1]
        want = td.stack([a @ x for x in xs])
    assert rows.dtype == scanned.dtype == td.bfloat16
    np.testing.assert_allclose(array(rows), array(want), rtol=2e-2, atol=1e-2)
    np.testing.assert_array_equal(array(scanned), array(want))


def test_mistakes_are_named():
    with pytest.raises(td.DTypeError, match=r"\[autocast\] products are computed in bfloat16 or float16"):
        td.autocast(td.float32)
    with pytest.raises(ValueError, match="device is 'tpu'"):
        td.autocast(device="tpu")
    with pytest.raises(TypeError, match="runs in parts"):
        td.autocast()(lambda: (yield))
    for options, message in [
        ({"init_scale": 0.0}, "init_scale is 0.0"),
        ({"growth_factor": 1.0}, "growth_factor is 1.0"),
        ({"backoff_factor": 1.0}, r"must be in \(0, 1\)"),
        ({"growth_interval": 0}, "growth_interval is 0"),
    ]:
        with pytest.raises(ValueError, match=message):
            td.optim.GradScaler(**options)


# ---- GradScaler


def steps_of(wrap):
    """Parameters and factors of steps, of which the third overflows, and the numbers of steps."""
    w = td.tensor([1.0, 2.0], requires_grad=True)
    opt = td.optim.SGD([w], lr=0.5, momentum=0.5)
    scaler = td.optim.GradScaler(init_scale=1024.0, growth_interval=2)

    def step(x):
        opt.zero_grad()
        scaler.scale((w * x).sum()).backward()
        scaler.step(opt)
        scaler.update()

    step, seen = wrap(step), []
    for x in ([1.0, 1.0], [0.5, 1.0], [math.inf, 1.0], [1.0, 1.0], [1.0, 0.25]):
        step(td.tensor(x))
        seen.append((w.tolist(), scaler.get_scale()))
    return seen, opt.param_groups[0]["steps"]


def test_steps_that_overflow_are_skipped():
    w, b, expected, scale, good = np.array([1.0, 2.0]), np.zeros(2), [], 1024.0, 0
    for x in ([1.0, 1.0], [0.5, 1.0], None, [1.0, 1.0], [1.0, 0.25]):
        if x is None:
            scale, good = scale / 2, 0
        else:
            b = 0.5 * b + np.array(x)
            w, good = w - 0.5 * b, good + 1
            scale, good = (scale * 2, 0) if good == 2 else (scale, good)
        expected.append((w.tolist(), scale))
    seen, steps = steps_of(lambda f: f)
    assert seen == expected and steps == [4]
    seen, steps = steps_of(td.compile)
    assert seen == expected and steps == [5]


def test_small_gradients_of_float16_survive_scaling():
    w = td.tensor([1.0], requires_grad=True)
    opt, scaler = td.optim.SGD([w], lr=1.0), td.optim.GradScaler(init_scale=2.0**14)

    def loss():
        with td.autocast(td.float16):
            return (w[None] @ td.tensor([[1e-4]])).astype(td.float32) * 1e-4

    loss().sum().backward()
    assert w.grad.item() == 0  # 1e-8 is nothing in float16
    opt.zero_grad()
    scaler.scale(loss().sum()).backward()
    scaler.unscale_(opt)
    assert w.grad.item() == pytest.approx(1e-8, rel=2e-3)
    with pytest.raises(RuntimeError, match="unscaled already"):
        scaler.unscale_(opt)
    scaler.step(opt)
    scaler.update()


@pytest.mark.parametrize("where", [None, 0, 1, 2])
def test_a_gradient_that_overflows_stops_the_step_whichever_it_is(where):
    leaves = [td.tensor([1.0, 2.0], requires_grad=True) for _ in range(3)]
    opts = [td.optim.SGD(leaves[:2], lr=1.0), td.optim.SGD(leaves[2:], lr=1.0)]
    scaler = td.optim.GradScaler(init_scale=4.0)
    for i, leaf in enumerate(leaves):
        leaf.grad = td.tensor([4.0, np.inf if i == where else 8.0])
    for opt in opts:
        scaler.unscale_(opt)
    for opt in opts:
        scaler.step(opt)
    scaler.update()
    for leaf in leaves:
        assert leaf.tolist() == ([0.0, 0.0] if where is None else [1.0, 2.0])
    assert scaler.get_scale() == (4.0 if where is None else 2.0)


def test_a_scaler_goes_on_from_its_state():
    scaler = td.optim.GradScaler(init_scale=8.0, growth_interval=2)
    scaler.update()
    other = td.optim.GradScaler(growth_interval=2)
    other.load_state_dict(scaler.state_dict())
    other.update()
    assert (other.get_scale(), scaler.get_scale()) == (16.0, 8.0)  # the second good step of two
    off = td.optim.GradScaler(enabled=False)
    assert off.get_scale() == 1.0 and off.scale(td.tensor(3.0)).item() == 3.0


@pytest.mark.parametrize("dtype", NARROW, ids=str)
def test_convolutions_and_attention_take_operands_in_16_bits(dtype):
    x, w = td.ones((1, 2, 5, 5)) / 3, td.ones((3, 2, 3, 3)) / 7
    q = td.arange(24.0).reshape(1, 2, 3, 4) / 5
    images = [lambda x, w: F.conv2d(x, w, padding=1), lambda x, w: F.conv_transpose2d(x, w.swapaxes(0, 1))]
    cases = [(f, (x, w)) for f in images] + [(F.scaled_dot_product_attention, (q, q, q))]
    for f, operands in cases:
        with td.autocast(dtype):
            y = f(*operands)
            gradients = td.grad(lambda *x, f=f: f(*x).sum(), argnums=0)(*operands)
        assert y.dtype == dtype and gradients.dtype == td.float32
        plain = f(*(x.astype(dtype) for x in operands))
        np.testing.assert_array_equal(array(y), array(plain))
