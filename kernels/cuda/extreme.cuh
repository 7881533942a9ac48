// The order in which extremes are sought: NaN is beyond every number.
#pragma once

#include <limits>

#include "kernels/cuda/reduce.cuh"

namespace tidu::cuda {

// What every element of T is beyond or equal to.
template <class T, bool largest> TIDU_HD constexpr Accumulator<T> least_extreme() {
  using A = Accumulator<T>;
  if constexpr (std::is_floating_point_v<A>) {
    return largest ? -std::numeric_limits<A>::infinity() : std::numeric_limits<A>::infinity();
  } else {
    return static_cast<A>(largest ? std::numeric_limits<T>::lowest() : std::numeric_limits<T>::max());
  }
}

template <bool largest, class A> TIDU_HD bool is_beyond(A a, A b) {
  if constexpr (std::is_floating_point_v<A>) {
    if (a != a) return b == b;
  }
  return largest ? a > b : a < b;
}

}  // namespace tidu::cuda
