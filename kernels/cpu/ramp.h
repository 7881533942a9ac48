// Numbers in equal steps.
#pragma once

#include <cstdint>

namespace tidu::cpu {

// y[j] = start + (first + j) * step, rounded once.
void write_ramp(double start, double step, int64_t first, double* y, int64_t n);

}  // namespace tidu::cpu
