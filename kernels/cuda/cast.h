// Conversion between dtypes.
#pragma once

#include "kernels/cuda/loop.h"

namespace tidu::cuda {

// Between two different dtypes.
LoopFunction cast_function(DType from, DType to);

// Its part for one C++ type.
template <class From> LoopFunction cast_function_from(DType to);

}  // namespace tidu::cuda
