// Whether a function's results depend on its arguments by derivatives, and what cuts the path if not.
#pragma once

#include <string>

#include "core/trace.h"

namespace tidu {

// `function`, but a GradientError, in the name of `op`, where no path of derivatives leads from a result to
// an argument: its gradient would be zero whatever its value is. The error names the first operation that cut
// the path (argmax, round, a conversion to integers ..) and the line that `where` gave when it was called.
Function require_paths(Function function, std::string op, std::function<std::string()> where = {});

}  // namespace tidu
