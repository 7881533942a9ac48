// Scaled dot-product attention.
#include "ops/attention.h"

#include "backend/cuda/elements.h"
#include "backend/cuda/kernels.h"
#include "kernels/cuda/attention.h"

namespace tidu::cuda {
namespace {

// All but the mask become row-major.
cudaError_t prepare(std::vector<Tensor>& inputs, size_t mask, const Call& call, Context& context,
                    Attention& work) {
  for (size_t i = 0; i < mask; ++i) TIDU_TRY(make_row_major(&inputs[i], context));
  const AttentionAttrs& attrs = attention_attrs(call);
  const Tensor &q = inputs[0], &k = inputs[1], &v = inputs[2];
  work.q = q.raw_data(), work.k = k.raw_data(), work.v = v.raw_data();
  work.causal = attrs.causal, work.scale = attrs.scale;
  work.queries = q.size(-2), work.keys = k.size(-2), work.depth = q.size(-1), work.width = v.size(-1);
  work.axes = q.ndim() - 2, work.batches = 1;
  for (int i = 0; i < work.axes; ++i) {
    work.batches *= q.size(i);
    work.size[i] = static_cast<uint32_t>(q.size(i));
  }
  if (inputs.size() <= mask) return cudaSuccess;
  const Tensor& given = inputs[mask];
  work.mask = given.raw_data(), work.is_boolean = given.dtype() == DType::bool_;
  for (int i = 0; i < work.axes; ++i) work.stride[i] = given.strides()[i];
  work.by_query = given.strides()[work.axes], work.by_key = given.strides()[work.axes + 1];
  return cudaSuccess;
}

cudaError_t forward(const Call& call, Context& context) {
  std::vector<Tensor> inputs(call.inputs.begin(), call.inputs.end());
  Attention work;
  TIDU_TRY(prepare(inputs, 3, call, context, work));
  if (context.only_counts()) return cudaSuccess;
  work.y_out = call.outputs[0].raw_data(), work.sums = call.outputs[1].raw_data();
  return attention(context.stream(), call.outputs[0].dtype(), work);
}

cudaError_t backward(const Call& call, Context& context) {
  std::vector<Tensor> inputs(call.inputs.begin(), call.inputs.end());
  Attention work;
  TIDU_TRY(prepare(inputs, 6, call, context, work));
  if (context.only_counts()) return cudaSuccess;
  work.g = inputs[3].raw_data(), work.y = inputs[4].raw_data(), work.sums = inputs[5].raw_data();
  const auto& of = call.attrs.as<AttentionGradAttrs>();
  work.dq = of.of_query ? call.outputs[0].raw_data() : nullptr;
  work.dk = of.of_key ? call.outputs[1].raw_data() : nullptr;
  work.dv = of.of_value ? call.outputs[2].raw_data() : nullptr;
  return attention_grad(context.stream(), call.outputs[0].dtype(), work);
}

}  // namespace

void register_attention_kernels() {
  set_counted_operation<forward>(primitives::attention);
  set_counted_operation<backward>(primitives::attention_grad);
}

}  // namespace tidu::cuda
