// The rows of the elementwise table for bfloat16.
#include "kernels/cuda/elementwise.cuh"

namespace tidu::cuda {

template LoopFunction row_function<bfloat16>(int);

}  // namespace tidu::cuda
