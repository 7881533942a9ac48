// Mixed precision: products take their operands in 16 bits, and what sums or exponentiates gives float32.
#pragma once

#include <optional>
#include <span>

#include "tensor/tensor.h"

namespace tidu {

// What operations that users call on a thread do; derivative rules and programs do what was recorded.
struct Autocasting {
  bool enabled = false;
  DType dtype = DType::bfloat16;          // of operands: bfloat16 or float16
  std::optional<DeviceType> device = {};  // of the tensors concerned; none: of all
};
Autocasting autocasting();
void set_autocasting(Autocasting now);  // DTypeError where its dtype has not 16 bits

// A scope of it on this thread; within it others may be nested.
class Autocast {
 public:
  explicit Autocast(Autocasting now) : before_(autocasting()) { set_autocasting(now); }
  ~Autocast() { set_autocasting(before_); }
  Autocast(const Autocast&) = delete;

 private:
  Autocasting before_;
};

// Casts the operands of a product to the 16-bit type where all that are defined have float32 or 16 bits.
void cast_operands(std::span<Tensor> operands);
// x, or its dtype, in float32 where it has 16 bits.
Tensor cast_to_precise(const Tensor& x);
DType precise_type(const Tensor& x, DType dtype);

}  // namespace tidu
