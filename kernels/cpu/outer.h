// Outer products of float32 or float64.
#pragma once

#include <cstdint>

#include "kernels/types.h"

namespace tidu::cpu {

// c[i, j] = a[i * stride] * b[j] + 0, the sum of one product; rows of c are `leading` elements apart. Where
// there are values to add it to, which lie as c does and may be c, their sums.
using OuterFunction = void (*)(const void* a, int64_t stride, const void* b, const void* onto, void* c,
                               int64_t leading, int64_t rows, int64_t columns);
OuterFunction outer_function(DType dtype);

}  // namespace tidu::cpu
