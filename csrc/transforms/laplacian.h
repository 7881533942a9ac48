// Sums of second and fourth derivatives over directions, by Taylor mode in which the sum is taken inside: the
// highest coefficient of a series passes through a function linearly, so the sum of it over all directions
// passes as one tensor (Dangel et al., "Collapsing Taylor Mode Automatic Differentiation", 2025).
#pragma once

#include <optional>

#include "transforms/derivatives.h"

namespace tidu {

// Over random directions in place of all: the mean over so many draws of a standard normal distribution,
// which is right on average.
struct Draws {
  int64_t samples;
  Tensor key;
};

// The sum of the second derivatives of each element of each output by each element of `x`, in the shapes of
// the outputs. `chunk`: how many directions at once (as many as fit into kMemoryForLanes).
Tensors laplacian(const Function& function, const Tensor& x, const std::optional<Draws>& draws = {},
                  std::optional<int64_t> chunk = {});
// The Laplacian of the Laplacian, from n^2 directions for n elements.
Tensors biharmonic(const Function& function, const Tensor& x, const std::optional<Draws>& draws = {},
                   std::optional<int64_t> chunk = {});

}  // namespace tidu
