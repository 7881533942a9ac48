// Which derivatives can be other than zero, for whatever values, found without computing any.
#pragma once

#include <cstdint>
#include <vector>

#include "transforms/derivatives.h"

namespace tidu {

// Where a matrix has elements that can be other than 0, by rows: those of row i are in columns indices[k],
// ascending, for k from indptr[i] up to indptr[i + 1].
struct Sparsity {
  int64_t num_rows = 0, num_columns = 0;
  std::vector<int64_t> indptr{0}, indices{};

  int64_t count() const { return std::ssize(indices); }
  std::span<const int64_t> row(int64_t i) const {
    return std::span(indices).subspan(static_cast<size_t>(indptr[i]),
                                      static_cast<size_t>(indptr[i + 1] - indptr[i]));
  }
  bool operator==(const Sparsity&) const = default;
};

// That of a list of coordinates, in any order and repeated or not; a ValueError where one is outside.
Sparsity sparsity_of(int64_t num_rows, int64_t num_columns, std::span<const int64_t> rows,
                     std::span<const int64_t> columns);
Sparsity transposed(const Sparsity& pattern);

// The pattern of the Jacobian: a row for each element of the outputs, a column for each of the primals, those
// of each tensor in row-major order and one tensor after the other. It holds for all values of primals
// and `others`, which are further arguments of `function`; what the function closes over is taken as it is,
// and a product with a zero of it as zero, but for what a transform differentiates.
//
// The derivative of the function along a direction is recorded, for the specs of the arguments, and each of
// its calls takes sets of directions to such sets: exactly where it moves elements (views, indices that are
// known), combines those in the same place, reduces or accumulates along axes, or multiplies matrices; scans
// are unrolled, of branches both are followed. Of other calls each result depends on all that they read, in
// the matrix of a batch that it belongs to. A TraceError where the function looks at a value.
Sparsity jacobian_sparsity(const Function& function, const std::vector<Spec>& primals,
                           const std::vector<Spec>& others = {});
// The pattern of the Hessian of a scalar, found in the same way on the derivative of its gradient, and
// symmetric.
Sparsity hessian_sparsity(const ScalarFunction& function, const std::vector<Spec>& primals,
                          const std::vector<Spec>& others = {});

}  // namespace tidu
