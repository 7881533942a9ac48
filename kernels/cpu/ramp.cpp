// Numbers in equal steps.
#include "kernels/cpu/ramp.h"

#include "kernels/cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/ramp.cpp"
#include <hwy/foreach_target.h>
// Must come after foreach_target.h.
#include <hwy/highway.h>

#include <cmath>

HWY_BEFORE_NAMESPACE();
namespace tidu::cpu::HWY_NAMESPACE {
namespace {

// A call for each element where the instruction set has no fused multiply-add.
void ramp(double start, double step, int64_t first, double* y, int64_t n) {
  for (int64_t j = 0; j < n; ++j) y[j] = std::fma(static_cast<double>(first + j), step, start);
}

}  // namespace
}  // namespace tidu::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tidu::cpu {
namespace {
HWY_EXPORT(ramp);
}

void write_ramp(double start, double step, int64_t first, double* y, int64_t n) {
  HWY_DYNAMIC_DISPATCH(ramp)(start, step, first, y, n);
}

}  // namespace tidu::cpu
#endif
