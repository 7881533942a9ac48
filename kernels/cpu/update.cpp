// The fused update steps of the optimisers.
#include "kernels/cpu/update.h"

#include "kernels/cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/update.cpp"
#include <hwy/foreach_target.h>
// Must come after foreach_target.h.
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace tidu::cpu::HWY_NAMESPACE {
namespace {

template <class T>
void sgd(const SgdStep& s, void* parameters, void* buffer, const void* gradient, int64_t n) {
  T* HWY_RESTRICT p = static_cast<T*>(parameters);
  T* HWY_RESTRICT b = static_cast<T*>(buffer);
  const T* HWY_RESTRICT g = static_cast<const T*>(gradient);
  if (s.momentum == 0) {
    const SgdRule<T> rule(s);
    for (int64_t i = 0; i < n; ++i) rule(p[i], g[i]);
  } else {
    const MomentumRule<T> rule(s);
    for (int64_t i = 0; i < n; ++i) rule(p[i], b[i], g[i]);
  }
}

template <class T>
void adam(const AdamStep& s, void* parameters, void* first_moment, void* second_moment, const void* gradient,
          int64_t n) {
  T* HWY_RESTRICT p = static_cast<T*>(parameters);
  T* HWY_RESTRICT m = static_cast<T*>(first_moment);
  T* HWY_RESTRICT v = static_cast<T*>(second_moment);
  const T* HWY_RESTRICT g = static_cast<const T*>(gradient);
  const AdamRule<T> rule(s);
  for (int64_t i = 0; i < n; ++i) rule(p[i], m[i], v[i], g[i]);
}

template <class T>
void rmsprop(const RmspropStep& s, void* parameters, void* average, void* buffer, const void* gradient,
             int64_t n) {
  T* HWY_RESTRICT p = static_cast<T*>(parameters);
  T* HWY_RESTRICT v = static_cast<T*>(average);
  T* HWY_RESTRICT b = static_cast<T*>(buffer);
  const T* HWY_RESTRICT g = static_cast<const T*>(gradient);
  const RmspropRule<T> rule(s);
  if (s.momentum == 0) {
    for (int64_t i = 0; i < n; ++i) rule(p[i], v[i], g[i]);
  } else {
    for (int64_t i = 0; i < n; ++i) rule(p[i], v[i], b[i], g[i]);
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
