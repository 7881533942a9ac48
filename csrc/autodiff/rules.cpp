// The six forms of derivative.
#include "autodiff/rules.h"

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
  Tensors inputs, outputs(call.outputs.size());
  for (const Tensor& input : call.inputs) inputs.push_back(widened(input));
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

  Tensors bind_to(const Primitive& primitive, std::span<const Tensor> inputs) const {
    Tensors outputs(call.outputs.size());
    tidu::bind(primitive, inputs, call.attrs, outputs);
    return outputs;
  }

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
    Tensors inputs(call.inputs.begin(), call.inputs.end());
    for (size_t i = 0; i < inputs.size(); ++i) {
      if (form.linear & input_bit(i)) inputs[i] = tangents[i].defined() ? tangents[i] : zeros_like(inputs[i]);
    }
    return bind_to(call.primitive, inputs);
  }
  Tensors operator()(const Multilinear& form) const {
    Tensor sum;
    const Tensors factors = factors_of(form);
    for (size_t i = 0; i < tangents.size(); ++i) {
      if (!tangents[i].defined()) continue;
      if (form.factors & input_bit(i)) {
        Tensors inputs = factors;
        inputs[i] = tangents[i];
        sum = accumulate(std::move(sum),
                         bind_to(form.of_tangents ? *form.of_tangents : call.primitive, inputs)[0]);
      } else {
        sum = accumulate(std::move(sum), broadcast_to(tangents[i], call.outputs[0].shape()));
      }
    }
    return {sum};
  }
  Tensors operator()(const Custom& form) const { return form.jvp(call, tangents); }

  // The inputs without the addends, which come last.
  Tensors factors_of(const Multilinear& form) const {
    Tensors factors(call.inputs.begin(), call.inputs.end());
    while (form.addends & input_bit(factors.size() - 1)) factors.pop_back();
    return factors;
  }
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
  if (!a.defined()) return b;
  if (!b.defined()) return a;
  return a.spec() == b.spec() ? bind_over(primitives::add, std::move(a), b) : add(a, b);
}

}  // namespace tidu
