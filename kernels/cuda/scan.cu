// Cumulative scans: every block of elements is first reduced, then the blocks' results are scanned, and last
// each block's elements after what is before it. A line is walked in strips of one element a thread, columns
// by one thread each.
#include "kernels/cuda/scan.h"

#include "kernels/cuda/block.cuh"
#include "kernels/reduction.h"

namespace tidu::cuda {
namespace {

constexpr int kThreads = ScanTuning::kThreads, kWarps = kThreads / kWarp;

// What this thread's element and those of the threads before it amount to, after `before`, which becomes what
// all amount to. The stage serves again after the call.
template <class Op>
__device__ __forceinline__ typename Op::State strip_scan(typename Op::State state, typename Op::State& before,
                                                         Staged<typename Op::State, kWarps>& stage) {
  const int thread = static_cast<int>(threadIdx.x), lane = thread % kWarp, warp = thread / kWarp;
  for (int step = 1; step < kWarp; step *= 2) {
    const typename Op::State lower = shuffle_up(state, step);
    if (lane >= step) state = Op::combine(lower, state);
  }
  if (lane == kWarp - 1) stage.put(warp, state);
  __syncthreads();
  typename Op::State mine = before;
  for (int w = 0; w < kWarps; ++w) {
    before = Op::combine(before, stage.get(w));
    if (w + 1 == warp) mine = before;
  }
  __syncthreads();
  return Op::combine(mine, state);
}

struct ScanPass {
  const void* x;
  void* y;             // results, or the states of blocks
  const void* before;  // the states up to each block, or null
  int64_t lines, n, columns, block, blocks;
};

// A block of threads walks one block of a line and writes, for each element, what it and those before it in
// the line amount to; or with `total` one state, what they all amount to.
template <class Op, class In, class Out, bool total>
__global__ void __launch_bounds__(kThreads) scan_rows(ScanPass pass) {
  using State = typename Op::State;
  TIDU_SHARED(stage, Staged<State, kWarps>);
  const int64_t line = int64_t{blockIdx.x} / pass.blocks, block = blockIdx.x - line * pass.blocks;
  const int64_t begin = line * pass.n + block * pass.block, rest = pass.n - block * pass.block;
  const int64_t end = begin + (rest < pass.block ? rest : pass.block);
  const int thread = static_cast<int>(threadIdx.x);
  State before = Op::identity();
  if (!total && pass.before && block > 0) before = static_cast<const State*>(pass.before)[blockIdx.x - 1];
  for (int64_t i = begin; i < end; i += kThreads) {
    const bool inside = i + thread < end;
    const State lifted = inside ? Op::lift(static_cast<const In*>(pass.x)[i + thread]) : Op::identity();
    const State state = strip_scan<Op>(lifted, before, stage);
    if constexpr (!total) {
      if (inside) {
        if constexpr (std::is_same_v<Out, State>) {
          static_cast<Out*>(pass.y)[i + thread] = state;
        } else {
          static_cast<Out*>(pass.y)[i + thread] = Op::finish(state, {});
        }
      }
    }
  }
  if (total && thread == 0) static_cast<State*>(pass.y)[blockIdx.x] = before;
}

// The same for columns, of which each thread walks one.
template <class Op, class In, class Out, bool total>
__global__ void __launch_bounds__(kThreads) scan_columns(ScanPass pass) {
  using State = typename Op::State;
  const int64_t at = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (at >= pass.lines * pass.blocks * pass.columns) return;
  const int64_t slab = at / pass.columns, column = at - slab * pass.columns;
  const int64_t frame = slab / pass.blocks, block = slab - frame * pass.blocks;
  const int64_t rest = pass.n - block * pass.block, count = rest < pass.block ? rest : pass.block;
  const int64_t first = (frame * pass.n + block * pass.block) * pass.columns + column;
  State before = Op::identity(), state = Op::identity();
  if (!total && pass.before && block > 0) before = static_cast<const State*>(pass.before)[at - pass.columns];
  for (int64_t i = 0; i < count; ++i) {
    const int64_t here = first + i * pass.columns;
    state = Op::combine(state, Op::lift(static_cast<const In*>(pass.x)[here]));
    if constexpr (!total) {
      const State all = Op::combine(before, state);
      if constexpr (std::is_same_v<Out, State>) {
        static_cast<Out*>(pass.y)[here] = all;
      } else {
        static_cast<Out*>(pass.y)[here] = Op::finish(all, {});
      }
    }
  }
  if (total) static_cast<State*>(pass.y)[at] = state;
}

template <class Op, class In, class Out, bool total>
[[nodiscard]] cudaError_t launch_pass(cudaStream_t stream, const ScanPass& pass) {
  if (pass.columns == 1) {
    const unsigned blocks = static_cast<unsigned>(pass.lines * pass.blocks);
    return launch<scan_rows<Op, In, Out, total>>({blocks, kThreads, 0, stream}, pass);
  }
  const int64_t threads = pass.lines * pass.blocks * pass.columns;
  const unsigned blocks = static_cast<unsigned>((threads + kThreads - 1) / kThreads);
  return launch<scan_columns<Op, In, Out, total>>({blocks, kThreads, 0, stream}, pass);
}

template <class Op, class T> cudaError_t scan(cudaStream_t stream, const ScanWork& work) {
  using State = typename Op::State;
  using Result = typename Op::Result;
  ScanPass pass = {work.x, work.workspace, nullptr,      work.frames,
                   work.n, work.columns,   work.block(), work.blocks()};
  if (pass.blocks > 1) {
    cudaError_t error = launch_pass<Op, T, State, true>(stream, pass);
    if (error != cudaSuccess) return error;
    ScanPass states = pass;
    states.x = work.workspace;
    states.n = states.block = pass.blocks;
    states.blocks = 1;
    error = launch_pass<reduction::OfStates<Op>, State, State, false>(stream, states);
    if (error != cudaSuccess) return error;
    pass.before = work.workspace;
  }
  pass.y = work.y;
  return launch_pass<Op, T, Result, false>(stream, pass);
}

template <template <class> class Struct, bool takes, class T> constexpr ScanRow row_of() {
  if constexpr (takes) {
    return {&scan<Struct<T>, T>, sizeof(typename Struct<T>::State)};
  } else {
    return {};
  }
}

template <class T> ScanRow row_for(int row) {
  static constexpr ScanRow rows[] = {
#define SCAN(name, Struct, types, ...) row_of<reduction::Struct, reduction::types##_types<T>, T>(),
#include "csrc/ops/scan.def"
  };
  return rows[row];
}

}  // namespace

ScanRow scan_row(int row, DType dtype) {
  return visit_dtype(dtype, [&]<class T>() {
    return row_for<std::conditional_t<std::is_same_v<T, bool>, uint8_t, T>>(row);
  });
}

}  // namespace tidu::cuda
