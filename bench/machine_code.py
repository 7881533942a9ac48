"""What nvcc makes of the cuda kernels: registers, spills and occupancy, and how many loads are in flight.

A kernel that is bound by memory needs many bytes on their way at once (by Little, bandwidth times latency),
which neither its source nor its emulation shows: ptxas may wait for each load before it issues the next. The
machine code does, so it is read with nvdisasm (package nvidia-cuda-nvdisasm).
"""

import concurrent.futures
import dataclasses
import functools
import hashlib
import json
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / "build/kernel_report"
FLAGS = ["-std=c++20", "--expt-relaxed-constexpr", "-fmad=false", f"-I{ROOT}", f"-I{ROOT}/csrc", "-lineinfo"]


@dataclasses.dataclass
class Gpu:
    """Published figures of one; all have 65536 registers and hold 32 blocks a multiprocessor."""

    name: str
    bandwidth: float  # bytes/s of DRAM
    rate: float  # float32 operations/s outside the tensor cores
    multiprocessors: int
    shared: int  # bytes a multiprocessor
    warps: int = 64  # a multiprocessor

    def bytes_in_flight(self):
        """What each multiprocessor must have on its way to and from memory that its memory never waits."""
        return self.bandwidth * LATENCY / self.multiprocessors


LATENCY = 700e-9  # of a load from DRAM, in seconds
GPUS = {
    "sm_80": Gpu("A100", 2.039e12, 19.5e12, 108, 164 * 1024),
    "sm_90": Gpu("H100", 3.35e12, 66.9e12, 132, 228 * 1024),
    "sm_100": Gpu("B200", 8.0e12, 75e12, 148, 228 * 1024),
}


def plain(name):
    """A kernel's name without what demanglers and compilers spell differently."""
    name = re.sub(r"\(anonymous namespace\)|\{anonymous\}|<unnamed>", "", name)
    name = re.sub(r"\((?:tidu::)?\w+\)(?=-?\d)", "", name)  # (int)4
    name = re.sub(r"\b((?:long |short )+)unsigned int\b", r"unsigned \1", name)
    name = re.sub(r"\b((?:long|short)) int\b", r"\1", name)
    return re.sub(r"\b(tidu|cuda)::|::|\s+|(?<=\d)u?l*(?=[,>])", "", name)


# --- Loads in flight.


@dataclasses.dataclass
class Load:
    """A load from global memory, and what is on its way when its value is first wanted."""

    sites: tuple  # "file:line" of the source, the innermost first
    loads: int  # with it and after it
    bytes: int  # of these, a thread


def registers(text):
    return {int(number) for number in re.findall(r"\bR(\d+)\b", text)}


def loads_in_flight(lines):
    """The Loads of a kernel's machine code, as nvdisasm -gi prints it."""
    found, waiting, sites, fresh = [], [], [], True
    for line in lines:
        if match := re.search(r'//## File "(.*?)", line (\d+)', line):
            if fresh:
                sites, fresh = [], False
            sites.append(f"{relative(match[1])}:{match[2]}")
            continue
        match = re.match(r"\s+/\*[0-9a-f]+\*/\s+(@!?U?P\d+ )?\s*(\S+) ?(.*?);", line)
        if not match:
            continue
        fresh = True
        guard, operation, operands = match.groups()
        used = registers(operands)
        waiting = [(load, wanted) for load, wanted in waiting if not wanted & used]
        if operation.startswith("LDG."):
            width = width_of(operation)
            first = int(re.match(r"(?:P\d+, )?R(\d+)", operands)[1])
            waiting.append((Load(tuple(sites), 0, 0), set(range(first, first + max(1, width // 4)))))
            found.append(waiting[-1][0])
            for load, _ in waiting:
                load.loads += 1
                load.bytes += width
        elif operation.split(".")[0] in ("EXIT", "BRA", "RET", "BRX") and not guard:
            waiting = []
    return found


def width_of(operation):
    """Bytes that a load or store moves a thread."""
    for part, width in (("128", 16), ("64", 8), ("U16", 2), ("S16", 2), ("U8", 1), ("S8", 1)):
        if part in operation.split("."):
            return width
    return 4


@functools.cache
def relative(path):
    path = Path(path).resolve()
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)


# --- Compiling.


def nvdisasm():
    beside = Path(sysconfig.get_path("purelib")) / "nvidia/cu13/bin/nvdisasm"
    program = shutil.which("nvdisasm") or (beside.exists() and str(beside))
    return program or sys.exit("no nvdisasm (pip install nvidia-cuda-nvdisasm)")


def sources_digest():
    digest = hashlib.sha256(Path(__file__).read_bytes())
    for folder in ("kernels", "kernels/cuda"):
        for path in sorted((ROOT / folder).iterdir()):
            if path.suffix in (".h", ".cuh", ".def"):
                digest.update(path.read_bytes())
    for table in sorted((ROOT / "csrc/ops").glob("*.def")):
        digest.update(table.read_bytes())
    return digest.hexdigest()


def compiled(source, arch, headers):
    """{name: what there is to know} of the kernels of a source file; kept in build/."""
    key = hashlib.sha256((headers + source.name + arch).encode() + source.read_bytes()).hexdigest()[:24]
    stored = CACHE / f"{source.stem}-{arch}-{key}.json"
    if not stored.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        cubin = stored.with_suffix(".cubin")
        command = ["nvcc", "-cubin", f"-arch={arch}", *FLAGS, "-Xptxas", "-v", "-o", cubin, source]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"{source.name} does not compile for {arch}:\n{done.stderr}")
        code = subprocess.run([nvdisasm(), "-c", "-gi", cubin], capture_output=True, text=True, check=True)
        cubin.unlink()
        for stale in CACHE.glob(f"{source.stem}-{arch}-*.json"):
            stale.unlink()
        stored.write_text(json.dumps(described(done.stderr, code.stdout)))
    return json.loads(stored.read_text())


def described(ptxas, code):
    found = {}
    for part in re.split(r"(?=Compiling entry function ')", ptxas):
        if not (name := re.match(r"Compiling entry function '(.*?)'", part)):
            continue
        spilled = re.search(r"(\d+) bytes spill stores, (\d+) bytes spill loads", part)
        used, shared = re.search(r"Used (\d+) registers", part), re.search(r"(\d+) bytes smem", part)
        found[name[1]] = {
            "registers": int(used[1]),
            "shared": int(shared[1]) if shared else 0,
            "spills": int(spilled[1]) + int(spilled[2]),
        }
    for part in re.split(r"(?=\t\.section\t\.text\.)", code):
        if (name := re.match(r"\t\.section\t\.text\.(.*?),", part)) and name[1] in found:
            found[name[1]]["loads"] = [
                dataclasses.astuple(load) for load in loads_in_flight(part.splitlines())
            ]
    names = subprocess.run(["c++filt"], input="\n".join(found), capture_output=True, text=True).stdout
    return {short(name): kernel for name, kernel in zip(names.splitlines(), found.values(), strict=True)}


def short(name):
    name = name.removeprefix("void ")
    return plain(name.rpartition("(")[0] if name.endswith(")") else name).split("(")[0]


def included(path, known):
    """The files of kernels/ that a source is made of, itself too; `known` remembers."""
    if path not in known:
        known[path] = {path}
        for name in re.findall(r'#include "(kernels/.*?)"', path.read_text()):
            known[path] |= included(ROOT / name, known)
    return known[path]


def kernels_of(arch, launches):
    """{name: registers, shared, spills, loads} of the kernels of these launches, each from the first source
    that has it among those that include the launcher's file."""
    if shutil.which("nvcc") is None:
        sys.exit("--static needs nvcc")
    nvdisasm()
    wanted = {
        plain(launch["kernel"]): ROOT / launch["where"].rpartition("../")[2].rpartition(":")[0]
        for launch in launches
    }
    headers, known, found = sources_digest(), {}, {}
    sources = [
        s for place in ("kernels/cuda", "csrc/backend/cuda") for s in sorted((ROOT / place).glob("*.cu"))
    ]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        while missing := {file for name, file in wanted.items() if name not in found}:
            some = [source for source in sources if included(source, known) & missing][:2]
            if not some:
                break
            for kernels in pool.map(lambda source: compiled(source, arch, headers), some):
                found |= kernels
            sources = [source for source in sources if source not in some]
    for kernel in found.values():
        kernel["loads"] = [Load(tuple(sites), loads, size) for sites, loads, size in kernel.get("loads", ())]
    return found


def occupancy(arch, threads, registers, shared):
    """The share of a multiprocessor's warps that blocks of this size fill: the rules of cuda_occupancy.h."""
    gpu = GPUS[arch]
    warps = -(-threads // 32)
    by_warps = gpu.warps // warps
    per_warp = -(-max(registers, 1) * 32 // 256) * 256  # registers come in units of 256 a warp
    by_registers = 65536 // 4 // per_warp * 4 // warps  # shared out evenly among 4 schedulers
    by_shared = gpu.shared // (-(-shared // 128) * 128 + 1024)  # and 1 KiB a block is the system's
    return min(by_warps, by_registers, by_shared, 32) * warps / gpu.warps
