// Demands on values.
#include "ops/checked.h"

#include "core/bind.h"
#include "core/trace.h"
#include "ops/creation.h"
#include "ops/reduce.h"
#include "ops/shape.h"

namespace tidu {
namespace primitives {

// | `checked` | $y = x$, or an error where a value is refused | $\dot y = \dot x$ | $\bar x = \bar y$ |
Primitive checked(
    "checked",
    {.batching = batch_by_fields,
     .attrs = CheckedAttrs{},
     .inputs = 2,
     .check =
         [](const SpecCall& call, size_t) {
           require(call.inputs[0].dtype == DType::bool_ && call.inputs[0].shape.size() >= 2, call,
                   "the mask must be matrices of bool");
         },
     .infer = [](const SpecCall& call, std::span<Spec> outputs) { outputs[0] = call.inputs[1]; },
     .derivative = Linear{.linear = kInput1,
                          .transpose = [](const Call&, Cotangents cotangents, int) { return cotangents[0]; }},
     .on_complex = OnComplex::native,
     .flops = flops_per_input<1>});

}  // namespace primitives

Tensor checked(const Tensor& x, Tensor (*is_wrong)(const Tensor& x), const char* op, const char* why) {
  if (x.numel() == 0) return x;
  if (x.is_abstract()) {
    const Tensor wrong = reshape(any(is_wrong(stop_gradient(x))), {1, 1});
    return bind(primitives::checked, {wrong, x}, CheckedAttrs{{op}, {why}});
  }
  const VisibleTraces none(nullptr);  // a check is no part of what is recorded
  if (item<bool>(any(is_wrong(x)))) fail<ValueError>("[", op, "] ", why);
  return x;
}

}  // namespace tidu
