// Linear algebra of square matrices and what is made of it: factors, solutions, inverses, determinants. The
// last two axes are those of matrices (.., n, n), the others a batch. float32, float64 and complex numbers of
// these; integers are first cast to float32. X^H is the conjugate transpose, of real matrices X^T.
//
// In derivatives G is the cotangent of a result, A' and X' are tangents. The rules of factorisations that are
// solved with are given the factors again: nothing is factorised twice. (Matrix differentials: Magnus and
// Neudecker, "Matrix Differential Calculus", chapter 8; of factors: Murray, "Differentiation of the Cholesky
// decomposition", 2016.)
#pragma once

#include <optional>
#include <ostream>
#include <string_view>

#include "kernels/matrix_fault.h"
#include "ops/contract.h"

namespace tidu::linalg {

// --- Factors

// Lower triangular L (.., n, n) with A = L L^H or, with `upper`, U with A = U^H U. Only that triangle of A is
// read; A counts as symmetric (Hermitian), so its cotangent is symmetric and its tangent is made so. A
// ValueError names the leading minor that is not positive, and the matrix of the batch.
//   L' = L phi(L^-1 A' L^-H), phi being the lower triangle with half the diagonal
Tensor cholesky(const Tensor& x, bool upper = false);

// A with rows exchanged is L U: L below the diagonal of `lu` (.., m, n), with ones on its own, U above and on
// it. For i from 0 to min(m, n) - 1, row i was exchanged with row pivots[.., i]. Singular matrices have
// factors, too.
//   (L U)' = L tril(F, -1) + triu(F) U, F = L^-1 P A' U^-1
struct Lu {
  Tensor lu, pivots;
};
Lu lu_factor(const Tensor& x);

// --- Solutions of a x = b for b (.., n, k), or a vector (n). Batches are broadcast. Singular matrices are a
// ValueError that names the matrix and its pivot.

//   X' = A^-1 (B' - A' X); of A: -A^-H G X^H, of B: A^-H G
Tensor solve(const Tensor& a, const Tensor& b);
// Of a triangular matrix, whose other triangle (and with `unit_diagonal` diagonal, which is 1) is not read.
Tensor solve_triangular(const Tensor& a, const Tensor& b, bool upper = false, bool unit_diagonal = false);
// Of L L^H x = b, or U^H U x = b.
Tensor cholesky_solve(const Tensor& b, const Tensor& factor, bool upper = false);
// Of the matrix that has the factors, or its transpose.
Tensor lu_solve(const Lu& factors, const Tensor& b, bool transposed = false);
//   -A^-1 A' A^-1
Tensor inv(const Tensor& x);

// --- Determinants (..)

//   tr(adj(A) A'), singular matrices included
Tensor det(const Tensor& x);
// The sign (0 of a singular matrix; of complex ones det / |det|) and the logarithm of the absolute value
// (there -inf).
//   Re tr(A^-1 A') of the logarithm, i Im tr(A^-1 A') times the sign of the sign, which is 0 of real matrices
struct SignLogDet {
  Tensor sign, logabsdet;
};
SignLogDet slogdet(const Tensor& x);
// ln det; of real matrices NaN where the determinant is negative, of complex ones on the principal branch.
Tensor logdet(const Tensor& x);
// The transposed matrix of cofactors: A adj(A) = det(A) I, for every A. Its derivatives are exact to order 3
// for matrices of any rank, and to any order where the rank is at least n - 4.
Tensor adjugate(const Tensor& x);

// --- Norms

// Of vectors along the axes (all by default) of x: (sum |x|^ord)^(1 / ord), max |x| for inf, min |x| for
// -inf, the number of elements that are not 0 for 0. The derivatives of the 2-norm at 0 are 0.
Tensor vector_norm(const Tensor& x, const std::optional<Axes>& axes = {}, bool keepdims = false,
                   double ord = 2);
// Real x divided by that norm or, where it is less, by eps; also where the norm leaves the dtype's range.
Tensor unit_vectors(const Tensor& x, const Axes& axes, double ord, double eps);
enum class MatrixNorm : uint8_t { frobenius, columns, least_columns, rows, least_rows };
// Of matrices: sqrt(sum x^2), or the largest or smallest sum of absolute values of a column, or of a row.
Tensor matrix_norm(const Tensor& x, MatrixNorm norm = MatrixNorm::frobenius, bool keepdims = false);

// --- What the operations of this family check of their arguments

void require_matrices(const char* op, const Tensor& x);
void require_square(const char* op, const Tensor& x);

}  // namespace tidu::linalg

namespace tidu {

// What users called that a primitive is a step of: errors name it. One of few, which live as long as the
// program.
struct Caller {
  const char* name = "";
  bool operator==(const Caller& other) const { return std::string_view(name) == other.name; }
  friend size_t hash_value(Caller caller) { return std::hash<std::string_view>()(caller.name); }
};
inline AttrValue to_value(Caller caller) { return std::string(caller.name); }
void from_value(Caller& caller, const AttrValue& value);
struct CallerAttrs {
  Caller caller;
  void fields(auto&& field) const { field("caller", caller); }
};
// That of a call, by default the primitive.
const char* caller_of(const Call& call);

struct TriangularAttrs {
  bool upper, unit_diagonal;
  Caller caller{"solve_triangular"};
  void fields(auto&& field) const {
    field("upper", upper), field("unit_diagonal", unit_diagonal), field("caller", caller);
  }
};
struct LuAttrs {
  Caller caller;
  bool regular;  // whether a singular matrix is an error
  void fields(auto&& field) const { field("caller", caller), field("regular", regular); }
};
struct ExchangeAttrs {
  bool inverse;
  void fields(auto&& field) const { field("inverse", inverse); }
};
struct SolveAttrs {
  Caller caller;
  bool transposed;  // by the conjugate transpose
  void fields(auto&& field) const { field("caller", caller), field("transposed", transposed); }
};

namespace primitives {
extern Primitive cholesky;          // to the lower factor
extern Primitive lu_factor;         // LuAttrs: lu, int64 pivots (.., n)
extern Primitive exchange_rows;     // (x, pivots), ExchangeAttrs: from the first pivot on, or back
extern Primitive solve_triangular;  // (a, b), TriangularAttrs
// (a, b, lu, pivots), SolveAttrs: a^-1 b, of which lu and pivots are what is known of a.
extern Primitive solve;
extern Primitive det;
extern Primitive slogdet;  // (a, lu, pivots): sign, logarithm
}  // namespace primitives

// The memory of matrices with their axes exchanged, of which no trace hears: for kernels of libraries whose
// matrices are column-major.
Tensor transposed_view(const Tensor& x);

// Throws what `call` found wrong with matrix `index` of a batch: "[solve] ..: matrix (0, 1) is singular: ..".
[[noreturn]] void fail_matrix(const std::string& call, MatrixFault fault, const Shape& matrices,
                              int64_t index, int64_t number);

}  // namespace tidu
