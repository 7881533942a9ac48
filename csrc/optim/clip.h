// Keeping gradients small.
#pragma once

#include "tensor/tensor.h"

namespace tidu::optim {

// The Euclidean norm of all gradients as one vector, a 0-d tensor of at least float32. Undefined ones count
// as zero.
Tensor global_norm(const Tensors& gradients);
// The gradients times min(1, max_norm / (global_norm + 1e-6)), as in PyTorch; ValueError for a negative
// max_norm.
Tensors clip_by_norm(const Tensors& gradients, double max_norm);
// The gradients with each element held in [-limit, limit].
Tensors clip_by_value(const Tensors& gradients, double limit);

// The same for the grad() of each parameter. The first returns the norm that it found.
Tensor clip_grad_norm(const Tensors& parameters, double max_norm);
void clip_grad_value(const Tensors& parameters, double limit);

}  // namespace tidu::optim
