// Reductions: axes, dtypes and derivatives, the same for every row of the table.
#include "ops/reduce.h"

#include <algorithm>

#include "core/bind.h"
#include "ops/accumulate.h"
#include "ops/autocast.h"
#include "ops/complex.h"
#include "ops/creation.h"
#include "ops/elementwise.h"
#include "ops/parts.h"
#include "ops/shape.h"
#include "ops/softmax.h"

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

template <template <class> class Struct, Takes types, bool of_nothing>
void infer(const SpecCall& call, std::span<Spec> outputs) {
  const Spec& x = call.inputs[0];
  const Shape shape = reduced_shape(x.shape, axes_of(call));
  if (types == Takes::boolean) check_computed(call, types);
  if (!of_nothing && num_elements(x.shape) == 0 && num_elements(shape) != 0) {
    fail<ValueError>("[", call.primitive.name, "] of no elements: ", x, " over axes ", axes_of(call));
  }
  outputs[0] = {shape, result_dtype<Struct, types>(x.dtype), x.device};
}

void check_sorted(const SpecCall& call, size_t) {
  require(std::ranges::is_sorted(axes_of(call)), call, "the axes must be sorted");
}
// Elements are counted in the order of the axes.
void check_counted(const SpecCall& call, size_t outputs) {
  check_sorted(call, outputs);
  require(!axes_of(call).empty(), call, "there must be an axis");
}

// --- Derivatives. Those of halves are computed in float and rounded once.

Tensor divided(const Tensor& x, int64_t n) { return astype(widened(x) / static_cast<double>(n), x.dtype()); }

// dy/dx, in the shape of x.
template <auto slope> Tensor slope_of(const Call& call) {
  const Tensor x = widened(call.inputs[0]), &y = call.outputs[0];
  const auto& [axes, correction] = call.attrs.as<ReduceAttrs>();
  const double divisor = static_cast<double>(reduced_count(x.shape(), axes)) - correction;
  return slope(x, y.defined() ? spread(y, call) : y, axes, std::max(divisor, 0.0));
}

template <Reads read, auto slope> Custom sloping() {
  return {
      .reads = [](Reads) { return read; },
      .jvp = [](const Call& call, Tangents tangents) -> Tensors {
        const Tensor weighted = multiply_no_nan(widened(tangents[0]), slope_of<slope>(call));
        return {astype(sum(weighted, axes_of(call)), tangents[0].dtype())};
      },
      .vjp = [](const Call& call, Cotangents cotangents, const InputSet&) -> Tensors {
        const Tensor g = spread(widened(cotangents[0]), call);
        return {astype(multiply_no_nan(g, slope_of<slope>(call)), cotangents[0].dtype())};
      },
  };
}

// How much each element has of the extreme: 1 shared equally among ties.
Tensor share_of_ties(const Tensor& x, const Tensor& y, const Axes& axes) {
  const Tensor hit = astype(x == y, x.dtype());
  return hit / sum(hit, axes, true);
}

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
  if (n == 2) return concat({odd, even}, -1);
  const Tensor others = product_of_others(even * odd);
  return reshape(stack({others * odd, others * even}, -1), x.shape());
}

// What a function makes of the elements along the last axis, over any axes.
template <class Function> Tensor over(const Axes& axes, const Tensor& x, const Function& function) {
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
  return permute_dims(reshape(function(rows), last.shape()), back);
}

Tensor softmax_over(const Axes& axes, const Tensor& x) {
  if (axes.size() == 1) return softmax_limit(x, axes[0]);
  return over(axes, x, [](const Tensor& rows) { return softmax_limit(rows); });
}

// x - mean(x), where what rounding the mean leaves is taken away, too.
Tensor centred(const Tensor& x, const Axes& axes) {
  const Tensor near = x - stop_gradient(mean(x, axes, true));
  return near - mean(near, axes, true);
}

// The columns of the table.
constexpr bool identity = true, error = false;
#define EACH(arithmetic, transcendental) (flops_per_input<arithmetic, transcendental>)
#define ZERO (Zero{})
#define LINEAR(e)                                                                            \
  (LinearMap{.transpose = [](const Call& call, Cotangents cotangents, int) {                 \
    const Tensor& g = cotangents[0];                                                         \
    [[maybe_unused]] const int64_t n = reduced_count(call.inputs[0].shape(), axes_of(call)); \
    return spread(e, call);                                                                  \
  }})
#define SLOPE(reads, e)                                                           \
  (sloping<reads,                                                                 \
           []([[maybe_unused]] const Tensor& x, [[maybe_unused]] const Tensor& y, \
              [[maybe_unused]] const Axes& axes,                                  \
              [[maybe_unused]] double divisor) -> Tensor { return e; }>())
#define SLOPE_X(e) SLOPE(kInput0, e)
#define SLOPE_XY(e) SLOPE(kInput0 | kFineOutput, e)

// In functions, where a name means the operation and not the primitive.
#define REDUCTION(name, Struct, types, nothing, cost, derivative, doc) \
  Derivative derivative_of_##name() { return derivative; }
#include "ops/reduce.def"

}  // namespace

namespace primitives {
#define REDUCE(name, Struct, types, nothing, cost, derivative, check)                                 \
  Primitive name(#name, row_of(ReduceAttrs{}, check, infer<reduction::Struct, Takes::types, nothing>, \
                               derivative_of_##name(), on_complex<reduction::Struct>(), cost));
#define REDUCTION(name, Struct, types, nothing, cost, derivative, doc) \
  REDUCE(name, Struct, types, nothing, cost, derivative, check_sorted)
#define INDEX(name, Struct, types, nothing, cost, derivative, doc) \
  REDUCE(name, Struct, types, nothing, cost, derivative, check_counted)
#include "ops/reduce.def"
#undef REDUCE
}  // namespace primitives

namespace {

// The product along the last axis, of complex numbers: neighbours are multiplied until one is left.
Tensor product_of_last(Tensor x) {
  while (x.size(-1) > 1) {
    const int64_t even = x.size(-1) / 2 * 2;
    const Tensor products = slice_axis(x, -1, 0, even, 2) * slice_axis(x, -1, 1, even, 2);
    x = even == x.size(-1) ? products : concat({products, slice_axis(x, -1, even, {})}, -1);
  }
  return x.size(-1) == 0 ? sum(x, Axes{-1}) + 1 : select(x, -1, 0);
}

// The same over any axes, which are kept.
Tensor complex_product(const Tensor& x, const Axes& axes) {
  Axes order;
  for (int i = 0; i < x.ndim(); ++i) {
    if (!axes.contains(i)) order.push_back(i);
  }
  for (int64_t axis : axes) order.push_back(axis);
  Shape rows = reduced_shape(x.shape(), axes);
  rows.push_back(reduced_count(x.shape(), axes));
  return reshape(product_of_last(reshape(permute_dims(x, order), rows)), kept_shape(x.shape(), axes));
}

// Of complex numbers what the kernels do not take, with axes that are kept where `keepdims`.
std::optional<Tensor> reduce_complex(const Primitive& primitive, const Tensor& x, const Axes& axes,
                                     double correction, bool keepdims) {
  if (&primitive == &primitives::count_nonzero) {
    const Tensor count = by_exact_parts(
        x, axes, [&](const Tensor& part) { return count_nonzero(part != 0, axes, true); },
        [](const Tensor& counts, const Axes& axis) { return sum(counts, axis, true); });
    return keepdims ? count : squeeze(count, axes);
  }
  if (&primitive == &primitives::sum_of_squares)
    return sum_of_squares(real(x), axes, keepdims) + sum_of_squares(imag(x), axes, keepdims);
  if (&primitive == &primitives::var)
    return var(real(x), axes, correction, keepdims) + var(imag(x), axes, correction, keepdims);
  if (&primitive == &primitives::std)
    return hypot(std(real(x), axes, correction, keepdims), std(imag(x), axes, correction, keepdims));
  if (&primitive != &primitives::prod) return std::nullopt;
  const Tensor product = by_parts(
      {x}, axes, [&](std::span<const Tensor> part) { return complex_product(part[0], axes); },
      complex_product);
  return keepdims ? product : squeeze(product, axes);
}

// Whether any or all elements are true, by their number, so that x need not be copied; and the mean of
// integers, by their sum where that cannot overflow, which is exact.
std::optional<Tensor> reduce_counting(const Primitive& primitive, const Tensor& x, const Axes& axes,
                                      bool keepdims) {
  const int64_t n = reduced_count(x.shape(), axes);
  const bool is_any = &primitive == &primitives::any;
  if (x.dtype() != DType::bool_ && (is_any || &primitive == &primitives::all)) {
    const Tensor count = count_nonzero(x, axes, keepdims);
    return is_any ? count != 0 : count == n;
  }
  if (&primitive != &primitives::mean || is_inexact(x.dtype()) || size_of(x.dtype()) > 4) return std::nullopt;
  return astype(astype(sum(x, axes, keepdims), DType::float64) / static_cast<double>(n), kDefaultFloat);
}

Tensor reduce(const Primitive& primitive, Takes types, const Tensor& x, const Over& over, double correction,
              bool keepdims) {
  Axes all_axes;
  for (int i = 0; i < x.ndim(); ++i) all_axes.push_back(i);
  const Axes axes = over ? normalize_axes(*over, x.ndim(), primitive.name) : all_axes;
  if (is_complex(x.dtype())) {
    if (const auto result = reduce_complex(primitive, x, axes, correction, keepdims)) return *result;
  }
  if (const auto result = reduce_counting(primitive, x, axes, keepdims)) return *result;
  const bool adds =
      types == Takes::floating || &primitive == &primitives::sum || &primitive == &primitives::prod;
  const Tensor input = types == Takes::boolean ? astype(x, DType::bool_)
                       : adds                  ? astype(x, precise_type(x, x.dtype()))
                                               : x;
  const Tensor result = bind(primitive, {input}, ReduceAttrs{axes, correction});
  return keepdims ? reshape(result, kept_shape(x.shape(), axes)) : result;
}

Tensor reduce_index(const Primitive& primitive, const Tensor& x, std::optional<int64_t> axis, bool keepdims) {
  if (axis) return reduce(primitive, Takes::any, x, Axes{*axis}, 0, keepdims);
  if (!x.is_contiguous()) return reduce(primitive, Takes::any, x, {}, 0, keepdims);
  const Tensor result = reduce(primitive, Takes::any, flatten(x), Axes{0}, 0, false);
  return keepdims ? reshape(result, Shape(x.ndim(), 1)) : result;
}

}  // namespace

#define REDUCTION(name, Struct, types, ...)                              \
  Tensor name(const Tensor& x, const Over& axes, bool keepdims) {        \
    return reduce(primitives::name, Takes::types, x, axes, 0, keepdims); \
  }
#define MOMENT(name, Struct, types, ...)                                             \
  Tensor name(const Tensor& x, const Over& axes, double correction, bool keepdims) { \
    return reduce(primitives::name, Takes::types, x, axes, correction, keepdims);    \
  }
#define INDEX(name, ...)                                                     \
  Tensor name(const Tensor& x, std::optional<int64_t> axis, bool keepdims) { \
    return reduce_index(primitives::name, x, axis, keepdims);                \
  }
#include "ops/reduce.def"

const std::vector<ReduceRow>& reduce_table() {
#define ROW(sort, name, Struct, types, nothing, cost, derivative, doc) \
  {&primitives::name, nothing, ReduceRow::sort, doc},
#define REDUCTION(...) ROW(plain, __VA_ARGS__)
#define TOTAL(...) ROW(total, __VA_ARGS__)
#define MOMENT(...) ROW(moment, __VA_ARGS__)
#define INDEX(...) ROW(index, __VA_ARGS__)
  static const std::vector<ReduceRow> table = {
#include "ops/reduce.def"
  };
#undef ROW
  return table;
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
