// Changing dtype, device and layout.
#pragma once

#include "core/primitive.h"

namespace tidu {

// x itself where nothing changes. To bool: x != 0; to an integer: towards zero, saturating, NaN to 0.
Tensor astype(const Tensor& x, DType dtype);  // of complex numbers to complex ones and bool alone
Tensor to(const Tensor& x, Device device);
Tensor contiguous(const Tensor& x);  // x itself where it is row-major
Tensor copy(const Tensor& x);        // always new memory
// Floats of 16 bits in float32, in which what has several steps is computed before it is rounded once.
Tensor widened(const Tensor& x);

// --- Primitives

struct DTypeAttrs {
  DType dtype;
  void fields(auto&& field) const { field("dtype", dtype); }
};
struct DeviceAttrs {
  Device device;
  void fields(auto&& field) const { field("device", device); }
};

namespace primitives {
extern Primitive astype;  // DTypeAttrs
extern Primitive to;      // DeviceAttrs
extern Primitive copy;    // to row-major
}  // namespace primitives

}  // namespace tidu
