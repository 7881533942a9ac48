// Demands on values.
#include "ops/checked.h"

#include "core/bind.h"
#include "core/trace.h"
#include "ops/convert.h"
#include "ops/creation.h"
#include "ops/elementwise.h"
#include "ops/reduce.h"
#include "ops/shape.h"

namespace tidu {
namespace primitives {

// | `checked` | $y = x$, or an error where a value is refused | $\dot y = \dot x$ | $\bar x = \bar y$ |
Primitive checked("checked",
                  {.batching = batch_by_fields,
                   .attrs = CheckedAttrs{},
                   .inputs = 2,
                   .check =
                       [](const SpecCall& call, size_t) {
                         require(call.inputs[0].dtype == DType::bool_ && call.inputs[0].shape.size() >= 2,
                                 call, "the mask must be matrices of bool");
                       },
                   .infer = [](const SpecCall& call,
                               std::span<Spec> outputs) { outputs[0] = call.inputs[1]; },
                   .derivative = LinearMap{.linear = kInput1,
                                           .transpose = [](const Call&, Cotangents cotangents,
                                                           int) { return cotangents[0]; }},
                   .on_complex = OnComplex::native,
                   .flops = flops_per_input<1>});

}  // namespace primitives

namespace {

// x, where `wrong_of(x)` has no true element: else `attrs` say what is raised. Numbers on the host are looked
// at at once, by `look`, which may say more.
template <class WrongOf, class Look>
Tensor demand(const Tensor& x, const CheckedAttrs& attrs, const WrongOf& wrong_of, const Look& look) {
  if (x.numel() == 0) return x;
  const bool is_recorded = x.is_abstract() || outermost_trace();
  // A check of what is known is no part of what is recorded.
  const VisibleTraces seen(is_recorded ? visible_scope() : nullptr);
  const Tensor wrong = wrong_of(stop_gradient(x)), any_wrong = reshape(any(wrong), {1, 1});
  if (any_wrong.is_abstract()) return bind(primitives::checked, {any_wrong, x}, attrs);
  if (x.device().type == DeviceType::cpu && item<bool>(any_wrong)) look(wrong);
  bind(primitives::checked, {any_wrong, any_wrong}, attrs);
  return x;
}

}  // namespace

Tensor checked(const Tensor& x, Tensor (*is_wrong)(const Tensor& x), const char* op, const char* why) {
  return demand(x, {{op}, {why}}, is_wrong, [](const Tensor&) {});
}

Tensor checked_indices(const Tensor& indices, int64_t extent, const char* op) {
  if (!is_integral(indices.dtype()))
    fail<DTypeError>("[", op, "] indices must be integers, not ", describe(indices));
  const Tensor x = astype(indices, DType::int64);
  return demand(
      x, {{op}, {"an index is out of range"}, true},
      [&](const Tensor& values) { return logical_or(values < 0, values >= extent); },
      [&](const Tensor& wrong) {
        const auto position = item<int64_t>(argmax(wrong));
        fail<IndexError>("[", op, "] index ", item<int64_t>(select(flatten(x), 0, position)), " at position ",
                         position, " is out of range for extent ", extent);
      });
}

}  // namespace tidu
