// Reading and writing at places that tensors of indices name. Negative indices count from the end; one out of
// range is an IndexError, found before anything is written. Where a place is named more than once, what
// happens there happens in the row-major order of the indices.
#pragma once

#include <optional>

#include "core/primitive.h"

namespace tidu {

// The slices of x along `axis` at integer `indices`: x.shape with that axis replaced by indices.shape.
Tensor take(const Tensor& x, const Tensor& indices, int64_t axis);
// Element (.., indices[.., i, ..], ..) along `axis`; x and indices have one rank and broadcast elsewhere.
Tensor take_along_axis(const Tensor& x, const Tensor& indices, int64_t axis);

// x with `updates`, which broadcast to take(x, indices, axis), added at the indices, or put there (the last
// one stays), or multiplied, or the extreme of them and x.
Tensor scatter_add(const Tensor& x, const Tensor& indices, const Tensor& updates, int64_t axis);
Tensor scatter_set(const Tensor& x, const Tensor& indices, const Tensor& updates, int64_t axis);
Tensor scatter_multiply(const Tensor& x, const Tensor& indices, const Tensor& updates, int64_t axis);
Tensor scatter_min(const Tensor& x, const Tensor& indices, const Tensor& updates, int64_t axis);
Tensor scatter_max(const Tensor& x, const Tensor& indices, const Tensor& updates, int64_t axis);
// x with the elements that take_along_axis(x, indices, axis) reads replaced by `values`, which broadcast.
Tensor put_along_axis(const Tensor& x, const Tensor& indices, const Tensor& values, int64_t axis);

// With indices of x's rank that are at most as large as x on the other axes: element (.., i, ..) is
// x[.., indices[.., i, ..], ..].
Tensor gather(const Tensor& x, int64_t axis, const Tensor& indices);
// x with the elements that gather(x, axis, indices) reads replaced by the first elements of `updates`, or
// combined with them; of elements that are not to count themselves, with these alone.
enum class Combining : uint8_t { sum, prod, mean, amax, amin };
Tensor scatter(const Tensor& x, int64_t axis, const Tensor& indices, const Tensor& updates);
Tensor scatter_reduce(const Tensor& x, int64_t axis, const Tensor& indices, const Tensor& updates,
                      Combining how, bool include_self = true);

// The slices of x (n, ..) put together by integers (n), which say of which of `count` segments each one is:
// (count, ..). Of no slices the sum is 0, the product 1, the mean NaN, the largest -inf or the least integer.
// The largest segment is read back where the count is left out.
Tensor segment(const Tensor& x, const Tensor& segments, Combining how, std::optional<int64_t> count = {});

// Whether the integer along a new last axis, of `classes`, is the index: nowhere if that is none of them.
Tensor is_class(const Tensor& indices, int64_t classes);

// The coordinates, one tensor an axis, of elements of a shape by their places row by row.
Tensors unravel_index(const Tensor& indices, const Shape& shape);

// The elements where the mask, which is broadcast with x, is true: a vector. Their number is read back.
Tensor masked_select(const Tensor& x, const Tensor& mask);
// x with a number, or a tensor of shape (), converted, where the mask is true.
Tensor masked_fill(const Tensor& x, const Tensor& mask, const Tensor& value);

// The int64 coordinates of the true elements, row-major: one vector an axis. Their number depends on values
// (the only thing that is read back), so not in programs.
Tensors nonzero(const Tensor& mask);

// How index tensors pick elements of x. The axes of x are those that the indices name (`axes`, one for each
// index tensor), those that x and the index tensors share (`batch`), and the rest. The picked elements have
// the axes of x but for the named ones, and from axis `at` on those of the points. The index tensors, all of
// one shape, have the axes of the picked elements but for those that x alone has.
struct IndexAttrs {
  attr::Axes axes;
  attr::SharedAxes batch;
  attr::Axis at;
  void fields(auto&& field) const { field("axes", axes), field("batch", batch), field("at", at); }
};

// An axis of the picked elements: the axis of x and of the index tensors that it runs along, -1 for none.
struct PickedAxis {
  int x, index;
};
struct PickedAxes {
  PickedAxis axes[kMaxRank];
  int count = 0;
  const PickedAxis& operator[](int i) const { return axes[i]; }
  const PickedAxis* begin() const { return axes; }
  const PickedAxis* end() const { return axes + count; }
};
PickedAxes picked_axes(const IndexAttrs& attrs, int x_ndim, int index_ndim);

Shape picked_shape(const IndexAttrs& attrs, const Shape& x, const Shape& indices);
// Makes index tensors what the primitives take: int64, of one shape.
void make_indices(std::span<Tensor> indices, const char* op);

// The picked elements, and x with the picked elements replaced, for index tensors that broadcast.
Tensor gather(const Tensor& x, const Tensors& indices, const IndexAttrs& attrs);
Tensor scatter_set(const Tensor& x, const Tensor& updates, const Tensors& indices, const IndexAttrs& attrs);

struct CountAttrs {
  int64_t count;  // of true elements
  void fields(auto&& field) const { field("count", count); }
};

namespace primitives {
extern Primitive gather;                    // (x, int64 indices..), IndexAttrs
extern Primitive scatter_add, scatter_set;  // (x, updates, int64 indices..), IndexAttrs
extern Primitive scatter_multiply, scatter_min, scatter_max;
extern Primitive nonzero;  // (mask), CountAttrs: (axes, count)
}  // namespace primitives

}  // namespace tidu
