// The fused update steps of the optimisers.
#include "ops/update.h"

#include "core/bind.h"
#include "ops/shape.h"

namespace tidu {
namespace {

void check(const Call& call, Spec*) {
  const size_t overwritten = call.outputs.size(), count = call.inputs.size() - overwritten;
  for (size_t i = 0; i < call.inputs.size(); ++i) {
    const Tensor &parameter = call.inputs[i % count], &input = call.inputs[i];
    if (!is_floating(parameter.dtype()))
      fail<DTypeError>("[", call.primitive.name, "] a parameter must be floating-point, not ",
                       describe(parameter));
    if (input.shape() != parameter.shape() || input.dtype() != parameter.dtype()) {
      fail<ShapeError>("[", call.primitive.name, "] ", describe(input), " does not fit its parameter ",
                       describe(parameter));
    }
    if (!input.is_contiguous())
      fail<ValueError>("[", call.primitive.name, "] ", describe(input), " must be contiguous");
  }
}

}  // namespace

namespace primitives {
Primitive sgd_update = Primitive::in_place("sgd_update", check);
Primitive adam_update = Primitive::in_place("adam_update", check);
Primitive rmsprop_update = Primitive::in_place("rmsprop_update", check);
}  // namespace primitives

void apply_update(const Primitive& primitive, const Tensors& state, const Tensors& gradients,
                  const Attrs& attrs) {
  if (gradients.empty()) return;
  Tensors inputs = state;
  for (const Tensor& gradient : gradients) inputs.push_back(contiguous(gradient));
  Tensors outputs(state.size());
  tidu::bind(primitive, inputs, attrs, outputs);
}

}  // namespace tidu
