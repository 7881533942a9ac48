// Indexing by tensors.
#include "ops/indexing.h"

#include "core/bind.h"
#include "ops/convert.h"
#include "ops/creation.h"
#include "ops/elementwise.h"
#include "ops/reduce.h"
#include "ops/shape.h"

namespace tidu {
namespace primitives {

Primitive take("take",
               {.infer =
                    [](const SpecCall& call, std::span<Spec> outputs) {
                      const Spec &x = call.inputs[0], &indices = call.inputs[1];
                      const int axis = call.attrs.as<TakeAttrs>().axis;
                      Shape shape(x.shape.begin(), x.shape.begin() + axis);
                      for (int64_t extent : indices.shape) shape.push_back(extent);
                      for (int i = axis + 1; i < x.shape.size(); ++i) shape.push_back(x.shape[i]);
                      outputs[0] = {shape, x.dtype, x.device};
                    },
                .derivative = Linear{.linear = kInput0,
                                     .reads = kInput1,
                                     .transpose = [](const Call& call, Cotangents cotangents, int) {
                                       return bind(scatter, {cotangents[0], call.inputs[1]}, call.attrs);
                                     }}});

Primitive scatter("scatter",
                  {.infer =
                       [](const SpecCall& call, std::span<Spec> outputs) {
                         const Spec &updates = call.inputs[0], &indices = call.inputs[1];
                         const auto& attrs = call.attrs.as<TakeAttrs>();
                         Shape shape(updates.shape.begin(), updates.shape.begin() + attrs.axis);
                         shape.push_back(attrs.size);
                         for (int i = attrs.axis + indices.shape.size(); i < updates.shape.size(); ++i)
                           shape.push_back(updates.shape[i]);
                         outputs[0] = {shape, updates.dtype, updates.device};
                       },
                   .derivative = Linear{.linear = kInput0,
                                        .reads = kInput1,
                                        .transpose = [](const Call& call, Cotangents cotangents, int) {
                                          return bind(take, {cotangents[0], call.inputs[1]}, call.attrs);
                                        }}});

}  // namespace primitives

namespace {

Tensor as_indices(const Tensor& indices, const char* op) {
  if (!is_integral(indices.dtype()))
    fail<DTypeError>("[", op, "] indices must be integers, not ", describe(indices));
  return astype(indices, DType::int64);
}

// Row-major numbers of the points that the index tensors name in the leading axes of `shape`; int64.
Tensor linear_indices(const Shape& shape, const Tensors& indices, const char* op) {
  if (indices.empty() || static_cast<int>(indices.size()) > shape.size()) {
    fail<IndexError>("[", op, "] ", indices.size(), " index tensors for shape ", shape);
  }
  Tensor linear;
  for (size_t i = 0; i < indices.size(); ++i) {
    const int64_t extent = shape[static_cast<int>(i)];
    Tensor index = as_indices(indices[i], op);
    if (!index.is_abstract() && index.numel() > 0) {
      const int64_t low = item<int64_t>(min(index)), high = item<int64_t>(max(index));
      if (low < -extent || high >= extent) {
        fail<IndexError>("[", op, "] index ", low < -extent ? low : high, " is out of range for axis ", i,
                         " of shape ", shape);
      }
    }
    index = where(index < 0, index + extent, index);
    linear = i == 0 ? index : linear * extent + index;
  }
  return linear;
}

// x with its first `count` axes as one.
Tensor merge_leading(const Tensor& x, size_t count) {
  Shape shape{1};
  for (int i = 0; i < x.ndim(); ++i) {
    if (i < static_cast<int>(count)) {
      shape[0] *= x.size(i);
    } else {
      shape.push_back(x.size(i));
    }
  }
  return reshape(x, shape);
}

}  // namespace

Tensor take(const Tensor& x, const Tensor& indices, int64_t axis) {
  const int at = normalize_axis(axis, x.ndim(), "take");
  return bind(primitives::take, {x, as_indices(indices, "take")}, TakeAttrs{at, x.size(at)});
}

Tensor take_points(const Tensor& x, const Tensors& indices) {
  const Tensor points = linear_indices(x.shape(), indices, "take_points");
  return take(merge_leading(x, indices.size()), points, 0);
}

Tensor take_along_axis(const Tensor& x, const Tensor& indices, int64_t axis) {
  if (x.ndim() != indices.ndim())
    fail<ShapeError>("[take_along_axis] ", describe(x), " and ", describe(indices), " differ in rank");
  const int at = normalize_axis(axis, x.ndim(), "take_along_axis");
  Shape x_shape = x.shape(), index_shape = indices.shape();
  x_shape[at] = index_shape[at] = 1;
  const Shape common = broadcast_shapes(x_shape, index_shape, "take_along_axis");
  x_shape = index_shape = common;
  x_shape[at] = x.size(at);
  index_shape[at] = indices.size(at);
  Tensors points;
  for (int i = 0; i < x.ndim(); ++i) {
    if (i == at) {
      points.push_back(broadcast_to(indices, index_shape));
      continue;
    }
    Shape along(x.ndim(), 1);
    along[i] = common[i];
    points.push_back(reshape(arange(common[i], DType::int64, x.device()), along));
  }
  return take_points(broadcast_to(x, x_shape), points);
}

Tensor scatter_add(const Tensor& x, const Tensor& indices, const Tensor& updates, int64_t axis) {
  const int at = normalize_axis(axis, x.ndim(), "scatter_add");
  Shape shape(x.shape().begin(), x.shape().begin() + at);
  for (int64_t extent : indices.shape()) shape.push_back(extent);
  for (int i = at + 1; i < x.ndim(); ++i) shape.push_back(x.size(i));
  const Tensor spread = broadcast_to(astype(updates, x.dtype()), shape);
  return x +
         bind(primitives::scatter, {spread, as_indices(indices, "scatter_add")}, TakeAttrs{at, x.size(at)});
}

Tensor put_points(const Tensor& x, const Tensors& indices, const Tensor& updates) {
  const Tensor points = linear_indices(x.shape(), indices, "put_points");
  if (points.numel() == 0) return x;
  const Tensor merged = merge_leading(x, indices.size());
  Shape shape = points.shape();
  for (int i = 1; i < merged.ndim(); ++i) shape.push_back(merged.size(i));
  const Tensor values = reshape(broadcast_to(astype(updates, x.dtype()), shape), [&] {
    Shape rows = merged.shape();
    rows[0] = points.numel();
    return rows;
  }());
  // Each place takes the value of the last point that names it.
  std::vector<int64_t> last(merged.size(0), -1);
  const auto where_to = to_vector<int64_t>(points);
  for (size_t i = 0; i < where_to.size(); ++i) last[where_to[i]] = static_cast<int64_t>(i);
  const Tensor source = copy_from_host(last.data(), {merged.size(0)}, DType::int64, x.device());
  Shape column{merged.size(0)};
  for (int i = 1; i < merged.ndim(); ++i) column.push_back(1);
  const Tensor taken = take(values, maximum(source, 0), 0);
  return reshape(where(reshape(source, column) >= 0, taken, merged), x.shape());
}

Tensors nonzero(const Tensor& mask) {
  const auto values = to_vector<bool>(mask);
  std::vector<std::vector<int64_t>> coordinates(mask.ndim());
  const Strides strides = contiguous_strides(mask.shape());
  for (size_t i = 0; i < values.size(); ++i) {
    if (!values[i]) continue;
    for (int axis = 0; axis < mask.ndim(); ++axis)
      coordinates[axis].push_back(static_cast<int64_t>(i) / strides[axis] % mask.size(axis));
  }
  Tensors result;
  for (const auto& axis : coordinates) {
    result.push_back(
        copy_from_host(axis.data(), {static_cast<int64_t>(axis.size())}, DType::int64, mask.device()));
  }
  return result;
}

}  // namespace tidu
