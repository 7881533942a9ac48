// The rows of the elementwise table for float16.
#include "kernels/cuda/elementwise.cuh"

namespace tidu::cuda {

template LoopFunction row_function<float16>(int);

}  // namespace tidu::cuda
