// Normalisation over trailing axes, and of channels.
#include "kernels/cuda/norm.h"

#include "backend/cuda/elements.h"
#include "backend/cuda/kernels.h"
#include "kernels/cuda/batch_norm.h"
#include "ops/norm.h"

namespace tidu::cuda {
namespace {

// Runs a call whose inputs are x, with `backward` the cotangent, and perhaps weight and bias.
template <bool centred, bool backward> cudaError_t normalise(const Call& call, Context& context) {
  const Tensor& output = call.outputs[0];
  if (output.numel() == 0) return cudaSuccess;
  std::vector<Tensor> inputs(call.inputs.begin(), call.inputs.end());
  for (Tensor& input : inputs) TIDU_TRY(make_row_major(&input, context));
  if (context.only_counts()) return cudaSuccess;
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

BatchNorm channels_of(const Call& call) {
  const Tensor& x = call.inputs[0];
  BatchNorm work{
      .eps = call.attrs.as<BatchNormAttrs>().eps, .images = x.size(0), .channels = x.size(1), .inner = 1};
  for (int axis = 2; axis < x.ndim(); ++axis) work.inner *= x.size(axis);
  if (work.channels > 0) work.parts = BatchNormTuning::parts(work.channels, work.elements());
  return work;
}

// Of x, backward with the cotangent, and perhaps weight and bias.
template <bool backward> cudaError_t normalise_channels(const Call& call, Context& context) {
  std::vector<Tensor> inputs(call.inputs.begin(), call.inputs.end());
  for (Tensor& input : inputs) TIDU_TRY(make_row_major(&input, context));
  const auto data = [&](size_t i) { return i < inputs.size() ? inputs[i].raw_data() : nullptr; };
  BatchNorm work = channels_of(call);
  work.workspace = context.workspace<char>(work.workspace_bytes());
  if (context.only_counts()) return cudaSuccess;
  work.x = data(0), work.y = call.outputs[0].raw_data();
  void *const first = call.outputs[1].raw_data(), *const second = call.outputs[2].raw_data();
  const DType dtype = call.outputs[0].dtype();
  if constexpr (backward) {
    work.g = data(1), work.weight = data(2);
    work.of_weight = first, work.of_bias = second;
    return batch_norm_grad(context.stream(), dtype, work);
  } else {
    work.weight = data(1), work.bias = data(2), work.mean = first, work.variance = second;
    return batch_norm(context.stream(), dtype, work);
  }
}

}  // namespace

void register_norm_kernels() {
  set_counted_operation<normalise<true, false>>(primitives::layer_norm);
  set_counted_operation<normalise<false, false>>(primitives::rms_norm);
  set_counted_operation<normalise<true, true>>(primitives::layer_norm_grad);
  set_counted_operation<normalise<false, true>>(primitives::rms_norm_grad);
  set_counted_operation<normalise_channels<false>>(primitives::batch_norm);
  set_counted_operation<normalise_channels<true>>(primitives::batch_norm_grad);
}

}  // namespace tidu::cuda
