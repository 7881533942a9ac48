// Calls that put values together, as copies of their parts.
#include "compile/pieces.h"

#include "ops/shape.h"

namespace tidu {

std::vector<Piece> pieces_of(const Call& call) {
  std::vector<Piece> pieces;
  const auto add = [&](size_t input, const Tensor& from, const Tensor& to) {
    if (to.numel() > 0) pieces.push_back({input, from, to});
  };
  if (&call.primitive == &primitives::concat) {
    const Tensor& whole = call.outputs[0];
    const int axis = call.attrs.as<AxisAttrs>().axis;
    Dims starts(whole.ndim(), 0);
    for (size_t i = 0; i < call.inputs.size(); ++i) {
      const Tensor& part = call.inputs[i];
      add(i, part, slice_view(whole, {starts, part.shape(), Dims(whole.ndim(), 1)}));
      starts[axis] += part.size(axis);
    }
  } else if (&call.primitive == &primitives::slice_update) {
    const Tensor &rest = call.inputs[0], &whole = call.outputs[0];
    const auto& part = call.attrs.as<SliceAttrs>();
    for (int axis = 0; axis < whole.ndim(); ++axis) {
      if (part.sizes[axis] > 1 && part.steps[axis] != 1) return {};
    }
    add(1, call.inputs[1], slice_view(whole, part));
    // Before and behind the part along each axis, of what is beside it along none of those before.
    SliceAttrs beside{Dims(whole.ndim(), 0), whole.shape(), Dims(whole.ndim(), 1)};
    for (int axis = 0; axis < whole.ndim(); ++axis) {
      const int64_t begin = part.starts[axis], end = begin + part.sizes[axis];
      const std::pair<int64_t, int64_t> ranges[] = {{0, begin}, {end, whole.size(axis)}};
      for (const auto& [from, to] : ranges) {
        beside.starts[axis] = from;
        beside.sizes[axis] = to - from;
        add(0, slice_view(rest, beside), slice_view(whole, beside));
      }
      beside.starts[axis] = begin;
      beside.sizes[axis] = part.sizes[axis];
    }
  }
  return pieces;
}

bool lies_there(const Piece& piece) {
  const Tensor &from = piece.from, &to = piece.to;
  return from.impl().storage == to.impl().storage && from.impl().offset == to.impl().offset &&
         (from.strides() == to.strides() || (from.is_contiguous() && to.is_contiguous()));
}

}  // namespace tidu
