#!/usr/bin/env bash
# The first hour on a machine with a GPU, in under ten minutes: builds for that GPU, runs every test on it, looks for
# memory faults and races with compute-sanitizer, and times it beside PyTorch, CuPy and cuBLAS where these are installed.
#   bench/gpu_session.sh [RESULTS]     everything goes to the file RESULTS (default: gpu_session.txt)
# A step that fails is reported and the next one runs; the exit status is the number of failed steps.
set -uo pipefail
cd "$(dirname "$0")/.."
results=${1:-gpu_session.txt}
exec > >(tee "$results") 2>&1

command -v nvidia-smi >/dev/null && nvidia-smi -L >/dev/null 2>&1 || { echo "no GPU here: nvidia-smi finds none"; exit 1; }

failed=0
# step SECONDS NAME COMMAND..: a step that takes longer is stopped, so that the later ones get their turn, and all of
# them when the ten minutes are over.
step() {
  local left=$((590 - SECONDS)) name=$2 started=$SECONDS
  local limit=$(($1 < left ? $1 : left > 1 ? left : 1))
  shift 2
  printf '\n=== %s\n' "$name"
  timeout --kill-after=10 "$limit" "$@"
  local status=$?
  ((status == 0)) || failed=$((failed + 1))
  printf -- '--- %s: %s after %d s\n' "$name" "$([[ $status == 0 ]] && echo passed || echo "FAILED ($status)")" \
    $((SECONDS - started))
}

printf 'tidu %s\n' "$(git describe --always --dirty 2>/dev/null || echo unknown)"
nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.max.sm,clocks.max.mem,compute_cap --format=csv
nvcc --version | tail -n 2
lscpu | sed -n 's/^Model name: *//p'

[[ -d .venv ]] || scripts/setup.sh
python=.venv/bin/python
architecture=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader | head -n 1 | tr -d .)
step 300 "build for sm_$architecture" bash -c "
  cmake --preset cuda -DCMAKE_CUDA_ARCHITECTURES=$architecture-real -DTIDU_EMULATION=OFF >build/cuda.log 2>&1 || { tail -n 20 build/cuda.log; exit 1; }
  cmake --build build/cuda | tail -n 3"

export TIDU_CUDA=real PYTHONPATH=build/cuda/python
step 20 "doctor" $python -m tidu.doctor
step 120 "C++ tests" ctest --preset cuda --timeout 100
step 180 "Python tests on device cuda" $python -m pytest -q --maxfail=20 tests/python --device cuda -p no:cacheprovider
if command -v compute-sanitizer >/dev/null; then
  for tool in memcheck racecheck initcheck synccheck; do
    step 60 "compute-sanitizer $tool" compute-sanitizer --tool "$tool" --error-exitcode 9 --print-limit 5 \
      $python tests/cuda/every_kernel.py
  done
else
  echo "compute-sanitizer is not installed: left out"
fi
step 120 "benchmarks" $python bench/gpu.py --quick --json "${results%.txt}.json"
step 60 "training" $python examples/two_layer_network.py --device cuda --epochs 2 --out "$(mktemp -d)"

printf '\n%d step(s) failed; all of this is in %s\n' "$failed" "$results"
exit "$failed"
