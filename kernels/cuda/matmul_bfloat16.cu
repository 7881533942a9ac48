// Matrix products of bfloat16.
#include "kernels/cuda/matmul_launch.cuh"

template cudaError_t tidu::cuda::launch_product<tidu::bfloat16>(cudaStream_t,
                                                                const tidu::cuda::MatmulProblem&,
                                                                const tidu::cuda::MatmulPlan&, void*,
                                                                unsigned*);
template tidu::cuda::TiledProduct tidu::cuda::tile_product<tidu::bfloat16>(const tidu::cuda::MatmulProblem&,
                                                                           const tidu::cuda::MatmulPlan&,
                                                                           void*, unsigned*);
