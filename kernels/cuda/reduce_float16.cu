// The rows of the table of reductions for float16.
#include "kernels/cuda/reduce.cuh"

namespace tidu::cuda {

template ReduceKernel reduction_row<float16>(int);

}  // namespace tidu::cuda
