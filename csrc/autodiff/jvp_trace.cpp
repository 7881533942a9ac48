// Forward mode.
#include "autodiff/jvp_trace.h"

#include <algorithm>

#include "autodiff/rules.h"
#include "base/few.h"

namespace tidu {
namespace {

struct Tangent : RefCounted, Pooled<Tangent> {
  explicit Tangent(Tensor value) : value(std::move(value)) {}
  Tensor value;
};

}  // namespace

Tensor JvpTrace::tangent(const Tensor& tensor) const {
  const Link* link = tensor.impl().link(id());
  return link ? static_cast<const Tangent&>(*link->value).value : Tensor();
}

void JvpTrace::set_tangent(const Tensor& tensor, const Tensor& tangent) {
  if (tangent.defined() && is_differentiable(tensor.dtype()))
    set_link(tensor, id(), Ref<RefCounted>(new Tangent(tangent)), 0);
}

void JvpTrace::record(const Call& call, bool) {
  if (!has_derivative(call)) return;
  Few<Tensor, 4> tangents(call.inputs.size()), outputs(call.outputs.size());
  for (size_t i = 0; i < tangents.size(); ++i) tangents[i] = tangent(call.inputs[i]);
  if (std::ranges::none_of(tangents, &Tensor::defined)) return;
  // The rule gets twins of the outputs: what it computes from them becomes their tangent, and would be a
  // cycle.
  for (size_t i = 0; i < outputs.size(); ++i) outputs[i] = twin(call.outputs[i], id());
  const VisibleTraces scope(outer());
  const Tensors output_tangents = push_call({call.primitive, call.inputs, call.attrs, outputs}, tangents);
  for (size_t i = 0; i < call.outputs.size(); ++i) set_tangent(call.outputs[i], output_tangents[i]);
}

void JvpTrace::record_custom(CustomCall& call, bool) {
  Tensors tangents;
  for (const Tensor& input : call.inputs()) tangents.push_back(tangent(input));
  const VisibleTraces scope(outer());
  const Tensors output_tangents = call.push(tangents);
  for (size_t i = 0; i < output_tangents.size(); ++i) set_tangent(call.outputs()[i], output_tangents[i]);
}

}  // namespace tidu
