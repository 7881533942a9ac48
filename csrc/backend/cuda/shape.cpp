// Copies and conversions: the shape operations that are not views.
#include "ops/shape.h"
#include "ops/assign.h"
#include "ops/convert.h"

#include "backend/cuda/elements.h"
#include "backend/cuda/kernels.h"
#include "kernels/cuda/cast.h"

namespace tidu::cuda {
namespace {

cudaError_t copy_tensor(Context& context, const Tensor& from, const StridedMemory& to) {
  return copy_view(context.stream(), from.shape(), from, to);
}

cudaError_t astype(const Call& call, Context& context) {
  const Tensor &x = call.inputs[0], &y = call.outputs[0];
  if (x.dtype() == y.dtype()) return copy_tensor(context, x, y);
  return compute_elements(cast_function(x.dtype(), y.dtype()), call, context);
}

cudaError_t copy(const Call& call, Context& context) {
  return copy_tensor(context, call.inputs[0], call.outputs[0]);
}

cudaError_t assign(const Call& call, Context& context) {
  const Tensor& x = call.inputs[0];
  return copy_tensor(context, call.inputs[1],
                     call.attrs.empty() ? x : slice_view(x, call.attrs.as<SliceAttrs>()));
}

cudaError_t concat(const Call& call, Context& context) {
  const int axis = call.attrs.as<AxisAttrs>().axis;
  const StridedMemory y = call.outputs[0];
  int64_t start = 0;
  for (const Tensor& x : call.inputs) {
    const int64_t offset = start * y.strides[axis] * static_cast<int64_t>(y.size);
    const StridedMemory part(static_cast<char*>(y.data) + offset, y.strides, y.size);
    TIDU_TRY(copy_tensor(context, x, part));
    start += x.size(axis);
  }
  return cudaSuccess;
}

cudaError_t slice_update(const Call& call, Context& context) {
  const Tensor& y = call.outputs[0];
  TIDU_TRY(copy_tensor(context, call.inputs[0], y));
  return copy_tensor(context, call.inputs[1], slice_view(y, call.attrs.as<SliceAttrs>()));
}

}  // namespace

void register_shape_kernels() {
  set_operation<astype, true>(primitives::astype);
  set_operation<copy, true>(primitives::copy);
  set_operation<assign, true>(primitives::assign);
  set_operation<concat, true>(primitives::concat);
  set_operation<slice_update, true>(primitives::slice_update);
}

}  // namespace tidu::cuda
