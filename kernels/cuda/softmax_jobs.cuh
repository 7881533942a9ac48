// What softmax and its relatives make of a row.
#pragma once

#include "kernels/cuda/fault.cuh"
#include "kernels/cuda/softmax.cuh"

namespace tidu::cuda {

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

}  // namespace tidu::cuda
