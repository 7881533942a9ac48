// Powers of two that keep squares in range, on every device: read by g++ and nvcc.
#pragma once

#include "kernels/types.h"

namespace tidu {

// Numbers are multiplied by a power of two, 1 but for the very large and the very small ones, so that their
// squares, and those of differences that are small beside them, stay in the range of Real.
template <class Real> struct Level {
  static constexpr bool kWide = sizeof(Real) == 8;
  static constexpr Real kUp = kWide ? Real(0x1p600) : Real(0x1p85), kDown = 1 / kUp;
  static constexpr Real kLeast = kWide ? Real(0x1p-300) : Real(0x1p-38);
  static constexpr Real kLargest = kWide ? Real(0x1p300) : Real(0x1p46);

  // That of numbers which have a size and whose squared distances add up to squares.
  TIDU_HD static Real of(Real size, Real squares = 0) {
    if (size < kLeast && squares < kLeast * kLeast) return kUp;
    return size <= kLargest && squares <= kLargest * kLargest ? Real(1) : kDown;
  }
  // By what numbers at one level are multiplied to be at another, which is not above it.
  TIDU_HD static Real step(Real from, Real to) {
    const Real below = from > Real(1) && to < Real(1) ? Real(0) : kDown;
    return from == to ? Real(1) : below;
  }
};

}  // namespace tidu
