// The kernels of reductions, for an operation that says what is accumulated and how:
//
//   struct Op {
//     using Element, State, Result;
//     static State identity();
//     static State lift(Element x, int64_t index);
//     static State combine(State a, State b);      commutative up to the sign of zero and the bits of NaN
//     static Result finish(State state);
//   };
#pragma once

#include <type_traits>

#include "kernels/cuda/block.cuh"
#include "kernels/cuda/reduce.h"

namespace tidu::cuda {

// What a sum, product or extreme of T is accumulated in.
template <class T> inline constexpr bool is_half = std::is_same_v<T, float16> || std::is_same_v<T, bfloat16>;
template <class T>
using Word = std::conditional_t<std::is_unsigned_v<T>, std::conditional_t<sizeof(T) == 8, uint64_t, uint32_t>,
                                std::conditional_t<sizeof(T) == 8, int64_t, int32_t>>;
template <class T>
using Accumulator =
    std::conditional_t<is_half<T>, float, std::conditional_t<std::is_integral_v<T>, Word<T>, T>>;

// One pass over a Reduce, or over partial results.
struct ReducePass {
  const void* x;
  void* y;
  Walk kept, reduced;
  int64_t results, n, chunk, splits;
  int threads;   // rows: that work on one chunk; columns: side by side
  bool partial;  // states are written, numbered in order, not results
};

template <class Op, int v, class In>
__device__ __forceinline__ typename Op::State lift_all(const Vec<In, v>& x, int64_t index) {
  if constexpr (std::is_same_v<In, typename Op::Element>) {
    typename Op::State state[v];
#pragma unroll
    for (int i = 0; i < v; ++i) state[i] = Op::lift(x[i], index + i);
#pragma unroll
    for (int step = 1; step < v; step *= 2) {
#pragma unroll
      for (int i = 0; i < v; i += 2 * step) state[i] = Op::combine(state[i], state[i + step]);
    }
    return state[0];
  } else {
    return x[0];
  }
}

// A group of `threads` neighbours, part of a warp or the whole block, reduces one chunk of one row.
template <class Op, class In, int v>
__global__ void __launch_bounds__(ReduceTuning::kThreads) reduce_rows(ReducePass pass) {
  using State = typename Op::State;
  TIDU_SHARED(stage, WarpStage<State>);
  const int thread = static_cast<int>(threadIdx.x), lane = thread & (pass.threads - 1);
  const int64_t task = int64_t{blockIdx.x} * (ReduceTuning::kThreads / pass.threads) + thread / pass.threads;
  const int64_t row = pass.splits == 1 ? task : task / pass.splits;
  const bool active = row < pass.results;
  const Walk::Place place = active ? pass.kept.at(row) : Walk::Place{};
  State state = Op::identity();
  if (active) {
    const In* x = static_cast<const In*>(pass.x) + place.in;
    const int64_t begin = (task - row * pass.splits) * pass.chunk;
    const int64_t rest = pass.n - begin, end = begin + (rest < pass.chunk ? rest : pass.chunk);
    int64_t i = begin + lane * v;
    for (; i + v <= end; i += pass.threads * v)
      state = Op::combine(state, lift_all<Op>(load_vec<v>(x + pass.reduced.at(i).in), i));
    if constexpr (v > 1) {
      for (; i < end; ++i) state = Op::combine(state, Op::lift(x[pass.reduced.at(i).in], i));
    }
  }
  state = pass.threads > kWarp ? block_reduce<Op>(state, stage) : warp_reduce<Op>(state, pass.threads);
  if (!active || lane != 0) return;
  if (pass.partial) {
    store_vec<1>(static_cast<State*>(pass.y) + task, {state});
  } else {
    static_cast<typename Op::Result*>(pass.y)[place.out] = Op::finish(state);
  }
}

// Neighbouring threads reduce neighbouring results, v each; the rows of threads in a block share the
// elements.
template <class Op, class In, int v>
__global__ void __launch_bounds__(ReduceTuning::kThreads) reduce_columns(ReducePass pass) {
  using State = typename Op::State;
  using Result = typename Op::Result;
  TIDU_SHARED(stage, Staged<State, ReduceTuning::kThreads>);
  const int thread = static_cast<int>(threadIdx.x), height = ReduceTuning::kThreads / pass.threads;
  const int y = thread / pass.threads;
  const int64_t tile = int64_t{blockIdx.x} / pass.splits, split = blockIdx.x - tile * pass.splits;
  const int64_t result = (tile * pass.threads + thread - y * pass.threads) * v;
  const bool active = y < height && result < pass.results;
  const Walk::Place place = active ? pass.kept.at(result) : Walk::Place{};
  State state[v];
#pragma unroll
  for (int j = 0; j < v; ++j) state[j] = Op::identity();
  if (active) {
    const In* x = static_cast<const In*>(pass.x) + place.in;
    const int64_t begin = split * pass.chunk, rest = pass.n - begin;
    const int64_t end = begin + (rest < pass.chunk ? rest : pass.chunk);
    for (int64_t i = begin + y; i < end; i += height) {
      const Vec<In, v> some = load_vec<v>(x + pass.reduced.at(i).in);
#pragma unroll
      for (int j = 0; j < v; ++j) state[j] = Op::combine(state[j], lift_all<Op>(Vec<In, 1>{{some[j]}}, i));
    }
  }
  if (height > 1) {
#pragma unroll
    for (int j = 0; j < v; ++j) {
      if (j > 0) __syncthreads();
      state[j] = column_reduce<Op>(state[j], pass.threads, height, stage);
    }
  }
  if (!active || y > 0) return;
  if (pass.partial) {
    Vec<State, v> some;
#pragma unroll
    for (int j = 0; j < v; ++j) some[j] = state[j];
    store_vec<v>(static_cast<State*>(pass.y) + split * pass.results + result, some);
  } else {
    Vec<Result, v> some;
#pragma unroll
    for (int j = 0; j < v; ++j) some[j] = Op::finish(state[j]);
    store_vec<v>(static_cast<Result*>(pass.y) + place.out, some);
  }
}

template <class Op, class In, bool columns, int v>
[[nodiscard]] cudaError_t launch_reduce(cudaStream_t stream, const Reduce& reduce, bool partial) {
  using T = ReduceTuning;
  ReducePass pass = {.x = reduce.x,
                     .y = partial ? reduce.workspace : reduce.y,
                     .kept = reduce.kept,
                     .reduced = reduce.reduced,
                     .results = reduce.results(),
                     .n = reduce.reduced.size(),
                     .chunk = reduce.chunk(),
                     .splits = reduce.splits(),
                     .threads = T::kThreads,
                     .partial = partial};
  if constexpr (columns) {
    pass.threads = static_cast<int>(reduce.span()) / v;
    const int64_t tiles = (pass.results + reduce.span() - 1) / reduce.span();
    const unsigned blocks = static_cast<unsigned>(tiles * pass.splits);
    return launch<reduce_columns<Op, In, v>>({blocks, T::kThreads, 0, stream}, pass);
  } else {
    const int64_t vectors = (std::min(pass.n, pass.chunk) + v - 1) / v;
    if (vectors <= T::kBlockRow) {
      pass.threads = 1;
      while (pass.threads < kWarp && pass.threads < vectors) pass.threads *= 2;
    }
    const int64_t groups = T::kThreads / pass.threads;
    const unsigned blocks = static_cast<unsigned>((pass.results * pass.splits + groups - 1) / groups);
    return launch<reduce_rows<Op, In, v>>({blocks, T::kThreads, 0, stream}, pass);
  }
}

// Whether v elements go in one access.
template <class Op> bool vectorises(const Reduce& reduce, int v) {
  using T = typename Op::Element;
  const auto aligned = [v](const void* p, size_t size) {
    return reinterpret_cast<uintptr_t>(p) % (size * static_cast<size_t>(v)) == 0;
  };
  if (v == 1 || !aligned(reduce.x, sizeof(T))) return false;
  if (!reduce.columns)
    return reduce.reduced.reads_together(v) && reduce.kept.reads_at_multiples(v) &&
           reduce.reduced.size() >= v;
  return reduce.kept.reads_together(v) && reduce.kept.writes_together(v) &&
         reduce.reduced.reads_at_multiples(v) && aligned(reduce.y, sizeof(typename Op::Result));
}

template <class Op, bool columns>
[[nodiscard]] cudaError_t reduce_passes(cudaStream_t stream, Reduce reduce, bool states) {
  using T = typename Op::Element;
  using State = typename Op::State;
  // Each column has a state of its own, and those of one access are one access too.
  constexpr int widest = columns ? std::min<int>(kVec<T>, 16 / sizeof(State)) : kVec<T>;
  // The last pass writes to y, the ones before it behind each other.
  const auto direct = [states](Reduce& pass) {
    if (states && pass.splits() == 1) pass.workspace = pass.y;
    return states || pass.splits() > 1;
  };
  const bool wide = vectorises<Op>(reduce, widest), partial = direct(reduce);
  cudaError_t error = wide ? launch_reduce<Op, T, columns, widest>(stream, reduce, partial)
                           : launch_reduce<Op, T, columns, 1>(stream, reduce, partial);
  while (error == cudaSuccess && reduce.splits() > 1) {
    Reduce next = reduce.next();
    next.workspace = static_cast<char*>(reduce.workspace) + 16 * reduce.results() * reduce.splits();
    reduce = next;
    const bool more = direct(reduce);
    error = launch_reduce<Op, State, columns, 1>(stream, reduce, more);
  }
  return error;
}

// With `states`, the states themselves are the results.
template <class Op>
[[nodiscard]] cudaError_t reduce_with(cudaStream_t stream, const Reduce& reduce, bool states = false) {
  if (reduce.results() == 0) return cudaSuccess;
  return reduce.columns ? reduce_passes<Op, true>(stream, reduce, states)
                        : reduce_passes<Op, false>(stream, reduce, states);
}

}  // namespace tidu::cuda
