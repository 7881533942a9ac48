// The five forms of derivative.
#include "autodiff/rules.h"

#include "core/bind.h"
#include "ops/creation.h"
#include "ops/elementwise.h"
#include "ops/reduce.h"
#include "ops/shape.h"

namespace tidu {
namespace {

// dy/dx * t. A zero of either gives zero even where the other is infinite or NaN, so that a branch which
// `where` did not take never poisons a gradient.
Tensor apply_partial(const Partial& partial, const Call& call, const Tensor& t) {
  switch (partial.sort) {
    case Partial::none: return {};
    case Partial::one: return t;
    case Partial::minus_one: return negative(t);
    case Partial::expression: break;
  }
  const Tensor value = partial.value(call);
  return value.dtype() == DType::bool_ ? where(value, t, 0) : multiply_no_nan(value, t);
}

struct Transposer {
  const Call& call;
  std::span<const Tensor> cotangents;
  Reads wanted;

  template <class Rule> Tensors each_wanted(Rule&& rule) const {
    Tensors result(call.inputs.size());
    if (!cotangents[0].defined()) return result;
    for (size_t i = 0; i < result.size(); ++i) {
      if (wanted & input_bit(i)) result[i] = rule(static_cast<int>(i));
    }
    return result;
  }

  Tensors operator()(const Zero&) const { return Tensors(call.inputs.size()); }
  Tensors operator()(const Elementwise& form) const {
    return each_wanted([&](int i) { return apply_partial(form.partials[i], call, cotangents[0]); });
  }
  Tensors operator()(const Linear& form) const {
    return each_wanted([&](int i) {
      return form.linear & input_bit(i) ? form.transpose(call, cotangents[0], i) : Tensor();
    });
  }
  Tensors operator()(const Bilinear& form) const {
    return each_wanted([&](int i) {
      return i < 2 ? form.transpose(call, cotangents[0], i) : sum_to(cotangents[0], call.inputs[2].shape());
    });
  }
  Tensors operator()(const Custom& form) const { return form.vjp(call, cotangents); }
};

struct Pusher {
  const Call& call;
  std::span<const Tensor> tangents;

  // The call with input i replaced by its tangent.
  Tensor rebind(Tensors inputs) const {
    Tensor output;
    bind(call.primitive, inputs, call.attrs, {&output, 1});
    return output;
  }

  Tensors operator()(const Zero&) const { return Tensors(call.outputs.size()); }
  Tensors operator()(const Elementwise& form) const {
    Tensor sum;
    for (size_t i = 0; i < tangents.size(); ++i) {
      if (tangents[i].defined()) sum = accumulate(sum, apply_partial(form.partials[i], call, tangents[i]));
    }
    return {sum};
  }
  Tensors operator()(const Linear& form) const {
    Tensors inputs(call.inputs.begin(), call.inputs.end());
    for (size_t i = 0; i < inputs.size(); ++i) {
      if (form.linear & input_bit(i)) inputs[i] = tangents[i].defined() ? tangents[i] : zeros_like(inputs[i]);
    }
    return {rebind(std::move(inputs))};
  }
  Tensors operator()(const Bilinear&) const {
    Tensor sum;
    if (tangents[0].defined()) sum = rebind({tangents[0], call.inputs[1]});
    if (tangents[1].defined()) sum = accumulate(sum, rebind({call.inputs[0], tangents[1]}));
    if (tangents.size() > 2 && tangents[2].defined())
      sum = accumulate(sum, broadcast_to(tangents[2], call.outputs[0].shape()));
    return {sum};
  }
  Tensors operator()(const Custom& form) const { return form.jvp(call, tangents); }
};

}  // namespace

Tensors transpose_call(const Call& call, std::span<const Tensor> cotangents, Reads wanted) {
  return std::visit(Transposer{call, cotangents, wanted}, call.primitive.derivative);
}

Tensors push_call(const Call& call, std::span<const Tensor> tangents) {
  return std::visit(Pusher{call, tangents}, call.primitive.derivative);
}

Tensor accumulate(const Tensor& a, const Tensor& b) {
  if (!a.defined()) return b;
  return b.defined() ? add(a, b) : a;
}

}  // namespace tidu
