"""The examples on a small subset: results, the same bits however they are run, interruption and
resumption."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
NETWORK, REGRESSION = EXAMPLES / "two_layer_network.py", EXAMPLES / "logistic_regression.py"
CNN = EXAMPLES / "cnn.py"
PICTURES = ("curves", "confusion", "weights", "mistakes")


def command(script, out, *options, epochs=2, subset=2000):
    words = [sys.executable, script, "--out", out, "--epochs", epochs, "--subset", subset, *options]
    return [str(word) for word in words]


def run(script, out, *options, pictures=False, **sizes):
    options = options if pictures else ("--no-pictures", *options)
    done = subprocess.run(
        command(script, out, *options, **sizes), capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return json.loads((out / "summary.json").read_text()), done.stdout


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run of the network that nothing stopped."""
    return run(NETWORK, tmp_path_factory.mktemp("whole"), "--threads", "1", epochs=3)[0]


@pytest.mark.parametrize(
    ("script", "options"), [(NETWORK, ()), (REGRESSION, ()), (REGRESSION, ("--optimizer", "sgd"))]
)
def test_they_learn_and_report(tmp_path, script, options):
    summary, text = run(script, tmp_path, *options, pictures=True)
    assert summary["test_accuracy"] > 0.65
    assert 0 < summary["final_loss"] < 2 and summary["seconds"] > 0 and summary["samples_per_second"] > 0
    assert summary["peak_memory_bytes"] > 10 * 2**20 and summary["device"] == "cpu" and summary["seed"] == 0
    assert len(summary["parameters_sha256"]) == 64 and summary["threads"] >= 1
    assert "epoch  2/2" in text and "Ankle boot" in text and "test accuracy" in text
    for name in PICTURES:
        assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert (tmp_path / f"{name}.pdf").read_bytes().startswith(b"%PDF")


def test_the_number_of_threads_does_not_change_the_bits(whole, tmp_path):
    summary, _ = run(NETWORK, tmp_path, "--threads", "2", epochs=3)
    assert summary["threads"] == 2
    assert summary["parameters_sha256"] == whole["parameters_sha256"]


def test_the_convolutional_network_learns(tmp_path):
    summary, text = run(CNN, tmp_path, "--batch-size", "50", pictures=True, epochs=1, subset=1000)
    assert summary["test_accuracy"] > 0.5 and "epoch  1/1" in text
    assert (tmp_path / "weights.png").read_bytes().startswith(b"\x89PNG")


def test_the_seed_does_change_them(whole, tmp_path):
    summary, _ = run(NETWORK, tmp_path, "--seed", "1", epochs=3)
    assert summary["parameters_sha256"] != whole["parameters_sha256"]


def start_and_stop(out, number, epochs):
    """Starts a run and sends it a signal in the middle of its second epoch or later."""
    process = subprocess.Popen(command(NETWORK, out, epochs=epochs), stdout=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    assert "epoch" in process.stdout.readline()
    assert time.monotonic() < deadline
    time.sleep(0.01)
    process.send_signal(number)
    rest = process.communicate(timeout=60)[0]
    return process.returncode, rest


def test_a_killed_run_goes_on_to_the_same_bits(tmp_path):
    epochs = 40
    expected, _ = run(NETWORK, tmp_path / "whole", epochs=epochs)
    returned, _ = start_and_stop(tmp_path / "killed", signal.SIGKILL, epochs)
    assert returned == -signal.SIGKILL and not (tmp_path / "killed" / "summary.json").exists()
    summary, _ = run(NETWORK, tmp_path / "killed", "--resume", epochs=epochs)
    assert summary["parameters_sha256"] == expected["parameters_sha256"]
    assert summary["final_loss"] == expected["final_loss"]

    returned, rest = start_and_stop(tmp_path / "stopped", signal.SIGINT, epochs)
    assert returned == 128 + signal.SIGINT and "--resume" in rest
    assert not (tmp_path / "stopped" / "summary.json").exists()
    summary, _ = run(NETWORK, tmp_path / "stopped", "--resume", epochs=epochs)
    assert summary["parameters_sha256"] == expected["parameters_sha256"]
    assert summary["final_loss"] == expected["final_loss"]


def test_more_epochs_may_be_added(whole, tmp_path):
    run(NETWORK, tmp_path, epochs=1)
    summary, _ = run(NETWORK, tmp_path, "--resume", tmp_path / "checkpoint.safetensors", epochs=3)
    assert summary["parameters_sha256"] == whole["parameters_sha256"]


def test_resuming_with_other_options_or_from_nothing_is_refused(tmp_path):
    run(NETWORK, tmp_path, epochs=1)
    for options, message in (
        (["--resume", "--seed", "5"], "--seed"),
        (["--resume", tmp_path / "nowhere"], "nowhere"),
        (["--resume", EXAMPLES / "common.py"], "common.py"),
    ):
        done = subprocess.run(
            command(NETWORK, tmp_path, *options), capture_output=True, text=True, timeout=100
        )
        assert done.returncode != 0 and message in done.stderr
        assert os.path.exists(tmp_path / "checkpoint.safetensors")


def test_a_gpt_learns_and_writes(tmp_path):
    text = tmp_path / "text"
    text.write_text("to be, or not to be: that is the question. " * 40)
    words = [sys.executable, EXAMPLES / "gpt.py", "--quick", "--text", text]
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    losses = [float(line.split()[2]) for line in done.stdout.splitlines() if line.startswith("step ")]
    assert len(losses) == 10 and losses[-1] < losses[0] and "sample:" in done.stdout
    words[-1] = tmp_path / "nowhere"
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True, timeout=100)
    assert done.returncode != 0 and "base-files" in done.stderr
