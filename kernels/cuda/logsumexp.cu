// Logarithms of sums of exponentials.
#include "kernels/cuda/logsumexp.cuh"

namespace tidu::cuda {

cudaError_t logsumexp(cudaStream_t stream, DType dtype, const Reduce& reduce) {
  return visit_floating(dtype, cudaErrorInvalidValue,
                        [&]<class T>() { return reduce_with<LogSumExp<T>>(stream, reduce); });
}

cudaError_t logsumexp_states(cudaStream_t stream, DType dtype, const Reduce& reduce) {
  return visit_floating(dtype, cudaErrorInvalidValue,
                        [&]<class T>() { return reduce_with<LogSumExp<T>>(stream, reduce, true); });
}

}  // namespace tidu::cuda
