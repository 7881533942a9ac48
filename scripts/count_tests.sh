#!/usr/bin/env bash
# Prints how many C++ tests the last ctest run of a preset ran and how many passed.
set -euo pipefail
cd "$(dirname "$0")/.."
awk -v preset="$1" '
  /^\[==========\] [0-9]+ tests? from .* ran/ { ran += $2 }
  /^\[  PASSED  \] [0-9]+ tests?/ { passed += $4 }
  /^\[  SKIPPED \] [0-9]+ tests?/ { skipped += $4 }
  END { printf "%s: %d C++ tests ran, %d passed, %d skipped\n", preset, ran, passed, skipped }
' "build/$1/Testing/Temporary/LastTest.log"
