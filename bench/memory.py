"""The memory that training steps of 784-256-10 take in one library at most, in bytes over what was resident
before the first of them:

    python bench/memory.py LIBRARY BATCH
"""

import sys

import libraries
import numpy as np
from learning import first_weights


def status(field):
    with open("/proc/self/status") as lines:
        return 1024 * int(next(line for line in lines if line.startswith(field)).split()[1])


def main():
    name, batch = sys.argv[1], int(sys.argv[2])
    library = next(kind for kind in libraries.KINDS if kind.name == name)()
    rng = np.random.default_rng(0)
    pixels, labels = rng.random((batch, 784), np.float32), rng.integers(0, 10, batch)
    weights = [library.array(w) for w in first_weights()]
    model = library.Model(library, weights, library.array(pixels), library.array(labels), "SGD")
    with open("/proc/self/clear_refs", "w") as peak:
        peak.write("5")  # begins anew
    before = status("VmRSS")
    for _ in range(5):
        model.step()
    print(status("VmHWM") - before)


if __name__ == "__main__":
    main()
