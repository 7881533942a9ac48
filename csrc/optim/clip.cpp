// Keeping gradients small.
#include "optim/clip.h"

#include <limits>

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

// The least and the largest number that a type holds in full precision.
struct Bounds {
  double least, largest;
};
template <class T> constexpr Bounds kBounds{std::numeric_limits<T>::min(), std::numeric_limits<T>::max()};

// sqrt(sum(x^2)), which is divided by the largest element first so that squares neither overflow nor vanish.
// In float64, where the norm of float32 numbers is finite. The derivatives at 0 are 0.
Tensor norm_of(const Tensor& x) {
  const auto [least, largest] = x.dtype() == DType::float64 ? kBounds<double> : kBounds<float>;
  const Tensor unit = stop_gradient(minimum(maximum(maximum(max(x), -min(x)), least), largest));
  const Tensor squares = sum(square(x / unit)), none = squares == 0;
  const Tensor of_units = where(none, 0, sqrt(where(none, 1, squares)));
  return astype(of_units, DType::float64) * astype(unit, DType::float64);
}

Tensor wide_norm(const Tensors& gradients) {
  Tensor total;
  for (const Tensor& gradient : gradients) {
    if (!gradient.defined() || gradient.numel() == 0) continue;
    const Tensor norm = norm_of(astype(gradient, promote(gradient.dtype(), DType::float32)));
    total = total.defined() ? hypot(total, norm) : norm;
  }
  return total.defined() ? total : zeros({}, DType::float64);
}

Tensor rounded(const Tensor& norm, const Tensors& gradients) {
  DType dtype = DType::float32;
  for (const Tensor& gradient : gradients) {
    if (gradient.defined()) dtype = promote(dtype, gradient.dtype());
  }
  return astype(norm, dtype);
}

Tensors scale_to_norm(const Tensors& gradients, const Tensor& norm, double max_norm) {
  if (!(max_norm >= 0)) fail<ValueError>("[clip_by_norm] max_norm must not be negative: ", max_norm);
  const Tensor scale = minimum(max_norm / (norm + 1e-6), 1);
  return map_defined(gradients, [&](const Tensor& gradient) {
    const Tensor g = widened(gradient);
    return astype(g * astype(scale, g.dtype()), gradient.dtype());
  });
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

Tensor global_norm(const Tensors& gradients) { return rounded(wide_norm(gradients), gradients); }

Tensors clip_by_norm(const Tensors& gradients, double max_norm) {
  return scale_to_norm(gradients, wide_norm(gradients), max_norm);
}

Tensors clip_by_value(const Tensors& gradients, double limit) {
  if (!(limit >= 0)) fail<ValueError>("[clip_by_value] the limit must not be negative: ", limit);
  return map_defined(gradients, [&](const Tensor& g) { return maximum(minimum(g, limit), -limit); });
}

Tensor clip_grad_norm(const Tensors& parameters, double max_norm) {
  const GradMode off(false);
  const Tensors gradients = gradients_of(parameters);
  const Tensor norm = wide_norm(gradients);
  set_gradients(parameters, scale_to_norm(gradients, norm, max_norm));
  return rounded(norm, gradients);
}

void clip_grad_value(const Tensors& parameters, double limit) {
  const GradMode off(false);
  set_gradients(parameters, clip_by_value(gradients_of(parameters), limit));
}

}  // namespace tidu::optim
