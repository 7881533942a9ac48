// The discrete Fourier transform.
#include "ops/fourier.h"

#include <bit>

#include "core/bind.h"
#include "ops/convert.h"
#include "ops/creation.h"
#include "ops/elementwise.h"
#include "ops/shape.h"

namespace tidu {
namespace {

void infer_fourier(const SpecCall& call, std::span<Spec> outputs) {
  const Spec& x = call.inputs[0];
  if (!is_complex(x.dtype)) fail<DTypeError>("[fourier] takes complex numbers, not ", x);
  if (x.shape.empty()) fail<ShapeError>("[fourier] takes rows (.., n), not ", x);
  outputs[0] = x;
}

Shape with_row(Shape shape, int64_t length) {
  shape.back() = length;
  return shape;
}

void infer_real_fourier(const SpecCall& call, std::span<Spec> outputs) {
  const Spec& x = call.inputs[0];
  if (x.dtype != DType::float32 && x.dtype != DType::float64)
    fail<DTypeError>("[real_fourier] takes float32 and float64, not ", x);
  if (x.shape.empty() || x.shape.back() < 1) fail<ShapeError>("[real_fourier] takes rows (.., n), not ", x);
  outputs[0] = {with_row(x.shape, x.shape.back() / 2 + 1), complex_of(x.dtype), x.device};
}

void infer_fourier_to_real(const SpecCall& call, std::span<Spec> outputs) {
  const Spec& x = call.inputs[0];
  const int64_t n = call.attrs.as<RealFourierAttrs>().n;
  if (!is_complex(x.dtype)) fail<DTypeError>("[fourier_to_real] takes complex numbers, not ", x);
  if (n < 1 || x.shape.empty() || x.shape.back() != n / 2 + 1)
    fail<ShapeError>("[fourier_to_real] rows of ", n, " numbers take rows of ", n / 2 + 1, ", not ", x);
  outputs[0] = {with_row(x.shape, n), part_of(x.dtype), x.device};
}

// As is customary, 5 n log2(n) of each row of n complex numbers, whatever n's factors, and half as many of n
// real ones.
int64_t row_flops(const Shape& shape) {
  return 5 * num_elements(shape) * std::bit_width(static_cast<uint64_t>(shape.back() - 1));
}
Flops fourier_flops(const SpecCall& call, std::span<const Spec>) {
  return {.arithmetic = row_flops(call.inputs[0].shape)};
}
Flops real_fourier_flops(const SpecCall& call, std::span<const Spec>) {
  return {.arithmetic = row_flops(call.inputs[0].shape) / 2};
}
Flops fourier_to_real_flops(const SpecCall&, std::span<const Spec> outputs) {
  return {.arithmetic = row_flops(outputs[0].shape) / 2};
}

Tensor transform_rows(const Tensor& x, bool inverse) {
  return bind(primitives::fourier, {x}, FourierAttrs{inverse});
}

// Rows of n / 2 + 1 with those numbers multiplied that stand for two of the n.
Tensor with_pairs(const Tensor& y, int64_t n, double factor) {
  const auto all = [&](int64_t count, double value) {
    return full({count}, value, part_of(y.dtype()), y.device());
  };
  const int64_t last = n % 2 == 0 && n > 1 ? 1 : 0;
  return y * concat({all(1, 1), all(n / 2 - last, factor), all(last, 1)}, 0);
}

}  // namespace

namespace primitives {

// | `fourier` | $y_k = \sum_j e^{\mp 2 \pi i j k / n} x_j$ | $\dot y = F \dot x$ | $\bar x = F^H \bar y$: the
// one with the other sign |
Primitive fourier("fourier", {.batching = batch_by_fields,
                              .attrs = FourierAttrs{},
                              .infer = infer_fourier,
                              .derivative = LinearMap{.transpose =
                                                          [](const Call& call, Cotangents cotangents, int) {
                                                            return transform_rows(
                                                                cotangents[0],
                                                                !call.attrs.as<FourierAttrs>().inverse);
                                                          }},
                              .on_complex = OnComplex::native,
                              .flops = fourier_flops});
// | `real_fourier` | $y_k = \sum_j e^{-2 \pi i j k / n} x_j$ of real $x$, for $k$ up to $n / 2$ | $\dot y = F
// \dot x$ | $\bar x_j = \mathrm{Re} \sum_k e^{2 \pi i j k / n} \bar y_k$ |
Primitive real_fourier("real_fourier",
                       {.batching = batch_by_fields,
                        .attrs = kNoAttrs,
                        .infer = infer_real_fourier,
                        .derivative = LinearMap{.transpose =
                                                    [](const Call& call, Cotangents cotangents, int) {
                                                      const int64_t n = call.inputs[0].size(-1);
                                                      return tidu::fourier_to_real(
                                                          with_pairs(cotangents[0], n, 0.5), n, -1);
                                                    }},
                        .on_complex = OnComplex::native,
                        .flops = real_fourier_flops});
// | `fourier_to_real` | $y_j = \sum_k e^{2 \pi i j k / n} x_k$, $x_{n - k} = \overline{x_k}$ | $\dot y = F
// \dot x$ | $\bar x_k = w_k \sum_j e^{-2 \pi i j k / n} \bar y_j$, $w_k$ how many of the $n$ stand for $x_k$:
// 1 of $x_0$ and $x_{n / 2}$, 2 of others |
Primitive fourier_to_real("fourier_to_real",
                          {.batching = batch_by_fields,
                           .attrs = RealFourierAttrs{},
                           .infer = infer_fourier_to_real,
                           .derivative = LinearMap{.transpose =
                                                       [](const Call& call, Cotangents cotangents, int) {
                                                         const int64_t n =
                                                             call.attrs.as<RealFourierAttrs>().n;
                                                         return with_pairs(
                                                             tidu::real_fourier(cotangents[0], -1), n, 2);
                                                       }},
                           .on_complex = OnComplex::native,
                           .flops = fourier_to_real_flops});

}  // namespace primitives

Tensor fourier(const Tensor& x, int64_t axis, bool inverse) {
  if (!is_complex(x.dtype())) fail<DTypeError>("[fourier] takes complex numbers, not ", describe(x));
  const int at = normalize_axis(axis, x.ndim(), "fourier");
  return moveaxis(transform_rows(moveaxis(x, at, -1), inverse), -1, at);
}

Tensor real_fourier(const Tensor& x, int64_t axis) {
  const int at = normalize_axis(axis, x.ndim(), "real_fourier");
  return moveaxis(bind(primitives::real_fourier, {moveaxis(x, at, -1)}), -1, at);
}

Tensor fourier_to_real(const Tensor& x, int64_t n, int64_t axis) {
  const int at = normalize_axis(axis, x.ndim(), "fourier_to_real");
  return moveaxis(bind(primitives::fourier_to_real, {moveaxis(x, at, -1)}, RealFourierAttrs{n}), -1, at);
}

}  // namespace tidu
