// The kernels of the reductions of kernels/reduction.h.
#pragma once

#include "kernels/cuda/block.cuh"
#include "kernels/cuda/part.cuh"
#include "kernels/cuda/reduce.h"
#include "kernels/reduction.h"

namespace tidu::cuda {

// One pass over a Reduce, or over partial results.
struct ReducePass {
  const void* x;
  void* y;
  Walk kept, reduced;
  int64_t results, n, chunk, splits;
  int threads;   // rows: that work on one chunk; columns: side by side
  bool partial;  // states are written, numbered in order, not results
  reduction::Whole whole;

  // Whether the elements need more than 32 bits to be found.
  __device__ __forceinline__ bool is_vast() const { return reduced.rank > 1 && n > INT32_MAX; }
  // Where element i of a result lies.
  __device__ __forceinline__ int64_t element(int64_t i) const {
    return reduced.rank == 1 ? i * reduced.in[0] : reduced.at(static_cast<uint32_t>(i)).in;
  }
};

// What moves in one access, or a single state that is larger.
template <class T> struct Large {
  T data[1];
  __device__ __forceinline__ const T& operator[](int) const { return data[0]; }
};
template <int n, class T> __device__ __forceinline__ auto load_some(const T* p) {
  if constexpr (sizeof(T) * n <= 16) {
    return load_vec<n>(p);
  } else {
    static_assert(n == 1);
    return Large<T>{{*p}};
  }
}
template <class T> __device__ __forceinline__ void store_one(T* p, const T& value) {
  if constexpr (sizeof(T) <= 16) {
    store_vec<1>(p, Vec<T, 1>{{value}});
  } else {
    *p = value;
  }
}

template <class Op, class T> __device__ __forceinline__ typename Op::State lift(const T& x, int64_t index) {
  if constexpr (requires { Op::lift(x, index); }) {
    return Op::lift(x, index);
  } else {
    return Op::lift(x);
  }
}

// Of n elements, each at a place `step` behind the one before.
template <class Op, int n, class Some>
__device__ __forceinline__ typename Op::State lift_all(const Some& x, int64_t index, int64_t step = 1) {
  if constexpr (n > 1 && requires { Op::template lift_run<n>(x, index, step); }) {
    return Op::template lift_run<n>(x, index, step);
  } else {
    typename Op::State state[n];
#pragma unroll
    for (int i = 0; i < n; ++i) state[i] = lift<Op>(x[i], index + i * step);
#pragma unroll
    for (int width = 1; width < n; width *= 2) {
#pragma unroll
      for (int i = 0; i < n; i += 2 * width) state[i] = Op::combine(state[i], state[i + width]);
    }
    return state[0];
  }
}

// Loads that a thread has in flight while there are many more, and at the end or among dimensions: enough to
// keep memory busy (docs/kernels.md), few enough for the registers.
template <class T, int v>
inline constexpr int kLoads = sizeof(T) * v > 16    ? 1
                              : sizeof(T) * v == 16 ? 4
                              : sizeof(T) * v >= 4  ? 8
                                                    : 16;
template <class T, int v> inline constexpr int kLastLoads = kLoads<T, v> < 4 ? kLoads<T, v> : 4;

// A group of `threads` neighbours, part of a warp or the whole block, reduces one chunk of one row.
template <class Op, class In, int v>
TIDU_PART(ReduceTuning::kThreads, 1)
reduce_rows(TIDU_PASS(ReducePass) pass) {
  using State = typename Op::State;
  TIDU_SHARED(stage, WarpStage<State>);
  const int thread = static_cast<int>(threadIdx.x), lane = thread & (pass.threads - 1);
  const int64_t task = int64_t{TIDU_BLOCK} * (ReduceTuning::kThreads / pass.threads) + thread / pass.threads;
  const int64_t row = pass.splits == 1 ? task : task / pass.splits;
  const bool active = row < pass.results;
  const Walk::Place place = active ? pass.kept.at(row) : Walk::Place{};
  State state = Op::identity();
  if (active) {
    const In* x = static_cast<const In*>(pass.x) + place.in;
    const int64_t begin = (task - row * pass.splits) * pass.chunk;
    const int64_t rest = pass.n - begin, end = begin + (rest < pass.chunk ? rest : pass.chunk);
    const int64_t step = pass.threads * v;
    int64_t i = begin + lane * v;
    if (pass.reduced.rank == 1) {
      constexpr int loads = kLoads<In, v>;
      const int64_t stride = pass.reduced.in[0];
      for (; i + (loads - 1) * step + v <= end; i += loads * step) {
        decltype(load_some<v>(x)) some[loads];
#pragma unroll
        for (int k = 0; k < loads; ++k) some[k] = load_some<v>(x + (i + k * step) * stride);
        loads_above();
#pragma unroll
        for (int k = 0; k < loads; ++k) state = Op::combine(state, lift_all<Op, v>(some[k], i + k * step));
      }
    }
    if (pass.is_vast()) {
#pragma unroll 1
      for (; i + v <= end; i += step)
        state = Op::combine(state, lift_all<Op, v>(load_some<v>(x + pass.reduced.at(i).in), i));
    }
    constexpr int loads = kLastLoads<In, v>;
#pragma unroll 1
    for (; i + v <= end; i += loads * step) {
      decltype(load_some<v>(x)) some[loads] = {};
#pragma unroll
      for (int k = 0; k < loads; ++k) {
        if (i + k * step + v <= end) some[k] = load_some<v>(x + pass.element(i + k * step));
      }
      loads_above();
#pragma unroll
      for (int k = 0; k < loads; ++k) {
        if (i + k * step + v <= end) state = Op::combine(state, lift_all<Op, v>(some[k], i + k * step));
      }
    }
    // Beyond the vectors, which are of an only dimension if they leave some.
    if constexpr (v > 1) {
      const int64_t last = end - (end - begin) % v;
      if ((((last - begin) / v) & (pass.threads - 1)) == lane) {
        In some[v - 1] = {};
#pragma unroll
        for (int j = 0; j < v - 1; ++j) {
          if (last + j < end) some[j] = x[last + j];
        }
        loads_above();
#pragma unroll
        for (int j = 0; j < v - 1; ++j) {
          if (last + j < end) state = Op::combine(state, lift<Op>(some[j], last + j));
        }
      }
    }
  }
  state = pass.threads > kWarp ? block_reduce<Op>(state, stage) : warp_reduce<Op>(state, pass.threads);
  if (!active || lane != 0) return;
  if (pass.partial) {
    store_one(static_cast<State*>(pass.y) + task, state);
  } else {
    static_cast<typename Op::Result*>(pass.y)[place.out] = Op::finish(state, pass.whole);
  }
}

// Neighbouring threads reduce neighbouring results, v each; the rows of threads in a block share the
// elements.
template <class Op, class In, int v>
TIDU_PART(ReduceTuning::kThreads, 1)
reduce_columns(TIDU_PASS(ReducePass) pass) {
  using State = typename Op::State;
  using Result = typename Op::Result;
  TIDU_SHARED(stage, Staged<State, ReduceTuning::kThreads>);
  const int thread = static_cast<int>(threadIdx.x), height = ReduceTuning::kThreads / pass.threads;
  const int y = thread / pass.threads;
  const int64_t tile = int64_t{TIDU_BLOCK} / pass.splits, split = TIDU_BLOCK - tile * pass.splits;
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
    int64_t i = begin + y;
    if (pass.reduced.rank == 1) {
      constexpr int loads = kLoads<In, v>;
      const int64_t stride = pass.reduced.in[0];
      for (; i + (loads - 1) * height < end; i += loads * height) {
        decltype(load_some<v>(x)) some[loads];
#pragma unroll
        for (int k = 0; k < loads; ++k) some[k] = load_some<v>(x + (i + k * height) * stride);
        loads_above();
#pragma unroll
        for (int j = 0; j < v; ++j) {
          if constexpr (requires { Op::template lift_run<loads>(some[0], i, height); }) {
            In run[loads];
#pragma unroll
            for (int k = 0; k < loads; ++k) run[k] = some[k][j];
            state[j] = Op::combine(state[j], lift_all<Op, loads>(run, i, height));
          } else {
#pragma unroll
            for (int k = 0; k < loads; ++k)
              state[j] = Op::combine(state[j], lift<Op>(some[k][j], i + k * height));
          }
        }
      }
    }
    if (pass.is_vast()) {
#pragma unroll 1
      for (; i < end; i += height) {
        const auto some = load_some<v>(x + pass.reduced.at(i).in);
#pragma unroll
        for (int j = 0; j < v; ++j) state[j] = Op::combine(state[j], lift<Op>(some[j], i));
      }
    }
    constexpr int loads = kLastLoads<In, v>;
#pragma unroll 1
    for (; i < end; i += loads * height) {
      decltype(load_some<v>(x)) some[loads] = {};
#pragma unroll
      for (int k = 0; k < loads; ++k) {
        if (i + k * height < end) some[k] = load_some<v>(x + pass.element(i + k * height));
      }
      loads_above();
#pragma unroll
      for (int k = 0; k < loads; ++k) {
        if (i + k * height >= end) continue;
#pragma unroll
        for (int j = 0; j < v; ++j) state[j] = Op::combine(state[j], lift<Op>(some[k][j], i + k * height));
      }
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
    State* to = static_cast<State*>(pass.y) + split * pass.results + result;
    if constexpr (v > 1) {
      Vec<State, v> some;
#pragma unroll
      for (int j = 0; j < v; ++j) some[j] = state[j];
      store_vec<v>(to, some);
    } else {
      store_one(to, state[0]);
    }
  } else {
    Vec<Result, v> some;
#pragma unroll
    for (int j = 0; j < v; ++j) some[j] = Op::finish(state[j], pass.whole);
    store_vec<v>(static_cast<Result*>(pass.y) + place.out, some);
  }
}

#ifndef TIDU_PARTS

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
                     .partial = partial,
                     .whole = reduce.whole};
  const auto call = [] {
    return (columns ? "reduce_columns<" : "reduce_rows<") + spelled<Op>() + ", " + spelled<In>() + ", " +
           std::to_string(v) + ">(block, pass)";
  };
  constexpr const char* header = "kernels/cuda/reduce.cuh";
  if constexpr (columns) {
    pass.threads = static_cast<int>(reduce.span()) / v;
    const int64_t tiles = (pass.results + reduce.span() - 1) / reduce.span();
    const unsigned blocks = static_cast<unsigned>(tiles * pass.splits);
    return launch_part<reduce_columns<Op, In, v>>({blocks, T::kThreads, 0, stream}, pass, header, call);
  } else {
    const int64_t vectors = (std::min(pass.n, pass.chunk) + v - 1) / v;
    if (vectors <= T::block_row(pass.results * pass.splits)) {
      pass.threads = 1;
      while (pass.threads < kWarp && pass.threads < vectors) pass.threads *= 2;
    }
    const int64_t groups = T::kThreads / pass.threads;
    const unsigned blocks = static_cast<unsigned>((pass.results * pass.splits + groups - 1) / groups);
    return launch_part<reduce_rows<Op, In, v>>({blocks, T::kThreads, 0, stream}, pass, header, call);
  }
}

// Whether v elements go in one access.
template <class Op, class T> bool vectorises(const Reduce& reduce, int v) {
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

template <class Op, class T, bool columns>
[[nodiscard]] cudaError_t reduce_passes(cudaStream_t stream, Reduce reduce, bool states) {
  using State = typename Op::State;
  // Each column has a state of its own, and those of one access are one access too; registers are enough
  // for 8.
  constexpr int widest = columns ? std::clamp<int>(16 / sizeof(State), 1, std::min(kVec<T>, 8)) : kVec<T>;
  // The last pass writes to y, the ones before it behind each other.
  const auto direct = [states](Reduce& pass) {
    if (states && pass.splits() == 1) pass.workspace = pass.y;
    return states || pass.splits() > 1;
  };
  const bool wide = vectorises<Op, T>(reduce, widest), partial = direct(reduce);
  cudaError_t error = wide ? launch_reduce<Op, T, columns, widest>(stream, reduce, partial)
                           : launch_reduce<Op, T, columns, 1>(stream, reduce, partial);
  while (error == cudaSuccess && reduce.splits() > 1) {
    reduce = reduce.next();
    const bool more = direct(reduce);
    error = launch_reduce<reduction::OfStates<Op>, State, columns, 1>(stream, reduce, more);
  }
  return error;
}

// Reduces elements of type T. With `states`, the states themselves are the results.
template <class Op, class T>
[[nodiscard]] cudaError_t reduce_with(cudaStream_t stream, const Reduce& reduce, bool states = false) {
  if (reduce.results() == 0) return cudaSuccess;
  return reduce.columns ? reduce_passes<Op, T, true>(stream, reduce, states)
                        : reduce_passes<Op, T, false>(stream, reduce, states);
}

// The row of a table for elements of type T, which it takes for Numbers.
template <template <class> class Struct, class Numbers, class T> constexpr ReduceKernel reduction_of() {
  if constexpr (std::is_void_v<Numbers>) {
    return {};
  } else {
    using Op = reduction::ReductionOf<Struct, Numbers, T>;
    return {[](cudaStream_t stream, const Reduce& reduce) { return reduce_with<Op, T>(stream, reduce); },
            sizeof(typename Op::State)};
  }
}

template <class T> ReduceKernel reduction_row(int row) {
  static constexpr ReduceKernel rows[] = {
#define REDUCTION(name, Struct, types, ...) \
  reduction_of<reduction::Struct, reduction::types##_numbers<T>, T>(),
#include "csrc/ops/reduce.def"
  };
  return rows[row];
}

#endif

}  // namespace tidu::cuda
