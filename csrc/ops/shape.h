// Changing shape: views, and what puts tensors together.
#pragma once

#include <optional>

#include "core/primitive.h"

namespace tidu {

// The same values; a view where the layout allows, else a copy. One extent may be -1: what is left.
Tensor reshape(const Tensor& x, const Shape& shape);
Tensor flatten(const Tensor& x);
// A view with axis i taken from axes[i].
Tensor permute_dims(const Tensor& x, const Axes& axes);
Tensor swapaxes(const Tensor& x, int64_t a, int64_t b);
Tensor moveaxis(const Tensor& x, int64_t from, int64_t to);
// The last two axes swapped.
Tensor matrix_transpose(const Tensor& x);
// A view in which extents of 1 and missing leading ones are repeated without memory.
Tensor broadcast_to(const Tensor& x, const Shape& shape);
Tensor expand_dims(const Tensor& x, int64_t axis);
Tensor squeeze(const Tensor& x, const Axes& axes);

// A view of sizes[i] elements from starts[i] on, steps[i] (not 0) apart, along each axis i; without the axes
// `dropped`, whose sizes are 1, and with new axes of extent 1 at the places `added` of the result.
Tensor slice(const Tensor& x, const Dims& starts, const Dims& sizes, const Dims& steps,
             const Axes& dropped = {}, const Axes& added = {});
// A view of [start, stop) along one axis, with Python's rules for negative and too large bounds.
Tensor slice_axis(const Tensor& x, int64_t axis, std::optional<int64_t> start, std::optional<int64_t> stop,
                  int64_t step = 1);
// A view of element i along an axis, which goes.
Tensor select(const Tensor& x, int64_t axis, int64_t i);
Tensor flip(const Tensor& x, const Axes& axes);
// x with the slice replaced by `update`, which has the slice's shape; a copy.
Tensor slice_update(const Tensor& x, const Tensor& update, const Dims& starts, const Dims& steps);

// One after another along an axis that they have, or along a new one. What is written in braces, {x, y}, is
// no list on the heap.
Tensor concat(std::span<const Tensor> tensors, int64_t axis);
Tensor concat(std::initializer_list<Tensor> tensors, int64_t axis);
Tensor stack(std::span<const Tensor> tensors, int64_t axis);
Tensor stack(std::initializer_list<Tensor> tensors, int64_t axis);
// Consecutive parts of the given sizes along an axis.
Tensors split(const Tensor& x, const Dims& sizes, int64_t axis);
// Zeros (low[i], high[i] of them) around each axis i.
Tensor pad(const Tensor& x, const Dims& low, const Dims& high);

// The same value under a new identity; a view.
Tensor alias(const Tensor& x);
// The same value as a constant; a view.
Tensor stop_gradient(const Tensor& x);

// --- Primitives

struct ShapeAttrs {
  attr::Extents shape;
  void fields(auto&& field) const { field("shape", shape); }
};
struct PermuteAttrs {
  attr::Permutation axes;
  void fields(auto&& field) const { field("axes", axes); }
};
struct AxisAttrs {
  attr::Axis axis;
  void fields(auto&& field) const { field("axis", axis); }
};
struct SliceAttrs {
  attr::Starts starts;
  attr::Sizes sizes;
  attr::Steps steps;
  void fields(auto&& field) const { field("starts", starts), field("sizes", sizes), field("steps", steps); }
  bool operator==(const SliceAttrs&) const = default;
};
struct SliceViewAttrs {
  SliceAttrs part;
  attr::Axes dropped;
  attr::Places added;
  void fields(auto&& field) const { part.fields(field), field("dropped", dropped), field("added", added); }
};
Tensor slice(const Tensor& x, const SliceViewAttrs& attrs);

namespace primitives {
extern Primitive reshape, permute_dims, broadcast_to, alias, stop_gradient;  // views
extern Primitive slice;                                                      // SliceViewAttrs; a view
extern Primitive concat;        // AxisAttrs; any number of inputs
extern Primitive slice_update;  // (x, update), SliceAttrs
}  // namespace primitives

// An IndexError that names `op` where the slice is not inside of the shape.
void check_slice(const Shape& shape, const SliceAttrs& attrs, const char* op);
// The view that the primitive slice gives, for kernels.
Tensor slice_view(const Tensor& x, const SliceAttrs& attrs, const Axes& dropped = {}, const Axes& added = {});

}  // namespace tidu
