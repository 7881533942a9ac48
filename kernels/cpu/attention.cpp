// What attention does with rows of scores.
#include "kernels/cpu/attention.h"

#include "kernels/cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/attention.cpp"
#include <hwy/foreach_target.h>
// Must come after foreach_target.h.
#include <hwy/highway.h>

#include "kernels/cpu/math-inl.h"
#include "kernels/cpu/tail-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tidu::cpu::HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;
namespace math = tidu::HWY_NAMESPACE::math;
using tidu::HWY_NAMESPACE::load_tail;
using tidu::HWY_NAMESPACE::store_tail;

// Whole vectors of a row of n, then what is left of it.
template <class D, class Whole, class Tail>
HWY_INLINE void over_row(D d, int64_t n, const Whole& whole, const Tail& tail) {
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) whole(i);
  if (i < n) tail(i);
}

template <class T> T largest(const T* s, int64_t n) {
  const hn::ScalableTag<T> d;
  auto most = hn::Set(d, -math::infinity<T>);
  const auto take = [&](auto v) { most = hn::IfThenElse(hn::Gt(v, most), v, most); };
  over_row(
      d, n, [&](int64_t i) { take(hn::LoadU(d, s + i)); },
      [&](int64_t i) { take(load_tail(d, s + i, n - i, -math::infinity<T>)); });
  return hn::GetLane(hn::MaxOfLanes(d, most));
}

template <class T> T scaled(T* s, int64_t n, T scale) {
  const hn::ScalableTag<T> d;
  const auto factor = hn::Set(d, scale);
  auto most = hn::Set(d, -math::infinity<T>);
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    const auto v = hn::Mul(hn::LoadU(d, s + i), factor);
    hn::StoreU(v, d, s + i);
    most = hn::IfThenElse(hn::Gt(v, most), v, most);
  }
  T result = hn::GetLane(hn::MaxOfLanes(d, most));
  for (; i < n; ++i) {
    s[i] *= scale;
    if (s[i] > result) result = s[i];
  }
  return result;
}

template <class T> T exp_sum(T* s, int64_t n, T shift) {
  const hn::ScalableTag<T> d;
  const auto offset = hn::Set(d, shift);
  auto sum = hn::Zero(d);
  over_row(
      d, n,
      [&](int64_t i) {
        const auto e = math::exp_of_nonpositive(d, hn::Sub(hn::LoadU(d, s + i), offset));
        hn::StoreU(e, d, s + i);
        sum = hn::Add(sum, e);
      },
      [&](int64_t i) {
        const auto x = load_tail(d, s + i, n - i, -math::infinity<T>);
        const auto e = math::exp_of_nonpositive(d, hn::Sub(x, offset));
        store_tail(e, d, s + i, n - i);
        sum = hn::Add(sum, e);
      });
  return hn::GetLane(hn::SumOfLanes(d, sum));
}

template <class T> void slope(const T* p, T* slope, int64_t n, T delta, T scale) {
  for (int64_t i = 0; i < n; ++i) {
    const T value = p[i] * (slope[i] - delta) * scale;
    slope[i] = p[i] == 0 ? T(0) : value;
  }
}

AttentionFunctions<float> find_float() {
  return {scaled<float>, largest<float>, exp_sum<float>, slope<float>};
}
AttentionFunctions<double> find_double() {
  return {scaled<double>, largest<double>, exp_sum<double>, slope<double>};
}

}  // namespace
}  // namespace tidu::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tidu::cpu {
namespace {
HWY_EXPORT(find_float);
HWY_EXPORT(find_double);
}  // namespace

template <> AttentionFunctions<float> attention_functions() { return HWY_DYNAMIC_DISPATCH(find_float)(); }
template <> AttentionFunctions<double> attention_functions() { return HWY_DYNAMIC_DISPATCH(find_double)(); }

}  // namespace tidu::cpu
#endif
