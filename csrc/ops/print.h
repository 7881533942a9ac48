// Tensors as text.
#pragma once

#include <iosfwd>

#include "tensor/tensor.h"

namespace tidu {

// Writes the values as NumPy does, of over 1,000 only the first and last three along each axis, and the
// dtype: "tensor([[1, 2.5], [3, 4]], float32 cpu)" on as many lines as there are rows.
std::ostream& operator<<(std::ostream& out, const Tensor& tensor);

}  // namespace tidu
