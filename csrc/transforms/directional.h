// Derivatives along directions: the linear model of a function, and its Hessian's products. A direction has
// a tensor for each primal, like it; an undefined one is zero.
#pragma once

#include "transforms/derivatives.h"

namespace tidu {

using UnaryFunction = std::function<Tensor(const Tensor&)>;

// J v, one tensor of the shape of each output: the slope of t -> function(primals + t v) at 0, whatever the
// length of v.
Tensors directional_derivative(const Function& function, const Tensors& primals, const Tensors& direction);
// Along which a scalar rises fastest: its gradient divided by the norm of it (over all primals). A ValueError
// where the gradient is zero.
Tensors steepest_direction(const ScalarFunction& function, const Tensors& primals);

// The function evaluated once, and the linear map v -> J v, which costs no more than the linear part of it
// and may be called again.
struct Linearized {
  Tensors outputs;
  Function derivative;
};
Linearized linearize(const Function& function, const Tensors& primals);

// H v, one tensor of the shape of each primal, for the Hessian H of a scalar: forward over reverse or, where
// a rule of the user's own cannot be transposed, reverse over reverse.
Tensors hvp(const ScalarFunction& function, const Tensors& primals, const Tensors& direction);
// v^T H, the same for twice differentiable functions, by reverse over reverse.
Tensors vhp(const ScalarFunction& function, const Tensors& primals, const Tensors& direction);

// The same for functions of one tensor.
Tensor directional_derivative(const UnaryFunction& function, const Tensor& x, const Tensor& direction);
Tensor steepest_direction(const UnaryFunction& function, const Tensor& x);
Tensor hvp(const UnaryFunction& function, const Tensor& x, const Tensor& direction);
Tensor vhp(const UnaryFunction& function, const Tensor& x, const Tensor& direction);
// The linear map p -> df(x)(p), for which f(x + p) = f(x) + df(x)(p) + o(norm p).
UnaryFunction total_derivative(const UnaryFunction& function, const Tensor& x);

}  // namespace tidu
