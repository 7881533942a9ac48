// Elements in other places, once or several times: rolled, repeated, on diagonals and grids.
#pragma once

#include <optional>

#include "ops/elementwise.h"

namespace tidu {

// Element i goes to place (i + shifts[k]) modulo the extent along axes[k]. Without axes: of all elements as
// one vector, by the one shift.
Tensor roll(const Tensor& x, const Dims& shifts, const std::optional<Axes>& axes = {});
// Turned by k times 90 degrees, from the first of two axes towards the second.
Tensor rot90(const Tensor& x, int64_t k = 1, const Axes& axes = {0, 1});
// x, counts[i] times along each axis; missing leading counts or axes are 1.
Tensor tile(const Tensor& x, const Dims& counts);
// Each element `count` times, or as often as an integer tensor of shape () or (extent) says, along the axis
// (without one: of x as a vector). A tensor's values are read back.
Tensor repeat(const Tensor& x, int64_t count, std::optional<int64_t> axis = {});
Tensor repeat(const Tensor& x, const Tensor& counts, std::optional<int64_t> axis = {});

// The slices along an axis, which goes.
Tensors unstack(const Tensor& x, int64_t axis = 0);
// At most `count` consecutive parts of one extent, but for the last. Views.
// The extent of axes that become one, or of one that is repeated; a ShapeError that names `op` where it does
// not fit.
int64_t product_of_extents(int64_t a, int64_t b, const char* op);
// Consecutive parts along an axis, views, of any number of sizes.
Tensors split(const Tensor& x, std::span<const int64_t> sizes, int64_t axis);
Tensors chunk(const Tensor& x, int64_t count, int64_t axis = 0);
// At least so many axes, new ones as NumPy places them: (n) becomes (1, n), and (1, n, 1); (m, n) (m, n, 1).
Tensor at_least(int rank, const Tensor& x);

// Around each axis i low[i] and high[i] further elements: of one number; or of x, mirrored at its ends with
// or without repeating them, its ends, or from its other end.
enum class PadMode : uint8_t { reflect, symmetric, edge, wrap };
Tensor pad(const Tensor& x, const Dims& low, const Dims& high, const Scalar& value);
Tensor pad(const Tensor& x, const Dims& low, const Dims& high, PadMode mode);

// A vector on a diagonal, or the diagonal of a matrix.
Tensor diag(const Tensor& x, int64_t offset = 0);
// Square matrices, zero but for vectors (.., n) on the diagonal above the main one by `offset`.
Tensor diag_embed(const Tensor& x, int64_t offset = 0);
// Matrices (or vectors and numbers, as rows) along a diagonal.
Tensor block_diag(const Tensors& matrices);
// The int64 rows and columns of what is at most k right of the diagonal of a matrix, or not left of it.
Tensors tril_indices(int64_t rows, int64_t columns, int64_t k = 0, Device device = {});
Tensors triu_indices(int64_t rows, int64_t columns, int64_t k = 0, Device device = {});
// The vectors broadcast along one axis each: tensor i along axis i or, as NumPy's "xy", the first two
// swapped.
Tensors meshgrid(const Tensors& vectors, bool swapped);
// All tuples of elements of the vectors, one a row.
Tensor cartesian_prod(const Tensors& vectors);
// x[.., i]^j for j from 0 (or to 0) of `columns` columns.
Tensor vander(const Tensor& x, std::optional<int64_t> columns = {}, bool increasing = false);

}  // namespace tidu
