// Elementwise calls in the order of axes in which their results are given back.
#pragma once

#include "compile/outline.h"

namespace tidu {

// The program where elementwise values, nothing of which is read but with the axes permuted, as a result, are
// computed in that order, so that they are not copied to it: where less lies across then, among what they
// read and the result.
Program with_results_turned(Program program, Layouts layouts);

}  // namespace tidu
