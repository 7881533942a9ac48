// Softmax and its relatives over contiguous rows.
#include "kernels/cpu/softmax.h"

#include "kernels/cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/softmax.cpp"
#include <hwy/foreach_target.h>
// Must come after foreach_target.h.
#include <hwy/highway.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/cpu/math-inl.h"
#include "kernels/cpu/tail-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tidu::cpu::HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;
namespace math = tidu::HWY_NAMESPACE::math;
using tidu::HWY_NAMESPACE::load_tail;
using tidu::HWY_NAMESPACE::store_tail;

template <class D> HWY_INLINE int64_t lanes_of(D d) { return static_cast<int64_t>(hn::Lanes(d)); }

// The largest element, NaN apart.
template <class D, class T> HWY_INLINE T row_max(D d, const T* x, int64_t n) {
  const int64_t lanes = lanes_of(d);
  auto largest = hn::Set(d, -math::infinity<T>);
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    const auto v = hn::LoadU(d, x + i);
    largest = hn::IfThenElse(hn::Gt(v, largest), v, largest);
  }
  if (i < n) {
    const auto v = load_tail(d, x + i, n - i, -math::infinity<T>);
    largest = hn::IfThenElse(hn::Gt(v, largest), v, largest);
  }
  return hn::GetLane(hn::MaxOfLanes(d, largest));
}

// Writes exp(x - shift) to y unless y is null and returns the sum.
template <bool store, class D, class T> HWY_INLINE T row_exp_sum(D d, const T* x, T shift, T* y, int64_t n) {
  const int64_t lanes = lanes_of(d);
  const auto offset = hn::Set(d, shift);
  auto sum = hn::Zero(d);
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    const auto e = math::exp_of_nonpositive(d, hn::Sub(hn::LoadU(d, x + i), offset));
    if (store) hn::StoreU(e, d, y + i);
    sum = hn::Add(sum, e);
  }
  if (i < n) {
    const auto e =
        math::exp_of_nonpositive(d, hn::Sub(load_tail(d, x + i, n - i, -math::infinity<T>), offset));
    if (store) store_tail(e, d, y + i, n - i);
    sum = hn::Add(sum, e);
  }
  return hn::GetLane(hn::SumOfLanes(d, sum));
}

// logsumexp(x) = shift + log_sum.
template <class T> struct LogSum {
  T shift;
  T log_sum;
};

// Of a row whose largest element is infinite.
template <class T> HWY_NOINLINE LogSum<T> infinite_log_sum(const T* x, T largest, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    if (x[i] != x[i]) return {0, x[i]};
  }
  return {0, largest};
}

template <class T> HWY_INLINE LogSum<T> row_log_sum(const T* x, int64_t n) {
  const hn::ScalableTag<T> d;
  const T largest = row_max(d, x, n);
  if (!std::isfinite(largest)) return infinite_log_sum(x, largest, n);
  return {largest, std::log(row_exp_sum<false, decltype(d), T>(d, x, largest, nullptr, n))};
}

template <class T> HWY_INLINE void scale_row(T* y, T factor, int64_t n) {
  for (int64_t i = 0; i < n; ++i) y[i] *= factor;
}

// Of a row whose largest element is infinite.
template <class T> HWY_NOINLINE void limit_row(const T* x, T* y, int64_t n) {
  const bool nan = std::any_of(x, x + n, [](T v) { return v != v; });
  const bool one = std::count(x, x + n, math::infinity<T>) == 1;
  std::transform(x, x + n, y, [=](T v) {
    const bool is_moved = v == math::infinity<T>;
    return nan || (is_moved && !one) ? math::quiet_nan<T> : is_moved ? T(1) : T(0);
  });
}

// exp(x - max) / sum * factor
template <bool limit, class T> HWY_INLINE void softmax_row(const T* x, T* y, T factor, int64_t n) {
  const hn::ScalableTag<T> d;
  const T largest = row_max(d, x, n);
  if (!std::isfinite(largest)) {
    if (limit) return limit_row(x, y, n);
    return static_cast<void>(std::fill_n(y, n, math::quiet_nan<T>));
  }
  scale_row(y, factor / row_exp_sum<true>(d, x, largest, y, n), n);
}

template <class T, bool limit> void softmax(const void* x, void* y, int64_t rows, int64_t n) {
  for (int64_t r = 0; r < rows; ++r)
    softmax_row<limit>(static_cast<const T*>(x) + r * n, static_cast<T*>(y) + r * n, T(1), n);
}

// softmax_row, and what row_log_sum gives, by the same exponentials.
template <class T> HWY_INLINE LogSum<T> softmax_row_and_log_sum(const T* x, T* y, T factor, int64_t n) {
  const hn::ScalableTag<T> d;
  const T largest = row_max(d, x, n);
  if (!std::isfinite(largest)) {
    std::fill_n(y, n, math::quiet_nan<T>);
    return infinite_log_sum(x, largest, n);
  }
  const T sum = row_exp_sum<true>(d, x, largest, y, n);
  scale_row(y, factor / sum, n);
  return {largest, std::log(sum)};
}

template <class T> HWY_INLINE void log_softmax_row(const T* x, T* y, LogSum<T> of_row, int64_t n) {
#pragma GCC ivdep
  for (int64_t i = 0; i < n; ++i) y[i] = (x[i] - of_row.shift) - of_row.log_sum;
}

template <class T> void log_softmax(const void* input, void* output, int64_t rows, int64_t n) {
  for (int64_t r = 0; r < rows; ++r) {
    const T* x = static_cast<const T*>(input) + r * n;
    log_softmax_row(x, static_cast<T*>(output) + r * n, row_log_sum(x, n), n);
  }
}

template <class T>
void log_softmax_with_softmax(const void* input, void* log_output, void* output, int64_t rows, int64_t n) {
  for (int64_t r = 0; r < rows; ++r) {
    const T* x = static_cast<const T*>(input) + r * n;
    const LogSum<T> of_row = softmax_row_and_log_sum(x, static_cast<T*>(output) + r * n, T(1), n);
    log_softmax_row(x, static_cast<T*>(log_output) + r * n, of_row, n);
  }
}

template <class T> void logsumexp(const void* x, void* y, int64_t rows, int64_t n) {
  for (int64_t r = 0; r < rows; ++r) {
    const auto [shift, log_sum] = row_log_sum(static_cast<const T*>(x) + r * n, n);
    static_cast<T*>(y)[r] = shift + log_sum;
  }
}

template <class T>
void cross_entropy(const void* input, const int64_t* labels, void* loss, int64_t rows, int64_t n) {
  for (int64_t r = 0; r < rows; ++r) {
    T& result = static_cast<T*>(loss)[r];
    result = 0;
    if (labels[r] < 0) continue;
    const T* x = static_cast<const T*>(input) + r * n;
    const auto [shift, log_sum] = row_log_sum(x, n);
    result = log_sum - (x[labels[r]] - shift);
  }
}

template <class T>
void cross_entropy_grad(const void* input, const int64_t* labels, const void* g, int64_t g_stride,
                        void* output, int64_t rows, int64_t n) {
  for (int64_t r = 0; r < rows; ++r) {
    T* y = static_cast<T*>(output) + r * n;
    const T factor = static_cast<const T*>(g)[r * g_stride];
    if (labels[r] < 0 || factor == 0) {
      std::fill_n(y, n, T(0));
      continue;
    }
    softmax_row<false>(static_cast<const T*>(input) + r * n, y, factor, n);
    y[labels[r]] -= factor;
  }
}

template <class T>
void cross_entropy_with_grad(const void* input, const int64_t* labels, const void* g, int64_t g_stride,
                             void* loss, void* output, int64_t rows, int64_t n) {
  for (int64_t r = 0; r < rows; ++r) {
    T& result = static_cast<T*>(loss)[r];
    T* y = static_cast<T*>(output) + r * n;
    const T factor = static_cast<const T*>(g)[r * g_stride];
    const int64_t label = labels[r];
    if (label < 0) {
      result = 0;
      std::fill_n(y, n, T(0));
      continue;
    }
    const T* x = static_cast<const T*>(input) + r * n;
    const auto [shift, log_sum] = softmax_row_and_log_sum(x, y, factor, n);
    result = log_sum - (x[label] - shift);
    if (factor == 0) {
      std::fill_n(y, n, T(0));
    } else {
      y[label] -= factor;
    }
  }
}

template <class T>
constexpr SoftmaxFunctions kFunctions = {softmax<T, false>,
                                         softmax<T, true>,
                                         log_softmax<T>,
                                         logsumexp<T>,
                                         cross_entropy<T>,
                                         cross_entropy_grad<T>,
                                         log_softmax_with_softmax<T>,
                                         cross_entropy_with_grad<T>};

SoftmaxFunctions find_softmax(DType dtype) {
  return dtype == DType::float64 ? kFunctions<double> : kFunctions<float>;
}

}  // namespace
}  // namespace tidu::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tidu::cpu {
namespace {
HWY_EXPORT(find_softmax);
}

SoftmaxFunctions softmax_functions(DType dtype) { return HWY_DYNAMIC_DISPATCH(find_softmax)(dtype); }

}  // namespace tidu::cpu
#endif
