// The tile functions of the elementwise operations.
#pragma once

#include <string_view>

#include "kernels/cpu/elementwise.h"
#include "kernels/types.h"

namespace tidu::cpu {

// The tile function of a row of ops/elementwise.def for inputs of a dtype (of the branches, for `where`), on
// the best instruction set of this machine; nullptr if there is no such row or it does not compute in that
// dtype.
TileFunction tile_function(std::string_view name, DType dtype);

}  // namespace tidu::cpu
