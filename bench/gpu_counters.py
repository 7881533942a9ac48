"""Sets what the emulation counts of the cuda kernels beside a GPU's own counters, launch by launch.

    python bench/kernel_report.py --json EMULATED     anywhere: what the emulation counts
    python bench/gpu_counters.py EMULATED [--json FILE]     where there is a GPU, with ncu of Nsight Compute

Sectors of 32 bytes that the loads and stores of global memory ask for, and conflicts of the banks of shared
memory, should agree. What crosses to DRAM, time, occupancy and registers come from the GPU alone.
"""

import argparse
import csv
import ctypes
import json
import os
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import kernel_report

METRICS = {
    "load_sectors": "l1tex__t_sectors_pipe_lsu_mem_global_op_ld.sum",
    "store_sectors": "l1tex__t_sectors_pipe_lsu_mem_global_op_st.sum",
    "load_conflicts": "l1tex__data_bank_conflicts_pipe_lsu_mem_shared_op_ld.sum",
    "store_conflicts": "l1tex__data_bank_conflicts_pipe_lsu_mem_shared_op_st.sum",
    "dram_read": "dram__bytes_read.sum",
    "dram_written": "dram__bytes_write.sum",
    "ns": "gpu__time_duration.sum",
    "occupancy": "sm__warps_active.avg.pct_of_peak_sustained_active",
    "registers": "launch__registers_per_thread",
}


def run_cases():
    """Every case once, seen by ncu alone in what it is about."""
    import tidu as td

    driver = ctypes.CDLL("libcuda.so.1")
    for case in kernel_report.cases(td):
        run = case.make()
        run()  # keeps loading and first allocations out
        td.cuda.synchronize()
        driver.cuProfilerStart()
        run()
        td.cuda.synchronize()
        driver.cuProfilerStop()


def counted():
    """The launches that ncu saw, in order: {kernel, grid, block, and each of METRICS}."""
    command = ["ncu", "--profile-from-start", "off", "--clock-control", "none", "--csv", "--page", "raw"]
    command += [
        "--print-units",
        "base",
        "--metrics",
        ",".join(METRICS.values()),
        sys.executable,
        __file__,
        "--run",
    ]
    done = subprocess.run(
        command, capture_output=True, text=True, env=os.environ | {"TIDU_CUDA_MATMUL": "tidu"}
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith('"')]
    if done.returncode != 0 or not lines:
        sys.exit(f"ncu failed ({done.returncode}):\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    launches = []
    for row in csv.DictReader(lines):
        if not row["ID"]:  # the units
            continue
        values = {}
        for name, metric in METRICS.items():
            text = row.get(metric, "").replace(",", "")
            values[name] = float(text) if text else float("nan")
        launches.append(
            {"kernel": row["Kernel Name"], "grid": row["Grid Size"], "block": row["Block Size"], **values}
        )
    return launches


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("emulated", nargs="?", default=os.devnull, help="what kernel_report --json wrote")
    parser.add_argument("--run", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--json", help="also write the launches to this file")
    options = parser.parse_args()
    if options.run:
        run_cases()
        return 0
    launches = counted()
    if options.json:
        Path(options.json).write_text(json.dumps(launches))
    compare(json.loads(Path(options.emulated).read_text())["cases"], launches)
    return 0


def compare(cases, launches):
    expected = [(f"{case['family']} {case['case']}", launch) for case in cases for launch in case["launches"]]
    if len(expected) != len(launches):
        print(f"{len(launches)} launches on the GPU, {len(expected)} in the emulation")
    print("emulation / GPU".rjust(72))
    titles = ("sectors loaded", "stored", "conflicts", "DRAM MB", "us", "warps", "registers")
    widths = (22, 22, 14, 9, 9, 8, 10)
    print(" " * 44 + "".join(title.rjust(width) for title, width in zip(titles, widths, strict=True)))
    differ = 0
    for (name, emulated), gpu in zip(expected, launches, strict=False):
        shared = [emulated[part] for part in ("shared_load", "shared_store")]
        pairs = (
            (emulated["load"]["sectors"], gpu["load_sectors"]),
            (emulated["store"]["sectors"], gpu["store_sectors"]),
            (
                sum(part["wavefronts"] - part["least_wavefronts"] for part in shared),
                gpu["load_conflicts"] + gpu["store_conflicts"],
            ),
        )
        same = pairs[0][0] == pairs[0][1] and pairs[1][0] == pairs[1][1]
        differ += not same
        cells = [f"{ours} / {theirs:.0f}" for ours, theirs in pairs]
        cells += [f"{(gpu['dram_read'] + gpu['dram_written']) / 1e6:.2f}", f"{gpu['ns'] / 1e3:.2f}"]
        cells += [f"{gpu['occupancy']:.0f} %", f"{gpu['registers']:.0f}"]
        row = "".join(cell.rjust(width) for cell, width in zip(cells, widths, strict=True))
        print(f"{name[:44]:44}{row}{'' if same else '   DIFFERS: ' + gpu['kernel'][:60]}")
    print(f"\nsectors differ in {differ} of {len(launches)} launches")


if __name__ == "__main__":
    sys.exit(main())
