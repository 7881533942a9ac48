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

// How many of the n numbers of a sorted row come before x, or with `right` not after it.
template <class T> TIDU_HD int64_t place_in_order(const T* row, int64_t n, T x, bool right) {
  const OrderKey<T> key = order_key(x, false);
  int64_t begin = 0, end = n;
  while (begin < end) {
    const int64_t middle = begin + (end - begin) / 2;
    const OrderKey<T> at = order_key(row[middle], false);
    if (right ? at <= key : at < key) {
      begin = middle + 1;
    } else {
      end = middle;
    }
  }
  return begin;
}

}  // namespace tidu
