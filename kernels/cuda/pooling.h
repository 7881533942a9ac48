// Which element of each window is the largest.
#pragma once

#include <cuda_runtime.h>

#include "kernels/windows.h"

namespace tidu::cuda {

// Of row-major planes of x.
struct Pooling {
  DType dtype = DType::float32;
  int64_t planes = 0;
  PoolingAxis axis[kMaxSpatial] = {};
  const void* x = nullptr;
  int64_t* places = nullptr;
};

[[nodiscard]] cudaError_t argmax_of_windows(cudaStream_t stream, const Pooling& work);

}  // namespace tidu::cuda
