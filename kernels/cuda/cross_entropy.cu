// Cross-entropy of a softmax and its gradient.
#include "kernels/cuda/softmax_jobs.cuh"

namespace tidu::cuda {

cudaError_t cross_entropy(cudaStream_t stream, DType dtype, const Softmax& rows, const Labels& labels) {
  return softmax_with<Loss>(stream, dtype, rows, labels);
}

cudaError_t cross_entropy_grad(cudaStream_t stream, DType dtype, const Softmax& rows, const Labels& labels) {
  return softmax_with<LossGradient>(stream, dtype, rows, labels);
}

}  // namespace tidu::cuda
