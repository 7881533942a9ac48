// Sorting and compaction, by Thrust. Each takes the memory that its `..._bytes` says.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "kernels/cuda/room.h"

namespace tidu::cuda {

// Orders pairs by their keys, equal keys as they are: of uint32_t and uint32_t, uint32_t and int64_t,
// uint64_t and int64_t.
template <class Key, class Value>
[[nodiscard]] cudaError_t sort_pairs(cudaStream_t stream, Room room, Key* keys, Value* values, int64_t count);
template <class Key, class Value> size_t sort_bytes(int64_t count);

// Writes the positions of the first `count` true elements of a mask, in order.
[[nodiscard]] cudaError_t find_true(cudaStream_t stream, Room room, const bool* mask, int64_t n,
                                    int64_t* positions, int64_t count);
size_t find_bytes(int64_t n);

}  // namespace tidu::cuda
