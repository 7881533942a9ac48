// Softmax and log-softmax.
#include "kernels/cuda/softmax_jobs.cuh"

namespace tidu::cuda {

cudaError_t softmax(cudaStream_t stream, DType dtype, const Softmax& rows) {
  return softmax_with<Probability>(stream, dtype, rows, {});
}

cudaError_t log_softmax(cudaStream_t stream, DType dtype, const Softmax& rows) {
  return softmax_with<LogProbability>(stream, dtype, rows, {});
}

}  // namespace tidu::cuda
