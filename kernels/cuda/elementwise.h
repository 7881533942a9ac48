// The operations of csrc/ops/elementwise.def.
#pragma once

#include "kernels/cuda/loop.h"

namespace tidu::cuda {

// Row `row` of the table for inputs of a dtype (of the branches, for `where`); nullptr where the row does not
// compute in it.
LoopFunction elementwise_function(int row, DType dtype);

// Its part for one C++ type: each is compiled by itself.
template <class T> LoopFunction row_function(int row);

}  // namespace tidu::cuda
