// Normalisation of channels: launches that sum over parts of channels, and one that puts the sums together
// and writes.
#include "kernels/cuda/batch_norm.h"

#include "kernels/convert.h"
#include "kernels/cuda/block.cuh"
#include "kernels/norm.h"

namespace tidu::cuda {
namespace {

// What is summed of a part of a channel, and of all: going forward the mean's distance from the channel's
// first element, the squares around it and the scale of both, going backward g, g times the normalised x, and
// how many g are not 0.
template <class Real> struct Sums {
  Real first, second, third;
  TIDU_HD static Sums combine(Sums a, Sums b) {
    return {a.first + b.first, a.second + b.second, a.third + b.third};
  }
};

// This block's vectors of its channel.
struct Stretch {
  int64_t row, begin, end;

  __device__ __forceinline__ Stretch(const BatchNorm& work, int v, unsigned part)
      : row(work.inner / v),
        begin(work.images * row * part / work.parts),
        end(work.images * row * (part + 1) / work.parts) {}

  // f(first element) of each vector of this thread.
  template <int v, class F> __device__ __forceinline__ void each(const BatchNorm& work, const F& f) const {
    if (begin == end) return;
    const int64_t threads = blockDim.x, step = threads / row, rest = threads - step * row;
    int64_t i = begin + threadIdx.x, image = i / row, at = i - image * row;
#pragma unroll 2
    for (; i < end; i += threads) {
      f(((image * work.channels + blockIdx.x) * row + at) * v);
      image += step, at += rest;
      if (at >= row) at -= row, ++image;
    }
  }
};

template <class T> __device__ __forceinline__ Computed<T> number(const void* p, Computed<T> otherwise) {
  return p ? static_cast<Computed<T>>(static_cast<const T*>(p)[blockIdx.x]) : otherwise;
}

// Those of the parts of this block's channel: the moments, or backward what is summed then.
enum Which : uint8_t { kMoments, kSums };
template <class Real> __device__ __forceinline__ Sums<Real>* partials(const BatchNorm& work, Which which) {
  return static_cast<Sums<Real>*>(work.workspace) + (work.channels * which + blockIdx.x) * work.parts;
}

template <class T> __device__ __forceinline__ Computed<T> first_of(const BatchNorm& work) {
  if (work.images * work.inner == 0) return 0;
  return static_cast<Computed<T>>(static_cast<const T*>(work.x)[blockIdx.x * work.inner]);
}

// Of this block's channel, from the moments of its parts.
template <class T, int v> __device__ __forceinline__ RowNorm<Computed<T>> norm_of(const BatchNorm& work) {
  using Real = Computed<T>;
  const Sums<Real>* const parts = partials<Real>(work, kMoments);
  const auto size = [&](int p) {
    const Stretch stretch(work, v, static_cast<unsigned>(p));
    return static_cast<Real>((stretch.end - stretch.begin) * v);
  };
  const Real count = static_cast<Real>(work.images * work.inner);
  RowNorm<Real> row;
  row.scale = parts[0].third;
  for (int p = 1; p < work.parts; ++p) row.scale = scalar::minimum(row.scale, parts[p].third);
  row.origin = first_of<T>(work) * row.scale;
  const auto step = [&](int p) { return Level<Real>::step(parts[p].third, row.scale); };
  Real squares = 0;
  for (int p = 0; p < work.parts; ++p) row.distance += size(p) * parts[p].first * step(p);
  row.distance /= count;
  for (int p = 0; p < work.parts; ++p) {
    const Real distance = parts[p].first * step(p) - row.distance;
    squares += parts[p].second * step(p) * step(p) + size(p) * distance * distance;
  }
  row.finish(squares / count, static_cast<Real>(work.eps));
  return row;
}

template <class T, int v>
__global__ void __launch_bounds__(BatchNormTuning::kThreads, 1) part_moments(BatchNorm work) {
  using Real = Computed<T>;
  TIDU_SHARED(stage, WarpStage<Sums<Real>>);
  const T* const x = static_cast<const T*>(work.x);
  const Stretch stretch(work, v, blockIdx.y);
  const Real count = static_cast<Real>((stretch.end - stretch.begin) * v), first = first_of<T>(work);
  // The sum of f(x) over the stretch.
  const auto over = [&](const auto& f) {
    Sums<Real> sums = {0, 0, 0};
    stretch.each<v>(work, [&](int64_t at) {
      const Vec<T, v> some = load_vec<v>(x + at);
#pragma unroll
      for (int j = 0; j < v; ++j) sums.first += f(static_cast<Real>(some[j]));
    });
    sums = block_reduce<Sums<Real>>(sums, stage);
    __syncthreads();
    return sums.first;
  };
  RowNorm<Real> row;
#pragma unroll 1
  for (;;) {
    row.origin = first * row.scale;
    row.distance = over([&](Real x) { return row.from_origin(x); }) / count;
    const Real squares = over([&](Real x) { return row.centred(x) * row.centred(x); });
    const Real scale = row.rescaled(squares, static_cast<Real>(work.eps));
    if (scale == Real(1)) {
      if (threadIdx.x == 0) partials<Real>(work, kMoments)[blockIdx.y] = {row.distance, squares, row.scale};
      return;
    }
    row = {.scale = scale};
  }
}

template <class T, int v>
__global__ void __launch_bounds__(BatchNormTuning::kThreads, 1) normalise(BatchNorm work) {
  using Real = Computed<T>;
  const RowNorm<Real> channel = norm_of<T, v>(work);
  if (blockIdx.y == 0 && threadIdx.x == 0) {
    static_cast<Real*>(work.mean)[blockIdx.x] = channel.mean();
    static_cast<Real*>(work.variance)[blockIdx.x] = channel.variance();
  }
  const Real weight = number<T>(work.weight, Real(1)), bias = number<T>(work.bias, Real(0));
  const T* const x = static_cast<const T*>(work.x);
  T* const y = static_cast<T*>(work.y);
  Stretch(work, v, blockIdx.y).template each<v>(work, [&](int64_t first) {
    Vec<T, v> some = load_vec<v>(x + first);
#pragma unroll
    for (int j = 0; j < v; ++j)
      some[j] = static_cast<T>(channel.normalised(static_cast<Real>(some[j])) * weight + bias);
    store_vec<v>(y + first, some);
  });
}

template <class T, int v>
__global__ void __launch_bounds__(BatchNormTuning::kThreads, 1) part_sums(BatchNorm work) {
  using Real = Computed<T>;
  TIDU_SHARED(stage, WarpStage<Sums<Real>>);
  const RowNorm<Real> channel = norm_of<T, v>(work);
  const T *const x = static_cast<const T*>(work.x), *const g = static_cast<const T*>(work.g);
  Sums<Real> sums = {0, 0, 0};
  Stretch(work, v, blockIdx.y).template each<v>(work, [&](int64_t first) {
    const Vec<T, v> some = load_vec<v>(x + first), others = load_vec<v>(g + first);
#pragma unroll
    for (int j = 0; j < v; ++j) {
      const Real u = static_cast<Real>(others[j]);
      sums.first += u;
      sums.second += u != Real(0) ? u * channel.normalised(static_cast<Real>(some[j])) : Real(0);
      sums.third += u != Real(0) ? Real(1) : Real(0);
    }
  });
  sums = block_reduce<Sums<Real>>(sums, stage);
  if (threadIdx.x == 0) partials<Real>(work, kSums)[blockIdx.y] = sums;
}

template <class T, int v>
__global__ void __launch_bounds__(BatchNormTuning::kThreads, 1) pull_back(BatchNorm work) {
  using Real = Computed<T>;
  const Sums<Real>* const parts = partials<Real>(work, kSums);
  Sums<Real> sums = parts[0];
  for (int p = 1; p < work.parts; ++p) sums = Sums<Real>::combine(sums, parts[p]);
  if (blockIdx.y == 0 && threadIdx.x == 0) {
    static_cast<Real*>(work.of_weight)[blockIdx.x] = sums.second;
    static_cast<Real*>(work.of_bias)[blockIdx.x] = sums.first;
  }
  const RowNorm<Real> channel = norm_of<T, v>(work);
  const Real count = static_cast<Real>(work.images * work.inner), mean = sums.first / count;
  const Real along = sums.second / count, slope = channel.slope() * number<T>(work.weight, Real(1));
  const bool wanted = sums.third != Real(0);
  const T *const x = static_cast<const T*>(work.x), *const g = static_cast<const T*>(work.g);
  T* const y = static_cast<T*>(work.y);
  Stretch(work, v, blockIdx.y).template each<v>(work, [&](int64_t first) {
    const Vec<T, v> some = load_vec<v>(x + first), others = load_vec<v>(g + first);
    Vec<T, v> result;
#pragma unroll
    for (int j = 0; j < v; ++j) {
      const Real h = channel.normalised(static_cast<Real>(some[j]));
      const Real value = slope * (static_cast<Real>(others[j]) - mean - h * along);
      result[j] = static_cast<T>(wanted ? value : Real(0));
    }
    store_vec<v>(y + first, result);
  });
}

template <class T, int v, bool backward>
[[nodiscard]] cudaError_t launch_all(cudaStream_t stream, const BatchNorm& work) {
  const dim3 blocks(static_cast<unsigned>(work.channels), static_cast<unsigned>(work.parts));
  const Grid grid{blocks, BatchNormTuning::kThreads, 0, stream};
  if (const cudaError_t error = launch<part_moments<T, v>>(grid, work); error != cudaSuccess) return error;
  if constexpr (!backward) return launch<normalise<T, v>>(grid, work);
  if (const cudaError_t error = launch<part_sums<T, v>>(grid, work); error != cudaSuccess) return error;
  return launch<pull_back<T, v>>(grid, work);
}

template <bool backward>
[[nodiscard]] cudaError_t batch_norm_with(cudaStream_t stream, DType dtype, const BatchNorm& work) {
  if (work.channels == 0) return cudaSuccess;
  return visit_floating(dtype, cudaErrorInvalidValue, [&]<class T>() {
    constexpr int widest = kVec<T>;
    const auto aligned = [](const void* p) { return reinterpret_cast<uintptr_t>(p) % 16 == 0; };
    const bool wide = work.inner % widest == 0 && aligned(work.x) && aligned(work.y) && aligned(work.g);
    return wide ? launch_all<T, widest, backward>(stream, work) : launch_all<T, 1, backward>(stream, work);
  });
}

}  // namespace

cudaError_t batch_norm(cudaStream_t stream, DType dtype, const BatchNorm& work) {
  return batch_norm_with<false>(stream, dtype, work);
}

cudaError_t batch_norm_grad(cudaStream_t stream, DType dtype, const BatchNorm& work) {
  return batch_norm_with<true>(stream, dtype, work);
}

}  // namespace tidu::cuda
