// Whether tensors have elements in common.
#pragma once

#include "tensor/tensor.h"

namespace tidu {

// Whether some byte belongs to an element of both. Of tensors whose values are not known, whether that holds
// for the memory that they stand for. Exact but where the search would take too long: then the answer is yes.
bool share_elements(const Tensor& a, const Tensor& b);

}  // namespace tidu
