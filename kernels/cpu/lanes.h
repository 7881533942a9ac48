// Results of parts side by side, which become one.
#pragma once

#include <hwy/base.h>

namespace tidu::cpu {

// Leaves all lanes in the first, halves put together again and again. How many there are is known, so that
// this is a few vectors and no loops.
template <int lanes, class A, class Combine> HWY_INLINE void fold_lanes(A* lane, const Combine& combine) {
  if constexpr (lanes > 1) {
    constexpr int half = lanes / 2;
    for (int j = 0; j < half; ++j) lane[j] = combine(lane[j], lane[j + half]);
    fold_lanes<half>(lane, combine);
  }
}

}  // namespace tidu::cpu
