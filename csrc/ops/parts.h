// Reductions of what is made of each element, part by part, so that it takes the memory of a part.
#pragma once

#include <algorithm>

#include "base/few.h"
#include "core/bind.h"
#include "ops/reduce.h"
#include "ops/shape.h"

namespace tidu {

// Into how many parts something is cut at most, the last of which may be short.
inline constexpr size_t kMostParts = 33;

// What `reduce` makes of the inputs over the axes, which it keeps. They have one rank and broadcast to the
// first. It is given parts of at most `most` elements, cut along the longest axes; `combine` reduces what it
// made of parts along a reduced axis. The parts depend on the shape alone.
template <class Reduce, class Combine>
Tensor by_parts(std::span<const Tensor> inputs, const Axes& axes, const Reduce& reduce,
                const Combine& combine, int64_t most) {
  const Shape& shape = inputs[0].shape();
  if (inputs[0].numel() <= most) return reduce(inputs);
  const auto axis = static_cast<int>(std::ranges::max_element(shape) - shape.begin());
  const int64_t extent = shape[axis], pieces = std::min(extent, (inputs[0].numel() + most - 1) / most);
  const int64_t step = (extent + pieces - 1) / pieces;
  Few<Tensor, 4> part(inputs.size());
  Few<Tensor, kMostParts> results(static_cast<size_t>((extent + step - 1) / step));
  for (size_t i = 0; i < results.size(); ++i) {
    const int64_t start = static_cast<int64_t>(i) * step;
    std::ranges::transform(inputs, part.begin(), [&](const Tensor& input) {
      return input.size(axis) == 1 ? input : slice_axis(input, axis, start, start + step);
    });
    results[i] = by_parts(part, axes, reduce, combine, most);
  }
  const Tensor all = concat(results, axis);
  return axes.contains(axis) ? combine(all, Axes{axis}) : all;
}

template <class Reduce, class Combine>
Tensor by_parts(std::initializer_list<Tensor> inputs, const Axes& axes, const Reduce& reduce,
                const Combine& combine) {
  const Tensor& first = *inputs.begin();
  const int64_t least = first.device().type == DeviceType::cpu ? 1 << 16 : 1 << 20;  // that fills a device
  return by_parts(std::span(inputs.begin(), inputs.size()), axes, reduce, combine,
                  std::max(least, first.numel() / static_cast<int64_t>(kMostParts - 1)));
}

// The same of one input where results of parts are combined without rounding. Where somebody looks the whole
// is reduced at once: ties, which share a gradient, may lie in several parts.
template <class Reduce, class Combine>
Tensor by_exact_parts(const Tensor& x, const Axes& axes, const Reduce& reduce, const Combine& combine) {
  if (is_seen(x)) return reduce(x);
  return by_parts(
      {x}, axes, [&](std::span<const Tensor> part) { return reduce(part[0]); }, combine);
}

// Whether a predicate is true of all pairs of elements of two tensors of one shape, in a bool of shape ().
template <class Predicate> Tensor all_of_pairs(const Tensor& a, const Tensor& b, const Predicate& predicate) {
  const Axes axes = all_axes(a.ndim());
  const Tensor result = by_parts(
      {a, b}, axes,
      [&](std::span<const Tensor> part) { return all(predicate(part[0], part[1]), axes, true); },
      [](const Tensor& parts, const Axes& axis) { return all(parts, axis, true); });
  return squeeze(result, axes);
}

}  // namespace tidu
