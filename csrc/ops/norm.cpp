// Normalisation over trailing axes.
#include "ops/norm.h"

#include "core/bind.h"
#include "ops/autocast.h"
#include "ops/convert.h"
#include "ops/elementwise.h"
#include "ops/reduce.h"
#include "ops/shape.h"

namespace tidu {
namespace {

void infer_same(const SpecCall& call, std::span<Spec> outputs) { outputs[0] = call.inputs[0]; }

// One of the two normalisations at a call's x, in terms of u, the cotangent of the unweighted output:
// y = h, the normalised x, and J u, where J = r (1 - mean - h mean(h .)) is symmetric.
template <bool centred> struct Rows {
  explicit Rows(const Call& call) : attrs(call.attrs.as<NormAttrs>()), x(widened(call.inputs[0])) {
    for (int axis = x.ndim() - attrs.axes; axis < x.ndim(); ++axis) inner.push_back(axis);
    for (int axis = 0; axis < x.ndim() - attrs.axes; ++axis) outer.push_back(axis);
  }

  Tensor normalised() const {
    return bind(centred ? primitives::layer_norm : primitives::rms_norm, {x}, attrs);
  }
  Tensor slope(const Tensor& u) const {
    return bind(centred ? primitives::layer_norm_grad : primitives::rms_norm_grad, {x, u}, attrs);
  }
  Tensor row_mean(const Tensor& a) const { return mean(a, inner, true); }
  Tensor over_rows(const Tensor& a) const { return outer.empty() ? a : sum(a, outer); }
  // The derivative of J u by x, applied to t; it is symmetric in that direction.
  Tensor bend(const Tensor& u, const Tensor& t) const {
    const Tensor h = normalised(), by_u = slope(u), by_t = slope(t);
    const Tensor variance = centred ? var(x, inner, 0, true) : row_mean(square(x));
    // Rows of u or t that are 0 stay so, whatever is in x.
    const auto product = [](const Tensor& a, const Tensor& b) { return multiply_no_nan(a, b); };
    const Tensor bent = product(row_mean(product(h, t)), by_u) + product(row_mean(product(h, u)), by_t) +
                        product(h, row_mean(product(by_u, t)));
    return -multiply_no_nan(rsqrt(variance + attrs.eps), bent);
  }

  NormAttrs attrs;
  Tensor x;
  Axes inner, outer;
};

Tensor weighted(const Tensor& x, const Call& call, size_t i) {
  return call.inputs.size() > i ? x * widened(call.inputs[i]) : x;
}

template <bool centred>
const Custom norm_rule{
    .reads = [](Reads wanted) -> Reads { return kInput0 | (wanted & kInput0 ? kInput1 : 0); },
    .jvp = [](const Call& call, Tangents tangents) -> Tensors {
      const Rows<centred> rows(call);
      Tensor result;
      const auto add = [&](const Tensor& term) { result = result.defined() ? result + term : term; };
      if (tangents[0].defined()) add(weighted(rows.slope(widened(tangents[0])), call, 1));
      if (tangents.size() > 1 && tangents[1].defined())
        add(multiply_no_nan(rows.normalised(), widened(tangents[1])));
      if (tangents.size() > 2 && tangents[2].defined())
        add(broadcast_to(widened(tangents[2]), call.inputs[0].shape()));
      return {astype(result, call.inputs[0].dtype())};
    },
    .vjp = [](const Call& call, Cotangents cotangents, Reads wanted) -> Tensors {
      const DType dtype = call.inputs[0].dtype();
      const Rows<centred> rows(call);
      const Tensor g = widened(cotangents[0]);
      Tensors result(call.inputs.size());
      if (wanted & kInput0) {
        const Primitive& slope = centred ? primitives::layer_norm_grad : primitives::rms_norm_grad;
        const Tensor inputs[] = {call.inputs[0], cotangents[0],
                                 call.inputs.size() > 1 ? call.inputs[1] : Tensor()};
        bind(slope, {inputs, std::min<size_t>(call.inputs.size(), 2) + 1}, call.attrs, {&result[0], 1});
      }
      if (wanted & kInput1) result[1] = astype(rows.over_rows(multiply_no_nan(rows.normalised(), g)), dtype);
      if (wanted & kInput2) result[2] = astype(rows.over_rows(g), dtype);
      return result;
    },
};

template <bool centred>
const Custom slope_rule{
    .reads = [](Reads) -> Reads { return kAllInputs; },
    .jvp = [](const Call& call, Tangents tangents) -> Tensors {
      const Rows<centred> rows(call);
      const Tensor g = widened(call.inputs[1]);
      Tensor result;
      const auto add = [&](const Tensor& term) { result = result.defined() ? result + term : term; };
      if (tangents[0].defined()) add(rows.bend(weighted(g, call, 2), widened(tangents[0])));
      if (tangents[1].defined()) add(rows.slope(weighted(widened(tangents[1]), call, 2)));
      if (tangents.size() > 2 && tangents[2].defined()) add(rows.slope(g * widened(tangents[2])));
      return {astype(result, call.inputs[0].dtype())};
    },
    .vjp = [](const Call& call, Cotangents cotangents, Reads wanted) -> Tensors {
      const DType dtype = call.inputs[0].dtype();
      const Rows<centred> rows(call);
      const Tensor g = widened(call.inputs[1]), c = widened(cotangents[0]);
      Tensors result(call.inputs.size());
      if (wanted & kInput0) result[0] = astype(rows.bend(weighted(g, call, 2), c), dtype);
      if (wanted & (kInput1 | kInput2)) {
        const Tensor slope = rows.slope(c);
        if (wanted & kInput1) result[1] = astype(weighted(slope, call, 2), dtype);
        if (wanted & kInput2) result[2] = astype(rows.over_rows(multiply_no_nan(slope, g)), dtype);
      }
      return result;
    },
    .linear = kInput1,
};

// `same` inputs have the shape of x, the others that of its rows.
template <size_t same> void check_rows(const SpecCall& call, size_t) {
  const Spec& x = call.inputs[0];
  const int axes = call.attrs.as<NormAttrs>().axes;
  bool fits = axes >= 1 && axes <= x.shape.size() && is_floating(x.dtype);
  for (size_t i = 1; fits && i < call.inputs.size(); ++i) {
    const Shape row(i < same ? x.shape.begin() : x.shape.end() - axes, x.shape.end());
    fits = call.inputs[i].shape == row && call.inputs[i].dtype == x.dtype;
  }
  require(fits, call, "the weights do not fit the rows");
}

// Weights of each lane are applied outside of the kernels, which know but one.
template <bool centred, bool is_slope> Tensors batch_norm(const BatchedCall& batched) {
  const Call& call = batched.call;
  const auto attrs = call.attrs.as<NormAttrs>();
  constexpr size_t kRows = is_slope ? 2 : 1;  // inputs that come before the weights
  const auto many_weights = [&](size_t i) { return i < call.inputs.size() && batched.batched[i]; };
  Tensors inputs;
  for (size_t i = 0; i < kRows; ++i) inputs.push_back(batched.lanes(i));
  Tensor y;
  if (!many_weights(kRows) && !many_weights(kRows + 1)) {
    inputs.insert(inputs.end(), call.inputs.begin() + kRows, call.inputs.end());
    bind(call.primitive, inputs, call.attrs, {&y, 1});
    return {y};
  }
  // A weight beside the axes of x.
  const auto wide = [&](size_t i) {
    const Tensor weight = widened(batched.lanes(i));
    Shape shape(inputs[0].ndim(), 1);
    shape[0] = batched.size;
    for (int k = 1; k <= attrs.axes; ++k) shape[shape.size() - k] = weight.size(-k);
    return reshape(weight, shape);
  };
  const Tensor x = widened(inputs[0]);
  if constexpr (is_slope) {
    y = bind(call.primitive, {x, widened(inputs[1]) * wide(kRows)}, attrs);
  } else {
    y = bind(call.primitive, {x}, attrs) * wide(kRows);
    if (call.inputs.size() > kRows + 1) y = y + wide(kRows + 1);
  }
  return {astype(y, call.inputs[0].dtype())};
}

}  // namespace

namespace primitives {
Primitive layer_norm("layer_norm", {.batching = batch_norm<true, false>,
                                    .attrs = NormAttrs{},
                                    .inputs = {1, 3},
                                    .check = check_rows<1>,
                                    .infer = infer_same,
                                    .derivative = norm_rule<true>,
                                    .flops = flops_per_input<5>});
Primitive rms_norm("rms_norm", {.batching = batch_norm<false, false>,
                                .attrs = NormAttrs{},
                                .inputs = {1, 2},
                                .check = check_rows<1>,
                                .infer = infer_same,
                                .derivative = norm_rule<false>,
                                .flops = flops_per_input<3>});
Primitive layer_norm_grad("layer_norm_grad", {.batching = batch_norm<true, true>,
                                              .attrs = NormAttrs{},
                                              .inputs = {2, 3},
                                              .check = check_rows<2>,
                                              .infer = infer_same,
                                              .derivative = slope_rule<true>,
                                              .flops = flops_per_input<11>});
Primitive rms_norm_grad("rms_norm_grad", {.batching = batch_norm<false, true>,
                                          .attrs = NormAttrs{},
                                          .inputs = {2, 3},
                                          .check = check_rows<2>,
                                          .infer = infer_same,
                                          .derivative = slope_rule<false>,
                                          .flops = flops_per_input<7>});
}  // namespace primitives

namespace {

Tensor normalise(const Primitive& primitive, const Tensor& x, const Shape& shape, const Tensor& weight,
                 const Tensor& bias, double eps) {
  const int rank = x.ndim(), count = shape.size();
  if (!is_floating(x.dtype()))
    fail<DTypeError>("[", primitive.name, "] the input must be floating-point, not ", describe(x));
  if (count == 0 || count > rank || Shape(x.shape().end() - count, x.shape().end()) != shape) {
    fail<ShapeError>("[", primitive.name, "] the trailing axes of ", describe(x), " do not have shape ",
                     shape);
  }
  DType dtype = x.dtype();
  for (const Tensor* parameter : {&weight, &bias}) {
    if (!parameter->defined()) continue;
    if (parameter->shape() != shape)
      fail<ShapeError>("[", primitive.name, "] weight and bias must have shape ", shape, ", not ",
                       describe(*parameter));
    dtype = promote(dtype, parameter->dtype());
  }
  dtype = precise_type(x, dtype);
  const Tensor inputs[] = {astype(x, dtype), weight.defined() ? astype(weight, dtype) : weight,
                           bias.defined() ? astype(bias, dtype) : bias};
  const NormAttrs attrs{count, eps};
  if (bias.defined() && !weight.defined())
    return astype(bind(primitive, {widened(inputs[0])}, attrs) + widened(inputs[2]), dtype);
  Tensor y;
  bind(primitive, {inputs, size_t{1} + weight.defined() + bias.defined()}, Attrs(attrs), {&y, 1});
  return y;
}

}  // namespace

Tensor layer_norm(const Tensor& x, const Shape& shape, const Tensor& weight, const Tensor& bias, double eps) {
  return normalise(primitives::layer_norm, x, shape, weight, bias, eps);
}

Tensor rms_norm(const Tensor& x, const Shape& shape, const Tensor& weight, double eps) {
  return normalise(primitives::rms_norm, x, shape, weight, {}, eps);
}

}  // namespace tidu
