// What the files of linear algebra share: checked arguments, triangles, and which matrices count.
#pragma once

#include "ops/linalg.h"

namespace tidu::linalg {

// In float32 or float64; 16 bits are refused.
Tensor of_reals(const char* op, const Tensor& x);

Shape batch_of(const Tensor& x);
// With the axes before the last `inner` broadcast.
Tensor with_batch(const Tensor& x, const Shape& batch, int inner = 2);
// The identity of the last axis of x.
Tensor identity_like(const Tensor& x);

// What is at most `offset` right of the diagonal, as a mask and with zeros elsewhere; what is not left of it.
Tensor below_diagonal(const Tensor& x, int64_t offset);
Tensor lower(const Tensor& x, int64_t offset = 0);
Tensor upper(const Tensor& x, int64_t offset = 0);
Tensor symmetric(const Tensor& x);

// Whether a matrix, or a column of it, is not all zero.
Tensor nonzero_matrices(const Tensor& x);
Tensor nonzero_columns(const Tensor& x);

// Which matrices count in a derivative. Those whose tangent or cotangent is zero do not, whatever their
// elements are; those that are not finite give NaN, and no derivatives of it.
class Counted {
 public:
  Counted(const Tensor& nonzero, const Tensor& value);
  explicit Counted(const Tensor& nonzero) : counted_(nonzero) {}
  const Tensor& mask() const { return counted_; }
  Tensor or_identity(const Tensor& x) const;
  Tensor or_zero(const Tensor& x) const;
  Tensor result(const Tensor& x) const;

 private:
  Tensor counted_, lost_;  // (.., 1, 1)
};

// `regular`: a singular matrix is an error.
Lu factors_of(Caller caller, const Tensor& x, bool regular);
// a^-1 b by factors of a that are known.
Tensor solve_known(Caller caller, const Tensor& a, const Tensor& b, const Lu& factors);
// solve and inv as a step of other operations.
Tensor solve_for(Caller caller, const Tensor& a, const Tensor& b);
Tensor inv_for(Caller caller, const Tensor& x);

}  // namespace tidu::linalg
