// Keeping gradients small.
#include "optim/clip.h"

#include "core/trace.h"
#include "ops/convert.h"
#include "ops/creation.h"
#include "ops/reduce.h"
#include "ops/shape.h"

namespace tidu::optim {
namespace {

// `change` of each that is defined.
template <class Change> Tensors map_defined(const Tensors& gradients, const Change& change) {
  Tensors changed;
  for (const Tensor& gradient : gradients)
    changed.push_back(gradient.defined() ? change(gradient) : Tensor());
  return changed;
}

Tensors scale_to_norm(const Tensors& gradients, const Tensor& norm, double max_norm) {
  if (!(max_norm >= 0)) fail<ValueError>("[clip_by_norm] max_norm must not be negative: ", max_norm);
  const Tensor scale = minimum(max_norm / (norm + 1e-6), 1);
  return map_defined(gradients, [&](const Tensor& g) { return g * astype(scale, g.dtype()); });
}

Tensors gradients_of(const Tensors& parameters) {
  Tensors gradients;
  for (const Tensor& parameter : parameters) gradients.push_back(parameter.grad());
  return gradients;
}

void set_gradients(const Tensors& parameters, const Tensors& gradients) {
  for (size_t i = 0; i < parameters.size(); ++i) {
    if (gradients[i].defined()) parameters[i].set_grad(gradients[i]);
  }
}

}  // namespace

Tensor global_norm(const Tensors& gradients) {
  Tensor total;
  for (const Tensor& gradient : gradients) {
    if (!gradient.defined()) continue;
    const Tensor squares = sum(square(astype(gradient, promote(gradient.dtype(), DType::float32))));
    total = total.defined() ? total + squares : squares;
  }
  return total.defined() ? sqrt(total) : zeros({});
}

Tensors clip_by_norm(const Tensors& gradients, double max_norm) {
  return scale_to_norm(gradients, global_norm(gradients), max_norm);
}

Tensors clip_by_value(const Tensors& gradients, double limit) {
  if (!(limit >= 0)) fail<ValueError>("[clip_by_value] the limit must not be negative: ", limit);
  return map_defined(gradients, [&](const Tensor& g) { return maximum(minimum(g, limit), -limit); });
}

Tensor clip_grad_norm(const Tensors& parameters, double max_norm) {
  const GradMode off(false);
  const Tensors gradients = gradients_of(parameters);
  const Tensor norm = global_norm(gradients);
  set_gradients(parameters, scale_to_norm(gradients, norm, max_norm));
  return norm;
}

void clip_grad_value(const Tensors& parameters, double limit) {
  const GradMode off(false);
  set_gradients(parameters, clip_by_value(gradients_of(parameters), limit));
}

}  // namespace tidu::optim
