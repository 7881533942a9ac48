// Softmax and its relatives over contiguous rows, or down columns, of float32 or float64.
//
// Rows are shifted by their largest element, so nothing overflows. As in SciPy: a row with NaN gives NaN,
// logsumexp of nothing but -inf is -inf and of a row with inf is inf, softmax of either is NaN.
#pragma once

#include <cstdint>

#include "kernels/types.h"

namespace tidu::cpu {

struct SoftmaxFunctions {
  // y[r, :] from x[r, :], n elements a row; y may be x.
  void (*softmax)(const void* x, void* y, int64_t rows, int64_t n);
  // The same, but of a row whose largest element is infinite the limit: where one element is inf 1, where
  // several are NaN, elsewhere 0.
  void (*softmax_limit)(const void* x, void* y, int64_t rows, int64_t n);
  void (*log_softmax)(const void* x, void* y, int64_t rows, int64_t n);
  // y[r] = log(sum(exp(x[r, :])))
  void (*logsumexp)(const void* x, void* y, int64_t rows, int64_t n);
  // loss[r] = logsumexp(x[r, :]) - x[r, labels[r]]; labels in 0 .. n, or less than 0 in a row that does not
  // count: 0.
  void (*cross_entropy)(const void* x, const int64_t* labels, void* loss, int64_t rows, int64_t n);
  // y[r, :] = (softmax(x[r, :]) - one_hot(labels[r])) * g[r * g_stride], or 0 likewise and where g is 0.
  void (*cross_entropy_grad)(const void* x, const int64_t* labels, const void* g, int64_t g_stride, void* y,
                             int64_t rows, int64_t n);
  // Pairs with the bits of each, whose exponentials are computed once; y is not x.
  void (*log_softmax_with_softmax)(const void* x, void* log_y, void* y, int64_t rows, int64_t n);
  void (*cross_entropy_with_grad)(const void* x, const int64_t* labels, const void* g, int64_t g_stride,
                                  void* loss, void* y, int64_t rows, int64_t n);
  // Softmax, its logarithm or both of columns whose n elements lie `stride` apart, neighbours in a row;
  // either result may be null, log_y may be x, and y, if there is no other, too.
  void (*softmax_columns)(const void* x, void* log_y, void* y, bool limit, int64_t n, int64_t stride,
                          int64_t columns);
};

// For float32 or float64.
SoftmaxFunctions softmax_functions(DType dtype);

}  // namespace tidu::cpu
