"""What the checked emulation counts and finds, from Python, and the report made of it."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
spec = importlib.util.spec_from_file_location("kernel_report", ROOT / "bench/kernel_report.py")
kernel_report = importlib.util.module_from_spec(spec)
sys.modules["kernel_report"] = kernel_report
spec.loader.exec_module(kernel_report)
machine_code = sys.modules["machine_code"]

pytestmark = pytest.mark.cpu_only("starts the checked emulation in processes of its own")


def run(*arguments, emulation="checked"):
    """The output of Python in a process whose device cuda is the checked emulation."""
    probe = "import tidu as td; td.ones((1,), device='cuda')"
    environment = os.environ | {"TIDU_CUDA": emulation}
    opened = subprocess.run([sys.executable, "-c", probe], env=environment, capture_output=True, text=True)
    if "there is no" in opened.stderr:  # no such plug-in was built
        pytest.skip(opened.stderr.splitlines()[-1])
    assert opened.returncode == 0, opened.stderr
    return subprocess.run(
        [sys.executable, *arguments], env=environment, capture_output=True, text=True, timeout=900
    )


def test_traffic_of_a_sum_of_arrays():
    done = run(
        "-c",
        "import tidu as td\n"
        "x = td.ones((4096,), device='cuda')\n"
        "with td.cuda.traffic() as launches:\n"
        "    assert launches == []\n"
        "    y = x + x\n"
        "y + y\n"
        "launch, = launches\n"
        "assert launch['bytes_read'] == launch['bytes_written'] == 4 * 4096, launch\n"
        "assert launch['load']['sectors'] == launch['load']['least_sectors'] == 2 * 512, launch\n"
        "assert launch['store']['requests'] == 32, launch\n"
        "assert all(site['line'].startswith('kernels/cuda/') for site in launch['sites']), launch\n",
    )
    assert done.returncode == 0, done.stderr


def test_the_library_adds_a_bias_without_a_pass_over_it():
    done = run(
        "-c",
        "import tidu as td\n"
        "td.cuda.set_matmul('cublas')\n"
        "for dtype in td.float16, td.bfloat16, td.float32:\n"
        "    ones = lambda *shape: td.ones(shape, dtype=dtype, device='cuda')\n"
        "    x, weight, bias = ones(24, 16), ones(20, 16), ones(20)\n"
        "    with td.cuda.traffic() as launches:\n"
        "        y = td.nn.functional.linear(x, weight, bias)\n"
        "    assert launches == [], launches\n"
        "    assert (y == 17).all()\n",
    )
    assert done.returncode == 0, done.stderr


def test_traffic_needs_the_checked_emulation():
    done = run("-c", "import tidu as td\nwith td.cuda.traffic(): pass", emulation="emulated")
    assert done.returncode == 1
    assert "[cuda.traffic]" in done.stderr and "emulate(checked=True)" in done.stderr


def test_uninitialised_memory_is_an_error():
    done = run("-c", "import tidu as td\n(td.empty((64,), device='cuda') + 1).cpu()")
    assert done.returncode == 1
    assert "that nothing has written" in done.stderr and "kernels/cuda/" in done.stderr


def test_report():
    done = run(ROOT / "bench/kernel_report.py", "--check", "--only", "copy contiguous")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 of 1 cases miss a target" in done.stdout


def test_a_compiled_step_is_few_launches_that_move_little():
    done = run(ROOT / "bench/kernel_report.py", "--check", "--only", "training step")
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 of 1 cases miss a target" in done.stdout


def test_a_removed_barrier_is_caught():
    import tidu

    build = Path(tidu.__file__).parents[2]
    if not (build / "bin/cuda_pointwise_test").exists():
        pytest.skip("tidu is not in a build folder with the tests")
    only = ("--files", "map,matmul_vector", "--through", "copy,matmul_float32")
    done = run(ROOT / "tests/simt/mutants.py", build, "--kinds", "barrier", *only, "--at-least", "0.6")
    # The third orders what the lanes of a warp leave for another block, where an emulated warp never lags.
    assert done.returncode == 0 and "2 caught, 1 missed" in done.stdout, done.stdout + done.stderr


# Computed by cuda_occupancy.h.
@pytest.mark.parametrize(
    ("arch", "threads", "registers", "shared", "blocks"),
    [
        ("sm_80", 256, 32, 0, 8),
        ("sm_80", 256, 64, 0, 4),
        ("sm_80", 128, 40, 4224, 12),
        ("sm_80", 1024, 33, 0, 1),
        ("sm_90", 256, 128, 33000, 2),
        ("sm_90", 128, 96, 49152, 4),
        ("sm_100", 32, 16, 0, 32),
        ("sm_80", 96, 255, 16384, 2),
    ],
)
def test_occupancy(arch, threads, registers, shared, blocks):
    found = kernel_report.occupancy(arch, threads, registers, shared)
    assert found == blocks * -(-threads // 32) / 64


def test_names_of_kernels_meet():
    for compiler, demangler in [
        ("tidu::cuda::copy<float, 4>", "tidu::cuda::copy<float, 4>"),
        (
            "tidu::cuda::{anonymous}::map<tidu::float16, 8, unsigned int>",
            "tidu::cuda::(anonymous namespace)::map<tidu::float16, 8, unsigned int>",
        ),
        ("k<4, true, tidu::DType::float32>", "k<(int)4, true, tidu::DType::float32>"),
        (
            "k<long unsigned int, short unsigned int, unsigned int>",
            "k<unsigned long, unsigned short, unsigned int>",
        ),
        ("k<long int, short int, long long unsigned int>", "k<long, short, unsigned long long>"),
    ]:
        assert kernel_report.plain(compiler) == kernel_report.plain(demangler)


LOAD = """
    //## File "{file}", line 30 inlined at "{file}", line 93
    //## File "{file}", line 93
        /*0100*/              @!P0 LDG.E.128 R{to}, desc[UR8][R2.64+{at}] ;"""
USE = """
    //## File "{file}", line 95
        /*0110*/                   FSEL R{to}, R{to}, -INF , !P0 ;"""
file = ROOT / "kernels/cuda/softmax.cuh"


def parsed(*parts):
    code = "".join(part.format(to=4 * i + 8, at=i, file=file) for part, i in parts)
    return machine_code.loads_in_flight(code.splitlines())


def test_loads_in_flight():
    together = parsed(*[(LOAD, i) for i in range(4)], *[(USE, i) for i in range(4)])
    assert [(load.loads, load.bytes) for load in together] == [(4, 64), (3, 48), (2, 32), (1, 16)]
    assert together[0].sites == ("kernels/cuda/softmax.cuh:30", "kernels/cuda/softmax.cuh:93")
    in_series = parsed(*[(part, i) for i in range(4) for part in (LOAD, USE)])
    assert [load.bytes for load in in_series] == [16] * 4
    # What is behind a jump is not on its way together with what is before it.
    assert [
        load.loads for load in parsed((LOAD, 0), ("\n        /*0120*/      BRA `(.L_x_1) ;", 0), (LOAD, 1))
    ] == [1, 1]
    # A predicated one falls through.
    assert [
        load.loads for load in parsed((LOAD, 0), ("\n        /*0120*/  @P0 BRA `(.L_x_1) ;", 0), (LOAD, 1))
    ] == [2, 1]
    assert [machine_code.width_of(f"LDG.E.{kind}") for kind in ("U8", "S16", "CONSTANT", "64", "128")] == [
        1,
        2,
        4,
        8,
        16,
    ]


@pytest.mark.parametrize(("arch", "kibibytes"), [("sm_80", 12.9), ("sm_90", 17.3), ("sm_100", 37.0)])
def test_bytes_that_keep_memory_busy(arch, kibibytes):
    assert machine_code.GPUS[arch].bytes_in_flight() / 1024 == pytest.approx(kibibytes, abs=0.1)


def test_a_launch_is_judged_by_the_loads_that_it_makes():
    launch = {
        "block": [256, 1, 1],
        "grid": [64, 1, 1],
        "shared_bytes": 0,
        "bytes_read": 1 << 20,
        "sectors_read": 1 << 15,
        "sectors_written": 0,
        "sites": [
            {"line": "kernels/cuda/a.cuh:7", "access": "load", "counts": {"sectors": 1 << 15}},
            {"line": "kernels/cuda/a.cuh:9", "access": "load", "counts": {"sectors": 16}},
        ],
    }
    case = kernel_report.Case("", "", None, 1 << 20)

    def judged(bytes_of_7, registers=32):
        loads = [machine_code.Load(("kernels/cuda/a.cuh:7",), 1, bytes_of_7)]
        loads.append(machine_code.Load(("kernels/cuda/a.cuh:9",), 4, 64))
        return kernel_report.in_flight(case, launch, {"loads": loads, "registers": registers}, "sm_90")

    assert judged(64) == 1  # whatever the occupancy
    assert judged(4) == pytest.approx(2048 * 4 / (3.35e12 * 700e-9 / 132))
    assert judged(4, registers=64) == judged(4) / 2
    assert kernel_report.in_flight(case, launch | {"bytes_read": 512}, {}, "sm_90") is None


def test_small_sums_of_columns_have_many_blocks():
    done = run(
        "-c",
        "import tidu as td\n"
        "for shape, least in (((128, 128), 8), ((512, 512), 32), ((4096, 512), 128)):\n"
        "    x = td.ones(shape, device='cuda')\n"
        "    with td.cuda.traffic() as launches: y = td.sum(x, axis=0)\n"
        "    assert launches[0]['grid'][0] >= least, (shape, launches[0]['grid'])\n"
        "    assert (y.cpu() == shape[0]).all()\n",
    )
    assert done.returncode == 0, done.stderr


def test_small_transposes_take_no_tiles():
    done = run(
        "-c",
        "import tidu as td\n"
        "kernels = {(64, 8, 8): 'map_elements', (64, 16, 16): 'map_tiles', (2, 8, 64): 'map_tiles'}\n"
        "for shape, kernel in kernels.items():\n"
        "    x = td.random.normal(td.random.key(0), shape)\n"
        "    with td.cuda.traffic() as launches: y = td.copy(x.to('cuda').mT)\n"
        "    assert kernel in launches[0]['kernel'], launches[0]\n"
        "    assert (y.cpu() == x.mT).all()\n",
    )
    assert done.returncode == 0, done.stderr
