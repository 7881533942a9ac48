// How most primitives are computed for a batch: the same call, one axis up.
#include "core/bind.h"
#include "ops/convert.h"
#include "ops/shape.h"

namespace tidu {

Tensor BatchedCall::lanes(size_t i) const {
  const Tensor& input = call.inputs[i];
  if (batched[i]) return input;
  Shape shape = input.shape();
  shape.insert(0, size);
  return broadcast_to(input, shape);
}

Tensors batch_by_fields(const BatchedCall& batched) {
  const Call& call = batched.call;
  Tensors inputs, outputs(call.outputs.size());
  for (size_t i = 0; i < call.inputs.size(); ++i) inputs.push_back(batched.lanes(i));
  for (size_t i = 0; call.primitive.overwrites && i < outputs.size(); ++i) inputs[i] = copy(inputs[i]);
  tidu::bind(call.primitive, inputs, call.attrs.with_axis(batched.size), outputs);
  return outputs;
}

}  // namespace tidu
