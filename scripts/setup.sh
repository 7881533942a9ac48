#!/usr/bin/env bash
# Installs what tidu needs: Debian or Ubuntu packages that are missing, and the virtual environment .venv.
#   PYTHON=python3.12   the interpreter to make .venv with
#   NO_APT=1            leave system packages alone; they are there already, or not Debian's
set -euo pipefail
cd "$(dirname "$0")/.."

packages=(g++ cmake ninja-build ccache libhwy-dev libdnnl-dev libopenblas-dev libssl-dev zlib1g-dev libgtest-dev
          libbenchmark-dev dataset-fashion-mnist)
python_packages=(python3-numpy python3-scipy python3-matplotlib python3-tqdm python3-pytest
                 python3-pytest-xdist python3-pybind11 pybind11-dev)

say() { printf '== %s\n' "$*"; }
fail() { printf 'setup: %s\n' "$*" >&2; exit 1; }

install_packages() {
  local missing=() package
  for package in "$@"; do
    [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) == installed ]] || missing+=("$package")
  done
  ((${#missing[@]})) || return 0
  local as_root=()
  if ((EUID != 0)); then
    command -v sudo >/dev/null || fail "run as root: apt-get install ${missing[*]}"
    as_root=(sudo)
  fi
  say "apt-get install ${missing[*]}"
  "${as_root[@]}" apt-get update -qq </dev/null || say "apt-get update failed: going on with the lists that are here"
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" \
    </dev/null >/dev/null || fail "apt-get could not install ${missing[*]}"
}

if [[ -z ${NO_APT:-} ]]; then
  command -v apt-get >/dev/null && command -v dpkg-query >/dev/null || fail "this system has no apt. tidu needs:
  a C++20 compiler (g++ 12), CMake 3.22, Ninja, Highway 1.0, oneDNN 2.5, OpenBLAS, OpenSSL, zlib, GoogleTest 1.11, Google
  Benchmark, Python 3.10 with headers and venv, and for the examples the four files of Fashion-MNIST (*-ubyte.gz)
Install these, then run make with NO_APT=1."
  install_packages "${packages[@]}"
  if [[ $(command -v "${PYTHON:-python3}" || echo /usr/bin/python3) == /usr/bin/python3 ]]; then
    install_packages python3-dev python3-venv
  fi
fi

python=${PYTHON:-python3}
"$python" - <<'CHECK' || fail "$python cannot build extensions: it needs version 3.10 or later, its headers (Python.h) and venv"
import os, sys, sysconfig, venv, ensurepip
ok = sys.version_info >= (3, 10) and os.path.exists(os.path.join(sysconfig.get_paths()["include"], "Python.h"))
sys.exit(not ok)
CHECK

say "making .venv ($("$python" --version))"
rm -rf .venv
"$python" -m venv .venv
if ! .venv/bin/python -m pip install --quiet --disable-pip-version-check -r requirements.txt </dev/null; then
  [[ -z ${NO_APT:-} ]] || fail "pip could not install requirements.txt"
  say "PyPI does not serve: taking Debian's Python packages instead"
  install_packages python3-dev python3-venv "${python_packages[@]}"
  rm -rf .venv
  /usr/bin/python3 -m venv --system-site-packages .venv
fi

# Device cuda is emulated on machines without a GPU; the CUDA toolkit's headers are all that this needs.
if [[ ! -e ${CUDA_PATH:-/usr/local/cuda}/include/cufft.h ]]; then
  say "fetching CUDA's headers"
  .venv/bin/python scripts/cuda_headers.py .venv/cuda/include ||
    { rm -rf .venv/cuda; say "no CUDA headers: going on without the emulated device cuda"; }
fi

# The interpreter in .venv finds the package that the build makes.
site=$(.venv/bin/python -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')
echo "$PWD/build/release/python" >"$site/tidu.pth"
touch .venv/ready
