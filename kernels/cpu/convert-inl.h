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
HWY_INLINE void convert_vector(const float* x, float16* y) {
  namespace hn = hwy::HWY_NAMESPACE;
  const hn::ScalableTag<float> d;
  const hn::Rebind<hwy::float16_t, decltype(d)> dh;
  const hn::Rebind<uint16_t, decltype(d)> bits;
  const auto v = hn::LoadU(d, x);
  const auto nan = hn::CopySign(hn::Set(d, std::numeric_limits<float>::quiet_NaN()), v);
  const auto halves = hn::DemoteTo(dh, hn::IfThenElse(hn::IsNaN(v), nan, v));
  hn::StoreU(hn::BitCast(bits, halves), bits, reinterpret_cast<uint16_t*>(y));
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
#endif

}  // namespace tidu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
