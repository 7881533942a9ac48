"""The 35 problems of Moré, Garbow and Hillstrom, Testing Unconstrained Optimization Software (ACM
Transactions on Mathematical Software 7, 1981): residuals, starts, and the known least sums of squares."""

import math
from dataclasses import dataclass

import numpy as np
import tidu as td

PI = math.pi


@dataclass(frozen=True)
class Problem:
    """`sums`: the known minima of the sum of squares, of which a local one may be found from the start."""

    name: str
    residuals: object
    start: list
    sums: tuple


def numbers(text):
    return td.tensor([float(word) for word in text.split()], dtype=td.float64)


def counting(m, first=1):
    return td.arange(first, first + m).astype(td.float64)


def joined(*parts):
    return td.concat([td.reshape(part, (-1,)) for part in parts], axis=0)


def rosenbrock(x):
    return joined(10 * (x[1::2] - x[::2] ** 2), 1 - x[::2])


def freudenstein_roth(x):
    a, b = x
    return td.stack([-13 + a + ((5 - b) * b - 2) * b, -29 + a + ((b + 1) * b - 14) * b])


def powell_badly_scaled(x):
    return td.stack([1e4 * x[0] * x[1] - 1, td.exp(-x[0]) + td.exp(-x[1]) - 1.0001])


def brown_badly_scaled(x):
    return td.stack([x[0] - 1e6, x[1] - 2e-6, x[0] * x[1] - 2])


def beale(x):
    return numbers("1.5 2.25 2.625") - x[0] * (1 - x[1] ** counting(3))


def jennrich_sampson(x):
    i = counting(10)
    return 2 + 2 * i - (td.exp(i * x[0]) + td.exp(i * x[1]))


def helical_valley(x):
    a, b, c = x
    turns = td.atan(b / a) / (2 * PI) + td.where(a < 0, 0.5, 0.0)
    return td.stack([10 * (c - 10 * turns), 10 * (td.sqrt(a * a + b * b) - 1), c])


def bard(x):
    u = counting(15)
    v = 16 - u
    y = numbers(".14 .18 .22 .25 .29 .32 .35 .39 .37 .58 .73 .96 1.34 2.10 4.39")
    return y - (x[0] + u / (v * x[1] + td.minimum(u, v) * x[2]))


def gaussian(x):
    t = (8 - counting(15)) / 2
    half = ".0009 .0044 .0175 .0540 .1295 .2420 .3521"
    y = numbers(f"{half} .3989 {' '.join(reversed(half.split()))}")
    return x[0] * td.exp(-x[1] * (t - x[2]) ** 2 / 2) - y


def meyer(x):
    t = 45 + 5 * counting(16)
    y = numbers("34780 28610 23650 19630 16370 13720 11540 9744 8261 7030 6005 5147 4427 3820 3307 2872")
    return x[0] * td.exp(x[1] / (t + x[2])) - y


def gulf(x):
    """With a minus where the paper prints m i."""
    t = counting(99) / 100
    y = 25 + (-50 * td.log(t)) ** (2 / 3)
    return td.exp(-(td.abs(y - x[1]) ** x[2]) / x[0]) - t


def box(x):
    t = counting(10) / 10
    return td.exp(-t * x[0]) - td.exp(-t * x[1]) - x[2] * (td.exp(-t) - td.exp(-10 * t))


def powell_singular(x):
    a, b, c, d = x[::4], x[1::4], x[2::4], x[3::4]
    return joined(a + 10 * b, 5**0.5 * (c - d), (b - 2 * c) ** 2, 10**0.5 * (a - d) ** 2)


def wood(x):
    a, b, c, d = x
    return td.stack(
        [
            10 * (b - a**2),
            1 - a,
            90**0.5 * (d - c**2),
            1 - c,
            10**0.5 * (b + d - 2),
            10**-0.5 * (b - d),
        ]
    )


def kowalik_osborne(x):
    y = numbers(".1957 .1947 .1735 .1600 .0844 .0627 .0456 .0342 .0323 .0235 .0246")
    u = numbers("4 2 1 .5 .25 .167 .125 .1 .0833 .0714 .0625")
    return y - x[0] * (u * u + u * x[1]) / (u * u + u * x[2] + x[3])


def brown_dennis(x):
    t = counting(20) / 5
    return (x[0] + t * x[1] - td.exp(t)) ** 2 + (x[2] + x[3] * td.sin(t) - td.cos(t)) ** 2


def osborne_1(x):
    t = 10 * counting(33, 0)
    y = numbers(
        ".844 .908 .932 .936 .925 .908 .881 .850 .818 .784 .751 .718 .685 .658 .628 .603 .580 .558 .538 "
        ".522 .506 .490 .478 .467 .457 .448 .438 .431 .424 .420 .414 .411 .406"
    )
    return y - (x[0] + x[1] * td.exp(-t * x[3]) + x[2] * td.exp(-t * x[4]))


def biggs(x):
    t = counting(13) / 10
    y = td.exp(-t) - 5 * td.exp(-10 * t) + 3 * td.exp(-4 * t)
    return x[2] * td.exp(-t * x[0]) - x[3] * td.exp(-t * x[1]) + x[5] * td.exp(-t * x[4]) - y


def osborne_2(x):
    t = counting(65, 0) / 10
    y = numbers(
        "1.366 1.191 1.112 1.013 .991 .885 .831 .847 .786 .725 .746 .679 .608 .655 .616 .606 .602 .626 .651 "
        ".724 .649 .649 .694 .644 .624 .661 .612 .558 .533 .495 .500 .423 .395 .375 .372 .391 .396 .405 "
        ".428 .429 .523 .562 .607 .653 .672 .708 .633 .668 .645 .632 .591 .559 .597 .625 .739 .710 .729 "
        ".720 .636 .581 .428 .292 .162 .098 .054"
    )
    bells = sum(x[j] * td.exp(-((t - x[j + 7]) ** 2) * x[j + 4]) for j in (1, 2, 3))
    return y - (x[0] * td.exp(-t * x[4]) + bells)


def watson(x):
    t = td.reshape(counting(29) / 29, (-1, 1))
    j = counting(len(x), 0)
    slopes = td.concat([td.zeros((29, 1), dtype=td.float64), j[1:] * t ** j[:-1]], axis=1)
    return joined(slopes @ x - (t**j @ x) ** 2 - 1, x[0], x[1] - x[0] ** 2 - 1)


def penalty_1(x):
    return joined(1e-5**0.5 * (x - 1), (x * x).sum() - 0.25)


def penalty_2(x):
    n = len(x)
    i = counting(n - 1, 2)
    y = td.exp(i / 10) + td.exp((i - 1) / 10)
    e, small = td.exp(x / 10), 1e-5**0.5
    last = ((n - counting(n, 0)) * x * x).sum() - 1
    return joined(x[0] - 0.2, small * (e[1:] + e[:-1] - y), small * (e[1:] - math.exp(-0.1)), last)


def variably_dimensioned(x):
    total = (counting(len(x)) * (x - 1)).sum()
    return joined(x - 1, total, total**2)


def trigonometric(x):
    return len(x) - td.cos(x).sum() + counting(len(x)) * (1 - td.cos(x)) - td.sin(x)


def brown_almost_linear(x):
    return joined(x[:-1] + x.sum() - (len(x) + 1), td.prod(x) - 1)


def neighbours(x):
    zero = td.zeros((1,), dtype=td.float64)
    return joined(zero, x[:-1]), joined(x[1:], zero)


def grid(n):
    return 1 / (n + 1), counting(n) / (n + 1)


def boundary_value(x):
    before, after = neighbours(x)
    h, t = grid(len(x))
    return 2 * x - before - after + h * h * (x + t + 1) ** 3 / 2


def integral_equation(x):
    h, t = grid(len(x))
    cubes = (x + t + 1) ** 3
    left, right = t * cubes, (1 - t) * cubes
    return x + h * ((1 - t) * td.cumulative_sum(left) + t * (right.sum() - td.cumulative_sum(right))) / 2


def broyden_tridiagonal(x):
    before, after = neighbours(x)
    return (3 - 2 * x) * x - before - 2 * after + 1


def broyden_banded(x):
    n = len(x)
    band = np.array([[float(i != j and i - 5 <= j <= i + 1) for j in range(n)] for i in range(n)])
    return x * (2 + 5 * x * x) + 1 - td.tensor(band) @ (x * (1 + x))


def linear_of_full_rank(x, m=20):
    total = 2 * x.sum() / m + 1
    return joined(x - total, -total * td.ones((m - len(x),), dtype=td.float64))


def linear_of_rank_1(x, m=20):
    return counting(m) * (counting(len(x)) * x).sum() - 1


def linear_of_rank_1_with_zeros(x, m=20):
    rows = joined(td.zeros((1,), dtype=td.float64), counting(m - 2), td.zeros((1,), dtype=td.float64))
    return rows * (counting(len(x) - 2, 2) * x[1:-1]).sum() - 1


def chebyquad(x):
    y = 2 * x - 1
    polynomials = [td.ones_like(y), y]
    for _ in range(len(x) - 1):
        polynomials.append(2 * y * polynomials[-1] - polynomials[-2])
    integrals = [0.0 if i % 2 else -1 / (i * i - 1) for i in range(1, len(x) + 1)]
    return td.stack([p.mean() - q for p, q in zip(polynomials[1:], integrals, strict=True)])


def _grid_start(n):
    return [i / (n + 1) * (i / (n + 1) - 1) for i in range(1, n + 1)]


PROBLEMS = [
    Problem("Rosenbrock", rosenbrock, [-1.2, 1], (0,)),
    Problem("Freudenstein and Roth", freudenstein_roth, [0.5, -2], (0, 48.98425)),
    Problem("Powell badly scaled", powell_badly_scaled, [0, 1], (0,)),
    Problem("Brown badly scaled", brown_badly_scaled, [1, 1], (0,)),
    Problem("Beale", beale, [1, 1], (0,)),
    Problem("Jennrich and Sampson", jennrich_sampson, [0.3, 0.4], (124.36218,)),
    Problem("Helical valley", helical_valley, [-1, 0, 0], (0,)),
    Problem("Bard", bard, [1, 1, 1], (8.21487e-3, 17.42869)),
    Problem("Gaussian", gaussian, [0.4, 1, 0], (1.12793e-8,)),
    Problem("Meyer", meyer, [0.02, 4000, 250], (87.94585,)),
    Problem("Gulf", gulf, [5, 2.5, 0.15], (0,)),
    Problem("Box", box, [0, 10, 20], (0,)),
    Problem("Powell singular", powell_singular, [3, -1, 0, 1], (0,)),
    Problem("Wood", wood, [-3, -1, -3, -1], (0,)),
    Problem("Kowalik and Osborne", kowalik_osborne, [0.25, 0.39, 0.415, 0.39], (3.07505e-4, 1.02734e-3)),
    Problem("Brown and Dennis", brown_dennis, [25, 5, -5, -1], (85822.2,)),
    Problem("Osborne 1", osborne_1, [0.5, 1.5, -1, 0.01, 0.02], (5.46489e-5,)),
    Problem("Biggs", biggs, [1, 2, 1, 1, 1, 1], (0, 5.65565e-3)),
    Problem("Osborne 2", osborne_2, [1.3, 0.65, 0.65, 0.7, 0.6, 3, 5, 7, 2, 4.5, 5.5], (4.01377e-2,)),
    Problem("Watson 6", watson, [0] * 6, (2.28767e-3,)),
    Problem("Watson 9", watson, [0] * 9, (1.39976e-6,)),
    Problem("Watson 12", watson, [0] * 12, (4.72238e-10,)),
    Problem("Extended Rosenbrock", rosenbrock, [-1.2, 1] * 5, (0,)),
    Problem("Extended Powell singular", powell_singular, [3, -1, 0, 1] * 3, (0,)),
    Problem("Penalty I 4", penalty_1, [1, 2, 3, 4], (2.24997e-5,)),
    Problem("Penalty I 10", penalty_1, list(range(1, 11)), (7.08765e-5,)),
    Problem("Penalty II 4", penalty_2, [0.5] * 4, (9.37629e-6,)),
    Problem("Penalty II 10", penalty_2, [0.5] * 10, (2.93660e-4,)),
    Problem("Variably dimensioned", variably_dimensioned, [1 - j / 10 for j in range(1, 11)], (0,)),
    Problem("Trigonometric", trigonometric, [0.1] * 10, (0, 2.79506e-5)),
    Problem("Brown almost linear", brown_almost_linear, [0.5] * 10, (0, 1)),
    Problem("Boundary value", boundary_value, _grid_start(10), (0,)),
    Problem("Integral equation", integral_equation, _grid_start(10), (0,)),
    Problem("Broyden tridiagonal", broyden_tridiagonal, [-1] * 10, (0,)),
    Problem("Broyden banded", broyden_banded, [-1] * 10, (0,)),
    Problem("Linear of full rank", linear_of_full_rank, [1] * 5, (15,)),
    Problem("Linear of rank 1", linear_of_rank_1, [1] * 5, (20 * 19 / (2 * 41),)),
    Problem(
        "Linear of rank 1 with zeros", linear_of_rank_1_with_zeros, [1] * 5, ((400 + 60 - 6) / (2 * 37),)
    ),
    Problem("Chebyquad 7", chebyquad, [j / 8 for j in range(1, 8)], (0,)),
    Problem("Chebyquad 8", chebyquad, [j / 9 for j in range(1, 9)], (3.51687e-3,)),
    Problem("Chebyquad 10", chebyquad, [j / 11 for j in range(1, 11)], (6.50395e-3,)),
]
