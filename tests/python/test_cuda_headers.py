"""What of NVIDIA's packages is taken for CUDA's headers."""

import hashlib
import importlib.util
import io
import zipfile
from pathlib import Path

import pytest

spec = importlib.util.spec_from_file_location(
    "cuda_headers", Path(__file__).parents[2] / "scripts/cuda_headers.py"
)
cuda_headers = importlib.util.module_from_spec(spec)
spec.loader.exec_module(cuda_headers)


def wheel_with(files):
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w") as wheel:
        for name, content in files.items():
            wheel.writestr(name, content)
    return zipfile.ZipFile(memory)


def digest_of(files):
    parts = [f"{name}\0{len(content)}\0".encode() + content for name, content in sorted(files.items())]
    return hashlib.sha256(b"".join(parts)).hexdigest()


def test_known_files_are_written(tmp_path):
    wheel = wheel_with(
        {cuda_headers.FOLDER + "crt/b.h": b"b", cuda_headers.FOLDER + "a.h": b"a", "lib.so": b"x"}
    )
    files = cuda_headers.wanted_of(wheel, "")
    assert files == {"a.h": b"a", "crt/b.h": b"b"}
    cuda_headers.check("package", files, digest_of(files))
    cuda_headers.write(tmp_path, files)
    assert (tmp_path / "crt/b.h").read_bytes() == b"b" and (tmp_path / "a.h").read_bytes() == b"a"


def test_other_files_are_refused():
    files = {"a.h": b"a"}
    for changed in ({"a.h": b"b"}, {"b.h": b"a"}, {"a.h": b"a", "b.h": b""}, {}):
        with pytest.raises(OSError, match="not what it was"):
            cuda_headers.check("package", changed, digest_of(files))


@pytest.mark.parametrize("name", ["../a.h", "crt/../../a.h", "/etc/a.h"])
def test_names_that_lead_out_are_refused(name):
    files = {name: b"a"}
    with pytest.raises(OSError, match="outside"):
        cuda_headers.check("package", files, digest_of(files))
