// Cross-entropy of a softmax and its gradient.
#include "kernels/cuda/fault.cuh"
#include "kernels/cuda/softmax.cuh"

namespace tidu::cuda {
namespace {

// The class of a row; class 0 where it is none, so that the loss is written all the same.
struct Label {
  int64_t value;
  bool counts;

  __device__ Label(const SoftmaxPass& pass, int64_t row, bool report)
      : value(pass.labels.label[pass.labels.label_walk.at(row).in]),
        counts(!pass.labels.ignores || value != pass.labels.ignored) {
    if (value >= 0 && value < pass.rows.n) return;
    if (report && counts) report_fault(pass.labels.fault, row, value, pass.rows.n);
    value = 0;
  }
};

template <class T> struct Loss {
  using Real = Computed<T>;
  static constexpr bool exponential = false, any_axis = false, loss = true;
  Label label;
  Real largest, log_sum;

  __device__ Loss(const SoftmaxPass& pass, int64_t row, bool first) : label(pass, row, first) {
    if (first) static_cast<Real*>(pass.labels.counts)[row] = label.counts ? Real(1) : Real(0);
  }
  __device__ void prepare(Real row_largest, Real sum) {
    largest = row_largest;
    log_sum = scalar::log(sum);
  }
  __device__ Real value(Real x, int64_t) const { return label.counts ? log_sum - (x - largest) : Real(0); }
};

template <class T> struct LossGradient {
  using Real = Computed<T>;
  static constexpr bool exponential = true, any_axis = false, loss = false;
  Label label;
  Real factor, scale;

  __device__ LossGradient(const SoftmaxPass& pass, int64_t row, bool first)
      : label(pass, row, first),
        factor(static_cast<const Real*>(pass.labels.factor)[pass.labels.factor_walk.at(row).in]) {}
  __device__ void prepare(Real largest, Real sum) {
    scale = factor / (scalar::isfinite(largest) ? sum : kNaN<Real>);
  }
  __device__ T value(Real e, int64_t i) const {
    const Real p = e * scale;
    return static_cast<T>(!label.counts || factor == Real(0) ? Real(0) : i == label.value ? p - factor : p);
  }
};

}  // namespace

cudaError_t cross_entropy(cudaStream_t stream, DType dtype, const Softmax& rows, const Labels& labels) {
  return softmax_with<Loss>(stream, dtype, rows, labels);
}

cudaError_t cross_entropy_grad(cudaStream_t stream, DType dtype, const Softmax& rows, const Labels& labels) {
  return softmax_with<LossGradient>(stream, dtype, rows, labels);
}

}  // namespace tidu::cuda
