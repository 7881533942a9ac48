// Tensors as one vector, and back.
#pragma once

#include <vector>

#include "tensor/tensor.h"

namespace tidu {

// The elements of all tensors, as constants of a dtype on the first one's device.
Tensor join(const Tensors& tensors, DType dtype);
// The elements of a vector as tensors of the shapes, dtypes and devices of others.
Tensors split_like(const Tensor& vector, const Tensors& like);

// Floating-point tensors of fixed specs as one vector and back, in derivatives too: of the dtype in which all
// meet, and at least float32, on the first one's device.
class Joint {
 public:
  // A ValueError without tensors, a DTypeError where one is no floating-point tensor.
  Joint(const char* op, const char* what, const Tensors& like);

  Tensor vector(const Tensors& tensors) const;
  Tensors tensors(const Tensor& vector) const { return parts(vector, {}); }
  // Of vectors along axis 0, tensors that have that axis in front.
  Tensors rows(const Tensor& vectors) const { return parts(vectors, {vectors.size(0)}); }
  size_t count() const { return specs_.size(); }
  // Of the coarsest of the dtypes.
  double epsilon() const;
  // A ShapeError that names op and `result` where tensors are not of the specs.
  void check(const Tensors& tensors, const char* result) const;

 private:
  Tensors parts(const Tensor& vectors, const Shape& outer) const;

  const char* op_;
  std::vector<Spec> specs_;
  DType dtype_;
};

}  // namespace tidu
