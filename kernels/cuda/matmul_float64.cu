// Matrix products of float64.
#include "kernels/cuda/matmul_launch.cuh"

template cudaError_t tidu::cuda::launch_product<double>(cudaStream_t, const tidu::cuda::MatmulProblem&,
                                                        const tidu::cuda::MatmulPlan&, void*);
