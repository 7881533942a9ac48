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

// Calls f.template operator()<T>() with the C++ type of `dtype`.
template <class F> [[nodiscard]] cudaError_t for_all(DType dtype, const F& f) {
  switch (dtype) {
    case DType::bool_: return f.template operator()<bool>();
    case DType::int8: return f.template operator()<int8_t>();
    case DType::int16: return f.template operator()<int16_t>();
    case DType::int32: return f.template operator()<int32_t>();
    case DType::int64: return f.template operator()<int64_t>();
    case DType::uint8: return f.template operator()<uint8_t>();
    case DType::uint16: return f.template operator()<uint16_t>();
    case DType::uint32: return f.template operator()<uint32_t>();
    case DType::uint64: return f.template operator()<uint64_t>();
    default: return for_floats(dtype, f);
  }
}

}  // namespace tidu::cuda
