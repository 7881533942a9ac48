"""What the Python tests share."""

import numpy as np
import pytest


@pytest.fixture
def rng():
    return np.random.default_rng(20240229)


@pytest.fixture
def live_bytes():
    """The bytes that tensors hold, for tests that nothing is left behind."""
    import gc

    import tidu as td

    def measure():
        gc.collect()
        return td.cpu.memory_stats()["live_bytes"]

    return measure
