// Convolutions on the device.
#include "kernels/cuda/convolution.h"
#include "backend/cuda/elements.h"
#include "backend/cuda/kernels.h"
#include "ops/convolution.h"

namespace tidu::cuda {
namespace {

cudaError_t convolution(const Call& call, Context& context) {
  const Tensor& out = call.outputs[0];
  if (out.numel() == 0) return cudaSuccess;
  const Tensor& x = call.inputs[0];
  Tensor kernel = call.inputs[1], bias = call.inputs.size() > 2 ? call.inputs[2] : Tensor();
  TIDU_TRY(make_row_major(&kernel, context));
  if (bias.defined()) TIDU_TRY(make_row_major(&bias, context));
  Convolution work{.dtype = out.dtype(),
                   .images = x.size(0),
                   .groups = x.size(1),
                   .outputs = kernel.size(1),
                   .channels = x.size(2),
                   .by_image = x.strides()[0],
                   .by_group = x.strides()[1],
                   .by_channel = x.strides()[2],
                   .x = x.raw_data(),
                   .kernel = kernel.raw_data(),
                   .bias = bias.defined() ? bias.raw_data() : nullptr,
                   .y = out.raw_data()};
  const int rank = x.ndim() - 3;
  for (int i = 0; i < rank; ++i) {
    const int at = kMaxSpatial - rank + i;
    work.axis[at] = convolution_axis(call.inputs, call.attrs.as<ConvolutionAttrs>(), i);
    work.by_place[at] = x.strides()[3 + i];
  }
  const int splits = convolution_splits(work);
  const size_t bytes = convolution_workspace(work, splits);
  void* const workspace = bytes > 0 ? context.workspace<char>(bytes) : nullptr;
  return context.only_counts() ? cudaSuccess : convolve(context.stream(), work, splits, workspace);
}

}  // namespace

void register_convolution_kernels() { set_counted_operation<convolution>(primitives::convolution); }

}  // namespace tidu::cuda
