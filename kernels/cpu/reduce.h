// Reductions of contiguous rows and of columns, in trees that depend on the shape alone.
//
// A tree over m blocks splits at the largest power of two below m. So a caller may give runs of 2^k blocks to
// different threads and combine their results by the same tree: the bits are those of one call over
// everything.
#pragma once

#include <cstdint>

#include "kernels/types.h"

namespace tidu::cpu {

enum class Reduction : uint8_t { sum, prod, max, min };

// What a reduction accumulates in and writes: float for the 16-bit floats; for sum and prod of bool and
// integers int64 or uint64, which wrap; else the dtype itself. (any and all are max and min of bool.)
DType accumulator_dtype(Reduction reduction, DType dtype);

// Elements of a row, and rows of a column, in one block of the tree.
inline constexpr int64_t kRowBlock = 4096;
inline constexpr int64_t kColumnBlock = 64;
// Columns that are reduced side by side: a call may be split at multiples of it.
inline constexpr int64_t kColumnChunk = 1024;

// out[r] = the reduction of x[r * stride + 0 .. n). n = 0 gives the identity: 0, 1, lowest, highest value.
// NaN wins max and min.
using ReduceRowsFunction = void (*)(const void* x, int64_t stride, int64_t rows, int64_t n, void* out);
ReduceRowsFunction reduce_rows_function(Reduction reduction, DType dtype);

// out[j] = the reduction of x[i * stride + j] over i in 0 .. n.
using ReduceColumnsFunction = void (*)(const void* x, int64_t stride, int64_t n, int64_t columns, void* out);
ReduceColumnsFunction reduce_columns_function(Reduction reduction, DType dtype);

// The tree over the results of 2^k blocks each, as the two functions above would continue it. `partials` are
// of the accumulator dtype: for rows n of them, one a run (columns = 1); for columns n rows of `columns`.
// Overwrites them; the result is in the first row.
using CombineFunction = void (*)(void* partials, int64_t n, int64_t columns);
CombineFunction combine_function(Reduction reduction, DType accumulator);

// The index of the first largest (smallest) element, that of the first NaN if there is one; n > 0.
using ArgRowsFunction = void (*)(const void* x, int64_t stride, int64_t rows, int64_t n, int64_t* out);
ArgRowsFunction arg_rows_function(bool largest, DType dtype);
using ArgColumnsFunction = void (*)(const void* x, int64_t stride, int64_t n, int64_t columns, int64_t* out);
ArgColumnsFunction arg_columns_function(bool largest, DType dtype);

}  // namespace tidu::cpu
