"""Device cuda: NVIDIA GPUs, or an emulation of one that runs anywhere.

    td.cuda.emulate()                         # without a GPU: slow, for testing that a program is correct
    x = td.ones((3, 4), device="cuda")
    print((x @ x.mT).sum().item(), repr(x.device))

Operations are queued and run while Python goes on; whatever reads a value waits for it. A tensor may be used
on any stream: where its last use was on another, the new one waits for that.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import types
from collections.abc import Iterator
from typing import Any

from tidu.typing import DeviceLike

from . import _core
from ._core import _cuda
from ._documents import complete as _complete

Stream = _cuda.Stream
Event = _cuda.Event
OutOfMemoryError = MemoryError  # what is raised where memory runs out


def _device(device: DeviceLike | None) -> _core.device:
    device = _core.device("cuda" if device is None else device)
    if device.type != "cuda":
        raise ValueError(f"[cuda] {device} is not a cuda device")
    return device


def is_available() -> bool:
    """Whether tensors can be put on device cuda; why_not() says why they cannot.

    Examples
    --------
    >>> td.cuda.is_available() == (td.cuda.why_not() is None)
    True
    """
    return why_not() is None


def why_not() -> str | None:
    """The reason why device cuda is not available, or None.

    Examples
    --------
    >>> td.cuda.why_not() is None or isinstance(td.cuda.why_not(), str)
    True
    """
    return _cuda.why_not() or None


def emulate(checked: bool = False) -> None:
    """Makes device cuda an emulation that needs no GPU, before its first use. It computes what a GPU would,
    slowly; with checked=True it also looks for races, accesses out of bounds and reads of uninitialised
    memory in every kernel. The environment variable TIDU_CUDA=emulated or checked does the same.

    Examples
    --------
    >>> td.cuda.emulate()
    """
    _cuda.emulate(checked)


def is_emulated() -> bool:
    """Whether device cuda is, or would be, an emulation.

    Examples
    --------
    >>> isinstance(td.cuda.is_emulated(), bool)
    True
    """
    return _cuda.is_emulated()


def device_count() -> int:
    """The number of cuda devices; 0 where cuda is not available.

    Examples
    --------
    >>> td.cuda.device_count() >= 0
    True
    """
    return _cuda.device_count()


def current_device() -> int:
    """The number of the device that "cuda", or no device where one of this module's functions takes one,
    stands for on this thread: 0 until set_device says otherwise.

    Examples
    --------
    >>> td.cuda.current_device()
    0
    """
    return _device(None).index


def set_device(device: DeviceLike) -> None:
    """Lets "cuda" stand for this device on this thread. Where tensors are made if no device is named is
    another matter: tidu.set_default_device says that.

    Examples
    --------
    >>> td.cuda.set_device(0)
    """
    _cuda.set_device(_device(device))


@contextlib.contextmanager
def device(device: DeviceLike) -> Iterator[None]:
    """Lets "cuda" stand for this device on this thread, in a with statement.

    Examples
    --------
    >>> with td.cuda.device(0):
    ...     x = td.ones(3, device="cuda")
    """
    previous = current_device()
    set_device(device)
    try:
        yield
    finally:
        set_device(previous)


def get_device_properties(device: DeviceLike | None = None) -> types.SimpleNamespace:
    """Name, compute capability, memory ... of a device.

    Examples
    --------
    >>> td.cuda.get_device_properties().major >= 7
    True
    """
    return types.SimpleNamespace(**_cuda.properties(_device(device)))


def get_device_name(device: DeviceLike | None = None) -> str:
    """The name of a device.

    Examples
    --------
    >>> isinstance(td.cuda.get_device_name(), str)
    True
    """
    found: str = get_device_properties(device).name
    return found


def get_device_capability(device: DeviceLike | None = None) -> tuple[int, int]:
    """The compute capability of a device: (major, minor).

    Examples
    --------
    >>> td.cuda.get_device_capability() >= (7, 0)
    True
    """
    properties = get_device_properties(device)
    return properties.major, properties.minor


def synchronize(device: DeviceLike | None = None) -> None:
    """Waits for all work of a device. What went wrong in it is raised here, if not before.

    Examples
    --------
    >>> td.cuda.synchronize()
    """
    _cuda.synchronize(_device(device))


def set_blocking(blocking: bool = True) -> None:
    """Whether each operation is waited for, so that an error names the operation that caused it. At first as
    the environment variable TIDU_CUDA_BLOCKING says.

    Examples
    --------
    >>> td.cuda.set_blocking(td.cuda.is_blocking())
    """
    _cuda.set_blocking(blocking)


def is_blocking() -> bool:
    """Whether each operation is waited for.

    Examples
    --------
    >>> isinstance(td.cuda.is_blocking(), bool)
    True
    """
    return _cuda.is_blocking()


def set_graphs(on: bool = True) -> None:
    """Whether compiled functions issue their work as CUDA graphs from their second call on. At first as the
    environment variable TIDU_CUDA_GRAPHS says (0: not), else they do.

    Examples
    --------
    >>> td.cuda.set_graphs(td.cuda.uses_graphs())
    """
    _cuda.set_graphs(on)


def uses_graphs() -> bool:
    """Whether compiled functions issue their work as CUDA graphs.

    Examples
    --------
    >>> isinstance(td.cuda.uses_graphs(), bool)
    True
    """
    return _cuda.uses_graphs()


def allow_tf32(allow: bool = True) -> None:
    """Whether float32 products may use TF32: faster on tensor cores, but operands keep 10 of their 23
    fraction bits. Off at first.

    Examples
    --------
    >>> td.cuda.allow_tf32(False)
    """
    _cuda.set_allow_tf32(allow)


def is_tf32_allowed() -> bool:
    """Whether float32 products may use TF32.

    Examples
    --------
    >>> td.cuda.is_tf32_allowed()
    False
    """
    return _cuda.is_tf32_allowed()


def set_matmul(library: str) -> None:
    """What multiplies matrices: "cublas", wherever it can; "tidu", our own kernels; or "auto", each where it
    is the better one. At first as the environment variable TIDU_CUDA_MATMUL says, or "auto".

    Examples
    --------
    >>> td.cuda.set_matmul("auto")
    """
    _cuda.set_matmul(library)


def get_matmul() -> str:
    """What multiplies matrices: "auto", "cublas" or "tidu".

    Examples
    --------
    >>> td.cuda.get_matmul()
    'auto'
    """
    return _cuda.get_matmul()


def current_stream(device: DeviceLike | None = None) -> Stream:
    """The stream that this thread's work is given to.

    Examples
    --------
    >>> td.cuda.current_stream().synchronize()
    """
    return _cuda.current_stream(_device(device))


def default_stream(device: DeviceLike | None = None) -> Stream:
    """The stream that a device's work is given to at first.

    Examples
    --------
    >>> isinstance(td.cuda.default_stream().query(), bool)
    True
    """
    return _cuda.default_stream(_device(device))


@contextlib.contextmanager
def stream(stream: Stream | None) -> Iterator[Stream | None]:
    """Gives this thread's work for the stream's device to that stream, in a with statement. None changes
    nothing.

    Examples
    --------
    >>> with td.cuda.stream(td.cuda.Stream()):
    ...     x = td.ones(3, device="cuda")
    """
    if stream is None:
        yield None
        return
    previous = current_stream(stream.device)
    _cuda.set_current_stream(stream)
    try:
        yield stream
    finally:
        _cuda.set_current_stream(previous)


def memory_stats(device: DeviceLike | None = None) -> dict[str, int]:
    """Bytes in use by tensors, the most there were since the last reset, bytes held from the system, and the
    number of allocations, as tidu.cpu.memory_stats gives them.

    Examples
    --------
    >>> td.cuda.memory_stats()["live_bytes"] >= 0
    True
    """
    return _core.memory_stats(_device(device))


def memory_allocated(device: DeviceLike | None = None) -> int:
    """Bytes in use by tensors.

    Examples
    --------
    >>> td.cuda.memory_allocated() >= 0
    True
    """
    return memory_stats(device)["live_bytes"]


def max_memory_allocated(device: DeviceLike | None = None) -> int:
    """The most bytes in use by tensors since the last reset.

    Examples
    --------
    >>> td.cuda.max_memory_allocated() >= 0
    True
    """
    return memory_stats(device)["peak_bytes"]


def memory_reserved(device: DeviceLike | None = None) -> int:
    """Bytes held from the system, in use or not.

    Examples
    --------
    >>> td.cuda.memory_reserved() >= 0
    True
    """
    return memory_stats(device)["reserved_bytes"]


def reset_peak_memory(device: DeviceLike | None = None) -> None:
    """Lets peak_bytes begin again at live_bytes.

    Examples
    --------
    >>> td.cuda.reset_peak_memory()
    """
    _core.reset_peak_memory(_device(device))


reset_peak_memory_stats = reset_peak_memory  # PyTorch's name


def empty_cache(device: DeviceLike | None = None) -> None:
    """Gives memory that no tensor uses back to the system.

    Examples
    --------
    >>> td.cuda.empty_cache()
    """
    _core.empty_cache(_device(device))


def set_memory_limit(bytes: int, device: DeviceLike | None = None) -> None:
    """The most that may be held from the system; beyond it allocations raise MemoryError.

    Examples
    --------
    >>> td.cuda.set_memory_limit(2**62)
    """
    _core.set_memory_limit(bytes, _device(device))


@contextlib.contextmanager
def traffic(device: DeviceLike | None = None) -> Iterator[list[dict[str, Any]]]:
    """What kernels move, counted in a with statement after emulate(checked=True): a list which holds at its
    end a dict for each launch, with the kernel, its grid and block, and of loads and stores of device memory
    ("load", "store") and shared memory ("shared_load", "shared_store") the requests of its warps, bytes,
    sectors of 32 bytes or passes over the banks, and the least that these could be; each also by source line
    ("sites"). "bytes_read" and "bytes_written" count each byte of device memory once a launch.

    Examples
    --------
    >>> with td.cuda.traffic() as launches:
    ...     y = td.ones(3, device="cuda") + 1
    """
    launches: list[dict[str, Any]] = []
    synchronize(device)
    with open("/proc/self/maps") as maps:
        path = next((line.split()[-1] for line in maps if line.endswith("libtidu_cuda_checked.so\n")), None)
    if path is None:
        raise RuntimeError("[cuda.traffic] only the checked emulation counts: emulate(checked=True)")
    library = ctypes.CDLL(path)
    library.tidu_simt_take_traffic.restype = ctypes.c_char_p
    library.tidu_simt_count_traffic(1)
    try:
        yield launches
        synchronize(device)
    finally:
        library.tidu_simt_count_traffic(0)
        launches += json.loads(library.tidu_simt_take_traffic())


__all__ = [
    "Event",
    "OutOfMemoryError",
    "Stream",
    "allow_tf32",
    "current_device",
    "current_stream",
    "default_stream",
    "device",
    "device_count",
    "empty_cache",
    "emulate",
    "get_device_capability",
    "get_device_name",
    "get_device_properties",
    "get_matmul",
    "is_available",
    "is_blocking",
    "is_emulated",
    "is_tf32_allowed",
    "max_memory_allocated",
    "memory_allocated",
    "memory_reserved",
    "memory_stats",
    "reset_peak_memory",
    "reset_peak_memory_stats",
    "set_blocking",
    "set_device",
    "set_graphs",
    "set_matmul",
    "set_memory_limit",
    "stream",
    "synchronize",
    "traffic",
    "uses_graphs",
    "why_not",
]

for _name in __all__:
    _complete(globals(), _name)
