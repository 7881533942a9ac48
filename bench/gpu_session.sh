#!/usr/bin/env bash
# The first minutes on a machine with a GPU, at most nine: runs every test on it, looks for memory faults and races with
# compute-sanitizer, and times kernels and training steps beside cuBLAS, PyTorch, JAX and CuPy where these are installed.
# In a source tree it builds for that GPU first (which adds to the nine minutes); in a bundle of scripts/gpu_bundle.py
# nothing is built, and nothing but CUDA, Python, NumPy and SciPy is asked of the machine.
#   bench/gpu_session.sh [RESULTS]     writes RESULTS.txt (at most 200 lines), RESULTS.json and whole outputs to
#                                      RESULTS.logs/ (default: gpu_session)
# A step that fails is reported and the next one runs; the exit status is the number of failed steps. PYTHON names the
# interpreter of a bundle (default: python3.12), SESSION_SECONDS how long all of it may take. TIDU_CUDA=emulated goes
# through it all without a GPU, timing nothing.
set -uo pipefail
cd "$(dirname "$0")/.."
results=${1:-gpu_session}
logs=$results.logs
rm -rf "$logs" && mkdir -p "$logs"
: >"$logs/steps.tsv"
export TIDU_CUDA=${TIDU_CUDA:-real}

gpu=none
if [[ $TIDU_CUDA == real ]]; then
  gpu=$(nvidia-smi --query-gpu=name,driver_version,memory.total,compute_cap --format=csv,noheader 2>/dev/null | head -n 1)
  [[ $gpu ]] || { echo "no GPU here: nvidia-smi finds none"; exit 1; }
fi
started=$SECONDS
# step SECONDS LINES NAME COMMAND..: shows the last lines of what the command prints. One that takes longer is stopped,
# so that the later ones get their turn, and all of them when the time is over. Steps may run beside each other.
step() {
  local left=$((${SESSION_SECONDS:-535} - SECONDS + started)) lines=$2 name=$3 begun=$SECONDS log="$logs/$3.log"
  local limit=$(($1 < left ? $1 : left > 1 ? left : 1)) status verdict=passed
  shift 3
  timeout --kill-after=5 "$limit" "$@" >"$log" 2>&1
  status=$?
  ((status == 0)) || verdict="FAILED ($status)"
  printf '\n=== %s\n%s\n--- %s: %s after %d s\n' \
    "$name" "$(tail -n "$lines" "$log" | cut -c 1-200)" "$name" "$verdict" $((SECONDS - begun))
  printf '%s\t%d\t%d\n' "$name" "$status" $((SECONDS - begun)) >>"$logs/steps.tsv"
}

session() {
  cat BUNDLE 2>/dev/null || printf 'tidu: %s\n' "$(git describe --always --dirty 2>/dev/null || echo unknown)"
  printf 'gpu: %s\ncpu: %s\n' "$gpu" "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)"

  if [[ -e BUNDLE ]]; then
    python=${PYTHON:-python3.12} build=$PWD  # with NumPy and SciPy, which JAX brings along
    package=$PWD/python/tidu libraries=$PWD/python/tidu
    # The machine's own libstdc++ where it is new enough: PyTorch and JAX may need more of it than this one has.
    "$python" -c 'import ctypes, re, sys
ctypes.CDLL("libstdc++.so.6")
path = next(line.split()[-1] for line in open("/proc/self/maps") if "libstdc++" in line)
sys.exit(b"GLIBCXX_3.4.30" not in open(path, "rb").read())' 2>/dev/null || libraries+=":$package/fallback"
  else
    [[ -d .venv ]] || scripts/setup.sh
    python=$PWD/.venv/bin/python build=$PWD/build/cuda libraries=
    architecture=${gpu##*, }
    step 300 3 "build" bash -c "
      cmake --preset cuda -DCMAKE_CUDA_ARCHITECTURES=${architecture/./}-real -DTIDU_EMULATION=OFF &&
      cmake --build build/cuda"
    started=$SECONDS
  fi
  for cuda in "${CUDA_HOME:-}" "${CUDA_PATH:-}" /usr/local/cuda; do
    [[ -d $cuda/lib64 ]] && libraries+=:$cuda/lib64 && break
  done
  export PYTHONPATH=$build/python LD_LIBRARY_PATH=$libraries${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}

  step 20 40 "doctor" "$python" -m tidu.doctor
  for test in "$build"/bin/cuda_{host,pointwise,matmul,reduce,softmax}_test; do
    step 60 4 "$(basename "$test")" "$test" --gtest_brief=1 &
  done
  local workers=()
  "$python" -c "import xdist" 2>/dev/null && workers=(-n "$(($(nproc) < 12 ? $(nproc) : 12))")
  step 180 40 "Python tests on device cuda" "$python" -m pytest -q --tb=short --maxfail=200 "${workers[@]}" \
    tests/python --device cuda -p no:cacheprovider -p no:benchmark
  wait
  if [[ $TIDU_CUDA == real ]] && command -v compute-sanitizer >/dev/null; then
    for tool in memcheck racecheck initcheck synccheck; do
      step 90 5 "compute-sanitizer $tool" compute-sanitizer --tool "$tool" --error-exitcode 9 --print-limit 5 \
        "$python" tests/cuda/every_kernel.py &
    done
    wait
  else
    printf '\ncompute-sanitizer is left out\n'
    step 45 5 "every kernel" "$python" tests/cuda/every_kernel.py
  fi
  step 150 90 "benchmarks" "$python" bench/gpu.py --json "$logs/benchmarks.json"
}

session 2>&1 | tee "$results.txt"
failed=$(awk -F '\t' '$2 != 0' "$logs/steps.tsv" | wc -l)
reporter=.venv/bin/python
[[ -e BUNDLE ]] && reporter=${PYTHON:-python3.12}
"$reporter" - "$results" "$gpu" <<'PYTHON'
import json
import os
import sys

results, gpu = sys.argv[1:]
logs = results + ".logs"
steps = []
for line in open(f"{logs}/steps.tsv"):
    name, status, seconds = line.rstrip("\n").split("\t")
    last = open(f"{logs}/{name}.log", errors="replace").read().splitlines()[-5:]
    steps.append({"name": name, "status": int(status), "seconds": int(seconds), "last_lines": last})
timed = f"{logs}/benchmarks.json"
benchmarks = json.load(open(timed)) if os.path.exists(timed) else None
about = dict(line.rstrip("\n").split(": ", 1) for line in open("BUNDLE")) if os.path.exists("BUNDLE") else {}
with open(results + ".json", "w") as file:
    json.dump({"about": about, "gpu": gpu, "steps": steps, "benchmarks": benchmarks}, file, indent=1)
PYTHON
printf '\n%d step(s) failed; all of this is in %s.txt, .json and .logs\n' "$failed" "$results" | tee -a "$results.txt"
exit "$failed"
