// Softmax and its relatives over contiguous rows, or down columns.
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

constexpr int64_t kSideBySide = 64;  // columns

// Sums are of blocks of rows, so that few additions follow each other.
template <class T>
void softmax_of_columns(const T* x, T* log_y, T* y, bool limit, int64_t n, int64_t stride, int64_t columns) {
  constexpr int64_t kBlock = 64;
  const hn::ScalableTag<T> d;
  using V = hn::Vec<decltype(d)>;
  const int64_t lanes = lanes_of(d);
  const V one = hn::Set(d, T(1)), infinite = hn::Set(d, math::infinity<T>),
          nan = hn::Set(d, math::quiet_nan<T>);
  HWY_ALIGN T largest[kSideBySide], sums[kSideBySide], part[kSideBySide];
  const auto load = [&](const T* row, int64_t j) {
    return j + lanes <= columns ? hn::LoadU(d, row + j) : load_tail(d, row + j, columns - j, T(0));
  };
  const auto store = [&](V value, T* row, int64_t j) {
    j + lanes <= columns ? hn::StoreU(value, d, row + j) : store_tail(value, d, row + j, columns - j);
  };
  const auto is_finite = [&](int64_t j) { return hn::Lt(hn::Abs(hn::Load(d, largest + j)), infinite); };
  const auto shift = [&](int64_t j) { return hn::IfThenElseZero(is_finite(j), hn::Load(d, largest + j)); };
  std::fill_n(largest, kSideBySide, -math::infinity<T>);
  std::fill_n(sums, kSideBySide, T(0));
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t j = 0; j < columns; j += lanes) {
      const V value = load(x + i * stride, j), before = hn::Load(d, largest + j);
      hn::Store(hn::IfThenElse(hn::Gt(value, before), value, before), d, largest + j);
    }
  }
  const bool is_regular = std::all_of(largest, largest + columns, [](T v) { return std::isfinite(v); });
  // Where the largest is infinite, whether an element is.
  const auto add = [&](auto regular) {
    for (int64_t begin = 0; begin < n; begin += kBlock) {
      std::fill_n(part, kSideBySide, T(0));
      for (int64_t i = begin; i < std::min(begin + kBlock, n); ++i) {
        for (int64_t j = 0; j < columns; j += lanes) {
          const V value = load(x + i * stride, j);
          V e;
          if constexpr (regular) {
            e = math::exp_of_nonpositive(d, hn::Sub(value, hn::Load(d, largest + j)));
          } else {
            const V moved = hn::IfThenElseZero(hn::Eq(value, infinite), one);
            e = hn::IfThenElse(is_finite(j), math::exp_of_nonpositive(d, hn::Sub(value, shift(j))),
                               hn::IfThenElse(hn::IsNaN(value), value, moved));
          }
          if (y) store(e, y + i * stride, j);
          hn::Store(hn::Add(hn::Load(d, part + j), e), d, part + j);
        }
      }
      for (int64_t j = 0; j < columns; ++j) sums[j] += part[j];
    }
  };
  is_regular ? add(std::true_type()) : add(std::false_type());
  if (log_y) {
    for (int64_t j = 0; j < columns; j += lanes) {
      const V sum = hn::Load(d, sums + j), most = hn::Load(d, largest + j);
      const V log_sum =
          hn::IfThenElse(is_finite(j), math::log(d, sum), hn::IfThenElse(hn::IsNaN(sum), sum, most));
      hn::Store(log_sum, d, part + j);
    }
    for (int64_t i = 0; i < n; ++i) {
      for (int64_t j = 0; j < columns; j += lanes)
        store(hn::Sub(hn::Sub(load(x + i * stride, j), shift(j)), hn::Load(d, part + j)), log_y + i * stride,
              j);
    }
  }
  if (!y) return;
  // Where several elements of a column are infinite, the limit of each is NaN.
  for (int64_t j = 0; j < columns; j += lanes) {
    const V sum = hn::Load(d, sums + j), otherwise = limit ? hn::IfThenElse(hn::IsNaN(sum), sum, one) : nan;
    hn::Store(hn::IfThenElse(is_finite(j), hn::Div(one, sum), otherwise), d, part + j);
  }
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t j = 0; j < columns; j += lanes) {
      const V e = load(y + i * stride, j);
      V value = hn::Mul(e, hn::Load(d, part + j));
      if (!is_regular) {
        const auto is_shared = hn::AndNot(is_finite(j), hn::Gt(hn::Load(d, sums + j), one));
        value = hn::IfThenElse(hn::And(is_shared, hn::Eq(e, one)), nan, value);
      }
      store(value, y + i * stride, j);
    }
  }
}

template <class T>
void softmax_columns(const void* input, void* log_output, void* output, bool limit, int64_t n, int64_t stride,
                     int64_t columns) {
  const auto at = [](void* to, int64_t column) { return to ? static_cast<T*>(to) + column : nullptr; };
  for (int64_t j = 0; j < columns; j += kSideBySide)
    softmax_of_columns(static_cast<const T*>(input) + j, at(log_output, j), at(output, j), limit, n, stride,
                       std::min(kSideBySide, columns - j));
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
                                         cross_entropy_with_grad<T>,
                                         softmax_columns<T>};

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
