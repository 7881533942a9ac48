// Convolutions of any stride, dilation and padding, their transposes among them.
#pragma once

#include "core/primitive.h"
#include "kernels/windows.h"

namespace tidu {

// Along each spatial axis, output i is the sum over the elements j of the kernel of kernel[j] times what lies
// at i * stride + j * dilation - low, where the elements of x lie `spread` apart and zeros elsewhere.
struct ConvolutionAttrs {
  Dims stride = {}, low = {}, dilation = {}, spread = {};
  Dims extents = {};  // of the output
  void fields(auto&& field) const {
    field("stride", stride), field("low", low), field("dilation", dilation), field("spread", spread);
    field("extents", extents);
  }
};

// Of a call's axis i, of one, two or three.
ConvolutionAxis convolution_axis(const Specs& inputs, const ConvolutionAttrs& attrs, int i);

namespace primitives {
// x (N, G, C, ..), a kernel (G, K, C, ..) and perhaps a bias (G, K, 1, ..): (N, G, K, extents ..), summed
// over C, of one floating dtype. Groups G are an axis, so that the transposes are calls of the same
// primitive.
extern Primitive convolution;
}  // namespace primitives

}  // namespace tidu
