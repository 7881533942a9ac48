// Products of matrices in patches, for those who go on with a patch while it is in the cache.
#pragma once

#include <optional>

#include "backend/backend.h"
#include "backend/cpu/gemm.h"
#include "backend/cpu/workspace.h"

namespace tidu::cpu {

// Where matrix `index` of a batch begins.
int64_t batch_offset(const Tensor& x, int64_t index);

// A batch of products of one dtype, not empty. Its patches are each a product by itself on the thread that
// asks for it. They are what its shape says, so that bits depend neither on threads nor on who asks; or where
// our own kernel computes the same bits in whatever patches, as few as give each thread one.
//
// Where a matrix meets its own transpose, half of the product is computed. Whether it does is asked of the
// elements, of each matrix of a batch by itself: a compiled function computes once what its eager twin
// computes twice, and `vmap` mixes what meets itself with what does not.
class Product {
 public:
  // Each row of a @ b is added to the bias where there is one. Of operands that are laid out otherwise than
  // BLAS takes them there are copies in the workspace; where that only counts, nothing else may be asked.
  Product(const Tensor& a, const Tensor& b, const Tensor& bias, Workspace& workspace);
  Product(const Product&) = delete;

  struct Patch {
    int64_t first;  // element of the row-major result
    int64_t rows, columns;
    int64_t batch, row, column;  // where that is
  };
  // Of 16-bit floats there are products where the processor multiplies these, and they are added to nothing.
  static bool supports(DType dtype, int64_t rows, int64_t columns, int64_t depth);

  int64_t patches() const { return batches_ * most_; }
  // Where a matrix has fewer patches than another of the batch, the rest of its are empty.
  Patch patch(int64_t i) const;
  int64_t columns() const { return n_; }
  // Of one patch, in elements of simpler kernels.
  int64_t work() const;
  // Writes a patch to its place in the result, and with it the equal one across the diagonal, if there is
  // one; nothing where that patch's twin does.
  void write(int64_t i, void* result) const;
  // Writes a patch, its rows `leading` elements apart.
  void compute(int64_t i, void* to, int64_t leading) const { compute_(*this, i, nullptr, to, leading); }
  // The same added to what lies as `to` does, and may be it.
  void add(int64_t i, const void* onto, void* to, int64_t leading) const {
    compute_(*this, i, onto, to, leading);
  }

 private:
  // A batch of matrices as BLAS sees it: rows `leading` apart, or columns if transposed.
  struct Matrices {
    explicit Matrices(const Tensor& x);
    int64_t offset(int64_t batch) const { return step ? batch * *step : batch_offset(tensor, batch); }
    // One of the batch, from this element on.
    template <class T> Factor<T> from(int64_t batch, int64_t row, int64_t column) const {
      const int64_t place = transposed ? column * leading + row : row * leading + column;
      return {static_cast<const T*>(tensor.raw_data()) + offset(batch) + place, leading, transposed};
    }

    Tensor tensor;
    bool transposed;
    int64_t leading;
    std::optional<int64_t> step;  // from one to the next, where that is always the same
  };
  // Patches of a matrix: extents of one, numbers of them.
  struct Grid {
    Grid(int64_t m, int64_t n, const ProductSize& patch);
    int64_t rows, columns, down, across;
  };

  bool is_symmetric(int64_t batch) const { return symmetric_ && symmetric_[batch]; }
  bool is_own_transpose(int64_t batch) const;

  template <class T>
  static void compute_of(const Product& product, int64_t i, const void* onto, void* to, int64_t leading);

  Matrices a_, b_;
  Tensor bias_;
  int64_t batches_, m_, n_, depth_;
  bool may_meet_;              // its own transpose, by its shape
  Way way_;                    // of patches that our own kernel computes, else 0
  Grid plain_, square_;        // the second of symmetric products
  int64_t most_;               // patches of a matrix
  bool* symmetric_ = nullptr;  // of each matrix of a batch; null: of none
  bool only_;
  void (*compute_)(const Product&, int64_t i, const void* onto, void* to, int64_t leading) = nullptr;
};

// The sum of a value and a product, patch by patch.
void add_product(const Call& call, const Factors& factors, Workspace& workspace);

}  // namespace tidu::cpu
