"""What shares memory and what does not: grads, cotangents, views that were written to, arguments of rules."""

import operator

import numpy as np
import pytest
import tidu as td


def leaf(values):
    return td.tensor(values, dtype=td.float64, requires_grad=True)


def constant(values):
    return td.tensor(values, dtype=td.float64)


# Functions whose derivative hands the cotangent on as it is, or another view of it.
HANDED_ON = {
    "the leaf itself": lambda x: x,
    "x[:]": lambda x: x[:],
    "x[::-1]": lambda x: x[::-1],
    "x.T.T": lambda x: x.T.T,
    "reshape": lambda x: x.reshape((3, 2)).reshape((2, 3)),
    "+ constant": lambda x: x + 1,
    "* 1": lambda x: x * 1.0,
    "copy": td.copy,
    "broadcast": lambda x: td.broadcast_to(x, (2, 3)),
    "squeeze": lambda x: x[None].squeeze(0),
    "concat of one": lambda x: td.concat([x]),
    "where": lambda x: td.where(td.tensor(True), x, 0.0),
}


@pytest.mark.parametrize("name", HANDED_ON)
def test_a_grad_is_nobody_elses_memory(name):
    x = leaf([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    cotangent = constant([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    kept = td.copy(cotangent)
    HANDED_ON[name](x).backward(cotangent)
    first = x.grad.tolist()
    assert sorted(first[0] + first[1]) == [1, 2, 3, 4, 5, 6]
    x.grad[...] = -1.0
    assert cotangent.tolist() == kept.tolist()
    x.grad = None
    HANDED_ON[name](x).backward(cotangent)
    cotangent[...] = -1.0
    assert x.grad.tolist() == first


@pytest.mark.parametrize("name", HANDED_ON)
def test_leaves_of_one_cotangent_have_grads_of_their_own(name):
    a, b = leaf(np.ones((2, 3))), leaf(np.ones((2, 3)))
    (HANDED_ON[name](a) + b).backward(constant(np.full((2, 3), 2.0)))
    a.grad[0, 0] = 7.0
    assert b.grad.tolist() == [[2] * 3] * 2
    b.grad[1, 2] = 9.0
    assert a.grad.tolist() == [[7, 2, 2], [2, 2, 2]]


def test_a_grad_of_a_broadcast_cotangent_can_be_written():
    x = leaf(np.ones((2, 3)))
    x.sum().backward()
    x.grad[0, 0] = 5.0
    assert x.grad.tolist() == [[5, 1, 1], [1, 1, 1]]


def test_later_sums_leave_a_grad_that_someone_holds():
    x = leaf([1.0, 2.0])
    (x * 3).sum().backward()
    held = x.grad
    (x * 4).sum().backward()
    assert held.tolist() == [3, 3] and x.grad.tolist() == [7, 7]

    given = constant([1.0, 1.0])
    x.grad = given
    (x * 4).sum().backward()
    assert given.tolist() == [1, 1] and x.grad.tolist() == [5, 5]


def test_two_leaves_given_one_grad():
    shared = constant([1.0, 1.0])
    a, b = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    a.grad = b.grad = shared
    (a * 2).sum().backward()
    assert (a.grad.tolist(), b.grad.tolist(), shared.tolist()) == ([3, 3], [1, 1], [1, 1])
    a.grad = b.grad = constant([3.0, 4.0])
    td.optim.SGD([a, b], lr=1.0, weight_decay=1.0).step()
    assert (a.tolist(), b.tolist()) == ([-3, -4], [-3, -4])


def test_clipping_two_leaves_that_share_a_grad():
    shared = constant([3.0, 4.0])
    a, b = leaf([0.0, 0.0]), leaf([0.0, 0.0])
    a.grad = b.grad = shared
    norm = td.nn.clip_grad_norm_ if hasattr(td.nn, "clip_grad_norm_") else td.optim.clip_grad_norm_
    assert norm([a, b], 1.0).item() == pytest.approx(50**0.5)
    for x in (a, b):
        np.testing.assert_allclose(x.grad.cpu().numpy(), np.array([3, 4]) / 50**0.5, rtol=1e-5)


# --- Views and writes


def by_backward(f, x):
    x = leaf(x)
    f(x).backward()
    return x.grad.tolist()


def by_grad(f, x):
    return td.grad(f)(constant(x)).tolist()


def by_jvp(f, x):
    return [td.jvp(f, (constant(x),), (constant(e),))[1].item() for e in np.eye(len(x))]


def by_program(f, x):
    return td.grad(td.program(f, constant(x)))(constant(x)).tolist()


EACH_MODE = pytest.mark.parametrize("mode", [by_backward, by_grad, by_jvp, by_program])


def right_or_refused(mode, f, x, expected):
    """A program knows whose view each tensor is; other modes may refuse what another view has overwritten."""
    try:
        found = mode(f, x)
    except td.GradientError as error:
        assert "overwritten" in str(error) and mode is not by_program
        return
    assert found == expected


@EACH_MODE
def test_two_writes_through_one_view(mode):
    weights = constant([1.0, 10.0, 100.0, 1000.0])

    def written(x):
        base = td.zeros(4, dtype=td.float64)
        view = base[1:]
        view[0] = 2 * x[0]
        view[1:] = 3 * x[1:]
        return base, view

    of_view = lambda x: (written(x)[1] * weights[1:]).sum()
    assert mode(of_view, [1.0, 1.0, 1.0]) == [20, 300, 3000]
    right_or_refused(mode, lambda x: (written(x)[0] * weights).sum(), [1.0, 1.0, 1.0], [20, 300, 3000])


@EACH_MODE
def test_a_second_write_replaces_the_first(mode):
    def written(x):
        base = td.zeros(2, dtype=td.float64)
        view = base[:1]
        view[0] = 2 * x[0]
        view[0] = 3 * x[1]
        view += x[2]
        return base, view

    assert mode(lambda x: (written(x)[1] ** 2).sum(), [1.0, 2.0, 4.0]) == [0, 60, 20]
    right_or_refused(mode, lambda x: (written(x)[0] ** 2).sum(), [1.0, 2.0, 4.0], [0, 60, 20])


@EACH_MODE
def test_writes_through_views_of_views(mode):
    def f(x):
        base = td.zeros((2, 3), dtype=td.float64)
        base.T[1][0] = 2 * x[0]
        base[1][::-1][:2] = 5 * x[1:]
        return (base * constant([[1.0, 10.0, 100.0], [1e3, 1e4, 1e5]])).sum()

    right_or_refused(mode, f, [1.0, 1.0, 1.0], [20, 5e5, 5e4])


@EACH_MODE
def test_a_view_taken_before_a_write(mode):
    def f(x):
        c = x * 1.0
        view = c[:2]
        c[0] = 5.0 * x[1]
        return (view * view).sum()

    right_or_refused(mode, f, [1.0, 2.0, 3.0], [0, 2 * 25 * 2 + 2 * 2, 0])


@EACH_MODE
def test_a_view_taken_again_after_a_write(mode):
    def f(x):
        c = x * 1.0
        view = c[:2]
        c[0] = 5.0 * x[1]
        view = c[:2]
        return (view * view).sum()

    assert mode(f, [1.0, 2.0, 3.0]) == [0, 2 * 25 * 2 + 2 * 2, 0]


@pytest.mark.parametrize("tracked", ["base", "value"])
@pytest.mark.parametrize("write", ["slice", "all", "index"])
def test_a_write_into_a_stale_view_is_refused(write, tracked):
    """Where its derivative depends on it, before anything is changed."""
    x = leaf([1.0, 2.0, 3.0])
    base = x * 2 if tracked == "base" else td.zeros(3, dtype=x.dtype)
    view = base[:]
    base[1:2] = 5.0
    value = x if tracked == "value" else td.full((3,), 7.0, dtype=x.dtype)
    before = base.tolist()
    with pytest.raises(td.GradientError, match="overwritten in place through another view"):
        if write == "slice":
            view[0:1] = value[0:1]
        elif write == "all":
            view[...] = value
        else:
            view[td.tensor([2, 0])] = value[:2]
    assert base.tolist() == before


def test_a_stale_view_shows_what_was_written():
    c = td.tensor([1.0, 2.0, 3.0])
    view, other = c[:2], c[1:]
    c[1] = 7.0
    assert view.tolist() == [1, 7] and other.tolist() == [7, 3]
    view[1] = 8.0
    assert c.tolist() == [1, 8, 3] and other.tolist() == [8, 3]


def test_a_write_to_a_detached_value_is_seen_by_those_who_need_it():
    x = leaf([1.0, 2.0])
    y = x * 3
    tripled, square = y + y, y * y  # the derivative of the one needs no value, that of the other does
    y.detach()[0] = 10.0
    assert y.tolist() == [10, 6]
    tripled.sum().backward()
    assert x.grad.tolist() == [6, 6]
    with pytest.raises(td.GradientError, match="overwritten"):
        square.sum().backward()
    assert x.grad.tolist() == [6, 6]


# --- Rules of users


def two_outputs():
    @td.custom_vjp
    def f(x, y):
        return x * y, x + y

    def backward(residuals, cotangents):
        x, y = residuals
        of_product, of_sum = cotangents
        return of_product * y + of_sum, of_product * x + of_sum

    f.defvjp(lambda x, y: ((x * y, x + y), (x, y)), backward)

    @td.custom_jvp
    def g(x, y):
        return x * y, x + y

    @g.defjvp
    def rule(primals, tangents):
        (x, y), (s, t) = primals, tangents
        return (x * y, x + y), (s * y + x * t, s + t)

    return {"custom_vjp": f, "custom_jvp": g, "no rule": lambda x, y: (x * y, x + y)}


@pytest.mark.parametrize("kind", ["custom_vjp", "custom_jvp", "no rule"])
def test_rules_with_two_outputs(kind):
    f = two_outputs()[kind]
    x, y = constant([1.0, 2.0]), constant([3.0, 5.0])
    first, second = (lambda x, y: f(x, y)[0].sum()), (lambda x, y: f(x, y)[1].sum())
    both = lambda x, y: (f(x, y)[0] * f(x, y)[1]).sum()  # x^2 y + x y^2
    of_both = lambda x, y: (lambda p, s: (p * s).sum())(*f(x, y))
    for function, of_x, of_y in (
        (first, [3, 5], [1, 2]),
        (second, [1, 1], [1, 1]),
        (both, [2 * 3 + 9, 20 + 25], [1 + 6, 4 + 20]),
        (of_both, [2 * 3 + 9, 20 + 25], [1 + 6, 4 + 20]),
    ):
        assert [g.tolist() for g in td.grad(function, (0, 1))(x, y)] == [of_x, of_y]
        leaves = leaf([1.0, 2.0]), leaf([3.0, 5.0])
        function(*leaves).backward()
        assert [v.grad.tolist() for v in leaves] == [of_x, of_y]
        tangent = td.jvp(function, (x, y), (constant([1.0, 0.0]), constant([0.0, 1.0])))[1].item()
        assert tangent == of_x[0] + of_y[1]
        replayed = td.program(td.grad(function, (0, 1)), x, y)
        assert [g.tolist() for g in replayed(x, y)] == [of_x, of_y]
    # d/dx (2xy + y^2) = 2y, d/dy = 2x + 2y
    ones = td.ones_like(x)
    product = td.hvp(of_both, (x, y), (ones, None))
    assert [p.tolist() for p in product] == [[6, 10], [8, 14]]
    by_reverse = td.grad(lambda x, y: td.grad(of_both)(x, y).sum(), (0, 1))(x, y)
    assert [p.tolist() for p in by_reverse] == [[6, 10], [8, 14]]


@pytest.mark.parametrize("kind", ["custom_vjp", "custom_jvp"])
def test_rules_that_give_nothing_for_an_output_or_an_argument(kind):
    """None is zero: of the second result by forward mode, of the second argument by reverse mode."""
    if kind == "custom_jvp":
        f = td.custom_jvp(lambda x, y: (td.sin(x), x * y))
        f.defjvp(lambda p, t: ((td.sin(p[0]), p[0] * p[1]), (td.cos(p[0]) * t[0], None)))
    else:
        f = td.custom_vjp(lambda x, y: (td.sin(x), x * y))
        f.defvjp(lambda x, y: ((td.sin(x), x * y), x), lambda x, c: (td.cos(x) * c[0], None))
    x, y = constant([0.5, 2.0]), constant([3.0, 5.0])
    cosines, sines, zeros = np.cos(x.cpu().numpy()), np.sin(x.cpu().numpy()), np.zeros(2)
    total = lambda x, y: (lambda a, b: (a + 7 * b).sum())(*f(x, y))
    ones = td.ones_like(x)
    tangents = td.jvp(f, (x, y), (ones, ones))[1]
    slopes = td.grad(total, (0, 1))(x, y)
    seconds = td.grad(lambda x, y: td.grad(total)(x, y).sum(), (0, 1))(x, y)
    for got, want in (
        (tangents, (cosines, zeros)),
        (slopes, (cosines, zeros)),
        (seconds, (-sines, zeros)),
        (td.program(td.grad(total, (0, 1)), x, y)(x, y), (cosines, zeros)),
    ):
        for a, b in zip(got, want, strict=True):
            np.testing.assert_allclose(a.cpu().numpy(), b, rtol=1e-14, atol=0)


def returning_its_argument():
    @td.custom_vjp
    def f(x):
        return x

    f.defvjp(lambda x: (x, None), lambda _, c: (10 * c,))

    @td.custom_vjp
    def f_twice(x):
        return x, x

    f_twice.defvjp(lambda x: ((x, x), None), lambda _, c: (10 * c[0] + 100 * c[1],))

    @td.custom_jvp
    def g(x):
        return x

    g.defjvp(lambda primals, tangents: (primals[0], 10 * tangents[0]))
    return f, f_twice, g


def test_rules_that_return_their_own_argument():
    f, f_twice, g = returning_its_argument()
    x = constant([1.0, 2.0])
    weights = constant([1.0, 3.0])
    for rule in (f, g):
        value = lambda x, rule=rule: (rule(x) * x * weights).sum()  # one x by the rule, one beside it
        assert td.grad(value)(x).tolist() == [11, 66]
        v = leaf([1.0, 2.0])
        value(v).backward()
        assert v.grad.tolist() == [11, 66]
        assert td.jvp(value, (x,), (td.ones_like(x),))[1].item() == 77
        assert td.grad(td.program(value, x))(x).tolist() == [11, 66]
        # d/dx of what the rule says of c * x + 10 * c * rule(x)
        second = td.grad(lambda x, value=value: td.grad(value)(x).sum())(x)
        assert second.tolist() == [1 * (10 + 10), 3 * (10 + 10)]
        assert rule(x).tolist() == [1, 2]
    mixed = lambda x: (lambda a, b: (a * weights + b).sum())(*f_twice(x))
    assert td.grad(mixed)(x).tolist() == [110, 130]
    assert td.jvp(mixed, (x,), (td.ones_like(x),))[1].item() == 240
    v = leaf([1.0, 2.0])
    a, b = f_twice(v)
    (a * weights).sum().backward(retain_graph=True)
    assert v.grad.tolist() == [10, 30]
    v.grad = None
    (a + b).sum().backward()
    assert v.grad.tolist() == [110, 110]


def test_what_a_rule_returns_is_not_its_argument_when_written_to():
    f, _, g = returning_its_argument()
    for rule in (f, g):

        def value(x, rule=rule):
            y = rule(x * 1.0)
            z = y + 0.0
            z[0] = 5.0
            return (z * z).sum() + y.sum()

        assert td.grad(value)(constant([1.0, 2.0])).tolist() == [10, 50]


# --- Leaves have no past: what is written to their memory is their value from then on


def _under_no_grad(write):
    def written(w):
        with td.no_grad():
            write(w)

    return written


def _by_a_detached_tensor(w):
    w.detach()[...] = 7.0


def _by_a_part_of_a_detached_tensor(w):
    w.detach()[::2][1:] = 7.0


def _by_a_view(w):
    w[1:][...] = 7.0


def _by_an_element(w):
    w[2][...] = 7.0


def _by_a_flat_view(w):
    w.reshape(-1)[0:2] *= 2.0


WRITES_TO_LEAVES = {
    "a detached tensor": _by_a_detached_tensor,
    "a part of a detached tensor": _by_a_part_of_a_detached_tensor,
    "a view": _under_no_grad(_by_a_view),
    "an element": _under_no_grad(_by_an_element),
    "a flat view": _under_no_grad(_by_a_flat_view),
}


@pytest.mark.parametrize("name", WRITES_TO_LEAVES)
def test_a_leaf_is_used_after_a_write_to_its_memory(name):
    w = leaf([1.0, 2.0, 3.0])
    w[1]
    for _ in range(3):
        WRITES_TO_LEAVES[name](w)
        w.grad = None
        (w**3 + w[1] * w).sum().backward()
        x = np.array(w.tolist())
        want = 3 * x**2 + x[1]
        want[1] += x.sum()
        np.testing.assert_allclose(w.grad.tolist(), want)


def test_a_leaf_is_used_after_a_write_by_other_derivatives():
    def renewed():
        w = leaf([1.0, 2.0, 3.0])
        _ = w * w
        w.detach()[0] = 5.0
        return w

    w = renewed()
    assert td.grad(lambda v: (v * v * v).sum())(w).tolist() == [75, 12, 27]
    assert td.jvp(lambda v: (v * w).sum(), (w,), (td.ones_like(w),))[1].item() == 10
    assert td.hessian(lambda v: (v**3).sum())(w).tolist() == np.diag([30.0, 12, 18]).tolist()
    assert td.vmap(lambda a: (a * w).sum())(w).tolist() == [50, 20, 30]
    (first,) = td.vjp(lambda v: v * v, w)[1](td.ones_like(w))
    assert first.tolist() == [10, 4, 6]
    compiled = td.compile(lambda a: (a * w * w).sum())
    for value in (5.0, 6.0):
        w.detach()[0] = value
        w.grad = None
        compiled(constant([1.0, 1.0, 1.0])).backward()
        assert w.grad.tolist() == [2 * value, 4, 6]


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("name", WRITES_TO_LEAVES)
def test_a_leaf_that_a_function_writes_to_and_uses(name, compiled):
    w = leaf([1.0, 2.0, 3.0])

    def f(x):
        WRITES_TO_LEAVES[name](w)
        return (w * w * x).sum()

    run = td.compile(f) if compiled else f
    for scale in (1.0, 2.0):
        w.grad = None
        run(constant([4.0, 5.0, 6.0]) * scale).backward()
        want = 2 * np.array(w.tolist()) * np.array([4.0, 5.0, 6.0]) * scale
        assert w.grad.tolist() == want.tolist()


def test_what_a_live_graph_keeps_of_a_leaf_is_not_overwritten_unseen():
    for use in (lambda w: w * w, td.sin, lambda w: w[1:] ** 2, td.logsumexp):
        w = leaf([1.0, 2.0, 3.0])
        y = use(w).sum()
        w.detach()[...] = 7.0
        with pytest.raises(td.GradientError, match="overwritten in place after the call"):
            y.backward()
    # What keeps nothing of it is as it was.
    y = (w * 3.0).sum()
    w.detach()[...] = 8.0
    y.backward()
    assert w.grad.tolist() == [3, 3, 3]


def test_results_and_inner_variables_are_no_leaves():
    w = leaf([1.0, 2.0, 3.0])
    y = w * 2
    y.detach()[...] = 7.0
    with pytest.raises(td.GradientError, match="through another view"):
        y * y

    def f(x):
        td.stop_gradient(x)[...] = 7.0
        return (x * x).sum()

    with pytest.raises(td.GradientError, match="through another view"):
        td.grad(f)(constant([1.0, 2.0, 3.0]))
    # A leaf in whose memory lies what a derivative made.
    memory = constant([1.0, 2.0, 3.0])
    part = memory[1:].detach()
    part.requires_grad = True
    memory[...] = w * 2
    with pytest.raises(td.GradientError, match="through another view"):
        part * part


@pytest.mark.parametrize("name", WRITES_TO_LEAVES)
def test_a_view_of_a_leaf_is_used_after_a_write_to_its_memory(name):
    w = leaf([1.0, 2.0, 3.0])
    views = {
        "slice": (w[::-1][:2], [2, 1]),
        "axes": (w.reshape(3, 1).mT[0], [0, 1, 2]),
        "broadcast": (td.broadcast_to(w, (2, 3)), [0, 1, 2]),
    }
    WRITES_TO_LEAVES[name](w)
    x = np.array(w.tolist())
    for view, places in views.values():
        w.grad = None
        (view**3).sum().backward()
        want = np.zeros(3)
        np.add.at(want, np.resize(places, view.size), 3 * np.ravel(view.tolist()) ** 2)
        np.testing.assert_allclose(w.grad.tolist(), want)
        assert view.tolist() == np.resize(x[places], view.shape).tolist()
        assert td.grad(lambda v: (v**2).sum())(view.detach()).tolist() == (2 * view.detach()).tolist()


def test_a_view_of_a_result_is_not_used_after_a_write():
    w = leaf([1.0, 2.0, 3.0])
    y = w * 2
    view = y[:2]
    with td.no_grad():
        y[0] = 5.0
    with pytest.raises(td.GradientError, match="take the view again"):
        (view * view).sum()
    part = w[:2]
    part = part * 1  # what a graph has kept is not there any more
    product = part * part
    with td.no_grad():
        part[0] = 5.0
    with pytest.raises(td.GradientError, match="overwritten in place after the call"):
        product.sum().backward()


@pytest.mark.parametrize("again", [False, True], ids=["recorded", "recorded again"])
@pytest.mark.parametrize("within", ["backward", "grad"])
def test_a_compiled_function_closes_over_no_view_from_before_a_write(within, again):
    def product(w):
        base = td.zeros(3, dtype=td.float64)
        view = base[:2]
        f = td.compile(lambda a: (a * view).sum())
        if again:
            f(constant([1.0, 1.0]))
        base[:] = w * 2
        refused = pytest.raises(td.GradientError, match=r"closes over.*take the view again")
        with refused:
            f(constant([3.0, 4.0]))
        with td.no_grad():
            assert f(constant([3.0, 4.0])).item() == 22  # no derivative is asked for
        with refused:
            f(constant([3.0, 4.0]))
        view = base[:2]
        return f(constant([3.0, 4.0]))

    w = leaf([1.0, 2.0, 3.0])
    if within == "backward":
        product(w).backward()
        assert w.grad.tolist() == [6, 8, 0]
    else:
        assert td.grad(product)(w.detach()).tolist() == [6, 8, 0]


AUGMENTED = {
    "*": (operator.imul, lambda a, b: (2 * a * b * b, 2 * a * a * b)),
    "/": (operator.itruediv, lambda a, b: (2 * a / b**2, -2 * a**2 / b**3)),
    "+": (operator.iadd, lambda a, b: (2 * (a + b), 2 * (a + b))),
    "-": (operator.isub, lambda a, b: (2 * (a - b), -2 * (a - b))),
    "**": (operator.ipow, lambda a, b: (2 * b * a ** (2 * b - 1), 2 * np.log(a) * a ** (2 * b))),
    "%": (operator.imod, lambda a, b: (2 * (a % b), -2 * (a % b) * (a // b))),
}


@pytest.mark.parametrize("symbol", AUGMENTED)
def test_operators_in_place_are_differentiated(symbol):
    run, slopes = AUGMENTED[symbol]
    a, b = np.array([2.5, 3.5]), np.array([1.2, 1.7])

    def square(x, y, key=...):
        z = td.copy(x)
        if key is ...:
            z = run(z, y)
        else:
            z[key] = run(z[key], y[key])
        return (z * z).sum()

    for key, chosen in (
        (..., slice(None)),
        (slice(0, 1), slice(0, 1)),
        ([True, False], slice(0, 1)),
        (1, slice(1, 2)),
    ):
        x, y = leaf(a.tolist()), leaf(b.tolist())
        square(x, y, key).backward()
        want = [2 * a, 0 * b]
        for total, slope in zip(want, slopes(a, b), strict=True):
            total[chosen] = slope[chosen]
        np.testing.assert_allclose(x.grad.tolist(), want[0], rtol=1e-5)
        np.testing.assert_allclose(y.grad.tolist(), want[1], rtol=1e-5)
    x = leaf(a.tolist())
    z = td.copy(x)
    z **= 3
    z.sum().backward()
    np.testing.assert_allclose(x.grad.tolist(), 3 * a**2, rtol=1e-5)
