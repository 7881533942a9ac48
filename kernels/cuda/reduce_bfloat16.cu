// The rows of the table of reductions for bfloat16.
#include "kernels/cuda/reduce.cuh"

namespace tidu::cuda {

template ReduceKernel reduction_row<bfloat16>(int);

}  // namespace tidu::cuda
