// Normalisation of channels.
#pragma once

#include <cuda_runtime.h>

#include <algorithm>

#include "kernels/types.h"

namespace tidu::cuda {

struct BatchNormTuning {
  static constexpr int kThreads = 512;
  // Blocks of a channel: as many as fill a GPU where there are few channels, each with so many elements at
  // least.
  static constexpr int64_t kBlocks = 528, kMostParts = 32, kPart = 8192;
  static int parts(int64_t channels, int64_t elements) {
    const int64_t wanted = (kBlocks + channels - 1) / channels;
    return static_cast<int>(std::clamp<int64_t>(std::min(wanted, elements / kPart), 1, kMostParts));
  }
};

// x, y and g are row-major (images, channels, inner), the others (channels); weight and bias may be null.
// What is summed is in float32, of float64 in float64.
struct BatchNorm {
  double eps = 0;
  int64_t images = 0, channels = 0, inner = 0;
  int parts = 1;
  const void *x = nullptr, *weight = nullptr, *bias = nullptr;
  const void* g = nullptr;  // the cotangent of the output
  void* y = nullptr;
  void *mean = nullptr, *variance = nullptr;      // of x
  void *of_weight = nullptr, *of_bias = nullptr;  // cotangents
  void* workspace = nullptr;

  int64_t elements() const { return images * inner; }
  // Moments, and backward sums, of each part of each channel: three numbers each.
  size_t workspace_bytes() const { return 6 * sizeof(double) * static_cast<size_t>(channels * parts); }
};

// y: x, normalised, * weight + bias; mean and (biased) variance of x
[[nodiscard]] cudaError_t batch_norm(cudaStream_t stream, DType dtype, const BatchNorm& work);
// y: the cotangent of x; 0 in a channel where g is 0. of_weight and of_bias: the sums of
// normalised x times g, and of g.
[[nodiscard]] cudaError_t batch_norm_grad(cudaStream_t stream, DType dtype, const BatchNorm& work);

}  // namespace tidu::cuda
