// Which element of each window is the largest.
#include "ops/pooling.h"

#include "core/bind.h"

namespace tidu {
namespace {

void check(const SpecCall& call, size_t) {
  const Shape& x = call.inputs[0].shape;
  const auto& attrs = call.attrs.as<PoolingAttrs>();
  const int rank = attrs.extents.size();
  require(rank >= 1 && rank <= kMaxSpatial && x.size() >= rank, call, "windows run along one to three axes");
  constexpr int64_t kMost = int64_t{1} << 31;  // products of two are numbers
  const auto between = [&](const Dims& values, int64_t least) {
    return values.size() == rank &&
           std::ranges::all_of(values, [&](int64_t value) { return value >= least && value < kMost; });
  };
  require(between(attrs.extents, 0) && between(Dims(x.end() - rank, x.end()), 0) &&
              (attrs.adaptive || (between(attrs.kernel, 1) && between(attrs.stride, 1) &&
                                  between(attrs.low, 0) && between(attrs.dilation, 1))),
          call, "windows are counted by numbers of 32 bits");
  for (int i = 0; i < rank; ++i) {
    require(!has_empty_window(pooling_axis(x, attrs, i)), call, "a window has no element");
  }
}

}  // namespace

PoolingAxis pooling_axis(const Shape& x, const PoolingAttrs& attrs, int i) {
  const int64_t extent = x[x.size() - attrs.extents.size() + i], count = attrs.extents[i];
  if (attrs.adaptive) return {.extent = extent, .count = count, .adaptive = true};
  return {extent, count, attrs.kernel[i], attrs.stride[i], attrs.low[i], attrs.dilation[i]};
}

bool has_empty_window(const PoolingAxis& axis) {
  if (axis.adaptive) return axis.extent == 0 && axis.count > 0;
  for (int64_t k = 0; k < axis.count; ++k) {
    if (k * axis.stride >= axis.low) k = axis.count - 1;  // of those that begin in x the last has the least
    if (const Window window = axis.at(k); window.begin >= window.end) return true;
  }
  return false;
}

namespace primitives {

// | `argmax_of_windows` | the place of the first largest element of each window | 0 | 0 |
Primitive argmax_of_windows("argmax_of_windows",
                            {.batching = batch_by_fields,
                             .attrs = PoolingAttrs{},
                             .check = check,
                             .infer =
                                 [](const SpecCall& call, std::span<Spec> outputs) {
                                   const Dims& extents = call.attrs.as<PoolingAttrs>().extents;
                                   const Shape& x = call.inputs[0].shape;
                                   Shape shape(x.begin(), x.end() - extents.size());
                                   for (int64_t extent : extents) shape.push_back(extent);
                                   outputs[0].shape = shape;
                                   outputs[0].dtype = DType::int64;
                                 },
                             .derivative = Zero{},
                             .flops =
                                 [](const SpecCall& call, std::span<const Spec> outputs) {
                                   const auto& attrs = call.attrs.as<PoolingAttrs>();
                                   if (attrs.adaptive)
                                     return Flops{.arithmetic = num_elements(call.inputs[0].shape)};
                                   int64_t n = num_elements(outputs[0].shape);
                                   for (int64_t extent : attrs.kernel) n *= extent;
                                   return Flops{.arithmetic = n};
                                 }});

}  // namespace primitives

Tensor argmax_of_windows(const Tensor& x, const PoolingAttrs& attrs) {
  return bind(primitives::argmax_of_windows, {x}, attrs);
}

}  // namespace tidu
