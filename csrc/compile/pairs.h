// Softmax and its relatives that read the same rows.
#pragma once

#include "program/program.h"

namespace tidu {

// The program with one call for each pair of calls on the cpu that take the exponentials of the same rows:
// cross-entropy and its gradient, log_softmax and softmax. None of a pair may depend on the other, but the
// gradient on which rows count. The results have the bits that they had. (Other devices launch small kernels
// together, and have no registers for both results of long rows.)
Program with_pairs(Program program);

}  // namespace tidu
