// The optimisers' update steps, of gradients that are products.
#pragma once

#include <span>

#include "backend/backend.h"

namespace tidu::cpu {

// Whether an input of a call is a gradient of which `update` takes the factors.
bool takes_factors(const SpecCall& call, size_t input);

void update(const Call& call, std::span<const Factors> factors);

}  // namespace tidu::cpu
