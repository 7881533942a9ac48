// What softmax needs of long rows.
#include "kernels/cuda/reduce.cuh"

namespace tidu::cuda {

cudaError_t logsumexp_states(cudaStream_t stream, DType dtype, const Reduce& reduce) {
  return visit_floating(dtype, cudaErrorInvalidValue, [&]<class T>() {
    return reduce_with<reduction::LogSumExp<T>, T>(stream, reduce, true);
  });
}

}  // namespace tidu::cuda
