// What kernels take of the standard library, for NVRTC, which has none: it is given this file in the place of
// <cstdint>, <cstring>, <initializer_list>, <limits>, <source_location> and <type_traits>.
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

// Of integers.
template <class T> struct numeric_limits {
  static constexpr int digits = is_same_v<T, bool> ? 1 : 8 * sizeof(T) - !is_unsigned_v<T>;
  static constexpr T max() {
    return static_cast<T>((uint64_t{1} << (digits - 1)) - 1 + (uint64_t{1} << (digits - 1)));
  }
  static constexpr T min() { return is_unsigned_v<T> ? T(0) : static_cast<T>(-max() - 1); }
};

struct source_location {
  static constexpr source_location current() { return {}; }
};

}  // namespace std
