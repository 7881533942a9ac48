// Values that are made again, so that they need not be kept.
#pragma once

#include "compile/memory.h"

namespace tidu {

struct MadeAgain {
  Program program;
  std::vector<bool> again;  // of its variables, as of Fusing
};

// The program with a lower peak, if there may be one: values that are in memory at the peak, and read by one
// unit after it or by the loop that runs then, are made again there. That is for what cheap elementwise calls
// make of what is in memory then anyway. `again`: what was made so before.
std::optional<MadeAgain> with_values_made_again(const Program& program, const std::vector<bool>& again,
                                                const Tensors& values, const std::vector<Unit>& units,
                                                const MemoryPlan& plan);

}  // namespace tidu
