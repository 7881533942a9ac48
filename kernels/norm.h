// What the normalisation of a row is made of, on every device: read by g++ and nvcc.
#pragma once

#include <limits>

#include "kernels/level.h"
#include "kernels/scalar.h"

namespace tidu {

// A normalised row is ((x * scale - origin) - distance) * factor: the mean is the sum of the origin, which is
// one of the elements, and of what is left, so that nothing of its size is rounded. The scale, that of a
// level, is 1 unless the squares of the row leave the range of Real.
template <class Real> struct RowNorm {
  Real scale = 1, origin = 0, distance = 0, spread = 0, factor = 0;

  TIDU_HD Real from_origin(Real x) const { return x * scale - origin; }
  TIDU_HD Real centred(Real x) const { return from_origin(x) - distance; }
  TIDU_HD Real normalised(Real x) const { return centred(x) * factor; }
  // Of the normalised row by the row, apart from its projections.
  TIDU_HD Real slope() const { return scale * factor; }

  // The scale with which to begin again, from the sum of the squares; 1 where there is no need.
  TIDU_HD Real rescaled(Real squares, Real eps) const {
    constexpr Real kTiny = sizeof(Real) == 8 ? Real(1e-250) : Real(1e-25);
    const Real size = scalar::abs(origin) + scalar::abs(distance);
    if (scale != Real(1)) return Real(1);
    if (!(size + squares <= std::numeric_limits<Real>::max())) return Level<Real>::kDown;
    return size < Real(1) && squares < kTiny && eps < kTiny ? Level<Real>::kUp : Real(1);
  }
  TIDU_HD void finish(Real mean_square, Real eps) {
    spread = mean_square;
    factor = Real(1) / scalar::sqrt(spread + eps * scale * scale);
  }
  TIDU_HD Real mean() const { return (origin + distance) / scale; }
  TIDU_HD Real variance() const { return spread / scale / scale; }
};

}  // namespace tidu
