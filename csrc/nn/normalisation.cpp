// Normalisation of channels.
#include "nn/normalisation.h"

#include "core/trace.h"
#include "ops/assign.h"
#include "ops/convert.h"
#include "ops/elementwise.h"
#include "ops/norm.h"
#include "ops/reduce.h"
#include "ops/shape.h"

namespace tidu::nn {
namespace {

// A vector (C) beside x.
Tensor of_channels(const Tensor& vector, int rank) {
  Shape shape(rank, 1);
  shape[1] = vector.size(0);
  return reshape(widened(vector), shape);
}

// That the parameters are (C) each or undefined; in what dtype the result is.
DType checked_dtype(const char* op, const Tensor& x, std::initializer_list<const Tensor*> running,
                    const Tensor& weight, const Tensor& bias) {
  if (x.ndim() < 2) fail<ShapeError>("[", op, "] takes x (N, C, ..), not ", describe(x));
  if (!is_floating(x.dtype()))
    fail<DTypeError>("[", op, "] the input must be floating-point, not ", describe(x), " (use astype)");
  DType dtype = x.dtype();
  for (const Tensor* given : {&weight, &bias}) {
    if (given->defined()) dtype = promote(dtype, given->dtype());
  }
  const auto check = [&](const Tensor* given) {
    if (given->defined() && given->shape() != Shape{x.size(1)})
      fail<ShapeError>("[", op, "] of ", x.size(1), " channels, ", describe(x),
                       ", running values, weight and bias have shape (", x.size(1), "), not ",
                       describe(*given));
    if (given->defined() && !is_floating(given->dtype()))
      fail<DTypeError>("[", op, "] running values, weight and bias must be floating-point, not ",
                       describe(*given));
  };
  std::ranges::for_each(running, check);
  check(&weight), check(&bias);
  return dtype;
}

// Computes in float32 what has 16 bits.
template <class Normalised>
Tensor normalise(const char* op, const Tensor& x, std::initializer_list<const Tensor*> running,
                 const Tensor& weight, const Tensor& bias, const Normalised& normalised) {
  const DType dtype = checked_dtype(op, x, running, weight, bias);
  Tensor y = normalised(widened(x));
  if (weight.defined()) y = y * of_channels(weight, x.ndim());
  if (bias.defined()) y = y + of_channels(bias, x.ndim());
  return astype(y, dtype);
}

void run_on(Tensor& running, const Tensor& now, double momentum) {
  const GradMode off(false);
  assign(running, widened(running) * (1 - momentum) + stop_gradient(now) * momentum);
}

}  // namespace

Tensor batch_norm(const Tensor& x, Tensor& running_mean, Tensor& running_variance, const Tensor& weight,
                  const Tensor& bias, const BatchNormOptions& options) {
  const char* const op = "batch_norm";
  if (running_mean.defined() != running_variance.defined())
    fail<ValueError>("[batch_norm] takes both running_mean and running_var, or neither");
  if (!options.training && !running_mean.defined())
    fail<ValueError>("[batch_norm] takes running_mean and running_var where it is not training");
  if (!options.training) {
    return normalise(op, x, {&running_mean, &running_variance}, weight, bias, [&](const Tensor& values) {
      return (values - of_channels(running_mean, x.ndim())) *
             rsqrt(of_channels(running_variance, x.ndim()) + options.eps);
    });
  }
  checked_dtype(op, x, {&running_mean, &running_variance}, weight, bias);
  const int64_t count = x.size(1) > 0 ? x.numel() / x.size(1) : 0;
  if (count == 1 || (count == 0 && x.size(1) > 0 && running_mean.defined()))
    fail<ShapeError>("[batch_norm] training takes more than one value a channel, not ", describe(x));
  const BatchNormed found = tidu::batch_norm(x, weight, bias, options.eps);
  if (running_mean.defined()) {
    const double unbiased = static_cast<double>(count) / static_cast<double>(count - 1);
    run_on(running_mean, found.mean, options.momentum);
    run_on(running_variance, found.variance * unbiased, options.momentum);
  }
  return found.y;
}

Tensor instance_norm(const Tensor& x, Tensor& running_mean, Tensor& running_variance, const Tensor& weight,
                     const Tensor& bias, const BatchNormOptions& options) {
  const char* const op = "instance_norm";
  if (!options.training) {
    if (!running_mean.defined() || !running_variance.defined())
      fail<ValueError>("[instance_norm] takes running_mean and running_var where it does not use those of x");
    return batch_norm(x, running_mean, running_variance, weight, bias, options);
  }
  return normalise(op, x, {&running_mean, &running_variance}, weight, bias, [&](const Tensor& values) {
    int64_t count = 1;
    for (int axis = 2; axis < x.ndim(); ++axis) count *= x.size(axis);
    if (count == 1)
      fail<ShapeError>("[instance_norm] takes more than one value a channel of an image, not ", describe(x));
    Shape places(x.shape().begin() + 2, x.shape().end());
    if (running_mean.defined()) {
      Axes over = all_axes(x.ndim());
      const Axes inner(over.begin() + 2, over.end());
      const double unbiased = static_cast<double>(count) / static_cast<double>(count - 1);
      run_on(running_mean, mean(mean(values, inner), 0), options.momentum);
      run_on(running_variance, mean(var(values, inner), 0) * unbiased, options.momentum);
    }
    return layer_norm(values, places, {}, {}, options.eps);
  });
}

Tensor group_norm(const Tensor& x, int64_t groups, const Tensor& weight, const Tensor& bias, double eps) {
  return normalise("group_norm", x, {}, weight, bias, [&](const Tensor& values) {
    if (groups < 1 || x.size(1) % groups != 0)
      fail<ValueError>("[group_norm] ", groups, " groups do not divide the ", x.size(1), " channels of ",
                       describe(x));
    Shape parts{x.size(0), groups, x.size(1) / groups};
    for (int axis = 2; axis < x.ndim(); ++axis) parts.push_back(x.size(axis));
    const Shape row(parts.begin() + 2, parts.end());
    return reshape(layer_norm(reshape(values, parts), row, {}, {}, eps), x.shape());
  });
}

}  // namespace tidu::nn
