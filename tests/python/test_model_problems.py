"""The examples that have a closed form: each checks itself against it, and ends with an error where it is
wrong."""

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
PICTURES = {
    "linear_regression": {"line", "descent"},
    "binary_logistic": {"curves", "intervals"},
    "multinomial_logistic": {"coefficients", "descent"},
    "binary_network": {"boundary", "learning"},
    "gaussian_likelihood": {"ellipses"},
    "matrix_factorisation": {"reconstructions", "values", "descent"},
    "surface_descent": {"descent", "tangent_plane", "valley", "speed"},
}


def run(*words):
    return subprocess.run(
        [sys.executable, *map(str, words)], capture_output=True, text=True, timeout=300, cwd=EXAMPLES
    )


def test_every_model_problem_is_here():
    with_main = {path.stem for path in EXAMPLES.glob("*.py") if "from common import" in path.read_text()}
    assert with_main == PICTURES.keys()


@pytest.mark.parametrize("name", PICTURES)
def test_closed_forms_hold(name, tmp_path, device):
    done = run(f"{name}.py", "--quick", "--device", device, "--out", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("at most") >= 5
    assert {path.stem for path in tmp_path.glob("*.png")} == PICTURES[name]
    for path in tmp_path.iterdir():
        assert path.read_bytes().startswith({".png": b"\x89PNG", ".pdf": b"%PDF"}[path.suffix])


@pytest.mark.parametrize("found", ["[1.0, 2.1]", "[1.0, float('nan')]"])
def test_what_is_wrong_ends_the_program(found):
    code = f"import common; common.check('the answer', {found}, [1.0, 2.0], 0.01); print('went on')"
    done = run("-c", code)
    assert done.returncode == 1 and "the answer is wrong" in done.stderr and "went on" not in done.stdout
