// Sums and products.
#include "kernels/cuda/reduce.cuh"
#include "kernels/scalar.h"

namespace tidu::cuda {
namespace {

template <class T> struct Sum {
  using Element = T;
  using State = Accumulator<T>;
  using Result = T;
  TIDU_HD static State identity() { return State(0); }
  TIDU_HD static State lift(T x, int64_t) { return static_cast<State>(x); }
  TIDU_HD static State combine(State a, State b) { return scalar::add(a, b); }
  TIDU_HD static T finish(State sum) { return static_cast<T>(sum); }
};

template <class T> struct Product : Sum<T> {
  using State = typename Sum<T>::State;
  TIDU_HD static State identity() { return State(1); }
  TIDU_HD static State combine(State a, State b) { return scalar::multiply(a, b); }
};

template <template <class> class Op>
cudaError_t total(cudaStream_t stream, DType dtype, const Reduce& reduce) {
  return visit_dtype(dtype, [&]<class T>() -> cudaError_t {
    if constexpr (std::is_same_v<T, bool>) {
      return cudaErrorInvalidValue;
    } else {
      return reduce_with<Op<Wrapping<T>>>(stream, reduce);
    }
  });
}

}  // namespace

cudaError_t sum(cudaStream_t stream, DType dtype, const Reduce& reduce) {
  return dtype == DType::bool_ ? max(stream, dtype, reduce) : total<Sum>(stream, dtype, reduce);
}
cudaError_t prod(cudaStream_t stream, DType dtype, const Reduce& reduce) {
  return dtype == DType::bool_ ? min(stream, dtype, reduce) : total<Product>(stream, dtype, reduce);
}

}  // namespace tidu::cuda
