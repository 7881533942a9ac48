// Windows along axes, as convolutions and poolings see them: read by g++ and nvcc.
#pragma once

#include "kernels/types.h"

namespace tidu {

inline constexpr int kMaxSpatial = 3;

// One axis of a convolution: output i meets with element j of the kernel what lies at
// i * stride + j * dilation - low where the elements of x lie `spread` apart.
struct ConvolutionAxis {
  int64_t extent = 1, kernel = 1, count = 1;  // of x, of the kernel, of the output
  int64_t stride = 1, low = 0, dilation = 1, spread = 1;

  // The element of x that lies at a place, or -1.
  TIDU_HD int64_t element(int64_t place) const {
    if (place < 0) return -1;
    if (spread > 1) {
      if (place % spread != 0) return -1;
      place /= spread;
    }
    return place < extent ? place : -1;
  }
};

// The places begin, begin + step .. below end.
struct Window {
  int64_t begin, end, step;
};

// One axis of a pooling: windows that lie `stride` apart, the first of them begins `low` before x; or, where
// they are adaptive, `count` parts of it, which overlap where it does not divide.
struct PoolingAxis {
  int64_t extent = 1, count = 1;
  int64_t kernel = 1, stride = 1, low = 0, dilation = 1;
  bool adaptive = false;

  // What window i has of x.
  TIDU_HD Window at(int64_t i) const {
    if (adaptive) return {i * extent / count, ((i + 1) * extent + count - 1) / count, 1};
    int64_t begin = i * stride - low;
    const int64_t end = begin + (kernel - 1) * dilation + 1;
    if (begin < 0) begin += (dilation - 1 - begin) / dilation * dilation;
    return {begin, end < extent ? end : extent, dilation};
  }
};

}  // namespace tidu
