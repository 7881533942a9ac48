// Copies between layouts.
#pragma once

#include "kernels/cuda/loop.h"

namespace tidu::cuda {

// Copies elements of `size` bytes (1, 2, 4 or 8) from operand 0 to operand 1, which share no memory.
[[nodiscard]] cudaError_t copy(cudaStream_t stream, size_t size, const Loop& loop);

}  // namespace tidu::cuda
