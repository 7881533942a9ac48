// Convolutions as products of matrices, of which one is read where x has its elements.
#pragma once

#include <cuda_runtime.h>

#include "kernels/windows.h"

namespace tidu::cuda {

struct ConvolutionTuning {
  // Outputs and columns of a block's tile, and how much of the sums it takes at a time.
  static constexpr int kTile = 64, kStep = 16, kThreads = 256;
  static constexpr int kHeld = 4;  // outputs of a thread, and columns
  static_assert(kTile * kTile == kHeld * kHeld * kThreads);
};

// y (images, groups, outputs, places) of x, which may have any strides, and row-major kernels (groups,
// outputs, channels, places) and bias (groups, outputs) or null.
struct Convolution {
  DType dtype = DType::float32;
  int64_t images = 0, groups = 0, outputs = 0, channels = 0;
  ConvolutionAxis axis[kMaxSpatial] = {};
  int64_t by_image = 0, by_group = 0, by_channel = 0, by_place[kMaxSpatial] = {};  // strides of x
  const void *x = nullptr, *kernel = nullptr, *bias = nullptr;
  void* y = nullptr;

  TIDU_HD int64_t places() const { return axis[0].count * axis[1].count * axis[2].count; }
  TIDU_HD int64_t kernel_places() const { return axis[0].kernel * axis[1].kernel * axis[2].kernel; }
  TIDU_HD int64_t columns() const { return images * places(); }
  TIDU_HD int64_t depth() const { return channels * kernel_places(); }
  TIDU_HD int64_t size() const { return groups * outputs * columns(); }
};

// Parts that long sums of few outputs are cut into, by shape alone; they are added in order by a second
// kernel.
int convolution_splits(const Convolution& work);
size_t convolution_workspace(const Convolution& work, int splits);
[[nodiscard]] cudaError_t convolve(cudaStream_t stream, const Convolution& work, int splits, void* workspace);

}  // namespace tidu::cuda
