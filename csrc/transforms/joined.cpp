// Tensors as one vector, and back.
#include "transforms/joined.h"

#include "ops/convert.h"
#include "ops/creation.h"
#include "ops/shape.h"

namespace tidu {

Tensor join(const Tensors& tensors, DType dtype) {
  if (tensors.empty()) return zeros({0}, dtype);
  Tensors parts;
  for (const Tensor& tensor : tensors) {
    const Tensor here = to(stop_gradient(tensor), tensors[0].device());
    parts.push_back(reshape(astype(here, dtype), {tensor.numel()}));
  }
  return concat(parts, 0);
}

Tensors split_like(const Tensor& vector, const Tensors& like) {
  Tensors parts;
  int64_t begin = 0;
  for (const Tensor& tensor : like) {
    const Tensor part = slice_axis(vector, 0, begin, begin + tensor.numel());
    parts.push_back(to(astype(reshape(part, tensor.shape()), tensor.dtype()), tensor.device()));
    begin += tensor.numel();
  }
  return parts;
}

}  // namespace tidu
