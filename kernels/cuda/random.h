// Arrays of Philox numbers (kernels/philox.h), the same as on the cpu, bit for bit. The arrays are aligned to
// 16 bytes.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

namespace tidu::cuda {

// Keys in device memory: two words each, `stride` words apart, for `each` elements of y; the next key lies
// `step` words on.
struct Keys {
  const uint32_t* words;
  int64_t stride, step, each;
};

[[nodiscard]] cudaError_t random_bits(cudaStream_t stream, Keys keys, uint32_t* y, int64_t count);
[[nodiscard]] cudaError_t random_bits(cudaStream_t stream, Keys keys, uint64_t* y, int64_t count);
[[nodiscard]] cudaError_t random_uniform(cudaStream_t stream, Keys keys, float* y, int64_t count);  // [0, 1)
[[nodiscard]] cudaError_t random_uniform(cudaStream_t stream, Keys keys, double* y, int64_t count);
[[nodiscard]] cudaError_t random_normal(cudaStream_t stream, Keys keys, float* y, int64_t count);
[[nodiscard]] cudaError_t random_normal(cudaStream_t stream, Keys keys, double* y, int64_t count);

}  // namespace tidu::cuda
