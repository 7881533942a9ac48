// Softmax and cross-entropy.
#include "ops/softmax.h"

#include "core/bind.h"
#include "ops/autocast.h"
#include "ops/convert.h"
#include "ops/creation.h"
#include "ops/elementwise.h"
#include "ops/indexing.h"
#include "ops/reduce.h"
#include "ops/shape.h"

namespace tidu {
namespace {

void infer_same(const SpecCall& call, std::span<Spec> outputs) { outputs[0] = call.inputs[0]; }

// --- Derivatives, computed in float32 where there are 16 bits, and rounded once. A row whose tangents are 0
// gives 0, whatever its elements are.

// J t with J = diag(y) - y y^T, which is symmetric: jvp and vjp in one.
Tensor softmax_slope(const Tensor& y, const Tensor& t, const Axes& axes) {
  const Tensor weighted = multiply_no_nan(y, t);
  return weighted - multiply_no_nan(y, sum(weighted, axes, true));
}
Tensor softmax_slope(const Call& call, const Tensor& t) {
  return astype(softmax_slope(call.outputs[0], widened(t), {call.attrs.as<SoftmaxAttrs>().axis}), t.dtype());
}

// d loss / d logits: softmax - one_hot, but 0 where a row does not count.
struct LossSlope {
  explicit LossSlope(const Call& call) : probabilities(softmax(widened(call.inputs[0]))) {
    Tensor labels = call.inputs[1];
    if (const auto& attrs = call.attrs.as<CrossEntropyAttrs>(); attrs.ignores) {
      const Tensor counts = labels != attrs.ignore_index;
      labels = where(counts, labels, 0);
      counted = expand_dims(counts, -1);
    }
    value =
        of_counted(probabilities - astype(is_class(labels, probabilities.size(-1)), probabilities.dtype()));
  }
  Tensor of_counted(const Tensor& x) const { return counted.defined() ? where(counted, x, 0) : x; }

  Tensor probabilities, value;
  Tensor counted;  // undefined where all are
};

const Custom softmax_rule{
    .reads = [](Reads) -> Reads { return kFineOutput; },
    .jvp = [](const Call& call, Tangents tangents) -> Tensors { return {softmax_slope(call, tangents[0])}; },
    .vjp = [](const Call& call, Cotangents cotangents, const InputSet&) -> Tensors {
      return {softmax_slope(call, cotangents[0])};
    },
};

Axes axis_of(const Call& call) { return {call.attrs.as<AxisAttrs>().axis}; }

const Custom log_softmax_rule{
    .reads = [](Reads) -> Reads { return kFineOutput; },
    .jvp = [](const Call& call, Tangents tangents) -> Tensors {
      const Tensor t = widened(tangents[0]);
      const Tensor mean = sum(multiply_no_nan(exp(call.outputs[0]), t), axis_of(call), true);
      return {astype(t - mean, tangents[0].dtype())};
    },
    .vjp = [](const Call& call, Cotangents cotangents, const InputSet&) -> Tensors {
      const Tensor g = widened(cotangents[0]);
      const Tensor total = sum(g, axis_of(call), true);
      return {astype(g - multiply_no_nan(exp(call.outputs[0]), total), cotangents[0].dtype())};
    },
};

const Custom cross_entropy_rule{
    .reads = [](Reads) -> Reads { return kInput0 | kInput1; },
    .jvp = [](const Call& call, Tangents tangents) -> Tensors {
      return {sum(multiply_no_nan(LossSlope(call).value, tangents[0]), Axes{-1}), Tensor()};
    },
    .vjp = [](const Call& call, Cotangents cotangents, const InputSet&) -> Tensors {
      if (!cotangents[0].defined()) return {Tensor(), Tensor()};
      return {bind(primitives::softmax_cross_entropy_grad, {call.inputs[0], call.inputs[1], cotangents[0]},
                   call.attrs),
              Tensor()};
    },
};

// The derivative of the gradient by the logits, which is symmetric, applied to t.
Tensor by_logits_of(const Call& call, const LossSlope& slope, const Tensor& t) {
  return slope.of_counted(
      multiply_no_nan(softmax_slope(slope.probabilities, widened(t), {-1}), expand_dims(call.inputs[2], -1)));
}

const Custom cross_entropy_grad_rule{
    .reads = [](Reads wanted) -> Reads { return kInput0 | kInput1 | (wanted & kInput0 ? kInput2 : 0); },
    .jvp = [](const Call& call, Tangents tangents) -> Tensors {
      const LossSlope slope(call);
      Tensor by_logits, by_g;
      if (tangents[0].defined()) by_logits = by_logits_of(call, slope, tangents[0]);
      if (tangents[2].defined()) by_g = multiply_no_nan(slope.value, expand_dims(tangents[2], -1));
      const Tensor both = by_logits.defined() && by_g.defined() ? by_logits + by_g
                          : by_g.defined()                      ? by_g
                                                                : by_logits;
      return {astype(both, call.inputs[0].dtype())};
    },
    .vjp = [](const Call& call, Cotangents cotangents, const InputSet& wanted) -> Tensors {
      const LossSlope slope(call);
      const Tensor& g = cotangents[0];
      return {wanted & kInput0 ? astype(by_logits_of(call, slope, g), g.dtype()) : Tensor(), Tensor(),
              wanted & kInput2 ? sum(multiply_no_nan(slope.value, g), Axes{-1}) : Tensor()};
    },
    .linear = kInput2,
};

void check_floating(const SpecCall& call, size_t) {
  require(is_floating(call.inputs[0].dtype), call, "the input must be floating-point");
}

DType loss_dtype(const Spec& logits) { return is_narrow(logits.dtype) ? DType::float32 : logits.dtype; }

// (logits, labels), and for the gradient its cotangents.
void check_losses(const SpecCall& call, size_t) {
  check_floating(call, 1);
  const Spec &logits = call.inputs[0], &labels = call.inputs[1];
  Shape rows = labels.shape;
  rows.push_back(logits.shape.empty() ? -1 : logits.shape.back());
  const bool has_g = call.inputs.size() > 2;
  require(rows == logits.shape && labels.dtype == DType::int64 &&
              (!has_g || call.inputs[2] == Spec{labels.shape, loss_dtype(logits), logits.device}),
          call, "there must be a label for each row of logits");
}

void infer_loss(const SpecCall& call, std::span<Spec> outputs) {
  const Spec& logits = call.inputs[0];
  outputs[0] = outputs[1] = {call.inputs[1].shape, loss_dtype(logits), logits.device};
}

constexpr Opaque kOfPrograms{"it stands for two calls of a compiled program, which is not differentiated"};

}  // namespace

namespace primitives {
// An element is compared, the largest taken from it, and its exponential added and divided.
// | `softmax` | $y_i = e^{x_i} / \sum_k e^{x_k}$ | $\dot y = y \odot \dot x - y (y^T \dot x)$ | $\bar x = y
// \odot \bar y - y (y^T \bar y)$ |
Primitive softmax("softmax", {.batching = batch_by_fields,
                              .attrs = SoftmaxAttrs{},
                              .check = check_floating,
                              .infer = infer_same,
                              .derivative = softmax_rule,
                              .flops = flops_per_input<4, 1>});
// | `log_softmax` | $y_i = x_i - \ln \sum_k e^{x_k}$, $p = e^y$ | $\dot y_i = \dot x_i - p^T \dot x$ | $\bar
// x = \bar y - p \sum_i \bar y_i$ |
Primitive log_softmax("log_softmax", {.batching = batch_by_fields,
                                      .attrs = AxisAttrs{},
                                      .check = check_floating,
                                      .infer = infer_same,
                                      .derivative = log_softmax_rule,
                                      .flops = flops_per_input<4, 1>});
// | `softmax_cross_entropy` | $y = -\ln p_l$, $p = \mathrm{softmax}(x)$, label $l$ with unit vector $e_l$ |
// $\dot y = (p - e_l)^T \dot x$ | $\bar x = (p - e_l) \bar y$ |
Primitive softmax_cross_entropy("softmax_cross_entropy", {.batching = batch_by_fields,
                                                          .attrs = CrossEntropyAttrs{},
                                                          .inputs = 2,
                                                          .check = check_losses,
                                                          .infer = infer_loss,
                                                          .derivative = cross_entropy_rule,
                                                          .num_outputs = 2,
                                                          .flops = flops_per_input<3, 1>});
// | `softmax_cross_entropy_grad` | $g = (p - e_l) c$ of $x$ and $c$ | $\dot g = c (p \odot \dot x - p (p^T
// \dot x)) + (p - e_l) \dot c$ | $\bar x = c (p \odot \bar g - p (p^T \bar g))$, $\bar c = (p - e_l)^T \bar
// g$ |
Primitive softmax_cross_entropy_grad("softmax_cross_entropy_grad", {.batching = batch_by_fields,
                                                                    .attrs = CrossEntropyAttrs{},
                                                                    .inputs = 3,
                                                                    .check = check_losses,
                                                                    .infer = infer_same,
                                                                    .derivative = cross_entropy_grad_rule,
                                                                    .flops = flops_per_input<5, 1>});
// | `log_softmax_with_softmax` | both, in compiled programs: differentiating it is an error | | |
Primitive log_softmax_with_softmax(
    "log_softmax_with_softmax",
    {.batching = batch_by_fields,
     .attrs = AxisAttrs{},
     .check = check_floating,
     .infer = [](const SpecCall& call, std::span<Spec> outputs) { outputs[0] = outputs[1] = call.inputs[0]; },
     .derivative = kOfPrograms,
     .num_outputs = 2,
     .flops = flops_per_input<5, 1>});
// | `softmax_cross_entropy_with_grad` | both, in compiled programs: differentiating it is an error | | |
Primitive softmax_cross_entropy_with_grad("softmax_cross_entropy_with_grad",
                                          {.batching = batch_by_fields,
                                           .attrs = CrossEntropyAttrs{},
                                           .inputs = 3,
                                           .check = check_losses,
                                           .infer =
                                               [](const SpecCall& call, std::span<Spec> outputs) {
                                                 infer_loss(call, outputs);
                                                 outputs[2] = call.inputs[0];
                                               },
                                           .derivative = kOfPrograms,
                                           .num_outputs = 3,
                                           .flops = flops_per_input<5, 1>});
}  // namespace primitives

namespace {

Tensor floating(const Tensor& x) {
  return is_inexact(x.dtype()) ? cast_to_precise(x) : astype(x, kDefaultFloat);
}

}  // namespace

Tensor softmax(const Tensor& x, int64_t axis) {
  return bind(primitives::softmax, {floating(x)}, SoftmaxAttrs{normalize_axis(axis, x.ndim(), "softmax")});
}
Tensor softmax_limit(const Tensor& x, int64_t axis) {
  return bind(primitives::softmax, {floating(x)},
              SoftmaxAttrs{normalize_axis(axis, x.ndim(), "softmax"), true});
}
Tensor log_softmax(const Tensor& x, int64_t axis) {
  return bind(primitives::log_softmax, {floating(x)},
              AxisAttrs{normalize_axis(axis, x.ndim(), "log_softmax")});
}

Tensor softmax_cross_entropy(const Tensor& logits, const Tensor& labels) {
  return astype(counted_cross_entropy(logits, labels, std::nullopt).losses,
                precise_type(logits, logits.dtype()));
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
  const CrossEntropyAttrs attrs{ignore_index.has_value(), ignore_index.value_or(0)};
  Attrs::OnStack<CrossEntropyAttrs> on_stack(attrs);
  bind(primitives::softmax_cross_entropy, inputs, on_stack.attrs(), outputs);
  return {outputs[0], stop_gradient(outputs[1])};
}

}  // namespace tidu
