"""Batches made by processes, in the order of their indices."""

from __future__ import annotations

import collections
import multiprocessing
import multiprocessing.connection
import signal
import traceback
import weakref
from collections.abc import Callable
from typing import Any

import tidu as td


def _serve(
    connection: Any,
    dataset: Any,
    collate: Callable[[list[Any]], Any],
    init: Callable[[int], object] | None,
    number: int,
) -> None:
    """What a worker does: a batch for each list of indices, until the connection ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that began it answers Ctrl-C
    td.set_num_threads(1)
    try:
        if init is not None:
            init(number)
        while True:
            indices = connection.recv()
            connection.send((collate([dataset[i] for i in indices]), None))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return
    except BaseException as error:
        connection.send((None, f"{type(error).__name__}: {error}\n\n{traceback.format_exc()}"))


def _end(processes: list[Any], connections: list[Any]) -> None:
    for connection in connections:
        connection.close()
    for process in processes:
        process.terminate()
    for process in processes:
        process.join()


class Workers:
    """Processes that make batches of a data set."""

    def __init__(
        self,
        count: int,
        dataset: Any,
        collate: Callable[[list[Any]], Any],
        init: Callable[[int], object] | None,
    ) -> None:
        context = multiprocessing.get_context("fork")
        self.connections: list[Any] = []
        self.processes: list[Any] = []
        self.owed = 0
        self._stop = weakref.finalize(self, _end, self.processes, self.connections)
        for number in range(count):
            own, other = context.Pipe()
            process = context.Process(
                target=_serve, args=(other, dataset, collate, init, number), daemon=True
            )
            process.start()
            other.close()
            self.connections.append(own)
            self.processes.append(process)

    def is_free(self) -> bool:
        """Whether they live and owe no batch to a pass."""
        return self._stop.alive and self.owed == 0 and all(p.is_alive() for p in self.processes)

    def stop(self) -> None:
        """Ends the processes, and waits until they are gone."""
        self._stop()

    def send(self, number: int, indices: list[int]) -> None:
        try:
            self.owed += 1
            self.connections[number].send(indices)
        except OSError:
            pass  # receive says what happened to the worker

    def receive(self, number: int) -> Any:
        """The next batch of a worker. RuntimeError with its traceback where it failed, or where it ended."""
        connection, process = self.connections[number], self.processes[number]
        multiprocessing.connection.wait([connection, process.sentinel])
        try:
            if not connection.poll():
                raise EOFError
            batch, failure = connection.recv()
        except (EOFError, ConnectionResetError):
            process.join()
            self.stop()
            raise RuntimeError(
                f"[DataLoader] worker {number} ended before its batch was done, with exit code "
                f"{process.exitcode} (below 0: the signal that killed it; is there memory enough?)"
            ) from None
        if failure is not None:
            self.stop()
            raise RuntimeError(f"[DataLoader] worker {number} failed: {failure}")
        self.owed -= 1
        return batch


class Ahead:
    """Batches in the order of `native`, a loader of indices, each worker some ahead: what a pass asks."""

    def __init__(self, native: Any, workers: Workers, ahead: int, keep: bool) -> None:
        self._native, self._workers, self._keep = native, workers, keep
        self._ahead, self._sent = ahead, 0
        self._waiting: collections.deque[int] = collections.deque()
        self._is_at_end = False

    def seek(self, epoch: int, batch: int) -> None:
        self._native.seek(epoch, batch)

    def next(self) -> Any:
        count = len(self._workers.processes)
        while not self._is_at_end and len(self._waiting) < count * self._ahead:
            indices = self._native.next()
            if indices is None:
                self._is_at_end = True
                break
            number = self._sent % count
            self._sent += 1
            self._workers.send(number, indices[0].tolist())
            self._waiting.append(number)
        if not self._waiting:
            if not self._keep:
                self._workers.stop()
            return None
        return self._workers.receive(self._waiting.popleft())
