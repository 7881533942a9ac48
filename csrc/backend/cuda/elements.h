// What operations that treat one element after another share.
#pragma once

#include "backend/cuda/context.h"
#include "backend/cuda/loops.h"
#include "backend/cuda/try.h"

namespace tidu::cuda {

// Calls launch(loop) for each loop until one fails.
template <class Launch> cudaError_t for_each(const Loops& loops, const Launch& launch) {
  for (int64_t i = 0; i < loops.size(); ++i) TIDU_TRY(launch(loops[i]));
  return cudaSuccess;
}

// Copies between views of one shape and element size, which share no memory.
cudaError_t copy_view(cudaStream_t stream, const Shape& shape, const StridedMemory& from,
                      const StridedMemory& to);

// Puts a row-major copy, in memory of the call, in the place of a tensor that is not row-major.
cudaError_t make_row_major(Tensor* x, Context& context);

// Applies a function that treats one element after another, with its parameters, to a call's inputs and its
// output.
cudaError_t compute_elements(LoopFunction function, const Call& call, Context& context,
                             std::span<const double> parameters = {});

}  // namespace tidu::cuda
