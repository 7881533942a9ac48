// Cumulative scans. Where lines are few, every block of elements is first reduced, then the blocks' results
// are scanned, and last each block's elements after what is before it. A line is walked in strips of some
// elements a thread, columns by one thread each.
#include "kernels/cuda/scan.h"

#include <algorithm>

#include "kernels/cuda/block.cuh"
#include "kernels/reduction.h"

namespace tidu::cuda {
namespace {

constexpr int kThreads = ScanTuning::kThreads, kWarps = kThreads / kWarp;
// Loads of a thread that are on their way together.
constexpr int kLoads = 4;

// What the threads before this one amount to, whose own elements amount to `state`, after `before`, which
// becomes what all amount to. The stage serves again after the call.
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
  const typename Op::State lower = shuffle_up(state, 1);
  return lane == 0 ? mine : Op::combine(mine, lower);
}

struct ScanPass {
  const void* x;
  void* y;             // results, or the states of blocks
  const void* before;  // the states up to each block, or null
  int64_t lines, n, columns, block, blocks;
};

template <class Op, class Out> __device__ __forceinline__ Out result_of(const typename Op::State& state) {
  if constexpr (std::is_same_v<Out, typename Op::State>) {
    return state;
  } else {
    return Op::finish(state, {});
  }
}

// A block of threads walks one block of a line, v neighbours each, and writes, for each element, what it and
// those before it in the line amount to; or with `total` one state, what they all amount to.
template <class Op, class In, class Out, int v, bool total>
__global__ void __launch_bounds__(kThreads) scan_rows(ScanPass pass) {
  using State = typename Op::State;
  TIDU_SHARED(stage, Staged<State, kWarps>);
  const int64_t line = int64_t{blockIdx.x} / pass.blocks, block = blockIdx.x - line * pass.blocks;
  const int64_t begin = line * pass.n + block * pass.block, rest = pass.n - block * pass.block;
  const int64_t end = begin + (rest < pass.block ? rest : pass.block);
  const int thread = static_cast<int>(threadIdx.x);
  State before = Op::identity();
  if (!total && pass.before && block > 0) before = static_cast<const State*>(pass.before)[blockIdx.x - 1];
  for (int64_t strips = begin; strips < end; strips += kLoads * kThreads * v) {
    Vec<In, v> some[kLoads] = {};
#pragma unroll
    for (int k = 0; k < kLoads; ++k) {
      const int64_t at = strips + (k * kThreads + thread) * v;
      if (at < end) some[k] = load_vec<v>(static_cast<const In*>(pass.x) + at);
    }
    loads_above();
#pragma unroll
    for (int k = 0; k < kLoads; ++k) {
      const int64_t strip = strips + k * kThreads * v, at = strip + thread * v;
      if (strip >= end) continue;
      const bool inside = at < end;
      State state[v];
#pragma unroll
      for (int j = 0; j < v; ++j) {
        const State own = inside ? Op::lift(some[k][j]) : Op::identity();
        state[j] = j > 0 ? Op::combine(state[j - 1], own) : own;
      }
      const State lower = strip_scan<Op>(state[v - 1], before, stage);
      if constexpr (!total) {
        if (!inside) continue;
        Vec<Out, v> results;
#pragma unroll
        for (int j = 0; j < v; ++j) results[j] = result_of<Op, Out>(Op::combine(lower, state[j]));
        store_vec<v>(static_cast<Out*>(pass.y) + at, results);
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
  for (int64_t i = 0; i < count; i += kLoads) {
    In some[kLoads] = {};
#pragma unroll
    for (int k = 0; k < kLoads; ++k) {
      if (i + k < count) some[k] = static_cast<const In*>(pass.x)[first + (i + k) * pass.columns];
    }
    loads_above();
#pragma unroll
    for (int k = 0; k < kLoads; ++k) {
      if (i + k >= count) continue;
      const int64_t here = first + (i + k) * pass.columns;
      state = Op::combine(state, Op::lift(some[k]));
      if constexpr (!total) {
        static_cast<Out*>(pass.y)[here] = result_of<Op, Out>(Op::combine(before, state));
      }
    }
  }
  if (total) static_cast<State*>(pass.y)[at] = state;
}

template <class Op, class In, class Out, bool total>
[[nodiscard]] cudaError_t launch_pass(cudaStream_t stream, const ScanPass& pass) {
  if (pass.columns == 1) {
    constexpr int widest = std::max<int>(1, 16 / std::max(sizeof(In), sizeof(Out)));
    const unsigned blocks = static_cast<unsigned>(pass.lines * pass.blocks);
    const auto aligned = [](const void* p) { return reinterpret_cast<uintptr_t>(p) % 16 == 0; };
    if (pass.n % widest == 0 && aligned(pass.x) && aligned(pass.y))
      return launch<scan_rows<Op, In, Out, widest, total>>({blocks, kThreads, 0, stream}, pass);
    return launch<scan_rows<Op, In, Out, 1, total>>({blocks, kThreads, 0, stream}, pass);
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
