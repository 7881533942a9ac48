// Cumulative scans: axes, dtypes and derivatives, the same for every row of the table.
#include "ops/scan.h"

#include <cmath>

#include "core/bind.h"
#include "ops/accumulate.h"
#include "ops/creation.h"
#include "ops/elementwise.h"
#include "ops/shape.h"

namespace tidu {
namespace {

int axis_of(const auto& call) { return call.attrs.template as<AxisAttrs>().axis; }

template <template <class> class Struct, Takes types>
void infer(const SpecCall& call, std::span<Spec> outputs) {
  const Spec& x = call.inputs[0];
  check_computed(call, types);
  outputs[0] = {x.shape, result_dtype<Struct, types>(x.dtype), x.device};
}

// --- Derivatives

// The elements but the last, and but the first.
Tensor but_last(const Tensor& x, int axis, int64_t n = 1) { return slice_axis(x, axis, 0, x.size(axis) - n); }
Tensor but_first(const Tensor& x, int axis, int64_t n = 1) { return slice_axis(x, axis, n, {}); }
Tensor first(const Tensor& x, int axis, int64_t n = 1) { return slice_axis(x, axis, 0, n); }

// z with z[i] = c[i] + a[i] * z[i - 1]; a[0] is not used. Each step doubles how many terms z[i] has of its
// sum.
Tensor recurrence(Tensor a, Tensor c, int axis) {
  for (int64_t step = 1; step < c.size(axis); step *= 2) {
    const Tensor later = but_first(a, axis, step);
    c = concat(
        {first(c, axis, step), but_first(c, axis, step) + multiply_no_nan(later, but_last(c, axis, step))},
        axis);
    if (2 * step < c.size(axis)) a = concat({first(a, axis, step), later * but_last(a, axis, step)}, axis);
  }
  return c;
}

// How each result changes with the one before it, and with its element: dy[i] = before[i] * dy[i - 1] + x[i]
// * dx[i], or, where there is a scale, scale[i] times that.
struct Fold {
  Tensor before, x, scale;

  Tensor scaled(const Tensor& t) const { return scale.defined() ? multiply_no_nan(scale, t) : t; }
};

using FoldOf = Fold (*)(const Tensor& x, const Tensor& y, int axis);

template <FoldOf fold> Fold fold_of(const Call& call) {
  const Tensor x = widened(call.inputs[0]);
  return x.size(axis_of(call)) == 0 ? Fold{x, x, {}} : fold(x, call.outputs[0], axis_of(call));
}

template <Reads read, FoldOf fold> Custom folding() {
  return {
      .reads = [](Reads) { return read; },
      .jvp = [](const Call& call, Tangents tangents) -> Tensors {
        const Fold by = fold_of<fold>(call);
        const Tensor& t = tangents[0];
        const Tensor all = recurrence(by.before, multiply_no_nan(by.x, widened(t)), axis_of(call));
        return {astype(by.scaled(all), t.dtype())};
      },
      .vjp = [](const Call& call, Cotangents cotangents, const InputSet&) -> Tensors {
        const int axis = axis_of(call);
        const Fold by = fold_of<fold>(call);
        const Tensor& g = cotangents[0];
        if (g.numel() == 0) return {g};
        // From the last result backwards: each passes on to the one before it.
        const Tensor back = flip(by.before, {axis});
        const Tensor all = flip(recurrence(concat({first(back, axis), but_last(back, axis)}, axis),
                                           flip(by.scaled(widened(g)), {axis}), axis),
                                {axis});
        return {astype(multiply_no_nan(by.x, all), g.dtype())};
      },
  };
}

// From the derivatives of each result but the first, which is the first element.
template <auto derivatives> Fold from_second_on(const Tensor& x, const Tensor& y, int axis) {
  const Fold later = derivatives(but_last(y, axis), but_first(x, axis), but_first(y, axis));
  const Tensor begin = first(x, axis);
  return {concat({zeros_like(begin), later.before}, axis), concat({ones_like(begin), later.x}, axis), {}};
}

// exp(x - top) of elements x up to their largest, also where that is infinite.
Tensor exp_below(const Tensor& x, const Tensor& top) {
  return exp(where(isinf(top), where(x == top, 0, -INFINITY), x - top));
}

// The weights of elements in each result are exp(x - top) / sum, with the same limits as softmax_limit has,
// but the first result is the first element.
Fold weights(const Tensor& x, const Tensor&, int axis) {
  const Tensor top = stop_gradient(cummax(x, axis));
  const Tensor before = exp_below(concat({first(top, axis), but_last(top, axis)}, axis), top);
  const Tensor here = exp_below(x, top), sum = recurrence(before, here, axis);
  const Tensor share = where(logical_and(top == INFINITY, sum != 1), NAN, reciprocal(sum));
  const Tensor of_none = concat({ones_like(first(x, axis)), zeros_like(but_first(x, axis))}, axis);
  return {before, here, where(top == -INFINITY, of_none, share)};
}

// Whether a running extreme stays what it was before, or becomes the element, as numbers. NaN stays.
Tensor keeps(const Tensor& holds, const Tensor& before) {
  return astype(logical_or(holds, isnan(before)), before.dtype());
}
Tensor takes(const Tensor& holds, const Tensor& before) { return 1 - keeps(holds, before); }

// The columns of the table.
#define EACH(arithmetic, transcendental) (flops_per_input<arithmetic, transcendental>)
#define SUMMED                                                                               \
  (LinearMap{.transpose = [](const Call& call, Cotangents g, int) {                          \
    const int axis = axis_of(call);                                                          \
    return flip(bind(primitives::cumulative_sum, {flip(g[0], {axis})}, call.attrs), {axis}); \
  }})
#define FOLD(by_before, by_x)                                                                         \
  (folding<kInput0 | kFineOutput,                                                                     \
           from_second_on<[]([[maybe_unused]] const Tensor& before, [[maybe_unused]] const Tensor& x, \
                             [[maybe_unused]] const Tensor& y) -> Fold {                              \
             return {by_before, by_x, {}};                                                            \
           }>>())
#define WEIGHTS (folding<kInput0, weights>())

// In functions, where a name means the operation and not the primitive.
#define SCAN(name, Struct, types, cost, derivative, doc) \
  Derivative derivative_of_##name() { return derivative; }
#include "ops/scan.def"

}  // namespace

namespace primitives {
#define SCAN(name, Struct, types, cost, derivative, doc)                                     \
  Primitive name(#name, row_of(AxisAttrs{}, nullptr, infer<reduction::Struct, Takes::types>, \
                               derivative_of_##name(), on_complex<reduction::Struct>(), cost));
#include "ops/scan.def"
}  // namespace primitives

namespace {

// Products of complex numbers up to each one: of the last 2, 4, 8 ..
Tensor products_along(Tensor x, int axis) {
  for (int64_t reach = 1; reach < x.size(axis); reach *= 2) {
    const Tensor before = slice_axis(x, axis, 0, -reach), head = slice_axis(x, axis, 0, reach);
    x = concat({head, slice_axis(x, axis, reach, {}) * before}, axis);
  }
  return x;
}

Tensor scan(const Primitive& primitive, Takes types, const Tensor& x, std::optional<int64_t> axis) {
  if (!axis && x.ndim() != 1)
    fail<ValueError>("[", primitive.name, "] needs an axis of ", describe(x), " (only a vector has but one)");
  const int along = normalize_axis(axis.value_or(0), x.ndim(), primitive.name);
  if (is_complex(x.dtype()) && &primitive == &primitives::cumulative_prod) return products_along(x, along);
  return bind(primitive, {astype(x, computing_type(x.dtype(), types))}, AxisAttrs{{along}});
}

// With the value of no elements in front.
Tensor with_initial(const Tensor& y, double value, std::optional<int64_t> axis) {
  const int along = normalize_axis(axis.value_or(0), y.ndim(), "concat");
  Shape shape = y.shape();
  shape[along] = 1;
  return concat({full(shape, value, y.dtype(), y.device()), y}, along);
}

}  // namespace

#define SCAN(name, Struct, types, ...)                        \
  Tensor name(const Tensor& x, std::optional<int64_t> axis) { \
    return scan(primitives::name, Takes::types, x, axis);     \
  }
#define TOTAL_SCAN(name, Struct, types, ...)                                                   \
  Tensor name(const Tensor& x, std::optional<int64_t> axis, bool include_initial) {            \
    const Tensor y = scan(primitives::name, Takes::types, x, axis);                            \
    return include_initial ? with_initial(y, reduction::Struct<double>::identity(), axis) : y; \
  }
#include "ops/scan.def"

const std::vector<ScanRow>& scan_table() {
#define SCAN(name, Struct, types, cost, derivative, doc) {&primitives::name, false, doc},
#define TOTAL_SCAN(name, Struct, types, cost, derivative, doc) {&primitives::name, true, doc},
  static const std::vector<ScanRow> table = {
#include "ops/scan.def"
  };
  return table;
}

}  // namespace tidu
