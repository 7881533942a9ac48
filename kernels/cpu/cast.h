// Conversion of contiguous elements between all dtypes.
#pragma once

#include <cstdint>

#include "kernels/types.h"

namespace tidu::cpu {

// Converts n elements; the arrays must not overlap. To bool: x != 0. Float to integer: towards zero, values
// beyond the range to its ends, NaN to 0. Integer to integer: modulo 2^width. To a float: rounded once, to
// nearest even.
using CastFunction = void (*)(const void* input, void* output, int64_t n);

CastFunction cast_function(DType from, DType to);

}  // namespace tidu::cpu
