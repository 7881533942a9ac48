// Calls that are given products: the optimisers' update steps, of gradients, and sums.
#pragma once

#include <span>

#include "backend/backend.h"
#include "backend/cpu/workspace.h"

namespace tidu::cpu {

// Whether `run_with_factors` takes the factors of an input of a call, which is a gradient or is added to what
// there is.
bool takes_factors(const SpecCall& call, size_t input);

void run_with_factors(const Call& call, std::span<const Factors> factors, Workspace& workspace);

}  // namespace tidu::cpu
