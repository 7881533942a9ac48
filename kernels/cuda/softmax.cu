// Softmax and log-softmax.
#include "kernels/cuda/softmax.cuh"

namespace tidu::cuda {
namespace {

template <class T> struct Probability {
  using Real = Computed<T>;
  static constexpr bool exponential = true, any_axis = true, loss = false;
  bool limit;
  Real scale, of_zero;

  __device__ Probability(const SoftmaxPass& pass, int64_t, bool) : limit(pass.rows.limit) {}
  // Where the largest element is infinite, the sum is how many there are of it, or NaN.
  __device__ void prepare(Real largest, Real sum) {
    const bool finite = scalar::isfinite(largest);
    scale = Real(1) / (finite ? sum : kNaN<Real>);
    of_zero = Real(0) * scale;
    if (finite || !limit) return;
    of_zero = sum - sum;
    if (largest < Real(0)) scale = of_zero;
    if (largest > Real(0) && sum == Real(1)) scale = Real(1);
  }
  __device__ T value(Real e, int64_t) const { return static_cast<T>(e == Real(0) ? of_zero : e * scale); }
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
