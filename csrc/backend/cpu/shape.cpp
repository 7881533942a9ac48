// Copies and conversions: the shape operations that are not views.
#include "ops/shape.h"
#include "ops/assign.h"
#include "ops/convert.h"

#include <cstring>

#include "backend/backend.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/launch.h"
#include "kernels/cpu/cast.h"

namespace tidu::cpu {
namespace {

void astype(const Call& call) {
  const Tensor &x = call.inputs[0], &y = call.outputs[0];
  if (x.dtype() == y.dtype()) return copy_elements(x, y);
  launch_tiles(cast_function(x.dtype(), y.dtype()), call.inputs, y, false);
}

void copy(const Call& call) { copy_elements(call.inputs[0], call.outputs[0]); }

void assign(const Call& call) {
  const Tensor& x = call.inputs[0];
  copy_elements(call.inputs[1], call.attrs.empty() ? x : slice_view(x, call.attrs.as<SliceAttrs>()));
}

void concat(const Call& call) {
  const int axis = call.attrs.as<AxisAttrs>().axis;
  const Tensor& y = call.outputs[0];
  int64_t start = 0;
  for (const Tensor& x : call.inputs) {
    copy_elements(x, y.view(x.shape(), y.strides(), y.impl().offset + start * y.strides()[axis]));
    start += x.size(axis);
  }
}

void slice_update(const Call& call) {
  const Tensor& y = call.outputs[0];
  copy_elements(call.inputs[0], y);
  copy_elements(call.inputs[1], slice_view(y, call.attrs.as<SliceAttrs>()));
}

}  // namespace

void register_shape_kernels() {
  set_kernel(primitives::astype, DeviceType::cpu, astype);
  set_kernel(primitives::copy, DeviceType::cpu, copy);
  set_kernel(primitives::assign, DeviceType::cpu, assign);
  set_kernel(primitives::concat, DeviceType::cpu, concat);
  set_kernel(primitives::slice_update, DeviceType::cpu, slice_update);
}

}  // namespace tidu::cpu
