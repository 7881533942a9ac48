// Matrices of derivatives: Jacobian and Hessian, and the Hessian's product with a vector. Pass for pass they
// are made of vjp and jvp, and they nest as these do.
#pragma once

#include "autodiff/transforms.h"

namespace tidu {

// blocks[o][i] is d outputs[o] / d primals[i], of shape outputs[o].shape + primals[i].shape.
using Blocks = std::vector<Tensors>;

// One backward pass for each element of the outputs.
Blocks jacrev(const Function& function, const Tensors& primals);
// One evaluation, with its directional derivative, for each element of the primals.
Blocks jacfwd(const Function& function, const Tensors& primals);
// By the mode that takes fewer passes.
Blocks jacobian(const Function& function, const Tensors& primals);
// The Jacobian of the gradient, blocks[j][i] for primals j and i: forward over reverse or, where a rule of
// the user's own cannot be transposed, reverse over reverse.
Blocks hessian(const ScalarFunction& function, const Tensors& primals);
// The product of the Hessian at the primals with a vector, by the same modes; one of the shape of each
// primal.
Tensors hvp(const ScalarFunction& function, const Tensors& primals, const Tensors& tangents);

// The same for functions of one tensor, as functions: jacobian(f)(x) is of shape f(x).shape + x.shape.
using UnaryFunction = std::function<Tensor(const Tensor&)>;
UnaryFunction jacrev(UnaryFunction function);
UnaryFunction jacfwd(UnaryFunction function);
UnaryFunction jacobian(UnaryFunction function);
UnaryFunction hessian(UnaryFunction function);

}  // namespace tidu
