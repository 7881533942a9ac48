// Tensors as one vector, and back.
#pragma once

#include "tensor/tensor.h"

namespace tidu {

// The elements of all tensors, as constants of a dtype on the first one's device.
Tensor join(const Tensors& tensors, DType dtype);
// The elements of a vector as tensors of the shapes, dtypes and devices of others.
Tensors split_like(const Tensor& vector, const Tensors& like);

}  // namespace tidu
