// Matrix products of integers and booleans. Sums wrap, so that signed and unsigned integers of a width share
// kernels.
#include "kernels/cuda/matmul_launch.cuh"

namespace tidu::cuda {

template cudaError_t launch_product<bool>(cudaStream_t, const MatmulProblem&, const MatmulPlan&, void*,
                                          unsigned*);
template cudaError_t launch_product<uint8_t>(cudaStream_t, const MatmulProblem&, const MatmulPlan&, void*,
                                             unsigned*);
template cudaError_t launch_product<uint16_t>(cudaStream_t, const MatmulProblem&, const MatmulPlan&, void*,
                                              unsigned*);
template cudaError_t launch_product<uint32_t>(cudaStream_t, const MatmulProblem&, const MatmulPlan&, void*,
                                              unsigned*);
template cudaError_t launch_product<uint64_t>(cudaStream_t, const MatmulProblem&, const MatmulPlan&, void*,
                                              unsigned*);

}  // namespace tidu::cuda
