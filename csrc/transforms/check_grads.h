// Checking derivatives against differences.
#pragma once

#include <optional>
#include <string>

#include "transforms/derivatives.h"

namespace tidu {

struct CheckGradsOptions {
  int order = 2;                         // of derivatives that are checked
  bool forward = true, reverse = true;   // the modes: jvp and vjp, in every mix
  std::optional<double> atol{}, rtol{};  // by default 1e-6, 2e-2 where a primal is not float64; see below
  std::optional<double> eps{};           // the step of differences: by default 1e-4, or 1e-2
  uint64_t seed = 0;                     // of the directions
  std::string name = "f";                // of the function, in the result
};

// Checks the derivatives of a function against differences, in random directions. Use float64: differences in
// float32 are good for two digits. Numbers above 1024 move by steps from eps alone to eps in proportion to
// their size, and each result is compared with the longest that agrees with shorter ones; how it is rounded
// adds to the tolerance. An atol that is not given is no more than 8 times how far differences of two lengths
// are apart, so that results of any size are compared; and a gradient's small elements are compared without
// the others, beside which they would tell nothing. Empty where they agree; else which derivative differs,
// and of its worst element (the one furthest beyond its tolerance) the index, both values and how many ulps
// lie between them.
std::string check_grads(const Function& function, const Tensors& primals,
                        const CheckGradsOptions& options = {});

}  // namespace tidu
