// Normalisation of contiguous rows, or of channels, of float32 or float64.
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

// x, y and g are row-major (images, channels, inner), the others (channels).
struct ChannelWork {
  double eps;
  int64_t images, channels, inner;
  const void *x, *weight, *bias;  // weight and bias may be null
};

struct ChannelFunctions {
  // Of channels begin to end: y is x, normalised, * weight + bias; mean and (biased) variance of x.
  void (*norm)(const ChannelWork& work, int64_t begin, int64_t end, void* y, void* mean, void* variance);
  // y: the cotangent of x from that of the output, g; 0 in a channel where that is 0. The sums of normalised
  // x times g, and of g.
  void (*grad)(const ChannelWork& work, int64_t begin, int64_t end, const void* g, void* y, void* of_weight,
               void* of_bias);
};

ChannelFunctions channel_functions(DType dtype);

}  // namespace tidu::cpu
