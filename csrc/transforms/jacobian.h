// Matrices of derivatives: Jacobian and Hessian. They are made of vjp and jvp, batched, and they nest as
// these do.
#pragma once

#include <optional>

#include "transforms/directional.h"

namespace tidu {

// How many rows or columns are computed at once, where not as many as fit into kMemoryForLanes bytes.
using Chunk = std::optional<int64_t>;

// blocks[o][i] is d outputs[o] / d primals[i], of shape outputs[o].shape + primals[i].shape.
using Blocks = std::vector<Tensors>;

// A backward pass for the elements of the outputs, all at once.
Blocks jacrev(const Function& function, const Tensors& primals, Chunk chunk = {});
// The linear part of an evaluation for the elements of the primals, all at once.
Blocks jacfwd(const Function& function, const Tensors& primals, Chunk chunk = {});
// By the leaves of the graph that an output has from the ambient tape, that of Tensor::backward, which stays:
// in reverse mode, of no effect on their grads.
Tensors jacobian_of_graph(const Tensor& output, const Tensors& leaves);
// By the mode that takes fewer passes, reverse where both take as many.
Blocks jacobian(const Function& function, const Tensors& primals, Chunk chunk = {});
enum class Mode : uint8_t { forward, reverse };
Mode jacobian_mode(const Tensors& outputs, const Tensors& primals);
// The Jacobian of the gradient, blocks[j][i] for primals j and i: forward over reverse or, where a rule of
// the user's own cannot be transposed, reverse over reverse.
Blocks hessian(const ScalarFunction& function, const Tensors& primals, Chunk chunk = {});
// Its blocks as one matrix over all elements of the primals, in float64 and as a constant.
Tensor hessian_matrix(const ScalarFunction& function, const Tensors& primals);
// The Hessian's diagonal, one tensor of the shape of each primal: a product of the Hessian for each element,
// but no matrix.
Tensors hessian_diagonal(const ScalarFunction& function, const Tensors& primals);

// A DTypeError or ValueError where one of the tensors, which are each a `what` ("argument"), has no
// derivative.
void check_differentiable(const Tensors& tensors, const char* what);

// The same for functions of one tensor, as functions: jacobian(f)(x) is of shape f(x).shape + x.shape.
UnaryFunction jacrev(UnaryFunction function);
UnaryFunction jacfwd(UnaryFunction function);
UnaryFunction jacobian(UnaryFunction function);
UnaryFunction hessian(UnaryFunction function);
UnaryFunction hessian_diagonal(UnaryFunction function);

}  // namespace tidu
