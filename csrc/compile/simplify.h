// Programs that do less for the same results.
#pragma once

#include "core/program.h"

namespace tidu {

// The same function of row-major arguments by views and kernels alone, and branches and loops that a value
// decides. Calls that are evaluated in terms of ops are those, functions with rules of their own are what
// they compute, equal calls are made once, views that show the same are one, factors that are 1 are left out,
// and so is what no output makes use of. The result can be run, but knows no longer how it is differentiated.
Program simplify(const Program& program);

}  // namespace tidu
