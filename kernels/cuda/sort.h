// Sorting.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>

namespace tidu::cuda {

struct Pairs {
  uint64_t* keys;
  int64_t* values;
};

// Bytes of workspace for sorting `count` pairs.
[[nodiscard]] cudaError_t sort_workspace(int64_t count, size_t* bytes);

// Writes the pairs, ordered by the lowest `bits` bits of their keys (the others are 0), equal keys in their
// old order, to other memory. What `pairs` holds afterwards is not specified.
[[nodiscard]] cudaError_t sort_pairs(cudaStream_t stream, void* workspace, size_t bytes, const Pairs& pairs,
                                     const Pairs& sorted, int64_t count, int bits);

}  // namespace tidu::cuda
