"""Trees: dicts in another order, named tuples, dataclasses, registered classes, in every transform."""

import collections
import copy
import dataclasses
import pickle
from typing import NamedTuple

import numpy as np
import pytest
import tidu as td
from samplers import assert_trees_close as close
from samplers import to_array


def f64(values):
    return td.tensor(values, dtype=td.float64)


A, B = f64([1.0, 2.0, 3.0]), f64(0.5)
GIVEN = {"w": A, "b": B}
TURNED = {"b": B, "w": A}


class Pair(NamedTuple):
    first: object
    second: object


@dataclasses.dataclass(frozen=True)
class Layer:
    weight: object
    name: str = dataclasses.field(default="layer", metadata={"static": True})
    bias: object = None


@td.tree.register
class Interval:
    """A class with methods of its own for trees."""

    def __init__(self, low, high, closed=True):
        self.low, self.high, self.closed = low, high, closed

    def tree_flatten(self):
        return (self.low, self.high), self.closed

    @classmethod
    def tree_unflatten(cls, closed, parts):
        return cls(*parts, closed)


class Stack:
    """One that is registered with functions."""

    def __init__(self, items):
        self.items = items


td.tree.register(Stack, lambda stack: (stack.items, None), lambda data, items: Stack(list(items)))


def total(tree):
    return td.sum(td.sin(tree["w"]) * tree["b"]) + td.sum(tree["w"] ** 2)


# --- Dicts of the same keys in another order


def test_map_matches_dicts_by_key():
    assert td.tree.structure(GIVEN) == td.tree.structure(TURNED)
    assert hash(td.tree.structure(GIVEN)) == hash(td.tree.structure(TURNED))
    summed = td.tree.map(lambda a, b: a + b, GIVEN, TURNED)
    assert list(summed) == ["w", "b"]
    close(summed, {"w": 2 * A, "b": 2 * B})
    deep = td.tree.map(
        lambda a, b: a - b, [{"x": {"p": 5, "q": 3}, "y": 1}], [{"y": 1, "x": {"q": 1, "p": 2}}]
    )
    assert deep == [{"x": {"p": 3, "q": 2}, "y": 0}]
    with pytest.raises(ValueError, match="structures differ"):
        td.tree.map(lambda a, b: a, {"a": 1}, {"b": 1})


def test_ordered_dicts_keep_their_order():
    ab, ba = collections.OrderedDict(a=1, b=2), collections.OrderedDict(b=2, a=1)
    assert td.tree.structure(ab) != td.tree.structure(ba)
    assert td.tree.structure(ab) == td.tree.structure(collections.OrderedDict(a=3, b=4))
    with pytest.raises(ValueError, match="structures differ"):
        td.tree.map(lambda a, b: a, ab, ba)
    assert isinstance(td.tree.map(lambda x: x, ba), collections.OrderedDict)
    assert list(td.tree.map(lambda x: x, ba)) == ["b", "a"]


def test_loops_and_branches_take_dicts_in_any_order():
    def turned(c, x):
        return {"b": c["b"] * x, "w": c["w"] + c["b"]}, {"s": c["b"]}

    def straight(c, x):
        after, y = turned(c, x)
        return {"w": after["w"], "b": after["b"]}, y

    xs = f64([0.5, 2.0, 3.0])
    for transform in (lambda f: f, lambda f: td.grad(lambda c, xs: total(f(c, xs)[0]))):
        got, want = (
            transform(lambda c, xs, step=step: td.scan(step, c, xs))(GIVEN, xs) for step in (turned, straight)
        )
        close(got, want)
    last, _ = td.scan(turned, GIVEN, xs)
    assert list(last) == ["w", "b"]
    close(td.while_loop(lambda c: c["b"] < 4, lambda c: {"b": 2 * c["b"], "w": -c["w"]}, GIVEN)["b"], B * 8)
    close(td.fori_loop(0, 3, lambda i, c: {"b": c["b"], "w": c["w"] + 1}, GIVEN)["w"], A + 3)
    for predicate in (True, False):
        run = td.program(
            lambda p: td.cond(p, lambda t: t, lambda t: {"b": -t["b"], "w": t["w"] * 2}, GIVEN),
            td.tensor(True),
        )
        got = run(td.tensor(predicate))
        close(got["w"], A if predicate else 2 * A)
        close(got["b"], B if predicate else -B)


def test_tangents_and_cotangents_are_matched_by_key():
    direction = {"w": f64([1.0, -1.0, 2.0]), "b": f64(3.0)}
    turned = {"b": direction["b"], "w": direction["w"]}
    close(td.jvp(total, (GIVEN,), (turned,))[1], td.jvp(total, (GIVEN,), (direction,))[1])
    _, pull = td.vjp(lambda t: td.tree.map(td.sin, t), GIVEN)
    close(pull(turned)[0], pull(direction)[0])
    close(pull({"b": None, "w": direction["w"]})[0], pull({"w": direction["w"], "b": f64(0.0)})[0])
    close(td.vmap(total, in_axes=({"b": None, "w": 0},))({"w": td.stack([A, A]), "b": B})[1], total(GIVEN))


def test_rules_may_return_dicts_in_another_order():
    def function(t):
        return {"p": t["w"] * t["b"], "q": td.sin(t["w"])}

    def turned(tree):
        return {"q": tree["q"], "p": tree["p"]}

    by_vjp = td.custom_vjp(function)
    by_vjp.defvjp(
        lambda t: (turned(function(t)), t),
        lambda t, c: td.vjp(lambda t: turned(function(t)), t)[1](turned(c)),
    )
    by_jvp = td.custom_jvp(function)
    by_jvp.defjvp(lambda p, d: tuple(turned(x) for x in td.jvp(function, p, d)))
    loss = lambda f: lambda t: td.sum(f(t)["p"]) + 3 * td.sum(f(t)["q"] ** 2)
    for ruled in (by_vjp, by_jvp):
        for transform in (
            td.grad,
            lambda f: lambda t: td.jvp(f, (t,), (t,))[1],
            lambda f: lambda t: td.grad(td.program(f, t))(t),
        ):
            close(transform(loss(ruled))(GIVEN), transform(loss(function))(GIVEN))
    other = td.custom_jvp(function)
    other.defjvp(lambda p, d: ([p[0]["w"]], [d[0]["w"]]))
    with pytest.raises(ValueError, match="structures"):
        td.grad(lambda t: td.sum(td.program(lambda t: other(t)["p"], t)(t)))(GIVEN)


def test_programs_take_dicts_in_any_order(tmp_path):
    program = td.program(lambda t: {"loss": total(t), "b": t["b"]}, GIVEN)
    close(program(TURNED), {"loss": total(GIVEN), "b": B})
    program.save(tmp_path / "program")
    close(td.load_program(tmp_path / "program")(TURNED)["loss"], total(GIVEN))
    assert program != td.program(lambda t: {"loss": total(t), "b": t["b"]}, TURNED)


def test_results_of_lanes_may_differ_in_their_order():
    def f(x):
        return {"p": x, "q": 2 * x} if float(x) > 0 else {"q": 3 * x, "p": -x}

    got = td.vmap(f, control="loop")(f64([1.0, -1.0]))
    np.testing.assert_array_equal(to_array(got["p"]), [1, 1])
    np.testing.assert_array_equal(to_array(got["q"]), [2, -3])


# --- Classes

TREES = {
    "default dict": collections.defaultdict(list, a=A, b=B),
    "named tuple": Pair(A, {"x": B}),
    "dataclass": Layer(A, "first", Pair(B, None)),
    "registered": Interval(A, [B], closed=False),
    "registered with functions": {"s": Stack([A, Interval(B, B)]), "n": None},
}


def leaves_squared(tree):
    return sum(td.sum(x * x) for x in td.tree.leaves(tree))


@pytest.mark.parametrize("tree", TREES.values(), ids=TREES)
def test_every_transform_keeps_the_class(tree):
    def same_class(got):
        assert td.tree.structure(got) == td.tree.structure(tree)
        assert repr(td.tree.structure(got)) == repr(td.tree.structure(tree))
        return td.tree.leaves(got)

    leaves = td.tree.leaves(tree)
    close(same_class(td.grad(leaves_squared)(tree)), [2 * x for x in leaves])
    close(same_class(td.jvp(lambda t: t, (tree,), (tree,))[1]), leaves)
    close(same_class(td.vjp(lambda t: t, tree)[1](tree)[0]), leaves)
    batch = td.tree.map(lambda x: td.stack([x, 2 * x]), tree)
    close(
        same_class(td.vmap(lambda t: td.tree.map(td.sin, t))(batch)),
        td.tree.leaves(td.tree.map(td.sin, batch)),
    )
    close(
        same_class(td.scan(lambda c, _: (td.tree.map(td.cos, c), None), tree, length=1)[0]),
        [td.cos(x) for x in leaves],
    )
    close(same_class(td.program(lambda t: t, tree)(tree)), leaves)
    close(same_class(td.checkpoint(lambda t: t)(tree)), leaves)
    assert td.tree.structure(td.eval_shape(lambda t: t, tree)) == td.tree.structure(tree)


def test_what_is_static_is_part_of_the_structure():
    assert td.tree.structure(Layer(A, "a")) != td.tree.structure(Layer(A, "b"))
    assert td.tree.structure(Interval(A, A)) != td.tree.structure(Interval(A, A, closed=False))
    assert td.tree.structure(Interval(A, A)) == td.tree.structure(Interval(B, 1.0))
    gradient = td.grad(lambda layer: td.sum(layer.weight**2) if layer.name == "x" else 0.0)(Layer(A, "x"))
    assert gradient.name == "x" and gradient.bias is None
    close(gradient.weight, 2 * A)
    rebuilt = td.tree.map(lambda x: x, TREES["default dict"])
    assert rebuilt.default_factory is list
    assert td.tree.map(lambda n: n + 1, collections.Counter(a=1, b=4)) == collections.Counter(a=2, b=5)


def test_registered_classes_in_axes_and_in_files(tmp_path):
    batch = Interval(td.stack([A, 2 * A]), B, closed=False)
    got = td.vmap(lambda i: i.low * i.high, in_axes=(Interval(0, None, closed=False),))(batch)
    close(got, batch.low * B)
    tree = {"i": Interval(A, B), "l": Layer(A, "named")}
    program = td.program(lambda t: {**t, "s": t["i"].low * t["l"].weight}, tree)
    program.save(tmp_path / "program")
    for loaded in (td.load_program(tmp_path / "program"), pickle.loads(pickle.dumps(program))):
        got = loaded(tree)
        assert isinstance(got["i"], Interval) and got["i"].closed and got["l"].name == "named"
        close(got["s"], A * A)
        with pytest.raises(ValueError, match="structure"):
            loaded({**tree, "l": Layer(A, "other")})


def test_registering():
    class Bare:
        pass

    with pytest.raises(TypeError, match="tree_flatten"):
        td.tree.register(Bare)
    with pytest.raises(TypeError, match="both"):
        td.tree.register(Bare, lambda bare: ((), None))
    with pytest.raises(TypeError, match="class"):
        td.tree.register(3)
    for taken in (Interval, dict, td.Tensor):
        with pytest.raises(ValueError, match="registered already"):
            td.tree.register(taken, lambda x: ((), None), lambda data, parts: None)


def test_flatten_and_its_kin():
    tree = {"b": [A, None, (B,)], "a": 2.0}
    leaves, structure = td.tree.flatten(tree)
    assert leaves[0] is A and leaves[1] is B and leaves[2] == 2.0
    assert td.tree.unflatten(structure, [1, 2, 3]) == {"b": [1, None, (2,)], "a": 3}
    assert repr(structure) == "{'b': [*, None, (*,)], 'a': *}"
    for wrong in ([1, 2], [1, 2, 3, 4]):
        with pytest.raises(ValueError, match="leaves than"):
            td.tree.unflatten(structure, wrong)
    assert td.tree.leaves(tree, is_leaf=lambda x: isinstance(x, list)) == [tree["b"], 2.0]
    assert td.tree.map(len, [(1, 2), (3,)], is_leaf=lambda x: isinstance(x, tuple)) == [2, 1]
    assert td.tree.reduce(lambda a, b: a + b, [1, {"x": 2}], 10) == 13
    assert td.tree.reduce(max, (3, 5, 4)) == 5
    assert td.tree.leaves(None) == [] and td.tree.leaves(3) == [3]
    assert copy.deepcopy(structure) == structure
