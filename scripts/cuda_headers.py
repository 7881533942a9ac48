"""Puts CUDA's headers, which the emulated device cuda is compiled against, into a folder.

    python scripts/cuda_headers.py FOLDER

For machines without the CUDA toolkit. The headers come from NVIDIA's own packages on PyPI, which hold
libraries of hundreds of megabytes beside them; so only the wanted members of each archive are fetched, by
HTTP range requests. The archive's CRCs check them.
"""

import io
import json
import platform
import sys
import urllib.request
import zipfile
from pathlib import Path

# Package, version (those of CUDA 13.0), and what of its include folder is wanted.
PACKAGES = [
    ("nvidia-cuda-runtime", "13.0.96", ""),
    ("nvidia-cuda-crt", "13.0.88", "crt/"),
    ("nvidia-cuda-cccl", "13.0.85", "cccl/"),
    ("nvidia-nvtx", "13.0.85", "nvtx3/"),
    ("nvidia-cublas", "13.1.0.3", "cublas"),
    ("nvidia-cusolver", "12.0.4.66", "cusolver"),
    ("nvidia-cusparse", "12.6.3.3", "cusparse"),
]
FOLDER = "nvidia/cu13/include/"
CHUNK = 1 << 20  # bytes of one request; the headers of a package lie together


class RemoteFile(io.RawIOBase):
    """A file on an HTTP server, read in chunks as they are needed."""

    def __init__(self, url, size):
        self.url, self.size, self.position, self.chunks = url, size, 0, {}

    def seekable(self):
        return True

    def readable(self):
        return True

    def tell(self):
        return self.position

    def seek(self, offset, whence=io.SEEK_SET):
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self.position, io.SEEK_END: self.size}[whence]
        self.position = start + offset
        return self.position

    def readinto(self, buffer):
        if self.position >= self.size:
            return 0
        number, skip = divmod(self.position, CHUNK)
        part = self._chunk(number)[skip : skip + len(buffer)]
        buffer[: len(part)] = part
        self.position += len(part)
        return len(part)

    def _chunk(self, number):
        if number not in self.chunks:
            first, last = number * CHUNK, min((number + 1) * CHUNK, self.size) - 1
            request = urllib.request.Request(self.url, headers={"Range": f"bytes={first}-{last}"})
            with urllib.request.urlopen(request, timeout=60) as response:
                if response.status != 206:
                    raise OSError(f"{self.url}: the server does not serve parts of files")
                self.chunks[number] = response.read()
        return self.chunks[number]


def wheel_of(package, version):
    """The address and the size of a package's wheel for this kind of processor (PEP 691)."""
    request = urllib.request.Request(
        f"https://pypi.org/simple/{package}/", headers={"Accept": "application/vnd.pypi.simple.v1+json"}
    )
    start, end = f"{package.replace('-', '_')}-{version}-", f"{platform.machine()}.whl"
    with urllib.request.urlopen(request, timeout=60) as response:
        for file in json.load(response)["files"]:
            if file["filename"].startswith(start) and file["filename"].endswith(end):
                return file["url"], file["size"]
    raise OSError(f"PyPI has no {package} {version} for {platform.machine()}")


def main():
    target = Path(sys.argv[1])
    for package, version, prefix in PACKAGES:
        with zipfile.ZipFile(io.BufferedReader(RemoteFile(*wheel_of(package, version)), CHUNK)) as wheel:
            for member in wheel.infolist():
                if member.filename.startswith(FOLDER + prefix) and not member.is_dir():
                    path = target / member.filename.removeprefix(FOLDER)
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(wheel.read(member))


if __name__ == "__main__":
    main()
