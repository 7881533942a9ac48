// Softmax and cross-entropy.
#include "ops/softmax.h"

#include "core/bind.h"
#include "ops/convert.h"
#include "ops/creation.h"
#include "ops/elementwise.h"
#include "ops/reduce.h"
#include "ops/shape.h"

namespace tidu {
namespace {

void infer_same(const SpecCall& call, std::span<Spec> outputs) { outputs[0] = call.inputs[0]; }

Axes axis_of(const Call& call) { return {call.attrs.as<AxisAttrs>().axis}; }

// J t with J = diag(y) - y y^T, which is symmetric: jvp and vjp in one.
Tensor softmax_slope(const Tensor& y, const Tensor& t, const Axes& axes) {
  const Tensor weighted = y * t;
  return weighted - y * sum(weighted, axes, true);
}

// d loss / d logits: softmax - one_hot, but 0 where a row does not count.
struct LossSlope {
  explicit LossSlope(const Call& call) : probabilities(softmax(call.inputs[0])) {
    Tensor labels = call.inputs[1];
    if (const auto& attrs = call.attrs.as<CrossEntropyAttrs>(); attrs.ignores) {
      const Tensor counts = labels != attrs.ignore_index;
      labels = where(counts, labels, 0);
      counted = expand_dims(counts, -1);
    }
    value = of_counted(probabilities - one_hot(labels, probabilities.size(-1), probabilities.dtype()));
  }
  Tensor of_counted(const Tensor& x) const { return counted.defined() ? where(counted, x, 0) : x; }

  Tensor probabilities, value;
  Tensor counted;  // undefined where all are
};

const Custom softmax_rule{
    .reads = [](Reads) -> Reads { return kOutput; },
    .jvp = [](const Call& call, Tangents tangents) -> Tensors {
      return {softmax_slope(call.outputs[0], tangents[0], axis_of(call))};
    },
    .vjp = [](const Call& call, Cotangents cotangents, Reads) -> Tensors {
      return {softmax_slope(call.outputs[0], cotangents[0], axis_of(call))};
    },
};

const Custom log_softmax_rule{
    .reads = [](Reads) -> Reads { return kOutput; },
    .jvp = [](const Call& call, Tangents tangents) -> Tensors {
      const Tensor& t = tangents[0];
      return {t - sum(exp(call.outputs[0]) * t, axis_of(call), true)};
    },
    .vjp = [](const Call& call, Cotangents cotangents, Reads) -> Tensors {
      const Tensor& g = cotangents[0];
      return {g - exp(call.outputs[0]) * sum(g, axis_of(call), true)};
    },
};

const Custom cross_entropy_rule{
    .reads = [](Reads) -> Reads { return kInput0 | kInput1; },
    .jvp = [](const Call& call, Tangents tangents) -> Tensors {
      return {sum(LossSlope(call).value * tangents[0], Axes{-1}), Tensor()};
    },
    .vjp = [](const Call& call, Cotangents cotangents, Reads) -> Tensors {
      if (!cotangents[0].defined()) return {Tensor(), Tensor()};
      return {bind(primitives::softmax_cross_entropy_grad, {call.inputs[0], call.inputs[1], cotangents[0]},
                   call.attrs),
              Tensor()};
    },
};

// The derivative of the gradient by the logits, which is symmetric, applied to t.
Tensor by_logits_of(const Call& call, const LossSlope& slope, const Tensor& t) {
  return slope.of_counted(softmax_slope(slope.probabilities, t, {-1}) * expand_dims(call.inputs[2], -1));
}

const Custom cross_entropy_grad_rule{
    .reads = [](Reads wanted) -> Reads { return kInput0 | kInput1 | (wanted & kInput0 ? kInput2 : 0); },
    .jvp = [](const Call& call, Tangents tangents) -> Tensors {
      const LossSlope slope(call);
      Tensor by_logits, by_g;
      if (tangents[0].defined()) by_logits = by_logits_of(call, slope, tangents[0]);
      if (tangents[2].defined()) by_g = slope.value * expand_dims(tangents[2], -1);
      return {by_logits.defined() && by_g.defined() ? by_logits + by_g : by_g.defined() ? by_g : by_logits};
    },
    .vjp = [](const Call& call, Cotangents cotangents, Reads wanted) -> Tensors {
      const LossSlope slope(call);
      const Tensor& g = cotangents[0];
      return {wanted & kInput0 ? by_logits_of(call, slope, g) : Tensor(), Tensor(),
              wanted & kInput2 ? sum(slope.value * g, Axes{-1}) : Tensor()};
    },
    .linear = kInput2,
};

void infer_loss(const SpecCall& call, std::span<Spec> outputs) {
  const Spec& logits = call.inputs[0];
  outputs[0] = outputs[1] = {call.inputs[1].shape, logits.dtype, logits.device};
}

}  // namespace

namespace primitives {
Primitive softmax("softmax", {.infer = infer_same, .derivative = softmax_rule});
Primitive log_softmax("log_softmax", {.infer = infer_same, .derivative = log_softmax_rule});
Primitive softmax_cross_entropy("softmax_cross_entropy",
                                {.infer = infer_loss, .derivative = cross_entropy_rule, .num_outputs = 2});
Primitive softmax_cross_entropy_grad("softmax_cross_entropy_grad",
                                     {.infer = infer_same, .derivative = cross_entropy_grad_rule});
}  // namespace primitives

namespace {

Tensor along(const Primitive& primitive, const Tensor& x, int64_t axis) {
  const int normalized = normalize_axis(axis, x.ndim(), primitive.name);
  return bind(primitive, {is_floating(x.dtype()) ? x : astype(x, kDefaultFloat)}, AxisAttrs{normalized});
}

}  // namespace

Tensor softmax(const Tensor& x, int64_t axis) { return along(primitives::softmax, x, axis); }
Tensor log_softmax(const Tensor& x, int64_t axis) { return along(primitives::log_softmax, x, axis); }

Tensor softmax_cross_entropy(const Tensor& logits, const Tensor& labels) {
  return counted_cross_entropy(logits, labels, std::nullopt).losses;
}

CountedLosses counted_cross_entropy(const Tensor& logits, const Tensor& labels,
                                    std::optional<int64_t> ignore_index) {
  const bool fits = logits.ndim() == labels.ndim() + 1 &&
                    Shape(logits.shape().begin(), logits.shape().end() - 1) == labels.shape();
  if (!fits) {
    fail<ShapeError>("[softmax_cross_entropy] labels ", describe(labels), " must have the shape of logits ",
                     describe(logits), " without the last axis");
  }
  if (!is_floating(logits.dtype()))
    fail<DTypeError>("[softmax_cross_entropy] logits must be floating-point, not ", describe(logits));
  if (!is_integral(labels.dtype()))
    fail<DTypeError>("[softmax_cross_entropy] labels must be integers, not ", describe(labels));
  const Tensor inputs[] = {logits, astype(labels, DType::int64)};
  Tensor outputs[2];
  bind(primitives::softmax_cross_entropy, inputs,
       CrossEntropyAttrs{ignore_index.has_value(), ignore_index.value_or(0)}, outputs);
  return {outputs[0], stop_gradient(outputs[1])};
}

}  // namespace tidu
