// The fused update steps of the optimisers: all parameters in one launch.
#pragma once

#include <cuda_runtime.h>

#include <span>

#include "kernels/update.h"

namespace tidu::cuda {

// A parameter with what belongs to it: contiguous arrays, in place, the gradient last.
inline constexpr int kMaxUpdateArrays = 4;
struct UpdateArrays {
  void* data[kMaxUpdateArrays];
  int64_t count;                    // elements of each
  const ClockRow* clock = nullptr;  // on the device: what stands for that of the step; for all or none
};

// For parameters of one floating-point dtype. Those of 16 bits are stepped in float, as what is beside p and
// g is kept. The arrays of each: p, b, g (without momentum p, g).
[[nodiscard]] cudaError_t update(cudaStream_t stream, const SgdStep& step, DType dtype,
                                 std::span<const UpdateArrays> parameters);
// p, m, v, g.
[[nodiscard]] cudaError_t update(cudaStream_t stream, const AdamStep& step, DType dtype,
                                 std::span<const UpdateArrays> parameters);
// p, v, b, g (without momentum p, v, g).
[[nodiscard]] cudaError_t update(cudaStream_t stream, const RmspropStep& step, DType dtype,
                                 std::span<const UpdateArrays> parameters);

}  // namespace tidu::cuda
