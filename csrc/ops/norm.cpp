// Normalisation over trailing axes, and of channels.
#include "ops/norm.h"

#include <algorithm>
#include <cmath>

#include "core/bind.h"
#include "ops/autocast.h"
#include "ops/convert.h"
#include "ops/elementwise.h"
#include "ops/linalg.h"
#include "ops/reduce.h"
#include "ops/shape.h"

namespace tidu {
namespace {

// The derivative of J u by x, applied to t, where J is symmetric: of the normalised h, with by_u = J u and
// by_t = J t. Rows of u or t that are 0 stay so, whatever is in x.
Tensor bend(const Tensor& h, const Tensor& r, const Axes& inner, const Tensor& u, const Tensor& by_u,
            const Tensor& t, const Tensor& by_t) {
  const auto product = [](const Tensor& a, const Tensor& b) { return multiply_no_nan(a, b); };
  const auto along = [&](const Tensor& a, const Tensor& b) { return mean(product(a, b), inner, true); };
  return -product(r, product(along(h, t), by_u) + product(along(h, u), by_t) + product(h, along(by_u, t)));
}

// 1 / sqrt(size^2 + eps)
Tensor factor_of(const Tensor& size, double eps) { return reciprocal(hypot(size, std::sqrt(eps))); }

Tensor sum_of(const Tensor& a, const Tensor& b) { return !a.defined() ? b : !b.defined() ? a : a + b; }

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
  // The root of the mean square that is normalised.
  Tensor size() const {
    if (centred) return std(x, inner, 0, true);
    double count = 1;
    for (const int64_t axis : inner) count *= static_cast<double>(x.size(static_cast<int>(axis)));
    return linalg::vector_norm(x, inner, true) / std::sqrt(count);
  }
  Tensor over_rows(const Tensor& a) const { return outer.empty() ? a : sum(a, outer); }
  // The derivative of J u by x, applied to t; it is symmetric in that direction.
  Tensor bend(const Tensor& u, const Tensor& t) const {
    return tidu::bend(normalised(), factor_of(size(), attrs.eps), inner, u, slope(u), t, slope(t));
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
    .vjp = [](const Call& call, Cotangents cotangents, const InputSet& wanted) -> Tensors {
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
    .vjp = [](const Call& call, Cotangents cotangents, const InputSet& wanted) -> Tensors {
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
template <bool centred, bool is_slope> Tensors batch_rows(const BatchedCall& batched) {
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

// --- Channels

DType sums_dtype(DType dtype) { return is_narrow(dtype) ? DType::float32 : dtype; }

// The axes of x (N, C, ..) that a channel has.
Axes beside_channels(const Tensor& x) {
  Axes axes = all_axes(x.ndim());
  axes.erase(1);
  return axes;
}

// A vector (C), widened, beside x.
Tensor beside(const Tensor& x, const Tensor& vector) {
  Shape shape(x.ndim(), 1);
  shape[1] = x.size(1);
  return reshape(widened(vector), shape);
}

// The channels of a call's x (N, C, ..), widened: y = h, the normalised x, and J u, as above.
struct Channels {
  explicit Channels(const Call& call) : attrs(call.attrs.as<BatchNormAttrs>()), x(widened(call.inputs[0])) {
    over = beside_channels(x);
    Tensor found[3];
    tidu::bind(primitives::batch_norm, std::span<const Tensor>(&x, 1), call.attrs, found);
    h = found[0], mean = found[1], variance = found[2];
  }

  Tensor slope(const Tensor& u) const {
    const Tensor inputs[] = {x, u};
    Tensor found[3];
    tidu::bind(primitives::batch_norm_grad, inputs, Attrs(attrs), found);
    return found[0];
  }
  Tensor total(const Tensor& a) const { return sum(a, over); }
  Tensor factor() const { return factor_of(std(x, over, 0, true), attrs.eps); }

  BatchNormAttrs attrs;
  Axes over;
  Tensor x, h, mean, variance;
};

constexpr size_t kWeight = 2;  // its place among the inputs of batch_norm_grad

const Custom batch_norm_rule{
    .reads = [](Reads wanted) -> Reads {
      return wanted & kInput0 ? kInput0 | kInput1 : wanted & kInput1 ? kInput0 : 0;
    },
    .jvp = [](const Call& call, Tangents tangents) -> Tensors {
      const Tensor& x = call.inputs[0];
      const bool by_weight = tangents.size() > 1 && tangents[1].defined();
      Tensor y, mean, variance;
      if (tangents[0].defined() || by_weight) {
        const Channels at(call);
        if (tangents[0].defined()) {
          const Tensor t = widened(tangents[0]);
          y = at.slope(t);
          if (call.inputs.size() > 1) y = y * beside(x, call.inputs[1]);
          mean = tidu::mean(t, at.over);
          variance = 2 * tidu::mean(multiply_no_nan(at.x - beside(x, at.mean), t), at.over);
        }
        if (by_weight) y = sum_of(y, multiply_no_nan(at.h, beside(x, tangents[1])));
      }
      if (tangents.size() > 2 && tangents[2].defined())
        y = sum_of(y, broadcast_to(beside(x, tangents[2]), x.shape()));
      return {astype(y, call.inputs[0].dtype()), mean, variance};
    },
    .vjp = [](const Call& call, Cotangents cotangents, const InputSet& wanted) -> Tensors {
      const Tensor &x = call.inputs[0], &of_mean = cotangents[1], &of_variance = cotangents[2];
      Tensors result(call.inputs.size());
      if (cotangents[0].defined() && wanted & kInput0) {
        const bool has_weight = call.inputs.size() > 1;
        const Tensor inputs[] = {x, cotangents[0], has_weight ? call.inputs[1] : Tensor()};
        Tensor found[3];  // the sums are what the slope by x is made of
        tidu::bind(primitives::batch_norm_grad, {inputs, size_t{2} + has_weight}, call.attrs, found);
        for (size_t i = 0; i < result.size(); ++i) {
          if (wanted & input_bit(i)) result[i] = astype(found[i], x.dtype());
        }
      } else if (cotangents[0].defined()) {
        const Tensor g = widened(cotangents[0]);
        const Axes over = beside_channels(x);
        if (wanted & kInput1) result[1] = astype(sum(multiply_no_nan(Channels(call).h, g), over), x.dtype());
        if (wanted & kInput2) result[2] = astype(sum(g, over), x.dtype());
      }
      if (wanted & kInput0 && (of_mean.defined() || of_variance.defined())) {
        const Channels at(call);
        const double count = static_cast<double>(x.numel() / std::max<int64_t>(x.size(1), 1));
        Tensor slope;
        if (of_mean.defined()) slope = broadcast_to(beside(at.x, of_mean / count), x.shape());
        if (of_variance.defined())
          slope = sum_of(
              slope, multiply_no_nan(at.x - beside(at.x, at.mean), beside(at.x, of_variance * (2 / count))));
        result[0] = sum_of(result[0], astype(slope, x.dtype()));
      }
      return result;
    },
};

const Custom batch_norm_grad_rule{
    .reads = [](Reads) -> Reads { return kInput0 | kInput1 | input_bit(kWeight); },
    .jvp = [](const Call& call, Tangents tangents) -> Tensors {
      const Channels at(call);
      const Tensor g = widened(call.inputs[1]);
      const bool has_weight = call.inputs.size() > kWeight;
      Tensor y, of_weight, of_bias;
      if (tangents[0].defined()) {
        const Tensor t = widened(tangents[0]), by_t = at.slope(t);
        y = bend(at.h, at.factor(), at.over, g, at.slope(g), t, by_t);
        of_weight = at.total(multiply_no_nan(by_t, g));
      }
      if (tangents[1].defined()) {
        const Tensor dg = widened(tangents[1]);
        y = sum_of(y, at.slope(dg));
        of_weight = sum_of(of_weight, at.total(multiply_no_nan(at.h, dg)));
        of_bias = at.total(dg);
      }
      if (y.defined() && has_weight) y = y * beside(at.x, call.inputs[kWeight]);
      if (has_weight && tangents[kWeight].defined())
        y = sum_of(y, multiply_no_nan(at.slope(g), beside(at.x, tangents[kWeight])));
      return {y.defined() ? astype(y, call.inputs[0].dtype()) : y, of_weight, of_bias};
    },
    .vjp = [](const Call& call, Cotangents cotangents, const InputSet& wanted) -> Tensors {
      const DType dtype = call.inputs[0].dtype();
      const Channels at(call);
      const Tensor g = widened(call.inputs[1]);
      const bool has_weight = call.inputs.size() > kWeight;
      const auto times_weight = [&](const Tensor& x) {
        return has_weight ? x * beside(at.x, call.inputs[kWeight]) : x;
      };
      Tensor of_x, of_g, of_weight;
      if (cotangents[0].defined()) {
        const Tensor c = widened(cotangents[0]), by_c = at.slope(c);
        if (wanted & kInput0) of_x = times_weight(bend(at.h, at.factor(), at.over, g, at.slope(g), c, by_c));
        if (wanted & kInput1) of_g = times_weight(by_c);
        if (has_weight && wanted & input_bit(kWeight)) of_weight = at.total(multiply_no_nan(by_c, g));
      }
      if (cotangents[1].defined()) {
        const Tensor c = beside(at.x, cotangents[1]);
        if (wanted & kInput0) of_x = sum_of(of_x, multiply_no_nan(at.slope(g), c));
        if (wanted & kInput1) of_g = sum_of(of_g, multiply_no_nan(at.h, c));
      }
      if (cotangents[2].defined() && wanted & kInput1)
        of_g = sum_of(of_g, broadcast_to(beside(at.x, cotangents[2]), at.x.shape()));
      Tensors result{of_x, of_g};
      if (has_weight) result.push_back(of_weight);
      for (Tensor& x : result) {
        if (x.defined()) x = astype(x, dtype);
      }
      return result;
    },
    .linear = kInput1,
};

// The first `images` inputs are like x.
template <size_t images> void check_channels(const SpecCall& call, size_t) {
  const Spec& x = call.inputs[0];
  bool fits = x.shape.size() >= 2 && is_floating(x.dtype);
  for (size_t i = 1; fits && i < call.inputs.size(); ++i) {
    fits =
        call.inputs[i].dtype == x.dtype && call.inputs[i].shape == (i < images ? x.shape : Shape{x.shape[1]});
  }
  require(fits, call, "the vectors do not fit the channels");
}

void infer_channels(const SpecCall& call, std::span<Spec> outputs) {
  const Spec& x = call.inputs[0];
  outputs[0] = x;
  outputs[1] = outputs[2] = {Shape{x.shape[1]}, sums_dtype(x.dtype), x.device};
}

// Channels of all lanes beside each other: (lanes, N, C, ..) as (N, lanes C, ..).
template <size_t images> Tensors batch_channels(const BatchedCall& batched) {
  const Call& call = batched.call;
  const Shape& shape = call.inputs[0].shape();
  Shape beside, apart;  // those of x
  beside = batched.batched[0] ? Shape(shape.begin() + 1, shape.end()) : shape;
  apart = beside;
  beside[1] *= batched.size;
  apart.insert(1, batched.size);
  Tensors inputs;
  for (size_t i = 0; i < call.inputs.size(); ++i) {
    const Tensor lanes = batched.lanes(i);
    inputs.push_back(i < images ? reshape(moveaxis(lanes, 0, 1), beside) : flatten(lanes));
  }
  Tensor found[3];
  tidu::bind(call.primitive, inputs, call.attrs, found);
  const Shape vectors{batched.size, apart[2]};
  return {moveaxis(reshape(found[0], apart), 1, 0), reshape(found[1], vectors), reshape(found[2], vectors)};
}

}  // namespace

namespace primitives {
// | `layer_norm` | $y = w \odot h + b$, $h = r (x - \langle x \rangle)$, $r = 1 / \sqrt{\mathrm{var}(x) +
// \varepsilon}$ | $\dot y = w \odot J \dot x + \dot w \odot h + \dot b$ with $J u = r (u - \langle u \rangle
// - h \langle h \odot u \rangle)$ | $\bar x = J (w \odot \bar y)$; summed over rows, $\bar w = h \odot \bar
// y$, $\bar b = \bar y$ |
Primitive layer_norm("layer_norm", {.batching = batch_rows<true, false>,
                                    .attrs = NormAttrs{},
                                    .inputs = {1, 3},
                                    .check = check_rows<1>,
                                    .infer = infer_same,
                                    .derivative = norm_rule<true>,
                                    .flops = flops_per_input<5>});
// | `rms_norm` | $y = w \odot h$, $h = r x$, $r = 1 / \sqrt{\langle x^2 \rangle + \varepsilon}$ | $\dot y = w
// \odot J \dot x + \dot w \odot h$ with $J u = r (u - h \langle h \odot u \rangle)$ | $\bar x = J (w \odot
// \bar y)$; summed over rows, $\bar w = h \odot \bar y$ |
Primitive rms_norm("rms_norm", {.batching = batch_rows<false, false>,
                                .attrs = NormAttrs{},
                                .inputs = {1, 2},
                                .check = check_rows<1>,
                                .infer = infer_same,
                                .derivative = norm_rule<false>,
                                .flops = flops_per_input<3>});
// | `layer_norm_grad` | $g = J (w \odot u)$ of $x$, $u$ and $w$ | $\dot g = B(w \odot u, \dot x) + J (w \odot
// \dot u + \dot w \odot u)$ with $B(u, t) = -r (\langle h \odot t \rangle J u + \langle h \odot u \rangle J t
// + \langle t \odot J u \rangle h)$ | $\bar x = B(w \odot u, \bar g)$, $\bar u = w \odot J \bar g$; summed
// over rows, $\bar w = u \odot J \bar g$ |
Primitive layer_norm_grad("layer_norm_grad", {.batching = batch_rows<true, true>,
                                              .attrs = NormAttrs{},
                                              .inputs = {2, 3},
                                              .check = check_rows<2>,
                                              .infer = infer_same,
                                              .derivative = slope_rule<true>,
                                              .flops = flops_per_input<11>});
// | `rms_norm_grad` | the same with the $J$ of rms_norm | the same | the same |
Primitive rms_norm_grad("rms_norm_grad", {.batching = batch_rows<false, true>,
                                          .attrs = NormAttrs{},
                                          .inputs = {2, 3},
                                          .check = check_rows<2>,
                                          .infer = infer_same,
                                          .derivative = slope_rule<false>,
                                          .flops = flops_per_input<7>});
// | `batch_norm` | layer_norm of each channel, with numbers $w$ and $b$; $m = \langle x \rangle$ and $v =
// \mathrm{var}(x)$ beside it | that of layer_norm; $\dot m = \langle \dot x \rangle$, $\dot v = 2 \langle (x
// - m) \odot \dot x \rangle$ | $\bar x = w J \bar y + (\bar m + 2 (x - m) \bar v) / n$ of $n$ elements, $\bar
// w = \langle h \odot \bar y \rangle n$, $\bar b = \langle \bar y \rangle n$ |
Primitive batch_norm("batch_norm", {.batching = batch_channels<1>,
                                    .attrs = BatchNormAttrs{},
                                    .inputs = {1, 3},
                                    .check = check_channels<1>,
                                    .infer = infer_channels,
                                    .derivative = batch_norm_rule,
                                    .num_outputs = 3,
                                    .flops = flops_per_input<7>});
// | `batch_norm_grad` | $w J u$, $s = \langle h \odot u \rangle n$ and $\langle u \rangle n$ of $x$, $u$ and
// $w$ | that of layer_norm_grad; $\dot s = \langle u \odot J \dot x + h \odot \dot u \rangle n$ | the
// transpose of it |
Primitive batch_norm_grad("batch_norm_grad", {.batching = batch_channels<2>,
                                              .attrs = BatchNormAttrs{},
                                              .inputs = {2, 3},
                                              .check = check_channels<2>,
                                              .infer = infer_channels,
                                              .derivative = batch_norm_grad_rule,
                                              .num_outputs = 3,
                                              .flops = flops_per_input<11>});
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
  Attrs::OnStack<NormAttrs> on_stack(attrs);
  Tensor y;
  bind(primitive, {inputs, size_t{1} + weight.defined() + bias.defined()}, on_stack.attrs(), {&y, 1});
  return y;
}

}  // namespace

BatchNormed batch_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, double eps) {
  constexpr const char* op = "batch_norm";
  if (x.ndim() < 2) fail<ShapeError>("[", op, "] takes x (N, C, ..), not ", describe(x));
  DType dtype = x.dtype();
  for (const Tensor* given : {&x, &weight, &bias}) {
    if (!given->defined()) continue;
    if (!is_floating(given->dtype()) || (given != &x && given->shape() != Shape{x.size(1)}))
      fail<ShapeError>("[", op, "] of ", describe(x), " takes floating-point weight and bias of shape (",
                       x.size(1), "), not ", describe(*given));
    dtype = promote(dtype, given->dtype());
  }
  const bool adds = bias.defined() && !weight.defined();
  const Tensor cast = astype(x, dtype);
  const Tensor inputs[] = {adds ? widened(cast) : cast, weight.defined() ? astype(weight, dtype) : weight,
                           bias.defined() ? astype(bias, dtype) : bias};
  const size_t parameters = weight.defined() ? size_t{1} + bias.defined() : 0;
  const BatchNormAttrs attrs{eps};
  Attrs::OnStack<BatchNormAttrs> on_stack(attrs);
  Tensor found[3];
  tidu::bind(primitives::batch_norm, {inputs, 1 + parameters}, on_stack.attrs(), found);
  if (adds) {
    Shape beside(x.ndim(), 1);
    beside[1] = x.size(1);
    found[0] = astype(found[0] + reshape(widened(bias), beside), dtype);
  }
  return {found[0], found[1], found[2]};
}

Tensor layer_norm(const Tensor& x, const Shape& shape, const Tensor& weight, const Tensor& bias, double eps) {
  return normalise(primitives::layer_norm, x, shape, weight, bias, eps);
}

Tensor rms_norm(const Tensor& x, const Shape& shape, const Tensor& weight, double eps) {
  return normalise(primitives::rms_norm, x, shape, weight, {}, eps);
}

}  // namespace tidu
