// A matrix times at most four columns, limited by how fast the matrix is read.
#pragma once

#include "kernels/cuda/matmul.cuh"

namespace tidu::cuda {

// The second numbers of the launch bounds leave each thread 128 registers.
inline constexpr int kRowWarps = 4;     // of a block of multiply_rows, each with a row and a split of its own
inline constexpr int kColumnWarps = 8;  // of a block of multiply_columns, which share k out

template <class T, class S, int columns>
__device__ __forceinline__ void write_row(const Product<T>& p, unsigned batch, int64_t row,
                                          const S (&sums)[columns]) {
#pragma unroll
  for (int j = 0; j < columns; ++j) {
    if (j < p.n) {
      S sum[1] = {sums[j]};
      write_outputs<1>(p, batch, row, j, sum);
    }
  }
}

// Rows whose elements are neighbours: a warp reads n elements a lane and adds its lanes' sums in a tree.
template <class T, int columns, int n>
__global__ void __launch_bounds__(kWarp* kRowWarps, 4) multiply_rows(const Product<T> p) {
  using S = Accumulator<T>;
  const int lane = static_cast<int>(threadIdx.x) % kWarp, warp = static_cast<int>(threadIdx.x) / kWarp;
  const int64_t work = static_cast<int64_t>(blockIdx.x) * kRowWarps + warp;
  const int64_t row = work % p.m;
  const unsigned other = static_cast<unsigned>(work / p.m), split = other % p.splits,
                 batch = other / p.splits;
  if (batch >= p.batches) return;
  const int64_t begin = split * p.depth, end = p.k - begin < p.depth ? p.k : begin + p.depth;
  const T* const a = p.a_matrix(batch) + row * p.a.by_line;
  const T* const b = p.b_matrix(batch);

  S sums[columns] = {};
#pragma unroll 4
  for (int64_t k = begin + lane * n; k < end; k += kWarp * n) {
    Vec<T, n> x;
    if constexpr (n > 1) {
      x = load_vec<n>(a + k);
    } else {
      x[0] = a[k * p.a.by_k];
    }
#pragma unroll
    for (int j = 0; j < columns; ++j) {
      if (j < p.n) {
        Vec<T, n> y;
        if constexpr (n > 1) {
          y = load_vec<n>(b + j * p.b.by_line + k);
        } else {
          y[0] = b[j * p.b.by_line + k * p.b.by_k];
        }
#pragma unroll
        for (int i = 0; i < n; ++i) {
          sums[j] = multiply_add<T>(static_cast<S>(x[i]), static_cast<S>(y[i]), sums[j]);
        }
      }
    }
  }
#pragma unroll
  for (int j = 0; j < columns; ++j) {
#pragma unroll
    for (int distance = kWarp / 2; distance > 0; distance /= 2) {
      sums[j] = add_sums<T>(sums[j], __shfl_xor_sync(kFullMask, sums[j], distance));
    }
  }
  if (lane != 0) return;
  if (p.splits > 1) {
    const int64_t part = batch * p.m + row;
    const auto sum = [&](int i) -> S& { return sums[i]; };
    leave_sums<columns>(p, part, split, 0, 1, sum);
    if (!comes_last(p, part)) return;
    add_splits<columns>(p, part, 0, 1, sum);
  }
  write_row(p, batch, row, sums);
}

// Columns whose elements are neighbours: a lane has a row, a warp every kColumnWarps-th k.
template <class T, int columns>
__global__ void __launch_bounds__(kWarp* kColumnWarps, 2) multiply_columns(const Product<T> p) {
  using S = Accumulator<T>;
  TIDU_SHARED(shared_sums, S[kColumnWarps][columns][kWarp]);
  const int lane = static_cast<int>(threadIdx.x) % kWarp, warp = static_cast<int>(threadIdx.x) / kWarp;
  const unsigned blocks = static_cast<unsigned>((p.m + kWarp - 1) / kWarp);
  const unsigned other = blockIdx.x / blocks, split = other % p.splits, batch = other / p.splits;
  const int64_t row = static_cast<int64_t>(blockIdx.x % blocks) * kWarp + lane;
  const int64_t begin = split * p.depth, end = p.k - begin < p.depth ? p.k : begin + p.depth;
  const T* const a = p.a_matrix(batch) + row * p.a.by_line;
  const T* const b = p.b_matrix(batch);

  S sums[columns] = {};
  if (row < p.m) {
#pragma unroll 4
    for (int64_t k = begin + warp; k < end; k += kColumnWarps) {
      const S x = static_cast<S>(a[k * p.a.by_k]);
#pragma unroll
      for (int j = 0; j < columns; ++j) {
        if (j < p.n) {
          sums[j] = multiply_add<T>(x, static_cast<S>(b[j * p.b.by_line + k * p.b.by_k]), sums[j]);
        }
      }
    }
  }
#pragma unroll
  for (int j = 0; j < columns; ++j) shared_sums[warp][j][lane] = sums[j];
  __syncthreads();
  if (warp != 0) return;
#pragma unroll
  for (int j = 0; j < columns; ++j) {
#pragma unroll
    for (int w = 1; w < kColumnWarps; ++w) sums[j] = add_sums<T>(sums[j], shared_sums[w][j][lane]);
  }
  if (p.splits > 1) {
    const int64_t part = static_cast<int64_t>(batch) * blocks + blockIdx.x % blocks;
    const auto sum = [&](int i) -> S& { return sums[i]; };
    leave_sums<columns>(p, part, split, lane, kWarp, sum);
    __syncwarp();
    const int is_last = lane == 0 ? comes_last(p, part) : 0;
    if (__shfl_sync(kFullMask, is_last, 0) == 0) return;
    add_splits<columns>(p, part, lane, kWarp, sum);
  }
  if (row < p.m) write_row(p, batch, row, sums);
}

}  // namespace tidu::cuda
