// Matrix products of float16.
#include "kernels/cuda/matmul_launch.cuh"

template cudaError_t tidu::cuda::launch_product<tidu::float16>(cudaStream_t, const tidu::cuda::MatmulProblem&,
                                                               const tidu::cuda::MatmulPlan&, void*);
