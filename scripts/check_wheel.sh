#!/usr/bin/env bash
# Installs the package as users do, into an empty folder, and imports it from there.
set -euo pipefail
cd "$(dirname "$0")/.."
target=$PWD/build/wheel
rm -rf "$target"
.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --target "$target" .
cd "$target"
"$OLDPWD/.venv/bin/python" - "$target" <<'PYTHON'
import os
import sys
sys.path.insert(0, sys.argv[1])
import tidu
assert tidu.__file__.startswith(sys.argv[1]), tidu.__file__
print("installed:", tidu.__file__)
for stub in ("_core.pyi", "random.pyi"):
    assert os.path.exists(os.path.join(sys.argv[1], "tidu", stub)), stub
if os.path.exists(os.path.join(sys.argv[1], "tidu", "libtidu_cuda_emulated.so")):
    tidu.cuda.emulate()
    assert (tidu.ones(3, device="cuda") * 2).sum().item() == 6
PYTHON
