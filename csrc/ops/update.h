// The fused update steps of the optimisers: one call for all parameters. Inputs come in groups of n = number
// of parameters; the overwritten groups first, the gradients last. Formulas as in the docstrings of optim/.
// Where a call is clocked, one input more says what changes from step to step, in place of the attributes:
// float64 (n, 4), the ClockRow of each parameter.
#pragma once

#include "core/primitive.h"
#include "kernels/update.h"

namespace tidu {

struct SgdAttrs {
  int count;  // n
  double lr, momentum, weight_decay;
  bool nesterov, first;  // first: the momentum buffers hold nothing yet and become the gradient
  bool clocked = false;
  void fields(auto&& field) const {
    field("count", count), field("lr", lr), field("momentum", momentum), field("weight_decay", weight_decay);
    field("nesterov", nesterov), field("first", first), field("clocked", clocked);
  }
};
struct AdamAttrs {
  int count;  // n
  double lr, beta1, beta2, eps, weight_decay;
  bool decoupled;  // AdamW
  int64_t step;    // 1 at the first
  bool clocked = false;
  void fields(auto&& field) const {
    field("count", count), field("lr", lr), field("beta1", beta1), field("beta2", beta2), field("eps", eps);
    field("weight_decay", weight_decay), field("decoupled", decoupled), field("step", step),
        field("clocked", clocked);
  }
};
struct RmspropAttrs {
  int count;  // n
  double lr, alpha, eps, weight_decay, momentum;
  bool clocked = false;
  void fields(auto&& field) const {
    field("count", count), field("lr", lr), field("alpha", alpha), field("eps", eps),
        field("weight_decay", weight_decay), field("momentum", momentum), field("clocked", clocked);
  }
};

namespace primitives {
extern Primitive sgd_update;      // (parameters, [buffers if momentum != 0], gradients)
extern Primitive adam_update;     // (parameters, first moments, second moments, gradients)
extern Primitive rmsprop_update;  // (parameters, square averages, [buffers if momentum != 0], gradients)
}  // namespace primitives

// use(attributes), where a call is one of these.
template <class Use> bool visit_update(const Primitive& primitive, const Attrs& attrs, const Use& use) {
  if (&primitive == &primitives::sgd_update) {
    use(attrs.as<SgdAttrs>());
  } else if (&primitive == &primitives::adam_update) {
    use(attrs.as<AdamAttrs>());
  } else if (&primitive == &primitives::rmsprop_update) {
    use(attrs.as<RmspropAttrs>());
  } else {
    return false;
  }
  return true;
}

// In what the tensors beside a parameter are kept, and computed: small steps would vanish in 16 bits.
DType state_dtype(DType parameter);

// A GradientError where a live transform would miss the derivative of a gradient: what is written in place to
// parameters has none.
void check_gradients(const Tensors& gradients);

// What the kernels are given.
SgdStep step_of(const SgdAttrs& attrs);
AdamStep step_of(const AdamAttrs& attrs);
RmspropStep step_of(const RmspropAttrs& attrs);
// Betas are Adam's.
ClockRow clock_row(double lr, int64_t step, double beta1 = 0, double beta2 = 0);

// Applies one of them: `state` holds the overwritten groups one after another, parameters first. All tensors
// must be contiguous and those of a parameter of one shape, the gradient of its dtype, the others of its
// state_dtype. The clock is undefined where the call is not clocked.
void apply_update(const Primitive& primitive, const Tensors& state, const Tensors& gradients,
                  const Attrs& attrs, const Tensor& clock = {});

}  // namespace tidu
