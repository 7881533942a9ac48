"""The benchmark suite runs every subject, compares results before it times, and finds what became slower. No
test here looks at a time that was measured."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

BENCH = Path(__file__).resolve().parents[2] / "bench"
sys.path.insert(0, str(BENCH))
import harness  # noqa: E402
import report  # noqa: E402
import suite  # noqa: E402


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Every subject at its smallest size, once, without other libraries than NumPy."""
    folder = tmp_path_factory.mktemp("bench")
    command = [sys.executable, BENCH / "suite.py", "--size", "small", "--threads", "1", "--out", folder]
    command += ["--peers", sys.executable, "--save-baseline", folder / "baseline.json"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return folder, json.loads((folder / "figures.json").read_text())


def test_every_subject_has_figures_of_tidu(run):
    figures = run[1]["figures"]
    measured = {figure["subject"] for figure in figures}
    assert measured | {"cpp"} == set(suite.SUBJECTS)  # where the C++ programs are not built
    assert [figure["title"] for figure in figures if not set(harness.OURS) & set(figure["values"])] == []


def test_what_can_be_compiled_is_compiled(run):
    for figure in run[1]["figures"]:
        if figure["subject"] in (
            "operations",
            "products",
            "chains",
            "models",
            "compiling",
            "steps",
            "derivatives",
            "learning",
        ):
            assert "tidu compiled" in figure["values"], figure["title"]


def test_all_libraries_agree(run):
    assert [fault for fault in run[1]["faults"] if "differs" in fault["why"]] == []
    assert [fault for fault in run[1]["faults"] if fault["library"] in harness.OURS] == []


def test_a_run_says_where_and_with_what(run):
    found = run[1]
    assert found["machine"]["threads"] == 1
    assert found["machine"]["processor"] and found["machine"]["instruction sets"]
    assert {"tidu", "tidu compiled", "NumPy"} <= set(found["versions"])
    named = {*found["versions"], *found["missing"]}
    assert named == {*harness.OURS, *harness.PEERS, *harness.REFERENCES} - {"PyTorch compiled"}


def test_values_are_those_of_their_rounds(run):
    for figure in run[1]["figures"]:
        for name, rounds in figure["rounds"].items():
            value = figure["values"][name]
            assert min(rounds) <= value["low"] <= value["median"] <= value["high"] <= max(rounds)
        for ours, ratios in figure["ratios"].items():
            for name, ratio in ratios.items():
                pairs = zip(figure["rounds"][ours], figure["rounds"][name], strict=False)
                assert ratio == pytest.approx(np.median([a / b for a, b in pairs]))


def test_the_page_is_whole_and_needs_no_other_file(run):
    folder, found = run
    page = (folder / "report.html").read_text()
    for figure in found["figures"]:
        assert report.html.escape(figure["title"]) in page
    assert "<svg" in page and "src=" not in page
    assert found["machine"]["processor"] in (folder / "table.txt").read_text()


def test_a_run_equals_itself(run):
    folder, found = run
    baseline = json.loads((folder / "baseline.json").read_text())
    compared = report.compare(found, baseline)
    assert compared["compared"] > 0
    assert (compared["slower"], compared["faster"], compared["drift"]) == ([], [], 1.0)


class Fake:
    """A library that multiplies by `factor`."""

    def __init__(self, name, factor, parts=("run",)):
        self.name, self.factor, self.parts = name, factor, parts

    def ask(self, question, *operands):
        if question == "prepare":
            return list(self.parts)
        if self.factor is None:
            raise harness.Failure("no")
        return 1.0 if question == "time" else self.factor * np.arange(3.0)


def measured(*fakes):
    faults = []
    case = harness.Case("case", "kind", ())
    figures = case.figures("subject", {fake.name: fake for fake in fakes}, harness.Pace(1), faults)
    return {figure.title: set(figure.rounds) for figure in figures}, faults


def test_what_differs_is_said_and_not_timed():
    timed, faults = measured(Fake("tidu", 2.0), Fake("NumPy", 2.0 + 1e-7), Fake("PyTorch", 2.1))
    assert timed == {"case": {"tidu", "NumPy"}}
    assert [fault["library"] for fault in faults] == ["PyTorch"]
    assert "differs" in faults[0]["why"]


def test_what_fails_is_said_and_the_others_are_timed():
    timed, faults = measured(Fake("tidu", 2.0), Fake("JAX", None), Fake("NumPy", 2.0, ()))
    assert timed == {"case": {"tidu"}}
    assert faults == [{"library": "JAX", "case": "case, run", "why": "no"}]


def made(ours, theirs, **facts):
    """A run with one figure."""
    machine = {"processor": "p", "instruction sets": ["avx2"], "processors": 2, "threads": 2} | facts
    figure = harness.Figure("steps", "a step", {"tidu": ours, "NumPy": theirs}, limits={"NumPy": 0.5})
    return {"format": 1, "size": "usual", "machine": machine, "figures": [figure.report()]}


def test_comparison_flags_what_is_slower_beyond_noise():
    before = made([1.0, 1.1, 0.9], [2.0, 2.0, 2.0])
    slower = report.compare(made([1.5, 1.6, 1.4], [2.0, 2.0, 2.0]), before)
    assert [entry["ratio"] for entry in slower["slower"]] == [1.5]
    assert slower["faster"] == []
    assert "slower: steps, a step, tidu: 1.50" in "\n".join(report.comparison_lines(slower))
    faster = report.compare(made([0.5, 0.5, 0.5], [2.0, 2.0, 2.0]), before)
    assert (len(faster["slower"]), len(faster["faster"])) == (0, 1)


def test_comparison_lets_noise_and_a_slower_machine_pass():
    before = made([1.0, 1.2, 0.8], [2.0, 2.0, 2.0])
    assert report.compare(made([1.05, 1.3, 0.9], [2.0, 2.0, 2.0]), before)["slower"] == []
    drifted = report.compare(made([1.5, 1.8, 1.2], [3.0, 3.0, 3.0]), before)
    assert (drifted["drift"], drifted["slower"]) == (1.5, [])


def test_comparison_refuses_another_machine():
    with pytest.raises(SystemExit, match="another machine: threads"):
        report.compare(made([1.0], [1.0], threads=1), made([1.0], [1.0]))


def test_limits_are_held_against_tidu_compiled():
    rounds = {"tidu": [9.0], "tidu compiled": [3.0], "NumPy": [2.0], "JAX": [4.0], "bare products": [2.0]}
    limits = {"best peer": 1.02, "bare products": 1.6, "seconds": 2.5, "copy": 1.0}
    held = harness.Figure("steps", "a step", rounds, limits=limits).report()["held"]
    assert [(one["against"], one["value"], one["kept"]) for one in held] == [
        ("best peer", 1.5, False),
        ("bare products", 1.5, True),
        ("seconds", 3.0, False),
    ]


def test_growth_is_the_slope_of_the_logarithms():
    points = [(n, 3e-9 * n**1.5) for n in (10, 100, 1000, 10_000)]
    assert report.slope([(1, 1.0), *points]) == pytest.approx(1.5)
    figures = [
        harness.Figure("chains", str(n), {"tidu": [seconds]}, growth=("line", n)).report()
        for n, seconds in points
    ]
    assert report.growth(figures)["line"]["tidu"]["slope"] == pytest.approx(1.5)


def test_means_are_geometric_and_of_the_ratios_to_the_best_peer():
    steps = [
        harness.Figure(
            "steps", "small", {"tidu compiled": [1.0], "NumPy": [2.0]}, tags=["step", "batch up to 128"]
        ),
        harness.Figure(
            "steps", "large", {"tidu compiled": [2.0], "NumPy": [9.0], "JAX": [1.0]}, tags=["step"]
        ),
    ]
    means = {mean["of"]: mean for mean in report.means([figure.report() for figure in steps])}
    assert means["steps, all"]["mean"] == pytest.approx(1.0)
    assert means["steps, all"]["limit"] == 0.7
    assert means["steps, batch up to 128"]["mean"] == pytest.approx(0.5)
