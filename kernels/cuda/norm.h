// Normalisation of contiguous rows.
#pragma once

#include <cuda_runtime.h>

#include "kernels/types.h"

namespace tidu::cuda {

struct NormTuning {
  // Threads of a block, and of one that has a long row to itself.
  static constexpr int kThreads = 256, kLongThreads = 512;
  // 32-bit registers of a thread for a row's elements: fewer where there are two rows, or an address for each
  // element. Rows that do not fit a block are read once more for each pass over them.
  static constexpr int held(bool many) { return many ? 16 : 32; }
  // Vectors of the weight and the bias that are loaded together.
  static constexpr int kTogether = 4;
};

struct Norm {
  bool centred = true;  // layer_norm, else rms_norm
  double eps = 0;
  int64_t rows = 0, n = 0;
  const void *x = nullptr, *weight = nullptr, *bias = nullptr;  // weight and bias of n elements or null
  const void* g = nullptr;                                      // the cotangent of the normalised rows
  void* y = nullptr;
};

// y: normalised x * weight + bias
[[nodiscard]] cudaError_t norm(cudaStream_t stream, DType dtype, const Norm& work);
// y: the cotangent of x from that of the output, g; 0 in a row where that is 0.
[[nodiscard]] cudaError_t norm_grad(cudaStream_t stream, DType dtype, const Norm& work);

}  // namespace tidu::cuda
