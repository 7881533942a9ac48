// What the kernels of a matrix product share: its arithmetic, its parameters, the way of a sum to memory.
#pragma once

#include "kernels/cuda/matmul.h"
#include "kernels/cuda/portable.h"
#include "kernels/scalar.h"

namespace tidu::cuda {

// Products and sums are of this type. Integers wrap, so that one unsigned type serves all that are no wider.
template <class T> struct AccumulatorOf { using type = float; };
template <> struct AccumulatorOf<double> { using type = double; };
template <> struct AccumulatorOf<bool> { using type = uint32_t; };
template <> struct AccumulatorOf<uint8_t> { using type = uint32_t; };
template <> struct AccumulatorOf<uint16_t> { using type = uint32_t; };
template <> struct AccumulatorOf<uint32_t> { using type = uint32_t; };
template <> struct AccumulatorOf<uint64_t> { using type = uint64_t; };
template <class T> using Accumulator = typename AccumulatorOf<T>::type;

template <class T> inline constexpr bool is_floating_sum = scalar::is_float<Accumulator<T>>;

// Sums that make a vector of 16 bytes.
template <class T> inline constexpr int kGroup = kVec<Accumulator<T>>;

template <class T>
__device__ __forceinline__ Accumulator<T> multiply_add(Accumulator<T> a, Accumulator<T> b,
                                                       Accumulator<T> sum) {
  if constexpr (std::is_same_v<Accumulator<T>, float>) {
    return ::fmaf(a, b, sum);
  } else if constexpr (std::is_same_v<T, double>) {
    return ::fma(a, b, sum);
  } else if constexpr (std::is_same_v<T, bool>) {
    return sum | (a & b);
  } else {
    return sum + a * b;
  }
}

template <class T> __device__ __forceinline__ Accumulator<T> add_sums(Accumulator<T> a, Accumulator<T> b) {
  if constexpr (std::is_same_v<T, bool>) {
    return a | b;
  } else {
    return a + b;
  }
}

// --- Parameters, as the kernels see them: the product may be the transposed one.

// Rows of a or columns of b are its lines; k runs along each.
template <class T> struct Factor {
  const T* data;
  int64_t by_line, by_k;
  int64_t by_batch[2];
};

template <class T> struct Product {
  Factor<T> a, b;
  T* out;
  int64_t out_by_row, out_by_column;
  Accumulator<T>* partial;  // the sums of each split as threads hold them, or null
  unsigned* arrivals;       // how many splits have left theirs, of each part of the output
  const T* bias;
  int64_t bias_by_row, bias_by_column;
  int64_t m, n, k;
  int64_t depth;  // of a split
  unsigned splits, batches, inner_batches;
  bool vector_out;  // rows of out may be written kGroup elements at a time

  __device__ const T* a_matrix(unsigned batch) const {
    return a.data + batch / inner_batches * a.by_batch[0] + batch % inner_batches * a.by_batch[1];
  }
  __device__ const T* b_matrix(unsigned batch) const {
    return b.data + batch / inner_batches * b.by_batch[0] + batch % inner_batches * b.by_batch[1];
  }
};

// --- The way of sums to memory.

// To the n sums of neighbouring columns.
template <int n, class T>
__device__ __forceinline__ void add_bias(const Product<T>& p, int64_t row, int64_t column,
                                         Accumulator<T> (&sums)[n]) {
  if (!p.bias) return;
#pragma unroll
  for (int i = 0; i < n; ++i) {
    if (column + i >= p.n) continue;
    const T bias = p.bias[row * p.bias_by_row + (column + i) * p.bias_by_column];
    sums[i] = add_sums<T>(sums[i], static_cast<Accumulator<T>>(bias));
  }
}

// Writes the n finished sums of neighbouring columns.
template <int n, class T>
__device__ __forceinline__ void write_outputs(const Product<T>& p, unsigned batch, int64_t row,
                                              int64_t column, Accumulator<T> (&sums)[n]) {
  add_bias<n>(p, row, column, sums);
  T* const out = p.out + batch * (p.m * p.n) + row * p.out_by_row + column * p.out_by_column;
  if (n > 1 && p.vector_out) {
    if (column < p.n) {
      Vec<T, n> whole;
#pragma unroll
      for (int i = 0; i < n; ++i) whole[i] = static_cast<T>(sums[i]);
      store_vec(out, whole);
    }
    return;
  }
#pragma unroll
  for (int i = 0; i < n; ++i) {
    if (column + i < p.n) out[i * p.out_by_column] = static_cast<T>(sums[i]);
  }
}

// What kernels are given that have no other use for finished sums.
struct ToMemory {
  template <int n, class T>
  __device__ __forceinline__ void write(const Product<T>& p, unsigned batch, int64_t row, int64_t column,
                                        Accumulator<T> (&sums)[n]) const {
    write_outputs<n>(p, batch, row, column, sums);
  }
};

// --- Sums of splits. A part of the output, `part` by number, is held by `lanes` threads of each split, n
// sums a thread: sum(i) is a reference to one.

// Leaves a thread's sums in memory, for another block.
template <int n, class T, class Sum>
__device__ __forceinline__ void leave_sums(const Product<T>& p, int64_t part, unsigned split, int lane,
                                           int lanes, const Sum& sum) {
  Accumulator<T>* const to = p.partial + (part * p.splits + split) * (n * lanes) + lane;
#pragma unroll
  for (int i = 0; i < n; ++i) __stcg(to + i * lanes, sum(i));
  __threadfence();
}

// Whether this split is the last of a part: all others have left their sums. One thread of the split asks,
// after all have left theirs.
template <class T> __device__ __forceinline__ bool comes_last(const Product<T>& p, int64_t part) {
  if (atomicAdd(p.arrivals + part, 1u) + 1 < p.splits) return false;
  p.arrivals[part] = 0;
  return true;
}

// The sums of all splits, in their order.
template <int n, class T, class Sum>
__device__ __forceinline__ void add_splits(const Product<T>& p, int64_t part, int lane, int lanes,
                                           const Sum& sum) {
  __threadfence();
  const Accumulator<T>* from = p.partial + part * p.splits * (n * lanes) + lane;
#pragma unroll
  for (int i = 0; i < n; ++i) sum(i) = __ldcg(from + i * lanes);
  for (unsigned split = 1; split < p.splits; ++split) {
    from += n * lanes;
#pragma unroll
    for (int i = 0; i < n; ++i) sum(i) = add_sums<T>(sum(i), __ldcg(from + i * lanes));
  }
}

}  // namespace tidu::cuda
