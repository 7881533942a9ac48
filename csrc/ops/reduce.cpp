// Reductions.
#include "ops/reduce.h"

#include <cmath>
#include <limits>

#include "core/bind.h"
#include "ops/convert.h"
#include "ops/creation.h"
#include "ops/elementwise.h"
#include "ops/shape.h"

namespace tidu {
namespace {

Shape kept_shape(const Shape& shape, const Axes& axes) {
  Shape result = shape;
  for (int64_t axis : axes) result[static_cast<int>(axis)] = 1;
  return result;
}

Shape reduced_shape(const Shape& shape, const Axes& axes) {
  Shape result;
  for (int i = 0; i < shape.size(); ++i) {
    if (!axes.contains(i)) result.push_back(shape[i]);
  }
  return result;
}

int64_t reduced_count(const Shape& shape, const Axes& axes) {
  int64_t count = 1;
  for (int64_t axis : axes) count *= shape[static_cast<int>(axis)];
  return count;
}

const Axes& axes_of(const auto& call) { return call.attrs.template as<ReduceAttrs>().axes; }

// What a reduction yielded, laid along the input again.
Tensor spread(const Tensor& reduced, const Call& call) {
  const Shape& shape = call.inputs[0].shape();
  return broadcast_to(reshape(reduced, kept_shape(shape, axes_of(call))), shape);
}

Tensor sum_again(const Tensor& x, const Call& call) { return bind(primitives::sum, {x}, call.attrs); }

void infer_same(const SpecCall& call, std::span<Spec> outputs) {
  const Spec& x = call.inputs[0];
  outputs[0] = {reduced_shape(x.shape, axes_of(call)), x.dtype, x.device};
}

void infer_extreme(const SpecCall& call, std::span<Spec> outputs) {
  const Shape& shape = call.inputs[0].shape;
  if (reduced_count(shape, axes_of(call)) == 0 && num_elements(reduced_shape(shape, axes_of(call))) != 0) {
    fail<ValueError>("[", call.primitive.name, "] of no elements: ", call.inputs[0], " over axes ",
                     axes_of(call));
  }
  infer_same(call, outputs);
}
void infer_extreme_index(const SpecCall& call, std::span<Spec> outputs) {
  infer_extreme(call, outputs);
  outputs[0].dtype = DType::int64;
}

// How much each element has of the extreme: 1 shared equally among ties.
Tensor extreme_share(const Call& call) {
  const Tensor hit = astype(call.inputs[0] == spread(call.outputs[0], call), call.inputs[0].dtype());
  return hit / spread(sum_again(hit, call), call);
}

const Custom extreme{
    .reads = [](Reads) -> Reads { return kInput0 | kOutput; },
    .jvp = [](const Call& call, Tangents tangents) -> Tensors {
      return {sum_again(multiply_no_nan(tangents[0], extreme_share(call)), call)};
    },
    .vjp = [](const Call& call, Cotangents cotangents, Reads) -> Tensors {
      return {multiply_no_nan(spread(cotangents[0], call), extreme_share(call))};
    },
};

// exp(x - logsumexp(x)), the weights of a softmax over the reduced axes.
Tensor softmax_weights(const Call& call) {
  const Tensor& y = call.outputs[0];
  return exp(call.inputs[0] - spread(where(isfinite(y), y, 0), call));
}

const Custom log_sum{
    .reads = [](Reads) -> Reads { return kInput0 | kOutput; },
    .jvp = [](const Call& call, Tangents tangents) -> Tensors {
      return {sum_again(multiply_no_nan(softmax_weights(call), tangents[0]), call)};
    },
    .vjp = [](const Call& call, Cotangents cotangents, Reads) -> Tensors {
      return {multiply_no_nan(softmax_weights(call), spread(cotangents[0], call))};
    },
};

// Along the last axis, the product of all other elements: exact also where elements are zero, to any order.
// Neighbours are multiplied, the products of the others found for the pairs, and each element then takes its
// neighbour.
Tensor product_of_others(const Tensor& x) {
  const int64_t n = x.size(-1);
  if (n == 1) return ones_like(x);
  if (n % 2 != 0) {
    const Tensor one = ones_like(slice_axis(x, -1, 0, 1));
    return slice_axis(product_of_others(concat({x, one}, -1)), -1, 0, n);
  }
  const Tensor even = slice_axis(x, -1, 0, {}, 2), odd = slice_axis(x, -1, 1, {}, 2);
  const Tensor others = product_of_others(even * odd);
  return reshape(stack({others * odd, others * even}, -1), x.shape());
}

// d prod / dx, in the shape of x.
Tensor product_slope(const Call& call) {
  const Tensor& x = call.inputs[0];
  const Axes& axes = axes_of(call);
  if (x.numel() == 0) return zeros_like(x);
  Axes order;
  for (int i = 0; i < x.ndim(); ++i) {
    if (!axes.contains(i)) order.push_back(i);
  }
  for (int64_t axis : axes) order.push_back(axis);
  Axes back(order.size(), 0);
  for (int i = 0; i < order.size(); ++i) back[static_cast<int>(order[i])] = i;
  const Tensor last = permute_dims(x, order);
  const Tensor rows = reshape(last, {-1, reduced_count(x.shape(), axes)});
  return permute_dims(reshape(product_of_others(rows), last.shape()), back);
}

const Custom product{
    .reads = [](Reads) -> Reads { return kInput0; },
    .jvp = [](const Call& call, Tangents tangents) -> Tensors {
      return {sum_again(product_slope(call) * tangents[0], call)};
    },
    .vjp = [](const Call& call, Cotangents cotangents, Reads) -> Tensors {
      return {product_slope(call) * spread(cotangents[0], call)};
    },
};

}  // namespace

namespace primitives {

Primitive sum("sum", {.infer = infer_same,
                      .derivative = Linear{.transpose = [](const Call& call, Cotangents cotangents, int) {
                        return spread(cotangents[0], call);
                      }}});
Primitive prod("prod", {.infer = infer_same, .derivative = product});
Primitive max("max", {.infer = infer_extreme, .derivative = extreme});
Primitive min("min", {.infer = infer_extreme, .derivative = extreme});
Primitive any("any", {.infer = infer_same, .derivative = Zero{}});
Primitive all("all", {.infer = infer_same, .derivative = Zero{}});
Primitive logsumexp("logsumexp", {.infer = infer_same, .derivative = log_sum});
Primitive argmax("argmax", {.infer = infer_extreme_index, .derivative = Zero{}});
Primitive argmin("argmin", {.infer = infer_extreme_index, .derivative = Zero{}});

}  // namespace primitives

namespace {

Tensor reduce(const Primitive& primitive, const Tensor& x, const Over& over, bool keepdims) {
  Axes all_axes;
  for (int i = 0; i < x.ndim(); ++i) all_axes.push_back(i);
  const Axes axes = over ? normalize_axes(*over, x.ndim(), primitive.name) : all_axes;
  const Tensor result = bind(primitive, {x}, ReduceAttrs{axes});
  return keepdims ? reshape(result, kept_shape(x.shape(), axes)) : result;
}

// In which sums and products of integers are accumulated.
Tensor widened(const Tensor& x) {
  if (is_floating(x.dtype())) return x;
  return astype(x, kind_of(x.dtype()) == Kind::unsigned_integer ? DType::uint64 : DType::int64);
}

Tensor as_floating(const Tensor& x) { return is_floating(x.dtype()) ? x : astype(x, kDefaultFloat); }

Tensor reduce_index(const Primitive& primitive, const Tensor& x, std::optional<int64_t> axis, bool keepdims) {
  if (axis || x.ndim() == 1) return reduce(primitive, x, Axes{axis.value_or(0)}, keepdims);
  const Tensor result = reduce(primitive, flatten(x), Axes{0}, false);
  return keepdims ? reshape(result, Shape(x.ndim(), 1)) : result;
}

int64_t count_over(const Tensor& x, const Over& over, const char* op) {
  return over ? reduced_count(x.shape(), normalize_axes(*over, x.ndim(), op)) : x.numel();
}

}  // namespace

Tensor sum(const Tensor& x, const Over& axes, bool keepdims) {
  return reduce(primitives::sum, widened(x), axes, keepdims);
}
Tensor prod(const Tensor& x, const Over& axes, bool keepdims) {
  return reduce(primitives::prod, widened(x), axes, keepdims);
}
Tensor max(const Tensor& x, const Over& axes, bool keepdims) {
  return reduce(primitives::max, x, axes, keepdims);
}
Tensor min(const Tensor& x, const Over& axes, bool keepdims) {
  return reduce(primitives::min, x, axes, keepdims);
}
Tensor any(const Tensor& x, const Over& axes, bool keepdims) {
  return reduce(primitives::any, astype(x, DType::bool_), axes, keepdims);
}
Tensor all(const Tensor& x, const Over& axes, bool keepdims) {
  return reduce(primitives::all, astype(x, DType::bool_), axes, keepdims);
}
Tensor argmax(const Tensor& x, std::optional<int64_t> axis, bool keepdims) {
  return reduce_index(primitives::argmax, x, axis, keepdims);
}
Tensor argmin(const Tensor& x, std::optional<int64_t> axis, bool keepdims) {
  return reduce_index(primitives::argmin, x, axis, keepdims);
}
Tensor logsumexp(const Tensor& x, const Over& axes, bool keepdims) {
  return reduce(primitives::logsumexp, as_floating(x), axes, keepdims);
}

Tensor mean(const Tensor& x, const Over& axes, bool keepdims) {
  const Tensor values = as_floating(x);
  return sum(values, axes, keepdims) / static_cast<double>(count_over(x, axes, "mean"));
}

Tensor var(const Tensor& x, const Over& axes, double correction, bool keepdims) {
  const Tensor deviation = x - mean(x, axes, true);
  const double divisor = static_cast<double>(count_over(x, axes, "var")) - correction;
  return sum(square(deviation), axes, keepdims) / std::max(divisor, 0.0);
}

Tensor std(const Tensor& x, const Over& axes, double correction, bool keepdims) {
  return sqrt(var(x, axes, correction, keepdims));
}

Tensor sum_to(const Tensor& x, const Shape& shape) {
  if (x.shape() == shape) return x;
  const int added = x.ndim() - shape.size();
  Axes axes;
  for (int i = 0; i < x.ndim(); ++i) {
    if (i < added || shape[i - added] != x.size(i)) axes.push_back(i);
  }
  return reshape(bind(primitives::sum, {x}, ReduceAttrs{axes}), shape);
}

}  // namespace tidu
