// Normalisation over trailing axes.
#include "kernels/cuda/norm.h"

#include "backend/cuda/elements.h"
#include "backend/cuda/kernels.h"
#include "ops/norm.h"

namespace tidu::cuda {
namespace {

// Runs a call whose inputs are x, with `backward` the cotangent, and perhaps weight and bias.
template <bool centred, bool backward> cudaError_t normalise(const Call& call, Context& context) {
  const Tensor& output = call.outputs[0];
  if (output.numel() == 0) return cudaSuccess;
  std::vector<Tensor> inputs(call.inputs.begin(), call.inputs.end());
  for (Tensor& input : inputs) TIDU_TRY(make_row_major(&input, context.stream()));
  const auto data = [&](size_t i) -> const void* {
    return i < inputs.size() ? inputs[i].raw_data() : nullptr;
  };
  const auto& attrs = call.attrs.as<NormAttrs>();
  Norm work{.centred = centred, .eps = attrs.eps, .n = 1, .x = data(0), .y = output.raw_data()};
  for (int i = 0; i < attrs.axes; ++i) work.n *= output.size(output.ndim() - 1 - i);
  work.rows = output.numel() / work.n;
  work.weight = data(backward ? 2 : 1);
  if constexpr (backward) {
    work.g = data(1);
    return norm_grad(context.stream(), output.dtype(), work);
  } else {
    work.bias = data(2);
    return norm(context.stream(), output.dtype(), work);
  }
}

}  // namespace

void register_norm_kernels() {
  set_operation<normalise<true, false>>(primitives::layer_norm);
  set_operation<normalise<false, false>>(primitives::rms_norm);
  set_operation<normalise<true, true>>(primitives::layer_norm_grad);
  set_operation<normalise<false, true>>(primitives::rms_norm_grad);
}

}  // namespace tidu::cuda
