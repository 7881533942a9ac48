// Products of matrices that our own kernels compute.
#pragma once

#include <optional>

#include "kernels/cuda/matmul.h"
#include "tensor/tensor.h"

namespace tidu::cuda {

// Nothing where cuBLAS computes the product, as it is set now, or operands would be copied first.
std::optional<MatmulProblem> own_problem(const Tensor& a, const Tensor& b, const Tensor& out,
                                         const Tensor& bias);

}  // namespace tidu::cuda
