// Triangular parts of matrices.
#pragma once

#include <cuda_runtime.h>

#include "kernels/types.h"

namespace tidu::cuda {

// Zeroes what is above the diagonal of `count` row-major n x n matrices of float32 or float64.
[[nodiscard]] cudaError_t keep_lower(cudaStream_t stream, DType dtype, void* data, int64_t n, int64_t count);

}  // namespace tidu::cuda
