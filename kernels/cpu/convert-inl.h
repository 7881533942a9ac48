// Conversion of contiguous elements, compiled once per instruction set: by instructions for float16 where
// these are.
#include <cstdint>

#if defined(TIDU_KERNELS_CPU_CONVERT_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef TIDU_KERNELS_CPU_CONVERT_INL_H_
#undef TIDU_KERNELS_CPU_CONVERT_INL_H_
#else
#define TIDU_KERNELS_CPU_CONVERT_INL_H_
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <limits>
#include <type_traits>

#include "kernels/convert.h"

HWY_BEFORE_NAMESPACE();
namespace tidu::HWY_NAMESPACE {

// y[i] = convert<To>(x[i]); both may be one array of one type.
template <class From, class To> HWY_INLINE void convert_all(const From* x, To* y, int64_t n) {
#pragma GCC ivdep
  for (int64_t i = 0; i < n; ++i) y[i] = convert<To>(x[i]);
}

// A double without the digits that a float has not, the last of which says whether there were more: what is
// rounded to fewer still is rounded once, if it is a normal float.
HWY_INLINE uint64_t with_last_digit(uint64_t bits) {
  constexpr uint64_t kLost = (uint64_t{1} << 29) - 1;
  return (bits | ((bits & kLost) + kLost)) & ~kLost;
}
HWY_INLINE void convert_all(const double* x, bfloat16* y, int64_t n) {
  constexpr int64_t kChunk = 256;
  constexpr uint64_t kLeast = uint64_t{897} << 53;  // 2^-126 without its sign
  for (int64_t begin = 0; begin < n; begin += kChunk) {
    const int64_t end = std::min(begin + kChunk, n);
    float near[kChunk];
    int64_t subnormal = 0;
#pragma GCC ivdep
    for (int64_t i = begin; i < end; ++i) {
      const auto bits = __builtin_bit_cast(uint64_t, x[i]);
      subnormal += 2 * bits - 1 < kLeast - 1;
      near[i - begin] = static_cast<float>(__builtin_bit_cast(double, with_last_digit(bits)));
    }
    if (subnormal > 0) {
      for (int64_t i = begin; i < end; ++i) y[i] = convert<bfloat16>(x[i]);
    } else {
#pragma GCC ivdep
      for (int64_t i = begin; i < end; ++i) y[i] = convert<bfloat16>(near[i - begin]);
    }
  }
}

#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX2
// As many as a vector of floats has. NaN keeps its sign alone, as in types.h.
inline constexpr int64_t kHalvesAtOnce = HWY_MAX_BYTES / 4;
HWY_INLINE void convert_vector(const float16* x, float* y) {
  namespace hn = hwy::HWY_NAMESPACE;
  const hn::ScalableTag<float> d;
  const hn::Rebind<hwy::float16_t, decltype(d)> dh;
  const hn::Rebind<uint16_t, decltype(d)> bits;
  const auto halves = hn::LoadU(bits, reinterpret_cast<const uint16_t*>(x));
  hn::StoreU(hn::PromoteTo(d, hn::BitCast(dh, halves)), d, y);
}
template <class D, class V> HWY_INLINE void store_halves(D d, V v, float16* y) {
  namespace hn = hwy::HWY_NAMESPACE;
  const hn::Rebind<hwy::float16_t, decltype(d)> dh;
  const hn::Rebind<uint16_t, decltype(d)> bits;
  const auto nan = hn::CopySign(hn::Set(d, std::numeric_limits<float>::quiet_NaN()), v);
  const auto halves = hn::DemoteTo(dh, hn::IfThenElse(hn::IsNaN(v), nan, v));
  hn::StoreU(hn::BitCast(bits, halves), bits, reinterpret_cast<uint16_t*>(y));
}
HWY_INLINE void convert_vector(const float* x, float16* y) {
  const hwy::HWY_NAMESPACE::ScalableTag<float> d;
  store_halves(d, hwy::HWY_NAMESPACE::LoadU(d, x), y);
}
// By floats as with_last_digit makes them.
HWY_INLINE void convert_vector(const double* x, float16* y) {
  namespace hn = hwy::HWY_NAMESPACE;
  const hn::ScalableTag<float> d;
  const hn::ScalableTag<double> wide;
  const hn::ScalableTag<uint64_t> bits;
  const hn::Half<decltype(d)> half;
  const auto lost = hn::Set(bits, (uint64_t{1} << 29) - 1);
  const auto part = [&](const double* from) {
    const auto v = hn::BitCast(bits, hn::LoadU(wide, from));
    const auto digits = hn::Or(v, hn::Add(hn::And(v, lost), lost));
    return hn::DemoteTo(half, hn::BitCast(wide, hn::AndNot(lost, digits)));
  };
  store_halves(d, hn::Combine(d, part(x + hn::Lanes(wide)), part(x)), y);
}

template <class From, class To> HWY_INLINE void convert_halves(const From* x, To* y, int64_t n) {
  constexpr int64_t lanes = kHalvesAtOnce;
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) convert_vector(x + i, y + i);
  if (i == n) return;
  From from[lanes] = {};
  To to[lanes];
  std::copy_n(x + i, n - i, from);
  convert_vector(from, to);
  std::copy_n(to, n - i, y + i);
}
HWY_INLINE void convert_all(const float16* x, float* y, int64_t n) { convert_halves(x, y, n); }
HWY_INLINE void convert_all(const float* x, float16* y, int64_t n) { convert_halves(x, y, n); }
HWY_INLINE void convert_all(const double* x, float16* y, int64_t n) { convert_halves(x, y, n); }
#endif

}  // namespace tidu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
