// Sorting, and searching in what is sorted.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "kernels/types.h"

namespace tidu::cuda {

// Rows of `n` numbers, one after another, and how they become pairs to sort: the keys are uint64_t if `wide`,
// else uint32_t.
struct OrderedRows {
  DType dtype;
  const void* x;
  int64_t count, n;  // of all numbers, and of those in a row
  bool descending, wide;
};

// keys[i] and positions[i] for each number. The position is that in the row, and the key holds the row above
// the number, where both fit; where they do not (`apart`) the position is that among all.
[[nodiscard]] cudaError_t number_keys(cudaStream_t stream, const OrderedRows& rows, bool apart, void* keys,
                                      int64_t* positions);

// keys[i] = positions[i] / n, positions[i] modulo n: by which pairs that were sorted by number are sorted
// into their rows.
[[nodiscard]] cudaError_t number_rows(cudaStream_t stream, int64_t count, int64_t n, uint64_t* keys,
                                      int64_t* positions);

// Of each of `count` values, of which `each` are sought in one row of n sorted numbers, the place there.
[[nodiscard]] cudaError_t search_rows(cudaStream_t stream, DType dtype, const void* rows, int64_t n,
                                      const void* values, int64_t count, int64_t each, bool right,
                                      int64_t* places);

}  // namespace tidu::cuda
