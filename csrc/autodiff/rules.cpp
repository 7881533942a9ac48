// The six forms of derivative.
#include "autodiff/rules.h"

#include <bit>

#include "base/few.h"
#include "core/bind.h"
#include "core/watch.h"
#include "ops/autocast.h"
#include "ops/convert.h"
#include "ops/creation.h"
#include "ops/elementwise.h"
#include "ops/reduce.h"
#include "ops/shape.h"

namespace tidu {
namespace {

bool is_narrow_call(const Call& call) {
  return std::ranges::any_of(call.inputs,
                             [](const Tensor& x) { return x.defined() && is_narrow(x.dtype()); });
}

// What a rule that reads the outputs fine gets instead of them; otherwise none.
Tensors fine_outputs(const Call& call, Reads differentiated) {
  if (!is_narrow_call(call) || !(reads_of(call.primitive, differentiated) & kFineOutput)) return {};
  Few<Tensor, 4> inputs(call.inputs.size());
  std::ranges::transform(call.inputs, inputs.begin(), widened);
  Tensors outputs(call.outputs.size());
  tidu::bind(call.primitive, inputs, call.attrs, outputs);
  return outputs;
}

// dy/dx * t, or where t is a cotangent conj(dy/dx) * t. A zero of either gives zero even where the other is
// infinite or NaN, so that a branch which `where` did not take never poisons a gradient.
Tensor apply_partial(const Partial& partial, const Call& call, const Tensor& t, bool is_cotangent) {
  switch (partial.kind) {
    case Partial::none: return {};
    case Partial::one: return t;
    case Partial::minus_one: return negative(t);
    case Partial::expression: break;
  }
  Tensor value = partial.value(call);
  if (value.dtype() == DType::bool_) return where(value, t, 0);
  if (is_cotangent && is_complex(value.dtype())) value = conj(value);
  if (value.spec() == t.spec()) return bind_over(primitives::multiply_no_nan, std::move(value), t);
  return astype(multiply_no_nan(value, t), t.dtype());
}

[[noreturn]] void fail_opaque(const Call& call, const Opaque& form) {
  fail<GradientError>("[", call.primitive.name, "] cannot be differentiated: ", form.why);
}

struct Puller {
  const Call& call;
  std::span<Tensor> cotangents;
  const InputSet& wanted;
  Tensors result;  // undefined tensors

  template <class Rule> Tensors each_wanted(Rule&& rule) {
    for (size_t i = 0; i < result.size(); ++i) {
      if (wanted.has(i)) result[i] = rule(static_cast<int>(i));
    }
    return std::move(result);
  }

  Tensors operator()(const Zero&) { return std::move(result); }
  Tensors operator()(const Opaque& form) { fail_opaque(call, form); }
  Tensors operator()(const Elementwise& form) {
    return each_wanted([&](int i) {
      const Partial& partial = form.partials[i];
      const bool is_last = wanted >> (i + 1) == 0;
      Tensor product = partial.few ? partial.few(call, cotangents[0], is_last) : Tensor();
      return product.defined() ? std::move(product) : apply_partial(partial, call, cotangents[0], true);
    });
  }
  Tensors operator()(const LinearMap& form) {
    return each_wanted(
        [&](int i) { return form.linear & input_bit(i) ? form.transpose(call, cotangents, i) : Tensor(); });
  }
  Tensors operator()(const Multilinear& form) {
    return each_wanted([&](int i) -> Tensor {
      if (form.factors & input_bit(i)) return form.transpose(call, cotangents[0], i);
      return form.addends & input_bit(i) ? sum_to(cotangents[0], call.inputs[i].shape()) : Tensor();
    });
  }
  Tensors operator()(const Custom& form) {
    return form.vjp ? form.vjp(call, cotangents, wanted) : pull_by_jvp(call, form, cotangents, wanted);
  }
};

struct Pusher {
  const Call& call;
  Tangents tangents;

  Tensors operator()(const Zero&) const { return Tensors(call.outputs.size()); }
  Tensors operator()(const Opaque& form) const { fail_opaque(call, form); }
  Tensors operator()(const Elementwise& form) const {
    Tensor sum;
    for (size_t i = 0; i < tangents.size(); ++i) {
      if (tangents[i].defined())
        sum = accumulate(std::move(sum), apply_partial(form.partials[i], call, tangents[i], false));
    }
    return {sum};
  }
  Tensors operator()(const LinearMap& form) const {
    Few<Tensor, 4> inputs(call.inputs.size());
    for (size_t i = 0; i < inputs.size(); ++i) {
      const Tensor& x = call.inputs[i];
      inputs[i] = !(form.linear & input_bit(i)) ? x : tangents[i].defined() ? tangents[i] : zeros_like(x);
    }
    Tensors outputs(call.outputs.size());
    tidu::bind(call.primitive, inputs, call.attrs, outputs);
    return outputs;
  }
  Tensors operator()(const Multilinear& form) const {
    Tensor sum;
    const auto before_addends = static_cast<size_t>(std::countr_zero(form.addends));
    Few<Tensor, 2> inputs(std::min(call.inputs.size(), before_addends));
    std::ranges::copy(call.inputs.first(inputs.size()), inputs.begin());
    for (size_t i = 0; i < tangents.size(); ++i) {
      if (!tangents[i].defined()) continue;
      if (form.factors & input_bit(i)) {
        inputs[i] = tangents[i];
        Tensor product;
        tidu::bind(form.of_tangents ? *form.of_tangents : call.primitive, inputs, call.attrs, {&product, 1});
        sum = accumulate(std::move(sum), product);
        inputs[i] = call.inputs[i];
      } else {
        sum = accumulate(std::move(sum), broadcast_to(tangents[i], call.outputs[0].shape()));
      }
    }
    return {sum};
  }
  Tensors operator()(const Custom& form) const { return form.jvp(call, tangents); }
};

// Runs a rule, which has the dtypes of the call that it is of, on the call with the outputs that it reads.
template <class Rule>
Tensors derive(const Call& call, std::span<const Tensor> given, Reads differentiated, const Rule& rule) {
  const Autocast off({});
  const auto run = [&] {
    Tensors fine = fine_outputs(call, differentiated);
    return rule(Call{call.primitive, call.inputs, call.attrs, fine.empty() ? call.outputs : fine});
  };
  if (Watch* const watch = Watch::active()) [[unlikely]]
    return watch->derivative(call, given, run);
  return run();
}

}  // namespace

PullByJvp pull_by_jvp = nullptr;

bool has_derivative(const Call& call) {
  return !std::holds_alternative<Zero>(call.primitive.derivative) &&
         std::ranges::any_of(call.outputs, [](const Tensor& y) { return is_differentiable(y.dtype()); });
}

Reads kept_of(const Call& call, Reads tracked) {
  const Reads reads = reads_of(call.primitive, tracked);
  if (!(reads & kFineOutput)) return reads;
  return reads | (is_narrow_call(call) ? kAllInputs : kOutput);
}

Tensors pull_call(const Call& call, std::span<Tensor> cotangents, const InputSet& wanted, Tensors memory) {
  memory.assign(call.inputs.size(), {});
  return derive(call, cotangents, wanted, [&](const Call& seen) {
    return std::visit(Puller{seen, cotangents, wanted, std::move(memory)}, call.primitive.derivative);
  });
}

Tensors push_call(const Call& call, Tangents tangents) {
  Reads moving = 0;
  for (size_t i = 0; i < tangents.size(); ++i) moving |= tangents[i].defined() ? input_bit(i) : 0;
  return derive(call, tangents, moving, [&](const Call& seen) {
    return std::visit(Pusher{seen, tangents}, call.primitive.derivative);
  });
}

Tensor accumulate(Tensor a, const Tensor& b) {
  if (!a.defined() || !b.defined()) return a.defined() ? a : b;
  return a.spec() == b.spec() ? bind_over(primitives::add, std::move(a), b) : add(a, b);
}

}  // namespace tidu
