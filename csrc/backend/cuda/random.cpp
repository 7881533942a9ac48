// Random numbers.
#include "kernels/cuda/random.h"

#include "backend/cuda/context.h"
#include "backend/cuda/kernels.h"
#include "backend/cuda/try.h"
#include "kernels/cuda/creation.h"
#include "kernels/cuda/sort.h"
#include "ops/random.h"

namespace tidu::cuda {
namespace {

// For `count` elements.
Keys keys_of(const Call& call, int64_t count) {
  const Tensor& keys = call.inputs[0];
  const int last = keys.ndim() - 1;
  const int64_t each = last > 0 ? count / keys.size(0) : count;
  return {keys.data<uint32_t>(), keys.strides()[last], last > 0 ? keys.strides()[0] : 0, each};
}

template <class Narrow, class Wide>
cudaError_t draw(cudaError_t (*narrow)(cudaStream_t, Keys, Narrow*, int64_t),
                 cudaError_t (*wide)(cudaStream_t, Keys, Wide*, int64_t), const Call& call,
                 Context& context) {
  const Tensor& y = call.outputs[0];
  if (y.numel() == 0) return cudaSuccess;
  if (y.dtype() == dtype_of<Narrow>)
    return narrow(context.stream(), keys_of(call, y.numel()), y.data<Narrow>(), y.numel());
  return wide(context.stream(), keys_of(call, y.numel()), y.data<Wide>(), y.numel());
}

cudaError_t bits(const Call& call, Context& context) {
  return draw<uint32_t, uint64_t>(random_bits, random_bits, call, context);
}
cudaError_t uniform(const Call& call, Context& context) {
  return draw<float, double>(random_uniform, random_uniform, call, context);
}
cudaError_t normal(const Call& call, Context& context) {
  return draw<float, double>(random_normal, random_normal, call, context);
}

// 0 .. n-1 in the order of n random numbers, equal ones in their own.
cudaError_t permutation(const Call& call, Context& context) {
  const Tensor& y = call.outputs[0];
  const int64_t count = y.numel();
  if (count == 0) return cudaSuccess;
  const size_t n = static_cast<size_t>(count);
  const cudaStream_t stream = context.stream();
  uint64_t* const keys = context.workspace<uint64_t>(n);
  int64_t* const order = y.data<int64_t>();
  TIDU_TRY(random_bits(stream, keys_of(call, y.numel()), keys, count));
  const Number zero{.real = false, .integer = 0}, one{.real = false, .integer = 1};
  TIDU_TRY(arange(stream, zero, one, DType::int64, order, count));
  return sort_pairs(stream, context.scratch(), keys, order, count);
}

}  // namespace

void register_random_kernels() {
  set_operation<bits>(primitives::random_bits);
  set_operation<uniform>(primitives::random_uniform);
  set_operation<normal>(primitives::random_normal);
  set_operation<permutation>(primitives::random_permutation);
}

}  // namespace tidu::cuda
