// Scaled dot-product attention, tile by tile: no matrix of weights is stored.
//
// A block has a tile of rows of one result and walks over what these meet. A thread has two queries and four
// keys of a tile of scores, and two rows and eight columns of the result.
#include "kernels/cuda/attention.h"

#include <limits>

#include "kernels/convert.h"
#include "kernels/cuda/warp.cuh"
#include "kernels/scalar.h"

namespace tidu::cuda {
namespace {

constexpr int kTile = AttentionTuning::kTile, kThreads = AttentionTuning::kThreads,
              kColumns = AttentionTuning::kColumns;
constexpr int kRows = 2, kKeys = 4, kResults = 8, kAcross = kTile / kKeys;  // of a thread; threads of a row
static_assert(kThreads == kTile / kRows * kAcross && kColumns == kResults * kAcross);

template <class Real> using Tile = Real[kTile][kTile + 1];
template <class Real> using Panel = Real[kTile][kColumns + 1];

template <class Real> inline constexpr Real kInfinite = std::numeric_limits<Real>::infinity();

template <class Real> struct Largest {
  TIDU_HD static Real combine(Real a, Real b) { return b > a ? b : a; }
};
template <class Real> struct Total {
  TIDU_HD static Real combine(Real a, Real b) { return a + b; }
};

// Rows of a row-major matrix, as many as there are from a tile's first on.
template <class T> struct Rows {
  const T* data;
  int64_t count, columns;

  __device__ __forceinline__ Rows(const void* matrices, int64_t batch, int64_t rows, int64_t columns,
                                  int64_t first)
      : data(static_cast<const T*>(matrices) + (batch * rows + first) * columns),
        count(rows - first),
        columns(columns) {}
  // An element, and 0 where there is none.
  __device__ __forceinline__ Computed<T> at(int row, int64_t column) const {
    const bool inside = row < count && column < columns;
    return inside ? static_cast<Computed<T>>(data[row * columns + column]) : Computed<T>(0);
  }
};

// product[r][c]: this thread's part of a b^T. Begins and ends with a barrier.
template <class T>
__device__ __forceinline__ void multiply_tile(const Rows<T>& a, const Rows<T>& b, Tile<Computed<T>>& left,
                                              Tile<Computed<T>>& right,
                                              Computed<T> (&product)[kRows][kKeys]) {
  const int thread = static_cast<int>(threadIdx.x), row = thread / kAcross * kRows, lane = thread % kAcross;
#pragma unroll
  for (int r = 0; r < kRows; ++r) {
#pragma unroll
    for (int c = 0; c < kKeys; ++c) product[r][c] = 0;
  }
  __syncthreads();
#pragma unroll 1
  for (int64_t from = 0; from < a.columns; from += kTile) {
#pragma unroll 1
    for (int i = thread; i < kTile * kTile; i += kThreads) {
      left[i / kTile][i % kTile] = a.at(i / kTile, from + i % kTile);
      right[i / kTile][i % kTile] = b.at(i / kTile, from + i % kTile);
    }
    __syncthreads();
#pragma unroll 2
    for (int d = 0; d < kTile; ++d) {
#pragma unroll
      for (int r = 0; r < kRows; ++r) {
#pragma unroll
        for (int c = 0; c < kKeys; ++c) product[r][c] += left[row + r][d] * right[lane + c * kAcross][d];
      }
    }
    __syncthreads();
  }
}

// Columns of a tile of rows, as a block reads them again and again.
template <class T>
__device__ __forceinline__ void load_panel(const Rows<T>& rows, int64_t first, Panel<Computed<T>>& panel) {
#pragma unroll 1
  for (int i = static_cast<int>(threadIdx.x); i < kTile * kColumns; i += kThreads)
    panel[i / kColumns][i % kColumns] = rows.at(i / kColumns, first + i % kColumns);
}

// The score of a query and a key from their product; -inf where there is none.
template <class T>
__device__ __forceinline__ Computed<T> score(const Attention& work, int64_t mask, int64_t i, int64_t j,
                                             Computed<T> product) {
  using Real = Computed<T>;
  if (i >= work.queries || j >= work.keys || (work.causal && j > i)) return -kInfinite<Real>;
  const Real value = product * static_cast<Real>(work.scale);
  if (!work.mask) return value;
  const int64_t at = mask + i * work.by_query + j * work.by_key;
  if (work.is_boolean) return static_cast<const bool*>(work.mask)[at] ? value : -kInfinite<Real>;
  return value + static_cast<Real>(static_cast<const T*>(work.mask)[at]);
}

// Where the mask of a batch begins.
// 64-bit division is a call, around which registers are spilled.
__device__ __forceinline__ int64_t mask_offset(const Attention& work, uint32_t batch) {
  int64_t offset = 0;
#pragma unroll 1
  for (int axis = work.axes - 1; axis >= 0; --axis) {
    offset += static_cast<int64_t>(batch % work.size[axis]) * work.stride[axis];
    batch /= work.size[axis];
  }
  return offset;
}

// Rows that have nothing but -inf get weights 0.
template <class Real> __device__ __forceinline__ Real shifted(Real score, Real shift) {
  return shift == -kInfinite<Real> ? Real(0) : scalar::exp(score - shift);
}

template <class T> __global__ void __launch_bounds__(kThreads) attend(Attention work) {
  using Real = Computed<T>;
  TIDU_SHARED(left, Tile<Real>);
  TIDU_SHARED(right, Tile<Real>);
  TIDU_SHARED(panel, Panel<Real>);
  const int thread = static_cast<int>(threadIdx.x), row = thread / kAcross * kRows, lane = thread % kAcross;
  const auto tiles = static_cast<uint32_t>((work.queries + kTile - 1) / kTile);
  const uint32_t batch = blockIdx.x / tiles;
  const int64_t first = int64_t{blockIdx.x % tiles} * kTile, column = int64_t{blockIdx.y} * kColumns;
  const int64_t mask = mask_offset(work, batch);
  const Rows<T> q(work.q, batch, work.queries, work.depth, first);
  const int64_t seen = work.causal && first + kTile < work.keys ? first + kTile : work.keys;
  Real most[kRows], total[kRows], out[kRows][kResults] = {};
#pragma unroll
  for (int r = 0; r < kRows; ++r) most[r] = -kInfinite<Real>, total[r] = 0;
  for (int64_t j = 0; j < seen; j += kTile) {
    const Rows<T> k(work.k, batch, work.keys, work.depth, j), v(work.v, batch, work.keys, work.width, j);
    Real s[kRows][kKeys];
    multiply_tile<T>(q, k, left, right, s);
    load_panel<T>(v, column, panel);
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      const Real before = most[r];
      Real largest = before, sum = 0;
#pragma unroll
      for (int c = 0; c < kKeys; ++c) {
        s[r][c] = score<T>(work, mask, first + row + r, j + lane + c * kAcross, s[r][c]);
        largest = Largest<Real>::combine(largest, s[r][c]);
      }
      most[r] = warp_reduce<Largest<Real>>(largest, kAcross);
#pragma unroll
      for (int c = 0; c < kKeys; ++c) {
        const Real weight = shifted(s[r][c], most[r]);
        // A NaN among scores of which none is larger than -inf.
        const Real kept = s[r][c] == s[r][c] ? weight : s[r][c];
        left[row + r][lane + c * kAcross] = kept;
        sum += kept;
      }
      const Real factor = before == most[r] ? Real(1) : scalar::exp(before - most[r]);
      total[r] = total[r] * factor + warp_reduce<Total<Real>>(sum, kAcross);
#pragma unroll
      for (int c = 0; c < kResults; ++c) out[r][c] *= factor;
    }
    __syncthreads();
#pragma unroll 2
    for (int i = 0; i < kTile; ++i) {
#pragma unroll
      for (int r = 0; r < kRows; ++r) {
#pragma unroll
        for (int c = 0; c < kResults; ++c) out[r][c] += left[row + r][i] * panel[i][lane + c * kAcross];
      }
    }
  }
#pragma unroll
  for (int r = 0; r < kRows; ++r) {
    const int64_t i = first + row + r;
    if (i >= work.queries) continue;
    const Real factor = total[r] == Real(0) ? Real(0) : Real(1) / total[r];
#pragma unroll
    for (int c = 0; c < kResults; ++c) {
      const int64_t at = column + lane + c * kAcross;
      if (at < work.width)
        static_cast<T*>(work.y_out)[(batch * work.queries + i) * work.width + at] =
            static_cast<T>(out[r][c] * factor);
    }
    if (blockIdx.y == 0 && lane == 0)
      static_cast<Real*>(work.sums)[batch * work.queries + i] = most[r] + scalar::log(total[r]);
  }
}

enum class Side : uint8_t { query, key, value };

// The cotangents of a tile of queries, keys or values.
template <class T, Side side> __global__ void __launch_bounds__(kThreads) attend_back(Attention work) {
  using Real = Computed<T>;
  TIDU_SHARED(left, Tile<Real>);
  TIDU_SHARED(right, Tile<Real>);
  TIDU_SHARED(panel, Panel<Real>);
  TIDU_SHARED(deltas, Real[kTile]);
  const int thread = static_cast<int>(threadIdx.x), row = thread / kAcross * kRows, lane = thread % kAcross;
  const int64_t rows = side == Side::query ? work.queries : work.keys,
                columns = side == Side::value ? work.width : work.depth;
  const auto tiles = static_cast<uint32_t>((rows + kTile - 1) / kTile);
  const uint32_t batch = blockIdx.x / tiles;
  const int64_t first = int64_t{blockIdx.x % tiles} * kTile, column = int64_t{blockIdx.y} * kColumns;
  const int64_t mask = mask_offset(work, batch);
  int64_t begin = 0, end = side == Side::query ? work.keys : work.queries;
  if (work.causal && side == Side::query && first + kTile < end) end = first + kTile;
  if (work.causal && side != Side::query) begin = first;
  Real out[kRows][kResults] = {};
  for (int64_t other = begin; other < end; other += kTile) {
    const int64_t i0 = side == Side::query ? first : other, j0 = side == Side::query ? other : first;
    const Rows<T> q(work.q, batch, work.queries, work.depth, i0), k(work.k, batch, work.keys, work.depth, j0),
        v(work.v, batch, work.keys, work.width, j0), g(work.g, batch, work.queries, work.width, i0),
        y(work.y, batch, work.queries, work.width, i0);
    Real p[kRows][kKeys], slope[kRows][kKeys];
    multiply_tile<T>(q, k, left, right, p);
    if constexpr (side != Side::value) {
      constexpr int together = kThreads / kTile;
      Real delta = 0;
#pragma unroll 1
      for (int64_t c = thread % together; c < work.width; c += together)
        delta += g.at(thread / together, c) * y.at(thread / together, c);
      delta = warp_reduce<Total<Real>>(delta, together);
      if (thread % together == 0) deltas[thread / together] = delta;
      multiply_tile<T>(g, v, left, right, slope);
    }
    load_panel<T>(side == Side::query ? k : side == Side::key ? q : g, column, panel);
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      const int64_t i = i0 + row + r;
      const Real sum =
          i < work.queries ? static_cast<const Real*>(work.sums)[batch * work.queries + i] : -kInfinite<Real>;
#pragma unroll
      for (int c = 0; c < kKeys; ++c) {
        Real weight = shifted(score<T>(work, mask, i, j0 + lane + c * kAcross, p[r][c]), sum);
        if constexpr (side != Side::value)
          weight = weight == Real(0) ? Real(0) : weight * (slope[r][c] - deltas[row + r]);
        left[row + r][lane + c * kAcross] = weight;
      }
    }
    __syncthreads();
#pragma unroll 2
    for (int i = 0; i < kTile; ++i) {
#pragma unroll
      for (int r = 0; r < kRows; ++r) {
        const Real weight = side == Side::query ? left[row + r][i] : left[i][row + r];
#pragma unroll
        for (int c = 0; c < kResults; ++c) out[r][c] += weight * panel[i][lane + c * kAcross];
      }
    }
  }
  void* const to = side == Side::query ? work.dq : side == Side::key ? work.dk : work.dv;
  const Real factor = side == Side::value ? Real(1) : static_cast<Real>(work.scale);
#pragma unroll
  for (int r = 0; r < kRows; ++r) {
    const int64_t i = first + row + r;
#pragma unroll
    for (int c = 0; c < kResults; ++c) {
      const int64_t at = column + lane + c * kAcross;
      if (i < rows && at < columns)
        static_cast<T*>(to)[(batch * rows + i) * columns + at] = static_cast<T>(out[r][c] * factor);
    }
  }
}

Grid grid_of(cudaStream_t stream, const Attention& work, int64_t rows, int64_t columns) {
  const auto blocks = static_cast<unsigned>(work.batches * ((rows + kTile - 1) / kTile));
  const int64_t across = columns > kColumns ? (columns + kColumns - 1) / kColumns : 1;
  return {dim3(blocks, static_cast<unsigned>(across)), dim3(kThreads), 0, stream};
}

}  // namespace

cudaError_t attention(cudaStream_t stream, DType dtype, const Attention& work) {
  if (work.batches * work.queries == 0) return cudaSuccess;
  return visit_floating(dtype, cudaErrorInvalidValue, [&]<class T>() {
    return launch<attend<T>>(grid_of(stream, work, work.queries, work.width), work);
  });
}

cudaError_t attention_grad(cudaStream_t stream, DType dtype, const Attention& work) {
  return visit_floating(dtype, cudaErrorInvalidValue, [&]<class T>() {
    cudaError_t error = cudaSuccess;
    if (work.dq && work.batches * work.queries * work.depth > 0)
      error = launch<attend_back<T, Side::query>>(grid_of(stream, work, work.queries, work.depth), work);
    if (error == cudaSuccess && work.dk && work.batches * work.keys * work.depth > 0)
      error = launch<attend_back<T, Side::key>>(grid_of(stream, work, work.keys, work.depth), work);
    if (error == cudaSuccess && work.dv && work.batches * work.keys * work.width > 0)
      error = launch<attend_back<T, Side::value>>(grid_of(stream, work, work.keys, work.width), work);
    return error;
  });
}

}  // namespace tidu::cuda
