"""What the cuda kernels move and occupy, found with no GPU: by the checked emulation and by nvcc itself.

    python bench/kernel_report.py [--check] [--only WORD] [--static] [--arch sm_90] [--json FILE]

For each operation on a stated shape: device memory that must cross to DRAM over the least possible, sectors
of 32 bytes a request of a warp over the least, passes over the banks of shared memory over the least, and the
launches. With --static also what is in the machine code of --arch (nvcc and nvdisasm, cached in build/):
registers, shared memory, spills, the occupancy that they allow, and the bytes in flight over those that keep
the memory of that GPU busy. Times are PREDICTED from published peak rates, never measured. With --check the
program fails where a kernel misses its target. Last comes a training step, launch by launch.
"""

import argparse
import dataclasses
import json
import math
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from machine_code import GPUS, kernels_of, occupancy, plain

SLACK = 1.05  # how much more than the least a kernel may move
TILE_SLACK = 1.10  # the same for matrix products, over what their tiles imply
STEP_LAUNCHES, STEP_SLACK = 6, 1.15  # the same for a compiled training step
MANY_BYTES = 64  # in flight a thread: as much as a kernel need have


@dataclasses.dataclass
class Case:
    family: str
    label: str
    make: Callable  # () -> what runs the operation once
    least: int  # bytes of its operands and results, each once
    flops: int = 0
    scattered: bool = False  # the data lie apart, so whole sectors cannot be had
    product: tuple = ()  # of a matrix product: m, k, n and the bytes of an element


def cases(td):
    F = td.nn.functional
    n = 1 << 18

    def normal(*shape, dtype="float32", seed=0):
        return td.random.normal(td.random.key(seed), shape).astype(getattr(td, dtype)).to("cuda")

    def labels(count, classes, seed=1):
        return td.random.randint(td.random.key(seed), (count,), 0, classes).to("cuda")

    def case(family, label, least, setup, flops=0, scattered=False):
        return Case(family, label, setup, least, flops, scattered)

    def on(operation, *shapes, dtype="float32"):
        """() -> a run of the operation on normal arrays of these shapes."""

        def make():
            arrays = [normal(*shape, dtype=dtype, seed=i) for i, shape in enumerate(shapes)]
            return lambda: operation(*arrays)

        return make

    for dtype, size in (("float32", 4), ("float16", 2), ("float64", 8)):
        yield case("elementwise", f"exp {dtype}[{n}]", 2 * n * size, on(td.exp, (n,), dtype=dtype))
        yield case("elementwise", f"add {dtype}[{n}]", 3 * n * size, on(td.add, (n,), (n,), dtype=dtype))
    yield case("elementwise", "add [512,512] + [512]", (2 * n + 512) * 4, on(td.add, (512, 512), (512,)))
    yield case("elementwise", "add [512,512] + [512,1]", (2 * n + 512) * 4, on(td.add, (512, 512), (512, 1)))
    yield case(
        "elementwise",
        "add [512,512] + transposed",
        3 * n * 4,
        on(lambda a, b: a + b.mT, (512, 512), (512, 512)),
    )
    yield case(
        "elementwise",
        "exp [512,256] of [512,512] sliced",
        n * 4,
        on(lambda a: td.exp(a[:, 64:320]), (512, 512)),
    )
    yield case(
        "elementwise",
        f"exp float32[{n + 3}] from element 1",
        (2 * n + 4) * 4,
        on(lambda a: td.exp(a[1:]), (n + 3,)),
        0,
        True,
    )
    yield case("cast", f"float32 to float16 [{n}]", 6 * n, on(lambda a: a.astype(td.float16), (n,)))
    yield case(
        "cast", f"float16 to float32 [{n}]", 6 * n, on(lambda a: a.astype(td.float32), (n,), dtype="float16")
    )
    yield case("copy", f"contiguous [{n}]", 8 * n, on(td.copy, (n,)))
    yield case("copy", "transpose [512,512]", 8 * n, on(lambda a: td.copy(a.mT), (512, 512)))
    yield case(
        "copy", "transpose float16 [512,512]", 4 * n, on(lambda a: td.copy(a.mT), (512, 512), dtype="float16")
    )
    yield case("copy", "transpose [500,300]", 8 * 150000, on(lambda a: td.copy(a.mT), (500, 300)), 0, True)
    yield case(
        "copy",
        "permute (2,0,1) [64,64,64]",
        8 * n,
        on(lambda a: td.copy(a.permute_dims((2, 0, 1))), (64, 64, 64)),
    )
    yield case(
        "copy", "every second column [512,512]", 6 * n, on(lambda a: td.copy(a[:, ::2]), (512, 512)), 0, True
    )
    yield case(
        "concat",
        "2 x [512,256] by columns",
        8 * n,
        on(lambda a, b: td.concat((a, b), axis=1), *[(512, 256)] * 2),
    )
    yield case(
        "concat",
        "2 x [256,512] by rows",
        8 * n,
        on(lambda a, b: td.concat((a, b), axis=0), *[(256, 512)] * 2),
    )
    for name in ("softmax", "log_softmax"):
        operation = getattr(F, name)
        for rows, columns in ((8192, 10), (2048, 128), (256, 1000), (32, 8192)):
            yield case(name, f"[{rows},{columns}]", 8 * rows * columns, on(operation, (rows, columns)))
        # Too long for a block's registers: the online form reads a row twice.
        yield case(name, "[4,65536], read twice", 12 * 4 * 65536, on(operation, (4, 65536)))
    for label, shape, axis in (
        (f"cumulative_sum of [{n}]", (n,), 0),
        ("cumulative_sum first of [512,512]", (512, 512), 0),
    ):
        # Its blocks are summed first, so all is read twice.
        yield case("scan", label, 12 * n, on(lambda a, i=axis: td.cumulative_sum(a, axis=i), shape))
    for name in ("sum", "var", "max", "argmax"):
        operation = getattr(td, name)
        out = 8 if name == "argmax" else 4
        for label, shape, axis, results in (
            (f"all of [{n}]", (n,), None if name != "argmax" else 0, 1),
            ("last of [512,512]", (512, 512), -1, 512),
            ("first of [512,512]", (512, 512), 0, 512),
            ("last of [16384,16]", (16384, 16), -1, 16384),
            ("middle of [64,64,64]", (64, 64, 64), 1, 4096),
        ):
            yield case(
                name,
                label,
                4 * math.prod(shape) + out * results,
                on(lambda a, f=operation, i=axis: f(a, axis=i), shape),
            )
    for rows, classes in ((8192, 10), (256, 1000)):
        size = 4 * rows * classes

        def loss(rows=rows, classes=classes):
            x, y = normal(rows, classes), labels(rows, classes)
            return lambda: td.softmax_cross_entropy(x, y)

        def gradient(rows=rows, classes=classes):
            x, y = normal(rows, classes), labels(rows, classes)
            _, pullback = td.vjp(lambda x: td.softmax_cross_entropy(x, y), x)
            each = normal(rows)
            return lambda: pullback(each)

        yield case("cross-entropy", f"forward [{rows},{classes}]", size + 16 * rows, loss)
        yield case("cross-entropy", f"backward [{rows},{classes}]", 2 * size + 12 * rows, gradient)

    for name in ("layer_norm", "rms_norm"):
        for rows, n in ((2048, 128), (128, 2048), (16, 16384)):
            size, function = 4 * rows * n, getattr(F, name)

            def forward(rows=rows, n=n, function=function):
                x, weight = normal(rows, n), normal(n, seed=1)
                return lambda: function(x, (n,), weight)

            def backward(rows=rows, n=n, function=function):
                x, g, weight = normal(rows, n), normal(rows, n, seed=1), normal(n, seed=2)
                _, pullback = td.vjp(lambda x: function(x, (n,), weight), x)
                return lambda: pullback(g)

            yield case(name, f"forward [{rows},{n}]", 2 * size + 4 * n, forward)
            yield case(name, f"backward [{rows},{n}]", 3 * size + 4 * n, backward)

    for images, channels, inner in ((16, 16, 1024), (64, 64, 64)):
        size, vector = 4 * images * channels * inner, 4 * channels

        def normalise(images=images, channels=channels, inner=inner):
            return normal(images, channels, inner), normal(channels, seed=1), normal(channels, seed=2)

        def channels_forward(make=normalise):
            x, *affine = make()
            return lambda: F.batch_norm(x, None, None, *affine, training=True)

        def channels_backward(make=normalise):
            x, *affine = make()
            _, pullback = td.vjp(lambda x: F.batch_norm(x, None, None, *affine, training=True), x)
            return lambda: pullback(x)

        shape = f"[{images},{channels},{inner}]"
        yield case("batch_norm", f"forward {shape}", 3 * size + 4 * vector, channels_forward)
        yield case("batch_norm", f"backward {shape}", 5 * size + 5 * vector, channels_backward)

    def take(rows, width):
        def make():
            x, i = normal(rows, width), labels(rows, rows)
            return lambda: td.take(x, i, axis=0)

        return make

    yield case("take", "2048 rows of [2048,128]", 4 * 128 * (2048 + 1295) + 8 * 2048, take(2048, 128))
    yield case(
        "random",
        f"normal [{n}]",
        4 * n,
        lambda: lambda: td.random.normal(td.random.key(0, device="cuda"), (n,)),
    )
    yield case(
        "random",
        f"uniform [{n}]",
        4 * n,
        lambda: lambda: td.random.uniform(td.random.key(0, device="cuda"), (n,)),
    )

    def optimizer(kind, **options):
        def make():
            p = normal(n).requires_grad_()
            (p * p).sum().backward()
            steps = kind([p], **options)
            steps.step()  # the first makes the state
            return steps.step

        return make

    yield case("update", f"SGD [{n}]", 12 * n, optimizer(td.optim.SGD, lr=0.1))
    yield case("update", f"SGD momentum [{n}]", 20 * n, optimizer(td.optim.SGD, lr=0.1, momentum=0.9))
    yield case("update", f"Adam [{n}]", 28 * n, optimizer(td.optim.Adam, lr=0.1))
    shapes = (
        (128, 784, 128),
        (128, 128, 10),
        (10, 128, 128),
        (256, 256, 256),
        (500, 300, 200),
        (512, 1, 512),
    )
    for dtype, size in (("float32", 4), ("float16", 2), ("float64", 8)):
        for m, k, o in shapes:
            made = case(
                "matmul",
                f"{dtype} [{m},{k}] @ [{k},{o}]",
                size * (m * k + k * o + m * o),
                on(td.matmul, (m, k), (k, o), dtype=dtype),
                2 * m * k * o,
            )
            yield dataclasses.replace(made, product=(m, k, o, size))
    yield case(
        "matmul", "[256,512] @ vector", 4 * (256 * 512 + 768), on(td.matmul, (256, 512), (512,)), 2**18
    )


# --- Rows.


def total(launches, part, field):
    return sum(launch[part][field] for launch in launches)


def ratio(launches, parts, field):
    """What was done over the least, or None where nothing was."""
    least = sum(total(launches, part, f"least_{field}") for part in parts)
    return sum(total(launches, part, field) for part in parts) / least if least else None


def moved_bytes(launches):
    return 32 * sum(launch["sectors_read"] + launch["sectors_written"] for launch in launches)


def tiled_bytes(case, launch):
    """What the tile that a product's kernel names must read: each tile its rows and columns, and of a split k
    the sums of all; None where lines of the operands begin within a sector, so that more must be moved."""
    match = re.search(r"Tile<(\d+), (\d+)", launch["kernel"])
    if not match or not case.product or any(extent * case.product[3] % 32 for extent in case.product[1:3]):
        return None
    (m, k, n, size), blocks, least = case.product, math.prod(launch["grid"]), []
    for rows, columns in ((m, n), (n, m)):  # the transposed product where that suits the layouts
        tile_m, tile_n = int(match[1]), int(match[2])
        down, across = -(-rows // tile_m), -(-columns // tile_n)
        splits, rest = divmod(blocks, down * across)
        if rest == 0:
            sums = splits * down * tile_m * across * tile_n * max(size, 4) if splits > 1 else 0
            least.append(size * k * (rows * across + columns * down) + sums)
    return min(least)


def worst_site(launches, parts, field):
    sites = [
        s
        for launch in launches
        for s in launch["sites"]
        if s["access"] in parts and s["counts"][f"least_{field}"]
    ]
    if not sites:
        return ""
    worst = max(sites, key=lambda s: s["counts"][field] - s["counts"][f"least_{field}"])
    return worst["line"]


def measure(td, case):
    run = case.make()
    with td.cuda.traffic() as launches:
        run()
    return launches


def in_flight(case, launch, kernel, arch):
    """The bytes that a multiprocessor has in flight while the launch reads, over those that keep its memory
    busy; None where it reads little. Its loads are judged where it reads most."""
    reads = [site for site in launch["sites"] if site["access"] == "load"]
    if not reads or launch["bytes_read"] < case.least / 8:
        return None
    line = max(reads, key=lambda site: site["counts"]["sectors"])["line"]
    ahead = max((load.bytes for load in kernel["loads"] if line in load.sites), default=0)
    if ahead >= MANY_BYTES:
        return 1
    threads = math.prod(launch["block"])
    read = launch["bytes_read"] / (math.prod(launch["grid"]) * threads)
    resident = 32 * GPUS[arch].warps * occupancy(arch, threads, kernel["registers"], launch["shared_bytes"])
    share = launch["sectors_read"] / (launch["sectors_read"] + launch["sectors_written"])
    return min(ahead, read) * resident / (GPUS[arch].bytes_in_flight() * share)


def judge(case, launches, static, arch):
    faults = []
    loads, banks = ("load", "store"), ("shared_load", "shared_store")
    tiled = [(32 * launch["load"]["sectors"], tiled_bytes(case, launch)) for launch in launches]
    if any(read > TILE_SLACK * least for read, least in tiled if least):
        faults.append("bytes of the tiles")
    if not case.product and moved_bytes(launches) > SLACK * case.least + 64 * len(launches):
        faults.append("bytes")
    if not case.scattered and not case.product:
        sectors = ratio(launches, loads, "sectors")
        if sectors is not None and sectors > SLACK:
            faults.append(f"sectors ({worst_site(launches, loads, 'sectors')})")
    conflicts = ratio(launches, banks, "wavefronts")
    if conflicts is not None and conflicts > 1:
        faults.append(f"banks ({worst_site(launches, banks, 'wavefronts')})")
    for launch, kernel in static:
        if kernel["spills"]:
            faults.append("spills")
        busy = None if case.product else in_flight(case, launch, kernel, arch)
        if busy is not None and busy < 1:
            faults.append(f"loads in flight ({busy:.0%})")
    return faults


def number(value, digits=2):
    return "-" if value is None else f"{value:.{digits}f}"


def predicted(moved, flops):
    """Microseconds on each GPU, if nothing but its peak rates mattered."""
    return {gpu.name: 1e6 * max(moved / gpu.bandwidth, flops / gpu.rate) for gpu in GPUS.values()}


def report(td, options):
    chosen = [case for case in cases(td) if not options.only or options.only in f"{case.family} {case.label}"]
    measured = [(case, measure(td, case)) for case in chosen]
    everything = [launch for _, launches in measured for launch in launches]
    table = kernels_of(options.arch, everything) if options.static else {}
    rows, missed = [], 0
    times = "".join(f"{gpu.name + ' us':>9}" for gpu in GPUS.values())
    print(f"{'':56}{'moved':>7}{'sectors':>9}{'banks':>7}{'launch':>7}   PREDICTED at peak:\n{'':56}", end="")
    print(f"{'/least':>7}{'/least':>9}{'/least':>7}{'es':>7}{times}   misses")
    for case, launches in measured:
        if not launches:
            print(f"{case.family + ' ' + case.label:56}no kernel of tidu's own")
            continue
        named = ((launch, plain(launch["kernel"])) for launch in launches)
        static = [(launch, table[name]) for launch, name in named if name in table]
        faults = judge(case, launches, static, options.arch)
        missed += bool(faults)
        moved = moved_bytes(launches)
        sectors = ratio(launches, ("load", "store"), "sectors")
        banks = ratio(launches, ("shared_load", "shared_store"), "wavefronts")
        times = predicted(moved, case.flops)
        print(
            f"{case.family + ' ' + case.label:56}{number(moved / case.least):>7}{number(sectors):>9}"
            f"{number(banks):>7}{len(launches):>7}"
            + "".join(f"{t:>9.2f}" for t in times.values())
            + "   "
            + ", ".join(faults)
        )
        row = {
            "family": case.family,
            "case": case.label,
            "moved": moved,
            "least": case.least,
            "flops": case.flops,
        }
        rows.append({**row, "predicted_us": times, "misses": faults, "launches": launches})
        for launch in launches if options.static else []:
            print_static(case, launch, table, options.arch)
    return rows, missed


def print_static(case, launch, table, arch):
    kernel = table.get(plain(launch["kernel"]))
    name = re.sub(r"tidu::(cuda::)?", "", launch["kernel"])
    if kernel is None:
        print(f"    {name[:100]}: not in nvcc's report")
        return
    threads = math.prod(launch["block"])
    filled = [
        f"{each} {occupancy(each, threads, kernel['registers'], launch['shared_bytes']):.0%}" for each in GPUS
    ]
    busy = in_flight(case, launch, kernel, arch)
    print(
        f"    {name[:100]}: {threads} threads, {kernel['registers']} registers, "
        f"{launch['shared_bytes']} bytes shared, {kernel['spills']} spilled, occupancy {' '.join(filled)}, "
        f"{'-' if busy is None else f'{busy:.0%}'} in flight"
    )


def training_step(td):
    """The launches of a compiled step of 784-256-10 at batch 128, and what they miss of the least: six, each
    of which moves its operands and results once, and no partial sums."""
    batch, pixels, hidden, classes = 128, 784, 256, 10
    x = td.random.normal(td.random.key(0), (batch, pixels)).to("cuda")
    labels = td.random.randint(td.random.key(1), (batch,), 0, classes).to("cuda")
    model = td.nn.Sequential(td.nn.Linear(pixels, hidden), td.nn.Sigmoid(), td.nn.Linear(hidden, classes)).to(
        "cuda"
    )
    optimizer = td.optim.SGD(model.parameters(), lr=0.1)

    @td.compile
    def step(x, labels):
        optimizer.zero_grad()
        loss = td.nn.functional.cross_entropy(model(x), labels)
        loss.backward()
        optimizer.step()
        return loss

    for _ in range(2):
        step(x, labels)
    with td.cuda.traffic() as launches:
        step(x, labels)  # from the third call on small kernels are joined
    images, first, units, second, scores = (
        batch * pixels,
        pixels * hidden,
        batch * hidden,
        hidden * classes,
        batch * classes,
    )
    parts = {
        "hidden units": images + first + hidden + units,
        "scores": units + second + classes + scores,
        "loss, gradients of scores and second bias": scores + 2 * batch + 1 + scores + classes,
        "gradient of the hidden units": scores + second + units + units,
        "weights, gradient of first bias": units + images + 2 * first + scores + units + 2 * second + hidden,
        "biases": 3 * (hidden + classes),
    }
    least, moved = 4 * sum(parts.values()), moved_bytes(launches)
    faults = [f"more than {STEP_LAUNCHES} launches"] if len(launches) > STEP_LAUNCHES else []
    faults += [f"more than {STEP_SLACK} times the least bytes"] if moved > STEP_SLACK * least else []
    print(
        f"\nA compiled training step, {pixels}-{hidden}-{classes} at batch {batch}: {len(launches)} launches"
    )
    for launch in launches:
        grid, block = (",".join(map(str, launch[part])) for part in ("grid", "block"))
        name = re.sub(r"tidu::(cuda::)?", "", launch["kernel"])[:64]
        print(f"  {name:64} <{grid}> x <{block}>: {moved_bytes([launch])} bytes")
    print(f"  all together {moved} bytes, {moved / least:.2f} of the least, {least};", end=" ")
    print("misses:", ", ".join(faults) or "none")
    times = predicted(moved, 0)
    print("  PREDICTED at peak bandwidth, launches not counted: ", end="")
    print(", ".join(f"{gpu} {time:.1f} us" for gpu, time in times.items()))
    return launches, faults


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="fail where a kernel misses its target")
    parser.add_argument("--only", help="only the cases whose family and label contain this")
    parser.add_argument("--static", action="store_true", help="also what nvcc says of the kernels")
    parser.add_argument("--arch", default="sm_90", choices=GPUS, help="the architecture of --static")
    parser.add_argument("--json", help="also write everything to this file")
    options = parser.parse_args()

    os.environ["TIDU_CUDA_MATMUL"] = "tidu"  # what a library moves is not counted
    import tidu as td

    td.cuda.emulate(checked=True)
    rows, missed = report(td, options)
    step = []
    if not options.only or options.only in "training step":
        try:
            step, faults = training_step(td)
            missed += bool(faults)
        except td.DeviceError as error:
            print(f"no training step: {error}")
            missed += 1
    if options.json:
        Path(options.json).write_text(json.dumps({"cases": rows, "training_step": step}))
    print(f"\n{missed} of {len(rows) + bool(step)} cases miss a target")
    return bool(options.check and missed)


if __name__ == "__main__":
    sys.exit(main())
