// Products of matrices of float32, float64 or integers, modulo what their type holds, on the calling thread.
#pragma once

#include <cstdint>

#include "kernels/types.h"

namespace tidu::cpu {

struct GemmSize {
  int64_t rows, columns, depth;
  bool adds;  // to what is there
};

// Element (row, column) lies at data + row * row_stride + column * column_stride, in elements; or at
// data + rows[row] + columns[column], which a left factor of floats may say instead.
struct GemmFactor {
  const void* data;
  int64_t row_stride, column_stride;
  const int64_t *rows = nullptr, *columns = nullptr;
};

// Bytes, aligned to 64, that a product of floats needs to work with: for rows of b, and for some of a.
inline constexpr int64_t kGemmPanels = 384 * 16 * 3 * 64, kGemmTiles = 8 * 8 * 384 * 8;
inline constexpr int64_t kGemmWorkspace = kGemmPanels + kGemmTiles;

// c = a @ b, rows of c `leading` elements apart. One of b's strides is 1, of integers that of columns.
using GemmFunction = void (*)(const GemmSize& size, const GemmFactor& a, const GemmFactor& b, void* c,
                              int64_t leading, void* workspace);
// None of floats for vectors whose length is not known before: no array, and so no tile, can be made of them.
GemmFunction gemm_function(DType dtype);

}  // namespace tidu::cpu
