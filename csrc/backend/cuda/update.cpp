// The optimisers' update steps.
#include "kernels/cuda/update.h"

#include <vector>

#include "backend/cuda/elements.h"
#include "backend/cuda/kernels.h"
#include "backend/cuda/try.h"
#include "ops/update.h"

namespace tidu::cuda {
namespace {

// One launch for the parameters of each dtype, few tables' worth at most.
template <class Attributes> cudaError_t step_all(const Call& call, Context& context) {
  const auto& attrs = call.attrs.as<Attributes>();
  const size_t n = static_cast<size_t>(attrs.count);
  Tensors inputs(call.inputs.begin(), call.inputs.end());
  Tensor clock;
  if (attrs.clocked) {
    clock = inputs.back();
    inputs.pop_back();
    if (clock.strides()[1] != 1 || clock.strides()[0] % 4 != 0) TIDU_TRY(make_row_major(&clock, context));
  }
  for (Tensor& input : inputs) TIDU_TRY(make_row_major(&input, context));
  if (context.only_counts()) return cudaSuccess;
  const auto* rows = clock.defined() ? static_cast<const ClockRow*>(clock.raw_data()) : nullptr;
  for (const DType dtype : {DType::float16, DType::bfloat16, DType::float32, DType::float64}) {
    std::vector<UpdateArrays> parameters;
    for (size_t i = 0; i < n; ++i) {
      if (inputs[i].dtype() != dtype) continue;
      UpdateArrays& arrays = parameters.emplace_back();
      arrays.count = inputs[i].numel();
      if (rows) arrays.clock = rows + static_cast<int64_t>(i) * (clock.strides()[0] / 4);
      for (size_t k = 0; k * n < inputs.size(); ++k) arrays.data[k] = inputs[k * n + i].raw_data();
    }
    TIDU_TRY(update(context.stream(), step_of(attrs), dtype, parameters));
  }
  for (size_t i = 0; i < call.outputs.size(); ++i) {
    if (inputs[i].is_same(call.outputs[i])) continue;
    TIDU_TRY(copy_view(context.stream(), inputs[i].shape(), inputs[i], call.outputs[i]));
  }
  return cudaSuccess;
}

}  // namespace

void register_update_kernels() {
  set_counted_operation<step_all<SgdAttrs>>(primitives::sgd_update);
  set_counted_operation<step_all<AdamAttrs>>(primitives::adam_update);
  set_counted_operation<step_all<RmspropAttrs>>(primitives::rmsprop_update);
}

}  // namespace tidu::cuda
