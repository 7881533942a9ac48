// Products of vectors, matrices and batches of matrices.
#pragma once

#include "core/primitive.h"

namespace tidu {

// NumPy's rule: (n) . (n); (m, k) @ (k); (k) @ (k, n); (.., m, k) @ (.., k, n) with leading dimensions
// broadcast.
Tensor matmul(const Tensor& a, const Tensor& b);
// x @ weight^T + bias, the weight of shape (outputs, inputs), the bias of (outputs) or undefined.
Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias = {});
// The outer product (m, n) of vectors (m) and (n).
Tensor outer(const Tensor& a, const Tensor& b);
// Sum of the products along an axis of two tensors, broadcast. A positive axis is one of the broadcast shape.
Tensor vecdot(const Tensor& a, const Tensor& b, int64_t axis = -1);

namespace primitives {
// (.., m, k) and (.., k, n) with equal leading dimensions and one dtype, and perhaps (n), which is added to
// each row of the product.
extern Primitive matmul;
}  // namespace primitives

}  // namespace tidu
