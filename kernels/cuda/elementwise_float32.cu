// The rows of the elementwise table for float32.
#include "kernels/cuda/elementwise.cuh"

namespace tidu::cuda {

template LoopFunction row_function<float>(int);

}  // namespace tidu::cuda
