"""NIST's 27 nonlinear regressions with certified results (Statistical Reference Datasets, public domain):
the files of tests/data/nist, and their models."""

import math
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import tidu as td

FOLDER = Path(__file__).parents[1] / "data" / "nist"
PI = math.pi


def bells(b, x):
    first = b[2] * td.exp(-((x - b[3]) ** 2) / b[4] ** 2)
    return b[0] * td.exp(-b[1] * x) + first + b[5] * td.exp(-((x - b[6]) ** 2) / b[7] ** 2)


def cubics(b, x):
    return (b[0] + b[1] * x + b[2] * x**2 + b[3] * x**3) / (1 + b[4] * x + b[5] * x**2 + b[6] * x**3)


def waves(b, x):
    def wave(cosine, sine, period):
        return cosine * td.cos(2 * PI * x / period) + sine * td.sin(2 * PI * x / period)

    return b[0] + wave(b[1], b[2], 12) + wave(b[4], b[5], b[3]) + wave(b[7], b[8], b[6])


def decay(b, x):
    return b[0] * td.exp(-b[1] * x) + b[2] * td.exp(-b[3] * x) + b[4] * td.exp(-b[5] * x)


def rise(b, x):
    return b[0] * (1 - td.exp(-b[1] * x))


def chwirut(b, x):
    return td.exp(-b[0] * x) / (b[1] + b[2] * x)


MODELS = {
    "Bennett5": lambda b, x: b[0] * (b[1] + x) ** (-1 / b[2]),
    "BoxBOD": rise,
    "Chwirut1": chwirut,
    "Chwirut2": chwirut,
    "DanWood": lambda b, x: b[0] * x ** b[1],
    "ENSO": waves,
    "Eckerle4": lambda b, x: b[0] / b[1] * td.exp(-0.5 * ((x - b[2]) / b[1]) ** 2),
    "Gauss1": bells,
    "Gauss2": bells,
    "Gauss3": bells,
    "Hahn1": cubics,
    "Kirby2": lambda b, x: (b[0] + b[1] * x + b[2] * x**2) / (1 + b[3] * x + b[4] * x**2),
    "Lanczos1": decay,
    "Lanczos2": decay,
    "Lanczos3": decay,
    "MGH09": lambda b, x: b[0] * (x**2 + x * b[1]) / (x**2 + x * b[2] + b[3]),
    "MGH10": lambda b, x: b[0] * td.exp(b[1] / (x + b[2])),
    "MGH17": lambda b, x: b[0] + b[1] * td.exp(-x * b[3]) + b[2] * td.exp(-x * b[4]),
    "Misra1a": rise,
    "Misra1b": lambda b, x: b[0] * (1 - (1 + b[1] * x / 2) ** -2),
    "Misra1c": lambda b, x: b[0] * (1 - (1 + 2 * b[1] * x) ** -0.5),
    "Misra1d": lambda b, x: b[0] * b[1] * x * (1 + b[1] * x) ** -1,
    "Nelson": lambda b, x: b[0] - b[1] * x[0] * td.exp(-b[2] * x[1]),
    "Rat42": lambda b, x: b[0] / (1 + td.exp(b[1] - b[2] * x)),
    "Rat43": lambda b, x: b[0] / (1 + td.exp(b[1] - b[2] * x)) ** (1 / b[3]),
    "Roszman1": lambda b, x: b[0] - b[1] * x - td.atan(b[2] / (x - b[3])) / PI,
    "Thurber": cubics,
}


@dataclass(frozen=True)
class Problem:
    """Two starts; the certified values, their standard deviations and the residual sum of squares."""

    name: str
    x: np.ndarray
    y: np.ndarray
    starts: np.ndarray
    values: np.ndarray
    deviations: np.ndarray
    sum_of_squares: float

    def residuals(self, b):
        return MODELS[self.name](b, self._tensor(b, self.x)) - self._tensor(b, self.y)

    def _tensor(self, b, data):
        return td.tensor(data, dtype=b.dtype, device=b.device)


@cache
def problem(name):
    text = (FOLDER / f"{name}.dat").read_text()
    table = np.array(re.findall(r"^\s*b\d+\s*=" + r"\s*(\S+)" * 4, text, re.MULTILINE), dtype=float)
    head, data = text.rsplit("Data:", 1)
    rows = np.array([line.split() for line in data.splitlines()[1:] if line.strip()], dtype=float)
    x, y = rows[:, 1:].T, rows[:, 0]
    return Problem(
        name,
        x if len(x) > 1 else x[0],
        np.log(y) if name == "Nelson" else y,
        table[:, :2].T,
        table[:, 2],
        table[:, 3],
        float(re.search(r"Sum of Squares:\s+(\S+)", head)[1]),
    )


def digits(found, certified):
    """How many decimal digits agree, at most the 11 that are certified, in the worst of all numbers."""
    with np.errstate(all="ignore"):
        errors = np.abs(np.asarray(found) - certified) / np.abs(certified)
    errors = np.where(np.isfinite(errors), errors, 1.0)
    return float(np.clip(-np.log10(max(errors.max(), 1e-11)), 0, 11))
