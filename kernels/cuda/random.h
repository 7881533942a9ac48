// Arrays of Philox numbers (kernels/philox.h), the same as on the cpu, bit for bit. The arrays are aligned to
// 16 bytes.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

namespace tidu::cuda {

// A key in device memory: two words, `stride` words apart.
struct Key {
  const uint32_t* words;
  int64_t stride;
};

[[nodiscard]] cudaError_t random_bits(cudaStream_t stream, Key key, uint32_t* y, int64_t count);
[[nodiscard]] cudaError_t random_bits(cudaStream_t stream, Key key, uint64_t* y, int64_t count);
[[nodiscard]] cudaError_t random_uniform(cudaStream_t stream, Key key, float* y, int64_t count);  // [0, 1)
[[nodiscard]] cudaError_t random_uniform(cudaStream_t stream, Key key, double* y, int64_t count);
[[nodiscard]] cudaError_t random_normal(cudaStream_t stream, Key key, float* y, int64_t count);
[[nodiscard]] cudaError_t random_normal(cudaStream_t stream, Key key, double* y, int64_t count);

}  // namespace tidu::cuda
