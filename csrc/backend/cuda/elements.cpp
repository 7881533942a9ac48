// What operations that treat one element after another share.
#include "backend/cuda/elements.h"

#include "kernels/cuda/copy.h"

namespace tidu::cuda {

cudaError_t copy_view(cudaStream_t stream, const Shape& shape, const StridedMemory& from,
                      const StridedMemory& to) {
  return for_each(Loops(shape, {from, to}), [&](const Loop& loop) { return copy(stream, from.size, loop); });
}

cudaError_t make_row_major(Tensor* x, Context& context) {
  if (x->is_contiguous()) return cudaSuccess;
  const Tensor copied = context.tensor(x->shape(), x->dtype());
  if (!context.only_counts()) TIDU_TRY(copy_view(context.stream(), x->shape(), *x, copied));
  *x = copied;
  return cudaSuccess;
}

cudaError_t compute_elements(LoopFunction function, const Call& call, Context& context,
                             std::span<const double> parameters) {
  std::vector<StridedMemory> views(call.inputs.begin(), call.inputs.end());
  views.emplace_back(call.outputs[0]);
  return for_each(Loops(call.outputs[0].shape(), views), [&](Loop loop) {
    std::ranges::copy(parameters, loop.parameters(static_cast<int>(views.size())));
    return function(context.stream(), loop);
  });
}

}  // namespace tidu::cuda
