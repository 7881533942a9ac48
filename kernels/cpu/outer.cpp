// Outer products.
#include "kernels/cpu/outer.h"

#include "kernels/cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/outer.cpp"
#include <hwy/foreach_target.h>
// Must come after foreach_target.h.
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace tidu::cpu::HWY_NAMESPACE {
namespace {

template <class T>
void outer(const void* left, int64_t stride, const void* right, const void* onto, void* result,
           int64_t leading, int64_t rows, int64_t columns) {
  const T *a = static_cast<const T*>(left), *b = static_cast<const T*>(right);
  for (int64_t i = 0; i < rows; ++i) {
    const T factor = a[i * stride];
    T* const c = static_cast<T*>(result) + i * leading;
    if (onto) {
      const T* const before = static_cast<const T*>(onto) + i * leading;
#pragma GCC ivdep
      for (int64_t j = 0; j < columns; ++j) c[j] = before[j] + (factor * b[j] + T(0));
    } else {
#pragma GCC ivdep
      for (int64_t j = 0; j < columns; ++j) c[j] = factor * b[j] + T(0);
    }
  }
}

OuterFunction find_outer(DType dtype) { return dtype == DType::float64 ? outer<double> : outer<float>; }

}  // namespace
}  // namespace tidu::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tidu::cpu {
namespace {
HWY_EXPORT(find_outer);
}

OuterFunction outer_function(DType dtype) { return HWY_DYNAMIC_DISPATCH(find_outer)(dtype); }

}  // namespace tidu::cpu
#endif
