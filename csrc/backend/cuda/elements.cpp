// What operations that treat one element after another share.
#include "backend/cuda/elements.h"

#include <cstdlib>

#include "kernels/cuda/copy.h"

namespace tidu::cuda {

cudaError_t copy_view(cudaStream_t stream, const Shape& shape, const View& from, const View& to) {
  return for_each(Loops(shape, {from, to}), [&](const Loop& loop) { return copy(stream, from.size, loop); });
}

cudaError_t make_row_major(Tensor* x, cudaStream_t stream) {
  if (x->is_contiguous()) return cudaSuccess;
  const Tensor copied = Tensor::empty(x->shape(), x->dtype(), x->device());
  TIDU_TRY(copy_view(stream, x->shape(), *x, copied));
  *x = copied;
  return cudaSuccess;
}

namespace {

// Whether reading along the last axis would use one element of each sector of memory while another axis runs
// through them, in a tensor large enough for a second launch to be worth it.
bool runs_across(const Tensor& x) {
  constexpr int64_t worthwhile = 1 << 14;
  if (x.is_contiguous() || x.numel() < worthwhile) return false;
  const int64_t sector = 32 / static_cast<int64_t>(size_of(x.dtype()));
  int last = x.ndim() - 1;
  while (x.size(last) == 1) --last;
  bool other = false;
  for (int i = 0; i < x.ndim(); ++i) {
    if (x.size(i) > 1 && x.strides()[i] == 0) return false;  // a copy would be larger than what it copies
    other |= std::abs(x.strides()[i]) == 1 && x.size(i) >= sector;
  }
  return other && std::abs(x.strides()[last]) >= sector && x.size(last) >= sector;
}

}  // namespace

cudaError_t compute_elements(LoopFunction function, const Call& call, Context& context) {
  const Tensor& output = call.outputs[0];
  Tensors copies;
  std::vector<View> views;
  for (const Tensor& input : call.inputs) {
    views.emplace_back(input);
    if (!runs_across(input)) continue;
    copies.push_back(input);
    TIDU_TRY(make_row_major(&copies.back(), context.stream()));
    views.back() = copies.back();
  }
  views.emplace_back(output);
  return for_each(Loops(output.shape(), views),
                  [&](const Loop& loop) { return function(context.stream(), loop); });
}

}  // namespace tidu::cuda
