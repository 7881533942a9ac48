// The sum of the cotangents that come back to one value from the calls that use it.
#pragma once

#include <vector>

#include "ops/shape.h"

namespace tidu {

// Cotangents of slices of the value are kept as they are until the sum is taken, and put together then: many
// slices of one tensor cost one tensor, and not one each.
class CotangentSum {
 public:
  void add(const Tensor& cotangent);
  // The cotangent of a slice of a value of this shape.
  void add_part(const Shape& whole, const SliceAttrs& slice, const Tensor& cotangent);
  // Undefined where nothing came.
  Tensor take();

 private:
  struct Slice {
    Shape whole;
    SliceAttrs slice;
    Tensor sum;  // of the shape slice.sizes
  };

  // The parts in a box, which is whole from `axis` on; zero elsewhere. Undefined where parts overlap, or have
  // steps. Sorts the parts.
  static Tensor assemble(std::span<const Slice*> parts, int axis);

  Tensor whole_;
  std::vector<Slice> slices_;
};

}  // namespace tidu
