// Writing in place.
#pragma once

#include "core/primitive.h"

namespace tidu {

// Writes `value`, broadcast and converted, into x's memory (x may be a view). Where a derivative depends on
// it, x becomes the result of a recorded operation, and other views of its memory may not be differentiated
// any more (they raise GradientError).
void assign(Tensor& x, const Tensor& value);
// The same for the part of x that `slice` would view.
void assign_slice(Tensor& x, const Tensor& value, const Dims& starts, const Dims& sizes, const Dims& steps);

namespace primitives {
extern Primitive assign;  // (x, value), SliceAttrs, or none for all of x: overwrites x, a view of any layout
}  // namespace primitives

}  // namespace tidu
