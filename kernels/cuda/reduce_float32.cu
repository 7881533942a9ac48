// The rows of the table of reductions for float32.
#include "kernels/cuda/reduce.cuh"

namespace tidu::cuda {

template ReduceKernel reduction_row<float>(int);

}  // namespace tidu::cuda
