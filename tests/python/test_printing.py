"""Options of printing."""

import numpy as np
import pytest
import tidu as td
from tidu import _printing


@pytest.fixture(autouse=True)
def options(monkeypatch):
    monkeypatch.setattr(_printing, "options", {})


def text(x):
    return str(x).replace(", device='cuda:0'", "")


def test_options_are_those_of_tensors_alone():
    x, array = td.tensor([td.pi, 1e-9]), np.array([np.pi])
    before = str(array)
    td.set_printoptions(precision=2)
    td.set_printoptions(suppress=True)
    assert text(x) == "tensor([3.14, 0.  ], dtype=float32)" and str(array) == before
    td.set_printoptions(threshold=4, edgeitems=1)
    assert text(td.arange(9)) == "tensor([0, ..., 8], dtype=int64)"


def test_what_is_no_option_changes_none():
    with pytest.raises(ValueError, match=r"\[set_printoptions\] threshold is -1"):
        td.set_printoptions(precision=2, threshold=-1)
    with pytest.raises(TypeError):
        td.set_printoptions(precision=2.5)
    assert not _printing.options
