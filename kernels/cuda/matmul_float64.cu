// Matrix products of float64.
#include "kernels/cuda/matmul_launch.cuh"

template cudaError_t tidu::cuda::launch_product<double>(cudaStream_t, const tidu::cuda::MatmulProblem&,
                                                        const tidu::cuda::MatmulPlan&, void*, unsigned*);
template tidu::cuda::TiledProduct tidu::cuda::tile_product<double>(const tidu::cuda::MatmulProblem&,
                                                                   const tidu::cuda::MatmulPlan&, void*,
                                                                   unsigned*);
