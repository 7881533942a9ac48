// Functions with a derivative of the user's own.
#pragma once

#include "transforms/derivatives.h"

namespace tidu {

// `function(inputs)`, but where it is differentiated `forward` runs in its place: it returns the outputs and
// the pullback (which may hold on to residuals). Forward mode transposes the pullback, which must be linear
// in the cotangents, else it is a NotLinearError. Where transforms nest, each gives the outputs what the rule
// says, and what the rule computes is differentiated in turn. A rule may call the function that it is given
// for; it may then be kept, and run again when a derivative of higher order needs it.
struct CustomForward {
  Tensors outputs;
  Function pullback;
};
Tensors custom_vjp(const Function& function, const std::function<CustomForward(const Tensors&)>& forward,
                   const Tensors& inputs);

// `function(inputs)`, but where it is differentiated `rule(primals, tangents)` runs in its place: it returns
// outputs and tangents, the latter linear in the tangents given. Reverse mode transposes it.
Tensors custom_jvp(const Function& function, const std::function<Jvp(const Tensors&, const Tensors&)>& rule,
                   const Tensors& inputs);

namespace primitives {
// Such calls in programs: (arguments, what the programs close over); the attributes hold function and rule.
extern Primitive custom_vjp, custom_jvp;
}  // namespace primitives

}  // namespace tidu
