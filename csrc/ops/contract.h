// Sums of products over named axes: einsum and what it generalises, and powers of matrices.
#pragma once

#include <string>

#include "core/primitive.h"

namespace tidu::linalg {

// The elements a[.., i, i + offset] of each matrix (.., m, n): (.., length of that diagonal).
Tensor diagonal(const Tensor& x, int64_t offset = 0);
// Of the matrices that two axes make, which go; the diagonal comes last.
Tensor diagonal(const Tensor& x, int64_t offset, int64_t axis1, int64_t axis2);
// Their sum: (..).
Tensor trace(const Tensor& x, int64_t offset = 0);

// Matrices whose block (i, j) is a[i, j] * b: extents are multiplied axis by axis, a missing leading one
// is 1.
Tensor kron(const Tensor& a, const Tensor& b);
// The vector product along an axis, which has extent 3; the others are broadcast.
Tensor cross(const Tensor& a, const Tensor& b, int64_t axis = -1);

// The sum over pairs of axes, axis i of `a_axes` with axis i of `b_axes`: the remaining axes of a, then of b.
Tensor tensordot(const Tensor& a, const Tensor& b, const Axes& a_axes, const Axes& b_axes);
// Over the last `axes` axes of a and the first ones of b.
Tensor tensordot(const Tensor& a, const Tensor& b, int64_t axes = 2);

// Over the last axes of both; with a number, the product.
Tensor inner(const Tensor& a, const Tensor& b);

// The product of two or more matrices, in the order that takes the fewest multiplications; the first and the
// last may be vectors.
Tensor multi_dot(const Tensors& matrices);
// Square matrices (.., n, n) to an integer power, by squaring; a negative one is the power of the inverse.
Tensor matrix_power(const Tensor& x, int64_t n);

// What of each matrix (.., m, n) is not right of diagonal k, or not left of it; zeros elsewhere.
Tensor tril(const Tensor& x, int64_t k = 0);
Tensor triu(const Tensor& x, int64_t k = 0);

// Einstein's sum: "ij,jk->ik". A letter names an axis; of a letter that stands twice in one operand the
// diagonal is taken; letters that the result lacks are summed over, and so is "...", which stands for axes
// that are broadcast. Without "->" the result has "..." and, in alphabetical order, the letters that stand
// once. Operands are joined two at a time, the pair with the smallest result first.
Tensor einsum(const std::string& subscripts, const Tensors& operands);

}  // namespace tidu::linalg
