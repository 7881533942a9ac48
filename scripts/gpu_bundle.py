"""Packs all that a machine with a GPU needs to test and time tidu, and nothing that it must install.

    python scripts/gpu_bundle.py [--python python3.12] [--arch 90] [--with-emulation]

Builds the library, the plug-in of device cuda and the binding for one GPU architecture and one Python, and
packs them with the C++ and Python tests, the benchmarks and every shared library that they lean on, except
CUDA's and glibc's, into dist/tidu-gpu-*.tar.xz. Unpacked anywhere, its `bench/gpu_session.sh` does the rest;
BUNDLE in it says what it was built for. With --with-emulation it can also be tried without a GPU
(TIDU_CUDA=emulated).
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD, STAGE = ROOT / "build/bundle", ROOT / "build/bundle-stage"
TESTS = ("cuda_host_test", "cuda_pointwise_test", "cuda_matmul_test", "cuda_reduce_test", "cuda_softmax_test")
SOURCES = (
    *("tests/python", "tests/kernels", "tests/cuda/every_kernel.py", "bench", "scripts/check_cuda.py"),
    *("pyproject.toml", "LICENSE"),
)
MOST_BYTES = 60 << 20
# Of the target machine: glibc, whose version BUNDLE names, and CUDA.
THEIRS = re.compile(
    r"^(ld-linux|linux-vdso|lib(c|m|mvec|dl|rt|pthread|cuda|cublas|cublasLt|cufft|cusolver|cusparse|nvJitLink|cudart)\b)"
)
# Only for machines whose own is older: two in one process would be one too many.
FALLBACKS = ("libstdc++.so.6", "libgcc_s.so.1")


def run(*command, **options):
    return subprocess.run([str(part) for part in command], check=True, text=True, **options)


def environment(interpreter):
    """A virtual environment of that Python with what the build needs."""
    folder = ROOT / "build/bundle-python"
    python = folder / "bin/python"
    if not python.exists():
        run(interpreter, "-m", "venv", folder)
        run(python, "-m", "pip", "install", "--quiet", "pybind11", "numpy", "scipy-openblas32")
    return python


def build(python, arch, with_emulation):
    options = {
        "CMAKE_CUDA_ARCHITECTURES": f"{arch}-real",
        "TIDU_EMULATION": "ON" if with_emulation else "OFF",
        "TIDU_EXAMPLES": "OFF",
        "Python_EXECUTABLE": python,
        "CMAKE_INSTALL_RPATH": "$ORIGIN",
    }
    # Old tags hold for what a library leans on, too: all of it lies beside the package's own files.
    for kind in ("EXE", "MODULE", "SHARED"):
        options[f"CMAKE_{kind}_LINKER_FLAGS"] = "-Wl,--disable-new-dtags"
    run("cmake", "--preset", "cuda", "-B", BUILD, *(f"-D{k}={v}" for k, v in options.items()), cwd=ROOT)
    run("cmake", "--build", BUILD, "--target", "package_binaries", *TESTS)


def needed(binaries):
    """{name: path} of the shared libraries that these lean on, without the target machine's own."""
    found = {}
    for binary in binaries:
        text = run("ldd", binary, capture_output=True).stdout
        for name, path in re.findall(r"^\s*(\S+) => (/\S+)", text, re.MULTILINE):
            if not THEIRS.match(name) and "libtidu" not in name:
                found[name] = Path(path).resolve()
    return found


def oldest_glibc(files):
    """The lowest version of glibc that has every symbol that these files take from it."""
    versions = set()
    for file in files:
        symbols = run("objdump", "-T", file, capture_output=True).stdout
        versions |= {tuple(map(int, v.split("."))) for v in re.findall(r"GLIBC_(\d+\.\d+)", symbols)}
    return ".".join(map(str, max(versions)))


def stage(python, arch):
    shutil.rmtree(STAGE, ignore_errors=True)
    package = STAGE / "python/tidu"
    ignored = shutil.ignore_patterns("__pycache__", "*.pyi", "*.so", "libtidu*")
    shutil.copytree(ROOT / "python/tidu", package, ignore=ignored)
    run("cmake", "--install", BUILD, "--prefix", STAGE / "python", "--component", "python", "--strip")
    (STAGE / "bin").mkdir()
    for test in TESTS:
        shutil.copy(BUILD / "bin" / test, STAGE / "bin")
        run("strip", STAGE / "bin" / test)
    for source in SOURCES:
        target = STAGE / source
        target.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, target, ignore=ignored)
        else:
            shutil.copy(ROOT / source, target)
    for_tests = ("pytest", "pytest-xdist")  # Python alone
    run(python, "-m", "pip", "install", "--quiet", "--target", STAGE / "python", *for_tests)

    libraries = needed([*(BUILD / "bin" / test for test in TESTS), *package.glob("*.so*")])
    (package / "fallback").mkdir()
    for name, path in libraries.items():
        if not (package / name).exists():
            shutil.copy(path, package / ("fallback" if name in FALLBACKS else ".") / name)
    binaries = [*package.glob("*.so*"), *(STAGE / "bin").iterdir()]
    tag = run(
        python,
        "-c",
        "import sys; print(f'cp{sys.version_info[0]}{sys.version_info[1]}')",
        capture_output=True,
    ).stdout.strip()
    about = {
        "tidu": run("git", "describe", "--always", "--dirty", cwd=ROOT, capture_output=True).stdout.strip(),
        "architecture": f"sm_{arch}",
        "python": tag,
        "glibc": oldest_glibc(binaries),
        "libstdc++": "GLIBCXX_3.4.30, else the one in python/tidu/fallback",
        "libraries": " ".join(sorted(libraries)),
    }
    (STAGE / "BUNDLE").write_text("".join(f"{name}: {value}\n" for name, value in about.items()))
    return f"tidu-gpu-sm_{arch}-{tag}"


def pack(name):
    archive = ROOT / "dist" / f"{name}.tar.xz"
    archive.parent.mkdir(exist_ok=True)
    with tarfile.open(archive, "w:xz") as tar:
        tar.add(STAGE, arcname=name)
    return archive


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--python", default="python3.12", help="the target machine's Python, as installed here"
    )
    parser.add_argument("--arch", default="90", help="compute capability of its GPU, without the point")
    parser.add_argument("--with-emulation", action="store_true", help="also pack the emulated device")
    arguments = parser.parse_args()
    python = environment(os.path.realpath(shutil.which(arguments.python) or arguments.python))
    build(python, arguments.arch, arguments.with_emulation)
    archive = pack(stage(python, arguments.arch))
    size = archive.stat().st_size
    print((STAGE / "BUNDLE").read_text() + f"{archive}: {size / (1 << 20):.1f} MiB")
    if size > MOST_BYTES:
        sys.exit(f"the bundle is larger than {MOST_BYTES >> 20} MiB")


if __name__ == "__main__":
    main()
