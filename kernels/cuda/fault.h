// What a kernel writes of a value that it cannot use, such as an index out of range, and the host reads when
// it next waits for the device.
#pragma once

#include <cstdint>

#include "kernels/matrix_fault.h"

namespace tidu::cuda {

// One for each device, in memory that both sides see.
struct Fault {
  unsigned long long launch;  // the number of the call; 0: none so far
  int64_t position;           // of the value among its tensor's elements, row-major
  int64_t value;
  int64_t bound;  // good values are below it
  int axis;       // that the value indexes; -1: none
  // Not none: matrix `position` of a batch has this fault, at row or minor `value`.
  MatrixFault matrix;
};

// A kernel is given it by value (Context::fault_record()) and calls report_fault (kernels/cuda/fault.cuh).
struct FaultRecord {
  Fault* fault = nullptr;
  unsigned long long launch = 0;
};

}  // namespace tidu::cuda
