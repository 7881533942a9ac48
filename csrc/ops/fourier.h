// The discrete Fourier transform.
#pragma once

#include "core/primitive.h"

namespace tidu {

// Along an axis of n complex numbers the sums over j of x_j exp(-2 pi i j k / n), or with +2 pi i where
// `inverse`; nothing is divided by n.
Tensor fourier(const Tensor& x, int64_t axis, bool inverse);
// The first n / 2 + 1 of n real numbers x, whose conjugates the others are.
Tensor real_fourier(const Tensor& x, int64_t axis);
// The n real numbers of which x, (n / 2 + 1) along the axis, are the first complex ones: the sums with +2 pi
// i. Imaginary parts of x_0 and, where n is even, x_(n/2) are not looked at.
Tensor fourier_to_real(const Tensor& x, int64_t n, int64_t axis);

// --- Primitives

struct FourierAttrs {
  bool inverse = false;
  void fields(auto&& field) const { field("inverse", inverse); }
};
struct RealFourierAttrs {
  int64_t n = 2;  // real numbers in a row
  void fields(auto&& field) const { field("n", n); }
};

namespace primitives {
extern Primitive fourier;          // FourierAttrs: of rows (.., n)
extern Primitive real_fourier;     // of rows (.., n) of real numbers, (.., n / 2 + 1)
extern Primitive fourier_to_real;  // RealFourierAttrs: of rows (.., n / 2 + 1), (.., n)
}  // namespace primitives

}  // namespace tidu
