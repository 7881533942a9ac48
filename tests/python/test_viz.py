"""Pictures: what stands at the nodes of graphs, and the data in matplotlib's figures."""

import math
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
import tidu as td

SVG = "{http://www.w3.org/2000/svg}"


def numbers(x):
    return np.asarray(x.detach().cpu().numpy(), dtype=float)


def scalar(x):
    return td.tensor(x, dtype=td.float64)


def of_svg(text):
    """{name: {class of text: what it says}} of the nodes, and the edges, of an SVG document."""
    root = ET.fromstring(text)
    groups = list(root.iter(f"{SVG}g"))
    nodes = {
        group.get("data-name"): {t.get("class"): t.text for t in group.iter(f"{SVG}text") if t.get("class")}
        for group in groups
        if group.get("class") == "node"
    }
    edges = [(g.get("data-from"), g.get("data-to")) for g in groups if g.get("class") == "edge"]
    return nodes, sorted(edges)


def boxes_of(text):
    root = ET.fromstring(text)
    rects = [g.find(f"{SVG}rect") for g in root.iter(f"{SVG}g") if g.get("class") == "node"]
    return [tuple(float(r.get(k)) for k in ("x", "y", "width", "height")) for r in rects], root


# --- The worked example: f(x1, x2) = x1 x2 + sin x1


def worked(x1, x2):
    return x1 * x2 + td.sin(x1)


X1, X2 = 0.5, 2.0
WORKED = {  # title: value, tangent in direction (1, 0), adjoint
    "w1 = x1": (X1, 1, math.cos(X1) + X2),
    "w2 = x2": (X2, 0, X1),
    "w3 = w1 w2": (X1 * X2, X2, 1),
    "w4 = sin w1": (math.sin(X1), math.cos(X1), 1),
    "w5 = w3 + w4": (X1 * X2 + math.sin(X1), X2 + math.cos(X1), 1),
}


@pytest.fixture
def worked_graph():
    return td.viz.graph(worked, scalar(X1), scalar(X2), direction=(1.0, 0.0))


def test_worked_example(worked_graph):
    assert [node.title for node in worked_graph.nodes] == list(WORKED)
    for node in worked_graph.nodes:
        value, tangent, adjoint = WORKED[node.title]
        np.testing.assert_allclose(node.value.item(), value, rtol=1e-15)
        np.testing.assert_allclose(node.tangent.item(), tangent, rtol=1e-15)
        np.testing.assert_allclose(node.adjoint.item(), adjoint, rtol=1e-15)
    assert [node.operation for node in worked_graph.nodes] == [
        "argument", "argument", "multiply", "sin", "add",
    ]  # fmt: skip
    assert [node.is_result for node in worked_graph.nodes] == [False] * 4 + [True]


def test_worked_example_as_svg(worked_graph):
    nodes, edges = of_svg(worked_graph.svg())
    assert {node["title"] for node in nodes.values()} == set(WORKED)
    for name, node in nodes.items():
        assert node["title"].startswith(f"{name} = ")
        value, tangent, adjoint = WORKED[node["title"]]
        assert node["type"] == "float64()"
        assert (node["value"], node["tangent"], node["adjoint"]) == (
            f"{value:.5g}", f"{tangent:.5g}", f"{adjoint:.5g}",
        )  # fmt: skip
    assert edges == [("w1", "w3"), ("w1", "w4"), ("w2", "w3"), ("w3", "w5"), ("w4", "w5")]


def test_worked_example_without_a_direction():
    nodes, _ = of_svg(td.viz.graph(worked, scalar(X1), scalar(X2)).svg())
    assert all("tangent" not in node and "adjoint" in node for node in nodes.values())


def test_worked_example_of_python_numbers():
    nodes, _ = of_svg(td.viz.graph(worked, X1, X2).svg())
    assert nodes["w1"]["type"] == "float32()" and nodes["w1"]["adjoint"] == f"{math.cos(X1) + X2:.5g}"


@pytest.mark.cpu_only("reads the picture in the repository")
def test_the_picture_in_the_readme_is_the_worked_example():
    root = Path(__file__).resolve().parents[2]
    picture = td.viz.graph(worked, X1, X2, direction=(1.0, 0.0)).svg()
    assert (root / "docs/images/graph.svg").read_text() == picture
    assert "docs/images/graph.svg" in (root / "README.md").read_text()


def test_dot(worked_graph):
    lines = worked_graph.dot().splitlines()
    assert lines[0] == "digraph {" and lines[-1] == "}"
    nodes = dict(re.fullmatch(r'  (\w+) \[label="(.*)".*\];', x).groups() for x in lines[2:7])
    assert list(nodes) == ["w1", "w2", "w3", "w4", "w5"]
    assert nodes["w3"] == "w3 = w1 w2\\nfloat64()\\nvalue 1\\ntangent 2\\nadjoint 1"
    edges = [re.fullmatch(r"  (\w+) -> (\w+);", x).groups() for x in lines[7:-1]]
    assert edges == worked_graph.edges


def test_dot_escapes_quotes():
    text = td.viz.graph(lambda p: p['a"b\\'] * 1.5, {'a"b\\': scalar(2.0)}).dot()
    label = re.search(r'label="((?:[^"\\]|\\.)*)"', text).group(1)
    assert label.split("\\n")[0].replace('\\"', '"').replace("\\\\", "\\") == "w1 = p[" + repr('a"b\\') + "]"


def test_notebooks_and_files(worked_graph, tmp_path):
    assert worked_graph._repr_svg_() == worked_graph.svg()
    assert worked_graph.svg() in worked_graph._repr_html_()
    worked_graph.save(tmp_path / "g.svg")
    worked_graph.save(str(tmp_path / "g.dot"))
    assert (tmp_path / "g.svg").read_text() == worked_graph.svg()
    assert (tmp_path / "g.dot").read_text() == worked_graph.dot()
    with pytest.raises(ValueError, match=r"\.svg or \.dot"):
        worked_graph.save(tmp_path / "g.png")
    assert "w3 = w1 w2: float64()  value 1  tangent 2  adjoint 1" in str(worked_graph).splitlines()
    assert worked_graph["w4"].text == "sin w1"
    with pytest.raises(KeyError, match="no node 'w9'"):
        worked_graph["w9"]


# --- Random functions: shared nodes, several outputs, views, constants

UNARY = {"sin": td.sin, "tanh": td.tanh, "permute_dims": lambda x: x.T, "negative": lambda x: -x}
BINARY = {
    "add": lambda a, b: a + b,
    "subtract": lambda a, b: a - b,
    "multiply": lambda a, b: a * b,
    "matmul": lambda a, b: a @ b,
}


class Steps:
    """A random function of two matrices (3, 3), a step a primitive; its results are all unused nodes."""

    def __init__(self, seed):
        rng = np.random.default_rng(seed)
        self.steps = []
        for k in range(2, 12):
            names = list(UNARY) + 2 * list(BINARY)
            name = names[rng.integers(len(names))]
            self.steps.append((name, [int(i) for i in rng.integers(k, size=1 if name in UNARY else 2)]))
        used = {i for _, inputs in self.steps for i in inputs}
        self.results = [k for k in range(2, 12) if k not in used]

    def nodes(self, *arguments, extra=None):
        values = list(arguments)
        for k, (name, inputs) in enumerate(self.steps):
            y = {**UNARY, **BINARY}[name](*[values[i] for i in inputs])
            values.append(y if extra is None else y + extra[k])
        return values

    def __call__(self, a, b):
        values = self.nodes(a, b)
        return [values[k] for k in self.results]


@pytest.mark.parametrize("seed", range(30))
def test_random_functions(seed, rng):
    f = Steps(seed)
    a, b, da, db = (td.tensor(rng.normal(size=(3, 3))) for _ in range(4))
    graph = td.viz.graph(f, a, b, direction=(da, db))
    used = [k for k in (0, 1) if any(k in inputs for _, inputs in f.steps)]
    assert [node.operation for node in graph.nodes[2:]] == [name for name, _ in f.steps]
    assert [k for k, node in enumerate(graph.nodes) if node.is_result] == f.results
    values, tangents = td.jvp(lambda a, b: f.nodes(a, b), (a, b), (da, db))

    def total(a, b, extra):
        nodes = f.nodes(a, b, extra=extra)
        return sum(nodes[k].sum() for k in f.results)

    zeros = [td.zeros((3, 3), dtype=td.float64) for _ in f.steps]
    of_a, of_b, of_steps = td.grad(total, (0, 1, 2))(a, b, zeros)
    for k, (node, adjoint) in enumerate(zip(graph.nodes, [of_a, of_b, *of_steps], strict=True)):
        np.testing.assert_array_equal(numbers(node.value), numbers(values[k]))
        np.testing.assert_allclose(numbers(node.tangent), numbers(tangents[k]), rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(numbers(node.adjoint), numbers(adjoint), rtol=1e-12, atol=1e-14)
    expected = {(f"w{i + 1}", f"w{k + 3}") for k, (_, inputs) in enumerate(f.steps) for i in inputs}
    nodes, edges = of_svg(graph.svg())
    assert edges == sorted(expected) and len(nodes) == 12 and used
    for node in graph.nodes:
        low, high = numbers(node.adjoint).min(), numbers(node.adjoint).max()
        assert nodes[node.name]["adjoint"] == f"{low:.5g} .. {high:.5g}"


@pytest.mark.parametrize("seed", range(10))
def test_boxes_do_not_overlap_and_are_in_the_picture(seed):
    f = Steps(seed)
    boxes, root = boxes_of(td.viz.graph(f, td.ones((3, 3)), td.ones((3, 3))).svg())
    left, top, width, height = map(float, root.get("viewBox").split())
    for i, (x, y, w, h) in enumerate(boxes):
        assert left <= x and x + w <= left + width + 0.1 and top <= y and y + h <= top + height + 0.1
        for u, v, w2, h2 in boxes[:i]:
            assert x + w <= u or u + w2 <= x or y + h <= v or v + h2 <= y


def test_edges_lead_down_from_box_to_box(worked_graph):
    boxes, root = boxes_of(worked_graph.svg())
    names = [node.name for node in worked_graph.nodes]
    for group in root.iter(f"{SVG}g"):
        if group.get("class") != "edge":
            continue
        points = [float(x) for x in re.findall(r"-?[\d.]+", group.find(f"{SVG}path").get("d"))]
        start, end = (boxes[names.index(group.get(key))] for key in ("data-from", "data-to"))
        np.testing.assert_allclose(points[:2], [start[0] + start[2] / 2, start[1] + start[3]], atol=0.11)
        np.testing.assert_allclose(points[-2:], [end[0] + end[2] / 2, end[1]], atol=0.11)
        assert points[1] < points[-1]


def test_shape_changes_and_numbers():
    x = td.tensor([[1.0, 2.0], [3.0, 4.0]], dtype=td.float64)
    graph = td.viz.graph(lambda x: (x * 3).sum(axis=0).reshape(2, 1) / 2, x, direction=td.ones_like(x))
    assert [(n.text, n.shape) for n in graph.nodes] == [
        ("x", (2, 2)),
        ("3 w1", (2, 2)),
        ("sum[axes=(0,), correction=0] w2", (2,)),
        ("reshape[shape=(2, 1)] w3", (2, 1)),
        ("w4 / 2", (2, 1)),
    ]
    nodes, _ = of_svg(graph.svg())
    assert nodes["w5"]["value"] == "[[6], [9]]" and nodes["w5"]["tangent"] == "[[3], [3]]"
    assert nodes["w1"]["adjoint"] == "[[1.5, 1.5], [1.5, 1.5]]" and nodes["w3"]["adjoint"] == "[0.5, 0.5]"


def test_constants_and_what_has_no_derivative():
    c = td.tensor([1.0, 5.0])
    graph = td.viz.graph(lambda x: x * c + td.argmax(x), td.tensor([3.0, 4.0]), direction=(td.ones(2),))
    constant = graph["c1"]
    assert constant.value.tolist() == [1, 5] and constant.adjoint is None and constant.tangent is None
    index = next(node for node in graph.nodes if node.operation == "argmax")
    assert index.value.item() == 1 and index.adjoint is None
    assert graph.nodes[0].adjoint.tolist() == [1, 5]
    assert graph.nodes[-1].tangent.tolist() == [1, 5]


def test_parameters_have_adjoints_and_are_left_alone():
    w = td.tensor([1.0, 2.0], requires_grad=True)
    x = td.tensor([3.0, 4.0], requires_grad=True)
    graph = td.viz.graph(lambda x: (w * x).sum(), x)
    assert graph["c1"].adjoint.tolist() == [3, 4] and graph.nodes[0].adjoint.tolist() == [1, 2]
    assert w.grad is None and x.grad is None and w.requires_grad
    with td.no_grad():
        assert td.viz.graph(lambda x: (w * x).sum(), x).nodes[0].adjoint.tolist() == [1, 2]


def test_unreached_arguments_and_results_that_are_arguments():
    graph = td.viz.graph(lambda a, b: (a, a * 2), scalar(3.0), scalar(4.0))
    assert [node.adjoint.item() for node in graph.nodes] == [3, 0, 1]
    assert graph.nodes[0].is_result and not graph.nodes[1].is_result


def test_trees_of_arguments_and_integers():
    def f(params, n, power):
        return params["w"][0] ** power * n + params["b"]

    params = {"w": [scalar(2.0)], "b": scalar(1.0)}
    graph = td.viz.graph(f, params, td.tensor(5), 3, direction=({"w": [1.0], "b": None}, None, None))
    assert [n.text for n in graph.nodes[:3]] == ["params['w'][0]", "params['b']", "n"]
    assert graph.nodes[0].adjoint.item() == 60 and graph.nodes[-1].tangent.item() == 60
    assert graph.nodes[2].adjoint is None and graph.nodes[2].value.item() == 5


def test_inside_a_derivative():
    with pytest.raises(td.GradientError, match="cannot be called inside a function that grad"):
        td.grad(lambda x: td.viz.graph(td.sin, x))(scalar(3.0))


def test_custom_rules_and_programs():
    @td.custom_vjp
    def cubed(x):
        return x * x * x

    cubed.defvjp(lambda x: (x * x * x, x), lambda x, g: (5 * g,))
    for f in (cubed, td.program(cubed, scalar(2.0))):
        graph = td.viz.graph(f, scalar(2.0))
        assert graph.nodes[0].adjoint.item() == 5 and graph.nodes[-1].value.item() == 8
        of_svg(graph.svg())


def test_texts_are_escaped_and_shortened():
    x = td.tensor([[1.0, -2.0, 3.0], [4.0, 5.0, math.nan]])
    graph = td.viz.graph(lambda p: td.where(p["<&'\">"] > 0, 1.0, p["<&'\">"]), {"<&'\">": x})
    nodes, _ = of_svg(graph.svg())
    assert nodes["w1"]["title"] == "w1 = p[" + repr("<&'\">") + "]"
    long = td.viz.graph(lambda x: td.concat([x] * 30), td.ones(1))
    node = of_svg(long.svg())[0]["w2"]
    assert len(node["title"]) == 36 and node["title"].endswith("..") and long["w2"].text.count("w1") == 30
    assert long.edges == [("w1", "w2")]


def test_empty_and_large_values():
    assert of_svg(td.viz.graph(lambda x: x * 2, td.ones((0, 3))).svg())[0]["w2"]["value"] == "[]"
    x = td.arange(100, dtype=td.float32)
    nodes, _ = of_svg(td.viz.graph(lambda x: (x > 50) * x, x).svg())
    assert nodes["w1"]["value"] == "0 .. 99" and nodes["w2"]["value"] == "0 .. 1"


def test_a_long_program_is_laid_out():
    def f(x):
        y = x
        for k in range(100):
            y = td.sin(y) * x + k
        return y

    nodes, _ = of_svg(td.viz.graph(f, scalar(0.1)).svg())
    assert len(nodes) == 1 + 3 * 100


# --- Graphs of tensors


def test_graph_of_a_tensor():
    x1 = scalar(X1).requires_grad_()
    x2 = scalar(X2).requires_grad_()
    y = worked(x1, x2)
    graph = td.viz.graph(y)
    assert [node.title for node in graph.nodes] == list(WORKED)
    for node in graph.nodes:
        value, _, adjoint = WORKED[node.title]
        np.testing.assert_allclose(node.value.item(), value, rtol=1e-15)
        np.testing.assert_allclose(node.adjoint.item(), adjoint, rtol=1e-15)
    assert x1.grad is None
    y.backward()
    assert x1.grad.item() == graph.nodes[0].adjoint.item()
    with pytest.raises(td.GradientError, match="was freed"):
        td.viz.graph(y)


def test_what_a_tape_does_not_keep():
    x, c = td.tensor([1.0, 2.0], requires_grad=True), td.tensor([3.0, 4.0])
    y = (x + c) - 1
    graph = td.viz.graph(y.reshape(2, 1) * 2)
    assert graph.nodes[0].value is None and graph.nodes[0].shape == (2,)
    assert graph.nodes[0].adjoint.tolist() == [2, 2]
    assert graph.nodes[-1].value.tolist() == [[6], [10]] and graph.nodes[-1].shape == (2, 1)
    assert of_svg(graph.svg())[0]["w1"]["value"] == "not kept"


def test_overwritten_values_are_not_shown():
    x = td.tensor([1.0, 2.0], requires_grad=True)
    y = x * 1
    z = td.sin(y)
    with td.no_grad():
        y[0] = 9.0
    graph = td.viz.graph(z)
    assert [node.value.tolist()[0] for node in graph.nodes if node.value is not None][-1] == z.tolist()[0]
    assert all(9.0 not in node.value.tolist() for node in graph.nodes if node.value is not None)


def test_errors_of_graphs():
    with pytest.raises(td.GradientError, match=r"\[graph\] nothing was recorded"):
        td.viz.graph(td.ones(2))
    with pytest.raises(TypeError, match=r"\[graph\] of a tensor takes nothing else"):
        td.viz.graph(td.ones(2), td.ones(2))
    with pytest.raises(TypeError, match=r"\[graph\] takes a function or a tensor, not int"):
        td.viz.graph(3)
    with pytest.raises(ValueError, match="one direction an argument: a tuple of 2"):
        td.viz.graph(worked, scalar(1.0), scalar(2.0), direction=scalar(1.0))
    with pytest.raises(td.ShapeError, match=r"direction 0 is float64\(2,\) but must be float64\(\)"):
        td.viz.graph(td.sin, scalar(1.0), direction=td.ones(2, dtype=td.float64))
    with pytest.raises(td.DTypeError, match="has no direction"):
        td.viz.graph(lambda n: n * 2, td.tensor(1), direction=td.tensor(1))


# --- Functions of one and two numbers


def bowl(x):
    return x[0] ** 2 + 3 * x[1] ** 2 + td.sin(x[0])


def bowl_of_two(x1, x2):
    return x1**2 + 3 * x2**2 + td.sin(x1)


def bowl_numbers(a, b):
    return a**2 + 3 * b**2 + np.sin(a)


def labels(figure):
    return figure.axes[0].get_xlabel(), figure.axes[0].get_ylabel(), figure.axes[-1].get_ylabel()


@pytest.mark.parametrize("f", [bowl, bowl_of_two])
def test_contour(f):
    figure = td.viz.contour(f, (-1, 2), (0, 1), levels=[0.5, 1.0, 2.0])
    assert labels(figure) == ("x1", "x2", "f(x1, x2)")
    lines = figure.axes[0].collections[-1]
    np.testing.assert_array_equal(lines.levels, [0.5, 1, 2])
    for level, segments in zip(lines.levels, lines.allsegs, strict=True):
        points = np.concatenate(segments)
        assert len(points) > 5
        np.testing.assert_allclose(bowl_numbers(*points.T), level, atol=2e-3)
        assert points[:, 0].min() >= -1 and points[:, 0].max() <= 2


def test_contour_of_one_level_and_of_wrong_ones():
    figure = td.viz.contour(bowl, levels=[1.0], points=21)
    assert len(figure.axes) == 1
    assert figure.axes[0].collections[-1].levels.tolist() == [1.0]
    many = td.viz.contour(bowl, levels=[2.0, 0.5, 2.0], points=21)
    assert many.axes[0].collections[-1].levels.tolist() == [0.5, 2.0]
    assert td.viz.quadratic_model(bowl, td.tensor([0.5, 0.5]), levels=[1.0], points=21).axes
    for levels in ([], [td.nan]):
        with pytest.raises(ValueError, match="levels"):
            td.viz.contour(bowl, levels=levels)


def test_contour_draws_into_given_axes():
    figure = td.viz.contour(bowl, points=11)
    other = td.viz.gradient_field(bowl, points=5, axes=figure.axes[0])
    assert other is figure and len(figure.axes) == 3


def test_contour_where_the_function_is_not_finite():
    figure = td.viz.contour(lambda x: td.log(x[0]) + x[1], points=11)
    assert np.isfinite(figure.axes[0].collections[0].get_array()).all()


def test_surface_and_tangent_plane():
    figure = td.viz.surface(bowl, (-1, 1), (-1, 1), at=(0.5, -0.25), points=9)
    axes = figure.axes[0]
    assert (axes.get_xlabel(), axes.get_zlabel(), figure.axes[1].get_ylabel()) == (
        "x1", "f(x1, x2)", "f(x1, x2)",
    )  # fmt: skip
    surface, plane = axes.collections[:2]

    def corners(collection):
        figure.canvas.draw()
        faces = collection._faces if hasattr(collection, "_faces") else collection._vec[:3].T
        return np.asarray(faces, dtype=float).reshape(-1, 3)

    points = corners(surface)
    np.testing.assert_allclose(points[:, 2], bowl_numbers(points[:, 0], points[:, 1]), rtol=1e-12)
    points = corners(plane)
    slope = np.array([2 * 0.5 + np.cos(0.5), 6 * -0.25])
    expected = bowl_numbers(0.5, -0.25) + (points[:, :2] - [0.5, -0.25]) @ slope
    np.testing.assert_allclose(points[:, 2], expected, rtol=1e-12, atol=1e-12)
    assert points[:, 0].min() == 0.0 and points[:, 0].max() == 1.0


def test_gradient_field():
    figure = td.viz.gradient_field(bowl, (-1, 1), (0, 2), points=5)
    assert labels(figure) == ("x1", "x2", "norm of the gradient")
    arrows = figure.axes[0].collections[-1]
    x, y = arrows.X, arrows.Y
    np.testing.assert_allclose(arrows.U, 2 * x + np.cos(x), rtol=1e-14)
    np.testing.assert_allclose(arrows.V, 6 * y, rtol=1e-14)
    np.testing.assert_allclose(arrows.get_array().ravel(), np.hypot(arrows.U, arrows.V).ravel())
    assert sorted(set(x.ravel())) == [-1, -0.5, 0, 0.5, 1] and len(x.ravel()) == 25


@pytest.mark.parametrize("constant", [2.0, math.nan])
def test_functions_without_slope_or_value_are_drawn(constant, tmp_path):
    def flat(x):
        return 0 * x.sum() + constant

    figures = [
        td.viz.gradient_field(flat, points=5),
        td.viz.contour(flat, points=5),
        td.viz.surface(flat, points=5),
        td.viz.quadratic_model(flat, [1.0, 2.0], points=5),
        td.viz.descent_path(flat, [[1.0, 2.0], [1.5, 2.5]], points=5),
    ]
    for i, figure in enumerate(figures):
        figure.savefig(tmp_path / f"{i}.png")
        assert (tmp_path / f"{i}.png").stat().st_size > 1000
    np.testing.assert_array_equal(np.ma.filled(figures[0].axes[0].collections[-1].U, 0), 0)


def test_quadratic_model_of_one_number():
    figure = td.viz.quadratic_model(td.exp, 0.5, reach=2.0, points=9)
    function, model, point = figure.axes[0].lines
    x = np.linspace(-1.5, 2.5, 9)
    np.testing.assert_allclose(function.get_xdata(), x)
    np.testing.assert_allclose(function.get_ydata(), np.exp(x))
    p = x - 0.5
    np.testing.assert_allclose(model.get_ydata(), np.exp(0.5) * (1 + p + p**2 / 2))
    assert (point.get_xdata()[0], point.get_ydata()[0]) == (0.5, pytest.approx(math.exp(0.5)))
    assert figure.axes[0].get_xlabel() == "x" and figure.axes[0].get_ylabel() == "f(x)"


def test_quadratic_model_of_two_numbers():
    at = np.array([0.5, 1.0])
    figure = td.viz.quadratic_model(bowl, td.tensor(at), levels=[3.0, 4.0, 5.0])
    assert [axes.get_title(loc="left") for axes in figure.axes[:2]] == ["f(x1, x2)", "quadratic model"]

    def model(a, b):
        p, q = a - 0.5, b - 1
        slope = (1 + np.cos(0.5)) * p + 6 * q
        return bowl_numbers(*at) + slope + ((2 - np.sin(0.5)) * p**2 + 6 * q**2) / 2

    for axes, of in zip(figure.axes, (bowl_numbers, model), strict=False):
        lines = axes.collections[-1]
        for level, segments in zip(lines.levels, lines.allsegs, strict=True):
            points = np.concatenate(segments)
            np.testing.assert_allclose(of(*points.T), level, atol=2e-3)


def test_descent_path():
    figure = td.viz.descent_path(bowl, [1.0, 1.0], lr=0.1, steps=3)
    expected = [[1.0, 1.0]]
    for _ in range(3):
        a, b = expected[-1]
        expected.append([a - 0.1 * (2 * a + math.cos(a)), b - 0.6 * b])
    drawn = figure.axes[0].lines[0]
    np.testing.assert_allclose(np.transpose([drawn.get_xdata(), drawn.get_ydata()]), expected, rtol=1e-14)
    given = td.viz.descent_path(bowl, expected).axes[0].lines[0]
    np.testing.assert_array_equal(given.get_ydata(), np.array(expected)[:, 1])
    assert labels(figure) == ("x1", "x2", "f(x1, x2)")


def axis_labels(figure):
    return [(axes.get_xlabel(), axes.get_ylabel()) for axes in figure.axes]


def test_curves():
    figure = td.viz.curves([(0.5, 2.0, 0.25), (1.0, 1.0, 0.5)], [(1.5, 0.4)])
    assert axis_labels(figure) == [("epoch", "loss"), ("epoch", "accuracy, %")]
    training, test = figure.axes[1].lines
    assert training.get_xydata().tolist() == [[0.5, 25], [1, 50]]
    assert test.get_xydata().tolist() == [[1, 40]]
    assert [text.get_text() for text in figure.axes[0].get_legend().texts] == ["training batches", "test set"]


def test_confusion_matrix():
    figure = td.viz.confusion_matrix(td.tensor([[9, 1], [0, 5]]), ["hat", "shoe"])
    assert axis_labels(figure) == [("predicted", "true"), ("", "% of the true class")]
    assert figure.axes[0].images[0].get_array().tolist() == [[90, 10], [0, 100]]
    assert [text.get_text() for text in figure.axes[0].texts] == ["90.0", "10.0", "100"]
    assert figure.axes[1].get_ylim() == (0, 100)


def test_weights():
    images = td.tensor([[[-2.0, 0.0], [1.0, 2.0]], [[0.0, 0.0], [0.0, 0.0]]])
    figure = td.viz.weights(images, ["a", "b"])
    first, second = (axes.images[0].get_array() for axes in figure.axes[:2])
    np.testing.assert_allclose(first, [[-1, 0], [0.5, 1]])
    assert not second.any()
    assert "blue negative, red positive" in figure.axes[2].get_ylabel()
    assert figure.get_supxlabel() and figure.get_supylabel()


def test_predictions_say_what_their_colours_mean():
    from matplotlib.colors import to_hex

    images, names = td.ones((2, 3, 3), dtype=td.uint8), ["hat", "shoe"]
    figure = td.viz.predictions(images, [0, 1], [0, 0], td.tensor([0.9, 0.8]), names)
    drawn = [axes.texts[0] for axes in figure.axes[:2]]
    assert [text.get_text() for text in drawn] == ["hat 90 %", "hat 80 %"]
    meanings = {text.get_text().split(":")[0]: to_hex(text.get_color()) for text in figure.legends[0].texts}
    assert list(meanings) == ["black", "blue", "red"]
    assert [meanings["blue"], meanings["red"]] == [text.get_color() for text in drawn]
    only_right = td.viz.predictions(images, [0, 1], [0, 1], [0.9, 0.8], names)
    assert [text.get_text().split(":")[0] for text in only_right.legends[0].texts] == ["black", "blue"]
    assert not td.viz.predictions(images[:0], [], [], [], names).axes[0].images


def test_errors_of_functions():
    viz = td.viz
    with pytest.raises(
        td.ShapeError, match=r"\[contour\] <lambda> must return one element, not shape \(2,\)"
    ):
        viz.contour(lambda x: x)
    with pytest.raises(ValueError, match=r"\[contour\] xlim must be \(low, high\) with low < high"):
        viz.contour(bowl, xlim=(1, -1))
    with pytest.raises(td.ShapeError, match=r"\[contour\] ylim must be 2 numbers"):
        viz.contour(bowl, ylim=3)
    with pytest.raises(ValueError, match=r"\[gradient_field\] needs at least 2 points"):
        viz.gradient_field(bowl, points=1)
    with pytest.raises(TypeError, match=r"\[contour\] takes a function, not Tensor"):
        viz.contour(td.ones(2))
    with pytest.raises(TypeError, match=r"\[contour\] f takes 3 numbers"):

        def f(a, b, c):
            return a + b + c

        viz.contour(f)
    with pytest.raises(td.ShapeError, match=r"\[surface\] at must be 2 numbers, not of shape \(3,\)"):
        viz.surface(bowl, at=[1.0, 2.0, 3.0])
    with pytest.raises(td.ShapeError, match=r"\[quadratic_model\] x must be one number or two"):
        viz.quadratic_model(bowl, [1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match=r"\[quadratic_model\] reach must be positive"):
        viz.quadratic_model(bowl, [1.0, 2.0], reach=0)
    with pytest.raises(td.ShapeError, match=r"\[descent_path\] path must be points \(n, 2\)"):
        viz.descent_path(bowl, np.ones((4, 3)))
    with pytest.raises(ValueError, match=r"\[descent_path\] the path has points that are not finite"):
        viz.descent_path(lambda x: (x**4).sum(), [10.0, 10.0], lr=1.0)


def test_without_matplotlib():
    """Graphs need none; the others say what to install."""
    code = """
import sys
sys.modules["matplotlib"] = None
sys.modules["matplotlib.figure"] = None
import tidu as td
td.viz.graph(td.sin, 1.0).svg()
try:
    td.viz.contour(lambda x: x.sum(), points=3)
except ImportError as error:
    print(error)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install matplotlib" in run.stdout
