// Reading and adding at positions that tensors name. An index out of range is an IndexError, found before
// anything is written.
#pragma once

#include "core/primitive.h"

namespace tidu {

// The slices of x along `axis` at integer `indices` (negative: from the end): x.shape with that axis replaced
// by indices.shape.
Tensor take(const Tensor& x, const Tensor& indices, int64_t axis);
// Element (.., indices[.., i, ..], ..) along `axis`; x and indices have one rank and broadcast elsewhere.
Tensor take_along_axis(const Tensor& x, const Tensor& indices, int64_t axis);
// x[indices[0], indices[1] ..] for index tensors, broadcast, of the leading axes.
Tensor take_points(const Tensor& x, const Tensors& indices);
// x with `updates`, shaped like take(x, indices, axis), added at the indices; repeated indices add up, in a
// fixed order.
Tensor scatter_add(const Tensor& x, const Tensor& indices, const Tensor& updates, int64_t axis);
// x with the points that take_points names replaced by `updates`; where a point is named twice the last one
// stays.
Tensor put_points(const Tensor& x, const Tensors& indices, const Tensor& updates);
// The int64 coordinates of the true elements, row-major: one vector an axis. Their number depends on values,
// so not in programs.
Tensors nonzero(const Tensor& mask);

struct TakeAttrs {
  attr::Axis axis;
  attr::InputExtent size;  // of the axis that is indexed
  void fields(auto&& field) const { field("axis", axis), field("size", size); }
};
namespace primitives {
extern Primitive take;     // (x, int64 indices), TakeAttrs
extern Primitive scatter;  // (updates, int64 indices), TakeAttrs: the transpose of take, adding into zeros
}  // namespace primitives

}  // namespace tidu
