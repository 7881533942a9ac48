"""Builds the wheel: CMake makes the extension and the library, setuptools adds the Python sources.

CMAKE_ARGS of the environment are CMake's, too: "-DTIDU_CUDA=ON" and "-DTIDU_EMULATION=ON" add device cuda.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from setuptools import Extension, find_packages, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).resolve().parent
VERSION = re.search(r"project\(tidu VERSION ([\d.]+)", (ROOT / "CMakeLists.txt").read_text()).group(1)


class CMakeBuild(build_ext):
    def run(self):
        if shutil.which("cmake") is None:
            raise RuntimeError(
                "building tidu needs CMake 3.22 or later: apt-get install cmake, or pip install cmake"
            )
        build = Path(self.build_temp).resolve()
        prefix = ROOT / "python" if self.inplace else Path(self.build_lib).resolve()
        configure = [f"-DPython_EXECUTABLE={sys.executable}", "-DCMAKE_BUILD_TYPE=Release"]
        configure += [f"-DTIDU_{part}=OFF" for part in ("TESTS", "EXAMPLES", "BENCH", "EMULATION", "CUDA")]
        if shutil.which("ninja"):
            configure += ["-G", "Ninja"]
        configure += shlex.split(os.environ.get("CMAKE_ARGS", ""))
        jobs = os.environ.get("CMAKE_BUILD_PARALLEL_LEVEL") or str(os.cpu_count())
        subprocess.run(["cmake", "-S", ROOT, "-B", build, *configure], check=True)
        subprocess.run(["cmake", "--build", build, "--target", "package_binaries", "-j", jobs], check=True)
        subprocess.run(
            ["cmake", "--install", build, "--prefix", prefix, "--component", "python", "--strip"], check=True
        )


setup(
    version=VERSION,
    package_dir={"": "python"},
    packages=find_packages("python", include=["tidu", "tidu.*"]),
    package_data={"tidu": ["py.typed"]},
    ext_modules=[Extension("tidu._core", sources=[])],
    cmdclass={"build_ext": CMakeBuild},
    zip_safe=False,
)
