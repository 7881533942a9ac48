// Normalisation of contiguous rows.
#include "kernels/cpu/norm.h"

#include "kernels/cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/norm.cpp"
#include <hwy/foreach_target.h>
// Must come after foreach_target.h.
#include <hwy/highway.h>

#include <algorithm>

#include "kernels/norm.h"

HWY_BEFORE_NAMESPACE();
namespace tidu::cpu::HWY_NAMESPACE {
namespace {

// The sum of f(i), in a tree that is the same for vectors of any length.
template <class T, class F> HWY_INLINE T sum_over(int64_t n, const F& f) {
  constexpr int kLanes = 32;
  T lanes[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (int j = 0; j < kLanes; ++j) lanes[j] += f(i + j);
  }
  for (int j = 0; i < n; ++i, ++j) lanes[j] += f(i);
  for (int half = kLanes / 2; half > 0; half /= 2) {
    for (int j = 0; j < half; ++j) lanes[j] += lanes[j + half];
  }
  return lanes[0];
}

template <class T> HWY_INLINE RowNorm<T> norm_of(const NormWork& work, const T* x) {
  const int64_t n = work.n;
  const T count = static_cast<T>(n), eps = static_cast<T>(work.eps);
  for (RowNorm<T> row;;) {
    if (work.centred) row.mean = sum_over<T>(n, [&](int64_t i) { return x[i] * row.scale; }) / count;
    const T squares = sum_over<T>(n, [&](int64_t i) { return row.centred(x[i]) * row.centred(x[i]); });
    const T scale = row.scale == 1 ? RowNorm<T>::rescaled(row.mean, squares, eps) : T(1);
    if (scale == 1) {
      row.finish(squares, count, eps);
      return row;
    }
    row.scale = scale;
  }
}

template <class T> void norm(const NormWork& work, void* output) {
  const T* const weight = static_cast<const T*>(work.weight);
  const T* const bias = static_cast<const T*>(work.bias);
  const int64_t n = work.n;
  for (int64_t r = 0; r < work.rows; ++r) {
    const T* x = static_cast<const T*>(work.x) + r * n;
    T* y = static_cast<T*>(output) + r * n;
    const RowNorm<T> row = norm_of(work, x);
    if (bias) {
      for (int64_t i = 0; i < n; ++i) y[i] = row.normalised(x[i]) * weight[i] + bias[i];
    } else if (weight) {
      for (int64_t i = 0; i < n; ++i) y[i] = row.normalised(x[i]) * weight[i];
    } else {
      for (int64_t i = 0; i < n; ++i) y[i] = row.normalised(x[i]);
    }
  }
}

// With u(i), element i of the cotangent of the unweighted row.
template <class T, class U> HWY_INLINE void slope(const NormWork& work, const T* x, T* y, const U& u) {
  const int64_t n = work.n;
  const RowNorm<T> row = norm_of(work, x);
  const T count = static_cast<T>(n);
  const T mean = work.centred ? sum_over<T>(n, u) / count : T(0);
  const T along = sum_over<T>(n, [&](int64_t i) { return row.normalised(x[i]) * u(i); }) / count;
  for (int64_t i = 0; i < n; ++i) y[i] = row.slope() * ((u(i) - mean) - row.normalised(x[i]) * along);
}

template <class T> void grad(const NormWork& work, const void* cotangent, void* output) {
  const T* const weight = static_cast<const T*>(work.weight);
  const int64_t n = work.n;
  for (int64_t r = 0; r < work.rows; ++r) {
    const T *x = static_cast<const T*>(work.x) + r * n, *g = static_cast<const T*>(cotangent) + r * n;
    T* y = static_cast<T*>(output) + r * n;
    if (std::all_of(g, g + n, [](T value) { return value == 0; })) {
      std::fill_n(y, n, T(0));
    } else if (weight) {
      slope(work, x, y, [&](int64_t i) { return g[i] * weight[i]; });
    } else {
      slope(work, x, y, [&](int64_t i) { return g[i]; });
    }
  }
}

NormFunctions find_norm(DType dtype) {
  if (dtype == DType::float64) return {norm<double>, grad<double>};
  return {norm<float>, grad<float>};
}

}  // namespace
}  // namespace tidu::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tidu::cpu {
namespace {
HWY_EXPORT(find_norm);
}

NormFunctions norm_functions(DType dtype) { return HWY_DYNAMIC_DISPATCH(find_norm)(dtype); }

}  // namespace tidu::cpu
#endif
