// The rows of the elementwise table for float64.
#include "kernels/cuda/elementwise.cuh"

namespace tidu::cuda {

template LoopFunction row_function<double>(int);

}  // namespace tidu::cuda
