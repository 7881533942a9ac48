// What the files of linear algebra share: checked arguments, triangles, and which matrices count.
#pragma once

#include "ops/linalg.h"

namespace tidu::linalg {

struct Svd;

// In float32, float64, complex64 or complex128; 16 bits are refused.
Tensor computable(const char* op, const Tensor& x);
bool is_computable(DType dtype);

Shape batch_of(const Tensor& x);
// With the axes before the last `inner` broadcast.
Tensor with_batch(const Tensor& x, const Shape& batch, int inner = 2);
// The identity of the last axis of x.
Tensor identity_like(const Tensor& x);

// The conjugate transpose; what rules write for the transpose of real matrices.
Tensor adjoint(const Tensor& x);
// The symmetric part, of complex matrices the Hermitian one.
Tensor symmetric(const Tensor& x);
// The lower triangle with half the diagonal; its own transpose.
Tensor half_lower(const Tensor& x);

// Whether a matrix is not all zero.
Tensor nonzero_matrices(const Tensor& x);

// The extents of a batch of matrices (.., m, n) as numbers, and what each of them costs as the cost of all;
// an operation on complex numbers is four on real ones.
struct Extents {
  explicit Extents(const Spec& x)
      : m(x.shape[x.shape.size() - 2]),
        n(x.shape.back()),
        count(m * n == 0 ? 0 : num_elements(x.shape) / (m * n)),
        per_operation(is_complex(x.dtype) ? 4 : 1) {}
  Flops each(int64_t multiply_adds, int64_t arithmetic) const {
    return {count * per_operation * multiply_adds, count * per_operation * arithmetic};
  }
  int64_t m, n, count, per_operation;
};

// What the public functions see to: computable matrices, square ones; and factors of as many rows with their
// pivots.
void check_matrix(const SpecCall& call, size_t num_outputs);
void check_square(const SpecCall& call, size_t num_outputs);
bool are_pivots(const Spec& pivots, const Spec& matrix);

// Whether all elements of a matrix are finite; and those of a factor, which has no zero on its diagonal.
Tensor finite_matrices(const Tensor& x);
Tensor regular_factors(const Tensor& x);

// Which matrices count in a derivative. Others count for nothing where their tangent or cotangent is zero,
// whatever their elements are, and give NaN where it is not. Those that are in order count in any case: the
// next derivative is that of an expression in which the tangent or cotangent happens to be zero.
class Counted {
 public:
  // Finite ones.
  Counted(const Tensor& nonzero, const Tensor& value);
  // Of those the regular ones; by others of a tangent or cotangent that is not zero something will be
  // divided.
  Counted(const Tensor& nonzero, const Tensor& value, const Tensor& regular);
  // Those that are in order, and any that show by themselves that they are not, as a solution does.
  static Counted shown(const Tensor& nonzero, const Tensor& in_order);
  // The same as a function of `source`, where `value` is taken for a constant: what is lost depends on it.
  Counted of(const Tensor& source) const;
  const Tensor& mask() const { return counted_; }
  Tensor or_identity(const Tensor& x) const;
  Tensor or_zero(const Tensor& x) const;
  Tensor result(const Tensor& x) const;

 private:
  Counted() = default;
  Tensor value_, counted_, lost_;  // the latter (.., 1, 1)
};

// Singular values and vectors as constants.
Svd constant_svd(const Tensor& x, bool complete);
// `regular`: a singular matrix is an error.
Lu factors_of(Caller caller, const Tensor& x, bool regular);
// a^-1 b by factors of a that are known.
Tensor solve_known(Caller caller, const Tensor& a, const Tensor& b, const Lu& factors);
// solve and inv as a step of other operations.
Tensor solve_for(Caller caller, const Tensor& a, const Tensor& b);
Tensor inv_for(Caller caller, const Tensor& x);

}  // namespace tidu::linalg
