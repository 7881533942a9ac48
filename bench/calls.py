"""Times what a call on few elements costs from Python, beside NumPy in the same process.

    python bench/calls.py [--rounds N] [--json FILE]

The two are timed in turn, round by round; the ratio is the median over rounds of the ratio in each round.
What NumPy does not have is compared with its `a + b`.
"""

import argparse
import json
import statistics
import timeit

import numpy as np
import tidu as td

CHAIN = 1000

# What is timed (x of 8 x 8, a and b of 8 float32), what NumPy does meanwhile, and the ratio to stay below.
CALLS = {
    "a + b": ("a + b", "p + q", 0.5),
    "td.sin(a)": ("td.sin(a)", "np.sin(p)", None),
    "x[0]": ("x[0]", "n[0]", 1.2),
    "x[1:3]": ("x[1:3]", "n[1:3]", None),
    "x[:, None, 1:3]": ("x[:, None, 1:3]", "n[:, None, 1:3]", None),
    "x.reshape(64)": ("x.reshape(64)", "n.reshape(64)", 1.0),
    "x.T": ("x.T", "n.T", None),
    "x.permute_dims(1, 0)": ("x.permute_dims(1, 0)", "n.transpose(1, 0)", None),
    "x.astype(float64)": ("x.astype(float64)", "n.astype(np.float64)", None),
    "x.sum()": ("x.sum()", "n.sum()", None),
    "x @ x": ("x @ x", "n @ n", None),
    "x.shape": ("x.shape", "n.shape", None),
    "w * w, tracked": ("w * w", "p + q", None),
    "detach": ("w.detach()", "n.view()", None),
    "a sin in td.grad": ("gradient(a)", "p + q", 1.0),
}


def chain(x):
    for _ in range(CHAIN):
        x = td.sin(x)
    return x.sum()


def names():
    p = np.linspace(0, 1, 8, dtype=np.float32)
    n = np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8)
    tensors = {"a": td.tensor(p), "b": td.tensor(p), "x": td.tensor(n), "float64": td.float64}
    tracked = td.tensor(p, requires_grad=True)
    return {
        "np": np,
        "td": td,
        "p": p,
        "q": p.copy(),
        "n": n,
        "w": tracked,
        "gradient": td.grad(chain),
        **tensors,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=41)
    parser.add_argument("--json", help="also write the figures to this file")
    options = parser.parse_args()

    scope = names()
    print(f"{'':24}{'tidu':>9}{'NumPy':>9}{'ratio':>7}{'at most':>9}")
    figures = {}
    for title, (ours, theirs, limit) in CALLS.items():
        per_run = CHAIN if "gradient" in ours else 1
        timers = [timeit.Timer(statement, globals=scope) for statement in (ours, theirs)]
        counts = [
            max(1, int(2e-3 / (timer.timeit(100 // per_run + 1) / (100 // per_run + 1)))) for timer in timers
        ]
        rounds = [
            [
                timer.timeit(count) / count / per
                for timer, count, per in zip(timers, counts, (per_run, 1), strict=True)
            ]
            for _ in range(options.rounds)
        ]
        mine, peer = (statistics.median(times) for times in zip(*rounds, strict=True))
        ratio = statistics.median(a / b for a, b in rounds)
        figures[title] = {"tidu": mine, "numpy": peer, "ratio": ratio, "limit": limit}
        print(f"{title:24}{mine * 1e9:6.0f} ns{peer * 1e9:6.0f} ns{ratio:7.2f}{limit or '':>9}")
    if options.json:
        with open(options.json, "w") as file:
            json.dump(figures, file, indent=1)


if __name__ == "__main__":
    main()
