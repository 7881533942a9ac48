// The fused update steps of the optimisers.
#include "kernels/cpu/update.h"

#include "kernels/cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/update.cpp"
#include <hwy/foreach_target.h>
// Must come after foreach_target.h.
#include <hwy/highway.h>

#include <algorithm>
#include <cmath>

HWY_BEFORE_NAMESPACE();
namespace tidu::cpu::HWY_NAMESPACE {
namespace {

template <class T, bool nesterov>
HWY_INLINE void sgd_loop(T lr, T momentum, T weight_decay, T* HWY_RESTRICT p, T* HWY_RESTRICT b,
                         const T* HWY_RESTRICT g, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    const T slope = g[i] + weight_decay * p[i];
    b[i] = momentum * b[i] + slope;
    p[i] -= lr * (nesterov ? slope + momentum * b[i] : b[i]);
  }
}

template <class T>
void sgd(const SgdStep& s, void* parameters, void* buffer, const void* gradient, int64_t n) {
  T* HWY_RESTRICT p = static_cast<T*>(parameters);
  T* HWY_RESTRICT b = static_cast<T*>(buffer);
  const T* HWY_RESTRICT g = static_cast<const T*>(gradient);
  const T lr = static_cast<T>(s.lr), momentum = static_cast<T>(s.momentum),
          decay = static_cast<T>(s.weight_decay);
  if (s.momentum == 0) {
    for (int64_t i = 0; i < n; ++i) p[i] -= lr * (g[i] + decay * p[i]);
    return;
  }
  // What the buffer holds before the first step may be anything, even NaN.
  if (s.first) std::fill_n(b, n, T(0));
  (s.nesterov ? sgd_loop<T, true> : sgd_loop<T, false>)(lr, momentum, decay, p, b, g, n);
}

template <class T>
void adam(const AdamStep& s, void* parameters, void* first_moment, void* second_moment, const void* gradient,
          int64_t n) {
  T* HWY_RESTRICT p = static_cast<T*>(parameters);
  T* HWY_RESTRICT m = static_cast<T*>(first_moment);
  T* HWY_RESTRICT v = static_cast<T*>(second_moment);
  const T* HWY_RESTRICT g = static_cast<const T*>(gradient);
  const T beta1 = static_cast<T>(s.beta1), beta2 = static_cast<T>(s.beta2), eps = static_cast<T>(s.eps);
  const T rest1 = static_cast<T>(1 - s.beta1), rest2 = static_cast<T>(1 - s.beta2);
  const T coupled = static_cast<T>(s.decoupled ? 0 : s.weight_decay);
  const T shrink = static_cast<T>(s.decoupled ? 1 - s.lr * s.weight_decay : 1);
  const double count = static_cast<double>(s.step);
  const T rate = static_cast<T>(s.lr / (1 - std::pow(s.beta1, count)));
  const T root = static_cast<T>(1 / std::sqrt(1 - std::pow(s.beta2, count)));
  for (int64_t i = 0; i < n; ++i) {
    const T slope = g[i] + coupled * p[i];
    m[i] = beta1 * m[i] + rest1 * slope;
    v[i] = beta2 * v[i] + rest2 * slope * slope;
    p[i] = shrink * p[i] - rate * m[i] / (std::sqrt(v[i]) * root + eps);
  }
}

template <class T>
void rmsprop(const RmspropStep& s, void* parameters, void* average, void* buffer, const void* gradient,
             int64_t n) {
  T* HWY_RESTRICT p = static_cast<T*>(parameters);
  T* HWY_RESTRICT v = static_cast<T*>(average);
  T* HWY_RESTRICT b = static_cast<T*>(buffer);
  const T* HWY_RESTRICT g = static_cast<const T*>(gradient);
  const T lr = static_cast<T>(s.lr), alpha = static_cast<T>(s.alpha), rest = static_cast<T>(1 - s.alpha);
  const T eps = static_cast<T>(s.eps), decay = static_cast<T>(s.weight_decay),
          momentum = static_cast<T>(s.momentum);
  if (s.momentum == 0) {
    for (int64_t i = 0; i < n; ++i) {
      const T slope = g[i] + decay * p[i];
      v[i] = alpha * v[i] + rest * slope * slope;
      p[i] -= lr * (slope / (std::sqrt(v[i]) + eps));
    }
    return;
  }
  for (int64_t i = 0; i < n; ++i) {
    const T slope = g[i] + decay * p[i];
    v[i] = alpha * v[i] + rest * slope * slope;
    b[i] = momentum * b[i] + slope / (std::sqrt(v[i]) + eps);
    p[i] -= lr * b[i];
  }
}

template <class T> constexpr UpdateFunctions kFunctions = {sgd<T>, adam<T>, rmsprop<T>};

UpdateFunctions find_update(DType dtype) {
  return dtype == DType::float64 ? kFunctions<double> : kFunctions<float>;
}

}  // namespace
}  // namespace tidu::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tidu::cpu {
namespace {
HWY_EXPORT(find_update);
}

UpdateFunctions update_functions(DType dtype) { return HWY_DYNAMIC_DISPATCH(find_update)(dtype); }

}  // namespace tidu::cpu
#endif
