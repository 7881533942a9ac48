// Reporting a value that a kernel cannot use.
#pragma once

#include "kernels/cuda/fault.h"
#include "kernels/cuda/portable.h"

namespace tidu::cuda {

// Keeps the first fault; the kernel then goes on with a value that is safe.
__device__ inline void report_fault(const FaultRecord& record, int64_t position, int64_t value, int64_t bound,
                                    int axis = -1) {
  if (atomicCAS(&record.fault->launch, 0ull, record.launch) != 0) return;
  record.fault->position = position;
  record.fault->value = value;
  record.fault->bound = bound;
  record.fault->axis = axis;
}

}  // namespace tidu::cuda
