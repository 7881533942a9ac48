// Matrix products of float32.
#include "kernels/cuda/matmul_launch.cuh"

template cudaError_t tidu::cuda::launch_product<float>(cudaStream_t, const tidu::cuda::MatmulProblem&,
                                                       const tidu::cuda::MatmulPlan&, void*, unsigned*);
template tidu::cuda::TiledProduct tidu::cuda::tile_product<float>(const tidu::cuda::MatmulProblem&,
                                                                  const tidu::cuda::MatmulPlan&, void*,
                                                                  unsigned*);
