// Custom derivatives: the innermost trace that tracks an input takes the call; outer ones differentiate what
// the rule computes.
#include "autodiff/custom.h"

#include <algorithm>

#include "autodiff/jvp_trace.h"
#include "autodiff/tape.h"
#include "ops/creation.h"
#include "ops/shape.h"

namespace tidu {
namespace {

Trace* innermost_tracking(const Tensors& inputs) {
  std::vector<Trace*> traces = differentiating_traces();
  for (auto trace = traces.rbegin(); trace != traces.rend(); ++trace) {
    if (std::ranges::any_of(
            inputs, [&](const Tensor& input) { return input.impl().link((*trace)->id()) != nullptr; }))
      return *trace;
  }
  return nullptr;
}

Tensors zeros_like_all(const Tensors& tensors) {
  Tensors result;
  for (const Tensor& tensor : tensors)
    result.push_back(is_floating(tensor.dtype()) ? zeros_like(tensor) : Tensor());
  return result;
}

// Fresh identities: a rule may return an input or a constant, which must not be taken for the function's
// output elsewhere.
Tensors fresh(const Tensors& tensors) {
  Tensors result;
  for (const Tensor& tensor : tensors) result.push_back(alias(tensor));
  return result;
}

// The transpose of a linear function of floating-point tensors shaped like `like`, evaluated around zero.
Function transpose(const Function& linear, const Tensors& like) {
  return vjp(linear, zeros_like_all(like)).pullback;
}

void check_count(size_t got, size_t expected, const char* op, const char* what) {
  if (got != expected) fail<ValueError>("[", op, "] the rule returned ", got, " ", what, ", not ", expected);
}

}  // namespace

Tensors custom_vjp(const Function& function, const std::function<CustomForward(const Tensors&)>& forward,
                   const Tensors& inputs) {
  Trace* trace = innermost_tracking(inputs);
  if (!trace) return function(inputs);
  const VisibleTraces scope(trace->outer());
  auto [results, user_pullback] = forward(inputs);
  const Tensors outputs = fresh(results);
  const Function pullback = [user_pullback = std::move(user_pullback), outputs = zeros_like_all(outputs),
                             count = inputs.size()](const Tensors& cotangents) {
    Tensors filled = cotangents;
    for (size_t i = 0; i < filled.size(); ++i) {
      if (!filled[i].defined()) filled[i] = outputs[i];
    }
    Tensors result = user_pullback(filled);
    check_count(result.size(), count, "custom_vjp", "cotangents");
    return result;
  };
  if (auto* tape = dynamic_cast<Tape*>(trace)) {
    tape->record_custom(inputs, outputs, pullback);
    return outputs;
  }
  auto& forward_mode = dynamic_cast<JvpTrace&>(*trace);
  Tensors tangents;
  std::vector<size_t> moving;  // the inputs that have a tangent
  for (size_t i = 0; i < inputs.size(); ++i) {
    const Tensor tangent = forward_mode.tangent(inputs[i]);
    if (!tangent.defined()) continue;
    moving.push_back(i);
    tangents.push_back(tangent);
  }
  const Function restricted = [&](const Tensors& cotangents) {
    const Tensors all = pullback(cotangents);
    Tensors result;
    for (size_t i : moving) result.push_back(all[i].defined() ? all[i] : zeros_like(inputs[i]));
    return result;
  };
  const Tensors output_tangents = transpose(restricted, outputs)(tangents);
  for (size_t i = 0; i < outputs.size(); ++i) forward_mode.set_tangent(outputs[i], output_tangents[i]);
  return outputs;
}

Tensors custom_jvp(const Function& function, const std::function<Jvp(const Tensors&, const Tensors&)>& rule,
                   const Tensors& inputs) {
  Trace* trace = innermost_tracking(inputs);
  if (!trace) return function(inputs);
  const VisibleTraces scope(trace->outer());
  if (auto* forward_mode = dynamic_cast<JvpTrace*>(trace)) {
    Tensors tangents = zeros_like_all(inputs);
    for (size_t i = 0; i < inputs.size(); ++i) {
      if (const Tensor tangent = forward_mode->tangent(inputs[i]); tangent.defined()) tangents[i] = tangent;
    }
    const Jvp result = rule(inputs, tangents);
    check_count(result.tangents.size(), result.outputs.size(), "custom_jvp", "tangents");
    const Tensors outputs = fresh(result.outputs);
    for (size_t i = 0; i < outputs.size(); ++i) forward_mode->set_tangent(outputs[i], result.tangents[i]);
    return outputs;
  }
  Tensors outputs;
  const Function linear = [&](const Tensors& tangents) {
    Jvp result = rule(inputs, tangents);
    check_count(result.tangents.size(), result.outputs.size(), "custom_jvp", "tangents");
    outputs = std::move(result.outputs);
    return std::move(result.tangents);
  };
  const Function pullback = transpose(linear, inputs);
  outputs = fresh(outputs);
  dynamic_cast<Tape&>(*trace).record_custom(inputs, outputs, pullback);
  return outputs;
}

}  // namespace tidu
