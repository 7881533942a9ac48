// What a function and its derivatives cost, counted on their programs.
#pragma once

#include <string>

#include "compile/count.h"
#include "core/trace.h"

namespace tidu {

struct NamedCost {
  std::string name;
  Cost cost;
  int64_t compiled_bytes;  // that the first call of the compiled function allocates
};

// Of `function(primals, others)` and its derivatives by the primals: of one floating-point element "f",
// "gradient", "hvp" and, with `matrix`, "hessian"; of other results "f", "jvp", "vjp" and "jacobian". Equal
// calls count once. The functions are recorded and not run: only what they create without an argument, or
// compute of tensors from outside alone, is computed.
std::vector<NamedCost> cost(const Function& function, const Tensors& primals, const Tensors& others = {},
                            bool matrix = true);

}  // namespace tidu
