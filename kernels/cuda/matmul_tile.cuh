// A block computes one tile of the product. Strips of both operands go from global memory through registers
// to one of two shared buffers while the sums are taken from the other.
#pragma once

#include "kernels/cuda/matmul.cuh"

namespace tidu::cuda {

// Threads that a multiprocessor holds at least, so that a thread may use 168 registers.
inline constexpr int kResident = 384;
// The same where elements are loaded one by one, which takes more registers for their places.
inline constexpr int kResidentByElement = 256;

// Steps of k between barriers: enough to fill sectors of memory with elements of 16 bits or more along k.
template <class T> inline constexpr int kDepth = sizeof(T) < 4 ? 16 : 8;

// A tile of m x n sums, shared out over warps_m x warps_n warps of lanes_m x lanes_n lanes. These are a slice
// of the block: slices take turns along k, and their sums are added in order. So a product of few tiles keeps
// warps busy without a detour of its sums through memory.
template <int tile_m, int tile_n, int warps_m_, int warps_n_, int lanes_m_, int lanes_n_, int slices_ = 1>
struct Tile {
  static constexpr int m = tile_m, n = tile_n, slices = slices_;
  static constexpr int warps_m = warps_m_, warps_n = warps_n_, lanes_m = lanes_m_, lanes_n = lanes_n_;
  static constexpr int of_slice = kWarp * warps_m * warps_n, threads = of_slice * slices;
  // Of one thread.
  static constexpr int rows = m / (warps_m * lanes_m), columns = n / (warps_n * lanes_n),
                       sums = rows * columns;
  static_assert(lanes_m * lanes_n == kWarp);
};

using LargeTile = Tile<128, 64, 4, 1, 4, 8>;
using MediumTile = Tile<64, 64, 2, 2, 4, 8>;
using SmallTile = Tile<32, 32, 2, 1, 4, 8>;
using NarrowTile = Tile<128, 16, 4, 1, 8, 4>;
using SlicedTile = Tile<16, 16, 1, 1, 8, 4, 8>;

// Two buffers of `span` lines of an operand, line beside line for each k. Every access below is free of bank
// conflicts: from one k to the next the banks move by one vector.
template <class T, int span> struct alignas(16) Panels { Accumulator<T> at[2][kDepth<T>][span + kGroup<T>]; };

// What a block shares: panels of both operands for each slice, and at the end the sums of slices.
template <class T, class Shape> union Stage {
  struct {
    Panels<T, Shape::m> a;
    Panels<T, Shape::n> b;
  } panels[Shape::slices];
  Accumulator<T> sums[Shape::slices][Shape::slices > 1 ? Shape::sums : 1][Shape::of_slice];
};

// What a thread carries of kDepth elements each of `span` lines. along_k: k runs along neighbours in memory.
// n: neighbours moved in one access; where it is above 1, they are wholly inside the matrix or outside.
template <class T, int span, int threads, bool along_k, int n> class Strip {
  using S = Accumulator<T>;

 public:
  __device__ __forceinline__ void load(const T* data, const Factor<T>& operand, int lines, int ks) {
    each_unit([&](int i, int line, int k) {
      S* const to = staged_ + i * kUnit;
      if constexpr (n > 1) {
        Vec<T, n> whole = {};
        if (line < lines && k < ks) {
          whole = load_vec<n>(data + (along_k ? line * operand.by_line + k : k * operand.by_k + line));
        }
#pragma unroll
        for (int j = 0; j < n; ++j) to[j] = static_cast<S>(whole[j]);
      } else {
#pragma unroll
        for (int j = 0; j < kUnit; ++j) {
          to[j] = line + j < lines && k < ks
                      ? static_cast<S>(data[(line + j) * operand.by_line + k * operand.by_k])
                      : S(0);
        }
      }
    });
  }

  __device__ __forceinline__ void store(S (&buffer)[kDepth<T>][span + kGroup<T>]) const {
    each_unit([&](int i, int line, int k) {
      const S* const from = staged_ + i * kUnit;
      if constexpr (along_k && n > 1) {
        // 16-bit floats: the lanes of a warp have 16 steps of k, of which the banks tell 8 apart, so half of
        // them store in another order.
        const bool other = kDepth<T> > 8 && k >= 8;
#pragma unroll
        for (int j = 0; j < n; ++j) {
          const int in_order = other ? j ^ 2 : j;
          buffer[k + in_order][line] = other ? from[j ^ 2] : from[j];
        }
      } else {
        Vec<S, kUnit> whole;
#pragma unroll
        for (int j = 0; j < kUnit; ++j) whole[j] = from[j];
        store_vec_shared(&buffer[k][line], whole);
      }
    });
  }

 private:
  // One by one along k, a thread takes as many lines of one k as make a vector of shared memory.
  static constexpr int kUnit = n > 1 ? n : along_k ? kGroup<T> : 1;
  static constexpr int kUnits = span * kDepth<T> / kUnit;
  static constexpr int kPerThread = (kUnits + threads - 1) / threads;

  // f(i, line, k) for each of this thread's units.
  template <class F> __device__ static __forceinline__ void each_unit(F f) {
#pragma unroll
    for (int i = 0; i < kPerThread; ++i) {
      const int unit = static_cast<int>(threadIdx.x) % threads + i * threads;
      if (kUnits % threads != 0 && unit >= kUnits) break;
      if constexpr (!along_k) {
        // Neighbours of k apart by 4: the banks of 16 lines of a k and of another are then distinct.
        const int k = unit / (span / kUnit);
        f(i, unit % (span / kUnit) * kUnit, k / 8 * 8 + k % 2 * 4 + k % 8 / 2);
      } else if constexpr (n > 1) {
        f(i, unit / (kDepth<T> / n), unit % (kDepth<T> / n) * n);
      } else {
        f(i, unit / kDepth<T> * kUnit, unit % kDepth<T>);
      }
    }
  }

  S staged_[kPerThread * kUnit];
};

// finished.write<n>(p, batch, row, column, sums) takes n neighbouring ones in a row.
template <class Shape, bool a_along_k, bool b_along_k, int n, class T, class Finished>
__device__ __forceinline__ void multiply_tile(unsigned block, const Product<T>& p, const Finished& finished) {
  using S = Accumulator<T>;
  constexpr int kVector = kGroup<T>, kRows = Shape::rows < kVector ? Shape::rows : kVector;  // side by side
  using Shared = Stage<T, Shape>;
  TIDU_DYNAMIC_SHARED(stage, Shared);

  // Blocks that run together take tiles of a few rows, so that they share lines of both operands in the L2
  // cache.
  constexpr unsigned kTogether = 8;
  const unsigned tiles_m = static_cast<unsigned>((p.m + Shape::m - 1) / Shape::m),
                 tiles_n = static_cast<unsigned>((p.n + Shape::n - 1) / Shape::n);
  const unsigned tile = block % (tiles_m * tiles_n), other = block / (tiles_m * tiles_n);
  const unsigned split = other % p.splits, batch = other / p.splits;
  const unsigned first = tile / (kTogether * tiles_n) * kTogether, within = tile % (kTogether * tiles_n),
                 together = tiles_m - first < kTogether ? tiles_m - first : kTogether;
  const int64_t row0 = static_cast<int64_t>(first + within % together) * Shape::m,
                column0 = static_cast<int64_t>(within / together) * Shape::n;

  const int64_t k0 = split * p.depth;
  int ks = static_cast<int>(p.k - k0 < p.depth ? p.k - k0 : p.depth);
  const int rows_left = static_cast<int>(p.m - row0 < Shape::m ? p.m - row0 : Shape::m),
            columns_left = static_cast<int>(p.n - column0 < Shape::n ? p.n - column0 : Shape::n);
  const int thread = static_cast<int>(threadIdx.x) % Shape::of_slice,
            slice = static_cast<int>(threadIdx.x) / Shape::of_slice, first_k = slice * kDepth<T>;
  const T* a = p.a_matrix(batch) + row0 * p.a.by_line + (k0 + first_k) * p.a.by_k;
  const T* b = p.b_matrix(batch) + column0 * p.b.by_line + (k0 + first_k) * p.b.by_k;
  auto& [a_panels, b_panels] = stage->panels[slice];

  const int lane = thread % kWarp, warp = thread / kWarp;
  const int row = warp / Shape::warps_n * (Shape::m / Shape::warps_m) + lane / Shape::lanes_n * kRows,
            column = warp % Shape::warps_n * (Shape::n / Shape::warps_n) + lane % Shape::lanes_n * kVector;
  constexpr int kRowStep = Shape::lanes_m * kRows, kColumnStep = Shape::lanes_n * kVector;
  constexpr int kStep = kDepth<T> * Shape::slices;  // of all slices

  Strip<T, Shape::m, Shape::of_slice, a_along_k, n> a_strip;
  Strip<T, Shape::n, Shape::of_slice, b_along_k, n> b_strip;
  a_strip.load(a, p.a, rows_left, ks - first_k);
  b_strip.load(b, p.b, columns_left, ks - first_k);
  a_strip.store(a_panels.at[0]);
  b_strip.store(b_panels.at[0]);
  __syncthreads();

  S sums[Shape::rows][Shape::columns] = {};
  for (int buffer = 0;; buffer ^= 1) {
    const bool more = ks > kStep;
    if (more) {
      a += kStep * p.a.by_k;
      b += kStep * p.b.by_k;
      ks -= kStep;
      a_strip.load(a, p.a, rows_left, ks - first_k);
      b_strip.load(b, p.b, columns_left, ks - first_k);
    }
#pragma unroll
    for (int k = 0; k < kDepth<T>; ++k) {
      Vec<S, kRows> x[Shape::rows / kRows];
      Vec<S, kVector> y[Shape::columns / kVector];
#pragma unroll
      for (int i = 0; i < Shape::rows / kRows; ++i) {
        x[i] = load_vec<kRows>(&a_panels.at[buffer][k][row + i * kRowStep]);
      }
#pragma unroll
      for (int j = 0; j < Shape::columns / kVector; ++j) {
        y[j] = load_vec<kVector>(&b_panels.at[buffer][k][column + j * kColumnStep]);
      }
#pragma unroll
      for (int i = 0; i < Shape::rows; ++i) {
#pragma unroll
        for (int j = 0; j < Shape::columns; ++j) {
          sums[i][j] = multiply_add<T>(x[i / kRows][i % kRows], y[j / kVector][j % kVector], sums[i][j]);
        }
      }
    }
    if (!more) break;
    a_strip.store(a_panels.at[buffer ^ 1]);
    b_strip.store(b_panels.at[buffer ^ 1]);
    __syncthreads();
  }

  const auto sum = [&](int i) -> S& { return sums[i / Shape::columns][i % Shape::columns]; };
  if constexpr (Shape::slices > 1) {
    __syncthreads();
#pragma unroll
    for (int i = 0; i < Shape::sums; ++i) stage->sums[slice][i][thread] = sum(i);
    __syncthreads();
    for (int from = 1; slice == 0 && from < Shape::slices; ++from) {
#pragma unroll
      for (int i = 0; i < Shape::sums; ++i) sum(i) = add_sums<T>(sum(i), stage->sums[from][i][thread]);
    }
  }
  if (p.splits > 1) {
    const int64_t part = static_cast<int64_t>(batch) * (tiles_m * tiles_n) + tile;
    TIDU_SHARED(is_last, bool);
    if (slice == 0) leave_sums<Shape::sums>(p, part, split, thread, Shape::of_slice, sum);
    __syncthreads();
    if (threadIdx.x == 0) is_last = comes_last(p, part);
    __syncthreads();
    if (!is_last) return;
    if (slice == 0) add_splits<Shape::sums>(p, part, thread, Shape::of_slice, sum);
  }
  if (slice > 0) return;
#pragma unroll
  for (int i = 0; i < Shape::rows; ++i) {
    const int64_t at = row0 + row + i / kRows * kRowStep + i % kRows;
    if (at >= p.m) continue;
#pragma unroll
    for (int j = 0; j < Shape::columns; j += kVector) {
      S neighbours[kVector];
#pragma unroll
      for (int l = 0; l < kVector; ++l) neighbours[l] = sums[i][j + l];
      finished.template write<kVector>(p, batch, at, column0 + column + j / kVector * kColumnStep,
                                       neighbours);
    }
  }
}

template <class T, class Shape, bool a_along_k, bool b_along_k, int n>
__global__ void __launch_bounds__(Shape::threads, (n > 1 ? kResident : kResidentByElement) / Shape::threads)
    multiply_tiles(const Product<T> p) {
  multiply_tile<Shape, a_along_k, b_along_k, n>(blockIdx.x, p, ToMemory());
}

}  // namespace tidu::cuda
