"""Layers' files, which C++ and Python write for each other."""

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
import tidu as td

nn = td.nn
KEY = {"key": td.random.key(7, device="cpu")}


def sequential():
    keys = td.random.split(KEY["key"])
    return nn.Sequential(nn.Linear(4, 3, key=keys[0]), nn.ReLU(), nn.Linear(3, 2, key=keys[1]))


# name: (layer, the shape of its input, None for indices)
KINDS = {
    "Linear": (lambda: nn.Linear(4, 3, **KEY), (5, 4)),
    "Embedding": (lambda: nn.Embedding(6, 3, **KEY), None),
    "LayerNorm": (lambda: nn.LayerNorm(4, device="cpu"), (5, 4)),
    "RMSNorm": (lambda: nn.RMSNorm(4, device="cpu"), (5, 4)),
    "PReLU": (lambda: nn.PReLU(4, device="cpu"), (5, 4)),
    "Conv1d": (lambda: nn.Conv1d(4, 3, 2, **KEY), (2, 4, 5)),
    "Conv2d": (lambda: nn.Conv2d(4, 3, 2, **KEY), (2, 4, 5, 5)),
    "Conv3d": (lambda: nn.Conv3d(2, 3, 2, **KEY), (1, 2, 3, 3, 3)),
    "ConvTranspose1d": (lambda: nn.ConvTranspose1d(4, 3, 2, **KEY), (2, 4, 5)),
    "ConvTranspose2d": (lambda: nn.ConvTranspose2d(4, 3, 2, **KEY), (2, 4, 5, 5)),
    "ConvTranspose3d": (lambda: nn.ConvTranspose3d(2, 3, 2, **KEY), (1, 2, 3, 3, 3)),
    "BatchNorm1d": (lambda: nn.BatchNorm1d(4, device="cpu"), (5, 4)),
    "BatchNorm2d": (lambda: nn.BatchNorm2d(4, device="cpu"), (2, 4, 3, 3)),
    "BatchNorm3d": (lambda: nn.BatchNorm3d(2, device="cpu"), (2, 2, 3, 3, 2)),
    "InstanceNorm1d": (
        lambda: nn.InstanceNorm1d(4, affine=True, track_running_stats=True, device="cpu"),
        (2, 4, 5),
    ),
    "InstanceNorm2d": (lambda: nn.InstanceNorm2d(4, affine=True, device="cpu"), (2, 4, 3, 3)),
    "InstanceNorm3d": (lambda: nn.InstanceNorm3d(2, device="cpu"), (2, 2, 3, 3, 2)),
    "GroupNorm": (lambda: nn.GroupNorm(2, 4, device="cpu"), (2, 4, 3)),
    "RNNCell": (lambda: nn.RNNCell(4, 3, **KEY), (5, 4)),
    "LSTMCell": (lambda: nn.LSTMCell(4, 3, **KEY), (5, 4)),
    "GRUCell": (lambda: nn.GRUCell(4, 3, **KEY), (5, 4)),
    "RNN": (lambda: nn.RNN(4, 3, **KEY), (6, 2, 4)),
    "LSTM": (lambda: nn.LSTM(4, 3, 2, dropout=0.5, bidirectional=True, proj_size=2, **KEY), (6, 2, 4)),
    "GRU": (lambda: nn.GRU(4, 3, 2, batch_first=True, **KEY), (2, 6, 4)),
    "MultiheadAttention": (lambda: nn.MultiheadAttention(4, 2, add_bias_kv=True, **KEY), (6, 2, 4)),
    "TransformerEncoderLayer": (lambda: nn.TransformerEncoderLayer(4, 2, 8, **KEY), (6, 2, 4)),
    "TransformerDecoderLayer": (
        lambda: nn.TransformerDecoderLayer(4, 2, 8, norm_first=True, **KEY),
        (6, 2, 4),
    ),
    "TransformerEncoder": (
        lambda: nn.TransformerEncoder(
            nn.TransformerEncoderLayer(4, 2, 8, **KEY), 2, nn.LayerNorm(4, device="cpu")
        ),
        (6, 2, 4),
    ),
    "TransformerDecoder": (
        lambda: nn.TransformerDecoder(nn.TransformerDecoderLayer(4, 2, 8, **KEY), 2),
        (6, 2, 4),
    ),
    "Sequential": (sequential, (5, 4)),
}


def output(layer, x):
    """What C++ gives for x alone."""
    if isinstance(layer, nn.MultiheadAttention):
        return layer(x, x, x, need_weights=False)[0]
    if isinstance(layer, nn.TransformerDecoderLayer | nn.TransformerDecoder):
        return layer(x, x)
    y = layer(x)
    return y[0] if isinstance(y, tuple) else y


@pytest.mark.cpu_only("the C++ program computes on the cpu")
def test_layer_files_of_both_languages(tmp_path):
    """C++ reads what Python wrote and computes the same, and the other way round; from one key both have the
    same first values."""
    program = Path(td.__file__).parents[2] / "bin/layer_files_test"
    if not program.exists():
        pytest.skip("the C++ tests are not built")
    (tmp_path / "python").mkdir()
    rng = np.random.default_rng(0)
    for name, (make, shape) in KINDS.items():
        layer = make()
        drawn = [1, 4, 4] if shape is None else rng.normal(size=shape)
        x = td.tensor(drawn, dtype=td.int64 if shape is None else td.float32, device="cpu")
        output(layer, x)  # in training, so that running values move
        layer.eval()
        td.save(tmp_path / "python" / f"{name}.safetensors", layer.state_dict())
        td.save(tmp_path / "python" / f"{name}.values.safetensors", {"x": x, "y": output(layer, x).detach()})

    ran = subprocess.run(
        [program, "--gtest_brief=1"],
        env={**os.environ, "TIDU_LAYER_FILES": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr

    assert {path.name.split(".")[0] for path in (tmp_path / "cpp").iterdir()} == set(KINDS)
    for name, (make, _) in KINDS.items():
        path = tmp_path / "cpp" / name
        state, values = td.load(f"{path}.safetensors"), td.load(f"{path}.values.safetensors")
        layer = make().eval()
        own = layer.state_dict()
        assert set(state) == set(own), name
        for part, tensor in own.items():
            np.testing.assert_array_equal(
                state[part].numpy(), tensor.detach().numpy(), err_msg=f"{name}.{part}"
            )
        layer.load_state_dict({part: td.zeros_like(tensor) for part, tensor in own.items()})
        layer.load_state_dict(state)
        got = output(layer, values["x"]).detach().numpy()
        np.testing.assert_allclose(got, values["y"].numpy(), rtol=1e-5, atol=1e-6, err_msg=name)
