// Programs that do less for the same results.
#pragma once

#include "compile/outline.h"

namespace tidu {

// The same function by views and kernels alone, and branches and loops that a value decides. Calls that are
// evaluated in terms of ops are those, functions with rules of their own are what they compute, equal calls
// are made once, views that show the same are one, and so are copies that lie alike; what changes no bit
// (factors that are 1, two signs) is left out, and so is what no output makes use of. The result can be run,
// but knows no longer how it is differentiated.
enum class Loops : bool {
  unrolled,  // so that all that is computed can be counted
  kept       // and what is to be computed again, as by checkpoint, is
};
// With `folds`, what depends on constants alone that cannot be written to is computed here and becomes a
// constant: at most 1 MiB at once and 16 MiB in all, where views, such as broadcasts, stay views.
Program simplify(const Program& program, Loops loops = Loops::unrolled, Layouts layouts = {},
                 bool folds = false);

}  // namespace tidu
