// Filling new arrays, which are aligned to 16 bytes.
#pragma once

#include <cuda_runtime.h>

#include "kernels/types.h"

namespace tidu::cuda {

// Numbers as a tensor's elements are made of them: all double or all int64.
struct Number {
  bool real;
  union {
    int64_t integer;
    double floating;
  };
};

// y[i] = value, rounded once.
[[nodiscard]] cudaError_t full(cudaStream_t stream, Number value, DType dtype, void* y, int64_t count);

// y[i] = start + i step, in double or in wrapping 64-bit integers.
[[nodiscard]] cudaError_t arange(cudaStream_t stream, Number start, Number step, DType dtype, void* y,
                                 int64_t count);

}  // namespace tidu::cuda
