// The rows of the table of reductions for bool and the unsigned integers.
#include "kernels/cuda/reduce.cuh"

namespace tidu::cuda {

template ReduceKernel reduction_row<uint8_t>(int);
template ReduceKernel reduction_row<uint16_t>(int);
template ReduceKernel reduction_row<uint32_t>(int);
template ReduceKernel reduction_row<uint64_t>(int);

}  // namespace tidu::cuda
