// What kernels take of the standard library, for NVRTC, which has none: it is given this file in the place of
// <algorithm>, <concepts>, <cstdint>, <cstring>, <initializer_list>, <limits>, <source_location>,
// <type_traits> and <utility>.
#pragma once

using int8_t = signed char;
using int16_t = short;
using int32_t = int;
using int64_t = long;
using uint8_t = unsigned char;
using uint16_t = unsigned short;
using uint32_t = unsigned;
using uint64_t = unsigned long;
using uintptr_t = unsigned long;

#define INT32_MAX 2147483647
#define INT64_MAX 9223372036854775807

namespace std {

template <class A, class B> inline constexpr bool is_same_v = false;
template <class A> inline constexpr bool is_same_v<A, A> = true;

template <bool condition, class A, class B> struct conditional { using type = A; };
template <class A, class B> struct conditional<false, A, B> { using type = B; };
template <bool condition, class A, class B> using conditional_t = typename conditional<condition, A, B>::type;

template <class T> struct type_identity { using type = T; };
template <class T> using type_identity_t = typename type_identity<T>::type;

template <class T, class... Others> inline constexpr bool is_one_of = (is_same_v<T, Others> || ...);
template <class T> inline constexpr bool is_floating_point_v = is_one_of<T, float, double>;
template <class T>
inline constexpr bool is_unsigned_v = is_one_of<T, bool, uint8_t, uint16_t, uint32_t, uint64_t>;
template <class T>
inline constexpr bool is_integral_v = is_unsigned_v<T> || is_one_of<T, int8_t, int16_t, int32_t, int64_t>;

template <class T> inline constexpr bool is_signed_v = !is_unsigned_v<T>;

template <class A, class B>
concept same_as = is_same_v<A, B>;
template <class T>
concept integral = is_integral_v<T>;

template <class T> struct remove_cvref { using type = T; };
template <class T> struct remove_cvref<const T> : remove_cvref<T> {};
template <class T> struct remove_cvref<T&> : remove_cvref<T> {};
template <class T> using remove_cvref_t = typename remove_cvref<T>::type;
template <class T> T&& declval();

template <class T> constexpr const T& min(const T& a, const T& b) { return b < a ? b : a; }
template <class T> constexpr const T& max(const T& a, const T& b) { return a < b ? b : a; }
template <class T> constexpr const T& clamp(const T& x, const T& low, const T& high) {
  return x < low ? low : high < x ? high : x;
}
constexpr int64_t abs(int64_t x) { return x < 0 ? -x : x; }

template <class T> struct numeric_limits {
  static constexpr bool has_infinity = false;
  static constexpr int digits = is_same_v<T, bool> ? 1 : 8 * sizeof(T) - !is_unsigned_v<T>;
  static constexpr T max() {
    return static_cast<T>((uint64_t{1} << (digits - 1)) - 1 + (uint64_t{1} << (digits - 1)));
  }
  static constexpr T min() { return is_unsigned_v<T> ? T(0) : static_cast<T>(-max() - 1); }
  static constexpr T lowest() { return min(); }
  static constexpr T infinity() { return T(); }
};
template <class T, class Bits, Bits exponent> struct floating_limits {
  static constexpr bool has_infinity = true;
  static constexpr T infinity() { return __builtin_bit_cast(T, exponent); }
  static constexpr T quiet_NaN() { return __builtin_bit_cast(T, exponent | exponent >> 1); }
};
template <> struct numeric_limits<float> : floating_limits<float, uint32_t, 0x7f800000u> {};
template <> struct numeric_limits<double> : floating_limits<double, uint64_t, 0x7ff0000000000000u> {};

struct source_location {
  static constexpr source_location current() { return {}; }
};

}  // namespace std
