"""What the figures of a run say: lines, a table, plots, a page, and a comparison of two runs."""

import html
import itertools
import math
import statistics

from harness import OURS, PEERS, geometric_mean
from subjects import BATCHES, HIDDEN, STEP_LIMITS

NOISE = 1.05  # beyond the spread of the rounds and the drift of the machine
LINES = ("tidu compiled", "tidu", "PyTorch", "JAX", "NumPy", "autograd", "MLX", "hand-written")

# --- Text


def amount(value, unit="s"):
    """With three digits or more."""
    if unit == "B":
        return f"{value / 2**20:,.1f} MiB"
    if value < 9.5e-6:
        return f"{value * 1e9:,.0f} ns"
    if value < 9.5e-3:
        return f"{value * 1e6:,.{int(value < 99.5e-6)}f} us"
    return f"{value * 1e3:,.1f} ms" if value < 9.5 else f"{value:,.1f} s"


def spread(value):
    """Half of the distance of the quartiles, in percent of the median."""
    return 50 * (value["high"] - value["low"]) / value["median"] if value["median"] else 0.0


def head(run):
    machine = run["machine"]
    yield (
        f"{machine['processor']} ({', '.join(machine['instruction sets'])}), {machine['threads']} threads on "
        f"{machine['processors']} processors, {machine['memory'] / 2**30:.0f} GiB, "
        f"load {machine['load before']:.1f}"
    )
    yield ", ".join(f"{name} {version}" for name, version in run["versions"].items())
    yield from (f"{name} is left out: {why}" for name, why in run["missing"].items())
    yield f"{run['rounds']} rounds; median ± half the distance of the quartiles"


def cells(figure):
    for name, value in figure["values"].items():
        yield name, f"{amount(value['median'], figure['unit'])} ±{spread(value):.0f} %"


def against_best(figure):
    """{tidu's way: its ratio to the best peer}."""
    best = figure["best_peer"]
    return {ours: ratios[best] for ours, ratios in figure["ratios"].items()} if best else {}


def row(figure):
    parts = [f"{name} {text}" for name, text in cells(figure)]
    parts += [f"{ours} / {figure['best_peer']} {ratio:.2f}" for ours, ratio in against_best(figure).items()]
    parts += [limit_text(held) for held in figure["held"]]
    return f"{figure['subject']}: {figure['title']}\n    " + "; ".join(parts)


def limit_text(held):
    seconds = held["against"] == "seconds"
    value, limit = (amount(held[key]) if seconds else f"{held[key]:.2f}" for key in ("value", "limit"))
    what = "" if seconds else f" of {held['against']}"
    return f"{value}{what}, at most {limit}: {'kept' if held['kept'] else 'MISSED'}"


def table(run):
    yield from head(run)
    for figure in run["figures"]:
        yield row(figure)
    yield ""
    yield from conclusions(run)


# --- What follows from all figures


def summary(figures):
    return {"means": means(figures), "growth": growth(figures)}


def means(figures):
    """Geometric means of the ratios to the best peer: of each subject, and of the steps that have limits."""
    groups = {}
    for figure in figures:
        if figure["unit"] == "s":
            groups.setdefault(figure["subject"], []).append(figure)
    steps = [figure for figure in figures if "step" in figure["tags"]]
    if steps:
        groups["steps, all"] = steps
        groups["steps, batch up to 128"] = [figure for figure in steps if "batch up to 128" in figure["tags"]]
    found = []
    for (title, group), ours in itertools.product(groups.items(), OURS):
        ratios = [against_best(figure)[ours] for figure in group if ours in against_best(figure)]
        if ratios:
            limit = STEP_LIMITS.get(title.removeprefix("steps, ")) if ours == OURS[-1] else None
            found.append(
                {
                    "of": title,
                    "ours": ours,
                    "count": len(ratios),
                    "mean": geometric_mean(ratios),
                    "limit": limit,
                }
                | {"worst": max(ratios)}
            )
    return found


def slope(points):
    """Of log time over log size, by least squares through the three largest sizes."""
    points = sorted(points)[-3:]
    x, y = ([math.log(point[i]) for point in points] for i in range(2))
    return statistics.linear_regression(x, y).slope


def growth(figures):
    """{line: {library: {"points": [[size, seconds] ..], "slope": log-log slope}}}."""
    lines = {}
    for figure in figures:
        if figure["growth"]:
            line, size = figure["growth"]
            for name, value in figure["values"].items():
                lines.setdefault(line, {}).setdefault(name, []).append([size, value["median"]])
    return {
        line: {
            name: {"points": sorted(points), "slope": slope(points)}
            for name, points in of_line.items()
            if len({size for size, _ in points}) > 1
        }
        for line, of_line in lines.items()
    }


def conclusions(run):
    for mean in run["summary"]["means"]:
        limit = "" if mean["limit"] is None else f", at most {mean['limit']}"
        if mean["limit"] is not None:
            limit += ": kept" if mean["mean"] <= mean["limit"] else ": MISSED"
        yield (
            f"{mean['of']}: {mean['ours']} takes {mean['mean']:.2f} times the best peer's time in the "
            f"geometric mean of {mean['count']} (at most {mean['worst']:.2f}){limit}"
        )
    held = [held for figure in run["figures"] for held in figure["held"]]
    yield f"{sum(one['kept'] for one in held)} of {len(held)} limits kept"
    yield from (f"{fault['library']}, {fault['case']}: {fault['why']}" for fault in run["faults"])
    yield from comparison_lines(run["compared"])


# --- Two runs


def compare(run, baseline):
    """What became slower or faster than in a baseline of the same machine: beyond the quartiles of both runs,
    the drift of the peers' times from run to run, and a margin."""
    for what in ("format", "size"):
        if run[what] != baseline[what]:
            raise SystemExit(f"the baseline's {what} is {baseline[what]}, not {run[what]}")
    same = ("processor", "instruction sets", "processors", "threads")
    other = [what for what in same if run["machine"][what] != baseline["machine"][what]]
    if other:
        raise SystemExit(f"the baseline is of another machine: {', '.join(other)}")
    before = {(figure["subject"], figure["title"]): figure for figure in baseline["figures"]}
    pairs = [
        (figure, before[figure["subject"], figure["title"]])
        for figure in run["figures"]
        if (figure["subject"], figure["title"]) in before
    ]
    drifts = [
        figure["values"][name]["median"] / old["values"][name]["median"]
        for figure, old in pairs
        for name in PEERS
        if figure["unit"] == "s" and name in figure["values"] and name in old["values"]
    ]
    drift = statistics.median(drifts) if drifts else 1.0
    found = {"drift": drift, "compared": 0, "slower": [], "faster": []}
    for (figure, old), ours in itertools.product(pairs, OURS):
        if ours not in figure["values"] or ours not in old["values"]:
            continue
        found["compared"] += 1
        new, was = figure["values"][ours], old["values"][ours]
        scale = drift if figure["unit"] == "s" else 1.0
        entry = {
            "subject": figure["subject"],
            "title": figure["title"],
            "ours": ours,
            "ratio": new["median"] / was["median"] / scale,
        }
        if new["low"] > was["high"] * scale * NOISE:
            found["slower"].append(entry)
        elif new["high"] * NOISE < was["low"] * scale:
            found["faster"].append(entry)
    return found


def comparison_lines(compared):
    if not compared:
        return
    yield f"of {compared['compared']} figures of the baseline (peers now take {compared['drift']:.2f} times):"
    for what in ("slower", "faster"):
        for entry in sorted(compared[what], key=lambda entry: entry["ratio"], reverse=what == "slower"):
            yield f"  {what}: {entry['subject']}, {entry['title']}, {entry['ours']}: {entry['ratio']:.2f}"
        if not compared[what]:
            yield f"  none {what} beyond noise"


# --- Plots and the page


def figure_of(width, height):
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=100, layout="constrained", facecolor="white")


def plain(axes, title):
    from tidu.viz import _style

    _style.plain(axes, title)


def ratios_plot(subject, figures):
    """A dot for each figure: tidu's time as a multiple of the best peer's."""
    from tidu.viz._style import BLUE, INK, ORANGE

    shown = [figure for figure in figures if against_best(figure)]
    if not shown:
        return None
    plot = figure_of(9, 1.2 + 0.19 * len(shown))
    axes = plot.subplots()
    for ours, colour in zip(OURS, (ORANGE, BLUE), strict=True):
        points = [(against_best(f)[ours], i) for i, f in enumerate(shown) if ours in against_best(f)]
        if points:
            axes.scatter(*zip(*points, strict=True), s=22, color=colour, label=ours, zorder=3)
    axes.axvline(1, color=INK, linewidth=1)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter("{x:g}")
    axes.set_yticks(range(len(shown)), [f"{f['title']} ({f['best_peer']})" for f in shown])
    axes.set_ylim(len(shown) - 0.5, -0.5)
    axes.legend(frameon=False, fontsize=9)
    plain(axes, f"{subject}: time over the best peer's")
    axes.tick_params(labelsize=7)
    return plot


def steps_plot(figures):
    """The grid of the steps: ratios to the best peer."""
    from matplotlib.colors import TwoSlopeNorm
    from tidu.viz._style import diverging

    of_tag = {tag: figure for figure in figures for tag in figure["tags"] if "/" in tag}
    grid = list(itertools.product(OURS, ("SGD", "Adam")))
    if not all(f"SGD/{batch}/{hidden}" in of_tag for batch in BATCHES for hidden in HIDDEN):
        return None
    plot = figure_of(10, 5)
    panels = plot.subplots(2, 2)
    for axes, (ours, optimizer) in zip(panels.flat, grid, strict=True):
        ratios = [
            [against_best(of_tag[f"{optimizer}/{b}/{h}"]).get(ours, math.nan) for b in BATCHES]
            for h in HIDDEN
        ]
        norm = TwoSlopeNorm(0, math.log(0.25), math.log(4))
        axes.imshow(
            [[math.log(r) for r in line] for line in ratios], cmap=diverging(), norm=norm, aspect="auto"
        )
        for (i, line), (j, _) in itertools.product(enumerate(ratios), enumerate(BATCHES)):
            axes.text(j, i, f"{line[j]:.2f}", ha="center", va="center", fontsize=9)
        axes.set_xticks(range(len(BATCHES)), BATCHES)
        axes.set_yticks(range(len(HIDDEN)), HIDDEN)
        axes.set_xlabel("batch", fontsize=9)
        axes.set_ylabel("hidden units", fontsize=9)
        plain(axes, f"{optimizer} step, {ours} over the best peer")
        axes.grid(False)
    return plot


def growth_plot(growth):
    shown = {line: of_line for line, of_line in growth.items() if of_line}
    if not shown:
        return None
    rows = -(-len(shown) // 3)
    plot = figure_of(11, 2.8 * rows)
    panels = list(plot.subplots(rows, 3, squeeze=False).flat)
    for axes, (line, of_line) in zip(panels, shown.items(), strict=False):
        for i, name in enumerate(LINES):
            if name in of_line:
                x, y = zip(*of_line[name]["points"], strict=True)
                axes.loglog(x, y, ".-", color=f"C{i}", label=f"{name} {of_line[name]['slope']:.2f}")
        plain(axes, line)
        axes.tick_params(labelsize=7)
        axes.legend(frameon=False, fontsize=6)
    for axes in panels[len(shown) :]:
        axes.set_axis_off()
    return plot


def plots(run):
    """{name: a matplotlib Figure}."""
    figures = run["figures"]
    found = {"steps": steps_plot(figures), "growth": growth_plot(run["summary"]["growth"])}
    for subject in dict.fromkeys(figure["subject"] for figure in figures):
        found[subject + "-ratios"] = ratios_plot(subject, [f for f in figures if f["subject"] == subject])
    return {name: plot for name, plot in found.items() if plot}


STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #22303c; max-width: 75em;
  margin: 2em auto; padding: 0 1em }
table { border-collapse: collapse; font-size: 13px; display: block; overflow-x: auto }
th, td { border-bottom: 1px solid #d5dbe0; padding: 2px 9px; text-align: right; white-space: nowrap }
th:first-child, td:first-child { text-align: left }
td.over { color: #c8372d } td.best { font-weight: bold } img { max-width: 100% }
"""


def subject_table(figures):
    names = [
        name
        for name in (*OURS, *PEERS, "bare products", "hand-written", "copy")
        if any(name in f["values"] for f in figures)
    ]
    titles = [*names, *(f"{ours} / best" for ours in OURS if ours in names), "limits"]
    yield "<table><tr><th></th>" + "".join(f"<th>{html.escape(title)}</th>" for title in titles) + "</tr>"
    for figure in figures:
        texts = dict(cells(figure))
        line = [f"<td>{html.escape(figure['title'])}</td>"]
        best = min(figure["values"], key=lambda name: figure["values"][name]["median"])
        line += [f"<td{' class=best' * (name == best)}>{texts.get(name, '')}</td>" for name in names]
        ratios = against_best(figure)
        for ours in OURS:
            if ours in names:
                ratio = ratios.get(ours)
                text = "" if ratio is None else f"{ratio:.2f}"
                line.append(f"<td{' class=over' * bool(ratio and ratio > 1)}>{text}</td>")
        missed = any(not held["kept"] for held in figure["held"])
        limits = "<br>".join(html.escape(limit_text(held)) for held in figure["held"])
        line.append(f"<td{' class=over' * missed}>{limits}</td>")
        yield f"<tr>{''.join(line)}</tr>"
    yield "</table>"


def write_page(run, folder):
    """report.html, which needs no other file, and the plots as SVG."""
    drawn = plots(run)
    for name, plot in drawn.items():
        plot.savefig(folder / f"{name}.svg")
    body = ["<h1>tidu beside its peers</h1>", *(f"<p>{html.escape(line)}</p>" for line in head(run))]
    body += ["<h2>Summary</h2><ul>", *(f"<li>{html.escape(line)}</li>" for line in conclusions(run)), "</ul>"]

    def picture(name):
        if name in drawn:
            svg = (folder / f"{name}.svg").read_text()
            body.append(svg[svg.index("<svg") :])

    picture("steps")
    for subject in dict.fromkeys(figure["subject"] for figure in run["figures"]):
        body.append(f"<h2>{subject}</h2>")
        body += subject_table([figure for figure in run["figures"] if figure["subject"] == subject])
        picture(subject + "-ratios")
    body.append("<h2>Growth with size: slopes of log time over log size</h2>")
    picture("growth")
    page = f"<!doctype html><meta charset=utf-8><title>tidu: benchmarks</title><style>{STYLE}</style>"
    (folder / "report.html").write_text(page + "\n".join(body) + "\n")
