// Matrices of derivatives: Jacobian and Hessian. Pass for pass they are made of vjp and jvp, and they nest as
// these do.
#pragma once

#include "transforms/directional.h"

namespace tidu {

// blocks[o][i] is d outputs[o] / d primals[i], of shape outputs[o].shape + primals[i].shape.
using Blocks = std::vector<Tensors>;

// One backward pass for each element of the outputs.
Blocks jacrev(const Function& function, const Tensors& primals);
// One evaluation, with its directional derivative, for each element of the primals.
Blocks jacfwd(const Function& function, const Tensors& primals);
// By the mode that takes fewer passes, reverse where both take as many.
Blocks jacobian(const Function& function, const Tensors& primals);
enum class Mode : uint8_t { forward, reverse };
Mode jacobian_mode(const Tensors& outputs, const Tensors& primals);
// The Jacobian of the gradient, blocks[j][i] for primals j and i: forward over reverse or, where a rule of
// the user's own cannot be transposed, reverse over reverse.
Blocks hessian(const ScalarFunction& function, const Tensors& primals);
// The Hessian's diagonal, one tensor of the shape of each primal: a product of the Hessian for each element,
// but no matrix.
Tensors hessian_diagonal(const ScalarFunction& function, const Tensors& primals);

// The same for functions of one tensor, as functions: jacobian(f)(x) is of shape f(x).shape + x.shape.
UnaryFunction jacrev(UnaryFunction function);
UnaryFunction jacfwd(UnaryFunction function);
UnaryFunction jacobian(UnaryFunction function);
UnaryFunction hessian(UnaryFunction function);
UnaryFunction hessian_diagonal(UnaryFunction function);

}  // namespace tidu
