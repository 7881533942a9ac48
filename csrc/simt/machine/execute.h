// Runs a kernel: all blocks of a launch, one after another, on the calling thread.
#pragma once

#include "simt/machine/hooks.h"

namespace tidu::simt {

// cudaSuccess, or the error with which the kernel ended; its text is in last_report().
cudaError_t execute(const Launch& launch);

}  // namespace tidu::simt
