// Activations made of rows.
#include "nn/activations.h"

#include "kernels/scalar.h"
#include "ops/creation.h"
#include "ops/pointwise.h"
#include "ops/shape.h"
#include "ops/softmax.h"

namespace tidu::nn {
namespace {

// Where softplus(x) is x in every dtype.
constexpr double kLinear = 1000;

// x - tanh(x) of |x| below 1, as the row has it.
Tensor tanhshrink_near_0(const Tensor& x) {
  const auto polynomial = [z = square(x)](std::initializer_list<int64_t> coefficients) {
    Tensor sum = zeros_like(z);
    for (const int64_t c : coefficients) sum = sum * z + c;
    return sum;
  };
  const Tensor above = square(x) * polynomial({TIDU_TANHSHRINK_ABOVE});
  return x * (above / polynomial({TIDU_TANHSHRINK_BELOW}));
}

}  // namespace

Tensor softplus(const Tensor& x, double beta, std::optional<double> threshold) {
  if (beta == 0) fail<ValueError>("[softplus] beta must not be 0");
  return rounded_once(x, [&](const auto& y) {
    const auto scaled = y * beta;
    return where(scaled > threshold.value_or(kLinear), y, softplus(scaled) / beta);
  });
}

Tensor celu(const Tensor& x, double alpha) {
  if (alpha == 0) fail<ValueError>("[celu] alpha must not be 0");
  return tidu::celu(x, {alpha});
}

Tensor relu6(const Tensor& x) { return hardtanh(x, {0, 6}); }

// Complex numbers by their size.
Tensor softsign(const Tensor& x) {
  if (!is_complex(x.dtype())) return tidu::softsign(x);
  const Tensor size = abs(x), rest = reciprocal(1 + size);
  return where(size < 1, x * rest, sign(x) * (1 - rest));
}

Tensor tanhshrink(const Tensor& x) {
  if (!is_complex(x.dtype())) return tidu::tanhshrink(x);
  const Tensor is_small = abs(x) < 1;
  return where(is_small, tanhshrink_near_0(where(is_small, x, 0)), x - tanh(x));
}

Tensor softshrink(const Tensor& x, double lambd) {
  if (!(lambd >= 0)) fail<ValueError>("[softshrink] lambd must be at least 0, not ", lambd);
  return tidu::softshrink(x, {lambd});
}

Tensor hardshrink(const Tensor& x, double lambd) { return tidu::hardshrink(x, {lambd}); }

Tensor threshold(const Tensor& x, double threshold, double value) {
  return tidu::threshold(x, {threshold, value});
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
