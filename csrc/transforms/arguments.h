// What transforms ask of the arguments and results of the functions that they differentiate.
#pragma once

#include "tensor/tensor.h"

namespace tidu {

// A ValueError or DTypeError of argument i.
void check_differentiable(const Tensor& primal, size_t i, const char* op);
// A ShapeError where tangent, cotangent or term i is not like its point.
void check_like(const Tensor& vector, const Tensor& point, size_t i, const char* op, const char* what);
void check_output(const Tensor& output, const char* op);

// Copies under new identities, so that nested transforms of one variable are not confused.
Tensors fresh(const Tensors& tensors);

}  // namespace tidu
