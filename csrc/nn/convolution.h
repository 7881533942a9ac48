// Convolutions, and their transposes, along the last axes of x (N, C, ..), or (C, ..) for one image.
#pragma once

#include <optional>

#include "core/primitive.h"

namespace tidu::nn {

// One number for all axes, or one for each.
struct ConvolutionOptions {
  Dims stride = {1};
  std::optional<Dims> padding = Dims{0};  // zeros on both sides; nothing: such that y has the extents of x
  Dims dilation = {1};
  int64_t groups = 1;
};

// The sum over channels c and places j of weight[k, c, j] x[n, c, i stride + j dilation - padding], +
// bias[k], which may be undefined. The weight is (outputs, C / groups, kernel ..): output k sees the channels
// of its group. Along `rank` axes, 1 to 3.
Tensor convolution(int rank, const Tensor& x, const Tensor& weight, const Tensor& bias = {},
                   const ConvolutionOptions& options = {});

struct TransposedOptions {
  Dims stride = {1}, padding = {0}, output_padding = {0}, dilation = {1};
  int64_t groups = 1;
};

// The transpose of a convolution with weight (C, outputs / groups, kernel ..) by its x, of extent
// (s - 1) stride - 2 padding + (kernel - 1) dilation + 1 + output_padding.
Tensor transposed_convolution(int rank, const Tensor& x, const Tensor& weight, const Tensor& bias = {},
                              const TransposedOptions& options = {});

inline Tensor conv1d(const Tensor& x, const Tensor& weight, const Tensor& bias = {},
                     const ConvolutionOptions& options = {}) {
  return convolution(1, x, weight, bias, options);
}
inline Tensor conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias = {},
                     const ConvolutionOptions& options = {}) {
  return convolution(2, x, weight, bias, options);
}
inline Tensor conv3d(const Tensor& x, const Tensor& weight, const Tensor& bias = {},
                     const ConvolutionOptions& options = {}) {
  return convolution(3, x, weight, bias, options);
}
inline Tensor conv_transpose1d(const Tensor& x, const Tensor& weight, const Tensor& bias = {},
                               const TransposedOptions& options = {}) {
  return transposed_convolution(1, x, weight, bias, options);
}
inline Tensor conv_transpose2d(const Tensor& x, const Tensor& weight, const Tensor& bias = {},
                               const TransposedOptions& options = {}) {
  return transposed_convolution(2, x, weight, bias, options);
}
inline Tensor conv_transpose3d(const Tensor& x, const Tensor& weight, const Tensor& bias = {},
                               const TransposedOptions& options = {}) {
  return transposed_convolution(3, x, weight, bias, options);
}

}  // namespace tidu::nn
