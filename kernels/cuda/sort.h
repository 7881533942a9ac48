// Sorting and compaction, by Thrust.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>

namespace tidu::cuda {

// Device memory for the time of a call, asked for while it is issued.
struct Scratch {
  void* (*allocate)(void* owner, size_t bytes);
  void* owner;

  template <class T> T* of(size_t count) const { return static_cast<T*>(allocate(owner, count * sizeof(T))); }
};

// Orders pairs by their keys, equal keys as they are.
[[nodiscard]] cudaError_t sort_pairs(cudaStream_t stream, Scratch scratch, uint32_t* keys, uint32_t* values,
                                     int64_t count);
[[nodiscard]] cudaError_t sort_pairs(cudaStream_t stream, Scratch scratch, uint32_t* keys, int64_t* values,
                                     int64_t count);
[[nodiscard]] cudaError_t sort_pairs(cudaStream_t stream, Scratch scratch, uint64_t* keys, int64_t* values,
                                     int64_t count);

// Writes the positions of the first `count` true elements of a mask, in order.
[[nodiscard]] cudaError_t find_true(cudaStream_t stream, Scratch scratch, const bool* mask, int64_t n,
                                    int64_t* positions, int64_t count);

}  // namespace tidu::cuda
