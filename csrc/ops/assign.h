// Writing in place.
#pragma once

#include "core/primitive.h"
#include "ops/elementwise.h"

namespace tidu {

struct IndexAttrs;

// Writes `value`, broadcast and converted, into x's memory (x may be a view). Where a derivative depends on
// it, x becomes the result of a recorded operation, and other views of its memory may not be differentiated
// any more (they raise GradientError).
void assign(Tensor& x, const Tensor& value);
// Raises what assign would for a value of x's shape and dtype; changes nothing.
void check_assign(const Tensor& x, const Tensor& value);
// The same for the part of x that `slice` would view.
void assign_slice(Tensor& x, const Tensor& value, const Dims& starts, const Dims& sizes, const Dims& steps);
// The same for the elements of x that `gather` would pick; nothing else is touched.
void assign_points(Tensor& x, const Tensor& value, const Tensors& indices, const IndexAttrs& attrs);

// x = row(x, y) by one call that writes where it reads, and whether that was possible: on the cpu, of
// contiguous memory where nobody sees the call and the dtype stays.
bool assign_over(Tensor& x, const Primitive& row, const Operand& y);

namespace primitives {
extern Primitive assign;  // (x, value), SliceAttrs, or none for all of x: overwrites x, a view of any layout
extern Primitive assign_points;  // (x, updates, int64 indices..), IndexAttrs: the same for some elements
}  // namespace primitives

}  // namespace tidu
