// Sparse matrices of derivatives, from few products, and what is computed with them.
#pragma once

#include "transforms/coloring.h"
#include "transforms/jacobian.h"

namespace tidu {

// A sparse matrix by rows: the elements of row i are values[k], in columns indices[k] that ascend, for k from
// indptr[i] up to indptr[i + 1]. indptr and indices are int64 vectors, on the device of the values.
struct Csr {
  Tensor indptr, indices, values;
  Shape shape;
};

// The Jacobian, a row for each element of the outputs and a column for each of the primals (those of each
// tensor in row-major order, one tensor after the other), from a jvp or vjp for each colour. They are
// computed as by vmap, as many at once as `chunk` says. A ShapeError where the colouring is of another number
// of rows or columns. Elements that the pattern lacks are taken as 0: where they are not, the result is
// wrong.
Csr sparse_jacobian(const Function& function, const Tensors& primals, const Coloring& coloring,
                    Chunk chunk = {});
// With the pattern and colouring that it has for all values of the primals.
Csr sparse_jacobian(const Function& function, const Tensors& primals, Chunk chunk = {});
// The Hessian of a scalar in the same way, from a product of it for each colour. Equal elements have equal
// bits where the colouring is a symmetric one.
Csr sparse_hessian(const ScalarFunction& function, const Tensors& primals, const Coloring& coloring,
                   Chunk chunk = {});
Csr sparse_hessian(const ScalarFunction& function, const Tensors& primals, Chunk chunk = {});

// The matrix times a vector (columns) or a matrix (columns, n), the elements of a row added in their order.
// Differentiable by the values and by the dense factor.
Tensor sparse_matmul(const Csr& a, const Tensor& dense);
Csr transposed(const Csr& a);
Tensor to_dense(const Csr& a);

}  // namespace tidu
