// Outer products of float32 or float64.
#pragma once

#include <cstdint>

#include "kernels/types.h"

namespace tidu::cpu {

// c[i, j] = a[i * stride] * b[j] + 0, the sum of one product; rows of c are `leading` elements apart.
using OuterFunction = void (*)(const void* a, int64_t stride, const void* b, void* c, int64_t leading,
                               int64_t rows, int64_t columns);
OuterFunction outer_function(DType dtype);

}  // namespace tidu::cpu
