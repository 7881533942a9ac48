"""Device cuda: NVIDIA GPUs, or an emulation of one that runs anywhere.

    td.cuda.emulate()                         # without a GPU: slow, for testing that a program is correct
    x = td.ones((3, 4), device="cuda")
    print((x @ x.mT).sum().item(), repr(x.device))

Operations are queued and run while Python goes on; whatever reads a value waits for it. A tensor may be used
on any stream: where its last use was on another, the new one waits for that.
"""

import contextlib
import ctypes
import json
import types

from . import _core
from ._core import _cuda

Stream = _cuda.Stream
Event = _cuda.Event
OutOfMemoryError = MemoryError  # what is raised where memory runs out


def _device(device):
    device = _core.device("cuda" if device is None else device)
    if device.type != "cuda":
        raise ValueError(f"[cuda] {device} is not a cuda device")
    return device


def is_available():
    """Whether tensors can be put on device cuda; why_not() says why they cannot."""
    return why_not() is None


def why_not():
    """The reason why device cuda is not available, or None."""
    return _cuda.why_not() or None


def emulate(checked=False):
    """Makes device cuda an emulation that needs no GPU, before its first use. It computes what a GPU would,
    slowly; with checked=True it also looks for races, accesses out of bounds and reads of uninitialised
    memory in every kernel. The environment variable TIDU_CUDA=emulated or checked does the same."""
    _cuda.emulate(checked)


def is_emulated():
    """Whether device cuda is, or would be, an emulation."""
    return _cuda.is_emulated()


def device_count():
    """The number of cuda devices; 0 where cuda is not available."""
    return _cuda.device_count()


def current_device():
    """The number of the device that "cuda", or no device where one of this module's functions takes one,
    stands for on this thread: 0 until set_device says otherwise."""
    return _device(None).index


def set_device(device):
    """Lets "cuda" stand for this device on this thread. Where tensors are made if no device is named is
    another matter: tidu.set_default_device says that."""
    _cuda.set_device(_device(device))


@contextlib.contextmanager
def device(device):
    """Lets "cuda" stand for this device on this thread, in a with statement."""
    previous = current_device()
    set_device(device)
    try:
        yield
    finally:
        set_device(previous)


def get_device_properties(device=None):
    """Name, compute capability, memory ... of a device."""
    return types.SimpleNamespace(**_cuda.properties(_device(device)))


def get_device_name(device=None):
    """The name of a device."""
    return get_device_properties(device).name


def get_device_capability(device=None):
    """The compute capability of a device: (major, minor)."""
    properties = get_device_properties(device)
    return properties.major, properties.minor


def synchronize(device=None):
    """Waits for all work of a device. What went wrong in it is raised here, if not before."""
    _cuda.synchronize(_device(device))


def set_blocking(blocking=True):
    """Whether each operation is waited for, so that an error names the operation that caused it. At first as
    the environment variable TIDU_CUDA_BLOCKING says."""
    _cuda.set_blocking(blocking)


def is_blocking():
    """Whether each operation is waited for."""
    return _cuda.is_blocking()


def set_graphs(on=True):
    """Whether compiled functions issue their work as CUDA graphs from their second call on. At first as the
    environment variable TIDU_CUDA_GRAPHS says (0: not), else they do."""
    _cuda.set_graphs(on)


def uses_graphs():
    """Whether compiled functions issue their work as CUDA graphs."""
    return _cuda.uses_graphs()


def allow_tf32(allow=True):
    """Whether float32 products may use TF32: faster on tensor cores, but operands keep 10 of their 23
    fraction bits. Off at first."""
    _cuda.set_allow_tf32(allow)


def is_tf32_allowed():
    """Whether float32 products may use TF32."""
    return _cuda.is_tf32_allowed()


def set_matmul(library):
    """What multiplies matrices: "cublas", wherever it can; "tidu", our own kernels; or "auto", each where it
    is the better one. At first as the environment variable TIDU_CUDA_MATMUL says, or "auto"."""
    _cuda.set_matmul(library)


def get_matmul():
    """What multiplies matrices: "auto", "cublas" or "tidu"."""
    return _cuda.get_matmul()


def current_stream(device=None):
    """The stream that this thread's work is given to."""
    return _cuda.current_stream(_device(device))


def default_stream(device=None):
    """The stream that a device's work is given to at first."""
    return _cuda.default_stream(_device(device))


@contextlib.contextmanager
def stream(stream):
    """Gives this thread's work for the stream's device to that stream, in a with statement. None changes
    nothing."""
    if stream is None:
        yield
        return
    previous = current_stream(stream.device)
    _cuda.set_current_stream(stream)
    try:
        yield stream
    finally:
        _cuda.set_current_stream(previous)


def memory_stats(device=None):
    """Bytes in use by tensors, the most there were since the last reset, bytes held from the system, and the
    number of allocations, as tidu.cpu.memory_stats gives them."""
    return _core.memory_stats(_device(device))


def memory_allocated(device=None):
    """Bytes in use by tensors."""
    return memory_stats(device)["live_bytes"]


def max_memory_allocated(device=None):
    """The most bytes in use by tensors since the last reset."""
    return memory_stats(device)["peak_bytes"]


def memory_reserved(device=None):
    """Bytes held from the system, in use or not."""
    return memory_stats(device)["reserved_bytes"]


def reset_peak_memory(device=None):
    """Lets peak_bytes begin again at live_bytes."""
    _core.reset_peak_memory(_device(device))


reset_peak_memory_stats = reset_peak_memory  # PyTorch's name


def empty_cache(device=None):
    """Gives memory that no tensor uses back to the system."""
    _core.empty_cache(_device(device))


def set_memory_limit(bytes, device=None):
    """The most that may be held from the system; beyond it allocations raise MemoryError."""
    _core.set_memory_limit(bytes, _device(device))


@contextlib.contextmanager
def traffic(device=None):
    """What kernels move, counted in a with statement after emulate(checked=True): a list which holds at its
    end a dict for each launch, with the kernel, its grid and block, and of loads and stores of device memory
    ("load", "store") and shared memory ("shared_load", "shared_store") the requests of its warps, bytes,
    sectors of 32 bytes or passes over the banks, and the least that these could be; each also by source line
    ("sites"). "bytes_read" and "bytes_written" count each byte of device memory once a launch."""
    launches = []
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
