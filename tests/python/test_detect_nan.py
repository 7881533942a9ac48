"""detect_nan names the call that made a NaN or an infinity, and knows those that passed it on."""

import inspect

import pytest
import tidu as td


def line(offset=0):
    """This file at the line of the caller, or so many before or after it."""
    return f"test_detect_nan.py:{inspect.currentframe().f_back.f_lineno + offset}"


def calls(seen):
    return [(call["operation"], call["gave"], call["made"]) for call in seen.found]


def test_the_call_that_made_a_nan_is_an_error():
    x = td.tensor([4.0, -1.0])
    with pytest.raises(td.NonFiniteError, match="sqrt made NaN of finite values") as caught, td.detect_nan():
        y = td.sqrt(x)
        td.exp(y)
    text = str(caught.value)
    assert line(-3) in text
    assert "float32(2,) tensor([ 4, -1]" in text and "gave float32(2,) tensor([  2, nan]" in text
    assert issubclass(td.NonFiniteError, FloatingPointError)


def test_calls_that_pass_it_on_are_told_from_the_one_that_made_it():
    x = td.tensor([4.0, -1.0])
    with td.detect_nan(stop=False) as seen:
        y = td.sqrt(x)
        y = y + 1
        td.sum(y)
    assert calls(seen) == [("sqrt", "NaN", True), ("add", "NaN", False), ("sum", "NaN", False)]
    assert [call["source"] for call in seen.found] == [line(-4), line(-3), line(-2)]
    missing = td.tensor([td.nan])
    with td.detect_nan() as seen:  # of what is NaN already nothing is made
        td.exp(missing)
    assert calls(seen) == [("exp", "NaN", False)]


def test_infinities_count_unless_they_are_asked_for_or_left_out():
    x = td.tensor([0.0, 1.0])
    with pytest.raises(td.NonFiniteError, match="log made inf"), td.detect_nan():
        td.log(x)
    with td.detect_nan(infinities=False) as seen:
        td.log(x)
    assert not seen.found
    with td.detect_nan():
        assert td.where(x > 0, x, td.inf).tolist() == [td.inf, 1]
        td.full((2,), td.nan)
    infinite = td.tensor([td.inf])
    with pytest.raises(td.NonFiniteError, match="subtract made NaN of infinities"), td.detect_nan():
        infinite - infinite


def test_backward_names_the_derivative_and_the_line_of_the_call():
    x = td.tensor([0.0, 1.0], requires_grad=True)
    with td.detect_nan(stop=False) as seen:
        y = td.sqrt(x)
        where = line(-1)
        (2 * y).sum().backward()
    assert calls(seen) == [("the derivative of sqrt", "inf", True)]
    assert seen.found[0]["source"] == where
    with pytest.raises(td.NonFiniteError, match="the derivative of sqrt made inf"), td.detect_nan():
        td.grad(lambda x: td.sqrt(x).sum())(td.tensor([0.0, 1.0]))
    assert x.grad.tolist() == [td.inf, 1.0]


def test_what_a_rule_multiplies_by_zero_is_no_fault():
    """The factor of an element that `where` did not take is infinite, and its cotangent 0."""
    f = lambda x: td.where(x > 0, td.sqrt(x), 0.0).sum()
    with td.detect_nan():
        assert td.grad(f)(td.tensor([0.0, 4.0])).tolist() == [0, 0.25]


def test_forward_mode():
    with pytest.raises(td.NonFiniteError, match="the derivative of sqrt made inf") as caught, td.detect_nan():
        td.jvp(td.sqrt, (td.tensor([0.0]),), (td.tensor([1.0]),))
    assert line(-1) in str(caught.value)


@pytest.mark.parametrize("transform", [td.vmap, td.compile, td.checkpoint])
def test_under_transforms(transform):
    def f(x):
        return td.log(x) * 0

    x = td.tensor([1.0, -1.0])
    transform(f)(x)  # also where it was recorded before
    with pytest.raises(td.NonFiniteError, match="log made NaN") as caught, td.detect_nan():
        transform(f)(x)
    assert line(-6) in str(caught.value)


@pytest.mark.parametrize("length", [3, 40])
def test_in_loops(length):
    def body(carry, _):
        carry = td.sqrt(carry - 1)
        return carry, carry

    with pytest.raises(td.NonFiniteError, match="sqrt made NaN"), td.detect_nan():
        td.scan(body, td.tensor(2.5), None, length=length)
    with pytest.raises(td.NonFiniteError, match="sqrt made NaN"), td.detect_nan():
        td.grad(lambda x: td.scan(body, x, None, length=length)[0])(td.tensor(2.5))
    with pytest.raises(td.NonFiniteError, match="sqrt made NaN"), td.detect_nan():
        td.while_loop(lambda c: c[0] < length, lambda c: (c[0] + 1, td.sqrt(c[1] - 1)), (0, td.tensor(2.5)))


def test_writes_look_at_what_was_there():
    x = td.tensor([td.nan, 1.0])
    with td.detect_nan() as seen:
        x += 1
        x[1] = 0.0
    assert all(not call["made"] for call in seen.found)
    y = td.tensor([3e38])
    with pytest.raises(td.NonFiniteError, match="made inf"), td.detect_nan():
        y += y


def test_scopes_nest_and_end():
    x = td.tensor([-1.0])
    with td.detect_nan(stop=False) as outer:
        with td.detect_nan(stop=False) as inner:
            td.sqrt(x)
        td.log(x)
    assert calls(inner) == [("sqrt", "NaN", True)] and calls(outer) == [("log", "NaN", True)]
    td.sqrt(x)
    assert len(outer.found) == 1
    f = td.compile(lambda x: td.sqrt(x) + 1)
    f(x)
    with td.detect_nan(stop=False):
        f(x)
    assert f.explain(x).startswith("<lambda>: recorded 1 times")
