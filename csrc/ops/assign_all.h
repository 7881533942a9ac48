// Writing several tensors in place at once.
#pragma once

#include "tensor/tensor.h"

namespace tidu {

// Writes values[i] into places[i] for all i, as `assign` does, as if all values were read before. What assign
// would raise for one of them comes before anything is changed.
void assign_all(Tensors places, Tensors values);

}  // namespace tidu
