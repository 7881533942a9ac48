// Which columns (or rows) of a sparse matrix of derivatives are computed together, as products with sums of
// unit vectors: no element of the matrix may be added to another one, or it is read from another product.
#pragma once

#include "transforms/sparsity.h"

namespace tidu {

struct Coloring {
  // Of what the products are: of the matrix with groups of columns (a jvp each) or of rows (a vjp each).
  // Those of a symmetric matrix with groups of columns, each element read from the product of its column or
  // of its row.
  enum class Groups : uint8_t { columns, rows, symmetric };

  Sparsity pattern;
  Groups groups = Groups::columns;
  int64_t count = 0;            // how many colours, which is how many products
  std::vector<int64_t> colors;  // of each column, or row; -1 where it has no elements
  // Where each element of the pattern stands in the products, one after the other.
  std::vector<int64_t> places;
};

// Such that no two columns (rows) of one colour have elements in one row (column): of several greedy orders
// (natural, largest first, by the colours found) the one with the fewest colours.
Coloring color_columns(Sparsity pattern);
Coloring color_rows(Sparsity pattern);
// By columns or by rows, whichever takes fewer; columns where both take as many.
Coloring color_jacobian(Sparsity pattern);
// A star colouring of the graph of a symmetric pattern: neighbours differ, and every path over four vertices
// has three colours, so that one of two equal elements stands alone in its product. By columns where that
// takes fewer. A ValueError where the pattern is not symmetric.
Coloring color_hessian(Sparsity pattern);

}  // namespace tidu
