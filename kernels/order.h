// Numbers as unsigned ones, in the order in which they are sorted.
#pragma once

#include "kernels/types.h"

namespace tidu {

template <int bytes> struct UnsignedOf;
template <> struct UnsignedOf<1> { using type = uint8_t; };
template <> struct UnsignedOf<2> { using type = uint16_t; };
template <> struct UnsignedOf<4> { using type = uint32_t; };
template <> struct UnsignedOf<8> { using type = uint64_t; };
template <class T> using OrderKey = typename UnsignedOf<sizeof(T)>::type;

// The bits of +infinity.
template <class T> inline constexpr OrderKey<T> kInfinityBits = 0;
template <> inline constexpr uint16_t kInfinityBits<float16> = 0x7c00u;
template <> inline constexpr uint16_t kInfinityBits<bfloat16> = 0x7f80u;
template <> inline constexpr uint32_t kInfinityBits<float> = 0x7f800000u;
template <> inline constexpr uint64_t kInfinityBits<double> = 0x7ff0000000000000u;

// a before b: order_key(a) < order_key(b). -0 and 0 are equal, and so are all NaN, which come last, also
// where the largest number comes first.
template <class T> TIDU_HD OrderKey<T> order_key(T x, bool descending) {
  using Key = OrderKey<T>;
  constexpr auto sign = static_cast<Key>(Key{1} << (8 * sizeof(Key) - 1));
  constexpr auto all = static_cast<Key>(~Key{0});
  Key key;
  memcpy(&key, &x, sizeof key);
  if constexpr (kInfinityBits<T> != 0) {
    const auto magnitude = static_cast<Key>(key & ~sign);
    if (magnitude > kInfinityBits<T>) return all;
    // Of negative numbers the largest magnitude comes first.
    key = static_cast<Key>(magnitude == 0 ? sign : (key & sign) != 0 ? ~key : key | sign);
  } else if constexpr (std::is_signed_v<T>) {
    key = static_cast<Key>(key ^ sign);
  }
  return descending ? static_cast<Key>(~key) : key;
}

// Whether a number of a sorted row comes before x, or with `right` not after it: as by their keys.
template <class T> TIDU_HD bool is_before(T at, T x, bool right) {
  if constexpr (is_half<T>) {
    const OrderKey<T> a = order_key(at, false), b = order_key(x, false);
    return right ? a <= b : a < b;
  } else {
    return (at < x) | (right & (at == x)) | ((x != x) & (right | (at == at)));
  }
}

// How many of the n numbers of a sorted row come before x, or with `right` not after it. Steps are the same
// for every x, so that no branch is guessed and those of several x run together.
template <class T> TIDU_HD int64_t place_in_order(const T* row, int64_t n, T x, bool right) {
  const T* first = row;
  for (int64_t left = n; left > 1;) {
    const int64_t half = left / 2;
    first += half & -static_cast<int64_t>(is_before(first[half - 1], x, right));
    left -= half;
  }
  return first - row + (n > 0 ? is_before(*first, x, right) : 0);
}

}  // namespace tidu
