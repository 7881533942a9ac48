#!/usr/bin/env bash
# Builds the package from its source distribution as users do, into an empty folder, and imports it from there.
set -euo pipefail
cd "$(dirname "$0")/.."
python=$PWD/.venv/bin/python
target=$PWD/build/wheel
rm -rf "$target"
mkdir -p "$target/tmp"
export TMPDIR=$target/tmp  # where pip builds: inside of what ccache may take for one tree
"$python" -m pip install --quiet --disable-pip-version-check --target "$target/tools" "setuptools>=77" \
  "$(grep ^mypy requirements-dev.txt)"
PYTHONPATH=$target/tools "$python" -c "from setuptools import build_meta; build_meta.build_sdist('$target')" >/dev/null
"$python" -m pip install --quiet --disable-pip-version-check --no-deps \
  --target "$target/package" "$target"/tidu-*.tar.gz
cd "$target"
"$python" - "$target/package" <<'PYTHON'
import os
import sys
sys.path.insert(0, sys.argv[1])
import tidu
assert tidu.__file__.startswith(sys.argv[1]), tidu.__file__
print("installed:", tidu.__file__)
installed = set(os.listdir(os.path.dirname(tidu.__file__)))
assert {"_core", "py.typed"} <= installed, installed
stubs = set(os.listdir(os.path.join(os.path.dirname(tidu.__file__), "_core")))
assert {"__init__.pyi", "_training.pyi", "linalg.pyi", "random.pyi"} <= stubs, stubs
assert not any("cuda" in name for name in installed - {"cuda.py"}), "device cuda was built unasked"
assert tidu.grad(lambda x: (x * x).sum())(tidu.ones(3)).tolist() == [2, 2, 2]
PYTHON
# What users' code makes of its types.
PYTHONPATH=$target/tools MYPYPATH=$target/package "$python" -m mypy --config-file= --strict --follow-imports=silent \
  --cache-dir "$target/tmp" "$OLDPWD/tests/types/user.py"
