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
// Sum of the products along the last axis of two tensors, broadcast.
Tensor vecdot(const Tensor& a, const Tensor& b);

namespace cuda {

// Whether float32 products on device cuda may use TF32: faster on tensor cores, but operands keep 10 of their
// 23 fraction bits. Off at first.
void set_allow_tf32(bool allow);
bool allow_tf32();

// What multiplies matrices on device cuda: cuBLAS wherever it can, our own kernels, or each where it is the
// better one. At first what TIDU_CUDA_MATMUL (cublas, tidu, auto) says, or automatic.
enum class MatmulLibrary { automatic, cublas, tidu };
MatmulLibrary matmul_library_from_name(std::string_view name);
const char* name_of(MatmulLibrary library);
void set_matmul(MatmulLibrary library);
MatmulLibrary matmul_library();

}  // namespace cuda

namespace primitives {
// (.., m, k) and (.., k, n) with equal leading dimensions and one dtype, and perhaps (n), which is added to
// each row of the product.
extern Primitive matmul;
}  // namespace primitives

}  // namespace tidu
