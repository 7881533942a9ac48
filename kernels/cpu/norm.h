// Normalisation of contiguous rows of float32 or float64.
#pragma once

#include <cstdint>

#include "kernels/types.h"

namespace tidu::cpu {

struct NormWork {
  bool centred;  // layer_norm, else rms_norm
  double eps;
  int64_t rows, n;
  const void *x, *weight, *bias;  // weight and bias of n elements or null
};

struct NormFunctions {
  // y[r, :] = normalised x[r, :] * weight + bias
  void (*norm)(const NormWork& work, void* y);
  // y[r, :]: the cotangent of x[r, :] from that of the output, g[r, :]; 0 where that is 0.
  void (*grad)(const NormWork& work, const void* g, void* y);
};

// For float32 or float64.
NormFunctions norm_functions(DType dtype);

}  // namespace tidu::cpu
