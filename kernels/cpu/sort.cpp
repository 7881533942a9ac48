// Keys of numbers, and sorting of short rows: K. E. Batcher's merge exchange, whose comparisons are the same
// for every row. (D. E. Knuth, The Art of Computer Programming 3, 5.2.2, algorithm M)
#include "kernels/cpu/sort.h"

#include "kernels/cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/sort.cpp"
#include <hwy/foreach_target.h>
// Must come after foreach_target.h.
#include <hwy/highway.h>

#include <algorithm>
#include <array>
#include <bit>

#include "kernels/order.h"

HWY_BEFORE_NAMESPACE();
namespace tidu::cpu::HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

// Keys of elements by their bits, without branches, and back: of numbers but -0.
template <class T>
inline constexpr auto kSign = static_cast<OrderKey<T>>(OrderKey<T>{1} << (8 * sizeof(T) - 1));
template <class T> OrderKey<T> plain_key(OrderKey<T> bits) {
  using Key = OrderKey<T>;
  if constexpr (kInfinityBits<T> != 0) {
    const auto negative = static_cast<Key>(bits >> (8 * sizeof(Key) - 1));
    return static_cast<Key>(bits ^ (static_cast<Key>(-negative) | kSign<T>));
  } else {
    return std::is_signed_v<T> ? static_cast<Key>(bits ^ kSign<T>) : bits;
  }
}
template <class T> OrderKey<T> bits_of(OrderKey<T> key) {
  using Key = OrderKey<T>;
  if constexpr (kInfinityBits<T> != 0) {
    const auto positive = static_cast<Key>(key >> (8 * sizeof(Key) - 1));
    return static_cast<Key>(key ^ (static_cast<Key>(positive - 1) | kSign<T>));
  } else {
    return plain_key<T>(key);
  }
}

template <class T> bool to_keys(const void* x, void* keys, int64_t n, bool descending) {
  using Key = OrderKey<T>;
  const Key* from = static_cast<const Key*>(x);
  Key* to = static_cast<Key*>(keys);
  const auto inverted = static_cast<Key>(descending ? ~Key{0} : Key{0});
  Key others = 0;
#pragma GCC ivdep
  for (int64_t i = 0; i < n; ++i) {
    const Key bits = from[i];
    if constexpr (kInfinityBits<T> != 0) {
      const bool is_nan = static_cast<Key>(bits & ~kSign<T>) > kInfinityBits<T>;
      others |= static_cast<Key>(is_nan | (bits == kSign<T>));
    }
    to[i] = static_cast<Key>(plain_key<T>(bits) ^ inverted);
  }
  return others == 0;
}

template <class T> void to_elements(void* keys, int64_t n, bool descending) {
  using Key = OrderKey<T>;
  Key* key = static_cast<Key*>(keys);
  const auto inverted = static_cast<Key>(descending ? ~Key{0} : Key{0});
  for (int64_t i = 0; i < n; ++i) key[i] = bits_of<T>(static_cast<Key>(key[i] ^ inverted));
}

template <class... T> constexpr auto key_functions_of() {
  return std::array{PlainKeyFunctions{to_keys<T>, to_elements<T>}...};
}
// In the order of DType.
constexpr auto kKeyFunctions = key_functions_of<bool, int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t,
                                                uint32_t, uint64_t, float16, bfloat16, float, double>();
PlainKeyFunctions find_key_functions(DType dtype) { return kKeyFunctions[static_cast<size_t>(dtype)]; }

// order_key of each lane's bits.
template <class T, class D, class V> HWY_INLINE V order_keys(D d, V bits, bool descending) {
  const auto inverted = hn::Set(d, static_cast<OrderKey<T>>(descending ? ~uint64_t{0} : 0)),
             sign = hn::Set(d, kSign<T>);
  if constexpr (kInfinityBits<T> != 0) {
    const auto magnitude = hn::AndNot(sign, bits);
    const hn::RebindToSigned<D> of_sign;
    const auto negative = hn::BitCast(d, hn::BroadcastSignBit(hn::BitCast(of_sign, bits)));
    const auto key = hn::IfThenElse(magnitude == hn::Zero(d), sign, hn::Xor(bits, hn::Or(negative, sign)));
    return hn::IfThenElse(magnitude > hn::Set(d, kInfinityBits<T>),
                          hn::Set(d, static_cast<OrderKey<T>>(~uint64_t{0})), hn::Xor(key, inverted));
  } else {
    return hn::Xor(std::is_signed_v<T> ? hn::Xor(bits, sign) : bits, inverted);
  }
}

template <class T>
FoundPlaces find_places(const void* x, int64_t begin, int64_t n, bool descending, uint64_t limit,
                        int64_t* places, int64_t room) {
  using Key = OrderKey<T>;
  const hn::CappedTag<Key, 64> d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  const auto* const from = static_cast<const Key*>(x);
  const auto most = static_cast<Key>(limit);
  const auto all_most = hn::Set(d, most);
  int64_t count = 0, i = begin;
  for (; i + lanes <= n; i += lanes) {
    const auto keys = order_keys<T>(d, hn::LoadU(d, from + i), descending);
    const auto beyond = keys > all_most;
    if (hn::AllTrue(d, beyond)) continue;
    uint64_t bits = 0;
    hn::StoreMaskBits(d, hn::Not(beyond), reinterpret_cast<uint8_t*>(&bits));
    for (; bits != 0; bits &= bits - 1) {
      const int64_t place = i + std::countr_zero(bits);
      places[count++] = place;
      if (count == room) return {count, place + 1};
    }
  }
  for (; i < n && count < room; ++i) {
    if (order_key(static_cast<const T*>(x)[i], descending) <= most) places[count++] = i;
  }
  return {count, i};
}

template <class... T> constexpr auto find_functions_of() {
  return std::array<FindPlacesFunction, sizeof...(T)>{find_places<T>...};
}
// In the order of DType.
constexpr auto kFindFunctions = find_functions_of<bool, int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t,
                                                  uint32_t, uint64_t, float16, bfloat16, float, double>();
FindPlacesFunction find_find_places(DType dtype) { return kFindFunctions[static_cast<size_t>(dtype)]; }

// Word i of every row is vector i.
template <class D, class Word> HWY_INLINE void merge_exchange(D d, Word* words, int64_t n) {
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  const auto half = static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(n))) / 2;
  for (int64_t p = half; p > 0; p /= 2) {
    for (int64_t q = half, r = 0, distance = p;; distance = q - p, q /= 2, r = p) {
      for (int64_t block = r; block < n - distance; block += 2 * p) {
        const int64_t end = std::min(block + p, n - distance);
        for (int64_t i = block; i < end; ++i) {
          Word *const a = words + i * lanes, *const b = a + distance * lanes;
          const auto x = hn::Load(d, a), y = hn::Load(d, b);
          hn::Store(hn::Min(x, y), d, a);
          hn::Store(hn::Max(x, y), d, b);
        }
      }
      if (q == p) break;
    }
  }
}

template <class Word> int64_t sort_rows(Word* words, int64_t rows, int64_t n) {
  const hn::ScalableTag<Word> d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  if (n > kSortedAbreast || n < 2 || lanes < 4) return 0;
  HWY_ALIGN Word abreast[kSortedAbreast * hn::MaxLanes(d)];
  int64_t done = 0;
  while (rows - done >= lanes / 2) {
    Word* const first = words + done * n;
    const int64_t here = std::min(lanes, rows - done);
    for (int64_t row = 0; row < here; ++row) {
      for (int64_t i = 0; i < n; ++i) abreast[i * lanes + row] = first[row * n + i];
    }
    merge_exchange(d, abreast, n);
    for (int64_t row = 0; row < here; ++row) {
      for (int64_t i = 0; i < n; ++i) first[row * n + i] = abreast[i * lanes + row];
    }
    done += here;
  }
  return done;
}

int64_t sort_16(uint16_t* words, int64_t rows, int64_t n) { return sort_rows(words, rows, n); }
int64_t sort_32(uint32_t* words, int64_t rows, int64_t n) { return sort_rows(words, rows, n); }
int64_t sort_64(uint64_t* words, int64_t rows, int64_t n) { return sort_rows(words, rows, n); }

}  // namespace
}  // namespace tidu::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tidu::cpu {
namespace {
HWY_EXPORT(find_key_functions);
HWY_EXPORT(find_find_places);
HWY_EXPORT(sort_16);
HWY_EXPORT(sort_32);
HWY_EXPORT(sort_64);
}  // namespace

PlainKeyFunctions plain_key_functions(DType dtype) { return HWY_DYNAMIC_DISPATCH(find_key_functions)(dtype); }
FindPlacesFunction find_places_function(DType dtype) { return HWY_DYNAMIC_DISPATCH(find_find_places)(dtype); }
int64_t sort_abreast(uint16_t* words, int64_t rows, int64_t n) {
  return HWY_DYNAMIC_DISPATCH(sort_16)(words, rows, n);
}
int64_t sort_abreast(uint32_t* words, int64_t rows, int64_t n) {
  return HWY_DYNAMIC_DISPATCH(sort_32)(words, rows, n);
}
int64_t sort_abreast(uint64_t* words, int64_t rows, int64_t n) {
  return HWY_DYNAMIC_DISPATCH(sort_64)(words, rows, n);
}

}  // namespace tidu::cpu
#endif
