// Where a search goes: tensors whose elements, joined, are one vector.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "core/escape.h"
#include "tensor/tensor.h"

namespace tidu::optim {

// <a, b> in float64.
double dot(const Tensor& a, const Tensor& b);
// The Euclidean norm in float64; elements whose squares overflow do no harm.
double norm(const Tensor& x);

class Domain {
 public:
  // The elements of the tensors as one vector, and a vector as tensors like them.
  Tensor start() const;
  Tensors split(const Tensor& vector) const;

  // Of the arithmetic: as coarse as the coarsest part.
  double epsilon() const { return epsilon_; }
  DType dtype() const { return dtype_; }

 protected:
  explicit Domain(Tensors leaves);
  const Tensors& leaves() const { return leaves_; }
  // What is computed is of this dtype, too.
  void coarsen(DType dtype);

 private:
  Tensors leaves_;
  DType dtype_;
  double epsilon_;
};

// That a search may compute with these as plain numbers: a TraceError where they have no values, and a
// GradientError where somebody beyond `free` would miss their derivative, which a report does not have.
void check_numbers(const Tensors& found, const std::string& op,
                   Differentiated free = Differentiated::by_backward);

// A point as constants; an error names `op` where it cannot be one.
Tensors detached(const Tensors& primals, const char* op);

// Parameters that a method works on: errors name it where one cannot be.
void check_parameters(const Tensors& parameters, const std::string& op);
// The numbers of those that require grad, and the parameters that have the numbers.
std::vector<int64_t> trained_numbers(const Tensors& parameters);
Tensors numbered(const Tensors& parameters, const std::vector<int64_t>& numbers);
// The numbers that a state says it is of.
std::vector<int64_t> numbers_in_state(const std::map<std::string, Tensor>& state, const Tensors& parameters,
                                      const std::string& op);
// Writes values into parameters, and drops their gradients.
void put(const Tensors& parameters, const Tensors& values);

}  // namespace tidu::optim
