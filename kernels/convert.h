// Conversion of one element between any two dtypes: read by g++ and nvcc.
#pragma once

#include <limits>
#include <type_traits>

#include "kernels/types.h"

namespace tidu {

// What elements of a type are computed in.
template <class T> using Computed = std::conditional_t<is_half<T>, float, T>;

namespace detail {

// The float next to x whose last bit is odd unless x is a float: rounding it again rounds x itself.
TIDU_HD inline float round_to_odd(double x) {
  const float f = static_cast<float>(x);
  uint32_t bits;
  memcpy(&bits, &f, 4);
  const double back = f;
  const bool adjust = back != x && (bits & 1) == 0;
  const bool outwards = (back < 0 ? -back : back) < (x < 0 ? -x : x);
  bits += adjust ? (outwards ? 1u : ~0u) : 0u;
  float odd;
  memcpy(&odd, &bits, 4);
  return odd;
}

// The same for 64-bit integers on their way to double: beyond 2^53 the bits that a half cannot see become
// one.
template <class T> TIDU_HD inline double sticky_double(T x) {
  constexpr T exact = T{1} << 53;
  const bool small = x < exact && (std::is_unsigned_v<T> || x > static_cast<T>(0) - exact);
  const T jammed = static_cast<T>((x & ~T{0xFFF}) | ((x & 0xFFF) != 0 ? 0x800 : 0));
  return static_cast<double>(small ? x : jammed);
}

template <class To, class From> TIDU_HD inline To saturate(From x) {
  using L = std::numeric_limits<To>;
  // 2^digits is the first value too large, and unlike max() it is exact in every float type.
  constexpr From above = static_cast<From>(uint64_t{1} << (L::digits - 1)) * 2;
  constexpr From lowest = static_cast<From>(L::min());
  const bool inside = x >= lowest && x < above;
  const To converted = static_cast<To>(inside ? x : From(0));
  const To end = x >= above ? L::max() : x < lowest ? L::min() : To(0);
  return inside ? converted : end;
}

}  // namespace detail

// To bool: x != 0; to an integer: towards zero, saturating, NaN to 0; to a float: rounded once.
template <class To, class From> TIDU_HD inline To convert(From x) {
  if constexpr (std::is_same_v<To, From>) {
    return x;
  } else if constexpr (is_half<From>) {
    return convert<To>(static_cast<float>(x));
  } else if constexpr (std::is_same_v<To, bool>) {
    return x != From(0);
  } else if constexpr (is_half<To>) {
    // An integer that float has to round is beyond float16's range.
    constexpr bool exact = std::is_same_v<From, float> ||
                           (std::is_integral_v<From> && (sizeof(From) < 4 || std::is_same_v<To, float16>));
    if constexpr (exact) {
      return To(static_cast<float>(x));
    } else if constexpr (std::is_integral_v<From> && sizeof(From) == 8) {
      return To(detail::round_to_odd(detail::sticky_double(x)));
    } else {
      return To(detail::round_to_odd(static_cast<double>(x)));
    }
  } else if constexpr (std::is_floating_point_v<From> && std::is_integral_v<To>) {
    return detail::saturate<To>(x);
  } else {
    return static_cast<To>(x);
  }
}

}  // namespace tidu
