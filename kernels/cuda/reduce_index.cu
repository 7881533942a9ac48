// Where the largest and the smallest elements are.
#include "kernels/cuda/extreme.cuh"
#include "kernels/cuda/reduce.cuh"

namespace tidu::cuda {
namespace {

template <class T, bool largest> struct ExtremeIndex {
  struct alignas(16) State {
    Accumulator<T> value;
    int64_t index;
  };
  using Element = T;
  using Result = int64_t;
  // Behind all elements, so that it loses against an equal one.
  TIDU_HD static State identity() { return {least_extreme<T, largest>(), INT64_MAX}; }
  TIDU_HD static State lift(T x, int64_t index) { return {static_cast<Accumulator<T>>(x), index}; }
  TIDU_HD static State combine(State a, State b) {
    const bool a_wins = is_beyond<largest>(a.value, b.value), b_wins = is_beyond<largest>(b.value, a.value);
    return a_wins != b_wins ? (a_wins ? a : b) : (a.index < b.index ? a : b);
  }
  TIDU_HD static int64_t finish(State state) { return state.index; }
};

}  // namespace

cudaError_t argmax(cudaStream_t stream, DType dtype, const Reduce& reduce) {
  return visit_dtype(dtype, [&]<class T>() { return reduce_with<ExtremeIndex<T, true>>(stream, reduce); });
}
cudaError_t argmin(cudaStream_t stream, DType dtype, const Reduce& reduce) {
  return visit_dtype(dtype, [&]<class T>() { return reduce_with<ExtremeIndex<T, false>>(stream, reduce); });
}

}  // namespace tidu::cuda
