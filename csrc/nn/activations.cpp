// Activations made of rows.
#include "nn/activations.h"

#include "ops/complex.h"
#include "ops/composites.h"
#include "ops/pointwise.h"
#include "ops/shape.h"
#include "ops/softmax.h"

namespace tidu::nn {
namespace {

// Where softplus(x) is x in every dtype.
constexpr double kLinear = 1000;

// x - tanh(x) of |x| below 1 by its continued fraction, x q / (1 + q) with q = x^2 / (3 + x^2 / (5 + ..)):
// nine terms as one quotient.
template <class X> X tanhshrink_near_0(const X& x) {
  const X z = square(x);
  const X above = z * (218243025 + z * (16081065 + z * (289575 + z * (1430 + z))));
  return x * (above / (654729075 + z * (310134825 + z * (18918900 + z * (315315 + z * (1485 + z))))));
}

}  // namespace

Tensor softplus(const Tensor& x, double beta, std::optional<double> threshold) {
  if (beta == 0) fail<ValueError>("[softplus] beta must not be 0");
  return rounded_once(x, [&](const auto& y) {
    const auto scaled = y * beta;
    return where(scaled > threshold.value_or(kLinear), y, softplus(scaled) / beta);
  });
}

Tensor selu(const Tensor& x) {
  return rounded_once(x,
                      [](const auto& y) { return elu(y, {1.6732632423543772848}) * 1.0507009873554804934; });
}

Tensor celu(const Tensor& x, double alpha) {
  if (alpha == 0) fail<ValueError>("[celu] alpha must not be 0");
  return rounded_once(x, [&](const auto& y) { return where(y > 0, y, alpha * expm1(y / alpha)); });
}

Tensor relu6(const Tensor& x) { return hardtanh(x, {0, 6}); }

Tensor hardsigmoid(const Tensor& x) {
  return rounded_once(x, [](const auto& y) { return hardtanh(y + 3, {0, 6}) / 6; });
}

Tensor hardswish(const Tensor& x) {
  return rounded_once(x, [](const auto& y) { return multiply_no_nan(y, hardtanh(y + 3, {0, 6}) / 6); });
}

Tensor softsign(const Tensor& x) {
  // Large ones by what is missing to 1, since a quotient's derivative would cancel.
  return rounded_once(x, [](const auto& y) {
    const auto size = abs(y), rest = reciprocal(1 + size);
    return where(size < 1, y * rest, sign(y) * (1 - rest));
  });
}

Tensor tanhshrink(const Tensor& x) {
  return rounded_once(x, [](const auto& y) {
    const auto is_small = abs(y) < 1;
    return where(is_small, tanhshrink_near_0(where(is_small, y, 0)), y - tanh(y));
  });
}

Tensor softshrink(const Tensor& x, double lambd) {
  if (!(lambd >= 0)) fail<ValueError>("[softshrink] lambd must be at least 0, not ", lambd);
  return rounded_once(
      x, [&](const auto& y) { return where(y > lambd, y - lambd, where(y < -lambd, y + lambd, y * 0)); });
}

Tensor hardshrink(const Tensor& x, double lambd) {
  if (is_complex(x.dtype())) fail_complex("hardshrink", x);
  return rounded_once(x, [&](const auto& y) { return where(abs(y) <= lambd, 0, y); });
}

Tensor threshold(const Tensor& x, double threshold, double value) {
  return rounded_once(x, [&](const auto& y) { return where(y <= threshold, value, y); });
}

Tensor prelu(const Tensor& x, const Tensor& weight) {
  const int64_t channels = x.ndim() < 2 ? 1 : x.size(1);
  if (weight.ndim() > 1 || (weight.numel() != 1 && weight.numel() != channels)) {
    fail<ShapeError>("[prelu] the weight ", describe(weight), " must be one number or a vector of ", channels,
                     ", one for each channel, axis 1, of ", describe(x));
  }
  Shape along(x.ndim(), 1);
  if (weight.numel() != 1) along[1] = channels;
  const Tensor slope = widened(reshape(weight, along));
  return rounded_once(x, [&](const Tensor& y) { return where(y > 0, y, slope * y); });
}

Tensor glu(const Tensor& x, int64_t axis) {
  const int along = normalize_axis(axis, x.ndim(), "glu");
  const int64_t half = x.size(along) / 2;
  if (x.size(along) != 2 * half)
    fail<ShapeError>("[glu] axis ", axis, " of ", describe(x), " must have an even size, to be halved");
  return rounded_once(x, [&](const Tensor& y) {
    return slice_axis(y, along, 0, half) * sigmoid(slice_axis(y, along, half, {}));
  });
}

Tensor softmin(const Tensor& x, int64_t axis) { return softmax(-x, axis); }

}  // namespace tidu::nn
