// Largest and smallest elements.
#include "kernels/cuda/extreme.cuh"
#include "kernels/cuda/reduce.cuh"

namespace tidu::cuda {
namespace {

template <class T, bool largest> struct Extreme {
  using Element = T;
  using State = Accumulator<T>;
  using Result = T;
  TIDU_HD static State identity() { return least_extreme<T, largest>(); }
  TIDU_HD static State lift(T x, int64_t) { return static_cast<State>(x); }
  TIDU_HD static State combine(State a, State b) { return is_beyond<largest>(a, b) ? a : b; }
  TIDU_HD static T finish(State state) { return static_cast<T>(state); }
};

}  // namespace

cudaError_t max(cudaStream_t stream, DType dtype, const Reduce& reduce) {
  return visit_dtype(dtype, [&]<class T>() { return reduce_with<Extreme<T, true>>(stream, reduce); });
}
cudaError_t min(cudaStream_t stream, DType dtype, const Reduce& reduce) {
  return visit_dtype(dtype, [&]<class T>() { return reduce_with<Extreme<T, false>>(stream, reduce); });
}

}  // namespace tidu::cuda
