// The discrete Fourier transform.
#pragma once

#include "core/primitive.h"

namespace tidu {

// Along an axis of n complex numbers the sums over j of x_j exp(-2 pi i j k / n), or with +2 pi i where
// `inverse`; nothing is divided by n.
Tensor fourier(const Tensor& x, int64_t axis, bool inverse);

// --- Primitives

struct FourierAttrs {
  bool inverse = false;
  void fields(auto&& field) const { field("inverse", inverse); }
};

namespace primitives {
extern Primitive fourier;  // FourierAttrs: of rows (.., n)
}

}  // namespace tidu
