// The discrete Fourier transform as products of matrices, on any device.
//
// A transform of n = r s numbers is s of r, a multiplication by roots of unity and r of s (J. W. Cooley, J.
// W. Tukey, 1965); those of up to kDirect numbers are products with the matrix of the transform. A length
// without such divisors is a convolution with a chirp (L. I. Bluestein, 1970), computed by transforms of a
// power of two.
#include "ops/fourier.h"

#include <cmath>
#include <complex>
#include <numbers>
#include <utility>

#include "core/bind.h"
#include "ops/complex.h"
#include "ops/convert.h"
#include "ops/creation.h"
#include "ops/elementwise.h"
#include "ops/matmul.h"
#include "ops/shape.h"

namespace tidu {
namespace {

constexpr int64_t kDirect = 64;

// A (rows, columns) matrix of exp(2 pi i turns / n) for whole numbers turns(row, column) in [0, n), in x's
// dtype.
template <class Turns>
Tensor roots_like(const Tensor& x, int64_t rows, int64_t columns, int64_t n, bool inverse,
                  const Turns& turns) {
  std::vector<double> parts;
  parts.reserve(static_cast<size_t>(2 * rows * columns));
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < columns; ++j) {
      // Quarters of a turn apart, so that they are exact.
      const int64_t quarters = 4 * turns(i, j) / n, rest = 4 * turns(i, j) % n;
      const double angle = std::numbers::pi / 2 * static_cast<double>(rest) / static_cast<double>(n);
      double re = std::cos(angle), im = std::sin(angle);
      for (int64_t k = 0; k < quarters; ++k) re = std::exchange(im, re) * -1.0 + 0.0;
      parts.push_back(re);
      parts.push_back(inverse ? im : 0.0 - im);
    }
  }
  const Tensor wide = tensor(std::span<const double>(parts), {rows, columns, 2});
  return to(view_as_complex(astype(wide, part_of(x.dtype()))), x.device());
}

int64_t largest_divisor(int64_t n) {
  for (int64_t r = kDirect; r > 1; --r) {
    if (n % r == 0) return r;
  }
  return 1;
}

Tensor transform_rows(const Tensor& x, bool inverse);

// With j k = (j^2 + k^2 - (k - j)^2) / 2 the sums are a convolution.
Tensor by_chirp(const Tensor& x, bool inverse) {
  const int64_t n = x.size(-1);
  int64_t length = 1;
  while (length < 2 * n - 1) length *= 2;
  const auto half_square = [n](int64_t, int64_t j) {
    return static_cast<int64_t>(static_cast<unsigned __int128>(j) * static_cast<unsigned __int128>(j) %
                                static_cast<unsigned __int128>(2 * n));
  };
  const Tensor chirp = roots_like(x, 1, n, 2 * n, inverse, half_square), back = conj(chirp);
  const Tensor gap = zeros({1, length - 2 * n + 1}, x.dtype(), x.device());
  const Tensor kernel = concat({back, gap, flip(slice_axis(back, -1, 1, {}), {-1})}, -1);
  const Tensor padded = pad(x * chirp, {0, 0}, {0, length - n});
  const Tensor sums = transform_rows(transform_rows(padded, false) * transform_rows(kernel, false), true);
  return slice_axis(sums, -1, 0, n) * chirp / static_cast<double>(length);
}

// Along the last of two axes.
Tensor transform_rows(const Tensor& x, bool inverse) {
  const int64_t rows = x.size(0), n = x.size(1);
  if (n <= 1) return x;
  if (n <= kDirect) {
    return matmul(x, roots_like(x, n, n, n, inverse, [n](int64_t j, int64_t k) { return j * k % n; }));
  }
  const int64_t r = largest_divisor(n), s = n / r;
  if (r == 1) return by_chirp(x, inverse);
  const Tensor first = roots_like(x, r, r, r, inverse, [r](int64_t k, int64_t j) { return j * k % r; });
  const Tensor twiddles = roots_like(x, r, s, n, inverse, [](int64_t k, int64_t j) { return j * k; });
  const Tensor inner = matmul(first, reshape(x, {rows, r, s})) * twiddles;
  const Tensor outer = reshape(transform_rows(reshape(inner, {rows * r, s}), inverse), {rows, r, s});
  return reshape(matrix_transpose(outer), {rows, n});
}

void evaluate_fourier(const Call& call) {
  const auto& attrs = call.attrs.as<FourierAttrs>();
  const Tensor last = moveaxis(call.inputs[0], attrs.axis, -1);
  const int64_t n = last.size(-1);
  Tensor rows = reshape(last, {n == 0 ? 0 : last.numel() / n, n});
  // The result is a tensor of its own.
  rows = n <= 1 ? copy(rows) : transform_rows(rows, attrs.inverse);
  call.outputs[0] = moveaxis(reshape(rows, last.shape()), -1, attrs.axis);
}

void infer_fourier(const SpecCall& call, std::span<Spec> outputs) {
  const Spec& x = call.inputs[0];
  if (!is_complex(x.dtype)) fail<DTypeError>("[fourier] takes complex numbers, not ", x);
  outputs[0] = {x.shape, x.dtype, x.device};
}

}  // namespace

namespace primitives {

Primitive fourier("fourier", {.batching = batch_by_fields,
                              .attrs = FourierAttrs{},
                              .infer = infer_fourier,
                              .derivative = Linear{.transpose =
                                                       [](const Call& call, Cotangents cotangents, int) {
                                                         const auto& attrs = call.attrs.as<FourierAttrs>();
                                                         return tidu::fourier(cotangents[0], attrs.axis,
                                                                              !attrs.inverse);
                                                       }},
                              .evaluate = evaluate_fourier});

}  // namespace primitives

Tensor fourier(const Tensor& x, int64_t axis, bool inverse) {
  if (!is_complex(x.dtype())) fail<DTypeError>("[fourier] takes complex numbers, not ", describe(x));
  const FourierAttrs attrs{{normalize_axis(axis, x.ndim(), "fourier")}, inverse};
  return bind(primitives::fourier, {x}, attrs);
}

}  // namespace tidu
