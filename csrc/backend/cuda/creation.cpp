// Filling new tensors.
#include "ops/creation.h"

#include "backend/cuda/context.h"
#include "backend/cuda/kernels.h"
#include "kernels/cuda/creation.h"

namespace tidu::cuda {
namespace {

Number integer(int64_t value) { return {.real = false, .integer = value}; }
Number real(double value) { return {.real = true, .floating = value}; }

cudaError_t full(const Call& call, Context& context) {
  const Scalar value = call.attrs.as<FullAttrs>().value;
  const Tensor& y = call.outputs[0];
  if (y.numel() == 0) return cudaSuccess;
  return full(context.stream(), value.kind == Kind::floating ? real(value.real) : integer(value.integer),
              y.dtype(), y.raw_data(), y.numel());
}

cudaError_t arange(const Call& call, Context& context) {
  const auto& attrs = call.attrs.as<ArangeAttrs>();
  const Tensor& y = call.outputs[0];
  if (y.numel() == 0) return cudaSuccess;
  return arange(context.stream(), attrs.real ? real(attrs.real_start) : integer(attrs.start),
                attrs.real ? real(attrs.real_step) : integer(attrs.step), y.dtype(), y.raw_data(), y.numel());
}

}  // namespace

void register_creation_kernels() {
  set_operation<full>(primitives::full);
  set_operation<arange>(primitives::arange);
}

}  // namespace tidu::cuda
