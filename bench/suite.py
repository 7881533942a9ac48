"""Measures tidu beside its peers, and says where it stands.

    python bench/suite.py [--size usual|full|small] [--only SUBJECT ..] [--threads N] [--rounds N]
                          [--peers PYTHON] [--out FOLDER] [--compare BASELINE] [--save-baseline FILE]

Each library runs in a process of its own with as many threads on as many processors, round by round in turn,
after all have been found to compute the same. The folder gets figures.json, table.txt, plots and report.html.
A file of figures is a baseline for another run: --compare names what became slower beyond noise, and then the
exit status is 1, as it is where results differ. README.md says what is measured and how.
"""

import argparse
import datetime
import json
import math
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import harness
import report
import subjects
import tidu as td

FORMAT = 1
SUBJECTS = (*subjects.CASES, *subjects.MEASURED)


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--size", choices=("usual", "full", "small"), default="usual", help="usual takes minutes, full hours")
    add(
        "--only",
        nargs="+",
        choices=SUBJECTS,
        default=list(SUBJECTS),
        metavar="SUBJECT",
        help=" ".join(SUBJECTS),
    )
    processors = len(os.sched_getaffinity(0))
    add("--threads", type=int, default=processors, choices=range(1, processors + 1), metavar="N")
    add("--rounds", type=int, help="of each figure (default: 7, in full 15, in small 1)")
    add("--peers", help="the interpreter that has the peers (default: .venv-peers')")
    add("--out", type=Path, default=harness.ROOT / "build/bench", help="the folder of the report")
    add(
        "--compare",
        type=Path,
        metavar="BASELINE",
        help="figures of another run, which this one is held against",
    )
    add("--save-baseline", type=Path, metavar="FILE", help="also write the figures to this file")
    options = parser.parse_args()
    options.rounds = options.rounds or {"usual": 7, "full": 15, "small": 1}[options.size]
    options.python = harness.peers_python(options.peers)
    options.names = [
        name
        for name in (*harness.OURS, *harness.PEERS, *harness.REFERENCES)
        if name != "PyTorch compiled" or options.size == "full"
    ]
    return options


def memory_bytes():
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def machine(threads):
    """What figures depend on and no program can change."""
    with open("/proc/cpuinfo") as lines:
        facts = dict(map(str.strip, line.split(":", 1)) for line in lines if ":" in line)
    flags = facts.get("flags", facts.get("Features", "")).split()
    sets = (
        "sse4_2",
        "avx",
        "avx2",
        "fma",
        "avx512f",
        "avx512_bf16",
        "avx512_vnni",
        "amx_bf16",
        "asimd",
        "sve",
    )
    done = subprocess.run(["git", "rev-parse", "HEAD"], cwd=harness.ROOT, capture_output=True, text=True)
    return {
        "processor": facts.get("model name", platform.machine()),
        "instruction sets": [name for name in sets if name in flags],
        "kernels of tidu": td._core.describe_device("cpu"),
        "processors": os.cpu_count(),
        "threads": threads,
        "memory": memory_bytes(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "load before": os.getloadavg()[0],
        "revision": done.stdout.strip() or None,
    }


def measure(options, processes, faults):
    """Figures, as they are measured."""
    smallest = options.size == "small"
    most = {"most": 60, "in_all": math.inf} if options.size == "full" else {}
    pace = harness.Pace(options.rounds, at_least=0 if smallest else 0.02, peaks=not smallest, **most)
    for subject in options.only:
        if subject in subjects.CASES:
            for case in subjects.CASES[subject](options.size):
                yield from case.figures(subject, processes, pace, faults)
        else:
            yield from subjects.MEASURED[subject](options.size, options, faults)


def main():
    options = parse()
    # No library has more processors than this, whatever it takes as the number of its threads.
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.threads])
    processes, missing = harness.start(options.names, options.python, options.threads)
    options.names = list(processes)
    run = {
        "format": FORMAT,
        "date": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        "size": options.size,
        "rounds": options.rounds,
        "machine": machine(options.threads),
        "versions": {name: process.version for name, process in processes.items()},
        "missing": missing,
        "faults": [],
        "figures": [],
    }
    print("\n".join(report.head(run)), flush=True)
    for figure in measure(options, processes, run["faults"]):
        run["figures"].append(figure.report())
        print(report.row(run["figures"][-1]), flush=True)
    for process in processes.values():
        process.stop()
    run["machine"]["load after"] = os.getloadavg()[0]
    run["summary"] = report.summary(run["figures"])
    compared = report.compare(run, json.loads(options.compare.read_text())) if options.compare else None
    run["compared"] = compared

    options.out.mkdir(parents=True, exist_ok=True)
    file = options.out / "figures.json"
    file.write_text(json.dumps(run, indent=1) + "\n")
    if options.save_baseline:
        shutil.copy(file, options.save_baseline)
    (options.out / "table.txt").write_text("\n".join(report.table(run)) + "\n")
    report.write_page(run, options.out)
    print("", *report.conclusions(run), f"report: {options.out / 'report.html'}", sep="\n")
    ours = [fault for fault in run["faults"] if fault["library"] in harness.OURS]
    sys.exit(bool(ours or (compared and compared["slower"])))


if __name__ == "__main__":
    main()
