// Conversion of contiguous elements between all dtypes.
#pragma once

#include "kernels/cpu/elementwise.h"
#include "kernels/types.h"

namespace tidu::cpu {

// A tile function of one input. To bool: x != 0. Float to integer: towards zero, values beyond the range to
// its ends, NaN to 0. Integer to integer: modulo 2^width. To a float: rounded once, to nearest even.
TileFunction cast_function(DType from, DType to);

}  // namespace tidu::cpu
