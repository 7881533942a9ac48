// The fused update steps of the optimisers.
#include "ops/update.h"

#include <cmath>

#include "core/bind.h"
#include "core/escape.h"
#include "ops/convert.h"
#include "ops/shape.h"

namespace tidu {
namespace {

// Inputs but for the clock.
template <class T> size_t arrays_of(const SpecCall& call) {
  return call.inputs.size() - (call.attrs.as<T>().clocked ? 1 : 0);
}

template <class T> void check(const SpecCall& call, std::span<Spec>) {
  const size_t count = static_cast<size_t>(call.attrs.as<T>().count), size = arrays_of<T>(call);
  if (size < call.inputs.size()) {
    const Spec& clock = call.inputs.back();
    require(clock.dtype == DType::float64 && clock.shape == Shape{static_cast<int64_t>(count), 4}, call,
            "the clock must be float64 (number of parameters, 4)");
  }
  for (size_t i = 0; i < size; ++i) {
    const Spec &parameter = call.inputs[i % count], &input = call.inputs[i];
    if (!is_floating(parameter.dtype))
      fail<DTypeError>("[", call.primitive.name, "] a parameter must be floating-point, not ", parameter);
    const bool is_state = i >= count && i + count < size;
    const DType dtype = is_state ? state_dtype(parameter.dtype) : parameter.dtype;
    if (input.shape != parameter.shape || input.dtype != dtype)
      fail<ShapeError>("[", call.primitive.name, "] ", input, " does not fit its parameter ", parameter);
  }
}

// Groups of as many inputs as parameters: all but the last, the gradients, are results.
template <class T, int least> void check_groups(const SpecCall& call, size_t num_outputs) {
  const int64_t count = call.attrs.as<T>().count, size = static_cast<int64_t>(arrays_of<T>(call));
  int64_t groups = least;
  if constexpr (requires(const T& attrs) { attrs.momentum; }) groups += call.attrs.as<T>().momentum != 0;
  require(count > 0 && size % count == 0 && size / count == groups &&
              static_cast<int64_t>(num_outputs) == size - count,
          call, "there must be as many of each as parameters");
}

template <class T, int64_t multiply_adds, int64_t arithmetic>
Flops each_parameter(const SpecCall& call, std::span<const Spec>) {
  int64_t n = 0;
  for (int i = 0; i < call.attrs.as<T>().count; ++i) n += num_elements(call.inputs[i].shape);
  return {multiply_adds * n, arithmetic * n};
}

template <class T, int groups, int64_t multiply_adds, int64_t arithmetic> Definition update() {
  return {.batching = batch_by_fields,
          .attrs = T{},
          .inputs = {1, kAnyNumber},
          .check = check_groups<T, groups>,
          .infer = check<T>,
          .derivative = Opaque{"it overwrites its parameters"},
          .num_outputs = kAnyNumber,
          .overwrites = true,
          .flops = each_parameter<T, multiply_adds, arithmetic>};
}

}  // namespace

namespace primitives {
// | `sgd_update` | overwrites its inputs: differentiating it is an error | | |
Primitive sgd_update("sgd_update", update<SgdAttrs, 2, 3, 0>());
// | `adam_update` | overwrites its inputs: differentiating it is an error | | |
Primitive adam_update("adam_update", update<AdamAttrs, 4, 4, 5>());
// | `rmsprop_update` | overwrites its inputs: differentiating it is an error | | |
Primitive rmsprop_update("rmsprop_update", update<RmspropAttrs, 3, 4, 3>());
}  // namespace primitives

SgdStep step_of(const SgdAttrs& a) { return {a.lr, a.momentum, a.weight_decay, a.nesterov, a.first}; }
AdamStep step_of(const AdamAttrs& a) {
  const ClockRow row = clock_row(a.lr, a.step, a.beta1, a.beta2);
  return {a.lr, a.beta1, a.beta2, a.eps, a.weight_decay, a.decoupled, row.rate, row.root};
}
RmspropStep step_of(const RmspropAttrs& a) { return {a.lr, a.alpha, a.eps, a.weight_decay, a.momentum}; }

ClockRow clock_row(double lr, int64_t step, double beta1, double beta2) {
  const double t = static_cast<double>(step);
  return {lr, t, lr / (1 - std::pow(beta1, t)), 1 / std::sqrt(1 - std::pow(beta2, t))};
}

DType state_dtype(DType parameter) { return is_narrow(parameter) ? DType::float32 : parameter; }

void check_gradients(const Tensors& gradients) {
  for (const Tensor& gradient : gradients) {
    if (!gradient.defined() || differentiated(gradient) != Differentiated::by_transform) continue;
    fail<GradientError>("[update] the gradient ", describe(gradient), " is being differentiated, but ",
                        "parameters that are overwritten have no derivative by it (compute p - lr * g, or ",
                        "pass stop_gradient(g) where none is meant)");
  }
}

void apply_update(const Primitive& primitive, const Tensors& state, const Tensors& gradients,
                  const Attrs& attrs, const Tensor& clock) {
  if (gradients.empty()) return;
  Tensors inputs = state;
  for (const Tensor& gradient : gradients) inputs.push_back(contiguous(gradient));
  if (clock.defined()) inputs.push_back(to(clock, state[0].device()));
  Tensors outputs(state.size());
  tidu::bind(primitive, inputs, attrs, outputs);
}

}  // namespace tidu
