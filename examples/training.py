"""What the Fashion-MNIST examples share: options, the training loop, checkpoints and the report."""

from __future__ import annotations

import argparse
import hashlib
import json
import shlex
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import tidu as td
from tidu import Tensor
from tidu.nn import functional as F

try:
    from tqdm import tqdm
except ImportError:
    tqdm = None

POINTS_PER_EPOCH = 20  # of the training curves
TEST_BATCH = 2000
# What must be the same for a resumed run to go on where it stopped.
FIXED = ("batch_size", "lr", "decay", "seed", "subset", "optimizer")


def positive(text: str) -> int:
    """An integer from 1."""
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


def options(description: str | None, lr: float | None) -> argparse.ArgumentParser:
    """A parser with the options that every example has."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    add = parser.add_argument
    add("--device", default="cpu", help="where to compute")
    add("--epochs", type=positive, default=10, help="passes over the training set")
    add("--batch-size", type=positive, default=128, help="samples a step")
    add("--lr", type=float, default=lr, help="learning rate of the first epoch")
    add("--decay", type=float, default=0.8, help="factor of the learning rate after each epoch")
    add("--seed", type=int, default=0, help="of the first weights and the order of the samples")
    add("--threads", type=positive, help="processor threads; all if left out")
    add(
        "--resume",
        nargs="?",
        const=True,
        metavar="FILE",
        help="go on from a checkpoint; from the one in --out if no FILE is named",
    )
    add(
        "--out",
        type=Path,
        default=Path("out"),
        help="folder of the checkpoint, summary.json and the pictures",
    )
    add("--data-root", default=td.data.FashionMNIST.ROOT, help="folder with the files of Fashion-MNIST")
    add("--no-pictures", action="store_true", help="draw nothing at the end")
    add("--subset", type=positive, metavar="N", help="learn from and test with the first N samples")
    return parser


class Progress:
    """A bar on a terminal, and one line an epoch everywhere."""

    def __init__(self, args: argparse.Namespace, steps: int) -> None:
        self.args, self.steps = args, steps
        self.bar, self.shown = None, 0.0

    def begin(self, epoch: int, done: int) -> None:
        if tqdm is not None and sys.stderr.isatty():
            title = f"epoch {epoch + 1}/{self.args.epochs}"
            self.bar = tqdm(
                desc=title, total=self.steps, initial=done, unit="step", leave=False, dynamic_ncols=True
            )

    def show(self, done: int, state: State) -> None:
        now = time.perf_counter()
        if self.bar is None or now - self.shown < 0.1:
            return
        self.shown = now
        loss, accuracy = state.recent()
        self.bar.set_postfix_str(
            f"loss {loss:.3f}, accuracy {100 * accuracy:.1f} %, {state.speed():,.0f} samples/s", False
        )
        self.bar.update(done - self.bar.n)

    def end(self) -> None:
        if self.bar is not None:
            self.bar.close()
            self.bar = None


class State:
    """Where a run stands, besides model, optimiser and loader."""

    def __init__(self) -> None:
        self.points: list[
            tuple[float, float, float]
        ] = []  # (epoch, loss, accuracy) of the training batches since the point before
        self.epochs: list[tuple[float, float]] = []  # (test loss, test accuracy) after each epoch
        self.open = [0.0, 0, 0]  # loss, right predictions and samples since the last point
        self.samples = 0
        self.seconds = 0.0

    def add(self, loss: float, right: int, samples: int) -> None:
        self.open[0] += loss * samples
        self.open[1] += right
        self.open[2] += samples
        self.samples += samples

    def close_point(self, epoch: float) -> None:
        loss, right, samples = self.open
        self.points.append((epoch, loss / samples, right / samples))
        self.open = [0.0, 0, 0]

    def recent(self) -> tuple[float, float]:
        """Loss and accuracy of the newest batches."""
        loss, right, samples = self.open
        return (loss / samples, right / samples) if samples or not self.points else self.points[-1][1:]

    def last_epoch(self) -> list[float]:
        """Mean loss and accuracy of the training batches of the last whole epoch."""
        mine = [point[1:] for point in self.points if point[0] > len(self.epochs) - 1]
        means: list[float] = np.mean(mine, axis=0).tolist()
        return means

    def speed(self) -> float:
        return self.samples / self.seconds if self.seconds else 0.0


def load_data(args: argparse.Namespace) -> list[td.data.TensorDataset]:
    """Training and test set as TensorDatasets of (rows of 784 bytes, class)."""
    sets = []
    for train in (True, False):
        data = td.data.FashionMNIST(args.data_root, train=train)
        count = min(args.subset or len(data), len(data))
        images = data.images[:count].reshape((count, -1)).to(args.device)
        sets.append(td.data.TensorDataset(images, data.labels[:count].to(args.device)))
    return sets


def pixels(images: Tensor) -> Tensor:
    """Bytes to [0, 1]."""
    return images.astype(td.float32) / 255


def predict(model: td.nn.Module, data: td.data.TensorDataset) -> Tensor:
    """The logits of a whole data set, without derivatives and in evaluation."""
    model.eval()
    with td.no_grad():
        images = data.tensors[0]
        logits = [model(pixels(images[i : i + TEST_BATCH])) for i in range(0, len(data), TEST_BATCH)]
    model.train()
    return td.concat(logits)


def evaluate(model: td.nn.Module, data: td.data.TensorDataset) -> tuple[float, float]:
    """Mean loss and share of right predictions."""
    logits, labels = predict(model, data), data.tensors[1]
    return F.cross_entropy(logits, labels).item(), td.sum(logits.argmax(-1) == labels).item() / len(data)


def sha256(model: td.nn.Module) -> str:
    """Of the parameters' bytes, in order."""
    digest = hashlib.sha256()
    for parameter in model.parameters():
        digest.update(np.ascontiguousarray(parameter.detach().cpu().numpy()).tobytes())
    return digest.hexdigest()


class Run:
    """Model, optimiser, schedule, loader and state of one run, which a checkpoint saves together."""

    def __init__(self, args: argparse.Namespace, model: td.nn.Module, optimizer: td.optim.Optimizer) -> None:
        self.args, self.model, self.optimizer, self.state = args, model, optimizer, State()
        self.train_set, self.test_set = load_data(args)
        self.loader = td.data.DataLoader(
            self.train_set, args.batch_size, shuffle=True, key=td.random.fold_in(td.random.key(args.seed), 1)
        )
        self.schedule = td.optim.StepLR(optimizer, len(self.loader), args.decay)
        self.fixed = {name: getattr(args, name) for name in FIXED if hasattr(args, name)}
        self.checkpoint = args.out / "checkpoint.safetensors"

    def parts(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "optimizer": self.optimizer,
            "schedule": self.schedule,
            "loader": self.loader,
        }

    def save(self) -> None:
        states = {name: part.state_dict() for name, part in self.parts().items()}
        td.save(self.checkpoint, {**states, "state": vars(self.state), "fixed": self.fixed})

    def resume(self, path: Any) -> None:
        saved = td.load(path)
        if "fixed" not in saved:
            sys.exit(f"{path} is no checkpoint of an example")
        for name, value in self.fixed.items():
            before = saved["fixed"].get(name)
            if before != value:
                option = "--" + name.replace("_", "-")
                sys.exit(f"{path} was made with {option} {before}, not {value}: give the same options")
        for name, part in self.parts().items():
            part.load_state_dict(saved[name])
        vars(self.state).update(saved["state"])

    def learn(self, stopped: Callable[[], bool]) -> bool:
        """Runs the epochs that are left, until `stopped()`; returns whether all are done."""
        args, state, loader, model, optimizer = self.args, self.state, self.loader, self.model, self.optimizer
        steps = len(loader)
        point_steps = max(1, steps // POINTS_PER_EPOCH)
        progress = Progress(args, steps)
        while len(state.epochs) < args.epochs:
            epoch, done = loader.epoch, loader.batch
            progress.begin(epoch, done)
            clock = time.perf_counter()
            for images, labels in loader:
                logits = model(pixels(images))
                loss = F.cross_entropy(logits, labels)
                loss.backward()
                optimizer.step()
                optimizer.zero_grad()
                self.schedule.step()

                state.add(loss.item(), td.sum(logits.argmax(-1) == labels).item(), len(labels))
                state.seconds += time.perf_counter() - clock
                clock = time.perf_counter()
                done += 1
                progress.show(done, state)
                if done % point_steps == 0 or done == steps:
                    state.close_point(epoch + done / steps)
                if done < steps and stopped():
                    progress.end()
                    return False
            progress.end()
            state.epochs.append(evaluate(model, self.test_set))
            self.save()
            self.print_epoch()
            if stopped():
                break
        return bool(len(state.epochs) >= args.epochs)

    def print_epoch(self) -> None:
        state = self.state
        (loss, accuracy), (test_loss, test_accuracy) = state.last_epoch(), state.epochs[-1]
        print(
            f"epoch {len(state.epochs):2}/{self.args.epochs}"
            f"  loss {loss:.4f}  accuracy {100 * accuracy:.2f} %"
            f"  test loss {test_loss:.4f}  test accuracy {100 * test_accuracy:.2f} %"
            f"  {state.speed():,.0f} samples/s",
            flush=True,
        )

    def report(self, title: str, weight_picture: Callable[[ModuleType, Sequence[str]], Any]) -> None:
        """summary.json, the tables and the pictures."""
        args, state, names = self.args, self.state, td.data.FashionMNIST.CLASSES
        logits = predict(self.model, self.test_set)
        probabilities = td.softmax(logits).cpu().numpy()
        truth, guess = self.test_set.tensors[1].cpu().numpy(), logits.argmax(-1).cpu().numpy()
        counts = np.zeros((len(names), len(names)), dtype=int)
        np.add.at(counts, (truth, guess), 1)

        summary = {
            "test_accuracy": float((truth == guess).mean()),
            "final_loss": state.last_epoch()[0],
            "seconds": round(state.seconds, 3),
            "samples_per_second": round(state.speed(), 1),
            "peak_memory_bytes": getattr(td, td.device(args.device).type).memory_stats(args.device)[
                "peak_bytes"
            ],
            "parameters_sha256": sha256(self.model),
            "device": args.device,
            "threads": td.get_num_threads(),
            "seed": args.seed,
        }
        (args.out / "summary.json").write_text(json.dumps(summary, indent=2) + "\n")

        print(f"\n{'class':<14}{'recall':>9}{'precision':>11}   most often taken for")
        for i, name in enumerate(names):
            mistaken = counts[i].copy()
            mistaken[i] = 0
            recall, precision = (
                counts[i, i] / max(counts[i].sum(), 1),
                counts[i, i] / max(counts[:, i].sum(), 1),
            )
            other = f"{names[mistaken.argmax()]} ({mistaken.max()})" if mistaken.any() else "-"
            print(f"{name:<14}{100 * recall:>7.1f} %{100 * precision:>9.1f} %   {other}")
        rows = (
            ("test accuracy", f"{100 * summary['test_accuracy']:.2f} %"),
            ("loss of the last epoch", f"{summary['final_loss']:.4f}"),
            ("time", f"{summary['seconds']:.2f} s, {summary['samples_per_second']:,.0f} samples/s"),
            ("peak memory", f"{summary['peak_memory_bytes'] / 2**20:.1f} MiB"),
            ("device", f"{summary['device']}, {summary['threads']} threads"),
            ("parameters' SHA-256", summary["parameters_sha256"]),
        )
        print("\n" + "\n".join(f"{name:<24}{value}" for name, value in rows))

        if args.no_pictures:
            return
        from tidu import viz

        wrong = np.flatnonzero(truth != guess)
        surest = wrong[np.argsort(-probabilities[wrong, guess[wrong]], kind="stable")][:18]
        try:
            pictures = {
                "curves": viz.curves(state.points, state.epochs, f"{title}: {rows[0][1]} of the test set"),
                "confusion": viz.confusion_matrix(counts, names),
                "weights": weight_picture(viz, names),
                "mistakes": viz.predictions(
                    self.test_set.tensors[0].cpu().numpy()[surest].reshape(-1, 28, 28),
                    truth[surest],
                    guess[surest],
                    probabilities[surest, guess[surest]],
                    names,
                    title="The surest mistakes",
                ),
            }
        except ImportError as error:
            print(f"no pictures: {error}")
            return
        for name, figure in pictures.items():
            for kind in ("png", "pdf"):
                figure.savefig(args.out / f"{name}.{kind}")
        print(f"\npictures in {args.out}, as .png and .pdf: {', '.join(pictures)}")


def main(
    args: argparse.Namespace,
    title: str,
    make_model: Callable[[Tensor], td.nn.Module],
    make_optimizer: Callable[[list[Tensor]], td.optim.Optimizer],
    weight_picture: Callable[[Any, ModuleType, Sequence[str]], Any],
) -> None:
    """make_model(key), make_optimizer(parameters) and weight_picture(model, viz, class names) are an
    example's own."""
    if args.threads:
        td.set_num_threads(args.threads)
    args.out.mkdir(parents=True, exist_ok=True)
    model = make_model(td.random.fold_in(td.random.key(args.seed), 0)).to(args.device)
    run = Run(args, model, make_optimizer(model.parameters()))
    if args.resume:
        run.resume(run.checkpoint if args.resume is True else args.resume)

    # The first Ctrl-C is heard between two steps, so that the checkpoint is of a whole step; the second
    # ends at once.
    interrupts: list[int] = []

    def interrupt(number: int, frame: object) -> None:
        if interrupts:
            raise KeyboardInterrupt
        interrupts.append(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupt)
    if not run.learn(lambda: bool(interrupts)):
        run.save()
        words = [word for word in sys.argv if word not in ("--resume", args.resume)]
        print(f"\nstopped; everything is in {run.checkpoint}. To go on:")
        print(f"  python {shlex.join(words)} --resume")
        sys.exit(128 + interrupts[0])
    run.report(title, lambda viz, names: weight_picture(model, viz, names))
