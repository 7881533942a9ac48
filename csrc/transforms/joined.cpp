// Tensors as one vector, and back.
#include "transforms/joined.h"

#include "ops/convert.h"
#include "ops/creation.h"
#include "ops/shape.h"
#include "transforms/closure.h"

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

Joint::Joint(const char* op, const char* what, const Tensors& like)
    : op_(op), specs_(specs_of(like)), dtype_(DType::float32) {
  if (like.empty()) fail<ValueError>("[", op, "] ", what, " has no tensors");
  for (const Tensor& tensor : like) {
    if (!is_floating(tensor.dtype()))
      fail<DTypeError>("[", op, "] ", what, " is ", describe(tensor),
                       " but must be of floating-point numbers (use astype)");
    dtype_ = promote(dtype_, tensor.dtype());
  }
}

double Joint::epsilon() const {
  double result = 0;
  for (const Spec& spec : specs_) {
    const double own = spec.dtype == DType::float64    ? 0x1p-52
                       : spec.dtype == DType::float32  ? 0x1p-23
                       : spec.dtype == DType::bfloat16 ? 0x1p-7
                                                       : 0x1p-10;
    result = std::max(result, own);
  }
  return result;
}

Tensor Joint::vector(const Tensors& tensors) const {
  Tensors parts;
  for (const Tensor& tensor : tensors) parts.push_back(astype(to(flatten(tensor), specs_[0].device), dtype_));
  return parts.size() == 1 ? parts[0] : concat(parts, 0);
}

Tensors Joint::parts(const Tensor& vectors, const Shape& outer) const {
  Tensors result;
  int64_t begin = 0;
  for (const Spec& spec : specs_) {
    const int64_t count = num_elements(spec.shape);
    const Tensor part = specs_.size() == 1 ? vectors : slice_axis(vectors, -1, begin, begin + count);
    Shape shape = outer;
    for (const int64_t extent : spec.shape) shape.push_back(extent);
    result.push_back(to(astype(reshape(part, shape), spec.dtype), spec.device));
    begin += count;
  }
  return result;
}

void Joint::check(const Tensors& tensors, const char* result) const {
  if (!std::ranges::all_of(tensors, &Tensor::defined))
    fail<ValueError>("[", op_, "] ", result, " lacks a tensor");
  check_same_specs(op_, result, specs_of(tensors), specs_);
}

}  // namespace tidu
