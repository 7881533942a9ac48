// Products of matrices in blocks, for those who go on with a block while it is in the cache.
#pragma once

#include "backend/backend.h"

namespace tidu::cpu {

// Where matrix `index` of a batch begins.
int64_t batch_offset(const Tensor& x, int64_t index);

// A batch of products of one dtype, not of 16-bit floats and not empty. Its blocks are what its shape says,
// each of them a product by itself on the thread that asks for it: so bits depend neither on threads nor on
// who asks.
class Product {
 public:
  // Each row of a @ b is added to the bias where there is one.
  Product(const Tensor& a, const Tensor& b, const Tensor& bias = {});

  struct Block {
    int64_t first;  // element of the row-major result
    int64_t rows, columns;
  };
  int64_t blocks() const { return batches_ * down_ * across_; }
  Block block(int64_t i) const;
  int64_t columns() const { return n_; }
  // Of one block, in elements of simpler kernels.
  int64_t work() const;
  // Writes a block, its rows `leading` elements apart.
  void compute(int64_t i, void* to, int64_t leading) const { compute_(*this, i, nullptr, to, leading); }
  // The same added to what lies as `to` does, and may be it.
  void add(int64_t i, const void* onto, void* to, int64_t leading) const {
    compute_(*this, i, onto, to, leading);
  }

 private:
  template <class T>
  static void compute_of(const Product& product, int64_t i, const void* onto, void* to, int64_t leading);

  Tensor a_, b_, bias_;
  int64_t batches_, m_, n_, depth_;
  int64_t rows_, columns_, down_, across_;  // of a block; blocks
  void (*compute_)(const Product&, int64_t i, const void* onto, void* to, int64_t leading) = nullptr;
};

// The sum of a value and a product, block by block.
void add_product(const Call& call, const Factors& factors);

}  // namespace tidu::cpu
