// What the normalisation of a row is made of, on every device: read by g++ and nvcc.
#pragma once

#include <limits>

#include "kernels/scalar.h"

namespace tidu {

// A normalised row is (x * scale - mean) * factor. The scale, a power of two, is 1 unless the squares of the
// row leave the range of Real.
template <class Real> struct RowNorm {
  Real scale = 1, mean = 0, factor = 0;

  TIDU_HD Real centred(Real x) const { return x * scale - mean; }
  TIDU_HD Real normalised(Real x) const { return centred(x) * factor; }
  // Of the normalised row by the row, apart from its projections.
  TIDU_HD Real slope() const { return scale * factor; }

  // The scale with which to begin again, from the sum of the squares; 1 where there is no need.
  TIDU_HD static Real rescaled(Real mean, Real squares, Real eps) {
    constexpr Real kDown = sizeof(Real) == 8 ? Real(0x1p-600) : Real(0x1p-70);
    constexpr Real kTiny = sizeof(Real) == 8 ? Real(1e-250) : Real(1e-25);
    const Real sum = scalar::abs(mean) + squares;
    if (!(sum <= std::numeric_limits<Real>::max())) return kDown;
    return squares < kTiny && eps < kTiny ? 1 / kDown : Real(1);
  }
  TIDU_HD void finish(Real squares, Real n, Real eps) {
    factor = Real(1) / scalar::sqrt(squares / n + eps * scale * scale);
  }
};

}  // namespace tidu
