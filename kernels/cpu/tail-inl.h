// The last elements of an array, fewer than a vector has, as a vector.
#include <cstdint>

#if defined(TIDU_KERNELS_CPU_TAIL_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef TIDU_KERNELS_CPU_TAIL_INL_H_
#undef TIDU_KERNELS_CPU_TAIL_INL_H_
#else
#define TIDU_KERNELS_CPU_TAIL_INL_H_
#endif

#include <hwy/highway.h>

#include <cstring>

// Through memory where masked loads may touch what lies behind the array. AVX2's do not for elements of 4 and
// 8 bytes, the only ones that come here; and a vector that is loaded from what was just stored element by
// element waits for all of the stores.
#define TIDU_TAIL_THROUGH_MEMORY (HWY_MEM_OPS_MIGHT_FAULT && HWY_TARGET != HWY_AVX2)

HWY_BEFORE_NAMESPACE();
namespace tidu::HWY_NAMESPACE {

// The first n elements at x, in the other lanes `otherwise`.
template <class D, class T = hwy::HWY_NAMESPACE::TFromD<D>>
HWY_INLINE hwy::HWY_NAMESPACE::Vec<D> load_tail(D d, const T* x, int64_t n, T otherwise) {
  namespace hn = hwy::HWY_NAMESPACE;
  static_assert(sizeof(T) >= 4);
#if TIDU_TAIL_THROUGH_MEMORY
  HWY_ALIGN T padded[hn::MaxLanes(d)];
  hn::Store(hn::Set(d, otherwise), d, padded);
  std::memcpy(padded, x, static_cast<size_t>(n) * sizeof(T));
  return hn::Load(d, padded);
#else
  const auto mask = hn::FirstN(d, static_cast<size_t>(n));
  return hn::IfThenElse(mask, hn::MaskedLoad(mask, d, x), hn::Set(d, otherwise));
#endif
}

// The first n lanes to y.
template <class D, class T = hwy::HWY_NAMESPACE::TFromD<D>>
HWY_INLINE void store_tail(hwy::HWY_NAMESPACE::Vec<D> v, D d, T* y, int64_t n) {
  namespace hn = hwy::HWY_NAMESPACE;
#if TIDU_TAIL_THROUGH_MEMORY
  HWY_ALIGN T padded[hn::MaxLanes(d)];
  hn::Store(v, d, padded);
  std::memcpy(y, padded, static_cast<size_t>(n) * sizeof(T));
#else
  hn::BlendedStore(v, hn::FirstN(d, static_cast<size_t>(n)), d, y);
#endif
}

}  // namespace tidu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#undef TIDU_TAIL_THROUGH_MEMORY
#endif  // per-target include guard
