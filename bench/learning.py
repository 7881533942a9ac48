"""A two-layer network learns Fashion-MNIST in one library until it is right about a share of the test set:

    python bench/learning.py LIBRARY --data-root FOLDER [--from SECONDS] [--goals SHARE ..] [--samples N]

Prints the seconds since --from (of time.monotonic; by default the start) to each goal and the most memory
that was resident, as JSON. Weights, order of the samples, optimiser (Adam, 3e-3) and batch (128) are the same
in all libraries; the test set is looked at every 100 steps.
"""

import argparse
import gzip
import json
import time
from pathlib import Path

STARTED = time.monotonic()

import libraries  # noqa: E402
import numpy as np  # noqa: E402

HIDDEN, BATCH, RATE, STEPS_BETWEEN_TESTS, MOST_EPOCHS = 256, 128, 3e-3, 100, 30


def read(root, name, header):
    """An idx file's bytes, gzipped or not."""
    plain = Path(root) / name
    content = plain.read_bytes() if plain.exists() else gzip.decompress(Path(f"{plain}.gz").read_bytes())
    return np.frombuffer(content, np.uint8, offset=header)


def load(root, part, samples):
    images = read(root, f"{part}-images-idx3-ubyte", 16).reshape(-1, 784)[:samples]
    return images, read(root, f"{part}-labels-idx1-ubyte", 8)[:samples].astype(np.int64)


def first_weights():
    rng = np.random.default_rng(0)
    weights = []
    for inputs, outputs in ((784, HIDDEN), (HIDDEN, 10)):
        bound = inputs**-0.5
        weights += [
            rng.uniform(-bound, bound, shape).astype(np.float32) for shape in ((outputs, inputs), outputs)
        ]
    return weights


def pixels(images):
    return images.astype(np.float32) / 255


def peak_resident():
    with open("/proc/self/status") as status:
        return 1024 * int(next(line for line in status if line.startswith("VmHWM")).split()[1])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("library")
    parser.add_argument("--from", dest="start", type=float, default=STARTED)
    parser.add_argument("--goals", type=float, nargs="+", default=[0.84, 0.88])
    parser.add_argument("--samples", type=int)
    parser.add_argument("--data-root", required=True, help="the folder of the four files")
    options = parser.parse_args()
    library = next(kind for kind in libraries.KINDS if kind.name == options.library)()
    images, labels = load(options.data_root, "train", options.samples)
    test_images, test_labels = load(options.data_root, "t10k", options.samples)
    test_pixels = library.array(pixels(test_images))
    weights = [library.array(w) for w in first_weights()]
    model = library.Model(library, weights, None, None, "Adam", RATE)
    found, step, goals = {}, 0, sorted(options.goals)
    rng = np.random.default_rng(1)
    for _ in range(MOST_EPOCHS):
        order = rng.permutation(len(images))
        for begin in range(0, len(order) - BATCH + 1, BATCH):
            chosen = order[begin : begin + BATCH]
            model.x, model.labels = library.array(pixels(images[chosen])), library.array(labels[chosen])
            model.step()
            step += 1
            if step % STEPS_BETWEEN_TESTS == 0 or begin + 2 * BATCH > len(order):
                right = (library.numpy(model.logits(test_pixels)).argmax(1) == test_labels).mean()
                while goals and right >= goals[0]:
                    found[f"to {100 * goals.pop(0):.0f} %"] = time.monotonic() - options.start
                if not goals:
                    print(json.dumps(found | {"peak memory": peak_resident()}))
                    return
    raise SystemExit(f"{100 * right:.1f} % after {MOST_EPOCHS} epochs")


if __name__ == "__main__":
    main()
