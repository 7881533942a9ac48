// Linear algebra by orthogonal factors: eigenvalues, singular values, and what is made of them. The last two
// axes are those of matrices (.., m, n), k = min(m, n), the others a batch. X^H is the conjugate transpose,
// of real matrices X^T.
//
// Equal eigenvalues or singular values leave free how their vectors turn; here it has nothing to do with the
// axes (kernels/turning.h). The phases of complex vectors are free everywhere: a gradient that depends on
// them is a GradientError, and tangents are those in which they stay. Derivatives at equal values are those
// of functions that do not see it and that the values' gradient determines, as it does that of tr f(A); of
// others they are a GradientError. A tangent or the cotangent of a gradient says how they turn
// (kernels/splitting.h): tangents of values are the one-sided derivatives of the sorted ones, and second
// derivatives of their symmetric functions are exact in every mix of the modes but forward mode over itself
// along two directions. In reverse mode the vectors that cotangents of values belong to travel beside these,
// as the cotangent of a `frame`. The third are a GradientError. (Magnus and Neudecker, "Matrix Differential
// Calculus", sections 8.8 and 8.9; Giles, "An extended collection of matrix derivative results", 2008; Walter
// and Lehmann, "Algorithmic differentiation of linear algebra functions", 2010; Golub and Pereyra, "The
// differentiation of pseudo-inverses and nonlinear least squares problems", 1973.)
#pragma once

#include <optional>

#include "core/primitive.h"
#include "ops/linalg.h"

namespace tidu::linalg {

// Q (.., m, k) with orthonormal columns and upper triangular R (.., k, n), A = Q R; `complete`: Q (.., m, m)
// and R (.., m, n), which have no derivative where m > n. The first k columns of A must be independent for
// there to be one.
// The diagonal of R is real.
//   R' = (Q^H A' R^-1 - W) R, W = L - L^H, L the lower triangle of Q^H A' R^-1 with half the diagonal
struct Qr {
  Tensor q, r;
};
Qr qr(const Tensor& x, bool complete = false);

// Of symmetric (Hermitian) matrices, of which the lower triangle is read: eigenvalues in ascending order (..,
// n), and vectors as columns (.., n, n). The gradient is the symmetric one.
//   w' = diag(V^H A' V); V' = V (F * V^H A' V), F_ij = 1 / (w_j - w_i), 0 where they are equal
struct Eigh {
  Tensor eigenvalues, eigenvectors;
};
Eigh eigh(const Tensor& x);
Tensor eigvalsh(const Tensor& x);

// A = U diag(S) Vh with singular values in descending order; U (.., m, k) and Vh (.., k, n), or of all
// columns and rows where `full_matrices`: of those added, gradients see their span alone, and tangents are
// NaN.
//   S' = Re diag(U^H A' V); where a singular value is 0, its derivative counts as 0, as that of |x| does
struct Svd {
  Tensor u, s, vh;
};
Svd svd(const Tensor& x, bool full_matrices = true);
Tensor svdvals(const Tensor& x);

// The pseudo-inverse (.., n, m): singular values up to rtol (by default max(m, n) eps) times the largest
// count as 0. Its derivative is that among matrices of the same rank. rtol may be of each matrix, (..).
Tensor pinv(const Tensor& x, std::optional<double> rtol = {});
Tensor pinv(const Tensor& x, const Tensor& rtol);
// How many singular values are larger than that, in int64.
Tensor matrix_rank(const Tensor& x, std::optional<double> rtol = {});
Tensor matrix_rank(const Tensor& x, const Tensor& rtol);
// The solution x (.., n, k) of least norm among those that make |a x - b| least, for b (.., m, k) or a vector
// (m); the sums of squares of a x - b, the rank and the singular values of a.
struct Lstsq {
  Tensor x, residuals, rank, singular_values;
};
Lstsq lstsq(const Tensor& a, const Tensor& b, std::optional<double> rtol = {});

// Sums of singular values, the largest and the least.
enum class SpectralNorm : uint8_t { nuclear, largest, least };
Tensor spectral_norm(const Tensor& x, SpectralNorm norm, bool keepdims = false);

// Condition numbers |x| |x^-1|, infinite for singular matrices: of any matrix by the largest singular values
// (the ratio of the largest and the least), or by the least ones (its reciprocal); of square ones by any
// norm.
Tensor cond(const Tensor& x, SpectralNorm norm = SpectralNorm::largest);
Tensor cond(const Tensor& x, MatrixNorm norm);

// The exponential of square matrices.
//   the upper right block of exp [A A'; 0 A]
Tensor matrix_exp(const Tensor& x);

// The x with tensordot(a, x, x.ndim()) = b, after the axes of a that `axes` names went to its end; and the
// inverse of tensordot with a, whose first `ind` axes are those of the result.
Tensor tensorsolve(const Tensor& a, const Tensor& b, const std::optional<Axes>& axes = {});
Tensor tensorinv(const Tensor& a, int64_t ind = 2);

}  // namespace tidu::linalg

namespace tidu {

struct CompleteAttrs {
  bool complete;
  void fields(auto&& field) const { field("complete", complete); }
};
struct SplitAttrs {
  bool singular;  // values in descending order, of which those that are nothing do not split
  void fields(auto&& field) const { field("singular", singular); }
};

namespace primitives {
extern Primitive qr;    // CompleteAttrs: q, r
extern Primitive eigh;  // of the lower triangle: values, vectors; as constants
extern Primitive svd;   // CompleteAttrs: u, s, vh; as constants
// (a, values, vectors), (a, u, s, vh): what the constants are as functions of a. Beside values comes their
// frame, whose value says nothing. Its cotangent does: the vectors that the values' cotangent belongs to, as
// columns (left above right), and below them which equal values it does not tell apart, 1.
extern Primitive eigenvalues, singular_values;
extern Primitive eigenvectors;
extern Primitive singular_vectors;  // u, vh
extern Primitive null_vectors;      // (u, rest): rest, as a function of u
// (a, values, vectors, g, frame), (a, u, s, vh, g, frame): V diag(g) V^H and U diag(g) V^H, the gradients of
// functions of values that have the gradient g and the frame, as functions of a and g.
extern Primitive spectrum, singular_spectrum;
// SplitAttrs, (values, left, right, t): the vectors that a matrix has once it moved by t, which splits equal
// values; constants.
extern Primitive split_vectors;
// CallerAttrs, (left, t, right, equal, frame): Re diag(L^H t R), the motion along t of values that have the
// frame, and a frame for what is done with it. Those that are equal must not be told apart.
extern Primitive motion;
// CallerAttrs, (mask, x, others): x, and a GradientError where the mask is true of an element that is not
// nothing beside others, or whose derivative is not.
extern Primitive vanishing;
// (undetermined, x): x, and a GradientError where a matrix of the mask has a true element.
extern Primitive determined;
extern Primitive pinv;  // (a, rtol)
extern Primitive matrix_exp;
}  // namespace primitives

}  // namespace tidu
