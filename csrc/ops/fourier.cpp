// The discrete Fourier transform.
#include "ops/fourier.h"

#include <bit>

#include "core/bind.h"
#include "ops/shape.h"

namespace tidu {
namespace {

void infer_fourier(const SpecCall& call, std::span<Spec> outputs) {
  const Spec& x = call.inputs[0];
  if (!is_complex(x.dtype)) fail<DTypeError>("[fourier] takes complex numbers, not ", x);
  if (x.shape.empty()) fail<ShapeError>("[fourier] takes rows (.., n), not ", x);
  outputs[0] = x;
}

// As is customary, 5 n log2(n) of each row, whatever n's factors.
Flops fourier_flops(const SpecCall& call, std::span<const Spec>) {
  const Shape& shape = call.inputs[0].shape;
  const int64_t levels = std::bit_width(static_cast<uint64_t>(shape.back() - 1));
  return {.arithmetic = 5 * num_elements(shape) * levels};
}

Tensor transform_rows(const Tensor& x, bool inverse) {
  return bind(primitives::fourier, {x}, FourierAttrs{inverse});
}

}  // namespace

namespace primitives {

Primitive fourier("fourier", {.batching = batch_by_fields,
                              .attrs = FourierAttrs{},
                              .infer = infer_fourier,
                              .derivative = Linear{.transpose =
                                                       [](const Call& call, Cotangents cotangents, int) {
                                                         return transform_rows(
                                                             cotangents[0],
                                                             !call.attrs.as<FourierAttrs>().inverse);
                                                       }},
                              .on_complex = OnComplex::native,
                              .flops = fourier_flops});

}  // namespace primitives

Tensor fourier(const Tensor& x, int64_t axis, bool inverse) {
  if (!is_complex(x.dtype())) fail<DTypeError>("[fourier] takes complex numbers, not ", describe(x));
  const int at = normalize_axis(axis, x.ndim(), "fourier");
  return moveaxis(transform_rows(moveaxis(x, at, -1), inverse), -1, at);
}

}  // namespace tidu
