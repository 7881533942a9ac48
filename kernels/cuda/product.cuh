// A product of matrices that a group of pointwise calls is computed of, element by element, before anything
// of it goes to memory: what the kernels of such groups are made of beside group.cuh.
#pragma once

#include "kernels/cuda/group.cuh"
#include "kernels/cuda/matmul_tile.cuh"

namespace tidu::cuda {

// The way of finished sums through a group G. Its Arguments have a Product `product` besides, and
// G::put(x, sums) makes n elements of the product those of one of the inputs.
template <class G> struct Through {
  const typename G::Arguments& a;

  template <int n, class T>
  __device__ __forceinline__ void write(const Product<T>& p, unsigned batch, int64_t row, int64_t column,
                                        Accumulator<T> (&sums)[n]) const {
    add_bias<n>(p, row, column, sums);
    const int64_t first = batch * (p.m * p.n) + row * p.out_by_row + column * p.out_by_column;
    if (n > 1 && p.vector_out) {
      if (column < p.n) finish<n>(first, sums);
      return;
    }
#pragma unroll
    for (int i = 0; i < n; ++i) {
      Accumulator<T> sum[1] = {sums[i]};
      if (column + i < p.n) finish<1>(first + i * p.out_by_column, sum);
    }
  }

 private:
  template <int n, class S> __device__ __forceinline__ void finish(int64_t first, const S (&sums)[n]) const {
    const typename G::Place place(a.span, static_cast<decltype(a.span.count)>(first));
    auto x = G::template load<n>(a, place);
    G::put(x, sums);
    finish_group<n, G>(a, place, x);
  }
};

}  // namespace tidu::cuda
