// Conversion of contiguous elements between all dtypes.
#include "kernels/cpu/cast.h"

#include "kernels/cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/cast.cpp"
#include <hwy/foreach_target.h>
// Must come after foreach_target.h.
#include <hwy/highway.h>

#include <array>
#include <limits>
#include <type_traits>

#ifndef TIDU_KERNELS_CPU_CAST_ELEMENT
#define TIDU_KERNELS_CPU_CAST_ELEMENT
namespace tidu::cpu {
namespace {

template <class T> inline constexpr bool is_half = std::is_same_v<T, float16> || std::is_same_v<T, bfloat16>;

// The float next to x whose last bit is odd unless x is a float: rounding it again rounds x itself.
HWY_INLINE float round_to_odd(double x) {
  const float f = static_cast<float>(x);
  uint32_t bits;
  std::memcpy(&bits, &f, 4);
  const double back = f;
  const bool adjust = back != x && (bits & 1) == 0;
  const bool outwards = (back < 0 ? -back : back) < (x < 0 ? -x : x);
  bits += adjust ? (outwards ? 1u : ~0u) : 0u;
  float odd;
  std::memcpy(&odd, &bits, 4);
  return odd;
}

// The same for 64-bit integers on their way to double: beyond 2^53 the bits that a half cannot see become
// one.
template <class T> HWY_INLINE double sticky_double(T x) {
  constexpr T exact = T{1} << 53;
  const bool small = x < exact && (std::is_unsigned_v<T> || x > static_cast<T>(0) - exact);
  const T jammed = static_cast<T>((x & ~T{0xFFF}) | ((x & 0xFFF) != 0 ? 0x800 : 0));
  return static_cast<double>(small ? x : jammed);
}

template <class To, class From> HWY_INLINE To saturate(From x) {
  using L = std::numeric_limits<To>;
  // 2^digits is the first value too large, and unlike max() it is exact in every float type.
  constexpr From above = static_cast<From>(uint64_t{1} << (L::digits - 1)) * 2;
  constexpr From lowest = static_cast<From>(L::min());
  const bool inside = x >= lowest && x < above;
  const To converted = static_cast<To>(inside ? x : From(0));
  const To end = x >= above ? L::max() : x < lowest ? L::min() : To(0);
  return inside ? converted : end;
}

template <class To, class From> HWY_INLINE To cast_element(From x) {
  if constexpr (std::is_same_v<To, From>) {
    return x;
  } else if constexpr (is_half<From>) {
    return cast_element<To>(static_cast<float>(x));
  } else if constexpr (std::is_same_v<To, bool>) {
    return x != From(0);
  } else if constexpr (is_half<To>) {
    // An integer that float has to round is beyond float16's range.
    constexpr bool exact = std::is_same_v<From, float> ||
                           (std::is_integral_v<From> && (sizeof(From) < 4 || std::is_same_v<To, float16>));
    if constexpr (exact) {
      return To(static_cast<float>(x));
    } else if constexpr (std::is_integral_v<From> && sizeof(From) == 8) {
      return To(round_to_odd(sticky_double(x)));
    } else {
      return To(round_to_odd(static_cast<double>(x)));
    }
  } else if constexpr (std::is_floating_point_v<From> && std::is_integral_v<To>) {
    return saturate<To>(x);
  } else {
    return static_cast<To>(x);
  }
}

}  // namespace
}  // namespace tidu::cpu
#endif

HWY_BEFORE_NAMESPACE();
namespace tidu::cpu::HWY_NAMESPACE {
namespace {

template <class From, class To> void cast_tile(const void* const* inputs, void* output, int64_t n) {
  const From* x = static_cast<const From*>(inputs[0]);
  To* y = static_cast<To*>(output);
#pragma GCC ivdep
  for (int64_t i = 0; i < n; ++i) y[i] = cast_element<To>(x[i]);
}

template <class From, class... To> constexpr std::array<TileFunction, kDTypeCount> casts_from() {
  return {cast_tile<From, To>...};
}

// In the order of DType. A bool is read as the byte 0 or 1 that it is, which compilers vectorise better.
template <class... T> constexpr std::array<std::array<TileFunction, kDTypeCount>, kDTypeCount> all_casts() {
  return {casts_from<std::conditional_t<std::is_same_v<T, bool>, uint8_t, T>, T...>()...};
}

constexpr auto kCasts = all_casts<bool, int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t,
                                  uint64_t, float16, bfloat16, float, double>();

TileFunction find_cast(DType from, DType to) {
  return kCasts[static_cast<size_t>(from)][static_cast<size_t>(to)];
}

}  // namespace
}  // namespace tidu::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tidu::cpu {
namespace {
HWY_EXPORT(find_cast);
}

TileFunction cast_function(DType from, DType to) { return HWY_DYNAMIC_DISPATCH(find_cast)(from, to); }

}  // namespace tidu::cpu
#endif
