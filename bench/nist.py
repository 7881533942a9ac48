"""Prints how many digits of NIST's certified values td.optim.least_squares finds, beside MINPACK.

    python bench/nist.py [--starts] [--markdown]

For each of the 27 nonlinear regressions (tests/data/nist) and both starts: the digits of the worst parameter,
at most the 11 that are certified, and the iterations, of both methods of tidu; digits and evaluations of
scipy.optimize.least_squares(method="lm"), which is MINPACK, with its own differences and defaults, and with
tolerances of 1e-15 and tidu's exact Jacobian. With --starts the problems of Moré, Garbow and Hillstrom
instead, from 1, 10 and 100 times the standard start: the sum of squares, marked where it is no known minimum.
"""

import argparse
import statistics
import sys
from pathlib import Path

import numpy as np
import scipy.optimize
import tidu as td

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "python"))
import mgh
import nist


def by_tidu(function, start, method):
    report = td.optim.least_squares(function, td.tensor(start), method=method)
    return report.x.numpy(), 2 * report.cost, report.iterations


def by_minpack(function, start, exact):
    jacobian = td.jacobian(function)
    options = {"jac": lambda x: jacobian(td.tensor(x)).numpy()} if exact else {}
    options |= dict.fromkeys(("ftol", "xtol", "gtol"), 1e-15) if exact else {}
    try:
        found = scipy.optimize.least_squares(
            lambda x: function(td.tensor(x)).numpy(), start, method="lm", **options
        )
    except ValueError:  # what is not finite on the way
        return np.full(len(start), np.nan), np.nan, 0
    return found.x, 2 * found.cost, found.nfev


COLUMNS = {
    "lm": lambda f, x: by_tidu(f, x, "lm"),
    "gauss-newton": lambda f, x: by_tidu(f, x, "gauss-newton"),
    "MINPACK": lambda f, x: by_minpack(f, x, False),
    "MINPACK, exact": lambda f, x: by_minpack(f, x, True),
}


def show(cells, widths, markdown):
    line = "|".join(
        f" {cell:{'<' if i == 0 else '>'}{w}} " for i, (cell, w) in enumerate(zip(cells, widths, strict=True))
    )
    print(f"|{line}|" if markdown else line, flush=True)


def heading(names, widths, markdown):
    show(names, widths, markdown)
    if markdown:
        show(["-" * w for w in widths], widths, markdown)


def regressions(markdown):
    widths = [12, *(len(name) + 8 for name in COLUMNS)]
    heading(["problem", *COLUMNS], widths, markdown)
    digits = {name: [] for name in COLUMNS}
    for problem in map(nist.problem, nist.MODELS):
        for number, start in enumerate(problem.starts, 1):
            cells = []
            for name, solve in COLUMNS.items():
                x, _, count = solve(problem.residuals, start)
                digits[name].append(nist.digits(x, problem.values))
                cells.append(f"{digits[name][-1]:.1f} ({count})")
            show([f"{problem.name} {number}", *cells], widths, markdown)
    show(["mean", *(f"{statistics.mean(all):.2f}" for all in digits.values())], widths, markdown)
    show(["4 digits", *(f"{sum(d >= 4 for d in all)} of 54" for all in digits.values())], widths, markdown)


def starts(markdown):
    names = [name for name in COLUMNS if name != "MINPACK"]
    widths = [30, *(len(name) + 14 for name in names)]
    heading(["problem", *names], widths, markdown)
    met = dict.fromkeys(names, 0)
    for problem in mgh.PROBLEMS:
        for factor in (1, 10, 100):
            start = np.array(problem.start, float) * factor
            if factor > 1 and not start.any():
                start += factor
            cells = []
            for name in names:
                _, least, count = COLUMNS[name](problem.residuals, start)
                known = any(abs(least - sum_) <= 1e-4 * sum_ + 1e-14 for sum_ in problem.sums)
                met[name] += known
                cells.append(f"{least:.6g} ({count}){' ' if known else '!'}")
            show([f"{problem.name} x {factor}", *cells], widths, markdown)
    show(["known", *(f"{count} of {3 * len(mgh.PROBLEMS)}" for count in met.values())], widths, markdown)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--starts", action="store_true", help="Moré, Garbow and Hillstrom's problems")
    parser.add_argument("--markdown", action="store_true")
    arguments = parser.parse_args()
    np.seterr(all="ignore")
    (starts if arguments.starts else regressions)(arguments.markdown)
