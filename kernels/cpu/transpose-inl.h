// Squares of as many vectors as each has lanes: turned, or summed up each.
#if defined(TIDU_KERNELS_CPU_TRANSPOSE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef TIDU_KERNELS_CPU_TRANSPOSE_INL_H_
#undef TIDU_KERNELS_CPU_TRANSPOSE_INL_H_
#else
#define TIDU_KERNELS_CPU_TRANSPOSE_INL_H_
#endif

#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace tidu::HWY_NAMESPACE {

// Of two vectors `apart` from each other: groups of so many lanes of an odd number from the first change
// places with the groups before them of the second. Lanes have 4 or 8 bytes.
template <int apart, class D, class V = hwy::HWY_NAMESPACE::Vec<D>>
HWY_INLINE void exchange(D d, V& first, V& second) {
#if HWY_TARGET != HWY_SCALAR
  namespace hn = hwy::HWY_NAMESPACE;
  using T = hn::TFromD<D>;
  constexpr int kBlock = 16 / sizeof(T), kAll = hn::MaxLanes(d);
  const V a = first, b = second;
  if constexpr (apart == 2 * kBlock || (apart == kBlock && kAll == 2 * kBlock)) {
    first = hn::ConcatLowerLower(d, b, a), second = hn::ConcatUpperUpper(d, b, a);
  } else if constexpr (apart == kBlock) {
    first = hn::OddEvenBlocks(hn::SwapAdjacentBlocks(b), a);
    second = hn::OddEvenBlocks(b, hn::SwapAdjacentBlocks(a));
  } else if constexpr (2 * apart == kBlock) {
    const hn::Repartition<double, D> halves;
    const auto x = hn::BitCast(halves, a), y = hn::BitCast(halves, b);
    first = hn::BitCast(d, hn::InterleaveLower(halves, x, y));
    second = hn::BitCast(d, hn::InterleaveUpper(halves, x, y));
  } else {
    first = hn::OddEven(hn::DupEven(b), a), second = hn::OddEven(b, hn::DupOdd(a));
  }
#endif
}

// Columns become rows: halves of them all are exchanged, then of each half ..
template <int apart, class D, int n>
HWY_INLINE void transpose_by(D d, hwy::HWY_NAMESPACE::Vec<D> (&square)[n]) {
#pragma GCC unroll 16
  for (int i = 0; i < n; ++i) {
    if ((i & apart) == 0) exchange<apart>(d, square[i], square[i + apart]);
  }
  if constexpr (apart > 1) transpose_by<apart / 2>(d, square);
}
template <class D, int n> HWY_INLINE void transpose(D d, hwy::HWY_NAMESPACE::Vec<D> (&square)[n]) {
  if constexpr (n > 1) transpose_by<n / 2>(d, square);
}

// The sum of the lanes of each of n vectors, which have n lanes, in its place: by halves, each in the same
// order.
template <class D, int n> HWY_INLINE auto sum_each(D d, const hwy::HWY_NAMESPACE::Vec<D> (&vectors)[n]) {
  namespace hn = hwy::HWY_NAMESPACE;
  if constexpr (n == 1) {
    return vectors[0];
  } else {
    hn::Vec<D> sums[n / 2];
#pragma GCC unroll 16
    for (int i = 0; i < n / 2; ++i) {
      hn::Vec<D> first = vectors[i], second = vectors[i + n / 2];
      exchange<n / 2>(d, first, second);
      sums[i] = hn::Add(first, second);
    }
    return sum_each(d, sums);
  }
}

}  // namespace tidu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
