// Copies and conversions: the shape operations that are not views.
#include "ops/shape.h"
#include "ops/assign.h"
#include "ops/convert.h"

#include <algorithm>
#include <cstring>

#include "backend/backend.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/launch.h"
#include "backend/cpu/threads.h"
#include "kernels/cpu/cast.h"
#include "kernels/cpu/copy.h"

namespace tidu::cpu {
namespace {

void astype(const Call& call) {
  const Tensor &x = call.inputs[0], &y = call.outputs[0];
  if (x.dtype() == y.dtype()) return copy_elements(x, y);
  launch_tiles(cast_function(x.dtype(), y.dtype()), call.inputs, y, false);
}

void copy(const Call& call) { copy_elements(call.inputs[0], call.outputs[0]); }

// Writes a part of x.
void copy_to_slice(const Tensor& value, const Tensor& x, const SliceAttrs& part) {
  if (value.numel() == 0) return;
  Strides strides = x.strides();
  int64_t offset = 0;
  for (int i = 0; i < x.ndim(); ++i) {
    offset += part.starts[i] * strides[i];
    if (part.sizes[i] > 1) strides[i] *= part.steps[i];
  }
  copy_elements(value, static_cast<char*>(x.raw_data()) + offset * static_cast<int64_t>(size_of(x.dtype())),
                strides);
}

void assign(const Call& call) {
  const Tensor& x = call.inputs[0];
  if (call.attrs.empty()) return copy_elements(call.inputs[1], x);
  copy_to_slice(call.inputs[1], x, call.attrs.as<SliceAttrs>());
}

void concat(const Call& call) {
  const int axis = call.attrs.as<AxisAttrs>().axis;
  const Tensor& y = call.outputs[0];
  if (y.numel() == 0) return;
  const auto is_row_major = [](const Tensor& x) { return x.is_contiguous(); };
  int64_t rows = 1;
  for (int i = 0; i < axis; ++i) rows *= y.size(i);
  const int64_t size = static_cast<int64_t>(size_of(y.dtype())), whole = y.numel() / rows;
  // Rows of the result one after another, some at a time; where there are few elements what is asked of each
  // piece takes longer than the copies.
  constexpr int64_t kMany = 64, kTogether = 1 << 13;
  if ((y.numel() < kGrain || rows >= kMany) && is_row_major(y) &&
      std::ranges::all_of(call.inputs, is_row_major)) {
    const CopyBlockFunction copy = copy_block_function(static_cast<size_t>(size));
    const int64_t together = std::max<int64_t>(1, kTogether / whole),
                  pieces = (rows + together - 1) / together;
    parallel_for(pieces, y.numel(), [&](int64_t piece) {
      const int64_t first = piece * together, here = std::min(together, rows - first);
      char* to = static_cast<char*>(y.raw_data()) + first * whole * size;
      for (const Tensor& x : call.inputs) {
        const int64_t columns = x.numel() / rows;
        const char* const from = static_cast<const char*>(x.raw_data()) + first * columns * size;
        if (columns > 0) copy(from, {columns, 1}, to, {whole, 1}, here, columns);
        to += columns * size;
      }
    });
    return;
  }
  int64_t start = 0;
  for (const Tensor& x : call.inputs) {
    const int64_t offset = start * y.strides()[axis] * static_cast<int64_t>(size_of(y.dtype()));
    copy_elements(x, static_cast<char*>(y.raw_data()) + offset, y.strides());
    start += x.size(axis);
  }
}

void slice_update(const Call& call) {
  const Tensor& y = call.outputs[0];
  copy_elements(call.inputs[0], y);
  copy_to_slice(call.inputs[1], y, call.attrs.as<SliceAttrs>());
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
