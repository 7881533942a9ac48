"""Puts CUDA's headers, which the emulated device cuda is compiled against, into a folder.

    python scripts/cuda_headers.py FOLDER

For machines without the CUDA toolkit. The headers come from NVIDIA's own packages on PyPI, which hold
libraries of hundreds of megabytes beside them; so only the wanted members of each archive are fetched, by
HTTP range requests. What is taken of each package has the SHA-256 below, or nothing of it is written.
"""

import hashlib
import io
import json
import platform
import sys
import urllib.request
import zipfile
from pathlib import Path

# Package, version (those of CUDA 13.0), what of its include folder is wanted, and the SHA-256 of that: of the
# names and contents in alphabetical order.
PACKAGES = [
    (
        "nvidia-cuda-runtime",
        "13.0.96",
        "",
        "3eb36a5e20f92f0c4c53b2d5bab7f0f9d3ac9c08524ad3e54d992c3932a9e0e6",
    ),
    (
        "nvidia-cuda-crt",
        "13.0.88",
        "crt/",
        "aef44bf5c5b5439fb4112ce0f45b3ead77e483c29dbc0a6feab3b40e90ba790a",
    ),
    (
        "nvidia-cuda-cccl",
        "13.0.85",
        "cccl/",
        "b47b563c543fc4d58de676e11068e5708fe9d661c7b0927c3abb726f3ba17497",
    ),
    ("nvidia-nvtx", "13.0.85", "nvtx3/", "8eae7eb20ad9a42e5e77776fed534bddbdbf0cc9900d72b86d0f25b72768c18f"),
    (
        "nvidia-cublas",
        "13.1.0.3",
        "cublas",
        "6cc7ad4e38088d93495d59e4d6df3e65f247fefefc22d84cf8b565fc2f476514",
    ),
    (
        "nvidia-cusolver",
        "12.0.4.66",
        "cusolver",
        "aea5e6a415cf7e181c0a91124ead75f896a4ceae51d82c79bc292ec8ccc332a8",
    ),
    (
        "nvidia-cufft",
        "12.0.0.61",
        "cufft",
        "95566f96d405285601dac48f77c3014289eded2bc8624bcb89545c7100d703ce",
    ),
    (
        "nvidia-cusparse",
        "12.6.3.3",
        "cusparse",
        "53c0c1a992a3dfbc6a14a355d58e4b0a8187046a5887e41e4b68f9cbd9b03609",
    ),
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


def wanted_of(wheel, prefix):
    """The contents of the wanted files of a wheel, by their names."""
    names = [
        m.filename for m in wheel.infolist() if m.filename.startswith(FOLDER + prefix) and not m.is_dir()
    ]
    return {name.removeprefix(FOLDER): wheel.read(name) for name in sorted(names)}


def check(package, files, digest):
    """Refuses files other than those whose digest is known, and names that lead out of the folder."""
    found = hashlib.sha256()
    for name, content in files.items():
        if ".." in Path(name).parts or Path(name).is_absolute():
            raise OSError(f"{package} has a file that would lie outside of the folder: {name}")
        found.update(f"{name}\0{len(content)}\0".encode() + content)
    if found.hexdigest() != digest:
        raise OSError(f"{package} is not what it was: its headers have SHA-256 {found.hexdigest()}")


def write(target, files):
    for name, content in files.items():
        path = target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def main():
    for package, version, prefix, digest in PACKAGES:
        with zipfile.ZipFile(io.BufferedReader(RemoteFile(*wheel_of(package, version)), CHUNK)) as wheel:
            files = wanted_of(wheel, prefix)
        check(package, files, digest)
        write(Path(sys.argv[1]), files)


if __name__ == "__main__":
    main()
