// Which element of each window is the largest.
#pragma once

#include "core/primitive.h"
#include "kernels/windows.h"

namespace tidu {

// Windows along the last axes of x, as PoolingAxis says; `adaptive` ones are parts, and the other numbers
// none.
struct PoolingAttrs {
  Dims kernel = {}, stride = {}, low = {}, dilation = {};
  Dims extents = {};  // how many windows there are
  bool adaptive = false;
  void fields(auto&& field) const {
    field("kernel", kernel), field("stride", stride), field("low", low), field("dilation", dilation);
    field("extents", extents), field("adaptive", adaptive);
  }
};

// Of the i-th of those axes.
PoolingAxis pooling_axis(const Shape& x, const PoolingAttrs& attrs, int i);

// Whether one of its windows has no element of x.
bool has_empty_window(const PoolingAxis& axis);

// The places, counted row by row over the axes that windows run along, of the first largest element (or the
// first NaN) of each window: int64, with these axes replaced by the windows. Each window has an element of x.
Tensor argmax_of_windows(const Tensor& x, const PoolingAttrs& attrs);

namespace primitives {
extern Primitive argmax_of_windows;  // PoolingAttrs
}  // namespace primitives

}  // namespace tidu
