// Reductions of contiguous rows and of columns, in trees that depend on the shape alone.
//
// A tree over m blocks splits at the largest power of two below m. So a caller may give runs of 2^k blocks to
// different threads and combine their results by the same tree: the bits are those of one call over
// everything.
#pragma once

#include <cstdint>

#include "kernels/reduction.h"

namespace tidu::cpu {

// The rows of csrc/ops/reduce.def whose kernels come from their structs in kernels/reduction.h.
enum class ReductionName : uint8_t {
#define ROWWISE(...)
#define REDUCTION(name, ...) name,
#include "csrc/ops/reduce.def"
};

// Elements of a row, and rows of a column, in one block of the tree.
inline constexpr int64_t kRowBlock = 4096;
inline constexpr int64_t kColumnBlock = 64;
// Columns that are reduced side by side: a call may be split at multiples of it.
inline constexpr int64_t kColumnChunk = 1024;

// states[r] = that of x[r * stride + 0 .. n). n = 0 gives the identity.
using ReduceRowsFunction = void (*)(const void* x, int64_t stride, int64_t rows, int64_t n, void* states);
// states[j] = that of x[i * stride + j] over i in 0 .. n.
using ReduceColumnsFunction = void (*)(const void* x, int64_t stride, int64_t n, int64_t columns,
                                       void* states);

// A reduction of elements of one dtype.
struct ReduceFunctions {
  int64_t state_size;  // in bytes
  ReduceRowsFunction rows, rows_of_states;
  ReduceColumnsFunction columns, columns_of_states;
  // The tree over the states of 2^k blocks each, as the functions above would continue it: for rows n of
  // them, one a run (columns = 1); for columns n rows of `columns`. Overwrites them; the result is in the
  // first row.
  void (*combine)(void* states, int64_t n, int64_t columns);
  // The results of n states, in other memory, or in place where they have one size.
  void (*finish)(const void* states, const reduction::Whole& whole, void* y, int64_t n);
};
// Null functions where the row does not take the dtype.
const ReduceFunctions& reduce_functions(ReductionName reduction, DType dtype);

// The index of the first largest (smallest) element, that of the first NaN if there is one; n > 0.
using ArgRowsFunction = void (*)(const void* x, int64_t stride, int64_t rows, int64_t n, int64_t* out);
ArgRowsFunction arg_rows_function(bool largest, DType dtype);
using ArgColumnsFunction = void (*)(const void* x, int64_t stride, int64_t n, int64_t columns, int64_t* out);
ArgColumnsFunction arg_columns_function(bool largest, DType dtype);

}  // namespace tidu::cpu
