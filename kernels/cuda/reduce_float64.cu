// The rows of the table of reductions for float64.
#include "kernels/cuda/reduce.cuh"

namespace tidu::cuda {

template ReduceKernel reduction_row<double>(int);

}  // namespace tidu::cuda
