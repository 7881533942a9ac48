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
  // Where each element of the pattern stands in the products, one after the other; or in the list of what
  // substitution finds, where there is any.
  std::vector<int64_t> places;

  // The different elements of a symmetric matrix, of which each stands in a product together with others that
  // are found before it.
  struct Substitution {
    std::vector<int64_t> places;   // in the products
    std::vector<int64_t> parents;  // of the first so many elements: which one stands in its sum with this one
    // Elements from levels[l] to levels[l + 1] are found before the parents of any of them.
    std::vector<int64_t> levels;
    int64_t most_subtracted = 0;  // how many elements, one from the other, come into one
  };
  Substitution substitution{};
};

// How the elements of a symmetric matrix are found: each read as it stands in a product, or by substitution.
// `best` is substitution where it takes fewer products and adds up at most kMostSubtracted elements, whose
// errors add up, too.
enum class Recovery : uint8_t { best, direct, substitution };
inline constexpr int64_t kMostSubtracted = 8;

// Such that no two columns (rows) of one colour have elements in one row (column): of several greedy orders
// (natural, largest first, by the colours found) the one with the fewest colours.
Coloring color_columns(Sparsity pattern);
Coloring color_rows(Sparsity pattern);
// By columns or by rows, whichever takes fewer; columns where both take as many.
Coloring color_jacobian(Sparsity pattern);
// A star colouring of the graph of a symmetric pattern: neighbours differ, and every path over four vertices
// has three colours, so that one of two equal elements stands alone in its product. By columns where that
// takes fewer. For substitution an acyclic colouring, where that takes fewer: neighbours differ, and every
// cycle has three colours, so that the edges between two colours are trees, whose leaves stand alone
// (Gebremedhin, Manne, Pothen: What color is your Jacobian?, SIAM Review 47, 2005; Gebremedhin, Tarafdar,
// Manne, Pothen: New acyclic and star coloring algorithms with application to computing Hessians, 2007). A
// ValueError where the pattern is not symmetric.
Coloring color_hessian(Sparsity pattern, Recovery recovery = Recovery::best);

}  // namespace tidu
