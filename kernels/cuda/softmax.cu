// Softmax and log-softmax.
#include "kernels/cuda/softmax.cuh"

namespace tidu::cuda {
namespace {

template <class T> struct Probability {
  using Real = Computed<T>;
  static constexpr bool exponential = true, any_axis = true, loss = false;
  Real scale;

  __device__ Probability(const SoftmaxPass&, int64_t, bool) {}
  __device__ void prepare(Real largest, Real sum) {
    scale = Real(1) / (scalar::isfinite(largest) ? sum : kNaN<Real>);
  }
  __device__ T value(Real e, int64_t) const { return static_cast<T>(e * scale); }
};

template <class T> struct LogProbability {
  using Real = Computed<T>;
  static constexpr bool exponential = false, any_axis = true, loss = false;
  Real largest, log_sum;

  __device__ LogProbability(const SoftmaxPass&, int64_t, bool) {}
  __device__ void prepare(Real row_largest, Real sum) {
    largest = row_largest;
    log_sum = scalar::log(sum);
  }
  __device__ T value(Real x, int64_t) const { return static_cast<T>((x - largest) - log_sum); }
};

}  // namespace

cudaError_t softmax(cudaStream_t stream, DType dtype, const Softmax& rows) {
  return softmax_with<Probability>(stream, dtype, rows, {});
}

cudaError_t log_softmax(cudaStream_t stream, DType dtype, const Softmax& rows) {
  return softmax_with<LogProbability>(stream, dtype, rows, {});
}

}  // namespace tidu::cuda
