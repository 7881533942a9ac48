// The optimisers' update steps.
#include "kernels/cuda/update.h"

#include <vector>

#include "backend/cuda/elements.h"
#include "backend/cuda/operations.h"
#include "backend/cuda/try.h"
#include "ops/update.h"

namespace tidu::cuda {
namespace {

// One launch for the parameters of each dtype, few tables' worth at most.
template <class Step> cudaError_t step_all(const Call& call, Context& context, int count, const Step& step) {
  const size_t n = static_cast<size_t>(count);
  Tensors inputs(call.inputs.begin(), call.inputs.end());
  for (Tensor& input : inputs) TIDU_TRY(make_row_major(&input, context.stream()));
  for (const DType dtype : {DType::float16, DType::bfloat16, DType::float32, DType::float64}) {
    std::vector<UpdateArrays> parameters;
    for (size_t i = 0; i < n; ++i) {
      if (inputs[i].dtype() != dtype) continue;
      UpdateArrays& arrays = parameters.emplace_back();
      arrays.count = inputs[i].numel();
      for (size_t k = 0; k * n < inputs.size(); ++k) arrays.data[k] = inputs[k * n + i].raw_data();
    }
    TIDU_TRY(update(context.stream(), step, dtype, parameters));
  }
  for (size_t i = 0; i < call.outputs.size(); ++i) {
    if (inputs[i].is_same(call.outputs[i])) continue;
    TIDU_TRY(copy_view(context.stream(), inputs[i].shape(), inputs[i], call.outputs[i]));
  }
  return cudaSuccess;
}

cudaError_t sgd_update(const Call& call, Context& context) {
  const auto& a = call.attrs.as<SgdAttrs>();
  return step_all(call, context, a.count, SgdStep{a.lr, a.momentum, a.weight_decay, a.nesterov, a.first});
}

cudaError_t adam_update(const Call& call, Context& context) {
  const auto& a = call.attrs.as<AdamAttrs>();
  return step_all(call, context, a.count,
                  AdamStep{a.lr, a.beta1, a.beta2, a.eps, a.weight_decay, a.decoupled, a.step});
}

cudaError_t rmsprop_update(const Call& call, Context& context) {
  const auto& a = call.attrs.as<RmspropAttrs>();
  return step_all(call, context, a.count, RmspropStep{a.lr, a.alpha, a.eps, a.weight_decay, a.momentum});
}

}  // namespace

void register_update_operations() {
  set_operation<sgd_update>(primitives::sgd_update);
  set_operation<adam_update>(primitives::adam_update);
  set_operation<rmsprop_update>(primitives::rmsprop_update);
}

}  // namespace tidu::cuda
