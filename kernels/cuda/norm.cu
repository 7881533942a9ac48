// Normalisation of contiguous rows.
#include "kernels/cuda/norm.h"

#include "kernels/convert.h"
#include "kernels/cuda/block.cuh"
#include "kernels/norm.h"

namespace tidu::cuda {
namespace {

template <class Real> struct Pair {
  Real first, second;
  TIDU_HD static Pair combine(Pair a, Pair b) { return {a.first + b.first, a.second + b.second}; }
};

// A row of x, and with `two` of g beside it, in the registers of a warp or a block; 0 beyond the row.
template <class T, int v, bool two> struct HeldRow {
  using Real = Computed<T>;
  static constexpr int kHeld = NormTuning::held(two || v == 1) / (sizeof(T) == 8 ? 2 : 1);
  static constexpr int kVectors = kHeld / v;

  Real x[kHeld], g[two ? kHeld : 1];
  int n, thread, threads;

  __device__ __forceinline__ HeldRow(const T* x_row, const T* g_row, int64_t count, int thread, int threads)
      : n(static_cast<int>(count)), thread(thread), threads(threads) {
    Vec<T, v> some[kVectors] = {}, others[two ? kVectors : 1] = {};
#pragma unroll
    for (int k = 0; k < kVectors; ++k) {
      if (at(k) >= n) continue;
      some[k] = load_vec<v>(x_row + at(k));
      if constexpr (two) others[k] = load_vec<v>(g_row + at(k));
    }
    loads_above();
#pragma unroll
    for (int i = 0; i < kHeld; ++i) {
      x[i] = static_cast<Real>(some[i / v][i % v]);
      if constexpr (two) g[i] = static_cast<Real>(others[i / v][i % v]);
    }
  }
  __device__ __forceinline__ int at(int k) const { return (k * threads + thread) * v; }

  // f(k-th vector's place, x, g) for each vector of this thread.
  template <class F> __device__ __forceinline__ void each(const F& f) const {
#pragma unroll
    for (int k = 0; k < kVectors; ++k) {
      if (at(k) < n) f(at(k), x + k * v, g + (two ? k * v : 0));
    }
  }
  // The same with what load(place) gives beside them.
  template <class Load, class F> __device__ __forceinline__ void each(const Load& load, const F& f) const {
    constexpr int together = kVectors < NormTuning::kTogether ? kVectors : NormTuning::kTogether;
#pragma unroll
    for (int first = 0; first < kVectors; first += together) {
      decltype(load(0)) loaded[together] = {};
#pragma unroll
      for (int k = 0; k < together; ++k) {
        if (at(first + k) < n) loaded[k] = load(at(first + k));
      }
      loads_above();
#pragma unroll
      for (int k = 0; k < together; ++k) {
        const int at_k = (first + k) * v;
        if (at(first + k) < n) f(at(first + k), x + at_k, g + (two ? at_k : 0), loaded[k]);
      }
    }
  }
};

// The same for a row that is read again on each pass.
template <class T, int v, bool two> struct ReadRow {
  using Real = Computed<T>;

  const T *x_row, *g_row;
  int64_t n;
  int thread, threads;

  __device__ __forceinline__ ReadRow(const T* x_row, const T* g_row, int64_t n, int thread, int threads)
      : x_row(x_row), g_row(g_row), n(n), thread(thread), threads(threads) {}

  template <class F> __device__ __forceinline__ void each(const F& f) const {
#pragma unroll 2
    for (int64_t at = int64_t{thread} * v; at < n; at += int64_t{threads} * v) {
      const Vec<T, v> some = load_vec<v>(x_row + at);
      Vec<T, v> others = {};
      if constexpr (two) others = load_vec<v>(g_row + at);
      Real x[v], g[v];
#pragma unroll
      for (int j = 0; j < v; ++j) x[j] = static_cast<Real>(some[j]), g[j] = static_cast<Real>(others[j]);
      f(at, x, g);
    }
  }
  template <class Load, class F> __device__ __forceinline__ void each(const Load& load, const F& f) const {
    each([&](int64_t at, const Real* x, const Real* g) { f(at, x, g, load(at)); });
  }
};

// The weight, and the bias of a norm that goes forward, at a vector's place.
template <class T, int v> struct Affine { Vec<T, v> weight, bias; };

template <class T, int v> struct LoadAffine {
  const T *weight, *bias;

  __device__ __forceinline__ explicit LoadAffine(const Norm& work)
      : weight(static_cast<const T*>(work.weight)), bias(static_cast<const T*>(work.bias)) {}
  __device__ __forceinline__ Affine<T, v> operator()(int64_t at) const {
    Affine<T, v> some = {};
    if (weight) some.weight = load_vec<v>(weight + at);
    if (bias) some.bias = load_vec<v>(bias + at);
    return some;
  }
};

template <class T, int v, bool block> struct Reducer {
  using Real = Computed<T>;

  WarpStage<Pair<Real>>& stage;

  // The sums over a row of what f adds to a pair for each vector; every thread gets them.
  template <class Row, class F> __device__ __forceinline__ Pair<Real> operator()(const Row& row, const F& f) {
    Pair<Real> sums = {0, 0};
    row.each([&](int64_t, const Real* x, const Real* g) { f(sums, x, g); });
    return over_row(sums);
  }
  __device__ __forceinline__ Pair<Real> over_row(Pair<Real> sums) {
    if constexpr (!block) return warp_reduce<Pair<Real>>(sums, kWarp);
    sums = block_reduce<Pair<Real>>(sums, stage);
    __syncthreads();
    return sums;
  }
};

template <class T, int v, class Reduce, class Row>
__device__ __forceinline__ RowNorm<Computed<T>> norm_of(const Norm& work, Reduce& over, const Row& values,
                                                        Computed<T> first) {
  using Real = Computed<T>;
  const Real count = static_cast<Real>(work.n), eps = static_cast<Real>(work.eps);
  RowNorm<Real> row;
#pragma unroll 1
  for (;;) {
    if (work.centred) {
      row.origin = first * row.scale;
      const Pair<Real> sums = over(values, [&](Pair<Real>& sums, const Real* x, const Real*) {
#pragma unroll
        for (int j = 0; j < v; ++j) sums.first += row.from_origin(x[j]);
      });
      row.distance = sums.first / count;
    }
    const Real squares = over(values, [&](Pair<Real>& sums, const Real* x, const Real*) {
#pragma unroll
                           for (int j = 0; j < v; ++j) sums.first += row.centred(x[j]) * row.centred(x[j]);
                         }).first;
    const Real scale = row.rescaled(squares, eps);
    if (scale == 1) {
      row.finish(squares / count, eps);
      return row;
    }
    row = {.scale = scale};
  }
}

// x[j] times the weight, if there is one.
template <class T, int v>
__device__ __forceinline__ void weigh(const Norm& work, const Affine<T, v>& affine, const Computed<T>* x,
                                      Computed<T>* y) {
#pragma unroll
  for (int j = 0; j < v; ++j) y[j] = work.weight ? x[j] * static_cast<Computed<T>>(affine.weight[j]) : x[j];
}

// A warp or a block has a row.
template <class T, int v, bool block, bool held, bool backward>
__global__ void __launch_bounds__(block ? NormTuning::kLongThreads : NormTuning::kThreads, 1)
    norm_rows(Norm work) {
  using Real = Computed<T>;
  using Row = std::conditional_t<held, HeldRow<T, v, backward>, ReadRow<T, v, backward>>;
  TIDU_SHARED(stage, WarpStage<Pair<Real>>);
  const int thread = static_cast<int>(threadIdx.x), threads = block ? static_cast<int>(blockDim.x) : kWarp;
  const int64_t r =
      block ? blockIdx.x : int64_t{blockIdx.x} * (NormTuning::kThreads / kWarp) + thread / kWarp;
  if (r >= work.rows) return;
  const T* const g = backward ? static_cast<const T*>(work.g) + r * work.n : nullptr;
  const T* const x = static_cast<const T*>(work.x) + r * work.n;
  const Row values(x, g, work.n, thread & (threads - 1), threads);
  Reducer<T, v, block> over{stage};
  const RowNorm<Real> row = norm_of<T, v>(work, over, values, static_cast<Real>(x[0]));
  T* const y = static_cast<T*>(work.y) + r * work.n;
  const LoadAffine<T, v> affine(work);
  const auto store = [y](int64_t at, const Real* value) {
    Vec<T, v> some;
#pragma unroll
    for (int j = 0; j < v; ++j) some[j] = static_cast<T>(value[j]);
    store_vec<v>(y + at, some);
  };
  if constexpr (!backward) {
    values.each(affine, [&](int64_t at, const Real* x, const Real*, const Affine<T, v>& here) {
      Real value[v];
#pragma unroll
      for (int j = 0; j < v; ++j) value[j] = row.normalised(x[j]);
      weigh<T, v>(work, here, value, value);
#pragma unroll
      for (int j = 0; j < v; ++j)
        value[j] = work.bias ? value[j] + static_cast<Real>(here.bias[j]) : value[j];
      store(at, value);
    });
  } else {
    Pair<Real> sums = {0, 0};
    values.each(affine, [&](int64_t, const Real* x, const Real* g, const Affine<T, v>& here) {
      Real u[v];
      weigh<T, v>(work, here, g, u);
#pragma unroll
      for (int j = 0; j < v; ++j) sums.first += u[j], sums.second += row.normalised(x[j]) * u[j];
    });
    sums = over.over_row(sums);
    const Real wanted = over(values, [](Pair<Real>& sums, const Real*, const Real* g) {
#pragma unroll
                          for (int j = 0; j < v; ++j) sums.first += g[j] != Real(0);
                        }).first;
    const Real count = static_cast<Real>(work.n), mean = work.centred ? sums.first / count : Real(0);
    const Real along = sums.second / count;
    values.each(affine, [&](int64_t at, const Real* x, const Real* g, const Affine<T, v>& here) {
      Real u[v];
      weigh<T, v>(work, here, g, u);
#pragma unroll
      for (int j = 0; j < v; ++j) {
        const Real value = row.slope() * ((u[j] - mean) - row.normalised(x[j]) * along);
        u[j] = wanted != Real(0) ? value : Real(0);
      }
      store(at, u);
    });
  }
}

template <class T, int v, bool backward>
[[nodiscard]] cudaError_t launch_norm(cudaStream_t stream, const Norm& work) {
  using N = NormTuning;
  constexpr int64_t held = HeldRow<T, v, backward>::kHeld;
  const auto blocks = static_cast<unsigned>(work.rows);
  if (work.n <= kWarp * held) {
    constexpr unsigned each = N::kThreads / kWarp;
    return launch<norm_rows<T, v, false, true, backward>>(
        {(blocks + each - 1) / each, N::kThreads, 0, stream}, work);
  }
  const unsigned threads = work.n <= N::kThreads * held ? N::kThreads : N::kLongThreads;
  if (work.n <= N::kLongThreads * held)
    return launch<norm_rows<T, v, true, true, backward>>({blocks, threads, 0, stream}, work);
  return launch<norm_rows<T, v, true, false, backward>>({blocks, threads, 0, stream}, work);
}

template <bool backward>
[[nodiscard]] cudaError_t norm_with(cudaStream_t stream, DType dtype, const Norm& work) {
  if (work.rows * work.n == 0) return cudaSuccess;
  return visit_floating(dtype, cudaErrorInvalidValue, [&]<class T>() {
    constexpr int widest = kVec<T>;
    const auto aligned = [](const void* p) { return reinterpret_cast<uintptr_t>(p) % 16 == 0; };
    const bool wide = work.n % widest == 0 && aligned(work.x) && aligned(work.y) && aligned(work.g) &&
                      aligned(work.weight) && aligned(work.bias);
    return wide ? launch_norm<T, widest, backward>(stream, work) : launch_norm<T, 1, backward>(stream, work);
  });
}

}  // namespace

cudaError_t norm(cudaStream_t stream, DType dtype, const Norm& work) {
  return norm_with<false>(stream, dtype, work);
}

cudaError_t norm_grad(cudaStream_t stream, DType dtype, const Norm& work) {
  return norm_with<true>(stream, dtype, work);
}

}  // namespace tidu::cuda
