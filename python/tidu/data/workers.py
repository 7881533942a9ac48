"""Batches made by processes, in the order of their numbers, and handed over in shared memory."""

from __future__ import annotations

import collections
import contextlib
import math
import mmap
import multiprocessing
import multiprocessing.connection
import multiprocessing.reduction
import os
import signal
import traceback
import weakref
from collections.abc import Callable
from typing import Any, NamedTuple

import tidu as td

from .. import _core
from .batches import EndOfItems, Source, packed, unpacked

_ALIGNMENT = 64


class WorkerInfo(NamedTuple):
    """Of which process a piece of code is: its number, how many there are, and its copy of the data set."""

    id: int
    num_workers: int
    dataset: Any


_info: WorkerInfo | None = None


def get_worker_info() -> WorkerInfo | None:
    """Which worker process of a DataLoader this is, None in the process that made the loader.

    An iterable data set finds out with it which items it has to give: each worker iterates over a copy.

    Returns
    -------
    WorkerInfo or None
        A named tuple (id, num_workers, dataset).

    Examples
    --------
    >>> td.data.get_worker_info() is None
    True
    """
    return _info


class _Sender:
    """A worker's side of the memory: blocks that are used in turn, so that one is free for each batch that
    may be asked for before another has been read."""

    def __init__(self, connection: Any, blocks: int) -> None:
        self._connection = connection
        self._blocks: list[mmap.mmap | None] = [None] * blocks
        self._sent = 0

    def send(self, batch: Any) -> None:
        tensors, rest = unpacked(batch)
        places, size = [], 0
        for x in tensors:
            places.append((size, x.shape, x.dtype))
            size += -(-x.size * x.dtype.itemsize // _ALIGNMENT) * _ALIGNMENT
        slot = self._sent % len(self._blocks)
        self._sent += 1
        block, handle = self._blocks[slot], None
        if block is None or len(block) < size:
            # Memory without a name goes with the last process that has it, however that ends.
            handle = os.memfd_create("batch")
            os.posix_fallocate(handle, 0, max(size, 1))  # an error where there is not enough
            block = self._blocks[slot] = mmap.mmap(handle, max(size, 1))
        with memoryview(block) as memory:
            for x, (begin, _, _) in zip(tensors, places, strict=True):
                _core._write_bytes(x, memory[begin:])
        self._connection.send(((slot, len(block) if handle is not None else 0, places, rest), None))
        if handle is not None:
            multiprocessing.reduction.send_handle(self._connection, handle, None)
            os.close(handle)


class _Receiver:
    """The other side of a worker's memory."""

    def __init__(self, connection: Any, blocks: int) -> None:
        self._connection = connection
        self._blocks: list[mmap.mmap | None] = [None] * blocks

    def read(self, message: Any) -> Any:
        slot, new, places, rest = message
        if new:
            handle = multiprocessing.reduction.recv_handle(self._connection)
            try:
                self._blocks[slot] = mmap.mmap(handle, new)
            finally:
                os.close(handle)
        with memoryview(self._blocks[slot]) as memory:
            tensors = [
                _core._from_bytes(memory[begin : begin + math.prod(shape) * dtype.itemsize], shape, dtype)
                for begin, shape, dtype in places
            ]
        return packed(tensors, rest)


def _serve(
    connection: Any,
    others: list[Any],
    source: Source,
    init: Callable[[int], Any] | None,
    number: int,
    count: int,
    blocks: int,
) -> None:
    """What a worker does: a batch for each list of indices, until the connection ends, as it does where the
    process that has its other end is killed. `others`, that end and earlier workers', are inherited."""
    global _info
    for other in others:
        other.close()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that began it answers Ctrl-C
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # what that does at SIGTERM is not for its workers
    td.set_num_threads(1)
    _info = WorkerInfo(number, count, source.dataset)
    sender = _Sender(connection, blocks)
    try:
        if init is not None:
            init(number)
        while True:
            what, *rest = connection.recv()
            if what == "begin":
                source.begin(*rest)
                continue
            try:
                batch = source.batch(*rest)
            except EndOfItems:
                connection.send((None, None))
            else:
                sender.send(batch)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return
    except BaseException as error:
        connection.send((None, f"{type(error).__name__}: {error}\n\n{traceback.format_exc()}"))


def _end(owner: int, processes: list[Any], connections: list[Any]) -> None:
    for connection in connections:
        connection.close()
    if os.getpid() != owner:  # a child that inherited the loader has no part in its workers
        return
    for process in processes:
        process.terminate()
    for process in processes:
        process.join()


_living: weakref.WeakSet[Workers] = weakref.WeakSet()


def _forget() -> None:
    """In a forked child: multiprocessing would end there what the parent began."""
    for workers in _living:
        for process in workers.processes:
            multiprocessing.process._children.discard(process)  # type: ignore[attr-defined]


os.register_at_fork(after_in_child=_forget)


class Workers:
    """Processes that make batches by a source, each up to `ahead` of them before the first is read."""

    def __init__(self, count: int, source: Source, init: Callable[[int], Any] | None, ahead: int) -> None:
        context = multiprocessing.get_context("fork")
        self.connections: list[Any] = []
        self.processes: list[Any] = []
        self.ahead = ahead
        self.owed = 0
        self.user: weakref.ref[WorkersAhead] | None = None  # the pass that they work for
        self._receivers: list[_Receiver] = []
        self._owner = os.getpid()
        _living.add(self)
        self._stop = weakref.finalize(self, _end, self._owner, self.processes, self.connections)
        for number in range(count):
            own, other = context.Pipe()
            process = context.Process(
                target=_serve,
                args=(other, self.connections, source, init, number, count, ahead),
                daemon=True,
            )
            self.connections.append(own)
            process.start()
            other.close()
            self.processes.append(process)
            self._receivers.append(_Receiver(own, ahead))

    def is_free(self) -> bool:
        """Whether they live, work for no pass, and owe none a batch."""
        has_user = self.user is not None and self.user() is not None
        is_own = self._owner == os.getpid()  # a child may not ask about processes of its parent
        return (
            self._stop.alive
            and is_own
            and not has_user
            and self.owed == 0
            and all(p.is_alive() for p in self.processes)
        )

    def stop(self) -> None:
        """Ends the processes, and waits until they are gone."""
        self._stop()

    def begin(self, epoch: int, key: td.Tensor | None) -> None:
        for number in range(len(self.processes)):
            self._send(number, ("begin", epoch, key))

    def ask(self, number: int, batch: int, indices: Any) -> None:
        """Lets a worker make a batch."""
        self.owed += 1
        indices = indices.tolist() if isinstance(indices, td.Tensor) else indices
        self._send(number, ("batch", batch, indices))

    def _require_own(self) -> None:
        if not self._stop.alive or self._owner != os.getpid():
            raise RuntimeError(
                "[DataLoader] the workers of this pass were ended or are another process's (begin another)"
            )

    def _send(self, number: int, message: Any) -> None:
        self._require_own()
        with contextlib.suppress(OSError):  # receive says what happened to the worker
            self.connections[number].send(message)

    def receive(self, number: int) -> tuple[Any, ...]:
        """The next batch of a worker in a tuple, which is empty where the worker has no more. RuntimeError
        with its traceback where it failed, or where it ended."""
        self._require_own()
        connection, process = self.connections[number], self.processes[number]
        multiprocessing.connection.wait([connection, process.sentinel])
        try:
            if not connection.poll():
                raise EOFError
            message, failure = connection.recv()
            batch = () if message is None else (self._receivers[number].read(message),)
        except (EOFError, OSError):
            process.join()
            self.stop()
            raise RuntimeError(
                f"[DataLoader] worker {number} ended before its batch was done, with exit code "
                f"{process.exitcode} (below 0: the signal that killed it; is there memory enough?)"
            ) from None
        except BaseException:  # as Ctrl-C: the rest of this message would be taken for the next one
            self.stop()
            raise
        if failure is not None:
            self.stop()
            raise RuntimeError(f"[DataLoader] worker {number} failed: {failure}")
        self.owed -= 1
        return batch


class WorkersAhead:
    """The batches of a pass, which workers make in turn: batch k by the one whose turn it is."""

    def __init__(
        self,
        workers: Workers,
        count: int,
        indices: Callable[[int], Any],
        key: td.Tensor | None,
        keep: bool,
    ) -> None:
        workers.user = weakref.ref(self)
        self._workers, self._count, self._indices = workers, count, indices
        self._key, self._keep = key, keep
        self._turns = collections.deque(range(len(workers.processes)))  # of those that have batches
        self._waiting: collections.deque[int] = collections.deque()
        self._asked = 0

    def seek(self, epoch: int, batch: int) -> None:
        self._workers.begin(epoch, self._key)
        if self._count and self._indices(0) is None:
            for _ in range(batch):  # of workers that iterate, nobody knows which gives how many
                self.next()
        else:
            self._asked = batch

    def next(self) -> tuple[Any, ...] | None:
        workers = self._workers
        while True:
            most = len(self._turns) * workers.ahead
            try:
                while self._turns and self._asked < self._count and len(self._waiting) < most:
                    number = self._turns[0]
                    self._turns.rotate(-1)
                    workers.ask(number, self._asked, self._indices(self._asked))
                    self._waiting.append(number)
                    self._asked += 1
            except BaseException:  # as Ctrl-C: nobody knows whether this batch was asked for
                workers.stop()
                raise
            if not self._waiting:
                workers.user = None
                if not self._keep:
                    workers.stop()
                return None
            number = self._waiting[0]
            batch = workers.receive(number)
            self._waiting.popleft()
            if batch:
                return batch
            if number in self._turns:
                self._turns.remove(number)
