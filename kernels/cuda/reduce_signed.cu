// The rows of the table of reductions for the signed integers.
#include "kernels/cuda/reduce.cuh"

namespace tidu::cuda {

template ReduceKernel reduction_row<int8_t>(int);
template ReduceKernel reduction_row<int16_t>(int);
template ReduceKernel reduction_row<int32_t>(int);
template ReduceKernel reduction_row<int64_t>(int);

}  // namespace tidu::cuda
